//! Binance market data: best bid and ask, marks, stamps, and the answers to SUBSCRIBE.
//!
//! Owns:  the streams we subscribe, and reading their messages into [`Heard`].
//! Never: walks a book: of `depthUpdate` only the stamp is wanted.
//! Wire:  binance.md §2 and §4; every layout that was seen on the wire is scanned literally, every
//!        other one goes to the general parser.
//! Quirk: spot `bookTicker` has neither name nor stamp, so each spot socket also carries one depth
//!        stream for its stamps. USD-M changed its fields in 2026 (`ps`, `ap`, `st`), and its
//!        documents give another order than the wire: all three are read.

use super::limits;
use crate::event::Instruments;
use crate::metal::fours::Four;
use crate::units::decimal;
use crate::units::{InstrumentId, LegKind, PairId, Price, Qty, Unix};
use crate::venue::fields::{Fields, funding_rate, mark_price, quote, refused, settlement};
use crate::venue::json::{Value, as_text};
use crate::venue::scan::Scan;
use crate::venue::symbols::Known;
use crate::venue::{FeedPlan, Heard, Refused, Scratch, Symbols, Why};
use simd_json::prelude::*;

/// Streams named in one SUBSCRIBE frame. A venue takes 5 frames a second (10 on USD-M), pings and
/// pongs included, so few large frames are better than many small ones.
const STREAMS_PER_FRAME: usize = 100;

/// Streams on one socket: 1,024 are allowed; the rest is kept for the companion.
const STREAMS_PER_SOCKET: usize = 1_000;

/// How spot's quotes are asked for.
#[derive(Debug)]
pub(super) struct Spot {
    /// Which endpoint's sockets carry them.
    pub(super) endpoint: &'static str,
    /// The stream of a symbol's best bid and ask.
    pub(super) quotes: &'static str,
    /// The stream of one symbol beside them whose stamps tell how old a socket's data is.
    pub(super) companion: &'static str,
}

const SPOT: Spot = Spot { endpoint: "spot_ws", quotes: "@bookTicker", companion: "@depth@100ms" };

/// The sockets that carry quotes and marks of these pairs.
pub(super) fn plans(instruments: &Instruments, pairs: &[PairId]) -> Vec<FeedPlan> {
    plans_of(instruments, pairs, &SPOT)
}

/// As [`plans`], with spot's quotes in any form.
pub(super) fn plans_of(instruments: &Instruments, pairs: &[PairId], form: &Spot) -> Vec<FeedPlan> {
    let mut legs = [Vec::new(), Vec::new()];
    for &pair in pairs {
        let pair = instruments.pair(pair);
        for (ids, id) in legs.iter_mut().zip([pair.spot, pair.perp]) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    let [spot, perp] = legs;
    let mut plans = Vec::new();
    for ids in spot.chunks(STREAMS_PER_SOCKET) {
        let mut streams = vec![companion(instruments, ids, form.companion)];
        streams.extend(names(instruments, ids, form.quotes));
        plans.push(plan(form.endpoint, "/stream", LegKind::Spot, "quotes", streams, ids));
    }
    for ids in perp.chunks(STREAMS_PER_SOCKET) {
        let streams = names(instruments, ids, "@bookTicker").collect();
        plans.push(plan("usdm_ws", "/public/stream", LegKind::Perp, "quotes", streams, ids));
    }
    for ids in perp.chunks(STREAMS_PER_SOCKET) {
        let streams = names(instruments, ids, "@markPrice@1s").collect();
        plans.push(plan("usdm_ws", "/market/stream", LegKind::Perp, "marks", streams, ids));
    }
    plans
}

/// The stream whose stamps tell how old a spot socket's data is: of the busiest market there is.
fn companion(instruments: &Instruments, ids: &[InstrumentId], stream: &str) -> String {
    let busiest =
        instruments.instruments.iter().find(|row| row.leg == LegKind::Spot && row.symbol == *"BTCUSDT");
    let row = busiest.or_else(|| ids.first().map(|&id| instruments.get(id)));
    format!("{}{stream}", row.map_or_else(|| "btcusdt".to_owned(), |row| row.symbol.to_ascii_lowercase()))
}

fn names<'a>(
    instruments: &'a Instruments,
    ids: &'a [InstrumentId],
    stream: &'static str,
) -> impl Iterator<Item = String> + 'a {
    ids.iter().map(move |&id| format!("{}{stream}", instruments.get(id).symbol.to_ascii_lowercase()))
}

fn plan(
    endpoint: &'static str,
    path: &str,
    leg: LegKind,
    what: &'static str,
    streams: Vec<String>,
    ids: &[InstrumentId],
) -> FeedPlan {
    let subscribe: Vec<_> = streams
        .chunks(STREAMS_PER_FRAME)
        .zip(1u32..)
        .map(|(chunk, id)| {
            format!(r#"{{"method":"SUBSCRIBE","params":["{}"],"id":{id}}}"#, chunk.join(r#"",""#))
        })
        .collect();
    FeedPlan {
        endpoint,
        path: path.to_owned(),
        leg,
        what,
        confirmations: subscribe.len(),
        subscribe,
        rules: limits::stream_rules(leg),
        instruments: ids.to_vec(),
    }
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
    let known_layout = match leg {
        LegKind::Spot => scan_spot(symbols, message),
        LegKind::Perp => scan_usdm(symbols, message),
    };
    match known_layout {
        Some(heard) => Ok(heard),
        None => parse(scratch, symbols, leg, message),
    }
}

// ───────────────────────────── known layouts ─────────────────────────────

/// `{"stream":"…","data":{` if it is there; says whether it was.
#[inline]
fn wrapper(scan: &mut Scan<'_>) -> Option<bool> {
    if !scan.maybe(b"{\"stream\":\"") {
        return Some(false);
    }
    scan.text()?;
    scan.lit(b",\"data\":")?;
    Some(true)
}

#[inline]
fn end(scan: &mut Scan<'_>, wrapped: bool) -> Option<()> {
    scan.lit(b"}")?;
    if wrapped {
        scan.lit(b"}")?;
    }
    scan.done().then_some(())
}

#[inline]
fn stamp(scan: &mut Scan<'_>) -> Option<Unix> {
    Unix::from_ms(i64::try_from(scan.int()?).ok()?)
}

/// Spot: `u,s,b,B,a,A`, or a depth update's head.
#[inline]
fn scan_spot(symbols: &Symbols, message: &[u8]) -> Option<Heard> {
    let mut scan = Scan::new(message);
    let wrapped = wrapper(&mut scan)?;
    if scan.maybe(b"{\"e\":\"depthUpdate\",\"E\":") {
        return scan_depth(&mut scan, wrapped, b",\"s\":\"");
    }
    scan.lit(b"{\"u\":")?;
    let sequence = scan.int()?;
    scan.lit(b",\"s\":\"")?;
    let known = symbols.find(LegKind::Spot, scan.text()?)?;
    let [bid, bid_qty, ask, ask_qty] = scan_book(&mut scan, known)?;
    end(&mut scan, wrapped)?;
    Some(quote(known, sequence, [bid, bid_qty, ask, ask_qty], None, false))
}

/// USD-M: `e,u,s[,ps],b,B,a,A,T,E[,st]` as on the wire, or `e,u,E,T,s[,ps],b,B,a,A[,st]` as documented;
/// marks; or a depth update's head.
#[inline]
fn scan_usdm(symbols: &Symbols, message: &[u8]) -> Option<Heard> {
    let mut scan = Scan::new(message);
    let wrapped = wrapper(&mut scan)?;
    if !scan.maybe(b"{\"e\":\"bookTicker\",\"u\":") {
        if scan.maybe(b"{\"e\":\"markPriceUpdate\",\"E\":") {
            return scan_mark(symbols, &mut scan, wrapped);
        }
        scan.lit(b"{\"e\":\"depthUpdate\",\"E\":")?;
        return scan_depth(&mut scan, wrapped, b",\"T\":");
    }
    let sequence = scan.int()?;
    let mut sent = None;
    if scan.maybe(b",\"E\":") {
        sent = Some(stamp(&mut scan)?);
        scan.lit(b",\"T\":")?;
        scan.int()?;
    }
    scan.lit(b",\"s\":\"")?;
    let known = symbols.find(LegKind::Perp, scan.text()?)?;
    if scan.maybe(b",\"ps\":\"") {
        scan.text()?;
    }
    let book = scan_book(&mut scan, known)?;
    let sent = match sent {
        Some(sent) => sent,
        None => {
            scan.lit(b",\"T\":")?;
            scan.int()?;
            scan.lit(b",\"E\":")?;
            stamp(&mut scan)?
        }
    };
    end_of_usdm(&mut scan, wrapped)?;
    Some(quote(known, sequence, book, Some(sent), false))
}

/// What stands before the numbers of [`scan_book`].
const BOOK: [u64; 4] =
    [Four::key(b",\"b\":\""), Four::key(b",\"B\":\""), Four::key(b",\"a\":\""), Four::key(b",\"A\":\"")];

/// `,"b":"…","B":"…","a":"…","A":"…"`
#[inline]
fn scan_book(scan: &mut Scan<'_>, known: Known) -> Option<[i64; 4]> {
    let scales = [known.price_decimals, known.qty_decimals];
    match scan.four(&Four { keys: &BOOK, scales }) {
        Some(book) => Some(book),
        None => scan_each(scan, known),
    }
}

/// As [`scan_book`], number by number.
#[inline(never)]
fn scan_each(scan: &mut Scan<'_>, known: Known) -> Option<[i64; 4]> {
    scan.lit(b",\"b\":\"")?;
    let bid = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"B\":\"")?;
    let bid_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    scan.lit(b",\"a\":\"")?;
    let ask = scan.decimal(known.price_decimals, Price::MAX.0)?;
    scan.lit(b",\"A\":\"")?;
    let ask_qty = scan.decimal(known.qty_decimals, Qty::MAX.0)?;
    Some([bid, bid_qty, ask, ask_qty])
}

/// A COIN-M row (`st` other than 1) is left to the general parser, which drops it.
#[inline]
fn end_of_usdm(scan: &mut Scan<'_>, wrapped: bool) -> Option<()> {
    if scan.maybe(b",\"st\":") {
        scan.lit(b"1")?;
    }
    end(scan, wrapped)
}

/// The stamp at the head of a depth update. The levels, often many kilobytes, are not walked.
#[inline]
fn scan_depth<const N: usize>(scan: &mut Scan<'_>, wrapped: bool, next: &[u8; N]) -> Option<Heard> {
    let sent = stamp(scan)?;
    scan.lit(next)?;
    let tail: &[u8] = if wrapped { b"}}" } else { b"}" };
    scan.rest().ends_with(tail).then_some(Heard::Stamp(sent))
}

/// `E,s,p[,ap],P,i,r,T[,st]` as on the wire since 2026, or `E,s,p[,ap],i,P,r,T` as before.
fn scan_mark(symbols: &Symbols, scan: &mut Scan<'_>, wrapped: bool) -> Option<Heard> {
    let sent = stamp(scan)?;
    scan.lit(b",\"s\":\"")?;
    let known = symbols.find(LegKind::Perp, scan.text()?)?;
    scan.lit(b",\"p\":\"")?;
    let mark = mark_price(scan.text()?, known.price_decimals).ok()?;
    if scan.maybe(b",\"ap\":\"") {
        scan.text()?;
    }
    if scan.maybe(b",\"P\":\"") {
        scan.text()?;
        scan.lit(b",\"i\":\"")?;
    } else {
        scan.lit(b",\"i\":\"")?;
        scan.text()?;
        scan.lit(b",\"P\":\"")?;
    }
    scan.text()?;
    scan.lit(b",\"r\":\"")?;
    let funding = funding_rate(scan.text()?).ok()?;
    scan.lit(b",\"T\":")?;
    let next_funding = settlement(scan.int()?)?;
    end_of_usdm(scan, wrapped)?;
    Some(Heard::Mark { instrument: known.id, mark, funding, next_funding, stamp: sent })
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

fn heard(symbols: &Symbols, leg: LegKind, root: &Value<'_, '_>) -> Result<Heard, Refused> {
    let Some(outer) = root.as_object() else { return Ok(Heard::Unknown) };
    // Combined streams wrap their payload in `data`, the WebSocket API in `event`.
    let wrapped = outer.get("data").or_else(|| outer.get("event")).and_then(|inner| inner.as_object());
    let fields = Fields(wrapped.unwrap_or(outer));
    match fields.find("e")?.map(|value| as_text(&value).ok_or(refused("e", Why::Type))).transpose()? {
        Some("bookTicker") => book_ticker(&fields, symbols, leg),
        Some("markPriceUpdate") if leg == LegKind::Perp => mark_update(&fields, symbols),
        Some("depthUpdate") => Ok(Heard::Stamp(fields.stamp("E")?)),
        Some("serverShutdown") => Ok(Heard::Shutdown),
        Some(_) => Ok(Heard::Unknown),
        None if leg == LegKind::Spot && fields.0.get("u").is_some() => book_ticker(&fields, symbols, leg),
        None => control(&fields),
    }
}

/// Answers to our own frames: `{"result":null,"id":1}`, `{"code":2,"msg":…}`, or the latter in `error`.
fn control(fields: &Fields<'_, '_>) -> Result<Heard, Refused> {
    let inner = fields.0.get("error").and_then(|inner| inner.as_object());
    let errors = inner.as_ref().unwrap_or(&fields.0);
    if let Some(code) = errors.get("code") {
        let code = code.as_i64().and_then(|code| i32::try_from(code).ok());
        return code.map(|code| Heard::Rejected { code }).ok_or(refused("code", Why::Type));
    }
    match fields.0.get("result") {
        Some(result) if result.is_null() && fields.0.get("id").is_some() => Ok(Heard::Confirmed),
        _ => Ok(Heard::Unknown),
    }
}

fn book_ticker(fields: &Fields<'_, '_>, symbols: &Symbols, leg: LegKind) -> Result<Heard, Refused> {
    if leg == LegKind::Perp && !is_usdm(fields)? {
        return Ok(Heard::Unknown);
    }
    let Some(known) = symbols.find(leg, fields.text("s")?.as_bytes()) else { return Ok(Heard::Unknown) };
    let number = |field, scale, max| {
        decimal::parse(fields.text(field)?.as_bytes(), scale, max).map_err(|bad| refused(field, bad.into()))
    };
    let book = [
        number("b", known.price_decimals, Price::MAX.0)?,
        number("B", known.qty_decimals, Qty::MAX.0)?,
        number("a", known.price_decimals, Price::MAX.0)?,
        number("A", known.qty_decimals, Qty::MAX.0)?,
    ];
    let sent = match leg {
        LegKind::Spot => None,
        LegKind::Perp => {
            fields.uint("T")?;
            Some(fields.stamp("E")?)
        }
    };
    Ok(quote(known, fields.uint("u")?, book, sent, true))
}

fn mark_update(fields: &Fields<'_, '_>, symbols: &Symbols) -> Result<Heard, Refused> {
    if !is_usdm(fields)? {
        return Ok(Heard::Unknown);
    }
    let Some(known) = symbols.find(LegKind::Perp, fields.text("s")?.as_bytes()) else {
        return Ok(Heard::Unknown);
    };
    Ok(Heard::Mark {
        instrument: known.id,
        mark: mark_price(fields.text("p")?.as_bytes(), known.price_decimals)
            .map_err(|bad| refused("p", bad.into()))?,
        funding: funding_rate(fields.text("r")?.as_bytes()).map_err(|bad| refused("r", bad.into()))?,
        next_funding: settlement(fields.uint("T")?).ok_or(refused("T", Why::Stamp))?,
        stamp: fields.stamp("E")?,
    })
}

/// Since June 2026 COIN-M shares the back end; its rows say `"st":2`. No `st`: older, or USD-M only.
fn is_usdm(fields: &Fields<'_, '_>) -> Result<bool, Refused> {
    match fields.find("st")? {
        None => Ok(true),
        Some(st) => st.as_u64().map(|st| st == 1).ok_or(refused("st", Why::Type)),
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
