//! Funding of one perpetual: the settled week by time, and what the rules count on.
//!
//! Owns:  `History` (settled rows, which settlements the venue announced, the sum of seven days) and `Carry`.
//! Never: counts a settlement that is missing as zero, or trusts a fixed interval.
//! Window: (t − 168 h, t]; a stamp counts as its full minute, since venues stamp a few ms late.
//! Due:   between two rows no settlement is missing if the venue announced the later one in time: at once
//!        after the first, or before an earlier announced one came due. Of a gap without announcements its
//!        neighbours speak: one of them must be 1, 2, 4 or 8 h long and not shorter, so an interval that grew
//!        for a single settlement counts as a hole. The coming settlement is a row like any other for this,
//!        with the interval that the venue states as its neighbour; where it has passed and its row is not
//!        there, that row is missing.

use crate::units::time::SEC;
use crate::units::{Rate, Unix};

/// Hours of the window.
pub const WEEK_HOURS: u32 = 168;
/// An estimate older than this is missing (FAULTS F47), in ns.
pub const ESTIMATE_STALE_NS: u64 = 6 * 3_600 * SEC;
/// Intervals that venues settle at, in hours.
pub const INTERVALS: [u32; 4] = [1, 2, 4, 8];

const MINUTE_NS: i64 = 60 * SEC as i64;
const HOUR_NS: i64 = 60 * MINUTE_NS;
/// What is kept beyond the window: a row that opens it, and one more gap to judge that one by.
const KEPT_NS: i64 = (WEEK_HOURS as i64 + 48) * HOUR_NS;

/// What holding a short of one perpetual earns, as it is known now. Positive: the short receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The running estimate for the coming settlement, per interval.
    pub estimate: Rate,
    /// Hours of that interval: 1, 2, 4 or 8.
    pub interval_hours: u32,
    /// Sum of everything settled in the last 168 h; the mean per hour is this ÷ 168. `None`: a settlement
    /// due in that week is missing, so nothing is known of it.
    pub sum_7d: Option<Rate>,
}

/// One settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its full minute.
    pub at: Unix,
    /// The rate that was paid, per interval.
    pub rate: Rate,
}

/// What is known of one perpetual's settlements, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    rows: Vec<Settled>,
    /// When the venue was first heard to announce which coming settlement.
    announced: Vec<(Unix, Unix)>,
    /// The interval that the venue states, in hours.
    stated: Option<u32>,
}

/// A stamp's full minute: the nearest one.
#[must_use]
pub const fn full_minute(stamp: Unix) -> Unix {
    Unix((stamp.0 + MINUTE_NS / 2).div_euclid(MINUTE_NS) * MINUTE_NS)
}

impl History {
    /// Takes a settled rate in; whether it was not known. What a venue says later of the same minute counts.
    pub fn add(&mut self, stamp: Unix, rate: Rate) -> bool {
        let at = full_minute(stamp);
        match self.rows.binary_search_by_key(&at, |row| row.at) {
            Ok(found) => {
                self.rows[found].rate = rate;
                false
            }
            Err(place) => {
                self.rows.insert(place, Settled { at, rate });
                true
            }
        }
    }

    /// The venue states its interval. Hours other than 1, 2, 4 and 8 are no statement.
    pub fn state(&mut self, hours: u32) {
        self.stated = INTERVALS.into_iter().find(|it| *it == hours).or(self.stated);
    }

    /// The venue announces the coming settlement; one that has passed is an old word.
    pub fn announce(&mut self, at: Unix, coming: Unix) {
        let coming = full_minute(coming);
        if coming > at && self.announced.last().is_none_or(|(_, last)| *last != coming) {
            self.announced.push((at, coming));
        }
    }

    /// Forgets what no window that ends at `now` or later needs.
    pub fn forget(&mut self, now: Unix) {
        let old = |at: Unix| at.0 < now.0.saturating_sub(KEPT_NS);
        self.rows.drain(..self.rows.partition_point(|row| old(row.at)));
        self.announced.drain(..self.announced.partition_point(|(_, coming)| old(*coming)));
    }

    /// The newest settlement known.
    #[must_use]
    pub fn last(&self) -> Option<Settled> {
        self.rows.last().copied()
    }

    /// The settlement announced last, if it is still to come.
    #[must_use]
    pub fn coming(&self, now: Unix) -> Option<Unix> {
        self.announced.last().map(|(_, coming)| *coming).filter(|coming| *coming > now)
    }

    /// Hours of the interval that ends with the coming settlement: what lies between it and the newest row
    /// where that is an interval, else what the venue states, which may be some minutes late.
    #[must_use]
    pub fn interval_hours(&self, now: Unix) -> Option<u32> {
        let spacing = |coming: Unix| {
            let gap = coming.0 - self.last()?.at.0;
            INTERVALS.into_iter().find(|hours| i64::from(*hours) * HOUR_NS == gap)
        };
        self.coming(now).and_then(spacing).or(self.stated)
    }

    /// Sum of the rates settled in (`at` − 168 h, `at`]; `None` if one that was due in it is missing, or may
    /// be. `at` is the present: what was announced later is not looked at, what settled later neither.
    #[must_use]
    pub fn sum_7d(&self, at: Unix) -> Option<Rate> {
        let opens = Unix(at.0 - i64::from(WEEK_HOURS) * HOUR_NS);
        let end = self.rows.partition_point(|row| row.at <= at);
        let first = self.rows.partition_point(|row| row.at <= opens);
        // Without a row at or before its beginning, nobody knows what was due there.
        let opener = first.checked_sub(1)?;
        let last = self.rows[..end].last()?.at;
        let stated = self.stated.map(|hours| i64::from(hours) * HOUR_NS);
        let heard = self.announced.partition_point(|(heard, _)| *heard <= at);
        let announced = self.announced[..heard].last().map(|(_, coming)| *coming);
        let coming = announced.filter(|coming| *coming > last).or(stated.map(|gap| Unix(last.0 + gap)))?;
        if coming <= at {
            return None;
        }
        let moment = |i: usize| if i < end { self.rows[i].at } else { coming };
        let gap = |i: usize| moment(i + 1).0 - moment(i).0;
        for i in opener..end {
            let before = i.checked_sub(1).map(gap);
            let after = if i + 1 < end { Some(gap(i + 1)) } else { stated };
            if !self.is_closed(moment(i), moment(i + 1), [before, after]) {
                return None;
            }
        }
        let sum: i128 = self.rows[first..end].iter().map(|row| i128::from(row.rate.0)).sum();
        i64::try_from(sum).ok().map(Rate)
    }

    /// Whether nothing was due between two rows, the gaps beside theirs given.
    fn is_closed(&self, from: Unix, to: Unix, beside: [Option<i64>; 2]) -> bool {
        // What was announced when the gap began, and what was announced before that, or the shortest interval
        // there is, ran out. A clock may be a little behind the venue's.
        let begun = Unix(from.0 - MINUTE_NS);
        let after = self.announced.partition_point(|(heard, _)| *heard < begun);
        let mut reach = self.announced[..after].last().map(|(_, coming)| *coming).filter(|it| *it > from);
        for (heard, coming) in self.announced[after..].iter().filter(|(_, coming)| *coming > from) {
            if *heard >= reach.unwrap_or(Unix(from.0 + HOUR_NS)) {
                break;
            }
            reach = Some(*coming);
        }
        if let Some(reach) = reach {
            return to <= reach;
        }
        let gap = to.0 - from.0;
        let interval = |gap: i64| INTERVALS.iter().any(|hours| i64::from(*hours) * HOUR_NS == gap);
        beside.into_iter().flatten().any(|other| interval(other) && gap <= other)
    }

    /// What the rules count on at a moment; `None`: no estimate that is fresh enough, or no interval.
    #[must_use]
    pub fn carry(&self, at: Unix, estimate: Option<Rate>, age_ns: u64) -> Option<Carry> {
        let estimate = estimate.filter(|_| age_ns <= ESTIMATE_STALE_NS)?;
        Some(Carry { estimate, interval_hours: self.interval_hours(at)?, sum_7d: self.sum_7d(at) })
    }
}

#[cfg(test)]
#[path = "funding_tests.rs"]
mod tests;
