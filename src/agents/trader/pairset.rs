//! A set of pairs, one bit each: what an idle turn still has to look at, so that it need not look at all of them.
//!
//! Owns:  membership, and finding the next member round robin.
//! Never: allocates.

use crate::agents::engine::PAIRS_MAX;

const WORDS: usize = PAIRS_MAX / 64;

/// Pairs by their place at the trader's desk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PairSet([u64; WORDS]);

impl PairSet {
    /// The first `n` pairs.
    pub(super) fn first(n: usize) -> Self {
        let mut all = Self::default();
        (0..n).for_each(|at| all.insert(at));
        all
    }

    /// Puts a pair in; one beyond [`PAIRS_MAX`] has no stall and is nobody's.
    #[inline]
    pub(super) fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// Takes a pair out.
    #[inline]
    pub(super) fn remove(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word &= !(1 << (at % 64));
        }
    }

    /// The first member from `from` on, and from the beginning if none follows.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        if self.0 == [0; WORDS] {
            return None;
        }
        let (start, bit) = (from / 64 % WORDS, from % 64);
        let first = self.0[start] & (!0 << bit);
        if first != 0 {
            return Some(start * 64 + first.trailing_zeros() as usize);
        }
        // The word of `from` comes last again, for what lies before it.
        for n in 1..=WORDS {
            let at = (start + n) % WORDS;
            if self.0[at] != 0 {
                return Some(at * 64 + self.0[at].trailing_zeros() as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_holds(
            deeds in prop::collection::vec((0usize..PAIRS_MAX, any::<bool>(), 0usize..PAIRS_MAX), 0..60), n in 0usize..PAIRS_MAX,
        ) {
            let mut set = PairSet::first(n);
            let mut twin: BTreeSet<usize> = (0..n).collect();
            for (at, put, from) in deeds {
                if put {
                    set.insert(at);
                    twin.insert(at);
                } else {
                    set.remove(at);
                    twin.remove(&at);
                }
                let next = twin.range(from..).next().or(twin.first()).copied();
                prop_assert_eq!(set.next(from), next);
            }
            set.insert(PAIRS_MAX);
            set.remove(PAIRS_MAX + 64);
            prop_assert_eq!(set.next(0), twin.first().copied());
        }
    }
}
