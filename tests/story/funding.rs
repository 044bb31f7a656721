//! Funding as the engine learns it: a settled week from the venue's history, coming settlements from its marks.

use crate::told::live;
use contango::event::{Ask, FundingTold, Reply};
use contango::rehearse::{Setup, World};
use contango::sim;
use contango::units::time::SEC;
use contango::units::{Rate, Unix};
use serde_json::{Value, json};

/// Two quiet pairs, one of 8 h and one of 4 h, and a settlement so long after the box opened.
fn quiet(settle_in_s: u64) -> Setup {
    let box_config =
        sim::Config { settle_in_ns: settle_in_s * SEC, ticks_per_s: 2, ..sim::Config::default() };
    let wanted = Some(["SOL", "DOGE"].map(str::to_owned).to_vec());
    Setup { box_config, wanted, entries_max: Some(0), ..Setup::default() }
}

/// What the operator is told of a pair's funding.
#[track_caller]
fn told(world: &mut World, pair: &str) -> FundingTold {
    let before = world.replies().len();
    world.ask(Ask::Why(pair.to_owned()));
    assert!(world.run_until(|world| world.replies().len() > before, SEC));
    match world.replies().last() {
        Some(Reply::Why(pair)) => pair.funding.expect("something is known of it"),
        other => panic!("{other:?}"),
    }
}

/// What the box knows to be true of a perp's last week.
fn week(truth: &Value, symbol: &str) -> (Option<Rate>, u64, u64) {
    let row = &truth["funding_7d"][symbol];
    let sum = row["sum"].as_str().and_then(|sum| Rate::parse(sum.as_bytes()).ok());
    (sum, row["count"].as_u64().unwrap(), row["interval_h"].as_u64().unwrap())
}

#[test]
fn a_start_learns_the_settled_week_of_every_pair_and_its_interval() {
    let mut world = live(&Setup { wanted: None, entries_max: Some(0), ..quiet(1_800) });
    world.run_for(2 * SEC);
    let truth = world.truth();
    for (pair, symbol, hours) in
        [("BTC", "BTCUSDT", 8), ("DOGE", "DOGEUSDT", 4), ("DOT", "DOTUSDT", 2), ("PEPE", "1000PEPEUSDT", 1)]
    {
        let told = told(&mut world, pair);
        assert_eq!((told.sum_7d, 168 / hours, hours), week(&truth, symbol), "{pair}");
        assert!(told.sum_7d.is_some_and(|sum| sum > Rate::ZERO), "{pair}");
        assert_eq!(told.interval_hours.map(u64::from), Some(hours), "{pair}");
        assert!(told.estimate.is_some() && told.age_ns < Some(3 * SEC), "{pair}: {told:?}");
        let minutes = |from: Unix, to: Unix| (to.0 - from.0) / 60 / SEC as i64;
        let (settled, _) = told.settled.unwrap();
        assert_eq!(minutes(settled, told.next.unwrap()), 60 * hours as i64, "{pair}");
    }
    assert_eq!(truth["refused"], json!([]));
    let asked = truth["budget"]["usdm"]["funding_5m"]["peak"].as_u64().unwrap();
    assert!(asked <= 14, "12 pairs and the intervals took {asked} requests");
}

#[test]
fn what_settles_joins_the_week_within_seconds() {
    let mut world = live(&quiet(50));
    world.run_for(SEC);
    let before = told(&mut world, "SOL");
    assert_eq!(before.sum_7d, week(&world.truth(), "SOLUSDT").0);
    // The box settles at any second of a minute: both count it from the nearest full one on.
    let mut sums = vec![before.sum_7d];
    for _ in 0..90 {
        world.run_for(SEC);
        sums.push(told(&mut world, "SOL").sum_7d);
    }
    sums.dedup();
    let due = [before.sum_7d, None, week(&world.truth(), "SOLUSDT").0];
    assert_eq!(sums, due, "due and missing is not zero");
    let after = told(&mut world, "SOL");
    assert_eq!(after.sum_7d, week(&world.truth(), "SOLUSDT").0);
    assert!(after.sum_7d.is_some() && after.sum_7d != before.sum_7d);
    let rate =
        world.truth()["settled"].as_array().unwrap().iter().find(|row| row["symbol"] == "SOLUSDT").cloned();
    let rate = Rate::parse(rate.unwrap()["rate"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(after.settled, Some((before.next.unwrap(), rate)));
}

/// F47.
#[test]
fn a_settlement_that_the_history_does_not_tell_leaves_the_week_unknown_until_it_does() {
    let mut world = live(&quiet(10));
    world.fault(&json!({"kind": "funding", "symbol": "SOLUSDT", "untold": true})).unwrap();
    world.run_for(50 * SEC);
    let (sol, doge) = (told(&mut world, "SOL"), told(&mut world, "DOGE"));
    assert_eq!(sol.sum_7d, None);
    assert_eq!(doge.sum_7d, week(&world.truth(), "DOGEUSDT").0, "the other is not touched by it");
    world.run_for(60 * SEC);
    let asked = world.truth()["budget"]["usdm"]["funding_5m"]["peak"].as_u64().unwrap();
    assert!(asked <= 14, "it is asked for less and less often: {asked} requests in 110 s");
    world.fault(&json!({"kind": "funding", "symbol": "SOLUSDT", "untold": false})).unwrap();
    world.run_for(70 * SEC);
    let sum = told(&mut world, "SOL").sum_7d;
    assert!(sum.is_some() && sum == week(&world.truth(), "SOLUSDT").0);
}

/// F48.
#[test]
fn an_interval_that_changes_without_notice_counts_at_once_and_breaks_no_week() {
    let mut world = live(&quiet(10));
    world.run_for(45 * SEC);
    let before = told(&mut world, "SOL");
    assert_eq!(before.interval_hours, Some(8));
    assert!(before.sum_7d.is_some());
    for hours in [1, 4, 2, 8] {
        let order = json!({"kind": "funding", "symbol": "SOLUSDT", "interval_h": hours});
        world.fault(&order).unwrap();
        world.run_for(4 * SEC);
        let now = told(&mut world, "SOL");
        assert_eq!((now.interval_hours, now.sum_7d), (Some(hours), before.sum_7d));
    }
}

#[test]
fn a_restart_learns_the_week_anew() {
    let setup = quiet(10);
    let mut world = live(&setup);
    world.run_for(45 * SEC);
    let before = told(&mut world, "SOL");
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(2 * SEC);
    let after = told(&mut world, "SOL");
    assert!(before.sum_7d.is_some());
    assert_eq!((after.sum_7d, after.settled, after.next), (before.sum_7d, before.settled, before.next));
}
