//! The bytes a link received and nobody consumed yet, with room to read past both ends.
//!
//! Owns:  one buffer, reserved once, that grows only up to its limit; behind what is held, the TLS records
//!        that came and are not opened yet ([`Inbound::spare`] follows both).
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
    /// Records not opened yet, behind what is held; a gap may lie between the two.
    raw: Range<usize>,
    /// Where the text of the last record lies, if it lies there still.
    last: Range<usize>,
    /// So much may be held.
    max: usize,
    /// The area may be larger than `max` by this: one record, which can only be opened whole.
    extra: usize,
}

impl Inbound {
    /// Room for `capacity` bytes (at least one), growing up to `max`.
    pub(super) fn new(capacity: usize, max: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            bytes: vec![0; capacity + 2 * MARGIN],
            held: MARGIN..MARGIN,
            raw: MARGIN..MARGIN,
            last: MARGIN..MARGIN,
            max: max.max(capacity),
            extra: 0,
        }
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.held.clone()]
    }

    /// Everything, and where in it the held bytes are.
    pub(super) fn padded(&self) -> (&[u8], Range<usize>) {
        (&self.bytes, self.held.clone())
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len() - 2 * MARGIN - self.extra
    }

    /// Takes all of these bytes in; they fitted where they were recorded.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.make_tail(bytes.len());
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
        if self.held.is_empty() && self.raw.is_empty() {
            self.held = MARGIN..MARGIN;
            self.raw = MARGIN..MARGIN;
        }
    }

    /// Makes room for a read; `false` if as much is held as may be.
    #[inline]
    pub(super) fn make_room(&mut self) -> bool {
        if self.held.len() < self.max && self.tail() >= TAIL_MIN { true } else { self.make_room_slow() }
    }

    #[cold]
    fn make_room_slow(&mut self) -> bool {
        self.compact();
        let (area, most) = (self.bytes.len() - 2 * MARGIN, self.max + self.extra);
        if self.tail() < TAIL_MIN.min(area / 2) && area < most {
            let wider = area.saturating_mul(2).max(TAIL_MIN).min(most);
            self.bytes.resize(wider + 2 * MARGIN, 0);
        }
        self.held.len() < self.max && self.tail() > 0
    }

    /// Where a read may write; [`Inbound::gained`] says how much it wrote.
    #[inline]
    pub(super) fn spare(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - MARGIN;
        &mut self.bytes[self.raw.end..end]
    }

    /// What was read is plain: it is held at once.
    #[inline]
    pub(super) fn gained(&mut self, n: usize) {
        debug_assert!(n <= self.tail() && self.raw.is_empty());
        // An opened record may have left a gap; plain bytes and records never come on one link.
        self.held.end += n;
        self.raw = self.held.end..self.held.end;
    }

    // ───────────────────────────── records ─────────────────────────────

    /// From now on records come in, of at most `record` bytes each.
    pub(super) fn expect_records(&mut self, record: usize) {
        self.bytes.resize(self.bytes.len() + record - self.extra, 0);
        self.extra = record;
    }

    /// What was read are records, or parts of them.
    #[inline]
    pub(super) fn gained_raw(&mut self, n: usize) {
        debug_assert!(n <= self.tail());
        self.raw.end += n;
    }

    /// Takes records in that were read elsewhere.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.make_tail(bytes.len());
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.gained_raw(bytes.len());
    }

    /// The records that were not opened yet.
    #[inline]
    pub(super) fn raw(&mut self) -> &mut [u8] {
        &mut self.bytes[self.raw.clone()]
    }

    /// The first `record` bytes of [`Inbound::raw`] are done with; `text` of them (counted from the record's
    /// start) was opened in place, and is held now, right behind what was held before.
    #[inline]
    pub(super) fn opened(&mut self, record: usize, text: Range<usize>) {
        let from = self.raw.start + text.start..self.raw.start + text.end;
        if text.is_empty() {
            self.last = MARGIN..MARGIN;
        } else if self.held.is_empty() {
            // The usual case: one record, all of it read before the next comes. Nothing moves.
            self.held = from.clone();
            self.last = from;
        } else {
            let (at, end) = (self.held.end, self.held.end + from.len());
            self.bytes.copy_within(from, at);
            self.held.end = end;
            self.last = at..end;
        }
        self.raw.start += record;
        if self.raw.is_empty() {
            self.raw = self.held.end..self.held.end;
        }
    }

    /// The text of the last record, consumed and not overwritten yet; empty, if there is none.
    pub(super) fn last(&self) -> &[u8] {
        let over = self.held.is_empty() && self.raw.is_empty();
        if over { &self.bytes[self.last.clone()] } else { &[] }
    }

    /// Moves all that is there to the front.
    fn compact(&mut self) {
        self.last = MARGIN..MARGIN;
        if self.held.start > MARGIN {
            self.bytes.copy_within(self.held.clone(), MARGIN);
            self.held = MARGIN..MARGIN + self.held.len();
        }
        if self.raw.start > self.held.end {
            self.bytes.copy_within(self.raw.clone(), self.held.end);
            self.raw = self.held.end..self.held.end + self.raw.len();
        }
    }

    /// A tail of `n` bytes, whatever the limit says.
    fn make_tail(&mut self, n: usize) {
        if self.tail() < n {
            self.compact();
            let end = self.raw.end + n + MARGIN;
            self.bytes.resize(self.bytes.len().max(end), 0);
        }
    }

    fn tail(&self) -> usize {
        self.bytes.len() - MARGIN - self.raw.end
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

        /// Records come in pieces, are opened with a gap around their text, and read at any pace: what is held
        /// is their texts in order, and a read always finds room unless the limit is reached.
        #[test]
        fn opened_records_lie_side_by_side(
            texts in prop::collection::vec(0usize..400, 1..60), pieces in prop::collection::vec(1usize..900, 1..20),
            steps in prop::collection::vec(0usize..600, 1..20),
        ) {
            const BEFORE: usize = 5;
            const AROUND: usize = 22;
            let mut inbound = Inbound::new(50, 1_000);
            inbound.expect_records(500);
            let mut wire = Vec::new();
            let mut next = 0u8;
            for text in &texts {
                wire.extend_from_slice(&[0xEE; BEFORE]);
                wire.extend((0..*text).map(|_| { next = next.wrapping_add(1); next }));
                wire.extend_from_slice(&[0xEE; AROUND - BEFORE]);
            }
            let (mut sent, mut opened, mut at) = (0, 0, 0);
            let mut got: Vec<u8> = Vec::new();
            for turn in 0.. {
                prop_assert!(turn < 100_000, "it goes on for ever");
                let room = inbound.make_room();
                prop_assert_eq!(room, inbound.held().len() < 1_000);
                if room {
                    let n = pieces[turn % pieces.len()].min(inbound.spare().len()).min(wire.len() - sent);
                    inbound.spare()[..n].copy_from_slice(&wire[sent..sent + n]);
                    inbound.gained_raw(n);
                    sent += n;
                    while at < texts.len() && sent - opened >= texts[at] + AROUND {
                        inbound.opened(texts[at] + AROUND, BEFORE..BEFORE + texts[at]);
                        opened += texts[at] + AROUND;
                        at += 1;
                    }
                }
                let n = steps[turn % steps.len()].min(inbound.held().len());
                got.extend_from_slice(&inbound.held()[..n]);
                inbound.consume(n);
                let (all, held) = inbound.padded();
                prop_assert!(held.start >= MARGIN && held.end + MARGIN <= all.len());
                if at == texts.len() { break }
                if steps.iter().all(|n| *n == 0) { inbound.consume(usize::MAX); return Ok(()) }
            }
            got.extend_from_slice(inbound.held());
            let whole: Vec<u8> = (0..texts.iter().sum::<usize>()).map(|i| (i as u8).wrapping_add(1)).collect();
            prop_assert_eq!(got, whole);
        }
    }
}
