//! Bytes without sockets: WebSocket, HTTP/1.1, order templates, and what a connection owes when.
//!
//! Owns:  framing and its strictness; writing into buffers the caller brings.
//! Never: touches a socket, reads a clock, draws entropy, or knows a venue. A file here quotes RFCs.
//! Rule:  what comes from outside is refused at the first byte that proves it wrong, before its
//!        payload is waited for; what is incomplete is `None`, never a parsed half.

pub mod digits;
pub mod http;
pub mod session;
pub mod template;
pub mod ws;

use arrayvec::ArrayVec;
use std::ops::DerefMut;

/// Somewhere to append bytes: an `ArrayVec` that can be full, or a `Vec` that grows.
///
/// Writers take either, so that the hot path brings a fixed buffer and never allocates, and cold
/// callers need not guess a size.
pub trait Sink: DerefMut<Target = [u8]> {
    /// How many bytes can still be appended.
    fn room(&self) -> usize;

    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Full`] if they do not fit; nothing is appended then.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;
}

/// The buffer has no room for what was to be written; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is full: give it room for the longest message it carries")]
pub struct Full;

impl<const N: usize> Sink for ArrayVec<u8, N> {
    #[inline]
    fn room(&self) -> usize {
        self.remaining_capacity()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.try_extend_from_slice(bytes).map_err(|_| Full)
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn room(&self) -> usize {
        isize::MAX as usize - self.len()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends `text` for a request line or header, with every byte that could end it (controls, and
/// spaces unless `spaces`) percent-encoded: no setting can smuggle in a line of its own.
fn put_clean(out: &mut Vec<u8>, text: &str, spaces: bool) {
    for byte in text.bytes() {
        if byte < b' ' || byte == 0x7f || (byte == b' ' && !spaces) {
            out.extend_from_slice(&[
                b'%',
                digits::HEX[usize::from(byte >> 4)],
                digits::HEX[usize::from(byte & 15)],
            ]);
        } else {
            out.push(byte);
        }
    }
}
