//! The shadow's private streams: read, believed as far as they go, and counted as up only once every
//! order in doubt was asked about.
//!
//! Owns:  the private sockets from hand-over to death, whether each is up, events that came before
//!        their order, and orders of resolved pairs that may still be told of.
//! Never: books a fill that lacks a fact, or lets an entry leave without both streams.
//! Map:   event → known order: `on_fill`, `on_answer` · not known yet: kept until its `Fired` comes ·
//!        not ours, not readable: the pair takes no entry, its orders are asked about.

use super::budget::lane_name;
use super::orders::PAUSE_NS;
use super::{Shadow, Tracked};
use crate::agents::socket::{GiveUp, Sign, Socket};
use crate::agents::{Dead, FeedCard, Handed, Purpose};
use crate::desk::order::Action;
use crate::event::{
    Answer, Asset, Counted, Fired, Headers, Instrument, LANES, Record, Source, lane, market_of,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::poll::{Links, Slot};
use crate::metal::tap::Tap;
use crate::units::time::{MS, SEC};
use crate::units::{ClientId, InstrumentId, LegKind, Nanos, Unix, VenueId};
use crate::venue::{Unreadable, UserHeard};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What an answer left open comes by the stream within this time, or is asked for.
pub(super) const GRACE_NS: u64 = 50 * MS;
/// How long before its end was noticed a stream may have been silent: trades since then are read again.
const GAP_NS: i64 = 60 * SEC as i64;
/// Private sockets: two a venue.
const STREAMS_MAX: usize = LANES;
/// Events that came before their order; the oldest are given up first.
const EARLY_MAX: usize = 1_024;
/// How long an event may be ahead of its order.
const EARLY_NS: u64 = 5 * SEC;

/// Whether a market's stream can be relied on.
#[derive(Debug, Default, PartialEq, Eq)]
enum Flow {
    /// No socket, or it is not confirmed.
    #[default]
    Dry,
    /// Confirmed; these orders must have been asked about first.
    Asking(BTreeSet<ClientId>),
    /// It can.
    Flowing,
}

/// A private socket.
#[derive(Debug)]
struct Stream {
    purpose: Purpose,
    card: FeedCard,
    socket: Socket,
    unconfirmed: usize,
}

/// All private streams.
#[derive(Debug)]
pub(super) struct Streams {
    links: Links,
    open: Vec<Option<Stream>>,
    due: Nanos,
    lanes: [Flow; LANES],
    /// Up to when nothing a market's stream told can be missing in the books.
    flowed: [Option<Unix>; LANES],
    heard: Vec<Result<UserHeard, Unreadable>>,
    early: VecDeque<(Nanos, UserHeard)>,
    stranger_told: bool,
    /// Why no entry leaves, while a stream is not up.
    pub(super) missing: Option<String>,
}

/// Orders of resolved pairs: a fill of one may still come.
pub(super) type Past = BTreeMap<ClientId, Tracked>;

impl Streams {
    /// No sockets yet; `wanted` when entries need them.
    pub(super) fn new(wanted: bool, tap: &Tap) -> Self {
        let mut open = Vec::new();
        open.resize_with(STREAMS_MAX, || None);
        let mut links = Links::new(STREAMS_MAX);
        links.tap(tap);
        Self {
            links,
            open,
            due: Nanos::NEVER,
            lanes: std::array::from_fn(|_| Flow::default()),
            flowed: [None; LANES],
            heard: Vec::new(),
            early: VecDeque::new(),
            stranger_told: false,
            missing: wanted.then(|| "no entries: the private streams are not up yet".to_owned()),
        }
    }

    pub(super) fn is_up(&self, lane: usize) -> bool {
        self.lanes[lane] == Flow::Flowing
    }
}

fn lane_of(purpose: Purpose) -> Option<usize> {
    match purpose {
        Purpose::User { venue, leg } => Some(lane(venue, leg)),
        _ => None,
    }
}

// ───────────────────────────── sockets ─────────────────────────────

impl Shadow {
    /// Whether entries need the private streams of a venue and do not have them.
    pub(super) fn lacks_streams(&self, venue: VenueId) -> bool {
        self.settings.live
            && self.key.is_some()
            && LegKind::BOTH.iter().any(|leg| !self.streams.is_up(lane(venue, *leg)))
    }

    /// A socket from the clerk takes the place of the one before it.
    pub(super) fn take_stream(&mut self, handed: Handed, now: Nanos) {
        let (Some(card), Some(lane)) = (handed.feed, lane_of(handed.purpose)) else { return };
        let streams = &mut self.streams;
        for at in 0..streams.open.len() {
            if streams.open[at].as_ref().is_some_and(|stream| stream.purpose == handed.purpose) {
                streams.open[at] = None;
                if let Some(mut old) = streams.links.remove(Slot(at as u16)) {
                    old.close();
                }
            }
        }
        let socket = Socket::new(card.rules, now, self.doors.entropy.u64());
        let unconfirmed = card.confirmations;
        let socket = if unconfirmed > 0 { socket.subscribed(now) } else { socket };
        let at = usize::from(streams.links.insert(handed.link).0);
        if at >= streams.open.len() {
            streams.open.resize_with(at + 1, || None);
        }
        streams.open[at] = Some(Stream { purpose: handed.purpose, card, socket, unconfirmed });
        streams.due = now;
        self.stream_down(lane, now);
        if unconfirmed == 0 {
            self.stream_confirmed(lane);
        }
    }

    /// Reads what came on the private sockets, and acts on it.
    pub(super) fn read_streams(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        self.streams.links.poll();
        while let Some(slot) = self.streams.links.next_ready() {
            work += 1;
            self.read_stream(slot, now);
        }
        if now >= self.streams.due {
            self.streams.due = Nanos::NEVER;
            for at in 0..self.streams.open.len() {
                let slot = Slot(at as u16);
                let (Streams { links, open, .. }, entropy) = (&mut self.streams, &mut self.doors.entropy);
                let (Some(stream), Some(link)) = (open[at].as_mut(), links.get_mut(slot)) else { continue };
                match stream.socket.tend(link, now, entropy) {
                    Ok(due) => self.streams.due = self.streams.due.min(due),
                    Err(GiveUp(why)) => self.drop_stream(slot, why, now),
                }
            }
        }
        work
    }

    fn read_stream(&mut self, slot: Slot, now: Nanos) {
        let (Streams { links, open, heard, .. }, entropy) = (&mut self.streams, &mut self.doors.entropy);
        let (Some(link), Some(Some(stream))) = (links.get_mut(slot), open.get_mut(usize::from(slot.0)))
        else {
            return;
        };
        let got = link.recv();
        let received = self.clock.now();
        let Stream { card, socket, purpose, .. } = stream;
        let lane = lane_of(*purpose).unwrap_or_default();
        let scratch = &mut self.scratch;
        let outcome = socket.read(link, received, entropy, |sign| {
            if let Sign::Message(message) | Sign::Binary(message) = sign {
                heard.push((card.venue.user.decode)(scratch, &card.symbols, card.leg, message));
            }
            Ok(())
        });
        let mut end = got.err().map(|error| error.to_string()).or(outcome.err().map(|GiveUp(why)| why));
        // What was whole before the end counts.
        let mut heard = std::mem::take(heard);
        for event in heard.drain(..) {
            let over = match event {
                Ok(heard) => self.on_user(slot, lane, heard, received),
                Err(unreadable) => {
                    self.on_unreadable(lane, unreadable, now);
                    None
                }
            };
            end = end.or(over);
        }
        self.streams.heard = heard;
        if let Some(why) = end {
            self.drop_stream(slot, why, now);
        }
    }

    fn drop_stream(&mut self, slot: Slot, why: String, now: Nanos) {
        let stream = self.streams.open.get_mut(usize::from(slot.0)).and_then(Option::take);
        let link = self.streams.links.remove(slot);
        if let (Some(stream), Some(mut link)) = (stream, link) {
            link.close();
            if let Some(lane) = lane_of(stream.purpose) {
                self.stream_down(lane, now);
            }
            // The ring back holds all the links there can be.
            let _ = self.doors.dead.push(Dead { link, purpose: stream.purpose, why });
        }
    }

    fn stream_down(&mut self, lane: usize, now: Nanos) {
        if std::mem::take(&mut self.streams.lanes[lane]) == Flow::Flowing {
            self.streams.flowed[lane] = Some(Unix(self.clock.unix().0 - GAP_NS));
        }
        self.streams_changed();
        // The trader hears of it at once, not with the next renewal.
        self.permit_due = now;
        for at in 0..self.books.len() {
            self.publish_terms(at, now);
        }
    }

    /// The stream flows: what happened while it did not is asked for, order by order.
    fn stream_confirmed(&mut self, lane: usize) {
        if planted(Bug::StreamNeverBack) && self.streams.flowed[lane].is_some() {
            return;
        }
        let doubtful: BTreeSet<ClientId> = self.unended(lane, None).into_iter().collect();
        for client in &doubtful {
            self.ask(Action::Query, *client);
        }
        self.streams.lanes[lane] = Flow::Asking(doubtful);
        let since = self.streams.flowed[lane].or(self.recovered.earlier_runs.then_some(self.recovered.since));
        self.recon_market(lane, since, self.clock.now());
        self.tick_streams();
    }

    /// An order was asked about, and the venue answered the question.
    pub(super) fn asked_about(&mut self, client: ClientId) {
        for lane in &mut self.streams.lanes {
            if let Flow::Asking(doubtful) = lane {
                doubtful.remove(&client);
            }
        }
        self.tick_streams();
    }

    /// A stream whose orders are all known is up.
    pub(super) fn tick_streams(&mut self) {
        for at in 0..LANES {
            let Flow::Asking(doubtful) = &mut self.streams.lanes[at] else { continue };
            doubtful.retain(|client| self.orders.get(client).is_some_and(|it| !it.order.ended()));
            if doubtful.is_empty() && !self.recon.running(at) {
                self.streams.lanes[at] = Flow::Flowing;
                let text = format!("private stream {} is up", lane_name(at));
                self.write(Record::Note { at: self.clock.unix(), text });
                self.streams_changed();
            }
        }
    }

    fn streams_changed(&mut self) {
        let mut down = Vec::new();
        for row in &self.instruments.instruments {
            let lane = lane(row.venue, row.leg);
            if !self.streams.is_up(lane) && !down.contains(&lane) {
                down.push(lane);
            }
        }
        let names: Vec<String> = down.into_iter().map(lane_name).collect();
        let wanted = self.settings.live && self.key.is_some() && !names.is_empty();
        self.streams.missing =
            wanted.then(|| format!("no entries: the private stream of {} is not up", names.join(" and ")));
    }

    fn unended(&self, of_lane: usize, instrument: Option<InstrumentId>) -> Vec<ClientId> {
        let mine = self.orders.values().filter(|tracked| {
            let row = self.instruments.get(tracked.order.leg.instrument);
            !tracked.order.ended()
                && lane(row.venue, row.leg) == of_lane
                && instrument.is_none_or(|instrument| instrument == row.id)
        });
        mine.map(|tracked| tracked.order.client()).collect()
    }
}

// ───────────────────────────── events ─────────────────────────────

impl Shadow {
    /// Acts on one event; `Some` if its socket is of no use any more, and why.
    fn on_user(&mut self, slot: Slot, lane: usize, heard: UserHeard, now: Nanos) -> Option<String> {
        match heard {
            UserHeard::Order { client, instrument, .. } | UserHeard::Trade { client, instrument, .. } => {
                self.on_user_order(client, instrument, heard, now);
            }
            UserHeard::Foreign { instrument } => {
                self.bar(instrument, "an order that is not this engine's", now);
            }
            UserHeard::System { instrument, what, fill } => self.on_forced(instrument, what, fill, now),
            UserHeard::Confirmed => {
                let stream = self.streams.open.get_mut(usize::from(slot.0)).and_then(Option::as_mut)?;
                stream.unconfirmed = stream.unconfirmed.saturating_sub(1);
                if stream.unconfirmed == 0 {
                    // Hours may pass without an event.
                    stream.socket.brought();
                    if self.streams.lanes[lane] == Flow::Dry {
                        self.stream_confirmed(lane);
                    }
                }
            }
            UserHeard::Rejected { code, retry_after_s } => {
                let counted = Counted { retry_after_s, ..Counted::default() };
                self.hear_counted(&Headers { lane, counted, sent: now }, now);
                return Some(format!(
                    "the venue refused the private stream (code {code}); check the key's rights and this host's clock"
                ));
            }
            UserHeard::Ended => return Some("the venue ended this private stream".to_owned()),
            UserHeard::Paid => self.on_paid_event(now),
            UserHeard::Moved { asset } => self.on_moved(lane, asset, now),
            UserHeard::Account | UserHeard::Unknown => {}
        }
        None
    }

    /// Coins of a pair that came or went without a trade are looked for at once (F85): nobody else would tell of them.
    fn on_moved(&mut self, of_lane: usize, asset: Option<Asset>, now: Nanos) {
        if !self.needs_account() {
            return;
        }
        let mine = |row: &&Instrument| lane(row.venue, row.leg) == of_lane && Some(row.base) == asset;
        let instruments = Arc::clone(&self.instruments);
        for row in instruments.instruments.iter().filter(mine) {
            self.recon_instrument(row.id, Unix(self.clock.unix().0 - GAP_NS), now);
        }
    }

    /// An event of an order with an id of ours.
    pub(super) fn on_user_order(
        &mut self,
        client: ClientId,
        instrument: InstrumentId,
        heard: UserHeard,
        now: Nanos,
    ) {
        if !self.orders.contains_key(&client) && !self.past.contains_key(&client) {
            let Some(parts) = self.parts_of_ours(client, instrument, now) else { return };
            if parts.epoch < self.settings.identity.1 {
                self.on_earlier(instrument, heard, now);
                return;
            }
            // The venue was faster than our own report of what was sent.
            if self.streams.early.len() == EARLY_MAX {
                self.streams.early.pop_front();
            }
            self.streams.early.push_back((now, heard));
            return;
        }
        match heard {
            UserHeard::Order { order_id, verdict, fill, .. } => {
                if let Some(fill) = fill {
                    self.on_fill(&fill, now);
                }
                let counted = Counted::default();
                let source = Source::Stream;
                let answer = Answer { client, instrument, received: now, verdict, order_id, counted, source };
                self.on_answer(&answer, now);
            }
            UserHeard::Trade { order_id, trade_id, qty, .. } => {
                if self.ledger.has(instrument, trade_id) {
                    return;
                }
                self.revive(client, now);
                if let Some(tracked) = self.orders.get_mut(&client) {
                    tracked.order.order_id = order_id;
                    tracked.order.on_trade(qty);
                }
            }
            _ => {}
        }
    }

    /// An event of an order that an earlier run sent and whose end is booked: only a trade that is not is
    /// news, and then all of them are read.
    fn on_earlier(&mut self, instrument: InstrumentId, heard: UserHeard, now: Nanos) {
        let trade = match heard {
            UserHeard::Order { fill, .. } => fill.map(|fill| fill.trade_id),
            UserHeard::Trade { trade_id, .. } => Some(trade_id),
            _ => None,
        };
        if trade.is_some_and(|trade_id| !self.ledger.has(instrument, trade_id)) {
            self.recon_instrument(instrument, self.recovered.since, now);
        }
    }

    /// An order is known now: what the stream said of it before is heard again.
    pub(super) fn hear_early(&mut self, fired: &Fired, now: Nanos) {
        if self.streams.early.is_empty() {
            return;
        }
        let ids: Vec<ClientId> = fired.legs.iter().flatten().map(|leg| leg.client).collect();
        let of = |heard: &UserHeard| match heard {
            UserHeard::Order { client, instrument, .. } | UserHeard::Trade { client, instrument, .. } => {
                Some((*client, *instrument))
            }
            _ => None,
        };
        for (at, heard) in std::mem::take(&mut self.streams.early) {
            match of(&heard) {
                Some((client, instrument)) if ids.contains(&client) => {
                    self.on_user_order(client, instrument, heard, now);
                }
                _ => self.streams.early.push_back((at, heard)),
            }
        }
    }

    /// Events whose order never came: nobody in this run sent it.
    pub(super) fn tick_early(&mut self, now: Nanos) {
        while let Some((_, heard)) = self.streams.early.pop_front_if(|(at, _)| now.since(*at) > EARLY_NS) {
            if let UserHeard::Order { instrument, .. } | UserHeard::Trade { instrument, .. } = heard {
                self.bar(Some(instrument), "an order with an id of this run that it did not send", now);
            }
        }
    }

    /// What a message was about is not known: whatever it may have been about is asked (F43).
    fn on_unreadable(&mut self, lane: usize, unreadable: Unreadable, now: Nanos) {
        let name = lane_name(lane);
        self.note(format!("private stream {name}: {unreadable}; the orders it may be about are asked for"));
        let (venue, _) = market_of(lane);
        self.freeze(venue, now.plus(PAUSE_NS), "a private event could not be read");
        for client in self.unended(lane, unreadable.instrument) {
            self.ask(Action::Query, client);
        }
        if let Some(instrument) = unreadable.instrument {
            self.recheck_perp(instrument, now);
        }
    }

    /// Something on this account is not ours: its pairs take no entry, and nothing of it is touched
    /// (F82, F83).
    pub(super) fn bar(&mut self, instrument: Option<InstrumentId>, what: &str, now: Nanos) {
        let Some(instrument) = instrument else {
            if !std::mem::replace(&mut self.streams.stranger_told, true) {
                self.note(format!(
                    "private stream: {what}, of a market that this run does not trade; use an account of its own for the engine"
                ));
            }
            return;
        };
        for at in 0..self.books.len() {
            let row = self.instruments.pair(self.books[at].pair);
            if (row.spot != instrument && row.perp != instrument) || self.books[at].frozen.is_some() {
                continue;
            }
            let symbol = self.instruments.get(instrument).symbol;
            let why = format!(
                "pair {}: {what} on {symbol}; no new entries until a person has looked at the account",
                row.name
            );
            self.books[at].frozen = Some(why.clone());
            self.note(why);
            self.publish_terms(at, now);
        }
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
pub(super) mod tests;
