//! `contango pairs`: which spot market and perp form a pair, and why every other market does not.
//!
//! Owns:  asking a clerk alone for a venue's listings, and the two forms of the answer.
//! Never: needs a key, or asks for more than what trades and what time it is.

use super::boot::{self, BootError};
use super::lookout::Lookout;
use super::{Exit, Settings, coins, say};
use crate::agents::clerk::history::READ_BACK_NS;
use crate::event::{Instrument, Instruments, News, Pair};
use crate::units::decimal;
use crate::venue::Venue;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    let venue = boot::venue();
    // The venue that is traded on is asked by the clerk that trading would have.
    if !matches!(settings.venues[..], [only] if only.id == venue.id) {
        return coins::act(settings);
    }
    match load(settings, venue) {
        Ok(all) if settings.json => say(&format!("{}\n", json(&all, venue.name))),
        Ok(all) => say(&text(&all)),
        Err(error) => {
            eprintln!("contango pairs: {}", error.why);
            return error.exit;
        }
    }
    Exit::Done
}

fn load(settings: &Settings, venue: &'static Venue) -> Result<Arc<Instruments>, BootError> {
    let mut lookout = Lookout::new(settings, venue, READ_BACK_NS, false)?;
    loop {
        if let News::Instruments { instruments, .. } = lookout.next()? {
            return Ok(instruments);
        }
    }
}

/// The object programs read.
fn json(all: &Instruments, venue: &str) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": "pairs",
        "venue": venue,
        "pairs": all.pairs.iter().map(|pair| in_json(all, pair)).collect::<Vec<_>>(),
        "left_out": left_in_json(all),
    })
}

/// One pair, for programs.
pub(super) fn in_json(all: &Instruments, pair: &Pair) -> Value {
    let market = |row: &Instrument| {
        json!({
            "symbol": row.symbol.as_str(),
            "tick": decimal::short(row.tick.0.into(), row.price_decimals),
            "lot": decimal::short(row.lot.0.into(), row.qty_decimals),
            "qty_min": decimal::short(row.qty_min.0.into(), row.qty_decimals),
            "notional_min": row.notional_min.to_string(),
        })
    };
    json!({
        "pair": pair.name.as_str(),
        "spot": market(all.get(pair.spot)),
        "perp": market(all.get(pair.perp)),
        "price_factor": pair.price_factor,
        "size_factor": pair.size_factor.to_string(),
    })
}

/// What was left out, and why, for programs.
pub(super) fn left_in_json(all: &Instruments) -> Value {
    let row = |out: &crate::event::LeftOut| json!({"market": out.leg.to_string(), "symbol": out.symbol, "reason": out.reason});
    all.left_out.iter().map(row).collect()
}

/// The table people read.
fn text(all: &Instruments) -> String {
    let mut out = format!("{:<12} {:<20} {:<20} {:>9}\n", "pair", "spot", "perp", "factor");
    for pair in &all.pairs {
        let (spot, perp) = (all.get(pair.spot).symbol, all.get(pair.perp).symbol);
        let _ = writeln!(out, "{:<12} {spot:<20} {perp:<20} {:>9}", pair.name, pair.price_factor);
    }
    let _ = writeln!(out, "{} pairs; {} markets left out", all.pairs.len(), all.left_out.len());
    if !all.left_out.is_empty() {
        out.push('\n');
    }
    for left in &all.left_out {
        let _ = writeln!(out, "{:<4} {:<20} {}", left.leg, left.symbol, left.reason);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LegKind;
    use crate::venue::pair_up;
    use serde_json::json;

    /// The listings of the fixtures, with rows beside theirs made of their first.
    fn listed(changes: &[(LegKind, &[(&str, Value)])]) -> Instruments {
        let venue = boot::venue();
        let listings = LegKind::BOTH.map(|leg| {
            let name = ["spot_rest_exchange_info.json", "futures_rest_exchange_info.json"][leg as usize];
            let path = format!("{}/tests/fixtures/binance/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut info: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            for (_, fields) in changes.iter().filter(|(market, _)| *market == leg) {
                let mut row = info["symbols"][0].clone();
                for (name, value) in *fields {
                    row[*name] = value.clone();
                }
                info["symbols"].as_array_mut().unwrap().push(row);
            }
            (venue.read_listing)(leg, &mut info.to_string().into_bytes()).unwrap()
        });
        pair_up(1, &listings, None).unwrap()
    }

    #[test]
    fn every_market_is_paired_or_left_out_for_a_stated_reason() {
        use LegKind::{Perp, Spot};
        let all = listed(&[
            (Spot, &[("symbol", json!("PEPEUSDT")), ("baseAsset", json!("PEPE"))]),
            (Perp, &[("symbol", json!("1000PEPEUSDT")), ("baseAsset", json!("1000PEPE"))]),
            (
                Perp,
                &[("symbol", json!("OLDUSDT")), ("baseAsset", json!("OLD")), ("status", json!("SETTLING"))],
            ),
            (Perp, &[("symbol", json!("BTCUSDT_261225")), ("contractType", json!("CURRENT_QUARTER"))]),
            (Perp, &[("symbol", json!("BTCUSD_PERP")), ("st", json!(2))]),
            (Spot, &[("symbol", json!("币安人生USDT")), ("baseAsset", json!("币安人生"))]),
            (Perp, &[("symbol", json!("币安人生USDT")), ("baseAsset", json!("币安人生"))]),
            (Spot, &[("symbol", json!("LUNAUSDT")), ("baseAsset", json!("LUNA"))]),
            (Perp, &[("symbol", json!("LUNA2USDT")), ("baseAsset", json!("LUNA2"))]),
        ]);
        let text = text(&all);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "pair spot perp factor",
                "BTC BTCUSDT BTCUSDT 1",
                "PEPE PEPEUSDT 1000PEPEUSDT 1000",
                "2 pairs; 8 markets left out",
                "",
                "spot 币安人生USDT its symbol has letters that a request would have to encode",
                "perp XAUUSDT it is a TRADIFI_PERPETUAL contract, not a PERPETUAL one",
                "perp OLDUSDT its status is SETTLING, not TRADING",
                "perp BTCUSDT_261225 it is a CURRENT_QUARTER contract, not a PERPETUAL one",
                "perp BTCUSD_PERP it is of another market than USD-M (st 2)",
                "perp 币安人生USDT its symbol has letters that a request would have to encode",
                "perp LUNA2USDT no spot market trades its base LUNA2 for USDT",
                "spot LUNAUSDT no perp trades its base LUNA",
            ]
        );
        let told = super::json(&all, "binance");
        assert_eq!(told["pairs"][1]["perp"]["symbol"], "1000PEPEUSDT");
        assert_eq!(
            (&told["pairs"][1]["price_factor"], &told["pairs"][1]["size_factor"]),
            (&json!(1000), &json!("1000"))
        );
        assert_eq!(told["pairs"][0]["perp"]["tick"], "0.1");
        assert_eq!(told["left_out"].as_array().unwrap().len(), 8);
        assert_eq!(told["left_out"][2]["market"], "perp");
    }
}
