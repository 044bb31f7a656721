//! A session file: all that the rooms of one run took in, turn by turn, between a head and an end.
//!
//! Owns:  the framing, byte for byte; writing blocks, and [`Blocks`], which reads them back up to the first bad
//!        byte and then says where and why it stopped; [`check`], which reads a whole file so.
//! Never: knows what a turn says (`metal::tap` does), or goes on behind a block that is not sound.
//! Wire:  file header, 16 bytes: `CTS1` · u32 format version · u32 layout of what travels in rings and cells
//!        (`event::bytes::layout`) · u32 reserved 0. Then blocks: u32 body length · u8 kind · u8 room · u16 reserved
//!        0 · u32 CRC-32 (IEEE) over kind, room, reserved and body · body.
//!        The first block is the head, the last the end, both one JSON object; behind the head comes the journal
//!        as the run found it, then turns of one room, each behind its length as u32. Integers little-endian.
//! Quirk: a file without an end was cut, or its run was killed: what it holds is sound and not all.

use crate::event::bytes::layout;
use serde_json::{Map, Value};
use std::fmt;
use std::io::{self, Read};

/// The first four bytes of every session file.
pub const MAGIC: [u8; 4] = *b"CTS1";
/// Version of the format: of the file and of turns (`metal::tap`).
pub const VERSION: u32 = 1;
/// Bytes of the file header.
pub const FILE_HEADER: usize = 16;
/// Bytes before a block's body.
pub const BLOCK_HEADER: usize = 12;
/// Largest body a reader believes in. A turn fits the 4 MiB between its room and the writer.
pub const BODY_MAX: usize = 64 << 20;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Configuration and epoch: what the rooms were made with.
    Head = 1,
    /// Turns of one room.
    Turns = 2,
    /// How the run ended, and whether all of it is here.
    End = 3,
    /// The journal as the run found it, in pieces: what it knew of the runs before.
    Journal = 4,
}

/// Whose turns they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Room {
    /// Nobody's: head and end.
    None = 0,
    /// The pen's.
    Trader = 1,
    /// The books'.
    Shadow = 2,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub kind: Kind,
    /// Whose.
    pub room: Room,
    /// What it says.
    pub body: Vec<u8>,
}

/// The beginning of a file: its header, and the head.
#[must_use]
pub fn begin(head: &Map<String, Value>) -> Vec<u8> {
    let mut out = file_header().to_vec();
    frame(Kind::Head, Room::None, Value::Object(head.clone()).to_string().as_bytes(), &mut out);
    out
}

/// Appends the journal as the run found it.
pub fn journal(mut bytes: &[u8], out: &mut Vec<u8>) {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(BODY_MAX / 8));
        frame(Kind::Journal, Room::None, piece, out);
        bytes = rest;
    }
}

/// Appends a block of turns.
pub fn turns(room: Room, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        frame(Kind::Turns, room, bytes, out);
    }
}

/// Appends the end.
pub fn end(end: &Map<String, Value>, out: &mut Vec<u8>) {
    frame(Kind::End, Room::None, Value::Object(end.clone()).to_string().as_bytes(), out);
}

fn file_header() -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..12].copy_from_slice(&layout().to_le_bytes());
    header
}

fn frame(kind: Kind, room: Room, body: &[u8], out: &mut Vec<u8>) {
    let tags = [kind as u8, room as u8, 0, 0];
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&tags);
    out.extend_from_slice(&checksum(tags, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(tags: [u8; 4], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&tags);
    crc.update(body);
    crc.finalize()
}

/// The turns of a block's body, one after the other.
///
/// # Errors
///
/// [`Flaw::Body`] in place of the first that is not whole.
pub fn split(mut body: &[u8]) -> impl Iterator<Item = Result<&[u8], Flaw>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let turn = body
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let (turn, rest) = turn.map_or((Err(Flaw::Body), &[][..]), |(turn, rest)| (Ok(turn), rest));
        body = rest;
        Some(turn)
    })
}

/// Reads a session file block by block, and stops for good at the first bad one.
#[derive(Debug)]
pub struct Blocks<R> {
    from: R,
    /// Everything before it was read and is sound.
    good: u64,
    over: bool,
}

impl<R: Read> Blocks<R> {
    /// A reader from the first byte of a file.
    ///
    /// # Errors
    ///
    /// [`Broken`]: it is no session file, or one of another version.
    pub fn new(mut from: R) -> Result<Self, Broken> {
        let mut header = [0; FILE_HEADER];
        let got =
            fill(&mut from, &mut header).map_err(|error| Broken { at: 0, flaw: Flaw::Disk(error.kind()) })?;
        let flaw = match &header[..got] {
            all if all == file_header() => None,
            some if some.len() < FILE_HEADER && file_header().starts_with(some) => Some(Flaw::Cut),
            some if some.starts_with(&MAGIC) => Some(Flaw::Version),
            _ => Some(Flaw::NoSession),
        };
        match flaw {
            None => Ok(Self { from, good: FILE_HEADER as u64, over: false }),
            Some(flaw) => Err(Broken { at: 0, flaw }),
        }
    }

    /// How many bytes from the start are sound.
    #[must_use]
    pub const fn good(&self) -> u64 {
        self.good
    }

    fn read(&mut self) -> Result<Option<Block>, Flaw> {
        let disk = |error: io::Error| Flaw::Disk(error.kind());
        let mut header = [0; BLOCK_HEADER];
        match fill(&mut self.from, &mut header).map_err(disk)? {
            0 => return Ok(None),
            BLOCK_HEADER => {}
            _ => return Err(Flaw::Cut),
        }
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let tags = [header[4], header[5], header[6], header[7]];
        let sum = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if length > BODY_MAX {
            return Err(Flaw::Length);
        }
        let mut body = Vec::new();
        // A length is not believed: memory grows with what is there.
        (&mut self.from).take(length as u64).read_to_end(&mut body).map_err(disk)?;
        if body.len() < length {
            return Err(Flaw::Cut);
        }
        if checksum(tags, &body) != sum {
            return Err(Flaw::Checksum);
        }
        let kind = [Kind::Head, Kind::Turns, Kind::End, Kind::Journal]
            .into_iter()
            .find(|kind| *kind as u8 == tags[0]);
        let room = [Room::None, Room::Trader, Room::Shadow].into_iter().find(|room| *room as u8 == tags[1]);
        let (Some(kind), Some(room)) = (kind, room) else { return Err(Flaw::Kind) };
        self.good += (BLOCK_HEADER + length) as u64;
        Ok(Some(Block { kind, room, body }))
    }
}

/// Reads until `into` is full or the source is at its end; how much it was.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match from.read(&mut into[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = Result<Block, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.read().map_err(|flaw| Broken { at: self.good, flaw });
        self.over = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

/// What a whole file is, without its turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// What the rooms were made with.
    pub head: Map<String, Value>,
    /// The journal as the run found it.
    pub journal: Vec<u8>,
    /// How the run ended; `None`: the file was cut at a block's end, or its run was killed.
    pub end: Option<Map<String, Value>>,
}

/// Reads a whole file once, so that nothing is played of one that is not sound.
///
/// # Errors
///
/// [`Broken`] says where and why.
pub fn check(from: impl Read) -> Result<Whole, Broken> {
    let mut blocks = Blocks::new(from)?;
    let mut head = None;
    let mut end = None;
    let mut journal = Vec::new();
    loop {
        let at = blocks.good();
        let Some(block) = blocks.next().transpose()? else { break };
        let broken = |flaw| Broken { at, flaw };
        let object = |body: &[u8]| match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(broken(Flaw::Body)),
        };
        match (block.kind, head.is_some(), end.is_some()) {
            (Kind::Head, false, false) => head = Some(object(&block.body)?),
            (Kind::Turns, true, false) => {
                split(&block.body).try_for_each(|turn| turn.map(|_| ())).map_err(broken)?;
            }
            (Kind::Journal, true, false) => journal.extend_from_slice(&block.body),
            (Kind::End, true, false) => end = Some(object(&block.body)?),
            _ => return Err(broken(Flaw::Order)),
        }
    }
    let head = head.ok_or(Broken { at: blocks.good(), flaw: Flaw::Cut })?;
    Ok(Whole { head, journal, end })
}

/// Where a session file is not sound, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {flaw}")]
pub struct Broken {
    /// Everything before this byte is sound.
    pub at: u64,
    /// What is wrong behind it.
    pub flaw: Flaw,
}

/// What is wrong with the byte a reader stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A block does not say what its kind says, though its checksum holds.
    Body,
    /// The checksum does not match.
    Checksum,
    /// The file ends inside a block.
    Cut,
    /// The disk did not give it.
    Disk(io::ErrorKind),
    /// A kind or a room that a later program may have written.
    Kind,
    /// A length no block of ours has.
    Length,
    /// The file does not begin as a session file does.
    NoSession,
    /// A head that is not the first block, or something behind the end.
    Order,
    /// A format version of another program.
    Version,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "a block does not hold what it should; play it with the program that wrote it",
            Self::Checksum => "a block's checksum does not match; the file is damaged",
            Self::Cut => "session incomplete: the file ends inside a block",
            Self::Disk(kind) => return write!(f, "the disk did not give it: {kind}"),
            Self::Kind => "a block's kind is unknown; play it with the program that wrote it",
            Self::Length => "a block's length is impossible; the file is damaged",
            Self::NoSession => "this is no session file; `--record FILE` of demo, run or record makes one",
            Self::Order => "a block stands where none of its kind may; the file is damaged",
            Self::Version => {
                "the session's format is of another version; play it with the program that wrote it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn file(rooms: &[(bool, Vec<Vec<u8>>)]) -> Vec<u8> {
        let mut out = begin(&object(json!({"epoch": 7})));
        for (shadow, of) in rooms {
            let body: Vec<u8> =
                of.iter().flat_map(|turn| [&(turn.len() as u32).to_le_bytes()[..], turn].concat()).collect();
            turns(if *shadow { Room::Shadow } else { Room::Trader }, &body, &mut out);
        }
        end(&object(json!({"complete": true})), &mut out);
        out
    }

    fn some() -> Vec<u8> {
        file(&[
            (false, vec![vec![1; 30], vec![], vec![2; 5]]),
            (true, vec![vec![3; 70]]),
            (false, vec![vec![4]]),
        ])
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_or_told_to_have_no_end() {
        let whole = some();
        assert!(check(&whole[..]).unwrap().end.is_some());
        let mut ends = 0;
        for at in 0..whole.len() {
            match check(&whole[..at]) {
                Ok(read) => {
                    assert_eq!(read.end, None, "cut at {at}");
                    ends += 1;
                }
                Err(broken) => {
                    assert_eq!(broken.flaw, Flaw::Cut, "cut at {at}");
                    assert!(broken.at <= at as u64);
                }
            }
        }
        assert_eq!(ends, 4, "behind the head, and behind each block of turns");
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let whole = some();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let broken = check(&flipped[..]).unwrap_err();
                assert!(broken.at <= at as u64, "byte {at}, bit {bit}: {broken}");
            }
        }
    }

    #[test]
    fn a_file_of_another_layout_is_another_version() {
        let mut other = some();
        other[8..12].copy_from_slice(&(layout() ^ 1).to_le_bytes());
        assert_eq!(check(&other[..]).unwrap_err(), Broken { at: 0, flaw: Flaw::Version });
    }

    #[test]
    fn blocks_out_of_place_are_refused() {
        let (head, end_at) = (begin(&object(json!({}))), some());
        let twice = [&head[..], &head[FILE_HEADER..]].concat();
        assert_eq!(check(&twice[..]).unwrap_err().flaw, Flaw::Order);
        let mut behind = end_at.clone();
        turns(Room::Trader, &[0, 0, 0, 0], &mut behind);
        assert_eq!(check(&behind[..]).unwrap_err(), Broken { at: end_at.len() as u64, flaw: Flaw::Order });
        let mut torn = begin(&object(json!({})));
        turns(Room::Trader, &[9, 0, 0, 0, 1], &mut torn);
        assert_eq!(check(&torn[..]).unwrap_err().flaw, Flaw::Body);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            rooms in prop::collection::vec((any::<bool>(), prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)), 0..8),
        ) {
            let whole = file(&rooms);
            let read: Vec<(bool, Vec<Vec<u8>>)> = Blocks::new(&whole[..]).unwrap()
                .map(Result::unwrap)
                .filter(|block| block.kind == Kind::Turns)
                .map(|block| (block.room == Room::Shadow, split(&block.body).map(|turn| turn.unwrap().to_vec()).collect()))
                .collect();
            prop_assert_eq!(read, rooms);
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(check(&bytes[..]).is_err());
            let behind = [&file_header()[..], &bytes].concat();
            prop_assert!(check(&behind[..]).is_err());
        }
    }
}
