//! HTTP/1.1, client side (RFC 9112): requests written, answers read in place.
//!
//! Owns:  message framing (length, chunks, end of connection) and header look-up.
//! Never: returns half a body, guesses between two lengths, follows a redirect, asks for compression,
//!        or sends `HEAD` or `CONNECT` (their answers are framed otherwise).
//! Cost:  an answer framed by `Content-Length` is read without allocation; chunks are joined once,
//!        when the last one is there.

use super::put_clean;
use std::borrow::Cow;

/// The longest head we take, interim answers included. Real ones take 1–3 KiB.
pub const HEAD_MAX: usize = 16 * 1024;

/// The longest line that announces a chunk, extensions included.
const CHUNK_LINE_MAX: usize = 256;

/// A request. Text for its first line and headers is cleaned of line ends when written.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// Path with query, `/` at least.
    pub path: &'a str,
    /// Host, with port if it is not the usual one.
    pub host: &'a str,
    /// Further headers; `Host` and `Content-Length` are written by us.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, possibly empty.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Appends the request. A body's length is told even if it is zero, except for `GET` and `DELETE`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        put_clean(out, self.method, false);
        out.push(b' ');
        put_clean(out, if self.path.is_empty() { "/" } else { self.path }, false);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        put_clean(out, self.host, false);
        for (name, value) in self.headers {
            out.extend_from_slice(b"\r\n");
            put_clean(out, name, false);
            out.extend_from_slice(b": ");
            put_clean(out, value, true);
        }
        if !self.body.is_empty() || !matches!(self.method, "GET" | "DELETE") {
            out.extend_from_slice(b"\r\nContent-Length: ");
            super::digits::write_u64(out, self.body.len() as u64).expect("a Vec grows");
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(self.body);
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// 200–999.
    pub status: u16,
    /// Bytes of the buffer it took: where the next answer starts.
    pub used: usize,
    /// In the buffer, or joined from chunks.
    pub body: Cow<'a, [u8]>,
    /// Its headers.
    pub head: Head<'a>,
    /// Whether the connection serves another request; if not, dial again.
    pub keep_alive: bool,
}

/// The headers of an answer, checked, still in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Header lines, each ended by CRLF.
    lines: &'a [u8],
}

impl<'a> Head<'a> {
    /// The first header of this name, in any case, without white space around it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether the body says it is JSON. A venue's error page, or a proxy's, does not.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|value| {
            let media = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            media.eq_ignore_ascii_case(b"application/json")
        })
    }

    /// All headers in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let end = find(rest, b'\n')?;
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let colon = find(line, b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

/// Why an answer can't be read. The connection is of no use then, and what became of the request is
/// **unknown**: for an order, ask the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The body is longer than the caller allows.
    #[error("the body passes {max} bytes; ask for less, or raise the limit of this request")]
    BodyTooLong {
        /// The limit.
        max: usize,
    },
    /// Chunks that do not follow the grammar.
    #[error("malformed chunks; drop the connection and ask again")]
    Chunk,
    /// A compressed body, or one in a transfer coding we did not ask for.
    #[error("the body is encoded though we did not ask for it; look for a proxy that compresses")]
    Coding,
    /// No end of the head in sight.
    #[error("the head passes {HEAD_MAX} bytes; check that the endpoint is the venue's")]
    HeadTooLong,
    /// Two lengths that disagree, or one that is no number: nobody can say where the answer ends.
    #[error("lengths that conflict or are no number; drop the connection, and look for a faulty proxy")]
    Length,
    /// A line that is no header.
    #[error("malformed header line; drop the connection and ask again")]
    Malformed,
    /// The bytes are no HTTP/1.x.
    #[error("the answer is no HTTP/1.x; check port and scheme of the endpoint")]
    NotHttp,
    /// The connection ended inside an answer.
    #[error("the connection ended {have} bytes into an unfinished answer; treat its request as unknown")]
    Truncated {
        /// Bytes that came.
        have: usize,
    },
    /// A 101 to a plain request.
    #[error("the server switched protocols unasked; check path and host of the endpoint")]
    Upgraded,
}

/// Reads the answer at the start of `buf`; `None` if more bytes must come first (or, for a body
/// without length, the end of the connection: [`response_at_eof`]). Interim answers are skipped.
///
/// # Errors
///
/// [`HttpError`], as soon as the bytes at hand show it.
pub fn response(buf: &[u8], max_body: usize) -> Result<Option<Response<'_>>, HttpError> {
    read(buf, max_body, false)
}

/// As [`response`], once the other side has closed; `None` only if nothing had come at all.
///
/// # Errors
///
/// [`HttpError::Truncated`] if the answer is not whole.
pub fn response_at_eof(buf: &[u8], max_body: usize) -> Result<Option<Response<'_>>, HttpError> {
    if buf.is_empty() {
        return Ok(None);
    }
    read(buf, max_body, true)?.map(Some).ok_or(HttpError::Truncated { have: buf.len() })
}

fn read(buf: &[u8], max_body: usize, eof: bool) -> Result<Option<Response<'_>>, HttpError> {
    let mut start = 0;
    let head = loop {
        let Some(head) = parse_head(&buf[start..], HEAD_MAX - start)? else { return Ok(None) };
        start += head.used;
        match head.status {
            101 => return Err(HttpError::Upgraded),
            100..=199 => {}
            _ => break head,
        }
    };
    let rest = &buf[start..];
    let framing = if matches!(head.status, 204 | 304) { Framing::Length(0) } else { head.framing };
    let keep_alive = head.keep_alive && framing != Framing::UntilClose;
    let (body, length) = match framing {
        Framing::Length(length) if length > max_body as u64 => {
            return Err(HttpError::BodyTooLong { max: max_body });
        }
        Framing::Length(length) => {
            let Some(body) = rest.get(..length as usize) else { return Ok(None) };
            (Cow::Borrowed(body), body.len())
        }
        Framing::Chunked => {
            let Some((body, length)) = join_chunks(rest, max_body)? else { return Ok(None) };
            (Cow::Owned(body), length)
        }
        Framing::UntilClose if rest.len() > max_body => {
            return Err(HttpError::BodyTooLong { max: max_body });
        }
        Framing::UntilClose if eof => (Cow::Borrowed(rest), rest.len()),
        Framing::UntilClose => return Ok(None),
    };
    Ok(Some(Response { status: head.status, used: start + length, body, head: head.head, keep_alive }))
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

struct ParsedHead<'a> {
    status: u16,
    used: usize,
    framing: Framing,
    keep_alive: bool,
    head: Head<'a>,
}

/// Parses one head of at most `max` bytes, the blank line included.
fn parse_head(buf: &[u8], max: usize) -> Result<Option<ParsedHead<'_>>, HttpError> {
    let start = &buf[..buf.len().min(7)];
    if !b"HTTP/1.".starts_with(start) {
        return Err(HttpError::NotHttp);
    }
    let mut lines = Lines::new(buf, max);
    let Some(first) = lines.next()? else { return Ok(None) };
    let (minor, status) = status_line(first)?;
    let first_end = lines.at;

    let mut length = None;
    let mut chunked = false;
    let mut keep_alive = minor == b'1';
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        let (name, value) = header_line(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let told = whole_number(value, 10).ok_or(HttpError::Length)?;
            if length.is_some_and(|before| before != told) {
                return Err(HttpError::Length);
            }
            length = Some(told);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || minor == b'0' || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::Coding);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            if !value.eq_ignore_ascii_case(b"identity") {
                return Err(HttpError::Coding);
            }
        } else if name.eq_ignore_ascii_case(b"connection") {
            let closes = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"close");
            keep_alive &= !value.split(|&byte| byte == b',').any(closes);
        }
    }
    let framing = match (length, chunked) {
        // A message with both is how requests are smuggled past proxies (RFC 9112 §6.3).
        (Some(_), true) => return Err(HttpError::Length),
        (None, true) => Framing::Chunked,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::UntilClose,
    };
    let used = lines.finish()?;
    let head = Head { lines: &buf[first_end..used - 2] };
    Ok(Some(ParsedHead { status, used, framing, keep_alive, head }))
}

/// The lines of a head or of trailers, until the blank one.
struct Lines<'a> {
    buf: &'a [u8],
    max: usize,
    /// Bytes taken so far.
    at: usize,
    taken: usize,
}

impl<'a> Lines<'a> {
    fn new(buf: &'a [u8], max: usize) -> Self {
        Self { buf, max, at: 0, taken: 0 }
    }

    /// The next line without its CRLF; `None` if it is not all there. A bare LF is refused: two
    /// readers could disagree on it.
    fn next(&mut self) -> Result<Option<&'a [u8]>, HttpError> {
        let rest = &self.buf[self.at..self.buf.len().min(self.max)];
        let Some(end) = find(rest, b'\n') else {
            return if self.buf.len() >= self.max { Err(HttpError::HeadTooLong) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or(HttpError::Malformed)?;
        self.at += end + 1;
        self.taken += 1;
        Ok(Some(line))
    }

    /// The bytes of all lines, once the blank one was taken. No control but their CRLFs may be among
    /// them: one pass over all vectorises, one for each value would be mostly remainders.
    fn finish(self) -> Result<usize, HttpError> {
        let proper = controls(&self.buf[..self.at]) == 2 * self.taken;
        if proper { Ok(self.at) } else { Err(HttpError::Malformed) }
    }
}

/// Minor version digit and status of `HTTP/1.x SSS[ reason]`.
fn status_line(line: &[u8]) -> Result<(u8, u16), HttpError> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', code @ ..] = line else {
        return Err(HttpError::NotHttp);
    };
    match code {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..]
            if reason.is_empty() || reason[0] == b' ' =>
        {
            let digit = |byte: &u8| u16::from(byte - b'0');
            Ok((*minor, digit(a) * 100 + digit(b) * 10 + digit(c)))
        }
        _ => Err(HttpError::NotHttp),
    }
}

/// Name and value of a header line. Folded lines and space before the colon are refused (RFC 9112 §5).
fn header_line(line: &[u8]) -> Result<(&[u8], &[u8]), HttpError> {
    match line.iter().position(|&byte| !TOKEN[usize::from(byte)]) {
        Some(colon @ 1..) if line[colon] == b':' => Ok((&line[..colon], line[colon + 1..].trim_ascii())),
        _ => Err(HttpError::Malformed),
    }
}

/// Bytes of a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

/// How many control bytes there are, tabs aside. Wrapping sums of bytes, so that it vectorises: 255
/// of them can't wrap.
fn controls(bytes: &[u8]) -> usize {
    let is_control = |byte: u8| u8::from((byte < b' ') & (byte != b'\t') | (byte == 0x7f));
    let in_block = |block: &[u8]| block.iter().fold(0u8, |sum, &byte| sum.wrapping_add(is_control(byte)));
    bytes.chunks(255).map(|block| usize::from(in_block(block))).sum()
}

/// Digits of `radix` and nothing else; `None` if there are none, others, or too many for a `u64`.
fn whole_number(text: &[u8], radix: u32) -> Option<u64> {
    let mut value = 0u64;
    for &byte in text {
        let digit = char::from(byte).to_digit(radix)?;
        value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty()).then_some(value)
}

/// The body of `chunks` and how many bytes they take, trailers included; `None` if the end is not
/// there. It is walked first and copied once, so pieces of a long body do not cost a copy each.
fn join_chunks(chunks: &[u8], max_body: usize) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
    let mut total = 0;
    let mut at = 0;
    loop {
        let Some((from, length)) = chunk_line(chunks, at)? else { return Ok(None) };
        if length > (max_body - total) as u64 {
            return Err(HttpError::BodyTooLong { max: max_body });
        }
        let length = length as usize;
        if length == 0 {
            let Some(used) = trailers_end(chunks, from)? else { return Ok(None) };
            let mut body = Vec::with_capacity(total);
            let mut at = 0;
            while let Some((from, length @ 1..)) = chunk_line(chunks, at)? {
                at = from + length as usize + 2;
                body.extend_from_slice(&chunks[from..at - 2]);
            }
            return Ok(Some((body, used)));
        }
        total += length;
        at = from.saturating_add(length).saturating_add(2);
        // What is there of the CRLF behind the data must be one.
        let end = chunks.get(at - 2..).unwrap_or_default();
        if !b"\r\n".starts_with(&end[..end.len().min(2)]) {
            return Err(HttpError::Chunk);
        }
        // Chunk lines may not outgrow what they carry without end: memory stays bounded.
        if at > max_body.saturating_mul(3).saturating_add(HEAD_MAX) {
            return Err(HttpError::BodyTooLong { max: max_body });
        }
    }
}

/// Reads the chunk line at `at`: where its data starts, and how long it is.
fn chunk_line(chunks: &[u8], at: usize) -> Result<Option<(usize, u64)>, HttpError> {
    let rest = chunks.get(at..).unwrap_or_default();
    let window = &rest[..rest.len().min(CHUNK_LINE_MAX)];
    let Some(end) = find(window, b'\n') else {
        return if rest.len() >= CHUNK_LINE_MAX { Err(HttpError::Chunk) } else { Ok(None) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(HttpError::Chunk)?;
    let (size, extension) = line.split_at(line.iter().position(|&b| b == b';').unwrap_or(line.len()));
    if controls(extension) > 0 {
        return Err(HttpError::Chunk);
    }
    let size = whole_number(size.trim_ascii_end(), 16).ok_or(HttpError::Chunk)?;
    Ok(Some((at + end + 1, size)))
}

/// The end of the trailers (RFC 9112 §7.1.2) that start at `from`. They are checked and dropped.
fn trailers_end(chunks: &[u8], from: usize) -> Result<Option<usize>, HttpError> {
    let mut lines = Lines::new(&chunks[from..], HEAD_MAX);
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            return Ok(Some(from + lines.finish()?));
        }
        header_line(line)?;
    }
    Ok(None)
}

/// The first `wanted` in `bytes`, eight bytes a step.
#[inline]
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let pattern = u64::from_ne_bytes([wanted; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A zero byte borrows into its top bit; the lowest such bit is exact.
        let apart = u64::from_le_bytes(*word) ^ pattern;
        let zeros = apart.wrapping_sub(LOW) & !apart & HIGH;
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|&byte| byte == wanted).map(|at| words.len() * 8 + at)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
