//! A quote decoded, from text and SBE, and an order written, by us and by the libraries known as the fastest, side by side.
//!
//! Owns:  the messages, the libraries' plain use, and the claim that all of them understand the same.
//! Never: favours us: the libraries borrow text from the message, keep their buffers, look up no symbol, and the copy
//!        that simd-json needs, since it unescapes in place, is made outside of what is measured. Prices and sizes are
//!        numbers in the end: units of ours, `f64` by the standard library of theirs; `text only` is without that.
//! Run:   `cargo bench --bench decode [-- ROUNDS]` (default 60 rounds of 256 messages each).
#![allow(clippy::unwrap_used)] // a bench may fail loudly

mod rounds;

use contango::agents::trader::pen::{ENTRY_COLLAR_PPM, Paper, Prepared, Wanted};
use contango::event::{Instruments, Made, Quote};
use contango::units::{Class, ClientId, InstrumentId, LegKind, LinkId, Nanos, Price, Qty, Side, Unix};
use contango::venue::binance::VENUE;
use contango::venue::{Heard, Key, Scratch, Symbols};
use ring::hmac;
use rounds::{Dice, median, paired, tell_ratio};
use serde::Deserialize;
use simd_json::prelude::*;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

/// Different messages, so that no branch predictor learns them by heart.
const MESSAGES: usize = 256;

#[derive(Clone, Copy)]
enum How {
    Ours,
    Sbe,
    SimdText,
    Simd,
    Sonic,
    Serde,
    OrderOurs,
    OrderPlain,
}

const VARIANTS: [(&str, How, LegKind); 13] = [
    ("perp quote, contango", How::Ours, LegKind::Perp),
    ("perp quote, simd-json", How::Simd, LegKind::Perp),
    ("perp quote, sonic-rs", How::Sonic, LegKind::Perp),
    ("perp quote, serde_json", How::Serde, LegKind::Perp),
    ("spot quote, contango", How::Ours, LegKind::Spot),
    ("spot quote, simd-json", How::Simd, LegKind::Spot),
    ("spot quote, sonic-rs", How::Sonic, LegKind::Spot),
    ("spot quote, serde_json", How::Serde, LegKind::Spot),
    ("signed order, contango", How::OrderOurs, LegKind::Perp),
    ("signed order, format! and ring", How::OrderPlain, LegKind::Perp),
    ("perp quote, simd-json, text only", How::SimdText, LegKind::Perp),
    ("spot quote, simd-json, text only", How::SimdText, LegKind::Spot),
    ("spot quote in SBE, contango", How::Sbe, LegKind::Spot),
];

/// A book ticker of either market.
#[derive(Deserialize)]
struct Ticker<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
}

impl Ticker<'_> {
    /// What is done with it is done with numbers.
    fn numbers(&self) -> (u64, [f64; 4]) {
        (self.u, [self.b, self.bid_qty, self.a, self.ask_qty].map(|text| text.parse().unwrap()))
    }
}

fn message(leg: LegKind, dice: &mut Dice) -> Vec<u8> {
    let (u, cents) = (11_331_904_350_110 + dice.below(1 << 30), 7_200_000 + dice.below(99_999));
    let (bid_qty, ask_qty) = (1 + dice.below(99_999), 1 + dice.below(99_999));
    let text = match leg {
        LegKind::Perp => format!(
            r#"{{"e":"bookTicker","u":{u},"s":"BTCUSDT","ps":"BTCUSDT","b":"{}.{}0","B":"{}.{:03}","a":"{}.{}0","A":"{}.{:03}","T":1787231293915,"E":1787231293915,"st":1}}"#,
            cents / 10,
            cents % 10,
            bid_qty / 1_000,
            bid_qty % 1_000,
            (cents + 1) / 10,
            (cents + 1) % 10,
            ask_qty / 1_000,
            ask_qty % 1_000,
        ),
        LegKind::Spot => format!(
            r#"{{"u":{u},"s":"BTCUSDT","b":"{}.{:02}000000","B":"{}.{:05}000","a":"{}.{:02}000000","A":"{}.{:05}000"}}"#,
            cents / 100,
            cents % 100,
            bid_qty / 100_000,
            bid_qty % 100_000,
            (cents + 1) / 100,
            (cents + 1) % 100,
            ask_qty / 100_000,
            ask_qty % 100_000,
        ),
    };
    text.into_bytes()
}

/// The spot quote of a text, as the venue packs it: eight decimals in all numbers, as its text has.
fn packed(text: &[u8]) -> Vec<u8> {
    let ticker: Ticker<'_> = serde_json::from_slice(text).unwrap();
    let mut out: Vec<u8> = [50u16, 10_001, 1, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    out.extend(1_789_478_303_557_123i64.to_le_bytes());
    out.extend(ticker.u.to_le_bytes());
    out.extend([-8i8, -8].map(|exponent| exponent.to_le_bytes()[0]));
    for number in [ticker.b, ticker.bid_qty, ticker.a, ticker.ask_qty] {
        let (_, decimals) = number.split_once('.').unwrap();
        assert_eq!(decimals.len(), 8);
        out.extend(number.replace('.', "").parse::<i64>().unwrap().to_le_bytes());
    }
    out.push(ticker.s.len() as u8);
    out.extend(ticker.s.bytes());
    out
}

struct Desk {
    messages: [Vec<Vec<u8>>; 2],
    /// Those of spot, in SBE.
    packed: Vec<Vec<u8>>,
    symbols: Symbols,
    scratch: Scratch,
    buffers: simd_json::Buffers,
    tape: Option<simd_json::Tape<'static>>,
    instruments: Instruments,
    form: contango::venue::OrderForm,
    order: Prepared,
    key: hmac::Key,
    text: String,
}

impl Desk {
    fn new(dice: &mut Dice) -> Self {
        let instruments = Instruments::one_pair("BTC".try_into().unwrap());
        let (api, secret) = ("k".repeat(64), "s".repeat(64));
        let row = instruments.get(InstrumentId(1));
        let messages: [Vec<_>; 2] =
            LegKind::BOTH.map(|leg| (0..MESSAGES).map(|_| message(leg, dice)).collect());
        Self {
            packed: messages[0].iter().map(|text| packed(text)).collect(),
            messages,
            symbols: Symbols::new(&instruments, VENUE.id),
            scratch: Scratch::new(),
            buffers: simd_json::Buffers::new(1_024),
            tape: Some(simd_json::Tape(Vec::with_capacity(64))),
            form: (VENUE.form)(row, "fapi.example", &Key::new(api, secret.clone()), 2_000),
            order: Prepared::blank(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            text: String::with_capacity(1_024),
            instruments,
        }
    }

    /// The mean time of a message, or of an order, in ns.
    fn measure(&mut self, how: How, leg: LegKind) -> f64 {
        // What may be destroyed is made anew; everybody reads warm bytes.
        let binary = matches!(how, How::Sbe);
        let mut copies = if binary { self.packed.clone() } else { self.messages[leg as usize].clone() };
        let begun = Instant::now();
        for (number, message) in copies.iter_mut().enumerate() {
            match how {
                How::Ours => _ = black_box(self.ours(leg, message)),
                How::Sbe => _ = black_box(self.unpacked(message)),
                How::SimdText => self.by_simd(message, |ticker| _ = black_box(ticker)),
                How::Simd => self.by_simd(message, |ticker| _ = black_box(ticker.numbers())),
                How::Sonic => {
                    _ = black_box(sonic_rs::from_slice::<Ticker<'_>>(message).unwrap().numbers());
                }
                How::Serde => {
                    _ = black_box(serde_json::from_slice::<Ticker<'_>>(message).unwrap().numbers());
                }
                How::OrderOurs => {
                    self.write(number);
                    black_box(self.order.bytes());
                }
                How::OrderPlain => {
                    self.format(number);
                    black_box(self.text.as_bytes());
                }
            }
        }
        begun.elapsed().as_nanos() as f64 / MESSAGES as f64
    }

    fn ours(&mut self, leg: LegKind, message: &[u8]) -> Heard {
        (VENUE.decode)(&mut self.scratch, &self.symbols, leg, message).unwrap()
    }

    fn unpacked(&self, message: &[u8]) -> Heard {
        (VENUE.binary.decode)(&self.symbols, LegKind::Spot, message).unwrap()
    }

    fn by_simd(&mut self, message: &mut [u8], take: impl FnOnce(&Ticker<'_>)) {
        let mut tape = self.tape.take().unwrap().reset();
        simd_json::fill_tape(message, &mut self.buffers, &mut tape).unwrap();
        let value = tape.as_value();
        let object = value.as_object().unwrap();
        let text = |key: &str| object.get(key).unwrap().into_string().unwrap();
        take(&Ticker {
            u: object.get("u").unwrap().as_u64().unwrap(),
            s: text("s"),
            b: text("b"),
            bid_qty: text("B"),
            a: text("a"),
            ask_qty: text("A"),
        });
        self.tape = Some(tape.reset());
    }

    fn write(&mut self, number: usize) {
        let wanted = Wanted {
            class: Class::Entry,
            client: ClientId(5_800_000_000_000_000_000 + number as u64),
            side: Side::Sell,
            qty: Qty(250),
            reduce_only: false,
            collar_ppm: ENTRY_COLLAR_PPM,
            edge: None,
        };
        let instrument = self.instruments.get(InstrumentId(1));
        let bid = Price(637_214 + (number % 7) as i64);
        let quote = Quote {
            instrument: InstrumentId(1),
            link: LinkId(1),
            sequence: 1,
            bid,
            bid_qty: Qty(1_000),
            ask: Price(bid.0 + 1),
            ask_qty: Qty(1_000),
            received: Nanos(1),
            stamp: None,
        };
        let stamp = Unix(1_700_000_000_000_000_000 + number as i64 * 1_000_000);
        let paper = Paper { form: &self.form, instrument, stamp, mask: None };
        assert!(self.order.write(&paper, &quote, &wanted, Nanos(1), Made::Signed));
    }

    /// The same order, as one writes it first: into a buffer that is kept, at least.
    fn format(&mut self, number: usize) {
        let (client, stamp) = (5_800_000_000_000_000_000 + number as u64, 1_700_000_000_000 + number as u64);
        let limit = self.order.spec.limit.0;
        let body = format!(
            "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=IOC&newOrderRespType=RESULT\
             &selfTradePreventionMode=EXPIRE_TAKER&recvWindow=2000&newClientOrderId={client}&quantity=0.250\
             &price={:.1}&timestamp={stamp}",
            limit as f64 / 10.0
        );
        let tag = hmac::sign(&self.key, body.as_bytes());
        self.text.clear();
        write!(
            self.text,
            "POST /fapi/v1/order HTTP/1.1\r\nHost: fapi.example\r\nX-MBX-APIKEY: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}&signature=",
            "k".repeat(64),
            body.len() + 75
        )
        .unwrap();
        for byte in tag.as_ref() {
            write!(self.text, "{byte:02x}").unwrap();
        }
    }

    /// All of them read the same, and both write the same.
    fn check(&mut self) {
        for leg in LegKind::BOTH {
            for message in self.messages[leg as usize].clone() {
                let told = self.ours(leg, &message);
                let Heard::Quote { sequence, bid, ask_qty, fallback: false, .. } = told else {
                    panic!("{told:?}")
                };
                let row = self.instruments.get(InstrumentId(leg as u16));
                let (price_decimals, qty_decimals) = (row.price_decimals, row.qty_decimals);
                let units = |text: &str, decimals: u8| {
                    (text.parse::<f64>().unwrap() * 10f64.powi(decimals.into())).round() as i64
                };
                let same = |ticker: &Ticker<'_>| {
                    assert_eq!((ticker.u, ticker.s), (sequence, "BTCUSDT"));
                    assert_eq!(units(ticker.b, price_decimals), bid.0);
                    assert_eq!(units(ticker.ask_qty, qty_decimals), ask_qty.0);
                    assert!(!ticker.a.is_empty() && !ticker.bid_qty.is_empty());
                };
                same(&sonic_rs::from_slice(&message).unwrap());
                same(&serde_json::from_slice(&message).unwrap());
                self.by_simd(&mut message.clone(), same);
            }
        }
        for (text, packed) in self.messages[0].clone().iter().zip(self.packed.clone()) {
            let (Heard::Quote { stamp, .. }, mut of_text) =
                (self.unpacked(&packed), self.ours(LegKind::Spot, text))
            else {
                panic!("no quote")
            };
            if let Heard::Quote { stamp: none, .. } = &mut of_text {
                *none = stamp;
            }
            assert_eq!(self.unpacked(&packed), of_text, "the same but for the stamp, which text lacks");
        }
        self.write(3);
        self.format(3);
        assert_eq!(std::str::from_utf8(self.order.bytes()).unwrap(), self.text);
    }
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut desk = Desk::new(&mut dice);
    desk.check();
    let medians = paired(rounds, VARIANTS.len(), &mut dice, |at, _| {
        let (_, how, leg) = VARIANTS[at];
        // Of five: an interruption is no part of it.
        median(&mut (0..5).map(|_| desk.measure(how, leg)).collect::<Vec<_>>())
    });
    println!("{rounds} rounds of 5 x {MESSAGES}; median of the rounds' medians");
    for ((name, ..), medians) in VARIANTS.iter().zip(&medians) {
        println!("{name:<36} {:>7.1} ns", median(&mut medians.clone()));
    }
    println!("ratios within rounds, median and bootstrap interval of 95 %");
    for (above, below) in [(1, 0), (2, 0), (3, 0), (5, 4), (6, 4), (7, 4), (9, 8), (10, 0), (11, 4), (4, 12)]
    {
        tell_ratio((VARIANTS[above].0, &medians[above]), (VARIANTS[below].0, &medians[below]), &mut dice);
    }
}
