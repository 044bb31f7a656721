//! The course of the books: valued at the last price, ended by days, thinned without losing its ends.
//!
//! Owns:  claims about `money.rs`; the split itself is tested where it is made, in `desk/ledger.rs`.

use super::super::journal::encode;
use super::super::journal::tests::{AT, all, markets};
use super::*;
use crate::event::{Fill, Record};
use crate::units::{InstrumentId, Qty, Side};

/// The perp's fill of `all`, at another time and price.
fn fill(n: u64, leg: LegKind, side: Side, price: i64, qty: i64, at: Unix) -> Record {
    let sample = all().into_iter().find(|record| matches!(record, Record::Fill { .. })).unwrap();
    let Record::Fill { fill, cause, instruments, .. } = sample else { panic!() };
    let fee_asset = Asset::from("USDT").unwrap();
    let fill = Fill {
        instrument: InstrumentId(leg as u16),
        trade_id: n,
        side,
        price: Price(price),
        qty: Qty(qty),
        fee: Amount::parse(b"0.25").unwrap(),
        fee_asset,
        at,
        ..fill
    };
    Record::Fill { at, fill, decided: Price(price), cause, instruments }
}

fn course(records: &[Record]) -> (Course, Recalled) {
    let (mut course, mut books) = (Course::default(), Recalled::default());
    for record in [&[markets()], records].concat() {
        let entry = encode(&record, &mut Vec::new());
        books.take(&entry).unwrap();
        course.take(&entry, &books);
    }
    (course, books)
}

fn amount(text: &str) -> Amount {
    Amount::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_is_open_is_valued_at_the_perps_last_price_and_what_is_closed_is_not() {
    let opened = [
        fill(1, LegKind::Spot, Side::Buy, 6_000_000, 1_000, AT),
        fill(2, LegKind::Perp, Side::Sell, 603_000, 10, AT),
    ];
    let (course, _) = course(&opened);
    // Bought at 60 000.00, worth 60 300.0; sold there. Two fees.
    let now = course.now();
    assert_eq!((now.revaluation, now.held, now.profit.fees), (amount("3"), amount("603"), amount("-0.5")));
    assert_eq!(now.total(), amount("2.5"));

    let closed = [
        fill(3, LegKind::Perp, Side::Buy, 601_000, 10, AT),
        fill(4, LegKind::Spot, Side::Sell, 6_010_000, 1_000, AT),
    ];
    let (course, books) = self::course(&[&opened[..], &closed].concat());
    let now = course.now();
    assert_eq!((now.revaluation, now.held), (Amount::ZERO, Amount::ZERO));
    // Perp 603 − 601, spot 601 − 600, four fees.
    assert_eq!((now.profit.basis, now.total()), (amount("3"), amount("2")));
    assert_eq!(now.profit, books.sums.profit);
}

#[test]
fn a_day_is_what_it_ended_with_and_its_parts_add_up() {
    let day = |n: i64, s: i64| Unix((AT.0 / DAY_NS + n) * DAY_NS + s * SEC as i64);
    let records: Vec<Record> = [day(0, 1), day(0, 86_399), day(1, 0), day(3, 5)]
        .into_iter()
        .zip(1..)
        .map(|(at, n)| fill(n, LegKind::Perp, Side::Sell, 600_000, 1, at))
        .collect();
    let (course, _) = course(&records);
    let days: Vec<(Unix, Amount)> = course.days().map(|(at, stand)| (at, stand.profit.fees)).collect();
    let expected = [(day(0, 0), "-0.5"), (day(1, 0), "-0.75"), (day(3, 0), "-1")];
    assert_eq!(days, expected.map(|(at, text)| (at, amount(text))));
    assert_eq!(course.moments().len(), 4);
}

#[test]
fn a_long_course_is_thinned_and_keeps_its_beginning_and_its_end() {
    let at = |n: u64| Unix(AT.0 + n as i64 * SEC as i64);
    let records: Vec<Record> =
        (1..=20_000).map(|n| fill(n, LegKind::Perp, Side::Sell, 600_000, 1, at(n))).collect();
    let (course, books) = course(&records);
    let moments = course.moments();
    assert!(moments.len() > MOMENTS_MAX / 4 && moments.len() <= MOMENTS_MAX, "{}", moments.len());
    let micros = |at: Unix| Unix(at.0 / 1_000 * 1_000);
    assert_eq!((moments[0].0, moments.last().unwrap().0), (micros(at(1)), micros(at(20_000))));
    assert_eq!(moments.last().unwrap().1.profit, books.sums.profit);
    assert!(moments.is_sorted_by_key(|(at, _)| *at));
}
