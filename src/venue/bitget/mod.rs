//! Bitget's unified account, v3: spot and USDT futures, what is told without a key.
//!
//! Owns:  the [`OPEN`] table and the hosts.
//! Never: decides, or signs; every function here turns bytes into values or values into bytes.
//! Wire:  bitget.md. Coin- and USDC-margined, dated and non-crypto contracts are left out; messages of v1 and v2 are
//!        refused. Two REST paths are v2's, for want of their like in v3: the clock, and the funding of all symbols.

mod feed;
mod limits;
mod listing;
mod market;

use super::open::{Open, Ping};
use super::{Ask, Endpoint};
use crate::units::{LegKind, VenueId};

const ID: VenueId = VenueId(3);

/// Bitget's line in [`super::EVERY`].
pub static OPEN: Open = Open {
    id: ID,
    name: "bitget",
    endpoints: &[
        Endpoint { name: "rest", url: "https://api.bitget.com", leg: LegKind::Perp },
        Endpoint { name: "ws_public", url: "wss://ws.bitget.com", leg: LegKind::Perp },
    ],
    rest: |_| "rest",
    limits: &limits::DOCUMENTED,
    path_limit: Some(limits::OF_A_PATH),
    listing_request: listing::request,
    read_listing: listing::read,
    feeds: feed::plans,
    decode: feed::decode,
    parse: feed::parse,
    ping: Ping::Text("ping"),
    time_request: |_| Ask::plain("/api/v2/public/time".to_owned()),
    read_time: market::read_time,
    tickers: &market::TICKERS,
    settled: Some(market::SETTLED),
    counted: limits::counted,
};

/// The venue's word for a market in REST.
const fn category(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "SPOT",
        LegKind::Perp => "USDT-FUTURES",
    }
}

/// Its word for it on sockets.
const fn inst_type(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "spot",
        LegKind::Perp => "usdt-futures",
    }
}
