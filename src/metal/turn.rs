//! One recorded turn of a room, as bytes: when, which, how much it did, and what it took in, in order.
//!
//! Owns:  the layout. Little-endian: `u64` now · `u64` number of the turn · `u32` work · events, each a tag
//!        byte, a key and, where its size is not fixed, a length.
//! Never: believes a length, or knows what an item of a ring says.

use crate::units::time::Nanos;
use std::ops::Range;

/// Bytes before the events.
pub(super) const HEADER: usize = 20;

/// What an event is.
pub(super) mod tag {
    pub(in crate::metal) const ITEM: u8 = 1;
    pub(in crate::metal) const CELL: u8 = 2;
    pub(in crate::metal) const TIME: u8 = 3;
    pub(in crate::metal) const UNIX: u8 = 4;
    pub(in crate::metal) const DRAW: u8 = 5;
    pub(in crate::metal) const FLIP: u8 = 6;
    pub(in crate::metal) const RECEIVED: u8 = 7;
    pub(in crate::metal) const ENDED: u8 = 8;
    pub(in crate::metal) const SHORT: u8 = 9;

    /// What a person reads.
    pub(in crate::metal) const fn name(tag: u8) -> &'static str {
        match tag {
            ITEM => "an item of a ring",
            CELL => "a value of a cell",
            TIME => "a reading of the clock",
            UNIX => "a reading of the calendar",
            DRAW => "a random number",
            FLIP => "a latch or a full ring",
            RECEIVED => "bytes of a link",
            ENDED => "the end of a link",
            _ => "a send that came up short",
        }
    }
}

/// A turn that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recorded turn holds what no turn does; it was written by another program, or damaged")]
pub struct TurnFlaw;

/// A recorded turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// When it was.
    pub now: Nanos,
    /// The room's turns are counted from 1; 0: what it read while it was made.
    pub number: u64,
    /// What `do_work` said.
    pub work: u32,
    events: &'a [u8],
}

/// One input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An item of a ring.
    Item {
        /// Which ring.
        door: u8,
        /// The item.
        bytes: &'a [u8],
    },
    /// A cell had a new value.
    Cell {
        /// Which cell.
        door: u16,
        /// At which look of this turn.
        at: u32,
        /// Its words.
        words: &'a [u8],
    },
    /// A reading of the monotonic clock.
    Time(&'a [u8]),
    /// A reading of the calendar.
    Unix(&'a [u8]),
    /// A random number.
    Draw(&'a [u8]),
    /// A question was answered otherwise than the last time.
    Flip {
        /// Which question.
        flag: u8,
        /// At which time of asking in this turn.
        at: u32,
    },
    /// A link brought bytes, maybe none.
    Received {
        /// Which link.
        link: u32,
        /// What it brought.
        bytes: &'a [u8],
    },
    /// A link told its end.
    Ended {
        /// Which link.
        link: u32,
        /// Why.
        why: &'a [u8],
    },
    /// A send or flush was no full success.
    Short {
        /// Which link.
        link: u32,
        /// Which send of this turn.
        at: u32,
        /// How far it came, or why not.
        how: &'a [u8],
    },
}

impl<'a> Turn<'a> {
    /// Reads a turn.
    ///
    /// # Errors
    ///
    /// [`TurnFlaw`]: these bytes are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TurnFlaw> {
        let mut rest = bytes;
        let now = Nanos(u64::from_le_bytes(fixed(&mut rest)?));
        let number = u64::from_le_bytes(fixed(&mut rest)?);
        let work = u32::from_le_bytes(fixed(&mut rest)?);
        let turn = Self { now, number, work, events: rest };
        turn.events().try_for_each(|event| event.map(|_| ()))?;
        Ok(turn)
    }

    /// Where in a turn's bytes links brought theirs; nothing of what is no turn.
    #[must_use]
    pub fn received(turn: &'a [u8]) -> Vec<(u32, Range<usize>)> {
        let Ok(read) = Self::parse(turn) else { return Vec::new() };
        let of = |event| match event {
            Ok(Event::Received { link, bytes }) => {
                let start = bytes.as_ptr() as usize - turn.as_ptr() as usize;
                Some((link, start..start + bytes.len()))
            }
            _ => None,
        };
        read.events().filter_map(of).collect()
    }

    /// What it took in.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'a>, TurnFlaw>> + use<'a> {
        let mut rest = self.events;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let event = event(&mut rest);
            if event.is_err() {
                rest = &[];
            }
            Some(event)
        })
    }
}

fn event<'a>(rest: &mut &'a [u8]) -> Result<Event<'a>, TurnFlaw> {
    let [tag] = fixed(rest)?;
    Ok(match tag {
        tag::ITEM => {
            let [door] = fixed(rest)?;
            Event::Item { door, bytes: long(rest)? }
        }
        tag::CELL => {
            let door = u16::from_le_bytes(fixed(rest)?);
            let at = u32::from(u16::from_le_bytes(fixed(rest)?));
            let [words] = fixed(rest)?;
            Event::Cell { door, at, words: some(rest, usize::from(words) * 8)? }
        }
        tag::TIME => Event::Time(some(rest, 8)?),
        tag::UNIX => Event::Unix(some(rest, 8)?),
        tag::DRAW => Event::Draw(some(rest, 8)?),
        tag::FLIP => {
            let [flag] = fixed(rest)?;
            Event::Flip { flag, at: u32::from(u16::from_le_bytes(fixed(rest)?)) }
        }
        tag::RECEIVED => Event::Received { link: u32::from_le_bytes(fixed(rest)?), bytes: long(rest)? },
        tag::ENDED => Event::Ended { link: u32::from_le_bytes(fixed(rest)?), why: long(rest)? },
        tag::SHORT => {
            let link = u32::from_le_bytes(fixed(rest)?);
            let at = u32::from(u16::from_le_bytes(fixed(rest)?));
            Event::Short { link, at, how: long(rest)? }
        }
        _ => return Err(TurnFlaw),
    })
}

fn some<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8], TurnFlaw> {
    let (bytes, behind) = rest.split_at_checked(n).ok_or(TurnFlaw)?;
    *rest = behind;
    Ok(bytes)
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TurnFlaw> {
    some(rest, N)?.try_into().map_err(|_| TurnFlaw)
}

/// Bytes behind their length.
fn long<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TurnFlaw> {
    let length = u32::from_le_bytes(fixed(rest)?);
    some(rest, length as usize)
}
