//! How the account stands before anything is armed: each thing that is not as wanted refuses alone, with its fix.

use contango::desk::risk::Caps;
use contango::rehearse::{Setup, World};
use contango::units::time::SEC;
use serde_json::{Value, json};

fn changed(setup: &Setup, mut change: Value) -> World {
    let mut world = World::new(setup).unwrap();
    change["kind"] = "account".into();
    world.fault(&change).unwrap();
    world
}

#[track_caller]
fn refused(change: Value, words: &[&str]) {
    let mut world = changed(&Setup::default(), change.clone());
    assert!(!world.run_until_live(), "{change}: it went live");
    assert!(world.run_until(World::is_done, 30 * SEC), "{change}: it never ended");
    let why = world.ended().refused.clone().unwrap_or_else(|| panic!("{change}: {:?}", world.ended()));
    for word in words {
        assert!(why.contains(word), "{word:?} is missing in: {why}");
    }
    let parts = if change["sapi"] == false { 2 } else { 1 };
    assert_eq!(why.matches("; ").count(), parts, "something else is in the way: {why}");
    assert_eq!(world.orders(), Vec::<String>::new());
}

#[test]
fn a_key_that_can_withdraw_is_refused_and_so_is_one_that_works_from_anywhere() {
    refused(json!({"withdraw": true}), &["this key may withdraw", "without \"Enable Withdrawals\""]);
    refused(json!({"ip_restrict": false}), &["bound to no addresses", "Restrict access to trusted IPs"]);
}

#[test]
fn a_key_without_a_markets_right_is_refused() {
    refused(json!({"spot": false}), &["may not trade spot", "Enable Spot & Margin Trading"]);
}

#[test]
fn modes_that_are_not_as_wanted_are_refused_with_where_to_set_them() {
    refused(json!({"hedge": true}), &["hedge mode", "Position Mode: One-way"]);
    refused(json!({"multi_assets": true}), &["several assets are margin", "Single-Asset Mode"]);
    refused(json!({"isolated": true, "symbol": "ETHUSDT"}), &["isolated", "on ETHUSDT: set Cross"]);
    refused(json!({"spot_burn": true}), &["fees of spot are taken in the venue's own coin", "Fee Level"]);
    refused(json!({"fee_burn": true}), &["fees of perps are taken in the venue's own coin", "Preferences"]);
}

#[test]
fn another_leverage_is_refused_and_named_symbol_by_symbol() {
    let fix = "set 2x for each of them";
    refused(json!({"leverage": 20, "symbol": "DOGEUSDT"}), &["leverage is not 2 on DOGEUSDT (20)", fix]);
    refused(json!({"leverage": 3}), &["(3) and 7 more", fix]);
    // And as the operator wants it, it is right.
    let mut world = changed(
        &Setup { caps: Caps { leverage: 3, ..Caps::default() }, ..Setup::default() },
        json!({"leverage": 3}),
    );
    assert!(world.run_until_live(), "{:?}", world.ended());
}

#[test]
fn everything_in_the_way_is_told_at_once() {
    let mut world = changed(&Setup::default(), json!({"withdraw": true, "hedge": true, "leverage": 20}));
    assert!(!world.run_until_live());
    let why = world.ended().refused.clone().unwrap();
    for word in ["may withdraw", "hedge mode", "leverage is not 2", "binance"] {
        assert!(why.contains(word), "{word:?} is missing in: {why}");
    }
}

#[test]
fn clocks_the_account_and_its_balances_are_told_before_anything_is_armed() {
    let mut world = World::new(&Setup::default()).unwrap();
    assert!(world.run_until_live(), "{:?}", world.ended());
    let lines = world.lines();
    let place = |word: &str| {
        let found = lines.iter().position(|line| line.contains(word));
        found.unwrap_or_else(|| panic!("{word:?} is in none of {lines:#?}"))
    };
    for word in [
        "us ahead of binance spot, give or take",
        "us ahead of binance perp, give or take",
        "account: the key trades both markets, can't withdraw, and is bound to listed addresses",
        "cross margin and leverage 2 on 12 perps",
        "balance: spot 1000000 USDT",
        "balance: perp 1000000 USDT",
    ] {
        assert!(place(word) < place("live"), "{word:?} comes late in {lines:#?}");
    }
}

/// A test exchange need not tell everything, as the venue's own demo hosts don't; a live key is not taken on trust.
#[test]
fn what_the_venue_does_not_tell_is_refused_for_a_live_key_alone() {
    refused(json!({"sapi": false}), &["does not tell", "(Rights)", "(FeeCoin(Spot))"]);
    let mut world = changed(&Setup { test_key: true, ..Setup::default() }, json!({"sapi": false}));
    assert!(world.run_until_live(), "{:?}", world.ended());
    assert!(world.lines().iter().any(|line| line.contains("does not tell the key's rights")));
}

#[test]
fn a_key_that_may_do_nothing_with_perps_is_refused_as_the_venue_refuses_it() {
    let mut world = changed(&Setup::default(), json!({"futures": false}));
    assert!(!world.run_until_live());
    let why = world.ended().refused.clone().unwrap();
    assert!(why.contains("-2015") && why.contains("rights"), "{why}");
}

/// A wrong setting shows in the first entries: they are as small as the venue takes.
#[test]
fn the_first_entries_are_of_the_least_size_and_the_others_are_not() {
    let setup = Setup { first_entries: 3, wanted: Some(vec!["ETH".to_owned()]), ..Setup::seeded(3) };
    let mut world = World::new(&setup).unwrap();
    assert!(world.run_until(|world| world.shadow().totals.opened == 5, 60 * SEC), "{:?}", world.orders());
    assert!(world.stop());
    let truth = world.truth();
    let entries = truth["orders"].as_array().unwrap().iter().filter(|order| {
        order["market"] == "usdm" && order["reduce_only"] == false && order["executed_qty"] != "0"
    });
    // 2.2 × 20 USDT of ETH at about 2,900 in steps of 0.001; and 500 USDT, by what it costs at the time.
    let sizes: Vec<&str> = entries.map(|order| order["orig_qty"].as_str().unwrap()).collect();
    assert_eq!(sizes[..3], ["0.016"; 3], "{sizes:?}");
    assert!(sizes.len() >= 5 && sizes[3..].iter().all(|size| size.starts_with("0.17")), "{sizes:?}");
}
