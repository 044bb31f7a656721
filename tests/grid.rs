//! The crash grid of FAULTS 7.5, whole or in part: every cell that can be is lived through, every other one is named.
//!
//! ```text
//! cargo test --features crashpoints --test grid -- [--every N] [--from N] [--point K7] [--kind kill|power]
//!                                                  [--cell NAME] [--jobs N] [--json FILE]
//! ```
//!
//! Prints a table of points and the cells ruled out with their reasons; the same cells give the same event hash. Exit
//! code: 0 if every cell asked for held, 1 if not, 2 for wrong usage.

use contango::rehearse::session::grid::{Cell, Kind, Ran, Scenes, all, run};
use ring::digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Cells that are told in full when they break.
const TOLD_MAX: usize = 5;

struct Options {
    every: usize,
    from: usize,
    point: Option<String>,
    kind: Option<Kind>,
    cell: Option<String>,
    jobs: usize,
    json: Option<String>,
}

fn options() -> Result<Options, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { every: 1, from: 0, point: None, kind: None, cell: None, jobs, json: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number =
            || value.parse::<usize>().map_err(|_| format!("{word} {value}: a whole number is needed"));
        match word.as_str() {
            "--every" => options.every = number()?.max(1),
            "--from" => options.from = number()?,
            "--jobs" => options.jobs = number()?.max(1),
            "--point" => options.point = Some(value),
            "--cell" => options.cell = Some(value),
            "--json" => options.json = Some(value),
            "--kind" => {
                options.kind = Some(match value.as_str() {
                    "kill" => Kind::Process,
                    "power" => Kind::Power,
                    _ => return Err(format!("--kind {value}: kill or power")),
                });
            }
            _ => return Err(format!("{word} is none of --every --from --point --kind --cell --jobs --json")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    match options().and_then(|options| grid(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("grid: {why}");
            ExitCode::from(2)
        }
    }
}

fn grid(options: &Options) -> Result<bool, String> {
    let begun = Instant::now();
    let scenes = Scenes::look()?;
    let cells = all();
    let wanted: Vec<&Cell> =
        cells.iter().filter(|(_, against)| against.is_none()).map(|(cell, _)| cell).collect();
    let applicable = wanted.len();
    let asked = |cell: &&&Cell| {
        options.kind.is_none_or(|kind| kind == cell.kind)
            && options.point.as_ref().is_none_or(|point| point == cell.place.name)
            && options.cell.as_ref().is_none_or(|name| *name == cell.to_string())
    };
    let wanted: Vec<&Cell> =
        wanted.iter().filter(asked).skip(options.from).step_by(options.every).copied().collect();
    if wanted.is_empty() {
        return Err("no cell of that name, or it is ruled out".to_owned());
    }
    let ran = live_through(&scenes, &wanted, options.jobs);
    let broken: Vec<(&Cell, &Ran)> =
        wanted.iter().copied().zip(&ran).filter(|(_, ran)| ran.broken.is_some()).collect();

    println!("point    cells  held  withheld  slowest recovery");
    let mut rows = Vec::new();
    let mut points: BTreeMap<(usize, String), (usize, usize, usize, u64)> = BTreeMap::new();
    for (at, (cell, ran)) in wanted.iter().zip(&ran).enumerate() {
        let name = cell.place.to_string();
        let key = points.keys().find(|(_, known)| *known == name).cloned().unwrap_or((at, name));
        let row = points.entry(key).or_default();
        row.0 += 1;
        row.1 += usize::from(ran.broken.is_none());
        row.2 += usize::from(ran.broken.is_none() && ran.healed_ns.is_none());
        row.3 = row.3.max(ran.healed_ns.unwrap_or(0));
    }
    let mut withheld = 0;
    for ((_, name), (cells, held, of_it, healed_ns)) in &points {
        withheld += of_it;
        let healed_s = healed_ns / 1_000_000_000;
        println!("{name:<8} {cells:>5} {held:>5} {of_it:>9}  {healed_s:>3} s");
        rows.push(
            json!({"point": name, "cells": cells, "held": held, "withheld": of_it, "healed_s_max": healed_s}),
        );
    }
    let mut against: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for (cell, why) in cells.iter().filter_map(|(cell, why)| Some((cell, (*why)?))) {
        let row = against.entry(why).or_default();
        row.0 += 1;
        if !row.1.iter().any(|name| name == cell.place.name) {
            row.1.push(cell.place.name.to_owned());
        }
    }
    println!("ruled out:");
    for (why, (count, at)) in &against {
        println!("{count:>7}  {why} ({})", at.join(" "));
    }
    for (cell, ran) in &broken {
        if let Some((broken, _)) = &ran.broken {
            println!("broken: {cell}: {broken}");
        }
    }
    for (cell, ran) in broken.iter().take(TOLD_MAX) {
        if let Some((broken, last)) = &ran.broken {
            eprintln!("{cell} broke {broken}; the last {} events:", last.len());
            last.iter().for_each(|line| eprintln!("  {line}"));
            eprintln!("  again: cargo test --features crashpoints --test grid -- --cell {cell}");
        }
    }
    let simulated_s = ran.iter().map(|ran| ran.simulated_ns).sum::<u64>() / 1_000_000_000;
    let events: u64 = ran.iter().map(|ran| ran.events).sum();
    let mut hash = digest::Context::new(&digest::SHA256);
    ran.iter().for_each(|ran| hash.update(ran.hash.as_bytes()));
    let hash: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let ruled_out = cells.len() - applicable;
    println!(
        "{} of {applicable} applicable cells run, {} held ({withheld} of them with an order left to a person that the venue \
         has forgotten), {} broke; {ruled_out} ruled out; {simulated_s} simulated seconds, {events} events in {:.0} s, event hash {hash}",
        wanted.len(),
        wanted.len() - broken.len(),
        broken.len(),
        begun.elapsed().as_secs_f64()
    );
    if let Some(path) = &options.json {
        let whole = json!({
            "cells": {"all": cells.len(), "applicable": applicable, "run": wanted.len(), "held": wanted.len() - broken.len(), "withheld": withheld},
            "points": rows,
            "ruled_out": against.iter().map(|(why, (count, at))| json!({"why": why, "cells": count, "points": at})).collect::<Vec<_>>(),
            "broken": broken.iter().filter_map(|(cell, ran)| Some(json!({"cell": cell.to_string(), "why": ran.broken.as_ref()?.0.to_string()}))).collect::<Vec<_>>(),
            "simulated_s": simulated_s, "events": events, "event_hash": hash,
        });
        std::fs::write(path, format!("{whole}\n")).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(broken.is_empty())
}

/// Every cell, each on one of so many threads.
fn live_through(scenes: &Scenes, cells: &[&Cell], jobs: usize) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(vec![Ran::default(); cells.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((at, cell)) =
                    Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, cells.get(at)?)))
                {
                    let ran = run(scenes, cell);
                    all.lock().unwrap_or_else(PoisonError::into_inner)[at] = ran;
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
