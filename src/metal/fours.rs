//! Four decimal texts read together, each behind a literal: the best bid and ask of a JSON message.
//!
//! Owns:  [`Four`], by the vectors that nearly every x86-64 since 2013 has, chosen while the engine runs.
//! Never: reads what is unusual (an escape, over 8 digits on a side, a text that is cut off): that is `None`, and
//!        whoever asked reads number by number, as machines without these vectors do always.
//! Why:   eight runs of digits are eight chains of multiplications; two registers hold all of them (HOTPATH §3).
#![allow(unsafe_code)]

/// Bytes of the literal before each number.
const KEY: usize = 6;

/// What stands before four numbers, and what they are counts of.
#[derive(Clone, Copy, Debug)]
pub struct Four<'a> {
    /// The literals, as [`Four::key`] makes them.
    pub keys: &'a [u64; 4],
    /// Decimals: of the first and the third, and of the second and the fourth.
    pub scales: [u8; 2],
}

impl Four<'_> {
    /// A literal as a word, its first byte lowest.
    #[must_use]
    pub const fn key(literal: &[u8; KEY]) -> u64 {
        let [a, b, c, d, e, f] = *literal;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// The numbers whose first literal begins at `at`, which is not the message's first place, as counts of 10^-scale; and
    /// where the message goes on behind the last one's quote. `None`: read them one by one.
    #[inline]
    #[must_use]
    pub fn read(&self, message: &[u8], at: usize) -> Option<([i64; 4], usize)> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
        {
            // SAFETY: this processor has them.
            return unsafe { vectors::read(self, message, at) };
        }
        None
    }
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::{Four, KEY};
    use crate::metal::marks::{Marks, WIDTH};
    use crate::units::decimal::POW10;
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_and_si128, _mm_loadl_epi64, _mm_loadu_si128, _mm_or_si128, _mm_set1_epi8,
        _mm_setzero_si128, _mm_sllv_epi64, _mm_unpacklo_epi64, _mm_xor_si128, _mm256_add_epi64,
        _mm256_broadcastsi128_si256, _mm256_castsi128_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_mul_epu32, _mm256_or_si256, _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_subs_epu8,
        _mm256_testz_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    };

    /// Digits of a word.
    const WORD: usize = 8;
    /// Bytes before a literal that are loaded with a number of one digit.
    const BEFORE: usize = 2;
    /// All that is loaded for a number.
    const WINDOW: usize = BEFORE + KEY + WIDTH;

    /// By how many digits stand before a dot: the last so many bytes of a word. Of none, the byte before the dot is
    /// looked at, which is no digit.
    const WHOLE: [u64; WORD + 1] = {
        let mut table = [u64::MAX << 56; WORD + 1];
        let mut digits = 1;
        while digits <= WORD {
            table[digits] = u64::MAX << (64 - 8 * digits);
            digits += 1;
        }
        table
    };

    /// By how far behind a number's dot its quote stands, 0 of a number without one: the first bytes of a word that are
    /// digits then. Of a dot right before the quote, the quote is looked at, which is no digit.
    const PART: [u64; WORD + 2] = {
        let mut table = [0; WORD + 2];
        table[1] = 0xff;
        let mut digits = 1;
        while digits <= WORD {
            table[digits + 1] = u64::MAX >> (64 - 8 * digits);
            digits += 1;
        }
        table
    };

    /// What becomes of a number's two words, the one before its dot first.
    struct Scale {
        /// Which bytes are digits beyond the scale.
        beyond: [u64; 2],
        /// By how many bits the others go up, so that the last of them is in the top byte.
        up: [u64; 2],
        /// What they are multiplied by.
        power: [u64; 2],
    }

    /// By how many decimals are kept.
    const SCALES: [Scale; WORD + 1] = {
        let mut table = [const { Scale { beyond: [0, u64::MAX], up: [0; 2], power: [1; 2] } }; WORD + 1];
        let mut kept = 1;
        while kept <= WORD {
            table[kept].beyond[1] = !PART[kept + 1];
            table[kept].up[1] = 64 - 8 * kept as u64;
            table[kept].power[0] = POW10[kept].unsigned_abs();
            kept += 1;
        }
        table
    };

    // Release builds check every sum and shift for overflow. What follows can't overflow, or is meant to wrap, and
    // says so.

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn read(four: &Four<'_>, message: &[u8], at: usize) -> Option<([i64; 4], usize)> {
        let [even, odd] = four.scales.map(|scale| SCALES.get(usize::from(scale)));
        let scales = [even?, odd?];
        let mut rest = message.get(at.checked_sub(BEFORE)?..)?;
        let none = _mm_setzero_si128();
        let (mut numbers, mut beyond, mut other_keys) = ([none; 4], none, 0);
        for place in 0..4 {
            let (window, from) = match rest.first_chunk() {
                Some(window) => (window, 0),
                None => (message.last_chunk()?, WINDOW.wrapping_sub(rest.len())),
            };
            let number = Number::of(window, from, scales[place & 1])?;
            numbers[place] = number.digits;
            beyond = _mm_or_si128(beyond, number.beyond);
            other_keys |= number.key ^ four.keys[place];
            rest = rest.get(number.length..)?;
        }
        let evens = _mm256_set_m128i(numbers[2], numbers[0]);
        let odds = _mm256_set_m128i(numbers[3], numbers[1]);
        let nines = _mm256_set1_epi8(9);
        let wrong = _mm256_or_si256(_mm256_subs_epu8(evens, nines), _mm256_subs_epu8(odds, nines));
        let wrong = _mm256_or_si256(wrong, _mm256_castsi128_si256(beyond));
        // Of a literal's word two bytes are the number's.
        if other_keys << 16 != 0 || _mm256_testz_si256(wrong, wrong) == 0 {
            return None;
        }
        let evens = _mm256_mul_epu32(spelt(evens), twice(&scales[0].power));
        let odds = _mm256_mul_epu32(spelt(odds), twice(&scales[1].power));
        let values = _mm256_add_epi64(_mm256_unpacklo_epi64(evens, odds), _mm256_unpackhi_epi64(evens, odds));
        let mut out = [0; 4];
        // SAFETY: as many bytes.
        unsafe { _mm256_storeu_si256((&raw mut out).cast(), values) };
        Some((out, message.len().wrapping_sub(rest.len()).wrapping_add(BEFORE)))
    }

    /// One number.
    struct Number {
        /// The digits before its dot and the kept ones behind it, each word's last one in the top byte.
        digits: __m128i,
        /// Its digits beyond the scale.
        beyond: __m128i,
        /// What stands where its literal should, and two bytes more.
        key: u64,
        /// Bytes from its literal on, its closing quote included.
        length: usize,
    }

    impl Number {
        /// The number whose literal begins so many bytes later than the window allows for.
        #[inline]
        #[target_feature(enable = "avx2,bmi1,bmi2")]
        fn of(window: &[u8; WINDOW], from: usize, scale: &Scale) -> Option<Self> {
            let Marks { quotes, dots } = Marks::of_long(window.last_chunk()?);
            // Of a literal that begins beyond these bits a part is cut off, which `load` finds below.
            let [end, dot] = [quotes, dots].map(|marks| (marks >> (from & 31)).trailing_zeros() as usize);
            let dot = dot.min(end);
            let whole = WHOLE.get(dot)?;
            let part = PART.get(end.wrapping_sub(dot))?;
            // The dot's place, or that of the quote of a number without one.
            let here = from.wrapping_add(BEFORE + KEY).wrapping_add(dot);
            let text = pair(load(window, here.wrapping_sub(WORD))?, load(window, here.wrapping_add(1))?);
            let digits = _mm_xor_si128(text, _mm_set1_epi8(b'0'.cast_signed()));
            let digits = _mm_and_si128(digits, pair(&whole.to_le_bytes(), &part.to_le_bytes()));
            Some(Self {
                digits: _mm_sllv_epi64(digits, both(&scale.up)),
                beyond: _mm_and_si128(digits, both(&scale.beyond)),
                key: u64::from_le_bytes(*load(window, from.wrapping_add(BEFORE))?),
                length: end.wrapping_add(KEY + 1),
            })
        }
    }

    #[inline]
    fn load(window: &[u8; WINDOW], at: usize) -> Option<&[u8; WORD]> {
        window.get(at..)?.first_chunk()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn pair(low: &[u8; WORD], high: &[u8; WORD]) -> __m128i {
        // SAFETY: eight bytes each.
        unsafe {
            _mm_unpacklo_epi64(_mm_loadl_epi64(low.as_ptr().cast()), _mm_loadl_epi64(high.as_ptr().cast()))
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn both(words: &[u64; 2]) -> __m128i {
        // SAFETY: as many bytes.
        unsafe { _mm_loadu_si128((&raw const *words).cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(words: &[u64; 2]) -> __m256i {
        _mm256_broadcastsi128_si256(both(words))
    }

    /// The numbers that eight digits each spell: paired, then the pairs, then the fours.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn spelt(digits: __m256i) -> __m256i {
        let pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
        let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_0064));
        _mm256_add_epi64(_mm256_mul_epu32(fours, _mm256_set1_epi64x(10_000)), _mm256_srli_epi64::<32>(fours))
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::units::decimal;
    use proptest::prelude::*;

    const KEYS: [u64; 4] =
        [Four::key(b",\"b\":\""), Four::key(b",\"B\":\""), Four::key(b",\"a\":\""), Four::key(b",\"A\":\"")];

    fn text(numbers: &[String; 4], tail: &str) -> (Vec<u8>, usize) {
        let [a, b, c, d] = numbers;
        let four = format!(r#"{{"s":"T","b":"{a}","B":"{b}","a":"{c}","A":"{d}""#);
        (format!("{four}{tail}").into_bytes(), four.len())
    }

    /// Number by number, by the slow reading.
    fn slow(numbers: &[String; 4], scales: [u8; 2]) -> Option<[i64; 4]> {
        let mut out = [0; 4];
        for (place, number) in numbers.iter().enumerate() {
            out[place] = decimal::parse(number.as_bytes(), scales[place & 1], i64::MAX).ok()?;
        }
        Some(out)
    }

    /// Whether it is one of those that are read together.
    fn is_short(number: &str) -> bool {
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        whole.len() <= 8 && part.len() <= 8
    }

    fn has_vectors() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
    }

    #[test]
    fn a_spot_quote_is_read_to_its_last_byte() {
        let numbers =
            ["72013.45000000", "0.00012000", "72013.46000000", "12345678.00000000"].map(str::to_owned);
        let (message, end) = text(&numbers, "}");
        let told = Four { keys: &KEYS, scales: [2, 5] }.read(&message, 8);
        assert_eq!(told, has_vectors().then_some(([7_201_345, 12, 7_201_346, 1_234_567_800_000], end)));
    }

    #[test]
    fn another_literal_is_no_quote() {
        let (message, _) = text(&["1", "2", "3", "4"].map(str::to_owned), r#","T":1787231293915}"#);
        let four = Four { keys: &KEYS, scales: [2, 3] };
        assert_eq!(
            four.read(&message, 8).map(|(book, _)| book),
            has_vectors().then_some([100, 2_000, 300, 4_000])
        );
        for at in (8..14).chain(16..22).chain(24..30).chain(32..38) {
            let mut other = message.clone();
            other[at] ^= 1;
            assert_eq!(four.read(&other, 8), None, "{}", String::from_utf8_lossy(&other));
        }
        // No place before the first literal, or none at all.
        for at in [0, 1, message.len(), usize::MAX] {
            assert_eq!(four.read(&message, at), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60_000))]

        #[test]
        fn four_decimals_are_what_each_is_by_itself(
            numbers in prop::array::uniform4("[0-9]{1,9}(\\.[0-9]{1,4}0{0,5})?"),
            scales in prop::array::uniform2(0u8..=9),
            tail in prop_oneof![Just("}"), Just("}}"), Just(r#","T":1787231293915,"E":1787231293915,"st":1}"#)],
        ) {
            let (message, end) = text(&numbers, tail);
            let told = Four { keys: &KEYS, scales }.read(&message, 8);
            let wanted = slow(&numbers, scales).map(|book| (book, end));
            if told.is_some() {
                prop_assert_eq!(told, wanted);
            }
            // What ends near the message's own end may be left to the slow reading, no other.
            let short = numbers.iter().all(|number| is_short(number)) && scales.iter().all(|scale| *scale <= 8);
            if short && tail.len() > 10 && has_vectors() {
                prop_assert_eq!(told, wanted);
            }
        }

        #[test]
        fn any_bytes_are_read_as_decimals_or_not_at_all(
            numbers in prop::array::uniform4(prop::collection::vec(
                prop_oneof![8 => b'0'..=b'9', 2 => Just(b'.'), 1 => any::<u8>()], 0..12)),
            scales in prop::array::uniform2(0u8..=8),
            cut in 0usize..60,
        ) {
            let numbers = numbers.map(|bytes| bytes.iter().map(|&byte| char::from(byte & 0x7f)).collect::<String>());
            prop_assume!(numbers.iter().all(|number| !number.contains('"')));
            let (mut message, end) = text(&numbers, r#","T":1787231293915}"#);
            let four = Four { keys: &KEYS, scales };
            if let Some(told) = four.read(&message, 8) {
                prop_assert_eq!(Some(told), slow(&numbers, scales).map(|book| (book, end)));
            }
            message.truncate(message.len().saturating_sub(cut));
            if let Some(told) = four.read(&message, 8) {
                prop_assert!(end <= message.len());
                prop_assert_eq!(Some(told), slow(&numbers, scales).map(|book| (book, end)));
            }
        }
    }
}
