//! The epoch: a counter raised by one and synced before any order of a run may leave (FAULTS 7.2).
//!
//! Owns:  the epoch file's text, and the only step it ever takes: up by one.
//! Never: guesses. A file that is gone while a journal is there, or that does not read back, stops
//!        the start: an epoch used twice makes two orders with one id.
//! Wire:  `contango epoch 1\n<number>\ncrc <CRC-32 of the two lines, 8 hex digits>\n`.

use super::segments;
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::disk::{Disk, DiskError};
use crate::units::ClientId;

/// The largest epoch that fits a client order id: 2^20 − 1.
pub const MAX: u32 = ClientId::EPOCH_MAX;

const TITLE: &str = "contango epoch 1";

/// The name of an instance's epoch file in its data folder.
#[must_use]
pub fn file_name(instance: u8) -> String {
    format!("epoch-{instance}")
}

/// Why a run may not have an epoch. Each message ends with what the operator can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The file does not read back.
    #[error(
        "the epoch file {name} is damaged ({why}); look up the largest `epoch` in the journals beside it, \
         and restore the file from a backup that is not below it, or start this instance under another \
         --instance number"
    )]
    Damaged {
        /// Which file.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The disk refused; the old epoch is still there.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is gone, but there is a journal: orders were sent under epochs nobody knows now.
    #[error(
        "the epoch file {name} is missing though a journal is there; restore it from a backup, or start \
         this instance under another --instance number"
    )]
    Missing {
        /// Which file.
        name: String,
    },
    /// Every epoch is used up.
    #[error("instance {instance} has used all {MAX} epochs; start under another --instance number")]
    Spent {
        /// Whose.
        instance: u8,
    },
}

/// Raises an instance's epoch by one; it is on the disk, file and folder, when this returns. Blocks.
///
/// # Errors
///
/// [`EpochError`]; nothing may be sent then.
pub fn raise(disk: &mut Disk, instance: u8) -> Result<u32, EpochError> {
    crash::point("K14a");
    let file = disk.read_all(&file_name(instance))?;
    let journal_present = disk.names()?.iter().any(|name| segments::is_journal(instance, name));
    let (epoch, text) = next(instance, file.as_deref(), journal_present)?;
    disk.replace(&file_name(instance), text.as_bytes())?;
    crash::point("K14d");
    Ok(epoch)
}

/// The next epoch of an instance and the text to put on disk for it, from the file as it is now
/// (`None`: there is none) and whether a journal is beside it. The first epoch is 1.
fn next(instance: u8, file: Option<&[u8]>, journal_present: bool) -> Result<(u32, String), EpochError> {
    let present = match file {
        Some(bytes) => parse(bytes).map_err(|why| EpochError::Damaged { name: file_name(instance), why })?,
        None if journal_present => return Err(EpochError::Missing { name: file_name(instance) }),
        None => 0,
    };
    if present >= MAX {
        return Err(EpochError::Spent { instance });
    }
    let epoch = if planted(Bug::EpochNotRaised) { present.max(1) } else { present + 1 };
    Ok((epoch, render(epoch)))
}

fn render(epoch: u32) -> String {
    let lines = format!("{TITLE}\n{epoch}\n");
    format!("{lines}crc {:08x}\n", crc32fast::hash(lines.as_bytes()))
}

/// The number in an epoch file, or what is wrong with the file.
pub(super) fn parse(bytes: &[u8]) -> Result<u32, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err("its first line is not `contango epoch 1`");
    }
    let number = lines.next().and_then(|line| line.parse().ok()).ok_or("its second line is no number")?;
    // Comparing the whole text leaves no other spelling of the same number, and checks the sum.
    if text == render(number) { Ok(number) } else { Err("its checksum does not match") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_go_up_by_one_from_one() {
        let (first, text) = next(3, None, false).unwrap();
        assert_eq!((first, text.as_str()), (1, "contango epoch 1\n1\ncrc 1bbfb3cd\n"));
        let (second, text) = next(3, Some(text.as_bytes()), true).unwrap();
        assert_eq!(second, 2);
        assert_eq!(next(3, Some(text.as_bytes()), true).unwrap().0, 3);
    }

    #[test]
    fn the_last_epoch_is_the_last() {
        assert_eq!(MAX, (1 << 20) - 1);
        let (epoch, text) = next(0, Some(render(MAX - 1).as_bytes()), true).unwrap();
        assert_eq!(epoch, MAX);
        assert_eq!(next(0, Some(text.as_bytes()), true), Err(EpochError::Spent { instance: 0 }));
        assert!(next(0, Some(render(u32::MAX).as_bytes()), true).is_err());
    }

    #[test]
    fn a_lost_file_beside_a_journal_stops_the_start() {
        let error = next(5, None, true).unwrap_err();
        assert_eq!(error, EpochError::Missing { name: "epoch-5".to_owned() });
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }

    #[test]
    fn an_epoch_that_was_given_out_is_durable() {
        let (mut disk, peer) = Disk::memory_with_peer();
        assert_eq!(raise(&mut disk, 3), Ok(1));
        let (mut disk, peer) = {
            drop(disk);
            peer.lose_power(0)
        };
        assert_eq!(raise(&mut disk, 3), Ok(2));
        assert_eq!(raise(&mut disk, 4), Ok(1), "each instance has its own");
        peer.limit_room(Some(5));
        assert!(matches!(raise(&mut disk, 3), Err(EpochError::Disk(DiskError::Full { .. }))));
        peer.limit_room(None);
        assert_eq!(raise(&mut disk, 3), Ok(3));
    }

    #[test]
    fn a_journal_without_its_epoch_file_is_not_gone_on_with() {
        let mut disk = Disk::memory();
        segments::open(&mut disk, 3).unwrap();
        assert_eq!(raise(&mut disk, 3), Err(EpochError::Missing { name: "epoch-3".to_owned() }));
        assert_eq!(raise(&mut disk, 4), Ok(1));
    }

    #[test]
    fn no_damaged_file_yields_an_epoch() {
        let sound = render(40_960).into_bytes();
        for length in 0..sound.len() {
            assert!(next(0, Some(&sound[..length]), true).is_err(), "cut at {length}");
        }
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(next(0, Some(&damaged), true).is_err(), "bit {bit}");
        }
    }
}
