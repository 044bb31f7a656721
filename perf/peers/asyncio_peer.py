#!/usr/bin/env python3
"""The rule of the bench as a quick Python program: asyncio on uvloop, aiohttp for streams and orders, orjson.

    asyncio_peer.py READY

READY is what the bench wrote for it. One session kept alive, orders signed when they are sent, both legs at once.
"""

import asyncio
import hashlib
import hmac
import ssl
import sys
import time

import aiohttp
import orjson
import uvloop

# Enter above this basis, leave below.
ENTER, LEAVE = 0.005, 0.002


class Peer:
    def __init__(self, ready, session):
        at = ready["venues"]["binance"]
        self.at, self.session = at, session
        self.secret = at["secret"].encode()
        self.headers = {"X-MBX-APIKEY": at["key"]}
        self.best = [None, None]
        self.held = self.pending = False
        self.tasks = set()

    async def order(self, perp, entering, price):
        side = "SELL" if perp == entering else "BUY"
        quantity = "0.005" if perp else "0.00501" if entering else "0.00500"
        reduce = "&reduceOnly=true" if perp and not entering else ""
        query = (
            f"symbol=BTCUSDT&side={side}&type=LIMIT&timeInForce=IOC&quantity={quantity}&price={price:.{1 if perp else 2}f}{reduce}"
            f"&newClientOrderId=py-{time.time_ns()}&newOrderRespType=RESULT&recvWindow=1000&timestamp={time.time_ns() // 1_000_000}"
        )
        signature = hmac.new(self.secret, query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.at['usdm_rest']}/fapi/v1/order" if perp else f"{self.at['spot_rest']}/api/v3/order"
        async with self.session.post(f"{url}?{query}&signature={signature}", headers=self.headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                print(answer.status, body, flush=True)

    async def fire(self, entering, spot, perp):
        await asyncio.gather(self.order(False, entering, spot), self.order(True, entering, perp))
        self.held, self.pending = entering, False

    def decide(self):
        if self.pending or None in self.best:
            return
        (spot_bid, spot_ask), (perp_bid, perp_ask) = self.best
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

    async def listen(self, perp, url):
        async with self.session.ws_connect(url) as stream:
            async for message in stream:
                quote = orjson.loads(message.data)
                self.best[perp] = (float(quote["b"]), float(quote["a"]))
                self.decide()


async def main(ready):
    context = ssl.create_default_context(cafile=ready["ca"])
    connector = aiohttp.TCPConnector(ssl=context, keepalive_timeout=3_600)
    async with aiohttp.ClientSession(connector=connector) as session:
        peer = Peer(ready, session)
        # Warm connections before the first quote.
        for url in (f"{peer.at['spot_rest']}/api/v3/ping", f"{peer.at['usdm_rest']}/fapi/v1/ping"):
            async with session.get(url) as answer:
                await answer.read()
        await asyncio.gather(
            peer.listen(False, f"{peer.at['spot_ws']}/ws/btcusdt@bookTicker"),
            peer.listen(True, f"{peer.at['usdm_ws']}/public/ws/btcusdt@bookTicker"),
        )


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        uvloop.run(main(orjson.loads(file.read())))
