//! The files a box leaves for its clients: the authority's certificate and the key file.
//!
//! Owns:  their folder (made private; removed again if it was a temporary one) and their format.
//! Never: follows a link or keeps an older file's permissions: what is in the way is replaced.
//! Wire:  DESIGN §9, key file: TOML, mode 0600.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::StartError;

/// Tells the temporary folders of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where a box's files are.
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// Opens `out`, making it if absent, or makes a temporary folder.
    pub(super) fn open(out: Option<PathBuf>) -> Result<Self, StartError> {
        let temporary = out.is_none();
        let path = out.unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            std::env::temp_dir().join(format!("contango-box-{}-{number}", std::process::id()))
        });
        // A temporary folder must be new: one that waits under our name could be anybody's.
        let made = fs::DirBuilder::new().recursive(!temporary).mode(0o700).create(&path);
        match made {
            Ok(()) => Ok(Self { path: fs::canonicalize(&path).unwrap_or(path), temporary }),
            Err(error) => Err(StartError::Files { path, error }),
        }
    }

    /// Writes `text` to a new file of mode 0600 and returns its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, StartError> {
        let path = self.path.join(name);
        match write_private(&path, text) {
            Ok(()) => Ok(path),
            Err(error) => Err(StartError::Files { path, error }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Left-over temporary files are the host's to clean; nobody is there to be told.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The text of a key file for the box's one account.
pub(super) fn key_toml(key: &str, secret: &str) -> String {
    // A JSON string is also a TOML basic string; a PEM is written as its owner would write it.
    let quote = |text: &str| match text.contains('\n') {
        true => format!("'''\n{text}'''"),
        false => serde_json::Value::from(text).to_string(),
    };
    format!(
        "# A key of the exchange in a box; it opens nothing else.\n\
         env = \"test\"\nkey = {}\nsecret = {}\n",
        quote(key),
        quote(secret)
    )
}
