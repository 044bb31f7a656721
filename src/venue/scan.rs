//! A literal-checked scanner: the bytes between values are compared, the values are read, nothing is guessed.
//!
//! Owns:  `lit`, `text`, `int` and `decimal` over one message, each `None` at the first byte that differs.
//! Never: allocates, panics, reads outside the message, or says why: whoever gets `None` asks the
//!        general parser, which names the field. So a changed layout can cost time, never give a wrong quote.
//! Quirk: venues use no escapes in these messages; a text with one is `None` here.

use crate::metal::fours::Four;
use crate::metal::marks::{Marks, WIDTH};
use crate::units::decimal::{self, POW10};

/// A cursor over one message.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { whole: message, rest: message }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes exactly these bytes.
    #[inline]
    pub fn lit<const N: usize>(&mut self, expected: &[u8; N]) -> Option<()> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        if head != expected {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Takes these bytes if they come next, and says whether they did.
    #[inline]
    pub fn maybe<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        self.lit(expected).is_some()
    }

    /// Takes ASCII text up to the closing quote, and the quote.
    #[inline]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let whole = self.rest;
        let mut at = 0;
        loop {
            let word = load(whole.get(at..)?);
            let quotes = zero_bytes(word ^ spread(b'"'));
            let inside = LOW_BYTES[first(quotes)];
            // An escape, a control byte (the padding after the end is one), or a letter beyond ASCII.
            let odd = zero_bytes(word ^ spread(b'\\')) | word.wrapping_sub(spread(b' ')) & !word | word;
            if odd & inside & spread(0x80) != 0 {
                return None;
            }
            if quotes != 0 {
                at += first(quotes);
                self.rest = whole.get(at + 1..)?;
                return whole.get(..at);
            }
            at += 8;
        }
    }

    /// Takes an unsigned JSON integer up to the first byte that is no digit. No leading zero.
    #[inline]
    pub fn int(&mut self) -> Option<u64> {
        let (value, count) = run(self.rest);
        if count == 0 || (count > 1 && self.rest.first() == Some(&b'0')) {
            return None;
        }
        if count == DIGITS_MAX {
            return self.long_int();
        }
        self.rest = self.rest.get(count..)?;
        Some(value)
    }

    /// Takes decimal text up to the closing quote, and the quote, as a count of 10^-`scale`, at most
    /// `max`. Agrees with [`decimal::parse`] on every input, except that it does not say why not.
    ///
    /// Where the text ends is one look from where it begins, whatever stands in it: what comes after it need not wait
    /// until it is read.
    #[inline]
    pub fn decimal(&mut self, scale: u8, max: i64) -> Option<i64> {
        let marks = self.marks().unwrap_or_default();
        let end = first_of(marks.quotes);
        if end == WIDTH {
            return self.long_decimal(scale, max);
        }
        let closing = 1u32.wrapping_shl(end as u32);
        let inside = closing.wrapping_sub(1);
        let dots = marks.dots & inside;
        let whole_digits = first_of(dots | closing);
        // One dot at most, behind a digit and in front of one.
        if dots & dots.wrapping_sub(1) != 0 || whole_digits == 0 || dots.wrapping_shl(1) == closing {
            return None;
        }
        let part_at = whole_digits.wrapping_add(1);
        let part_digits = end.saturating_sub(part_at);
        if whole_digits > DIGITS_MAX || part_digits > 8 {
            return self.long_decimal(scale, max);
        }
        let kept = part_digits.min(usize::from(scale));
        let part = load(self.rest.get(part_at..)?) ^ spread(b'0');
        // Digits beyond the scale may be dropped only if each is a zero: anything else would round.
        if !are_digits(part, part_digits) || part & LOW_BYTES[part_digits] & !LOW_BYTES[kept] != 0 {
            return None;
        }
        let whole = number(self.rest, whole_digits)?;
        let scaled = whole.checked_mul(POW10[kept] as u64)?.checked_add(eight(part, kept))?;
        let factor = *POW10.get(usize::from(scale).wrapping_sub(kept))?;
        let value = i64::try_from(scaled).ok()?.checked_mul(factor)?;
        if value > max {
            return None;
        }
        self.rest = self.rest.get(end.wrapping_add(1)..)?;
        Some(value)
    }

    /// Takes four decimals, each with its literal and its closing quote, in one; `None` says only that they are to be
    /// taken one by one.
    #[inline]
    pub fn four(&mut self, four: &Four<'_>) -> Option<[i64; 4]> {
        let (values, end) = four.read(self.whole, self.whole.len().wrapping_sub(self.rest.len()))?;
        self.rest = self.whole.get(end..)?;
        Some(values)
    }

    /// What stands in the next [`WIDTH`] bytes, nothing after the end of the message; `None` of a message that is
    /// shorter than that as a whole.
    #[inline]
    fn marks(&self) -> Option<Marks> {
        match self.rest.first_chunk() {
            Some(next) => Some(Marks::of(next)),
            None => Some(Marks::of(self.whole.last_chunk()?).from(WIDTH.wrapping_sub(self.rest.len()))),
        }
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn done(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    fn long_int(&mut self) -> Option<u64> {
        let count = self.rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(count);
        let value =
            digits.iter().try_fold(0u64, |v, &b| v.checked_mul(10)?.checked_add(u64::from(b - b'0')))?;
        self.rest = rest;
        Some(value)
    }

    #[cold]
    fn long_decimal(&mut self, scale: u8, max: i64) -> Option<i64> {
        let text = self.text()?;
        decimal::parse(text, scale, max).ok()
    }
}

/// Digits that surely fit a `u64`, and are two words.
const DIGITS_MAX: usize = 16;

// Release builds check every sum and shift for overflow. What follows can't overflow, or is meant to
// wrap, and says so: the checks would double its instructions.

/// The digits that come next: their value, and how many, at most [`DIGITS_MAX`].
#[inline]
fn run(rest: &[u8]) -> (u64, usize) {
    let digits = load(rest) ^ spread(b'0');
    let count = first(not_digits(digits));
    if count < 8 {
        return (eight(digits, count), count);
    }
    let more = load(rest.get(8..).unwrap_or_default()) ^ spread(b'0');
    let extra = first(not_digits(more));
    (sixteen(digits, more, extra), extra.wrapping_add(8))
}

/// The number that the next `count` bytes spell, at most [`DIGITS_MAX`], if all of them are digits.
#[inline]
fn number(rest: &[u8], count: usize) -> Option<u64> {
    let digits = load(rest) ^ spread(b'0');
    if count <= 8 {
        return are_digits(digits, count).then(|| eight(digits, count));
    }
    let extra = count.wrapping_sub(8);
    let more = load(rest.get(8..).unwrap_or_default()) ^ spread(b'0');
    (are_digits(digits, 8) && are_digits(more, extra)).then(|| sixteen(digits, more, extra))
}

/// The number that eight digits and `extra` more spell.
#[inline]
fn sixteen(digits: u64, more: u64, extra: usize) -> u64 {
    eight(digits, 8).wrapping_mul(POW10[extra] as u64).wrapping_add(eight(more, extra))
}

/// Whether the lowest `count` bytes are digits.
#[inline]
const fn are_digits(digits: u64, count: usize) -> bool {
    not_digits(digits) & LOW_BYTES[count] == 0
}

/// The lowest bit that is set; [`WIDTH`] if none is.
#[inline]
const fn first_of(marks: u32) -> usize {
    marks.trailing_zeros() as usize
}

/// The next eight bytes, first byte lowest, zeros after the end of the message.
#[inline]
fn load(rest: &[u8]) -> u64 {
    rest.first_chunk::<8>().map_or_else(|| load_end(rest), |chunk| u64::from_le_bytes(*chunk))
}

/// As [`load`], with fewer than eight bytes left.
fn load_end(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, &byte| word.wrapping_shl(8) | u64::from(byte))
}

/// `byte` in every place.
#[inline]
const fn spread(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The lowest `count` bytes set, for `count` 0 to 8.
const LOW_BYTES: [u64; 9] =
    [0, 0xff, 0xffff, 0xff_ffff, u32::MAX as u64, (1 << 40) - 1, (1 << 48) - 1, (1 << 56) - 1, u64::MAX];

/// The top bit of bytes that are zero. Exact up to and including the lowest one; a borrow may mark
/// more above it, so a caller looks at the lowest alone, or whether there is any.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(spread(1)) & !word & spread(0x80)
}

/// The top bit of bytes above 9. Exact up to and including the lowest one, as [`zero_bytes`].
#[inline]
const fn not_digits(word: u64) -> u64 {
    (word.wrapping_add(spread(0x76)) | word) & spread(0x80)
}

/// Which byte has the lowest mark; 8 if none has.
#[inline]
const fn first(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The number that the lowest `count` bytes spell, the first digit lowest; 0 for none. What lies
/// above is shifted away. Digits are paired, then the pairs, then the fours.
#[inline]
const fn eight(digits: u64, count: usize) -> u64 {
    // Zeros go in below, so that the last digit always sits in the top byte. A shift by all 64 bits
    // would be none: no digits are masked to nothing instead.
    let mut word = (digits & LOW_BYTES[count]).wrapping_shl(64u32.wrapping_sub(count as u32 * 8));
    word = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00ff_00ff_00ff_00ff;
    word = word.wrapping_mul(100).wrapping_add(word >> 16) & 0x0000_ffff_0000_ffff;
    word.wrapping_mul(10_000).wrapping_add(word >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `text` as it stands in a message that ends right after it, and in one that goes on.
    #[track_caller]
    fn agrees(text: &[u8], scale: u8, max: i64) {
        let slow = if text.contains(&b'"') { return } else { decimal::parse(text, scale, max).ok() };
        for tail in [&b"\""[..], b"\"}", b"\",\"B\":\"31.21000000\",\"a\":\"25.36520000\""] {
            let message = [text, tail].concat();
            let mut scan = Scan::new(&message);
            let fast = scan.decimal(scale, max);
            assert_eq!(fast, slow, "{:?} at scale {scale}", String::from_utf8_lossy(text));
            if fast.is_some() {
                assert_eq!(scan.rest(), &tail[1..]);
            }
        }
        let mut unclosed = Scan::new(text);
        assert_eq!(unclosed.decimal(scale, max), None, "no closing quote");
    }

    #[test]
    fn every_short_decimal_agrees_with_the_slow_reading() {
        let alphabet = b"019.-x\\";
        for length in 0..=6u32 {
            for mut n in 0..alphabet.len().pow(length) {
                let text: Vec<u8> = (0..length)
                    .map(|_| {
                        let byte = alphabet[n % alphabet.len()];
                        n /= alphabet.len();
                        byte
                    })
                    .collect();
                for scale in [0, 1, 2, 8] {
                    agrees(&text, scale, i64::MAX / 8);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60_000))]

        #[test]
        fn plain_decimals_agree_with_the_slow_reading(
            text in "[0-9]{0,12}\\.?[0-9]{0,10}0{0,6}", scale in 0u8..=18, max in 0..i64::MAX,
        ) {
            agrees(text.as_bytes(), scale, max);
            agrees(text.as_bytes(), scale, i64::MAX);
        }

        #[test]
        fn any_bytes_agree_with_the_slow_reading(
            text in prop::collection::vec(prop_oneof![4 => b'0'..=b'9', 1 => Just(b'.'), 1 => any::<u8>()], 0..24),
            scale in 0u8..=18,
        ) {
            agrees(&text, scale, i64::MAX / 8);
        }

        #[test]
        fn integers_agree_with_the_standard_library(text in "[0-9]{0,21}", tail in "[,}. ex\"]?.{0,20}") {
            let message = format!("{text}{tail}");
            let digits = message.bytes().take_while(u8::is_ascii_digit).count();
            let text = &message[..digits];
            let slow = if text.len() > 1 && text.starts_with('0') { None } else { text.parse::<u64>().ok() };
            let mut scan = Scan::new(message.as_bytes());
            prop_assert_eq!(scan.int(), slow);
            if slow.is_some() {
                prop_assert_eq!(scan.rest(), &message.as_bytes()[digits..]);
            }
        }
    }

    #[test]
    fn a_literal_is_taken_whole_or_not_at_all() {
        let mut scan = Scan::new(b"{\"u\":1");
        assert!(!scan.maybe(b"{\"x\":"));
        assert!(scan.maybe(b"{\"u\":"));
        assert_eq!(scan.int(), Some(1));
        assert!(scan.done());
        assert_eq!(scan.lit(b"}"), None);
    }

    #[test]
    fn a_text_with_an_escape_or_a_control_byte_is_not_taken() {
        for text in [&b"a\\u0041\""[..], b"a\n\"", "ä\"".as_bytes(), b"abc"] {
            let mut scan = Scan::new(text);
            assert_eq!(scan.text(), None);
            assert_eq!(scan.rest(), text, "a failed read moves nothing");
        }
    }
}
