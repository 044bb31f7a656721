//! One entry whose every event is held and let through in an order of its own: all orders of up to six events, for all
//! that both legs may meet.
//!
//! Owns:  the events, the sequences, what both legs meet.
//! Never: leaves a sequence out: those that can't differ from another are told with their reason.
//! Model: when the first leg is on the wire, nothing comes back any more from the doors of answers and private events of
//!        both markets: four of them, or three where orders travel over sockets, since spot's are one door then. Then one event after another, 20 ms apart: a door lets through what waited, 400 ms pass (orders
//!        are asked about), the process dies. What is not let through comes 2 s after it was held.

use super::super::faults::index_of;
use super::super::moment::{Moment, State};
use super::super::{Plan, Strike};
use super::{COINS, WAYS, setup, way_name};
use crate::agents::trader::contingent::Legs;
use crate::units::time::SEC;
use crate::venue::Orders;
use serde_json::{Value, json};

/// Until everything that was held comes by itself, ms.
const HELD_MS: u64 = 2_000;
/// From one event to the next, µs.
const GAP_US: u64 = 20_000;
/// Long enough for an order to be asked about, µs.
const PATIENCE_US: u64 = 400_000;

/// What happens to the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// What this door held comes.
    Door(&'static str),
    /// Time passes.
    Patience,
    /// The process dies, and the next one starts at once.
    Death,
}

/// What may happen, by how orders travel.
const fn events(orders: Orders) -> &'static [Event] {
    match orders {
        Orders::Rest => &[
            Event::Door("spot_rest"),
            Event::Door("usdm_rest"),
            Event::Door("spot_ws_api"),
            Event::Door("usdm_ws"),
            Event::Patience,
            Event::Death,
        ],
        Orders::Ws => &[
            Event::Door("spot_ws_api"),
            Event::Door("usdm_ws_api"),
            Event::Door("usdm_ws"),
            Event::Patience,
            Event::Death,
        ],
    }
}

/// What an order meets.
const MET: [&str; 6] = ["full", "partial", "none", "refused", "unknown-taken", "unknown-lost"];

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// What each leg meets: spot, perp.
    met: [usize; 2],
    events: Vec<Event>,
    /// How orders travel.
    orders: Orders,
    number: usize,
}

/// Every cell there could be.
pub(super) fn all() -> impl Iterator<Item = Cell> {
    let each = |orders| {
        let sequences = sequences(events(orders));
        (0..MET.len() * MET.len()).flat_map(move |met| {
            let met = [met / MET.len(), met % MET.len()];
            sequences.clone().into_iter().map(move |events| (orders, met, events))
        })
    };
    let cells = WAYS.into_iter().flat_map(each).enumerate();
    cells.map(|(number, (orders, met, events))| Cell { met, events, orders, number })
}

/// Every sequence of these events, each event at most once: none of them first.
fn sequences(events: &[Event]) -> Vec<Vec<Event>> {
    let mut all: Vec<Vec<Event>> = vec![Vec::new()];
    let mut at = 0;
    while at < all.len() {
        for event in events {
            if !all[at].contains(event) {
                let longer = all[at].iter().chain([event]).copied().collect();
                all.push(longer);
            }
        }
        at += 1;
    }
    all
}

impl Cell {
    pub(super) fn name(&self) -> String {
        let event = |event: &Event| match event {
            Event::Door(door) => door,
            Event::Patience => "400ms",
            Event::Death => "death",
        };
        let events: Vec<&str> = self.events.iter().map(event).collect();
        let [spot, perp] = self.met.map(|met| MET[met]);
        let events = if events.is_empty() { "nothing".to_owned() } else { events.join("+") };
        format!("{spot}/{perp}/{events}{}", way_name(self.orders))
    }

    pub(super) fn ruled_out(&self) -> Option<&'static str> {
        match self.events.last() {
            Some(Event::Patience) => Some("time passes after the last event anyway"),
            _ => None,
        }
    }

    /// What a leg meets, as a fault of the table and its order.
    fn lead(&self, leg: usize) -> Option<(&'static str, Value)> {
        let perp = leg == 1;
        let (fault, mut order) = match MET[self.met[leg]] {
            "partial" => {
                ("F64", json!({"kind": "partial", "fraction_ppm": if perp { 700_000 } else { 400_000 }}))
            }
            "none" => ("F66", json!({"kind": "none"})),
            "refused" if perp => {
                ("F54b", json!({"kind": "refuse", "code": -2019, "msg": "Margin is insufficient."}))
            }
            "refused" => ("F54a", json!({"kind": "refuse", "code": -2010})),
            "unknown-taken" => ("F55", json!({"kind": "drop_ack"})),
            "unknown-lost" => ("F12a", json!({"kind": "lose"})),
            _ => return None,
        };
        let [market, side] = if perp { ["usdm", "SELL"] } else { ["spot", "BUY"] };
        order["market"] = market.into();
        order["client_side"] = side.into();
        Some((fault, order))
    }

    pub(super) fn plan(&self) -> Plan {
        let seed = 30_000 + self.number as u64 % 4;
        let mut strikes = Vec::new();
        let mut put = |fault: &str, order: Value| {
            strikes.extend(index_of(fault).map(|injector| Strike { at_ns: 0, injector, order }));
        };
        for (fault, order) in [0, 1].into_iter().filter_map(|leg| self.lead(leg)) {
            put(fault, order);
        }
        let moment = Moment { perp: true, buys: false, state: State::Wire };
        for event in events(self.orders) {
            if let Event::Door(door) = event {
                put("F13", moment.aim(json!({"kind": "hold", "door": door, "ms": HELD_MS}), 0));
            }
        }
        let mut after_us = 0;
        for event in &self.events {
            after_us += GAP_US;
            match event {
                Event::Door(door) => {
                    put("F13", moment.aim(json!({"kind": "hold", "door": door, "on": false}), after_us));
                }
                Event::Patience => after_us += PATIENCE_US,
                Event::Death => put("F111a", moment.aim(json!({"kind": "kill_process"}), after_us)),
            }
        }
        let coin = COINS[self.number % COINS.len()];
        Plan { seed, setup: setup(seed, coin, Legs::Together, self.orders), safety_ns: 10 * SEC, strikes }
    }
}
