//! OKX's public answers: clock, instruments, tickers, books, marks, funding now and settled, maintenance.
//!
//! Owns:  the rows of each.
//! Wire:  okx.md §3.3, §4, §7; fixtures `rest_*`.
//! Quirk: all values are text. `fundingTime` is the coming settlement, `nextFundingTime` the one behind it.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::{Contract, Symbol, SymbolId};
use super::super::super::market::Level;
use super::super::open::{No, Query, funded, history, price, short, turnover};
use super::{contract, find, kind, listed, name, size};
use serde_json::{Value, json};

type Outcome = Result<String, No>;

const HOUR_MS: u64 = 3_600_000;
/// Both bounds of every swap's rate.
const CAP: &str = "0.00375";

fn good(rows: Vec<Value>) -> Outcome {
    Ok(json!({"code": "0", "msg": "", "data": rows}).to_string())
}

fn no(status: u16, code: &str, text: String) -> Outcome {
    Err(No { status, body: json!({"code": code, "msg": text, "data": []}).to_string() })
}

fn missing(parameter: &str) -> Outcome {
    no(400, "50014", format!("Parameter {parameter} can not be empty."))
}

fn unknown() -> Outcome {
    no(200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.".to_owned())
}

/// `GET /api/v5/public/time`.
pub(super) fn time(exchange: &mut Exchange, _: &Query<'_>) -> Outcome {
    good(vec![json!({"ts": exchange.clock_ms().to_string()})])
}

/// `GET /api/v5/system/status`: nothing is announced.
pub(super) fn status(_: &mut Exchange, _: &Query<'_>) -> Outcome {
    good(Vec::new())
}

/// The symbols of a kind, with a row each; kinds without a symbol here have no rows.
fn of_kind(
    exchange: &Exchange,
    query: &Query<'_>,
    row: impl Fn(SymbolId, &Symbol) -> Option<Value>,
) -> Outcome {
    let market = match query.get("instType") {
        Some("SPOT") => Market::Spot,
        Some("SWAP") => Market::Usdm,
        Some("MARGIN" | "FUTURES" | "OPTION") => return good(Vec::new()),
        Some(_) => return no(200, "51000", "Parameter instType error".to_owned()),
        None => return missing("instType"),
    };
    let wanted = query.get("instId").map(|id| find(exchange, id));
    if wanted == Some(None) {
        return unknown();
    }
    let rows = listed(exchange, market).filter(|(id, _)| wanted.is_none_or(|one| one == Some(*id)));
    good(rows.filter_map(|(id, it)| row(id, it)).collect())
}

/// `GET /api/v5/public/instruments`.
pub(super) fn instruments(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    of_kind(exchange, query, |id, row| {
        let swap = row.market == Market::Usdm;
        let base = &exchange.listing.assets[row.base];
        let family = if swap { format!("{base}-USDT") } else { String::new() };
        let of_swap = |text: &str| if swap { text.to_owned() } else { String::new() };
        let of_spot = |text: &str| if swap { String::new() } else { text.to_owned() };
        let most = size(row, row.max_qty);
        let ends = row.delivery_ms.map_or(String::new(), |at| at.to_string());
        Some(json!({
            "alias": "", "auctionEndTime": "", "baseCcy": of_spot(base), "category": "1", "contTdSwTime": "",
            "ctMult": of_swap("1"), "ctType": of_swap("linear"), "ctVal": of_swap(&short(contract(row))),
            "ctValCcy": of_swap(base), "expTime": ends, "futureSettlement": false, "instFamily": family,
            "instId": name(exchange, row), "instIdCode": 10_000 + id, "instType": kind(row.market),
            "instCategory": if row.contract == Contract::Tradfi { "4" } else { "1" },
            "lever": "100", "listTime": "1573557408000", "lotSz": size(row, row.step), "maxIcebergSz": most,
            "maxLmtAmt": "20000000", "maxLmtSz": most, "maxMktAmt": of_spot("1000000"),
            "maxMktSz": of_swap(&size(row, row.market_max_qty)), "maxStopSz": most, "maxTriggerSz": most,
            "maxTwapSz": most, "minSz": size(row, row.step), "openType": "", "optType": "", "preMktSwTime": "",
            "quoteCcy": of_spot("USDT"), "ruleType": "normal", "settleCcy": of_swap("USDT"),
            "state": if row.trades() { "live" } else { "suspend" }, "stk": "", "tickSz": short(row.tick),
            "tradeQuoteCcyList": ["USDT"], "uly": family, "upcChg": [],
        }))
    })
}

/// `GET /api/v5/market/tickers`.
pub(super) fn tickers(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    of_kind(exchange, query, |id, row| row.trades().then(|| ticker_row(exchange, id)))
}

/// `GET /api/v5/market/ticker`.
pub(super) fn ticker(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Some(asked) = query.get("instId") else { return missing("instId") };
    find(exchange, asked).map_or_else(unknown, |id| good(vec![ticker_row(exchange, id)]))
}

/// One ticker, as sockets tell it too.
pub(super) fn ticker_row(exchange: &Exchange, id: SymbolId) -> Value {
    let (row, book, day) = (&exchange.listing.symbols[id], &exchange.books[id], &exchange.days[id]);
    let side = |level: Level| match level.qty {
        0 => Default::default(),
        qty => (price(row, level.price), size(row, qty)),
    };
    let ((bid, bid_size), (ask, ask_size)) = (side(book.bid()), side(book.ask()));
    let (worth, coins) = turnover(exchange, id);
    // In quote coins on spot, in base coins on swaps.
    let in_coins = if row.market == Market::Spot { short(worth) } else { short(coins) };
    json!({
        "instType": kind(row.market), "instId": name(exchange, row), "last": price(row, day.last),
        "lastSz": size(row, row.step), "askPx": ask, "askSz": ask_size, "bidPx": bid, "bidSz": bid_size,
        "open24h": price(row, day.open), "high24h": price(row, day.high), "low24h": price(row, day.low),
        "volCcy24h": in_coins, "vol24h": size(row, coins), "sodUtc0": price(row, day.open),
        "sodUtc8": price(row, day.open), "ts": exchange.clock_ms().to_string(),
    })
}

/// `GET /api/v5/market/books`.
pub(super) fn books(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Some(asked) = query.get("instId") else { return missing("instId") };
    let Some(id) = find(exchange, asked) else { return unknown() };
    let depth = match query.number("sz", 1) {
        Some(depth @ 1..=400) => depth as usize,
        _ => return no(200, "51000", "Parameter sz error".to_owned()),
    };
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    let side = |levels: &[Level]| -> Vec<Value> {
        let there = levels.iter().filter(|level| level.qty > 0).take(depth);
        there.map(|level| json!([price(row, level.price), size(row, level.qty), "0", "1"])).collect()
    };
    let ts = book.changed_ms.to_string();
    good(vec![json!({"asks": side(&book.asks), "bids": side(&book.bids), "ts": ts, "seqId": book.update_id})])
}

/// `GET /api/v5/public/mark-price`.
pub(super) fn mark_price(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    of_kind(exchange, query, |id, row| (row.market == Market::Usdm).then(|| mark_row(exchange, id)))
}

/// One mark, as sockets tell it too.
pub(super) fn mark_row(exchange: &Exchange, id: SymbolId) -> Value {
    let row = &exchange.listing.symbols[id];
    json!({
        "instType": kind(row.market), "instId": name(exchange, row),
        "markPx": price(row, exchange.marks[id].mark), "ts": exchange.clock_ms().to_string(),
    })
}

/// `GET /api/v5/public/funding-rate`: one swap's, or all by `ANY`.
pub(super) fn funding_rate(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    match query.get("instId") {
        None => missing("instId"),
        Some("ANY") => good(funded(exchange).map(|(id, _)| funding_row(exchange, id)).collect()),
        Some(asked) => match find(exchange, asked).filter(|id| exchange.marks[*id].next_funding_ms != 0) {
            Some(id) => good(vec![funding_row(exchange, id)]),
            None => unknown(),
        },
    }
}

/// What a swap settles by, as sockets tell it too.
pub(super) fn funding_row(exchange: &Exchange, id: SymbolId) -> Value {
    let (row, mark) = (&exchange.listing.symbols[id], &exchange.marks[id]);
    let settled = history(exchange, id).first().map_or(String::new(), |(_, rate)| short(*rate));
    json!({
        "formulaType": "noRate", "fundingRate": short(mark.rate), "fundingTime": mark.next_funding_ms.to_string(),
        "impactValue": "", "instId": name(exchange, row), "instType": "SWAP", "interestRate": "",
        "maxFundingRate": CAP, "method": "current_period", "minFundingRate": format!("-{CAP}"),
        "nextFundingRate": "",
        "nextFundingTime": (mark.next_funding_ms + mark.interval_h * HOUR_MS).to_string(), "premium": "0",
        "settFundingRate": settled, "settState": "settled", "ts": exchange.clock_ms().to_string(),
    })
}

/// `GET /api/v5/public/funding-rate-history`: newest first, older than `after`, newer than `before`.
pub(super) fn funding_history(exchange: &mut Exchange, query: &Query<'_>) -> Outcome {
    let Some(asked) = query.get("instId") else { return missing("instId") };
    let Some(id) = find(exchange, asked) else { return unknown() };
    let bounds = (query.number("after", u64::MAX), query.number("before", 0), query.number("limit", 400));
    let (Some(after), Some(before), Some(limit @ 1..=400)) = bounds else {
        return no(200, "51000", "Parameter after, before or limit error".to_owned());
    };
    let symbol = name(exchange, &exchange.listing.symbols[id]);
    let inside = history(exchange, id).into_iter().filter(|(at, _)| *at < after && *at > before);
    let row = |(at, rate): (u64, i64)| {
        json!({
            "formulaType": "noRate", "fundingRate": short(rate), "fundingTime": at.to_string(), "instId": symbol,
            "instType": "SWAP", "method": "current_period", "realizedRate": short(rate),
        })
    };
    good(inside.take(limit as usize).map(row).collect())
}
