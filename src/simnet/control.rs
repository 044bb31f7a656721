//! The box's control endpoint: plain HTTP on loopback, for `curl` and checkers in any language.
//!
//! Owns:  reading one request from a connection's first bytes, and the JSON answer to it.
//! Never: touches a socket, or keeps a connection open: one request, one answer, closed.
//! Wire:  RFC 9112 with `Content-Length` bodies only; a chunked body is answered with 411.

use serde_json::{Value, json};

use crate::sim::Exchange;

/// The largest request head we read; `curl` sends about 100 bytes.
const HEAD_MAX: usize = 16 * 1024;

/// The largest body we read: a fault order is a line.
const BODY_MAX: usize = 64 * 1024;

/// Headers per request, beyond which it is refused.
const HEADERS_MAX: usize = 64;

/// What there is, told with every 404.
const MENU: &str = "GET /truth, POST /fault, POST /advance, GET /healthz";

/// Answers the request at the start of `inbox`, or returns `None` while it is not complete.
///
/// The answer asks the client to close; what follows the request in `inbox` is not looked at.
pub(super) fn answer(inbox: &[u8], exchange: &mut Exchange, now: u64) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(inbox) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if inbox.len() < HEAD_MAX => return None,
        Ok(httparse::Status::Partial) => return Some(refuse(431, "the request head exceeds 16 KiB")),
        Err(error) => return Some(refuse(400, &format!("this is not HTTP/1.1 ({error}); {MENU}"))),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    if header("transfer-encoding").is_some() {
        return Some(refuse(411, "send the body with Content-Length, not chunked"));
    }
    let length = match header("content-length").map(|text| str::from_utf8(text).unwrap_or_default()) {
        None => 0,
        Some(text) => match text.trim().parse::<usize>() {
            Ok(length) if length <= BODY_MAX => length,
            Ok(_) => return Some(refuse(413, "the body exceeds 64 KiB")),
            Err(_) => return Some(refuse(400, "Content-Length is not a number")),
        },
    };
    let body = inbox[head..].get(..length)?;
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Some(match (request.method.unwrap_or_default(), path) {
        ("GET", "/truth") => respond(200, &exchange.truth(now)),
        ("GET", "/healthz") => respond(200, &json!({"ok": true})),
        ("POST", "/fault") => fault(body, exchange),
        ("POST", "/advance") => {
            refuse(409, "the box runs in real time; time passes by itself (`rehearse` has virtual time)")
        }
        (method, path) => refuse(404, &format!("there is no {method} {path} here; there is {MENU}")),
    })
}

fn fault(body: &[u8], exchange: &mut Exchange) -> Vec<u8> {
    let order = match serde_json::from_slice::<Value>(body) {
        Ok(order) => order,
        Err(error) => {
            // The exchange alone knows its faults; asked for none, it tells what it allows.
            let allowed = exchange.fault(&Value::Null).err().unwrap_or_default();
            return refuse(400, &format!("the body is not JSON ({error}); {allowed}"));
        }
    };
    match exchange.fault(&order) {
        Ok(()) => respond(200, &json!({"ok": true})),
        Err(allowed) => refuse(400, &allowed),
    }
}

fn refuse(status: u16, error: &str) -> Vec<u8> {
    respond(status, &json!({"error": error}))
}

fn respond(status: u16, body: &Value) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        _ => "Request Header Fields Too Large",
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len() + 1
    );
    [head.as_bytes(), body.as_bytes(), b"\n"].concat()
}
