//! The rooms of a session, fed their own turns again: what they decide must be what they decided.
//!
//! Owns:  both rooms' turns in the order of their time, and holding the replayed shadow's wishes against those
//!        that the recorded trader took.
//! Never: opens a connection, reads a clock or a key.
//! Why:   a replay that went another way than the run is worth less than none, so the first turn in which
//!        anything does not fit ends it, and is named.
//! Quirk: with other settings it is a what-if: books and positions stay those of the recorded run, and the
//!        trader decides anew on the terms and permits of the new shadow. It tells which decisions would have
//!        been others, not what would have been earned.

mod shadow;
mod trader;

pub use shadow::ReplayedShadow;
pub use trader::ReplayedTrader;

use super::begun::Begun;
use super::shadow::ShadowSettings;
use super::trader::TraderSettings;
use crate::event::{Command, PERMIT_WORDS, TERMS_WORDS};
use crate::metal::latest::Reader as Latest;
use crate::metal::tap::{Event, Tap, Turn, TurnFlaw};
use crate::store::session::Room;
use std::collections::VecDeque;
use std::io;

/// Why a replay can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The turn can't be read.
    #[error(transparent)]
    Turn(#[from] TurnFlaw),
    /// The system had no memory.
    #[error("no memory for the rooms ({0}); free some on this host")]
    Memory(#[from] io::Error),
    /// A room went another way than the recorded one.
    #[error(
        "turn {turn} of the {room}: {why}; the engine that recorded this session was another build, or this one is at \
         fault: play it with the program that wrote it"
    )]
    Astray {
        /// Which room.
        room: &'static str,
        /// Which of its turns.
        turn: u64,
        /// What did not fit.
        why: String,
    },
}

fn astray(room: &'static str, turn: u64, why: String) -> ReplayError {
    ReplayError::Astray { room, turn, why }
}

/// Puts a turn's items where its room takes them from.
fn hand_in(
    turn: &Turn<'_>,
    room: &'static str,
    mut put: impl FnMut(u8, &[u8]) -> Option<()>,
) -> Result<(), ReplayError> {
    for event in turn.events() {
        if let Event::Item { door, bytes } = event? {
            let unread = || astray(room, turn.number, format!("an item of door {door} can't be read"));
            put(door, bytes).ok_or_else(unread)?;
        }
    }
    Ok(())
}

/// Whether a room took all that it took then, asked for the same, and did as much.
fn as_then(
    turn: &Turn<'_>,
    room: &'static str,
    tap: &Tap,
    taken: bool,
    work: usize,
) -> Result<(), ReplayError> {
    let why = if !taken {
        "it left an item in a ring that it took".to_owned()
    } else if let Some(why) = tap.flaw() {
        why
    } else if work != turn.work as usize {
        format!("it did {work} things where it did {}", turn.work)
    } else {
        return Ok(());
    };
    Err(astray(room, turn.number, why))
}

/// What a shadow lets its trader do.
#[derive(Debug)]
pub struct Cells {
    permit: Latest<PERMIT_WORDS>,
    terms: Vec<Latest<TERMS_WORDS>>,
}

/// What the rooms of a session are made with.
#[derive(Debug)]
pub struct Made {
    /// The trader.
    pub trader: TraderSettings,
    /// The shadow.
    pub shadow: ShadowSettings,
    /// How the process began.
    pub begun: Begun,
    /// Whether settings are others than the recorded ones.
    pub what_if: bool,
    /// So many decisions were heard in the run; what was told beyond its end is in no hash.
    pub heard: u64,
}

/// The rooms of a session.
#[derive(Debug)]
pub struct Replay {
    /// Until the shadow is made.
    made: Option<Made>,
    rooms: Option<(ReplayedTrader, ReplayedShadow)>,
    what_if: bool,
    /// Turns that wait for an earlier one of the other room: trader, shadow.
    waiting: [VecDeque<Vec<u8>>; 2],
    /// Wishes of the replayed shadow that the recorded trader did not take yet, and the other way round.
    wished: VecDeque<Command>,
    took: VecDeque<Command>,
    /// Turns played.
    pub turns: u64,
}

impl Replay {
    /// Rooms made with this, before their first turns.
    #[must_use]
    pub fn new(made: Made) -> Self {
        Self {
            what_if: made.what_if,
            made: Some(made),
            rooms: None,
            waiting: [VecDeque::new(), VecDeque::new()],
            wished: VecDeque::new(),
            took: VecDeque::new(),
            turns: 0,
        }
    }

    /// Takes one turn in, and plays what no earlier turn can come before.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; the replay is over.
    pub fn take(&mut self, room: Room, turn: &[u8]) -> Result<(), ReplayError> {
        match room {
            Room::Trader => self.waiting[0].push_back(turn.to_vec()),
            Room::Shadow => self.waiting[1].push_back(turn.to_vec()),
            Room::None => {}
        }
        while self.waiting.iter().all(|turns| !turns.is_empty()) {
            self.play_next()?;
        }
        Ok(())
    }

    /// There is no more: plays the rest.
    ///
    /// # Errors
    ///
    /// As [`Replay::take`].
    pub fn finish(&mut self) -> Result<(), ReplayError> {
        while self.waiting.iter().any(|turns| !turns.is_empty()) {
            self.play_next()?;
        }
        Ok(())
    }

    /// The rooms, once the first turn was played.
    pub const fn rooms(&mut self) -> Option<&mut (ReplayedTrader, ReplayedShadow)> {
        self.rooms.as_mut()
    }

    /// Plays the earlier of both rooms' next turns; the shadow's first makes the rooms.
    fn play_next(&mut self) -> Result<(), ReplayError> {
        let when = |turn: &Vec<u8>| turn.first_chunk().map_or(0, |now| u64::from_le_bytes(*now));
        let [trader, shadow] = self.waiting.each_ref().map(|turns| turns.front().map(when));
        let shadow_first =
            self.made.is_some() || trader.is_none_or(|at| shadow.is_some_and(|then| then <= at));
        let Some(turn) = self.waiting[usize::from(shadow_first)].pop_front() else {
            return Err(astray("shadow", 0, "its first turn is not there".to_owned()));
        };
        self.turns += 1;
        if let Some(made) = self.made.take() {
            return self.make(made, &turn);
        }
        let Some((trader, shadow)) = &mut self.rooms else { return Ok(()) };
        if shadow_first {
            shadow.turn(&turn)?;
            self.wished.extend(shadow.wished.drain(..));
        } else {
            trader.turn(&turn)?;
            self.took.extend(trader.wished.drain(..));
        }
        if self.what_if {
            self.wished.clear();
            self.took.clear();
        }
        while !self.wished.is_empty() && !self.took.is_empty() {
            let (wished, took) = (self.wished.pop_front(), self.took.pop_front());
            if wished != took {
                let why = format!("it wishes {wished:?} where it wished {took:?}");
                return Err(astray("shadow", self.turns, why));
            }
        }
        Ok(())
    }

    fn make(&mut self, made: Made, first: &[u8]) -> Result<(), ReplayError> {
        let first = Turn::parse(first)?;
        if first.number != 0 {
            return Err(astray(
                "shadow",
                first.number,
                "what it read while it was made is not there".to_owned(),
            ));
        }
        let Made { trader, shadow, begun, what_if, heard } = made;
        let (shadow, cells) = ReplayedShadow::new(shadow, begun.has_key, &begun.found, &first, !what_if)?;
        let mut trader = ReplayedTrader::new(trader, what_if.then_some(cells))?;
        trader.heard = heard;
        self.rooms = Some((trader, shadow));
        Ok(())
    }
}
