//! A journal of several files: gone on with, cut and damaged at every byte of a rotation, begun late.
//!
//! Owns:  claims about what a start finds, and that it never takes a wrong fact for a right one.

use super::super::journal::tests::{AT, all};
use super::super::journal::{FILE_HEADER, MAGIC};
use super::*;
use crate::units::Unix;

/// One of everything but what holds long texts.
fn short() -> Vec<Record> {
    let mut records = all();
    records.retain(|it| !matches!(it, Record::Baseline { .. } | Record::Note { .. } | Record::Stop { .. }));
    records
}

fn note(n: u64) -> Record {
    Record::Note { at: Unix(AT.0 + n as i64 * 1_000), text: format!("note {n}") }
}

/// The bytes of records behind a head.
fn bytes(head: &[u8], records: &[Record]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    records.iter().for_each(|record| drop(encode(record, &mut bytes)));
    bytes
}

/// What a start knows, without how much it read for that.
fn facts(recalled: &Recalled) -> Recalled {
    let mut facts = recalled.clone();
    facts.counts.clear();
    facts.next_segment();
    facts
}

/// All that these records tell.
fn told(records: &[Record]) -> Recalled {
    let mut recalled = Recalled::default();
    records.iter().for_each(|record| recalled.take(&encode(record, &mut Vec::new())).unwrap());
    recalled.forget();
    facts(&recalled)
}

/// Appends a record as a scribe does, and rotates before it if it must.
fn write(disk: &mut Disk, journal: &mut Journal, record: &Record) {
    if journal.is_full(disk) {
        journal.rotate(disk).unwrap();
    }
    let mut out = Vec::new();
    journal.encode(record, &mut out);
    disk.append(journal.file(), &out).unwrap();
}

#[test]
fn names_are_read_back_and_nothing_else_is() {
    for number in [1, 42, 999_999, 1_000_000, u32::MAX] {
        assert_eq!(number_of(7, &file_name(7, number)), Some(number));
        assert_eq!(number_of(6, &file_name(7, number)), None);
    }
    for other in ["journal-7.ctj", "journal-7-1.ctj", "journal-7-+00001.ctj", "journal-7-000001.ctj.cut-at-0"]
    {
        assert_eq!(number_of(7, other), None, "{other}");
    }
}

#[test]
fn a_journal_is_gone_on_with_behind_its_last_whole_record() {
    let records = short();
    let whole = bytes(&file_header(1), &records);
    let ends: Vec<usize> = (0..=records.len()).map(|n| bytes(&file_header(1), &records[..n]).len()).collect();
    for length in (0..whole.len()).step_by(7) {
        let mut disk = Disk::memory();
        disk.replace(&file_name(2, 1), &whole[..length]).unwrap();
        let opened = open(&mut disk, 2).unwrap();
        let count = ends.iter().filter(|&&end| end <= length).count().saturating_sub(1);
        let mut journal = opened.journal;
        assert_eq!(journal.recalled().records_read(), count as u64, "cut at {length}");
        let good = if length < FILE_HEADER { 0 } else { ends[count] };
        if let [cut] = &opened.cuts[..] {
            assert_eq!((cut.at, cut.bytes, cut.why), (good as u64, (length - good) as u64, Flaw::Cut));
            assert_eq!(disk.read_all(&cut.kept_as).unwrap().unwrap(), whole[good..length]);
        } else {
            assert_eq!(good, length, "cut at {length}");
        }
        write(&mut disk, &mut journal, &note(1));
        let mut expected = records[..count].to_vec();
        expected.push(note(1));
        let file = disk.read_all(&file_name(2, 1)).unwrap().unwrap();
        assert_eq!(file, bytes(&file_header(1), &expected));
    }
}

#[test]
fn damage_is_kept_aside_and_what_is_foreign_is_left_alone() {
    let whole = bytes(&file_header(1), &all()[..2]);
    let first = bytes(&file_header(1), &all()[..1]).len();
    let mut damaged = whole.clone();
    damaged[first - 1] ^= 1;
    let mut disk = Disk::memory();
    disk.replace(&file_name(0, 1), &damaged).unwrap();
    let opened = open(&mut disk, 0).unwrap();
    let cut = &opened.cuts[0];
    assert_eq!(
        (cut.why, cut.at, cut.name.as_str()),
        (Flaw::Checksum, FILE_HEADER as u64, "journal-0-000001.ctj")
    );
    assert_eq!(opened.journal.recalled(), &Recalled::default());
    assert_eq!(disk.read_all(&cut.kept_as).unwrap().unwrap(), damaged[FILE_HEADER..]);

    let mut later = whole.clone();
    later[4] = 9;
    let no_checkpoint = bytes(&file_header(2), &[note(1)]);
    let cases: [(u32, &[u8], Flaw); 4] = [
        (1, b"SQLite format 3\0 and more", Flaw::NoJournal),
        (1, &later, Flaw::FileVersion),
        (2, &whole, Flaw::Number),
        (2, &no_checkpoint, Flaw::Checkpoint),
    ];
    for (number, foreign, why) in cases {
        let mut disk = Disk::memory();
        disk.replace(&file_name(1, 1), &whole).unwrap();
        disk.replace(&file_name(1, number), foreign).unwrap();
        let error = open(&mut disk, 1).unwrap_err();
        let name = file_name(1, number);
        assert_eq!(error, JournalError::Foreign { name: name.clone(), at: 0, why });
        assert_eq!(disk.read_all(&name).unwrap().unwrap(), foreign);
    }
}

#[test]
fn what_has_no_beginning_is_not_gone_on_with() {
    let mut disk = Disk::memory();
    disk.replace("journal-3.ctj", b"CTJ1\x01\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    let error = open(&mut disk, 3).unwrap_err();
    assert!(matches!(&error, JournalError::Single { name } if name == "journal-3.ctj"), "{error}");
    assert!(error.to_string().contains("choose another data folder"), "{error}");
    assert!(open(&mut disk, 4).is_ok(), "another instance's is none of ours");

    let mut disk = Disk::memory();
    let torn = &head(5, &told(&all()))[..100];
    disk.replace(&file_name(0, 5), torn).unwrap();
    let error = open(&mut disk, 0).unwrap_err();
    assert_eq!(error, JournalError::NoStart { name: file_name(0, 5) });
    assert!(error.to_string().contains("restore"), "{error}");
}

/// Every length that a crash may leave of the next segment, and of zeros that a file system may leave in its place.
#[test]
fn a_rotation_torn_at_any_byte_loses_nothing() {
    let before = short();
    let first = bytes(&file_header(1), &before);
    let known = told(&before);
    let head = head(2, &known);
    let second = bytes(&head, &[note(1), note(2)]);
    let behind = |n: u64| {
        let notes: Vec<Record> = (1..=n).map(note).collect();
        told(&[&before[..], &notes].concat())
    };
    for length in 0..=second.len() {
        for zeros in [0, 1, 4_096] {
            let mut disk = Disk::memory();
            disk.replace(&file_name(0, 1), &first).unwrap();
            let left = [&second[..length], &vec![0; zeros]].concat();
            disk.replace(&file_name(0, 2), &left).unwrap();
            let Opened { journal, cuts } = open(&mut disk, 0).unwrap();
            let whole = length >= head.len();
            let notes =
                [1, 2].iter().filter(|n| bytes(&head, &[note(1), note(2)][..**n]).len() <= length).count();
            let mut found = facts(journal.recalled());
            found.forget();
            assert_eq!(found, behind(notes as u64), "{length} bytes, {zeros} zeros");
            let good = if whole { bytes(&head, &[note(1), note(2)][..notes]).len() } else { 0 };
            let moved: u64 = cuts.iter().map(|cut| cut.bytes).sum();
            assert_eq!(moved as usize, left.len() - good, "{length} bytes, {zeros} zeros");
            if let Some(cut) = cuts.first() {
                assert_eq!(disk.read_all(&cut.kept_as).unwrap().unwrap(), left[good..]);
            }
            // It goes on, and the next rotation finds its place.
            let mut journal = journal.with_segments_of(1);
            write(&mut disk, &mut journal, &note(7));
            write(&mut disk, &mut journal, &note(8));
            let again = open(&mut disk, 0).unwrap();
            assert_eq!((again.cuts, facts(again.journal.recalled())), (vec![], facts(journal.recalled())));
        }
    }
}

#[test]
fn no_damage_to_a_rotation_makes_a_wrong_fact() {
    let before = short();
    let first = bytes(&file_header(1), &before);
    let head = head(2, &told(&before));
    let second = bytes(&head, &[note(1)]);
    let (old, new) = (told(&before), told(&[&before[..], &[note(1)]].concat()));
    let (mut fell_back, mut refused) = (0, 0);
    for bit in 0..second.len() * 8 {
        let mut damaged = second.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut disk = Disk::memory();
        disk.replace(&file_name(0, 1), &first).unwrap();
        disk.replace(&file_name(0, 2), &damaged).unwrap();
        match open(&mut disk, 0) {
            Ok(opened) => {
                let found = facts(opened.journal.recalled());
                let mut found = found;
                found.forget();
                assert!(found == old, "bit {bit}: neither what the first segment says nor refused");
                assert_eq!(opened.cuts.len(), 1, "bit {bit}: it is told");
                fell_back += 1;
            }
            // Damage to a version or kind looks like another program's: a person looks.
            Err(JournalError::Foreign { name, .. }) => {
                assert_eq!(name, file_name(0, 2));
                refused += 1;
            }
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(fell_back > 8 * refused && refused > 0, "{fell_back} {refused}");
    assert_ne!(old, new);
    assert_eq!(MAGIC, second[..4]);
}

#[test]
fn a_long_journal_is_begun_with_its_last_segment() {
    let read_after = |records: u64| {
        let mut disk = Disk::memory();
        let mut journal = open(&mut disk, 0).unwrap().journal.with_segments_of(2_000);
        all().iter().for_each(|record| write(&mut disk, &mut journal, record));
        for n in 0..records {
            write(&mut disk, &mut journal, &note(n));
        }
        let segments = disk.names().unwrap().len();
        let again = open(&mut disk, 0).unwrap().journal;
        assert_eq!(facts(again.recalled()), facts(journal.recalled()));
        assert_eq!(
            again.recalled().last_at,
            Some(Unix((AT.0 + (records - 1) as i64 * 1_000) / 1_000 * 1_000))
        );
        (segments, again.recalled().records_read())
    };
    let (few, short) = read_after(200);
    let (many, long) = read_after(20_000);
    assert!(few >= 3 && many > 200, "{few} and {many} segments");
    assert!(short <= 100 && long <= 100, "{short} records read of 200, {long} of 20,000");
}
