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
    /// Bytes of the record; the store may be larger.
    pub const BYTES: usize = 128;
    const MAGIC: u32 = 0x31_49_54_43;

    /// The record's bytes, little endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&Self::MAGIC.to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.sequence.to_le_bytes());
        put(&self.generation.to_le_bytes());
        put(&self.pair.0.to_le_bytes());
        put(&[self.class as u8, self.direction as u8]);
        for age in self.ages_ns {
            put(&u32::try_from(age / 1_000).unwrap_or(u32::MAX).to_le_bytes());
        }
        for leg in &self.legs {
            let Some(leg) = leg else { break };
            put(&leg.client.0.to_le_bytes());
            put(&leg.instrument.0.to_le_bytes());
            put(&[leg.side as u8, u8::from(leg.reduce_only)]);
            put(&leg.qty.0.to_le_bytes());
            put(&leg.limit.0.to_le_bytes());
            put(&leg.deadline.0.to_le_bytes());
        }
        out
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
