//! I1: a pair is never exposed by more than a clip, and beyond its bound for no longer than a repair may take.
//!
//! Owns:  since when each pair is out of bound, not counting time in which nobody could have helped it.
//! Never: counts what somebody else holds on the account.

use super::super::World;
use super::facts::ONE;
use super::{Broken, Oracle, broken};
use crate::units::Nanos;
use crate::units::time::{MS, SEC};

/// T_window: the longest a pair may be out of bound while a route is open, and a turn to spare.
const WINDOW_NS: u64 = 8 * SEC + 100 * MS;

/// From the earliest moment of evidence C to its last question answered: two searches 2 s apart, then the
/// account; and what venue and host may differ by.
const PROOF_MS: u64 = 6_000;

/// Once the kill latch is cleared: the account is read, and the trader hears of it, before a repair can leave.
const UNLATCHED_NS: u64 = 3 * SEC;

/// The pairs' windows.
#[derive(Debug)]
pub(super) struct Exposure {
    /// Since when each pair is out of bound, excused time left out; `None`: within.
    since: Vec<Option<Nanos>>,
    /// How many are.
    out: usize,
    /// A person pressed kill and has not resumed.
    killed: bool,
}

impl Exposure {
    pub(super) fn new(pairs: usize) -> Self {
        Self { since: vec![None; pairs], out: 0, killed: false }
    }
}

impl Oracle {
    /// A trade moved a pair.
    pub(super) fn moved(&mut self, pair: usize, at: Nanos, world: &World) -> Result<(), Broken> {
        let mid = world.mid(self.facts.pairs[pair].rows[0]);
        let exposure = self.facts.pairs[pair].exposure().abs();
        let bound = self.facts.bound(pair, mid);
        // A clip in base; lots, minima and the fee on top are within the bound and a tenth.
        let perp = &self.facts.rows[self.facts.pairs[pair].rows[1]];
        let lot = i128::from(perp.step) * i128::from(mid) * 100 * i128::from(perp.multiplier);
        let least = (i128::from(perp.min_notional) * super::facts::E10).max(lot) * 3 + lot;
        let clip = self.allowed.clip.max(least) / 10 * 11;
        let clip = clip / i128::from(mid.max(1)) * (ONE / super::facts::E10);
        if exposure > clip + bound {
            let base = &self.facts.pairs[pair].base;
            return Err(broken(
                1,
                format!("{base} is exposed by {exposure}e-18, more than a clip of {clip}"),
            ));
        }
        let since = &mut self.exposure.since[pair];
        match (exposure > bound, since.is_some()) {
            (true, false) => {
                *since = Some(at);
                self.exposure.out += 1;
            }
            (false, true) => {
                *since = None;
                self.exposure.out -= 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// A person pressed kill, and nothing may be repaired; or let the engine go on. That ends no other excuse: a
    /// process that has just begun still connects and reads the account first (FAULTS 7.4), whoever resumes it.
    pub(super) fn hold_hedges(&mut self, killed: bool, now: Nanos) {
        let left = std::mem::replace(&mut self.exposure.killed, killed) && !killed;
        if left {
            self.excuse(now.plus(UNLATCHED_NS));
        }
    }

    /// Time passed.
    pub(super) fn exposed(&mut self, now: Nanos) -> Result<(), Broken> {
        if self.exposure.out == 0 {
            return Ok(());
        }
        for pair in 0..self.exposure.since.len() {
            if self.exposure.since[pair].is_some() && self.in_doubt(pair, now) {
                self.exposure.since[pair] = Some(now);
            }
        }
        let excused_until = if self.exposure.killed { now } else { self.excused_until.min(now) };
        let mut shut = self.banned_until();
        if self.allowed.by_socket {
            let doors = self.order_doors_shut_until();
            shut = [shut[0].max(doors[0]), shut[1].max(doors[1])];
        }
        for (pair, since) in self.exposure.since.iter_mut().enumerate() {
            let Some(since) = since else { continue };
            // The window begins when somebody could do something again: not while the leg that is too large has no way
            // to its market (R11). The venue's word is what counts: requests that were on their way before anybody had
            // heard of a ban make it longer than the bench ordered.
            let held = self.facts.pairs[pair].held;
            let larger = usize::from(held[1].abs() > held[0].abs());
            *since = (*since).max(excused_until).max(shut[larger].min(now));
            if now.since(*since) > WINDOW_NS {
                let (pair, ms) = (&self.facts.pairs[pair], now.since(*since) / MS);
                let why = format!(
                    "{} is out of bound for {ms} ms: {} spot, {} perp (1e-18)",
                    pair.base, pair.held[0], pair.held[1]
                );
                return Err(broken(1, why));
            }
        }
        Ok(())
    }

    /// Whether an order of the pair was sent that the venue does not have, and cannot yet be known not to have:
    /// until then "not found" is no evidence, and a second order could make two (I2, evidence C).
    fn in_doubt(&self, pair: usize, now: Nanos) -> bool {
        let calendar_ms = (self.calendar + now.0) / MS;
        let names = self.facts.pairs[pair].rows.map(|row| self.facts.rows[row].name.as_str());
        self.books.open.iter().any(|client| {
            let Some(fired) = self.books.fired.get(client) else { return false };
            let mine = names[usize::from(fired.of.0 == "perp")] == fired.of.1;
            let executed = self.facts.orders.get(client).map_or(0, |order| order.executed);
            let proof_due_ms = fired.stamp_ms + self.allowed.lost_after_ns / MS + PROOF_MS;
            mine && executed == 0 && calendar_ms < proof_due_ms
        })
    }

    /// Pairs that are out of bound now.
    pub(super) fn out_of_bound(&self) -> Vec<&str> {
        let out = self.exposure.since.iter().zip(&self.facts.pairs);
        out.filter(|(since, _)| since.is_some()).map(|(_, pair)| pair.base.as_str()).collect()
    }
}
