//! Each order request as it reaches the venue: may it exist at all?
//!
//! Owns:  I5 and I6 (latches), I8 (form), I9 (direction), I10 (identity), I11 (written down first), I13 (fed).
//! Never: forgives an order because the venue refused it: bytes on the wire count.

use super::super::{Witnessed, World};
use super::facts::{E10, Id};
use super::{Broken, Latched, Oracle, broken};
use crate::sim::{Arrived, Market, Seen};
use crate::units::Nanos;
use crate::units::time::{MS, SEC};

/// One turn of the rooms and what it takes them to read a latch.
pub(super) const TURN_NS: u64 = 25 * MS;
/// A socket silent for longer than this may feed no entry (DESIGN §5), with a ping's round trip to spare.
const FED_WITHIN_NS: u64 = SEC + 200 * MS;
/// A host without room holds up an entry that was good when it was sent; it is given up after so long.
const HELD_UP_NS: u64 = 200 * MS;

impl Oracle {
    pub(super) fn arrival(&mut self, witnessed: &Witnessed, world: &World) -> Result<(), Broken> {
        match &witnessed.seen {
            Seen::Arrived(arrived) => self.order(arrived, witnessed, world),
            Seen::Refused { market, client_id, code, msg } => {
                let struck = self.facts.order_of(client_id).is_some_and(|order| order.struck.is_some());
                self.well_formed(*market, *code, msg, struck)
            }
            _ => Ok(()),
        }
    }

    fn order(&mut self, arrived: &Arrived, witnessed: &Witnessed, world: &World) -> Result<(), Broken> {
        let id = Id::read(&arrived.client_id)
            .ok_or_else(|| broken(10, format!("{:?} is no id of ours", arrived.client_id)))?;
        self.identity(id, arrived)?;
        self.written_first(id, witnessed, world)?;
        self.form(arrived)?;
        self.latch(arrived, id, witnessed.wire)?;
        self.direction(arrived)?;
        self.fed(arrived, id, witnessed)
    }

    /// I10: never used before, and it decodes to what it is used for.
    fn identity(&self, id: Id, arrived: &Arrived) -> Result<(), Broken> {
        if let Some(before) = self.facts.orders.get(&id.number) {
            return Err(broken(10, format!("{id:?} was sent twice: {:?}, {arrived:?}", before.arrived)));
        }
        if let Some(end) = self.books.ends.get(&id.number).filter(|end| end.end == "not_sent") {
            return Err(broken(12, format!("{id:?} arrived, and {end:?}")));
        }
        let leg = u8::from(arrived.market == Market::Usdm);
        if id.instance != self.allowed.instance || id.leg != leg || id.epoch == 0 {
            return Err(broken(10, format!("{id:?} for an order on {:?}", arrived.market)));
        }
        Ok(())
    }

    /// I11: whoever starts after a crash finds it in the intent records, or in the journal.
    fn written_first(&self, id: Id, witnessed: &Witnessed, world: &World) -> Result<(), Broken> {
        // What an earlier process sent may outlive its records on the wire.
        let of_this_process = witnessed.wire > self.begun;
        if !of_this_process || self.books.fired.contains_key(&id.number) {
            return Ok(());
        }
        if world.written_down().contains(&id.number) {
            return Ok(());
        }
        Err(broken(11, format!("{id:?} reached the venue and no intent record holds it")))
    }

    /// I8: limit, never resting, on tick and lot, base units.
    fn form(&self, arrived: &Arrived) -> Result<(), Broken> {
        let bad = |what: &str| Err(broken(8, format!("{what}: {arrived:?}")));
        let (Some(symbol), Some(qty), Some(price)) = (arrived.symbol, arrived.qty, arrived.price) else {
            return bad("no symbol, quantity or price");
        };
        let row = &self.facts.rows[symbol];
        if !arrived.limit_ioc {
            return bad("not a limit order that never rests");
        }
        if qty <= 0 || qty % row.step != 0 || price <= 0 || price % row.tick != 0 {
            return bad("off its tick or lot");
        }
        let clip = self.allowed.clip / 100 * 110;
        let value = i128::from(qty) * i128::from(price) * 100;
        // Lots may be larger than the clip; what the venue takes at least may be, too.
        let legs = [Some(symbol), row.twin].into_iter().flatten().map(|leg| &self.facts.rows[leg]);
        let lot = legs.clone().map(|leg| leg.step * leg.multiplier).max().unwrap_or(row.step);
        let lot = i128::from(lot) * i128::from(price) * 100 / i128::from(row.multiplier);
        let minimum = legs.map(|leg| leg.min_notional).max().unwrap_or(row.min_notional);
        let least = (i128::from(minimum) * E10).max(lot) * 3 + lot;
        if opens(arrived) && value > clip.max(least) {
            return Err(broken(5, format!("more than a clip: {arrived:?}")));
        }
        Ok(())
    }

    /// I8: the venue has nothing to say against its form.
    fn well_formed(&self, market: Market, code: i64, msg: &str, struck: bool) -> Result<(), Broken> {
        let form = matches!(code, -1013 | -4131 | -4164 | -4014 | -4023 | -4005 | -4003)
            || (-1136..=-1100).contains(&code);
        if form && !struck {
            return Err(broken(8, format!("{market:?} answered {code} {msg}")));
        }
        Ok(())
    }

    /// I5, I6: nothing after a kill; neither entry nor exit begins after a halt.
    fn latch(&self, arrived: &Arrived, id: Id, wire: Nanos) -> Result<(), Broken> {
        let (latched, since) = self.latched;
        if wire <= since.plus(TURN_NS) || latched == Latched::Trading {
            return Ok(());
        }
        if latched == Latched::Killed {
            let late = wire.since(since) / 1_000;
            return Err(broken(6, format!("{id:?} left {late} µs after the kill: {arrived:?}")));
        }
        // The second leg of an entry is a repair once the first is on the wire.
        let begins = id.attempt == 0 && !self.facts.orders.values().any(|it| same_intent(it.id, id));
        if begins && opens(arrived) {
            return Err(broken(5, format!("{id:?} opens while halted: {arrived:?}")));
        }
        Ok(())
    }

    /// I9: what closes reduces: a perp order says so, and no sale exceeds what the pair holds.
    fn direction(&self, arrived: &Arrived) -> Result<(), Broken> {
        let Some((pair, leg)) = arrived.symbol.and_then(|row| self.facts.pair_of[row]) else {
            return Err(broken(9, format!("no pair has it: {arrived:?}")));
        };
        let held = &self.facts.pairs[pair].held;
        if leg == 1 && arrived.buys && !arrived.reduce_only {
            return Err(broken(9, format!("it closes a short and is not reduce-only: {arrived:?}")));
        }
        if leg == 1 && !arrived.buys && arrived.reduce_only {
            return Err(broken(9, format!("it opens a short and is reduce-only: {arrived:?}")));
        }
        if leg == 0 && !arrived.buys && i128::from(arrived.qty.unwrap_or(0)) * E10 > held[0] {
            let more = format!("it sells more than the {} that the pair holds: {arrived:?}", held[0]);
            return Err(broken(9, more));
        }
        Ok(())
    }

    /// I13: both markets' feeds were alive when an entry began.
    fn fed(&self, arrived: &Arrived, id: Id, witnessed: &Witnessed) -> Result<(), Broken> {
        let begins = id.attempt == 0
            && opens(arrived)
            && !self.facts.orders.values().rev().any(|it| same_intent(it.id, id));
        let silent = witnessed.fed.iter().map(|heard| witnessed.wire.since(*heard)).max().unwrap_or(0);
        let within = FED_WITHIN_NS + if witnessed.cramped { HELD_UP_NS } else { 0 };
        if begins && silent > within {
            let ms = silent / MS;
            return Err(broken(13, format!("{id:?} entered on a feed silent for {ms} ms: {arrived:?}")));
        }
        Ok(())
    }
}

/// Whether an order opens a short carry: buys spot, or sells the perp.
fn opens(arrived: &Arrived) -> bool {
    (arrived.market == Market::Spot) == arrived.buys
}

fn same_intent(one: Id, other: Id) -> bool {
    (one.epoch, one.sequence) == (other.epoch, other.sequence) && one != other
}
