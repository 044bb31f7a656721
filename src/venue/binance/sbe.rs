//! Binance spot quotes as SBE: what an SBE socket is asked for, and what its binary frames say.
//!
//! Owns:  the streams of such a socket, the header of its upgrade, and reading its frames into [`Heard`].
//! Never: allocates, keeps an exponent for the next message, or believes a length that it did not check.
//! Wire:  binance.md §3: schema 1, version 0, little endian, fields not aligned. Only spot has it; what comes as
//!        text on the same socket (answers to SUBSCRIBE, `serverShutdown`) is JSON, and not read here.
//! Quirk: under load the venue leaves out a best bid and ask that a newer one has overtaken: update ids jump,
//!        and nothing is lost by it.

use super::account::KEY_HEADER;
use super::feed::{self, Spot};
use crate::event::Instruments;
use crate::units::decimal::{BadDecimal, Rescale, rescaled};
use crate::units::{LegKind, PairId, Price, Qty, Unix};
use crate::venue::fields::{quote, refused};
use crate::venue::heard::Binary;
use crate::venue::symbols::Known;
use crate::venue::{FeedPlan, Heard, Refused, Symbols, Why};

/// What the rest of the engine knows of it.
pub(super) const BINARY: Binary = Binary {
    endpoint: SPOT.endpoint,
    feeds: plans,
    headers: |key| vec![(KEY_HEADER, key.api().to_owned())],
    decode,
    advice: "the venue lets nobody read SBE without an API key in X-MBX-APIKEY, of the kind Ed25519, and from an \
             address of its IP list: give the key file one, or read quotes as JSON with `--feed json`",
};

/// The companion's stamps are of every 50 ms, and at most 20 levels long, which nobody walks.
const SPOT: Spot = Spot { endpoint: "spot_sbe", quotes: "@bestBidAsk", companion: "@depth20" };

/// The one schema of these streams.
const SCHEMA: u16 = 1;
/// Bytes before the block that says how long it is.
const HEADER: usize = 8;
/// `BestBidAskStreamEvent`, and how long its block is at least.
const BEST_BID_ASK: u16 = 10_001;
const BEST_BLOCK: usize = 50;
/// `DepthSnapshotStreamEvent`, likewise.
const DEPTH_SNAPSHOT: u16 = 10_002;
const DEPTH_BLOCK: usize = 18;
/// The header of a best bid and ask as it is today: length, template and schema, the first lowest. The version may be any.
const BEST_TODAY: u64 = BEST_BLOCK as u64 | (BEST_BID_ASK as u64) << 16 | (SCHEMA as u64) << 32;

fn plans(instruments: &Instruments, pairs: &[PairId]) -> Vec<FeedPlan> {
    feed::plans_of(instruments, pairs, &SPOT)
}

/// Reads one binary message.
///
/// # Errors
///
/// [`Refused`] names the field that can't be believed.
#[inline]
fn decode(symbols: &Symbols, leg: LegKind, message: &[u8]) -> Result<Heard, Refused> {
    let (header, body) = message.split_first_chunk::<HEADER>().ok_or(refused("header", Why::Missing))?;
    // Nearly every message: one comparison, and no offset that waits for what was read.
    if u64::from_le_bytes(*header) << 16 == BEST_TODAY << 16
        && leg == LegKind::Spot
        && let Some((block, rest)) = body.split_first_chunk()
    {
        return best(symbols, block, rest);
    }
    decode_any(symbols, leg, header, body)
}

/// A message of any length and kind.
#[inline(never)]
fn decode_any(symbols: &Symbols, leg: LegKind, header: &[u8; HEADER], body: &[u8]) -> Result<Heard, Refused> {
    let cut = |field| refused(field, Why::Missing);
    let [length, template, schema, _version] =
        [0, 2, 4, 6].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
    if schema != SCHEMA {
        return Err(refused("schemaId", Why::Schema));
    }
    // A longer block than ours is a newer one: what was added to it stands behind what we know.
    let (block, rest) = body.split_at_checked(usize::from(length)).ok_or(cut("blockLength"))?;
    match (leg, template) {
        (LegKind::Spot, BEST_BID_ASK) => {
            best(symbols, block.first_chunk::<BEST_BLOCK>().ok_or(cut("blockLength"))?, rest)
        }
        (LegKind::Spot, DEPTH_SNAPSHOT) => {
            let block = block.first_chunk::<DEPTH_BLOCK>().ok_or(cut("blockLength"))?;
            Ok(Heard::Stamp(stamp(word(block, 0))?))
        }
        _ => Ok(Heard::Unknown),
    }
}

/// Where the best bid and ask stand. Offsets are those of the page less the header.
const BOOK: [(&str, usize); 4] = [("bidPrice", 18), ("bidQty", 26), ("askPrice", 34), ("askQty", 42)];

#[inline(always)]
fn best(symbols: &Symbols, block: &[u8; BEST_BLOCK], rest: &[u8]) -> Result<Heard, Refused> {
    let named = rest.split_first().and_then(|(length, text)| text.get(..usize::from(*length)));
    let symbol = named.ok_or(refused("symbol", Why::Missing))?;
    let Some(known) = symbols.find(LegKind::Spot, symbol) else { return Ok(Heard::Unknown) };
    match book(known, block) {
        Some(book) => told(known, block, book),
        None => told(known, block, book_slowly(known, block)?),
    }
}

#[inline(always)]
fn told(known: Known, block: &[u8; BEST_BLOCK], book: [i64; 4]) -> Result<Heard, Refused> {
    let sequence =
        u64::try_from(word(block, 8)).map_err(|_| refused("bookUpdateId", BadDecimal::Range.into()))?;
    Ok(quote(known, sequence, book, Some(stamp(word(block, 0))?), false))
}

/// The best bid and ask, if they are as nearly all are.
#[inline(always)]
fn book(known: Known, block: &[u8; BEST_BLOCK]) -> Option<[i64; 4]> {
    let prices = Rescale::new(block[16].cast_signed(), known.price_decimals, Price::MAX.0)?;
    let quantities = Rescale::new(block[17].cast_signed(), known.qty_decimals, Qty::MAX.0)?;
    let [bid, bid_qty, ask, ask_qty] = BOOK.map(|(_, at)| word(block, at));
    Some([prices.of(bid)?, quantities.of(bid_qty)?, prices.of(ask)?, quantities.of(ask_qty)?])
}

/// As [`book`], whatever they are.
#[cold]
fn book_slowly(known: Known, block: &[u8; BEST_BLOCK]) -> Result<[i64; 4], Refused> {
    let mut book = [0; 4];
    for (place, (field, at)) in BOOK.into_iter().enumerate() {
        let (exponent, scale, max) = match place & 1 {
            0 => (block[16], known.price_decimals, Price::MAX.0),
            _ => (block[17], known.qty_decimals, Qty::MAX.0),
        };
        let number = rescaled(word(block, at), exponent.cast_signed(), scale, max);
        book[place] = number.map_err(|bad| refused(field, bad.into()))?;
    }
    Ok(book)
}

#[inline]
fn stamp(us: i64) -> Result<Unix, Refused> {
    Unix::from_us(us).ok_or(refused("eventTime", Why::Stamp))
}

/// The eight bytes at an offset, which is always a number of this file's.
#[inline]
fn word(block: &[u8], at: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&block[at..at + 8]);
    i64::from_le_bytes(bytes)
}

#[cfg(test)]
#[path = "sbe_tests.rs"]
mod tests;
