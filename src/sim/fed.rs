//! A market that somebody else's quotes make: what a driver feeds in, and what the box does with it.
//!
//! Owns:  the input types of such a market, taking quotes, marks and settlements in, funding where the fed settlement
//!        rolls on.
//! Never: makes a quote, a mark or a rate of its own, or says that one is new when it is not.
//! Quirk: there is no depth but the best price; what was taken from it is gone until the next quote. Funding is paid
//!        at the estimate last heard; the history tells the rate that was fed, which comes later.

use super::config::Market;
use super::exchange::Exchange;
use super::listing::SymbolId;
use super::market::Level;

/// A mark older than this is told to nobody, ms.
const MARK_STALE_MS: u64 = 5_000;

/// One symbol of a fed market. Prices and quantities are counts of 10⁻⁸.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedSymbol {
    /// Whose it is.
    pub market: Market,
    /// Its name, upper case.
    pub name: String,
    /// What is bought or sold, in the market's words.
    pub base: String,
    /// Prices are multiples of it.
    pub tick: i64,
    /// Quantities are multiples of it.
    pub step: i64,
    /// Largest order.
    pub max_qty: i64,
    /// Smallest value of an order, USDT.
    pub min_notional: i64,
    /// Base coins in one unit of a perp.
    pub multiplier: i64,
    /// Place of its other leg in the same list.
    pub twin: Option<usize>,
    /// Hours from one settlement of a perp to the next; 0 for spot.
    pub interval_h: u64,
}

/// Something that happened at the market that is fed from. `symbol` is a place in the list of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// A best bid and ask: price and quantity, counts of 10⁻⁸.
    Quote {
        /// Whose.
        symbol: usize,
        /// The update id it had there.
        sequence: u64,
        /// Best bid.
        bid: (i64, i64),
        /// Best ask.
        ask: (i64, i64),
    },
    /// A perp's mark price and funding estimate, counts of 10⁻⁸.
    Mark {
        /// Whose.
        symbol: usize,
        /// Mark price.
        mark: i64,
        /// Estimate for the coming settlement; `None`: not told.
        rate: Option<i64>,
        /// The coming settlement, ms since 1970; 0: not told.
        next_funding_ms: u64,
    },
    /// A settlement of a perp, as the history there tells it. One that is known already changes nothing.
    Settled {
        /// Whose.
        symbol: usize,
        /// Its stamp there, ms since 1970.
        time_ms: u64,
        /// Settled rate, counts of 10⁻⁸.
        rate: i64,
    },
    /// By which interval a perp settles from now on.
    Interval {
        /// Whose.
        symbol: usize,
        /// Hours, at least 1.
        hours: u64,
    },
}

impl Exchange {
    /// Takes in what happened elsewhere. Symbols that are not in the list are passed over.
    pub fn feed(&mut self, all: &[Fed], now: u64) {
        self.advance(now);
        for it in all {
            match *it {
                Fed::Quote { symbol, sequence, bid, ask } if symbol < self.books.len() => {
                    let level = |(price, qty)| Level { price, qty };
                    let newest = self.books[symbol].update_id + 1;
                    self.set_top(symbol, sequence.max(newest), level(bid), level(ask));
                    self.book_changed(symbol);
                }
                Fed::Mark { symbol, mark, rate, next_funding_ms } if symbol < self.marks.len() => {
                    self.feed_mark(symbol, mark, rate, next_funding_ms);
                }
                Fed::Settled { symbol, time_ms, rate } if symbol < self.marks.len() => {
                    self.told_past.insert((symbol, time_ms), rate);
                }
                Fed::Interval { symbol, hours } if symbol < self.marks.len() => {
                    self.marks[symbol].interval_h = hours.max(1);
                }
                Fed::Quote { .. } | Fed::Mark { .. } | Fed::Settled { .. } | Fed::Interval { .. } => {}
            }
        }
    }

    fn feed_mark(&mut self, id: SymbolId, mark: i64, rate: Option<i64>, next_funding_ms: u64) {
        let due = self.marks[id].next_funding_ms;
        // The other market has settled: so does this one, at the estimate last heard before it.
        if due != 0 && next_funding_ms > due {
            self.pay_funding(id, due);
        }
        let now = self.clock_ms();
        let it = &mut self.marks[id];
        (it.mark, it.next_funding_ms, it.fed_ms) = (mark, next_funding_ms, now);
        // A missing estimate is not zero: the last one stays, and grows old with the mark.
        it.rate = rate.unwrap_or(it.rate);
        self.refresh_index(id);
    }

    /// Is a perp's mark worth telling? A made market's always is.
    pub(super) fn mark_is_fresh(&self, id: SymbolId) -> bool {
        !self.fed || self.clock_ms().saturating_sub(self.marks[id].fed_ms) <= MARK_STALE_MS
    }
}
