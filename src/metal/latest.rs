//! A cell between threads in which the newest value wins: permits, thresholds, `durable`.
//!
//! Owns:  `N` words that a reader always sees together, as one [`Writer`] published them.
//! Never: blocks the writer; a reader that was disturbed reads again.
//!
//! A sequence lock: odd while the writer is at work. The words are relaxed atomics between two
//! fences (a plain copy would be a data race), so there is no unsafe code here.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use crossbeam::utils::CachePadded;

/// The publishing end; there is one.
#[derive(Debug)]
pub struct Writer<const N: usize> {
    shared: Arc<Shared<N>>,
    /// The sequence last stored; always even between calls.
    sequence: u64,
}

/// A reading end. Clones look independently; a clone starts where its original was.
#[derive(Clone, Debug)]
pub struct Reader<const N: usize> {
    shared: Arc<Shared<N>>,
    /// The sequence [`Reader::changed`] saw last; odd (so never equal) before the first call.
    seen: u64,
}

/// Makes a cell that holds `first`.
#[must_use]
pub fn latest<const N: usize>(first: [u64; N]) -> (Writer<N>, Reader<N>) {
    let shared = Arc::new(Shared {
        sequence: CachePadded::new(AtomicU64::new(0)),
        words: CachePadded::new(first.map(AtomicU64::new)),
    });
    (Writer { shared: Arc::clone(&shared), sequence: 0 }, Reader { shared, seen: 1 })
}

impl<const N: usize> Writer<N> {
    /// Replaces the value.
    #[inline]
    pub fn publish(&mut self, words: [u64; N]) {
        let shared = &*self.shared;
        shared.sequence.store(self.sequence | 1, Relaxed);
        // A reader that sees any word below also sees the odd sequence above, because its
        // acquire fence pairs with this one.
        fence(Release);
        for (slot, word) in shared.words.iter().zip(words) {
            slot.store(word, Relaxed);
        }
        self.sequence = self.sequence.wrapping_add(2);
        shared.sequence.store(self.sequence, Release);
    }
}

impl<const N: usize> Reader<N> {
    /// The newest value.
    #[inline]
    #[must_use]
    pub fn read(&self) -> [u64; N] {
        self.shared.read_through(|words| words).1
    }

    /// The newest value if [`Reader::changed`] has not given it out yet; the first call always
    /// gives one.
    #[inline]
    pub fn changed(&mut self) -> Option<[u64; N]> {
        // Equal means that nothing was published since: the cheap look that a hot room repeats.
        if self.shared.sequence.load(Relaxed) == self.seen {
            return None;
        }
        let (sequence, words) = self.shared.read_through(|words| words);
        // The writer may have been half way through publishing what we had already seen begin.
        if sequence == self.seen {
            return None;
        }
        self.seen = sequence;
        Some(words)
    }

    /// What `look` makes of the value, called again if the value changed **while it ran**. The
    /// clock reads its counter in there: a reading never belongs to an older line than the one
    /// it was converted with.
    #[inline]
    pub fn read_through<R>(&self, look: impl FnMut([u64; N]) -> R) -> R {
        self.shared.read_through(look).1
    }
}

#[derive(Debug)]
struct Shared<const N: usize> {
    sequence: CachePadded<AtomicU64>,
    words: CachePadded<[AtomicU64; N]>,
}

impl<const N: usize> Shared<N> {
    #[inline]
    fn read_through<R>(&self, mut look: impl FnMut([u64; N]) -> R) -> (u64, R) {
        loop {
            let before = self.sequence.load(Acquire);
            if before & 1 == 0 {
                let seen = look(std::array::from_fn(|i| self.words[i].load(Relaxed)));
                fence(Acquire);
                if self.sequence.load(Relaxed) == before {
                    return (before, seen);
                }
            }
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that follow from the first, so a mixture shows.
    fn value(n: u64) -> [u64; 8] {
        std::array::from_fn(|i| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 5) ^ n)
    }

    fn number(words: [u64; 8]) -> u64 {
        // `words[0]` is odd-multiple ^ n; search is not needed: the writer also stores n last.
        words[7]
    }

    #[test]
    fn a_reader_never_sees_half_a_value_nor_an_older_one() {
        const COUNT: u64 = 1_000_000;
        let make = |n: u64| {
            let mut words = value(n);
            words[7] = n;
            words
        };
        let (mut writer, mut reader) = latest(make(0));
        let writing = std::thread::spawn(move || {
            for n in 1..=COUNT {
                writer.publish(make(n));
                // Lets the reader in on a machine with few cores.
                if n % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut last = 0;
        let mut looks = 0u64;
        while last < COUNT {
            if let Some(words) = reader.changed() {
                let n = number(words);
                assert_eq!(words, make(n), "torn");
                assert!(n > last || looks == 0, "{n} after {last}");
                last = n;
                looks += 1;
            }
            std::hint::spin_loop();
        }
        writing.join().unwrap();
        assert!(looks > 1);
        assert_eq!(reader.read(), make(COUNT));
    }

    #[test]
    fn each_value_is_news_once_to_each_reader() {
        let (mut writer, mut reader) = latest([7]);
        let mut other = reader.clone();
        assert_eq!(reader.changed(), Some([7]), "the first look is news");
        assert_eq!(reader.changed(), None);
        writer.publish([8]);
        writer.publish([9]);
        assert_eq!(reader.changed(), Some([9]), "the newest wins");
        assert_eq!(reader.changed(), None);
        assert_eq!(other.changed(), Some([9]));
        writer.publish([9]);
        assert_eq!(other.changed(), Some([9]), "published again is news, even if equal");
    }
}
