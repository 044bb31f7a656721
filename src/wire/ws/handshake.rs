//! The upgrade from HTTP to WebSocket (RFC 6455 §4).
//!
//! Owns:  the request, the checks on its answer, and errors that tell an operator what to do.
//! Never: keeps bytes. What follows the 101 stays in the caller's buffer: exchanges push the first
//!        quote together with it, and tungstenite's own `WebSocket::into_inner` would lose it.
//! Quirk: we offer neither extensions nor subprotocols, so a server that picks one is refused.

use super::super::digits::write_base64;
use super::super::put_clean;
use arrayvec::ArrayVec;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::header::{self, HeaderMap};

/// The longest answer head we wait for. Real ones take some 300 bytes, behind proxies up to 2 KiB.
const HEAD_MAX: usize = 16 * 1024;

/// How much of a refusal's body an error quotes: enough for a venue's JSON, not for a web page.
const QUOTE_MAX: usize = 200;

/// An upgrade under way: what the server's answer must prove.
#[derive(Clone, Debug)]
pub struct Handshake {
    accept: String,
}

/// Why the link did not become a WebSocket. Each message ends with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The answer is not to *our* request.
    #[error(
        "the 101 carries a wrong Sec-WebSocket-Accept, so it answers somebody else's request; \
         look for a caching proxy in between"
    )]
    Accept,

    /// A 101 without the header that makes it an upgrade to WebSocket.
    #[error(
        "the 101 lacks `{name}: {expected}`, so it is no WebSocket; check host and path of the endpoint, \
         and for a proxy that strips headers"
    )]
    Header {
        /// The header in question.
        name: &'static str,
        /// What it must hold.
        expected: &'static str,
    },

    /// No end of the answer in sight.
    #[error("the answer's head passes {HEAD_MAX} bytes; check that the endpoint speaks WebSocket")]
    HeadTooLong,

    /// A page for people came back.
    #[error(
        "HTTP {status} with a web page instead of a WebSocket: \"{page}\"; this is a block page, a \
         captive portal or a wrong host: open the address from this machine and read it"
    )]
    Html {
        /// The status of the answer.
        status: u16,
        /// How the page starts.
        page: String,
    },

    /// The bytes are no HTTP.
    #[error("the answer is no HTTP ({reason}); check port and scheme of the endpoint (wss, not ws)")]
    Malformed {
        /// What the parser said.
        reason: String,
    },

    /// The server chose something we did not ask for, so its frames would not be what we read.
    #[error(
        "the server chose `{name}: {value}`, which we did not offer; report the host, it breaks RFC 6455"
    )]
    NotOffered {
        /// Extensions or subprotocol.
        name: &'static str,
        /// What was chosen.
        value: String,
    },

    /// The server said no.
    #[error("the upgrade was refused with HTTP {status}: \"{body}\"; {advice}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// How its body starts.
        body: String,
        /// What this status asks for.
        advice: &'static str,
        /// `Retry-After`, s, where it is told as a number.
        retry_after_s: Option<u32>,
    },
}

impl Handshake {
    /// A request to upgrade `path` (with query) on `host` (with port if it is not the usual one),
    /// and its bytes. `key_entropy` comes from a good source, fresh for each try.
    #[must_use]
    pub fn new(host: &str, path: &str, key_entropy: [u8; 16]) -> (Self, Vec<u8>) {
        Self::with_headers(host, path, &[], key_entropy)
    }

    /// As [`Handshake::new`], with headers of the caller's added, such as `User-Agent`.
    #[must_use]
    pub fn with_headers(
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        key_entropy: [u8; 16],
    ) -> (Self, Vec<u8>) {
        let mut key = ArrayVec::<u8, 24>::new();
        write_base64(&mut key, &key_entropy).expect("16 bytes take 24 in base64");
        let mut request = Vec::with_capacity(256);
        request.extend_from_slice(b"GET ");
        put_clean(&mut request, if path.is_empty() { "/" } else { path }, false);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        put_clean(&mut request, host, false);
        request
            .extend_from_slice(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13");
        request.extend_from_slice(b"\r\nSec-WebSocket-Key: ");
        request.extend_from_slice(&key);
        for (name, value) in headers {
            request.extend_from_slice(b"\r\n");
            put_clean(&mut request, name, false);
            request.extend_from_slice(b": ");
            put_clean(&mut request, value, true);
        }
        request.extend_from_slice(b"\r\n\r\n");
        (Self { accept: derive_accept_key(&key) }, request)
    }

    /// Reads the answer at the start of `inbound`: how many bytes it took, or `None` if more must
    /// come first. **What follows is frames already.**
    ///
    /// # Errors
    ///
    /// [`UpgradeError`]; the link is of no use then.
    pub fn finish(&self, inbound: &[u8]) -> Result<Option<usize>, UpgradeError> {
        let mut used = 0;
        loop {
            let rest = &inbound[used..];
            // tungstenite waits for a whole line before it judges; a TLS alert or SSH banner has none.
            let start = &rest[..rest.len().min(5)];
            if !b"HTTP/".starts_with(start) {
                return Err(UpgradeError::Malformed { reason: format!("it starts \"{}\"", quote(rest)) });
            }
            let parsed = Response::try_parse(rest)
                .map_err(|error| UpgradeError::Malformed { reason: error.to_string() })?;
            let head = parsed.as_ref().map_or(rest.len(), |(length, _)| *length);
            if used + head > HEAD_MAX {
                return Err(UpgradeError::HeadTooLong);
            }
            let Some((length, response)) = parsed else { return Ok(None) };
            used += length;
            match response.status().as_u16() {
                101 => return self.check(response.headers()).map(|()| Some(used)),
                // Early hints and the like; the final answer follows (RFC 9110 §15.2).
                100..=199 => {}
                status => return Err(refusal(status, response.headers(), &inbound[used..])),
            }
        }
    }

    /// Whether a 101 with these headers upgrades *this* request (RFC 6455 §4.1, the client's list).
    fn check(&self, headers: &HeaderMap) -> Result<(), UpgradeError> {
        let is = |value: &[u8], wanted: &[u8]| value.eq_ignore_ascii_case(wanted);
        if !headers.get(header::UPGRADE).is_some_and(|value| is(value.as_bytes(), b"websocket")) {
            return Err(UpgradeError::Header { name: "Upgrade", expected: "websocket" });
        }
        // Upgrade is one value, Connection a list of tokens.
        let mut tokens = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&b| b == b','));
        if !tokens.any(|token| is(token.trim_ascii(), b"upgrade")) {
            return Err(UpgradeError::Header { name: "Connection", expected: "Upgrade" });
        }
        let mut accepts = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        if accepts.next().is_none_or(|value| value.as_bytes() != self.accept.as_bytes())
            || accepts.next().is_some()
        {
            return Err(UpgradeError::Accept);
        }
        for (name, key) in [
            ("Sec-WebSocket-Extensions", header::SEC_WEBSOCKET_EXTENSIONS),
            ("Sec-WebSocket-Protocol", header::SEC_WEBSOCKET_PROTOCOL),
        ] {
            if let Some(value) = headers.get_all(key).iter().find(|value| !value.is_empty()) {
                return Err(UpgradeError::NotOffered { name, value: quote(value.as_bytes()) });
            }
        }
        Ok(())
    }
}

fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> UpgradeError {
    let typed =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if typed || body.trim_ascii_start().first() == Some(&b'<') {
        return UpgradeError::Html { status, page: quote(body) };
    }
    let advice = match status {
        300..=399 => "the address has moved: put the new host or path into the endpoint's setting",
        401 | 403 | 451 => {
            "the venue refuses this key or this address: check the key, its IP list, and your region"
        }
        404 | 410 => "no such path: check the endpoint's setting against the venue's documentation",
        418 | 429 => "too many connections or requests: wait as long as Retry-After says before the next try",
        500..=599 => "the venue is in trouble or in maintenance: try again later, with back-off",
        _ => "check host and path of the endpoint",
    };
    let retry_after_s =
        headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    UpgradeError::Refused { status, body: quote(body), advice, retry_after_s }
}

/// The start of `bytes` for an error's text: one line, nothing a terminal would act on.
fn quote(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTE_MAX)])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{self, Cursor, Read, Write};
    use tungstenite::handshake::client::{ClientHandshake, Request};

    /// The key of RFC 6455 §1.3, "the sample nonce".
    const ENTROPY: [u8; 16] = *b"the sample nonce";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn finish(answer: &str) -> Result<Option<usize>, UpgradeError> {
        Handshake::new("h", "/", ENTROPY).0.finish(answer.as_bytes())
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        let (_, request) = Handshake::with_headers(
            "stream.example:9443",
            "/ws?streams=a/b",
            &[("User-Agent", "contango 1")],
            ENTROPY,
        );
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "GET /ws?streams=a/b HTTP/1.1\r\nHost: stream.example:9443\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: contango 1\r\n\r\n"
        );
    }

    #[test]
    fn a_setting_cannot_smuggle_in_a_header() {
        let (_, request) = Handshake::with_headers("h", "/a b\r\nX: 1", &[("N", "v\r\nY: 2")], ENTROPY);
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("GET /a%20b%0d%0aX:%201 HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with("\r\nN: v%0d%0aY: 2\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_tungstenite_server_takes_our_request_and_we_take_its_answer() {
        let (handshake, request) = Handshake::new("h", "/", ENTROPY);
        let (_, request) =
            tungstenite::handshake::server::Request::try_parse(&request).unwrap().expect("it is complete");
        let response = tungstenite::handshake::server::create_response(&request).unwrap();
        let mut answer = Vec::new();
        tungstenite::handshake::server::write_response(&mut answer, &response).unwrap();
        assert_eq!(handshake.finish(&answer), Ok(Some(answer.len())));
    }

    #[test]
    fn the_first_quote_may_come_with_the_101() {
        let with_quote = format!("{ANSWER}\u{1}\u{2}quote");
        assert_eq!(finish(&with_quote), Ok(Some(ANSWER.len())));
        for cut in 0..ANSWER.len() {
            assert_eq!(finish(&ANSWER[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn interim_answers_are_skipped() {
        let hinted = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{ANSWER}");
        assert_eq!(finish(&hinted), Ok(Some(hinted.len())));
    }

    #[test]
    fn names_and_list_values_are_taken_in_any_case() {
        let other = ANSWER
            .replace("Connection: Upgrade", "connection: keep-alive, uPGRADE")
            .replace("Upgrade: websocket", "UPGRADE: WebSocket");
        assert_eq!(finish(&other), Ok(Some(other.len())));
    }

    #[test]
    fn a_101_that_is_no_upgrade_of_ours_is_refused() {
        for (was, is, name) in [
            ("Upgrade: websocket", "Upgrade: h2c", "Upgrade"),
            ("Upgrade: websocket", "Upgrade: websocket, h2c", "Upgrade"),
            ("Connection: Upgrade", "Connection: close", "Connection"),
        ] {
            let error = finish(&ANSWER.replace(was, is)).unwrap_err();
            assert!(matches!(error, UpgradeError::Header { name: n, .. } if n == name), "{error}");
        }
        assert_eq!(finish(&ANSWER.replace("s3p", "S3p")), Err(UpgradeError::Accept));
        assert_eq!(finish(&ANSWER.replace("Sec-WebSocket-Accept", "X")), Err(UpgradeError::Accept));
        let twice =
            ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        assert_eq!(finish(&twice), Err(UpgradeError::Accept));
        for chosen in ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: v1"] {
            let error = finish(&ANSWER.replace("\r\n\r\n", &format!("\r\n{chosen}\r\n\r\n"))).unwrap_err();
            assert!(matches!(error, UpgradeError::NotOffered { .. }), "{error}");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (answer, told) in [
            ("HTTP/1.1 429 Too Many Requests\r\n\r\n{\"code\":-1003}", "429: \"{\"code\":-1003}\"; too many"),
            ("HTTP/1.1 503 Oops\r\n\r\n", "back-off"),
            ("HTTP/1.1 404 Not Found\r\n\r\nnope", "no such path"),
            ("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "has moved"),
            ("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>Blocked\r\n", "block page"),
            ("HTTP/1.1 200 OK\r\n\r\n <!doctype html>", "web page"),
            ("SSH-2.0-OpenSSH_9\r\n", "no HTTP (it starts \"SSH-2.0-OpenSSH_9\")"),
            ("\u{15}\u{3}", "no HTTP"),
        ] {
            let error = finish(answer).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_head_without_end_is_not_waited_for() {
        let long = format!("HTTP/1.1 101 Switching\r\nX: {}", "y".repeat(HEAD_MAX));
        assert_eq!(finish(&long), Err(UpgradeError::HeadTooLong));
        assert_eq!(finish(&format!("{long}\r\n\r\n")), Err(UpgradeError::HeadTooLong));
        let hints = "HTTP/1.1 103 Early\r\n\r\n".repeat(HEAD_MAX);
        assert_eq!(finish(&hints), Err(UpgradeError::HeadTooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Changed answers never panic, and open the link only if they open tungstenite's as well
        /// (a comma aside: it may make a list of Connection, which tungstenite does not take).
        #[test]
        fn mutated_answers_are_refused_or_taken_by_the_twin(
            changes in proptest::collection::vec((0..ANSWER.len(), prop_oneof![any::<u8>(), Just(b'\n'), Just(b' ')].prop_filter("no list", |b| *b != b',')), 1..3),
            cut in 0..=4 * ANSWER.len(),
        ) {
            let mut answer = ANSWER.as_bytes().to_vec();
            for (at, byte) in changes {
                answer[at] = byte;
            }
            answer.truncate(cut);
            if let Ok(Some(used)) = Handshake::new("h", "/", ENTROPY).0.finish(&answer) {
                prop_assert!(used <= answer.len());
                prop_assert!(opens_the_twin(answer));
            }
        }
    }

    /// Whether tungstenite's client, with the same key, takes this answer.
    fn opens_the_twin(answer: Vec<u8>) -> bool {
        let request = Request::builder()
            .uri("ws://h/")
            .header("Host", "h")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        let stream = Wire { inbound: Cursor::new(answer) };
        ClientHandshake::start(stream, request, None).unwrap().handshake().is_ok()
    }

    /// A socket that has these bytes and then nothing.
    struct Wire {
        inbound: Cursor<Vec<u8>>,
    }

    impl Read for Wire {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.inbound.read(into)? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                n => Ok(n),
            }
        }
    }

    impl Write for Wire {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_twin_takes_the_answer_it_should() {
        assert!(opens_the_twin(ANSWER.as_bytes().to_vec()));
        assert!(!opens_the_twin(ANSWER.replace("s3p", "S3p").into_bytes()));
    }
}
