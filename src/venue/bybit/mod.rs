//! Bybit v5: spot and USDT perpetuals, what is told without a key.
//!
//! Owns:  the [`OPEN`] table and the hosts.
//! Never: decides, or signs; every function here turns bytes into values or values into bytes.
//! Wire:  bybit.md. Inverse, USDC, dated and non-crypto contracts are left out; forms older than v5 are refused.

mod feed;
mod limits;
mod listing;
mod market;

use super::open::{Open, Ping};
use super::{Ask, Endpoint};
use crate::units::{LegKind, VenueId};

const ID: VenueId = VenueId(1);

/// Bybit's line in [`super::EVERY`].
pub static OPEN: Open = Open {
    id: ID,
    name: "bybit",
    endpoints: &[
        Endpoint { name: "rest", url: "https://api.bybit.com", leg: LegKind::Perp },
        Endpoint { name: "ws_public_spot", url: "wss://stream.bybit.com", leg: LegKind::Spot },
        Endpoint { name: "ws_public_linear", url: "wss://stream.bybit.com", leg: LegKind::Perp },
    ],
    rest: |_| "rest",
    limits: &limits::DOCUMENTED,
    path_limit: None,
    listing_request: |leg| listing::request(leg, ""),
    read_listing: listing::read,
    feeds: feed::plans,
    decode: feed::decode,
    parse: feed::parse,
    ping: Ping::Text(r#"{"op":"ping"}"#),
    time_request: |_| Ask::plain("/v5/market/time".to_owned()),
    read_time: market::read_time,
    tickers: &market::TICKERS,
    settled: Some(market::SETTLED),
    counted: limits::counted,
};

/// The venue's word for a market.
const fn category(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "spot",
        LegKind::Perp => "linear",
    }
}
