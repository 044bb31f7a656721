//! Steps and limits of a listing, as integers of the step's own scale.
//!
//! Owns:  the grid that prices or quantities of an instrument lie on, and limits rounded against us.
//! Never: takes a step or a limit that has to be rounded to be held.

use super::Row;
use crate::event::Symbol;
use crate::units::decimal::{self, pow10_i128};
use crate::units::{Amount, InstrumentId, LegKind, Price, Qty, Rate, VenueId};

/// What binds a limit order, as a venue spells it. `"0"`: there is no such limit.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'i> {
    /// Prices are multiples of it.
    pub tick: &'i str,
    /// Lowest and highest price.
    pub prices: [&'i str; 2],
    /// Quantities are multiples of it.
    pub lot: &'i str,
    /// Smallest and largest order.
    pub qtys: [&'i str; 2],
    /// Smallest price × quantity.
    pub notional_min: &'i str,
}

/// The name of a market, if it may stand in requests as it is.
///
/// # Errors
///
/// A sentence why it may not.
pub fn name(symbol: &str, besides: &[u8]) -> Result<Symbol, String> {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || besides.contains(&b);
    if symbol.is_empty() || !symbol.bytes().all(plain) {
        return Err("its symbol has letters that a request would have to encode".to_owned());
    }
    symbol.parse().map_err(|_| "its symbol is longer than 24 bytes".to_owned())
}

/// A market by name, paid in `quote`, before its steps and limits are known. That an exit below the least value is
/// taken is not promised by any venue unless its folder says so, and a spot buy's fee is taken in what was bought,
/// unless an account has it otherwise (OKX `feeType` 1, Bitget fees in BGB), which its own answers tell.
///
/// # Errors
///
/// A coin whose name can't be held.
pub fn unlimited(
    venue: VenueId,
    leg: LegKind,
    symbol: Symbol,
    [base, quote]: [&str; 2],
    taker_fee: Rate,
) -> Result<Row, String> {
    let coin = |name: &str| {
        name.parse().map_err(|_| format!("its coin {} is longer than 16 bytes", printable(name)))
    };
    Ok(Row {
        id: InstrumentId::default(),
        venue,
        leg,
        symbol,
        base: coin(base)?,
        quote: coin(quote)?,
        price_decimals: 0,
        qty_decimals: 0,
        tick: Price(0),
        lot: Qty(0),
        qty_min: Qty(0),
        qty_max: Qty(0),
        notional_min: Amount::ZERO,
        reduce_only_exempt: false,
        price_range: (Price(0), Price::MAX),
        taker_fee,
        band: None,
        buy_fee_in_base: leg == LegKind::Spot,
    })
}

impl Steps<'_> {
    /// Fills in scales and limits. Limits that lie between two steps are rounded against us.
    ///
    /// # Errors
    ///
    /// A sentence why no order can be made of it.
    pub fn instrument(&self, row: Row) -> Result<Row, String> {
        let price = Grid::of("price", self.tick)?;
        let qty = Grid::of("quantity", self.lot)?;
        if price.decimals + qty.decimals > Amount::SCALE {
            return Err("its tick and lot have more than 18 decimals together".to_owned());
        }
        let notional_min = Amount::parse(self.notional_min.as_bytes());
        let lowest = price.at_least(self.prices[0], "least price")?.max(price.step);
        let least = qty.at_least(self.qtys[0], "least quantity")?.max(qty.step);
        let row = Row {
            price_decimals: price.decimals,
            qty_decimals: qty.decimals,
            tick: Price(price.step),
            lot: Qty(qty.step),
            qty_min: Qty(least),
            qty_max: Qty(qty.at_most(self.qtys[1], "largest quantity")?),
            notional_min: notional_min.map_err(|bad| format!("its least notional: {bad}"))?,
            price_range: (Price(lowest), Price(price.at_most(self.prices[1], "highest price")?)),
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
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}
