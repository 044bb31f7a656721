//! Seeded randomness: SplitMix64, the same on every machine.
//!
//! Owns:  one stream of numbers per seed.
//! Never: is used for anything secret.

/// A stream of random numbers that only its seed decides.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included. The bias of the reduction is below 2⁻⁶⁴ × span: no matter here.
    pub(super) fn range(&mut self, low: i64, high: i64) -> i64 {
        let span = (i128::from(high) - i128::from(low) + 1).max(1) as u128;
        let drawn = (u128::from(self.next()) * span) >> 64;
        (i128::from(low) + drawn as i128) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_both_ends_and_nothing_beyond() {
        let mut chance = Chance::new(7);
        let drawn: Vec<i64> = (0..1000).map(|_| chance.range(-2, 2)).collect();
        assert!(drawn.iter().all(|n| (-2..=2).contains(n)));
        assert!((-2..=2).all(|n| drawn.contains(&n)));
    }
}
