//! Request budgets of venues that count requests by address and path: fixed windows, and a pause for who goes over.
//!
//! Owns:  how many requests a window has seen, its peak, and until when an address is sent away.
//! Never: knows a limit: each dialect states its own.

use std::collections::BTreeMap;

/// So many requests in so long a window, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) window_ns: u64,
}

/// One window, and the most that any held.
#[derive(Clone, Copy, Debug)]
struct Counted {
    rate: Rate,
    begins: u64,
    count: u32,
    peak: u32,
}

/// All windows, by what is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    windows: BTreeMap<&'static str, Counted>,
    /// Until when everything is refused, box clock, ns.
    away_until: u64,
}

impl Rates {
    /// Counts a request; `false`: it is one too many. Refused requests count as well.
    pub(super) fn admit(&mut self, what: &'static str, rate: Rate, clock: u64) -> bool {
        let begins = clock - clock % rate.window_ns;
        let it = self.windows.entry(what).or_insert(Counted { rate, begins, count: 0, peak: 0 });
        if it.begins != begins {
            (it.begins, it.count) = (begins, 0);
        }
        it.count += 1;
        it.peak = it.peak.max(it.count);
        it.count <= rate.limit
    }

    /// Sends the address away for so long, ns.
    pub(super) fn send_away(&mut self, clock: u64, for_ns: u64) {
        self.away_until = self.away_until.max(clock + for_ns);
    }

    /// Is everything refused now?
    pub(super) fn is_away(&self, clock: u64) -> bool {
        clock < self.away_until
    }

    /// What was counted: its name, its limit, and the most a window held.
    pub(super) fn peaks(&self) -> impl Iterator<Item = (&'static str, u32, u32)> + '_ {
        self.windows.iter().map(|(what, it)| (*what, it.rate.limit, it.peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_until_the_next_and_its_peak_is_kept() {
        let rate = Rate { limit: 2, window_ns: 10 };
        let mut rates = Rates::default();
        let taken: Vec<bool> = [0, 1, 9, 10].map(|clock| rates.admit("time", rate, clock)).into();
        assert_eq!(taken, [true, true, false, true]);
        assert_eq!(rates.peaks().collect::<Vec<_>>(), [("time", 2, 3)]);
        rates.send_away(10, 5);
        assert!(rates.is_away(14) && !rates.is_away(15));
    }
}
