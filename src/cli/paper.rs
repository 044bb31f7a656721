//! `run` without `--live`: a venue's own quotes, and orders that never leave this machine.
//!
//! Owns:  the box that is fed from the venue, the engine that trades against it as against a real one, and the two
//!        refusals: no live key is taken, and where orders go is never the venue.
//! Never: gives the engine an address of the venue: all it knows are the box's.

use super::boot::{self, BootError};
use super::keys::{Env, KeyFile};
use super::tee::Tee;
use super::{Exit, Settings, demo, say};
use crate::{sim, simnet};

/// Trades on paper to the end of the run.
pub(super) fn run(settings: &Settings) -> Result<Exit, BootError> {
    let target = boot::target(settings, boot::venue())?;
    no_live_key(settings)?;
    let trust = boot::trust(settings)?;
    std::fs::create_dir_all(&settings.out)
        .map_err(|error| BootError::usage(format!("--out {}: {error}", settings.out.display())))?;
    let wanted = (!settings.pairs.is_empty()).then(|| settings.pairs.clone());
    let tee = Tee::start(target, trust, wanted)?;
    let box_config = sim::Config {
        seed: settings.seed,
        source: sim::Source::Fed(tee.symbols.clone()),
        leverage: settings.leverage,
        secret: super::sim::secret(settings),
        wire_ns: settings.paper_rtt_ns,
        ..sim::Config::default()
    };
    let running = simnet::start(simnet::Settings {
        box_config,
        out: Some(settings.out.join("box")),
        ..simnet::Settings::default()
    })
    .map_err(BootError::failed)?;
    tee.feed(running.feeder());

    let mut engine = settings.clone();
    engine.live = true;
    // Its own books: those of a live engine are never touched, and the box's money is gone with the box.
    engine.data_dir = settings.data_dir.join("paper");
    demo::forget_last(&engine)?;
    engine.ca = Some(running.ready.ca_path.clone());
    engine.endpoints.clear();
    engine.key_files.clear();
    demo::point_at(&mut engine, &running.ready.venues);
    let (inside, trust) = (boot::target(&engine, boot::venue())?, boot::trust(&engine)?);
    if !settings.json {
        let legs = tee.symbols.len() / 2;
        say(&format!(
            "paper: {legs} pairs with the venue's own quotes; orders are filled on this machine, {} us after they \
             are sent; ctl talks to it with --data-dir {}\n",
            settings.paper_rtt_ns / 1_000,
            engine.data_dir.display()
        ));
    }
    let finished = boot::run(&engine, "run", "paper".to_owned(), inside, trust);
    tee.stop();
    let truth = running.stop();
    demo::conclude("run", settings, finished?, &truth)
}

/// A live key is of no use here, and what is of no use is not risked.
fn no_live_key(settings: &Settings) -> Result<(), BootError> {
    for at in &settings.key_files {
        let file = KeyFile::load(&at.file).map_err(|error| {
            let why = error.to_string();
            BootError { why, exit: error.into() }
        })?;
        if file.env == Env::Live {
            return Err(BootError {
                why: format!(
                    "{}: paper trading takes no live key; leave --key-file out, or trade with `live = true` and --live",
                    at.file.display()
                ),
                exit: Exit::Refused,
            });
        }
    }
    Ok(())
}
