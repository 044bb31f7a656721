//! Rules that change while running: each market is listed again every minute, and at once when an order met a
//! rule that we did not know (FAULTS F46, F53, F70, F98).
//!
//! Owns:  when that is asked for, the next generation of instruments with its order forms, and the generations
//!        before it until nobody can hold them any more.
//! Never: changes an id or a scale (`venue::renew`), or lets a hot room drop the last hold of a generation.

use super::Clerk;
use super::errands::Errand;
use super::load::limits;
use crate::agents::Loaded;
use crate::event::{Instruments, Limit, News, lane};
use crate::metal::crash;
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos};
use crate::venue::Listing;
use crate::venue::renew::{Renewed, renew};
use std::collections::VecDeque;
use std::sync::Arc;

/// How often a market is listed again: with the way there and back, within a minute (F46).
const EVERY_NS: u64 = 50 * SEC;
/// How often at most, however many orders met a rule.
const AT_ONCE_NS: u64 = SEC;
/// Generations kept: the rooms hold the last one, and one that they are about to leave.
const KEPT: usize = 3;

/// What was handed out, and when a market is listed again.
#[derive(Debug, Default)]
pub(super) struct Relist {
    kept: VecDeque<Arc<Loaded>>,
    asked: Nanos,
    /// The shadow's wishes heeded so far.
    heeded: u64,
    limits: Vec<Limit>,
}

impl Clerk {
    /// The present instruments, once there are any.
    pub(super) fn present(&self) -> Option<&Instruments> {
        self.relist.kept.back().map(|loaded| &*loaded.instruments)
    }

    /// Hands a generation to the rooms.
    pub(super) fn hand_out(&mut self, loaded: Arc<Loaded>) {
        for door in &mut self.doors.loaded {
            // The trader takes it in its next turn; whoever runs the rooms needs names and scales alone.
            let _ = door.push(Arc::clone(&loaded));
        }
        self.relist.kept.push_back(loaded);
        if self.relist.kept.len() > KEPT {
            self.relist.kept.pop_front();
        }
    }

    /// Asks both markets again where it is time, or wanted.
    pub(super) fn list_again(&mut self, now: Nanos) {
        if !self.is_live() {
            self.relist.asked = now;
            return;
        }
        let wanted = self.errands.allowed.relist;
        let wait_ns = if wanted == self.relist.heeded { EVERY_NS } else { AT_ONCE_NS };
        if now.since(self.relist.asked) < wait_ns {
            return;
        }
        (self.relist.asked, self.relist.heeded) = (now, wanted);
        for leg in LegKind::BOTH {
            self.errands.add_once(leg, Errand::Relisting(leg));
        }
    }

    /// What of the first generation can't be traded now: a market of an earlier run.
    pub(super) fn tell_shut(&mut self, instruments: &Instruments) {
        let venue = self.settings.target.venue.id;
        let held: Vec<_> =
            self.listings.iter().map(|(leg, listing)| (*leg, renew(instruments, *leg, listing))).collect();
        for (leg, Renewed { shut, ending, .. }) in held {
            if !shut.is_empty() {
                let lane = lane(venue, leg);
                self.tell(News::Relisted { lane, instruments: None, shut, ending, limits: Vec::new() });
            }
        }
    }

    /// A market was listed again.
    pub(super) fn on_relisted(&mut self, leg: LegKind, listing: &Listing) {
        let venue = self.settings.target.venue;
        let of_lane = lane(venue.id, leg);
        let Some(present) = self.relist.kept.back().cloned() else { return };
        let Renewed { instruments, shut, ending } = renew(&present.instruments, leg, listing);
        let instruments = instruments.map(Arc::new);
        if let Some(instruments) = &instruments {
            // Forms hold symbol, host and scales, which a change of rules leaves as they are.
            let forms = present.forms.clone();
            crash::point("K20");
            self.hand_out(Arc::new(Loaded { instruments: Arc::clone(instruments), forms }));
        }
        let mine: Vec<Limit> = limits(venue, std::iter::once(listing))
            .into_iter()
            .filter(|limit| limit.lane == of_lane)
            .collect();
        let known: Vec<Limit> =
            self.relist.limits.iter().filter(|limit| limit.lane == of_lane).copied().collect();
        self.relist.limits.retain(|limit| limit.lane != of_lane);
        self.relist.limits.extend(&mine);
        let limits = if mine == known { Vec::new() } else { mine };
        self.tell(News::Relisted { lane: of_lane, instruments, shut, ending, limits });
    }
}
