//! Orders over the venue's WebSocket API: the same stories as over REST, told on other links (issue 6).
//!
//! Owns:  claims about `--orders ws`; what an answer means is claimed once, for both, in `doubt` and `classes`.

use crate::doubt::{never_resent, verdicts};
use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::agents::trader::contingent::Legs;
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::time::SEC;
use contango::venue::Orders;
use serde_json::{Value, json};

const APIS: [Door; 2] = [Door::SpotWsApi, Door::UsdmWsApi];

fn by_socket(setup: Setup) -> Setup {
    Setup { orders: Orders::Ws, ..setup }
}

/// One entry of SOL under these faults, ended.
#[track_caller]
fn entry_under(orders: &[Value]) -> World {
    let mut world = live(&by_socket(one_entry("SOL", 11)));
    faults(&mut world, orders);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(8 * SEC);
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
    world
}

const BOTH: [&str; 2] = ["buy spot SOLUSDT 3.034 FILLED 3.034", "sell perp SOLUSDT 3.03 FILLED 3.03"];

/// The whole demo: round trips, repairs of nothing, books that equal the truth; and no order by REST, of which the
/// order links' warming requests are missing, too.
#[test]
fn round_trips_go_over_the_sockets_alone() {
    for legs in [Legs::Together, Legs::PerpFirst, Legs::SpotFirst] {
        let mut world = live(&by_socket(Setup { legs, ..Setup::default() }));
        world.run_for(20 * SEC);
        assert!(world.stop());
        assert!(world.shadow().totals.closed >= 3, "{legs:?}: {:?}", world.shadow().totals);
        never_resent(&world);
        books_equal_truth(&world);
        ended_clean(&world);
        let counts = world.trader();
        assert!(
            counts.sealed > counts.prepared + counts.signed,
            "{legs:?}: sealed ahead, most of them: {counts:?}"
        );
        let answers = records(&world, Kind::Answer);
        let by_answer = answers.iter().filter(|it| it["source"] == "answer").count() as u64;
        assert_eq!(by_answer, world.shadow().totals.sent, "each order has its answer");
    }
}

/// The same seed, the same orders by either way: what is decided does not hang on what it travels by.
#[test]
fn an_entry_is_the_one_that_rest_would_have_made() {
    let mut world = live(&by_socket(one_entry("SOL", 11)));
    assert!(world.run_until(|world| world.orders().len() == 2, 10 * SEC));
    world.run_for(SEC);
    assert!(world.stop());
    assert_eq!(world.orders(), BOTH);
    books_equal_truth(&world);
}

#[test]
fn a_refusal_is_one_and_the_other_leg_is_taken_back() {
    let refuse = json!({"kind": "refuse", "market": "usdm", "code": -2019, "msg": "Margin is insufficient."});
    let world = entry_under(&[refuse]);
    assert_eq!(verdicts(&world, "perp"), ["refused funds -2019 answer"]);
    assert_eq!(world.orders(), [BOTH[0], "sell spot SOLUSDT 3.03 FILLED 3.03"]);
    let refuse = json!({"kind": "refuse", "market": "spot", "code": -2010});
    let world = entry_under(&[refuse]);
    assert_eq!(verdicts(&world, "spot"), ["refused funds -2010 answer"]);
    assert_eq!(world.orders(), [BOTH[1], "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"]);
}

/// What is not said is not known: a lost link, half a frame, a page, a server's error; the order is found by its id, and
/// stands.
#[test]
fn whatever_was_taken_is_found() {
    let timeout = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
    let lost = "unknown link_lost answer";
    for (market, side, leg) in [("spot", "BUY", "spot"), ("usdm", "SELL", "perp")] {
        for (fault, doubt) in [
            (json!({"kind": "drop_ack"}), lost),
            (json!({"kind": "half"}), lost),
            (json!({"kind": "html", "taken": true}), lost),
            (
                json!({"kind": "status", "status": 408, "body": timeout, "taken": true}),
                "unknown -1007 answer",
            ),
            (
                json!({"kind": "status", "status": 502, "body": "<html>", "taken": true}),
                "unknown -1000 answer",
            ),
        ] {
            let mut fault = fault;
            fault["market"] = market.into();
            fault["client_side"] = side.into();
            let world = entry_under(std::slice::from_ref(&fault));
            let told = verdicts(&world, leg);
            assert!(told.iter().any(|told| told == doubt), "{fault}: {told:?}");
            assert_eq!(world.orders(), BOTH, "{fault}");
        }
    }
}

#[test]
fn what_was_not_taken_never_landed() {
    for (fault, doubt) in [
        (json!({"kind": "lose", "market": "usdm"}), "unknown link_lost answer"),
        (json!({"kind": "html", "market": "usdm", "client_side": "SELL"}), "unknown link_lost answer"),
        (
            json!({"kind": "status", "market": "usdm", "client_side": "SELL", "status": 504, "body": "<html>"}),
            "unknown -1000 answer",
        ),
    ] {
        let world = entry_under(std::slice::from_ref(&fault));
        assert_eq!(verdicts(&world, "perp")[0], doubt, "{fault}");
        assert_eq!(world.orders(), [BOTH[0], "sell spot SOLUSDT 3.03 FILLED 3.03"], "{fault}");
    }
}

/// Every link is lost, again and again, with whatever flies on it: nothing is sent twice, nothing is forgotten.
#[test]
fn lost_links_lose_no_order() {
    let mut world = live(&by_socket(Setup::default()));
    for n in 0..24 {
        world.run_for(SEC / 2);
        world.cut_link(APIS[n % 2]);
    }
    world.run_for(20 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.closed >= 2, "{:?}", world.shadow().totals);
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Idle sockets answer the venue's pings and send their own: over two minutes, past its deadline for pongs, none is lost,
/// and what lies sealed is sealed anew.
#[test]
fn an_idle_link_is_kept_alive_without_a_request() {
    let mut world = live(&by_socket(one_entry("SOL", 11)));
    let dialled = |world: &World| APIS.map(|door| world.dialled(door).len());
    assert!(world.run_until(|world| world.orders().len() == 2, 10 * SEC));
    let (before, asked) = (dialled(&world), world.asked(Door::UsdmRest).len());
    world.run_for(150 * SEC);
    assert_eq!(dialled(&world), before);
    let asked = world.asked(Door::UsdmRest).len() - asked;
    assert!(world.stop());
    let mut by_rest = live(&one_entry("SOL", 11));
    assert!(by_rest.run_until(|world| world.orders().len() == 2, 10 * SEC));
    let before = by_rest.asked(Door::UsdmRest).len();
    by_rest.run_for(150 * SEC);
    assert!(asked + 50 < by_rest.asked(Door::UsdmRest).len() - before, "no order link is warmed by requests");
}

/// The venue says that it will close its sockets, and does: links that nothing flies on are gone before, and trading goes
/// on once it is back.
#[test]
fn a_shutdown_that_is_told_costs_no_order() {
    let mut world = live(&by_socket(Setup::default()));
    world.run_for(3 * SEC);
    faults(&mut world, &[json!({"kind": "maintenance", "market": "spot", "for_ms": 3_000})]);
    let closed = world.shadow().totals.closed;
    world.run_for(40 * SEC);
    assert!(world.stop());
    assert_eq!(struck(&world, "maintenance"), 1);
    assert!(world.shadow().totals.closed > closed, "{:?}", world.shadow().totals);
    never_resent(&world);
    books_equal_truth(&world);
}
