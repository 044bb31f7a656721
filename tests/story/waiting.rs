//! The leg that waits (`--legs`): sent when the other's fill is proven, sized by it, and never otherwise.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, struck};
use contango::agents::trader::contingent::Legs;
use contango::rehearse::{Setup, World};
use contango::units::Ratio;
use contango::units::time::SEC;
use serde_json::{Value, json};

/// One entry of SOL under these faults; the orders as the box saw them.
#[track_caller]
fn entry(legs: Legs, orders: &[Value], expected: &[&str]) -> World {
    let mut world = live(&Setup { legs, ..one_entry("SOL", 11) });
    faults(&mut world, orders);
    world.run_for(7 * SEC);
    assert!(world.stop());
    for order in orders {
        assert!(struck(&world, order["kind"].as_str().unwrap()) > 0, "{order} never struck");
    }
    assert_eq!(world.orders(), expected, "{legs:?}");
    books_equal_truth(&world);
    world
}

fn fault(kind: &str, market: &str) -> Value {
    json!({"kind": kind, "market": market, "fraction_ppm": 400_000})
}

#[test]
fn spot_follows_the_perps_fill_and_the_perp_follows_spots() {
    let both = ["sell perp SOLUSDT 3.03 FILLED 3.03", "buy spot SOLUSDT 3.034 FILLED 3.034"];
    let world = entry(Legs::PerpFirst, &[], &["buy spot SOLUSDT 3.034 FILLED 3.034", both[0]]);
    ended_clean(&world);
    // 3.034 less 0.1 % is 3.030966: floored to the perp's lot.
    let world = entry(Legs::SpotFirst, &[], &["buy spot SOLUSDT 3.034 FILLED 3.034", both[0]]);
    ended_clean(&world);
}

#[test]
fn a_perp_that_fails_leaves_spot_untouched() {
    let refused =
        json!({"kind": "refuse", "market": "usdm", "code": -2019, "msg": "Margin is insufficient."});
    ended_clean(&entry(Legs::PerpFirst, &[refused], &[]));
    ended_clean(&entry(Legs::PerpFirst, &[fault("none", "usdm")], &["sell perp SOLUSDT 3.03 EXPIRED 0"]));
}

#[test]
fn a_spot_that_fails_leaves_the_perp_untouched() {
    ended_clean(&entry(Legs::SpotFirst, &[fault("none", "spot")], &["buy spot SOLUSDT 3.034 EXPIRED 0"]));
}

#[test]
fn a_part_that_filled_is_matched_by_its_share() {
    let perp = "sell perp SOLUSDT 3.03 EXPIRED 1.21";
    // 1.21 of 3.03 of 3.034, rounded up to the lot: still covers the short after its fee.
    let world =
        entry(Legs::PerpFirst, &[fault("partial", "usdm")], &["buy spot SOLUSDT 1.212 FILLED 1.212", perp]);
    ended_clean(&world);
    let spot = "buy spot SOLUSDT 3.034 EXPIRED 1.213";
    let world =
        entry(Legs::SpotFirst, &[fault("partial", "spot")], &[spot, "sell perp SOLUSDT 1.21 FILLED 1.21"]);
    ended_clean(&world);
}

#[test]
fn a_first_leg_in_doubt_releases_nothing() {
    ended_clean(&entry(Legs::PerpFirst, &[fault("lose", "usdm")], &[]));
    // Taken, and found by its id: the leg was called off by then, so the short is taken back.
    let world = entry(
        Legs::PerpFirst,
        &[fault("drop_ack", "usdm"), json!({"kind": "mute_user", "ms": 7_000})],
        &["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"],
    );
    ended_clean(&world);
}

#[test]
fn an_exit_closes_the_perp_first_and_then_sells_what_covered_it() {
    for legs in [Legs::PerpFirst, Legs::SpotFirst] {
        let exit_basis = Some(Ratio::from_num(5) / 10_000);
        let mut world = live(&Setup { legs, exit_basis, ..one_entry("SOL", 11) });
        assert!(world.run_until(|world| world.shadow().totals.closed == 1, 20 * SEC));
        assert!(world.stop());
        let orders = world.orders();
        assert_eq!(orders.len(), 4, "{orders:?}");
        assert!(orders.iter().any(|order| order.starts_with("buy perp") && order.ends_with("reduce-only")));
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

#[test]
fn whatever_waits_for_what_the_demo_makes_round_trips() {
    for legs in [Legs::Together, Legs::PerpFirst, Legs::SpotFirst] {
        let mut world = live(&Setup { legs, ..Setup::seeded(7) });
        world.run_for(10 * SEC);
        assert!(world.stop());
        assert!(world.shadow().totals.closed >= 15, "{legs:?}: {}", world.shadow().totals.closed);
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

/// Its answer takes nine seconds, and the private stream told what it came to: the other leg follows that.
#[test]
fn a_leg_does_not_wait_for_an_answer_that_the_stream_has_overtaken() {
    let late = |market| json!({"kind": "delay_ack", "market": market, "ms": 9_000});
    let both = ["buy spot SOLUSDT 3.034 FILLED 3.034", "sell perp SOLUSDT 3.03 FILLED 3.03"];
    for (legs, market) in [(Legs::SpotFirst, "spot"), (Legs::PerpFirst, "usdm")] {
        let mut world = live(&Setup { legs, ..one_entry("SOL", 11) });
        faults(&mut world, &[late(market)]);
        assert!(world.run_until(|world| world.orders().len() == 2, 2 * SEC), "{legs:?} {:?}", world.orders());
        assert_eq!(world.orders(), both, "{legs:?}");
        let at_ms = |n: usize| world.truth()["orders"][n]["at_ms"].as_u64().unwrap_or(0);
        assert!(at_ms(1).abs_diff(at_ms(0)) < 100, "{legs:?}: {} and {}", at_ms(0), at_ms(1));
        world.run_for(12 * SEC);
        assert!(world.stop());
        assert_eq!(world.orders(), both, "{legs:?}");
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

/// The only link of a market waits for an answer that takes nine seconds, and what it bought must be sold again: once
/// the venue can't take that order any more, the link is given up for a new one.
#[test]
fn an_answer_that_does_not_come_holds_no_repair_back() {
    let mut world = live(&Setup { legs: Legs::Together, order_links: 1, ..one_entry("SOL", 11) });
    let late = json!({"kind": "delay_ack", "market": "spot", "client_side": "BUY", "ms": 9_000});
    faults(&mut world, &[late, json!({"kind": "none", "market": "usdm", "count": 4})]);
    let sold = |world: &World| world.orders().iter().any(|order| order.starts_with("sell spot"));
    assert!(world.run_until(sold, 5 * SEC), "{:?}", world.orders());
    world.run_for(12 * SEC);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// So little of the first leg filled that the venue would refuse the second for its size: it is not tried.
#[test]
fn a_part_too_small_for_the_other_market_is_taken_back() {
    let partial = json!({"kind": "partial", "market": "spot", "fraction_ppm": 5_000});
    let mut world = live(&Setup { legs: Legs::SpotFirst, ..one_entry("ETH", 11) });
    faults(&mut world, &[partial]);
    world.run_for(7 * SEC);
    assert!(world.stop());
    assert!(world.orders().iter().all(|order| !order.contains("perp")), "{:?}", world.orders());
    assert_eq!(world.truth()["refused"], json!([]));
    books_equal_truth(&world);
}
