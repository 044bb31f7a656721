//! Binance orders as bytes: one template per instrument, side and reduce-only, filled in and signed.
//!
//! Owns:  the order's HTTP request, from the request line to the signature; and the same order as a request of the
//!        WebSocket API, which travels in a frame that is the pen's.
//! Never: allocates or hashes what is constant when an order is rendered, and never escapes: symbols
//!        that would need it are left out at load.
//! Wire:  binance.md §9, "LIMIT IOC, ready to copy", and §8: the body is signed as it is sent, in any
//!        order of parameters, the signature last. So what is constant comes first and is hashed once. On a socket
//!        the parameters are signed in the order of their names, and the JSON keeps that order; a key of Ed25519 logs
//!        on to the socket instead (§10), and its orders there carry neither key nor signature.

use super::account::KEY_HEADER;
use crate::event::Instrument;
use crate::metal::bugs::{Bug, planted};
use crate::units::{LegKind, Price, Qty, Side, Unix};
use crate::venue::sign::{ESCAPED, SIGNATURE, Secret, Signer, ed25519, escaped};
use crate::venue::{Key, KeyKind, OrderSpec, Orders};
use crate::wire::Full;
use crate::wire::template::{Builder, Rendered, Template, TemplateError, write_decimal};
use arrayvec::ArrayVec;
use ring::signature::Ed25519KeyPair;
use std::fmt;
use std::sync::Arc;

/// Widest number: 19 digits, a dot, and a zero before it where there are 18 decimals and more.
const NUMBER_MAX: usize = 21;

/// The longest payload that is signed beside its message: both texts are below 512 bytes.
const PAYLOAD_MAX: usize = 512;

/// Fields of the template, in the order they are rendered.
const CLIENT: usize = 0;
const QTY: usize = 1;
const PRICE: usize = 2;
const STAMP: usize = 3;

/// The order request of one instrument, for one host and key.
#[derive(Clone, Debug)]
pub struct OrderForm {
    orders: Orders,
    kind: KeyKind,
    price_decimals: u8,
    qty_decimals: u8,
    /// Buy, sell.
    plain: [Form; 2],
    /// Buy, sell, reduce-only; spot has none.
    reducing: Option<[Form; 2]>,
}

/// One side's request: its template, and how it is signed.
#[derive(Clone, Debug)]
struct Form {
    template: Template,
    signs: Signs,
}

/// How an order is signed.
#[derive(Clone)]
enum Signs {
    /// Its body by HMAC, of which the signer has seen so many bytes.
    Body(Signer, usize),
    /// A text of its own by HMAC, of which this is what the signer has not seen.
    Beside(Signer, Template),
    /// Its body by Ed25519, which takes it whole.
    Whole(Arc<Ed25519KeyPair>),
    /// Not at all: its socket is logged on.
    LoggedOn,
}

impl fmt::Debug for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signs(..)")
    }
}

/// An order that can't be rendered. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotFit {
    /// A quantity, limit or stamp that is zero or less.
    #[error("an order without a positive quantity, limit and stamp; whoever made it is wrong")]
    NotPositive,
    /// Spot positions can't be reduced by a flag.
    #[error("a reduce-only order on spot; it must be an ordinary sell")]
    ReduceOnly,
    /// The buffer is too small for the request.
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
        let form = |side, reduce| Form::request(row, host, key, window_ms, side, reduce);
        Self::of(row, (Orders::Rest, key.kind()), form)
    }

    /// As [`OrderForm::new`], as a request of the WebSocket API; with a key of Ed25519 for a socket that is logged on.
    ///
    /// # Panics
    ///
    /// As [`OrderForm::new`].
    #[must_use]
    pub fn on_socket(row: &Instrument, key: &Key, window_ms: u32) -> Self {
        Self::of(row, (Orders::Ws, key.kind()), |side, reduce| {
            Form::message(row, key, window_ms, side, reduce)
        })
    }

    fn of(row: &Instrument, (orders, kind): (Orders, KeyKind), form: impl Fn(Side, bool) -> Form) -> Self {
        assert!(
            row.symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "the listing leaves out symbols that a form would have to encode"
        );
        let sides = |reduce| [Side::Buy, Side::Sell].map(|side| form(side, reduce));
        Self {
            orders,
            kind,
            price_decimals: row.price_decimals,
            qty_decimals: row.qty_decimals,
            plain: sides(false),
            reducing: (row.leg == LegKind::Perp).then(|| sides(true)),
        }
    }

    /// What the request travels by.
    #[inline]
    #[must_use]
    pub const fn orders(&self) -> Orders {
        self.orders
    }

    /// What it was made for: what it travels by, and the kind of its key.
    #[must_use]
    pub const fn made_for(&self) -> (Orders, KeyKind) {
        (self.orders, self.kind)
    }

    /// Appends the whole request, signed; of one on a socket its text, without a frame. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; `out` is unchanged then.
    pub fn render(&self, spec: &OrderSpec, out: &mut ArrayVec<u8, 1024>) -> Result<(), DoesNotFit> {
        if spec.qty <= Qty::ZERO || spec.limit <= Price(0) || spec.stamp <= Unix(0) {
            return Err(DoesNotFit::NotPositive);
        }
        let forms = match (spec.reduce_only, &self.reducing) {
            (false, _) => &self.plain,
            (true, Some(reducing)) => reducing,
            (true, None) => return Err(DoesNotFit::ReduceOnly),
        };
        let form = &forms[spec.side as usize];
        let mut qty = ArrayVec::<u8, NUMBER_MAX>::new();
        write_decimal(&mut qty, spec.qty.0, self.qty_decimals)?;
        let mut price = ArrayVec::<u8, NUMBER_MAX>::new();
        let (limit, decimals) = match planted(Bug::OffTick) {
            true => (spec.limit.0 * 10 + 5, self.price_decimals + 1),
            false => (spec.limit.0, self.price_decimals),
        };
        write_decimal(&mut price, limit, decimals)?;
        let mut stamp = ArrayVec::<u8, NUMBER_MAX>::new();
        write_decimal(&mut stamp, spec.stamp.as_ms(), 0)?;
        let client = spec.client.digits();
        let values: [&[u8]; 4] = [&client, &qty, &price, &stamp];
        let start = out.len();
        let rendered = form.template.render(&values, out)?;
        form.sign(&values, &rendered, out).inspect_err(|_| out.truncate(start))?;
        Ok(())
    }
}

impl Form {
    /// Puts the signature into the request rendered in `out`.
    #[inline]
    fn sign(&self, values: &[&[u8]], rendered: &Rendered, out: &mut [u8]) -> Result<(), TemplateError> {
        let body = &out[rendered.signed.clone()];
        match &self.signs {
            Signs::Body(signer, seen) => {
                let signature = signer.finish(&body[*seen..]);
                rendered.seal(out, &signature)
            }
            Signs::Beside(signer, payload) => {
                let mut text = ArrayVec::<u8, PAYLOAD_MAX>::new();
                payload.render(values, &mut text)?;
                rendered.seal(out, &signer.finish(&text))
            }
            Signs::Whole(pair) => {
                let signature = escaped(&ed25519(pair, body));
                rendered.seal(out, &signature)
            }
            Signs::LoggedOn => Ok(()),
        }
    }

    fn request(row: &Instrument, host: &str, key: &Key, window_ms: u32, side: Side, reduce: bool) -> Self {
        let path = match row.leg {
            LegKind::Spot => "/api/v3/order",
            LegKind::Perp => "/fapi/v1/order",
        };
        let (answer, side, force) = (answer(row.leg), word(side), force());
        let reduce = if reduce { "&reduceOnly=true" } else { "" };
        let constant = format!(
            "symbol={}&side={side}&type=LIMIT&timeInForce={force}&newOrderRespType={answer}\
             &selfTradePreventionMode=EXPIRE_TAKER{reduce}&recvWindow={window_ms}&newClientOrderId=",
            row.symbol
        );
        let (signs, width) = match key.secret() {
            Secret::Hmac(key) => {
                (Signs::Body(Signer::new(key, constant.as_bytes()), constant.len()), SIGNATURE)
            }
            Secret::Ed25519(pair) => (Signs::Whole(Arc::clone(pair)), ESCAPED),
        };
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
            .signature(width)
            .build()
            .expect("one body, one length, one signature; a body of 24 symbol bytes is below 700");
        Self { template, signs }
    }

    /// The request's id is the order's own, so that the answer names it whatever else it says.
    fn message(row: &Instrument, key: &Key, window_ms: u32, side: Side, reduce: bool) -> Self {
        let (answer, side, force, symbol) = (answer(row.leg), word(side), force(), &row.symbol);
        let flag = if reduce { r#""reduceOnly":"true","# } else { "" };
        let shown = match key.kind() {
            KeyKind::Hmac => format!(r#""apiKey":{},"#, serde_json::Value::from(key.api())),
            KeyKind::Ed25519 => String::new(),
        };
        let message = Builder::default()
            .text(r#"{"id":""#)
            .field(CLIENT, crate::units::ClientId::DIGITS)
            .text(&format!(r#"","method":"order.place","params":{{{shown}"newClientOrderId":""#))
            .field(CLIENT, crate::units::ClientId::DIGITS)
            .text(&format!(r#"","newOrderRespType":"{answer}","price":""#))
            .field(PRICE, NUMBER_MAX)
            .text(r#"","quantity":""#)
            .field(QTY, NUMBER_MAX)
            .text(&format!(
                r#"","recvWindow":{window_ms},{flag}"selfTradePreventionMode":"EXPIRE_TAKER","side":"{side}","symbol":"{symbol}","timeInForce":"{force}","timestamp":"#
            ))
            .field(STAMP, NUMBER_MAX);
        let Secret::Hmac(secret) = key.secret() else {
            let template = message.text(r#","type":"LIMIT"}}"#).build().expect("fields and text");
            return Self { template, signs: Signs::LoggedOn };
        };
        let template = message
            .signed_end()
            .text(r#","type":"LIMIT","signature":""#)
            .signature(SIGNATURE)
            .text(r#""}}"#)
            .build()
            .expect("one signature, behind the mark");
        let flag = if reduce { "&reduceOnly=true" } else { "" };
        let payload = Builder::default()
            .field(CLIENT, crate::units::ClientId::DIGITS)
            .text(&format!("&newOrderRespType={answer}&price="))
            .field(PRICE, NUMBER_MAX)
            .text("&quantity=")
            .field(QTY, NUMBER_MAX)
            .text(&format!(
                "&recvWindow={window_ms}{flag}&selfTradePreventionMode=EXPIRE_TAKER&side={side}&symbol={symbol}\
                 &timeInForce={force}&timestamp="
            ))
            .field(STAMP, NUMBER_MAX)
            .text("&type=LIMIT")
            .build()
            .expect("fields and text");
        let begins = format!("apiKey={}&newClientOrderId=", key.api());
        Self { template, signs: Signs::Beside(Signer::new(secret, begins.as_bytes()), payload) }
    }
}

const fn answer(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "FULL",
        LegKind::Perp => "RESULT",
    }
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

fn force() -> &'static str {
    if planted(Bug::RestsInTheBook) { "GTC" } else { "IOC" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ClientId;
    use crate::venue::sample::instrument;

    const VECTORS: &str = include_str!("../../../tests/fixtures/binance/signing_vectors.json");

    fn vector(name: &str) -> serde_json::Value {
        let all: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        all.as_array().unwrap().iter().find(|v| v["name"] == name).unwrap().clone()
    }

    fn key(vector: &serde_json::Value) -> Key {
        let field = |name: &str| vector[name].as_str().unwrap().to_owned();
        Key::new(field("api_key"), field("secret_key"))
    }

    /// Name and value pairs, sorted.
    fn pairs(payload: &str) -> Vec<&str> {
        let mut pairs: Vec<&str> = payload.split('&').collect();
        pairs.sort_unstable();
        pairs
    }

    fn render(form: &OrderForm, spec: &OrderSpec) -> String {
        let mut out = ArrayVec::new();
        form.render(spec, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    /// The rendered request asks for what the page's row asks for, and is signed for its own order of
    /// parameters.
    #[track_caller]
    fn check(name: &str, row: &Instrument, spec: OrderSpec, request_line: &str) {
        let vector = vector(name);
        let key = key(&vector);
        let text = render(&OrderForm::new(row, "venue.example", &key, 1_000), &spec);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            head,
            format!(
                "{request_line}\r\nHost: venue.example\r\nX-MBX-APIKEY: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {:03}",
                key.api(),
                body.len()
            )
        );
        let (payload, signature) = body.rsplit_once("&signature=").unwrap();
        assert_eq!(pairs(payload), pairs(vector["payload"].as_str().unwrap()));
        assert_eq!(signature, key.sign(payload.as_bytes()).in_url());
        assert_eq!(
            key.sign(vector["payload"].as_str().unwrap().as_bytes()).in_url(),
            vector["signature"].as_str().unwrap(),
            "the page's own order of parameters signs as the page says"
        );
    }

    const STAMP: Unix = Unix(1_772_694_601_600_999_999);

    #[test]
    fn a_spot_order_is_the_pages_limit_ioc() {
        let spec = OrderSpec {
            client: ClientId(5_782_622_041_802_803_840),
            side: Side::Buy,
            qty: Qty(1_000_000),
            limit: Price(6_670_000),
            reduce_only: false,
            stamp: STAMP,
        };
        let row = instrument(LegKind::Spot, "BTCUSDT", 2, 8);
        check("spot_rest_hmac_limit_ioc_own_id", &row, spec, "POST /api/v3/order HTTP/1.1");
    }

    #[test]
    fn a_perp_order_is_the_pages_limit_ioc() {
        let spec = OrderSpec {
            client: ClientId(5_782_622_041_802_803_856),
            side: Side::Sell,
            qty: Qty(10),
            limit: Price(6_660_010),
            reduce_only: false,
            stamp: STAMP,
        };
        let row = instrument(LegKind::Perp, "BTCUSDT", 2, 3);
        check("futures_rest_hmac_limit_ioc_own_id", &row, spec, "POST /fapi/v1/order HTTP/1.1");

        let key = key(&vector("futures_rest_hmac_limit_ioc_own_id"));
        let form = OrderForm::new(&row, "h", &key, 250);
        let exit = render(&form, &OrderSpec { side: Side::Buy, reduce_only: true, ..spec });
        let body = exit.split_once("\r\n\r\n").unwrap().1;
        let (payload, signature) = body.rsplit_once("&signature=").unwrap();
        assert_eq!(
            payload,
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&newOrderRespType=RESULT\
             &selfTradePreventionMode=EXPIRE_TAKER&reduceOnly=true&recvWindow=250\
             &newClientOrderId=5782622041802803856&quantity=0.010&price=66600.10&timestamp=1772694601600"
        );
        assert_eq!(signature, key.sign(payload.as_bytes()).in_url());
    }

    /// On a socket: the page's own parameters, in its own order, with its own signature; and the JSON has each of them as
    /// the page writes it (§9, §10), under the order's id.
    #[test]
    fn an_order_on_a_socket_is_signed_as_the_page_signs_it() {
        let vector = vector("futures_wsapi_hmac_limit_ioc_own_id");
        let key = key(&vector);
        let spec = OrderSpec {
            client: ClientId(5_782_622_041_802_803_856),
            side: Side::Buy,
            qty: Qty(10),
            limit: Price(6_660_010),
            reduce_only: true,
            stamp: STAMP,
        };
        let form = OrderForm::on_socket(&instrument(LegKind::Perp, "BTCUSDT", 2, 3), &key, 1_000);
        assert_eq!(form.orders(), Orders::Ws);
        let text = render(&form, &spec);
        let expected = format!(
            r#"{{"id":"5782622041802803856","method":"order.place","params":{{"apiKey":"{}","newClientOrderId":"5782622041802803856","newOrderRespType":"RESULT","price":"66600.10","quantity":"0.010","recvWindow":1000,"reduceOnly":"true","selfTradePreventionMode":"EXPIRE_TAKER","side":"BUY","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":1772694601600,"type":"LIMIT","signature":"{}"}}}}"#,
            key.api(),
            vector["signature"].as_str().unwrap()
        );
        assert_eq!(text, expected);
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/binance/futures_wsapi_order_place_request.json"
        ))
        .unwrap();
        assert_eq!(message["method"], recorded["method"]);
        // Each parameter is of the kind that the recorded request has it in.
        for (name, value) in
            recorded["params"].as_object().unwrap().iter().filter(|(name, _)| *name != "positionSide")
        {
            assert_eq!(message["params"][name].is_string(), value.is_string(), "{name}");
        }

        let spot = OrderForm::on_socket(&instrument(LegKind::Spot, "BTCUSDT", 2, 8), &key, 1_000);
        let text = render(&spot, &OrderSpec { reduce_only: false, ..spec });
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        let params = message["params"].as_object().unwrap();
        let payload: Vec<String> = params
            .iter()
            .filter(|(name, _)| *name != "signature")
            .map(|(name, value)| {
                format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned))
            })
            .collect();
        assert!(payload.is_sorted() && payload.contains(&"newOrderRespType=FULL".to_owned()));
        assert_eq!(key.sign(payload.join("&").as_bytes()).in_json(), params["signature"].as_str().unwrap());
        let mut out = ArrayVec::new();
        assert_eq!(spot.render(&spec, &mut out), Err(DoesNotFit::ReduceOnly));
        assert!(out.is_empty());
    }

    /// With a key of Ed25519 the page's own order is signed as its vectors are, percent-encoded; on a socket it is the page's
    /// message after a logon, with neither key nor signature, and otherwise the one that HMAC signs.
    #[test]
    fn a_key_of_ed25519_signs_requests_and_leaves_messages_bare() {
        let vector = vector("spot_fix_logon_ed25519");
        let pem = vector["private_key_pem"].as_str().unwrap();
        let key = Key::read("public".to_owned(), pem.to_owned()).unwrap();
        let spec = OrderSpec {
            client: ClientId(5_782_622_041_802_803_840),
            side: Side::Buy,
            qty: Qty(1_000_000),
            limit: Price(6_670_000),
            reduce_only: false,
            stamp: STAMP,
        };
        let spot = instrument(LegKind::Spot, "BTCUSDT", 2, 8);
        let form = OrderForm::new(&spot, "venue.example", &key, 1_000);
        assert_eq!(form.made_for(), (Orders::Rest, KeyKind::Ed25519));
        let text = render(&form, &spec);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {:03}", body.len())), "{head}");
        let (payload, signature) = body.rsplit_once("&signature=").unwrap();
        assert!(payload.ends_with("&timestamp=1772694601600"));
        assert_eq!(signature, key.sign(payload.as_bytes()).in_url());

        // binance.md §9, "WS API after session.logon", but for the id, which is the order's own.
        let form = OrderForm::on_socket(&spot, &key, 1_000);
        assert_eq!(form.made_for(), (Orders::Ws, KeyKind::Ed25519));
        let page = r#"{"id":"7","method":"order.place","params":{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"IOC","quantity":"0.01000000","price":"66700.00","newClientOrderId":"5782622041802803840","newOrderRespType":"FULL","selfTradePreventionMode":"EXPIRE_TAKER","recvWindow":1000,"timestamp":1772694601600}}"#;
        let mut page: serde_json::Value = serde_json::from_str(page).unwrap();
        page["id"] = "5782622041802803840".into();
        let bare = render(&form, &spec);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&bare).unwrap(), page);

        let hmac = Key::new("k".repeat(64), "secret".to_owned());
        let perp = instrument(LegKind::Perp, "BTCUSDT", 2, 8);
        for (row, reduce_only) in [(&spot, false), (&perp, false), (&perp, true)] {
            let spec = OrderSpec { reduce_only, ..spec };
            let text = |key| -> serde_json::Value {
                serde_json::from_str(&render(&OrderForm::on_socket(row, key, 1_000), &spec)).unwrap()
            };
            let mut signed = text(&hmac);
            let params = signed["params"].as_object_mut().unwrap();
            assert!(params.remove("apiKey").is_some() && params.remove("signature").is_some());
            assert_eq!(text(&key), signed);
        }
        let longest = OrderForm::new(
            &instrument(LegKind::Perp, &"X".repeat(24), 18, 18),
            "h",
            &Key::nobody(KeyKind::Ed25519),
            u32::MAX,
        );
        let widest = OrderSpec {
            qty: Qty(i64::MAX),
            limit: Price(i64::MAX),
            stamp: Unix(i64::MAX),
            reduce_only: true,
            ..spec
        };
        assert!(render(&longest, &widest).contains("&quantity=9.223372036854775807&price=9.22"));
    }

    #[test]
    fn an_order_that_does_not_fit_leaves_the_buffer_as_it_was() {
        let key = Key::new("public".to_owned(), "secret".to_owned());
        let spec = OrderSpec {
            client: ClientId(5_782_622_041_802_803_840),
            side: Side::Buy,
            qty: Qty(1),
            limit: Price(1),
            reduce_only: false,
            stamp: STAMP,
        };
        let spot = OrderForm::new(&instrument(LegKind::Spot, "BTCUSDT", 2, 5), "h", &key, 1_000);
        let mut out = ArrayVec::new();
        let reducing = OrderSpec { reduce_only: true, ..spec };
        assert_eq!(spot.render(&reducing, &mut out), Err(DoesNotFit::ReduceOnly));
        for wrong in [
            OrderSpec { qty: Qty(0), ..spec },
            OrderSpec { qty: Qty(-1), ..spec },
            OrderSpec { limit: Price(0), ..spec },
            OrderSpec { stamp: Unix(0), ..spec },
        ] {
            assert_eq!(spot.render(&wrong, &mut out), Err(DoesNotFit::NotPositive));
        }
        assert!(out.is_empty());
        out.try_extend_from_slice(&[b'x'; 600]).unwrap();
        assert!(matches!(spot.render(&spec, &mut out), Err(DoesNotFit::Template(TemplateError::Full(_)))));
        assert_eq!(out.len(), 600);

        let longest =
            OrderForm::new(&instrument(LegKind::Perp, &"X".repeat(24), 18, 18), "h", &key, u32::MAX);
        let widest =
            OrderSpec { qty: Qty(i64::MAX), limit: Price(i64::MAX), stamp: Unix(i64::MAX), ..reducing };
        assert!(render(&longest, &widest).contains("&quantity=9.223372036854775807&price=9.22"));
        let key = Key::new("k".repeat(64), "secret".to_owned());
        let longest =
            OrderForm::on_socket(&instrument(LegKind::Perp, &"X".repeat(24), 18, 18), &key, u32::MAX);
        assert!(render(&longest, &widest).contains(r#""quantity":"9.223372036854775807""#));
    }

    #[test]
    #[should_panic(expected = "the listing leaves out")]
    fn a_symbol_that_needs_encoding_makes_no_form() {
        let key = Key::new("public".to_owned(), "secret".to_owned());
        let _ = OrderForm::new(&instrument(LegKind::Spot, "１２USDT", 2, 5), "h", &key, 1_000);
    }
}
