//! A recorded shadow, fed its own turns again; with other settings, its terms and permits come out anew.
//!
//! Owns:  the doors of a replayed shadow, their far ends, and holding what it asks for against what was recorded.
//! Never: writes a journal, asks a venue, or tells an operator.

use super::{Cells, ReplayError, as_then, hand_in};
use crate::agents::begun::Found;
use crate::agents::engine::{
    COMMAND_SLOTS, INTENT_SLOTS, LINK_SLOTS, MARK_SLOTS, NEWS_SLOTS, PAIRS_MAX, RECORD_SLOTS, TOLD_SLOTS,
};
use crate::agents::session::{door, sound, take_handed};
use crate::agents::shadow::operator::OperatorDoors;
use crate::agents::shadow::{Shadow, ShadowDoors, ShadowSettings};
use crate::agents::{Dead, Handed};
use crate::event::bytes::whole;
use crate::event::{
    Asked, Command, Instruments, LANES, Mark, News, Offsets, PERMIT_WORDS, Permit, READS_WORDS, Reads,
    Record, Replied, TERMS_WORDS, Terms, Told,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::metal::latest::{Reader as Latest, latest};
use crate::metal::ring::{Consumer, Producer, ring};
use crate::metal::runner::Agent;
use crate::metal::tap::{Tap, Turn};
use crate::units::Nanos;
use crate::venue::{Key, KeyKind};
use std::io;
use std::sync::Arc;

/// Its name in errors.
const ROOM: &str = "shadow";
/// Questions that can wait.
const ASK_SLOTS: usize = 1 << 6;

/// The shadow of a session.
#[derive(Debug)]
pub struct ReplayedShadow {
    tap: Tap,
    room: Shadow,
    told: Producer<Told>,
    marks: Producer<Mark>,
    news: Producer<News>,
    arrivals: Producer<Handed>,
    asks: Producer<Asked>,
    dead: Consumer<Dead>,
    commands: Consumer<Command>,
    records: Consumer<Record>,
    replies: Consumer<Replied>,
    reads: Latest<READS_WORDS>,
    instruments: Arc<Instruments>,
    exact: bool,
    /// What it wished of the trader.
    pub(super) wished: Vec<Command>,
    /// When its last turn was.
    pub(super) now: Nanos,
}

impl ReplayedShadow {
    /// A shadow with these settings; `first` is what it read while it was made. `exact`: they are those of the
    /// recorded one. Also what its trader may do.
    ///
    /// # Errors
    ///
    /// The system had no memory for intent records.
    pub fn new(
        settings: ShadowSettings,
        has_key: bool,
        found: &Found,
        first: &Turn<'_>,
        exact: bool,
    ) -> io::Result<(Self, Cells)> {
        let tap = Tap::play(!exact);
        tap.load(first);
        let (told, told_out) = ring(TOLD_SLOTS);
        let (marks, marks_out) = ring(MARK_SLOTS);
        let (news, news_out) = ring(NEWS_SLOTS);
        let (arrivals, arrivals_out) = ring(LINK_SLOTS);
        let (asks, asks_out) = ring(ASK_SLOTS);
        let (replies_in, replies) = ring(ASK_SLOTS);
        let (dead_in, dead) = ring(LINK_SLOTS);
        let (commands_in, commands) = ring(COMMAND_SLOTS);
        let (records_in, records) = ring(RECORD_SLOTS);
        let (_, offsets) = latest::<LANES>(Offsets::default().to_words());
        let (_, durable) = latest::<1>([0]);
        let (permit_in, permit) = latest::<PERMIT_WORDS>(Permit::default().to_words());
        let (reads_in, reads) = latest::<READS_WORDS>(Reads::default().to_words());
        let (terms_in, terms): (Vec<_>, Vec<_>) =
            (0..PAIRS_MAX).map(|_| latest::<TERMS_WORDS>(Terms::default().to_words())).unzip();
        let doors = ShadowDoors {
            told: told_out,
            marks: marks_out,
            news: news_out,
            arrivals: arrivals_out,
            dead: dead_in,
            offsets,
            commands: commands_in,
            permit: permit_in,
            reads: reads_in,
            terms: terms_in,
            records: records_in,
            durable,
            lines: None,
            // Never drawn from: the tap supplies.
            entropy: Entropy::seeded(0),
            operator: OperatorDoors { asks: asks_out, replies: replies_in, kill: Latch::new() },
            tap: tap.clone(),
        };
        let (_, intents) = IntentsMemory::recorded(INTENT_SLOTS, found.origin, &found.left)?.halves();
        let key = has_key.then(|| Arc::new(Key::nobody(KeyKind::Hmac)));
        let clock = Clock::virtual_time().0;
        let room = Shadow::new(settings, doors, clock, key, Latch::new(), Latch::new(), intents);
        let shadow = Self {
            tap,
            room,
            told,
            marks,
            news,
            arrivals,
            asks,
            dead,
            commands,
            records,
            replies,
            reads,
            instruments: Arc::default(),
            exact,
            wished: Vec::new(),
            now: first.now,
        };
        Ok((shadow, Cells { permit, terms }))
    }

    /// Plays one turn.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; the shadow is of no use any more.
    pub fn turn(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let turn = Turn::parse(bytes)?;
        hand_in(&turn, ROOM, |door, bytes| self.put(door, bytes))?;
        self.tap.load(&turn);
        let work = self.room.do_work(turn.now);
        self.now = turn.now;
        self.wished.extend(std::iter::from_fn(|| self.commands.pop()));
        while self.records.pop().is_some() {}
        while self.dead.pop().is_some() {}
        while self.replies.pop().is_some() {}
        let _ = self.reads.changed();
        if !self.exact {
            return Ok(());
        }
        let taken = self.told.is_taken()
            && self.marks.is_taken()
            && self.news.is_taken()
            && self.arrivals.is_taken()
            && self.asks.is_taken();
        as_then(&turn, ROOM, &self.tap, taken, work)
    }

    /// Puts a recorded item where the room takes it from.
    fn put(&mut self, door: u8, bytes: &[u8]) -> Option<()> {
        match door {
            door::TOLD => self.told.push(whole(bytes)?).ok(),
            door::MARKS => self.marks.push(whole(bytes)?).ok(),
            door::ASKS => self.asks.push(whole(bytes)?).ok(),
            door::ARRIVALS => self.arrivals.push(take_handed(bytes, &self.tap, &self.instruments)?).ok(),
            door::NEWS => {
                let news: News = whole(bytes)?;
                if let News::Instruments { instruments, .. }
                | News::Relisted { instruments: Some(instruments), .. } = &news
                {
                    sound(instruments)?;
                    self.instruments = Arc::clone(instruments);
                }
                self.news.push(news).ok()
            }
            _ => None,
        }
    }

    /// The room, to ask what it knows.
    pub const fn room(&mut self) -> &mut Shadow {
        &mut self.room
    }
}
