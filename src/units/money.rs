//! Amounts of an asset, exact over years of bookings.
//!
//! Owns:  `Amount` and its conversions from price × quantity.
//! Never: rounds silently: a division says which way.

use super::decimal::{self, BadDecimal, pow10_i128};
use super::{Price, Qty};
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// An amount of one asset as a count of **10^-18** of it, signed. Holds ±1.7·10^20 of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub i128);

impl Amount {
    /// Decimals of every amount.
    pub const SCALE: u8 = 18;
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads signed decimal text with up to 18 decimals.
    ///
    /// # Errors
    ///
    /// [`BadDecimal`]; nothing is ever rounded.
    pub fn parse(ascii: &[u8]) -> Result<Self, BadDecimal> {
        decimal::parse_signed(ascii, Self::SCALE).map(Self)
    }

    /// What `qty` costs at `price`, exactly; `None` only if the scales pass 18 decimals together
    /// or the product overflows.
    #[must_use]
    pub fn cost(price: Price, price_decimals: u8, qty: Qty, qty_decimals: u8) -> Option<Self> {
        let spare = Self::SCALE.checked_sub(price_decimals.checked_add(qty_decimals)?)?;
        (i128::from(price.0) * i128::from(qty.0)).checked_mul(pow10_i128(spare)).map(Self)
    }

    /// A quantity of base coin as an amount.
    #[must_use]
    pub fn of(qty: Qty, qty_decimals: u8) -> Self {
        Self(i128::from(qty.0) * pow10_i128(Self::SCALE - qty_decimals.min(Self::SCALE)))
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl Neg for Amount {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}
impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl fmt::Display for Amount {
    /// Without trailing zeros: `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::short(self.0, Self::SCALE))
    }
}
