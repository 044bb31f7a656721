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
    fn absurd_stamps_are_refused() {
        assert!(Unix::from_ms(0).is_none());
        assert!(Unix::from_ms(1_772_694_601_600_000).is_none(), "microseconds read as milliseconds");
    }
}
