//! What the trader may do: each pair's folded thresholds and clip.
//!
//! Owns:  the cold half of every decision (DESIGN §2: the threshold is cold, the comparison is hot).
//! Never: lets a missing number pass as zero: no estimate, no clip or no clock means no entry.

use super::{Book, Shadow};
use crate::carry::funding::ESTIMATE_STALE_NS;
use crate::carry::pace::entries_until;
use crate::carry::rules::Costs;
use crate::carry::signal::Signal;
use crate::desk::basis::{Bound, Scales};
use crate::desk::ledger::sellable;
use crate::desk::pair;
use crate::event::{Bind, Fold, Held, PairState, Pulse, Terms, lane};
use crate::units::decimal::pow10_i128;
use crate::units::{Direction, LegKind, Nanos, PairId, Price, Qty, Rate, Ratio, VenueId};

/// The clip is computed anew when the price has moved by one part in so many.
const CLIP_DRIFT: i64 = 20;
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
            late: false,
            owes_free: false,
            asked: None,
            retry_at: Nanos::ZERO,
            mending: super::mending::Mending::default(),
            refusals: 0,
            frozen: None,
            mark: None,
            pulse: None,
            held: None,
            clip: [Qty::ZERO; 2],
            bound: (Bind::default(), Direction::Short),
            bind: Bind::default(),
            terms: Terms::default(),
            clip_for: None,
            enter: [None; 2],
            best: None,
        }
    }
}

impl Book {
    /// What the trader may close: nothing of a pair that is being put right under its hands.
    fn closable(&self) -> Option<Held> {
        let open = matches!(self.state, PairState::Busy | PairState::Unknown);
        self.held.filter(|_| !(open && (self.late || self.mending.forced.is_some())))
    }
}

impl Shadow {
    pub(super) fn is_frozen(&self, venue: VenueId, now: Nanos) -> bool {
        self.lags().is_some()
            || self.in_doubt(venue)
            || self.lacks_streams(venue)
            || LegKind::BOTH.iter().any(|leg| self.recon.doubts(lane(venue, *leg)))
            || self.frozen.get(&venue).is_some_and(|(until, _)| now < *until)
    }

    /// Takes in how a pair's books look.
    pub(super) fn on_pulse(&mut self, pulse: Pulse) {
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

    /// Computes a pair's terms, and publishes them if they differ from what the trader has.
    pub(super) fn publish_terms(&mut self, at: usize, now: Nanos) {
        self.size_clip(at);
        let mut terms = self.terms_of(at, now).unwrap_or(Terms {
            generation: self.instruments.generation,
            held: self.books[at].closable(),
            ..Terms::default()
        });
        terms.flatten = self.flattening() || self.ends_soon(self.books[at].pair);
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
        let dust = book.holding.spot;
        let outdated = book.clip_for.is_none_or(|(price, then, small)| {
            (perp.bid.0 - price.0).abs() > price.0 / CLIP_DRIFT || dust != then || least != small
        });
        if !outdated || book.state != PairState::Flat {
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
        let shut = [spot.id, perp.id].iter().any(|id| self.shut.contains_key(id));
        let carry = self.carry(row.id, now);
        let settings = &self.settings;
        let book = &mut self.books[at];

        let mut terms = Terms {
            generation: instruments.generation,
            clip: book.clip,
            bind: book.bind,
            held: book.closable(),
            ..Terms::default()
        };
        if trading && let (Some(held), Some(exit)) = (terms.held, settings.exit_basis) {
            let bound = if held.direction == Direction::Short { Bound::AtMost } else { Bound::AtLeast };
            terms.exit = scales.fold(exit, bound).unwrap_or(Fold::NEVER);
        }
        if let (Some(mark), Some(pulse)) = (book.mark, &book.pulse) {
            let quotes = pulse.quotes;
            let costs = costs(pulse, [spot, perp], quotes.map(|q| q.map(|q| q.ask)))?;
            let policy = &settings.policy;
            book.enter = [Direction::Short, Direction::Long].map(|direction| {
                let carry = carry.filter(|_| settings.directions[direction as usize])?;
                let signal = Signal::new(&carry, direction);
                policy.enter(policy.min_net_apr, signal, &costs).enter.ok()
            });
            let settles = mark.next_funding.zip(offset).map(|(at, offset)| entries_until(at).0 - offset);
            let guard = settles.map_or(Nanos::ZERO, |at| Nanos(u64::try_from(at).unwrap_or(0)));
            terms.valid_until = guard.min(mark.received.plus(ESTIMATE_STALE_NS));
            if trading && !frozen && !shut && book.frozen.is_none() && terms.clip[0] > Qty::ZERO {
                let [short, long] = book.enter;
                let fold = |enter: Option<Ratio>, sign: i64, bound| {
                    enter
                        .and_then(|enter| scales.fold(enter * Ratio::from_num(sign), bound))
                        .unwrap_or(Fold::NEVER)
                };
                terms.enter = [fold(short, 1, Bound::AtLeast), fold(long, -1, Bound::AtMost)];
            }
        }
        Some(terms)
    }

    /// What the trader may close, after a pair settled.
    pub(super) fn hold(&mut self, at: usize, hedged: bool) {
        let instruments = std::sync::Arc::clone(&self.instruments);
        let book = &mut self.books[at];
        let row = instruments.pair(book.pair);
        let perp = instruments.get(row.perp);
        book.held = hedged.then(|| Held {
            direction: if book.holding.perp.0 < 0 { Direction::Short } else { Direction::Long },
            spot: sellable(book.holding.spot, instruments.get(row.spot)),
            perp: Qty(i64::try_from(
                book.holding.perp.0.abs() * pow10_i128(perp.qty_decimals) / row.size_factor.0.max(1),
            )
            .unwrap_or(0)),
        });
    }
}

/// What a round trip costs, each number rounded against us; `None` if one is missing.
fn costs(pulse: &Pulse, legs: [&crate::event::Instrument; 2], asks: [Option<Price>; 2]) -> Option<Costs> {
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

/// A basis as text in basis points with two decimals, for people and summaries.
#[must_use]
pub fn bps_text(ratio: Ratio) -> String {
    let hundredths = (ratio * Ratio::from_num(1_000_000)).round().to_num::<i128>();
    crate::units::decimal::Text(hundredths, 2).to_string()
}
