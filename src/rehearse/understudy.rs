//! The understudy: both hot rooms over again, of nobody, which live through a whole trade a millisecond.
//!
//! Owns:  a reader and a trader with links in memory, one pair that is not listed anywhere, and its market.
//! Never: touches the engine's rooms, rings, records or sockets: what it fires goes to memory, under a key of nobody. Its
//!        time stands still, so it says the same bytes over and over, and nothing of it grows old.
//! Why:   code that has not run for some milliseconds must be found anew, page by page and line by line, and asking the
//!        caches for it does not help: only running it does (HOTPATH §11.7). The way out of an order runs when an order
//!        leaves, minutes apart. A dry fire goes up to what has effects; this goes on from there, where they are none.

use super::hot::{Hot, REFUSAL};
use crate::event::{Fired, Instrument, Instruments, Pair, Told};
use crate::metal::clock::Clock;
use crate::metal::link::{MemoryPeer, memory_pair};
use crate::metal::runner::Agent;
use crate::units::time::US;
use crate::units::{Amount, ClientId, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate};
use crate::venue::binance::VENUE;
use std::io;

/// From one turn of its rooms to the next: most take a tenth of a microsecond, those that sign, seal or send about one, so a
/// quote seldom comes meanwhile and never waits long.
const EVERY_NS: u64 = 10 * US;
/// Turns of a trade: some twenty after it has ended make the next one's orders.
const TRADE: u32 = 100;
/// The turns in which its market crosses, its orders are answered, and its pair is free again.
const CROSSES: u32 = 80;
const ANSWERED: u32 = CROSSES + 4;
const FREED: u32 = ANSWERED + 6;
/// Bids in tenths: both legs where nothing pays, and the perp 51 bp above.
const QUIET: i64 = 1_000_000;
const CROSSED: i64 = 1_005_100;
/// One coin.
const ONE: i128 = 10i128.pow(18);

/// The rooms, and their venue.
#[derive(Debug)]
pub struct Understudy {
    hot: Hot,
    feeds: [MemoryPeer; 2],
    orders: [MemoryPeer; 2],
    /// What its market says, ready: a perp quote that crosses, and one that does not.
    crossing: Vec<u8>,
    back: Vec<u8>,
    /// Its orders, which nobody reads.
    sent: Vec<u8>,
    fired: Option<Fired>,
    now: Nanos,
    due: Nanos,
    turns: u32,
    /// Trades until its trader has no client order ids left.
    ids: u32,
}

impl Understudy {
    /// Its rooms with all they need; it trades from its [`TRADE`] first turns on.
    ///
    /// # Errors
    ///
    /// The system had no memory for the intent records.
    pub fn new() -> io::Result<Self> {
        let (clock, _) = Clock::virtual_time();
        let now = clock.now();
        let mut hot = Hot::new(&clock, nobody(), true)?;
        let market = |id| memory_pair(LinkId(id), "nobody", 1 << 12, 1 << 16);
        let [(spot, mut spot_peer), (perp, mut perp_peer)] = [1, 2].map(market);
        for peer in [&mut spot_peer, &mut perp_peer] {
            peer.deliver(&Hot::confirmed());
        }
        // How old a spot feed is, its other messages tell.
        spot_peer.deliver(&Hot::stamp(now));
        spot_peer.deliver(&hot.quote(LegKind::Spot, 1, QUIET, now));
        let [crossing, back] = [CROSSED, QUIET].map(|bid| hot.quote(LegKind::Perp, 1, bid, now));
        perp_peer.deliver(&back);
        hot.feed(LegKind::Spot, spot);
        hot.feed(LegKind::Perp, perp);
        let [(spot, spot_orders), (perp, perp_orders)] = [3, 4].map(market);
        hot.orders(LegKind::Spot, spot);
        hot.orders(LegKind::Perp, perp);
        let (feeds, orders) = ([spot_peer, perp_peer], [spot_orders, perp_orders]);
        Ok(Self {
            hot,
            feeds,
            orders,
            crossing,
            back,
            sent: Vec::with_capacity(1 << 12),
            fired: None,
            now,
            due: Nanos::ZERO,
            turns: 0,
            ids: ClientId::SEQUENCE_MAX - 1,
        })
    }

    /// A turn of its rooms, if it is time; `now` is the thread's.
    #[inline]
    pub fn keep(&mut self, now: Nanos) {
        if now >= self.due {
            self.due = now.plus(EVERY_NS);
            self.turn();
        }
    }

    #[inline(never)]
    fn turn(&mut self) {
        self.turns = (self.turns + 1) % TRADE;
        match self.turns {
            CROSSES => self.feeds[LegKind::Perp as usize].deliver(&self.crossing),
            ANSWERED => {
                for peer in &mut self.orders {
                    self.sent.clear();
                    peer.take(&mut self.sent);
                    peer.deliver(REFUSAL);
                }
                // A pair that is free acts on a basis that still stands.
                self.feeds[LegKind::Perp as usize].deliver(&self.back);
            }
            FREED => {
                if let Some(fired) = self.fired.take() {
                    self.hot.free(&fired);
                    self.ids = self.ids.saturating_sub(1);
                }
            }
            // Once in three days; where the system has no memory for another, this one has had its last trade.
            0 if self.ids == 0 => {
                if let Ok(another) = Self::new() {
                    *self = Self { due: self.due, ..another };
                }
            }
            _ => {}
        }
        self.hot.reader.do_work(self.now);
        self.hot.trader.do_work(self.now);
        while let Some(told) = self.hot.told() {
            if let Told::Fired(fired) = told {
                self.fired = Some(fired);
            }
        }
    }
}

/// A pair that is not listed anywhere.
fn nobody() -> Instruments {
    let row = |id, leg, price_decimals, qty_decimals, fee| Instrument {
        id: InstrumentId(id),
        venue: VENUE.id,
        leg,
        symbol: "NOBODYUSDT".try_into().unwrap_or_default(),
        base: "NOBODY".try_into().unwrap_or_default(),
        quote: "USDT".try_into().unwrap_or_default(),
        price_decimals,
        qty_decimals,
        tick: Price(1),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(1_000_000_000),
        notional_min: Amount(5 * ONE),
        reduce_only_exempt: leg == LegKind::Perp,
        price_range: (Price(1), Price::MAX),
        taker_fee: Rate(fee),
        band: None,
        buy_fee_in_base: leg == LegKind::Spot,
    };
    let (spot, perp) = (
        row(0, LegKind::Spot, 2, 5, 1_000_000_000_000_000),
        row(1, LegKind::Perp, 1, 3, 500_000_000_000_000),
    );
    let pair = Pair {
        id: PairId(0),
        name: spot.base,
        spot: spot.id,
        perp: perp.id,
        price_factor: 1,
        size_factor: Amount(ONE),
    };
    Instruments { generation: 1, instruments: vec![spot, perp], pairs: vec![pair], left_out: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days of trades use up what 28 bits can tell apart.
    #[test]
    fn whose_ids_are_used_up_is_followed_by_another() {
        let mut understudy = Understudy::new().unwrap();
        let trades = |understudy: &mut Understudy, n| {
            (0..n * TRADE).for_each(|_| understudy.turn());
            understudy.hot.trader.counts.sent()
        };
        understudy.ids = 2;
        assert_eq!(trades(&mut understudy, 2), 0, "another one, that has not traded yet");
        assert_eq!(trades(&mut understudy, 3), 2 * 3);
        assert_eq!(understudy.ids, ClientId::SEQUENCE_MAX - 1 - 3);
    }

    /// Each trade goes all the way: both orders as they lay sealed, answered, and the pair free for the next.
    #[test]
    fn it_trades_again_and_again_and_nothing_piles_up() {
        let mut understudy = Understudy::new().unwrap();
        let mut now = Nanos::ZERO;
        for trades in 1..=50 {
            for _ in 0..TRADE {
                understudy.keep(now);
                understudy.keep(now.plus(EVERY_NS - 1));
                now = now.plus(EVERY_NS);
            }
            let counts = &understudy.hot.trader.counts;
            assert_eq!((counts.sealed, counts.sent()), (2 * trades, 2 * trades));
            assert_eq!(understudy.hot.written_down(), vec![]);
            assert!(understudy.orders.iter().all(|peer| !peer.has_said()));
        }
        assert!(understudy.sent.starts_with(b"POST /"), "{:?}", String::from_utf8_lossy(&understudy.sent));
    }
}
