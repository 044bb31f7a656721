//! The exchange itself: one object, one clock, one queue of what is due.
//!
//! Owns:  time, the queue of due things, connections, publishing to subscribers, and the state of every part.
//! Never: knows a path, a field name or an error code of a venue: that is the dialect's.
//! Order: things due at the same instant happen in the order in which they were scheduled.

use super::account_key::AccountKey;
use super::accounts::Accounts;
use super::config::{Config, ConfigError, ConnId, Door, Market, Source};
use super::conn::Conns;
use super::faults::Faults;
use super::fed::FedSymbol;
use super::horizon::Horizon;
use super::hub::{Event, Feed, Hub};
use super::kinds::Deaf;
use super::limits::Limits;
use super::listing::{Contract, Listing, SymbolId};
use super::market::{Book, Day, Mark, Synthetic};
use super::naked::Naked;
use super::number::{E8, Money, parse_e8};
use super::orders::OrderLog;
use super::private::Private;
use super::rates::Rates;
use super::replica::Behind;
use super::standing::Standing;
use super::tape::Player;
use super::trading::Refused;
use super::watch::Watch;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use tungstenite::Message;

/// A microsecond, ns.
pub(super) const US: u64 = 1_000;
pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// What happens at a due instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
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
    /// The oldest delayed private event of a market leaves.
    Heard(Market),
    /// The listen key may have run out.
    ListenKey,
    /// An answer that was held back leaves.
    Answer(ConnId),
    /// The oldest bytes under way on a connection are there.
    Arrived(ConnId),
    /// A line of the script strikes.
    Script(usize),
    /// An order that was left standing, by its place in the log, is gone on with.
    Thaw(usize),
}

/// A settled funding rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) symbol: SymbolId,
    pub(super) time_ms: u64,
    pub(super) rate: E8,
    pub(super) mark: E8,
    /// What the account received; negative when it paid, nothing when it was flat.
    pub(super) received: Money,
    /// Is it kept from the history?
    pub(super) untold: bool,
    /// When it was paid, box clock, µs, and how many fills the log held then.
    pub(super) at_us: u64,
    pub(super) fills_before: usize,
}

/// Delay of events while a fault lasts.
#[derive(Debug, Default)]
pub(super) struct Lag {
    pub(super) until: u64,
    pub(super) by: u64,
    pub(super) queue: VecDeque<(u64, ConnId, Message)>,
}

/// The exchange in a box. See `SIM_API` and the module's map.
pub struct Exchange {
    pub(super) config: Config,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    scheduled: u64,
    pub(super) listing: Listing,
    pub(super) books: Vec<Book>,
    pub(super) days: Vec<Day>,
    /// Best quotes that are overtaken by the next one of their stream.
    pub(super) late_quotes: Vec<(usize, Event)>,
    pub(super) marks: Vec<Mark>,
    pub(super) market: Synthetic,
    /// Do quotes and marks come from outside?
    pub(super) fed: bool,
    pub(super) tape: Option<Player>,
    pub(super) accounts: Accounts,
    pub(super) standing: Standing,
    pub(super) log: OrderLog,
    pub(super) limits: [Limits; 2],
    /// Budgets of a venue that is asked without a key.
    pub(super) rates: Rates,
    pub(super) faults: Faults,
    pub(super) naked: Naked,
    pub(super) settled: Vec<Settled>,
    /// What settled at the market that is fed from: rate by symbol and stamp there, ms.
    pub(super) told_past: BTreeMap<(SymbolId, u64), E8>,
    /// The first hour of all perps, box clock, ms.
    pub(super) first_funding_ms: u64,
    pub(super) refused: Vec<Refused>,
    pub(super) requests: u64,
    /// Requests that came with a key or a signature, good or bad.
    pub(super) signed: u64,
    pub(super) conns: Conns,
    pub(super) hub: Hub,
    pub(super) account_key: AccountKey,
    pub(super) lag: Lag,
    pub(super) private: Private,
    pub(super) replica: [Behind; 2],
    /// Until when answers of a market tell no counters, host time.
    pub(super) uncounted: [u64; 2],
    /// Symbols whose books are thin: the share they show, in millionths, and until when, host time.
    pub(super) thin: BTreeMap<SymbolId, (u64, u64)>,
    /// Perps whose marks are off their market: by how much, in millionths, and until when, host time.
    pub(super) marks_off: BTreeMap<SymbolId, (i64, u64)>,
    /// What becomes of subscriptions, by market, and until when, host time.
    pub(super) deaf: [Option<(Deaf, u64)>; 2],
    /// By market: until when the account may place no orders, and whether those that reduce a position still pass.
    pub(super) restricted: [(bool, u64); 2],
    pub(super) tick_ns: u64,
    /// Ends of the markets' maintenances, host time, ns.
    pub(super) maintenance: [u64; 2],
    pub(super) horizon: [Horizon; 2],
    pub(super) script_started: bool,
    pub(super) script_refused: Vec<serde_json::Value>,
    pub(super) watch: Watch,
}

impl Exchange {
    /// Opens the exchange at host unix time `now`, in nanoseconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting to change.
    pub fn new(mut config: Config, now: u64) -> Result<Self, ConfigError> {
        let account_key = AccountKey::of(&config.secret).filter(|_| !config.key.is_empty());
        let account_key = account_key.ok_or(ConfigError::Key)?;
        if !(1..=125).contains(&config.leverage) {
            return Err(ConfigError::Leverage(config.leverage));
        }
        if !(1..=1000).contains(&config.ticks_per_s) {
            return Err(ConfigError::Pace(config.ticks_per_s));
        }
        let money = |field, text: &String| {
            let bad = |_| ConfigError::Balance { field, text: text.clone() };
            parse_e8(text).map(Money::from_e8).map_err(bad)
        };
        let (spot, usdm) = (money("spot_usdt", &config.spot_usdt)?, money("usdm_usdt", &config.usdm_usdt)?);
        let bnb = money("spot_bnb", &config.spot_bnb)?;
        let clock = now.checked_add_signed(config.clock_offset_ns).ok_or(ConfigError::Clock)?;
        let source = std::mem::replace(&mut config.source, Source::Synthetic);
        let listing = match &source {
            Source::Synthetic => Listing::wider(config.venue, config.more_coins),
            Source::Tape(_) => Listing::for_tape(),
            Source::Fed(symbols) => {
                let wrong = |it: &FedSymbol| {
                    it.tick.min(it.step).min(it.multiplier).min(it.max_qty) <= 0
                        || (it.market == Market::Usdm && it.interval_h == 0)
                        || it.twin.is_some_and(|twin| twin >= symbols.len())
                };
                if let Some(at) = symbols.iter().position(wrong) {
                    return Err(ConfigError::Fed(at));
                }
                Listing::fed(symbols)
            }
        };
        let fed = matches!(source, Source::Fed(_));
        let tape = match source {
            Source::Synthetic | Source::Fed(_) => None,
            Source::Tape(tape) => Some(Player::new(tape, clock)?),
        };
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
            days: vec![Day::default(); symbols],
            late_quotes: Vec::new(),
            marks: vec![Mark::default(); symbols],
            market: Synthetic::new(&listing, config.seed, now),
            fed,
            tape,
            accounts: Accounts::new(&listing, spot, usdm, clock / MS).leveraged(config.leverage),
            standing: Standing::default(),
            log: OrderLog::new(symbols),
            limits: [Limits::spot(config.spot_orders_10s, config.spot_raw_5m), Limits::usdm()],
            rates: Rates::default(),
            faults: Faults::default(),
            naked: Naked::default(),
            settled: Vec::new(),
            told_past: BTreeMap::new(),
            first_funding_ms: 0,
            refused: Vec::new(),
            requests: 0,
            signed: 0,
            conns: Conns::default(),
            hub,
            account_key,
            lag: Lag::default(),
            private: Private::default(),
            replica: [Behind::default(); 2],
            uncounted: [0; 2],
            thin: BTreeMap::new(),
            marks_off: BTreeMap::new(),
            deaf: [None; 2],
            restricted: [(false, 0); 2],
            tick_ns: SECOND / u64::from(config.ticks_per_s),
            maintenance: [0; 2],
            horizon: [Market::Spot, Market::Usdm].map(Horizon::of),
            script_started: false,
            script_refused: Vec::new(),
            watch: Watch::default(),
            config,
            listing,
        };
        let coin = exchange.listing.assets.iter().position(|name| name == "BNB");
        if let Some(coin) = coin.filter(|_| bnb != Money::ZERO) {
            exchange.accounts.grant(&[(coin, bnb)]);
        }
        exchange.set_out();
        exchange.accounts.opening_worth = exchange.coins_worth();
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
        } else if !self.fed {
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
        let settle_at = self.now.saturating_add(self.config.settle_in_ns);
        self.first_funding_ms = self.clock_at(settle_at) / MS;
        for (id, symbol) in self.listing.symbols.iter().enumerate() {
            self.marks[id].mark = self.books[id].mid();
            let mark = &mut self.marks[id];
            (mark.rate, mark.mean_rate, mark.interval_h) = (symbol.rate, symbol.rate, symbol.interval_h);
            self.days[id].see(self.books[id].bid().price);
        }
        for id in 0..self.listing.symbols.len() {
            self.refresh_index(id);
            let perpetual =
                matches!(self.listing.symbols[id].contract, Contract::Perpetual | Contract::Tradfi);
            if perpetual && self.listing.symbols[id].trades() && !self.fed {
                self.marks[id].next_funding_ms = self.first_funding_ms;
                self.schedule(settle_at, Due::Funding(id));
            }
        }
        let to_second = SECOND - self.clock() % SECOND;
        self.schedule(self.now + to_second, Due::Clock);
    }

    pub(super) fn schedule(&mut self, at: u64, due: Due) {
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
        self.start_script();
        self.conns.open(door)
    }

    /// Plaintext from the client, split anywhere.
    pub fn receive(&mut self, conn: ConnId, bytes: &[u8], now: u64) {
        self.advance(now);
        let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
        let far = matches!(
            it.door,
            Door::SpotRest | Door::UsdmRest | Door::Rest | Door::SpotWsApi | Door::UsdmWsApi
        );
        if self.config.wire_ns > 0 && far {
            it.under_way.push_back(bytes.to_vec());
            self.schedule(self.now + self.config.wire_ns, Due::Arrived(conn));
            return;
        }
        it.inbox.extend_from_slice(bytes);
        self.pump(conn);
    }

    fn pump(&mut self, conn: ConnId) {
        if self.conns.get(conn).is_some_and(|it| it.socket.is_some()) {
            self.pump_socket(conn);
        } else {
            self.pump_http(conn);
        }
    }

    fn arrive(&mut self, conn: ConnId) {
        let Some(it) = self.conns.get(conn) else { return };
        let Some(bytes) = it.under_way.pop_front().filter(|_| !it.close) else { return };
        it.inbox.extend_from_slice(&bytes);
        self.pump(conn);
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

    fn happen(&mut self, due: Due) {
        if let Some(later) = self.put_off(due) {
            self.schedule(later, due);
            return;
        }
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
                if let Some((_, conn, message)) = self.lag.queue.pop_front() {
                    self.conns.send(conn, message);
                }
            }
            Due::Heard(market) => {
                if let Some((_, conn, message)) = self.private.late[market.index()].queue.pop_front() {
                    self.conns.send(conn, message);
                }
            }
            Due::ListenKey => self.on_listen_key(),
            Due::Arrived(conn) => self.arrive(conn),
            Due::Answer(conn) => self.conns.release(conn, self.now),
            Due::Script(line) => self.on_script(line),
            Due::Thaw(order) => self.thaw(order),
        }
    }
}
