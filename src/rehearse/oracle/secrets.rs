//! I17: no secret stands in anything that is written.
//!
//! Owns:  the canary scan.
//! Never: tells the secret that it found.

use super::{Broken, Oracle, broken};

impl Oracle {
    /// Looks for key and secret in what was written.
    ///
    /// # Errors
    ///
    /// I17, with the place.
    pub fn secrets(&self, place: &str, bytes: &[u8]) -> Result<(), Broken> {
        for (which, secret) in ["key", "secret"].iter().zip(&self.allowed.secrets) {
            let secret = secret.as_bytes();
            let Some(first) = secret.first() else { continue };
            let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(at, _)| at);
            if starts.into_iter().any(|at| bytes[at..].starts_with(secret)) {
                return Err(broken(17, format!("{place} holds the {which}")));
            }
        }
        Ok(())
    }
}
