//! Binance's funding history, intervals, and the candles beside them.
//!
//! Owns:  the paths, the pool and the readings of [`FUNDING`].
//! Never: takes a `Special` rate for a settlement of the schedule.
//! Wire:  SPOT rest-api.md and UM market-data pages, "Kline/Candlestick Data"; binance.md §7 (calls, the pool of 500 in 5 minutes), §16 (intervals change by themselves).
//! Quirk: a perp that `fundingInfo` does not name settles every 8 h.

use super::account;
use super::audit::{moment, rows, symbol, word};
use crate::event::Instrument;
use crate::units::time::SEC;
use crate::units::{Amount, LegKind, Rate, Unix};
use crate::venue::audit::Rows;
use crate::venue::funding::{CandleRow, Funding, IntervalRow, SettledRow};
use crate::venue::json::{as_text, uint};
use crate::venue::{Ask, BadBody, Symbols};
use simd_json::prelude::*;

/// Binance's funding history.
pub(super) const FUNDING: Funding = Funding {
    settled_since,
    read_settled,
    candles_since,
    read_candles,
    page: PAGE,
    intervals,
    read_intervals,
    unnamed_hours: 8,
    pool: (500, 300 * SEC),
};

const PAGE: usize = 1_000;

fn settled_since(row: &Instrument, since: Unix) -> Ask {
    let start = since.as_ms().max(0);
    let path = format!("/fapi/v1/fundingRate?symbol={}&startTime={start}&limit={PAGE}", row.symbol);
    account::public(LegKind::Perp, &path, 0)
}

fn read_settled(body: &mut [u8], instrument: &Instrument) -> Rows<SettledRow> {
    let all = rows(body, "fundingRate", |row| {
        if symbol(row)? != instrument.symbol.as_str() {
            return Err(BadBody::Field("symbol"));
        }
        // Not every answer names the type: then it is a regular one.
        if word(row, "rateType").is_ok_and(|kind| kind != "Regular") {
            return Ok(None);
        }
        let rate = Rate::parse(word(row, "fundingRate")?.as_bytes());
        let rate = rate.map_err(|_| BadBody::Field("fundingRate"))?;
        Ok(Some(SettledRow { at: moment(row, "fundingTime")?, rate }))
    })?;
    Ok(all.into_iter().flatten().collect())
}

fn candles_since(row: &Instrument, since: Unix) -> Ask {
    let start = since.as_ms().max(0);
    // Of a thousand at once: 2 on spot, 5 on USD-M.
    let (path, weight) = match row.leg {
        LegKind::Spot => ("/api/v3/klines", 2),
        LegKind::Perp => ("/fapi/v1/klines", 5),
    };
    let path = format!("{path}?symbol={}&interval=1h&startTime={start}&limit={PAGE}", row.symbol);
    account::public(row.leg, &path, weight)
}

/// Rows are lists: `[openTime, open, high, low, close, …]`.
fn read_candles(body: &mut [u8]) -> Rows<CandleRow> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    let Some(list) = root.as_array() else {
        let refused = root.as_object().map(|answer| account::refusal(&answer));
        return Err(refused.unwrap_or(BadBody::Field("klines")));
    };
    let read = list.iter().map(|row| {
        let row = row.as_array().ok_or(BadBody::Field("klines"))?;
        let opened = row.get(0).and_then(|ms| ms.as_i64()).and_then(Unix::from_ms);
        let close = row.get(4).and_then(|text| Amount::parse(as_text(&text)?.as_bytes()).ok());
        Ok(CandleRow {
            opened: opened.ok_or(BadBody::Field("openTime"))?,
            close: close.filter(|close| *close > Amount::ZERO).ok_or(BadBody::Field("close"))?,
        })
    });
    read.collect()
}

fn intervals() -> Ask {
    account::public(LegKind::Perp, "/fapi/v1/fundingInfo", 0)
}

fn read_intervals(body: &mut [u8], symbols: &Symbols) -> Rows<IntervalRow> {
    let all = rows(body, "fundingInfo", |row| {
        let Some(known) = symbols.find(LegKind::Perp, symbol(row)?.as_bytes()) else { return Ok(None) };
        let hours = uint(row, "fundingIntervalHours").and_then(|hours| u32::try_from(hours).ok());
        let hours = hours.filter(|hours| (1..=24).contains(hours));
        let hours = hours.ok_or(BadBody::Field("fundingIntervalHours"))?;
        Ok(Some(IntervalRow { instrument: known.id, hours }))
    })?;
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::InstrumentId;
    use crate::venue::sample::{fixture, instrument, instruments};

    #[test]
    fn history_is_asked_for_without_a_key_and_read_with_its_jitter() {
        let perp = instrument(LegKind::Perp, "BTCUSDT", 1, 3);
        let ask = settled_since(&perp, Unix(1_789_430_400_000_999_999));
        assert_eq!(ask.path, "/fapi/v1/fundingRate?symbol=BTCUSDT&startTime=1789430400000&limit=1000");
        assert_eq!((ask.weight, ask.endpoint, ask.headers.len()), (0, "usdm_rest", 0));
        let rows = read_settled(&mut fixture("futures_rest_funding_rate.json"), &perp).unwrap();
        let row = |ms: i64, rate: &str| SettledRow {
            at: Unix(ms * 1_000_000),
            rate: Rate::parse(rate.as_bytes()).unwrap(),
        };
        assert_eq!(rows, [row(1_789_430_400_000, "0.00003563"), row(1_789_459_200_005, "0.00006188")]);
    }

    #[test]
    fn what_is_no_settlement_of_the_schedule_is_left_out_and_what_cannot_be_read_spoils_the_page() {
        let perp = instrument(LegKind::Perp, "BTCUSDT", 1, 3);
        let read = |rows: &str| read_settled(&mut rows.as_bytes().to_vec(), &perp);
        let special =
            r#"[{"symbol":"BTCUSDT","fundingTime":1789430400000,"fundingRate":"0.1","rateType":"Special"}]"#;
        assert_eq!(read(special), Ok(Vec::new()));
        let unnamed = r#"[{"symbol":"BTCUSDT","fundingTime":1789430400000,"fundingRate":"0.1"}]"#;
        assert_eq!(read(unnamed).map(|rows| rows.len()), Ok(1));
        for (bad, field) in [
            (r#"[{"symbol":"ETHUSDT","fundingTime":1789430400000,"fundingRate":"0.1"}]"#, "symbol"),
            (r#"[{"symbol":"BTCUSDT","fundingTime":0,"fundingRate":"0.1"}]"#, "fundingTime"),
            (r#"[{"symbol":"BTCUSDT","fundingTime":1789430400000,"fundingRate":""}]"#, "fundingRate"),
            (r#"[{"symbol":"BTCUSDT","fundingTime":1789430400000,"fundingRate":"1e-4"}]"#, "fundingRate"),
        ] {
            assert_eq!(read(bad), Err(BadBody::Field(field)), "{bad}");
        }
    }

    #[test]
    fn candles_are_asked_for_of_either_market_and_read_by_their_place() {
        let ask = |leg| candles_since(&instrument(leg, "BTCUSDT", 1, 3), Unix(1_789_430_400_000_999_999));
        let (spot, perp) = (ask(LegKind::Spot), ask(LegKind::Perp));
        let query = "symbol=BTCUSDT&interval=1h&startTime=1789430400000&limit=1000";
        assert_eq!((spot.path, spot.weight), (format!("/api/v3/klines?{query}"), 2));
        assert_eq!((perp.path, perp.weight), (format!("/fapi/v1/klines?{query}"), 5));
        let read = |text: &str| read_candles(&mut text.as_bytes().to_vec());
        let page = r#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",
            1499643599999,"2434.19055334",308,"1756.87402397","28.46694368","0"]]"#;
        let close = Amount::parse(b"0.01577100").unwrap();
        assert_eq!(read(page), Ok(vec![CandleRow { opened: Unix(1_499_040_000_000_000_000), close }]));
        assert_eq!(read("[]"), Ok(Vec::new()));
        for (bad, error) in [
            (r#"[[0,"1","1","1","1"]]"#, BadBody::Field("openTime")),
            (r#"[[1499040000000,"1","1","1"]]"#, BadBody::Field("close")),
            (r#"[[1499040000000,"1","1","1",1]]"#, BadBody::Field("close")),
            (r#"[[1499040000000,"1","1","1","0"]]"#, BadBody::Field("close")),
            (r#"[{}]"#, BadBody::Field("klines")),
            ("5", BadBody::Field("klines")),
            ("[", BadBody::NotJson),
        ] {
            assert_eq!(read(bad), Err(error), "{bad}");
        }
        let refused = read(r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        assert!(matches!(refused, Err(BadBody::Code { code: -1121, .. })), "{refused:?}");
    }

    #[test]
    fn intervals_are_read_for_our_symbols_alone() {
        let all = instruments(vec![
            instrument(LegKind::Perp, "LPTUSDT", 3, 1),
            instrument(LegKind::Spot, "GTCUSDT", 3, 1),
        ]);
        let symbols = Symbols::new(&all, all.instruments[0].venue);
        let rows = read_intervals(&mut fixture("futures_rest_funding_info.json"), &symbols).unwrap();
        assert_eq!(rows, [IntervalRow { instrument: InstrumentId(0), hours: 4 }]);
        let bad = br#"[{"symbol":"LPTUSDT","fundingIntervalHours":0}]"#;
        let error = Err(BadBody::Field("fundingIntervalHours"));
        assert_eq!(read_intervals(&mut bad.to_vec(), &symbols), error);
    }
}
