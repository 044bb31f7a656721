//! Two clocks that must never be mixed: the host's monotonic one, and the calendar.
//!
//! Owns:  `Nanos` (monotonic, for every age, timeout and budget) and `Unix` (calendar, for stamps
//!        that venues see and for logs).
//! Never: reads either clock; `metal::clock` does.

use std::fmt;

/// Nanoseconds on this host's **monotonic** clock, from an arbitrary start.
///
/// Every age, timeout and budget is measured with it, so a step of the calendar clock can't expire
/// or revive anything (FAULTS F1, F2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The earliest moment.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes: "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// How long after `earlier` this is, in ns; zero if it is before it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment `ns` nanoseconds later, saturating.
    #[must_use]
    pub const fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

/// Calendar time: nanoseconds since 1970-01-01 UTC, as venues stamp it (they send ms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unix(pub i64);

impl Unix {
    /// Stamps outside 2015…2100 are absurd: a wrong unit, a zero, an overflow (FAULTS F7).
    const SANE_MS: std::ops::Range<i64> = 1_420_070_400_000..4_102_444_800_000;

    /// From a venue's millisecond stamp; `None` if it is absurd (before 2015, after 2100).
    #[must_use]
    pub const fn from_ms(ms: i64) -> Option<Self> {
        if ms >= Self::SANE_MS.start && ms < Self::SANE_MS.end { Some(Self(ms * 1_000_000)) } else { None }
    }

    /// From a venue's microsecond stamp; `None` where [`Unix::from_ms`] says so.
    #[must_use]
    pub const fn from_us(us: i64) -> Option<Self> {
        if us >= Self::SANE_MS.start * 1_000 && us < Self::SANE_MS.end * 1_000 {
            Some(Self(us * 1_000))
        } else {
            None
        }
    }

    /// Reads ISO 8601 text with its offset from UTC: `2026-11-22T01:16:04.123Z`, `2026-11-22 03:16:04+02:00`.
    ///
    /// `None` for anything else, a day that no month has, and what [`Unix::from_ms`] calls absurd. Beyond
    /// nanoseconds nothing is read.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let digits = |from: usize, to: usize| {
            let part = text.get(from..to)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok())?
        };
        let stands = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|it| marks.contains(it));
        let marked = stands(4, b"-") && stands(7, b"-") && stands(13, b":") && stands(16, b":");
        if !marked || !stands(10, b"Tt ") {
            return None;
        }
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let longest = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        if !(1..=12).contains(&month)
            || !(1..=longest).contains(&day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        let rest = text.get(19..)?;
        let fraction = rest.strip_prefix('.').map_or("", |rest| {
            &rest[..rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())]
        });
        let offset = if fraction.is_empty() { rest } else { &rest[1 + fraction.len()..] };
        let below = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
        let below = below.fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        let offset_min = match offset.as_bytes() {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1]
                if [h0, h1, m0, m1].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
                let minutes = two(h0, h1) * 60 + two(m0, m1);
                if *sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        let seconds = (days(year, month, day) * 24 + hour) * 3_600 + (minute - offset_min) * 60 + second;
        Self::from_ms(seconds * 1_000).map(|at| Self(at.0 + below))
    }

    /// Whole milliseconds, rounded down, as venues want them in a `timestamp`.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl fmt::Display for Unix {
    /// `2026-11-22T01:16:04.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_ms();
        let days = ms.div_euclid(86_400_000);
        let in_day = ms.rem_euclid(86_400_000);
        // Days to date, proleptic Gregorian: shift to years that begin in March, so the leap day
        // is the last day of its year, then count 400-year eras.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            in_day / 3_600_000,
            in_day / 60_000 % 60,
            in_day / 1_000 % 60,
            in_day % 1_000
        )
    }
}

/// Days from 1970-01-01 to a date, proleptic Gregorian: the way [`Unix`]'s text goes, back.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

/// One microsecond in ns.
pub const US: u64 = 1_000;
/// One millisecond in ns.
pub const MS: u64 = 1_000_000;
/// One second in ns.
pub const SEC: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_text_is_right_at_the_edges() {
        for (ms, text) in [
            (1_772_694_601_600, "2026-03-05T07:10:01.600Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Unix::from_ms(ms).unwrap().to_string(), text);
        }
    }

    #[test]
    fn iso_text_is_read_as_it_is_written() {
        for ns in [1_772_694_601_600_000_000, 1_709_164_800_000_000_000, 1_735_689_599_999_000_000] {
            assert_eq!(Unix::from_iso(&Unix(ns).to_string()), Some(Unix(ns)));
        }
        for day in 0..31_000 {
            let at = Unix(1_420_070_400_000_000_000 + day * 86_400_000_000_000);
            assert_eq!(Unix::from_iso(&at.to_string()), Some(at), "{at}");
        }
        let at = Unix(1_772_694_601_000_000_000);
        for text in ["2026-03-05T07:10:01Z", "2026-03-05 09:10:01+02:00", "2026-03-05t02:40:01-04:30"] {
            assert_eq!(Unix::from_iso(text), Some(at), "{text}");
        }
        assert_eq!(Unix::from_iso("2026-03-05T07:10:01.1234567891Z"), Some(Unix(at.0 + 123_456_789)));
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-05T24:00:00Z",
            "2026-03-05T07:10:01",
            "2026-03-05T07:10:01.Z",
            "2026-03-05T07:10:01+0200",
            "2026-03-05T07:10:01Zx",
            "2026-03-05",
            "1970-01-01T00:00:00Z",
            "é026-03-05T07:10:01Z",
            "",
        ] {
            assert_eq!(Unix::from_iso(text), None, "{text}");
        }
    }

    #[test]
    fn absurd_stamps_are_refused() {
        assert!(Unix::from_ms(0).is_none());
        assert!(Unix::from_ms(1_772_694_601_600_000).is_none(), "microseconds read as milliseconds");
    }
}
