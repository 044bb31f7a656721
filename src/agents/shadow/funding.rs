//! What each perp's funding is: settled rows from the clerk, coming settlements and estimates from marks.
//!
//! Owns:  every perp's [`History`], and the [`Carry`] the rules count on.
//! Never: asks for anything (the clerk does), or books money: what was paid comes from the income ledger.

use super::Shadow;
use crate::carry::funding::{Carry, History};
use crate::event::{FundingTold, Mark, lane};
use crate::units::{InstrumentId, LegKind, Nanos, PairId, Rate, Unix};
use std::collections::BTreeMap;

/// By perp.
#[derive(Debug, Default)]
pub(super) struct Funding {
    of: BTreeMap<InstrumentId, History>,
}

impl Shadow {
    /// Rates that were settled.
    pub(super) fn on_settled(&mut self, perp: InstrumentId, rows: &[(Unix, Rate)]) {
        let history = self.funding.of.entry(perp).or_default();
        for (at, rate) in rows {
            history.add(*at, *rate);
        }
        if let Some(newest) = history.last() {
            history.forget(newest.at);
        }
    }

    /// Intervals as the venue states them.
    pub(super) fn on_intervals(&mut self, rows: &[(InstrumentId, u32)]) {
        for (perp, hours) in rows {
            self.funding.of.entry(*perp).or_default().state(*hours);
        }
    }

    /// A mark announces the coming settlement.
    pub(super) fn on_announced(&mut self, mark: &Mark) {
        if let Some(coming) = mark.next_funding {
            self.funding.of.entry(mark.instrument).or_default().announce(mark.stamp, coming);
        }
    }

    /// What the rules count on for a pair; `None`: no fresh estimate, no interval, or no clock.
    pub(super) fn carry(&self, pair: PairId, now: Nanos) -> Option<Carry> {
        let mark = self.books[usize::from(pair.0)].mark.as_ref()?;
        let time = self.perp_time(mark.instrument, now)?;
        let history = self.funding.of.get(&mark.instrument)?;
        history.carry(time, mark.funding, now.since(mark.received))
    }

    /// The calendar time of a perp's venue; `None`: its clock is not learned.
    pub(super) fn perp_time(&self, perp: InstrumentId, now: Nanos) -> Option<Unix> {
        self.offsets.venue_time(lane(self.instruments.get(perp).venue, LegKind::Perp), now)
    }

    /// The first settlement of any perp that is still to come.
    pub(super) fn next_settlement(&self, now: Unix) -> Option<Unix> {
        self.funding.of.values().filter_map(|history| history.coming(now)).min()
    }

    /// What a person is told of a pair's funding.
    pub(super) fn funding_told(&self, pair: PairId, now: Nanos) -> Option<FundingTold> {
        let perp = self.instruments.pair(pair).perp;
        let time = self.perp_time(perp, now)?;
        let history = self.funding.of.get(&perp)?;
        let mark = self.books[usize::from(pair.0)].mark.as_ref();
        Some(FundingTold {
            estimate: mark.and_then(|mark| mark.funding),
            age_ns: mark.map(|mark| now.since(mark.received)),
            interval_hours: history.interval_hours(time),
            sum_7d: history.sum_7d(time),
            settled: history.last().map(|row| (row.at, row.rate)),
            next: history.coming(time),
        })
    }
}
