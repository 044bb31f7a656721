//! Wire to wire: who has an order back at the server first, after a quote that crosses.
//!
//! Owns:  the plan's rounds, and the samples: one line a trial, none left out.
//! Never: judges: `wire.py` does, from the samples.
//! Map:   `player` is a participant's process and market, `house` its venue, which stamps, `cert` what that is trusted by ·
//!        participants of its own:
//!        `floor` (`wire floor KIND READY`), `bare` (`wire bare READY OUT`). `wire run PLAN` does the rounds. Apart:
//!        `inproc` (`wire inproc [QUOTES]`), which measures in one process.
//! Rounds: every participant lives through all of them and has its turn in each, in an order drawn from the seed; who is
//!        not on turn is stopped (SIGSTOP) and its venue stands still, so that nothing but one participant and the
//!        server runs; between two turns those who have been stopped for long are let run for a moment each. Starting
//!        each anew would cost more than all trials, and would measure cold programs.

mod bare;
mod cert;
mod floor;
mod house;
mod inproc;
mod player;

use contango::cli::hist;
use contango::metal::alloc::Counting;
use contango::units::Unix;
use hdrhistogram::Histogram;
use player::Player;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// For `inproc`; elsewhere nobody is watched.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Fault = Box<dyn Error>;

/// Between two trials of a turn.
const GAP: Duration = Duration::from_millis(40);
/// From being let run to the first trial.
const SETTLE: Duration = Duration::from_millis(250);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["run", plan] => read(plan).and_then(|plan| run(&plan)),
        ["floor", kind, ready] => read(ready).and_then(|ready| floor::run(kind, &ready)),
        ["bare", ready, out] => read(ready).and_then(|ready| bare::run(&ready, Path::new(out))),
        ["inproc", ref quotes @ ..] => inproc::run(quotes),
        _ => Err("wire run PLAN | wire floor KIND READY | wire bare READY OUT; wire.py does these | wire inproc [QUOTES]".into()),
    };
    if let Err(error) = done {
        eprintln!("wire: {error}");
        std::process::exit(2);
    }
}

fn read(path: &str) -> Result<Value, Fault> {
    Ok(serde_json::from_slice(&std::fs::read(path).map_err(|error| format!("{path}: {error}"))?)?)
}

/// xorshift: the order of turns and the pace of quotes need no more, and the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn run(plan: &Value) -> Result<(), Fault> {
    let number = |name: &str| plan[name].as_u64().ok_or(format!("the plan has no {name}"));
    let (rounds, trials, warm_up) = (number("rounds")?, number("trials")?, number("warm_up")?);
    let mut dice = Dice(number("seed")? | 1 << 40);
    let out = PathBuf::from(plan["out"].as_str().ok_or("the plan has no out")?);
    std::fs::create_dir_all(&out)?;
    let id = number("box_core")? as usize;
    if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
        return Err(format!("the server cannot be pinned to core {id}").into());
    }
    let (pem, tls) = cert::authority()?;
    let ca = out.join("ca.pem");
    std::fs::write(&ca, pem)?;
    let mut players = Vec::new();
    for it in plan["participants"].as_array().into_iter().flatten() {
        let mut player = Player::start(it, &out, &ca, &tls)?;
        let begun = Instant::now();
        player.arrive(&mut players, &mut dice, id)?;
        eprintln!("{} trades after {:.1} s", player.name, begun.elapsed().as_secs_f64());
        player.signal(libc::SIGSTOP);
        players.push(player);
    }
    let (begun, started) = (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?);
    let mut taken: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    let mut file = BufWriter::new(File::create(out.join("samples.jsonl"))?);
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..players.len()).collect();
        (1..order.len()).rev().for_each(|i| order.swap(i, dice.below(i as u64 + 1) as usize));
        let (busy, ours, round_begun) = (machine()?, own(&mut players)?, Instant::now());
        for at in &order {
            players.iter_mut().for_each(|player| player.breathe(&mut dice));
            let player = &mut players[*at];
            player.signal(libc::SIGCONT);
            player.all(&mut dice);
            player.quiet(&mut dice, SETTLE);
            for trial in 0..warm_up + trials {
                player.quiet(&mut dice, GAP);
                let entering = !player.up;
                let waited = player.kept_waiting()?;
                let legs = player.measured(&mut dice);
                let waited = player.kept_waiting()? - waited;
                let ns = |leg: Option<Duration>| leg.map(|leg| leg.as_nanos() as u64);
                let line = json!({"round": round, "name": player.name, "warm_up": trial < warm_up,
                    "way": if entering { "in" } else { "out" }, "spot_ns": ns(legs.spot), "perp_ns": ns(legs.perp),
                    "early": legs.early, "lasted_us": legs.lasted.as_micros() as u64, "kept_waiting_ns": waited});
                writeln!(file, "{line}")?;
                // Missing legs are in no histogram: the samples and the record count them.
                if let Some((first, second)) = legs.both().filter(|_| trial >= warm_up) {
                    for (leg, took) in [("leg1", first), ("leg2", second)] {
                        let stage = format!("{}/{leg}", player.name);
                        let histogram = match taken.entry(stage) {
                            Entry::Occupied(it) => it.into_mut(),
                            Entry::Vacant(it) => it.insert(Histogram::new(3)?),
                        };
                        histogram.record(took.as_nanos() as u64)?;
                    }
                }
            }
            player.quiet(&mut dice, GAP);
            player.signal(libc::SIGSTOP);
            if let Some(status) = player.process.try_wait()? {
                return Err(format!("{} ended in round {round} ({status})", player.name).into());
            }
        }
        let (total, used) = (machine()?, own(&mut players)?);
        let others =
            (total.0 - busy.0).saturating_sub(used - ours) as f64 * 100.0 / (total.1 - busy.1).max(1) as f64;
        let fed: BTreeMap<String, u64> =
            players.iter_mut().map(|player| (player.name.clone(), player.fed.take_rate())).collect();
        let names: Vec<&str> = order.iter().map(|at| players[*at].name.as_str()).collect();
        writeln!(
            file,
            "{}",
            json!({"round": round, "order": names, "others_pct": (others * 10.0).round() / 10.0, "fed_per_s": fed})
        )?;
        eprintln!(
            "round {} of {rounds}: {:.1} s, others {others:.1} %",
            round + 1,
            round_begun.elapsed().as_secs_f64()
        );
    }
    file.flush()?;
    let named: Vec<(&str, &Histogram<u64>)> = taken.iter().map(|(name, it)| (name.as_str(), it)).collect();
    let lasted = begun.elapsed().as_nanos() as u64;
    std::fs::write(out.join("latency.hlog"), hist::hlog(&named, Unix(started.as_nanos() as i64), lasted)?)?;
    for player in &mut players {
        std::fs::write(out.join(&player.name).join("truth.json"), player.house.truth().to_string())?;
    }
    Ok(())
}

/// Busy and total ticks of all cores.
fn machine() -> Result<(u64, u64), Fault> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let total: u64 = ticks.iter().sum();
    // Idle and waiting for a disk are the fourth and fifth.
    Ok((total - ticks.iter().skip(3).take(2).sum::<u64>(), total))
}

/// Ticks this process and the participants have used.
fn own(players: &mut [Player]) -> Result<u64, Fault> {
    for player in &mut *players {
        if let Some(status) = player.process.try_wait()? {
            return Err(format!("{} ended while it was not its turn ({status})", player.name).into());
        }
    }
    let ids = players.iter().map(|player| player.process.id()).chain([std::process::id()]);
    let mut sum = 0;
    for id in ids {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // Behind the name, which may hold anything: user and system time are the 12th and 13th.
        let rest = text.rsplit(')').next().unwrap_or_default();
        sum += rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(sum)
}
