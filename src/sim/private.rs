//! Who hears the account: subscriptions, the listen key, and the way of an event to those who listen.
//!
//! Owns:  listeners of both markets, the listen key's life, order of events, faults of hearing (late, lost, twice,
//!        shuffled).
//! Never: formats an event: that is the dialect's.
//! Quirk: a socket with a dead or made-up key is open and hears nothing, for ever.

use super::chance::Chance;
use super::config::{ConnId, Market};
use super::dialect::binance;
use super::exchange::{Due, Exchange, Lag, SECOND};
use super::listing::SymbolId;
use tungstenite::Message;

/// Life of a listen key: 60 minutes from its last extension.
const KEY_LIFE_NS: u64 = 3_600 * SECOND;

/// What an order went through.
#[derive(Clone, Debug)]
pub(super) enum Change {
    New,
    /// A fill, by its place in the log.
    Trade(usize),
    /// What was left of it is over.
    Expired,
    /// Cancelled under this id.
    Canceled(String),
}

/// One event of the account.
#[derive(Clone, Debug)]
pub(super) struct UserEvent {
    /// Its type, as `e` has it.
    pub(super) kind: &'static str,
    /// Does it tell a fill?
    pub(super) trade: bool,
    pub(super) text: String,
}

/// A USD-M socket that asked for the events of a key.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) conn: ConnId,
    pub(super) key: String,
    /// Event types wanted; empty: all.
    pub(super) events: Vec<String>,
    /// Are events wrapped with their stream name?
    pub(super) combined: bool,
}

/// Everything between the account and its listeners.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// Spot subscriptions: connection, and the number it was given there.
    pub(super) spot: Vec<(ConnId, u64)>,
    pub(super) usdm: Vec<Listener>,
    key: Option<(String, u64)>,
    keys_made: u64,
    executions: u64,
    batch: Vec<UserEvent>,
    /// Host time until which events of a market are lost.
    pub(super) muted_until: [u64; 2],
    /// Delay of events, by market.
    pub(super) late: [Lag; 2],
}

impl Private {
    /// A new execution id.
    pub(super) fn next_execution(&mut self) -> u64 {
        self.executions += 1;
        4_644_480_000 + self.executions
    }

    /// The key that is alive.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|(key, _)| key.as_str())
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        self.spot.retain(|(other, _)| *other != conn);
        self.usdm.retain(|l| l.conn != conn);
    }

    /// Does anybody hear the events of a market?
    fn is_heard(&self, market: Market) -> bool {
        match market {
            Market::Spot => !self.spot.is_empty(),
            Market::Usdm => self.usdm.iter().any(|l| Some(l.key.as_str()) == self.key()),
        }
    }
}

impl Exchange {
    /// Notes a change of an order; it is told with [`Exchange::tell`].
    pub(super) fn note(&mut self, at: usize, change: &Change) {
        if self.private.is_heard(self.log.orders[at].market) {
            let events = binance::order_events(self, at, change);
            self.private.batch.extend(events);
        }
    }

    /// Tells what was noted, then what became of the account: nothing when `touched` is false.
    pub(super) fn tell(&mut self, market: Market, symbol: SymbolId, touched: bool) {
        let mut events = std::mem::take(&mut self.private.batch);
        if !self.private.is_heard(market) {
            return;
        }
        let terminal_last = events.len() > 1 && events.iter().any(|e| e.trade);
        if terminal_last && self.faults.for_batch(market) {
            events.reverse();
        }
        if touched {
            events.push(binance::account_event(self, market, symbol));
        }
        for event in events {
            self.hear(market, &event);
        }
    }

    /// Sends one event to all who listen to its market.
    pub(super) fn hear(&mut self, market: Market, event: &UserEvent) {
        if !self.private.is_heard(market) || self.now < self.private.muted_until[market.index()] {
            return;
        }
        let times = 1 + usize::from(self.faults.for_event(market));
        for _ in 0..times {
            match market {
                Market::Spot => {
                    for (conn, id) in self.private.spot.clone() {
                        self.send_private(market, conn, binance::wrap_spot(id, &event.text));
                    }
                }
                Market::Usdm => {
                    for listener in self.private.usdm.clone() {
                        let alive = Some(listener.key.as_str()) == self.private.key();
                        let wanted = listener.events.is_empty()
                            || event.kind == binance::KEY_EXPIRED
                            || listener.events.iter().any(|e| e == event.kind);
                        if alive && wanted {
                            let text = binance::wrap_usdm(&listener, &event.text);
                            self.send_private(market, listener.conn, text);
                        }
                    }
                }
            }
        }
    }

    /// Sends to one listener, late while that is ordered; what waits is never overtaken.
    pub(super) fn send_private(&mut self, market: Market, conn: ConnId, text: String) {
        let late = &mut self.private.late[market.index()];
        if self.now >= late.until && late.queue.is_empty() {
            self.conns.send_text(conn, text.into());
            return;
        }
        let by = if self.now < late.until { late.by } else { 0 };
        let last = late.queue.back().map_or(0, |(at, _, _)| *at);
        let at = self.now.saturating_add(by).max(last);
        late.queue.push_back((at, conn, Message::Text(text.into())));
        self.schedule(at, Due::Heard(market));
    }

    /// The listen key, extended; a new one where none is alive.
    pub(super) fn open_key(&mut self) -> String {
        if self.private.key.is_none() {
            self.private.keys_made += 1;
            let mut chance = Chance::new(self.config.seed ^ (self.private.keys_made << 40));
            let letters = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
            let letter = |_| char::from(letters[chance.range(0, letters.len() as i64 - 1) as usize]);
            self.private.key = Some(((0..64).map(letter).collect(), 0));
        }
        self.extend_key().unwrap_or_default()
    }

    /// Gives the living key another hour; `None` when there is none.
    pub(super) fn extend_key(&mut self) -> Option<String> {
        let until = self.now.saturating_add(KEY_LIFE_NS);
        let (key, end) = self.private.key.as_mut()?;
        *end = until;
        let key = key.clone();
        self.schedule(until, Due::ListenKey);
        Some(key)
    }

    /// Ends the living key without a word; `false` when there is none.
    pub(super) fn close_key(&mut self) -> bool {
        self.private.key.take().is_some()
    }

    /// The timer of the listen key: it expires unless it was extended.
    pub(super) fn on_listen_key(&mut self) {
        if self.private.key.as_ref().is_some_and(|(_, end)| self.now >= *end) {
            self.expire_key();
        }
    }

    /// Tells the end of the living key to its listeners; `false` when there is none.
    pub(super) fn expire_key(&mut self) -> bool {
        let Some(key) = self.private.key().map(str::to_owned) else { return false };
        let event = binance::key_expired(self, &key);
        self.hear(Market::Usdm, &event);
        self.close_key()
    }
}
