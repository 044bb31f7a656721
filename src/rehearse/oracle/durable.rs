//! I18: what was on the disk when a process ended is what the next one goes on with.
//!
//! Owns:  the journal's image at a crash, and the comparison with what the next process made of it.
//! Never: expects a byte that no sync had made durable.

use super::super::World;
use super::books::Books;
use super::{Broken, Oracle, broken};
use crate::store::journal::Reader;
use crate::units::Nanos;
use crate::units::time::SEC;

/// An operator's word is on the disk so long after it was said, where the disk is well.
const LATCH_DURABLE_NS: u64 = 10 * SEC;

/// A journal as a crash left it: its whole records.
#[derive(Debug)]
pub struct Image {
    records: Vec<u8>,
    power: bool,
    at: Nanos,
}

#[cfg(test)]
impl Image {
    /// Puts bytes behind the image's own.
    pub(super) fn plant(&mut self, bytes: &[u8]) {
        self.records.extend_from_slice(bytes);
    }
}

impl Oracle {
    /// What a crash would leave now; `tail`: the bytes beyond the durable ones that survive a loss of power.
    #[must_use]
    pub fn image(&self, world: &World, tail: Option<usize>) -> Image {
        let mut bytes = world.journal_from(0);
        if let Some(tail) = tail {
            bytes.truncate(world.journal_lengths().1.saturating_add(tail));
        }
        let mut reader = Reader::new(&bytes);
        reader.by_ref().for_each(drop);
        let whole = reader.good();
        bytes.truncate(whole);
        Image { records: bytes, power: tail.is_some(), at: world.now() }
    }

    /// A new process stands where the image was taken.
    ///
    /// # Errors
    ///
    /// I18, and what reading the journal from its beginning finds.
    pub fn reborn(&mut self, world: &mut World, image: &Image) -> Result<(), Broken> {
        let bytes = world.journal_from(0);
        if !bytes.starts_with(&image.records) {
            let (kept, had) = (bytes.len(), image.records.len());
            return Err(broken(18, format!("of {had} bytes of whole records the next process has {kept}")));
        }
        self.begun = world.now();
        self.lost_power |= image.power;
        self.books = Books::default();
        // A latch of the last moments may not have reached the disk.
        if self.latched.1.plus(LATCH_DURABLE_NS) > image.at {
            self.latched = (super::Latched::Trading, world.now());
        }
        self.step(world)
    }
}
