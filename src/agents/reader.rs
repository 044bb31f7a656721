//! The reader: bytes of market sockets in, quotes out. Hot.
//!
//! Owns:  the feed links, from the moment the clerk hands them over until they die.
//! Never: decides, connects, allocates per message, or waits for the trader: a full ring drops the
//!        quote and counts it, since an older quote is worth nothing to anybody.
//! Why:   one `recv` a turn, then the trader looks: acting on what was read comes before reading more, unless that is
//!        known to be old, which the reader tells ([`Feed::Behind`]). A turn is shown to the trader whole: on a thread of
//!        its own it would else decide on the first of two quotes that came together.

use super::socket::{GiveUp, Sign, Socket};
use super::{Dead, FeedCard, Handed, Purpose};
use crate::event::{Arrived, Feed, Mark, Quote};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::link::Link;
use crate::metal::poll::{Links, Slot};
use crate::metal::ring::{Consumer, Producer};
use crate::metal::runner::Agent;
use crate::units::{LinkId, Nanos};
use crate::venue::{Heard, Scratch};
use arrayvec::ArrayVec;

/// Feed sockets one reader can hold without allocating.
const FEEDS_MAX: usize = 64;

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
struct Newest {
    sequence: u64,
    received: Nanos,
    n: usize,
    both: bool,
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
            counts: ReaderCounts::default(),
            last_refusal: None,
        }
    }

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

    /// One `recv` and everything it completes.
    fn read(&mut self, slot: Slot) {
        let at = usize::from(slot.0);
        let Some(link) = self.links.get_mut(slot) else { return };
        let got = link.recv();
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
    fn tell_behind(&mut self, read: Slot) {
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
        let id = link.id;
        let Live { purpose, card, socket, unconfirmed } = live;
        let (mut ponged, mut brought, waited) = (false, false, *unconfirmed);
        let outcome = socket.read(link, received, entropy, |sign| {
            let told = match sign {
                Sign::Message(message) => {
                    let read = if *fast { card.venue.decode } else { card.venue.parse };
                    read(scratch, &card.symbols, card.leg, message)
                }
                Sign::Binary(message) => (card.venue.binary.decode)(&card.symbols, card.leg, message),
                Sign::Alive => {
                    push_alive(&mut doors.feed, id, received);
                    return Ok(());
                }
            };
            match told {
                Ok(Heard::Pong) => {
                    ponged = true;
                    push_alive(&mut doors.feed, id, received);
                    Ok(())
                }
                Ok(heard) => {
                    brought |= matches!(heard, Heard::Quote { .. } | Heard::Stamp(_) | Heard::Mark { .. });
                    compare(&heard, newest, *purpose, received, counts);
                    take(heard, card, unconfirmed, id, received, doors, counts)
                }
                Err(refused) => {
                    counts.refused += 1;
                    *last_refusal = Some(refused);
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

    /// Pings where a socket went quiet, gives up where it stayed so.
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
    card: &FeedCard,
    unconfirmed: &mut usize,
    link: LinkId,
    received: Nanos,
    doors: &mut ReaderDoors,
    counts: &mut ReaderCounts,
) -> Result<(), GiveUp> {
    let (venue, leg) = (card.venue.id, card.leg);
    match heard {
        Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback } => {
            counts.quotes += 1;
            counts.fallbacks += u64::from(fallback);
            let quote = Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received };
            if let Some(stamp) = stamp {
                let _ = doors.feed.put(Feed::Stamp { link, venue, leg, stamp, received });
            }
            if doors.feed.put(Feed::Quote(quote)).is_err() {
                counts.dropped += 1;
            }
        }
        Heard::Stamp(stamp) => {
            counts.others += 1;
            let _ = doors.feed.put(Feed::Stamp { link, venue, leg, stamp, received });
        }
        Heard::Mark { instrument, mark, funding, next_funding, stamp } => {
            counts.others += 1;
            // Lossy: the next one comes within a second, and old funding blocks entries by itself.
            let _ = doors.marks.push(Mark { instrument, mark, funding, next_funding, stamp, received });
        }
        Heard::Confirmed => {
            counts.others += 1;
            *unconfirmed = unconfirmed.saturating_sub(1);
            if *unconfirmed == 0 {
                let _ = doors.feed.put(Feed::Live { link });
            }
        }
        Heard::Rejected { code } => {
            return Err(GiveUp(format!("the venue refused a subscription (code {code}); check `--pairs`")));
        }
        Heard::Shutdown => return Err(GiveUp("the venue announced that this socket will close".to_owned())),
        Heard::Pong | Heard::Unknown => counts.others += 1,
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
        if let Some(slot) = self.links.next_ready() {
            self.read(slot);
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
        }
        work
    }
}
