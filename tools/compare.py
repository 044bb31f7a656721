"""Compares the box's truth with the engine's journal at a quiet moment of a loop of kills. No code of either is used.

What must hold after every restart: each fill of the venue is booked exactly once and equal in every field, nothing
else is booked; no client order id was used twice; every order of ours is named in the journal; spot balances, perp
positions and the USD-M wallet are those the booked fills imply; nothing is naked, no order open; and the books that
the engine shows by its control socket are the journal's.
"""

import json
import struct
import time
import zlib
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import check_truth
from check_truth import booked_fill, is_ours
from journal import (
    ANSWER,
    EPOCH,
    FILL,
    FIRED,
    FUNDING,
    HEADER,
    ORDER_END,
    RECORD,
    Chain,
    Damaged,
    check_header,
    number,
    plain,
)


class Tail:
    """The records of a journal that grows, each read once, segment by segment."""

    def __init__(self, folder, instance=0):
        self.folder, self.instance = Path(folder), instance
        self.number, self.at, self.chain = 1, 0, Chain()

    @property
    def records(self):
        return self.chain.records

    def read(self):
        """All records so far. A record that is being written is waited for, a torn one is an error."""
        for _ in range(40):
            if self._read_on():
                return self.records
            time.sleep(0.05)
        raise Damaged(f"{self._path(self.number)}: byte {self.at}: no whole record, and none is made of it")

    def _path(self, number):
        return self.folder / f"journal-{self.instance}-{number:06}.ctj"

    def _read_on(self):
        while True:
            path = self._path(self.number)
            with open(path, "rb") as file:
                file.seek(self.at)
                data = file.read()
            if not self._take(data, path):
                return False
            # One that a start emptied is not begun yet.
            following = self._path(self.number + 1)
            if not following.exists() or not following.stat().st_size:
                return not self.chain.parts
            self.number, self.at = self.number + 1, 0

    def _take(self, data, path):
        at = 0
        if self.at == 0:
            if len(data) < HEADER.size:
                return False
            check_header(data, self.number, path)
            at = HEADER.size
        while len(data) - at >= RECORD.size:
            length, version, kind, crc = RECORD.unpack_from(data, at)
            body = data[at + RECORD.size : at + RECORD.size + length]
            if len(body) < length or zlib.crc32(struct.pack("<HH", version, kind) + body) != crc:
                break
            self.chain.take(kind, json.loads(body), path)
            at += RECORD.size + length
        self.at += at
        return at == len(data)


def epoch_of(client_id):
    return int(client_id) >> 34 & (1 << 20) - 1


def names(value):
    """Every client id that a record's body names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "client_id":
                yield inner
            else:
                yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


def check_identity(truth, records, differ):
    """I10: one client id, one send, over all epochs; and every one is named in the journal."""
    sent = Counter(row["client_order_id"] for row in truth["orders"] if is_ours(row["client_order_id"]))
    sent.update(row["client_order_id"] for row in truth["refused"] if is_ours(row["client_order_id"]))
    for client_id, times in sent.items():
        if times > 1:
            differ(f"order {client_id}: sent {times} times")
    fired = Counter()
    for kind, body in records:
        if kind == FIRED:
            fired.update(leg["client_id"] for leg in body["legs"] if leg.get("wire") != "nothing")
    for client_id, times in fired.items():
        if times > 1:
            differ(f"order {client_id}: fired {times} times in the journal")
    epochs = [body["epoch"] for kind, body in records if kind == EPOCH]
    if any(later <= earlier for earlier, later in zip(epochs, epochs[1:])):
        differ(f"the epochs of the journal do not rise: {epochs[-5:]}")
    known = {client_id for _, body in records for client_id in names(body)}
    for client_id in sent:
        if client_id not in known:
            differ(f"order {client_id}: at the venue, and nowhere in the journal")
    return len(sent)


def check_settled(truth, status, fills, differ):
    """Nothing open, nothing naked, and the engine's books are the journal's."""
    for row in truth["orders"]:
        if is_ours(row["client_order_id"]) and row["status"] in ("NEW", "PARTIALLY_FILLED"):
            differ(f"order {row['client_order_id']}: open at the venue")
    if truth["naked"]["now"]:
        differ(f"naked, says the truth: {', '.join(map(str, truth['naked']['now']))}")
    if status["orders_open"]:
        differ(f"open, says the engine: {', '.join(status['orders_open'])}")
    spot, perp = defaultdict(Decimal), defaultdict(Decimal)
    for fill in fills:
        market, symbol, _ = fill.key
        if market == "spot":
            base, _ = check_truth.assets(symbol)
            spot[base] += fill.signed - (fill.fee if fill.asset == base else 0)
        else:
            base, _ = check_truth.assets(symbol)
            # Some perps are named for a thousand coins or more of their spot twin.
            digits = len(base) - len(base.lstrip("01")) if base.startswith("10") else 0
            perp[base[digits:]] += fill.signed * (Decimal(base[:digits]) if digits else 1)
    for pair in status["pairs"]:
        if pair["state"] not in ("flat", "hedged"):
            differ(f"pair {pair['pair']} is {pair['state']}")
        for leg, implied in (("spot", spot), ("perp", perp)):
            shown = number(pair[leg], f"{pair['pair']} {leg}")
            if shown != implied[pair["pair"]]:
                differ(
                    f"pair {pair['pair']}: the engine shows {plain(shown)} {leg}, the journal's fills make "
                    f"{plain(implied[pair['pair']])}"
                )


def resolved(records):
    """Orders whose fate was in doubt or left to a later run, by the evidence that ended them."""
    doubted = {
        body["client_id"] for kind, body in records if kind == ANSWER and body.get("verdict") == "unknown"
    }
    evidence, epoch = {}, 0
    for kind, body in records:
        if kind == EPOCH:
            epoch = body["epoch"]
        elif kind == ORDER_END and (body["client_id"] in doubted or epoch_of(body["client_id"]) < epoch):
            evidence[body["client_id"]] = body.get("evidence", "?")
    return Counter(evidence.values())


def compare(truth, records, status):
    """Differences, and how many orders and fills were looked at."""
    differences = []
    differ = differences.append
    try:
        booked = [booked_fill(body) for kind, body in records if kind == FILL]
        foreign = [row["client_order_id"] for row in truth["fills"] if not is_ours(row["client_order_id"] or "")]
        if foreign:
            differ(f"fills that are not ours, which nobody ordered: {', '.join(map(str, foreign[:5]))}")
        fills = check_truth.match_fills(truth, booked, differ)
        orders = check_identity(truth, records, differ)
        check_settled(truth, status, fills, differ)
        check_truth.check_positions(truth, fills, differ)
        check_truth.check_balances(truth, fills, differ)
        payments = [body for kind, body in records if kind == FUNDING]
        check_truth.check_wallet(truth, fills, check_truth.match_funding(truth, payments, differ), differ)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"a field is absent or of another type ({type(error).__name__}: {error})") from error
    return differences, orders, len(truth["fills"])
