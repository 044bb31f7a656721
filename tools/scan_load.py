#!/usr/bin/env python3
"""Measures the scanner at its size: four venues of 600 coins each, live in the box, and its API under load.

Told are how old prices and funding are, memory and CPU, how much of each public budget was used, and for each
question the most answers a second (16 connections that ask again at once) and, at 5,000 a second, how long an answer
takes. h2load asks on all its connections in the same moment, so their number is the size of a burst: 5 that ask each
millisecond are what the aim is for, 20 that ask every fourth are told beside them, where an answer waits for up to 19
others. The scanner, all its threads, has one core; h2load (Debian's nghttp2-client) and the box, which gives way to
it, have the others. An answer's time is h2load's: from the request's first byte sent to the answer's last byte; a
connection whose answer is late asks late, so the rate that was reached stands beside it. A round while others used
more than 5 % of the machine is marked as disturbed; none is left out.

    cargo build --release && python3 tools/scan_load.py

Exit code: 0 the aims are met in the median round; 1 one is missed, named; 2 could not run.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))
from common import ROWS, Failed, Scanner, fetch, wait  # noqa: E402

COINS = 600
# What issue and design want.
ROWS_LEAST, RATE, P99_MS, AGE_MS = 2_000, 5_000, 1.0, 1_000
# Connections that ask at the same moment, at RATE in all.
PACED, BURSTS = 5, 20
DISTURBED_PCT = 5.0
TICKS = os.sysconf("SC_CLK_TCK")


def percentiles(values, scale=1.0):
    """Of a list that is not empty: the value that so large a part lies below."""
    ordered = sorted(values)
    at = {f"p{name}": ordered[min(len(ordered) - 1, int(len(ordered) * part))] * scale for name, part in (("50", 0.5), ("99", 0.99), ("999", 0.999))}
    return {"count": len(ordered), **{name: round(value, 3) for name, value in at.items()}, "max": round(ordered[-1] * scale, 3)}


def cpu(pid):
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid):
    found = re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return {name: round(int(kib) / 1024, 1) for name, kib in found}


def busy():
    """Seconds all cores together have worked; what a host took away counts, too."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


class Watch:
    """CPU of the scanner, the box and all others over a block."""

    def __init__(self, scanner):
        self.pids = {"scanner": scanner.process.pid, "box": scanner.box.process.pid}
        self.children = 0.0

    def __enter__(self):
        self.begun, self.all, self.own = time.monotonic(), busy(), {name: cpu(pid) for name, pid in self.pids.items()}
        self.kids = os.times()
        return self

    def __exit__(self, *_):
        seconds = time.monotonic() - self.begun
        used = {name: cpu(pid) - self.own[name] for name, pid in self.pids.items()}
        now = os.times()
        mine = sum(now[:4]) - sum(self.kids[:4])
        others = max(0.0, busy() - self.all - sum(used.values()) - mine)
        self.told = {f"{name}_core_pct": round(100 * spent / seconds, 1) for name, spent in used.items()}
        self.told["others_pct"] = round(100 * others / seconds / os.cpu_count(), 1)
        self.told["disturbed"] = self.told["others_pct"] > DISTURBED_PCT


def pinned(pid, cores):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), cores)


def give_way(pid):
    """The box shares h2load's cores: while it has one, h2load would take its own delay for the answer's."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(task), 19)


def h2load(url, headers, cores, log, *options):
    """Runs it: seconds of each answer and their statuses."""
    command = ["taskset", "-c", ",".join(map(str, cores)), "h2load", "--h1", f"--log-file={log}", *options]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run([*command, url], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"h2load: {done.stdout}{done.stderr}")
    starts, took, statuses = [], [], {}
    for line in log.read_text().splitlines():
        start, status, micros = line.split("\t")[:3]
        starts.append(int(start))
        took.append(int(micros))
        statuses[status] = statuses.get(status, 0) + 1
    log.unlink()
    ends = [start + micros for start, micros in zip(starts, took)]
    seconds = (max(ends) - min(starts)) / 1e6
    told = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    return {"per_second": round(len(took) / seconds), "ms": percentiles(took, 1e-3), "statuses": statuses, "failed": sum(map(int, told.groups()))}


def refresh(scanner, seconds):
    """Ages of what is told, sampled, while nobody else asks."""
    ages, row_ages = {}, []
    with Watch(scanner) as watch:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for venue in fetch(scanner.url + "/healthz")["venues"]:
                for what in ("pricesAgeMs", "fundingAgeMs"):
                    ages.setdefault((venue["exchange"], what), []).append(venue[what])
            time.sleep(0.1)
    for _ in range(20):
        row_ages += [row["edge"]["priceAgeMs"] for row in scanner.rows("?notional=1000")]
        time.sleep(0.23)
    known = [age for age in row_ages if age is not None]
    told = {f"{exchange} {what}": percentiles(values) for (exchange, what), values in ages.items()}
    return {"ages": told, "row_price_age_ms": percentiles(known), "rows_without_price": len(row_ages) - len(known), **watch.told}


def bar_for(scanner, most):
    """The lowest bar that leaves so many rows at the most."""
    nets = [row["netApr"] for row in scanner.rows()]
    if len(nets) <= most:
        raise Failed(f"only {len(nets)} rows")
    return f"{(nets[most - 1] + nets[most]) / 2:.6f}"


def questions(scanner):
    """What is asked: name, target, headers, whether the aims are for it."""
    few = f"{ROWS}?minNetApr={bar_for(scanner, 20)}"
    # No row pays nine times itself: an answer that never changes, and so a tag that is always known.
    never = f"{ROWS}?minNetApr=9"
    tag = urllib.request.urlopen(scanner.url + never).headers["ETag"]
    return [
        ("20 rows", few, [], True),
        ("20 rows weighed", few + "&notional=10000&holdDays=7", [], False),
        ("304", never, [f"If-None-Match: {tag}"], True),
        ("full table", ROWS, [], False),
        ("full table weighed", f"{ROWS}?notional=10000", [], False),
    ]


def rounds(scanner, count, other_cores, folder):
    told = []
    for number in range(count):
        # The bar is looked for anew: rates move.
        for name, target, headers, aimed in questions(scanner):
            at_rate = [(kind, ["-c", str(many), "--rps", str(RATE // many), "-D", "10"]) for kind, many in (("paced", PACED), ("bursts", BURSTS))]
            for kind, options in [("most", ["-c", "16", "-D", "5"]), *at_rate]:
                if kind != "most" and not aimed:
                    continue
                before = os.getloadavg()[0]
                with Watch(scanner) as watch:
                    result = h2load(scanner.url + target, headers, other_cores, folder / "requests.tsv", *options)
                told.append({"round": number, "question": name, "kind": kind, "load_before": round(before, 2), **result, **watch.told})
                print(json.dumps(told[-1]), flush=True)
    return told


def budgets(scanner):
    """The fullest of a venue's budgets, as the box counted it, in percent."""
    told = {}
    for venue, at in scanner.box.ready["venues"].items():
        scanner.box.address = (at.get("control") or scanner.box.ready["control"]).removeprefix("http://")
        truth = scanner.box.truth()
        # Binance counts by market, the others by path or all in one.
        cells = [*truth["rates"].values(), *(cell for market in truth["budget"].values() for cell in market.values())]
        told[venue] = round(max(100 * cell["peak"] / cell["limit"] for cell in cells), 1)
    return told


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "cpu")
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    virtual = "hypervisor" in Path("/proc/cpuinfo").read_text()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "virtual": virtual,
        "kernel": re.match(r"[\d.]+", platform.release())[0],
        "h2load": subprocess.run(["h2load", "--version"], capture_output=True, text=True).stdout.strip(),
    }


def median(values):
    return sorted(values)[len(values) // 2]


def judged(record):
    """What is not as it should be, from the median of all rounds, disturbed ones too."""
    wrong = []
    if record["rows"] < ROWS_LEAST:
        wrong.append(f"{record['rows']} rows, not {ROWS_LEAST}")
    for name, ages in record["refresh"]["ages"].items():
        if name.endswith("pricesAgeMs") and ages["p99"] > AGE_MS:
            wrong.append(f"{name}: 99 of 100 within {ages['p99']} ms, not {AGE_MS}")
    for venue, used in record["budget_peak_pct"].items():
        if used > 60:
            wrong.append(f"{venue}: {used} % of a budget, not 60")
    for name in ("20 rows", "304"):
        paced = [it for it in record["rounds"] if it["question"] == name and it["kind"] == "paced"]
        most = [it for it in record["rounds"] if it["question"] == name and it["kind"] == "most"]
        if median([it["per_second"] for it in most]) < RATE:
            wrong.append(f"{name}: {median([it['per_second'] for it in most])} answers a second, not {RATE}")
        if median([it["per_second"] for it in paced]) < RATE * 0.98:
            wrong.append(f"{name}: paced at {RATE} a second it answers {median([it['per_second'] for it in paced])}")
        if median([it["ms"]["p99"] for it in paced]) > P99_MS:
            wrong.append(f"{name}: p99 {median([it['ms']['p99'] for it in paced])} ms at {RATE} a second, not {P99_MS}")
        if any(it["failed"] for it in paced + most):
            wrong.append(f"{name}: requests failed")
    return wrong


def page(record):
    """The record for a person."""
    host, state = record["machine"], record["refresh"]
    out = [
        "# The scanner at its size",
        "",
        f"{record['date']}, commit {record['commit']}; {host['cores']} cores of {host['cpu']}{' (virtual)' if host['virtual'] else ''}, "
        f"{host['memory_gib']} GiB, Linux {host['kernel']}, {host['h2load']}.",
        f"Command: `{record['command']}`. What is measured and how: the head of `tools/scan_load.py`. Times are of loopback.",
        "",
        *(["Every round was disturbed by other work on the machine: what follows is what it does beside that.", ""] if all(it["disturbed"] for it in record["rounds"]) else []),
        f"{record['rows']} rows of four venues with {COINS} coins each. Scanner: {state['scanner_core_pct']} % of a core while nobody asks, "
        f"{record['memory_mib']['scanner']['VmHWM']} MiB at its peak; box: {state['box_core_pct']} %, {record['memory_mib']['box']['VmHWM']} MiB. "
        f"Rows were there {record['rows_after_s']} s after it listened; after {record['sums_known']['after_s']} s the seven days of {record['sums_known']['rows']} were known.",
        "",
        "| age, ms | p50 | p99 | max |",
        "|---|---|---|---|",
    ]
    out += [f"| {name} | {a['p50']:.0f} | {a['p99']:.0f} | {a['max']:.0f} |" for name, a in state["ages"].items()]
    a = state["row_price_age_ms"]
    out += [f"| prices, row by row | {a['p50']:.0f} | {a['p99']:.0f} | {a['max']:.0f} |", ""]
    out += ["| question | round | asked | answers/s | p50 ms | p99 ms | p99.9 ms | max ms | statuses | scanner's core | others |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for it in record["rounds"]:
        ms, mark = it["ms"], " disturbed" if it["disturbed"] else ""
        out.append(
            f"| {it['question']} | {it['round']} | {it['kind']} | {it['per_second']} | {ms['p50']} | {ms['p99']} | {ms['p999']} | {ms['max']} | "
            f"{', '.join(f'{status}: {n}' for status, n in sorted(it['statuses'].items()))} | {it['scanner_core_pct']} % | {it['others_pct']} %{mark} |"
        )
    used = ", ".join(f"{venue} {pct} %" for venue, pct in record["budget_peak_pct"].items())
    verdict = "; ".join(record["missed"]) or "none"
    out += ["", f"Fullest public budget, as the box counted it: {used}. Aims missed: {verdict}.", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/contango", help="default: %(default)s")
    parser.add_argument("--out", default="perf/record", help="a folder named by date and machine is made there (default: %(default)s)")
    parser.add_argument("--commit", help="what the program was built from (default: the commit that is checked out)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args()
    if not shutil.which("h2load"):
        raise Failed("there is no h2load; `apt-get install nghttp2-client` brings it")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("this needs two cores: one for the scanner alone")
    api, rest = {cores[0]}, set(cores[1:])
    os.sched_setaffinity(0, rest)
    with tempfile.TemporaryDirectory() as folder:
        with Scanner(options.program, Path(folder) / "box", box=("--coins", str(COINS), "--for", "1h")) as scanner:
            pinned(scanner.process.pid, api)
            give_way(scanner.box.process.pid)
            begun = time.monotonic()
            wait(lambda: len(scanner.rows()) >= ROWS_LEAST, 120, f"{ROWS_LEAST} rows", pause=0.1)
            rows_after = round(time.monotonic() - begun, 1)
            host = machine()
            commit = options.commit or subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
            date, hour = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H%M").split()
            record = {
                "date": date,
                "commit": commit,
                "command": " ".join(["python3", *sys.argv]),
                "machine": host,
                "coins": COINS,
                "rows": len(scanner.rows()),
                "rows_after_s": rows_after,
                "refresh": refresh(scanner, 60),
                "rounds": rounds(scanner, options.rounds, rest, Path(folder)),
                # The past comes one perp at a time, within a part of each budget: Binance's takes a quarter of an hour.
                "sums_known": {"rows": sum(row["cumRate7d"] is not None for row in scanner.rows()), "after_s": round(time.monotonic() - begun)},
                "memory_mib": {"scanner": memory_mib(scanner.process.pid), "box": memory_mib(scanner.box.process.pid)},
                "budget_peak_pct": budgets(scanner),
            }
    record["missed"] = judged(record)
    name = re.sub(r"[^a-z0-9]+", "-", f"{host['cpu']} {host['cores']}".lower()).strip("-")
    place = Path(options.out) / f"{date}-{name}"
    place.mkdir(parents=True, exist_ok=True)
    # Each run stays beside the others of its day.
    (place / f"scan-{hour}.json").write_text(json.dumps(record, indent=1) + "\n")
    (place / f"scan-{hour}.md").write_text(page(record))
    print(page(record))
    return 1 if record["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(2)
