//! What the pollers know, as rows.
//!
//! Owns:  the comparison of both books of a pair, and which prices are too old to be told.
//! Never: tells a price, a rate or a sum that was not told: it is missing then, never 0.

use super::poll::{Seen, View};
use crate::cli::coins::{Held, Market, hold, middle};
use crate::desk::basis::Scales;
use crate::event::Instrument;
use crate::ops::scan::{Prices, Row, Snapshot};
use crate::units::rate::ratio_ceil;
use crate::units::time::SEC;
use crate::units::{Amount, Price, Qty, Rate, Ratio, Unix};
use std::sync::{Arc, Mutex};

/// Prices that were asked for longer ago than this are not told.
const PRICES_STALE_NS: i64 = 30 * SEC as i64;
/// The entry collar of a leg, at the least: 2 bp.
const COLLAR: u32 = 5_000;

/// So many rows are made before others may have the core.
const ROWS_AT_ONCE: usize = 64;

/// All rows there are now.
pub(super) fn snapshot(version: u64, now: Unix, views: &[Arc<Mutex<View>>]) -> Snapshot {
    let (mut markets, mut seen, mut venues) = (Vec::new(), Vec::new(), Vec::new());
    for view in views {
        let view = view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut told = view.told.clone();
        if let (None, Some(at)) = (&told.why, told.prices_at)
            && now.0 - at.0 > PRICES_STALE_NS
        {
            told.why = Some("does not answer".to_owned());
        }
        venues.push(told);
        // Prices that are too old are none.
        let fresh = |one: &Seen| one.prices_at.is_some_and(|at| now.0 - at.0 <= PRICES_STALE_NS);
        let rows = view.rows.iter().map(|one| match fresh(one) {
            true => one.ticker,
            false => crate::venue::open::TickerRow { bid: None, ask: None, ..one.ticker },
        });
        markets.push(Market {
            open: view.open,
            all: Arc::clone(&view.all),
            rows: rows.collect(),
            refused: Vec::new(),
        });
        seen.push((view.open.id, view.told.exchange, view.rows.clone()));
    }
    let held = hold(&markets);
    let rows = held.into_iter().enumerate().filter_map(|(n, one)| {
        // Who asks the API on the same core does not wait for all of it.
        if n.is_multiple_of(ROWS_AT_ONCE) {
            std::thread::yield_now();
        }
        let (_, exchange, rows) = seen.iter().find(|(id, ..)| *id == one.market.open.id)?;
        row(one, exchange, rows)
    });
    let rows = rows.collect();
    Snapshot::new(version, now, rows, venues)
}

/// A pair's row; `None` while its rate or its interval is not known.
fn row(one: Held<'_>, exchange: &'static str, rows: &[Seen]) -> Option<Row> {
    let (spot, perp) = (one.market.all.get(one.pair.spot), one.market.all.get(one.pair.perp));
    let seen = rows.get(usize::from(perp.id.0))?;
    let told = &one.market.rows[usize::from(perp.id.0)];
    let asked = [spot, perp].map(|leg| rows[usize::from(leg.id.0)].prices_at);
    Some(Row {
        exchange,
        symbols: [spot.symbol.to_string(), perp.symbol.to_string()],
        rate: told.funding?,
        rate_at: seen.rate_at?,
        hours: told.hours?,
        sum_7d: seen.sum_7d,
        next: told.next_funding,
        prices: compare(&one, spot, perp, asked),
        fees_one_way: Rate(spot.taker_fee.0 + perp.taker_fee.0),
        turnover: told.turnover,
        against: one.against,
        settled: Arc::clone(&seen.settled),
        coin: one.coin,
    })
}

/// Both books, compared; `None` unless all four sides are there.
fn compare(one: &Held<'_>, spot: &Instrument, perp: &Instrument, asked: [Option<Unix>; 2]) -> Option<Prices> {
    let [of_spot, of_perp] = [spot, perp].map(|leg| &one.market.rows[usize::from(leg.id.0)]);
    let (spot_bid, spot_ask) = (of_spot.bid?, of_spot.ask?);
    let (perp_bid, perp_ask) = (of_perp.bid?, of_perp.ask?);
    let scales = Scales::new(one.pair, spot, perp)?;
    let short = scales.basis(perp_bid.0, spot_ask.0)?;
    // Rounded down before it is turned round: one step of its forty bits against us.
    let long = -scales.basis(perp_ask.0, spot_bid.0)? - Ratio::from_bits(1 << 24);
    let (middle_spot, middle_perp) = (middle(spot, of_spot)?, middle(perp, of_perp)?);
    let one_spot = middle_spot.checked_mul(one.pair.price_factor.into()).filter(|it| *it > 0)?;
    let gap = (middle_perp - one_spot).checked_mul(100_000_000)?.div_euclid(one_spot);
    let room = |bought: (Price, Qty), sold: (Price, Qty)| {
        let of_spot = Amount::cost(bought.0, spot.price_decimals, bought.1, spot.qty_decimals)?;
        let units = Amount::cost(sold.0, perp.price_decimals, sold.1, perp.qty_decimals)?;
        // Each unit is k coins, and its price that of m coins.
        let coins = units.0.checked_div(i128::from(one.pair.price_factor))?;
        let of_perp =
            coins.checked_mul(one.pair.size_factor.0 / 1_000_000_000)?.checked_div(1_000_000_000)?;
        Some(of_spot.min(Amount(of_perp)))
    };
    let spread = |bid: (Price, Qty), ask: (Price, Qty)| {
        ratio_ceil(i128::from(ask.0.0) - i128::from(bid.0.0), ask.0.0.into())
    };
    let collar = |leg: &Instrument, ask: (Price, Qty)| {
        Some(ratio_ceil(leg.tick.0.into(), ask.0.0.into())?.max(Ratio::ONE / Ratio::from_num(COLLAR)))
    };
    Some(Prices {
        at: asked[0]?.min(asked[1]?),
        middle: i64::try_from(gap).ok()?,
        executable: [short, long],
        room: [room(spot_ask, perp_bid)?, room(spot_bid, perp_ask)?],
        exit_spread: spread(spot_bid, spot_ask)? + spread(perp_bid, perp_ask)?,
        slip: collar(spot, spot_ask)? + collar(perp, perp_ask)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::rules::Policy;
    use crate::ops::scan::api::{Api, Question};
    use crate::units::LegKind;
    use crate::venue::open::TickerRow;
    use crate::venue::sample::instrument;
    use crate::venue::{EVERY, Listing, pair_up};
    use serde_json::Value;

    const NOW: Unix = Unix(1_795_305_605_000_000_000);
    const HOUR_NS: i64 = 3_600 * SEC as i64;

    /// Four venues with a pair each, told at this moment: the first pays most.
    fn views(at: Unix) -> Vec<Arc<Mutex<View>>> {
        let view = |(n, open): (usize, &&'static crate::venue::Open)| {
            let row = |leg| Instrument { venue: open.id, ..instrument(leg, "BTCUSDT", 2, 3) };
            let listing = |leg| Listing { rows: vec![row(leg)], ..Listing::default() };
            let all = pair_up(1, &LegKind::BOTH.map(listing), None).unwrap();
            let seen = |row: &Instrument| {
                let book = |cents| Some((Price(cents), Qty(1_000)));
                let ticker = TickerRow {
                    instrument: row.id,
                    bid: book(10_000),
                    ask: book(10_001),
                    ..Default::default()
                };
                let rate = Rate(400_000_000_000_000 - 100_000_000_000_000 * n as i64);
                let perp = TickerRow { funding: Some(rate), hours: Some(8), ..ticker };
                let ticker = if row.leg == LegKind::Perp { perp } else { ticker };
                Seen { ticker, prices_at: Some(at), rate_at: Some(at), sum_7d: None, settled: Arc::from([]) }
            };
            let rows = all.instruments.iter().map(seen).collect();
            Arc::new(Mutex::new(View { rows, all: Arc::new(all), ..View::new(open) }))
        };
        EVERY.iter().enumerate().map(view).collect()
    }

    /// What a client of the API is told at a moment.
    fn told(views: &[Arc<Mutex<View>>], now: Unix) -> Vec<Value> {
        let api = Api::new(None, Rate(4_000_000_000_000_000), Policy::default(), NOW);
        let (path, query) = ("/v1/arbitrage/spot-perp", "");
        let question = Question { method: "GET", path, query, authorization: None, if_none_match: None, now };
        let answer = api.answer(question, &snapshot(1, now, views), || 0);
        serde_json::from_str::<Value>(&answer.body).unwrap()["data"].as_array().unwrap().clone()
    }

    #[test]
    fn prices_are_told_for_thirty_seconds_and_rates_for_six_hours_at_each_of_four_venues() {
        let views = views(NOW);
        let of = |rows: &[Value]| {
            rows.iter().map(|row| row["exchange"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let at = |ns: i64| Unix(NOW.0 + ns);
        let rows = told(&views, at(PRICES_STALE_NS));
        // The highest first, and what nobody told is null.
        assert_eq!(of(&rows), ["Binance", "Bybit", "OKX", "Bitget"]);
        for row in &rows {
            assert!(
                row["basisRate"] == 0.0 && row["cumRate7d"].is_null() && row["nextFundingTime"].is_null(),
                "{row}"
            );
        }
        let rows = told(&views, at(PRICES_STALE_NS + 1));
        assert!(rows.len() == 4 && rows.iter().all(|row| row["basisRate"].is_null() && row["apr"].is_f64()));
        // One venue after the other falls silent: its row is there for six hours more, and the others' longer.
        for (n, view) in views.iter().enumerate() {
            view.lock().unwrap().rows[1].rate_at = Some(at(n as i64 * HOUR_NS));
        }
        for silent in 0..4usize {
            let last = at((silent as i64 + 6) * HOUR_NS);
            let rows = told(&views, last);
            assert_eq!(of(&rows), ["Binance", "Bybit", "OKX", "Bitget"][silent..]);
            assert_eq!(told(&views, Unix(last.0 + 1)).len(), 3 - silent);
        }
    }
}
