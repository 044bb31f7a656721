//! Random bytes: from the kernel, or from a seed so that a story can be told again.
//!
//! Owns:  the seam. Mask keys, handshake keys and jitter come from here.
//! Never: uses the seeded side in a process that talks to a venue; only `rehearse` makes one. Gives a byte twice.

use super::tap::Tap;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;

/// Bytes asked of the kernel at a time for single numbers: a hot room that masks a frame makes no call for it, and a
/// refill takes no longer than a quote may wait.
const POOL: usize = 512;

/// A source of random bytes.
#[derive(Debug)]
pub struct Entropy {
    source: Source,
    /// Copies the numbers drawn, or supplies them.
    tap: Tap,
}

#[derive(Debug)]
enum Source {
    Kernel(SystemRandom, Pool),
    /// State of a splitmix64 generator: small, even, and the same on every machine.
    Seeded(u64),
}

/// What the kernel gave for single numbers, and how much of it is used up.
struct Pool {
    bytes: Box<[u8; POOL]>,
    used: usize,
}

impl fmt::Debug for Pool {
    /// Never the bytes: they are numbers to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {POOL} used)", self.used)
    }
}

impl Entropy {
    /// The kernel's generator, fit for keys.
    #[must_use]
    pub fn real() -> Self {
        let pool = Pool { bytes: Box::new([0; POOL]), used: POOL };
        Self { source: Source::Kernel(SystemRandom::new(), pool), tap: Tap::off() }
    }

    /// The same bytes for the same seed; fit for rehearsals only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seeded(seed), tap: Tap::off() }
    }

    /// Lets [`Entropy::u64`], all that a room draws, go through its tap.
    pub fn tap(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    /// Fills `out`.
    ///
    /// # Panics
    ///
    /// If the kernel has no randomness to give (a sandbox that forbids `getrandom`): predictable
    /// keys would be worse than no process.
    pub fn fill(&mut self, out: &mut [u8]) {
        match &mut self.source {
            Source::Kernel(kernel, _) => ask(kernel, out),
            Source::Seeded(state) => {
                for chunk in out.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix(state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    /// One random number, all 64 bits.
    ///
    /// # Panics
    ///
    /// As [`Entropy::fill`].
    pub fn u64(&mut self) -> u64 {
        let Self { source, tap } = self;
        tap.draw(|| match source {
            Source::Kernel(kernel, Pool { bytes, used }) => {
                if *used == POOL {
                    ask(kernel, &mut bytes[..]);
                    *used = 0;
                }
                let mut word = [0; 8];
                word.copy_from_slice(&bytes[*used..*used + 8]);
                *used += 8;
                u64::from_le_bytes(word)
            }
            Source::Seeded(state) => splitmix(state),
        })
    }
}

fn ask(kernel: &SystemRandom, out: &mut [u8]) {
    assert!(kernel.fill(out).is_ok(), "the kernel refused random bytes; allow `getrandom`");
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014), the mix of it.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_same_story_on_every_machine() {
        // The generator's published first outputs for seed 0.
        let mut seeded = Entropy::seeded(0);
        assert_eq!(seeded.u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(seeded.u64(), 0x6e78_9e6a_a1b9_65f4);
        let mut bytes = [0; 3];
        Entropy::seeded(0).fill(&mut bytes);
        assert_eq!(bytes, [0xaf, 0xcd, 0x1d]);
    }

    #[test]
    fn the_kernel_does_not_repeat_itself() {
        let mut real = Entropy::real();
        // Over several fillings of the pool.
        let drawn: std::collections::BTreeSet<u64> = (0..POOL).map(|_| real.u64()).collect();
        assert_eq!(drawn.len(), POOL);
    }
}
