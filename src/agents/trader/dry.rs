//! Dry fires: in idle turns the way of the next order is walked up to what has effects, so that it is warm.
//!
//! Owns:  how often, for which pair, and which memory is asked for; books of nobody, for the way of a quote.
//! Never: has an effect. It takes the trader to look at only; what it asks the caches for stays as it was, and the record
//!        it writes lies where nothing stands. No look at the kill latch, a clock or room in a ring: a recording would
//!        hear of those.
//! Why:   between two orders thousands of quotes pass, and what only an order needs goes cold: that costs more than any
//!        stage (HOTPATH §11.7).

use super::shelf::RUNGS;
use super::{Signal, Trader};
use crate::desk::book::Books;
use crate::event::{Feed, Instruments, Quote, VenueStamp};
use crate::metal::ring::{Consumer, Producer, ring};
use crate::units::{Class, LegKind, Nanos, Unix};
use std::hint::black_box;

/// Idle turns from one dry fire to the next: a turn takes half a microsecond where nothing happens, a dry fire about as
/// long, so one quote in some thirty waits for a part of one.
const EVERY: u32 = 32;

/// Books of nobody, and a ring that leads to them.
#[derive(Debug)]
pub(super) struct DryBooks {
    feed: (Producer<Feed>, Consumer<Feed>),
    books: Books,
    sequence: u64,
}

impl DryBooks {
    pub(super) fn new() -> Self {
        Self { feed: ring(2), books: Books::default(), sequence: 0 }
    }

    /// Its books are of these instruments.
    pub(super) fn load(&mut self, instruments: &Instruments) {
        self.books = Books::new(instruments);
    }

    /// Takes in a quote as the trader does: with its stamp, and as one that is new.
    fn take_in(&mut self, quote: &Quote) {
        self.sequence += 1;
        let stamp = VenueStamp::new(Unix(quote.received.0.cast_signed()));
        // What was told before is taken: there is room.
        let _ = self.feed.0.push(Feed::Quote(Quote { sequence: self.sequence, stamp, ..*quote }));
        while let Some(item) = self.feed.1.pop() {
            black_box(self.books.on(&item));
        }
    }
}

impl Trader {
    /// An idle turn in which there is nothing to prepare or to seal.
    pub(super) fn stand_by(&mut self, now: Nanos) {
        self.still = self.still.wrapping_add(1);
        if self.still.is_multiple_of(EVERY) {
            self.intents.take_back();
            self.dry_quote();
            self.dry_fire(now);
        }
    }

    /// Goes the way of a quote of the pair whose threshold is nearest, with books of nobody.
    fn dry_quote(&mut self) -> Option<()> {
        let stall = self.stalls.get(self.nearest?.0)?;
        self.dry.take_in(self.books.top(stall.legs[LegKind::Perp as usize])?);
        Some(())
    }

    /// Goes the way of the order whose threshold is nearest, as far as nothing comes of it.
    fn dry_fire(&self, now: Nanos) -> Option<()> {
        let (at, direction) = self.nearest?;
        let (stall, loaded) = (self.stalls.get(at)?, self.loaded.as_deref()?);
        let class = match stall.terms.held {
            Some(_) if stall.terms.flatten => Class::Flatten,
            Some(_) => Class::Exit,
            None => Class::Entry,
        };
        black_box((self.is_old(stall.pair, Signal { class, direction }), self.weigh(at).is_ok()));
        let aimed = self.aim(stall.pair, Signal { class, direction }, now);
        let aim = aimed.as_ref().ok()?;
        let shelves = &self.ready[at][direction as usize];
        let [first, second] = [0, 1].map(|n| aim.leg(n, shelves, None));
        self.intents.dry_commit(&self.record(&aim.round, [Some(&first), Some(&second)], loaded));
        self.doors.told.warm();
        // A jump picks another order than the touch: all of them are looked at.
        for (n, leg) in aim.order.into_iter().enumerate() {
            let link = self.links.links.get(aim.links[n])?;
            for order in 0..=RUNGS {
                let order = shelves[leg as usize].get(order);
                black_box((order.spec, order.at, order.warm(link)));
            }
        }
        Some(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::desk::book::tests::one_pair;
    use crate::event::{Fired, Made, Told, Wire};
    use crate::metal::clock::Clock;
    use crate::metal::link::{MemoryPeer, memory_pair};
    use crate::metal::runner::Agent as _;
    use crate::rehearse::hot::Hot;
    use crate::units::{LegKind, LinkId};

    /// Bids in tenths: both legs where nothing pays, and the perp 51 bp above.
    pub(in crate::agents::trader) const QUIET: i64 = 1_000_000;
    const CROSSED: i64 = 1_005_100;

    /// Both hot rooms, and the venue's ends of their links.
    pub(in crate::agents::trader) struct Desk {
        pub(in crate::agents::trader) hot: Hot,
        clock: Clock,
        feeds: Vec<MemoryPeer>,
        orders: Vec<MemoryPeer>,
        sequence: u64,
    }

    impl Desk {
        /// All is signed and sealed, nothing pays, and the shadow has heard all that was told.
        pub(in crate::agents::trader) fn standing() -> Self {
            let (clock, _time) = Clock::virtual_time();
            let mut hot = Hot::new(&clock, one_pair()).unwrap();
            let (mut feeds, mut orders) = (Vec::new(), Vec::new());
            for leg in LegKind::BOTH {
                let link = |n| memory_pair(LinkId(n + leg as u32), "venue", 1 << 12, 1 << 16);
                let ((feed, mut feed_peer), (order, order_peer)) = (link(1), link(3));
                feed_peer.deliver(&Hot::confirmed());
                hot.feed(leg, feed);
                hot.orders(leg, order);
                feeds.push(feed_peer);
                orders.push(order_peer);
            }
            let mut desk = Self { hot, clock, feeds, orders, sequence: 0 };
            desk.feeds[0].deliver(&Hot::stamp(desk.clock.now()));
            LegKind::BOTH.into_iter().for_each(|leg| desk.quote(leg, QUIET));
            (0..200).for_each(|_| desk.turn());
            while desk.hot.told().is_some() {}
            desk
        }

        pub(in crate::agents::trader) fn quote(&mut self, leg: LegKind, bid: i64) {
            self.sequence += 1;
            let bytes = self.hot.quote(leg, self.sequence, bid, self.clock.now());
            self.feeds[leg as usize].deliver(&bytes);
        }

        pub(in crate::agents::trader) fn turn(&mut self) {
            let now = self.clock.now();
            self.hot.reader.do_work(now);
            self.hot.trader.do_work(now);
        }

        fn dry(&self) -> Option<()> {
            self.hot.trader.dry_fire(self.clock.now())
        }

        /// What has left since somebody looked.
        pub(in crate::agents::trader) fn left(&mut self) -> [Vec<u8>; 2] {
            [0, 1].map(|at| {
                let mut bytes = Vec::new();
                self.orders[at].take(&mut bytes);
                bytes
            })
        }

        /// The perp jumps past the threshold: what is told of it, and what leaves.
        fn cross(&mut self) -> (Fired, [Vec<u8>; 2]) {
            self.quote(LegKind::Perp, CROSSED);
            self.turn();
            self.turn();
            let fired = std::iter::from_fn(|| self.hot.told()).find_map(|told| match told {
                Told::Fired(fired) => Some(fired),
                _ => None,
            });
            (fired.unwrap(), self.left())
        }
    }

    /// State, wires, intent records, what the shadow hears: all as before.
    #[test]
    fn nothing_comes_of_a_dry_fire() {
        let mut desk = Desk::standing();
        assert!(desk.left().iter().all(Vec::is_empty));
        let before = format!("{:?}", desk.hot.trader);
        for _ in 0..1_000 {
            desk.dry().expect("it goes all the way");
        }
        assert_eq!(format!("{:?}", desk.hot.trader), before);
        assert!(desk.left().iter().all(Vec::is_empty), "a byte left");
        assert!(desk.hot.written_down().is_empty());
        assert!(desk.hot.told().is_none());
    }

    /// The same order leaves, as it lay sealed, whether or not its way was walked before; once only.
    #[test]
    fn what_leaves_after_dry_fires_is_what_leaves_without() {
        let [mut plain, mut walked] = [Desk::standing(), Desk::standing()];
        plain.hot.trader.nearest = None;
        assert!(plain.dry().is_none());
        for _ in 0..100 {
            plain.turn();
            walked.dry().unwrap();
            walked.turn();
        }
        let (fired, left) = plain.cross();
        assert_eq!(walked.cross(), (fired, left.clone()));
        assert!(left.iter().all(|bytes| !bytes.is_empty()));
        for leg in fired.legs {
            let leg = leg.unwrap();
            assert_eq!((leg.made, leg.wire), (Made::Sealed, Wire::All));
        }
        assert_eq!(walked.hot.written_down(), plain.hot.written_down());
        assert_eq!(walked.hot.written_down().len(), 1);
        assert_eq!(walked.hot.trader.counts, plain.hot.trader.counts);
        // While it is out there is no next one to aim at, and turns bring nothing.
        assert!(walked.dry().is_none(), "the pair is busy");
        (0..100).for_each(|_| walked.turn());
        assert!(walked.left().iter().all(Vec::is_empty));
        assert_eq!(walked.hot.trader.counts.sent(), 2);
    }

    /// What the gate would refuse goes no further in the dry.
    #[test]
    fn a_dry_fire_goes_no_further_than_the_gate() {
        let desk = Desk::standing();
        let late = desk.clock.now().plus(3_600 * crate::units::time::SEC);
        assert!(desk.hot.trader.dry_fire(late).is_none(), "sockets that fell silent an hour ago");
    }
}
