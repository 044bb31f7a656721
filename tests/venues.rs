//! `contango pairs` and `fetch-funding` of venues that are only looked at, against answers of their own documents.
//!
//! Owns:  claims about what is asked of a venue without a key, page by page, and what is told when one fails.
//! Map:   each reading is tested in `src/venue`; the stub here knows paths and bodies, and nothing else.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use venue::Venue;

mod venue;

/// Answers by path; everything else is not found. It lives as long as the test's process.
struct Stub {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// An authority's PEM, and how a server of it speaks TLS.
struct Authority {
    folder: tempfile::TempDir,
    server: Arc<rustls::ServerConfig>,
}

impl Authority {
    fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Self { folder, server: Arc::new(server) }
    }

    fn stub(&self, answers: BTreeMap<String, Value>) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (server, heard) = (Arc::clone(&self.server), Arc::clone(&asked));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket.unwrap());
                while let Some(path) = request(&mut stream) {
                    let (status, body) = match answers.get(&path) {
                        Some(body) => ("200 OK", body.to_string()),
                        None => ("404 Not Found", "<html>no such path</html>".to_owned()),
                    };
                    heard.lock().unwrap().push(path);
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
                    if stream.write_all((head + &body).as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        Stub { url, asked }
    }

    fn run(&self, command: &str, endpoints: &[(&str, &Stub)], arguments: &[&str]) -> (i32, String, String) {
        let endpoints = endpoints.iter().map(|(name, stub)| format!("--endpoint={name}.rest={}", stub.url));
        let told = Command::new(env!("CARGO_BIN_EXE_contango"))
            .arg(command)
            .args(endpoints)
            .arg("--ca")
            .arg(self.folder.path().join("ca.pem"))
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
    }
}

/// The path of the next request; `None`: the connection is over.
fn request(stream: &mut impl std::io::Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let text = String::from_utf8(head).unwrap();
    assert!(!text.to_ascii_lowercase().contains("key"), "nothing here needs a key: {text}");
    text.split(' ').nth(1).map(str::to_owned)
}

fn fixture(venue: &str, name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{venue}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Answers, each changed.
fn answers(rows: Vec<(&str, Value)>) -> BTreeMap<String, Value> {
    rows.into_iter().map(|(path, body)| (path.to_owned(), body)).collect()
}

/// Bybit with BTC, and SHIB1000 on a second page.
fn bybit() -> BTreeMap<String, Value> {
    let mut spot = fixture("bybit", "rest_instruments_spot");
    let mut linear = fixture("bybit", "rest_instruments_linear");
    let mut second = linear.clone();
    let (mut shib, mut shib_perp) = (spot["result"]["list"][0].clone(), linear["result"]["list"][0].clone());
    for (row, symbol, base) in [(&mut shib, "SHIBUSDT", "SHIB"), (&mut shib_perp, "SHIB1000USDT", "SHIB1000")]
    {
        row["symbol"] = json!(symbol);
        row["baseCoin"] = json!(base);
        row["priceFilter"]["tickSize"] = json!("0.000001");
    }
    shib["priceFilter"]["tickSize"] = json!("0.000000001");
    spot["result"]["list"].as_array_mut().unwrap().push(shib);
    second["result"]["list"] = json!([shib_perp]);
    linear["result"]["nextPageCursor"] = json!("page%3D2");
    let ticker = |symbol: &str, bid: &str, ask: &str| {
        json!({"symbol": symbol, "bid1Price": bid, "bid1Size": "2", "ask1Price": ask, "ask1Size": "3",
            "markPrice": ask, "fundingRate": "0.0001", "nextFundingTime": "1760371200000",
            "fundingIntervalHour": "8", "fundingCap": "0.005"})
    };
    let tickers = |category: &str, rows: [Value; 2]| json!({"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": rows}, "time": 1760352369814i64});
    let info = "/v5/market/instruments-info?category";
    answers(vec![
        (&format!("{info}=spot"), spot),
        (&format!("{info}=linear&limit=1000"), linear),
        (&format!("{info}=linear&limit=1000&cursor=page%3D2"), second),
        (
            "/v5/market/tickers?category=spot",
            tickers("spot", [ticker("BTCUSDT", "99.9", "100.1"), ticker("SHIBUSDT", "0.000009", "0.00001")]),
        ),
        (
            "/v5/market/tickers?category=linear",
            tickers(
                "linear",
                [ticker("BTCUSDT", "100.1", "100.3"), ticker("SHIB1000USDT", "0.0099", "0.0101")],
            ),
        ),
    ])
}

#[test]
fn pairs_of_several_venues_are_held_against_their_prices_and_one_that_fails_stops_no_other() {
    let authority = Authority::new();
    // Swaps: ETH of the fixture has no spot market here, BTC has.
    let ticker = |id: &str, bid: &str, ask: &str| json!({"instId": id, "bidPx": bid, "bidSz": "5", "askPx": ask, "askSz": "6"});
    let okx = authority.stub(answers(vec![
        ("/api/v5/public/instruments?instType=SPOT", fixture("okx", "rest_instruments_spot")),
        ("/api/v5/public/instruments?instType=SWAP", fixture("okx", "rest_instruments_swap")),
        (
            "/api/v5/market/tickers?instType=SPOT",
            json!({"code": "0", "msg": "", "data": [ticker("BTC-USDT", "99.8", "100.2")]}),
        ),
        (
            "/api/v5/market/tickers?instType=SWAP",
            json!({"code": "0", "msg": "", "data": [ticker("BTC-USDT-SWAP", "100.2", "100.4"), ticker("ETH-USDT-SWAP", "1", "2")]}),
        ),
        ("/api/v5/public/mark-price?instType=SWAP", fixture("okx", "rest_mark_price")),
        ("/api/v5/public/funding-rate?instId=ANY", fixture("okx", "rest_funding_rate")),
    ]));
    let bybit = authority.stub(bybit());
    let down = authority.stub(BTreeMap::new());
    let at = [("bybit", &bybit), ("okx", &okx), ("bitget", &down)];
    let (code, out, error) = authority.run("pairs", &at, &["--venue", "bybit,okx,bitget", "--json"]);
    assert_eq!(code, 1, "{out}{error}");
    assert!(
        error.contains("bitget /api/v3/market/instruments?category=SPOT: HTTP 404: the body is not JSON"),
        "{error}"
    );
    let told: Value = serde_json::from_str(&out).unwrap();
    let rows = told["pairs"].as_array().unwrap();
    let line = |row: &Value| {
        let word = |place: &str| row.pointer(place).unwrap().as_str().unwrap_or("null").to_owned();
        let of = ["/venue", "/coin", "/spot/symbol", "/perp/symbol", "/size_factor", "/perp/funding/rate"];
        format!("{} {} x{}", of.map(word).join(" "), row["perp"]["funding"]["hours"], row["price_factor"])
    };
    assert_eq!(
        rows.iter().map(line).collect::<Vec<_>>(),
        [
            "bybit BTC BTCUSDT BTCUSDT 1 0.0001 8 x1",
            "okx BTC BTC-USDT BTC-USDT-SWAP 0.01 0.0000182221218054 8 x1",
            "bybit SHIB SHIBUSDT SHIB1000USDT 1000 0.0001 8 x1000",
        ]
    );
    let against: Vec<_> = rows.iter().map(|row| row["against"].as_str().unwrap_or("nothing")).collect();
    // The middle of SHIB's spot book is 5 % below the perp's: these are not the same coin.
    assert_eq!(against[..2], ["nothing", "nothing"]);
    assert!(against[2].contains("2 % or more"), "{}", against[2]);
    assert_eq!(told["venues"][1]["left_out"][0]["symbol"], "ETH-USDT-SWAP");
    let asked = bybit.asked.lock().unwrap();
    assert!(asked.iter().any(|path| path.ends_with("cursor=page%3D2")), "{asked:?}");
    // A name in any venue's form finds its pair, and as a table it is one line.
    let (code, out, error) = authority.run("pairs", &at, &["--venue", "okx", "--pairs", "BTCUSDT"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.contains("okx: 1 pairs") && out.contains("BTC-USDT-SWAP"), "{out}");
}

#[test]
fn settled_funding_is_read_back_page_by_page_and_told_oldest_first() {
    let authority = Authority::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let eight_hours = 8 * 3_600_000;
    let newest = now / eight_hours * eight_hours;
    let page = |from: i64, count: i64| {
        let row = |n: i64| {
            let at = (newest - n * eight_hours).to_string();
            json!({"symbol": "BTCUSDT", "fundingRate": format!("0.000{n:0>3}"), "fundingRateTimestamp": at})
        };
        let rows: Vec<_> = (from..from + count).map(row).collect();
        json!({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}, "time": now})
    };
    let history = "/v5/market/funding/history?category=linear&symbol=BTCUSDT";
    let mut all = bybit();
    let behind = newest - 199 * eight_hours - 1;
    all.extend(answers(vec![
        ("/v5/market/time", json!({"retCode": 0, "retMsg": "OK", "result": {}, "time": now})),
        (&format!("{history}&limit=200"), page(0, 200)),
        (&format!("{history}&endTime={behind}&limit=200"), page(200, 40)),
    ]));
    let bybit = authority.stub(all);
    let at = [("bybit", &bybit)];
    let named = ["--venue", "bybit", "--pairs", "BTC"];
    let ask = |more: &[&str]| authority.run("fetch-funding", &at, &[&named[..], more].concat());
    let (code, out, error) = ask(&["--since", "365d"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (241, "funding_time_ms,funding_rate"));
    assert_eq!(lines[240], format!("{newest},0"), "the newest last");
    assert_eq!(lines[1], format!("{},0.000239", newest - 239 * eight_hours));
    let (code, out, _) = ask(&["--since", "1d", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, told["rows"].as_array().map(Vec::len)), (0, Some(3)), "{out}");
    let (code, _, error) = ask(&["--prices"]);
    assert!(code == 2 && error.contains("leave --prices out"), "{error}");
    let (code, _, error) = authority.run("fetch-funding", &at, &["--venue", "all", "--pairs", "BTC"]);
    assert!(code == 2 && error.contains("name one venue"), "{error}");
}

/// Every endpoint of a box, as flags.
fn endpoints(ready: &Value) -> Vec<String> {
    let mut flags = vec![format!("--ca={}", ready["ca"].as_str().unwrap())];
    for (venue, told) in ready["venues"].as_object().unwrap() {
        for name in ["spot_rest", "usdm_rest", "rest"] {
            flags.extend(told[name].as_str().map(|url| format!("--endpoint={venue}.{name}={url}")));
        }
    }
    flags
}

#[test]
fn the_box_stands_for_all_four_and_each_is_read_by_its_own_drawers() {
    let exchange = Venue::open(&["--venue", "all", "--coins", "40", "--ticks-per-s", "2", "--for", "120s"]);
    let told = Command::new(env!("CARGO_BIN_EXE_contango"))
        .args(["pairs", "--venue", "all", "--json"])
        .args(endpoints(&exchange.ready))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&told.stderr);
    assert_eq!((told.status.code(), &*error), (Some(0), ""));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let rows = told["pairs"].as_array().unwrap();
    let of = |venue: &str| rows.iter().filter(|row| row["venue"] == venue).collect::<Vec<_>>();
    for (venue, pairs, pepe) in [
        ("binance", 40, ("1000PEPEUSDT", 1000, "1000")),
        ("bybit", 41, ("1000PEPEUSDT", 1000, "1000")),
        ("okx", 40, ("PEPE-USDT-SWAP", 1, "10000000")),
        ("bitget", 40, ("PEPEUSDT", 1, "1")),
    ] {
        let rows = of(venue);
        assert_eq!(rows.len(), pairs, "{venue}: {}", told["venues"]);
        let row = rows.iter().find(|row| row["coin"] == "PEPE").unwrap();
        let names = (row["perp"]["symbol"].as_str().unwrap(), row["price_factor"].as_i64().unwrap());
        assert_eq!((names.0, names.1, row["size_factor"].as_str().unwrap()), pepe);
        for row in rows {
            assert_eq!(row["against"], Value::Null, "{row}");
            assert!(row["perp"]["bid"][0].is_string() && row["spot"]["ask"][1].is_string(), "{row}");
            assert!(row["perp"]["funding"]["rate"].is_string() && row["perp"]["mark"].is_string(), "{row}");
        }
    }
    let refused =
        told["venues"].as_array().unwrap().iter().map(|row| row["refused"].as_array().unwrap().len());
    assert_eq!(refused.sum::<usize>(), 0, "{}", told["venues"]);
    // The truth tells that no budget was used beyond six tenths.
    for (venue, told) in exchange.ready["venues"].as_object().unwrap() {
        let Some(control) = told["control"].as_str() else { continue };
        for (path, rate) in truth(control)["rates"].as_object().unwrap() {
            let (peak, limit) = (rate["peak"].as_u64().unwrap(), rate["limit"].as_u64().unwrap());
            assert!(peak > 0 && peak * 10 <= limit * 6, "{venue} {path}: {peak} of {limit}");
        }
    }
}

/// What a box knows to be true.
fn truth(control: &str) -> Value {
    use std::io::Read as _;
    let mut socket = std::net::TcpStream::connect(control.strip_prefix("http://").unwrap()).unwrap();
    socket.write_all(b"GET /truth HTTP/1.1\r\nHost: box\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}
