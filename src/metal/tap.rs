//! A room's tap: everything the room takes in during a turn, copied for a session file, or supplied from one.
//!
//! Owns:  what an input is (an item of a ring, a new value of a cell, a reading of a clock, random bytes, a
//!        latch or a full ring, the bytes and the end of a link, a send that came up short), and the seams' way to
//!        both sides.
//! Never: slows a room: without room on the way out the recording ends, and says so; allocates once its
//!        buffer has found its size; costs more than one look at an `Option` when it is off.
//! Map:   `recorder` puts a turn together and sends it out · `player` has one to supply · `turn` its bytes.
//! Why:   the seams of `metal` are the only ways in, so they carry the tap and the rooms know nothing of it
//!        but where a turn begins and ends (DESIGN §9).
//! Quirk: a turn in which nothing came in, nothing went out and no work was done is *quiet*, and left out:
//!        a spinning room makes millions of them. What a room changes by the time alone, it must
//!        [`Tap::keep`].

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::link::LinkError;
use super::player::{Player, error_bytes, error_from};
use super::recorder::Recorder;
pub use super::recorder::Turns;
use super::turn::tag;
pub use super::turn::{Event, Turn, TurnFlaw};
use crate::units::id::LinkId;
use crate::units::time::{Nanos, Unix};

/// Questions that are answered yes or no.
pub(super) const FLAGS: usize = 8;

/// A question answered yes or no. Recorded only where the answer is another than the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Flag {
    /// Is the kill latch set?
    Kill = 0,
    /// Is the stop latch set?
    Stop,
    /// Has the ring to the other room so much room?
    Room,
    /// Has the ring of records so much room?
    Records,
    /// Is there an intent slot?
    Claim,
    /// Has the ring of wishes so much room?
    Commands,
}

impl Flag {
    /// What is answered as long as nothing else was recorded.
    pub(super) const USUAL: [bool; FLAGS] = [false, false, true, true, true, true, false, false];
}

/// The tap of one room; clones are the same tap. Off by default.
#[derive(Clone, Debug, Default)]
pub struct Tap(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    /// The room's turn; 0 while it is being made.
    turn: AtomicU64,
    side: Mutex<Side>,
}

#[derive(Debug)]
enum Side {
    Record(Recorder),
    Play(Player),
}

/// How often a seam was asked in the present turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    turn: u64,
    n: u32,
}

impl Asked {
    /// The number of this question in its turn.
    fn next(&mut self, turn: u64) -> u32 {
        if self.turn != turn {
            *self = Self { turn, n: 0 };
        }
        self.n += 1;
        self.n - 1
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Side> {
    // One room, one thread: nobody waits here.
    shared.side.lock().unwrap_or_else(PoisonError::into_inner)
}

// ───────────────────────────── the two sides ─────────────────────────────

impl Tap {
    /// No tap.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// A tap that records, and where its turns come out.
    #[must_use]
    pub fn record() -> (Self, Turns) {
        let (recorder, turns) = Recorder::new();
        (Self::on(Side::Record(recorder)), turns)
    }

    /// A tap that supplies what [`Tap::load`] gives it. `loose`: for a room whose settings are others than
    /// the recorded one's.
    #[must_use]
    pub fn play(loose: bool) -> Self {
        Self::on(Side::Play(Player::new(loose)))
    }

    fn on(side: Side) -> Self {
        Self(Some(Arc::new(Shared { turn: AtomicU64::new(0), side: Mutex::new(side) })))
    }

    /// Whether it is there at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it supplies a room whose settings are others than the recorded one's.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        match self.0.as_deref().map(lock).as_deref() {
            Some(Side::Play(player)) => player.loose,
            _ => false,
        }
    }

    /// The room's next turn will be this one. Items of rings are not the tap's: whoever plays puts them into
    /// the rings.
    pub fn load(&self, turn: &Turn<'_>) {
        let Some(shared) = &self.0 else { return };
        let mut side = lock(shared);
        if let Side::Play(player) = &mut *side {
            player.load(turn);
        }
    }

    /// What did not fit: the first input that the room did not ask for, or asked for in vain.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        match &*lock(self.0.as_ref()?) {
            Side::Play(player) => player.flaw.clone(),
            Side::Record(_) => None,
        }
    }

    // ───────────────────────────── a turn ─────────────────────────────

    /// A turn of the room begins.
    #[inline]
    pub fn begin(&self, now: Nanos) {
        if let Some(shared) = &self.0 {
            begin(shared, now);
        }
    }

    /// The turn is over, and did so much.
    #[inline]
    pub fn end(&self, work: usize) {
        if let Some(shared) = &self.0 {
            end(shared, work);
        }
    }

    /// This turn is no quiet one.
    #[inline]
    pub fn keep(&self) {
        if let Some(shared) = &self.0
            && let Side::Record(recorder) = &mut *lock(shared)
        {
            recorder.kept = true;
        }
    }

    // ───────────────────────────── the seams ─────────────────────────────

    /// An item was taken from a ring.
    #[inline]
    pub(super) fn item<T>(&self, door: u8, item: &T, put: fn(&T, &mut Vec<u8>)) {
        let Some(shared) = &self.0 else { return };
        if let Side::Record(recorder) = &mut *lock(shared) {
            recorder.begin(tag::ITEM, &[door]);
            recorder.item(|out| put(item, out));
        }
    }

    /// A cell was looked at, and had a new value or none.
    #[inline]
    pub(super) fn look<const N: usize>(
        &self,
        door: u16,
        asked: &mut Asked,
        found: Option<[u64; N]>,
    ) -> Option<[u64; N]> {
        const { assert!(N <= u8::MAX as usize, "the file counts words in a byte") };
        let Some(shared) = &self.0 else { return found };
        let at = asked.next(shared.turn.load(Relaxed));
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                if let Some(words) = &found {
                    recorder.begin(tag::CELL, &door.to_le_bytes());
                    recorder.more(&(at as u16).to_le_bytes());
                    recorder.more(&[N as u8]);
                    words.iter().for_each(|word| recorder.more(&word.to_le_bytes()));
                }
                found
            }
            Side::Play(player) => {
                let words = player.take(tag::CELL, u32::from(door), Some(at))?.as_chunks::<8>().0;
                let words: [[u8; 8]; N] = words.try_into().ok()?;
                Some(words.map(u64::from_le_bytes))
            }
        }
    }

    /// A cell was read that is not waited for: all of a turn hears the same.
    pub(super) fn hold<const N: usize>(&self, door: u16, words: [u64; N]) -> [u64; N] {
        const { assert!(N <= u8::MAX as usize, "the file counts words in a byte") };
        let Some(shared) = &self.0 else { return words };
        let turn = shared.turn.load(Relaxed);
        match &mut *lock(shared) {
            Side::Record(recorder) => recorder.hold(door, turn, words),
            Side::Play(player) => player.hold(door, turn, words),
        }
    }

    /// The monotonic clock was read.
    #[inline]
    pub(super) fn time(&self, read: impl FnOnce() -> Nanos) -> Nanos {
        let Some(shared) = &self.0 else { return read() };
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                let now = read();
                recorder.begin(tag::TIME, &now.0.to_le_bytes());
                now
            }
            Side::Play(player) => {
                if let Some(word) = player.word(tag::TIME) {
                    player.now = player.now.max(Nanos(word));
                }
                player.now
            }
        }
    }

    /// The calendar was read.
    pub(super) fn unix(&self, read: impl FnOnce() -> Unix) -> Unix {
        let Some(shared) = &self.0 else { return read() };
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                let at = read();
                recorder.begin(tag::UNIX, &at.0.to_le_bytes());
                at
            }
            Side::Play(player) => {
                if let Some(word) = player.word(tag::UNIX) {
                    player.at = Unix(word as i64);
                }
                player.at
            }
        }
    }

    /// A random number was drawn.
    pub(super) fn draw(&self, draw: impl FnOnce() -> u64) -> u64 {
        let Some(shared) = &self.0 else { return draw() };
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                let word = draw();
                recorder.begin(tag::DRAW, &word.to_le_bytes());
                word
            }
            Side::Play(player) => player.word(tag::DRAW).unwrap_or_default(),
        }
    }

    /// A question was answered yes or no.
    #[inline]
    pub(super) fn answer(&self, flag: Flag, truth: bool) -> bool {
        let Some(shared) = &self.0 else { return truth };
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                recorder.answer(flag, truth);
                truth
            }
            Side::Play(player) => player.answer(flag),
        }
    }

    /// Whether it supplies.
    #[must_use]
    pub fn plays(&self) -> bool {
        self.0.as_deref().is_some_and(|shared| matches!(&*lock(shared), Side::Play(_)))
    }

    /// Whether an intent slot was had, where a recording says so; `None`: nobody plays one.
    #[inline]
    pub(super) fn claimed(&self) -> Option<bool> {
        self.plays().then(|| self.answer(Flag::Claim, true))
    }

    /// What a link brought: its new bytes, or its end.
    #[inline]
    pub(super) fn received(&self, link: LinkId, bytes: &[u8], end: Option<&LinkError>) {
        let Some(shared) = &self.0 else { return };
        if let Side::Record(recorder) = &mut *lock(shared) {
            let text = end.map(error_bytes);
            let (tag, bytes) = text.as_deref().map_or((tag::RECEIVED, bytes), |text| (tag::ENDED, text));
            recorder.begin(tag, &link.0.to_le_bytes());
            recorder.long(bytes);
        }
    }

    /// What became of a send or a flush, if it was no full success: how many bytes the link keeps, or why.
    #[inline]
    pub(super) fn sent(&self, link: LinkId, asked: &mut Asked, outcome: &Result<usize, LinkError>) {
        let Some(shared) = &self.0 else { return };
        let at = asked.next(shared.turn.load(Relaxed));
        if let Side::Record(recorder) = &mut *lock(shared) {
            recorder.kept = true;
            let how = match outcome {
                Ok(0) => return,
                Ok(queued) => [&[0][..], &(*queued as u32).to_le_bytes()].concat(),
                Err(error) => error_bytes(error),
            };
            recorder.begin(tag::SHORT, &link.0.to_le_bytes());
            recorder.more(&(at as u16).to_le_bytes());
            recorder.long(&how);
        }
    }

    /// Whether a recording has something from this link in the present turn.
    pub(super) fn has_received(&self, link: LinkId) -> bool {
        match self.0.as_deref().map(lock).as_deref() {
            Some(Side::Play(player)) => player.of_link(link.0).is_some(),
            _ => false,
        }
    }

    /// The next that a recording has from this link, handed to `take`.
    pub(super) fn receive<R>(
        &self,
        link: LinkId,
        peer: &str,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, LinkError> {
        let Some(shared) = &self.0 else { return Ok(None) };
        let Side::Play(player) = &mut *lock(shared) else { return Ok(None) };
        let tag = player.of_link(link.0);
        if tag.is_none() {
            player.misses(tag::name(tag::RECEIVED));
        }
        match tag.and_then(|tag| Some((tag, player.take(tag, link.0, None)?))) {
            None => Ok(None),
            Some((tag::ENDED, why)) => Err(error_from(why, peer)),
            Some((_, bytes)) => Ok(Some(take(bytes))),
        }
    }

    /// What a recording says of this send or flush: how many bytes the link keeps, or why it failed.
    pub(super) fn outcome(&self, link: LinkId, asked: Asked, peer: &str) -> Result<usize, LinkError> {
        let Some(shared) = &self.0 else { return Ok(0) };
        let mut asked = asked;
        let at = asked.next(shared.turn.load(Relaxed));
        let Side::Play(player) = &mut *lock(shared) else { return Ok(0) };
        match player.take(tag::SHORT, link.0, Some(at)) {
            None => Ok(0),
            Some([0, a, b, c, d]) => Ok(u32::from_le_bytes([*a, *b, *c, *d]) as usize),
            Some(why) => Err(error_from(why, peer)),
        }
    }
}

#[cold]
fn begin(shared: &Shared, now: Nanos) {
    let turn = shared.turn.fetch_add(1, Relaxed) + 1;
    match &mut *lock(shared) {
        Side::Record(recorder) => recorder.start(now, turn),
        Side::Play(player) => player.start(),
    }
}

#[cold]
fn end(shared: &Shared, work: usize) {
    match &mut *lock(shared) {
        Side::Record(recorder) => recorder.end(work),
        Side::Play(player) => player.end(),
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
