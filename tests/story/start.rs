//! What keeps the engine from arming: each refusal says what is wrong and what to do.

use contango::rehearse::{Setup, World};
use contango::sim;
use contango::units::time::{MS, SEC};

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
fn another_private_key_is_refused_and_the_key_is_named() {
    let mut setup = Setup::default().of_ed25519();
    let flipped = setup.key.1.replace("IIJEYW", "IIJEYX");
    assert_ne!(setup.key.1, flipped);
    setup.key.1 = flipped;
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

/// A daemon steps the calendar of a running engine, far past what it would start with: no order's stamp follows
/// it, so the run goes on (F1, F2).
#[test]
fn a_calendar_that_jumps_ends_no_run_and_moves_no_stamp() {
    for step_ms in [3_453, -3_453, 700, -60] {
        let mut world = World::new(&Setup::default()).unwrap();
        assert!(world.run_until_live(), "{:?}", world.ended());
        world.run_for(3 * SEC);
        step(&mut world, step_ms);
        assert!(world.run_until(|world| said(world, "calendar jumped by"), 20 * MS), "{:?}", world.lines());
        assert!(world.run_until(|world| said(world, "learned anew"), SEC), "{:?}", world.lines());
        let trips = world.shadow().totals.closed;
        world.run_for(40 * SEC);
        assert!(world.shadow().totals.closed > trips, "{:?}", world.ended());
        assert_eq!(world.truth()["refused"], serde_json::json!([]), "no stamp was out of its window");
        let wrong = said(&world, "the next start will refuse");
        assert_eq!(wrong, i64::abs(step_ms) > 1_000, "{:?}", world.lines());
        assert!(world.stop());
    }
}

/// One that never stands still: exits go on, and no entry begins before the venues' clocks are learned anew.
#[test]
fn while_the_calendar_jumps_nothing_is_entered() {
    let entered = |steps: bool| {
        let mut world = World::new(&Setup::default()).unwrap();
        assert!(world.run_until_live(), "{:?}", world.ended());
        step(&mut world, if steps { 60 } else { 0 });
        world.run_for(20 * MS);
        let opening = |world: &World| world.orders().iter().filter(|it| it.starts_with("buy spot")).count();
        let before = opening(&world);
        for n in 0..200 {
            step(
                &mut world,
                if !steps {
                    0
                } else if n % 2 == 0 {
                    -60
                } else {
                    60
                },
            );
            world.run_for(50 * MS);
        }
        (opening(&world) - before, world)
    };
    assert!(entered(false).0 > 0);
    let (during, mut world) = entered(true);
    assert_eq!(during, 0);
    let before = world.orders().len();
    assert!(world.run_until(|world| world.orders().len() > before, 20 * SEC), "{:?}", world.lines());
}

fn said(world: &World, words: &str) -> bool {
    world.lines().iter().any(|line| line.contains(words))
}

/// Steps the host's calendar.
fn step(world: &mut World, by_ms: i64) {
    world.act(&serde_json::json!({"kind": "clock", "by_ms": by_ms}), &Setup::default()).unwrap();
}
