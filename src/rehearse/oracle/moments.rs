//! Which states the orders of each leg are in now (FAULTS part 4), for faults that wait for one of them.
//!
//! Owns:  a state by what was written down of an order and what the venue saw of it.
//! Never: judges; looks into a room of the engine.

use super::super::moment::{Moment, State};
use super::Oracle;
use super::books::FiredLeg;
use super::facts::{E10, ONE};
use crate::units::Nanos;
use crate::units::time::MS;
use std::collections::BTreeSet;

/// An order that ended so long ago at most has just ended.
const JUST_NS: u64 = 100 * MS;

impl Oracle {
    /// Whether an order of that leg is in that state at this step.
    #[must_use]
    pub fn is_at(&self, moment: Moment) -> bool {
        if moment.state == State::Intent {
            return self.books.waits == Some((moment.perp, moment.buys));
        }
        let mine = |fired: &FiredLeg| fired.is_perp() == moment.perp && fired.buys == moment.buys;
        let open = self.books.open.iter();
        let open = open.filter(|client| self.books.fired.get(client).is_some_and(mine));
        let ended = self.ended.iter().filter(|(at, _)| *at == self.read_at).map(|(_, client)| client);
        let ended = ended.filter(|client| self.books.fired.get(client).is_some_and(mine));
        open.chain(ended).any(|client| self.state_of(*client) == Some(moment.state))
    }

    /// Every moment that it is now, orders that have just ended among them.
    #[must_use]
    pub fn moments(&self) -> BTreeSet<Moment> {
        let waits = self.books.waits.map(|(perp, buys)| Moment { perp, buys, state: State::Intent });
        let just = self.ended.iter().filter(|(at, _)| self.read_at.since(*at) <= JUST_NS);
        let clients = self.books.open.iter().chain(just.map(|(_, client)| client));
        let moment = |client: &u64| {
            let fired = self.books.fired.get(client)?;
            Some(Moment { perp: fired.is_perp(), buys: fired.buys, state: self.state_of(*client)? })
        };
        waits.into_iter().chain(clients.filter_map(moment)).collect()
    }

    fn state_of(&self, client: u64) -> Option<State> {
        let fired = self.books.fired.get(&client)?;
        let order = self.facts.orders.get(&client);
        let told = self.books.told.get(&client);
        if let Some(end) = self.books.ends.get(&client) {
            let unit = ONE / 10i128.pow(u32::try_from(fired.decimals).unwrap_or(18));
            let executed = end.executed_units * unit;
            return match end.end.as_str() {
                "terminal" if executed == 0 => Some(State::DoneZero),
                "terminal" if executed < fired.qty => Some(State::DonePartial),
                "terminal" => Some(State::Filled),
                "refused" => Some(State::Rejected),
                "never_landed" => Some(State::NeverLanded),
                _ => None,
            };
        }
        let executed = order.map_or(0, |order| i128::from(order.executed) * E10);
        let state = match told {
            // Nobody waits any more for what an earlier process sent.
            _ if fired.run != self.books.runs => State::Unknown,
            Some(told) if told.unknown => State::Unknown,
            Some(told) if told.open && executed > 0 => State::Partial,
            Some(told) if told.open => State::Acked,
            _ if fired.in_part && order.is_none() => State::Writing,
            _ => State::Wire,
        };
        Some(state)
    }

    /// An order's end was read.
    pub(super) fn just_ended(&mut self, now: Nanos, client: u64) {
        self.ended.retain(|(at, _)| now.since(*at) <= JUST_NS);
        self.ended.push((now, client));
    }
}
