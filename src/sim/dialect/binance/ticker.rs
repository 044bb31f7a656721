//! The 24-hour ticker of both markets.
//!
//! Owns:  its numbers and its JSON.
//! Wire:  SPOT rest-api.md and UM market-data pages, "24hr ticker price change statistics".
//! Quirk: in the made market nobody trades but us, so price, high and low are those of the best bid since the box
//!        opened, as `ticker/price` has it; volumes and counts are those of our own fills.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::SymbolId;
use super::super::super::number::{E8, Fixed, Money, mul_div};
use super::super::super::orders::Fill;
use super::Outcome;
use super::params::Params;
use super::{rest_spot, rest_usdm};
use std::fmt::Write as _;

/// A day in ms.
const DAY_MS: u64 = 86_400_000;

/// `GET /api/v3/ticker/24hr`.
pub(super) fn spot(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = rest_spot::asked(exchange, params)?.into_iter().map(|id| row(exchange, id));
    Ok(rest_spot::one_or_list(params, rows.collect()))
}

/// `GET /fapi/v1/ticker/24hr`.
pub(super) fn usdm(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = rest_usdm::asked(exchange, params)?.into_iter().map(|id| row(exchange, id));
    Ok(rest_spot::one_or_list(params, rows.collect()))
}

/// What one request weighs: spot by how many symbols it names, USD-M by whether it names one.
pub(super) fn spot_weight(params: &Params<'_>) -> u32 {
    match (params.get("symbol"), params.get("symbols")) {
        (Some(_), _) => 2,
        (None, Some(list)) => match list.matches(',').count() + 1 {
            0..=20 => 2,
            21..=100 => 40,
            _ => 80,
        },
        (None, None) => 80,
    }
}

fn row(exchange: &Exchange, id: SymbolId) -> String {
    let (symbol, day, book) = (&exchange.listing.symbols[id], &exchange.days[id], &exchange.books[id]);
    let now = exchange.clock_ms();
    let since = now.saturating_sub(DAY_MS);
    let fills: Vec<&Fill> =
        exchange.log.fills.iter().filter(|f| f.symbol == id && f.time_us / 1_000 >= since).collect();
    let volume: E8 = fills.iter().map(|f| f.qty).sum();
    let turnover: Money = fills.iter().map(|f| f.quote).sum();
    let mean = if volume == 0 { 0 } else { Money(mul_div(turnover.0, 100_000_000, volume)).to_e8() };
    let change = day.last - day.open;
    let percent = if day.open == 0 { 0 } else { mul_div(i128::from(change), 10_000_000_000, day.open) };
    let price = |value: E8| Fixed(value, symbol.price_decimals);
    let qty = |value: E8| Fixed(value, symbol.qty_decimals);
    let mut text = format!(
        r#"{{"symbol":"{}","priceChange":"{}","priceChangePercent":"{}","weightedAvgPrice":"{}","#,
        symbol.name,
        price(change),
        Fixed(i64::try_from(percent).unwrap_or(0), 3),
        price(mean)
    );
    let last_qty = fills.last().map_or(0, |f| f.qty);
    if symbol.market == Market::Spot {
        let (bid, ask) = (book.bid(), book.ask());
        let _ = write!(
            text,
            r#""prevClosePrice":"{}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}","#,
            price(day.open),
            price(bid.price),
            qty(bid.qty),
            price(ask.price),
            qty(ask.qty)
        );
    }
    let _ = write!(
        text,
        r#""lastPrice":"{}","lastQty":"{}","openPrice":"{}","highPrice":"{}","lowPrice":"{}","volume":"{}","quoteVolume":"{}","openTime":{since},"closeTime":{now},"firstId":{},"lastId":{},"count":{}}}"#,
        price(day.last),
        qty(last_qty),
        price(day.open),
        price(day.high),
        price(day.low),
        qty(volume),
        turnover.fixed(8.min(symbol.price_decimals + symbol.qty_decimals)),
        fills.first().map_or(-1, |f| i128::from(f.trade_id)),
        fills.last().map_or(-1, |f| i128::from(f.trade_id)),
        fills.len()
    );
    text
}
