//! The fields of one parsed message, and the values that every venue writes alike.
//!
//! Owns:  look-ups that refuse a field given twice, and the readings of quotes, marks and funding that the
//!        scanners and the general parsers share.
//! Never: guesses: what is not as agreed names its field.

use super::json::{Object, Value, as_text};
use super::symbols::Known;
use super::{Heard, Refused, Why};
use crate::units::decimal::{self, pow10_i128};
use crate::units::{Amount, BadDecimal, Price, Qty, Rate, Unix};
use simd_json::prelude::*;

/// The fields of one message, each of which may be given once.
pub struct Fields<'t, 'i>(pub Object<'t, 'i>);

impl<'t, 'i> Fields<'t, 'i> {
    /// The value of a field, if it is there.
    ///
    /// # Errors
    ///
    /// It is there twice.
    pub fn find(&self, field: &'static str) -> Result<Option<Value<'t, 'i>>, Refused> {
        let mut found = self.0.iter().filter(|(key, _)| *key == field).map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() { Err(refused(field, Why::Twice)) } else { Ok(first) }
    }

    /// The value of a field.
    ///
    /// # Errors
    ///
    /// It is missing, or there twice.
    pub fn get(&self, field: &'static str) -> Result<Value<'t, 'i>, Refused> {
        self.find(field)?.ok_or(refused(field, Why::Missing))
    }

    /// The text of a row of a listing, which can't be taken without it.
    ///
    /// # Errors
    ///
    /// A sentence why not.
    pub fn word(&self, field: &'static str) -> Result<&'i str, String> {
        self.text(field).map_err(|bad| format!("its listing: {bad}"))
    }

    /// The text of a field.
    ///
    /// # Errors
    ///
    /// As [`Fields::get`], or it is no text.
    pub fn text(&self, field: &'static str) -> Result<&'i str, Refused> {
        as_text(&self.get(field)?).ok_or(refused(field, Why::Type))
    }

    /// The unsigned integer of a field.
    ///
    /// # Errors
    ///
    /// As [`Fields::get`], or it is no such number.
    pub fn uint(&self, field: &'static str) -> Result<u64, Refused> {
        self.get(field)?.as_u64().ok_or(refused(field, Why::Type))
    }

    /// The fields of an object within.
    ///
    /// # Errors
    ///
    /// As [`Fields::get`], or it is no object.
    pub fn within(&self, field: &'static str) -> Result<Self, Refused> {
        self.get(field)?.as_object().map(Self).ok_or(refused(field, Why::Type))
    }

    /// The only object of a list: a push of a top of book has one row.
    ///
    /// # Errors
    ///
    /// As [`Fields::get`], or it is no list of one object.
    pub fn only(&self, field: &'static str) -> Result<Self, Refused> {
        let list = self.get(field)?.as_array().ok_or(refused(field, Why::Type))?;
        let mut rows = list.iter();
        match (rows.next(), rows.next()) {
            (Some(row), None) => row.as_object().map(Self).ok_or(refused(field, Why::Type)),
            _ => Err(refused(field, Why::Levels)),
        }
    }

    /// The stamp of a field that counts milliseconds.
    ///
    /// # Errors
    ///
    /// As [`Fields::uint`], or it is absurd.
    pub fn stamp(&self, field: &'static str) -> Result<Unix, Refused> {
        let ms = i64::try_from(self.uint(field)?).ok();
        ms.and_then(Unix::from_ms).ok_or(refused(field, Why::Stamp))
    }

    /// The stamp of a field that spells its milliseconds as text.
    ///
    /// # Errors
    ///
    /// As [`Fields::text`], or it is absurd.
    pub fn stamp_text(&self, field: &'static str) -> Result<Unix, Refused> {
        stamp_text(self.text(field)?).ok_or(refused(field, Why::Stamp))
    }

    /// The text of a field; `None` where it is missing, null or empty.
    ///
    /// # Errors
    ///
    /// It is there twice, or no text.
    pub fn said(&self, field: &'static str) -> Result<Option<&'i str>, Refused> {
        match self.find(field)? {
            None => Ok(None),
            Some(value) if value.is_null() => Ok(None),
            Some(value) => {
                let text = as_text(&value).ok_or(refused(field, Why::Type))?;
                Ok((!text.is_empty()).then_some(text))
            }
        }
    }

    /// One side of a top of book that has a field for the price and one for the quantity; `None`: there is no
    /// such side now, which venues tell by leaving it out, by an empty text or by a price of 0.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or a number can't be taken.
    pub fn side(
        &self,
        price: &'static str,
        qty: &'static str,
        known: Known,
    ) -> Result<Option<(Price, Qty)>, Refused> {
        let (Some(at), Some(many)) = (self.said(price)?, self.said(qty)?) else { return Ok(None) };
        let at =
            Price::parse(at.as_bytes(), known.price_decimals).map_err(|bad| refused(price, bad.into()))?;
        let many = Qty::parse(many.as_bytes(), known.qty_decimals).map_err(|bad| refused(qty, bad.into()))?;
        Ok((at > Price(0)).then_some((at, many)))
    }

    /// A mark price, rounded down to the instrument's decimals, where there is one.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or the number can't be taken.
    pub fn mark(&self, field: &'static str, known: Known) -> Result<Option<Price>, Refused> {
        let Some(text) = self.said(field)? else { return Ok(None) };
        mark_price(text.as_bytes(), known.price_decimals).map(Some).map_err(|bad| refused(field, bad.into()))
    }

    /// A rate, where there is one.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or the number can't be taken.
    pub fn rate(&self, field: &'static str) -> Result<Option<Rate>, Refused> {
        let Some(text) = self.said(field)? else { return Ok(None) };
        Rate::parse(text.as_bytes()).map(Some).map_err(|bad| refused(field, bad.into()))
    }

    /// An amount, where there is one.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or the number can't be taken.
    pub fn amount(&self, field: &'static str) -> Result<Option<Amount>, Refused> {
        let Some(text) = self.said(field)? else { return Ok(None) };
        Amount::parse(text.as_bytes()).map(Some).map_err(|bad| refused(field, bad.into()))
    }

    /// A stamp spelled as text, where there is one: 0 is none.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or it is absurd.
    pub fn moment(&self, field: &'static str) -> Result<Option<Unix>, Refused> {
        match self.said(field)? {
            None | Some("0") => Ok(None),
            Some(text) => stamp_text(text).map(Some).ok_or(refused(field, Why::Stamp)),
        }
    }

    /// Hours between settlements, spelled as text, where they are told.
    ///
    /// # Errors
    ///
    /// As [`Fields::said`], or no number of hours that anything settles by.
    pub fn hours(&self, field: &'static str) -> Result<Option<u32>, Refused> {
        let Some(text) = self.said(field)? else { return Ok(None) };
        let hours = text.parse().ok().filter(|hours| (1..=24).contains(hours));
        hours.map(Some).ok_or(refused(field, Why::Decimal(BadDecimal::Range)))
    }

    /// The only level of one side of a top of book, `[["price","quantity",…]]`, in the instrument's scales.
    ///
    /// # Errors
    ///
    /// As [`Fields::get`]; the side is empty, deeper than was subscribed, or a number of it can't be taken.
    pub fn level(&self, side: &'static str, known: Known) -> Result<[i64; 2], Refused> {
        let levels = self.get(side)?.as_array().ok_or(refused(side, Why::Type))?;
        let mut levels = levels.iter();
        let best = levels.next().ok_or(refused(side, Why::OneSided))?;
        if levels.next().is_some() {
            return Err(refused(side, Why::Levels));
        }
        let best = best.as_array().ok_or(refused(side, Why::Type))?;
        let number = |at: usize, scale, max| {
            let text = best.get(at).and_then(|text| as_text(&text)).ok_or(refused(side, Why::Type))?;
            decimal::parse(text.as_bytes(), scale, max).map_err(|bad| refused(side, bad.into()))
        };
        Ok([number(0, known.price_decimals, Price::MAX.0)?, number(1, known.qty_decimals, Qty::MAX.0)?])
    }
}

/// A refusal of this field.
#[must_use]
pub const fn refused(field: &'static str, why: Why) -> Refused {
    Refused { field, why }
}

/// A top of book: bid, its quantity, ask, its quantity.
#[inline]
#[must_use]
pub const fn quote(
    known: Known,
    sequence: u64,
    [bid, bid_qty, ask, ask_qty]: [i64; 4],
    stamp: Option<Unix>,
    fallback: bool,
) -> Heard {
    Heard::Quote {
        instrument: known.id,
        sequence,
        bid: Price(bid),
        bid_qty: Qty(bid_qty),
        ask: Price(ask),
        ask_qty: Qty(ask_qty),
        stamp,
        fallback,
    }
}

/// Marks come with more decimals than the tick has; they are rounded down to the instrument's.
///
/// # Errors
///
/// The text is no decimal, or out of range.
pub fn mark_price(text: &[u8], decimals: u8) -> Result<Price, BadDecimal> {
    let exact = decimal::parse_i128(text, Rate::SCALE)?;
    let spare = Rate::SCALE.checked_sub(decimals).ok_or(BadDecimal::Range)?;
    let mark = i64::try_from(exact / pow10_i128(spare)).map_err(|_| BadDecimal::Range)?;
    if mark > Price::MAX.0 { Err(BadDecimal::Range) } else { Ok(Price(mark)) }
}

/// Delivery contracts have an empty rate.
///
/// # Errors
///
/// The text is no rate.
pub fn funding_rate(text: &[u8]) -> Result<Option<Rate>, BadDecimal> {
    if text.is_empty() { Ok(None) } else { Rate::parse(text).map(Some) }
}

/// Delivery contracts have 0; the outer `None` is an absurd stamp.
#[must_use]
pub fn settlement(ms: u64) -> Option<Option<Unix>> {
    if ms == 0 { Some(None) } else { Unix::from_ms(i64::try_from(ms).ok()?).map(Some) }
}

/// A stamp spelled as digits of milliseconds; `None`: it is none, or absurd.
#[must_use]
pub fn stamp_text(text: &str) -> Option<Unix> {
    let ms = decimal::parse(text.as_bytes(), 0, i64::MAX).ok()?;
    Unix::from_ms(ms)
}
