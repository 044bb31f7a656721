//! One fault, struck while the order of one leg is in one state: every fault, every state, both legs, in and out, over
//! both ways that orders travel by.
//!
//! Owns:  what brings an order into a state, and which cells can't be.
//! Never: plants another fault than that one and the one that makes the state.

use super::super::drawing::strike_on;
use super::super::faults::{TABLE, index_of};
use super::super::moment::{Moment, State};
use super::super::{Plan, Strike};
use super::{COINS, WAYS, setup, way_name};
use crate::agents::trader::contingent::Legs;
use crate::units::time::{SEC, US};
use crate::venue::Orders;
use serde_json::{Value, json};

/// How long the fault may take to strike and last, on the way in and on the way out, s.
const SAFETY_S: [u64; 2] = [35, 70];

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    injector: usize,
    moment: Moment,
    /// Whether the order of unknown fate was taken.
    taken: bool,
    way_out: bool,
    /// How orders travel.
    orders: Orders,
    number: usize,
}

/// Every cell there could be.
pub(super) fn all() -> impl Iterator<Item = Cell> {
    let states = State::ALL.into_iter().flat_map(|state| {
        let variants: &[bool] = if state == State::Unknown { &[true, false] } else { &[true] };
        variants.iter().map(move |taken| (state, *taken))
    });
    let legs = [(false, false), (false, true), (true, false), (true, true)];
    let moments: Vec<_> =
        states.flat_map(|state| legs.map(|(perp, way_out)| (state, perp, way_out))).collect();
    let each = move |orders| {
        let moments = moments.clone();
        (0..TABLE.len())
            .flat_map(move |injector| moments.clone().into_iter().map(move |it| (orders, injector, it)))
    };
    WAYS.into_iter().flat_map(each).enumerate().map(
        |(number, (orders, injector, ((state, taken), perp, way_out)))| {
            // Short: in by buying spot and selling the perp.
            let moment = Moment { perp, buys: perp == way_out, state };
            Cell { injector, moment, taken, way_out, orders, number }
        },
    )
}

impl Cell {
    pub(super) fn name(&self) -> String {
        let leg = if self.moment.perp { "perp" } else { "spot" };
        let way = if self.way_out { "out" } else { "in" };
        let variant = match (self.moment.state, self.taken) {
            (State::Unknown, true) => "-taken",
            (State::Unknown, false) => "-lost",
            _ => "",
        };
        let (fault, state) = (TABLE[self.injector].name, self.moment.state.name());
        format!("{fault}/{state}{variant}/{leg}/{way}{}", way_name(self.orders))
    }

    pub(super) fn ruled_out(&self) -> Option<&'static str> {
        if self.moment.state == State::Intent && self.way_out && self.moment.perp {
            return Some("on the way out the perp goes first, whatever is chosen: it waits for nothing");
        }
        if self.cuts_a_position() && !self.has_position() {
            return Some("the account has no position then: there is nothing to cut, take or settle");
        }
        None
    }

    /// Whether the fault needs a position.
    fn cuts_a_position(&self) -> bool {
        matches!(TABLE[self.injector].name, "F102" | "F103" | "F105")
    }

    fn has_position(&self) -> bool {
        let state = self.moment.state;
        match (self.moment.perp, self.way_out) {
            (true, false) => matches!(state, State::Partial | State::Filled | State::DonePartial),
            // The perp goes first (`legs`). A spot order that never landed is proven so when the perp is long bought back.
            (false, false) => !matches!(state, State::Intent | State::NeverLanded),
            (true, true) => state != State::Filled,
            (false, true) => state == State::Intent,
        }
    }

    fn legs(&self) -> Legs {
        match (self.moment.state, self.moment.perp) {
            (State::Intent, false) => Legs::PerpFirst,
            (State::Intent, true) => Legs::SpotFirst,
            (_, false) if self.cuts_a_position() => Legs::PerpFirst,
            _ => [Legs::Together, Legs::PerpFirst, Legs::SpotFirst][self.number % 3],
        }
    }

    /// What brings the order into the state: a fault of the table, and its order.
    fn lead(&self) -> Option<(&'static str, Value)> {
        let (fault, mut order) = match self.moment.state {
            State::Intent | State::Wire | State::Filled => return None,
            State::Writing => return Some(("F16", json!({"kind": "no_room", "bytes": 120, "ms": 60_000}))),
            State::Acked => ("F72", json!({"kind": "freeze", "ms": 4_000, "fraction_ppm": 0})),
            State::Partial => ("F72", json!({"kind": "freeze", "ms": 4_000, "fraction_ppm": 400_000})),
            // Left standing, or its report would be there before its doubt is.
            State::Unknown if self.taken => {
                ("F72", json!({"kind": "freeze", "ms": 4_000, "fraction_ppm": 0, "acked": false}))
            }
            State::Unknown | State::NeverLanded => ("F12a", json!({"kind": "lose"})),
            State::DonePartial => ("F64", json!({"kind": "partial", "fraction_ppm": 400_000})),
            State::DoneZero => ("F66", json!({"kind": "none"})),
            State::Rejected if self.moment.perp => {
                ("F54b", json!({"kind": "refuse", "code": -2019, "msg": "Margin is insufficient."}))
            }
            State::Rejected => ("F54a", json!({"kind": "refuse", "code": -2010})),
        };
        order["market"] = self.moment.market().into();
        order["client_side"] = self.moment.side().into();
        Some((fault, order))
    }

    pub(super) fn plan(&self) -> Plan {
        let seed = 20_000 + self.number as u64;
        let coin = COINS[self.number / 4 % COINS.len()];
        let lead =
            self.lead().and_then(|(name, order)| Some(Strike { at_ns: 0, injector: index_of(name)?, order }));
        let aimed = strike_on(self.injector, coin, self.moment.perp, self.orders, seed).into_iter();
        let aimed = aimed.map(|(later_ns, order)| Strike {
            at_ns: 0,
            injector: self.injector,
            order: self.moment.aim(order, later_ns / US),
        });
        Plan {
            seed,
            setup: setup(seed, coin, self.legs(), self.orders),
            safety_ns: SAFETY_S[usize::from(self.way_out)] * SEC,
            strikes: lead.into_iter().chain(aimed).collect(),
        }
    }
}
