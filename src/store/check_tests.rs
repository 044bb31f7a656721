//! Stores that are sound, cut, damaged, foreign, or say a thing twice.
//!
//! Owns:  claims about `check.rs`; the files are made by those that make them for an engine.

use super::super::journal::tests::{AT, all, instruments, markets};
use super::super::journal::{encode, file_header};
use super::super::segments::head;
use super::super::{epoch, latch};
use super::*;
use crate::event::{Fired, Mode, Record};
use crate::metal::disk::Disk;

/// An epoch file that was raised so often.
fn epoch_file(times: u32) -> Vec<u8> {
    let mut disk = Disk::memory();
    for _ in 0..times {
        epoch::raise(&mut disk, 1).unwrap();
    }
    disk.read_all(&epoch::file_name(1)).unwrap().unwrap()
}

fn latch_file(mode: Mode, why: &str) -> Vec<u8> {
    let mut text = b"contango latch 1\n".to_vec();
    latch::encode(mode, AT, why, &mut text);
    text
}

fn journal(records: &[Record]) -> Vec<u8> {
    let mut bytes = file_header(1).to_vec();
    records.iter().for_each(|record| drop(encode(record, &mut bytes)));
    bytes
}

/// Checked beside a sound epoch file (7) and latch file.
fn checked(journal: &[u8], running: bool) -> Checked {
    let (epoch, latch) = (epoch_file(7), latch_file(Mode::Trading, "nothing latched"));
    let journal = [(1, journal.to_vec())];
    check(&Files { journal: &journal, single: false, epoch: Some(&epoch), latch: Some(&latch) }, running)
}

fn names(checked: &Checked) -> Vec<&'static str> {
    checked.problems.iter().map(Problem::name).collect()
}

fn epoch_record(epoch: u32) -> Record {
    Record::Epoch { at: AT, instance: 1, epoch }
}

/// The send round and the fill of [`all`].
fn fired_and_fill() -> (Record, Record) {
    let all = all();
    let of = |kind: fn(&Record) -> bool| all.iter().find(|record| kind(record)).unwrap().clone();
    (of(|it| matches!(it, Record::Fired { .. })), of(|it| matches!(it, Record::Fill { .. })))
}

#[test]
fn a_sound_store_is_told_with_all_that_it_says() {
    let checked = checked(&journal(&all()), false);
    assert_eq!(checked.problems, []);
    assert_eq!((checked.records(), checked.cut), (all().len() as u64, None));
    assert_eq!((checked.epoch, &checked.latched), (Some(7), &None));
    assert_eq!(checked.first_at, checked.recalled.last_at, "all of it was written at one moment");
    let btc = HeldPair {
        state: Some("hedged".to_owned()),
        // 0.00765 bought, 0.00000765 of it paid as a fee.
        spot: Amount::parse(b"0.00764235").unwrap(),
        perp: Amount::ZERO,
    };
    assert_eq!(checked.pairs, BTreeMap::from([("BTC".to_owned(), btc)]));
    let compared = checked.compared.unwrap();
    assert_eq!((compared.at, compared.unexplained.len()), (checked.first_at, 32));
    assert_eq!(checked.recalled.orders.len(), 2);
}

#[test]
fn what_is_held_is_what_all_fills_add_up_to() {
    let (fired, fill) = fired_and_fill();
    let Record::Fill { fill: first, .. } = fill else { panic!() };
    let with = |leg: LegKind, trade_id, side, qty| {
        let instrument = crate::units::InstrumentId(leg as u16);
        let fee_asset = crate::event::Asset::from("BNB").unwrap();
        let (qty, at) = (crate::units::Qty(qty), AT);
        let fill = crate::event::Fill { instrument, trade_id, side, qty, fee_asset, ..first };
        Record::Fill { at, fill, decided: first.price, cause: None, instruments: instruments() }
    };
    use crate::units::Side::{Buy, Sell};
    let records = [
        markets(),
        fired,
        with(LegKind::Spot, 1, Buy, 800),
        with(LegKind::Perp, 1, Sell, 7),
        with(LegKind::Spot, 2, Sell, 300),
        with(LegKind::Perp, 2, Buy, 2),
    ];
    let held = &checked(&journal(&records), false).pairs["BTC"];
    assert_eq!((held.spot.to_string(), held.perp.to_string()), ("0.005".to_owned(), "-0.005".to_owned()));
    assert_eq!(held.state, None);
}

#[test]
fn a_journal_cut_anywhere_is_told_where() {
    // Without the records of long texts.
    let mut records = all();
    records.retain(|it| !matches!(it, Record::Baseline { .. } | Record::Note { .. } | Record::Stop { .. }));
    let bytes = journal(&records);
    let ends: Vec<usize> = (0..=records.len()).map(|n| journal(&records[..n]).len()).collect();
    for length in (0..bytes.len()).step_by(3).chain(ends.iter().copied()) {
        let found = checked(&bytes[..length], false);
        let at = ends.iter().rev().find(|end| **end <= length).copied().unwrap_or(0);
        let behind = (length - at) as u64;
        let cut = Problem::Unfinished(Cut { segment: 1, at: at as u64, bytes: behind, why: Flaw::Cut });
        let expected = if ends.contains(&length) { vec![] } else { vec![cut] };
        assert_eq!(found.problems, expected, "cut at {length}");
        // A write that is under way is no flaw, and seen all the same.
        let running = checked(&bytes[..length], true);
        assert_eq!((running.problems, running.cut.is_some()), (vec![], !ends.contains(&length)));
    }
}

#[test]
fn every_flipped_bit_of_a_journal_is_a_problem() {
    let bytes = journal(&all()[..4]);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = checked(&damaged, false);
        assert_eq!(found.problems.len(), 1, "bit {bit}: {:?}", found.problems);
        let cut = found.cut.unwrap();
        assert!(cut.at <= bit as u64 / 8 && cut.at + cut.bytes == bytes.len() as u64, "bit {bit}");
    }
}

#[test]
fn what_this_program_did_not_write_is_foreign() {
    assert_eq!(names(&checked(b"SQLite format 3\0 and more", false)), ["foreign"]);
    let mut later = journal(&all());
    later[4] = 3;
    assert_eq!(names(&checked(&later, true)), ["foreign"]);
    let mut damaged = journal(&all());
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(names(&checked(&damaged, true)), ["damage"], "also while its engine runs");
}

#[test]
fn a_sound_record_that_lacks_a_fact_is_named() {
    let mut bytes = journal(&all()[..2]);
    let body = br#"{"at_us":1,"client_id":"7"}"#;
    let mut sum = b"\x01\0\x06\0".to_vec();
    sum.extend_from_slice(body);
    bytes.extend([body.len() as u8, 0, 0, 0, 1, 0, 6, 0]);
    bytes.extend(crc32fast::hash(&sum).to_le_bytes());
    bytes.extend_from_slice(body);
    let found = checked(&bytes, false);
    assert_eq!(names(&found), ["record"]);
    let text = found.problems[0].to_string();
    assert!(text.contains("segment 1: record 3 ") && text.contains("client_id"), "{text}");
}

#[test]
fn what_must_not_come_twice_is_named_with_its_record() {
    let (fired, fill) = fired_and_fill();
    let records = [epoch_record(7), markets(), fired.clone(), fill.clone(), fired.clone(), fill.clone()];
    let found = checked(&journal(&records), false);
    assert_eq!(names(&found), ["fired_twice", "fired_twice", "booked_twice"], "both legs, one trade");
    assert!(found.problems[2].to_string().contains("record 6 of segment 1"), "{}", found.problems[2]);
    assert_eq!(found.pairs["BTC"].spot, Amount::parse(b"0.00764235").unwrap(), "added up once");
    // An order that recovery found and wrote down again was not fired again.
    let Record::Fired { at, fired: round, instruments } = fired.clone() else { panic!() };
    let found_again = Record::Fired { at, fired: Fired { quotes: [0; 2], ..round }, instruments };
    assert_eq!(names(&checked(&journal(&[markets(), fired, fill, found_again]), false)), [""; 0]);
}

#[test]
fn an_epoch_only_goes_up() {
    let of = |epochs: &[u32]| journal(&epochs.iter().map(|it| epoch_record(*it)).collect::<Vec<_>>());
    assert_eq!(names(&checked(&of(&[1, 2, 5, 7]), false)), [""; 0]);
    let found = checked(&of(&[4, 5, 5, 3, 6]), false);
    let back = |record, epoch| Problem::EpochBack { place: Place { segment: 1, record }, epoch, before: 5 };
    assert_eq!(found.problems, [back(3, 5), back(4, 3)]);
    let found = checked(&of(&[7, 9]), false);
    assert_eq!(found.problems, [Problem::EpochBehind { file: 7, journal: 9 }]);
    // Orders tell of an epoch whose own record is lost.
    let (fired, _) = fired_and_fill();
    let bytes = [(1, journal(&[fired]))];
    let (file, latch) = (epoch_file(6), latch_file(Mode::Trading, ""));
    let files = Files { journal: &bytes, single: false, epoch: Some(&file), latch: Some(&latch) };
    assert_eq!(check(&files, false).problems, [Problem::EpochBehind { file: 6, journal: 7 }]);
}

#[test]
fn the_other_two_files_are_looked_at_as_a_start_does() {
    let (bytes, file) = ([(1, journal(&all()))], epoch_file(7));
    let sound = latch_file(Mode::Killed, "lunch");
    let files = Files { journal: &bytes, single: false, epoch: Some(&file), latch: Some(&sound) };
    let found = check(&files, false);
    assert_eq!((found.problems, found.latched.unwrap().mode), (vec![], Mode::Killed));
    let (mut no_epoch, mut no_latch) = (file.clone(), sound.clone());
    no_epoch[18] ^= 1;
    no_latch[30] ^= 1;
    for (changed, expected) in [
        (Files { epoch: None, ..files }, "no_epoch"),
        (Files { epoch: Some(&no_epoch), ..files }, "epoch_damaged"),
        (Files { latch: None, ..files }, "no_latch"),
        (Files { latch: Some(&no_latch), ..files }, "latch_damaged"),
        (Files { journal: &[], ..files }, "no_journal"),
        (Files { single: true, ..files }, "single_file"),
    ] {
        assert_eq!(names(&check(&changed, false)), [expected]);
    }
}

/// A journal of so many segments, each with one of everything in it; epochs go up and no id comes twice.
fn segments(count: u32) -> Vec<(u32, Vec<u8>)> {
    let mut recalled = Recalled::default();
    let mut segments = Vec::new();
    for number in 1..=count {
        let mut bytes = if number == 1 { file_header(1).to_vec() } else { head(number, &recalled) };
        for record in all() {
            let record = match record {
                Record::Epoch { at, instance, .. } => Record::Epoch { at, instance, epoch: number },
                Record::Fired { at, fired, instruments } => {
                    let legs = fired.legs.map(|leg| {
                        leg.map(|leg| {
                            let parts = leg.client.parts().unwrap();
                            let parts = crate::units::id::ClientIdParts { sequence: 100 + number, ..parts };
                            crate::event::FiredLeg { client: ClientId::new(parts).unwrap(), ..leg }
                        })
                    });
                    Record::Fired { at, fired: Fired { legs, ..fired }, instruments }
                }
                Record::Fill { at, fill, decided, cause, instruments } => {
                    let fill = crate::event::Fill { trade_id: u64::from(number), ..fill };
                    Record::Fill { at, fill, decided, cause, instruments }
                }
                other => other,
            };
            recalled.take(&encode(&record, &mut bytes)).unwrap();
        }
        recalled.forget();
        segments.push((number, bytes));
    }
    segments
}

fn checked_all(journal: &[(u32, Vec<u8>)], running: bool) -> Checked {
    let (epoch, latch) = (epoch_file(7), latch_file(Mode::Trading, ""));
    check(&Files { journal, single: false, epoch: Some(&epoch), latch: Some(&latch) }, running)
}

#[test]
fn a_chain_of_segments_is_told_as_one_history() {
    let chain = segments(4);
    let found = checked_all(&chain, false);
    assert_eq!(names(&found), [""; 0], "{:?}", found.problems);
    let checkpoints = found.counts[&Kind::Checkpoint];
    assert_eq!(found.records() - checkpoints, 4 * all().len() as u64);
    assert_eq!((found.recalled.sums.fills, found.runs.len()), (4, 4));
    assert_eq!(found.pairs["BTC"].spot, Amount::parse(b"0.0305694").unwrap());
    // What a crash leaves of a rotation.
    let mut torn = chain.clone();
    torn.push((5, Vec::new()));
    assert_eq!(names(&checked_all(&torn, false)), [""; 0]);
    torn[4].1 = head(5, &forgetful(&found));
    let whole = torn[4].1.len();
    assert_eq!(names(&checked_all(&torn, false)), [""; 0], "a checkpoint with nothing behind it");
    for length in (1..whole).step_by(5) {
        torn[4].1.truncate(whole - length);
        let found = checked_all(&torn, false);
        assert_eq!((names(&found), found.cut.unwrap().segment), (vec!["unfinished_write"], 5));
        assert_eq!(names(&checked_all(&torn, true)), [""; 0], "it is being written");
    }
}

#[test]
fn a_segment_that_is_missing_cut_or_not_what_it_should_be_is_named() {
    let chain = segments(4);
    let gap = [chain[0].clone(), chain[2].clone(), chain[3].clone()];
    let found = checked_all(&gap, false);
    assert_eq!(found.problems, [Problem::Gap(2)]);
    assert_eq!(found.recalled.sums.fills, 4, "what is missing is in the checkpoint of the next");
    assert_eq!(checked_all(&chain[1..], false).problems, [Problem::Gap(1)]);

    let mut cut = chain.clone();
    let length = cut[1].1.len() - 3;
    cut[1].1.truncate(length);
    let found = checked_all(&cut, false);
    assert_eq!((names(&found), found.cut.unwrap().segment), (vec!["damage"], 2), "not the last one");
    assert_eq!(found.recalled.sums.fills, 4);

    let mut renamed = chain.clone();
    renamed[2].1 = chain[3].1.clone();
    assert_eq!(names(&checked_all(&renamed, false)), ["foreign"]);

    // A sound checkpoint of another journal.
    let mut other = Recalled::default();
    other.take(&encode(&markets(), &mut Vec::new())).unwrap();
    let body = chain[3].1[head_of(&chain, 3)..].to_vec();
    let mut swapped = chain;
    swapped[3].1 = [head(4, &other), body].concat();
    assert_eq!(names(&checked_all(&swapped, false)), ["checkpoint"]);
}

/// How long the head of a segment is.
fn head_of(chain: &[(u32, Vec<u8>)], at: usize) -> usize {
    head(chain[at].0, &forgetful(&checked_all(&chain[..at], false))).len()
}

/// What a rotation would write down.
fn forgetful(checked: &Checked) -> Recalled {
    let mut recalled = checked.recalled.clone();
    recalled.forget();
    recalled
}
