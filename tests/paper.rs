//! Paper trading, as two real processes: `contango sim` stands for the venue, `contango run` trades on its quotes.
//!
//! Owns:  the claim that the venue sees public requests only, whatever the engine does, and that it does trade.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use venue::{CONTANGO, Venue};

mod venue;

impl Venue {
    fn ask(&self, line: &str, body: &str) -> Value {
        let control = self.ready["control"].as_str().unwrap().trim_start_matches("http://");
        let mut link = std::net::TcpStream::connect(control).unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n", body.len());
        link.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut text = String::new();
        link.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn truth(&self) -> Value {
        self.ask("GET /truth", "")
    }

    /// Points an engine here, with its authority and without its key.
    fn arguments(&self) -> Vec<String> {
        let at = self.ready["venues"]["binance"].as_object().unwrap();
        let urls =
            at.iter().filter_map(|(name, url)| Some((name, url.as_str().filter(|u| u.contains("://"))?)));
        urls.flat_map(|(name, url)| ["--endpoint".to_owned(), format!("binance.{name}={url}")])
            .chain(["--ca".to_owned(), self.ready["ca"].as_str().unwrap().to_owned()])
            .collect()
    }
}

#[test]
fn paper_trades_on_the_venues_quotes_and_the_venue_sees_no_signed_request() {
    let venue = Venue::open(&["--for", "120s", "--seed", "5"]);
    let folder = tempfile::tempdir().unwrap();
    let within = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, data) = (within("out"), within("data"));
    let output = Command::new(CONTANGO)
        .args(["run", "--json", "--for", "45s", "--until", "3-round-trips", "--idle", "park"])
        .args(["--kappa", "1", "--hold", "1h", "--exit-basis", "5bps", "--paper-rtt", "5ms"])
        .args(["--out", &out, "--data-dir", &data])
        .args(venue.arguments())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["market"], "paper");
    assert!(summary["pairs"]["closed"].as_u64().unwrap() >= 3, "{summary}");
    assert_eq!(summary["fills"]["venue"], summary["fills"]["booked"], "{summary}");

    // What was traded lies in the box on this side, at prices the venue quoted.
    let inside: Value = serde_json::from_slice(&std::fs::read(format!("{out}/truth.json")).unwrap()).unwrap();
    assert_eq!(inside["market"], "fed");
    assert!(inside["fills"].as_array().unwrap().len() >= 12, "{}", inside["fills"]);
    assert_eq!(inside["naked"]["now"], serde_json::json!([]), "what is open is hedged");

    // The venue: quotes were read, and nothing was ever asked for in anybody's name.
    let truth = venue.truth();
    assert!(truth["requests"].as_u64().unwrap() > 0);
    assert_eq!(truth["signed"], 0, "a request with a key or a signature came");
    for list in ["orders", "refused", "fills", "positions"] {
        assert_eq!(truth[list], serde_json::json!([]), "{list}");
    }
    // The live engine's data folder is not touched.
    let kept: Vec<_> = std::fs::read_dir(&data).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(kept, ["paper"], "{kept:?}");
}

/// What the box quotes is the venue's or nothing: when that is silent, so is the engine.
#[test]
fn when_the_venue_falls_silent_no_order_is_sent_on_old_quotes() {
    let venue = Venue::open(&["--for", "120s", "--seed", "5"]);
    let folder = tempfile::tempdir().unwrap();
    let within = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let out = within("out");
    let engine = Command::new(CONTANGO)
        .args(["run", "--json", "--for", "12s", "--idle", "park"])
        .args(["--kappa", "1", "--hold", "1h", "--exit-basis", "5bps"])
        .args(["--out", &out, "--data-dir", &within("data")])
        .args(venue.arguments())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(6));
    venue.ask("POST /fault", r#"{"kind": "maintenance", "for_ms": 60000}"#);
    let silent_us = venue.truth()["now_us"].as_u64().unwrap();
    let ended = engine.wait_with_output().unwrap();
    // Where the silence came between two legs, nobody quotes what the first one could be undone at: that is told.
    let error = String::from_utf8_lossy(&ended.stderr);
    let code = ended.status.code();
    assert!(matches!(code, Some(0 | 4)) || code == Some(1) && error.contains("naked at the end"), "{error}");
    let inside: Value = serde_json::from_slice(&std::fs::read(format!("{out}/truth.json")).unwrap()).unwrap();
    let orders = inside["orders"].as_array().unwrap();
    assert!(!orders.is_empty(), "it traded while there were quotes");
    let late: Vec<&Value> =
        orders.iter().filter(|it| it["received_us"].as_u64().unwrap() > silent_us + 2_000_000).collect();
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn paper_takes_no_live_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.toml");
    std::fs::write(&file, "env = \"live\"\nkey = \"a\"\nsecret = \"b\"\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    // At the venue's own hosts, where a live key may go: nothing is dialled before it is refused.
    let output = Command::new(CONTANGO)
        .args(["run", "--for", "1s", "--key-file", &format!("binance={}", file.display())])
        .args(["--out", folder.path().join("out").to_str().unwrap()])
        .args(["--data-dir", folder.path().join("data").to_str().unwrap()])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("paper trading takes no live key"), "{error}");
}
