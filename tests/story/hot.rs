//! The trader's own private stream: what it proves releases the waiting leg, whatever the answer does; its
//! loss costs nothing but that.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::agents::trader::contingent::Legs;
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::json;

fn perp_first() -> Setup {
    Setup { legs: Legs::PerpFirst, ..one_entry("SOL", 11) }
}

fn sent(world: &World, orders: u64) -> bool {
    world.shadow().totals.sent == orders
}

/// Nothing that the box answers to a perp order arrives, until told otherwise.
fn without_answers(setup: &Setup) -> World {
    let mut world = live(setup);
    world.hold(Door::UsdmRest, true);
    world
}

/// The answers arrive now, after all is over: nothing more comes of them.
#[track_caller]
fn answered_late(mut world: World, expected: &[&str]) {
    assert_eq!(world.orders(), expected);
    world.hold(Door::UsdmRest, false);
    world.run_for(SEC);
    assert!(world.stop());
    assert_eq!(world.orders(), expected);
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn a_fill_releases_the_spot_leg_long_before_its_answer_comes() {
    let mut world = live(&perp_first());
    faults(&mut world, &[json!({"kind": "delay_ack", "market": "usdm", "ms": 200})]);
    assert!(world.run_until(|world| sent(world, 1), 10 * SEC));
    assert!(world.run_until(|world| sent(world, 2), MS), "the spot leg leaves within a millisecond");
    assert_eq!(world.trader().feed_before_ack, 1);
    assert_eq!(records(&world, Kind::Answer).iter().filter(|it| it["source"] == "answer").count(), 0);
    world.run_for(SEC);
    assert!(world.stop());
    assert_eq!(struck(&world, "delay_ack"), 1);
    assert_eq!(world.orders(), ["buy spot SOLUSDT 3.034 FILLED 3.034", "sell perp SOLUSDT 3.03 FILLED 3.03"]);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// A live world whose trader lost its private stream just now, and the shadow kept its own: the youngest
/// socket is the one or the other, which is the seed's to say.
fn that_lost_it(setup: &Setup) -> World {
    let lost = |seed| {
        let mut world = live(&Setup { seed, ..setup.clone() });
        world.run_for(SEC);
        world.shut(Door::UsdmWs, true);
        assert!(world.cut_youngest(Door::UsdmWs));
        world.run_for(5 * MS);
        (world.trader().feed_lost == 1).then_some(world)
    };
    (7..20).find_map(lost).unwrap()
}

/// How often the shadow's own stream came up.
fn ups(world: &World) -> usize {
    let notes = records(world, Kind::Note);
    notes.iter().filter(|note| note["text"] == "private stream binance perp is up").count()
}

#[test]
fn without_the_stream_the_answers_release_and_it_is_dialled_again_alone() {
    let mut world = that_lost_it(&Setup { legs: Legs::PerpFirst, ..Setup::default() });
    let (beaten, opened) = (world.trader().feed_before_ack, world.shadow().totals.opened);
    assert!(beaten > 0);
    world.run_for(4 * SEC);
    assert!(world.shadow().totals.opened > opened, "entries go on");
    assert_eq!(world.trader().feed_before_ack, beaten);
    let told = |line: &String| line.contains("link down: private stream binance perp of the trader");
    assert!(world.lines().iter().any(told), "{:?}", world.lines());
    world.shut(Door::UsdmWs, false);
    world.run_for(8 * SEC);
    assert!(world.trader().feed_before_ack > beaten, "it is back");
    assert!(world.stop());
    assert_eq!(ups(&world), 1, "the shadow's stream was never down");
    assert_eq!(world.shadow().totals.repaired, 0);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// A ticket that is refused while the shadow's stream lives is the trader's trouble alone.
#[test]
fn a_refused_ticket_for_the_trader_leaves_the_shadows_stream_alone() {
    let mut world = that_lost_it(&perp_first());
    let before = world.dialled(Door::UsdmWs).len();
    world.shut(Door::UsdmWs, false);
    faults(&mut world, &[json!({"kind": "status", "market": "usdm", "status": 500, "count": 2})]);
    world.run_for(3 * SEC);
    assert_eq!(struck(&world, "status"), 2);
    assert_eq!(world.dialled(Door::UsdmWs).len(), before + 1, "once it has its ticket");
    assert!(world.stop());
    assert_eq!(ups(&world), 1);
    books_equal_truth(&world);
}

#[test]
fn events_that_come_twice_and_last_things_first_release_once() {
    let mut world = live(&Setup { legs: Legs::PerpFirst, ..Setup::seeded(7) });
    let orders = [
        json!({"kind": "dup_user", "market": "usdm", "count": 200}),
        json!({"kind": "shuffle_user", "market": "usdm", "count": 20}),
        json!({"kind": "delay_ack", "market": "usdm", "ms": 30, "count": 20}),
    ];
    faults(&mut world, &orders);
    world.run_for(8 * SEC);
    assert!(world.stop());
    assert!(orders.iter().all(|order| struck(&world, order["kind"].as_str().unwrap()) >= 10));
    assert!(world.trader().feed_before_ack >= 10, "{}", world.trader().feed_before_ack);
    let of = |market: &str| world.orders().iter().filter(|order| order.contains(market)).count();
    assert_eq!(of(" spot "), of(" perp "), "one spot order for each perp order");
    assert_eq!(world.shadow().totals.repaired, 0, "and none too large");
    books_equal_truth(&world);
    ended_clean(&world);
}

/// 1.21 of 3.03 of 3.034, rounded up to the lot, whatever comes first.
#[test]
fn a_part_and_its_end_release_the_share_that_was_executed() {
    let partial = json!({"kind": "partial", "market": "usdm", "fraction_ppm": 400_000});
    let twice = json!({"kind": "dup_user", "market": "usdm", "count": 20});
    let shuffled = json!({"kind": "shuffle_user", "market": "usdm"});
    for more in [vec![], vec![twice.clone()], vec![shuffled.clone()], vec![twice, shuffled]] {
        let mut world = without_answers(&perp_first());
        faults(&mut world, &[std::slice::from_ref(&partial), &more[..]].concat());
        assert!(world.run_until(|world| sent(world, 2), 10 * SEC), "{more:?}");
        world.run_for(10 * MS);
        let (spot, perp) = ("buy spot SOLUSDT 1.212 FILLED 1.212", "sell perp SOLUSDT 3.03 EXPIRED 1.21");
        answered_late(world, &[spot, perp]);
    }
}

/// The pair is free for its second entry before the first one's answer is there.
#[test]
fn an_end_without_a_fill_calls_the_spot_leg_off_at_once() {
    let mut world = without_answers(&Setup { entries_max: Some(2), ..perp_first() });
    faults(&mut world, &[json!({"kind": "none", "market": "usdm"})]);
    assert!(world.run_until(|world| sent(world, 1), 10 * SEC));
    assert!(world.run_until(|world| sent(world, 3), SEC), "{:?}", world.orders());
    world.run_for(10 * MS);
    answered_late(
        world,
        &[
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
        ],
    );
}

/// The answer is lost, its events are not: they prove the fill, whether they came before or after that.
#[test]
fn a_fill_whose_answer_was_lost_is_proven_by_the_stream() {
    for seed in 11..19 {
        let mut world = live(&Setup { seed, ..perp_first() });
        faults(&mut world, &[json!({"kind": "drop_ack", "market": "usdm"})]);
        assert!(world.run_until(|world| sent(world, 2), 10 * SEC));
        world.run_for(SEC);
        assert!(world.stop());
        assert_eq!(world.shadow().totals.repaired, 0, "seed {seed}: {:?}", world.orders());
        books_equal_truth(&world);
        ended_clean(&world);
    }
}
