//! Dialects: how each venue speaks over the box's one engine.
//!
//! Owns:  one folder per venue, written from that venue's page, and which of them a box speaks.
//! Never: keeps state of its own.
//! Map:   `binance` all of a venue · `bybit`, `okx`, `bitget` what is told without a key, over what these three
//!        have in common (`open`).

pub(super) mod binance;
mod bitget;
mod bybit;
mod okx;
mod open;

pub(super) use open::Idle;

use super::config::{ConnId, Door, Venue};
use super::exchange::Exchange;
use super::http::Request;
use super::listing::SymbolId;

/// A whole HTTP request arrived at one of the doors.
pub(super) fn on_request(exchange: &mut Exchange, conn: ConnId, door: Door, request: &Request<'_>) {
    match speech(exchange.config.venue) {
        None => binance::on_request(exchange, conn, door, request),
        Some(speech) => open::on_request(exchange, conn, door, request, speech),
    }
}

/// A text frame from a client.
pub(super) fn on_text(exchange: &mut Exchange, conn: ConnId, text: &str) {
    match speech(exchange.config.venue) {
        None => binance::on_text(exchange, conn, text),
        Some(speech) => (speech.on_text)(exchange, conn, text),
    }
}

/// The best quote of a symbol; `spoil` puts a price of twenty digits in.
pub(super) fn book_ticker(exchange: &Exchange, id: SymbolId, spoil: bool) -> String {
    match speech(exchange.config.venue) {
        None => binance::book_ticker(exchange, id, spoil),
        Some(speech) => {
            let quote = (speech.quote)(exchange, id);
            if spoil { (speech.spoil)(&quote) } else { quote }
        }
    }
}

/// The events due on a stream of marks, funding or tickers, by its number.
pub(super) fn mark_events(exchange: &Exchange, stream: usize) -> Vec<String> {
    match speech(exchange.config.venue) {
        None => binance::mark_events(exchange, exchange.hub.streams[stream].feed),
        Some(speech) => (speech.slow)(exchange, stream, false).into_iter().collect(),
    }
}

/// Messages a client may send in a second, pings and pongs included.
pub(super) fn messages_per_second(venue: Venue, door: Door) -> u32 {
    speech(venue).map_or_else(|| binance::messages_per_second(door), |speech| speech.messages_per_second)
}

/// When a venue closes a socket for being idle; `None`: it pings, and wants pongs.
pub(super) fn keeping(venue: Venue) -> Option<Idle> {
    speech(venue).map(|speech| speech.idle)
}

fn speech(venue: Venue) -> Option<&'static open::Speech> {
    match venue {
        Venue::Binance => None,
        Venue::Bybit => Some(&bybit::SPEECH),
        Venue::Okx => Some(&okx::SPEECH),
        Venue::Bitget => Some(&bitget::SPEECH),
    }
}
