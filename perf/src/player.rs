//! One participant: its process, and the market it is shown.
//!
//! Owns:  starting it with what it needs to find its venue, stopping it, quiet quotes, marks, and the quote that crosses.
//! Never: looks at the clock between a trial's two stamps (the house does), or lets a participant outlive the bench.

use super::house::{House, Legs, ONE};
use super::{Dice, Fault, GAP};
use contango::sim::Config;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Between quiet quotes, µs: from, and how many more at most.
const PACE_US: (u64, u64) = (1_000, 2_000);
/// Quotes that are told together at most, where so many a second are wanted.
const BATCH: u64 = 64;
/// A leg that is not back within this is missing.
const LIMIT: Duration = Duration::from_millis(250);
/// Quotes of a burst that are written together.
const STEP: u64 = 20;
/// In a burst that ends as it began, every so manieth batch crosses and comes back, and the last one.
const CROSSES_EVERY: usize = 50;
/// An order is waited for so long after a burst that nothing may act on.
const NOTHING: Duration = Duration::from_millis(20);
/// How long a participant may take until it trades, and how much longer for each pair: what the account pays for a perp
/// has a weight of 20, and a budget lets an engine ask that for some 70 perps a minute.
const START: Duration = Duration::from_secs(90);
const START_EACH: Duration = Duration::from_secs(1);

/// Who has been stopped for so long is let run for a breath: on a socket that is silent for longer, everybody gives up, and
/// one with many pairs reads its whole account anew then, for minutes.
const HELD: Duration = Duration::from_secs(3);
const BREATH: Duration = Duration::from_millis(60);
/// Seconds from one settlement to the next.
const FUNDING_S: u64 = 28_800;

/// One who takes part: a process, and the venue it trades at.
pub struct Player {
    pub name: String,
    pub house: House,
    pub process: Child,
    /// Of its threads that may use the server's core not at all: where the kernel tells how long they were kept waiting.
    hot: Vec<(PathBuf, u64)>,
    /// Pairs of its market.
    pairs: usize,
    /// Quiet quotes each second; `None`: one now and then.
    rate: Option<u64>,
    /// Whose perp crosses, and whether it stands above.
    crossing: usize,
    pub up: bool,
    /// What a trial is, where that is more than one quote.
    burst: Option<Burst>,
    /// How many quotes it was sent, and over which time.
    pub fed: Flow,
    next_quote: Instant,
    next_mark: Instant,
    /// When it had quotes last.
    quiet_until: Instant,
    /// Settlements that were told already.
    settled: u64,
    /// The full hour in which it was made, s since 1970: settlements are counted from there.
    hour: u64,
}

/// Quotes over a short time, as they come after a jump.
#[derive(Clone, Copy)]
struct Burst {
    quotes: u64,
    lasts: Duration,
    /// Batches cross and come back in one write, the last one too: nothing is to be acted on. Otherwise the last quote
    /// crosses, and no other.
    back: bool,
}

/// Quotes over time.
#[derive(Default)]
pub struct Flow {
    quotes: u64,
    time: Duration,
}

impl Flow {
    /// Quotes each second since this was asked last.
    pub fn take_rate(&mut self) -> u64 {
        let Self { quotes, time } = std::mem::take(self);
        (quotes as f64 / time.as_secs_f64().max(1e-9)).round() as u64
    }
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
    pub fn start(
        plan: &Value,
        out: &Path,
        ca: &Path,
        tls: &Arc<rustls::ServerConfig>,
    ) -> Result<Self, Fault> {
        let name = plan["name"].as_str().ok_or("a participant needs a name")?.to_owned();
        let plain = plan["plain"].as_bool().unwrap_or(false);
        let pairs = plan["pairs"].as_u64().unwrap_or(1).max(1) as usize;
        // Its account's key is one of HMAC, if it does not want the other kind.
        let account = match plan["ed25519"].as_bool() {
            Some(true) => Config { secret: Config::ED25519.to_owned(), ..Config::default() },
            _ => Config::default(),
        };
        let house = House::open((!plain).then(|| Arc::clone(tls)), pairs, &account.secret)?;
        let folder = out.join(&name);
        std::fs::create_dir_all(&folder)?;
        let mut at = house.addresses()?;
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
        Ok(Self {
            name,
            house,
            process,
            hot: Vec::new(),
            pairs,
            rate: plan["rate"].as_u64(),
            crossing: 0,
            up: false,
            burst: plan["burst"].as_object().map(|burst| Burst {
                quotes: burst["quotes"].as_u64().unwrap_or(0),
                lasts: Duration::from_micros(burst["us"].as_u64().unwrap_or(0)),
                back: burst["back"].as_bool().unwrap_or(false),
            }),
            fed: Flow::default(),
            next_quote: now,
            next_mark: now,
            quiet_until: now,
            settled: 0,
            hour: since_1970().as_secs() / 3_600 * 3_600,
        })
    }

    pub fn signal(&mut self, signal: i32) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // SAFETY: a plain system call; the process is our child and not waited for yet, so the number is its own.
            unsafe { libc::kill(self.process.id() as i32, signal) };
        }
    }

    /// A quote as its pair stands: spot at an even place, its perp behind it.
    fn quote(&mut self, dice: &mut Dice, symbol: usize) -> contango::sim::Fed {
        let (pair, perp) = (symbol / 2, symbol % 2 == 1);
        let tick = if perp { ONE / 10 } else { ONE / 100 };
        let base = if perp && self.up && pair == self.crossing { 100_510 } else { 100_000 } * ONE;
        let bid = base + dice.below(10) as i64 * tick;
        let qty = 10 * ONE + dice.below(8_000) as i64 * ONE / 1_000;
        self.house.quote(symbol, bid, bid + tick, qty)
    }

    /// Quiet quotes for so long.
    pub fn quiet(&mut self, dice: &mut Dice, lasts: Duration) {
        let begun = Instant::now();
        let end = begun + lasts;
        let (mut now, mut quotes) = (begun, 0);
        while now < end {
            if now >= self.next_mark {
                self.next_mark = now + Duration::from_secs(1);
                self.marks();
            }
            let due = match self.rate {
                Some(rate) => ((now - begun).as_nanos() as u64 * rate / 1_000_000_000).saturating_sub(quotes),
                None => u64::from(now >= self.next_quote),
            };
            if due > 0 {
                self.next_quote = now + Duration::from_micros(PACE_US.0 + dice.below(PACE_US.1));
                let places = 2 * self.pairs as u64;
                let fed: Vec<_> = (0..due.min(BATCH))
                    .map(|_| {
                        let at = dice.below(places) as usize;
                        self.quote(dice, at)
                    })
                    .collect();
                quotes += fed.len() as u64;
                self.house.feed(&fed);
            } else {
                self.house.serve();
            }
            now = Instant::now();
        }
        self.fed.quotes += quotes;
        self.fed.time += begun.elapsed();
        self.quiet_until = now;
    }

    /// A quote of everything, and with it the stamps by which a feed is told from one that is late: where few of many pairs
    /// are quoted, they would come in the middle of a turn.
    pub fn all(&mut self, dice: &mut Dice) {
        let fed: Vec<_> = (0..2 * self.pairs).map(|at| self.quote(dice, at)).collect();
        for some in fed.chunks(BATCH as usize) {
            self.house.feed(some);
        }
    }

    /// Lets it run for a moment if it has been stopped for long.
    pub fn breathe(&mut self, dice: &mut Dice) {
        if self.quiet_until.elapsed() > HELD {
            self.signal(libc::SIGCONT);
            self.quiet(dice, BREATH);
            self.signal(libc::SIGSTOP);
        }
    }

    /// A second's mark prices; and, once, a week and more of settlements.
    fn marks(&mut self) {
        // Hours away from the next one, whatever the wall clock says: before a settlement nobody enters.
        let settlements = since_1970().as_secs().saturating_sub(self.hour) / FUNDING_S + 1;
        let at_ms = |n: u64| (self.hour + settlements * FUNDING_S - n * FUNDING_S) * 1_000;
        let perps = (0..self.pairs).map(|pair| 2 * pair + 1);
        let mut fed = Vec::new();
        for symbol in perps {
            if self.settled != settlements {
                fed.extend((1..=30).map(|n| contango::sim::Fed::Settled {
                    symbol,
                    time_ms: at_ms(n),
                    rate: ONE / 10_000,
                }));
            }
            fed.push(contango::sim::Fed::Mark {
                symbol,
                mark: 100_255 * ONE,
                rate: Some(ONE / 10_000),
                next_funding_ms: at_ms(0),
            });
        }
        self.settled = settlements;
        self.house.feed(&fed);
    }

    /// One trial: a perp crosses, up or back down.
    pub fn trial(&mut self, dice: &mut Dice) -> Legs {
        self.up = !self.up;
        if self.up {
            self.crossing = dice.below(self.pairs as u64) as usize;
        }
        let crossing = self.quote(dice, 2 * self.crossing + 1);
        let legs = self.house.trial(&[vec![crossing]], Duration::ZERO, LIMIT);
        self.next_quote = Instant::now() + Duration::from_micros(PACE_US.0);
        legs
    }

    /// One trial as its plan has it.
    pub fn measured(&mut self, dice: &mut Dice) -> Legs {
        let Some(burst) = self.burst else { return self.trial(dice) };
        let (steps, places) = ((burst.quotes / STEP) as usize, 2 * self.pairs as u64);
        let perp = 2 * self.crossing + 1;
        let mut batches = Vec::with_capacity(steps);
        for at in 1..=steps {
            let mut batch: Vec<_> = (1..STEP)
                .map(|_| {
                    let place = dice.below(places) as usize;
                    self.quote(dice, place)
                })
                .collect();
            let crosses = at == steps || burst.back && at.is_multiple_of(CROSSES_EVERY);
            self.up ^= crosses;
            batch.push(self.quote(dice, perp));
            if crosses && burst.back {
                self.up ^= true;
                batch.push(self.quote(dice, perp));
            }
            batches.push(batch);
        }
        let legs = self.house.trial(&batches, burst.lasts, if burst.back { NOTHING } else { LIMIT });
        self.next_quote = Instant::now() + Duration::from_micros(PACE_US.0);
        legs
    }

    /// How long its hot threads were ready to run and something else did, ns, since they began.
    pub fn kept_waiting(&mut self) -> Result<u64, Fault> {
        for (file, waited) in &mut self.hot {
            // Time on the core, time ready for it, turns. A thread that has ended waits no longer: a peer's pool lets some go.
            if let Ok(text) = std::fs::read_to_string(file) {
                *waited = text.split_whitespace().nth(1).unwrap_or_default().parse()?;
            }
        }
        Ok(self.hot.iter().map(|(_, waited)| waited).sum())
    }

    /// Finds its hot threads: those that are kept off the server's core.
    fn find_hot(&mut self, server: usize) -> Result<(), Fault> {
        self.hot.clear();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let task = task?.path();
            let status = std::fs::read_to_string(task.join("status"))?;
            let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            let may = |text: &str| text.split(',').any(|part| range(part).contains(&server));
            if !cores.is_none_or(|cores| may(cores.trim())) {
                self.hot.push((task.join("schedstat"), 0));
            }
        }
        Ok(())
    }

    /// Waits until it trades both ways. `others` are stopped meanwhile, and stay alive.
    pub fn arrive(&mut self, others: &mut [Self], dice: &mut Dice, server: usize) -> Result<(), Fault> {
        let (begun, mut well) = (Instant::now(), 0);
        while well < 6 {
            // One at a time: it is not to fall silent itself.
            if let Some(other) = others.iter_mut().min_by_key(|other| other.quiet_until) {
                other.breathe(dice);
            }
            self.quiet(dice, GAP);
            well = if self.trial(dice).both().is_some() { well + 1 } else { 0 };
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("{} ended by itself ({status}); its folder has a log", self.name).into());
            }
            if begun.elapsed() > START + START_EACH * self.pairs as u32 {
                let truth = self.house.truth();
                return Err(format!("{} does not trade; refused: {}", self.name, truth["refused"]).into());
            }
            if well == 0 {
                self.quiet(dice, Duration::from_millis(300));
            }
        }
        self.find_hot(server)
    }
}

/// Cores as the kernel writes them: one, or the first and the last of several.
fn range(text: &str) -> std::ops::RangeInclusive<usize> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap_or(usize::MAX)..=last.parse().unwrap_or(usize::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
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
