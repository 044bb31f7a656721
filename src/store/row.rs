//! One record, read field by field.
//!
//! Owns:  what a field must look like to be believed, and naming the one that does not.
//! Never: rounds, or fills in what is missing.

use super::earlier::Market;
use super::journal::Kind;
use super::recall::RecallError;
use crate::event::Asset;
use crate::units::{Amount, Class, ClientId, LegKind, Side, Unix, decimal};
use serde_json::{Map, Value};

/// One record, or an object in it, with what an error must say.
pub(super) struct Row<'a> {
    pub(super) body: &'a Map<String, Value>,
    pub(super) number: u64,
    pub(super) kind: Kind,
}

impl<'a> Row<'a> {
    pub(super) fn lacks(&self, field: &'static str) -> RecallError {
        RecallError { number: self.number, kind: self.kind, field }
    }

    pub(super) fn within(&self, value: &'a Value) -> Result<Self, RecallError> {
        let body = value.as_object().ok_or_else(|| self.lacks("object"))?;
        Ok(Self { body, number: self.number, kind: self.kind })
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, RecallError> {
        self.body.get(field).and_then(Value::as_str).ok_or_else(|| self.lacks(field))
    }

    pub(super) fn list(&self, field: &'static str) -> Result<&'a [Value], RecallError> {
        self.body.get(field).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| self.lacks(field))
    }

    pub(super) fn number(&self, field: &'static str) -> Result<u64, RecallError> {
        self.body.get(field).and_then(Value::as_u64).ok_or_else(|| self.lacks(field))
    }

    /// A number of at most 32 or 8 bits.
    pub(super) fn small<T: TryFrom<u64>>(&self, field: &'static str) -> Result<T, RecallError> {
        self.number(field).and_then(|n| T::try_from(n).map_err(|_| self.lacks(field)))
    }

    pub(super) fn flag(&self, field: &'static str) -> Result<bool, RecallError> {
        self.body.get(field).and_then(Value::as_bool).ok_or_else(|| self.lacks(field))
    }

    /// Calendar time, written as whole microseconds.
    pub(super) fn moment(&self, field: &'static str) -> Result<Unix, RecallError> {
        let us = self.body.get(field).and_then(Value::as_i64);
        us.and_then(|us| us.checked_mul(1_000)).map(Unix).ok_or_else(|| self.lacks(field))
    }

    pub(super) fn at(&self) -> Result<Unix, RecallError> {
        self.moment("at_us")
    }

    pub(super) fn asset(&self, field: &'static str) -> Result<Asset, RecallError> {
        Asset::from(self.text(field)?).map_err(|_| self.lacks(field))
    }

    pub(super) fn amount(&self, field: &'static str) -> Result<Amount, RecallError> {
        let signed = decimal::parse_signed(self.text(field)?.as_bytes(), Amount::SCALE);
        signed.map(Amount).map_err(|_| self.lacks(field))
    }

    /// A text that is known to be an unsigned decimal.
    pub(super) fn decimal(&self, field: &'static str) -> Result<&'a str, RecallError> {
        let text = self.text(field)?;
        self.units(text, field)?;
        Ok(text)
    }

    /// An unsigned decimal in units of its own last decimal.
    pub(super) fn units(&self, text: &str, field: &'static str) -> Result<i128, RecallError> {
        let decimals = decimals_of(text).ok_or_else(|| self.lacks(field))?;
        decimal::parse_i128(text.as_bytes(), decimals).map_err(|_| self.lacks(field))
    }

    pub(super) fn client(&self) -> Result<ClientId, RecallError> {
        ClientId::parse(self.text("client_id")?.as_bytes()).ok_or_else(|| self.lacks("client_id"))
    }

    pub(super) fn side(&self) -> Result<Side, RecallError> {
        match self.text("side")? {
            "buy" => Ok(Side::Buy),
            "sell" => Ok(Side::Sell),
            _ => Err(self.lacks("side")),
        }
    }

    pub(super) fn class(&self) -> Result<Class, RecallError> {
        match self.text("class")? {
            "entry" => Ok(Class::Entry),
            "exit" => Ok(Class::Exit),
            "repair" => Ok(Class::Repair),
            "flatten" => Ok(Class::Flatten),
            _ => Err(self.lacks("class")),
        }
    }

    /// An order's `timestamp`.
    pub(super) fn stamp(&self) -> Result<Unix, RecallError> {
        let ms = self.body.get("stamp_ms").and_then(Value::as_i64);
        ms.and_then(Unix::from_ms).ok_or_else(|| self.lacks("stamp_ms"))
    }

    pub(super) fn leg(&self) -> Result<LegKind, RecallError> {
        match self.text("market")? {
            "spot" => Ok(LegKind::Spot),
            "perp" => Ok(LegKind::Perp),
            _ => Err(self.lacks("market")),
        }
    }

    /// An unsigned decimal in units of so many decimals.
    pub(super) fn scaled(&self, field: &'static str, decimals: u8) -> Result<i64, RecallError> {
        decimal::parse(self.text(field)?.as_bytes(), decimals, i64::MAX).map_err(|_| self.lacks(field))
    }

    pub(super) fn market(&self) -> Result<Market, RecallError> {
        Ok(Market { leg: self.leg()?, symbol: self.text("symbol")?.to_owned() })
    }
}

/// How many decimals a text shows; `None` past 18.
pub(super) fn decimals_of(text: &str) -> Option<u8> {
    let decimals = text.find('.').map_or(0, |dot| text.len() - dot - 1);
    u8::try_from(decimals).ok().filter(|n| *n <= Amount::SCALE)
}
