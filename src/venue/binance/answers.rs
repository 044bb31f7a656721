//! What Binance's answers say of an order, by FAULTS part 5.
//!
//! Owns:  the verdict on an order's answer, on a query's and on a cancel's, and the fills in them.
//! Never: calls anything refused that might have executed. What is not listed is unknown.
//! Wire:  binance.md §9, §14. The key is (market, code); status and text count only without a code.
//! Quirk: the same text "Internal error; unable to process…" is unknown with -1001, and documented as
//!        failed in a 503 of USD-M without a code. -2021 and -2022 mean other things on spot.

use super::limits;
use crate::event::{Asset, Doubt, Fill, FillList, Instrument, Refusal, RefusalKind, Source, Verdict};
use crate::metal::bugs::{Bug, planted};
use crate::units::{Amount, ClientId, LegKind, Price, Qty, Side};
use crate::venue::json::{Object, Scratch, flag, int, stamp, text, uint};
use crate::venue::order_socket::{Flies, Said};
use crate::venue::{BadBody, Judged, Reply};

/// Judges the answer to an order.
pub(super) fn read_answer(
    reply: &Reply<'_>,
    row: &Instrument,
    client: ClientId,
    scratch: &mut Scratch,
    fills: &mut FillList,
) -> Judged {
    fills.clear();
    let judged = scratch.read(reply.body, |root| match root.as_object() {
        Some(answer) => judge(reply.status, row, client, &answer, fills),
        None => only(without_code(reply.status)),
    });
    tampered(judged.unwrap_or(only(without_code(reply.status))))
}

/// Reads a message on an order socket, where this order flies.
pub(super) fn read_said(
    message: &[u8],
    order: Option<Flies<'_>>,
    scratch: &mut Scratch,
    fills: &mut FillList,
) -> Said {
    let said = scratch.read(message, |root| {
        let Some(root) = root.as_object() else { return Said::Doubtful };
        let status = uint(&root, "status").and_then(|status| u16::try_from(status).ok());
        let Some(status) = status else {
            let event = root.get("event").and_then(|event| event.as_object());
            return match text(event.as_ref().unwrap_or(&root), "e") {
                Some("serverShutdown") => Said::Leaving,
                Some(_) => Said::Other,
                None => Said::Doubtful,
            };
        };
        // An answer without an id may be to anything.
        let Some(id) = text(&root, "id") else { return Said::Doubtful };
        let named = ClientId::parse(id.as_bytes());
        let Some((client, row)) = order.filter(|(client, _)| named == Some(*client)) else {
            return Said::Other;
        };
        fills.clear();
        let part = |name| root.get(name).and_then(|part| part.as_object());
        let (result, error) = (part("result"), part("error"));
        let judged = match result.as_ref().or(error.as_ref()) {
            Some(told) => judge(status, row, client, told, fills),
            None => only(without_code(status)),
        };
        Said::Answer { judged: tampered(judged), counted: limits::counted_in(status, error.as_ref()) }
    });
    said.unwrap_or(Said::Doubtful)
}

/// Judges what an answer to an order tells.
fn judge(
    status: u16,
    row: &Instrument,
    client: ClientId,
    answer: &Object<'_, '_>,
    fills: &mut FillList,
) -> Judged {
    if answer.get("code").is_some() {
        return only(by_code(row.leg, answer));
    }
    if answer.get("orderId").is_some() {
        return order(status, row, client, "clientOrderId", answer, fills);
    }
    only(by_status(row.leg, status, text(answer, "msg")))
}

/// As it is, but for a bug planted on purpose.
fn tampered(judged: Judged) -> Judged {
    if planted(Bug::DoubtIsRefusal) && matches!(judged.verdict, Verdict::Unknown(_)) {
        return only(refused(0, RefusalKind::Overload));
    }
    judged
}

/// Judges the answer to a query about an order.
pub(super) fn read_query(
    reply: &Reply<'_>,
    row: &Instrument,
    client: ClientId,
    scratch: &mut Scratch,
    fills: &mut FillList,
) -> Judged {
    fills.clear();
    question(reply, row, client, "clientOrderId", scratch, fills)
}

/// Judges the answer to a cancel. On spot the cancel has an id of its own, and names the order's beside it.
pub(super) fn read_cancel(
    reply: &Reply<'_>,
    row: &Instrument,
    client: ClientId,
    scratch: &mut Scratch,
) -> Judged {
    let name = match row.leg {
        LegKind::Spot => "origClientOrderId",
        LegKind::Perp => "clientOrderId",
    };
    question(reply, row, client, name, scratch, &mut FillList::new())
}

/// Judges the answer to a request about an order that names it in the field `name`.
fn question(
    reply: &Reply<'_>,
    row: &Instrument,
    client: ClientId,
    name: &str,
    scratch: &mut Scratch,
    fills: &mut FillList,
) -> Judged {
    let judged = scratch.read(reply.body, |root| {
        let Some(answer) = root.as_object() else { return only(doubt(reply.status)) };
        if let Some(code) = code(&answer) {
            // Any other error is about the request: the order is as unknown as before.
            return only(match code {
                -2011 | -2013 => Verdict::NotFound,
                // Its archive holds what was cancelled or expired with nothing executed, and names no order of it.
                -2026 if row.leg == LegKind::Spot => Verdict::Terminal { executed: Qty(0) },
                code => Verdict::Unknown(Doubt::Code(code)),
            });
        }
        if answer.get("code").is_none() && answer.get("orderId").is_some() {
            return order(reply.status, row, client, name, &answer, fills);
        }
        only(doubt(reply.status))
    });
    judged.unwrap_or(only(doubt(reply.status)))
}

/// Reads the trades of an order as its fills.
pub(super) fn read_trades(
    body: &mut [u8],
    row: &Instrument,
    client: ClientId,
    fills: &mut FillList,
) -> Result<(), BadBody> {
    fills.clear();
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    let Some(rows) = root.as_array() else {
        return Err(root.as_object().map_or(BadBody::NotJson, |answer| super::account::refusal(&answer)));
    };
    for trade in rows.iter() {
        let trade = trade.as_object().ok_or(BadBody::Field("trades"))?;
        if text(&trade, "symbol") != Some(row.symbol.as_str()) {
            return Err(BadBody::Field("symbol"));
        }
        // Spot says `isBuyer`, USD-M `buyer`.
        let buyer =
            flag(&trade, "isBuyer").or_else(|| flag(&trade, "buyer")).ok_or(BadBody::Field("buyer"))?;
        let order_id = uint(&trade, "orderId").ok_or(BadBody::Field("orderId"))?;
        let at = stamp(&trade, "time").ok_or(BadBody::Field("time"))?;
        let fill = fill(&trade, "id", row).map(|read| Fill {
            client,
            order_id,
            side: if buyer { Side::Buy } else { Side::Sell },
            at,
            source: Source::Query,
            ..read
        })?;
        fills.try_push(fill).map_err(|_| BadBody::TooMany)?;
    }
    Ok(())
}

// ───────────────────────────── an order's own row ─────────────────────────────

fn order(
    status: u16,
    row: &Instrument,
    client: ClientId,
    name: &str,
    answer: &Object<'_, '_>,
    fills: &mut FillList,
) -> Judged {
    let order_id = uint(answer, "orderId").unwrap_or(0);
    let named = text(answer, name).and_then(|id| ClientId::parse(id.as_bytes()));
    let verdict = if !(200..300).contains(&status) {
        Verdict::Unknown(Doubt::Status(status))
    } else if named != Some(client) || text(answer, "symbol") != Some(row.symbol.as_str()) {
        // Someone else's order is no answer to ours.
        Verdict::Unknown(Doubt::Body)
    } else {
        standing(answer, row).unwrap_or(Verdict::Unknown(Doubt::Body))
    };
    if let Verdict::Terminal { executed } | Verdict::Open { executed } = verdict
        && take_fills(answer, row, client, order_id, executed, fills).is_none()
    {
        // Fills that can't be read, or are more than was executed, put the whole answer in doubt.
        fills.clear();
        return Judged { verdict: Verdict::Unknown(Doubt::Body), order_id, client: named };
    }
    Judged { verdict, order_id, client: named }
}

/// Terminal or not, and how much was executed.
fn standing(answer: &Object<'_, '_>, row: &Instrument) -> Option<Verdict> {
    let name = if planted(Bug::OrderedIsExecuted) { "origQty" } else { "executedQty" };
    let executed = Qty::parse(text(answer, name)?.as_bytes(), row.qty_decimals).ok()?;
    Some(standing_of(text(answer, "status")?, executed))
}

/// What a status says of an order, in answers and on the private stream alike.
pub(super) fn standing_of(status: &str, executed: Qty) -> Verdict {
    match status {
        "EXPIRED" | "CANCELED" if planted(Bug::PartForgotten) => Verdict::Terminal { executed: Qty::ZERO },
        "FILLED" | "EXPIRED" | "CANCELED" | "EXPIRED_IN_MATCH" | "REJECTED" => Verdict::Terminal { executed },
        // NEW, PENDING_NEW, PARTIALLY_FILLED, and every word that is not known yet.
        _ => Verdict::Open { executed },
    }
}

/// Reads `fills` of a FULL answer; there are none in others. Those beyond the list's room are left to
/// a query of the order's trades, as every fill of USD-M is.
fn take_fills(
    answer: &Object<'_, '_>,
    row: &Instrument,
    client: ClientId,
    order_id: u64,
    executed: Qty,
    fills: &mut FillList,
) -> Option<()> {
    let Some(rows) = answer.get("fills") else { return Some(()) };
    let rows = rows.as_array()?;
    if rows.is_empty() {
        return Some(());
    }
    let side = match text(answer, "side")? {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return None,
    };
    let at = stamp(answer, "transactTime")?;
    let mut sum = 0i64;
    for part in rows.iter() {
        let read = fill(&part.as_object()?, "tradeId", row).ok()?;
        sum = sum.checked_add(read.qty.0)?;
        if !fills.is_full() {
            fills.push(Fill { client, order_id, side, at, source: Source::Answer, ..read });
        }
    }
    (sum <= executed.0).then_some(())
}

/// What an answer's fill and a trade have in common; the rest is the caller's to fill in.
fn fill(part: &Object<'_, '_>, id: &'static str, row: &Instrument) -> Result<Fill, BadBody> {
    let field = |name| text(part, name).ok_or(BadBody::Field(name));
    Ok(Fill {
        client: ClientId::default(),
        instrument: row.id,
        order_id: 0,
        trade_id: uint(part, id).ok_or(BadBody::Field(id))?,
        side: Side::Buy,
        price: Price::parse(field("price")?.as_bytes(), row.price_decimals)
            .map_err(|_| BadBody::Field("price"))?,
        qty: Qty::parse(field("qty")?.as_bytes(), row.qty_decimals).map_err(|_| BadBody::Field("qty"))?,
        fee: Amount::parse(field("commission")?.as_bytes()).map_err(|_| BadBody::Field("commission"))?,
        fee_asset: if planted(Bug::FeeInQuote) { row.quote.as_str() } else { field("commissionAsset")? }
            .parse::<Asset>()
            .map_err(|_| BadBody::Field("commissionAsset"))?,
        at: crate::units::Unix::default(),
        source: Source::Query,
    })
}

// ───────────────────────────── errors ─────────────────────────────

const fn only(verdict: Verdict) -> Judged {
    Judged { verdict, order_id: 0, client: None }
}

/// An answer that neither names a code nor describes an order. Being told to slow down, with or
/// without a body, is a refusal (FAULTS F62).
const fn without_code(status: u16) -> Verdict {
    match status {
        418 | 429 => refused(0, RefusalKind::Throttle),
        status => doubt(status),
    }
}

/// Nothing is known: by the status, unless it claims that all is well.
const fn doubt(status: u16) -> Verdict {
    Verdict::Unknown(if matches!(status, 200..300) { Doubt::Body } else { Doubt::Status(status) })
}

fn code(answer: &Object<'_, '_>) -> Option<i32> {
    int(answer, "code").and_then(|code| i32::try_from(code).ok())
}

fn by_code(leg: LegKind, answer: &Object<'_, '_>) -> Verdict {
    let Some(code) = code(answer) else { return Verdict::Unknown(Doubt::Body) };
    let text = text(answer, "msg");
    match leg {
        LegKind::Spot => spot(code, text),
        LegKind::Perp => usdm(code),
    }
}

/// Binance spot's column of FAULTS part 5.
fn spot(code: i32, text: Option<&str>) -> Verdict {
    match code {
        -1003 | -1015 => refused(code, RefusalKind::Throttle),
        -2010 => engine_refused(code, text),
        -1121 | -1122 => refused(code, RefusalKind::State),
        -1013 if text.is_some_and(|text| text.contains("PERCENT_PRICE")) => refused(code, RefusalKind::Band),
        -1013 | -1120..=-1100 | -1136..=-1123 => refused(code, RefusalKind::Filter),
        -1021 => refused(code, RefusalKind::Stamp),
        -1002 | -1022 | -2015 | -2014 => refused(code, RefusalKind::Auth),
        -2011 | -2013 => Verdict::NotFound,
        // -1000, -1001, -1006, -1007, -1008, and whatever is not listed.
        _ => Verdict::Unknown(Doubt::Code(code)),
    }
}

/// -2010 is told apart by its text. Without one it might be the duplicate, which is no refusal.
fn engine_refused(code: i32, text: Option<&str>) -> Verdict {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Verdict::Unknown(Doubt::Code(code));
    };
    if text.contains("uplicate") {
        Verdict::Duplicate
    } else if text.contains("insufficient balance") {
        refused(code, RefusalKind::Funds)
    } else if text.contains("arket is closed") {
        refused(code, RefusalKind::State)
    } else if text.contains("disabled on this account") {
        refused(code, RefusalKind::Account)
    } else {
        refused(code, RefusalKind::Filter)
    }
}

/// Binance USD-M's column of FAULTS part 5.
fn usdm(code: i32) -> Verdict {
    match code {
        -1008 => refused(code, RefusalKind::Overload),
        -1003 | -1015 => refused(code, RefusalKind::Throttle),
        -2018 | -2019 => refused(code, RefusalKind::Funds),
        -2022 => refused(code, RefusalKind::ReduceOnly),
        -4087 | -4088 | -4400 | -4401 => refused(code, RefusalKind::Account),
        -1121 | -4108 | -4140 | -4141 => refused(code, RefusalKind::State),
        -1120..=-1100 | -1136..=-1122 => refused(code, RefusalKind::Filter),
        -4016 | -4024 | -4131 => refused(code, RefusalKind::Band),
        -4003 | -4004 | -4005 | -4013 | -4014 | -4015 | -4023 | -4061 | -4118 | -4120 | -4164 | -2021
        | -2027 | -2028 | -5021 | -5022 => refused(code, RefusalKind::Filter),
        -1021 | -5028 => refused(code, RefusalKind::Stamp),
        -4116 => Verdict::Duplicate,
        -1002 | -1022 | -2014 | -2015 => refused(code, RefusalKind::Auth),
        -2011 | -2013 => Verdict::NotFound,
        // -1000, -1001, -1006, -1007, and whatever is not listed.
        _ => Verdict::Unknown(Doubt::Code(code)),
    }
}

/// JSON without a code and without an order.
fn by_status(leg: LegKind, status: u16, text: Option<&str>) -> Verdict {
    match (leg, status, text) {
        // Documented as failed; "Unknown error, please check your request…" is not.
        (LegKind::Perp, 503, Some(text))
            if text == "Service Unavailable." || text.starts_with("Internal error; unable to process") =>
        {
            refused(0, RefusalKind::Overload)
        }
        _ => without_code(status),
    }
}

const fn refused(code: i32, kind: RefusalKind) -> Verdict {
    Verdict::Refused(Refusal { code, kind })
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
