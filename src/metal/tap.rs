//! A room's tap: everything the room takes in during a turn, copied for a session file, or supplied from one.
//!
//! Owns:  what an input is (an item of a ring, a new value of a cell, a reading of a clock, random bytes, a
//!        latch or a full ring, the bytes and the end of a link, a send that came up short), its byte form,
//!        and the way of a turn's bytes out of the room.
//! Never: slows a room: without room on the way out the recording ends, and says so; allocates once its
//!        buffer has found its size; costs more than one look at an `Option` when it is off.
//! Why:   the seams of `metal` are the only ways in, so they carry the tap and the rooms know nothing of it
//!        but where a turn begins and ends (DESIGN §9).
//! Quirk: a turn in which nothing came in, nothing went out and no work was done is *quiet*, and left out:
//!        a spinning room makes millions of them. What a room changes by the time alone, it must
//!        [`Tap::keep`].

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::link::LinkError;
use super::ring::{Consumer, Producer, ring};
pub use super::turn::{Event, Turn, TurnFlaw};
use super::turn::{HEADER, tag};
use crate::units::id::LinkId;
use crate::units::time::{Nanos, Unix};

/// Bytes of a turn that travel together.
const CHUNK_BYTES: usize = 254;
/// Chunks between a room and whoever writes the file: 4 MiB, some seconds of the busiest market.
const CHUNKS: usize = 1 << 14;
/// Where a turn's bytes are put together; more than all but the largest need.
const TURN_BYTES: usize = 1 << 18;
/// Questions that are answered yes or no.
const FLAGS: usize = 8;

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
}

impl Flag {
    /// What is answered as long as nothing else was recorded.
    const USUAL: [bool; FLAGS] = [false, false, true, true, true, false, false, false];
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

/// The recorded end: whole turns, in order.
#[derive(Debug)]
pub struct Turns {
    chunks: Consumer<Chunk>,
    partial: Vec<u8>,
    shared: Arc<Shared>,
}

impl Turns {
    /// Appends what came since, each turn behind its length as a little-endian `u32`; how many turns.
    pub fn take(&mut self, out: &mut Vec<u8>) -> usize {
        let mut turns = 0;
        while let Some(chunk) = self.chunks.pop() {
            self.partial.extend_from_slice(&chunk.bytes[..usize::from(chunk.len)]);
            if chunk.last {
                out.extend_from_slice(&(self.partial.len() as u32).to_le_bytes());
                out.append(&mut self.partial);
                turns += 1;
            }
        }
        turns
    }

    /// Why the recording ended before the run; `None`: it did not.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        match &*lock(&self.shared) {
            Side::Record(recorder) => recorder.lost,
            Side::Play(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    bytes: [u8; CHUNK_BYTES],
    len: u8,
    last: bool,
}

const _: () = assert!(size_of::<Chunk>() == 256 && CHUNK_BYTES <= u8::MAX as usize);

#[derive(Debug)]
struct Recorder {
    buffer: Vec<u8>,
    chunks: Producer<Chunk>,
    /// Not a quiet turn.
    kept: bool,
    asked: [u32; FLAGS],
    last: [bool; FLAGS],
    lost: Option<&'static str>,
}

/// The supplying side of one turn.
#[derive(Debug)]
struct Player {
    bytes: Vec<u8>,
    events: Vec<Due>,
    asked: [u32; FLAGS],
    last: [bool; FLAGS],
    now: Nanos,
    at: Unix,
    /// A room with other settings asks other questions: what it finds no answer for is told as usual.
    loose: bool,
    flaw: Option<String>,
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

fn lock(shared: &Shared) -> MutexGuard<'_, Side> {
    // One room, one thread: nobody waits here but for the one word of `Turns::lost`.
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
        let (chunks, out) = ring(CHUNKS);
        let mut buffer = Vec::with_capacity(TURN_BYTES);
        buffer.resize(HEADER, 0);
        let recorder = Recorder {
            buffer,
            chunks,
            kept: false,
            asked: [0; FLAGS],
            last: Flag::USUAL,
            lost: None,
        };
        let shared = Arc::new(Shared { turn: AtomicU64::new(0), side: Mutex::new(Side::Record(recorder)) });
        (Self(Some(Arc::clone(&shared))), Turns { chunks: out, partial: Vec::new(), shared })
    }

    /// A tap that supplies what [`Tap::load`] gives it. `loose`: for a room whose settings are others than
    /// the recorded one's.
    #[must_use]
    pub fn play(loose: bool) -> Self {
        let player = Player {
            bytes: Vec::new(),
            events: Vec::new(),
            asked: [0; FLAGS],
            last: Flag::USUAL,
            now: Nanos::ZERO,
            at: Unix(0),
            loose,
            flaw: None,
        };
        Self(Some(Arc::new(Shared { turn: AtomicU64::new(0), side: Mutex::new(Side::Play(player)) })))
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
        let Side::Play(player) = &mut *side else { return };
        player.bytes.clear();
        player.events.clear();
        player.now = turn.now;
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
            let start = player.bytes.len();
            player.bytes.extend_from_slice(bytes);
            player.events.push(Due { tag, key, at, bytes: start..player.bytes.len(), used: false });
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
            let length_at = recorder.buffer.len();
            recorder.buffer.extend_from_slice(&[0; 4]);
            put(item, &mut recorder.buffer);
            let length = (recorder.buffer.len() - length_at - 4) as u32;
            recorder.buffer[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
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
        let Some(shared) = &self.0 else { return found };
        let at = asked.next(shared.turn.load(Relaxed));
        match &mut *lock(shared) {
            Side::Record(recorder) => {
                if let Some(words) = &found {
                    recorder.begin(tag::CELL, &door.to_le_bytes());
                    recorder.buffer.extend_from_slice(&(at as u16).to_le_bytes());
                    recorder.buffer.push(N as u8);
                    words.iter().for_each(|word| recorder.buffer.extend_from_slice(&word.to_le_bytes()));
                }
                found
            }
            Side::Play(player) => {
                let bytes = player.take(tag::CELL, u32::from(door), Some(at))?;
                let words = player.bytes[bytes].as_chunks::<8>().0;
                let words: [[u8; 8]; N] = words.try_into().ok()?;
                Some(words.map(u64::from_le_bytes))
            }
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
                let at = recorder.asked[flag as usize];
                recorder.asked[flag as usize] += 1;
                if std::mem::replace(&mut recorder.last[flag as usize], truth) != truth {
                    recorder.begin(tag::FLIP, &[flag as u8]);
                    recorder.buffer.extend_from_slice(&(at as u16).to_le_bytes());
                }
                recorder.kept |= flag == Flag::Room && !truth;
                truth
            }
            Side::Play(player) => {
                let at = player.asked[flag as usize];
                player.asked[flag as usize] += 1;
                if player.take(tag::FLIP, flag as u32, Some(at)).is_some() {
                    player.last[flag as usize] = !player.last[flag as usize];
                }
                player.last[flag as usize]
            }
        }
    }

    /// Whether an intent slot was had, where a recording says so; `None`: nobody plays one.
    #[inline]
    pub(super) fn claimed(&self) -> Option<bool> {
        let shared = self.0.as_ref()?;
        let plays = matches!(&*lock(shared), Side::Play(_));
        plays.then(|| self.answer(Flag::Claim, true))
    }

    /// What a link brought: its new bytes, or its end.
    #[inline]
    pub(super) fn received(&self, link: LinkId, bytes: &[u8], end: Option<&LinkError>) {
        let Some(shared) = &self.0 else { return };
        if let Side::Record(recorder) = &mut *lock(shared) {
            let text = end.map(error_bytes);
            let (tag, bytes) = text.as_deref().map_or((tag::RECEIVED, bytes), |text| (tag::ENDED, text));
            recorder.begin(tag, &link.0.to_le_bytes());
            recorder.buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            recorder.buffer.extend_from_slice(bytes);
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
            recorder.buffer.extend_from_slice(&(at as u16).to_le_bytes());
            recorder.buffer.extend_from_slice(&(how.len() as u32).to_le_bytes());
            recorder.buffer.extend_from_slice(&how);
        }
    }

    /// Whether a recording has something from this link in the present turn.
    pub(super) fn has_received(&self, link: LinkId) -> bool {
        match self.0.as_deref().map(lock).as_deref() {
            Some(Side::Play(player)) => player.events.iter().any(|due| {
                !due.used && due.key == link.0 && matches!(due.tag, tag::RECEIVED | tag::ENDED)
            }),
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
        let next = player.events.iter().find(|due| {
            !due.used && due.key == link.0 && matches!(due.tag, tag::RECEIVED | tag::ENDED)
        });
        let Some(tag) = next.map(|due| due.tag) else {
            player.misses("bytes of a link");
            return Ok(None);
        };
        let Some(bytes) = player.take(tag, link.0, None) else { return Ok(None) };
        let bytes = &player.bytes[bytes];
        if tag == tag::ENDED { Err(error_from(bytes, peer)) } else { Ok(Some(take(bytes))) }
    }

    /// What a recording says of this send or flush: how many bytes the link keeps, or why it failed.
    pub(super) fn outcome(&self, link: LinkId, asked: Asked, peer: &str) -> Result<usize, LinkError> {
        let Some(shared) = &self.0 else { return Ok(0) };
        let mut asked = asked;
        let at = asked.next(shared.turn.load(Relaxed));
        let Side::Play(player) = &mut *lock(shared) else { return Ok(0) };
        let Some(bytes) = player.take(tag::SHORT, link.0, Some(at)) else { return Ok(0) };
        match &player.bytes[bytes] {
            [0, a, b, c, d] => Ok(u32::from_le_bytes([*a, *b, *c, *d]) as usize),
            other => Err(error_from(other, peer)),
        }
    }
}

#[cold]
fn begin(shared: &Shared, now: Nanos) {
    let turn = shared.turn.fetch_add(1, Relaxed) + 1;
    match &mut *lock(shared) {
        Side::Record(recorder) => {
            // What the room read while it was made is its turn 0.
            if turn == 1 && recorder.kept {
                recorder.send(0);
            }
            recorder.start(now, turn);
        }
        Side::Play(player) => player.asked = [0; FLAGS],
    }
}

#[cold]
fn end(shared: &Shared, work: usize) {
    match &mut *lock(shared) {
        Side::Record(recorder) => {
            if recorder.kept || work > 0 {
                recorder.send(work);
            }
        }
        Side::Play(player) => {
            let left = player.events.iter().find(|due| !due.used).map(|due| tag::name(due.tag));
            if let Some(left) = left
                && !player.loose
            {
                player.flaw.get_or_insert_with(|| format!("the room did not ask for {left}"));
            }
        }
    }
}

impl Recorder {
    fn start(&mut self, now: Nanos, turn: u64) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&now.0.to_le_bytes());
        self.buffer.extend_from_slice(&turn.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.kept = false;
        self.asked = [0; FLAGS];
    }

    #[inline]
    fn begin(&mut self, tag: u8, key: &[u8]) {
        self.kept = true;
        self.buffer.push(tag);
        self.buffer.extend_from_slice(key);
    }

    fn send(&mut self, work: usize) {
        if self.lost.is_some() {
            return;
        }
        self.buffer[HEADER - 4..HEADER].copy_from_slice(&(work as u32).to_le_bytes());
        let chunks = self.buffer.len().div_ceil(CHUNK_BYTES);
        if !self.chunks.has_room(chunks) {
            self.lost = Some("the disk did not keep up with what a room took in");
            return;
        }
        for (n, bytes) in self.buffer.chunks(CHUNK_BYTES).enumerate() {
            let mut chunk =
                Chunk { bytes: [0; CHUNK_BYTES], len: bytes.len() as u8, last: n + 1 == chunks };
            chunk.bytes[..bytes.len()].copy_from_slice(bytes);
            // Room was just seen.
            let _ = self.chunks.push(chunk);
        }
    }
}

impl Player {
    /// The first input of this kind that was not asked for yet; `at`: only if it is this question's.
    fn take(&mut self, tag: u8, key: u32, at: Option<u32>) -> Option<std::ops::Range<usize>> {
        let due = self.events.iter_mut().find(|due| !due.used && due.tag == tag && due.key == key)?;
        if at.is_some_and(|at| at != due.at) {
            return None;
        }
        due.used = true;
        Some(due.bytes.clone())
    }

    fn word(&mut self, tag: u8) -> Option<u64> {
        let Some(bytes) = self.take(tag, 0, None) else {
            self.misses(tag::name(tag));
            return None;
        };
        self.bytes[bytes].first_chunk().copied().map(u64::from_le_bytes)
    }

    #[cold]
    fn misses(&mut self, what: &str) {
        if !self.loose {
            self.flaw.get_or_insert_with(|| format!("the room asked for {what} that was not recorded"));
        }
    }
}

/// An error's kind and its detail. Whom it came from, the link knows.
fn error_bytes(error: &LinkError) -> Vec<u8> {
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

fn error_from(bytes: &[u8], peer: &str) -> LinkError {
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
