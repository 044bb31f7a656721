//! Hourly candles of both markets, as REST tells them.
//!
//! Owns:  a made-up past of prices that only the seed decides; the box keeps none.
//! Wire:  SPOT rest-api.md and UM market-data pages, "Kline/Candlestick Data".
//! Quirk: the newest candle is the one that is still open. Spot takes up to 1,000 at once, USD-M up to 1,500.

use super::super::super::chance::Chance;
use super::super::super::exchange::Exchange;
use super::super::super::listing::SymbolId;
use super::super::super::number::{E8, Fixed};
use super::Outcome;
use super::params::Params;
use super::refusal::Refusal;

const HOUR_MS: u64 = 3_600_000;
/// Which intervals there are in the box, in hours.
const INTERVALS: [(&str, u64); 4] = [("1h", 1), ("2h", 2), ("4h", 4), ("8h", 8)];

/// What a page of USD-M weighs by its length.
pub(super) fn usdm_weight(params: &Params<'_>) -> u32 {
    match params.get("limit").and_then(|limit| limit.parse::<u32>().ok()).unwrap_or(500) {
        0..=99 => 1,
        100..=499 => 2,
        500..=1_000 => 5,
        _ => 10,
    }
}

/// Candles of a symbol, oldest first.
pub(super) fn of(exchange: &Exchange, params: &Params<'_>, id: SymbolId, most: u64) -> Outcome {
    let interval = params.need("interval")?;
    let hours = INTERVALS.iter().find(|(name, _)| *name == interval).map(|(_, hours)| *hours);
    let step = hours.ok_or_else(|| Refusal::new(-1120, "Invalid interval."))? * HOUR_MS;
    let limit = params.limit(500, most)? as u64;
    let now = exchange.clock_ms();
    let end = params.number("endTime")?.unwrap_or(now).min(now) / step;
    let newest = (end + 1).saturating_sub(limit);
    let start = params.number("startTime")?.map_or(newest, |start| start.div_ceil(step));
    let candles = (start..=end).take(limit as usize).map(|n| candle(exchange, id, n * step, step));
    Ok(format!("[{}]", candles.collect::<Vec<_>>().join(",")))
}

fn candle(exchange: &Exchange, id: SymbolId, opened: u64, step: u64) -> String {
    let (open, close) = (price(exchange, id, opened), price(exchange, id, opened + step));
    let eight = |price: E8| Fixed(price, 8);
    let (open, high, low, close) =
        (eight(open), eight(open.max(close)), eight(open.min(close)), eight(close));
    format!(
        r#"[{opened},"{open}","{high}","{low}","{close}","1.00000000",{},"1.00000000",1,"0.50000000","0.50000000","0"]"#,
        opened + step - 1
    )
}

/// The price at a full hour: both markets of a coin move together, and a little apart.
fn price(exchange: &Exchange, id: SymbolId, at_ms: u64) -> E8 {
    let row = &exchange.listing.symbols[id];
    let coin = row.twin.map_or(id, |twin| twin.min(id)) as u64;
    let drawn = |of: u64, ppm: i64| {
        Chance::new(exchange.config.seed ^ (of << 40) ^ (at_ms / HOUR_MS)).range(-ppm, ppm)
    };
    let ppm = drawn(coin + 1, 20_000) + drawn(id as u64 + 1_001, 500);
    let moved = i128::from(row.start_price) * i128::from(ppm) / 1_000_000;
    let price = row.start_price + i64::try_from(moved).unwrap_or(0);
    price - price % row.tick.max(1)
}
