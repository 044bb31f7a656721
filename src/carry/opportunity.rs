//! What a pair promises to one who holds it: funding per year, and the economics of DESIGN §5 at a caller's hold.
//!
//! Owns:  the APR of an interval's rate, what of it fees leave over a hold, and an entry weighed with all its costs.
//! Never: rounds in the caller's favour, or counts carry that nobody knows.

use super::rules::{Costs, NoEntry, Policy};
use super::signal::{HOUR_S, Signal, YEAR_HOURS};
use crate::units::{Rate, Ratio};

/// Of an interval's rate, what it makes in a year: a count of 10^-18, rounded down. No interval of 0 h.
#[must_use]
pub fn apr(rate: Rate, interval_hours: u32) -> i128 {
    (i128::from(rate.0) * YEAR_HOURS).div_euclid(i128::from(interval_hours.max(1)))
}

/// The same less a round trip's fees over the hold, in seconds; fees are rounded up.
#[must_use]
pub fn net_apr(apr: i128, fees: Rate, hold_s: u64) -> i128 {
    let per_year = -(-i128::from(fees.0) * YEAR_HOURS * HOUR_S).div_euclid(i128::from(hold_s.max(1)));
    apr - per_year
}

/// An entry at one basis, weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// What it earns over the hold after all costs; `None` while its carry is not known.
    pub expected: Option<Ratio>,
    /// The same per year.
    pub net_apr: Option<Ratio>,
    /// Hours of carry that pay a round trip, and a basis that is against it, rounded up; `None`: never, or not known.
    pub break_even_hours: Option<u64>,
    /// Why no basis would do under the policy's bar.
    pub against: Option<NoEntry>,
}

impl Edge {
    /// Weighs an entry at this executable basis.
    #[must_use]
    pub fn weigh(policy: &Policy, signal: Signal, costs: &Costs, basis: Ratio) -> Self {
        let entry = policy.enter(policy.min_net_apr, signal, costs);
        let to_pay = costs.round_trip().saturating_sub(policy.counted_basis(basis));
        let per_hour = signal.counted().and_then(|counted| counted.over(HOUR_S as u64));
        let hours = per_hour.filter(|each| *each > Ratio::ZERO).map(|each| {
            let (whole, each) = (to_pay.to_bits().max(0), each.to_bits());
            -(-whole).div_euclid(each)
        });
        Self {
            expected: policy.expected(&entry, basis),
            net_apr: policy.net_apr(&entry, basis),
            break_even_hours: hours.and_then(|hours| u64::try_from(hours).ok()),
            against: entry.enter.err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::tests::carry;
    use super::*;
    use crate::units::Direction;
    use crate::units::decimal::short;

    const YEAR_S: u64 = 365 * 86_400;

    fn rate(text: &str) -> Rate {
        Rate::parse(text.as_bytes()).unwrap()
    }

    /// The documents' table, to the digit, and what a shorter hold leaves.
    #[test]
    fn rates_make_the_aprs_of_the_table() {
        for (text, hours, gross, net) in [
            ("0.00032", 8, "0.3504", "0.3464"),
            ("0.00015", 8, "0.16425", "0.16025"),
            ("0.0001", 8, "0.1095", "0.1055"),
            ("0.0001", 1, "0.876", "0.872"),
            ("-0.0002", 4, "-0.438", "-0.442"),
        ] {
            let made = apr(rate(text), hours);
            assert_eq!(short(made, 18), gross, "{text}");
            assert_eq!(short(net_apr(made, rate("0.0040"), YEAR_S), 18), net, "{text}");
        }
        // The bot guide's yield is that of one day.
        assert_eq!(short(net_apr(apr(rate("0.0003"), 8), rate("0.002"), 86_400), 18), "-0.4015");
        // A third of a unit is charged as a whole one.
        assert_eq!(net_apr(0, Rate(1), 3 * YEAR_S), -1);
    }

    #[test]
    fn an_entry_breaks_even_when_its_carry_has_paid_all_costs() {
        let bps = |n: i64| Ratio::from_num(n) / 10_000;
        let costs = Costs { fees_one_way: bps(15), exit_spread: bps(2), slip: bps(4) };
        let policy = Policy { min_net_apr: None, ..Policy::default() };
        // 3 bp every 8 h: 36 bp of costs are paid after 96 h, and the last place is rounded against us.
        let signal = |sum| Signal::new(&carry("0.0003", 8, sum), Direction::Short);
        let flat = Edge::weigh(&policy, signal(Some("0.0063")), &costs, Ratio::ZERO);
        assert!(matches!(flat.break_even_hours, Some(96 | 97)), "{flat:?}");
        // A basis in our favour is not counted at κ 0; one against us has to be paid as well.
        assert_eq!(Edge::weigh(&policy, signal(Some("0.0063")), &costs, bps(10)), flat);
        let dear = Edge::weigh(&policy, signal(Some("0.0063")), &costs, bps(-12));
        assert!(matches!(dear.break_even_hours, Some(128 | 129)) && dear.net_apr < flat.net_apr);
        // 63 bp of a week less 36, but for the last places of what these are made of.
        let off = flat.expected.unwrap() - bps(27);
        assert!(off.abs() < Ratio::from_num(1) / 1_000_000_000, "{off}");
        let unknown = Edge::weigh(&policy, signal(None), &costs, Ratio::ZERO);
        assert_eq!((unknown.net_apr, unknown.break_even_hours), (None, None));
        assert_eq!(unknown.against, Some(NoEntry::NoMean));
        let paying = Edge::weigh(&policy, signal(Some("-0.001")), &costs, Ratio::ZERO);
        assert_eq!(paying.break_even_hours, None);
    }
}
