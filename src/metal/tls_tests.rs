//! Links over TLS on real sockets, against rustls' server: what arrives, what ends a link, and in which words.
//!
//! Owns:  an authority of its own, and servers on threads that each serve one connection.

use std::io::Read;
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
use std::sync::Arc;

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
    dial_with(TlsTrust::from_pem(authority.pem.as_bytes()).unwrap(), port, inbound, inbound_max)
}

fn dial_with(trust: TlsTrust, port: u16, inbound: usize, inbound_max: usize) -> Link {
    let mut dialer = Dialer::real(trust).unwrap();
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
fn two_megabytes_go_both_ways_in_our_hands_and_in_rustls() {
    let (new, old) = (&rustls::version::TLS13, &rustls::version::TLS12);
    for (version, ours) in [(new, true), (new, false), (old, true)] {
        let authority = Authority::new();
        let before = fallbacks();
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
        let mut trust = TlsTrust::from_pem(authority.pem.as_bytes()).unwrap();
        if !ours {
            trust = trust.by_rustls();
        }
        let mut room = Room::new(dial_with(trust, port, 4_096, 4 << 20));
        assert_eq!(room.link().send(b"early"), Err(LinkError::NotOpen));
        room.run(|link| link.inbound() == b"hello");
        assert_eq!(room.link().state(), LinkState::Open);
        room.link().consume(5);
        let own = ours && version == new;
        assert!(own || fallbacks() > before, "one that stays with rustls is counted");
        assert_eq!(room.link().seal_ahead(b"x", None).is_some(), own);

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
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
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
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
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
    // A record is opened whole, so the last one may lie over the limit.
    let held = room.link().inbound();
    assert!((50_000..50_000 + 16_384).contains(&held.len()), "{} bytes", held.len());
    assert!(held == &body(200_000)[..held.len()]);
    assert_eq!(room.end, Some(LinkError::TooMuch { peer: format!("127.0.0.1:{port}"), max: 50_000 }));
    drop(room);
    server.join().unwrap();
}

#[test]
fn a_link_keeps_its_bytes_when_it_moves_to_another_room() {
    let authority = Authority::new();
    let (go, wait) = mpsc::channel::<()>();
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
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

#[test]
fn what_was_sealed_ahead_leaves_once_and_only_in_its_turn() {
    let authority = Authority::new();
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), |stream| {
        stream.write_all(b"!").unwrap();
        let mut got = vec![0; 16];
        stream.read_exact(&mut got).unwrap();
        // Asks for a change of keys, and goes on under the new ones.
        stream.conn.refresh_traffic_keys().unwrap();
        stream.write_all(b"!").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        [got, rest].concat()
    });
    let mut room = Room::open(dial(&authority, port, 4_096, 4_096));
    room.run(|link| link.inbound() == b"!");
    let link = room.link();
    let [a, b, c] =
        [b"order a, ", b"order b, ", b"order c, "].map(|text| link.seal_ahead(text, None).unwrap());
    assert!(link.is_sealed(&a) && link.is_sealed(&b));
    assert_eq!(link.send_sealed(b), Ok(Some(Sent::All)));
    assert!(!link.is_sealed(&a), "its turn is over");
    assert_eq!(link.send_sealed(a), Ok(None));
    let d = link.seal_ahead(b"order d, ", None).unwrap();
    assert_eq!(link.send(b"a ping."), Ok(Sent::All));
    assert_eq!(link.send_sealed(c), Ok(None));
    assert_eq!(link.send_sealed(d), Ok(None), "the ping went first");

    let e = link.seal_ahead(b"order e, ", None).unwrap();
    room.run(|link| link.inbound() == b"!!");
    let link = room.link();
    assert_eq!(link.send_sealed(e), Ok(None), "under a key that is gone");
    let f = link.seal_ahead(b"order f, ", None).unwrap();
    let g = link.seal_ahead(b"order g.", Some(f)).unwrap();
    assert_eq!(link.send_sealed(g), Ok(Some(Sent::All)));
    room.link().close();
    assert_eq!(server.join().unwrap(), b"order b, a ping.order g.");
}

#[test]
fn behind_a_rest_nothing_sealed_ahead_goes() {
    let authority = Authority::new();
    let (go, wait) = mpsc::channel::<()>();
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
        stream.write_all(b"!").unwrap();
        wait.recv().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    let mut room = Room::open(dial(&authority, port, 4_096, 4_096));
    let mut expected = Vec::new();
    // Sealed ones until the kernel's buffers are full: the last leaves in part.
    let queued = loop {
        let message = body(1_000);
        let sealed = room.link().seal_ahead(&message, None).unwrap();
        expected.extend_from_slice(&message);
        if let Some(Sent::Part { queued }) = room.link().send_sealed(sealed).unwrap() {
            break queued;
        }
    };
    assert!((1..=1_022).contains(&queued), "{queued}");
    assert!(room.link().seal_ahead(b"an order", None).is_none());
    assert_eq!(room.link().send(b"an order"), Err(LinkError::Busy));
    go.send(()).unwrap();
    wait_for(|| room.link().flush().unwrap().then_some(()));
    let sealed = room.link().seal_ahead(b"an order", None).unwrap();
    assert_eq!(room.link().send_sealed(sealed), Ok(Some(Sent::All)));
    expected.extend_from_slice(b"an order");
    room.link().close();
    assert!(server.join().unwrap() == expected, "what the server read differs");
}

/// An order cut short whose time is over (F16), or that was overtaken by the kill latch (I6): its link is closed, and
/// though the kernel would take the rest now, nothing more of it leaves.
#[test]
fn what_has_not_left_when_a_link_is_closed_never_leaves() {
    let authority = Authority::new();
    let (go, wait) = mpsc::channel::<()>();
    let (port, server) = serve(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()), move |stream| {
        stream.write_all(b"!").unwrap();
        wait.recv().unwrap();
        let (mut got, mut some) = (0, [0; 4_096]);
        // What is cut short ends in an error, not in a goodbye.
        loop {
            match stream.read(&mut some) {
                Ok(0) | Err(_) => break got,
                Ok(n) => got += n,
            }
        }
    });
    let mut room = Room::open(dial(&authority, port, 4_096, 4_096));
    let mut whole = 0;
    while room.link().send(&body(1_000)).unwrap() == Sent::All {
        whole += 1_000;
    }
    // The server reads on, so the kernel has room again before the link is closed.
    go.send(()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    room.link().close();
    drop(room);
    assert_eq!(server.join().unwrap(), whole, "the last message was cut short, and none of it may be read");
}

#[test]
fn the_next_link_to_the_same_host_is_agreed_by_ticket() {
    let authority = Authority::new();
    let config = Arc::new(authority.server("localhost", rustls::ALL_VERSIONS, |_| ()));
    let trust = TlsTrust::from_pem(authority.pem.as_bytes()).unwrap();
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (port, server) = serve(ServerConfig::clone(&config), move |stream| {
            stream.write_all(b"!").unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            assert_eq!(stream.conn.handshake_kind(), Some(kind));
        });
        let mut room = Room::open(dial_with(trust.clone(), port, 4_096, 4_096));
        room.run(|link| link.inbound() == b"!");
        room.link().close();
        drop(room);
        server.join().unwrap();
    }
}
