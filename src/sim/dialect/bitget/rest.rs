//! Bitget's public answers: clock, instruments, tickers, books, funding now and settled.
//!
//! Owns:  the rows of each.
//! Wire:  bitget.md §3.3, §4; fixtures `rest_uta_*`, `rest_v2_*`.
//! Quirk: levels of a book are JSON numbers here; settled funding comes by the number of its page.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::{Contract, SymbolId};
use super::super::super::market::Level;
use super::super::super::number::decimals_used;
use super::super::open::{No, Query, change, funded, history, part, price, short, turnover};
use super::{category, find, market};
use serde_json::{Value, json};

type Outcome = Result<String, No>;

/// Both bounds of every perp's rate.
const CAP: &str = "0.003";

/// A refusal.
pub(super) fn no(exchange: &Exchange, status: u16, code: &str, text: &str) -> No {
    let now = exchange.clock_ms();
    let body = json!({"code": code, "msg": text, "requestTime": now, "data": null}).to_string();
    No { status, body }
}

fn good(exchange: &Exchange, data: Value) -> Outcome {
    let now = exchange.clock_ms();
    Ok(json!({"code": "00000", "msg": "success", "requestTime": now, "data": data}).to_string())
}

fn wrong<T>(exchange: &Exchange, parameter: &str) -> Result<T, No> {
    Err(no(exchange, 400, "40034", &format!("Parameter {parameter} does not exist")))
}

/// `GET /api/v2/public/time`.
pub(super) fn time(exchange: &mut Exchange, _: &Query<'_>) -> Outcome {
    good(exchange, json!({"serverTime": exchange.clock_ms().to_string()}))
}

/// The market of a request and its symbols: all, or the one asked for. Margin and coin markets have none.
fn asked(exchange: &Exchange, query: &Query<'_>) -> Result<(Market, Vec<SymbolId>), No> {
    let market = match query.get("category") {
        Some("MARGIN" | "COIN-FUTURES" | "USDC-FUTURES") => return Ok((Market::Usdm, Vec::new())),
        Some(word) => market(word).filter(|market| category(*market) == word),
        None => None,
    };
    let Some(market) = market else { return wrong(exchange, "category") };
    let ids = match query.get("symbol") {
        None => exchange.listing.of(market).map(|(id, _)| id).collect(),
        Some(symbol) => match find(exchange, market, symbol) {
            Some(id) => vec![id],
            None => return wrong(exchange, symbol),
        },
    };
    Ok((market, ids))
}

/// `GET /api/v3/market/instruments`.
pub(super) fn instruments(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let (_, ids) = asked(exchange, query)?;
    good(exchange, ids.into_iter().map(|id| instrument(exchange, id)).collect())
}

fn instrument(exchange: &Exchange, id: SymbolId) -> Value {
    let row = &exchange.listing.symbols[id];
    let places = |value: i64| decimals_used(value).to_string();
    let mut told = json!({
        "symbol": row.name, "category": category(row.market), "baseCoin": exchange.listing.assets[row.base],
        "quoteCoin": "USDT", "buyLimitPriceRatio": "0.05", "sellLimitPriceRatio": "0.05", "feeRateUpRatio": "",
        "minOrderQty": short(row.step), "maxOrderQty": "", "pricePrecision": places(row.tick),
        "quantityPrecision": places(row.step), "quotePrecision": "6", "minOrderAmount": short(row.min_notional),
        "maxSymbolOrderNum": "", "maxProductOrderNum": "",
        "status": if row.trades() { "online" } else { "limit_open" }, "offTime": "", "limitOpenTime": "",
        "maintainTime": "", "areaSymbol": "no",
    });
    if row.market == Market::Usdm {
        let dated = row.contract == Contract::Quarter;
        let ends = row.delivery_ms.map_or("-1".to_owned(), |at| at.to_string());
        // `symbolType` in the documents, `type` in answers that ccxt keeps samples of: both.
        let kind = if dated { "delivery" } else { "perpetual" };
        let more = json!({
            "isRwa": if row.contract == Contract::Tradfi { "YES" } else { "NO" }, "makerFeeRate": "0.0002",
            "takerFeeRate": "0.0006", "openCostUpRatio": "0.1", "quotePrecision": "",
            "priceMultiplier": short(row.tick), "quantityMultiplier": short(row.step),
            "symbolType": kind, "type": kind, "maxPositionNum": "50", "offTime": ends,
            "limitOpenTime": "-1", "deliveryTime": if dated { "1830240000000" } else { "" },
            "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "",
            "fundInterval": exchange.marks[id].interval_h.to_string(), "minLeverage": "1", "maxLeverage": "125",
            "maxMarketOrderQty": short(row.market_max_qty),
        });
        if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
            told.extend(more);
        }
    }
    told
}

/// `GET /api/v3/market/tickers`.
pub(super) fn tickers(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let (market, ids) = asked(exchange, query)?;
    let trading = ids.into_iter().filter(|id| exchange.listing.symbols[*id].trades());
    let rows = trading.map(|id| {
        let mut row = json!({"category": category(market), "symbol": exchange.listing.symbols[id].name});
        if let (Some(row), Value::Object(more)) = (row.as_object_mut(), ticker(exchange, id)) {
            row.extend(more);
        }
        row
    });
    good(exchange, rows.collect())
}

/// One ticker without its names, as sockets tell it too, but for the coming settlement.
pub(super) fn ticker(exchange: &Exchange, id: SymbolId) -> Value {
    let (row, book, day) = (&exchange.listing.symbols[id], &exchange.books[id], &exchange.days[id]);
    // An empty side is an empty price and a size of nothing.
    let side = |level: Level| match level.qty {
        0 => (String::new(), "0".to_owned()),
        qty => (price(row, level.price), short(qty)),
    };
    let ((bid, bid_size), (ask, ask_size)) = (side(book.bid()), side(book.ask()));
    let (worth, coins) = turnover(exchange, id);
    let mut told = json!({
        "lastPrice": price(row, day.last), "openPrice24h": price(row, day.open),
        "highPrice24h": price(row, day.high), "lowPrice24h": price(row, day.low), "ask1Price": ask,
        "bid1Price": bid, "bid1Size": bid_size, "ask1Size": ask_size, "price24hPcnt": short(change(exchange, id)),
        "volume24h": short(coins), "turnover24h": short(worth),
    });
    if row.market == Market::Usdm {
        let mark = &exchange.marks[id];
        let rate = if mark.next_funding_ms == 0 { String::new() } else { short(mark.rate) };
        told["indexPrice"] = price(row, mark.index).into();
        told["markPrice"] = price(row, mark.mark).into();
        told["fundingRate"] = rate.into();
        told["openInterest"] = short(part(coins, 300_000)).into();
        for name in ["deliveryStartTime", "deliveryTime", "deliveryStatus"] {
            told[name] = "".into();
        }
    }
    told
}

/// `GET /api/v3/market/orderbook`.
pub(super) fn orderbook(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let (_, ids) = asked(exchange, query)?;
    let [id] = ids[..] else { return wrong(exchange, "symbol") };
    let depth = match query.number("limit", 5) {
        Some(depth @ 1..=200) => depth as usize,
        _ => return wrong(exchange, "limit"),
    };
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let side = |levels: &[Level]| {
        let there = levels.iter().filter(|level| level.qty > 0).take(depth);
        let level = |level: &Level| format!("[{},{}]", price(row, level.price), short(level.qty));
        there.map(level).collect::<Vec<_>>().join(",")
    };
    let (now, asks, bids) = (exchange.clock_ms(), side(&book.asks), side(&book.bids));
    Ok(format!(
        r#"{{"code":"00000","msg":"success","requestTime":{now},"data":{{"a":[{asks}],"b":[{bids}],"ts":"{}"}}}}"#,
        book.changed_ms
    ))
}

/// `GET /api/v3/market/current-fund-rate`: of one symbol.
pub(super) fn current_funding(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Some(symbol) = query.get("symbol") else { return wrong(exchange, "symbol") };
    let found = find(exchange, Market::Usdm, symbol).filter(|id| exchange.marks[*id].next_funding_ms != 0);
    let Some(id) = found else { return wrong(exchange, symbol) };
    good(exchange, json!([funding_row(exchange, id)]))
}

/// `GET /api/v2/mix/market/current-fund-rate`: of one symbol, or all.
pub(super) fn current_funding_of_all(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    if query.get("productType").is_none_or(|kind| !kind.eq_ignore_ascii_case("usdt-futures")) {
        return wrong(exchange, "productType");
    }
    if query.get("symbol").is_some() {
        return current_funding(exchange, query);
    }
    good(exchange, funded(exchange).map(|(id, _)| funding_row(exchange, id)).collect())
}

fn funding_row(exchange: &Exchange, id: SymbolId) -> Value {
    let mark = &exchange.marks[id];
    json!({
        "symbol": exchange.listing.symbols[id].name, "fundingRate": short(mark.rate),
        "fundingRateInterval": mark.interval_h.to_string(), "nextUpdate": mark.next_funding_ms.to_string(),
        "minFundingRate": format!("-{CAP}"), "maxFundingRate": CAP,
    })
}

/// `GET /api/v3/market/history-fund-rate`: newest first, by page.
pub(super) fn funding_history(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let (market, ids) = asked(exchange, query)?;
    let ([id], Market::Usdm) = (&ids[..], market) else { return wrong(exchange, "symbol") };
    let (Some(page @ 1..=100), Some(limit @ 1..=200)) =
        (query.number("cursor", 1), query.number("limit", 200))
    else {
        return wrong(exchange, "cursor");
    };
    let symbol = &exchange.listing.symbols[*id].name;
    let rows = history(exchange, *id).into_iter().skip((page as usize - 1) * limit as usize);
    let rows: Vec<Value> = rows
        .take(limit as usize)
        .map(|(at, rate)| {
            json!({"symbol": symbol, "fundingRate": short(rate), "fundingRateTimestamp": at.to_string()})
        })
        .collect();
    good(exchange, json!({"resultList": rows}))
}
