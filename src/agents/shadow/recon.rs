//! The venue's whole view of an account against the books: after a start, after a stream's gap, and as the
//! last part of evidence C (FAULTS 7.4, steps 6 to 8; part 4).
//!
//! Owns:  one round a market: trades nobody booked, orders nobody wrote down, open orders, then positions
//!        or balances, read while nothing of that market moved.
//! Never: ends an order on "not found" alone, trades away what it can't explain, or calls books confirmed
//!        that were not compared.
//! Map:   `recon_market`, `recon_instrument` → `tick_recon` asks one thing at a time → `reading` reads the answer →
//!        `adopt` orders nobody wrote down · `compare` what is held with the books.

use super::compare::{Foreign, began};
use super::standing::Standing;
use super::{Question, Shadow};
use crate::desk::order::QUARANTINE_NS;
use crate::event::{Asset, PairState, lane, market_of};
use crate::metal::crash;
use crate::units::time::{MS, SEC};
use crate::units::{InstrumentId, LegKind, Nanos, PairId, Unix};
use crate::venue::audit::{TradeRow, TradesFrom};
use crate::venue::{self, Ask, Symbols};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// By how much an instrument's holding differs; without one, an asset that all pairs are paid in.
pub(super) type Difference = (Option<InstrumentId>, i128);

/// Wait before what differs, or could not be asked, is tried again.
pub(super) const PAUSE_NS: u64 = 200 * MS;
/// How far back trades are read when a person resumes.
const LOOK_BACK_NS: i64 = 600 * SEC as i64;
/// No answer for so long: asked again.
const LOST_NS: u64 = 15 * SEC;

/// One thing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Which trades were made.
    Trades { instrument: InstrumentId, from: TradesFrom },
    /// Whose order it is that traded.
    Whose { instrument: InstrumentId, order_id: u64 },
    /// What is still open on a market: of one instrument, or of all.
    Open(usize, Option<InstrumentId>),
    /// What the account holds on a market.
    Account(usize),
}

/// All rounds, and what they share.
#[derive(Debug, Default)]
pub(super) struct Recon {
    pub(super) rounds: BTreeMap<usize, Round>,
    pub(super) symbols: Option<Arc<Symbols>>,
    /// Orders of others, seen and told, and which of their trades are counted: they are not asked about again.
    pub(super) strangers: BTreeMap<(InstrumentId, u64), BTreeSet<u64>>,
    /// Orders of ours that were closed so long ago that their trades are not known one by one.
    pub(super) closed: BTreeSet<(InstrumentId, u64)>,
    /// What their trades moved: it explains that much, and no more.
    pub(super) foreign: Foreign,
    /// In the venue's time: what was traded by then may be in the baseline already.
    pub(super) baselined: BTreeMap<(LegKind, Asset), Unix>,
    /// In the venue's time: by then the books and what others traded explained all that is held of an instrument.
    pub(super) explained: BTreeMap<InstrumentId, Unix>,
    /// Instruments whose books were equal to the venue's at least once.
    pub(super) confirmed: BTreeSet<InstrumentId>,
    /// Counts up with every order and fill of an instrument: what changed while an answer was on its way
    /// proves nothing.
    pub(super) stirred: BTreeMap<InstrumentId, u64>,
    pub(super) told: BTreeSet<String>,
    /// When what is held of an instrument was last left unexplained.
    pub(super) unexplained_at: BTreeMap<InstrumentId, Nanos>,
}

/// One market being read.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) since: Unix,
    pub(super) scope: BTreeSet<InstrumentId>,
    pub(super) whole: bool,
    pub(super) todo: VecDeque<Item>,
    pub(super) flying: Option<(Item, Nanos)>,
    pub(super) rest_until: Nanos,
    /// How many answers in a row could not be read: a market in maintenance is asked less and less often.
    pub(super) unread: u32,
    /// Trades whose order is not known yet.
    pub(super) orphans: Vec<(InstrumentId, TradeRow)>,
    /// When the trades were asked for last.
    pub(super) traded_at: Nanos,
    /// When the account was asked for last, and what had stirred by then.
    pub(super) asked_at: Nanos,
    pub(super) before: BTreeMap<InstrumentId, u64>,
    /// How many looks at the account took too long.
    pub(super) slow: u32,
    /// What differs.
    pub(super) differs: Standing<Vec<Difference>>,
    /// How often it was read again: each time a little later, since every reading has its weight.
    pub(super) repeats: u32,
}

impl Recon {
    /// Something of an instrument moved.
    pub(super) fn stir(&mut self, instrument: InstrumentId) {
        *self.stirred.entry(instrument).or_default() += 1;
    }

    /// Whether a market is being read.
    pub(super) fn running(&self, lane: usize) -> bool {
        self.rounds.contains_key(&lane)
    }

    /// Whether a market is being read whole: until that is done its books are not known to be the venue's.
    pub(super) fn doubts(&self, lane: usize) -> bool {
        self.rounds.get(&lane).is_some_and(|round| round.whole)
    }

    pub(super) fn stirred(&self, instrument: InstrumentId) -> u64 {
        self.stirred.get(&instrument).copied().unwrap_or(0)
    }
}

// ───────────────────────────── rounds ─────────────────────────────

impl Shadow {
    /// Whether a pair's books are known to be the venue's: before that nothing of it is repaired.
    pub(super) fn confirmed(&self, pair: PairId) -> bool {
        let row = self.instruments.pair(pair);
        !self.needs_account()
            || [row.spot, row.perp].iter().all(|instrument| self.recon.confirmed.contains(instrument))
    }

    /// Whether this run has an account whose view counts.
    pub(super) fn needs_account(&self) -> bool {
        self.settings.live && self.key.is_some()
    }

    /// Reads a market whole, trades since a moment; `None`: there was nothing of ours before this run.
    pub(super) fn recon_market(&mut self, of_lane: usize, since: Option<Unix>, now: Nanos) {
        let mine = |row: &&crate::event::Instrument| lane(row.venue, row.leg) == of_lane;
        let scope: BTreeSet<InstrumentId> =
            self.instruments.instruments.iter().filter(mine).map(|row| row.id).collect();
        crash::point("K15f");
        // Nothing else can be missing behind the books of a process that lost its host.
        let rest_until = self.recovered.settled_at.max(now);
        let mut todo = VecDeque::new();
        if let Some(since) = since {
            let from = TradesFrom::Time(since);
            todo.extend(scope.iter().map(|instrument| Item::Trades { instrument: *instrument, from }));
        }
        todo.extend(self.open_items(of_lane, &scope));
        let since = since.unwrap_or_else(|| self.clock.unix());
        self.begin_round(of_lane, Round { whole: true, todo, rest_until, ..Round::new(since, scope, now) });
    }

    /// Open orders are asked for one by one where that weighs less than all at once.
    fn open_items(&self, of_lane: usize, scope: &BTreeSet<InstrumentId>) -> Vec<Item> {
        let all = vec![Item::Open(of_lane, None)];
        let (venue, leg) = market_of(of_lane);
        let audit = &venue::get(venue).audit;
        let (Some(key), Some(first)) = (&self.key, scope.first()) else { return all };
        let weight = |of| u64::from((audit.open_orders)(leg, of, key, Unix(0), 1).weight);
        let each = weight(Some(self.instruments.get(*first))) * scope.len() as u64;
        if each < weight(None) {
            scope.iter().map(|instrument| Item::Open(of_lane, Some(*instrument))).collect()
        } else {
            all
        }
    }

    /// Reads every market whose private stream flows, as after a gap: whoever resumes may have traded by hand.
    pub(super) fn recon_all(&mut self, now: Nanos) {
        if !self.needs_account() {
            return;
        }
        let since = Unix(self.clock.unix().0 - LOOK_BACK_NS);
        for of_lane in 0..crate::event::LANES {
            if self.streams.is_up(of_lane) {
                self.recon_market(of_lane, Some(since), now);
            }
        }
    }

    /// Reads one instrument: its trades since a moment, and what is held of it.
    pub(super) fn recon_instrument(&mut self, instrument: InstrumentId, since: Unix, now: Nanos) {
        let row = self.instruments.get(instrument);
        let of_lane = lane(row.venue, row.leg);
        let item = Item::Trades { instrument, from: TradesFrom::Time(since) };
        if let Some(round) = self.recon.rounds.get_mut(&of_lane) {
            // That round reads it as well: what it has read of it already may be older than the news.
            round.scope.insert(instrument);
            round.since = round.since.min(since);
            if !round.todo.contains(&item) {
                round.todo.push_back(item);
            }
            return;
        }
        let mut round = Round::new(since, BTreeSet::from([instrument]), now);
        round.todo.push_back(item);
        self.begin_round(of_lane, round);
    }

    /// The names of a venue's instruments.
    pub(super) fn symbols_of(&mut self, of_lane: usize) -> Arc<Symbols> {
        let (venue, _) = market_of(of_lane);
        let made = || Arc::new(Symbols::new(&self.instruments, venue));
        Arc::clone(self.recon.symbols.get_or_insert_with(made))
    }

    fn begin_round(&mut self, of_lane: usize, round: Round) {
        let before = self.recon.rounds.insert(of_lane, round);
        if let (Some(before), Some(round)) = (before, self.recon.rounds.get_mut(&of_lane)) {
            round.since = round.since.min(before.since);
            // What has differed goes on: a stream that is lost again and again must not put off what follows.
            round.differs = before.differs;
        }
    }

    /// Moves every round on.
    pub(super) fn tick_recon(&mut self, now: Nanos) {
        let lanes: Vec<usize> = self.recon.rounds.keys().copied().collect();
        for of_lane in lanes {
            self.tick_round(of_lane, now);
        }
        self.look_for_the_lost(now);
    }

    pub(super) fn tick_round(&mut self, of_lane: usize, now: Nanos) {
        let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
        if let Some((item, asked)) = round.flying {
            if now.since(asked) < LOST_NS {
                return;
            }
            round.flying = None;
            round.todo.push_front(item);
        }
        if now < round.rest_until {
            return;
        }
        if round.todo.is_empty() {
            if self.unsettled(of_lane) {
                return;
            }
            let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
            round.todo.push_back(Item::Account(of_lane));
        }
        self.ask_next(of_lane, now);
    }

    /// Whether orders of a round's instruments are still to be resolved by their own questions, and none is there that
    /// was searched for in vain: its proof waits for no other's, since what it hides may be out of hedge.
    pub(super) fn unsettled(&self, of_lane: usize) -> bool {
        let Some(round) = self.recon.rounds.get(&of_lane) else { return false };
        let open = || {
            let orders = self.orders.values().map(|tracked| &tracked.order);
            orders.filter(|order| round.scope.contains(&order.leg.instrument) && !order.closed())
        };
        !open().any(|order| self.lost(order).is_some())
            && open().any(|order| self.books[usize::from(order.pair.0)].state != PairState::Quarantined)
    }

    fn ask_next(&mut self, of_lane: usize, now: Nanos) {
        let Some(item) = self.recon.rounds.get(&of_lane).and_then(|round| round.todo.front().copied()) else {
            return;
        };
        let (venue, leg) = market_of(of_lane);
        let venue = venue::get(venue);
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        let (audit, window) = (&venue.audit, self.settings.recv_window_ms);
        let row = |instrument| self.instruments.get(instrument);
        let ask: Ask = match (item, leg) {
            (Item::Trades { instrument, from }, _) => {
                (audit.trades_since)(row(instrument), from, &key, stamp, window)
            }
            (Item::Whose { instrument, order_id }, _) => {
                (audit.order_by_id)(row(instrument), order_id, &key, stamp, window)
            }
            (Item::Open(_, of), _) => (audit.open_orders)(leg, of.map(row), &key, stamp, window),
            (Item::Account(_), LegKind::Spot) => (audit.balances)(leg, &key, stamp, window),
            (Item::Account(_), LegKind::Perp) => (audit.positions)(&key, stamp, window),
        };
        // What may hide an exposure is asked for beyond the line where other reads stop.
        let line = self.reading_line();
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, line, ask.weight, now) {
            return;
        }
        let Some(courier) = self.couriers.get_mut(&of_lane) else { return };
        courier.post(Question::Audit(item), ask);
        let Recon { rounds, stirred, .. } = &mut self.recon;
        let Some(round) = rounds.get_mut(&of_lane) else { return };
        round.todo.pop_front();
        round.flying = Some((item, now));
        match item {
            Item::Trades { .. } => round.traded_at = now,
            Item::Account(_) => {
                round.asked_at = now;
                round.before.clone_from(stirred);
            }
            _ => {}
        }
    }

    /// An order that was searched for in vain, or is unknown for too long.
    fn look_for_the_lost(&mut self, now: Nanos) {
        let mut lost = Vec::new();
        let mut old = Vec::new();
        for tracked in self.orders.values() {
            let order = &tracked.order;
            if let Some(searched) = self.lost(order) {
                lost.push((order.leg.instrument, searched, began(order)));
            }
            let state = self.books[usize::from(order.pair.0)].state;
            if !order.ended()
                && tracked.told_unknown
                && state != PairState::Quarantined
                && now.since(order.leg.sent) >= QUARANTINE_NS
            {
                old.push((order.client(), order.pair));
            }
        }
        for (instrument, searched, began) in lost {
            let row = self.instruments.get(instrument);
            let round = self.recon.rounds.get(&lane(row.venue, row.leg));
            // A round that has it in its scope does not end before it has looked for it.
            let sought = round.is_some_and(|round| round.scope.contains(&instrument));
            if sought || self.looked_in_vain(instrument, searched, now) {
                continue;
            }
            self.recon_instrument(instrument, began, now);
        }
        for (client, pair) in old {
            self.set_state(pair, PairState::Quarantined, "an order's fate is unknown for a minute");
            self.alert(format!(
                "order {client}: its fate is unknown for a minute; its pair is left alone, and the venue asked on; \
                 look it up there by this client order id"
            ));
        }
    }

    pub(super) fn tell_once(&mut self, text: String) {
        if self.recon.told.insert(text.clone()) {
            self.note(text);
        }
    }
}

impl Round {
    fn new(since: Unix, scope: BTreeSet<InstrumentId>, now: Nanos) -> Self {
        Self {
            since,
            scope,
            whole: false,
            todo: VecDeque::new(),
            flying: None,
            rest_until: now,
            unread: 0,
            orphans: Vec::new(),
            traded_at: now,
            asked_at: now,
            before: BTreeMap::new(),
            slow: 0,
            differs: Standing::default(),
            repeats: 0,
        }
    }
}
