//! Readers of the world's bytes against its bytes, mutated: what `tests/fuzz` does for hours, for a moment.

#[path = "fuzz/targets.rs"]
mod targets;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use targets::{ALL, Target, seeds};

/// Mutations of each first input.
const EACH: usize = 12;
/// What a JSON message breaks on more easily than on a byte.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "-",
    "1e9",
    "99999999999999999999",
    "0.00000000000000000001",
    "\\u0000",
    "\n",
    "true",
];

fn mutated(seed: &[u8], random: &mut TestRng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.next_u32() % 3 {
        let at = random.next_u32() as usize % (bytes.len() + 1);
        let to = at + random.next_u32() as usize % (bytes.len() - at + 1).min(12);
        match random.next_u32() % 5 {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let twice = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, twice));
            }
            3 => {
                let piece = PIECES[random.next_u32() as usize % PIECES.len()];
                drop(bytes.splice(at..to, piece.bytes()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (random.next_u32() % 8);
                }
            }
        }
    }
    bytes
}

fn hold(target: &Target) {
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let all = seeds(target);
    assert!(!all.is_empty(), "{}: nothing to begin with", target.name);
    for seed in &all {
        (target.read)(seed);
        for _ in 0..EACH {
            let bytes = mutated(seed, &mut random);
            let read = std::panic::catch_unwind(|| (target.read)(&bytes));
            assert!(
                read.is_ok(),
                "{}: keep this in tests/fuzz/found/{}: {bytes:?}",
                target.name,
                target.name
            );
        }
    }
}

#[test]
fn no_reader_panics_on_what_is_almost_right() {
    ALL.iter().for_each(hold);
}

/// Fixtures must get somewhere, or mutations of them say nothing.
#[test]
fn the_first_inputs_are_read() {
    let feed = ALL.iter().find(|target| target.name == "feed").unwrap();
    let quotes = seeds(feed).iter().filter(|seed| seed.windows(3).any(|it| it == b"\"b\"")).count();
    assert!(quotes > 4, "{quotes} quotes");
    for target in ALL {
        assert!(seeds(target).len() > 1, "{}", target.name);
    }
}
