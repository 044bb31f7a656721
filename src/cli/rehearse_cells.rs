//! What was rehearsed, counted: cells of a list, and faults × states of orders.
//!
//! Owns:  which cells of a list are run, and how they and the coverage are told.
//! Never: counts a cell as held that did not meet what it is about.

use crate::rehearse::State;
use crate::rehearse::cells::{Cell, List};
use crate::rehearse::faults::TABLE;
use crate::rehearse::session::{Coverage, Outcome};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Cells that are named when they did not hold.
const NAMED_MAX: usize = 20;

/// The cells of a list that are run, and what of the others is known.
pub(super) struct Cells {
    list: List,
    pub(super) chosen: Vec<Cell>,
    all: usize,
    applicable: usize,
    ruled_out: BTreeMap<&'static str, usize>,
}

impl Cells {
    /// So many cells of those that can be, evenly spread, a seed's own ones; or all, if there are no more.
    pub(super) fn choose(list: List, count: usize, seed: u64) -> Self {
        let cells = Cell::all(list);
        let all = cells.len();
        let mut ruled_out = BTreeMap::new();
        for why in cells.iter().filter_map(Cell::ruled_out) {
            *ruled_out.entry(why).or_default() += 1;
        }
        let can_be: Vec<Cell> = cells.into_iter().filter(|it| it.ruled_out().is_none()).collect();
        let applicable = can_be.len();
        let count = count.min(applicable).max(1);
        let shift = (seed % applicable.max(1) as u64) as usize;
        let chosen = (0..count).map(|at| can_be[(at * applicable / count + shift) % applicable].clone());
        Self { list, chosen: chosen.collect(), all, applicable, ruled_out }
    }

    /// Cells that broke nothing and yet did not meet what they are about, each with why.
    pub(super) fn unmet<'a>(&'a self, outcomes: &'a [Outcome]) -> impl Iterator<Item = (String, &'a str)> {
        let pairs = self.chosen.iter().zip(outcomes).filter(|(_, it)| it.broken.is_none());
        pairs.filter_map(|(cell, it)| Some((cell.name(), it.unmet.as_deref()?)))
    }

    fn broken<'a>(&'a self, outcomes: &'a [Outcome]) -> impl Iterator<Item = (String, String)> + 'a {
        let pairs = self.chosen.iter().zip(outcomes);
        pairs.filter_map(|(cell, it)| Some((cell.name(), it.broken.as_ref()?.0.to_string())))
    }

    pub(super) fn to_json(&self, outcomes: &[Outcome]) -> Value {
        let ruled_out: Vec<Value> =
            self.ruled_out.iter().map(|(why, cells)| json!({"why": why, "cells": cells})).collect();
        let broken: Vec<Value> =
            self.broken(outcomes).map(|(cell, why)| json!({"cell": cell, "why": why})).collect();
        let unmet: Vec<Value> =
            self.unmet(outcomes).map(|(cell, why)| json!({"cell": cell, "why": why})).collect();
        json!({
            "list": self.list.name(), "all": self.all, "applicable": self.applicable, "run": outcomes.len(),
            "held": outcomes.len() - broken.len() - unmet.len(), "broken": broken, "unmet": unmet, "ruled_out": ruled_out,
        })
    }

    pub(super) fn describe(&self, outcomes: &[Outcome]) -> String {
        let mut page = String::new();
        let broken: Vec<_> = self.broken(outcomes).collect();
        let unmet: Vec<_> = self.unmet(outcomes).collect();
        // Writing to a String can't fail.
        for (cell, why) in broken.iter().take(NAMED_MAX) {
            let _ = writeln!(page, "broken: {cell}: {why}");
        }
        for (cell, why) in unmet.iter().take(NAMED_MAX) {
            let _ = writeln!(page, "not met: {cell}: {why}");
        }
        for (why, cells) in &self.ruled_out {
            let _ = writeln!(page, "ruled out: {cells:>7}  {why}");
        }
        let _ = writeln!(
            page,
            "{} of {} applicable cells run, {} held, {} broke, {} did not meet what they are about; {} of {} ruled out",
            outcomes.len(),
            self.applicable,
            outcomes.len() - broken.len() - unmet.len(),
            broken.len(),
            unmet.len(),
            self.all - self.applicable,
            self.all
        );
        page
    }
}

/// Faults × states of orders: how often each fault was injected while an order of a leg was in a state.
pub(super) fn coverage(coverage: &Coverage) -> Value {
    let mut faults = Map::new();
    for ((injector, perp, state), times) in &coverage.0 {
        let row = faults.entry(TABLE[*injector].name).or_insert_with(|| json!({}));
        row[format!("{} {}", if *perp { "perp" } else { "spot" }, state.name())] = (*times).into();
    }
    let met = coverage.0.len();
    json!({"pairs": TABLE.len() * State::ALL.len() * 2, "met": met, "faults": faults})
}
