#!/usr/bin/env python3
"""Cost against load: from a quote that crosses until both orders are back at the server, as pairs and quotes grow.

The trial and the rounds are those of perf/wire.py; each participant is the engine at a market of so many pairs, which is
sent so many quotes a second between trials, of all pairs alike. A trial crosses the perp of a pair that is drawn. What
was really sent is told: one core makes quotes, seals and sends them, and from some rate on it can't. The statistic is
the median over rounds of the ratio to the smallest load in the same round, with a bootstrap interval of 95 %.

    perf/load.py             # 20 rounds
    perf/load.py --quick     # 2 rounds, no record

Exit code: 0 measured; 2 could not run.
"""

import math
import sys
from pathlib import Path

import wire

PAIRS = (1, 15, 200)
RATES = (1_000, 10_000, 50_000, 200_000)
COLOURS = {1: "#2f80ed", 15: "#d64545", 200: "#27ae60"}


def name_of(pairs, rate):
    return f"{pairs}p-{rate}q"


def loads(program):
    """One engine a load, smallest first."""
    command = wire.engine_command(program)
    return [
        {"name": name_of(pairs, rate), "cores": "0,1", "command": command, "pairs": pairs, "rate": rate}
        for pairs in PAIRS
        for rate in RATES
    ]


def table(told, rounds, ours, count, seed):
    """Rows of both legs: what was sent, quantiles, the ratio to the smallest load."""
    least = told[name_of(PAIRS[0], RATES[0])]
    rows = []
    for pairs in PAIRS:
        for rate in RATES:
            name = name_of(pairs, rate)
            row = {"pairs": pairs, "rate": rate, "sent_per_s": wire.middle([it["fed_per_s"][name] for it in rounds]), "in_process": ours[name]}
            for leg in wire.LEGS:
                each = [a / b for a, b in zip(told[name][leg]["rounds_p50_ns"], least[leg]["rounds_p50_ns"])]
                ratio = {"ratio": wire.middle(each), "interval": wire.interval(lambda drawn: wire.middle([each[at] for at in drawn]), count, seed)}  # noqa: B023: used at once
                row[leg] = {key: told[name][leg][key] for key in ("trials", "missing", *wire.QUANTILES)} | ratio
            rows.append(row)
    return rows


def page(record):
    out = [
        *wire.head(record, "Cost against load", "load"),
        "| pairs | quotes/s wanted | sent | leg | missing | p50 µs | p90 | p99 | ÷ smallest load (95 %) | in the process, p50 ns |",
        "|---:|---:|---:|---|---:|---:|---:|---:|---|---:|",
    ]
    for row in record["loads"]:
        for leg in wire.LEGS:
            it = row[leg]
            cells = " | ".join(wire.us(it[label]["ns"]) for label in ("p50", "p90", "p99"))
            own = row["in_process"]["p50" if leg == "leg1" else "leg 2 more, p50"]
            out.append(
                f"| {row['pairs']} | {row['rate']:,} | {row['sent_per_s']:,.0f} | {leg[-1]} | {it['missing']} | {cells} | "
                f"{it['ratio']:.2f} ({it['interval'][0]:.2f}–{it['interval'][1]:.2f}) | {own:,} |"
            )
    out += ["", wire.others(record), ""]
    return "\n".join(out)


def plot(record):
    """Leg 1 over what was sent, both as powers of ten: p50 drawn through, p99 dashed."""
    wide, high, left, top = 480, 300, 60, 40
    low, most = 1e4, 1e7

    def x(rate):
        return left + wide * (math.log10(max(rate, 500)) - math.log10(500)) / (math.log10(300_000) - math.log10(500))

    def y(ns):
        return top + high * (1 - math.log10(min(max(ns, low), most) / low) / math.log10(most / low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide + left + 140} {high + top + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="24" font-weight="bold">leg 1, µs: p50, and p99 dashed, over quotes sent each second</text>',
    ]
    for power in range(4, 8):
        parts.append(f'<path d="M{left} {y(10**power):.1f}h{wide}" stroke="#ddd"/><text x="{left - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10 ** (power - 3):,}</text>')
    for rate in (1_000, 10_000, 100_000):
        parts.append(f'<path d="M{x(rate):.1f} {top}v{high}" stroke="#ddd"/><text x="{x(rate):.1f}" y="{top + high + 18}" text-anchor="middle">{rate:,}</text>')
    for at, pairs in enumerate(PAIRS):
        for label, dash in (("p50", ""), ("p99", ' stroke-dasharray="5 4"')):
            points = " ".join(f"{x(row['sent_per_s']):.1f},{y(row['leg1'][label]['ns']):.1f}" for row in record["loads"] if row["pairs"] == pairs)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[pairs]}" stroke-width="1.8"{dash}/>')
        place = wide + left + 20
        parts.append(f'<path d="M{place} {top + 20 * at}h18" stroke="{COLOURS[pairs]}" stroke-width="3"/><text x="{place + 24}" y="{top + 4 + 20 * at}">{pairs} pairs</text>')
    parts.append(f'<text x="{left}" y="{high + top + 42}" fill="#555">{record["date"]}, {len(record["rounds"])} rounds, loopback</text></svg>\n')
    return "\n".join(parts)


def main():
    parser = wire.arguments(__doc__)
    parser.set_defaults(rounds=20)
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    program = options.program and str(Path(options.program).resolve())
    wire.build(program, set())
    record, place, stem = wire.begun(options, "load")
    samples, told_rounds = wire.lived_through(loads(program or str(wire.TOP / "target/release/contango")), rounds, options.seed)
    told = wire.summary(samples, rounds, options.seed)
    ours = wire.in_process(wire.RUN, told, prefix="")
    record |= {"rounds": told_rounds, "participants": told, "loads": table(told, told_rounds, ours, rounds, options.seed)}
    wire.keep(record, place, stem, page(record), plot(record))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except wire.Failed as error:
        print(f"load: {error}", file=sys.stderr)
        sys.exit(2)
