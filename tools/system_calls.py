"""What the hot thread asks of the kernel while it trades, counted from a traced demo.

    python3 tools/system_calls.py [--engine target/release/contango] [--round-trips 30]

A decision may cost one `recv` (the quote's) and one `send` an order, and nothing between them: no lock that waits, no
memory mapped, no clock asked. Between the first order and the last, the hot thread may otherwise only look who has
bytes and yield. The cold thread accepts only where somebody knocks: the kernel makes and takes away a socket for each
try, and what it does for that keeps the hot thread off its core. Counts of a traced run: slow, and the same on a busy
machine. Needs strace. Exit code 0: all of it holds.
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
HOT, COLD = "hot", "cold"
ACCEPTS = {"accept", "accept4"}
RECV, SEND = "recvfrom", "sendto"
# `sched_yield` is `--idle yield`, which a machine of two cores needs under a tracer; spinning asks nothing.
ALLOWED = {RECV, SEND, "epoll_wait", "sched_yield"}
# Masks of pings come from a pool, which is filled now and then, never while an order is on its way.
SELDOM = {"getrandom": 2}
# An order's record; requests that keep a link warm and WebSocket frames are far shorter.
ORDER_BYTES = 400
# Orders without a quote of their own turn (a quote that waited, an exit by new terms) are the exception.
BY_QUOTE_MIN = 0.9
ORDERS_MIN = 40
LINE = re.compile(r"\d+<(?P<thread>[^>]*)>\s+(?P<resumed><\.\.\. )?(?P<call>\w+)(?P<rest>.*)")
RESULT = re.compile(r"= (-?\d+)")


def calls(lines, thread=HOT):
    """`(call, result)` of a thread, in the order in which they began."""
    seen = []
    for line in lines:
        found = LINE.match(line)
        if not found or found["thread"] != thread:
            continue
        results = RESULT.findall(found["rest"])
        result = int(results[-1]) if results else None
        if not found["resumed"]:
            seen.append([found["call"], result])
        elif seen and seen[-1][0] == found["call"]:
            seen[-1][1] = result
    return [(call, result) for call, result in seen]


def is_order(call):
    """Whether a call handed an order to the kernel."""
    return call[0] == SEND and (call[1] or 0) >= ORDER_BYTES


def judged(seen):
    """What was counted, and what is wrong."""
    at = [i for i, call in enumerate(seen) if is_order(call)]
    if len(at) < ORDERS_MIN:
        return {"orders": len(at)}, [f"{len(at)} orders are too few to prove anything; give more --round-trips"]
    busy = seen[at[0] : at[-1] + 1]
    counts = collections.Counter(call for call, _ in busy)
    bad = [
        f"the hot thread called {call} {count} times while it traded"
        for call, count in sorted(counts.items())
        if call not in ALLOWED and count > SELDOM.get(call, 0)
    ]
    rounds, by_quote = [], 0
    for i in at:
        if i > 0 and is_order(seen[i - 1]):
            rounds[-1] += 1
            continue
        rounds.append(1)
        by_quote += i > 0 and seen[i - 1][0] == RECV and (seen[i - 1][1] or 0) > 0
    # Two pairs may fire on what one recv brought; then four legs stand together.
    apart = sum(legs % 2 for legs in rounds)
    if apart:
        bad.append(f"{apart} of {len(rounds)} send rounds had something between their legs")
    if by_quote < BY_QUOTE_MIN * len(rounds):
        bad.append(f"only {by_quote} of {len(rounds)} send rounds came right after the recv that brought their quote")
    return {"orders": len(at), "rounds": len(rounds), "right_after_recv": by_quote, "calls": dict(counts)}, bad


def in_vain(seen):
    """What is wrong with how the cold thread accepts."""
    failed = sum(call in ACCEPTS and (result or 0) < 0 for call, result in seen)
    # One that let somebody in asks whether there is another.
    let_in = sum(call in ACCEPTS and (result or 0) >= 0 for call, result in seen)
    return [f"the cold thread accepted {failed} times when nobody knocked"] if failed > let_in else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", default=ROOT / "target" / "release" / "contango", type=pathlib.Path)
    parser.add_argument("--round-trips", type=int, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace"
        command = ["strace", "-f", "-Y", "-o", str(trace), str(args.engine), "demo"]
        command += ["--until", f"{args.round_trips}-round-trips", "--for", "120s", "--idle", "yield", "--seed", "3"]
        command += ["--json", "--out", folder]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if run.returncode != 0:
            sys.exit(f"system_calls: the traced demo failed ({run.returncode}):\n{run.stderr[-2000:]}")
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    told, bad = judged(calls(lines))
    bad += in_vain(calls(lines, COLD))
    sent = json.loads(run.stdout)["orders"]["sent"]
    if told["orders"] != sent:
        bad.append(f"{told['orders']} orders were seen on the wire, and {sent} are in the summary")
    print(json.dumps(told))
    for why in bad:
        print(f"system_calls: {why}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
