//! The orders one leg may need next: at its touch, and where its touch will be once the threshold is passed.
//!
//! Owns:  which prices are prepared for beyond the touch, and which order is picked.
//! Never: loosens what [`Prepared::fits`] asks of an order that is sent: a price foreseen wrongly serves nothing.
//! Why:   a threshold is passed by a jump of one leg, often by more than the collar of an order at the old touch. The
//!        other leg still has its touch, so the price at which the threshold is passed is known before (HOTPATH §2.3:
//!        the signature covers the limit, so patching would be signing anew; picking is not).

use super::pen::{Prepared, Wanted, collar};
use crate::event::{Fold, Instrument, Quote};
use crate::units::{LegKind, Nanos, Price, Side};

/// How many orders are prepared from the threshold on, each where the reach of the one before ends.
pub(super) const RUNGS: usize = 3;
/// A threshold further from the touch than this, in parts per million, is not prepared for.
const FAR_PPM: u32 = 20_000;

/// The orders of one leg in one direction; all under the same client order id, so that one of them is sent at most.
#[derive(Debug)]
pub(super) struct Shelf {
    /// At the touch, then from the threshold on.
    orders: [Prepared; 1 + RUNGS],
    picked: usize,
}

impl Shelf {
    /// Room for the orders, and none of them.
    pub(super) fn blank() -> Self {
        Self { orders: std::array::from_fn(|_| Prepared::blank()), picked: 0 }
    }

    /// None of them serves any more.
    pub(super) fn spoil(&mut self) {
        self.orders.iter_mut().for_each(Prepared::spoil);
    }

    /// Those beyond the touch serve no wish any more; whether there were any.
    pub(super) fn clear_rungs(&mut self) -> bool {
        let there = |order: &&mut Prepared| !order.bytes().is_empty();
        self.orders[1..].iter_mut().filter(there).map(Prepared::spoil).count() > 0
    }

    /// The first that may be sent as it is, if there is one.
    #[inline]
    pub(super) fn first(&self, may: impl Fn(&Prepared) -> bool) -> Option<usize> {
        self.orders.iter().position(may)
    }

    /// Order `n` is the one that is sent.
    #[inline]
    pub(super) fn pick(&mut self, n: usize) {
        self.picked = n;
    }

    /// The order that was picked.
    #[inline]
    pub(super) fn picked_mut(&mut self) -> &mut Prepared {
        &mut self.orders[self.picked]
    }

    /// Order `n`: 0 is the one at the touch.
    pub(super) fn get(&self, n: usize) -> &Prepared {
        &self.orders[n]
    }

    /// Order `n`: 0 is the one at the touch.
    pub(super) fn get_mut(&mut self, n: usize) -> &mut Prepared {
        &mut self.orders[n]
    }
}

/// A touch that is prepared for, as a quote; and how far from the limit made there a limit may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung {
    pub(super) quote: Quote,
    pub(super) slack: i64,
}

impl Rung {
    /// Whether this order is the one for it, and stays so.
    pub(super) fn has(
        &self,
        order: &Prepared,
        wanted: &Wanted,
        row: &Instrument,
        now: Nanos,
        life: u64,
    ) -> bool {
        let off = order.spec.limit.0.abs_diff(wanted.limit(row, &self.quote).0);
        order.is_young(wanted, now, life) && off <= self.slack.unsigned_abs()
    }
}

/// Where the touch of one leg will be once `fold` is passed while the other leg stays at `other`: the threshold and
/// what lies beyond it. `None`: there is no threshold, it lies far off, or the touch is beyond it.
pub(super) fn rungs(
    fold: Fold,
    leg: LegKind,
    wanted: &Wanted,
    row: &Instrument,
    quote: &Quote,
    other: &Quote,
) -> Option<[Rung; RUNGS]> {
    let side = wanted.side;
    let touch = crate::desk::book::touch(quote, side).0;
    let threshold = fold.passed_at(leg, crate::desk::book::touch(other, side.other()).0)?;
    let beyond = (touch.0 - threshold.0) * -side.sign();
    if touch.0 <= 0 || beyond > 0 || beyond.saturating_neg() > collar(touch, row.tick, FAR_PPM) {
        return None;
    }
    let tick = row.tick.0;
    let reach = collar(threshold, row.tick, wanted.collar_ppm);
    let half = (reach / 2 - reach / 2 % tick).max(tick);
    // Half of a half may be lost on either side before it is made anew, and the threshold itself never is.
    let slack = half / 2 - half / 2 % tick;
    // Towards what is better for us: down for a buy.
    let better = -side.sign();
    Some(std::array::from_fn(|n| {
        let at = threshold.0 + better * (half - slack + 2 * half * n as i64);
        let on_tick = at - at.rem_euclid(tick);
        let at =
            Price(if side == Side::Buy { on_tick } else { on_tick + if on_tick < at { tick } else { 0 } });
        Rung { quote: Quote { bid: at, ask: at, ..*quote }, slack }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::pen::serves;
    use super::*;
    use crate::desk::basis::Bound;
    use crate::desk::book::tests::{one_pair, quote};
    use crate::units::{Class, ClientId, Nanos, Qty, Ratio};
    use proptest::prelude::*;

    proptest! {
        /// One leg jumps past the threshold, whichever it is and on whichever side: up to three reaches beyond it an
        /// order is there that serves, also after the other leg has moved a little; and none is there for a price
        /// that is not beyond it.
        #[test]
        fn a_jump_past_the_threshold_finds_an_order(
            price in 2_000i64..60_000, bps in -60i64..60, buy in any::<bool>(), spot in any::<bool>(),
            tick in prop::sample::select(vec![1i64, 5, 10]), collar_ppm in prop::sample::select(vec![200u32, 2_000]),
            moved in -30i64..30, jump in 0u64..6_000,
        ) {
            let instruments = one_pair();
            let leg = if spot { LegKind::Spot } else { LegKind::Perp };
            let mut row = instruments.instruments[leg as usize].clone();
            row.tick = Price(tick);
            row.price_range = (Price(tick), Price(1 << 50));
            let scales = crate::desk::basis::Scales::new(&instruments.pairs[0], &instruments.instruments[0], &instruments.instruments[1]).unwrap();
            let side = if buy { Side::Buy } else { Side::Sell };
            // A dear perp sells, a cheap one buys; its spot the other way round.
            let bound = if buy == spot { Bound::AtLeast } else { Bound::AtMost };
            let fold = scales.fold(Ratio::from_num(bps) / 10_000, bound).unwrap();
            let wanted = Wanted {
                class: Class::Entry, client: ClientId(1), side, qty: Qty(1), reduce_only: false, collar_ppm, edge: None,
            };
            // The other leg's price, and what is equal to it on this one.
            let unit = |other: i64| fold.passed_at(leg, Price(other));
            let other = price * 1_000;
            let Some(threshold) = unit(other) else { return Ok(()) };
            let at = |price: i64| quote(leg as u16, 1, price, price, Nanos(1));
            // Short of it by 20 bp.
            let short = threshold.0 + side.sign() * (threshold.0 / 500);
            let short = short - short % tick;
            let Some(made) = rungs(fold, leg, &wanted, &row, &at(short), &at(other)) else {
                prop_assert!((short - threshold.0) * side.sign() <= 0, "none was made, short of the threshold");
                return Ok(());
            };
            let mut orders = made.map(|rung| {
                let mut order = Prepared::blank();
                order.spec.client = wanted.client;
                order.spec.side = side;
                order.spec.qty = wanted.qty;
                order.spec.limit = wanted.limit(&row, &rung.quote);
                order
            });
            let moved = other + other * moved / 1_000_000;
            let Some(again) = rungs(fold, leg, &wanted, &row, &at(short), &at(moved)) else { return Ok(()) };
            for (order, rung) in orders.iter_mut().zip(&again) {
                if !rung.has(order, &wanted, &row, Nanos(1), 1_000) {
                    order.spec.limit = wanted.limit(&row, &rung.quote);
                }
            }
            let Some(Price(passed)) = unit(moved) else { return Ok(()) };
            let reach = collar(Price(passed), row.tick, collar_ppm);
            // All the way but the last reach, which may be half used up; and what lies between two that moved apart.
            let beyond = reach * (RUNGS as i64 - 1) * jump as i64 / 6_000;
            let touch = passed - side.sign() * beyond;
            let rest = touch.rem_euclid(tick);
            let touch = Price(if buy { touch - rest } else { touch + (tick - rest) % tick });
            let near = |order: &Prepared| {
                let slack = again[0].slack * 2 + tick;
                [-slack, 0, slack].iter().any(|off| serves(Price(order.spec.limit.0 + off), touch, side, row.tick, collar_ppm))
            };
            prop_assert!(orders.iter().any(near), "{touch:?} past {passed}, orders {:?}", orders.each_ref().map(|o| o.spec.limit));
            if beyond < reach / 2 {
                let first = serves(orders[0].spec.limit, touch, side, row.tick, collar_ppm);
                prop_assert!(first, "{touch:?} past {passed}: the first, {:?}, is not for it", orders[0].spec.limit);
            }
        }
    }
}
