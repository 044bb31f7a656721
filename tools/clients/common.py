"""What the checks with public clients share: their arguments, a count of what was looked at, and a scanner over a box.

Never: knows what is checked.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import Box, Failed  # noqa: E402

ROWS = "/v1/arbitrage/spot-perp"


class Checks:
    """Counts what was looked at, and keeps what was not as it should be."""

    def __init__(self):
        self.done, self.wrong = 0, []

    def true(self, what, fact, seen=""):
        self.done += 1
        if not fact:
            self.wrong.append(f"{what}: does not hold; {seen}")

    def same(self, what, got, wanted):
        self.true(what, got == wanted, f"{got!r}, not {wanted!r}")


def fetch(url, token=None, whole=False):
    """The JSON of an answer, whatever its status; `whole`: the status before it."""
    ask = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(ask, timeout=20) as answer:
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        status, body = refused.code, json.load(refused)
    return (status, body) if whole else body


class Scanner:
    """`contango scan --listen` over a box of four venues; both end with the block."""

    def __init__(self, program, folder, box=(), scan=(), token=None):
        self.token = token
        self.box = Box(program, folder, "--venue", "all", "--ticks-per-s", "5", *box)
        command = [program, "scan", "--listen", "127.0.0.1:0", "--json", "--ca", self.box.ready["ca"], *scan]
        for venue, at in self.box.ready["venues"].items():
            command += [f"--endpoint={venue}.{name}={at[name]}" for name in ("spot_rest", "usdm_rest", "rest") if name in at]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.url = json.loads(self.process.stdout.readline())["listen"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.box.stop()

    def rows(self, query=""):
        return fetch(self.url + ROWS + query, self.token)["data"]

    def history(self, exchange, symbol):
        return fetch(f"{self.url}/v1/funding-history?exchange={exchange}&symbol={symbol}", self.token)["data"]

    def until(self, seconds, what, seen):
        """What `seen` returns once that is true."""
        end = time.monotonic() + seconds
        while not (value := seen()):
            if time.monotonic() > end:
                raise Failed(f"not within {seconds} s: {what}")
            time.sleep(0.2)
        return value

    def fault(self, venue, **order):
        """Told to the box of one venue."""
        self.box.address = (self.box.ready["venues"][venue].get("control") or self.box.ready["control"]).removeprefix("http://")
        self.box.fault(**order)


def ready(scanner):
    """Waits for the seven days of every row: the past of a perp is read after its prices."""
    scanner.until(
        90, "all rows know their seven days", lambda: len(rows := scanner.rows()) >= 48 and all(row["cumRate7d"] is not None for row in rows)
    )


def run(doc, folder, parts):
    """A check as a command: `parts` are called with the checks, the program and the folder, each told apart."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/contango", help="default: %(default)s")
    parser.add_argument("--out", default=folder, help="folder, made anew (default: %(default)s)")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    check = Checks()
    try:
        parts(check, options.program, Path(options.out))
    except (Failed, OSError) as error:
        print(f"could not run to the end: {error}", file=sys.stderr)
        return 2
    finally:
        for line in check.wrong:
            print(line)
    print(f"{check.done} checks, {len(check.wrong)} wrong")
    return 1 if check.wrong else 0
