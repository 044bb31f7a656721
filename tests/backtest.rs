//! `contango backtest` as a person or a script meets it.
//!
//! Owns:  claims about the built program over small histories and tapes made here.
//! Map:   the rules over history are tested in `src/carry/backtest.rs`; every digit over the real series by
//!        `tools/check_backtest.py`.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Exit code, standard output, standard error.
fn backtest(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contango"));
    let output = command.arg("backtest").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (code, out, error) = backtest(arguments);
    assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
    out
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&done(&[arguments, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], reason: &str) {
    let (code, out, error) = backtest(arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert!(error.contains(reason), "`{reason}` is not in: {error}");
}

/// Writes a history of 60 rows: high funding that turns negative.
fn history(folder: &Path, name: &str) -> String {
    let mut text = "time_ms,spot_close,perp_close,funding_rate\n".to_owned();
    for row in 0..60u64 {
        let funding = if row < 35 { "0.0005" } else { "-7e-4" };
        let _ =
            writeln!(text, "{},100.5,100.{},{funding}", 1_672_531_200_000 + row * 28_800_000, 50 + row % 7);
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_run_is_told_the_same_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = history(folder.path(), "a.csv");
    let (csv, html) = (folder.path().join("trades.csv"), folder.path().join("page.html"));
    let flags = ["--history", &path, "--csv", csv.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let told = json(&flags);
    let run = &told["runs"][0];
    assert_eq!((run["series"].as_str(), run["trades_closed"].as_u64()), (Some("a"), Some(1)));
    let trade = &run["trades"][0];
    assert_eq!((trade["left"].as_str(), trade["direction"].as_str()), (Some("forced"), Some("short")));
    let rows = std::fs::read_to_string(&csv).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let total = trade["pnl"]["total"].as_str().unwrap();
    assert!(
        rows[1].starts_with("a,short,4.97512437,") && rows[1].contains(&format!(",{total},")),
        "{rows:?}"
    );
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<polyline") && page.ends_with("</html>\n"), "{page}");
    let text = done(&["--history", &path]);
    assert!(total.starts_with("-1.90156") && text.contains(" -1.9016 "), "{total}: {text}");
}

#[test]
fn a_sweep_is_its_single_runs_whatever_core_they_ran_on() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (history(folder.path(), "a.csv"), history(folder.path(), "b.csv"));
    let csv = folder.path().join("runs.csv");
    let swept = json(&[
        "--history",
        &a,
        "--history",
        &b,
        "--sweep",
        "leave=starved,first-print",
        "--sweep",
        "min-net-apr=off,5%,15%",
        "--csv",
        csv.to_str().unwrap(),
    ]);
    let runs = swept["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 12);
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 13);
    let mut at = 0;
    for series in ["a", "b"] {
        for leave in ["starved", "first-print"] {
            for bar in ["off", "5%", "15%"] {
                let single = json(&["--history", &a, "--leave", leave, "--min-net-apr", bar]);
                assert_eq!(runs[at]["series"], series);
                assert_eq!(runs[at]["setting"], format!("--leave {leave} --min-net-apr {bar}"));
                for key in ["pnl", "trades_closed", "drawdown", "yearly_return"] {
                    assert_eq!(runs[at][key], single["runs"][0][key], "{key} of {}", runs[at]["setting"]);
                }
                assert!(runs[at].get("trades").is_none());
                at += 1;
            }
        }
    }
}

fn frame(t_ms: u64, market: &str, bid: &str, ask: &str) -> String {
    let stamp = if market == "usdm" { r#""e":"bookTicker","# } else { "" };
    let times = if market == "usdm" { format!(r#","T":{t_ms},"E":{t_ms}"#) } else { String::new() };
    let raw = format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{{stamp}"u":{t_ms},"s":"BTCUSDT","b":"{bid}","B":"2","a":"{ask}","A":"3"{times}}}}}"#
    );
    let row = serde_json::json!({
        "t_ns": t_ms * 1_000_000, "venue": "binance", "market": market, "kind": "book_ticker",
        "chan": "btcusdt@bookTicker", "raw": raw,
    });
    format!("{row}\n")
}

#[test]
fn a_tape_tells_the_basis_and_what_would_be_entered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape.jsonl");
    let start = 1_700_000_000_000;
    let frames = [
        frame(start, "spot", "99.99", "100.00"),
        frame(start + 10, "usdm", "100.10", "100.20"), // short 10 bp
        frame(start + 30, "usdm", "100.31", "100.40"), // short 31 bp
        frame(start + 70, "usdm", "100.30", "100.40"), // short 30 bp: a bar is rounded up, against us
        frame(start + 80, "spot", "100.00", "100.01"), // short 28.997 bp
        frame(start + 100, "usdm", "100.40", "100.50"), // short 38.996 bp, to the end
        frame(start + 101, "usdm", "100.40", "100.50"),
    ];
    std::fs::write(&path, frames.concat()).unwrap();
    let tape = ["--tape", path.to_str().unwrap()];
    let told = json(
        &[
            &tape[..],
            &["--funding", "0.01%", "--min-net-apr", "off", "--min-basis", "30bps", "--clip", "100"],
        ]
        .concat(),
    );
    let pair = &told["pairs"][0];
    assert_eq!((pair["pair"].as_str(), pair["quotes"].as_u64()), (Some("BTC"), Some(6)));
    assert_eq!(
        pair["short"],
        serde_json::json!({
            "basis": {"lowest": "0.001", "median": "0.003", "highest": "0.00389961"},
            "enter": "0.003",
            "passing": {"quotes": 3, "stretches": 2, "ns": 41_000_000},
        })
    );
    assert_eq!(pair["long"]["enter"], Value::Null, "only short is allowed by default");
    // What rests at the touch is 2 coins: a clip of 300 USDT is more than that.
    let large = ["--funding", "0.01%", "--min-net-apr", "off", "--min-basis", "30bps", "--clip", "300"];
    assert_eq!(json(&[&tape[..], &large].concat())["pairs"][0]["short"]["passing"]["quotes"], 0);
    let unknown = json(&tape);
    assert_eq!(unknown["pairs"][0]["short"]["enter"], Value::Null, "a tape tells no funding");
}

#[test]
fn what_cannot_be_run_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = history(folder.path(), "a.csv");
    refused(&[], "--history FILE");
    refused(&["--history", "/nowhere/a.csv"], "/nowhere/a.csv");
    refused(&["--history", &path, "--sweep", "hold=7"], "--sweep hold");
    refused(&["--history", &path, "--sweep", "hold"], "hold=1d,3d,7d");
    refused(&["--history", &path, "--tape", "x"], "leave one of them out");
    refused(&["--history", &path, "--slippage", "10%"], "below 10%");
    refused(&["--tape", "/nowhere/tape"], "/nowhere/tape");
    let hole = folder.path().join("hole.csv");
    let rows = std::fs::read_to_string(&path).unwrap();
    let without_tenth: Vec<&str> =
        rows.lines().enumerate().filter(|(i, _)| *i != 10).map(|(_, row)| row).collect();
    std::fs::write(&hole, without_tenth.join("\n")).unwrap();
    refused(&["--history", hole.to_str().unwrap()], "line 11");
}
