//! Binance spot streams in SBE: stream names, and the bytes of every event.
//!
//! Owns:  schema 1 as this venue sends it: best bid and ask, trades, depth, all times in µs.
//! Never: wraps an event: it names its symbol itself, on combined sockets too.
//! Wire:  binance.md §3; fixtures `spot_sbe_*`.
//! Quirk: exponents are the largest that fit the numbers of the message, so they change from one to the next. Events
//!        are never culled here; a client learns of jumps from `late_quote`, `mute` and `lag`.

use super::super::super::config::Market;
use super::super::super::exchange::{Exchange, US};
use super::super::super::hub::Feed;
use super::super::super::listing::SymbolId;
use super::super::super::market::Level;
use super::super::super::number::{E8, decimals_used};

const SCHEMA: u16 = 1;
const VERSION: u16 = 0;

/// What a stream name means on an SBE socket; `None`: nothing.
pub(super) fn feed(exchange: &Exchange, name: &str) -> Option<Feed> {
    let (symbol, kind) = name.split_once('@')?;
    let id = exchange.listing.find_lower(Market::Spot, symbol)?;
    let feed = match kind {
        "bestBidAsk" => Feed::BestBidAsk(id),
        "depth20" => Feed::Partial(id, 20, 50),
        // What a tape has of these it has as text.
        _ if exchange.tape.is_some() => return None,
        "trade" => Feed::Trade(id),
        "depth" => Feed::Diff(id, 20),
        _ => return None,
    };
    Some(feed)
}

/// The header of a message.
fn header(block: u16, template: u16) -> Vec<u8> {
    [block, template, SCHEMA, VERSION].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The largest exponent that loses nothing of these numbers, and what it divides them by.
fn exponent(numbers: impl Iterator<Item = E8>) -> (i8, E8) {
    let decimals = numbers.map(decimals_used).max().unwrap_or(0);
    (-(decimals as i8), 10i64.pow(8 - u32::from(decimals)))
}

fn put(out: &mut Vec<u8>, word: i64) {
    out.extend_from_slice(&word.to_le_bytes());
}

fn put_symbol(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

/// Box time in µs, as a field.
fn now_us(exchange: &Exchange) -> i64 {
    (exchange.clock() / US) as i64
}

/// The best quote of a symbol; `spoil` puts a bid price of twenty digits in.
pub(in crate::sim) fn best_bid_ask(exchange: &Exchange, id: SymbolId, spoil: bool) -> Vec<u8> {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let (bid, ask) = (book.bid(), book.ask());
    let (mut price_exponent, price_unit) = exponent([bid.price, ask.price].into_iter());
    let (qty_exponent, qty_unit) = exponent([bid.qty, ask.qty].into_iter());
    let mut bid_price = bid.price / price_unit;
    if spoil {
        (bid_price, price_exponent) = (123_456_789_012_345_678, 2);
    }
    let mut out = header(50, 10_001);
    put(&mut out, now_us(exchange));
    put(&mut out, book.update_id as i64);
    out.extend_from_slice(&[price_exponent.to_le_bytes()[0], qty_exponent.to_le_bytes()[0]]);
    for word in [bid_price, bid.qty / qty_unit, ask.price / price_unit, ask.qty / qty_unit] {
        put(&mut out, word);
    }
    put_symbol(&mut out, &row.name);
    out
}

/// Levels of a book: all of its best, or what has changed since the update id `since`.
pub(super) fn depth(
    exchange: &Exchange,
    id: SymbolId,
    since: Option<u64>,
    sides: &[Vec<Level>; 2],
) -> Vec<u8> {
    let book = &exchange.books[id];
    let levels = || sides.iter().flatten();
    let (price_exponent, price_unit) = exponent(levels().map(|level| level.price));
    let (qty_exponent, qty_unit) = exponent(levels().map(|level| level.qty));
    let mut out = if since.is_some() { header(26, 10_003) } else { header(18, 10_002) };
    put(&mut out, now_us(exchange));
    if let Some(first) = since {
        put(&mut out, first as i64);
    }
    put(&mut out, book.update_id as i64);
    out.extend_from_slice(&[price_exponent.to_le_bytes()[0], qty_exponent.to_le_bytes()[0]]);
    for side in sides {
        for word in [16, side.len() as u16] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for level in side {
            put(&mut out, level.price / price_unit);
            put(&mut out, level.qty / qty_unit);
        }
    }
    put_symbol(&mut out, &exchange.listing.symbols[id].name);
    out
}

/// A fill of ours as the trade stream shows it.
pub(in crate::sim) fn trade(exchange: &Exchange, fill: usize) -> Vec<u8> {
    let fill = &exchange.log.fills[fill];
    let (price_exponent, price_unit) = exponent(std::iter::once(fill.price));
    let (qty_exponent, qty_unit) = exponent(std::iter::once(fill.qty));
    let buys = exchange.log.orders[fill.order].side.sign() > 0;
    let mut out = header(18, 10_000);
    put(&mut out, now_us(exchange));
    put(&mut out, fill.time_us as i64);
    out.extend_from_slice(&[price_exponent.to_le_bytes()[0], qty_exponent.to_le_bytes()[0]]);
    out.extend_from_slice(&25u16.to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    put(&mut out, fill.trade_id as i64);
    put(&mut out, fill.price / price_unit);
    put(&mut out, fill.qty / qty_unit);
    out.push(u8::from(buys == fill.maker));
    put_symbol(&mut out, &exchange.listing.symbols[fill.symbol].name);
    out
}
