//! Bybit v5: what is told without a key, of spot and linear contracts.
//!
//! Owns:  the table of paths and budgets, envelopes, names.
//! Never: serves an account.
//! Wire:  bybit.md §1, §2 (envelope), §3, §4, §7.
//! Quirk: every answer is 200 but those of the address's budget and of no such path.

mod rest;
mod streams;

use super::super::config::{Door, Market};
use super::super::exchange::{Exchange, SECOND};
use super::super::listing::{Contract, Symbol, SymbolId};
use super::super::rates::Rate;
use super::open::{Idle, No, Route, Speech};

/// 600 requests in 5 s from one address, whatever they ask; who goes over is away for ten minutes.
pub(super) const SPEECH: Speech = Speech {
    routes: &[
        Route { path: "/v5/market/time", rate: None, run: rest::time },
        Route { path: "/v5/market/instruments-info", rate: None, run: rest::instruments },
        Route { path: "/v5/market/tickers", rate: None, run: rest::tickers },
        Route { path: "/v5/market/orderbook", rate: None, run: rest::orderbook },
        Route { path: "/v5/market/funding/history", rate: None, run: rest::funding_history },
        Route { path: "/v5/system/status", rate: None, run: rest::status },
    ],
    all: Some(Rate { limit: 600, window_ns: 5 * SECOND }),
    throttled: |_| No { status: 403, body: "403 Forbidden: access too frequent".to_owned() },
    away_ns: 600 * SECOND,
    unknown: |_, _| No { status: 404, body: "404 page not found".to_owned() },
    socket: |door| match door {
        Door::PublicSpot => "/v5/public/spot",
        _ => "/v5/public/linear",
    },
    on_text: streams::on_text,
    quote: streams::quote,
    spoil: streams::spoil,
    slow: streams::ticker,
    // None is stated.
    messages_per_second: u32::MAX,
    idle: Idle { after_ns: 600 * SECOND, pushes_count: true, code: 1000 },
};

/// The venue's word for a market.
fn category(market: Market) -> &'static str {
    match market {
        Market::Spot => "spot",
        Market::Usdm => "linear",
    }
}

/// How the venue calls a symbol.
fn name(row: &Symbol) -> &str {
    if row.contract == Contract::Quarter { "BTCUSDT-31DEC27" } else { &row.name }
}

/// The symbol of that name.
fn find(exchange: &Exchange, market: Market, asked: &str) -> Option<SymbolId> {
    exchange.listing.of(market).find(|(_, row)| name(row) == asked).map(|(id, _)| id)
}
