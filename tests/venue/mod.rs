//! A box of its own process, which stands for the venue.
//!
//! Owns:  its start, where it is, and its end when it is dropped.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) const CONTANGO: &str = env!("CARGO_BIN_EXE_contango");

/// The venue; ends when dropped.
pub(crate) struct Venue {
    child: Child,
    /// Its ready line.
    pub(crate) ready: Value,
    _folder: tempfile::TempDir,
}

impl Venue {
    /// One that is ready.
    pub(crate) fn open(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(CONTANGO)
            .args(["sim", "--json", "--out"])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap(), _folder: folder }
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
