//! What the trader is about to send, written down before the first byte goes out.
//!
//! Owns:  1,024 (or as told) slots of two cache lines in mapped memory, their checksums, and the
//!        rule that the last quarter serves risk-reducing intents only; the memory-backed file they
//!        live in, which outlives the process and not the host.
//! Never: knows what a record means; makes a system call on the hot side; overwrites a slot that
//!        the shadow has not freed.
//! Wire:  FAULTS 7.2. A slot is 14 words of record, one of checksum, one of state. The state is
//!        stored last, with release: a record torn by a crash has state 0 or a wrong checksum, and
//!        reads as EMPTY; nothing of it was sent.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering};

use super::bugs::{Bug, planted};
use super::crash;
use super::mix::{Checksum, RecordSum};
use super::ring::{Consumer, Producer, ring};
use super::tap::{Flag, Tap};

/// Bytes of a record.
pub const INTENT_BYTES: usize = RECORD_WORDS * 8;
/// The state of a slot that holds nothing. Every other state is the caller's.
pub const EMPTY: u64 = 0;

const RECORD_WORDS: usize = 14;
const CHECKSUM_AT: usize = RECORD_WORDS;
const STATE_AT: usize = RECORD_WORDS + 1;
const SLOT_WORDS: usize = RECORD_WORDS + 2;
/// The header has a page of its own: magic, and which start of the host wrote the slots.
const HEADER_BYTES: usize = 4096;
/// `CTINT` and the version of the layout.
const MAGIC: u64 = 0x03_54_4e_49_54_43;

const _: () = assert!(SLOT_WORDS * 8 == 2 * 64, "a slot is two cache lines, shared with no other");

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
    tap: Tap,
}

/// The reading half: the shadow's, and recovery's.
#[derive(Debug)]
pub struct IntentsReader {
    region: Arc<Region>,
    freed: Producer<IntentSlot>,
    origin: Origin,
    tap: Tap,
}

/// The memory that intents live in. It outlives the rooms that use it, and in a mapped file the process.
#[derive(Clone, Debug)]
pub struct IntentsMemory {
    region: Arc<Region>,
    boot: [u64; 2],
}

/// What the slots can tell a new process of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: they were made just now.
    Fresh,
    /// All of it: a process of this start of the host wrote them. A record that was committed and not
    /// begun was never sent.
    ThisBoot,
    /// What reached them before the host went down: a page may be older than what followed it.
    EarlierBoot,
}

impl IntentsMemory {
    /// Fresh slots in anonymous memory, all EMPTY, every page touched.
    ///
    /// # Errors
    ///
    /// The system had no memory to map, or `slots` is no power of two up to 32,768.
    pub fn anonymous(slots: usize) -> io::Result<Self> {
        let region = Region::map(checked(slots)?, None)?;
        Ok(Self { region: Arc::new(region), boot: [0; 2] })
    }

    /// The slots in a file, as the last process left them; the file is made if there is none. Blocks.
    ///
    /// # Errors
    ///
    /// The system refused, or the file is not one of ours: the message says what to do.
    pub fn mapped(path: &Path, slots: usize) -> io::Result<Self> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let foreign = |why: &str| {
            let text = format!(
                "{}: {why}; look at what it is, and delete it if no engine of yours needs it",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let bytes = (HEADER_BYTES + checked(slots)? * SLOT_WORDS * 8) as u64;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(told)?;
        let about = file.metadata().map_err(told)?;
        // SAFETY: takes nothing and can't fail.
        let me = unsafe { libc::geteuid() };
        if !about.is_file() || about.uid() != me || about.mode() & 0o077 != 0 {
            return Err(foreign("intent records must be a file that only this user may open"));
        }
        let mut magic = [0; 8];
        let _ = file.read_at(&mut magic, 0).map_err(told)?;
        let magic = u64::from_ne_bytes(magic);
        // The same five letters, and another version behind them, whose slots may have another size.
        if magic != MAGIC && (magic ^ MAGIC) << 24 == 0 {
            return Err(foreign(
                "an engine of another version left intent records here and did not end in peace: run that one once more",
            ));
        }
        if about.len() == 0 {
            file.set_len(bytes).map_err(told)?;
        } else if about.len() != bytes {
            return Err(foreign("it has not the size of intent records"));
        }
        // 0: made a moment ago, or by a process that died before it committed anything.
        if magic != 0 && magic != MAGIC {
            return Err(foreign("it does not begin as intent records do"));
        }
        let region = Region::map(slots, Some(file.as_raw_fd())).map_err(told)?;
        let boot = boot_id().map_err(told)?;
        Ok(Self { region: Arc::new(region), boot })
    }

    /// Who wrote what the slots hold.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let header = self.region.header();
        match header[0].load(Acquire) {
            0 => Origin::Fresh,
            _ if [header[1].load(Relaxed), header[2].load(Relaxed)] == self.boot => Origin::ThisBoot,
            _ => Origin::EarlierBoot,
        }
    }

    /// What an earlier process left: every whole record that was not freed.
    #[must_use]
    pub fn left(&self) -> Vec<(IntentSlot, u64, [u8; INTENT_BYTES])> {
        self.region.left()
    }

    /// Slots as an earlier process left them, for a run that is played again. What does not fit is left out.
    ///
    /// # Errors
    ///
    /// As [`IntentsMemory::anonymous`].
    pub fn recorded(
        slots: usize,
        origin: Origin,
        left: &[(IntentSlot, u64, [u8; INTENT_BYTES])],
    ) -> io::Result<Self> {
        let memory = Self { boot: [1, 1], ..Self::anonymous(slots)? };
        let header = memory.region.header();
        if origin != Origin::Fresh {
            let boot = if origin == Origin::ThisBoot { memory.boot } else { [2, 2] };
            put(&header[1], boot[0], Relaxed);
            put(&header[2], boot[1], Relaxed);
            put(&header[0], MAGIC, Release);
        }
        for (slot, state, record) in left.iter().filter(|(slot, ..)| usize::from(slot.0) < slots) {
            memory.region.write(*slot, &words_of(record), *state);
        }
        Ok(memory)
    }

    /// Both halves. A quarter of the slots (256 of 1,024) is kept for risk-reducing intents; what
    /// [`IntentsMemory::left`] tells stays taken until the shadow frees it.
    #[must_use]
    pub fn halves(&self) -> (Intents, IntentsReader) {
        let (region, origin) = (&self.region, self.origin());
        if origin == Origin::Fresh {
            let header = region.header();
            put(&header[1], self.boot[0], Relaxed);
            put(&header[2], self.boot[1], Relaxed);
            put(&header[0], MAGIC, Release);
        }
        // As many places as slots: a slot is freed once per claim, so this ring is never full.
        let (freed, freed_seen) = ring(region.slots);
        let mut free: Vec<IntentSlot> = (0..region.slots as u16).rev().map(IntentSlot).collect();
        free.retain(|slot| region.read(*slot).is_none());
        for slot in &free {
            // A torn record: nothing of it was sent.
            put(&region.words(*slot)[STATE_AT], EMPTY, Release);
        }
        (
            Intents {
                region: Arc::clone(region),
                free,
                freed: freed_seen,
                reserve: region.slots / 4,
                tap: Tap::off(),
            },
            IntentsReader { region: Arc::clone(region), freed, origin, tap: Tap::off() },
        )
    }
}

/// Where the intent records of the engine with this data folder (which must exist) are kept: a
/// memory-backed folder, so that no store into them waits for a disk.
///
/// # Errors
///
/// The folder can't be found.
pub fn path_for(data_dir: &Path, instance: u8) -> io::Result<PathBuf> {
    let folder = data_dir.canonicalize()?;
    let mut sum = Checksum::new();
    for chunk in folder.as_os_str().as_encoded_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.add(u64::from_le_bytes(word));
    }
    Ok(PathBuf::from(format!("/dev/shm/contango-{:016x}-{instance}", sum.0)))
}

/// A record in words.
fn words_of(record: &[u8; INTENT_BYTES]) -> [u64; RECORD_WORDS] {
    std::array::from_fn(|at| u64::from_le_bytes(record.as_chunks().0[at]))
}

fn checked(slots: usize) -> io::Result<usize> {
    if slots.is_power_of_two() && slots <= 1 << 15 {
        return Ok(slots);
    }
    let text = format!("{slots} intent slots: take a power of two up to 32768");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Which start of this host it is, as the kernel tells it.
fn boot_id() -> io::Result<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    Ok([id as u64, (id >> 64) as u64])
}

impl Intents {
    /// Takes a slot; `None` if there is none left for this class. The slot stays EMPTY until
    /// [`Intents::commit`].
    #[inline]
    pub fn claim(&mut self, risk_reducing: bool) -> Option<IntentSlot> {
        if let Some(had) = self.tap.claimed() {
            // Nobody reads what a replay writes down.
            return had.then_some(IntentSlot(0));
        }
        let slot = self.claim_free(risk_reducing);
        self.tap.answer(Flag::Claim, slot.is_some());
        slot
    }

    /// Lets the trader hear of free slots through its tap.
    pub fn tap(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    #[inline]
    fn claim_free(&mut self, risk_reducing: bool) -> Option<IntentSlot> {
        let kept = if risk_reducing { 0 } else { self.reserve };
        if self.free.len() <= kept {
            self.take_back();
        }
        if self.free.len() <= kept { None } else { self.free.pop() }
    }

    /// Takes the slots that the shadow has freed, as a claim does that would find none else.
    #[inline]
    pub fn take_back(&mut self) {
        while let Some(slot) = self.freed.pop() {
            self.free.push(slot);
        }
    }

    /// Writes a record where the next one will be, as EMPTY: nothing stands there, and what writes it is warm.
    pub fn dry_commit<const N: usize>(&self, record: &[u64; N]) {
        if let Some(slot) = self.free.last() {
            self.region.write(*slot, record, EMPTY);
        }
    }

    /// Gives back a slot that was claimed and never committed.
    pub fn give_back(&mut self, slot: IntentSlot) {
        debug_assert_eq!(self.region.words(slot)[STATE_AT].load(Relaxed), EMPTY);
        self.free.push(slot);
    }

    /// Writes the record, zeros where it is shorter than its place, and then its state. When it returns, a restarted
    /// process would find it.
    #[inline]
    pub fn commit<const N: usize>(&mut self, slot: IntentSlot, record: &[u64; N], state: u64) {
        const { assert!(N <= RECORD_WORDS, "a record of more words than a slot has") };
        if !planted(Bug::IntentNotWritten) {
            self.region.write(slot, record, state);
        }
    }

    /// Moves a committed slot on: one store.
    #[inline]
    pub fn advance(&mut self, slot: IntentSlot, state: u64) {
        put(&self.region.words(slot)[STATE_AT], state, Release);
    }
}

impl IntentsReader {
    /// Lets the shadow free slots through its tap.
    pub fn tap(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.region.slots
    }

    /// State and record of a slot; `None` if it is EMPTY or its record is torn.
    #[must_use]
    pub fn read(&self, slot: IntentSlot) -> Option<(u64, [u8; INTENT_BYTES])> {
        self.region.read(slot)
    }

    /// Every whole record that was not freed: before this process commits its first, what the last one left.
    #[must_use]
    pub fn left(&self) -> Vec<(IntentSlot, u64, [u8; INTENT_BYTES])> {
        self.region.left()
    }

    /// Who wrote what the slots held when this process took them over.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Makes a slot EMPTY and hands it back to the trader. Call it once per committed slot, when
    /// its end is durable.
    pub fn free(&mut self, slot: IntentSlot) {
        if self.tap.plays() {
            // Nobody takes slots where a recording is played.
            return;
        }
        put(&self.region.words(slot)[STATE_AT], EMPTY, Release);
        // A full ring would mean a slot freed twice; leaving this one out keeps it unused, which
        // is the safe side.
        let handed_back = self.freed.push(slot);
        debug_assert!(handed_back.is_ok(), "slot {slot:?} was freed twice");
    }
}

/// Every store into the mapped memory: a crash falls between two of them.
#[inline]
fn put(place: &AtomicU64, word: u64, order: Ordering) {
    place.store(word, order);
    #[cfg(test)]
    tests::note_store(place, word);
}

/// Mapped memory that holds the header's page and the slots.
#[derive(Debug)]
struct Region {
    base: NonNull<AtomicU64>,
    slots: usize,
}

impl Region {
    /// A record, zeros behind it, and then its state. Of any length, as a loop: the same word by word is more code than it
    /// takes to fetch it.
    #[inline(never)] // one body for live and dry commits: the one warms the other's instructions
    fn write(&self, slot: IntentSlot, record: &[u64], state: u64) {
        let places = self.words(slot);
        let put = |place: &AtomicU64, word, order| {
            put(place, word, order);
            // Of a record that is none, no part is waited for.
            if state != EMPTY {
                crash::point("K2");
            }
        };
        let mut sum = RecordSum::default();
        for (at, place) in places[..RECORD_WORDS].iter().enumerate() {
            let word = record.get(at).copied().unwrap_or(0);
            sum.add(at, word);
            put(place, word, Relaxed);
        }
        put(&places[CHECKSUM_AT], sum.0, Relaxed);
        put(&places[STATE_AT], state, Release);
    }

    /// Maps a file, or anonymous memory.
    fn map(slots: usize, file: Option<i32>) -> io::Result<Self> {
        let anonymous = if file.is_none() { libc::MAP_ANONYMOUS } else { 0 };
        // SAFETY: asks for new memory at an address of the kernel's choice; no memory we have is
        // touched. MAP_POPULATE makes the pages present, so the hot side never faults. A file has the
        // full length (it was set or checked), and stays mapped when it is closed.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::length(slots),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE | anonymous,
                file.unwrap_or(-1),
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

    const fn length(slots: usize) -> usize {
        HEADER_BYTES + slots * SLOT_WORDS * 8
    }

    fn header(&self) -> &[AtomicU64; 3] {
        // SAFETY: as `words`; the header's page comes first.
        unsafe { &*self.base.as_ptr().cast() }
    }

    #[inline]
    fn words(&self, slot: IntentSlot) -> &[AtomicU64; SLOT_WORDS] {
        let index = usize::from(slot.0);
        assert!(index < self.slots, "intent slot {index} of {}", self.slots);
        // SAFETY: behind the header's page the mapping holds `slots` times SLOT_WORDS words, any bits of
        // which are a valid `AtomicU64`, aligned (pages are), mapped until `drop`, which `&self`
        // outlives. All access goes through atomics, so sharing between threads is no race.
        unsafe { &*self.base.as_ptr().add(HEADER_BYTES / 8 + index * SLOT_WORDS).cast() }
    }

    fn left(&self) -> Vec<(IntentSlot, u64, [u8; INTENT_BYTES])> {
        let slots = (0..self.slots as u16).map(IntentSlot);
        slots.filter_map(|slot| self.read(slot).map(|(state, record)| (slot, state, record))).collect()
    }

    fn read(&self, slot: IntentSlot) -> Option<(u64, [u8; INTENT_BYTES])> {
        let words = self.words(slot);
        let state = words[STATE_AT].load(Acquire);
        if state == EMPTY {
            return None;
        }
        let mut record = [0; INTENT_BYTES];
        let mut sum = RecordSum::default();
        for (at, bytes) in record.as_chunks_mut().0.iter_mut().enumerate() {
            let word = words[at].load(Relaxed);
            sum.add(at, word);
            *bytes = word.to_le_bytes();
        }
        (sum.0 == words[CHECKSUM_AT].load(Relaxed)).then_some((state, record))
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
        unsafe { libc::munmap(self.base.as_ptr().cast(), Self::length(self.slots)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    const COMMITTED: u64 = 1;
    const WIRE: u64 = 2;

    thread_local! {
        /// While it is there: every store of this thread, as address and word.
        static STORES: RefCell<Option<Vec<Stored>>> = const { RefCell::new(None) };
    }

    pub(super) fn note_store(place: &AtomicU64, word: u64) {
        STORES.with_borrow_mut(|stores| {
            if let Some(stores) = stores {
                stores.push((std::ptr::from_ref(place).addr(), word));
            }
        });
    }

    fn stores_so_far() -> usize {
        STORES.with_borrow(|stores| stores.as_ref().map_or(0, Vec::len))
    }

    /// What trader and shadow do with slots.
    #[derive(Clone, Debug)]
    enum Deed {
        Commit { n: u8, reducing: bool },
        GiveBack,
        Advance(prop::sample::Index),
        Free(prop::sample::Index),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            4 => (any::<u8>(), any::<bool>()).prop_map(|(n, reducing)| Deed::Commit { n, reducing }),
            1 => Just(Deed::GiveBack),
            3 => any::<prop::sample::Index>().prop_map(Deed::Advance),
            2 => any::<prop::sample::Index>().prop_map(Deed::Free),
        ]
    }

    /// Slots that hold something, with state and record.
    type Held = BTreeMap<IntentSlot, (u64, [u8; INTENT_BYTES])>;

    /// A store: address and word.
    type Stored = (usize, u64);

    /// Does all of it; every store, and what the slots hold after each deed that ended with so many stores.
    fn done(memory: &IntentsMemory, deeds: &[Deed]) -> (Vec<Stored>, Vec<(usize, Held)>) {
        STORES.set(Some(Vec::new()));
        let (mut intents, mut reader) = memory.halves();
        let mut held = Held::new();
        let mut after = Vec::new();
        for deed in deeds {
            let pick = |at: &prop::sample::Index| {
                (!held.is_empty()).then(|| *held.keys().nth(at.index(held.len())).unwrap())
            };
            match deed {
                Deed::Commit { n, reducing } => {
                    if let Some(slot) = intents.claim(*reducing) {
                        intents.commit(slot, &words(*n), COMMITTED);
                        assert_eq!(held.insert(slot, (COMMITTED, record(*n))), None, "it was not free");
                    }
                }
                Deed::GiveBack => {
                    if let Some(slot) = intents.claim(true) {
                        intents.give_back(slot);
                    }
                }
                Deed::Advance(at) => {
                    if let Some(slot) = pick(at) {
                        let state = held[&slot].0 + 1;
                        intents.advance(slot, state);
                        held.get_mut(&slot).unwrap().0 = state;
                    }
                }
                Deed::Free(at) => {
                    if let Some(slot) = pick(at) {
                        reader.free(slot);
                        held.remove(&slot);
                    }
                }
            }
            after.push((stores_so_far(), held.clone()));
        }
        (STORES.take().unwrap(), after)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// K2 of FAULTS 7.5: inside the intent record, at each 8-byte store.
        #[test]
        fn a_crash_after_any_store_leaves_whole_records_and_loses_none(
            deeds in prop::collection::vec(deed(), 1..30),
        ) {
            const SLOTS: usize = 8;
            let memory = IntentsMemory::anonymous(SLOTS).unwrap();
            let base = memory.region.base.addr().get();
            let (stores, after) = done(&memory, &deeds);
            for crash in 0..=stores.len() {
                let region = Region::map(SLOTS, None).unwrap();
                for (address, word) in &stores[..crash] {
                    let at = address - base;
                    prop_assert!(at.is_multiple_of(8) && at < Region::length(SLOTS));
                    // SAFETY: a word inside the mapping, as was just looked at; mapped until `region` is dropped.
                    unsafe { (*region.base.as_ptr().add(at / 8)).store(*word, Relaxed) };
                }
                let next = IntentsMemory { region: Arc::new(region), boot: [0; 2] };
                let expected = after.iter().rev().find(|(stores, _)| *stores <= crash);
                let expected = expected.map(|(_, held)| held.clone()).unwrap_or_default();
                let found: Held =
                    next.left().into_iter().map(|(slot, state, record)| (slot, (state, record))).collect();
                prop_assert_eq!(&found, &expected, "after {} stores", crash);
                prop_assert!(found.is_empty() || next.origin() == Origin::ThisBoot);
                let (mut intents, _reader) = next.halves();
                let free: Vec<_> = std::iter::from_fn(|| intents.claim(true)).collect();
                prop_assert_eq!(free.len() + found.len(), SLOTS, "what is left stays taken, the rest is free");
                prop_assert!(free.iter().all(|slot| !found.contains_key(slot)));
            }
        }
    }

    fn pair_of(slots: usize) -> io::Result<(Intents, IntentsReader)> {
        Ok(IntentsMemory::anonymous(slots)?.halves())
    }

    #[test]
    fn the_next_process_finds_what_the_last_one_committed_and_did_not_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("intents");
        let first = IntentsMemory::mapped(&path, 8).unwrap();
        assert_eq!((first.origin(), first.left()), (Origin::Fresh, vec![]));
        let (mut intents, mut reader) = first.halves();
        let slots: Vec<_> = std::iter::from_fn(|| intents.claim(true)).collect();
        for (n, slot) in slots.iter().enumerate() {
            intents.commit(*slot, &words(n as u8), COMMITTED);
        }
        intents.advance(slots[3], WIRE);
        reader.free(slots[0]);
        // Torn: the record of slot 1 was being overwritten.
        reader.region.words(slots[1])[5].fetch_xor(1, Relaxed);
        drop((intents, reader, first));

        let second = IntentsMemory::mapped(&path, 8).unwrap();
        assert_eq!(second.origin(), Origin::ThisBoot);
        let left: Vec<_> = second.left().into_iter().map(|(_, state, record)| (state, record[0])).collect();
        let mut expected: Vec<_> =
            (2..8).map(|n| (if n == 3 { WIRE } else { COMMITTED }, record(n)[0])).collect();
        expected.sort_unstable();
        let mut sorted = left.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let (mut intents, mut reader) = second.halves();
        assert_eq!(std::iter::from_fn(|| intents.claim(true)).count(), 2, "what is left stays taken");
        reader.free(slots[5]);
        assert_eq!(intents.claim(true), Some(slots[5]));
        assert_eq!(second.left().len(), 5);
    }

    #[test]
    fn records_of_an_earlier_start_of_the_host_are_known_as_such() {
        for half in 0..2 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("intents");
            let memory = IntentsMemory::mapped(&path, 4).unwrap();
            assert_ne!(memory.boot[half], 0);
            drop(memory.halves());
            memory.region.header()[1 + half].fetch_xor(1, Relaxed);
            assert_eq!(IntentsMemory::mapped(&path, 4).unwrap().origin(), Origin::EarlierBoot);
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("intents");
        let refused = |path: &Path| IntentsMemory::mapped(path, 4).unwrap_err().to_string();
        std::fs::write(&path, vec![7; Region::length(4)]).unwrap();
        assert!(refused(&path).contains("only this user"), "{}", refused(&path));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refused(&path).contains("does not begin"), "{}", refused(&path));
        for slot_bytes in [3 * 64, 2 * 64] {
            let mut older = vec![0; HEADER_BYTES + 4 * slot_bytes];
            older[..6].copy_from_slice(b"CTINT\x02");
            std::fs::write(&path, older).unwrap();
            assert!(refused(&path).contains("another version"), "{}", refused(&path));
        }
        std::fs::write(&path, b"short").unwrap();
        assert!(refused(&path).contains("size"), "{}", refused(&path));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(IntentsMemory::mapped(&link, 4).is_err());
        // Not even to one of ours.
        let (ours, link) = (dir.path().join("ours"), dir.path().join("another link"));
        assert!(IntentsMemory::mapped(&ours, 4).is_ok());
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        assert!(IntentsMemory::mapped(&link, 4).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    fn words(n: u8) -> [u64; RECORD_WORDS] {
        words_of(&record(n))
    }

    fn record(n: u8) -> [u8; INTENT_BYTES] {
        std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8))
    }

    /// Whether the place was never used or has been freed, and up to the very store where the real one begins.
    #[test]
    fn nothing_stands_where_a_record_was_written_dry() {
        let (mut intents, mut reader) = IntentsMemory::anonymous(4).unwrap().halves();
        for n in 0..10 {
            intents.dry_commit(&words(99));
            assert!(reader.left().is_empty());
            let slot = intents.claim(true).unwrap();
            assert_eq!(reader.read(slot), None, "claimed is not committed");
            intents.dry_commit(&words(98));
            assert_eq!(reader.read(slot), None);
            intents.commit(slot, &words(n), COMMITTED);
            intents.dry_commit(&words(97));
            assert_eq!(reader.left(), [(slot, COMMITTED, record(n))]);
            reader.free(slot);
        }
    }

    #[test]
    fn a_record_is_read_as_committed_and_follows_its_state() {
        let (mut intents, reader) = pair_of(8).unwrap();
        let slot = intents.claim(false).unwrap();
        assert_eq!(reader.read(slot), None, "claimed is not committed");
        intents.commit(slot, &words(3), COMMITTED);
        assert_eq!(reader.read(slot), Some((COMMITTED, record(3))));
        intents.advance(slot, WIRE);
        assert_eq!(reader.read(slot), Some((WIRE, record(3))));
    }

    #[test]
    fn the_last_quarter_is_for_reducing_risk() {
        let (mut intents, mut reader) = pair_of(1_024).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| intents.claim(false)).collect();
        assert_eq!(taken.len(), 768);
        let repairs = std::iter::from_fn(|| intents.claim(true)).count();
        assert_eq!(repairs, 256);
        for &slot in &taken {
            intents.commit(slot, &words(1), COMMITTED);
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
        let (mut intents, reader) = pair_of(4).unwrap();
        let slot = intents.claim(true).unwrap();
        // The state of an earlier life would be the worst case: pretend it survived.
        for written in 0..=CHECKSUM_AT {
            intents.commit(slot, &words(9), COMMITTED);
            let places = reader.region.words(slot);
            for (place, word) in places.iter().zip(words(77)).take(written) {
                place.store(word, Relaxed);
            }
            let expected = (written == 0).then_some((COMMITTED, record(9)));
            assert_eq!(reader.read(slot), expected, "{written} words written");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let (mut intents, reader) = pair_of(1).unwrap();
        let slot = intents.claim(true).unwrap();
        intents.commit(slot, &words(5), COMMITTED);
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
        let (mut intents, mut reader) = pair_of(16).unwrap();
        let (mut fired, mut seen) = ring::<(IntentSlot, u8)>(16);
        let writing = std::thread::spawn(move || {
            for n in 0..20_000u32 {
                let slot = loop {
                    match intents.claim(true) {
                        Some(slot) => break slot,
                        None => std::thread::yield_now(),
                    }
                };
                intents.commit(slot, &words(n as u8), COMMITTED);
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
