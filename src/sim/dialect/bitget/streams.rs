//! Bitget's public streams: subscriptions, pings, and the text of every event.
//!
//! Owns:  what a topic means, and what each market event looks like.
//! Wire:  bitget.md §1 (keep-alive), §3.1, §3.2; fixtures `ws_uta_books1*`, `ws_uta_ticker_*`, `ws_uta_subscribe_*`.
//! Quirk: one answer for every argument; a bare `ping` is answered by a bare `pong`. Names of v2 are refused.

use super::super::super::config::{ConnId, Market};
use super::super::super::exchange::Exchange;
use super::super::super::hub::Feed;
use super::super::super::listing::SymbolId;
use super::super::super::market::Level;
use super::super::open::{first, price, short, subscribe, unsubscribe};
use super::{SPEECH, find, kind, market, rest};
use serde_json::{Value, json};

/// A text frame from a client.
pub(super) fn on_text(exchange: &mut Exchange, conn: ConnId, text: &str) {
    if text == "ping" {
        exchange.conns.send_text(conn, "pong".into());
        return;
    }
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let op = frame["op"].as_str().unwrap_or("");
    let answer = |exchange: &mut Exchange, told: Value| {
        exchange.conns.send_text(conn, told.to_string().into());
    };
    let (true, Some(args)) = (matches!(op, "subscribe" | "unsubscribe"), frame["args"].as_array()) else {
        answer(exchange, json!({"event": "error", "code": "30003", "msg": "Invalid op"}));
        return;
    };
    for arg in args {
        let word = |name: &str| arg[name].as_str().unwrap_or("");
        let (topic, symbol) = (word("topic"), word("symbol"));
        let found = market(word("instType")).filter(|it| kind(*it) == word("instType"));
        let found = found.and_then(|market| Some((market, find(exchange, market, symbol)?)));
        let feed = found.and_then(|(_, id)| match topic {
            "books1" => Some(Feed::BookTicker(id)),
            "ticker" => Some(Feed::Mark(id, 1)),
            _ => None,
        });
        let (Some((market, _)), Some(feed)) = (found, feed) else {
            let what = if topic.is_empty() { "Param error" } else { "Channel does not exist" };
            answer(exchange, json!({"event": "error", "arg": arg, "code": "30001", "msg": what}));
            continue;
        };
        let stream = format!("{topic} {symbol}");
        answer(exchange, json!({"event": op, "arg": arg, "connId": format!("box{}", conn.0)}));
        if op == "subscribe" {
            let at = subscribe(exchange, conn, market, &stream, feed);
            first(exchange, conn, at, &SPEECH);
        } else {
            unsubscribe(exchange, conn, market, &stream);
        }
    }
}

/// `books1`: always whole.
pub(super) fn quote(exchange: &Exchange, id: SymbolId) -> String {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let side = |level: Level| match level.qty {
        0 => "[]".to_owned(),
        qty => format!(r#"[["{}","{}"]]"#, price(row, level.price), short(qty)),
    };
    format!(
        r#"{{"action":"snapshot","arg":{{"instType":"{}","symbol":"{}","topic":"books1"}},"data":[{{"a":{},"b":{},"pseq":0,"seq":{},"ts":"{}"}}],"ts":{}}}"#,
        kind(row.market),
        row.name,
        side(book.ask()),
        side(book.bid()),
        // Beyond what a double holds, as the venue's own are.
        1_304_314_000_000_000_000 + book.update_id,
        book.changed_ms,
        exchange.clock_ms()
    )
}

/// A quote with a bid nobody can hold.
pub(super) fn spoil(quote: &str) -> String {
    quote.replacen(r#""b":[[""#, r#""b":[["99999999999999999999"#, 1)
}

/// `ticker`: whole; a perp's has the coming settlement besides.
pub(super) fn ticker(exchange: &Exchange, stream: usize, _: bool) -> Option<String> {
    let Feed::Mark(id, _) = exchange.hub.streams[stream].feed else { return None };
    let row = &exchange.listing.symbols[id];
    let mut data = rest::ticker(exchange, id);
    if row.market == Market::Usdm {
        data["symbol"] = row.name.as_str().into();
        data["nextFundingTime"] = exchange.marks[id].next_funding_ms.to_string().into();
    }
    let arg = json!({"instType": kind(row.market), "symbol": row.name, "topic": "ticker"});
    let now = exchange.clock_ms();
    Some(json!({"data": [data], "arg": arg, "action": "snapshot", "ts": now}).to_string())
}
