//! Binance: which requests exist, who may send them, what they cost, and how answers and refusals look.
//!
//! Owns:  the way of a REST request: weight, faults, key, stamp, signature, parameters, handler, headers.
//! Never: holds state; all of it is in [`Exchange`].
//! Wire:  binance.md §5, §7, §8, §13, §14.
//! Quirk: unknown parameters are refused on both markets, so that a typing mistake of the client is seen.

mod filters;
mod funding;
mod info;
mod klines;
mod order_entry;
mod params;
mod refusal;
mod rest_spot;
mod rest_usdm;
mod sbe;
mod sign;
mod streams;
mod ticker;
mod usdm_account;
mod user_events;
mod wallet;
mod ws_api;

pub(in crate::sim) use order_entry::take_order;
pub(in crate::sim) use sbe::{best_bid_ask, trade as sbe_trade};
pub(in crate::sim) use streams::{
    book_ticker, depth_event, mark_events, messages_per_second, on_text, shutdown_notice, spoil_quote,
    stamp_quote, trade_event,
};
pub(in crate::sim) use user_events::{
    KEY_EXPIRED, account_event, balance_event, funding_event, key_expired, leverage_event, order_events,
    wrap_spot, wrap_usdm,
};

use super::super::config::{ConnId, Door, Market};
use super::super::exchange::{Due, Exchange, MS};
use super::super::http::{self, Request};
use super::super::kinds::Kind;
use super::super::limits::Throttle;
use super::super::matching::Side;
use super::super::watch::Seen;
use params::Params;
use refusal::Refusal;

/// What a request must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    /// Nothing.
    Open,
    /// The key alone.
    Keyed,
    /// Key, stamp and signature.
    Signed,
}

/// What a handler gives back.
type Outcome = Result<String, Refusal>;

/// One endpoint.
struct Route {
    method: &'static str,
    path: &'static str,
    auth: Auth,
    /// Parameters it knows, besides those of a signature.
    allowed: &'static [&'static str],
    weight: fn(&Params<'_>) -> u32,
    run: fn(&mut Exchange, &Params<'_>) -> Outcome,
}

/// How an answer leaves.
struct Reply {
    status: u16,
    body: String,
    kind: &'static str,
    retry_after_s: Option<u64>,
    /// Cut the connection without an answer.
    cut: bool,
    /// Cut it in the middle of the answer.
    half: bool,
}

/// Reads that the venue answers from a replica.
const REPLICATED: &[&str] = &[
    "/api/v3/order",
    "/api/v3/allOrders",
    "/api/v3/myTrades",
    "/api/v3/account",
    "/fapi/v1/order",
    "/fapi/v1/allOrders",
    "/fapi/v1/userTrades",
    "/fapi/v2/positionRisk",
    "/fapi/v3/positionRisk",
    "/fapi/v3/account",
    "/fapi/v3/balance",
];

/// The one path that answers in a maintenance: it tells of it.
const SYSTEM_STATUS: &str = "/sapi/v1/system/status";

const JSON: &str = "application/json;charset=UTF-8";

impl Reply {
    fn json(status: u16, body: String) -> Self {
        Self { status, body, kind: JSON, retry_after_s: None, cut: false, half: false }
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Ok(body) => Self::json(200, body),
            Err(refusal) => Self {
                status: refusal.status,
                body: refusal.body(),
                kind: JSON,
                retry_after_s: refusal.retry_after_s,
                cut: refusal.cut,
                half: false,
            },
        }
    }
}

/// A whole HTTP request arrived at one of the doors.
pub(in crate::sim) fn on_request(exchange: &mut Exchange, conn: ConnId, door: Door, request: &Request<'_>) {
    if !matches!(door, Door::SpotRest | Door::UsdmRest) {
        streams::on_upgrade(exchange, conn, door, request);
        return;
    }
    let market = door.market();
    exchange.requests += 1;
    let keyed = request.header("x-mbx-apikey").is_some();
    exchange.signed +=
        u64::from(keyed || [request.query, request.body].iter().any(|t| t.contains("signature=")));
    let sapi = exchange.standing.sapi;
    let mut served = routes(market).filter(|r| sapi || !r.path.starts_with("/sapi/"));
    let route = served.find(|r| r.path == request.path && r.method == request.method);
    let is_order = request.method == "POST" && request.path.ends_with("/order");
    let reply = respond(exchange, market, route, request, is_order);
    let clock = exchange.clock();
    let now = exchange.now;
    let held = std::mem::take(&mut exchange.faults.hold_answer_ms).saturating_mul(MS);
    let until = now.saturating_add(held).saturating_add(exchange.config.wire_ns);
    let limits = &mut exchange.limits[market.index()];
    let mut extra = format!("X-MBX-USED-WEIGHT-1M: {}\r\n", limits.used_weight(clock));
    if is_order {
        let (short, long) = limits.order_counts(clock);
        let name = if market == Market::Spot { "1D" } else { "1M" };
        extra += &format!("X-MBX-ORDER-COUNT-10S: {short}\r\nX-MBX-ORDER-COUNT-{name}: {long}\r\n");
    }
    if now < exchange.uncounted[market.index()] {
        extra.clear();
    }
    if let Some(seconds) = reply.retry_after_s {
        extra += &format!("Retry-After: {seconds}\r\n");
    }
    let mut bytes = Vec::new();
    if !reply.cut {
        http::answer(&mut bytes, reply.status, &extra, &reply.body, reply.kind, request.keep_alive);
    }
    if reply.half {
        bytes.truncate(bytes.len() - reply.body.len().div_ceil(2));
    }
    let ends = reply.cut || reply.half || !request.keep_alive;
    // A connection that is cut still carries what answers earlier requests.
    if let Some(at) = exchange.conns.answer(conn, bytes, ends, until, now) {
        exchange.schedule(at, Due::Answer(conn));
    }
}

/// The endpoints behind a REST door; the wallet's are behind spot's.
fn routes(market: Market) -> impl Iterator<Item = &'static Route> {
    let (own, more) = match market {
        Market::Spot => (rest_spot::ROUTES, wallet::ROUTES),
        Market::Usdm => (rest_usdm::ROUTES, &[] as &[Route]),
    };
    own.iter().chain(more)
}

fn respond(
    exchange: &mut Exchange,
    market: Market,
    route: Option<&Route>,
    request: &Request<'_>,
    is_order: bool,
) -> Reply {
    let params = Params::read(request.query, request.body);
    let cost = match (route, &params) {
        (Some(route), Ok(params)) => (route.weight)(params),
        _ => 1,
    };
    if let (true, Ok(params)) = (is_order, &params) {
        exchange.see_arrival(market, |name| params.get(name));
    }
    let clock = exchange.clock();
    if let Err(throttle) = exchange.limits[market.index()].admit(clock, cost) {
        let refusal = throttled(exchange, market, throttle);
        let (status, wait_s) = (refusal.status, refusal.retry_after_s.unwrap_or(0));
        exchange.watch.see(|| Seen::Throttled { market, status, wait_s });
        if let (true, Ok(params)) = (is_order, &params) {
            note_refusal(exchange, market, params, &refusal);
        }
        return Reply::of(Err(refusal));
    }
    if exchange.maintained_until(market).is_some() && request.path != SYSTEM_STATUS {
        return Reply::json(503, r#"{"msg":"Service Unavailable."}"#.to_owned());
    }
    let Some(route) = route else { return not_found(exchange, market, request) };
    let (spoil, taken) = strike(exchange, market, params.as_ref().ok().filter(|_| is_order));
    let mut reply = if taken {
        Reply::of(params.and_then(|params| handle(exchange, market, route, request, &params)))
    } else {
        Reply::json(200, String::new())
    };
    // Spot orders that succeed cost no weight (since 2026-04-02).
    let waives = market == Market::Spot && request.path == "/api/v3/order" && request.method != "GET";
    if waives && reply.status == 200 {
        exchange.limits[market.index()].waive(cost);
    }
    match spoil {
        Some(Kind::Html { .. }) => {
            (reply.status, reply.kind) = (200, "text/html");
            reply.body =
                "<html><head><title>Maintenance</title></head><body>Please wait.</body></html>".into();
        }
        Some(Kind::Status { status, body, retry_after_s, .. }) => {
            reply.retry_after_s = Some(retry_after_s).filter(|seconds| *seconds > 0);
            reply.kind = if body.starts_with('<') { "text/html" } else { JSON };
            (reply.status, reply.body) = (status, body);
        }
        Some(Kind::Half) => reply.half = true,
        Some(Kind::Slow { ms }) => exchange.faults.hold_answer_ms = ms,
        _ => {}
    }
    reply
}

/// Key, stamp, signature, parameter names, then the endpoint itself.
fn handle(
    exchange: &mut Exchange,
    market: Market,
    route: &Route,
    request: &Request<'_>,
    params: &Params<'_>,
) -> Outcome {
    let outcome = match route.auth {
        Auth::Open => Ok(()),
        Auth::Keyed => sign::check_key(exchange, request.header("x-mbx-apikey")),
        Auth::Signed => sign::check(exchange, market, request, params),
    };
    let outcome =
        outcome.and_then(|()| if trades(market, route) { may_trade(exchange, market) } else { Ok(()) });
    let outcome = outcome.and_then(|()| params.only(route.allowed, route.auth == Auth::Signed));
    let outcome = outcome.and_then(|()| {
        if route.method == "GET" && REPLICATED.contains(&route.path) {
            exchange.on_replica(market, |x| (route.run)(x, params))
        } else {
            (route.run)(exchange, params)
        }
    });
    if let (true, Err(refusal)) = (route.method == "POST" && route.path.ends_with("/order"), &outcome) {
        note_refusal(exchange, market, params, refusal);
    }
    outcome
}

/// Needs an endpoint the right to trade? Spot reads without it; nothing of USD-M is signed without it.
fn trades(market: Market, route: &Route) -> bool {
    match market {
        Market::Spot => {
            route.auth == Auth::Signed && route.method != "GET" && route.path.starts_with("/api/")
        }
        Market::Usdm => route.auth != Auth::Open,
    }
}

/// Has the key the right to trade?
fn may_trade(exchange: &Exchange, market: Market) -> Result<(), Refusal> {
    if exchange.standing.trades[market.index()] {
        return Ok(());
    }
    Err(Refusal::key())
}

/// The fault that the answer to a request meets, if any, and whether the request is carried out all the same; `order`:
/// what an order asks for.
fn strike(exchange: &mut Exchange, market: Market, order: Option<&Params<'_>>) -> (Option<Kind>, bool) {
    let side = order.and_then(|params| params.get("side")).and_then(|side| match side {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    });
    let spoil = exchange.faults.for_answer(market, side);
    if let (Some(params), Some(kind)) = (order, &spoil) {
        let (client_id, kind) = (params.get("newClientOrderId").unwrap_or("").to_owned(), kind.name());
        exchange.watch.see(|| Seen::Struck { client_id, kind });
    }
    let taken = match &spoil {
        Some(Kind::Html { taken } | Kind::Status { taken, .. }) => *taken || order.is_none(),
        _ => true,
    };
    (spoil, taken)
}

/// Orders that were refused are part of the truth.
fn note_refusal(exchange: &mut Exchange, market: Market, params: &Params<'_>, refusal: &Refusal) {
    if refusal.cut {
        return;
    }
    let received_us = exchange.clock() / 1_000;
    let (client_id, code, msg) =
        (params.get("newClientOrderId").unwrap_or("").to_owned(), refusal.code, refusal.msg.clone());
    exchange.watch.see(|| Seen::Refused { market, client_id: client_id.clone(), code, msg: msg.clone() });
    exchange.refused.push(super::super::trading::Refused { market, client_id, code, msg, received_us });
}

fn throttled(exchange: &Exchange, market: Market, throttle: Throttle) -> Refusal {
    let limit = exchange.limits[market.index()].weight.limit;
    let (status, wait, msg) = match throttle {
        Throttle::Weight { retry_after_s } => (
            429,
            retry_after_s,
            format!(
                "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. \
                 Please use WebSocket Streams for live updates to avoid polling the API."
            ),
        ),
        Throttle::Banned { retry_after_s, until_ms } => (
            418,
            retry_after_s,
            format!(
                "Way too much request weight used; IP banned until {until_ms}. \
                 Please use WebSocket Streams for live updates to avoid bans."
            ),
        ),
    };
    Refusal { status, retry_after_s: Some(wait), ..Refusal::new(-1003, msg) }
}

fn not_found(exchange: &Exchange, market: Market, request: &Request<'_>) -> Reply {
    let hidden = !exchange.standing.sapi && request.path.starts_with("/sapi/");
    let known = !hidden && routes(market).any(|r| r.path == request.path);
    let status = if known { 405 } else { 404 };
    let msg = format!("Path {}, Method {} is invalid", request.path, request.method);
    Reply::of(Err(Refusal { status, ..Refusal::new(-5000, msg) }))
}
