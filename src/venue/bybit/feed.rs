//! Bybit's market data: best bid and ask, and the answers to what we send.
//!
//! Owns:  the topics we subscribe, and reading their messages into [`Heard`].
//! Never: merges: level 1 is snapshots only, each replaces the quote; a delta of it is refused.
//! Wire:  bybit.md §1 (sockets, acks, pongs) and §3.1. The layout seen on the wire is scanned literally, and the
//!        other order of `ts` and `type`; every other one goes to the general parser.
//! Quirk: `u` starts again at 1 when the service restarts, so a quote's sequence is `seq`, which goes on. `cts` is
//!        the engine's stamp and stays old while an unchanged top is repeated: how late a message is, `ts` says.
//!        Marks are not streamed: a linear ticker's delta leaves out what did not change. They are asked for
//!        (`market`).

use super::{category, limits};
use crate::event::Instruments;
use crate::units::{LegKind, PairId, Price, Qty, Unix};
use crate::venue::fields::{Fields, quote, refused};
use crate::venue::json::Value;
use crate::venue::scan::Scan;
use crate::venue::symbols::Known;
use crate::venue::{FeedPlan, Heard, Refused, Scratch, Symbols, Why};
use simd_json::prelude::*;

/// What a quote's topic begins with.
const TOPIC: &str = "orderbook.1.";
/// Topics of one frame: spot takes ten, linear any number.
const fn topics_per_frame(leg: LegKind) -> usize {
    match leg {
        LegKind::Spot => 10,
        LegKind::Perp => 100,
    }
}
/// Topics of one socket: all of them together have 21,000 characters, and the longest symbol has 24.
const TOPICS_PER_SOCKET: usize = 500;
const _: () = assert!(TOPICS_PER_SOCKET * (TOPIC.len() + 24 + r#""","#.len()) <= 21_000);

/// The sockets that carry the quotes of these pairs.
pub(super) fn plans(instruments: &Instruments, pairs: &[PairId]) -> Vec<FeedPlan> {
    let mut plans = Vec::new();
    for leg in LegKind::BOTH {
        for ids in instruments.legs(pairs, leg).chunks(TOPICS_PER_SOCKET) {
            let topics: Vec<_> =
                ids.iter().map(|id| format!(r#""{TOPIC}{}""#, instruments.get(*id).symbol)).collect();
            let frame = |topics: &[String]| format!(r#"{{"op":"subscribe","args":[{}]}}"#, topics.join(","));
            let subscribe: Vec<_> = topics.chunks(topics_per_frame(leg)).map(frame).collect();
            plans.push(FeedPlan {
                endpoint: match leg {
                    LegKind::Spot => "ws_public_spot",
                    LegKind::Perp => "ws_public_linear",
                },
                path: format!("/v5/public/{}", category(leg)),
                leg,
                what: "quotes",
                confirmations: subscribe.len(),
                subscribe,
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

/// `topic,ts,type,data{s,b,a,u,seq}[,cts]`, or with `type` before `ts`.
#[inline]
fn scan(symbols: &Symbols, leg: LegKind, message: &[u8]) -> Option<Heard> {
    let mut scan = Scan::new(message);
    scan.lit(b"{\"topic\":\"orderbook.1.")?;
    let topic = scan.text()?;
    let known = symbols.find(leg, topic)?;
    let sent = if scan.maybe(b",\"ts\":") {
        let sent = scan.int()?;
        scan.lit(b",\"type\":\"snapshot\",\"data\":{\"s\":\"")?;
        sent
    } else {
        scan.lit(b",\"type\":\"snapshot\",\"ts\":")?;
        let sent = scan.int()?;
        scan.lit(b",\"data\":{\"s\":\"")?;
        sent
    };
    if scan.text()? != topic {
        return None;
    }
    let [bid, bid_qty, ask, ask_qty] = scan_book(&mut scan, known)?;
    scan.lit(b"]],\"u\":")?;
    scan.int()?;
    scan.lit(b",\"seq\":")?;
    let sequence = scan.int()?;
    scan.lit(b"}")?;
    if scan.maybe(b",\"cts\":") {
        Unix::from_ms(i64::try_from(scan.int()?).ok()?)?;
    }
    scan.lit(b"}")?;
    let sent = Unix::from_ms(i64::try_from(sent).ok()?)?;
    scan.done().then_some(quote(known, sequence, [bid, bid_qty, ask, ask_qty], Some(sent), false))
}

/// `,"b":[["…","…"]],"a":[["…","…"`
#[inline]
fn scan_book(scan: &mut Scan<'_>, known: Known) -> Option<[i64; 4]> {
    scan.lit(b",\"b\":[[\"")?;
    let bid = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let bid_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    scan.lit(b"]],\"a\":[[\"")?;
    let ask = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let ask_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    Some([bid, bid_qty, ask, ask_qty])
}

// ───────────────────────────── any layout ─────────────────────────────

/// Reads a message by its keys, whatever their order.
#[cold]
pub(super) fn parse(
    scratch: &mut Scratch,
    symbols: &Symbols,
    leg: LegKind,
    message: &[u8],
) -> Result<Heard, Refused> {
    scratch
        .read(message, |root| heard(symbols, leg, &root))
        .unwrap_or(Err(Refused { field: "", why: Why::NotJson }))
}

/// Fields of messages from before v5.
const RETIRED: [&str; 5] = ["cross_seq", "timestamp_e6", "symbolName", "request", "ret_code"];

fn heard(symbols: &Symbols, leg: LegKind, root: &Value<'_, '_>) -> Result<Heard, Refused> {
    let Some(fields) = root.as_object().map(Fields) else { return Ok(Heard::Unknown) };
    if let Some(old) = RETIRED.iter().find(|old| fields.0.get(**old).is_some()) {
        return Err(refused(old, Why::Retired));
    }
    if fields.find("topic")?.is_none() {
        return control(&fields);
    }
    match fields.text("topic")?.strip_prefix(TOPIC) {
        Some(symbol) => top(&fields, symbol, symbols, leg),
        None => Ok(Heard::Unknown),
    }
}

/// Pongs first: one kind of socket answers a ping with `op` still `ping`, another with `pong`.
fn control(fields: &Fields<'_, '_>) -> Result<Heard, Refused> {
    if fields.find("op")?.is_none() {
        return Ok(Heard::Unknown);
    }
    let op = fields.text("op")?;
    if op == "pong" || op == "ping" && fields.find("ret_msg")?.is_some() {
        return Ok(Heard::Pong);
    }
    match fields.find("success")?.map(|value| value.as_bool().ok_or(refused("success", Why::Type))) {
        Some(Ok(true)) if op == "subscribe" => Ok(Heard::Confirmed),
        Some(Ok(true)) | None => Ok(Heard::Unknown),
        Some(Ok(false)) => {
            let code = fields.find("retCode")?.and_then(|code| code.as_i64());
            Ok(Heard::Rejected { code: code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0) })
        }
        Some(Err(bad)) => Err(bad),
    }
}

fn top(fields: &Fields<'_, '_>, topic: &str, symbols: &Symbols, leg: LegKind) -> Result<Heard, Refused> {
    if fields.text("type")? != "snapshot" {
        return Err(refused("type", Why::Change));
    }
    let data = fields.within("data")?;
    if data.text("s")? != topic {
        return Err(refused("s", Why::Differs));
    }
    let Some(known) = symbols.find(leg, topic.as_bytes()) else { return Ok(Heard::Unknown) };
    let ([bid, bid_qty], [ask, ask_qty]) = (data.level("b", known)?, data.level("a", known)?);
    data.uint("u")?;
    if fields.find("cts")?.is_some() {
        fields.stamp("cts")?;
    }
    let sent = fields.stamp("ts")?;
    Ok(quote(known, data.uint("seq")?, [bid, bid_qty, ask, ask_qty], Some(sent), true))
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
