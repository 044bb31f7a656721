//! Funding and price history from CSV files, exactly as written.
//!
//! Owns:  the form of such a file, its numbers (an exponent is allowed here and nowhere else), and the check
//!        that its rows follow one another without a hole.
//! Never: fills a hole, rounds a number, or guesses an interval.
//! Wire:  `time_ms,spot_close,perp_close,funding_rate`: closes of the candle that opens at `time_ms` and
//!        lasts until the next row, and the rate that was settled at `time_ms`, per interval.

use crate::carry::backtest::Row;
use crate::carry::funding::{INTERVALS, full_minute};
use crate::carry::round_trip::DECIMALS;
use crate::units::time::SEC;
use crate::units::{BadDecimal, Price, Rate, Unix, decimal};
use std::path::{Path, PathBuf};

/// The first line of a file.
const HEAD: &str = "time_ms,spot_close,perp_close,funding_rate";

const HOUR_NS: i64 = 3_600 * SEC as i64;

/// One file's rows, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// The file's name without its folder and ending.
    pub name: String,
    /// The rows, each 1, 2, 4 or 8 h after the one before; two at least.
    pub rows: Vec<Row>,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistoryError {
    /// It can't be read.
    #[error("{path}: {why}; check the path given with --history")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A line of it can't be used.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// Reads one file.
///
/// # Errors
///
/// [`HistoryError`], with the line.
pub(super) fn read(path: &Path) -> Result<Series, HistoryError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| HistoryError::File { path: path.to_owned(), why: error.to_string() })?;
    let rows = parse(&text).map_err(|(line, why)| HistoryError::Line { path: path.to_owned(), line, why })?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Series { name, rows })
}

fn parse(text: &str) -> Result<Vec<Row>, (usize, String)> {
    let mut lines = text.lines().zip(1..);
    if lines.next().is_none_or(|(head, _)| head.trim_end() != HEAD) {
        return Err((1, format!("the first line must be {HEAD}")));
    }
    let mut rows: Vec<Row> = Vec::new();
    for (line, number) in lines {
        let row = row(line.trim_end()).map_err(|why| (number, why))?;
        if let Some(before) = rows.last() {
            let gap_ns = row.at.0 - before.at.0;
            if !INTERVALS.iter().any(|&hours| i64::from(hours) * HOUR_NS == gap_ns) {
                let why = "rows must be 1, 2, 4 or 8 h apart, oldest first; a hole would have to be filled with \
                           guesses, so cut the file there and run both parts";
                return Err((number, format!("{} follows {}, and {why}", row.at, before.at)));
            }
        }
        rows.push(row);
    }
    if rows.len() < 2 {
        return Err((rows.len() + 1, "two rows are the least to decide anything on".to_owned()));
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row, String> {
    let fields: Vec<&str> = line.split(',').collect();
    let [time, spot, perp, rate] = fields[..] else {
        return Err(format!("{} fields, not 4: {HEAD}", fields.len()));
    };
    let at = decimal::parse(time.as_bytes(), 0, i64::MAX)
        .ok()
        .and_then(Unix::from_ms)
        .map(full_minute)
        .ok_or_else(|| format!("time_ms `{time}` is no time in ms between 2015 and 2100"))?;
    let price = |text: &str, name: &str| {
        let value = exponential(text, DECIMALS).map_err(|bad| format!("{name} `{text}`: {bad}"))?;
        i64::try_from(value).ok().map(Price).filter(|price| price.0 > 0 && *price <= Price::MAX).ok_or_else(
            || format!("{name} `{text}` is no price from 0.00000001 to {}", Price::MAX.0 / 100_000_000),
        )
    };
    let settled = exponential(rate, Rate::SCALE)
        .and_then(|value| i64::try_from(value).map(Rate).map_err(|_| BadDecimal::Range))
        .map_err(|bad| format!("funding_rate `{rate}`: {bad}"))?;
    Ok(Row { at, spot: price(spot, "spot_close")?, perp: price(perp, "perp_close")?, rate: settled })
}

/// Signed decimal text, with an exponent or without: `-1.829e-05`.
fn exponential(text: &str, scale: u8) -> Result<i128, BadDecimal> {
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
        return decimal::parse_signed(text.as_bytes(), scale);
    };
    let exponent: i8 = exponent.parse().map_err(|_| BadDecimal::Form)?;
    // An exponent is a shift of the point: reading with that much more or less of a scale moves it.
    let shifted = i16::from(scale) + i16::from(exponent);
    match u8::try_from(shifted) {
        Ok(shifted @ 0..=38) => decimal::parse_signed(digits.as_bytes(), shifted),
        Ok(_) => Err(BadDecimal::Range),
        Err(_) => Err(BadDecimal::Precision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(rows: &str) -> Result<Vec<Row>, (usize, String)> {
        parse(&format!("{HEAD}\n{rows}"))
    }

    #[test]
    fn numbers_are_taken_as_written() {
        for (text, e18) in [
            ("0.0001", 100_000_000_000_000),
            ("-1.829e-05", -18_290_000_000_000),
            ("-2.36951933975e-05", -23_695_193_397_500),
            ("6.91E-06", 6_910_000_000_000),
            ("1e0", 1_000_000_000_000_000_000),
            ("0.5e1", 5_000_000_000_000_000_000),
        ] {
            assert_eq!(exponential(text, 18), Ok(e18), "{text}");
        }
        for text in ["1e-19", "1.5e-18", "e5", "1e", "1e+-5", "0x1", "1e40", "", "nan", "--1e-5", "1e999"] {
            assert!(exponential(text, 18).is_err(), "{text}");
        }
    }

    #[test]
    fn late_stamps_count_as_their_full_minute() {
        let rows = file("1672531200000,16526.19,16519.6,0.0001\n1672560000047,16558.73,16553.1,-6.91e-06\n")
            .unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].at.to_string(), "2023-01-01T08:00:00.000Z");
        assert_eq!((rows[1].spot, rows[1].perp), (Price(1_655_873_000_000), Price(1_655_310_000_000)));
        assert_eq!(rows[1].rate, Rate(-6_910_000_000_000));
        let changing = file("1672531200000,1,1,0\n1672534800000,1,1,0\n1672563600000,1,1,0\n").unwrap();
        assert_eq!(changing.len(), 3, "an interval may change");
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_line() {
        let refused = |rows: &str, line: usize, said: &str| {
            let (number, why) = file(rows).unwrap_err();
            assert!(number == line && why.contains(said), "{number}: {why}");
        };
        let one = "1672531200000,1,1,0\n";
        refused(&format!("{one}1672560000000,1,1\n"), 3, "3 fields");
        refused(&format!("{one}1672560000000,0,1,0\n"), 3, "spot_close `0`");
        refused(&format!("{one}1672560000000,1,-1,0\n"), 3, "perp_close");
        refused(&format!("{one}1672560000000,1,1,x\n"), 3, "funding_rate `x`");
        refused(&format!("{one}16725600,1,1,0\n"), 3, "time_ms");
        refused(&format!("{one}1672560000000,1,1,0\n1672617600000,1,1,0\n"), 4, "a hole");
        refused(&format!("{one}1672531200000,1,1,0\n"), 3, "1, 2, 4 or 8 h apart");
        refused(one, 2, "two rows");
        assert_eq!(parse("time,rate\n").unwrap_err().0, 1);
        assert_eq!(parse("").unwrap_err().0, 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(rows in "([0-9e,.-]|\n){0,80}") {
            let _ = file(&rows);
        }

        #[test]
        fn an_exponent_is_a_shift_of_the_point(digits in 0i64..10_000_000, exponent in -8i8..=0) {
            let plain = decimal::Text(i128::from(digits), exponent.unsigned_abs()).to_string();
            prop_assert_eq!(exponential(&format!("{digits}e{exponent}"), 8), exponential(&plain, 8));
        }
    }
}
