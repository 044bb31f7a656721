//! Whether what hedges is still there: a venue may close a position and tell nobody (F102, F103, F105 on a private
//! stream that is silent, F77).
//!
//! Owns:  one look a second at the positions of a market on which a pair is hedged; what differs is read whole.
//! Never: books or repairs anything by a position (F90): the trades decide, and only they are booked.

use super::{Phase, Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::event::{Headers, PairState, lane, market_of};
use crate::units::time::{MS, SEC};
use crate::units::{InstrumentId, LegKind, Nanos, PairId, Unix};
use crate::venue::{self, audit::PositionRow};
use std::collections::BTreeMap;

/// From one look to the next.
const LOOK_NS: u64 = SEC;
/// To the one that must agree with it, where something differs: a replica may lag (F90).
const AGREE_NS: u64 = 500 * MS;
/// No answer for so long: looked at again.
const LOST_NS: u64 = 5 * SEC;
/// The trades of a position that changed are read from so long before the last look that found it as booked.
const BEFORE_NS: i64 = 60 * SEC as i64;

/// What the shadow keeps of its looks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    due: Nanos,
    /// When the answer that is awaited was asked for, and what had stirred by then.
    flying: Option<(Nanos, BTreeMap<InstrumentId, u64>)>,
    /// When the positions were asked for that were read last.
    seen: Option<Unix>,
    /// What differs, by how much, and whether the trades were asked for it.
    differs: BTreeMap<InstrumentId, (i128, bool)>,
}

impl Shadow {
    /// Looks, if it is time.
    pub(super) fn tick_watch(&mut self, now: Nanos) {
        let Some(of_lane) = self.perp_lane() else { return };
        // A start has questions that come first.
        if !matches!(self.phase, Phase::Trading(_)) {
            return;
        }
        if now < self.watch.due || self.watch.flying.as_ref().is_some_and(|(at, _)| now.since(*at) < LOST_NS)
        {
            return;
        }
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        if self.hedged(of_lane).is_empty() || !self.couriers.contains_key(&of_lane) {
            return;
        }
        let audit = &venue::get(market_of(of_lane).0).audit;
        let ask = (audit.positions)(&key, stamp, self.settings.recv_window_ms);
        self.watch.due = now.plus(LOOK_NS);
        // Where no stream flows nobody could tell: then it is no mere precaution.
        let line = if self.streams.is_up(of_lane) { Line::Watch } else { Line::Normal };
        if !self.may_ask(of_lane, line, ask.weight, now) {
            return;
        }
        self.watch.flying = Some((now, self.recon.stirred.clone()));
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::Positions(of_lane), ask);
        }
    }

    pub(super) fn on_look(&mut self, of_lane: usize, mut letter: Letter<Question>, now: Nanos) {
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let Some((asked, before)) = self.watch.flying.take() else { return };
        let symbols = self.symbols_of(of_lane);
        let audit = &venue::get(market_of(of_lane).0).audit;
        let rows = match (audit.read_positions)(&mut letter.body, &symbols) {
            Ok(rows) => rows,
            // In a second.
            Err(error) => {
                let status = letter.status;
                return self
                    .tell_once(format!("positions could not be read (HTTP {status}: {error}); asked again"));
            }
        };
        let present = self.clock.unix().0;
        let since = Unix(self.watch.seen.map_or(present, |seen| seen.0.min(present)) - BEFORE_NS);
        let hedged = self.hedged(of_lane);
        let perps: Vec<InstrumentId> = hedged.iter().map(|pair| self.instruments.pair(*pair).perp).collect();
        self.watch.differs.retain(|perp, _| perps.contains(perp));
        for (pair, perp) in hedged.into_iter().zip(perps) {
            if before.get(&perp).copied().unwrap_or(0) == self.recon.stirred(perp) {
                self.look_at(pair, &rows, since, now);
            }
        }
        if self.watch.differs.is_empty() {
            self.watch.seen = Some(Unix(present - i64::try_from(now.since(asked)).unwrap_or(0)));
        }
    }

    fn look_at(&mut self, pair: PairId, rows: &[PositionRow], since: Unix, now: Nanos) {
        let perp = self.instruments.pair(pair).perp;
        let (there, booked) = self.position(pair, rows);
        let difference = there - booked - self.recon.foreign.units(perp);
        if difference == 0 {
            self.watch.differs.remove(&perp);
            return;
        }
        match self.watch.differs.insert(perp, (difference, true)) {
            // Read already: a person was told of what no trade explains.
            Some((before, true)) if before == difference => {}
            Some((before, false)) if before == difference => self.recon_instrument(perp, since, now),
            _ => {
                self.watch.differs.insert(perp, (difference, false));
                self.watch.due = now.plus(AGREE_NS);
            }
        }
    }

    /// Pairs that hold a position on this market and have nothing under way.
    fn hedged(&self, of_lane: usize) -> Vec<PairId> {
        let here = |pair: PairId| {
            lane(self.instruments.get(self.instruments.pair(pair).perp).venue, LegKind::Perp) == of_lane
        };
        let hedged = self.books.iter().filter(|book| book.state == PairState::Hedged && here(book.pair));
        hedged.map(|book| book.pair).collect()
    }
}
