#!/usr/bin/env python3
"""A burst of quotes: from the last of 10,000 in 10 ms, which crosses, until both orders are back at the server.

Rounds and stamps are those of perf/wire.py; a trial is a burst. Its quotes are made and sealed beforehand and written 20
at a time, on both markets alike, every 20 µs; how long a burst really took is told. Two engines and a floor take turns:

    last    only the very last quote crosses. Measured from just before the write that it ends to the read that brings
            the end of each order. An order that came before that is `early`: it acted on something else.
    back    every 50th write crosses and comes back, and so does the last: at no moment is the one readable without the
            other, so nothing may be acted on. Orders that come within 20 ms of its end, or before, are counted.
    floor-warm
            wire.py's, with bursts as `last` has them: it opens what it reads, compares a byte of the newest quote, and
            sends what lies sealed. How late it is tells how much of the engine's lateness is the host's and TLS'.

The kernel tells how long a participant's hot thread was ready to run and something else had its core. Bursts in which it
was kept waiting so are counted, and told apart beside all of them; none is left out of the aims.

    perf/burst.py            # 20 rounds: 240 bursts of each kind
    perf/burst.py --quick    # 2 rounds, no record

Exit code: 0 the aims are met; 1 one is missed, named; 2 could not run.
"""

import json
import sys
from pathlib import Path

import wire

QUOTES, LASTS_US = 10_000, 10_000
LAST, BACK = "last", "back"
# From the last byte to leg 1, over all bursts.
P99_AIM_NS = 100_000


def bursts(program):
    """One engine a kind, and the floor."""
    command = wire.engine_command(program)
    shape = {"quotes": QUOTES, "us": LASTS_US}
    engines = [{"name": name, "cores": "0,1", "command": command, "burst": {**shape, "back": name == BACK}} for name in (LAST, BACK)]
    floor = next(it for it in wire.participants(program) if it["name"] == wire.FLOOR)
    return [*engines, {**floor, "burst": {**shape, "back": False}}]


def measured(lines):
    """The bursts that count."""
    return [it for it in map(json.loads, lines) if "order" not in it and not it["warm_up"]]


def counted(rows):
    """Of each kind: bursts, orders read before the end, orders read after it, and how long a burst took."""
    told = {}
    for name in (LAST, BACK, wire.FLOOR):
        own = [it for it in rows if it["name"] == name]
        took = sorted(it["lasted_us"] for it in own)
        told[name] = {
            "bursts": len(own),
            "early": sum(it["early"] for it in own),
            "orders": sum(it[leg] is not None for it in own for leg in ("spot_ns", "perp_ns")),
            "lasted_us": {"p50": wire.quantile(took, 0.5), "most": took[-1]},
        }
    return told


def on_its_core(rows):
    """Of both in which the last quote crosses: the bursts in which the hot thread was never kept waiting, and the others."""
    told = {}
    for name in (LAST, wire.FLOOR):
        own = [it for it in rows if it["name"] == name]
        kept = [wire.legs_of(it) for it in own if not it["kept_waiting_ns"]]
        waits = sorted(it["kept_waiting_ns"] for it in own if it["kept_waiting_ns"])
        row = {"bursts": len(kept), "kept_waiting": len(waits), "longest_ns": waits[-1] if waits else 0}
        for at, leg in enumerate(wire.LEGS):
            every = sorted(legs[at] for legs in kept)
            row[leg] = {label: wire.quantile(every, part) for label, part in wire.QUANTILES.items()} if every else None
        told[name] = row
    return told


def over_floor(told):
    """How many times as long as the floor's the engine's quantiles are."""
    quotient = lambda label, leg: round(told[LAST][leg][label]["ns"] / told[wire.FLOOR][leg][label]["ns"], 2)  # noqa: E731: used at once
    return {label: {leg: quotient(label, leg) for leg in wire.LEGS} for label in wire.QUANTILES}


def judged(told, counts):
    """What is not as it should be."""
    leg, missed = told[LAST]["leg1"], []
    if leg["p99"]["ns"] > P99_AIM_NS:
        missed.append(f"leg 1 after a burst, p99: {wire.us(leg['p99']['ns'])} µs, at most {wire.us(P99_AIM_NS)} wanted")
    if counts[LAST]["early"]:
        missed.append(f"{counts[LAST]['early']} orders came before the quote that crosses")
    if wrong := counts[BACK]["early"] + counts[BACK]["orders"]:
        missed.append(f"{wrong} orders were sent on quotes that a later one had taken back")
    return missed


def page(record):
    out = [
        *wire.head(record, "A burst of quotes", "burst"),
        "| 10,000 quotes, the last crosses | missing | p50 µs | p90 | p99 | p99.9 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in (LAST, wire.FLOOR):
        for leg in wire.LEGS:
            it = record["participants"][name][leg]
            cells = " | ".join(f"{wire.us(it[label]['ns'])} ({wire.us(it[label]['interval'][0])}–{wire.us(it[label]['interval'][1])})" for label in wire.QUANTILES)
            out.append(f"| {'engine' if name == LAST else name}, leg {leg[-1]} | {it['missing']} | {cells} |")
    shares = (f"p50 {record['over_floor']['p50'][leg]:.2f}, p99 {record['over_floor']['p99'][leg]:.2f} ({leg})" for leg in wire.LEGS)
    own = record["in_process_ns"][LAST]
    inside = f"In the process, from the read that brought the last quote to the first order's `send`: p50 {wire.us(own['p50'])} µs, p90 {wire.us(own['p90'])}, p99 {wire.us(own['p99'])}."
    out += ["", f"Engine ÷ floor: {'; '.join(shares)}. {inside}", "", "p99.9 of fewer than 1,000 bursts is the slowest one.", "", "| | bursts | orders before its end | after it | a burst took, p50 and most |", "|---|---:|---:|---:|---:|"]
    for name, it in record["counts"].items():
        out.append(f"| {name} | {it['bursts']} | {it['early']} | {it['orders']} | {it['lasted_us']['p50'] / 1000:.1f} and {it['lasted_us']['most'] / 1000:.1f} ms |")
    out += ["", "Of them, those in which the hot thread was never kept off its core:", "", "| | bursts | others, longest wait | leg 1 p50 µs | p90 | p99 | p99.9 |", "|---|---:|---:|---:|---:|---:|---:|"]
    for name, it in record["on_its_core"].items():
        quantiles = " | ".join(wire.us(it["leg1"][label]) if it["leg1"] else "–" for label in wire.QUANTILES)
        out.append(f"| {'engine' if name == LAST else name} | {it['bursts']} | {it['kept_waiting']}, {wire.us(it['longest_ns'])} µs | {quantiles} |")
    out += ["", wire.others(record), "", f"Aims missed: {'; '.join(record['missed']) or 'none'}.", ""]
    return "\n".join(out)


def main():
    parser = wire.arguments(__doc__)
    parser.set_defaults(rounds=20)
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    program = options.program and str(Path(options.program).resolve())
    wire.build(program, set())
    record, place, stem = wire.begun(options, "burst")
    samples, told_rounds = wire.lived_through(bursts(program or str(wire.TOP / "target/release/contango")), rounds, options.seed)
    told = wire.summary(samples, rounds, options.seed)
    rows = measured((wire.RUN / "samples.jsonl").read_text().splitlines())
    counts = counted(rows)
    record |= {"rounds": told_rounds, "participants": told, "counts": counts, "on_its_core": on_its_core(rows), "over_floor": over_floor(told), "in_process_ns": wire.in_process(wire.RUN, [LAST], LAST), "missed": judged(told, counts)}
    wire.keep(record, place, stem, page(record), wire.plot(record, {wire.ENGINE: samples[LAST], wire.FLOOR: samples[wire.FLOOR]}))
    return 1 if record["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except wire.Failed as error:
        print(f"burst: {error}", file=sys.stderr)
        sys.exit(2)
