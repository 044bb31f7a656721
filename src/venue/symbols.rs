//! From a symbol's bytes to its instrument, on every message.
//!
//! Owns:  a fixed table per generation: symbol and market → dense id and decimals.
//! Never: hashes with a random seed, allocates after it was built, or knows symbols that do not trade.

use crate::event::{Instruments, Symbol};
use crate::units::{InstrumentId, LegKind, VenueId};

/// What a decoder needs to know of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its dense id.
    pub id: InstrumentId,
    /// p: decimals of its prices.
    pub price_decimals: u8,
    /// q: decimals of its quantities.
    pub qty_decimals: u8,
}

/// The symbols of one venue in one generation.
#[derive(Clone, Debug)]
pub struct Symbols {
    /// Of at most 16 bytes: open addressing with linear probing; a power of two, at most a quarter full.
    slots: Box<[Option<Slot>]>,
    /// The others, which are few.
    long: Vec<(Symbol, LegKind, Known)>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    symbol: Packed,
    leg: LegKind,
    known: Known,
}

impl Symbols {
    /// The symbols of `venue`.
    #[must_use]
    pub fn new(instruments: &Instruments, venue: VenueId) -> Self {
        let ours = || instruments.instruments.iter().filter(|row| row.venue == venue);
        let slots = vec![None; (ours().count() * 4).next_power_of_two().max(16)];
        let mut table = Self { slots: slots.into(), long: Vec::new() };
        for row in ours() {
            let known =
                Known { id: row.id, price_decimals: row.price_decimals, qty_decimals: row.qty_decimals };
            match packed(row.symbol.as_bytes()) {
                Some(symbol) => table.insert(Slot { symbol, leg: row.leg, known }),
                None => table.long.push((row.symbol, row.leg, known)),
            }
        }
        table
    }

    /// The instrument of this symbol on this market, if it is one of ours.
    #[inline]
    #[must_use]
    pub fn find(&self, leg: LegKind, symbol: &[u8]) -> Option<Known> {
        let Some(wanted) = packed(symbol) else { return self.find_long(leg, symbol) };
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = home(wanted, leg) & mask;
        // Ends, because at most a quarter of the slots is taken.
        while let Some(slot) = self.slots.get(at)? {
            // One branch: of words that are compared one by one, each would wait for the one before.
            if (slot.symbol.0 ^ wanted.0) | (slot.symbol.1 ^ wanted.1) | u64::from(slot.leg != leg) == 0 {
                return Some(slot.known);
            }
            at = at.wrapping_add(1) & mask;
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn find_long(&self, leg: LegKind, symbol: &[u8]) -> Option<Known> {
        let of = |row: &&(Symbol, LegKind, Known)| row.1 == leg && row.0.as_bytes() == symbol;
        self.long.iter().find(of).map(|row| row.2)
    }

    /// One more than the largest id there is.
    #[must_use]
    pub fn ids_end(&self) -> usize {
        let short = self.slots.iter().flatten().map(|slot| slot.known);
        let all = short.chain(self.long.iter().map(|row| row.2));
        all.map(|known| usize::from(known.id.0) + 1).max().unwrap_or(0)
    }

    fn insert(&mut self, new: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = home(new.symbol, new.leg) & mask;
        while self.slots[at].is_some() {
            at = (at + 1) & mask;
        }
        self.slots[at] = Some(new);
    }
}

/// A symbol of 4 to 16 bytes as two words, padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(u64, u64);

/// As that; `None`: it is shorter or longer.
#[inline]
fn packed(symbol: &[u8]) -> Option<Packed> {
    let len = symbol.len();
    // Two loads that overlap, where a copy of some length would be a call.
    if let (Some(first), Some(last)) = (symbol.first_chunk(), symbol.last_chunk())
        && len <= 16
    {
        let spare = 8u32.wrapping_mul(16u32.wrapping_sub(len as u32));
        let beyond = u64::from_le_bytes(*last).checked_shr(spare).unwrap_or(0);
        return Some(Packed(u64::from_le_bytes(*first), beyond));
    }
    if let (Some(first), Some(last)) = (symbol.first_chunk(), symbol.last_chunk())
        && len <= 8
    {
        let last = u64::from(u32::from_le_bytes(*last))
            .wrapping_shl(8u32.wrapping_mul((len as u32).wrapping_sub(4)));
        return Some(Packed(u64::from(u32::from_le_bytes(*first)) | last, 0));
    }
    None
}

/// Where a symbol's search begins. Multiplicative hashing: the same in every run.
#[inline]
fn home(symbol: Packed, leg: LegKind) -> usize {
    /// Odd, and of even bits: spreads near keys over the upper half.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = symbol.0 ^ symbol.1.rotate_left(23);
    (mixed.wrapping_mul(SPREAD) >> 32) as usize ^ leg as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_symbols_of_every_length_are_those_of_a_plain_copy(symbol in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = [0; 16];
            let copied = (4..=16).contains(&symbol.len()).then(|| {
                bytes[..symbol.len()].copy_from_slice(&symbol);
                let [first, beyond] = [0, 8].map(|at| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()));
                Packed(first, beyond)
            });
            prop_assert_eq!(packed(&symbol), copied);
        }
    }

    #[test]
    fn every_symbol_is_found_on_its_own_market_only() {
        let mut instruments = Instruments::default();
        for n in 0..1_500u16 {
            let leg = LegKind::BOTH[usize::from(n % 2)];
            let mut row = sample::instrument(leg, &format!("C{}USDT", n / 3), 2, 3);
            row.id = InstrumentId(n);
            row.price_decimals = (n % 9) as u8;
            instruments.instruments.push(row);
        }
        let table = Symbols::new(&instruments, VenueId(0));
        for row in &instruments.instruments {
            let slow = instruments.instruments.iter().find(|r| r.symbol == row.symbol && r.leg == row.leg);
            let fast = table.find(row.leg, row.symbol.as_bytes());
            assert_eq!(fast.map(|k| k.id), slow.map(|r| r.id), "{}", row.symbol);
        }
        for foreign in
            ["", "C", "C0USD", "C0USDTX", "c0usdt", "A symbol that is longer than twenty-four bytes"]
        {
            assert_eq!(table.find(LegKind::Spot, foreign.as_bytes()), None);
        }
        assert_eq!(Symbols::new(&instruments, VenueId(1)).find(LegKind::Spot, b"C0USDT"), None);
    }
}
