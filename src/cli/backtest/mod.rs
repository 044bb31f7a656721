//! `contango backtest`: the rules of the engine over history, for one setting or a grid of them.
//!
//! Owns:  the command: settings to [`Setup`], every history at every point of the grid, what is written where.
//! Never: decides about a trade; `carry::backtest` does, by the rules a live engine uses.
//! Map:   `history` CSV in · `sweep` the grid and the cores · `report` text, JSON, CSV · `page` HTML ·
//!        `tape` recorded quotes instead of history.

mod history;
mod page;
mod report;
mod sweep;
mod tape;

use super::boot;
use super::{Exit, Settings, say};
use crate::carry::backtest::{self, Setup};
use crate::carry::round_trip::Terms;
use history::Series;
use report::Run;
use std::path::Path;
use std::time::Instant;
use sweep::Point;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    let outcome = if settings.tapes.is_empty() { over_history(settings) } else { tape::act(settings) };
    match outcome {
        Ok(()) => Exit::Done,
        Err((exit, why)) => {
            eprintln!("contango backtest: {why}");
            exit
        }
    }
}

/// Why it can't be done, and the exit code.
type Trouble = (Exit, String);

fn usage(why: impl ToString) -> Trouble {
    (Exit::Usage, why.to_string())
}

fn failed(why: impl ToString) -> Trouble {
    (Exit::Failed, why.to_string())
}

fn over_history(settings: &Settings) -> Result<(), Trouble> {
    if settings.histories.is_empty() {
        return Err(usage(
            "nothing to run over; name a CSV with --history FILE, or recordings with --tape FILE",
        ));
    }
    let started = Instant::now();
    let series: Vec<Series> =
        settings.histories.iter().map(|path| history::read(path)).collect::<Result<_, _>>().map_err(usage)?;
    let points = sweep::grid(settings).map_err(usage)?;
    let swept = points.len() > 1;
    let jobs = series.len() * points.len();
    let runs = sweep::on_all_cores(jobs, |job| {
        let run = run(&series[job / points.len()], &points[job % points.len()]);
        run.map(|run| if swept { run.without_equity() } else { run })
    });
    let runs: Vec<Run> = runs.into_iter().collect::<Result<_, _>>()?;
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(path) = &settings.csv {
        write(path, &report::csv(&runs, swept))?;
    }
    if let Some(path) = &settings.html {
        let plotted: Vec<Run> = if swept { best_of_each(&series, &points, &runs)? } else { runs.clone() };
        write(path, &page::html(&runs, &plotted))?;
    }
    if settings.json {
        say(&format!("{}\n", report::json(&runs, swept, elapsed_ms)));
    } else {
        say(&report::text(&runs, swept, elapsed_ms));
    }
    Ok(())
}

fn run(series: &Series, point: &Point) -> Result<Run, Trouble> {
    let settings = &point.settings;
    let outcome = backtest::run(&series.rows, &setup(settings))
        .map_err(|error| failed(format!("{}: {error}", series.name)))?;
    Ok(Run::new(series.name.clone(), point.label.clone(), settings.clip_usdt, outcome))
}

/// The best run of each history once more, this time with its equity.
fn best_of_each(series: &[Series], points: &[Point], runs: &[Run]) -> Result<Vec<Run>, Trouble> {
    let best = |runs: &[Run]| (0..runs.len()).max_by_key(|&at| runs[at].split.total()).unwrap_or(0);
    let of_each = series.iter().zip(runs.chunks(points.len()));
    of_each.map(|(series, runs)| run(series, &points[best(runs)])).collect()
}

fn setup(settings: &Settings) -> Setup {
    Setup {
        policy: boot::policy(settings),
        terms: Terms { fees: settings.assumed_fees, slippage: settings.slippage },
        clip: settings.clip_usdt,
        directions: settings.directions.allowed(),
        leave: settings.leave,
    }
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    std::fs::write(path, text).map_err(|error| failed(format!("{}: {error}", path.display())))
}
