#!/usr/bin/env python3
"""Trades on the box with ccxt, unmodified, and compares what ccxt makes of it with the box's own truth, to the digit.

What stands between the two is only what a user sets: addresses, the box's certificate authority, a key, and the markets
to load (the box has no COIN-M). Checked: markets and their precisions, tickers, books, fees, funding, leverage and
modes; balances, fee coins and the position after a spot buy and a perp sell; orders by the venue's id and by the
client's; open and closed orders; own trades; the streams of quotes, orders, trades and balances; and that what the box
refuses arrives as the exception ccxt has for it.

Exit code: 0 everything equal; 1 something differs, each thing named; 2 could not run.
"""

import argparse
import asyncio
import shutil
import socket
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import Box, Failed, wait  # noqa: E402

import ccxt  # noqa: E402
import ccxt.pro  # noqa: E402

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
ID, OTHER = "BTCUSDT", "ETHUSDT"
# ccxt tells spot from USD-M by the host, as errors and quotes of both look alike; the box's certificate has these names.
NAMES = {
    "spot_rest": "demo-api.localhost",
    "usdm_rest": "demo-fapi.localhost",
    "spot_ws": "demo-stream.localhost",
}


class Checks:
    """Counts what was compared, and keeps what was not equal."""

    def __init__(self):
        self.done, self.wrong = 0, []

    def same(self, what, got, wanted):
        self.done += 1
        if got != wanted:
            self.wrong.append(f"{what}: ccxt says {got!r}, true is {wanted!r}")

    def true(self, what, fact, seen=""):
        self.done += 1
        if not fact:
            self.wrong.append(f"{what}: does not hold; {seen}")

    def raises(self, what, error, call):
        """`call` must fail with exactly this class: a subclass would be another case."""
        self.done += 1
        try:
            answer = call()
        except Exception as raised:  # noqa: BLE001: any other class is what is looked for
            if type(raised) is not error:
                self.wrong.append(f"{what}: {type(raised).__name__} instead of {error.__name__}: {raised}")
        else:
            self.wrong.append(f"{what}: taken instead of {error.__name__}: {answer}")


def dec(number):
    """The decimal a float was written as; exact, since nothing here has more than 15 digits."""
    return None if number is None else Decimal(repr(number) if isinstance(number, float) else str(number))


def loopback_names():
    """Names below .localhost are this host (RFC 6761), whatever the host's resolver says."""
    resolve = socket.getaddrinfo

    def here(host, *more, **options):
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *more, **options)

    socket.getaddrinfo = here


def point(exchange, at):
    """Sets every address of ccxt's Binance that the box serves; the others go nowhere."""
    at = {door: url.replace("127.0.0.1", NAMES.get(door, "127.0.0.1")) for door, url in at.items()}
    urls = exchange.urls["api"]
    for name, url in urls.items():
        if not isinstance(url, str):
            continue
        door = "usdm_rest" if name.startswith("fapi") else "spot_rest"
        served = name.startswith("fapi") or name in ("public", "private", "sapi")
        path = url.split("://", 1)[1].partition("/")[2]
        urls[name] = f"{at[door]}/{path}" if served else "https://0.0.0.0:1"
    if "ws" in urls:
        urls["ws"]["spot"] = at["spot_ws"] + "/ws"
        urls["ws"]["linear"] = at["usdm_ws"] + "/ws"
        urls["ws"]["ws-api"]["spot"] = at["spot_ws_api"] + "/ws-api/v3"
        urls["ws"]["ws-api"]["linear"] = at["usdm_ws_api"] + "/ws-fapi/v1"


def client(box, make=ccxt.binance, **more):
    at = box.ready["venues"]["binance"]
    settings = {
        "apiKey": at["key"],
        "secret": at["secret"],
        "options": {"fetchMarkets": {"types": ["spot", "linear"]}},
    }
    # `requests` takes a path where ccxt passes on a flag.
    settings |= {"cafile": box.ready["ca"]} if make is not ccxt.binance else {"validateServerSsl": box.ready["ca"]}
    exchange = make(settings | more)
    point(exchange, at)
    return exchange


def order_of(truth, client_id):
    return next(o for o in truth["orders"] if o["client_order_id"] == client_id)


def fills_of(truth, client_id):
    return [f for f in truth["fills"] if f["client_order_id"] == client_id]


def market_data(check, ex):
    markets = ex.load_markets()
    spot, perp = markets[SPOT], markets[PERP]
    check.same("spot tick and step", (spot["precision"]["price"], spot["precision"]["amount"]), (0.01, 0.00001))
    check.same("perp tick and step", (perp["precision"]["price"], perp["precision"]["amount"]), (0.1, 0.001))
    check.same("smallest values", (spot["limits"]["cost"]["min"], perp["limits"]["cost"]["min"]), (5, 50))
    check.same("kinds", (spot["type"], perp["type"], perp["linear"], perp["contractSize"]), ("spot", "swap", True, 1))
    check.same("a settling perp is not active", markets["FTM/USDT:USDT"]["active"], False)
    check.same("a spot market in a break is not active", markets["XMR/USDT"]["active"], False)
    check.true("a thousand", "1000PEPE/USDT:USDT" in markets and "PEPE/USDT" in markets)
    check.true("a dated contract is a future", markets["BTC/USDT:USDT-271231"]["future"])
    check.same("coins", {"BTC", "USDT", "PEPE"} - set(ex.currencies), set())
    check.same("status", ex.fetch_status()["status"], "ok")
    check.true("clock", abs(ex.fetch_time() - ex.milliseconds()) < 1_000)

    for symbol, tick in ((SPOT, Decimal("0.01")), (PERP, Decimal("0.1"))):
        day = ex.fetch_ticker(symbol)
        check.true(f"{symbol} low ≤ last ≤ high", day["low"] <= day["last"] <= day["high"], day)
        check.same(f"{symbol} change", dec(day["change"]), dec(day["last"]) - dec(day["open"]))
        check.same(f"{symbol} nobody has traded", (day["baseVolume"], day["info"]["count"]), (0, 0))
        book = ex.fetch_order_book(symbol, 5)
        bids, asks = ([dec(level[0]) for level in book[side]] for side in ("bids", "asks"))
        check.same(f"{symbol} levels", (len(bids), len(asks)), (5, 5))
        check.true(f"{symbol} sorted", bids == sorted(bids, reverse=True) and asks == sorted(asks), book)
        check.true(f"{symbol} not crossed", bids[0] < asks[0], book)
        check.true(f"{symbol} on its tick", all(price % tick == 0 for price in bids + asks), book)
        top = ex.fetch_bids_asks([symbol])[symbol]
        check.true(f"{symbol} top", 0 < top["bid"] < top["ask"] and top["bidVolume"] > 0, top)
        check.true(f"{symbol} price", abs(ex.fetch_last_prices([symbol])[symbol]["price"] / day["last"] - 1) < 0.02)
    check.same("all tickers", set(ex.fetch_tickers([SPOT, "ETH/USDT"])), {SPOT, "ETH/USDT"})
    check.same("spot fee", [ex.fetch_trading_fee(SPOT)[side] for side in ("maker", "taker")], [0.001, 0.001])
    check.same("perp fee", [ex.fetch_trading_fee(PERP)[side] for side in ("maker", "taker")], [0.0002, 0.0005])


def funding(check, ex, box):
    now = ex.fetch_funding_rate(PERP)
    mark = Decimal(box.truth()["marks"][ID])
    check.true("mark", abs(dec(now["markPrice"]) / mark - 1) < Decimal("0.02"), (now["markPrice"], mark))
    ahead = now["fundingTimestamp"] - ex.milliseconds()
    check.true("the next settlement is within half an hour", 0 < ahead <= 30 * 60_000, ahead)
    check.same("8 h of BTC", ex.fetch_funding_interval(PERP)["interval"], "8h")
    check.same("4 h of DOGE", ex.fetch_funding_interval("DOGE/USDT:USDT")["interval"], "4h")
    past = ex.fetch_funding_rate_history(PERP, limit=30)
    stamps = [row["timestamp"] for row in past]
    check.same("30 settlements", len(past), 30)
    # A settlement is stamped when it was made: some milliseconds after it was due.
    due = [now["fundingTimestamp"] - n * 8 * 3_600_000 for n in range(30, 0, -1)]
    late = [stamp - at for stamp, at in zip(stamps, due)]
    check.true("every 8 h, up to the last one due", all(0 <= ms < 100 for ms in late), late)
    check.true("rates", all(0 < row["fundingRate"] < 0.0003 for row in past), past)
    some = ex.fetch_funding_rate_history(PERP, since=stamps[10], limit=5)
    check.same("5 from the eleventh on", [row["timestamp"] for row in some], stamps[10:15])
    check.true("all perps", len(ex.fetch_funding_rates()) >= 12)
    check.same("no payment yet", ex.fetch_funding_history(PERP), [])


def settings(check, ex):
    check.same("one-way", ex.fetch_position_mode(PERP)["hedged"], False)
    check.same("cross", ex.fetch_margin_mode(PERP)["marginMode"], "cross")
    check.same("leverage at first", ex.fetch_leverage(PERP)["longLeverage"], 2)
    check.same("leverage set", ex.set_leverage(3, PERP)["leverage"], 3)
    check.same("leverage now", ex.fetch_leverages([PERP])[PERP]["shortLeverage"], 3)
    tiers = ex.fetch_market_leverage_tiers(PERP)
    check.same("bracket", (tiers[0]["maintenanceMarginRate"], tiers[0]["maxLeverage"]), (0.025, 125))
    check.same("to isolated", ex.set_margin_mode("isolated", PERP)["code"], 200)
    check.same("isolated now", ex.fetch_margin_mode(PERP)["marginMode"], "isolated")
    check.same("and back", ex.set_margin_mode("cross", PERP)["code"], 200)
    check.same("to two-way", ex.set_position_mode(True, PERP)["code"], 200)
    check.same("two-way now", ex.fetch_position_mode(PERP)["hedged"], True)
    check.same("and back", ex.set_position_mode(False, PERP)["code"], 200)
    check.raises("one-way already", ccxt.OperationRejected, lambda: ex.set_position_mode(False, PERP))
    check.raises("cross already", ccxt.MarginModeAlreadySet, lambda: ex.set_margin_mode("cross", PERP))


def balances(check, ex, truth, when):
    """Every balance ccxt tells against the truth's."""
    held = ex.fetch_balance()
    for coin, row in truth["balances"]["spot"].items():
        got = (dec(held[coin]["free"]), dec(held[coin]["used"]))
        check.same(f"{when}: spot {coin}", got, (Decimal(row["free"]), Decimal(row["locked"])))
    others = {coin for coin, total in held["total"].items() if total} - set(truth["balances"]["spot"])
    check.same(f"{when}: no other coin", others, set())
    row = next(a for a in ex.fetch_balance({"type": "swap"})["info"]["assets"] if a["asset"] == "USDT")
    wallet = Decimal(truth["balances"]["usdm"]["USDT"]["wallet"])
    check.same(f"{when}: wallet", Decimal(row["walletBalance"]), wallet)


def mean(exact):
    """A mean price of this perp as it is told: five decimals, the rest cut. Two fills may have one without end."""
    return Decimal(exact).quantize(Decimal("0.00001"), "ROUND_DOWN")


def trading(check, ex, box):
    balances(check, ex, box.truth(), "at first")
    check.same("flat", ex.fetch_positions([PERP]), [])
    check.same("no orders", (ex.fetch_open_orders(SPOT), ex.fetch_open_orders(PERP)), ([], []))

    # A market buy on spot: the fee is taken from the coin.
    bought = ex.create_order(SPOT, "market", "buy", 0.0123, None, {"clientOrderId": "clip-1-spot"})
    truth = box.truth()
    order, fills = order_of(truth, "clip-1-spot"), fills_of(truth, "clip-1-spot")
    fee = sum(Decimal(f["commission"]) for f in fills)
    check.same("buy: status", (bought["status"], bought["filled"], bought["remaining"]), ("closed", 0.0123, 0))
    check.same("buy: id", bought["id"], str(order["order_id"]))
    check.same("buy: cost", dec(bought["cost"]), Decimal(order["cum_quote"]))
    check.same("buy: fee", (bought["fee"]["currency"], dec(bought["fee"]["cost"])), ("BTC", fee))
    check.same("buy: a thousandth of what was bought", fee, Decimal("0.0123") / 1000)
    check.same("buy: trades", len(bought["trades"]), len(fills))
    free = dec(ex.fetch_balance()["BTC"]["free"])
    check.same("buy: coins less the fee", free, Decimal("0.0123") - fee)
    balances(check, ex, truth, "after the buy")

    # A market sell on the perp: the fee is taken from the wallet.
    sold = ex.create_order(PERP, "market", "sell", 0.012, None, {"clientOrderId": "clip-1-perp"})
    truth = box.truth()
    order, fills = order_of(truth, "clip-1-perp"), fills_of(truth, "clip-1-perp")
    check.same("sell: status", (sold["status"], sold["filled"]), ("closed", 0.012))
    seen = ex.fetch_order(None, PERP, {"clientOrderId": "clip-1-perp"})
    check.same("sell: mean price", dec(seen["average"]), mean(Decimal(order["cum_quote"]) / Decimal("0.012")))
    check.same("sell: cost", dec(seen["cost"]), Decimal(order["cum_quote"]))
    position = ex.fetch_positions([PERP])[0]
    true = next(p for p in truth["positions"] if p["symbol"] == ID)
    check.same("short", (position["side"], dec(position["contracts"])), ("short", Decimal("0.012")))
    check.same("short, in truth", Decimal(true["qty"]), Decimal("-0.012"))
    check.same("entry", dec(position["entryPrice"]), mean(true["entry_price"]))
    fee = sum(Decimal(f["commission"]) for f in fills)
    value = Decimal(order["cum_quote"])
    check.same("sell: 0.05 % of the value", fee, (value * 5 / 10_000).quantize(Decimal("1e-8")))
    opening = Decimal(truth["opening"]["usdm"]["USDT"])
    check.same("sell: the wallet pays it", Decimal(truth["balances"]["usdm"]["USDT"]["wallet"]), opening - fee)
    balances(check, ex, truth, "after the sell")

    # Orders that rest: by the client's id and the venue's, open, and cancelled one by one and all at once.
    price = int(ex.fetch_last_prices([SPOT])[SPOT]["price"]) * 9 // 10
    rests = ex.create_order(SPOT, "limit", "buy", 0.002, price, {"clientOrderId": "rest-1"})
    check.same("rests", (rests["status"], rests["filled"], rests["price"]), ("open", 0, price))
    balances(check, ex, box.truth(), "while one rests")
    check.same("locked", dec(ex.fetch_balance()["USDT"]["used"]), Decimal(price) * 2 / 1000)
    ours = ex.fetch_order(None, SPOT, {"clientOrderId": "rest-1"})
    check.same("by the client's id", (ours["id"], ours["clientOrderId"]), (rests["id"], "rest-1"))
    check.same("by the venue's id", ex.fetch_order(rests["id"], SPOT)["clientOrderId"], "rest-1")
    check.same("open", [o["id"] for o in ex.fetch_open_orders(SPOT)], [rests["id"]])
    gone = ex.cancel_order(None, SPOT, {"clientOrderId": "rest-1"})
    check.same("cancelled", (gone["status"], gone["id"]), ("canceled", rests["id"]))
    maker = ex.create_order(SPOT, "limit", "buy", 0.002, price, {"postOnly": True})
    check.same("post-only spot", (maker["status"], maker["postOnly"]), ("open", True))
    check.same("all spot", [o["id"] for o in ex.cancel_all_orders(SPOT)], [maker["id"]])
    low = int(ex.fetch_mark_price(PERP)["markPrice"]) * 98 // 100
    rests = ex.create_order(PERP, "limit", "buy", 0.002, low, {"postOnly": True, "clientOrderId": "rest-2"})
    check.same("post-only perp", (rests["status"], rests["timeInForce"]), ("open", "PO"))
    check.same("open perp", ex.fetch_open_order(rests["id"], PERP)["clientOrderId"], "rest-2")
    ex.cancel_all_orders(PERP)
    check.same("none open", (ex.fetch_open_orders(SPOT), ex.fetch_open_orders(PERP)), ([], []))
    check.same("dead", ex.fetch_order(rests["id"], PERP)["status"], "canceled")
    none = ex.create_order(PERP, "limit", "buy", 0.002, low, {"timeInForce": "IOC"})
    check.same("nothing to take", (none["status"], none["filled"]), ("expired", 0))

    # What is over: by state, and every trade with its price, size and fee.
    truth = box.truth()
    for symbol, market in ((SPOT, "spot"), (PERP, "usdm")):
        mine = [o for o in truth["orders"] if o["market"] == market and o["symbol"] == ID]
        states = {"FILLED": "closed", "CANCELED": "canceled", "EXPIRED": "expired"}
        want = [(str(o["order_id"]), states[o["status"]], Decimal(o["executed_qty"])) for o in mine]
        got = [(o["id"], o["status"], dec(o["filled"])) for o in ex.fetch_orders(symbol)]
        check.same(f"{symbol} all orders", got, want)
        closed = [row[0] for row in want if row[1] == "closed"]
        check.same(f"{symbol} closed orders", [o["id"] for o in ex.fetch_closed_orders(symbol)], closed)
        mine = [f for f in truth["fills"] if f["market"] == market and f["symbol"] == ID]
        want = [
            (str(f["trade_id"]), str(f["order_id"]), f["side"].lower(), Decimal(f["price"]), Decimal(f["qty"]),
             Decimal(f["quote_qty"]), f["commission_asset"], Decimal(f["commission"]), f["time_us"] // 1_000)
            for f in mine
        ]  # fmt: skip
        got = [
            (t["id"], t["order"], t["side"], dec(t["price"]), dec(t["amount"]), dec(t["cost"]), t["fee"]["currency"],
             dec(t["fee"]["cost"]), t["timestamp"])
            for t in ex.fetch_my_trades(symbol)
        ]  # fmt: skip
        check.same(f"{symbol} own trades", got, want)
        volume = sum(Decimal(f["qty"]) for f in mine)
        check.same(f"{symbol} volume of the day", dec(ex.fetch_ticker(symbol)["baseVolume"]), volume)

    # Funding is paid on the short, and told as income.
    before = Decimal(box.truth()["balances"]["usdm"]["USDT"]["wallet"])
    box.fault(kind="settle_now", symbol=ID)
    truth = wait(lambda: (t := box.truth())["funding"] != "0" and t, 5, "funding was paid")
    paid = ex.fetch_funding_history(PERP)
    check.same("funding", [(dec(row["amount"]), row["code"]) for row in paid], [(Decimal(truth["funding"]), "USDT")])
    check.same("funding in the wallet", Decimal(truth["balances"]["usdm"]["USDT"]["wallet"]), before + Decimal(truth["funding"]))
    balances(check, ex, truth, "after funding")

    # And out again, the perp reduce-only.
    ex.create_order(PERP, "market", "buy", 0.012, None, {"reduceOnly": True, "clientOrderId": "clip-1-out"})
    check.same("flat again", (ex.fetch_positions([PERP]), box.truth()["positions"]), ([], []))
    ex.create_order(SPOT, "market", "sell", ex.amount_to_precision(SPOT, free), None, {"clientOrderId": "clip-1-sold"})
    truth = box.truth()
    asset = {f["commission_asset"] for f in fills_of(truth, "clip-1-sold")}
    check.same("a seller pays in the quote", asset, {"USDT"})
    balances(check, ex, truth, "after the way back")


def refusals(check, ex, box):
    def raw_spot(**order):
        return ex.private_post_order({"symbol": ID, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"} | order)

    def raw_perp(**order):
        return ex.fapiprivate_post_order({"symbol": ID, "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"} | order)

    spot = int(ex.fetch_last_prices([SPOT])[SPOT]["price"])
    perp = int(ex.fetch_mark_price(PERP)["markPrice"])
    far = spot * 8 // 10
    cases = {
        ccxt.InsufficientFunds: {
            "spot buy above the balance": lambda: ex.create_order(SPOT, "limit", "buy", 30, far),
            "spot sale of what is not there": lambda: ex.create_order(SPOT, "limit", "sell", 1, spot * 12 // 10),
            "perp above the margin": lambda: ex.create_order(PERP, "limit", "sell", 100, perp * 102 // 100),
        },
        ccxt.InvalidOrder: {
            "spot off its tick": lambda: raw_spot(quantity="0.001", price=f"{far}.001"),
            "spot off its step": lambda: raw_spot(quantity="0.0010001", price=f"{far}"),
            "perp below its minimum": lambda: raw_perp(quantity="0.001", price=f"{perp * 98 // 100 // 2}"),
            "perp reduce-only without a position": lambda: ex.create_order(
                PERP, "limit", "sell", 0.01, perp * 102 // 100, {"reduceOnly": True}
            ),
        },
        ccxt.OrderNotFound: {
            "spot order nobody sent": lambda: ex.fetch_order("1", SPOT),
            "perp order nobody sent": lambda: ex.fetch_order("1", PERP),
            "cancel of nothing": lambda: ex.cancel_order(None, SPOT, {"clientOrderId": "nobody"}),
            "cancel of what is done": lambda: ex.cancel_order(None, PERP, {"clientOrderId": "clip-1-perp"}),
        },
        ccxt.OrderImmediatelyFillable: {
            "post-only spot that takes": lambda: ex.create_order(
                SPOT, "limit", "buy", 0.001, spot * 11 // 10, {"postOnly": True}
            ),
        },
        ccxt.OrderNotFillable: {
            "post-only perp that takes": lambda: ex.create_order(
                PERP, "limit", "sell", 0.002, perp * 97 // 100, {"postOnly": True}
            ),
        },
        ccxt.BadSymbol: {
            "spot symbol nobody lists": lambda: ex.public_get_ticker_price({"symbol": "NOSUCHUSDT"}),
            "perp symbol nobody lists": lambda: ex.fapipublic_get_premiumindex({"symbol": "NOSUCHUSDT"}),
            "a name ccxt does not know": lambda: ex.fetch_ticker("NO/SUCH"),
        },
        ccxt.BadRequest: {"a parameter nobody knows": lambda: ex.public_get_depth({"symbol": ID, "deep": 5})},
    }
    for error, calls in cases.items():
        for what, call in calls.items():
            check.raises(what, error, call)
    ex.create_order(SPOT, "limit", "buy", 0.001, far, {"clientOrderId": "twice"})
    ex.create_order(PERP, "limit", "sell", 0.002, perp * 102 // 100, {"clientOrderId": "twice"})
    again = {
        "the id of an open spot order": lambda: raw_spot(quantity="0.001", price=str(far), newClientOrderId="twice"),
        "the id of an open perp order": lambda: raw_perp(
            quantity="0.002", price=str(perp * 102 // 100), newClientOrderId="twice"
        ),
    }
    for what, call in again.items():
        check.raises(what, ccxt.InvalidOrder, call)
        check.true(f"{what}: told why", "uplicate" in (ex.last_http_response or ""), ex.last_http_response)
    ex.cancel_all_orders(SPOT)
    ex.cancel_all_orders(PERP)

    # ccxt calls a bad key a ban once a signed call has gone well, so these are clients of their own.
    check.raises("a key nobody has", ccxt.AuthenticationError, client(box, apiKey="x" * 64).fetch_balance)
    wrong = client(box, secret="y" * 64)
    wrong.set_markets(ex.markets)
    check.raises("a wrong secret", ccxt.AuthenticationError, wrong.fetch_balance)
    for what, late in (("a clock 20 s behind", 20_000), ("a clock 20 s ahead", -20_000)):
        other = client(box)
        other.set_markets(ex.markets)
        other.options["timeDifference"] = late
        check.raises(what, ccxt.InvalidNonce, other.fetch_balance)

    box.fault(kind="status", status=503, body='{"code":-1008,"msg":"Server is currently overloaded with other requests."}')
    check.raises("overloaded", ccxt.OperationFailed, lambda: ex.fetch_order_book(SPOT))
    box.fault(kind="maintenance", market="usdm", for_ms=1_500)
    check.raises("maintenance", ccxt.ExchangeNotAvailable, lambda: ex.fetch_order_book(PERP))
    check.same("and it says so", ex.fetch_status()["status"], "maintenance")
    wait(lambda: ex.fetch_status()["status"] == "ok", 10, "the maintenance ends", 0.2)


def limits(check, ex, box):
    """The order limit by using it up, then a ban."""
    far = int(ex.fetch_last_prices([SPOT])[SPOT]["price"]) * 8 // 10
    limit = box.truth()["budget"]["spot"]["orders_10s"]["limit"]
    refused = None
    for _ in range(2 * limit + 2):
        try:
            ex.create_order(SPOT, "limit", "buy", 0.001, far)
        except ccxt.NetworkError as error:
            refused = error
            break
    check.same("too many orders", type(refused), ccxt.DDoSProtection)
    check.true("and it is -1015", '"code":-1015' in str(refused), refused)
    check.true("told when to come back", int(ex.last_response_headers.get("Retry-After", 0)) > 0)
    ex.cancel_all_orders(SPOT)
    box.fault(kind="ban", market="spot", for_ms=1_000)
    check.raises("banned", ccxt.DDoSProtection, lambda: ex.fetch_order_book(SPOT))
    check.true("and it is -1003", '"code":-1003' in (ex.last_http_response or ""), ex.last_http_response)
    check.true("perps are not", ex.fetch_order_book(PERP)["bids"])


async def streams(check, box):
    ex = client(box, ccxt.pro.binance)
    try:
        await ex.load_markets()
        for symbol in (SPOT, PERP):
            quotes = [await asyncio.wait_for(ex.watch_bids_asks([symbol]), 10) for _ in range(3)]
            tops = [quote[symbol] for quote in quotes]
            check.true(f"{symbol} quotes", all(0 < top["bid"] < top["ask"] for top in tops), tops)
            check.true(f"{symbol} sizes", all(top["bidVolume"] > 0 and top["askVolume"] > 0 for top in tops), tops)
            book = await asyncio.wait_for(ex.watch_order_book(symbol, 5), 10)
            check.true(f"{symbol} book", book["bids"][0][0] < book["asks"][0][0] and len(book["bids"]) == 5, book)
        mark = (await asyncio.wait_for(ex.watch_mark_price(PERP), 10))["markPrice"]
        true = Decimal(box.truth()["marks"][ID])
        check.true("mark", abs(dec(mark) / true - 1) < Decimal("0.02"), (mark, true))
        for symbol, kind in ((SPOT, "spot"), (PERP, "swap")):
            await account(check, box, ex, symbol, kind)
    finally:
        await ex.close()


async def account(check, box, ex, symbol, kind):
    """What the private stream says of one order, in every way ccxt lets one listen."""
    client_id = f"stream-{kind}"
    tasks = {
        "orders": asyncio.create_task(ex.watch_orders(symbol)),
        "trades": asyncio.create_task(ex.watch_my_trades(symbol)),
        "balance": asyncio.create_task(ex.watch_balance({"type": kind})),
    }
    await subscribed(ex, kind)
    side = "buy" if kind == "spot" else "sell"
    await ex.create_order(symbol, "market", side, 0.01, None, {"clientOrderId": client_id})
    said = dict(zip(tasks, await asyncio.wait_for(asyncio.gather(*tasks.values()), 10)))
    truth = box.truth()
    order, fills = order_of(truth, client_id), fills_of(truth, client_id)
    ids = {o["clientOrderId"] for o in said["orders"]} | {str(t["order"]) for t in said["trades"]}
    check.same(f"{kind} stream: our order and no other", ids, {client_id, str(order["order_id"])})
    # What was said first may be the order's first state: ccxt goes on merging what comes into its caches.
    last = await found(lambda: [o for o in ex.orders if o["clientOrderId"] == client_id and o["status"] == "closed"])
    last = last[0]
    check.same(f"{kind} stream: order", (last["id"], last["side"]), (str(order["order_id"]), side))
    check.same(f"{kind} stream: filled", dec(last["filled"]), Decimal(order["executed_qty"]))
    check.same(f"{kind} stream: cost", dec(last["cost"]), Decimal(order["cum_quote"]))
    want = [
        (str(f["trade_id"]), Decimal(f["price"]), Decimal(f["qty"]), f["commission_asset"], Decimal(f["commission"]))
        for f in fills
    ]
    ours = await found(lambda: [t for t in ex.myTrades if t["order"] == last["id"]], len(want))
    got = [(t["id"], dec(t["price"]), dec(t["amount"]), t["fee"]["currency"], dec(t["fee"]["cost"])) for t in ours]
    check.same(f"{kind} stream: trades", got, want)
    if kind == "spot":
        row = truth["balances"]["spot"]["BTC"]
        check.same("spot stream: coins", dec(ex.balance["spot"]["BTC"]["free"]), Decimal(row["free"]))
        cash = truth["balances"]["spot"]["USDT"]["free"]
        check.same("spot stream: cash", dec(ex.balance["spot"]["USDT"]["free"]), Decimal(cash))
    else:
        wallet = Decimal(truth["balances"]["usdm"]["USDT"]["wallet"]).quantize(Decimal("1e-8"), "ROUND_DOWN")
        check.same("perp stream: wallet", dec(ex.balance["linear"]["USDT"]["total"]), wallet)


async def found(look, least=1):
    """What `look` finds, once that is enough; nothing within 5 s is an end."""
    for _ in range(250):
        rows = look()
        if len(rows) >= least:
            return rows
        await asyncio.sleep(0.02)
    raise Failed(f"the stream told only {look()}")


async def subscribed(ex, kind):
    """Waits until the account's stream is open: what happens before that is told to nobody."""
    path = "/ws-api/v3" if kind == "spot" else "/private/"
    await found(lambda: [1 for url, link in ex.clients.items() if path in url and link.subscriptions and link.isConnected])
    # Spot's subscription is asked for on the open socket; its answer is one round trip away.
    await asyncio.sleep(0.3)


def run(check, program, folder):
    shutil.rmtree(folder, ignore_errors=True)
    box = Box(program, folder, "--spot-order-limit", "40")
    try:
        ex = client(box)
        for part in (
            lambda: market_data(check, ex),
            lambda: funding(check, ex, box),
            lambda: settings(check, ex),
            lambda: trading(check, ex, box),
            lambda: asyncio.run(streams(check, box)),
            lambda: refusals(check, ex, box),
            lambda: limits(check, ex, box),
        ):
            part()
    finally:
        box.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/contango", help="the program to try (%(default)s)")
    parser.add_argument("--out", default="target/ccxt", help="folder for the box's files (%(default)s)")
    options = parser.parse_args()
    loopback_names()
    check = Checks()
    try:
        run(check, options.program, Path(options.out))
    except (Failed, OSError, ccxt.BaseError, asyncio.TimeoutError) as error:
        print(f"could not run to the end: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    finally:
        for wrong in check.wrong:
            print(f"WRONG {wrong}")
    print(f"ccxt {ccxt.__version__}: {check.done} values compared, {len(check.wrong)} wrong")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
