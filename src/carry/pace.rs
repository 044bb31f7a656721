//! When something may be done again: the guard before a settlement, coming back, adding, moving on.
//!
//! Owns:  the named decisions of DESIGN §5 that are about time and repetition, with their numbers.
//! Never: reads a clock; times come as how long ago, or on the venue's own clock.

use super::rules::{Costs, Entry, Policy};
use crate::units::time::SEC;
use crate::units::{Ratio, Unix};

/// No entry so long before a pair's settlement, whatever its interval (FAULTS F8).
pub const GUARD_NS: i64 = 15 * 60 * SEC as i64;
/// A pair that was left takes no entry for so long, unless it promises clearly more.
pub const REENTRY_NS: u64 = 8 * 3_600 * SEC;

/// Until when a pair may be entered, on the venue's clock; the settlement to come is the venue's own word.
#[must_use]
pub const fn entries_until(settlement: Unix) -> Unix {
    Unix(settlement.0.saturating_sub(GUARD_NS))
}

/// What is left of the wait of a pair that was left so long ago.
#[must_use]
pub const fn wait_after(left_ago_ns: u64) -> u64 {
    REENTRY_NS.saturating_sub(left_ago_ns)
}

/// How entries of a pair are weighed now that it was left some time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reentry {
    /// Under the policy's own bar: never held, or the wait is over.
    Free,
    /// Under this bar for so much longer: 1.5 times the policy's; where that has none, 0: it must cover its costs.
    Raised {
        /// The bar.
        bar: Ratio,
        /// How long, in ns.
        wait_ns: u64,
    },
}

impl Policy {
    /// What coming back asks for while so much of the wait is left.
    #[must_use]
    pub fn reentry(&self, wait_ns: u64) -> Reentry {
        if wait_ns == 0 {
            return Reentry::Free;
        }
        // Without a bar there is nothing to exceed; but what was just left at a cost, and would be entered again
        // at a loss by its own numbers, would go in and out with every settlement. A negative bar is not made easier.
        let bar = self.min_net_apr.unwrap_or(Ratio::ZERO);
        Reentry::Raised { bar: bar.max(half_more(bar)), wait_ns }
    }

    /// Whether moving from a position that is held into another entry pays. `held` and `other` are weighed
    /// under the same policy; `basis` is the other's executable entry basis. `None`: a number is missing.
    #[must_use]
    pub fn rotate(&self, held: (&Entry, &Costs), other: (&Entry, &Costs), basis: Ratio) -> Option<Rotation> {
        let (stay, go) = (held.0.carry?, other.0.carry?);
        let gain = go.checked_sub(stay)?.checked_add(self.counted_basis(basis))?;
        // What leaving costs once, and what the other costs in and out.
        let leaving = held.1.fees_one_way.checked_add(held.1.exit_spread)?.checked_add(held.1.slip)?;
        let costs = leaving.checked_add(other.1.round_trip())?;
        Some(Rotation { gain, costs, pays: gain > half_more(costs) })
    }
}

/// One weighing of a rotation, as fractions of the notional over the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// What the other earns beyond what is held.
    pub gain: Ratio,
    /// What the move costs.
    pub costs: Ratio,
    /// Whether it gains more than 1.5 times what it costs.
    pub pays: bool,
}

/// Half as much again, rounded up where it is positive.
fn half_more(of: Ratio) -> Ratio {
    let half = of.to_bits() / 2 + of.to_bits() % 2;
    of.saturating_add(Ratio::from_bits(half))
}

/// How a position grows: so many clips, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleIn {
    /// Clips one position may have.
    pub clips_max: u32,
    /// How long after a clip the next may follow, in ns.
    pub cool_down_ns: u64,
}

impl Default for ScaleIn {
    /// One clip, ten minutes.
    fn default() -> Self {
        Self { clips_max: 1, cool_down_ns: 600 * SEC }
    }
}

/// Whether another clip may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// Yes, if its entry pays.
    Open,
    /// In so many ns.
    Cooling(u64),
    /// It has all its clips.
    Full,
}

impl ScaleIn {
    /// For a position of so many clips, the last of them so long ago.
    #[must_use]
    pub const fn next(&self, clips: u32, last_ago_ns: u64) -> Adding {
        if clips >= self.clips_max {
            Adding::Full
        } else if clips > 0 && last_ago_ns < self.cool_down_ns {
            Adding::Cooling(self.cool_down_ns - last_ago_ns)
        } else {
            Adding::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::Signal;
    use super::super::signal::tests::carry;
    use super::*;
    use crate::units::Direction;

    fn bps(n: i64) -> Ratio {
        Ratio::from_num(n) / 10_000
    }

    #[test]
    fn coming_back_within_eight_hours_must_promise_half_as_much_again() {
        let policy = Policy { min_net_apr: Some(bps(1_500)), ..Policy::default() };
        assert_eq!((wait_after(0), wait_after(REENTRY_NS - 1)), (REENTRY_NS, 1));
        assert_eq!((wait_after(REENTRY_NS), wait_after(u64::MAX)), (0, 0));
        assert_eq!(policy.reentry(0), Reentry::Free);
        let Reentry::Raised { bar, wait_ns: 1 } = policy.reentry(1) else { panic!() };
        assert!((bar - bps(2_250)).abs() <= Ratio::DELTA * 2, "{bar}");
        let off = Policy { min_net_apr: None, ..policy };
        let covers_costs = Reentry::Raised { bar: Ratio::ZERO, wait_ns: REENTRY_NS };
        assert_eq!((off.reentry(REENTRY_NS), off.reentry(0)), (covers_costs, Reentry::Free));
        let negative = Policy { min_net_apr: Some(bps(-1_500)), ..policy };
        assert_eq!(negative.reentry(REENTRY_NS), Reentry::Raised { bar: bps(-1_500), wait_ns: REENTRY_NS });
    }

    #[test]
    fn a_move_that_only_just_pays_is_not_made() {
        let policy = Policy::default();
        let costs = Costs { fees_one_way: bps(15), exit_spread: bps(1), slip: bps(4) };
        let weighed = |estimate: &str, sum: &str| {
            policy.enter(
                policy.min_net_apr,
                Signal::new(&carry(estimate, 8, Some(sum)), Direction::Short),
                &costs,
            )
        };
        let held = weighed("0.0001", "0.0021");
        let rotate = |other: &Entry, basis| policy.rotate((&held, &costs), (other, &costs), basis).unwrap();
        // It costs 20 bp to leave and 35 bp for the other's round trip; 1.5 times that is 82.5 bp.
        let (just, clearly) = (weighed("0.0005", "0.0102"), weighed("0.0005", "0.0104"));
        assert!(!rotate(&just, Ratio::ZERO).pays, "{:?}", rotate(&just, Ratio::ZERO));
        assert!(rotate(&clearly, Ratio::ZERO).pays, "{:?}", rotate(&clearly, Ratio::ZERO));
        assert!(!rotate(&clearly, bps(-10)).pays, "a bad entry basis counts in full");
        assert!(!rotate(&just, bps(10)).pays, "a good one by κ, which is 0");
        assert_eq!(
            policy.rotate((&held, &costs), (&weighed_without_mean(&policy, &costs), &costs), bps(0)),
            None
        );
    }

    fn weighed_without_mean(policy: &Policy, costs: &Costs) -> Entry {
        policy.enter(None, Signal::new(&carry("0.0100", 8, None), Direction::Short), costs)
    }

    #[test]
    fn clips_are_added_one_at_a_time_and_no_more_than_allowed() {
        let three = ScaleIn { clips_max: 3, cool_down_ns: 100 };
        assert_eq!(three.next(0, 0), Adding::Open, "the first waits for nothing");
        assert_eq!(three.next(1, 99), Adding::Cooling(1));
        assert_eq!(three.next(2, 100), Adding::Open);
        assert_eq!(three.next(3, 1_000), Adding::Full);
    }

    #[test]
    fn the_guard_closes_a_quarter_of_an_hour_before_any_settlement() {
        let settlement = Unix(1_772_694_000_000_000_000);
        assert_eq!(entries_until(settlement).to_string(), "2026-03-05T06:45:00.000Z");
    }
}
