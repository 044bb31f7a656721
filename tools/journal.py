"""Reads the engine's journal (`*.ctj`), written from its format page alone and sharing nothing with the engine.

Format: a file opens with `CTJ1`, u32 version = 1, u64 reserved = 0. Each record is u32 length of the body,
u16 version = 1, u16 kind, u32 CRC-32 (IEEE) over version, kind and body, then the body: one JSON object.
All integers are little-endian.
"""

import json
import struct
import zlib
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, setcontext
from pathlib import Path

START, EPOCH, FIRED, ANSWER, FILL, ORDER_END, PAIR, MODE, STOP, NOTE, MARKETS, BASELINE = range(1, 13)
FUNDING = 14
KINDS = {*range(START, BASELINE + 1), FUNDING}

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


def read_file(path):
    """The records of one journal file as (kind, body)."""
    data = Path(path).read_bytes()
    if len(data) < HEADER.size:
        raise Damaged(f"{path}: {len(data)} bytes are too few for a journal's header")
    magic, version, reserved = HEADER.unpack_from(data)
    if (magic, version, reserved) != (b"CTJ1", 1, 0):
        raise Damaged(f"{path}: header {magic!r}, version {version}, reserved {reserved} is not a CTJ1 journal's")
    records, at = [], HEADER.size
    while at < len(data):
        if at + RECORD.size > len(data):
            raise Damaged(f"{path}: byte {at}: {len(data) - at} bytes at the end are no whole record")
        length, version, kind, crc = RECORD.unpack_from(data, at)
        body = data[at + RECORD.size : at + RECORD.size + length]
        if version != 1 or kind not in KINDS:
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


def read_journal(folder):
    """The records of all `*.ctj` files of a folder, in the order of their names."""
    paths = sorted(Path(folder).glob("*.ctj"))
    if not paths:
        raise Damaged(f"{folder} holds no *.ctj file; did the engine run with this --out?")
    return [record for path in paths for record in read_file(path)]
