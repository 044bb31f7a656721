//! The moment at which an aimed fault strikes: the order of one leg is in one state (FAULTS part 4).
//!
//! Owns:  the states by their names, and a moment in an order of `act`.
//! Never: tells whether it has come: `oracle` does.
//! Wire:  any order of `act` may carry `"when": {"market": "spot" | "usdm", "side": "BUY" | "SELL", "state",
//!        "after_us"}`: it waits until an order of that market and side is in that state, and so long after.

use crate::units::Nanos;
use crate::units::time::US;
use serde_json::{Value, json};

/// A state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Decided; it waits for the other leg.
    Intent,
    /// A part of it has left the host.
    Writing,
    /// All of it has left the host, and nothing was heard of it.
    Wire,
    /// The venue said that it has it.
    Acked,
    /// As that, and a part of it is executed.
    Partial,
    /// The venue may have it or not.
    Unknown,
    /// Executed, just now told.
    Filled,
    /// Executed in part, and over.
    DonePartial,
    /// Over, and nothing of it was executed.
    DoneZero,
    /// Refused.
    Rejected,
    /// Proven never to have come to the venue.
    NeverLanded,
}

impl State {
    /// All of them, in the order of an order's life.
    pub const ALL: [Self; 11] = [
        Self::Intent,
        Self::Writing,
        Self::Wire,
        Self::Acked,
        Self::Partial,
        Self::Unknown,
        Self::Filled,
        Self::DonePartial,
        Self::DoneZero,
        Self::Rejected,
        Self::NeverLanded,
    ];

    /// As scripts and tables have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Writing => "writing",
            Self::Wire => "wire",
            Self::Acked => "acked",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
            Self::Filled => "filled",
            Self::DonePartial => "done-partial",
            Self::DoneZero => "done-zero",
            Self::Rejected => "rejected",
            Self::NeverLanded => "never-landed",
        }
    }
}

/// An order of one leg in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Whether it is the perp's.
    pub perp: bool,
    /// Whether it buys.
    pub buys: bool,
    /// Its state.
    pub state: State,
}

impl Moment {
    /// The moment an order waits for, and how long after it; `None`: it waits for none.
    ///
    /// # Errors
    ///
    /// What of it can't be read.
    pub fn of(order: &Value) -> Result<Option<(Self, u64)>, String> {
        let Some(when) = order.get("when") else { return Ok(None) };
        let word = |key: &str| when[key].as_str().unwrap_or("");
        let state = State::ALL.into_iter().find(|state| state.name() == word("state"));
        let state = state.ok_or_else(|| {
            let names = State::ALL.map(State::name).join(", ");
            format!("when: no state {:?}; it is one of {names}", word("state"))
        })?;
        let one_of = |key: &str, [no, yes]: [&str; 2]| match word(key) {
            it if it == no => Ok(false),
            it if it == yes => Ok(true),
            it => Err(format!("when: {key} is {it:?}, and not {no} or {yes}")),
        };
        let (perp, buys) = (one_of("market", ["spot", "usdm"])?, one_of("side", ["SELL", "BUY"])?);
        Ok(Some((Self { perp, buys, state }, when["after_us"].as_u64().unwrap_or(0) * US)))
    }

    /// The order, waiting for this moment, and so long after.
    #[must_use]
    pub fn aim(self, mut order: Value, after_us: u64) -> Value {
        order["when"] = json!({"market": self.market(), "side": self.side(), "state": self.state.name()});
        if after_us > 0 {
            order["when"]["after_us"] = after_us.into();
        }
        order
    }

    /// The market's name in orders.
    #[must_use]
    pub const fn market(self) -> &'static str {
        if self.perp { "usdm" } else { "spot" }
    }

    /// The side's name in orders.
    #[must_use]
    pub const fn side(self) -> &'static str {
        if self.buys { "BUY" } else { "SELL" }
    }
}

/// A strike that waits for its moment.
#[derive(Clone, Debug)]
pub(super) struct Aimed {
    pub(super) moment: Moment,
    pub(super) after_ns: u64,
    pub(super) injector: Option<usize>,
    pub(super) order: Value,
}

impl Aimed {
    /// Takes the moment off an order that waits for one; `None`: it strikes now.
    pub(super) fn take(injector: Option<usize>, order: &Value) -> Result<Option<Self>, String> {
        let Some((moment, after_ns)) = Moment::of(order)? else { return Ok(None) };
        let mut order = order.clone();
        if let Some(members) = order.as_object_mut() {
            members.remove("when");
        }
        Ok(Some(Self { moment, after_ns, injector, order }))
    }

    /// When it strikes, if its moment is now.
    pub(super) fn due(&self, now: Nanos) -> Nanos {
        now.plus(self.after_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_from_the_order_it_was_put_on() {
        for state in State::ALL {
            for (perp, buys) in [(false, false), (false, true), (true, false), (true, true)] {
                let moment = Moment { perp, buys, state };
                let aimed = moment.aim(json!({"kind": "lose", "market": "spot"}), 7);
                assert_eq!(Moment::of(&aimed), Ok(Some((moment, 7_000))));
                let taken = Aimed::take(None, &aimed).unwrap().unwrap();
                assert_eq!(taken.order, json!({"kind": "lose", "market": "spot"}));
                assert_eq!(taken.due(Nanos(5)), Nanos(7_005));
            }
        }
        assert_eq!(Moment::of(&json!({"kind": "lose"})), Ok(None));
        let odd = json!({"when": {"market": "spot", "side": "BUY", "state": "gone"}});
        assert!(Moment::of(&odd).unwrap_err().contains("never-landed"));
        let odd = json!({"when": {"market": "margin", "side": "BUY", "state": "wire"}});
        assert!(Moment::of(&odd).unwrap_err().contains("market"));
    }
}
