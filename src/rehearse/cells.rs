//! Sessions enumerated instead of drawn: what can be, each cell once, and what can't, each with its reason.
//!
//! Owns:  both lists; a cell's name, its plan, the reason against it.
//! Never: drops a cell without a reason.
//! Map:   `aimed` one fault in one state of one leg's order · `small` one entry, and every order in which what concerns
//!        it may arrive, with a death at every place.

mod aimed;
mod small;

use super::Plan;
use super::drawing::keyed;
use super::setup::Setup;
use crate::agents::trader::contingent::Legs;
use crate::sim;
use crate::units::Amount;
use crate::units::time::{MS, SEC, US};
use crate::venue::Orders;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Fault × state of an order × leg, on the way in and out.
    Aimed,
    /// Outcomes of both legs × sequences of up to six events, a death among them.
    Small,
}

impl List {
    /// As `--cells` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aimed => "aimed",
            Self::Small => "small",
        }
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Aimed(aimed::Cell),
    Small(small::Cell),
}

/// The coins of cells, in turns. One has a name multiplier.
const COINS: [&str; 4] = ["XRP", "BTC", "PEPE", "SOL"];

/// How orders travel: every list once for each.
const WAYS: [Orders; 2] = [Orders::Rest, Orders::Ws];

/// The end of a cell's name.
const fn way_name(orders: Orders) -> &'static str {
    match orders {
        Orders::Rest => "",
        Orders::Ws => "/ws",
    }
}

impl Cell {
    /// All cells of a list.
    #[must_use]
    pub fn all(list: List) -> Vec<Self> {
        match list {
            List::Aimed => aimed::all().map(|it| Self(Kind::Aimed(it))).collect(),
            List::Small => small::all().map(|it| Self(Kind::Small(it))).collect(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Kind::Aimed(it) => it.name(),
            Kind::Small(it) => it.name(),
        }
    }

    /// Why it can't be.
    #[must_use]
    pub fn ruled_out(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Aimed(it) => it.ruled_out(),
            Kind::Small(it) => it.ruled_out(),
        }
    }

    /// The session that is its proof.
    #[must_use]
    pub fn plan(&self) -> Plan {
        match &self.0 {
            Kind::Aimed(it) => it.plan(),
            Kind::Small(it) => it.plan(),
        }
    }
}

/// One pair, a slow and quiet box, a network slow enough for orders to be on it when something happens.
/// Over sockets, every other world logs on to them.
fn setup(seed: u64, coin: &str, legs: Legs, orders: Orders) -> Setup {
    let box_config = sim::Config { ticks_per_s: 4, settle_in_ns: 50 * 60 * SEC, ..sim::Config::default() };
    let setup = Setup {
        wanted: Some(vec![coin.to_owned()]),
        legs,
        orders,
        clip: Amount(500 * 10i128.pow(u32::from(Amount::SCALE))),
        crashes_max: (1_000, 600 * SEC),
        delay_ns: 200 * US..=2 * MS,
        idle_ns: 10 * MS,
        ..keyed(seed, box_config)
    };
    if orders == Orders::Ws && seed.is_multiple_of(2) { setup.of_ed25519() } else { setup }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_cell_has_a_name_of_its_own_and_most_can_be() {
        for (list, all, applicable) in [(List::Aimed, 6_912, 6_630), (List::Small, 82_188, 68_112)] {
            let cells = Cell::all(list);
            let names: BTreeSet<String> = cells.iter().map(Cell::name).collect();
            assert_eq!(names.len(), cells.len());
            let mut against: BTreeMap<&str, usize> = BTreeMap::new();
            for why in cells.iter().filter_map(Cell::ruled_out) {
                *against.entry(why).or_default() += 1;
            }
            let can_be = cells.iter().filter(|it| it.ruled_out().is_none()).count();
            assert_eq!((cells.len(), can_be), (all, applicable), "{list:?} {against:?}");
        }
    }

    #[test]
    fn a_cell_is_a_script_like_any_other() {
        for list in [List::Aimed, List::Small] {
            for cell in Cell::all(list).iter().filter(|it| it.ruled_out().is_none()).step_by(97) {
                let plan = cell.plan();
                let read = Plan::read(&plan.script()).unwrap();
                assert_eq!(format!("{plan:?}"), format!("{read:?}"), "{}", cell.name());
            }
        }
    }
}
