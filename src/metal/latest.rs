//! A cell between threads in which the newest value wins: permits, thresholds, `durable`.
//!
//! Owns:  `N` words that a reader always sees together, as one [`Writer`] published them.
//! Never: makes anybody wait: not the writer for readers, and no reader for a writer that was put
//!        to sleep half way (a plain sequence lock would, and the shadow shares its core).
//!
//! Two copies, used in turn, and a version that says which is current. The writer fills the other
//! copy, then raises the version; a reader that finds the version changed after its look reads
//! again. The words are relaxed atomics between fences (a plain copy would be a data race), so
//! there is no unsafe code here.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::atomic::{Arc, AtomicU64, fence};
use super::tap::{Asked, Tap};
use crossbeam::utils::CachePadded;

/// The publishing end; there is one.
#[derive(Debug)]
pub struct Writer<const N: usize> {
    shared: Arc<CachePadded<Shared<N>>>,
    /// The truth of `shared.version`.
    version: u64,
}

/// A reading end. Clones look independently; a clone starts where its original was.
#[derive(Clone, Debug)]
pub struct Reader<const N: usize> {
    shared: Arc<CachePadded<Shared<N>>>,
    /// The version [`Reader::changed`] gave out last; `u64::MAX`, which no cell lives to see, before
    /// the first.
    seen: u64,
    /// Copies what [`Reader::changed`] gives out, or supplies it; which cell, and how often it was asked.
    tap: Option<(Tap, u16, Asked)>,
}

/// Makes a cell that holds `first`.
#[must_use]
pub fn latest<const N: usize>(first: [u64; N]) -> (Writer<N>, Reader<N>) {
    let copies = [first.map(AtomicU64::new), first.map(AtomicU64::new)];
    let shared = Arc::new(CachePadded::new(Shared { version: AtomicU64::new(0), copies }));
    (Writer { shared: Arc::clone(&shared), version: 0 }, Reader { shared, seen: u64::MAX, tap: None })
}

impl<const N: usize> Writer<N> {
    /// Replaces the value.
    #[inline]
    pub fn publish(&mut self, words: [u64; N]) {
        let next = self.version.wrapping_add(1);
        // The copy filled below is that of version `next - 2`. A reader still in it that sees one of
        // our words sees `next - 1` or later in its second look at the version, because its acquire
        // fence pairs with this one; so it reads again.
        fence(Release);
        for (place, word) in self.shared.copy(next).iter().zip(words) {
            place.store(word, Relaxed);
        }
        self.shared.version.store(next, Release);
        self.version = next;
    }
}

impl<const N: usize> Reader<N> {
    /// The newest value.
    #[inline]
    #[must_use]
    pub fn read(&self) -> [u64; N] {
        let words = self.shared.look(|words| words).1;
        self.tap.as_ref().map_or(words, |(tap, door, _)| tap.hold(*door, words))
    }

    /// The newest value if [`Reader::changed`] has not given it out yet; the first call always
    /// gives one.
    #[inline]
    pub fn changed(&mut self) -> Option<[u64; N]> {
        // Handed through at once, the words are not moved where there are none.
        if self.tap.is_none() {
            return self.newer();
        }
        let found = self.newer();
        self.tap.as_mut().and_then(|(tap, door, asked)| tap.look(*door, asked, found))
    }

    /// Lets [`Reader::changed`] and [`Reader::read`] go through a room's tap. What is read is then the same
    /// for a whole turn.
    pub fn tap(&mut self, tap: &Tap, door: u16) {
        self.tap = tap.is_on().then(|| (tap.clone(), door, Asked::default()));
    }

    #[inline]
    fn newer(&mut self) -> Option<[u64; N]> {
        // The cheap look that a hot room repeats.
        if self.shared.version.load(Relaxed) == self.seen {
            return None;
        }
        let (version, words) = self.shared.look(|words| words);
        self.seen = version;
        Some(words)
    }

    /// What `look` makes of the newest value. It is called again if a newer one came **while it
    /// ran**; then the words it saw may have been mixed, and its answer is thrown away. The clock
    /// reads its counter in there, so that no counter value meets an older line than its own.
    #[inline]
    pub fn read_through<R>(&self, look: impl FnMut([u64; N]) -> R) -> R {
        self.shared.look(look).1
    }
}

#[derive(Debug)]
struct Shared<const N: usize> {
    /// How many values were published; its lowest bit says which copy is current. Beside the
    /// copies, so that a small cell is one cache line.
    version: AtomicU64,
    copies: [[AtomicU64; N]; 2],
}

impl<const N: usize> Shared<N> {
    #[inline]
    fn copy(&self, version: u64) -> &[AtomicU64; N] {
        &self.copies[(version & 1) as usize]
    }

    #[inline]
    fn look<R>(&self, mut look: impl FnMut([u64; N]) -> R) -> (u64, R) {
        loop {
            let version = self.version.load(Acquire);
            let copy = self.copy(version);
            let seen = look(std::array::from_fn(|i| copy[i].load(Relaxed)));
            fence(Acquire);
            if self.version.load(Relaxed) == version {
                return (version, seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that follow from the last one, so that a mixture shows.
    fn value(n: u64) -> [u64; 8] {
        let mut words =
            std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 5));
        words[7] = n;
        words
    }

    #[test]
    fn a_reader_never_sees_half_a_value_nor_an_older_one() {
        const COUNT: u64 = 1_000_000;
        let (mut writer, mut reader) = latest(value(0));
        let writing = std::thread::spawn(move || {
            for n in 1..=COUNT {
                writer.publish(value(n));
                // Lets the reader in on a machine with few cores.
                if n % 1_024 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut last = 0;
        let mut looks = 0u64;
        while last < COUNT {
            if let Some(words) = reader.changed() {
                let n = words[7];
                assert_eq!(words, value(n), "torn");
                assert!(n > last || looks == 0, "{n} after {last}");
                last = n;
                looks += 1;
            }
            std::hint::spin_loop();
        }
        writing.join().unwrap();
        assert!(looks > 1);
        assert_eq!(reader.read(), value(COUNT));
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
