//! Entries of which so little filled that the spot leg alone could never be sold (R3–R5, DESIGN §5).
//!
//! Owns:  what becomes of such a rest: completed, sold with its perp, or held until it can be left.
//! Never: lets an exit leave coins behind that no order may sell.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry};
use contango::carry::pace::ScaleIn;
use contango::event::{Ask, Mode};
use contango::rehearse::{Setup, World};
use contango::units::Ratio;
use contango::units::time::SEC;
use serde_json::{Value, json};

/// So little of 500 USDT is below the 5 USDT that spot orders must have.
fn little(market: &str) -> Value {
    json!({"kind": "partial", "market": market, "fraction_ppm": 6_000})
}

/// Its second buy finds nobody.
fn none_after() -> [Value; 2] {
    [little("spot"), json!({"kind": "none", "market": "spot", "client_side": "BUY"})]
}

/// Entries that would be left as soon as they stand.
fn eager(entries: u32) -> Setup {
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    Setup { exit_basis, entries_max: Some(entries), ..one_entry("SOL", 11) }
}

/// Nothing was refused and nothing is naked.
#[track_caller]
fn sound(world: &World) {
    let truth = world.truth();
    assert_eq!((&truth["refused"], &truth["naked"]["now"]), (&json!([]), &json!([])));
    books_equal_truth(world);
    ended_clean(world);
}

#[test]
fn r04_too_few_coins_to_be_sold_are_completed_at_once() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[little("spot")]);
    world.run_for(5 * SEC);
    assert!(world.stop());
    let orders = world.orders();
    assert_eq!(orders[0], "buy spot SOLUSDT 3.034 EXPIRED 0.018");
    assert_eq!(orders[2..], ["buy spot SOLUSDT 3.015 FILLED 3.015"]);
    assert_eq!(world.shadow().open_now(), 1);
    sound(&world);
}

/// Where the rest of the short can't be had there is nothing to keep: the coins are sold whole, and what there is
/// of the short is bought back.
#[test]
fn r03_coins_are_sold_whole_where_the_rest_could_not_be_sold_later() {
    let mut world = live(&one_entry("SOL", 11));
    let nobody = json!({"kind": "none", "market": "usdm", "client_side": "SELL"});
    faults(&mut world, &[little("usdm"), nobody]);
    world.run_for(5 * SEC);
    assert!(world.stop());
    assert_eq!(
        world.orders()[1..],
        [
            "sell perp SOLUSDT 3.03 EXPIRED 0.01",
            "sell perp SOLUSDT 3.02 EXPIRED 0",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 0.01 FILLED 0.01 reduce-only",
        ]
    );
    assert_eq!(world.shadow().open_now(), 0);
    sound(&world);
}

/// Hedged and too small to be left: no exit is sent for it, whatever the basis, and a flattening says so.
#[test]
fn what_is_too_small_to_be_sold_stays_hedged_and_is_told() {
    let mut world = live(&eager(1));
    faults(&mut world, &none_after());
    world.run_for(10 * SEC);
    assert_eq!(
        world.orders()[1..],
        [
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy spot SOLUSDT 3.015 EXPIRED 0",
            "buy perp SOLUSDT 3.01 FILLED 3.01 reduce-only",
        ]
    );
    assert_eq!(world.shadow().open_now(), 1);
    let why: Vec<_> = world.shadow().why().collect();
    let told = |line: &String| line.contains("SOL: the 0.0179") && line.contains("less than the venue lets");
    assert!(world.lines().iter().any(told), "{:?} {why:?}", world.lines());
    world.ask(Ask::Flatten("home".to_owned()));
    assert!(world.run_until(|world| world.shadow().mode() == Mode::Halted, 5 * SEC), "{:?}", world.lines());
    assert!(world.lines().iter().any(|line| line.contains("flat (home); SOL: the 0.0179")));
    assert!(world.stop());
    assert_eq!(world.orders().len(), 4);
    sound(&world);
}

/// The next entry adds to it, though one clip is all that a position may have, and both leave together.
#[test]
fn the_next_entry_makes_it_large_enough_to_be_left() {
    let mut world = live(&eager(2));
    faults(&mut world, &none_after());
    assert!(world.run_until(|world| world.shadow().totals.closed == 1, 30 * SEC), "{:?}", world.orders());
    assert!(world.stop());
    let orders = world.orders();
    assert_eq!(orders[4..6], ["buy spot SOLUSDT 3.034 FILLED 3.034", "sell perp SOLUSDT 3.03 FILLED 3.03"]);
    assert!(
        orders[6..].iter().any(|order| order == "buy perp SOLUSDT 3.05 FILLED 3.05 reduce-only"),
        "{orders:?}"
    );
    assert_eq!(world.truth()["positions"], json!([]));
    sound(&world);
}

/// Coins of an earlier clip are held: with those the little that came can be sold, so the short is cut back to it
/// (R4), and nothing is bought on top.
#[test]
fn r04_beside_an_earlier_clip_the_short_is_cut_back_and_nothing_more_is_bought() {
    let scale_in = ScaleIn { clips_max: 2, cool_down_ns: 2 * SEC };
    let mut world = live(&Setup { scale_in, entries_max: Some(2), ..one_entry("SOL", 11) });
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, &[little("spot")]);
    assert!(world.run_until(|world| world.shadow().totals.repaired == 1, 60 * SEC), "{:?}", world.orders());
    world.run_for(SEC);
    let orders = world.orders();
    assert_eq!(orders.len(), 5, "{orders:?}");
    assert!(
        orders[2].starts_with("buy spot SOLUSDT 3.0") && orders[2].ends_with("EXPIRED 0.018"),
        "{orders:?}"
    );
    let back = orders[4].strip_prefix("buy perp SOLUSDT ").unwrap_or_else(|| panic!("{orders:?}"));
    assert!(back.ends_with(" reduce-only") && back.contains("FILLED"), "{orders:?}");
    assert_eq!(world.shadow().open_now(), 1, "the first clip stays, and what came with it");
    world.ask(Ask::Flatten("home".to_owned()));
    assert!(world.run_until(|world| world.shadow().mode() == Mode::Halted, 10 * SEC), "{:?}", world.lines());
    assert!(world.stop());
    assert_eq!(world.truth()["positions"], json!([]));
    sound(&world);
}
