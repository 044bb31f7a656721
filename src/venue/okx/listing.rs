//! What trades on OKX: `instruments` of both kinds, as instruments.
//!
//! Owns:  which rows the engine could trade, their scales and limits, what a contract is in coins, and a reason for
//!        each other row.
//! Never: compares a quantity of a swap with one of spot: a swap counts contracts of `ctVal` × `ctMult` coins.
//! Wire:  okx.md §4 and §12.
//! Quirk: `baseCcy` and `quoteCcy` are empty for swaps: the coin is `ctValCcy`, and the name must agree with it.
//!        Prices are per coin, however many a contract holds. No least notional is listed.

use super::{ID, kind, market};
use crate::units::decimal::{decimals_of, parse_i128, pow10_i128};
use crate::units::{Amount, LegKind, Rate};
use crate::venue::fields::Fields;
use crate::venue::grid::{self, Steps, printable, unlimited};
use crate::venue::{Ask, BadBody, Listing, Row};

/// What both markets are paid in here.
const QUOTE: &str = "USDT";
/// The category of coins; the others are shares, metals and the like.
const COINS: &str = "1";

/// What a regular account pays as a taker (§11): 0.1 % on spot, 0.05 % on swaps.
const fn regular_taker_fee(leg: LegKind) -> Rate {
    match leg {
        LegKind::Spot => Rate(1_000_000_000_000_000),
        LegKind::Perp => Rate(500_000_000_000_000),
    }
}

/// Asks what trades; one answer tells all.
pub(super) fn request(leg: LegKind) -> Ask {
    Ask::plain(format!("/api/v5/public/instruments?instType={}", kind(leg)))
}

/// Reads a market's listing.
///
/// # Errors
///
/// [`BadBody`] if the answer as a whole can't be read. A row that can't be is left out with a reason.
pub(super) fn read(leg: LegKind, body: &mut [u8]) -> Result<Listing, BadBody> {
    market::list(body, |rows| {
        let mut listing = Listing::default();
        for row in &rows {
            let symbol = row.text("instId")?;
            let trades = row.text("state") == Ok("live") && row.text("ctType") == Ok("linear");
            if let Some(at) = row.moment("expTime").ok().flatten().filter(|_| trades) {
                listing.ending.push((printable(symbol), at));
            }
            let read = instrument(leg, symbol, row).map(|(instrument, contract)| {
                listing.contracts.extend(contract.map(|coins| (instrument.symbol, coins)));
                instrument
            });
            listing.take(leg, symbol, tradable(row), read);
        }
        Ok(listing)
    })
}

/// One row, with what a contract of it holds; or a sentence why it has not the form of one of ours.
fn instrument(leg: LegKind, symbol: &str, row: &Fields<'_, '_>) -> Result<(Row, Option<Amount>), String> {
    let name = grid::name(symbol, b"-_")?;
    let listed = row.word("instType")?;
    if listed != kind(leg) {
        return Err(format!("it is listed as {listed}, not {}", kind(leg)));
    }
    let (base, contract) = match leg {
        LegKind::Spot => {
            let quote = row.word("quoteCcy")?;
            if quote != QUOTE {
                return Err(format!("it is paid in {quote}, not {QUOTE}"));
            }
            (row.word("baseCcy")?, None)
        }
        LegKind::Perp => swap(symbol, row)?,
    };
    let steps = Steps {
        tick: row.word("tickSz")?,
        prices: ["0", "0"],
        lot: row.word("lotSz")?,
        qtys: [row.word("minSz")?, row.word("maxLmtSz")?],
        notional_min: "0",
    };
    let row = steps.instrument(unlimited(ID, leg, name, [base, QUOTE], regular_taker_fee(leg))?)?;
    Ok((row, contract))
}

/// Whether limit orders are taken there now, of a kind we trade.
fn tradable(row: &Fields<'_, '_>) -> Result<(), String> {
    let said = |field: &'static str| row.said(field).map_err(|bad| format!("its listing: {bad}"));
    if let Some(category) = said("instCategory")?.filter(|category| *category != COINS) {
        return Err(format!("it follows no coin (instCategory {})", printable(category)));
    }
    if let Some(rule) = said("ruleType")?.filter(|rule| *rule != "normal") {
        return Err(format!("its rules are {}, not normal", printable(rule)));
    }
    let state = row.word("state")?;
    if state != "live" {
        return Err(format!("its state is {}, not live", printable(state)));
    }
    match row.moment("expTime") {
        Ok(None) => Ok(()),
        _ => Err("it has an expiry time: it is about to be delisted".to_owned()),
    }
}

/// The coin of a linear swap, and how many of it a contract is.
fn swap<'i>(symbol: &str, row: &Fields<'_, 'i>) -> Result<(&'i str, Option<Amount>), String> {
    let kind = row.word("ctType")?;
    if kind != "linear" {
        return Err(format!("it is a {} contract, not a linear one", printable(kind)));
    }
    let settled = row.word("settleCcy")?;
    if settled != QUOTE {
        return Err(format!("it is settled in {}, not {QUOTE}", printable(settled)));
    }
    let base = row.word("ctValCcy")?;
    if symbol != format!("{base}-{QUOTE}-SWAP") {
        return Err(format!("its contract is counted in {}, which its name does not say", printable(base)));
    }
    let (value, many) = (row.word("ctVal")?, row.word("ctMult")?);
    let coins =
        product(value, many).ok_or(format!("its contract of {value} × {many} coins can't be held"))?;
    Ok((base, Some(coins)))
}

/// Two decimals multiplied, exactly.
fn product(a: &str, b: &str) -> Option<Amount> {
    let decimals = [decimals_of(a.as_bytes()).ok()?, decimals_of(b.as_bytes()).ok()?];
    let [a, b] = [(a, decimals[0]), (b, decimals[1])].map(|(text, scale)| parse_i128(text.as_bytes(), scale));
    let spare = Amount::SCALE.checked_sub(decimals[0] + decimals[1])?;
    let product = a.ok()?.checked_mul(b.ok()?)?.checked_mul(pow10_i128(spare))?;
    (product > 0).then_some(Amount(product))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample::fixture_of;
    use LegKind::{Perp, Spot};
    use serde_json::{Value, json};

    fn page(leg: LegKind) -> Value {
        let name = ["rest_instruments_spot.json", "rest_instruments_swap.json"][leg as usize];
        serde_json::from_slice(&fixture_of("okx", name)).unwrap()
    }

    /// The first row of a fixture, changed: as a line, or why it is left out.
    fn changed(leg: LegKind, change: impl Fn(&mut Value)) -> String {
        let mut page = page(leg);
        page["data"].as_array_mut().unwrap().truncate(1);
        change(&mut page["data"][0]);
        let listing = read(leg, &mut page.to_string().into_bytes()).unwrap();
        match (&listing.rows[..], &listing.left_out[..]) {
            ([row], []) => format!(
                "{} {} p{} q{} tick {} lot {} qty {}..{} of {} coins fee {}",
                row.symbol,
                row.base,
                row.price_decimals,
                row.qty_decimals,
                row.tick.0,
                row.lot.0,
                row.qty_min.0,
                row.qty_max.0,
                listing.contract(row).map_or("no".to_owned(), |coins| coins.to_string()),
                row.taker_fee.0 / 1_000_000_000_000
            ),
            ([], [out]) => out.reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fixtures_rows_are_instruments_and_a_swap_says_what_a_contract_is() {
        let spot = "BTC-USDT BTC p1 q8 tick 1 lot 1 qty 1000..999999999900000000 of no coins fee 1000";
        assert_eq!(changed(Spot, |_| ()), spot);
        let swap = "ETH-USDT-SWAP ETH p2 q2 tick 1 lot 1 qty 1..10000000000 of 0.1 coins fee 500";
        assert_eq!(changed(Perp, |_| ()), swap);
        let pepe = changed(Perp, |row| {
            row["instId"] = json!("PEPE-USDT-SWAP");
            row["ctValCcy"] = json!("PEPE");
            row["ctVal"] = json!("1000000");
            row["ctMult"] = json!("10");
            row["tickSz"] = json!("0.000000001");
        });
        assert_eq!(
            pepe,
            "PEPE-USDT-SWAP PEPE p9 q2 tick 1 lot 1 qty 1..10000000000 of 10000000 coins fee 500"
        );
        assert_eq!(read(Perp, &mut page(Perp).to_string().into_bytes()).unwrap().rows.len(), 2);
    }

    #[test]
    fn what_is_not_for_us_has_a_reason() {
        type Change = fn(&mut Value);
        let cases: [(LegKind, Change, &str); 13] = [
            (Perp, |row| row["ctType"] = json!("inverse"), "it is a inverse contract, not a linear one"),
            (Perp, |row| row["settleCcy"] = json!("USD"), "it is settled in USD, not USDT"),
            (Perp, |row| row["instType"] = json!("FUTURES"), "it is listed as FUTURES, not SWAP"),
            (
                Perp,
                |row| row["expTime"] = json!("1789478299014"),
                "it has an expiry time: it is about to be delisted",
            ),
            (
                Perp,
                |row| row["instId"] = json!("ETH-USD_UM-SWAP"),
                "its contract is counted in ETH, which its name does not say",
            ),
            (Perp, |row| row["ctVal"] = json!("0"), "its contract of 0 × 1 coins can't be held"),
            (Perp, |row| row["ctMult"] = json!(""), "its contract of 0.1 ×  coins can't be held"),
            (Spot, |row| row["quoteCcy"] = json!("USDC"), "it is paid in USDC, not USDT"),
            (Spot, |row| row["state"] = json!("rebase"), "its state is rebase, not live"),
            (Spot, |row| row["ruleType"] = json!("pre_market"), "its rules are pre_market, not normal"),
            (Spot, |row| row["instCategory"] = json!("3"), "it follows no coin (instCategory 3)"),
            (
                Spot,
                |row| row["lotSz"] = json!(null),
                "its listing: message refused at field `lotSz`: of the wrong type",
            ),
            (Spot, |row| row["minSz"] = json!("9999999999.1"), "its limits leave no room for an order"),
        ];
        for (leg, change, reason) in cases {
            assert_eq!(changed(leg, change), reason);
        }
        let mut ends = page(Perp);
        ends["data"][0]["expTime"] = json!("1789478299014");
        assert_eq!(read(Perp, &mut ends.to_string().into_bytes()).unwrap().ending.len(), 1);
    }
}
