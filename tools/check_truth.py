#!/usr/bin/env python3
"""Compares what the exchange in the box knows to be true with what the engine booked, to the last digit.

Reads OUT_DIR/truth.json (the box's last /truth answer), OUT_DIR/summary.json (what `demo --json` printed) and
OUT_DIR/journal/*.ctj. Standard library only; no code of the engine or of the box is used.

Checked: every fill is booked exactly once with equal price, quantity, commission and commission asset, and
nothing else is booked; the summary counts the same fills; every order with an id of the engine's form is in the
journal as it was sent; nothing is naked; every funding payment is booked exactly once, symbol by symbol; the
summary's funding is their sum, and its profit that of its parts; perp positions, spot balances, the USD-M wallet
and round trips implied by the booked fills and payments are those of the truth.

Exit code: 0 all equal, 1 differences (each is named), 2 a file is absent or damaged.
"""

import argparse
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

from journal import FILL, FIRED, FUNDING, Damaged, load_json, number, plain, read_journal

QUOTES = ("USDT", "USDC", "FDUSD")
# Mean entry prices are quotients, which the venue rounds; nothing else in its wallet is.
WALLET_DUST = Decimal("0.000000001")
MARKETS = {"perp": "usdm", "spot": "spot"}


def assets(symbol):
    """Base and quote of a spot symbol."""
    for quote in QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol[: -len(quote)], quote
    raise Damaged(f"symbol {symbol!r} ends with none of {', '.join(QUOTES)}")


def is_ours(client_id):
    """Whether an id has the engine's form: 19 digits of a 63-bit number with mark 101 on top."""
    return len(client_id) == 19 and client_id.isascii() and client_id.isdigit() and int(client_id) >> 60 == 0b101


class Fill:
    """One fill, read alike from the truth and from the journal."""

    def __init__(self, market, row, fee, asset, client_id, what):
        self.key = (market, row["symbol"], int(row["trade_id"]))
        self.client_id, self.order_id = client_id or "", str(row["order_id"])
        self.side, self.asset = row["side"].lower(), asset
        self.price, self.qty = number(row["price"], f"{what} price"), number(row["qty"], f"{what} qty")
        self.fee = number(fee, f"{what} fee")
        if self.side not in ("buy", "sell"):
            raise Damaged(f"{what}: side {row['side']!r}")

    @property
    def signed(self):
        return self.qty if self.side == "buy" else -self.qty


def venue_fill(row):
    what = f"truth fill {row.get('trade_id')}"
    return Fill(row["market"], row, row["commission"], row["commission_asset"], row["client_order_id"], what)


def booked_fill(row):
    what = f"journal fill {row.get('trade_id')}"
    if row["market"] not in MARKETS:
        raise Damaged(f"{what}: market {row['market']!r}")
    return Fill(MARKETS[row["market"]], row, row["fee"], row["fee_asset"], row["client_id"], what)


def name(key):
    return f"{key[0]} {key[1]} trade {key[2]}"


def match_fills(truth, booked, differ):
    """Fill by fill, both ways; returns the booked fills in the venue's order."""
    venue = {}
    for row in truth["fills"]:
        fill = venue_fill(row)
        if fill.key in venue:
            differ(f"{name(fill.key)}: the truth itself lists it twice")
        venue[fill.key] = fill
        value = number(row["quote_qty"], "truth quote_qty")
        if value != fill.price * fill.qty:
            differ(f"{name(fill.key)}: the truth's quote_qty {plain(value)} is not price times qty")
    ours = {}
    times = Counter(fill.key for fill in booked)
    for fill in booked:
        ours.setdefault(fill.key, fill)
    for key, count in times.items():
        if key not in venue:
            differ(f"{name(key)}: booked, but the venue has no such fill")
        elif count > 1:
            differ(f"{name(key)}: booked {count} times")
    for key, fill in venue.items():
        if key not in ours:
            differ(f"{name(key)}: never booked ({fill.side} {plain(fill.qty)} at {plain(fill.price)})")
            continue
        for field in ("price", "qty", "fee", "asset", "side", "order_id", "client_id"):
            theirs, mine = getattr(fill, field), getattr(ours[key], field)
            if theirs != mine:
                show = [plain(v) if isinstance(v, Decimal) else v for v in (theirs, mine)]
                differ(f"{name(key)}: {field} is {show[0]} at the venue, booked {show[1]}")
    return [ours[key] for key in venue if key in ours]


def check_counts(truth, summary, differ):
    counts = summary["fills"]
    if not counts["venue"] == counts["booked"] == len(truth["fills"]):
        differ(
            f"fill counts: summary venue {counts['venue']}, booked {counts['booked']}; truth has {len(truth['fills'])}"
        )


def check_orders(truth, fired, differ):
    """Every order of ours that the venue saw was claimed in the journal, and as it was sent."""
    legs = {}
    for record in fired:
        for leg in record["legs"]:
            # An id of which nothing reached the wire is used again for the next attempt.
            if legs.get(leg["client_id"], {"wire": "nothing"}).get("wire") != "nothing":
                differ(f"order {leg['client_id']}: fired twice in the journal")
            legs[leg["client_id"]] = leg
    ours = [row for row in truth["orders"] if is_ours(row["client_order_id"])]
    for row in ours:
        leg = legs.get(row["client_order_id"])
        label = f"order {row['client_order_id']} ({row['market']} {row['symbol']})"
        if leg is None:
            differ(f"{label}: at the venue, but not in the journal")
            continue
        pairs = [
            ("market", row["market"], MARKETS.get(leg["market"])),
            ("symbol", row["symbol"], leg["symbol"]),
            ("side", row["side"].lower(), leg["side"].lower()),
            ("qty", number(row["orig_qty"], label), number(leg["qty"], label)),
        ]
        if row["type"] == "LIMIT":
            pairs.append(("limit", number(row["price"], label), number(leg["limit"], label)))
        for field, theirs, mine in pairs:
            if theirs != mine:
                differ(f"{label}: {field} is {theirs} at the venue, {mine} in the journal")
    for row in truth["refused"]:
        if is_ours(row["client_order_id"]) and row["client_order_id"] not in legs:
            differ(f"order {row['client_order_id']}: refused by the venue, but not in the journal")
    return len(ours)


def check_naked(truth, summary, differ):
    if truth["naked"]["now"]:
        differ(f"naked at the end, says the truth: {', '.join(map(str, truth['naked']['now']))}")
    if summary["exposure"]["naked_now"] not in (0, "0", []):
        differ(f"naked at the end, says the summary: {summary['exposure']['naked_now']}")


def check_positions(truth, fills, differ):
    implied, true = defaultdict(Decimal), defaultdict(Decimal)
    for fill in fills:
        if fill.key[0] == "usdm":
            implied[fill.key[1]] += fill.signed
    for row in truth["positions"]:
        true[row["symbol"]] += number(row["qty"], f"position {row['symbol']}")
    for symbol in sorted(implied.keys() | true.keys()):
        if implied[symbol] != true[symbol]:
            differ(f"position {symbol}: {plain(true[symbol])} at the venue, booked {plain(implied[symbol])}")
    return sum(1 for qty in true.values() if qty)


def check_balances(truth, fills, differ):
    implied, true = defaultdict(Decimal), defaultdict(Decimal)
    for asset, amount in truth["opening"]["spot"].items():
        implied[asset] += number(amount, f"opening {asset}")
    for fill in fills:
        if fill.key[0] == "spot":
            base, quote = assets(fill.key[1])
            implied[base] += fill.signed
            implied[quote] -= fill.signed * fill.price
            implied[fill.asset] -= fill.fee
    for asset, row in truth["balances"]["spot"].items():
        true[asset] += number(row["free"], f"balance {asset}") + number(row["locked"], f"balance {asset}")
    for asset in sorted(implied.keys() | true.keys()):
        if implied[asset] != true[asset]:
            differ(
                f"spot balance {asset}: {plain(true[asset])} at the venue, booked {plain(implied[asset])}, "
                f"off by {plain(true[asset] - implied[asset])}"
            )


def match_funding(truth, payments, differ):
    """Payment by payment, both ways; returns the sum of what is booked."""
    paid = Counter()
    for row in truth["settled"]:
        amount = number(row["received"], f"funding {row['symbol']}")
        if amount:
            paid[row["symbol"], int(row["time_ms"]), amount] += 1
    booked, ids = Counter(), Counter()
    for row in payments:
        amount = number(row["amount"], f"booked funding {row['symbol']}")
        booked[row["symbol"], int(row["paid_us"]) // 1000, amount] += 1
        ids[row["symbol"], row["tran_id"]] += 1
    for (symbol, tran_id), count in ids.items():
        if count > 1:
            differ(f"funding {symbol} transaction {tran_id}: booked {count} times")
    for key in sorted(paid.keys() | booked.keys()):
        if paid[key] != booked[key]:
            symbol, time_ms, amount = key
            differ(
                f"funding {symbol} at {time_ms}: {plain(amount)} was paid {paid[key]} times, booked {booked[key]} times"
            )
    total = sum((number(row["amount"], "funding") for row in payments), Decimal(0))
    if number(truth["funding"], "truth funding") != total:
        differ(f"funding: {truth['funding']} at the venue, booked {plain(total)}")
    return total


def check_profit(funding, summary, differ):
    """The summary's funding is what was booked, and its parts add up."""
    pnl = {part: number(amount, f"summary {part}") for part, amount in summary["pnl"].items()}
    if pnl["funding"] != funding:
        differ(f"funding: the summary says {plain(pnl['funding'])}, booked is {plain(funding)}")
    parts = sum(amount for part, amount in pnl.items() if part != "total")
    if pnl["total"] != parts:
        differ(f"profit: the summary says {plain(pnl['total'])}, its parts add up to {plain(parts)}")


def check_wallet(truth, fills, funding, differ):
    """The USD-M wallet: what the perps realised, less commissions, plus the funding that is booked."""
    implied = number(truth["opening"]["usdm"]["USDT"], "opening wallet") + funding
    for fill in fills:
        if fill.key[0] == "usdm":
            implied -= fill.signed * fill.price
            if fill.asset != "USDT":
                raise Damaged(f"{name(fill.key)}: the commission is {fill.asset}; this check knows USDT only")
            implied -= fill.fee
    for row in truth["positions"]:
        implied += number(row["qty"], "position") * number(row["entry_price"], "entry price")
    true = number(truth["balances"]["usdm"]["USDT"]["wallet"], "wallet")
    if abs(true - implied) > WALLET_DUST:
        differ(f"USD-M wallet: {plain(true)} at the venue, booked {plain(implied)}, off by {plain(true - implied)}")


def check_round_trips(fills, fired, open_perps, summary, differ):
    """A round trip: a symbol's perp position leaves zero and comes back to it by an intent to exit (or the
    repair of one). An entry that failed and was taken back is none."""
    position, closed_by, symbols = defaultdict(Decimal), Counter(), set()
    began = {}
    for record in fired:
        if record["class"] != "repair":
            began[record["sequence"]] = record["class"]
    classes = {leg["client_id"]: began.get(record["sequence"]) for record in fired for leg in record["legs"]}
    for fill in fills:
        if fill.key[0] != "usdm":
            continue
        before = position[fill.key[1]]
        after = position[fill.key[1]] = before + fill.signed
        if before and (not after or (before > 0) != (after > 0)):
            kind = classes.get(fill.client_id) or "unknown order"
            closed_by[kind] += 1
            if kind == "exit":
                symbols.add(fill.key[1])
    pairs, closed = summary["pairs"], closed_by["exit"]
    if pairs["closed"] != closed:
        how = ", ".join(f"{count} by {kind}" for kind, count in sorted(closed_by.items())) or "none"
        differ(f"round trips: the fills make {closed} ({how}), the summary says {pairs['closed']} closed")
    if pairs["open_now"] != open_perps:
        differ(f"open pairs: the truth has {open_perps} perp positions, the summary says {pairs['open_now']}")
    return closed, len(symbols)


def check(folder, least_trips=0, least_pairs=0):
    """Runs every check; returns the differences and a line of numbers."""
    folder, differences = Path(folder), []
    truth, summary = load_json(folder / "truth.json"), load_json(folder / "summary.json")
    records = read_journal(folder / "journal")
    try:
        booked = [booked_fill(body) for kind, body in records if kind == FILL]
        fired = [body for kind, body in records if kind == FIRED]
        fills = match_fills(truth, booked, differences.append)
        check_counts(truth, summary, differences.append)
        orders = check_orders(truth, fired, differences.append)
        check_naked(truth, summary, differences.append)
        open_perps = check_positions(truth, fills, differences.append)
        check_balances(truth, fills, differences.append)
        payments = [body for kind, body in records if kind == FUNDING]
        funding = match_funding(truth, payments, differences.append)
        check_profit(funding, summary, differences.append)
        check_wallet(truth, fills, funding, differences.append)
        closed, pairs = check_round_trips(fills, fired, open_perps, summary, differences.append)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{folder}: a field is absent or of another type ({type(error).__name__}: {error})") from error
    if closed < least_trips or pairs < least_pairs:
        differences.append(f"{closed} round trips on {pairs} pairs; asked for {least_trips} on {least_pairs}")
    numbers = (
        f"{len(payments)} funding payments booked; "
        f"{len(truth['fills'])} fills at the venue, {len(booked)} booked; {orders} orders of ours; "
        f"{closed} round trips on {pairs} pairs, {open_perps} open; {len(records)} journal records"
    )
    return differences, numbers


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", metavar="OUT_DIR", help="what was given to `demo --out`")
    parser.add_argument("--round-trips", metavar="N", type=int, default=0, help="least number of round trips")
    parser.add_argument("--pairs", metavar="N", type=int, default=0, help="least number of pairs they are on")
    options = parser.parse_args(arguments)
    try:
        differences, numbers = check(options.out_dir, options.round_trips, options.pairs)
    except Damaged as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    for difference in differences:
        print(f"DIFFERENCE {difference}")
    print(numbers)
    print(f"{len(differences)} differences" if differences else "truth and books are equal")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
