//! Why a link can't do what was asked, in words that say what to do.
//!
//! Owns:  every way a connection may fail, and which failures left nothing behind.
//! Never: holds what was sent or received.

use std::io;

/// Why a link can't do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A rest of an earlier send is still queued. Nothing was taken.
    #[error("an earlier message still waits to go out on this link; nothing of this one was taken")]
    Busy,
    /// The server's certificate is too old, or not valid yet.
    #[error(
        "the certificate of {peer} is not valid at this time ({detail}); check this host's clock, or renew the certificate"
    )]
    CertificateExpired {
        /// Who was dialled.
        peer: String,
        /// What exactly was wrong.
        detail: String,
    },
    /// The server's certificate is for other names.
    #[error("the certificate of {peer} is for another name ({detail}); check the address of this endpoint")]
    CertificateName {
        /// Who was dialled.
        peer: String,
        /// Which names it is for.
        detail: String,
    },
    /// Nobody we trust vouches for the server's certificate.
    #[error(
        "nobody we trust vouches for the certificate of {peer}; for a server of your own, name its authority with `--ca FILE`; otherwise somebody stands in between"
    )]
    CertificateUnknown {
        /// Who was dialled.
        peer: String,
    },
    /// The other side said goodbye, and all it sent was read.
    #[error("{peer} closed the connection")]
    Closed {
        /// Who was dialled.
        peer: String,
    },
    /// The link is not open (yet, or any more). Nothing was taken.
    #[error("the link is not open; nothing was taken")]
    NotOpen,
    /// The connection was cut.
    #[error("the connection to {peer} was reset ({detail})")]
    Reset {
        /// Who was dialled.
        peer: String,
        /// What the system said.
        detail: String,
    },
    /// The other side did not answer the kernel for three seconds.
    #[error("{peer} stopped answering; the connection timed out")]
    TimedOut {
        /// Who was dialled.
        peer: String,
    },
    /// TLS failed.
    #[error("TLS with {peer} failed: {detail}")]
    Tls {
        /// Who was dialled.
        peer: String,
        /// What was wrong.
        detail: String,
    },
    /// One message is larger than the buffer may grow.
    #[error(
        "{peer} sent more than {max} bytes that make no complete message; raise the inbound limit of this link if that is right"
    )]
    TooMuch {
        /// Who was dialled.
        peer: String,
        /// The limit.
        max: usize,
    },
    /// The stream ended without a goodbye: what was sent last may be missing.
    #[error("{peer} ended the connection without saying so; its last message may be cut")]
    Truncated {
        /// Who was dialled.
        peer: String,
    },
}

impl LinkError {
    /// Whether a failed send left nothing behind: then the order was surely not sent. After any
    /// other error it may have been.
    #[must_use]
    pub fn nothing_taken(&self) -> bool {
        matches!(self, Self::Busy | Self::NotOpen)
    }

    pub(super) fn from_io(error: &io::Error, peer: &str) -> Self {
        let peer = peer.to_owned();
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut { peer },
            io::ErrorKind::UnexpectedEof => Self::Truncated { peer },
            _ => Self::Reset { peer, detail: error.to_string() },
        }
    }
}
