//! The market on its way out: books move, marks follow, tapes play, subscribers hear.
//!
//! Owns:  moving and publishing books, marks, estimates and tape frames; delay and silence of streams on order.
//! Never: formats an event, which is the dialect's, or keeps a connection.

use super::config::{ConnId, Market};
use super::dialect::{self, binance};
use super::exchange::{Due, Exchange, MS, SECOND};
use super::hub::{Event, Feed};
use super::listing::SymbolId;
use super::market::{Book, Level};
use super::odd::Odd;
use super::tape::Player;
use tungstenite::Message;

impl Exchange {
    pub(super) fn move_book(&mut self, coin: usize, id: SymbolId) {
        let (symbol, book) = (&self.listing.symbols[id], &mut self.books[id]);
        if symbol.market == Market::Spot {
            self.market.tick_spot(coin, symbol, book);
        } else {
            self.market.tick_perp(coin, symbol, book, self.now);
        }
        if let Some((ppm, _)) = self.thin.get(&id).filter(|(_, until)| self.now < *until) {
            for level in book.bids.iter_mut().chain(&mut book.asks).filter(|level| level.qty > 0) {
                let share = i128::from(level.qty) * i128::from(*ppm) / 1_000_000;
                let share = i64::try_from(share).unwrap_or(level.qty);
                level.qty = (share / symbol.step * symbol.step).max(symbol.step);
            }
        }
        book.changed_ms = self.now.saturating_add_signed(self.config.clock_offset_ns) / MS;
    }

    pub(super) fn set_top(&mut self, id: SymbolId, update_id: u64, bid: Level, ask: Level) {
        let mut book = Book { update_id, changed_ms: self.clock_ms(), ..Book::default() };
        book.bids[0] = bid;
        book.asks[0] = ask;
        self.books[id] = book;
    }

    /// After a book has changed: marks follow, resting orders may fill, subscribers hear.
    pub(super) fn book_changed(&mut self, id: SymbolId) {
        if self.listing.symbols[id].market == Market::Usdm && !self.fed {
            let mid = self.books[id].mid();
            if mid != 0 {
                let off = self.marks_off.get(&id).filter(|(_, until)| self.now < *until);
                let wanted = off.map_or(mid, |(ppm, _)| super::odd::moved(mid, *ppm, 1));
                let mark = &mut self.marks[id].mark;
                *mark = if off.is_some() { wanted } else { *mark + (wanted - *mark) / 8 };
            }
        }
        if !self.log.open.is_empty() {
            self.match_resting(id);
        }
        self.publish_book(id);
    }

    /// Tells the best quote to those who listen, and lets depth streams take note.
    pub(super) fn publish_book(&mut self, id: SymbolId) {
        self.days[id].see(self.books[id].bid().price);
        self.hub.book_changed(id, &self.books[id]);
        let streams = self.hub.tickers(id);
        if streams == [None; 2] {
            return;
        }
        let symbol = &self.listing.symbols[id];
        let odd = self.faults.for_quote(symbol.market);
        let told = odd.and_then(|odd| odd.told(&self.books[id], symbol.tick));
        let truth = told.map(|told| std::mem::replace(&mut self.books[id], told));
        let spoil = odd == Some(Odd::Digits);
        let [text, binary] = streams;
        let mut text = text.map(|at| (at, Event::Text(dialect::book_ticker(self, id, spoil))));
        if let (Some(Odd::Stamp { ms }), Some((_, Event::Text(text)))) = (odd, &mut text) {
            *text = binance::stamp_quote(text, ms);
        }
        let binary = binary.map(|at| (at, Event::Binary(binance::best_bid_ask(self, id, spoil).into())));
        if let Some(truth) = truth {
            self.books[id] = truth;
        }
        let events = text.into_iter().chain(binary);
        if odd == Some(Odd::Late) {
            self.late_quotes = events.collect();
            return;
        }
        for (stream, event) in events {
            self.say(stream, event);
            if let Some(at) = self.late_quotes.iter().position(|(of, _)| *of == stream) {
                let (_, late) = self.late_quotes.remove(at);
                self.say(stream, late);
            }
        }
    }

    /// Sends an event in the form it has.
    pub(super) fn say(&mut self, stream: usize, event: Event) {
        match event {
            Event::Text(data) => self.publish(stream, data),
            Event::Binary(bytes) => {
                self.publish_both(
                    stream,
                    || Message::Binary(bytes.clone()),
                    || Message::Binary(bytes.clone()),
                );
            }
        }
    }

    /// So many best quotes of a symbol at once: its prices stay, since a market that runs away meets its own price band.
    pub(super) fn burst(&mut self, id: SymbolId, times: u64) {
        let step = self.listing.symbols[id].step;
        for n in 0..times {
            let book = &mut self.books[id];
            book.update_id += 1;
            book.bids[0].qty += if n % 2 == 0 { step } else { -step };
            self.book_changed(id);
        }
    }

    /// The index of a perp: the mid of its spot, where there is one.
    pub(super) fn refresh_index(&mut self, id: SymbolId) {
        let symbol = &self.listing.symbols[id];
        let spot = symbol.twin.map_or(0, |twin| self.books[twin].mid() * symbol.multiplier);
        self.marks[id].index = if spot == 0 { self.marks[id].mark } else { spot };
    }

    pub(super) fn on_second(&mut self) {
        for id in 0..self.listing.symbols.len() {
            if self.listing.symbols[id].market == Market::Usdm {
                self.refresh_index(id);
                if self.tape.is_none()
                    && !self.fed
                    && self.marks[id].next_funding_ms != 0
                    && !self.marks[id].steady
                {
                    let mark = &mut self.marks[id];
                    mark.rate = self.market.drift_rate(mark.mean_rate, mark.rate);
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
            let fresh = match stream.feed {
                Feed::Mark(id, _) => self.mark_is_fresh(id),
                _ => self.listing.of(Market::Usdm).any(|(id, _)| self.mark_is_fresh(id)),
            };
            if !fresh || stream.subscribers.is_empty() || !second.is_multiple_of(every) {
                continue;
            }
            for text in dialect::mark_events(self, at) {
                self.publish(at, text);
            }
        }
        self.schedule(self.now + SECOND, Due::Clock);
    }

    /// Starts the tape once every bookTicker stream in it has a listener.
    pub(super) fn maybe_start_tape(&mut self) {
        let clock = self.clock();
        let Some(tape) = self.tape.as_mut().filter(|t| !t.started()) else { return };
        let heard = |at: usize| {
            let (market, name) = &tape.streams[at];
            // The same quotes, if not the same bytes, are told in binary.
            let binary = name.strip_suffix("bookTicker").filter(|_| *market == Market::Spot);
            let binary = binary.and_then(|symbol| self.hub.find_binary(&format!("{symbol}bestBidAsk")));
            let streams = [self.hub.find(*market, name), binary];
            streams.into_iter().flatten().any(|s| !self.hub.streams[s].subscribers.is_empty())
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

    pub(super) fn on_tape(&mut self) {
        let Some((frame, mut text, data)) = self.tape.as_mut().and_then(Player::take) else { return };
        if self.maintained_until(frame.market).is_some() {
            self.schedule_tape();
            return;
        }
        if let Some((update_id, bid, ask)) = frame.quote {
            let id = self.listing.of(frame.market).map(|(id, _)| id).next();
            if let Some(id) = id {
                self.set_top(id, update_id, bid, ask);
                self.book_changed(id);
            }
            if self.faults.for_quote(frame.market).is_some() {
                text = binance::spoil_quote(&text);
            }
        }
        let stream = self.tape.as_ref().map(|t| &t.streams[frame.stream]);
        if let Some(at) = stream.and_then(|(market, name)| self.hub.find(*market, name)) {
            let end = text.len() - 1;
            let inner = text.get(data.start..end).unwrap_or("").to_owned();
            let message = |text: &String| Message::Text(text.into());
            self.publish_both(at, || message(&inner), || message(&text));
        }
        self.schedule_tape();
    }

    /// Sends an event to the subscribers of a stream, wrapped for those who want it so.
    pub(super) fn publish(&mut self, stream: usize, data: String) {
        let name = self.hub.streams[stream].name.clone();
        let wrapped = || Message::Text(format!(r#"{{"stream":"{name}","data":{data}}}"#).into());
        self.publish_both(stream, || Message::Text((&data).into()), wrapped);
    }

    fn publish_both(&mut self, stream: usize, raw: impl Fn() -> Message, combined: impl Fn() -> Message) {
        let it = &mut self.hub.streams[stream];
        if self.now < it.muted_until || it.subscribers.is_empty() {
            return;
        }
        let subscribers = std::mem::take(&mut it.subscribers);
        let mut messages: [Option<Message>; 2] = [None, None];
        for conn in &subscribers {
            let Some(socket) = self.conns.get(*conn).and_then(|c| c.socket.as_ref()) else { continue };
            let wraps = socket.combined;
            let message = messages[usize::from(wraps)]
                .get_or_insert_with(|| if wraps { combined() } else { raw() })
                .clone();
            if self.now < self.lag.until || !self.lag.queue.is_empty() {
                let last = self.lag.queue.back().map_or(0, |(at, _, _)| *at);
                let by = if self.now < self.lag.until { self.lag.by } else { 0 };
                let at = self.now.saturating_add(by).max(last);
                self.lag.queue.push_back((at, *conn, message));
                self.schedule(at, Due::Lagged);
            } else {
                self.conns.send(*conn, message);
            }
        }
        self.hub.streams[stream].subscribers = subscribers;
    }

    pub(super) fn on_depth(&mut self, at: usize) {
        if self.hub.streams[at].subscribers.is_empty() {
            self.hub.streams[at].timed = false;
            return;
        }
        let (event, every_ms) = binance::depth_event(self, at);
        if let Some(event) = event {
            self.say(at, event);
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

    pub(super) fn leave_streams(&mut self, conn: ConnId) {
        self.private.leave(conn);
        let socket = self.conns.get(conn).and_then(|c| c.socket.as_mut());
        let subscriptions = socket.map(|s| std::mem::take(&mut s.subscriptions)).unwrap_or_default();
        for stream in subscriptions.iter().filter_map(|s| s.stream) {
            self.hub.unsubscribe(stream, conn);
        }
    }
}
