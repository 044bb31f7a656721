//! What a room took in, given to it again, makes it decide the same, whatever happened meanwhile.

use crate::told::{faults, live, struck};
use contango::agents::trader::contingent::Legs;
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::units::time::{MS, SEC};
use serde_json::json;

fn recorded(setup: Setup) -> Setup {
    Setup { record: true, ..setup }
}

/// Plays what the world recorded; what was decided then is what was decided.
#[track_caller]
fn decides_the_same(world: &World, setup: &Setup) {
    let played = setup.replay(&world.session()).unwrap();
    assert!(played.decisions.lines > 0);
    assert_eq!(played.decisions.lines, world.shadow().totals.decisions());
    assert_eq!(played.decisions.sha256(), world.decisions_hash());
    let (then, now) = (world.trader(), &played.room().counts);
    assert_eq!(then, now, "and all that the trader counted");
}

#[test]
fn every_layout_of_legs_and_many_seeds_decide_the_same_again() {
    for (seed, legs) in [(1, Legs::Together), (2, Legs::PerpFirst), (3, Legs::SpotFirst), (4, Legs::Together)]
    {
        let setup = recorded(Setup { legs, ..Setup::seeded(seed) });
        let mut world = live(&setup);
        world.run_for(8 * SEC);
        decides_the_same(&world, &setup);
        assert!(world.stop());
        decides_the_same(&world, &setup);
    }
}

#[test]
fn faults_cuts_and_frozen_links_are_part_of_what_a_room_took_in() {
    let setup = recorded(Setup { legs: Legs::PerpFirst, ..Setup::seeded(7) });
    let mut world = live(&setup);
    let orders = [
        json!({"kind": "dup_user", "market": "usdm", "count": 20}),
        json!({"kind": "delay_ack", "market": "usdm", "ms": 30, "count": 20}),
        json!({"kind": "partial", "market": "usdm", "fraction_ppm": 400_000}),
        json!({"kind": "drop_ack", "market": "usdm"}),
        json!({"kind": "none", "market": "spot"}),
    ];
    faults(&mut world, &orders);
    world.run_for(4 * SEC);
    world.cut_link(Door::SpotRest);
    world.run_for(SEC);
    world.hold(Door::UsdmRest, true);
    world.run_for(300 * MS);
    world.hold(Door::UsdmRest, false);
    world.cut_link(Door::UsdmWs);
    world.run_for(6 * SEC);
    assert!(struck(&world, "drop_ack") == 1 && world.trader().feed_lost > 0);
    world.kill();
    world.run_for(SEC);
    decides_the_same(&world, &setup);
}
