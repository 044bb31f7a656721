//! What a venue tells anybody, as far as three of them do it alike: a request's way, an upgrade, subscriptions.
//!
//! Owns:  the order of checks (address, path, budget, fault, handler), and the table a dialect fills.
//! Never: writes a venue's words: texts, codes and budgets come from its table.

use super::super::config::{ConnId, Door, Market};
use super::super::conn::{Route as Place, Subscription};
use super::super::exchange::{Due, Exchange, MS};
use super::super::http::{self, Request};
use super::super::hub::Feed;
use super::super::kinds::Kind;
use super::super::listing::{Symbol, SymbolId};
use super::super::number::{E8, Fixed, ONE_E8, decimals_used, mul_div};
use super::super::rates::Rate;
use std::borrow::Cow;

/// A venue's public half.
pub(super) struct Speech {
    pub(super) routes: &'static [Route],
    /// What all requests together are counted by.
    pub(super) all: Option<Rate>,
    /// A request too many: the answer, and for how long the address is sent away after it, ns.
    pub(super) throttled: fn(&Exchange) -> No,
    pub(super) away_ns: u64,
    /// No such path.
    pub(super) unknown: fn(&Exchange, &str) -> No,
    /// The path of a door's WebSocket.
    pub(super) socket: fn(Door) -> &'static str,
    pub(super) on_text: fn(&mut Exchange, ConnId, &str),
    /// The best quote of a symbol as its stream tells it.
    pub(super) quote: fn(&Exchange, SymbolId) -> String,
    /// The same with a price nobody can hold.
    pub(super) spoil: fn(&str) -> String,
    /// An event of a slower stream, by its number; `first`: to one who has just subscribed.
    pub(super) slow: fn(&Exchange, usize, bool) -> Option<String>,
    pub(super) messages_per_second: u32,
    pub(super) idle: Idle,
}

/// When a socket is closed for being idle.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Idle {
    /// How long nothing may move, ns; looked at as often.
    pub(in crate::sim) after_ns: u64,
    /// Does what the venue sends count as moving?
    pub(in crate::sim) pushes_count: bool,
    /// The close code.
    pub(in crate::sim) code: u16,
}

/// One path, all of them GET.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// Its own budget.
    pub(super) rate: Option<Rate>,
    pub(super) run: fn(&mut Exchange, &Query<'_>) -> Result<String, No>,
}

/// A refusal: status and body.
#[derive(Debug)]
pub(super) struct No {
    pub(super) status: u16,
    pub(super) body: String,
}

/// The parameters of a request, decoded.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// What can't be decoded is taken as it is: no value of ours has an escape.
    fn read(query: &'a str) -> Self {
        let plain = |text: &'a str| http::decode(text, true).unwrap_or(Cow::Borrowed(text));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &'a str| pair.split_once('=').unwrap_or((pair, ""));
        Self(pairs.map(pair).map(|(name, value)| (plain(name), plain(value))).collect())
    }

    /// A value that was sent and is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_ref())
    }

    /// A whole number; `fallback` where none was sent, `None` where it is none.
    pub(super) fn number(&self, name: &str, fallback: u64) -> Option<u64> {
        self.get(name).map_or(Some(fallback), |text| text.parse().ok())
    }
}

/// A whole HTTP request arrived.
pub(super) fn on_request(
    exchange: &mut Exchange,
    conn: ConnId,
    door: Door,
    request: &Request<'_>,
    speech: &Speech,
) {
    if door != Door::Rest {
        on_upgrade(exchange, conn, door, request, speech);
        return;
    }
    exchange.requests += 1;
    let mut page = "application/json;charset=utf-8";
    let (mut cut, mut held_ms) = (false, 0);
    let answered = match admit(exchange, request, speech) {
        Err(no) => Err(no),
        Ok(route) => {
            let fault = exchange.faults.for_answer(Market::Usdm, None);
            match fault {
                Some(Kind::Html { .. }) => {
                    page = "text/html";
                    Ok("<html><head><title>Maintenance</title></head><body>Please wait.</body></html>"
                        .to_owned())
                }
                Some(Kind::Status { status, body, .. }) => {
                    page = if body.starts_with('<') { "text/html" } else { page };
                    Err(No { status, body })
                }
                fault => {
                    cut = fault == Some(Kind::Half);
                    if let Some(Kind::Slow { ms }) = fault {
                        held_ms = ms;
                    }
                    (route.run)(exchange, &Query::read(request.query))
                }
            }
        }
    };
    let (status, body) = answered.map_or_else(|no| (no.status, no.body), |body| (200, body));
    let mut bytes = Vec::new();
    http::answer(&mut bytes, status, "", &body, page, request.keep_alive && !cut);
    if cut {
        bytes.truncate(bytes.len() - body.len().div_ceil(2));
    }
    let now = exchange.now;
    let until = now.saturating_add(held_ms.saturating_mul(MS)).saturating_add(exchange.config.wire_ns);
    if let Some(at) = exchange.conns.answer(conn, bytes, cut || !request.keep_alive, until, now) {
        exchange.schedule(at, Due::Answer(conn));
    }
}

/// The endpoint of a request, if it may be asked now.
fn admit<'s>(exchange: &mut Exchange, request: &Request<'_>, speech: &'s Speech) -> Result<&'s Route, No> {
    let clock = exchange.clock();
    if exchange.rates.is_away(clock) {
        return Err((speech.throttled)(exchange));
    }
    let found = speech.routes.iter().find(|route| route.path == request.path && request.method == "GET");
    let own = found.and_then(|route| Some((route.path, route.rate?)));
    let counted = speech.all.map(|rate| ("all", rate)).into_iter().chain(own);
    let within: Vec<bool> = counted.map(|(what, rate)| exchange.rates.admit(what, rate, clock)).collect();
    if within.contains(&false) {
        exchange.rates.send_away(clock, speech.away_ns);
        return Err((speech.throttled)(exchange));
    }
    if exchange.maintained_until(Market::Usdm).is_some() {
        return Err(No { status: 503, body: "<html><body>503 Service Unavailable</body></html>".to_owned() });
    }
    found.ok_or_else(|| (speech.unknown)(exchange, request.path))
}

fn on_upgrade(exchange: &mut Exchange, conn: ConnId, door: Door, request: &Request<'_>, speech: &Speech) {
    let shut = exchange.refuses_sockets(door);
    let switched = http::upgrade(request);
    let refusal = match &switched {
        _ if let Some((status, extra)) = &shut => Some((*status, extra.as_str())),
        _ if request.path != (speech.socket)(door) => Some((404, "")),
        Err(refusal) => Some(*refusal),
        Ok(_) => None,
    };
    let Some(it) = exchange.conns.get(conn) else { return };
    match (refusal, switched) {
        (None, Ok(answer)) => {
            it.out.extend_from_slice(answer.as_bytes());
            exchange.start_socket(conn, Place::Public, false);
        }
        (refusal, _) => {
            let (status, extra) = refusal.unwrap_or((400, ""));
            http::answer(&mut it.out, status, extra, "", "text/plain", false);
            exchange.conns.close(conn, false);
        }
    }
}

/// Lets a connection hear a stream, made on first use, and gives its number.
pub(super) fn subscribe(
    exchange: &mut Exchange,
    conn: ConnId,
    market: Market,
    name: &str,
    feed: Feed,
) -> usize {
    let at = exchange.hub.find(market, name).unwrap_or_else(|| exchange.hub.add(market, name, feed));
    let socket = exchange.conns.get(conn).and_then(|it| it.socket.as_mut());
    if let Some(socket) = socket.filter(|it| it.subscriptions.iter().all(|s| s.stream != Some(at))) {
        socket.subscriptions.push(Subscription { name: name.to_owned(), stream: Some(at) });
    }
    exchange.subscribe(at, conn);
    at
}

/// Ends it.
pub(super) fn unsubscribe(exchange: &mut Exchange, conn: ConnId, market: Market, name: &str) {
    let Some(at) = exchange.hub.find(market, name) else { return };
    exchange.hub.unsubscribe(at, conn);
    if let Some(socket) = exchange.conns.get(conn).and_then(|it| it.socket.as_mut()) {
        socket.subscriptions.retain(|s| s.stream != Some(at));
    }
}

/// What one who has just subscribed is told at once.
pub(super) fn first(exchange: &mut Exchange, conn: ConnId, stream: usize, speech: &Speech) {
    let text = match exchange.hub.streams[stream].feed {
        Feed::BookTicker(id) => Some((speech.quote)(exchange, id)),
        _ => (speech.slow)(exchange, stream, true),
    };
    if let Some(text) = text {
        exchange.conns.send_text(conn, text.into());
    }
}

/// A price with as many decimals as its tick has.
pub(super) fn price(row: &Symbol, value: E8) -> String {
    Fixed(value, decimals_used(row.tick)).to_string()
}

/// Text of a number with no more decimals than it has.
pub(super) fn short(value: E8) -> String {
    Fixed(value, decimals_used(value)).to_string()
}

/// Millionths of a price or quantity.
pub(super) fn part(value: E8, millionths: i64) -> E8 {
    i64::try_from(mul_div(i128::from(value), millionths, 1_000_000)).unwrap_or(value)
}

/// What a symbol turned over in a day: USDT, and coins of its own unit.
pub(super) fn turnover(exchange: &Exchange, id: SymbolId) -> (E8, E8) {
    let usdt = 2_000_000_000 / (id as i64 + 1) * ONE_E8;
    let price = exchange.books[id].mid().max(1);
    (usdt, i64::try_from(mul_div(i128::from(usdt), ONE_E8, price)).unwrap_or(i64::MAX))
}

/// A day's change, as a fraction in 10⁻⁸.
pub(super) fn change(exchange: &Exchange, id: SymbolId) -> E8 {
    let day = &exchange.days[id];
    i64::try_from(mul_div(i128::from(day.last - day.open), ONE_E8, day.open.max(1))).unwrap_or(0)
}

/// The perps that settle funding.
pub(super) fn funded(exchange: &Exchange) -> impl Iterator<Item = (SymbolId, &Symbol)> {
    exchange.listing.of(Market::Usdm).filter(|(id, _)| exchange.marks[*id].next_funding_ms != 0)
}

/// Settlements of a perp that its history tells, newest first.
pub(super) fn history(exchange: &Exchange, id: SymbolId) -> Vec<(u64, E8)> {
    let told = exchange.rates(id).into_iter().filter(|row| !row.untold);
    // These venues stamp the very minute.
    let mut rows: Vec<_> = told.map(|row| ((row.time_ms + 30_000) / 60_000 * 60_000, row.rate)).collect();
    rows.sort_unstable_by(|a, b| b.cmp(a));
    rows
}
