//! `contango pairs --venue …`: the pairs of several venues, and whether the same name is the same coin.
//!
//! Owns:  what is canonical of a pair: its coin and multipliers; and the guard that prices within 2 % give a name
//!        (FAULTS F45).
//! Never: pairs what the prices contradict, or believes a pair whose prices are not told.

use super::boot::BootError;
use super::inquiry::Inquiry;
use super::pairs::{in_json, left_in_json};
use super::{Exit, Settings, say};
use crate::event::{Instrument, Instruments, Pair};
use crate::units::decimal::{self, pow10_i128};
use crate::units::{LegKind, Rate};
use crate::venue::Open;
use crate::venue::open::TickerRow;
use crate::venue::pairing::coin;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Prices of one coin lie within this part of each other: one fiftieth, 2 %.
const WITHIN: i128 = 50;
/// Decimals that prices are compared in: enough for a millionth of the smallest price there is.
const SCALE: u8 = 24;

/// What one venue told.
pub(super) struct Market {
    pub(super) open: &'static Open,
    pub(super) all: Arc<Instruments>,
    /// By instrument.
    pub(super) rows: Vec<TickerRow>,
    /// Rows of its answers that can't be believed.
    pub(super) refused: Vec<String>,
}

/// A pair, held against its prices.
pub(super) struct Held<'a> {
    pub(super) market: &'a Market,
    pub(super) pair: &'a Pair,
    pub(super) coin: String,
    /// Of one coin on spot, in units of 10^-[`SCALE`] of the quote coin, times two.
    price: Option<i128>,
    /// Why it is no pair after all.
    pub(super) against: Option<String>,
}

/// Runs the command.
pub(super) fn act(settings: &Settings) -> Exit {
    let (mut markets, mut exit) = (Vec::new(), Exit::Done);
    for &open in &settings.venues {
        match look(settings, open) {
            Ok(market) => markets.push(market),
            Err(error) => {
                // The others are told all the same.
                eprintln!("contango pairs: {}", error.why);
                exit = error.exit;
            }
        }
    }
    let held = hold(&markets);
    if settings.json {
        say(&format!("{}\n", json(&markets, &held)));
    } else {
        say(&text(&markets, &held));
    }
    exit
}

fn look(settings: &Settings, open: &'static Open) -> Result<Market, BootError> {
    let mut inquiry = Inquiry::new(settings, open)?;
    let all = inquiry.instruments(&settings.pairs)?;
    let (rows, refused) = inquiry.tickers(&all)?;
    Ok(Market { open, all: Arc::new(all), rows, refused })
}

/// Every pair, each judged by its own prices, then by what the other venues pay for a coin of that name.
pub(super) fn hold(markets: &[Market]) -> Vec<Held<'_>> {
    let mut held: Vec<_> =
        markets.iter().flat_map(|market| market.all.pairs.iter().map(|pair| judge(market, pair))).collect();
    let mut prices: BTreeMap<String, Vec<i128>> = BTreeMap::new();
    for one in held.iter().filter(|one| one.against.is_none()) {
        prices.entry(one.coin.clone()).or_default().extend(one.price);
    }
    prices.values_mut().for_each(|of_coin| of_coin.sort_unstable());
    for one in held.iter_mut().filter(|one| one.against.is_none()) {
        let (Some(price), Some(of_coin)) = (one.price, prices.get(&one.coin)) else { continue };
        // Both in the middle count: of two that contradict each other neither is more right.
        let middle = [of_coin[(of_coin.len() - 1) / 2], of_coin[of_coin.len() / 2]];
        if middle.iter().any(|other| !near(price, *other)) {
            one.against = Some("other venues pay another price for a coin of this name".to_owned());
        }
    }
    held.sort_by(|a, b| (&a.coin, a.market.open.id).cmp(&(&b.coin, b.market.open.id)));
    held
}

fn judge<'a>(market: &'a Market, pair: &'a Pair) -> Held<'a> {
    let (name, of_spot) = coin(&pair.name);
    let (spot, perp) = (market.all.get(pair.spot), market.all.get(pair.perp));
    let price = |row: &Instrument| middle(row, &market.rows[usize::from(row.id.0)]);
    let (spot, perp) = (price(spot), price(perp));
    let against = match (spot, perp) {
        (Some(spot), Some(perp))
            if spot.checked_mul(pair.price_factor.into()).is_some_and(|of_perp| near(perp, of_perp)) =>
        {
            None
        }
        (Some(_), Some(_)) => {
            Some("its two prices differ by 2 % or more: the name is not one coin's".to_owned())
        }
        _ => Some("one of its prices is not told".to_owned()),
    };
    Held { market, pair, coin: name.to_owned(), price: spot.map(|spot| spot / i128::from(of_spot)), against }
}

/// Twice the middle of a book, in units of 10^-[`SCALE`].
pub(super) fn middle(row: &Instrument, told: &TickerRow) -> Option<i128> {
    let (bid, ask) = (told.bid?.0.0, told.ask?.0.0);
    (i128::from(bid) + i128::from(ask)).checked_mul(pow10_i128(SCALE.checked_sub(row.price_decimals)?))
}

/// Whether one price lies within 2 % of the other.
fn near(of: i128, other: i128) -> bool {
    of.abs_diff(other).checked_mul(WITHIN.unsigned_abs()).is_some_and(|far| far < other.unsigned_abs())
}

/// What a perp settles by, as the venue told it.
fn funding(told: &TickerRow) -> Value {
    let rate = |rate: Rate| decimal::short(rate.0.into(), Rate::SCALE);
    json!({
        "rate": told.funding.map(rate),
        "next_ms": told.next_funding.map(|at| at.as_ms()),
        "hours": told.hours,
        "floor": told.bounds.map(|bounds| rate(bounds[0])),
        "cap": told.bounds.map(|bounds| rate(bounds[1])),
    })
}

fn side(row: &Instrument, side: Option<(crate::units::Price, crate::units::Qty)>) -> Value {
    let Some((price, qty)) = side else { return Value::Null };
    json!([
        decimal::short(price.0.into(), row.price_decimals),
        decimal::short(qty.0.into(), row.qty_decimals)
    ])
}

/// The object programs read.
fn json(markets: &[Market], held: &[Held<'_>]) -> Value {
    let rows = held.iter().map(|one| {
        let mut row = in_json(&one.market.all, one.pair);
        for leg in LegKind::BOTH {
            let market = one.market.all.leg(one.pair.id, leg);
            let told = &one.market.rows[usize::from(market.id.0)];
            let place = &mut row[leg.to_string()];
            place["bid"] = side(market, told.bid);
            place["ask"] = side(market, told.ask);
            if leg == LegKind::Perp {
                let mark = told.mark.map(|mark| decimal::short(mark.0.into(), market.price_decimals));
                place["mark"] = json!(mark);
                place["funding"] = funding(told);
            }
        }
        row["venue"] = json!(one.market.open.name);
        row["coin"] = json!(one.coin);
        row["against"] = json!(one.against);
        row
    });
    let venues = markets.iter().map(|market| {
        json!({
            "venue": market.open.name,
            "left_out": left_in_json(&market.all),
            "refused": market.refused,
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": "pairs",
        "pairs": rows.collect::<Vec<_>>(),
        "venues": venues.collect::<Vec<_>>(),
    })
}

/// The table people read.
fn text(markets: &[Market], held: &[Held<'_>]) -> String {
    let mut out = format!(
        "{:<10} {:<8} {:<20} {:<20} {:>9} {:>12} {:>12} {:>5}  {}\n",
        "coin", "venue", "spot", "perp", "factor", "size", "funding", "hours", "against"
    );
    for one in held {
        let (spot, perp) = (one.market.all.get(one.pair.spot), one.market.all.get(one.pair.perp));
        let told = &one.market.rows[usize::from(perp.id.0)];
        let rate = told.funding.map_or("-".to_owned(), |rate| decimal::short(rate.0.into(), Rate::SCALE));
        let hours = told.hours.map_or("-".to_owned(), |hours| hours.to_string());
        let against = one.against.as_deref().unwrap_or("");
        let line = format!(
            "{:<10} {:<8} {:<20} {:<20} {:>9} {:>12} {rate:>12} {hours:>5}  {against}",
            one.coin,
            one.market.open.name,
            spot.symbol.as_str(),
            perp.symbol.as_str(),
            one.pair.price_factor,
            one.pair.size_factor.to_string(),
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for market in markets {
        let left = market.all.left_out.len();
        let _ = writeln!(
            out,
            "{}: {} pairs; {left} markets left out; {} rows refused",
            market.open.name,
            market.all.pairs.len(),
            market.refused.len()
        );
        for refused in &market.refused {
            let _ = writeln!(out, "     {refused}");
        }
        for left in &market.all.left_out {
            let _ = writeln!(out, "{:<4} {:<20} {}", left.leg, left.symbol, left.reason);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{InstrumentId, Price, Qty};
    use crate::venue::{EVERY, Listing, pair_up};

    /// Name, spot price, perp's name, perp price, in cents.
    type Coin = (&'static str, i64, &'static str, i64);

    /// A venue that trades these coins.
    fn market(open: &'static Open, coins: &[Coin]) -> Market {
        let row = |leg, base: &str| Instrument {
            base: base.parse().unwrap(),
            venue: open.id,
            ..crate::venue::sample::instrument(leg, &format!("{base}USDT"), 2, 3)
        };
        let listings = LegKind::BOTH.map(|leg| {
            let name = |of: &Coin| if leg == LegKind::Spot { of.0 } else { of.2 };
            Listing { rows: coins.iter().map(|of| row(leg, name(of))).collect(), ..Listing::default() }
        });
        let all = pair_up(1, &listings, None).unwrap();
        let price = |row: &Instrument| {
            let of = coins
                .iter()
                .find(|of| if row.leg == LegKind::Spot { *row.base == *of.0 } else { *row.base == *of.2 });
            of.map(|of| if row.leg == LegKind::Spot { of.1 } else { of.3 }).filter(|cents| *cents > 0)
        };
        let told = |row: &Instrument| TickerRow {
            instrument: row.id,
            bid: price(row).map(|cents| (Price(cents - 1), Qty(1))),
            ask: price(row).map(|cents| (Price(cents + 1), Qty(1))),
            ..TickerRow::default()
        };
        let rows = all.instruments.iter().map(told).collect();
        Market { open, all: Arc::new(all), rows, refused: Vec::new() }
    }

    fn lines(markets: &[Market]) -> Vec<String> {
        let line = |one: &Held<'_>| {
            let against = one.against.as_deref().and_then(|why| why.split(' ').next()).unwrap_or("good");
            format!("{} {} x{} {against}", one.coin, one.market.open.name, one.pair.price_factor)
        };
        hold(markets).iter().map(line).collect()
    }

    #[test]
    fn one_coin_under_several_names_is_one_and_two_coins_of_one_name_are_none() {
        let binance = market(EVERY[0], &[("SATS", 100, "1000SATS", 100_500), ("LUNA", 500, "LUNA", 501)]);
        let bybit =
            market(EVERY[1], &[("1000SATS", 101_000, "10000SATS", 1_005_000), ("LUNA", 40, "LUNA", 40)]);
        assert_eq!(
            lines(&[binance, bybit]),
            [
                "LUNA binance x1 other",
                "LUNA bybit x1 other",
                "SATS binance x1000 good",
                "SATS bybit x10 good"
            ]
        );
    }

    #[test]
    fn a_pair_is_held_against_its_own_prices_first() {
        let only = market(
            EVERY[0],
            &[("A", 10_000, "A", 10_199), ("B", 10_000, "B", 10_200), ("C", 10_000, "C", 0)],
        );
        assert_eq!(lines(&[only]), ["A binance x1 good", "B binance x1 its", "C binance x1 one"]);
        let row = crate::venue::sample::instrument(LegKind::Spot, "AUSDT", 2, 3);
        assert_eq!(middle(&row, &TickerRow { instrument: InstrumentId(0), ..TickerRow::default() }), None);
    }

    #[test]
    fn what_is_not_told_is_null_and_no_zero() {
        let only = [market(EVERY[1], &[("A", 10_000, "A", 10_100)])];
        let told = json(&only, &hold(&only));
        let perp = &told["pairs"][0]["perp"];
        assert_eq!((&perp["bid"], &perp["mark"]), (&json!(["100.99", "0.001"]), &Value::Null));
        assert_eq!(
            perp["funding"],
            json!({"rate": null, "next_ms": null, "hours": null, "floor": null, "cap": null})
        );
        assert_eq!(told["pairs"][0]["against"], Value::Null);
        assert!(text(&only, &hold(&only)).contains("bybit: 1 pairs; 0 markets left out"));
    }
}
