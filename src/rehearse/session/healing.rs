//! The second phase of a session: all faults are over, everything becomes well, and trading goes on (I19).
//!
//! Owns:  how long that may take, what a person does meanwhile, and what need not be traded again.
//! Never: lets an engine pass that rests because something is not known.

use super::{GRACE_NS, Session, WINDOW_NS};
use crate::event::Mode;
use crate::rehearse::oracle::Broken;
use crate::sim::Market;
use crate::units::time::SEC;
use serde_json::json;

/// I19: all is well again so long after the last fault, or after the venue's own stated end.
pub(super) const HEALED_WITHIN_NS: u64 = 60 * SEC;
/// A venue that stays shut for longer after the last fault is dead: nothing can heal.
const DEAD_NS: u64 = 600 * SEC;
/// After so long a session a settlement may have been missed: a hole in the history that entries are weighed by, and
/// none is made (F47). Only kept sessions of days are so long.
const HOLE_NS: u64 = 8 * 3_600 * SEC;
/// A healthy engine goes on for at least this.
pub(super) const HEALING_NS: u64 = 12 * SEC;
/// How often a person lets a halted engine go on while it heals: it mends what is open without one, and would halt
/// again over what is still in doubt, so a person waits until nothing is. What was killed mends nothing.
const RESUMES_MAX: u32 = 2;
/// What an engine says of a pair whose rest no leg can trade (R12): it takes no entry by rule.
pub(super) const DUST: &str = "less than any leg can trade";
/// What an engine says of a venue that asked it twice within a minute to wait (F95): ten minutes without entries.
const SLOWED: &str = "asked to wait twice within a minute";
/// No entry begins so shortly before a settlement (DESIGN §5, gate): hosts that were down for long reach it.
const GUARD_NS: u64 = 900 * SEC;

impl Session<'_> {
    /// All faults are off: everything becomes well, and trading goes on (I19).
    pub(super) fn heal(&mut self) -> Result<(), Broken> {
        self.queue.clear();
        self.give_up();
        self.world.calm();
        self.oracle.acted(self.world.now(), "calm");
        // Processes that died have used up sockets, too: the next one needs some.
        let sockets = [Market::Spot, Market::Usdm].map(|market| self.world.sockets_at(market));
        let mut from = self.world.open_again_at().max(sockets[0]).max(sockets[1]);
        if from.since(self.world.now()) > DEAD_NS {
            self.unhealed = true;
            return Ok(());
        }
        self.oracle.excuse(from.plus(GRACE_NS));
        self.until_time(from)?;
        let crowded = self.is_crowded();
        let trips = self.oracle.round_trips();
        // A stop that comes while starts have used up the minute leaves payments unread (and says so).
        from = from.plus(if crowded { WINDOW_NS } else { 0 });
        // A process that does not know what was used of a minute waits for the next one.
        let knows_at = self.dark_at.map_or(from, |at| from.max(at.plus(WINDOW_NS)));
        let (mut least, mut limit) = (from.plus(HEALING_NS), knows_at.plus(HEALED_WITHIN_NS));
        let mut next = self.world.now().plus(SEC);
        let mut resumes = RESUMES_MAX;
        let mut looked = false;
        loop {
            // A person looks, once: also at what is told a moment later, since what a fault held back is heard when it
            // ends. What a pair's entries are off for is over, or it will be told again.
            if self.oracle.tells("no new entries") && !self.no_entries && !looked {
                looked = true;
                self.oracle.acted(self.world.now(), "restart by a person");
                self.crash(&json!({"kind": "kill_process"}))?;
            }
            self.until_time(next)?;
            next = next.plus(SEC);
            // What strangers used up is known to a process that has just begun when it asks, and is sent away for longer.
            let (now, open_at) = (self.world.now(), self.world.open_again_at());
            if open_at > from.max(now) && open_at.since(now) <= DEAD_NS {
                self.oracle.excuse(open_at.plus(GRACE_NS));
                (from, next) = (open_at, open_at);
                (least, limit) = (from.plus(HEALING_NS), limit.max(from.plus(HEALED_WITHIN_NS)));
            }
            let restless = self.oracle.restless(&self.world);
            let mode = self.world.shadow().mode();
            if resumes > 0 && (mode == Mode::Killed || mode == Mode::Halted && restless.is_empty()) {
                resumes -= 1;
                self.operator("resume");
            }
            let by_rule = [DUST, SLOWED].iter().any(|words| self.oracle.tells(words));
            let by_rule = by_rule || self.world.settles_in() < GUARD_NS;
            let no_entries = self.no_entries || self.world.now().0 >= HOLE_NS;
            let traded = self.oracle.round_trips() > trips || no_entries || by_rule;
            if restless.is_empty() && traded && self.world.now() >= least {
                return Ok(());
            }
            if self.world.now() >= limit {
                // Orders of a moment ago are no unrest: a stop resolves them.
                if traded && restless.len() <= 3 {
                    return Ok(());
                }
                let shadow = self.world.shadow();
                let frozen: Vec<_> = shadow.why().filter_map(|it| it.frozen).collect();
                let still = || format!("nothing was traded ({})", self.world.why_still());
                let what = restless.into_iter().next().unwrap_or_else(still);
                let mode = shadow.mode();
                let why =
                    format!("60 s after the last fault: {what} ({mode:?} {} {frozen:?})", shadow.mode_why());
                return Err(Broken { invariant: 19, why });
            }
        }
    }
}
