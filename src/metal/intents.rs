//! What the trader is about to send, written down before the first byte goes out.
//!
//! Owns:  1,024 (or as told) slots of three cache lines in mapped memory, their checksums, and the
//!        rule that the last quarter serves risk-reducing intents only.
//! Never: knows what a record means; makes a system call on the hot side; overwrites a slot that
//!        the shadow has not freed.
//! Wire:  FAULTS 7.2. A slot is 22 words of record, one of checksum, one of state. The state is
//!        stored last, with release: a record torn by a crash has state 0 or a wrong checksum, and
//!        reads as EMPTY; nothing of it was sent.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::crash;
use super::ring::{Consumer, Producer, ring};

/// Bytes of a record.
pub const INTENT_BYTES: usize = RECORD_WORDS * 8;
/// The state of a slot that holds nothing. Every other state is the caller's.
pub const EMPTY: u64 = 0;

const RECORD_WORDS: usize = 22;
const CHECKSUM_AT: usize = RECORD_WORDS;
const STATE_AT: usize = RECORD_WORDS + 1;
const SLOT_WORDS: usize = RECORD_WORDS + 2;

const _: () = assert!(SLOT_WORDS * 8 == 3 * 64, "a slot is three cache lines, shared with no other");

/// Index of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentSlot(pub u16);

/// The writing half: the trader's.
#[derive(Debug)]
pub struct Intents {
    region: Arc<Region>,
    /// Slots that nobody uses; the last one is taken first.
    free: Vec<IntentSlot>,
    freed: Consumer<IntentSlot>,
    /// So many stay for risk-reducing intents.
    reserve: usize,
}

/// The reading half: the shadow's, and recovery's.
#[derive(Debug)]
pub struct IntentsReader {
    region: Arc<Region>,
    freed: Producer<IntentSlot>,
}

impl Intents {
    /// Fresh slots in anonymous memory, all EMPTY, every page touched. A quarter of them (256 of
    /// 1,024) is kept for risk-reducing intents.
    ///
    /// # Errors
    ///
    /// The system had no memory to map, or `slots` is no power of two up to 32,768.
    pub fn anonymous(slots: usize) -> io::Result<(Self, IntentsReader)> {
        if !slots.is_power_of_two() || slots > 1 << 15 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{slots} intent slots: take a power of two up to 32768"),
            ));
        }
        let region = Arc::new(Region::anonymous(slots)?);
        // As many places as slots: a slot is freed once per claim, so this ring is never full.
        let (freed, freed_seen) = ring(slots);
        let free = (0..slots as u16).rev().map(IntentSlot).collect();
        Ok((
            Self { region: Arc::clone(&region), free, freed: freed_seen, reserve: slots / 4 },
            IntentsReader { region, freed },
        ))
    }

    /// Takes a slot; `None` if there is none left for this class. The slot stays EMPTY until
    /// [`Intents::commit`].
    #[inline]
    pub fn claim(&mut self, risk_reducing: bool) -> Option<IntentSlot> {
        while let Some(slot) = self.freed.pop() {
            self.free.push(slot);
        }
        if !risk_reducing && self.free.len() <= self.reserve {
            return None;
        }
        self.free.pop()
    }

    /// Gives back a slot that was claimed and never committed.
    pub fn give_back(&mut self, slot: IntentSlot) {
        debug_assert_eq!(self.region.words(slot)[STATE_AT].load(Relaxed), EMPTY);
        self.free.push(slot);
    }

    /// Writes the record and then its state. When it returns, a restarted process would find it.
    #[inline]
    pub fn commit(&mut self, slot: IntentSlot, record: &[u8; INTENT_BYTES], state: u64) {
        let words = self.region.words(slot);
        let mut sum = Checksum::new();
        for (place, chunk) in words.iter().zip(record.as_chunks::<8>().0) {
            let word = u64::from_le_bytes(*chunk);
            sum.add(word);
            place.store(word, Relaxed);
            crash::point("K2");
        }
        words[CHECKSUM_AT].store(sum.0, Relaxed);
        crash::point("K2");
        words[STATE_AT].store(state, Release);
        crash::point("K2");
    }

    /// Moves a committed slot on: one store.
    #[inline]
    pub fn advance(&mut self, slot: IntentSlot, state: u64) {
        self.region.words(slot)[STATE_AT].store(state, Release);
    }
}

impl IntentsReader {
    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.region.slots
    }

    /// State and record of a slot; `None` if it is EMPTY or its record is torn.
    #[must_use]
    pub fn read(&self, slot: IntentSlot) -> Option<(u64, [u8; INTENT_BYTES])> {
        let words = self.region.words(slot);
        let state = words[STATE_AT].load(Acquire);
        if state == EMPTY {
            return None;
        }
        let mut record = [0; INTENT_BYTES];
        let mut sum = Checksum::new();
        for (place, chunk) in words.iter().zip(record.as_chunks_mut::<8>().0) {
            let word = place.load(Relaxed);
            sum.add(word);
            *chunk = word.to_le_bytes();
        }
        (sum.0 == words[CHECKSUM_AT].load(Relaxed)).then_some((state, record))
    }

    /// Makes a slot EMPTY and hands it back to the trader. Call it once per committed slot, when
    /// its end is durable.
    pub fn free(&mut self, slot: IntentSlot) {
        self.region.words(slot)[STATE_AT].store(EMPTY, Release);
        // A full ring would mean a slot freed twice; leaving this one out keeps it unused, which
        // is the safe side.
        let handed_back = self.freed.push(slot);
        debug_assert!(handed_back.is_ok(), "slot {slot:?} was freed twice");
    }
}

/// A 64-bit mix of words, in order. It tells a torn record from a whole one; it is no defence
/// against an enemy.
struct Checksum(u64);

impl Checksum {
    fn new() -> Self {
        // Not zero: a slot of zeroes must not check.
        Self(0x9e37_79b9_7f4a_7c15)
    }

    #[inline]
    fn add(&mut self, word: u64) {
        // Multiply to 128 bits and fold: every input bit reaches every output bit.
        let wide = u128::from(self.0 ^ word) * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(0xa076_1d64_78bd_642f);
    }
}

/// Mapped memory that holds the slots.
#[derive(Debug)]
struct Region {
    base: NonNull<AtomicU64>,
    slots: usize,
}

impl Region {
    fn anonymous(slots: usize) -> io::Result<Self> {
        // SAFETY: asks for new memory at an address of the kernel's choice; no memory we have is
        // touched. MAP_POPULATE makes the pages present, so the hot side never faults.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                slots * SLOT_WORDS * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(base.cast()) {
            Some(base) => Ok(Self { base, slots }),
            None => Err(io::Error::other("the kernel mapped intents at address zero")),
        }
    }

    #[inline]
    fn words(&self, slot: IntentSlot) -> &[AtomicU64; SLOT_WORDS] {
        let index = usize::from(slot.0);
        assert!(index < self.slots, "intent slot {index} of {}", self.slots);
        // SAFETY: the mapping holds `slots` times SLOT_WORDS words, zeroed by the kernel (a valid
        // `AtomicU64`), aligned (pages are), mapped until `drop`, which `&self` outlives. All
        // access goes through atomics, so sharing between threads is no race.
        unsafe { &*self.base.as_ptr().add(index * SLOT_WORDS).cast() }
    }
}

// SAFETY: the region is reached through atomics only, and unmapped by its last owner.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the same address and length that `mmap` gave; no reference is left, since every
        // one borrows from `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.slots * SLOT_WORDS * 8) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: u64 = 1;
    const WIRE: u64 = 2;

    fn record(n: u8) -> [u8; INTENT_BYTES] {
        std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8))
    }

    #[test]
    fn a_record_is_read_as_committed_and_follows_its_state() {
        let (mut intents, reader) = Intents::anonymous(8).unwrap();
        let slot = intents.claim(false).unwrap();
        assert_eq!(reader.read(slot), None, "claimed is not committed");
        intents.commit(slot, &record(3), COMMITTED);
        assert_eq!(reader.read(slot), Some((COMMITTED, record(3))));
        intents.advance(slot, WIRE);
        assert_eq!(reader.read(slot), Some((WIRE, record(3))));
    }

    #[test]
    fn the_last_quarter_is_for_reducing_risk() {
        let (mut intents, mut reader) = Intents::anonymous(1_024).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| intents.claim(false)).collect();
        assert_eq!(taken.len(), 768);
        let repairs = std::iter::from_fn(|| intents.claim(true)).count();
        assert_eq!(repairs, 256);
        for &slot in &taken {
            intents.commit(slot, &record(1), COMMITTED);
            reader.free(slot);
        }
        assert_eq!(reader.read(taken[0]), None);
        let again = std::iter::from_fn(|| intents.claim(false)).count();
        assert_eq!(again, 768 - 256, "what comes back fills the reserve first");
        let spare = intents.claim(true).unwrap();
        assert!(intents.claim(false).is_none());
        intents.give_back(spare);
        assert_eq!(std::iter::from_fn(|| intents.claim(true)).count(), 256);
    }

    #[test]
    fn a_record_torn_at_any_word_reads_as_empty() {
        let (mut intents, reader) = Intents::anonymous(4).unwrap();
        let slot = intents.claim(true).unwrap();
        // The state of an earlier life would be the worst case: pretend it survived.
        for written in 0..=CHECKSUM_AT {
            intents.commit(slot, &record(9), COMMITTED);
            let words = reader.region.words(slot);
            for (place, chunk) in words.iter().zip(record(77).as_chunks::<8>().0).take(written) {
                place.store(u64::from_le_bytes(*chunk), Relaxed);
            }
            let expected = (written == 0).then_some((COMMITTED, record(9)));
            assert_eq!(reader.read(slot), expected, "{written} words written");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let (mut intents, reader) = Intents::anonymous(1).unwrap();
        let slot = intents.claim(true).unwrap();
        intents.commit(slot, &record(5), COMMITTED);
        for bit in 0..(CHECKSUM_AT + 1) * 64 {
            let word = &reader.region.words(slot)[bit / 64];
            word.fetch_xor(1 << (bit % 64), Relaxed);
            assert_eq!(reader.read(slot), None, "bit {bit}");
            word.fetch_xor(1 << (bit % 64), Relaxed);
        }
        assert!(reader.read(slot).is_some());
    }

    #[test]
    fn slots_go_round_between_two_threads_and_records_stay_whole() {
        let (mut intents, mut reader) = Intents::anonymous(16).unwrap();
        let (mut fired, mut seen) = ring::<(IntentSlot, u8)>(16);
        let writing = std::thread::spawn(move || {
            for n in 0..20_000u32 {
                let slot = loop {
                    match intents.claim(true) {
                        Some(slot) => break slot,
                        None => std::thread::yield_now(),
                    }
                };
                intents.commit(slot, &record(n as u8), COMMITTED);
                fired.push((slot, n as u8)).unwrap();
            }
        });
        for _ in 0..20_000 {
            let (slot, n) = loop {
                match seen.pop() {
                    Some(item) => break item,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(reader.read(slot), Some((COMMITTED, record(n))));
            reader.free(slot);
        }
        writing.join().unwrap();
    }
}
