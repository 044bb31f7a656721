//! A recorded trader, fed its own turns again: what it decides must be what it decided.
//!
//! Owns:  the doors of a replayed room, their far ends, and holding what the room asks for against what was
//!        recorded.
//! Never: opens a connection, reads a clock or a key; sends what is sent anywhere but into nothing.
//! Why:   a replay that went another way than the run is worth less than none, so the first turn in which
//!        anything does not fit ends it, and is named.

use super::decisions::Decisions;
use super::engine::{COMMAND_SLOTS, FEED_SLOTS, INTENT_SLOTS, LINK_SLOTS, PAIRS_MAX, TOLD_SLOTS};
use super::session::{door, take_handed, take_loaded};
use super::trader::{Trader, TraderDoors, TraderSettings};
use super::{Dead, Handed, Loaded};
use crate::event::bytes::whole;
use crate::event::{
    Command, Feed, Instruments, LANES, Offsets, PERMIT_WORDS, Permit, TERMS_WORDS, Terms, Told,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::metal::latest::latest;
use crate::metal::ring::{Consumer, Producer, ring};
use crate::metal::runner::Agent;
use crate::metal::tap::{Event, Tap, Turn, TurnFlaw};
use crate::units::Nanos;
use std::io;
use std::sync::Arc;

/// Why a replay can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The turn can't be read.
    #[error(transparent)]
    Turn(#[from] TurnFlaw),
    /// The room went another way than the recorded one.
    #[error(
        "turn {turn}: {why}; the engine that recorded this session was another build, or this one is at fault: play it \
         with the program that wrote it"
    )]
    Astray {
        /// Which of the room's turns.
        turn: u64,
        /// What did not fit.
        why: String,
    },
}

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
    /// A trader with these settings that has had no turn yet.
    ///
    /// # Errors
    ///
    /// The system had no memory for its intent records.
    pub fn new(settings: TraderSettings) -> io::Result<Self> {
        let tap = Tap::play(false);
        let (feed, feed_out) = ring(FEED_SLOTS);
        let (commands, commands_out) = ring(COMMAND_SLOTS);
        let (arrivals, arrivals_out) = ring(LINK_SLOTS);
        let (loaded, loaded_out) = ring(2);
        let (told_in, told) = ring(TOLD_SLOTS);
        let (dead_in, dead) = ring(LINK_SLOTS);
        let (_, permit) = latest::<PERMIT_WORDS>(Permit::default().to_words());
        let (_, offsets) = latest::<LANES>(Offsets::default().to_words());
        let terms = (0..PAIRS_MAX).map(|_| latest::<TERMS_WORDS>(Terms::default().to_words()).1).collect();
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
        let astray = |why: String| ReplayError::Astray { turn: turn.number, why };
        for event in turn.events() {
            if let Event::Item { door, bytes } = event? {
                self.put(door, bytes)
                    .ok_or_else(|| astray(format!("an item of door {door} can't be read")))?;
            }
        }
        self.tap.load(&turn);
        let work = self.room.do_work(turn.now);
        while let Some(told) = self.told.pop() {
            if self.decisions.lines < self.heard {
                self.decisions.told(&told, &self.instruments);
            }
        }
        while self.dead.pop().is_some() {}
        let taken = self.feed.is_taken()
            && self.commands.is_taken()
            && self.arrivals.is_taken()
            && self.loaded.is_taken();
        if !taken {
            return Err(astray("it left an item in a ring that it took".to_owned()));
        }
        if let Some(why) = self.tap.flaw() {
            return Err(astray(why));
        }
        if work != turn.work as usize {
            return Err(astray(format!("it did {work} things where it did {}", turn.work)));
        }
        self.span = Some((self.span.map_or(turn.now, |(first, _)| first), turn.now));
        self.turns += 1;
        Ok(())
    }

    /// Puts a recorded item where the room takes it from.
    fn put(&mut self, door: u8, bytes: &[u8]) -> Option<()> {
        match door {
            door::FEED => self.feed.push(whole(bytes)?).ok(),
            door::COMMANDS => self.commands.push(whole(bytes)?).ok(),
            door::ARRIVALS => self.arrivals.push(take_handed(bytes, &self.tap, &self.instruments)?).ok(),
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
