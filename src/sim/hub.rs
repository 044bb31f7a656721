//! Streams and who listens: every stream that exists by name, its subscribers, what it has sent.
//!
//! Owns:  stream numbers, subscriber lists, the state that diff-depth streams need between two events.
//! Never: formats an event.

use super::config::{ConnId, Market};
use super::listing::SymbolId;
use super::market::{Book, Level};
use super::number::E8;
use std::collections::BTreeMap;
use tungstenite::Bytes;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    AggTrade(SymbolId),
    /// Best bid and ask in SBE.
    BestBidAsk(SymbolId),
    BookTicker(SymbolId),
    /// Changes of the book, every so many milliseconds.
    Diff(SymbolId, u64),
    /// Mark price of one symbol, every so many seconds.
    Mark(SymbolId, u64),
    MarkAll(u64),
    /// The best levels, every so many milliseconds.
    Partial(SymbolId, usize, u64),
    /// Frames of a tape.
    Tape,
    Trade(SymbolId),
}

/// What is told to the subscribers of a stream.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Text, which combined sockets hear wrapped.
    Text(String),
    Binary(Bytes),
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) market: Market,
    pub(super) name: String,
    /// Are its events binary? Such a stream is another one than that of text of the same name.
    pub(super) binary: bool,
    pub(super) feed: Feed,
    pub(super) subscribers: Vec<ConnId>,
    /// Host time until which it is silent.
    pub(super) muted_until: u64,
    pub(super) diff: Diff,
    /// Is its timer running?
    pub(super) timed: bool,
}

/// What a diff stream must remember.
#[derive(Clone, Debug, Default)]
pub(super) struct Diff {
    pub(super) last_id: u64,
    before: [Vec<Level>; 2],
    touched: [Vec<E8>; 2],
}

impl Diff {
    /// Starts from a book: the next event tells what changed since.
    pub(super) fn reset(&mut self, book: &Book) {
        self.last_id = book.update_id;
        self.before = [book.bids.to_vec(), book.asks.to_vec()];
        self.touched = [Vec::new(), Vec::new()];
    }

    /// Remembers the prices of a book that came and may go again before the next event.
    fn touch(&mut self, book: &Book) {
        for (touched, side) in self.touched.iter_mut().zip([&book.bids, &book.asks]) {
            touched.extend(side.iter().filter(|l| l.qty > 0).map(|l| l.price));
        }
    }

    /// Bids and asks that differ from the last event (quantity 0: gone), and forgets.
    pub(super) fn take(&mut self, book: &Book) -> [Vec<Level>; 2] {
        let sides = [&book.bids, &book.asks];
        let changes = std::array::from_fn(|side| {
            let mut prices: Vec<E8> = self.before[side].iter().map(|l| l.price).collect();
            prices.append(&mut self.touched[side]);
            prices.extend(sides[side].iter().map(|l| l.price));
            prices.sort_unstable();
            prices.dedup();
            if side == 0 {
                prices.reverse();
            }
            let at = |levels: &[Level], price| levels.iter().find(|l| l.price == price).map_or(0, |l| l.qty);
            let change = |price| {
                let (was, is) = (at(&self.before[side], price), at(sides[side], price));
                (price > 0 && (was != is || is == 0)).then_some(Level { price, qty: is })
            };
            prices.into_iter().filter_map(change).collect::<Vec<_>>()
        });
        self.reset(book);
        changes
    }
}

/// All streams that were ever subscribed to.
#[derive(Debug, Default)]
pub(super) struct Hub {
    pub(super) streams: Vec<Stream>,
    names: [BTreeMap<String, usize>; 2],
    binary_names: BTreeMap<String, usize>,
    /// Best-quote streams of each symbol, as text and as binary.
    tickers: Vec<[Option<usize>; 2]>,
    /// Diff streams of each symbol.
    diffs: Vec<Vec<usize>>,
}

impl Hub {
    pub(super) fn new(symbols: usize) -> Self {
        Self { tickers: vec![[None; 2]; symbols], diffs: vec![Vec::new(); symbols], ..Self::default() }
    }

    pub(super) fn find(&self, market: Market, name: &str) -> Option<usize> {
        self.names[market.index()].get(name).copied()
    }

    pub(super) fn find_binary(&self, name: &str) -> Option<usize> {
        self.binary_names.get(name).copied()
    }

    pub(super) fn add(&mut self, market: Market, name: &str, feed: Feed) -> usize {
        self.names[market.index()].insert(name.to_owned(), self.streams.len());
        self.keep(market, name, feed, false)
    }

    /// Adds a stream of binary events, which spot alone has.
    pub(super) fn add_binary(&mut self, name: &str, feed: Feed) -> usize {
        self.binary_names.insert(name.to_owned(), self.streams.len());
        self.keep(Market::Spot, name, feed, true)
    }

    fn keep(&mut self, market: Market, name: &str, feed: Feed, binary: bool) -> usize {
        let at = self.streams.len();
        match feed {
            Feed::BookTicker(symbol) => self.tickers[symbol][0] = Some(at),
            Feed::BestBidAsk(symbol) => self.tickers[symbol][1] = Some(at),
            Feed::Diff(symbol, _) => self.diffs[symbol].push(at),
            _ => {}
        }
        self.streams.push(Stream {
            market,
            name: name.to_owned(),
            binary,
            feed,
            subscribers: Vec::new(),
            muted_until: 0,
            diff: Diff::default(),
            timed: false,
        });
        at
    }

    /// The best-quote streams of a symbol that anybody listens to: text, binary.
    pub(super) fn tickers(&self, symbol: SymbolId) -> [Option<usize>; 2] {
        self.tickers[symbol].map(|it| it.filter(|at| !self.streams[*at].subscribers.is_empty()))
    }

    /// A book has changed: the diff streams of its symbol take note.
    pub(super) fn book_changed(&mut self, symbol: SymbolId, book: &Book) {
        for at in &self.diffs[symbol] {
            let stream = &mut self.streams[*at];
            if !stream.subscribers.is_empty() {
                stream.diff.touch(book);
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, stream: usize, conn: ConnId) {
        self.streams[stream].subscribers.retain(|other| *other != conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_tells_what_changed_and_clears_what_came_and_went() {
        let mut book = Book { update_id: 10, ..Book::default() };
        book.bids[0] = Level { price: 99, qty: 5 };
        book.asks[0] = Level { price: 100, qty: 5 };
        let mut diff = Diff::default();
        diff.reset(&book);
        book.bids[0] = Level { price: 98, qty: 7 };
        diff.touch(&book);
        book.bids[0] = Level { price: 97, qty: 1 };
        book.asks[0].qty = 4;
        book.update_id = 12;
        diff.touch(&book);
        let [bids, asks] = diff.take(&book);
        let bid = |price, qty| Level { price, qty };
        assert_eq!(bids, [bid(99, 0), bid(98, 0), bid(97, 1)]);
        assert_eq!(asks, [bid(100, 4)]);
        assert_eq!(diff.last_id, 12);
    }
}
