//! The journal's records: facts, each with its length, version, kind and checksum, one segment after another.
//!
//! Owns:  the framing, byte for byte; [`encode`]; and [`Reader`], which yields every whole record of a segment
//!        up to the first bad byte and then says where and why it stopped.
//! Never: throws away what it can't read, skips a bad record to read on, or holds a secret.
//! Map:   which segments there are, and where a start begins to read: `segments.rs`.
//! Wire:  file header, 16 bytes: `CTJ1` · u32 format version 2 · u64 the segment's number, from 1. Then records:
//!        u32 body length · u16 record version 1 · u16 kind · u32 CRC-32 (IEEE) over version, kind
//!        and body · body. Integers little-endian; a body is one JSON object in UTF-8.
//! Quirk: the checksum leaves the length out; a wrong length puts the checksum over other bytes,
//!        so it is found all the same.

use super::body::body;
use crate::event::Record;
use serde_json::{Map, Value};
use std::fmt;

/// The first four bytes of every segment.
pub const MAGIC: [u8; 4] = *b"CTJ1";
/// Version of the file's shape, in its header.
pub const FILE_VERSION: u32 = 2;
/// Version of every record.
pub const RECORD_VERSION: u16 = 1;
/// Bytes of the file header.
pub const FILE_HEADER: usize = 16;
/// Bytes before a record's body.
pub const RECORD_HEADER: usize = 12;
/// Largest body a reader believes in; what we write is bounded in `body.rs`.
pub const BODY_MAX: usize = 1 << 20;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// A run began.
    Start = 1,
    /// The epoch was raised.
    Epoch = 2,
    /// A send round.
    Fired = 3,
    /// An answer to an order or a query.
    Answer = 4,
    /// A booked fill.
    Fill = 5,
    /// An order's end with its evidence.
    OrderEnd = 6,
    /// A pair changed its state.
    Pair = 7,
    /// The engine's mode changed.
    Mode = 8,
    /// A run ended cleanly.
    Stop = 9,
    /// Something a person should read.
    Note = 10,
    /// What the ids in a run's intent records mean.
    Markets = 11,
    /// The venue's view at a quiet moment.
    Baseline = 12,
    /// A part of what all segments before this one tell a start.
    Checkpoint = 13,
    /// Funding received or paid.
    Funding = 14,
    /// Coins that long positions may sell.
    Grant = 15,
    /// What closing a pair would have fetched in a full hour.
    Basis = 16,
    /// What a coin cost that fees were taken in.
    FeePrice = 17,
}

impl Kind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Start,
        Self::Epoch,
        Self::Fired,
        Self::Answer,
        Self::Fill,
        Self::OrderEnd,
        Self::Pair,
        Self::Mode,
        Self::Stop,
        Self::Note,
        Self::Markets,
        Self::Baseline,
        Self::Checkpoint,
        Self::Funding,
        Self::Grant,
        Self::Basis,
        Self::FeePrice,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Epoch => "epoch",
            Self::Fired => "fired",
            Self::Answer => "answer",
            Self::Fill => "fill",
            Self::OrderEnd => "order_end",
            Self::Pair => "pair",
            Self::Mode => "mode",
            Self::Stop => "stop",
            Self::Note => "note",
            Self::Markets => "markets",
            Self::Baseline => "baseline",
            Self::Checkpoint => "checkpoint",
            Self::Funding => "funding",
            Self::Grant => "grant",
            Self::Basis => "basis",
            Self::FeePrice => "fee_price",
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u16 == number)
    }
}

/// The 16 bytes a segment begins with.
#[must_use]
pub fn file_header(number: u32) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&FILE_VERSION.to_le_bytes());
    header[8..].copy_from_slice(&u64::from(number).to_le_bytes());
    header
}

/// Appends one record to `out`, ready for the disk, and says what a reader will find.
pub fn encode(record: &Record, out: &mut Vec<u8>) -> Entry {
    let (kind, body) = body(record);
    frame(kind, body.to_string().as_bytes(), out);
    let Value::Object(body) = body else { return Entry { kind, body: Map::new() } };
    Entry { kind, body }
}

pub(super) fn frame(kind: Kind, body: &[u8], out: &mut Vec<u8>) {
    let version = RECORD_VERSION.to_le_bytes();
    let kind = (kind as u16).to_le_bytes();
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&version);
    out.extend_from_slice(&kind);
    out.extend_from_slice(&checksum(version, kind, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(version: [u8; 2], kind: [u8; 2], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&version);
    crc.update(&kind);
    crc.update(body);
    crc.finalize()
}

/// One whole record, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it tells.
    pub kind: Kind,
    /// What it says.
    pub body: Map<String, Value>,
}

/// Reads a journal's bytes record by record, and stops for good at the first bad one.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Everything before it was read and is sound.
    good: usize,
    stopped: Option<Flaw>,
}

impl<'a> Reader<'a> {
    /// A reader over a whole segment. One without its sound header yields nothing.
    #[must_use]
    pub fn new(bytes: &'a [u8], number: u32) -> Self {
        let expected = file_header(number);
        let stopped = match bytes.get(..FILE_HEADER) {
            Some(header) if header == expected => None,
            // A file system may give a file its length before its bytes.
            Some(header) if is_torn(header, &expected) => Some(Flaw::Cut),
            Some(header) if header[..4] == MAGIC && header[..8] != expected[..8] => Some(Flaw::FileVersion),
            Some(header) if header[..4] == MAGIC => Some(Flaw::Number),
            None if is_torn(bytes, &expected) => Some(Flaw::Cut),
            _ => Some(Flaw::NoJournal),
        };
        let good = if stopped.is_none() { FILE_HEADER } else { 0 };
        Self { bytes, good, stopped }
    }

    /// How many bytes from the start are sound: up to here the file may be kept.
    #[must_use]
    pub const fn good(&self) -> usize {
        self.good
    }

    /// Why reading stopped before the end; `None` while it goes on, and at a clean end.
    #[must_use]
    pub const fn flaw(&self) -> Option<Flaw> {
        self.stopped
    }

    fn read(&self) -> Result<(Entry, usize), Flaw> {
        let rest = &self.bytes[self.good..];
        // A file system may extend a file before its data arrives: zeros to the very end. No record ends in one.
        let written = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if written < RECORD_HEADER {
            return Err(Flaw::Cut);
        }
        let header = rest.get(..RECORD_HEADER).ok_or(Flaw::Cut)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let version = [header[4], header[5]];
        let kind = [header[6], header[7]];
        let sum = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if u16::from_le_bytes(version) != RECORD_VERSION {
            return Err(Flaw::Version);
        }
        if length > BODY_MAX {
            return Err(Flaw::Length);
        }
        let end = RECORD_HEADER + length;
        let body = rest.get(RECORD_HEADER..end).ok_or(Flaw::Cut)?;
        if checksum(version, kind, body) != sum {
            return Err(if written < end { Flaw::Cut } else { Flaw::Checksum });
        }
        let kind = Kind::from_number(u16::from_le_bytes(kind)).ok_or(Flaw::Kind)?;
        match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => Ok((Entry { kind, body }, end)),
            _ => Err(Flaw::Body),
        }
    }
}

/// Whether bytes are the first of what was to be written, and zeros.
fn is_torn(bytes: &[u8], expected: &[u8]) -> bool {
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    expected.starts_with(&bytes[..written])
}

impl Iterator for Reader<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.stopped.is_some() || self.good == self.bytes.len() {
            return None;
        }
        match self.read() {
            Ok((entry, length)) => {
                self.good += length;
                Some(entry)
            }
            Err(flaw) => {
                self.stopped = Some(flaw);
                None
            }
        }
    }
}

/// What is wrong with the byte a reader stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A record's body is no JSON object though its checksum holds.
    Body,
    /// A segment behind the first that begins with no checkpoint.
    Checkpoint,
    /// The checksum does not match: damage, or a torn write.
    Checksum,
    /// The file ends inside a record, or in zeros: a write that was never finished.
    Cut,
    /// The file header has a version we do not know.
    FileVersion,
    /// A kind that a later program may have written.
    Kind,
    /// A length no record of ours has.
    Length,
    /// The file does not begin as a segment does.
    NoJournal,
    /// The file's header has another segment's number.
    Number,
    /// A record version that a later program may have written.
    Version,
}

impl Flaw {
    /// Whether it was written by something else, or by a later program: then it is not touched.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::NoJournal
                | Self::Number
                | Self::Checkpoint
                | Self::FileVersion
                | Self::Kind
                | Self::Version
        )
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "the record's body is no JSON object",
            Self::Checkpoint => "the segment does not begin with a checkpoint",
            Self::Checksum => "the record's checksum does not match",
            Self::Cut => "the file ends inside a record (a write that was never finished)",
            Self::FileVersion => {
                "the file's format version is unknown; read it with the program that wrote it"
            }
            Self::Kind => "the record's kind is unknown; read it with the program that wrote it",
            Self::Length => "the record's length is impossible",
            Self::NoJournal => "the file does not begin as a journal",
            Self::Number => "the file is another segment of a journal than its name says",
            Self::Version => "the record's version is unknown",
        })
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
pub(super) mod tests;
