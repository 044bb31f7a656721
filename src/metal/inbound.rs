//! The bytes a link received and nobody consumed yet, with room to read past both ends.
//!
//! Owns:  one buffer, reserved once, that grows only up to its limit.
//! Never: shrinks, or moves bytes while the tail has room (moving costs, and an empty buffer starts
//!        over anyway).

use std::ops::Range;

/// Readable spare bytes before and after every message, so that vector code may load whole
/// registers at its ends (HOTPATH §3).
pub(super) const MARGIN: usize = 64;
/// A tail smaller than this is not worth a read; the bytes move to the front first.
const TAIL_MIN: usize = 1_024;

#[derive(Debug)]
pub(super) struct Inbound {
    /// Margin, area, margin; always fully initialised.
    bytes: Vec<u8>,
    /// What is held, as positions in `bytes`.
    held: Range<usize>,
    /// The area never gets larger than this.
    max: usize,
}

impl Inbound {
    /// Room for `capacity` bytes (at least one), growing up to `max`.
    pub(super) fn new(capacity: usize, max: usize) -> Self {
        let capacity = capacity.max(1);
        Self { bytes: vec![0; capacity + 2 * MARGIN], held: MARGIN..MARGIN, max: max.max(capacity) }
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.held.clone()]
    }

    /// Everything, and where in it the held bytes are.
    pub(super) fn padded(&self) -> (&[u8], Range<usize>) {
        (&self.bytes, self.held.clone())
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len() - 2 * MARGIN
    }

    /// Takes all of these bytes in; they fitted where they were recorded.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.tail() < bytes.len() {
            self.bytes.copy_within(self.held.clone(), MARGIN);
            self.held = MARGIN..MARGIN + self.held.len();
            let end = self.held.end + bytes.len() + MARGIN;
            self.bytes.resize(self.bytes.len().max(end), 0);
        }
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.gained(bytes.len());
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Drops the first `n` held bytes, all of them if there are fewer.
    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        self.held.start += n.min(self.held.len());
        if self.held.is_empty() {
            self.held = MARGIN..MARGIN;
        }
    }

    /// Makes room for a read; `false` if the buffer is full and at its limit.
    #[inline]
    pub(super) fn make_room(&mut self) -> bool {
        if self.tail() >= TAIL_MIN { true } else { self.make_room_slow() }
    }

    #[cold]
    fn make_room_slow(&mut self) -> bool {
        if self.held.start > MARGIN {
            self.bytes.copy_within(self.held.clone(), MARGIN);
            self.held = MARGIN..MARGIN + self.held.len();
        }
        let area = self.bytes.len() - 2 * MARGIN;
        if self.tail() < TAIL_MIN.min(area / 2) && area < self.max {
            let wider = area.saturating_mul(2).max(TAIL_MIN).min(self.max);
            self.bytes.resize(wider + 2 * MARGIN, 0);
        }
        self.tail() > 0
    }

    /// Where a read may write; [`Inbound::gained`] says how much it wrote.
    #[inline]
    pub(super) fn spare(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - MARGIN;
        &mut self.bytes[self.held.end..end]
    }

    #[inline]
    pub(super) fn gained(&mut self, n: usize) {
        debug_assert!(n <= self.tail());
        self.held.end += n;
    }

    fn tail(&self) -> usize {
        self.bytes.len() - MARGIN - self.held.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_queue_holds(steps in prop::collection::vec((any::<bool>(), 0usize..3_000), 0..200)) {
            let mut inbound = Inbound::new(100, 5_000);
            let mut twin: Vec<u8> = Vec::new();
            let mut next = 0u8;
            for (read, n) in steps {
                if read {
                    let room = inbound.make_room();
                    prop_assert_eq!(room, twin.len() < 5_000, "{} held", twin.len());
                    let n = n.min(inbound.spare().len());
                    for place in &mut inbound.spare()[..n] {
                        *place = next;
                        twin.push(next);
                        next = next.wrapping_add(1);
                    }
                    inbound.gained(n);
                } else {
                    inbound.consume(n);
                    twin.drain(..n.min(twin.len()));
                }
                prop_assert_eq!(inbound.held(), &twin[..]);
                let (all, held) = inbound.padded();
                prop_assert!(held.start >= MARGIN && held.end + MARGIN <= all.len());
            }
        }
    }
}
