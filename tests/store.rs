//! `contango store check` as an operator meets it: on what a real engine wrote, beside one at work, after
//! one that was killed, and on every kind of damage.
//!
//! Owns:  claims about the built binary: exit codes, both forms of the answer, that nothing is written.
//! Map:   every cut and every flipped bit is tried where it is cheap, in `src/store/check_tests.rs`.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const CONTANGO: &str = env!("CARGO_BIN_EXE_contango");
const JOURNAL: &str = "journal-0-000001.ctj";

/// Exit code, standard output, standard error.
fn check(folder: &Path, more: &[&str]) -> (i32, String, String) {
    let told = Command::new(CONTANGO)
        .args(["store", "check", "--data-dir"])
        .arg(folder)
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
}

/// The answer for programs, with the exit code.
#[track_caller]
fn told(folder: &Path) -> (i32, Value) {
    let (code, out, error) = check(folder, &["--json"]);
    assert_eq!(error, "");
    (code, serde_json::from_str(&out).unwrap())
}

fn problems(answer: &Value) -> Vec<&str> {
    answer["problems"].as_array().unwrap().iter().map(|it| it["problem"].as_str().unwrap()).collect()
}

/// Every file of a folder: its bytes and when it was last written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let plain = entries.filter(|entry| entry.file_type().unwrap().is_file());
    plain
        .map(|entry| {
            let path = entry.path();
            let at = entry.metadata().unwrap().modified().unwrap();
            (path.clone(), (fs::read(path).unwrap(), at))
        })
        .collect()
}

/// A demo of its own process, which ends with this value.
struct Demo {
    child: Child,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        let child = Command::new(CONTANGO)
            .args(["demo", "--json", "--idle", "yield", "--out", out])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// Waits until the engine has booked something.
    #[track_caller]
    fn until_it_trades(&self) {
        let begun = Instant::now();
        while check(&self.data(), &["--json"]).0 == 2 || told(&self.data()).1["fills"] == json!(0) {
            assert!(begun.elapsed() < Duration::from_secs(40), "it never traded");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What a killed engine leaves for the next one, which never comes.
        if let Ok(records) = contango::metal::intents::path_for(&self.data(), 0) {
            let _ = fs::remove_file(records);
        }
    }
}

#[test]
fn a_store_is_checked_while_its_engine_works_and_after_it_was_killed() {
    let mut demo = Demo::start(&["--for", "60s"]);
    demo.until_it_trades();
    let (code, answer) = told(&demo.data());
    assert_eq!((code, &answer["running"], &answer["sound"]), (0, &json!(true), &json!(true)), "{answer}");
    let (code, text, _) = check(&demo.data(), &[]);
    assert_eq!(code, 0);
    assert!(text.contains("its engine is running") && text.contains("has not stopped"), "{text}");

    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    let (code, answer) = told(&demo.data());
    assert_eq!((code, &answer["running"]), (0, &json!(false)), "{answer}");
    assert_eq!(answer["runs"][0]["stopped"], false);
    assert!(check(&demo.data(), &[]).1.contains("did not stop by itself"));
}

#[test]
fn a_store_is_told_whole_and_every_damage_is_found() {
    let mut demo = Demo::start(&["--until", "3-round-trips", "--for", "20s"]);
    assert!(demo.child.wait().unwrap().success());
    let data = demo.data();
    let before = files(&data);
    let (code, answer) = told(&data);
    assert_eq!((code, &answer["sound"], &answer["running"]), (0, &json!(true), &json!(false)), "{answer}");
    assert_eq!(
        (&answer["epoch"], &answer["mode"], &answer["orders"]),
        (&json!(1), &json!("trading"), &json!([]))
    );
    assert_eq!(answer["runs"].as_array().unwrap().len(), 1);
    assert_eq!(answer["runs"][0]["stopped"], true);
    assert!(answer["fills"].as_u64().unwrap() >= 6 && answer["journal"]["cut"] == Value::Null, "{answer}");
    assert_eq!(answer["fills"], answer["journal"]["kinds"]["fill"]);
    let kinds = answer["journal"]["kinds"].as_object().unwrap();
    assert_eq!(json!(kinds.values().map(|n| n.as_u64().unwrap()).sum::<u64>()), answer["journal"]["records"]);
    assert!(answer["pairs"].as_array().unwrap().iter().any(|pair| pair["state"] != Value::Null), "{answer}");
    let (code, text, error) = check(&data, &[]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(text.ends_with("\nsound\n") && text.contains("every end and every fill is known"), "{text}");
    assert_eq!(files(&data), before, "nothing was written, made or touched");

    told_as_money_and_as_tables(&demo, &answer);

    // Where the records of this journal begin, by its published format.
    let whole = before[&data.join(JOURNAL)].0.clone();
    let mut starts = vec![16];
    while let Some(length) = whole.get(*starts.last().unwrap()..).and_then(|rest| rest.first_chunk::<4>()) {
        starts.push(starts.last().unwrap() + 12 + u32::from_le_bytes(*length) as usize);
    }
    assert_eq!(*starts.last().unwrap(), whole.len());
    let some = starts[starts.len() / 2];
    let put = |bytes: &[u8]| fs::write(data.join(JOURNAL), bytes).unwrap();
    let cuts = [
        ("nothing left", 0, 0),
        ("in the file's header", 7, 0),
        ("in a length", some + 2, some),
        ("behind a record's header", some + 12, some),
        ("in a body", some + 20, some),
        ("before the last byte", whole.len() - 1, starts[starts.len() - 2]),
    ];
    for (what, length, at) in cuts {
        put(&whole[..length]);
        let (code, answer) = told(&data);
        assert_eq!((code, problems(&answer)), (1, vec!["unfinished_write"]), "{what}");
        let cut = &answer["journal"]["cut"];
        assert_eq!((&cut["at"], &cut["bytes"]), (&json!(at), &json!(length - at)), "{what}");
    }
    for (what, at) in [("a checksum", some + 9), ("a body", some + 15)] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        put(&damaged);
        let (code, answer) = told(&data);
        assert_eq!((code, problems(&answer)), (1, vec!["damage"]), "{what}");
        assert_eq!(answer["journal"]["cut"]["at"], json!(some), "{what}");
        let (code, text, _) = check(&data, &[]);
        assert!(code == 1 && text.contains("PROBLEM   damage") && text.ends_with("\nnot sound\n"), "{text}");
    }
    put(b"SQLite format 3\0, and more of it");
    assert_eq!(problems(&told(&data).1), ["foreign"]);
    // The same trades twice, as if a copy had been glued on; and an epoch that was used again with them.
    put(&[&whole[..], &whole[16..]].concat());
    let (code, answer) = told(&data);
    let found = problems(&answer);
    let has = |name: &str| found.contains(&name);
    assert!(code == 1 && has("fired_twice") && has("booked_twice") && has("epoch_back"), "{answer}");
    put(&whole);
    // The next segment, as a crash inside its header leaves it; and a journal of the format before.
    fs::write(data.join("journal-0-000002.ctj"), b"CTJ1\x02").unwrap();
    let (code, answer) = told(&data);
    assert_eq!((code, problems(&answer)), (1, vec!["unfinished_write"]));
    assert_eq!(
        (&answer["journal"]["segments"], &answer["journal"]["cut"]["segment"]),
        (&json!(2), &json!(2))
    );
    fs::remove_file(data.join("journal-0-000002.ctj")).unwrap();
    fs::write(data.join("journal-0.ctj"), b"CTJ1").unwrap();
    assert_eq!(problems(&told(&data).1), ["single_file"]);
    fs::remove_file(data.join("journal-0.ctj")).unwrap();
    fs::remove_file(data.join("epoch-0")).unwrap();
    fs::write(data.join("latch-0"), "contango latch 1\nnonsense\n").unwrap();
    let (code, answer) = told(&data);
    assert_eq!((code, problems(&answer)), (1, vec!["no_epoch", "latch_damaged"]));
    assert_eq!(answer["mode"], "halted");
}

/// The same journal as `report` and as tables: what the run itself said of its money, and every fill.
#[track_caller]
fn told_as_money_and_as_tables(demo: &Demo, checked: &Value) {
    let data = demo.data();
    let ask = |words: &[&str], code: i32| {
        let told = Command::new(CONTANGO).args(words).arg("--data-dir").arg(&data).output().unwrap();
        assert_eq!(told.status.code(), Some(code), "{words:?}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    };
    let summary: Value =
        serde_json::from_slice(&fs::read(demo.folder.path().join("summary.json")).unwrap()).unwrap();
    let report: Value = serde_json::from_str(&ask(&["report", "--json"], 0)).unwrap();
    for part in ["funding", "basis", "fees", "slippage", "borrow"] {
        assert_eq!(report["pnl"][part], summary["pnl"][part], "{part}: the run and its journal");
    }
    assert_eq!(report["fills"], checked["fills"]);
    let days = report["days"].as_array().unwrap();
    assert!(!days.is_empty() && days.len() <= 2, "{report}");
    assert_eq!(days.last().unwrap()["equity"], report["pnl"]["total"]);
    let page = demo.folder.path().join("report.html");
    let (csv, html) = (demo.folder.path().join("days.csv"), page.to_str().unwrap());
    let text = ask(&["report", "--csv", csv.to_str().unwrap(), "--html", html], 0);
    assert!(text.contains("USDT, of it:") && text.contains("day (UTC)"), "{text}");
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 1 + days.len());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.matches("<svg").count() >= 3 && !page.contains("http"), "plots, and nothing from elsewhere");

    let tables = data.join("projection-0.sqlite");
    assert!(ask(&["store", "rebuild"], 0).contains("are in"));
    let count = |sql: &str| -> u64 {
        let database = rusqlite::Connection::open(&tables).unwrap();
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
    };
    assert_eq!(json!(count("SELECT COUNT(*) FROM fills")), checked["fills"]);
    assert_eq!(count("SELECT COUNT(*) FROM orders WHERE ended IS NULL"), 0);
    assert!(count("SELECT COUNT(*) FROM fills JOIN orders USING (client_id)") > 0);
    let first = fs::read(&tables).unwrap();
    ask(&["store", "rebuild", "--json"], 0);
    assert!(fs::read(&tables).unwrap() == first, "made anew, and another file");
    // A journal that can't be read whole leaves the tables that were there.
    let segment = data.join(JOURNAL);
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    damaged[60] ^= 0x10;
    fs::write(&segment, damaged).unwrap();
    ask(&["store", "rebuild"], 1);
    ask(&["report"], 1);
    fs::write(&segment, whole).unwrap();
    assert!(fs::read(&tables).unwrap() == first);
    ask(&["store", "rebuild"], 0);
    for made in ["projection-0.sqlite", "projection-0.sqlite.new"] {
        let _ = fs::remove_file(data.join(made));
    }
}

#[test]
fn what_is_no_store_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    for (folder, reason) in [(missing.as_path(), "no such folder"), (folder.path(), "has kept anything here")]
    {
        let (code, out, error) = check(folder, &["--json"]);
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        assert!(error.contains(reason) && error.contains("--data-dir"), "{error}");
    }
    assert!(!missing.exists() && files(folder.path()).is_empty(), "a look makes nothing");
    for words in [&["store"][..], &["store", "mend"]] {
        let told = Command::new(CONTANGO).args(words).output().unwrap();
        assert_eq!(told.status.code(), Some(2));
        assert!(String::from_utf8(told.stderr).unwrap().contains("ask for: check or rebuild"));
    }
}
