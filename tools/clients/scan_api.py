#!/usr/bin/env python3
"""Holds the scanner's API against its own OpenAPI document, by a JSON Schema validator, over box data of four venues.

Exit code: 0 the document is sound and every answer is as it says; 1 one is not, each named; 2 could not run.
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

from jsonschema import Draft202012Validator  # noqa: E402
from openapi_spec_validator import validate  # noqa: E402

ROWS = "/v1/arbitrage/spot-perp"
# What is asked, the schema of its answer, and the least rows it has.
ASKED = [
    (ROWS, "Rows", 48),
    (ROWS + "?notional=100&holdDays=7", "Rows", 48),
    (ROWS + "?exchange=OKX&direction=short", "Rows", 1),
    (ROWS + "?minNetApr=9", "Rows", 0),
    ("/v1/funding-history?exchange=OKX&symbol=BTC", "History", 21),
    (ROWS + "?exchange=Kraken", "Error", 0),
    ("/v1/nothing", "Error", 0),
]


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/contango", help="default: %(default)s")
    parser.add_argument("--out", default="out/scan-api", help="folder, made anew (default: %(default)s)")
    wanted = parser.parse_args()
    shutil.rmtree(wanted.out, ignore_errors=True)
    box = Box(wanted.program, wanted.out, "--venue", "all", "--ticks-per-s", "5")
    command = [wanted.program, "scan", "--listen", "127.0.0.1:0", "--json", "--ca", box.ready["ca"]]
    for venue, at in box.ready["venues"].items():
        command += [f"--endpoint={venue}.{name}={at[name]}" for name in ("spot_rest", "usdm_rest", "rest") if name in at]
    scan = subprocess.Popen(command, stdout=subprocess.PIPE)
    wrong = []
    try:
        url = json.loads(scan.stdout.readline())["listen"]
        until = time.monotonic() + 60
        # The past of a perp is read after its prices.
        while any(row["cumRate7d"] is None for row in fetch(url + ROWS + "?exchange=OKX")["data"] or [{"cumRate7d": None}]):
            if time.monotonic() > until:
                raise Failed("the scanner knows no seven days after 60 s")
            time.sleep(0.5)
        document = fetch(url + "/openapi.json")
        validate(document)
        for path, name, least in ASKED:
            schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            answer = fetch(url + path)
            wrong += [f"{path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(answer)]
            if len(answer.get("data", [])) < least:
                wrong.append(f"{path}: {len(answer['data'])} rows, not {least} at the least")
    finally:
        scan.terminate()
        scan.wait(20)
        box.stop()
    print("\n".join(wrong) if wrong else f"{len(ASKED)} answers are as the document says")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(2)
