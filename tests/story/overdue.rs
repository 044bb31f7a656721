//! Orders that should have been over long ago (FAULTS F72, part 4): cancelled at five seconds, and ended by
//! what the venue says of that.
//!
//! Owns:  claims about cancels: when they leave, what their answers prove, and what they leave alone.

use crate::doubt::{never_resent, verdicts};
use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records};
use contango::event::Mode;
use contango::rehearse::World;
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};

fn freeze(market: &str, more: &Value) -> Value {
    let side = if market == "spot" { "BUY" } else { "SELL" };
    let mut fault = json!({"kind": "freeze", "market": market, "client_side": side, "ms": 60_000});
    fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fault
}

/// One entry of SOL with these faults, whose legs have left.
#[track_caller]
fn entry(orders: &[Value]) -> World {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, orders);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world
}

/// Each order's state at the box, market by market.
fn statuses(world: &World, market: &str) -> Vec<String> {
    let truth = world.truth();
    let rows = truth["orders"].as_array().unwrap().iter().filter(|row| row["market"] == market);
    rows.map(|row| row["status"].as_str().unwrap().to_owned()).collect()
}

fn alerts(world: &World) -> usize {
    world
        .lines()
        .iter()
        .filter(|line| line.starts_with("ALERT") && line.contains("not over after 5 s"))
        .count()
}

/// How long ago the first order of a market was received, in ms.
fn age_ms(world: &World, market: &str) -> u64 {
    let truth = world.truth();
    let row = truth["orders"].as_array().unwrap().iter().find(|row| row["market"] == market).unwrap();
    (truth["now_us"].as_u64().unwrap() - row["received_us"].as_u64().unwrap()) / 1_000
}

#[track_caller]
fn end(mut world: World) {
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F72: acknowledged and never matched, on each market. The venue keeps it open, so it is cancelled at five
/// seconds; the answer proves its end, and the other leg is taken back.
#[test]
fn an_order_that_stays_new_is_cancelled_at_five_seconds_and_its_end_is_proven_by_the_answer() {
    for (market, leg, back) in [
        ("spot", "spot", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"),
        ("usdm", "perp", "sell spot SOLUSDT 3.03 FILLED 3.03"),
    ] {
        let mut world = entry(&[
            freeze(market, &json!({})),
            json!({"kind": "mute_user", "market": market, "ms": 60_000}),
        ]);
        world.run_for(4_900 * MS);
        assert_eq!((statuses(&world, market), alerts(&world)), (vec!["NEW".to_owned()], 0), "{market}");
        assert!(world.run_until(|world| statuses(world, market)[0] == "CANCELED", SEC), "{market}");
        let ms = age_ms(&world, market);
        assert!((4_990..=5_050).contains(&ms), "{market}: {ms} ms");
        world.run_for(MS);
        let told = verdicts(&world, leg);
        assert_eq!(told.first().unwrap(), "open answer", "{market}: {told:?}");
        assert_eq!(told.last().unwrap(), "terminal cancel", "{market}: {told:?}");
        assert_eq!(alerts(&world), 1, "{market}");
        world.run_for(3 * SEC);
        assert_eq!(world.orders().last().unwrap(), back, "{market}: {:?}", world.orders());
        assert_eq!(world.orders().len(), 3, "{market}: {:?}", world.orders());
        let ends = records(&world, Kind::OrderEnd);
        assert!(ends.iter().all(|end| end["evidence"] == "A"), "{market}: {ends:?}");
        end(world);
    }
}

/// The private stream tells of the cancel as well; on spot under the cancel's own id, which is not taken for
/// somebody else's order.
#[test]
fn the_stream_that_tells_of_the_cancel_freezes_nothing() {
    for market in ["spot", "usdm"] {
        let mut world = entry(&[freeze(market, &json!({}))]);
        world.run_for(8 * SEC);
        assert_eq!(statuses(&world, market)[0], "CANCELED", "{market}");
        let frozen: Vec<&str> = world.shadow().why().filter_map(|why| why.frozen).collect();
        assert_eq!(frozen, Vec::<&str>::new(), "{market}");
        end(world);
    }
}

/// What filled before stays filled: the rest is cancelled, and the other leg brought down to it.
#[test]
fn a_part_that_filled_before_is_booked_and_kept() {
    let mut world = entry(&[freeze("usdm", &json!({"fraction_ppm": 400_000}))]);
    world.run_for(9 * SEC);
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 CANCELED 1.21",
            "sell spot SOLUSDT 1.82 FILLED 1.82",
        ]
    );
    assert_eq!(world.shadow().open_now(), 1);
    end(world);
}

/// Nor may the repair after it take as long: five seconds are gone already, and three are left (T_window). It is
/// cancelled after one, and what it left is sold by the next.
#[test]
fn a_repair_that_stands_too_is_cancelled_in_time_for_the_next_one() {
    let stands = json!({"kind": "freeze", "market": "spot", "client_side": "SELL", "ms": 60_000, "acked": false,
        "fraction_ppm": 400_000});
    let mut world = entry(&[freeze("usdm", &json!({"fraction_ppm": 400_000})), stands]);
    world.run_for(6_500 * MS);
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 CANCELED 1.21",
            "sell spot SOLUSDT 1.82 CANCELED 0.728",
            "sell spot SOLUSDT 1.092 FILLED 1.092",
        ]
    );
    let notes = records(&world, Kind::Note);
    let told = notes
        .iter()
        .any(|note| note["text"].as_str().unwrap().contains("a repair, and it stands at the venue"));
    assert!(told, "{notes:?}");
    assert_eq!((alerts(&world), world.shadow().open_now()), (1, 1), "the entry's leg alone was overdue");
    end(world);
}

/// Nobody answered the order, and it stands at the venue: unknown at once, cancelled at five seconds.
#[test]
fn an_order_of_unknown_fate_that_shows_itself_open_is_cancelled() {
    let mut world = entry(&[freeze("spot", &json!({"acked": false}))]);
    world.run_for(9 * SEC);
    let told = verdicts(&world, "spot");
    // The stream may have told of it before the link was gone.
    assert!(told[..2].iter().any(|told| told == "unknown link_lost answer"), "{told:?}");
    assert!(told.iter().any(|told| told == "open query"), "{told:?}");
    assert_eq!(statuses(&world, "spot")[0], "CANCELED");
    end(world);
}

/// -2011 proves nothing: there was nothing to cancel because it filled. The next query says so.
#[test]
fn a_cancel_that_comes_too_late_is_no_end_and_the_query_after_it_is() {
    let behind = json!({"kind": "replica_lag", "market": "usdm", "ms": 3_000, "for_ms": 9_000});
    let mute = json!({"kind": "mute_user", "market": "usdm", "ms": 60_000});
    let mut world = entry(&[freeze("usdm", &json!({"ms": 4_000})), behind, mute]);
    world.run_for(6_500 * MS);
    let told = verdicts(&world, "perp");
    assert!(told.iter().any(|told| told == "not_found cancel"), "{told:?}");
    assert_eq!(told.last().unwrap(), "open query", "the replica is behind: {told:?}");
    assert_eq!(world.shadow().unknown_now(), 1, "nothing is proven yet");
    world.run_for(4 * SEC);
    let told = verdicts(&world, "perp");
    assert_eq!(
        told.iter().filter(|told| told.as_str() == "not_found cancel").count(),
        2,
        "again at its pace: {told:?}"
    );
    assert!(told.iter().any(|told| told == "terminal query"), "{told:?}");
    end(world);
}

/// Nothing but a cancel leaves while killed.
#[test]
fn a_killed_engine_still_cancels() {
    let mut world = entry(&[freeze("spot", &json!({}))]);
    world.ask(contango::event::Ask::Kill("enough".to_owned()));
    world.run_for(7 * SEC);
    assert_eq!(world.shadow().mode(), Mode::Killed);
    assert_eq!(statuses(&world, "spot"), ["CANCELED"]);
    assert_eq!(world.shadow().totals.sent, 2, "the other leg is not taken back: that would be an order");
}

/// What a dead process left open is called back as soon as the next one sees it, not five seconds later.
#[test]
fn an_order_that_a_dead_process_left_open_is_cancelled_at_once() {
    let setup = one_entry("SOL", 11);
    let mut world = entry(&[freeze("spot", &json!({}))]);
    world.run_for(50 * MS);
    world.kill_process(&setup).unwrap();
    assert!(world.run_until(|world| statuses(world, "spot") == ["CANCELED"], 4 * SEC), "{:?}", world.lines());
    assert!(world.run_until_live());
    world.run_for(SEC);
    end(world);
}
