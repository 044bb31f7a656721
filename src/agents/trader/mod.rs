//! The trader: the only pen. Quotes in, orders out, everything it did told to the shadow. Hot.
//!
//! Owns:  the books, the signal, the gate at the moment of sending, prepared orders, the order links,
//!        client order ids, and the counters that the permit's ceilings are compared with.
//! Never: judges what became of an order (the shadow does), clears a pair's BUSY, sends with an
//!        expired permit, decides on a quote when a newer one is already in the ring, or known to be readable.
//! Map:   `pen` limits, rendering, fitting · `ready` orders signed ahead · `seal` and sealed ahead · `aim` what is looked
//!        at before anything is sent · `fire` the way out · `dry` keeps it warm · `mend` what the shadow wishes · `contingent` the leg that waits for a proven fill · `proof` what proves it · `links`
//!        answers, warmth · `talk` requests or frames · `hot` its private stream · `pairset` what an idle turn still looks at ·
//!        `quotes` what they make of books and signals · `shelf` the prices prepared for · `tell` pulses and signals · `packets` the kernel's stamps, where they are wanted.

mod aim;
pub mod contingent;
mod counts;
mod dry;
mod fire;
mod hot;
mod links;
mod mend;
mod packets;
mod pairset;
pub mod pen;
mod proof;
mod quotes;
mod ready;
mod seal;
mod shelf;
mod talk;
mod tell;

use super::{Dead, Handed, Loaded, session};
use crate::desk::book::Books;
use crate::desk::gate::GateLimits;
use crate::event::{
    Arrived, Closed, Command, Feed, LANES, Offsets, PERMIT_WORDS, Permit, Quote, Stakes, TERMS_WORDS, Terms,
    Told,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::Intents;
use crate::metal::latch::Latch;
use crate::metal::latest::Reader as Latest;
use crate::metal::ring::{Consumer, Producer};
use crate::metal::runner::Agent;
use crate::metal::tap::{Flag, Tap};
use crate::units::time::MS;
use crate::units::{Class, Direction, InstrumentId, LinkId, Nanos, PairId, VenueId};
use arrayvec::ArrayVec;
use contingent::{Armed, Legs};
pub use counts::{TraderCounts, Weighed};
use dry::DryBooks;
use links::{Around, OrderLinks};
use packets::Awaited;
use pairset::PairSet;
use pen::Prepared;
use proof::Proof;
use shelf::Shelf;
use std::sync::Arc;

/// Pairs acted on in one turn (a further one waits for its next quote), and sockets that are waited for.
const AT_ONCE_MAX: usize = 16;
/// How often each pair's books are told to the shadow.
const PULSE_NS: u64 = 250 * MS;
/// Order links one trader can hold without allocating.
const LINKS_MAX: usize = 64;

/// What the operator chose for the trader.
#[derive(Clone, Debug)]
pub struct TraderSettings {
    /// Which engine of the desk, for client order ids.
    pub instance: u8,
    /// This run's epoch, raised and synced before the trader exists.
    pub epoch: u32,
    /// Whether orders may leave at all; otherwise signals are told and nothing is sent.
    pub live: bool,
    /// Which directions may be entered: short, long.
    pub directions: [bool; 2],
    /// W: how long the venue may sit on an order, in ms.
    pub recv_window_ms: u32,
    /// Which leg waits for which.
    pub legs: Legs,
    /// Entries per pair over the whole run; `None`: no such limit.
    pub entries_max: Option<u32>,
    /// Freshness and sanity.
    pub gate: GateLimits,
    /// Whether orders that are signed ahead are sealed ahead, too; otherwise each is when it is fired.
    pub seals: bool,
    /// Whether sends are stamped where their bytes are handed over, too, for measuring.
    pub stamp_sends: bool,
}

/// The trader's doors.
#[derive(Debug)]
pub struct TraderDoors {
    /// Quotes and signs of life.
    pub feed: Consumer<Feed>,
    /// The shadow's wishes.
    pub commands: Consumer<Command>,
    /// Live order links and private streams.
    pub arrivals: Consumer<Handed>,
    /// Generations of instruments.
    pub loaded: Consumer<Arc<Loaded>>,
    /// What may be sent.
    pub permit: Latest<PERMIT_WORDS>,
    /// The venues' clocks.
    pub offsets: Latest<LANES>,
    /// What each pair may do.
    pub terms: Vec<Latest<TERMS_WORDS>>,
    /// To the shadow.
    pub told: Producer<Told>,
    /// Dead links, to the clerk.
    pub dead: Producer<Dead>,
    /// Every top of book as taken in, for `--quotes-out`; lossy, and the loss is counted.
    pub tee: Option<Producer<Quote>>,
    /// What the reader knows of packets, where the kernel stamps them: then orders' packets are stamped, too.
    pub packets: Option<Consumer<Arrived>>,
    /// Random bytes for masks and jitter.
    pub entropy: Entropy,
    /// Copies all that comes in, or supplies it.
    pub tap: Tap,
}

/// One pair at the trader's desk.
#[derive(Debug)]
struct Stall {
    pair: PairId,
    legs: [InstrumentId; 2],
    venues: [VenueId; 2],
    terms: Terms,
    /// An intent of this pair is out; only the shadow clears it.
    busy: bool,
    /// The sequence its next intent will carry; kept through every re-signing until really sent.
    sequence: u32,
    /// Sequence and attempt of its last order; 0, 0: none yet.
    fired: (u32, u8),
    entries: u32,
    pulse_due: Nanos,
    /// Whether a signal stood at the last look, so that `live = false` tells each crossing once.
    signalled: bool,
    /// What came of weighing it, by [`Weighed`].
    weighed: [u64; Weighed::TEXTS.len()],
    /// Why the gate refused its last signal.
    gate: Option<Closed>,
    /// The leg that waits for the fill of the one that left.
    armed: Option<Armed>,
    /// What is proven of that one.
    proof: Proof,
    /// How far each direction's threshold was at the last look, by [`Fold::gap`].
    gaps: [u64; 2],
}

impl Stall {
    /// New terms: a few times a second.
    #[cold]
    #[inline(never)]
    fn take_in(&mut self, words: [u64; TERMS_WORDS]) {
        self.terms = Terms::from_words(words);
    }
}

/// A threshold that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    class: Class,
    direction: Direction,
}

/// The room.
#[derive(Debug)]
pub struct Trader {
    settings: TraderSettings,
    doors: TraderDoors,
    clock: Clock,
    kill: Latch,
    intents: Intents,
    loaded: Option<Arc<Loaded>>,
    books: Books,
    stalls: Vec<Stall>,
    /// Orders signed ahead, by pair, direction, leg.
    ready: Vec<[[Shelf; 2]; 2]>,
    /// Where a repair is rendered.
    repair: Prepared,
    links: OrderLinks,
    permit: Permit,
    offsets: Offsets,
    next_sequence: u32,
    /// What left, per lane, and what entries were charged: compared with the permit's ceilings.
    sent: [u64; LANES],
    charged: [u64; LANES],
    /// What entries bound, compared with the permit's stakes.
    stakes: Stakes,
    /// Turns so far: what the record counts a kill in.
    turns: u64,
    /// What the shadow was last told of the kill latch.
    latched: bool,
    /// Pairs whose orders may be missing or not fit any more, where looking goes on, and when the first order
    /// that fits is too old.
    unprepared: PairSet,
    turn_of: usize,
    prepare_due: Nanos,
    /// Pairs whose gaps may have changed, where looking goes on, and whether what lies sealed may not be the nearest.
    unranked: PairSet,
    gap_of: usize,
    unsealed: bool,
    /// The pair and direction whose threshold was nearest then, and idle turns in which nothing was left to do.
    nearest: Option<(usize, Direction)>,
    still: u32,
    /// What dry fires do with quotes.
    dry: Box<DryBooks>,
    /// Pairs whose signal stands on quotes that are known to be old.
    waiting: ArrayVec<PairId, AT_ONCE_MAX>,
    /// Sockets with newer bytes than were read.
    behind: ArrayVec<LinkId, AT_ONCE_MAX>,
    /// On which link each lane's orders lie sealed.
    sealed_on: [LinkId; LANES],
    /// Where packets are stamped.
    packets: Option<Box<Awaited>>,
    /// What was counted.
    pub counts: TraderCounts,
}

impl Trader {
    /// A trader without instruments: it waits for the clerk.
    #[must_use]
    pub fn new(
        settings: TraderSettings,
        mut doors: TraderDoors,
        clock: Clock,
        kill: Latch,
        mut intents: Intents,
    ) -> Self {
        let identity = (settings.instance, settings.epoch);
        let mut links = OrderLinks::new(LINKS_MAX, settings.recv_window_ms, identity);
        let packets = doors.packets.take().map(|arrived| Box::new(Awaited::new(arrived)));
        links.stamp(settings.stamp_sends, packets.is_some());
        session::tap_trader(&mut doors);
        links.links.tap(&doors.tap);
        intents.tap(&doors.tap);
        let (clock, kill) = (clock.tapped(&doors.tap), kill.tapped(&doors.tap, Flag::Kill));
        Self {
            settings,
            doors,
            clock,
            kill,
            intents,
            loaded: None,
            books: Books::default(),
            stalls: Vec::new(),
            ready: Vec::new(),
            repair: Prepared::blank(),
            links,
            permit: Permit::default(),
            offsets: Offsets::default(),
            next_sequence: 0,
            sent: [0; LANES],
            charged: [0; LANES],
            stakes: Stakes::default(),
            turns: 0,
            latched: false,
            unprepared: PairSet::default(),
            turn_of: 0,
            prepare_due: Nanos::NEVER,
            unranked: PairSet::default(),
            gap_of: 0,
            unsealed: false,
            nearest: None,
            still: 0,
            dry: Box::new(DryBooks::new()),
            waiting: ArrayVec::new(),
            behind: ArrayVec::new(),
            sealed_on: [LinkId::default(); LANES],
            packets,
            counts: TraderCounts::default(),
        }
    }

    /// Takes in a generation of instruments. Books start empty; orders prepared before are gone.
    #[inline(never)]
    fn load(&mut self, loaded: Arc<Loaded>) {
        let all = &loaded.instruments;
        self.books = Books::new(all);
        self.dry.load(all);
        let blank = Shelf::blank;
        self.ready = all.pairs.iter().map(|_| [[blank(), blank()], [blank(), blank()]]).collect();
        self.stalls = all
            .pairs
            .iter()
            .take(self.doors.terms.len())
            .map(|row| Stall {
                pair: row.id,
                legs: [row.spot, row.perp],
                venues: [all.get(row.spot).venue, all.get(row.perp).venue],
                terms: Terms::default(),
                busy: false,
                sequence: {
                    self.next_sequence += 1;
                    self.next_sequence
                },
                fired: (0, 0),
                entries: 0,
                pulse_due: Nanos::ZERO,
                signalled: false,
                weighed: [0; Weighed::TEXTS.len()],
                gate: None,
                armed: None,
                proof: Proof::default(),
                gaps: [u64::MAX; 2],
            })
            .collect();
        self.unprepared = PairSet::first(self.stalls.len());
        self.loaded = Some(loaded);
    }

    /// Takes in the next generation of the same instruments: what was signed under the one before is not sent
    /// any more (F46, F74).
    #[inline(never)]
    fn renew(&mut self, loaded: Arc<Loaded>) {
        for shelf in self.ready.iter_mut().flatten().flatten() {
            shelf.spoil();
        }
        self.unprepared = PairSet::first(self.stalls.len());
        self.loaded = Some(loaded);
    }

    /// A new permit: twenty times a second.
    #[cold]
    #[inline(never)]
    fn permitted_anew(&mut self, words: [u64; PERMIT_WORDS]) {
        self.permit = Permit::from_words(words);
    }

    /// What came of weighing each pair, by [`Weighed`], in the order of the pairs.
    pub fn weighed(&self) -> impl Iterator<Item = [u64; Weighed::TEXTS.len()]> {
        self.stalls.iter().map(|stall| stall.weighed)
    }

    /// A signal stands: through the gate, and out.
    fn act(&mut self, pair: PairId, signal: Signal, now: Nanos) {
        if !self.settings.live {
            self.tell_signal(pair, signal);
            return;
        }
        let gate = self.fire_pair(pair, signal, now).err();
        if let Some(why) = gate {
            self.counts.closed[why as usize] += 1;
        }
        self.stalls[usize::from(pair.0)].gate = gate;
    }
}

impl Agent for Trader {
    fn do_work(&mut self, now: Nanos) -> usize {
        self.doors.tap.begin(now);
        self.turns += 1;
        let killed = self.kill.is_set();
        let mut work = self.look_at_latch(killed, now);
        while let Some(loaded) = self.doors.loaded.pop() {
            if self.loaded.is_some() {
                self.renew(loaded);
            } else {
                self.load(loaded);
            }
            work += 1;
        }
        if let Some(words) = self.doors.permit.changed() {
            self.permitted_anew(words);
        }
        if let Some(words) = self.doors.offsets.changed() {
            self.offsets = Offsets::from_words(words);
        }
        work += self.quotes(now);
        work += self.commands(now);
        while let Some(handed) = self.doors.arrivals.pop() {
            self.links.arrive(handed, now, &mut self.doors);
            work += 1;
        }
        if let Some(loaded) = &self.loaded {
            let mut around = Around {
                told: &mut self.doors.told,
                dead: &mut self.doors.dead,
                clock: &self.clock,
                entropy: &mut self.doors.entropy,
                counts: &mut self.counts,
                instruments: &loaded.instruments,
                permit: &self.permit,
                sent: &mut self.sent,
            };
            work += self.links.hold_back(killed, now, &mut around);
            work += self.links.turn(now, &mut around);
        }
        work += self.contingent(now);
        if work == 0 {
            self.pulse(now);
            work += self.prepare_one(now);
        }
        // Whatever it was: a link may be free or gone, an order made or fired.
        self.unsealed |= work > 0;
        // What lies sealed is in no recording, and decides nothing: it is no work, of a recorded turn or of any, so a
        // trader that seals nothing lives through the same turns. A replayed one sends nothing, and seals nothing.
        if work == 0 && self.settings.seals && !self.doors.tap.plays() {
            self.seal_one(now);
        }
        if work == 0 {
            self.take_packets();
        }
        self.doors.tap.end(work);
        work
    }
}
