//! The shadow's hand on every budget: what left is counted, what a venue says is believed, what may leave
//! is published.
//!
//! Owns:  the lanes, the trader's permit, the clerk's reads, and the freeze when a market asks for silence.
//! Never: lets one market's silence expire another's permit.
//! Start: the counters of an earlier process are not kept: its weight is in the headers of the very first
//!        answers (listings, clocks), its orders in those of the first order's. What it was asked to wait is kept.

use super::{Phase, Shadow};
use crate::desk::budget::{Lane, Line, SLOW_NS, Weighs};
use crate::event::{BudgetTold, Headers, LANES, Limit, Permit, Reads, Record, lane, market_of};
use crate::store::earlier::Quiet;
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos, Unix};
use crate::venue;

/// A calendar may have been stepped since an earlier run was asked for silence: so much more is waited.
const CALENDAR_NS: i64 = 5 * SEC as i64;
/// A venue's clocks and our idea of them differ by less.
const SKEW_NS: i64 = SEC as i64;

/// Every lane with the limits its venue documents, until its listing tells the real ones.
pub(super) fn lanes() -> Vec<Lane> {
    let lane_of = |at: usize| {
        let Some(venue) = venue::ALL.get(at / 2) else { return Lane::default() };
        let leg = LegKind::BOTH[at % 2];
        let weight = (venue.order_weight)(leg);
        let questions = u64::from(weight.query + weight.trades);
        let mut made = Lane::new(Weighs { order: u64::from(weight.order), questions });
        made.limit(venue.limits.iter().filter(|rule| rule.leg == leg).map(|rule| rule.limit(venue.id)));
        made
    };
    (0..LANES).map(lane_of).collect()
}

/// What people call a lane.
pub(super) fn lane_name(lane: usize) -> String {
    let (venue, leg) = market_of(lane);
    format!("{} {leg}", venue::get(venue).name)
}

impl Shadow {
    pub(super) fn take_limits(&mut self, limits: &[Limit]) {
        for (at, state) in self.lanes.iter_mut().enumerate() {
            let mine = || limits.iter().filter(|limit| limit.lane == at).copied();
            if mine().next().is_some() {
                state.limit(mine());
            }
        }
    }

    /// Believes what the headers of an answer said.
    pub(super) fn hear_counted(&mut self, headers: &Headers, now: Nanos) {
        let Some(state) = self.lanes.get_mut(headers.lane) else { return };
        let spoke = state.quiet_until(now).is_none();
        let again = state.hear(&headers.counted, headers.sent, now);
        // Others may have used more than we knew: the trader and the clerk hear of it at once.
        self.permit_due = now;
        if headers.counted.retry_after_s.is_none() {
            return;
        }
        // Questions that wait would be the next requests; their orders' timers ask them again.
        if let Some(courier) = self.couriers.get_mut(&headers.lane) {
            courier.forget_queue();
        }
        if let Some(until) = self.lanes[headers.lane].quiet_until(now) {
            self.write_quiet(headers.lane, until.since(now));
            let why = format!("{} asked to wait (Retry-After)", lane_name(headers.lane));
            self.freeze(market_of(headers.lane).0, until, &why);
            if spoke {
                self.tell_stranded(headers.lane, until.since(now));
            }
        }
        if again {
            let minutes = SLOW_NS / (60 * SEC);
            let why = format!(
                "{} asked to wait twice within a minute: no entries, and half of what normal work may use, for {minutes} \
                 min; see who else uses this address",
                lane_name(headers.lane)
            );
            self.alert(why.clone());
            self.freeze(market_of(headers.lane).0, now.plus(SLOW_NS), &why);
        }
    }

    /// A market asks to be left alone: a process that starts meanwhile knows it.
    fn write_quiet(&mut self, of_lane: usize, for_ns: u64) {
        let later = |at: Unix| Unix(at.0.saturating_add(i64::try_from(for_ns).unwrap_or(i64::MAX)));
        let at = self.clock.unix();
        let by_venue = self.venue_clock(of_lane, self.clock.now()).map(later);
        self.write(Record::Quiet { at, lane: lane_name(of_lane), until: later(at), by_venue });
    }

    /// What a venue's clock says, by any of its markets.
    fn venue_clock(&self, of_lane: usize, now: Nanos) -> Option<Unix> {
        let (venue, _) = market_of(of_lane);
        let of_one = |leg| self.offsets.venue_time(lane(venue, leg), now);
        LegKind::BOTH.into_iter().find_map(of_one)
    }

    /// A market that asked an earlier process to be left alone still wants it: each request would lengthen a ban
    /// (F96).
    pub(super) fn recall_quiet(&mut self) {
        let (now, present) = (self.clock.now(), self.clock.unix());
        for (name, Quiet { at, until, by_venue }) in std::mem::take(&mut self.settings.recalled.quiet) {
            // Whatever the calendar says now, it is never longer than it was asked for.
            let left = until.0.saturating_sub(present.0).min(until.0.saturating_sub(at.0));
            let left_ns = u64::try_from(left.saturating_add(CALENDAR_NS)).unwrap_or(0);
            if let Some(at) = (0..2 * venue::ALL.len()).find(|at| left_ns > 0 && lane_name(*at) == name) {
                self.lanes[at].hush(now.plus(left_ns));
                self.hushed.extend(by_venue.map(|until| (at, until)));
                self.line(&format!(
                    "{name} asked an earlier run to be left alone: nothing is asked there for {} s",
                    left_ns.div_ceil(SEC)
                ));
            }
        }
    }

    /// How long an earlier process was asked to wait is known to a hair once the venue's other market has told the
    /// time: until then it was by our calendar, which may have been set back since.
    pub(super) fn learn_quiet(&mut self, now: Nanos) {
        for (at, until) in std::mem::take(&mut self.hushed) {
            let Some(present) = self.venue_clock(at, now) else {
                self.hushed.push((at, until));
                continue;
            };
            let left = until.0.saturating_sub(present.0).saturating_add(SKEW_NS);
            self.lanes[at].hush(now.plus(u64::try_from(left).unwrap_or(0)));
            self.permit_due = now;
        }
    }

    /// A market shut its door while a pair of it was being put right: a person hears of it at once (R11).
    fn tell_stranded(&mut self, of_lane: usize, for_ns: u64) {
        let stranded = |book: &super::Book| {
            let row = self.instruments.pair(book.pair);
            let legs = [row.spot, row.perp].map(|id| self.instruments.get(id));
            book.mending.is_broken() && legs.iter().any(|leg| lane(leg.venue, leg.leg) == of_lane)
        };
        let names: Vec<String> = self
            .books
            .iter()
            .filter(|book| stranded(book))
            .map(|book| {
                let name = self.instruments.pair(book.pair).name;
                format!("{} {name}", book.holding.exposure())
            })
            .collect();
        if !names.is_empty() {
            let seconds = for_ns.div_ceil(SEC);
            self.alert(format!(
                "{} is shut for {seconds} s while {} is unhedged; put right as soon as it opens",
                lane_name(of_lane),
                names.join(", ")
            ));
        }
    }

    /// Whether a question may leave now; its weight is spent then. Without room its order's timer asks
    /// again.
    pub(super) fn may_ask(&mut self, lane: usize, line: Line, weight: u32, now: Nanos) -> bool {
        let taken = self.lanes.get_mut(lane).is_some_and(|state| state.take(line, u64::from(weight), now));
        if taken {
            // What it took is no longer there for others.
            self.permit_due = now;
        }
        taken
    }

    /// Renews what trader and clerk may send: ceilings rise with the windows, and the trader's end by
    /// themselves if we do.
    pub(super) fn renew_permit(&mut self, now: Nanos) {
        self.permit_due = now.plus(Permit::RENEW_NS);
        // No order leaves before the disk has what its intent record means.
        let written_down = self.doors.durable.read()[0] >= self.recovered.markets_record;
        let trading = written_down
            && match self.phase {
                // What is promised is no longer there for reading the account, which comes first.
                Phase::Recovering(_) => {
                    self.books.iter().any(|book| book.state.is_open() && self.confirmed(book.pair))
                }
                Phase::Trading(_) | Phase::Stopping(_) => true,
                _ => false,
            };
        let line = self.reading_line();
        let mut reads = Reads { relist: self.relist, ..Reads::default() };
        self.permit.generation += 1;
        for at in 0..LANES.min(self.lanes.len()) {
            let open = self.may_trade() && !self.is_frozen(market_of(at).0, now);
            let state = &mut self.lanes[at];
            let quiet = state.quiet_until(now);
            if trading {
                let ceilings = state.ceilings(open, now);
                self.permit.entry[at] = ceilings.entry;
                self.permit.normal[at] = ceilings.normal;
                self.permit.all[at] = ceilings.all;
                self.permit.expires[at] = if quiet.is_some() { now } else { now.plus(Permit::TTL_NS) };
            }
            reads.weight[at] = state.reads(line, now);
            reads.quiet[at] = quiet.unwrap_or_default();
        }
        self.permit.stakes = self.stakes(now);
        self.permit.begins = self.may_trade();
        if trading {
            self.doors.permit.publish(self.permit.to_words());
        }
        if reads != self.reads {
            self.reads = reads;
            self.doors.reads.publish(reads.to_words());
        }
    }

    /// How far reading goes. What a run that was cut short left unhedged is not known before the next one has read
    /// where it stands, and while a pair is being put right so is reading for it: both are questions about an order
    /// whose fate is unknown (FAULTS part 1), and whoever else uses this address must not hold them up.
    pub(super) fn reading_line(&self) -> Line {
        let taking_over = self.cut_short && matches!(self.phase, Phase::Starting | Phase::Recovering(_));
        let broken = self.books.iter().any(|book| book.mending.is_broken());
        if taking_over || broken || self.unknown_now() > 0 { Line::Reserve } else { Line::Normal }
    }

    /// How every budget stands, market by market.
    #[must_use]
    pub fn budgets(&mut self, now: Nanos) -> Vec<BudgetTold> {
        let mut told = Vec::new();
        for (at, state) in self.lanes.iter_mut().enumerate().take(venue::ALL.len() * 2) {
            let quiet_ns = state.quiet_until(now).map_or(0, |until| until.since(now));
            told.extend(state.standings(now).map(|standing| BudgetTold {
                lane: lane_name(at),
                kind: standing.limit.kind,
                window_ns: standing.limit.window_ns,
                used: standing.used,
                line: standing.line,
                limit: standing.limit.limit,
                peak: standing.peak,
                quiet_ns,
            }));
        }
        told
    }

    /// The lane of a pair's leg.
    pub(super) fn lane_of(&self, pair: crate::units::PairId, leg: LegKind) -> usize {
        lane(self.instruments.leg(pair, leg).venue, leg)
    }
}
