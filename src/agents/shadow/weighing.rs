//! Each pair weighed by the rules: what an entry must promise, when a position is left, and why.
//!
//! Owns:  the last weighing of every pair with all its numbers, and what a pair remembers for the rules: when
//!        it was left, when it grew, what closing it would have fetched, what makes it leave.
//! Never: counts on funding that is not known; takes a reason to leave back before the position is gone.
//! Map:   `weigh_pair` a few times a second → `terms` folds what it found → `decisions` for people and the log.

use super::terms::{bps_text, costs};
use super::{Book, Shadow};
use crate::carry::exits::{Exit, Unwind};
use crate::carry::funding::Carry;
use crate::carry::pace::{Adding, REENTRY_NS, Reentry, wait_after};
use crate::carry::reference::{Reference, ppb};
use crate::carry::rules::{Costs, Entry};
use crate::carry::signal::{Signal, Weekly};
use crate::desk::basis::Scales;
use crate::desk::pair::base_of;
use crate::event::{Decision, PairState, Record, lane};
use crate::units::time::{MS, SEC};
use crate::units::{Direction, LegKind, Nanos, Ratio, Unix};

/// How often a pair is weighed.
const AGAIN_NS: u64 = 200 * MS;
/// After a way out that the venue refused the next one waits so long, and twice as long each time, up to 16 s: a market
/// that takes no orders would hear one at every quote.
const REFUSED_NS: u64 = 500 * MS;
const DOUBLINGS: u32 = 5;
const HOUR_NS: i64 = 3_600 * SEC as i64;
/// Both directions, in the order of their numbers.
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Short, Direction::Long];

/// What a pair remembers for the rules.
#[derive(Debug, Default)]
pub(super) struct Weighing {
    due: Nanos,
    /// What was found last, by direction.
    pub(super) costs: Option<Costs>,
    pub(super) entries: [Option<Entry>; 2],
    pub(super) exits: [Option<Exit>; 2],
    /// The executable closing basis of each direction over seven days.
    references: [Reference; 2],
    /// The full hour for which they were kept last.
    hour: Option<Unix>,
    unwind: Unwind,
    /// When the wait after its last position is over.
    wait_until: Nanos,
    /// When it last grew.
    grew_at: Option<Nanos>,
    /// Why its position is given up at any basis.
    pub(super) leaving: Option<String>,
    /// How often in a row the venue refused a way out, and when the next may leave.
    refused: u32,
    out_at: Nanos,
}

impl Weighing {
    /// The basis from which on an entry pays, by direction; `None`: none does.
    pub(super) fn enter(&self) -> [Option<Ratio>; 2] {
        self.entries.map(|entry| entry.and_then(|entry| entry.enter.ok()))
    }

    /// An entry of the pair settled with a position.
    pub(super) fn on_grown(&mut self, now: Nanos) {
        self.grew_at = Some(now);
    }

    /// Its position is closed.
    pub(super) fn on_left(&mut self, now: Nanos) {
        self.wait_until = now.plus(REENTRY_NS);
        (self.unwind, self.leaving) = (Unwind::default(), None);
        // What was found before it was left lets nobody in again.
        (self.entries, self.due) = ([None; 2], Nanos::ZERO);
        self.on_way_out();
    }

    /// The venue refused an order of a way out: both legs of a round count once.
    pub(super) fn on_kept_in(&mut self, now: Nanos) {
        if self.may_leave(now) {
            self.out_at = now.plus(REFUSED_NS << self.refused.min(DOUBLINGS));
            self.refused += 1;
        }
    }

    /// Something came of a way out.
    pub(super) fn on_way_out(&mut self) {
        (self.refused, self.out_at) = (0, Nanos::ZERO);
    }

    /// Whether a way out may be tried now.
    pub(super) fn may_leave(&self, now: Nanos) -> bool {
        now >= self.out_at
    }
}

impl Weighing {
    /// What the runs before remember: how long ago its last position was closed, and its closing bases.
    pub(super) fn recall(&mut self, left_ago_ns: Option<u64>, bases: &[(Unix, [i64; 2])], now: Nanos) {
        self.wait_until = left_ago_ns.map_or(Nanos::ZERO, |ago| now.plus(wait_after(ago)));
        for (hour, closing) in bases {
            self.hour = Some(*hour);
            for direction in DIRECTIONS {
                self.references[direction as usize].keep(*hour, closing[direction as usize]);
            }
        }
    }

    /// What is left of the wait after its last position.
    fn wait_ns(&self, now: Nanos) -> u64 {
        self.wait_until.since(now)
    }
}

/// Keeps what closing would fetch, once in a full hour: the hour and the basis of each direction, if they are new. A
/// run keeps the first with the first hour that begins in it.
fn keep_bases(book: &mut Book, scales: Scales, time: Unix) -> Option<(Unix, [i64; 2])> {
    let hour = Unix(time.0 - time.0.rem_euclid(HOUR_NS));
    if hour <= *book.weighing.hour.get_or_insert(hour) {
        return None;
    }
    let [short, long] = DIRECTIONS.map(|direction| executable(book, scales, direction, true).and_then(ppb));
    let closing = [short?, long?];
    book.weighing.hour = Some(hour);
    for direction in DIRECTIONS {
        book.weighing.references[direction as usize].keep(hour, closing[direction as usize]);
    }
    Some((hour, closing))
}

/// The basis in a position's own sign: entering it, or closing it. Positive is good to enter.
pub(super) fn executable(book: &Book, scales: Scales, direction: Direction, closing: bool) -> Option<Ratio> {
    let [Some(spot), Some(perp)] = book.pulse?.quotes else { return None };
    match (direction, closing) {
        (Direction::Short, false) => scales.basis(perp.bid, spot.ask),
        (Direction::Short, true) => scales.basis(perp.ask, spot.bid),
        (Direction::Long, false) => Some(-scales.basis(perp.ask, spot.bid)?),
        (Direction::Long, true) => Some(-scales.basis(perp.bid, spot.ask)?),
    }
}

impl Shadow {
    /// Weighs a pair anew, if its time has come.
    pub(super) fn weigh_pair(&mut self, at: usize, now: Nanos) {
        if now < self.books[at].weighing.due && self.books[at].weighing.entries != [None; 2] {
            return;
        }
        let instruments = std::sync::Arc::clone(&self.instruments);
        let row = instruments.pair(self.books[at].pair);
        let (spot, perp) = (instruments.get(row.spot), instruments.get(row.perp));
        let carry = self.carry(row.id, now);
        let time = self.offsets.venue_time(lane(perp.venue, LegKind::Perp), now);
        let (policy, directions) = (self.settings.policy, self.settings.directions);
        let book = &mut self.books[at];
        book.weighing.due = now.plus(AGAIN_NS);
        let quotes = book.pulse.map_or([None; 2], |pulse| pulse.quotes);
        let asks = quotes.map(|quote| quote.map(|quote| quote.ask));
        let costs = book.pulse.as_ref().and_then(|pulse| costs(pulse, [spot, perp], asks));
        let kept = Scales::new(row, spot, perp).zip(time);
        let kept = kept.and_then(|(scales, time)| keep_bases(book, scales, time));
        let bar = match policy.reentry(book.weighing.wait_ns(now)) {
            Reentry::Free => policy.min_net_apr,
            Reentry::Raised { bar, .. } => Some(bar),
        };
        let known = carry.zip(costs);
        let signal =
            |direction: Direction| known.map(|(carry, costs)| (Signal::new(&carry, direction), costs));
        let weighing = &mut book.weighing;
        weighing.costs = costs;
        weighing.entries = DIRECTIONS.map(|direction| {
            let (signal, costs) = signal(direction).filter(|_| directions[direction as usize])?;
            Some(policy.enter(bar, signal, &costs))
        });
        weighing.exits = DIRECTIONS.map(|direction| {
            let (signal, costs) = signal(direction)?;
            Some(policy.leave(signal, &costs, weighing.references[direction as usize].basis()))
        });
        if let Some((hour, closing)) = kept {
            self.write(Record::Basis { at: self.clock.unix(), name: row.name, hour, closing });
        }
        self.watch_funding(at, carry, time);
    }

    /// Whether a position must be given up for what it is paid: both witnesses too low across a settlement.
    fn watch_funding(&mut self, at: usize, carry: Option<Carry>, time: Option<crate::units::Unix>) {
        let policy = self.settings.policy;
        let book = &mut self.books[at];
        let coming = book.mark.and_then(|mark| mark.next_funding);
        let (Some(held), Some(carry), Some(coming), Some(time)) = (book.held, carry, coming, time) else {
            return;
        };
        let signal = Signal::new(&carry, held.direction);
        let starves = policy.starves(signal);
        book.weighing.unwind.on(starves, coming, time);
        if book.weighing.unwind.is_forced() && starves == Some(true) {
            let why = format!(
                "funding: estimate ({}) and seven-day mean ({}) a year stayed below --unwind-apr ({}) across the \
                 settlement of {}",
                percent(signal.estimate.apr()),
                percent(signal.mean.and_then(Weekly::apr)),
                percent(Some(policy.unwind_apr.ratio_floor())),
                book.weighing.unwind.across().unwrap_or(coming),
            );
            self.give_up(at, why);
        }
    }

    /// A position is left at any basis, perp first; said once.
    pub(super) fn give_up(&mut self, at: usize, why: String) {
        if self.is_stub(at) {
            return;
        }
        let name = self.instruments.pair(self.books[at].pair).name;
        let weighing = &mut self.books[at].weighing;
        if weighing.leaving.is_none() {
            weighing.leaving = Some(why.clone());
            self.note(format!("{name}: leaving: {why}"));
        }
    }

    /// Whether a held position may grow by a clip now.
    pub(super) fn adding(&self, at: usize, now: Nanos) -> Adding {
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        let clip = base_of(book.clip[1], self.instruments.get(row.perp), row.size_factor).0;
        if clip <= 0 {
            return Adding::Full;
        }
        if self.is_stub(at) {
            return Adding::Open;
        }
        let clips = (book.holding.perp.0.abs() + clip - 1) / clip;
        let grew = book.weighing.grew_at.unwrap_or(self.operator.begun());
        self.settings.scale_in.next(u32::try_from(clips).unwrap_or(u32::MAX), now.since(grew))
    }

    /// Looks at what may force positions out, a few times a second.
    pub(super) fn tick_weighing(&mut self, now: Nanos) {
        for at in 0..self.books.len() {
            self.weigh_pair(at, now);
            if self.books[at].held.is_some() && self.ends_soon(self.books[at].pair) {
                self.give_up(at, "its perp is settled for good within a day".to_owned());
            }
        }
    }

    /// Every decision about a pair with its numbers, for people and the log.
    pub(super) fn decisions(&self, at: usize, now: Nanos) -> Vec<Decision> {
        let book = &self.books[at];
        let weighing = &book.weighing;
        let instruments = &self.instruments;
        let row = instruments.pair(book.pair);
        let scales = Scales::new(row, instruments.get(row.spot), instruments.get(row.perp));
        let basis = |direction, closing| executable(book, scales?, direction, closing);
        let mut all = Vec::new();
        for direction in DIRECTIONS {
            if let Some(entry) = &weighing.entries[direction as usize] {
                all.push(self.entry_decision(entry, direction, basis(direction, false)));
            }
        }
        if let Some(held) = book.held
            && let Some(exit) = &weighing.exits[held.direction as usize]
        {
            all.push(exit_decision(exit, held.direction, basis(held.direction, true)));
            let across = weighing.unwind.across().map_or_else(String::new, |at| format!(" across {at}"));
            let verdict = match (&weighing.leaving, self.settings.policy.starves(exit.signal)) {
                (Some(why), _) => format!("leaving: {why}"),
                (None, Some(true)) => format!("both are below --unwind-apr; leaving if they stay so{across}"),
                (None, Some(false)) => "holding: not both are below --unwind-apr".to_owned(),
                (None, None) => "holding: the seven-day mean is not known".to_owned(),
            };
            let bar = percent(Some(self.settings.policy.unwind_apr.ratio_floor()));
            all.push(Decision { name: "unwind".to_owned(), numbers: vec![("unwind_apr", bar)], verdict });
            if !weighing.may_leave(now) {
                let numbers = vec![("refused", weighing.refused.to_string())];
                let again = weighing.out_at.since(now).div_ceil(SEC);
                let verdict =
                    format!("the venue refused the last orders out; they are tried again in {again} s");
                all.push(Decision { name: "way_out".to_owned(), numbers, verdict });
            }
            let verdict = match self.adding(at, now) {
                Adding::Open => "another clip may be added where its entry pays".to_owned(),
                Adding::Cooling(ns) => format!("another clip may be added in {} s", ns.div_ceil(SEC)),
                Adding::Full => "it has all its clips".to_owned(),
            };
            let clips = self.settings.scale_in.clips_max.to_string();
            all.push(Decision { name: "scale_in".to_owned(), numbers: vec![("clips_max", clips)], verdict });
        }
        all.extend(self.confirm_decision(at, now));
        let policy = self.settings.policy;
        if let Reentry::Raised { bar, wait_ns } = policy.reentry(weighing.wait_ns(now)) {
            let verdict = match policy.min_net_apr {
                Some(_) => "left not long ago: an entry must promise half as much again",
                None => {
                    "left not long ago: an entry must promise to cover its costs, though --min-net-apr is off"
                }
            };
            all.push(Decision {
                name: "reentry".to_owned(),
                numbers: vec![("bar_apr", percent(Some(bar))), ("wait_s", (wait_ns / SEC).to_string())],
                verdict: verdict.to_owned(),
            });
        }
        all
    }

    fn entry_decision(&self, entry: &Entry, direction: Direction, basis: Option<Ratio>) -> Decision {
        let policy = &self.settings.policy;
        let now = basis.and_then(|basis| policy.net_apr(entry, basis));
        let verdict = match entry.enter {
            Ok(enter) => format!("enters from a basis of {} bps on", bps_text(enter)),
            Err(why) => format!("no basis would do: {}", why.text()),
        };
        let numbers = vec![
            ("estimate_apr", percent(entry.signal.estimate.apr())),
            ("mean_apr", percent(entry.signal.mean.and_then(Weekly::apr))),
            ("carry_bps", bps(entry.carry)),
            ("costs_bps", bps(Some(entry.costs))),
            ("wanted_bps", bps(entry.wanted)),
            ("threshold_bps", bps(entry.threshold)),
            ("basis_bps", bps(basis)),
            ("net_apr", percent(now)),
        ];
        Decision { name: format!("enter_{direction}"), numbers, verdict }
    }

    /// Writes down why a pair acts as it does, with the numbers that its threshold came from.
    pub(super) fn log_decision(&mut self, at: usize, name: &str, now: Nanos) {
        let pair = self.instruments.pair(self.books[at].pair).name;
        let found = self.decisions(at, now).into_iter().find(|decision| decision.name == name);
        if let Some(decision) = found {
            let text = format!("{pair}: {decision}");
            self.write(crate::event::Record::Note { at: self.clock.unix(), text });
        }
    }

    /// What of the rules keeps a pair from entering now.
    pub(super) fn rule_reasons(&self, at: usize) -> Vec<String> {
        let book = &self.books[at];
        let refused = book.weighing.entries.iter().flatten().filter_map(|entry| entry.enter.err());
        let mut reasons: Vec<String> = refused.map(|why| why.text().to_owned()).collect();
        reasons.dedup();
        let held = matches!(book.state, PairState::Hedged);
        if !held && book.mark.is_some() && book.weighing.costs.is_some() && book.weighing.entries == [None; 2]
        {
            reasons.push("its funding is not known".to_owned());
        }
        reasons
    }
}

fn exit_decision(exit: &Exit, direction: Direction, basis: Option<Ratio>) -> Decision {
    let verdict = match exit.leave {
        Some(leave) => format!("leaves at a basis of {} bps or less", bps_text(leave)),
        None => "holding: the seven-day mean is not known".to_owned(),
    };
    let numbers = vec![
        ("reference_bps", bps(Some(exit.reference))),
        ("forgone_bps", bps(exit.forgone)),
        ("fees_bps", bps(Some(exit.fees))),
        ("basis_bps", bps(basis)),
    ];
    Decision { name: format!("leave_{direction}"), numbers, verdict }
}

fn bps(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(|| "-".to_owned(), bps_text)
}

/// A ratio in percent with two decimals.
fn percent(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{}%", bps_text(ratio / 100)))
}
