//! A recorded trader, fed its own turns again; or one with other settings, fed the same market.
//!
//! Owns:  the doors of a replayed trader, their far ends, and holding what it asks for against what was recorded.
//! Never: sends what is sent anywhere but into nothing.
//! Quirk: with other settings, its orders are answered at once by a body that says nothing, since nobody knows
//!        what would have become of them; its links are never lost, and a pair that it fired is free again when
//!        the recorded one was.

use super::{Cells, ReplayError, as_then, hand_in};
use crate::agents::decisions::Decisions;
use crate::agents::engine::{COMMAND_SLOTS, FEED_SLOTS, INTENT_SLOTS, LINK_SLOTS, PAIRS_MAX, TOLD_SLOTS};
use crate::agents::session::{door, take_handed, take_loaded};
use crate::agents::trader::{Trader, TraderDoors, TraderSettings};
use crate::agents::{Dead, Handed, Loaded, Purpose};
use crate::event::bytes::whole;
use crate::event::{
    Command, Feed, Instruments, LANES, Offsets, PERMIT_WORDS, Permit, TERMS_WORDS, Terms, Told,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::metal::latest::latest;
use crate::metal::link::{MemoryPeer, memory_pair};
use crate::metal::ring::{Consumer, Producer, ring};
use crate::metal::runner::Agent;
use crate::metal::tap::{Tap, Turn};
use crate::units::Nanos;
use std::io;
use std::sync::Arc;

/// Its name in errors.
const ROOM: &str = "trader";
/// What a venue nobody asked says to an order.
const SILENCE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// The trader of a session.
#[derive(Debug)]
pub struct ReplayedTrader {
    tap: Tap,
    room: Trader,
    feed: Producer<Feed>,
    commands: Producer<Command>,
    arrivals: Producer<Handed>,
    loaded: Producer<Arc<Loaded>>,
    told: Consumer<Told>,
    dead: Consumer<Dead>,
    recv_window_ms: u32,
    instruments: Arc<Instruments>,
    /// With other settings: the far ends of its order links.
    venue: Option<Vec<MemoryPeer>>,
    sent: Vec<u8>,
    /// What it took of the shadow's wishes.
    pub(super) wished: Vec<Command>,
    /// What it decided.
    pub decisions: Decisions,
    /// So many of its decisions were heard in the run; what it told beyond its end is in no hash.
    pub heard: u64,
    /// The first and the last turn's time.
    pub span: Option<(Nanos, Nanos)>,
    /// Turns played.
    pub turns: u64,
}

impl ReplayedTrader {
    /// A trader with these settings that has had no turn yet. With `cells`, its settings are others than the
    /// recorded one's, and what it may do comes from there.
    ///
    /// # Errors
    ///
    /// The system had no memory for its intent records.
    pub fn new(settings: TraderSettings, cells: Option<Cells>) -> io::Result<Self> {
        let other = cells.is_some();
        let tap = Tap::play(other);
        let (feed, feed_out) = ring(FEED_SLOTS);
        let (commands, commands_out) = ring(COMMAND_SLOTS);
        let (arrivals, arrivals_out) = ring(LINK_SLOTS);
        let (loaded, loaded_out) = ring(2);
        let (told_in, told) = ring(TOLD_SLOTS);
        let (dead_in, dead) = ring(LINK_SLOTS);
        let (_, offsets) = latest::<LANES>(Offsets::default().to_words());
        let Cells { permit, terms } = cells.unwrap_or_else(|| Cells {
            permit: latest::<PERMIT_WORDS>(Permit::default().to_words()).1,
            terms: (0..PAIRS_MAX).map(|_| latest::<TERMS_WORDS>(Terms::default().to_words()).1).collect(),
        });
        let doors = TraderDoors {
            feed: feed_out,
            commands: commands_out,
            arrivals: arrivals_out,
            loaded: loaded_out,
            permit,
            offsets,
            terms,
            told: told_in,
            dead: dead_in,
            tee: None,
            packets: None,
            // Never drawn from: the tap supplies.
            entropy: Entropy::seeded(0),
            tap: tap.clone(),
        };
        let (intents, _) = IntentsMemory::anonymous(INTENT_SLOTS)?.halves();
        let recv_window_ms = settings.recv_window_ms;
        let room = Trader::new(settings, doors, Clock::virtual_time().0, Latch::new(), intents);
        Ok(Self {
            tap,
            room,
            feed,
            commands,
            arrivals,
            loaded,
            told,
            dead,
            recv_window_ms,
            instruments: Arc::default(),
            venue: other.then(Vec::new),
            sent: Vec::new(),
            wished: Vec::new(),
            decisions: Decisions::default(),
            heard: u64::MAX,
            span: None,
            turns: 0,
        })
    }

    /// Plays one turn.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; the trader is of no use any more.
    pub fn turn(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let turn = Turn::parse(bytes)?;
        hand_in(&turn, ROOM, |door, bytes| self.put(door, bytes))?;
        self.tap.load(&turn);
        let work = self.room.do_work(turn.now);
        while let Some(told) = self.told.pop() {
            if self.decisions.lines < self.heard {
                self.decisions.told(&told, &self.instruments);
            }
        }
        while self.dead.pop().is_some() {}
        for peer in self.venue.iter_mut().flatten() {
            self.sent.clear();
            if peer.take(&mut self.sent) > 0 {
                peer.deliver(SILENCE);
            }
        }
        if self.venue.is_none() {
            let taken = self.feed.is_taken()
                && self.commands.is_taken()
                && self.arrivals.is_taken()
                && self.loaded.is_taken();
            as_then(&turn, ROOM, &self.tap, taken, work)?;
        }
        self.span = Some((self.span.map_or(turn.now, |(first, _)| first), turn.now));
        self.turns += 1;
        Ok(())
    }

    /// Puts a recorded item where the room takes it from.
    fn put(&mut self, door: u8, bytes: &[u8]) -> Option<()> {
        match door {
            door::FEED => self.feed.push(whole(bytes)?).ok(),
            door::COMMANDS => {
                let command: Command = whole(bytes)?;
                self.wished.push(command);
                // What is to be repaired there was never sent here.
                let free = matches!(command, Command::Free { .. });
                if free || self.venue.is_none() { self.commands.push(command).ok() } else { Some(()) }
            }
            door::ARRIVALS => {
                let mut handed = take_handed(bytes, &self.tap, &self.instruments)?;
                if let (Some(peers), Purpose::Order { .. }) = (&mut self.venue, handed.purpose) {
                    let (room, max) = handed.link.room();
                    let (link, peer) = memory_pair(handed.link.id, handed.link.peer(), room, max);
                    handed.link = link;
                    peers.push(peer);
                }
                self.arrivals.push(handed).ok()
            }
            door::LOADED => {
                let loaded = take_loaded(bytes, self.recv_window_ms)?;
                self.instruments = Arc::clone(&loaded.instruments);
                self.loaded.push(Arc::new(loaded)).ok()
            }
            _ => None,
        }
    }

    /// The room, to ask what it counted.
    #[must_use]
    pub const fn room(&self) -> &Trader {
        &self.room
    }
}
