//! HTTP/1.1 as the box's ports speak it: one request out of a byte buffer, one answer into another.
//!
//! Owns:  request framing over httparse, percent-decoding, answers with their length.
//! Never: knows a path.

use std::borrow::Cow;

/// Longest head of a request we wait for.
const HEAD_MAX: usize = 16 * 1024;

/// Longest body of a request we wait for.
const BODY_MAX: usize = 64 * 1024;

/// Headers we make room for.
const HEADERS_MAX: usize = 64;

/// One whole request, borrowed from the connection's buffer.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Behind the `?`, without it; empty when there is none.
    pub(super) query: &'a str,
    pub(super) body: &'a str,
    pub(super) keep_alive: bool,
    headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Request<'a> {
    /// The first header of that name, when it is text.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok().map(str::trim)
    }

    /// Does a comma-separated header hold `token`?
    pub(super) fn header_has(&self, name: &str, token: &str) -> bool {
        self.header(name).is_some_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }
}

/// The answer that turns a request into a WebSocket, or the status and headers of why not.
pub(super) fn upgrade(request: &Request<'_>) -> Result<String, (u16, &'static str)> {
    let upgrades = request.method == "GET"
        && request.header_has("upgrade", "websocket")
        && request.header_has("connection", "upgrade");
    if !upgrades {
        return Err((426, "Upgrade: websocket\r\n"));
    }
    if request.header("sec-websocket-version") != Some("13") {
        return Err((426, "Sec-WebSocket-Version: 13\r\n"));
    }
    let key = request.header("sec-websocket-key").filter(|k| k.len() == 24).ok_or((400, ""))?;
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// What the buffer holds.
pub(super) enum Parsed<'a> {
    /// Not yet a whole request.
    Partial,
    /// No request at all: answer with this status and close.
    Bad(u16),
    /// A request, and how many bytes it took.
    Whole(Request<'a>, usize),
}

/// Reads one request from the start of `buffer`.
pub(super) fn parse(buffer: &[u8]) -> Parsed<'_> {
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut slots);
    let head_len = match head.parse(buffer) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) if buffer.len() <= HEAD_MAX => return Parsed::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431),
        Err(_) => return Parsed::Bad(400),
    };
    let headers: Vec<_> = head.headers.iter().map(|h| (h.name, h.value)).collect();
    let mut request = Request {
        method: head.method.unwrap_or(""),
        path: "",
        query: "",
        body: "",
        keep_alive: head.version == Some(1),
        headers,
    };
    let target = head.path.unwrap_or("");
    (request.path, request.query) = target.split_once('?').unwrap_or((target, ""));
    if request.header("transfer-encoding").is_some() {
        return Parsed::Bad(411);
    }
    let body_len = match request.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(n)) if n <= BODY_MAX => n,
        Some(Ok(_)) => return Parsed::Bad(413),
        Some(Err(_)) => return Parsed::Bad(400),
    };
    let Some(body) = buffer.get(head_len..head_len + body_len) else { return Parsed::Partial };
    let Ok(body) = std::str::from_utf8(body) else { return Parsed::Bad(400) };
    request.body = body;
    if request.header_has("connection", "close") {
        request.keep_alive = false;
    } else if request.header_has("connection", "keep-alive") {
        request.keep_alive = true;
    }
    Parsed::Whole(request, head_len + body_len)
}

/// Writes an answer. `extra`: whole header lines, each with its line end.
pub(super) fn answer(out: &mut Vec<u8>, status: u16, extra: &str, body: &str, kind: &str, keep_alive: bool) {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: {connection}\r\n{extra}\r\n",
        reason(status),
        body.len(),
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Payload Too Large",
        418 => "I'm a teapot",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

/// Undoes percent-encoding, and `+` for a space where `form` says so. `None`: a broken escape or no UTF-8.
pub(super) fn decode(text: &str, form: bool) -> Option<Cow<'_, str>> {
    let escaped = text.contains('%') || (form && text.contains('+'));
    if !escaped {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'%' => {
                let [a, b, tail @ ..] = rest else { return None };
                let digit = |c: &u8| char::from(*c).to_digit(16);
                bytes.push((digit(a)? * 16 + digit(b)?) as u8);
                rest = tail;
            }
            b'+' if form => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_only_with_its_body() {
        let text = b"POST /a/b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nq=2GET";
        for cut in 0..text.len() - 3 {
            assert!(matches!(parse(&text[..cut]), Parsed::Partial), "cut at {cut}");
        }
        let Parsed::Whole(request, used) = parse(text) else { panic!("not whole") };
        assert_eq!((request.path, request.query, request.body), ("/a/b", "x=1", "q=2"));
        assert_eq!(used, text.len() - 3);
        assert!(request.keep_alive);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert!(matches!(parse(b"hello there\r\n\r\n"), Parsed::Bad(400)));
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(parse(chunked), Parsed::Bad(411)));
        let large = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n";
        assert!(matches!(parse(large), Parsed::Bad(413)));
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_refused() {
        assert_eq!(decode("a%40b", false).as_deref(), Some("a@b"));
        assert_eq!(decode("%EF%BC%91", false).as_deref(), Some("１"));
        assert_eq!(decode("a+b", true).as_deref(), Some("a b"));
        assert_eq!(decode("%4", false), None);
        assert_eq!(decode("%ff", false), None);
    }
}
