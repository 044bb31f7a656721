#!/usr/bin/env python3
"""Compares what the engine made of a recorded tape with the tape itself, message by message, in exact decimals.

TAPE_SPOT and TAPE_USDM are recordings of one symbol (.jsonl or .jsonl.gz: t_ns, venue, market, kind, chan, raw).
Standard library only; no code of the engine or of the box is used.

(a) OUT_DIR/quotes.csv (market,symbol,u,bid,bid_qty,ask,ask_qty) must hold every bookTicker message of each
    tape, in its order, numerically equal.
(b) with --entries BPS, every entry in OUT_DIR/journal must name two quotes of the tape that
      - meet the condition: short  perp_bid >= (1 + BPS/10000) * spot_ask,
                            long   perp_ask <= (1 - BPS/10000) * spot_bid,  visible sizes sufficing;
      - stood together: by receive stamps, the older one had been superseded for at most 50 ms when the
        newer one came (the two sockets may be read in another order than they were recorded in);
    and every stretch of at least 100 ms in which the short condition held on the standing quotes, with the
    sizes the engine trades, while the pair was idle, must contain an entry. Idle: by the journal's fills no
    position, and no order in flight (nor in the 200 ms after its end). The first second after both feeds
    stood is not demanded, since the engine still learns its clock offset and mean basis.

Exit code: 0 all equal, 1 differences (each is named), 2 a file is absent or damaged.
"""

import argparse
import csv
import gzip
import json
import sys
from bisect import bisect_left, bisect_right
from collections import namedtuple
from decimal import Decimal
from pathlib import Path
from statistics import median_low

from journal import ANSWER, FILL, FIRED, ORDER_END, Damaged, number, plain, read_journal

MS = 1_000_000
LAG_NS = 50 * MS
STRETCH_NS = 100 * MS
SETTLE_NS = 200 * MS
WARM_UP_NS = 1000 * MS
COLUMNS = ["market", "symbol", "u", "bid", "bid_qty", "ask", "ask_qty"]
SHOWN = 20

Quote = namedtuple("Quote", "t_ns symbol u bid bid_qty ask ask_qty")
Entry = namedtuple("Entry", "label at_ns legs ids spot perp t_ns")


def read_tape(path, market):
    """The bookTicker messages of one recording, in its order."""
    quotes = []
    try:
        zipped = Path(path).read_bytes()[:2] == b"\x1f\x8b"
        with (gzip.open if zipped else open)(path, "rt", encoding="utf-8") as lines:
            for line, text in enumerate(lines, 1):
                row = json.loads(text)
                if row["kind"] != "book_ticker":
                    continue
                if row["market"] != market:
                    raise Damaged(f"{path}, line {line}: market {row['market']!r}; expected {market!r}")
                data = json.loads(row["raw"])
                data = data.get("data", data)
                sizes = (number(data[key], f"{path}, line {line}, {key}") for key in "bBaA")
                quotes.append(Quote(row["t_ns"], data["s"], int(data["u"]), *sizes))
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror or error}") from None
    except (EOFError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged: {error}") from None
    if not quotes:
        raise Damaged(f"{path} holds no bookTicker message")
    if any(a.t_ns > b.t_ns or a.u >= b.u for a, b in zip(quotes, quotes[1:])):
        raise Damaged(f"{path}: receive stamps or update ids run backwards; the checks need them in order")
    return quotes


def check_quotes(path, tapes, differ):
    """(a): the engine's decoded quotes against the tapes."""
    decoded = {"spot": [], "perp": []}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != COLUMNS:
                raise Damaged(f"{path}: columns are {rows.fieldnames}; expected {COLUMNS}")
            for row in rows:
                if row["market"] not in decoded or None in row.values() or None in row:
                    raise Damaged(f"{path}, line {rows.line_num}: {row}")
                values = (number(row[key], f"{path}, line {rows.line_num}, {key}") for key in COLUMNS[3:])
                decoded[row["market"]].append((row["symbol"], int(number(row["u"], path)), *values))
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from None
    equal = 0
    for market, tape in tapes.items():
        ours = decoded[market]
        if len(ours) != len(tape):
            differ(f"{market}: {len(ours)} quotes decoded, the tape has {len(tape)}")
        for index, (quote, mine) in enumerate(zip(tape, ours)):
            if quote[1:] == mine:
                equal += 1
                continue
            fields = [
                f"{column} {theirs} in the tape, {own} decoded"
                for column, theirs, own in zip(COLUMNS[1:], quote[1:], mine)
                if theirs != own
            ]
            differ(f"{market} quote {index + 1} (u {quote.u}): {'; '.join(fields)}")
    return equal


def qualifies(direction, bps, spot, perp):
    """The entry condition on two raw quotes, exactly."""
    if direction == "short":
        return perp.bid * 10000 >= (10000 + bps) * spot.ask
    return perp.ask * 10000 <= (10000 - bps) * spot.bid


def enough(direction, sizes, spot, perp):
    """Whether the visible sizes cover (spot size, perp size)."""
    short = direction == "short"
    seen = (spot.ask_qty, perp.bid_qty) if short else (spot.bid_qty, perp.ask_qty)
    return seen[0] >= sizes[0] and seen[1] >= sizes[1]


def superseded_at(tape, index):
    """When the quote stopped being the latest of its leg."""
    return tape[index + 1].t_ns if index + 1 < len(tape) else tape[index].t_ns + 10**18


def leg_sizes(record):
    """Quantities of a fired record's (spot, perp) legs; zero where a leg is missing."""
    sizes = {"spot": Decimal(0), "perp": Decimal(0)}
    for leg in record["legs"]:
        sizes[leg["market"]] += number(leg["qty"], "leg qty")
    return sizes["spot"], sizes["perp"]


def check_entries(fired, tapes, bps, differ):
    """(b), first half: each entry against the quotes it names."""
    index = {market: {quote.u: i for i, quote in enumerate(tape)} for market, tape in tapes.items()}
    entries, lags = [], []
    for record in fired:
        if record["class"].lower() != "entry":
            continue
        direction = record["direction"].lower()
        label = f"entry {record['sequence']} ({record['pair']}, {direction})"
        places = index["spot"].get(int(record["spot_u"])), index["perp"].get(int(record["perp_u"]))
        if None in places:
            for market, place in zip(("spot", "perp"), places):
                if place is None:
                    differ(f"{label}: {market} update {record[market + '_u']} is not in the tape")
            continue
        spot, perp = tapes["spot"][places[0]], tapes["perp"][places[1]]
        prices = f"spot {plain(spot.bid)}/{plain(spot.ask)}, perp {plain(perp.bid)}/{plain(perp.ask)}"
        if not qualifies(direction, bps, spot, perp):
            differ(f"{label}: {prices} do not meet the condition at {bps} bp")
        if not enough(direction, leg_sizes(record), spot, perp):
            differ(f"{label}: the quotes' visible sizes are less than its own")
        over = min(superseded_at(tapes["spot"], places[0]), superseded_at(tapes["perp"], places[1]))
        newer = max(spot.t_ns, perp.t_ns)
        lags.append(max(0, newer - over))
        if lags[-1] > LAG_NS:
            differ(f"{label}: one quote had been superseded for {lags[-1] / MS:.1f} ms when the other came")
        entries.append(Entry(label, int(record["at_us"]) * 1000, record["legs"], places, spot, perp, newer))
    return entries, lags


def busy_spans(records, fired, entries):
    """Spans of tape time in which the pair was not idle, by the journal's orders and fills."""
    if not entries:
        return []
    # The journal's clock and the recorder's differ by one constant, seen at each entry.
    offset = median_low(entry.at_ns - entry.t_ns for entry in entries)
    least = max((leg_sizes({"legs": entry.legs})[0] for entry in entries), default=Decimal(0)) / 100
    ends, spans, held = {}, [], {"spot": Decimal(0), "perp": Decimal(0)}
    since = None
    for kind, body in records:
        if kind not in (ANSWER, FILL, ORDER_END):
            continue
        at = int(body["at_us"]) * 1000 - offset
        ends[body["client_id"]] = max(at, ends.get(body["client_id"], at))
        if kind != FILL:
            continue
        qty = number(body["qty"], "fill qty")
        held[body["market"]] += qty if body["side"] == "buy" else -qty
        # Dust of the spot leg (below 1 % of a clip) is no position; the perp closes to zero exactly.
        holding = bool(held["perp"]) or abs(held["spot"]) > least
        if holding and since is None:
            since = at
        elif not holding and since is not None:
            spans.append((since, at + SETTLE_NS))
            since = None
    if since is not None:
        spans.append((since, 10**20))
    for record in fired:
        at = int(record["at_us"]) * 1000 - offset
        over = max((ends.get(leg["client_id"], at) for leg in record["legs"]), default=at)
        spans.append((at, max(at, over) + SETTLE_NS))
    return sorted(spans)


def stretches(tapes, bps, sizes):
    """Spans of tape time in which the short condition held on the standing quotes."""
    stamps = sorted({quote.t_ns for tape in tapes.values() for quote in tape})
    starts = {market: [quote.t_ns for quote in tape] for market, tape in tapes.items()}
    first = max(tape[0].t_ns for tape in tapes.values())
    found, since = [], None
    for t_ns in stamps[bisect_left(stamps, first) :]:
        spot, perp = (tapes[market][bisect_right(starts[market], t_ns) - 1] for market in ("spot", "perp"))
        good = qualifies("short", bps, spot, perp) and enough("short", sizes, spot, perp)
        if good and since is None:
            since = t_ns
        elif not good and since is not None:
            found.append((since, t_ns))
            since = None
    if since is not None:
        found.append((since, stamps[-1]))
    return found, first


def cut_out(span, busy):
    """What is left of a span outside the busy ones."""
    left, (start, end) = [], span
    for low, high in busy:
        if high <= start or low >= end:
            continue
        if low > start:
            left.append((start, low))
        start = max(start, high)
    if start < end:
        left.append((start, end))
    return left


def check_stretches(records, fired, entries, tapes, bps, differ):
    """(b), second half: where the condition held and the pair was idle, an entry must be."""
    sizes = [leg_sizes({"legs": entry.legs}) for entry in entries]
    clip = tuple(max((size[leg] for size in sizes), default=Decimal(0)) for leg in (0, 1))
    found, first = stretches(tapes, bps, clip)
    busy = [(0, first + WARM_UP_NS), *busy_spans(records, fired, entries)]
    long, missed = 0, 0
    for span in found:
        long += span[1] - span[0] >= STRETCH_NS
        for start, end in cut_out(span, busy):
            # The span that an entry ended is idle up to its fire, so look a little past the end.
            if end - start < STRETCH_NS or any(start <= entry.t_ns <= end + LAG_NS for entry in entries):
                continue
            missed += 1
            differ(
                f"no entry in the {(end - start) / MS:.1f} ms from t_ns {start}, though the condition held "
                f"(sizes {plain(clip[0])} spot, {plain(clip[1])} perp) and the pair was idle"
            )
    return len(found), long, missed


def check(spot, usdm, folder, bps=None):
    """Runs every check; returns the differences and lines of numbers."""
    differences, folder = [], Path(folder)
    tapes = {"spot": read_tape(spot, "spot"), "perp": read_tape(usdm, "usdm")}
    equal = check_quotes(folder / "quotes.csv", tapes, differences.append)
    total = sum(map(len, tapes.values()))
    lines = [f"{equal} of {total} quotes equal ({len(tapes['spot'])} spot, {len(tapes['perp'])} USD-M)"]
    if bps is not None:
        records = read_journal(folder / "journal")
        fired = [body for kind, body in records if kind == FIRED]
        try:
            entries, lags = check_entries(fired, tapes, bps, differences.append)
            found, long, missed = check_stretches(records, fired, entries, tapes, bps, differences.append)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Damaged(f"journal: a field is absent or of another type ({type(error).__name__}: {error})") from error
        late = sum(1 for lag in lags if lag)
        lines.append(
            f"{len(entries)} entries on tape quotes at {plain(bps)} bp, {late} on a just superseded quote "
            f"(at most {max(lags, default=0) / MS:.3f} ms late)"
        )
        lines.append(f"{found} stretches qualify, {long} of them for 100 ms or longer; {missed} idle ones missed")
    return differences, lines


def basis(text):
    """A basis in bp from the command line."""
    try:
        return number(text, "BPS")
    except Damaged as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def quiet(out_dir, differences, lines):
    """A run that must not trade: decided on every quote, none of them by the slow decoder, nothing sent,
    and its own summary names a finite threshold above every basis as the reason."""
    path = Path(out_dir) / "summary.json"
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        hot, why = told["hot_path"], told["why"]
        decided = {"decisions": hot["decisions"], "decode_fallbacks": hot["decode_fallbacks"]}
        nothing = {"orders": told["orders"]["sent"], "signals": told["signals"], "fills": told["fills"]["booked"]}
        gate = told["gate"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: {error!r}") from error
    if hot["quotes"] != decided["decisions"]:
        differences.append(f"{hot['quotes']} quotes, but {decided['decisions']} decisions")
    if decided["decode_fallbacks"] or hot["refused"]:
        differences.append(f"quotes decoded by the slow way: {decided['decode_fallbacks']}, refused: {hot['refused']}")
    for name, n in nothing.items():
        if n:
            differences.append(f"{n} {name}, but this run must not trade")
    if gate:
        differences.append(f"the gate refused signals: {gate}")
    for pair in why:
        enter, best = pair["enter_short_bps"], pair["best_bps"]
        if enter is None or best is None or not Decimal(enter) > Decimal(best):
            differences.append(f"{pair['pair']}: enter {enter} bp against a best basis of {best} bp explains nothing")
        weighed = dict(pair["weighed"])
        short = weighed.pop("basis short of the threshold", 0)
        # Before the first pulse of the books there is no threshold; after it, the basis is the only reason.
        early = weighed.pop("no quote of a leg yet", 0) + weighed.pop("no threshold", 0)
        if weighed or short < 10 * early:
            differences.append(f"{pair['pair']}: weighed {pair['weighed']}")
        lines.append(f"{pair['pair']} enters at {enter} bp, best seen {best} bp: {short} quotes fell short, {early} before terms")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tape_spot", metavar="TAPE_SPOT", help="recording of the spot market")
    parser.add_argument("tape_usdm", metavar="TAPE_USDM", help="recording of the USD-M market")
    parser.add_argument("out_dir", metavar="OUT_DIR", help="what was given to `--out`")
    parser.add_argument("--entries", metavar="BPS", type=basis, help="check entries at this basis, such as -3")
    parser.add_argument("--quiet", action="store_true", help="check summary.json of a run that must not trade")
    options = parser.parse_args(arguments)
    try:
        differences, lines = check(options.tape_spot, options.tape_usdm, options.out_dir, options.entries)
        if options.quiet:
            quiet(options.out_dir, differences, lines)
    except Damaged as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    for difference in differences[:SHOWN]:
        print(f"DIFFERENCE {difference}")
    if len(differences) > SHOWN:
        print(f"and {len(differences) - SHOWN} more")
    print("\n".join(lines))
    print(f"{len(differences)} differences" if differences else "the engine's reading of the tape is exact")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
