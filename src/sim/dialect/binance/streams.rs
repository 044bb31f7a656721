//! Binance streams: upgrades, routes, control frames, stream names, and the text of every event.
//!
//! Owns:  what a stream name means, who listens to a private path, what each market event looks like.
//! Wire:  binance.md §1, §2, §4, §10; fixtures `*_ws_*`; field order as seen live.
//! Map:   what an SBE socket carries is in `sbe`.
//! Quirk: an unknown stream, or one of another route, is acknowledged like a good one and stays silent.

use super::super::super::account_key::AccountKey;
use super::super::super::config::{ConnId, Door, Market};
use super::super::super::conn::{Route, Subscription};
use super::super::super::exchange::Exchange;
use super::super::super::http::{self, Request};
use super::super::super::hub::{Event, Feed};
use super::super::super::kinds::Deaf;
use super::super::super::listing::{Contract, SymbolId};
use super::super::super::market::Level;
use super::super::super::number::Fixed;
use super::super::super::private::Listener;
use super::info::list;
use super::{sbe, sign, ws_api};
use serde_json::{Value, json};

/// Streams one connection may carry.
const STREAMS_MAX: usize = 1024;

/// Messages a client may send in a second, pings and pongs included.
pub(in crate::sim) fn messages_per_second(door: Door) -> u32 {
    match door {
        Door::SpotWs | Door::SpotSbe => 5,
        Door::UsdmWs => 10,
        // The WebSocket API is bounded by weights.
        _ => u32::MAX,
    }
}

// --- upgrade --------------------------------------------------------------------------------------------------

/// A request at a WebSocket door: the upgrade, or why not.
pub(super) fn on_upgrade(exchange: &mut Exchange, conn: ConnId, door: Door, request: &Request<'_>) {
    let opening = open_path(door, request);
    let switched = http::upgrade(request);
    let clock = exchange.clock();
    let shut = exchange.refuses_sockets(door);
    let plain = |(status, extra): (u16, &str)| Some((status, extra.to_owned()));
    let refusal = match (&opening, &switched) {
        _ if shut.is_some() => shut,
        (None, _) => plain((404, "")),
        (Some(_), Err(refusal)) => plain(*refusal),
        // The page names no status for a missing key, or one of another kind.
        _ if door == Door::SpotSbe && !may_hear_binary(exchange, request) => plain((401, "")),
        _ => {
            let counted = exchange.limits[door.market().index()].connect(clock);
            counted.err().map(|seconds| exchange.sends_away(door, 429, seconds))
        }
    };
    exchange.signed += u64::from(request.header("x-mbx-apikey").is_some());
    let Some(it) = exchange.conns.get(conn) else { return };
    if let Some((status, extra)) = refusal {
        http::answer(&mut it.out, status, &extra, "", "text/plain", false);
        exchange.conns.close(conn, false);
        return;
    }
    let (Some((route, combined, streams)), Ok(answer)) = (opening, switched) else { return };
    it.out.extend_from_slice(answer.as_bytes());
    exchange.start_socket(conn, route, combined);
    match route {
        Route::Api => {
            let terse = request.query.split('&').any(|p| p == "returnRateLimits=false");
            if let Some(socket) = exchange.conns.get(conn).and_then(|c| c.socket.as_mut()) {
                socket.terse = terse;
            }
            // An upgrade has a weight too; that it was let in is decided above.
            let weight = if door == Door::SpotWsApi { 2 } else { 5 };
            let _ = exchange.limits[door.market().index()].admit(clock, weight);
        }
        Route::Private => listen(exchange, conn, combined, streams, request.query),
        _ => {
            for name in streams {
                subscribe(exchange, conn, &name);
            }
        }
    }
}

/// Does the upgrade show the key, and is it of the kind that SBE wants?
fn may_hear_binary(exchange: &Exchange, request: &Request<'_>) -> bool {
    let key = request.header("x-mbx-apikey");
    matches!(exchange.account_key, AccountKey::Ed25519(_)) && sign::check_key(exchange, key).is_ok()
}

/// Lets a private socket hear the events of the key in its path or query. Whether the key is alive is not told.
fn listen(exchange: &mut Exchange, conn: ConnId, combined: bool, names: Vec<String>, query: &str) {
    let query = http::decode(query, false).unwrap_or_default();
    let named = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)).unwrap_or("");
    let key = names.into_iter().next().unwrap_or_else(|| named("listenKey=").to_owned());
    let events = named("events=").split('/').filter(|e| !e.is_empty()).map(str::to_owned).collect();
    exchange.signed += 1;
    exchange.private.usdm.push(Listener { conn, key, events, combined });
}

/// Route, wrapping and first streams of a path; `None` for a path that does not exist.
fn open_path(door: Door, request: &Request<'_>) -> Option<(Route, bool, Vec<String>)> {
    let path = http::decode(request.path, false)?;
    let (route, rest) = match door {
        Door::SpotWsApi => return (path == "/ws-api/v3").then_some((Route::Api, false, Vec::new())),
        Door::UsdmWsApi => return (path == "/ws-fapi/v1").then_some((Route::Api, false, Vec::new())),
        Door::UsdmWs => {
            let routed =
                [("/public", Route::Public), ("/market", Route::Market), ("/private", Route::Private)];
            let found = routed.iter().find_map(|(p, r)| Some((*r, path.strip_prefix(p)?)));
            // Unrouted paths carry public streams only.
            found.unwrap_or((Route::Public, path.as_ref()))
        }
        _ => (Route::Public, path.as_ref()),
    };
    let split = |list: &str| list.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    if rest == "/stream" {
        let query = http::decode(request.query, false)?;
        let streams = query.split('&').find_map(|p| p.strip_prefix("streams=")).unwrap_or("");
        return Some((route, true, split(streams)));
    }
    let names = rest.strip_prefix("/ws").filter(|n| n.is_empty() || n.starts_with('/'))?;
    Some((route, false, split(names)))
}

/// What a socket hears before the venue closes it for maintenance; USD-M documents no notice.
pub(in crate::sim) fn shutdown_notice(exchange: &mut Exchange, conn: ConnId) -> Option<String> {
    let now = exchange.clock_ms();
    let it = exchange.conns.get(conn).filter(|it| it.door.market() == Market::Spot)?;
    let event = format!(r#"{{"e":"serverShutdown","E":{now}}}"#);
    Some(match (it.door, it.socket.as_ref()?.combined) {
        (Door::SpotWsApi, _) => format!(r#"{{"event":{event}}}"#),
        (_, true) => format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#),
        (_, false) => event,
    })
}

// --- control frames -------------------------------------------------------------------------------------------

/// A text frame from a client.
pub(in crate::sim) fn on_text(exchange: &mut Exchange, conn: ConnId, text: &str) {
    let Some(door) = exchange.conns.get(conn).map(|c| c.door) else { return };
    if matches!(door, Door::SpotWsApi | Door::UsdmWsApi) {
        ws_api::on_request(exchange, conn, door.market(), text);
        return;
    }
    let subscribes = text.contains("\"SUBSCRIBE\"");
    match exchange.deaf_to(door.market()).filter(|_| subscribes) {
        Some(Deaf::Silent) => {}
        Some(Deaf::Refused) => {
            let no = json!({"code": 2, "msg": "Invalid request: the stream is not available"});
            exchange.conns.send_text(conn, no.to_string().into());
        }
        how => {
            let answer = control_answer(exchange, conn, text, how.is_none());
            exchange.conns.send_text(conn, answer.into());
        }
    }
}

/// The answer to a control frame; unless `heeded`, nothing comes of a subscription.
fn control_answer(exchange: &mut Exchange, conn: ConnId, text: &str, heeded: bool) -> String {
    let frame: Value = match serde_json::from_str(text) {
        Ok(frame) => frame,
        Err(error) => return json!({"code": 3, "msg": format!("Invalid JSON: {error}")}).to_string(),
    };
    let invalid = |why: String| json!({"code": 2, "msg": format!("Invalid request: {why}")}).to_string();
    let id = match frame.get("id") {
        None | Some(Value::Null) => Value::Null,
        Some(id) if id.is_i64() || id.as_str().is_some_and(|s| (1..=36).contains(&s.len())) => id.clone(),
        Some(_) => return invalid("request ID must be an integer, a string of up to 36, or null".into()),
    };
    let Some(method) = frame.get("method").and_then(Value::as_str) else {
        return invalid(format!("missing field `method` at line 1 column {}", text.len()));
    };
    let result = |value: Value| json!({"result": value, "id": id}).to_string();
    let params = frame.get("params").and_then(Value::as_array).cloned().unwrap_or_default();
    match method {
        "SUBSCRIBE" | "UNSUBSCRIBE" => {
            let names: Option<Vec<&str>> = params.iter().map(Value::as_str).collect();
            let Some(names) = names.filter(|n| !n.is_empty()) else {
                return invalid("params must be an array of stream names".into());
            };
            for name in names {
                let done = if method == "SUBSCRIBE" {
                    !heeded || subscribe(exchange, conn, name)
                } else {
                    unsubscribe(exchange, conn, name);
                    true
                };
                if !done {
                    return invalid(format!("more than {STREAMS_MAX} streams"));
                }
            }
            result(Value::Null)
        }
        "LIST_SUBSCRIPTIONS" => {
            let socket = exchange.conns.get(conn).and_then(|c| c.socket.as_ref());
            let names = socket.map(|s| s.subscriptions.iter().map(|s| s.name.clone()).collect::<Vec<_>>());
            result(json!(names.unwrap_or_default()))
        }
        "SET_PROPERTY" | "GET_PROPERTY" => {
            let socket = exchange.conns.get(conn).and_then(|c| c.socket.as_mut());
            match (params.first().and_then(Value::as_str), params.get(1), socket) {
                (Some("combined"), Some(Value::Bool(on)), Some(socket)) if method == "SET_PROPERTY" => {
                    socket.combined = *on;
                    result(Value::Null)
                }
                (Some("combined"), None, Some(socket)) if method == "GET_PROPERTY" => {
                    result(Value::Bool(socket.combined))
                }
                (Some("combined"), ..) => invalid("`combined` takes true or false".into()),
                _ => json!({"code": 0, "msg": "Unknown property", "id": id}).to_string(),
            }
        }
        other => invalid(format!(
            "unknown variant `{other}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, \
             `SET_PROPERTY`, `GET_PROPERTY`"
        )),
    }
}

/// Adds a subscription; `false` when the connection is full.
fn subscribe(exchange: &mut Exchange, conn: ConnId, name: &str) -> bool {
    let Some(it) = exchange.conns.get(conn) else { return false };
    let (market, binary) = (it.door.market(), it.door == Door::SpotSbe);
    let Some(socket) = it.socket.as_ref() else { return false };
    if socket.subscriptions.iter().any(|s| s.name == name) {
        return true;
    }
    if socket.subscriptions.len() >= STREAMS_MAX {
        return false;
    }
    let route = socket.route;
    let found = if binary { find_binary(exchange, name) } else { find_stream(exchange, market, name) };
    let stream =
        found.filter(|at| market == Market::Spot || travels(exchange.hub.streams[*at].feed, name, route));
    if let Some(socket) = exchange.conns.get(conn).and_then(|c| c.socket.as_mut()) {
        socket.subscriptions.push(Subscription { name: name.to_owned(), stream });
    }
    if let Some(at) = stream {
        exchange.subscribe(at, conn);
    }
    true
}

/// Does a USD-M stream travel on this route? Trades of a tape do on both: tapes are older than the routes.
fn travels(feed: Feed, name: &str, route: Route) -> bool {
    match (feed, route) {
        (Feed::Mark(..) | Feed::MarkAll(_) | Feed::AggTrade(_) | Feed::Trade(_), Route::Market) => true,
        (Feed::BookTicker(_) | Feed::Diff(..) | Feed::Partial(..) | Feed::Tape, Route::Public) => true,
        (Feed::Tape, Route::Market) => name.ends_with("rade"),
        _ => false,
    }
}

fn unsubscribe(exchange: &mut Exchange, conn: ConnId, name: &str) {
    let Some(socket) = exchange.conns.get(conn).and_then(|c| c.socket.as_mut()) else { return };
    let Some(at) = socket.subscriptions.iter().position(|s| s.name == name) else { return };
    let gone = socket.subscriptions.remove(at);
    if let Some(stream) = gone.stream {
        exchange.hub.unsubscribe(stream, conn);
    }
}

/// The stream of that name, made on first use; `None` when the name means nothing.
fn find_stream(exchange: &mut Exchange, market: Market, name: &str) -> Option<usize> {
    if let Some(at) = exchange.hub.find(market, name) {
        return Some(at);
    }
    let feed = feed(exchange, market, name)?;
    // With a tape, quotes, books and trades come from it alone.
    if exchange.tape.is_some() && !matches!(feed, Feed::Mark(..) | Feed::MarkAll(_)) {
        return None;
    }
    Some(exchange.hub.add(market, name, feed))
}

/// As [`find_stream`], on an SBE socket.
fn find_binary(exchange: &mut Exchange, name: &str) -> Option<usize> {
    let found = exchange.hub.find_binary(name);
    found.or_else(|| Some(exchange.hub.add_binary(name, sbe::feed(exchange, name)?)))
}

/// What a stream name means.
fn feed(exchange: &Exchange, market: Market, name: &str) -> Option<Feed> {
    match (market, name) {
        (Market::Usdm, "!markPrice@arr") => return Some(Feed::MarkAll(3)),
        (Market::Usdm, "!markPrice@arr@1s") => return Some(Feed::MarkAll(1)),
        _ => {}
    }
    let (symbol, kind) = name.split_once('@')?;
    let id = exchange.listing.find_lower(market, symbol)?;
    let feed = match (market, kind) {
        (_, "bookTicker") => Feed::BookTicker(id),
        (_, "aggTrade") => Feed::AggTrade(id),
        (_, "trade") => Feed::Trade(id),
        (Market::Usdm, "markPrice") => Feed::Mark(id, 3),
        (Market::Usdm, "markPrice@1s") => Feed::Mark(id, 1),
        _ => depth_feed(market, id, kind)?,
    };
    Some(feed)
}

fn depth_feed(market: Market, id: SymbolId, kind: &str) -> Option<Feed> {
    let (depth, speed) = kind.split_once('@').map_or((kind, None), |(d, s)| (d, Some(s)));
    let every = match (market, speed) {
        (_, Some("100ms")) => 100,
        (Market::Spot, None) => 1_000,
        (Market::Usdm, None) => 250,
        (Market::Usdm, Some("500ms")) => 500,
        _ => return None,
    };
    match depth {
        "depth" => Some(Feed::Diff(id, every)),
        "depth5" => Some(Feed::Partial(id, 5, every)),
        "depth10" => Some(Feed::Partial(id, 10, every)),
        "depth20" => Some(Feed::Partial(id, 20, every)),
        _ => None,
    }
}

// --- WebSocket API --------------------------------------------------------------------------------------------

// --- events ---------------------------------------------------------------------------------------------------

/// The best quote of a symbol; `spoil` puts a price of twenty digits in.
pub(in crate::sim) fn book_ticker(exchange: &Exchange, id: SymbolId, spoil: bool) -> String {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let (bid, ask) = (book.bid(), book.ask());
    let price = |l: Level| Fixed(l.price, row.price_decimals);
    let qty = |l: Level| Fixed(l.qty, row.qty_decimals);
    let (u, s) = (book.update_id, &row.name);
    let text = match row.market {
        Market::Spot => format!(
            r#"{{"u":{u},"s":"{s}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
            price(bid),
            qty(bid),
            price(ask),
            qty(ask)
        ),
        Market::Usdm => {
            let t = exchange.clock_ms();
            format!(
                r#"{{"e":"bookTicker","u":{u},"s":"{s}","ps":"{s}","b":"{}","B":"{}","a":"{}","A":"{}","T":{t},"E":{t},"st":1}}"#,
                price(bid),
                qty(bid),
                price(ask),
                qty(ask)
            )
        }
    };
    if spoil { spoil_quote(&text) } else { text }
}

/// Puts a bid price of twenty digits into the text of a quote.
pub(in crate::sim) fn spoil_quote(text: &str) -> String {
    let spoilt = text.split_once(r#""b":""#).and_then(|(head, tail)| {
        let (_, rest) = tail.split_once('"')?;
        Some(format!(r#"{head}"b":"12345678901234567890.12"{rest}"#))
    });
    spoilt.unwrap_or_else(|| text.to_owned())
}

/// Puts another time into the text of a perp's quote; a spot quote has none.
pub(in crate::sim) fn stamp_quote(text: &str, ms: u64) -> String {
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let stamped = text.split_once(r#""T":"#).and_then(|(head, tail)| {
        let (between, last) = tail[end(tail)..].split_once(r#""E":"#)?;
        Some(format!(r#"{head}"T":{ms}{between}"E":{ms}{}"#, &last[end(last)..]))
    });
    stamped.unwrap_or_else(|| text.to_owned())
}

/// The event that is due on a depth stream, if anything changed, and its interval in ms.
pub(in crate::sim) fn depth_event(exchange: &mut Exchange, at: usize) -> (Option<Event>, u64) {
    let now = exchange.clock_ms();
    let stream = &mut exchange.hub.streams[at];
    let (id, every) = match stream.feed {
        Feed::Diff(id, every) | Feed::Partial(id, _, every) => (id, every),
        _ => return (None, u64::MAX / 1_000_000_000),
    };
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let (s, t, u) = (&row.name, book.changed_ms, book.update_id);
    let previous = stream.diff.last_id;
    if u == previous {
        return (None, every);
    }
    let first = previous + 1;
    let [bids, asks] = match stream.feed {
        Feed::Partial(_, depth, _) => {
            stream.diff.last_id = u;
            [&book.bids, &book.asks]
                .map(|side| side.iter().copied().filter(|l| l.qty > 0).take(depth).collect::<Vec<_>>())
        }
        _ => stream.diff.take(book),
    };
    if stream.binary {
        let since = matches!(stream.feed, Feed::Diff(..)).then_some(first);
        return (Some(Event::Binary(sbe::depth(exchange, id, since, &[bids, asks]).into())), every);
    }
    let (b, a) = (list(row, &bids), list(row, &asks));
    let text = match (row.market, stream.feed) {
        (Market::Spot, Feed::Partial(..)) => format!(r#"{{"lastUpdateId":{u},"bids":{b},"asks":{a}}}"#),
        (Market::Spot, _) => {
            format!(r#"{{"e":"depthUpdate","E":{now},"s":"{s}","U":{first},"u":{u},"b":{b},"a":{a}}}"#)
        }
        (Market::Usdm, _) => format!(
            r#"{{"e":"depthUpdate","E":{now},"T":{t},"s":"{s}","ps":"{s}","U":{first},"u":{u},"pu":{previous},"b":{b},"a":{a},"st":1}}"#
        ),
    };
    (Some(Event::Text(text)), every)
}

/// The mark price events that are due on a stream: one of a symbol, or the lists of all.
pub(in crate::sim) fn mark_events(exchange: &Exchange, feed: Feed) -> Vec<String> {
    match feed {
        Feed::Mark(id, _) => vec![mark_row(exchange, id, None)],
        Feed::MarkAll(_) => {
            let of = |tradfi: bool| {
                let rows = exchange.listing.of(Market::Usdm);
                rows.filter(move |(_, s)| (s.contract == Contract::Tradfi) == tradfi).map(|(id, _)| id)
            };
            let mut rows: Vec<String> = of(false).map(|id| mark_row(exchange, id, None)).collect();
            // COIN-M rows share the stream since 2026-06-30.
            for coin in ["BTC", "ETH"] {
                if let Some(id) = exchange.listing.find(Market::Usdm, &format!("{coin}USDT")) {
                    rows.push(mark_row(exchange, id, Some(&format!("{coin}USD_PERP"))));
                }
            }
            let mut events = vec![format!("[{}]", rows.join(","))];
            let tradfi: Vec<String> = of(true).map(|id| mark_row(exchange, id, None)).collect();
            if !tradfi.is_empty() {
                events.push(format!("[{}]", tradfi.join(",")));
            }
            events
        }
        _ => Vec::new(),
    }
}

/// One mark price row; `coin_m` names the COIN-M twin it stands for.
fn mark_row(exchange: &Exchange, id: SymbolId, coin_m: Option<&str>) -> String {
    let (row, mark) = (&exchange.listing.symbols[id], &exchange.marks[id]);
    let (price, index) = (Fixed(mark.mark, 8), Fixed(mark.index, 8));
    let rate = match row.contract {
        Contract::Quarter => String::new(),
        _ => Fixed(mark.rate, 8).to_string(),
    };
    format!(
        r#"{{"e":"markPriceUpdate","E":{},"s":"{}","p":"{price}","ap":"{price}","P":"{index}","i":"{index}","r":"{rate}","T":{},"st":{}}}"#,
        exchange.clock_ms(),
        coin_m.unwrap_or(&row.name),
        mark.next_funding_ms,
        if coin_m.is_some() { 2 } else { 1 }
    )
}

/// A fill of ours as the trade streams show it.
pub(in crate::sim) fn trade_event(exchange: &Exchange, fill: usize, aggregated: bool) -> String {
    let fill = &exchange.log.fills[fill];
    let row = &exchange.listing.symbols[fill.symbol];
    let buys = exchange.log.orders[fill.order].side.sign() > 0;
    // `m`: was the buyer the maker?
    let m = buys == fill.maker;
    let (s, id, t, now) = (&row.name, fill.trade_id, fill.time_us / 1_000, exchange.clock_ms());
    let (p, q) = (Fixed(fill.price, row.price_decimals), Fixed(fill.qty, row.qty_decimals));
    match (row.market, aggregated) {
        (Market::Spot, false) => format!(
            r#"{{"e":"trade","E":{now},"s":"{s}","t":{id},"p":"{p}","q":"{q}","T":{t},"m":{m},"M":true}}"#
        ),
        (Market::Spot, true) => format!(
            r#"{{"e":"aggTrade","E":{now},"s":"{s}","a":{id},"p":"{p}","q":"{q}","f":{id},"l":{id},"T":{t},"m":{m},"M":true}}"#
        ),
        (Market::Usdm, false) => format!(
            r#"{{"e":"trade","E":{now},"T":{t},"s":"{s}","t":{id},"p":"{p}","q":"{q}","X":"MARKET","m":{m},"st":1}}"#
        ),
        (Market::Usdm, true) => format!(
            r#"{{"e":"aggTrade","E":{now},"a":{id},"s":"{s}","p":"{p}","q":"{q}","nq":"{q}","f":{id},"l":{id},"T":{t},"m":{m},"st":1}}"#
        ),
    }
}
