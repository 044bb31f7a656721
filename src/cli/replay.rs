//! `contango replay`: a session file again, as fast as it goes.
//!
//! Owns:  from a session's head to the settings of its rooms, and what is told of the replay.
//! Never: plays a file that is not sound from its first byte to its last, or calls decisions the same that it
//!        could not hold against the recorded ones.

use super::boot::{BootError, shadow_settings, trader_settings, venue};
use super::budgets::Bucket;
use super::report::Summary;
use super::settings::{Command, SESSION, Setting};
use super::table::TABLE;
use super::{Exit, Settings, config, say, sums};
use crate::agents::begun::Begun;
use crate::agents::reader::ReaderCounts;
use crate::agents::replay::{Made, Replay};
use crate::store::segments;
use crate::store::session::{self, Blocks, Kind};
use crate::units::decimal::Text;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("contango replay: {}", error.why);
            error.exit
        }
    }
}

fn run(given: &Settings) -> Result<Exit, BootError> {
    let Some(path) = given.words.first().map(PathBuf::from) else {
        return Err(BootError::usage(
            "name the session file: `contango replay FILE`; `--record FILE` makes one",
        ));
    };
    let failed = |error: &dyn std::fmt::Display| BootError::failed(format!("{}: {error}", path.display()));
    let whole = session::check(open(&path)?).map_err(|error| failed(&error))?;
    let end = End::of(whole.end.as_ref());
    let (settings, changed) = made_with(&whole.head, given)?;
    let begun = Begun::of(&whole.head).map_err(wrong)?;
    let recalled = segments::recalled(&whole.journal).ok_or_else(|| wrong("journal"))?;
    let trader = trader_settings(&settings, begun.epoch);
    let about = "a replay".to_owned();
    let shadow = shadow_settings(&settings, begun.epoch, begun.latched.clone(), recalled, about);
    let (what_if, heard) = (!changed.is_empty(), end.decisions.unwrap_or(u64::MAX));
    // Whatever is decided otherwise is decided to the end.
    let heard = if what_if { u64::MAX } else { heard };
    let started = std::time::Instant::now();
    let mut replay = Replay::new(Made { trader, shadow, begun, what_if, heard });
    for block in Blocks::new(open(&path)?).map_err(|error| failed(&error))? {
        let block = block.map_err(|error| failed(&error))?;
        for turn in session::split(&block.body).take_while(|_| block.kind == Kind::Turns).flatten() {
            replay.take(block.room, turn).map_err(|error| failed(&error))?;
        }
    }
    replay.finish().map_err(|error| failed(&error))?;
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    let turns = replay.turns;
    let Some((trader, shadow)) = replay.rooms() else {
        return Err(failed(&"no room had a turn in it"));
    };
    let (first, last) = trader.span.unwrap_or_default();
    let span_ns = last.since(first);
    let market = whole.head.get("market").and_then(Value::as_str).unwrap_or_default().to_owned();
    let budget = shadow.room().budgets(last).iter().map(Bucket::of).collect();
    let run = ("replay", market, span_ns);
    let mut summary = sums::of(&settings, run, venue(), &end.reader, trader.room(), shadow.room());
    summary.budget = budget;
    // Of the run, the file does not tell; of the replay, nobody asked.
    let hot = &mut summary.hot_path;
    (hot.allocations, hot.tls_allocations, hot.tls_fallbacks) = (None, None, None);
    // What the trader decided now, not what the recorded one told its shadow.
    summary.decisions_sha256 = trader.decisions.sha256();
    let told = Told {
        same: end.incomplete.is_none() && end.sha256.as_ref() == Some(&summary.decisions_sha256),
        file: path.display().to_string(),
        turns,
        decisions: trader.decisions.lines,
        changed,
        span_us: span_ns / 1_000,
        took_us,
        end,
    };
    Ok(tell(&told, &summary, given.json))
}

/// What the end of a session says.
struct End {
    incomplete: Option<String>,
    decisions: Option<u64>,
    sha256: Option<String>,
    reader: ReaderCounts,
}

impl End {
    fn of(end: Option<&Map<String, Value>>) -> Self {
        let said = |key: &str| end.and_then(|end| end.get(key));
        let incomplete = match (end, said("complete").and_then(Value::as_bool)) {
            (None, _) => Some("it has no end: its run was killed, or the file was cut".to_owned()),
            (Some(_), Some(true)) => None,
            _ => Some(said("why").and_then(Value::as_str).unwrap_or("its writer gave up").to_owned()),
        };
        let counted = |key: &str| said("reader").and_then(|it| it.get(key)?.as_u64()).unwrap_or_default();
        Self {
            incomplete,
            decisions: said("decisions").and_then(Value::as_u64),
            sha256: said("decisions_sha256").and_then(Value::as_str).map(str::to_owned),
            reader: ReaderCounts {
                quotes: counted("quotes"),
                fallbacks: counted("fallbacks"),
                refused: counted("refused"),
                dropped: counted("dropped"),
                others: 0,
                links: Default::default(),
            },
        }
    }
}

/// Settings that are others than the recorded ones, with their texts.
type Changed = Vec<(&'static str, String)>;

/// What is told of a replay beyond its summary.
struct Told {
    file: String,
    turns: u64,
    decisions: u64,
    changed: Changed,
    same: bool,
    span_us: u64,
    took_us: u64,
    end: End,
}

fn open(path: &Path) -> Result<BufReader<File>, BootError> {
    let file = File::open(path).map_err(|error| BootError::usage(format!("{}: {error}", path.display())))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn wrong(what: &str) -> BootError {
    BootError::failed(format!(
        "the session's head has no usable `{what}`; play it with the program that wrote it"
    ))
}

/// The settings that the rooms are to be made with, and which of them are others than the recorded ones.
fn made_with(head: &Map<String, Value>, given: &Settings) -> Result<(Settings, Changed), BootError> {
    let mut settings = Settings { out: given.out.clone(), ..Settings::default() };
    let recorded = head.get("settings").and_then(Value::as_object).ok_or_else(|| wrong("settings"))?;
    let mut changed = Changed::new();
    let known = |name: &str| TABLE.iter().find(|setting| setting.name == name);
    for (name, texts) in recorded {
        let setting = known(name).ok_or_else(|| wrong(name))?;
        let texts = texts.as_array().ok_or_else(|| wrong(name))?;
        let mut texts: Vec<String> =
            texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
        let other = given.texts.get(setting.name).filter(|_| setting.on.contains(&Command::Replay));
        if let Some(other) = other.filter(|other| **other != texts && SESSION.contains(&setting.section)) {
            texts.clone_from(other);
            changed.push((setting.name, texts.join(",")));
        }
        config::apply(setting, &texts, &mut settings, "session", name).map_err(BootError::failed)?;
    }
    // What the recorded run was not given has no text.
    for (name, texts) in &given.texts {
        let fresh =
            |setting: &&Setting| SESSION.contains(&setting.section) && setting.on.contains(&Command::Replay);
        let Some(setting) = known(name).filter(fresh).filter(|_| !recorded.contains_key(*name)) else {
            continue;
        };
        config::apply(setting, texts, &mut settings, "command line", name).map_err(BootError::failed)?;
        changed.push((setting.name, texts.join(",")));
    }
    settings.live = head.get("live").and_then(Value::as_bool).ok_or_else(|| wrong("live"))?;
    settings.seed = head.get("seed").and_then(Value::as_u64).ok_or_else(|| wrong("seed"))?;
    Ok((settings, changed))
}

fn tell(told: &Told, summary: &Summary, as_json: bool) -> Exit {
    // In tenths, exact.
    let times = Text(i128::from(told.span_us.saturating_mul(10) / told.took_us), 1).to_string();
    let what_if = !told.changed.is_empty();
    let changed: Map<String, Value> =
        told.changed.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let recorded = told.end.sha256.as_deref();
    if as_json {
        let mut json = summary.json();
        json["session"] = json!({
            "file": told.file,
            "complete": told.end.incomplete.is_none(),
            "why": told.end.incomplete,
            "turns": told.turns,
            "decisions": told.decisions,
            "recorded_sha256": recorded,
            "same": told.same,
            "what_if": what_if.then_some(changed),
            "times_real_time": times,
            "played_in_us": told.took_us,
        });
        say(&format!("{json}\n"));
    } else {
        say(&summary.text());
        let settings: Vec<String> =
            told.changed.iter().map(|(name, text)| format!("--{name} {text}")).collect();
        let kind = if what_if {
            format!("what-if ({}): books stay those of the recorded run", settings.join(" "))
        } else {
            "as recorded".to_owned()
        };
        say(&format!(
            "\nreplay        {kind}\n              {} turns, {} decisions, in {} ms: {times} times real time\n\
             recorded      {}{}\n",
            told.turns,
            told.decisions,
            told.took_us / 1_000,
            recorded.unwrap_or("not known"),
            if told.same { ", the same" } else { "" },
        ));
    }
    match &told.end.incomplete {
        Some(why) => eprintln!("contango replay: session incomplete: {why}; what is there was played"),
        None if !told.same && !what_if => {
            eprintln!("contango replay: these are not the decisions of the run that wrote the file");
        }
        None => return Exit::Done,
    }
    Exit::Failed
}
