//! Before a send round: all that is looked at, and what the round would be.
//!
//! Owns:  whether a pair's signal may be fired now, on which links, in which order, and as which of the prepared orders.
//! Never: changes anything. It takes the trader to look at only, so a dry fire (`dry`) may go the same way as a live one.
//! Why:   one way, walked often: what an order needs is warm when it must leave (HOTPATH §11.7).

use super::fire::{Leg, Round};
use super::pen::reach;
use super::shelf::Shelf;
use super::{Signal, Stall, Trader};
use crate::agents::Loaded;
use crate::desk::book::touch;
use crate::desk::budget::ENTRY_CHARGE;
use crate::desk::pair::{serves_at, takes};
use crate::event::{Bind, Closed, Intent, IntentLeg, Permit, Quote, lane};
use crate::metal::bugs::{Bug, planted};
use crate::metal::link::Sealed;
use crate::metal::poll::Slot;
use crate::units::{Class, InstrumentId, LegKind, Nanos, PairId, Price, Unix, VenueId};

/// A send round of a pair that nothing stands against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    /// All of it that is told.
    pub(super) round: Round,
    /// Which leg's bytes are written first, and which after.
    pub(super) order: [LegKind; 2],
    /// Where they leave, in that order.
    pub(super) links: [Slot; 2],
    pub(super) venues: [VenueId; 2],
    pub(super) instruments: [InstrumentId; 2],
    /// Which of a leg's prepared orders may be sent as it is, by leg; `None`: one is signed now.
    pub(super) picked: [Option<usize>; 2],
}

impl Aim {
    /// The leg that leaves first (0) or second, as the order picked on its shelf.
    pub(super) fn leg<'a>(&self, n: usize, shelves: &'a [Shelf; 2], sealed: Option<Sealed>) -> Leg<'a> {
        let leg = self.order[n];
        let at = leg as usize;
        Leg {
            order: shelves[at].get(self.picked[at].unwrap_or(0)),
            sealed,
            instrument: self.instruments[at],
            venue: self.venues[at],
            leg,
            link: self.links[n],
        }
    }
}

impl Trader {
    /// Aims at a signal of a pair.
    ///
    /// # Errors
    ///
    /// Why the gate stays closed.
    #[inline(never)] // one body for live and dry fires: the one warms the other's instructions
    pub(super) fn aim(&self, pair: PairId, signal: Signal, now: Nanos) -> Result<Aim, Closed> {
        let loaded = self.loaded.as_deref().ok_or(Closed::NoQuote)?;
        let stall = &self.stalls[usize::from(pair.0)];
        let venues = stall.venues;
        let [Some(spot), Some(perp)] = self.books.tops(pair) else { return Err(Closed::NoQuote) };
        self.may_start(stall, signal.class, loaded, now)?;
        // As with unwinds: a late way out is better than none, and its limit holds it.
        if signal.class != Class::Flatten {
            self.settings.gate.check(&self.books, pair, venues, &self.offsets, now)?;
        }
        let entry = signal.class == Class::Entry;
        // The mark is looked at where the clip is sized, four times a second; a quote may be off since.
        if entry && !serves_at(stall.terms.sized_at, perp.bid) {
            return Err(Closed::Unsized);
        }
        let bind = if entry { stall.terms.bind.in_direction(signal.direction) } else { Bind::default() };
        if entry && !self.stakes.fits(&self.permit.stakes, venues, &bind) {
            return Err(Closed::Caps);
        }
        let quotes = [spot, perp];
        let first = self.settings.legs.first(signal.class);
        let order = first.map_or_else(|| leg_order(signal, stall, quotes), |leg| [leg, leg.other()]);
        let mut links = [Slot(0); 2];
        for (link, leg) in links.iter_mut().zip(order) {
            self.permitted(lane(venues[leg as usize], leg), signal.class, now)?;
            *link = self.links.idle(venues[leg as usize], leg).ok_or(Closed::NoLink)?;
        }
        let pick = |leg| self.pick(stall, signal, leg, quotes[leg as usize], loaded, now);
        let picked = [pick(LegKind::Spot), pick(LegKind::Perp)];
        // What the shadow lets go may be a stub again by the quote after (F39): of a spot leg that is refused and a perp
        // that is not, something open would be left.
        let worth =
            |leg| self.is_worth(stall, signal, leg, quotes[leg as usize], picked[leg as usize], loaded);
        if !entry && !LegKind::BOTH.into_iter().all(worth) {
            return Err(Closed::Small);
        }
        let round = Round {
            pair,
            class: signal.class,
            direction: signal.direction,
            sequence: stall.sequence,
            quotes: quotes.map(|q| q.sequence),
            prices: signal_prices(signal, spot, perp),
            ages_ns: quotes.map(|q| now.since(q.received)),
            seen: spot.received.max(perp.received),
            bind,
        };
        Ok(Aim { round, order, links, venues, instruments: stall.legs, picked })
    }

    /// Checks that belong to a new intent of a pair, beyond freshness.
    fn may_start(&self, stall: &Stall, class: Class, loaded: &Loaded, now: Nanos) -> Result<(), Closed> {
        if stall.busy {
            return Err(Closed::Busy);
        }
        if class == Class::Entry {
            let current = stall.terms.generation == loaded.instruments.generation;
            if !current || now > stall.terms.valid_until {
                return Err(Closed::TermsExpired);
            }
            if self.settings.entries_max.is_some_and(|max| stall.entries >= max) {
                return Err(Closed::Limit);
            }
        }
        Ok(())
    }

    /// Whether one more order of this class may leave on this lane. An entry is charged its worst
    /// repair as well, which the shadow refunds when the pair is resolved.
    pub(super) fn permitted(&self, lane: usize, class: Class, now: Nanos) -> Result<(), Closed> {
        let entry = class != Class::Entry || self.charged[lane] + ENTRY_CHARGE <= self.permit.entry[lane];
        let any = self.permit.open(lane, self.sent[lane], Permit::is_normal(class), now);
        if entry && any && !self.links.is_quiet(lane, now) || planted(Bug::PermitIgnored) {
            Ok(())
        } else {
            Err(Closed::Permit)
        }
    }

    /// The prepared order of one leg that fits the present touch.
    fn pick(
        &self,
        stall: &Stall,
        signal: Signal,
        leg: LegKind,
        quote: &Quote,
        loaded: &Loaded,
        now: Nanos,
    ) -> Option<usize> {
        let wanted = self.wanted(stall, signal, leg)?;
        let instrument = loaded.instruments.get(stall.legs[leg as usize]);
        let life = self.prepared_life_ns();
        let shelf = &self.ready[usize::from(stall.pair.0)][signal.direction as usize][leg as usize];
        let (touch, _) = touch(quote, wanted.side);
        // As `Prepared::fits` says, but the reach is worked out once, and what tells most of them apart is looked at first.
        let reach = reach(touch, instrument.tick, wanted.collar_ppm);
        let within = |limit: Price| (0..=reach).contains(&((limit.0 - touch.0) * wanted.side.sign()));
        shelf.first(|order| within(order.spec.limit) && order.is_young(&wanted, now, life))
    }

    /// Whether the venue takes what a leg of a way out would be.
    fn is_worth(
        &self,
        stall: &Stall,
        signal: Signal,
        leg: LegKind,
        quote: &Quote,
        picked: Option<usize>,
        loaded: &Loaded,
    ) -> bool {
        let row = loaded.instruments.get(stall.legs[leg as usize]);
        let shelf = &self.ready[usize::from(stall.pair.0)][signal.direction as usize][leg as usize];
        // Of a leg that is gone nothing is sent.
        let Some(wanted) = self.wanted(stall, signal, leg) else { return true };
        let limit = picked.map_or_else(|| wanted.limit(row, quote), |n| shelf.get(n).spec.limit);
        wanted.reduce_only && row.reduce_only_exempt || takes(row, wanted.qty, limit)
    }

    /// What is written down before the first byte of a round goes out: both legs, also one that may never be sent.
    #[inline(never)] // as `aim`
    pub(super) fn record(
        &self,
        round: &Round,
        legs: [Option<&Leg<'_>>; 2],
        loaded: &Loaded,
    ) -> [u64; Intent::WORDS] {
        let window_ns = i64::from(self.settings.recv_window_ms) * 1_000_000;
        Intent {
            epoch: self.settings.epoch,
            sequence: round.sequence,
            generation: loaded.instruments.generation,
            pair: round.pair,
            class: round.class,
            direction: round.direction,
            ages_ns: round.ages_ns,
            legs: [0, 1].map(|i| {
                legs[i].filter(|_| i == 0 || !planted(Bug::SecondLegUnwritten)).map(|leg| IntentLeg {
                    client: leg.order.spec.client,
                    instrument: leg.instrument,
                    side: leg.order.spec.side,
                    reduce_only: leg.order.spec.reduce_only,
                    qty: leg.order.spec.qty,
                    limit: leg.order.spec.limit,
                    deadline: Unix(leg.order.spec.stamp.0 + window_ns),
                })
            }),
        }
        .to_words()
    }
}

/// The prices a signal was decided on: spot, perp.
pub(super) fn signal_prices(signal: Signal, spot: &Quote, perp: &Quote) -> [Price; 2] {
    let side = |leg| match signal.class {
        Class::Entry => signal.direction.opening(leg),
        _ => signal.direction.opening(leg).other(),
    };
    [touch(spot, side(LegKind::Spot)).0, touch(perp, side(LegKind::Perp)).0]
}

/// Exits close the perp first; entries send the leg first that is more likely to slip away: the one
/// whose visible size covers its order by less.
fn leg_order(signal: Signal, stall: &Stall, quotes: [&Quote; 2]) -> [LegKind; 2] {
    let perp_first = [LegKind::Perp, LegKind::Spot];
    if signal.class != Class::Entry {
        return perp_first;
    }
    let [spot, perp] = LegKind::BOTH.map(|leg| {
        let (_, visible) = touch(quotes[leg as usize], signal.direction.opening(leg));
        (i128::from(visible.0), i128::from(stall.terms.clip[leg as usize].0.max(1)))
    });
    // visible/wanted of spot against that of the perp, without a division.
    if spot.0 * perp.1 <= perp.0 * spot.1 { LegKind::BOTH } else { perp_first }
}

#[cfg(test)]
mod tests {
    use super::super::dry::tests::{Desk, QUIET};
    use crate::event::{Closed, Held, Terms};
    use crate::units::{Direction, LegKind, Qty};

    /// 0.00007 coins are worth 7 at 100,000 and 4.2 at 60,000, and spot takes 5. The perp's leg reduces, and would be
    /// taken whatever it is worth: it waits for the other one.
    #[test]
    fn no_leg_of_a_way_out_leaves_while_the_venue_would_refuse_one() {
        let mut desk = Desk::standing();
        desk.quote(LegKind::Spot, 600_000);
        (0..10).for_each(|_| desk.turn());
        let held = Some(Held { direction: Direction::Short, spot: Qty(7), perp: Qty(1) });
        desk.hot.allow(Terms { held, flatten: true, ..desk.hot.terms() });
        for sequence in 0..10 {
            desk.quote(LegKind::Spot, 600_000 - sequence);
            (0..10).for_each(|_| desk.turn());
        }
        assert!(desk.left().iter().all(Vec::is_empty), "one of both was worth too little");
        assert!(desk.hot.trader.counts.closed[Closed::Small as usize] >= 10);
        desk.quote(LegKind::Spot, QUIET);
        (0..10).for_each(|_| desk.turn());
        assert!(desk.left().iter().all(|bytes| !bytes.is_empty()), "both are taken now");
    }
}
