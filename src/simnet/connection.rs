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
            Ok(()) if self.queue.len() - self.sent <= QUEUE_MAX_BYTES => {
                self.compact();
                Outflow::Kept
            }
            _ => Outflow::Gone,
        }
    }

    /// Writes until nothing waits or the socket is full; then goes one step on towards the end.
    fn push(&mut self) -> io::Result<()> {
        loop {
            if let Some(tls) = &mut self.tls {
                // rustls takes as much as its own buffer has room for (64 KiB), then we send that.
                self.sent += tls.writer().write(&self.queue[self.sent..])?;
                while tls.wants_write() {
                    match until_would_block(|| tls.write_tls(&mut Sending(&mut self.stream)))? {
                        Some(_) => {}
                        None => return Ok(()),
                    }
                }
            } else if self.sent < self.queue.len() {
                match until_would_block(|| self.stream.write(&self.queue[self.sent..]))? {
                    Some(count) => self.sent += count,
                    None => return Ok(()),
                }
            }
            if self.sent == self.queue.len() {
                break;
            }
        }
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
    fn compact(&mut self) {
        if self.sent == self.queue.len() {
            self.queue.clear();
            self.sent = 0;
        } else if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::super::tls::Authority;
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Two ends of one loopback connection: the box's, and a client's blocking one.
    fn ends() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (TcpStream::from_std(server), client)
    }

    /// Turns of the box, without its poll: reads and flushes until `done` or the client is dropped.
    fn drive(connection: &mut Connection, mut done: impl FnMut(&Connection) -> bool) -> Vec<u8> {
        let (start, mut plain) = (Instant::now(), Vec::new());
        while !done(connection) {
            assert!(start.elapsed() < Duration::from_secs(20), "the client never came so far");
            if connection.read(&mut plain) == Inflow::Gone || connection.flush() == Outflow::Gone {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        plain
    }

    #[test]
    fn megabytes_pass_both_ways_through_full_sockets_and_end_with_a_clean_close() {
        let authority = Authority::new(LOOPBACK).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.ca_pem.as_bytes()).unwrap()).unwrap();
        let (server, socket) = ends();
        let mut connection = Connection::secured(server, authority.server).unwrap();
        let pattern: Vec<u8> = (0..6_000_000_u32).map(|at| (at % 251) as u8).collect();
        let expected = pattern.clone();
        let client = std::thread::spawn(move || {
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
            stream.write_all(&expected).unwrap();
            let mut got = Vec::new();
            // Without the close_notify alert this would be an error, since data could be missing.
            stream.read_to_end(&mut got).unwrap();
            assert!(got == expected, "{} bytes came back", got.len());
        });
        let mut got = drive(&mut connection, Connection::is_open);
        let start = Instant::now();
        while got.len() < pattern.len() {
            let before = got.len();
            assert!(connection.read(&mut got) != Inflow::Gone, "gone after {before} bytes");
            assert!(got.len() - before < 2 * READ_BUDGET_BYTES, "one turn read more than its budget");
            assert!(start.elapsed() < Duration::from_secs(20), "{} bytes came", got.len());
        }
        assert!(got == pattern);
        connection.send(&pattern);
        connection.close();
        connection.send(b"what comes after the close is not sent");
        drive(&mut connection, |_| false);
        client.join().unwrap();
    }

    #[test]
    fn a_client_that_never_reads_is_cut_at_the_bound() {
        let (server, _client) = ends();
        let mut connection = Connection::plain(server);
        let megabyte = vec![0; 1 << 20];
        let taken = (0..200).take_while(|_| {
            connection.send(&megabyte);
            connection.flush() == Outflow::Kept
        });
        let taken = taken.count() << 20;
        assert!((QUEUE_MAX_BYTES..QUEUE_MAX_BYTES + (32 << 20)).contains(&taken), "cut after {taken} bytes");
    }

    #[test]
    fn a_client_that_is_gone_is_noticed_and_raises_no_signal() {
        let (server, client) = ends();
        let mut connection = Connection::plain(server);
        drop(client);
        assert_eq!(connection.read(&mut Vec::new()), Inflow::Gone);
        let sent = (0..10).map(|_| {
            connection.send(b"x");
            std::thread::sleep(Duration::from_millis(2));
            connection.flush()
        });
        assert!(sent.into_iter().any(|outflow| outflow == Outflow::Gone));
    }
}
