//! `contango run`: the engine against a venue, or against a box of another process; on paper unless told otherwise.
//!
//! Owns:  from settings to exit code.
//! Never: sends a real order unless the file says `live = true` and the flag says `--live`.

use super::boot::{self, BootError};
use super::{Exit, Settings, paper, say};

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("contango run: {}", error.why);
            error.exit
        }
    }
}

fn run(settings: &Settings) -> Result<Exit, BootError> {
    if !settings.live {
        return paper::run(settings);
    }
    let target = boot::target(settings, boot::venue())?;
    let trust = boot::trust(settings)?;
    let market = if settings.endpoints.is_empty() { "live" } else { "endpoints" };
    let finished = boot::run(settings, "run", market.to_owned(), target, trust)?;
    if settings.json {
        say(&format!("{}\n", finished.summary.json()));
    } else {
        say(&finished.summary.text());
    }
    if let Some(why) = &finished.why {
        eprintln!("contango run: {why}");
    }
    Ok(finished.exit)
}
