//! What trades on Bitget: `instruments` of both categories, as instruments.
//!
//! Owns:  which rows the engine could trade, their scales and limits, and a reason for each other row.
//! Never: takes a future's `pricePrecision` for its tick: `priceMultiplier` is it.
//! Wire:  bitget.md §4 and §10.
//! Quirk: spot tells its steps as counts of digits, futures as steps. An empty text is no limit; -1 is no time.

use super::{ID, category, market};
use crate::units::{LegKind, Rate, Unix};
use crate::venue::answer::rows;
use crate::venue::fields::Fields;
use crate::venue::grid::{self, Steps, printable, unlimited};
use crate::venue::{Ask, BadBody, Listing, Row};

/// What both markets are paid in here.
const QUOTE: &str = "USDT";
/// Times at which a market is shut, to be settled or for good.
const ENDS: [&str; 3] = ["offTime", "limitOpenTime", "deliveryTime"];

/// What a regular account pays as a taker (§9): 0.1 % on spot, 0.06 % on futures.
const fn regular_taker_fee(leg: LegKind) -> Rate {
    match leg {
        LegKind::Spot => Rate(1_000_000_000_000_000),
        LegKind::Perp => Rate(600_000_000_000_000),
    }
}

/// Asks what trades; one answer tells all.
pub(super) fn request(leg: LegKind) -> Ask {
    Ask::plain(format!("/api/v3/market/instruments?category={}", category(leg)))
}

/// Reads a market's listing.
///
/// # Errors
///
/// [`BadBody`] if the answer as a whole can't be read. A row that can't be is left out with a reason.
pub(super) fn read(leg: LegKind, body: &mut [u8]) -> Result<Listing, BadBody> {
    market::ENVELOPE.open(body, |whole| {
        let mut listing = Listing::default();
        for row in &rows(&whole.get("data")?, "data")? {
            let symbol = row.text("symbol")?;
            let trades = row.text("status") == Ok("online") && contract_kind(row) == Ok("perpetual");
            if let Ok(Some(at)) = ends(row).map(|at| at.filter(|_| trades)) {
                listing.ending.push((printable(symbol), at));
            }
            listing.take(leg, symbol, tradable(leg, row), instrument(leg, symbol, row));
        }
        Ok(listing)
    })
}

/// The first moment at which it is shut, if one is set.
fn ends(row: &Fields<'_, '_>) -> Result<Option<Unix>, String> {
    let mut first: Option<Unix> = None;
    for field in ENDS {
        if row.said(field).map_err(|bad| format!("its listing: {bad}"))? == Some("-1") {
            continue;
        }
        let at = row.moment(field).map_err(|bad| format!("its listing: {bad}"))?;
        first = at.into_iter().chain(first).min();
    }
    Ok(first)
}

/// One row, or a sentence why it has not the form of one of ours.
fn instrument(leg: LegKind, symbol: &str, row: &Fields<'_, '_>) -> Result<Row, String> {
    let name = grid::name(symbol, b"_")?;
    let base = row.word("baseCoin")?;
    let (tick, lot) = match leg {
        LegKind::Spot => (step(row.word("pricePrecision")?)?, step(row.word("quantityPrecision")?)?),
        LegKind::Perp => {
            (row.word("priceMultiplier")?.to_owned(), row.word("quantityMultiplier")?.to_owned())
        }
    };
    let limit = |field: &'static str| {
        row.said(field).map(|said| said.unwrap_or("0")).map_err(|bad| format!("its listing: {bad}"))
    };
    let steps = Steps {
        tick: &tick,
        prices: ["0", "0"],
        lot: &lot,
        qtys: [limit("minOrderQty")?, limit("maxOrderQty")?],
        notional_min: limit("minOrderAmount")?,
    };
    steps.instrument(unlimited(ID, leg, name, [base, QUOTE], regular_taker_fee(leg))?)
}

/// What kind of contract it is: `symbolType` in the documents, `type` in answers that public clients have kept.
fn contract_kind<'i>(row: &Fields<'_, 'i>) -> Result<&'i str, String> {
    match row.said("symbolType") {
        Ok(Some(kind)) => Ok(kind),
        _ => row.word("type"),
    }
}

/// Whether limit orders are taken there now, of a kind we trade.
fn tradable(leg: LegKind, row: &Fields<'_, '_>) -> Result<(), String> {
    let listed = row.word("category")?;
    if listed != category(leg) {
        return Err(format!("it is listed as {}, not {}", printable(listed), category(leg)));
    }
    let quote = row.word("quoteCoin")?;
    if quote != QUOTE {
        return Err(format!("it is paid in {}, not {QUOTE}", printable(quote)));
    }
    let real = row.said("isRwa").map_err(|bad| format!("its listing: {bad}"))?;
    if real.is_some_and(|said| !said.eq_ignore_ascii_case("no")) {
        return Err("it follows no coin (isRwa)".to_owned());
    }
    if leg == LegKind::Perp {
        let kind = contract_kind(row)?;
        if kind != "perpetual" {
            return Err(format!("it is a {} contract, not a perpetual one", printable(kind)));
        }
    }
    let status = row.word("status")?;
    if status != "online" {
        return Err(format!("its status is {}, not online", printable(status)));
    }
    match ends(row)? {
        None => Ok(()),
        Some(at) => Err(format!("it is about to be shut, at {at}")),
    }
}

/// A count of digits as a step: `"2"` is `0.01`.
fn step(digits: &str) -> Result<String, String> {
    let count: usize =
        digits.parse().map_err(|_| format!("its precision {} is no number", printable(digits)))?;
    match count {
        0 => Ok("1".to_owned()),
        1..=18 => Ok(format!("0.{:0>count$}", 1)),
        _ => Err(format!("its precision {count} is more than 18 digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample::fixture_of;
    use LegKind::{Perp, Spot};
    use serde_json::{Value, json};

    fn page(leg: LegKind) -> Value {
        let name = ["rest_uta_instruments_spot.json", "rest_uta_instruments_futures.json"][leg as usize];
        serde_json::from_slice(&fixture_of("bitget", name)).unwrap()
    }

    /// The only row of a fixture, changed: as a line, or why it is left out.
    fn changed(leg: LegKind, change: impl Fn(&mut Value)) -> String {
        let mut page = page(leg);
        change(&mut page["data"][0]);
        let listing = read(leg, &mut page.to_string().into_bytes()).unwrap();
        match (&listing.rows[..], &listing.left_out[..]) {
            ([row], []) => format!(
                "{} {} p{} q{} tick {} lot {} qty {} notional {} fee {}",
                row.symbol,
                row.base,
                row.price_decimals,
                row.qty_decimals,
                row.tick.0,
                row.lot.0,
                row.qty_min.0,
                row.notional_min,
                row.taker_fee.0 / 1_000_000_000_000
            ),
            ([], [out]) => out.reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_contract_is_of_a_kind_by_either_name() {
        let renamed = |kind: &str| {
            changed(Perp, |row| {
                row.as_object_mut().unwrap().remove("symbolType");
                row["type"] = json!(kind);
            })
        };
        assert_eq!(renamed("perpetual"), changed(Perp, |_| ()));
        assert_eq!(renamed("delivery"), "it is a delivery contract, not a perpetual one");
    }

    #[test]
    fn the_fixtures_rows_are_instruments() {
        assert_eq!(changed(Spot, |_| ()), "BTCUSDT BTC p2 q6 tick 1 lot 1 qty 10 notional 1 fee 1000");
        assert_eq!(changed(Perp, |_| ()), "BTCUSDT BTC p1 q4 tick 1 lot 1 qty 1 notional 2 fee 600");
        let coarse = changed(Perp, |row| row["priceMultiplier"] = json!("0.5"));
        assert_eq!(coarse, "BTCUSDT BTC p1 q4 tick 5 lot 1 qty 1 notional 2 fee 600", "no power of ten");
        let whole = changed(Spot, |row| row["quantityPrecision"] = json!("0"));
        assert_eq!(whole, "BTCUSDT BTC p2 q0 tick 1 lot 1 qty 1 notional 1 fee 1000");
    }

    #[test]
    fn what_is_not_for_us_has_a_reason() {
        type Change = fn(&mut Value);
        let cases: [(LegKind, Change, &str); 12] = [
            (
                Perp,
                |row| row["symbolType"] = json!("delivery"),
                "it is a delivery contract, not a perpetual one",
            ),
            (Perp, |row| row["isRwa"] = json!("YES"), "it follows no coin (isRwa)"),
            (
                Perp,
                |row| row["category"] = json!("COIN-FUTURES"),
                "it is listed as COIN-FUTURES, not USDT-FUTURES",
            ),
            (Perp, |row| row["quoteCoin"] = json!("USDC"), "it is paid in USDC, not USDT"),
            (Perp, |row| row["status"] = json!("limit_open"), "its status is limit_open, not online"),
            (
                Perp,
                |row| row["limitOpenTime"] = json!("1789478299014"),
                "it is about to be shut, at 2026-09-15T13:18:19.014Z",
            ),
            (
                Spot,
                |row| row["offTime"] = json!("soon"),
                "its listing: message refused at field `offTime`: absurd stamp",
            ),
            (Spot, |row| row["status"] = json!("offline"), "its status is offline, not online"),
            (
                Spot,
                |row| row["symbol"] = json!("币安USDT"),
                "its symbol has letters that a request would have to encode",
            ),
            (Spot, |row| row["pricePrecision"] = json!("19"), "its precision 19 is more than 18 digits"),
            (Spot, |row| row["quantityPrecision"] = json!(""), "its precision  is no number"),
            (Perp, |row| row["maxOrderQty"] = json!("0.00005"), "its limits leave no room for an order"),
        ];
        for (leg, change, reason) in cases {
            assert_eq!(changed(leg, change), reason);
        }
        let mut ends = page(Perp);
        ends["data"][0]["offTime"] = json!("1789478299014");
        assert_eq!(read(Perp, &mut ends.to_string().into_bytes()).unwrap().ending.len(), 1);
    }
}
