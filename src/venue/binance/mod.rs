//! Binance: spot and USD-M futures.
//!
//! Owns:  the [`VENUE`] table and the hosts.
//! Never: decides; every function here turns bytes into values or values into bytes.
//! Wire:  binance.md. COIN-M, delivery and TradFi contracts are left out.

mod account;
mod answers;
mod audit;
mod brackets;
mod feed;
mod funding;
mod limits;
mod listing;
pub(super) mod orders;
mod standing;
mod user;

use super::{Endpoint, Venue};
use crate::units::{LegKind, VenueId};

/// Binance's line in [`super::ALL`].
pub static VENUE: Venue = Venue {
    id: VenueId(0),
    name: "binance",
    endpoints: &[
        Endpoint { name: "spot_rest", url: "https://api.binance.com", leg: LegKind::Spot },
        Endpoint { name: "spot_ws", url: "wss://stream.binance.com:9443", leg: LegKind::Spot },
        Endpoint { name: "spot_ws_api", url: "wss://ws-api.binance.com:443", leg: LegKind::Spot },
        Endpoint { name: "usdm_rest", url: "https://fapi.binance.com", leg: LegKind::Perp },
        Endpoint { name: "usdm_ws", url: "wss://fstream.binance.com", leg: LegKind::Perp },
        Endpoint { name: "usdm_ws_api", url: "wss://ws-fapi.binance.com", leg: LegKind::Perp },
    ],
    rest,
    limits: &limits::DOCUMENTED,
    listing_requests: listing::requests,
    read_listing: listing::read,
    relisting_requests: listing::again,
    reference_requests: account::reference_requests,
    read_reference: account::read_reference,
    feeds: feed::plans,
    decode: feed::decode,
    time_request: account::time_request,
    read_time: account::read_time,
    marks_request: account::marks_request,
    read_marks: account::read_marks,
    fees_requests: account::fees_requests,
    read_fees: account::read_fees,
    form: orders::OrderForm::new,
    order_query: account::order_query,
    trades_query: account::trades_query,
    warm_request: account::time_request,
    order_weight: limits::order_weight,
    counted: limits::counted,
    read_answer: answers::read_answer,
    read_query: answers::read_query,
    read_trades: answers::read_trades,
    user: user::STREAM,
    audit: audit::AUDIT,
    funding: funding::FUNDING,
    standing: standing::STANDING,
};

const fn rest(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "spot_rest",
        LegKind::Perp => "usdm_rest",
    }
}
