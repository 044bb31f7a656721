//! Binance: which requests exist, who may send them, what they cost, and how answers and refusals look.
//!
//! Owns:  the way of a REST request: weight, faults, key, stamp, signature, parameters, handler, headers.
//! Never: holds state; all of it is in [`Exchange`].
//! Wire:  binance.md §5, §7, §8, §13, §14.
//! Quirk: unknown parameters are refused on both markets, so that a typing mistake of the client is seen.

mod filters;
mod info;
mod order_entry;
mod params;
mod refusal;
mod rest_spot;
mod rest_usdm;
mod sign;
mod streams;
mod usdm_account;

pub(in crate::sim) use streams::{
    book_ticker, depth_event, mark_events, messages_per_second, on_text, spoil_quote, trade_event,
};

use super::super::config::{ConnId, Door, Market};
use super::super::exchange::Exchange;
use super::super::faults::Kind;
use super::super::http::{self, Request};
use super::super::limits::Throttle;
use super::super::matching::Side;
use params::Params;
use refusal::Refusal;

/// What a request must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    /// Nothing.
    Open,
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
}

const JSON: &str = "application/json;charset=UTF-8";

impl Reply {
    fn json(status: u16, body: String) -> Self {
        Self { status, body, kind: JSON, retry_after_s: None, cut: false }
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
    let route = routes(market).iter().find(|r| r.path == request.path && r.method == request.method);
    let is_order = request.method == "POST" && request.path.ends_with("/order");
    let reply = respond(exchange, market, route, request, is_order);
    if reply.cut {
        // What answers earlier requests still leaves.
        exchange.conns.close(conn, false);
        return;
    }
    let clock = exchange.clock();
    let limits = &mut exchange.limits[market.index()];
    let mut extra = format!("X-MBX-USED-WEIGHT-1M: {}\r\n", limits.used_weight(clock));
    if is_order {
        let (short, long) = limits.order_counts(clock);
        let name = if market == Market::Spot { "1D" } else { "1M" };
        extra += &format!("X-MBX-ORDER-COUNT-10S: {short}\r\nX-MBX-ORDER-COUNT-{name}: {long}\r\n");
    }
    if let Some(seconds) = reply.retry_after_s {
        extra += &format!("Retry-After: {seconds}\r\n");
    }
    if let Some(it) = exchange.conns.get(conn) {
        http::answer(&mut it.out, reply.status, &extra, &reply.body, reply.kind, request.keep_alive);
        if !request.keep_alive {
            exchange.conns.close(conn, false);
        }
    }
}

fn routes(market: Market) -> &'static [Route] {
    match market {
        Market::Spot => rest_spot::ROUTES,
        Market::Usdm => rest_usdm::ROUTES,
    }
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
    let clock = exchange.clock();
    if let Err(throttle) = exchange.limits[market.index()].admit(clock, cost) {
        let refusal = throttled(exchange, market, throttle);
        if let (Some(route), Ok(params)) = (route, &params) {
            note_refusal(exchange, market, route, params, &refusal);
        }
        return Reply::of(Err(refusal));
    }
    let Some(route) = route else { return not_found(market, request) };
    let side = params.as_ref().ok().and_then(|p| p.get("side")).and_then(|side| match side {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    });
    let spoil = exchange.faults.for_answer(market, side.filter(|_| is_order));
    let taken = match &spoil {
        None => true,
        Some(Kind::Html { taken } | Kind::Status { taken, .. }) => *taken || !is_order,
        Some(_) => true,
    };
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
        Some(Kind::Status { status, body, .. }) => {
            reply.kind = if body.starts_with('<') { "text/html" } else { JSON };
            (reply.status, reply.body) = (status, body);
        }
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
    if route.auth == Auth::Signed {
        let outcome = sign::check(exchange, market, request, params);
        if let Err(refusal) = outcome {
            note_refusal(exchange, market, route, params, &refusal);
            return Err(refusal);
        }
    }
    let outcome =
        params.only(route.allowed, route.auth == Auth::Signed).and_then(|()| (route.run)(exchange, params));
    if let Err(refusal) = &outcome {
        note_refusal(exchange, market, route, params, refusal);
    }
    outcome
}

/// Orders that were refused are part of the truth.
fn note_refusal(
    exchange: &mut Exchange,
    market: Market,
    route: &Route,
    params: &Params<'_>,
    refusal: &Refusal,
) {
    if route.method == "POST" && route.path.ends_with("/order") && !refusal.cut {
        let received_us = exchange.clock() / 1_000;
        exchange.refused.push(super::super::trading::Refused {
            market,
            client_id: params.get("newClientOrderId").unwrap_or("").to_owned(),
            code: refusal.code,
            msg: refusal.msg.clone(),
            received_us,
        });
    }
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

fn not_found(market: Market, request: &Request<'_>) -> Reply {
    let known = routes(market).iter().any(|r| r.path == request.path);
    let status = if known { 405 } else { 404 };
    let msg = format!("Path {}, Method {} is invalid", request.path, request.method);
    Reply::of(Err(Refusal { status, ..Refusal::new(-5000, msg) }))
}
