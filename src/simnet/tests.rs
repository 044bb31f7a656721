//! The box as its clients see it: real sockets, real TLS, on loopback.
//!
//! Owns:  claims about the box behind real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use tungstenite::WebSocket;

use super::*;

/// Far longer than anything here takes, so that a hang is a failure with a name.
const PATIENCE: Duration = Duration::from_secs(20);

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn boxed() -> Running {
    start(Settings::default()).unwrap()
}

fn address(ready: &Ready, door: &str) -> SocketAddr {
    let url =
        if door == "control" { &ready.control } else { ready.venues["binance"][door].as_str().unwrap() };
    url.split_once("://").unwrap().1.parse().unwrap()
}

fn tcp(ready: &Ready, door: &str) -> TcpStream {
    let stream = TcpStream::connect(address(ready, door)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn client(
    ready: &Ready,
    door: &str,
    ca_pem: &str,
    versions: &[&'static SupportedProtocolVersion],
    name: &'static str,
) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
    StreamOwned::new(session, tcp(ready, door))
}

fn secured(ready: &Ready, door: &str) -> Tls {
    client(ready, door, &ready.ca_pem, rustls::ALL_VERSIONS, "127.0.0.1")
}

/// Reads up to the end of the response's body, as its Content-Length says.
fn response(stream: &mut impl Read) -> (u16, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = parsed.parse(&bytes) {
            let length =
                parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = str::from_utf8(length.unwrap().value).unwrap().parse().unwrap();
            if let Some(body) = bytes[head..].get(..length) {
                return (parsed.code.unwrap(), serde_json::from_slice(body).unwrap());
            }
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..count]);
    }
}

fn time(stream: &mut Tls) {
    stream.write_all(b"GET /api/v3/time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (status, body) = response(stream);
    assert_eq!(status, 200);
    assert!(body["serverTime"].is_u64(), "{body}");
}

fn control(ready: &Ready, request: &str) -> (u16, Value) {
    let mut stream = tcp(ready, "control");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = response(&mut stream);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "one request, one answer, closed");
    answer
}

fn post(ready: &Ready, path: &str, body: &str) -> (u16, Value) {
    control(
        ready,
        &format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    )
}

#[test]
fn a_client_with_the_authority_reads_the_time_over_both_tls_versions_and_both_names() {
    let running = boxed();
    let ca = &running.ready.ca_pem;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for name in ["localhost", "127.0.0.1"] {
            let mut stream = client(&running.ready, "spot_rest", ca, &[version], name);
            time(&mut stream);
            time(&mut stream);
        }
    }
}

#[test]
fn a_client_with_another_authority_refuses_the_box() {
    let (running, other) = (boxed(), boxed());
    let mut stream =
        client(&running.ready, "spot_rest", &other.ready.ca_pem, rustls::ALL_VERSIONS, "localhost");
    let error = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    time(&mut secured(&running.ready, "spot_rest"));
}

fn subscriber(ready: &Ready, door: &str) -> WebSocket<Tls> {
    let stream = secured(ready, door);
    let (socket, answer) = tungstenite::client("ws://localhost/ws/btcusdt@bookTicker", stream).unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

fn quote(socket: &mut WebSocket<Tls>) -> Value {
    let text = socket.read().unwrap().into_text().unwrap();
    let quote: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(quote["s"], "BTCUSDT", "{quote}");
    quote
}

#[test]
fn a_subscriber_gets_book_tickers() {
    let running = boxed();
    for door in ["spot_ws", "usdm_ws"] {
        let mut socket = subscriber(&running.ready, door);
        let updates: Vec<_> = (0..3).map(|_| quote(&mut socket)["u"].as_u64().unwrap()).collect();
        assert!(updates.is_sorted_by(|a, b| a < b), "{updates:?}");
    }
}

#[test]
fn streams_cut_by_a_fault_end_for_their_subscribers_and_can_be_opened_again() {
    let running = boxed();
    let mut cut = subscriber(&running.ready, "spot_ws");
    quote(&mut cut);
    running.fault(json!({"kind": "cut_streams"})).unwrap();
    while cut.read().is_ok() {}
    assert_eq!(running.truth()["faults"]["cut_streams"], 1);
    quote(&mut subscriber(&running.ready, "spot_ws"));
}

#[test]
fn a_tape_reaches_its_subscribers_whole_and_in_order() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for number in 0..40_u64 {
        let (market, stamp) = if number % 2 == 0 {
            ("spot", String::new())
        } else {
            ("usdm", format!(",\"T\":{0},\"E\":{0}", 1_723_161_255_000 + number))
        };
        let data = format!(
            r#"{{"u":{},"s":"BTCUSDT","b":"61837.60","B":"3.788","a":"61837.70","A":"1.546"{stamp}}}"#,
            9_000 + number
        );
        let row = json!({
            "t_ns": 1_723_161_254_000_000_000 + number * 3_000_000, "venue": "binance", "market": market,
            "kind": "book_ticker", "chan": "btcusdt@bookTicker",
            "raw": format!(r#"{{"stream":"btcusdt@bookTicker","data":{data}}}"#),
        });
        writeln!(file, "{row}").unwrap();
    }
    let tape = read_tape(&[file.path().to_owned()]).unwrap();
    let box_config = sim::Config { source: sim::Source::Tape(tape), ..sim::Config::default() };
    let running = start(Settings { box_config, ..Settings::default() }).unwrap();
    let mut spot = subscriber(&running.ready, "spot_ws");
    let mut usdm = subscriber(&running.ready, "usdm_ws");
    for number in 0..40 {
        let socket = if number % 2 == 0 { &mut spot } else { &mut usdm };
        assert_eq!(quote(socket)["u"], 9_000 + number);
    }
    assert!(running.stop()["market"].as_str().unwrap().starts_with("tape:"));
}

#[test]
fn whatever_clients_do_the_box_goes_on() {
    let running = boxed();
    let ready = &running.ready;
    for door in ["spot_rest", "usdm_ws", "control"] {
        tcp(ready, door).write_all(&[0xff; 10_000]).unwrap();
        tcp(ready, door).write_all(&[]).unwrap();
        // The head of a TLS ClientHello record, then silence.
        tcp(ready, door).write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    }
    for _ in 0..20 {
        let mut stream = secured(ready, "spot_rest");
        stream.write_all(b"GET /api/v3/time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        drop(stream);
    }
    let mut garbage = secured(ready, "spot_rest");
    garbage.write_all(&[0; 3_000]).unwrap();
    let mut cut = secured(ready, "spot_rest");
    time(&mut cut);
    cut.sock.write_all(b"not a TLS record").unwrap();
    time(&mut secured(ready, "spot_rest"));
    assert_eq!(running.stop()["venue"], "binance");
}

#[test]
fn two_hundred_clients_at_once_are_all_answered() {
    let running = boxed();
    let mut streams: Vec<_> = (0..200).map(|_| secured(&running.ready, "usdm_rest")).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /fapi/v1/time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    for stream in &mut streams {
        assert_eq!(response(stream).0, 200);
    }
}

#[test]
fn the_control_endpoint_tells_the_truth_and_takes_faults() {
    let running = boxed();
    let ready = &running.ready;
    let (status, truth) = control(ready, "GET /truth HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((status, &truth["venue"]), (200, &json!("binance")));
    assert_eq!(running.truth()["orders"], json!([]));
    assert_eq!(control(ready, "GET /healthz HTTP/1.1\r\n\r\n"), (200, json!({"ok": true})));

    let (status, refusal) = post(ready, "/fault", "{broken");
    assert_eq!(status, 400);
    let text = refusal["error"].as_str().unwrap();
    let allowed = running.fault(Value::Null).unwrap_err();
    assert!(text.contains("not JSON") && text.ends_with(&allowed), "{text}");
    assert_eq!(post(ready, "/fault", "[]").0, 400);
    assert_eq!(post(ready, "/advance", "{\"ms\": 1}").0, 409);
}

#[test]
fn the_control_endpoint_refuses_what_it_does_not_serve() {
    let running = boxed();
    let status = |request: &str| {
        let (status, body) = control(&running.ready, request);
        assert!(body["error"].is_string(), "{body}");
        status
    };
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 404);
    assert_eq!(status("POST /truth HTTP/1.1\r\n\r\n"), 404);
    assert_eq!(status("nonsense\r\n\r\n"), 400);
    assert_eq!(status("POST /fault HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
    assert_eq!(status("POST /fault HTTP/1.1\r\nContent-Length: 70000\r\n\r\n"), 413);
    assert_eq!(status("POST /fault HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
    assert_eq!(status(&format!("GET /truth HTTP/1.1\r\nX: {}", "x".repeat(20_000))), 431);
}

#[test]
fn the_ready_line_has_what_a_client_needs_and_secrets_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { out: Some(folder.path().join("deep/er")), ..Settings::default() };
    let running = start(settings).unwrap();
    let line = running.ready.to_json();
    assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), ["ca", "control", "venues"]);
    assert_eq!(std::fs::read_to_string(line["ca"].as_str().unwrap()).unwrap(), running.ready.ca_pem);
    let binance = &line["venues"]["binance"];
    let names = ["spot_rest", "spot_ws", "spot_ws_api", "spot_sbe", "usdm_rest", "usdm_ws", "usdm_ws_api"];
    for name in names {
        let scheme = if name.ends_with("rest") { "https://127.0.0.1:" } else { "wss://127.0.0.1:" };
        assert!(binance[name].as_str().unwrap().starts_with(scheme), "{binance}");
    }
    let path = binance["key_file"].as_str().unwrap();
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    assert_eq!(file["env"].as_str(), Some("test"));
    assert_eq!(file["key"].as_str(), binance["key"].as_str());
    assert_eq!(file["secret"].as_str(), binance["secret"].as_str());
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(running);
    assert!(std::path::Path::new(path).exists(), "a named folder stays");
}

#[test]
fn a_stopped_box_has_closed_its_doors_and_removed_its_temporary_files() {
    let running = boxed();
    let ready = running.ready.clone();
    let mut inside = secured(&ready, "spot_rest");
    time(&mut inside);
    let truth = running.stop();
    assert_eq!(truth["venue"], "binance");
    assert!(TcpStream::connect(address(&ready, "spot_rest")).is_err());
    assert!(TcpStream::connect(address(&ready, "control")).is_err());
    assert_eq!(inside.read(&mut [0]).unwrap(), 0, "closed in order, with TLS's close_notify");
    assert!(!ready.ca_path.exists());
}

#[test]
fn an_idle_box_parks() {
    let running = boxed();
    let ticks = || -> u64 {
        let id = std::process::id();
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
        let times = stats.filter(|stat| stat.contains("(box)")).map(|stat| {
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        });
        times.sum()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    let used = ticks() - before;
    drop(running);
    // Other tests' boxes run in the same process; each spinning one would burn 50 ticks of 10 ms.
    assert!(used < 25, "boxes used {used} ticks of 10 ms within half a second");
}
