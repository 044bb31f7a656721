//! Claims about the whole box, told through its public calls: bytes in, bytes out.
//!
//! Owns:  a client of its own for tests: signed requests, sockets, a clock that only moves when told.
//! Never: looks at a frame or an answer by other means than a client has, but for `truth`.

mod faults;
mod fed;
mod funding;
mod history;
mod incidents;
mod open;
mod outage;
mod private;
mod rest;
mod sbe;
mod standing;
mod streams;
mod tapes;
mod trading;
mod wallet;
mod ws_api;

use super::{Config, ConnId, Door, Exchange, Market, Venue};
use serde_json::Value;
use std::io::{Read, Write};
use tungstenite::protocol::{Role, WebSocketContext};
use tungstenite::{Bytes, Message};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
/// 2026-11-22 00:00:05 UTC: five seconds into every window.
pub(super) const START: u64 = 1_795_305_605_000_000_000;

/// A box, its clock, and one REST connection per market.
pub(super) struct World {
    pub(super) exchange: Exchange,
    pub(super) now: u64,
    rest: [Option<ConnId>; 2],
}

/// An answer as a client reads it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    pub(super) json: Value,
}

impl Answer {
    /// The code of a refusal; 0 for a good answer.
    pub(super) fn code(&self) -> i64 {
        self.json["code"].as_i64().unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line =
            self.head.lines().find(|l| l.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
        Some(line.split_once(':')?.1.trim())
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let exchange = Exchange::new(config, START).expect("the configuration is good");
        Self { exchange, now: START, rest: [None, None] }
    }

    pub(super) fn run(&mut self, ns: u64) {
        self.now += ns;
        self.exchange.advance(self.now);
    }

    /// Box time in ms, as a client with a perfect clock stamps.
    pub(super) fn stamp(&self) -> u64 {
        self.now / MS
    }

    /// A box whose account has a key of Ed25519.
    pub(super) fn of_ed25519() -> Self {
        Self::with(Config { secret: Config::ED25519.to_owned(), ..Config::default() })
    }

    /// The signature of the account's holder.
    pub(super) fn sign(&self, payload: &str) -> String {
        let secret = &self.exchange.config.secret;
        if secret == Config::ED25519 {
            return base64(seed_of_the_page().sign(payload.as_bytes()).as_ref());
        }
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, payload.as_bytes());
        tag.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// It, as it stands in a URL.
    pub(super) fn sign_url(&self, payload: &str) -> String {
        self.sign(payload).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    }

    /// The bytes of a signed request.
    pub(super) fn signed_bytes(&self, method: &str, path: &str, params: &str) -> String {
        let join = if params.is_empty() { "" } else { "&" };
        let payload = format!("{params}{join}timestamp={}", self.stamp());
        let payload = format!("{payload}&signature={}", self.sign_url(&payload));
        self.keyed_bytes(method, path, &payload)
    }

    /// The bytes of a request with the key, whose parameters are taken as they are.
    pub(super) fn keyed_bytes(&self, method: &str, path: &str, params: &str) -> String {
        let key = Config::default().key;
        let (query, body) = if method == "POST" { ("", params) } else { (params, "") };
        format!(
            "{method} {path}?{query} HTTP/1.1\r\nHost: box\r\nX-MBX-APIKEY: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Sends bytes on the market's REST connection and reads what comes back: `None` when the line was cut.
    pub(super) fn send(&mut self, market: Market, bytes: &str) -> Option<Answer> {
        let door = match (self.exchange.config.venue, market) {
            (Venue::Binance, Market::Spot) => Door::SpotRest,
            (Venue::Binance, Market::Usdm) => Door::UsdmRest,
            _ => Door::Rest,
        };
        let at = market as usize;
        let conn = *self.rest[at].get_or_insert_with(|| self.exchange.open(door, self.now));
        self.exchange.receive(conn, bytes.as_bytes(), self.now);
        let mut out = Vec::new();
        if self.exchange.take_output(conn, &mut out) {
            self.exchange.closed(conn, self.now);
            self.rest[at] = None;
        }
        if out.is_empty() { None } else { Some(answers(&out).remove(0)) }
    }

    pub(super) fn signed(&mut self, market: Market, method: &str, path: &str, params: &str) -> Answer {
        let bytes = self.signed_bytes(method, path, params);
        self.send(market, &bytes).expect("an answer")
    }

    /// A request with the key header alone.
    pub(super) fn keyed(&mut self, market: Market, method: &str, path: &str) -> Answer {
        let bytes = self.keyed_bytes(method, path, "");
        self.send(market, &bytes).expect("an answer")
    }

    pub(super) fn listen_key(&mut self) -> String {
        let answer = self.keyed(Market::Usdm, "POST", "/fapi/v1/listenKey").json;
        answer["listenKey"].as_str().expect("a key").to_owned()
    }

    /// A signed request of the WebSocket API.
    pub(super) fn ws_request(&self, id: &str, method: &str, params: &[(&str, &str)]) -> String {
        let (key, stamp) = (Config::default().key, self.stamp());
        let mut all: Vec<(&str, String)> = params.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        all.extend([("apiKey", key.clone()), ("timestamp", stamp.to_string())]);
        all.sort_unstable();
        let payload: Vec<String> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut members = serde_json::Map::new();
        for (name, value) in params {
            members.insert((*name).to_owned(), (*value).into());
        }
        members.insert("apiKey".into(), key.into());
        members.insert("timestamp".into(), stamp.into());
        members.insert("signature".into(), self.sign(&payload.join("&")).into());
        serde_json::json!({"id": id, "method": method, "params": members}).to_string()
    }

    /// A spot socket that hears the account.
    pub(super) fn subscribed(&mut self) -> Socket {
        let mut socket = self.socket(Door::SpotWsApi, "/ws-api/v3?returnRateLimits=false");
        let request = self.ws_request("s", "userDataStream.subscribe.signature", &[]);
        socket.say(self, &request);
        assert_eq!(socket.hear(self, true), [r#"{"id":"s","status":200,"result":{"subscriptionId":0}}"#]);
        socket
    }

    pub(super) fn get(&mut self, market: Market, target: &str) -> Answer {
        self.send(market, &format!("GET {target} HTTP/1.1\r\nHost: box\r\n\r\n")).expect("an answer")
    }

    pub(super) fn order(&mut self, market: Market, params: &str) -> Answer {
        self.signed(market, "POST", order_path(market), params)
    }

    pub(super) fn truth(&self) -> Value {
        self.exchange.truth(self.now)
    }

    /// Best bid and ask, as text.
    pub(super) fn top(&mut self, market: Market, symbol: &str) -> (String, String) {
        let path = if market == Market::Spot { "/api/v3" } else { "/fapi/v1" };
        let json = self.get(market, &format!("{path}/ticker/bookTicker?symbol={symbol}")).json;
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        (text("bidPrice"), text("askPrice"))
    }

    pub(super) fn socket(&mut self, door: Door, path: &str) -> Socket {
        self.keyed_socket(door, path, "")
    }

    /// A socket whose upgrade carries more header lines.
    pub(super) fn keyed_socket(&mut self, door: Door, path: &str, headers: &str) -> Socket {
        let conn = self.exchange.open(door, self.now);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        self.exchange.receive(conn, request.as_bytes(), self.now);
        let mut out = Vec::new();
        self.exchange.take_output(conn, &mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "no accept key in {text}");
        let end = text.find("\r\n\r\n").expect("a whole head") + 4;
        let context = WebSocketContext::new(Role::Client, None);
        let pipe = Pipe { input: out[end..].to_vec(), output: Vec::new() };
        Socket { conn, context, pipe, binary: Vec::new(), closed: false }
    }
}

/// The one pair whose private half the page publishes.
fn seed_of_the_page() -> ring::signature::Ed25519KeyPair {
    let vectors = include_str!("../../../tests/fixtures/binance/signing_vectors.json");
    let vectors: Value = serde_json::from_str(vectors).expect("JSON");
    let vector = vectors.as_array().expect("rows").iter().find(|v| v["private_key_pem"] == Config::ED25519);
    let hex = vector.expect("the box's pair")["private_key_seed_hex"].as_str().expect("a seed");
    let seed: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
    ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key")
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| -> String {
        let bits =
            three.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        let digit =
            |at: usize| if at > three.len() { '=' } else { char::from(ALPHABET[bits >> (18 - 6 * at) & 63]) };
        (0..4).map(digit).collect()
    };
    bytes.chunks(3).map(group).collect()
}

pub(super) fn order_path(market: Market) -> &'static str {
    if market == Market::Spot { "/api/v3/order" } else { "/fapi/v1/order" }
}

/// Reads all answers in some bytes.
pub(super) fn answers(bytes: &[u8]) -> Vec<Answer> {
    let mut all = Vec::new();
    let mut text = std::str::from_utf8(bytes).expect("text");
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).expect("a length");
        let (body, rest) = rest.split_at(length.parse().expect("a number"));
        let json = serde_json::from_str(body).unwrap_or(Value::Null);
        all.push(Answer { status, head: head.to_owned(), body: body.to_owned(), json });
        text = rest;
    }
    all
}

/// The client's side of a socket.
pub(super) struct Socket {
    pub(super) conn: ConnId,
    context: WebSocketContext,
    pipe: Pipe,
    /// Binary frames that came beside the text.
    pub(super) binary: Vec<Vec<u8>>,
    pub(super) closed: bool,
}

struct Pipe {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.input.is_empty() {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let n = buffer.len().min(self.input.len());
        buffer[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Sends a text frame.
    pub(super) fn say(&mut self, world: &mut World, text: &str) {
        self.context.write(&mut self.pipe, Message::text(text)).expect("an open socket");
        self.flush(world);
    }

    /// The bytes of a text frame, not sent.
    pub(super) fn frame(&mut self, text: &str) -> Vec<u8> {
        self.context.write(&mut self.pipe, Message::text(text)).expect("an open socket");
        self.context.flush(&mut self.pipe).expect("an open socket");
        std::mem::take(&mut self.pipe.output)
    }

    fn flush(&mut self, world: &mut World) {
        self.context.flush(&mut self.pipe).expect("an open socket");
        let bytes = std::mem::take(&mut self.pipe.output);
        world.exchange.receive(self.conn, &bytes, world.now);
    }

    /// All text frames that came, binary ones being kept in [`Socket::binary`]; pings are answered only where `pong` says so.
    pub(super) fn hear(&mut self, world: &mut World, pong: bool) -> Vec<String> {
        self.closed |= world.exchange.take_output(self.conn, &mut self.pipe.input);
        let mut texts = Vec::new();
        loop {
            match self.context.read(&mut self.pipe) {
                Ok(Message::Text(text)) => texts.push(text.to_string()),
                Ok(Message::Binary(bytes)) => self.binary.push(bytes.to_vec()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if pong && !self.pipe.output.is_empty() {
            let bytes = std::mem::take(&mut self.pipe.output);
            world.exchange.receive(self.conn, &bytes, world.now);
        }
        self.pipe.output.clear();
        texts
    }

    /// Text frames as JSON.
    pub(super) fn read(&mut self, world: &mut World) -> Vec<Value> {
        let parse = |t: String| serde_json::from_str(&t).expect("JSON");
        self.hear(world, true).into_iter().map(parse).collect()
    }

    pub(super) fn ping(&mut self, world: &mut World) {
        self.context.write(&mut self.pipe, Message::Ping(Bytes::from_static(b"x"))).expect("an open socket");
        self.flush(world);
    }
}
