//! Many settings over the same history: the grid, and all cores at work on it.
//!
//! Owns:  which settings `--sweep` may vary, the order of its runs, the threads, and the progress bar.
//! Never: computes a result by another way than a single run; the order of results is that of the grid,
//!        whatever thread finished first.

use super::super::settings::{Command, Setting, Settings};
use super::super::table::TABLE;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Runs of one sweep at most: more is a slip of the pen, and would not fit a page or a mind.
const RUNS_MAX: usize = 100_000;

/// Width of the progress bar, and how often it is drawn.
const BAR_CHARS: usize = 40;
const BAR_EVERY: Duration = Duration::from_millis(100);

/// One point of the grid.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// What was varied, such as `--hold 1d --kappa 0.5`; empty without a sweep.
    pub label: String,
    /// All settings there.
    pub settings: Settings,
}

/// Every point of the grid; the last `--sweep` varies fastest.
///
/// # Errors
///
/// What is wrong with a `--sweep`, for a person.
pub(super) fn grid(settings: &Settings) -> Result<Vec<Point>, String> {
    let mut points = vec![Point { label: String::new(), settings: settings.clone() }];
    for (place, (name, values)) in settings.sweeps.iter().enumerate() {
        let setting = can_vary().find(|setting| setting.name == name).ok_or_else(|| {
            let names: Vec<&str> = can_vary().map(|setting| setting.name).collect();
            format!("--sweep {name}: only these can be varied: {}", names.join(", "))
        })?;
        if settings.sweeps[..place].iter().any(|(before, _)| before == name) {
            return Err(format!("--sweep {name} is given twice; write all its values into one"));
        }
        if points.len() * values.len() > RUNS_MAX {
            return Err(format!("--sweep {name} makes it more than {RUNS_MAX} runs; try fewer values"));
        }
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| vary(point, setting, value)))
            .collect::<Result<_, _>>()?;
    }
    Ok(points)
}

/// What a trade is decided by and costs.
fn can_vary() -> impl Iterator<Item = &'static Setting> {
    let listed = |setting: &&Setting| {
        matches!(setting.section, "trade" | "costs") && setting.on.contains(&Command::Backtest)
    };
    TABLE.iter().filter(listed)
}

fn vary(point: &Point, setting: &Setting, value: &str) -> Result<Point, String> {
    let mut settings = point.settings.clone();
    (setting.set)(&mut settings, value).map_err(|why| format!("--sweep {}: {why}", setting.name))?;
    let space = if point.label.is_empty() { "" } else { " " };
    Ok(Point { label: format!("{}{space}--{} {value}", point.label, setting.name), settings })
}

/// Does every job on all cores and gives the results in the jobs' order. Shows how far it is on standard
/// error if a person is there to see it.
pub(super) fn on_all_cores<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs);
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<T>> = (0..jobs).map(|_| None).collect();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs || send.send((job, work(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut bar = Bar::new(jobs);
        loop {
            match receive.recv_timeout(BAR_EVERY) {
                Ok((job, result)) => {
                    results[job] = Some(result);
                    bar.done += 1;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            bar.draw();
        }
        bar.clear();
    });
    results.into_iter().flatten().collect()
}

/// A line on the terminal, overwritten as it grows; nothing where standard error is no terminal.
struct Bar {
    jobs: usize,
    done: usize,
    wanted: bool,
    drawn: Option<Instant>,
}

impl Bar {
    fn new(jobs: usize) -> Self {
        Self { jobs, done: 0, wanted: std::io::stderr().is_terminal(), drawn: None }
    }

    fn draw(&mut self) {
        if self.wanted && self.drawn.is_none_or(|at| at.elapsed() >= BAR_EVERY) {
            self.drawn = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r{}", self.line());
        }
    }

    fn line(&self) -> String {
        let full = BAR_CHARS * self.done / self.jobs.max(1);
        format!("[{:<BAR_CHARS$}] {} of {} runs", "#".repeat(full), self.done, self.jobs)
    }

    fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;

    fn sweeps(given: &[(&str, &str)]) -> Result<Vec<Point>, String> {
        let sweeps = given
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.split(',').map(str::to_owned).collect()))
            .collect();
        grid(&Settings { sweeps, ..Settings::default() })
    }

    #[test]
    fn the_grid_holds_every_combination_in_order() {
        let points = sweeps(&[("min-net-apr", "5%,off"), ("kappa", "0,0.5,1")]).unwrap();
        let labels: Vec<&str> = points.iter().map(|point| point.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "--min-net-apr 5% --kappa 0",
                "--min-net-apr 5% --kappa 0.5",
                "--min-net-apr 5% --kappa 1",
                "--min-net-apr off --kappa 0",
                "--min-net-apr off --kappa 0.5",
                "--min-net-apr off --kappa 1",
            ]
        );
        assert_eq!(points[1].settings.kappa, Rate(500_000_000_000_000_000));
        assert_eq!(points[1].settings.min_net_apr, Some(Rate(50_000_000_000_000_000)));
        assert_eq!(points[5].settings.min_net_apr, None);
        assert_eq!(sweeps(&[]).unwrap().len(), 1, "one run without a sweep");
    }

    #[test]
    fn what_cannot_be_swept_is_told() {
        let refused = |given: &[(&str, &str)], said: &str| {
            let error = sweeps(given).unwrap_err();
            assert!(error.contains(said), "{error}");
        };
        refused(&[("live", "on")], "only these can be varied: ");
        refused(&[("hold", "7")], "--sweep hold: ");
        refused(&[("hold", "1d"), ("hold", "2d")], "twice");
        let many = vec!["1d"; 400].join(",");
        let few = vec!["1%"; 400].join(",");
        refused(&[("hold", &many), ("min-net-apr", &few)], "100000");
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let results = on_all_cores(1_000, |job| {
            std::thread::sleep(Duration::from_micros((1_000 - job as u64) / 8));
            job * 3
        });
        assert_eq!(results, (0..1_000).map(|job| job * 3).collect::<Vec<_>>());
        assert!(on_all_cores(0, |job| job).is_empty());
    }

    #[test]
    fn the_bar_grows_with_what_is_done() {
        let bar = |done| Bar { jobs: 80, done, wanted: false, drawn: None }.line();
        assert_eq!(bar(0), format!("[{}] 0 of 80 runs", " ".repeat(40)));
        assert_eq!(bar(20), format!("[{}{}] 20 of 80 runs", "#".repeat(10), " ".repeat(30)));
        assert_eq!(bar(80), format!("[{}] 80 of 80 runs", "#".repeat(40)));
    }
}
