//! SBE frames: the page's own, frames that have grown, and frames that are none.
//!
//! Owns:  claims about one frame, and about what such a socket is asked for; many frames are `tests/twins.rs`'s.

use super::*;
use crate::units::decimal;
use crate::units::{BadDecimal, InstrumentId, VenueId};
use crate::venue::sample;
use proptest::prelude::*;

fn symbols() -> Symbols {
    let rows = [
        sample::instrument(LegKind::Spot, "BTCUSDT", 2, 5),
        sample::instrument(LegKind::Perp, "BTCUSDT", 1, 3),
        sample::instrument(LegKind::Spot, "PEPEUSDT", 8, 0),
    ];
    Symbols::new(&sample::instruments(rows.to_vec()), VenueId(0))
}

/// The bytes of a fixture, and what it says they mean.
fn fixture(name: &str) -> (Vec<u8>, serde_json::Value) {
    let all: serde_json::Value = serde_json::from_slice(&sample::fixture(name)).unwrap();
    let hex = all["hex"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(bytes.len() as u64, all["length"].as_u64().unwrap());
    (bytes, all["decoded"].clone())
}

fn best_bid_ask() -> Vec<u8> {
    fixture("spot_sbe_best_bid_ask.json").0
}

fn read(bytes: &[u8]) -> Result<Heard, Refused> {
    decode(&symbols(), LegKind::Spot, bytes)
}

fn put(bytes: &mut [u8], at: usize, value: i64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn the_pages_quote_is_read_as_the_page_says() {
    let (bytes, told) = fixture("spot_sbe_best_bid_ask.json");
    let number = |field: &str, scale| {
        decimal::parse(told[field].as_str().unwrap().as_bytes(), scale, i64::MAX).unwrap()
    };
    let expected = Heard::Quote {
        instrument: InstrumentId(0),
        sequence: told["bookUpdateId"].as_u64().unwrap(),
        bid: Price(number("bidPrice", 2)),
        bid_qty: Qty(number("bidQty", 5)),
        ask: Price(number("askPrice", 2)),
        ask_qty: Qty(number("askQty", 5)),
        stamp: Unix::from_us(told["eventTime_us"].as_i64().unwrap()),
        fallback: false,
    };
    assert_eq!(read(&bytes), Ok(expected));
    assert_eq!(decode(&symbols(), LegKind::Perp, &bytes), Ok(Heard::Unknown), "only spot has it");
}

#[test]
fn the_companion_is_good_for_its_stamp() {
    let (bytes, told) = fixture("spot_sbe_depth_snapshot.json");
    let stamp = Unix::from_us(told["eventTime_us"].as_i64().unwrap()).unwrap();
    assert_eq!(read(&bytes), Ok(Heard::Stamp(stamp)));
}

#[test]
fn a_block_that_has_grown_is_jumped_over_and_a_shorter_one_refused() {
    let old = best_bid_ask();
    let grown = [&old[..58], &[0xAA; 7][..], &old[58..], b"more to come"].concat();
    let with_length = |mut bytes: Vec<u8>, length: u16| {
        bytes[..2].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    assert_eq!(read(&with_length(grown.clone(), 57)), read(&old));
    for short in 0..50 {
        assert_eq!(read(&with_length(old.clone(), short)), Err(refused("blockLength", Why::Missing)));
    }
    assert_eq!(read(&with_length(old, u16::MAX)), Err(refused("blockLength", Why::Missing)));
}

#[test]
fn other_templates_are_passed_over_and_another_schema_is_refused() {
    for template in [0, 1, 9_999, 10_000, 10_003, 10_004, u16::MAX] {
        let mut bytes = best_bid_ask();
        bytes[2..4].copy_from_slice(&template.to_le_bytes());
        assert_eq!(read(&bytes), Ok(Heard::Unknown), "{template}");
    }
    for schema in [0u16, 2, 3, 257] {
        let mut bytes = best_bid_ask();
        bytes[4..6].copy_from_slice(&schema.to_le_bytes());
        assert_eq!(read(&bytes), Err(refused("schemaId", Why::Schema)));
    }
    let mut newer = best_bid_ask();
    newer[6] = 9;
    assert_eq!(read(&newer), read(&best_bid_ask()), "a version says nothing about what was there before");
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    let whole = best_bid_ask();
    for length in 0..whole.len() {
        let why = read(&whole[..length]).unwrap_err();
        assert_eq!(why.why, Why::Missing, "cut at {length}");
    }
}

#[test]
fn what_can_not_be_a_quote_names_its_field() {
    let cases: [(usize, i64, &str, Why); 8] = [
        (8, 0, "eventTime", Why::Stamp),
        (8, 1_789_478_303_557, "eventTime", Why::Stamp), // milliseconds
        (16, -1, "bookUpdateId", Why::Decimal(BadDecimal::Range)),
        (26, i64::MIN, "bidPrice", Why::Decimal(BadDecimal::Range)), // SBE's null
        (34, -1, "bidQty", Why::Decimal(BadDecimal::Range)),
        (42, i64::MAX, "askPrice", Why::Decimal(BadDecimal::Range)),
        (50, i64::MAX, "askQty", Why::Decimal(BadDecimal::Range)),
        (50, i64::MIN, "askQty", Why::Decimal(BadDecimal::Range)),
    ];
    for (at, value, field, why) in cases {
        let mut bytes = best_bid_ask();
        put(&mut bytes, at, value);
        assert_eq!(read(&bytes), Err(refused(field, why)), "{value} at {at}");
    }
    let mut finer = best_bid_ask();
    finer[24] = 0xFB; // 10^-5, where the instrument has 10^-2 and the last three digits are not zeros
    assert_eq!(read(&finer), Err(refused("bidPrice", Why::Decimal(BadDecimal::Precision))));
    let mut padded = best_bid_ask();
    padded[24] = 0xF8; // 10^-8, as text is padded
    for at in [26, 42] {
        let mantissa = word(padded[8..58].first_chunk::<50>().unwrap(), at - 8);
        put(&mut padded, at, mantissa * 1_000_000);
    }
    assert_eq!(read(&padded), read(&best_bid_ask()));
    let mut foreign = best_bid_ask();
    foreign[59] = b'X';
    assert_eq!(read(&foreign), Ok(Heard::Unknown));
}

/// A socket of JSON and one of SBE ask for the same instruments, on doors of their own; perps are text in both.
#[test]
fn spot_is_asked_for_in_binary_and_perps_as_ever() {
    let rows = ["ETHUSDT", "BTCUSDT"]
        .iter()
        .flat_map(|name| LegKind::BOTH.map(|leg| sample::instrument(leg, name, 2, 3)));
    let mut all = sample::instruments(rows.collect());
    all.pairs = vec![crate::event::Pair {
        id: PairId(0),
        name: "ETH".parse().unwrap(),
        spot: InstrumentId(0),
        perp: InstrumentId(1),
        price_factor: 1,
        size_factor: crate::units::Amount(10i128.pow(18)),
    }];
    let [binary, text] = [plans(&all, &[PairId(0)]), feed::plans(&all, &[PairId(0)])];
    assert_eq!((binary[0].endpoint, binary[0].path.as_str()), ("spot_sbe", "/stream"));
    assert_eq!(
        binary[0].subscribe,
        [r#"{"method":"SUBSCRIBE","params":["btcusdt@depth20","ethusdt@bestBidAsk"],"id":1}"#]
    );
    assert_eq!(binary.len(), text.len());
    for (binary, text) in binary.iter().zip(&text) {
        assert_eq!(binary.instruments, text.instruments);
        assert_eq!(binary.leg == LegKind::Perp, binary.subscribe == text.subscribe);
    }
    let key = crate::venue::Key::new("public".to_owned(), "secret".to_owned());
    assert_eq!((BINARY.headers)(&key), [("X-MBX-APIKEY", "public".to_owned())]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Nothing that can be sent panics; and no byte of a good frame is trusted more than it deserves.
    #[test]
    fn any_bytes_are_read_or_refused(
        noise in prop::collection::vec(any::<u8>(), 0..120), at in 0usize..66, byte: u8, cut in 0usize..80,
    ) {
        let symbols = symbols();
        let _ = decode(&symbols, LegKind::Spot, &noise);
        let mut nearly = best_bid_ask();
        nearly[at] = byte;
        nearly.truncate(cut);
        let _ = decode(&symbols, LegKind::Spot, &nearly);
        // With a good header before it, noise gets past the first checks.
        let behind = [&best_bid_ask()[..8], &noise[..]].concat();
        let _ = decode(&symbols, LegKind::Spot, &behind);
    }
}
