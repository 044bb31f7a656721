//! OKX v5: spot and USDT-margined swaps, what is told without a key.
//!
//! Owns:  the [`OPEN`] table and the hosts.
//! Never: decides, or signs; every function here turns bytes into values or values into bytes.
//! Wire:  okx.md. Inverse, dated, USD-margined and non-crypto contracts are left out; books with checksums are refused.
//! Quirk: which host serves an account is its region's matter: `--endpoint` says another. Swaps count contracts.

mod feed;
mod limits;
mod listing;
mod market;

use super::open::{Open, Ping};
use super::{Ask, Endpoint};
use crate::units::{LegKind, VenueId};

const ID: VenueId = VenueId(2);

/// OKX's line in [`super::EVERY`].
pub static OPEN: Open = Open {
    id: ID,
    name: "okx",
    endpoints: &[
        Endpoint { name: "rest", url: "https://www.okx.com", leg: LegKind::Perp },
        Endpoint { name: "ws_public", url: "wss://ws.okx.com:8443", leg: LegKind::Perp },
    ],
    rest: |_| "rest",
    limits: &[],
    path_limit: Some(limits::OF_A_PATH),
    listing_request: listing::request,
    read_listing: listing::read,
    feeds: feed::plans,
    decode: feed::decode,
    parse: feed::parse,
    ping: Ping::Text("ping"),
    time_request: |_| Ask::plain("/api/v5/public/time".to_owned()),
    read_time: market::read_time,
    tickers: &market::TICKERS,
    settled: Some(market::SETTLED),
    counted: limits::counted,
};

/// The venue's word for a market.
const fn kind(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "SPOT",
        LegKind::Perp => "SWAP",
    }
}
