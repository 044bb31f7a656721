//! Random bytes: from the kernel, or from a seed so that a story can be told again.
//!
//! Owns:  the seam. Mask keys, handshake keys and jitter come from here.
//! Never: uses the seeded side in a process that talks to a venue; only `rehearse` makes one.

use super::tap::Tap;
use ring::rand::{SecureRandom, SystemRandom};

/// A source of random bytes.
#[derive(Debug)]
pub struct Entropy {
    source: Source,
    /// Copies the numbers drawn, or supplies them.
    tap: Tap,
}

#[derive(Debug)]
enum Source {
    Kernel(SystemRandom),
    /// State of a splitmix64 generator: small, even, and the same on every machine.
    Seeded(u64),
}

impl Entropy {
    /// The kernel's generator, fit for keys.
    #[must_use]
    pub fn real() -> Self {
        Self { source: Source::Kernel(SystemRandom::new()), tap: Tap::off() }
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
            Source::Kernel(kernel) => {
                assert!(kernel.fill(out).is_ok(), "the kernel refused random bytes; allow `getrandom`");
            }
            Source::Seeded(state) => {
                for chunk in out.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix(state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    /// One random number, all 64 bits.
    pub fn u64(&mut self) -> u64 {
        let tap = self.tap.clone();
        tap.draw(|| {
            let mut bytes = [0; 8];
            self.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        })
    }
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
        assert_ne!(real.u64(), real.u64());
    }
}
