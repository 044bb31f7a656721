//! Bitget UTA v3: what is told without a key, of spot and USDT futures.
//!
//! Owns:  the table of paths and budgets, names.
//! Never: serves an account.
//! Wire:  bitget.md §1, §3, §4, §7. The clock and the funding of all symbols are v2's.

mod rest;
mod streams;

use super::super::config::Market;
use super::super::exchange::{Exchange, SECOND};
use super::super::listing::SymbolId;
use super::super::rates::Rate;
use super::open::{Idle, No, Route, Speech};

const fn route(
    path: &'static str,
    run: fn(&mut Exchange, &super::open::Query<'_>) -> Result<String, No>,
) -> Route {
    Route { path, rate: Some(Rate { limit: 20, window_ns: SECOND }), run }
}

/// 20 a second of each path and 6,000 a minute of all; who goes over is away for five minutes.
pub(super) const SPEECH: Speech = Speech {
    routes: &[
        route("/api/v2/public/time", rest::time),
        route("/api/v3/market/instruments", rest::instruments),
        route("/api/v3/market/tickers", rest::tickers),
        route("/api/v3/market/orderbook", rest::orderbook),
        route("/api/v3/market/current-fund-rate", rest::current_funding),
        route("/api/v2/mix/market/current-fund-rate", rest::current_funding_of_all),
        route("/api/v3/market/history-fund-rate", rest::funding_history),
    ],
    all: Some(Rate { limit: 6_000, window_ns: 60 * SECOND }),
    throttled: |exchange| rest::no(exchange, 429, "429", "Too Many Requests"),
    away_ns: 300 * SECOND,
    unknown: |exchange, _| rest::no(exchange, 404, "40404", "Request URL NOT FOUND"),
    socket: |_| "/v3/ws/public",
    on_text: streams::on_text,
    quote: streams::quote,
    spoil: streams::spoil,
    slow: streams::ticker,
    messages_per_second: 10,
    idle: Idle { after_ns: 120 * SECOND, pushes_count: false, code: 1000 },
};

/// The venue's word for a market in REST.
fn category(market: Market) -> &'static str {
    match market {
        Market::Spot => "SPOT",
        Market::Usdm => "USDT-FUTURES",
    }
}

/// Its word for it on sockets.
fn kind(market: Market) -> &'static str {
    match market {
        Market::Spot => "spot",
        Market::Usdm => "usdt-futures",
    }
}

/// The market of a word in either spelling.
fn market(word: &str) -> Option<Market> {
    [Market::Spot, Market::Usdm].into_iter().find(|market| word == category(*market) || word == kind(*market))
}

/// The symbol of that name.
fn find(exchange: &Exchange, market: Market, asked: &str) -> Option<SymbolId> {
    exchange.listing.find(market, asked)
}
