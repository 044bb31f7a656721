//! Latency histograms as files: `.hlog` for programs, `.hgrm` for the usual plotters.
//!
//! Owns:  the two forms, as the HdrHistogram tools read them.
//! Never: records, merges or trims anything; what was measured is what is written.
//! Wire:  `.hlog` is the HdrHistogram interval log, one tagged interval a stage; `.hgrm` the text
//!        of `outputPercentileDistribution`, five ticks to each half of the distance, values in ns.

use crate::units::Unix;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

/// A stage's name and what was measured, in ns.
pub type Stage<'a> = (&'a str, &'a Histogram<u64>);

/// Lines to each half of what is left of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// Writes `latency.hlog` and one `<stage>.hgrm` per stage that measured anything into `folder`,
/// and says which files those are. `started` and `lasted_ns` date the log's one interval.
///
/// # Errors
///
/// What the file system said.
pub fn export(
    folder: &Path,
    stages: &[Stage<'_>],
    started: Unix,
    lasted_ns: u64,
) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut files = vec![folder.join("latency.hlog")];
    fs::write(&files[0], hlog(stages, started, lasted_ns)?)?;
    for (name, histogram) in stages.iter().filter(|(_, histogram)| !histogram.is_empty()) {
        let file = folder.join(format!("{name}.hgrm"));
        fs::write(&file, hgrm(histogram))?;
        files.push(file);
    }
    Ok(files)
}

/// The interval log of all stages.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if a histogram does not serialize or a name is no tag.
pub fn hlog(stages: &[Stage<'_>], started: Unix, lasted_ns: u64) -> io::Result<Vec<u8>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let since_epoch = Duration::from_nanos(started.0.max(0) as u64);
    let mut out = Vec::new();
    let mut serializer = V2Serializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("contango latency, in ns, one tag a stage")
        .with_start_time(SystemTime::UNIX_EPOCH + since_epoch)
        .begin_log_with(&mut out, &mut serializer)?;
    for (name, histogram) in stages {
        let tag = Tag::new(name).ok_or_else(|| invalid(format!("`{name}` is no tag of a log")))?;
        log.write_histogram(histogram, since_epoch, Duration::from_nanos(lasted_ns), Some(tag))
            .map_err(|error| invalid(format!("{name}: {error}")))?;
    }
    Ok(out)
}

/// The percentile distribution of one stage.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let digits = usize::from(histogram.sigfig());
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let level = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64;
        // Writing to a String can't fail.
        let _ = if level < 1.0 {
            writeln!(out, "{value:12.digits$} {level:14.12} {total:10} {:14.2}", 1.0 / (1.0 - level))
        } else {
            writeln!(out, "{value:12.digits$} {level:14.12} {total:10}")
        };
    }
    // As many values of one power-of-two range as the digits need.
    let sub_buckets = (2 * 10u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    let _ = writeln!(
        out,
        "#[Mean    = {:12.digits$}, StdDeviation   = {:12.digits$}]\n\
         #[Max     = {:12.digits$}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        histogram.mean(),
        histogram.stdev(),
        histogram.max() as f64,
        histogram.len(),
        histogram.buckets(),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn measured() -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for ns in 1..=10_000u64 {
            histogram.record(ns * 7).unwrap();
        }
        histogram
    }

    #[test]
    fn a_log_reads_back_with_its_tags_and_counts() {
        let (full, empty) = (measured(), Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap());
        let log = hlog(
            &[("tick_to_wire", &full), ("ack_rtt", &empty)],
            Unix(1_772_694_601_500_000_000),
            10_000_000_000,
        )
        .unwrap();
        let text = String::from_utf8(log.clone()).unwrap();
        assert!(text.contains("#[StartTime: 1772694601.500 "), "{text}");
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = base64(interval.encoded_histogram());
                let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                seen.push((interval.tag().unwrap().as_str().to_owned(), back.len(), back.max()));
                assert_eq!(interval.duration(), Duration::from_secs(10));
            }
        }
        assert_eq!(seen, [("tick_to_wire".to_owned(), 10_000, full.max()), ("ack_rtt".to_owned(), 0, 0)]);
    }

    /// Plain base64, so that the test reads what any other program would.
    fn base64(text: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut held, mut out) = (0u32, 0, Vec::new());
        for byte in text.bytes().filter(|&byte| byte != b'=') {
            bits = bits << 6 | DIGITS.iter().position(|&digit| digit == byte).unwrap() as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        out
    }

    #[test]
    fn a_distribution_has_the_form_the_plotters_read() {
        let histogram = measured();
        let text = hgrm(&histogram);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        assert_eq!(lines[1], "");
        let rows: Vec<&&str> = lines[2..].iter().filter(|line| !line.starts_with('#')).collect();
        let mut before = (0, 0.0);
        for row in &rows {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let (level, total): (f64, u64) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
            assert!(total >= before.0 && level >= before.1, "{row}");
            before = (total, level);
        }
        assert_eq!(before, (10_000, 1.0), "the last row is the whole");
        assert_eq!(rows.last().unwrap().split_whitespace().count(), 3);
        assert!(lines.iter().any(|line| line.contains("Total count    =        10000]")), "{text}");
        assert!(text.ends_with("SubBuckets     =         2048]\n"), "{text}");
    }

    #[test]
    fn only_stages_that_measured_get_a_distribution() {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (measured(), Histogram::new_with_bounds(1, 1_000, 3).unwrap());
        let out = folder.path().join("out");
        let files = export(&out, &[("tick_to_wire", &full), ("ring", &empty)], Unix(0), 1).unwrap();
        assert_eq!(files, [out.join("latency.hlog"), out.join("tick_to_wire.hgrm")]);
        assert!(files.iter().all(|file| file.is_file()));
    }
}
