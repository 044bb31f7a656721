//! Orders and trades that the venue tells of and the books do not know: ours, the venue's own, or strangers'.
//!
//! Owns:  whose a trade is, and taking orders of ours into the books that no record of ours survived of.
//! Never: books what an order of ours did not do, or touches what is not ours (F82, R20).

use super::Shadow;
use super::reading::fill_of;
use crate::event::{Answer, Counted, Fired, FiredLeg, Made, Record, Source, Wire};
use crate::units::decimal::pow10_i128;
use crate::units::id::ClientIdParts;
use crate::units::time::SEC;
use crate::units::{Amount, Class, ClientId, Direction, InstrumentId, LinkId, Nanos, PairId, Price, Qty};
use crate::venue::audit::{OrderRow, TradeRow, Whose};
use std::sync::Arc;

/// An order that is not resting is updated last at most so long after its last trade.
const UPDATE_NS: i64 = 60 * SEC as i64;

/// The engine of an id with our mark.
enum Engine {
    /// This one, in this run or an earlier one.
    This(ClientIdParts),
    /// One of another instance.
    Other,
    /// One of this instance, in a run that was never begun here: its epoch.
    Twin(u32),
}

impl Shadow {
    pub(super) fn on_whose(
        &mut self,
        of_lane: usize,
        instrument: InstrumentId,
        order_id: u64,
        row: &OrderRow,
        now: Nanos,
    ) {
        let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
        let mine = |(of, trade): &(InstrumentId, TradeRow)| *of == instrument && trade.order_id == order_id;
        let (orphans, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut round.orphans).into_iter().partition(mine);
        round.orphans = rest;
        if let Whose::Forced(what) = row.whose {
            for (instrument, trade) in &orphans {
                let fill = fill_of(ClientId::default(), *instrument, trade);
                self.on_forced(Some(*instrument), what, Some(fill), now);
            }
        } else if let Some(client) = self.adopt(row, now) {
            for (instrument, trade) in &orphans {
                self.on_fill(&fill_of(client, *instrument, trade), now);
            }
            if let Some(pair) = self.pair_of(instrument) {
                self.settle(pair, now);
            }
        } else {
            // An order of ours that was closed long ago comes here as well: what it traded is in the books. What another
            // engine traded is in nobody's here.
            let own = match row.whose {
                Whose::Ours(client) => matches!(self.engine_of(client), Engine::This(_)),
                Whose::Forced(_) => true,
                Whose::Foreign => false,
            };
            if own {
                self.recon.closed.insert((instrument, order_id));
                return;
            }
            for (_, trade) in &orphans {
                self.count_foreign(instrument, trade);
            }
        }
    }

    pub(super) fn on_open(&mut self, row: &OrderRow, now: Nanos) {
        if row.instrument.is_some() {
            self.adopt(row, now);
        } else if row.whose == Whose::Foreign {
            self.tell_once(format!(
                "an order on {}, a market this run does not trade, is open at the venue and not this engine's",
                row.symbol
            ));
        }
    }

    /// Takes an order of the venue's into the books if it is ours; its id then.
    fn adopt(&mut self, row: &OrderRow, now: Nanos) -> Option<ClientId> {
        let (Some(instrument), Some(verdict)) = (row.instrument, row.verdict) else { return None };
        let pair = self.pair_of(instrument)?;
        let client = match row.whose {
            Whose::Ours(client) => client,
            // Its trades are booked, where it made any.
            Whose::Forced(_) => return None,
            Whose::Foreign => {
                self.bar(Some(instrument), "an order that is not this engine's", now);
                return None;
            }
        };
        let parts = self.parts_of_ours(client, instrument, now)?;
        if !self.orders.contains_key(&client) && !self.past.contains_key(&client) {
            if self.was_booked(instrument, client, row) {
                return None;
            }
            self.adopt_unwritten(row, client, parts.sequence, parts.attempt, pair, now)?;
        }
        let (order_id, counted, source) = (row.order_id, Counted::default(), Source::Query);
        let answer = Answer { client, instrument, received: now, verdict, order_id, counted, source };
        self.on_answer(&answer, now);
        Some(client)
    }

    /// The parts of an id with our mark, if it is of this engine. Another one's order bars its market; that of a run
    /// which was never begun here halts: two engines would each repair what the other does (F116).
    pub(super) fn parts_of_ours(
        &mut self,
        client: ClientId,
        instrument: InstrumentId,
        now: Nanos,
    ) -> Option<ClientIdParts> {
        match self.engine_of(client) {
            Engine::This(parts) => return Some(parts),
            Engine::Other => self.bar(Some(instrument), "an order of another engine", now),
            Engine::Twin(twin) => {
                let (instance, epoch) = self.settings.identity;
                let why = format!(
                    "order {client} has epoch {twin}, and this run has {epoch}: another engine uses instance {instance}, \
                     or the data folder is an old copy"
                );
                self.halt(why, now);
            }
        }
        None
    }

    /// Which engine an id with our mark is of.
    fn engine_of(&self, client: ClientId) -> Engine {
        let (instance, epoch) = self.settings.identity;
        match client.parts().filter(|parts| parts.instance == instance) {
            None => Engine::Other,
            Some(parts) if parts.epoch > epoch => Engine::Twin(parts.epoch),
            Some(parts) => Engine::This(parts),
        }
    }

    /// Whether an earlier run closed an order so long ago that its trades are not known one by one any more: a
    /// venue that shows it again tells nothing new.
    fn was_booked(&self, instrument: InstrumentId, client: ClientId, row: &OrderRow) -> bool {
        let old = row.at.0 < self.recovered.known_since.0.saturating_add(UPDATE_NS);
        old && self.recovered.closed.contains(client)
            && self.ledger.of_order(instrument, row.order_id) == Qty::ZERO
    }

    /// An order of ours that neither journal nor intent records tell of: its process lost both.
    fn adopt_unwritten(
        &mut self,
        row: &OrderRow,
        client: ClientId,
        sequence: u32,
        attempt: u8,
        pair: PairId,
        now: Nanos,
    ) -> Option<()> {
        let instrument = self.instruments.get(row.instrument?);
        let units = |amount: Amount, decimals: u8| {
            i64::try_from(amount.0 / pow10_i128(Amount::SCALE - decimals)).ok()
        };
        let limit = Price(units(row.price.unwrap_or_default(), instrument.price_decimals)?);
        let leg = FiredLeg {
            client,
            instrument: instrument.id,
            side: row.side,
            qty: Qty(units(row.qty, instrument.qty_decimals)?),
            limit,
            reduce_only: false,
            stamp: row.at,
            handed: None,
            sent: now,
            wire: Wire::All,
            made: Made::Signed,
            link: LinkId(0),
        };
        let class = if attempt > 0 { Class::Repair } else { Class::Entry };
        let opening = Direction::Short.opening(instrument.leg) == row.side;
        let mut prices = [Price(0); 2];
        prices[instrument.leg as usize] = limit;
        self.note(format!("order {client} is in no record of ours; the venue has it, so it is booked"));
        self.write(Record::Fired {
            at: self.clock.unix(),
            fired: Fired {
                sequence,
                pair,
                class,
                direction: if opening { Direction::Short } else { Direction::Long },
                decision: 0,
                turn: 0,
                slot: 0,
                quotes: [0; 2],
                prices,
                seen: now,
                legs: [Some(leg), None],
                more: false,
                bind: crate::event::Bind::default(),
            },
            instruments: Arc::clone(&self.instruments),
        });
        self.track_found(leg, pair, class, sequence, row.order_id, limit);
        if let Some(tracked) = self.orders.get_mut(&client) {
            // It may be one whose end was booked long ago, and that is told of again.
            tracked.order.booked = self.ledger.of_order(leg.instrument, row.order_id);
        }
        Some(())
    }
}
