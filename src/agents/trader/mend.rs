//! What the shadow asks for: pairs freed, waiting legs told, and repairs of one order.
//!
//! Owns:  turning a wished unwind or completion into an order, sized by what is visible and held by its limit.
//! Never: repairs an intent that was followed by another, or completes on quotes that are not fresh.

use super::Trader;
use super::fire::{Leg, Round};
use super::pen::{EXIT_COLLAR_PPM, Paper, Prepared, Wanted, collar_within, mask};
use crate::desk::book::touch;
use crate::desk::pair::{least_limit, least_unwind, slice};
use crate::event::{Bind, Closed, Command, Made, Told, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::{Class, ClientId, Direction, LegKind, Nanos, Price, Side};

impl Trader {
    /// Does what the shadow asks for; how much that was.
    pub(super) fn commands(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        // One that must be told about needs room to be told in.
        while self.doors.told.has_room(2) {
            let Some(command) = self.doors.commands.pop() else { break };
            work += 1;
            match command {
                Command::Free { pair } => {
                    if let Some(stall) = self.stalls.get_mut(usize::from(pair.0)) {
                        stall.busy = false;
                        self.unprepared.insert(usize::from(pair.0));
                    }
                }
                Command::Proven { pair, client, executed, net } => {
                    self.on_proven(pair, client, executed, net, now);
                }
                Command::Unwind { pair, .. } | Command::Complete { pair, .. } => {
                    if let Err(why) = self.fire_repair(command, now) {
                        let _ = self.doors.told.push(Told::Declined { pair, why });
                    }
                }
            }
        }
        work
    }

    /// Sends one order that makes a leg smaller, or the missing one larger. Of an unwind's quote no freshness is
    /// asked: an old one is better than none, and its limit holds it.
    ///
    /// # Errors
    ///
    /// Why nothing was sent; the shadow asks again, or for the other.
    fn fire_repair(&mut self, command: Command, now: Nanos) -> Result<(), Closed> {
        let (Command::Unwind { pair, last, leg, side, qty, .. }
        | Command::Complete { pair, last, leg, side, qty, .. }) = command
        else {
            return Ok(());
        };
        let at = usize::from(pair.0);
        let loaded = self.loaded.clone().ok_or(Closed::NoQuote)?;
        let stall = self.stalls.get(at).ok_or(Closed::NoQuote)?;
        if stall.fired != last {
            return Err(Closed::Busy);
        }
        // A position may need mending that no intent of this run is to blame for, or whose intent has
        // had all its attempts: then this is an intent of its own (FAULTS 7.2).
        let (sequence, attempt) = match last {
            (sequence, attempt) if stall.busy && attempt < ClientId::ATTEMPT_MAX => {
                (sequence, attempt + u8::from(!planted(Bug::AttemptReused)))
            }
            _ => (self.next_sequence + 1, 0),
        };
        let (venue, instrument) = (stall.venues[leg as usize], stall.legs[leg as usize]);
        let quote = *self.books.tops(pair)[leg as usize].ok_or(Closed::NoQuote)?;
        let row = loaded.instruments.get(instrument);
        let (opens, collar_ppm, edge) = match command {
            Command::Complete { worst, until, .. } => {
                if now > until {
                    return Err(Closed::Late);
                }
                if sequence != last.0 {
                    return Err(Closed::Busy);
                }
                self.settings.gate.check(&self.books, pair, stall.venues, &self.offsets, now)?;
                let (touch, _) = touch(&quote, side);
                let room = (worst.0 - touch.0).saturating_mul(side.sign());
                (true, collar_within(room, touch, row.tick, EXIT_COLLAR_PPM).ok_or(Closed::Dear)?, None)
            }
            Command::Unwind { until, .. } if now > until => return Err(Closed::Late),
            Command::Unwind { collar_ppm, edge, .. } => (false, collar_ppm, edge),
            Command::Free { .. } | Command::Proven { .. } => return Ok(()),
        };
        let (price, visible) = touch(&quote, side);
        // Nobody is on the other side: an order would have no price, and no slice a size.
        if price <= Price(0) || visible.0 <= 0 {
            return Err(Closed::Thin);
        }
        let qty = match command {
            Command::Unwind { sliced: true, .. } => {
                slice(qty, visible, row.lot, least_unwind(row, price).ok_or(Closed::Thin)?)
            }
            _ => qty,
        };
        let edge = match command {
            // The venue values an order by its limit: that of a small sale lies no lower than it may. What is not worth
            // enough at the touch is dust by now, which the shadow hears of with the next quote.
            Command::Unwind { .. } if !(leg == LegKind::Perp && row.reduce_only_exempt) => {
                let least = least_limit(row, qty).filter(|least| *least <= price).ok_or(Closed::Small)?;
                if side == Side::Sell { Some(edge.map_or(least, |edge| edge.max(least))) } else { edge }
            }
            _ => edge,
        };
        self.permitted(lane(venue, leg), Class::Repair, now)?;
        let Some(link) = self.links.idle(venue, leg) else {
            self.links.miss(venue, leg);
            return Err(Closed::NoLink);
        };
        let wanted = Wanted {
            class: Class::Repair,
            client: self.client(sequence, leg, attempt).ok_or(Closed::NoRoom)?,
            side,
            qty,
            reduce_only: leg == LegKind::Perp && !opens && !planted(Bug::ReduceOnlyDropped),
            collar_ppm,
            edge,
        };
        let stamp = self.offsets.venue_time(lane(venue, leg), now).ok_or(Closed::NoClock)?;
        let form = loaded.form(instrument).ok_or(Closed::NoLink)?;
        let mut order = std::mem::replace(&mut self.repair, Prepared::blank());
        let mask = mask(form, &mut self.doors.entropy);
        let paper = Paper { form, instrument: row, stamp, mask };
        let slot = if order.write(&paper, &quote, &wanted, now, Made::Signed) {
            self.claim(Class::Repair)
        } else {
            Err(Closed::NoRoom)
        };
        if let Ok(slot) = slot {
            let (price, _) = touch(&quote, side);
            let mut round = Round {
                pair,
                class: Class::Repair,
                direction: if (side == Direction::Short.opening(leg)) == opens {
                    Direction::Short
                } else {
                    Direction::Long
                },
                sequence,
                quotes: [0; 2],
                prices: [Price(0); 2],
                ages_ns: [0; 2],
                seen: now,
                bind: Bind::default(),
            };
            round.quotes[leg as usize] = quote.sequence;
            round.prices[leg as usize] = price;
            round.ages_ns[leg as usize] = now.since(quote.received);
            let mut leg = Leg { order: &order, sealed: None, instrument, venue, leg, link };
            self.commit(&round, slot, [Some(&leg), None], &loaded);
            self.send_legs(&round, slot, [Some(&mut leg), None], false);
            self.stalls[at].fired = (sequence, attempt);
            self.next_sequence = self.next_sequence.max(sequence);
        }
        self.repair = order;
        slot.map(|_| ())
    }
}
