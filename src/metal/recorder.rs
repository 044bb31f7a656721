//! The recording side of a tap: a turn's bytes put together, and their way out of the room.
//!
//! Owns:  the buffer of the present turn, the chunks it travels in, and [`Turns`], where it comes out.
//! Never: waits for whoever writes the file: without room the recording is over, and says so.

use super::ring::{Consumer, Producer, ring};
use super::tap::{FLAGS, Flag};
use super::turn::{HEADER, tag};
use crate::units::time::Nanos;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Bytes of a turn that travel together.
const CHUNK_BYTES: usize = 254;
/// Chunks between a room and whoever writes the file: 4 MiB, some seconds of the busiest market.
const CHUNKS: usize = 1 << 14;
/// Where a turn's bytes are put together; more than all but the largest need.
const TURN_BYTES: usize = 1 << 18;
#[derive(Clone, Copy, Debug)]
struct Chunk {
    bytes: [u8; CHUNK_BYTES],
    len: u8,
    last: bool,
}

const _: () = assert!(size_of::<Chunk>() == 256 && CHUNK_BYTES <= u8::MAX as usize);

/// The recorded end: whole turns, in order.
#[derive(Debug)]
pub struct Turns {
    chunks: Consumer<Chunk>,
    partial: Vec<u8>,
    lost: Arc<AtomicBool>,
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
        self.lost.load(Acquire).then_some("the disk did not keep up with what a room took in")
    }
}

/// A cell that is read, and what it was in a turn.
#[derive(Debug)]
pub(super) struct Held {
    door: u16,
    pub(super) turn: Option<u64>,
    pub(super) words: Vec<u64>,
}

impl Held {
    /// That of a door; before the first, it holds nothing.
    pub(super) fn of(all: &mut Vec<Self>, door: u16) -> &mut Self {
        let at = all.iter().position(|held| held.door == door).unwrap_or_else(|| {
            all.push(Self { door, turn: None, words: Vec::new() });
            all.len() - 1
        });
        &mut all[at]
    }

    /// As words; `else_` if it holds none.
    pub(super) fn words<const N: usize>(&self, else_: [u64; N]) -> [u64; N] {
        self.words.as_slice().try_into().unwrap_or(else_)
    }
}

/// The recording side.
#[derive(Debug)]
pub(super) struct Recorder {
    buffer: Vec<u8>,
    chunks: Producer<Chunk>,
    /// Not a quiet turn.
    pub(super) kept: bool,
    asked: [u32; FLAGS],
    last: [bool; FLAGS],
    held: Vec<Held>,
    /// Not an answer of the tap's own: the writer must never make the room wait.
    lost: Arc<AtomicBool>,
}

impl Recorder {
    /// A room that is being made, and where its turns come out.
    pub(super) fn new() -> (Self, Turns) {
        let (chunks, out) = ring(CHUNKS);
        let mut buffer = Vec::with_capacity(TURN_BYTES);
        buffer.resize(HEADER, 0);
        let lost = Arc::new(AtomicBool::new(false));
        let turns = Turns { chunks: out, partial: Vec::new(), lost: Arc::clone(&lost) };
        (
            Self {
                buffer,
                chunks,
                kept: false,
                asked: [0; FLAGS],
                last: Flag::USUAL,
                held: Vec::new(),
                lost,
            },
            turns,
        )
    }

    /// A turn begins. What the room read while it was made is its turn 0.
    pub(super) fn start(&mut self, now: Nanos, turn: u64) {
        if turn == 1 && self.kept {
            self.send(0);
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&now.0.to_le_bytes());
        self.buffer.extend_from_slice(&turn.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.kept = false;
        self.asked = [0; FLAGS];
    }

    /// The turn is over.
    pub(super) fn end(&mut self, work: usize) {
        if self.kept || work > 0 {
            self.send(work);
        }
    }

    /// An event begins: what it is, and the fixed part of it.
    #[inline]
    pub(super) fn begin(&mut self, tag: u8, key: &[u8]) {
        self.kept = true;
        self.buffer.push(tag);
        self.buffer.extend_from_slice(key);
    }

    /// More of the event's fixed part.
    #[inline]
    pub(super) fn more(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The event's end: bytes behind their length.
    #[inline]
    pub(super) fn long(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// As [`Recorder::long`], for what writes itself.
    #[inline]
    pub(super) fn item(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        put(&mut self.buffer);
        let length = (self.buffer.len() - at - 4) as u32;
        self.buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// A cell was read: for the first time in this turn, or what it was then.
    pub(super) fn hold<const N: usize>(&mut self, door: u16, turn: u64, words: [u64; N]) -> [u64; N] {
        let held = Held::of(&mut self.held, door);
        if held.turn == Some(turn) {
            return held.words(words);
        }
        held.turn = Some(turn);
        if held.words == words {
            return words;
        }
        held.words.clear();
        held.words.extend_from_slice(&words);
        self.begin(tag::CELL, &door.to_le_bytes());
        self.more(&[0, 0, N as u8]);
        words.iter().for_each(|word| self.more(&word.to_le_bytes()));
        words
    }

    /// A question was answered.
    #[inline]
    pub(super) fn answer(&mut self, flag: Flag, truth: bool) {
        let at = self.asked[flag as usize];
        self.asked[flag as usize] += 1;
        if std::mem::replace(&mut self.last[flag as usize], truth) != truth {
            self.begin(tag::FLIP, &[flag as u8]);
            self.more(&(at as u16).to_le_bytes());
        }
        // Without room a room may let something go by that it would have told.
        self.kept |= Flag::USUAL[flag as usize] && !truth;
    }

    fn send(&mut self, work: usize) {
        if self.lost.load(Acquire) {
            return;
        }
        self.buffer[HEADER - 4..HEADER].copy_from_slice(&(work as u32).to_le_bytes());
        let chunks = self.buffer.len().div_ceil(CHUNK_BYTES);
        if !self.chunks.has_room(chunks) {
            self.lost.store(true, Release);
            return;
        }
        for (n, bytes) in self.buffer.chunks(CHUNK_BYTES).enumerate() {
            let mut chunk = Chunk { bytes: [0; CHUNK_BYTES], len: bytes.len() as u8, last: n + 1 == chunks };
            chunk.bytes[..bytes.len()].copy_from_slice(bytes);
            // Room was just seen.
            let _ = self.chunks.push(chunk);
        }
    }
}
