//! A broken session made small: which of its faults are enough.
//!
//! Owns:  dropping strikes while the same invariant still breaks.
//! Never: changes a strike that stays, or the world.

use super::super::Plan;
use super::run;

/// The plan with the fewest strikes that still breaks the same invariant: strikes are dropped by halves, then
/// one by one, at most `runs` sessions.
#[must_use]
pub fn shrunk(plan: &Plan, invariant: u8, mut runs: u32) -> Plan {
    let mut best = plan.clone();
    let mut size = best.strikes.len().div_ceil(2);
    while size > 0 && runs > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at < best.strikes.len() && runs > 0 {
            let mut fewer = best.clone();
            fewer.strikes.drain(at..(at + size).min(best.strikes.len()));
            runs -= 1;
            if run(&fewer).broken.is_some_and(|(broken, ..)| broken.invariant == invariant) {
                (best, dropped) = (fewer, true);
            } else {
                at += size;
            }
        }
        if size == 1 && !dropped {
            break;
        }
        size = if size > 1 { size / 2 } else { 1 };
    }
    best
}
