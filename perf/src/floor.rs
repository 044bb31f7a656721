//! The floors: receive, compare a byte, send fixed bytes on two sockets. Whatever trades has to do at least this.
//!
//! Owns:  three links of the engine's own kind, and nothing that could be called a decision.
//! Never: decodes a quote, signs an order, or checks anything: the box refuses its orders, whose signature is made up.
//! Quirk: answers are read only in the first milliseconds after a fire; then it spins on the feed alone.

use super::Fault;
use contango::metal::dial::{DialRequest, Dialer};
use contango::metal::link::{Link, LinkState};
use contango::metal::tls::TlsTrust;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long after a fire answers are read.
pub const ANSWERS: Duration = Duration::from_millis(8);

/// How often the kernel's send path is kept warm (HOTPATH §11.7).
pub const WARM_EVERY: Duration = Duration::from_micros(50);

/// The digit of the perp's bid that differs between quiet and crossing: the fourth.
const DIGIT: usize = 3;

/// How a quote's frame begins: the one fragment of a text, and a length that follows.
const TEXT: [u8; 2] = [0x81, 126];

/// Which floor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Rustls,
    Warm,
}

/// Runs until killed.
pub fn run(kind: &str, ready: &Value) -> Result<(), Fault> {
    let kind = match kind {
        "plain" => Kind::Plain,
        "rustls" => Kind::Rustls,
        "warm" => Kind::Warm,
        other => return Err(format!("floor {other:?} is unknown; there are plain, rustls and warm").into()),
    };
    let at = &ready["venues"]["binance"];
    let url = |name: &str| at[name].as_str().unwrap_or_default();
    let trust = TlsTrust::from_pem(&std::fs::read(ready["ca"].as_str().unwrap_or_default())?)?;
    let trust = if kind == Kind::Rustls { trust.by_rustls() } else { trust };
    let mut dialer = Dialer::real(trust)?;
    let mut feed = dial(&mut dialer, url("usdm_ws"))?;
    let mut orders = [dial(&mut dialer, url("spot_rest"))?, dial(&mut dialer, url("usdm_rest"))?];
    let bytes = [order("/api/v3/order", "BUY"), order("/fapi/v1/order", "SELL")];
    subscribe(&mut feed)?;

    let (place, len, mut last) = learn(&mut feed)?;
    let mut sealed = [None, None];
    let mut warm = (kind == Kind::Warm).then(private_socket).transpose()?;
    let (mut fired, mut warmed) = (Instant::now(), Instant::now());
    let mut after = true;
    loop {
        if feed.recv()? > 0 {
            // Where several have come, the newest counts.
            let inbound = feed.inbound();
            let newest = inbound.len().checked_sub(len).filter(|before| inbound[*before] == TEXT[0]);
            let digit = newest.map_or(last, |before| inbound[before + place]);
            if digit != last {
                for (at, link) in orders.iter_mut().enumerate() {
                    match sealed[at].take() {
                        Some(ready) => drop(link.send_sealed(ready)?),
                        None => drop(link.send(&bytes[at])?),
                    }
                }
                last = digit;
                (fired, after) = (Instant::now(), true);
            }
            feed.consume(feed.inbound().len());
        } else if after {
            for link in &mut orders {
                link.recv()?;
                link.consume(link.inbound().len());
            }
            if fired.elapsed() > ANSWERS {
                after = false;
                if kind == Kind::Warm {
                    for (at, link) in orders.iter_mut().enumerate() {
                        sealed[at] = link.seal_ahead(&bytes[at], None);
                        if sealed[at].is_none() {
                            return Err("this link seals nothing ahead".into());
                        }
                    }
                }
            }
        }
        if let Some((one, other)) = &mut warm
            && warmed.elapsed() > WARM_EVERY
        {
            one.write_all(b"w")?;
            other.read_exact(&mut [0])?;
            warmed = Instant::now();
        }
    }
}

pub fn dial(dialer: &mut Dialer, url: &str) -> Result<Link, Fault> {
    let (scheme, address) = url.split_once("://").ok_or("an endpoint is no address")?;
    let (host, port) = address.rsplit_once(':').ok_or("an endpoint has no port")?;
    dialer.request(DialRequest {
        ticket: 1,
        host: host.to_owned(),
        port: port.parse()?,
        server_name: "localhost".to_owned(),
        tls: matches!(scheme, "wss" | "https"),
        inbound: 1 << 16,
        inbound_max: 1 << 20,
    });
    let mut link = loop {
        match dialer.poll() {
            Some((_, link)) => break link?,
            None => std::thread::yield_now(),
        }
    };
    while link.state() != LinkState::Open {
        link.recv()?;
    }
    Ok(link)
}

pub fn subscribe(feed: &mut Link) -> Result<(), Fault> {
    let ask = "GET /public/ws/btcusdt@bookTicker HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    feed.send(ask.as_bytes())?;
    loop {
        feed.recv()?;
        if let Some(at) = feed.inbound().windows(4).position(|four| four == b"\r\n\r\n") {
            if !feed.inbound().starts_with(b"HTTP/1.1 101") {
                return Err(String::from_utf8_lossy(feed.inbound()).into_owned().into());
            }
            feed.consume(at + 4);
            return Ok(());
        }
    }
}

/// Where in a quote's frame the digit is, how long the frame is, and what the digit is now.
fn learn(feed: &mut Link) -> Result<(usize, usize, u8), Fault> {
    feed.consume(feed.inbound().len());
    loop {
        if feed.recv()? == 0 {
            continue;
        }
        let inbound = feed.inbound();
        // One frame and no more: a text of 126 to 65,535 bytes tells its length in its third and fourth.
        let alone = inbound.len() > 4
            && inbound[..2] == TEXT
            && inbound.len() == 4 + usize::from(u16::from_be_bytes([inbound[2], inbound[3]]));
        let found = inbound.windows(5).position(|five| five == b"\"b\":\"");
        if let Some(at) = found.filter(|_| alone) {
            let place = at + 5 + DIGIT;
            let learnt = (place, inbound.len(), inbound[place]);
            feed.consume(learnt.1);
            return Ok(learnt);
        }
        feed.consume(feed.inbound().len());
    }
}

/// An order as long as the engine's.
pub fn order(path: &str, side: &str) -> Vec<u8> {
    format!(
        "POST {path}?symbol=BTCUSDT&side={side}&type=LIMIT&timeInForce=IOC&quantity=0.005&price=100500.0\
         &newClientOrderId=floor-5800000000000000000&newOrderRespType=RESULT&recvWindow=1000\
         &timestamp=1700000000000&signature={} HTTP/1.1\r\nHost: localhost\r\nX-MBX-APIKEY: {}\r\n\
         Content-Length: 0\r\n\r\n",
        "0".repeat(64),
        contango::sim::Config::default().key,
    )
    .into_bytes()
}

pub fn private_socket() -> Result<(TcpStream, TcpStream), Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let other = listener.accept()?.0;
    one.set_nodelay(true)?;
    Ok((one, other))
}
