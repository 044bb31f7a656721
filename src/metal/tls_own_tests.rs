//! A connection in our hands against rustls' server in memory, and against a server that says whatever we like.
//!
//! Owns:  both servers; the slow twin (rustls' own client) that must read the same.

use std::sync::Arc;

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};

use super::*;
use crate::metal::tls_record::RECORD_MAX;
use crate::metal::tls_rustls::{Rustls, Step};

const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Both sides' configurations, of one suite; `ours`: whether the client is taken over.
fn configs(suite: CipherSuite, ours: bool) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|known| known.suite() == suite);
    let provider = Arc::new(provider);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["box".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = ours;
    (Arc::new(client), Arc::new(server))
}

fn client(config: &Arc<ClientConfig>) -> Rustls {
    Rustls::new(config, ServerName::try_from("box").unwrap()).unwrap()
}

fn feed(rustls: &mut Rustls, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let spare = rustls.spare();
        let n = bytes.len().min(spare.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        rustls.gained(n);
        bytes = &bytes[n..];
    }
}

fn server_read(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut got = Vec::new();
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets()?;
        let mut piece = [0; 4_096];
        while let Ok(n @ 1..) = server.reader().read(&mut piece) {
            got.extend_from_slice(&piece[..n]);
        }
    }
    Ok(got)
}

fn server_says(server: &mut ServerConnection) -> Vec<u8> {
    let mut said = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut said).unwrap();
    }
    said
}

/// Brings both sides through the handshake; the server's tickets are left in its own hands.
fn agree(client: &mut Rustls, server: &mut ServerConnection) -> Step {
    let mut out = Vec::new();
    server.set_buffer_limit(None);
    for _ in 0..10 {
        let step = client.advance(None, &mut out).unwrap();
        server_read(server, &std::mem::take(&mut out)).unwrap();
        if step != Step::Agreeing {
            return step;
        }
        feed(client, &server_says(server));
    }
    panic!("no end of the handshake");
}

/// Our side and rustls' server.
struct Pair {
    own: Own,
    inbound: Inbound,
    out: Vec<u8>,
    server: ServerConnection,
}

impl Pair {
    fn new(suite: CipherSuite) -> Self {
        let (client_config, server_config) = configs(suite, true);
        Self::of(&client_config, server_config)
    }

    fn of(client_config: &Arc<ClientConfig>, server_config: Arc<ServerConfig>) -> Self {
        let mut client = client(client_config);
        let mut server = ServerConnection::new(server_config).unwrap();
        assert_eq!(agree(&mut client, &mut server), Step::Ours);
        let (own, raw) = client.into_own().unwrap();
        assert!(raw.is_empty());
        let mut inbound = Inbound::new(100, 1 << 20);
        inbound.expect_records(RECORD_MAX);
        Self { own, inbound, out: Vec::new(), server }
    }

    /// These bytes come, in pieces of at most `piece`; how it ended.
    fn hear(&mut self, bytes: &[u8], piece: usize) -> Option<End> {
        hear(&mut self.own, &mut self.inbound, &mut self.out, bytes, piece)
    }

    fn server_says(&mut self, text: &[u8]) -> Vec<u8> {
        self.server.writer().write_all(text).unwrap();
        server_says(&mut self.server)
    }

    /// What the server reads of all that we sealed.
    fn server_hears(&mut self) -> Vec<u8> {
        server_read(&mut self.server, &std::mem::take(&mut self.out)).unwrap()
    }

    fn says(&mut self, text: &[u8]) {
        self.own.seal(text, &mut self.out).unwrap();
    }
}

fn hear(
    own: &mut Own,
    inbound: &mut Inbound,
    out: &mut Vec<u8>,
    mut bytes: &[u8],
    piece: usize,
) -> Option<End> {
    while !bytes.is_empty() {
        assert!(inbound.make_room(), "{} held", inbound.held().len());
        let spare = inbound.spare();
        let n = bytes.len().min(spare.len()).min(piece);
        spare[..n].copy_from_slice(&bytes[..n]);
        inbound.gained_raw(n);
        bytes = &bytes[n..];
        let before = inbound.held().len();
        let (gained, end) = own.open(inbound, out);
        assert_eq!(inbound.held().len(), before + gained);
        if end.is_some() {
            return end;
        }
    }
    None
}

/// Bytes that show a loss or a swap.
fn body(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

// ───────────────────────────── against rustls ─────────────────────────────

#[test]
fn every_suite_goes_both_ways_whatever_the_size() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        for size in [1, 15, 16, 17, 410, 16_384, 16_385, 100_000] {
            let said = pair.server_says(&body(size));
            assert_eq!(pair.hear(&said, usize::MAX), None);
            assert!(pair.inbound.held() == body(size), "{suite:?}: {size} bytes to us");
            pair.inbound.consume(usize::MAX);
            pair.says(&body(size));
            assert!(pair.server_hears() == body(size), "{suite:?}: {size} bytes from us");
        }
    }
}

/// However often the way of a record is gone in between, the next opens; its text is there to be looked at once more
/// until something else lies in its place.
#[test]
fn nothing_comes_of_a_dry_read() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let tickets = server_says(&mut pair.server);
        assert_eq!(pair.hear(&tickets, usize::MAX), None);
        assert!(pair.inbound.last().is_empty(), "a ticket is nobody's text");
        for size in [1, 15, 16, 17, 180, 410, 16_384] {
            let said = pair.server_says(&body(size));
            assert_eq!(pair.hear(&said, usize::MAX), None);
            assert!(pair.inbound.last().is_empty(), "it is not over");
            pair.own.dry(size);
            pair.inbound.consume(usize::MAX);
            for _ in 0..3 {
                assert_eq!(pair.inbound.last(), body(size));
                pair.own.dry(size);
            }
            let said = pair.server_says(&body(300));
            assert_eq!(pair.hear(&said[..100], usize::MAX), None);
            assert!(pair.inbound.last().is_empty(), "the next lies in its place");
            pair.own.dry(300);
            assert_eq!(pair.hear(&said[100..], usize::MAX), None);
            let said = pair.server_says(b"behind it");
            assert_eq!(pair.hear(&said, usize::MAX), None);
            assert!(
                pair.inbound.held() == [&body(300)[..], b"behind it"].concat(),
                "{suite:?}: {size} bytes"
            );
            pair.inbound.consume(usize::MAX);
            assert_eq!(pair.inbound.last(), b"behind it");
            pair.says(b"as before");
            assert_eq!(pair.server_hears(), b"as before");
        }
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let texts = [&b"first"[..], &body(300), b"", b"third"];
    for first in 1..460 {
        // Tickets, texts, and a goodbye.
        let mut pair = Pair::new(SUITES[0]);
        let mut wire = Vec::new();
        for text in texts {
            wire.extend(pair.server_says(text));
        }
        pair.server.send_close_notify();
        wire.extend(server_says(&mut pair.server));
        let (head, tail) = wire.split_at(first.min(wire.len()));
        assert_eq!(pair.hear(head, usize::MAX), None, "cut at {first}");
        assert_eq!(pair.hear(tail, usize::MAX), Some(End::Goodbye), "cut at {first}");
        assert_eq!(pair.inbound.held(), texts.concat(), "cut at {first}");
    }
    let mut pair = Pair::new(SUITES[0]);
    let wire = pair.server_says(&body(2_000));
    assert_eq!(pair.hear(&wire, 1), None);
    assert_eq!(pair.inbound.held(), body(2_000));
}

#[test]
fn keys_change_when_the_server_asks_and_it_is_answered() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        for round in 0..5 {
            pair.says(b"before");
            assert_eq!(pair.server_hears(), b"before");
            let turn = pair.own.next();
            // rustls' own change asks for ours.
            pair.server.refresh_traffic_keys().unwrap();
            let said = pair.server_says(b"under the next key");
            assert_eq!(pair.hear(&said, usize::MAX), None);
            assert_eq!(pair.inbound.held(), b"under the next key");
            pair.inbound.consume(usize::MAX);
            assert!(!pair.out.is_empty(), "the answer");
            assert_eq!(pair.own.next(), Turn { epoch: turn.epoch + 1, sequence: 0 }, "round {round}");
            assert!(!pair.own.spend(turn), "what was sealed ahead is void");
            pair.says(b"after");
            assert_eq!(pair.server_hears(), b"after");
        }
    }
}

#[test]
fn a_worn_key_is_changed_by_us() {
    let mut pair = Pair::new(SUITES[0]);
    pair.own.wear_out_after(3);
    for n in 0..20u8 {
        pair.says(&[n; 10]);
        assert_eq!(pair.server_hears(), [n; 10]);
    }
    assert_eq!(pair.own.next().epoch, 6);
    // One send of many records, across several changes.
    pair.says(&body(200_000));
    assert!(pair.server_hears() == body(200_000));
    let said = pair.server_says(b"still there");
    assert_eq!(pair.hear(&said, usize::MAX), None);
    assert_eq!(pair.inbound.held(), b"still there");
}

#[test]
fn our_goodbye_is_understood() {
    let mut pair = Pair::new(SUITES[1]);
    pair.says(b"last words");
    pair.own.say_goodbye(&mut pair.out);
    assert_eq!(pair.server_hears(), b"last words");
    assert!(pair.server.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_ticket_makes_the_next_handshake_a_short_one() {
    let (client_config, server_config) = configs(SUITES[0], true);
    let mut pair = Pair::of(&client_config, Arc::clone(&server_config));
    let said = pair.server_says(b"behind the tickets");
    assert_eq!(pair.hear(&said, 7), None);
    assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Full));
    drop(pair);
    let mut pair = Pair::of(&client_config, server_config);
    assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Resumed));
    pair.says(b"again");
    assert_eq!(pair.server_hears(), b"again");
}

#[test]
fn a_record_again_ends_it_and_the_server_is_told_why() {
    let mut pair = Pair::new(SUITES[2]);
    let said = pair.server_says(b"sell one");
    assert_eq!(pair.hear(&said, usize::MAX), None);
    let end = pair.hear(&said, usize::MAX);
    assert!(matches!(end, Some(End::Flaw(flaw)) if flaw.alert == AlertDescription::BadRecordMac), "{end:?}");
    let told = server_read(&mut pair.server, &pair.out.clone()).unwrap_err();
    assert_eq!(told, rustls::Error::AlertReceived(AlertDescription::BadRecordMac));
}

#[test]
fn what_was_sealed_ahead_reads_like_any_other_record() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let (mut a, mut b) = (ArrayVec::<u8, 600>::new(), ArrayVec::<u8, 600>::new());
        let turn = pair.own.ahead(&body(400), &mut a).unwrap();
        assert_eq!(pair.own.ahead(b"another", &mut b), Some(turn));
        assert_eq!(pair.own.ahead(&body(600), &mut b), None, "too long for its place");
        pair.own.ahead(b"another", &mut b).unwrap();
        assert!(pair.own.spend(turn));
        pair.out.extend_from_slice(&a);
        pair.says(b"behind it");
        assert_eq!(pair.server_hears(), [&body(400)[..], b"behind it"].concat());
        assert!(!pair.own.spend(turn));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One bit wrong anywhere: what was read before stays right, nothing wrong is ever read.
    #[test]
    fn a_wrong_bit_is_never_read(at: prop::sample::Index, bit in 0u8..8, piece in 1usize..500) {
        let mut pair = Pair::new(SUITES[0]);
        let mut wire = Vec::new();
        for n in 0..4 {
            wire.extend(pair.server_says(&body(100 * n + 20)));
        }
        let whole = (0..4).flat_map(|n| body(100 * n + 20)).collect::<Vec<_>>();
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        let end = pair.hear(&wire, piece);
        let held = pair.inbound.held();
        prop_assert!(whole.starts_with(held) && held.len() < whole.len());
        // A longer length waits for bytes that never come.
        prop_assert!(matches!(end, Some(End::Flaw(_)) | None));
    }

    /// Whatever the server does and however it is cut, our side and rustls' own read the same and end the same.
    #[test]
    fn we_read_what_rustls_reads(
        deeds in prop::collection::vec((0u8..5, 0usize..20_000), 1..30), piece in 1usize..30_000, suite in 0usize..3,
    ) {
        let mut pair = Pair::new(SUITES[suite]);
        let (twin_config, server_config) = configs(SUITES[suite], false);
        let mut twin = client(&twin_config);
        let mut twin_server = ServerConnection::new(server_config).unwrap();
        prop_assert_eq!(agree(&mut twin, &mut twin_server), Step::Open);
        let (mut said, mut heard, mut twin_heard) = (Vec::new(), Vec::new(), Vec::new());
        let mut twin_out = Vec::new();
        for (deed, n) in deeds {
            let mut wires = [Vec::new(), Vec::new()];
            for (server, wire) in [&mut pair.server, &mut twin_server].into_iter().zip(&mut wires) {
                match deed {
                    0 => server.refresh_traffic_keys().unwrap(),
                    1 => server.writer().write_all(&body(n % 200)).unwrap(),
                    _ => server.writer().write_all(&body(n)).unwrap(),
                }
                *wire = server_says(server);
            }
            said.extend(match deed { 0 => Vec::new(), 1 => body(n % 200), _ => body(n) });
            prop_assert_eq!(pair.hear(&wires[0], piece), None);
            heard.extend_from_slice(pair.inbound.held());
            pair.inbound.consume(usize::MAX);
            for cut in wires[1].chunks(piece) {
                feed(&mut twin, cut);
                prop_assert_eq!(twin.advance(None, &mut twin_out), Ok(Step::Open));
            }
            let mut room = vec![0; 1 << 20];
            let fetched = twin.fetch(&mut room);
            twin_heard.extend_from_slice(&room[..fetched]);
            // And back, behind an answer to a change of keys.
            let text = body(n % 700 + 1);
            pair.says(&text);
            prop_assert_eq!(pair.server_hears(), text.clone());
            twin.advance(Some(&text), &mut twin_out).unwrap();
            prop_assert_eq!(server_read(&mut twin_server, &std::mem::take(&mut twin_out)).unwrap(), text);
        }
        prop_assert!(heard == said && twin_heard == said);
        for server in [&mut pair.server, &mut twin_server] {
            server.send_close_notify();
        }
        let goodbyes = [server_says(&mut pair.server), server_says(&mut twin_server)];
        prop_assert_eq!(pair.hear(&goodbyes[0], piece), Some(End::Goodbye));
        feed(&mut twin, &goodbyes[1]);
        twin.advance(None, &mut twin_out).unwrap();
        prop_assert!(twin.closed);
    }
}

// ───────────────────────────── against a server that says anything ─────────────────────────────

/// A server whose records we make ourselves.
struct Forger {
    own: Own,
    inbound: Inbound,
    out: Vec<u8>,
    sealing: Sealing,
    opening: Opening,
    kernel: KernelConnection<ServerConnectionData>,
}

impl Forger {
    fn new() -> Self {
        let (client_config, server_config) = configs(SUITES[0], true);
        let mut client = client(&client_config);
        let mut server = UnbufferedServerConnection::new(server_config).unwrap();
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut step = Step::Agreeing;
        for _ in 0..40 {
            if step == Step::Agreeing {
                step = client.advance(None, &mut to_server).unwrap();
            }
            let UnbufferedStatus { discard, state } = server.process_tls_records(&mut to_server);
            let mut done = false;
            match state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut piece = vec![0; 20_000];
                    let n = data.encode(&mut piece).unwrap();
                    to_client.extend_from_slice(&piece[..n]);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => done = step == Step::Ours,
                _ => {}
            }
            to_server.drain(..discard);
            feed(&mut client, &std::mem::take(&mut to_client));
            if done {
                break;
            }
        }
        let (secrets, kernel) = server.dangerous_into_kernel_connection().unwrap();
        let (mut own, raw) = client.into_own().unwrap();
        let mut inbound = Inbound::new(100, 1 << 20);
        inbound.expect_records(RECORD_MAX);
        let mut out = Vec::new();
        // Its tickets.
        assert_eq!(hear(&mut own, &mut inbound, &mut out, &raw, usize::MAX), None);
        let sealing = Sealing::new(secrets.tx, 0, u64::MAX).unwrap();
        Self { own, inbound, out, sealing, opening: Opening::new(secrets.rx).unwrap(), kernel }
    }

    /// One record with this inner type.
    fn says(&mut self, kind: u8, text: &[u8]) -> Option<End> {
        let mut wire = Vec::new();
        self.sealing.seal(kind, text, &mut wire).unwrap();
        hear(&mut self.own, &mut self.inbound, &mut self.out, &wire, usize::MAX)
    }

    /// Why the record was refused, and that we said so.
    fn refused(mut self, kind: u8, text: &[u8]) -> AlertDescription {
        match self.says(kind, text) {
            Some(End::Flaw(flaw)) => {
                let told = self.hears().pop();
                assert_eq!(told, Some((content::ALERT, vec![2, u8::from(flaw.alert)])));
                flaw.alert
            }
            other => panic!("{other:?}"),
        }
    }

    /// What we sent.
    fn hears(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut wire = std::mem::take(&mut self.out);
        let mut rest = &mut wire[..];
        let mut heard = Vec::new();
        while let Some(opened) = self.opening.open(rest).unwrap() {
            heard.push((opened.kind, rest[opened.text.clone()].to_vec()));
            rest = &mut rest[opened.record..];
        }
        assert!(rest.is_empty());
        heard
    }

    fn ticket(n: u8) -> Vec<u8> {
        // Lifetime, age, nonce, ticket, no extensions (§4.6.1).
        let body = [&[0, 0, 1, 0, 1, 2, 3, 4, 1, 0, 0, 3, n, n, n, 0, 0][..]].concat();
        [&[NEW_SESSION_TICKET, 0, 0, body.len() as u8][..], &body].concat()
    }
}

#[test]
fn messages_may_share_records_and_be_spread_over_them() {
    let mut forger = Forger::new();
    let both = [Forger::ticket(7), Forger::ticket(8)].concat();
    assert_eq!(forger.says(content::HANDSHAKE, &both), None);
    assert_eq!(forger.own.ticket[12..15], [8; 3], "the newer one is kept");
    for byte in Forger::ticket(9) {
        assert_eq!(forger.says(content::HANDSHAKE, &[byte]), None);
    }
    assert_eq!(forger.own.ticket[12..15], [9; 3]);
    assert_eq!(forger.says(content::DATA, b"quote"), None);
    assert_eq!(forger.inbound.held(), b"quote");
}

#[test]
fn a_change_of_keys_alone_is_taken_and_only_an_asked_one_is_answered() {
    let mut forger = Forger::new();
    let update = |asks: u8| [KEY_UPDATE, 0, 0, 1, asks];
    assert_eq!(forger.says(content::HANDSHAKE, &update(0)), None);
    assert!(forger.out.is_empty());
    forger.sealing = Sealing::new(forger.kernel.update_tx_secret().unwrap(), 1, u64::MAX).unwrap();
    // Spread over two records, and asking.
    assert_eq!(forger.says(content::HANDSHAKE, &update(1)[..3]), None);
    assert_eq!(forger.says(content::HANDSHAKE, &update(1)[3..]), None);
    forger.sealing = Sealing::new(forger.kernel.update_tx_secret().unwrap(), 2, u64::MAX).unwrap();
    assert_eq!(forger.hears(), [(content::HANDSHAKE, update(0).to_vec())]);
    forger.opening = Opening::new(forger.kernel.update_rx_secret().unwrap()).unwrap();
    assert_eq!(forger.says(content::DATA, b"third key"), None);
    assert_eq!(forger.inbound.held(), b"third key");
    forger.own.seal(b"second key", &mut forger.out).unwrap();
    assert_eq!(forger.hears(), [(content::DATA, b"second key".to_vec())]);
}

#[test]
fn the_old_key_is_dead_after_a_change() {
    let mut forger = Forger::new();
    assert_eq!(forger.says(content::HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0]), None);
    assert_eq!(forger.refused(content::DATA, b"under the old key"), AlertDescription::BadRecordMac);
}

#[test]
fn what_has_no_place_after_the_handshake_ends_it() {
    use AlertDescription as Alert;
    let refused = |kind, text: &[u8]| Forger::new().refused(kind, text);
    // A change of cipher specs, a heartbeat.
    assert_eq!(refused(20, &[1]), Alert::UnexpectedMessage);
    assert_eq!(refused(24, &[1, 0, 0]), Alert::UnexpectedMessage);
    assert_eq!(refused(content::HANDSHAKE, &[]), Alert::UnexpectedMessage);
    // A hello, a request for a certificate.
    for message in [1, 2, 13, 20] {
        assert_eq!(refused(content::HANDSHAKE, &[message, 0, 0, 1, 0]), Alert::UnexpectedMessage);
    }
    assert_eq!(refused(content::HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2]), Alert::IllegalParameter);
    assert_eq!(refused(content::HANDSHAKE, &[KEY_UPDATE, 0, 0, 0]), Alert::DecodeError);
    assert_eq!(refused(content::HANDSHAKE, &[KEY_UPDATE, 0, 0, 2, 0, 0]), Alert::DecodeError);
    let behind = [&[KEY_UPDATE, 0, 0, 1, 0][..], &Forger::ticket(1)].concat();
    assert_eq!(refused(content::HANDSHAKE, &behind), Alert::UnexpectedMessage);
    assert_eq!(refused(content::HANDSHAKE, &[NEW_SESSION_TICKET, 1, 0, 1]), Alert::DecodeError);
    assert_eq!(refused(content::ALERT, &[2]), Alert::DecodeError);
    assert_eq!(refused(content::ALERT, &[]), Alert::DecodeError);
    assert_eq!(refused(content::ALERT, &[1, 0, 0]), Alert::DecodeError);
    for between in [content::DATA, content::ALERT] {
        let mut forger = Forger::new();
        assert_eq!(forger.says(content::HANDSHAKE, &Forger::ticket(1)[..5]), None);
        assert_eq!(forger.refused(between, &[1, 0]), Alert::UnexpectedMessage);
    }
}

#[test]
fn alerts_end_it_by_their_name_and_a_pointless_one_does_not() {
    use AlertDescription as Alert;
    let mut forger = Forger::new();
    assert_eq!(forger.says(content::DATA, b"last words"), None);
    assert_eq!(forger.says(content::ALERT, &[1, u8::from(Alert::UserCanceled)]), None);
    assert_eq!(forger.says(content::ALERT, &[1, 0]), Some(End::Goodbye));
    assert_eq!(forger.inbound.held(), b"last words");
    let told = Forger::new().says(content::ALERT, &[2, u8::from(Alert::InternalError)]);
    assert_eq!(told, Some(End::Told(Alert::InternalError)));
    // Its level means nothing in TLS 1.3 (§6).
    let told = Forger::new().says(content::ALERT, &[1, u8::from(Alert::HandshakeFailure)]);
    assert_eq!(told, Some(End::Told(Alert::HandshakeFailure)));
}

#[test]
fn padding_and_empty_records_are_taken_but_not_for_ever() {
    let mut forger = Forger::new();
    // The type is the last byte that is not zero.
    assert_eq!(forger.says(0, b"padded\x17\0\0\0"), None);
    for _ in 0..5 {
        for _ in 0..IDLE_MAX {
            assert_eq!(forger.says(content::DATA, b""), None);
        }
        assert_eq!(forger.says(content::DATA, b"!"), None);
    }
    assert_eq!(forger.inbound.held(), b"padded!!!!!");
    for _ in 0..IDLE_MAX {
        assert_eq!(forger.says(content::DATA, b""), None);
    }
    assert_eq!(forger.refused(content::DATA, b""), AlertDescription::UnexpectedMessage);
}

#[test]
fn a_plain_record_ends_it() {
    let mut forger = Forger::new();
    let plain = [21, 3, 3, 0, 2, 1, 0];
    let end = hear(&mut forger.own, &mut forger.inbound, &mut forger.out, &plain, usize::MAX);
    assert!(matches!(end, Some(End::Flaw(flaw)) if flaw.alert == AlertDescription::UnexpectedMessage));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes at all: an end or a wait, never a panic, never data.
    #[test]
    fn garbage_is_never_data(bytes in prop::collection::vec(any::<u8>(), 0..400), sized: bool, piece in 1usize..100) {
        let mut forger = Forger::new();
        let mut bytes = bytes;
        if sized && bytes.len() >= 5 {
            let length = (bytes.len() - 5) as u16;
            bytes[..5].copy_from_slice(&[23, 3, 3, (length >> 8) as u8, length as u8]);
        }
        let end = hear(&mut forger.own, &mut forger.inbound, &mut forger.out, &bytes, piece);
        prop_assert!(matches!(end, Some(End::Flaw(_)) | None));
        prop_assert!(!sized || bytes.len() < 5 || end.is_some());
        prop_assert!(forger.inbound.held().is_empty());
    }

    /// Any genuine records: never a panic, and data only from data.
    #[test]
    fn any_records_are_survived(records in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 1..12)) {
        let mut forger = Forger::new();
        let mut whole = Vec::new();
        for (kind, text) in records {
            let kind = 20 + kind % 5;
            if kind == content::DATA {
                whole.extend_from_slice(&text);
            }
            if forger.says(kind, &text).is_some() {
                break;
            }
        }
        prop_assert!(whole.starts_with(forger.inbound.held()));
    }
}
