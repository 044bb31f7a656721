//! The rooms on threads: which share one, what is written while they run, and how they come back.
//!
//! Owns:  `--layout`, `--cores`, `--idle`, the lines on the terminal, `--quotes-out`.
//! Never: looks into a room while it runs.

use super::boot::BootError;
use super::recording::SessionFile;
use super::settings::{Layout, Settings};
use crate::agents::Loaded;
use crate::agents::engine::{Engine, Outside};
use crate::agents::reader::Reader;
use crate::agents::scribe::Scribe;
use crate::agents::shadow::Shadow;
use crate::agents::trader::Trader;
use crate::event::Quote;
use crate::metal::alloc;
use crate::metal::clock::Clock;
use crate::metal::runner::{self, Agent, Idle};
use crate::ops::control::Control;
use crate::rehearse::understudy::Understudy;
use crate::units::Nanos;
use crate::units::decimal::Text;
use crate::units::time::SEC;
use std::io::Write as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The hot thread's allocations are counted from so long after the feeds are live: by then every
/// buffer has found its size.
const WARM_UP_NS: u64 = 2 * SEC;
/// How often the main thread looks at lines and files.
const LOOK: Duration = Duration::from_millis(5);

/// Counts what a room on a hot thread allocates, once it is warm.
#[derive(Default)]
struct Watch {
    from: Option<Nanos>,
}

impl Watch {
    /// Lets `room` have its turn; `quotes`: how many it has seen.
    fn over<R: Agent>(&mut self, room: &mut R, quotes: u64, now: Nanos) -> usize {
        if self.from.is_none() && quotes > 0 {
            self.from = Some(now.plus(WARM_UP_NS));
        }
        // Only this room: with `--layout single` the parking ones share the thread.
        alloc::watch(self.from.is_some_and(|from| now >= from));
        let work = room.do_work(now);
        alloc::watch(false);
        work
    }
}

/// The reader on a hot thread.
struct Reading {
    reader: Reader,
    watch: Watch,
}

impl Agent for Reading {
    fn do_work(&mut self, now: Nanos) -> usize {
        let quotes = self.reader.counts.quotes;
        self.watch.over(&mut self.reader, quotes, now)
    }
}

/// The trader on a hot thread.
struct Trading {
    trader: Trader,
    watch: Watch,
    /// Where the thread has its core to itself: run in turns without work, so that the way of an order does not go cold.
    understudy: Option<Box<Understudy>>,
}

impl Trading {
    fn turn(&mut self, now: Nanos) -> usize {
        let quotes = self.trader.counts.quotes;
        self.watch.over(&mut self.trader, quotes, now)
    }

    fn keep_warm(&mut self, now: Nanos) {
        if let Some(understudy) = &mut self.understudy {
            understudy.keep(now);
        }
    }
}

impl Agent for Trading {
    fn do_work(&mut self, now: Nanos) -> usize {
        let work = self.turn(now);
        if work == 0 {
            self.keep_warm(now);
        }
        work
    }
}

/// Both on one thread: the thread that reads a quote decides and fires.
struct Hot {
    reading: Reading,
    trading: Trading,
}

impl Agent for Hot {
    fn do_work(&mut self, now: Nanos) -> usize {
        let work = self.reading.do_work(now) + self.trading.turn(now);
        if work == 0 {
            self.trading.keep_warm(now);
        }
        work
    }
}

/// The rooms that park.
struct Cold {
    shadow: Shadow,
    clerk: crate::agents::clerk::Clerk,
    scribe: Scribe,
    control: Option<Control>,
}

impl Agent for Cold {
    fn do_work(&mut self, now: Nanos) -> usize {
        self.shadow.do_work(now)
            + self.clerk.do_work(now)
            + self.scribe.do_work(now)
            + self.control.as_mut().map_or(0, |control| control.do_work(now))
    }
}

/// Every room in one loop.
struct All {
    hot: Hot,
    cold: Cold,
}

impl Agent for All {
    fn do_work(&mut self, now: Nanos) -> usize {
        self.hot.do_work(now) + self.cold.do_work(now)
    }
}

/// The rooms on their threads.
pub(super) struct Running {
    threads: Threads,
    outside: Outside,
}

enum Threads {
    Fused(JoinHandle<Hot>, JoinHandle<Cold>),
    Split(JoinHandle<Reading>, JoinHandle<Trading>, JoinHandle<Cold>),
    Single(JoinHandle<All>),
}

/// The rooms after their threads ended.
pub(super) struct Rooms {
    pub(super) reader: Reader,
    pub(super) trader: Trader,
    pub(super) shadow: Shadow,
    pub(super) scribe: Scribe,
}

/// Where all that parks sits: behind the hot cores.
pub(super) fn rest_core(settings: &Settings) -> Option<usize> {
    let hot = if settings.layout == Layout::Split { 2 } else { 1 };
    settings.cores.get(hot).copied()
}

/// Puts the rooms on their threads, as `--layout`, `--cores` and `--idle` say.
pub(super) fn spawn(settings: &Settings, engine: Engine, clock: &Clock) -> Result<Running, BootError> {
    let Engine { reader, trader, shadow, clerk, scribe, mut outside } = engine;
    // Crash points are counted, and its trades would be.
    let spins = settings.idle == Idle::Spin && !cfg!(feature = "crashpoints");
    let understudy = spins.then(|| Understudy::new().map(Box::new)).transpose();
    let understudy = understudy.map_err(|error| {
        BootError::failed(format!("no understudy: {error}; with --idle yield there is none"))
    })?;
    let reading = Reading { reader, watch: Watch::default() };
    let trading = Trading { trader, watch: Watch::default(), understudy };
    let control = outside
        .operator
        .take()
        .map(|ends| Control::open(&settings.data_dir, settings.instance, ends, outside.kill.clone()))
        .transpose()
        .map_err(BootError::failed)?;
    let cold = Cold { shadow, clerk, scribe, control };
    let core = |n: usize| settings.cores.get(n).copied();
    let rest = rest_core(settings);
    let clock = || clock.clone();
    let done = outside.done.clone();
    let threads = match settings.layout {
        Layout::Fused => {
            let cold = runner::spawn("cold", rest, Idle::Park, clock(), done.clone(), cold);
            let hot = Hot { reading, trading };
            let hot = runner::spawn("hot", core(0), settings.idle, clock(), done, hot);
            Threads::Fused(hot.map_err(BootError::usage)?, cold.map_err(BootError::usage)?)
        }
        Layout::Split => {
            let cold = runner::spawn("cold", rest, Idle::Park, clock(), done.clone(), cold);
            let trading = runner::spawn("trader", core(1), settings.idle, clock(), done.clone(), trading);
            let reading = runner::spawn("reader", core(0), settings.idle, clock(), done, reading);
            Threads::Split(
                reading.map_err(BootError::usage)?,
                trading.map_err(BootError::usage)?,
                cold.map_err(BootError::usage)?,
            )
        }
        Layout::Single => {
            let all = All { hot: Hot { reading, trading }, cold };
            let all = runner::spawn("all", core(0), settings.idle, clock(), done, all);
            Threads::Single(all.map_err(BootError::usage)?)
        }
    };
    Ok(Running { threads, outside })
}

impl Running {
    /// Prints lines, writes quotes and session until the rooms are done, then takes them back.
    pub(super) fn wait(
        self,
        settings: &Settings,
        clock: &Clock,
        session: &mut Option<SessionFile>,
    ) -> Result<Rooms, BootError> {
        let Self { threads, mut outside } = self;
        if let Some(session) = session {
            session.follow(outside.taken.take());
        }
        let mut quotes = match (&settings.quotes_out, outside.quotes.take()) {
            (Some(path), Some(ring)) => Some(QuoteFile::create(path, ring)?),
            _ => None,
        };
        let mut refit = 0u32;
        loop {
            let over = outside.done.is_set();
            while let Some(line) = outside.lines.pop() {
                if !settings.json {
                    super::say(&format!("{line}\n"));
                }
            }
            while let Some(loaded) = outside.loaded.pop() {
                if let Some(file) = &mut quotes {
                    file.loaded = Some(loaded);
                }
            }
            if let Some(file) = &mut quotes {
                file.drain()?;
            }
            if let Some(session) = session {
                session.drain();
            }
            if over {
                break;
            }
            // The clock's line is refitted every two seconds or so.
            refit = (refit + 1) % 400;
            if refit == 0 {
                clock.refit();
            }
            std::thread::sleep(LOOK);
        }
        let lost = |_| BootError::failed("a room panicked; its last words are above");
        let (reading, trading, cold) = match threads {
            Threads::Fused(hot, cold) => {
                let (hot, cold) = (hot.join().map_err(lost)?, cold.join().map_err(lost)?);
                (hot.reading, hot.trading, cold)
            }
            Threads::Split(reading, trading, cold) => {
                (reading.join().map_err(lost)?, trading.join().map_err(lost)?, cold.join().map_err(lost)?)
            }
            Threads::Single(all) => {
                let All { hot, cold } = all.join().map_err(lost)?;
                (hot.reading, hot.trading, cold)
            }
        };
        if let Some(mut file) = quotes {
            file.drain()?;
            file.out.flush().map_err(BootError::failed)?;
        }
        let (reader, trader) = (reading.reader, trading.trader);
        Ok(Rooms { reader, trader, shadow: cold.shadow, scribe: cold.scribe })
    }
}

/// `--quotes-out`: every top of book as the trader took it in.
struct QuoteFile {
    out: std::io::BufWriter<std::fs::File>,
    ring: crate::metal::ring::Consumer<Quote>,
    loaded: Option<Arc<Loaded>>,
}

impl QuoteFile {
    fn create(path: &std::path::Path, ring: crate::metal::ring::Consumer<Quote>) -> Result<Self, BootError> {
        let refuse = |error| BootError::usage(format!("--quotes-out {}: {error}", path.display()));
        let mut out = std::io::BufWriter::new(std::fs::File::create(path).map_err(refuse)?);
        writeln!(out, "market,symbol,u,bid,bid_qty,ask,ask_qty").map_err(BootError::failed)?;
        Ok(Self { out, ring, loaded: None })
    }

    fn drain(&mut self) -> Result<(), BootError> {
        // Quotes come after their instruments: nothing is read before those are here.
        let Some(loaded) = &self.loaded else { return Ok(()) };
        while let Some(quote) = self.ring.pop() {
            let row = loaded.instruments.get(quote.instrument);
            let price = |n: i64| Text(i128::from(n), row.price_decimals);
            let qty = |n: i64| Text(i128::from(n), row.qty_decimals);
            writeln!(
                self.out,
                "{},{},{},{},{},{},{}",
                row.leg,
                row.symbol,
                quote.sequence,
                price(quote.bid.0),
                qty(quote.bid_qty.0),
                price(quote.ask.0),
                qty(quote.ask_qty.0)
            )
            .map_err(BootError::failed)?;
        }
        Ok(())
    }
}
