#!/usr/bin/env python3
"""The rule of the bench as a user of ccxt.pro writes it: `watch_bids_asks` of each market, `create_order` of each leg.

    ccxt_peer.py READY

READY is what the bench wrote for it. What stands between ccxt and the box is what tools/clients/ccxt_binance.py sets.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "clients"))
from ccxt_binance import PERP, SPOT, client, loopback_names  # noqa: E402

import ccxt.pro  # noqa: E402

# Enter above this basis, leave below.
ENTER, LEAVE = 0.005, 0.002


class Peer:
    def __init__(self, exchange):
        self.exchange = exchange
        self.best = {SPOT: None, PERP: None}
        self.held = self.pending = False
        self.tasks = set()

    async def order(self, symbol, side, amount, price, **more):
        try:
            await self.exchange.create_order(symbol, "limit", side, amount, price, {"timeInForce": "IOC", **more})
        except ccxt.BaseError as error:
            print(f"{type(error).__name__}: {error}", flush=True)

    async def fire(self, entering, spot, perp):
        if entering:
            legs = self.order(SPOT, "buy", 0.00501, spot), self.order(PERP, "sell", 0.005, perp)
        else:
            legs = self.order(SPOT, "sell", 0.005, spot), self.order(PERP, "buy", 0.005, perp, reduceOnly=True)
        await asyncio.gather(*legs)
        self.held, self.pending = entering, False

    def decide(self):
        if self.pending or None in self.best.values():
            return
        (spot_bid, spot_ask), (perp_bid, perp_ask) = self.best[SPOT], self.best[PERP]
        if not self.held and perp_bid >= spot_ask * (1 + ENTER):
            plan = (True, spot_ask * 1.001, perp_bid * 0.999)
        elif self.held and perp_ask <= spot_bid * (1 + LEAVE):
            plan = (False, spot_bid * 0.999, perp_ask * 1.001)
        else:
            return
        self.pending = True
        task = asyncio.create_task(self.fire(*plan))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def listen(self, symbol):
        while True:
            quote = (await self.exchange.watch_bids_asks([symbol]))[symbol]
            self.best[symbol] = (quote["bid"], quote["ask"])
            self.decide()


async def main(ready):
    loopback_names()
    # The quotes come without pause: ccxt's own throttle of requests would only hold the orders back.
    exchange = client(SimpleNamespace(ready=ready), ccxt.pro.binance, enableRateLimit=False)
    try:
        await exchange.load_markets()
        peer = Peer(exchange)
        await asyncio.gather(peer.listen(SPOT), peer.listen(PERP))
    finally:
        await exchange.close()


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        asyncio.run(main(json.load(file)))
