//! Market data that is bad, late or lost.

use crate::told::{books_equal_truth, ended_clean, live, struck};
use contango::event::Closed;
use contango::rehearse::{Setup, World};
use contango::sim::{self, Door};
use contango::units::time::{MS, SEC};
use serde_json::json;

/// Three pairs, so that the order limits are never felt: what is not opened has another reason.
fn steady() -> Setup {
    let coins = ["SOL", "XRP", "DOGE"];
    Setup { wanted: Some(coins.map(str::to_owned).to_vec()), ..Setup::default() }
}

/// Lets trading go on for a while; how many positions it opened.
fn opened_in(world: &mut World, ns: u64) -> u64 {
    let before = world.shadow().totals.opened;
    world.run_for(ns);
    world.shadow().totals.opened - before
}

/// F41: a number that does not fit is no price.
#[test]
fn a_price_of_twenty_digits_is_refused_and_counted_and_trading_goes_on() {
    let mut world = live(&steady());
    world.run_for(SEC);
    world.fault(&json!({"kind": "bad_quote", "market": "spot", "count": 3})).unwrap();
    world.run_for(SEC);
    assert_eq!((struck(&world, "bad_quote"), world.reader().refused), (3, 3));
    assert!(opened_in(&mut world, 5 * SEC) > 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn market_sockets_that_were_cut_are_redialled_and_trading_goes_on() {
    let mut world = live(&steady());
    let before = [Door::SpotWs, Door::UsdmWs].map(|door| world.dialled(door).len());
    world.run_for(2 * SEC);
    world.fault(&json!({"kind": "cut_streams"})).unwrap();
    world.run_for(SEC);
    let after = [Door::SpotWs, Door::UsdmWs].map(|door| world.dialled(door).len());
    // The other two USD-M sockets are private streams, which are not cut.
    assert_eq!((before, after), ([1, 4], [2, 6]), "each socket once");
    assert!(opened_in(&mut world, 5 * SEC) > 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F11: 0.1 s doubling, with jitter between a half and the whole of it.
#[test]
fn redialling_backs_off_while_the_venue_refuses() {
    let mut world = live(&steady());
    let before = world.dialled(Door::SpotWs).len();
    world.shut(Door::SpotWs, true);
    world.fault(&json!({"kind": "cut_streams", "market": "spot"})).unwrap();
    let cut = world.now();
    world.run_for(10 * SEC);
    let tries = world.dialled(Door::SpotWs).split_off(before);
    let waits: Vec<u64> = std::iter::once(cut)
        .chain(tries.iter().copied())
        .zip(&tries)
        .map(|(earlier, later)| later.since(earlier) / MS)
        .collect();
    assert!(waits.len() >= 5, "{waits:?}");
    for (n, wait) in waits.iter().enumerate() {
        let whole = 100 << n;
        assert!((whole / 2..=whole + 5).contains(wait), "wait {n} is {wait} ms of {waits:?}");
    }
    let quiet = opened_in(&mut world, SEC);
    assert_eq!(quiet, 0, "nothing is entered on a book that is not fed");
    world.shut(Door::SpotWs, false);
    world.run_for(10 * SEC);
    assert!(opened_in(&mut world, 5 * SEC) > 0);
}

/// F38: each message says how late it is.
#[test]
fn late_quotes_are_not_traded_on() {
    let mut world = live(&steady());
    world.run_for(2 * SEC);
    world.fault(&json!({"kind": "lag", "ms": 400, "for_ms": 5_000})).unwrap();
    world.run_for(SEC);
    assert_eq!(opened_in(&mut world, 3 * SEC), 0);
    let refused = world.trader().closed[Closed::StampOld as usize];
    assert!(refused > 0, "{:?}", world.trader().closed);
    world.run_for(3 * SEC);
    assert!(opened_in(&mut world, 5 * SEC) > 0);
}

/// A silent partition: the sockets stay open and bring nothing.
#[test]
fn a_feed_that_falls_silent_is_not_traded_on_and_is_dialled_anew() {
    let mut world = live(&steady());
    world.run_for(2 * SEC);
    let before = world.dialled(Door::UsdmWs).len();
    world.hold(Door::UsdmWs, true);
    world.run_for(1_100 * MS);
    assert_eq!(opened_in(&mut world, 5 * SEC), 0);
    assert!(world.dialled(Door::UsdmWs).len() > before, "silence ends a socket");
    world.hold(Door::UsdmWs, false);
    world.run_for(5 * SEC);
    assert!(opened_in(&mut world, 5 * SEC) > 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F8.
#[test]
fn nothing_is_entered_within_fifteen_minutes_of_a_settlement() {
    let box_config = sim::Config { settle_in_ns: 600 * SEC, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    world.run_for(10 * SEC);
    assert!(world.stop());
    assert_eq!(world.orders(), Vec::<String>::new());
    let closed = world.trader().closed;
    assert!(closed[Closed::TermsExpired as usize] > 0, "{closed:?}");
    assert!(world.trader().closed[Closed::TermsExpired as usize] > 0, "{:?}", world.trader());
}
