//! The entry rule of DESIGN §5, computed cold in ratios and rounded against us.
//!
//! Owns:  [`Policy`], what the trader of money chose; [`Entry`], the basis from which on a pair earns
//!        its bar over the hold, with every number it came from.
//! Never: counts carry that is not known: no seven-day mean, no entry. Borrowing costs nothing here,
//!        since a long position sells granted inventory.
//! Formula: expected = c·H + g(b) − fees_rt − exit_spread − slip, g(b) = b below 0, κ·b above;
//!        net_apr = expected · 8760/H; T = min_net_apr·H/8760 + fees_rt + exit_spread + slip − c·H;
//!        enter = max(min_basis, T if T ≤ 0, T/κ if κ > 0, else never).

use super::signal::{HOUR_S, Signal, YEAR_HOURS};
use crate::units::{Rate, Ratio};

/// Seconds in a year.
const YEAR_S: i128 = YEAR_HOURS * HOUR_S;

/// What the trader of money chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// H: how long a position is expected to be held, in seconds; at least 1.
    pub hold_s: u64,
    /// The bar: net APR an entry must promise; `None` switches the bar off.
    pub min_net_apr: Option<Ratio>,
    /// No entry below this executable basis, whatever the carry.
    pub min_basis: Ratio,
    /// κ: how much of a positive entry basis counts as earned, 0–1.
    pub kappa: Ratio,
    /// No entry while the estimate is below the mean.
    pub require_expanding: bool,
    /// ρ: what share of a round trip's fees leaving must pay for beyond the carry forgone.
    pub rho: Ratio,
    /// A position is given up once estimate and mean stayed below this APR across a settlement.
    pub unwind_apr: Rate,
}

impl Default for Policy {
    /// DESIGN §5: 7 days, 15 %, 0, κ 0, ρ 0.5, 0.
    fn default() -> Self {
        Self {
            hold_s: 7 * 86_400,
            min_net_apr: Some(Ratio::from_num(15) / 100 + Ratio::DELTA),
            min_basis: Ratio::ZERO,
            kappa: Ratio::ZERO,
            require_expanding: false,
            rho: Ratio::ONE / 2,
            unwind_apr: Rate::ZERO,
        }
    }
}

/// What a round trip costs, as fractions of the notional, each rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Taker fees of both legs, one way: spot + perp.
    pub fees_one_way: Ratio,
    /// Slow mean of both spreads.
    pub exit_spread: Ratio,
    /// Both entry collars.
    pub slip: Ratio,
}

impl Costs {
    /// Fees of both legs, in and out.
    #[must_use]
    pub fn fees_round_trip(&self) -> Ratio {
        self.fees_one_way * Ratio::from_num(2)
    }

    /// All of a round trip.
    #[must_use]
    pub fn round_trip(&self) -> Ratio {
        self.fees_round_trip() + self.exit_spread + self.slip
    }
}

/// Why no basis would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// The seven-day mean is not known.
    NoMean,
    /// The estimate is below the mean, and it may not be.
    Compressing,
    /// The carry alone does not reach the bar, and no basis is counted.
    CarryShort,
    /// A number passes what a ratio holds.
    Range,
}

impl NoEntry {
    /// What a person reads.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoMean => "the seven-day mean of its funding is not known",
            Self::Compressing => "its funding estimate is below the seven-day mean (--require-expanding)",
            Self::CarryShort => "its carry does not pay costs and bar, and --kappa 0 counts no basis",
            Self::Range => "a number of its entry rule is out of range",
        }
    }
}

/// One weighing of an entry: the verdict, and every number it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Funding's two witnesses.
    pub signal: Signal,
    /// c·H, as far as it is known.
    pub carry: Option<Ratio>,
    /// All of a round trip.
    pub costs: Ratio,
    /// What the bar asks for over the hold; `None`: no bar.
    pub wanted: Option<Ratio>,
    /// T; `None` without a bar.
    pub threshold: Option<Ratio>,
    /// The executable basis from which on an entry pays, or why none does.
    pub enter: Result<Ratio, NoEntry>,
}

impl Policy {
    /// Weighs an entry under this bar, mostly the policy's own. Without one, `min_basis` alone decides
    /// once the carry is known.
    #[must_use]
    pub fn enter(&self, bar: Option<Ratio>, signal: Signal, costs: &Costs) -> Entry {
        let carry = signal.counted().and_then(|counted| counted.over(self.hold_s));
        let costs = costs.round_trip();
        let wanted = bar.and_then(|bar| self.over_hold(bar));
        let threshold =
            wanted.zip(carry).and_then(|(wanted, carry)| wanted.checked_add(costs)?.checked_sub(carry));
        let enter = match (signal.compresses(), threshold) {
            (None, _) => Err(NoEntry::NoMean),
            (Some(true), _) if self.require_expanding => Err(NoEntry::Compressing),
            (_, None) if bar.is_none() => Ok(self.min_basis),
            (_, None) => Err(NoEntry::Range),
            (_, Some(threshold)) => self.basis_of(threshold).map(|basis| basis.max(self.min_basis)),
        };
        Entry { signal, carry, costs, wanted, threshold, enter }
    }

    /// The basis of which κ makes at least `threshold`.
    fn basis_of(&self, threshold: Ratio) -> Result<Ratio, NoEntry> {
        if threshold <= Ratio::ZERO {
            return Ok(threshold);
        }
        if self.kappa <= Ratio::ZERO {
            return Err(NoEntry::CarryShort);
        }
        // Division drops what is below the last place.
        let quotient = threshold.checked_div(self.kappa).and_then(|basis| basis.checked_add(Ratio::DELTA));
        quotient.ok_or(NoEntry::Range)
    }

    /// g(b): what of an entry basis is counted, rounded down.
    #[must_use]
    pub fn counted_basis(&self, basis: Ratio) -> Ratio {
        if basis < Ratio::ZERO { basis } else { self.kappa.saturating_mul(basis) }
    }

    /// What an entry at this executable basis earns over the hold after all costs, rounded down;
    /// `None` while its carry is not known.
    #[must_use]
    pub fn expected(&self, entry: &Entry, basis: Ratio) -> Option<Ratio> {
        entry.carry?.checked_add(self.counted_basis(basis))?.checked_sub(entry.costs)
    }

    /// The same as a net APR, rounded down.
    #[must_use]
    pub fn net_apr(&self, entry: &Entry, basis: Ratio) -> Option<Ratio> {
        let bits = self.expected(entry, basis)?.to_bits().checked_mul(YEAR_S)?;
        Some(Ratio::from_bits(bits.div_euclid(i128::from(self.hold_s.max(1)))))
    }

    /// What an APR makes over the hold, rounded up.
    fn over_hold(&self, apr: Ratio) -> Option<Ratio> {
        let bits = apr.to_bits().checked_mul(i128::from(self.hold_s))?;
        Some(Ratio::from_bits(-((-bits).div_euclid(YEAR_S))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::tests::carry;
    use super::*;
    use crate::units::Direction;
    use proptest::prelude::*;

    const PPM: i128 = 1_000_000;

    fn bps(n: i64) -> Ratio {
        Ratio::from_num(n) / 10_000
    }

    /// 0.30 % of fees, 1 bp of spreads, 4 bp of collars.
    fn costs() -> Costs {
        Costs { fees_one_way: bps(15), exit_spread: bps(1), slip: bps(4) }
    }

    /// Estimate and mean alike, every 8 h.
    fn steady(estimate: &str) -> Signal {
        steady_for(estimate, Direction::Short)
    }

    fn steady_for(estimate: &str, direction: Direction) -> Signal {
        let mut carry = carry(estimate, 8, None);
        carry.sum_7d = Some(Rate(carry.estimate.0 * 21));
        Signal::new(&carry, direction)
    }

    #[track_caller]
    fn check(policy: &Policy, signal: Signal, ppm: Result<i64, NoEntry>) {
        let entry = policy.enter(policy.min_net_apr, signal, &costs());
        assert_eq!(entry.enter.map(|enter| (enter * PPM).round().to_num::<i64>()), ppm, "{entry:?}");
    }

    #[test]
    fn what_basis_cannot_earn_carry_must() {
        // 0.15 · 168/8760 + 0.0030 + 0.0001 + 0.0004 = 63.77 bp of costs against 21 intervals.
        check(&Policy::default(), steady("0.0001"), Err(NoEntry::CarryShort));
        check(&Policy::default(), steady("0.0004"), Ok(0));
        let eager = Policy { min_basis: bps(-50), ..Policy::default() };
        // 6376.7 − 8400 in 10^-6.
        check(&eager, steady("0.0004"), Ok(-2_023));
    }

    #[test]
    fn with_kappa_the_basis_pays_for_what_carry_does_not() {
        let demo = Policy { hold_s: 3_600, kappa: Ratio::ONE, ..Policy::default() };
        // 0.15/8760 + 0.0035 − 0.0001/8 = 17.1 + 3500 − 12.5 in 10^-6.
        check(&demo, steady("0.0001"), Ok(3_505));
        check(&Policy { kappa: Ratio::ONE / 2, ..demo }, steady("0.0001"), Ok(7_009));
    }

    #[test]
    fn a_long_position_earns_where_funding_is_negative() {
        let eager = Policy { min_basis: -Ratio::ONE, ..Policy::default() };
        check(&eager, steady_for("-0.0004", Direction::Long), Ok(-2_023));
        check(&eager, steady_for("0.0004", Direction::Long), Err(NoEntry::CarryShort));
    }

    #[test]
    fn a_high_snapshot_is_not_believed_against_a_low_mean() {
        let eager = Policy { min_basis: -Ratio::ONE, ..Policy::default() };
        let spike = Signal::new(&carry("0.0100", 8, Some("0.0021")), Direction::Short);
        check(&eager, spike, Err(NoEntry::CarryShort));
        let fading = Signal::new(&carry("0.0001", 8, Some("0.2100")), Direction::Short);
        check(&eager, fading, Err(NoEntry::CarryShort));
    }

    #[test]
    fn without_the_mean_there_is_no_entry_whatever_is_switched_off() {
        let unknown = Signal::new(&carry("0.0400", 8, None), Direction::Short);
        check(&Policy::default(), unknown, Err(NoEntry::NoMean));
        check(&Policy { min_net_apr: None, ..Policy::default() }, unknown, Err(NoEntry::NoMean));
    }

    #[test]
    fn with_the_bar_off_the_basis_alone_decides() {
        let off = Policy { min_net_apr: None, min_basis: bps(-3), ..Policy::default() };
        check(&off, steady("-0.0100"), Ok(-300));
    }

    #[test]
    fn where_funding_must_expand_a_falling_estimate_enters_nothing() {
        let expanding = Policy { require_expanding: true, ..Policy::default() };
        let falling = Signal::new(&carry("0.0004", 8, Some("0.0085")), Direction::Short);
        check(&expanding, falling, Err(NoEntry::Compressing));
        check(&Policy::default(), falling, Ok(0));
        check(&expanding, steady("0.0004"), Ok(0));
        let rising = Signal::new(&carry("0.0005", 8, Some("0.0084")), Direction::Short);
        check(&expanding, rising, Ok(0));
    }

    /// The bot guide's net yield: annualized − 0.28 % · 365, with a round trip a day.
    #[test]
    fn a_day_s_hold_without_basis_is_the_bot_guide_s_net_yield() {
        let guide = Policy { hold_s: 86_400, ..Policy::default() };
        let costs =
            Costs { fees_one_way: bps(14) + Ratio::DELTA, exit_spread: Ratio::ZERO, slip: Ratio::ZERO };
        // rate · 3 · 365 − 1.022
        for (rate, net) in [("0.0001", "-0.9125"), ("0.0003", "-0.6935"), ("0.0010", "0.0730")] {
            apr(&guide, &costs, rate, net);
        }
    }

    /// The API's netApr: apr − 0.40 % of fees over a year.
    #[test]
    fn a_year_s_hold_is_the_api_s_net_apr() {
        let api = Policy { hold_s: 365 * 86_400, ..Policy::default() };
        let costs =
            Costs { fees_one_way: bps(20) + Ratio::DELTA, exit_spread: Ratio::ZERO, slip: Ratio::ZERO };
        for (rate, net) in [("0.00032", "0.3464"), ("0.00015", "0.16025"), ("0.0001", "0.1055")] {
            apr(&api, &costs, rate, net);
        }
    }

    #[track_caller]
    fn apr(policy: &Policy, costs: &Costs, rate: &str, net: &str) {
        let entry = policy.enter(None, steady(rate), costs);
        let got = policy.net_apr(&entry, Ratio::ZERO).unwrap();
        let exact = Rate::parse(net.as_bytes()).unwrap();
        // What was rounded, against us, in the carry and in each cost: below 10^-16 over the year.
        let off = exact.ratio_ceil() - got;
        assert!((Ratio::ZERO..=Ratio::from_num(1) / 10_000_000_000_000_000).contains(&off), "{rate}: {got}");
    }

    proptest! {
        /// The folded threshold and the formula agree: at the threshold the promise is kept, and clearly
        /// below it is not. Nothing is rounded in our favour.
        #[test]
        fn the_threshold_is_where_the_net_apr_meets_the_bar(
            estimate in -5_000_000_000_000_000i64..5_000_000_000_000_000,
            sum in -100_000_000_000_000_000i64..100_000_000_000_000_000,
            hold_s in 60u64..40_000_000, kappa in 1i64..=100, bar in 0i64..200, fees in 0i64..100, long: bool,
        ) {
            let direction = if long { Direction::Long } else { Direction::Short };
            let funding = super::super::funding::Carry {
                estimate: Rate(estimate), interval_hours: 8, sum_7d: Some(Rate(sum)),
            };
            let policy = Policy {
                hold_s, kappa: Ratio::from_num(kappa) / 100, min_basis: Ratio::from_num(-1_000_000), ..Policy::default()
            };
            let bar = Ratio::from_num(bar) / 100;
            let costs = Costs { fees_one_way: bps(fees), ..costs() };
            let entry = policy.enter(Some(bar), Signal::new(&funding, direction), &costs);
            let enter = entry.enter.unwrap();
            prop_assert!(policy.net_apr(&entry, enter).unwrap() >= bar);
            let below = policy.net_apr(&entry, enter - Ratio::from_num(1) / 1_000_000_000_000).unwrap();
            prop_assert!(below < bar);
        }
    }
}
