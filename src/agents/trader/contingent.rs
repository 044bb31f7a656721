//! The leg that waits: fired the moment the other leg's fill is proven, and never before.
//!
//! Owns:  `--legs`, the armed leg with its largest quantity, its release and its calling off.
//! Never: releases on anything but a proven end with an executed quantity (`proof`), or twice; sends more
//!        than the intent record says; waits longer than [`T_ACK_NS`].
//! Why:   a perp that is refused then leaves spot untouched: slower than both in one breath, and safer
//!        where one market often refuses.

use super::Trader;
use super::fire::{Leg, Round};
use super::pen::{ENTRY_COLLAR_PPM, EXIT_COLLAR_PPM, FLATTEN_COLLAR_PPM, Paper, Prepared, Wanted, mask};
use super::proof::Heard;
use crate::desk::order::T_ACK_NS;
use crate::desk::pair::{in_lots, smallest_trade};
use crate::event::{Made, Quote, Told, Verdict, intent_state, lane};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::intents::IntentSlot;
use crate::units::time::MS;
use crate::units::{Amount, Class, ClientId, InstrumentId, LegKind, Nanos, PairId, Qty};
use crate::venue::OrderSpec;

/// How long the private stream may still prove what a lost answer did not tell.
const DOUBT_NS: u64 = 50 * MS;

/// Which leg of an intent waits for which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legs {
    /// Both orders in one breath; exits write the perp first.
    #[default]
    Together,
    /// The spot order follows the perp's proven fill.
    PerpFirst,
    /// The perp order follows the spot's proven fill; exits close the perp first all the same.
    SpotFirst,
}

impl Legs {
    /// The leg that goes first, where the other waits for its fill.
    #[must_use]
    pub const fn first(self, class: Class) -> Option<LegKind> {
        match (self, class) {
            (Self::Together, _) => None,
            (Self::SpotFirst, Class::Entry) => Some(LegKind::Spot),
            _ => Some(LegKind::Perp),
        }
    }
}

/// A leg that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    round: Round,
    slot: IntentSlot,
    /// What went first.
    first: OrderSpec,
    /// What follows at most; its limit stands, whatever the touch does meanwhile.
    waits: OrderSpec,
    quote: Quote,
    /// Called off then.
    until: Nanos,
}

impl Armed {
    pub(super) fn new(
        round: Round,
        slot: IntentSlot,
        first: OrderSpec,
        waits: OrderSpec,
        quote: Quote,
        at: Nanos,
    ) -> Self {
        Self { round, slot, first, waits, quote, until: at.plus(T_ACK_NS) }
    }

    /// What went first.
    pub(super) fn first(&self) -> &OrderSpec {
        &self.first
    }
}

impl Trader {
    /// Looks at the answers and events that contingent legs wait for. Returns how many moved on.
    #[inline(never)]
    pub(super) fn contingent(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        while let Some(heard) = self.links.next_heard() {
            let waiting = |armed: &Armed| armed.first.client == heard.client;
            let at = self.stalls.iter().position(|stall| stall.armed.as_ref().is_some_and(waiting));
            if let Some(at) = at {
                work += 1;
                self.on_heard(at, heard, now);
            }
        }
        let late = |armed: &Armed| now > armed.until;
        if let Some(at) = self.stalls.iter().position(|stall| stall.armed.as_ref().is_some_and(late)) {
            self.call_off(at);
            work += 1;
        }
        work
    }

    fn on_heard(&mut self, at: usize, heard: Heard, now: Nanos) {
        let stall = &mut self.stalls[at];
        stall.proof.hear(heard.verdict, heard.trade);
        if let Some(executed) = stall.proof.end() {
            if executed == Qty::ZERO || self.release(at, executed, heard.net, now).is_none() {
                self.call_off(at);
            }
            return;
        }
        match heard.verdict {
            // It may still fill: the leg waits on, until its time is up.
            None | Some(Verdict::Terminal { .. } | Verdict::Open { .. }) => {}
            Some(Verdict::Refused(_)) => self.call_off(at),
            Some(Verdict::Duplicate | Verdict::NotFound | Verdict::Unknown(_)) => self.on_doubt(at, now),
        }
    }

    /// The shadow knows what the first leg came to before its answer is here.
    pub(super) fn on_proven(
        &mut self,
        pair: PairId,
        client: ClientId,
        executed: Qty,
        net: Amount,
        now: Nanos,
    ) {
        let at = usize::from(pair.0);
        let armed = self.stalls.get(at).and_then(|stall| stall.armed.as_ref());
        if armed.is_some_and(|armed| armed.first.client == client) {
            let verdict = Some(Verdict::Terminal { executed });
            self.on_heard(at, Heard { client, verdict, trade: None, net }, now);
        }
    }

    /// The answer to the first leg tells nothing. Whether its events came before that or come right
    /// after must make no difference: where they are heard, they have a moment.
    fn on_doubt(&mut self, at: usize, now: Nanos) {
        let stall = &mut self.stalls[at];
        let first = stall.armed.as_ref().and_then(|armed| self.settings.legs.first(armed.round.class));
        let heard = first.is_some_and(|leg| self.links.hears(stall.venues[leg as usize], leg));
        match &mut stall.armed {
            Some(armed) if heard => armed.until = armed.until.min(now.plus(DOUBT_NS)),
            _ => self.call_off(at),
        }
    }

    /// Sends the waiting leg, as much of it as the fill of the first one calls for. `None`: the way is
    /// shut, or what is called for is less than a lot; nothing was sent.
    fn release(&mut self, at: usize, executed: Qty, net: Amount, now: Nanos) -> Option<()> {
        let armed = self.stalls[at].armed?;
        let loaded = self.loaded.clone()?;
        let leg = self.settings.legs.first(armed.round.class)?.other();
        let (venue, id) = (self.stalls[at].venues[leg as usize], self.stalls[at].legs[leg as usize]);
        let instrument = loaded.instruments.get(id);
        let most = armed.waits.qty;
        let lot = instrument.lot.0;
        let qty = match leg {
            // Of what is sized for the whole, the share that filled: a buy rounds up, so that it still
            // covers the short; a sale rounds down, so that it sells no more than is free.
            LegKind::Spot => {
                let whole = i128::from(armed.first.qty.0.max(1));
                let up = if armed.round.class == Class::Entry { whole - 1 } else { 0 };
                let lots = (i128::from(most.0 / lot) * i128::from(executed.0) + up) / whole;
                Qty(i64::try_from(lots).ok()? * lot)
            }
            // Filled whole, what was bought covers the whole short, with what earlier trips left.
            LegKind::Perp if executed >= armed.first.qty => most,
            // In part: what was received, net of its fee, floored.
            LegKind::Perp => {
                Qty(in_lots(net.0, instrument, loaded.instruments.pair(armed.round.pair).size_factor))
            }
        };
        let qty = qty.min(most);
        // What the venue would refuse for its size is not tried: the first leg is unwound.
        let exempt = armed.waits.reduce_only && instrument.reduce_only_exempt;
        let price = armed.quote.bid.min(armed.waits.limit);
        if !exempt && smallest_trade(instrument, price).is_none_or(|least| qty.0 < least) {
            return None;
        }
        // The first leg is on the wire: only the kill latch and the reserve stand before this one (F73).
        self.permitted(lane(venue, leg), Class::Repair, now).ok()?;
        let link = self.links.idle(venue, leg)?;
        let killed = self.kill.is_set() && !planted(Bug::KillSparesSecond);
        if qty <= Qty::ZERO || killed || !self.doors.told.has_room(4) {
            return None;
        }
        let mut ready = std::mem::take(&mut self.ready);
        let order = ready[at][armed.round.direction as usize][leg as usize].picked_mut();
        let as_made = order.spec == armed.waits && qty == most;
        let written = (as_made && now.since(order.at) <= self.prepared_life_ns())
            || self.write_waiting(order, &armed, qty, id, lane(venue, leg), now);
        if written {
            let states = [intent_state::B_WRITING, intent_state::B_WIRE];
            let sealed = order.take_sealed();
            let mut leg = Leg { order, sealed, instrument: id, venue, leg, link };
            crash::point("K5");
            let fired = self.send_leg((armed.round.class, false), armed.slot, states, &mut leg);
            crash::point("K7");
            self.tell_fired(&armed.round, armed.slot, [Some(fired), None], false);
            self.stalls[at].armed = None;
        }
        self.ready = ready;
        written.then_some(())
    }

    fn write_waiting(
        &mut self,
        order: &mut Prepared,
        armed: &Armed,
        qty: Qty,
        instrument: InstrumentId,
        lane: usize,
        now: Nanos,
    ) -> bool {
        let Some(loaded) = &self.loaded else { return false };
        let (Some(stamp), Some(form)) = (self.offsets.venue_time(lane, now), loaded.form(instrument)) else {
            return false;
        };
        let waits = &armed.waits;
        let collar_ppm = match armed.round.class {
            Class::Entry => ENTRY_COLLAR_PPM,
            Class::Flatten => FLATTEN_COLLAR_PPM,
            Class::Exit | Class::Repair => EXIT_COLLAR_PPM,
        };
        let wanted = Wanted {
            class: armed.round.class,
            client: waits.client,
            side: waits.side,
            qty,
            reduce_only: waits.reduce_only,
            collar_ppm,
            edge: None,
        };
        let mask = mask(form, &mut self.doors.entropy);
        let paper = Paper { form, instrument: loaded.instruments.get(instrument), stamp, mask };
        order.write(&paper, &armed.quote, &wanted, now, Made::Signed)
    }

    /// The waiting leg will not be sent: the shadow hears of it, and mends what the first leg did.
    fn call_off(&mut self, at: usize) {
        // Without room it stays armed, and its time is up at the next look.
        if self.doors.told.has_room(1) {
            let pair = self.stalls[at].pair;
            self.stalls[at].armed = None;
            let _ = self.doors.told.push(Told::CalledOff { pair });
        }
    }
}
