//! What follows when the host's calendar jumps: no entries until the venues' clocks are learned anew (FAULTS F1, F2).
//!
//! Owns:  whether that is so, and telling it.
//! Never: stops an exit or a repair for it: those leave by the last offset, which is mostly the right one.

use super::Shadow;
use crate::event::Record;
use crate::units::Nanos;
use crate::units::time::MS;

impl Shadow {
    pub(super) fn on_stepped(&mut self, by_ns: i64, now: Nanos) {
        let why = format!(
            "this host's calendar jumped by {} ms; no entries until the venues' clocks are learned anew",
            by_ns / MS as i64
        );
        self.calendar = Some(why.clone());
        self.tell_calendar("frozen", why, now);
    }

    pub(super) fn on_clocks_learned(&mut self, now: Nanos) {
        if self.calendar.take().is_some() {
            self.tell_calendar(self.mode().name(), "the venues' clocks are learned anew".to_owned(), now);
        }
    }

    fn tell_calendar(&mut self, mode: &'static str, why: String, now: Nanos) {
        self.line(&why);
        self.write(Record::Mode { at: self.clock.unix(), mode, why });
        // The trader hears of it at once, not with the next renewal.
        self.permit_due = now;
    }
}
