//! Private streams: fills booked once from three sources, gaps closed by REST, nothing entered without
//! both streams, and what is not ours is left alone (F43, F55, F78, F80, F82, F83).

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck, why};
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::Nanos;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many perp fills the journal booked, by their source.
fn perp_sources(world: &World) -> BTreeMap<String, usize> {
    let mut sources = BTreeMap::new();
    for fill in records(world, Kind::Fill) {
        if fill["market"] == "perp" {
            *sources.entry(fill["source"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    sources
}

fn opened(world: &World) -> u64 {
    world.shadow().totals.opened
}

/// Trades under these faults, and ends with the box's own books.
#[track_caller]
fn trades_under(orders: &[Value]) -> World {
    let mut world = live(&Setup::default());
    world.run_for(SEC);
    faults(&mut world, orders);
    world.run_for(8 * SEC);
    let before = opened(&world);
    world.run_for(6 * SEC);
    assert!(opened(&world) > before, "trading goes on: {:?}", world.lines().last());
    assert!(world.stop());
    for order in orders {
        assert!(struck(&world, order["kind"].as_str().unwrap()) > 0, "{order} never struck");
    }
    books_equal_truth(&world);
    ended_clean(&world);
    world
}

#[test]
fn the_fills_of_a_perp_and_their_fees_come_by_the_stream_and_nothing_is_asked() {
    let mut world = live(&Setup::default());
    world.run_for(10 * SEC);
    assert!(world.stop());
    let sources = perp_sources(&world);
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["stream"], "{sources:?}");
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn events_that_come_twice_or_last_things_first_or_late_are_booked_once() {
    trades_under(&[json!({"kind": "dup_user", "count": 40})]);
    trades_under(&[json!({"kind": "shuffle_user", "count": 20})]);
    trades_under(&[json!({"kind": "delay_user", "ms": 120, "for_ms": 5_000})]);
    trades_under(&[
        json!({"kind": "delay_ack", "ms": 90, "market": "spot", "count": 6}),
        json!({"kind": "delay_ack", "ms": 40, "market": "usdm", "count": 6}),
        json!({"kind": "dup_user", "count": 40}),
    ]);
}

/// The stream tells the end of a leg long before its answer: the repair does not wait.
#[test]
fn a_leg_that_ends_by_the_stream_is_repaired_before_its_answer() {
    let mut world = live(&one_entry("SOL", 11));
    let orders = [
        json!({"kind": "none", "market": "usdm"}),
        json!({"kind": "delay_ack", "market": "usdm", "ms": 1_500}),
    ];
    faults(&mut world, &orders);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC));
    world.run_for(200 * MS);
    assert_eq!(world.shadow().totals.sent, 3, "the spot leg is sold already");
    assert_eq!(world.truth()["naked"]["now"], json!([]));
    world.run_for(3 * SEC);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F78: a mute stream is no stream; what it should have told is asked for.
#[test]
fn what_a_mute_stream_does_not_tell_is_asked_for() {
    let world = trades_under(&[json!({"kind": "mute_user", "ms": 4_000})]);
    let sources = perp_sources(&world);
    assert!(sources["query"] > 0 && sources["stream"] > 0, "{sources:?}");
}

/// A listen key that expires leaves an open, silent socket: new key, new socket, nothing lost.
#[test]
fn an_expired_listen_key_gets_a_new_key_and_a_new_socket() {
    let mut world = live(&Setup::default());
    world.run_for(2 * SEC);
    let before = world.dialled(Door::UsdmWs).len();
    world.fault(&json!({"kind": "expire_listen_key"})).unwrap();
    world.run_for(2 * SEC);
    assert_eq!(world.dialled(Door::UsdmWs).len(), before + 2, "the shadow's and the trader's");
    let (then, told) = (opened(&world), world.trader().feed_before_ack);
    world.run_for(8 * SEC);
    assert!(opened(&world) > then);
    assert!(world.trader().feed_before_ack > told, "the trader hears its own again");
    assert!(world.stop());
    assert!(perp_sources(&world)["stream"] > 0);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// A listen key lives an hour: renewed at half of that, it outlives it on the same socket.
#[test]
fn a_listen_key_is_renewed_before_it_expires() {
    let box_config = contango::sim::Config { ticks_per_s: 1, ..contango::sim::Config::default() };
    let mut world = live(&Setup { box_config, exit_basis: None, ..one_entry("SOL", 11) });
    let before = world.dialled(Door::UsdmWs).len();
    world.run_for(65 * 60 * SEC);
    assert_eq!(world.dialled(Door::UsdmWs).len(), before, "no new socket");
    assert_eq!(world.shadow().why().filter_map(|why| why.frozen).count(), 0);
    assert!(world.stop());
    ended_clean(&world);
}

/// Another program closed the key, which nobody is told: the renewal finds out, and both sockets get a new one.
#[test]
fn a_listen_key_that_can_not_be_renewed_is_replaced_for_both_sockets() {
    let box_config = contango::sim::Config { ticks_per_s: 1, ..contango::sim::Config::default() };
    let key = box_config.key.clone();
    let mut world = live(&Setup { box_config, exit_basis: None, ..one_entry("SOL", 11) });
    let before = world.dialled(Door::UsdmWs).len();
    let close = format!("DELETE /fapi/v1/listenKey HTTP/1.1\r\nHost: box\r\nX-MBX-APIKEY: {key}\r\n\r\n");
    world.ask_as_stranger(Door::UsdmRest, close.as_bytes());
    world.run_for(29 * 60 * SEC);
    assert_eq!(world.dialled(Door::UsdmWs).len(), before);
    world.run_for(2 * 60 * SEC);
    assert_eq!(world.dialled(Door::UsdmWs).len(), before + 2);
    assert_eq!(world.shadow().why().filter_map(|why| why.frozen).count(), 0);
    assert!(world.stop());
    ended_clean(&world);
}

/// Both private sockets die again and again, answers are lost in between.
#[test]
fn private_sockets_that_die_under_way_lose_no_fill_and_double_none() {
    let mut world = live(&Setup::seeded(5));
    for n in 0..8 {
        world.run_for(600 * MS + n * 41 * MS);
        world.fault(&json!({"kind": "cut_user"})).unwrap();
        let market = if n % 2 == 0 { "spot" } else { "usdm" };
        world.fault(&json!({"kind": "drop_ack", "market": market})).unwrap();
    }
    world.run_for(10 * SEC);
    assert!(opened(&world) > 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Without both streams no entry leaves, positions may still be closed, and `why` says it.
#[test]
fn without_a_private_stream_nothing_is_entered() {
    let mut world = live(&Setup::default());
    assert!(world.run_until(|world| world.shadow().open_now() >= 2, 10 * SEC));
    for door in [Door::SpotWsApi, Door::UsdmWs] {
        world.shut(door, true);
    }
    world.fault(&json!({"kind": "cut_user"})).unwrap();
    world.run_for(300 * MS);
    let (then, closed) = (opened(&world), world.shadow().totals.closed);
    world.run_for(10 * SEC);
    assert_eq!(opened(&world), then, "no new position");
    assert!(world.shadow().totals.closed > closed, "exits go on");
    let frozen: Vec<_> = world.shadow().why().filter_map(|why| why.frozen).collect();
    assert!(!frozen.is_empty() && frozen.iter().all(|why| why.contains("private stream")), "{frozen:?}");
    let reasons = why(&mut world, "BTC").reasons;
    assert!(
        reasons.iter().any(|why| why.contains("private stream of binance spot and binance perp")),
        "{reasons:?}"
    );
    for door in [Door::SpotWsApi, Door::UsdmWs] {
        world.shut(door, false);
    }
    // What happened meanwhile is read first, which is told, too.
    let mut reads = false;
    while opened(&world) == then && world.now() < Nanos(100 * SEC) {
        reads |= why(&mut world, "BTC").reasons.iter().any(|why| why.contains("is being read"));
        world.run_for(5 * MS);
    }
    assert!(opened(&world) > then, "and then trading goes on");
    assert!(reads, "nobody was told why it took so long");
    assert_eq!(world.shadow().why().filter_map(|why| why.frozen).count(), 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}
