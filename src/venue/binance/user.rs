//! Binance's private streams: how each market's is opened, and what its messages say.
//!
//! Owns:  the ticket (`listenKey`) of USD-M, the signed subscription of spot, and the reading of order
//!        events into verdicts and fills.
//! Never: closes a ticket (other users of the key share it), or makes a fill of an event that does not
//!        tell all of it.
//! Wire:  binance.md §10–§12. A field that is not as documented puts the whole event in doubt.
//! Quirk: on spot a cancelled order is named by `C`, and `c` is the cancel's own id. `TRADE_LITE` is
//!        early and has no fee. Forced orders have ids of the venue's making.

use super::account::{KEY_HEADER, object};
use super::answers::standing_of;
use super::limits;
use super::rest;
use crate::event::{Asset, Fill, Forced, Source, Verdict};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::SEC;
use crate::units::{Amount, BadDecimal, ClientId, InstrumentId, LegKind, Price, Qty, Side, Unix};
use crate::venue::json::{Object, int, stamp, text, uint};
use crate::venue::symbols::Known;
use crate::venue::{Ask, BadBody, Key, Refused, Scratch, Symbols, Why};
use crate::venue::{Unreadable, UserHeard, UserPlan, UserStream};
use arrayvec::ArrayVec;
use simd_json::prelude::*;
use std::fmt::Write;

/// Binance's private streams.
pub(super) const STREAM: UserStream =
    UserStream { plan, ticket, read_ticket, path, subscribe, decode, secrets: &["listenKey", "apiKey"] };

/// A listen key lives an hour; it is renewed at half of that.
const RENEW_NS: u64 = 30 * 60 * SEC;

/// Keys of one object at most; the longest event has about fifty.
const KEYS_MAX: usize = 128;

/// No fee of one fill is so many coins of anything.
const FEE_MAX: Amount = Amount(10i128.pow(30));

fn plan(leg: LegKind) -> UserPlan {
    let rules = limits::private_rules(leg);
    let hot = leg == LegKind::Perp;
    match leg {
        // The upgrade weighs 2, and so does the subscription (§1, §11).
        LegKind::Spot => UserPlan {
            endpoint: "spot_ws_api",
            confirmations: 1,
            weights: &[2, 2],
            renew_ns: None,
            hot,
            rules,
        },
        LegKind::Perp => {
            let renew_ns = Some(RENEW_NS);
            UserPlan { endpoint: "usdm_ws", confirmations: 0, weights: &[], renew_ns, hot, rules }
        }
    }
}

fn ticket(leg: LegKind, key: &Key, renew: bool) -> Option<Ask> {
    let method = if renew { "PUT" } else { "POST" };
    (leg == LegKind::Perp).then(|| Ask {
        method,
        endpoint: rest(leg),
        path: "/fapi/v1/listenKey".to_owned(),
        weight: 1,
        headers: vec![(KEY_HEADER.into(), key.api().to_owned())],
    })
}

/// Reads a listen key; it becomes part of a path, so nothing but letters and digits will do.
fn read_ticket(body: &mut [u8]) -> Result<String, BadBody> {
    object(body, |answer| {
        let ticket = text(answer, "listenKey").unwrap_or_default();
        let plain = !ticket.is_empty() && ticket.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain { Ok(ticket.to_owned()) } else { Err(BadBody::Field("listenKey")) }
    })
}

fn path(leg: LegKind, ticket: &str) -> String {
    match leg {
        LegKind::Spot => "/ws-api/v3?returnRateLimits=false".to_owned(),
        LegKind::Perp => format!("/private/ws/{ticket}"),
    }
}

fn subscribe(leg: LegKind, key: &Key, at: Unix) -> Vec<String> {
    if leg == LegKind::Perp {
        return Vec::new();
    }
    // What is signed are the parameters in the order of their names.
    let (api, at) = (key.api(), at.as_ms());
    let signature = key.sign(format!("apiKey={api}&timestamp={at}").as_bytes()).in_json();
    let api = serde_json::Value::from(api);
    let mut frame = String::new();
    // Writing to a String can't fail.
    let _ = write!(
        frame,
        "{{\"id\":1,\"method\":\"userDataStream.subscribe.signature\",\"params\":{{\"apiKey\":{api},\
         \"timestamp\":{at},\"signature\":\"{signature}\"}}}}"
    );
    vec![frame]
}

// ───────────────────────────── messages ─────────────────────────────

fn decode(
    scratch: &mut Scratch,
    symbols: &Symbols,
    leg: LegKind,
    message: &[u8],
) -> Result<UserHeard, Unreadable> {
    scratch.read(message, |root| envelope(root.as_object().as_ref(), symbols, leg)).unwrap_or(Err(
        Unreadable { instrument: None, refused: Refused { field: "message", why: Why::NotJson } },
    ))
}

/// Spot wraps events in `event` (in `data` on combined streams); USD-M does not.
fn envelope(root: Option<&Object<'_, '_>>, symbols: &Symbols, leg: LegKind) -> Result<UserHeard, Unreadable> {
    let nothing = |field, why| Unreadable { instrument: None, refused: Refused { field, why } };
    let root = root.ok_or(nothing("message", Why::Type))?;
    once(root).map_err(|refused| Unreadable { instrument: None, refused })?;
    for wrapper in ["event", "data"] {
        if let Some(inner) = root.get(wrapper) {
            let inner = inner.as_object().ok_or(nothing(wrapper, Why::Type))?;
            return event(&inner, symbols, leg);
        }
    }
    if root.get("e").is_some() { event(root, symbols, leg) } else { answer(root) }
}

/// The answer to a request of ours on this socket.
fn answer(root: &Object<'_, '_>) -> Result<UserHeard, Unreadable> {
    let error = root.get("error").and_then(|error| error.as_object());
    let code = error.as_ref().and_then(|error| int(error, "code")).and_then(|code| i32::try_from(code).ok());
    match (uint(root, "status"), code) {
        (Some(200), _) if root.get("result").is_some() => Ok(UserHeard::Confirmed),
        (Some(status), code) => {
            let status = u16::try_from(status).unwrap_or(0);
            let retry_after_s = limits::counted_in(status, error.as_ref()).retry_after_s;
            Ok(UserHeard::Rejected { code: code.unwrap_or(0), retry_after_s })
        }
        (None, _) => Err(Unreadable { instrument: None, refused: Refused { field: "e", why: Why::Missing } }),
    }
}

fn event(event: &Object<'_, '_>, symbols: &Symbols, leg: LegKind) -> Result<UserHeard, Unreadable> {
    let wrong = |field, why| Unreadable { instrument: None, refused: Refused { field, why } };
    once(event).map_err(|refused| Unreadable { instrument: None, refused })?;
    let name = text(event, "e").ok_or(wrong("e", Why::Type))?;
    match (name, leg) {
        ("executionReport", LegKind::Spot) => order(event, symbols, leg),
        ("ORDER_TRADE_UPDATE", LegKind::Perp) => {
            let inner = event.get("o").and_then(|inner| inner.as_object()).ok_or(wrong("o", Why::Type))?;
            once(&inner).map_err(|refused| Unreadable { instrument: None, refused })?;
            order(&inner, symbols, leg)
        }
        ("TRADE_LITE", LegKind::Perp) => order_of(event, symbols, leg, trade),
        ("listenKeyExpired", LegKind::Perp) | ("eventStreamTerminated", LegKind::Spot) => {
            Ok(UserHeard::Ended)
        }
        ("serverShutdown", _) => Ok(UserHeard::Ended),
        ("ACCOUNT_UPDATE", LegKind::Perp) => {
            let why = event.get("a").and_then(|inner| inner.as_object());
            let why = why.and_then(|inner| text(&inner, "m"));
            Ok(if why == Some("FUNDING_FEE") { UserHeard::Paid } else { UserHeard::Account })
        }
        ("balanceUpdate", LegKind::Spot) => {
            let asset = text(event, "a").ok_or(wrong("a", Why::Type))?;
            Ok(UserHeard::Moved { asset: Asset::from(asset).ok() })
        }
        ("outboundAccountPosition" | "externalLockUpdate", LegKind::Spot)
        | ("ACCOUNT_CONFIG_UPDATE" | "MARGIN_CALL", LegKind::Perp) => Ok(UserHeard::Account),
        ("executionReport" | "ORDER_TRADE_UPDATE" | "TRADE_LITE", _) => Err(wrong("e", Why::Type)),
        _ => Ok(UserHeard::Unknown),
    }
}

/// A key that is there twice says two things, and nobody knows which is meant. Read hot: it allocates
/// nothing, so an object with more keys than any event has is refused.
pub(super) fn once(object: &Object<'_, '_>) -> Result<(), Refused> {
    let mut seen = ArrayVec::<&str, KEYS_MAX>::new();
    for (key, _) in object.iter() {
        if seen.contains(&key) {
            return Err(Refused { field: "a key", why: Why::Twice });
        }
        seen.try_push(key).map_err(|_| Refused { field: "message", why: Why::Type })?;
    }
    Ok(())
}

/// An order event with an id of ours, or of a forced order (then with none), and a symbol we know.
struct Ours<'a, 't, 'i> {
    event: &'a Object<'t, 'i>,
    client: ClientId,
    known: Known,
}

fn order(event: &Object<'_, '_>, symbols: &Symbols, leg: LegKind) -> Result<UserHeard, Unreadable> {
    order_of(event, symbols, leg, |ours| standing(&ours))
}

/// Finds out whose order it is before anything else is read.
fn order_of(
    event: &Object<'_, '_>,
    symbols: &Symbols,
    leg: LegKind,
    read: impl FnOnce(Ours<'_, '_, '_>) -> Result<UserHeard, Refused>,
) -> Result<UserHeard, Unreadable> {
    let known = text(event, "s").map(|symbol| symbols.find(leg, symbol.as_bytes()));
    let instrument: Option<InstrumentId> = known.flatten().map(|known| known.id);
    let wrong = |field, why| Unreadable { instrument, refused: Refused { field, why } };
    let known = known.ok_or(wrong("s", Why::Type))?;
    let named = text(event, "c").ok_or(wrong("c", Why::Type))?;
    if let Some(what) = forced(leg, named) {
        let Some(known) = known else { return Ok(UserHeard::System { instrument, what, fill: None }) };
        let heard = read(Ours { event, client: ClientId::default(), known })
            .map_err(|refused| Unreadable { instrument, refused })?;
        let fill = if let UserHeard::Order { fill, .. } = heard { fill } else { None };
        return Ok(UserHeard::System { instrument, what, fill });
    }
    // Spot: a cancel has an id of its own, and names the order's in `C`.
    let original = if leg == LegKind::Spot { text(event, "C") } else { None };
    let parse = |id: &str| ClientId::parse(id.as_bytes());
    match (original.and_then(parse).or_else(|| parse(named)), known) {
        (Some(client), Some(known)) => read(Ours { event, client, known })
            .map_err(|refused| Unreadable { instrument: Some(known.id), refused }),
        _ => Ok(UserHeard::Foreign { instrument }),
    }
}

/// What the venue does by an order with this id, if the id is of its own making.
pub(super) fn forced(leg: LegKind, id: &str) -> Option<Forced> {
    let starts = |with| leg == LegKind::Perp && id.starts_with(with) && !planted(Bug::AdlIsForeign);
    if starts("autoclose-") {
        Some(Forced::Liquidation)
    } else if starts("adl_autoclose") {
        Some(Forced::Deleveraging)
    } else if starts("settlement_autoclose-") {
        Some(Forced::Settlement)
    } else {
        None
    }
}

impl Ours<'_, '_, '_> {
    fn text(&self, field: &'static str) -> Result<&str, Refused> {
        text(self.event, field).ok_or(Refused { field, why: Why::Type })
    }

    fn id(&self, field: &'static str) -> Result<u64, Refused> {
        uint(self.event, field).filter(|id| *id > 0).ok_or(Refused { field, why: Why::Type })
    }

    fn qty(&self, field: &'static str) -> Result<Qty, Refused> {
        Qty::parse(self.text(field)?.as_bytes(), self.known.qty_decimals)
            .map_err(|error| Refused { field, why: error.into() })
    }

    /// What it paid, and in what; `None` if the event does not say.
    fn fee(&self) -> Result<Option<(Amount, Asset)>, Refused> {
        let told = |field| self.event.get(field).filter(|value| !value.is_null());
        match (told("n").is_some(), told("N").is_some()) {
            (_, false) => Ok(None),
            (false, true) => Err(Refused { field: "n", why: Why::Missing }),
            (true, true) => {
                let fee = Amount::parse(self.text("n")?.as_bytes())
                    .map_err(|error| Refused { field: "n", why: error.into() })?;
                if fee.0.abs() > FEE_MAX.0 {
                    return Err(Refused { field: "n", why: Why::Decimal(BadDecimal::Range) });
                }
                let asset = self.text("N")?.parse().map_err(|_| Refused { field: "N", why: Why::Type })?;
                Ok(Some((fee, asset)))
            }
        }
    }
}

/// Where the order stands, with the fill that brought it there.
fn standing(ours: &Ours<'_, '_, '_>) -> Result<UserHeard, Refused> {
    let wrong = |field, why| Refused { field, why };
    let (whole, executed) = (ours.qty("q")?, ours.qty("z")?);
    let status = ours.text("X")?;
    if executed > whole || status == "FILLED" && executed != whole {
        return Err(wrong("z", Why::Type));
    }
    let side = match ours.text("S")? {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(wrong("S", Why::Type)),
    };
    let order_id = ours.id("i")?;
    let verdict: Verdict = standing_of(status, executed);
    let fill = match ours.text("x")? {
        // A forced order's execution has a type of its own, and may be told before it has filled.
        "CALCULATED" if ours.qty("l")? == Qty::ZERO => None,
        "TRADE" | "CALCULATED" => {
            let qty = ours.qty("l")?;
            if qty == Qty::ZERO || qty > executed {
                return Err(wrong("l", Why::Type));
            }
            let price = Price::parse(ours.text("L")?.as_bytes(), ours.known.price_decimals)
                .map_err(|error| Refused { field: "L", why: error.into() })?;
            if price.0 <= 0 {
                return Err(wrong("L", Why::Type));
            }
            let (trade_id, at) = (ours.id("t")?, stamp(ours.event, "T").ok_or(wrong("T", Why::Stamp))?);
            ours.fee()?.map(|(fee, fee_asset)| Fill {
                client: ours.client,
                instrument: ours.known.id,
                order_id,
                trade_id,
                side,
                price,
                qty,
                fee,
                fee_asset,
                at,
                source: Source::Stream,
            })
        }
        _ => None,
    };
    Ok(UserHeard::Order { client: ours.client, instrument: ours.known.id, order_id, verdict, fill })
}

/// A trade told early, without its fee.
fn trade(ours: Ours<'_, '_, '_>) -> Result<UserHeard, Refused> {
    let (whole, qty) = (ours.qty("q")?, ours.qty("l")?);
    if qty > whole || qty == Qty::ZERO {
        return Err(Refused { field: "l", why: Why::Type });
    }
    Ok(UserHeard::Trade {
        client: ours.client,
        instrument: ours.known.id,
        order_id: ours.id("i")?,
        trade_id: ours.id("t")?,
        qty,
    })
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
