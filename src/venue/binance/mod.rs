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
mod logon;
pub(super) mod orders;
mod sbe;
mod standing;
mod tickers;
mod user;

use super::open::{Open, Ping};
use super::order_socket::OrderSocket;
use super::{Endpoint, Venue};
use crate::units::{LegKind, VenueId};

const ID: VenueId = VenueId(0);

/// Binance's line in [`super::ALL`].
pub static VENUE: Venue = Venue {
    open: Open {
        id: ID,
        name: "binance",
        endpoints: &[
            Endpoint { name: "spot_rest", url: "https://api.binance.com", leg: LegKind::Spot },
            Endpoint { name: "spot_ws", url: "wss://stream.binance.com:9443", leg: LegKind::Spot },
            Endpoint { name: "spot_sbe", url: "wss://stream-sbe.binance.com:9443", leg: LegKind::Spot },
            Endpoint { name: "spot_ws_api", url: "wss://ws-api.binance.com:443", leg: LegKind::Spot },
            Endpoint { name: "usdm_rest", url: "https://fapi.binance.com", leg: LegKind::Perp },
            Endpoint { name: "usdm_ws", url: "wss://fstream.binance.com", leg: LegKind::Perp },
            Endpoint { name: "usdm_ws_api", url: "wss://ws-fapi.binance.com", leg: LegKind::Perp },
        ],
        rest,
        limits: &limits::DOCUMENTED,
        path_limit: None,
        listing_request: listing::request,
        read_listing: listing::read,
        feeds: feed::plans,
        decode: feed::decode,
        parse: feed::parse,
        ping: Ping::Frame,
        time_request: account::time_request,
        read_time: account::read_time,
        tickers: &tickers::TICKERS,
        settled: None,
        counted: limits::counted,
    },
    binary: sbe::BINARY,
    relisting_requests: listing::again,
    reference_requests: account::reference_requests,
    read_reference: account::read_reference,
    marks_request: account::marks_request,
    read_marks: account::read_marks,
    fees_requests: account::fees_requests,
    read_fees: account::read_fees,
    form: orders::OrderForm::new,
    order_socket: OrderSocket {
        endpoint: socket,
        path: |leg| match leg {
            LegKind::Spot => "/ws-api/v3?returnRateLimits=false",
            LegKind::Perp => "/ws-fapi/v1?returnRateLimits=false",
        },
        // §1.
        weight: |leg| if leg == LegKind::Spot { 2 } else { 5 },
        rules: limits::private_rules,
        logon: logon::LOGON,
        form: orders::OrderForm::on_socket,
        read: answers::read_said,
    },
    order_query: account::order_query,
    trades_query: account::trades_query,
    warm_request: account::time_request,
    order_weight: limits::order_weight,
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

const fn socket(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "spot_ws_api",
        LegKind::Perp => "usdm_ws_api",
    }
}
