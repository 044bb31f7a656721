//! Orders signed ahead: in every idle turn one that is missing or old is made, so that firing is picking.
//!
//! Owns:  what each leg of a possible intent must look like, and keeping it ready.
//! Never: sends; burns a client order id (an id stays with its pair through every re-signing until it is
//!        really sent).

use super::pairset::PairSet;
use super::pen::{ENTRY_COLLAR_PPM, EXIT_COLLAR_PPM, FLATTEN_COLLAR_PPM, Paper, Wanted, mask};
use super::shelf::rungs;
use super::{Signal, Stall, Trader};
use crate::agents::Loaded;
use crate::event::{Fold, Made, Quote, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::id::ClientIdParts;
use crate::units::time::MS;
use crate::units::{Class, ClientId, Direction, LegKind, Nanos, Qty};

/// What came of looking at one pair.
enum Look {
    /// An order was made, or those that served an earlier threshold went; another may be missing.
    Made,
    /// There is nothing to make before then, unless something changes.
    Done { due: Nanos },
    /// The venue's time, or its forms, are not known yet.
    NotYet,
}

impl Look {
    const NOTHING: Self = Self::Done { due: Nanos::NEVER };
}

impl Trader {
    /// How long a prepared order serves: half its window, since the other half is the way there.
    pub(super) fn prepared_life_ns(&self) -> u64 {
        u64::from(self.settings.recv_window_ms) * MS / 2
    }

    /// Makes one order that is missing or old. One an idle turn, so that no quote waits for long.
    ///
    /// A turn in which nothing is made is in no recording, so it may leave nothing behind but that there was nothing
    /// to make: a replay, which has not had it, must make the same order next.
    #[inline(never)]
    pub(super) fn prepare_one(&mut self, now: Nanos) -> usize {
        let Some(loaded) = self.loaded.clone() else { return 0 };
        if loaded.forms.is_empty() || !self.settings.live {
            return 0;
        }
        if now >= self.prepare_due {
            self.unprepared = PairSet::first(self.stalls.len());
            self.prepare_due = Nanos::NEVER;
        }
        let mut unseen = self.unprepared;
        while let Some(at) = unseen.next(self.turn_of).filter(|at| *at < self.stalls.len()) {
            unseen.remove(at);
            match self.prepare(at, &loaded, now) {
                Look::Made => {
                    self.turn_of = at + 1;
                    return 1;
                }
                Look::Done { due } => {
                    self.unprepared.remove(at);
                    self.prepare_due = self.prepare_due.min(due);
                }
                Look::NotYet => {}
            }
        }
        0
    }

    fn prepare(&mut self, at: usize, loaded: &Loaded, now: Nanos) -> Look {
        let mut due = Nanos::NEVER;
        let stall = &self.stalls[at];
        let pair = stall.pair;
        let [Some(spot), Some(perp)] = self.books.tops(pair) else { return Look::Done { due } };
        // Until the shadow frees it; until a quote comes.
        if stall.busy {
            return Look::Done { due };
        }
        let quotes = [*spot, *perp];
        let signals = match stall.terms.held {
            Some(held) => {
                let class = if stall.terms.flatten { Class::Flatten } else { Class::Exit };
                [Some(Signal { class, direction: held.direction }), None]
            }
            None => [Direction::Short, Direction::Long].map(|direction| {
                let enabled = self.settings.directions[direction as usize] && stall.terms.clip[0] > Qty::ZERO;
                enabled.then_some(Signal { class: Class::Entry, direction })
            }),
        };
        // First what may be fired at the touch as it is, then what a jump would fire.
        for at_touch in [true, false] {
            for (signal, leg) in signals.into_iter().flatten().flat_map(|s| LegKind::BOTH.map(|leg| (s, leg)))
            {
                let look = match at_touch {
                    true => self.prepare_touch(at, loaded, signal, leg, &quotes, now),
                    false => self.prepare_rungs(at, loaded, signal, leg, &quotes, now),
                };
                match look {
                    Look::Done { due: this } => due = due.min(this),
                    Look::Made | Look::NotYet => return look,
                }
            }
        }
        Look::Done { due }
    }

    /// The order of one leg at its touch.
    fn prepare_touch(
        &mut self,
        at: usize,
        loaded: &Loaded,
        signal: Signal,
        leg: LegKind,
        quotes: &[Quote; 2],
        now: Nanos,
    ) -> Look {
        let stall = &self.stalls[at];
        let Some(wanted) = self.wanted(stall, signal, leg) else { return Look::NOTHING };
        let row = loaded.instruments.get(stall.legs[leg as usize]);
        let quote = &quotes[leg as usize];
        let order = self.ready[at][signal.direction as usize][leg as usize].get(0);
        // Made anew at a quarter of the window, or when the touch has left its limit.
        let life = self.prepared_life_ns() / 2;
        if order.fits(&wanted, row, quote, now, life) {
            return Look::Done { due: order.at.plus(life + 1) };
        }
        // It would be made again in every turn, and never serve.
        if !wanted.reaches(row, quote) {
            return Look::NOTHING;
        }
        self.write_ahead((at, signal, leg, 0), loaded, quote, &wanted, now)
    }

    /// The orders of one leg where its touch will be once the threshold is passed.
    fn prepare_rungs(
        &mut self,
        at: usize,
        loaded: &Loaded,
        signal: Signal,
        leg: LegKind,
        quotes: &[Quote; 2],
        now: Nanos,
    ) -> Look {
        let stall = &self.stalls[at];
        let Some(wanted) = self.wanted(stall, signal, leg) else { return Look::NOTHING };
        let row = loaded.instruments.get(stall.legs[leg as usize]);
        let fold = match signal.class {
            Class::Entry => stall.terms.enter[signal.direction as usize],
            Class::Exit => stall.terms.exit,
            // No price is waited for.
            Class::Flatten | Class::Repair => Fold::NEVER,
        };
        let other = &quotes[leg.other() as usize];
        let shelf = &mut self.ready[at][signal.direction as usize][leg as usize];
        let Some(rungs) = rungs(fold, leg, &wanted, row, &quotes[leg as usize], other) else {
            // What is there is for an earlier threshold.
            return if shelf.clear_rungs() { Look::Made } else { Look::NOTHING };
        };
        let life = self.prepared_life_ns() / 2;
        let mut due = Nanos::NEVER;
        for (n, rung) in rungs.iter().enumerate() {
            let order = self.ready[at][signal.direction as usize][leg as usize].get(1 + n);
            if rung.has(order, &wanted, row, now, life) {
                due = due.min(order.at.plus(life + 1));
            } else if wanted.reaches(row, &rung.quote) {
                return self.write_ahead((at, signal, leg, 1 + n), loaded, &rung.quote, &wanted, now);
            }
        }
        Look::Done { due }
    }

    fn write_ahead(
        &mut self,
        (at, signal, leg, n): (usize, Signal, LegKind, usize),
        loaded: &Loaded,
        quote: &Quote,
        wanted: &Wanted,
        now: Nanos,
    ) -> Look {
        let stall = &self.stalls[at];
        let lane = lane(stall.venues[leg as usize], leg);
        let instrument = loaded.instruments.get(stall.legs[leg as usize]);
        let Some(stamp) = self.offsets.venue_time(lane, now) else { return Look::NotYet };
        let Some(form) = loaded.form(instrument.id) else { return Look::NotYet };
        let mask = mask(form, &mut self.doors.entropy);
        let order = self.ready[at][signal.direction as usize][leg as usize].get_mut(n);
        order.write(&Paper { form, instrument, stamp, mask }, quote, wanted, now, Made::Prepared);
        Look::Made
    }

    /// What one leg of this signal must look like.
    #[inline]
    pub(super) fn wanted(&self, stall: &Stall, signal: Signal, leg: LegKind) -> Option<Wanted> {
        let at = leg as usize;
        let opening = signal.direction.opening(leg);
        let (side, qty, reduce_only, collar_ppm) = match (signal.class, stall.terms.held) {
            (Class::Entry, _) => (opening, stall.terms.clip[at], false, ENTRY_COLLAR_PPM),
            (Class::Exit | Class::Flatten, Some(held)) => {
                let whole = if planted(Bug::ExitOfAClip) { stall.terms.clip } else { [held.spot, held.perp] };
                let qty = whole[at];
                let collar = if signal.class == Class::Exit { EXIT_COLLAR_PPM } else { FLATTEN_COLLAR_PPM };
                let side = if planted(Bug::ExitSideFlipped) { opening } else { opening.other() };
                (side, qty, leg == LegKind::Perp, collar)
            }
            _ => return None,
        };
        // Of a leg that is gone there is nothing to close: what is left of the pair is the shadow's to mend.
        if qty <= Qty::ZERO {
            return None;
        }
        let client = self.client(stall.sequence, leg, 0)?;
        Some(Wanted { class: signal.class, client, side, qty, reduce_only, collar_ppm, edge: None })
    }

    pub(super) fn client(&self, sequence: u32, leg: LegKind, attempt: u8) -> Option<ClientId> {
        ClientId::new(ClientIdParts {
            instance: self.settings.instance,
            epoch: self.settings.epoch,
            sequence,
            leg,
            attempt,
        })
    }
}
