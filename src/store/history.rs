//! The whole journal, from its first record on: what reports and the projection are made of.
//!
//! Owns:  the walk over all segments, with the books as they stood behind each record.
//! Never: goes on behind damage: a report that lacks something does not say that it does.
//! Map:   `check.rs` says what is wrong and goes on; a start reads the last segment alone (`segments.rs`).

use super::checkpoint;
use super::journal::{Entry, Flaw, Kind, Reader};
use super::recall::{RecallError, Recalled};

/// Why a journal can't be told as one history. Each message ends with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A segment is not there.
    #[error("segment {0} of the journal is missing; restore it from a backup")]
    Gap(u32),
    /// A segment can't be read to its end.
    #[error(
        "segment {segment} of the journal, byte {at}: {why}; `contango store check` says what that means"
    )]
    Damaged {
        /// Which one.
        segment: u32,
        /// Where its sound records end.
        at: usize,
        /// What is wrong.
        why: Flaw,
    },
    /// A sound record without a fact it must hold.
    #[error("segment {segment}: {error}")]
    Record {
        /// Which one.
        segment: u32,
        /// What is wrong.
        error: RecallError,
    },
}

/// All that was read so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    recalled: Recalled,
    segments: u32,
    records: u64,
}

impl History {
    /// What the records so far tell.
    #[must_use]
    pub const fn recalled(&self) -> &Recalled {
        &self.recalled
    }

    /// How many segments and records were read, checkpoints left out.
    #[must_use]
    pub const fn read_so_far(&self) -> (u32, u64) {
        (self.segments, self.records)
    }

    /// Reads the next segment; `see` gets each record with the books behind it. `newest`: a write at its end that
    /// was never finished, or is under way, is no damage.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn read(
        &mut self,
        number: u32,
        bytes: &[u8],
        newest: bool,
        mut see: impl FnMut(&Entry, &Recalled),
    ) -> Result<(), HistoryError> {
        if number != self.segments + 1 {
            return Err(HistoryError::Gap(self.segments + 1));
        }
        self.segments = number;
        let mut reader = Reader::new(bytes, number);
        for entry in reader.by_ref() {
            if entry.kind == Kind::Checkpoint {
                // It says what was read before it.
                if checkpoint::place(&entry).is_some_and(|(part, _)| part == 1) {
                    self.recalled.next_segment();
                    self.recalled.forget();
                }
                continue;
            }
            let taken = self.recalled.take(&entry);
            taken.map_err(|error| HistoryError::Record { segment: number, error })?;
            self.records += 1;
            see(&entry, &self.recalled);
        }
        match reader.flaw() {
            None => Ok(()),
            Some(Flaw::Cut) if newest => Ok(()),
            Some(why) => Err(HistoryError::Damaged { segment: number, at: reader.good(), why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::all;
    use super::super::journal::{encode, file_header};
    use super::super::segments::head;
    use super::*;

    /// Two segments, the second opened by the first one's checkpoint.
    fn two() -> [Vec<u8>; 2] {
        let mut recalled = Recalled::default();
        let mut first = file_header(1).to_vec();
        all().iter().for_each(|record| recalled.take(&encode(record, &mut first)).unwrap());
        recalled.forget();
        let mut second = head(2, &recalled);
        encode(&all()[0], &mut second);
        [first, second]
    }

    #[test]
    fn segments_are_one_history_with_the_books_behind_each_record() {
        let [first, second] = two();
        let mut history = History::default();
        let mut fills = Vec::new();
        history.read(1, &first, false, |_, books| fills.push(books.sums.fills)).unwrap();
        history.read(2, &second, true, |entry, _| assert_eq!(entry.kind, Kind::Start)).unwrap();
        assert_eq!(history.read_so_far(), (2, all().len() as u64 + 1));
        assert_eq!((fills[3], fills[4], history.recalled().sums.fills), (0, 1, 1));
    }

    #[test]
    fn what_is_missing_or_damaged_is_no_history() {
        let [first, second] = two();
        let read = |parts: &[(u32, &[u8], bool)]| {
            let mut history = History::default();
            parts
                .iter()
                .try_for_each(|(number, bytes, newest)| history.read(*number, bytes, *newest, |_, _| {}))
        };
        assert_eq!(read(&[(2, &second, true)]), Err(HistoryError::Gap(1)));
        assert_eq!(read(&[(1, &first, false), (3, &second, true)]), Err(HistoryError::Gap(2)));
        let cut = &first[..first.len() - 1];
        assert_eq!(read(&[(1, cut, true)]), Ok(()), "it may be under way");
        let error = read(&[(1, cut, false), (2, &second, true)]).unwrap_err();
        assert!(matches!(error, HistoryError::Damaged { segment: 1, why: Flaw::Cut, .. }), "{error}");
        let mut damaged = first;
        damaged[40] ^= 1;
        assert!(read(&[(1, &damaged, true)]).is_err());
    }
}
