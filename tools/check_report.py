#!/usr/bin/env python3
"""Compares what `contango report --json` says with the journal it was made of, to the last digit.

Reads REPORT.json and the `*.ctj` files of JOURNAL_DIR. Standard library only; no code of the engine is used, and
profit is found another way: by what was paid and what is held, not by lots and their cost.

    total    = money received less paid for every fill and fee, plus all that is held at the perp's last price
    slippage = what fills cost beyond the prices their orders were decided at
    fees     = those in the quote asset, those in the bought coin at the fill's price, and those in any other coin at
               the next price of it that the journal has; what has none is held against `fees_unvalued`
    funding  = what the income ledger's records say

Checked: each of them, the number of fills, the holdings of each pair, and the same total at the end of each UTC day.

Exit code: 0 all equal, 1 differences (each is named), 2 a file is absent or damaged.
"""

import argparse
import sys
from collections import defaultdict
from datetime import datetime, timezone
from decimal import Decimal

from journal import FEE_PRICE, FILL, FIRED, MARKETS, Damaged, load_json, number, plain, read_journal

FUNDING = 14


class Books:
    """Cash, coins and the perp's last price of every pair."""

    def __init__(self):
        self.markets, self.factors, self.sizes = {}, {}, {}
        self.fills, self.seen = 0, set()
        self.cash = self.fees = self.slippage = self.funding = Decimal(0)
        self.held, self.prices, self.days = defaultdict(Decimal), {}, {}
        self.unvalued = defaultdict(Decimal)

    def take(self, kind, body):
        if kind == MARKETS:
            rows = body["instruments"]
            for pair in body["pairs"]:
                for leg in ("spot", "perp"):
                    row = rows[pair[leg]]
                    self.markets[row["market"], row["symbol"]] = pair["name"], row["base"], row["quote"]
                self.factors[pair["name"]] = pair["price_factor"]
                self.sizes[pair["name"]] = number(pair["size_factor"], "size_factor")
        elif kind == FIRED:
            leg = body["legs"][0]
            self.price(leg["market"], leg["symbol"], body["perp_price"])
            self.close_day(body["at_us"])
        elif kind == FILL:
            self.fill(body)
        elif kind == FEE_PRICE:
            worth = self.unvalued.pop(body["asset"], Decimal(0)) * number(body["price"], "price")
            self.cash -= worth
            self.fees -= worth
            self.close_day(body["at_us"])
        elif kind == FUNDING:
            amount = number(body["amount"], "amount")
            if body.get("earned", True):
                self.cash += amount
                self.funding += amount
                self.close_day(body["at_us"])

    def price(self, market, symbol, text):
        price = number(text, "price")
        if price:
            self.prices[self.markets[market, symbol][0]] = price

    def fill(self, body):
        market, symbol = body["market"], body["symbol"]
        if (market, symbol, body["trade_id"]) in self.seen:
            return
        self.seen.add((market, symbol, body["trade_id"]))
        pair, base, quote = self.markets[market, symbol]
        price, fee = number(body["price"], "price"), number(body["fee"], "fee")
        qty = number(body["qty"], "qty") * (1 if body["side"] == "buy" else -1)
        self.fills += 1
        self.cash -= qty * price
        self.slippage -= qty * (price - number(body["decided"], "decided"))
        self.held[pair, market] += qty if market == "spot" else qty * self.sizes[pair]
        if body["fee_asset"] == quote:
            self.cash -= fee
            self.fees -= fee
        elif body["fee_asset"] == base and market == "spot":
            self.held[pair, market] -= fee
            self.fees -= fee * price
        elif fee:
            self.unvalued[body["fee_asset"]] += fee
        if market == "perp":
            self.price(market, symbol, body["price"])
        self.close_day(body["at_us"])

    def close_day(self, at_us):
        day = datetime.fromtimestamp(at_us // 1_000_000, timezone.utc).strftime("%Y-%m-%d")
        self.days[day] = self.total()

    def total(self):
        """Cash and coins."""
        coins = Decimal(0)
        for (pair, _), amount in self.held.items():
            if amount and pair not in self.prices:
                raise Damaged(f"pair {pair} holds something before any price of its perp is told")
            if amount:
                coins += amount * self.prices[pair] / self.factors[pair]
        return self.cash + coins


def check(report, records, differ):
    books = Books()
    for kind, body in records:
        books.take(kind, body)
    pnl = report["pnl"]
    for name, told, true in (
        ("fills", Decimal(report["fills"]), Decimal(books.fills)),
        *((name, number(pnl[name], name), getattr(books, name)) for name in ("fees", "slippage", "funding")),
        ("total", number(pnl["total"], "total"), books.total()),
    ):
        if told != true:
            differ(f"{name}: the report says {plain(told)}, the journal makes {plain(true)}")
    unvalued = {asset: number(fees, "fees_unvalued") for asset, fees in report["fees_unvalued"].items()}
    if unvalued != books.unvalued:
        differ(f"fees without a price: the report says {unvalued}, the journal makes {dict(books.unvalued)}")
    parts = sum(number(pnl[name], name) for name in ("funding", "basis", "fees", "slippage", "borrow", "revaluation"))
    if parts != number(pnl["total"], "total"):
        differ(f"the parts add up to {plain(parts)}, the total is {pnl['total']}")
    for row in report["pairs"]:
        for leg in ("spot", "perp"):
            if number(row[leg], leg) != books.held[row["pair"], leg]:
                differ(f"pair {row['pair']}: {row[leg]} {leg}, the fills make {plain(books.held[row['pair'], leg])}")
    told = {row["day"]: number(row["equity"], "equity") for row in report["days"]}
    for day in sorted(told.keys() | books.days.keys()):
        if told.get(day) != books.days.get(day):
            differ(f"{day}: the report ends it with {told.get(day)}, the journal with {books.days.get(day)}")
    return books.fills


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", metavar="REPORT.json", help="what `contango report --json` printed")
    parser.add_argument("journal", metavar="JOURNAL_DIR", help="the data folder it was made of")
    options = parser.parse_args(arguments)
    differences = []
    try:
        report = load_json(options.report)
        fills = check(report, read_journal(options.journal), differences.append)
    except Damaged as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        print(f"cannot check: a field is absent or of another type ({type(error).__name__}: {error})", file=sys.stderr)
        return 2
    for difference in differences:
        print(f"DIFFERENCE {difference}")
    print(f"{fills} fills, total {report['pnl']['total']}")
    print(f"{len(differences)} differences" if differences else "report and journal are equal")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
