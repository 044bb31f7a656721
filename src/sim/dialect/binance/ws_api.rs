//! The WebSocket API door: one JSON request in, one answer out, matched by `id` alone.
//!
//! Owns:  the envelope, weights and rate-limit block, the methods the box knows, who is logged on, subscriptions to the
//!        account.
//! Never: has a way of its own to an order: `order.place` runs what `POST …/order` runs, under the same faults.
//! Wire:  binance.md §8 (payload: parameters sorted by name), §10, §11; fixtures `spot_wsapi_*`.
//! Quirk: `session.logon` is for keys of Ed25519 only; the page names no code for others, and clients tell of -4056. Nor
//!        does it name one for `userDataStream.subscribe` without a logon, or `userDataStream.start` without a key: they
//!        are answered as requests with a wrong one. A connection whose key has died since answers the next request under
//!        no id at all.

use super::super::super::account_key::AccountKey;
use super::super::super::config::{ConnId, Market};
use super::super::super::exchange::{Due, Exchange, MS};
use super::super::super::kinds::Kind;
use super::super::super::limits::Throttle;
use super::super::super::watch::Seen;
use super::params::Params;
use super::refusal::Refusal;
use super::{
    Auth, Outcome, may_trade, note_refusal, order_entry, rest_spot, rest_usdm, sign, strike, throttled,
    user_events,
};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Subscriptions a connection may have over its life.
const SUBSCRIPTIONS_MAX: u64 = 65_535;

/// One method.
struct Method {
    name: &'static str,
    weight: u32,
    /// Its own parameters.
    allowed: &'static [&'static str],
    auth: Auth,
    run: fn(&mut Exchange, ConnId, &Params<'_>) -> Outcome,
}

/// The method that has faults, counters and a place in the truth.
const PLACE: &str = "order.place";

/// The method that is signed on every connection.
const LOGON: &str = "session.logon";

const SPOT_METHODS: &[Method] = &[
    Method {
        name: PLACE,
        weight: 1,
        allowed: order_entry::SPOT_PARAMS,
        auth: Auth::Signed,
        run: |exchange, _, params| rest_spot::place(exchange, params),
    },
    Method { name: "ping", weight: 1, allowed: &[], auth: Auth::Open, run: |_, _, _| Ok("{}".into()) },
    Method { name: "time", weight: 1, allowed: &[], auth: Auth::Open, run: time },
    Method {
        name: "order.status",
        weight: 4,
        allowed: &["symbol", "orderId", "origClientOrderId"],
        auth: Auth::Signed,
        run: |exchange, _, params| exchange.on_replica(Market::Spot, |x| rest_spot::query(x, params)),
    },
    Method { name: LOGON, weight: 2, allowed: &[], auth: Auth::Signed, run: log_on },
    Method { name: "session.status", weight: 2, allowed: &[], auth: Auth::Open, run: session },
    Method { name: "session.logout", weight: 2, allowed: &[], auth: Auth::Open, run: log_out },
    Method { name: "session.subscriptions", weight: 2, allowed: &[], auth: Auth::Open, run: subscriptions },
    Method {
        name: "userDataStream.subscribe.signature",
        weight: 2,
        allowed: &[],
        auth: Auth::Signed,
        run: subscribe,
    },
    Method {
        name: "userDataStream.subscribe",
        weight: 2,
        allowed: &[],
        auth: Auth::Open,
        run: |exchange, conn, params| {
            logged_on(exchange, conn)?;
            subscribe(exchange, conn, params)
        },
    },
    Method {
        name: "userDataStream.unsubscribe",
        weight: 2,
        allowed: &["subscriptionId"],
        auth: Auth::Open,
        run: unsubscribe,
    },
];

const USDM_METHODS: &[Method] = &[
    Method {
        name: PLACE,
        weight: 0,
        allowed: order_entry::USDM_PARAMS,
        auth: Auth::Signed,
        run: |exchange, _, params| rest_usdm::place(exchange, params),
    },
    Method { name: LOGON, weight: 2, allowed: &[], auth: Auth::Signed, run: log_on },
    Method { name: "session.status", weight: 2, allowed: &[], auth: Auth::Open, run: session },
    Method { name: "session.logout", weight: 2, allowed: &[], auth: Auth::Open, run: log_out },
    Method {
        name: "userDataStream.start",
        weight: 2,
        allowed: &[],
        auth: Auth::Keyed,
        run: |exchange, _, _| rest_usdm::start_stream(exchange),
    },
    Method {
        name: "userDataStream.ping",
        weight: 2,
        allowed: &[],
        auth: Auth::Keyed,
        run: |exchange, _, _| rest_usdm::keep_stream(exchange),
    },
    Method {
        name: "userDataStream.stop",
        weight: 2,
        allowed: &[],
        auth: Auth::Keyed,
        run: |exchange, _, _| rest_usdm::stop_stream(exchange),
    },
    Method { name: "ping", weight: 1, allowed: &[], auth: Auth::Open, run: |_, _, _| Ok("{}".into()) },
    Method { name: "time", weight: 1, allowed: &[], auth: Auth::Open, run: time },
];

/// How an answer leaves.
struct Said {
    text: String,
    /// Cut the connection without an answer.
    cut: bool,
    /// Cut it in the middle of the answer.
    half: bool,
    /// How long it is held back at least, ns.
    held: u64,
}

impl Said {
    fn plain(text: String) -> Self {
        Self { text, cut: false, half: false, held: 0 }
    }
}

/// A request frame: answered on its connection, unless a fault keeps that from happening.
pub(super) fn on_request(exchange: &mut Exchange, conn: ConnId, market: Market, text: &str) {
    let said = answer(exchange, conn, market, text);
    let now = exchange.now;
    let until = now.saturating_add(said.held);
    let mut bytes = exchange.conns.frame(conn, said.text.into());
    if said.half {
        bytes.truncate(bytes.len().div_ceil(2));
    }
    if said.cut {
        bytes.clear();
    }
    if let Some(at) = exchange.conns.answer(conn, bytes, said.cut || said.half, until, now) {
        exchange.schedule(at, Due::Answer(conn));
    }
}

fn answer(exchange: &mut Exchange, conn: ConnId, market: Market, text: &str) -> Said {
    let methods = if market == Market::Spot { SPOT_METHODS } else { USDM_METHODS };
    let frame: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let name = frame.get("method").and_then(Value::as_str);
    let method = name.and_then(|name| methods.iter().find(|m| m.name == name));
    exchange.signed += u64::from(text.contains("\"apiKey\"") || text.contains("\"signature\""));
    let nothing = Map::new();
    let members = frame.get("params").and_then(Value::as_object).unwrap_or(&nothing);
    let params = read(members);
    let placing = name == Some(PLACE);
    if let (true, Ok(params)) = (placing, &params) {
        exchange.see_arrival(market, |name| params.get(name));
    }
    let clock = exchange.clock();
    let admitted = exchange.limits[market.index()].admit(clock, method.map_or(1, |m| m.weight));
    let mut shows = !exchange.conns.get(conn).and_then(|c| c.socket.as_ref()).is_some_and(|s| s.terse);
    if let Some(Value::Bool(on)) = members.get("returnRateLimits") {
        shows = *on;
    }
    let id = match request_id(&frame) {
        Err(refusal) => {
            let error = error(exchange, &refusal, None);
            let text = envelope(exchange, market, &Value::Null, refusal.status, &error, (shows, false));
            return Said::plain(text);
        }
        Ok(id) => id,
    };
    if let Err(throttle) = admitted {
        let refusal = throttled(exchange, market, throttle);
        let (status, wait_s) = (refusal.status, refusal.retry_after_s.unwrap_or(0));
        exchange.watch.see(|| Seen::Throttled { market, status, wait_s });
        if let (true, Ok(params)) = (placing, &params) {
            note_refusal(exchange, market, params, &refusal);
        }
        let until = match throttle {
            Throttle::Weight { .. } => None,
            Throttle::Banned { until_ms, .. } => Some(until_ms),
        };
        let error = error(exchange, &refusal, until);
        return Said::plain(envelope(exchange, market, &id, refusal.status, &error, (shows, placing)));
    }
    if !exchange.standing.key && log_off(exchange, conn).is_some() {
        let refusal = Refusal::key();
        if let (true, Ok(params)) = (placing, &params) {
            note_refusal(exchange, market, params, &refusal);
        }
        let error = error(exchange, &refusal, None);
        return Said::plain(envelope(exchange, market, &Value::Null, refusal.status, &error, (false, false)));
    }
    let (Some(method), Ok(params)) = (method, &params) else {
        let refusal = match (name, params) {
            (None, _) => Refusal::new(-1135, "Invalid JSON Request, or 'method' is missing."),
            (Some(_), Err(refusal)) if method.is_some() => refusal,
            (Some(name), _) => Refusal::new(-1100, format!("Unknown method '{name}'.")),
        };
        let error = error(exchange, &refusal, None);
        return Said::plain(envelope(exchange, market, &id, refusal.status, &error, (shows, placing)));
    };
    if placing {
        return placed(exchange, conn, market, (&id, method, params), shows);
    }
    let (status, body) = match run(exchange, conn, market, method, params) {
        Ok(result) => (200, format!(r#""result":{result}"#)),
        Err(refusal) => (refusal.status, error(exchange, &refusal, None)),
    };
    Said::plain(envelope(exchange, market, &id, status, &body, (shows, false)))
}

/// An order: as over REST, with what strikes its answer.
fn placed(
    exchange: &mut Exchange,
    conn: ConnId,
    market: Market,
    (id, method, params): (&Value, &Method, &Params<'_>),
    shows: bool,
) -> Said {
    let (spoil, taken) = strike(exchange, market, Some(params));
    let outcome = if taken { run(exchange, conn, market, method, params) } else { Ok("{}".to_owned()) };
    let mut cut = false;
    let (mut status, mut body) = match outcome {
        Ok(result) => {
            // Spot orders that succeed cost no weight (since 2026-04-02).
            if taken {
                exchange.limits[market.index()].waive(method.weight);
            }
            (200, format!(r#""result":{result}"#))
        }
        Err(refusal) => {
            note_refusal(exchange, market, params, &refusal);
            cut = refusal.cut;
            (refusal.status, error(exchange, &refusal, None))
        }
    };
    let mut half = false;
    match spoil {
        Some(Kind::Html { .. }) => {
            let text = "<html><head><title>Maintenance</title></head><body>Please wait.</body></html>";
            return Said { text: text.to_owned(), cut, half, held: held(exchange) };
        }
        Some(Kind::Status { status: other, body: told, retry_after_s, .. }) => {
            // A page is no body of an error here; a fault's JSON is one as it stands.
            let plain = Refusal::new(-1000, "An unknown error occurred while processing the request.");
            let told = if told.starts_with('{') { told } else { plain.body() };
            let now = exchange.clock_ms();
            let until = now + retry_after_s * 1_000;
            let data = match retry_after_s {
                0 => "}".to_owned(),
                _ => format!(r#","data":{{"serverTime":{now},"retryAfter":{until}}}}}"#),
            };
            (status, body) = (other, format!(r#""error":{}{data}"#, told.trim_end_matches('}')));
        }
        Some(Kind::Half) => half = true,
        Some(Kind::Slow { ms }) => exchange.faults.hold_answer_ms = ms,
        _ => {}
    }
    let text = envelope(exchange, market, id, status, &body, (shows, true));
    Said { text, cut, half, held: held(exchange) }
}

/// How long the answer to the present order takes.
fn held(exchange: &mut Exchange) -> u64 {
    let held = std::mem::take(&mut exchange.faults.hold_answer_ms).saturating_mul(MS);
    held.saturating_add(exchange.config.wire_ns)
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

/// Parameters as text, whatever JSON they were.
fn read(members: &Map<String, Value>) -> Result<Params<'_>, Refusal> {
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
    Ok(Params::of(pairs))
}

fn run(
    exchange: &mut Exchange,
    conn: ConnId,
    market: Market,
    method: &Method,
    params: &Params<'_>,
) -> Outcome {
    let own: &[&str] = match method.auth {
        Auth::Open => &[],
        Auth::Keyed => {
            keyed(exchange, conn, params)?;
            &["apiKey"]
        }
        Auth::Signed => {
            let bare =
                method.name != LOGON && ["apiKey", "signature"].iter().all(|it| params.get(it).is_none());
            if bare && authorized(exchange, conn).is_some_and(|since| since.is_some()) {
                sign::check_stamp(exchange, market, params)?;
            } else {
                sign::check_sorted(exchange, market, params)?;
            }
            &["apiKey", "timestamp", "recvWindow", "signature"]
        }
    };
    if method.name == PLACE {
        may_trade(exchange, market)?;
    }
    let known = [method.allowed, own, &["returnRateLimits"]].concat();
    params.only(&known, false)?;
    (method.run)(exchange, conn, params)
}

/// `error` of an answer; with when to come back, where the refusal says to stay away: at `until`, ms, if that is given.
fn error(exchange: &Exchange, refusal: &Refusal, until: Option<u64>) -> String {
    let Some(wait_s) = refusal.retry_after_s else { return format!(r#""error":{}"#, refusal.body()) };
    let now = exchange.clock_ms();
    let data = json!({"serverTime": now, "retryAfter": until.unwrap_or(now + wait_s * 1_000)});
    format!(r#""error":{}"#, json!({"code": refusal.code, "msg": refusal.msg, "data": data}))
}

/// A whole answer; whether it shows rate limits, and whether those of orders are among them.
fn envelope(
    exchange: &mut Exchange,
    market: Market,
    id: &Value,
    status: u16,
    body: &str,
    (shows, orders): (bool, bool),
) -> String {
    if !shows {
        return format!(r#"{{"id":{id},"status":{status},{body}}}"#);
    }
    let clock = exchange.clock();
    let limits = &mut exchange.limits[market.index()];
    let row = |kind: &str, interval: &str, n: u32, limit: u32, count: u32| {
        format!(
            r#"{{"rateLimitType":"{kind}","interval":"{interval}","intervalNum":{n},"limit":{limit},"count":{count}}}"#
        )
    };
    let mut rows = Vec::new();
    if orders {
        let (short, long) = limits.order_counts(clock);
        let interval = if market == Market::Spot { "DAY" } else { "MINUTE" };
        rows.push(row("ORDERS", "SECOND", 10, limits.orders_short.limit, short));
        rows.push(row("ORDERS", interval, 1, limits.orders_long.limit, long));
    }
    rows.push(row("REQUEST_WEIGHT", "MINUTE", 1, limits.weight.limit, limits.used_weight(clock)));
    format!(r#"{{"id":{id},"status":{status},{body},"rateLimits":[{}]}}"#, rows.join(","))
}

fn time(exchange: &mut Exchange, _: ConnId, _: &Params<'_>) -> Outcome {
    Ok(format!(r#"{{"serverTime":{}}}"#, exchange.clock_ms()))
}

/// Since when a connection is logged on.
fn authorized(exchange: &mut Exchange, conn: ConnId) -> Option<&mut Option<u64>> {
    Some(&mut exchange.conns.get(conn)?.socket.as_mut()?.authorized)
}

/// What needs no signature, but a connection that is logged on.
fn logged_on(exchange: &mut Exchange, conn: ConnId) -> Result<(), Refusal> {
    authorized(exchange, conn).and_then(|since| *since).map(|_| ()).ok_or_else(Refusal::key)
}

/// What needs the key alone: told, or that of the logon.
fn keyed(exchange: &mut Exchange, conn: ConnId, params: &Params<'_>) -> Result<(), Refusal> {
    match params.get("apiKey") {
        None => logged_on(exchange, conn),
        key => sign::check_key(exchange, key),
    }
}

fn log_off(exchange: &mut Exchange, conn: ConnId) -> Option<u64> {
    authorized(exchange, conn)?.take()
}

fn log_on(exchange: &mut Exchange, conn: ConnId, params: &Params<'_>) -> Outcome {
    if !matches!(exchange.account_key, AccountKey::Ed25519(_)) {
        return Err(Refusal::new(-4056, "HMAC_SHA256 API key is not supported."));
    }
    let now = exchange.clock_ms();
    if let Some(since) = authorized(exchange, conn) {
        *since = Some(now);
    }
    session(exchange, conn, params)
}

fn log_out(exchange: &mut Exchange, conn: ConnId, params: &Params<'_>) -> Outcome {
    log_off(exchange, conn);
    session(exchange, conn, params)
}

/// How a connection stands.
fn session(exchange: &mut Exchange, conn: ConnId, _: &Params<'_>) -> Outcome {
    let (now, clock_ms) = (exchange.now, exchange.clock_ms());
    let hears = exchange.private.spot.iter().any(|(other, _)| *other == conn);
    let it = exchange.conns.get(conn).and_then(|it| Some((it.door.market(), it.socket.as_ref()?)));
    let Some((market, socket)) = it else { return Err(Refusal::cut()) };
    let mut told = json!({
        "apiKey": socket.authorized.map(|_| &exchange.config.key),
        "authorizedSince": socket.authorized,
        "connectedSince": clock_ms - (now - socket.opened) / MS,
        "returnRateLimits": !socket.terse,
        "serverTime": clock_ms,
    });
    if market == Market::Spot {
        told["userDataStream"] = hears.into();
    }
    Ok(told.to_string())
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
