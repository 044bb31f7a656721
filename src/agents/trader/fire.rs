//! The way out: the gate at the moment of sending, claim before send, both legs in one breath.
//!
//! Owns:  the sequence claim → commit → look at the latch → first byte, for pairs and, from `mend`, for repairs.
//! Never: leaves a leg unsent without telling so, or a pair not BUSY after its first byte.
//! Wire:  FAULTS 7.2 (what is written before a send), DESIGN §2 (Permit, BUSY).

use super::aim::Aim;
use super::contingent::Armed;
use super::links::{Flying, Went};
use super::pen::{Paper, Prepared, mask};
use super::proof::Proof;
use super::{Signal, Trader};
use crate::agents::Loaded;
use crate::desk::book::touch;
use crate::desk::budget::ENTRY_CHARGE;
use crate::event::{Bind, Closed, Fired, FiredLeg, Made, Told, Wire, intent_state, lane};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::intents::IntentSlot;
use crate::metal::link::Sealed;
use crate::metal::poll::Slot;
use crate::units::{Class, Direction, InstrumentId, LegKind, Nanos, PairId, Price, VenueId};

/// Room in the ring to the shadow that a send round claims: itself, and what a dying link adds.
const ROUND_EVENTS: usize = 4;

/// A send round about to leave: all of [`Fired`] but the legs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) pair: PairId,
    pub(super) class: Class,
    pub(super) direction: Direction,
    pub(super) sequence: u32,
    pub(super) quotes: [u64; 2],
    pub(super) prices: [Price; 2],
    pub(super) ages_ns: [u64; 2],
    pub(super) seen: Nanos,
    /// What it is charged against the permit's stakes.
    pub(super) bind: Bind,
}

/// One leg of it.
pub(super) struct Leg<'a> {
    pub(super) order: &'a Prepared,
    /// Its bytes, sealed ahead.
    pub(super) sealed: Option<Sealed>,
    pub(super) instrument: InstrumentId,
    pub(super) venue: VenueId,
    pub(super) leg: LegKind,
    pub(super) link: Slot,
}

impl Trader {
    /// Fires both legs of a signal.
    ///
    /// # Errors
    ///
    /// Why the gate stayed closed; nothing was sent then.
    pub(super) fn fire_pair(&mut self, pair: PairId, signal: Signal, now: Nanos) -> Result<(), Closed> {
        // Looked at where it lies: it is too large to be moved for nothing.
        let aimed = self.aim(pair, signal, now);
        let aim = aimed.as_ref().map_err(|why| *why)?;
        // Lent, not cloned: counting it up waits for every store before it.
        let loaded = self.loaded.take().ok_or(Closed::NoQuote)?;
        let fired = self.fire_aimed(aim, signal, &loaded, now);
        self.loaded = Some(loaded);
        fired
    }

    fn fire_aimed(&mut self, aim: &Aim, signal: Signal, loaded: &Loaded, now: Nanos) -> Result<(), Closed> {
        let at = usize::from(aim.round.pair.0);
        // Both orders stand ready before anything is claimed: prepared ahead, or signed now.
        for leg in aim.order {
            self.ready_order(signal, leg, aim, loaded, now)?;
        }
        // Of the leg that waits for the other, if one does.
        let waits_at = match self.settings.legs.first(signal.class) {
            Some(first) => {
                Some(*self.books.top(aim.instruments[first.other() as usize]).ok_or(Closed::NoQuote)?)
            }
            None => None,
        };
        let slot = self.claim(signal.class)?;
        let mut ready = std::mem::take(&mut self.ready);
        let shelves = &mut ready[at][signal.direction as usize];
        // A leg that waits keeps what is sealed of it.
        let mut take = |n: usize| shelves[aim.order[n] as usize].picked_mut().take_sealed();
        let sealed = (take(0), if waits_at.is_none() { take(1) } else { None });
        let (mut first, mut second) = (aim.leg(0, shelves, sealed.0), aim.leg(1, shelves, sealed.1));
        let round = &aim.round;
        self.commit(round, slot, [Some(&first), Some(&second)], loaded);
        if let Some(quote) = waits_at {
            // Gate, links and budget were looked at for both legs; the second leaves once the first is
            // proven to have filled.
            let waits = second.order.spec;
            // What it binds is told with the first leg.
            let after = Round { bind: Bind::default(), ..*round };
            let armed = Armed::new(after, slot, first.order.spec, waits, quote, now);
            let more = self.send_legs(round, slot, [Some(&mut first), None], true);
            self.stalls[at].armed = more.then_some(armed);
            self.stalls[at].proof = Proof::of(armed.first().qty);
        } else {
            self.send_legs(round, slot, [Some(&mut first), Some(&mut second)], false);
        }
        self.ready = ready;
        self.stakes.add(aim.venues, &round.bind);
        let stall = &mut self.stalls[at];
        stall.entries += u32::from(signal.class == Class::Entry);
        stall.fired = (stall.sequence, 0);
        // The id is burnt, whatever reached the wire: the next intent carries another, and what was
        // prepared under this one fits no more.
        self.next_sequence += u32::from(!planted(Bug::SequenceReused));
        stall.sequence = self.next_sequence;
        Ok(())
    }

    /// Tells of the first turn that finds the kill latch set, and of the first that finds it clear again: from
    /// the one to the other, no send round carries a turn (I6).
    pub(super) fn look_at_latch(&mut self, set: bool, now: Nanos) -> usize {
        // Without room a later turn is told: the claim is then a smaller one, and still true.
        if set == self.latched || !self.doors.told.has_room(1) {
            return 0;
        }
        self.latched = set;
        let _ = self.doors.told.push(Told::Latch { set, turn: self.turns, at: now });
        1
    }

    /// Sees to it that the order of one leg is ready and fits the present touch.
    fn ready_order(
        &mut self,
        signal: Signal,
        leg: LegKind,
        aim: &Aim,
        loaded: &Loaded,
        now: Nanos,
    ) -> Result<(), Closed> {
        let at = usize::from(aim.round.pair.0);
        let shelf = &mut self.ready[at][signal.direction as usize][leg as usize];
        let picked = aim.picked[leg as usize];
        shelf.pick(picked.unwrap_or(0));
        if picked.is_some() { Ok(()) } else { self.sign_now(signal, leg, aim, loaded, now) }
    }

    /// Writes the order of one leg for the present touch: none was prepared that fits.
    #[inline(never)]
    fn sign_now(
        &mut self,
        signal: Signal,
        leg: LegKind,
        aim: &Aim,
        loaded: &Loaded,
        now: Nanos,
    ) -> Result<(), Closed> {
        let at = usize::from(aim.round.pair.0);
        let stall = &self.stalls[at];
        let quote = self.books.top(stall.legs[leg as usize]).ok_or(Closed::NoQuote)?;
        let wanted = self.wanted(stall, signal, leg).ok_or(Closed::NoQuote)?;
        let instrument = loaded.instruments.get(stall.legs[leg as usize]);
        // One leg would fill and the other not.
        if !wanted.reaches(instrument, quote) {
            let nobody = touch(quote, wanted.side).0 <= Price(0);
            return Err(if nobody { Closed::Thin } else { Closed::PriceRange });
        }
        let lane = lane(stall.venues[leg as usize], leg);
        let stamp = self.offsets.venue_time(lane, now).ok_or(Closed::NoClock)?;
        let form = loaded.form(instrument.id).ok_or(Closed::NoLink)?;
        let mask = mask(form, &mut self.doors.entropy);
        let paper = Paper { form, instrument, stamp, mask };
        let shelf = &mut self.ready[at][signal.direction as usize][leg as usize];
        let written = shelf.picked_mut().write(&paper, quote, &wanted, now, Made::Signed);
        if written { Ok(()) } else { Err(Closed::NoRoom) }
    }

    /// Claims what must be had before the first byte: room to tell of it, and an intent slot.
    pub(super) fn claim(&mut self, class: Class) -> Result<IntentSlot, Closed> {
        if self.kill.is_set() {
            return Err(Closed::Killed);
        }
        if !self.doors.told.has_room(ROUND_EVENTS) {
            return Err(Closed::NoRoom);
        }
        self.intents.claim(class.reduces_risk()).ok_or(Closed::NoRoom)
    }

    /// Commits the intent, both legs of it, also one that may never be sent. From here on the pair is BUSY.
    #[inline(never)] // tools/instructions.py counts it by its name
    pub(super) fn commit(
        &mut self,
        round: &Round,
        slot: IntentSlot,
        legs: [Option<&Leg<'_>>; 2],
        loaded: &Loaded,
    ) {
        crash::point("K1");
        let record = self.record(round, legs, loaded);
        self.intents.commit(slot, &record, intent_state::COMMITTED);
        self.stalls[usize::from(round.pair.0)].busy = !planted(Bug::PairNotBusy);
        crash::point("K3");
    }

    /// Writes the legs and tells the shadow. Returns whether a contingent leg is to follow: `more`, and the
    /// first leg is on its way.
    pub(super) fn send_legs(
        &mut self,
        round: &Round,
        slot: IntentSlot,
        legs: [Option<&mut Leg<'_>>; 2],
        more: bool,
    ) -> bool {
        let mut fired = [None, None];
        for (i, leg) in legs.into_iter().flatten().enumerate() {
            if i == 1 {
                crash::point("K5");
            }
            // The latch is read before each leg; what left before it was set stays accounted for.
            if self.kill.is_set() {
                break;
            }
            let states = [
                [intent_state::A_WRITING, intent_state::A_WIRE],
                [intent_state::B_WRITING, intent_state::B_WIRE],
            ][i];
            // Once one leg has left whole, the other covers it.
            let begins =
                round.class == Class::Entry && fired[0].is_none_or(|first: FiredLeg| first.wire != Wire::All);
            let leg_fired = self.send_leg((round.class, begins), slot, states, leg);
            if i == 1 && leg_fired.wire == Wire::All {
                self.links.left_whole(leg_fired.client);
            }
            fired[i] = Some(leg_fired);
            if leg_fired.wire == Wire::Nothing {
                break;
            }
        }
        if fired[1].is_some() {
            crash::point("K7");
        }
        match round.class {
            Class::Repair => crash::point("K16b"),
            Class::Flatten => crash::point("K18b"),
            Class::Entry | Class::Exit => {}
        }
        let more = more && fired[0].is_some_and(|leg| leg.wire != Wire::Nothing);
        self.await_packets(round.seen, &fired);
        self.tell_fired(round, slot, fired, more);
        more
    }

    /// Hands one order, which may begin an entry, to the kernel: the intent's state before and after it, and the
    /// counters.
    pub(super) fn send_leg(
        &mut self,
        (class, begins): (Class, bool),
        slot: IntentSlot,
        [writing, wire]: [u64; 2],
        leg: &mut Leg<'_>,
    ) -> FiredLeg {
        self.intents.advance(slot, writing);
        let order = leg.order;
        let inside = if writing == intent_state::A_WRITING { "K4" } else { "K6" };
        let (client, instrument) = (order.spec.client, leg.instrument);
        let flying = Flying::Order { client, instrument, begins, beaten: false };
        crash::part(inside, order.bytes().len(), |some| {
            self.links.send(leg.link, None, (&order.bytes()[..some], order.made), flying, &self.clock);
        });
        let went =
            self.links.send(leg.link, leg.sealed.take(), (order.bytes(), order.made), flying, &self.clock);
        let Went { wire: reached, handed, sent, link, made } = went;
        if planted(Bug::PartSentAgain)
            && reached == Wire::Part
            && let Some(other) = self.links.idle(leg.venue, leg.leg)
        {
            self.links.send(other, None, (order.bytes(), order.made), flying, &self.clock);
        }
        if reached == Wire::All {
            self.intents.advance(slot, wire);
        }
        if reached != Wire::Nothing {
            let lane = lane(leg.venue, leg.leg);
            self.sent[lane] += 1;
            self.charged[lane] += if class == Class::Entry { ENTRY_CHARGE } else { 0 };
            match made {
                Made::Prepared => self.counts.prepared += 1,
                Made::Signed => self.counts.signed += 1,
                Made::Sealed => self.counts.sealed += 1,
            }
        }
        FiredLeg {
            client: order.spec.client,
            instrument: leg.instrument,
            side: order.spec.side,
            qty: order.spec.qty,
            limit: order.spec.limit,
            reduce_only: order.spec.reduce_only,
            stamp: order.spec.stamp,
            handed,
            sent,
            wire: reached,
            made,
            link,
        }
    }

    /// Tells the shadow what left.
    pub(super) fn tell_fired(
        &mut self,
        round: &Round,
        slot: IntentSlot,
        legs: [Option<FiredLeg>; 2],
        more: bool,
    ) {
        // The slot was claimed before the first byte, and only we fill it: there is room.
        let _ = self.doors.told.push(Told::Fired(Fired {
            sequence: round.sequence,
            pair: round.pair,
            class: round.class,
            direction: round.direction,
            decision: self.counts.taken,
            turn: self.turns,
            slot: slot.0,
            quotes: round.quotes,
            prices: round.prices,
            seen: round.seen,
            legs,
            more,
            bind: round.bind,
        }));
    }
}
