//! The basis a position is held against: the median of what closing it would have fetched in seven days.
//!
//! Owns:  [`Reference`], one sample a full hour and pair (history has fewer), as parts per billion.
//! Never: keeps a sample beyond seven days, or makes one up for hours in which nothing ran.
//! Why:   an hour, so that all of it can be written down: a restart goes on with the samples of the run before.

use crate::units::time::SEC;
use crate::units::{Ratio, Unix};
use std::collections::VecDeque;

/// A running engine keeps a sample this often.
const EVERY_NS: u64 = 3_600 * SEC;
const DAY_NS: u64 = 86_400 * SEC;
/// How long a sample counts.
pub const WINDOW_NS: i64 = 7 * DAY_NS as i64;
/// Samples count so many parts of 1: finer than any price.
const PPB: i128 = 1_000_000_000;

/// The executable basis of one pair over the last seven days in which it was seen.
#[derive(Clone, Debug)]
pub struct Reference {
    every_ns: u64,
    /// Samples of a day: below that there is no reference.
    day_samples: usize,
    samples: VecDeque<(Unix, i64)>,
    median: Option<i64>,
}

impl Default for Reference {
    fn default() -> Self {
        Self::every(EVERY_NS)
    }
}

impl Reference {
    /// Empty; keeps a sample this often, which divides a day.
    #[must_use]
    pub fn every(every_ns: u64) -> Self {
        let day_samples = (DAY_NS / every_ns) as usize;
        Self { every_ns, day_samples, samples: VecDeque::new(), median: None }
    }

    /// Takes a basis in, if the last one is old enough.
    pub fn on(&mut self, basis: Ratio, at: Unix) {
        let early = |(last, _): &(Unix, i64)| at.0.saturating_sub(last.0) < self.every_ns as i64;
        if self.samples.back().is_some_and(early) {
            return;
        }
        if let Some(ppb) = ppb(basis) {
            self.keep(at, ppb);
        }
    }

    /// Keeps a sample, as [`ppb`] makes it; those of seven days before it and earlier go.
    pub fn keep(&mut self, at: Unix, ppb: i64) {
        while self.samples.front().is_some_and(|(old, _)| at.0.saturating_sub(old.0) >= WINDOW_NS) {
            self.samples.pop_front();
        }
        self.samples.push_back((at, ppb));
        self.median = (self.samples.len() >= self.day_samples).then(|| {
            let mut sorted: Vec<i64> = self.samples.iter().map(|(_, ppb)| *ppb).collect();
            let middle = (sorted.len() - 1) / 2;
            *sorted.select_nth_unstable(middle).1
        });
    }

    /// b_ref: the median (of two middle ones the lower); 0 below a day of history.
    #[must_use]
    pub fn basis(&self) -> Ratio {
        self.median.map_or(Ratio::ZERO, |ppb| Ratio::from_num(ppb) / PPB)
    }
}

/// A basis as a sample, rounded down; `None` near the ends, where no basis of a sane pair is.
#[must_use]
pub fn ppb(basis: Ratio) -> Option<i64> {
    let ppb = basis.checked_mul_int(PPB)?.to_bits() >> 64;
    i64::try_from(ppb).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SAMPLES: usize = 24;
    const WINDOW_SAMPLES: usize = 7 * DAY_SAMPLES;

    fn bps(n: i64) -> Ratio {
        Ratio::from_num(n) / 10_000
    }

    /// The reference after each of these bases stood for so many samples.
    fn after(stood: &[(i64, usize)]) -> i64 {
        let mut reference = Reference::default();
        let mut now = Unix(1);
        for (basis, samples) in stood {
            for _ in 0..*samples {
                reference.on(bps(*basis), now);
                // More often than is kept.
                reference.on(bps(*basis + 500), Unix(now.0 + EVERY_NS as i64 - 1));
                now.0 += EVERY_NS as i64;
            }
        }
        (reference.basis() * 10_000).round().to_num()
    }

    #[test]
    fn with_three_samples_a_day_a_week_is_21_of_them() {
        let hours8 = 8 * 3_600 * SEC;
        let mut reference = Reference::every(hours8);
        let mut told = Vec::new();
        for n in 0..24u64 {
            reference.on(bps(n as i64), Unix((1 + n * hours8) as i64));
            told.push((reference.basis() * 10_000).round().to_num::<i64>());
        }
        assert_eq!(told[..5], [0, 0, 1, 1, 2], "of two middle ones the lower");
        assert_eq!(told[23], 13, "the middle of 3…23");
    }

    #[test]
    fn below_a_day_of_history_it_is_zero() {
        assert_eq!(after(&[(12, DAY_SAMPLES - 1)]), 0);
        assert_eq!(after(&[(12, DAY_SAMPLES)]), 12);
    }

    #[test]
    fn a_short_squeeze_does_not_move_it_and_a_week_does() {
        assert_eq!(after(&[(3, 120), (90, 40)]), 3);
        assert_eq!(after(&[(3, 120), (-90, 40)]), 3);
        assert_eq!(after(&[(3, WINDOW_SAMPLES), (9, WINDOW_SAMPLES / 2 + 1)]), 9, "old ones leave");
    }

    /// Nothing ran for six days: what is older than the window counts no more, so there is no reference.
    #[test]
    fn samples_leave_by_time_not_by_number() {
        let mut reference = Reference::default();
        let hour = EVERY_NS as i64;
        (0..48).for_each(|n| reference.on(bps(5), Unix(n * hour)));
        assert_eq!((reference.basis() * 10_000).round().to_num::<i64>(), 5);
        reference.on(bps(5), Unix((48 + 6 * 24) * hour));
        assert_eq!(
            (reference.basis() * 10_000).round().to_num::<i64>(),
            5,
            "24 of them are within seven days"
        );
        reference.on(bps(5), Unix((49 + 6 * 24 + 12) * hour));
        assert_eq!(reference.basis(), Ratio::ZERO);
    }

    /// Samples kept one by one elsewhere make the same reference again.
    #[test]
    fn the_same_samples_make_the_same_reference() {
        let (mut seen, mut again) = (Reference::default(), Reference::default());
        for n in 0..400i64 {
            let (basis, at) = (Ratio::from_num(n * 7_919 % 401 - 100) / 1_000_003, Unix(n * EVERY_NS as i64));
            seen.on(basis, at);
            again.keep(at, ppb(basis).unwrap());
            assert_eq!(seen.basis(), again.basis());
        }
        assert_ne!(seen.basis(), Ratio::ZERO);
    }
}
