//! The basis of a pair: folding a threshold cold, so that the hot test is one multiplication.
//!
//! Owns:  the scales that make two instruments' prices comparable, the fold of DESIGN §2, and the
//!        executable basis as a ratio (for people and slow means, never on the hot path).
//! Never: rounds in our favour: a fold is off by at most 2^-62, against us.

use crate::event::{Fold, Instrument, Pair};
use crate::units::decimal::pow10_i128;
use crate::units::{Price, Ratio};

/// Which way a threshold is tested, and so which way it must be rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `perp ≥ ratio · spot`: rounded up.
    AtLeast,
    /// `perp ≤ ratio · spot`: rounded down.
    AtMost,
}

/// What makes a perp price and a spot price of one pair comparable: `perp · perp_scale` and
/// `spot · spot_scale` are in one unit, the pair's factor m included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scales {
    /// Times a perp price.
    pub perp: i64,
    /// Times a spot price; holds m.
    pub spot: i64,
}

impl Scales {
    /// For a pair's two instruments; `None` if the scales do not fit (the pair is left out).
    #[must_use]
    pub fn new(pair: &Pair, spot: &Instrument, perp: &Instrument) -> Option<Self> {
        let common = spot.price_decimals.max(perp.price_decimals);
        let lift = |decimals: u8| i64::try_from(pow10_i128(common - decimals)).ok();
        let scales = Self {
            perp: lift(perp.price_decimals)?,
            spot: lift(spot.price_decimals)?.checked_mul(pair.price_factor)?,
        };
        // Prices stay below 2^60, so products with these scales stay inside i128 with room to spare.
        (scales.perp < 1 << 50 && scales.spot < 1 << 50 && scales.spot > 0).then_some(scales)
    }

    /// The spot price that a perp price is worth, rounded down.
    #[must_use]
    pub fn spot_at(self, perp: Price) -> Price {
        let spot = i128::from(perp.0) * i128::from(self.perp) / i128::from(self.spot);
        Price(i64::try_from(spot).unwrap_or(i64::MAX))
    }

    /// The executable basis perp/(m·spot) − 1, rounded down; `None` without a positive spot price.
    #[must_use]
    pub fn basis(self, perp: Price, spot: Price) -> Option<Ratio> {
        let spot = i128::from(spot.0) * i128::from(self.spot);
        if spot <= 0 {
            return None;
        }
        let gap = i128::from(perp.0) * i128::from(self.perp) - spot;
        // 40 bits of fraction are plenty for a ratio people read, and the product stays inside i128.
        Some(Ratio::from_bits(gap.checked_mul(1 << 40)?.div_euclid(spot).checked_shl(24)?))
    }

    /// Whether perp/(m·spot) lies within `within_ppm` parts per million of 1.
    #[inline]
    #[must_use]
    pub fn agree(self, perp: Price, spot: Price, within_ppm: i64) -> bool {
        // Of what every market has, both fit a word; products of two words then need no check, which costs more than all
        // the rest.
        match (perp.0.checked_mul(self.perp), spot.0.checked_mul(self.spot)) {
            (Some(perp), Some(spot)) if spot >= 0 && within_ppm >= 0 => {
                let product = |a: u64, b: u64| u128::from(a).wrapping_mul(u128::from(b));
                let most = product(spot.unsigned_abs(), within_ppm.unsigned_abs());
                product(perp.abs_diff(spot), 1_000_000) <= most
            }
            _ => self.agree_wide(perp, spot, within_ppm),
        }
    }

    /// A product that does not fit belongs to a price no market has: it agrees with nothing.
    #[cold]
    fn agree_wide(self, perp: Price, spot: Price, within_ppm: i64) -> bool {
        let perp = i128::from(perp.0) * i128::from(self.perp);
        let spot = i128::from(spot.0) * i128::from(self.spot);
        let products = (perp - spot).abs().checked_mul(1_000_000).zip(spot.checked_mul(within_ppm.into()));
        products.is_some_and(|(gap, most)| gap <= most)
    }

    /// Folds the test "perp/(m·spot) against 1 + `offset`" for the two raw integer prices.
    ///
    /// `None` if the ratio is not positive or its shift does not fit 0–66: such a pair is left out.
    #[must_use]
    pub fn fold(self, offset: Ratio, bound: Bound) -> Option<Fold> {
        // ratio = (1 + offset) · spot_scale / perp_scale, as an exact fraction n/d with
        // n = (2^64 + offset bits) · spot_scale and d = perp_scale · 2^64.
        let one_plus = Ratio::ONE.checked_add(offset)?.to_bits();
        if one_plus <= 0 {
            return None;
        }
        let numerator = Wide::product(one_plus.unsigned_abs(), self.spot.unsigned_abs());
        let denominator = self.perp.unsigned_abs();
        // Find the shift that puts the top bit of mantissa = ratio · 2^shift at bit 62.
        (0..=66u32).rev().find_map(|shift| {
            let mantissa = numerator.shifted_quotient(shift, denominator, bound == Bound::AtLeast)?;
            (1 << 62..1 << 63).contains(&mantissa).then_some(Fold { mantissa, shift })
        })
    }
}

/// A 192-bit product, enough to fold exactly.
#[derive(Clone, Copy)]
struct Wide {
    high: u128,
    low: u64,
}

impl Wide {
    fn product(a: u128, b: u64) -> Self {
        let low = (a & u128::from(u64::MAX)) * u128::from(b);
        Self { high: (a >> 64) * u128::from(b) + (low >> 64), low: low as u64 }
    }

    /// `self · 2^shift / (denominator · 2^64)`, rounded up or down; `None` if it passes 64 bits.
    fn shifted_quotient(self, shift: u32, denominator: u64, up: bool) -> Option<u64> {
        // The ratio's binary point is 64 bits up: shifts past it move `low` in.
        let (value, rest) = if shift <= 64 {
            let high = self.high.checked_shl(shift).filter(|v| v >> shift == self.high)?;
            let moved = if shift == 0 { 0 } else { u128::from(self.low) >> (64 - shift) };
            let rest = if shift == 64 { 0 } else { self.low << shift };
            (high.checked_add(moved)?, rest)
        } else {
            let whole = self.high.checked_shl(64).filter(|v| v >> 64 == self.high)? | u128::from(self.low);
            (whole.checked_shl(shift - 64).filter(|v| v >> (shift - 64) == whole)?, 0)
        };
        let quotient = value / u128::from(denominator);
        let inexact = rest != 0 || !value.is_multiple_of(u128::from(denominator));
        u64::try_from(quotient + u128::from(up && inexact)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LegKind;
    use proptest::prelude::*;

    fn scales() -> impl Strategy<Value = Scales> {
        (0u32..8, 0u32..8, prop::sample::select(vec![1i64, 1_000, 1_000_000])).prop_map(|(a, b, m)| {
            let common = a.max(b);
            Scales { perp: 10i64.pow(common - a), spot: 10i64.pow(common - b) * m }
        })
    }

    #[test]
    fn a_perp_price_is_worth_so_much_of_spot() {
        // 1000PEPE at 0.0123456, spot with eight decimals, and no such name.
        let pepe = Scales { perp: 10, spot: 1_000 };
        assert_eq!(pepe.spot_at(Price(123_456)), Price(1_234), "0.00001234, rounded down");
        assert_eq!(Scales { perp: 1, spot: 1 }.spot_at(Price(35_021)), Price(35_021));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, max_global_rejects: 200_000, ..ProptestConfig::default() })]
        /// The folded test never passes where the exact one fails, and fails only within 2^-60 of it (and two units of the last place).
        #[test]
        fn a_fold_errs_only_against_us(s in scales(), spot in 1i64..1 << 34, bps in -500i64..500, near in -3i64..3) {
            let offset = Ratio::from_num(bps) / 10_000;
            let one_plus = (Ratio::ONE + offset).to_bits();
            // A perp price right at the threshold, give or take a few units.
            let exact = (i128::from(spot) * i128::from(s.spot)).checked_mul(one_plus >> 20).map(|v| (v / i128::from(s.perp)) >> 44);
            let perp = exact.and_then(|p| i64::try_from(p + i128::from(near)).ok()).filter(|p| *p > 0 && *p < 1 << 60);
            prop_assume!(perp.is_some());
            let (perp, spot) = (Price(perp.unwrap()), Price(spot));
            let Some(fold) = s.fold(offset, Bound::AtLeast) else {
                prop_assert!(s.perp > 8 * s.spot, "left out without need");
                return Ok(());
            };
            // Exact comparison on three limbs: perp · perp_scale · 2^64 against one_plus · spot · spot_scale.
            let left = Wide::product(perp.0 as u128 * s.perp as u128, 1);
            let right_a = Wide::product(one_plus as u128, s.spot as u64);
            let right = (right_a.high * spot.0 as u128 + ((u128::from(right_a.low) * spot.0 as u128) >> 64),
                         (u128::from(right_a.low) * spot.0 as u128) as u64);
            let left = ((left.high << 64) | u128::from(left.low), 0u64);
            if fold.at_least(perp, spot) {
                prop_assert!(left >= right, "passes where the exact test fails");
            } else {
                // 2^-60 of the value, and two units for the fractions both sides dropped.
                let slack = (left.0 >> 60) + 2;
                prop_assert!(left.0 < right.0 + slack, "fails far above the threshold");
            }
            // Where one leg passes, as far as whole units tell.
            if let Some(Price(at)) = fold.passed_at(LegKind::Perp, spot) {
                prop_assert!(fold.at_least(Price(at + 1), spot) && !fold.at_least(Price(at - 1), spot));
            }
            if let Some(Price(at)) = fold.passed_at(LegKind::Spot, perp) {
                prop_assert!(fold.at_least(perp, Price(at)) && !fold.at_least(perp, Price(at + 1)));
            }
            let down = s.fold(offset, Bound::AtMost).unwrap();
            if down.at_most(perp, spot) {
                prop_assert!(left <= right, "passes where the exact test fails");
            }
        }
    }

    #[test]
    fn a_round_threshold_is_met_exactly() {
        // Tick 0.1 on the perp, 0.01 on spot: 1 + 25 bp.
        let s = Scales { perp: 10, spot: 1 };
        let fold = s.fold(Ratio::from_num(25) / 10_000, Bound::AtLeast).unwrap();
        assert!(fold.mantissa >> 62 == 1, "top bit of 63 is set");
        // spot 40 000.00, threshold 40 100.0
        assert!(fold.at_least(Price(401_001), Price(4_000_000)));
        assert!(!fold.at_least(Price(400_999), Price(4_000_000)));
        // Ticks that are alike, and a perp's that is the finer one.
        for s in [Scales { perp: 1, spot: 1 }, Scales { perp: 1, spot: 1_000 }, Scales { perp: 3, spot: 7 }] {
            let fold = s.fold(Ratio::from_num(25) / 10_000, Bound::AtLeast).unwrap();
            let (perp, spot) = (401_000 * s.spot, Price(400_000 * s.perp));
            assert!(fold.at_least(Price(perp + 1), spot) && !fold.at_least(Price(perp - 1), spot), "{s:?}");
        }
        // Its top bit is set in every fold: a ratio for which 66 bits of shift are too few is left out.
        let folds = |perp| {
            Scales { perp, spot: 1 }.fold(Ratio::ZERO, Bound::AtLeast).map(|fold| (fold.mantissa, fold.shift))
        };
        assert_eq!((folds(16), folds(17)), (Some((1 << 62, 66)), None));
        assert!(!Fold::NEVER.at_least(Price(i64::MAX / 8), Price(1)));
        assert!(!Fold::NEVER.at_most(Price(1), Price(i64::MAX / 8)));
    }

    #[test]
    fn a_gap_is_the_distance_from_the_threshold() {
        let s = Scales { perp: 10, spot: 1 };
        let fold = s.fold(Ratio::from_num(25) / 10_000, Bound::AtLeast).unwrap();
        let gap = |perp: i64| fold.gap(Price(perp), Price(4_000_000));
        let part = |gap: u64| (gap * 1_000_000 + (1 << 29)) >> 30;
        assert_eq!(part(gap(401_000)), 0);
        // 10 bp above and below, in parts per million.
        assert_eq!((part(gap(401_401)), part(gap(400_599))), (1_000, 1_000));
        assert!(gap(401_100) > gap(401_050) && gap(400_900) > gap(400_950));
        assert_eq!(Fold::NEVER.gap(Price(1), Price(1)), u64::MAX);
    }

    #[test]
    fn the_basis_is_what_a_person_would_compute() {
        let s = Scales { perp: 10, spot: 1 };
        let basis = s.basis(Price(400_400), Price(4_000_000)).unwrap();
        assert!((basis - Ratio::from_num(10) / 10_000).abs() < Ratio::from_num(1) / 1_000_000_000);
        assert!(s.agree(Price(400_400), Price(4_000_000), 1_000));
        assert!(!s.agree(Price(400_400), Price(4_000_000), 999));
        assert!(!s.agree(Price(400_400), Price(4_000_000), -1_000), "nothing lies so near");
        assert!(
            !s.agree(Price(-400_400), Price(-4_000_000), 1_000),
            "below nothing, no price agrees with any"
        );
        let huge = Scales { perp: 1 << 49, spot: 1 << 49 };
        assert!(!huge.agree(Price(1), Price::MAX, 1_000), "an absurd price is refused, not a panic");
        // Too large for the short way, and still told: one part in 1,024 apart.
        let (one, apart) = (Price(1 << 48), Price((1 << 48) + (1 << 38)));
        assert!(huge.agree(one, one, 0) && huge.agree(apart, one, 977) && !huge.agree(apart, one, 976));
    }
}
