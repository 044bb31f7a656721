//! A link over TLS: the socket, and who looks after its records.
//!
//! Owns:  reading and writing, the way from rustls' hands into ours, and the count of those that stay with rustls
//!        (TLS 1.2).
//! Map:   `tls_trust` whom it trusts · `tls_rustls` the handshake, and rustls' own path · `tls_own` what records mean
//!        once they are ours · `tls_record` opening and sealing · `ahead` records sealed ahead.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrayvec::ArrayVec;
use mio::net::TcpStream;
use rustls::CertificateError;
use rustls::pki_types::ServerName;

use super::clock::Stamp;
use super::inbound::Inbound;
use super::link::{Fill, LinkError, LinkState};
use super::packets::Packets;
use super::socket::{Got, read_some};
use super::tls_own::{End, Own};
use super::tls_record::{RECORD_MAX, Turn};
use super::tls_rustls::{Rustls, Step};
pub use super::tls_trust::{TlsTrust, TrustError};

/// Connections that stayed with rustls.
static FALLBACKS: AtomicU64 = AtomicU64::new(0);

/// Room for an order and what may lie around it, so that sending makes none.
const OUT: usize = 4_096;

/// How many connections of this process stayed with rustls after their handshake, since the other side speaks
/// nothing newer than TLS 1.2: it allocates once a record there, and nothing is sealed ahead.
#[must_use]
pub fn fallbacks() -> u64 {
    FALLBACKS.load(Relaxed)
}

/// TLS on a socket.
pub(super) struct Tls {
    socket: TcpStream,
    hands: Hands,
    /// Sealed, and not taken by the kernel yet from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// The TCP stream has ended.
    ended: bool,
    /// There is nobody to say goodbye to.
    broken: bool,
    /// When bytes last came, still sealed.
    seen: Stamp,
    /// When bytes were last handed over; only where that is wanted.
    handed: Option<Stamp>,
    /// Only where the kernel stamps packets.
    packets: Option<Packets>,
}

/// Who looks after the records.
enum Hands {
    Rustls(Box<Rustls>),
    Own(Box<Own>),
    /// Nobody: taking over failed, which ends the link.
    Nobody,
}

impl Tls {
    /// Begins a handshake with `name`; `None` if `name` is no host name or address.
    pub(super) fn new(socket: TcpStream, name: &str, trust: &TlsTrust) -> Option<Self> {
        let name = ServerName::try_from(name.to_owned()).ok()?;
        let mut rustls = Box::new(Rustls::new(&trust.0, name)?);
        let mut out = Vec::with_capacity(OUT);
        rustls.advance(None, &mut out).ok()?;
        Some(Self::with(socket, Hands::Rustls(rustls), out))
    }

    /// A connection of nobody's.
    pub(super) fn of_nobody(socket: TcpStream, own: Own) -> Self {
        Self::with(socket, Hands::Own(Box::new(own)), Vec::with_capacity(OUT))
    }

    fn with(socket: TcpStream, hands: Hands, out: Vec<u8>) -> Self {
        Self {
            socket,
            hands,
            out,
            sent: 0,
            ended: false,
            broken: false,
            seen: Stamp::default(),
            handed: None,
            packets: None,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        match &self.hands {
            Hands::Rustls(rustls) if rustls.is_handshaking() => LinkState::Handshaking,
            _ => LinkState::Open,
        }
    }

    #[inline]
    pub(super) fn fill(&mut self, inbound: &mut Inbound, peer: &str) -> Result<Fill, LinkError> {
        // Hello, finish, answers to key updates, a queued rest. A broken write shows below as well,
        // after what the other side sent before.
        let written = self.write_out();
        if !matches!(self.hands, Hands::Own(_)) {
            return self.fill_by_rustls(inbound, written, peer);
        }
        self.fill_own(inbound, written, peer)
    }

    /// Reads and opens in the link's own buffer.
    #[inline]
    fn fill_own(
        &mut self,
        inbound: &mut Inbound,
        written: io::Result<bool>,
        peer: &str,
    ) -> Result<Fill, LinkError> {
        loop {
            let Some(Got { n, short, at }) =
                read_some(&mut self.socket, self.packets.as_mut(), inbound.spare(), peer)?
            else {
                written.map_err(|error| LinkError::from_io(&error, peer))?;
                return Ok(Fill { gained: 0, drained: true, failure: None });
            };
            self.ended |= n == 0;
            self.seen = at;
            inbound.gained_raw(n);
            if let Some(fill) = self.open(inbound, short, peer)? {
                return Ok(fill);
            }
            // A part of a record, or one that was not for us (a ticket): "nothing" is only said when the kernel
            // said it, or an end that came with this would be missed. There is room: a record fits behind
            // whatever may be held.
            inbound.make_room();
        }
    }

    /// Opens what lies in the buffer; `None` if that was nothing and there may be more.
    #[inline]
    fn open(&mut self, inbound: &mut Inbound, short: bool, peer: &str) -> Result<Option<Fill>, LinkError> {
        let Hands::Own(own) = &mut self.hands else { return Ok(None) };
        let (gained, end) = own.open(inbound, &mut self.out);
        if !self.out.is_empty() {
            // An alert of ours is a courtesy; the reason for it is reported.
            let _ = self.write_out();
        }
        if let Some(end) = end {
            let failure = self.ended_by(end, peer);
            if gained == 0 {
                return Err(failure);
            }
            return Ok(Some(Fill { gained, drained: false, failure: Some(failure) }));
        }
        match gained {
            0 if self.ended => Err(LinkError::Truncated { peer: peer.to_owned() }),
            0 => Ok(None),
            // Behind these bytes may lie an end.
            _ => Ok(Some(Fill { gained, drained: short && !self.ended, failure: None })),
        }
    }

    #[cold]
    fn ended_by(&mut self, end: End, peer: &str) -> LinkError {
        let peer = peer.to_owned();
        let detail = match end {
            End::Goodbye => return LinkError::Closed { peer },
            End::Told(alert) => format!("the other side ended it with the alert {alert:?}"),
            End::Flaw(flaw) => format!("{} ({:?})", flaw.what, flaw.alert),
        };
        self.broken = true;
        LinkError::Tls { peer, detail }
    }

    #[cold]
    fn fill_by_rustls(
        &mut self,
        inbound: &mut Inbound,
        written: io::Result<bool>,
        peer: &str,
    ) -> Result<Fill, LinkError> {
        // What an earlier record brought and the buffer had no room for.
        let gained = self.fetch(inbound, peer)?;
        if gained > 0 {
            return Ok(Fill { gained, drained: false, failure: None });
        }
        loop {
            let Hands::Rustls(rustls) = &mut self.hands else { return Err(self.nobody(peer)) };
            let Some(Got { n, short, at }) =
                read_some(&mut self.socket, self.packets.as_mut(), rustls.spare(), peer)?
            else {
                written.map_err(|error| LinkError::from_io(&error, peer))?;
                return Ok(Fill { gained: 0, drained: true, failure: None });
            };
            self.ended |= n == 0;
            self.seen = at;
            rustls.gained(n);
            let was_handshaking = rustls.is_handshaking();
            let step = rustls.advance(None, &mut self.out);
            let _ = self.write_out();
            if let Ok(Step::Ours) = step {
                self.take_over(inbound, peer)?;
                if let Some(fill) = self.open(inbound, short, peer)? {
                    return Ok(fill);
                }
                inbound.make_room();
                return self.fill_own(inbound, written, peer);
            }
            if was_handshaking && self.state() == LinkState::Open && step.is_ok() {
                FALLBACKS.fetch_add(1, Relaxed);
            }
            let gained = match (self.fetch(inbound, peer), &step) {
                (Ok(gained), _) => gained,
                // Why TLS failed says more than that nothing follows.
                (Err(_), Err(_)) => 0,
                (Err(error), Ok(_)) => return Err(error),
            };
            match step {
                Err(error) => {
                    self.broken = true;
                    let failure = refusal(&error, peer);
                    if gained == 0 {
                        return Err(failure);
                    }
                    return Ok(Fill { gained, drained: false, failure: Some(failure) });
                }
                Ok(_) if gained > 0 => {
                    // Behind these bytes may lie an end, or what the buffer had no room for.
                    let closed = matches!(&self.hands, Hands::Rustls(rustls) if rustls.closed);
                    let more = self.ended || closed || inbound.spare().is_empty();
                    return Ok(Fill { gained, drained: short && !more, failure: None });
                }
                Ok(_) if self.ended => return Err(LinkError::Truncated { peer: peer.to_owned() }),
                // As in `fill_own`.
                Ok(_) => {}
            }
        }
    }

    /// The handshake is done: from here on the records are ours.
    fn take_over(&mut self, inbound: &mut Inbound, peer: &str) -> Result<(), LinkError> {
        let Hands::Rustls(rustls) = std::mem::replace(&mut self.hands, Hands::Nobody) else {
            return Err(self.nobody(peer));
        };
        let (own, raw) = rustls.into_own().map_err(|detail| {
            self.broken = true;
            LinkError::Tls { peer: peer.to_owned(), detail }
        })?;
        self.hands = Hands::Own(Box::new(own));
        inbound.expect_records(RECORD_MAX);
        inbound.put_raw(&raw);
        Ok(())
    }

    /// As of [`Own::dry`], where records are ours.
    pub(super) fn dry(&self, text: usize) {
        if let Hands::Own(own) = &self.hands {
            own.dry(text);
        }
    }

    /// How many sealed bytes wait.
    #[inline]
    pub(super) fn send(&mut self, bytes: &[u8], peer: &str) -> Result<usize, LinkError> {
        if !self.flush(peer)? {
            return Err(LinkError::Busy);
        }
        match &mut self.hands {
            Hands::Own(own) => {
                if let Err(flaw) = own.seal(bytes, &mut self.out) {
                    return Err(self.ended_by(End::Flaw(flaw), peer));
                }
            }
            Hands::Rustls(rustls) => {
                let sealed = rustls.advance(Some(bytes), &mut self.out);
                sealed.map_err(|error| refusal(&error, peer))?;
            }
            Hands::Nobody => return Err(self.nobody(peer)),
        }
        self.flush(peer)?;
        Ok(self.out.len() - self.sent)
    }

    /// What the next record will be, where records can be sealed ahead.
    #[inline]
    pub(super) fn next_turn(&self) -> Option<Turn> {
        match &self.hands {
            Hands::Own(own) => Some(own.next()),
            _ => None,
        }
    }

    /// As of [`Own::ahead`].
    #[inline]
    pub(super) fn ahead<const N: usize>(&self, bytes: &[u8], out: &mut ArrayVec<u8, N>) -> Option<Turn> {
        match &self.hands {
            Hands::Own(own) => own.ahead(bytes, out),
            _ => None,
        }
    }

    /// Sends a record that was sealed ahead; how many of its bytes wait. `None`: it is not its turn (any more);
    /// nothing was taken.
    #[inline]
    pub(super) fn send_ahead(
        &mut self,
        turn: Turn,
        record: &[u8],
        peer: &str,
    ) -> Result<Option<usize>, LinkError> {
        if !self.flush(peer)? {
            return Err(LinkError::Busy);
        }
        let Hands::Own(own) = &mut self.hands else { return Ok(None) };
        if !own.spend(turn) {
            return Ok(None);
        }
        // Spent: this very record leaves before anything else does, or the link is over.
        self.stamp();
        let taken = write_some(&mut self.socket, record).map_err(|error| LinkError::from_io(&error, peer))?;
        self.count(taken);
        self.out.extend_from_slice(&record[taken..]);
        Ok(Some(record.len() - taken))
    }

    #[inline]
    pub(super) fn flush(&mut self, peer: &str) -> Result<bool, LinkError> {
        self.write_out().map_err(|error| LinkError::from_io(&error, peer))
    }

    pub(super) fn has_queued(&self) -> bool {
        self.sent < self.out.len()
    }

    #[inline]
    pub(super) fn seen(&self) -> Stamp {
        self.seen
    }

    pub(super) fn stamp_sends(&mut self) {
        self.handed = Some(Stamp::default());
    }

    #[inline]
    pub(super) fn handed(&self) -> Option<Stamp> {
        self.handed
    }

    #[inline]
    fn stamp(&mut self) {
        if let Some(handed) = &mut self.handed {
            *handed = Stamp::take();
        }
    }

    pub(super) fn stamp_packets(&mut self, begin: Packets) {
        self.packets = Some(begin);
    }

    pub(super) fn packets(&self) -> Option<&Packets> {
        self.packets.as_ref()
    }

    /// The socket, where packets are stamped.
    pub(super) fn stamped(&mut self) -> Option<(&TcpStream, &mut Packets)> {
        let Self { socket, packets, .. } = self;
        packets.as_mut().map(|packets| (&*socket, packets))
    }

    #[inline]
    fn count(&mut self, taken: usize) {
        if let Some(packets) = &mut self.packets {
            packets.handed(taken);
        }
    }

    pub(super) fn close(&mut self) {
        if self.has_queued() {
            // A rest that has not left never leaves: whoever closes with one wants just that (F16, I6). The other
            // side finds a record cut short, of which it can open nothing.
            self.out.clear();
            self.sent = 0;
        } else if !self.broken {
            match &mut self.hands {
                Hands::Own(own) => own.say_goodbye(&mut self.out),
                Hands::Rustls(rustls) => rustls.say_goodbye(&mut self.out),
                Hands::Nobody => {}
            }
        }
        // The other side may be gone already, which is what we want.
        let _ = self.write_out();
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Moves what rustls has opened into the buffer, as far as there is room.
    fn fetch(&mut self, inbound: &mut Inbound, peer: &str) -> Result<usize, LinkError> {
        let Hands::Rustls(rustls) = &mut self.hands else { return Err(self.nobody(peer)) };
        let gained = rustls.fetch(inbound.spare());
        inbound.gained(gained);
        // A proper goodbye, and nothing before it.
        let over = gained == 0 && rustls.closed && !inbound.spare().is_empty();
        if over { Err(LinkError::Closed { peer: peer.to_owned() }) } else { Ok(gained) }
    }

    #[cold]
    fn nobody(&self, peer: &str) -> LinkError {
        LinkError::Tls { peer: peer.to_owned(), detail: "it could not be taken over".to_owned() }
    }

    /// Writes until nothing is left (`true`) or the kernel takes no more.
    #[inline]
    fn write_out(&mut self) -> io::Result<bool> {
        if self.sent < self.out.len() {
            self.stamp();
            let taken = write_some(&mut self.socket, &self.out[self.sent..])?;
            self.count(taken);
            self.sent += taken;
            if self.sent < self.out.len() {
                return Ok(false);
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }
}

/// Writes until the kernel takes no more; returns how much it took.
#[inline]
fn write_some(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Puts a refusal into words that say what to do.
#[cold]
fn refusal(error: &rustls::Error, peer: &str) -> LinkError {
    use CertificateError as Bad;
    let (peer, detail) = (peer.to_owned(), error.to_string());
    match error {
        // A bad signature is an authority of the right name with another key: a box that was
        // started anew, and the `--ca` file of its earlier life.
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            LinkError::CertificateUnknown { peer }
        }
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            LinkError::CertificateName { peer, detail }
        }
        rustls::Error::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => LinkError::CertificateExpired { peer, detail },
        _ => LinkError::Tls { peer, detail },
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
