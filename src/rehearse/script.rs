//! A session as text: what was drawn of its world, and every fault, one a line.
//!
//! Owns:  the form of a script, both ways.
//! Never: draws what a script does not tell: another way of drawing makes no other session of a kept one.
//! Wire:  a line `{"seed": N, "safety_s": S, "setup": {…}}`, then `{"at_us": T, "fault": NAME, "do": {…}}` a
//!        fault; lines that begin with `#` are for people.

use super::Setup;
use super::drawing::{Plan, Strike, keyed};
use super::faults::{TABLE, index_of};
use crate::agents::trader::contingent::Legs;
use crate::sim;
use crate::units::time::{MS, SEC, US};
use crate::units::{Amount, Ratio};
use crate::venue::Orders;
use serde_json::{Value, json};

/// Legs by the names of `--legs`.
const LEGS: [(&str, Legs); 3] =
    [("together", Legs::Together), ("perp-first", Legs::PerpFirst), ("spot-first", Legs::SpotFirst)];
/// One of the quote asset, in 10⁻¹⁸.
const ONE: i128 = 10i128.pow(Amount::SCALE as u32);

impl Plan {
    /// Its script.
    #[must_use]
    pub fn script(&self) -> String {
        let head = json!({"seed": self.seed, "safety_s": self.safety_ns / SEC, "setup": told(&self.setup)});
        let mut text = format!("{head}\n");
        for strike in &self.strikes {
            let line = json!({
                "at_us": strike.at_ns / US, "fault": TABLE[strike.injector].name, "do": strike.order,
            });
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    /// Reads a script back.
    ///
    /// # Errors
    ///
    /// Which line can't be read, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut plan = None;
        for (at, line) in lines {
            let wrong = |why: &str| format!("line {}: {why}", at + 1);
            let row: Value = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
            match &mut plan {
                None => plan = Some(head(&row).map_err(|why| wrong(&why))?),
                Some(Self { strikes, .. }) => {
                    let name = row["fault"].as_str().unwrap_or("");
                    let injector = index_of(name).ok_or_else(|| wrong(&format!("no fault {name:?}")))?;
                    let at_us = whole(&row, "at_us").map_err(|why| wrong(&why))?;
                    strikes.push(Strike { at_ns: at_us * US, injector, order: row["do"].clone() });
                }
            }
        }
        plan.ok_or_else(|| {
            "it is empty; its first line is {\"seed\": N, \"safety_s\": S, \"setup\": {…}}".to_owned()
        })
    }
}

/// A plan without faults, from a script's first line.
fn head(row: &Value) -> Result<Plan, String> {
    let seed = whole(row, "seed")?;
    let setup = read_back(seed, &row["setup"]).map_err(|why| format!("setup: {why}"))?;
    Ok(Plan { seed, setup, safety_ns: whole(row, "safety_s")? * SEC, strikes: Vec::new() })
}

/// What of a world is drawn; the rest is as for every session.
fn told(setup: &Setup) -> Value {
    let legs = LEGS.iter().find(|(_, legs)| *legs == setup.legs).map_or("", |(name, _)| *name);
    let exit_bps = setup.exit_basis.map(|basis| (basis * 10_000).round().to_num::<i64>());
    let mut told = json!({
        "coins": setup.wanted,
        "ticks_per_s": setup.box_config.ticks_per_s,
        "clock_offset_ms": setup.box_config.clock_offset_ns / MS as i64,
        "settle_in_s": setup.box_config.settle_in_ns / SEC,
        "legs": legs,
        "clip_usdt": (setup.clip.0 / ONE) as u64,
        "exit_bps": exit_bps,
        "order_links": setup.order_links,
        "orders": if setup.orders == Orders::Ws { "ws" } else { "rest" },
        "crashes_max": setup.crashes_max.0,
        "delay_us": [setup.delay_ns.start() / US, setup.delay_ns.end() / US],
        "idle_ms": setup.idle_ns / MS,
        "drawn_turns": setup.drawn_turns,
        "segment_bytes": setup.segment_bytes,
    });
    // Scripts from before calendars were drawn begin with the year.
    if setup.begins_s != 0 {
        told["begins_s"] = setup.begins_s.into();
    }
    // Never drawn: told where somebody asked for it.
    if !setup.fast {
        told["fast"] = false.into();
    }
    if setup.key.1 == sim::Config::ED25519 {
        told["key"] = "ed25519".into();
    }
    told
}

fn read_back(seed: u64, row: &Value) -> Result<Setup, String> {
    let coins = row["coins"].as_array().ok_or("coins is a list")?;
    let coins = coins.iter().map(|coin| coin.as_str().map(str::to_owned).ok_or("coins are words"));
    let legs = row["legs"].as_str().unwrap_or("");
    let (_, legs) = LEGS.iter().find(|(name, _)| *name == legs).ok_or("legs is none of --legs")?;
    let clock_offset_ms = row["clock_offset_ms"].as_i64().ok_or("clock_offset_ms is a number")?;
    let delay = [0, 1].map(|at| row["delay_us"][at].as_u64().map(|us| us * US));
    let [Some(least), Some(most)] = delay else { return Err("delay_us is two numbers".to_owned()) };
    let small =
        |key| whole(row, key).and_then(|n| u32::try_from(n).map_err(|_| format!("{key} is too large")));
    let box_config = sim::Config {
        ticks_per_s: small("ticks_per_s")?,
        clock_offset_ns: clock_offset_ms * MS as i64,
        settle_in_ns: whole(row, "settle_in_s")? * SEC,
        ..sim::Config::default()
    };
    let exit_bps = row["exit_bps"].as_i64().ok_or("exit_bps is a number")?;
    let setup = Setup {
        begins_s: row["begins_s"].as_u64().unwrap_or(0),
        wanted: Some(coins.collect::<Result<_, _>>()?),
        legs: *legs,
        clip: Amount(i128::from(whole(row, "clip_usdt")?) * ONE),
        exit_basis: Some(Ratio::from_num(exit_bps) / 10_000),
        order_links: small("order_links")? as usize,
        // Scripts from before there was a choice do not say.
        orders: match row["orders"].as_str() {
            None | Some("rest") => Orders::Rest,
            Some("ws") => Orders::Ws,
            Some(_) => return Err("orders is none of --orders".to_owned()),
        },
        crashes_max: (small("crashes_max")? as usize, Setup::default().crashes_max.1),
        delay_ns: least..=most,
        idle_ns: whole(row, "idle_ms")? * MS,
        drawn_turns: row["drawn_turns"].as_bool().ok_or("drawn_turns is true or false")?,
        fast: row["fast"].as_bool().unwrap_or(true),
        segment_bytes: whole(row, "segment_bytes")?,
        ..keyed(seed, box_config)
    };
    match row["key"].as_str() {
        None => Ok(setup),
        Some("ed25519") => Ok(setup.of_ed25519()),
        Some(_) => Err("key is ed25519, or is not told".to_owned()),
    }
}

fn whole(row: &Value, key: &str) -> Result<u64, String> {
    row[key].as_u64().ok_or_else(|| format!("{key} is a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_tells_all_that_was_drawn() {
        for seed in 0..200 {
            let plan = Plan::drawn(seed);
            let read = Plan::read(&plan.script()).unwrap();
            assert_eq!(format!("{plan:?}"), format!("{read:?}"), "seed {seed}");
        }
        let kinds = |text: &str| (0..200).filter(|seed| Plan::drawn(*seed).script().contains(text)).count();
        assert!((20..50).contains(&kinds(r#""key":"ed25519""#)) && kinds(r#""orders":"ws""#) > 50);
        let mut slow = Plan::drawn(1);
        slow.setup.fast = false;
        assert!(!Plan::read(&slow.script()).unwrap().setup.fast);
    }

    #[test]
    fn what_is_missing_is_named_and_never_drawn() {
        let whole = Plan::drawn(1).script();
        let first: Value = serde_json::from_str(whole.lines().next().unwrap()).unwrap();
        for key in ["seed", "safety_s", "setup"] {
            let mut first = first.clone();
            first.as_object_mut().unwrap().remove(key);
            let why = Plan::read(&first.to_string()).unwrap_err();
            assert!(why.starts_with("line 1: ") && why.contains(key), "{why}");
        }
        // What orders travel by, by which key, and the calendar came later.
        let later = |key: &str| matches!(key, "orders" | "key" | "begins_s");
        for (key, _) in first["setup"].as_object().unwrap().iter().filter(|(key, _)| !later(key)) {
            let mut first = first.clone();
            first["setup"].as_object_mut().unwrap().remove(key);
            let why = Plan::read(&first.to_string()).unwrap_err();
            assert!(why.contains("setup") && why.contains(key.as_str()), "{key}: {why}");
        }
    }
}
