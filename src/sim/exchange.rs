//! The exchange itself: one object, one clock, one queue of what is due.
//!
//! Owns:  time, the queue of due things, connections, publishing to subscribers, and the state of every part.
//! Never: knows a path, a field name or an error code of a venue: that is the dialect's.
//! Order: things due at the same instant happen in the order in which they were scheduled.

use super::accounts::Accounts;
use super::config::{Config, ConfigError, ConnId, Door, Market, Source};
use super::conn::{Conns, Incoming};
use super::dialect::binance;
use super::faults::{Faults, Kind};
use super::http::{self, Parsed};
use super::hub::{Feed, Hub};
use super::limits::Limits;
use super::listing::{Contract, Listing, SymbolId};
use super::market::{Book, Level, Mark, Synthetic};
use super::naked::Naked;
use super::number::{E8, Money, parse_e8};
use super::orders::OrderLog;
use super::tape::Player;
use super::trading::Refused;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, Utf8Bytes};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Life of a WebSocket connection: 24 h.
const SOCKET_LIFE_NS: u64 = 86_400 * SECOND;

/// What happens at a due instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The spot side of a coin moves.
    Spot(usize),
    /// The perp side of a coin moves.
    Perp(usize),
    /// A whole second of the box's clock: mark prices.
    Clock,
    /// A perp settles its funding.
    Funding(SymbolId),
    /// A depth stream has an interval behind it.
    Depth(usize),
    /// A socket pings, or is judged for not answering.
    Socket(ConnId),
    /// The next frame of the tape.
    Tape,
    /// The oldest delayed event leaves.
    Lagged,
}

/// A settled funding rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) symbol: SymbolId,
    pub(super) time_ms: u64,
    pub(super) rate: E8,
    pub(super) mark: E8,
}

/// Delay of stream events while a `lag` fault lasts.
#[derive(Debug, Default)]
struct Lag {
    until: u64,
    by: u64,
    queue: VecDeque<(u64, ConnId, Utf8Bytes)>,
}

/// The exchange in a box. See `SIM_API` and the module's map.
pub struct Exchange {
    pub(super) config: Config,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    scheduled: u64,
    pub(super) listing: Listing,
    pub(super) books: Vec<Book>,
    pub(super) marks: Vec<Mark>,
    market: Synthetic,
    pub(super) tape: Option<Player>,
    pub(super) accounts: Accounts,
    pub(super) log: OrderLog,
    pub(super) limits: [Limits; 2],
    pub(super) faults: Faults,
    pub(super) naked: Naked,
    pub(super) settled: Vec<Settled>,
    pub(super) refused: Vec<Refused>,
    pub(super) requests: u64,
    pub(super) conns: Conns,
    pub(super) hub: Hub,
    pub(super) signer: ring::hmac::Key,
    lag: Lag,
    tick_ns: u64,
}

impl Exchange {
    /// Opens the exchange at host unix time `now`, in nanoseconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting to change.
    pub fn new(mut config: Config, now: u64) -> Result<Self, ConfigError> {
        if config.key.is_empty() || config.secret.is_empty() {
            return Err(ConfigError::Key);
        }
        if !(1..=1000).contains(&config.ticks_per_s) {
            return Err(ConfigError::Pace(config.ticks_per_s));
        }
        let money = |field, text: &String| {
            let bad = |_| ConfigError::Balance { field, text: text.clone() };
            parse_e8(text).map(Money::from_e8).map_err(bad)
        };
        let (spot, usdm) = (money("spot_usdt", &config.spot_usdt)?, money("usdm_usdt", &config.usdm_usdt)?);
        let clock = now.checked_add_signed(config.clock_offset_ns).ok_or(ConfigError::Clock)?;
        let tape = match std::mem::replace(&mut config.source, Source::Synthetic) {
            Source::Synthetic => None,
            Source::Tape(tape) => Some(Player::new(tape, clock)?),
        };
        let listing = if tape.is_some() { Listing::for_tape() } else { Listing::synthetic() };
        let symbols = listing.symbols.len();
        let mut hub = Hub::new(symbols);
        if let Some(tape) = &tape {
            for (market, name) in &tape.streams {
                hub.add(*market, name, Feed::Tape);
            }
        }
        let mut exchange = Self {
            now,
            queue: BinaryHeap::new(),
            scheduled: 0,
            books: vec![Book::default(); symbols],
            marks: vec![Mark::default(); symbols],
            market: Synthetic::new(&listing, config.seed, now),
            tape,
            accounts: Accounts::new(&listing, spot, usdm),
            log: OrderLog::new(symbols),
            limits: [Limits::spot(config.spot_orders_10s), Limits::usdm()],
            faults: Faults::default(),
            naked: Naked::default(),
            settled: Vec::new(),
            refused: Vec::new(),
            requests: 0,
            conns: Conns::default(),
            hub,
            signer: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, config.secret.as_bytes()),
            lag: Lag::default(),
            tick_ns: SECOND / u64::from(config.ticks_per_s),
            config,
            listing,
        };
        exchange.set_out();
        Ok(exchange)
    }

    /// First books, marks and everything that is due of itself.
    fn set_out(&mut self) {
        for (id, book) in self.books.iter_mut().enumerate() {
            // As large as the venue's own: update ids do not fit 32 bits.
            book.update_id = 50_093_239_000 + id as u64 * 100_000_000_000;
        }
        if let Some(tape) = &self.tape {
            let quotes = [Market::Spot, Market::Usdm].map(|m| (m, tape.first_quote(m)));
            for (market, quote) in quotes {
                let id = self.listing.of(market).map(|(id, _)| id).next();
                if let (Some(id), Some((update_id, bid, ask))) = (id, quote) {
                    self.set_top(id, update_id, bid, ask);
                }
            }
        } else {
            for coin in 0..self.market.coins.len() {
                let (spot, perp) = (self.market.coins[coin].spot, self.market.coins[coin].perp);
                for (id, due) in [(spot, Due::Spot(coin)), (perp, Due::Perp(coin))] {
                    let Some(id) = id else { continue };
                    self.move_book(coin, id);
                    if self.listing.symbols[id].trades() {
                        let pause = self.market.pause(self.tick_ns);
                        self.schedule(self.now + pause, due);
                    }
                }
            }
        }
        let settle_at = self.now + self.config.settle_in_ns;
        for (id, symbol) in self.listing.symbols.iter().enumerate() {
            self.marks[id].mark = self.books[id].mid();
            self.marks[id].rate = symbol.rate;
        }
        for id in 0..self.listing.symbols.len() {
            self.refresh_index(id);
            let perpetual =
                matches!(self.listing.symbols[id].contract, Contract::Perpetual | Contract::Tradfi);
            if perpetual && self.listing.symbols[id].trades() {
                self.marks[id].next_funding_ms = self.clock_at(settle_at) / MS;
                self.schedule(settle_at, Due::Funding(id));
            }
        }
        let to_second = SECOND - self.clock() % SECOND;
        self.schedule(self.now + to_second, Due::Clock);
    }

    fn schedule(&mut self, at: u64, due: Due) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled, due)));
    }

    fn clock_at(&self, host: u64) -> u64 {
        host.saturating_add_signed(self.config.clock_offset_ns)
    }

    /// The box's clock, ns since 1970.
    pub(super) fn clock(&self) -> u64 {
        self.clock_at(self.now)
    }

    /// The box's clock, ms.
    pub(super) fn clock_ms(&self) -> u64 {
        self.clock() / MS
    }

    /// A client connected, after TLS.
    pub fn open(&mut self, door: Door, now: u64) -> ConnId {
        self.advance(now);
        self.conns.open(door)
    }

    /// Plaintext from the client, split anywhere.
    pub fn receive(&mut self, conn: ConnId, bytes: &[u8], now: u64) {
        self.advance(now);
        let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
        it.inbox.extend_from_slice(bytes);
        if it.socket.is_some() {
            self.pump_socket(conn);
        } else {
            self.pump_http(conn);
        }
    }

    /// The client is gone.
    pub fn closed(&mut self, conn: ConnId, now: u64) {
        self.advance(now);
        self.leave_streams(conn);
        self.conns.forget(conn);
    }

    /// Everything due up to `now` happens.
    pub fn advance(&mut self, now: u64) {
        while let Some(Reverse((at, _, due))) = self.queue.peek().copied() {
            if at > now {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
    }

    /// Host time at which something happens next; `u64::MAX`: nothing is scheduled.
    #[must_use]
    pub fn next_due(&self) -> u64 {
        self.queue.peek().map_or(u64::MAX, |Reverse((at, _, _))| *at)
    }

    /// A connection with bytes to send, or to close.
    pub fn next_dirty(&mut self) -> Option<ConnId> {
        self.conns.next_dirty()
    }

    /// Appends what is to be sent; `true`: close the connection after it.
    pub fn take_output(&mut self, conn: ConnId, out: &mut Vec<u8>) -> bool {
        let Some(it) = self.conns.get(conn) else { return true };
        out.append(&mut it.out);
        let close = it.close;
        if close {
            self.leave_streams(conn);
        }
        close
    }

    /// Takes a fault order, the body of `POST /fault`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it and what is allowed.
    pub fn fault(&mut self, order: &serde_json::Value) -> Result<(), String> {
        let fault = Faults::read(order)?;
        match &fault.kind {
            Kind::CutStreams => {
                let market = fault.market;
                let cut = |door: Door| {
                    matches!(door, Door::SpotWs | Door::UsdmWs) && market.is_none_or(|m| m == door.market())
                };
                for conn in self.conns.sockets(cut) {
                    self.leave_streams(conn);
                    self.conns.close(conn, true);
                }
            }
            Kind::Mute { stream, ms } => {
                let until = self.now + ms * MS;
                let named = self.hub.streams.iter_mut().filter(|s| s.name == *stream);
                let mut found = false;
                for it in named.filter(|s| fault.market.is_none_or(|m| m == s.market)) {
                    it.muted_until = until;
                    found = true;
                }
                if !found {
                    return Err(format!(
                        "nobody has subscribed to stream {stream:?}; mute one that is in use"
                    ));
                }
            }
            Kind::Lag { ms, for_ms } => {
                self.lag.by = ms * MS;
                self.lag.until = self.now + for_ms * MS;
            }
            _ => {
                self.faults.wait(fault);
                return Ok(());
            }
        }
        self.faults.count(&fault.kind);
        Ok(())
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Spot(coin) | Due::Perp(coin) => {
                let it = &self.market.coins[coin];
                let Some(id) = (if matches!(due, Due::Spot(_)) { it.spot } else { it.perp }) else { return };
                self.move_book(coin, id);
                self.book_changed(id);
                let pause = self.market.pause(self.tick_ns);
                self.schedule(self.now + pause, due);
            }
            Due::Clock => self.on_second(),
            Due::Funding(id) => self.settle(id),
            Due::Depth(stream) => self.on_depth(stream),
            Due::Socket(conn) => self.on_socket_timer(conn),
            Due::Tape => self.on_tape(),
            Due::Lagged => {
                if let Some((_, conn, text)) = self.lag.queue.pop_front() {
                    self.conns.send_text(conn, text);
                }
            }
        }
    }

    // --- market ---------------------------------------------------------------------------------------------

    fn move_book(&mut self, coin: usize, id: SymbolId) {
        let (symbol, book) = (&self.listing.symbols[id], &mut self.books[id]);
        if symbol.market == Market::Spot {
            self.market.tick_spot(coin, symbol, book);
        } else {
            self.market.tick_perp(coin, symbol, book, self.now);
        }
        book.changed_ms = self.now.saturating_add_signed(self.config.clock_offset_ns) / MS;
    }

    fn set_top(&mut self, id: SymbolId, update_id: u64, bid: Level, ask: Level) {
        let mut book = Book { update_id, changed_ms: self.clock_ms(), ..Book::default() };
        book.bids[0] = bid;
        book.asks[0] = ask;
        self.books[id] = book;
    }

    /// After a book has changed: marks follow, resting orders may fill, subscribers hear.
    pub(super) fn book_changed(&mut self, id: SymbolId) {
        if self.listing.symbols[id].market == Market::Usdm {
            let mid = self.books[id].mid();
            if mid != 0 {
                self.marks[id].mark += (mid - self.marks[id].mark) / 8;
            }
        }
        if !self.log.open.is_empty() {
            self.match_resting(id);
        }
        self.publish_book(id);
    }

    /// Tells the best quote to those who listen, and lets depth streams take note.
    pub(super) fn publish_book(&mut self, id: SymbolId) {
        self.hub.book_changed(id, &self.books[id]);
        if let Some(stream) = self.hub.ticker(id) {
            let spoil = self.faults.for_quote(self.listing.symbols[id].market);
            let text = binance::book_ticker(self, id, spoil);
            self.publish(stream, text);
        }
    }

    /// The index of a perp: the mid of its spot, where there is one.
    fn refresh_index(&mut self, id: SymbolId) {
        let symbol = &self.listing.symbols[id];
        let spot = symbol.twin.map_or(0, |twin| self.books[twin].mid() * symbol.multiplier);
        self.marks[id].index = if spot == 0 { self.marks[id].mark } else { spot };
    }

    fn on_second(&mut self) {
        for id in 0..self.listing.symbols.len() {
            if self.listing.symbols[id].market == Market::Usdm {
                self.refresh_index(id);
                if self.tape.is_none() && self.marks[id].next_funding_ms != 0 {
                    let mean = self.listing.symbols[id].rate;
                    self.marks[id].rate = self.market.drift_rate(mean, self.marks[id].rate);
                }
            }
        }
        let second = self.clock() / SECOND;
        for at in 0..self.hub.streams.len() {
            let stream = &self.hub.streams[at];
            let every = match stream.feed {
                Feed::Mark(_, every) | Feed::MarkAll(every) => every,
                _ => continue,
            };
            if stream.subscribers.is_empty() || !second.is_multiple_of(every) {
                continue;
            }
            for text in binance::mark_events(self, stream.feed) {
                self.publish(at, text);
            }
        }
        self.schedule(self.now + SECOND, Due::Clock);
    }

    fn settle(&mut self, id: SymbolId) {
        let (mark, rate) = (self.marks[id].mark, self.marks[id].rate);
        self.accounts.settle_funding(id, mark, rate);
        self.settled.push(Settled { symbol: id, time_ms: self.marks[id].next_funding_ms, rate, mark });
        let interval = self.listing.symbols[id].interval_h * 3_600 * SECOND;
        self.marks[id].next_funding_ms += interval / MS;
        self.schedule(self.now + interval, Due::Funding(id));
    }

    // --- tape -----------------------------------------------------------------------------------------------

    /// Starts the tape once every bookTicker stream in it has a listener.
    pub(super) fn maybe_start_tape(&mut self) {
        let clock = self.clock();
        let Some(tape) = self.tape.as_mut().filter(|t| !t.started()) else { return };
        let heard = |at: usize| {
            let (market, name) = &tape.streams[at];
            self.hub.find(*market, name).is_some_and(|s| !self.hub.streams[s].subscribers.is_empty())
        };
        if tape.quote_streams().all(heard) {
            tape.start(self.now, clock);
            self.schedule_tape();
        }
    }

    fn schedule_tape(&mut self) {
        if let Some(at) = self.tape.as_ref().and_then(Player::next_due) {
            self.schedule(at, Due::Tape);
        }
    }

    fn on_tape(&mut self) {
        let Some((frame, mut text, data)) = self.tape.as_mut().and_then(Player::take) else { return };
        if let Some((update_id, bid, ask)) = frame.quote {
            let id = self.listing.of(frame.market).map(|(id, _)| id).next();
            if let Some(id) = id {
                self.set_top(id, update_id, bid, ask);
                self.book_changed(id);
            }
            if self.faults.for_quote(frame.market) {
                text = binance::spoil_quote(&text);
            }
        }
        let stream = self.tape.as_ref().map(|t| &t.streams[frame.stream]);
        if let Some(at) = stream.and_then(|(market, name)| self.hub.find(*market, name)) {
            let end = text.len() - 1;
            let inner = text.get(data.start..end).unwrap_or("").to_owned();
            self.publish_both(at, || inner.clone(), || text.clone());
        }
        self.schedule_tape();
    }

    // --- streams --------------------------------------------------------------------------------------------

    /// Sends an event to the subscribers of a stream, wrapped for those who want it so.
    pub(super) fn publish(&mut self, stream: usize, data: String) {
        let name = self.hub.streams[stream].name.clone();
        let wrapped = || format!(r#"{{"stream":"{name}","data":{data}}}"#);
        self.publish_both(stream, || data.clone(), wrapped);
    }

    fn publish_both(&mut self, stream: usize, raw: impl Fn() -> String, combined: impl Fn() -> String) {
        let it = &mut self.hub.streams[stream];
        if self.now < it.muted_until || it.subscribers.is_empty() {
            return;
        }
        let subscribers = std::mem::take(&mut it.subscribers);
        let mut texts: [Option<Utf8Bytes>; 2] = [None, None];
        for conn in &subscribers {
            let Some(socket) = self.conns.get(*conn).and_then(|c| c.socket.as_ref()) else { continue };
            let wraps = socket.combined;
            let text = texts[usize::from(wraps)]
                .get_or_insert_with(|| if wraps { combined() } else { raw() }.into())
                .clone();
            if self.now < self.lag.until || !self.lag.queue.is_empty() {
                let last = self.lag.queue.back().map_or(0, |(at, _, _)| *at);
                let by = if self.now < self.lag.until { self.lag.by } else { 0 };
                let at = (self.now + by).max(last);
                self.lag.queue.push_back((at, *conn, text));
                self.schedule(at, Due::Lagged);
            } else {
                self.conns.send_text(*conn, text);
            }
        }
        self.hub.streams[stream].subscribers = subscribers;
    }

    fn on_depth(&mut self, at: usize) {
        if self.hub.streams[at].subscribers.is_empty() {
            self.hub.streams[at].timed = false;
            return;
        }
        let (text, every_ms) = binance::depth_event(self, at);
        if let Some(text) = text {
            self.publish(at, text);
        }
        self.schedule(self.now + every_ms * MS, Due::Depth(at));
    }

    /// Adds a subscriber to a stream and starts its timer where it has one.
    pub(super) fn subscribe(&mut self, at: usize, conn: ConnId) {
        let stream = &mut self.hub.streams[at];
        if stream.subscribers.contains(&conn) {
            return;
        }
        stream.subscribers.push(conn);
        if let Feed::Diff(symbol, every) | Feed::Partial(symbol, _, every) = stream.feed
            && !stream.timed
        {
            stream.timed = true;
            stream.diff.reset(&self.books[symbol]);
            self.schedule(self.now + every * MS, Due::Depth(at));
        }
        self.maybe_start_tape();
    }

    fn leave_streams(&mut self, conn: ConnId) {
        let socket = self.conns.get(conn).and_then(|c| c.socket.as_mut());
        let subscriptions = socket.map(|s| std::mem::take(&mut s.subscriptions)).unwrap_or_default();
        for stream in subscriptions.iter().filter_map(|s| s.stream) {
            self.hub.unsubscribe(stream, conn);
        }
    }

    // --- connections ----------------------------------------------------------------------------------------

    fn pump_http(&mut self, conn: ConnId) {
        while let Some(it) = self.conns.get(conn).filter(|c| !c.close && c.socket.is_none()) {
            let door = it.door;
            let mut inbox = std::mem::take(&mut it.inbox);
            let used = match http::parse(&inbox) {
                Parsed::Partial => None,
                Parsed::Bad(status) => {
                    if let Some(it) = self.conns.get(conn) {
                        http::answer(&mut it.out, status, "", "", "text/plain", false);
                    }
                    self.conns.close(conn, false);
                    None
                }
                Parsed::Whole(request, used) => {
                    binance::on_request(self, conn, door, &request);
                    Some(used)
                }
            };
            if let Some(used) = used {
                inbox.drain(..used);
            }
            self.conns.touch(conn);
            let Some(it) = self.conns.get(conn) else { return };
            it.inbox = inbox;
            if used.is_none() || it.inbox.is_empty() {
                return;
            }
        }
        self.pump_socket(conn);
    }

    /// Turns a connection into a socket whose upgrade was answered, and starts its pings.
    pub(super) fn start_socket(&mut self, conn: ConnId, route: super::conn::Route, combined: bool) {
        let now = self.now;
        if let Some(it) = self.conns.get(conn) {
            let (every, _) = ping_pace(it.door);
            it.upgrade(route, combined, now, now + every);
            self.schedule(now + every, Due::Socket(conn));
        }
    }

    fn pump_socket(&mut self, conn: ConnId) {
        let now = self.now;
        loop {
            let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
            let incoming = it.next_message();
            let door = it.door;
            let Some(socket) = it.socket.as_mut() else { return };
            let message = match incoming {
                Incoming::Blocked => break,
                Incoming::Over => {
                    self.leave_streams(conn);
                    self.conns.close(conn, false);
                    return;
                }
                Incoming::Message(message) => message,
            };
            if !socket.count_message(now, binance::messages_per_second(door)) {
                self.leave_streams(conn);
                self.conns.close_socket(conn, CloseCode::Policy, "Too many requests");
                return;
            }
            match message {
                Message::Pong(payload) => socket.pong(&payload),
                Message::Text(text) => binance::on_text(self, conn, &text),
                _ => {}
            }
        }
        self.conns.touch(conn);
    }

    /// Sends the ping that is due, closes a socket that owes a pong or has lived its day.
    fn on_socket_timer(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
        let (every, deadline) = ping_pace(it.door);
        let Some(socket) = it.socket.as_mut() else { return };
        let silent = socket.pings.front().is_some_and(|(sent, _)| now >= sent + deadline);
        if silent || now >= socket.opened + SOCKET_LIFE_NS {
            self.leave_streams(conn);
            let reason = if silent { "Pong timeout" } else { "24 hours are over" };
            self.conns.close_socket(conn, CloseCode::Policy, reason);
            return;
        }
        let mut ping = None;
        if now >= socket.next_ping {
            socket.next_ping = now + every;
            let payload = Bytes::from((now / MS).to_string());
            socket.pings.push_back((now, payload.clone()));
            ping = Some(payload);
        }
        let judged = socket.pings.front().map_or(u64::MAX, |(sent, _)| sent + deadline);
        let next = socket.next_ping.min(judged).min(socket.opened + SOCKET_LIFE_NS);
        if let Some(payload) = ping {
            self.conns.send(conn, Message::Ping(payload));
        }
        self.schedule(next, Due::Socket(conn));
    }
}

/// How often a door's sockets are pinged and how long a pong may take, ns.
fn ping_pace(door: Door) -> (u64, u64) {
    match door.market() {
        Market::Spot => (20 * SECOND, 60 * SECOND),
        Market::Usdm => (180 * SECOND, 600 * SECOND),
    }
}
