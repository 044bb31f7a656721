//! An account whose key is of Ed25519: questions and orders it signs, and sockets for orders that it logs on to.
//!
//! Owns:  claims about that kind of key. What an answer means is claimed once, for all, in `doubt` and `classes`.

use crate::doubt::{never_resent, verdicts};
use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry};
use contango::agents::trader::contingent::Legs;
use contango::rehearse::{Setup, World};
use contango::sim::{self, Door};
use contango::units::time::{MS, SEC};
use contango::venue::Orders;
use serde_json::json;

/// By sockets that are logged on.
fn logged_on(setup: Setup) -> Setup {
    Setup { orders: Orders::Ws, ..setup }.of_ed25519()
}

/// Requests of all kinds, private streams of both markets, orders: each is signed by the other kind of key, and taken.
#[test]
fn round_trips_over_rest_are_signed_by_a_private_key() {
    let mut world = live(&Setup::default().of_ed25519());
    world.run_for(20 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.closed >= 3, "{:?}", world.shadow().totals);
    assert_eq!(world.truth()["refused"], serde_json::json!([]));
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// The whole demo, of orders that carry neither key nor signature.
#[test]
fn round_trips_go_over_sockets_that_are_logged_on() {
    for legs in [Legs::Together, Legs::PerpFirst, Legs::SpotFirst] {
        let mut world = live(&logged_on(Setup { legs, ..Setup::default() }));
        world.run_for(20 * SEC);
        assert!(world.stop());
        assert!(world.shadow().totals.closed >= 3, "{legs:?}: {:?}", world.shadow().totals);
        assert_eq!(world.truth()["refused"], json!([]));
        never_resent(&world);
        books_equal_truth(&world);
        ended_clean(&world);
        let counts = world.trader();
        assert!(
            counts.sealed > counts.prepared + counts.signed,
            "{legs:?}: sealed ahead, most of them: {counts:?}"
        );
    }
}

/// How many requests with key or signature the box got in the millisecond in which both legs came.
fn signed_with_the_legs(setup: &Setup) -> u64 {
    let signed = |world: &World| world.truth()["signed"].as_u64().unwrap();
    let mut world = live(setup);
    for _ in 0..10_000 {
        let before = signed(&world);
        world.run_for(MS);
        if world.orders().len() == 2 {
            return signed(&world) - before;
        }
    }
    panic!("no entry");
}

#[test]
fn an_order_on_a_socket_that_is_logged_on_carries_neither_key_nor_signature() {
    let by_socket = Setup { orders: Orders::Ws, ..one_entry("SOL", 11) };
    assert_eq!(signed_with_the_legs(&by_socket), 2);
    assert_eq!(signed_with_the_legs(&by_socket.of_ed25519()), 0);
}

/// Spot counts requests, whatever they weigh, and tells nobody: sockets that are lost again and again are dialled until our
/// own count is at its line. A logon is in it: fewer are dialled, and the venue counts no more than without.
#[test]
fn a_logon_is_booked() {
    let felt = |setup: Setup| {
        let mut world = live(&setup);
        for _ in 0..600 {
            world.run_for(SEC / 5);
            world.cut_link(Door::SpotWsApi);
        }
        let raw = world.truth()["budget"]["spot"]["raw_5m"]["peak"].as_u64().unwrap();
        (world.dialled(Door::SpotWsApi).len(), raw)
    };
    let box_config = sim::Config { spot_raw_5m: 1_000, ..sim::Config::default() };
    let idle = Setup { orders: Orders::Ws, directions: [false; 2], box_config, ..Setup::default() };
    let (signs, logs_on) = (felt(idle.clone()), felt(idle.of_ed25519()));
    assert!(logs_on.0 > 30 && logs_on.0 < signs.0, "{signs:?}, {logs_on:?}");
    assert!(logs_on.1 <= signs.1 + 3, "{signs:?}, {logs_on:?}");
}

/// The venue forgets the key while an order flies: it says so under no id, which is no refusal of any order. Both legs are
/// in doubt, no socket logs on any more, and the operator is told why; once the key is good again they are found to be
/// nowhere.
#[test]
fn a_key_that_dies_leaves_what_flew_in_doubt_and_no_socket_for_orders() {
    let mut world = live(&logged_on(one_entry("SOL", 11)));
    faults(&mut world, &[json!({"kind": "account", "key": false})]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(3 * SEC);
    for leg in ["spot", "perp"] {
        let told = verdicts(&world, leg);
        assert_eq!(told.first().map(String::as_str), Some("unknown link_lost answer"), "{leg}: {told:?}");
        assert!(told.iter().all(|told| !told.starts_with("refused")), "{leg}: {told:?}");
    }
    let told = |market: &str| {
        let line = format!("orders binance {market} #");
        let mut lines = world.lines().iter().filter(|it| it.contains(&line));
        lines.any(|it| {
            it.contains("the logon was refused") && it.contains("-2015") && it.contains("--orders rest")
        })
    };
    assert!(told("spot") && told("perp"), "{:?}", world.lines());
    faults(&mut world, &[json!({"kind": "account", "key": true})]);
    world.run_for(60 * SEC);
    assert!(world.stop());
    assert_eq!(world.orders(), Vec::<String>::new());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Every link is lost, again and again, with whatever flies on it: nothing is sent twice, nothing is forgotten.
#[test]
fn lost_links_lose_no_order() {
    let mut world = live(&logged_on(Setup::default()));
    for n in 0..24 {
        world.run_for(SEC / 2);
        world.cut_link([Door::SpotWsApi, Door::UsdmWsApi][n % 2]);
    }
    world.run_for(20 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.closed >= 2, "{:?}", world.shadow().totals);
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}
