//! `contango replay`: a session file again, as fast as it goes.
//!
//! Owns:  from a session's head to the settings of its rooms, and what is told of the replay.
//! Never: plays a file that is not sound from its first byte to its last, or calls decisions the same that it
//!        could not hold against the recorded ones.

use super::boot::{BootError, trader_settings};
use super::table::TABLE;
use super::{Exit, Settings, config, say};
use crate::agents::replay::ReplayedTrader;
use crate::store::session::{self, Blocks, Kind, Room, Whole};
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
    let path: PathBuf = given.words.first().map(PathBuf::from).unwrap_or_default();
    let broken = |error: session::Broken| BootError::failed(format!("{}: {error}", path.display()));
    let Whole { head, end } = session::check(open(&path)?).map_err(broken)?;
    let (settings, epoch) = made_with(&head, given)?;
    let mut trader = ReplayedTrader::new(trader_settings(&settings, epoch)).map_err(BootError::failed)?;
    let heard = end.as_ref().and_then(|end| end.get("decisions")).and_then(Value::as_u64);
    trader.heard = heard.unwrap_or(u64::MAX);
    let started = std::time::Instant::now();
    for block in Blocks::new(open(&path)?).map_err(broken)? {
        let block = block.map_err(broken)?;
        if (block.kind, block.room) != (Kind::Turns, Room::Trader) {
            continue;
        }
        for turn in session::split(&block.body).flatten() {
            trader.turn(turn).map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
        }
    }
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    Ok(tell(&path, given.json, &trader, end.as_ref(), took_us))
}

fn open(path: &Path) -> Result<BufReader<File>, BootError> {
    let file = File::open(path).map_err(|error| BootError::usage(format!("{}: {error}", path.display())))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// The settings that the rooms of a session were made with, and the epoch.
fn made_with(head: &Map<String, Value>, given: &Settings) -> Result<(Settings, u32), BootError> {
    let wrong = |what: &str| {
        BootError::failed(format!(
            "the session's head has no usable `{what}`; play it with the program that wrote it"
        ))
    };
    let mut settings = given.clone();
    let texts = head.get("settings").and_then(Value::as_object).ok_or_else(|| wrong("settings"))?;
    for (name, texts) in texts {
        let setting = TABLE.iter().find(|setting| setting.name == name).ok_or_else(|| wrong(name))?;
        let texts = texts.as_array().ok_or_else(|| wrong(name))?;
        let texts: Vec<String> = texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
        config::apply(setting, &texts, &mut settings, "session", name).map_err(BootError::failed)?;
    }
    settings.live = head.get("live").and_then(Value::as_bool).ok_or_else(|| wrong("live"))?;
    let epoch = head.get("epoch").and_then(Value::as_u64).and_then(|epoch| u32::try_from(epoch).ok());
    Ok((settings, epoch.ok_or_else(|| wrong("epoch"))?))
}

fn tell(
    path: &Path,
    as_json: bool,
    trader: &ReplayedTrader,
    end: Option<&Map<String, Value>>,
    took_us: u64,
) -> Exit {
    let said = |key: &str| end.and_then(|end| end.get(key));
    let recorded = said("decisions_sha256").and_then(Value::as_str);
    let incomplete = match (end, said("complete").and_then(Value::as_bool)) {
        (None, _) => Some("it has no end: its run was killed, or the file was cut".to_owned()),
        (Some(_), Some(true)) => None,
        (Some(_), _) => Some(said("why").and_then(Value::as_str).unwrap_or("its writer gave up").to_owned()),
    };
    let sha256 = trader.decisions.sha256();
    let same = incomplete.is_none() && recorded == Some(sha256.as_str());
    let span_us = trader.span.map_or(0, |(first, last)| last.since(first) / 1_000);
    // In tenths, exact.
    let times = Text(i128::from(span_us.saturating_mul(10) / took_us), 1).to_string();
    let counts = &trader.room().counts;
    if as_json {
        let told = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "command": "replay",
            "seconds": span_us / 1_000_000,
            "hot_path": {
                "quotes": counts.quotes,
                "decisions": counts.decisions,
                "conflated": counts.conflated,
                "prepared": counts.prepared,
                "signed": counts.signed,
            },
            "decisions_sha256": sha256,
            "session": {
                "file": path.display().to_string(),
                "complete": incomplete.is_none(),
                "why": incomplete,
                "turns": trader.turns,
                "decisions": trader.decisions.lines,
                "recorded_sha256": recorded,
                "same": same,
                "times_real_time": times,
                "played_in_us": took_us,
            },
        });
        say(&format!("{told}\n"));
    } else {
        say(&format!(
            "contango replay: {} s of {} in {} ms, {times} times as fast\n\
             {} turns, {} quotes, {} weighed, {} decisions\n\
             decisions     {sha256}\n\
             recorded      {}\n",
            span_us / 1_000_000,
            path.display(),
            took_us / 1_000,
            trader.turns,
            counts.quotes,
            counts.decisions,
            trader.decisions.lines,
            recorded.unwrap_or("not known"),
        ));
    }
    if let Some(why) = incomplete {
        eprintln!("contango replay: session incomplete: {why}; what is there was played");
    } else if !same {
        eprintln!("contango replay: these are not the decisions of the run that wrote the file");
    }
    if same { Exit::Done } else { Exit::Failed }
}
