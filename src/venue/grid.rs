//! Steps and limits of a listing, as integers of the step's own scale.
//!
//! Owns:  the grid that prices or quantities of an instrument lie on, and limits rounded against us.
//! Never: takes a step or a limit that has to be rounded to be held.

use super::Row;
use crate::units::decimal::{self, pow10_i128};
use crate::units::{Amount, Price, Qty};

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
