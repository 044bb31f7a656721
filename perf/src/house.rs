//! A venue for one participant: the exchange in a box behind its own doors, served by the driver's thread alone.
//!
//! Owns:  listeners, connections and their TLS; the two stamps of a trial: before the last of its quotes is written, and
//!        after the read that brought an order to its end.
//! Never: parks (the driver spins on it while its participant is on turn), or lets what it has to do with the first
//!        order delay the stamp of the second: until both are read, nothing is handed to the exchange.
//! Quirk: the quote is sealed before its stamp and orders are opened after theirs, so that the server's own TLS is in
//!        no figure: plaintext and TLS differ by the participant's side only.

use contango::sim::{Config, ConnId, Door, Exchange, Fed, FedSymbol, Market, Source, Venue};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One unit of price or quantity in the box's terms.
pub const ONE: i64 = 100_000_000;

/// A raw read waits so long for a second one before it is opened.
const OPEN_AFTER: Duration = Duration::from_micros(100);

/// One read.
const CHUNK: usize = 64 << 10;

/// Doors through which orders come, and what a frame says that is one.
const ORDERS: [Door; 4] = [Door::SpotRest, Door::UsdmRest, Door::SpotWsApi, Door::UsdmWsApi];
const PLACE: &[u8] = b"\"method\":\"order.place\"";

/// The first guest's token; below are the doors.
const GUESTS: usize = 16;

struct Guest {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    door: Door,
    conn: Option<ConnId>,
    /// Sealed, and not with the kernel yet.
    out: Vec<u8>,
    /// Of a door that takes orders: plaintext of which no whole request, or frame, has been made out yet.
    request: Vec<u8>,
    /// Frames come now, not requests.
    upgraded: bool,
    gone: bool,
}

/// What was read during a trial, as it came.
struct Raw {
    token: usize,
    bytes: Vec<u8>,
    read: Instant,
}

/// The two legs of a trial: when each order was read, after the quote's stamp.
#[derive(Clone, Copy, Debug, Default)]
pub struct Legs {
    pub spot: Option<Duration>,
    pub perp: Option<Duration>,
    /// Orders that were read before that stamp.
    pub early: usize,
    /// From the first write to that stamp.
    pub lasted: Duration,
}

impl Legs {
    /// First and second leg, if both came.
    pub fn both(&self) -> Option<(Duration, Duration)> {
        let (spot, perp) = (self.spot?, self.perp?);
        Some((spot.min(perp), spot.max(perp)))
    }
}

pub struct House {
    exchange: Exchange,
    tls: Option<Arc<ServerConfig>>,
    poll: Poll,
    events: Events,
    doors: Vec<(Door, TcpListener)>,
    guests: BTreeMap<usize, Guest>,
    tokens: BTreeMap<u32, usize>,
    next: usize,
    now: u64,
    chunk: Vec<u8>,
    plain: Vec<u8>,
    sequence: u64,
}

impl House {
    /// Opens the doors of a market of so many pairs on loopback, for who signs with `secret`; without `tls` they speak
    /// plaintext.
    pub fn open(tls: Option<Arc<ServerConfig>>, pairs: usize, secret: &str) -> io::Result<Self> {
        let symbol = |pair: usize, market, tick, step, min_notional, twin, interval_h| FedSymbol {
            market,
            name: format!("{}USDT", coin(pair)),
            base: coin(pair),
            tick,
            step,
            max_qty: 1_000 * ONE,
            min_notional,
            multiplier: 1,
            twin: Some(twin),
            interval_h,
        };
        let legs = |pair: usize| {
            let (spot, perp) = (2 * pair, 2 * pair + 1);
            [
                symbol(pair, Market::Spot, ONE / 100, ONE / 100_000, 5 * ONE, perp, 0),
                symbol(pair, Market::Usdm, ONE / 10, ONE / 1_000, 50 * ONE, spot, 8),
            ]
        };
        let symbols = (0..pairs).flat_map(legs).collect();
        let now = unix_ns();
        let config = Config {
            source: Source::Fed(symbols),
            spot_orders_10s: 1_000,
            secret: secret.to_owned(),
            ..Config::default()
        };
        let exchange = Exchange::new(config, now).map_err(|error| io::Error::other(error.to_string()))?;
        let poll = Poll::new()?;
        let mut doors = Vec::new();
        for (at, (door, ..)) in Venue::Binance.doors().iter().enumerate() {
            let address = "127.0.0.1:0".parse().map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
            let mut listener = TcpListener::bind(address)?;
            poll.registry().register(&mut listener, Token(at), Interest::READABLE)?;
            doors.push((*door, listener));
        }
        Ok(Self {
            exchange,
            tls,
            poll,
            events: Events::with_capacity(256),
            doors,
            guests: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next: GUESTS,
            now,
            chunk: vec![0; CHUNK],
            plain: Vec::new(),
            sequence: 60_000_000_000,
        })
    }

    /// Where its doors are, by the names of `contango sim --json`.
    pub fn addresses(&self) -> io::Result<Map<String, Value>> {
        let mut told = Map::new();
        for ((_, name, scheme), (_, listener)) in Venue::Binance.doors().iter().zip(&self.doors) {
            let scheme = if self.tls.is_some() { scheme } else { scheme.strip_suffix('s').unwrap_or(scheme) };
            told.insert((*name).into(), format!("{scheme}://{}", listener.local_addr()?).into());
        }
        Ok(told)
    }

    /// What the box knows to be true.
    pub fn truth(&mut self) -> Value {
        let now = self.tick();
        self.exchange.truth(now)
    }

    /// A best quote of the symbol at a place (spot of a pair, then its perp), prices in the box's units.
    pub fn quote(&mut self, symbol: usize, bid: i64, ask: i64, qty: i64) -> Fed {
        self.sequence += 1;
        Fed::Quote { symbol, sequence: self.sequence, bid: (bid, qty), ask: (ask, qty) }
    }

    /// Takes in and tells on; then serves what is ready.
    pub fn feed(&mut self, fed: &[Fed]) {
        let now = self.tick();
        self.exchange.feed(fed, now);
        self.deliver();
        self.serve();
    }

    /// Serves whoever is ready, without waiting.
    pub fn serve(&mut self) {
        for raw in self.read_ready() {
            let token = raw.token;
            self.plain.clear();
            let mut plain = std::mem::take(&mut self.plain);
            self.decrypt(&raw, &mut plain);
            self.hand_on(token, &plain);
            if let Some(guest) = self.guests.get_mut(&token) {
                // Requests outside a trial count nothing, but the next one begins where they end.
                guest.orders(&plain);
            }
            self.plain = plain;
        }
        let now = self.tick();
        self.exchange.advance(now);
        self.deliver();
        // What a full socket did not take then.
        self.guests.values_mut().for_each(Guest::write);
        self.bury();
    }

    /// Writes quotes batch by batch, over so long, of which the last crosses; and waits until both orders are read, at
    /// most so long.
    pub fn trial(&mut self, batches: &[Vec<Fed>], lasts: Duration, limit: Duration) -> Legs {
        let steps = self.seal_all(batches);
        let (mut legs, mut raws, mut held) = (Legs::default(), Vec::<Raw>::new(), Vec::new());
        let begun = Instant::now();
        let mut sent = begun;
        let gaps = steps.len().max(2) as u32 - 1;
        for (at, step) in steps.into_iter().enumerate() {
            while begun.elapsed() * gaps < lasts * at as u32 {
                raws.extend(self.read_ready());
            }
            sent = Instant::now();
            for (token, bytes) in step {
                if let Some(guest) = self.guests.get_mut(&token) {
                    guest.out.extend_from_slice(&bytes);
                    guest.write();
                }
            }
        }
        legs.lasted = sent - begun;
        while legs.both().is_none() && sent.elapsed() < limit {
            // What a full socket did not take at once.
            self.guests.values_mut().filter(|guest| !guest.out.is_empty()).for_each(Guest::write);
            raws.extend(self.read_ready());
            let orders = raws.iter().filter(|raw| self.takes_orders(raw.token)).count();
            if orders < 2 && raws.first().is_none_or(|raw| raw.read.elapsed() < OPEN_AFTER) {
                continue;
            }
            for raw in raws.drain(..) {
                let mut plain = Vec::new();
                self.decrypt(&raw, &mut plain);
                self.push(raw.token);
                if let Some(guest) = self.guests.get_mut(&raw.token)
                    && guest.orders(&plain)
                {
                    let spot = matches!(guest.door, Door::SpotRest | Door::SpotWsApi);
                    let leg = if spot { &mut legs.spot } else { &mut legs.perp };
                    // A second order of the same leg is none of the trial's.
                    match raw.read.checked_duration_since(sent) {
                        Some(took) => _ = leg.get_or_insert(took),
                        None => legs.early += 1,
                    }
                }
                held.push((raw.token, plain));
            }
        }
        for raw in raws {
            let mut plain = Vec::new();
            self.decrypt(&raw, &mut plain);
            if let Some(guest) = self.guests.get_mut(&raw.token) {
                guest.orders(&plain);
            }
            held.push((raw.token, plain));
        }
        for (token, plain) in held {
            self.hand_on(token, &plain);
        }
        self.serve();
        legs
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.max(unix_ns());
        self.now
    }

    fn takes_orders(&self, token: usize) -> bool {
        self.guests.get(&token).is_some_and(|guest| ORDERS.contains(&guest.door))
    }

    /// What is there to be read on all ready sockets, each stamped after its read; whoever knocks is let in.
    fn read_ready(&mut self) -> Vec<Raw> {
        let mut raws = Vec::new();
        if self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return raws;
        }
        if self.events.is_empty() {
            // Where the kernel has left packets to a thread of its own (ksoftirqd), that thread needs this core now; it
            // waited for milliseconds here.
            std::thread::yield_now();
            return raws;
        }
        let mut knocks = false;
        for event in &self.events {
            let Token(token) = event.token();
            let Some(guest) = self.guests.get_mut(&token) else {
                knocks |= token < GUESTS;
                continue;
            };
            loop {
                match guest.stream.read(&mut self.chunk) {
                    Ok(0) => guest.gone = true,
                    Ok(n) => {
                        let read = Instant::now();
                        raws.push(Raw { token, bytes: self.chunk[..n].to_vec(), read });
                        if n < CHUNK {
                            break;
                        }
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => guest.gone = true,
                }
                break;
            }
        }
        if knocks {
            self.admit();
        }
        raws
    }

    fn admit(&mut self) {
        for (door, listener) in &self.doors {
            while let Ok((mut stream, _)) = listener.accept() {
                let tls = self.tls.as_ref().map(|config| ServerConnection::new(Arc::clone(config)));
                let Ok(tls) = tls.transpose() else { continue };
                let token = self.next;
                self.next += 1;
                if stream.set_nodelay(true).is_err()
                    || self.poll.registry().register(&mut stream, Token(token), Interest::READABLE).is_err()
                {
                    continue;
                }
                let (tls, door) = (tls.map(Box::new), *door);
                let guest = Guest {
                    stream,
                    tls,
                    door,
                    conn: None,
                    out: Vec::new(),
                    request: Vec::new(),
                    upgraded: false,
                    gone: false,
                };
                self.guests.insert(token, guest);
            }
        }
    }

    /// Appends to `plain` what a read held, and opens the guest's connection once its handshake is done.
    fn decrypt(&mut self, raw: &Raw, plain: &mut Vec<u8>) {
        let Some(guest) = self.guests.get_mut(&raw.token) else { return };
        guest.open(&raw.bytes, plain);
        if guest.conn.is_none() && !guest.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.now = self.now.max(unix_ns());
            let conn = self.exchange.open(guest.door, self.now);
            guest.conn = Some(conn);
            self.tokens.insert(conn.0, raw.token);
        }
        guest.write();
    }

    fn hand_on(&mut self, token: usize, plain: &[u8]) {
        let conn = self.guests.get(&token).and_then(|guest| guest.conn);
        if let Some(conn) = conn.filter(|_| !plain.is_empty()) {
            let now = self.tick();
            self.exchange.receive(conn, plain, now);
            self.deliver();
        }
    }

    /// Seals what the exchange has to say; whom it is for.
    fn seal_dirty(&mut self) -> Vec<usize> {
        let mut told = Vec::new();
        while let Some(conn) = self.exchange.next_dirty() {
            self.plain.clear();
            let close = self.exchange.take_output(conn, &mut self.plain);
            let Some(&token) = self.tokens.get(&conn.0) else { continue };
            let Some(guest) = self.guests.get_mut(&token) else { continue };
            guest.seal(&self.plain);
            guest.gone |= close;
            told.push(token);
        }
        told
    }

    /// Takes batches in, and seals what each makes the exchange say; nothing of it is written yet.
    fn seal_all(&mut self, batches: &[Vec<Fed>]) -> Vec<Vec<(usize, Vec<u8>)>> {
        let mut steps = Vec::with_capacity(batches.len());
        for batch in batches {
            let now = self.tick();
            self.exchange.feed(batch, now);
            let told = self.seal_dirty();
            let take = |token| Some((token, std::mem::take(&mut self.guests.get_mut(&token)?.out)));
            steps.push(told.into_iter().filter_map(take).collect());
        }
        steps
    }

    fn deliver(&mut self) {
        for token in self.seal_dirty() {
            self.push(token);
        }
    }

    fn push(&mut self, token: usize) {
        if let Some(guest) = self.guests.get_mut(&token) {
            guest.write();
        }
    }

    /// Drops who is gone, or was sent away and has got everything.
    fn bury(&mut self) {
        let gone: Vec<usize> =
            self.guests.iter().filter(|(_, guest)| guest.gone).map(|(token, _)| *token).collect();
        for token in gone {
            let Some(mut guest) = self.guests.remove(&token) else { continue };
            guest.write();
            let _ = self.poll.registry().deregister(&mut guest.stream);
            if let Some(conn) = guest.conn {
                self.tokens.remove(&conn.0);
                self.exchange.closed(conn, self.now);
            }
        }
    }
}

impl Guest {
    fn open(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) {
        let Some(tls) = &mut self.tls else {
            plain.extend_from_slice(bytes);
            return;
        };
        while !bytes.is_empty() {
            let Ok(n) = tls.read_tls(&mut bytes) else { break };
            let Ok(state) = tls.process_new_packets() else {
                self.gone = true;
                break;
            };
            let (start, count) = (plain.len(), state.plaintext_bytes_to_read());
            plain.resize(start + count, 0);
            if tls.reader().read_exact(&mut plain[start..]).is_err() {
                plain.truncate(start);
            }
            if n == 0 {
                break;
            }
        }
        while tls.wants_write() {
            if tls.write_tls(&mut self.out).is_err() {
                break;
            }
        }
    }

    fn seal(&mut self, plain: &[u8]) {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(plain);
            return;
        };
        let mut rest = plain;
        while !rest.is_empty() {
            let Ok(n) = tls.writer().write(rest) else { return };
            rest = &rest[n..];
            while tls.wants_write() {
                if tls.write_tls(&mut self.out).is_err() {
                    return;
                }
            }
        }
    }

    fn write(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) if n == self.out.len() => self.out.clear(),
                Ok(n) => drop(self.out.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    /// Whether an order came to its end with this.
    fn orders(&mut self, plain: &[u8]) -> bool {
        if !ORDERS.contains(&self.door) {
            return false;
        }
        self.request.extend_from_slice(plain);
        let socket = matches!(self.door, Door::SpotWsApi | Door::UsdmWsApi);
        let mut found = false;
        while self.upgraded {
            let Some((whole, text)) = frame(&self.request) else { return found };
            found |= text.windows(PLACE.len()).any(|it| it == PLACE);
            self.request.drain(..whole);
        }
        while let Some(whole) = request_len(&self.request) {
            if socket {
                self.request.drain(..whole);
                self.upgraded = true;
                return self.orders(&[]);
            }
            let order = [&b"POST /api/v3/order"[..], b"POST /fapi/v1/order"].iter().any(|head| {
                self.request.starts_with(head) && matches!(self.request.get(head.len()), Some(b'?' | b' '))
            });
            found |= order;
            self.request.drain(..whole);
        }
        found
    }
}

/// The coin of a pair.
fn coin(pair: usize) -> String {
    if pair == 0 { "BTC".to_owned() } else { format!("C{pair:03}") }
}

/// Length of a client's first frame, if all of it is there, and what it says unmasked (RFC 6455 §5.2); nothing of one
/// that is no text.
fn frame(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (kind, short) = (bytes.first()? & 0x0f, usize::from(bytes.get(1)? & 0x7f));
    let (length, at) = match short {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (short, 2),
    };
    let mask = bytes.get(at..at + 4)?;
    let text = bytes.get(at + 4..(at + 4).checked_add(length)?)?;
    let text = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((at + 4 + length, if kind == 1 { text } else { Vec::new() }))
}

/// Length of the first request, with its body, if all of it is there.
pub fn request_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
    let body = length.map_or(0, |digits| digits.trim().parse().unwrap_or(0));
    (bytes.len() >= head + body).then_some(head + body)
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_body_ends() {
        let bare = b"POST /api/v3/order?a=1 HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(request_len(bare), Some(bare.len()));
        assert_eq!(request_len(&bare[..bare.len() - 1]), None);
        let body = b"POST /fapi/v1/order HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        assert_eq!(request_len(body), Some(body.len() - 3));
        assert_eq!(request_len(&body[..body.len() - 4]), None);
    }

    #[test]
    fn a_frame_is_unmasked_once_it_is_whole() {
        let masked = |kind: u8, text: &[u8]| {
            let mut bytes = vec![0x80 | kind, 0x80 | text.len() as u8, 1, 2, 3, 4];
            bytes.extend(text.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
            bytes
        };
        let place = masked(1, PLACE);
        assert_eq!(frame(&place), Some((place.len(), PLACE.to_vec())));
        assert_eq!((0..place.len()).find(|to| frame(&place[..*to]).is_some()), None);
        assert_eq!(frame(&masked(9, b"ping")), Some((10, Vec::new())));
        let long = [&[0x81, 0x80 | 126, 1, 0, 0, 0, 0, 0][..], &[b'x'; 256]].concat();
        assert_eq!(frame(&long), Some((264, vec![b'x'; 256])));
    }
}
