#!/usr/bin/env python3
"""Recompute every funding window the engine wrote (tests/funding.rs), exactly, and compare to the digit.

Usage: check_funding.py WINDOWS [SERIES]
  WINDOWS  folder with NAME.windows.csv, NAME.changed.csv and NAME.changed.windows.csv (target/tmp/funding)
  SERIES   folder with the recorded series NAME.csv (default ../shared/data/funding)

Of each window: the sum of what was settled in (t - 168 h, t], the mean per hour and its APR, and the APR of the
coming settlement's rate over its interval. This program knows the whole schedule, the engine only the rows it was
given; where one that was due in a window was not given, the engine must know no sum. Exit 0 only if all are equal.
"""
import csv
import sys
from bisect import bisect_right
from decimal import Decimal, getcontext
from pathlib import Path

HOUR_MS = 3_600_000
WEEK_MS = 168 * HOUR_MS
getcontext().prec = 100


def floor_bits(value: Decimal) -> int:
    """The largest whole count of 2^-64 that is not above the value."""
    scaled = value * (1 << 64)
    whole = int(scaled)
    return whole - 1 if scaled < whole else whole


def minute(stamp_ms: int) -> int:
    return (stamp_ms + 30_000) // 60_000 * 60_000


def read_schedule(path: Path) -> list[tuple[int, Decimal, bool, int]]:
    """Each settlement's minute, its rate, whether the engine was given it, the hours stated before it."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if rows[0][-1] == "interval_hours":
        return [(minute(int(r[0])), Decimal(r[1]), r[2] == "1", int(r[3])) for r in rows[1:]]
    return [(minute(int(r[0])), Decimal(r[-1]), True, 8) for r in rows[1:]]


def expected(schedule, times, prefix, holes, at_ms):
    """sum, mean bits, APR bits, interval, APR bits of the coming settlement; a text as the engine writes it."""
    last = bisect_right(times, at_ms)
    first = bisect_right(times, at_ms - WEEK_MS)
    # A week is known when each of its settlements is there, and the one that opens it.
    opener = first - 1
    known = opener >= 0 and holes[last] == holes[opener]
    opened = opener >= 0 and schedule[opener][2]
    total = prefix[last] - prefix[first]
    week = ["", "", ""]
    if known and opened:
        week = [str(int(total.scaleb(18))), str(floor_bits(total / 168)), str(floor_bits(total * 8760 / 168))]
    # The interval is what lies between the newest row and the coming settlement; a rest of one is none.
    coming, estimate, _, stated = schedule[last]
    newest = next(s[0] for s in reversed(schedule[:last]) if s[2])
    hours = Decimal(coming - newest) / HOUR_MS
    if hours not in (1, 2, 4, 8):
        hours = Decimal(stated)
    return week + [str(hours), str(floor_bits(estimate * 8760 / hours))]


def check(schedule, windows: Path) -> tuple[int, int, int]:
    """Windows compared, windows with a sum, and wrong ones."""
    times = [s[0] for s in schedule]
    prefix, holes = [Decimal(0)], [0]
    for _, rate, there, _ in schedule:
        prefix.append(prefix[-1] + rate)
        holes.append(holes[-1] + (not there))
    compared = known = wrong = 0
    with windows.open(newline="") as file:
        for row in csv.DictReader(file):
            said = list(row.values())
            want = expected(schedule, times, prefix, holes, int(said[0]))
            compared += 1
            known += want[0] != ""
            if said[1:] != want:
                wrong += 1
                if wrong <= 5:
                    print(f"{windows.name} at {said[0]}: engine {said[1:]}, recomputed {want}")
    # Every settlement ends a window, but the last one: nothing is announced after it.
    if compared != 3 * (len(schedule) - 1):
        print(f"{windows.name}: {compared} windows, {3 * (len(schedule) - 1)} expected")
        wrong += 1
    return compared, known, wrong


def main() -> int:
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    series = Path(sys.argv[2] if len(sys.argv) == 3 else "../shared/data/funding")
    files = sorted(series.glob("*.csv"))
    if not files:
        print(f"no series in {series}")
        return 1
    sums = [0, 0, 0]
    for file in files:
        for source, name in [(file, file.stem), (folder / f"{file.stem}.changed.csv", f"{file.stem}.changed")]:
            windows = folder / f"{name}.windows.csv"
            if not (source.exists() and windows.exists()):
                print(f"{windows} is missing; run: cargo test --test funding")
                return 1
            counts = check(read_schedule(source), windows)
            sums = [a + b for a, b in zip(sums, counts)]
            print(f"{name}: {counts[0]} windows, {counts[1]} with a sum, {counts[2]} wrong")
    print(f"{sums[0]} windows compared, {sums[1]} with a sum, {sums[0] - sums[1]} without, {sums[2]} wrong")
    return 1 if sums[2] else 0


if __name__ == "__main__":
    sys.exit(main())
