//! What goes wrong outside, met by the real program on real sockets: each is told with what to do, and the
//! process ends with the exit code of DESIGN §9.
//!
//! Owns:  claims about `run` and `sim` as two processes on loopback.
//! Map:   what happens to orders in flight is told in `tests/story`, in virtual time.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use venue::{CONTANGO, Venue};

mod venue;

/// A box of its own process, and a folder for files about it.
struct Sim {
    venue: Venue,
    folder: tempfile::TempDir,
}

impl Sim {
    fn start(arguments: &[&str]) -> Self {
        let venue = Venue::open(&[&["--for", "60s"], arguments].concat());
        Self { venue, folder: tempfile::tempdir().unwrap() }
    }

    fn venue(&self) -> &Value {
        &self.venue.ready["venues"]["binance"]
    }

    /// Arguments that point an engine here, without authority and key.
    fn endpoints(&self) -> Vec<String> {
        let addresses = self.venue().as_object().unwrap().iter();
        addresses
            .filter_map(|(name, at)| Some((name, at.as_str().filter(|at| at.contains("://"))?)))
            .flat_map(|(name, url)| ["--endpoint".to_owned(), format!("binance.{name}={url}")])
            .collect()
    }

    fn ca(&self) -> [String; 2] {
        ["--ca".to_owned(), self.venue.ready["ca"].as_str().unwrap().to_owned()]
    }

    fn key(&self) -> [String; 2] {
        ["--key-file".to_owned(), format!("binance={}", self.venue()["key_file"].as_str().unwrap())]
    }

    /// A configuration file that allows real orders: to the box, that is.
    fn live(&self) -> [String; 3] {
        let file = self.folder.path().join("live.toml");
        std::fs::write(&file, "[engine]\nlive = true\n").unwrap();
        ["--live".to_owned(), "--config".to_owned(), file.to_str().unwrap().to_owned()]
    }
}

/// Runs an engine for at most two seconds of trading; exit code and standard error.
fn run(arguments: &[String]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let within = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let output = Command::new(CONTANGO)
        .args(["run", "--for", "2s", "--json", "--idle", "yield"])
        .args(["--out", &within("out"), "--data-dir", &within("data")])
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn told(arguments: &[String], code: i32, words: &[&str]) {
    let (ended, error) = run(arguments);
    assert_eq!(ended, code, "{error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

fn all(parts: &[&[String]]) -> Vec<String> {
    parts.concat()
}

#[test]
fn a_run_against_a_good_box_ends_well() {
    let sim = Sim::start(&[]);
    told(&all(&[&sim.endpoints(), &sim.ca(), &sim.key(), &sim.live()]), 0, &[]);
}

#[test]
fn an_unreachable_host_is_named_with_what_to_check() {
    let sim = Sim::start(&[]);
    let mut arguments = all(&[&sim.endpoints(), &sim.ca()]);
    // Port 1 of loopback: nobody listens there.
    arguments.extend(["--endpoint".to_owned(), "binance.usdm_rest=https://127.0.0.1:1".to_owned()]);
    told(&arguments, 1, &["127.0.0.1:1", "refuses connections", "check host and port"]);
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused_naming_the_flag() {
    let sim = Sim::start(&[]);
    told(&sim.endpoints(), 1, &["certificate", "--ca FILE"]);
}

#[test]
fn a_wrong_key_refuses_to_trade() {
    let sim = Sim::start(&[]);
    let file = sim.folder.path().join("wrong.toml");
    let secret = "canary-secret-that-no-output-may-hold";
    std::fs::write(&file, format!("env = \"test\"\nkey = \"nobody\"\nsecret = \"{secret}\"\n")).unwrap();
    allow_only_me(&file);
    let key = ["--key-file".to_owned(), format!("binance={}", file.display())];
    let arguments = all(&[&sim.endpoints(), &sim.ca(), &key, &sim.live()]);
    told(&arguments, 3, &["refused this key", "check key, secret, rights"]);
    assert!(!run(&arguments).1.contains(secret));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let sim = Sim::start(&[]);
    let file = sim.folder.path().join("open.toml");
    std::fs::write(&file, "env = \"test\"\nkey = \"a\"\nsecret = \"b\"\n").unwrap();
    let key = ["--key-file".to_owned(), format!("binance={}", file.display())];
    told(&all(&[&sim.endpoints(), &sim.ca(), &key]), 3, &["chmod 600"]);
}

#[test]
fn a_test_key_never_goes_to_the_venue_itself() {
    let sim = Sim::start(&[]);
    told(&sim.key(), 3, &["a test key would go to the venue's own host", "--endpoint"]);
}

#[test]
fn a_host_clock_five_seconds_off_refuses_to_arm() {
    let sim = Sim::start(&["--clock-offset", "5s"]);
    let arguments = all(&[&sim.endpoints(), &sim.ca(), &sim.key(), &sim.live()]);
    told(&arguments, 3, &["clock is -", "ms off binance's (limit 1000 ms)", "chronyc makestep"]);
}

/// Each refusal is a story in `tests/story/account.rs`; here is one, with its exit code.
#[test]
fn a_leverage_that_is_not_as_wanted_refuses_to_arm() {
    let sim = Sim::start(&["--leverage", "5"]);
    let arguments = all(&[&sim.endpoints(), &sim.ca(), &sim.key(), &sim.live()]);
    told(&arguments, 3, &["leverage is not 2 on", "(5)", "set 2x for each of them", "--leverage"]);
    let wanted = ["--leverage".to_owned(), "5".to_owned()];
    told(&all(&[&arguments, &wanted]), 0, &[]);
}

#[test]
fn an_unknown_symbol_is_told_with_names_like_it() {
    let sim = Sim::start(&[]);
    let pairs = ["--pairs".to_owned(), "BTCUSTD".to_owned()];
    told(&all(&[&sim.endpoints(), &sim.ca(), &pairs]), 1, &["BTCUSTD", "BTC"]);
}

#[test]
fn a_tape_cut_in_the_middle_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let tape = folder.path().join("cut.jsonl");
    let whole = r#"{"t_ns":1723161254036059768,"venue":"binance","market":"spot","kind":"book_ticker","chan":"btcusdt@bookTicker","raw":"{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1.00\",\"B\":\"1\",\"a\":\"1.01\",\"A\":\"1\"}}"}"#;
    std::fs::write(&tape, format!("{whole}\n{}", &whole[..100])).unwrap();
    let output = Command::new(CONTANGO)
        .args(["sim", "--for", "1s", "--out", folder.path().to_str().unwrap()])
        .args(["--tape", tape.to_str().unwrap()])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("cut.jsonl") && error.contains('2'), "{error}");
}

fn allow_only_me(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
