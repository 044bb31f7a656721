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

/// Of two sockets with the same quotes one may be lost, and kept from coming back: trading goes on, and each quote is
/// weighed once.
#[test]
fn with_two_sockets_the_first_to_tell_wins_and_one_may_be_lost() {
    for sbe in [false, true] {
        let door = if sbe { Door::SpotSbe } else { Door::SpotWs };
        let mut world = live(&Setup { feed_links: 2, sbe, ..steady() }.of_ed25519());
        world.run_for(3 * SEC);
        assert_eq!(world.dialled(door).len(), 2);
        let counts = *world.reader();
        let [first, second] = counts.links;
        assert!(first.first > 10 && second.first > 10, "each chunk's delay is drawn: {counts:?}");
        assert!(second.mean_ns() > 0 && second.ahead_max_ns <= 40_000, "delays are 40 to 80 µs: {counts:?}");
        // Each of the pair's quotes came twice.
        let decisions = world.trader().decisions;
        assert!(decisions * 2 <= counts.quotes + 20, "{decisions} of {}", counts.quotes);
        for left in [1, 0] {
            world.shut(door, true);
            assert!(world.cut_youngest(door));
            world.run_for(2 * SEC);
            let opened = opened_in(&mut world, 5 * SEC);
            assert_eq!(opened > 0, left > 0, "{opened} opened with {left} sockets left");
        }
        world.shut(door, false);
        world.run_for(30 * SEC);
        assert!(opened_in(&mut world, 5 * SEC) > 0, "both are back");
        assert!(world.stop());
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

/// A start waits for the first socket of each plan, not for the second. Which of them is let in before the door shuts
/// is the seed's.
#[test]
fn a_second_socket_that_is_refused_keeps_nobody_from_trading() {
    let mut lived = 0;
    for seed in 1..=6 {
        let mut world = World::new(&Setup { feed_links: 2, seed, ..steady() }).unwrap();
        assert!(world.run_until(|world| world.dialled(Door::SpotWs).len() == 1, SEC));
        world.shut(Door::SpotWs, true);
        if !world.run_until_live() {
            let why = world.ended().failed.clone().unwrap_or_default();
            assert!(why.starts_with("quotes from spot_ws: "), "seed {seed}: {why}");
            continue;
        }
        lived += 1;
        assert!(opened_in(&mut world, 5 * SEC) > 0, "seed {seed}");
        assert!(world.stop());
        books_equal_truth(&world);
        ended_clean(&world);
    }
    assert!(lived > 0, "no seed let the first socket in");
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

/// F31: what is refused only once the connection stands is no reason to dial on and on: a venue takes 300 connections in
/// five minutes of an address, and turns it away for minutes then.
#[test]
fn redialling_backs_off_while_subscriptions_are_refused() {
    let mut world = live(&steady());
    let doors = [Door::SpotWs, Door::UsdmWs];
    let dialled = |world: &World| doors.map(|door| world.dialled(door).len());
    let before = dialled(&world);
    world.fault(&json!({"kind": "deaf", "how": "refused", "for_ms": 60_000})).unwrap();
    world.fault(&json!({"kind": "cut_streams"})).unwrap();
    world.run_for(60 * SEC);
    let after = dialled(&world);
    // One socket of spot, and those of quotes and of marks.
    for (at, sockets) in [1, 2].into_iter().enumerate() {
        let tries = after[at] - before[at];
        assert!((10 * sockets..=25 * sockets).contains(&tries), "{tries} at {:?} in a minute", doors[at]);
    }
    world.run_for(7 * SEC);
    assert!(opened_in(&mut world, 5 * SEC) > 0, "both are back as soon as they are not refused any more");
    // What lasted is dialled as fast as ever.
    world.run_for(5 * SEC);
    world.fault(&json!({"kind": "cut_streams"})).unwrap();
    world.run_for(200 * MS);
    assert!(opened_in(&mut world, 5 * SEC) > 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F31 at a start: it does not go on for ever, and says what to look at.
#[test]
fn a_start_whose_subscriptions_are_refused_ends_and_says_so() {
    let mut world = World::new(&steady()).unwrap();
    world.fault(&json!({"kind": "deaf", "how": "refused", "for_ms": 60_000})).unwrap();
    assert!(!world.run_until_live());
    let why = world.ended().failed.clone().unwrap_or_default();
    assert!(why.contains("the venue refused a subscription"), "{why}");
    assert!(world.dialled(Door::SpotWs).len() <= 4, "{:?}", world.dialled(Door::SpotWs));
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

/// F5: what the reader's core stamped in the future of the trader's is not fresh, and a person is told, once.
#[test]
fn quotes_from_the_future_are_not_traded_on_and_a_person_is_told() {
    let mut world = live(&steady());
    world.run_for(SEC);
    let apart = |world: &mut World, us: u64| {
        world.act(&json!({"kind": "skew", "room": "reader", "us": us, "ms": 0}), &steady()).unwrap();
    };
    apart(&mut world, 20_000);
    world.run_for(SEC);
    assert_eq!(opened_in(&mut world, 3 * SEC), 0);
    let closed = world.trader().closed;
    assert!(closed[Closed::Ahead as usize] > 0, "{closed:?}");
    let alarms = |world: &World| world.lines().iter().filter(|line| line.starts_with("ALERT: ")).count();
    assert_eq!(alarms(&world), 1, "{:?}", world.lines());
    assert!(
        world.lines().iter().any(|line| line.starts_with("ALERT: the clocks of this host's cores disagree"))
    );
    apart(&mut world, 0);
    world.run_for(SEC);
    assert!(opened_in(&mut world, 5 * SEC) > 0, "{:?}", world.lines());
    assert_eq!(alarms(&world), 1);
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
