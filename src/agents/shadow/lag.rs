//! How far the disk is behind: records that are not durable after 2 s keep entries off (FAULTS 7.1, F113).
//!
//! Owns:  [`Lag`], the age of the oldest record that is not durable, and what follows from it.
//! Never: stops an exit or a repair, waits for the disk, or drops a record: what is not written stays in
//!        backlog and ring, and is durable once the disk is well again.

use super::Shadow;
use crate::event::Record;
use crate::units::Nanos;
use crate::units::time::SEC;
use std::collections::VecDeque;

/// How old a record may be that is not durable.
pub(super) const LAG_MAX_NS: u64 = 2 * SEC;
/// Marks kept: two of the limit's lengths, at one per round of timers. Records past them are found late by
/// less than the lag that is told already.
const MARKS_MAX: usize = 256;

/// What the engine says of itself meanwhile.
const WHY: &str = "the journal is not durable for more than 2 s; no entries until it is; check the disk";

/// The age of the oldest record that is not durable.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// How many records there were, and when that was first seen; the oldest first.
    marks: VecDeque<(u64, Nanos)>,
    late: bool,
}

impl Lag {
    /// Takes in how many records are written and durable now; whether that is too late, if it changed.
    fn look(&mut self, written: u64, durable: u64, now: Nanos) -> Option<bool> {
        while self.marks.front().is_some_and(|(count, _)| *count <= durable) {
            self.marks.pop_front();
        }
        let new = written > self.marks.back().map_or(durable, |(count, _)| *count);
        if new && self.marks.len() < MARKS_MAX {
            self.marks.push_back((written, now));
        }
        let late = self.marks.front().is_some_and(|(_, since)| now.since(*since) > LAG_MAX_NS);
        (std::mem::replace(&mut self.late, late) != late).then_some(late)
    }
}

impl Shadow {
    /// Looks at the disk, and says it once if it falls behind or has caught up.
    pub(super) fn tick_lag(&mut self, now: Nanos) {
        let (written, durable) = (self.written + self.backlog.len() as u64, self.doors.durable.read()[0]);
        let Some(late) = self.lag.look(written, durable, now) else { return };
        let why = if late { WHY } else { "the journal is durable again" };
        self.line(why);
        self.write(Record::Mode { at: self.clock.unix(), mode: self.mode().name(), why: why.to_owned() });
        // The trader hears of it at once, not with the next renewal.
        self.permit_due = now;
    }

    /// Why entries are off until the disk has caught up, if they are.
    pub(super) fn lags(&self) -> Option<&'static str> {
        self.lag.late.then_some(WHY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::time::MS;

    #[test]
    fn the_oldest_record_that_is_not_durable_counts() {
        let mut lag = Lag::default();
        let at = |ms: u64| Nanos(SEC + ms * MS);
        assert_eq!(lag.look(5, 5, at(0)), None);
        assert_eq!(lag.look(6, 5, at(20)), None);
        assert_eq!(lag.look(9, 5, at(1_500)), None);
        assert_eq!(lag.look(9, 5, at(2_020)), None, "two seconds are allowed");
        assert_eq!(lag.look(9, 5, at(2_021)), Some(true));
        assert_eq!(lag.look(50, 5, at(3_000)), None, "it is told once");
        assert_eq!(lag.look(50, 6, at(3_400)), Some(false), "what came later is younger");
        assert_eq!(lag.look(50, 6, at(3_501)), Some(true));
        assert_eq!(lag.look(50, 50, at(3_600)), Some(false));
        assert_eq!(lag.look(50, 50, at(99_000)), None, "idle is not late");
    }

    #[test]
    fn a_long_stall_needs_no_more_room() {
        let mut lag = Lag::default();
        for n in 1..100_000 {
            lag.look(n, 0, Nanos(n * 20 * MS));
        }
        assert!(lag.late && lag.marks.len() == MARKS_MAX);
        assert_eq!(lag.look(100_000, 100_000, Nanos(u64::MAX / 2)), Some(false));
    }
}
