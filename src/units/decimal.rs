//! Decimal text, exactly: what venues put on the wire, as integers of a stated scale, and back.
//!
//! Owns:  parsing without rounding, formatting without loss, powers of ten.
//! Never: accepts an exponent, a sign where none belongs, a bare dot, or a digit it would drop.
//! Quirk: `"0.10000000"` fits scale 1, because zeros beyond the scale carry nothing.

use std::fmt;

/// Why a text is no decimal of the asked scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDecimal {
    /// A byte that is neither digit nor the one dot, a missing digit, or nothing at all.
    #[error("not a plain decimal number")]
    Form,
    /// A non-zero digit beyond the scale: taking it would round.
    #[error("more decimals than the instrument has; reload instruments")]
    Precision,
    /// The value does not fit the type or passes its stated maximum.
    #[error("number out of range")]
    Range,
}

/// Powers of ten that fit an `i64`.
pub const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Ten to the `n`, for `n` ≤ 38; larger `n` is a bug in the caller.
#[must_use]
pub const fn pow10_i128(n: u8) -> i128 {
    let mut value = 1i128;
    let mut i = 0;
    while i < n {
        value *= 10;
        i += 1;
    }
    value
}

/// What tells multiples of a power of ten, and their quotient, by one multiplication: the inverse of its odd half
/// modulo 2^64, and the largest quotient there is (Granlund and Montgomery, 1994, §9).
#[derive(Clone, Copy)]
struct Tens {
    inverse: u64,
    most: u64,
}

const TENS: [Tens; 19] = {
    let mut table = [Tens { inverse: 1, most: u64::MAX }; 19];
    let (mut fives, mut i) = (1u64, 1);
    while i < 19 {
        fives *= 5;
        // Newton's steps double the bits that are right; an odd number is its own inverse in the lowest three.
        let mut inverse = fives;
        let mut step = 0;
        while step < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(fives.wrapping_mul(inverse)));
            step += 1;
        }
        table[i] = Tens { inverse, most: u64::MAX / POW10[i].unsigned_abs() };
        i += 1;
    }
    table
};

/// Counts of 10^`exponent` as counts of 10^-`scale` that is no finer, at most `max` and never negative: worked out once
/// for all numbers of a message that share an exponent.
#[derive(Clone, Copy, Debug)]
pub struct Rescale {
    inverse: u64,
    turn: u32,
    most: u64,
}

impl Rescale {
    /// Between these two; `None` where they are further apart than a word has digits, or the first is coarser, which no
    /// venue's are: [`rescaled`] reads them.
    #[inline]
    #[must_use]
    pub fn new(exponent: i8, scale: u8, max: i64) -> Option<Self> {
        let turn = (-i32::from(exponent) - i32::from(scale)).cast_unsigned();
        let tens = TENS.get(turn as usize)?;
        Some(Self { inverse: tens.inverse, turn, most: tens.most.min(max.max(0).cast_unsigned()) })
    }

    /// One of them; `None`: [`rescaled`] says why.
    #[inline]
    #[must_use]
    pub fn of(&self, count: i64) -> Option<i64> {
        let scaled = count.cast_unsigned().wrapping_mul(self.inverse).rotate_right(self.turn);
        (count >= 0 && scaled <= self.most).then_some(scaled.cast_signed())
    }
}

/// One count of 10^`exponent` as one of 10^-`scale`, at most `max` and never negative, however far they are apart.
///
/// # Errors
///
/// [`BadDecimal::Range`], or [`BadDecimal::Precision`] where it would have to be rounded.
pub fn rescaled(count: i64, exponent: i8, scale: u8, max: i64) -> Result<i64, BadDecimal> {
    let tens = i32::from(exponent) + i32::from(scale);
    let power = POW10.get(tens.unsigned_abs() as usize).copied();
    let value = match power {
        _ if count <= 0 => (count == 0).then_some(0),
        Some(power) if tens >= 0 => count.checked_mul(power),
        Some(power) if count % power == 0 => Some(count / power),
        _ if tens < 0 => return Err(BadDecimal::Precision),
        _ => None,
    };
    value.filter(|value| *value <= max).ok_or(BadDecimal::Range)
}

/// Reads unsigned decimal text as a count of 10^-`scale`, at most `max`.
///
/// # Errors
///
/// [`BadDecimal`]; nothing is ever rounded.
pub fn parse(ascii: &[u8], scale: u8, max: i64) -> Result<i64, BadDecimal> {
    let value = parse_i128(ascii, scale)?;
    if value > i128::from(max) {
        return Err(BadDecimal::Range);
    }
    i64::try_from(value).map_err(|_| BadDecimal::Range)
}

/// As [`parse`], with one leading `-` allowed.
///
/// # Errors
///
/// [`BadDecimal`]; nothing is ever rounded.
pub fn parse_signed(ascii: &[u8], scale: u8) -> Result<i128, BadDecimal> {
    match ascii.split_first() {
        Some((b'-', rest)) => Ok(-parse_i128(rest, scale)?),
        _ => parse_i128(ascii, scale),
    }
}

/// Reads unsigned decimal text as a count of 10^-`scale`, in an `i128`.
///
/// # Errors
///
/// [`BadDecimal`]; nothing is ever rounded.
pub fn parse_i128(ascii: &[u8], scale: u8) -> Result<i128, BadDecimal> {
    let mut value = 0i128;
    let mut decimals: Option<u8> = None;
    let mut digits = 0u32;
    for &byte in ascii {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if let Some(seen) = decimals {
                    if seen == scale {
                        if byte != b'0' {
                            return Err(BadDecimal::Precision);
                        }
                        continue;
                    }
                    decimals = Some(seen + 1);
                }
                value = value
                    .checked_mul(10)
                    .and_then(|v| v.checked_add(i128::from(byte - b'0')))
                    .ok_or(BadDecimal::Range)?;
            }
            b'.' if decimals.is_none() && digits > 0 => {
                decimals = Some(0);
                digits = 0;
            }
            _ => return Err(BadDecimal::Form),
        }
    }
    if digits == 0 {
        return Err(BadDecimal::Form);
    }
    let missing = scale - decimals.unwrap_or(0);
    value.checked_mul(pow10_i128(missing)).ok_or(BadDecimal::Range)
}

/// How many decimals a step such as `"0.00100000"` really has: 3. The dense form of a tick or lot.
///
/// # Errors
///
/// [`BadDecimal::Form`] if the text is no decimal, [`BadDecimal::Range`] past 18 decimals.
pub fn decimals_of(ascii: &[u8]) -> Result<u8, BadDecimal> {
    parse_i128(ascii, 30)?;
    let Some(dot) = ascii.iter().position(|&b| b == b'.') else { return Ok(0) };
    let used = ascii[dot + 1..].iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
    if used > 18 { Err(BadDecimal::Range) } else { Ok(used as u8) }
}

/// A count of 10^-`scale` as text with exactly `scale` decimals: `(6543210, 2)` is `65432.10`.
#[derive(Clone, Copy, Debug)]
pub struct Text(pub i128, pub u8);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = pow10_i128(self.1).unsigned_abs();
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if self.1 == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = usize::from(self.1))
    }
}

/// As [`Text`], without trailing zeros: what a person reads in a report.
#[must_use]
pub fn short(value: i128, scale: u8) -> String {
    let text = Text(value, scale).to_string();
    if scale == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The obvious reading: split at the dot, pad, let the standard library do it.
    fn naive(text: &str, scale: usize) -> Option<i128> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(part) {
            return None;
        }
        let kept = part.trim_end_matches('0');
        if kept.len() > scale {
            return None;
        }
        format!("{whole}{kept:0<scale$}").parse().ok()
    }

    #[test]
    fn every_short_text_agrees_with_the_naive_reading() {
        let alphabet = b"019.-x";
        for length in 0..=6u32 {
            for mut n in 0..6usize.pow(length) {
                let text: Vec<u8> = (0..length)
                    .map(|_| {
                        let byte = alphabet[n % 6];
                        n /= 6;
                        byte
                    })
                    .collect();
                let text = String::from_utf8(text).unwrap();
                for scale in [0u8, 1, 2, 8] {
                    assert_eq!(
                        parse_i128(text.as_bytes(), scale).ok(),
                        naive(&text, usize::from(scale)),
                        "on {text:?} at scale {scale}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in 0..i64::MAX, scale in 0u8..=18) {
            let text = Text(i128::from(value), scale).to_string();
            prop_assert_eq!(parse(text.as_bytes(), scale, i64::MAX), Ok(value));
        }

        #[test]
        fn long_texts_agree_with_the_naive_reading(text in "[0-9]{1,22}(\\.[0-9]{1,12})?", scale in 0u8..=18) {
            prop_assert_eq!(parse_i128(text.as_bytes(), scale).ok(), naive(&text, usize::from(scale)));
        }
    }

    /// The obvious way: in an `i128`, digit by digit.
    fn rescaled_naively(mantissa: i64, exponent: i8, scale: u8, max: i64) -> Option<i64> {
        let mut value = i128::from(mantissa);
        let tens = i32::from(exponent) + i32::from(scale);
        for _ in 0..tens.abs() {
            if tens > 0 {
                value = value.checked_mul(10)?;
            } else if value % 10 == 0 {
                value /= 10;
            } else {
                return None;
            }
        }
        i64::try_from(value).ok().filter(|value| (0..=max).contains(value))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_power_of_ten_is_taken_out_as_by_hand(
            digits in 0i64..=i64::MAX, shift in 0u32..64, zeros in 0u32..19, sign in 0u8..20, exponent: i8, scale in 0u8..=18,
            max in prop_oneof![Just(i64::MAX), 0..i64::MAX],
        ) {
            let mantissa = (digits >> shift).saturating_mul(10i64.saturating_pow(zeros)) * if sign == 0 { -1 } else { 1 };
            let near = exponent % 24;
            for exponent in [exponent, near] {
                let slow = rescaled_naively(mantissa, exponent, scale, max);
                prop_assert_eq!(rescaled(mantissa, exponent, scale, max).ok(), slow);
                let tens = i32::from(exponent) + i32::from(scale);
                let fast = Rescale::new(exponent, scale, max);
                prop_assert_eq!(fast.is_some(), (-18..=0).contains(&tens));
                prop_assert!(fast.is_none_or(|fast| fast.of(mantissa) == slow));
            }
        }
    }

    #[test]
    fn the_edges_of_rescaling() {
        for tens in 0..=18i8 {
            let one = POW10[tens as usize];
            assert_eq!(rescaled(one, -tens, 0, i64::MAX), Ok(1));
            assert_eq!(rescaled(1, tens, 0, i64::MAX), Ok(one));
            for odd in [one - 1, one + 1, i64::MAX] {
                let naive = rescaled_naively(odd, -tens, 0, i64::MAX);
                assert_eq!(rescaled(odd, -tens, 0, i64::MAX).ok(), naive, "{odd}e-{tens}");
            }
        }
        assert_eq!(rescaled(i64::MIN, 0, 0, i64::MAX), Err(BadDecimal::Range));
        assert_eq!(rescaled(0, i8::MAX, 18, 0), Ok(0));
        assert_eq!(rescaled(1, i8::MIN, 0, i64::MAX), Err(BadDecimal::Precision));
        assert_eq!(rescaled(1, 19, 0, i64::MAX), Err(BadDecimal::Range));
        assert_eq!(rescaled(7, 0, 0, 6), Err(BadDecimal::Range));
    }

    #[test]
    fn a_twenty_digit_number_is_out_of_range_not_wrong() {
        assert_eq!(parse(b"12345678901234567890", 2, i64::MAX), Err(BadDecimal::Range));
    }

    #[test]
    fn steps_are_measured_without_their_padding() {
        assert_eq!(decimals_of(b"0.00100000"), Ok(3));
        assert_eq!(decimals_of(b"1.00000000"), Ok(0));
        assert_eq!(decimals_of(b"10"), Ok(0));
    }
}
