//! Tables against the records they were made of.
//!
//! Owns:  claims about `projection.rs`: every kind has its rows, and the same journal makes the same file.

use super::super::journal::tests::{all, instruments};
use super::super::journal::{encode, file_header};
use super::*;
use crate::event::Record;
use crate::units::{Qty, Unix};
use rusqlite::types::Value as Cell;
use std::path::PathBuf;

/// The journal of these records as a file of tables.
fn made(folder: &Path, name: &str, records: &[Record]) -> PathBuf {
    let file = folder.join(name);
    let mut bytes = file_header(1).to_vec();
    records.iter().for_each(|record| drop(encode(record, &mut bytes)));
    let mut projection = Projection::create(&file).unwrap();
    let mut history = History::default();
    history.read(1, &bytes, true, |entry, books| projection.take(entry, books).unwrap()).unwrap();
    projection.finish(&history).unwrap();
    file
}

fn rows(file: &Path, sql: &str) -> Vec<Vec<Cell>> {
    let database = Connection::open(file).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

fn text(cell: &str) -> Cell {
    Cell::Text(cell.to_owned())
}

#[test]
fn every_kind_of_record_has_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = made(folder.path(), "one", &all());
    let count = |table: &str| rows(&file, &format!("SELECT COUNT(*) FROM {table}"))[0][0].clone();
    let expected = [
        ("runs", 1),
        ("orders", 2),
        ("fills", 1),
        ("funding", 1),
        ("pairs", 1),
        ("pair_states", 1),
        ("notes", 1),
        ("modes", 1),
        ("wallets", 1),
        ("grants", 1),
        ("bases", 1),
        ("fee_prices", 1),
        ("equity", 1),
        ("meta", 4),
    ];
    for (table, n) in expected {
        assert_eq!(count(table), Cell::Integer(n), "{table}");
    }
    assert_eq!(
        rows(&file, "SELECT price, qty, fee, fee_asset, decided, source, cause FROM fills")[0],
        [
            text("65432.10"),
            text("0.00765"),
            text("0.00000765"),
            text("BTC"),
            text("65432.00"),
            text("answer"),
            Cell::Null
        ]
    );
    // The last end that was told, as in the journal; the spot leg's is not known.
    assert_eq!(
        rows(&file, "SELECT market, qty, ended, evidence, order_id FROM orders ORDER BY market"),
        [
            vec![text("perp"), text("0.007"), text("never_landed"), text("C"), Cell::Null],
            vec![text("spot"), text("0.00765"), Cell::Null, Cell::Null, Cell::Integer(28)]
        ]
    );
    assert_eq!(
        rows(&file, "SELECT pair, state, spot, perp FROM pairs")[0],
        [text("BTC"), text("hedged"), text("0.00764235"), text("0")]
    );
    assert_eq!(
        rows(&file, "SELECT pair, short, long FROM bases")[0],
        [text("BTC"), text("-0.000123456"), text("9223372036.854775807")]
    );
    assert_eq!(rows(&file, "SELECT pair FROM grants")[0], [text("BTC")]);
    assert_eq!(rows(&file, "SELECT asset, price FROM fee_prices")[0], [text("BNB"), text("612.34567891")]);
    // Every part of the profit is a column.
    let day = &rows(&file, "SELECT total, funding, basis, fees, slippage, revaluation FROM equity")[0];
    let amounts: Vec<Amount> = day
        .iter()
        .map(|cell| match cell {
            Cell::Text(text) => Amount::parse(text.as_bytes()).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_ne!(amounts[1], Amount::ZERO);
    assert_eq!(amounts[0], amounts[1..].iter().fold(Amount::ZERO, |sum, part| sum + *part), "{amounts:?}");
    assert_eq!(
        rows(&file, "SELECT epoch, stopped_us IS NULL FROM runs")[0],
        [Cell::Integer(7), Cell::Integer(0)]
    );
}

#[test]
fn the_same_journal_makes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| std::fs::read(made(folder.path(), name, &all())).unwrap());
    assert!(one == two, "made twice, and not alike");
    assert!(Projection::create(&folder.path().join("one")).is_err(), "what is there is not written into");
}

#[test]
fn a_trade_or_an_order_that_is_told_twice_is_one_row() {
    let mut records = all();
    records.extend(all());
    let folder = tempfile::tempdir().unwrap();
    let file = made(folder.path(), "twice", &records);
    assert_eq!(rows(&file, "SELECT COUNT(*) FROM fills")[0][0], Cell::Integer(1));
    assert_eq!(rows(&file, "SELECT COUNT(*) FROM orders")[0][0], Cell::Integer(2));
}

#[test]
fn an_id_of_which_nothing_was_sent_is_the_order_that_is() {
    let sample = all().into_iter().find(|record| matches!(record, Record::Fired { .. })).unwrap();
    let Record::Fired { at, fired, .. } = sample else { panic!() };
    let round = |wire, qty, seconds: i64| {
        let mut fired = fired;
        fired.legs[1] = None;
        let leg = fired.legs[0].as_mut().unwrap();
        (leg.wire, leg.qty) = (wire, Qty(qty));
        Record::Fired { at: Unix(at.0 + seconds * 1_000_000_000), fired, instruments: instruments() }
    };
    use crate::event::Wire::{All, Nothing};
    let folder = tempfile::tempdir().unwrap();
    let file = made(folder.path(), "again", &[round(Nothing, 5, 0), round(All, 8, 1), round(All, 9, 2)]);
    assert_eq!(rows(&file, "SELECT wire, qty FROM orders"), [[text("all"), text("0.008")]]);
}
