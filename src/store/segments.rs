//! The journal's files: a chain of segments, each but the first opened by a checkpoint of all before it.
//!
//! Owns:  their names, where a start begins to read ([`open`]), and the step to the next segment
//!        ([`Journal::rotate`]).
//! Never: changes a segment that another one follows; deletes one: they are the truth for reports. Trusts a
//!        checkpoint that is not whole: the segment before says the same.
//! Order: a segment is begun once all of the one before is durable. Whatever a crash leaves of the new one is
//!        either a whole checkpoint, or moved aside, and then the old one is gone on with.

use super::checkpoint;
use super::journal::{Flaw, Kind, Reader, encode, file_header, frame};
use super::recall::{RecallError, Recalled};
use crate::event::Record;
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::disk::{Disk, DiskError, FileId};

/// A segment takes so many bytes behind its checkpoint: read back in well under a second, and weeks of a quiet
/// desk. A build with crash points has small ones, so that rotations are come to.
pub const SEGMENT_BYTES: u64 = if cfg!(feature = "crashpoints") { 32 << 10 } else { 16 << 20 };

/// The name of a segment of an instance's journal in its data folder.
#[must_use]
pub fn file_name(instance: u8, number: u32) -> String {
    format!("journal-{instance}-{number:06}.ctj")
}

/// Which segment of an instance's journal a file is.
#[must_use]
pub fn number_of(instance: u8, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(&format!("journal-{instance}-"))?.strip_suffix(".ctj")?;
    digits.parse().ok().filter(|number| file_name(instance, *number) == name)
}

/// What the journal was before it came in segments; nobody reads it any more.
#[must_use]
pub fn single_file_name(instance: u8) -> String {
    format!("journal-{instance}.ctj")
}

/// Whether a file is of an instance's journal, in segments or as it was before.
#[must_use]
pub fn is_journal(instance: u8, name: &str) -> bool {
    number_of(instance, name).is_some() || name == single_file_name(instance)
}

/// Why a journal can't be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A sound record that does not say what it must.
    #[error("{name}: {error}")]
    Record {
        /// Which file.
        name: String,
        /// What is wrong.
        error: RecallError,
    },
    /// Whatever it is, we did not write it, and will not touch it.
    #[error("{name}, byte {at}: {why}; start with the program that wrote it, or choose another data folder")]
    Foreign {
        /// Which file.
        name: String,
        /// Where reading stopped.
        at: u64,
        /// Why.
        why: Flaw,
    },
    /// A journal in one file, as it was before there were segments.
    #[error(
        "{name} is a journal of an earlier format, in one file; settle what it holds with the program that wrote \
         it, then choose another data folder"
    )]
    Single {
        /// Which file.
        name: String,
    },
    /// There are segments, and none can be begun with.
    #[error(
        "the first segment of the journal is missing, and no other one, up to {name}, begins with a whole \
         checkpoint; restore the journal from a backup"
    )]
    NoStart {
        /// The newest segment.
        name: String,
    },
}

/// An unreadable end of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Of which file.
    pub name: String,
    /// Where it began.
    pub at: u64,
    /// How many bytes it was.
    pub bytes: u64,
    /// What was wrong with its first record.
    pub why: Flaw,
    /// The file that keeps it.
    pub kept_as: String,
}

/// A journal that is ready to be appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its last segment.
    pub journal: Journal,
    /// What was moved aside, oldest first; people should be told.
    pub cuts: Vec<Cut>,
}

/// The segment that is appended to, with all that a start would know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    instance: u8,
    number: u32,
    file: FileId,
    /// It is full at this length.
    full_at: u64,
    /// How much a segment takes behind its checkpoint.
    room: u64,
    recalled: Recalled,
    /// A record of ours was not to be read back: no checkpoint can be made of it. The next start says so.
    unreadable: bool,
}

impl Journal {
    /// The open segment.
    #[must_use]
    pub const fn file(&self) -> FileId {
        self.file
    }

    /// The bytes of the open segment, as they are now: what it tells can be told from them again. Blocks.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn bytes(&self, disk: &Disk) -> Result<Vec<u8>, DiskError> {
        Ok(disk.read_all(&file_name(self.instance, self.number))?.unwrap_or_default())
    }

    /// What the journal tells.
    #[must_use]
    pub const fn recalled(&self) -> &Recalled {
        &self.recalled
    }

    /// With segments of so many bytes behind their checkpoint.
    #[must_use]
    pub fn with_segments_of(mut self, bytes: u64) -> Self {
        self.full_at = self.full_at - self.room + bytes;
        self.room = bytes;
        self
    }

    /// Appends a record to `out`, ready for the disk.
    pub fn encode(&mut self, record: &Record, out: &mut Vec<u8>) {
        let entry = encode(record, out);
        self.unreadable |= self.recalled.take(&entry).is_err();
    }

    /// Whether the next record belongs into the next segment.
    #[must_use]
    pub fn is_full(&self, disk: &Disk) -> bool {
        !self.unreadable && disk.len(self.file) >= self.full_at
    }

    /// Begins the next segment. All of this one must be durable, and `encode` have seen nothing else. The new
    /// file's name becomes durable with its first sync.
    ///
    /// # Errors
    ///
    /// [`DiskError`]: this segment is gone on with.
    pub fn rotate(&mut self, disk: &mut Disk) -> Result<(), DiskError> {
        crash::point("K12a");
        self.recalled.forget();
        let number = self.number + 1;
        let head = head(number, &self.recalled);
        let file = disk.open(&file_name(self.instance, number))?;
        // What a refused attempt left.
        disk.truncate(file, 0)?;
        crash::part("K12b", head.len(), |some| drop(disk.append(file, &head[..some])));
        if let Err(error) = disk.append(file, &head) {
            disk.close(file);
            return Err(error);
        }
        crash::point("K12c");
        disk.close(self.file);
        self.recalled.next_segment();
        (self.number, self.file, self.full_at) = (number, file, head.len() as u64 + self.room);
        Ok(())
    }
}

/// What a segment begins with.
pub(super) fn head(number: u32, recalled: &Recalled) -> Vec<u8> {
    let mut head = file_header(number).to_vec();
    for body in recalled.checkpoint() {
        frame(Kind::Checkpoint, body.to_string().as_bytes(), &mut head);
    }
    head
}

/// What a whole segment's bytes tell ([`Journal::bytes`]); `None` if they are none.
#[must_use]
pub fn recalled(bytes: &[u8]) -> Option<Recalled> {
    // Its number is in its header, and held against it.
    let number = bytes.get(8..16)?.first_chunk().map(|number| u64::from_le_bytes(*number))?;
    let segment = read(bytes, u32::try_from(number).ok()?).ok()?.ok()?;
    segment.flaw.is_none().then_some(segment.recalled)
}

/// What one segment says.
struct Segment {
    recalled: Recalled,
    /// Bytes of its head, and of all its whole records.
    head: usize,
    good: usize,
    flaw: Option<Flaw>,
}

/// Reads a segment from its checkpoint on; `None`: it does not begin with a whole one, and why.
fn read(bytes: &[u8], number: u32) -> Result<Result<Segment, Flaw>, RecallError> {
    let mut reader = Reader::new(bytes, number);
    let mut recalled = Recalled::default();
    let (mut head, mut parts) = (if number == 1 { reader.good() } else { 0 }, 0);
    while let Some(entry) = reader.next() {
        if head == 0 {
            parts += 1;
            match checkpoint::place(&entry) {
                Some((part, all)) if part == parts && all >= part => {
                    head = if part == all { reader.good() } else { 0 };
                }
                _ => return Ok(Err(Flaw::Checkpoint)),
            }
        }
        recalled.take(&entry)?;
    }
    let (good, flaw) = (reader.good(), reader.flaw());
    match flaw {
        None if head == 0 => Ok(Err(Flaw::Cut)),
        Some(why) if head == 0 && (number > 1 || why.is_foreign()) => Ok(Err(why)),
        _ => Ok(Ok(Segment { recalled, head, good, flaw })),
    }
}

/// Opens an instance's journal to append to, making it if there is none: reads the newest segment that begins
/// with a whole checkpoint, and nothing before it. Its end is cut back to the last whole record; what stood
/// behind it (a write that was never finished, or damage) is kept in a file of its own, and so is a newer
/// segment whose checkpoint was not finished. Comes after `epoch::raise`, which takes a journal without an epoch
/// file for a loss. Blocks.
///
/// # Errors
///
/// [`JournalError`]; without a journal nothing may be traded.
pub fn open(disk: &mut Disk, instance: u8) -> Result<Opened, JournalError> {
    let names = disk.names()?;
    let single = single_file_name(instance);
    if names.contains(&single) {
        return Err(JournalError::Single { name: single });
    }
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(instance, name)).collect();
    numbers.sort_unstable();
    let newest = numbers.last().copied();
    let mut cuts = Vec::new();
    while let Some(number) = numbers.pop() {
        let name = file_name(instance, number);
        let bytes = disk.read_all(&name)?.unwrap_or_default();
        let segment =
            read(&bytes, number).map_err(|error| JournalError::Record { name: name.clone(), error })?;
        let foreign = |at, why| JournalError::Foreign { name: name.clone(), at, why };
        let (segment, at, why) = match segment {
            Err(why) if why.is_foreign() => return Err(foreign(0, why)),
            Err(why) => (None, 0, Some(why)),
            Ok(segment) => match segment.flaw {
                Some(why) if why.is_foreign() => return Err(foreign(segment.good as u64, why)),
                why if planted(Bug::TailCutTooFar) => {
                    (Some((segment.recalled, segment.head)), segment.head, why)
                }
                why => (Some((segment.recalled, segment.head)), segment.good, why),
            },
        };
        let tail = &bytes[at..];
        if let Some(why) = why.filter(|_| !tail.is_empty()) {
            let kept_as = format!("{name}.cut-at-{at}");
            disk.replace(&kept_as, tail)?;
            cuts.insert(0, Cut { name: name.clone(), at: at as u64, bytes: tail.len() as u64, why, kept_as });
        }
        let file = disk.open(&name)?;
        disk.truncate(file, at as u64)?;
        if let Some((recalled, head)) = segment {
            let journal = go_on(disk, instance, number, file, head, recalled)?;
            return Ok(Opened { journal, cuts });
        }
        disk.close(file);
    }
    match newest {
        Some(newest) => Err(JournalError::NoStart { name: file_name(instance, newest) }),
        None => {
            let file = disk.open(&file_name(instance, 1))?;
            let journal = go_on(disk, instance, 1, file, 0, Recalled::default())?;
            Ok(Opened { journal, cuts })
        }
    }
}

fn go_on(
    disk: &mut Disk,
    instance: u8,
    number: u32,
    file: FileId,
    head: usize,
    recalled: Recalled,
) -> Result<Journal, JournalError> {
    if disk.len(file) == 0 {
        disk.append(file, &file_header(number))?;
    }
    disk.sync_dir()?;
    let (room, unreadable) = (SEGMENT_BYTES, false);
    Ok(Journal { instance, number, file, full_at: head as u64 + room, room, recalled, unreadable })
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
