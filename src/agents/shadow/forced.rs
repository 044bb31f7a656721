//! What a venue does to a position by itself: auto-deleveraging, liquidation, settlement (R14–R16).
//!
//! Owns:  booking such fills once, what they switch off, and when the position is looked at again.
//! Never: opens the perp again, or sells spot for a part of the position that the pair never held.
//! Map:   `UserHeard::System` → `on_forced` → booked → `repair::settle` in the same turn.

use super::Shadow;
use crate::event::{Fill, Forced, PairState, Record, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::SEC;
use crate::units::{Amount, InstrumentId, LegKind, Nanos, PairId, Unix};
use std::sync::Arc;

/// How long a venue takes no entry after an auto-deleveraging (FAULTS F102).
const DELEVERAGED_NS: u64 = 30 * 60 * SEC;
/// When the position is looked at again: deleveraging comes in rounds (R14).
const LOOK_AGAIN_NS: [u64; 2] = [SEC, 5 * SEC];

/// How far back the trades of a position that is looked at again are read.
const RECHECK_BACK_NS: i64 = 60 * SEC as i64;

impl Shadow {
    /// The venue traded on this account by itself.
    pub(super) fn on_forced(
        &mut self,
        instrument: Option<InstrumentId>,
        what: Forced,
        fill: Option<Fill>,
        now: Nanos,
    ) {
        let (Some(id), Some(at)) = (instrument, instrument.and_then(|id| self.book_of_perp(id))) else {
            self.bar(instrument, what.text(), now);
            return;
        };
        // One that is older than the books name trades one by one was booked when it was made.
        let known = |fill: Fill| self.ledger.has(id, fill.trade_id) || fill.at < self.recovered.known_since;
        if fill.is_some_and(known) {
            return;
        }
        let pair = self.books[at].pair;
        if self.books[at].mending.forced.replace(what).is_none() {
            self.switch_off(at, what, now);
        }
        let rechecks = LOOK_AGAIN_NS.map(|ns| (now.plus(ns), pair));
        self.rechecks.retain(|(_, it)| *it != pair);
        self.rechecks.extend(rechecks);
        if let Some(fill) = fill {
            self.book_forced(at, what, &fill);
            if matches!(self.books[at].state, PairState::Flat | PairState::Hedged) {
                self.set_state(pair, PairState::Busy, what.text());
            }
            self.settle(pair, now);
        }
        // What is held changed, and the trader must not close what is gone.
        self.publish_terms(at, now);
    }

    /// No new short on this venue; after a liquidation nothing but repairs, until a person has looked.
    fn switch_off(&mut self, at: usize, what: Forced, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.pair(self.books[at].pair);
        let perp = instruments.get(row.perp);
        let why = format!(
            "pair {}: {} of {}; no new entries until a person has looked at the account",
            row.name,
            what.text(),
            perp.symbol
        );
        if !planted(Bug::AdlUntold) {
            self.alert(why.clone());
        }
        self.books[at].frozen.get_or_insert(why);
        match what {
            Forced::Deleveraging => self.freeze(perp.venue, now.plus(DELEVERAGED_NS), what.text()),
            Forced::Liquidation => {
                let why = format!("{} of {}; look at the margin of every pair", what.text(), perp.symbol);
                self.halt(why, now);
                self.doubt_margin(lane(perp.venue, LegKind::Perp), now);
            }
            Forced::Settlement => {}
        }
    }

    /// Books a fill that no order of ours made: the ledger takes it whole, the pair as much of it as it held.
    fn book_forced(&mut self, at: usize, what: Forced, fill: &Fill) {
        let instruments = Arc::clone(&self.instruments);
        let pair = self.books[at].pair;
        let mut base = Amount::ZERO;
        if !self.ledger.book(fill, pair, fill.price, &instruments, &mut base) {
            return;
        }
        let unbooked = self.orders.values().any(|tracked| {
            tracked.order.pair == pair
                && tracked.order.leg.instrument == fill.instrument
                && !tracked.order.closed()
        });
        let holding = &mut self.books[at].holding;
        let held = holding.perp.0;
        let mut mine = base;
        // While an order of ours is still to be booked, what the pair holds is not known yet.
        if !unbooked {
            let shrinks = held.signum() == -base.0.signum();
            mine =
                if shrinks { Amount(base.0.signum() * base.0.abs().min(held.abs())) } else { Amount::ZERO };
        }
        holding.perp += mine;
        self.recon.stir(fill.instrument);
        let (at, decided) = (self.clock.unix(), fill.price);
        self.write(Record::Fill { at, fill: *fill, decided, cause: Some(what), instruments });
        if mine != base {
            let name = self.instruments.pair(pair).name;
            self.alert(format!(
                "pair {name}: {} closed more than the pair held; the rest of the position was not this engine's",
                what.text()
            ));
        }
    }

    /// A private event about this instrument was lost: if it was a forced order's, only the position tells.
    pub(super) fn recheck_perp(&mut self, id: InstrumentId, now: Nanos) {
        if let Some(at) = self.book_of_perp(id) {
            self.recheck_position(self.books[at].pair, now);
        }
    }

    fn book_of_perp(&self, id: InstrumentId) -> Option<usize> {
        self.books.iter().position(|book| self.instruments.pair(book.pair).perp == id)
    }

    /// Positions whose time has come to be looked at again.
    pub(super) fn tick_rechecks(&mut self, now: Nanos) {
        while let Some(at) = self.rechecks.iter().position(|(due, _)| *due <= now) {
            let (_, pair) = self.rechecks.swap_remove(at);
            self.recheck_position(pair, now);
        }
    }

    /// Reads a perp's trades and position at the venue: what it did and nobody told of is booked then.
    pub(super) fn recheck_position(&mut self, pair: PairId, now: Nanos) {
        self.recheck(self.instruments.pair(pair).perp, now);
    }

    /// The same for any instrument.
    pub(super) fn recheck(&mut self, id: InstrumentId, now: Nanos) {
        if self.needs_account() {
            let since = Unix(self.clock.unix().0 - RECHECK_BACK_NS);
            self.recon_instrument(id, since, now);
        }
    }
}
