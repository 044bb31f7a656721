//! The journal's bytes: written, read back, cut anywhere, flipped anywhere.
//!
//! Owns:  claims about the framing and about what outsiders read; one record of every kind, which the tests
//!        of what is built on the journal use as well.

use super::super::body::{OPEN_MAX, TEXT_MAX};
use super::*;
use crate::event::{
    Answer, Asset, Counted, Doubt, End, Fill, Fired, FiredLeg, Instrument, Instruments, Made, Pair,
    PairState, Payment, Refusal, RefusalKind, Source, Symbol, Verdict, WalletRow, Wire,
};
use crate::units::id::ClientIdParts;
use crate::units::{
    Amount, Class, ClientId, Direction, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate, Side,
    Unix, VenueId,
};
use proptest::prelude::*;
use std::sync::Arc;

fn instrument(id: u16, leg: LegKind, symbol: &str, price_decimals: u8, qty_decimals: u8) -> Instrument {
    Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        leg,
        symbol: Symbol::from(symbol).unwrap(),
        base: Asset::from("BTC").unwrap(),
        quote: Asset::from("USDT").unwrap(),
        price_decimals,
        qty_decimals,
        tick: Price(1),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty::MAX,
        notional_min: Amount::ZERO,
        reduce_only_exempt: true,
        price_range: (Price(1), Price::MAX),
        taker_fee: Rate::ZERO,
        band: None,
        buy_fee_in_base: true,
    }
}

/// BTC: spot with 2 and 5 decimals of price and quantity, perp with 1 and 3.
pub(in super::super) fn instruments() -> Arc<Instruments> {
    Arc::new(Instruments {
        generation: 1,
        instruments: vec![
            instrument(0, LegKind::Spot, "BTCUSDT", 2, 5),
            instrument(1, LegKind::Perp, "BTCUSDT", 1, 3),
        ],
        pairs: vec![Pair {
            id: PairId(0),
            name: Asset::from("BTC").unwrap(),
            spot: InstrumentId(0),
            perp: InstrumentId(1),
            price_factor: 1,
            size_factor: Amount(10i128.pow(18)),
        }],
        left_out: Vec::new(),
    })
}

pub(in super::super) const AT: Unix = Unix(1_772_694_601_600_123_456);

fn client(leg: LegKind) -> ClientId {
    ClientId::new(ClientIdParts { instance: 1, epoch: 7, sequence: 9, leg, attempt: 0 }).unwrap()
}

fn fill() -> Record {
    Record::Fill {
        at: AT,
        fill: Fill {
            client: client(LegKind::Spot),
            instrument: InstrumentId(0),
            order_id: 28,
            trade_id: 56,
            side: Side::Buy,
            price: Price(6_543_210),
            qty: Qty(765),
            fee: Amount::parse(b"0.00000765").unwrap(),
            fee_asset: Asset::from("BTC").unwrap(),
            at: AT,
            source: Source::Answer,
        },
        decided: Price(6_543_200),
        cause: None,
        instruments: instruments(),
    }
}

fn fired() -> Record {
    let leg = |kind, instrument, side, qty, limit| {
        Some(FiredLeg {
            client: client(kind),
            instrument: InstrumentId(instrument),
            side,
            qty: Qty(qty),
            limit: Price(limit),
            reduce_only: false,
            stamp: AT,
            handed: None,
            sent: Nanos(5),
            wire: Wire::All,
            made: Made::Prepared,
            link: LinkId(3),
        })
    };
    Record::Fired {
        at: AT,
        fired: Fired {
            sequence: 9,
            pair: PairId(0),
            class: Class::Entry,
            direction: Direction::Short,
            decision: 4711,
            turn: 123_456,
            slot: 0,
            quotes: [400_900_217, 9_000_001],
            prices: [Price(6_543_210), Price(654_440)],
            seen: Nanos(1),
            legs: [
                leg(LegKind::Perp, 1, Side::Sell, 7, 654_300),
                leg(LegKind::Spot, 0, Side::Buy, 765, 6_544_518),
            ],
            more: false,
            bind: crate::event::Bind::default(),
        },
        instruments: instruments(),
    }
}

fn answer(verdict: Verdict) -> Record {
    Record::Answer {
        at: AT,
        answer: Answer {
            client: client(LegKind::Spot),
            instrument: InstrumentId(0),
            received: Nanos(9),
            verdict,
            order_id: 28,
            counted: Counted { orders_10s: Some(4), ..Counted::default() },
            source: Source::Answer,
        },
        instruments: instruments(),
    }
}

/// What a run writes before its first order.
pub(in super::super) fn markets() -> Record {
    Record::Markets { at: AT, epoch: 7, recv_window_ms: 1_000, instruments: instruments() }
}

/// One of everything but a checkpoint, which comes from what these add up to.
pub(in super::super) fn all() -> Vec<Record> {
    let refusal = Refusal { code: -2010, kind: RefusalKind::Funds };
    let mut records = vec![
        Record::Start { at: AT, what: "demo \"quoted\" ünïcode \u{0}".to_owned() },
        Record::Epoch { at: AT, instance: 1, epoch: 7 },
        markets(),
        fired(),
        fill(),
    ];
    for verdict in [
        Verdict::Terminal { executed: Qty(765) },
        Verdict::Open { executed: Qty(0) },
        Verdict::Refused(refusal),
        Verdict::Duplicate,
        Verdict::NotFound,
        Verdict::Unknown(Doubt::Code(-1006)),
        Verdict::Unknown(Doubt::Status(503)),
        Verdict::Unknown(Doubt::Body),
        Verdict::Unknown(Doubt::LinkLost),
        Verdict::Unknown(Doubt::Silence),
    ] {
        records.push(answer(verdict));
    }
    for end in [End::Terminal(Qty(765)), End::Refused(refusal), End::NotSent, End::Unfilled, End::NeverLanded]
    {
        records.push(Record::OrderEnd { at: AT, client: client(LegKind::Perp), end });
    }
    records.push(Record::Pair {
        at: AT,
        name: Asset::from("BTC").unwrap(),
        state: PairState::Hedged,
        spot: Amount::parse(b"0.00764235").unwrap(),
        perp: Amount::parse(b"0.007").unwrap(),
        why: "both legs filled",
    });
    let amount = Amount::parse(b"0.5").unwrap();
    records.push(Record::Baseline {
        at: AT,
        held: vec![WalletRow {
            leg: LegKind::Spot,
            asset: "BTC".try_into().unwrap(),
            total: amount,
            opening: amount,
            as_of: AT,
        }],
        unexplained: vec!["x".repeat(2 * TEXT_MAX); OPEN_MAX + 3],
    });
    let asset = "USDT".try_into().unwrap();
    let payment = Payment { tran_id: 9, symbol: "BTCUSDT".to_owned(), amount: -amount, asset, at: AT };
    records.push(Record::Funding { at: AT, payment, earned: true });
    records.push(Record::Grant { at: AT, name: "BTC".try_into().unwrap(), qty: amount });
    let closing = [-123_456, i64::MAX];
    records.push(Record::Basis { at: AT, name: "BTC".try_into().unwrap(), hour: AT, closing });
    records.push(Record::FeePrice { at: AT, asset: "BNB".try_into().unwrap(), price: Price(61_234_567_891) });
    records.push(Record::Mode { at: AT, mode: "HALT", why: "F59".to_owned() });
    records.push(Record::Note { at: AT, text: "x".repeat(2 * TEXT_MAX) });
    records.push(Record::Stop { at: AT, open: vec!["BTC".to_owned(); OPEN_MAX + 3] });
    records
}

/// A whole journal, and where each record ends.
fn journal(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = file_header(1).to_vec();
    let mut ends = vec![bytes.len()];
    for record in records {
        encode(record, &mut bytes);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn text(record: &Record) -> String {
    body(record).1.to_string()
}

#[test]
fn every_kind_of_record_reads_back_as_it_was_written() {
    let records = all();
    let (bytes, _) = journal(&records);
    let mut reader = Reader::new(&bytes, 1);
    let mut kinds = Vec::new();
    for record in &records {
        let entry = reader.next().unwrap();
        let (kind, value) = body(record);
        assert_eq!((entry.kind, Value::Object(entry.body)), (kind, value));
        kinds.push(kind);
    }
    assert_eq!(reader.next(), None);
    assert_eq!((reader.flaw(), reader.good()), (None, bytes.len()));
    kinds.sort_unstable();
    kinds.dedup();
    let all: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Checkpoint).collect();
    assert_eq!(kinds, all);
}

#[test]
fn a_fill_says_exactly_what_outsiders_read() {
    assert_eq!(
        text(&fill()),
        "{\"at_us\":1772694601600123,\"market\":\"spot\",\"symbol\":\"BTCUSDT\",\"trade_id\":56,\
         \"order_id\":28,\"client_id\":\""
            .to_owned()
            + &client(LegKind::Spot).to_string()
            + "\",\"side\":\"buy\",\"price\":\"65432.10\",\"qty\":\"0.00765\",\"fee\":\"0.00000765\",\
               \"fee_asset\":\"BTC\",\"source\":\"answer\",\"decided\":\"65432.00\",\
               \"traded_us\":1772694601600123}"
    );
}

#[test]
fn a_send_round_says_exactly_what_outsiders_read() {
    let Value::Object(fired) = body(&fired()).1 else { panic!("no object") };
    let keys: Vec<&str> = fired.keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "at_us sequence pair class direction decision turn legs spot_u perp_u more spot_price perp_price"
    );
    let legs: Vec<&str> = fired["legs"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(legs.join(" "), "market symbol client_id side qty limit reduce_only stamp_ms wire made");
    assert_eq!(fired["legs"][0]["qty"], "0.007");
    assert_eq!(fired["legs"][1]["limit"], "65445.18");
    assert_eq!(fired["perp_price"], "65444.0");
}

#[test]
fn the_bytes_are_those_of_the_published_format() {
    let (bytes, _) = journal(&[Record::Note { at: Unix(2_000), text: "hi".to_owned() }]);
    let body = br#"{"at_us":2,"text":"hi"}"#;
    let mut expected = b"CTJ1\x02\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    expected.extend([body.len() as u8, 0, 0, 0, 1, 0, 10, 0]);
    let mut sum = b"\x01\0\x0a\0".to_vec();
    sum.extend_from_slice(body);
    expected.extend(crc32fast::hash(&sum).to_le_bytes());
    expected.extend_from_slice(body);
    assert_eq!(bytes, expected);
}

/// Reads damaged bytes: whatever comes out must be a prefix of what was written.
fn survivors(damaged: &[u8], records: &[Record]) -> (usize, usize, Option<Flaw>) {
    let mut reader = Reader::new(damaged, 1);
    let mut count = 0;
    for entry in reader.by_ref() {
        let (kind, value) = body(&records[count]);
        assert_eq!((entry.kind, Value::Object(entry.body)), (kind, value), "record {count}");
        count += 1;
    }
    assert!(reader.next().is_none(), "a reader that stopped stays stopped");
    (count, reader.good(), reader.flaw())
}

#[test]
fn every_cut_keeps_the_whole_records_before_it() {
    let records = all();
    let (bytes, ends) = journal(&records);
    // Inside the long texts of the last records one byte is like the next.
    let telling =
        |length: &usize| length.is_multiple_of(97) || ends.iter().any(|end| end.abs_diff(*length) < 600);
    for length in (0..bytes.len()).filter(telling) {
        let whole = ends.iter().filter(|&&end| end <= length).count();
        let (count, good, flaw) = survivors(&bytes[..length], &records);
        assert_eq!(count, whole.saturating_sub(1), "cut at {length}");
        let clean = ends.contains(&length);
        assert_eq!(good, if whole == 0 { 0 } else { ends[whole - 1] }, "cut at {length}");
        assert_eq!(flaw, if clean { None } else { Some(Flaw::Cut) }, "cut at {length}");
    }
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    let records = [fill(), Record::Epoch { at: AT, instance: 1, epoch: 7 }];
    let (bytes, ends) = journal(&records);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let before = ends.iter().filter(|&&end| end <= bit / 8).count().saturating_sub(1);
        let (count, _, flaw) = survivors(&damaged, &records);
        assert_eq!(count, before, "bit {bit}");
        assert!(flaw.is_some(), "bit {bit}");
    }
}

#[test]
fn a_record_of_which_a_part_is_zeros_is_an_unfinished_write() {
    let records = [fill(), fill()];
    let (bytes, ends) = journal(&records);
    for at in 1..bytes.len() {
        let mut torn = bytes.clone();
        torn[at..].fill(0);
        torn.resize(bytes.len() + 100, 0);
        let whole = ends.iter().filter(|&&end| end <= at).count();
        let good = if whole == 0 { 0 } else { ends[whole - 1] };
        // The zeros at the end of the header are its own.
        let good = if (9..FILE_HEADER).contains(&at) { FILE_HEADER } else { good };
        assert_eq!(survivors(&torn, &records), (whole.saturating_sub(1), good, Some(Flaw::Cut)), "{at}");
    }
}

#[test]
fn zeros_after_a_crash_are_an_unfinished_write() {
    let records = [fill()];
    let (mut bytes, ends) = journal(&records);
    bytes.resize(bytes.len() + 4096, 0);
    assert_eq!(survivors(&bytes, &records), (1, ends[1], Some(Flaw::Cut)));
    // The file had its length before its first bytes.
    bytes[..FILE_HEADER].fill(0);
    assert_eq!(survivors(&bytes, &[]), (0, 0, Some(Flaw::Cut)));
    assert_eq!(survivors(&[0; 7], &[]), (0, 0, Some(Flaw::Cut)));
}

#[test]
fn what_a_later_program_wrote_is_not_guessed_at() {
    let (mut bytes, ends) = journal(&[]);
    let body = b"{}";
    let kind = 99u16.to_le_bytes();
    bytes.extend([2, 0, 0, 0, 1, 0, kind[0], kind[1]]);
    bytes.extend(checksum([1, 0], kind, body).to_le_bytes());
    bytes.extend_from_slice(body);
    assert_eq!(survivors(&bytes, &[]), (0, ends[0], Some(Flaw::Kind)));
    let (mut bytes, ends) = journal(&[]);
    frame(Kind::Note, b"[1]", &mut bytes);
    assert_eq!(survivors(&bytes, &[]), (0, ends[0], Some(Flaw::Body)));
    let mut bytes = file_header(1);
    bytes[4] = 3;
    assert_eq!(survivors(&bytes, &[]), (0, 0, Some(Flaw::FileVersion)));
    assert_eq!(survivors(&file_header(2), &[]), (0, 0, Some(Flaw::Number)));
    assert_eq!(survivors(b"SQLite format 3\0", &[]), (0, 0, Some(Flaw::NoJournal)));
}

proptest! {
    #[test]
    fn no_damage_makes_a_wrong_record(
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..64),
        cut in any::<prop::sample::Index>(),
    ) {
        let records = all();
        let (mut bytes, _) = journal(&records);
        let at = at.index(bytes.len());
        let end = (at + junk.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&junk[..end - at]);
        bytes.truncate(cut.index(bytes.len() + 1));
        survivors(&bytes, &records);
    }

    #[test]
    fn any_bytes_at_all_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut file = file_header(1).to_vec();
        file.extend_from_slice(&bytes);
        let mut reader = Reader::new(&file, 1);
        prop_assert_eq!(reader.by_ref().count(), 0);
        let mut reader = Reader::new(&bytes, 1);
        prop_assert_eq!(reader.by_ref().count(), 0);
    }
}
