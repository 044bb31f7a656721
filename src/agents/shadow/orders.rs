//! From fired to booked: every order's evidence, every fill once, and what refusals and doubts switch
//! off.
//!
//! Owns:  what the trader told, taken into orders, ledger, budgets and freezes.
//! Never: ends an order without evidence A or B.
//! Map:   Told → `on_fired` / `on_fill` / `on_answer` → `repair::settle`.

use super::completing::completes;
use super::streams::GRACE_NS;
use super::totals::Stage;
use super::{Shadow, Tracked};
use crate::desk::order::{Action, Order, State};
use crate::event::{
    Answer, Counted, End, Fill, Fired, Headers, Packets, PairState, Record, RefusalKind, Source, Told,
    Verdict, Wire, lane,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::intents::IntentSlot;
use crate::units::time::SEC;
use crate::units::{Amount, Class, ClientId, LegKind, Nanos, PairId, Qty, Unix, VenueId};
use crate::venue::{self, UserHeard};
use std::sync::Arc;

/// Three refusals of a pair within this take it out of trading (FAULTS F53).
const REFUSALS_WITHIN_NS: u64 = 60 * SEC;
/// How long a refused stamp or a throttle keeps a venue's entries off, unless it says otherwise.
pub(super) const PAUSE_NS: u64 = 10 * SEC;

impl Shadow {
    pub(super) fn on_told(&mut self, told: Told, now: Nanos) {
        match told {
            Told::Fired(fired) => self.on_fired(&fired, now),
            Told::Fill(fill) => self.on_fill(&fill, now),
            Told::Answer(answer) => self.on_answer(&answer, now),
            Told::Trade { client, instrument, order_id, trade_id, qty } => {
                let heard = UserHeard::Trade { client, instrument, order_id, trade_id, qty };
                self.on_user_order(client, instrument, heard, now);
            }
            Told::Pulse(pulse) => self.on_pulse(pulse, now),
            Told::Signal { pair, class, direction, .. } => {
                self.totals.signals += 1;
                let instruments = Arc::clone(&self.instruments);
                self.totals.decide_signal(&told, &instruments);
                let name = instruments.pair(pair).name;
                self.note(format!("signal: {class} {direction} {name}; not sent, real orders are off"));
            }
            Told::Spent(spent) => {
                if let Some(state) = self.lanes.get_mut(spent.lane) {
                    state.on_warmed(u64::from(spent.weight), spent.sent, now);
                }
            }
            Told::Headers(headers) => self.hear_counted(&headers, now),
            Told::CalledOff { pair } => {
                self.books[usize::from(pair.0)].awaiting = false;
                self.settle(pair, now);
            }
            Told::Latch { set, turn, at } => {
                let ago = i64::try_from(now.since(at)).unwrap_or(0);
                let at = Unix(self.clock.unix().0 - ago);
                self.write(Record::LatchRead { at, set, turn });
            }
            Told::Declined { pair, why } => self.on_declined(pair, why, now),
            Told::Packets(packets) => self.measure_packets(&packets),
        }
    }

    /// What the kernel's stamps say of one leg.
    fn measure_packets(&mut self, packets: &Packets) {
        if packets.second {
            self.totals.record(Stage::Leg2WireToWire, packets.wire_to_wire_ns);
        } else {
            self.totals.record(Stage::RxToRead, packets.rx_to_read_ns);
            self.totals.record(Stage::WireToWire, packets.wire_to_wire_ns);
        }
    }

    /// What was ours of a send round whose sends were stamped, and what the kernel's.
    fn measure_path(&mut self, fired: &Fired) {
        let mut before = fired.seen;
        for (leg, stage) in fired.legs.iter().flatten().zip([Stage::InProcess, Stage::Leg2InProcess]) {
            let Some(handed) = leg.handed else { return };
            self.totals.record(stage, handed.since(before));
            self.totals.record(Stage::SendCall, leg.sent.since(handed));
            before = leg.sent;
        }
    }

    pub(super) fn on_fired(&mut self, fired: &Fired, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        self.totals.decide(fired, &instruments);
        self.write(Record::Fired {
            at: self.clock.unix(),
            fired: *fired,
            instruments: Arc::clone(&instruments),
        });
        let at = usize::from(fired.pair.0);
        let Some(book) = self.books.get_mut(at) else { return };
        // The leg that waited, of the intent under way.
        let second = book.awaiting && fired.sequence == book.sequence;
        if fired.class != Class::Repair && !second {
            book.began_as = fired.class;
            book.repaired = false;
            book.bound = (fired.bind, fired.direction);
            let row = instruments.pair(fired.pair);
            let venues = [instruments.get(row.spot).venue, instruments.get(row.perp).venue];
            self.risk.on_bound(venues, &fired.bind);
        }
        // The trader counts attempts alike: the next one, or the first of a new intent.
        let next = fired.class == Class::Repair && fired.sequence == book.sequence;
        book.attempt = if next { book.attempt + 1 } else { 0 };
        book.sequence = fired.sequence;
        book.mending.on_fired(fired.class, second, completes(fired, &instruments));
        book.asked = None;
        (book.awaiting, book.proven) = (fired.more, false);
        if planted(Bug::SlotFreedEarly) {
            self.intents.free(IntentSlot(fired.slot));
        } else if !second {
            book.slots.push(IntentSlot(fired.slot));
        }
        book.owes_free = true;
        book.state = PairState::Busy;
        let mut sent = [None; 2];
        for (i, leg) in fired.legs.iter().flatten().enumerate() {
            let row = instruments.get(leg.instrument);
            let lane = lane(row.venue, row.leg);
            if leg.wire != Wire::Nothing {
                self.totals.sent += 1;
                sent[i] = Some(leg.sent);
                let entry = fired.class == Class::Entry;
                if let Some(lane_state) = self.lanes.get_mut(lane) {
                    lane_state.on_order(entry, leg.sent, now);
                }
                if entry {
                    self.books[at].reserved.push(lane);
                }
            }
            let order =
                Order::fired(*leg, fired.pair, fired.class, fired.sequence).settling(self.settling_ns());
            let order = if second { order.that_waited() } else { order };
            self.recon.stir(leg.instrument);
            let decided = fired.prices[row.leg as usize];
            if let State::Ended(end) = order.state {
                self.write(Record::OrderEnd { at: self.clock.unix(), client: leg.client, end });
            }
            self.orders.insert(leg.client, Tracked::new(order, decided));
        }
        if let Some(first) = sent[0] {
            self.totals.record(Stage::ShadowLag, now.since(first));
            if fired.class != Class::Repair {
                let stage = if second { Stage::Leg2TickToWire } else { Stage::TickToWire };
                self.totals.record(stage, first.since(fired.seen));
            }
            if let Some(second) = sent[1] {
                self.totals.record(Stage::Leg2TickToWire, second.since(fired.seen));
                self.totals.record(Stage::LegSkew, second.since(first));
            }
            if !second && fired.class != Class::Repair {
                self.measure_path(fired);
            }
        }
        let why = match fired.class {
            _ if second => None,
            Class::Entry => Some(format!("enter_{}", fired.direction)),
            Class::Exit => Some(format!("leave_{}", fired.direction)),
            Class::Flatten | Class::Repair => None,
        };
        if let Some(why) = why {
            self.log_decision(at, &why, now);
            if fired.class == Class::Entry {
                self.log_decision(at, "confirmation", now);
            }
        }
        self.hear_early(fired, now);
        self.settle(fired.pair, now);
    }

    pub(super) fn on_fill(&mut self, fill: &Fill, now: Nanos) {
        if self.ledger.has(fill.instrument, fill.trade_id) {
            return;
        }
        let instruments = Arc::clone(&self.instruments);
        self.revive(fill.client, now);
        let Some(tracked) = self.orders.get_mut(&fill.client) else {
            self.note(format!(
                "fill {} on {} belongs to no order known in this run; not booked, look it up at the venue",
                fill.trade_id,
                instruments.get(fill.instrument).symbol
            ));
            return;
        };
        let (pair, decided) = (tracked.order.pair, tracked.decided);
        let mut base = Amount::ZERO;
        if !self.ledger.book(fill, pair, decided, &instruments, &mut base) {
            return;
        }
        let judged = tracked.order.ended().then_some(tracked.order.executed);
        tracked.order.on_fill(fill.qty);
        tracked.net += Amount(base.0.abs());
        self.recon.stir(fill.instrument);
        let late = judged.is_some_and(|judged| tracked.order.booked > judged);
        let sent = tracked.order.leg.sent;
        let holding = &mut self.books[usize::from(pair.0)].holding;
        match instruments.get(fill.instrument).leg {
            LegKind::Spot => holding.spot += base,
            LegKind::Perp => holding.perp += base,
        }
        self.totals.record(Stage::FillRtt, now.since(sent));
        crash::point("K9");
        let at = self.clock.unix();
        self.write(Record::Fill { at, fill: *fill, decided, cause: None, instruments });
        if late {
            self.on_late(fill.client, now);
        }
    }

    pub(super) fn on_answer(&mut self, answer: &Answer, now: Nanos) {
        let more = self.says_more(answer);
        if answer.source == Source::Stream && !more && self.past.contains_key(&answer.client) {
            return;
        }
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.get(answer.instrument);
        if answer.source == Source::Answer {
            let known = self.orders.get(&answer.client).or_else(|| self.past.get(&answer.client));
            let sent = known.map_or(answer.received, |tracked| tracked.order.leg.sent);
            let (lane, counted) = (lane(row.venue, row.leg), answer.counted);
            self.hear_counted(&Headers { lane, counted, sent }, now);
        }
        self.write(Record::Answer {
            at: self.clock.unix(),
            answer: *answer,
            instruments: Arc::clone(&instruments),
        });
        if more {
            self.revive(answer.client, now);
        }
        if answer.source == Source::Query && !matches!(answer.verdict, Verdict::Unknown(_)) {
            self.asked_about(answer.client);
        }
        let lane = lane(row.venue, row.leg);
        let stream = self.streams.is_up(lane);
        let Some(tracked) = self.orders.get_mut(&answer.client) else {
            if let (Some(past), Source::Answer) = (self.past.get(&answer.client), answer.source) {
                self.totals.record(Stage::AckRtt, answer.received.since(past.order.leg.sent));
            }
            return;
        };
        let was_ended = tracked.order.ended();
        let was_in_doubt = tracked.told_unknown;
        let judged = tracked.order.executed;
        let mut asked = now;
        if planted(Bug::WallTime) {
            let age = self.clock.unix().0 - tracked.order.leg.stamp.0;
            asked = tracked.order.leg.sent.plus(age.max(0).unsigned_abs());
        }
        let mut action = tracked.order.on_answer(answer, asked);
        let late = was_ended && tracked.order.executed > judged;
        if answer.source == Source::Answer && stream && action != Action::Wait {
            // What the answer left open is on its way by the stream, which costs no request.
            tracked.order.hold_off(now.plus(GRACE_NS));
            action = Action::Wait;
        }
        if answer.source == Source::Answer {
            self.totals.record(Stage::AckRtt, answer.received.since(tracked.order.leg.sent));
        }
        let (state, pair, client) = (tracked.order.state, tracked.order.pair, tracked.order.client());
        match state {
            State::Ended(end) if !was_ended || planted(Bug::EndToldTwice) => {
                self.count_end(client, end);
                self.on_end(client, end, now);
                self.write(Record::OrderEnd { at: self.clock.unix(), client, end });
                if let End::Refused(refusal) = end {
                    self.on_refused(pair, row.venue, refusal, &answer.counted, now);
                }
                if was_in_doubt && !self.in_doubt(row.venue) {
                    self.thaw(row.venue);
                }
            }
            State::Unknown => self.on_unknown(client, pair, row.venue),
            _ => {}
        }
        if late {
            self.on_late(client, now);
        }
        self.ask(action, client);
        self.settle(pair, now);
    }

    fn count_end(&mut self, client: ClientId, end: End) {
        let Some(tracked) = self.orders.get(&client) else { return };
        match end {
            End::Terminal(executed) if executed >= tracked.order.leg.qty => self.totals.filled += 1,
            End::Terminal(executed) if executed > Qty::ZERO => self.totals.partial += 1,
            End::Refused(refusal) => {
                self.totals.refused += 1;
                *self.totals.refusals.entry(refusal.code).or_default() += 1;
            }
            End::Terminal(_) | End::NotSent | End::NeverLanded | End::Unfilled => {}
        }
    }

    pub(super) fn freeze(&mut self, venue: VenueId, until: Nanos, why: &str) {
        let longer = self.frozen.get(&venue).is_none_or(|(present, _)| *present < until);
        if longer {
            self.frozen.insert(venue, (until, why.to_owned()));
            let name = venue::get(venue).name;
            self.write(Record::Mode { at: self.clock.unix(), mode: "frozen", why: format!("{name}: {why}") });
            self.line(&format!("{name}: no new entries: {why}"));
        }
    }

    fn on_refused(
        &mut self,
        pair: PairId,
        venue: VenueId,
        refusal: crate::event::Refusal,
        counted: &Counted,
        now: Nanos,
    ) {
        match refusal.kind {
            RefusalKind::Auth => self.freeze(
                venue,
                Nanos::NEVER,
                "the venue refused key or signature; check the key file, its rights and its address list",
            ),
            RefusalKind::Stamp => self.freeze(
                venue,
                now.plus(PAUSE_NS),
                "the venue refused a timestamp; the clock is learned again (if it stays so, raise --recv-window)",
            ),
            RefusalKind::Account => {
                let name = venue::get(venue).name;
                let why = format!(
                    "{name}: the account may not place this order (code {}): it is restricted; what is held stays as it \
                     is; ask the venue why, then resume",
                    refusal.code
                );
                self.stop(why, now);
            }
            RefusalKind::Throttle | RefusalKind::Overload if counted.retry_after_s.is_none() => {
                self.freeze(venue, now.plus(PAUSE_NS), "the venue sheds load");
            }
            RefusalKind::Throttle | RefusalKind::Overload => {}
            RefusalKind::Filter
            | RefusalKind::Band
            | RefusalKind::Funds
            | RefusalKind::State
            | RefusalKind::ReduceOnly => {
                if matches!(refusal.kind, RefusalKind::Filter | RefusalKind::Band | RefusalKind::State) {
                    self.doubt_rules(now);
                }
                let name = self.instruments.pair(pair).name;
                let book = &mut self.books[usize::from(pair.0)];
                let [first, second] = std::mem::take(&mut book.refused_at);
                book.refused_at = [second, Some(now)];
                let often = first.is_some_and(|first| now.since(first) <= REFUSALS_WITHIN_NS);
                if often && book.frozen.is_none() {
                    let why = format!(
                        "pair {name}: three orders refused within a minute (last code {}); no new entries; check \
                         balance, margin and filters",
                        refusal.code
                    );
                    book.frozen = Some(why.clone());
                    self.note(why);
                }
            }
        }
    }

    /// An order's fate is unknown: the pair stays BUSY, the venue takes no entry, the order is asked
    /// about until the venue proves its end.
    pub(super) fn on_unknown(&mut self, client: ClientId, pair: PairId, venue: VenueId) {
        let Some(tracked) = self.orders.get_mut(&client) else { return };
        if std::mem::replace(&mut tracked.told_unknown, true) {
            return;
        }
        self.set_state(pair, PairState::Unknown, "an order's fate is unknown");
        let name = venue::get(venue).name;
        let why = format!("{name}: an order's fate is unknown; no entries until it is proven");
        self.write(Record::Mode { at: self.clock.unix(), mode: "frozen", why });
        self.note(format!("order {client}: fate unknown; asking the venue by its client order id"));
    }

    /// Whether the fate of an order on this venue is unknown now: then it takes no entry (F14).
    pub(super) fn in_doubt(&self, venue: VenueId) -> bool {
        self.orders.values().any(|tracked| {
            tracked.told_unknown
                && !tracked.order.ended()
                && self.instruments.get(tracked.order.leg.instrument).venue == venue
        })
    }

    /// The last doubt on a venue is gone: its freeze goes with it (I19).
    pub(super) fn thaw(&mut self, venue: VenueId) {
        let why = format!("{}: every order's fate is proven", venue::get(venue).name);
        self.line(&why);
        self.write(Record::Mode { at: self.clock.unix(), mode: self.mode().name(), why });
    }

    pub(super) fn set_state(&mut self, pair: PairId, state: PairState, why: &'static str) {
        let at = usize::from(pair.0);
        if self.books[at].state == state {
            return;
        }
        self.books[at].state = state;
        let holding = self.books[at].holding;
        let name = self.instruments.pair(pair).name;
        // Told as short: a short perp is a positive number of coins short.
        self.write(Record::Pair {
            at: self.clock.unix(),
            name,
            state,
            spot: holding.spot,
            perp: -holding.perp,
            why,
        });
    }
}
