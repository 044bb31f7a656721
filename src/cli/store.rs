//! `contango store check`: whether what an engine keeps on the disk is sound, and what it says. `store rebuild`: all
//! of it as tables.
//!
//! Owns:  reading the files, seeing whether their engine runs, the two forms of the answer; and that a new
//!        projection takes the old one's place whole or not at all.
//! Never: touches what an engine writes, takes its lock, or makes the folder: a running one may be looked at.
//! Map:   what the files say and what is wrong with them: `store::check`; the tables: `store::projection`.

use super::{Exit, Settings, say};
use crate::event::Mode;
use crate::metal::crash;
use crate::store::check::{Checked, Files, Problem, check};
use crate::store::history::History;
use crate::store::journal::Entry;
use crate::store::projection::Projection;
use crate::store::recall::Recalled;
use crate::store::{epoch, journal, latch, segments};
use crate::units::{Unix, decimal};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok((text, exit)) => {
            say(&text);
            exit
        }
        Err((why, exit)) => {
            eprintln!("contango store: {why}");
            exit
        }
    }
}

fn run(settings: &Settings) -> Result<(String, Exit), Refusal> {
    match settings.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => check_all(settings),
        ["rebuild"] => rebuild(settings),
        [] => Err(("ask for: check or rebuild".to_owned(), Exit::Usage)),
        other => {
            let why = format!("`{}` is nothing to ask; ask for: check or rebuild", other.join(" "));
            Err((why, Exit::Usage))
        }
    }
}

fn check_all(settings: &Settings) -> Result<(String, Exit), Refusal> {
    let (folder, instance) = (settings.data_dir.as_path(), settings.instance);
    look_at(folder)?;
    let running = is_open(&folder.join(format!("lock-{instance}")));
    // In this order: an engine that starts meanwhile raises the epoch before it writes of it.
    let mut journal = Vec::new();
    for (number, path) in segments_of(folder, instance)? {
        let failed =
            |error| (format!("{}: {error}; look as the engine's user", path.display()), Exit::Failed);
        journal.push((number, fs::read(&path).map_err(failed)?));
    }
    let single = read(folder, &segments::single_file_name(instance))?.is_some();
    let epoch = read(folder, &epoch::file_name(instance))?;
    let latch = read(folder, &latch::file_name(instance))?;
    if journal.is_empty() && !single && epoch.is_none() && latch.is_none() {
        let why = format!(
            "{}: no engine of instance {instance} has kept anything here; name its folder with --data-dir (a \
             demo's is OUT/journal), or its number with --instance",
            folder.display()
        );
        return Err((why, Exit::Usage));
    }
    let files = Files { journal: &journal, single, epoch: epoch.as_deref(), latch: latch.as_deref() };
    let checked = check(&files, running);
    let store = Store {
        folder,
        instance,
        running,
        journal: (journal.len(), journal.iter().map(|(_, bytes)| bytes.len()).sum()),
        checked,
    };
    let exit = if store.checked.problems.is_empty() { Exit::Done } else { Exit::Failed };
    let text = if settings.json { format!("{}\n", store.json()) } else { store.text() };
    Ok((text, exit))
}

/// Why there is no answer, and the exit code.
pub(super) type Refusal = (String, Exit);

fn look_at(folder: &Path) -> Result<(), Refusal> {
    if !folder.is_dir() {
        let why = format!(
            "{}: there is no such folder; name an engine's with --data-dir (a demo's is OUT/journal)",
            folder.display()
        );
        return Err((why, Exit::Usage));
    }
    Ok(())
}

/// The segments there are, in the order of their numbers, at least one.
///
/// # Errors
///
/// There is no such folder, or no journal of this instance in it.
pub(super) fn files_of(folder: &Path, instance: u8) -> Result<Vec<(u32, PathBuf)>, Refusal> {
    look_at(folder)?;
    let files = segments_of(folder, instance)?;
    if files.is_empty() {
        let why = format!(
            "{}: there is no journal of instance {instance}; name its folder with --data-dir (a demo's is \
             OUT/journal), or its number with --instance",
            folder.display()
        );
        return Err((why, Exit::Usage));
    }
    Ok(files)
}

fn segments_of(folder: &Path, instance: u8) -> Result<Vec<(u32, PathBuf)>, Refusal> {
    let failed = |error| (format!("{}: {error}; look as the engine's user", folder.display()), Exit::Failed);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| segments::number_of(instance, name));
        files.extend(number.map(|number| (number, folder.join(&name))));
    }
    files.sort_unstable();
    Ok(files)
}

/// The name of an instance's projection in its data folder.
pub(super) fn projection_name(instance: u8) -> String {
    format!("projection-{instance}.sqlite")
}

/// Makes the projection anew, beside the one that is there, and puts it in its place.
fn rebuild(settings: &Settings) -> Result<(String, Exit), Refusal> {
    let (folder, instance) = (settings.data_dir.as_path(), settings.instance);
    let segments = files_of(folder, instance)?;
    let file = folder.join(projection_name(instance));
    let new = file.with_extension("sqlite.new");
    let failed = |error: std::io::Error| (format!("{}: {error}", new.display()), Exit::Failed);
    // What a crash left of an earlier one is begun anew.
    let guard = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&new).map_err(failed)?;
    if guard.try_lock().is_err() {
        let why = format!("{}: another rebuild is under way; wait for it", new.display());
        return Err((why, Exit::Failed));
    }
    guard.set_len(0).map_err(failed)?;
    let history = project(folder, &segments, &new)?;
    crash::point("K13b");
    guard.sync_all().map_err(failed)?;
    crash::point("K13c");
    fs::rename(&new, &file).map_err(failed)?;
    crash::point("K13d");
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let (segments, records) = history.read_so_far();
    let text = if settings.json {
        let file = file.display().to_string();
        format!("{}\n", json!({"projection": file, "segments": segments, "records": records}))
    } else {
        format!("{records} records of {segments} segments are in {}\n", file.display())
    };
    Ok((text, Exit::Done))
}

/// The whole journal as tables in a file.
fn project(folder: &Path, segments: &[(u32, PathBuf)], file: &Path) -> Result<History, Refusal> {
    let refused = |error: &dyn std::fmt::Display| (format!("{}: {error}", folder.display()), Exit::Failed);
    let mut projection = Projection::create(file).map_err(|error| refused(&error))?;
    let mut history = History::default();
    for (n, (number, path)) in segments.iter().enumerate() {
        let bytes = fs::read(path).map_err(|error| refused(&error))?;
        let mut taken = Ok(());
        let see = |entry: &Entry, books: &Recalled| {
            if taken.is_ok() {
                taken = projection.take(entry, books);
            }
        };
        history.read(*number, &bytes, n + 1 == segments.len(), see).map_err(|error| refused(&error))?;
        taken.map_err(|error| refused(&error))?;
        crash::point("K13a");
    }
    projection.finish(&history).map_err(|error| refused(&error))?;
    Ok(history)
}

fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let why = format!("{}: {error}; look as the engine's user", folder.join(name).display());
            Err((why, Exit::Failed))
        }
    }
}

/// Whether a process that this user may look at has the lock file open: an engine has, as long as it runs,
/// and nobody else. To try for the lock, even for a moment, could turn away an engine that starts just then.
fn is_open(file: &Path) -> bool {
    let Ok(about) = fs::metadata(file) else { return false };
    let same = |other: fs::Metadata| (other.dev(), other.ino()) == (about.dev(), about.ino());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_dir(process.path().join("fd")).ok())
        .flat_map(|files| files.flatten())
        .any(|open| fs::metadata(open.path()).is_ok_and(same))
}

/// One store, looked at.
struct Store<'a> {
    folder: &'a Path,
    instance: u8,
    running: bool,
    /// Segments of the journal, and their bytes.
    journal: (usize, usize),
    checked: Checked,
}

fn us(at: Option<Unix>) -> Option<i64> {
    at.map(|at| at.0.div_euclid(1_000))
}

fn when(at: Option<Unix>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

/// A count of a quantity's last decimal, as long as the quantity itself.
fn like(count: i128, qty: &str) -> String {
    let decimals = qty.find('.').map_or(0, |dot| qty.len() - dot - 1);
    decimal::Text(count, u8::try_from(decimals).unwrap_or(0)).to_string()
}

impl Store<'_> {
    fn mode(&self) -> (&'static str, &str) {
        let damaged = |problem: &Problem| matches!(problem, Problem::NoLatch | Problem::LatchDamaged(_));
        match &self.checked.latched {
            Some(latched) => (latched.mode.name(), latched.why.as_str()),
            None if self.checked.problems.iter().any(damaged) => {
                (Mode::Halted.name(), "the latch file is damaged or missing")
            }
            None => (Mode::Trading.name(), ""),
        }
    }

    fn json(&self) -> Value {
        let Checked { first_at, recalled, runs, counts, cut, epoch, pairs, compared, problems, .. } =
            &self.checked;
        let (mode, why) = self.mode();
        let kinds: serde_json::Map<String, Value> =
            counts.iter().map(|(kind, n)| (kind.name().to_owned(), json!(n))).collect();
        let runs: Vec<Value> =
            runs.iter().map(|run| json!({"began_us": us(Some(run.began)), "stopped": run.stopped})).collect();
        let pairs: Vec<Value> = pairs
            .iter()
            .map(|(name, held)| {
                json!({
                    "pair": name, "state": held.state, "spot": held.spot.to_string(),
                    "perp": held.perp.to_string(),
                })
            })
            .collect();
        let orders: Vec<Value> = recalled
            .orders
            .iter()
            .map(|(client, order)| {
                json!({
                    "client_id": client.to_string(), "market": order.market.leg.to_string(),
                    "symbol": order.market.symbol, "class": order.class.to_string(),
                    "side": order.side.to_string(), "qty": order.qty,
                    "executed": like(order.executed, &order.qty), "booked": like(order.booked, &order.qty),
                    "ended": order.ended,
                })
            })
            .collect();
        let openings: Vec<Value> = recalled
            .openings
            .iter()
            .map(|((leg, asset), amount)| {
                json!({"market": leg.to_string(), "asset": asset.as_str(), "opening": amount.to_string()})
            })
            .collect();
        let problems: Vec<Value> = problems
            .iter()
            .map(|problem| json!({"problem": problem.name(), "text": problem.to_string()}))
            .collect();
        json!({
            "sound": problems.is_empty(),
            "folder": self.folder.display().to_string(),
            "instance": self.instance,
            "running": self.running,
            "journal": {
                "format": journal::FILE_VERSION,
                "segments": self.journal.0,
                "bytes": self.journal.1,
                "records": self.checked.records(),
                "kinds": kinds,
                "first_us": us(*first_at),
                "last_us": us(recalled.last_at),
                "cut": cut.as_ref().map(|cut| {
                    json!({"segment": cut.segment, "at": cut.at, "bytes": cut.bytes, "why": cut.why.to_string()})
                }),
            },
            "runs": runs,
            "epoch": epoch,
            "mode": mode,
            "why": why,
            "fills": recalled.sums.fills,
            "pairs": pairs,
            "orders": orders,
            "openings": openings,
            "baseline": compared.as_ref().map(|compared| {
                json!({"at_us": us(compared.at), "unexplained": compared.unexplained})
            }),
            "problems": problems,
        })
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Checked { first_at, recalled, runs, counts, cut, epoch, pairs, compared, problems, .. } =
            &self.checked;
        let state = if self.running { "its engine is running" } else { "no engine of this user is running" };
        writeln!(out, "store     {}, instance {}; {state}", self.folder.display(), self.instance)?;
        let (records, version) = (self.checked.records(), journal::FILE_VERSION);
        writeln!(
            out,
            "journal   format {version}, {} segments, {} bytes, {records} records",
            self.journal.0, self.journal.1
        )?;
        for (kind, n) in counts {
            writeln!(out, "          {n:>8} {}", kind.name())?;
        }
        if let Some(cut) = cut {
            writeln!(
                out,
                "          segment {} ends at byte {}, {} bytes before the file does: {}",
                cut.segment, cut.at, cut.bytes, cut.why
            )?;
            if self.running && problems.is_empty() {
                writeln!(out, "          its engine is writing, so that is no flaw; look again")?;
            }
        }
        writeln!(out, "time      {} to {}", when(*first_at), when(recalled.last_at))?;
        let stopped = runs.iter().filter(|run| run.stopped).count();
        writeln!(out, "runs      {}, {stopped} of them stopped by themselves", runs.len())?;
        if let Some(run) = runs.last() {
            let end = match (run.stopped, self.running) {
                (true, _) => "stopped by itself",
                (false, true) => "has not stopped",
                (false, false) => "did not stop by itself",
            };
            writeln!(out, "          the last began {} and {end}", run.began)?;
        }
        writeln!(out, "epoch     {}", epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string()))?;
        let (mode, why) = self.mode();
        let colon = if why.is_empty() { "" } else { ": " };
        writeln!(out, "latch     {}{colon}{why}", mode.to_uppercase())?;
        writeln!(out, "fills     {} booked", recalled.sums.fills)?;
        for (name, held) in pairs {
            let state = held.state.as_deref().unwrap_or("-");
            writeln!(out, "pair      {name} {state}: {} spot, {} perp", held.spot, held.perp)?;
        }
        if recalled.orders.is_empty() {
            writeln!(out, "orders    every end and every fill is known")?;
        }
        for (client, order) in &recalled.orders {
            let known = if order.ended { "fills are missing" } else { "its end is not known" };
            writeln!(
                out,
                "order     {client} {} {}, {} {} of {}: {known}; {} executed, {} booked",
                order.market.leg,
                order.market.symbol,
                order.class,
                order.side,
                order.qty,
                like(order.executed, &order.qty),
                like(order.booked, &order.qty)
            )?;
        }
        for ((leg, asset), amount) in recalled.openings.iter().filter(|(_, amount)| amount.0 != 0) {
            writeln!(out, "opening   {amount} {asset} in the {leg} wallet that no booking explains")?;
        }
        match compared {
            None => writeln!(out, "baseline  none: the books were never held against the venue")?,
            Some(compared) if compared.unexplained.is_empty() => {
                writeln!(out, "baseline  {}: the books were the venue's", when(compared.at))?;
            }
            Some(compared) => {
                writeln!(out, "baseline  {}: not all was explained", when(compared.at))?;
                for what in &compared.unexplained {
                    writeln!(out, "          {what}")?;
                }
            }
        }
        for problem in problems {
            writeln!(out, "PROBLEM   {}: {problem}", problem.name())?;
        }
        let verdict = if problems.is_empty() { "sound" } else { "not sound" };
        writeln!(out, "{verdict}")
    }
}
