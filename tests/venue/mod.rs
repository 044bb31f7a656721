//! A box of its own process, which stands for the venue.
//!
//! Owns:  its start, where it is, and its end when it is dropped; the same of any child that says when it is ready.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) const CONTANGO: &str = env!("CARGO_BIN_EXE_contango");

/// A child whose first line is JSON and says that it is ready; ends when dropped.
pub(crate) struct Ready {
    child: Child,
    /// That line.
    pub(crate) told: Value,
}

impl Ready {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, told: serde_json::from_str(&line).unwrap() }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The venue; ends when dropped.
pub(crate) struct Venue {
    /// Its ready line.
    pub(crate) ready: Value,
    _child: Ready,
    _folder: tempfile::TempDir,
}

impl Venue {
    /// One that is ready.
    pub(crate) fn open(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(CONTANGO);
        let child = Ready::start(command.args(["sim", "--json", "--out"]).arg(folder.path()).args(arguments));
        Self { ready: child.told.clone(), _child: child, _folder: folder }
    }
}
