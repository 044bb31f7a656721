#!/usr/bin/env python3
"""Wire to wire: from a quote that crosses until both orders are back at the server, for floors, the engine and ordinary peers.

Builds all of it, runs it in rounds, and writes table, plot, histograms and machine to perf/record. Every participant
has a venue of its own behind the same server code (the exchange in a box; `perf/src/house.rs`), on one core; the
participant on turn has the other, all others are stopped. A trial: quiet quotes every 1 to 3 ms; then the perp's best
quote jumps to 51 bp above spot (a trader enters from 50 on), or back. Measured from just before that quote's bytes
are written to the read that brings the end of each order; leg 1 is the order that is read first. In each round every
participant has one turn of trials, in an order drawn from the seed. The number of rounds is said beforehand, none is
left out; one while others used more than 5 % of the machine is marked as disturbed. A leg that is not there within
250 ms counts as infinitely late.

The statistic is the median over rounds of the ratio of both medians of that round, with a bootstrap interval of 95 %
(over rounds); of higher percentiles, those of all trials of all rounds, with an interval of the same kind.

    perf/wire.py             # 40 rounds: about 6 minutes after the builds
    perf/wire.py --quick     # 2 rounds, no record

The peers of Python come from PyPI, as tools/clients/requirements.txt and perf/peers/requirements-nautilus.txt pin them;
NautilusTrader takes part where there is a Python of 3.12 or 3.13. Exit code: 0 the aims are met; 1 one is missed, named; 2 could not run.
"""

import argparse
import datetime
import json
import math
import os
import platform
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

PERF = Path(__file__).resolve().parent
TOP = PERF.parent
WIRE, TOKIO = PERF / "target/release/wire", PERF / "tokio_peer/target/release/tokio_peer"
VENV, NAUTILUS = PERF / "target/venv", PERF / "target/venv-nautilus"
RUN = PERF / "target/run"
TRIALS, WARM_UP = 12, 2
DISTURBED_PCT = 5.0
DRAWS = 4_000
FLOOR, ENGINE, BARE = "floor-warm", "engine", "bare"
LEGS = ("leg1", "leg2")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
# What issue and design want of the whole interval: above/below, leg, "most" or "least", value.
AIMS = [
    (ENGINE, FLOOR, "leg1", "most", 1.35),
    (ENGINE, FLOOR, "leg2", "most", 1.4),
    (ENGINE, "floor-plain", "leg1", "most", 1.0),
    ("tokio", ENGINE, "leg1", "least", 6),
    ("tokio", ENGINE, "leg2", "least", 5),
    ("ccxt.pro", ENGINE, "leg1", "least", 50),
    ("ccxt.pro", ENGINE, "leg2", "least", 40),
]
P90_AIM = 1.5
# Where the kernel stamps packets: from the quote's to the first order's, and what passes of it before the quote is read.
PACKETS = ("wire_to_wire", "rx_to_read")
# p50 in the process, from the quote's ciphertext to the first order's bytes in front of `send`: engine ÷ bare path.
IN_PROCESS_AIM = 2.0
COLOURS = {
    "floor-plain": "#9aa5b1", "floor-rustls": "#616e7c", "floor-warm": "#1f2933", "bare": "#8f5bd6", "engine": "#d64545", "engine-single": "#f29b9b", "engine-split": "#c77d9b", "engine-kernel": "#7d4f50", "engine-ws": "#b21f66", "engine-slow": "#e3b23c",
    "tokio": "#2f80ed", "asyncio": "#27ab83", "ccxt.pro": "#cb6e17", "nautilus": "#0e7c86",
}  # fmt: skip


class Failed(Exception):
    """What keeps the bench from being run. The text says what to do."""


def engine_command(program, cores="1,0", stamps="path"):
    """The engine as it is measured, hot core 1."""
    # What makes the engine trade this market's jumps, and nothing that would make it faster; what it stamps costs it some 20 ns a leg.
    rule = ["--kappa", "1", "--hold", "1h", "--first-entries", "0", "--min-basis", "50bps", "--exit-basis", "20bps"]
    return [program, "run", "--json", "--live", "--config", str(PERF / "target/engine.toml"), "--out", "{out}", "--data-dir", "{out}/data", "--cores", cores, "--stamps", stamps, *rule, "{endpoints}"]


def participants(program):
    """Everyone: the name, the cores it may use (hot core 1, server on 0), and the command."""
    python, engine = str(VENV / "bin/python"), engine_command(program)
    return [
        {"name": "floor-plain", "plain": True, "cores": "1", "command": [str(WIRE), "floor", "plain", "{ready}"]},
        {"name": "floor-rustls", "cores": "1", "command": [str(WIRE), "floor", "rustls", "{ready}"]},
        {"name": FLOOR, "cores": "1", "command": [str(WIRE), "floor", "warm", "{ready}"]},
        {"name": BARE, "cores": "1", "command": [str(WIRE), "bare", "{ready}", "{out}/in_process"]},
        {"name": ENGINE, "cores": "0,1", "command": engine},
        {"name": "engine-single", "cores": "0,1", "command": [*engine, "--layout", "single"]},
        # It takes three cores: on two the trader shares one with the server, and yields it.
        {"name": "engine-split", "cores": "0,1", "command": [*engine_command(program, "1,0"), "--layout", "split", "--idle", "yield"]},
        {"name": "engine-kernel", "cores": "0,1", "command": engine_command(program, stamps="kernel")},
        {"name": "engine-ws", "cores": "0,1", "command": [*engine, "--orders", "ws"]},
        {"name": "engine-slow", "cores": "0,1", "command": [*engine, "--fast=off"]},
        {"name": "tokio", "cores": "1", "command": [str(TOKIO), "{ready}"]},
        {"name": "asyncio", "cores": "1", "command": [python, str(PERF / "peers/asyncio_peer.py"), "{ready}"]},
        {"name": "ccxt.pro", "cores": "1", "command": [python, str(PERF / "peers/ccxt_peer.py"), "{ready}"]},
        {"name": "nautilus", "plain": True, "ed25519": True, "cores": "1", "command": [str(NAUTILUS / "bin/python"), str(PERF / "peers/nautilus_peer.py"), "{ready}"]},
    ]


def newer_python():
    """A Python that NautilusTrader runs on, by name; none: there is none."""
    for name in (sys.executable, "python3.13", "python3.12"):
        asked = [name, "-c", "import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))"]
        # A name may be there and lead nowhere.
        if shutil.which(name) and subprocess.run(asked, capture_output=True).returncode == 0:
            return name
    return None


def build(program, names):
    """Builds what these need. `program`: the engine, where it is built already."""
    if len(os.sched_getaffinity(0)) < 2:
        raise Failed("this needs two cores: one for the server, one for the participant on turn")
    cargo = ["nice", "cargo", "build", "--release", "--locked"]
    jobs = [[*cargo, "--manifest-path", str(PERF / "Cargo.toml")]]
    if program is None:
        jobs.append([*cargo, "--manifest-path", str(TOP / "Cargo.toml"), "--bin", "contango"])
    if "tokio" in names:
        jobs.append([*cargo, "--manifest-path", str(PERF / "tokio_peer/Cargo.toml")])
    if names & {"asyncio", "ccxt.pro"} and not VENV.exists():
        # Versions are those CI tries ccxt with.
        pins = str(TOP / "tools/clients/requirements.txt")
        jobs += [[sys.executable, "-m", "venv", str(VENV)], [str(VENV / "bin/pip"), "-q", "install", "-c", pins, "aiohttp", "ccxt", "orjson", "uvloop"]]
    if "nautilus" in names and not NAUTILUS.exists():
        python = newer_python()
        if python is None:
            raise Failed("nautilus needs a Python of 3.12 or 3.13; put one on the path")
        jobs += [[python, "-m", "venv", str(NAUTILUS)], [str(NAUTILUS / "bin/pip"), "-q", "install", "-r", str(PERF / "peers/requirements-nautilus.txt")]]
    for job in jobs:
        if subprocess.run(job).returncode:
            if job[0].endswith("pip"):
                shutil.rmtree(Path(job[0]).parents[1])
            raise Failed(f"`{' '.join(job)}` failed; what it said is above")


def quantile(values, part):
    """The value at rank ⌈part·n⌉ of a sorted list."""
    return values[max(0, math.ceil(part * len(values)) - 1)]


def middle(values):
    values, half = sorted(values), len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def interval(draw, rounds, seed):
    """Of 95 %: what `draw` makes of rounds drawn with replacement."""
    dice = random.Random(seed)
    drawn = sorted(draw([dice.randrange(rounds) for _ in range(rounds)]) for _ in range(DRAWS))
    return [drawn[int(DRAWS * 0.025)], drawn[int(DRAWS * 0.975) - 1]]


def legs_of(row):
    """Both legs of a trial in ns, the first one first; a missing one is infinitely late."""
    return sorted(math.inf if row[leg] is None else row[leg] for leg in ("spot_ns", "perp_ns"))


def read(path):
    """Legs in ns by participant and round, missing ones infinite; and what is told of each round."""
    samples, rounds = {}, []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "order" in row:
            rounds.append({**row, "disturbed": row["others_pct"] > DISTURBED_PCT})
        elif not row["warm_up"]:
            turns = samples.setdefault(row["name"], {leg: {} for leg in LEGS})
            for leg, ns in zip(LEGS, legs_of(row)):
                turns[leg].setdefault(row["round"], []).append(ns)
    return samples, rounds


def summary(samples, count, seed):
    """Quantiles of each participant and leg over all trials, with intervals; medians round by round."""
    told = {}
    for name, legs in samples.items():
        for leg, turns in legs.items():
            every = sorted(ns for turn in turns.values() for ns in turn)
            row = {"trials": len(every), "missing": sum(ns == math.inf for ns in every), "rounds_p50_ns": [middle(turns[at]) for at in range(count)]}
            for label, part in QUANTILES.items():
                pooled = lambda drawn: quantile(sorted(ns for at in drawn for ns in turns[at]), part)  # noqa: B023, E731: used at once
                # Pooling 40 rounds 4,000 times for four quantiles of each is a minute's work in all.
                row[label] = {"ns": quantile(every, part), "interval": interval(pooled, count, seed)}
            told.setdefault(name, {})[leg] = row
    return told


def ratios(told, samples, count, seed):
    """Each pair: median of the rounds' ratios and its interval; and the ratio of the p90 of all trials."""
    rows = []
    pairs = [(name, floor) for floor in (FLOOR, "floor-plain", "floor-rustls") for name in told if name != floor]
    pairs += [(name, ENGINE) for name in told if not name.startswith((ENGINE, "floor"))]
    pairs += [(name, ENGINE) for name in told if name.startswith(f"{ENGINE}-")]
    for above, below in pairs:
        if below not in told:
            continue
        for leg in LEGS:
            each = [a / b for a, b in zip(told[above][leg]["rounds_p50_ns"], told[below][leg]["rounds_p50_ns"])]
            row = {"above": above, "below": below, "leg": leg, "ratio": middle(each)}
            row["interval"] = interval(lambda drawn: middle([each[at] for at in drawn]), count, seed)  # noqa: B023: used at once
            if (above, below) == (ENGINE, FLOOR):
                turns = [samples[name][leg] for name in (above, below)]

                def p90(drawn):
                    high, low = (quantile(sorted(ns for at in drawn for ns in turn[at]), 0.9) for turn in turns)  # noqa: B023: used at once
                    return high / low

                row["p90"] = {"ratio": p90(range(count)), "interval": interval(p90, count, seed)}
            rows.append(row)
    return rows


def judged(rows):
    """What is not as it should be, by the worse end of the interval."""
    missed = []
    for above, below, leg, bound, aim in AIMS:
        for row in rows:
            if (row["above"], row["below"], row["leg"]) == (above, below, leg):
                end = row["interval"][1 if bound == "most" else 0]
                if end > aim if bound == "most" else end < aim:
                    missed.append(f"{above} ÷ {below}, {leg}: {end:.2f}, at {bound} {aim} wanted")
    for row in rows:
        if "p90" in row and row["p90"]["interval"][1] > P90_AIM:
            missed.append(f"p90 of {row['above']} ÷ {row['below']}, {row['leg']}: {row['p90']['interval'][1]:.2f}, at most {P90_AIM} wanted")
    return missed


def judged_in_process(told):
    """Whether the engine's own work is short enough beside the bare path's."""
    if not {ENGINE, BARE} <= set(told):
        return []
    ratio = told[ENGINE]["p50"] / told[BARE]["p50"]
    return [] if ratio <= IN_PROCESS_AIM else [f"p50 in the process, {ENGINE} ÷ {BARE}: {ratio:.2f}, at most {IN_PROCESS_AIM:g} wanted"]


def in_process(folder, names, prefix=ENGINE):
    """From the read that brought a quote to the first order's `send`, in ns, of those who stamp it: all their fires.
    Engines are those whose names begin so."""
    told = {}
    for name in names:
        own = folder / name
        if name == BARE:
            every = sorted(int(line) for line in (own / "in_process").read_text().split())
            told[name] = {"fires": len(every)} | {label: quantile(every, part) for label, part in list(QUANTILES.items())[:3]}
        elif name.startswith(prefix):
            summary_line = next(line for line in (own / "log").read_text().splitlines() if line.startswith("{"))
            stages = json.loads(summary_line)["latency_ns"]
            told[name] = {"fires": stages["in_process"]["count"]} | {label: stages["in_process"][label] for label in ("p50", "p90", "p99")}
            told[name]["leg 2 more, p50"] = stages["leg2_in_process"]["p50"]
            if stages.get(PACKETS[0], {}).get("count"):
                told[name]["packets"] = {stage: {label: stages[stage][label] for label in ("p50", "p90", "p99")} for stage in PACKETS}
    return told


def machine():
    cpu = Path("/proc/cpuinfo").read_text()
    return {
        "cpu": re.search(r"model name\s*: (.*)", cpu)[1].strip(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20, 1),
        "virtual": "hypervisor" in cpu,
        "kernel": re.match(r"[\d.]+", platform.release())[0],
        "load_before": round(os.getloadavg()[0], 2),
    }


def us(ns):
    return "∞" if ns == math.inf else f"{ns / 1000:.1f}" if ns < 1e6 else f"{ns / 1000:,.0f}"


def head(record, title, script):
    """How the page of any of these benches begins."""
    host, rounds = record["machine"], record["rounds"]
    return [
        f"# {title}",
        "",
        f"{record['date']}, commit {record['commit']}; {host['cores']} cores of {host['cpu']}{' (virtual)' if host['virtual'] else ''}, "
        f"{host['memory_gib']} GiB, Linux {host['kernel']}; load before it {host['load_before']}.",
        f"Command: `{record['command']}`. What is measured and how: the head of `perf/{script}.py`. Loopback.",
        "",
        f"{len(rounds)} rounds as said beforehand, {TRIALS} trials a turn after {WARM_UP} that are not counted, seed {record['seed']}; "
        f"{sum(it['disturbed'] for it in rounds)} rounds disturbed by other work on the machine (over {DISTURBED_PCT:g} %), all of them counted.",
        "",
    ]


def others(record):
    """How much of the machine was not the bench's."""
    return f"Others' share of the machine, round by round: {', '.join(str(it['others_pct']) for it in record['rounds'])} %."


def page(record):
    out = [
        *head(record, "Wire to wire", "wire"),
        "| µs (interval of 95 %) | leg | trials | missing | p50 | p90 | p99 | p99.9 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, legs in record["participants"].items():
        for leg, row in legs.items():
            cells = (f"{us(row[label]['ns'])} ({us(row[label]['interval'][0])}–{us(row[label]['interval'][1])})" for label in QUANTILES)
            out.append(f"| {name} | {leg[-1]} | {row['trials']} | {row['missing']} | {' | '.join(cells)} |")
    out += ["", "p99.9 of fewer than 1,000 trials is the slowest one.", "", "| paired by round | leg 1 | leg 2 |", "|---|---|---|"]
    table = {}
    for row in record["ratios"]:
        table.setdefault((row["above"], row["below"]), []).append(f"{row['ratio']:.2f} ({row['interval'][0]:.2f}–{row['interval'][1]:.2f})")
    out += [f"| {above} ÷ {below} | {' | '.join(cells)} |" for (above, below), cells in table.items()]
    out += [
        f"| p90 of {row['above']} ÷ {row['below']}, leg {row['leg'][-1]} | {row['p90']['ratio']:.2f} ({row['p90']['interval'][0]:.2f}–{row['p90']['interval'][1]:.2f}) | |"
        for row in record["ratios"]
        if "p90" in row
    ]
    if record["in_process"]:
        out += ["", "In the process, from the quote's ciphertext to the first order's bytes in front of `send`, ns, of all fires:", "", "| | fires | p50 | p90 | p99 | leg 2 after leg 1's `send`, p50 |", "|---|---|---|---|---|---|"]
        out += [f"| {name} | {it['fires']} | {it['p50']:,} | {it['p90']:,} | {it['p99']:,} | {it.get('leg 2 more, p50', '')} |" for name, it in record["in_process"].items()]
    packets = {name: it["packets"] for name, it in record["in_process"].items() if "packets" in it}
    if packets:
        out += ["", "By the kernel's stamps of packets, µs: from the quote's to the first order's, and of that until the quote was read:", "", "| | stage | p50 | p90 | p99 |", "|---|---|---|---|---|"]
        out += [f"| {name} | {stage} | {' | '.join(us(ns) for ns in row.values())} |" for name, stages in packets.items() for stage, row in stages.items()]
    out += ["", others(record), ""]
    out += [f"Aims missed: {'; '.join(record['missed']) or 'none'}.", ""]
    return "\n".join(out)


def plot(record, samples):
    """Both legs side by side: time over percentile, both as powers of ten."""
    wide, high, left, top = 380, 300, 60, 40
    low, most = 1e4, 1e7
    far = math.log10(1000)

    def x(part):
        return left + wide * math.log10(1 / max(1 - part, 1e-3)) / far

    def y(ns):
        return top + high * (1 - math.log10(min(max(ns, low), most) / low) / math.log10(most / low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * (wide + left) + 160} {high + top + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for panel, leg in enumerate(LEGS):
        parts.append(f'<g transform="translate({panel * (wide + left)},0)">')
        parts.append(f'<text x="{left}" y="24" font-weight="bold">leg {leg[-1]}: µs from the quote’s write to the order’s read</text>')
        for power in range(4, 8):
            at = y(10**power)
            parts.append(f'<path d="M{left} {at:.1f}h{wide}" stroke="#ddd"/><text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10 ** (power - 3):,}</text>')
        for label, part in (("p0", 0.0), *QUANTILES.items()):
            parts.append(f'<path d="M{x(part):.1f} {top}v{high}" stroke="#ddd"/><text x="{x(part):.1f}" y="{top + high + 18}" text-anchor="middle">{label}</text>')
        for name, legs in samples.items():
            every = sorted(ns for turn in legs[leg].values() for ns in turn)
            points = " ".join(f"{x(at / len(every)):.1f},{y(ns):.1f}" for at, ns in enumerate(every))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS.get(name, "#000")}" stroke-width="1.8"/>')
        parts.append("</g>")
    for at, name in enumerate(samples):
        place = 2 * (wide + left) + 20
        parts.append(f'<path d="M{place} {top + 20 * at}h18" stroke="{COLOURS.get(name, "#000")}" stroke-width="3"/><text x="{place + 24}" y="{top + 4 + 20 * at}">{name}</text>')
    parts.append(f'<text x="{left}" y="{high + top + 42}" fill="#555">{record["date"]}, {len(record["rounds"])} rounds, loopback</text></svg>\n')
    return "\n".join(parts)


def finite(value):
    """JSON has no infinity: a missing leg is null."""
    if isinstance(value, dict):
        return {key: finite(it) for key, it in value.items()}
    if isinstance(value, list):
        return [finite(it) for it in value]
    return None if value == math.inf or value != value else value


def arguments(doc):
    """What all of these benches take."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="the engine to measure (default: the checkout's release build, built here)")
    parser.add_argument("--commit", help="what it was built from (default: the commit that is checked out)")
    parser.add_argument("--rounds", type=int, default=40, help="said beforehand; none is left out (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=6, help="of turns, quotes and intervals (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="2 rounds, and nothing in the record")
    parser.add_argument("--out", default=str(PERF / "record"), help="a folder named by date and machine is made there (default: %(default)s)")
    return parser


def lived_through(chosen, rounds, seed):
    """Runs all rounds; the samples of each participant, and what is told of each round."""
    (PERF / "target/engine.toml").write_text("# Real orders, to the bench's own server.\n[engine]\nlive = true\n")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    plan = {"rounds": rounds, "trials": TRIALS, "warm_up": WARM_UP, "seed": seed, "box_core": 0, "out": str(RUN), "participants": chosen}
    (RUN / "plan.json").write_text(json.dumps(plan, indent=1))
    if subprocess.run([str(WIRE), "run", str(RUN / "plan.json")]).returncode:
        raise Failed(f"the rounds did not run to their end; {RUN} has everyone's log")
    samples, told = read(RUN / "samples.jsonl")
    return {it["name"]: samples[it["name"]] for it in chosen}, told


def begun(options, script):
    """How a record begins, and where it goes: the folder, and the stem of its files."""
    host = machine()
    commit = options.commit or subprocess.run(["git", "-C", str(TOP), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    date, hour = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H%M").split()
    command = " ".join([f"perf/{script}.py", *sys.argv[1:]])
    record = {"date": date, "commit": commit, "command": command, "machine": host, "seed": options.seed, "trials_a_turn": TRIALS, "warm_up": WARM_UP}
    if options.quick:
        return record, RUN, script
    name = re.sub(r"[^a-z0-9]+", "-", f"{host['cpu']} {host['cores']}".lower()).strip("-")
    return record, Path(options.out) / f"{date}-{name}", f"{script}-{hour}"


def keep(record, place, stem, page, plot):
    """Writes a record down: numbers, page, plot, histograms."""
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{stem}.json").write_text(json.dumps(finite(record), indent=1) + "\n")
    (place / f"{stem}.md").write_text(page)
    (place / f"{stem}.svg").write_text(plot)
    shutil.copyfile(RUN / "latency.hlog", place / f"{stem}.hlog")
    print(page)
    print(f"written to {place}/{stem}.*")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--only", help="names of participants, with commas; the floor-warm and the engine always take part")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    program = options.program and str(Path(options.program).resolve())
    everyone = participants(program or str(TOP / "target/release/contango"))
    wanted = {FLOOR, ENGINE, *options.only.split(",")} if options.only else {it["name"] for it in everyone}
    if not options.only and not NAUTILUS.exists() and newer_python() is None:
        print("wire: without nautilus: it needs a Python of 3.12 or 3.13", file=sys.stderr)
        wanted.remove("nautilus")
    unknown = wanted - {it["name"] for it in everyone}
    if unknown:
        raise Failed(f"nobody is called {', '.join(sorted(unknown))}; there are {', '.join(it['name'] for it in everyone)}")
    build(program, wanted)
    record, place, stem = begun(options, "wire")
    samples, told_rounds = lived_through([it for it in everyone if it["name"] in wanted], rounds, options.seed)
    told = summary(samples, rounds, options.seed)
    record |= {"rounds": told_rounds, "participants": told, "ratios": ratios(told, samples, rounds, options.seed)}
    record["in_process"] = in_process(RUN, told)
    record["missed"] = judged(record["ratios"]) + judged_in_process(record["in_process"])
    keep(record, place, stem, page(record), plot(record, samples))
    return 1 if record["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        print(f"wire: {error}", file=sys.stderr)
        sys.exit(2)
