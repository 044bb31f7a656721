//! OKX's market data: best bid and ask, and the answers to what we send.
//!
//! Owns:  the channels we subscribe, and reading their messages into [`Heard`].
//! Never: walks a book, or checks a checksum: since 2026-06 it is always 0, and a message with another is of before.
//! Wire:  okx.md §1 (acks, notices) and §3.1. The layout seen on the wire is scanned literally; every other one goes
//!        to the general parser.
//! Quirk: a swap's quantities are contracts. Marks are not streamed: mark and funding come on two channels, the
//!        latter every minute or so. They are asked for (`market`). The two markets share one host, not one socket,
//!        because a socket's stamps are one market's.

use super::limits;
use crate::event::Instruments;
use crate::units::{LegKind, PairId, Price, Qty, Unix};
use crate::venue::answer::number;
use crate::venue::fields::{Fields, quote, refused};
use crate::venue::json::Value;
use crate::venue::scan::Scan;
use crate::venue::{FeedPlan, Heard, Refused, Scratch, Symbols, Why};
use simd_json::prelude::*;

/// Channels of one socket and one frame (§14): a subscription of fifty has some three of the 64 KB allowed, and one
/// of the 480 an hour.
const CHANNELS: usize = 50;

/// The sockets that carry the quotes of these pairs.
pub(super) fn plans(instruments: &Instruments, pairs: &[PairId]) -> Vec<FeedPlan> {
    let mut plans = Vec::new();
    for leg in LegKind::BOTH {
        for ids in instruments.legs(pairs, leg).chunks(CHANNELS) {
            let arg = |id| format!(r#"{{"channel":"bbo-tbt","instId":"{}"}}"#, instruments.get(id).symbol);
            let args: Vec<_> = ids.iter().map(|id| arg(*id)).collect();
            plans.push(FeedPlan {
                endpoint: "ws_public",
                path: "/ws/v5/public".to_owned(),
                leg,
                what: "quotes",
                subscribe: vec![format!(r#"{{"op":"subscribe","args":[{}]}}"#, args.join(","))],
                // Each arg has an answer of its own.
                confirmations: ids.len(),
                rules: limits::RULES,
                instruments: ids.to_vec(),
            });
        }
    }
    plans
}

/// Reads one message.
///
/// # Errors
///
/// [`Refused`] names the field that can't be believed.
pub(super) fn decode(
    scratch: &mut Scratch,
    symbols: &Symbols,
    leg: LegKind,
    message: &[u8],
) -> Result<Heard, Refused> {
    match scan(symbols, leg, message) {
        Some(heard) => Ok(heard),
        None => parse(scratch, symbols, leg, message),
    }
}

// ───────────────────────────── the known layout ─────────────────────────────

/// `arg{channel,instId},data[{asks,bids,ts,seqId}]`
#[inline]
fn scan(symbols: &Symbols, leg: LegKind, message: &[u8]) -> Option<Heard> {
    let mut scan = Scan::new(message);
    scan.lit(b"{\"arg\":{\"channel\":\"bbo-tbt\",\"instId\":\"")?;
    let known = symbols.find(leg, scan.text()?)?;
    scan.lit(b"},\"data\":[{\"asks\":[[\"")?;
    let ask = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let ask_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    rest_of_level(&mut scan)?;
    scan.lit(b",\"bids\":[[\"")?;
    let bid = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let bid_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    rest_of_level(&mut scan)?;
    scan.lit(b",\"ts\":\"")?;
    let sent = scan.int()?;
    scan.lit(b"\",\"seqId\":")?;
    let sequence = scan.int()?;
    scan.lit(b"}]}")?;
    let sent = Unix::from_ms(i64::try_from(sent).ok()?)?;
    scan.done().then_some(quote(known, sequence, [bid, bid_qty, ask, ask_qty], Some(sent), false))
}

/// `,"0","…"]]`: a field of old, and how many orders there are.
#[inline]
fn rest_of_level(scan: &mut Scan<'_>) -> Option<()> {
    scan.lit(b",\"0\",\"")?;
    scan.text()?;
    scan.lit(b"]]")
}

// ───────────────────────────── any layout ─────────────────────────────

/// Reads a message by its keys, whatever their order. A pong is no JSON.
#[cold]
pub(super) fn parse(
    scratch: &mut Scratch,
    symbols: &Symbols,
    leg: LegKind,
    message: &[u8],
) -> Result<Heard, Refused> {
    if message == b"pong" {
        return Ok(Heard::Pong);
    }
    scratch
        .read(message, |root| heard(symbols, leg, &root))
        .unwrap_or(Err(Refused { field: "", why: Why::NotJson }))
}

fn heard(symbols: &Symbols, leg: LegKind, root: &Value<'_, '_>) -> Result<Heard, Refused> {
    let Some(fields) = root.as_object().map(Fields) else { return Ok(Heard::Unknown) };
    if fields.find("event")?.is_some() {
        return event(&fields);
    }
    if fields.find("arg")?.is_none() || fields.find("data")?.is_none() {
        return Ok(Heard::Unknown);
    }
    let arg = fields.within("arg")?;
    let channel = arg.text("channel")?;
    if channel != "bbo-tbt" && !channel.starts_with("books") {
        return Ok(Heard::Unknown);
    }
    let row = fields.only("data")?;
    if row.find("checksum")?.is_some_and(|sum| sum.as_i64() != Some(0)) {
        return Err(refused("checksum", Why::Retired));
    }
    if channel != "bbo-tbt" {
        return Ok(Heard::Unknown);
    }
    if fields.find("action")?.is_some() {
        return Err(refused("action", Why::Change));
    }
    let Some(known) = symbols.find(leg, arg.text("instId")?.as_bytes()) else { return Ok(Heard::Unknown) };
    let ([bid, bid_qty], [ask, ask_qty]) = (row.level("bids", known)?, row.level("asks", known)?);
    let sent = row.stamp_text("ts")?;
    Ok(quote(known, row.uint("seqId")?, [bid, bid_qty, ask, ask_qty], Some(sent), true))
}

/// Answers to our own frames, and what the venue says of itself.
fn event(fields: &Fields<'_, '_>) -> Result<Heard, Refused> {
    let code = || match fields.find("code")? {
        None => Ok(0),
        Some(code) => number(&code).ok_or(refused("code", Why::Type)),
    };
    match fields.text("event")? {
        "subscribe" => Ok(Heard::Confirmed),
        "notice" if code()? == 64_008 => Ok(Heard::Shutdown),
        "error" | "channel-conn-count-error" => Ok(Heard::Rejected { code: code()? }),
        _ => Ok(Heard::Unknown),
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
