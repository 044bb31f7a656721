//! `contango sim`: the exchange in a box, alone, as a process of its own.
//!
//! Owns:  its start, the one line it prints when ready, its end.
//! Never: shares anything with the engine but this process's command line.

use super::boot::BootError;
use super::{Exit, Settings, say};
use crate::metal::latch::{Latch, stop_on_signals};
use crate::venue::KeyKind;
use crate::{sim, simnet};
use std::time::{Duration, Instant};

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("contango sim: {}", error.why);
            error.exit
        }
    }
}

/// The box's configuration from the settings.
pub(super) fn config(settings: &Settings) -> Result<sim::Config, BootError> {
    let source = if settings.tapes.is_empty() {
        sim::Source::Synthetic
    } else {
        sim::Source::Tape(simnet::read_tape(&settings.tapes).map_err(BootError::usage)?)
    };
    let script = settings.script.as_deref().map(simnet::read_script).transpose().map_err(BootError::usage)?;
    Ok(sim::Config {
        seed: settings.seed,
        source,
        clock_offset_ns: settings.clock_offset_ns,
        settle_in_ns: settings.settle_in_ns,
        spot_orders_10s: settings.spot_order_limit,
        ticks_per_s: settings.ticks_per_s,
        leverage: settings.leverage,
        secret: secret(settings),
        more_coins: settings.coins.saturating_sub(12),
        script: script.unwrap_or_default(),
        ..sim::Config::default()
    })
}

/// What the holder of the box's account signs with.
pub(super) fn secret(settings: &Settings) -> String {
    let wanted = if settings.sbe { KeyKind::Ed25519 } else { KeyKind::Hmac };
    match settings.box_key.unwrap_or(wanted) {
        KeyKind::Hmac => sim::Config::default().secret,
        KeyKind::Ed25519 => sim::Config::ED25519.to_owned(),
    }
}

/// What a summary calls the box's market.
pub(super) fn market(settings: &Settings) -> String {
    match settings.tapes.first() {
        None => "synthetic".to_owned(),
        Some(tape) => format!(
            "tape:{}",
            tape.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        ),
    }
}

fn run(settings: &Settings) -> Result<(), BootError> {
    let stop = Latch::new();
    stop_on_signals(&stop).map_err(BootError::failed)?;
    if settings.listen_port.is_some_and(|port| port != 0) {
        return Err(BootError::usage(
            "the box has many ports: give --listen the address alone, such as 127.0.0.1",
        ));
    }
    let mut stood_for = settings
        .venues
        .iter()
        .filter_map(|open| sim::Venue::ALL.into_iter().find(|venue| venue.name() == open.name));
    let venue = stood_for.next().unwrap_or(sim::Venue::Binance);
    let running = simnet::start(simnet::Settings {
        box_config: sim::Config { venue, ..config(settings)? },
        beside: stood_for.collect(),
        listen: settings.listen,
        out: Some(settings.out.clone()),
        core: settings.cores.first().copied(),
    })
    .map_err(BootError::failed)?;
    if settings.json {
        say(&format!("{}\n", running.ready.to_json()));
    } else {
        say(&describe(&running.ready));
    }
    let started = Instant::now();
    let limit = settings.run_for_ns.map(Duration::from_nanos);
    while !stop.is_set() && limit.is_none_or(|limit| started.elapsed() < limit) {
        std::thread::sleep(Duration::from_millis(20));
    }
    for (at, (venue, truth)) in running.stop_each().into_iter().enumerate() {
        // The first is what checkers look for; those beside it are told apart by name.
        let name = if at == 0 { "truth.json".to_owned() } else { format!("truth-{}.json", venue.name()) };
        let path = settings.out.join(name);
        std::fs::write(&path, format!("{truth}\n"))
            .map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// What a person reads: where everything is, and how to point something at it.
fn describe(ready: &simnet::Ready) -> String {
    let mut page = String::from("the exchange in a box is open\n");
    for (venue, at) in ready.venues.as_object().into_iter().flatten() {
        for (name, value) in at.as_object().into_iter().flatten() {
            if let Some(text) = value.as_str().filter(|_| name != "secret") {
                page.push_str(&format!("  {venue}.{name:<12} {text}\n"));
            }
        }
    }
    page.push_str(&format!("  certificate authority  {}\n", ready.ca_path.display()));
    page.push_str(&format!("  control (GET /truth, POST /fault)  {}\n", ready.control));
    page.push_str("Ctrl-C ends it.\n");
    page
}
