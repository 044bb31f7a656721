//! The signal of DESIGN §5: what carry a position may count on, exactly.
//!
//! Owns:  [`Weekly`], funding kept per week, and [`Signal`], its two witnesses and what follows from them.
//! Never: takes a snapshot for the whole truth: without the seven-day mean nothing is counted.
//! Why:   a week of 168 h is a whole number of every interval on record (1, 2, 3, 4, 6, 8, 12, 24 h), so
//!        `estimate ÷ interval` and `sum ÷ 168 h` meet without a division.

use super::funding::Carry;
use crate::units::rate::{ratio_ceil, ratio_floor};
use crate::units::{Direction, Rate, Ratio};

/// Hours in a week: the window of the mean.
pub const WEEK_HOURS: i128 = 168;
/// Hours in a year, as every APR here is told.
pub const YEAR_HOURS: i128 = 8_760;
/// Seconds in an hour.
pub(super) const HOUR_S: i128 = 3_600;
/// A rate of 1, in the count of [`Rate`].
pub(super) const ONE: i128 = 1_000_000_000_000_000_000;

/// What a position receives **per week** of holding, as a fraction of its notional: a count of 10^-18,
/// negative if it pays. `0.0001` every 8 h is 21 · 10^14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weekly(pub i128);

impl Weekly {
    /// What a rate per interval makes in a week, rounded down where the interval does not divide it;
    /// an interval of 0 h is taken as 1 h.
    fn of(rate: i128, interval_hours: u32) -> Self {
        Self((rate * WEEK_HOURS).div_euclid(i128::from(interval_hours.max(1))))
    }

    /// What is received in so many seconds, rounded down; `None` beyond what a ratio holds.
    #[must_use]
    pub fn over(self, seconds: u64) -> Option<Ratio> {
        ratio_floor(self.0.checked_mul(i128::from(seconds))?, WEEK_HOURS * HOUR_S * ONE)
    }

    /// As [`Weekly::over`], rounded up.
    #[must_use]
    pub fn over_at_most(self, seconds: u64) -> Option<Ratio> {
        ratio_ceil(self.0.checked_mul(i128::from(seconds))?, WEEK_HOURS * HOUR_S * ONE)
    }

    /// Per year, rounded down; `None` beyond what a ratio holds.
    #[must_use]
    pub fn apr(self) -> Option<Ratio> {
        ratio_floor(self.0.checked_mul(YEAR_HOURS)?, WEEK_HOURS * ONE)
    }

    /// Whether a year of it is less than this rate; exact.
    #[must_use]
    pub fn is_below(self, apr: Rate) -> bool {
        self.0 * YEAR_HOURS < i128::from(apr.0) * WEEK_HOURS
    }
}

/// What funding says of one direction: σ·estimate and σ·mean, each per week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// By the running estimate.
    pub estimate: Weekly,
    /// By what was settled in the last seven days; `None` if a settlement in them is missing.
    pub mean: Option<Weekly>,
}

impl Signal {
    /// σ = +1 short, −1 long: a long receives what a short pays.
    #[must_use]
    pub fn new(carry: &Carry, direction: Direction) -> Self {
        let sign = match direction {
            Direction::Short => 1,
            Direction::Long => -1,
        };
        Self {
            estimate: Weekly::of(i128::from(carry.estimate.0) * sign, carry.interval_hours),
            mean: carry.sum_7d.map(|sum| Weekly(i128::from(sum.0) * sign)),
        }
    }

    /// c: what an entry counts on, the smaller of both; `None` without the mean.
    #[must_use]
    pub fn counted(self) -> Option<Weekly> {
        self.mean.map(|mean| mean.min(self.estimate))
    }

    /// c⁺: what leaving would forgo, the larger of both; `None` without the mean.
    #[must_use]
    pub fn hoped(self) -> Option<Weekly> {
        self.mean.map(|mean| mean.max(self.estimate))
    }

    /// Whether the estimate is below the mean: funding compresses. `None` without the mean.
    #[must_use]
    pub fn compresses(self) -> Option<bool> {
        self.mean.map(|mean| self.estimate < mean)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::units::decimal::parse_signed;
    use proptest::prelude::*;

    /// Funding of this estimate and seven-day sum, paid every so many hours.
    pub(in crate::carry) fn carry(estimate: &str, interval_hours: u32, sum_7d: Option<&str>) -> Carry {
        let rate = |text: &str| Rate::parse(text.as_bytes()).unwrap();
        Carry { estimate: rate(estimate), interval_hours, sum_7d: sum_7d.map(rate) }
    }

    /// The bot guide's table of yields.
    #[test]
    fn a_rate_every_eight_hours_makes_the_apr_of_the_table() {
        for (rate, percent) in
            [("0.0001", "10.95"), ("0.0003", "32.85"), ("0.0010", "109.5"), ("-0.0001", "-10.95")]
        {
            let signal = Signal::new(&carry(rate, 8, None), Direction::Short);
            let exact = parse_signed(percent.as_bytes(), Rate::SCALE).unwrap();
            assert_eq!(signal.estimate.0 * YEAR_HOURS * 100, exact * WEEK_HOURS, "{rate}");
            assert_eq!(signal.estimate.apr(), ratio_floor(exact, 100 * ONE), "{rate}");
        }
    }

    #[test]
    fn the_smaller_of_both_counts_and_the_larger_is_what_leaving_forgoes() {
        let both = Signal::new(&carry("0.0003", 8, Some("0.0021")), Direction::Short);
        assert_eq!(both.counted(), both.mean);
        assert_eq!(both.hoped(), Some(both.estimate));
        assert_eq!(both.compresses(), Some(false));
        // A long pays what a short receives, so the order of the two turns round.
        let long = Signal::new(&carry("0.0003", 8, Some("0.0021")), Direction::Long);
        assert_eq!(long.counted(), Some(long.estimate));
        assert_eq!(long.compresses(), Some(true));
        let unknown = Signal::new(&carry("0.0003", 8, None), Direction::Short);
        assert_eq!((unknown.counted(), unknown.hoped(), unknown.compresses()), (None, None, None));
    }

    #[test]
    fn the_same_rate_in_half_the_time_is_twice_the_carry() {
        let every = |hours| Signal::new(&carry("0.0001", hours, None), Direction::Short).estimate;
        assert_eq!(every(4).0, 2 * every(8).0);
        assert_eq!(every(1).0, 8 * every(8).0);
    }

    proptest! {
        /// No rounding makes a position richer than its fraction, in either direction.
        #[test]
        fn what_is_received_is_rounded_down_in_both_directions(
            rate in -30_000_000_000_000_000i64..30_000_000_000_000_000, hours in 1u32..25, seconds in 1u64..40_000_000,
        ) {
            for (direction, sign) in [(Direction::Short, 1), (Direction::Long, -1)] {
                let carry = Carry { estimate: Rate(rate), interval_hours: hours, sum_7d: None };
                let weekly = Signal::new(&carry, direction).estimate;
                // weekly · hours ≤ σ · rate · 168 < (weekly + 1) · hours
                let exact = i128::from(rate) * sign * WEEK_HOURS;
                prop_assert!(weekly.0 * i128::from(hours) <= exact);
                prop_assert!(exact < (weekly.0 + 1) * i128::from(hours));
                if WEEK_HOURS % i128::from(hours) == 0 {
                    prop_assert_eq!(weekly.0 * i128::from(hours), exact, "a week holds whole intervals");
                }
                let (down, up) = (weekly.over(seconds).unwrap(), weekly.over_at_most(seconds).unwrap());
                prop_assert!(down <= up && up - down <= Ratio::DELTA);
            }
        }
    }
}
