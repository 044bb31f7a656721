#!/usr/bin/env python3
"""The rule of the bench as a user of NautilusTrader writes it: a strategy on a live node with its Binance adapters.

    nautilus_peer.py READY

READY is what the bench wrote for it. The library is as it was installed, and its engines for data, risk and orders are as
they come unless a line here says otherwise. It takes part in plaintext: its WebSockets trust the roots they were built
with and no others, so they would refuse the box's certificate. That spares it the work of TLS.
"""

import json
import sys
from decimal import Decimal

from nautilus_trader.adapters.binance import (
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.adapters.binance.common.enums import BinanceEnvironment
from nautilus_trader.config import InstrumentProviderConfig, LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.trading.strategy import Strategy

# Enter above this basis, leave below.
ENTER, LEAVE = 0.005, 0.002
SPOT, PERP = InstrumentId.from_str("BTCUSDT.BINANCE_SPOT"), InstrumentId.from_str("BTCUSDT-PERP.BINANCE_USDM")


class Peer(Strategy):
    def __init__(self):
        super().__init__()
        self.best = {SPOT: None, PERP: None}
        self.held = False
        self.orders = []

    def on_start(self):
        self.markets = {it: self.cache.instrument(it) for it in self.best}
        for it in self.best:
            self.subscribe_quote_ticks(it)

    def on_quote_tick(self, tick):
        self.best[tick.instrument_id] = (tick.bid_price.as_double(), tick.ask_price.as_double())
        if None in self.best.values() or not all(order.is_closed for order in self.orders):
            return
        (spot_bid, spot_ask), (perp_bid, perp_ask) = self.best[SPOT], self.best[PERP]
        if not self.held and perp_bid >= spot_ask * (1 + ENTER):
            self.fire((SPOT, OrderSide.BUY, "0.00501", spot_ask * 1.001, False), (PERP, OrderSide.SELL, "0.005", perp_bid * 0.999, False))
        elif self.held and perp_ask <= spot_bid * (1 + LEAVE):
            self.fire((SPOT, OrderSide.SELL, "0.005", spot_bid * 0.999, False), (PERP, OrderSide.BUY, "0.005", perp_ask * 1.001, True))

    def fire(self, *legs):
        self.orders = [
            self.order_factory.limit(
                it, side, self.markets[it].make_qty(Decimal(amount)), self.markets[it].make_price(price), time_in_force=TimeInForce.IOC, reduce_only=reduce
            )
            for it, side, amount, price, reduce in legs
        ]
        self.held = not self.held
        for order in self.orders:
            self.submit_order(order)


def config(at):
    """The node: two markets as two venues, each with a client for data and one for orders, at the bench's own doors."""
    markets = (
        # Of each: its market, kind of account, REST, streams, WebSocket API, and where the account's events come if not there.
        (SPOT, BinanceAccountType.SPOT, at["spot_rest"], at["spot_ws"], at["spot_ws_api"] + "/ws-api/v3", None),
        (PERP, BinanceAccountType.USDT_FUTURES, at["usdm_rest"], at["usdm_ws"] + "/public", at["usdm_ws_api"] + "/ws-fapi/v1", at["usdm_ws"] + "/private"),
    )
    data, execution = {}, {}
    for it, kind, rest, streams, api, private in markets:
        both = {
            "venue": Venue(it.venue.value),
            "api_key": at["key"],
            "api_secret": at["secret"],
            "account_type": kind,
            # LIVE first asks for the fees of all symbols, which the box does not tell.
            "environment": BinanceEnvironment.DEMO,
            "base_url_http": rest,
            "instrument_provider": InstrumentProviderConfig(load_ids=frozenset([it])),
        }
        data[it.venue.value] = BinanceDataClientConfig(base_url_ws=streams, **both)
        execution[it.venue.value] = BinanceExecClientConfig(base_url_ws=api, base_url_ws_stream=private, **both)
    return TradingNodeConfig(
        trader_id="PEER-001",
        logging=LoggingConfig(log_level="ERROR", log_colors=False),
        # The account is new: there is nothing of yesterday's to be found.
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        data_clients=data,
        exec_clients=execution,
    )


def main(ready):
    node = TradingNode(config=config(ready["venues"]["binance"]))
    for it in (SPOT, PERP):
        node.add_data_client_factory(it.venue.value, BinanceLiveDataClientFactory)
        node.add_exec_client_factory(it.venue.value, BinanceLiveExecClientFactory)
    node.trader.add_strategy(Peer())
    node.build()
    try:
        node.run()
    finally:
        node.dispose()


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        main(json.load(file))
