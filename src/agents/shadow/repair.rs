//! What a pair needs once its orders have ended: nothing, or one order that makes a leg smaller.
//!
//! Owns:  settling an intent, repair by unwinding (R1–R8, R12, R18) where `completing` does not see
//!        to it, and freeing the pair.
//! Never: frees a pair that is out of bound or not fully booked, asks for a second unwind while the
//!        first is open.

use super::Shadow;
use crate::desk::budget::ENTRY_CHARGE;
use crate::desk::order::State;
use crate::desk::pair::{Holding, Next, base_of};
use crate::event::{Bind, Command, Mode, PairState};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::units::time::{MS, SEC};
use crate::units::{Amount, Class, ClientId, LegKind, Nanos, PairId, Qty};
use std::sync::Arc;

/// An unwind leaves within this time, or is declined: what it was asked for may have been put right meanwhile.
const UNWIND_WITHIN_NS: u64 = 500 * MS;
/// An unwind that was asked for and not heard of again; it can't leave any more then.
const ASKED_LOST_NS: u64 = SEC;

impl Shadow {
    /// Looks at every timer: orders that want to be asked about, unwinds that wait.
    pub(super) fn tick_orders(&mut self, now: Nanos) {
        let due: Vec<ClientId> =
            self.orders.iter().filter(|(_, t)| t.order.due() <= now).map(|(client, _)| *client).collect();
        for client in due {
            let Some(tracked) = self.orders.get_mut(&client) else { continue };
            let action = tracked.order.on_tick(now);
            let (state, pair, row) =
                (tracked.order.state, tracked.order.pair, self.instruments.get(tracked.order.leg.instrument));
            let venue = row.venue;
            if state == State::Unknown {
                self.on_unknown(client, pair, venue);
            }
            self.ask(action, client);
        }
        for at in 0..self.books.len() {
            let book = &mut self.books[at];
            if book.asked.is_some_and(|asked| now.since(asked) > ASKED_LOST_NS) {
                book.asked = None;
            }
            if book.state.is_open() {
                let pair = book.pair;
                self.tell_proven(at);
                self.settle(pair, now);
            }
        }
    }

    /// Once every order of a pair has ended: settled, or one repair.
    pub(super) fn settle(&mut self, pair: PairId, now: Nanos) {
        let at = usize::from(pair.0);
        if !self.books[at].state.is_open() || !self.confirmed(pair) {
            return;
        }
        // What the first leg left is what the second was decided for: nothing is broken yet.
        if self.books[at].awaiting {
            return;
        }
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.pair(pair);
        let mut proven = self.books[at].holding;
        let mut all_booked = true;
        // Legs with an order presumed dead: they are not touched before its fate is proven.
        let mut doubted = [false; 2];
        let window_ns = u64::from(self.settings.recv_window_ms) * MS;
        let waits = !planted(Bug::UnprovenUnwound);
        for tracked in self.orders.values().filter(|t| t.order.pair == pair) {
            let order = &tracked.order;
            if order.closed() {
                continue;
            }
            all_booked = false;
            let instrument = instruments.get(order.leg.instrument);
            if !order.ended() {
                if waits && !order.presumed_dead(window_ns, now) {
                    return;
                }
                doubted[instrument.leg as usize] = true;
                continue;
            }
            match instrument.leg {
                // What a spot buy leaves is known only with its fees: wait for its trades.
                LegKind::Spot => return,
                LegKind::Perp => {
                    let missing = Qty((order.executed.0 - order.booked.0) * order.leg.side.sign());
                    proven.perp += base_of(missing, instrument, row.size_factor);
                }
            }
        }
        let quote = self.books[at].pulse.and_then(|pulse| pulse.quotes[LegKind::Spot as usize]);
        let next = proven.next(&instruments, pair, quote.as_ref());
        let mending = &mut self.books[at].mending;
        if matches!(next, Next::Unwind { .. }) {
            mending.broken(now)
        } else {
            mending.sound()
        }
        let dust = mending.is_dust(next == Next::Dust, now);
        if !matches!(next, Next::Settled { .. }) && self.complete(at, proven, next, now) {
            return;
        }
        // A repair that the trader has not answered yet may leave still: a pair that was settled meanwhile would be traded
        // beside it, and the same coins sold twice.
        let asked = waits && self.books[at].asked.is_some();
        match next {
            // R6, R7: the other leg's proven quantity is taken back; a leg in doubt is left alone, since
            // two orders of it might both fill.
            Next::Unwind { leg, .. } if doubted[leg as usize] && !planted(Bug::DoubtedLegUnwound) => {}
            Next::Unwind { leg, side, qty } => self.unwind(at, leg, side, qty, now),
            Next::Settled { .. } if asked => {}
            Next::Settled { hedged } if all_booked => self.resolve(at, hedged, now),
            Next::Dust if dust && all_booked && !asked => {
                let name = row.name;
                let exposure = proven.exposure();
                let why = format!(
                    "pair {name}: {exposure} {name} is more than the bound and less than any leg can trade; no new entries"
                );
                // Told also where entries are off already: it is another reason, and another thing to do.
                if self.books[at].frozen.replace(why.clone()).as_ref() != Some(&why) {
                    self.note(why);
                }
                self.resolve(at, proven.perp != Amount::ZERO, now);
            }
            Next::Settled { .. } | Next::Dust | Next::Unpriced => {}
        }
    }

    fn unwind(&mut self, at: usize, leg: LegKind, side: crate::units::Side, qty: Qty, now: Nanos) {
        let lane = self.lane_of(self.books[at].pair, leg);
        let qty = self.sized(at, leg, side, qty, now);
        let edge = self.edge(at, leg, side, now);
        // A repair that can't leave is not asked for (R9: `Retry-After` first).
        if !self.lanes[lane].may_repair(now) || self.mode() == Mode::Killed {
            return;
        }
        let book = &mut self.books[at];
        if book.asked.is_some() || now < book.retry_at {
            return;
        }
        let command = Command::Unwind {
            pair: book.pair,
            last: (book.sequence, book.attempt),
            leg,
            side,
            qty,
            collar_ppm: book.mending.collar_ppm(),
            sliced: book.mending.sliced(),
            edge,
            until: now.plus(UNWIND_WITHIN_NS),
        };
        // A full ring: asked again at the next tick.
        if self.doors.commands.push(command).is_ok() {
            book.asked = Some(now);
            book.repaired = true;
            crash::point("K16a");
        }
    }

    /// Everything ended, booked and within bound: the pair may be traded again.
    fn resolve(&mut self, at: usize, hedged: bool, now: Nanos) {
        let pair = self.books[at].pair;
        self.remember(pair);
        let book = &mut self.books[at];
        let had = book.held.is_some();
        self.totals.repaired += u64::from(std::mem::take(&mut book.repaired));
        if hedged && !had {
            self.totals.opened += 1;
        }
        if !hedged && had {
            self.totals.closed += 1;
            book.weighing.on_left(now);
        }
        if hedged && book.began_as == Class::Entry {
            book.weighing.on_grown(now);
        }
        book.bound.0 = Bind::default();
        for slot in std::mem::take(&mut book.slots) {
            self.freeing.push_back((self.written + self.backlog.len() as u64, slot));
        }
        for lane in std::mem::take(&mut book.reserved) {
            if let Some(state) = self.lanes.get_mut(lane) {
                state.on_resolved();
            }
        }
        let forced = std::mem::take(&mut book.mending).forced;
        let began_as = book.began_as;
        self.hold(at, hedged);
        if let Some(why) = self.stub_why(at) {
            self.note(format!("pair {}: {why}", self.instruments.pair(pair).name));
        }
        let state = if hedged { PairState::Hedged } else { PairState::Flat };
        self.set_state(
            pair,
            state,
            match forced {
                Some(_) => "what the venue closed is matched",
                None if began_as == Class::Entry => "entry resolved",
                None => "exit resolved",
            },
        );
        self.books[at].late = false;
        // The cell first, then the freedom to act on it.
        self.publish_terms(at, now);
        if !self.books[at].owes_free {
            return;
        }
        if !planted(Bug::NeverFreed) && self.doors.commands.push(Command::Free { pair }).is_err() {
            // The pair stays BUSY at the trader; the state goes back so that the next tick frees it.
            self.books[at].state = PairState::Busy;
            return;
        }
        self.books[at].owes_free = false;
        let holding = self.books[at].holding;
        self.tell_pair(pair, hedged, holding);
    }

    fn tell_pair(&mut self, pair: PairId, hedged: bool, holding: Holding) {
        let name = self.instruments.pair(pair).name;
        let text = if hedged {
            format!("{name}: holds {} spot, {} perp", holding.spot, holding.perp)
        } else {
            format!("{name}: flat again")
        };
        self.line(&text);
    }
}

const _: () =
    assert!(ENTRY_CHARGE > 6, "an entry's reserve covers its worst repair, six requests a leg (F100)");
