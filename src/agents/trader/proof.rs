//! What is proven of the order that a leg waits for, from answers and private events in any order.
//!
//! Owns:  the cumulative executed quantity of one order, and whether nothing can be added to it.
//! Never: falls; counts a trade twice, though two events and an answer tell it; goes past the order's own
//!        quantity.
//! Why:   every source is a lower bound: what the venue says was executed so far, and the sum of the trades
//!        known one by one. The larger holds; an order that is filled whole has ended, whoever says so.

use crate::event::Verdict;
use crate::units::{Amount, ClientId, Qty};
use arrayvec::ArrayVec;

/// Trades of one order that are known one by one. More are not summed: the cumulative quantity in the
/// events that follow them tells the same.
const TRADES_MAX: usize = 64;

/// What an answer or a private event said of an order, for the leg that waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Which order.
    pub(super) client: ClientId,
    /// Where it stands, if that was said.
    pub(super) verdict: Option<Verdict>,
    /// A trade of it that was told by itself: the venue's trade id, how much.
    pub(super) trade: Option<(u64, Qty)>,
    /// What its fills left in base coin, net of a base-coin fee, where an answer names them all.
    pub(super) net: Amount,
}

/// One order's proof.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof {
    whole: Qty,
    told: Qty,
    summed: Qty,
    trades: ArrayVec<u64, TRADES_MAX>,
    ended: bool,
}

impl Proof {
    /// Nothing is proven of an order of this size.
    pub(super) fn of(whole: Qty) -> Self {
        Self { whole, ..Self::default() }
    }

    /// Takes in where the order stands, and a trade of it by its id.
    pub(super) fn hear(&mut self, verdict: Option<Verdict>, trade: Option<(u64, Qty)>) {
        match verdict {
            Some(Verdict::Terminal { executed }) => {
                self.told = self.told.max(executed);
                self.ended = true;
            }
            Some(Verdict::Open { executed }) => self.told = self.told.max(executed),
            _ => {}
        }
        if let Some((id, qty)) = trade
            && !self.trades.contains(&id)
            && self.trades.try_push(id).is_ok()
        {
            self.summed = Qty(self.summed.0.saturating_add(qty.0));
        }
    }

    /// How much was executed for sure, so far.
    pub(super) fn executed(&self) -> Qty {
        self.told.max(self.summed).min(self.whole)
    }

    /// How much was executed in all; `None`: it may still fill.
    pub(super) fn end(&self) -> Option<Qty> {
        let executed = self.executed();
        let whole = self.whole > Qty::ZERO && executed == self.whole;
        (self.ended || whole).then_some(executed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Said = (Option<Verdict>, Option<(u64, Qty)>);

    /// An order of `whole` in these trades, as all three sources tell it.
    fn told(whole: i64, trades: &[i64]) -> Vec<Said> {
        let executed: i64 = trades.iter().sum();
        let mut said = vec![(Some(Verdict::Open { executed: Qty(0) }), None)];
        let mut so_far = 0;
        for (id, qty) in trades.iter().enumerate() {
            so_far += qty;
            let trade = Some((id as u64 + 1, Qty(*qty)));
            let executed = Qty(so_far);
            let over = so_far == whole;
            let stands = if over { Verdict::Terminal { executed } } else { Verdict::Open { executed } };
            said.extend([(None, trade), (Some(stands), trade)]);
        }
        let end = Some(Verdict::Terminal { executed: Qty(executed) });
        if executed < whole {
            said.push((end, None));
        }
        // The answer.
        said.push((end, None));
        said
    }

    /// What is released, at the first end that is proven.
    fn released(whole: i64, said: &[Said]) -> Option<Qty> {
        let mut proof = Proof::of(Qty(whole));
        let mut before = Qty::ZERO;
        let mut first = None;
        for (verdict, trade) in said {
            proof.hear(*verdict, *trade);
            assert!(before <= proof.executed() && proof.executed() <= Qty(whole), "{said:?}");
            before = proof.executed();
            first = first.or(proof.end());
        }
        assert_eq!(first, proof.end(), "what was released is all there is: {said:?}");
        first
    }

    #[test]
    fn every_order_of_answer_and_events_releases_the_same() {
        for (whole, trades) in [(10, vec![10]), (10, vec![6, 4]), (10, vec![3, 2]), (10, vec![])] {
            let all = told(whole, &trades);
            let executed = Qty(trades.iter().sum());
            let mut seen = 0;
            permutations(&mut all.clone(), 0, &mut |said| {
                seen += 1;
                assert_eq!(released(whole, said), Some(executed));
            });
            assert_eq!(seen, (1..=all.len()).product::<usize>());
        }
    }

    fn permutations(said: &mut [Said], from: usize, look: &mut impl FnMut(&[Said])) {
        if from == said.len() {
            return look(said);
        }
        for with in from..said.len() {
            said.swap(from, with);
            permutations(said, from + 1, look);
            said.swap(from, with);
        }
    }

    #[test]
    fn early_trades_prove_a_whole_fill_and_no_part_of_one() {
        let mut proof = Proof::of(Qty(10));
        for _ in 0..3 {
            proof.hear(None, Some((7, Qty(6))));
        }
        assert_eq!((proof.executed(), proof.end()), (Qty(6), None), "one trade, told three times");
        proof.hear(None, Some((8, Qty(4))));
        assert_eq!(proof.end(), Some(Qty(10)));
        proof.hear(None, Some((9, Qty(4))));
        assert_eq!(proof.end(), Some(Qty(10)), "never more than was sent");
    }

    proptest! {
        /// Some events doubled, some lost, all in any order: what is released is what was executed, or
        /// nothing yet.
        #[test]
        fn doubled_and_lost_events_release_no_other_quantity(
            parts in prop::collection::vec(1i64..50, 0..6),
            rest in 0i64..20,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let executed: i64 = parts.iter().sum();
            let whole = (executed + rest).max(1);
            let all = told(whole, &parts);
            let said: Vec<Said> = picks.iter().map(|pick| *pick.get(&all)).collect();
            let released = released(whole, &said);
            prop_assert!(released.is_none_or(|qty| qty == Qty(executed)), "{:?}", released);
        }
    }
}
