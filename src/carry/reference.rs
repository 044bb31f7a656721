//! The basis a position is held against: the median of what closing it would have fetched in seven days.
//!
//! Owns:  [`Reference`], one sample in five minutes and pair (history has fewer), as parts per billion.
//! Never: outlives the process: after a restart the reference is 0 again until it has seen a day.

use crate::units::time::SEC;
use crate::units::{Nanos, Ratio};
use std::collections::VecDeque;

/// A running engine keeps a sample this often.
const EVERY_NS: u64 = 300 * SEC;
const DAY_NS: u64 = 86_400 * SEC;
/// Samples count so many parts of 1: finer than any price.
const PPB: i128 = 1_000_000_000;

/// The executable basis of one pair over the last seven days in which it was seen.
#[derive(Clone, Debug)]
pub struct Reference {
    every_ns: u64,
    /// Samples of a day: below that there is no reference, and seven times that are kept.
    day_samples: usize,
    samples: VecDeque<i64>,
    due: Nanos,
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
        Self { every_ns, day_samples, samples: VecDeque::new(), due: Nanos::ZERO, median: None }
    }

    /// Takes a basis in, if the last one is old enough.
    pub fn on(&mut self, basis: Ratio, now: Nanos) {
        if now < self.due {
            return;
        }
        self.due = now.plus(self.every_ns);
        // Rounded down; no basis of a sane pair is near the ends.
        let Some(sample) = basis.checked_mul_int(PPB).map(|ppb| ppb.to_bits() >> 64) else { return };
        let Ok(sample) = i64::try_from(sample) else { return };
        if self.samples.len() == 7 * self.day_samples {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.median = (self.samples.len() >= self.day_samples).then(|| {
            let mut sorted: Vec<i64> = self.samples.iter().copied().collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SAMPLES: usize = 288;
    const WINDOW_SAMPLES: usize = 7 * DAY_SAMPLES;

    fn bps(n: i64) -> Ratio {
        Ratio::from_num(n) / 10_000
    }

    /// The reference after each of these bases stood for so many samples.
    fn after(stood: &[(i64, usize)]) -> i64 {
        let mut reference = Reference::default();
        let mut now = Nanos(1);
        for (basis, samples) in stood {
            for _ in 0..*samples {
                reference.on(bps(*basis), now);
                // More often than is kept.
                reference.on(bps(*basis + 500), now.plus(EVERY_NS - 1));
                now = now.plus(EVERY_NS);
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
            reference.on(bps(n as i64), Nanos(1 + n * hours8));
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
        assert_eq!(after(&[(3, 1_500), (90, 500)]), 3);
        assert_eq!(after(&[(3, 1_500), (-90, 500)]), 3);
        assert_eq!(after(&[(3, WINDOW_SAMPLES), (9, WINDOW_SAMPLES / 2 + 1)]), 9, "old ones leave");
    }
}
