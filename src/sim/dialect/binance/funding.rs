//! USD-M funding as REST tells it: settled rates, intervals and caps.
//!
//! Owns:  both answers and their pool.
//! Wire:  binance.md §7, §16; fixtures `futures_rest_funding_rate`, `_funding_info`.
//! Quirk: settlements are stamped some ms late; a perp that is not in `fundingInfo` settles every 8 h.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::number::Fixed;
use super::Outcome;
use super::params::Params;
use super::refusal::Refusal;
use super::rest_usdm::{asked, list};

fn admit(exchange: &mut Exchange) -> Result<(), Refusal> {
    let clock = exchange.clock();
    exchange.limits[Market::Usdm.index()].admit_funding(clock).map_err(|seconds| Refusal {
        status: 429,
        retry_after_s: Some(seconds),
        ..Refusal::new(-1003, "Too many requests; current limit is 500 requests per 5 MINUTE.")
    })
}

/// The adjusted perps only: a missing one means 8 h.
pub(super) fn info(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    admit(exchange)?;
    let rows = exchange.listing.of(Market::Usdm).map(|(id, row)| (row, exchange.marks[id].interval_h));
    let rows = rows.filter(|(row, hours)| *hours > 0 && (*hours != 8 || row.name == "BTCUSDT"));
    Ok(list(rows.map(|(row, hours)| {
        let cap = if row.name == "BTCUSDT" { "0.00300" } else { "0.02000000" };
        format!(
            r#"{{"symbol":"{}","adjustedFundingRateCap":"{cap}","adjustedFundingRateFloor":"-{cap}","fundingIntervalHours":{hours},"disclaimer":false,"updateTime":1758377721362}}"#,
            row.name
        )
    })))
}

/// Settled rates, oldest first.
pub(super) fn rates(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    admit(exchange)?;
    let limit = params.limit(100, 1_000)?;
    let (start, end) = (params.number("startTime")?, params.number("endTime")?);
    let mut rows = Vec::new();
    for id in asked(exchange, params)? {
        rows.extend(exchange.rates(id).into_iter().filter(|row| !row.untold));
    }
    rows.retain(|row| start.is_none_or(|t| row.time_ms >= t) && end.is_none_or(|t| row.time_ms <= t));
    rows.sort_unstable_by_key(|row| (row.time_ms, row.symbol));
    // A longer span is cut at its end when it has a start, else the newest are told.
    if start.is_some() {
        rows.truncate(limit);
    } else {
        rows.drain(..rows.len().saturating_sub(limit));
    }
    Ok(list(rows.into_iter().map(|row| {
        let mark = if row.mark == 0 { String::new() } else { Fixed(row.mark, 8).to_string() };
        format!(
            r#"{{"symbol":"{}","fundingTime":{},"fundingRate":"{}","markPrice":"{mark}","rateType":"Regular"}}"#,
            exchange.listing.symbols[row.symbol].name,
            row.time_ms,
            Fixed(row.rate, 8)
        )
    })))
}
