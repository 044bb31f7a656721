//! The answer reader against httparse and an obvious reading of bodies, the slow twin.
//!
//! Owns:  claims about HTTP against slow twins.

use super::*;
use proptest::prelude::*;

const MAX: usize = 4_096;

/// Status, bytes used, body, headers, as httparse and the plainest code read them. Only for answers
/// that ours accepted: it is laxer.
type Reading = (u16, usize, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn slow(bytes: &[u8], eof: bool) -> Option<Reading> {
    let mut from = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(&bytes[from..]).ok()? else { return None };
        from += head;
        let status = parsed.code?;
        if (100..200).contains(&status) {
            continue;
        }
        let headers: Vec<(Vec<u8>, Vec<u8>)> = parsed
            .headers
            .iter()
            .map(|h| (h.name.as_bytes().to_vec(), h.value.trim_ascii().to_vec()))
            .collect();
        let named = |name: &str| {
            headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v.clone())
        };
        let rest = &bytes[from..];
        if status == 204 || status == 304 {
            return Some((status, from, Vec::new(), headers));
        }
        if named("transfer-encoding").is_some() {
            let (body, used) = slow_chunks(rest)?;
            return Some((status, from + used, body, headers));
        }
        let length = match named("content-length") {
            Some(text) => String::from_utf8(text).ok()?.parse().ok()?,
            None if eof => rest.len(),
            None => return None,
        };
        return Some((status, from + length, rest.get(..length)?.to_vec(), headers));
    }
}

fn slow_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let httparse::Status::Complete((line, size)) = httparse::parse_chunk_size(&bytes[at..]).ok()? else {
            return None;
        };
        at += line;
        if size == 0 {
            let mut trailers = [httparse::EMPTY_HEADER; 64];
            let httparse::Status::Complete((used, _)) =
                httparse::parse_headers(&bytes[at..], &mut trailers).ok()?
            else {
                return None;
            };
            return Some((body, at + used));
        }
        body.extend_from_slice(bytes.get(at..at + size as usize)?);
        at += size as usize;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
}

fn reading(response: &Response<'_>) -> Reading {
    let headers = response.head.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    (response.status, response.used, response.body.to_vec(), headers)
}

fn body_of(text: &str) -> Result<Option<(u16, String)>, HttpError> {
    let told = response(text.as_bytes(), MAX)?;
    Ok(told.map(|r| (r.status, String::from_utf8(r.body.to_vec()).unwrap())))
}

fn chunked(body: &[u8], sizes: &[usize], extension: &str, trailer: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    for size in sizes.iter().copied().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(format!("{:X}{extension}\r\n", now.len()).as_bytes());
        out.extend_from_slice(now);
        out.extend_from_slice(b"\r\n");
        rest = later;
    }
    out.extend_from_slice(format!("0{extension}\r\n{trailer}\r\n").as_bytes());
    out
}

#[test]
fn a_request_is_written_as_the_rfc_wants_it() {
    let mut out = Vec::new();
    Request {
        method: "POST",
        path: "/api/v3/order?x=1",
        host: "api.example",
        headers: &[("X-KEY", "k"), ("Bad", "v\r\nX: y")],
        body: b"a=1",
    }
    .write_to(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "POST /api/v3/order?x=1 HTTP/1.1\r\nHost: api.example\r\nX-KEY: k\r\nBad: v%0d%0aX: y\r\n\
         Content-Length: 3\r\n\r\na=1"
    );
    for (method, length) in [("GET", false), ("DELETE", false), ("POST", true), ("PUT", true)] {
        let mut out = Vec::new();
        Request { method, path: "/", host: "h", headers: &[], body: b"" }.write_to(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains("Content-Length: 0\r\n"), length, "{text}");
    }
}

#[test]
fn a_body_with_a_length_stays_where_it_is() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 ";
    let answer = response(bytes, MAX).unwrap().unwrap();
    assert!(matches!(answer.body, Cow::Borrowed(b"{}")));
    assert_eq!((answer.used, answer.keep_alive), (bytes.len() - 9, true));
}

#[test]
fn headers_are_found_in_any_case() {
    let bytes = b"HTTP/1.1 200\r\ncontent-TYPE: \t application/json;charset=UTF-8 \r\nRetry-After:7\r\n\
                  X-Empty:\r\nContent-Length: 0\r\n\r\n";
    let head = response(bytes, MAX).unwrap().unwrap().head;
    assert_eq!(head.header("retry-after"), Some(&b"7"[..]));
    assert_eq!(head.header("X-Empty"), Some(&b""[..]));
    assert_eq!(head.header("X-None"), None);
    assert!(head.is_json());
    let html = b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n";
    assert!(!response(html, MAX).unwrap().unwrap().head.is_json());
}

#[test]
fn interim_answers_are_skipped_and_bounded() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(body_of(text), Ok(Some((200, "ok".to_owned()))));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_MAX);
    assert_eq!(body_of(&endless), Err(HttpError::HeadTooLong));
    assert_eq!(body_of("HTTP/1.1 101 Switching\r\n\r\n"), Err(HttpError::Upgraded));
}

#[test]
fn answers_without_body_end_with_their_head() {
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200");
        let answer = response(text.as_bytes(), MAX).unwrap().unwrap();
        assert_eq!((answer.body.len(), answer.used), (0, text.len() - 12));
    }
}

#[test]
fn a_body_without_length_lasts_until_the_end() {
    let text = b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}";
    assert_eq!(response(text, MAX), Ok(None));
    let answer = response_at_eof(text, MAX).unwrap().unwrap();
    assert_eq!((&*answer.body, answer.keep_alive), (&b"{\"a\":1}"[..], false));
    assert_eq!(response(text, 6), Err(HttpError::BodyTooLong { max: 6 }));
}

#[test]
fn an_answer_cut_off_is_an_error_never_a_half() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\":1}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "HTT",
    ] {
        assert_eq!(response(text.as_bytes(), MAX), Ok(None));
        assert_eq!(response_at_eof(text.as_bytes(), MAX), Err(HttpError::Truncated { have: text.len() }));
    }
    assert_eq!(response_at_eof(b"", MAX), Ok(None), "closed between answers is no truncation");
}

#[test]
fn the_connection_says_whether_it_lives_on() {
    for (text, alive) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: x, Close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        assert_eq!(response(text.as_bytes(), MAX).unwrap().unwrap().keep_alive, alive, "{text}");
    }
}

#[test]
fn each_breach_has_its_error() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = "9".repeat(CHUNK_LINE_MAX);
    for (text, error) in [
        (format!("{ok}Content-Length: 4097\r\n\r\n"), HttpError::BodyTooLong { max: MAX }),
        (format!("{ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), HttpError::Length),
        (format!("{ok}Content-Length: 1, 1\r\n\r\na"), HttpError::Length),
        (format!("{ok}Content-Length: +1\r\n\r\na"), HttpError::Length),
        (format!("{ok}Content-Length: -1\r\n\r\n"), HttpError::Length),
        (format!("{ok}Content-Length:\r\n\r\n"), HttpError::Length),
        (format!("{ok}Content-Length: 18446744073709551616\r\n\r\n"), HttpError::Length),
        (format!("{ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), HttpError::Length),
        (format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n"), HttpError::Coding),
        (format!("{ok}Content-Encoding: gzip\r\n\r\n"), HttpError::Coding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), HttpError::Coding),
        (format!("{ok}Name : x\r\n\r\n"), HttpError::Malformed),
        (format!("{ok}A: x\r\n folded\r\n\r\n"), HttpError::Malformed),
        (format!("{ok}no colon\r\n\r\n"), HttpError::Malformed),
        (format!("{ok}A: x\ry\r\n\r\n"), HttpError::Malformed),
        (format!("{ok}A: \0\r\n\r\n"), HttpError::Malformed),
        ("HTTP/1.1 200 OK\n\n".to_owned(), HttpError::Malformed),
        ("HTTP/2 200\r\n".to_owned(), HttpError::NotHttp),
        ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), HttpError::NotHttp),
        ("HTTP/1.1 099 OK\r\n\r\n".to_owned(), HttpError::NotHttp),
        ("HTTP/1.1 200OK\r\n\r\n".to_owned(), HttpError::NotHttp),
        ("HTTP/1.1\r\n\r\n".to_owned(), HttpError::NotHttp),
        ("\u{15}".to_owned(), HttpError::NotHttp),
        (format!("{ok}A: {}", "x".repeat(HEAD_MAX)), HttpError::HeadTooLong),
        (format!("{ok}A: {}\r\n\r\n", "x".repeat(HEAD_MAX)), HttpError::HeadTooLong),
        (format!("{chunks}x\r\n"), HttpError::Chunk),
        (format!("{chunks}\r\n"), HttpError::Chunk),
        (format!("{chunks}2\n"), HttpError::Chunk),
        (format!("{chunks}2\r\nabc"), HttpError::Chunk),
        (format!("{chunks}{long}"), HttpError::Chunk),
        (format!("{chunks}ffffffffffffffff\r\n"), HttpError::BodyTooLong { max: MAX }),
        (format!("{chunks}1000\r\n{}\r\n1\r\n", "x".repeat(MAX)), HttpError::BodyTooLong { max: MAX }),
        (format!("{chunks}0\r\nbad trailer\r\n\r\n"), HttpError::Malformed),
    ] {
        assert_eq!(body_of(&text), Err(error), "{:?}", &text[..text.len().min(80)]);
    }
    assert_eq!(
        body_of(&format!("{ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\na")),
        Ok(Some((200, "a".to_owned()))),
        "twice the same is one length"
    );
    assert_eq!(
        body_of(&format!("{chunks}{}", format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(4_000))),
        Err(HttpError::BodyTooLong { max: MAX }),
        "chunk lines are bounded too"
    );
}

#[test]
fn find_agrees_with_position_on_every_place() {
    for length in 0..40 {
        for at in 0..length {
            let mut bytes = vec![b'\n' + 1; length];
            bytes[at] = b'\n';
            bytes.push(b'\n');
            assert_eq!(find(&bytes, b'\n'), Some(at));
        }
        assert_eq!(find(&vec![0x8a; length], b'\n'), None);
    }
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("X-[A-Za-z0-9-]{0,12}", "[ -~]{0,20}"), 0..6)
}

/// A valid answer and its body.
fn answer() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let body = proptest::collection::vec(any::<u8>(), 0..120);
    let chunks =
        (proptest::collection::vec(1usize..50, 1..5), "(;[a-z]{1,5}=[a-z]{1,5})?", "(X-T: [a-z]{0,9}\r\n)?");
    (200u16..600, headers(), body, proptest::option::of(chunks), any::<bool>()).prop_map(
        |(status, headers, body, chunks, interim)| {
            let mut text = String::new();
            if interim {
                text.push_str("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
            }
            text.push_str(&format!("HTTP/1.1 {status} Some Reason\r\n"));
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            let bodiless = status == 204 || status == 304;
            let (framing, raw) = match &chunks {
                Some((sizes, extension, trailer)) => {
                    ("Transfer-Encoding: chunked".to_owned(), chunked(&body, sizes, extension, trailer))
                }
                None => (format!("Content-Length: {}", body.len()), body.clone()),
            };
            text.push_str(&format!("{framing}\r\n\r\n"));
            let mut bytes = text.into_bytes();
            if bodiless {
                return (bytes, Vec::new());
            }
            bytes.extend_from_slice(&raw);
            (bytes, body)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// However a valid answer is framed and wherever it is cut: first nothing, then all of it.
    #[test]
    fn answers_agree_with_the_twin_and_wait_at_every_cut((bytes, body) in answer(), then in "[ -~]{0,30}") {
        let whole = bytes.len();
        for cut in 0..whole {
            prop_assert_eq!(response(&bytes[..cut], MAX), Ok(None), "cut at {}", cut);
        }
        let bytes = [&bytes[..], then.as_bytes()].concat();
        let ours = response(&bytes, MAX).unwrap().expect("it is whole");
        prop_assert_eq!(ours.used, whole);
        prop_assert_eq!(&*ours.body, &body[..]);
        prop_assert_eq!(Some(reading(&ours)), slow(&bytes, false));
        prop_assert_eq!(response_at_eof(&bytes, MAX), Ok(Some(ours)));
    }

    /// The same body, chunked and plain, is the same body.
    #[test]
    fn chunked_equals_plain(body in proptest::collection::vec(any::<u8>(), 0..300), sizes in proptest::collection::vec(1usize..90, 1..6)) {
        let plain = [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
        let pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunked(&body, &sizes, "", "")[..]].concat();
        let (plain, pieces) = (response(&plain, MAX).unwrap().unwrap(), response(&pieces, MAX).unwrap().unwrap());
        prop_assert_eq!(plain.body, pieces.body);
    }

    /// Changed bytes never panic; what we still accept, the twin accepts and reads the same.
    #[test]
    fn mutated_answers_are_refused_or_read_as_the_twin_reads_them(
        (mut bytes, _) in answer(),
        changes in proptest::collection::vec((any::<usize>(), prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), b'0'..=b'9']), 1..4),
        cut: usize,
    ) {
        let whole = bytes.len();
        for (at, byte) in changes {
            bytes[at % whole] = byte;
        }
        let until = if cut % 4 == 0 { cut % whole } else { whole };
        let bytes = &bytes[..until];
        if let Ok(Some(ours)) = response(bytes, MAX) {
            prop_assert_eq!(Some(reading(&ours)), slow(bytes, false));
        }
        if let Ok(Some(ours)) = response_at_eof(bytes, MAX) {
            prop_assert_eq!(Some(reading(&ours)), slow(bytes, true));
        }
    }

    /// Pieces of bytes that are no answer at all.
    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(!matches!(response(&bytes, MAX), Ok(Some(_))));
        let after = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
        let _ = response(&after, MAX);
    }

    /// What we write, httparse reads back.
    #[test]
    fn requests_are_read_back_by_the_twin(
        path in "/[!-~]{0,30}", host in "[a-z.]{1,20}(:[0-9]{1,5})?", headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 1..60),
    ) {
        let borrowed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut out = Vec::new();
        Request { method: "PUT", path: &path, host: &host, headers: &borrowed, body: &body }.write_to(&mut out);
        let mut room = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut room);
        let used = parsed.parse(&out).unwrap().unwrap();
        prop_assert_eq!((parsed.method, parsed.path), (Some("PUT"), Some(&path[..])));
        let value = |name: &str| parsed.headers.iter().find(|h| h.name == name).map(|h| h.value.to_vec());
        prop_assert_eq!(value("Host"), Some(host.into_bytes()));
        prop_assert_eq!(value("Content-Length"), Some(body.len().to_string().into_bytes()));
        prop_assert_eq!(&out[used..], &body[..]);
        prop_assert_eq!(parsed.headers.len(), headers.len() + 2);
    }
}
