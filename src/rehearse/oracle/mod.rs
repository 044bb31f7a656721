//! The oracle: after every step, is everything that must never happen still not happening (FAULTS part 3)?
//!
//! Owns:  what is true (`facts`, from the venue's own eyes), what was written down (`books`, from the journal),
//!        and each invariant held against both, by its number.
//! Never: looks into a room of the engine, or takes its word for what is true.
//! Map:   `arrival` I5, I6, I8–I11, I13 at each order · `exposure` I1 · `attempts` I2 · `booking` I3, I12, I14 at
//!        each record · `budget` I7 · `durable` I18 · `secrets` I17 · `ending` I2–I4, I15, I19, I20 at rest · `moments` states of orders.
//! Not checked here: I16 (no clock or allocator in a virtual world: tests/no_alloc, perf).

mod arrival;
mod attempts;
mod booking;
mod books;
mod budget;
mod durable;
mod ending;
mod exposure;
mod facts;
mod moments;
mod secrets;
#[cfg(test)]
mod tests;

use super::{Room, Witnessed, World};
use crate::sim::{Market, Seen};
use crate::units::Nanos;
use books::Books;
use facts::Facts;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Events kept for the report of a failure.
const LAST: usize = 200;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which: 3 is I3; 0: the session itself (no process, no trade at all).
    pub invariant: u8,
    /// What was seen.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}: {}", self.invariant, self.why)
    }
}

/// Breaks `invariant`.
fn broken(invariant: u8, why: impl Into<String>) -> Broken {
    Broken { invariant, why: why.into() }
}

/// What the rehearsed operator chose, as far as it decides what is allowed.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Which engine of the desk it is.
    pub instance: u8,
    /// Size of one entry, quote, 10⁻¹⁸.
    pub clip: i128,
    /// `recvWindow` plus settling time: earliest age of evidence C, ns.
    pub lost_after_ns: u64,
    /// Do orders travel on sockets of their own?
    pub by_socket: bool,
    /// Key and secret, which nothing may tell.
    pub secrets: [String; 2],
}

/// A latch of the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latched {
    Trading,
    /// No entry and no exit; repairs only.
    Halted,
    /// Nothing at all.
    Killed,
}

impl Latched {
    /// As the journal names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Trading => "trading",
            Self::Halted => "halted",
            Self::Killed => "killed",
        }
    }
}

/// Everything a session is judged by.
#[derive(Debug)]
pub struct Oracle {
    allowed: Allowed,
    facts: Facts,
    books: Books,
    exposure: exposure::Exposure,
    budget: budget::Budget,
    /// Files of the segment that is read, and of the next one.
    segments: [String; 2],
    latched: (Latched, Nanos),
    /// A process has begun since, and found it in its latch file.
    latch_read: bool,
    /// While this lies ahead, every route of a hedge is shut or a fact is withheld.
    excused_until: Nanos,
    /// When the last process began, and whether what it found may be torn.
    begun: Nanos,
    lost_power: bool,
    /// Calendar of the host at monotonic zero, ns.
    calendar: u64,
    calendar_stepped: bool,
    /// When the journal was read on last, and what the disk's count of changes was then.
    read_at: Nanos,
    read_change: u64,
    /// Orders whose end was read just now, and when.
    ended: Vec<(Nanos, u64)>,
    last: VecDeque<String>,
    /// Steps that were checked.
    pub steps: u64,
    wrote: Vec<books::Wrote>,
}

impl Oracle {
    /// An oracle for a world at its first moment.
    #[must_use]
    pub fn new(world: &mut World, allowed: Allowed) -> Self {
        world.watch_venue();
        let facts = Facts::of(world.rows());
        Self {
            exposure: exposure::Exposure::new(facts.pairs.len()),
            facts,
            allowed,
            books: Books::new(),
            budget: budget::Budget::default(),
            segments: [1, 2].map(World::segment_name),
            latched: (Latched::Trading, Nanos(0)),
            latch_read: false,
            excused_until: Nanos(0),
            begun: world.now(),
            lost_power: false,
            calendar: world.calendar(),
            calendar_stepped: false,
            read_at: Nanos(0),
            read_change: 0,
            ended: Vec::new(),
            last: VecDeque::new(),
            steps: 0,
            wrote: Vec::new(),
        }
    }

    /// Looks at one step.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold.
    pub fn step(&mut self, world: &mut World) -> Result<(), Broken> {
        self.steps += 1;
        let now = world.now();
        // A halt holds once the shadow has heard it: where that stands still, the permit of before does, for half a
        // second. A kill is a latch that the trader reads itself.
        let unheard = world.frozen.contains(&Room::Shadow) && now.since(self.latched.1) <= arrival::TURN_NS;
        if self.latched.0 == Latched::Halted && unheard {
            self.latched.1 = now;
        }
        for witnessed in world.take_witnessed() {
            self.keep(|| format!("{:>13} {:?}", witnessed.at.0 / 1_000, witnessed.seen));
            self.witness(&witnessed, world)?;
        }
        self.look_at_minutes(world);
        self.exposed(now)?;
        self.read(world)
    }

    /// Looks at one thing that happened at the venue.
    fn witness(&mut self, witnessed: &Witnessed, world: &World) -> Result<(), Broken> {
        self.arrival(witnessed, world)?;
        self.attempts(witnessed)?;
        self.budget(witnessed)?;
        self.sent_away(witnessed)?;
        let moved = self.facts.take(witnessed);
        self.fill_after_end(witnessed)?;
        moved.map_or(Ok(()), |pair| self.moved(pair, witnessed.at, world))
    }

    /// Reads on in the journal.
    fn read(&mut self, world: &World) -> Result<(), Broken> {
        self.read_at = world.now();
        let change = world.disk_changes();
        if std::mem::replace(&mut self.read_change, change) == change {
            return Ok(());
        }
        loop {
            if world.segment_lengths(&self.segments[0]).0 > self.books.read {
                let bytes = world.segment_from(&self.segments[0], self.books.read);
                self.secrets("the journal", &bytes)?;
                let noted = self.books.notes.len();
                let mut wrote = std::mem::take(&mut self.wrote);
                self.books.take(&bytes, &mut wrote).map_err(|why| broken(3, why))?;
                // What an earlier process told is read again by way of its books, and no news.
                let news = if world.now() > self.begun { noted } else { self.books.notes.len() };
                for at in news..self.books.notes.len() {
                    let (now, text) = (world.now().0 / 1_000, self.books.notes[at].1.clone());
                    if text.starts_with("recalled: ") {
                        self.recalled(world.now());
                    }
                    self.keep(|| format!("{now:>13} noted {text}"));
                }
                for news in wrote.drain(..) {
                    self.written(&news)?;
                }
                self.wrote = wrote;
            }
            // A segment ends where the next one begins.
            if world.segment_lengths(&self.segments[1]).0 == 0 {
                return Ok(());
            }
            self.books.segment += 1;
            self.books.read = 0;
            self.segments = [0, 1].map(|further| World::segment_name(self.books.segment + further));
        }
    }

    // ───────────────────────────── what the bench did ─────────────────────────────

    /// For so long every hedge route is shut, or a fact is withheld from every stream and query.
    pub fn excuse(&mut self, until: Nanos) {
        self.excused_until = self.excused_until.max(until);
    }

    /// The host's calendar jumped: its stamps can't be held against the venue's any more.
    pub fn step_calendar(&mut self) {
        self.calendar_stepped = true;
    }

    /// An order of the bench was carried out.
    pub fn acted(&mut self, now: Nanos, what: &str) {
        self.keep(|| format!("{:>13} bench {what}", now.0 / 1_000));
    }

    /// The operator pressed kill, halted, or resumed.
    pub fn told(&mut self, ask: &str, now: Nanos) {
        let latched = match ask {
            "kill" => Latched::Killed,
            "halt" if self.latched.0 != Latched::Killed => Latched::Halted,
            // One that is heard in the moment of a kill is refused: the person has to look, and resume again. A process
            // that has begun since knows the kill from its latch file.
            "resume" if self.latched == (Latched::Killed, now) && !self.latch_read => return,
            "resume" => Latched::Trading,
            _ => return,
        };
        if latched != Latched::Halted {
            self.hold_hedges(latched == Latched::Killed, now);
        }
        self.latched = (latched, now);
        self.latch_read = false;
    }

    // ───────────────────────────── what it knows ─────────────────────────────

    /// The last events, oldest first.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// Round trips the venue saw.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.facts.round_trips()
    }

    /// Order requests of ours that reached the venue.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.facts.orders.len() as u64
    }

    /// The leg of the first order request of ours that reached the venue: 0 spot, 1 perp.
    #[cfg(feature = "crashpoints")]
    #[must_use]
    pub fn first_leg(&self) -> Option<usize> {
        self.facts.orders.values().min_by_key(|order| order.at).map(|order| usize::from(order.id.leg))
    }

    /// Orders whose fate was written down as unknown.
    #[must_use]
    pub fn unknown_outcomes(&self) -> u64 {
        self.books.notes.iter().filter(|(_, text)| text.contains("fate unknown")).count() as u64
    }

    /// How often the journal tells an answer of this verdict, with this code, status or reason.
    #[must_use]
    pub fn answers(&self) -> &BTreeMap<String, u64> {
        &self.books.answers
    }

    /// Payments of funding that are booked.
    #[must_use]
    pub fn payments(&self) -> u64 {
        self.books.payments.len() as u64
    }

    /// How often a note of the journal holds these words.
    #[must_use]
    pub fn noted(&self, words: &str) -> u64 {
        self.books.notes.iter().filter(|(_, text)| text.contains(words)).count() as u64
    }

    /// How often the journal tells of a mode.
    #[must_use]
    pub fn modes(&self, name: &str) -> u64 {
        self.books.modes.iter().filter(|(_, mode, _)| mode == name).count() as u64
    }

    /// How often the journal tells of a mode with these words for a reason.
    #[must_use]
    pub fn reasons(&self, words: &str) -> u64 {
        self.books.modes.iter().filter(|(_, _, why)| why.contains(words)).count() as u64
    }

    /// Orders that a fault of this kind met, and that have an end in the journal.
    #[must_use]
    pub fn judged(&self, kind: &str) -> u64 {
        let met = self.facts.orders.values().filter(|order| order.struck == Some(kind));
        met.filter(|order| self.books.ends.contains_key(&order.id.number)).count() as u64
    }

    /// Whether the present run has told a person these words.
    #[must_use]
    pub fn tells(&self, words: &str) -> bool {
        self.books.notes[self.books.notes_before..].iter().any(|(_, text)| text.contains(words))
    }

    /// Whether somebody else traded on the account.
    #[must_use]
    pub fn foreign(&self) -> bool {
        !self.facts.foreign.is_empty()
    }

    fn keep(&mut self, text: impl FnOnce() -> String) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(text());
    }
}

/// The market's name in texts.
const fn name_of(market: Market) -> &'static str {
    facts::market_name(market)
}

/// The client order id a sighting is about.
fn about(seen: &Seen) -> Option<&str> {
    match seen {
        Seen::Arrived(arrived) => Some(&arrived.client_id),
        Seen::Filled(fill) => Some(&fill.client_id),
        _ => None,
    }
}
