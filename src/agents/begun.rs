//! How a process began: what it found of the one before, for the head of a session file.
//!
//! Owns:  epoch, latch and intent records as JSON and back.
//! Never: holds a key; only whether there was one.

use crate::event::{Latched, Mode};
use crate::metal::intents::{INTENT_BYTES, IntentSlot, IntentsMemory, Origin};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What a process found in the intent records of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who wrote them.
    pub origin: Origin,
    /// Every whole record that was not freed.
    pub left: Vec<(IntentSlot, u64, [u8; INTENT_BYTES])>,
}

/// How a process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// This run's epoch.
    pub epoch: u32,
    /// Whether it had a key.
    pub has_key: bool,
    /// What the latch file said.
    pub latched: Option<Latched>,
    /// What the intent records said.
    pub found: Found,
}

const ORIGINS: [(Origin, &str); 3] =
    [(Origin::Fresh, "fresh"), (Origin::ThisBoot, "this_boot"), (Origin::EarlierBoot, "earlier_boot")];

impl Begun {
    /// On these intent records.
    #[must_use]
    pub fn new(epoch: u32, has_key: bool, latched: Option<Latched>, intents: &IntentsMemory) -> Self {
        Self { epoch, has_key, latched, found: Found { origin: intents.origin(), left: intents.left() } }
    }

    /// As keys of a head.
    pub fn put(&self, head: &mut Map<String, Value>) {
        let origin = ORIGINS.iter().find(|(origin, _)| *origin == self.found.origin).map(|(_, name)| *name);
        let left: Vec<Value> =
            self.found.left.iter().map(|(slot, state, record)| json!([slot.0, state, hex(record)])).collect();
        let latched = self.latched.as_ref().map(|it| json!({"mode": it.mode.name(), "why": it.why}));
        head.insert("epoch".to_owned(), json!(self.epoch));
        head.insert("key".to_owned(), json!(self.has_key));
        head.insert("latched".to_owned(), json!(latched));
        head.insert("intents".to_owned(), json!({"origin": origin, "left": left}));
    }

    /// From the keys of a head.
    ///
    /// # Errors
    ///
    /// The key that says nothing usable.
    pub fn of(head: &Map<String, Value>) -> Result<Self, &'static str> {
        let epoch = head.get("epoch").and_then(Value::as_u64).and_then(|epoch| u32::try_from(epoch).ok());
        let latched = match head.get("latched") {
            None => return Err("latched"),
            Some(Value::Null) => None,
            Some(it) => Some(latched(it).ok_or("latched")?),
        };
        Ok(Self {
            epoch: epoch.ok_or("epoch")?,
            has_key: head.get("key").and_then(Value::as_bool).ok_or("key")?,
            latched,
            found: head.get("intents").and_then(found).ok_or("intents")?,
        })
    }
}

fn latched(value: &Value) -> Option<Latched> {
    let name = value.get("mode")?.as_str()?;
    let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name)?;
    Some(Latched { mode, why: value.get("why")?.as_str()?.to_owned() })
}

fn found(value: &Value) -> Option<Found> {
    let name = value.get("origin")?.as_str()?;
    let (origin, _) = ORIGINS.into_iter().find(|(_, known)| *known == name)?;
    let left = value.get("left")?.as_array()?.iter().map(|one| {
        let slot = IntentSlot(u16::try_from(one.get(0)?.as_u64()?).ok()?);
        Some((slot, one.get(1)?.as_u64()?, unhex(one.get(2)?.as_str()?)?))
    });
    Some(Found { origin, left: left.collect::<Option<_>>()? })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_comes_back(
            epoch: u32, has_key: bool, killed in prop::option::of(any::<bool>()), origin in 0usize..3,
            left in prop::collection::vec((0u16..1_024, any::<u64>(), any::<u8>()), 0..4),
        ) {
            let mode = |killed| if killed { Mode::Killed } else { Mode::Halted };
            let begun = Begun {
                epoch,
                has_key,
                latched: killed.map(|killed| Latched { mode: mode(killed), why: "a \"reason\"".to_owned() }),
                found: Found {
                    origin: ORIGINS[origin].0,
                    left: left.iter().map(|(slot, state, byte)| (IntentSlot(*slot), *state, [*byte; INTENT_BYTES])).collect(),
                },
            };
            let mut head = Map::new();
            begun.put(&mut head);
            prop_assert_eq!(Begun::of(&head), Ok(begun));
            for key in ["epoch", "key", "latched", "intents"] {
                let mut less = head.clone();
                less.remove(key);
                prop_assert_eq!(Begun::of(&less), Err(key));
            }
        }
    }
}
