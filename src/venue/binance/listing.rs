//! What trades on Binance: `exchangeInfo` of both markets, as instruments.
//!
//! Owns:  which rows the engine can trade, their scales and limits, and a reason for each other row.
//! Never: trusts `pricePrecision`, `quantityPrecision` or `baseAssetPrecision`: they are neither tick
//!        nor step (binance.md §5, §7).
//! Wire:  binance.md §5 (spot filters) and §7 (futures filters). Key order inside a filter varies.
//! Quirk: a part of a filter that is 0 is switched off. `MARKET_LOT_SIZE` is not read: it binds
//!        MARKET orders, and ours are limit orders. The percent filters follow a moving price, so
//!        they can't be a number of an instrument; a price outside them is refused (-1013, -4016,
//!        -4024, -4131). `NOTIONAL.maxNotional` lies far above any clip.

use super::{VENUE, limits, rest};
use crate::event::Instrument;
use crate::units::decimal::{self, pow10_i128};
use crate::units::{Amount, InstrumentId, LegKind, Price, Qty, Rate};
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

/// Asks both markets what they trade. Spot is asked for every status, so that a halted symbol gets a
/// reason; its permission sets, most of the answer's megabytes, are left away.
pub(super) fn requests() -> Vec<Ask> {
    let ask = |leg, path: &str, weight| Ask {
        endpoint: rest(leg),
        path: path.to_owned(),
        weight,
        headers: Vec::new(),
    };
    vec![
        ask(LegKind::Spot, "/api/v3/exchangeInfo?showPermissionSets=false", 20),
        ask(LegKind::Perp, "/fapi/v1/exchangeInfo", 1),
    ]
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
            match instrument(leg, symbol, &row) {
                Ok(instrument) => listing.rows.push(instrument),
                Err(reason) => listing.left_out.push((printable(symbol), reason)),
            }
        }
        Ok(listing)
    })
}

/// One row, or a sentence why it is not for us.
fn instrument(leg: LegKind, symbol: &str, row: &Object<'_, '_>) -> Result<Row, String> {
    let word = |field: &'static str| text(row, field).ok_or(format!("its listing has no `{field}`"));
    let name = symbol.parse().map_err(|_| "its symbol is longer than 24 bytes".to_owned())?;
    // An order's form holds the symbol as it is: nothing in it may need percent-encoding.
    if symbol.is_empty() || !symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err("its symbol has letters that an order form would have to encode".to_owned());
    }
    let quote = word("quoteAsset")?;
    if quote != QUOTE {
        return Err(format!("it is paid in {quote}, not {QUOTE}"));
    }
    tradable(leg, row)?;
    let filters = Filters::of(row)?;
    let base = word("baseAsset")?;
    filters.instrument(Row {
        id: InstrumentId::default(),
        venue: VENUE.id,
        leg,
        symbol: name,
        base: base.parse().map_err(|_| format!("its base asset {base} is longer than 16 bytes"))?,
        quote: quote.parse().map_err(|_| "its quote asset is longer than 16 bytes".to_owned())?,
        price_decimals: 0,
        qty_decimals: 0,
        tick: Price(0),
        lot: Qty(0),
        qty_min: Qty(0),
        qty_max: Qty(0),
        notional_min: Amount::ZERO,
        reduce_only_exempt: leg == LegKind::Perp,
        price_range: (Price(0), Price::MAX),
        taker_fee: regular_taker_fee(leg),
        buy_fee_in_base: leg == LegKind::Spot,
    })
}

/// Whether limit orders of ours are taken there now.
fn tradable(leg: LegKind, row: &Object<'_, '_>) -> Result<(), String> {
    let word = |field: &'static str| text(row, field).ok_or(format!("its listing has no `{field}`"));
    if leg == LegKind::Perp {
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
                _ => {}
            }
        }
        Ok(filters)
    }

    /// Fills in scales and limits. Limits that lie between two steps are rounded against us.
    fn instrument(&self, row: Row) -> Result<Row, String> {
        let [tick, price_min, price_max] = self.price.ok_or("it has no PRICE_FILTER")?;
        let [lot, qty_min, qty_max] = self.lot.ok_or("it has no LOT_SIZE")?;
        let price = Grid::of("price", tick)?;
        let qty = Grid::of("quantity", lot)?;
        if price.decimals + qty.decimals > Amount::SCALE {
            return Err("its tick and lot have more than 18 decimals together".to_owned());
        }
        let notional_min = match self.notional {
            None => Amount::ZERO,
            Some(least) => {
                Amount::parse(least.as_bytes()).map_err(|bad| format!("its least notional: {bad}"))?
            }
        };
        let lowest = price.at_least(price_min, "least price")?.max(price.step);
        let least = qty.at_least(qty_min, "least quantity")?.max(qty.step);
        let row = Instrument {
            price_decimals: price.decimals,
            qty_decimals: qty.decimals,
            tick: Price(price.step),
            lot: Qty(qty.step),
            qty_min: Qty(least),
            qty_max: Qty(qty.at_most(qty_max, "largest quantity")?),
            notional_min,
            price_range: (Price(lowest), Price(price.at_most(price_max, "highest price")?)),
            ..row
        };
        if row.qty_min > row.qty_max || row.price_range.0 > row.price_range.1 {
            return Err("its limits leave no room for an order".to_owned());
        }
        Ok(row)
    }
}

/// The multiples of a step, on the step's own scale.
struct Grid {
    decimals: u8,
    step: i64,
}

impl Grid {
    fn of(what: &str, step: &str) -> Result<Self, String> {
        let bad = |bad| format!("its {what} step {}: {bad}", printable(step));
        let decimals = decimal::decimals_of(step.as_bytes()).map_err(bad)?;
        let step = decimal::parse(step.as_bytes(), decimals, Price::MAX.0).map_err(bad)?;
        if step == 0 { Err(format!("its {what} step is switched off")) } else { Ok(Self { decimals, step }) }
    }

    /// The lowest multiple that is not below; 0 if the limit is switched off.
    fn at_least(&self, limit: &str, what: &str) -> Result<i64, String> {
        let (limit, step) = self.exact(limit, what)?;
        let multiples = limit / step + i128::from(limit % step != 0);
        self.back(multiples).ok_or(format!("its {what} is out of range"))
    }

    /// The highest multiple that is not above; as much as fits if the limit is switched off or passes it.
    fn at_most(&self, limit: &str, what: &str) -> Result<i64, String> {
        let (limit, step) = self.exact(limit, what)?;
        if limit == 0 {
            return Ok(Price::MAX.0 / self.step * self.step);
        }
        Ok(self.back(limit / step).unwrap_or(Price::MAX.0 / self.step * self.step))
    }

    /// A limit and the step, both at the finest scale.
    fn exact(&self, limit: &str, what: &str) -> Result<(i128, i128), String> {
        let limit = decimal::parse_i128(limit.as_bytes(), Amount::SCALE)
            .map_err(|bad| format!("its {what} {}: {bad}", printable(limit)))?;
        Ok((limit, i128::from(self.step) * pow10_i128(Amount::SCALE - self.decimals)))
    }

    fn back(&self, multiples: i128) -> Option<i64> {
        let value = i64::try_from(multiples).ok()?.checked_mul(self.step)?;
        (value <= Price::MAX.0).then_some(value)
    }
}

const _: () = assert!(Price::MAX.0 == Qty::MAX.0, "one grid serves both");

/// A venue's text as it may be shown: no control characters, and not endless.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}
