//! What a market's own rules say now: listed again, shut, and where its price band ends (F46, F67, F70).
//!
//! Owns:  taking a new generation of instruments into the books, what can't be traded for now, and the reference
//!        price of a band that a repair met.
//! Never: gives up what is held of a market that is shut (F106), or lets a quote be its own reference.

use super::budget::lane_name;
use super::{Book, Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::basis::Scales;
use crate::desk::budget::Line;
use crate::desk::pair::band_edge;
use crate::event::{Headers, Instruments, Limit, PairState, lane};
use crate::units::time::SEC;
use crate::units::{InstrumentId, LegKind, Nanos, PairId, Price, Side, Unix};
use crate::venue;
use std::sync::Arc;

/// How long before a contract is settled its pair is closed (F105).
const BEFORE_END_NS: i64 = 24 * 3_600 * SEC as i64;
/// How old a reference price may be: a mark comes every second, a venue's own is a mean of minutes.
const REFERENCE_NS: u64 = 10 * SEC;

impl Shadow {
    /// A market was listed again.
    pub(super) fn on_relisted(
        &mut self,
        of_lane: usize,
        instruments: Option<Arc<Instruments>>,
        shut: Vec<(InstrumentId, String)>,
        limits: &[Limit],
        now: Nanos,
    ) {
        if !limits.is_empty() {
            self.take_limits(limits);
            self.permit_due = now;
        }
        if let Some(next) = instruments {
            self.take_generation(next);
        }
        self.take_shut(of_lane, shut);
        for at in 0..self.books.len() {
            self.publish_terms(at, now);
        }
    }

    fn take_generation(&mut self, next: Arc<Instruments>) {
        let changed: Vec<String> = next
            .instruments
            .iter()
            .zip(&self.instruments.instruments)
            .filter(|(new, old)| new != old)
            .map(|(new, _)| format!("{} {}", new.leg, new.symbol))
            .collect();
        self.alert(format!(
            "the venue changed the rules of {} (generation {}); orders are made by the new ones",
            changed.join(", "),
            next.generation
        ));
        self.instruments = next;
        for at in 0..self.books.len() {
            // Sizes are counted in lots: entries and exits are sized anew.
            self.books[at].clip_for = None;
            if self.books[at].state == PairState::Hedged {
                self.hold(at, true);
            }
        }
    }

    fn take_shut(&mut self, of_lane: usize, shut: Vec<(InstrumentId, String)>) {
        let mine = |id: &InstrumentId, all: &Instruments| {
            let row = all.get(*id);
            lane(row.venue, row.leg) == of_lane
        };
        let instruments = Arc::clone(&self.instruments);
        let before: Vec<InstrumentId> =
            self.shut.keys().filter(|id| mine(id, &instruments)).copied().collect();
        for id in &before {
            if !shut.iter().any(|(now, _)| now == id) {
                self.shut.remove(id);
                let row = instruments.get(*id);
                self.note(format!("{} {}: may be traded again", row.leg, row.symbol));
            }
        }
        for (id, why) in shut {
            let row = instruments.get(id);
            if self.shut.insert(id, why.clone()).is_none() {
                self.alert(format!(
                    "{} {} can't be traded now: {why}; no new entries, what is held stays hedged",
                    row.leg, row.symbol
                ));
            }
        }
    }

    /// Perps with a day of settlement.
    pub(super) fn take_ending(&mut self, ending: Vec<(InstrumentId, Unix)>) {
        for (id, at) in ending {
            if self.ending.insert(id, at) != Some(at) {
                let hours = (at.0 - self.clock.unix().0) / (3_600 * SEC as i64);
                let symbol = self.instruments.get(id).symbol;
                self.alert(format!(
                    "{symbol} is settled for good in {hours} h: what is held of it is closed {} h before that",
                    BEFORE_END_NS / (3_600 * SEC as i64)
                ));
            }
        }
    }

    /// Whether a pair is to be left because its contract ends soon (F105). Not by a halted engine: that closes
    /// nothing by itself.
    pub(super) fn ends_soon(&self, pair: PairId) -> bool {
        let at = self.ending.get(&self.instruments.pair(pair).perp);
        self.may_trade() && at.is_some_and(|at| self.clock.unix().0 >= at.0 - BEFORE_END_NS)
    }

    /// Why a leg of a pair can't be traded now, if so.
    pub(super) fn shut_why(&self, pair: PairId) -> Option<String> {
        let row = self.instruments.pair(pair);
        let why = [row.spot, row.perp].into_iter().find_map(|id| Some((id, self.shut.get(&id)?)));
        why.map(|(id, why)| format!("{}: {why}", self.instruments.get(id).symbol))
    }

    // ───────────────────────────── the price band ─────────────────────────────

    /// An order met a rule that we did not know: the listings are read again at once.
    pub(super) fn doubt_rules(&mut self, now: Nanos) {
        self.relist += 1;
        self.permit_due = now;
    }

    /// A repair was refused for its limit, or met nobody within it: where the band lies is asked for.
    pub(super) fn doubt_band(&mut self, instrument: InstrumentId, now: Nanos) {
        self.ask_reference(instrument, 0, now);
    }

    fn ask_reference(&mut self, instrument: InstrumentId, nth: usize, now: Nanos) {
        let row = self.instruments.get(instrument);
        let of_lane = lane(row.venue, row.leg);
        let asks = (venue::get(row.venue).reference_requests)(row);
        let Some(ask) = asks.into_iter().nth(nth) else { return };
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, Line::Reserve, ask.weight, now) {
            return;
        }
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::Reference(instrument, nth), ask);
        }
    }

    pub(super) fn on_reference(
        &mut self,
        instrument: InstrumentId,
        nth: usize,
        mut letter: Letter<Question>,
        now: Nanos,
    ) {
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.get(instrument);
        let of_lane = lane(row.venue, row.leg);
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        match (venue::get(row.venue).read_reference)(row, &mut letter.body) {
            Ok(Some(reference)) => _ = self.references.insert(instrument, (reference, now)),
            Ok(None) => self.ask_reference(instrument, nth + 1, now),
            // Refused again without it, and asked again.
            Err(error) => self.note(format!(
                "the reference price of {} {} could not be read on {} ({error})",
                row.leg,
                row.symbol,
                lane_name(of_lane)
            )),
        }
    }

    /// The furthest limit of the next unwind of a leg: no quote is believed further than the venue's band goes around
    /// a slow reference (FAULTS F39, I8). That is the mark, until the venue's own was asked for: the mark may be off, too.
    pub(super) fn edge(&self, at: usize, leg: LegKind, side: Side, now: Nanos) -> Option<Price> {
        let Book { pair, mending, .. } = &self.books[at];
        let row = self.instruments.leg(*pair, leg);
        let asked = self.references.get(&row.id).filter(|_| mending.banded || mending.missed);
        let asked =
            asked.filter(|(_, read)| now.since(*read) <= REFERENCE_NS).map(|(reference, _)| *reference);
        let by_mark = || self.mark_of(at, leg, now).filter(|_| !mending.missed);
        band_edge(row, asked.or_else(by_mark)?, side)
    }

    /// The perp's latest mark as a price of a leg.
    fn mark_of(&self, at: usize, leg: LegKind, now: Nanos) -> Option<Price> {
        let book = &self.books[at];
        let mark = book.mark.filter(|mark| now.since(mark.received) <= REFERENCE_NS)?;
        if leg == LegKind::Perp {
            return Some(mark.mark);
        }
        let pair = self.instruments.pair(book.pair);
        let [spot, perp] = [pair.spot, pair.perp].map(|id| self.instruments.get(id));
        Some(Scales::new(pair, spot, perp)?.spot_at(mark.mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::shadow::streams::tests::alone;
    use crate::event::Mark;
    use crate::units::Rate;

    const NOW: Nanos = Nanos(60 * SEC);

    /// Five percent around the reference, and a basis point inside of that, on a tick.
    #[test]
    fn a_repair_keeps_to_the_band_around_the_mark_and_around_the_venues_reference_once_an_order_met_it() {
        let mut shadow = alone().shadow;
        let of = Arc::make_mut(&mut shadow.instruments);
        of.instruments
            .iter_mut()
            .for_each(|row| row.band = Some([95, 105].map(|it| Rate(it * 10i64.pow(16)))));
        let edge = |shadow: &Shadow, leg, side| shadow.edge(0, leg, side, NOW).map(|price| price.0);
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), None, "no reference");

        let received = Nanos(NOW.0 - REFERENCE_NS);
        let mark = Mark {
            instrument: InstrumentId(1),
            mark: Price(1_000),
            funding: None,
            next_funding: None,
            stamp: Unix(0),
            received,
        };
        shadow.take_mark(mark);
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), Some(10_499));
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Sell), Some(9_501));
        assert_eq!(edge(&shadow, LegKind::Perp, Side::Buy), Some(1_050));

        shadow.references.insert(InstrumentId(0), (Price(20_000), received));
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), Some(10_499), "of an earlier repair");
        shadow.books[0].mending.banded = true;
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), Some(20_998));
        assert_eq!(edge(&shadow, LegKind::Perp, Side::Buy), Some(1_050), "the other leg was not asked for");

        shadow.references.insert(InstrumentId(0), (Price(20_000), Nanos(received.0 - 1)));
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), Some(10_499), "too old: by the mark again");
        shadow.books[0].mending.missed = true;
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), None, "nobody was met there: the mark is off");

        shadow.books[0].mending = Default::default();
        shadow.take_mark(Mark { received: Nanos(received.0 - 1), ..mark });
        assert_eq!(edge(&shadow, LegKind::Spot, Side::Buy), None, "the mark is too old");
    }

    #[test]
    fn a_market_without_a_band_has_no_edge() {
        let mut shadow = alone().shadow;
        shadow.references.insert(InstrumentId(0), (Price(20_000), NOW));
        shadow.books[0].mending.banded = true;
        assert_eq!(shadow.edge(0, LegKind::Spot, Side::Sell, NOW), None);
    }
}
