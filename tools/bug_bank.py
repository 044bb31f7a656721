#!/usr/bin/env python3
"""The bug bank: every mistake planted in the engine must be caught by the invariant that is there for it.

One build (--features bugbank) has all of them; `rehearse --bug N` switches one on. Sessions of drawn faults are lived
through until an invariant breaks, at most --sessions of them. Fails when a bug survives, when something else than the
invariants of its row caught it, or when the same seeds break anything without a bug.

Usage: bug_bank.py [--contango FILE] [--sessions N] [--seed S] [--rotate K] [--bugs N,N] [--plain N] [--out FILE]
                   [--page FILE]

--rotate K takes K of them, others for each number of --draw. --page writes the table as Markdown.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

# Sessions without a bug that must break nothing: so many at least, and as many as the slowest bug needed.
PLAIN_MAX = 400


def caught_by(why):
    """The invariant a text of a broken one begins with."""
    found = re.match(r"I(\d+): ", why)
    return f"I{found[1]}" if found else "?"


def judge(row, expected):
    """What is wrong with how a bug was caught; None: nothing."""
    if row["caught_by"] is None:
        return "survived"
    if row["caught_by"] not in expected:
        return f"caught by {row['caught_by']}, and not by {' or '.join(expected)}"
    return None


def rotated(bugs, count, draw):
    """So many of them, others for the next draw: all have their turn before one comes again."""
    order = sorted(bugs, key=lambda bug: random.Random(bug["bug"]).random())
    first = draw * count % len(order)
    return sorted((order + order)[first:first + min(count, len(order))], key=lambda bug: bug["bug"])


def rehearse(options, *arguments):
    command = [options.contango, "rehearse", "--json", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done


def try_bug(options, bug):
    """Lives through sessions with a bug until one breaks."""
    begun = time.monotonic()
    done = rehearse(options, "--bug", str(bug["bug"]), "--sessions", str(options.sessions), "--seed", str(options.seed),
                    "--until-broken")
    row = bug | {"caught_by": None, "sessions": options.sessions, "seed": None, "why": ""}
    if done.returncode in (0, 1) and done.stdout.startswith("{"):
        answer = json.loads(done.stdout)
        row["sessions"] = answer["sessions"]
        if answer["broken"]:
            broken = answer["broken"][0]
            row |= {"caught_by": caught_by(broken["why"]), "seed": broken["seed"], "why": broken["why"]}
    else:
        # A rehearsed room that panics ends the program: how many sessions that took is not told.
        said = [line for line in done.stderr.splitlines() if line.strip()]
        row |= {"caught_by": "panic", "sessions": None, "why": " ".join(said[-3:]) or f"exit code {done.returncode}"}
    row["seconds"] = round(time.monotonic() - begun, 1)
    row["wrong"] = judge(row, bug["keeps"].split())
    return row


def without_bug(options, rows):
    """The same seeds, engine as it is: nothing may break."""
    needed = max((row["sessions"] or 0 for row in rows if row["caught_by"]), default=0)
    count = options.plain if options.plain is not None else min(max(needed, 20), PLAIN_MAX)
    if count == 0:
        return {"sessions": 0, "broken": []}
    done = rehearse(options, "--sessions", str(count), "--seed", str(options.seed), "--until-broken")
    if not done.stdout.startswith("{"):
        sys.exit(f"rehearse without a bug: exit code {done.returncode}\n{done.stderr[-4000:]}")
    answer = json.loads(done.stdout)
    return {"sessions": answer["sessions"], "broken": answer["broken"]}


def page(rows, plain, seed):
    """The table as Markdown."""
    caught = sum(1 for row in rows if not row["wrong"])
    lines = [
        "# The bug bank",
        "",
        "Made by `tools/bug_bank.py --page FILE`; every number is of that run.",
        "",
        f"Each row is a mistake planted in the engine (`src/metal/bugs.rs` lists them; `rehearse --bug N` of a build with "
        f"`--features bugbank` switches one on), and what caught it in sessions of drawn faults from seed {seed} on. "
        "What must catch it are invariants of the fault catalogue, one of which is enough.",
        "",
        f"{len(rows)} planted, {caught} caught by what is there for them. Without a bug {len(plain['broken'])} of "
        f"{plain['sessions']} of the same sessions broke an invariant.",
        "",
        "| bug | what is wrong | planted in `src/` | must be caught by | caught by | sessions | seed |",
        "|---:|---|---|---|---|---:|---:|",
    ]
    for row in rows:
        lines.append(f"| {row['bug']} | {row['what']} | `{row['place']}` | {row['keeps']} | {row['caught_by'] or 'nothing'} "
                     f"| {row['sessions'] if row['sessions'] is not None else '–'} | {row['seed'] if row['seed'] is not None else '–'} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contango", default="target/bank/quick/contango")
    parser.add_argument("--sessions", type=int, default=2000, help="at most, for one bug")
    parser.add_argument("--seed", type=int, default=1, help="of the first session")
    parser.add_argument("--rotate", type=int, metavar="K", help="only so many of them")
    parser.add_argument("--draw", type=int, default=0, help="for --rotate: which of them (default: %(default)s)")
    parser.add_argument("--bugs", help="only these, by number")
    parser.add_argument("--plain", type=int, help="sessions without a bug; as many as a bug needed unless told")
    parser.add_argument("--out", type=Path, help="write all of it as JSON")
    parser.add_argument("--page", type=Path, help="write the table as Markdown")
    options = parser.parse_args()
    listed = rehearse(options, "--bug", "list")
    if listed.returncode != 0:
        sys.exit(f"{options.contango} has no bugs; build it with --features bugbank\n{listed.stderr}")
    bugs = json.loads(listed.stdout)
    if options.bugs:
        wanted = {int(number) for number in options.bugs.split(",")}
        bugs = [bug for bug in bugs if bug["bug"] in wanted]
    if options.rotate:
        bugs = rotated(bugs, options.rotate, options.draw)
    rows = []
    for bug in bugs:
        row = try_bug(options, bug)
        rows.append(row)
        verdict = row["wrong"] or f"caught by {row['caught_by']}"
        print(f"{row['bug']:3} {row['name']:<22} {verdict}: {row['sessions']} sessions, {row['seconds']} s  {row['why'][:110]}",
              flush=True)
    plain = without_bug(options, rows)
    print(f"without a bug: {len(plain['broken'])} broken in {plain['sessions']} sessions")
    for broken in plain["broken"]:
        print(f"WRONG: without a bug seed {broken['seed']}: {broken['why']}")
    failed = [row for row in rows if row["wrong"]]
    for row in failed:
        print(f"WRONG: bug {row['bug']} ({row['what']}): {row['wrong']}")
    print(f"{len(rows)} planted, {len(rows) - len(failed)} caught by what is there for them")
    if options.out:
        told = {"seed": options.seed, "planted": len(rows), "caught": len(rows) - len(failed), "plain": plain, "bugs": rows}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if options.page:
        options.page.write_text(page(rows, plain, options.seed), encoding="utf-8")
    sys.exit(1 if failed or plain["broken"] or not rows else 0)


if __name__ == "__main__":
    main()
