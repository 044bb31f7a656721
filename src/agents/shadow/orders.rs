//! From fired to settled: every order's evidence, every fill's booking, and what a pair needs next.
//!
//! Owns:  the way of an intent through the shadow, and repair by unwinding (R1–R5, R12, R18).
//! Never: ends an order without evidence, frees a pair that is out of bound or not fully booked,
//!        asks for a second unwind while the first is open.
//! Map:   Told → `on_fired` / `on_fill` / `on_answer` → `settle`; timers → `tick_orders`.

use super::totals::Stage;
use super::{Question, Shadow, Tracked};
use crate::agents::courier::Letter;
use crate::desk::budget::ENTRY_CHARGE;
use crate::desk::order::{Action, Order, State};
use crate::desk::pair::{Holding, Next, base_of};
use crate::event::{
    Answer, Closed, Command, Counted, End, Fill, Fired, PairState, Record, RefusalKind, Source, Told, Wire,
    lane,
};
use crate::metal::intents::IntentSlot;
use crate::units::time::{MS, SEC};
use crate::units::{Amount, Class, ClientId, LegKind, Nanos, PairId, Qty, VenueId};
use crate::venue::{self, Reply};
use std::sync::Arc;

/// Collars of successive unwinds, in parts per million (FAULTS 6f: 0.2 %, 0.5 %, 2 %, 5 %).
const COLLARS_PPM: [u32; 4] = [2_000, 5_000, 20_000, 50_000];
/// Wait before the first repeated unwind; doubles with each attempt (FAULTS R9).
const RETRY_NS: u64 = 50 * MS;
/// An unwind that was asked for and not heard of again.
const ASKED_LOST_NS: u64 = SEC;
/// Refusals of one kind on a pair before its entries end (FAULTS F53).
const REFUSALS_MAX: u8 = 3;
/// How long a refused stamp or a throttle keeps a venue's entries off, unless it says otherwise.
const PAUSE_NS: u64 = 10 * SEC;

impl Shadow {
    pub(super) fn on_told(&mut self, told: Told, now: Nanos) {
        match told {
            Told::Fired(fired) => self.on_fired(&fired, now),
            Told::Fill(fill) => self.on_fill(&fill, now),
            Told::Answer(answer) => self.on_answer(&answer, now),
            Told::Pulse(pulse) => self.on_pulse(pulse),
            Told::Signal { pair, class, direction, .. } => {
                self.totals.signals += 1;
                let instruments = Arc::clone(&self.instruments);
                self.totals.decide_signal(&told, &instruments);
                let name = instruments.pair(pair).name;
                self.note(format!("signal: {class} {direction} {name}; not sent, real orders are off"));
            }
            Told::Declined { pair, why } => self.on_declined(pair, why, now),
        }
    }

    fn on_fired(&mut self, fired: &Fired, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        self.totals.decide(fired, &instruments);
        self.write(Record::Fired {
            at: self.clock.unix(),
            fired: *fired,
            instruments: Arc::clone(&instruments),
        });
        let at = usize::from(fired.pair.0);
        let Some(book) = self.books.get_mut(at) else { return };
        if fired.class != Class::Repair {
            book.sequence = fired.sequence;
            book.attempt = 0;
            book.began_as = fired.class;
            book.direction = fired.direction;
            book.repaired = false;
        }
        book.asked = None;
        book.slots.push(IntentSlot(fired.slot));
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
                    lane_state.on_order(entry, now);
                }
                if entry {
                    self.books[at].reserved.push(lane);
                }
            }
            let order = Order::fired(*leg, fired.pair, fired.class, fired.sequence);
            let decided = fired.prices[row.leg as usize];
            if let State::Ended(end) = order.state {
                self.write(Record::OrderEnd { at: self.clock.unix(), client: leg.client, end });
            }
            self.orders.insert(leg.client, Tracked { order, decided, told_unknown: false });
        }
        if let Some(first) = sent[0] {
            self.totals.record(Stage::ShadowLag, now.since(first));
            if fired.class != Class::Repair {
                self.totals.record(Stage::TickToWire, first.since(fired.seen));
            }
            if let Some(second) = sent[1] {
                self.totals.record(Stage::Leg2TickToWire, second.since(fired.seen));
                self.totals.record(Stage::LegSkew, second.since(first));
            }
        }
        self.settle(fired.pair, now);
    }

    pub(super) fn on_fill(&mut self, fill: &Fill, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        let Some(tracked) = self.orders.get_mut(&fill.client) else {
            if !self.ledger.has(fill) {
                self.note(format!(
                    "fill {} on {} belongs to no order known in this run; not booked, look it up at the venue",
                    fill.trade_id,
                    instruments.get(fill.instrument).symbol
                ));
            }
            return;
        };
        let pair = tracked.order.pair;
        let mut base = Amount::ZERO;
        if !self.ledger.book(fill, pair, tracked.decided, &instruments, &mut base) {
            return;
        }
        tracked.order.on_fill(fill.qty);
        let sent = tracked.order.leg.sent;
        let holding = &mut self.books[usize::from(pair.0)].holding;
        match instruments.get(fill.instrument).leg {
            LegKind::Spot => holding.spot += base,
            LegKind::Perp => holding.perp += base,
        }
        self.totals.record(Stage::FillRtt, now.since(sent));
        self.write(Record::Fill { at: self.clock.unix(), fill: *fill, instruments });
    }

    pub(super) fn on_answer(&mut self, answer: &Answer, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.get(answer.instrument);
        self.count(lane(row.venue, row.leg), row.venue, &answer.counted, now);
        self.write(Record::Answer {
            at: self.clock.unix(),
            answer: *answer,
            instruments: Arc::clone(&instruments),
        });
        let Some(tracked) = self.orders.get_mut(&answer.client) else { return };
        let was_ended = tracked.order.ended();
        let was_in_doubt = tracked.told_unknown;
        let action = tracked.order.on_answer(answer, now);
        if answer.source == Source::Answer {
            self.totals.record(Stage::AckRtt, answer.received.since(tracked.order.leg.sent));
        }
        let (state, pair, client) = (tracked.order.state, tracked.order.pair, tracked.order.client());
        match state {
            State::Ended(end) if !was_ended => {
                self.count_end(client, end);
                if matches!(end, End::Refused(_) | End::NotSent | End::Terminal(Qty::ZERO)) {
                    // Nothing came of it: the next try waits, a little longer each time.
                    let book = &mut self.books[usize::from(pair.0)];
                    let tries = u32::from(book.attempt.saturating_sub(1)).min(5);
                    book.retry_at = if book.attempt == 0 { now } else { now.plus(RETRY_NS << tries) };
                }
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
            End::Terminal(_) | End::NotSent => {}
        }
    }

    fn count(&mut self, lane: usize, venue: VenueId, counted: &Counted, now: Nanos) {
        let windows = self.windows.get(lane).cloned().unwrap_or_default();
        let Some(state) = self.lanes.get_mut(lane) else { return };
        for window in windows {
            let told = if window == 10 * SEC { counted.orders_10s } else { counted.orders_long };
            if let Some(used) = told {
                state.told(window, u64::from(used), now);
            }
        }
        if let Some(seconds) = counted.retry_after_s {
            let until = now.plus(u64::from(seconds) * SEC);
            let quiet = self.quiet.entry(venue).or_default();
            *quiet = until.max(*quiet);
            // Questions that wait would be the next requests; their orders' timers ask them again.
            let of_venue = |lane: usize| lane / 2 == usize::from(venue.0);
            self.couriers
                .iter_mut()
                .filter(|(lane, _)| of_venue(**lane))
                .for_each(|(_, it)| it.forget_queue());
            // The trader hears of it at once, not with the next renewal.
            self.permit_due = now;
            self.freeze(venue, until, "the venue asked to wait (Retry-After)");
        }
    }

    /// Until when a venue wants to hear nothing, if it does now (I7).
    pub(super) fn quiet_until(&self, venue: VenueId, now: Nanos) -> Option<Nanos> {
        self.quiet.get(&venue).copied().filter(|until| now < *until)
    }

    fn freeze(&mut self, venue: VenueId, until: Nanos, why: &str) {
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
            RefusalKind::Throttle | RefusalKind::Overload if counted.retry_after_s.is_none() => {
                self.freeze(venue, now.plus(PAUSE_NS), "the venue sheds load");
            }
            RefusalKind::Throttle | RefusalKind::Overload => {}
            RefusalKind::Filter | RefusalKind::Funds | RefusalKind::State | RefusalKind::ReduceOnly => {
                let name = self.instruments.pair(pair).name;
                let book = &mut self.books[usize::from(pair.0)];
                book.refusals = book.refusals.saturating_add(1);
                if book.refusals >= REFUSALS_MAX && book.frozen.is_none() {
                    let why = format!(
                        "pair {name}: {} orders refused (last code {}); no new entries; check balance, margin and filters",
                        book.refusals, refusal.code
                    );
                    book.frozen = Some(why.clone());
                    self.note(why);
                }
            }
        }
    }

    /// An order's fate is unknown: the pair stays BUSY, the venue takes no entry, the order is asked
    /// about until the venue proves its end.
    fn on_unknown(&mut self, client: ClientId, pair: PairId, venue: VenueId) {
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
    fn thaw(&mut self, venue: VenueId) {
        let why = format!("{}: every order's fate is proven", venue::get(venue).name);
        self.line(&why);
        self.write(Record::Mode { at: self.clock.unix(), mode: "trading", why });
    }

    fn ask(&mut self, action: Action, client: ClientId) {
        let question = match action {
            Action::Wait => return,
            Action::Query => Question::Order(client),
            Action::FetchTrades => Question::Trades(client),
        };
        let (Some(key), Some(tracked)) = (self.key.clone(), self.orders.get(&client)) else { return };
        let row = self.instruments.get(tracked.order.leg.instrument);
        let lane = lane(row.venue, row.leg);
        let venue = venue::get(row.venue);
        let now = self.clock.now();
        if self.quiet_until(venue.id, now).is_some() {
            return;
        }
        let Some(stamp) = self.offsets.venue_time(lane, now) else { return };
        let window = self.settings.recv_window_ms;
        let ask = match question {
            Question::Order(client) => (venue.order_query)(row, client, &key, stamp, window),
            Question::Trades(_) => (venue.trades_query)(row, tracked.order.order_id, &key, stamp, window),
        };
        // Without a link the order's own timer asks again.
        if let Some(courier) = self.couriers.get_mut(&lane) {
            courier.post(question, ask);
        }
    }

    pub(super) fn on_letter(&mut self, letter: Letter<Question>, now: Nanos) {
        let client = match letter.tag {
            Question::Order(client) | Question::Trades(client) => client,
        };
        let instruments = Arc::clone(&self.instruments);
        let Some(tracked) = self.orders.get(&client) else { return };
        let (pair, instrument) = (tracked.order.pair, tracked.order.leg.instrument);
        let row = instruments.get(instrument);
        let venue = venue::get(row.venue);
        match letter.tag {
            Question::Order(_) => {
                let reply = Reply { status: letter.status, counted: letter.counted, body: &letter.body };
                let judged = (venue.read_query)(&reply, row, client, &mut self.scratch, &mut self.fills);
                let fills: Vec<Fill> = self.fills.drain(..).collect();
                for fill in &fills {
                    self.on_fill(fill, now);
                }
                self.on_answer(
                    &Answer {
                        client,
                        instrument,
                        received: letter.received,
                        verdict: judged.verdict,
                        order_id: judged.order_id,
                        counted: letter.counted,
                        source: Source::Query,
                    },
                    now,
                );
            }
            Question::Trades(_) => {
                self.count(lane(row.venue, row.leg), row.venue, &letter.counted, now);
                let mut body = letter.body;
                let read = if letter.status == 200 {
                    (venue.read_trades)(&mut body, row, client, &mut self.fills)
                        .map_err(|error| error.to_string())
                } else {
                    Err(format!("HTTP status {}", letter.status))
                };
                let fills: Vec<Fill> = self.fills.drain(..).collect();
                for fill in &fills {
                    self.on_fill(fill, now);
                }
                if let Err(why) = read {
                    self.note(format!("trades of order {client} could not be read ({why}); asking again"));
                }
                self.settle(pair, now);
            }
        }
    }

    fn on_declined(&mut self, pair: PairId, why: Closed, now: Nanos) {
        let name = self.instruments.pair(pair).name;
        if let Some(book) = self.books.get_mut(usize::from(pair.0)) {
            book.asked = None;
            book.retry_at = now.plus(RETRY_NS);
        }
        self.write(Record::Note {
            at: self.clock.unix(),
            text: format!("pair {name}: an unwind could not leave ({}); asked again", why.text()),
        });
    }

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
            if matches!(book.state, PairState::Busy | PairState::Unknown) {
                let pair = book.pair;
                self.settle(pair, now);
            }
        }
    }

    /// Once every order of a pair has ended: settled, or one unwind.
    pub(super) fn settle(&mut self, pair: PairId, now: Nanos) {
        let at = usize::from(pair.0);
        if !matches!(self.books[at].state, PairState::Busy | PairState::Unknown) {
            return;
        }
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.pair(pair);
        let mut proven = self.books[at].holding;
        let mut all_booked = true;
        for tracked in self.orders.values().filter(|t| t.order.pair == pair) {
            let order = &tracked.order;
            if !order.ended() {
                return;
            }
            if order.closed() {
                continue;
            }
            all_booked = false;
            let instrument = instruments.get(order.leg.instrument);
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
        match proven.next(&instruments, pair, quote.as_ref()) {
            Next::Unwind { leg, side, qty } => self.unwind(at, leg, side, qty, now),
            Next::Settled { hedged } if all_booked => self.resolve(at, hedged, now),
            Next::Dust if all_booked => {
                let name = row.name;
                let exposure = proven.exposure();
                let why = format!(
                    "pair {name}: {exposure} {name} is more than the bound and less than any leg can trade; no new entries"
                );
                if self.books[at].frozen.is_none() {
                    self.note(why.clone());
                }
                self.books[at].frozen = Some(why);
                self.resolve(at, proven.perp != Amount::ZERO, now);
            }
            Next::Settled { .. } | Next::Dust => {}
        }
    }

    fn unwind(&mut self, at: usize, leg: LegKind, side: crate::units::Side, qty: Qty, now: Nanos) {
        let venue = self.instruments.leg(self.books[at].pair, leg).venue;
        // A repair that will be refused is an attempt lost (R9: `Retry-After` first).
        if self.quiet_until(venue, now).is_some() {
            return;
        }
        let book = &mut self.books[at];
        if book.asked.is_some() || now < book.retry_at {
            return;
        }
        if book.attempt >= ClientId::ATTEMPT_MAX {
            if book.frozen.is_none() {
                let name = self.instruments.pair(book.pair).name;
                let why =
                    format!("pair {name}: fifteen unwinds did not bring it into bound; mend it by hand");
                book.frozen = Some(why.clone());
                self.note(why);
            }
            return;
        }
        let attempt = book.attempt + 1;
        let command = Command::Unwind {
            pair: book.pair,
            sequence: book.sequence,
            attempt,
            leg,
            side,
            qty,
            collar_ppm: COLLARS_PPM[usize::from(attempt - 1).min(COLLARS_PPM.len() - 1)],
        };
        // A full ring: asked again at the next tick.
        if self.doors.commands.push(command).is_ok() {
            book.attempt = attempt;
            book.asked = Some(now);
            book.repaired = true;
        }
    }

    /// Everything ended, booked and within bound: the pair may be traded again.
    fn resolve(&mut self, at: usize, hedged: bool, now: Nanos) {
        let pair = self.books[at].pair;
        self.orders.retain(|_, tracked| tracked.order.pair != pair);
        let book = &mut self.books[at];
        let had = book.held.is_some();
        self.totals.repaired += u64::from(std::mem::take(&mut book.repaired));
        if hedged && !had {
            self.totals.opened += 1;
        }
        if !hedged && had {
            self.totals.closed += 1;
        }
        for slot in std::mem::take(&mut book.slots) {
            self.intents.free(slot);
        }
        for lane in std::mem::take(&mut book.reserved) {
            if let Some(state) = self.lanes.get_mut(lane) {
                state.on_resolved();
            }
        }
        let began_as = book.began_as;
        self.hold(at, hedged);
        let state = if hedged { PairState::Hedged } else { PairState::Flat };
        self.set_state(
            pair,
            state,
            if began_as == Class::Entry { "entry resolved" } else { "exit resolved" },
        );
        // The cell first, then the freedom to act on it.
        self.publish_terms(at, now);
        if self.doors.commands.push(Command::Free { pair }).is_err() {
            // The pair stays BUSY at the trader; the state goes back so that the next tick frees it.
            self.books[at].state = PairState::Busy;
            return;
        }
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

    fn set_state(&mut self, pair: PairId, state: PairState, why: &'static str) {
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

const _: () =
    assert!(ENTRY_CHARGE > 6, "an entry's reserve covers its worst repair, six requests a leg (F100)");
