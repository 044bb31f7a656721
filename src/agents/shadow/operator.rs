//! The operator's word: modes and their latches, and replies to what `ctl` asks.
//!
//! Owns:  the mode (FAULTS part 1), who may change it, the engine's own halt, and what a person is told of the whole.
//! Never: lets a mode go without its reason, calls a change done before it is on the disk.
//! Order: a mode holds in memory at once; the reply waits for the journal and the latch file.

use super::budget::lane_name;
use super::{Phase, Shadow};
use crate::desk::basis::Scales;
use crate::event::{
    Ask, Asked, Closed, Latched, Mode, PairState, PairTold, Record, Replied, Reply, Status, lane,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::crash;
use crate::metal::latch::Latch;
use crate::metal::ring::{Consumer, Producer};
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos, Qty};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a reply waits for the disk before it says that the disk has not confirmed.
const DURABLE_WAIT_NS: u64 = 2 * SEC;
/// How to leave HALTED and KILLED.
const WAY_OUT: &str = "`contango ctl resume --reason TEXT` trades again";

/// The operator's doors.
#[derive(Debug)]
pub struct OperatorDoors {
    /// What is asked.
    pub asks: Consumer<Asked>,
    /// What is said to it.
    pub replies: Producer<Replied>,
    /// Forbids every order at once; whoever hears `kill` sets it before the shadow is asked.
    pub kill: Latch,
}

/// What the shadow keeps for the operator.
#[derive(Debug)]
pub(super) struct Operator {
    mode: Mode,
    why: String,
    flattening: bool,
    /// Replies that wait for the disk.
    waiting: Vec<Waiting>,
    /// Connections by what they are for; why the last one died, if none took its place.
    pub(super) links: BTreeMap<String, Option<String>>,
    begun: Nanos,
}

/// A reply that waits until its record is durable.
#[derive(Debug)]
struct Waiting {
    to: u64,
    record: u64,
    until: Nanos,
    mode: Mode,
    text: String,
}

impl Operator {
    /// Begins as the latch file says. A latched KILLED sets the kill latch before anything turns.
    pub(super) fn new(latched: Option<Latched>, doors: &OperatorDoors, begun: Nanos) -> Self {
        let latched = latched.filter(|_| !planted(Bug::LatchClearedAtStart));
        let (mode, why) = latched.map_or((Mode::Trading, String::new()), |it| (it.mode, it.why));
        if mode == Mode::Killed {
            doors.kill.set();
        }
        Self { mode, why, flattening: false, waiting: Vec::new(), links: BTreeMap::new(), begun }
    }

    /// When the run began.
    pub(super) const fn begun(&self) -> Nanos {
        self.begun
    }
}

impl Shadow {
    /// What the engine may do now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.operator.mode {
            Mode::Trading if !matches!(self.phase, Phase::Starting | Phase::Trading(_)) => Mode::ReduceOnly,
            Mode::Trading if self.lags().is_some() => Mode::ReduceOnly,
            mode => mode,
        }
    }

    /// Why it is in a mode that the operator chose, or the disk; empty if neither did.
    #[must_use]
    pub fn mode_why(&self) -> &str {
        self.lags().filter(|_| self.operator.mode == Mode::Trading).unwrap_or(&self.operator.why)
    }

    /// Whether signals may be acted on: entries, and exits by threshold.
    pub(super) fn may_trade(&self) -> bool {
        let may = self.operator.mode == Mode::Trading || planted(Bug::HaltIgnored);
        matches!(self.phase, Phase::Trading(_)) && may
    }

    /// Whether everything held is being closed.
    pub(super) fn flattening(&self) -> bool {
        self.operator.flattening
    }

    /// All feeds are live: says what follows from it in this mode.
    pub(super) fn tell_live(&mut self, venue: &str) {
        let mode = self.operator.mode;
        let mut why = format!("all feeds of {venue} are live");
        if mode != Mode::Trading {
            why = format!("{why}; {} ({}); {WAY_OUT}", mode.name().to_uppercase(), self.operator.why);
        }
        self.line(&if mode == Mode::Trading { format!("{why}; trading") } else { why.clone() });
        self.write(Record::Mode { at: self.clock.unix(), mode: mode.name(), why });
    }

    /// Hears the operator, goes on flattening, and sends the replies that the disk has confirmed.
    pub(super) fn hear_operator(&mut self, now: Nanos) -> usize {
        let mut asked = Vec::new();
        while let Some(one) = self.doors.operator.asks.pop() {
            asked.push(one);
        }
        let work = asked.len();
        // A kill has set its latch already: a resume heard in the same turn must not take it back.
        let killed = asked.iter().any(|one| matches!(one.ask, Ask::Kill(_)));
        for Asked { from, ask } in asked {
            let reply = match ask {
                Ask::Status => Reply::Status(Box::new(self.status(now))),
                Ask::Why(name) => self.why_pair(&name, now),
                Ask::Resume(_) if killed => {
                    Reply::Refused("a kill came in the same moment; look, and resume again".to_owned())
                }
                order => match self.obey(order, now) {
                    Err(why) => Reply::Refused(why),
                    Ok(text) => {
                        // The record of it is the last one written.
                        let record = self.written + self.backlog.len() as u64;
                        let (until, mode) = (now.plus(DURABLE_WAIT_NS), self.mode());
                        self.operator.waiting.push(Waiting { to: from, record, until, mode, text });
                        continue;
                    }
                },
            };
            self.reply(from, reply);
        }
        if self.operator.flattening && self.is_flat() {
            let why = format!("flat ({}){}", self.operator.why, self.stubs_told());
            self.change(Mode::Halted, false, why, false, now);
            crash::point("K18c");
        }
        self.reply_durable(now);
        work
    }

    /// Changes the mode as told.
    ///
    /// # Errors
    ///
    /// Why it stays as it is, and what to do.
    fn obey(&mut self, order: Ask, now: Nanos) -> Result<String, String> {
        let present = self.operator.mode;
        match order {
            Ask::Kill(why) => {
                self.change(Mode::Killed, false, why, false, now);
                Ok(format!("killed: no order leaves any more; {WAY_OUT}"))
            }
            Ask::Resume(why) if why.trim().is_empty() => {
                Err(format!("{} is left with a reason only: {WAY_OUT}", present.name()))
            }
            Ask::Resume(why) => {
                self.change(Mode::Trading, false, why, false, now);
                self.recon_all(now);
                Ok(format!(
                    "trading again (was {}) once the books were held against the venue's",
                    present.name()
                ))
            }
            Ask::Grant { pair, qty } => self.grant(&pair, qty, now),
            _ if present == Mode::Killed => {
                Err(format!("killed: nothing is sent, so nothing can be stopped or closed; {WAY_OUT}"))
            }
            Ask::Flatten(why) => {
                let held = self.books.iter().filter(|book| book.state != PairState::Flat).count();
                self.change(Mode::ReduceOnly, true, why, false, now);
                crash::point("K18a");
                Ok(format!("no entries; {held} pairs are being closed, then the engine halts"))
            }
            Ask::Halt(why) => {
                self.change(Mode::Halted, false, why, false, now);
                Ok(format!("halted: no entry, no exit; what is broken is repaired; {WAY_OUT}"))
            }
            Ask::Status | Ask::Why(_) => Err("this is no order".to_owned()),
        }
    }

    /// Halts by itself: nothing but repairs until the operator resumes. What stands already and is no
    /// laxer stays: KILLED, HALTED, and a flattening, which ends HALTED.
    pub(super) fn halt(&mut self, why: String, now: Nanos) {
        if matches!(self.operator.mode, Mode::Killed | Mode::Halted) || self.operator.flattening {
            return;
        }
        self.change(Mode::Halted, false, why, true, now);
    }

    /// Halts by itself where nothing can be sent, and calls a person, once: a flattening ends with it, too, since each
    /// try could close one leg of a pair and be refused the other.
    pub(super) fn stop(&mut self, why: String, now: Nanos) {
        if matches!(self.operator.mode, Mode::Killed | Mode::Halted) {
            return;
        }
        self.alert(why.clone());
        self.change(Mode::Halted, false, why, true, now);
    }

    fn change(&mut self, mode: Mode, flattening: bool, why: String, own: bool, now: Nanos) {
        let kill = &self.doors.operator.kill;
        if mode == Mode::Killed {
            kill.set();
        } else if self.operator.mode == Mode::Killed {
            kill.clear();
        }
        (self.operator.mode, self.operator.flattening) = (mode, flattening);
        self.operator.why.clone_from(&why);
        // The trader hears of it at once, not with the next round of timers.
        self.permit_due = now;
        for at in 0..self.books.len() {
            self.publish_terms(at, now);
        }
        self.line(&format!("{}: {why}", mode.name().to_uppercase()));
        self.write(Record::Latch { at: self.clock.unix(), mode, why, own });
        if mode == Mode::Killed {
            crash::point("K17b");
        }
    }

    fn is_flat(&self) -> bool {
        self.orders.is_empty() && (0..self.books.len()).all(|at| self.is_closed(at))
    }

    fn reply(&mut self, to: u64, reply: Reply) {
        // A full ring is an operator who asks faster than he listens: he is answered when he asks again.
        let _ = self.doors.operator.replies.push(Replied { to, reply });
    }

    fn reply_durable(&mut self, now: Nanos) {
        if self.operator.waiting.is_empty() {
            return;
        }
        let durable = self.doors.durable.read()[0];
        for one in std::mem::take(&mut self.operator.waiting) {
            if durable >= one.record {
                self.reply(one.to, Reply::Done { mode: one.mode, text: one.text });
            } else if now >= one.until {
                self.reply(one.to, Reply::NotDurable { mode: one.mode, text: one.text });
            } else {
                self.operator.waiting.push(one);
            }
        }
    }

    // ───────────────────────────── what is told ─────────────────────────────

    fn status(&mut self, now: Nanos) -> Status {
        let pairs = (0..self.books.len()).map(|at| self.pair_told(at, now)).collect();
        let open = self.orders.values().filter(|it| !it.order.ended()).map(|it| it.order.client());
        let open = open.collect();
        let phase = match self.phase {
            Phase::Starting => "starting",
            Phase::Recovering(_) => "recovering",
            Phase::Trading(_) => "live",
            Phase::Stopping(_) => "stopping",
            Phase::Closing | Phase::Over => "over",
        };
        Status {
            mode: self.mode(),
            why: self.mode_why().to_owned(),
            flattening: self.operator.flattening,
            phase,
            identity: self.settings.identity,
            up_ns: now.since(self.operator.begun),
            pairs,
            open,
            budgets: self.budgets(now),
            capital: self.risk.told(),
            links: self.operator.links.iter().map(|(what, why)| (what.clone(), why.clone())).collect(),
            journal: [self.written + self.backlog.len() as u64, self.doors.durable.read()[0]],
        }
    }

    fn why_pair(&self, name: &str, now: Nanos) -> Reply {
        match self.find_pair(name) {
            Some(at) => Reply::Why(Box::new(self.pair_told(at, now))),
            None => Reply::Unknown(self.no_such_pair(name)),
        }
    }

    /// The pair of this name, or with a market of this symbol.
    pub(super) fn find_pair(&self, name: &str) -> Option<usize> {
        let wanted = name.to_uppercase();
        self.books.iter().position(|book| {
            let row = self.instruments.pair(book.pair);
            let symbol = |leg| self.instruments.get(leg).symbol;
            row.name.as_str() == wanted
                || symbol(row.spot).as_str() == wanted
                || symbol(row.perp).as_str() == wanted
        })
    }

    /// Says which pairs there are instead.
    pub(super) fn no_such_pair(&self, name: &str) -> String {
        let names = self.books.iter().map(|book| self.instruments.pair(book.pair).name);
        let names: Vec<_> = names.map(|name| name.to_string()).collect();
        format!("there is no pair {name}; there are {}", names.join(", "))
    }

    fn pair_told(&self, at: usize, now: Nanos) -> PairTold {
        let instruments = Arc::clone(&self.instruments);
        let book = &self.books[at];
        let row = instruments.pair(book.pair);
        let quotes = book.pulse.map_or([None; 2], |pulse| pulse.quotes);
        let basis = match quotes {
            [Some(spot), Some(perp)] => {
                Scales::new(row, instruments.get(row.spot), instruments.get(row.perp))
                    .and_then(|scales| scales.basis(perp.bid, spot.ask))
            }
            _ => None,
        };
        PairTold {
            name: row.name,
            state: book.state,
            spot: book.holding.spot,
            perp: book.holding.perp,
            enter: book.weighing.enter(),
            best: book.best,
            basis,
            weighed: book.pulse.map_or([0; 4], |pulse| pulse.weighed),
            gate: book.pulse.and_then(|pulse| pulse.gate),
            funding: self.funding_told(book.pair, now),
            decisions: self.decisions(at, now),
            reasons: self.reasons(at, now),
        }
    }

    /// What keeps a pair from entering now.
    fn reasons(&self, at: usize, now: Nanos) -> Vec<String> {
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        let (spot, perp) = (self.instruments.get(row.spot), self.instruments.get(row.perp));
        let mut reasons = Vec::new();
        let mut say = |holds: bool, text: String| {
            if holds {
                reasons.push(text);
            }
        };
        let mode = self.mode();
        say(mode != Mode::Trading, format!("the engine is {}: {}", mode.name(), self.mode_why()));
        say(self.phase == Phase::Starting, "the feeds are not live yet".to_owned());
        say(self.calendar.is_some(), self.calendar.clone().unwrap_or_default());
        for venue in [spot.venue, perp.venue] {
            let name = crate::venue::get(venue).name;
            say(self.in_doubt(venue), format!("{name}: the fate of an order is unknown"));
            if let Some((_, why)) = self.frozen.get(&venue).filter(|(until, _)| now < *until) {
                say(true, format!("{name}: {why}"));
            }
            for of_lane in LegKind::BOTH.map(|leg| lane(venue, leg)) {
                let market = lane_name(of_lane);
                say(
                    self.recon.doubts(of_lane),
                    format!(
                        "what stands on {market} is being read, and may be other than what is known here"
                    ),
                );
            }
            if venue == perp.venue {
                break;
            }
        }
        let missing = &self.streams.missing;
        say(missing.is_some(), missing.clone().unwrap_or_default());
        say(book.frozen.is_some(), book.frozen.clone().unwrap_or_default());
        let shut = self.shut_why(book.pair);
        say(shut.is_some(), shut.unwrap_or_default());
        let stub = self.stub_why(at);
        say(book.state == PairState::Hedged && stub.is_none(), "it is held already".to_owned());
        say(stub.is_some(), stub.unwrap_or_default());
        say(
            matches!(book.state, PairState::Busy | PairState::Unknown),
            "its orders are still open".to_owned(),
        );
        say(book.mark.is_none(), "no funding estimate yet".to_owned());
        say(book.pulse.is_none_or(|it| it.quotes.contains(&None)), "no quote of a leg yet".to_owned());
        say(book.clip[0] == Qty::ZERO, "no clip yet".to_owned());
        let dear = self.too_dear(at);
        say(dear.is_some(), dear.unwrap_or_default());
        let capped = self.capped(at);
        say(capped.is_some(), capped.unwrap_or_default());
        let learned = LegKind::BOTH.into_iter().zip([spot, perp]);
        let mut learned = learned.map(|(leg, row)| self.offsets.0[lane(row.venue, leg)].is_some());
        say(!learned.all(|learned| learned), Closed::NoClock.text().to_owned());
        say(book.mark.is_some() && now > book.terms.valid_until, Closed::TermsExpired.text().to_owned());
        say(
            book.mark.is_some() && self.parted(at),
            "its mark and its market are more than 2 % apart".to_owned(),
        );
        let long = self.settings.directions[1] && book.clip[0] > Qty::ZERO;
        say(
            long && !self.covers_long(at, book.clip[0], now),
            format!(
                "a long entry sells granted coins, and {} may be sold; grant some with `contango ctl grant {} QTY`",
                self.to_sell(at, now),
                row.name
            ),
        );
        self.rule_reasons(at).into_iter().for_each(|why| say(true, why));
        let held_back = self.confirm_reason(at, now);
        say(held_back.is_some(), held_back.unwrap_or_default());
        reasons
    }
}
