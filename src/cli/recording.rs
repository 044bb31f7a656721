//! `--record FILE`: what the rooms took in, written while they run.
//!
//! Owns:  the session file from its head to its end, and telling that it is incomplete.
//! Never: stops a run or slows a room: what can't be written ends the recording, not the trading.

use super::boot::BootError;
use super::settings::{SESSION, Setting, Settings};
use super::table::TABLE;
use crate::agents::begun::Begun;
use crate::agents::reader::ReaderCounts;
use crate::agents::session::Taken;
use crate::store::session;
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A session file being written.
#[derive(Debug)]
pub(super) struct SessionFile {
    path: PathBuf,
    file: File,
    taken: Option<Taken>,
    out: Vec<u8>,
    written: u64,
    /// Why what follows is not in it.
    lost: Option<String>,
}

/// What became of a session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTold {
    /// Where it is.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Why it is incomplete; `None`: all of the run is in it.
    pub incomplete: Option<String>,
}

impl SessionTold {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "file": self.file,
            "bytes": self.bytes,
            "complete": self.incomplete.is_none(),
            "why": self.incomplete,
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let whole =
            self.incomplete.as_ref().map_or("complete".to_owned(), |why| format!("incomplete: {why}"));
        format!("{}, {} bytes, {whole}", self.file, self.bytes)
    }
}

/// What a session file says of how its rooms were made.
pub(super) fn head(
    settings: &Settings,
    command: &str,
    market: &str,
    venue: &str,
    begun: &Begun,
) -> Map<String, Value> {
    let kept = |name: &str| {
        let of_rooms = |setting: &&Setting| setting.name == name && SESSION.contains(&setting.section);
        matches!(name, "for" | "until")
            || TABLE.iter().any(|setting| {
                of_rooms(&setting) && !matches!(name, "live" | "data-dir" | "confirm-key-file")
            })
    };
    let texts: Map<String, Value> = settings
        .texts
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, texts)| {
            // Of the witness only that there is one: somebody may have put a secret behind the question mark.
            let cut = |text: &String| text.split('?').next().unwrap_or_default().to_owned();
            let texts: Vec<String> =
                if *name == "confirm-url" { texts.iter().map(cut).collect() } else { texts.clone() };
            ((*name).to_owned(), json!(texts))
        })
        .collect();
    let head = json!({
        "build": env!("CARGO_PKG_VERSION"),
        "command": command,
        "venue": venue,
        "market": market,
        "seed": settings.seed,
        "live": settings.live,
        "settings": texts,
    });
    let mut head = head.as_object().cloned().unwrap_or_default();
    begun.put(&mut head);
    head
}

impl SessionFile {
    /// Makes the file, readable by this user only: it holds what the account's streams told.
    pub(super) fn create(path: &Path, head: &Map<String, Value>, journal: &[u8]) -> Result<Self, BootError> {
        let refuse = |error| BootError::usage(format!("--record {}: {error}", path.display()));
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(refuse)?;
        let mut begin = session::begin(head);
        session::journal(journal, &mut begin);
        file.write_all(&begin).map_err(refuse)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            taken: None,
            out: Vec::new(),
            written: begin.len() as u64,
            lost: None,
        })
    }

    /// The rooms whose turns go into it.
    pub(super) fn follow(&mut self, taken: Option<Taken>) {
        self.taken = taken;
    }

    /// Writes what came since.
    pub(super) fn drain(&mut self) {
        let Some(taken) = &mut self.taken else { return };
        let lost = taken.drain(&mut self.out);
        if self.lost.is_some() {
            // What follows a gap fits nothing.
            self.out.clear();
        }
        if let Some(why) = lost {
            self.lost.get_or_insert_with(|| why.to_owned());
        }
        self.write();
    }

    fn write(&mut self) {
        let out = std::mem::take(&mut self.out);
        match self.file.write_all(&out) {
            Ok(()) => self.written += out.len() as u64,
            Err(error) if self.lost.is_none() => {
                self.lost = Some(error.to_string());
            }
            Err(_) => {}
        }
        self.out = out;
        self.out.clear();
    }

    /// The rooms have ended: writes the rest and the end.
    pub(super) fn finish(mut self, decisions: u64, sha256: &str, reader: &ReaderCounts) -> SessionTold {
        self.drain();
        let end = json!({
            "complete": self.lost.is_none(),
            "why": self.lost,
            "decisions": decisions,
            "decisions_sha256": sha256,
            "reader": {
                "quotes": reader.quotes,
                "fallbacks": reader.fallbacks,
                "refused": reader.refused,
                "dropped": reader.dropped,
            },
        });
        session::end(&end.as_object().cloned().unwrap_or_default(), &mut self.out);
        self.write();
        SessionTold { file: self.path.display().to_string(), bytes: self.written, incomplete: self.lost }
    }
}
