//! One venue's poller: prices every 0.8 s, funding every 5 s, seven days of each perp, one question after another.
//!
//! Owns:  when what is asked, and how long a venue that fails is left alone.
//! Never: holds the lock while it waits for an answer, or makes a price of one that is not told any more.
//! Why:   all-symbol tickers are two small answers a venue, however many symbols; streams would be hundreds of
//!        subscriptions on sockets with rules of their own, for prices that a person reads once a second.

use super::super::boot;
use super::super::inquiry::{Inquiry, Lacking};
use crate::carry::funding::History;
use crate::event::{Instrument, Instruments};
use crate::metal::latch::Latch;
use crate::ops::scan;
use crate::units::time::SEC;
use crate::units::{InstrumentId, LegKind, Nanos, Rate, Unix};
use crate::venue::open::{Behind, TickerRow, Tickers};
use crate::venue::{BucketRule, Open, Symbols};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Between two questions for prices: with the answer's own time they are at most 1 s old.
const BOOKS_NS: u64 = 800_000_000;
/// Between two questions for funding and the like: venues work it out once a second to once a minute.
const REST_NS: u64 = 5 * SEC;
/// Between two listings.
const LISTING_NS: u64 = 3_600 * SEC;
/// How far back settled funding is asked for: a week, and two days to judge its beginning by.
const BACK_NS: i64 = 9 * 86_400 * SEC as i64;
/// A settlement is in the history so long after its time.
const TOLD_NS: i64 = 10 * SEC as i64;
/// A history that could not be read, or has no known next settlement, is asked for again after this.
const AGAIN_NS: i64 = 600 * SEC as i64;
/// The first and the longest pause of a venue that fails, s.
const PAUSE_S: (u64, u64) = (2, 60);
/// How long an idle wait sleeps.
const IDLE: Duration = Duration::from_millis(5);

/// What is known of a venue.
pub(super) struct View {
    pub(super) open: &'static Open,
    pub(super) told: scan::Venue,
    pub(super) all: Arc<Instruments>,
    /// Wanted, and not listed here.
    pub(super) lacking: Vec<Lacking>,
    /// By instrument, with the stamps of their parts.
    pub(super) rows: Vec<Seen>,
}

/// One instrument as it was last told.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) ticker: TickerRow,
    pub(super) prices_at: Option<Unix>,
    pub(super) rate_at: Option<Unix>,
    /// Of a perp.
    pub(super) sum_7d: Option<Rate>,
    pub(super) settled: Arc<[(Unix, Rate)]>,
}

impl View {
    /// Nothing yet.
    pub(super) fn new(open: &'static Open) -> Self {
        let exchange = match open.name {
            "binance" => "Binance",
            "bybit" => "Bybit",
            "okx" => "OKX",
            _ => "Bitget",
        };
        let told = scan::Venue {
            exchange,
            pairs: 0,
            prices_at: None,
            rates_at: None,
            complete: false,
            failures: 0,
            why: None,
            left_out: Vec::new(),
        };
        Self { open, told, all: Arc::default(), lacking: Vec::new(), rows: Vec::new() }
    }
}

/// What of a perp's past is known, and when it is asked for again.
#[derive(Default)]
struct Past {
    history: History,
    rows: Vec<(Unix, Rate)>,
    due: Unix,
}

/// A venue being asked, again and again.
pub(super) struct Poller {
    open: &'static Open,
    inquiry: Inquiry,
    view: Arc<Mutex<View>>,
    wanted: Vec<String>,
    stop: Latch,
    all: Arc<Instruments>,
    symbols: Symbols,
    /// When each question is due; the last is that for the intervals of all perps, where they are asked for.
    due: Vec<Nanos>,
    /// Which of them were answered.
    answered: Vec<bool>,
    listing_due: Nanos,
    /// By instrument; of spot ones nothing is ever due.
    past: Vec<Past>,
    past_due: Nanos,
    /// How many times in a row it failed, and what it was that did last: until that is answered, it is told.
    failed: u32,
    failing: Option<What>,
}

/// What may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Listing,
    /// By its place among the questions.
    Question(usize),
    /// The past of a perp, whichever.
    Past,
}

impl Poller {
    pub(super) fn new(
        open: &'static Open,
        mut inquiry: Inquiry,
        view: Arc<Mutex<View>>,
        wanted: Vec<String>,
        stop: Latch,
    ) -> Self {
        // Whatever it waits for, it ends with the others.
        inquiry.stop = stop.clone();
        let (all, now) = (Arc::<Instruments>::default(), inquiry.clock.now());
        let symbols = Symbols::new(&all, open.id);
        let due = vec![now; open.tickers.len() + 1];
        let answered = vec![false; due.len()];
        Self {
            open,
            inquiry,
            view,
            wanted,
            stop,
            all,
            symbols,
            due,
            answered,
            listing_due: now,
            past: Vec::new(),
            past_due: now,
            failed: 0,
            failing: None,
        }
    }

    /// Until it is stopped.
    pub(super) fn run(mut self) {
        while !self.stop.is_set() {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => std::thread::sleep(IDLE),
                Err(why) => self.pause(why),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, View> {
        // Whoever panicked with it left whole rows.
        self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes why, and waits: 2 s doubling to 60 s, or as long as the venue says.
    fn pause(&mut self, why: String) {
        let doubled = PAUSE_S.0.checked_shl(self.failed).unwrap_or(PAUSE_S.1).min(PAUSE_S.1);
        self.failed = (self.failed + 1).min(16);
        let wait_s = self.inquiry.left_alone_s.take().map_or(doubled, u64::from);
        {
            let mut view = self.known();
            view.told.failures += 1;
            view.told.why = Some(why);
        }
        let until = later(self.inquiry.clock.now(), wait_s * SEC);
        while !self.stop.is_set() && self.inquiry.clock.now() < until {
            std::thread::sleep(IDLE);
        }
    }

    /// Asks what is due first; whether anything was.
    fn turn(&mut self) -> Result<bool, String> {
        let now = self.inquiry.clock.now();
        let first = (0..self.due.len()).filter(|at| now >= self.due[*at]).min_by_key(|at| self.due[*at]);
        // Due again before it is asked: what goes wrong each time must not hold up the rest.
        let mut perp = None;
        let what = if now >= self.listing_due {
            What::Listing
        } else if self.all.instruments.is_empty() {
            // Nothing that is wanted is listed here.
            return Ok(false);
        } else if let Some(at) = first {
            let books = self.open.tickers.get(at).is_some_and(|tickers| tickers.books);
            self.due[at] = later(now, if books { BOOKS_NS } else { REST_NS });
            What::Question(at)
        } else if now >= self.past_due
            && let Some(id) = self.oldest_past()
        {
            self.past_due = later(now, self.spacing_ns());
            perp = Some(id);
            What::Past
        } else {
            return Ok(false);
        };
        let done = match what {
            What::Listing => self.list(),
            What::Question(at) => match self.open.tickers.get(at) {
                Some(tickers) => self.ask(tickers),
                None => self.ask_intervals(),
            },
            What::Past => perp.map_or(Ok(()), |id| self.read_past(id)),
        };
        if let (Ok(()), What::Question(at)) = (&done, what) {
            self.answered[at] = true;
            if self.answered.iter().all(|it| *it) {
                self.known().told.complete = true;
            }
        }
        match done {
            Ok(()) if self.failing.is_none_or(|failing| failing == what) => {
                (self.failed, self.failing) = (0, None);
                self.known().told.why = None;
            }
            Ok(()) => {}
            Err(why) => {
                self.failing = Some(what);
                return Err(why);
            }
        }
        Ok(true)
    }

    fn list(&mut self) -> Result<(), String> {
        let known = !self.all.instruments.is_empty();
        if known {
            // Due again whether it succeeds or not: what is known serves on.
            self.listing_due = later(self.inquiry.clock.now(), LISTING_NS);
        }
        let (all, lacking) = self.inquiry.instruments_of_some(&self.wanted).map_err(|error| error.why)?;
        let all = Arc::new(all);
        self.listing_due = later(self.inquiry.clock.now(), LISTING_NS);
        self.symbols = Symbols::new(&all, self.open.id);
        let mut past: Vec<Past> = all.instruments.iter().map(|_| Past::default()).collect();
        let empty = |row: &Instrument| Seen {
            ticker: TickerRow { instrument: row.id, ..TickerRow::default() },
            prices_at: None,
            rate_at: None,
            sum_7d: None,
            settled: Arc::from([]),
        };
        let mut rows: Vec<Seen> = all.instruments.iter().map(empty).collect();
        let mut view = self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // What was known of a market is still, whatever its number is now.
        for (old, market) in self.all.instruments.iter().enumerate() {
            let same = |row: &&Instrument| (row.leg, row.symbol) == (market.leg, market.symbol);
            let Some(row) = all.instruments.iter().find(same) else { continue };
            let new = usize::from(row.id.0);
            past[new] = std::mem::take(&mut self.past[old]);
            // Prices count in steps that may be others now, and are asked for at once.
            let kept = &view.rows[old];
            let ticker = TickerRow { instrument: row.id, bid: None, ask: None, mark: None, ..kept.ticker };
            rows[new] = Seen { ticker, prices_at: None, ..kept.clone() };
        }
        view.told.pairs = all.pairs.len();
        view.told.left_out = lacking.iter().map(|one| one.why.clone()).collect();
        view.lacking = lacking;
        view.rows = rows;
        view.all = Arc::clone(&all);
        drop(view);
        (self.past, self.all) = (past, all);
        Ok(())
    }

    fn ask(&mut self, tickers: &Tickers) -> Result<(), String> {
        // What is told is at least as new as the question.
        let at = self.inquiry.clock.unix();
        let told = self.inquiry.told(tickers, &self.symbols).map_err(|error| error.why)?;
        let mut view = self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if tickers.books {
            // A market that is not told any more has no price any more.
            let of_leg = self.all.instruments.iter().filter(|row| row.leg == tickers.leg);
            for row in of_leg {
                let seen = &mut view.rows[usize::from(row.id.0)];
                (seen.ticker.bid, seen.ticker.ask, seen.prices_at) = (None, None, Some(at));
            }
            view.told.prices_at = Some(at);
        }
        for new in told.rows {
            let Some(seen) = view.rows.get_mut(usize::from(new.instrument.0)) else { continue };
            seen.ticker = seen.ticker.and(new);
            if new.funding.is_some() {
                seen.rate_at = Some(at);
            }
            if let (Some(past), Some(next)) =
                (self.past.get_mut(usize::from(new.instrument.0)), new.next_funding)
            {
                past.history.announce(at, next);
            }
        }
        if view.rows.iter().any(|seen| seen.rate_at == Some(at)) {
            view.told.rates_at = Some(at);
        }
        Ok(())
    }

    /// Where the tickers tell no intervals, there is a question for them.
    fn ask_intervals(&mut self) -> Result<(), String> {
        let Some(funding) = boot::venue_of(self.open).map(|venue| &venue.funding) else { return Ok(()) };
        let told = self
            .inquiry
            .ask((funding.intervals)(), |body| (funding.read_intervals)(body, &self.symbols))
            .map_err(|error| error.why)?;
        let mut view = self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for row in self.all.instruments.iter().filter(|row| row.leg == LegKind::Perp) {
            view.rows[usize::from(row.id.0)].ticker.hours = Some(funding.unnamed_hours);
        }
        for row in told {
            if let Some(seen) = view.rows.get_mut(usize::from(row.instrument.0)) {
                seen.ticker.hours = Some(row.hours);
            }
        }
        Ok(())
    }

    /// Between two questions for a past: 60 % of a path's budget where it has its own, a tenth of all where it has not.
    fn spacing_ns(&self) -> u64 {
        let each =
            |rule: &BucketRule, tenths: u64| rule.window_ns * 10 / (u64::from(rule.limit) * tenths).max(1);
        let own = boot::venue_of(self.open).map(|venue| {
            let (many, window_ns) = venue.funding.pool;
            window_ns * 10 / (many as u64 * 5).max(1)
        });
        let path = self.open.path_limit.as_ref().map(|rule| each(rule, 5));
        let all = self.open.limits.iter().map(|rule| each(rule, 1)).max();
        own.or(path).or(all).unwrap_or(SEC)
    }

    /// The perp whose past is due; of several the one whose rate is the largest.
    fn oldest_past(&self) -> Option<InstrumentId> {
        let now = self.inquiry.clock.unix();
        let view = self.known();
        let due = self.all.instruments.iter().filter(|row| {
            let seen = &view.rows[usize::from(row.id.0)].ticker;
            row.leg == LegKind::Perp && seen.funding.is_some() && self.past[usize::from(row.id.0)].due <= now
        });
        let worth = |row: &&Instrument| {
            let seen = &view.rows[usize::from(row.id.0)].ticker;
            let rate = seen.funding.unwrap_or(Rate::ZERO);
            crate::carry::opportunity::apr(rate, seen.hours.unwrap_or(8)).abs()
        };
        due.max_by_key(worth).map(|row| row.id)
    }

    fn read_past(&mut self, id: InstrumentId) -> Result<(), String> {
        let all = Arc::clone(&self.all);
        let (perp, now) = (all.get(id), self.inquiry.clock.unix());
        let since = Unix(now.0 - BACK_NS);
        let at = usize::from(id.0);
        self.past[at].due = Unix(now.0 + AGAIN_NS);
        let rows = match (self.open.settled, boot::venue_of(self.open)) {
            (Some(settled), _) => self
                .inquiry
                .ask((settled.request)(perp, Behind::default()), |body| (settled.read)(body, perp)),
            (None, Some(venue)) => {
                let ask = (venue.funding.settled_since)(perp, since);
                self.inquiry.ask(ask, |body| (venue.funding.read_settled)(body, perp))
            }
            (None, None) => return Ok(()),
        };
        let rows = rows.map_err(|error| error.why)?;
        let mut view = self.view.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (seen, past) = (&mut view.rows[at], &mut self.past[at]);
        for row in rows.iter().filter(|row| row.at >= since) {
            if past.history.add(row.at, row.rate) {
                past.rows.push((row.at, row.rate));
            }
        }
        past.history.forget(now);
        past.rows.retain(|(at, _)| *at >= since);
        past.rows.sort_unstable_by_key(|(at, _)| *at);
        if let Some(hours) = seen.ticker.hours {
            past.history.state(hours);
        }
        seen.sum_7d = past.history.sum_7d(now);
        seen.settled = past.rows.as_slice().into();
        if let Some(next) = seen.ticker.next_funding.filter(|next| *next > now) {
            past.due = Unix(next.0 + TOLD_NS);
        }
        Ok(())
    }
}

fn later(now: Nanos, ns: u64) -> Nanos {
    Nanos(now.0.saturating_add(ns))
}
