//! The rules over history: rows in, round trips and equity out. The rules are those of a live engine.
//!
//! Owns:  what is known when: at `t`, a settlement, prices are the closes of the row before (its candle ends
//!        at `t`) and funding is every rate settled up to `t`, the latest of them taken as the estimate.
//! Never: looks at the closes of the row that begins at `t`, or decides by a rule of its own, but for
//!        [`Leave::FirstPrint`], which is there to be compared with.
//! Rule:  one decision a row and one clip at a time: funding settles, then an open position is held or left;
//!        with none open, an entry is weighed. Filled at once, at the prices of the decision and the terms.

use super::exits::Unwind;
use super::funding::{Carry, History};
use super::pace::{Reentry, wait_after};
use super::reference::Reference;
use super::round_trip::{RoundTrip, Split, Terms, TooLarge};
use super::rules::{Costs, Policy};
use super::signal::Signal;
use crate::desk::basis::{Bound, Scales};
use crate::units::time::SEC;
use crate::units::{Amount, Direction, LegKind, Price, Rate, Ratio, Unix};

/// One row of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When its rate was settled, and its candle began.
    pub at: Unix,
    /// Close of the spot candle, in 10^-8.
    pub spot: Price,
    /// Close of the perp's candle, in 10^-8.
    pub perp: Price,
    /// The rate settled at `at`, per interval.
    pub rate: Rate,
}

/// What a run is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The rules' settings.
    pub policy: Policy,
    /// How prices become fills.
    pub terms: Terms,
    /// What a position is worth at entry, in the quote asset.
    pub clip: Amount,
    /// Which directions may be entered, indexed by [`Direction`].
    pub directions: [bool; 2],
    /// What ends a position by force.
    pub leave: Leave,
}

impl Setup {
    /// What the rules count a round trip to cost. Every fill is worse by the slippage: two in, two out.
    #[must_use]
    pub fn costs(&self) -> Costs {
        let two_fills = self.terms.slippage.ratio_ceil() * Ratio::from_num(2);
        let [spot, perp] = self.terms.fees;
        Costs { fees_one_way: Rate(spot.0 + perp.0).ratio_ceil(), exit_spread: two_fills, slip: two_fills }
    }
}

/// What ends a position by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The engine's rule: estimate and seven-day mean below the line across a settlement.
    Starved,
    /// One settlement below the line. Not a rule of the engine: it shows what reacting to noise costs.
    FirstPrint,
}

/// Why a position was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Closing paid more than holding.
    Ratio,
    /// Funding stayed below the line.
    Forced,
}

/// A round trip with the numbers it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Its deals.
    pub trip: RoundTrip,
    /// Why it was closed; `None`: it is open.
    pub why: Option<Why>,
    /// Where its profit came from; what is open is valued at the last closes.
    pub split: Split,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Every position, oldest first; only the last may be open.
    pub trades: Vec<Trade>,
    /// What was earned up to each decision, what is open valued at its closes.
    pub equity: Vec<(Unix, Amount)>,
}

/// Why history can't be run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "at {at} a price times the clip is beyond 10^12 of the quote asset; try a smaller --clip, or check the file"
)]
pub struct BeyondRange {
    /// The row.
    pub at: Unix,
}

/// Runs the rules over rows, oldest first, each one settlement interval after the one before.
///
/// # Errors
///
/// [`BeyondRange`].
pub fn run(rows: &[Row], setup: &Setup) -> Result<Outcome, BeyondRange> {
    let mut run = Run::new(setup);
    let mut before: Option<&Row> = None;
    for (i, row) in rows.iter().enumerate() {
        // When the next settlement comes is announced; after the last row, as long as the last interval took.
        let last_gap_ns = before.map_or(SAMPLE_EVERY_NS as i64, |before| row.at.0 - before.at.0);
        let coming = rows.get(i + 1).map_or(Unix(row.at.0 + last_gap_ns), |next| next.at);
        run.funding.add(row.at, row.rate);
        run.funding.announce(row.at, coming);
        if let Some(before) = before {
            let now = Now { at: row.at, coming, prices: [before.spot, before.perp], settled: row.rate };
            run.step(&now).map_err(|TooLarge| BeyondRange { at: row.at })?;
        }
        before = Some(row);
    }
    Ok(run.finish())
}

const BOTH: [Direction; 2] = [Direction::Short, Direction::Long];

/// Both legs count the same 10^-8 of the same coin.
const SCALES: Scales = Scales { perp: 1, spot: 1 };

/// A sample for the seven-day median is kept so often: each settlement's at the usual interval.
const SAMPLE_EVERY_NS: u64 = 8 * 3_600 * SEC;

/// What is known at one decision.
struct Now {
    at: Unix,
    coming: Unix,
    /// Spot, perp.
    prices: [Price; 2],
    settled: Rate,
}

/// A position.
struct Open {
    trip: RoundTrip,
    unwind: Unwind,
    /// At the closes of the latest decision.
    split: Split,
}

/// A run, so far.
struct Run<'a> {
    setup: &'a Setup,
    costs: Costs,
    funding: History,
    /// What closing would have fetched, indexed by [`Direction`].
    references: [Reference; 2],
    open: Option<Open>,
    left_at: Option<Unix>,
    /// What closed positions earned.
    earned: Amount,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(setup: &'a Setup) -> Self {
        Self {
            setup,
            costs: setup.costs(),
            funding: History::default(),
            references: [Reference::every(SAMPLE_EVERY_NS), Reference::every(SAMPLE_EVERY_NS)],
            open: None,
            left_at: None,
            earned: Amount::ZERO,
            outcome: Outcome::default(),
        }
    }

    fn step(&mut self, now: &Now) -> Result<(), TooLarge> {
        for direction in BOTH {
            if let Some(basis) = closing_basis(direction, now.prices) {
                self.references[direction as usize].on(basis, now.at);
            }
        }
        let carry = self.funding.carry(now.at, Some(now.settled), 0);
        let mut unrealised = Amount::ZERO;
        let open = match self.open.take() {
            Some(open) => self.hold(open, carry.as_ref(), now)?,
            None => carry.as_ref().map_or(Ok(None), |carry| self.consider(carry, now))?,
        };
        if let Some(mut open) = open {
            if let Some(carry) = &carry {
                let starves = self.setup.policy.starves(Signal::new(carry, open.trip.direction));
                open.unwind.on(starves, now.coming, now.at);
            }
            open.split = open.trip.split(now.prices)?;
            unrealised = open.split.total();
            self.open = Some(open);
        }
        self.outcome.equity.push((now.at, self.earned + unrealised));
        Ok(())
    }

    /// Books the settlement of a position, and leaves it if a rule says so.
    fn hold(&mut self, mut open: Open, carry: Option<&Carry>, now: &Now) -> Result<Option<Open>, TooLarge> {
        open.trip.settle(now.settled, now.prices[LegKind::Perp as usize])?;
        let Some(why) = carry.and_then(|carry| self.leaves(&mut open, carry, now)) else {
            return Ok(Some(open));
        };
        open.trip.close(now.at, now.prices, &self.setup.terms)?;
        let split = open.trip.split(now.prices)?;
        self.earned += split.total();
        self.left_at = Some(now.at);
        self.outcome.trades.push(Trade { trip: open.trip, why: Some(why), split });
        Ok(None)
    }

    fn leaves(&self, open: &mut Open, carry: &Carry, now: &Now) -> Option<Why> {
        let direction = open.trip.direction;
        let policy = &self.setup.policy;
        let signal = Signal::new(carry, direction);
        let forced = match self.setup.leave {
            Leave::Starved => {
                open.unwind.on(policy.starves(signal), now.coming, now.at);
                open.unwind.is_forced()
            }
            Leave::FirstPrint => signal.estimate.is_below(policy.unwind_apr),
        };
        if forced {
            return Some(Why::Forced);
        }
        let exit = policy.leave(signal, &self.costs, self.references[direction as usize].basis());
        let [spot, perp] = now.prices;
        let pays = match direction {
            Direction::Short => SCALES.fold(exit.leave?, Bound::AtMost)?.at_most(perp, spot),
            Direction::Long => SCALES.fold(-exit.leave?, Bound::AtLeast)?.at_least(perp, spot),
        };
        pays.then_some(Why::Ratio)
    }

    /// Opens a position if an entry pays; short is weighed before long.
    fn consider(&self, carry: &Carry, now: &Now) -> Result<Option<Open>, TooLarge> {
        let Setup { policy, terms, clip, directions, .. } = self.setup;
        let wait_ns = self.left_at.map_or(0, |left| wait_after(now.at.0.abs_diff(left.0)));
        let bar = match policy.reentry(wait_ns) {
            Reentry::Free => policy.min_net_apr,
            Reentry::Raised { bar, .. } => Some(bar),
        };
        let [spot, perp] = now.prices;
        for direction in BOTH.into_iter().filter(|direction| directions[*direction as usize]) {
            let entry = policy.enter(bar, Signal::new(carry, direction), &self.costs);
            let Ok(enter) = entry.enter else { continue };
            let pays = match direction {
                Direction::Short => {
                    SCALES.fold(enter, Bound::AtLeast).is_some_and(|fold| fold.at_least(perp, spot))
                }
                Direction::Long => {
                    SCALES.fold(-enter, Bound::AtMost).is_some_and(|fold| fold.at_most(perp, spot))
                }
            };
            if pays {
                let trip = RoundTrip::open(direction, now.at, now.prices, *clip, terms)?;
                return Ok(trip.map(|trip| Open {
                    trip,
                    unwind: Unwind::default(),
                    split: Split::default(),
                }));
            }
        }
        Ok(None)
    }

    /// What came of it; a position still open is a trade without an end.
    fn finish(mut self) -> Outcome {
        self.outcome.trades.extend(self.open.map(|open| Trade {
            trip: open.trip,
            why: None,
            split: open.split,
        }));
        self.outcome
    }
}

/// The executable basis to close at these prices, in the position's own sign.
fn closing_basis(direction: Direction, [spot, perp]: [Price; 2]) -> Option<Ratio> {
    let basis = SCALES.basis(perp, spot)?;
    Some(match direction {
        Direction::Short => basis,
        Direction::Long => -basis,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000_000_000;
    /// 2023-01-01.
    const START: i64 = 1_672_531_200_000_000_000;

    fn rate(text: &str) -> Rate {
        Rate::parse(text.as_bytes()).unwrap()
    }

    fn setup() -> Setup {
        Setup {
            policy: Policy::default(),
            terms: Terms { fees: [rate("0.001"), rate("0.0005")], slippage: rate("0.0002") },
            clip: Amount::parse(b"500").unwrap(),
            directions: [true, false],
            leave: Leave::Starved,
        }
    }

    /// Rows 8 h apart: for each, its rate and how many basis points its perp closes above spot at 100.
    fn rows(each: &[(&str, i64)]) -> Vec<Row> {
        let row = |(i, (funding, bps)): (i64, &(&str, i64))| Row {
            at: Unix(START + i * 8 * HOUR),
            spot: Price(10_000_000_000),
            perp: Price(10_000_000_000 + bps * 1_000_000),
            rate: rate(funding),
        };
        (0..).zip(each).map(row).collect()
    }

    /// What each trade did: rows of entry and exit, and why it ended.
    #[track_caller]
    fn told(rows: &[Row], setup: &Setup) -> Vec<String> {
        let at = |unix: Unix| (unix.0 - START) / (8 * HOUR);
        let outcome = run(rows, setup).unwrap();
        assert_eq!(outcome.equity.len(), rows.len() - 1, "one decision a row, but for the first");
        let earned = outcome.trades.iter().fold(Amount::ZERO, |sum, trade| sum + trade.split.total());
        assert_eq!(outcome.equity.last().unwrap().1, earned);
        let trade = |trade: &Trade| {
            let trip = &trade.trip;
            let left = trip.exit.map_or_else(|| "open".to_owned(), |exit| format!("left {}", at(exit.at)));
            format!("{:?} entered {}, {left} {:?}", trip.direction, at(trip.entry.at), trade.why)
        };
        outcome.trades.iter().map(trade).collect()
    }

    #[test]
    fn a_week_of_high_funding_is_entered_once_it_is_whole_and_left_when_it_stays_negative() {
        // 21 rows settle after the first: only then a whole week is known.
        let mut each = vec![("0.0005", 0); 30];
        assert_eq!(told(&rows(&each), &setup()), ["Short entered 21, open None"]);
        // One negative print is noise, and while the mean is positive so are two.
        each.extend([("-0.0005", 0); 2]);
        each.extend([("0.0005", 0); 3]);
        assert_eq!(told(&rows(&each), &setup()), ["Short entered 21, open None"]);
        // Estimate and mean negative across a settlement: 13 of 21 rows make the mean so, one more is across.
        let mut each = vec![("0.0005", 0); 30];
        each.extend([("-0.0007", 0); 20]);
        assert_eq!(told(&rows(&each), &setup()), ["Short entered 21, left 39 Some(Forced)"]);
        let first_print = Setup { leave: Leave::FirstPrint, ..setup() };
        assert_eq!(told(&rows(&each), &first_print), ["Short entered 21, left 30 Some(Forced)"]);
    }

    #[test]
    fn a_basis_that_pays_more_than_the_carry_left_is_taken() {
        // 21 · 5 bp of carry and 15 bp of fees are forgone: a discount of 121 bp pays more.
        let mut each = vec![("0.0005", 0); 30];
        each.extend([("0.0005", -119), ("0.0005", -121), ("0.0005", 0)]);
        // Row 31 closes at −121 bp, and that is known at row 32.
        assert_eq!(told(&rows(&each), &setup()), ["Short entered 21, left 32 Some(Ratio)"]);
    }

    #[test]
    fn the_bar_and_the_basis_decide_who_enters() {
        let each = vec![("0.0001", 0); 30];
        assert!(told(&rows(&each), &setup()).is_empty(), "10.95 % does not pay costs and bar");
        let open = Setup { policy: Policy { min_net_apr: None, ..Policy::default() }, ..setup() };
        assert_eq!(told(&rows(&each), &open), ["Short entered 21, open None"]);
        let discount = vec![("0.0001", -1); 30];
        assert!(told(&rows(&discount), &open).is_empty(), "min_basis is 0");
        let long = Setup { directions: [true, true], ..setup() };
        let negative = vec![("-0.0005", 0); 30];
        assert_eq!(told(&rows(&negative), &long), ["Long entered 21, open None"]);
        assert!(told(&rows(&negative), &setup()).is_empty(), "long is not allowed");
    }

    #[test]
    fn an_interval_that_changes_is_carry_by_the_hour() {
        // The same rate every 4 h is twice the carry: 32.85 % a year at 8 h is not enough, 65.7 % is.
        let mut history = rows(&vec![("0.0003", 0); 40]);
        assert!(told(&history, &setup()).is_empty());
        for i in 23..history.len() {
            history[i].at = Unix(history[i - 1].at.0 + 4 * HOUR);
        }
        // Bar and costs ask for 66.8 bp a week. Rows of 3 bp: with two 4 h intervals in the week there are 22, with
        // three 23.
        assert_eq!(run(&history[..25], &setup()).unwrap().trades, []);
        let outcome = run(&history, &setup()).unwrap();
        assert_eq!(outcome.trades.first().unwrap().trip.entry.at, history[25].at);
    }

    #[test]
    fn a_clip_no_price_can_carry_is_told_and_not_wrapped() {
        let setup = Setup { clip: Amount(i128::MAX / 2), ..setup() };
        let error = run(&rows(&vec![("0.0005", 0); 30]), &setup).unwrap_err();
        assert!(error.to_string().contains("--clip"), "{error}");
    }

    fn history() -> impl Strategy<Value = Vec<Row>> {
        let row = (9_000_000_000i64..11_000_000_000, -80i64..80, -20_000i64..20_000);
        prop::collection::vec(row, 30..90).prop_map(|rows| {
            let row = |(i, (spot, bps, ppb)): (i64, (i64, i64, i64))| Row {
                at: Unix(START + i * 8 * HOUR),
                spot: Price(spot),
                perp: Price(spot + spot / 10_000 * bps),
                rate: Rate(ppb * 100_000_000_000),
            };
            (0..).zip(rows).map(row).collect()
        })
    }

    fn eager() -> Setup {
        Setup {
            policy: Policy { min_net_apr: None, min_basis: Ratio::from_num(-1) / 2, ..Policy::default() },
            directions: [true, true],
            ..setup()
        }
    }

    proptest! {
        /// What comes later changes nothing that was decided before: not even the closes of the row that begins
        /// at the decision.
        #[test]
        fn nothing_is_known_before_its_time(rows in history(), cut in 25usize..30, price in 1i64..1 << 40) {
            let whole = run(&rows, &eager()).unwrap();
            let mut part = rows[..cut].to_vec();
            let last = part.last_mut().unwrap();
            (last.spot, last.perp) = (Price(price), Price(price / 2 + 1));
            let part = run(&part, &eager()).unwrap();
            prop_assert_eq!(&whole.equity[..cut - 1], &part.equity[..]);
        }

        /// Prices one row late, or one row early, are other prices.
        #[test]
        fn shifting_prices_by_one_row_changes_the_result(rows in history()) {
            let told = run(&rows, &eager()).unwrap();
            prop_assume!(!told.trades.is_empty());
            let shift = |from: usize, to: usize| {
                let mut shifted = rows.clone();
                for i in 1..rows.len() {
                    (shifted[i - to].spot, shifted[i - to].perp) = (rows[i - from].spot, rows[i - from].perp);
                }
                run(&shifted, &eager()).unwrap()
            };
            prop_assert_ne!(&shift(1, 0), &told, "one row late");
            prop_assert_ne!(&shift(0, 1), &told, "one row early");
        }
    }
}
