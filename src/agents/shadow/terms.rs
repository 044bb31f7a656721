//! What the trader may do: each pair's folded thresholds and clip.
//!
//! Owns:  the cold half of every decision (DESIGN §2: the threshold is cold, the comparison is hot).
//! Never: lets a missing number pass as zero: no estimate, no clip or no clock means no entry.

use super::{Book, Shadow};
use crate::carry::funding::ESTIMATE_STALE_NS;
use crate::carry::pace::{Adding, entries_until};
use crate::carry::rules::Costs;
use crate::desk::basis::{Bound, Scales};
use crate::desk::book::mid;
use crate::desk::ledger::sellable;
use crate::desk::pair;
use crate::event::{Bind, Closed, Fold, Held, Instruments, PairState, Pulse, Terms, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::decimal::pow10_i128;
use crate::units::time::SEC;
use crate::units::{Amount, Direction, LegKind, Nanos, PairId, Price, Qty, Rate, Ratio, VenueId};

/// A person hears of clocks that disagree once in so long.
const CLOCKS_NS: u64 = 60 * SEC;
/// No entry while mark and market are further apart than one part in so many.
const MARK_APART: i64 = 50;
/// Entry collar, as `agents/trader/pen` prices it, in parts per million.
const COLLAR_PPM: i64 = crate::agents::trader::pen::ENTRY_COLLAR_PPM as i64;

impl Book {
    pub(super) fn new(pair: PairId) -> Self {
        Self {
            pair,
            state: PairState::Flat,
            holding: pair::Holding::default(),
            sequence: 0,
            attempt: 0,
            began_as: crate::units::Class::Entry,
            slots: Vec::new(),
            reserved: Vec::new(),
            repaired: false,
            awaiting: false,
            proven: false,
            late: false,
            owes_free: false,
            asked: None,
            retry_at: Nanos::ZERO,
            mending: super::mending::Mending::default(),
            refused_at: [None; 2],
            frozen: None,
            mark: None,
            pulse: None,
            held: None,
            clip: [Qty::ZERO; 2],
            bound: (Bind::default(), Direction::Short),
            bind: Bind::default(),
            terms: Terms::default(),
            clip_for: None,
            weighing: super::weighing::Weighing::default(),
            best: None,
        }
    }
}

impl Book {
    /// What the trader may close: nothing of a pair that is being put right under its hands, no stub. Which of the two
    /// it is takes a price: a new process that holds something hears its first quote after the trader does.
    fn closable(&self, instruments: &Instruments) -> Option<Held> {
        let open = matches!(self.state, PairState::Busy | PairState::Unknown);
        let held = self.held.filter(|_| !(open && (self.late || self.mending.forced.is_some())));
        let priced = self.pulse.is_some_and(|pulse| pulse.quotes[LegKind::Spot as usize].is_some());
        held.filter(|_| priced && !self.is_stub(instruments))
    }
}

impl Shadow {
    pub(super) fn is_frozen(&self, venue: VenueId, now: Nanos) -> bool {
        self.lags().is_some()
            || self.calendar.is_some()
            || self.in_doubt(venue)
            || self.lacks_streams(venue)
            || LegKind::BOTH.iter().any(|leg| self.recon.doubts(lane(venue, *leg)))
            || self.frozen.get(&venue).is_some_and(|(until, _)| now < *until)
    }

    /// Takes in how a pair's books look.
    pub(super) fn on_pulse(&mut self, pulse: Pulse, now: Nanos) {
        self.hear_of_clocks(&pulse, now);
        let instruments = std::sync::Arc::clone(&self.instruments);
        let Some(book) = self.books.get_mut(usize::from(pulse.pair.0)) else { return };
        if let [Some(spot), Some(perp)] = &pulse.quotes {
            let row = instruments.pair(pulse.pair);
            let basis = Scales::new(row, instruments.get(row.spot), instruments.get(row.perp))
                .and_then(|scales| scales.basis(perp.bid, spot.ask));
            book.best = book.best.max(basis);
        }
        book.pulse = Some(pulse);
    }

    /// Tells a person that a quote came from the future of the trader's core (F5). A pair's gate stays as its last
    /// signal left it, so only its change is news.
    fn hear_of_clocks(&mut self, pulse: &Pulse, now: Nanos) {
        let is_ahead = |pulse: &Pulse| pulse.gate == Some(Closed::Ahead);
        let before = self.books.get(usize::from(pulse.pair.0)).and_then(|book| book.pulse.as_ref());
        if !is_ahead(pulse) || before.is_some_and(is_ahead) || now < self.clocks_due {
            return;
        }
        self.clocks_due = now.plus(CLOCKS_NS);
        self.alert(
            "the clocks of this host's cores disagree: a quote was stamped milliseconds after the trader looked at it; \
             nothing is entered or left on such quotes; see that the kernel's clock source is stable"
                .to_owned(),
        );
    }

    /// Computes a pair's terms, and publishes them if they differ from what the trader has.
    pub(super) fn publish_terms(&mut self, at: usize, now: Nanos) {
        self.size_clip(at);
        let mut terms = self.terms_of(at, now).unwrap_or(Terms {
            generation: self.instruments.generation,
            held: self.books[at].closable(&self.instruments),
            ..Terms::default()
        });
        terms.flatten = self.flattening() && self.books[at].weighing.may_leave(now);
        let book = &mut self.books[at];
        if terms != book.terms
            && let Some(cell) = self.doors.terms.get_mut(at)
        {
            cell.publish(terms.to_words());
            book.terms = terms;
        }
    }

    /// Whether an entry is to be as small as the venue takes: until the first few have gone well (FAULTS F118), since
    /// what is wrong in a configuration shows in them.
    fn begins_small(&self) -> bool {
        self.settings.live && self.totals.opened < self.settings.first_entries
    }

    fn size_clip(&mut self, at: usize) {
        let least = self.begins_small();
        let instruments = std::sync::Arc::clone(&self.instruments);
        let book = &mut self.books[at];
        let Some(perp) = book.pulse.as_ref().and_then(|pulse| pulse.quotes[1]) else { return };
        // What is not matched: it goes with the next trade.
        let dust = book.holding.exposure();
        let outdated = book.clip_for.is_none_or(|(price, then, small)| {
            !pair::serves_at(price, perp.bid) || dust != then || least != small
        });
        if !outdated || book.state.is_open() {
            return;
        }
        book.clip_for = Some((perp.bid, dust, least));
        // Direction short is sized up for the base-coin fee; long sells what it needs, no more.
        let direction = if self.settings.directions[0] { Direction::Short } else { Direction::Long };
        let size = if least { pair::least_clip } else { pair::clip };
        let clip = size(&instruments, book.pair, direction, self.settings.clip, perp.bid, dust);
        book.clip = clip.unwrap_or_default();
        let (pair, size) = (book.pair, book.clip);
        self.books[at].bind = self.bind_of(pair, size, perp.bid);
        let book = &mut self.books[at];
        if clip.is_none() {
            let name = instruments.pair(book.pair).name;
            let why =
                format!("pair {name}: 2.2 × the venue's minima exceed four clips; raise --clip to trade it");
            book.frozen.get_or_insert_with(|| why.clone());
            self.note(why);
        }
    }

    fn terms_of(&mut self, at: usize, now: Nanos) -> Option<Terms> {
        let instruments = std::sync::Arc::clone(&self.instruments);
        let row = instruments.pair(self.books[at].pair);
        let (spot, perp) = (instruments.get(row.spot), instruments.get(row.perp));
        let scales = Scales::new(row, spot, perp)?;
        let trading = self.may_trade() && !self.books[at].late;
        let frozen = self.is_frozen(spot.venue, now) || self.is_frozen(perp.venue, now);
        let offset = self.offsets.0[lane(perp.venue, LegKind::Perp)];
        let book = &self.books[at];
        let weighing = &book.weighing;

        let mut terms = Terms {
            generation: instruments.generation,
            clip: book.clip,
            bind: book.bind,
            sized_at: book.clip_for.map_or(Price(0), |(price, ..)| price),
            held: book.closable(&instruments),
            ..Terms::default()
        };
        if trading
            && weighing.may_leave(now)
            && let Some(held) = terms.held
        {
            terms.exit = self.exit_fold(at, held.direction, scales);
        }
        let Some(mark) = book.mark else { return Some(terms) };
        let settles = mark.next_funding.zip(offset).map(|(at, offset)| entries_until(at).0 - offset);
        let guard = settles.map_or(Nanos::ZERO, |at| Nanos(u64::try_from(at).unwrap_or(0)));
        terms.valid_until = guard.min(mark.received.plus(ESTIMATE_STALE_NS));
        let shut = self.shut_why(row.id).is_some();
        let open = trading && !frozen && !shut && book.frozen.is_none() && weighing.leaving.is_none();
        if !open || terms.clip[0] == Qty::ZERO || self.parted(at) || self.too_dear(at).is_some() {
            return Some(terms);
        }
        for (direction, bound) in [(Direction::Short, Bound::AtLeast), (Direction::Long, Bound::AtMost)] {
            let may = match book.held {
                None => true,
                Some(held) => held.direction == direction && self.adding(at, now) == Adding::Open,
            };
            let may = may && (direction == Direction::Short || self.covers_long(at, terms.clip[0], now));
            let may = may && self.confirms(at, direction, now);
            let enter = weighing.entries[direction as usize].and_then(|entry| entry.enter.ok());
            terms.enter[direction as usize] = enter
                .filter(|_| may)
                .and_then(|enter| scales.fold(signed(enter, direction), bound))
                .unwrap_or(Fold::NEVER);
        }
        Some(terms)
    }

    /// Where a position is left: by the rule, at `--exit-basis`, or at any basis once it is given up.
    fn exit_fold(&self, at: usize, direction: Direction, scales: Scales) -> Fold {
        let weighing = &self.books[at].weighing;
        let rule = weighing.exits[direction as usize].and_then(|exit| exit.leave);
        let (bound, any) = match direction {
            Direction::Short => (Bound::AtMost, Fold::ANY_AT_MOST),
            Direction::Long => (Bound::AtLeast, Fold::ANY_AT_LEAST),
        };
        if weighing.leaving.is_some() {
            return any;
        }
        let leave = rule.max(self.settings.exit_basis);
        leave.and_then(|leave| scales.fold(signed(leave, direction), bound)).unwrap_or(Fold::NEVER)
    }

    /// Whether a clip of spot can be sold from granted coins.
    pub(super) fn covers_long(&self, at: usize, clip: Qty, now: Nanos) -> bool {
        let spot = self.instruments.leg(self.books[at].pair, LegKind::Spot);
        self.to_sell(at, now) >= Amount::of(clip, spot.qty_decimals)
    }

    /// Whether a perp's mark and its market have parted: then neither is believed (FAULTS F49).
    pub(super) fn parted(&self, at: usize) -> bool {
        let book = &self.books[at];
        let (Some(mark), Some(quote)) = (book.mark, book.pulse.and_then(|pulse| pulse.quotes[1])) else {
            return true;
        };
        (mark.mark.0 - mid(&quote).0).abs() > quote.bid.0 / MARK_APART
    }

    /// What the trader may close, after a pair settled.
    pub(super) fn hold(&mut self, at: usize, hedged: bool) {
        let instruments = std::sync::Arc::clone(&self.instruments);
        let book = &mut self.books[at];
        let row = instruments.pair(book.pair);
        let (spot, perp) = (instruments.get(row.spot), instruments.get(row.perp));
        book.held =
            hedged.then(|| Held {
                direction: if book.holding.perp.0 < 0 { Direction::Short } else { Direction::Long },
                spot: Qty(
                    sellable(book.holding.spot, spot).0 + i64::from(planted(Bug::DustSoldToo)) * spot.lot.0
                ),
                perp: Qty(i64::try_from(
                    book.holding.perp.0.abs() * pow10_i128(perp.qty_decimals) / row.size_factor.0.max(1),
                )
                .unwrap_or(0)),
            });
    }
}

/// What a round trip costs, each number rounded against us; `None` if one is missing.
pub(super) fn costs(
    pulse: &Pulse,
    legs: [&crate::event::Instrument; 2],
    asks: [Option<Price>; 2],
) -> Option<Costs> {
    let fees: i64 = legs.iter().map(|leg| leg.taker_fee.0).sum();
    let mut slip = Ratio::ZERO;
    for (leg, ask) in legs.into_iter().zip(asks) {
        let ask = ask.filter(|ask| ask.0 > 0)?;
        // The larger of 2 bp and one tick, as the pen prices it.
        let tick = Ratio::from_num(leg.tick.0) / Ratio::from_num(ask.0) + Ratio::DELTA;
        slip += tick.max(Ratio::from_num(COLLAR_PPM) / 1_000_000);
    }
    Some(Costs {
        fees_one_way: Rate(fees).ratio_ceil(),
        exit_spread: Ratio::from_num(pulse.spread_ppb) / 1_000_000_000,
        slip,
    })
}

/// A basis in a position's own sign as one of the perp's price over the spot's.
fn signed(basis: Ratio, direction: Direction) -> Ratio {
    match direction {
        Direction::Short => basis,
        Direction::Long => -basis,
    }
}

/// A basis as text in basis points with two decimals, for people and summaries.
#[must_use]
pub fn bps_text(ratio: Ratio) -> String {
    let hundredths = (ratio * Ratio::from_num(1_000_000)).round().to_num::<i128>();
    crate::units::decimal::Text(hundredths, 2).to_string()
}
