//! The demo's setting: a lively market, κ 1, one hour, and nothing going wrong.

use crate::told::{books_equal_truth, ended_clean, live};
use contango::rehearse::Setup;
use contango::units::time::SEC;
use std::collections::BTreeSet;

#[test]
fn the_demo_makes_twenty_round_trips_on_five_pairs_and_its_books_are_the_box_s() {
    let mut world = live(&Setup::seeded(7));
    world.run_for(20 * SEC);
    println!("{:#?}\n{:#?}", world.shadow().totals, world.trader());
    println!("{}", serde_json::to_string_pretty(&world.truth()["budget"]).unwrap());
    println!("{:#?}", world.shadow().why().collect::<Vec<_>>());
    assert!(world.stop());
    for line in world.orders().iter().take(40) {
        println!("{line}");
    }
    for line in world.lines() {
        println!("{line}");
    }
    assert!(world.shadow().totals.closed >= 20, "{} round trips", world.shadow().totals.closed);
    let truth = world.truth();
    let symbols: BTreeSet<_> =
        truth["fills"].as_array().unwrap().iter().map(|fill| fill["symbol"].to_string()).collect();
    assert!(symbols.len() >= 5, "{symbols:?}");
    books_equal_truth(&world);
    ended_clean(&world);
    assert_eq!(truth["refused"], serde_json::json!([]));
}
