//! Orders signed ahead: in every idle turn one that is missing or old is made, so that firing is picking.
//!
//! Owns:  what each leg of a possible intent must look like, and keeping it ready.
//! Never: sends; burns a client order id (an id stays with its pair through every re-signing until it is
//!        really sent).

use super::pen::{ENTRY_COLLAR_PPM, EXIT_COLLAR_PPM, FLATTEN_COLLAR_PPM, Paper, Wanted};
use super::{Signal, Stall, Trader};
use crate::agents::Loaded;
use crate::event::{Made, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::id::ClientIdParts;
use crate::units::time::MS;
use crate::units::{Class, ClientId, Direction, LegKind, Nanos, Qty};

impl Trader {
    /// How long a prepared order serves: half its window, since the other half is the way there.
    pub(super) fn prepared_life_ns(&self) -> u64 {
        u64::from(self.settings.recv_window_ms) * MS / 2
    }

    /// Makes one order that is missing or old. One an idle turn, so that no quote waits for long.
    pub(super) fn prepare_one(&mut self, now: Nanos) -> usize {
        let Some(loaded) = self.loaded.clone() else { return 0 };
        if loaded.forms.is_empty() || !self.settings.live {
            return 0;
        }
        for _ in 0..self.stalls.len() {
            let at = self.turn_of;
            self.turn_of = (self.turn_of + 1) % self.stalls.len();
            if self.prepare(at, &loaded, now) {
                return 1;
            }
        }
        0
    }

    fn prepare(&mut self, at: usize, loaded: &Loaded, now: Nanos) -> bool {
        let stall = &self.stalls[at];
        if stall.busy {
            return false;
        }
        let pair = stall.pair;
        let [Some(spot), Some(perp)] = self.books.tops(pair) else { return false };
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
        for signal in signals.into_iter().flatten() {
            for leg in LegKind::BOTH {
                let stall = &self.stalls[at];
                let Some(wanted) = self.wanted(stall, signal, leg) else { continue };
                let instrument = loaded.instruments.get(stall.legs[leg as usize]);
                let quote = &quotes[leg as usize];
                let ready = &self.ready[at][signal.direction as usize][leg as usize];
                // Made anew at a quarter of the window, or when the touch has left its limit.
                if ready.fits(&wanted, instrument, quote, now, self.prepared_life_ns() / 2) {
                    continue;
                }
                // It would be made again in every turn, and never serve.
                if !wanted.reaches(instrument, quote) {
                    continue;
                }
                let lane = lane(stall.venues[leg as usize], leg);
                let Some(stamp) = self.offsets.venue_time(lane, now) else { return false };
                let Some(form) = loaded.form(instrument.id) else { return false };
                let slot = &mut self.ready[at][signal.direction as usize][leg as usize];
                slot.write(&Paper { form, instrument, stamp }, quote, &wanted, now, Made::Prepared);
                return true;
            }
        }
        false
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
