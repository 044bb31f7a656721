//! A real witness on loopback: a demo of its own process asks it over HTTP, and enters only where it agrees.
//!
//! Owns:  claims about what leaves the process and what it leaves behind.
//! Map:   what each word does is told in `tests/story/confirm.rs`, in virtual time.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::time::{SystemTime, UNIX_EPOCH};

const CONTANGO: &str = env!("CARGO_BIN_EXE_contango");
const SECRET: &str = "Bearer 7f3a9c1e5b2d4860";

/// A signal service that says the same of every coin, and tells what it was asked.
fn witness(direction: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (heard, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = heard.clone();
            std::thread::spawn(move || answer(stream, direction, |request| heard.send(request).is_ok()));
        }
    });
    (at, asked)
}

/// Answers every request on a connection that it keeps open.
fn answer(mut stream: TcpStream, direction: &str, heard: impl Fn(String) -> bool) {
    let (mut request, mut part) = (Vec::new(), [0; 4_096]);
    while let Ok(n @ 1..) = stream.read(&mut part) {
        request.extend_from_slice(&part[..n]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let asked = String::from_utf8(std::mem::take(&mut request)).unwrap();
        let authorised = asked.contains(&format!("\r\nX-Signal-Key: {SECRET}\r\n"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let coins = ["BTC", "ETH", "SOL", "DOGE", "PEPE", "XRP", "BNB"];
        let rows = coins.map(|coin| format!(r#"{{"pair":"{coin}/USDT","side":"{direction}","at":{now}}}"#));
        let (status, body) = match authorised {
            true => ("200 OK", format!(r#"{{"signals":[{}]}}"#, rows.join(","))),
            false => ("401 Unauthorized", "{}".to_owned()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if !heard(asked) || stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn secret_file(folder: &Path, mode: u32) -> String {
    let path = folder.join(format!("signals-{mode:o}.toml"));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
    write!(file, "header = \"X-Signal-Key\"\nsecret = \"{SECRET}\"\n").unwrap();
    path.to_str().unwrap().to_owned()
}

fn demo(folder: &Path, at: SocketAddr, file: &str, more: &[&str]) -> Output {
    let url = format!("http://{at}/signals?for=all");
    let out = folder.join("out");
    let map = "rows=/signals,symbol=/pair,direction=/side,time=/at";
    let session = folder.join("session");
    Command::new(CONTANGO)
        .args(["demo", "--json", "--for", "4s", "--idle", "park", "--out", out.to_str().unwrap()])
        .args(["--confirm-url", &url, "--confirm-map", map, "--confirm-every", "1s"])
        .args(["--confirm-key-file", file, "--record", session.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap()
}

fn summary(ran: &Output) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)))
}

/// Every byte the program left behind, or said.
fn no_secret(folder: &Path, ran: &Output, but: &str) {
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    assert!(!holds(&ran.stdout) && !holds(&ran.stderr));
    let mut folders = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str() != Some(but) {
                files += 1;
                assert!(!holds(&std::fs::read(&path).unwrap_or_default()), "{}", path.display());
            }
        }
    }
    assert!(files > 3, "the demo leaves its books and its histograms");
}

#[test]
fn a_demo_enters_where_a_real_witness_agrees_and_nowhere_else() {
    for (direction, enters) in [("short", true), ("long", false)] {
        let folder = tempfile::tempdir().unwrap();
        let (at, asked) = witness(direction);
        let file = secret_file(folder.path(), 0o600);
        let ran = demo(folder.path(), at, &file, &[]);
        let summary = summary(&ran);
        let opened = summary["pairs"]["opened"].as_u64().unwrap();
        assert_eq!(opened > 0, enters, "{direction}: {summary}");
        assert!(summary["hot_path"]["quotes"].as_u64().unwrap() > 0, "there was a market: {summary}");
        let asked: Vec<String> = asked.try_iter().collect();
        assert!((2..=20).contains(&asked.len()), "about once a second: {asked:?}");
        for one in &asked {
            assert!(one.starts_with("GET /signals?for=all HTTP/1.1\r\n"), "{one}");
            assert!(one.contains(&format!("X-Signal-Key: {SECRET}\r\n")), "{one}");
        }
        no_secret(folder.path(), &ran, &file);
        if enters {
            let session = folder.path().join("session");
            let replayed = Command::new(CONTANGO).args(["replay", "--json"]).arg(&session).output().unwrap();
            let told = self::summary(&replayed);
            assert_eq!(told["session"]["same"], true, "{told}");
            // Who holds on every word that was said decides nothing.
            let what_if = ["replay", "--json", "--confirm-enter-on", "disagree"];
            let held = Command::new(CONTANGO).args(what_if).arg(&session).output().unwrap();
            assert_ne!(self::summary(&held)["decisions_sha256"], told["decisions_sha256"]);
            assert!(!String::from_utf8_lossy(&std::fs::read(&session).unwrap()).contains("for=all"));
        }
    }
}

#[test]
fn what_can_not_be_asked_is_told_before_anything_begins() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = "127.0.0.1:1".parse().unwrap();
    let open = secret_file(folder.path(), 0o644);
    let ran = demo(folder.path(), nobody, &open, &[]);
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{error}");
    assert!(error.contains("chmod 600") && !error.contains(SECRET), "{error}");
    let file = secret_file(folder.path(), 0o600);
    for (more, told) in [
        (["--confirm-url", "http://signals.example/x"], "in the clear"),
        (["--confirm-map", "symbol=/pair"], "neither"),
        (["--confirm-enter-on", "maybe"], "agree, disagree, absent, old"),
    ] {
        let ran = Command::new(CONTANGO).arg("demo").args(more).args(["--confirm-key-file", &file]).output();
        let (code, error) =
            ran.map(|ran| (ran.status.code(), String::from_utf8(ran.stderr).unwrap())).unwrap();
        assert!(code == Some(2) && error.contains(told), "{error}");
    }
}
