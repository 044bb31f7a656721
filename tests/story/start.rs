//! What keeps the engine from arming: each refusal says what is wrong and what to do.

use contango::rehearse::{Setup, World};
use contango::sim;
use contango::units::time::SEC;

/// A start that must fail, ended.
#[track_caller]
fn no_start(setup: &Setup) -> World {
    let mut world = World::new(setup).unwrap();
    assert!(!world.run_until_live(), "it went live");
    assert!(world.run_until(World::is_done, 30 * SEC), "it never ended");
    assert_eq!(world.orders(), Vec::<String>::new());
    world
}

#[track_caller]
fn refused(setup: &Setup, words: &[&str]) {
    let world = no_start(setup);
    let why = world.ended().refused.clone().unwrap_or_else(|| panic!("{:?}", world.ended()));
    for word in words {
        assert!(why.contains(word), "{word:?} is missing in: {why}");
    }
}

#[test]
fn a_wrong_secret_is_refused_and_the_key_is_named() {
    let good = sim::Config::default();
    let setup = Setup { key: (good.key.clone(), "another secret".to_owned()), ..Setup::default() };
    refused(&setup, &["binance refused this key", "-1022", "check key, secret"]);
}

#[test]
fn an_unknown_key_is_refused_and_the_key_is_named() {
    let good = sim::Config::default();
    let setup = Setup { key: ("another key".to_owned(), good.secret.clone()), ..Setup::default() };
    refused(&setup, &["binance refused this key", "check key, secret"]);
}

#[test]
fn a_host_clock_five_seconds_off_is_refused_with_its_fix() {
    for (clock_offset_ns, ms) in [(5 * SEC as i64, "-5000 ms"), (-5 * SEC as i64, "ms off")] {
        let box_config = sim::Config { clock_offset_ns, ..sim::Config::default() };
        let setup = Setup { box_config, ..Setup::default() };
        refused(&setup, &["clock", ms, "chronyc makestep"]);
    }
}

#[test]
fn a_clock_that_is_a_little_off_is_learned_and_traded_with() {
    let box_config = sim::Config { clock_offset_ns: 700_000_000, ..sim::Config::default() };
    let mut world = World::new(&Setup { box_config, ..Setup::default() }).unwrap();
    assert!(world.run_until_live(), "{:?}", world.ended());
    world.run_for(5 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.opened > 0);
    assert_eq!(world.truth()["refused"], serde_json::json!([]), "no stamp was out of its window");
}

#[test]
fn an_unknown_symbol_fails_and_its_neighbours_are_named() {
    let setup = Setup { wanted: Some(vec!["DOGR".to_owned()]), ..Setup::default() };
    let world = no_start(&setup);
    let why = world.ended().failed.clone().unwrap();
    assert!(why.contains("DOGR") && why.contains("DOGE"), "{why}");
}

#[test]
fn a_venue_that_refuses_connections_fails_the_start_and_is_named() {
    let mut world = World::new(&Setup::default()).unwrap();
    world.shut(sim::Door::UsdmRest, true);
    assert!(!world.run_until_live());
    let why = world.ended().failed.clone().unwrap();
    assert!(why.contains("usdm_rest") && why.contains("refuses connections"), "{why}");
}

/// One page of a proxy, or a venue that is down for a moment, ends no start; one that stays so does.
#[test]
fn a_venue_that_is_at_fault_for_a_while_is_asked_again() {
    let fault =
        |status: u16, count: u64| serde_json::json!({"kind": "status", "status": status, "count": count});
    let mut world = World::new(&Setup::default()).unwrap();
    world.fault(&fault(503, 6)).unwrap();
    world.fault(&serde_json::json!({"kind": "html", "count": 3})).unwrap();
    assert!(world.run_until_live(), "{:?}", world.ended());

    let mut world = World::new(&Setup::default()).unwrap();
    world.fault(&fault(502, 1_000)).unwrap();
    assert!(world.run_until(World::is_done, 90 * SEC), "it never ended");
    let why = world.ended().failed.clone().unwrap();
    assert!(why.contains("HTTP 502"), "{why}");
}
