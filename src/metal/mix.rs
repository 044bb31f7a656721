//! Words mixed into one: what tells a torn record from a whole one, and a folder from another.
//!
//! Owns:  both mixes.
//! Never: keeps an enemy out.

/// A 64-bit mix of words, in order.
pub(super) struct Checksum(pub(super) u64);

impl Checksum {
    pub(super) fn new() -> Self {
        // Not zero: a slot of zeroes must not check.
        Self(0x9e37_79b9_7f4a_7c15)
    }

    #[inline]
    pub(super) fn add(&mut self, word: u64) {
        // Multiply to 128 bits and fold: every input bit reaches every output bit.
        let wide = u128::from(self.0 ^ word) * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(0xa076_1d64_78bd_642f);
    }
}

/// A 64-bit mix of the words of a record, each with its place, so that none of them waits for another. It tells a torn
/// record from a whole one; it is no defence against an enemy.
#[derive(Default)]
pub(super) struct RecordSum(pub(super) u64);

impl RecordSum {
    #[inline]
    pub(super) fn add(&mut self, at: usize, word: u64) {
        // Odd, and another at each place: a slot of zeroes does not check.
        let mut mixed = Checksum(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * at as u64 + 1));
        mixed.add(word);
        self.0 = self.0.wrapping_add(mixed.0);
    }
}
