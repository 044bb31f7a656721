//! Thirty-two bytes looked at together: where dots and quotes stand.
//!
//! Owns:  [`Marks`], by the vectors that every x86-64 has, by longer ones, and byte by byte elsewhere.
//! Never: says what they mean.
//! Why:   a number's end, looked for word by word, is known a dozen cycles a word later, and what follows it waits for
//!        that; of 32 bytes together, once (HOTPATH §3).
#![allow(unsafe_code)]

/// Bytes looked at together.
pub const WIDTH: usize = 32;

/// One bit a byte, the first byte's lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `.`
    pub dots: u32,
    /// `"`
    pub quotes: u32,
}

impl Marks {
    /// Those of these bytes.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8; WIDTH]) -> Self {
        // SAFETY: every x86-64 has these vectors.
        unsafe { of_vectors(bytes) }
    }

    /// Those of these bytes, by vectors that are as long: for callers that know that they are there.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[must_use]
    #[target_feature(enable = "avx2")]
    pub(super) fn of_long(bytes: &[u8; WIDTH]) -> Self {
        use std::arch::x86_64::{
            _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
        };
        // SAFETY: as many bytes.
        let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        let dots = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'.'.cast_signed()));
        let quotes = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"'.cast_signed()));
        Self {
            dots: _mm256_movemask_epi8(dots).cast_unsigned(),
            quotes: _mm256_movemask_epi8(quotes).cast_unsigned(),
        }
    }

    /// As of other machines, byte by byte: the twin that tests hold against the vectors.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    #[must_use]
    pub fn of_each(bytes: &[u8; WIDTH]) -> Self {
        let mut marks = Self::default();
        for (at, byte) in bytes.iter().enumerate() {
            marks.dots |= u32::from(*byte == b'.') << at;
            marks.quotes |= u32::from(*byte == b'"') << at;
        }
        marks
    }

    /// Those of these bytes.
    #[cfg(not(target_arch = "x86_64"))]
    #[must_use]
    pub fn of(bytes: &[u8; WIDTH]) -> Self {
        Self::of_each(bytes)
    }

    /// Those from byte `at` on, which is the first one then; none behind them.
    #[inline]
    #[must_use]
    pub fn from(self, at: usize) -> Self {
        let [dots, quotes] = [self.dots, self.quotes].map(|marks| marks.checked_shr(at as u32).unwrap_or(0));
        Self { dots, quotes }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn of_vectors(bytes: &[u8; WIDTH]) -> Marks {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let words = bytes.as_chunks().0;
    let word = |at: usize| i64::from_le_bytes(words[at]);
    let halves = [_mm_set_epi64x(word(1), word(0)), _mm_set_epi64x(word(3), word(2))];
    let where_is = |byte: u8| {
        let wanted = _mm_set1_epi8(byte.cast_signed());
        let [low, high] = halves.map(|half| _mm_movemask_epi8(_mm_cmpeq_epi8(half, wanted)).cast_unsigned());
        low | high << 16
    };
    Marks { dots: where_is(b'.'), quotes: where_is(b'"') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn vectors_see_what_each_byte_says(
            text in prop::array::uniform32(prop_oneof![3 => b'+'..=b':', 1 => Just(b'"'), 1 => any::<u8>()]),
            at in 0..=WIDTH,
        ) {
            let marks = Marks::of(&text);
            prop_assert_eq!(marks, Marks::of_each(&text));
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: this processor has them.
                prop_assert_eq!(marks, unsafe { Marks::of_long(&text) });
            }
            let mut moved = [0; WIDTH];
            moved[..WIDTH - at].copy_from_slice(&text[at..]);
            prop_assert_eq!(marks.from(at), Marks::of_each(&moved));
        }
    }
}
