//! A link over bare TCP: loopback tests and the plaintext floors of `perf/`.
//!
//! Owns:  one socket and the rest of a short write.
//! Never: carries an order to a venue; `dial` makes one only where a request says `tls: false`.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::clock::Stamp;
use super::inbound::Inbound;
use super::link::{Fill, LinkError};
use super::socket::{Got, read_some};

pub(super) struct Plain {
    socket: TcpStream,
    rest: Vec<u8>,
    /// When bytes last came.
    seen: Stamp,
}

impl Plain {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, rest: Vec::new(), seen: Stamp::default() }
    }

    pub(super) fn fill(&mut self, inbound: &mut Inbound, peer: &str) -> Result<Fill, LinkError> {
        // A broken write shows in the read below as well, after what was sent before.
        let _ = self.flush(peer);
        match read_some(&mut self.socket, None, inbound.spare(), peer)? {
            None => Ok(Fill::default()),
            // Without TLS an end is an end: nothing tells a goodbye from a cut.
            Some(Got { n: 0, .. }) => Err(LinkError::Closed { peer: peer.to_owned() }),
            Some(Got { n: gained, short: drained, at }) => {
                self.seen = at;
                inbound.gained(gained);
                Ok(Fill { gained, drained, failure: None })
            }
        }
    }

    /// How many bytes wait.
    pub(super) fn send(&mut self, bytes: &[u8], peer: &str) -> Result<usize, LinkError> {
        if !self.flush(peer)? {
            return Err(LinkError::Busy);
        }
        let sent = write_some(&mut self.socket, bytes, peer)?;
        self.rest.extend_from_slice(&bytes[sent..]);
        Ok(self.rest.len())
    }

    pub(super) fn flush(&mut self, peer: &str) -> Result<bool, LinkError> {
        if !self.rest.is_empty() {
            let sent = write_some(&mut self.socket, &self.rest, peer)?;
            self.rest.drain(..sent);
        }
        Ok(self.rest.is_empty())
    }

    pub(super) fn seen(&self) -> Stamp {
        self.seen
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(super) fn close(&mut self) {
        // The other side may be gone already, which is what we want.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }
}

/// Writes until the kernel takes no more; returns how much it took.
fn write_some(socket: &mut TcpStream, bytes: &[u8], peer: &str) -> Result<usize, LinkError> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LinkError::from_io(&error, peer)),
        }
    }
    Ok(sent)
}
