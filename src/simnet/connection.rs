//! One client's socket, with or without TLS: bytes in, bytes out, and an orderly end.
//!
//! Owns:  the socket, its TLS state, and the bytes that wait to be sent (bounded).
//! Never: knows what the bytes mean, or blocks.
//! Quirk: closing a socket with unread input makes the kernel send a reset, which can destroy what we
//!        sent last. So an end goes: send all, close our side, read on and discard until the client closes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

/// What may wait for a slow client before it is cut: minutes of the busiest feed, and far below what
/// would make the box itself a memory problem.
pub(super) const QUEUE_MAX_BYTES: usize = 64 << 20;

/// What one turn reads from one socket before others get theirs; edge-triggered readiness makes the
/// caller come back by itself ([`Inflow::More`]).
const READ_BUDGET_BYTES: usize = 256 << 10;

/// One read of a socket without TLS.
const CHUNK_BYTES: usize = 16 << 10;

/// How reading from a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflow {
    /// All there was has been read: readiness will tell of more.
    Drained,
    /// The turn's budget is used and there may be more: nobody will tell, so read again.
    More,
    /// The client closed, or broke the protocol. What was read before still counts.
    Gone,
}

/// How sending to a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outflow {
    /// Nothing waits, or the rest waits until the socket is writable.
    Kept,
    /// The socket is broken, or the client too slow: drop it.
    Gone,
}

/// How far a connection has come towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Open.
    None,
    /// Closes as soon as all is sent.
    Wanted,
    /// Our side is closed; the client's last bytes are read and discarded.
    Lingering,
}

/// A client of one of the doors, or of the control endpoint.
pub(super) struct Connection {
    stream: TcpStream,
    /// `None`: the control endpoint, plain HTTP.
    tls: Option<Box<ServerConnection>>,
    /// Plaintext to send; the part before `sent` has been handed to TLS or the kernel.
    queue: Vec<u8>,
    sent: usize,
    end: End,
}

impl Connection {
    /// A connection without TLS.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None, queue: Vec::new(), sent: 0, end: End::None }
    }

    /// A connection that starts with a TLS handshake.
    pub(super) fn secured(stream: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let tls = Some(Box::new(ServerConnection::new(config)?));
        Ok(Self { stream, tls, queue: Vec::new(), sent: 0, end: End::None })
    }

    /// The socket, for registration.
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether application bytes may flow: the handshake is over, and nobody is closing.
    pub(super) fn is_open(&self) -> bool {
        self.end == End::None && !self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Appends what the client sent, decrypted, to `plain`.
    pub(super) fn read(&mut self, plain: &mut Vec<u8>) -> Inflow {
        let mut taken = 0;
        while taken < READ_BUDGET_BYTES {
            let got = match &mut self.tls {
                Some(tls) => tls.read_tls(&mut self.stream),
                None => read_plain(&mut self.stream, plain),
            };
            match got {
                Ok(0) => return Inflow::Gone,
                Ok(count) => taken += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Inflow::Drained,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Inflow::Gone,
            }
            if let Some(tls) = &mut self.tls
                && decrypt(tls, plain) == Inflow::Gone
            {
                return Inflow::Gone;
            }
        }
        Inflow::More
    }

    /// Queues `bytes`; [`flush`](Self::flush) sends them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.end == End::None {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// Closes once all that was queued is sent.
    pub(super) fn close(&mut self) {
        if self.end == End::None {
            self.end = End::Wanted;
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Outflow {
        match self.push() {
            Ok(()) if self.queue.len() - self.sent > QUEUE_MAX_BYTES => Outflow::Gone,
            Ok(()) => Outflow::Kept,
            Err(_) => Outflow::Gone,
        }
    }

    fn push(&mut self) -> io::Result<()> {
        loop {
            if let Some(tls) = &mut self.tls {
                // rustls takes as much as its own buffer has room for (64 KiB), then we send that.
                self.sent += tls.writer().write(&self.queue[self.sent..])?;
                while tls.wants_write() {
                    match until_would_block(|| tls.write_tls(&mut Sending(&mut self.stream)))? {
                        Some(_) => {}
                        None => return self.compact(),
                    }
                }
            } else if self.sent < self.queue.len() {
                match until_would_block(|| self.stream.write(&self.queue[self.sent..]))? {
                    Some(count) => self.sent += count,
                    None => return self.compact(),
                }
            }
            if self.sent == self.queue.len() {
                break;
            }
        }
        self.compact()?;
        if self.end != End::Wanted {
            return Ok(());
        }
        self.end = End::Lingering;
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            until_would_block(|| tls.write_tls(&mut Sending(&mut self.stream)))?;
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Gives back the room of what has been sent, once it is worth a copy.
    fn compact(&mut self) -> io::Result<()> {
        if self.sent == self.queue.len() {
            self.queue.clear();
            self.sent = 0;
        } else if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}

/// Passes writes on one by one: std's `write` on a socket never raises SIGPIPE, its vectored write (which
/// rustls would choose) may, in a process that has given that signal its default action back.
struct Sending<'a>(&'a mut TcpStream);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs one write; `None` means that the socket is full.
fn until_would_block(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match write() {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_plain(stream: &mut TcpStream, plain: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; CHUNK_BYTES];
    let count = stream.read(&mut chunk)?;
    plain.extend_from_slice(&chunk[..count]);
    Ok(count)
}

/// Moves what rustls has decrypted to `plain`.
fn decrypt(tls: &mut ServerConnection, plain: &mut Vec<u8>) -> Inflow {
    // An error leaves an alert to send, which the caller's last flush does.
    let Ok(state) = tls.process_new_packets() else { return Inflow::Gone };
    let (start, count) = (plain.len(), state.plaintext_bytes_to_read());
    plain.resize(start + count, 0);
    if tls.reader().read_exact(&mut plain[start..]).is_err() {
        plain.truncate(start);
        return Inflow::Gone;
    }
    if state.peer_has_closed() { Inflow::Gone } else { Inflow::Drained }
}
