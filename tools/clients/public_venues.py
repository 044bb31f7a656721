#!/usr/bin/env python3
"""Asks the box for what Bybit, OKX and Bitget tell without a key, by ccxt and pybit, unmodified.

What stands between is only what a user sets: addresses and the box's certificate authority. Checked of ccxt: the clock,
markets with their precisions, contract sizes and states, tickers, books, funding now and settled; of its streams and
pybit's: a quote of a spot market and of a perp.

Exit code: 0 everything as it should be; 1 something is not, each thing named; 2 could not run.
"""

import asyncio
import os
import sys
import time
from functools import partial

import ccxt
import ccxt.pro
from common import Box, Failed, run, wait

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
# So many of pybit's sockets are tried.
PYBIT_SOCKETS = 10


def moved(value, rest, socket):
    """Every address in ccxt's table, moved to the box; paths stay."""
    if isinstance(value, dict):
        return {key: moved(inner, rest, socket) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    scheme, _, place = value.partition("://")
    path = place.partition("/")[2]
    base = socket(value) if scheme == "wss" else rest
    return f"{base}/{path}" if path else base


def client(box, name, pro=False):
    at = box.ready["venues"][name]
    make = getattr(ccxt.pro if pro else ccxt, name)
    settings = {"options": {"fetchMarkets": {"types": ["spot", "linear"] if name == "bybit" else ["spot", "swap"]}, "fetchCurrencies": False, "uta": True}}
    settings |= {"cafile": box.ready["ca"]} if pro else {"validateServerSsl": box.ready["ca"]}
    exchange = make(settings)
    exchange.has["fetchCurrencies"] = False

    def socket(url):
        if name == "bybit":
            return at["ws_public_spot" if url.endswith("spot") else "ws_public_linear"]
        return at["ws_public"]

    exchange.urls["api"] = moved(exchange.urls["api"], at["rest"], socket)
    exchange.hostname = at["rest"].removeprefix("https://")
    return exchange


def look(check, box, name):
    ex = client(box, name)
    said = ex.fetch_time()
    check.true(f"{name} clock", abs(said - time.time() * 1000) < 5_000, said)
    markets = ex.load_markets()
    spot, perp = markets[SPOT], markets[PERP]
    check.same(f"{name} kinds", (spot["type"], perp["type"], perp["linear"]), ("spot", "swap", True))
    size = {"bybit": 1, "okx": 0.01, "bitget": 1}[name]
    check.same(f"{name} contract size", perp["contractSize"], size)
    step = {"bybit": 0.001, "okx": 0.1, "bitget": 0.001}[name]
    check.same(f"{name} step", perp["precision"]["amount"], step)
    tickers = ex.fetch_tickers([SPOT]) | ex.fetch_tickers([PERP])
    for symbol in (SPOT, PERP):
        row = tickers[symbol]
        check.true(f"{name} {symbol} ticker", 0 < row["bid"] < row["ask"], row)
        book = ex.fetch_order_book(symbol, 5)
        check.true(f"{name} {symbol} book", 0 < book["bids"][0][0] < book["asks"][0][0], book)
    rate = ex.fetch_funding_rate(PERP)
    check.true(f"{name} funding", abs(rate["fundingRate"]) < 0.01 and rate["fundingTimestamp"], rate)
    rows = ex.fetch_funding_rate_history(PERP, limit=20)
    gaps = {b["timestamp"] - a["timestamp"] for a, b in zip(rows, rows[1:])}
    check.true(f"{name} settled", len(rows) == 20 and gaps == {28_800_000}, (len(rows), gaps))


async def listen(check, box, name):
    ex = client(box, name, pro=True)
    try:
        for symbol in (SPOT, PERP):
            book = await asyncio.wait_for(ex.watch_order_book(symbol, 1), 20)
            check.true(f"{name} {symbol} stream", 0 < book["bids"][0][0] < book["asks"][0][0], book)
    finally:
        await ex.close()


def listening(check, box, name):
    asyncio.run(listen(check, box, name))


def pybit_looks(check, box):
    from pybit.unified_trading import HTTP

    at = box.ready["venues"]["bybit"]
    session = HTTP()
    session.endpoint, session.client.verify = at["rest"], box.ready["ca"]
    told = session.get_tickers(category="linear", symbol="BTCUSDT")["result"]["list"][0]
    check.true("pybit ticker", float(told["bid1Price"]) < float(told["ask1Price"]), told)
    told = session.get_instruments_info(category="spot")["result"]["list"]
    check.true("pybit instruments", any(row["symbol"] == "BTCUSDT" for row in told), len(told))
    told = session.get_funding_rate_history(category="linear", symbol="BTCUSDT", limit=5)["result"]["list"]
    check.same("pybit settled", len(told), 5)
    check.true("pybit clock", session.get_server_time()["result"]["timeSecond"].isdigit())


def pybit_listens(check, box):
    at = box.ready["venues"]["bybit"]
    os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"] = box.ready["ca"]
    for kind in ("spot", "linear"):
        # It writes down what it subscribed to, and whom to call, once that is sent. Where the answer is there sooner, as on
        # loopback it may be and at the venue never, it falls over it and closes its socket. Then a new one is tried.
        heard = next(filter(None, (pybit_hears(at[f"ws_public_{kind}"], kind) for _ in range(PYBIT_SOCKETS))), None)
        if heard is None:
            raise Failed(f"pybit closed {PYBIT_SOCKETS} {kind} sockets in a row")
        book = heard["book"]["data"]
        check.true(f"pybit {kind} book", 0 < float(book["b"][0][0]) < float(book["a"][0][0]), book)
        check.same(f"pybit {kind} ticker", heard["ticker"]["data"]["symbol"], "BTCUSDT")


def pybit_hears(at, kind):
    """What one socket brings of two topics; nothing, which is told, if it closed before."""
    from pybit import unified_trading

    # Its table of addresses has the venue's name built in.
    unified_trading.PUBLIC_WSS = at + "/v5/public/{CHANNEL_TYPE}"
    heard = {}
    socket = unified_trading.WebSocket(channel_type=kind, testnet=False, retries=3)
    try:
        # One topic after the other: two requests at once and it may lose one of them.
        for topic, subscribe in (("book", lambda call: socket.orderbook_stream(1, "BTCUSDT", call)), ("ticker", lambda call: socket.ticker_stream("BTCUSDT", call))):
            subscribe(lambda message, topic=topic: heard.setdefault(topic, message))
            wait(lambda topic=topic: topic in heard or not socket.is_connected(), 60, f"pybit hears the {kind} {topic}")
            if topic not in heard:
                print(f"a {kind} socket of pybit's closed before it brought the {topic}", file=sys.stderr)
                return None
    finally:
        socket.exit()
    return heard


def parts(check, program, folder):
    box = Box(program, folder, "--venue", "all", "--ticks-per-s", "5")
    try:
        looks = [("pybit", pybit_looks), ("pybit streams", pybit_listens)]
        for name in ("bybit", "okx", "bitget"):
            looks.append((name, partial(look, name=name)))
            looks.append((f"{name} streams", partial(listening, name=name)))
        for name, part in looks:
            try:
                part(check, box)
            except Exception as raised:  # noqa: BLE001: whatever a client raises is what is looked for
                check.true(name, False, f"{type(raised).__name__}: {raised}")
    finally:
        box.stop()


if __name__ == "__main__":
    sys.exit(run(__doc__, "out/public-venues", parts))
