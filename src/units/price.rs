//! Prices and quantities as integers of their own instrument's scale.
//!
//! Owns:  `Price`, `Qty`, and their reading from wire text.
//! Never: knows which instrument it belongs to: the caller pairs it with `Instrument` (event.rs).

use super::decimal::{self, BadDecimal};

/// A price as a count of **10^-p of the quote currency**, `p` being its instrument's `price_decimals`:
/// at `p = 2`, `Price(6_543_210)` is 65 432.10 USDT. Never compare prices of two instruments
/// without their pair's factor.
///
/// Signed, because a basis is a difference of prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub i64);

/// A quantity as a count of **10^-q of the instrument's size unit** (base coin on spot and on
/// Binance perps, contracts elsewhere), `q` being its instrument's `qty_decimals`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qty(pub i64);

impl Price {
    /// The largest price we take from a venue, with room to add and subtract a few of them.
    pub const MAX: Self = Self(i64::MAX / 8);

    /// Reads the decimal text that venues put on the wire, such as `b"65432.10"`.
    ///
    /// # Errors
    ///
    /// [`BadDecimal`] if the text is no plain decimal, has a non-zero digit beyond `decimals`, or
    /// exceeds [`Price::MAX`]. Nothing is ever rounded.
    pub fn parse(ascii: &[u8], decimals: u8) -> Result<Self, BadDecimal> {
        decimal::parse(ascii, decimals, Self::MAX.0).map(Self)
    }
}

impl Qty {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest quantity we take from a venue, with room to add and subtract a few of them.
    pub const MAX: Self = Self(i64::MAX / 8);

    /// Reads the decimal text that venues put on the wire.
    ///
    /// # Errors
    ///
    /// As [`Price::parse`], against [`Qty::MAX`].
    pub fn parse(ascii: &[u8], decimals: u8) -> Result<Self, BadDecimal> {
        decimal::parse(ascii, decimals, Self::MAX.0).map(Self)
    }
}
