//! One leg fails: the larger leg is made smaller until the pair is in bound, and nothing else is
//! sent (FAULTS part 6, R1–R5 and R18 by unwinding).

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::rehearse::{Setup, World};
use contango::store::journal::Kind;
use contango::units::Ratio;
use contango::units::time::SEC;
use serde_json::{Value, json};

fn none(market: &str) -> Value {
    json!({"kind": "none", "market": market})
}

fn partial(market: &str, fraction_ppm: u32) -> Value {
    json!({"kind": "partial", "market": market, "fraction_ppm": fraction_ppm})
}

fn refuse(market: &str, code: i32, msg: &str) -> Value {
    json!({"kind": "refuse", "market": market, "code": code, "msg": msg})
}

/// One entry under these faults, held to the end.
#[track_caller]
fn entry_under(orders: &[Value], expected: &[&str]) -> World {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, orders);
    world.run_for(5 * SEC);
    told(world, orders, expected)
}

/// One entry, and its exit under these faults.
#[track_caller]
fn exit_under(orders: &[Value], expected: &[&str]) -> World {
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    let mut world = live(&Setup { exit_basis, ..one_entry("SOL", 11) });
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, orders);
    world.run_for(5 * SEC);
    let world = told(world, orders, expected);
    assert_eq!(world.shadow().open_now(), 0, "an exit ends flat, never reopened");
    assert_eq!(world.truth()["positions"], json!([]));
    world
}

/// The orders in the box's words; what is sent after the first two legs only makes legs smaller.
#[track_caller]
fn told(mut world: World, orders: &[Value], expected: &[&str]) -> World {
    assert!(world.stop());
    for order in orders {
        assert!(struck(&world, order["kind"].as_str().unwrap()) > 0, "{order} never struck");
    }
    assert_eq!(world.orders(), expected);
    assert_eq!(world.shadow().totals.repaired, 1);
    for round in records(&world, Kind::Fired).iter().filter(|round| round["class"] == "repair") {
        for leg in round["legs"].as_array().unwrap() {
            let reduces = leg["reduce_only"] == true || leg["market"] == "spot" && leg["side"] == "sell";
            assert!(reduces, "{leg}");
        }
    }
    books_equal_truth(&world);
    ended_clean(&world);
    world
}

/// R1.
#[test]
fn a_short_whose_spot_was_refused_is_bought_back() {
    let funds = "Account has insufficient balance for requested action.";
    entry_under(
        &[refuse("spot", -2010, funds)],
        &["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"],
    );
}

/// R1.
#[test]
fn a_short_whose_spot_found_no_seller_is_bought_back() {
    entry_under(
        &[none("spot")],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

/// R2.
#[test]
fn coins_whose_short_was_refused_are_sold() {
    entry_under(
        &[refuse("usdm", -2019, "Margin is insufficient.")],
        &["buy spot SOLUSDT 3.034 FILLED 3.034", "sell spot SOLUSDT 3.03 FILLED 3.03"],
    );
}

/// R2.
#[test]
fn coins_whose_short_found_no_buyer_are_sold() {
    entry_under(
        &[none("usdm")],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
        ],
    );
}

/// R3.
#[test]
fn coins_beyond_a_short_filled_in_part_are_sold_and_the_rest_is_held() {
    let world = entry_under(
        &[partial("usdm", 400_000)],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 1.21",
            "sell spot SOLUSDT 1.82 FILLED 1.82",
        ],
    );
    assert_eq!(world.shadow().open_now(), 1);
}

/// R4.
#[test]
fn a_short_beyond_coins_bought_in_part_is_cut_back_and_the_rest_is_held() {
    let world = entry_under(
        &[partial("spot", 400_000)],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 1.213",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 1.81 FILLED 1.81 reduce-only",
        ],
    );
    assert_eq!(world.shadow().open_now(), 1);
}

/// R5.
#[test]
fn when_both_legs_fill_in_part_the_larger_comes_down_to_the_smaller() {
    let world = entry_under(
        &[partial("spot", 400_000), partial("usdm", 700_000)],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 1.213",
            "sell perp SOLUSDT 3.03 EXPIRED 2.12",
            "buy perp SOLUSDT 0.9 FILLED 0.9 reduce-only",
        ],
    );
    assert_eq!(world.shadow().open_now(), 1);
}

/// R9: what is refused is tried again, with a wider collar.
#[test]
fn a_repair_that_finds_nobody_is_repeated() {
    entry_under(
        &[none("spot"), json!({"kind": "none", "market": "usdm", "client_side": "BUY", "count": 2})],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 EXPIRED 0 reduce-only",
            "buy perp SOLUSDT 3.03 EXPIRED 0 reduce-only",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

/// R18.
#[test]
fn an_exit_that_bought_back_its_short_alone_sells_its_coins() {
    exit_under(
        &[none("spot")],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "sell spot SOLUSDT 3.03 EXPIRED 0",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
        ],
    );
}

/// R18.
#[test]
fn an_exit_that_sold_its_coins_alone_buys_back_its_whole_short() {
    exit_under(
        &[none("usdm")],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 EXPIRED 0 reduce-only",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

/// R18, R9.
#[test]
fn an_exit_whose_perp_leg_met_an_overloaded_venue_is_finished() {
    exit_under(
        &[json!({"kind": "refuse", "market": "usdm", "code": -1008, "status": 503, "msg": "overloaded"})],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

/// R18.
#[test]
fn an_exit_that_sold_a_part_of_its_coins_sells_the_rest() {
    exit_under(
        &[partial("spot", 400_000)],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "sell spot SOLUSDT 3.03 EXPIRED 1.212",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
            "sell spot SOLUSDT 1.818 FILLED 1.818",
        ],
    );
}
