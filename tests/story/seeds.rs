//! Determinism: a seed tells its story again, to the last byte.

use crate::told::live;
use contango::rehearse::Setup;
use contango::units::time::SEC;
use serde_json::json;
use std::time::Instant;

/// Ten seconds of trading with faults on the way: hash of all events, hash of all decisions.
fn story(seed: u64) -> (String, String) {
    let begun = Instant::now();
    let mut world = live(&Setup::seeded(seed));
    world.run_for(3 * SEC);
    world.fault(&json!({"kind": "drop_ack", "market": "spot"})).unwrap();
    world.fault(&json!({"kind": "partial", "market": "usdm"})).unwrap();
    world.run_for(3 * SEC);
    world.fault(&json!({"kind": "cut_streams"})).unwrap();
    world.run_for(4 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.sent > 0 && world.shadow().totals.closed > 0);
    let millis = begun.elapsed().as_millis().max(1);
    println!(
        "seed {seed}: {} events and {} turns in {} ms, {} events a second, hash {}",
        world.events(),
        world.turns(),
        millis,
        u128::from(world.events()) * 1_000 / millis,
        world.event_hash(),
    );
    (world.event_hash(), world.decisions_hash())
}

#[test]
fn the_same_seed_tells_the_same_story_three_times_and_another_seed_another_one() {
    let first = story(5);
    assert_eq!(first, story(5));
    assert_eq!(first, story(5));
    let other = story(6);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
}

/// The network's delays are drawn from the seed, and nothing else of it reaches the market: with the
/// delays of another seed the same market is traded differently.
#[test]
fn a_slower_network_changes_the_story() {
    let told = |delay_ns| {
        let mut world = live(&Setup { delay_ns, ..Setup::seeded(5) });
        world.run_for(2 * SEC);
        world.event_hash()
    };
    assert_ne!(told(40_000..=80_000), told(40_000..=90_000));
}
