//! Binance orders as bytes: one template per instrument, side and reduce-only, filled in and signed.
//!
//! Owns:  the order's HTTP request, from the request line to the signature.
//! Never: allocates or hashes what is constant when an order is rendered, and never escapes: symbols
//!        that would need it are left out at load.
//! Wire:  binance.md §9, "LIMIT IOC, ready to copy", and §8: the body is signed as it is sent, in any
//!        order of parameters, the signature last. So what is constant comes first and is hashed once.

use super::account::KEY_HEADER;
use crate::event::Instrument;
use crate::units::{LegKind, Side};
use crate::venue::sign::{HEX, Signer};
use crate::venue::{Key, OrderSpec};
use crate::wire::Full;
use crate::wire::template::{Builder, Template, TemplateError, write_decimal};
use arrayvec::ArrayVec;

/// Widest number: 19 digits, a dot, and a zero before it where there are 18 decimals and more.
const NUMBER_MAX: usize = 21;

/// Fields of the template, in the order they are rendered.
const CLIENT: usize = 0;
const QTY: usize = 1;
const PRICE: usize = 2;
const STAMP: usize = 3;

/// The order request of one instrument, for one host and key.
#[derive(Clone, Debug)]
pub struct OrderForm {
    price_decimals: u8,
    qty_decimals: u8,
    /// Buy, sell.
    plain: [Form; 2],
    /// Buy, sell, reduce-only; spot has none.
    reducing: Option<[Form; 2]>,
}

/// One side's request: its template, and a signer that has the template's constant beginning behind it.
#[derive(Clone, Debug)]
struct Form {
    template: Template,
    signer: Signer,
    /// Bytes of the body that the signer has seen.
    constant: usize,
}

/// An order that can't be rendered. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotFit {
    /// Spot positions can't be reduced by a flag.
    #[error("a reduce-only order on spot; it must be an ordinary sell")]
    ReduceOnly,
    /// A number is negative or longer than its field, or the buffer too small for the request.
    #[error("the order does not fit its template: {0}")]
    Template(#[from] TemplateError),
}

impl From<Full> for DoesNotFit {
    fn from(full: Full) -> Self {
        Self::Template(full.into())
    }
}

impl OrderForm {
    /// Prepares an instrument's order request. `window_ms` is `recvWindow`.
    ///
    /// # Panics
    ///
    /// If the symbol would need percent-encoding: the listing leaves such symbols out.
    #[must_use]
    pub fn new(row: &Instrument, host: &str, key: &Key, window_ms: u32) -> Self {
        assert!(
            row.symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "the listing leaves out symbols that a form would have to encode"
        );
        let sides =
            |reduce| [Side::Buy, Side::Sell].map(|side| Form::new(row, host, key, window_ms, side, reduce));
        Self {
            price_decimals: row.price_decimals,
            qty_decimals: row.qty_decimals,
            plain: sides(false),
            reducing: (row.leg == LegKind::Perp).then(|| sides(true)),
        }
    }

    /// Appends the whole request, signed. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; `out` is unchanged then.
    pub fn render(&self, spec: &OrderSpec, out: &mut ArrayVec<u8, 1024>) -> Result<(), DoesNotFit> {
        let forms = match (spec.reduce_only, &self.reducing) {
            (false, _) => &self.plain,
            (true, Some(reducing)) => reducing,
            (true, None) => return Err(DoesNotFit::ReduceOnly),
        };
        let form = &forms[spec.side as usize];
        let mut qty = ArrayVec::<u8, NUMBER_MAX>::new();
        write_decimal(&mut qty, spec.qty.0, self.qty_decimals)?;
        let mut price = ArrayVec::<u8, NUMBER_MAX>::new();
        write_decimal(&mut price, spec.limit.0, self.price_decimals)?;
        let mut stamp = ArrayVec::<u8, NUMBER_MAX>::new();
        write_decimal(&mut stamp, spec.stamp.as_ms(), 0)?;
        let client = spec.client.digits();
        let start = out.len();
        let rendered = form.template.render(&[&client, &qty, &price, &stamp], out)?;
        let signature = form.signer.finish(&out[rendered.signed.start + form.constant..rendered.signed.end]);
        rendered.seal(out, &signature).inspect_err(|_| out.truncate(start))?;
        Ok(())
    }
}

impl Form {
    fn new(row: &Instrument, host: &str, key: &Key, window_ms: u32, side: Side, reduce: bool) -> Self {
        let (path, answer) = match row.leg {
            LegKind::Spot => ("/api/v3/order", "FULL"),
            LegKind::Perp => ("/fapi/v1/order", "RESULT"),
        };
        let side = match side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        };
        let reduce = if reduce { "&reduceOnly=true" } else { "" };
        let constant = format!(
            "symbol={}&side={side}&type=LIMIT&timeInForce=IOC&newOrderRespType={answer}\
             &selfTradePreventionMode=EXPIRE_TAKER{reduce}&recvWindow={window_ms}&newClientOrderId=",
            row.symbol
        );
        let template = Builder::default()
            .text(&format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\n{KEY_HEADER}: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ",
                key.api()
            ))
            .content_length()
            .text("\r\n\r\n")
            .body()
            .text(&constant)
            .field(CLIENT, crate::units::ClientId::DIGITS)
            .text("&quantity=")
            .field(QTY, NUMBER_MAX)
            .text("&price=")
            .field(PRICE, NUMBER_MAX)
            .text("&timestamp=")
            .field(STAMP, NUMBER_MAX)
            .signed_end()
            .text("&signature=")
            .signature(HEX)
            .build()
            .expect("one body, one length, one signature; a body of 24 symbol bytes is below 500");
        Self { template, signer: key.signer(constant.as_bytes()), constant: constant.len() }
    }
}
