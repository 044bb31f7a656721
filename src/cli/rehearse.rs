//! `contango rehearse`: sessions of trading under faults, in virtual time, judged after every step.
//!
//! Owns:  sessions on threads, the sum of their outcomes, the form of both answers, scripts of what broke.
//! Never: lets one session see another; counts a session that broke as lived through.
//! Map:   a session itself is `rehearse::session`.

use super::rehearse_cells::{Cells, coverage};
use super::{Exit, Settings, say};
use crate::rehearse::Plan;
use crate::rehearse::elsewhere::ELSEWHERE;
use crate::rehearse::faults::TABLE;
use crate::rehearse::session::{Coverage, Outcome, run, shrunk};
use ring::digest;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// Sessions that a failure may cost to make its script small.
const SHRINKING_RUNS: u32 = 120;
/// Failures that are told in full.
const TOLD_MAX: usize = 3;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    #[cfg(feature = "bugbank")]
    if let Some(bug) = &settings.bug
        && let Some(exit) = planted(bug)
    {
        return exit;
    }
    match plans(settings) {
        Ok(plans) => rehearse(settings, plans),
        Err(why) => {
            eprintln!("contango rehearse: {why}");
            Exit::Usage
        }
    }
}

/// Plants a bug; an exit: there is nothing more to do.
#[cfg(feature = "bugbank")]
fn planted(bug: &str) -> Option<Exit> {
    use crate::metal::bugs::{list, plant};
    if bug == "list" {
        let row = |(number, [name, place, keeps, what]): (u8, [&str; 4])| json!({"bug": number, "name": name, "place": place, "keeps": keeps, "what": what});
        say(&format!("{}\n", Value::Array(list().map(row).collect())));
        return Some(Exit::Done);
    }
    if bug.parse().is_ok_and(plant) {
        return None;
    }
    eprintln!("contango rehearse: no bug {bug}; `--bug list` tells them all");
    Some(Exit::Usage)
}

/// The sessions asked for: kept ones from files, cells of a list, or so many seeds in a row.
fn plans(settings: &Settings) -> Result<Plans, String> {
    if let Some(list) = settings.cells {
        return Ok(Plans::Cells(Cells::choose(list, settings.sessions, settings.seed)));
    }
    if settings.kept.is_empty() {
        return Ok(Plans::Drawn { first: settings.seed, count: settings.sessions });
    }
    let mut kept = Vec::new();
    for path in &settings.kept {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        kept.push(Plan::read(&text).map_err(wrong)?);
    }
    Ok(Plans::Kept(kept))
}

enum Plans {
    Drawn { first: u64, count: usize },
    Kept(Vec<Plan>),
    Cells(Cells),
}

impl Plans {
    fn len(&self) -> usize {
        match self {
            Self::Drawn { count, .. } => *count,
            Self::Kept(kept) => kept.len(),
            Self::Cells(cells) => cells.chosen.len(),
        }
    }

    /// The session; `fast`: its engine takes the short ways, if it is to take them at all.
    fn plan(&self, at: usize, fast: bool) -> Plan {
        let mut plan = match self {
            Self::Drawn { first, .. } => Plan::drawn(first.wrapping_add(at as u64)),
            Self::Kept(kept) => kept[at].clone(),
            Self::Cells(cells) => cells.chosen[at].plan(),
        };
        plan.setup.fast &= fast;
        plan
    }
}

fn rehearse(settings: &Settings, plans: Plans) -> Exit {
    let begun = Instant::now();
    let (outcomes, covered) = live_through(&plans, settings);
    let seconds = begun.elapsed().as_secs_f64();
    let sum = Sum::of(&outcomes);
    let (mut told, mut page) = (sum.to_json(), sum.describe(seconds, settings.jobs));
    told["coverage"] = coverage(&covered);
    told["elsewhere"] = ELSEWHERE.iter().map(|(fault, why)| json!({"fault": fault, "why": why})).collect();
    let mut unmet = 0;
    if let Plans::Cells(cells) = &plans {
        unmet = cells.unmet(&outcomes).count();
        told["cells"] = cells.to_json(&outcomes);
        page.push_str(&cells.describe(&outcomes));
    }
    say(&if settings.json { format!("{told}\n") } else { page });
    let failed: Vec<usize> = (0..outcomes.len()).filter(|at| outcomes[*at].broken.is_some()).collect();
    for at in failed.iter().take(TOLD_MAX) {
        tell(settings, &plans.plan(*at, settings.fast), &outcomes[*at]);
    }
    if failed.is_empty() && unmet == 0 { Exit::Done } else { Exit::Failed }
}

/// Every session, each on one of so many threads; or those up to the first that breaks, whatever the threads are.
fn live_through(plans: &Plans, settings: &Settings) -> (Vec<Outcome>, Coverage) {
    let &Settings { jobs, until_broken, fast, .. } = settings;
    let jobs = if jobs == 0 { thread::available_parallelism().map_or(1, usize::from) } else { jobs };
    let (next, end) = (AtomicUsize::new(0), AtomicUsize::new(plans.len()));
    let outcomes = Mutex::new((vec![Outcome::default(); plans.len()], Coverage::default()));
    thread::scope(|scope| {
        for _ in 0..jobs.min(plans.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    if at >= end.load(Relaxed) {
                        break;
                    }
                    let mut outcome = run(&plans.plan(at, fast));
                    if until_broken && outcome.broken.is_some() {
                        end.fetch_min(at + 1, Relaxed);
                    }
                    // Added up at once: hundreds of thousands of them would not fit.
                    let met = std::mem::take(&mut outcome.coverage);
                    if let Ok(mut all) = outcomes.lock() {
                        all.1.add(&met);
                        all.0[at] = outcome;
                    }
                }
            });
        }
    });
    let (mut outcomes, covered) = outcomes.into_inner().unwrap_or_default();
    outcomes.truncate(end.into_inner());
    (outcomes, covered)
}

/// What is wrong, what came before it, and how to see it again.
fn tell(settings: &Settings, plan: &Plan, outcome: &Outcome) {
    let Some((broken, step, last)) = &outcome.broken else { return };
    let mut page = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(page, "seed {} broke {broken}", outcome.seed);
    let _ = writeln!(
        page,
        "  build {} · step {step} · the last {} events:",
        env!("CARGO_PKG_VERSION"),
        last.len()
    );
    for line in last {
        let _ = writeln!(page, "  {line}");
    }
    // Told before the many sessions that make its script small.
    eprint!("{}", std::mem::take(&mut page));
    if settings.until_broken {
        return;
    }
    let small = shrunk(plan, broken.invariant, SHRINKING_RUNS);
    let name = if settings.cells.is_some() { "cell" } else { "rehearse" };
    let path = settings.out.join(format!("{name}-{}.jsonl", outcome.seed));
    let header =
        format!("# {broken}\n# {} of {} strikes are enough\n", small.strikes.len(), plan.strikes.len());
    let written =
        std::fs::create_dir_all(&settings.out).and_then(|()| std::fs::write(&path, header + &small.script()));
    let _ = writeln!(page, "seed {} broke {broken}", outcome.seed);
    match written {
        Ok(()) => {
            let _ = writeln!(
                page,
                "  {} of its {} strikes are enough: contango rehearse --kept {}",
                small.strikes.len(),
                plan.strikes.len(),
                path.display()
            );
        }
        Err(error) => {
            let _ = writeln!(page, "  its script could not be written to {}: {error}", path.display());
        }
    }
    if settings.cells.is_none() {
        let _ = writeln!(page, "  all of it again: contango rehearse --sessions 1 --seed {}", outcome.seed);
    }
    eprint!("{page}");
}

/// All sessions together.
struct Sum {
    sessions: usize,
    events: u64,
    turns: u64,
    simulated_ns: u64,
    orders: u64,
    round_trips: u64,
    unknown_outcomes: u64,
    crashes: u64,
    unhealed: u64,
    faults: Vec<(u64, u64)>,
    broken: Vec<(u64, String)>,
    hash: String,
}

impl Sum {
    fn of(outcomes: &[Outcome]) -> Self {
        let add = |what: fn(&Outcome) -> u64| outcomes.iter().map(what).sum();
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut faults = vec![(0, 0); TABLE.len()];
        for outcome in outcomes {
            hash.update(outcome.hash.as_bytes());
            for (sum, (injected, observed)) in faults.iter_mut().zip(&outcome.faults) {
                *sum = (sum.0 + injected, sum.1 + observed);
            }
        }
        let broken = outcomes.iter().filter_map(|it| Some((it.seed, it.broken.as_ref()?.0.to_string())));
        Self {
            sessions: outcomes.len(),
            events: add(|it| it.events),
            turns: add(|it| it.turns),
            simulated_ns: add(|it| it.simulated_ns),
            orders: add(|it| it.orders),
            round_trips: add(|it| it.round_trips),
            unknown_outcomes: add(|it| it.unknown_outcomes),
            crashes: add(|it| it.crashes),
            unhealed: add(|it| it.unhealed.into()),
            faults,
            broken: broken.collect(),
            hash: hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn hours(&self) -> String {
        let hundredths = self.simulated_ns / 36_000_000_000;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    fn to_json(&self) -> Value {
        let fault = |(it, (injected, observed)): (&crate::rehearse::faults::Injector, &(u64, u64))| {
            let told = json!({
                "injected": injected, "observed": observed, "what": it.what, "engine": it.sign.text(), "keeps": it.keeps,
            });
            (it.name.to_owned(), told)
        };
        let faults: Map<String, Value> = TABLE.iter().zip(&self.faults).map(fault).collect();
        let broken: Vec<Value> =
            self.broken.iter().map(|(seed, why)| json!({"seed": seed, "why": why})).collect();
        json!({
            "sessions": self.sessions, "events": self.events, "turns": self.turns,
            "simulated_hours": self.hours(), "orders": self.orders, "round_trips": self.round_trips,
            "unknown_outcomes": self.unknown_outcomes, "crashes": self.crashes, "unhealed": self.unhealed, "faults": faults,
            "invariants_broken": self.broken.len(), "broken": broken, "event_hash": self.hash,
        })
    }

    fn describe(&self, seconds: f64, jobs: usize) -> String {
        let mut page = String::new();
        let simulated_s = self.simulated_ns as f64 / 1e9;
        let sessions = self.sessions.max(1) as f64;
        // Writing to a String can't fail.
        let _ = writeln!(
            page,
            "{} sessions, {} simulated hours ({:.0} s each), {:.0} events a simulated second",
            self.sessions,
            self.hours(),
            simulated_s / sessions,
            self.events as f64 / simulated_s.max(1e-9)
        );
        let _ = writeln!(
            page,
            "{} events and {} turns in {seconds:.1} s with {jobs} jobs: {:.0} events a second, {:.0} simulated seconds a second",
            self.events,
            self.turns,
            self.events as f64 / seconds.max(1e-9),
            simulated_s / seconds.max(1e-9)
        );
        let _ = writeln!(
            page,
            "{} orders, {} round trips, {} unknown outcomes, {} crashes, {} sessions that could not heal: the venue stayed shut",
            self.orders, self.round_trips, self.unknown_outcomes, self.crashes, self.unhealed
        );
        let injected: u64 = self.faults.iter().map(|(injected, _)| injected).sum();
        let _ = writeln!(
            page,
            "{injected} faults, {:.0} a simulated hour",
            injected as f64 / simulated_s * 3600.0
        );
        for (it, (injected, observed)) in TABLE.iter().zip(&self.faults) {
            let _ =
                writeln!(page, "  {:<6} {injected:>7} injected {observed:>7} observed  {}", it.name, it.what);
        }
        for (seed, why) in &self.broken {
            let _ = writeln!(page, "broken: seed {seed}: {why}");
        }
        let _ = writeln!(page, "{} invariants broken, event hash {}", self.broken.len(), self.hash);
        page
    }
}
