//! What trades on Binance: `exchangeInfo` of both markets, as instruments.
//!
//! Owns:  which rows the engine can trade, their scales and limits, and a reason for each other row.
//! Never: trusts `pricePrecision`, `quantityPrecision` or `baseAssetPrecision`: they are neither tick
//!        nor step (binance.md §5, §7).
//! Wire:  binance.md §5 (spot filters) and §7 (futures filters). Key order inside a filter varies.
//! Quirk: a part of a filter that is 0 is switched off. `MARKET_LOT_SIZE` is not read: it binds
//!        MARKET orders, and ours are limit orders. The percent filters follow a moving price, so
//!        only their factors are read; a price outside them is refused (-1013, -4016, -4024, -4131). `NOTIONAL.maxNotional` lies far above any clip.

use super::{ID, limits, rest};
use crate::event::Instruments;
use crate::units::{LegKind, Rate, Unix};
use crate::venue::grid::{self, Steps, printable, unlimited};
use crate::venue::json::{Object, flag, int, text};
use crate::venue::{Ask, BadBody, Listing, Row};

/// What both markets are paid in here.
const QUOTE: &str = "USDT";

/// The `deliveryDate` of a perpetual that is not about to be delisted.
const NO_DELIVERY_MS: i64 = 4_133_404_800_000;

/// What a regular account pays as a taker (§15), until the account's own rates are read: 0.1 % on
/// spot, 0.05 % on USD-M.
const fn regular_taker_fee(leg: LegKind) -> Rate {
    match leg {
        LegKind::Spot => Rate(1_000_000_000_000_000),
        LegKind::Perp => Rate(500_000_000_000_000),
    }
}

/// Asks a market what it trades. Spot is asked for every status, so that a halted symbol gets a
/// reason; its permission sets, most of the answer's megabytes, are left away.
pub(super) fn request(leg: LegKind) -> Ask {
    let (path, weight) = match leg {
        LegKind::Spot => ("/api/v3/exchangeInfo?showPermissionSets=false", 20),
        LegKind::Perp => ("/fapi/v1/exchangeInfo", 1),
    };
    super::account::public(leg, path, weight)
}

/// Asks both markets again: spot for these symbols alone, whose answer is short; USD-M tells all or nothing.
pub(super) fn again(instruments: &Instruments) -> Vec<Ask> {
    let spots = instruments.instruments.iter().filter(|row| row.leg == LegKind::Spot);
    // A list of quoted names, percent-encoded; the names themselves need no encoding.
    let names: Vec<String> = spots.map(|row| format!("%22{}%22", row.symbol)).collect();
    let mut asks: Vec<Ask> = LegKind::BOTH.map(request).into();
    for ask in asks.iter_mut().filter(|ask| ask.endpoint == rest(LegKind::Spot)) {
        ask.path = format!("{}&symbols=%5B{}%5D", ask.path, names.join("%2C"));
    }
    asks
}

/// Reads one market's listing.
///
/// # Errors
///
/// [`BadBody`] if the answer as a whole can't be read. A row that can't be is left out with a reason.
pub(super) fn read(leg: LegKind, body: &mut [u8]) -> Result<Listing, BadBody> {
    super::account::object(body, |info| {
        let rows = info.get("symbols").and_then(|rows| rows.as_array()).ok_or(BadBody::Field("symbols"))?;
        let mut listing = Listing { limits: limits::read(leg, info), ..Listing::default() };
        for row in rows.iter() {
            let row = row.as_object().ok_or(BadBody::Field("symbols"))?;
            let symbol = text(&row, "symbol").ok_or(BadBody::Field("symbol"))?;
            if let Some(at) = ends(leg, &row) {
                listing.ending.push((printable(symbol), at));
            }
            listing.take(leg, symbol, tradable(leg, &row), instrument(leg, symbol, &row));
        }
        Ok(listing)
    })
}

/// One row, or a sentence why it has not the form of one of ours.
fn instrument(leg: LegKind, symbol: &str, row: &Object<'_, '_>) -> Result<Row, String> {
    let word = |field: &'static str| text(row, field).ok_or(format!("its listing has no `{field}`"));
    // An order's form holds the symbol as it is: nothing in it may need percent-encoding.
    let name = grid::name(symbol, b"_")?;
    let quote = word("quoteAsset")?;
    if quote != QUOTE {
        return Err(format!("it is paid in {quote}, not {QUOTE}"));
    }
    let filters = Filters::of(row)?;
    let base = word("baseAsset")?;
    filters.instrument(Row {
        reduce_only_exempt: leg == LegKind::Perp,
        ..unlimited(ID, leg, name, [base, quote], regular_taker_fee(leg))?
    })
}

/// Whether limit orders of ours are taken there now.
fn tradable(leg: LegKind, row: &Object<'_, '_>) -> Result<(), String> {
    let word = |field: &'static str| text(row, field).ok_or(format!("its listing has no `{field}`"));
    if leg == LegKind::Perp {
        // Since COIN-M shares the back end, its rows say so (binance.md, 2026-06-30).
        if let Some(side) = int(row, "st").filter(|side| *side != 1) {
            return Err(format!("it is of another market than USD-M (st {side})"));
        }
        let kind = word("contractType")?;
        if kind != "PERPETUAL" {
            return Err(format!("it is a {kind} contract, not a PERPETUAL one"));
        }
    }
    let status = word("status")?;
    if status != "TRADING" {
        return Err(format!("its status is {status}, not TRADING"));
    }
    match leg {
        LegKind::Spot => {
            if flag(row, "isSpotTradingAllowed") != Some(true) {
                return Err("spot trading is not allowed on it".to_owned());
            }
            offers(row, "allowedSelfTradePreventionModes", "EXPIRE_TAKER")?;
        }
        LegKind::Perp => {
            if int(row, "deliveryDate") != Some(NO_DELIVERY_MS) {
                return Err("it has a delivery date: it is about to be delisted".to_owned());
            }
            let margin = word("marginAsset")?;
            if margin != QUOTE {
                return Err(format!("its margin is {margin}, not {QUOTE}"));
            }
            offers(row, "timeInForce", "IOC")?;
        }
    }
    offers(row, "orderTypes", "LIMIT")
}

/// When a perpetual that still trades is settled, if it is about to be.
fn ends(leg: LegKind, row: &Object<'_, '_>) -> Option<Unix> {
    let trades = leg == LegKind::Perp
        && text(row, "contractType") == Some("PERPETUAL")
        && text(row, "status") == Some("TRADING");
    let at_ms = int(row, "deliveryDate").filter(|at| trades && *at != NO_DELIVERY_MS)?;
    Unix::from_ms(at_ms)
}

/// That a list holds what our orders need. A listing without the list promises nothing and denies
/// nothing.
fn offers(row: &Object<'_, '_>, list: &str, wanted: &str) -> Result<(), String> {
    let Some(values) = row.get(list).and_then(|list| list.as_array()) else { return Ok(()) };
    let offered = values.iter().any(|value| crate::venue::json::as_text(&value) == Some(wanted));
    if offered { Ok(()) } else { Err(format!("its `{list}` has no {wanted}")) }
}

/// The filters that bind a limit order, as text.
#[derive(Default)]
struct Filters<'i> {
    price: Option<[&'i str; 3]>,
    lot: Option<[&'i str; 3]>,
    notional: Option<&'i str>,
    /// The lowest factor of a sell, the highest of a buy.
    band: Option<[&'i str; 2]>,
}

impl<'i> Filters<'i> {
    fn of(row: &Object<'_, 'i>) -> Result<Self, String> {
        let rows =
            row.get("filters").and_then(|rows| rows.as_array()).ok_or("its listing has no `filters`")?;
        let mut filters = Self::default();
        for filter in rows.iter().filter_map(|filter| filter.as_object()) {
            let part = |field: &'static str| {
                text(&filter, field).ok_or(format!("one of its filters has no `{field}`"))
            };
            match text(&filter, "filterType").unwrap_or_default() {
                "PRICE_FILTER" => {
                    filters.price = Some([part("tickSize")?, part("minPrice")?, part("maxPrice")?])
                }
                "LOT_SIZE" => filters.lot = Some([part("stepSize")?, part("minQty")?, part("maxQty")?]),
                // Spot says `minNotional` in both filters, USD-M `notional` in the older one.
                "NOTIONAL" | "MIN_NOTIONAL" => {
                    filters.notional = Some(part("minNotional").or_else(|_| part("notional"))?);
                }
                "PERCENT_PRICE_BY_SIDE" => {
                    filters.band = Some([part("askMultiplierDown")?, part("bidMultiplierUp")?]);
                }
                "PERCENT_PRICE" => filters.band = Some([part("multiplierDown")?, part("multiplierUp")?]),
                _ => {}
            }
        }
        Ok(filters)
    }

    fn instrument(&self, row: Row) -> Result<Row, String> {
        let [tick, price_min, price_max] = self.price.ok_or("it has no PRICE_FILTER")?;
        let [lot, qty_min, qty_max] = self.lot.ok_or("it has no LOT_SIZE")?;
        let factor = |text: &str| {
            Rate::parse(text.as_bytes()).map_err(|bad| format!("its price band {}: {bad}", printable(text)))
        };
        let band = match self.band {
            None => None,
            Some([low, high]) => Some([factor(low)?, factor(high)?]),
        };
        let notional_min = self.notional.unwrap_or("0");
        let steps =
            Steps { tick, prices: [price_min, price_max], lot, qtys: [qty_min, qty_max], notional_min };
        steps.instrument(Row { band, ..row })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LeftOut;
    use crate::units::Qty;
    use crate::units::decimal;
    use crate::venue::sample::fixture;

    fn line(row: &Row) -> String {
        format!(
            "{} {} p{} q{} tick {} lot {} qty {}..{} notional {} price {}..{} fee {}",
            row.symbol,
            row.base,
            row.price_decimals,
            row.qty_decimals,
            row.tick.0,
            row.lot.0,
            row.qty_min.0,
            row.qty_max.0,
            row.notional_min,
            row.price_range.0.0,
            row.price_range.1.0,
            decimal::short(row.taker_fee.0.into(), Rate::SCALE),
        )
    }

    #[test]
    fn the_fixtures_rows_read_as_one_line_each() {
        let spot = read(LegKind::Spot, &mut fixture("spot_rest_exchange_info.json")).unwrap();
        assert_eq!(
            spot.rows.iter().map(line).collect::<Vec<_>>(),
            ["BTCUSDT BTC p2 q5 tick 1 lot 1 qty 1..900000000 notional 5 price 1..100000000 fee 0.001"]
        );
        assert!(spot.left_out.is_empty());
        assert_eq!(spot.limits.len(), 4);
        let perp = read(LegKind::Perp, &mut fixture("futures_rest_exchange_info.json")).unwrap();
        assert_eq!(
            perp.rows.iter().map(line).collect::<Vec<_>>(),
            ["BTCUSDT BTC p1 q3 tick 1 lot 1 qty 1..1000000 notional 50 price 5568..45297640 fee 0.0005"]
        );
        assert_eq!(
            perp.left_out,
            [LeftOut {
                leg: LegKind::Perp,
                symbol: "XAUUSDT".to_owned(),
                reason: "it is a TRADIFI_PERPETUAL contract, not a PERPETUAL one".to_owned(),
            }]
        );
        assert!(perp.rows[0].reduce_only_exempt && !spot.rows[0].reduce_only_exempt);
    }

    #[test]
    fn bands_are_read_where_they_bind_a_taker_and_relisting_asks_for_our_spots_alone() {
        let spot = read(LegKind::Spot, &mut fixture("spot_rest_exchange_info.json")).unwrap().rows.remove(0);
        let perp =
            read(LegKind::Perp, &mut fixture("futures_rest_exchange_info.json")).unwrap().rows.remove(0);
        let rate = |text: &str| Rate::parse(text.as_bytes()).unwrap();
        assert_eq!(spot.band, Some([rate("0.5"), rate("2")]));
        assert_eq!(perp.band, Some([rate("0.95"), rate("1.05")]));
        let other = Row { symbol: "SOLUSDT".parse().unwrap(), ..spot.clone() };
        let all = crate::venue::sample::instruments(vec![spot, other, perp]);
        let paths: Vec<String> = again(&all).into_iter().map(|ask| ask.path).collect();
        assert_eq!(
            paths,
            [
                "/api/v3/exchangeInfo?showPermissionSets=false&symbols=%5B%22BTCUSDT%22%2C%22SOLUSDT%22%5D",
                "/fapi/v1/exchangeInfo"
            ]
        );
    }

    /// The fixture's first row with a change, and the reason it is left out for, or its line.
    #[track_caller]
    fn changed(leg: LegKind, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let name = match leg {
            LegKind::Spot => "spot_rest_exchange_info.json",
            LegKind::Perp => "futures_rest_exchange_info.json",
        };
        let mut info: serde_json::Value = serde_json::from_slice(&fixture(name)).unwrap();
        change(&mut info["symbols"][0]);
        let listing = read(leg, &mut info.to_string().into_bytes()).unwrap();
        listing.rows.first().map(line).unwrap_or_else(|| listing.left_out[0].reason.clone())
    }

    #[test]
    fn each_row_left_out_has_its_reason() {
        use LegKind::{Perp, Spot};
        type Change = fn(&mut serde_json::Value);
        let cases: [(LegKind, Change, &str); 16] = [
            (Perp, |row| row["st"] = 2.into(), "it is of another market than USD-M (st 2)"),
            (Spot, |row| row["status"] = "BREAK".into(), "its status is BREAK, not TRADING"),
            (Spot, |row| row["isSpotTradingAllowed"] = false.into(), "spot trading is not allowed on it"),
            (Spot, |row| row["quoteAsset"] = "USDC".into(), "it is paid in USDC, not USDT"),
            (
                Spot,
                |row| row["symbol"] = "币安USDT".into(),
                "its symbol has letters that a request would have to encode",
            ),
            (Spot, |row| row["symbol"] = "X".repeat(25).into(), "its symbol is longer than 24 bytes"),
            (Spot, |row| row["orderTypes"] = serde_json::json!(["MARKET"]), "its `orderTypes` has no LIMIT"),
            (
                Spot,
                |row| row["allowedSelfTradePreventionModes"] = serde_json::json!([]),
                "its `allowedSelfTradePreventionModes` has no EXPIRE_TAKER",
            ),
            (
                Spot,
                |row| row["filters"][0]["tickSize"] = "0.00000000".into(),
                "its price step is switched off",
            ),
            (
                Spot,
                |row| row["filters"][1]["stepSize"] = "1e-5".into(),
                "its quantity step 1e-5: not a plain decimal number",
            ),
            (Spot, |row| row["filters"] = serde_json::json!([]), "it has no PRICE_FILTER"),
            (
                Spot,
                |row| {
                    row["filters"][0]["tickSize"] = "0.0000000001".into();
                    row["filters"][1]["stepSize"] = "0.000000001".into();
                },
                "its tick and lot have more than 18 decimals together",
            ),
            (
                Perp,
                |row| row["deliveryDate"] = 1_789_478_299_014i64.into(),
                "it has a delivery date: it is about to be delisted",
            ),
            (Perp, |row| row["status"] = "SETTLING".into(), "its status is SETTLING, not TRADING"),
            (
                Perp,
                |row| row["contractType"] = "CURRENT_QUARTER".into(),
                "it is a CURRENT_QUARTER contract, not a PERPETUAL one",
            ),
            (
                Perp,
                |row| row["filters"][1]["maxQty"] = "0.0005".into(),
                "its limits leave no room for an order",
            ),
        ];
        for (leg, change, reason) in cases {
            assert_eq!(changed(leg, change), reason);
        }
    }

    #[test]
    fn what_is_shut_is_a_market_for_who_traded_it_before_and_for_nobody_else() {
        let mut info: serde_json::Value =
            serde_json::from_slice(&fixture("futures_rest_exchange_info.json")).unwrap();
        info["symbols"][0]["status"] = "SETTLING".into();
        let mut listing = read(LegKind::Perp, &mut info.to_string().into_bytes()).unwrap();
        let known = |leg| [(leg, "BTCUSDT".to_owned())];
        listing.admit(&known(LegKind::Spot));
        assert_eq!(listing.rows, []);
        listing.admit(&known(LegKind::Perp));
        let open = read(LegKind::Perp, &mut fixture("futures_rest_exchange_info.json")).unwrap();
        assert_eq!(listing.rows, open.rows);
        assert_eq!(
            listing.left_out[0].reason, "its status is SETTLING, not TRADING",
            "and it says why it is shut"
        );
    }

    #[test]
    fn limits_between_two_steps_are_rounded_against_us_and_zeros_are_switched_off() {
        let row = changed(LegKind::Spot, |row| {
            row["filters"] = serde_json::json!([
                {"filterType":"LOT_SIZE","stepSize":"0.50000000","maxQty":"92141578000000000000.9","minQty":"0.7"},
                {"minPrice":"0.00","tickSize":"0.25","filterType":"PRICE_FILTER","maxPrice":"10.99"},
                {"filterType":"MIN_NOTIONAL","minNotional":"0.00100000","applyToMarket":true,"avgPriceMins":5},
            ]);
        });
        let most = Qty::MAX.0 / 5 * 5;
        assert_eq!(
            row,
            format!("BTCUSDT BTC p2 q1 tick 25 lot 5 qty 10..{most} notional 0.001 price 25..1075 fee 0.001")
        );
    }

    #[test]
    fn an_error_or_a_page_in_place_of_a_listing_is_told() {
        let read = |text: &str| read(LegKind::Spot, &mut text.as_bytes().to_vec()).unwrap_err().to_string();
        assert_eq!(
            read(r#"{"code":-1003,"msg":"Way too much request weight used\u001b[2J"}"#),
            "the venue answered -1003: Way too much request weight used [2J"
        );
        assert!(read("<html>").starts_with("the body is not JSON"));
        assert!(read("{}").starts_with("field `symbols` is missing"));
    }
}
