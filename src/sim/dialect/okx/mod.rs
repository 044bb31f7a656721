//! OKX v5: what is told without a key, of spot and USDT-margined swaps.
//!
//! Owns:  the table of paths and budgets, names, what a contract holds.
//! Never: serves an account.
//! Wire:  okx.md §1, §3, §4, §7.
//! Quirk: quantities of swaps are contracts, which hold ten steps of coins here; every path has a budget of its own.

mod rest;
mod streams;

use super::super::config::Market;
use super::super::exchange::{Exchange, SECOND};
use super::super::listing::{Contract, Symbol, SymbolId};
use super::super::number::{E8, ONE_E8, mul_div};
use super::super::rates::Rate;
use super::open::{Idle, No, Route, Speech, short};

const fn in_two_seconds(limit: u32) -> Option<Rate> {
    Some(Rate { limit, window_ns: 2 * SECOND })
}

/// Budgets by path; no ban is published.
pub(super) const SPEECH: Speech = Speech {
    routes: &[
        Route { path: "/api/v5/public/time", rate: in_two_seconds(10), run: rest::time },
        Route { path: "/api/v5/public/instruments", rate: in_two_seconds(20), run: rest::instruments },
        Route { path: "/api/v5/market/tickers", rate: in_two_seconds(20), run: rest::tickers },
        Route { path: "/api/v5/market/ticker", rate: in_two_seconds(20), run: rest::ticker },
        Route { path: "/api/v5/market/books", rate: in_two_seconds(40), run: rest::books },
        Route { path: "/api/v5/public/mark-price", rate: in_two_seconds(10), run: rest::mark_price },
        Route { path: "/api/v5/public/funding-rate", rate: in_two_seconds(10), run: rest::funding_rate },
        Route {
            path: "/api/v5/public/funding-rate-history",
            rate: in_two_seconds(10),
            run: rest::funding_history,
        },
        Route {
            path: "/api/v5/system/status",
            rate: Some(Rate { limit: 1, window_ns: 5 * SECOND }),
            run: rest::status,
        },
    ],
    all: None,
    throttled: |_| No {
        status: 429,
        body: r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#.to_owned(),
    },
    away_ns: 0,
    unknown: |_, _| {
        No {
        status: 404,
        body: r#"{"code":"404","data":{},"detailMsg":"","error_code":"404","error_message":"Not Found","msg":"Not Found"}"#
            .to_owned(),
    }
    },
    socket: |_| "/ws/v5/public",
    on_text: streams::on_text,
    quote: streams::quote,
    spoil: streams::spoil,
    slow: streams::slow,
    messages_per_second: u32::MAX,
    idle: Idle { after_ns: 30 * SECOND, pushes_count: true, code: 4004 },
};

/// The venue's word for a market.
fn kind(market: Market) -> &'static str {
    match market {
        Market::Spot => "SPOT",
        Market::Usdm => "SWAP",
    }
}

/// How the venue calls a symbol.
fn name(exchange: &Exchange, row: &Symbol) -> String {
    let base = &exchange.listing.assets[row.base];
    match row.market {
        Market::Spot => format!("{base}-USDT"),
        Market::Usdm => format!("{base}-USDT-SWAP"),
    }
}

/// The symbol of that name.
fn find(exchange: &Exchange, asked: &str) -> Option<SymbolId> {
    let (market, base) = match asked.strip_suffix("-USDT-SWAP") {
        Some(base) => (Market::Usdm, base),
        None => (Market::Spot, asked.strip_suffix("-USDT")?),
    };
    exchange.listing.find(market, &format!("{base}USDT"))
}

/// Spot, or swaps: dated contracts are of another kind, and there is none here.
fn listed(exchange: &Exchange, market: Market) -> impl Iterator<Item = (SymbolId, &Symbol)> {
    exchange.listing.of(market).filter(|(_, row)| row.contract != Contract::Quarter)
}

/// Coins in a contract.
fn contract(row: &Symbol) -> E8 {
    row.step.saturating_mul(10)
}

/// A quantity as the venue counts it: coins on spot, contracts on swaps.
fn size(row: &Symbol, qty: E8) -> String {
    match row.market {
        Market::Spot => short(qty),
        Market::Usdm => {
            short(i64::try_from(mul_div(i128::from(qty), ONE_E8, contract(row))).unwrap_or(i64::MAX))
        }
    }
}
