//! `contango run`: the engine against a venue, or against a box of another process; and `record`, which is the
//! same without a key.
//!
//! Owns:  from settings to exit code.
//! Never: sends a real order unless the file says `live = true` and the flag says `--live`.

use super::boot::{self, BootError};
use super::{Exit, Settings, paper, say};

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    told("run", run(settings, "run"))
}

/// Writes down what the venue says, and never trades.
pub fn record(settings: &Settings) -> Exit {
    let mut settings = settings.clone();
    settings.live = false;
    // It has no use for one, so none is read.
    settings.key_files.clear();
    let Some(file) = settings.words.first() else {
        return told("record", Err(BootError::usage("name the file to write: `contango record FILE`")));
    };
    settings.record = Some(file.into());
    // An engine of the same data folder may be trading meanwhile.
    settings.data_dir = settings.out.join("journal");
    told("record", run(&settings, "record"))
}

fn told(command: &str, outcome: Result<Exit, BootError>) -> Exit {
    outcome.unwrap_or_else(|error| {
        eprintln!("contango {command}: {}", error.why);
        error.exit
    })
}

fn run(settings: &Settings, command: &str) -> Result<Exit, BootError> {
    // A recording only listens.
    if !settings.live && command == "run" {
        return paper::run(settings);
    }
    let target = boot::target(settings, boot::venue())?;
    let trust = boot::trust(settings)?;
    let market = if settings.endpoints.is_empty() { "live" } else { "endpoints" };
    let finished = boot::run(settings, command, market.to_owned(), target, trust)?;
    if settings.json {
        say(&format!("{}\n", finished.summary.json()));
    } else {
        say(&finished.summary.text());
    }
    if let Some(why) = &finished.why {
        eprintln!("contango {command}: {why}");
    }
    Ok(finished.exit)
}
