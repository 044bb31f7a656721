//! The reader: bytes of market sockets in, quotes out. Hot.
//!
//! Owns:  the feed links, from the moment the clerk hands them over until they die.
//! Never: decides, connects, allocates per message, or waits for the trader: a full ring drops the
//!        quote and counts it, since an older quote is worth nothing to anybody.
//! Why:   one `recv` a turn, then the trader looks: acting on what was read comes before reading more, unless that is
//!        known to be old, which the reader tells ([`Feed::Behind`]). A turn is shown to the trader whole: on a thread of
//!        its own it would else decide on the first of two quotes that came together.

use super::decoy::Decoy;
use super::socket::{GiveUp, Sign, Socket};
use super::{Dead, FeedCard, Handed, Purpose};
use crate::event::{Arrived, Feed, Mark, Quote, VenueStamp};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::link::{Link, LinkError};
use crate::metal::poll::{Links, Slot};
use crate::metal::ring::{Consumer, Producer};
use crate::metal::runner::Agent;
use crate::units::{LinkId, Nanos};
use crate::venue::{Heard, Scratch};
use arrayvec::ArrayVec;

/// Feed sockets one reader can hold without allocating.
const FEEDS_MAX: usize = 64;

/// Idle turns from one dry read to the next: as of a dry fire, which takes longer.
const DRY_EVERY: u32 = 16;

/// What the reader counts, for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderCounts {
    /// Quotes decoded.
    pub quotes: u64,
    /// Of these, by the general parser.
    pub fallbacks: u64,
    /// Messages refused, each for a stated reason.
    pub refused: u64,
    /// Quotes dropped because the ring to the trader was full.
    pub dropped: u64,
    /// Messages that are no quotes: stamps, marks, confirmations.
    pub others: u64,
    /// Of each of the `--feed-links`, what it was good for.
    pub links: [LinkCounts; 2],
}

/// How often one of two sockets told first what both told, and how long before the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// How often.
    pub first: u64,
    /// By how much in all, in ns.
    pub ahead_ns: u64,
    /// By how much at most, in ns.
    pub ahead_max_ns: u64,
}

impl LinkCounts {
    /// By how much on the mean, in ns.
    #[must_use]
    pub fn mean_ns(&self) -> u64 {
        self.ahead_ns.checked_div(self.first).unwrap_or(0)
    }
}

/// The newest quote of an instrument: who told it first, when, and whether the other has told it since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    sequence: u64,
    received: Nanos,
    n: usize,
    both: bool,
}

/// Where what is heard goes.
pub(super) struct To<'a> {
    pub(super) feed: &'a mut Producer<Feed>,
    pub(super) marks: &'a mut Producer<Mark>,
    pub(super) newest: &'a mut [Newest],
    pub(super) counts: &'a mut ReaderCounts,
    pub(super) last_refusal: &'a mut Option<crate::venue::Refused>,
}

/// The room.
#[derive(Debug)]
pub struct Reader {
    doors: ReaderDoors,
    clock: Clock,
    entropy: Entropy,
    links: Links,
    feeds: Vec<Option<Live>>,
    scratch: Scratch,
    /// Whether quotes are read by the layout that is known; otherwise by the general parser.
    fast: bool,
    /// By instrument; empty while each plan has one socket.
    newest: Vec<Newest>,
    /// Whose last read left bytes behind, as the trader was told; as a rule nobody's.
    behind: ArrayVec<(Slot, LinkId), FEEDS_MAX>,
    /// The earliest moment any session wants something.
    due: Nanos,
    /// Idle turns so far, and the socket of the last dry read.
    still: u32,
    dry_of: Slot,
    decoy: Box<Decoy>,
    /// What was counted.
    pub counts: ReaderCounts,
    /// Why the last refused message was refused, for the log.
    pub last_refusal: Option<crate::venue::Refused>,
}

/// The reader's doors.
#[derive(Debug)]
pub struct ReaderDoors {
    /// Live links from the clerk.
    pub arrivals: Consumer<Handed>,
    /// Dead ones back to it.
    pub dead: Producer<Dead>,
    /// To the trader.
    pub feed: Producer<Feed>,
    /// To the shadow.
    pub marks: Producer<Mark>,
    /// To the trader, where packets are stamped.
    pub packets: Option<Producer<Arrived>>,
}

/// A socket being read.
#[derive(Debug)]
struct Live {
    purpose: Purpose,
    card: FeedCard,
    socket: Socket,
    unconfirmed: usize,
}

impl Reader {
    /// A reader without sockets; `fast`: it takes the short way with quotes, which says the same as the long one.
    #[must_use]
    pub fn new(doors: ReaderDoors, clock: Clock, entropy: Entropy, fast: bool) -> Self {
        let mut feeds = Vec::with_capacity(FEEDS_MAX);
        feeds.resize_with(FEEDS_MAX, || None);
        Self {
            doors,
            clock,
            entropy,
            links: Links::new(FEEDS_MAX),
            feeds,
            scratch: Scratch::default(),
            fast,
            newest: Vec::new(),
            behind: ArrayVec::new(),
            due: Nanos::NEVER,
            still: 0,
            dry_of: Slot(0),
            decoy: Box::new(Decoy::new()),
            counts: ReaderCounts::default(),
            last_refusal: None,
        }
    }

    #[inline(never)]
    fn arrive(&mut self, mut handed: Handed, now: Nanos) {
        let Some(card) = handed.feed else {
            self.give_back(handed.link, handed.purpose, "no feed card; this is a bug".to_owned());
            return;
        };
        let socket = Socket::new(card.rules, now, self.entropy.u64()).pinging(card.venue.ping);
        let socket = if card.confirmations > 0 { socket.subscribed(now) } else { socket };
        if self.doors.packets.is_some() {
            handed.link.stamp_arrivals();
        }
        let slot = self.links.insert(handed.link);
        let at = usize::from(slot.0);
        if at >= self.feeds.len() {
            self.feeds.resize_with(at + 1, || None);
        }
        let unconfirmed = card.confirmations;
        if matches!(handed.purpose, Purpose::Feed { n: 1.., .. }) {
            self.newest.resize(self.newest.len().max(card.symbols.ids_end()), Newest::default());
        }
        self.feeds[at] = Some(Live { purpose: handed.purpose, card, socket, unconfirmed });
        // Whatever came with the 101 is read at once.
        self.due = now;
    }

    /// One `recv`; `None` without a link.
    #[inline(never)] // one body for reads and looks: the one warms the other's instructions
    fn recv(&mut self, slot: Slot) -> Option<Result<usize, LinkError>> {
        self.links.get_mut(slot).map(Link::recv)
    }

    /// Everything that a `recv` completes.
    fn read(&mut self, slot: Slot, got: Result<usize, LinkError>) {
        let at = usize::from(slot.0);
        let Some(link) = self.links.get_mut(slot) else { return };
        // The kernel's bytes, not yet opened: what opening takes is in every figure from here on.
        let received = link.seen().map_or_else(|| self.clock.now(), |seen| self.clock.at(seen));
        let id = link.id;
        if let (Some(packets), Some(at)) = (&mut self.doors.packets, link.arrived()) {
            let since = self.clock.now().since(received);
            let waited_ns = u64::try_from(self.clock.unix().0 - at.0).unwrap_or(0).saturating_sub(since);
            // Lossy: it measures.
            let _ = packets.push(Arrived { received, at, waited_ns });
        }
        let outcome = self.messages(slot, received);
        let outcome = match got {
            Ok(_) => outcome,
            // What was whole before the end has been read; the end itself still counts.
            Err(error) => Err(GiveUp(error.to_string())),
        };
        if let Err(GiveUp(why)) = outcome {
            self.drop_feed(at, slot, id, why);
        }
    }

    /// Tells of a link whose read left something behind, and of those of which that is true no more.
    #[inline]
    fn tell_behind(&mut self, read: Slot) {
        if !self.behind.is_empty() || self.links.get(read).is_some_and(Link::has_more) {
            self.tell_whose(read);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_whose(&mut self, read: Slot) {
        let Self { links, behind, doors, .. } = self;
        let left = links.get(read).filter(|link| link.has_more()).map(|link| (read, link.id));
        if let Some(left) = left.filter(|left| !behind.contains(left) && !behind.is_full())
            && doors.feed.put(Feed::Behind { link: left.1 }).is_ok()
        {
            // Without room, or of a link beyond all planned ones, the trader decides a read early.
            behind.push(left);
        }
        behind.retain(|(slot, id)| {
            let more = links.get(*slot).is_some_and(|link| link.id == *id && link.has_more());
            // Without room it is told after the next read.
            more || doors.feed.put(Feed::Abreast { link: *id }).is_err()
        });
    }

    fn messages(&mut self, slot: Slot, received: Nanos) -> Result<(), GiveUp> {
        let Self { links, feeds, scratch, fast, newest, doors, counts, last_refusal, entropy, .. } = self;
        let (Some(link), Some(Some(live))) = (links.get_mut(slot), feeds.get_mut(usize::from(slot.0))) else {
            return Ok(());
        };
        let Live { purpose, card, socket, unconfirmed } = live;
        let (feed, marks) = (&mut doors.feed, &mut doors.marks);
        let to = To { feed, marks, newest, counts, last_refusal };
        messages(link, socket, unconfirmed, (card, *purpose, *fast), (scratch, entropy), received, to)
    }

    /// An idle turn: now and then the way of a socket's next quote is gone, as far as nothing comes of it. What only a
    /// quote needs goes cold in the turns that bring none, and is dearer then than all of the decision (HOTPATH §11.7).
    fn stand_by(&mut self, now: Nanos) -> usize {
        self.still = self.still.wrapping_add(1);
        if !self.still.is_multiple_of(DRY_EVERY) {
            return 0;
        }
        let behind = self.links.slots().find(|slot| *slot > self.dry_of);
        let Some(slot) = behind.or_else(|| self.links.slots().next()) else { return 0 };
        self.dry_of = slot;
        let live = self.feeds.get(usize::from(slot.0)).and_then(Option::as_ref);
        let (Some(live), Some(link)) = (live, self.links.get(slot)) else { return 0 };
        let last = link.dry_recv();
        if last.is_empty() {
            return 0;
        }
        self.decoy.read(last, &live.card, self.fast, &mut self.scratch, now);
        // Last, the kernel is asked: as a rule it has nothing, and its way is warm. What it has is taken in as ever.
        match self.recv(slot) {
            None | Some(Ok(0)) => 0,
            Some(got) => {
                self.read(slot, got);
                self.tell_behind(slot);
                self.doors.feed.show();
                1
            }
        }
    }

    /// Pings where a socket went quiet, gives up where it stayed so.
    #[inline(never)]
    fn sessions(&mut self, now: Nanos) {
        self.due = Nanos::NEVER;
        for at in 0..self.feeds.len() {
            let slot = Slot(at as u16);
            let Some(live) = self.feeds[at].as_mut() else { continue };
            let Some(link) = self.links.get_mut(slot) else { continue };
            let id = link.id;
            match live.socket.tend(link, now, &mut self.entropy) {
                Err(GiveUp(why)) => self.drop_feed(at, slot, id, why),
                Ok(due) => self.due = self.due.min(due),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_feed(&mut self, at: usize, slot: Slot, id: LinkId, why: String) {
        // A full ring would hide the loss of the socket; its quotes then go stale by silence instead.
        let _ = self.doors.feed.put(Feed::Gone { link: id });
        if let (Some(link), Some(live)) = (self.links.remove(slot), self.feeds[at].take()) {
            self.give_back(link, live.purpose, why);
        }
    }

    fn give_back(&mut self, mut link: Link, purpose: Purpose, why: String) {
        link.close();
        // The ring back is as large as the number of links there can be: it is never full.
        let _ = self.doors.dead.push(Dead { link, purpose, why });
    }
}

/// Everything whole that a socket holds.
#[inline(never)] // one body for live and dry reads: the one warms the other's instructions
pub(super) fn messages(
    link: &mut Link,
    socket: &mut Socket,
    unconfirmed: &mut usize,
    (card, purpose, fast): (&FeedCard, Purpose, bool),
    (scratch, entropy): (&mut Scratch, &mut Entropy),
    received: Nanos,
    mut to: To<'_>,
) -> Result<(), GiveUp> {
    let id = link.id;
    let (mut ponged, mut brought, waited) = (false, false, *unconfirmed);
    let outcome = socket.read(link, received, entropy, |sign| {
        let told = match sign {
            Sign::Message(message) => {
                let read = if fast { card.venue.decode } else { card.venue.parse };
                read(scratch, &card.symbols, card.leg, message)
            }
            Sign::Binary(message) => (card.venue.binary.decode)(&card.symbols, card.leg, message),
            Sign::Alive => {
                push_alive(to.feed, id, received);
                return Ok(());
            }
        };
        match told {
            Ok(Heard::Pong) => {
                ponged = true;
                push_alive(to.feed, id, received);
                Ok(())
            }
            Ok(heard) => {
                brought |= matches!(heard, Heard::Quote { .. } | Heard::Stamp(_) | Heard::Mark { .. });
                compare(&heard, to.newest, purpose, received, to.counts);
                take(heard, unconfirmed, id, received, &mut to)
            }
            Err(refused) => {
                to.counts.refused += 1;
                *to.last_refusal = Some(refused);
                Ok(())
            }
        }
    });
    if ponged {
        socket.ponged(received);
    }
    if waited > 0 && *unconfirmed == 0 {
        socket.confirmed(received);
    }
    if brought {
        socket.brought();
    }
    outcome
}

/// Takes note which of two sockets told a quote first; the books drop what comes second.
#[inline]
fn compare(
    heard: &Heard,
    newest: &mut [Newest],
    purpose: Purpose,
    received: Nanos,
    counts: &mut ReaderCounts,
) {
    let (Heard::Quote { instrument, sequence, .. }, Purpose::Feed { n, .. }) = (*heard, purpose) else {
        return;
    };
    let Some(newest) = newest.get_mut(usize::from(instrument.0)) else { return };
    if sequence > newest.sequence {
        *newest = Newest { sequence, received, n, both: false };
    } else if sequence == newest.sequence && n != newest.n && !newest.both {
        newest.both = true;
        if let Some(first) = counts.links.get_mut(newest.n) {
            let ahead = received.since(newest.received);
            first.first += 1;
            first.ahead_ns = first.ahead_ns.saturating_add(ahead);
            first.ahead_max_ns = first.ahead_max_ns.max(ahead);
        }
    }
}

fn push_alive(feed: &mut Producer<Feed>, link: LinkId, at: Nanos) {
    // Lossy by design: the next sign of life comes soon.
    let _ = feed.put(Feed::Alive { link, at });
}

#[inline]
fn take(
    heard: Heard,
    unconfirmed: &mut usize,
    link: LinkId,
    received: Nanos,
    to: &mut To<'_>,
) -> Result<(), GiveUp> {
    match heard {
        Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback } => {
            to.counts.quotes += 1;
            to.counts.fallbacks += u64::from(fallback);
            let stamp = stamp.and_then(VenueStamp::new);
            let quote = Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received, stamp };
            if to.feed.put(Feed::Quote(quote)).is_err() {
                to.counts.dropped += 1;
            }
        }
        other => return take_other(other, unconfirmed, link, received, to),
    }
    Ok(())
}

/// As [`take`], what is no quote.
#[inline(never)]
fn take_other(
    heard: Heard,
    unconfirmed: &mut usize,
    link: LinkId,
    received: Nanos,
    To { feed, marks, counts, .. }: &mut To<'_>,
) -> Result<(), GiveUp> {
    match heard {
        Heard::Stamp(stamp) => {
            counts.others += 1;
            let _ = feed.put(Feed::Stamp { link, stamp, received });
        }
        Heard::Mark { instrument, mark, funding, next_funding, stamp } => {
            counts.others += 1;
            // Lossy: the next one comes within a second, and old funding blocks entries by itself.
            let _ = marks.push(Mark { instrument, mark, funding, next_funding, stamp, received });
        }
        Heard::Confirmed => {
            counts.others += 1;
            *unconfirmed = unconfirmed.saturating_sub(1);
            if *unconfirmed == 0 {
                let _ = feed.put(Feed::Live { link });
            }
        }
        Heard::Rejected { code } => {
            return Err(GiveUp(format!("the venue refused a subscription (code {code}); check `--pairs`")));
        }
        Heard::Shutdown => return Err(GiveUp("the venue announced that this socket will close".to_owned())),
        Heard::Pong | Heard::Unknown | Heard::Quote { .. } => counts.others += 1,
    }
    Ok(())
}

impl Agent for Reader {
    fn do_work(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        while let Some(handed) = self.doors.arrivals.pop() {
            self.arrive(handed, now);
            work += 1;
        }
        self.links.poll();
        if let Some(slot) = self.links.next_ready()
            && let Some(got) = self.recv(slot)
        {
            self.read(slot, got);
            self.tell_behind(slot);
            work += 1;
        }
        if now >= self.due {
            self.sessions(now);
        }
        self.doors.feed.show();
        if work == 0 {
            // The next quote is written where nothing was for thousands of quotes.
            self.doors.feed.warm();
            work += self.stand_by(now);
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::book::tests::one_pair;
    use crate::metal::link::{MemoryPeer, memory_pair};
    use crate::metal::ring::ring;
    use crate::units::LegKind;
    use crate::venue::Symbols;
    use crate::venue::binance::VENUE;
    use crate::wire::session::Rules;
    use std::sync::Arc;

    const LINK: LinkId = LinkId(7);
    const QUOTE: &[u8] = br#"{"u":7,"s":"BTCUSDT","b":"100.10","B":"1.000","a":"100.20","A":"2.000"}"#;

    /// A reader of one socket, each of whose reads has room for one quote; the trader takes so many items.
    struct Alone {
        reader: Reader,
        peer: MemoryPeer,
        feed: Consumer<Feed>,
        dead: Consumer<Dead>,
        now: Nanos,
    }

    impl Alone {
        fn new(slots: usize) -> Self {
            let (mut arrivals_in, arrivals) = ring(1);
            let (dead, dead_out) = ring(1);
            let (feed, feed_out) = ring(slots);
            let (marks, _) = ring(1);
            let (clock, _) = Clock::virtual_time();
            let (link, peer) = memory_pair(LINK, "venue", QUOTE.len() + 2, 1 << 12);
            let symbols = Arc::new(Symbols::new(&one_pair(), VENUE.id));
            let card =
                FeedCard { venue: &VENUE, leg: LegKind::Spot, symbols, confirmations: 0, rules: Rules::NONE };
            let purpose = Purpose::Feed { plan: 0, n: 0 };
            arrivals_in.push(Handed { link, purpose, feed: Some(card), warm: Vec::new() }).unwrap();
            let doors = ReaderDoors { arrivals, dead, feed, marks, packets: None };
            let reader = Reader::new(doors, clock, Entropy::seeded(1), true);
            Self { reader, peer, feed: feed_out, dead: dead_out, now: Nanos(1) }
        }

        fn deliver(&mut self, quotes: usize) {
            let frame = [&[0x81, QUOTE.len() as u8], QUOTE].concat();
            self.peer.deliver(&frame.repeat(quotes));
        }

        /// So many turns.
        fn turn(&mut self, turns: usize) {
            for _ in 0..turns {
                self.now = self.now.plus(1);
                self.reader.do_work(self.now);
            }
        }

        /// What the trader finds, in words.
        fn told(&mut self) -> Vec<&'static str> {
            let word = |item| match item {
                Feed::Quote(_) => "quote",
                Feed::Behind { link: LINK } => "behind",
                Feed::Abreast { link: LINK } => "abreast",
                Feed::Gone { link: LINK } => "gone",
                _ => "something else",
            };
            std::iter::from_fn(|| self.feed.pop()).map(word).collect()
        }
    }

    #[test]
    fn a_socket_is_behind_from_the_read_that_leaves_something_to_the_one_that_leaves_nothing() {
        let mut alone = Alone::new(8);
        alone.deliver(3);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote", "behind"]);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote"]);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote", "abreast"]);
    }

    /// What there was no room to tell of is not taken back, and what was told is taken back as soon as there is room.
    #[test]
    fn a_full_ring_keeps_the_trader_no_longer_behind_than_it_was_told() {
        let mut alone = Alone::new(1);
        alone.deliver(2);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote"]);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote"]);

        let mut alone = Alone::new(2);
        alone.deliver(3);
        alone.turn(3);
        assert_eq!((alone.told(), alone.reader.counts.dropped), (vec!["quote", "behind"], 2));
        alone.deliver(1);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote", "abreast"]);
        alone.deliver(1);
        alone.turn(1);
        assert_eq!(alone.told(), ["quote"]);
    }

    /// The clerk has it back in any case; of one that the trader was not told of, the quotes go stale by silence.
    #[test]
    fn a_socket_that_ends_is_given_back_though_the_ring_is_full() {
        for (slots, told) in [(2, vec!["quote", "gone"]), (1, vec!["quote"])] {
            let mut alone = Alone::new(slots);
            alone.deliver(1);
            alone.turn(1);
            alone.peer.close();
            alone.turn(1);
            assert!(alone.dead.pop().is_some_and(|dead| dead.link.id == LINK));
            assert_eq!(alone.told(), told);
            alone.turn(2);
            assert_eq!(alone.told(), [""; 0]);
        }
    }
}
