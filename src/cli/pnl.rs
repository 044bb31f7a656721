//! Profit and loss as people and programs are told of it.
//!
//! Owns:  the parts (DESIGN §5), their published names, and that they add up to the total.
//! Never: books anything: `desk::ledger` does, for a run's own summary and for `contango report`.

use crate::desk::ledger::Profit;
use crate::event::Asset;
use crate::units::Amount;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Fees that are in no part of the split, since no price of their coin came: by its name.
pub(super) fn unvalued(fees: &BTreeMap<Asset, Amount>) -> Vec<(String, Amount)> {
    fees.iter().map(|(coin, amount)| (coin.to_string(), *amount)).collect()
}

/// The same for programs.
pub(super) fn unvalued_json(fees: &[(String, Amount)]) -> Value {
    Value::Object(
        fees.iter().map(|(coin, amount)| (coin.clone(), json!(amount.to_string()))).collect::<Map<_, _>>(),
    )
}

/// The same for people.
pub(super) fn unvalued_told(fees: &[(String, Amount)]) -> Vec<String> {
    fees.iter().map(|(coin, amount)| format!("{amount} {coin} of fees, which no price was told of")).collect()
}

/// Profit and loss in USDT, split so that the parts add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pnl {
    /// All of it.
    pub total: Amount,
    /// Funding received less paid.
    pub funding: Amount,
    /// Basis captured, at decision prices.
    pub basis: Amount,
    /// Fees (negative: paid).
    pub fees: Amount,
    /// Fills against decision prices.
    pub slippage: Amount,
    /// Interest paid.
    pub borrow: Amount,
    /// Dust, fee coins, granted inventory, unrealised.
    pub revaluation: Amount,
}

impl Pnl {
    /// What was booked, and what is open beyond its cost. A run's summary and `contango report` split alike.
    #[must_use]
    pub fn of(profit: &Profit, revaluation: Amount) -> Self {
        Self {
            total: profit.total() + revaluation,
            funding: profit.funding,
            basis: profit.basis,
            fees: profit.fees,
            slippage: profit.slippage,
            borrow: Amount::ZERO,
            revaluation,
        }
    }

    /// What it adds to an earlier one.
    #[must_use]
    pub fn less(&self, before: &Self) -> Self {
        Self {
            total: self.total - before.total,
            funding: self.funding - before.funding,
            basis: self.basis - before.basis,
            fees: self.fees - before.fees,
            slippage: self.slippage - before.slippage,
            borrow: self.borrow - before.borrow,
            revaluation: self.revaluation - before.revaluation,
        }
    }

    /// Every part by its published name.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, Amount); 6] {
        [
            ("funding", self.funding),
            ("basis", self.basis),
            ("fees", self.fees),
            ("slippage", self.slippage),
            ("borrow", self.borrow),
            ("revaluation", self.revaluation),
        ]
    }

    /// For programs: nothing is rounded.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut all = json!({"total": self.total.to_string()});
        for (name, part) in self.parts() {
            all[name] = json!(part.to_string());
        }
        all
    }
}
