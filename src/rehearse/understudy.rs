//! The understudy: both hot rooms over again, of nobody, which live through two whole trades in little more than a millisecond.
//!
//! Owns:  a reader and a trader, one pair that is not listed anywhere, and its market at the other ends of their links.
//! Never: touches the engine's rooms, rings, records or sockets: what it fires goes to its own market, under keys of nobody,
//!        by loopback. Its time stands still, so it says the same over and over, and nothing of it grows old.
//! Why:   code that has not run for some milliseconds must be found anew, page by page and line by line, and asking the
//!        caches for it does not help: only running it does (HOTPATH §11.7). The way out of an order runs when an order
//!        leaves, minutes apart. A dry fire goes up to what has effects; this goes on from there, where they are none.

use super::hot::{Hot, REFUSAL};
use crate::event::{Asset, Fired, Instruments, Told};
use crate::metal::clock::Clock;
use crate::metal::link::Link;
use crate::metal::loopback::loopback_pair;
use crate::metal::runner::Agent;
use crate::units::time::US;
use crate::units::{ClientId, LegKind, LinkId, Nanos};
use std::io;

/// From one turn of its rooms to the next: most take half a microsecond, those that sign, seal or send some more, so a quote
/// seldom comes meanwhile and never waits long.
const EVERY_NS: u64 = 10 * US;
/// Turns from the end of a trade until its market crosses again, by turns: after some twenty the orders lie sealed; after one,
/// one of them is signed and the other must be when it is fired.
const AT_ONCE: u32 = 1;
const LATER: u32 = 80;
/// Turns from there until its orders are answered, and until its pair is free again.
const ANSWERED: u32 = 4;
const FREED: u32 = 10;
/// Bids in tenths: both legs where nothing pays, and the perp 51 bp above.
const QUIET: i64 = 1_000_000;
const CROSSED: i64 = 1_005_100;
/// Nothing longer is said on its links, B.
const SAID_MAX: usize = 1 << 12;

/// The rooms, and their venue.
#[derive(Debug)]
pub struct Understudy {
    hot: Hot,
    market: Market,
    /// What the trade on turn came to.
    fired: Option<Fired>,
    answers: u32,
    now: Nanos,
    due: Nanos,
    /// In which turn of its trade the market crosses, and how many that has had.
    crosses: u32,
    turns: u32,
    /// Trades until its trader has no client order ids left.
    ids: u32,
}

/// The other ends of the links, by leg, and what is said there.
#[derive(Debug)]
struct Market {
    feeds: [Link; 2],
    orders: [Link; 2],
    /// Whose order waits for an answer.
    asked: [bool; 2],
    /// A perp quote that crosses, and one that does not.
    crossing: Vec<u8>,
    back: Vec<u8>,
}

impl Understudy {
    /// Its rooms with all they need; it trades from its [`LATER`] first turns on.
    ///
    /// # Errors
    ///
    /// The system's: no memory for the intent records, no loopback, or too many open files.
    pub fn new() -> io::Result<Self> {
        let (clock, _) = Clock::virtual_time();
        let now = clock.now();
        let mut hot = Hot::new(&clock, Instruments::one_pair(Asset::from("NOBODY").unwrap_or_default()))?;
        let pair = |id| loopback_pair(LinkId(id), SAID_MAX);
        let [spot, mut spot_feed] = pair(1)?;
        let [perp, mut perp_feed] = pair(2)?;
        hot.feed(LegKind::Spot, spot);
        hot.feed(LegKind::Perp, perp);
        let [crossing, back] = [CROSSED, QUIET].map(|bid| hot.quote(LegKind::Perp, 1, bid, now));
        say(&mut spot_feed, &Hot::confirmed());
        // How old a spot feed is, its other messages tell.
        say(&mut spot_feed, &Hot::stamp(now));
        say(&mut spot_feed, &hot.quote(LegKind::Spot, 1, QUIET, now));
        say(&mut perp_feed, &Hot::confirmed());
        say(&mut perp_feed, &back);
        let [mut spot, spot_orders] = pair(3)?;
        let [mut perp, perp_orders] = pair(4)?;
        for link in [&mut spot, &mut perp] {
            link.reserve_ahead();
        }
        hot.orders(LegKind::Spot, spot);
        hot.orders(LegKind::Perp, perp);
        let market = Market {
            feeds: [spot_feed, perp_feed],
            orders: [spot_orders, perp_orders],
            asked: [false; 2],
            crossing,
            back,
        };
        Ok(Self {
            hot,
            market,
            fired: None,
            answers: 0,
            now,
            due: Nanos::ZERO,
            crosses: LATER,
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
        // The kernel hands over within the call, as a rule; where it does not, the trade waits.
        let goes_on = match self.turns.checked_sub(self.crosses) {
            Some(0) => self.market.cross(),
            Some(ANSWERED) => self.market.answer(),
            Some(FREED) => self.free(),
            _ => true,
        };
        self.turns += u32::from(goes_on);
        if self.turns > self.crosses + FREED {
            self.turns = 0;
            self.crosses = if self.crosses == LATER { AT_ONCE } else { LATER };
            if self.ids == 0 {
                self.follow();
            }
        }
        self.hot.reader.do_work(self.now);
        self.hot.trader.do_work(self.now);
        while let Some(told) = self.hot.told() {
            match told {
                Told::Fired(fired) => self.fired = Some(fired),
                Told::Answer(_) => self.answers += 1,
                _ => {}
            }
        }
    }

    /// Frees the pair, once all that was fired is answered.
    fn free(&mut self) -> bool {
        if self.answers < 2 {
            return false;
        }
        if let Some(fired) = self.fired.take() {
            self.hot.free(&fired);
            self.ids = self.ids.saturating_sub(1);
        }
        self.answers = 0;
        true
    }

    /// Another one takes its place, once in days; where the system has nothing for that, there is none from then on, and all
    /// that is lost is warmth.
    #[cold]
    fn follow(&mut self) {
        match Self::new() {
            Ok(another) => *self = Self { due: self.due, ..another },
            Err(_) => self.due = Nanos::NEVER,
        }
    }
}

impl Market {
    fn cross(&mut self) -> bool {
        self.asked = [true; 2];
        say(&mut self.feeds[LegKind::Perp as usize], &self.crossing);
        true
    }

    /// Refuses the orders that are here; whether those were all, and what crossed is gone.
    fn answer(&mut self) -> bool {
        for (link, asked) in self.orders.iter_mut().zip(&mut self.asked) {
            // An end shows by nothing that is answered any more.
            if *asked && link.recv().is_ok_and(|bytes| bytes > 0) {
                link.consume(usize::MAX);
                say(link, REFUSAL);
                *asked = false;
            }
        }
        let all = self.asked == [false; 2];
        if all {
            // A pair that is free acts on a basis that still stands.
            say(&mut self.feeds[LegKind::Perp as usize], &self.back);
        }
        all
    }
}

/// What the kernel does not take at once leaves with what is said next; where the link is over, nobody hears it.
fn say(link: &mut Link, bytes: &[u8]) {
    let _ = link.send(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until so many trades are over; a trade waits where the kernel is late.
    fn trade(understudy: &mut Understudy, trades: u64) {
        for _ in 0..trades {
            let ended = |understudy: &mut Understudy| {
                understudy.turn();
                understudy.turns == 0
            };
            assert!((0..1_000_000).any(|_| ended(understudy)), "it stands still: {understudy:?}");
        }
    }

    /// Days of trades use up what 28 bits can tell apart.
    #[test]
    fn whose_ids_are_used_up_is_followed_by_another() {
        let mut understudy = Understudy::new().unwrap();
        understudy.ids = 2;
        trade(&mut understudy, 2);
        assert_eq!(understudy.hot.trader.counts.sent(), 0, "another one, that has not traded yet");
        trade(&mut understudy, 3);
        assert_eq!(understudy.hot.trader.counts.sent(), 2 * 3);
        assert_eq!(understudy.ids, ClientId::SEQUENCE_MAX - 1 - 3);
    }

    /// Each trade goes all the way: its orders made in each of the ways there are, answered, and the pair free for the next.
    #[test]
    fn it_trades_again_and_again_and_nothing_piles_up() {
        let mut understudy = Understudy::new().unwrap();
        for trades in 1..=50u64 {
            trade(&mut understudy, 1);
            let counts = &understudy.hot.trader.counts;
            let made = [counts.sealed, counts.prepared, counts.signed];
            // Two orders each: first both as they lie sealed; then there was a turn to sign one, and none to seal it.
            assert_eq!(made, [trades.div_ceil(2) * 2, trades / 2, trades / 2], "after {trades} trades");
            assert_eq!(understudy.hot.written_down(), vec![]);
            assert!(understudy.market.orders.iter().all(|link| link.inbound().is_empty()));
        }
    }

    #[test]
    fn a_turn_is_had_no_sooner_than_it_is_due() {
        let mut understudy = Understudy::new().unwrap();
        let mut after = |ns| {
            understudy.keep(Nanos(ns));
            understudy.turns
        };
        assert_eq!([0, EVERY_NS - 1, EVERY_NS, 2 * EVERY_NS - 1].map(&mut after), [1, 1, 2, 2]);
    }
}
