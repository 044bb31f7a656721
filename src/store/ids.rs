//! A set of client order ids that stays small: nearly all of a run's are in it, one sequence after the other.
//!
//! Owns:  runs of consecutive sequences, one list for each instance, epoch, leg and attempt.
//! Never: forgets an id: an intent record may outlive the process by any time (FAULTS 7.2).

use crate::units::ClientId;
use std::collections::BTreeMap;

/// Where the sequence stands in an id (FAULTS 7.2).
const SEQUENCE_SHIFT: u32 = 6;
const SEQUENCE_MASK: u64 = (ClientId::SEQUENCE_MAX as u64) << SEQUENCE_SHIFT;

/// The set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// By all of an id but its sequence: first sequence of a run → its last.
    runs: BTreeMap<u64, BTreeMap<u32, u32>>,
}

impl Ids {
    /// Adds an id.
    pub fn insert(&mut self, id: ClientId) {
        self.insert_run(id, 0);
    }

    /// Adds an id and the `more` that follow it, up to the last sequence.
    pub(super) fn insert_run(&mut self, id: ClientId, more: u32) {
        let (of, mut first) = split(id);
        let mut last = first.saturating_add(more).min(ClientId::SEQUENCE_MAX);
        let runs = self.runs.entry(of).or_default();
        // All that touch it become one with it.
        while let Some((&begin, &end)) = runs.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            runs.remove(&begin);
            (first, last) = (first.min(begin), last.max(end));
        }
        runs.insert(first, last);
    }

    /// Whether an id is in it.
    #[must_use]
    pub fn contains(&self, id: ClientId) -> bool {
        let (of, sequence) = split(id);
        let runs = self.runs.get(&of);
        runs.and_then(|runs| runs.range(..=sequence).next_back()).is_some_and(|(_, end)| *end >= sequence)
    }

    /// Every run: its first id, and how many follow it.
    pub(super) fn runs(&self) -> impl Iterator<Item = (ClientId, u32)> {
        self.runs.iter().flat_map(|(of, runs)| {
            runs.iter()
                .map(move |(first, last)| (ClientId(of | u64::from(*first) << SEQUENCE_SHIFT), last - first))
        })
    }
}

fn split(id: ClientId) -> (u64, u32) {
    let sequence = (id.0 & SEQUENCE_MASK) >> SEQUENCE_SHIFT;
    (id.0 & !SEQUENCE_MASK, sequence as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LegKind;
    use crate::units::id::ClientIdParts;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(epoch: u32, sequence: u32, leg: LegKind, attempt: u8) -> ClientId {
        ClientId::new(ClientIdParts { instance: 3, epoch, sequence, leg, attempt }).unwrap()
    }

    #[test]
    fn a_busy_run_is_a_handful_of_numbers() {
        let mut ids = Ids::default();
        for sequence in (0..1_000).rev().chain(1_001..2_000) {
            for leg in LegKind::BOTH {
                ids.insert(id(7, sequence, leg, 0));
            }
        }
        let runs = |ids: &Ids| ids.runs().map(|(_, more)| more).collect::<Vec<_>>();
        assert_eq!(runs(&ids), [999, 998, 999, 998]);
        ids.insert(id(7, 1_000, LegKind::Spot, 0));
        assert_eq!(runs(&ids), [1_999, 999, 998], "the gap of one leg is closed");
        let last = id(7, ClientId::SEQUENCE_MAX, LegKind::Perp, 15);
        ids.insert_run(last, 5);
        assert!(ids.contains(last));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(
            steps in prop::collection::vec((0u32..2, 0u32..24, any::<bool>(), 0u8..2, 0u32..4), 0..120)
        ) {
            let (mut ids, mut plain) = (Ids::default(), BTreeSet::new());
            for (epoch, sequence, perp, attempt, more) in steps {
                let leg = if perp { LegKind::Perp } else { LegKind::Spot };
                let first = id(epoch, sequence, leg, attempt);
                ids.insert_run(first, more);
                plain.extend((sequence..=sequence + more).map(|n| id(epoch, n, leg, attempt)));
                for other in 0..30 {
                    let asked = id(epoch, other, leg, attempt);
                    prop_assert_eq!(ids.contains(asked), plain.contains(&asked));
                }
            }
            let told: usize = ids.runs().map(|(_, more)| more as usize + 1).sum();
            prop_assert_eq!(told, plain.len());
            let mut again = Ids::default();
            ids.runs().for_each(|(first, more)| again.insert_run(first, more));
            prop_assert_eq!(again, ids);
        }
    }
}
