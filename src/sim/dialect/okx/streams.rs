//! OKX's public streams: subscriptions, pings, and the text of every event.
//!
//! Owns:  what a channel means, and what each market event looks like.
//! Wire:  okx.md §1 (keep-alive), §3.1, §3.2; fixtures `ws_bbo_tbt`, `ws_tickers`, `ws_mark_price`, `ws_funding_rate`,
//!        `ws_subscribe_*`.
//! Quirk: one answer for every argument; a bare `ping` is answered by a bare `pong`.

use super::super::super::config::ConnId;
use super::super::super::exchange::Exchange;
use super::super::super::hub::Feed;
use super::super::super::listing::SymbolId;
use super::super::super::market::Level;
use super::super::open::{first, price, subscribe, unsubscribe};
use super::{SPEECH, find, name, rest, size};
use serde_json::{Value, json};

/// A text frame from a client.
pub(super) fn on_text(exchange: &mut Exchange, conn: ConnId, text: &str) {
    if text == "ping" {
        exchange.conns.send_text(conn, "pong".into());
        return;
    }
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let answer = |exchange: &mut Exchange, mut told: Value| {
        if let Some(id) = frame["id"].as_str() {
            told["id"] = id.into();
        }
        told["connId"] = format!("box{}", conn.0).into();
        exchange.conns.send_text(conn, told.to_string().into());
    };
    let wrong = |code: &str, msg: String| json!({"event": "error", "code": code, "msg": msg});
    let op = frame["op"].as_str().unwrap_or("");
    let (true, Some(args)) = (matches!(op, "subscribe" | "unsubscribe"), frame["args"].as_array()) else {
        answer(exchange, wrong("60012", format!("Invalid request: {text}")));
        return;
    };
    for arg in args {
        let (channel, symbol) = (arg["channel"].as_str().unwrap_or(""), arg["instId"].as_str().unwrap_or(""));
        let Some(id) = find(exchange, symbol) else {
            let msg = format!(
                "Wrong URL or channel:{channel},instId:{symbol} doesn't exist. Please use the correct URL, channel and parameters referring to API document."
            );
            answer(exchange, wrong("60018", msg));
            continue;
        };
        let Some(feed) = feed(channel, id) else {
            answer(exchange, wrong("60012", format!("Invalid request: {text}")));
            continue;
        };
        let (market, stream) = (exchange.listing.symbols[id].market, format!("{channel} {symbol}"));
        answer(exchange, json!({"event": op, "arg": arg}));
        if op == "subscribe" {
            let at = subscribe(exchange, conn, market, &stream, feed);
            first(exchange, conn, at, &SPEECH);
        } else {
            unsubscribe(exchange, conn, market, &stream);
        }
    }
}

/// What a channel carries, and how often, s.
fn feed(channel: &str, id: SymbolId) -> Option<Feed> {
    match channel {
        "bbo-tbt" => Some(Feed::BookTicker(id)),
        "tickers" | "mark-price" => Some(Feed::Mark(id, 1)),
        "funding-rate" => Some(Feed::Mark(id, 60)),
        _ => None,
    }
}

/// `bbo-tbt`: always whole.
pub(super) fn quote(exchange: &Exchange, id: SymbolId) -> String {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let side = |level: Level| match level.qty {
        0 => "[]".to_owned(),
        qty => format!(r#"[["{}","{}","0","2"]]"#, price(row, level.price), size(row, qty)),
    };
    format!(
        r#"{{"arg":{{"channel":"bbo-tbt","instId":"{}"}},"data":[{{"asks":{},"bids":{},"ts":"{}","seqId":{}}}]}}"#,
        name(exchange, row),
        side(book.ask()),
        side(book.bid()),
        book.changed_ms,
        book.update_id
    )
}

/// A quote with a bid nobody can hold.
pub(super) fn spoil(quote: &str) -> String {
    quote.replacen(r#""bids":[[""#, r#""bids":[["99999999999999999999"#, 1)
}

/// A ticker, a mark, or funding; each is whole.
pub(super) fn slow(exchange: &Exchange, stream: usize, _: bool) -> Option<String> {
    let stream = &exchange.hub.streams[stream];
    let Feed::Mark(id, _) = stream.feed else { return None };
    let (channel, symbol) = stream.name.split_once(' ')?;
    let row = match channel {
        "tickers" => rest::ticker_row(exchange, id),
        "mark-price" => rest::mark_row(exchange, id),
        _ => rest::funding_row(exchange, id),
    };
    Some(json!({"arg": {"channel": channel, "instId": symbol}, "data": [row]}).to_string())
}
