//! The memory side of `disk`: the same files, and a world that makes them slow, full, or lose power.
//!
//! Owns:  which bytes of which file would be there after the power came back.
//! Never: keeps a byte that no sync made durable, unless the world says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskError, FileId, Synced};

/// The world's hand on a disk in memory.
#[derive(Clone, Debug)]
pub struct DiskPeer {
    memory: Memory,
}

impl DiskPeer {
    /// While held, syncs are asked for and not done.
    pub fn hold_syncs(&self, held: bool) {
        self.memory.state().held = held;
    }

    /// Lets every following sync fail, or work again.
    pub fn fail_syncs(&self, failing: bool) {
        self.memory.state().failing = failing;
    }

    /// How many more bytes fit; `None`: any number.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.memory.state().room = bytes;
    }

    /// Changes whenever a file does: who has seen the files at this count has seen them as they are.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.memory.state().changes
    }

    /// How long a file is, and how much of it would outlive a loss of power; `None`: not even its name.
    #[must_use]
    pub fn lengths(&self, name: &str) -> (usize, Option<usize>) {
        let state = self.memory.state();
        state.files.get(name).map_or((0, None), |file| (file.now.len(), file.durable))
    }

    /// The bytes of a file from `from` on.
    #[must_use]
    pub fn tail(&self, name: &str, from: usize) -> Vec<u8> {
        let state = self.memory.state();
        state.files.get(name).and_then(|file| file.now.get(from..)).map_or_else(Vec::new, <[u8]>::to_vec)
    }

    /// Loses the power: a new disk with what was durable, and of each file up to `tail` bytes more
    /// that happened to be written back already. The old one is of no use any more.
    #[must_use]
    pub fn lose_power(&self, tail: usize) -> (Disk, Self) {
        let mut files = BTreeMap::new();
        let state = self.memory.state();
        for (name, file) in &state.files {
            if let Some(durable) = file.durable {
                let kept = file.now.len().min(durable.saturating_add(tail));
                let now = file.now[..kept].to_vec();
                files.insert(name.clone(), OneFile { durable: Some(now.len()), synced: now.len(), now });
            }
        }
        Self::reborn(files, state.changes)
    }

    /// Kills the process and keeps the machine: every byte that was appended is still there, locks
    /// are free, syncs that were asked for are forgotten.
    #[must_use]
    pub fn kill_process(&self) -> (Disk, Self) {
        let state = self.memory.state();
        Self::reborn(state.files.clone(), state.changes)
    }

    pub(super) fn of(memory: Memory) -> Self {
        Self { memory }
    }

    fn reborn(files: BTreeMap<String, OneFile>, changes: u64) -> (Disk, Self) {
        let memory = Memory(Arc::new(Mutex::new(State { files, changes: changes + 1, ..State::default() })));
        (Disk::of_memory(memory.clone()), Self { memory })
    }
}

/// A directory in memory; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, OneFile>,
    /// Syncs asked for and not answered, oldest first.
    pending: Vec<(FileId, String, u64, bool)>,
    locked: Vec<String>,
    held: bool,
    failing: bool,
    room: Option<u64>,
    changes: u64,
}

#[derive(Clone, Debug, Default)]
struct OneFile {
    now: Vec<u8>,
    /// Bytes of it that are on the disk.
    synced: usize,
    /// As `synced`, once the file's name is on the disk too; `None` before: it would vanish.
    durable: Option<usize>,
}

impl Memory {
    pub(super) fn open(&self, name: &str) -> u64 {
        self.change().files.entry(name.to_owned()).or_default().now.len() as u64
    }

    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.change();
        state.take_room(name, bytes)?;
        state.files.entry(name.to_owned()).or_default().now.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn truncate(&self, name: &str, len: u64) {
        let mut state = self.change();
        let file = state.files.entry(name.to_owned()).or_default();
        file.now.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        file.synced = file.synced.min(file.now.len());
        file.durable = file.durable.map(|durable| durable.min(file.now.len()));
    }

    /// `fresh`: its name is synced as well.
    pub(super) fn ask_sync(&self, id: FileId, name: &str, len: u64, fresh: bool) {
        self.state().pending.push((id, name.to_owned(), len, fresh));
    }

    pub(super) fn next_sync(&self) -> Option<Synced> {
        let mut state = self.state();
        if state.held || state.pending.is_empty() {
            return None;
        }
        let (id, name, len, fresh) = state.pending.remove(0);
        state.changes += 1;
        if state.failing {
            return Some((id, Err("input/output error".to_owned())));
        }
        let file = state.files.entry(name).or_default();
        let reached = usize::try_from(len).unwrap_or(usize::MAX).min(file.now.len());
        file.synced = file.synced.max(reached);
        file.durable = (fresh || file.durable.is_some()).then_some(file.synced);
        Some((id, Ok(len)))
    }

    pub(super) fn sync_names(&self) {
        self.change().sync_names();
    }

    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.change();
        state.take_room(name, bytes)?;
        let whole = OneFile { now: bytes.to_vec(), synced: bytes.len(), durable: None };
        state.files.insert(name.to_owned(), whole);
        state.sync_names();
        Ok(())
    }

    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.state().files.get(name).map(|file| file.now.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    pub(super) fn lock(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.change();
        if state.locked.iter().any(|held| held == name) {
            return Err(DiskError::Locked { name: name.to_owned() });
        }
        state.locked.push(name.to_owned());
        state.files.entry(name.to_owned()).or_default();
        Ok(())
    }

    /// As [`Memory::state`], to change something.
    fn change(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.changes += 1;
        state
    }

    /// A panic elsewhere left the files whole: each change is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_room(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        if let Some(room) = &mut self.room {
            *room = room
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| DiskError::Full { name: name.to_owned() })?;
        }
        Ok(())
    }

    fn sync_names(&mut self) {
        for file in self.files.values_mut() {
            file.durable = Some(file.synced);
        }
    }
}
