//! `contango pairs` and `fetch-funding` against the exchange in a box, as two processes.
//!
//! Owns:  claims about what a clerk alone asks and tells, and how it fails.
//! Map:   each reason to leave a market out is tested in `src/venue` and `src/cli/pairs.rs`.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use venue::{CONTANGO, Venue};

mod venue;

/// A box, asked without a key.
struct Box(Venue);

impl Box {
    fn start() -> Self {
        Self(Venue::open(&["--for", "60s"]))
    }

    /// Exit code, standard output, standard error.
    fn pairs(&self, arguments: &[&str]) -> (i32, String, String) {
        self.asked("pairs", arguments)
    }

    fn asked(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        let at = |name: &str| {
            format!("--endpoint=binance.{name}={}", self.0.ready["venues"]["binance"][name].as_str().unwrap())
        };
        let told = Command::new(CONTANGO)
            .args([command, &at("spot_rest"), &at("usdm_rest"), "--ca", self.0.ready["ca"].as_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
    }
}

#[test]
fn a_clerk_alone_lists_the_pairs_of_a_venue_without_a_key() {
    let exchange = Box::start();
    let (code, out, error) = exchange.pairs(&["--json"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let pairs = told["pairs"].as_array().unwrap();
    let of = |name: &str| pairs.iter().find(|pair| pair["pair"] == name).cloned().unwrap_or_default();
    assert_eq!(of("BTC")["spot"]["symbol"], "BTCUSDT");
    assert_eq!(
        (&of("PEPE")["perp"]["symbol"], &of("PEPE")["price_factor"]),
        (&"1000PEPEUSDT".into(), &1000.into())
    );
    // The box lists what a careful client must leave out.
    let left = told["left_out"].as_array().unwrap().iter();
    let left: Vec<String> = left
        .map(|row| {
            let word = |name: &str| row[name].as_str().unwrap().to_owned();
            format!("{} {}: {}", word("market"), word("symbol"), word("reason"))
        })
        .collect();
    for (market, reason) in [
        ("perp ", "its status is SETTLING, not TRADING"),
        ("spot ", "its status is BREAK, not TRADING"),
        ("perp XAUUSDT", "it is a TRADIFI_PERPETUAL contract, not a PERPETUAL one"),
        ("perp ", "it is a CURRENT_QUARTER contract, not a PERPETUAL one"),
        ("perp LUNA2USDT", "no spot market trades its base LUNA2 for USDT"),
        ("spot LUNAUSDT", "no perp trades its base LUNA"),
        ("spot 币安人生USDT", "its symbol has letters that a request would have to encode"),
    ] {
        let found = left.iter().any(|line| line.starts_with(market) && line.ends_with(reason));
        assert!(found, "{market} {reason} is not in {left:#?}");
    }
    let (code, out, error) = exchange.pairs(&["--pairs", "ETHUSDT"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("1 pairs;") && out.contains("ETHUSDT"), "{out}");
    let (code, out, error) = exchange.pairs(&["--pairs", "ETHUSD"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("did you mean ETHUSDT"), "{error}");
}

#[test]
fn settled_funding_comes_as_csv_and_as_json_alike() {
    let exchange = Box::start();
    let (code, out, error) = exchange.asked("fetch-funding", &["--pairs", "BTCUSDT", "--since", "3d"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("funding_time_ms,funding_rate"));
    let rows: Vec<(i64, &str)> = lines
        .map(|line| line.split_once(',').map(|(ms, rate)| (ms.parse().unwrap(), rate)).unwrap())
        .collect();
    assert!((8..=10).contains(&rows.len()), "three days of 8 h: {out}");
    assert!(rows.windows(2).all(|two| (two[1].0 - two[0].0 - 28_800_000).abs() < 1_000), "{out}");
    assert!(rows.iter().all(|(_, rate)| rate.parse::<f64>().is_ok_and(|rate| rate.abs() < 0.03)), "{out}");
    let (code, json, _) = exchange.asked("fetch-funding", &["--pairs", "BTCUSDT", "--since", "3d", "--json"]);
    let told: Value = serde_json::from_str(&json).unwrap();
    let told: Vec<(i64, &str)> = told["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[0].as_i64().unwrap(), row[1].as_str().unwrap()))
        .collect();
    assert_eq!((code, told), (0, rows));
    // With prices it is a history that `backtest` reads.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.csv");
    let priced = ["--pairs", "BTCUSDT", "--since", "60d", "--prices", "--csv", file.to_str().unwrap()];
    let (code, out, error) = exchange.asked("fetch-funding", &priced);
    assert!(code == 0 && out.is_empty() && error.contains("settlements of BTCUSDT in"), "{out}{error}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("time_ms,spot_close,perp_close,funding_rate\n"), "{text}");
    // The box remembers thirty days of settlements, the newest of which has no close yet; the hours of sixty are
    // more than one page.
    assert!((88..=91).contains(&text.lines().count()), "{}", text.lines().count());
    let closes = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect::<BTreeSet<_>>();
    assert!(closes.len() > 80, "each hour has its own price");
    let ran = Command::new(CONTANGO).args(["backtest", "--json", "--history"]).arg(&file).output().unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(told["runs"].as_array().map(Vec::len), Some(1), "{told}");
    let (code, _, error) = exchange.asked("fetch-funding", &[]);
    assert!(code == 2 && error.contains("--pairs BTCUSDT"), "{error}");
}

#[test]
fn a_venue_that_cannot_be_reached_is_told_within_seconds() {
    let told = Command::new(CONTANGO)
        .args(["pairs", "--endpoint", "binance.spot_rest=https://127.0.0.1:1", "--endpoint"])
        .arg("binance.usdm_rest=https://127.0.0.1:1")
        .output()
        .unwrap();
    let error = String::from_utf8(told.stderr).unwrap();
    assert_eq!((told.status.code(), told.stdout.as_slice()), (Some(1), &b""[..]), "{error}");
    assert!(error.contains("requests to ") && error.contains("_rest"), "{error}");
}
