//! The supplying side of a tap: one recorded turn, input by input, as the room asks for it.
//!
//! Owns:  what of the turn was not asked for yet, and the first thing that did not fit.
//! Never: makes an input up for a room with the recorded settings: what it has not, it reports.

use super::link::LinkError;
use super::recorder::Held;
use super::tap::{FLAGS, Flag};
use super::turn::{Event, Turn, tag};
use crate::units::time::{Nanos, Unix};

/// The supplying side of one turn.
#[derive(Debug)]
pub(super) struct Player {
    bytes: Vec<u8>,
    events: Vec<Due>,
    asked: [u32; FLAGS],
    last: [bool; FLAGS],
    held: Vec<Held>,
    pub(super) now: Nanos,
    pub(super) at: Unix,
    /// A room with other settings asks other questions: what it finds no answer for is told as usual.
    pub(super) loose: bool,
    pub(super) flaw: Option<String>,
}

/// A recorded input that waits to be asked for.
#[derive(Debug)]
struct Due {
    tag: u8,
    key: u32,
    at: u32,
    /// Its payload in `Player::bytes`.
    bytes: std::ops::Range<usize>,
    used: bool,
}

impl Player {
    pub(super) fn new(loose: bool) -> Self {
        Self {
            bytes: Vec::new(),
            events: Vec::new(),
            asked: [0; FLAGS],
            last: Flag::USUAL,
            held: Vec::new(),
            now: Nanos::ZERO,
            at: Unix(0),
            loose,
            flaw: None,
        }
    }

    /// The room's next turn will be this one.
    pub(super) fn load(&mut self, turn: &Turn<'_>) {
        self.bytes.clear();
        self.events.clear();
        self.now = turn.now;
        for event in turn.events().flatten() {
            let (tag, key, at, bytes) = match event {
                Event::Item { .. } => continue,
                Event::Cell { door, at, words } => (tag::CELL, u32::from(door), at, words),
                Event::Time(bytes) => (tag::TIME, 0, 0, bytes),
                Event::Unix(bytes) => (tag::UNIX, 0, 0, bytes),
                Event::Draw(bytes) => (tag::DRAW, 0, 0, bytes),
                Event::Flip { flag, at } => (tag::FLIP, u32::from(flag), at, &[][..]),
                Event::Received { link, bytes } => (tag::RECEIVED, link, 0, bytes),
                Event::Ended { link, why } => (tag::ENDED, link, 0, why),
                Event::Short { link, at, how } => (tag::SHORT, link, at, how),
            };
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            self.events.push(Due { tag, key, at, bytes: start..self.bytes.len(), used: false });
        }
    }

    pub(super) fn start(&mut self) {
        self.asked = [0; FLAGS];
    }

    /// The turn is over: all of it should have been asked for.
    pub(super) fn end(&mut self) {
        if let Some(left) = self.events.iter().find(|due| !due.used)
            && !self.loose
        {
            let left = tag::name(left.tag);
            self.flaw.get_or_insert_with(|| format!("the room did not ask for {left}"));
        }
    }

    /// The first input of this kind that was not asked for yet; `at`: only if it is this question's.
    pub(super) fn take(&mut self, tag: u8, key: u32, at: Option<u32>) -> Option<&[u8]> {
        let due = self.events.iter_mut().find(|due| !due.used && due.tag == tag && due.key == key)?;
        if at.is_some_and(|at| at != due.at) {
            return None;
        }
        due.used = true;
        Some(&self.bytes[due.bytes.clone()])
    }

    /// What a cell is in this turn.
    pub(super) fn hold<const N: usize>(&mut self, door: u16, turn: u64, words: [u64; N]) -> [u64; N] {
        if Held::of(&mut self.held, door).turn != Some(turn) {
            let new = self
                .take(tag::CELL, u32::from(door), Some(0))
                .map(|bytes| bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect());
            let held = Held::of(&mut self.held, door);
            held.turn = Some(turn);
            held.words = new.unwrap_or_else(|| std::mem::take(&mut held.words));
        }
        Held::of(&mut self.held, door).words(words)
    }

    /// The next number of this kind.
    pub(super) fn word(&mut self, tag: u8) -> Option<u64> {
        let word = self.take(tag, 0, None).and_then(|bytes| bytes.first_chunk().copied());
        if word.is_none() {
            self.misses(tag::name(tag));
        }
        word.map(u64::from_le_bytes)
    }

    /// The answer to a question.
    pub(super) fn answer(&mut self, flag: Flag) -> bool {
        let at = self.asked[flag as usize];
        self.asked[flag as usize] += 1;
        let flipped = self.take(tag::FLIP, flag as u32, Some(at)).is_some();
        self.last[flag as usize] ^= flipped;
        self.last[flag as usize]
    }

    /// Which kind of news a link has next: bytes, or its end.
    pub(super) fn of_link(&self, link: u32) -> Option<u8> {
        let of_link = |due: &&Due| matches!(due.tag, tag::RECEIVED | tag::ENDED) && due.key == link;
        self.events.iter().filter(|due| !due.used).find(of_link).map(|due| due.tag)
    }

    #[cold]
    pub(super) fn misses(&mut self, what: &str) {
        if !self.loose {
            self.flaw.get_or_insert_with(|| format!("the room asked for {what} that was not recorded"));
        }
    }
}

/// An error's kind and its detail. Whom it came from, the link knows.
pub(super) fn error_bytes(error: &LinkError) -> Vec<u8> {
    let (kind, detail) = match error {
        LinkError::Busy => (1, ""),
        LinkError::NotOpen => (2, ""),
        LinkError::Closed { .. } => (3, ""),
        LinkError::Truncated { .. } => (4, ""),
        LinkError::TimedOut { .. } => (5, ""),
        LinkError::Reset { detail, .. } => (6, detail.as_str()),
        LinkError::Tls { detail, .. } => (7, detail.as_str()),
        // Before a link is open, or told by the link itself: no room meets them here.
        _ => (6, "the connection failed"),
    };
    [&[kind][..], detail.as_bytes()].concat()
}

pub(super) fn error_from(bytes: &[u8], peer: &str) -> LinkError {
    let peer = peer.to_owned();
    let (kind, detail) = bytes.split_first().unwrap_or((&0, &[]));
    let detail = String::from_utf8_lossy(detail).into_owned();
    match kind {
        1 => LinkError::Busy,
        2 => LinkError::NotOpen,
        3 => LinkError::Closed { peer },
        4 => LinkError::Truncated { peer },
        5 => LinkError::TimedOut { peer },
        7 => LinkError::Tls { peer, detail },
        _ => LinkError::Reset { peer, detail },
    }
}
