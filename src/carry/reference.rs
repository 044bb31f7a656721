//! The basis a position is held against: the median of what closing it would have fetched in seven days.
//!
//! Owns:  [`Reference`], one sample in five minutes and pair, as parts per billion.
//! Never: outlives the process: after a restart the reference is 0 again until it has seen a day.

use crate::units::time::SEC;
use crate::units::{Nanos, Ratio};
use std::collections::VecDeque;

/// A sample is kept this often.
const EVERY_NS: u64 = 300 * SEC;
/// Samples of seven days.
const WINDOW_SAMPLES: usize = 7 * DAY_SAMPLES;
/// Below a day of samples there is no reference.
const DAY_SAMPLES: usize = 288;
/// Samples count so many parts of 1: finer than any price.
const PPB: i128 = 1_000_000_000;

/// The executable basis of one pair over the last seven days in which it was seen.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    samples: VecDeque<i64>,
    due: Nanos,
    median: Option<i64>,
}

impl Reference {
    /// Takes a basis in, if the last one is old enough.
    pub fn on(&mut self, basis: Ratio, now: Nanos) {
        if now < self.due {
            return;
        }
        self.due = now.plus(EVERY_NS);
        // Rounded down; no basis of a sane pair is near the ends.
        let Some(sample) = basis.checked_mul_int(PPB).map(|ppb| ppb.to_bits() >> 64) else { return };
        let Ok(sample) = i64::try_from(sample) else { return };
        if self.samples.len() == WINDOW_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.median = (self.samples.len() >= DAY_SAMPLES).then(|| {
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
