//! Wire to wire: who has an order back at the server first, after a quote that crosses.
//!
//! Owns:  the plan's rounds, the participants' processes, and the samples: one line a trial, none left out.
//! Never: judges: `wire.py` does, from the samples.
//! Map:   `house` is the venue of one participant and stamps, `cert` what it is trusted by · participants of its own:
//!        `floor` (`wire floor KIND READY`), `bare` (`wire bare READY OUT`). `wire run PLAN` does the rounds.
//! Rounds: every participant lives through all of them and has its turn in each, in an order drawn from the seed; who is
//!        not on turn is stopped (SIGSTOP) and its venue stands still, so that nothing but one participant and the
//!        server runs. Starting each anew would cost more than all trials, and would measure cold programs.

mod bare;
mod cert;
mod floor;
mod house;

use contango::cli::hist;
use contango::units::Unix;
use hdrhistogram::Histogram;
use house::{House, Legs, ONE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

type Fault = Box<dyn Error>;

/// Between quiet quotes, µs: from, and how many more at most.
const PACE_US: (u64, u64) = (1_000, 2_000);
/// Between two trials of a turn.
const GAP: Duration = Duration::from_millis(40);
/// From being let run to the first trial.
const SETTLE: Duration = Duration::from_millis(250);
/// A leg that is not back within this is missing.
const LIMIT: Duration = Duration::from_millis(250);
/// How long a participant may take until it trades.
const START: Duration = Duration::from_secs(90);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["run", plan] => read(plan).and_then(|plan| run(&plan)),
        ["floor", kind, ready] => read(ready).and_then(|ready| floor::run(kind, &ready)),
        ["bare", ready, out] => read(ready).and_then(|ready| bare::run(&ready, Path::new(out))),
        _ => Err("wire run PLAN | wire floor KIND READY | wire bare READY OUT; wire.py does it all".into()),
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

/// One who takes part: a process, and the venue it trades at.
struct Player {
    name: String,
    house: House,
    process: Child,
    /// Whether the perp stands above.
    up: bool,
    next_quote: Instant,
    next_mark: Instant,
}

impl Drop for Player {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        self.signal(libc::SIGTERM);
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && matches!(self.process.try_wait(), Ok(None)) {
            self.house.serve();
        }
        // Whoever is left after that has no more to say.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Player {
    fn start(plan: &Value, out: &Path, ca: &Path, tls: &Arc<rustls::ServerConfig>) -> Result<Self, Fault> {
        let name = plan["name"].as_str().ok_or("a participant needs a name")?.to_owned();
        let plain = plan["plain"].as_bool().unwrap_or(false);
        let house = House::open((!plain).then(|| Arc::clone(tls)))?;
        let folder = out.join(&name);
        std::fs::create_dir_all(&folder)?;
        let mut at = house.addresses()?;
        let account = contango::sim::Config::default();
        let key_file = folder.join("key.toml");
        private(
            &key_file,
            &format!("env = \"test\"\nkey = \"{}\"\nsecret = \"{}\"\n", account.key, account.secret),
        )?;
        let mut endpoints = vec!["--ca".to_owned(), path(ca)];
        endpoints.extend(["--key-file".to_owned(), format!("binance={}", path(&key_file))]);
        for (door, url) in &at {
            let url = url.as_str().unwrap_or_default();
            endpoints.extend(["--endpoint".to_owned(), format!("binance.{door}={url}")]);
        }
        at.insert("key".into(), account.key.into());
        at.insert("secret".into(), account.secret.into());
        at.insert("key_file".into(), path(&key_file).into());
        let ready = folder.join("ready.json");
        std::fs::write(&ready, json!({"ca": path(ca), "venues": {"binance": at}}).to_string())?;

        let mut words = Vec::new();
        for word in plan["command"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match word {
                "{endpoints}" => words.append(&mut endpoints),
                word => words.push(word.replace("{ready}", &path(&ready)).replace("{out}", &path(&folder))),
            }
        }
        let cores = plan["cores"].as_str().ok_or("a participant needs cores")?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // SAFETY: between fork and exec only a plain system call is made. It has the kernel end the participant, stopped or
        // not, with this process, however that ends.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let process = command.spawn()?;
        let now = Instant::now();
        Ok(Self { name, house, process, up: false, next_quote: now, next_mark: now })
    }

    fn signal(&mut self, signal: i32) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // SAFETY: a plain system call; the process is our child and not waited for yet, so the number is its own.
            unsafe { libc::kill(self.process.id() as i32, signal) };
        }
    }

    fn quotes(&mut self, dice: &mut Dice, perp: bool) -> contango::sim::Fed {
        let tick = if perp { ONE / 10 } else { ONE / 100 };
        let base = if perp && self.up { 100_510 } else { 100_000 } * ONE;
        let bid = base + dice.below(10) as i64 * tick;
        let qty = 10 * ONE + dice.below(8_000) as i64 * ONE / 1_000;
        self.house.quote(usize::from(perp), bid, bid + tick, qty)
    }

    /// Quiet quotes for so long.
    fn quiet(&mut self, dice: &mut Dice, lasts: Duration) {
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            let now = Instant::now();
            if now >= self.next_mark {
                self.next_mark = now + Duration::from_secs(1);
                let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let settlements = clock.as_secs() / 28_800 + 1;
                let mark = contango::sim::Fed::Mark {
                    symbol: 1,
                    mark: 100_255 * ONE,
                    rate: Some(ONE / 10_000),
                    next_funding_ms: settlements * 28_800_000,
                };
                // A week and more of settlements; those that are known already change nothing.
                let settled = (1..=30).map(|n| contango::sim::Fed::Settled {
                    symbol: 1,
                    time_ms: (settlements - n) * 28_800_000,
                    rate: ONE / 10_000,
                });
                let fed: Vec<_> = settled.chain([mark]).collect();
                self.house.feed(&fed);
            }
            if now >= self.next_quote {
                self.next_quote = now + Duration::from_micros(PACE_US.0 + dice.below(PACE_US.1));
                let perp = dice.below(2) == 1;
                let quote = self.quotes(dice, perp);
                self.house.feed(&[quote]);
            } else {
                self.house.serve();
            }
        }
    }

    /// One trial: the perp crosses, up or back down.
    fn trial(&mut self, dice: &mut Dice) -> Legs {
        self.up = !self.up;
        let crossing = self.quotes(dice, true);
        let legs = self.house.trial(crossing, LIMIT);
        self.next_quote = Instant::now() + Duration::from_micros(PACE_US.0);
        legs
    }

    /// Waits until it trades both ways.
    fn arrive(&mut self, dice: &mut Dice) -> Result<(), Fault> {
        let (begun, mut well) = (Instant::now(), 0);
        while well < 6 {
            self.quiet(dice, GAP);
            well = if self.trial(dice).both().is_some() { well + 1 } else { 0 };
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("{} ended by itself ({status}); its folder has a log", self.name).into());
            }
            if begun.elapsed() > START {
                let truth = self.house.truth();
                return Err(format!("{} does not trade; refused: {}", self.name, truth["refused"]).into());
            }
            if well == 0 {
                self.quiet(dice, Duration::from_millis(300));
            }
        }
        Ok(())
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
        player.arrive(&mut dice)?;
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
        let (busy, ours, round_begun) = (machine()?, own(&players)?, Instant::now());
        for at in &order {
            let player = &mut players[*at];
            player.signal(libc::SIGCONT);
            player.quiet(&mut dice, SETTLE);
            for trial in 0..warm_up + trials {
                player.quiet(&mut dice, GAP);
                let entering = !player.up;
                let legs = player.trial(&mut dice);
                let ns = |leg: Option<Duration>| leg.map(|leg| leg.as_nanos() as u64);
                let line = json!({"round": round, "name": player.name, "warm_up": trial < warm_up,
                    "way": if entering { "in" } else { "out" }, "spot_ns": ns(legs.spot), "perp_ns": ns(legs.perp)});
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
        let (total, used) = (machine()?, own(&players)?);
        let others =
            (total.0 - busy.0).saturating_sub(used - ours) as f64 * 100.0 / (total.1 - busy.1).max(1) as f64;
        let names: Vec<&str> = order.iter().map(|at| players[*at].name.as_str()).collect();
        writeln!(
            file,
            "{}",
            json!({"round": round, "order": names, "others_pct": (others * 10.0).round() / 10.0})
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
fn own(players: &[Player]) -> Result<u64, Fault> {
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

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes a file that nobody else may read.
fn private(path: &Path, text: &str) -> Result<(), Fault> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
