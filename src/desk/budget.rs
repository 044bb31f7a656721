//! Request budgets: published limits in, the permit's cumulative ceilings out.
//!
//! Owns:  sliding windows of what we sent, the venue's own counters as a correction, the 60 % and
//!        90 % lines (DESIGN §5).
//! Never: lowers a ceiling: what was allowed once stays allowed, it was counted as spent.
//! Why:   the venue's windows are aligned; a sliding window of the same length is never above them,
//!        so keeping ours keeps theirs.

use crate::units::Nanos;
use std::collections::VecDeque;

/// Normal work stops at this share of a limit.
pub const NORMAL_PERCENT: u64 = 60;
/// Cancels, repairs, exits and queries of unknown orders stop at this share.
pub const RESERVE_PERCENT: u64 = 90;

/// Orders an ENTRY is charged per lane: its own leg and the worst repair of it (FAULTS F100).
pub const ENTRY_CHARGE: u64 = 1 + 6;

/// One published limit of one lane.
#[derive(Clone, Debug)]
pub struct Window {
    length_ns: u64,
    limit: u64,
    /// When each unit was spent, oldest first; as long as the limit at most.
    spent: VecDeque<Nanos>,
    /// What the venue's counter said beyond ours, and until when that may count.
    foreign: (u64, Nanos),
    peak: u64,
}

impl Window {
    /// A limit of `limit` units in `length_ns`.
    #[must_use]
    pub fn new(length_ns: u64, limit: u64) -> Self {
        Self { length_ns, limit, spent: VecDeque::new(), foreign: (0, Nanos::ZERO), peak: 0 }
    }

    /// Units spent now.
    pub fn spend(&mut self, units: u64, now: Nanos) {
        for _ in 0..units {
            self.spent.push_back(now);
        }
        let used = self.used(now);
        self.peak = self.peak.max(used);
    }

    /// The venue's counter of its own window: the larger of both is the truth (FAULTS F97).
    pub fn told(&mut self, venue_used: u64, now: Nanos) {
        self.expire(now);
        let ours = self.spent.len() as u64;
        if venue_used > ours {
            self.foreign = (venue_used - ours, now.plus(self.length_ns));
        }
    }

    /// Units used in the window that ends now.
    pub fn used(&mut self, now: Nanos) -> u64 {
        self.expire(now);
        self.spent.len() as u64 + self.foreign.0
    }

    /// Units left below `percent` of the limit.
    pub fn room(&mut self, percent: u64, now: Nanos) -> u64 {
        (self.limit * percent / 100).saturating_sub(self.used(now))
    }

    /// The largest share of the limit ever used, in percent, rounded up.
    #[must_use]
    pub fn peak_percent(&self) -> u64 {
        (self.peak * 100).div_ceil(self.limit.max(1))
    }

    fn expire(&mut self, now: Nanos) {
        while self.spent.front().is_some_and(|at| now.since(*at) >= self.length_ns) {
            self.spent.pop_front();
        }
        if now > self.foreign.1 {
            self.foreign.0 = 0;
        }
    }
}

/// All order limits of one lane (a venue's market), and the ceilings that follow.
#[derive(Clone, Debug)]
pub struct Lane {
    windows: Vec<Window>,
    /// Orders of any class the shadow has heard of.
    sent: u64,
    /// Charges of entries the shadow has heard of.
    charged: u64,
    /// Reserves of entries whose pair is not resolved yet.
    reserved: u64,
    entry_ceiling: u64,
    all_ceiling: u64,
}

impl Lane {
    /// With the lane's published order limits as `(window ns, limit)`.
    #[must_use]
    pub fn new(limits: &[(u64, u64)]) -> Self {
        Self {
            windows: limits.iter().map(|&(length, limit)| Window::new(length, limit)).collect(),
            sent: 0,
            charged: 0,
            reserved: 0,
            entry_ceiling: 0,
            all_ceiling: 0,
        }
    }

    /// An order went out on this lane.
    pub fn on_order(&mut self, entry: bool, now: Nanos) {
        self.sent += 1;
        if entry {
            self.charged += ENTRY_CHARGE;
            self.reserved += ENTRY_CHARGE - 1;
        }
        for window in &mut self.windows {
            window.spend(1, now);
        }
    }

    /// An entry's pair is resolved: what its repair did not need is free again.
    pub fn on_resolved(&mut self) {
        self.reserved = self.reserved.saturating_sub(ENTRY_CHARGE - 1);
    }

    /// The venue's counter for the window of this length.
    pub fn told(&mut self, length_ns: u64, used: u64, now: Nanos) {
        for window in self.windows.iter_mut().filter(|w| w.length_ns == length_ns) {
            window.told(used, now);
        }
    }

    /// The ceilings now: `(entry charges, orders of any class)`, cumulative since start, never falling.
    ///
    /// `entries_allowed` false keeps the entry ceiling where it is: nothing new may start.
    pub fn ceilings(&mut self, entries_allowed: bool, now: Nanos) -> (u64, u64) {
        let room = |windows: &mut Vec<Window>, percent| {
            windows.iter_mut().map(|w| w.room(percent, now)).min().unwrap_or(0)
        };
        self.all_ceiling = self.all_ceiling.max(self.sent + room(&mut self.windows, RESERVE_PERCENT));
        if entries_allowed {
            let free = room(&mut self.windows, NORMAL_PERCENT).saturating_sub(self.reserved);
            self.entry_ceiling = self.entry_ceiling.max(self.charged + free);
        }
        (self.entry_ceiling, self.all_ceiling)
    }

    /// Each window: its length in ns, units used now, the venue's limit.
    pub fn used(&mut self, now: Nanos) -> impl Iterator<Item = (u64, u64, u64)> {
        self.windows.iter_mut().map(move |window| (window.length_ns, window.used(now), window.limit))
    }

    /// The largest share of any limit ever used, in percent, rounded up.
    #[must_use]
    pub fn peak_percent(&self) -> u64 {
        self.windows.iter().map(Window::peak_percent).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::time::SEC;

    #[test]
    fn normal_work_stops_at_sixty_percent_and_resumes_when_the_window_slides() {
        let mut lane = Lane::new(&[(10 * SEC, 100)]);
        let now = Nanos(SEC);
        let (entry, all) = lane.ceilings(true, now);
        assert_eq!((entry, all), (60, 90));
        for _ in 0..60 {
            lane.on_order(false, now);
        }
        let (entry, all) = lane.ceilings(true, now);
        assert_eq!(entry, 60, "never lowered");
        assert_eq!(all, 90, "60 sent, 30 left");
        let later = now.plus(10 * SEC);
        assert_eq!(lane.ceilings(true, later), (60, 150));
    }

    #[test]
    fn an_entry_holds_its_repair_back_until_its_pair_is_resolved() {
        let mut lane = Lane::new(&[(10 * SEC, 100)]);
        let now = Nanos(SEC);
        assert_eq!(lane.ceilings(true, now).0, 60);
        lane.on_order(true, now);
        // Charged 7; 59 left of the normal line, 6 of them held back.
        assert_eq!(lane.ceilings(true, now).0, 60, "7 + 53");
        lane.on_resolved();
        assert_eq!(lane.ceilings(true, now).0, 66, "7 + 59");
        assert_eq!(lane.ceilings(false, now).0, 66);
    }

    #[test]
    fn the_venues_larger_count_is_believed() {
        let mut window = Window::new(10 * SEC, 100);
        window.spend(5, Nanos(SEC));
        window.told(50, Nanos(SEC));
        assert_eq!(window.used(Nanos(SEC)), 50);
        assert_eq!(window.room(NORMAL_PERCENT, Nanos(SEC)), 10);
        assert_eq!(window.used(Nanos(12 * SEC)), 0);
    }
}
