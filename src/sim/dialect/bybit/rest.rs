//! Bybit's public answers: clock, instruments, tickers, books, settled funding, maintenance.
//!
//! Owns:  the rows of each.
//! Wire:  bybit.md §2 (envelope), §3.3, §4; fixtures `rest_*`.
//! Quirk: spot tells all instruments at once, linear pages at 500 unless asked for up to 1000.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::{Contract, Symbol, SymbolId};
use super::super::super::market::Level;
use super::super::open::{No, Query, change, history, part, price, short, turnover};
use super::{category, find, name};
use serde_json::{Value, json};

type Outcome = Result<String, No>;

/// Both bounds of every perp's rate.
const CAP: &str = "0.00375";

fn good(exchange: &Exchange, result: Value) -> Outcome {
    envelope(exchange, 0, "OK", result)
}

fn envelope(exchange: &Exchange, code: i64, text: &str, result: Value) -> Outcome {
    let time = exchange.clock_ms();
    Ok(json!({"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": time}).to_string())
}

fn wrong(exchange: &Exchange, what: &str) -> Outcome {
    envelope(exchange, 10_001, &format!("params error: {what}"), json!({}))
}

/// `GET /v5/market/time`.
pub(super) fn time(exchange: &mut Exchange, _: &Query<'_>) -> Outcome {
    let clock = exchange.clock();
    let second = (clock / 1_000_000_000).to_string();
    good(exchange, json!({"timeSecond": second, "timeNano": clock.to_string()}))
}

/// `GET /v5/system/status`: nothing is announced.
pub(super) fn status(exchange: &mut Exchange, _: &Query<'_>) -> Outcome {
    good(exchange, json!({"list": []}))
}

/// The market that `category` names; `Ok(None)`: one that has no row here.
fn market(query: &Query<'_>) -> Result<Option<Market>, ()> {
    match query.get("category") {
        Some("spot") => Ok(Some(Market::Spot)),
        Some("linear") => Ok(Some(Market::Usdm)),
        Some("inverse" | "option") => Ok(None),
        _ => Err(()),
    }
}

/// Symbols of a market: all, or the one asked for.
fn asked(exchange: &Exchange, market: Market, query: &Query<'_>) -> Option<Vec<SymbolId>> {
    match query.get("symbol") {
        Some(symbol) => find(exchange, market, symbol).map(|id| vec![id]),
        None => Some(exchange.listing.of(market).map(|(id, _)| id).collect()),
    }
}

/// `GET /v5/market/instruments-info`.
pub(super) fn instruments(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Ok(market) = market(query) else { return wrong(exchange, "Category is invalid") };
    let Some(market) = market else {
        let category = query.get("category");
        return good(exchange, json!({"category": category, "list": [], "nextPageCursor": ""}));
    };
    let Some(ids) = asked(exchange, market, query) else { return wrong(exchange, "symbol invalid") };
    let row = |id: &SymbolId| {
        let row = &exchange.listing.symbols[*id];
        if market == Market::Spot { spot_row(exchange, *id, row) } else { linear_row(exchange, *id, row) }
    };
    if market == Market::Spot {
        let rows: Vec<Value> = ids.iter().map(row).collect();
        return good(exchange, json!({"category": "spot", "list": rows}));
    }
    let limit = match query.number("limit", 500) {
        Some(limit @ 1..=1_000) => limit as usize,
        _ => return wrong(exchange, "Illegal limit"),
    };
    let cursor = query.get("cursor").map_or(Some(0), |text| text.strip_prefix("after:")?.parse().ok());
    let Some(from) = cursor else { return wrong(exchange, "cursor invalid") };
    let rows: Vec<Value> = ids.iter().skip(from).take(limit).map(row).collect();
    // Escaped once, as it is to be sent.
    let next = if ids.len() > from + limit { format!("after%3A{}", from + limit) } else { String::new() };
    good(exchange, json!({"category": "linear", "list": rows, "nextPageCursor": next}))
}

fn spot_row(exchange: &Exchange, id: SymbolId, row: &Symbol) -> Value {
    let assets = &exchange.listing.assets;
    let most = short(row.max_qty);
    json!({
        "symbolId": id, "symbol": name(row), "baseCoin": assets[row.base], "quoteCoin": assets[row.quote],
        "innovation": "0", "status": if row.trades() { "Trading" } else { "Closed" },
        "marginTrading": "utaOnly", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": short(row.step), "quotePrecision": "0.0000001", "minOrderQty": short(row.step),
            "maxOrderQty": most, "minOrderAmt": short(row.min_notional), "maxOrderAmt": "8000000",
            "maxLimitOrderQty": most, "maxMarketOrderQty": short(row.market_max_qty),
            "postOnlyMaxLimitOrderSize": most,
        },
        "priceFilter": {"tickSize": short(row.tick)},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
        "symbolType": "",
    })
}

fn linear_row(exchange: &Exchange, id: SymbolId, row: &Symbol) -> Value {
    let dated = row.contract == Contract::Quarter;
    let delivery = if dated { 1_830_240_000_000 } else { row.delivery_ms.unwrap_or(0) };
    json!({
        "symbol": name(row), "symbolId": id,
        "contractType": if dated { "LinearFutures" } else { "LinearPerpetual" },
        "status": if row.trades() { "Trading" } else { "Delivering" },
        "baseCoin": exchange.listing.assets[row.base], "quoteCoin": "USDT", "launchTime": "1585526400000",
        "deliveryTime": delivery.to_string(), "deliveryFeeRate": "",
        "priceScale": row.price_decimals.to_string(),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": short(row.min_price), "maxPrice": short(row.max_price), "tickSize": short(row.tick),
        },
        "lotSizeFilter": {
            "maxOrderQty": short(row.max_qty), "minOrderQty": short(row.step), "qtyStep": short(row.step),
            "postOnlyMaxOrderQty": short(row.max_qty), "maxMktOrderQty": short(row.market_max_qty),
            "minNotionalValue": short(row.min_notional),
        },
        "unifiedMarginTrade": true, "fundingInterval": exchange.marks[id].interval_h * 60, "settleCoin": "USDT",
        "copyTrading": "both", "upperFundingRate": CAP, "lowerFundingRate": format!("-{CAP}"),
        "isPreListing": false, "preListingInfo": null,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": if row.contract == Contract::Tradfi { "commodity" } else { "" },
    })
}

/// `GET /v5/market/tickers`.
pub(super) fn tickers(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Ok(market) = market(query) else { return wrong(exchange, "Category is invalid") };
    let Some(market) = market else {
        return good(exchange, json!({"category": query.get("category"), "list": []}));
    };
    let Some(ids) = asked(exchange, market, query) else { return wrong(exchange, "symbol invalid") };
    let trade = |id: &SymbolId| exchange.listing.symbols[*id].trades();
    let rows: Vec<Value> = ids.iter().filter(|id| trade(id)).map(|id| ticker(exchange, *id)).collect();
    good(exchange, json!({"category": category(market), "list": rows}))
}

/// One row of either market's tickers.
pub(super) fn ticker(exchange: &Exchange, id: SymbolId) -> Value {
    let (row, book, day) = (&exchange.listing.symbols[id], &exchange.books[id], &exchange.days[id]);
    let side = |level: Level| {
        if level.qty == 0 { Default::default() } else { (price(row, level.price), short(level.qty)) }
    };
    let ((bid, bid_size), (ask, ask_size)) = (side(book.bid()), side(book.ask()));
    let (worth, coins) = turnover(exchange, id);
    let (open, high, low) = (price(row, day.open), price(row, day.high), price(row, day.low));
    let (last, changed) = (price(row, day.last), short(change(exchange, id)));
    if row.market == Market::Spot {
        return json!({
            "symbol": name(row), "bid1Price": bid, "bid1Size": bid_size, "ask1Price": ask, "ask1Size": ask_size,
            "lastPrice": last, "prevPrice24h": open, "price24hPcnt": changed, "highPrice24h": high,
            "lowPrice24h": low, "turnover24h": short(worth), "volume24h": short(coins), "usdIndexPrice": last,
        });
    }
    let mark = &exchange.marks[id];
    let funded = mark.next_funding_ms != 0;
    let dated = row.contract == Contract::Quarter;
    json!({
        "symbol": name(row), "lastPrice": last, "indexPrice": price(row, mark.index),
        "markPrice": price(row, mark.mark), "prevPrice24h": open, "price24hPcnt": changed,
        "highPrice24h": high, "lowPrice24h": low, "prevPrice1h": open,
        "openInterest": short(part(coins, 300_000)), "openInterestValue": short(part(worth, 300_000)),
        "turnover24h": short(worth), "volume24h": short(coins),
        "fundingRate": if funded { short(mark.rate) } else { String::new() },
        "nextFundingTime": if funded { mark.next_funding_ms.to_string() } else { "0".to_owned() },
        "predictedDeliveryPrice": "", "basisRate": "", "deliveryFeeRate": "",
        "deliveryTime": if dated { "1830240000000" } else { "0" },
        "ask1Size": ask_size, "bid1Price": bid, "ask1Price": ask, "bid1Size": bid_size, "basis": "",
        "preOpenPrice": "", "preQty": "", "curPreListingPhase": "",
        "fundingIntervalHour": if funded { mark.interval_h.to_string() } else { String::new() },
        "basisRateYear": "", "fundingCap": if funded { CAP } else { "" },
    })
}

/// `GET /v5/market/orderbook`.
pub(super) fn orderbook(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let found = match (market(query), query.get("symbol")) {
        (Ok(Some(market)), Some(symbol)) => find(exchange, market, symbol),
        _ => None,
    };
    let Some(id) = found else { return wrong(exchange, "symbol invalid") };
    let Some(limit) = query.number("limit", 25) else { return wrong(exchange, "Illegal limit") };
    let (row, book, now) = (&exchange.listing.symbols[id], &exchange.books[id], exchange.clock_ms());
    let side = |levels: &[Level]| -> Vec<Value> {
        let there = levels.iter().filter(|level| level.qty > 0).take(limit as usize);
        there.map(|level| json!([price(row, level.price), short(level.qty)])).collect()
    };
    good(
        exchange,
        json!({
            "s": name(row), "b": side(&book.bids), "a": side(&book.asks), "ts": now,
            "u": book.update_id, "seq": book.update_id, "cts": book.changed_ms,
        }),
    )
}

/// `GET /v5/market/funding/history`: newest first; a start without an end is refused.
pub(super) fn funding_history(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let found = match (market(query), query.get("symbol")) {
        (Ok(Some(Market::Usdm)), Some(symbol)) => find(exchange, Market::Usdm, symbol),
        _ => None,
    };
    let Some(id) = found else { return wrong(exchange, "symbol invalid") };
    let (Some(start), Some(end)) = (query.number("startTime", 0), query.number("endTime", u64::MAX)) else {
        return wrong(exchange, "time range is invalid");
    };
    if query.get("startTime").is_some() && query.get("endTime").is_none() {
        return wrong(exchange, "endTime is required with startTime");
    }
    let limit = match query.number("limit", 200) {
        Some(limit @ 1..=200) => limit as usize,
        _ => return wrong(exchange, "Illegal limit"),
    };
    let symbol = name(&exchange.listing.symbols[id]);
    let rows = history(exchange, id).into_iter().filter(|(at, _)| (start..=end).contains(at)).take(limit);
    let rows: Vec<Value> = rows
        .map(|(at, rate)| {
            json!({"symbol": symbol, "fundingRate": short(rate), "fundingRateTimestamp": at.to_string()})
        })
        .collect();
    good(exchange, json!({"category": "linear", "list": rows}))
}
