//! Request budgets: published limits in; what the trader, the clerk and the shadow may still send, out.
//!
//! Owns:  sliding windows of what we sent, the venue's own counters beside them, the 60 % and 90 %
//!        lines (DESIGN §5), what is promised to other rooms, and how long a market wants to hear nothing.
//! Never: lets own sends and promises together pass a line; a ceiling falls only with what the venue
//!        counted beyond what we sent, or with a counter that it tells no more.
//! Why:   the venue's windows are aligned; a sliding window of the same length is never above them,
//!        so keeping ours keeps theirs, wherever they begin.

use crate::event::{Counted, Kind, Limit};
use crate::metal::bugs::{Bug, planted};
use crate::units::Nanos;
use crate::units::time::SEC;
use std::collections::VecDeque;

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// What is only looked at in case nobody told: 30 % of each limit.
    Watch,
    /// ENTRY, EXIT by threshold, reads of data: 60 % of each limit.
    Normal,
    /// CANCEL, REPAIR, FLATTEN, and questions about an order whose fate is unknown: 90 %.
    Reserve,
}

impl Line {
    /// Units of a limit below this line.
    #[must_use]
    pub const fn of(self, limit: u64) -> u64 {
        match self {
            Self::Watch => limit * 30 / 100,
            Self::Normal => limit * 60 / 100,
            Self::Reserve => limit * 90 / 100,
        }
    }
}

/// Orders an ENTRY is charged per lane: its own leg and the worst repair of it (FAULTS F100).
pub const ENTRY_CHARGE: u64 = 1 + 6;
/// Request weight promised to the clerk ahead of its need: its largest request weighs half of it.
const READ_AHEAD: u64 = 40;
/// Sends promised to the trader ahead of its need: more than both legs of every pair could take before the
/// promise is renewed. All that is promised is taken from the questions of others.
const SEND_AHEAD: u64 = 100;
/// Questions beyond the normal line leave this part of a limit to processes that begin: each asks once before any
/// answer tells it what those before it used (a listing: 1 of 2,400, or 20 of 6,000).
const BEGINS_PART: u64 = 30;
/// What left may reach the venue so much later than what leaves next: it counts longer by that.
pub const LATE_NS: u64 = SEC;
/// Sends of one window are kept in so many steps at most; a step counts until its last send is over.
const STEPS: u64 = 1_000;

/// For a market that turns us away again so soon after its silence, normal work gets half of what it had (F95) ...
const AGAIN_NS: u64 = 60 * SEC;
/// ... for so long.
pub const SLOW_NS: u64 = 600 * SEC;
/// What left since the venue's counter was told last: more than this part of a limit, and more than so many
/// units, and it is not told any more (F98).
const BLIND_PART: u64 = 5;
const BLIND_UNITS: u64 = 10;

/// Units spent close to each other.
#[derive(Clone, Copy, Debug)]
struct Step {
    first: Nanos,
    last: Nanos,
    units: u64,
}

/// The venue's counter, as it was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    used: u64,
    /// When the request left whose answer told it: what left later is not in it.
    asked: Nanos,
    /// When its window is over for certain.
    until: Nanos,
}

/// One published limit.
#[derive(Clone, Debug)]
struct Window {
    limit: Limit,
    steps: VecDeque<Step>,
    own: u64,
    peak: u64,
    told: Option<Told>,
}

impl Window {
    fn new(limit: Limit) -> Self {
        Self { limit, steps: VecDeque::new(), own: 0, peak: 0, told: None }
    }

    fn spend(&mut self, units: u64, at: Nanos, now: Nanos) {
        if units == 0 {
            return;
        }
        self.expire(now);
        self.own += units;
        self.peak = self.peak.max(self.own);
        let grain = self.limit.window_ns / STEPS;
        match self.steps.back_mut() {
            Some(step) if at <= step.last || at.since(step.first) < grain => {
                step.last = step.last.max(at);
                step.units += units;
            }
            _ => self.steps.push_back(Step { first: at, last: at, units }),
        }
    }

    /// The venue's own count. One of an earlier request says less than one of a later, unless it is larger.
    fn hear(&mut self, used: u64, asked: Nanos, now: Nanos, venue_ahead: Option<i64>) {
        let older = |told: &Told| asked < told.asked && used <= told.used && now < told.until;
        if !self.told.as_ref().is_some_and(older) {
            let (asked_in, heard_in) = (self.ends(asked, venue_ahead), self.ends(now, venue_ahead));
            // A window ended while the answer was on its way. A count that goes on from the last one is of the old one: a
            // new one begins at nothing, and would else be taken for used up to its end.
            let goes_on = |told: &Told| used >= told.used && told.until <= asked_in.plus(LATE_NS);
            let of_old = asked_in < heard_in && self.told.as_ref().is_some_and(goes_on);
            self.told = Some(Told { used, asked, until: if of_old { asked_in } else { heard_in } });
        }
    }

    /// When the window of a counter heard now is over at the latest: they begin at whole multiples of their length
    /// in the venue's time (venues/binance.md: a 10 s window starts at :00, :10, ...). Where that time is not
    /// known, a whole length from now. A count that is waited out for longer keeps a market shut for nothing.
    fn ends(&self, now: Nanos, venue_ahead: Option<i64>) -> Nanos {
        let length = self.limit.window_ns;
        let whole = now.plus(length);
        let Some(ahead) = venue_ahead.filter(|_| length > 0) else { return whole };
        let gone = (i128::from(now.0) + i128::from(ahead)).rem_euclid(i128::from(length));
        let left = u64::try_from(i128::from(length) - gone).unwrap_or(length);
        now.plus(left + LATE_NS).min(whole)
    }

    /// Units used in the window that ends now: the larger of both counts (FAULTS I7, F97).
    fn used(&mut self, now: Nanos) -> u64 {
        self.expire(now);
        let Some(told) = self.told.filter(|told| now < told.until) else { return self.own };
        let since = self.steps.iter().rev().take_while(|step| step.last > told.asked);
        self.own.max(told.used + since.map(|step| step.units).sum::<u64>())
    }

    /// Units of our own that the venue's counter has not told of.
    fn untold(&self) -> u64 {
        let asked = self.told.map_or(Nanos::ZERO, |told| told.asked);
        self.steps.iter().rev().take_while(|step| step.last > asked).map(|step| step.units).sum()
    }

    /// Whether nothing but our own count is known: others at this address would not be seen.
    fn is_blind(&self) -> bool {
        self.limit.header.is_none() || self.untold() > (self.limit.limit / BLIND_PART).max(BLIND_UNITS)
    }

    /// Where a line lies: where no counter is told, the upper one at half of the limit. While the market is slow
    /// normal work ends at half of its own; what is unhedged is put right all the same, and a venue that wants
    /// nothing at all says so with `Retry-After`.
    fn line(&self, line: Line, slow: bool) -> u64 {
        let limit = self.limit.limit;
        let whole = line.of(if self.is_blind() { limit * 50 / 90 } else { limit });
        if slow && line == Line::Normal { whole / 2 } else { whole }
    }

    fn expire(&mut self, now: Nanos) {
        let length = self.limit.window_ns + LATE_NS;
        while let Some(step) = self.steps.pop_front_if(|step| now.since(step.last) >= length) {
            self.own -= step.units;
        }
    }
}

/// What an order weighs on a lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weighs {
    /// The order itself.
    pub order: u64,
    /// The questions that may have to be asked about it.
    pub questions: u64,
}

impl Weighs {
    /// Units of a limit that the order takes when it leaves.
    const fn own(self, kind: Kind) -> u64 {
        match kind {
            Kind::Orders | Kind::Raw => 1,
            Kind::Weight => self.order,
        }
    }

    /// Units it may take with all that follows: one question what became of it, one for its trades.
    const fn whole(self, kind: Kind) -> u64 {
        match kind {
            Kind::Orders => 1,
            Kind::Raw => 3,
            Kind::Weight => self.order + self.questions,
        }
    }
}

/// Cumulative ceilings for the trader, as in [`crate::event::Permit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Entries, each charged [`ENTRY_CHARGE`].
    pub entry: u64,
    /// Everything it sends, up to the normal line.
    pub normal: u64,
    /// Everything it sends, up to the reserve line.
    pub all: u64,
}

/// How one limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub limit: Limit,
    /// Units used now.
    pub used: u64,
    /// Where normal work stops now.
    pub line: u64,
    /// The most units of our own in any window so far.
    pub peak: u64,
}

/// All limits of one lane (a venue's market), and what follows from them.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    windows: Vec<Window>,
    weighs: Weighs,
    /// What left by the trader's hand, and what its entries were charged, as far as it was heard of.
    sent: u64,
    charged: u64,
    /// Entries whose pair is not resolved yet: the worst repair of each is held back.
    open: u64,
    /// Request weight the clerk sent.
    read: u64,
    promised: Ceilings,
    promised_reads: u64,
    quiet: Nanos,
    /// Until when it asked an earlier process to be left alone.
    hushed: Nanos,
    /// The venue's time less ours, ns, once it is learned.
    venue_ahead: Option<i64>,
    /// Until when normal work gets half.
    slow: Nanos,
}

impl Lane {
    /// A lane without limits: nothing may leave.
    #[must_use]
    pub fn new(weighs: Weighs) -> Self {
        Self { weighs, ..Self::default() }
    }

    /// Takes in the lane's limits. What was counted goes on to count, also for a window of a new length.
    pub fn limit(&mut self, limits: impl Iterator<Item = Limit>) {
        let old = std::mem::take(&mut self.windows);
        self.windows = limits
            .map(|limit| {
                let like = old.iter().filter(|it| it.limit.kind == limit.kind);
                let like = like.max_by_key(|it| (it.limit.window_ns == limit.window_ns, it.limit.window_ns));
                let told = like.filter(|it| it.limit.header == limit.header).and_then(|it| it.told);
                like.map_or(Window::new(limit), |it| Window { limit, told, ..it.clone() })
            })
            .collect();
    }

    // ───────────────────────────── what left ─────────────────────────────

    /// An order left at `sent`.
    pub fn on_order(&mut self, entry: bool, sent: Nanos, now: Nanos) {
        self.sent += 1;
        if entry {
            self.charged += ENTRY_CHARGE;
            self.open += 1;
        }
        let weighs = self.weighs;
        for window in &mut self.windows {
            window.spend(weighs.own(window.limit.kind), sent, now);
        }
    }

    /// An entry's pair is resolved: what its repair did not need is free again.
    pub fn on_resolved(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// The trader sent a request that is no order.
    pub fn on_warmed(&mut self, weight: u64, sent: Nanos, now: Nanos) {
        self.sent += 1;
        self.spend(weight, sent, now);
    }

    /// The clerk sent a request.
    pub fn on_read(&mut self, weight: u64, sent: Nanos, now: Nanos) {
        self.read += weight;
        self.spend(weight, sent, now);
    }

    /// Takes the room for a question of the shadow's own, if there is any below this line and nobody
    /// asked for silence; whether it may leave.
    #[must_use = "without room the question must wait"]
    pub fn take(&mut self, line: Line, weight: u64, now: Nanos) -> bool {
        let fits = self.quiet_until(now).is_none()
            && (0..self.windows.len()).all(|at| {
                let kind = self.windows[at].limit.kind;
                let cost = request(kind, weight);
                let begins = line == Line::Reserve && kind == Kind::Weight;
                let begins = if begins { self.windows[at].limit.limit / BEGINS_PART } else { 0 };
                let promised = self.to_trader(kind) + self.to_clerk(kind);
                cost == 0 || cost + promised + begins <= self.room(at, line, now)
            });
        if fits {
            self.spend(weight, now, now);
        }
        fits
    }

    fn spend(&mut self, weight: u64, sent: Nanos, now: Nanos) {
        for window in &mut self.windows {
            window.spend(request(window.limit.kind, weight), sent, now);
        }
    }

    // ───────────────────────────── what the venue says ─────────────────────────────

    /// How far the venue's clock is ahead of ours, ns; `None`: not learned.
    pub fn learn_clock(&mut self, venue_ahead: Option<i64>) {
        self.venue_ahead = venue_ahead;
    }

    /// What the headers of an answer said, whose request left at `asked`. Whether it is the second time within a
    /// minute that the market asks to be left alone: what left before the first silence was over is of the first.
    pub fn hear(&mut self, counted: &Counted, asked: Nanos, now: Nanos) -> bool {
        for window in &mut self.windows {
            if let Some(used) = window.limit.header.and_then(|header| header.of(counted))
                && !planted(Bug::HeadersIgnored)
            {
                window.hear(u64::from(used), asked, now, self.venue_ahead);
            }
        }
        let Some(seconds) = counted.retry_after_s else { return false };
        let before = self.quiet.max(self.hushed);
        let again = before > Nanos::ZERO && asked >= before && asked.since(before) < AGAIN_NS;
        self.quiet = self.quiet.max(now.plus(u64::from(seconds) * SEC));
        if again {
            self.slow = now.plus(SLOW_NS);
        }
        again
    }

    /// The market asked an earlier process to be left alone until then, as is known now.
    pub fn hush(&mut self, until: Nanos) {
        self.hushed = until;
    }

    /// Until when the market wants to hear nothing, if it does now.
    #[must_use]
    pub fn quiet_until(&self, now: Nanos) -> Option<Nanos> {
        Some(self.quiet.max(self.hushed)).filter(|until| now < *until && !planted(Bug::RetryAfterIgnored))
    }

    // ───────────────────────────── what may leave ─────────────────────────────

    /// What the trader may have sent since start. `entries_allowed` false: no entry beyond those heard of.
    pub fn ceilings(&mut self, entries_allowed: bool, now: Nanos) -> Ceilings {
        let (mut entry, mut normal, mut all) = (u64::MAX, u64::MAX, u64::MAX);
        for at in 0..self.windows.len() {
            let kind = self.windows[at].limit.kind;
            let (own, whole) = (self.weighs.own(kind), self.weighs.whole(kind).max(1));
            let held = self.open * (ENTRY_CHARGE * whole - own);
            let clerk = self.to_clerk(kind);
            let below = self.room(at, Line::Normal, now).saturating_sub(clerk);
            // What weighs nothing is stopped by a full window too: it might have to be asked about.
            normal = normal.min(below / own.max(1));
            entry = entry.min(below.saturating_sub(held) / whole);
            all = all.min(self.room(at, Line::Reserve, now).saturating_sub(clerk) / own.max(1));
        }
        let open = |room: u64, most: u64| if self.windows.is_empty() { 0 } else { room.min(most) };
        self.promised = Ceilings {
            entry: self.charged + if entries_allowed { open(entry, SEND_AHEAD * ENTRY_CHARGE) } else { 0 },
            normal: self.sent + open(normal, SEND_AHEAD),
            all: self.sent + open(all, SEND_AHEAD),
        };
        self.promised
    }

    /// Whether there is room for one more order that reduces risk.
    #[must_use]
    pub fn may_repair(&mut self, now: Nanos) -> bool {
        self.quiet_until(now).is_none()
            && (0..self.windows.len()).all(|at| {
                let kind = self.windows[at].limit.kind;
                self.room(at, Line::Reserve, now) >= self.weighs.own(kind).max(1) + self.to_clerk(kind)
            })
    }

    /// The request weight that the clerk may have sent since start, up to this line. Beyond the lower one it leaves
    /// what a repair at its worst takes: what is read for the sake of one must not stand in its way.
    pub fn reads(&mut self, line: Line, now: Nanos) -> u64 {
        let mut ahead = if self.windows.is_empty() { 0 } else { READ_AHEAD };
        for at in 0..self.windows.len() {
            let kind = self.windows[at].limit.kind;
            if kind != Kind::Orders {
                let held = self.to_trader(kind);
                let worst =
                    if line == Line::Reserve { (ENTRY_CHARGE - 1) * self.weighs.whole(kind) } else { 0 };
                let beyond = self.room(at, line, now).saturating_sub(held + worst);
                let below = self.room(at, Line::Normal, now).saturating_sub(held);
                ahead = ahead.min(below.max(beyond));
            }
        }
        self.promised_reads = self.read + ahead;
        self.promised_reads
    }

    fn room(&mut self, at: usize, line: Line, now: Nanos) -> u64 {
        let slow = now < self.slow;
        let window = &mut self.windows[at];
        let used = window.used(now);
        window.line(line, slow).saturating_sub(used)
    }

    /// Units that the trader may send before it is told otherwise; what it sends weighs at least 1 once.
    fn to_trader(&self, kind: Kind) -> u64 {
        let sends = self.promised.all.saturating_sub(self.sent);
        (sends * self.weighs.own(kind)).max(sends.min(1))
    }

    /// The same for the clerk; each of its requests weighs at least 1.
    fn to_clerk(&self, kind: Kind) -> u64 {
        if kind == Kind::Orders { 0 } else { self.promised_reads.saturating_sub(self.read) }
    }

    /// How each limit stands.
    pub fn standings(&mut self, now: Nanos) -> impl Iterator<Item = Standing> {
        let slow = now < self.slow;
        self.windows.iter_mut().map(move |window| {
            let (used, line) = (window.used(now), window.line(Line::Normal, slow));
            Standing { limit: window.limit, used, line, peak: window.peak }
        })
    }
}

/// Units of a limit that a request of this weight takes.
const fn request(kind: Kind, weight: u64) -> u64 {
    match kind {
        Kind::Orders => 0,
        Kind::Raw => 1,
        Kind::Weight => weight,
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
