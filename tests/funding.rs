//! Every window of every real funding series, and of series whose interval changes, as the engine sums it.
//!
//! Owns:  `target/tmp/funding/*.csv`; `tools/check_funding.py` recomputes each line with Python's
//!        `decimal` and compares to the digit. Here only what needs no second opinion is asserted.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use contango::carry::funding::{History, INTERVALS};
use contango::carry::signal::{Signal, Weekly};
use contango::units::{Direction, Rate, Ratio, Unix};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SERIES: &str = "../shared/data/funding";
const HOUR_MS: i64 = 3_600_000;

/// A row of a file: its stamp in ms, and the rate as text without an exponent.
type Row = (i64, String);

/// What a window's end needs to be checked: a row's stamp, its rate, whether the engine was told of it.
struct Due {
    stamp_ms: i64,
    rate: String,
    there: bool,
    /// Hours of the interval it ends.
    hours: u32,
}

/// `-1.829e-05` as `-0.00001829`: these files come from a spreadsheet, no venue writes so.
fn plain(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places: usize = exponent.strip_prefix('-').expect("only small rates have one").parse().unwrap();
    let zeros = "0".repeat(places - whole.len());
    format!("{sign}0.{zeros}{whole}{fraction}")
}

fn read(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let stamp = line.split(',').next().unwrap().parse().unwrap();
        (stamp, plain(line.rsplit(',').next().unwrap()))
    });
    rows.collect()
}

/// Sums at the end of each row's interval, in its middle and at its settlement; the windows' lines.
fn windows(schedule: &[Due], out: &mut String) -> usize {
    let mut history = History::default();
    let mut known = 0;
    let minute = |stamp: i64| (stamp + 30_000).div_euclid(60_000) * 60_000;
    for (at, due) in schedule.iter().enumerate() {
        if due.there {
            let rate =
                Rate::parse(due.rate.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", due.rate));
            assert!(history.add(Unix(due.stamp_ms * 1_000_000), rate));
        }
        let Some(next) = schedule.get(at + 1) else { break };
        let (from, to) = (minute(due.stamp_ms), minute(next.stamp_ms));
        for at_ms in [from, (from + to) / 2, to - 1] {
            // As by one who starts now: only the coming settlement and the present interval are told.
            let mut heard = history.clone();
            let now = Unix(at_ms * 1_000_000);
            heard.announce(now, Unix(next.stamp_ms * 1_000_000));
            heard.state(next.hours);
            let estimate = Rate::parse(next.rate.as_bytes()).unwrap();
            let carry = heard.carry(now, Some(estimate), 0).expect("an interval is stated");
            let sum = carry.sum_7d;
            let signal = Signal::new(&carry, Direction::Short);
            let bits =
                |ratio: Option<Ratio>| ratio.map_or(String::new(), |ratio| ratio.to_bits().to_string());
            writeln!(
                out,
                "{at_ms},{},{},{},{},{}",
                sum.map_or(String::new(), |sum| sum.0.to_string()),
                bits(signal.mean.and_then(|mean| mean.over(3_600))),
                bits(signal.mean.and_then(Weekly::apr)),
                carry.interval_hours,
                bits(signal.estimate.apr()),
            )
            .unwrap();
            known += usize::from(sum.is_some());
        }
        history.forget(Unix(from * 1_000_000));
    }
    known
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("funding");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const HEAD: &str = "at_ms,sum,mean_per_hour_bits,apr_7d_bits,interval_hours,apr_estimate_bits\n";

/// The recorded series, or nothing where they are not there; under CI they must be.
fn series() -> Vec<(String, Vec<Row>)> {
    let Ok(listed) = std::fs::read_dir(SERIES) else {
        assert!(std::env::var_os("CI").is_none(), "the funding series must be there under CI: {SERIES}");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), read(path))).collect()
}

#[test]
fn every_window_of_every_series_is_written_for_the_checker() {
    let folder = folder();
    for (name, rows) in series() {
        let schedule: Vec<Due> =
            rows.into_iter().map(|(stamp_ms, rate)| Due { stamp_ms, rate, there: true, hours: 8 }).collect();
        let mut out = HEAD.to_owned();
        let known = windows(&schedule, &mut out);
        // All but those of the first week.
        assert_eq!(known, (schedule.len() - 1 - 21) * 3, "{name}");
        std::fs::write(folder.join(format!("{name}.windows.csv")), out).unwrap();
    }
}

/// The same rates on a schedule whose interval changes, with stamps that jitter and rows that are missing.
#[test]
fn windows_across_changes_of_the_interval_are_written_for_the_checker() {
    let folder = folder();
    for (number, (name, rows)) in series().into_iter().enumerate() {
        let mut seed = 0x9e37_79b9_7f4a_7c15 ^ number as u64;
        let mut chance = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let begin = rows[0].0 / HOUR_MS;
        let mut schedule: Vec<Due> = Vec::new();
        let mut hour = begin;
        let mut at = 0;
        while at < rows.len() {
            let hours = INTERVALS[chance(4) as usize];
            for _ in 0..3 + chance(120) {
                let Some((_, rate)) = rows.get(at) else { break };
                let stamp_ms = hour * HOUR_MS + chance(48) as i64;
                schedule.push(Due { stamp_ms, rate: rate.clone(), there: true, hours });
                at += 1;
                hour = (hour / i64::from(hours) + 1) * i64::from(hours);
            }
        }
        // Beside a change nobody can tell a missing row from an earlier change; elsewhere they must be found.
        for i in 2..schedule.len() - 3 {
            if chance(300) == 0 && schedule[i - 2..i + 3].iter().all(|due| due.hours == schedule[i].hours) {
                schedule[i].there = false;
            }
        }
        let mut out = HEAD.to_owned();
        let known = windows(&schedule, &mut out);
        let missing = schedule.iter().filter(|due| !due.there).count();
        assert!(
            known > schedule.len() && missing > 0,
            "{name}: {known} windows known, {missing} rows missing"
        );
        let mut rows = "stamp_ms,rate,there,interval_hours\n".to_owned();
        for due in &schedule {
            writeln!(rows, "{},{},{},{}", due.stamp_ms, due.rate, u8::from(due.there), due.hours).unwrap();
        }
        std::fs::write(folder.join(format!("{name}.changed.csv")), rows).unwrap();
        std::fs::write(folder.join(format!("{name}.changed.windows.csv")), out).unwrap();
    }
}
