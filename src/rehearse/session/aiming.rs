//! Strikes that wait for their moment, and in which states of orders each fault was injected.
//!
//! Owns:  strikes aimed at a state of an order; [`Coverage`].
//! Never: lets a moment that never came pass unnoticed.

use super::super::moment::{Aimed, Moment};
use super::super::oracle::{Broken, Oracle};
use super::Session;
use crate::units::Nanos;
use serde_json::Value;
use std::collections::BTreeMap;

impl Session<'_> {
    /// Whether the order waits for a moment; if so it is kept until then.
    pub(super) fn aims(&mut self, injector: Option<usize>, order: &Value) -> Result<bool, Broken> {
        let aimed = Aimed::take(injector, order).map_err(|why| self.dead(&why))?;
        self.aimed.extend(aimed.clone());
        Ok(aimed.is_some())
    }

    /// Lets those strike whose moment is now.
    pub(super) fn release(&mut self) {
        let oracle = &self.oracle;
        let now: Vec<Aimed> = self.aimed.extract_if(.., |it| oracle.is_at(it.moment)).collect();
        for aimed in now {
            let due: Nanos = aimed.due(self.world.now());
            self.put(due, aimed.injector, aimed.order);
        }
    }

    /// Time is up for those whose moment never came.
    pub(super) fn give_up(&mut self) {
        for Aimed { moment: Moment { state, .. }, order, .. } in self.aimed.drain(..) {
            self.unmet = Some(format!("no order was ever {}: {order}", state.name()));
        }
    }
}

/// How often each fault was injected while an order of a leg was in a state: by the fault's position in the table,
/// then whether it is the perp's, then the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(pub BTreeMap<(usize, bool, super::super::State), u64>);

impl Coverage {
    /// Notes a fault that is injected now.
    pub(super) fn note(&mut self, injector: usize, oracle: &Oracle) {
        for moment in oracle.moments() {
            *self.0.entry((injector, moment.perp, moment.state)).or_default() += 1;
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        for (key, times) in &other.0 {
            *self.0.entry(*key).or_default() += times;
        }
    }
}
