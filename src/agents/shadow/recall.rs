//! The books of the runs before: from the journal and the intent records into this run's.
//!
//! Owns:  turning the journal's words into this generation's ids and scales, finding the orders of a
//!        process that died, and how much the venue must be asked about (FAULTS 7.4, steps 2 and 3).
//! Never: ends an order: a record that says WRITING or WIRE may have been sent; asks the venue (`recon`).
//! Order: everything here happens in one turn, before the first permit.

use super::{Shadow, Tracked};
use crate::desk::ledger::Ledger;
use crate::desk::order::{Order, State};
use crate::desk::pair::Holding;
use crate::event::{
    End, Fired, FiredLeg, Instrument, Instruments, Intent, IntentLeg, Made, Mode, PairState, Record, Wire,
    intent_state, lane,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::intents::{IntentSlot, Origin};
use crate::store::earlier::{Market, OldInstrument, OldOrder};
use crate::store::ids::Ids;
use crate::store::recall::Recalled;
use crate::units::decimal::pow10_i128;
use crate::units::time::{MS, SEC};
use crate::units::{Amount, Class, ClientId, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Unix};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far before the last record trades are read again (FAULTS 7.4, step 6).
const OVERLAP_NS: i64 = 600 * SEC as i64;

/// What recovery found, and what asking the venue needs of it.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Whether there were any.
    pub(super) earlier_runs: bool,
    /// Trades since then may be missing from the books.
    pub(super) since: Unix,
    /// What a lost process sent and nobody wrote down can't appear any more after this.
    pub(super) settled_at: Nanos,
    /// What a wallet held that no booking explains.
    pub(super) openings: BTreeMap<(LegKind, crate::event::Asset), Amount>,
    /// The record that says what this run's intent records mean: no order leaves before it is durable.
    pub(super) markets_record: u64,
    /// What was booked before this run.
    pub(super) fills_before: u64,
    /// Orders whose end and fills are all booked.
    pub(super) closed: Ids,
    /// Trades before it are booked, and not known one by one.
    pub(super) known_since: Unix,
    /// When the openings were last compared, in the venue's time.
    pub(super) compared: BTreeMap<(LegKind, crate::event::Asset), Unix>,
    /// What was earned before this run.
    pub(super) profit_before: crate::desk::ledger::Profit,
    /// From when on payments may be missing from the books; `None`: this is the first run.
    pub(super) paid_since: Option<Unix>,
    /// W of orders that may still be open: the longest of any run that wrote them.
    window_ms: u32,
}

/// Instruments by the venue's words, with their pairs.
struct Names<'a> {
    by_market: BTreeMap<(LegKind, &'a str), (&'a Instrument, PairId)>,
}

impl<'a> Names<'a> {
    fn new(instruments: &'a Instruments) -> Self {
        let legs = instruments.pairs.iter().flat_map(|pair| [(pair.spot, pair.id), (pair.perp, pair.id)]);
        let named = legs.map(|(id, pair)| {
            let row = instruments.get(id);
            ((row.leg, row.symbol.as_str()), (row, pair))
        });
        Self { by_market: named.collect() }
    }

    fn get(&self, market: &Market) -> Option<(&'a Instrument, PairId)> {
        self.by_market.get(&(market.leg, market.symbol.as_str())).copied()
    }
}

impl Shadow {
    /// Which pair an instrument belongs to.
    pub(super) fn pair_of(&self, instrument: InstrumentId) -> Option<PairId> {
        let mut pairs = self.instruments.pairs.iter();
        pairs.find(|pair| pair.spot == instrument || pair.perp == instrument).map(|pair| pair.id)
    }

    /// From its first byte on, an order is settled after so long: it is shown, or it is not there.
    pub(super) fn settling_ns(&self) -> u64 {
        let window_ms = self.settings.recv_window_ms.max(self.recovered.window_ms);
        u64::from(window_ms) * MS + self.settings.settle_ns
    }

    /// Puts what is known of earlier runs into the books. Comes once, when the instruments are there.
    pub(super) fn recall(&mut self, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        let names = Names::new(&instruments);
        let mut recalled = std::mem::take(&mut self.settings.recalled);
        let at = self.clock.unix();
        self.write(Record::Markets {
            at,
            epoch: self.settings.identity.1,
            recv_window_ms: self.settings.recv_window_ms,
            instruments: Arc::clone(&instruments),
        });
        let mut recovered = Recovered {
            since: Unix(recalled.last_at.unwrap_or(at).0 - OVERLAP_NS),
            earlier_runs: !recalled.runs.is_empty(),
            paid_since: recalled.paid_since(),
            markets_record: self.written + self.backlog.len() as u64,
            window_ms: recalled.markets.values().map(|(_, run)| run.recv_window_ms).max().unwrap_or(0),
            closed: std::mem::take(&mut recalled.closed),
            known_since: recalled.known_since,
            compared: std::mem::take(&mut recalled.compared),
            ..Recovered::default()
        };
        recovered.openings.clone_from(&recalled.openings);
        self.recovered = recovered;

        self.recall_sums(&mut recalled, &names);
        for book in &mut self.books {
            let held = book.holding != Holding::default();
            let hedged = recalled.hedged.contains(instruments.pair(book.pair).name.as_str());
            if held {
                // Looked at as soon as the venue has confirmed it.
                book.state = PairState::Busy;
            }
            book.began_as = if hedged { crate::units::Class::Exit } else { crate::units::Class::Entry };
        }
        for at in 0..self.books.len() {
            let hedged = recalled.hedged.contains(instruments.pair(self.books[at].pair).name.as_str());
            self.hold(at, hedged);
        }
        for book in &mut self.books {
            let name = instruments.pair(book.pair).name;
            // A calendar that was set back makes the wait no longer than it is.
            let left = recalled.left.get(&name);
            let ago = left.map(|left| u64::try_from(at.0.saturating_sub(left.0)).unwrap_or(0));
            let bases = recalled.bases.get(&name).map_or(&[][..], Vec::as_slice);
            book.weighing.recall(ago, bases, now);
        }
        self.granted.clone_from(&recalled.granted);
        crash::point("K15d");
        let mut found = 0;
        for (client, old) in recalled.orders.iter().filter(|_| !planted(Bug::OrdersNotRecalled)) {
            found += usize::from(self.recall_order(*client, old, &names, now));
        }
        let lost_tail = !recalled.ended_well() && self.intents.origin() != Origin::ThisBoot;
        for (slot, state, bytes) in self.intents.left() {
            let intent = bytes.first_chunk().and_then(Intent::from_bytes);
            match intent {
                Some(intent) => {
                    found += self.recall_intent(slot, state, &intent, &recalled, &names, now);
                }
                // Of another layout: whoever wrote it can still read it.
                None => self.note("an intent record can't be read; it is left as it is".to_owned()),
            }
        }
        if lost_tail {
            self.recovered.settled_at = now.plus(self.settling_ns());
            self.note(
                "the host went down in the last run: what was not on the disk is looked up at the venue"
                    .to_owned(),
            );
        }
        if !recalled.runs.is_empty() {
            let fills = self.ledger.fills();
            let text = format!("recalled: {fills} fills booked, {found} orders whose end is not known");
            self.note(text);
        }
        crash::point("K15e");
        self.recovered.fills_before = self.ledger.fills();
        self.recovered.profit_before = self.ledger.profit();
        self.limit_restarts(&recalled, at, now);
    }

    fn recall_sums(&mut self, recalled: &mut Recalled, names: &Names<'_>) {
        self.ledger = Ledger::after(std::mem::take(&mut recalled.sums));
        for (tran_id, symbol) in std::mem::take(&mut recalled.payments).into_keys() {
            self.ledger.remember_payment(tran_id, symbol);
        }
        for ((market, trade_id), old) in &recalled.trades {
            let Some((row, pair)) = names.get(market) else { continue };
            match Qty::parse(old.qty.as_bytes(), row.qty_decimals) {
                Ok(_) if planted(Bug::TradesNotRecalled) => {}
                Ok(qty) => self.ledger.remember(row.id, *trade_id, old.order_id, qty),
                Err(_) => self.bar_recalled(
                    pair,
                    "has a fill in the journal that its market's present decimals can't express",
                ),
            }
        }
        for book in &mut self.books {
            let held = |leg| Amount(self.ledger.sums().lot(self.instruments.pair(book.pair).name, leg).base);
            book.holding = Holding { spot: held(LegKind::Spot), perp: held(LegKind::Perp) };
        }
        let traded = |name| self.instruments.pairs.iter().any(|pair| pair.name == name);
        let elsewhere: Vec<_> = self.ledger.held().filter(|(name, _)| !traded(*name)).collect();
        for (name, leg) in elsewhere {
            self.note(format!(
                "{leg} of pair {name} is held from an earlier run, and this run does not trade it: it stays as it is; \
                 start with that pair to go on with it"
            ));
        }
    }

    fn bar_recalled(&mut self, pair: PairId, what: &str) {
        let why = format!("pair {} {what}; no new entries", self.instruments.pair(pair).name);
        let book = &mut self.books[usize::from(pair.0)];
        if book.frozen.is_none() {
            book.frozen = Some(why.clone());
            self.note(why);
        }
    }

    /// An order of which the journal knows no end, or not all fills; whether it is one of this run's markets.
    fn recall_order(&mut self, client: ClientId, old: &OldOrder, names: &Names<'_>, now: Nanos) -> bool {
        let Some((row, pair)) = names.get(&old.market) else {
            let symbol = &old.market.symbol;
            self.note(format!(
                "order {client} of {symbol}, sent by an earlier run, has no known end, and this run does not trade {symbol}"
            ));
            return false;
        };
        let price = |text: &str| Price::parse(text.as_bytes(), row.price_decimals);
        let (Ok(qty), Ok(limit)) = (Qty::parse(old.qty.as_bytes(), row.qty_decimals), price(&old.limit))
        else {
            self.bar_recalled(
                pair,
                "has an order in the journal that its market's present decimals can't express",
            );
            return false;
        };
        let leg = FiredLeg {
            client,
            instrument: row.id,
            side: old.side,
            qty,
            limit,
            reduce_only: old.reduce_only,
            stamp: old.stamp,
            handed: None,
            sent: now,
            wire: Wire::All,
            made: Made::Signed,
            link: LinkId(0),
        };
        let own = old.qty.find('.').map_or(0, |dot| old.qty.len() - dot - 1);
        let units = |count: i128| {
            let scaled = count * pow10_i128(row.qty_decimals) / pow10_i128(u8::try_from(own).unwrap_or(0));
            Qty(i64::try_from(scaled).unwrap_or(Qty::MAX.0))
        };
        let sequence = client.parts().map_or(0, |parts| parts.sequence);
        self.track_found(leg, pair, old.class, sequence, old.order_id, price(&old.decided).unwrap_or(limit));
        if let Some(tracked) = self.orders.get_mut(&client) {
            let order = &mut tracked.order;
            order.executed = units(old.executed);
            order.booked = units(old.booked);
            if old.ended {
                order.state = State::Ended(End::Terminal(order.executed));
            }
        }
        true
    }

    /// A record of an intent that was not freed; how many orders it adds that the journal does not know.
    fn recall_intent(
        &mut self,
        slot: IntentSlot,
        state: u64,
        intent: &Intent,
        recalled: &Recalled,
        names: &Names<'_>,
        now: Nanos,
    ) -> usize {
        let markets = recalled.markets_of(intent.epoch);
        let this_boot = self.intents.origin() == Origin::ThisBoot;
        let window_ms = markets.map_or(0, |run| run.recv_window_ms).max(self.settings.recv_window_ms);
        let mut legs = [None, None];
        let mut whose = None;
        // Of another run's markets: its record stays until a run trades them, or nobody would know of it.
        let mut elsewhere = false;
        for (i, leg) in intent.legs.iter().enumerate() {
            let Some(leg) = leg else { continue };
            let begun = [intent_state::A_WRITING, intent_state::B_WRITING][i];
            let known = self.recovered.closed.contains(leg.client)
                || recalled.orders.contains_key(&leg.client)
                || (state < begun && this_boot);
            let market = markets.and_then(|run| run.instruments.get(usize::from(leg.instrument.0)));
            let Some(OldInstrument { market, price_decimals, qty_decimals, .. }) = market else {
                self.note(format!("order {}: an intent record names a market nobody wrote down", leg.client));
                elsewhere |= !known;
                continue;
            };
            let Some((row, pair)) = names.get(market) else {
                if !known {
                    elsewhere = true;
                    let symbol = &market.symbol;
                    self.note(format!(
                        "order {}: an intent record of an earlier run names {symbol}, which this run does not trade",
                        leg.client
                    ));
                }
                continue;
            };
            whose = Some(pair);
            if known {
                continue;
            }
            if (row.price_decimals, row.qty_decimals) != (*price_decimals, *qty_decimals) {
                self.bar_recalled(pair, "has an order whose market's decimals changed");
                elsewhere = true;
                continue;
            }
            legs[i] = Some(found_leg(leg, row, window_ms, now));
        }
        let Some(pair) = whose else {
            if !elsewhere {
                // Nothing of it is left to be found out.
                self.intents.free(slot);
            }
            return 0;
        };
        if !elsewhere {
            self.books[usize::from(pair.0)].slots.push(slot);
        }
        let count = legs.iter().flatten().count();
        if count == 0 {
            // Looked at with the next tick: the slot goes with the pair's resolution.
            self.books[usize::from(pair.0)].state = PairState::Busy;
            return 0;
        }
        let prices = LegKind::BOTH.map(|leg| {
            let of_leg = legs.iter().flatten().find(|it| self.instruments.get(it.instrument).leg == leg);
            of_leg.map_or(Price(0), |it| it.limit)
        });
        // The journal shall know every order that fills are booked for.
        self.write(Record::Fired {
            at: self.clock.unix(),
            fired: Fired {
                sequence: intent.sequence,
                pair,
                class: intent.class,
                direction: intent.direction,
                decision: 0,
                turn: 0,
                slot: slot.0,
                quotes: [0; 2],
                prices,
                seen: now,
                legs,
                more: false,
                bind: crate::event::Bind::default(),
            },
            instruments: Arc::clone(&self.instruments),
        });
        for leg in legs.into_iter().flatten() {
            self.track_found(leg, pair, intent.class, intent.sequence, 0, leg.limit);
        }
        count
    }

    /// An order of a lost process is an order like any other: it is asked about until its end is proven.
    pub(super) fn track_found(
        &mut self,
        leg: FiredLeg,
        pair: PairId,
        class: Class,
        sequence: u32,
        order_id: u64,
        decided: Price,
    ) {
        let row = self.instruments.get(leg.instrument);
        // Its deadline counts from its stamp, which may lie long before it was found: as much of the settling time
        // is over (evidence C, item 1).
        let time = self.offsets.venue_time(lane(row.venue, row.leg), leg.sent);
        let old_ns = time.map_or(0, |time| u64::try_from(time.0 - leg.stamp.0).unwrap_or(0));
        let settling_ns = self.settling_ns().saturating_sub(old_ns);
        let order = Order::found(leg, pair, class, sequence, order_id).settling(settling_ns);
        self.recovered.since = self.recovered.since.min(Unix(leg.stamp.0 - OVERLAP_NS));
        self.recon.stir(leg.instrument);
        self.orders.insert(leg.client, Tracked::new(order, decided));
        let book = &mut self.books[usize::from(pair.0)];
        if matches!(book.state, PairState::Flat | PairState::Hedged) {
            book.state = PairState::Busy;
        }
    }

    /// Too many crashes in a row: a person looks before the next one trades.
    fn limit_restarts(&mut self, recalled: &Recalled, at: Unix, now: Nanos) {
        let (max, within) = self.settings.crashes_max;
        let crashes = recalled.crashes_since(Unix(at.0 - i64::try_from(within).unwrap_or(i64::MAX)));
        if crashes >= max && self.mode() < Mode::Halted {
            let minutes = within / (60 * SEC);
            let why = format!(
                "{crashes} runs within {minutes} min did not end by themselves (--restart-limit); look why, then resume"
            );
            self.halt(why, now);
        }
    }
}

fn found_leg(leg: &IntentLeg, row: &Instrument, window_ms: u32, now: Nanos) -> FiredLeg {
    FiredLeg {
        client: leg.client,
        instrument: row.id,
        side: leg.side,
        qty: leg.qty,
        limit: leg.limit,
        reduce_only: leg.reduce_only,
        stamp: Unix(leg.deadline.0 - i64::from(window_ms) * MS as i64),
        handed: None,
        sent: now,
        wire: Wire::All,
        made: Made::Signed,
        link: LinkId(0),
    }
}
