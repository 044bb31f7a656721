//! Spot quotes read as SBE: the same trade, the same recordings, and what goes wrong with such a socket.

use crate::session::{comes_out_the_same, recorded};
use crate::told::{books_equal_truth, ended_clean, live, struck};
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::units::time::SEC;
use serde_json::json;

/// Three pairs on SBE.
fn binary() -> Setup {
    let coins = ["SOL", "XRP", "DOGE"];
    Setup { sbe: true, wanted: Some(coins.map(str::to_owned).to_vec()), ..Setup::default() }.of_ed25519()
}

/// Closes round trips until so many are there.
fn trades_on(world: &mut World, more: u64) {
    let wanted = world.shadow().totals.closed + more;
    assert!(world.run_until(|world| world.shadow().totals.closed >= wanted, 30 * SEC), "it trades no more");
}

#[test]
fn round_trips_are_made_on_binary_quotes_and_a_recording_of_them_comes_out_the_same() {
    let setup = recorded(binary());
    let mut world = live(&setup);
    trades_on(&mut world, 3);
    let counts = world.reader();
    assert!(counts.quotes > 100 && counts.others > 30, "{counts:?}");
    assert_eq!((counts.fallbacks, counts.refused, counts.dropped), (0, 0, 0));
    assert_eq!([Door::SpotSbe, Door::SpotWs].map(|door| world.dialled(door).len()), [1, 0]);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
    comes_out_the_same(&world, &setup);
}

#[test]
fn a_price_that_does_not_fit_is_refused_and_an_older_quote_not_believed() {
    let mut world = live(&binary());
    world.fault(&json!({"kind": "bad_quote", "market": "spot", "count": 3})).unwrap();
    world.run_for(SEC);
    assert_eq!((struck(&world, "bad_quote"), world.reader().refused), (3, 3));
    world.fault(&json!({"kind": "late_quote", "market": "spot", "count": 2})).unwrap();
    world.run_for(SEC);
    assert_eq!(struck(&world, "late_quote"), 2);
    trades_on(&mut world, 1);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn a_socket_that_is_cut_or_told_to_go_is_dialled_again() {
    let mut world = live(&binary());
    world.fault(&json!({"kind": "cut_streams", "market": "spot"})).unwrap();
    world.run_for(SEC);
    assert_eq!(world.dialled(Door::SpotSbe).len(), 2);
    trades_on(&mut world, 1);
    // The notice is text; what the engine does with it can be seen in what it says.
    world.fault(&json!({"kind": "maintenance", "market": "spot", "for_ms": 2_000})).unwrap();
    world.run_for(SEC);
    let told = world.lines().iter().any(|line| line.contains("spot_sbe") && line.contains("announced"));
    assert!(told, "{:?}", world.lines());
    trades_on(&mut world, 1);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn a_key_that_may_not_listen_ends_the_start_and_the_venue_s_rule_is_told() {
    let setup = Setup { sbe: true, ..Setup::default() };
    let mut world = World::new(&setup).unwrap();
    assert!(!world.run_until_live());
    let why = world.ended().failed.clone().unwrap_or_default();
    assert!(why.contains("HTTP 401") && why.contains("Ed25519") && why.contains("--feed json"), "{why}");
    assert_eq!(world.orders(), Vec::<String>::new());
}
