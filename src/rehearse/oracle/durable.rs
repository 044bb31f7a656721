//! I18: what was on the disk when a process ended is what the next one goes on with.
//!
//! Owns:  the journal's image at a crash, and the comparison with what the next process made of it.
//! Never: expects a byte that no sync had made durable.

use super::super::World;
use super::books::Books;
use super::ending::shared;
use super::{Broken, Oracle, broken};
use crate::store::journal::{Kind, Reader};
use crate::units::Nanos;
use crate::units::time::SEC;

/// An operator's word is on the disk so long after it was said, where the disk is well. Time in which the host stands
/// still does not count: nobody heard it.
const LATCH_DURABLE_NS: u64 = 10 * SEC;

/// A journal as a crash left it: the whole records of each segment.
#[derive(Debug)]
pub struct Image {
    segments: Vec<Vec<u8>>,
    power: bool,
    at: Nanos,
}

#[cfg(test)]
impl Image {
    /// Puts bytes behind the image's own.
    pub(super) fn plant(&mut self, bytes: &[u8]) {
        self.segments[0].extend_from_slice(bytes);
    }
}

impl Oracle {
    /// What a crash would leave now; `tail`: the bytes beyond the durable ones that survive a loss of power.
    #[must_use]
    pub fn image(&self, world: &World, tail: Option<usize>) -> Image {
        let mut segments = Vec::new();
        for number in 1.. {
            let name = World::segment_name(number);
            let (_, durable) = world.segment_lengths(&name);
            let mut bytes = world.segment_from(&name, 0);
            // Whatever was written to a file whose name is not durable goes with it.
            let survives = |tail| durable.map_or(0, |durable| durable.saturating_add(tail));
            bytes.truncate(tail.map_or(usize::MAX, survives));
            let mut reader = Reader::new(&bytes, number);
            let tells = reader.by_ref().filter(|entry| entry.kind != Kind::Checkpoint).count();
            let whole = reader.good();
            // A checkpoint without anything behind it may be moved aside: the segment before says the same.
            if bytes.is_empty() || tells == 0 && number > 1 {
                break;
            }
            bytes.truncate(whole);
            segments.push(bytes);
        }
        Image { segments, power: tail.is_some(), at: world.now() }
    }

    /// A new process stands where the image was taken.
    ///
    /// # Errors
    ///
    /// I18, and what reading the journal from its beginning finds.
    pub fn reborn(&mut self, world: &mut World, image: &Image) -> Result<(), Broken> {
        for (number, records) in (1..).zip(&image.segments) {
            let bytes = world.segment_from(&World::segment_name(number), 0);
            if !bytes.starts_with(records) {
                let (kept, had) = (bytes.len(), records.len());
                let why = format!(
                    "of {had} bytes of whole records in segment {number} the next process has {kept}"
                );
                return Err(broken(18, why));
            }
        }
        // The latch file is appended to before the journal: what the one tells, a process finds in the other.
        let kept = !image.power && self.books.latched == self.latched.0.name();
        self.begun = world.now();
        self.latch_read = true;
        self.lost_power |= image.power;
        self.books = Books::new();
        self.read_change = 0;
        self.segments = [1, 2].map(World::segment_name);
        // A latch of the last moments may not have reached the disk.
        let age_ns = image.at.since(self.latched.1);
        let heard_ns = age_ns.saturating_sub(shared(&world.stood, self.latched.1, image.at));
        if heard_ns < LATCH_DURABLE_NS && !kept {
            self.latched = (super::Latched::Trading, world.now());
        }
        self.step(world)
    }
}
