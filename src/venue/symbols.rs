//! From a symbol's bytes to its instrument, on every message.
//!
//! Owns:  a fixed table per generation: symbol and market → dense id and decimals.
//! Never: hashes with a random seed, allocates after it was built, or knows symbols that do not trade.

use crate::event::Instruments;
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
    /// Open addressing with linear probing; a power of two, at most a quarter full.
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: [u64; WORDS],
    leg: LegKind,
    known: Known,
}

impl Symbols {
    /// The symbols of `venue`.
    #[must_use]
    pub fn new(instruments: &Instruments, venue: VenueId) -> Self {
        let ours = || instruments.instruments.iter().filter(|row| row.venue == venue);
        let mut table = Self { slots: vec![None; (ours().count() * 4).next_power_of_two().max(16)] };
        for row in ours() {
            let known =
                Known { id: row.id, price_decimals: row.price_decimals, qty_decimals: row.qty_decimals };
            if let Some(key) = words(row.symbol.as_bytes()) {
                table.insert(Slot { key, leg: row.leg, known });
            }
        }
        table
    }

    /// The instrument of this symbol on this market, if it is one of ours.
    #[inline]
    #[must_use]
    pub fn find(&self, leg: LegKind, symbol: &[u8]) -> Option<Known> {
        let key = words(symbol)?;
        let mask = self.slots.len() - 1;
        let mut at = home(&key, leg) & mask;
        // Ends, because at most a quarter of the slots is taken.
        while let Some(slot) = &self.slots[at] {
            // One branch: of words that are compared one by one, each would wait for the one before.
            let differs = slot.key.iter().zip(key).fold(0, |differs, (one, other)| differs | (one ^ other));
            if differs == 0 && slot.leg == leg {
                return Some(slot.known);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// One more than the largest id there is.
    #[must_use]
    pub fn ids_end(&self) -> usize {
        self.slots.iter().flatten().map(|slot| usize::from(slot.known.id.0) + 1).max().unwrap_or(0)
    }

    fn insert(&mut self, new: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = home(&new.key, new.leg) & mask;
        while self.slots[at].is_some() {
            at = (at + 1) & mask;
        }
        self.slots[at] = Some(new);
    }
}

/// Words that hold the longest symbol of [`crate::event::Symbol`].
const WORDS: usize = 3;

/// A symbol as words, padded with zeros; `None` if it is too long to be one of ours.
#[inline]
fn words(symbol: &[u8]) -> Option<[u64; WORDS]> {
    let len = symbol.len();
    // Two loads that overlap, where a copy of some length would be a call.
    if let (Some(first), Some(last)) = (symbol.first_chunk(), symbol.last_chunk())
        && len <= 16
    {
        let beyond = u64::from_le_bytes(*last).checked_shr(8 * (16 - len as u32)).unwrap_or(0);
        return Some([u64::from_le_bytes(*first), beyond, 0]);
    }
    if let (Some(first), Some(last)) = (symbol.first_chunk(), symbol.last_chunk())
        && len <= 8
    {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (len as u32 - 4));
        return Some([u64::from(u32::from_le_bytes(*first)) | last, 0, 0]);
    }
    words_of_any(symbol)
}

/// As [`words`]: symbols that are very short or very long.
#[inline(never)]
fn words_of_any(symbol: &[u8]) -> Option<[u64; WORDS]> {
    let mut bytes = [0u8; 8 * WORDS];
    bytes.get_mut(..symbol.len())?.copy_from_slice(symbol);
    let mut out = [0u64; WORDS];
    for (word, chunk) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    Some(out)
}

/// Where a symbol's search begins. Multiplicative hashing: the same in every run.
#[inline]
fn home(key: &[u64; WORDS], leg: LegKind) -> usize {
    /// Odd, and of even bits: spreads near keys over the upper half.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = key[0] ^ key[1].rotate_left(23) ^ key[2].rotate_left(46);
    (mixed.wrapping_mul(SPREAD) >> 32) as usize ^ leg as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_of_every_length_are_those_of_a_plain_copy(symbol in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(words(&symbol), words_of_any(&symbol));
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
