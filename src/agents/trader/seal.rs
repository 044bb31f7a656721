//! Orders sealed ahead: once all are signed, one an idle turn is sealed where its lane's next order leaves.
//!
//! Owns:  which orders lie sealed: those whose thresholds are nearest.
//! Never: sends; seals what would not be fired as it is (`ready` has seen to that in the same idle turn).
//! Why:   whatever leaves on a link makes all that lies sealed there void, so after each order the nearest
//!        is sealed first (HOTPATH §2.3).

use super::{Stall, Trader};
use crate::event::{LANES, lane};
use crate::metal::poll::Slot;
use crate::units::{Direction, LegKind, Price};

/// One leg of what a pair may fire, and where its order leaves.
#[derive(Clone, Copy)]
struct Candidate {
    at: usize,
    direction: Direction,
    leg: LegKind,
    lane: usize,
    slot: Slot,
    gap: u64,
}

impl Trader {
    /// Seals the nearest order that lies unsealed. Where all places are taken, the furthest gives way to it.
    pub(super) fn seal_one(&mut self) -> usize {
        self.look_at_gap();
        let idle = self.links.first_idle();
        let (mut nearest, mut furthest): (Option<Candidate>, Option<Candidate>) = (None, None);
        for at in 0..self.stalls.len() {
            for candidate in self.candidates(at, &idle).into_iter().flatten() {
                let Some(link) = self.links.links.get(candidate.slot) else { continue };
                let order = &self.ready[at][candidate.direction as usize][candidate.leg as usize];
                if order.is_sealed(link) {
                    if furthest.is_none_or(|far| candidate.gap > far.gap) {
                        furthest = Some(candidate);
                    }
                } else if !order.bytes().is_empty() && nearest.is_none_or(|near| candidate.gap < near.gap) {
                    nearest = Some(candidate);
                }
            }
        }
        let Some(nearest) = nearest else { return 0 };
        let Some(link) = self.links.links.get_mut(nearest.slot) else { return 0 };
        if self.sealed_on[nearest.lane] != link.id {
            // What may lie there from an earlier time is nobody's any more.
            link.clear_ahead();
            self.sealed_on[nearest.lane] = link.id;
        }
        let order = |of: Candidate| (of.at, of.direction as usize, of.leg as usize);
        let (at, direction, leg) = order(nearest);
        let mut sealed = self.ready[at][direction][leg].seal(link, None);
        if let Some(far) = furthest
            && !sealed
            && far.slot == nearest.slot
            && far.gap > nearest.gap
        {
            let (far_at, far_direction, far_leg) = order(far);
            let instead = self.ready[far_at][far_direction][far_leg].take_sealed();
            sealed = self.ready[at][direction][leg].seal(link, instead);
        }
        usize::from(sealed)
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
            let candidate = |slot| Candidate { at, direction, leg, lane, slot, gap };
            if may && !stall.busy { idle[lane].map(candidate) } else { None }
        })
    }

    /// Looks how far one pair is from its thresholds; another one in every idle turn.
    fn look_at_gap(&mut self) {
        if self.stalls.is_empty() {
            return;
        }
        self.gap_of = (self.gap_of + 1) % self.stalls.len();
        let stall = &mut self.stalls[self.gap_of];
        if let [Some(spot), Some(perp)] = self.books.tops(stall.pair) {
            stall.gaps = gaps(stall, [perp.bid, perp.ask], [spot.bid, spot.ask]);
        }
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
