//! Moving on: where the caps are full, a position is left for an entry that earns clearly more.
//!
//! Owns:  choosing both, one move at a time.
//! Never: moves where there is room for both, or while anything is under way.

use super::Shadow;
use super::terms::bps_text;
use super::weighing::{DIRECTIONS, executable};
use crate::desk::basis::Scales;
use crate::event::{Fold, PairState};
use crate::units::time::SEC;
use crate::units::{Direction, Nanos, Ratio};

/// How often a move is looked for.
const AGAIN_NS: u64 = SEC;

impl Shadow {
    /// Leaves the position that earns least for the entry that promises most, if that pays 1.5 times its costs.
    pub(super) fn tick_rotation(&mut self, now: Nanos) {
        if now < self.risk.rotate_due || !self.may_trade() {
            return;
        }
        self.risk.rotate_due = now.plus(AGAIN_NS);
        let quiet = self.books.iter().all(|book| !book.state.is_open() && book.weighing.leaving.is_none());
        let worst = self.held_pairs().min_by_key(|at| self.carry_held(*at)).filter(|_| quiet);
        let (Some(worst), Some((best, direction, basis))) = (worst, self.best_shut_out(now)) else { return };
        let (here, there) = (&self.books[worst], &self.books[best]);
        let held = here.held.and_then(|held| here.weighing.entries[held.direction as usize]);
        let other = there.weighing.entries[direction as usize];
        let (Some(held), Some(other)) = (held.zip(here.weighing.costs), other.zip(there.weighing.costs))
        else {
            return;
        };
        let weighed = self.settings.policy.rotate((&held.0, &held.1), (&other.0, &other.1), basis);
        if let Some(rotation) = weighed.filter(|rotation| rotation.pays) {
            let why = format!(
                "rotation: {} {direction} earns {} bps more over the hold, and the move costs {} bps",
                self.instruments.pair(there.pair).name,
                bps_text(rotation.gain),
                bps_text(rotation.costs),
            );
            self.give_up(worst, why);
        }
    }

    /// The flat pair whose entry would be made now but for the caps, and promises most; at which basis.
    fn best_shut_out(&self, now: Nanos) -> Option<(usize, Direction, Ratio)> {
        let policy = &self.settings.policy;
        let flat = (0..self.books.len()).filter(|at| self.books[*at].state == PairState::Flat);
        let shut_out =
            flat.filter(|at| self.capped(*at).is_some() && now <= self.books[*at].terms.valid_until);
        let promises = shut_out.flat_map(|at| {
            let book = &self.books[at];
            let row = self.instruments.pair(book.pair);
            let scales = Scales::new(row, self.instruments.get(row.spot), self.instruments.get(row.perp));
            DIRECTIONS.into_iter().filter_map(move |direction| {
                let entry = book.weighing.entries[direction as usize]?;
                let open = book.terms.enter[direction as usize] != Fold::NEVER;
                let basis = executable(book, scales?, direction, false)?;
                let pays = open && entry.enter.is_ok_and(|enter| basis >= enter);
                Some((policy.net_apr(&entry, basis).filter(|_| pays)?, at, direction, basis))
            })
        });
        promises.max_by_key(|(apr, ..)| *apr).map(|(_, at, direction, basis)| (at, direction, basis))
    }
}
