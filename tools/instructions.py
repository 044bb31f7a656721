"""How many instructions the hot rooms need, counted over one fixed session and held against a committed budget.

    python3 tools/instructions.py [--engine target/release/contango] [--renew]

Counts do not depend on what else a machine does, so they can gate where times can't. The session is
`perf/quiet.jsonl` in virtual time: the production rooms and codecs on links in memory, so neither the kernel nor TLS
is in these figures. Means per call, everything below it included. `--renew` writes the budget anew: do it in the commit
that means to change it, with the reason. Needs valgrind. Exit code 0: nothing is above its budget.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGET = ROOT / "perf" / "instructions.json"
SESSION = ROOT / "perf" / "quiet.jsonl"
# Counting starts and ends with each turn of a hot room.
ROOMS = {
    "a reader's turn": "<contango::agents::reader::Reader as contango::metal::runner::Agent>::do_work",
    "a trader's turn": "<contango::agents::trader::Trader as contango::metal::runner::Agent>::do_work",
}
INSIDE = {
    "a feed message decoded": "contango::venue::binance::feed::decode",
    "a quote into the books": "contango::desk::book::Books::on",
    "a threshold compared": "contango::agents::trader::quotes::<impl contango::agents::trader::Trader>::weigh",
    "the gate looked at": "contango::desk::gate::GateLimits::check",
    "an intent written down": "contango::agents::trader::fire::<impl contango::agents::trader::Trader>::commit",
    "orders handed to their links": "contango::agents::trader::fire::<impl contango::agents::trader::Trader>::send_legs",
    "an order written and signed": "contango::agents::trader::pen::Prepared::write",
    "an order sealed": "contango::metal::link::Link::seal_ahead",
    "an execution report decoded": "contango::venue::binance::user::decode",
}
# Another build of the same source may differ by so much; a stage that grew is further off.
ALLOWED = 0.03
# A stage that is called less often was not measured, whatever its mean says.
CALLS_MIN = 40


def counted(engine):
    """Calls and instructions by function, over the session."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "counts"
        toggles = [f"--toggle-collect={room.replace('<', '*').replace('>', '*')}" for room in ROOMS.values()]
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *toggles, str(engine)]
        command += ["rehearse", "--kept", str(SESSION), "--jobs", "1", "--json", "--out", folder]
        run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if run.returncode != 0:
            sys.exit(f"instructions: the session failed ({run.returncode}):\n{run.stderr[-2000:]}")
        return parsed(out.read_text().splitlines())


def parsed(lines):
    """`{function: [calls, instructions]}` of a callgrind file: the sum over all who call it."""
    names, sums = {}, collections.defaultdict(lambda: [0, 0])
    callee, calls = None, None
    for line in lines:
        if line.startswith(("fn=", "cfn=")):
            number, name = re.fullmatch(r"c?fn=\((\d+)\)(?: (.*))?", line).groups()
            names.setdefault(number, name)
            if line.startswith("cfn="):
                callee = names[number]
        elif line.startswith("calls="):
            calls = int(line[6:].split()[0])
        elif calls is not None:
            sums[callee][0] += calls
            sums[callee][1] += int(line.split()[1])
            calls = None
    return sums


def means(sums):
    """Mean instructions per call of each stage, and what could not be measured."""
    seen, bad = {}, []
    for stage, function in (ROOMS | INSIDE).items():
        calls, instructions = sums.get(function, [0, 0])
        if calls < CALLS_MIN:
            bad.append(f"{stage}: only {calls} calls of {function} were seen; name the function that does it now")
        else:
            seen[stage] = round(instructions / calls)
    return seen, bad


def over(seen, budget):
    """What is above its budget."""
    again = "make it lean again, or `--renew` and say why"
    return [
        f"{stage}: {mean} instructions, the budget is {budget.get(stage)}; {again}"
        for stage, mean in seen.items()
        if mean > budget.get(stage, 0) * (1 + ALLOWED)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=ROOT / "target" / "release" / "contango", type=pathlib.Path)
    parser.add_argument("--renew", action="store_true")
    args = parser.parse_args()
    seen, bad = means(counted(args.engine))
    if args.renew and not bad:
        BUDGET.write_text(json.dumps(seen, indent=2) + "\n")
    budget = json.loads(BUDGET.read_text())
    for stage, mean in seen.items():
        print(f"{stage:<28} {mean:>6} instructions, budget {budget.get(stage)}")
    bad += over(seen, budget)
    for why in bad:
        print(f"instructions: {why}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
