//! `contango scan`: opportunities of all venues by what their funding pays, as a table, as JSON, or over HTTP.
//!
//! Owns:  one poller a venue on a thread of its own, the snapshot made of what they know, and what is done with it.
//! Never: needs a key, trades, or lets one venue hold up another.
//! Map:   `poll` asks a venue · `rows` what is known → rows · `table` rows → text and JSON · `ops::scan` the API.

mod poll;
mod rows;
mod table;

use super::boot::{self, BootError};
use super::inquiry::Inquiry;
use super::{Exit, Settings, say};
use crate::metal::clock::Clock;
use crate::metal::latch::{Latch, stop_on_signals};
use crate::ops::scan::api::Api;
use crate::ops::scan::serve::{Board, serve};
use crate::ops::scan::{self, Row, Snapshot};
use crate::units::Direction;
use crate::units::time::SEC;
use poll::{Poller, View};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use table::Standing;

/// How often what is known is put together.
const EVERY: Duration = Duration::from_millis(100);
/// A table that is shown once waits so long for the venues, ns; twice for the seven days of its rows.
const WAIT_NS: u64 = 15 * SEC;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("contango scan: {}", error.why);
            error.exit
        }
    }
}

fn run(settings: &Settings) -> Result<Exit, BootError> {
    let stop = Latch::new();
    stop_on_signals(&stop).map_err(BootError::failed)?;
    let mut scan = Scan::start(settings, &stop)?;
    let exit = match settings.listen_port {
        Some(port) => scan.listen(SocketAddr::new(settings.listen, port)),
        None if settings.watch => scan.watch(),
        None => scan.once(),
    };
    // Whatever ended it: the pollers end as well.
    stop.set();
    for thread in scan.threads.drain(..) {
        let _ = thread.join();
    }
    exit
}

/// The pollers, and what they know.
struct Scan<'a> {
    settings: &'a Settings,
    views: Vec<Arc<Mutex<View>>>,
    threads: Vec<JoinHandle<()>>,
    clock: Clock,
    stop: Latch,
    version: u64,
}

impl<'a> Scan<'a> {
    fn start(settings: &'a Settings, stop: &Latch) -> Result<Self, BootError> {
        let (mut views, mut threads) = (Vec::new(), Vec::new());
        for &open in &settings.venues {
            let inquiry = Inquiry::new(settings, open)?;
            let view = Arc::new(Mutex::new(View::new(open)));
            let poller = Poller::new(open, inquiry, Arc::clone(&view), settings.pairs.clone(), stop.clone());
            let thread = std::thread::Builder::new().name(format!("scan-{}", open.name));
            threads.push(thread.spawn(move || poller.run()).map_err(BootError::failed)?);
            views.push(view);
        }
        Ok(Self { settings, views, threads, clock: Clock::real(), stop: stop.clone(), version: 0 })
    }

    /// Everything that is known now.
    fn snapshot(&mut self) -> Snapshot {
        self.version += 1;
        rows::snapshot(self.version, self.clock.unix(), &self.views)
    }

    /// The rows that were asked for.
    fn shown<'s>(&self, snapshot: &'s Snapshot) -> Vec<&'s Row> {
        let [short, long] = self.settings.directions.allowed();
        let fits = |row: &&Row| {
            (match row.direction() {
                Direction::Short => short,
                Direction::Long => long,
            }) && self.settings.min_apr.is_none_or(|least| row.apr() >= i128::from(least.0))
                && (self.settings.min_turnover.0 == 0
                    || row.turnover.is_some_and(|turnover| turnover >= self.settings.min_turnover))
        };
        snapshot.rows.iter().filter(fits).collect()
    }

    /// Shows one table, once every venue has told its prices and the seven days of what is shown, or failed to.
    fn once(&mut self) -> Result<Exit, BootError> {
        let began = self.clock.now();
        let told = |it: &scan::Venue| {
            let nothing_to_tell = it.pairs == 0 && !it.left_out.is_empty();
            it.why.is_some() || it.complete || nothing_to_tell
        };
        let mut snapshot = loop {
            std::thread::sleep(EVERY);
            let snapshot = self.snapshot();
            let waited = self.clock.now().since(began);
            let all_told = snapshot.venues.iter().all(told);
            let top = self.shown(&snapshot);
            let weighed =
                top.iter().take(self.settings.top).all(|row| row.sum_7d.is_some() || row.settled.len() > 1);
            let late = waited > if all_told { 2 * WAIT_NS } else { WAIT_NS };
            if self.stop.is_set() || late || (all_told && weighed) {
                break snapshot;
            }
        };
        // Who is still being waited for is down as well.
        for venue in snapshot.venues.iter_mut().filter(|it| !told(it)) {
            venue.why = Some(format!("did not answer within {} s; try again", WAIT_NS / SEC));
        }
        let shown = self.shown(&snapshot);
        let policy = boot::policy(self.settings);
        let now = self.clock.unix();
        if self.settings.json {
            say(&format!("{}\n", table::json(&snapshot, &shown, self.settings, &policy, now)));
        } else {
            say(&table::text(&snapshot, &shown, self.settings, &policy, now));
        }
        for name in self.nowhere() {
            eprintln!(
                "contango scan: {name} is listed by none of these venues; `contango pairs` shows what is"
            );
        }
        // What could be told was; a script still learns that not all of it was.
        let failed = snapshot.venues.iter().any(|it| it.why.is_some()) || !self.nowhere().is_empty();
        Ok(if failed { Exit::Failed } else { Exit::Done })
    }

    /// Wanted names that no venue lists.
    fn nowhere(&self) -> Vec<&String> {
        let lacks = |view: &Arc<Mutex<View>>, name: &String| {
            let view = view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            view.lacking.iter().any(|one| one.name == *name)
        };
        let wanted = self.settings.pairs.iter();
        wanted.filter(|name| self.views.iter().all(|view| lacks(view, name))).collect()
    }

    /// Tells each row that comes to stand otherwise, until it is stopped.
    fn watch(&mut self) -> Result<Exit, BootError> {
        let policy = boot::policy(self.settings);
        let mut stood: BTreeMap<(&'static str, String), Standing> = BTreeMap::new();
        let mut down: BTreeMap<&'static str, String> = BTreeMap::new();
        while !self.stop.is_set() {
            std::thread::sleep(EVERY);
            let snapshot = self.snapshot();
            let now = self.clock.unix();
            for row in self.shown(&snapshot) {
                let stands = Standing::of(row, self.settings.notional, &policy);
                let before = stood.insert((row.exchange, row.coin.clone()), stands).unwrap_or(Standing::None);
                if stands != before {
                    say(&table::event(row, stands, self.settings, &policy, now));
                }
            }
            for venue in &snapshot.venues {
                let why: Vec<_> = venue.why.iter().chain(&venue.left_out).map(String::as_str).collect();
                let why = why.join("; ");
                let before = down.insert(venue.exchange, why.clone()).unwrap_or_default();
                if why != before {
                    let word = if why.is_empty() { "answers again" } else { why.as_str() };
                    eprintln!("{now} {}: {word}", venue.exchange);
                }
            }
        }
        Ok(Exit::Done)
    }

    /// Serves the API and the page until it is stopped.
    fn listen(&mut self, at: SocketAddr) -> Result<Exit, BootError> {
        let token = self.settings.token_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| BootError::usage(format!("--token-file {}: {error}", path.display())))?;
            match text.trim() {
                "" => Err(BootError::usage(format!("--token-file {} is empty", path.display()))),
                token => Ok(token.to_owned()),
            }
        });
        let token = token.transpose()?;
        let policy = boot::policy(self.settings);
        let api = Api::new(token.as_deref(), self.settings.scan_fees, policy, self.clock.unix());
        let (board, stop) = (Board::default(), self.stop.clone());
        let (theirs, json) = (board.clone(), self.settings.json);
        let server = std::thread::Builder::new().name("scan-api".to_owned()).spawn(move || {
            serve(at, api, theirs, &stop, |at| {
                say(&if json {
                    format!("{}\n", serde_json::json!({"listen": format!("http://{at}")}))
                } else {
                    format!("the API and the page are at http://{at}/\n")
                });
            })
        });
        let server = server.map_err(BootError::failed)?;
        while !self.stop.is_set() && !server.is_finished() {
            board.put(self.snapshot());
            std::thread::sleep(EVERY);
        }
        match server.join() {
            Ok(Ok(())) => Ok(Exit::Done),
            Ok(Err(error)) => Err(BootError::failed(format!("--listen {at}: {error}; choose another"))),
            Err(_) => Err(BootError::failed("the API's thread has died")),
        }
    }
}
