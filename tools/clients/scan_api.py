#!/usr/bin/env python3
"""Holds the scanner's API against its own OpenAPI document, over box data of four venues: by a JSON Schema validator, and
by a client that openapi-python-client makes of the document, unmodified.

Exit code: 0 the document is sound and every answer is as it says; 1 one is not, each named; 2 could not run.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import attrs
from common import ROWS, Failed, Scanner, fetch, ready, run
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

TOKEN = "secret"
HISTORY = "/v1/funding-history"
# What is asked, whether with the token, the status and the schema of its answer, and the least rows it has.
ASKED = [
    (ROWS, True, 200, "Rows", 48),
    (ROWS + "?notional=100&holdDays=7", True, 200, "Rows", 48),
    (ROWS + "?exchange=OKX&direction=short", True, 200, "Rows", 1),
    (ROWS + "?minNetApr=9", True, 200, "Rows", 0),
    (HISTORY + "?exchange=OKX&symbol=BTC", True, 200, "History", 21),
    ("/healthz", False, 200, "Health", 0),
    (ROWS + "?exchange=Kraken", True, 400, "Error", 0),
    (HISTORY + "?exchange=OKX", True, 400, "Error", 0),
    (ROWS, False, 401, "Error", 0),
    (HISTORY + "?exchange=OKX&symbol=NONE", True, 404, "Error", 0),
    ("/v1/nothing", True, 404, "Error", 0),
]


def schema(check, scanner):
    document = fetch(scanner.url + "/openapi.json")
    validate(document)
    for path, known, status, name, least in ASKED:
        form = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        got, answer = fetch(scanner.url + path, TOKEN if known else None, whole=True)
        check.same(f"{path} status", got, status)
        for error in Draft202012Validator(form).iter_errors(answer):
            check.true(f"{path} by {name}", False, error.message)
        check.true(f"{path} rows", len(answer.get("data", [])) >= least, len(answer.get("data", [])))
    return document


def generated(folder, document):
    """The client's package, made of the document now; a warning of its maker is a failure."""
    (folder / "openapi.json").write_text(json.dumps(document))
    maker = Path(sys.executable).parent / "openapi-python-client"
    command = [maker, "generate", "--path", folder / "openapi.json", "--output-path", folder / "scan_client"]
    # It tidies what it wrote with a program beside it.
    environment = {"PATH": f"{maker.parent}:/usr/bin:/bin"}
    made = subprocess.run([*command, "--meta", "none", "--fail-on-warning"], capture_output=True, text=True, env=environment)
    if made.returncode:
        raise Failed(f"no client can be made of the document: {made.stdout}{made.stderr}")
    sys.path.insert(0, str(folder.resolve()))
    return importlib.import_module("scan_client")


def unnamed(value):
    """Fields that the document does not name, at any depth."""
    if isinstance(value, list):
        return [name for one in value for name in unnamed(one)]
    if not hasattr(value, "additional_properties"):
        return []
    inner = [name for one in attrs.asdict(value, recurse=False).values() for name in unnamed(one)]
    return [*value.additional_properties, *inner]


def client(check, scanner, folder, document):
    package = generated(folder, document)
    at = {name: importlib.import_module(f"scan_client.api.default.{name}") for name in ("spot_perp", "funding_history", "healthz")}
    models = importlib.import_module("scan_client.models")
    known = package.AuthenticatedClient(base_url=scanner.url, token=TOKEN, raise_on_unexpected_status=True)
    stranger = package.AuthenticatedClient(base_url=scanner.url, token="other", raise_on_unexpected_status=True)
    rows = at["spot_perp"].sync(client=known)
    plain = scanner.rows()
    check.same("client: rows", sorted((str(row.exchange), row.symbol) for row in rows.data), sorted((row["exchange"], row["symbol"]) for row in plain))
    check.same("client: order", [row.apr for row in rows.data], sorted((row.apr for row in rows.data), reverse=True))
    check.true("client: no edge unasked", all(not row.edge for row in rows.data))
    check.same("client: fields the document does not name", unnamed(rows), [])
    weighed = at["spot_perp"].sync(
        client=known, exchange=models.SpotPerpExchange.OKX, direction=models.SpotPerpDirection.SHORT, notional=100.0, hold_days=7, min_net_apr=-9.0
    )
    check.true("client: an edge with a notional", weighed.data and all(row.edge.account_fees > 0 for row in weighed.data))
    check.same("client: OKX alone, short alone", {(str(row.exchange), str(row.direction)) for row in weighed.data}, {("OKX", "short")})
    check.same("client: fields of an edge", unnamed(weighed), [])
    for exchange in ("BINANCE", "BYBIT", "OKX", "BITGET"):
        past = at["funding_history"].sync(client=known, exchange=models.FundingHistoryExchange[exchange], symbol="BTC")
        times = [one.time for one in past.data]
        check.true(f"client: {exchange}'s history", len(times) >= 21 and times == sorted(times), times)
        check.same(f"client: {exchange}'s fields", unnamed(past), [])
    health = at["healthz"].sync(client=known)
    check.same("client: health", (health.status, [venue.why for venue in health.venues], unnamed(health)), ("ok", [None] * 4, []))
    refused = at["spot_perp"].sync_detailed(client=stranger)
    check.same("client: another's token", (refused.status_code, refused.parsed.error.code), (401, "unauthorized"))
    refused = at["spot_perp"].sync_detailed(client=known, hold_days=0)
    check.same("client: a hold of none", (refused.status_code, refused.parsed.error.code), (400, "bad_request"))
    refused = at["funding_history"].sync_detailed(client=known, exchange=models.FundingHistoryExchange.OKX, symbol="NONE")
    check.same("client: no such coin", (refused.status_code, refused.parsed.error.code), (404, "not_found"))


def parts(check, program, folder):
    folder.mkdir(parents=True)
    file = folder / "token"
    file.write_text(TOKEN + "\n")
    with Scanner(program, folder / "box", scan=("--token-file", str(file)), token=TOKEN) as scanner:
        ready(scanner)
        document = schema(check, scanner)
        client(check, scanner, folder, document)


if __name__ == "__main__":
    sys.exit(run(__doc__, "out/scan-api", parts))
