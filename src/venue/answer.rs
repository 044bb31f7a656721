//! REST answers in an envelope: a code, its words, and what was asked for.
//!
//! Owns:  opening the envelope, and the rows within.
//! Never: takes an answer whose code is not the good one, or whose form a venue has retired.

use super::fields::Fields;
use super::{BadBody, Refused};
use crate::venue::grid::printable;
use crate::venue::json::{Value, as_text};
use simd_json::prelude::*;

/// How a venue wraps its answers.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// The field with the code: a number, or text that spells one.
    pub code: &'static str,
    /// The field with its words.
    pub text: &'static str,
    /// Where retired forms of its API had theirs, or what else tells them.
    pub retired: &'static [&'static str],
}

impl Envelope {
    /// Reads what a good answer says. Writes into the body.
    ///
    /// # Errors
    ///
    /// [`BadBody`]; a code other than zero is [`BadBody::Code`].
    pub fn open<T>(
        &self,
        body: &mut [u8],
        read: impl FnOnce(&Fields<'_, '_>) -> Result<T, BadBody>,
    ) -> Result<T, BadBody> {
        let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
        let whole = Fields(tape.as_value().as_object().ok_or(BadBody::Field(self.code))?);
        if let Some(old) = self.retired.iter().find(|old| whole.0.get(**old).is_some()) {
            return Err(BadBody::Retired(old));
        }
        match number(&whole.get(self.code)?).ok_or(BadBody::Field(self.code))? {
            0 => read(&whole),
            code => {
                let text = whole.text(self.text).unwrap_or_default();
                Err(BadBody::Code { code, text: printable(text) })
            }
        }
    }
}

/// A code, as a number or spelled.
pub(super) fn number(value: &Value<'_, '_>) -> Option<i32> {
    let spelled = as_text(value).map(|text| text.parse().ok());
    spelled.unwrap_or_else(|| value.as_i64().and_then(|code| i32::try_from(code).ok()))
}

/// The rows of a list, each an object that says nothing twice where it is looked at.
///
/// # Errors
///
/// It is no list of objects.
pub fn rows<'t, 'i>(list: &Value<'t, 'i>, name: &'static str) -> Result<Vec<Fields<'t, 'i>>, BadBody> {
    let list = list.as_array().ok_or(BadBody::Field(name))?;
    list.iter().map(|row| row.as_object().map(Fields).ok_or(BadBody::Field(name))).collect()
}

impl From<Refused> for BadBody {
    fn from(refused: Refused) -> Self {
        Self::Field(refused.field)
    }
}
