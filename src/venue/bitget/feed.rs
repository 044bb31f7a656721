//! Bitget's market data: best bid and ask, marks, and the answers to what we send.
//!
//! Owns:  the topics we subscribe, and reading their messages into [`Heard`].
//! Never: takes a message of v1 or v2, whose `channel` stands where v3 has `topic`.
//! Wire:  bitget.md §1 (acks, errors) and §3. The layout seen on the wire, and the one its page shows, are scanned
//!        literally; every other one goes to the general parser.
//! Quirk: `seq` passes 2^53 and jumps; two servers may count apart. The inner `ts` is text and tells when the book was
//!        so, the outer a number and tells when it was sent. The ticker of a future is its mark and funding stream.

use super::{inst_type, limits};
use crate::event::Instruments;
use crate::units::{LegKind, PairId, Price, Qty, Unix};
use crate::venue::answer::number;
use crate::venue::fields::{Fields, quote, refused};
use crate::venue::json::Value;
use crate::venue::scan::Scan;
use crate::venue::symbols::Known;
use crate::venue::{FeedPlan, Heard, Refused, Scratch, Symbols, Why};

/// Topics of one socket and one frame: a thousand are allowed, fewer than fifty advised.
const TOPICS: usize = 48;

/// The sockets that carry the quotes of these pairs, and the marks of their perps.
pub(super) fn plans(instruments: &Instruments, pairs: &[PairId]) -> Vec<FeedPlan> {
    use LegKind::{Perp, Spot};
    let mut plans = Vec::new();
    for (leg, what, topic) in
        [(Spot, "quotes", "books1"), (Perp, "quotes", "books1"), (Perp, "marks", "ticker")]
    {
        for ids in instruments.legs(pairs, leg).chunks(TOPICS) {
            let of = inst_type(leg);
            let arg = |id| {
                format!(
                    r#"{{"instType":"{of}","topic":"{topic}","symbol":"{}"}}"#,
                    instruments.get(id).symbol
                )
            };
            let args: Vec<_> = ids.iter().map(|id| arg(*id)).collect();
            plans.push(FeedPlan {
                endpoint: "ws_public",
                path: "/v3/ws/public".to_owned(),
                leg,
                what,
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

// ───────────────────────────── known layouts ─────────────────────────────

/// `action,arg{instType,topic,symbol},data[{a,b,checksum,seq,pseq,ts}],ts` as on the wire, or with `symbol` before
/// `topic`, without `checksum`, and with `pseq` before `seq`, as its page has it.
#[inline]
fn scan(symbols: &Symbols, leg: LegKind, message: &[u8]) -> Option<Heard> {
    let mut scan = Scan::new(message);
    scan.lit(b"{\"action\":\"snapshot\",\"arg\":{\"instType\":\"")?;
    match leg {
        LegKind::Spot => scan.lit(b"spot\",\"")?,
        LegKind::Perp => scan.lit(b"usdt-futures\",\"")?,
    }
    let symbol = if scan.maybe(b"topic\":\"books1\",\"symbol\":\"") {
        scan.text()?
    } else {
        scan.lit(b"symbol\":\"")?;
        let symbol = scan.text()?;
        scan.lit(b",\"topic\":\"books1\"")?;
        symbol
    };
    let known = symbols.find(leg, symbol)?;
    let book = scan_book(&mut scan, known)?;
    if scan.maybe(b",\"checksum\":") {
        scan.int()?;
    }
    let sequence = if scan.maybe(b",\"seq\":") {
        let sequence = scan.int()?;
        scan.lit(b",\"pseq\":")?;
        scan.int()?;
        sequence
    } else {
        scan.lit(b",\"pseq\":")?;
        scan.int()?;
        scan.lit(b",\"seq\":")?;
        scan.int()?
    };
    scan.lit(b",\"ts\":\"")?;
    stamp(scan.int()?)?;
    scan.lit(b"\"}],\"ts\":")?;
    let sent = stamp(scan.int()?)?;
    scan.lit(b"}")?;
    scan.done().then_some(quote(known, sequence, book, Some(sent), false))
}

/// `},"data":[{"a":[["…","…"]],"b":[["…","…"]]`
#[inline]
fn scan_book(scan: &mut Scan<'_>, known: Known) -> Option<[i64; 4]> {
    scan.lit(b"},\"data\":[{\"a\":[[\"")?;
    let ask = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let ask_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    scan.lit(b"]],\"b\":[[\"")?;
    let bid = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"")?;
    let bid_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    scan.lit(b"]]")?;
    Some([bid, bid_qty, ask, ask_qty])
}

#[inline]
fn stamp(ms: u64) -> Option<Unix> {
    Unix::from_ms(i64::try_from(ms).ok()?)
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
    let arg = fields.find("arg")?.map(|arg| arg.as_object().map(Fields).ok_or(refused("arg", Why::Type)));
    let arg = arg.transpose()?;
    // Acks of v1 and v2 confirm nothing that we asked for, either.
    if arg.as_ref().is_some_and(|arg| arg.0.get("channel").is_some()) {
        return Err(refused("channel", Why::Retired));
    }
    if fields.find("event")?.is_some() {
        return event(&fields);
    }
    let Some(arg) = arg.filter(|_| fields.0.get("data").is_some()) else { return Ok(Heard::Unknown) };
    if arg.text("instType")? != inst_type(leg) {
        return Ok(Heard::Unknown);
    }
    match (arg.text("topic")?, leg) {
        ("books1", _) => top(&fields, &arg, symbols, leg),
        ("ticker", LegKind::Perp) => mark(&fields, &arg, symbols),
        _ => Ok(Heard::Unknown),
    }
}

/// Answers to our own frames, and what the venue says of itself. A code is a number here and text there.
fn event(fields: &Fields<'_, '_>) -> Result<Heard, Refused> {
    match fields.text("event")? {
        "subscribe" => Ok(Heard::Confirmed),
        "error" => match number(&fields.get("code")?).ok_or(refused("code", Why::Type))? {
            30_033 => Ok(Heard::Shutdown),
            code => Ok(Heard::Rejected { code }),
        },
        _ => Ok(Heard::Unknown),
    }
}

/// The only row of a push.
fn only<'t, 'i>(fields: &Fields<'t, 'i>) -> Result<Fields<'t, 'i>, Refused> {
    if fields.text("action")? != "snapshot" {
        return Err(refused("action", Why::Change));
    }
    fields.only("data")
}

fn top(
    fields: &Fields<'_, '_>,
    arg: &Fields<'_, '_>,
    symbols: &Symbols,
    leg: LegKind,
) -> Result<Heard, Refused> {
    let Some(known) = symbols.find(leg, arg.text("symbol")?.as_bytes()) else { return Ok(Heard::Unknown) };
    let row = only(fields)?;
    let ([bid, bid_qty], [ask, ask_qty]) = (row.level("b", known)?, row.level("a", known)?);
    row.stamp_text("ts")?;
    row.uint("pseq")?;
    let sent = fields.stamp("ts")?;
    Ok(quote(known, row.uint("seq")?, [bid, bid_qty, ask, ask_qty], Some(sent), true))
}

/// Every push has all fields, so what is empty is not there.
fn mark(fields: &Fields<'_, '_>, arg: &Fields<'_, '_>, symbols: &Symbols) -> Result<Heard, Refused> {
    let Some(known) = symbols.find(LegKind::Perp, arg.text("symbol")?.as_bytes()) else {
        return Ok(Heard::Unknown);
    };
    let row = only(fields)?;
    Ok(Heard::Mark {
        instrument: known.id,
        mark: row.mark("markPrice", known)?.ok_or(refused("markPrice", Why::Missing))?,
        funding: row.rate("fundingRate")?,
        next_funding: row.moment("nextFundingTime")?,
        stamp: fields.stamp("ts")?,
    })
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
