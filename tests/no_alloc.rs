//! After warm-up nothing is allocated between quote bytes and order bytes: counted, in the real rooms.
//!
//! Owns:  a counting allocator of this test program's own, and the claim. The rooms' links are in memory here;
//!        links over TLS are tried by themselves, and `demo --json` counts both together.
//! Why:   FAULTS I16. Answers, warm-keeping and preparing are the hot rooms' work too, so they count.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use contango::agents::trader::contingent::Legs;
use contango::event::Instruments;
use contango::metal::alloc::{Counting, counted, watch};
use contango::metal::dial::{DialRequest, Dialer};
use contango::metal::link::{Link, LinkState, Sent};
use contango::metal::tls::{TlsTrust, fallbacks};
use contango::rehearse::understudy::Understudy;
use contango::rehearse::{Setup, World};
use contango::units::time::{MS, SEC};
use contango::units::{LegKind, Nanos};
use contango::venue::binance::VENUE;
use contango::venue::{EVERY, Heard, Orders, Scratch, Symbols, pair_up};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_hot_rooms_allocate_nothing_once_warm() {
    // First of all: the counter can count, or a zero would say nothing.
    let start = counted().0;
    watch(true);
    std::hint::black_box(vec![1u8; 100]);
    watch(false);
    assert_eq!(counted().0 - start, 1);

    a_link_over_tls();
    every_private_message_is_read();
    every_quote_is_read();
    an_understudy_trades();
    let (rest, ws) = (Orders::Rest, Orders::Ws);
    for (legs, record, orders) in [
        (Legs::Together, false, rest),
        (Legs::PerpFirst, false, rest),
        (Legs::PerpFirst, true, rest),
        (Legs::Together, false, ws),
        (Legs::PerpFirst, true, ws),
    ] {
        trading(Setup { legs, record, orders, ..Setup::seeded(11) });
    }
    // Logged on, and signed by the other kind of key.
    for orders in [ws, rest] {
        trading(Setup { orders, ..Setup::seeded(11) }.of_ed25519());
    }
}

/// It trades on the hot thread, so it takes no memory there either.
fn an_understudy_trades() {
    let mut understudy = Understudy::new().unwrap();
    let mut turns = |n: u64, from: u64| (from..from + n).for_each(|turn| understudy.keep(Nanos(turn * MS)));
    turns(1_000, 0);
    let before = counted();
    watch(true);
    turns(10_000, 1_000);
    watch(false);
    assert_eq!(counted(), before);
}

/// A quote and an order, ten thousand times, over a real socket: in our hands nothing is allocated, whether the
/// order is sealed ahead or not; where the other side speaks only TLS 1.2, rustls does it, and that is counted.
fn a_link_over_tls() {
    const ROUNDS: usize = 10_000;
    let mut allocated = Vec::new();
    for (version, fell_back) in [(&rustls::version::TLS13, 0), (&rustls::version::TLS12, 1)] {
        let before = fallbacks();
        let (mut link, server) = echo(version);
        for round in 0..ROUNDS + 100 {
            if round == 100 {
                allocated.push(counted());
            }
            watch(true);
            let sealed = link.seal_ahead(&[b'o'; 410], None).filter(|_| round % 2 == 0);
            let sent = match sealed {
                Some(sealed) => link.send_sealed(sealed).unwrap().unwrap(),
                None => link.send(&[b'o'; 410]).unwrap(),
            };
            assert_eq!(sent, Sent::All);
            while link.inbound().len() < 410 {
                link.recv().unwrap();
            }
            watch(false);
            assert_eq!(link.inbound(), [b'o'; 410]);
            link.consume(410);
        }
        allocated.push(counted());
        link.close();
        server.join().unwrap();
        assert_eq!(fallbacks() - before, fell_back);
    }
    let [start, end, rustls_start, rustls_end] = allocated[..] else { unreachable!() };
    assert_eq!(end, start, "allocations (rooms, TLS) in {ROUNDS} rounds");
    assert_eq!(rustls_end.0, rustls_start.0);
    assert!(rustls_end.1 - rustls_start.1 >= ROUNDS as u64, "the counter sees what TLS allocates");
}

/// An open link to a server that sends back what it gets.
fn echo(version: &'static SupportedProtocolVersion) -> (Link, JoinHandle<()>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let mut order = [0; 410];
        while stream.read_exact(&mut order).is_ok() {
            stream.write_all(&order).unwrap();
        }
    });
    let mut dialer = Dialer::real(TlsTrust::from_pem(certificate.pem().as_bytes()).unwrap()).unwrap();
    let name = "localhost".to_owned();
    dialer.request(DialRequest {
        ticket: 1,
        host: "127.0.0.1".to_owned(),
        port,
        server_name: name,
        tls: true,
        inbound: 1 << 16,
        inbound_max: 1 << 20,
    });
    let mut link = loop {
        match dialer.poll() {
            Some((_, link)) => break link.unwrap(),
            None => std::thread::yield_now(),
        }
    };
    while link.state() != LinkState::Open {
        link.recv().unwrap();
        std::thread::yield_now();
    }
    (link, server)
}

/// From the first one on: what reads them has its room from the start.
fn every_private_message_is_read() {
    let symbols = Symbols::new(&Instruments::default(), VENUE.id);
    let mut scratch = Scratch::new();
    let folder = format!("{}/tests/fixtures/binance", env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("futures_user_") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let messages: Vec<&str> = if name.ends_with('l') { text.lines().collect() } else { vec![&text] };
        for message in messages {
            let before = counted().0;
            watch(true);
            let heard = (VENUE.user.decode)(&mut scratch, &symbols, LegKind::Perp, message.as_bytes());
            watch(false);
            assert_eq!(counted().0 - before, 0, "{name}: {heard:?}");
            read += usize::from(heard.is_ok());
        }
    }
    assert!(read >= 15, "{read} messages are too few to prove anything");
}

/// Of the venues that are only looked at, by the scanner and by the general parser alike.
fn every_quote_is_read() {
    let json = |venue: &str, name: &str| -> serde_json::Value {
        let path = format!("{}/tests/fixtures/{venue}/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let wire = r#"{"action":"snapshot","arg":{"instType":"usdt-futures","topic":"books1","symbol":"BTCUSDT"},"data":[{"a":[["76671.3","0.41581"]],"b":[["76671.2","0.5312"]],"checksum":0,"seq":451057506670,"pseq":0,"ts":"1777358880105"}],"ts":1777358880106}"#;
    let bybit = json("bybit", "ws_orderbook1_snapshot").to_string();
    let okx = json("okx", "ws_bbo_tbt_keepalive_same_seq").to_string();
    for (name, listings, quote) in [
        ("bybit", ["rest_instruments_spot", "rest_instruments_linear"], bybit),
        ("okx", ["rest_instruments_spot", "rest_instruments_swap"], okx),
        (
            "bitget",
            ["rest_uta_instruments_spot", "rest_uta_instruments_futures"],
            wire.replace("0.41581", "0.4158"),
        ),
    ] {
        let open = EVERY.iter().find(|open| open.name == name).unwrap();
        let listings = [LegKind::Spot, LegKind::Perp].map(|leg| {
            let mut body = json(name, listings[leg as usize]).to_string().into_bytes();
            (open.read_listing)(leg, &mut body).unwrap()
        });
        let symbols = Symbols::new(&pair_up(1, &listings, None).unwrap(), open.id);
        let mut scratch = Scratch::new();
        for (message, by_hand) in [(quote.clone(), false), (format!(" {quote}"), true)] {
            let before = counted().0;
            watch(true);
            let heard = (open.decode)(&mut scratch, &symbols, LegKind::Perp, message.as_bytes());
            watch(false);
            assert_eq!(counted().0 - before, 0, "{name}: {heard:?}");
            assert!(matches!(heard, Ok(Heard::Quote { fallback, .. }) if fallback == by_hand), "{heard:?}");
        }
    }
}

fn trading(setup: Setup) {
    let mut world = World::new(&setup).unwrap();
    let Setup { legs, record, orders, .. } = setup;
    assert!(world.run_until_live());
    world.run_for(5 * SEC);
    let (fired, quotes) = (world.shadow().totals.sent, world.reader().quotes);
    let beaten = world.trader().feed_before_ack;
    world.watch(true);
    let before = counted();
    world.run_for(20 * SEC);
    let after = counted();
    world.watch(false);
    let sent = world.shadow().totals.sent - fired;
    let read = world.reader().quotes - quotes;
    assert!(sent >= 40 && read >= 5_000, "{sent} orders on {read} quotes: too few to prove anything");
    assert!(world.trader().feed_before_ack >= beaten + 5, "private events were read");
    assert_eq!(
        after.0 - before.0,
        0,
        "{legs:?}, {orders:?}, recorded {record}: allocations on {read} quotes and {sent} orders"
    );

    let most = calls_per_order(&world);

    // A disk that stalls is the cold rooms' matter: exits still leave, nothing is allocated for them, and they ask
    // no more of the kernel than before.
    let exits = world.shadow().totals.closed;
    world.hold_syncs(true);
    world.watch(true);
    world.run_for(5 * SEC);
    world.watch(false);
    assert!(world.shadow().totals.closed > exits, "nothing was closed meanwhile");
    assert_eq!(counted().0 - after.0, 0, "allocations while the journal stalled");
    assert!(calls_per_order(&world) <= most, "{:?}: {most:?} before", world.firing());
}

/// The most writes an order and the most reads a turn took, of the turns in which orders left.
fn calls_per_order(world: &World) -> [u64; 2] {
    let firing = world.firing();
    assert!(firing.len() >= 2, "too few turns to say anything");
    let most = |of: fn(&[u64; 3]) -> u64| firing.iter().map(of).max().unwrap();
    let most = [most(|[orders, writes, _]| writes.div_ceil(*orders)), most(|[.., reads]| *reads)];
    assert_eq!(most[0], 1, "one write an order: {firing:?}");
    most
}
