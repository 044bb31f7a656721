//! I7: the venue never has to turn a request away, and nothing is sent to one that has; nor is a socket asked for.
//!
//! Owns:  who was throttled when, and whether the bench itself had caused it.
//! Never: takes the engine's counters for what was used.

use super::super::Witnessed;
use super::{Broken, Oracle, broken};
use crate::sim::{Door, Seen, Standing};
use crate::units::Nanos;
use crate::units::time::SEC;
use std::collections::BTreeMap;

/// From the first answer of a ban to the last request that had not heard of it.
const HEARD_NS: u64 = 2 * SEC;

/// What the bench did to the budgets, and what followed.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// A ban on order, or a stranger's requests: the venue's counters are not the engine's alone.
    pub(super) disturbed: bool,
    /// When each market first said that we are banned, until when, and when it was heard by this process.
    banned: [Option<(Nanos, Nanos)>; 2],
    /// When each door first said so to this process, and until when it wants to hear of no new socket.
    shut: BTreeMap<Door, (Nanos, Nanos)>,
}

impl Oracle {
    /// The bench spends the budget, or bans the host.
    pub fn disturb_budget(&mut self) {
        self.budget.disturbed = true;
    }

    pub(super) fn budget(&mut self, witnessed: &Witnessed) -> Result<(), Broken> {
        let Seen::Throttled { market, status, wait_s } = &witnessed.seen else { return Ok(()) };
        if !self.budget.disturbed {
            return Err(broken(
                7,
                format!("{market:?} turned a request away with {status}, wait {wait_s} s"),
            ));
        }
        if *status != 418 {
            return Ok(());
        }
        let banned = &mut self.budget.banned[usize::from(super::name_of(*market) == "perp")];
        let until = witnessed.at.plus(wait_s * SEC);
        match banned {
            Some((since, end)) if witnessed.at < *end => {
                let heard = since.plus(HEARD_NS).max(self.excused_until).max(self.begun.plus(HEARD_NS));
                if witnessed.wire > heard {
                    let ms = witnessed.wire.since(*since) / 1_000_000;
                    return Err(broken(7, format!("{market:?} was asked {ms} ms after it had banned us")));
                }
                *end = until;
            }
            _ => *banned = Some((witnessed.at, until)),
        }
        Ok(())
    }

    /// A new socket was turned away. That may happen: processes that died have used up what is counted for five
    /// minutes. Asking again before the time is over, by one that has heard of it, may not.
    pub(super) fn sent_away(&mut self, witnessed: &Witnessed) -> Result<(), Broken> {
        let Seen::SentAway { door, status, wait_s } = witnessed.seen else { return Ok(()) };
        let until = witnessed.at.plus(wait_s * SEC);
        let (since, end) = self.budget.shut.entry(door).or_insert((witnessed.at, until));
        if *since < self.begun || witnessed.at >= *end {
            (*since, *end) = (witnessed.at, until);
            return Ok(());
        }
        if witnessed.wire > since.plus(HEARD_NS).max(self.excused_until) {
            let ms = witnessed.wire.since(*since) / 1_000_000;
            let why =
                format!("{door:?} was asked for a socket {ms} ms after it had refused one with {status}");
            return Err(broken(7, why));
        }
        *end = until;
        Ok(())
    }

    /// Until when the doors of orders let in no new socket.
    pub(super) fn order_doors_shut_until(&self) -> [Nanos; 2] {
        [Door::SpotWsApi, Door::UsdmWsApi]
            .map(|door| self.budget.shut.get(&door).map_or(Nanos(0), |(_, until)| *until))
    }

    /// Until when each market's ban lasts, by what it told last; a request after it was heard has broken I7.
    pub(super) fn banned_until(&self) -> [Nanos; 2] {
        self.budget.banned.map(|ban| ban.map_or(Nanos(0), |(_, until)| until))
    }

    /// Of no budget more than nine tenths were used.
    pub(super) fn peaks(&self, standing: &Standing) -> Result<(), Broken> {
        for (market, window, limit, peak) in &standing.peaks {
            if !self.budget.disturbed && u64::from(*peak) * 10 > u64::from(*limit) * 9 {
                return Err(broken(7, format!("{market:?} {window}: {peak} of {limit} were used")));
            }
        }
        Ok(())
    }
}
