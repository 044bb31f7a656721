//! Bursts of quotes, in more reads than one: the production reader and trader act on the latest, and on it at once.
//!
//! Owns:  memory links that bring the burst in pieces, and the counts of reads, quotes and orders.
//! Never: waits: time stands still, so nothing but the order of reads and turns decides.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use contango::event::{Fired, Held, Instruments, Told};
use contango::metal::clock::{Clock, VirtualTime};
use contango::metal::link::{MemoryPeer, memory_calls, memory_pair};
use contango::metal::runner::Agent;
use contango::rehearse::hot::{Hot, REFUSAL};
use contango::units::time::MS;
use contango::units::{Class, Direction, LegKind, LinkId, Nanos, Qty};
use contango::venue::binance::VENUE;
use contango::venue::pair_up;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::fs;

/// Bids in tenths: both legs where nothing pays, and the perp 51 bp above.
const QUIET: i64 = 1_000_000;
const CROSSED: i64 = 1_005_100;
/// A feed link's buffer: some 28 quotes of the perp.
const READ: usize = 4 << 10;
/// More turns than any of these bursts takes.
const TURNS_MAX: usize = 2_000;

struct Burst {
    hot: Hot,
    clock: Clock,
    time: VirtualTime,
    feeds: [MemoryPeer; 2],
    orders: [MemoryPeer; 2],
    /// Turns of the trader to one of the reader: on a thread of its own it has more.
    trader_turns: usize,
    sequence: u64,
    /// Quotes that were made readable.
    delivered: u64,
    /// Reads of the feeds, and how many there had been when every readable quote was in.
    reads: u64,
    reads_at_newest: u64,
}

/// After how many turns, and what becomes readable then.
type Piece = (usize, Vec<(LegKind, i64)>);

/// What came of a burst.
#[derive(Debug)]
struct Outcome {
    fired: Option<Fired>,
    /// Reads handled after the newest readable byte before the order left.
    reads_after: u64,
    /// Quotes readable and not read when it left.
    unread: u64,
    reads: u64,
}

fn instruments() -> Instruments {
    let listings = LegKind::BOTH.map(|leg| {
        let name = ["spot_rest", "futures_rest"][leg as usize];
        let path = format!("{}/tests/fixtures/binance/{name}_exchange_info.json", env!("CARGO_MANIFEST_DIR"));
        (VENUE.read_listing)(leg, &mut fs::read(path).unwrap()).unwrap()
    });
    pair_up(1, &listings, Some(&["BTCUSDT".to_owned()])).unwrap()
}

impl Burst {
    /// Both rooms with live links and quiet quotes, orders prepared.
    fn begin(read: usize) -> Self {
        let (clock, time) = Clock::virtual_time();
        let mut hot = Hot::new(&clock, instruments()).unwrap();
        let mut feeds = Vec::new();
        let mut orders = Vec::new();
        for leg in LegKind::BOTH {
            let (link, mut peer) = memory_pair(LinkId(1 + leg as u32), "feed", read, 1 << 20);
            peer.deliver(&Hot::confirmed());
            hot.feed(leg, link);
            feeds.push(peer);
            let (link, peer) = memory_pair(LinkId(3 + leg as u32), "orders", 1 << 14, 1 << 20);
            hot.orders(leg, link);
            orders.push(peer);
        }
        let [feeds, orders] = [feeds, orders].map(|peers| <[MemoryPeer; 2]>::try_from(peers).unwrap());
        let mut burst = Self {
            hot,
            clock,
            time,
            feeds,
            orders,
            trader_turns: 1,
            sequence: 0,
            delivered: 0,
            reads: 0,
            reads_at_newest: 0,
        };
        burst.feeds[0].deliver(&Hot::stamp(burst.clock.now()));
        burst.deliver(&[(LegKind::Spot, QUIET), (LegKind::Perp, QUIET)]);
        for _ in 0..100 {
            assert!(burst.turn().is_none());
        }
        burst
    }

    /// Makes quotes readable, each leg's in one piece.
    fn deliver(&mut self, quotes: &[(LegKind, i64)]) {
        let mut bytes = [Vec::new(), Vec::new()];
        for (leg, bid) in quotes {
            self.sequence += 1;
            bytes[*leg as usize].extend(self.hot.quote(*leg, self.sequence, *bid, self.clock.now()));
        }
        self.delivered += quotes.len() as u64;
        for (peer, bytes) in self.feeds.iter_mut().zip(bytes) {
            peer.deliver(&bytes);
        }
    }

    /// One turn of the reader, and what the trader has of them meanwhile.
    fn turn(&mut self) -> Option<Fired> {
        let now = self.clock.now();
        let before = memory_calls()[1];
        self.hot.reader.do_work(now);
        let read = memory_calls()[1] - before;
        assert!(read <= 1, "one read a turn");
        self.reads += read;
        if self.hot.reader.counts.quotes < self.delivered {
            self.reads_at_newest = u64::MAX;
        } else {
            self.reads_at_newest = self.reads_at_newest.min(self.reads);
        }
        for _ in 0..self.trader_turns {
            self.hot.trader.do_work(now);
        }
        std::iter::from_fn(|| self.hot.told()).find_map(|told| match told {
            Told::Fired(fired) => Some(fired),
            _ => None,
        })
    }

    /// Turns until something is fired, or until nothing is to come and nothing was left to read for some turns. A piece
    /// becomes readable so many turns after the one before it; those that came are taken out.
    fn live_through(&mut self, pieces: &mut VecDeque<Piece>) -> Outcome {
        let begun = self.reads;
        let (mut idle, mut fired) = (0, None);
        for _ in 0..TURNS_MAX {
            while pieces.front().is_some_and(|(wait, _)| *wait == 0) {
                let (_, quotes) = pieces.pop_front().unwrap();
                self.deliver(&quotes);
                self.reads_at_newest = u64::MAX;
            }
            if let Some((wait, _)) = pieces.front_mut() {
                *wait -= 1;
            }
            fired = self.turn();
            let over = pieces.is_empty() && self.hot.reader.counts.quotes == self.delivered;
            idle = if over { idle + 1 } else { 0 };
            if fired.is_some() || idle > 5 {
                break;
            }
        }
        Outcome {
            fired,
            reads_after: self.reads.saturating_sub(self.reads_at_newest),
            unread: self.delivered - self.hot.reader.counts.quotes,
            reads: self.reads - begun,
        }
    }

    /// As above, of pieces that nobody looks at afterwards.
    fn live(&mut self, pieces: impl Into<VecDeque<Piece>>) -> Outcome {
        self.live_through(&mut pieces.into())
    }

    /// What left of both orders since.
    fn sent(&mut self) -> [usize; 2] {
        let mut out = Vec::new();
        self.orders.each_mut().map(|peer| peer.take(&mut out))
    }

    /// Both orders are refused, and the pair is free again.
    fn refuse(&mut self, fired: &Fired) {
        self.orders.iter_mut().for_each(|peer| peer.deliver(REFUSAL));
        self.turn();
        self.hot.free(fired);
        self.turn();
    }
}

/// So many quotes of the perp, all at this bid.
fn perps(n: usize, bid: i64) -> Vec<(LegKind, i64)> {
    vec![(LegKind::Perp, bid); n]
}

fn joined(parts: &[Vec<(LegKind, i64)>]) -> Vec<(LegKind, i64)> {
    parts.concat()
}

#[test]
fn ten_thousand_quotes_of_which_the_last_crosses_are_acted_on_once_and_at_once() {
    let mut burst = Burst::begin(1 << 16);
    let outcome = burst.live([(0, joined(&[perps(9_999, QUIET), perps(1, CROSSED)]))]);
    let fired = outcome.fired.unwrap();
    assert!(outcome.reads > 20, "{} reads are no burst", outcome.reads);
    assert_eq!((outcome.unread, outcome.reads_after), (0, 0));
    assert_eq!((fired.class, fired.quotes[1]), (Class::Entry, burst.sequence));
    assert!(burst.sent().iter().all(|bytes| *bytes > 400), "both orders left in that turn");
}

#[test]
fn what_crossed_and_crosses_no_more_is_not_acted_on_however_the_reads_fall() {
    // 64 KiB hold some 450 quotes, which the trader once took in three turns; 4 KiB cut any of these anywhere.
    for (read, after) in [(READ, 100), (READ, 9_000), (1 << 16, 100), (1 << 16, 9_000)] {
        for crossing in [1, 110, 240, 300] {
            let mut burst = Burst::begin(read);
            let quotes = joined(&[perps(crossing, QUIET), perps(30, CROSSED), perps(after, QUIET)]);
            let outcome = burst.live([(0, quotes)]);
            assert!(outcome.fired.is_none(), "{read}, {crossing}: {outcome:?}");
            assert_eq!((outcome.unread, burst.sent()), (0, [0, 0]));
            // And it still acts on what comes after.
            let outcome = burst.live([(0, perps(1, CROSSED))]);
            assert_eq!(outcome.fired.unwrap().quotes[1], burst.sequence);
        }
    }
}

#[test]
fn bytes_that_become_readable_meanwhile_decide_too() {
    // The burst crosses from its first read on; in the middle of it comes its end, either way.
    for (then, fires) in [(QUIET, false), (CROSSED + 10, true)] {
        let mut burst = Burst::begin(READ);
        let pieces = [(0, perps(300, CROSSED)), (4, perps(100, CROSSED)), (3, perps(1, then))];
        let outcome = burst.live(pieces);
        assert_eq!(outcome.unread, 0, "{outcome:?}");
        assert!(outcome.reads > 10);
        match outcome.fired {
            Some(fired) => {
                assert_eq!((fires, fired.quotes[1], outcome.reads_after), (true, burst.sequence, 0));
            }
            None => assert!(!fires),
        }
    }
}

#[test]
fn a_socket_that_is_behind_is_waited_for_and_one_that_is_not_is_not() {
    // The perp's burst is old news; the spot's quotes come between its reads, round robin, and end nothing of that.
    let mut burst = Burst::begin(READ);
    let perp = joined(&[perps(1, CROSSED), perps(600, CROSSED), perps(1, QUIET)]);
    let spot = |n| (n, vec![(LegKind::Spot, QUIET)]);
    let outcome = burst.live([(0, perp), spot(2), spot(1), spot(2), spot(4)]);
    assert!(outcome.fired.is_none() && outcome.unread == 0, "{outcome:?}");

    // Both legs have bursts; the spot's last quote ends what the perp's began.
    let mut burst = Burst::begin(READ);
    let spot = [vec![(LegKind::Spot, QUIET); 400], vec![(LegKind::Spot, CROSSED - 10)]].concat();
    let outcome = burst.live([(0, joined(&[perps(40, CROSSED), spot]))]);
    assert!(outcome.fired.is_none() && outcome.unread == 0, "{outcome:?}");
}

#[test]
fn a_trader_that_turns_between_the_reads_waits_just_so() {
    let mut burst = Burst::begin(READ);
    burst.trader_turns = 3;
    let perp = joined(&[perps(1, CROSSED), perps(600, CROSSED), perps(1, QUIET)]);
    let outcome = burst.live([(0, perp), (2, vec![(LegKind::Spot, QUIET)])]);
    assert!(outcome.fired.is_none() && outcome.unread == 0, "{outcome:?}");
    let outcome = burst.live([(0, perps(300, CROSSED))]);
    assert_eq!(outcome.fired.unwrap().quotes[1], burst.sequence);
    assert_eq!((outcome.unread, outcome.reads_after), (0, 0));
}

#[test]
fn the_operators_word_waits_for_no_quote() {
    let mut burst = Burst::begin(READ);
    let held = Held { direction: Direction::Short, spot: Qty(500), perp: Qty(5) };
    burst.hot.allow(contango::event::Terms { held: Some(held), flatten: true, ..burst.hot.terms() });
    let outcome = burst.live([(0, perps(1_000, QUIET))]);
    assert_eq!(outcome.fired.unwrap().class, Class::Flatten);
    assert!(outcome.unread > 900, "{outcome:?}");
}

#[test]
fn a_socket_that_is_lost_behind_is_not_waited_for_and_not_believed() {
    let mut burst = Burst::begin(READ);
    burst.deliver(&perps(200, CROSSED));
    burst.feeds[1].truncate();
    for _ in 0..50 {
        assert!(burst.turn().is_none());
    }
    assert_eq!(burst.hot.reader.counts.quotes, burst.delivered, "what came before the end was read");
    // A new socket begins where the market is.
    let (link, mut peer) = memory_pair(LinkId(9), "feed", READ, 1 << 20);
    peer.deliver(&Hot::confirmed());
    burst.hot.feed(LegKind::Perp, link);
    burst.feeds[1] = peer;
    let outcome = burst.live([(3, perps(1, CROSSED))]);
    assert_eq!(outcome.fired.unwrap().quotes[1], burst.sequence);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the burst and however it becomes readable: an order leaves on the newest quote of all that was readable
    /// before the last read, none is left behind by that read, and at the end a basis that stands was acted on.
    #[test]
    fn an_order_leaves_on_the_newest_readable_quote(
        runs in prop::collection::vec((0usize..8, 1usize..60, any::<bool>()), 1..12), read in 2_048usize..9_000,
    ) {
        let mut burst = Burst::begin(read);
        let bid = |crossed: &bool| if *crossed { CROSSED } else { QUIET };
        let mut pieces: VecDeque<Piece> =
            runs.iter().map(|(wait, n, crossed)| (*wait, perps(*n, bid(crossed)))).collect();
        let mut fires = 0;
        loop {
            let outcome = burst.live_through(&mut pieces);
            let Some(fired) = outcome.fired else { break };
            prop_assert_eq!((outcome.unread, outcome.reads_after), (0, 0), "{:?}", outcome);
            prop_assert_eq!(fired.quotes[1], burst.sequence);
            fires += 1;
            burst.refuse(&fired);
        }
        prop_assert!(pieces.is_empty());
        prop_assert!(!runs.last().unwrap().2 || fires > 0, "a basis stood at the end, and nobody acted");
    }
}

#[test]
fn time_that_passes_between_turns_changes_nothing() {
    let mut burst = Burst::begin(READ);
    burst.deliver(&joined(&[perps(100, CROSSED), perps(1, QUIET)]));
    let start = burst.clock.now();
    for turn in 1..20 {
        burst.time.set(Nanos(start.0 + turn * MS));
        assert!(burst.turn().is_none());
    }
}
