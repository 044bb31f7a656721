//! The way out: the gate at the moment of sending, claim before send, both legs in one breath.
//!
//! Owns:  the sequence claim → commit → look at the latch → first byte, for pairs and, from `mend`, for repairs.
//! Never: leaves a leg unsent without telling so, or a pair not BUSY after its first byte.
//! Wire:  FAULTS 7.2 (what is written before a send), DESIGN §2 (Permit, BUSY).

use super::contingent::Armed;
use super::links::{Flying, Went};
use super::pen::{Paper, Prepared, mask};
use super::proof::Proof;
use super::{Signal, Stall, Trader, signal_prices};
use crate::agents::Loaded;
use crate::desk::book::touch;
use crate::desk::budget::ENTRY_CHARGE;
use crate::desk::pair::serves_at;
use crate::event::{
    Bind, Closed, Fired, FiredLeg, Intent, IntentLeg, Made, Permit, Quote, Told, Wire, intent_state, lane,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::intents::{INTENT_BYTES, IntentSlot};
use crate::metal::link::Sealed;
use crate::metal::poll::Slot;
use crate::units::{Class, Direction, InstrumentId, LegKind, Nanos, PairId, Price, Unix, VenueId};

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
        let at = usize::from(pair.0);
        let loaded = self.loaded.clone().ok_or(Closed::NoQuote)?;
        let stall = &self.stalls[at];
        let venues = stall.venues;
        let [Some(spot), Some(perp)] = self.books.tops(pair) else { return Err(Closed::NoQuote) };
        let quotes = [*spot, *perp];
        self.may_start(stall, signal.class, &loaded, now)?;
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
        let first = self.settings.legs.first(signal.class);
        let order = first.map_or_else(|| leg_order(signal, stall, &quotes), |leg| [leg, leg.other()]);
        let mut links = [Slot(0); 2];
        for (i, leg) in order.into_iter().enumerate() {
            self.permitted(lane(venues[leg as usize], leg), signal.class, now)?;
            links[i] = self.links.idle(venues[leg as usize], leg).ok_or(Closed::NoLink)?;
        }
        // Both orders stand ready before anything is claimed: prepared ahead, or signed now.
        for leg in order {
            self.ready_order(at, signal, leg, &quotes[leg as usize], &loaded, now)?;
        }
        let slot = self.claim(signal.class)?;
        let stall = &self.stalls[at];
        let round = Round {
            pair,
            class: signal.class,
            direction: signal.direction,
            sequence: stall.sequence,
            quotes: quotes.map(|q| q.sequence),
            prices: signal_prices(signal, &quotes[0], &quotes[1]),
            ages_ns: quotes.map(|q| now.since(q.received)),
            seen: quotes[0].received.max(quotes[1].received),
            bind,
        };
        let legs = [0, 1].map(|i| (order[i], stall.legs[order[i] as usize], links[i]));
        let contingent = self.settings.legs.first(signal.class).is_some();
        let mut ready = std::mem::take(&mut self.ready);
        let shelves = &mut ready[at][signal.direction as usize];
        // A leg that waits keeps what is sealed of it.
        let mut sealed = LegKind::BOTH.map(|leg| {
            let now = !contingent || leg == order[0];
            if now { shelves[leg as usize].picked_mut().take_sealed() } else { None }
        });
        let [first, second] = legs.map(|(leg, instrument, link)| Leg {
            order: shelves[leg as usize].picked(),
            sealed: sealed[leg as usize].take(),
            instrument,
            venue: venues[leg as usize],
            leg,
            link,
        });
        self.commit(&round, slot, [Some(&first), Some(&second)], &loaded);
        self.stakes.add(venues, &bind);
        if contingent {
            // Gate, links and budget were looked at for both legs; the second leaves once the first is
            // proven to have filled.
            let waits = second.order.spec;
            // What it binds is told with the first leg.
            let after = Round { bind: Bind::default(), ..round };
            let armed = Armed::new(after, slot, first.order.spec, waits, quotes[second.leg as usize], now);
            let more = self.send_legs(&round, slot, [Some(first), None], true);
            self.stalls[at].armed = more.then_some(armed);
            self.stalls[at].proof = Proof::of(armed.first().qty);
        } else {
            self.send_legs(&round, slot, [Some(first), Some(second)], false);
        }
        self.ready = ready;
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

    /// Sees to it that the order of one leg is ready and fits the present touch.
    fn ready_order(
        &mut self,
        at: usize,
        signal: Signal,
        leg: LegKind,
        quote: &Quote,
        loaded: &Loaded,
        now: Nanos,
    ) -> Result<(), Closed> {
        let stall = &self.stalls[at];
        let wanted = self.wanted(stall, signal, leg).ok_or(Closed::NoQuote)?;
        let instrument = loaded.instruments.get(stall.legs[leg as usize]);
        let lane = lane(stall.venues[leg as usize], leg);
        let life = self.prepared_life_ns();
        let shelf = &mut self.ready[at][signal.direction as usize][leg as usize];
        if shelf.pick(|order| order.fits(&wanted, instrument, quote, now, life)) {
            return Ok(());
        }
        // One leg would fill and the other not.
        if !wanted.reaches(instrument, quote) {
            let nobody = touch(quote, wanted.side).0 <= Price(0);
            return Err(if nobody { Closed::Thin } else { Closed::PriceRange });
        }
        let stamp = self.offsets.venue_time(lane, now).ok_or(Closed::NoClock)?;
        let form = loaded.form(instrument.id).ok_or(Closed::NoLink)?;
        let mask = mask(form, &mut self.doors.entropy);
        let paper = Paper { form, instrument, stamp, mask };
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
    pub(super) fn commit(
        &mut self,
        round: &Round,
        slot: IntentSlot,
        legs: [Option<&Leg<'_>>; 2],
        loaded: &Loaded,
    ) {
        let window_ns = i64::from(self.settings.recv_window_ms) * 1_000_000;
        let intent = Intent {
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
        };
        crash::point("K1");
        let mut record = [0; INTENT_BYTES];
        record[..Intent::BYTES].copy_from_slice(&intent.to_bytes());
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
        legs: [Option<Leg<'_>>; 2],
        more: bool,
    ) -> bool {
        let mut fired = [None, None];
        for (i, leg) in legs.into_iter().enumerate() {
            let Some(leg) = leg else { break };
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
        leg: Leg<'_>,
    ) -> FiredLeg {
        self.intents.advance(slot, writing);
        let order = leg.order;
        let inside = if writing == intent_state::A_WRITING { "K4" } else { "K6" };
        let (client, instrument) = (order.spec.client, leg.instrument);
        let flying = Flying::Order { client, instrument, begins, beaten: false };
        crash::part(inside, order.bytes().len(), |some| {
            self.links.send(leg.link, None, (&order.bytes()[..some], order.made), flying, &self.clock);
        });
        let went = self.links.send(leg.link, leg.sealed, (order.bytes(), order.made), flying, &self.clock);
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

/// Exits close the perp first; entries send the leg first that is more likely to slip away: the one
/// whose visible size covers its order by less.
fn leg_order(signal: Signal, stall: &Stall, quotes: &[Quote; 2]) -> [LegKind; 2] {
    let perp_first = [LegKind::Perp, LegKind::Spot];
    if signal.class != Class::Entry {
        return perp_first;
    }
    let [spot, perp] = LegKind::BOTH.map(|leg| {
        let (_, visible) = touch(&quotes[leg as usize], signal.direction.opening(leg));
        (i128::from(visible.0), i128::from(stall.terms.clip[leg as usize].0.max(1)))
    });
    // visible/wanted of spot against that of the perp, without a division.
    if spot.0 * perp.1 <= perp.0 * spot.1 { LegKind::BOTH } else { perp_first }
}
