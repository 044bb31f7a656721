//! Recorded market frames, read from files into a [`Tape`] that the box can play.
//!
//! Owns:  the row format `{"t_ns","venue","market","kind","chan","raw"}`, one JSON object a line, plain or
//!        gzip (told by the first bytes, not by the name), and the merging of several files by receive stamp.
//! Never: changes `raw`: the box shifts event times when it plays, since only it knows when that begins.
//! Rule:  rows of kinds the box does not play (acknowledgements, what the recorder sent, account events, and
//!        marks, which the box makes itself) are skipped; all else that cannot be played is an error that
//!        names its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::sim::{Market, Tape, TapeFrame, TapeKind};

/// The longest line we read; the longest in the recordings at hand (a REST snapshot) has 60 KB.
const LINE_MAX_BYTES: u64 = 16 << 20;

/// Kinds that are skipped: no market data, or data that the box makes itself (marks, tickers).
const SKIPPED: [&str; 8] =
    ["ack", "client_sent", "http_response", "mark", "other", "ticker", "user", "ws_open"];

/// Why a tape could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The file ends in the middle of a line or of its gzip stream.
    #[error(
        "{path} is cut off in line {line}: {reason}; copy or record it again, or drop that line to play what is there"
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the reader saw.
        reason: String,
    },
    /// No file was named, or none holds a frame the box can play.
    #[error("the tape is empty: {0}; name recordings with book_ticker, depth or trade rows")]
    Empty(String),
    /// The file could not be read.
    #[error("{path} cannot be read: {error}; check its path and permissions")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A whole line cannot be played.
    #[error("{path}, line {line}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

/// Reads recordings and merges them by receive stamp (`t_ns`); rows of equal stamps keep the order of the
/// files and of their lines.
///
/// # Errors
///
/// [`TapeError`] with file and line. Nothing is played from a damaged recording: a tape that silently ends
/// early would look like a quiet market.
pub fn read_tape(paths: &[PathBuf]) -> Result<Tape, TapeError> {
    let mut frames = Vec::new();
    let mut names = Vec::new();
    for path in paths {
        read_file(path, &mut frames)?;
        names.push(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
    }
    let name = names.join("+");
    if frames.is_empty() {
        let what = if name.is_empty() { "no file was named".to_owned() } else { name };
        return Err(TapeError::Empty(what));
    }
    frames.sort_by_key(|frame| frame.t_ns);
    Ok(Tape { name, frames })
}

fn read_file(path: &Path, frames: &mut Vec<TapeFrame>) -> Result<(), TapeError> {
    let failed = |error| TapeError::File { path: path.to_owned(), error };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let zipped = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let source: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut lines = BufReader::new(source);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let cut = |reason: String| TapeError::Cut { path: path.to_owned(), line, reason };
        let bad = |reason: String| TapeError::Row { path: path.to_owned(), line, reason };
        match (&mut lines).take(LINE_MAX_BYTES).read_until(b'\n', &mut text) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(cut("the gzip stream has no end".to_owned()));
            }
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                return Err(cut(format!("the gzip stream is damaged ({error})")));
            }
            Err(error) => return Err(failed(error)),
        }
        let whole = text.last() == Some(&b'\n');
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row = match serde_json::from_slice::<Value>(&text) {
            Ok(row) => row,
            Err(error) if error.is_eof() && !whole => return Err(cut("the line has no end".to_owned())),
            Err(error) => {
                return Err(bad(format!(
                    "not a JSON object ({error}); a tape has one recorded message a line"
                )));
            }
        };
        frames.extend(frame(row).map_err(bad)?);
    }
    Ok(())
}

/// One row as a frame; `Ok(None)`: a kind that is skipped.
fn frame(mut row: Value) -> Result<Option<TapeFrame>, String> {
    let Some(fields) = row.as_object_mut() else {
        return Err("not a JSON object; a tape has one recorded message a line".to_owned());
    };
    let mut text = |name: &str| match fields.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("`{name}` is missing or no text; rows hold t_ns, venue, market, kind, chan, raw")),
    };
    let (venue, market, kind) = (text("venue")?, text("market")?, text("kind")?);
    let (stream, raw) = (text("chan")?, text("raw")?);
    if venue != "binance" {
        return Err(format!("the box plays binance tapes, not {venue:?}; leave this file out"));
    }
    let kind = match kind.as_str() {
        "book_ticker" => TapeKind::BookTicker,
        "depth" => TapeKind::Depth,
        "trade" => TapeKind::Trade,
        "snapshot" => TapeKind::Snapshot,
        kind if SKIPPED.contains(&kind) => return Ok(None),
        kind => return Err(format!("unknown kind {kind:?}; played are book_ticker, depth, snapshot, trade")),
    };
    let market = match market.as_str() {
        "spot" => Market::Spot,
        "usdm" => Market::Usdm,
        market => return Err(format!("unknown market {market:?}; write \"spot\" or \"usdm\" into the rows")),
    };
    let Some(t_ns) = fields.get("t_ns").and_then(Value::as_i64) else {
        return Err("`t_ns` is null or no integer: without its receive stamp a message cannot be played in \
                    time; give the row the stamp it was recorded with, or leave it out"
            .to_owned());
    };
    Ok(Some(TapeFrame { t_ns, market, kind, stream, raw }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const ROW: &str = r#"{"t_ns":5,"venue":"binance","market":"spot","kind":"book_ticker","chan":"btcusdt@bookTicker","raw":"{\"u\":1}"}"#;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn read(texts: &[&[u8]]) -> Result<Tape, TapeError> {
        let files: Vec<_> = texts.iter().map(|text| file(text)).collect();
        read_tape(&files.iter().map(|file| file.path().to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = read(&[text.as_bytes()]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_merged_by_receive_stamp_and_ties_keep_their_order() {
        let row =
            |t: u32, chan: &str| ROW.replace(":5,", &format!(":{t},")).replace("btcusdt@bookTicker", chan);
        let first = [row(1, "a"), row(3, "b"), row(3, "c")].join("\n");
        let second = [row(2, "d"), row(3, "e")].join("\n") + "\n";
        let tape = read(&[first.as_bytes(), &gzip(&second)]).unwrap();
        let order: Vec<_> = tape.frames.iter().map(|frame| frame.stream.as_str()).collect();
        assert_eq!(order, ["a", "d", "b", "c", "e"]);
        assert_eq!(tape.frames[0].raw, "{\"u\":1}");
    }

    #[test]
    fn a_cut_line_is_named_with_its_file_and_line() {
        let text = format!("{ROW}\n{}", &ROW[..60]);
        let error = read(&[text.as_bytes()]).unwrap_err();
        assert!(matches!(error, TapeError::Cut { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_cut_gzip_file_is_an_error_wherever_it_is_cut() {
        let whole = gzip(&[ROW; 50].join("\n"));
        for length in 3..whole.len() {
            let error = read(&[&whole[..length]]).unwrap_err();
            assert!(matches!(error, TapeError::Cut { .. }), "cut at {length}: {error}");
        }
    }

    #[test]
    fn rows_that_cannot_be_played_are_refused_with_the_reason() {
        refused(&ROW.replace(":5,", ":null,"), "line 1: `t_ns` is null");
        refused(&ROW.replace("\"spot\"", "\"\""), "unknown market \"\"");
        refused(&ROW.replace("book_ticker", "candle"), "unknown kind \"candle\"");
        refused(&ROW.replace("\"binance\"", "\"okx\""), "plays binance tapes");
        refused(&ROW.replace("\"chan\"", "\"channel\""), "`chan` is missing");
        refused("[1]", "not a JSON object");
        refused("no json\n", "not a JSON object");
        refused(&ROW.replace("book_ticker", "ack"), "the tape is empty");
        refused("", "the tape is empty");
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = read_tape(&["/nowhere/tape.jsonl".into()]).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/tape.jsonl cannot be read"), "{error}");
    }

    #[test]
    fn the_recordings_of_2024_are_read_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/recorded/binance");
        if !folder.is_dir() {
            assert!(std::env::var_os("CI").is_none(), "the recordings must be there under CI");
            println!("skipped: no recordings at {}", folder.display());
            return;
        }
        let paths = ["spot", "usdm"]
            .map(|market| folder.join(format!("btcusdt_{market}_20240808T2354_46s.jsonl.gz")));
        let tape = read_tape(&paths).unwrap();
        let count = |market, kind| {
            tape.frames.iter().filter(|frame| frame.market == market && frame.kind == kind).count()
        };
        assert_eq!(count(Market::Spot, TapeKind::BookTicker), 3_655);
        assert_eq!(count(Market::Usdm, TapeKind::BookTicker), 8_400);
        assert_eq!(count(Market::Spot, TapeKind::Trade), 912);
        assert_eq!(count(Market::Usdm, TapeKind::Depth), 860);
        assert!(tape.frames.is_sorted_by_key(|frame| frame.t_ns));
    }
}
