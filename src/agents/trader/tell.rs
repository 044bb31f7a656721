//! What the shadow hears beside orders: how the books look, and what would have been fired.
//!
//! Owns:  pulses, signals that may not act.
//! Never: tells anything that something hangs on: all of it is lossy.

use super::aim::signal_prices;
use super::{PULSE_NS, Signal, Trader};
use crate::event::{Pulse, Told};
use crate::units::{Nanos, PairId};

impl Trader {
    /// Nothing may leave: the shadow hears of each crossing once.
    #[inline(never)]
    pub(super) fn tell_signal(&mut self, pair: PairId, signal: Signal) {
        let stall = &mut self.stalls[usize::from(pair.0)];
        if std::mem::replace(&mut stall.signalled, true) {
            return;
        }
        let [Some(spot), Some(perp)] = self.books.tops(pair) else { return };
        let prices = signal_prices(signal, spot, perp);
        // Lossy: it informs, nothing hangs on it.
        let _ = self.doors.told.push(Told::Signal {
            pair,
            class: signal.class,
            direction: signal.direction,
            decision: self.counts.taken,
            prices,
        });
    }

    /// Tells the shadow how one pair's books look, if its turn has come.
    #[inline(never)]
    pub(super) fn pulse(&mut self, now: Nanos) {
        let Some(at) = self.stalls.iter().position(|stall| now >= stall.pulse_due) else { return };
        let stall = &mut self.stalls[at];
        stall.pulse_due = now.plus(PULSE_NS);
        let pair = stall.pair;
        let [spot, perp] = self.books.tops(pair);
        let pulse = Pulse {
            pair,
            quotes: [spot.copied(), perp.copied()],
            spread_ppb: self.books.mean_spread_ppb(pair).map_or(0, |ppb| ppb.max(0) as u64),
            weighed: stall.weighed,
            gate: stall.gate,
        };
        // Lossy: the next one comes in a quarter of a second.
        if self.doors.told.has_room(64) {
            let _ = self.doors.told.push(Told::Pulse(pulse));
        }
    }
}
