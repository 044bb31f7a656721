"""Reads the engine's journal (`*.ctj`), written from its format page alone and sharing nothing with the engine.

Format: a chain of files `journal-<instance>-<number>.ctj`, numbered from 1. Each opens with `CTJ1`, u32 version = 2,
u64 its number. Each record is u32 length of the body, u16 version = 1, u16 kind, u32 CRC-32 (IEEE) over version, kind
and body, then the body: one JSON object. All integers are little-endian. Every file but the first begins with a
checkpoint, in parts: what the files before it add up to. It tells nothing new, so it is held against them and left out.
"""

import json
import re
import struct
import zlib
from collections import defaultdict
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, setcontext
from pathlib import Path

(
    START, EPOCH, FIRED, ANSWER, FILL, ORDER_END, PAIR, MODE, STOP, NOTE, MARKETS, BASELINE, CHECKPOINT, FUNDING, GRANT,
    BASIS, FEE_PRICE,
) = range(1, 18)

# A start reads payments again from so long before the newest one on.
PAID_LATE_US = 600_000_000
# Samples of a reference count for so long, and a wait is shorter.
WEEK_US = 7 * 86_400_000_000

NAME = re.compile(r"journal-(\d+)-(\d{6,})\.ctj")

HEADER = struct.Struct("<4sIQ")
RECORD = struct.Struct("<IHHI")

# Money is exact: a result that would need rounding is an error, not a difference in the 28th digit.
setcontext(Context(prec=80, traps=[Inexact, InvalidOperation, Overflow]))


class Damaged(Exception):
    """A file that is not what it should be. The text names the file, the place and the reason."""


def number(value, what):
    """An exact Decimal from a decimal string or an integer; never from a float."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Damaged(f"{what} is {value!r}; amounts are decimal strings")
    try:
        result = Decimal(value)
    except InvalidOperation:
        raise Damaged(f"{what} is {value!r}, which is no number") from None
    if not result.is_finite():
        raise Damaged(f"{what} is {value!r}, which is no amount")
    return result


def plain(value):
    """A Decimal as people write it: no exponent, no zeros at the end."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def load_json(path):
    """One JSON object from a file."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Damaged(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Damaged(f"{path} does not hold a JSON object")
    return value


def segments(folder, instance=None):
    """The files of a folder's journal (of all instances, or of one) as (instance, number, path), in their order."""
    found = []
    for path in Path(folder).glob("*.ctj"):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise Damaged(f"{path} is not named as a segment of a journal; an engine of another version wrote it?")
        found.append((int(name[1]), int(name[2]), path))
    return sorted(one for one in found if instance in (None, one[0]))


def check_header(data, number, path):
    """The first bytes of a segment."""
    if len(data) < HEADER.size:
        raise Damaged(f"{path}: {len(data)} bytes are too few for a journal's header")
    found = HEADER.unpack_from(data)
    if found != (b"CTJ1", 2, number):
        raise Damaged(f"{path}: header {found} is not a CTJ1 journal's, version 2, segment {number}")


def read_file(path, number):
    """The records of one segment as (kind, body)."""
    data = Path(path).read_bytes()
    check_header(data, number, path)
    records, at = [], HEADER.size
    while at < len(data):
        if at + RECORD.size > len(data):
            raise Damaged(f"{path}: byte {at}: {len(data) - at} bytes at the end are no whole record")
        length, version, kind, crc = RECORD.unpack_from(data, at)
        body = data[at + RECORD.size : at + RECORD.size + length]
        if version != 1 or not START <= kind <= FEE_PRICE:
            raise Damaged(f"{path}: byte {at}: record version {version}, kind {kind} are unknown")
        if len(body) < length:
            raise Damaged(f"{path}: byte {at}: a record of {length} bytes is cut after {len(body)}")
        if zlib.crc32(struct.pack("<HH", version, kind) + body) != crc:
            raise Damaged(f"{path}: byte {at}: the checksum does not match")
        try:
            value = json.loads(body.decode("utf-8"))
        except ValueError as error:
            raise Damaged(f"{path}: byte {at}: the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise Damaged(f"{path}: byte {at}: the body is not a JSON object")
        records.append((kind, value))
        at += RECORD.size + length
    return records


class Chain:
    """All records of a chain of segments; each checkpoint is held against what came before it."""

    def __init__(self):
        self.records, self.parts, self.added = [], [], 0
        self.fills, self.changes, self.trades = 0, defaultdict(Decimal), {}
        self.openings, self.hedged, self.assets, self.granted = {}, set(), {}, {}
        self.funding, self.cash, self.payments = Decimal(0), defaultdict(Decimal), {}
        self.left, self.bases, self.last_us = {}, defaultdict(dict), 0
        self.unvalued = defaultdict(Decimal)

    def take(self, kind, body, where):
        """The next record, `where` for errors."""
        if kind != CHECKPOINT:
            if self.parts:
                raise Damaged(f"{where}: a checkpoint is not whole: {len(self.parts)} parts, then another record")
            self.records.append((kind, body))
            return
        self.parts.append(body)
        if body["part"] != len(self.parts):
            raise Damaged(f"{where}: part {body['part']} of a checkpoint comes as number {len(self.parts)}")
        if body["part"] == body["parts"]:
            self.compare(where)
            self.parts = []

    def add(self, kind, body):
        self.last_us = body.get("at_us", self.last_us)
        if kind == MARKETS:
            for row in body["instruments"]:
                self.assets[row["market"], row["symbol"]] = row.get("base"), row.get("quote")
        elif kind == FILL:
            self.fills += 1
            market, symbol = body["market"], body["symbol"]
            self.trades[market, symbol, body["trade_id"]] = body.get("traded_us")
            if (market, symbol) in self.assets:
                base, quote = self.assets[market, symbol]
                qty = number(body["qty"], "qty") * (1 if body["side"] == "buy" else -1)
                value = qty * number(body["price"], "price")
                if market == "spot":
                    self.changes[market, base] += qty
                    self.changes[market, quote] -= value
                else:
                    self.cash[quote] -= value
                if body["fee_asset"] != quote and (market, body["fee_asset"]) != ("spot", base):
                    self.unvalued[body["fee_asset"]] += number(body["fee"], "fee")
            self.changes[market, body["fee_asset"]] -= number(body["fee"], "fee")
        elif kind == FUNDING:
            amount = number(body["amount"], "amount")
            self.payments[body["tran_id"], body["symbol"]] = body["paid_us"]
            self.changes[body["market"], body["asset"]] += amount
            self.funding += amount if body["earned"] else 0
        elif kind == BASELINE:
            for row in body["held"]:
                self.openings[row["market"], row["asset"]] = number(row["opening"], "opening")
        elif kind == GRANT:
            self.granted[body["pair"]] = number(body["qty"], "qty")
        elif kind == FEE_PRICE:
            self.unvalued.pop(body["asset"], None)
        elif kind == BASIS:
            self.bases[body["pair"]][body["hour_us"]] = number(body["short"], "short"), number(body["long"], "long")
        elif kind == PAIR and body["state"] in ("hedged", "flat"):
            if body["state"] == "flat" and body["pair"] in self.hedged:
                self.left[body["pair"]] = body["at_us"]
            (self.hedged.add if body["state"] == "hedged" else self.hedged.discard)(body["pair"])

    def compare(self, where):
        """A whole checkpoint against all records so far."""
        for kind, body in self.records[self.added :]:
            self.add(kind, body)
        self.added = len(self.records)
        rows = defaultdict(list)
        for part in self.parts:
            if part["what"] == "sums":
                sums = part
            else:
                rows[part["what"]] += part["rows"]
        wallet = lambda key: {(row["market"], row["asset"]): number(row[key[:-1]], key) for row in sums[key]}
        named = {(row["market"], row["symbol"], row["trade_id"]): row["traded_us"] for row in rows["trades"]}
        cash = {row["asset"]: number(row["cash"], "cash") for row in sums["perp_cash"]}
        paid = {(row["tran_id"], row["symbol"]): row["paid_us"] for row in rows["payments"]}
        newest = max(self.payments.values(), default=0)
        late = {key for key, at in self.payments.items() if at >= newest - PAID_LATE_US}
        young = lambda at, newest: newest - at < WEEK_US
        left = {pair: at for pair, at in self.left.items() if young(at, self.last_us)}
        bases = {
            (pair, at, *basis)
            for pair, of in self.bases.items()
            for at, basis in of.items()
            if young(at, max(of)) and young(max(of), self.last_us)
        }
        told_bases = {
            (row["pair"], row["hour_us"], number(row["short"], "short"), number(row["long"], "long"))
            for row in rows["bases"]
        }
        recent = {key for key, at in self.trades.items() if at >= sums["known_since_us"]}
        for what, told, true in (
            ("fills", sums["fills"], self.fills),
            ("changes", {k: v for k, v in wallet("changes").items() if v}, {k: v for k, v in self.changes.items() if v}),
            ("perp cash", {k: v for k, v in cash.items() if v}, {k: v for k, v in self.cash.items() if v}),
            ("funding", number(sums["funding"], "funding"), self.funding),
            ("recent payments that are not named", sorted(late - paid.keys()), []),
            ("named payments that nobody booked", sorted(paid.items() - self.payments.items()), []),
            ("openings", wallet("openings"), self.openings),
            (
                "fees without a price",
                {row["asset"]: number(row["unvalued"], "unvalued") for row in rows["fees"]},
                {asset: fees for asset, fees in self.unvalued.items() if fees},
            ),
            ("grants", {row["pair"]: number(row["qty"], "qty") for row in sums["granted"]}, self.granted),
            ("hedged pairs", set(sums["hedged"]), self.hedged),
            ("pairs left", {row["pair"]: row["left_us"] for row in rows["left"]}, left),
            ("reference samples", told_bases, bases),
            ("recent trades that are not named", sorted(recent - named.keys()), []),
            ("named trades that nobody booked", sorted(named.items() - self.trades.items()), []),
        ):
            if told != true:
                raise Damaged(f"{where}: the checkpoint's {what}: {told}; the records before it say {true}")


def read_journal(folder):
    """The records of all segments of a folder, in their order, without checkpoints."""
    found = segments(folder)
    if not found:
        raise Damaged(f"{folder} holds no *.ctj file; did the engine run with this --out?")
    records = []
    for instance in sorted({instance for instance, _, _ in found}):
        chain = Chain()
        of = [(number, path) for other, number, path in found if other == instance]
        # What a crash left of a rotation and the next start emptied.
        if len(of) > 1 and not of[-1][1].stat().st_size:
            of.pop()
        if [number for number, _ in of] != list(range(1, len(of) + 1)):
            raise Damaged(f"{folder}: the journal's segments are {[number for number, _ in of]}: some are missing")
        for number_, path in of:
            for kind, body in read_file(path, number_):
                chain.take(kind, body, path)
            if chain.parts:
                raise Damaged(f"{path}: it ends inside its checkpoint")
        records += chain.records
    return records
