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

/// `numerator ÷ denominator` as a [`Ratio`], rounded towards minus infinity.
///
/// `None` if the denominator is not within 1…2^95, or the quotient passes what a ratio holds.
#[must_use]
pub fn ratio_floor(numerator: i128, denominator: i128) -> Option<Ratio> {
    if !(1..1 << 95).contains(&denominator) {
        return None;
    }
    let whole = i64::try_from(numerator.div_euclid(denominator)).ok()?;
    // Long division, 32 bits of fraction a step: what is shifted stays below 2^127.
    let rest = numerator.rem_euclid(denominator) << 32;
    let high = rest / denominator;
    let low = ((rest % denominator) << 32) / denominator;
    Some(Ratio::from_bits(i128::from(whole) << 64 | high << 32 | low))
}

/// As [`ratio_floor`], rounded towards plus infinity.
#[must_use]
pub fn ratio_ceil(numerator: i128, denominator: i128) -> Option<Ratio> {
    ratio_floor(numerator.checked_neg()?, denominator)?.checked_neg()
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

    proptest::proptest! {
        /// q/2^64 ≤ n/d < (q + 1)/2^64, multiplied out where nothing overflows.
        #[test]
        fn a_quotient_is_rounded_once_and_down(n in -(1i128 << 58)..1i128 << 58, d in 1i128..1 << 60) {
            let bits = ratio_floor(n, d).unwrap().to_bits();
            let (whole, part) = (bits >> 64, bits & ((1 << 64) - 1));
            // n − whole · d lies in 0..d; its part is compared in 2^-64.
            let rest = n - whole * d;
            proptest::prop_assert!((0..d).contains(&rest));
            proptest::prop_assert_eq!(part, (rest << 64) / d);
            let up = ratio_ceil(n, d).unwrap().to_bits();
            proptest::prop_assert_eq!(up - bits, i128::from(rest << 64 != part * d));
        }
    }

    #[test]
    fn a_quotient_that_no_ratio_holds_is_none() {
        assert_eq!(ratio_floor(1, 0), None);
        assert_eq!(ratio_floor(i128::MAX, 1), None);
        assert_eq!(ratio_ceil(i128::MIN, 1), None);
        assert_eq!(ratio_floor(-1, (1 << 95) - 1), Some(-Ratio::DELTA));
    }
}
