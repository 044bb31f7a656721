//! Numbers and digests as text, written in place: decimals, integers, hex, base64; and base64 read.
//!
//! Owns:  the writers orders and signatures are made with, checked against `format!`.
//! Never: allocates (given room), rounds, or writes half a number into a full buffer.

use super::{Full, Sink};

/// Lower-case hexadecimal digits.
pub const HEX: &[u8; 16] = b"0123456789abcdef";

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// `00` to `ff`: one look-up a byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = [HEX[i >> 4], HEX[i & 15]];
        i += 1;
    }
    table
};

/// The most digits a `u64` has.
const U64_DIGITS_MAX: usize = 20;

/// Writes `value` as a count of 10^-`decimals`, with exactly `decimals` places: `(-1205, 2)` is
/// `-12.05`, `(7, 0)` is `7`.
///
/// # Errors
///
/// [`Full`]; nothing is written then.
#[inline]
pub fn write_decimal(out: &mut impl Sink, value: i64, decimals: u8) -> Result<(), Full> {
    let mut buffer = [0; U64_DIGITS_MAX];
    let digits = digits_of(value.unsigned_abs(), &mut buffer);
    let places = usize::from(decimals);
    let sign: &[u8] = if value < 0 { b"-" } else { b"" };
    let whole = digits.len().saturating_sub(places);
    if out.room() < sign.len() + whole.max(1) + usize::from(places > 0) + places {
        return Err(Full);
    }
    out.put(sign)?;
    out.put(if whole == 0 { b"0" } else { &digits[..whole] })?;
    if places > 0 {
        out.put(b".")?;
        put_zeros(out, places.saturating_sub(digits.len()))?;
        out.put(&digits[whole..])?;
    }
    Ok(())
}

/// Writes `value` in decimal, without leading zeros.
///
/// # Errors
///
/// [`Full`]; nothing is written then.
#[inline]
pub fn write_u64(out: &mut impl Sink, value: u64) -> Result<(), Full> {
    let mut buffer = [0; U64_DIGITS_MAX];
    out.put(digits_of(value, &mut buffer))
}

/// Writes 32 bytes (a SHA-256 digest) as 64 lower-case hex digits.
///
/// # Errors
///
/// [`Full`]; nothing is written then.
#[inline]
pub fn write_hex(out: &mut impl Sink, bytes: &[u8; 32]) -> Result<(), Full> {
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = HEX_PAIRS[usize::from(*byte)];
    }
    out.put(&text)
}

/// Writes `bytes` as padded base64 (RFC 4648 §4): 16 bytes take 24, a SHA-256 digest takes 44.
///
/// # Errors
///
/// [`Full`]; nothing is written then.
pub fn write_base64(out: &mut impl Sink, bytes: &[u8]) -> Result<(), Full> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if out.room() / 4 < bytes.len().div_ceil(3) {
        return Err(Full);
    }
    let text = |[a, b, c]: [u8; 3]| {
        let bits = u32::from_be_bytes([0, a, b, c]);
        [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 63])
    };
    let (groups, rest) = bytes.as_chunks();
    for group in groups {
        out.put(&text(*group))?;
    }
    match *rest {
        [a] => {
            let [w, x, ..] = text([a, 0, 0]);
            out.put(&[w, x, b'=', b'='])
        }
        [a, b] => {
            let [w, x, y, _] = text([a, b, 0]);
            out.put(&[w, x, y, b'='])
        }
        _ => Ok(()),
    }
}

/// Reads padded base64 (RFC 4648 §4), white space left out, into `out`; how many bytes that were. `None`: it is none, or
/// longer than `out`. Of what it is keeps no copy elsewhere.
pub fn read_base64(text: &str, out: &mut [u8]) -> Option<usize> {
    let (mut bits, mut held, mut digits, mut padding, mut length) = (0u32, 0, 0usize, 0usize, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace()) {
        digits += 1;
        let value = match letter {
            b'=' => {
                padding += 1;
                continue;
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            *out.get_mut(length)? = (bits >> held) as u8;
            length += 1;
            bits &= (1 << held) - 1;
        }
    }
    // Whole groups, as much padding as they need, and no bit set that no byte has.
    let whole = digits.is_multiple_of(4) && padding < 3 && padding * 2 == held && bits == 0;
    whole.then_some(length)
}

/// Writes `count` zeros; the caller has made sure that they fit.
#[inline]
pub(super) fn put_zeros(out: &mut impl Sink, count: usize) -> Result<(), Full> {
    const ZEROS: [u8; 64] = [b'0'; 64];
    let mut left = count;
    while left > 0 {
        let now = left.min(ZEROS.len());
        out.put(&ZEROS[..now])?;
        left -= now;
    }
    Ok(())
}

/// The decimal digits of `value`, at least one, at the end of `buffer`.
#[inline]
fn digits_of(mut value: u64, buffer: &mut [u8; U64_DIGITS_MAX]) -> &[u8] {
    let mut at = U64_DIGITS_MAX;
    while value >= 10 {
        at -= 2;
        [buffer[at], buffer[at + 1]] = PAIRS[(value % 100) as usize];
        value /= 100;
    }
    if value > 0 || at == U64_DIGITS_MAX {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::decimal;
    use arrayvec::ArrayVec;
    use proptest::prelude::*;

    fn decimal_of(value: i64, decimals: u8) -> String {
        let mut out = ArrayVec::<u8, 300>::new();
        write_decimal(&mut out, value, decimals).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn decimals_have_exactly_their_places() {
        for (value, decimals, text) in [
            (0, 0, "0"),
            (0, 3, "0.000"),
            (7, 0, "7"),
            (10, 1, "1.0"),
            (99, 2, "0.99"),
            (100, 2, "1.00"),
            (-1205, 2, "-12.05"),
            (-5, 4, "-0.0005"),
            (i64::MAX, 18, "9.223372036854775807"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, 19, "-0.9223372036854775808"),
            (1, 21, "0.000000000000000000001"),
        ] {
            assert_eq!(decimal_of(value, decimals), text);
        }
    }

    #[test]
    fn a_number_that_does_not_fit_leaves_the_buffer_as_it_was() {
        let mut out = ArrayVec::<u8, 6>::new();
        out.push(b'x');
        assert_eq!(write_decimal(&mut out, -1205, 2), Err(Full));
        assert_eq!(write_u64(&mut out, 123_456), Err(Full));
        assert_eq!(write_hex(&mut out, &[0; 32]), Err(Full));
        assert_eq!(write_base64(&mut out, b"12345"), Err(Full));
        assert_eq!(out.as_slice(), b"x");
        assert_eq!(write_decimal(&mut out, 1205, 2), Ok(()));
        assert_eq!(out.as_slice(), b"x12.05");
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            write_base64(&mut out, plain.as_bytes()).unwrap();
            assert_eq!(out, text.as_bytes());
            let mut read = [0; 6];
            let length = read_base64(&format!(" {text}\r\n"), &mut read).unwrap();
            assert_eq!(&read[..length], plain.as_bytes());
        }
        for wrong in [
            "Z",
            "Zg",
            "Zg=",
            "Zg===",
            "Zh==",
            "Zm9=",
            "Zm9v=",
            "A===",
            "====",
            "Zg==Zg==",
            "Zm-v",
            "Zm9vYmFyZg==",
        ] {
            assert_eq!(read_base64(wrong, &mut [0; 6]), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn decimals_agree_with_format(value: i64, short in -2_000i64..2_000, decimals in 0u8..=18) {
            for value in [value, short, value >> (value & 63)] {
                let magnitude = u128::from(value.unsigned_abs());
                let unit = 10u128.pow(u32::from(decimals));
                let sign = if value < 0 { "-" } else { "" };
                let naive = if decimals == 0 {
                    format!("{value}")
                } else {
                    format!("{sign}{}.{:0w$}", magnitude / unit, magnitude % unit, w = usize::from(decimals))
                };
                prop_assert_eq!(decimal_of(value, decimals), naive);
                prop_assert_eq!(decimal_of(value, decimals), decimal::Text(i128::from(value), decimals).to_string());
            }
        }

        #[test]
        fn integers_agree_with_format(value: u64, shift in 0u32..64) {
            for value in [value, value >> shift, 10u64.pow(shift % 20), 10u64.pow(shift % 20) - 1] {
                let mut out = Vec::new();
                write_u64(&mut out, value).unwrap();
                prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value}"));
            }
        }

        #[test]
        fn hex_agrees_with_format(bytes: [u8; 32]) {
            let mut out = ArrayVec::<u8, 64>::new();
            write_hex(&mut out, &bytes).unwrap();
            let naive: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(out.as_slice(), naive.as_bytes());
        }
    }
}
