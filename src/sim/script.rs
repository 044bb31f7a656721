//! Faults by timetable: lines of `{"at_ms":…,"fault":{…}}`, carried out by the box in its own time.
//!
//! Owns:  reading and checking such a script, and starting its clock with the first connection at any door.
//! Never: reads a file, or carries out a fault: each line does what `POST /fault` with its order does.
//! Rule:  a line that can't be read is an error at the start, by its number. An order that is refused at its
//!        time (nothing to mute, nothing held) is told in `truth.script_refused`.

use super::exchange::{Due, Exchange, MS};
use super::faults::Faults;
use serde_json::{Value, json};

/// Faults and when they strike, counted from the first connection to the box.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Milliseconds after the first connection, and the order.
    lines: Vec<(u64, Value)>,
}

/// A line of a script that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ScriptError {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it, and what is allowed.
    pub why: String,
}

impl Script {
    /// Reads a script. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] for the first bad line.
    pub fn read(text: &str) -> Result<Self, ScriptError> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(read_line(line).map_err(|why| ScriptError { line: at + 1, why })?);
            }
        }
        Ok(Self { lines })
    }
}

fn read_line(line: &str) -> Result<(u64, Value), String> {
    const FORM: &str = r#"a line is {"at_ms": 1500, "fault": {"kind": …}}"#;
    let row: Value = serde_json::from_str(line).map_err(|error| format!("no JSON ({error}); {FORM}"))?;
    let members = row.as_object().ok_or(FORM)?;
    if let Some(other) = members.keys().find(|key| !matches!(key.as_str(), "at_ms" | "fault")) {
        return Err(format!("{other:?} is unknown; {FORM}"));
    }
    let at_ms = members.get("at_ms").and_then(Value::as_u64);
    let at_ms = at_ms.ok_or_else(|| format!("at_ms is a whole number of milliseconds ≥ 0; {FORM}"))?;
    let fault = members.get("fault").ok_or_else(|| format!("fault is missing; {FORM}"))?;
    Faults::read(fault)?;
    Ok((at_ms, fault.clone()))
}

impl Exchange {
    /// The first connection: the script's clock starts.
    pub(super) fn start_script(&mut self) {
        if std::mem::replace(&mut self.script_started, true) {
            return;
        }
        for line in 0..self.config.script.lines.len() {
            let after = self.config.script.lines[line].0.saturating_mul(MS);
            self.schedule(self.now.saturating_add(after), Due::Script(line));
        }
    }

    /// A line's time has come.
    pub(super) fn on_script(&mut self, line: usize) {
        let (at_ms, fault) = self.config.script.lines[line].clone();
        if let Err(why) = self.fault(&fault) {
            self.script_refused.push(json!({"at_ms": at_ms, "fault": fault, "why": why}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_lines_of_faults_with_times_and_a_bad_line_is_named() {
        let good = "# two faults\n{\"at_ms\": 0, \"fault\": {\"kind\": \"cut_user\"}}\n\n\
                    {\"at_ms\": 1500, \"fault\": {\"kind\": \"ban\", \"market\": \"usdm\", \"for_ms\": 100}}\n";
        assert_eq!(Script::read(good).unwrap().lines.len(), 2);
        for (bad, words) in [
            ("1500", "a line is"),
            (r#"{"at_ms": 1"#, "no JSON"),
            (r#"{"fault": {"kind": "lose"}}"#, "at_ms is a whole number"),
            (r#"{"at_ms": -1, "fault": {"kind": "lose"}}"#, "at_ms is a whole number"),
            (r#"{"at_ms": 1}"#, "fault is missing"),
            (r#"{"at_ms": 1, "fault": {"kind": "x"}}"#, "kind is one of"),
            (r#"{"at_ms": 1, "at": 2, "fault": {"kind": "lose"}}"#, "\"at\" is unknown"),
        ] {
            let error = Script::read(&format!("# a note\n\n{bad}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 3: ") && error.contains(words), "{bad}: {error}");
        }
    }
}
