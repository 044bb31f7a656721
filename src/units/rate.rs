//! Rates: exact decimals from the venue, and ratios that are derived from them.
//!
//! Owns:  `Rate` (fees, funding: exact, 10^-18) and `Ratio` (what is computed: binary fixed point).
//! Never: holds a price that is sent back to a venue: binary fixed point can't hold 0.1.

use super::decimal::{self, BadDecimal};

/// A ratio that is derived: basis, threshold, APR. 64 fractional bits; round it against us.
pub type Ratio = fixed::types::I64F64;

/// A fee or funding rate as a venue states it: a count of **10^-18**, signed. `0.0001` is 10^14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub i64);

impl Rate {
    /// Decimals of every rate; OKX settles with 16 digits, so 18 hold all four venues.
    pub const SCALE: u8 = 18;
    /// No rate.
    pub const ZERO: Self = Self(0);

    /// Reads signed decimal text, such as `b"-0.00007500"`.
    ///
    /// # Errors
    ///
    /// [`BadDecimal`] for anything but a plain decimal below 9.2 with at most 18 decimals.
    pub fn parse(ascii: &[u8]) -> Result<Self, BadDecimal> {
        let value = decimal::parse_signed(ascii, Self::SCALE)?;
        i64::try_from(value).map(Self).map_err(|_| BadDecimal::Range)
    }

    /// As a [`Ratio`], rounded towards minus infinity (2^-64 at most).
    #[must_use]
    pub fn ratio_floor(self) -> Ratio {
        let shifted = i128::from(self.0) << 64;
        Ratio::from_bits(shifted.div_euclid(1_000_000_000_000_000_000))
    }

    /// As a [`Ratio`], rounded towards plus infinity (2^-64 at most).
    #[must_use]
    pub fn ratio_ceil(self) -> Ratio {
        -Self(-self.0).ratio_floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_turns_into_a_ratio_on_the_stated_side() {
        let tenth = Rate::parse(b"0.1").unwrap();
        assert!(tenth.ratio_floor() < tenth.ratio_ceil());
        assert_eq!(tenth.ratio_ceil() - tenth.ratio_floor(), Ratio::DELTA);
        let half = Rate::parse(b"-0.5").unwrap();
        assert_eq!(half.ratio_floor(), half.ratio_ceil());
    }
}
