//! `contango demo`: the real engine against the exchange in a box, in one process, on real sockets.
//!
//! Owns:  starting the box beside the engine, and adding the box's truth to the summary.
//! Never: lets the engine see the truth: it is asked for after the engine has ended.

use super::boot::{self, BootError, Finished};
use super::report::Exposure;
use super::settings::{EndpointAt, KeyFileAt};
use super::{Exit, Settings, say, sim, store, threads};
use crate::metal::intents;
use crate::simnet;
use crate::store::segments;
use crate::units::Amount;
use serde_json::Value;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("contango demo: {}", error.why);
            error.exit
        }
    }
}

fn run(settings: &Settings) -> Result<Exit, BootError> {
    std::fs::create_dir_all(&settings.out)
        .map_err(|error| BootError::usage(format!("--out {}: {error}", settings.out.display())))?;
    let core = threads::rest_core(settings);
    let running = simnet::start(simnet::Settings {
        box_config: sim::config(settings)?,
        beside: Vec::new(),
        listen: settings.listen,
        out: Some(settings.out.join("box")),
        core,
    })
    .map_err(BootError::failed)?;

    let mut engine = settings.clone();
    engine.live = true;
    engine.data_dir = settings.out.join("journal");
    forget_last(&engine)?;
    engine.ca = Some(running.ready.ca_path.clone());
    point_at(&mut engine, &running.ready.venues);
    let target = boot::target(&engine, boot::venue())?;
    let trust = boot::trust(&engine)?;
    if !settings.json {
        say(&format!(
            "the engine trades against an exchange in a box on this machine ({}); κ {}, hold {} h\n",
            sim::market(settings),
            crate::units::decimal::short(i128::from(settings.kappa.0), crate::units::Rate::SCALE),
            settings.hold_ns / (3_600 * crate::units::time::SEC),
        ));
    }
    let finished = boot::run(&engine, "demo", sim::market(settings), target, trust);
    let truth = running.stop();
    conclude("demo", settings, finished?, &truth)
}

/// The box of the last run is gone, and its money with it: its journal tells nothing about this one. The epoch stays,
/// so that no client order id is ever used twice.
pub(super) fn forget_last(engine: &Settings) -> Result<(), BootError> {
    let failed = |error: std::io::Error| BootError::failed(format!("{}: {error}", engine.data_dir.display()));
    std::fs::create_dir_all(&engine.data_dir).map_err(failed)?;
    let mut old = vec![intents::path_for(&engine.data_dir, engine.instance).map_err(failed)?];
    for entry in std::fs::read_dir(&engine.data_dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let ours = name.is_some_and(|name| segments::is_journal(engine.instance, name));
        old.extend(ours.then_some(path));
    }
    old.push(engine.data_dir.join(store::projection_name(engine.instance)));
    for old in old {
        match std::fs::remove_file(&old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BootError::failed(format!("{}: {error}", old.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the box's truth and the summary with it, and prints what the run came to.
pub(super) fn conclude(
    command: &str,
    settings: &Settings,
    mut finished: Finished,
    truth: &Value,
) -> Result<Exit, BootError> {
    let path = settings.out.join("truth.json");
    std::fs::write(&path, format!("{truth}\n"))
        .map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
    let differences = add_truth(&mut finished, truth);

    let json = finished.summary.json();
    let path = settings.out.join("summary.json");
    std::fs::write(&path, format!("{json}\n"))
        .map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
    if settings.json {
        say(&format!("{json}\n"));
    } else {
        say(&finished.summary.text());
    }
    for difference in &differences {
        eprintln!("contango {command}: {difference}");
    }
    if let Some(why) = &finished.why {
        eprintln!("contango {command}: {why}");
    }
    let clean = finished.exit == Exit::Done && !differences.is_empty();
    Ok(if clean { Exit::Failed } else { finished.exit })
}

/// Points every endpoint and the key at the box.
pub(super) fn point_at(engine: &mut Settings, venues: &Value) {
    for (venue, at) in venues.as_object().into_iter().flatten() {
        for (name, value) in at.as_object().into_iter().flatten() {
            let Some(text) = value.as_str() else { continue };
            if name == "key_file" {
                engine.key_files.push(KeyFileAt { venue: venue.clone(), file: text.into() });
            } else if text.contains("://") {
                engine.endpoints.push(EndpointAt {
                    venue: venue.clone(),
                    name: name.clone(),
                    url: text.to_owned(),
                });
            }
        }
    }
}

/// Adds what only the box knows, and names every difference between its truth and our books.
fn add_truth(finished: &mut Finished, truth: &Value) -> Vec<String> {
    let summary = &mut finished.summary;
    let mut differences = Vec::new();
    let fills = truth["fills"].as_array().map(|fills| fills.len() as u64);
    summary.fills_venue = fills;
    match fills {
        Some(n) if n != summary.fills_booked => {
            differences.push(format!("the venue made {n} fills and {} are booked", summary.fills_booked));
        }
        Some(_) => {}
        None => differences.push("the box told no truth; its thread may have died".to_owned()),
    }
    let naked = &truth["naked"];
    let now = naked["now"].as_array().map_or(0, Vec::len) as u64;
    if now > 0 {
        differences.push(format!("naked at the end: {}", naked["now"]));
    }
    summary.exposure = Some(Exposure {
        naked_now: now,
        naked_ms_max: rounded_up(&naked["ms_max"], 1),
        naked_ms_p99: rounded_up(&naked["ms_p99"], 1),
        naked_us_p50: rounded_up(&naked["ms_p50"], 1_000),
        naked_us_p99: rounded_up(&naked["ms_p99"], 1_000),
    });
    let amount = |value: &Value| Amount::parse(value.as_str()?.as_bytes()).ok();
    summary.equity = amount(&truth["equity"]["start"]).zip(amount(&truth["equity"]["end"]));
    for bucket in &mut summary.budget {
        let market = if bucket.lane.ends_with("spot") { "spot" } else { "usdm" };
        bucket.venue_peak = truth["budget"][market][bucket.name.as_str()]["peak"].as_u64();
    }
    for (name, n) in truth["faults"].as_object().into_iter().flatten() {
        summary.faults.push((name.clone(), n.as_u64().unwrap_or_default()));
    }
    differences
}

/// A decimal text of milliseconds in units of 1/`per_ms` ms, rounded up.
fn rounded_up(value: &Value, per_ms: i128) -> u64 {
    let ms = value.as_str().and_then(|text| Amount::parse(text.as_bytes()).ok()).unwrap_or_default();
    let one = 10i128.pow(u32::from(Amount::SCALE));
    u64::try_from((ms.0 * per_ms + one - 1) / one).unwrap_or_default()
}
