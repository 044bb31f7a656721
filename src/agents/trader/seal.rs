//! Orders sealed ahead: once all are signed, one an idle turn is sealed where its lane's next order leaves.
//!
//! Owns:  which orders lie sealed: those whose thresholds are nearest.
//! Never: sends; seals what would not be fired as it is (`ready` has seen to that in the same idle turn).
//! Why:   whatever leaves on a link makes all that lies sealed there void, so after each order the nearest
//!        is sealed first (HOTPATH §2.3).

use super::pen::Prepared;
use super::shelf::{RUNGS, Shelf};
use super::{Stall, Trader};
use crate::event::{LANES, lane};
use crate::metal::link::Link;
use crate::metal::poll::Slot;
use crate::units::{Direction, LegKind, Nanos, Price};

/// How much further off an order counts for each that lies nearer to the touch on its shelf, in units of
/// [`Fold::gap`](crate::event::Fold::gap): first every pair is sealed at its touch, which an intent
/// needs of the leg that does not jump.
const RUNG_GAP: u64 = 1 << 30;

/// One order of what a pair may fire, and where its order leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    at: usize,
    direction: Direction,
    leg: LegKind,
    lane: usize,
    slot: Slot,
    /// Which of its leg's orders.
    n: usize,
    gap: u64,
}

impl Candidate {
    fn order(self, ready: &mut [[[Shelf; 2]; 2]]) -> &mut Prepared {
        ready[self.at][self.direction as usize][self.leg as usize].get_mut(self.n)
    }
}

/// Which of the candidates seen is sealed next, and which may have to give way to it.
#[derive(Default)]
struct Ranking {
    /// The nearest that is not sealed.
    nearest: Option<Candidate>,
    /// The furthest of each lane that is.
    furthest: [Option<Candidate>; LANES],
    /// The nearest of all.
    first: Option<Candidate>,
}

impl Ranking {
    fn see(&mut self, candidate: Candidate, sealed: bool) {
        if self.first.is_none_or(|first| candidate.gap < first.gap) {
            self.first = Some(candidate);
        }
        let place = if sealed { &mut self.furthest[candidate.lane] } else { &mut self.nearest };
        if place.is_none_or(|kept| (candidate.gap > kept.gap) == sealed && candidate.gap != kept.gap) {
            *place = Some(candidate);
        }
    }

    /// Seals the nearest on the link where its lane's next order leaves. Without a place there, the furthest gives
    /// way, if it is further.
    fn seal(&self, ready: &mut [[[Shelf; 2]; 2]], link: &mut Link) -> bool {
        let Some(nearest) = self.nearest else { return false };
        if nearest.order(ready).seal(link, None) {
            return true;
        }
        let Some(far) = self.furthest[nearest.lane].filter(|far| far.gap > nearest.gap) else { return false };
        let instead = far.order(ready).take_sealed();
        nearest.order(ready).seal(link, instead)
    }
}

impl Trader {
    /// Seals the nearest order that lies unsealed. Where none does, there is time for a dry fire.
    #[inline(never)]
    pub(super) fn seal_one(&mut self, now: Nanos) {
        self.unsealed |= self.look_at_gap();
        if !self.unsealed {
            return self.stand_by(now);
        }
        let idle = self.links.first_idle();
        let mut ranking = Ranking::default();
        for at in 0..self.stalls.len() {
            for candidate in self.candidates(at, &idle).into_iter().flatten() {
                let Some(link) = self.links.links.get(candidate.slot) else { continue };
                let shelf = &self.ready[at][candidate.direction as usize][candidate.leg as usize];
                for n in 0..=RUNGS {
                    let order = shelf.get(n);
                    if !order.bytes().is_empty() {
                        let gap = candidate.gap.saturating_add(RUNG_GAP * n as u64);
                        ranking.see(Candidate { n, gap, ..candidate }, order.is_sealed(link));
                    }
                }
            }
        }
        self.unsealed = false;
        self.nearest = ranking.first.map(|first| (first.at, first.direction));
        let Some(nearest) = ranking.nearest else { return };
        let Some(link) = self.links.links.get_mut(nearest.slot) else { return };
        if self.sealed_on[nearest.lane] != link.id {
            // What may lie there from an earlier time is nobody's any more.
            link.clear_ahead();
            self.sealed_on[nearest.lane] = link.id;
        }
        self.unsealed = ranking.seal(&mut self.ready, link);
    }

    /// What this pair may fire next: its exit, or its entries; each leg where its lane has an idle link.
    fn candidates(&self, at: usize, idle: &[Option<Slot>; LANES]) -> [Option<Candidate>; 4] {
        let stall = &self.stalls[at];
        let [spot, perp] = LegKind::BOTH;
        let (short, long) = (Direction::Short, Direction::Long);
        [(short, spot), (short, perp), (long, spot), (long, perp)].map(|(direction, leg)| {
            let may = match stall.terms.held {
                Some(held) => held.direction == direction,
                None => self.settings.directions[direction as usize],
            };
            let lane = lane(stall.venues[leg as usize], leg);
            let gap = stall.gaps[direction as usize];
            let candidate = |slot| Candidate { at, direction, leg, lane, slot, n: 0, gap };
            if may && !stall.busy { idle[lane].map(candidate) } else { None }
        })
    }

    /// Looks how far one pair whose quotes changed is from its thresholds; another one in every idle turn. Whether
    /// there was one.
    fn look_at_gap(&mut self) -> bool {
        let Some(at) = self.unranked.next(self.gap_of + 1) else { return false };
        self.gap_of = at;
        self.unranked.remove(at);
        let Some(stall) = self.stalls.get_mut(at) else { return false };
        if let [Some(spot), Some(perp)] = self.books.tops(stall.pair) {
            stall.gaps = gaps(stall, [perp.bid, perp.ask], [spot.bid, spot.ask]);
        }
        true
    }
}

/// The gap of what would be fired in each direction; bid and ask of the perp, of the spot.
fn gaps(stall: &Stall, perp: [Price; 2], spot: [Price; 2]) -> [u64; 2] {
    let terms = &stall.terms;
    [Direction::Short, Direction::Long].map(|direction| {
        let (fold, opens) = match terms.held {
            // The operator's word fires it at any price.
            Some(_) if terms.flatten => return 0,
            Some(_) => (terms.exit, false),
            None => (terms.enter[direction as usize], true),
        };
        let sells_perp = (direction == Direction::Short) == opens;
        fold.gap(perp[usize::from(!sells_perp)], spot[usize::from(sells_perp)])
    })
}

#[cfg(test)]
mod tests {
    use super::super::pen::tests::written;
    use super::*;
    use crate::desk::book::tests::one_pair;
    use crate::metal::link::{SEALED_PLACES, memory_pair};
    use crate::units::LinkId;
    use proptest::prelude::*;

    proptest! {
        /// More orders than places, thresholds that move, something sent now and then: in the end the nearest
        /// lie sealed, and sealing comes to an end.
        #[test]
        fn the_nearest_lie_sealed(
            gaps in prop::collection::vec(prop::collection::vec(0u64..1_000, 96), 1..5), pairs in 1usize..48,
        ) {
            let instruments = one_pair();
            let perp = &instruments.instruments[1];
            let key = crate::venue::Key::new("k".repeat(64), "s".repeat(64));
            let form = (crate::venue::get(perp.venue).form)(perp, "venue.example", &key, 1_000);
            let (mut link, _peer) = memory_pair(LinkId(1), "box:1", 256, 4_096);
            let blank = Shelf::blank;
            let mut ready: Vec<_> = (0..pairs).map(|_| [[blank(), blank()], [blank(), blank()]]).collect();
            for (n, shelf) in ready.iter_mut().flatten().flatten().enumerate() {
                written(shelf.get_mut(0), &form, perp, 600_000, n as u64 + 1);
            }
            for gaps in gaps {
                let mut turns = 0;
                loop {
                    let mut ranking = Ranking::default();
                    for at in 0..pairs {
                        for direction in [Direction::Short, Direction::Long] {
                            let leg = LegKind::Perp;
                            let gap = gaps[at * 2 + direction as usize];
                            let candidate = Candidate { at, direction, leg, lane: 1, slot: Slot(0), n: 0, gap };
                            let order = ready[at][direction as usize][leg as usize].get(0);
                            ranking.see(candidate, order.is_sealed(&link));
                        }
                    }
                    if !ranking.seal(&mut ready, &mut link) { break }
                    turns += 1;
                    prop_assert!(turns <= 2 * pairs, "it seals for ever");
                }
                let mut near: Vec<u64> = gaps[..2 * pairs].to_vec();
                near.sort_unstable();
                near.truncate(SEALED_PLACES);
                let mut sealed: Vec<u64> = (0..2 * pairs)
                    .filter(|n| ready[n / 2][n % 2][LegKind::Perp as usize].get(0).is_sealed(&link))
                    .map(|n| gaps[n])
                    .collect();
                sealed.sort_unstable();
                prop_assert_eq!(sealed, near);
                if gaps[0] % 3 == 0 {
                    link.send(b"a warming request").unwrap();
                }
            }
        }
    }
}
