//! The box's own numbers: prices and quantities as counts of 10⁻⁸, money as counts of 10⁻¹⁸.
//!
//! Owns:  exact parsing, exact products, stated truncation, text in a given number of decimals.
//! Never: rounds in silence, takes a sign or an exponent from outside, or shares code with `units`.

use std::fmt;

/// A price or a quantity as a count of 10⁻⁸: 61 837.63 is `6_183_763_000_000`.
pub(super) type E8 = i64;

/// One, as [`E8`].
pub(super) const ONE_E8: E8 = 100_000_000;

/// Why a text is no [`E8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadNumber {
    /// Not of the form `digits[.digits]`.
    Form,
    /// A non-zero digit beyond the eighth decimal.
    Precision,
    /// Too large.
    Range,
}

/// Reads an unsigned plain decimal of at most 20 digits on either side of the dot.
pub(super) fn parse_e8(text: &str) -> Result<E8, BadNumber> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 20 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(BadNumber::Form);
    }
    let mut value: i128 = 0;
    for b in whole.bytes() {
        value = value * 10 + i128::from(b - b'0');
    }
    for i in 0..8 {
        value = value * 10 + i128::from(part.as_bytes().get(i).map_or(0, |b| b - b'0'));
    }
    if part.bytes().skip(8).any(|b| b != b'0') {
        return Err(BadNumber::Precision);
    }
    i64::try_from(value).map_err(|_| BadNumber::Range)
}

/// How many decimals `value` really uses: `0.10` uses one.
pub(super) fn decimals_used(value: E8) -> u8 {
    let mut value = value;
    let mut used = 8;
    while used > 0 && value % 10 == 0 {
        value /= 10;
        used -= 1;
    }
    used
}

/// Shows an [`E8`] with exactly `.1` decimals (0 to 8); digits beyond are cut.
pub(super) struct Fixed(pub(super) E8, pub(super) u8);

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_fixed(f, i128::from(self.0), 8, self.1)
    }
}

/// `a × b ÷ d` over a 192-bit product, cut towards zero; saturates where the result leaves 127 bits.
pub(super) fn mul_div(a: i128, b: i64, d: i64) -> i128 {
    debug_assert!(d != 0, "callers divide by a quantity or scale that is not zero");
    let negative = (a < 0) ^ (b < 0) ^ (d < 0);
    let (a, b, d) = (a.unsigned_abs(), u128::from(b.unsigned_abs()), u128::from(d.unsigned_abs().max(1)));
    let low = (a & u128::from(u64::MAX)) * b;
    let high = (a >> 64) * b + (low >> 64);
    let (top, middle) = (high / d, high % d);
    let cut = ((middle << 64) | (low & u128::from(u64::MAX))) / d;
    let size = if top >> 62 != 0 { i128::MAX as u128 } else { (top << 64) + cut };
    if negative { -(size as i128) } else { size as i128 }
}

/// An amount of an asset as a count of 10⁻¹⁸, signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Money(pub(super) i128);

impl Money {
    pub(super) const ZERO: Self = Self(0);

    pub(super) fn from_e8(value: E8) -> Self {
        Self(i128::from(value) * 10_000_000_000)
    }

    /// `price × quantity`, exact: 10⁻⁸ × 10⁻⁸ fits 10⁻¹⁸.
    pub(super) fn product(price: E8, qty: E8) -> Self {
        Self((i128::from(price) * i128::from(qty)).saturating_mul(100))
    }

    /// This × `ratio`, cut towards zero at 10⁻¹⁸.
    pub(super) fn times(self, ratio: E8) -> Self {
        Self(mul_div(self.0, ratio, ONE_E8))
    }

    /// Cut towards zero to 8 decimals: the precision in which the venue charges.
    pub(super) fn cut8(self) -> Self {
        Self(self.0 / 10_000_000_000 * 10_000_000_000)
    }

    /// Cut towards zero to a count of 10⁻⁸; saturates.
    pub(super) fn to_e8(self) -> E8 {
        i64::try_from(self.0 / 10_000_000_000).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    pub(super) fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// Text with exactly `decimals` (0 to 18); digits beyond are cut.
    pub(super) fn fixed(self, decimals: u8) -> String {
        let mut text = String::with_capacity(24);
        let _ = write_fixed(&mut text, self.0, 18, decimals);
        text
    }
}

/// Shortest exact text.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.fixed(18);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text.is_empty() || text == "-0" { "0" } else { text })
    }
}

impl std::ops::Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::ops::AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::ops::SubAssign for Money {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

fn write_fixed(out: &mut impl fmt::Write, value: i128, scale: u32, decimals: u8) -> fmt::Result {
    let unit = 10u128.pow(scale);
    let size = value.unsigned_abs();
    let decimals = u32::from(decimals).min(scale);
    let part = size % unit / 10u128.pow(scale - decimals);
    let whole = size / unit;
    if value < 0 && (whole > 0 || part > 0) {
        out.write_char('-')?;
    }
    write_digits(out, whole, 1)?;
    if decimals > 0 {
        out.write_char('.')?;
        write_digits(out, part, decimals as usize)?;
    }
    Ok(())
}

/// `value` in decimal, padded with zeros to `width`. A quote has eight of these; `{:0width$}` costs thrice as much.
fn write_digits(out: &mut impl fmt::Write, value: u128, width: usize) -> fmt::Result {
    let mut buffer = [b'0'; 40];
    let mut at = buffer.len();
    if let Ok(mut small) = u64::try_from(value) {
        while small > 0 {
            at -= 1;
            buffer[at] = b'0' + (small % 10) as u8;
            small /= 10;
        }
    } else {
        let mut rest = value;
        while rest > 0 {
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    let at = at.min(buffer.len() - width);
    out.write_str(std::str::from_utf8(&buffer[at..]).unwrap_or("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_decimals_are_read_and_everything_else_is_named() {
        assert_eq!(parse_e8("61837.63"), Ok(6_183_763_000_000));
        assert_eq!(parse_e8("0.000000010000"), Ok(1));
        assert_eq!(parse_e8("7"), Ok(700_000_000));
        assert_eq!(parse_e8("0.000000001"), Err(BadNumber::Precision));
        assert_eq!(parse_e8("99999999999999999999"), Err(BadNumber::Range));
        for text in
            ["", ".", "1.", ".1", "-1", "+1", "1e3", "NaN", "1,0", "1.0.0", " 1", "111111111111111111111"]
        {
            assert_eq!(parse_e8(text), Err(BadNumber::Form), "{text:?}");
        }
    }

    #[test]
    fn text_has_the_asked_decimals_and_money_the_fewest() {
        assert_eq!(Fixed(6_183_763_000_000, 8).to_string(), "61837.63000000");
        assert_eq!(Fixed(6_183_763_000_000, 1).to_string(), "61837.6");
        assert_eq!(Fixed(5, 0).to_string(), "0");
        assert_eq!(Fixed(-150_000_000, 3).to_string(), "-1.500");
        assert_eq!(Fixed(i64::MAX, 8).to_string(), "92233720368.54775807");
        assert_eq!(Money::product(150_000_000, 3).to_string(), "0.000000045");
        assert_eq!(Money(0).to_string(), "0");
        assert_eq!(Money(10i128.pow(36)).to_string(), "1000000000000000000");
        assert_eq!((-Money::from_e8(ONE_E8)).to_string(), "-1");
    }

    #[test]
    fn wide_products_agree_with_plain_ones_and_survive_where_those_overflow() {
        for (a, b, d) in [(7i128, 3i64, 2i64), (-7, 3, 2), (10i128.pow(27), 100_000, 100_000_000), (1, 1, 3)]
        {
            assert_eq!(mul_div(a, b, d), a * i128::from(b) / i128::from(d));
        }
        assert_eq!(mul_div(10i128.pow(30), 10i64.pow(18), 10i64.pow(17)), 10i128.pow(31));
        assert_eq!(mul_div(-10i128.pow(30), 10i64.pow(18), 10i64.pow(18)), -10i128.pow(30));
    }

    /// Schoolbook: one bit of the quotient at a time, over a product kept as two halves.
    fn slow_mul_div(a: u128, b: u64, d: u64) -> u128 {
        let (low, carry) = (a & u128::from(u64::MAX), a >> 64);
        let (low, high) = (low * u128::from(b), carry * u128::from(b));
        let limbs = [high >> 64, (high & u128::from(u64::MAX)) + (low >> 64), low & u128::from(u64::MAX)];
        let (mut rest, mut quotient) = (0u128, 0u128);
        let (carry, middle) = (limbs[1] >> 64, limbs[1] & u128::from(u64::MAX));
        for limb in [limbs[0] + carry, middle, limbs[2]] {
            for bit in (0..64).rev() {
                rest = (rest << 1) | ((limb >> bit) & 1);
                quotient <<= 1;
                if rest >= u128::from(d) {
                    rest -= u128::from(d);
                    quotient |= 1;
                }
            }
        }
        quotient
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(value in 0..i64::MAX) {
            assert_eq!(parse_e8(&Fixed(value, 8).to_string()), Ok(value));
            assert_eq!(Money::from_e8(value).to_e8(), value);
        }

        #[test]
        fn the_wide_product_agrees_with_the_schoolbook(a in 0..10i128.pow(30), b in 1..i64::MAX, d in 1..i64::MAX) {
            let slow = slow_mul_div(a as u128, b as u64, d as u64);
            if slow < 1 << 126 {
                assert_eq!(mul_div(a, b, d), slow as i128);
                assert_eq!(mul_div(-a, b, d), -(slow as i128));
            }
        }
    }

    #[test]
    fn only_digits_that_count_are_counted() {
        assert_eq!(decimals_used(0), 0);
        assert_eq!(decimals_used(10_000_000), 1);
        assert_eq!(decimals_used(1), 8);
    }
}
