//! Fault scripts, read from a file for the box.
//!
//! Owns:  the file, and naming it where the script in it is bad.
//! Never: knows what a line may say: [`Script`] does.

use std::io;
use std::path::{Path, PathBuf};

use crate::sim::{Script, ScriptError};

/// Why a script could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScriptFileError {
    /// The file could not be read, or is no text.
    #[error("{path} cannot be read: {error}; check its path and permissions")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A line of it is bad.
    #[error("{path}, {error}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        error: ScriptError,
    },
}

/// Reads a script of faults.
///
/// # Errors
///
/// [`ScriptFileError`] names the file, and the line.
pub fn read_script(path: &Path) -> Result<Script, ScriptFileError> {
    let owned = || path.to_path_buf();
    let text =
        std::fs::read_to_string(path).map_err(|error| ScriptFileError::File { path: owned(), error })?;
    Script::read(&text).map_err(|error| ScriptFileError::Line { path: owned(), error })
}
