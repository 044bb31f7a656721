//! The WebSocket API door: one JSON request in, one answer out, matched by `id` alone.
//!
//! Owns:  the envelope, weights and rate-limit block, the methods the box knows, subscriptions to the account.
//! Wire:  binance.md §8 (payload: parameters sorted by name), §10, §11; fixtures `spot_wsapi_*`.
//! Quirk: the venue takes `session.logon` from Ed25519 keys only; the box's key is HMAC, so every request is signed.

use super::super::super::config::{ConnId, Market};
use super::super::super::exchange::Exchange;
use super::super::super::limits::Throttle;
use super::params::Params;
use super::refusal::Refusal;
use super::{Outcome, rest_spot, sign, throttled, user_events};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Subscriptions a connection may have over its life.
const SUBSCRIPTIONS_MAX: u64 = 65_535;

/// The parameters a signed method knows besides its own.
const SIGNED: &[&str] = &["apiKey", "timestamp", "recvWindow", "signature"];

/// One method.
struct Method {
    name: &'static str,
    weight: u32,
    /// Its own parameters.
    allowed: &'static [&'static str],
    signed: bool,
    run: fn(&mut Exchange, ConnId, &Params<'_>) -> Outcome,
}

const SPOT_METHODS: &[Method] = &[
    Method { name: "ping", weight: 1, allowed: &[], signed: false, run: |_, _, _| Ok("{}".into()) },
    Method { name: "time", weight: 1, allowed: &[], signed: false, run: time },
    Method {
        name: "order.status",
        weight: 4,
        allowed: &["symbol", "orderId", "origClientOrderId"],
        signed: true,
        run: |exchange, _, params| exchange.on_replica(Market::Spot, |x| rest_spot::query(x, params)),
    },
    Method { name: "session.subscriptions", weight: 2, allowed: &[], signed: false, run: subscriptions },
    Method {
        name: "userDataStream.subscribe.signature",
        weight: 2,
        allowed: &[],
        signed: true,
        run: subscribe,
    },
    Method {
        name: "userDataStream.unsubscribe",
        weight: 2,
        allowed: &["subscriptionId"],
        signed: false,
        run: unsubscribe,
    },
];

const USDM_METHODS: &[Method] = &[
    Method { name: "ping", weight: 1, allowed: &[], signed: false, run: |_, _, _| Ok("{}".into()) },
    Method { name: "time", weight: 1, allowed: &[], signed: false, run: time },
];

/// Answers a request frame.
pub(super) fn answer(exchange: &mut Exchange, conn: ConnId, market: Market, text: &str) -> String {
    let methods = if market == Market::Spot { SPOT_METHODS } else { USDM_METHODS };
    let frame: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let name = frame.get("method").and_then(Value::as_str);
    let method = name.and_then(|name| methods.iter().find(|m| m.name == name));
    exchange.signed += u64::from(text.contains("\"apiKey\"") || text.contains("\"signature\""));
    let clock = exchange.clock();
    let admitted = exchange.limits[market.index()].admit(clock, method.map_or(1, |m| m.weight));
    let mut shows_limits = !exchange.conns.get(conn).and_then(|c| c.socket.as_ref()).is_some_and(|s| s.terse);
    let nothing = Map::new();
    let members = frame.get("params").and_then(Value::as_object).unwrap_or(&nothing);
    if let Some(Value::Bool(on)) = members.get("returnRateLimits") {
        shows_limits = *on;
    }
    let (id, outcome) = match request_id(&frame) {
        Err(refusal) => (Value::Null, Err(refusal)),
        Ok(id) => {
            let outcome = match (admitted, name, method) {
                (Err(throttle), ..) => return turned_away(exchange, market, &id, throttle, shows_limits),
                (_, None, _) => Err(Refusal::new(-1135, "Invalid JSON Request, or 'method' is missing.")),
                (_, Some(name), None) => Err(Refusal::new(-1100, format!("Unknown method '{name}'."))),
                (_, _, Some(method)) => run(exchange, conn, market, method, members),
            };
            (id, outcome)
        }
    };
    let (status, body) = match outcome {
        Ok(result) => (200, format!(r#""result":{result}"#)),
        Err(refusal) => (refusal.status, format!(r#""error":{}"#, refusal.body())),
    };
    envelope(exchange, market, &id, status, &body, shows_limits)
}

/// `id`: a whole number, a text of up to 36, or null.
fn request_id(frame: &Value) -> Result<Value, Refusal> {
    match frame.get("id") {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(id) if id.is_i64() || id.is_u64() => Ok(id.clone()),
        Some(Value::String(id)) if (1..=36).contains(&id.len()) => Ok(Value::String(id.clone())),
        Some(_) => Err(Refusal::new(-1135, "Invalid 'id' in JSON request.")),
    }
}

fn run(
    exchange: &mut Exchange,
    conn: ConnId,
    market: Market,
    method: &Method,
    members: &Map<String, Value>,
) -> Outcome {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let text: Cow<'_, str> = match value {
            Value::String(text) => text.into(),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(flag) => flag.to_string().into(),
            _ => return Err(Refusal::invalid(name)),
        };
        pairs.push((name.into(), text));
    }
    let params = Params::of(pairs);
    if method.signed {
        sign::check_sorted(exchange, market, &params)?;
    }
    let mut known: Vec<&str> = method.allowed.to_vec();
    known.push("returnRateLimits");
    if method.signed {
        known.extend(SIGNED);
    }
    params.only(&known, false)?;
    (method.run)(exchange, conn, &params)
}

fn turned_away(
    exchange: &mut Exchange,
    market: Market,
    id: &Value,
    throttle: Throttle,
    shows: bool,
) -> String {
    let refusal = throttled(exchange, market, throttle);
    let now = exchange.clock_ms();
    let until = match throttle {
        Throttle::Weight { retry_after_s } => now + retry_after_s * 1_000,
        Throttle::Banned { until_ms, .. } => until_ms,
    };
    let data = json!({"serverTime": now, "retryAfter": until});
    let error = json!({"code": refusal.code, "msg": refusal.msg, "data": data});
    envelope(exchange, market, id, refusal.status, &format!(r#""error":{error}"#), shows)
}

fn envelope(
    exchange: &mut Exchange,
    market: Market,
    id: &Value,
    status: u16,
    body: &str,
    shows_limits: bool,
) -> String {
    if !shows_limits {
        return format!(r#"{{"id":{id},"status":{status},{body}}}"#);
    }
    let clock = exchange.clock();
    let limits = &mut exchange.limits[market.index()];
    let (limit, count) = (limits.weight.limit, limits.used_weight(clock));
    format!(
        r#"{{"id":{id},"status":{status},{body},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{limit},"count":{count}}}]}}"#
    )
}

fn time(exchange: &mut Exchange, _: ConnId, _: &Params<'_>) -> Outcome {
    Ok(format!(r#"{{"serverTime":{}}}"#, exchange.clock_ms()))
}

/// One subscription per account and connection; there is one account.
fn subscribe(exchange: &mut Exchange, conn: ConnId, _: &Params<'_>) -> Outcome {
    if exchange.private.spot.iter().any(|(other, _)| *other == conn) {
        return Err(Refusal::new(-2035, "User Data Stream subscription already active."));
    }
    let socket = exchange.conns.get(conn).and_then(|c| c.socket.as_mut());
    let id = socket.map_or(0, |socket| {
        socket.next_subscription += 1;
        socket.next_subscription - 1
    });
    if id >= SUBSCRIPTIONS_MAX {
        return Err(Refusal::new(-1128, "Too many subscriptions; reconnect to start new ones."));
    }
    exchange.private.spot.push((conn, id));
    Ok(format!(r#"{{"subscriptionId":{id}}}"#))
}

fn subscriptions(exchange: &mut Exchange, conn: ConnId, _: &Params<'_>) -> Outcome {
    let mine = exchange.private.spot.iter().filter(|(other, _)| *other == conn);
    let rows: Vec<String> = mine.map(|(_, id)| format!(r#"{{"subscriptionId":{id}}}"#)).collect();
    Ok(format!("[{}]", rows.join(",")))
}

/// Ends the subscription named, or all of the connection; each end is told as an event.
fn unsubscribe(exchange: &mut Exchange, conn: ConnId, params: &Params<'_>) -> Outcome {
    let wanted = params.number("subscriptionId")?;
    let ends = |(other, id): &(ConnId, u64)| *other == conn && wanted.is_none_or(|w| w == *id);
    let ended: Vec<(ConnId, u64)> = exchange.private.spot.iter().copied().filter(ends).collect();
    if ended.is_empty() {
        return Err(Refusal::new(-2036, "User Data Stream subscription not active."));
    }
    exchange.private.spot.retain(|it| !ends(it));
    for (conn, id) in ended {
        let text = user_events::wrap_spot(id, &user_events::stream_terminated(exchange));
        exchange.send_private(Market::Spot, conn, text);
    }
    Ok("{}".into())
}
