//! Funding history: what was settled of every perp, and by which interval it settles.
//!
//! Owns:  when each is asked for: eight days at the start, then after each settlement and at every full hour
//!        of it, since an interval may shrink without notice (FAULTS F48); the venue's budget for both.
//! Never: holds anything up: one question at a time, while nothing else of the market waits.
//! Why:   nothing of it is kept on disk: the venue's history is the store, and tells it again at every start.

use super::Clerk;
use super::errands::Errand;
use super::load::Stage;
use crate::event::{Instruments, News, lane};
use crate::units::time::SEC;
use crate::units::{InstrumentId, LegKind, Nanos, Unix};
use crate::venue::funding::{CandleRow, IntervalRow, SettledRow};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const HOUR_NS: i64 = 3_600 * SEC as i64;
/// How far back a run reads at its start: the week, and the gap that opens it with one more.
pub const READ_BACK_NS: u64 = (168 + 24) * HOUR_NS as u64;
/// How long after it is due a settlement is asked for.
const LAG_NS: i64 = 2 * SEC as i64;
/// A settlement that is not there yet, or that no answer could tell, is asked for again after this, doubling so often.
const AGAIN_NS: u64 = 2 * SEC;
const DOUBLINGS: u32 = 5;
/// How often intervals are read: a venue states a change some minutes after it made it.
const INTERVALS_NS: u64 = 600 * SEC;
/// After an answer of another kind that can't be read.
const UNREAD_NS: u64 = 60 * SEC;

/// What is known of one perp's history, and when it is asked about.
#[derive(Debug)]
struct Perp {
    /// The newest settlement, or how far back is read.
    since: Unix,
    hours: u32,
    due: Nanos,
    asked: bool,
    /// How often in a row nothing new came of it.
    tries: u32,
}

impl Perp {
    /// How long after this try the next one is made.
    fn again_ns(&self) -> u64 {
        AGAIN_NS << self.tries.min(DOUBLINGS)
    }
}

/// What is known of one market's candles.
#[derive(Debug, Default)]
struct Candles {
    /// When the newest opened; `None`: none is known.
    newest: Option<Unix>,
    due: Nanos,
    asked: bool,
    /// All of them are told.
    done: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct History {
    instruments: Arc<Instruments>,
    perps: BTreeMap<InstrumentId, Perp>,
    candles: BTreeMap<InstrumentId, Candles>,
    intervals_due: Nanos,
    intervals_asked: bool,
    /// When the requests of the last minutes left.
    left: VecDeque<Nanos>,
}

impl History {
    /// A generation of instruments: all of it is to be asked for.
    pub(super) fn begin(&mut self, instruments: &Arc<Instruments>, unnamed_hours: u32) {
        let perps = instruments.pairs.iter().map(|pair| pair.perp);
        let fresh =
            || Perp { since: Unix(0), hours: unnamed_hours, due: Nanos::ZERO, asked: false, tries: 0 };
        self.perps = perps.map(|id| (id, fresh())).collect();
        let legs = instruments.pairs.iter().flat_map(|pair| [pair.spot, pair.perp]);
        self.candles = legs.map(|id| (id, Candles::default())).collect();
        self.instruments = Arc::clone(instruments);
        self.intervals_due = Nanos::ZERO;
    }

    /// The present ones; none before they are loaded.
    pub(super) fn instruments(&self) -> Arc<Instruments> {
        Arc::clone(&self.instruments)
    }

    /// Whether the venue's budget for these questions has room for one more: 60 % of it.
    fn has_room(&mut self, (most, within_ns): (usize, u64), now: Nanos) -> bool {
        while self.left.front().is_some_and(|left| now.since(*left) >= within_ns) {
            self.left.pop_front();
        }
        self.left.len() < most * 6 / 10
    }
}

impl Clerk {
    /// Asks for what is due, one at a time.
    pub(super) fn ask_for_history(&mut self, now: Nanos) {
        if !matches!(self.stage, Stage::Linking | Stage::Live)
            || self.is_quiet(LegKind::Perp, now)
            || !self.is_free(LegKind::Perp)
            || self.perp_time(now).is_none()
            || !self.history.has_room(self.settings.target.venue.funding.pool, now)
        {
            return;
        }
        let history = &mut self.history;
        let errand = if now >= history.intervals_due && !history.intervals_asked {
            history.intervals_asked = true;
            Errand::Intervals
        } else {
            let waits = history.perps.iter_mut().filter(|(_, perp)| !perp.asked && now >= perp.due);
            let Some((id, perp)) = waits.min_by_key(|(_, perp)| perp.due) else { return };
            perp.asked = true;
            Errand::Settled(*id)
        };
        self.history.left.push_back(now);
        self.errands.add(LegKind::Perp, errand);
    }

    /// Asks for the next page of candles, market by market, if anybody wants them.
    pub(super) fn ask_for_candles(&mut self, now: Nanos) {
        if !self.settings.candles || !matches!(self.stage, Stage::Linking | Stage::Live) {
            return;
        }
        for leg in LegKind::BOTH {
            let lane = lane(self.settings.target.venue.id, leg);
            if self.is_quiet(leg, now) || !self.is_free(leg) || self.offsets.venue_time(lane, now).is_none() {
                continue;
            }
            let history = &mut self.history;
            let instruments = &history.instruments;
            let due = |(id, of): &(&InstrumentId, &mut Candles)| {
                instruments.get(**id).leg == leg && !of.asked && !of.done && now >= of.due
            };
            let Some((id, of)) = history.candles.iter_mut().find(due) else { continue };
            of.asked = true;
            let errand = Errand::Candles(*id);
            self.errands.add(leg, errand);
        }
    }

    /// The request for the next page of a market's candles.
    pub(super) fn candles_ask(&self, id: InstrumentId) -> Option<crate::venue::Ask> {
        let of = self.history.candles.get(&id)?;
        let row = self.history.instruments.get(id);
        let back_ns = i64::try_from(self.settings.read_back_ns).unwrap_or(i64::MAX);
        let time = self.offsets.venue_time(lane(row.venue, row.leg), self.clock.now())?;
        let first = Unix(time.0.saturating_sub(back_ns).max(0));
        let since = of.newest.map_or(first, |newest| Unix(newest.0 + HOUR_NS));
        Some((self.settings.target.venue.funding.candles_since)(row, since))
    }

    /// A page of a market's candles.
    pub(super) fn on_candles(&mut self, id: InstrumentId, rows: &[CandleRow]) {
        let page = self.settings.target.venue.funding.page;
        let Some(of) = self.history.candles.get_mut(&id) else { return };
        of.asked = false;
        of.done = rows.len() < page;
        let fresh = rows.iter().filter(|row| of.newest.is_none_or(|newest| row.opened > newest));
        let fresh: Vec<_> = fresh.map(|row| (row.opened, row.close)).collect();
        of.newest = fresh.iter().map(|(opened, _)| *opened).max().or(of.newest);
        self.tell(News::Candles { instrument: id, rows: fresh });
    }

    fn perp_time(&self, now: Nanos) -> Option<Unix> {
        self.offsets.venue_time(lane(self.settings.target.venue.id, LegKind::Perp), now)
    }

    /// The request for the settlements of a perp.
    pub(super) fn settled_ask(&self, id: InstrumentId, now: Nanos) -> Option<crate::venue::Ask> {
        let since = self.history.perps.get(&id)?.since;
        let back_ns = i64::try_from(self.settings.read_back_ns).unwrap_or(i64::MAX);
        let from = Unix(self.perp_time(now)?.0.saturating_sub(back_ns).max(0)).max(since);
        Some((self.settings.target.venue.funding.settled_since)(self.history.instruments.get(id), from))
    }

    /// Reads the settlements of a perp.
    pub(super) fn read_settled(
        &self,
        id: InstrumentId,
        body: &mut [u8],
    ) -> crate::venue::audit::Rows<SettledRow> {
        (self.settings.target.venue.funding.read_settled)(body, self.history.instruments.get(id))
    }

    /// What was settled of a perp; says when it is asked about again.
    pub(super) fn on_settled(&mut self, id: InstrumentId, rows: &[SettledRow], now: Nanos) {
        let Some(time) = self.perp_time(now) else { return };
        let page = self.settings.target.venue.funding.page;
        let Some(perp) = self.history.perps.get_mut(&id) else { return };
        let fresh: Vec<_> =
            rows.iter().filter(|row| row.at > perp.since).map(|row| (row.at, row.rate)).collect();
        perp.asked = false;
        perp.tries = if fresh.is_empty() { perp.tries + 1 } else { 0 };
        perp.since = fresh.iter().map(|(at, _)| *at).fold(perp.since, Unix::max);
        let age = time.0 - perp.since.0;
        let wait = if rows.len() >= page {
            0
        } else if age >= i64::from(perp.hours) * HOUR_NS {
            perp.again_ns()
        } else {
            perp.tries = 0;
            // Venues settle at full hours; one that settled off them, and so may again, is asked as many hours later, too.
            let to_hour = |since: i64| HOUR_NS - since.rem_euclid(HOUR_NS);
            u64::try_from(to_hour(age).min(to_hour(time.0)) + LAG_NS).unwrap_or(0)
        };
        perp.due = now.plus(wait);
        if !fresh.is_empty() {
            self.tell(News::Settled { instrument: id, rows: fresh });
        }
    }

    /// By which intervals all perps settle.
    pub(super) fn on_intervals(&mut self, rows: &[IntervalRow], now: Nanos) {
        let unnamed = self.settings.target.venue.funding.unnamed_hours;
        let history = &mut self.history;
        history.intervals_asked = false;
        history.intervals_due = now.plus(INTERVALS_NS);
        for (id, perp) in &mut history.perps {
            perp.hours = rows.iter().find(|row| row.instrument == *id).map_or(unnamed, |row| row.hours);
        }
        let all = history.perps.iter().map(|(id, perp)| (*id, perp.hours)).collect();
        self.tell(News::Intervals(all));
    }

    /// An errand of this kind got no answer (`lost`), or one that can't be read.
    pub(super) fn history_failed(&mut self, errand: Errand, lost: bool, now: Nanos) {
        let later = |unread_ns| if lost { now } else { now.plus(unread_ns) };
        match errand {
            Errand::Intervals => {
                self.history.intervals_asked = false;
                self.history.intervals_due = later(UNREAD_NS);
            }
            Errand::Settled(id) => {
                // Nothing is entered without it: a venue in maintenance at its settlement is asked again and again.
                if let Some(perp) = self.history.perps.get_mut(&id) {
                    perp.asked = false;
                    perp.due = later(perp.again_ns());
                    perp.tries += u32::from(!lost);
                }
            }
            Errand::Candles(id) => {
                if let Some(of) = self.history.candles.get_mut(&id) {
                    of.asked = false;
                    of.due = later(UNREAD_NS);
                }
            }
            _ => {}
        }
    }
}
