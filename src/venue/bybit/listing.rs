//! What trades on Bybit: `instruments-info` of both categories, as instruments.
//!
//! Owns:  which rows the engine could trade, their scales and limits, and a reason for each other row.
//! Never: trusts `priceScale`, or the spot `minOrderQty`, which is no longer checked.
//! Wire:  bybit.md §4 and §10. Linear comes in pages, whose `nextPageCursor` asks on.
//! Quirk: `basePrecision` is a step, no count of digits; `deliveryTime` of a perpetual is its delisting.

use super::{ID, category, market};
use crate::units::{LegKind, Rate};
use crate::venue::fields::Fields;
use crate::venue::grid::{self, Steps, printable, unlimited};
use crate::venue::{Ask, BadBody, Listing, Row};
use simd_json::prelude::*;

/// What both markets are paid in here.
const QUOTE: &str = "USDT";
/// Kinds of contracts that follow no coin.
const NO_COINS: [&str; 4] = ["stock", "commodity", "forex", "xstocks"];

/// What a regular account pays as a taker (§9): 0.1 % on spot, 0.055 % on linear.
const fn regular_taker_fee(leg: LegKind) -> Rate {
    match leg {
        LegKind::Spot => Rate(1_000_000_000_000_000),
        LegKind::Perp => Rate(550_000_000_000_000),
    }
}

/// Asks what trades: the first page, or the one that a cursor asks for. Spot tells all at once.
pub(super) fn request(leg: LegKind, cursor: &str) -> Ask {
    let page = match (leg, cursor) {
        (LegKind::Spot, _) => String::new(),
        (LegKind::Perp, "") => "&limit=1000".to_owned(),
        (LegKind::Perp, cursor) => format!("&limit=1000&cursor={cursor}"),
    };
    Ask::plain(format!("/v5/market/instruments-info?category={}{page}", category(leg)))
}

/// Reads a page of a market's listing.
///
/// # Errors
///
/// [`BadBody`] if the answer as a whole can't be read. A row that can't be is left out with a reason.
pub(super) fn read(leg: LegKind, body: &mut [u8]) -> Result<Listing, BadBody> {
    market::list(leg, body, |result, rows| {
        let cursor = result.said("nextPageCursor")?.filter(|_| leg == LegKind::Perp);
        // Sent back as it came: a cursor is percent-encoded already. It goes into a request line of ours.
        if cursor.is_some_and(|cursor| !cursor.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&')) {
            return Err(BadBody::Field("nextPageCursor"));
        }
        let mut listing = Listing { more: cursor.map(|cursor| request(leg, cursor)), ..Listing::default() };
        for row in &rows {
            let symbol = row.text("symbol")?;
            let ends = row.moment("deliveryTime").ok().flatten();
            let trades =
                row.text("status") == Ok("Trading") && row.text("contractType") == Ok("LinearPerpetual");
            if let Some(at) = ends.filter(|_| trades) {
                listing.ending.push((printable(symbol), at));
            }
            listing.take(leg, symbol, tradable(leg, row), instrument(leg, symbol, row));
        }
        Ok(listing)
    })
}

/// One row, or a sentence why it has not the form of one of ours.
fn instrument(leg: LegKind, symbol: &str, row: &Fields<'_, '_>) -> Result<Row, String> {
    let name = grid::name(symbol, b"-")?;
    let base = row.word("baseCoin")?;
    let steps = steps(leg, row)?;
    steps.instrument(unlimited(ID, leg, name, [base, QUOTE], regular_taker_fee(leg))?)
}

/// Whether limit orders are taken there now, of a kind we trade.
fn tradable(leg: LegKind, row: &Fields<'_, '_>) -> Result<(), String> {
    if leg == LegKind::Perp {
        let kind = row.word("contractType")?;
        if kind != "LinearPerpetual" {
            return Err(format!("it is a {kind} contract, not a LinearPerpetual one"));
        }
        let settled = row.word("settleCoin")?;
        if settled != QUOTE {
            return Err(format!("it is settled in {settled}, not {QUOTE}"));
        }
    }
    let quote = row.word("quoteCoin")?;
    if quote != QUOTE {
        return Err(format!("it is paid in {quote}, not {QUOTE}"));
    }
    let kind = row.said("symbolType").map_err(|bad| bad.to_string())?;
    if let Some(kind) = kind.filter(|kind| NO_COINS.contains(kind)) {
        return Err(format!("it follows no coin (symbolType {kind})"));
    }
    let status = row.word("status")?;
    if status != "Trading" {
        return Err(format!("its status is {status}, not Trading"));
    }
    match leg {
        LegKind::Spot if row.said("stTag") == Ok(Some("1")) => {
            Err("it is marked for special treatment (stTag 1)".to_owned())
        }
        LegKind::Perp if row.0.get("isPreListing").is_some_and(|flag| flag.as_bool() != Some(false)) => {
            Err("it is not listed yet (isPreListing)".to_owned())
        }
        LegKind::Perp if row.moment("deliveryTime") != Ok(None) => {
            Err("it has a delivery time: it is about to be delisted".to_owned())
        }
        _ => Ok(()),
    }
}

/// The filters that bind a limit order.
fn steps<'i>(leg: LegKind, row: &Fields<'_, 'i>) -> Result<Steps<'i>, String> {
    let filter = |name: &'static str| row.within(name).map_err(|_| format!("its listing has no `{name}`"));
    let (price, lot) = (filter("priceFilter")?, filter("lotSizeFilter")?);
    let tick = price.word("tickSize")?;
    Ok(match leg {
        LegKind::Spot => Steps {
            tick,
            prices: ["0", "0"],
            lot: lot.word("basePrecision")?,
            qtys: ["0", lot.word("maxLimitOrderQty").or_else(|_| lot.word("maxOrderQty"))?],
            notional_min: lot.word("minOrderAmt")?,
        },
        LegKind::Perp => Steps {
            tick,
            prices: [price.word("minPrice")?, price.word("maxPrice")?],
            lot: lot.word("qtyStep")?,
            qtys: [lot.word("minOrderQty")?, lot.word("maxOrderQty")?],
            notional_min: lot.word("minNotionalValue")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample::fixture_of;
    use LegKind::{Perp, Spot};
    use serde_json::{Value, json};

    fn page(leg: LegKind) -> Value {
        let name = ["rest_instruments_spot.json", "rest_instruments_linear.json"][leg as usize];
        serde_json::from_slice(&fixture_of("bybit", name)).unwrap()
    }

    /// The only row of a fixture, changed: as a line, or why it is left out.
    fn changed(leg: LegKind, change: impl Fn(&mut Value)) -> String {
        let mut page = page(leg);
        change(&mut page["result"]["list"][0]);
        let listing = read(leg, &mut page.to_string().into_bytes()).unwrap();
        match (&listing.rows[..], &listing.left_out[..]) {
            ([row], []) => format!(
                "{} {} p{} q{} tick {} lot {} qty {}..{} notional {} fee {}",
                row.symbol,
                row.base,
                row.price_decimals,
                row.qty_decimals,
                row.tick.0,
                row.lot.0,
                row.qty_min.0,
                row.qty_max.0,
                row.notional_min,
                row.taker_fee.0 / 1_000_000_000_000
            ),
            ([], [out]) => out.reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fixtures_rows_are_instruments() {
        let spot = "BTCUSDT BTC p1 q6 tick 1 lot 1 qty 1..83000000 notional 5 fee 1000";
        assert_eq!(changed(Spot, |_| ()), spot);
        let perp = "BTCUSDT BTC p1 q3 tick 1 lot 1 qty 1..1190000 notional 5 fee 550";
        assert_eq!(changed(Perp, |_| ()), perp);
    }

    #[test]
    fn what_is_not_for_us_has_a_reason() {
        type Change = fn(&mut Value);
        let cases: [(LegKind, Change, &str); 14] = [
            (
                Perp,
                |row| row["contractType"] = json!("LinearFutures"),
                "it is a LinearFutures contract, not a LinearPerpetual one",
            ),
            (Perp, |row| row["settleCoin"] = json!("USDC"), "it is settled in USDC, not USDT"),
            (Spot, |row| row["quoteCoin"] = json!("EUR"), "it is paid in EUR, not USDT"),
            (Perp, |row| row["status"] = json!("PreLaunch"), "its status is PreLaunch, not Trading"),
            (Perp, |row| row["isPreListing"] = json!(true), "it is not listed yet (isPreListing)"),
            (
                Perp,
                |row| row["deliveryTime"] = json!("1789478299014"),
                "it has a delivery time: it is about to be delisted",
            ),
            (Perp, |row| row["symbolType"] = json!("stock"), "it follows no coin (symbolType stock)"),
            (Spot, |row| row["symbolType"] = json!("xstocks"), "it follows no coin (symbolType xstocks)"),
            (Spot, |row| row["stTag"] = json!("1"), "it is marked for special treatment (stTag 1)"),
            (
                Spot,
                |row| row["symbol"] = json!("BTC\"USDT"),
                "its symbol has letters that a request would have to encode",
            ),
            (
                Perp,
                |row| row["lotSizeFilter"]["qtyStep"] = json!(0.001),
                "its listing: message refused at field `qtyStep`: of the wrong type",
            ),
            (Perp, |row| row["priceFilter"] = json!(null), "its listing has no `priceFilter`"),
            (
                Spot,
                |row| row["lotSizeFilter"]["basePrecision"] = json!("0"),
                "its quantity step is switched off",
            ),
            (
                Perp,
                |row| row["lotSizeFilter"]["maxOrderQty"] = json!("0.0005"),
                "its limits leave no room for an order",
            ),
        ];
        for (leg, change, reason) in cases {
            assert_eq!(changed(leg, change), reason);
        }
    }

    #[test]
    fn a_delisting_is_told_and_pages_are_asked_on() {
        let mut linear = page(Perp);
        linear["result"]["list"][0]["deliveryTime"] = json!("1789478299014");
        linear["result"]["nextPageCursor"] = json!("first%3DBTC%26last%3DETH");
        let listing = read(Perp, &mut linear.to_string().into_bytes()).unwrap();
        assert_eq!(listing.ending.len(), 1);
        let path = "/v5/market/instruments-info?category=linear&limit=1000";
        assert_eq!(request(Perp, "").path, path);
        assert_eq!(listing.more.unwrap().path, format!("{path}&cursor=first%3DBTC%26last%3DETH"));
        linear["result"]["nextPageCursor"] = json!("x HTTP/1.1\r\nHost: evil");
        let read = read(Perp, &mut linear.to_string().into_bytes());
        assert_eq!(read.err(), Some(BadBody::Field("nextPageCursor")));
    }
}
