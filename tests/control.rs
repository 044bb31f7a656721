//! `contango ctl` against a running engine, as an operator meets it: words, exit codes, files.
//!
//! Owns:  claims about the two processes and the socket between them.
//! Map:   what follows from each order is told in `tests/story/control.rs`, in virtual time.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONTANGO: &str = env!("CARGO_BIN_EXE_contango");

/// A demo of its own process.
struct Demo {
    child: Child,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = demo(&folder).args(["--for", "60s"]).stdout(Stdio::null()).spawn().unwrap();
        let it = Self { child, folder };
        it.wait(|it| it.socket().exists() && it.status()["phase"] == "live");
        it
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn socket(&self) -> PathBuf {
        self.data().join("ctl-0.sock")
    }

    #[track_caller]
    fn wait(&self, mut seen: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !seen(self) {
            assert!(begun.elapsed() < Duration::from_secs(40), "never seen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Exit code, standard output, standard error.
    fn ctl(&self, arguments: &[&str]) -> (i32, String, String) {
        let data = self.data();
        let told =
            Command::new(CONTANGO).arg("ctl").args(arguments).arg("--data-dir").arg(data).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ctl(&["status", "--json"]).1).unwrap_or(Value::Null)
    }

    /// An order that is done, and its mode.
    #[track_caller]
    fn done(&self, arguments: &[&str], mode: &str) {
        let (code, out, error) = self.ctl(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{out}{error}");
        let row: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&row["ok"], row["mode"].as_str().unwrap()), (&Value::Bool(true), mode), "{out}");
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        let (ended, out, error) = self.ctl(arguments);
        assert_eq!((ended, out.as_str()), (code, ""), "{error}");
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn demo(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(CONTANGO);
    command.args(["demo", "--json", "--idle", "yield", "--out", folder.path().to_str().unwrap()]);
    command
}

#[test]
fn an_operator_looks_halts_resumes_flattens_and_kills() {
    let mut demo_process = Demo::start();
    let it = &demo_process;
    assert_eq!(it.socket().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let status = it.status();
    assert_eq!((&status["mode"], &status["instance"]), (&"trading".into(), &0.into()), "{status}");
    assert!(
        status["pairs"].as_array().unwrap().len() >= 5 && !status["links"].as_array().unwrap().is_empty()
    );
    let (code, text, _) = it.ctl(&["status"]);
    assert!(code == 0 && text.contains("TRADING") && text.contains("BTC"), "{text}");
    let (code, text, _) = it.ctl(&["why", "btc"]);
    assert!(code == 0 && text.starts_with("BTC is") && text.contains("weighed"), "{text}");
    it.refused(&["why", "NOPE"], 2, "there is no pair NOPE");
    it.refused(&["status", "--instance", "9"], 1, "no engine of instance 9 runs");

    it.done(&["halt", "--reason", "lunch"], "halted");
    assert_eq!((&it.status()["mode"], &it.status()["why"]), (&"halted".into(), &"lunch".into()));
    it.refused(&["resume"], 2, "--reason TEXT");
    it.done(&["resume", "--reason", "back"], "trading");
    it.done(&["flatten"], "reduce_only");
    it.wait(|it| it.status()["mode"] == "halted");
    assert!(it.status()["pairs"].as_array().unwrap().iter().all(|pair| pair["state"] == "flat"));
    it.done(&["kill", "--reason", "enough"], "killed");
    it.refused(&["flatten"], 3, "killed");

    // Stopped, it says what it was refused for; the next one begins so too.
    let pid = demo_process.child.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
    assert_eq!(demo_process.child.wait().unwrap().code(), Some(3));
    assert!(!demo_process.socket().exists());
    demo_process.refused(&["status"], 1, "no engine of instance 0 runs");
    let output = demo(&demo_process.folder).args(["--for", "1s"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("killed: enough") && error.contains("ctl resume --reason"), "{error}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["orders"]["sent"], 0);
}

#[test]
fn a_file_of_somebody_else_s_in_the_socket_s_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal/ctl-0.sock");
    std::fs::create_dir(folder.path().join("journal")).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let output = demo(&folder).args(["--for", "1s"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("is no socket") && error.contains("move it away"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
