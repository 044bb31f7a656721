//! A link over TLS: rustls on a non-blocking socket, and whom it trusts.
//!
//! Owns:  the handshake, sealing and opening, the goodbye; [`TlsTrust`].
//! Never: accepts a certificate it can't check; there is no switch for that.
//! Quirk: rustls allocates about once per record each way (HOTPATH §2). Nothing else here does once
//!        the buffers have grown to their working size.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

use super::inbound::Inbound;
use super::link::{Fill, LinkError, LinkState};
use super::socket::Gauged;

/// Whom our TLS connections trust.
#[derive(Clone, Debug)]
pub struct TlsTrust(Arc<ClientConfig>);

/// Why trust could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text holds no certificate.
    #[error(
        "no certificate in the authority file; `--ca` wants PEM text with at least one CERTIFICATE block"
    )]
    Empty,
    /// A block is no certificate that can be trusted.
    #[error("the authority file can't be used ({detail}); `--ca` wants PEM text with CERTIFICATE blocks")]
    Unreadable {
        /// What was wrong.
        detail: String,
    },
}

impl TlsTrust {
    /// The public authorities, as compiled in: the same on every host.
    ///
    /// # Errors
    ///
    /// [`TrustError::Unreadable`] if the TLS library refuses its own defaults.
    pub fn public() -> Result<Self, TrustError> {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// The authorities of a PEM text (`--ca FILE`), **instead of** the public ones: a test key can
    /// then not reach a venue by mistake.
    ///
    /// # Errors
    ///
    /// [`TrustError`] if there is no certificate in it, or one can't be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        Self::add(&mut roots, pem)?;
        if roots.is_empty() { Err(TrustError::Empty) } else { Self::of(roots) }
    }

    /// The public authorities and those of a PEM text: for hosts that are no venue's.
    ///
    /// # Errors
    ///
    /// [`TrustError`] if a certificate can't be read.
    pub fn public_and(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::add(&mut roots, pem)?;
        Self::of(roots)
    }

    fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TrustError> {
        let unreadable = |detail: String| TrustError::Unreadable { detail };
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        Ok(())
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Unreadable { detail: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// rustls on a socket.
pub(super) struct Tls {
    socket: TcpStream,
    rustls: ClientConnection,
    /// The TCP stream has ended.
    ended: bool,
}

impl Tls {
    /// Begins a handshake with `name`; `None` if `name` is no host name or address.
    pub(super) fn new(socket: TcpStream, name: &str, trust: &TlsTrust) -> Option<Self> {
        let name = ServerName::try_from(name.to_owned()).ok()?;
        let mut rustls = ClientConnection::new(Arc::clone(&trust.0), name).ok()?;
        // What a send leaves behind is bounded by `Busy`, not by refusing half a message.
        rustls.set_buffer_limit(None);
        Some(Self { socket, rustls, ended: false })
    }

    pub(super) fn state(&self) -> LinkState {
        if self.rustls.is_handshaking() { LinkState::Handshaking } else { LinkState::Open }
    }

    pub(super) fn fill(&mut self, inbound: &mut Inbound, peer: &str) -> Result<Fill, LinkError> {
        // Hello, finish, answers to key updates, a queued rest. A broken write shows below as well,
        // after what the other side sent before.
        let written = self.write_out();
        // What an earlier record brought and the buffer had no room for.
        let gained = self.drain(inbound, peer)?;
        if gained > 0 {
            return Ok(Fill { gained, drained: false, failure: None });
        }
        loop {
            let mut gauged = Gauged { socket: &mut self.socket, short: false };
            match self.rustls.read_tls(&mut gauged) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    written.map_err(|error| LinkError::from_io(&error, peer))?;
                    return Ok(Fill { gained: 0, drained: true, failure: None });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(LinkError::from_io(&error, peer)),
            }
            let short = gauged.short;
            let processed = self.rustls.process_new_packets();
            // An alert of ours is a courtesy; the reason for it is reported.
            let _ = self.write_out();
            let gained = match (self.drain(inbound, peer), &processed) {
                (Ok(gained), _) => gained,
                // Why TLS failed says more than that nothing follows.
                (Err(_), Err(_)) => 0,
                (Err(error), Ok(_)) => return Err(error),
            };
            match processed {
                Err(error) if gained == 0 => return Err(refusal(&error, peer)),
                Err(error) => {
                    return Ok(Fill { gained, drained: false, failure: Some(refusal(&error, peer)) });
                }
                Ok(state) if gained > 0 => {
                    // Behind these bytes may lie an end, or what the buffer had no room for.
                    let more = self.ended || state.peer_has_closed() || inbound.spare().is_empty();
                    return Ok(Fill { gained, drained: short && !more, failure: None });
                }
                Ok(_) if self.ended => return Err(LinkError::Truncated { peer: peer.to_owned() }),
                // A part of a record, or one that was not for us (a ticket): "nothing" is only said
                // when the kernel said it, or an end that came with this would be missed.
                Ok(_) => {}
            }
        }
    }

    /// How many sealed bytes wait.
    pub(super) fn send(&mut self, bytes: &[u8], peer: &str) -> Result<usize, LinkError> {
        if !self.flush(peer)? {
            return Err(LinkError::Busy);
        }
        self.rustls.writer().write_all(bytes).map_err(|error| LinkError::from_io(&error, peer))?;
        if self.flush(peer)? {
            return Ok(0);
        }
        // The rest is there, whatever this says; at least one byte of it.
        Ok(self.rustls.process_new_packets().map_or(1, |io| io.tls_bytes_to_write().max(1)))
    }

    pub(super) fn flush(&mut self, peer: &str) -> Result<bool, LinkError> {
        self.write_out().map_err(|error| LinkError::from_io(&error, peer))
    }

    pub(super) fn has_queued(&self) -> bool {
        self.rustls.wants_write()
    }

    pub(super) fn close(&mut self) {
        self.rustls.send_close_notify();
        // The other side may be gone already, which is what we want.
        let _ = self.write_out();
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Moves what rustls has opened into the buffer, as far as there is room.
    #[inline]
    fn drain(&mut self, inbound: &mut Inbound, peer: &str) -> Result<usize, LinkError> {
        let mut gained = 0;
        loop {
            let spare = inbound.spare();
            if spare.is_empty() {
                return Ok(gained);
            }
            match self.rustls.reader().read(spare) {
                // A proper goodbye, and nothing before it.
                Ok(0) if gained == 0 => return Err(LinkError::Closed { peer: peer.to_owned() }),
                Ok(0) => return Ok(gained),
                Ok(n) => {
                    inbound.gained(n);
                    gained += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock || gained > 0 => return Ok(gained),
                Err(error) => return Err(LinkError::from_io(&error, peer)),
            }
        }
    }

    /// Writes until rustls has nothing (`true`) or the kernel takes no more.
    fn write_out(&mut self) -> io::Result<bool> {
        while self.rustls.wants_write() {
            match self.rustls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
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
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

    use super::*;
    use crate::metal::dial::{DialRequest, Dialer};
    use crate::metal::link::{Link, Sent};
    use crate::metal::poll::Links;

    type ServerStream = rustls::StreamOwned<ServerConnection, std::net::TcpStream>;

    /// An authority of our own.
    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self { pem, issuer: Issuer::new(params, key) }
        }

        /// A server configuration with a certificate for `name`.
        fn server(
            &self,
            name: &str,
            versions: &[&'static SupportedProtocolVersion],
            change: impl FnOnce(&mut CertificateParams),
        ) -> ServerConfig {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            change(&mut params);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap()
        }
    }

    /// Serves one connection with `story`.
    fn serve<R: Send + 'static>(
        config: ServerConfig,
        story: impl FnOnce(&mut ServerStream) -> R + Send + 'static,
    ) -> (u16, JoinHandle<R>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let rustls = ServerConnection::new(Arc::new(config)).unwrap();
            story(&mut ServerStream::new(rustls, socket))
        });
        (port, thread)
    }

    /// Dials the server with trust in `authority`, up to the first TLS byte.
    fn dial(authority: &Authority, port: u16, inbound: usize, inbound_max: usize) -> Link {
        let mut dialer = Dialer::real(TlsTrust::from_pem(authority.pem.as_bytes()).unwrap()).unwrap();
        dialer.request(DialRequest {
            ticket: 5,
            host: "127.0.0.1".to_owned(),
            port,
            server_name: "localhost".to_owned(),
            tls: true,
            inbound,
            inbound_max,
        });
        let (ticket, link) = wait_for(|| dialer.poll());
        assert_eq!(ticket, 5);
        let link = link.unwrap();
        assert_eq!(link.state(), LinkState::Handshaking);
        link
    }

    fn wait_for<R>(mut look: impl FnMut() -> Option<R>) -> R {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "nothing within 10 s");
            std::thread::yield_now();
        }
    }

    /// A room with one link: reads whenever the poll says so.
    struct Room {
        links: Links,
        end: Option<LinkError>,
    }

    impl Room {
        fn new(link: Link) -> Self {
            let mut links = Links::new(1);
            links.insert(link);
            Self { links, end: None }
        }

        fn link(&mut self) -> &mut Link {
            let slot = self.links.slots().next().unwrap();
            self.links.get_mut(slot).unwrap()
        }

        /// Reads until `done` says so or the link ends.
        fn run(&mut self, mut done: impl FnMut(&mut Link) -> bool) {
            let begun = Instant::now();
            while self.end.is_none() && !done(self.link()) {
                assert!(begun.elapsed() < Duration::from_secs(20), "no end within 20 s: {:?}", self.link());
                self.links.wait(Duration::from_millis(100));
                while let Some(slot) = self.links.next_ready() {
                    if let Err(error) = self.links.get_mut(slot).unwrap().recv() {
                        self.end = Some(error);
                    }
                }
            }
        }

        fn open(link: Link) -> Self {
            let mut room = Self::new(link);
            room.run(|link| link.state() == LinkState::Open);
            assert_eq!(room.end, None);
            room
        }
    }

    /// Bytes that show a loss or a swap.
    fn body(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn end_of_handshake(config: ServerConfig, authority: &Authority) -> LinkError {
        let (port, server) = serve(config, |stream| {
            // The client refuses, so this fails.
            let _ = stream.read(&mut [0; 1]);
        });
        let mut room = Room::new(dial(authority, port, 4_096, 4_096));
        room.run(|link| link.state() == LinkState::Open);
        assert_eq!(room.link().state(), LinkState::Closed);
        assert_eq!(room.link().send(b"x"), Err(LinkError::NotOpen));
        drop(room.links);
        server.join().unwrap();
        room.end.unwrap()
    }

    #[test]
    fn two_megabytes_go_both_ways_in_both_versions() {
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let authority = Authority::new();
            let (port, server) = serve(authority.server("localhost", &[version], |_| ()), |stream| {
                // Pushed at once, as exchanges do: comes together with the handshake's end.
                stream.write_all(b"hello").unwrap();
                let mut got = vec![0; 2 << 20];
                stream.read_exact(&mut got).unwrap();
                assert!(got == body(2 << 20), "what the server read differs");
                stream.write_all(&got).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            });
            let mut room = Room::new(dial(&authority, port, 4_096, 4 << 20));
            assert_eq!(room.link().send(b"early"), Err(LinkError::NotOpen));
            room.run(|link| link.inbound() == b"hello");
            assert_eq!(room.link().state(), LinkState::Open);
            room.link().consume(5);

            // Whether the kernel takes it at once depends on the server's reading; the rest, if any,
            // goes out by itself while we read.
            room.link().send(&body(2 << 20)).unwrap();
            room.run(|link| link.inbound().len() == 2 << 20);
            assert!(room.link().inbound() == body(2 << 20), "what came back differs");
            assert_eq!(room.link().flush(), Ok(true));
            room.run(|_| false);
            assert!(matches!(room.end, Some(LinkError::Closed { .. })), "{:?}", room.end);
            server.join().unwrap();
        }
    }

    #[test]
    fn a_message_behind_a_queued_rest_is_refused_whole() {
        let authority = Authority::new();
        let (go, wait) = mpsc::channel::<()>();
        let (port, server) =
            serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
                stream.write_all(b"!").unwrap();
                wait.recv().unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                got
            });
        let mut room = Room::open(dial(&authority, port, 4_096, 4_096));
        let mut expected = Vec::new();
        // The server does not read, so the kernel's buffers fill up.
        loop {
            let message = body(100_000);
            let sent = room.link().send(&message).unwrap();
            expected.extend_from_slice(&message);
            if sent != Sent::All {
                break;
            }
        }
        let refused = room.link().send(b"an order");
        assert_eq!(refused, Err(LinkError::Busy));
        assert!(refused.unwrap_err().nothing_taken());
        go.send(()).unwrap();
        wait_for(|| room.link().flush().unwrap().then_some(()));
        assert_eq!(room.link().send(b"an order"), Ok(Sent::All));
        expected.extend_from_slice(b"an order");
        room.link().close();
        // `read_to_end` succeeds only after a proper goodbye.
        assert!(server.join().unwrap() == expected, "what the server read differs");
    }

    #[test]
    fn a_goodbye_is_heard_though_the_socket_stays_open() {
        let authority = Authority::new();
        let (go, wait) = mpsc::channel::<()>();
        let (port, server) =
            serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
                stream.conn.complete_io(&mut stream.sock).unwrap();
                // One segment: the last words and the goodbye.
                stream.conn.writer().write_all(b"last words").unwrap();
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).unwrap();
                wait.recv().unwrap();
            });
        let mut room = Room::new(dial(&authority, port, 4_096, 4_096));
        room.run(|_| false);
        assert_eq!(room.link().inbound(), b"last words");
        assert_eq!(room.end, Some(LinkError::Closed { peer: format!("127.0.0.1:{port}") }));
        go.send(()).unwrap();
        server.join().unwrap();
    }

    #[test]
    fn an_end_without_goodbye_is_told_after_what_came_before() {
        let authority = Authority::new();
        let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), |stream| {
            stream.write_all(b"half a mess").unwrap();
            // Dropped without `close_notify`.
        });
        let mut room = Room::new(dial(&authority, port, 4_096, 4_096));
        room.run(|_| false);
        assert_eq!(room.link().inbound(), b"half a mess");
        let expected = LinkError::Truncated { peer: format!("127.0.0.1:{port}") };
        assert_eq!(room.end, Some(expected));
        server.join().unwrap();
    }

    #[test]
    fn a_message_larger_than_the_limit_ends_the_link() {
        let authority = Authority::new();
        let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), |stream| {
            // The client hangs up in the middle of it.
            let _ = stream.write_all(&body(200_000));
        });
        let mut room = Room::new(dial(&authority, port, 1_000, 50_000));
        room.run(|_| false);
        assert_eq!(room.link().inbound(), &body(200_000)[..50_000]);
        assert_eq!(room.end, Some(LinkError::TooMuch { peer: format!("127.0.0.1:{port}"), max: 50_000 }));
        drop(room);
        server.join().unwrap();
    }

    #[test]
    fn a_link_keeps_its_bytes_when_it_moves_to_another_room() {
        let authority = Authority::new();
        let (go, wait) = mpsc::channel::<()>();
        let (port, server) =
            serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
                stream.write_all(&body(3_000)).unwrap();
                wait.recv().unwrap();
                stream.write_all(b"after").unwrap();
            });
        // The first room's buffer holds less than the record: the rest stays inside rustls.
        let mut clerk = Room::new(dial(&authority, port, 1_000, 6_000));
        clerk.run(|link| !link.inbound().is_empty());
        let slot = clerk.links.slots().next().unwrap();
        let link = clerk.links.remove(slot).unwrap();
        assert_eq!(clerk.links.slots().count(), 0);

        // No new byte arrives, so no edge will tell the second room.
        let mut trader = std::thread::spawn(move || {
            let mut trader = Room::new(link);
            trader.run(|link| link.inbound().len() == 3_000);
            trader
        })
        .join()
        .unwrap();
        assert!(trader.link().inbound() == body(3_000));
        go.send(()).unwrap();
        trader.run(|link| link.inbound().ends_with(b"after"));
        assert_eq!(trader.end, None);
        server.join().unwrap();
    }

    #[test]
    fn a_small_buffer_gets_a_large_record_piece_by_piece() {
        let authority = Authority::new();
        let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), |stream| {
            stream.write_all(&body(300_000)).unwrap();
        });
        let mut room = Room::new(dial(&authority, port, 700, 700));
        let mut got = Vec::new();
        room.run(|link| {
            got.extend_from_slice(link.inbound());
            link.consume(usize::MAX);
            false
        });
        assert!(got == body(300_000), "{} bytes", got.len());
        server.join().unwrap();
    }

    #[test]
    fn certificates_that_do_not_hold_are_refused_in_words() {
        let authority = Authority::new();
        let every = rustls::ALL_VERSIONS;

        let unknown = end_of_handshake(Authority::new().server("localhost", every, |_| ()), &authority);
        assert!(matches!(unknown, LinkError::CertificateUnknown { .. }), "{unknown:?}");
        assert!(unknown.to_string().contains("--ca FILE"), "{unknown}");

        let name = end_of_handshake(authority.server("elsewhere.example", every, |_| ()), &authority);
        assert!(matches!(name, LinkError::CertificateName { .. }), "{name:?}");
        assert!(name.to_string().contains("elsewhere.example"), "{name}");

        let expired = authority.server("localhost", every, |params| {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        });
        let expired = end_of_handshake(expired, &authority);
        assert!(matches!(expired, LinkError::CertificateExpired { .. }), "{expired:?}");
        assert!(expired.to_string().contains("clock"), "{expired}");
    }

    #[test]
    fn a_server_that_speaks_no_tls_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let mut room = Room::new(dial(&Authority::new(), port, 4_096, 4_096));
        room.run(|_| false);
        assert!(matches!(room.end, Some(LinkError::Tls { .. })), "{:?}", room.end);
        server.join().unwrap();
    }

    #[test]
    fn trust_needs_a_certificate() {
        assert_eq!(TlsTrust::from_pem(b"nothing").unwrap_err(), TrustError::Empty);
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(TlsTrust::from_pem(broken), Err(TrustError::Unreadable { .. })));
        TlsTrust::public().unwrap();
    }
}
