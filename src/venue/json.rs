//! The general parser behind everything that is not a hot quote: simd-json with buffers that are kept.
//!
//! Owns:  [`Scratch`] and typed look-ups in a parsed object.
//! Never: touches the caller's bytes: simd-json unescapes in place, so it works on a copy.
//! Quirk: key order is free and unknown keys are ignored; venues change both without notice.

use crate::units::Unix;
use simd_json::prelude::*;
use simd_json::{Buffers, INPUT_PADDING, Tape};

/// One parsed value.
pub type Value<'t, 'i> = simd_json::tape::Value<'t, 'i>;
/// One parsed object.
pub type Object<'t, 'i> = simd_json::tape::Object<'t, 'i>;

/// Nodes of a parsed body held without growing: an answer with its 64 fills has under a thousand.
const NODES: usize = 2_048;

/// Reused memory for parsing: up to bodies of the usual size nothing is allocated any more.
pub struct Scratch {
    bytes: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
}

impl Scratch {
    /// Room for messages of the usual size; larger ones make it grow once.
    #[must_use]
    pub fn new() -> Self {
        let tape = Some(Tape(Vec::with_capacity(NODES)));
        let mut scratch =
            Self { bytes: Vec::with_capacity(16 * 1024), buffers: Buffers::new(16 * 1024), tape };
        // The parser's list of structural bytes begins shorter than one private event needs, and can't be
        // asked to be longer: a body of as many nodes stretches it.
        let mut body = b"[0".to_vec();
        body.extend(b",0".repeat(NODES - 8));
        body.push(b']');
        scratch.read(&body, |_| ());
        scratch
    }

    /// Parses a copy of `body` and shows it to `look`; `None` if it is not JSON.
    pub fn read<R>(&mut self, body: &[u8], look: impl FnOnce(Value<'_, '_>) -> R) -> Option<R> {
        if body.is_empty() {
            return None;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(body);
        self.bytes.resize(body.len() + INPUT_PADDING, 0);
        // `reset` empties the tape and lets its allocation serve another lifetime.
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let parsed =
            simd_json::fill_tape_padded(&mut self.bytes, body.len(), &mut self.buffers, &mut tape).is_ok();
        let answer = if parsed && !tape.0.is_empty() { Some(look(tape.as_value())) } else { None };
        self.tape = Some(tape.reset());
        answer
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("capacity", &self.bytes.capacity()).finish_non_exhaustive()
    }
}

/// The text under `key`.
#[must_use]
pub fn text<'i>(object: &Object<'_, 'i>, key: &str) -> Option<&'i str> {
    object.get(key).and_then(|value| as_text(&value))
}

/// A value as text that lives as long as the parsed bytes.
#[must_use]
pub fn as_text<'i>(value: &Value<'_, 'i>) -> Option<&'i str> {
    (*value).into_string()
}

/// A text, or a number as text: the shortest that the parser's number is written by, exact to 15 digits.
#[must_use]
pub fn as_digits(value: &Value<'_, '_>) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(number) = value.as_i64() {
        return Some(number.to_string());
    }
    value.as_f64().map(|number| number.to_string())
}

/// The unsigned integer under `key`.
#[must_use]
pub fn uint(object: &Object<'_, '_>, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

/// The signed integer under `key`.
#[must_use]
pub fn int(object: &Object<'_, '_>, key: &str) -> Option<i64> {
    object.get(key)?.as_i64()
}

/// The flag under `key`.
#[must_use]
pub fn flag(object: &Object<'_, '_>, key: &str) -> Option<bool> {
    object.get(key)?.as_bool()
}

/// The millisecond stamp under `key`; `None` if it is missing or absurd.
#[must_use]
pub fn stamp(object: &Object<'_, '_>, key: &str) -> Option<Unix> {
    Unix::from_ms(int(object, key)?)
}
