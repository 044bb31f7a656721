//! The program as a person or a script meets it: what it prints where, and its exit codes.
//!
//! Owns:  claims about the built binary that need no running engine.
//! Map:   settings and messages in detail are tested where they live, in `src/cli`.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use std::process::{Command, Output, Stdio};

fn contango(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_contango")).args(arguments).output().unwrap()
}

/// Exit code, standard output, standard error.
fn told(arguments: &[&str]) -> (i32, String, String) {
    let output = contango(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Wrong usage: code 2, the reason on standard error, nothing on standard output for a script to misread.
#[track_caller]
fn refused(arguments: &[&str], reason: &str) {
    let (code, out, error) = told(arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert!(error.contains(reason), "`{reason}` is not in: {error}");
}

#[test]
fn help_is_an_answer_not_an_error() {
    for arguments in [
        &["--help"][..],
        &[],
        &["demo", "--help"],
        &["run", "--help"],
        &["ctl", "--help"],
        &["store", "--help"],
        &["pairs", "--help"],
        &["fetch-funding", "--help"],
        &["backtest", "--help"],
        &["sim", "--help"],
    ] {
        let (code, out, error) = told(arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("Examples:"), "{out}");
    }
}

#[test]
fn wrong_usage_is_told_with_what_would_be_right() {
    refused(&["dmeo"], "dmeo");
    refused(&["demo", "--min-bassis", "1bps"], "--min-basis");
    refused(&["demo", "--for", "10"], "such as 10s");
    refused(&["run", "--live"], "live = true");
    refused(&["ctl"], "status, why PAIR");
    refused(&["ctl", "reboot"], "status, why PAIR");
    refused(&["ctl", "resume"], "--reason TEXT");
    refused(&["run", "--config", "/nowhere/contango.toml"], "/nowhere/contango.toml");
}

#[test]
fn a_bad_file_is_told_with_its_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contango.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[trade]\nclip = = 5\n").unwrap();
    refused(&["run", "--config", path], "contango.toml:2:8");
    std::fs::write(&file, "[trade]\nclipp = 5\n").unwrap();
    refused(&["run", "--config", path], "`trade.clip`");
}

#[test]
fn a_reader_that_goes_away_early_is_no_crash() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_contango"))
        .args(["demo", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
