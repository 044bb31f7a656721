//! Files as the engine needs them: appended to, synced, replaced whole.
//!
//! Owns:  one directory; the sync helper thread; the rule that after a failed sync nothing of that
//!        file is believed any more (the kernel may have dropped the pages it could not write).
//! Never: blocks on a sync of an open file: ask with [`Disk::sync`], the answer comes from
//!        [`Disk::synced`]. Knows what a record is; `store` does.
//! Quirk: [`Disk::replace`] and [`Disk::sync_dir`] do block. They are for start and stop; the name of a file
//!        that was made while running becomes durable with its first sync.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::crash;
pub use super::disk_memory::DiskPeer;
use super::disk_memory::Memory;

/// Syncs that may be under way at once; a caller asks for one per file and waits for its answer.
const SYNCS_MAX: usize = 64;

/// How the temporary file of a [`Disk::replace`] ends.
const UNFINISHED: &str = ".new";

/// One of the open files of a [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u16);

/// Why a file can't be trusted, or a call could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// Too many syncs wait for their answer.
    #[error("the disk is {SYNCS_MAX} syncs behind; it is too slow or stuck")]
    Behind,
    /// A sync or a repair failed before: what the file holds on the disk is unknown.
    #[error(
        "{name} failed before, so what it holds on the disk is unknown; stop, check the disk, and start again"
    )]
    Broken {
        /// The file.
        name: String,
    },
    /// No room.
    #[error("no room left for {name}; free some on this disk")]
    Full {
        /// The file.
        name: String,
    },
    /// Somebody else holds the lock.
    #[error("{name} is locked: another engine uses this directory; stop it, or choose another directory")]
    Locked {
        /// The lock file.
        name: String,
    },
    /// Anything else.
    #[error("{name}: {detail}; check that the directory exists and belongs to this user")]
    Os {
        /// The file.
        name: String,
        /// What the system said.
        detail: String,
    },
}

impl DiskError {
    fn from_io(name: &str, error: &io::Error) -> Self {
        let name = name.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { name },
            _ => Self::Os { name, detail: error.to_string() },
        }
    }
}

/// One directory of files.
#[derive(Debug)]
pub struct Disk {
    files: Vec<Open>,
    side: Side,
}

/// A file that is appended to.
#[derive(Debug)]
struct Open {
    name: String,
    /// Bytes that were appended whole.
    len: u64,
    broken: bool,
    /// Its name may not be on the disk yet.
    fresh: bool,
    /// Nobody uses it any more: the next file that is opened takes its place.
    closed: bool,
    /// The real side's file.
    file: Option<Arc<File>>,
}

#[derive(Debug)]
enum Side {
    Real { dir: PathBuf, requests: Sender<SyncRequest>, done: Receiver<Synced>, locks: Vec<File> },
    Memory(Memory),
}

/// Which file, how much of it, the folder too if its name is not durable.
type SyncRequest = (FileId, u64, Arc<File>, Option<PathBuf>);
/// The answer to a sync: how much of which file is durable, or what the system said.
pub(super) type Synced = (FileId, Result<u64, String>);

impl Disk {
    /// The directory `dir`, made if it is not there.
    ///
    /// # Errors
    ///
    /// [`DiskError::Os`] if it can't be made or written to.
    pub fn real(dir: &Path) -> Result<Self, DiskError> {
        let failed = |error: io::Error| DiskError::from_io(&dir.display().to_string(), &error);
        fs::create_dir_all(dir).map_err(failed)?;
        let (requests, todo) = bounded::<SyncRequest>(SYNCS_MAX);
        let (answers, done) = unbounded::<Synced>();
        std::thread::Builder::new()
            .name("disk-sync".to_owned())
            .spawn(move || {
                for (id, len, file, dir) in todo {
                    let synced = file.sync_data().and_then(|()| match dir {
                        Some(dir) => File::open(dir)?.sync_all(),
                        None => Ok(()),
                    });
                    let answer = (id, synced.map(|()| len).map_err(|error| error.to_string()));
                    if answers.send(answer).is_err() {
                        return;
                    }
                }
            })
            .map_err(failed)?;
        Ok(Self {
            files: Vec::new(),
            side: Side::Real { dir: dir.to_owned(), requests, done, locks: Vec::new() },
        })
    }

    /// An empty directory in memory, whose syncs are done at once.
    #[must_use]
    pub fn memory() -> Self {
        Self::memory_with_peer().0
    }

    /// As [`Disk::memory`], with the hand that makes it slow, full, or lose its power.
    #[must_use]
    pub fn memory_with_peer() -> (Self, DiskPeer) {
        let memory = Memory::default();
        (Self::of_memory(memory.clone()), DiskPeer::of(memory))
    }

    /// Opens a file to append to, making it if it is not there. Its name is durable with its first sync, or
    /// with [`Disk::sync_dir`].
    ///
    /// # Errors
    ///
    /// The system refused.
    pub fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        let (len, file) = match &self.side {
            Side::Real { dir, .. } => {
                let failed = |error: io::Error| DiskError::from_io(name, &error);
                let file =
                    OpenOptions::new().append(true).create(true).open(dir.join(name)).map_err(failed)?;
                (file.metadata().map_err(failed)?.len(), Some(Arc::new(file)))
            }
            Side::Memory(memory) => (memory.open(name), None),
        };
        let open = Open { name: name.to_owned(), len, broken: false, fresh: true, closed: false, file };
        let at = self.files.iter().position(|it| it.closed).unwrap_or(self.files.len());
        match self.files.get_mut(at) {
            Some(closed) => *closed = open,
            None => self.files.push(open),
        }
        Ok(FileId(at as u16))
    }

    /// Ends the use of a file. Every sync of it must have been answered: its id is given to the next one.
    pub fn close(&mut self, id: FileId) {
        if let Some(open) = self.files.get_mut(usize::from(id.0)) {
            (open.closed, open.file) = (true, None);
        }
    }

    /// How many bytes a file has.
    #[must_use]
    pub fn len(&self, id: FileId) -> u64 {
        self.files.get(usize::from(id.0)).map_or(0, |open| open.len)
    }

    /// Appends `bytes`, all or nothing, and returns the file's new length. Not yet durable.
    ///
    /// # Errors
    ///
    /// [`DiskError::Full`] and the like: nothing was appended. [`DiskError::Broken`]: the file is
    /// not to be trusted any more.
    pub fn append(&mut self, id: FileId, bytes: &[u8]) -> Result<u64, DiskError> {
        let open = usable(&mut self.files, id)?;
        let written = match (&self.side, &open.file) {
            (Side::Memory(memory), _) => {
                crash::part("K10", bytes.len(), |some| drop(memory.append(&open.name, &bytes[..some])));
                memory.append(&open.name, bytes)
            }
            (Side::Real { .. }, Some(file)) => {
                crash::part("K10", bytes.len(), |some| _ = (&**file).write_all(&bytes[..some]));
                (&**file).write_all(bytes).map_err(|error| {
                    // A half-written record must not stay in front of the next one.
                    open.broken = file.set_len(open.len).is_err();
                    DiskError::from_io(&open.name, &error)
                })
            }
            (Side::Real { .. }, None) => Err(DiskError::Broken { name: open.name.clone() }),
        };
        written?;
        open.len += bytes.len() as u64;
        Ok(open.len)
    }

    /// Cuts a file to `len` bytes: recovery drops a torn tail with it.
    ///
    /// # Errors
    ///
    /// The system refused.
    pub fn truncate(&mut self, id: FileId, len: u64) -> Result<(), DiskError> {
        let open = usable(&mut self.files, id)?;
        if len >= open.len {
            return Ok(());
        }
        match (&self.side, &open.file) {
            (Side::Memory(memory), _) => memory.truncate(&open.name, len),
            (Side::Real { .. }, Some(file)) => {
                file.set_len(len).map_err(|error| DiskError::from_io(&open.name, &error))?;
            }
            (Side::Real { .. }, None) => {}
        }
        open.len = len;
        Ok(())
    }

    /// Asks that everything appended so far reaches the disk.
    ///
    /// # Errors
    ///
    /// [`DiskError::Behind`] if too many syncs wait; ask again later. [`DiskError::Broken`] as above.
    pub fn sync(&mut self, id: FileId) -> Result<(), DiskError> {
        let open = usable(&mut self.files, id)?;
        match (&self.side, &open.file) {
            (Side::Memory(memory), _) => memory.ask_sync(id, &open.name, open.len, open.fresh),
            (Side::Real { dir, requests, .. }, Some(file)) => {
                let dir = open.fresh.then(|| dir.clone());
                let request = (id, open.len, Arc::clone(file), dir);
                requests.try_send(request).map_err(|_| DiskError::Behind)?;
            }
            (Side::Real { .. }, None) => return Err(DiskError::Broken { name: open.name.clone() }),
        }
        Ok(())
    }

    /// The next finished sync: which file, and how many of its bytes are durable now.
    pub fn synced(&mut self) -> Option<(FileId, Result<u64, DiskError>)> {
        let (id, outcome) = match &mut self.side {
            Side::Real { done, .. } => done.try_recv().ok()?,
            Side::Memory(memory) => memory.next_sync()?,
        };
        let open = self.files.get_mut(usize::from(id.0))?;
        open.fresh &= outcome.is_err();
        let outcome = outcome.map_err(|detail| {
            open.broken = true;
            DiskError::Os { name: open.name.clone(), detail }
        });
        Some((id, outcome))
    }

    /// Makes new and renamed files durable. Blocks.
    ///
    /// # Errors
    ///
    /// The system refused.
    pub fn sync_dir(&mut self) -> Result<(), DiskError> {
        match &self.side {
            Side::Real { dir, .. } => sync_dir(dir)?,
            Side::Memory(memory) => memory.sync_names(),
        }
        self.files.iter_mut().for_each(|open| open.fresh = false);
        Ok(())
    }

    /// Makes `name` hold exactly `bytes`, durably, or leaves it as it was: temporary file, sync,
    /// rename, sync of the directory. Blocks.
    ///
    /// # Errors
    ///
    /// The system refused; the old content is still there.
    pub fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        match &self.side {
            Side::Real { dir, .. } => {
                let temporary = dir.join(format!("{name}{UNFINISHED}"));
                let failed = |error| DiskError::from_io(name, &error);
                write_synced(&temporary, bytes).map_err(failed)?;
                crash::point("K14b");
                fs::rename(&temporary, dir.join(name)).map_err(failed)?;
                crash::point("K14c");
                sync_dir(dir)
            }
            Side::Memory(memory) => {
                crash::point("K14b");
                memory.replace(name, bytes)?;
                // A loss of power before the folder is synced leaves the old file, as at K14b, or the new one: this.
                crash::point("K14c");
                Ok(())
            }
        }
    }

    /// All of a file; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// It is there and can't be read.
    pub fn read_all(&self, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
        match &self.side {
            Side::Real { dir, .. } => match fs::read(dir.join(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(DiskError::from_io(name, &error)),
            },
            Side::Memory(memory) => Ok(memory.read(name)),
        }
    }

    /// The names of all files, sorted; without what a crash left of an unfinished
    /// [`Disk::replace`].
    ///
    /// # Errors
    ///
    /// The directory can't be read.
    pub fn names(&self) -> Result<Vec<String>, DiskError> {
        match &self.side {
            Side::Real { dir, .. } => {
                let failed = |error: io::Error| DiskError::from_io(&dir.display().to_string(), &error);
                let mut names = Vec::new();
                for entry in fs::read_dir(dir).map_err(failed)? {
                    let entry = entry.map_err(failed)?;
                    if entry.file_type().map_err(failed)?.is_file() {
                        names.push(entry.file_name().to_string_lossy().into_owned());
                    }
                }
                names.retain(|name| !name.ends_with(UNFINISHED));
                names.sort_unstable();
                Ok(names)
            }
            Side::Memory(memory) => Ok(memory.names()),
        }
    }

    /// Takes an exclusive lock on `name` until this disk is dropped (or the process dies).
    ///
    /// # Errors
    ///
    /// [`DiskError::Locked`] if another process has it.
    pub fn lock(&mut self, name: &str) -> Result<(), DiskError> {
        match &mut self.side {
            Side::Real { dir, locks, .. } => {
                let failed = |error: io::Error| DiskError::from_io(name, &error);
                let file =
                    OpenOptions::new().append(true).create(true).open(dir.join(name)).map_err(failed)?;
                match file.try_lock() {
                    Ok(()) => {
                        locks.push(file);
                        Ok(())
                    }
                    Err(TryLockError::WouldBlock) => Err(DiskError::Locked { name: name.to_owned() }),
                    Err(TryLockError::Error(error)) => Err(failed(error)),
                }
            }
            Side::Memory(memory) => memory.lock(name),
        }
    }
}

impl Disk {
    pub(super) fn of_memory(memory: Memory) -> Self {
        Self { files: Vec::new(), side: Side::Memory(memory) }
    }
}

fn usable(files: &mut [Open], id: FileId) -> Result<&mut Open, DiskError> {
    match files.get_mut(usize::from(id.0)) {
        Some(open) if open.broken => Err(DiskError::Broken { name: open.name.clone() }),
        Some(open) if !open.closed => Ok(open),
        _ => Err(DiskError::Os { name: format!("file {}", id.0), detail: "it was never opened".to_owned() }),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| DiskError::from_io(&dir.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_synced(disk: &mut Disk) -> (FileId, Result<u64, DiskError>) {
        loop {
            match disk.synced() {
                Some(answer) => return answer,
                None => std::thread::yield_now(),
            }
        }
    }

    /// What must hold for both sides of the seam.
    fn appends_syncs_and_replaces(mut disk: Disk) {
        let journal = disk.open("journal").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.append(journal, b"one"), Ok(3));
        assert_eq!(disk.append(journal, b"two"), Ok(6));
        disk.sync(journal).unwrap();
        assert_eq!(wait_synced(&mut disk), (journal, Ok(6)));
        assert_eq!(disk.synced(), None);
        disk.truncate(journal, 4).unwrap();
        assert_eq!(disk.append(journal, b"!"), Ok(5));
        assert_eq!(disk.read_all("journal").unwrap().unwrap(), b"onet!");
        let again = disk.open("journal").unwrap();
        assert_eq!(disk.len(again), 5);

        disk.replace("epoch", b"7").unwrap();
        disk.replace("epoch", b"8").unwrap();
        assert_eq!(disk.read_all("epoch").unwrap().unwrap(), b"8");
        assert_eq!(disk.read_all("nothing").unwrap(), None);
        disk.lock("lock").unwrap();
        assert_eq!(disk.names().unwrap(), ["epoch", "journal", "lock"]);
        assert!(disk.append(FileId(99), b"x").is_err());
    }

    #[test]
    fn the_real_disk_and_its_twin_do_the_same() {
        let dir = tempfile::tempdir().unwrap();
        appends_syncs_and_replaces(Disk::real(&dir.path().join("made/on/the/way")).unwrap());
        appends_syncs_and_replaces(Disk::memory());
    }

    #[test]
    fn a_crash_inside_a_replace_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::real(dir.path()).unwrap();
        disk.replace("epoch", b"7").unwrap();
        fs::write(dir.path().join("epoch.new"), b"ha").unwrap();
        let mut disk = Disk::real(dir.path()).unwrap();
        assert_eq!(disk.names().unwrap(), ["epoch"]);
        assert_eq!(disk.read_all("epoch").unwrap().unwrap(), b"7");
        disk.replace("epoch", b"8").unwrap();
        assert_eq!(disk.read_all("epoch").unwrap().unwrap(), b"8");
    }

    #[test]
    fn a_directory_serves_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (Disk::real(dir.path()).unwrap(), Disk::real(dir.path()).unwrap());
        first.lock("lock").unwrap();
        assert_eq!(second.lock("lock"), Err(DiskError::Locked { name: "lock".to_owned() }));
        drop(first);
        second.lock("lock").unwrap();
    }

    #[test]
    fn a_power_loss_keeps_what_was_synced_and_perhaps_a_piece_more() {
        let (mut disk, peer) = Disk::memory_with_peer();
        let file = disk.open("journal").unwrap();
        disk.append(file, b"durable").unwrap();
        peer.hold_syncs(true);
        disk.sync(file).unwrap();
        assert_eq!(peer.lose_power(0).0.read_all("journal"), Ok(None), "its name was not synced");
        peer.hold_syncs(false);
        assert_eq!(disk.synced(), Some((file, Ok(7))));
        assert_eq!(peer.lose_power(0).0.read_all("journal").unwrap().unwrap(), b"durable");
        disk.append(file, b"-lost").unwrap();
        peer.hold_syncs(true);
        disk.sync(file).unwrap();
        assert_eq!(disk.synced(), None, "asked for and not done");
        assert_eq!(peer.lose_power(0).0.read_all("journal").unwrap().unwrap(), b"durable");
        assert_eq!(peer.lose_power(2).0.read_all("journal").unwrap().unwrap(), b"durable-l");
        assert_eq!(peer.kill_process().0.read_all("journal").unwrap().unwrap(), b"durable-lost");
    }

    #[test]
    fn a_closed_file_is_not_written_to_and_its_place_is_used_again() {
        let (mut disk, peer) = Disk::memory_with_peer();
        let (first, other) = (disk.open("one").unwrap(), disk.open("other").unwrap());
        disk.append(first, b"1").unwrap();
        disk.sync(first).unwrap();
        assert_eq!(disk.synced(), Some((first, Ok(1))));
        disk.close(first);
        assert!(disk.append(first, b"x").is_err() && disk.sync(first).is_err());
        let next = disk.open("two").unwrap();
        assert_eq!((next, disk.len(next)), (first, 0));
        disk.append(next, b"22").unwrap();
        disk.append(other, b"333").unwrap();
        disk.sync(next).unwrap();
        assert_eq!(disk.synced(), Some((next, Ok(2))));
        let (disk, _) = peer.lose_power(0);
        let read = |name: &str| disk.read_all(name).unwrap().map(|bytes| bytes.len());
        assert_eq!((read("one"), read("two"), read("other")), (Some(1), Some(2), None));
    }

    #[test]
    fn a_full_disk_takes_all_or_nothing_and_a_failed_sync_ends_the_file() {
        let (mut disk, peer) = Disk::memory_with_peer();
        let file = disk.open("journal").unwrap();
        peer.limit_room(Some(4));
        assert_eq!(disk.append(file, b"12345"), Err(DiskError::Full { name: "journal".to_owned() }));
        assert_eq!(disk.append(file, b"1234"), Ok(4));
        peer.fail_syncs(true);
        disk.sync(file).unwrap();
        assert!(matches!(disk.synced(), Some((_, Err(DiskError::Os { .. })))));
        peer.fail_syncs(false);
        assert_eq!(disk.append(file, b""), Err(DiskError::Broken { name: "journal".to_owned() }));
        assert_eq!(disk.sync(file), Err(DiskError::Broken { name: "journal".to_owned() }));
    }
}
