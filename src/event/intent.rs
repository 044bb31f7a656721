//! What is written down before the first byte of a send round leaves (FAULTS 7.2).
//!
//! Owns:  the meaning of an opaque record in `metal::intents`, and the states of its slot.
//! Never: writes it; the trader does, before the first byte.

use crate::units::{Class, ClientId, Direction, InstrumentId, PairId, Price, Qty, Side, Unix};

/// What is written down before the first byte of a send round leaves (FAULTS 7.2): the meaning of an
/// opaque record in `metal::intents`. Recovery reads it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// This run's epoch.
    pub epoch: u32,
    /// The intent's sequence in it.
    pub sequence: u32,
    /// Generation of the instruments it names.
    pub generation: u32,
    /// Whose.
    pub pair: PairId,
    /// Why.
    pub class: Class,
    /// Short or long.
    pub direction: Direction,
    /// How old the two quotes were, in ns: spot, perp.
    pub ages_ns: [u64; 2],
    /// The legs in the order they are sent.
    pub legs: [Option<IntentLeg>; 2],
}

/// One leg of an [`Intent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntentLeg {
    /// Its client order id; holds leg and attempt.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// How much.
    pub qty: Qty,
    /// Worst price it takes.
    pub limit: Price,
    /// The venue drops it after this (its stamp plus the receive window).
    pub deadline: Unix,
}

impl Intent {
    /// Words of the record; the store may be larger.
    pub const WORDS: usize = 13;
    /// Bytes of it.
    pub const BYTES: usize = Self::WORDS * 8;
    const MAGIC: u32 = 0x31_49_54_43;
    const LEGS_AT: usize = 28;
    const LEG_BYTES: usize = 36;

    /// The record, little endian, its fields one after the other. In words: bytes that were put together one by one
    /// are not there yet when the store asks for a word of them.
    #[inline]
    #[must_use]
    pub fn to_words(&self) -> [u64; Self::WORDS] {
        let pair = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let age = |at: usize| u32::try_from(self.ages_ns[at] / 1_000).unwrap_or(u32::MAX);
        let what = u32::from(self.pair.0) | (self.class as u32) << 16 | (self.direction as u32) << 24;
        let [first, second] = self.legs.map(|leg| leg.map_or([0; 9], IntentLeg::to_halves));
        [
            pair(Self::MAGIC, self.epoch),
            pair(self.sequence, self.generation),
            pair(what, age(0)),
            pair(age(1), first[0]),
            pair(first[1], first[2]),
            pair(first[3], first[4]),
            pair(first[5], first[6]),
            pair(first[7], first[8]),
            pair(second[0], second[1]),
            pair(second[2], second[3]),
            pair(second[4], second[5]),
            pair(second[6], second[7]),
            pair(second[8], 0),
        ]
    }

    /// Reads a record back; `None` if no intent of this layout could have been written so.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | (u32::from(u16_at(at + 2)) << 16);
        let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
        if u32_at(0) != Self::MAGIC {
            return None;
        }
        let leg = |index: usize| {
            let at = Self::LEGS_AT + index * Self::LEG_BYTES;
            let client = ClientId(u64_at(at));
            if client.0 == 0 {
                return Some(None);
            }
            client.parts()?;
            Some(Some(IntentLeg {
                client,
                instrument: InstrumentId(u16_at(at + 8)),
                side: match bytes[at + 10] {
                    0 => Side::Buy,
                    1 => Side::Sell,
                    _ => return None,
                },
                reduce_only: bytes[at + 11] != 0,
                qty: Qty(u64_at(at + 12) as i64),
                limit: Price(u64_at(at + 20) as i64),
                deadline: Unix(u64_at(at + 28) as i64),
            }))
        };
        Some(Self {
            epoch: u32_at(4),
            sequence: u32_at(8),
            generation: u32_at(12),
            pair: PairId(u16_at(16)),
            class: [Class::Entry, Class::Exit, Class::Repair, Class::Flatten]
                .into_iter()
                .find(|class| *class as u8 == bytes[18])?,
            direction: match bytes[19] {
                0 => Direction::Short,
                1 => Direction::Long,
                _ => return None,
            },
            ages_ns: [20, 24].map(|at| u64::from(u32_at(at)) * 1_000),
            legs: [leg(0)?, leg(1)?],
        })
    }
}

impl IntentLeg {
    /// Its half words in their order.
    #[inline]
    fn to_halves(self) -> [u32; 9] {
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let (qty, limit, deadline) = (self.qty.0 as u64, self.limit.0 as u64, self.deadline.0 as u64);
        let what =
            u32::from(self.instrument.0) | (self.side as u32) << 16 | u32::from(self.reduce_only) << 24;
        [
            low(self.client.0),
            high(self.client.0),
            what,
            low(qty),
            high(qty),
            low(limit),
            high(limit),
            low(deadline),
            high(deadline),
        ]
    }
}

/// States of an intent slot, stored last and with release (FAULTS 7.2). 0 is EMPTY.
pub mod intent_state {
    /// Both legs will be tried.
    pub const COMMITTED: u64 = 1;
    /// Some byte of the first leg may have left.
    pub const A_WRITING: u64 = 2;
    /// The first leg is with the kernel.
    pub const A_WIRE: u64 = 3;
    /// Some byte of the second leg may have left.
    pub const B_WRITING: u64 = 4;
    /// The second leg is with the kernel.
    pub const B_WIRE: u64 = 5;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LegKind;
    use crate::units::id::ClientIdParts;
    use proptest::prelude::*;

    fn leg(leg: LegKind, qty: i64) -> IntentLeg {
        let parts = ClientIdParts { instance: 3, epoch: 7, sequence: 9, leg, attempt: 2 };
        IntentLeg {
            client: ClientId::new(parts).unwrap(),
            instrument: InstrumentId(513),
            side: Side::Sell,
            reduce_only: leg == LegKind::Perp,
            qty: Qty(qty),
            limit: Price(i64::MAX - 5),
            deadline: Unix(1_772_694_601_600_123_456),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(class in 0usize..4, long: bool, legs in 0usize..3, qty in 1..i64::MAX) {
            let classes = [Class::Entry, Class::Exit, Class::Repair, Class::Flatten];
            let intent = Intent {
                epoch: 7,
                sequence: (1 << 28) - 1,
                generation: 70_000,
                pair: PairId(258),
                class: classes[class],
                direction: if long { Direction::Long } else { Direction::Short },
                ages_ns: [5_000, 4_000_000_000_000],
                legs: [
                    (legs > 0).then(|| leg(LegKind::Perp, qty)),
                    (legs > 1).then(|| leg(LegKind::Spot, qty)),
                ],
            };
            let bytes: Vec<u8> = intent.to_words().into_iter().flat_map(u64::to_le_bytes).collect();
            prop_assert_eq!(Intent::from_bytes(bytes.first_chunk().unwrap()), Some(intent));
        }

        #[test]
        fn foreign_bytes_are_no_intent_or_a_well_formed_one(bytes in prop::array::uniform32(any::<u8>())) {
            let mut record = [0; Intent::BYTES];
            record[..32].copy_from_slice(&bytes);
            prop_assert!(Intent::from_bytes(&record).is_none());
            record[..4].copy_from_slice(&Intent::MAGIC.to_le_bytes());
            if let Some(intent) = Intent::from_bytes(&record) {
                prop_assert!(intent.legs.iter().flatten().all(|leg| leg.client.parts().is_some()));
            }
        }
    }
}
