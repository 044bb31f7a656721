//! From the ciphertext of a quote to the order in the kernel's hands: our records against rustls', side by side.
//!
//! Owns:  one loopback server of its own, the variants, and the arithmetic of the comparison.
//! Never: compares figures of two runs: every round tries every variant in an order of its own, on links that live
//!        through all rounds, and the ratios are taken within rounds.
//! Quirk: server and engine side take turns on one thread, so nothing is scheduled in between; `recv` and `send`
//!        are in every figure, and what is left of them alone is the variant `plain`.
//! Run:   `cargo bench --bench path [-- ROUNDS]` (default 60 rounds of 200).
#![allow(clippy::unwrap_used)] // a bench may fail loudly

mod rounds;

use contango::agents::trader::pen::{ENTRY_COLLAR_PPM, Paper, Prepared, Wanted};
use contango::event::{Fold, Instruments, Made, Quote};
use contango::metal::dial::{DialRequest, Dialer};
use contango::metal::link::{Link, LinkState, Sent};
use contango::metal::tls::TlsTrust;
use contango::units::{
    Class, ClientId, InstrumentId, LegKind, LinkId, Nanos, Price, Qty, Side, Unix, VenueId,
};
use contango::venue::binance::VENUE;
use contango::venue::{Heard, Key, OrderForm, Scratch, Symbols};
use contango::wire::ws;
use rounds::{Dice, median, paired, tell_ratio};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

const TRIES: usize = 200;
const WARM_UP: usize = 500;

/// How the order's bytes come to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Sealed,
    Prepared,
    Signed,
}

/// Who looks after the records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Records {
    None,
    Rustls,
    Ours,
}

const VARIANTS: [(&str, Records, Order); 6] = [
    ("plain, signed ahead", Records::None, Order::Prepared),
    ("rustls, signed ahead", Records::Rustls, Order::Prepared),
    ("rustls, signed at fire", Records::Rustls, Order::Signed),
    ("ours, sealed ahead", Records::Ours, Order::Sealed),
    ("ours, signed ahead, sealed at fire", Records::Ours, Order::Prepared),
    ("ours, signed and sealed at fire", Records::Ours, Order::Signed),
];

trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

/// One connection and the server's end of it.
struct Line {
    link: Link,
    peer: Box<dyn Peer>,
}

struct Server {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    trust: TlsTrust,
}

impl Server {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
                .unwrap();
        // Every handshake alike.
        config.send_tls13_tickets = 0;
        let trust = TlsTrust::from_pem(certificate.pem().as_bytes()).unwrap();
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), config: Arc::new(config), trust }
    }

    fn line(&self, records: Records) -> Line {
        let trust = if records == Records::Rustls { self.trust.by_rustls() } else { self.trust.clone() };
        let mut dialer = Dialer::real(trust).unwrap();
        let tls = records != Records::None;
        let name = "localhost".to_owned();
        let (host, port) = ("127.0.0.1".to_owned(), self.listener.local_addr().unwrap().port());
        let (inbound, inbound_max) = (1 << 16, 1 << 20);
        dialer.request(DialRequest { ticket: 1, host, port, server_name: name, tls, inbound, inbound_max });
        let socket: TcpStream = self.listener.accept().unwrap().0;
        socket.set_nodelay(true).unwrap();
        let mut link = loop {
            match dialer.poll() {
                Some((_, link)) => break link.unwrap(),
                None => std::thread::yield_now(),
            }
        };
        if !tls {
            return Line { link, peer: Box::new(socket) };
        }
        let config = Arc::clone(&self.config);
        let serving = std::thread::spawn(move || {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            stream
        });
        while link.state() != LinkState::Open || !serving.is_finished() {
            link.recv().unwrap();
        }
        Line { link, peer: Box::new(serving.join().unwrap()) }
    }
}

/// The engine's side, with as much of the rooms as decides.
struct Desk {
    instruments: Instruments,
    symbols: Symbols,
    scratch: Scratch,
    form: OrderForm,
    order: Prepared,
    number: u64,
}

impl Desk {
    fn new() -> Self {
        let instruments = Instruments::one_pair("BTC".try_into().unwrap());
        let symbols = Symbols::new(&instruments, VenueId(0));
        let key = Key::new("k".repeat(64), "s".repeat(64));
        let form = (VENUE.form)(instruments.get(InstrumentId(1)), "fapi.example", &key, 2_000);
        let (scratch, order) = (Scratch::default(), Prepared::blank());
        Self { instruments, symbols, scratch, form, order, number: 0 }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            class: Class::Entry,
            client: ClientId(5_800_000_000_000_000_000 + self.number),
            side: Side::Sell,
            qty: Qty(250),
            reduce_only: false,
            collar_ppm: ENTRY_COLLAR_PPM,
            edge: None,
        }
    }

    fn write(&mut self, quote: &Quote, made: Made) {
        let wanted = self.wanted();
        let instrument = self.instruments.get(InstrumentId(1));
        let stamp = Unix(1_700_000_000_000_000_000 + self.number as i64 * 1_000_000);
        let paper = Paper { form: &self.form, instrument, stamp, mask: None };
        assert!(self.order.write(&paper, quote, &wanted, Nanos(self.number), made));
    }

    /// One quote, one order; how long it took in ns.
    fn fire(&mut self, feed: &mut Line, orders: &mut Line, how: Order) -> u64 {
        self.number += 1;
        let price = 637_214 + (self.number % 7) as i64;
        if how != Order::Signed {
            self.write(&quote_at(price - 1), Made::Prepared);
        }
        if how == Order::Sealed {
            assert!(self.order.seal(&mut orders.link, None));
        }
        feed.peer.write_all(&frame(self.number, price)).unwrap();
        feed.peer.flush().unwrap();
        let fold = Fold { mantissa: 1 << 62, shift: 62 };

        let begun = Instant::now();
        let gained = feed.link.recv().unwrap();
        let frame = ws::next(feed.link.inbound(), 1 << 20).unwrap().unwrap();
        let used = frame.used;
        let heard = (VENUE.decode)(&mut self.scratch, &self.symbols, LegKind::Perp, frame.payload).unwrap();
        let Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, .. } = heard else {
            unreachable!()
        };
        let (link, received) = (LinkId(1), Nanos(self.number));
        let quote = Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received, stamp: None };
        feed.link.consume(used);
        assert!(fold.at_least(black_box(quote.bid), Price(600_000)) && quote.bid_qty >= Qty(250));
        if how == Order::Signed {
            self.write(&quote, Made::Signed);
        }
        let wanted = self.wanted();
        let row = self.instruments.get(InstrumentId(1));
        assert!(self.order.fits(&wanted, row, &quote, Nanos(self.number), 1_000_000_000));
        let sent = match self.order.take_sealed() {
            Some(sealed) => orders.link.send_sealed(sealed).unwrap().unwrap(),
            None => orders.link.send(self.order.bytes()).unwrap(),
        };
        let took = begun.elapsed().as_nanos() as u64;

        assert!(gained == used && sent == Sent::All, "all of it in one piece");
        let mut got = [0; 1_024];
        let got = &mut got[..self.order.bytes().len()];
        orders.peer.read_exact(got).unwrap();
        assert_eq!(got, self.order.bytes(), "the server read another order");
        took
    }
}

fn quote_at(bid: i64) -> Quote {
    Quote {
        instrument: InstrumentId(1),
        link: LinkId(1),
        sequence: 1,
        bid: Price(bid),
        bid_qty: Qty(1_000),
        ask: Price(bid + 1),
        ask_qty: Qty(1_000),
        received: Nanos(1),
        stamp: None,
    }
}

/// A futures book ticker in a server's frame.
fn frame(number: u64, bid: i64) -> Vec<u8> {
    let price = |units: i64| format!("{}.{}0", units / 10, units % 10);
    let text = format!(
        r#"{{"e":"bookTicker","u":{},"s":"BTCUSDT","b":"{}","B":"31.210","a":"{}","A":"40.660","T":1700000000000,"E":1700000000001}}"#,
        400_900_217 + number,
        price(bid),
        price(bid + 1)
    );
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60);
    let server = Server::new();
    let mut desk = Desk::new();
    let mut lines: Vec<[Line; 2]> =
        VARIANTS.iter().map(|(_, records, _)| [server.line(*records), server.line(*records)]).collect();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let medians = paired(rounds, VARIANTS.len(), &mut dice, |at, warming| {
        let [feed, orders] = &mut lines[at];
        let tries = if warming { WARM_UP } else { TRIES };
        median(&mut (0..tries).map(|_| desk.fire(feed, orders, VARIANTS[at].2) as f64).collect::<Vec<_>>())
    });
    println!("{rounds} rounds of {TRIES}; median of the rounds' medians, recv and send included");
    for ((name, ..), medians) in VARIANTS.iter().zip(&medians) {
        println!("{name:<36} {:>7.0} ns", median(&mut medians.clone()));
    }
    println!("ratios within rounds, median and bootstrap interval of 95 %");
    for (above, below) in [(1, 4), (1, 3), (2, 5), (3, 0), (4, 3)] {
        tell_ratio((VARIANTS[above].0, &medians[above]), (VARIANTS[below].0, &medians[below]), &mut dice);
    }
    println!("without the two calls (each round's `plain` taken off)");
    let bare = |at: usize| -> Vec<f64> { medians[at].iter().zip(&medians[0]).map(|(a, b)| a - b).collect() };
    for (at, (name, ..)) in VARIANTS.iter().enumerate().skip(1) {
        println!("{name:<36} {:>7.0} ns more", median(&mut bare(at)));
    }
}
