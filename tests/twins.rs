//! What the hot path reads and writes by tricks, against twins that do it slowly and plainly.
//!
//! Owns:  twins of both quote decoders (serde_json; fields kept from before they were packed; digits one by one) and of
//!        the order's templates (`format!`, the whole text signed at once), and a generator of what they are held
//!        against.
//! Never: takes a share of the engine's arithmetic into a twin.
//! Run:   a million cases each, always the same; `tools/long/twins.sh` runs ten million others.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use arrayvec::ArrayVec;
use contango::event::{Instrument, Instruments};
use contango::units::{ClientId, InstrumentId, LegKind, PairId, Price, Qty, Side, Unix, VenueId};
use contango::venue::binance::VENUE;
use contango::venue::{Heard, Key, KeyKind, OrderSpec, Scratch, Symbols};
use contango::wire::ws;
use std::fmt::Write as _;

/// The largest price and quantity that are taken, of the engine's own bound.
const MOST: u128 = Price::MAX.0 as u128;

/// How many cases, and which.
fn cases() -> (u64, Dice) {
    let told = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed: u64 = told("CONTANGO_TWINS_SEED").unwrap_or(1);
    (told("CONTANGO_TWINS").unwrap_or(1_000_000), Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
}

/// xorshift.
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    /// Of any size: as many bits as another throw says.
    fn any(&mut self, bits: u64) -> u64 {
        self.word() >> (64 - 1 - self.below(bits))
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn row(id: u16, leg: LegKind, symbol: &str, price_decimals: u8, qty_decimals: u8) -> Instrument {
    let pair = Instruments::one_pair("BTC".try_into().unwrap());
    let (id, symbol) = (InstrumentId(id), symbol.try_into().unwrap());
    Instrument { id, symbol, price_decimals, qty_decimals, ..pair.leg(PairId(0), leg).clone() }
}

fn rows() -> Vec<Instrument> {
    use LegKind::{Perp, Spot};
    let all = [
        (Spot, "BTCUSDT", 2, 5),
        (Perp, "BTCUSDT", 1, 3),
        (Spot, "PEPEUSDT", 8, 0),
        (Perp, "1000PEPEUSDT", 7, 0),
        (Spot, "X", 0, 8),
        (Perp, "LONGNAMEDCOINUSDT", 4, 2),
    ];
    all.iter().enumerate().map(|(n, (leg, symbol, p, q))| row(n as u16, *leg, symbol, *p, *q)).collect()
}

// ───────────────────────────── quotes ─────────────────────────────

/// A number as a venue may spell it, mostly; now and then as none would.
fn number(dice: &mut Dice, out: &mut String) {
    out.clear();
    let bits = [20, 40, 62, 64][dice.below(4) as usize];
    let _ = write!(out, "{}", dice.any(bits));
    if !dice.one_in(6) {
        out.push('.');
        for _ in 0..dice.below(11) {
            out.push((b'0' + dice.below(10) as u8 * u8::from(!dice.one_in(3))) as char);
        }
        // Venues fill up with zeros.
        (0..dice.below(6)).for_each(|_| out.push('0'));
    }
    if dice.one_in(40) {
        let at = dice.below(out.len() as u64 + 1) as usize;
        out.insert(at, ['0', '.', '-', 'e', ' ', '+', '٣'][dice.below(7) as usize]);
    }
}

/// Digits one by one: a whole part, and after a dot at least one more digit, zeros only beyond the scale.
fn read_slowly(text: &str, scale: u8) -> Option<i64> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    if whole.is_empty() || part == Some("") {
        return None;
    }
    let part = part.unwrap_or("");
    let mut value = 0u128;
    for n in 0..whole.chars().count() + part.chars().count().max(usize::from(scale)) {
        let digit = whole
            .chars()
            .chain(part.chars())
            .nth(n)
            .map_or(Some(0), |c| c.is_ascii_digit().then(|| c as u128 - 48))?;
        if n >= whole.chars().count() + usize::from(scale) {
            if digit != 0 {
                return None;
            }
            continue;
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (value <= MOST).then_some(value as i64)
}

/// What a quote's text says; `None`: it is to be refused.
fn quote_slowly(text: &str, row: &Instrument) -> Option<Heard> {
    let whole: serde_json::Value = serde_json::from_str(text).ok()?;
    let data = whole.get("data").unwrap_or(&whole);
    let read = |field: &str, scale| read_slowly(data[field].as_str()?, scale);
    let stamp = match row.leg {
        LegKind::Spot => None,
        LegKind::Perp => Some(Unix(i64::try_from(data["E"].as_u64()?).ok()?.checked_mul(1_000_000)?)),
    };
    Some(Heard::Quote {
        instrument: row.id,
        sequence: data["u"].as_u64()?,
        bid: Price(read("b", row.price_decimals)?),
        bid_qty: Qty(read("B", row.qty_decimals)?),
        ask: Price(read("a", row.price_decimals)?),
        ask_qty: Qty(read("A", row.qty_decimals)?),
        stamp,
        fallback: false,
    })
}

/// A quote in one of the layouts that venues have sent.
fn quote_text(dice: &mut Dice, row: &Instrument, texts: &mut [String; 4], out: &mut String) {
    texts.iter_mut().for_each(|text| number(dice, text));
    let [b, bb, a, aa] = texts;
    let (u, symbol) = (dice.any(63), &row.symbol);
    let stamp = 1_700_000_000_000 + dice.below(1 << 34);
    out.clear();
    let wrapped = dice.one_in(2);
    if wrapped {
        let _ = write!(out, r#"{{"stream":"{}@bookTicker","data":"#, symbol.to_ascii_lowercase());
    }
    let book = format!(r#""b":"{b}","B":"{bb}","a":"{a}","A":"{aa}""#);
    let _ = match (row.leg, dice.below(4)) {
        (LegKind::Spot, _) => write!(out, r#"{{"u":{u},"s":"{symbol}",{book}}}"#),
        (_, 0) => write!(
            out,
            r#"{{"e":"bookTicker","u":{u},"E":{stamp},"T":{stamp},"s":"{symbol}",{book},"st":1}}"#
        ),
        (_, 1) => write!(
            out,
            r#"{{"e":"bookTicker","u":{u},"s":"{symbol}","ps":"{symbol}",{book},"T":{u},"E":{stamp},"st":1}}"#
        ),
        _ => write!(out, r#"{{"e":"bookTicker","u":{u},"s":"{symbol}",{book},"T":{stamp},"E":{stamp}}}"#),
    };
    if wrapped {
        out.push('}');
    }
}

#[test]
fn quotes_are_read_as_a_slow_reader_reads_them() {
    let all = Instruments { generation: 1, instruments: rows(), ..Instruments::default() };
    let symbols = Symbols::new(&all, VenueId(0));
    let (mut scratch, (count, mut dice)) = (Scratch::default(), cases());
    let (mut texts, mut text) = (std::array::from_fn(|_| String::new()), String::new());
    let mut taken = 0;
    for _ in 0..count {
        let row = &all.instruments[dice.below(all.instruments.len() as u64) as usize];
        quote_text(&mut dice, row, &mut texts, &mut text);
        let slow = quote_slowly(&text, row);
        let fast = (VENUE.decode)(&mut scratch, &symbols, row.leg, text.as_bytes()).ok();
        assert_eq!(fast, slow, "{text}");
        taken += u64::from(fast.is_some());
    }
    assert!(
        taken > count / 100 && taken < count,
        "{taken} of {count} taken: too one-sided to prove anything"
    );
}

/// What is packed into an SBE quote.
struct Packed {
    time_us: i64,
    update_id: i64,
    exponents: [i8; 2],
    /// Bid, its quantity, ask, its quantity.
    mantissas: [i64; 4],
}

/// Mostly such numbers as a venue sends: some digits, padded with zeros; now and then of any size or sign.
fn mantissa(dice: &mut Dice) -> i64 {
    let bits = [10, 20, 40][dice.below(3) as usize];
    let digits = dice.any(bits) as i64;
    match dice.below(20) {
        0 => dice.word() as i64,
        1 => -digits,
        _ => digits.saturating_mul(10i64.pow(dice.below(11) as u32)),
    }
}

fn packed(dice: &mut Dice) -> Packed {
    let exponent =
        |dice: &mut Dice| if dice.one_in(20) { dice.word() as i8 } else { -(dice.below(11) as i8) };
    let odd = |dice: &mut Dice, usual: i64| if dice.one_in(30) { dice.word() as i64 } else { usual };
    let time_us = 1_700_000_000_000_000 + dice.below(1 << 44) as i64;
    let update_id = dice.any(63) as i64;
    Packed {
        time_us: odd(dice, time_us),
        update_id: odd(dice, update_id),
        exponents: [exponent(dice), exponent(dice)],
        mantissas: std::array::from_fn(|_| mantissa(dice)),
    }
}

/// The bytes, by the page: a block that may have grown, then the symbol, then what may have been added to it.
fn pack(dice: &mut Dice, quote: &Packed, symbol: &str, out: &mut Vec<u8>) {
    let more = if dice.one_in(4) { dice.below(300) as usize } else { 0 };
    out.clear();
    for word in [50 + more as u16, 10_001, 1, dice.below(3) as u16] {
        out.extend(word.to_le_bytes());
    }
    out.extend(quote.time_us.to_le_bytes());
    out.extend(quote.update_id.to_le_bytes());
    out.extend(quote.exponents.iter().flat_map(|exponent| exponent.to_le_bytes()));
    out.extend(quote.mantissas.iter().flat_map(|mantissa| mantissa.to_le_bytes()));
    out.extend((0..more).map(|_| dice.word() as u8));
    out.push(symbol.len() as u8);
    out.extend(symbol.bytes());
    if dice.one_in(4) {
        out.extend((0..dice.below(30)).map(|_| dice.word() as u8));
    }
}

/// A mantissa and its exponent, written out as a decimal and read digit by digit.
fn unpacked_slowly(mantissa: i64, exponent: i8, scale: u8, text: &mut String) -> Option<i64> {
    text.clear();
    let _ = write!(text, "{mantissa}");
    if exponent >= 0 {
        text.extend(std::iter::repeat_n('0', exponent as usize));
    } else {
        let places = usize::from(exponent.unsigned_abs());
        if text.len() <= places {
            text.insert_str(0, &"0".repeat(places + 1 - text.len()));
        }
        text.insert(text.len() - places, '.');
    }
    read_slowly(text, scale)
}

fn packed_slowly(quote: &Packed, row: &Instrument, text: &mut String) -> Option<Heard> {
    let [p, q] = quote.exponents;
    let mut read = |at: usize, exponent, scale| unpacked_slowly(quote.mantissas[at], exponent, scale, text);
    Some(Heard::Quote {
        instrument: row.id,
        sequence: u64::try_from(quote.update_id).ok()?,
        bid: Price(read(0, p, row.price_decimals)?),
        bid_qty: Qty(read(1, q, row.qty_decimals)?),
        ask: Price(read(2, p, row.price_decimals)?),
        ask_qty: Qty(read(3, q, row.qty_decimals)?),
        // 2015 to 2100, as text's.
        stamp: Some(Unix(
            (1_420_070_400_000_000..4_102_444_800_000_000)
                .contains(&quote.time_us)
                .then_some(quote.time_us)?
                * 1_000,
        )),
        fallback: false,
    })
}

#[test]
fn packed_quotes_are_read_as_a_slow_reader_reads_them() {
    let all = Instruments { generation: 1, instruments: rows(), ..Instruments::default() };
    let symbols = Symbols::new(&all, VenueId(0));
    let spot: Vec<_> = all.instruments.iter().filter(|row| row.leg == LegKind::Spot).collect();
    let ((count, mut dice), mut text, mut bytes) = (cases(), String::new(), Vec::new());
    let mut taken = 0;
    for _ in 0..count {
        let row = spot[dice.below(spot.len() as u64) as usize];
        let quote = packed(&mut dice);
        pack(&mut dice, &quote, &row.symbol, &mut bytes);
        let slow = packed_slowly(&quote, row, &mut text);
        let fast = (VENUE.binary.decode)(&symbols, LegKind::Spot, &bytes).ok();
        assert_eq!(fast, slow, "{:?} {:?}", quote.exponents, quote.mantissas);
        taken += u64::from(fast.is_some());
    }
    assert!(
        taken > count / 100 && taken < count,
        "{taken} of {count} taken: too one-sided to prove anything"
    );
}

// ───────────────────────────── orders ─────────────────────────────

/// An integer of so many decimals, digit by digit.
fn spelled(value: i64, decimals: u8) -> String {
    let digits = format!("{value:0width$}", width = usize::from(decimals) + 1);
    let (whole, part) = digits.split_at(digits.len() - usize::from(decimals));
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[test]
fn orders_are_written_as_a_slow_writer_writes_them() {
    let key = Key::new("k".repeat(64), "s".repeat(64));
    let (window, host) = (1_250, "venue.example");
    let forms: Vec<_> = rows().into_iter().map(|row| ((VENUE.form)(&row, host, &key, window), row)).collect();
    let (count, mut dice) = cases();
    let mut out = ArrayVec::<u8, 1024>::new();
    for _ in 0..count {
        let (form, row) = &forms[dice.below(forms.len() as u64) as usize];
        let spec = any_spec(&mut dice, row);
        out.clear();
        form.render(&spec, &mut out).unwrap();
        let (path, answer) = match row.leg {
            LegKind::Spot => ("/api/v3/order", "FULL"),
            LegKind::Perp => ("/fapi/v1/order", "RESULT"),
        };
        let payload = format!(
            "symbol={}&side={}&type=LIMIT&timeInForce=IOC&newOrderRespType={answer}&selfTradePreventionMode=EXPIRE_TAKER\
             {}&recvWindow={window}&newClientOrderId={}&quantity={}&price={}&timestamp={}",
            row.symbol,
            if spec.side == Side::Buy { "BUY" } else { "SELL" },
            if spec.reduce_only { "&reduceOnly=true" } else { "" },
            spec.client.0,
            spelled(spec.qty.0, row.qty_decimals),
            spelled(spec.limit.0, row.price_decimals),
            spec.stamp.0 / 1_000_000,
        );
        let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, "s".repeat(64).as_bytes());
        let mut body = payload.clone();
        body.push_str("&signature=");
        for byte in ring::hmac::sign(&hmac, payload.as_bytes()).as_ref() {
            let _ = write!(body, "{byte:02x}");
        }
        let expected = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-MBX-APIKEY: {}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {:03}\r\n\r\n{body}",
            "k".repeat(64),
            body.len()
        );
        assert_eq!(std::str::from_utf8(&out), Ok(expected.as_str()));
    }
}

/// Any order that this instrument may be asked for.
fn any_spec(dice: &mut Dice, row: &Instrument) -> OrderSpec {
    OrderSpec {
        client: ClientId(5_000_000_000_000_000_000 + dice.any(62)),
        side: if dice.one_in(2) { Side::Buy } else { Side::Sell },
        qty: Qty(1 + (dice.any(62) >> 1) as i64),
        limit: Price(1 + (dice.any(62) >> 1) as i64),
        reduce_only: row.leg == LegKind::Perp && dice.one_in(2),
        stamp: Unix(1_000_000 + (dice.any(62) >> 1) as i64),
    }
}

/// A frame with its mask, made of a map of parameters that sorts itself: signed as `k=v&…`, written as JSON, and taken
/// from under the mask byte by byte.
#[test]
fn orders_on_a_socket_are_written_as_a_slow_writer_writes_them() {
    let signs = Key::new("k".repeat(64), "s".repeat(64));
    let logs_on = Key::nobody(KeyKind::Ed25519);
    let window = 1_250;
    // Where the socket is logged on, the same without key and signature.
    let forms: Vec<_> = [(&signs, true), (&logs_on, false)]
        .into_iter()
        .flat_map(|(key, signed)| {
            rows().into_iter().map(move |row| ((VENUE.order_socket.form)(&row, key, window), row, signed))
        })
        .collect();
    let (count, mut dice) = cases();
    let mut out = ArrayVec::<u8, 1024>::new();
    for _ in 0..count {
        let (form, row, signed) = &forms[dice.below(forms.len() as u64) as usize];
        let spec = any_spec(&mut dice, row);
        let mask = (dice.word() as u32).to_le_bytes();
        out.clear();
        let start = ws::begin_text(&mut out).unwrap();
        form.render(&spec, &mut out).unwrap();
        ws::end_text(&mut out, start, mask).unwrap();

        let answer = if row.leg == LegKind::Spot { "FULL" } else { "RESULT" };
        let text = |text: &str| serde_json::Value::from(text);
        let mut params = std::collections::BTreeMap::from([
            ("symbol", text(&row.symbol)),
            ("side", text(if spec.side == Side::Buy { "BUY" } else { "SELL" })),
            ("type", text("LIMIT")),
            ("timeInForce", text("IOC")),
            ("newOrderRespType", text(answer)),
            ("selfTradePreventionMode", text("EXPIRE_TAKER")),
            ("recvWindow", window.into()),
            ("newClientOrderId", text(&spec.client.0.to_string())),
            ("quantity", text(&spelled(spec.qty.0, row.qty_decimals))),
            ("price", text(&spelled(spec.limit.0, row.price_decimals))),
            ("timestamp", (spec.stamp.0 / 1_000_000).into()),
        ]);
        if spec.reduce_only {
            params.insert("reduceOnly", text("true"));
        }
        if *signed {
            params.insert("apiKey", text(&"k".repeat(64)));
        }
        let plain = |value: &serde_json::Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let payload: Vec<_> = params.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let mut members: Vec<_> = params.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
        let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, "s".repeat(64).as_bytes());
        let mut signature = String::new();
        for byte in ring::hmac::sign(&hmac, payload.join("&").as_bytes()).as_ref() {
            let _ = write!(signature, "{byte:02x}");
        }
        if *signed {
            members.push(format!(r#""signature":"{signature}""#));
        }
        let expected = format!(
            r#"{{"id":"{}","method":"order.place","params":{{{}}}}}"#,
            spec.client.0,
            members.join(",")
        );
        let length = (expected.len() as u16).to_be_bytes();
        assert_eq!(out[..8], [&[0x81, 0xfe][..], &length, &mask].concat());
        let bare: Vec<u8> = out[8..].iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]).collect();
        assert_eq!(std::str::from_utf8(&bare), Ok(expected.as_str()));
    }
}
