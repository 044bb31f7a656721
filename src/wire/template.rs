//! Order messages as templates: text made once at load, a few fields filled in at fire time.
//!
//! Owns:  where the fields lie, the body's length, which bytes a signature covers and where it goes.
//! Never: allocates when rendering, escapes a value (they are digits of our own), or signs.
//! Wire:  RFC 9110 §8.6: `Content-Length = 1*DIGIT`, so `Content-Length: 087` is legal. Its slot is
//!        three digits wide, always, and nothing behind it moves when the quantity gets longer.
//!
//! A form body with its signature at the end, as one venue wants it:
//!
//! ```
//! use contango::wire::template::{Builder, write_hex};
//! use arrayvec::ArrayVec;
//!
//! const QTY: usize = 0;
//! let order = Builder::default()
//!     .text("POST /order HTTP/1.1\r\nHost: h\r\nContent-Length: ")
//!     .content_length()
//!     .text("\r\n\r\n")
//!     .body()
//!     .text("symbol=BTCUSDT&quantity=")
//!     .field(QTY, 20)
//!     .signed_end()
//!     .text("&signature=")
//!     .signature(64)
//!     .build()
//!     .unwrap();
//!
//! let mut out = ArrayVec::<u8, 1024>::new();
//! let rendered = order.render(&[b"0.015"], &mut out).unwrap();
//! assert_eq!(&out[rendered.signed.clone()], b"symbol=BTCUSDT&quantity=0.015");
//! let mut hex = ArrayVec::<u8, 64>::new();
//! write_hex(&mut hex, &[0xab; 32]).unwrap();
//! rendered.seal(&mut out, &hex).unwrap();
//! assert!(out.ends_with(b"abab"));
//! ```

use super::digits::put_zeros;
use super::{Full, Sink};
use std::ops::Range;

pub use super::digits::{write_base64, write_decimal, write_hex, write_u64};

/// Digits of the `Content-Length` slot. Order bodies take 200–400 bytes on every venue.
const LENGTH_WIDTH: usize = 3;

/// The longest body the slot can tell.
const BODY_MAX: usize = 999;

/// A message with holes. Made once per pair, direction and venue; shared freely.
#[derive(Clone, Debug)]
pub struct Template {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    /// Widest value of each field.
    fields: Vec<usize>,
    /// Bytes if every field is at its widest.
    max_len: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Range<usize>),
    Field(usize),
    ContentLength,
    Body,
    SignedEnd,
    Signature(usize),
}

/// Where things lie in a rendered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Offset of the body; of the message itself where the template marks none.
    pub body: usize,
    /// The bytes a signature covers: from the body to the mark, or to the end.
    pub signed: Range<usize>,
    /// The slot the signature goes into, zeros until then; empty if there is none.
    pub signature: Range<usize>,
}

/// What a template can't be built or filled with. Each is a mistake of the code that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The body can get longer than the length slot tells.
    #[error("a body of up to {0} bytes, {BODY_MAX} at most; shorten the fields or send it another way")]
    BodyTooLong(usize),
    /// A field without its value would make another order of it.
    #[error("field {0} is empty; give it a value")]
    Empty(usize),
    /// The number of values is not that of the fields.
    #[error("{given} values for {fields} fields; give one for each")]
    FieldCount {
        /// Fields of the template.
        fields: usize,
        /// Values given.
        given: usize,
    },
    /// The buffer is smaller than the longest rendering.
    #[error(transparent)]
    Full(#[from] Full),
    /// A mark missing, twice, or out of order.
    #[error("{0}; mend the template")]
    Layout(&'static str),
    /// A value does not fit its field, or a signature its slot.
    #[error("{given} bytes where {width} belong; check the instrument's decimals, or widen the field")]
    Width {
        /// What the slot holds.
        width: usize,
        /// What was given.
        given: usize,
    },
}

/// Collects the pieces of a [`Template`] in their order.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    fields: Vec<usize>,
}

impl Builder {
    /// Fixed text, taken as it is.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        match self.pieces.last_mut() {
            Some(Piece::Text(range)) => range.end = self.text.len(),
            _ => self.pieces.push(Piece::Text(start..self.text.len())),
        }
        self
    }

    /// A hole for value number `id` (from 0, without gaps), of 1 to `max_width` bytes. The same
    /// `id` may occur again, such as a timestamp in a header and in the body.
    #[must_use]
    pub fn field(mut self, id: usize, max_width: usize) -> Self {
        if self.fields.len() <= id {
            self.fields.resize(id + 1, 0);
        }
        self.fields[id] = self.fields[id].max(max_width);
        self.pieces.push(Piece::Field(id));
        self
    }

    /// The body's length, three digits.
    #[must_use]
    pub fn content_length(mut self) -> Self {
        self.pieces.push(Piece::ContentLength);
        self
    }

    /// Here the body starts, and what is signed with it.
    #[must_use]
    pub fn body(mut self) -> Self {
        self.pieces.push(Piece::Body);
        self
    }

    /// Here ends what is signed; without this mark it is the end of the message.
    #[must_use]
    pub fn signed_end(mut self) -> Self {
        self.pieces.push(Piece::SignedEnd);
        self
    }

    /// A slot of exactly `width` bytes for the signature, in a header or in the body.
    #[must_use]
    pub fn signature(mut self, width: usize) -> Self {
        self.pieces.push(Piece::Signature(width));
        self
    }

    /// The finished template.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Layout`] and [`TemplateError::BodyTooLong`].
    pub fn build(self) -> Result<Template, TemplateError> {
        let Self { text, pieces, fields } = self;
        let place = |is: fn(&Piece) -> bool| {
            let mut places = pieces.iter().enumerate().filter(|(_, piece)| is(piece)).map(|(at, _)| at);
            let first = places.next();
            if places.next().is_some() {
                Err(TemplateError::Layout("a mark occurs twice"))
            } else {
                Ok(first)
            }
        };
        let length = place(|piece| matches!(piece, Piece::ContentLength))?;
        let body = place(|piece| matches!(piece, Piece::Body))?;
        let signed_end = place(|piece| matches!(piece, Piece::SignedEnd))?;
        let signature = place(|piece| matches!(piece, Piece::Signature(_)))?;
        if length.is_some() && length >= body {
            return Err(TemplateError::Layout("a length needs the mark of the body behind it"));
        }
        if signed_end.is_some() && signed_end < body {
            return Err(TemplateError::Layout("the signed part ends before the body starts"));
        }
        let signed = body.unwrap_or(0)..signed_end.unwrap_or(pieces.len());
        if signature.is_some_and(|at| signed.contains(&at)) {
            return Err(TemplateError::Layout("a signature can't cover itself"));
        }
        if fields.contains(&0) {
            return Err(TemplateError::Layout("a field has no width, or its number was left out"));
        }
        let widest = |pieces: &[Piece]| -> usize {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(range) => range.len(),
                    Piece::Field(id) => fields[*id],
                    Piece::ContentLength => LENGTH_WIDTH,
                    Piece::Body | Piece::SignedEnd => 0,
                    Piece::Signature(width) => *width,
                })
                .sum()
        };
        let body_max = widest(&pieces[body.unwrap_or(0)..]);
        if length.is_some() && body_max > BODY_MAX {
            return Err(TemplateError::BodyTooLong(body_max));
        }
        let max_len = widest(&pieces);
        Ok(Template { text, pieces, fields, max_len })
    }
}

impl Template {
    /// The longest rendering in bytes: what a buffer must have room for.
    #[must_use]
    pub const fn max_len(&self) -> usize {
        self.max_len
    }

    /// Appends the message with `values` in its fields. Offsets in the result count from the start
    /// of `out`.
    ///
    /// # Errors
    ///
    /// [`TemplateError`]; `out` is unchanged then.
    #[inline]
    pub fn render(&self, values: &[&[u8]], out: &mut impl Sink) -> Result<Rendered, TemplateError> {
        if values.len() != self.fields.len() {
            return Err(TemplateError::FieldCount { fields: self.fields.len(), given: values.len() });
        }
        for (id, (value, &width)) in values.iter().zip(&self.fields).enumerate() {
            if value.is_empty() {
                return Err(TemplateError::Empty(id));
            }
            if value.len() > width {
                return Err(TemplateError::Width { width, given: value.len() });
            }
        }
        if out.room() < self.max_len {
            return Err(TemplateError::Full(Full));
        }
        let start = out.len();
        let mut body = start;
        let mut signed_end = None;
        let mut signature = start..start;
        let mut length_at = None;
        for piece in &self.pieces {
            match piece {
                Piece::Text(range) => out.put(&self.text[range.clone()])?,
                Piece::Field(id) => out.put(values[*id])?,
                Piece::ContentLength => {
                    length_at = Some(out.len());
                    out.put(&[b'0'; LENGTH_WIDTH])?;
                }
                Piece::Body => body = out.len(),
                Piece::SignedEnd => signed_end = Some(out.len()),
                Piece::Signature(width) => {
                    let from = out.len();
                    put_zeros(out, *width)?;
                    signature = from..out.len();
                }
            }
        }
        let end = out.len();
        if let Some(at) = length_at {
            // `build` proved that the longest body fits three digits.
            let mut rest = end - body;
            for digit in out[at..at + LENGTH_WIDTH].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        Ok(Rendered { body, signed: body..signed_end.unwrap_or(end), signature })
    }
}

impl Rendered {
    /// Puts the signature into its slot.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Width`] if it is not exactly as long as the slot.
    #[inline]
    pub fn seal(&self, message: &mut [u8], signature: &[u8]) -> Result<(), TemplateError> {
        let wrong = TemplateError::Width { width: self.signature.len(), given: signature.len() };
        let slot = message.get_mut(self.signature.clone()).ok_or(wrong)?;
        if slot.len() != signature.len() {
            return Err(wrong);
        }
        slot.copy_from_slice(signature);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrayvec::ArrayVec;
    use proptest::prelude::*;

    const QTY: usize = 0;
    const PRICE: usize = 1;
    const STAMP: usize = 2;

    /// Form body, signature at its end.
    fn form() -> Template {
        Builder::default()
            .text("POST /api/v3/order HTTP/1.1\r\nHost: api.example\r\n")
            .text("Content-Length: ")
            .content_length()
            .text("\r\n\r\n")
            .body()
            .text("symbol=BTCUSDT&quantity=")
            .field(QTY, 20)
            .text("&price=")
            .field(PRICE, 20)
            .text("&timestamp=")
            .field(STAMP, 13)
            .signed_end()
            .text("&signature=")
            .signature(64)
            .build()
            .unwrap()
    }

    /// JSON body, signature and stamp in headers.
    fn json() -> Template {
        Builder::default()
            .text("POST /v5/order HTTP/1.1\r\nX-STAMP: ")
            .field(STAMP, 13)
            .text("\r\nX-SIGN: ")
            .signature(44)
            .text("\r\nContent-Length: ")
            .content_length()
            .text("\r\n\r\n")
            .body()
            .text("{\"qty\":\"")
            .field(QTY, 20)
            .text("\",\"price\":\"")
            .field(PRICE, 20)
            .text("\"}")
            .build()
            .unwrap()
    }

    #[test]
    fn lengths_below_a_hundred_are_padded_and_still_a_number() {
        let template = Builder::default().content_length().text("|").body().field(0, 5).build().unwrap();
        let mut out = ArrayVec::<u8, 1024>::new();
        template.render(&[b"12345"], &mut out).unwrap();
        assert_eq!(out.as_slice(), b"005|12345");
        assert_eq!("005".parse(), Ok(5));
    }

    #[test]
    fn a_second_message_is_appended_and_its_offsets_count_from_the_start() {
        let mut out = b"first".to_vec();
        let rendered = form().render(&[b"1", b"2", b"3"], &mut out).unwrap();
        assert!(out[rendered.body..].starts_with(b"symbol="));
        assert_eq!(&out[rendered.signature.clone()], &[b'0'; 64]);
        rendered.seal(&mut out, &[b'f'; 64]).unwrap();
        assert!(out.ends_with(&[b'f'; 64]) && out.starts_with(b"firstPOST"));
    }

    #[test]
    fn without_marks_all_of_it_is_body_and_signed() {
        let template = Builder::default().text("{\"q\":").field(0, 9).text("}").build().unwrap();
        let mut out = Vec::new();
        let rendered = template.render(&[b"7"], &mut out).unwrap();
        assert_eq!(rendered, Rendered { body: 0, signed: 0..7, signature: 0..0 });
        assert_eq!(template.max_len(), 15);
    }

    #[test]
    fn what_does_not_fit_leaves_the_buffer_as_it_was() {
        let template = form();
        let mut out = ArrayVec::<u8, 1024>::new();
        for (values, error) in [
            (&[&b"1"[..], b"2"][..], TemplateError::FieldCount { fields: 3, given: 2 }),
            (&[b"1", b"", b"3"], TemplateError::Empty(PRICE)),
            (&[b"1", b"2", b"12345678901234"], TemplateError::Width { width: 13, given: 14 }),
        ] {
            assert_eq!(template.render(values, &mut out), Err(error));
        }
        let mut small = ArrayVec::<u8, 64>::new();
        assert_eq!(template.render(&[b"1", b"2", b"3"], &mut small), Err(TemplateError::Full(Full)));
        assert!(out.is_empty() && small.is_empty());
        let rendered = template.render(&[b"1", b"2", b"3"], &mut out).unwrap();
        assert_eq!(rendered.seal(&mut out, b"short"), Err(TemplateError::Width { width: 64, given: 5 }));
        assert_eq!(rendered.seal(&mut [], &[0; 64]), Err(TemplateError::Width { width: 64, given: 64 }));
    }

    #[test]
    fn a_template_that_makes_no_sense_is_not_built() {
        let new = Builder::default;
        for builder in [
            new().content_length().text("x"),
            new().body().content_length(),
            new().body().body(),
            new().signed_end().body(),
            new().body().signature(64),
            new().field(1, 5),
            new().field(0, 0),
        ] {
            assert!(matches!(builder.clone().build(), Err(TemplateError::Layout(_))), "{builder:?}");
        }
        let long = new().content_length().body().text(&"x".repeat(990)).field(0, 10).build();
        assert_eq!(long.unwrap_err(), TemplateError::BodyTooLong(1000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn rendering_agrees_with_format(qty in 1i64..1_000_000_000_000, price: u32, decimals in 0u8..=8, stamp in 0u64..10_000_000_000_000) {
            let (mut q, mut p, mut t) = (ArrayVec::<u8, 24>::new(), ArrayVec::<u8, 24>::new(), ArrayVec::<u8, 24>::new());
            write_decimal(&mut q, qty, decimals).unwrap();
            write_decimal(&mut p, i64::from(price), 2).unwrap();
            write_u64(&mut t, stamp).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

            let mut out = ArrayVec::<u8, 1024>::new();
            let rendered = form().render(&[&q, &p, &t], &mut out).unwrap();
            let signed = format!("symbol=BTCUSDT&quantity={}&price={}&timestamp={stamp}", text(&q), text(&p));
            prop_assert_eq!(text(&out[rendered.signed.clone()]), signed.clone());
            rendered.seal(&mut out, &[b'a'; 64]).unwrap();
            let body = format!("{signed}&signature={}", "a".repeat(64));
            let naive = format!(
                "POST /api/v3/order HTTP/1.1\r\nHost: api.example\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            prop_assert_eq!(text(&out), naive);
            prop_assert_eq!(text(&out[rendered.body..]), body);
            prop_assert!(out.len() <= form().max_len());

            out.clear();
            let rendered = json().render(&[&q, &p, &t], &mut out).unwrap();
            rendered.seal(&mut out, &[b'/'; 44]).unwrap();
            let body = format!("{{\"qty\":\"{}\",\"price\":\"{}\"}}", text(&q), text(&p));
            prop_assert_eq!(text(&out[rendered.signed]), body.clone());
            let naive = format!(
                "POST /v5/order HTTP/1.1\r\nX-STAMP: {stamp}\r\nX-SIGN: {}\r\nContent-Length: {:03}\r\n\r\n{body}",
                "/".repeat(44), body.len()
            );
            prop_assert_eq!(text(&out), naive);
        }
    }
}
