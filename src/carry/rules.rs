//! The entry threshold of DESIGN §5, computed cold in ratios and rounded against us.
//!
//! Owns:  `enter`, the executable basis from which on a pair earns its bar over the hold.
//! Never: counts carry that is not known: no estimate, no entry. The running estimate stands alone
//!        here; the settled seven-day mean joins it with the funding store.
//! Formula: T = min_net_apr·H/8760 + fees_rt + exit_spread + slip + borrow·H − c·H;
//!        enter = max(min_basis, T if T ≤ 0, T/κ if κ > 0, else never).

use crate::units::{Direction, Rate, Ratio};

/// Hours in a year, as every APR here is told.
pub const YEAR_HOURS: i64 = 8_760;

/// What the trader of money chose.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// H: how long a position is expected to be held, in hours.
    pub hold_hours: Ratio,
    /// The bar: net APR an entry must promise; `None` switches the bar off.
    pub min_net_apr: Option<Ratio>,
    /// No entry below this executable basis, whatever the carry.
    pub min_basis: Ratio,
    /// κ: how much of a positive entry basis counts as earned.
    pub kappa: Ratio,
}

/// What the market and the account say about one pair and direction.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// The running funding estimate per interval.
    pub estimate: Rate,
    /// Hours between settlements while the estimate is earned, at the longest it may be.
    pub income_interval_hours: u32,
    /// Hours between settlements while it is paid, at the shortest it may be.
    pub payment_interval_hours: u32,
    /// Taker fees of both legs, one way: spot + perp.
    pub fees_one_way: Ratio,
    /// Slow mean of both spreads.
    pub exit_spread: Ratio,
    /// Both entry collars.
    pub slip: Ratio,
}

impl Policy {
    /// The executable basis from which on an entry pays; `None`: never.
    ///
    /// With the bar off, `min_basis` alone decides.
    #[must_use]
    pub fn enter(&self, costs: &Costs, direction: Direction) -> Option<Ratio> {
        let Some(bar) = self.min_net_apr else { return Some(self.min_basis) };
        // c: received per hour by a short where the estimate is positive. Rounded down.
        let per_interval = match direction {
            Direction::Short => costs.estimate.ratio_floor(),
            Direction::Long => (-costs.estimate.ratio_ceil()).min(-costs.estimate.ratio_floor()),
        };
        let hours = if per_interval >= Ratio::ZERO {
            costs.income_interval_hours
        } else {
            costs.payment_interval_hours
        };
        let carry = (per_interval * self.hold_hours).checked_div(Ratio::from_num(hours))?;
        let wanted = bar * self.hold_hours / Ratio::from_num(YEAR_HOURS);
        // The products above are each off by less than one unit of 2^-64; 16 of them are ours.
        let slack = Ratio::DELTA * Ratio::from_num(16);
        let threshold =
            wanted + costs.fees_one_way * Ratio::from_num(2) + costs.exit_spread + costs.slip - carry + slack;
        let needed = if threshold <= Ratio::ZERO {
            threshold
        } else if self.kappa > Ratio::ZERO {
            threshold.checked_div(self.kappa)?
        } else {
            return None;
        };
        Some(needed.max(self.min_basis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            hold_hours: Ratio::from_num(168),
            min_net_apr: Some(Ratio::from_num(15) / 100),
            min_basis: Ratio::ZERO,
            kappa: Ratio::ZERO,
        }
    }

    fn costs(estimate: &str) -> Costs {
        Costs {
            estimate: Rate::parse(estimate.as_bytes()).unwrap(),
            income_interval_hours: 8,
            payment_interval_hours: 8,
            fees_one_way: Ratio::from_num(15) / 10_000,
            exit_spread: Ratio::from_num(1) / 10_000,
            slip: Ratio::from_num(4) / 10_000,
        }
    }

    #[track_caller]
    fn bps(policy: &Policy, costs: &Costs, direction: Direction) -> Option<i64> {
        policy.enter(costs, direction).map(|enter| (enter * 1_000_000).round().to_num::<i64>())
    }

    #[test]
    fn what_basis_cannot_earn_carry_must() {
        // 0.15 · 168/8760 + 0.0030 + 0.0001 + 0.0004 = 63.77 bp of costs against 21 intervals.
        assert_eq!(bps(&policy(), &costs("0.0001"), Direction::Short), None, "21 bp of carry is not enough");
        assert_eq!(
            bps(&policy(), &costs("0.0004"), Direction::Short),
            Some(0),
            "84 bp is: any basis ≥ 0 will do"
        );
        let eager = Policy { min_basis: Ratio::from_num(-50) / 10_000, ..policy() };
        // 6376.7 − 8400 in 10^-6.
        assert_eq!(bps(&eager, &costs("0.0004"), Direction::Short), Some(-2_023));
    }

    #[test]
    fn with_kappa_the_basis_pays_for_what_carry_does_not() {
        let demo = Policy { hold_hours: Ratio::ONE, kappa: Ratio::ONE, ..policy() };
        // 0.15/8760 + 0.0035 − 0.0001/8 = 17.1 + 3500 − 12.5 in 10^-6.
        assert_eq!(bps(&demo, &costs("0.0001"), Direction::Short), Some(3_505));
        let half = Policy { kappa: Ratio::from_num(1) / 2, ..demo };
        assert_eq!(bps(&half, &costs("0.0001"), Direction::Short), Some(7_009));
    }

    #[test]
    fn a_long_position_earns_where_the_estimate_is_negative() {
        let eager = Policy { min_basis: Ratio::from_num(-1), ..policy() };
        assert_eq!(bps(&eager, &costs("-0.0004"), Direction::Long), Some(-2_023));
        assert_eq!(bps(&eager, &costs("0.0004"), Direction::Long), None);
    }

    #[test]
    fn an_interval_that_is_not_known_counts_against_us_on_both_sides() {
        let eager = Policy { min_basis: Ratio::from_num(-1), kappa: Ratio::ONE, ..policy() };
        let unsure = |estimate| Costs { payment_interval_hours: 1, ..costs(estimate) };
        assert_eq!(bps(&eager, &unsure("0.0004"), Direction::Short), Some(-2_023), "income over 8 h");
        // 6376.7 + 168 · 400 in 10^-6.
        assert_eq!(bps(&eager, &unsure("-0.0004"), Direction::Short), Some(73_577), "payments every hour");
    }

    #[test]
    fn with_the_bar_off_the_basis_alone_decides() {
        let off = Policy { min_net_apr: None, min_basis: Ratio::from_num(-3) / 10_000, ..policy() };
        assert_eq!(bps(&off, &costs("-0.0100"), Direction::Short), Some(-300));
    }
}
