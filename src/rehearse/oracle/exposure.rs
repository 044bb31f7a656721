//! I1: a pair is never exposed by more than a clip, and beyond its bound for no longer than a repair may take.
//!
//! Owns:  since when each pair is out of bound, not counting time in which nobody could have helped it.
//! Never: counts what somebody else holds on the account.

use super::super::World;
use super::facts::ONE;
use super::{Broken, Oracle, broken};
use crate::sim::Market;
use crate::units::Nanos;
use crate::units::time::{MS, SEC};

/// T_window: the longest a pair may be out of bound while a route is open, and a turn to spare.
const WINDOW_NS: u64 = 8 * SEC + 100 * MS;

/// From the earliest moment of evidence C to its last question answered: two searches 2 s apart, then the
/// account; and what venue and host may differ by.
const PROOF_MS: u64 = 6_000;

/// Questions end at 90 % of a limit, less what is left there to processes that begin, and to orders and the clerk, who
/// spend without asking (DESIGN §5): 84.3 % of spot's 6,000, 80.8 % of USD-M's 2,400.
const CROWDED_PERCENT: u64 = 80;
/// Those of a start end at 60 %, and it asks for a good part of that: so long it waits for another minute.
const BEGINS_PERCENT: u64 = 50;
const BEGINS_NS: u64 = 90 * SEC;

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
    /// Strangers have left nothing of a market's minute for questions: spot, USD-M.
    crowded: [bool; 2],
    /// When they last had, of either.
    crowded_at: Nanos,
    /// When the present process had read the account, and asks about the orders it found.
    recalled_at: Nanos,
}

impl Exposure {
    pub(super) fn new(pairs: usize) -> Self {
        Self {
            since: vec![None; pairs],
            out: 0,
            killed: false,
            crowded: [false; 2],
            crowded_at: Nanos(0),
            recalled_at: Nanos(0),
        }
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

    /// The present process told what it found.
    pub(super) fn recalled(&mut self, now: Nanos) {
        self.exposure.recalled_at = now;
    }

    /// Looks at what others have left of each market's minute, while a pair waits for it.
    pub(super) fn look_at_minutes(&mut self, world: &World) {
        if self.exposure.out == 0 || !self.budget.disturbed {
            return;
        }
        let begins = world.now().since(self.begun) < BEGINS_NS;
        let percent = if begins { BEGINS_PERCENT } else { CROWDED_PERCENT };
        self.exposure.crowded = [Market::Spot, Market::Usdm].map(|market| {
            let (used, limit) = world.weight_used(market);
            u64::from(used) * 100 > u64::from(limit) * percent
        });
        if self.exposure.crowded != [false; 2] {
            self.exposure.crowded_at = world.now();
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
        // After a loss of power nothing is mended before what was sent and not written down can appear no more.
        let proof_ns = self.allowed.lost_after_ns + PROOF_MS * MS;
        let knows_at = self.exposure.recalled_at.plus(if self.lost_power { proof_ns } else { 0 });
        let crowded = self.exposure.crowded;
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
            // What becomes of a repair is heard by asking, and asking is what strangers have left no room for.
            let heard_of = if crowded[larger] { now } else { shut[larger].min(now) };
            *since = (*since).max(excused_until).max(heard_of).max(knows_at.min(now));
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
        let banned = self.banned_until();
        let may_ask = self.exposure.recalled_at.max(self.exposure.crowded_at).max(banned[0]).max(banned[1]);
        self.books.unended().any(|(client, fired)| {
            let mine = names[usize::from(fired.of.0 == "perp")] == fired.of.1;
            let executed = self.facts.orders.get(client).map_or(0, |order| order.executed);
            let lost_after_ms = self.allowed.lost_after_ns / MS + PROOF_MS;
            let proof_due_ms = fired.stamp_ms + lost_after_ms;
            // A process that finds the order waits as long again, from when it may ask.
            let recalled = fired.run < self.books.runs;
            let found_ms = if recalled { (self.calendar + may_ask.0) / MS + lost_after_ms } else { 0 };
            mine && executed == 0 && calendar_ms < proof_due_ms.max(found_ms)
        })
    }

    /// Pairs that are out of bound now.
    pub(super) fn out_of_bound(&self) -> Vec<&str> {
        let out = self.exposure.since.iter().zip(&self.facts.pairs);
        out.filter(|(since, _)| since.is_some()).map(|(_, pair)| pair.base.as_str()).collect()
    }
}
