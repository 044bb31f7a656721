//! The rooms on threads of their own, over real sockets: the demo as a process, and what it says of itself.
//!
//! Owns:  the claims of `--stamps kernel`, `--layout split` and `--cores`.
//! Never: waits for a time of day: a run ends with so many round trips.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How it went, from its summary.
struct Demo {
    summary: Value,
    /// What the box did, by its own count.
    truth: Value,
}

impl Demo {
    /// A demo of eight round trips, which leaves its files in this folder.
    fn command(out: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contango"));
        command
            .args(["demo", "--json", "--for", "60s", "--until", "8-round-trips", "--idle", "yield", "--out"])
            .arg(out);
        command
    }

    fn run(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = Self::command(folder.path()).args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{error}");
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(summary["pairs"]["closed"].as_u64().unwrap() >= 8, "{summary}");
        let truth = std::fs::read(folder.path().join("truth.json")).unwrap();
        Self { summary, truth: serde_json::from_slice(&truth).unwrap() }
    }

    /// One figure of a stage.
    fn stage(&self, stage: &str, figure: &str) -> u64 {
        self.summary["latency_ns"][stage][figure].as_u64().unwrap()
    }
}

#[test]
fn a_reader_and_a_trader_on_threads_of_their_own_book_what_the_box_did() {
    let demo = Demo::run(&["--layout", "split", "--seed", "12"]);
    let summary = &demo.summary;
    let sent = summary["orders"]["sent"].as_u64().unwrap();
    assert_eq!(sent, demo.truth["orders"].as_array().unwrap().len() as u64, "{summary}");
    assert_eq!(summary["fills"]["booked"], summary["fills"]["venue"], "{summary}");
    assert_eq!(
        summary["fills"]["booked"].as_u64().unwrap(),
        demo.truth["fills"].as_array().unwrap().len() as u64
    );
    assert_eq!(summary["orders"]["unknown_now"], 0, "{summary}");
    assert_eq!(summary["exposure"]["naked_now"], 0, "{summary}");
    assert_eq!(demo.truth["naked"]["now"], serde_json::json!([]), "what is open is hedged");
    assert_eq!(summary["hot_path"]["allocations"], 0, "{}", summary["hot_path"]);
    assert!(demo.stage("tick_to_wire", "count") >= 16, "{summary}");
    assert_eq!(demo.stage("wire_to_wire", "count"), 0, "nobody asked the kernel");
}

/// Both stamps are the calendar's, the rest of the path is the counter's: a fire is what its parts add up to only if
/// the two were brought together rightly.
#[test]
fn kernel_stamps_measure_each_fire_from_packet_to_packet() {
    let demo = Demo::run(&["--stamps", "kernel", "--seed", "11"]);
    let [fires, first, second, reads] = ["in_process", "wire_to_wire", "leg2_wire_to_wire", "rx_to_read"]
        .map(|stage| demo.stage(stage, "count"));
    assert!(fires >= 10, "{fires} fires");
    assert!(first <= fires && 4 * first >= 3 * fires, "{first} of {fires} fires were stamped");
    assert!(second <= fires && 4 * second >= 3 * fires, "{second} of {fires} second legs were stamped");
    assert_eq!(reads, first);

    // Arrived ≤ read ≤ handed to `send` ≤ departed ≤ `send` returned (on loopback the driver is within it), fire by fire.
    // Histograms of three digits are 0.1 % off.
    let at_least = |more: u64, less: u64| {
        assert!(more + more / 500 + 1 >= less, "{more} < {less}: {}", demo.summary["latency_ns"]);
    };
    let (p50, max) = (|stage| demo.stage(stage, "p50"), |stage| demo.stage(stage, "max"));
    assert!(p50("rx_to_read") > 100, "{}", demo.summary["latency_ns"]);
    at_least(p50("wire_to_wire"), p50("rx_to_read"));
    at_least(p50("leg2_wire_to_wire"), p50("wire_to_wire"));
    at_least(max("rx_to_read") + max("tick_to_wire"), max("wire_to_wire"));
    at_least(max("rx_to_read") + max("leg2_tick_to_wire"), max("leg2_wire_to_wire"));
    if first == fires {
        at_least(p50("wire_to_wire"), p50("in_process"));
    }
    assert_eq!(demo.summary["hot_path"]["allocations"], 0, "{}", demo.summary["hot_path"]);
}

/// Nothing but the hot rooms sits on their core: what else the process started may wait for the other one.
#[test]
fn only_the_hot_thread_may_use_the_hot_core() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return eprintln!("skipped: it takes two cores");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo =
        Demo::command(folder.path()).args(["--cores", "1,0"]).stdout(Stdio::null()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", demo.id());
    let mut hot = Vec::new();
    while demo.try_wait().unwrap().is_none() {
        let entries = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        // A thread may end between the list and the look; one that has just begun is not pinned yet.
        let seen: BTreeMap<String, String> = entries
            .filter_map(|task| {
                let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
                let status = std::fs::read_to_string(task.path().join("status")).ok()?;
                let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
                Some((comm.trim().to_owned(), allowed.trim().to_owned()))
            })
            .collect();
        if seen.get("hot").is_some_and(|at| at == "1") {
            hot.push(seen);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(demo.wait().unwrap().success());
    // In the middle of the run, when nothing of it begins or ends.
    let seen = &hot[hot.len() / 2];
    assert!(
        ["cold", "contango", "disk-sync", "dial-0"].iter().all(|name| seen.contains_key(*name)),
        "{seen:?}"
    );
    assert!(seen.iter().all(|(name, at)| name == "hot" || at == "0"), "{seen:?}");
}
