//! `contango scan` against the exchange in a box, four venues of it, as processes of their own.
//!
//! Owns:  claims about what a person and a program get from box data, and what they get while a venue fails.
//! Map:   the API's parts are tested in `src/ops/scan`, each venue's reading in `src/venue`.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use venue::{CONTANGO, Ready, Venue};

mod venue;

const VENUES: [(&str, &str); 4] =
    [("binance", "Binance"), ("bybit", "Bybit"), ("okx", "OKX"), ("bitget", "Bitget")];

/// Four venues in a box, and how to reach them.
struct Box(Venue);

impl Box {
    fn open(arguments: &[&str]) -> Self {
        let all = ["--venue", "all", "--ticks-per-s", "5", "--for", "240s"];
        Self(Venue::open(&[&all[..], arguments].concat()))
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--ca={}", self.0.ready["ca"].as_str().unwrap())];
        for (venue, _) in VENUES {
            for name in ["spot_rest", "usdm_rest", "rest"] {
                let url = self.0.ready["venues"][venue][name].as_str();
                flags.extend(url.map(|url| format!("--endpoint={venue}.{name}={url}")));
            }
        }
        flags
    }

    fn control(&self, venue: &str) -> &str {
        self.0.ready["venues"][venue]["control"].as_str().or(self.0.ready["control"].as_str()).unwrap()
    }

    fn fault(&self, venue: &str, order: Value) {
        let body = order.to_string();
        let head = format!("POST /fault HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n", body.len());
        let (status, answer) = talk(self.control(venue), &(head + &body));
        assert_eq!(status, 200, "{answer}");
    }

    fn truth(&self, venue: &str) -> Value {
        serde_json::from_str(&talk(self.control(venue), "GET /truth HTTP/1.1\r\nHost: box\r\n\r\n").1)
            .unwrap()
    }

    /// Every venue pays this on ETH, and always has.
    fn steady(&self, rate: &str) {
        for (venue, _) in VENUES {
            let order = json!({"kind": "funding", "symbol": "ETHUSDT", "rate": rate, "interval_h": 8, "steady": true});
            self.fault(venue, order);
        }
    }

    /// One table as JSON: exit code, the object, standard error.
    fn scan(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut command = Command::new(CONTANGO);
        let told = command.args(["scan", "--json"]).args(self.flags()).args(arguments).output().unwrap();
        let error = String::from_utf8(told.stderr).unwrap();
        (told.status.code().unwrap(), serde_json::from_slice(&told.stdout).unwrap(), error)
    }

    fn serve(&self, arguments: &[&str]) -> Api {
        let mut command = Command::new(CONTANGO);
        command.args(["scan", "--listen", "127.0.0.1:0", "--json"]).args(self.flags()).args(arguments);
        let child = Ready::start(&mut command);
        Api { url: child.told["listen"].as_str().unwrap().to_owned(), _child: child }
    }
}

/// Sends a request, reads until the end: status and body.
fn talk(url: &str, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A scanner that serves; ends when dropped.
struct Api {
    _child: Ready,
    url: String,
}

impl Api {
    fn ask(&self, method: &str, target: &str, headers: &str) -> (u16, String) {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: scan\r\nConnection: close\r\n{headers}\r\n");
        talk(&self.url, &request)
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        let (status, body) = self.ask("GET", &format!("/v1/arbitrage/spot-perp?{query}"), "");
        assert_eq!(status, 200, "{body}");
        let mut told: Value = serde_json::from_str(&body).unwrap();
        assert!(told["meta"]["request_id"].is_string() && told["meta"]["elapsed_ms"].is_u64(), "{body}");
        told["data"].as_array_mut().map(std::mem::take).unwrap()
    }

    /// Asks until an answer does.
    #[track_caller]
    fn until(&self, query: &str, what: &str, does: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let rows = self.rows(query);
            if does(&rows) {
                return rows;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{what} within 60 s: {rows:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn eth(rows: &[Value]) -> impl Iterator<Item = &Value> {
    rows.iter().filter(|row| row["symbol"] == "ETH")
}

#[test]
fn the_api_tells_the_figures_of_the_design_from_box_data_of_four_venues() {
    let exchange = Box::open(&[]);
    // Before anybody reads what settled.
    exchange.steady("0.00032");
    let api = exchange.serve(&[]);
    for (rate, apr, net, week) in [
        ("0.00032", 0.3504, 0.3464, 0.00672),
        ("0.00015", 0.16425, 0.16025, 0.00315),
        ("0.0001", 0.1095, 0.1055, 0.0021),
    ] {
        exchange.steady(rate);
        // The estimate follows within seconds; what settled before was another rate, and is not asked for again.
        let first = rate == "0.00032";
        let rows = api.until("", "ETH of four venues", |rows| {
            let good = |row: &&Value| {
                row["apr"] == apr && row["basisRate"].is_f64() && (!first || row["cumRate7d"] == week)
            };
            eth(rows).filter(good).count() == 4
        });
        for row in eth(&rows) {
            assert_eq!(
                (row["netApr"].as_f64(), row["intervalHours"].as_u64()),
                (Some(net), Some(8)),
                "{row}"
            );
            assert_eq!(row["direction"], "short");
            assert_eq!(row["portfolio"], json!({"spotSide": "buy", "perpSide": "sell"}));
            assert!(row["nextFundingTime"].as_str().unwrap().ends_with('Z'), "{row}");
        }
        let aprs: Vec<f64> = rows.iter().map(|row| row["apr"].as_f64().unwrap()).collect();
        assert!(aprs.is_sorted_by(|a, b| a >= b), "{aprs:?}");
    }
    // A rate below zero turns the direction round.
    exchange.steady("-0.0002");
    let rows = api.until("direction=long", "ETH long", |rows| eth(rows).count() == 4);
    assert!(eth(&rows).all(|row| row["portfolio"] == json!({"spotSide": "sell", "perpSide": "buy"})));
    assert!(rows.iter().all(|row| row["fundingRate"].as_f64().unwrap() < 0.0));
    // Twelve coins, one more on Bybit; each once a venue, whatever its perp is called.
    let all = api.until("", "all rows", |rows| rows.len() == 49);
    for (_, exchange) in VENUES {
        let of: Vec<_> = api.rows(&format!("exchange={exchange}"));
        assert_eq!(of.len(), if exchange == "Bybit" { 13 } else { 12 });
        assert_eq!(of.iter().filter(|row| row["symbol"] == "PEPE").count(), 1, "{exchange}");
    }
    assert!(all.iter().all(|row| row.get("edge").is_none()));
    let edged = api.rows("notional=100&holdDays=7&exchange=OKX");
    assert!(
        edged.iter().all(|row| row["edge"]["priceAgeMs"].as_u64().is_some_and(|ms| ms < 2_000)),
        "{edged:#?}"
    );
    let history = api.ask("GET", "/v1/funding-history?exchange=OKX&symbol=ETH", "").1;
    let history: Value = serde_json::from_str(&history).unwrap();
    assert!(history["data"].as_array().unwrap().len() >= 21, "{history}");
    for (method, target, status) in [
        ("GET", "/v1/arbitrage/spot-perp?exchange=Kraken", 400),
        ("GET", "/v1/arbitrage/spot-perp?exchange=OKX&exchange=OKX", 400),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/arbitrage/spot-perp", 405),
        ("GET", "/healthz", 200),
        ("GET", "/", 200),
    ] {
        assert_eq!(api.ask(method, target, "").0, status, "{method} {target}");
    }
    let (status, body) = api.ask("HEAD", "/v1/arbitrage/spot-perp", "");
    assert_eq!((status, body.as_str()), (200, ""));
    // Nobody used more than six tenths of a budget.
    for (venue, _) in &VENUES {
        let truth = exchange.truth(venue);
        // Binance counts by market, the others by path or all in one.
        let by_market =
            truth["budget"].as_object().unwrap().values().map(|market| market.as_object().unwrap());
        let all: Vec<_> = by_market.flatten().chain(truth["rates"].as_object().unwrap()).collect();
        assert!(
            all.iter().any(|(_, rate)| rate["peak"].as_u64().unwrap() > 0),
            "{venue} counts nothing: {truth}"
        );
        for (path, rate) in all {
            let (peak, limit) = (rate["peak"].as_u64().unwrap(), rate["limit"].as_u64().unwrap());
            assert!(peak * 10 <= limit * 6, "{venue} {path}: {peak} of {limit}");
        }
    }
}

#[test]
fn a_token_is_wanted_where_one_is_configured() {
    let exchange = Box::open(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let api = exchange.serve(&["--venue", "okx", "--token-file", file.to_str().unwrap()]);
    let path = "/v1/arbitrage/spot-perp";
    assert_eq!(api.ask("GET", path, "").0, 401);
    assert_eq!(api.ask("GET", path, "Authorization: Bearer secre\r\n").0, 401);
    assert_eq!(api.ask("GET", path, "Authorization: Bearer secret\r\n").0, 200);
}

/// What may become of a venue, and what is said of it.
fn failures() -> [(Value, &'static str); 5] {
    let order = |kind: &str| json!({"kind": kind, "count": 100_000, "ms": 60_000});
    let status =
        |status: u32| json!({"kind": "status", "count": 100_000, "status": status, "body": "<html>"});
    [
        (order("html"), "not JSON"),
        (order("half"), "did not answer"),
        (order("slow"), "did not answer"),
        (status(429), "wants to be left alone for"),
        (status(502), "HTTP 502"),
    ]
}

/// Each venue fails in each way, three of them at a time, while one does not.
#[test]
fn a_venue_that_fails_says_why_and_the_others_stay() {
    let check = |round: usize| {
        // Who is well in one round fails in that way five rounds later.
        let (exchange, well) = (Box::open(&[]), (round + round / 5) % 4);
        let failure = |venue: usize| failures()[(round + venue) % 5].clone();
        for (at, (venue, _)) in VENUES.iter().enumerate().filter(|(at, _)| *at != well) {
            exchange.fault(venue, failure(at).0);
        }
        let (code, told, _) = exchange.scan(&["--top", "1"]);
        assert_eq!(code, 1, "{told}");
        let rows = told["rows"].as_array().unwrap();
        assert_eq!(rows.len(), if VENUES[well].1 == "Bybit" { 13 } else { 12 }, "{round}: {told}");
        assert!(rows.iter().all(|row| row["venue"] == VENUES[well].1), "{round}: {told}");
        for (at, (venue, _)) in VENUES.iter().enumerate() {
            let why = told["venues"][at]["why"].as_str().unwrap_or("");
            let said = if at == well { "" } else { failure(at).1 };
            assert!(why.contains(said) && (at != well || why.is_empty()), "{round}, {venue}, {said}: {why}");
        }
    };
    std::thread::scope(|scope| (0..10).for_each(|round| drop(scope.spawn(move || check(round)))));
}

/// What a venue told before it failed ages out, with the reason; nothing of it becomes 0.
#[test]
fn rows_of_venues_that_fail_age_out_and_the_others_stay() {
    let check = |well: usize| {
        let exchange = Box::open(&[]);
        let api = exchange.serve(&[]);
        let priced = |row: &Value| row["basisRate"].is_f64();
        api.until("", "all rows with prices", |rows| rows.len() == 49 && rows.iter().all(priced));
        for (at, (venue, _)) in VENUES.iter().enumerate().filter(|(at, _)| *at != well) {
            exchange.fault(venue, failures()[(well + at) % 5].0.clone());
        }
        let name = VENUES[well].1;
        let rows = api.until("notional=100", "three venues without prices", |rows| {
            rows.iter().all(|row| priced(row) == (row["exchange"] == name))
        });
        // Rates are good for six hours, and a row is there as long as its rate is.
        assert_eq!(rows.len(), 49);
        for row in &rows {
            let (edge, well) = (&row["edge"], row["exchange"] == name);
            let unknown = ["executableBasis", "breakEvenHours", "netApr", "priceAgeMs"];
            assert!(well || unknown.iter().all(|field| edge[field].is_null()), "{row}");
            assert!(!well || edge["priceAgeMs"].as_u64().is_some_and(|ms| ms < 5_000), "{row}");
            let old = |why: &Value| why == "one of its prices is not told";
            assert_eq!(edge["against"].as_array().unwrap().iter().any(old), !well, "{row}");
        }
        let health: Value = serde_json::from_str(&api.ask("GET", "/healthz", "").1).unwrap();
        assert_eq!(health["status"], "ok");
        for (at, venue) in health["venues"].as_array().unwrap().iter().enumerate() {
            assert_eq!(venue["why"].is_null(), at == well, "{health}");
        }
    };
    // The one that stays is another one, and so is who fails how.
    std::thread::scope(|scope| [0, 2].map(|well| drop(scope.spawn(move || check(well)))));
}

/// A name that one venue does not list leaves that venue out; one that none lists is told as such.
#[test]
fn a_name_that_a_venue_does_not_list_leaves_that_venue_out() {
    let exchange = Box::open(&[]);
    let rows = |told: &Value| {
        let word = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let line = |row: &Value| word(row, "venue") + " " + &word(row, "coin");
        let mut lines: Vec<_> = told["rows"].as_array().unwrap().iter().map(line).collect();
        lines.sort();
        lines.join(", ")
    };
    // The one coin that only Bybit has.
    let (code, told, error) = exchange.scan(&["--pairs", "SHIB"]);
    assert_eq!((code, rows(&told).as_str(), error.as_str()), (0, "Bybit SHIB", ""), "{told}");
    for (at, (_, name)) in VENUES.iter().enumerate() {
        let left_out = told["venues"][at]["left_out"].as_array().unwrap();
        assert_eq!(left_out.is_empty(), *name == "Bybit", "{told}");
        let said = |why: &Value| why.as_str().unwrap().starts_with("SHIB is not listed");
        assert!(left_out.iter().all(said), "{told}");
    }
    let (code, told, _) = exchange.scan(&["--pairs", "SHIB,BTC"]);
    let all = "Binance BTC, Bitget BTC, Bybit BTC, Bybit SHIB, OKX BTC";
    assert_eq!((code, rows(&told).as_str()), (0, all), "{told}");
    let (code, told, error) = exchange.scan(&["--pairs", "NOSUCHCOIN,BTC"]);
    assert_eq!((code, rows(&told).as_str()), (1, "Binance BTC, Bitget BTC, Bybit BTC, OKX BTC"), "{told}");
    assert!(error.contains("NOSUCHCOIN is listed by none of these venues"), "{error}");
}

/// What settled comes from each venue, as CSV and into one file, where it stays as it is when it is told again.
#[test]
fn settled_funding_of_four_venues_is_kept_in_one_file() {
    let exchange = Box::open(&[]);
    let folder = tempfile::tempdir().unwrap();
    let [csv, kept] = ["rates.csv", "rates.db"].map(|name| folder.path().join(name));
    for (new, word) in [(true, ""), (false, "0 new of ")] {
        for (venue, _) in VENUES {
            let own = format!("--endpoint={venue}.");
            let flags =
                exchange.flags().into_iter().filter(|it| it.starts_with("--ca") || it.starts_with(&own));
            let told = Command::new(CONTANGO)
                .args(["fetch-funding", "--venue", venue, "--pairs", "ETHUSDT", "--since", "5d", "--csv"])
                .arg(&csv)
                .arg("--rates-db")
                .arg(&kept)
                .args(flags)
                .output()
                .unwrap();
            let error = String::from_utf8(told.stderr).unwrap();
            assert!(told.status.success() && error.starts_with(word), "{venue}: {error}");
            let text = std::fs::read_to_string(&csv).unwrap();
            let database = rusqlite::Connection::open(&kept).unwrap();
            let mut rows = database
                .prepare("SELECT at_ms || ',' || rate FROM settled WHERE venue = ?1 ORDER BY at_ms")
                .unwrap();
            let rows = rows.query_map([venue], |row| row.get::<_, String>(0)).unwrap();
            let rows: Vec<String> = rows.map(Result::unwrap).collect();
            assert!((14..=16).contains(&rows.len()), "{venue}, {new}: {rows:?}");
            assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), rows, "{venue}");
        }
    }
}

#[test]
fn a_table_is_for_people_and_says_how_every_venue_does() {
    let exchange = Box::open(&[]);
    exchange.steady("0.0012");
    let scan = |arguments: &[&str]| {
        let told =
            Command::new(CONTANGO).arg("scan").args(exchange.flags()).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
    };
    let (code, out, error) = scan(&["--top", "4", "--notional", "20", "--pairs", "ETHUSDT,BTCUSDT"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("coin") && lines.len() == 1 + 4 + 1 + 4, "{out}");
    for line in &lines[1..5] {
        // 0.0012 three times a day; the week's mean agrees.
        assert!(line.starts_with("ETH") && line.contains(" 131.40 %") && line.contains(" 2.52 %"), "{out}");
        assert!(line.contains("[SIGNAL]"), "{out}");
    }
    assert!(lines[5].starts_with("8 rows of 8, 4 shown"), "{out}");
    assert!(lines[6].starts_with("Binance: 2 pairs, prices ") && !lines[6].contains("never"), "{out}");
    // Filters.
    let (_, out, _) =
        scan(&["--venue", "bybit,okx", "--json", "--min-apr", "100%", "--pairs", "ETHUSDT,BTCUSDT"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    let rows = told["rows"].as_array().unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["coin"] == "ETH" && row["apr"] == "1.314"), "{out}");
    let (_, out, _) = scan(&["--venue", "okx", "--json", "--direction", "long", "--pairs", "ETHUSDT"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["rows"], json!([]));
    // At the box's Binance only what its users trade is turned over, and nobody does here.
    for (least, count) in [("1", 3), ("1000000000000000", 0)] {
        let (_, out, _) = scan(&["--json", "--min-turnover", least, "--pairs", "ETHUSDT"]);
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(told["rows"].as_array().unwrap().len(), count, "{least}: {told}");
    }
    // What pays, but has no room for so much, is one to watch.
    let (_, out, _) = scan(&["--top", "4", "--notional", "900000000", "--pairs", "ETHUSDT"]);
    let watched = |line: &str| line.contains("[WATCH] the best prices have room for ");
    assert!(out.lines().skip(1).take(4).all(watched), "{out}");
}

#[test]
fn who_watches_is_told_when_a_row_becomes_a_signal_and_when_it_is_none_any_more() {
    let exchange = Box::open(&[]);
    exchange.steady("0.0012");
    let mut child = Command::new(CONTANGO)
        .args(["scan", "--watch", "--pairs", "ETHUSDT", "--notional", "20"])
        .args(exchange.flags())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
    let wait = |standing: &str, apr: &str| {
        let mut missing: Vec<String> = VENUES
            .iter()
            .map(|(_, name)| format!(" {standing} {name} ETH short: apr {apr} %, net "))
            .collect();
        while !missing.is_empty() {
            let line =
                heard.recv_timeout(Duration::from_secs(60)).map_err(|_| format!("never told: {missing:?}"));
            let line = line.unwrap();
            missing.retain(|wanted| !line.contains(wanted));
        }
    };
    wait("[SIGNAL]", "131.40");
    exchange.steady("0.00001");
    wait("[-]", "1.09");
    child.kill().unwrap();
    child.wait().unwrap();
}
