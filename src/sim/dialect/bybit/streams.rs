//! Bybit's public streams: subscriptions, pings, and the text of every event.
//!
//! Owns:  what a topic means, and what each market event looks like.
//! Wire:  bybit.md §1 (acks, pongs), §3.1, §3.2; fixtures `ws_orderbook1_*`, `ws_tickers_*`, `ws_subscribe_*`.
//! Quirk: one topic that means nothing spoils its whole request. A linear ticker is whole once, then tells what
//!        may have changed; a spot ticker has no bid or ask at all.

use super::super::super::config::{ConnId, Market};
use super::super::super::exchange::Exchange;
use super::super::super::hub::Feed;
use super::super::super::listing::SymbolId;
use super::super::super::market::Level;
use super::super::open::{first, price, short, subscribe, unsubscribe};
use super::{SPEECH, find, name, rest};
use serde_json::{Value, json};

/// Topics that one request may name on spot.
const SPOT_ARGS_MAX: usize = 10;

/// A text frame from a client.
pub(super) fn on_text(exchange: &mut Exchange, conn: ConnId, text: &str) {
    let Some(market) = exchange.conns.get(conn).map(|it| it.door.market()) else { return };
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let (op, id) = (frame["op"].as_str().unwrap_or(""), frame["req_id"].as_str().unwrap_or(""));
    let ack = |success: bool, said: &str| {
        let mut ack = json!({"success": success, "ret_msg": said, "conn_id": format!("box-{}", conn.0)});
        if !(id.is_empty() && market == Market::Spot) {
            ack["req_id"] = id.into();
        }
        ack["op"] = op.into();
        ack.to_string()
    };
    if op == "ping" {
        exchange.conns.send_text(conn, ack(true, "pong").into());
        return;
    }
    let args: Option<Vec<&str>> =
        frame["args"].as_array().and_then(|a| a.iter().map(Value::as_str).collect());
    let refused = match (op, &args) {
        ("subscribe" | "unsubscribe", Some(args)) if !args.is_empty() => {
            let unknown = args.iter().find(|topic| feed(exchange, market, topic).is_none());
            match unknown {
                Some(topic) => Some(format!("Invalid topic: {topic}")),
                None if market == Market::Spot && args.len() > SPOT_ARGS_MAX => {
                    Some("args size >10".to_owned())
                }
                None => None,
            }
        }
        _ => Some("Request parameter error".to_owned()),
    };
    if let Some(why) = refused {
        exchange.conns.send_text(conn, ack(false, &why).into());
        return;
    }
    let told = if market == Market::Spot { op } else { "" };
    exchange.conns.send_text(conn, ack(true, told).into());
    for topic in args.unwrap_or_default() {
        let Some(feed) = feed(exchange, market, topic) else { continue };
        if op == "subscribe" {
            let at = subscribe(exchange, conn, market, topic, feed);
            first(exchange, conn, at, &SPEECH);
        } else {
            unsubscribe(exchange, conn, market, topic);
        }
    }
}

/// What a topic means.
fn feed(exchange: &Exchange, market: Market, topic: &str) -> Option<Feed> {
    if let Some(symbol) = topic.strip_prefix("orderbook.1.") {
        return find(exchange, market, symbol).map(Feed::BookTicker);
    }
    let symbol = topic.strip_prefix("tickers.")?;
    find(exchange, market, symbol).map(|id| Feed::Mark(id, 1))
}

/// `orderbook.1`: always whole.
pub(super) fn quote(exchange: &Exchange, id: SymbolId) -> String {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let side = |level: Level| match level.qty {
        0 => "[]".to_owned(),
        qty => format!(r#"[["{}","{}"]]"#, price(row, level.price), short(qty)),
    };
    let (symbol, update) = (name(row), book.update_id);
    format!(
        r#"{{"topic":"orderbook.1.{symbol}","ts":{},"type":"snapshot","data":{{"s":"{symbol}","b":{},"a":{},"u":{},"seq":{update}}},"cts":{}}}"#,
        exchange.clock_ms(),
        side(book.bid()),
        side(book.ask()),
        // A count of its own, from the service's start.
        update % 100_000_000_000,
        book.changed_ms
    )
}

/// A quote with a bid nobody can hold.
pub(super) fn spoil(quote: &str) -> String {
    quote.replacen(r#""b":[[""#, r#""b":[["99999999999999999999"#, 1)
}

/// `tickers`, on either market.
pub(super) fn ticker(exchange: &Exchange, stream: usize, first: bool) -> Option<String> {
    let Feed::Mark(id, _) = exchange.hub.streams[stream].feed else { return None };
    let row = &exchange.listing.symbols[id];
    let mut data = rest::ticker(exchange, id);
    let members = data.as_object_mut()?;
    let whole = first || row.market == Market::Spot;
    match row.market {
        Market::Spot => members.retain(|key, _| !(key.starts_with("bid1") || key.starts_with("ask1"))),
        Market::Usdm if !first => members.retain(|key, _| {
            matches!(
                key.as_str(),
                "symbol"
                    | "markPrice"
                    | "indexPrice"
                    | "fundingRate"
                    | "nextFundingTime"
                    | "fundingIntervalHour"
                    | "bid1Price"
                    | "bid1Size"
                    | "ask1Price"
                    | "ask1Size"
            )
        }),
        Market::Usdm => {
            members.insert("tickDirection".to_owned(), "ZeroPlusTick".into());
        }
    }
    let kind = if whole { "snapshot" } else { "delta" };
    let topic = format!("tickers.{}", name(row));
    let (cs, ts) = (exchange.books[id].update_id, exchange.clock_ms());
    Some(json!({"topic": topic, "type": kind, "data": data, "cs": cs, "ts": ts}).to_string())
}
