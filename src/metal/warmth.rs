//! Keeps the kernel's way out warm: a thread that only reads for minutes finds it cold when an order must leave.
//!
//! Owns:  a pair of sockets on loopback that lead nowhere, and the bytes of an order's length that go through them.
//! Never: touches a link; is used where the thread shares its core (there is no quiet turn to use then).
//! Why:   what a `send` needs of caches and predictors is gone after some milliseconds without one; it costs more
//!        than decoding, deciding and encrypting together (HOTPATH §11.7). A turn of this takes some microseconds, so
//!        a quote that comes meanwhile waits for that long, about one time in ten.

use super::socket;
use crate::units::Nanos;
use crate::units::time::US;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::{self, Ipv4Addr, TcpListener};

/// From one send to the next.
const EVERY_NS: u64 = 100 * US;
/// As long as an order on the wire.
const BYTES: usize = 512;

/// The sockets.
#[derive(Debug)]
pub struct Warmth {
    out: TcpStream,
    back: TcpStream,
    due: Nanos,
    bytes: [u8; BYTES],
}

impl Warmth {
    /// Opens both ends.
    ///
    /// # Errors
    ///
    /// The system's: there is no loopback, or there are too many open files.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let out = net::TcpStream::connect(listener.local_addr()?)?;
        let mine = out.local_addr()?;
        // Whoever else knocks here is not let in.
        let back = loop {
            let (socket, from) = listener.accept()?;
            if from == mine {
                break socket;
            }
        };
        let (out, back) = (socket::prepare(out)?, socket::prepare(back)?);
        Ok(Self { out, back, due: Nanos::ZERO, bytes: [0; BYTES] })
    }

    /// Sends, if it is time, and takes in what came through; how many bytes that was.
    pub fn keep(&mut self, now: Nanos) -> usize {
        if now < self.due {
            return 0;
        }
        self.due = now.plus(EVERY_NS);
        // Nobody waits for these bytes: what the kernel does not take is not sent.
        let _ = self.out.write(&self.bytes);
        self.back.read(&mut self.bytes).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sends_when_it_is_time_and_never_waits() {
        let mut warmth = Warmth::open().unwrap();
        let mut through = warmth.keep(Nanos(1));
        assert_eq!(warmth.keep(Nanos(EVERY_NS)), 0, "too early");
        // Loopback hands over within the call, as a rule.
        for turn in 1..=100 {
            through += warmth.keep(Nanos(1 + turn * EVERY_NS));
        }
        assert!((1..=101 * BYTES).contains(&through), "{through} bytes");
    }
}
