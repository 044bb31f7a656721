//! When a position is left: because closing now pays more than holding, or because holding stopped paying.
//!
//! Owns:  [`Exit`], the exit ratio of DESIGN §5 with its numbers; [`Unwind`], the forced exit.
//! Never: acts on a single print: the median negative run in the real series is one settlement. Leaves for
//!        a number that is missing.
//! Formula: leave when b_ref − b_x > c⁺·H + ρ·fees_rt, so when b_x is below b_ref − c⁺·H − ρ·fees_rt.

use super::rules::{Costs, Policy};
use super::signal::Signal;
use crate::units::{Ratio, Unix};

/// One weighing of an exit, all in the position's own sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Funding's two witnesses.
    pub signal: Signal,
    /// b_ref.
    pub reference: Ratio,
    /// c⁺·H: what leaving forgoes, rounded up; `None` without the mean.
    pub forgone: Option<Ratio>,
    /// ρ·fees_rt, rounded up.
    pub fees: Ratio,
    /// The executable closing basis at or below which leaving pays; `None`: not known, so hold.
    pub leave: Option<Ratio>,
}

impl Policy {
    /// Weighs an exit. Rounded so that in doubt the position is held.
    #[must_use]
    pub fn leave(&self, signal: Signal, costs: &Costs, reference: Ratio) -> Exit {
        let forgone = signal.hoped().and_then(|hoped| hoped.over_at_most(self.hold_s));
        let fees = self.rho.saturating_mul(costs.fees_round_trip()).saturating_add(Ratio::DELTA);
        let leave = forgone.and_then(|forgone| {
            // Strictly more than it costs: one unit of the last place further.
            reference.checked_sub(forgone)?.checked_sub(fees)?.checked_sub(Ratio::DELTA)
        });
        Exit { signal, reference, forgone, fees, leave }
    }

    /// Whether estimate and mean are both below what a position must keep earning; `None` without the
    /// mean. Exact.
    #[must_use]
    pub fn starves(&self, signal: Signal) -> Option<bool> {
        Some(signal.hoped()?.is_below(self.unwind_apr))
    }
}

/// The forced exit of one position: both witnesses below `unwind_apr`, before a settlement and after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwind {
    /// The settlement that was to come when both were first seen below.
    across: Option<Unix>,
    forced: bool,
}

impl Unwind {
    /// Takes in what funding says at `now` on the venue's clock, with the settlement to come. A mean that
    /// is missing says nothing: what was seen before stands.
    pub fn on(&mut self, starves: Option<bool>, settlement: Unix, now: Unix) {
        match (starves, self.across) {
            (None, _) => {}
            (Some(false), _) => *self = Self::default(),
            (Some(true), None) => self.across = Some(settlement),
            // A settlement is over when its time has come and the venue tells of another.
            (Some(true), Some(across)) => self.forced |= now >= across && settlement > across,
        }
    }

    /// Whether the position must be left.
    #[must_use]
    pub const fn is_forced(self) -> bool {
        self.forced
    }

    /// The settlement across which both must stay below, once they are.
    #[must_use]
    pub const fn across(self) -> Option<Unix> {
        self.across
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::tests::carry;
    use super::*;
    use crate::units::{Direction, Rate};

    const HOUR: i64 = 3_600_000_000_000;

    fn bps(n: i64) -> Ratio {
        Ratio::from_num(n) / 10_000
    }

    fn costs() -> Costs {
        Costs { fees_one_way: bps(15), exit_spread: bps(1), slip: bps(4) }
    }

    #[track_caller]
    fn check(policy: &Policy, estimate: &str, sum: &str, reference: i64, ppm: i64) {
        let signal = Signal::new(&carry(estimate, 8, Some(sum)), Direction::Short);
        let exit = policy.leave(signal, &costs(), bps(reference));
        assert_eq!((exit.leave.unwrap() * 1_000_000).round().to_num::<i64>(), ppm, "{exit:?}");
    }

    #[test]
    fn a_position_is_left_when_convergence_pays_more_than_carry_and_half_the_fees() {
        let policy = Policy::default();
        // 21 intervals of the larger one, and half of 30 bp.
        check(&policy, "0.0001", "0.0021", 0, -2_100 - 1_500);
        check(&policy, "0.0001", "0.0042", 0, -4_200 - 1_500);
        check(&policy, "0.0003", "0.0021", 0, -6_300 - 1_500);
        check(&policy, "0.0001", "0.0021", 10, 1_000 - 2_100 - 1_500);
        check(&Policy { rho: Ratio::ZERO, ..policy }, "0.0001", "0.0021", 0, -2_100);
        // Carry that is paid is no reason to wait for a better basis.
        check(&policy, "-0.0001", "-0.0021", 0, 2_100 - 1_500);
    }

    #[test]
    fn what_is_not_known_holds_the_position() {
        let unknown = Signal::new(&carry("-0.0300", 8, None), Direction::Short);
        assert_eq!(Policy::default().leave(unknown, &costs(), bps(50)).leave, None);
        assert_eq!(Policy::default().starves(unknown), None);
    }

    #[test]
    fn a_long_position_starves_on_what_a_short_earns() {
        let fed = carry("0.0001", 8, Some("0.0021"));
        assert_eq!(Policy::default().starves(Signal::new(&fed, Direction::Short)), Some(false));
        assert_eq!(Policy::default().starves(Signal::new(&fed, Direction::Long)), Some(true));
        let nothing = carry("0", 8, Some("0"));
        assert_eq!(
            Policy::default().starves(Signal::new(&nothing, Direction::Short)),
            Some(false),
            "not below 0"
        );
        let picky = Policy { unwind_apr: Rate::parse(b"0.1095").unwrap(), ..Policy::default() };
        assert_eq!(picky.starves(Signal::new(&fed, Direction::Short)), Some(false), "exactly at the line");
        let pickier = Policy { unwind_apr: Rate(picky.unwind_apr.0 + 1), ..picky };
        assert_eq!(pickier.starves(Signal::new(&fed, Direction::Short)), Some(true));
    }

    /// What each hour's print says (estimate and mean below, or not, or unknown), and whether the position is
    /// left in the end. Settlements are every `interval` hours.
    #[track_caller]
    fn left(interval: i64, prints: &[Option<bool>]) -> bool {
        let mut unwind = Unwind::default();
        for (hour, print) in prints.iter().enumerate() {
            // Half an hour past each full one.
            let now = hour as i64 * HOUR + HOUR / 2;
            let settlement = Unix((now / (interval * HOUR) + 1) * interval * HOUR);
            unwind.on(*print, settlement, Unix(now));
        }
        unwind.is_forced()
    }

    #[test]
    fn one_bad_print_holds_and_a_settlement_of_them_does_not() {
        let (bad, good) = (Some(true), Some(false));
        for interval in [1, 4, 8] {
            let before = interval as usize - 1;
            // The last print before a settlement, and the first after it.
            let prints = |a, b| [vec![good; before], vec![a, b]].concat();
            assert!(!left(interval, &prints(bad, good)), "{interval} h: one print");
            assert!(!left(interval, &prints(good, bad)), "{interval} h: only after it");
            assert!(left(interval, &prints(bad, bad)), "{interval} h");
        }
        assert!(!left(8, &[bad; 8]), "eight hours below, and no settlement");
        assert!(!left(8, &[&[bad; 7][..], &[good], &[bad; 8]].concat()), "one good print begins anew");
    }

    #[test]
    fn a_mean_that_is_missing_after_a_settlement_neither_forces_nor_forgives() {
        let (bad, unknown) = (Some(true), None);
        assert!(!left(1, &[bad, unknown, unknown]));
        assert!(left(1, &[bad, unknown, unknown, bad]));
    }
}
