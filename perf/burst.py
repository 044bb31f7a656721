#!/usr/bin/env python3
"""A burst of quotes: from the last of 10,000 in 10 ms, which crosses, until both orders are back at the server.

Rounds and stamps are those of perf/wire.py; a trial is a burst. Its quotes are made and sealed beforehand and written 20
at a time, on both markets alike, every 20 µs; how long a burst really took is told. Two engines take turns:

    last    only the very last quote crosses. Measured from just before the write that it ends to the read that brings
            the end of each order. An order that came before that is `early`: it acted on something else.
    back    every 50th write crosses and comes back, and so does the last: at no moment is the one readable without the
            other, so nothing may be acted on. Orders that come within 20 ms of its end, or before, are counted.

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
    """One engine a kind."""
    command = wire.engine_command(program)
    shape = {"quotes": QUOTES, "us": LASTS_US}
    return [{"name": name, "cores": "0,1", "command": command, "burst": {**shape, "back": name == BACK}} for name in (LAST, BACK)]


def counted(lines):
    """Of each kind: bursts, orders read before the end, orders read after it, and how long a burst took."""
    rows = [it for it in map(json.loads, lines) if "order" not in it and not it["warm_up"]]
    told = {}
    for name in (LAST, BACK):
        own = [it for it in rows if it["name"] == name]
        took = sorted(it["lasted_us"] for it in own)
        told[name] = {
            "bursts": len(own),
            "early": sum(it["early"] for it in own),
            "orders": sum(it[leg] is not None for it in own for leg in ("spot_ns", "perp_ns")),
            "lasted_us": {"p50": wire.quantile(took, 0.5), "most": took[-1]},
        }
    return told


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
    for leg in wire.LEGS:
        it = record["participants"][LAST][leg]
        cells = " | ".join(f"{wire.us(it[label]['ns'])} ({wire.us(it[label]['interval'][0])}–{wire.us(it[label]['interval'][1])})" for label in wire.QUANTILES)
        out.append(f"| leg {leg[-1]} | {it['missing']} | {cells} |")
    out += ["", "p99.9 of fewer than 1,000 bursts is the slowest one.", "", "| | bursts | orders before its end | after it | a burst took, p50 and most |", "|---|---:|---:|---:|---:|"]
    for name, it in record["counts"].items():
        out.append(f"| {name} | {it['bursts']} | {it['early']} | {it['orders']} | {it['lasted_us']['p50'] / 1000:.1f} and {it['lasted_us']['most'] / 1000:.1f} ms |")
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
    counts = counted((wire.RUN / "samples.jsonl").read_text().splitlines())
    record |= {"rounds": told_rounds, "participants": told, "counts": counts, "missed": judged(told, counts)}
    wire.keep(record, place, stem, page(record), wire.plot(record, {LAST: samples[LAST]}))
    return 1 if record["missed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except wire.Failed as error:
        print(f"burst: {error}", file=sys.stderr)
        sys.exit(2)
