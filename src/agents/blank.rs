//! Secrets that a venue says on its sockets, blanked before a session file gets to see them.
//!
//! Owns:  finding the values of named JSON strings in the bytes of a link, however they were cut.
//! Never: changes a length, or a byte outside such a value.

use crate::metal::tap::Turn;
use std::collections::BTreeMap;

/// What stands in their place.
const INK: u8 = b'x';

/// Blanks the values of these names, link by link.
#[derive(Debug)]
pub(super) struct Blank {
    names: Vec<&'static str>,
    /// Where each link's bytes ended, name by name.
    links: BTreeMap<u32, Vec<At>>,
}

/// How far into `"name" : "value"` the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes of the quoted name.
    Name(usize),
    /// Behind it.
    Colon,
    /// In the value; behind a backslash or not.
    Value(bool),
}

impl Blank {
    /// Nothing was seen yet.
    #[must_use]
    pub(super) const fn new(names: Vec<&'static str>) -> Self {
        Self { names, links: BTreeMap::new() }
    }

    /// Blanks what links brought in these turns, each behind its length.
    pub(super) fn turns(&mut self, mut turns: &mut [u8]) {
        while let Some((length, rest)) = turns.split_first_chunk_mut::<4>() {
            let Some((turn, rest)) = rest.split_at_mut_checked(u32::from_le_bytes(*length) as usize) else {
                return;
            };
            for (link, range) in Turn::received(turn) {
                self.bytes(link, &mut turn[range]);
            }
            turns = rest;
        }
    }

    /// Blanks the next bytes of a link.
    pub(super) fn bytes(&mut self, link: u32, bytes: &mut [u8]) {
        let at = self.links.entry(link).or_insert_with(|| vec![At::Name(0); self.names.len()]);
        for (name, at) in self.names.iter().zip(at) {
            bytes.iter_mut().for_each(|byte| *at = step(name.as_bytes(), *at, byte));
        }
    }
}

fn step(name: &[u8], at: At, byte: &mut u8) -> At {
    match (at, *byte) {
        (At::Name(0), b'"') => At::Name(1),
        (At::Name(n), b'"') if n == name.len() + 1 => At::Colon,
        (At::Name(n), letter) if n > 0 && name.get(n - 1) == Some(&letter) => At::Name(n + 1),
        (At::Colon, b':' | b' ') => At::Colon,
        (At::Colon, b'"') | (At::Value(true), _) => {
            if at != At::Colon {
                *byte = INK;
            }
            At::Value(false)
        }
        (At::Value(false), b'"') => At::Name(0),
        (At::Value(false), letter) => {
            *byte = INK;
            At::Value(letter == b'\\')
        }
        // It may be the first of another name.
        (_, letter) => At::Name(usize::from(letter == b'"')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"{"e":"listenKeyExpired","listenKey":"abc\"def","E":1}{"apiKey" : "z"}{"":"","listenKey":7,"x":"abc"}"#;
    const CLEAN: &str = r#"{"e":"listenKeyExpired","listenKey":"xxxxxxxx","E":1}{"apiKey" : "x"}{"":"","listenKey":7,"x":"abc"}"#;

    proptest! {
        #[test]
        fn a_value_is_blanked_however_its_bytes_are_cut(cuts in prop::collection::vec(0..TEXT.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, TEXT.len()]);
            cuts.sort_unstable();
            let mut blank = Blank::new(vec!["listenKey", "apiKey"]);
            let mut bytes = TEXT.as_bytes().to_vec();
            for pair in cuts.windows(2) {
                blank.bytes(7, &mut bytes[pair[0]..pair[1]]);
                blank.bytes(8, &mut b"\"listenKey\":\"other".to_vec());
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), CLEAN);
        }
    }
}
