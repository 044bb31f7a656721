//! The demo's setting: a lively market, κ 1, one hour, and nothing going wrong.

use crate::told::{books_equal_truth, ended_clean, live};
use contango::rehearse::{Setup, World};
use contango::units::time::SEC;
use serde_json::json;
use std::collections::BTreeSet;

fn symbols(world: &World) -> BTreeSet<String> {
    let truth = world.truth();
    truth["fills"].as_array().unwrap().iter().map(|fill| fill["symbol"].to_string()).collect()
}

#[test]
fn the_demo_makes_twenty_round_trips_on_five_pairs_and_its_books_are_the_box_s() {
    for seed in [1, 7, 42] {
        let mut world = live(&Setup::seeded(seed));
        world.run_for(20 * SEC);
        let trips = world.shadow().totals.closed;
        assert!(trips >= 20, "seed {seed}: {trips} round trips");
        assert!(symbols(&world).len() >= 5, "seed {seed}: {:?}", symbols(&world));
        assert!(world.stop());
        books_equal_truth(&world);
        ended_clean(&world);
        let truth = world.truth();
        assert_eq!(truth["refused"], json!([]), "every order was well formed (I8)");
        assert_eq!(world.shadow().totals.refused, 0);
        assert_eq!(world.shadow().totals.repaired, 0, "seed {seed}");
        // Of those signed ahead nearly all left as they lay sealed; of these, too, the box refused none.
        let counts = world.trader();
        assert_eq!(counts.sent(), world.shadow().totals.sent, "seed {seed}");
        assert!(counts.sealed >= 40 && counts.prepared * 5 <= counts.sealed, "seed {seed}: {counts:?}");
        let longest = truth["naked"]["ms_max"].as_str().unwrap();
        assert!(longest.starts_with("0."), "seed {seed}: a leg was alone for {longest} ms");
    }
}

/// A run ends by itself, after its time or its round trips, and says so.
#[test]
fn a_run_ends_after_its_time_or_its_round_trips() {
    let mut world = live(&Setup { run_for_ns: Some(3 * SEC), ..Setup::default() });
    let begun = world.ended().live_at.unwrap();
    assert!(world.run_until(World::is_done, 10 * SEC));
    let lasted = world.ended().at.since(begun);
    assert!((3 * SEC..3 * SEC + SEC / 10).contains(&lasted), "{lasted} ns");
    ended_clean(&world);

    let mut world = live(&Setup { until_round_trips: Some(5), ..Setup::default() });
    assert!(world.run_until(World::is_done, 30 * SEC));
    assert!(world.shadow().totals.closed >= 5);
    ended_clean(&world);
    books_equal_truth(&world);
}

#[test]
fn positions_that_are_held_at_the_stop_stay_hedged_and_booked() {
    let mut world = live(&Setup { exit_basis: None, entries_max: Some(1), ..Setup::default() });
    world.run_for(10 * SEC);
    assert!(world.stop());
    let held = world.shadow().open_now();
    assert!(held >= 5, "{held} positions");
    assert_eq!(world.truth()["positions"].as_array().unwrap().len() as u64, held);
    assert_eq!(world.shadow().totals.opened, held);
    books_equal_truth(&world);
    ended_clean(&world);
}
