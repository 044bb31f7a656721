//! What the venue takes away, matched by parts and looked at afterwards (FAULTS R14, R15).
//!
//! Owns:  claims about slices and about the margin that is told. `rules` has the rest of R14 to R16.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records};
use contango::event::Mode;
use contango::rehearse::{Setup, World};
use contango::store::journal::Kind;
use contango::units::Qty;
use contango::units::time::SEC;
use serde_json::json;

#[track_caller]
fn held(setup: &Setup, pairs: u64) -> World {
    let mut world = live(setup);
    assert!(world.run_until(|world| world.shadow().open_now() >= pairs, 20 * SEC), "no entry");
    world
}

/// The spot sells of the repairs in the journal: quantity, and what was visible at the bid they were decided on.
fn slices(world: &World) -> Vec<(String, Qty, i64)> {
    let mut found = Vec::new();
    for round in records(world, Kind::Fired).iter().filter(|round| round["class"] == "repair") {
        let leg = &round["legs"][0];
        if leg["market"] != "spot" {
            continue;
        }
        let seen = round["spot_u"].as_u64().unwrap();
        let quote = world.quotes().iter().find(|quote| quote.sequence == seen).expect("it was seen");
        let qty = leg["qty"].as_str().unwrap().to_owned();
        let units = Qty::parse(qty.as_bytes(), 3).unwrap();
        found.push((qty, quote.bid_qty, units.0));
    }
    found
}

/// R14: a book that shows little. No slice is larger than what is visible when it leaves, each leaves once the
/// one before has ended, and together they are what was taken away.
#[test]
fn r14_coins_are_sold_in_slices_no_larger_than_what_is_visible() {
    let mut world = held(&Setup { quotes_out: true, ..one_entry("SOL", 11) }, 1);
    faults(
        &mut world,
        &[
            json!({"kind": "thin", "market": "spot", "symbol": "SOLUSDT", "fraction_ppm": 5_000, "for_ms": 60_000}),
        ],
    );
    world.run_for(SEC);
    faults(&mut world, &[json!({"kind": "adl", "symbol": "SOLUSDT", "fraction_ppm": 1_000_000})]);
    world.run_for(8 * SEC);
    assert!(world.stop());
    let slices = slices(&world);
    assert!(slices.len() >= 4, "{slices:?}");
    for (qty, visible, units) in &slices {
        // 5 USDT and a tenth, at about 165 USDT: the venue takes no less than 0.034.
        assert!(*units <= visible.0.max(40), "{qty} where {visible:?} was visible: {slices:?}");
    }
    let sells: Vec<String> =
        world.orders().into_iter().filter(|order| order.starts_with("sell spot")).collect();
    let sold = sells.iter().map(|order| order.rsplit(' ').next().unwrap());
    let sold: i64 = sold.map(|qty| Qty::parse(qty.as_bytes(), 3).unwrap().0).sum();
    assert_eq!(sold, 3_030, "{sells:?}");
    // One at a time: the next leaves after the former was answered.
    let truth = world.truth();
    let rows = truth["orders"].as_array().unwrap().iter();
    let mut at: Vec<u64> = rows
        .filter(|row| row["market"] == "spot" && row["side"] == "SELL")
        .map(|row| row["received_us"].as_u64().unwrap())
        .collect();
    at.sort_unstable();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 80), "{at:?}");
    books_equal_truth(&world);
    ended_clean(&world);
}

/// R15: every position's margin is read and told once, the worst first, though HALTED.
#[test]
fn r15_after_a_liquidation_a_person_is_told_the_margin_of_every_position() {
    let mut world = held(&Setup { exit_basis: None, entries_max: Some(1), ..Setup::seeded(11) }, 4);
    let symbol = world.truth()["positions"][0]["symbol"].as_str().unwrap().to_owned();
    world.fault(&json!({"kind": "liquidate", "symbol": symbol, "fraction_ppm": 500_000})).unwrap();
    world.run_for(3 * SEC);
    assert_eq!(world.shadow().mode(), Mode::Halted);
    let told: Vec<&String> = world.lines().iter().filter(|line| line.contains("margin is needed")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("ALERT: binance: "), "{told:?}");
    let rows = told[0].split("by position: ").nth(1).unwrap().split(';').next().unwrap();
    let rows: Vec<(&str, f64)> = rows
        .split(", ")
        .map(|row| row.split_once(' ').unwrap())
        .map(|(symbol, needed)| (symbol, needed.parse().unwrap()))
        .collect();
    let held: Vec<String> = world.truth()["positions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["symbol"].as_str().unwrap().to_owned())
        .collect();
    assert!(held.len() >= 4);
    for symbol in &held {
        assert!(rows.iter().any(|(told, _)| told == symbol), "{symbol}: {rows:?}");
    }
    assert!(rows.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{rows:?}");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Nobody tells of it: the private streams are silent. The position is looked at once a second, and what is gone is
/// read, booked and matched within two; the venue's old word alone moves nothing.
#[test]
fn what_nobody_told_of_is_found_by_looking() {
    let mut world = held(&one_entry("SOL", 11), 1);
    let mute = json!({"kind": "mute_user", "market": "both", "ms": 60_000});
    let behind = json!({"kind": "replica_lag", "market": "usdm", "ms": 30_000, "for_ms": 600});
    faults(&mut world, &[mute]);
    world.run_for(5 * SEC);
    assert_eq!(world.orders().len(), 2, "all is as booked");
    faults(&mut world, &[behind]);
    world.run_for(2 * SEC);
    assert_eq!(world.orders().len(), 2, "a replica was behind");
    faults(&mut world, &[json!({"kind": "adl", "symbol": "SOLUSDT", "fraction_ppm": 500_000})]);
    world.run_for(2 * SEC);
    assert_eq!(world.orders().last().unwrap(), "sell spot SOLUSDT 1.51 FILLED 1.51", "{:?}", world.orders());
    assert!(world.lines().iter().any(|line| line.contains("ALERT") && line.contains("auto-deleveraging")));
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}
