//! Request budgets against the box's own counters: lines, foreign load, silence asked for.
//!
//! Owns:  claims about what may leave, each checked by the box's peaks or by when requests reached it.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, struck};
use contango::event::Closed;
use contango::rehearse::{Setup, World};
use contango::sim::{self, Door};
use contango::units::Nanos;
use contango::units::time::{MS, SEC};
use serde_json::json;

/// SOL alone, over and over.
fn sol() -> Setup {
    Setup { wanted: Some(vec!["SOL".to_owned()]), ..Setup::seeded(11) }
}

fn lines(world: &World, words: &str) -> usize {
    world.lines().iter().filter(|line| line.contains(words)).count()
}

/// The box's clock, µs.
fn clock_us(world: &World) -> u64 {
    world.truth()["now_us"].as_u64().unwrap()
}

/// Weight used by a stranger until the market's peak is this share of its limit.
fn load(world: &mut World, market: &str, percent: u64) {
    let (door, heavy, light) = match market {
        "spot" => (Door::SpotRest, "/api/v3/depth?symbol=BTCUSDT&limit=5000", "/api/v3/time"),
        _ => (Door::UsdmRest, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "/fapi/v1/time"),
    };
    let heaviest = if market == "spot" { 250 } else { 20 };
    loop {
        let weight = &world.truth()["budget"][market]["weight_1m"];
        let (limit, peak) = (weight["limit"].as_u64().unwrap(), weight["peak"].as_u64().unwrap());
        let left = (limit * percent / 100).saturating_sub(peak);
        if left == 0 {
            return;
        }
        let path = if left >= heaviest { heavy } else { light };
        world.ask_as_stranger(door, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
}

/// Each bucket of the box that is above this share of its limit.
fn above(world: &World, percent: u64) -> Vec<String> {
    let truth = world.truth();
    let mut found = Vec::new();
    for (market, buckets) in truth["budget"].as_object().unwrap() {
        for (name, bucket) in buckets.as_object().unwrap() {
            let (limit, peak) = (bucket["limit"].as_u64().unwrap(), bucket["peak"].as_u64().unwrap());
            if peak > limit * percent / 100 {
                found.push(format!("{market} {name}: {peak} of {limit}"));
            }
        }
    }
    found
}

/// Orders of the box that were asked for with this side, market and reduce-only flag, by when they came.
fn orders(world: &World, market: &str, side: &str, reduce_only: bool) -> Vec<u64> {
    let truth = world.truth();
    let rows = truth["orders"].as_array().unwrap().iter();
    let mine = rows.filter(|it| {
        it["market"] == market && it["side"] == side && (it["reduce_only"] == true) == reduce_only
    });
    mine.map(|it| it["received_us"].as_u64().unwrap()).collect()
}

fn between(at: &[Nanos], from: Nanos, to: Nanos) -> usize {
    at.iter().filter(|at| **at > from && **at < to).count()
}

/// I7. Nobody else spends: trading alone stays below the normal line of every limit, however small.
#[test]
fn trading_alone_stays_below_sixty_percent_of_every_limit() {
    for limit in [12, 30, 100] {
        let box_config = sim::Config { spot_orders_10s: limit, ticks_per_s: 50, ..sim::Config::default() };
        let mut world = live(&Setup { box_config, ..Setup::default() });
        world.run_for(65 * SEC);
        assert!(world.stop());
        assert_eq!(world.shadow().totals.repaired, 0);
        assert!(world.shadow().totals.closed > 5, "limit {limit}");
        assert_eq!(above(&world, 60), Vec::<String>::new(), "limit {limit}");
        ended_clean(&world);
    }
}

/// I7. With repairs, lost answers and a mute private stream, so that everything must be asked about, the
/// box never says no, and nothing passes the upper line.
#[test]
fn repairs_and_questions_stay_below_ninety_percent_and_are_never_turned_away() {
    let box_config = sim::Config { spot_orders_10s: 60, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    let strike = |kind, market, count| json!({"kind": kind, "market": market, "count": count, "fraction_ppm": 400_000});
    faults(
        &mut world,
        &[
            json!({"kind": "mute_user", "ms": 60_000}),
            strike("partial", "usdm", 8),
            strike("none", "spot", 16),
            strike("drop_ack", "usdm", 4),
            strike("drop_ack", "spot", 4),
        ],
    );
    world.run_for(30 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.repaired > 5, "{}", world.shadow().totals.repaired);
    assert_eq!(struck(&world, "drop_ack"), 8);
    assert_eq!(above(&world, 90), Vec::<String>::new());
    assert_eq!(world.truth()["refused"], json!([]));
    assert_eq!(lines(&world, "Retry-After"), 0);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Somebody else's load, heard of in the answer to a repair: repairs go on, an entry waits for the window.
#[test]
fn between_the_lines_a_repair_leaves_and_an_entry_does_not() {
    let mut world = live(&sol());
    // The spot leg meets an empty book; the perp must be bought back, and the book stays empty for a while.
    let none =
        |market, side, count| json!({"kind": "none", "market": market, "client_side": side, "count": count});
    faults(&mut world, &[none("spot", "BUY", 1), none("usdm", "BUY", 5)]);
    assert!(world.run_until(|world| orders(world, "usdm", "BUY", true).len() == 2, 20 * SEC));
    load(&mut world, "usdm", 65);
    let loaded = clock_us(&world);
    assert!(
        world.run_until(|world| orders(world, "usdm", "BUY", true).len() == 6, 10 * SEC),
        "repairs go on"
    );
    world.run_for(30 * SEC);
    let after = |at: Vec<u64>| at.into_iter().filter(|at| *at > loaded).collect::<Vec<_>>();
    assert_eq!(after(orders(&world, "usdm", "SELL", false)), Vec::<u64>::new(), "no entry above 60 %");
    assert!(world.trader().closed[Closed::Permit as usize] > 0, "there were signals to refuse");
    assert_eq!(above(&world, 90), Vec::<String>::new());
    world.run_for(90 * SEC);
    assert!(!after(orders(&world, "usdm", "SELL", false)).is_empty(), "and then trading goes on");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Above the upper line nothing leaves for that market, not even a repair, until the window has passed.
#[test]
fn above_ninety_percent_nothing_leaves_until_the_window_has_passed() {
    let mut world = live(&sol());
    let none =
        |market, side, count| json!({"kind": "none", "market": market, "client_side": side, "count": count});
    faults(&mut world, &[none("spot", "BUY", 1), none("usdm", "BUY", 5)]);
    assert!(world.run_until(|world| orders(world, "usdm", "BUY", true).len() == 2, 20 * SEC));
    load(&mut world, "usdm", 93);
    // One more tells of it.
    world.run_for(SEC);
    let (heard, sent) = (world.now(), orders(&world, "usdm", "BUY", true).len());
    world.run_for(58 * SEC);
    assert_eq!(between(&world.asked(Door::UsdmRest), heard, world.now()), 0);
    assert!(between(&world.asked(Door::SpotRest), heard, world.now()) > 0, "the other market is served");
    world.run_for(30 * SEC);
    assert!(orders(&world, "usdm", "BUY", true).len() > sent, "the repair goes on");
    assert_eq!(lines(&world, "Retry-After"), 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F95. Spot alone asks to wait: its end is kept by every room, the perp's market is served.
#[test]
fn a_spot_market_that_asks_to_wait_is_left_alone_and_the_perps_are_served() {
    let mut world = live(&sol());
    load(&mut world, "spot", 100);
    assert!(
        world.run_until(|world| lines(world, "binance spot asked to wait") > 0, 30 * SEC),
        "{:?}",
        world.lines()
    );
    world.run_for(MS);
    let (heard, clock) = (world.now(), clock_us(&world));
    let ends = heard.plus((60_000_000 - clock % 60_000_000) * 1_000);
    let orders_before = world.truth()["orders"].as_array().unwrap().len();
    world.run_for(ends.since(heard) + 20 * SEC);
    assert!(ends.since(heard) > 20 * SEC, "the silence is long enough to tell: {}", ends.since(heard));
    assert_eq!(between(&world.asked(Door::SpotRest), heard, ends), 0, "nothing before its end");
    assert!(between(&world.asked(Door::UsdmRest), heard, ends) > 0, "the perp's market is served");
    let entries = orders(&world, "usdm", "SELL", false);
    let quiet_us = clock..clock + ends.since(heard) / 1_000;
    assert_eq!(entries.into_iter().filter(|at| quiet_us.contains(at)).count(), 0, "no entry with one leg");
    assert!(world.truth()["orders"].as_array().unwrap().len() > orders_before, "and then trading goes on");
    assert_eq!(lines(&world, "status 418"), 0);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F62, F95, F96. A status that asks to be left alone and does not say for how long.
#[test]
fn a_throttle_a_firewall_page_and_a_ban_without_a_header_are_waited_out() {
    for (status, seconds) in [(429, 10), (403, 10), (418, 120)] {
        let mut world = live(&sol());
        faults(&mut world, &[json!({"kind": "status", "market": "spot", "status": status})]);
        assert!(
            world.run_until(|world| lines(world, "binance spot asked to wait") > 0, 30 * SEC),
            "{status}"
        );
        world.run_for(MS);
        let heard = world.now();
        world.run_for((seconds + 20) * SEC);
        let ends = heard.plus((seconds - 1) * SEC);
        assert_eq!(between(&world.asked(Door::SpotRest), heard, ends), 0, "{status}");
        assert!(between(&world.asked(Door::UsdmRest), heard, ends) > 0, "{status}");
        assert!(
            between(&world.asked(Door::SpotRest), ends, world.now()) > 0,
            "{status}: and then it goes on"
        );
        assert!(world.stop(), "{status}");
        books_equal_truth(&world);
        // What a firewall's page did to an order is not known (F62): it is proven when the venue speaks again.
        ended_clean(&world);
    }
}

/// Spot counts requests too, whatever they weigh.
#[test]
fn a_small_limit_on_requests_is_held() {
    let box_config = sim::Config { spot_raw_5m: 300, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    world.run_for(120 * SEC);
    assert!(world.shadow().totals.sent > 0);
    assert!(world.trader().closed[Closed::Permit as usize] > 0, "the line was felt");
    let raw = world.truth()["budget"]["spot"]["raw_5m"]["peak"].as_u64().unwrap();
    // No header tells of it, so the upper line is half of it.
    assert!(raw <= 150, "{raw} of 300");
}

/// The clerk's own requests keep the line: a start waits for its fees until there is room.
#[test]
fn a_start_into_a_used_up_minute_waits_for_the_next() {
    let mut world = World::new(&Setup::default()).unwrap();
    load(&mut world, "usdm", 70);
    assert!(!world.run_until_live(), "not within half a minute");
    let peak = |world: &World| world.truth()["budget"]["usdm"]["weight_1m"]["peak"].as_u64().unwrap();
    // What left before the first answer told of the load: a listing and a clock sample.
    assert!(peak(&world) <= 2_400 * 70 / 100 + 2, "{}", peak(&world));
    world.run_for(60 * SEC);
    assert!(world.run_until_live(), "{:?}", world.lines());
    assert!(world.stop());
    ended_clean(&world);
}

/// F95: turned away again soon after the first silence: half of every line and no entries for ten minutes, and a
/// person hears of it once.
#[test]
fn a_market_that_turns_us_away_twice_gets_half_and_no_entries() {
    use contango::event::{Ask, Kind, Reply};
    let mut world = live(&sol());
    for seconds in [5, 6] {
        let wait = json!({"kind": "status", "market": "spot", "status": 429, "retry_after_s": seconds});
        faults(&mut world, &[wait]);
        let told = lines(&world, "binance spot asked to wait (");
        assert!(world.run_until(|world| lines(world, "binance spot asked to wait (") > told, 30 * SEC));
        world.run_for(seconds * SEC + 500 * MS);
    }
    assert_eq!(lines(&world, "ALERT: binance spot asked to wait twice within a minute"), 1);
    let entries = orders(&world, "usdm", "SELL", false).len();
    assert!(entries > 0, "it was trading");
    world.run_for(30 * SEC);
    assert_eq!(orders(&world, "usdm", "SELL", false).len(), entries);
    world.ask(Ask::Status);
    world.run_for(10 * MS);
    let Some(Reply::Status(status)) = world.replies().last() else { panic!("{:?}", world.replies()) };
    let line = |lane: &str| {
        let mut rows = status.budgets.iter();
        rows.find(|it| it.lane == lane && it.kind == Kind::Weight).map(|it| (it.line, it.limit)).unwrap()
    };
    assert_eq!((line("binance spot"), line("binance perp")), ((1_800, 6_000), (1_440, 2_400)));
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F98: answers without counters. What is not told is not known: less than half of each limit is used.
#[test]
fn where_the_venue_tells_no_counters_less_than_half_of_a_limit_is_used() {
    let busiest = |told: bool| {
        let box_config = sim::Config { spot_orders_10s: 60, ticks_per_s: 50, ..sim::Config::default() };
        let mut world = live(&Setup { box_config, ..Setup::default() });
        if !told {
            faults(&mut world, &[json!({"kind": "no_counters", "for_ms": 100_000})]);
        }
        world.run_for(40 * SEC);
        assert!(world.stop());
        assert_eq!(world.truth()["refused"], json!([]));
        books_equal_truth(&world);
        ended_clean(&world);
        let mut at = [orders(&world, "spot", "BUY", false), orders(&world, "spot", "SELL", false)].concat();
        at.sort_unstable();
        let within = |from: &u64| at.iter().filter(|it| (*from..from + 10_000_000).contains(*it)).count();
        at.iter().map(within).max().unwrap_or(0)
    };
    let (told, blind) = (busiest(true), busiest(false));
    assert!(told > 30, "{told}: the market is too quiet to tell");
    assert!((10..=30).contains(&blind), "{blind} of 60, where {told} are sent with counters");
}

/// I1: out of bound for longer than the window, because the only way to put it right is shut by the venue's own
/// word. HALTED and a page at its time, not one byte before the end of the silence; then the repair leaves, though
/// HALTED, and only an operator ends that.
#[test]
fn a_silence_longer_than_the_window_halts_and_the_repair_leaves_when_it_is_over() {
    use contango::event::Mode;
    let wait =
        json!({"kind": "status", "market": "usdm", "client_side": "BUY", "status": 429, "retry_after_s": 20});
    let ban = json!({"kind": "ban", "market": "usdm", "for_ms": 20_000});
    for (shut, words) in [(wait, "429"), (ban, "ban")] {
        let mut world = live(&one_entry("SOL", 11));
        let unfunded = json!({
            "kind": "refuse", "market": "spot", "code": -2010,
            "msg": "Account has insufficient balance for requested action.",
        });
        // One repair that meets nobody: the venue shuts its door before the second.
        let nobody = json!({"kind": "none", "market": "usdm", "client_side": "BUY"});
        faults(&mut world, &[unfunded, nobody]);
        assert!(world.run_until(|world| struck(world, "none") == 1, 10 * SEC), "{words}: no repair");
        faults(&mut world, &[shut]);
        assert!(
            world.run_until(|world| lines(world, "binance perp asked to wait (") > 0, 5 * SEC),
            "{words}"
        );
        world.run_for(MS);
        assert_eq!(lines(&world, "s while -3.03 SOL is unhedged"), 1, "{words}: told at once");
        let heard = world.now();
        let ends = heard.plus(19 * SEC);
        world.run_for(7 * SEC);
        assert_eq!(world.shadow().mode(), Mode::Trading, "{words}: not before its time");
        world.run_for(2 * SEC);
        assert_eq!(world.shadow().mode(), Mode::Halted, "{words}");
        let paged = |world: &World, seconds: u64| {
            let words = format!("unhedged for {seconds} s");
            let page =
                |line: &&String| line.starts_with("ALERT: pair SOL: -3.03 SOL at ") && line.contains(&words);
            world.lines().iter().filter(page).count() == 1
        };
        assert!(paged(&world, 3) && paged(&world, 8), "{words}: {:?}", world.lines());
        world.run_for(10 * SEC);
        assert_eq!(between(&world.asked(Door::UsdmRest), heard, ends), 0, "{words}: the silence is kept");
        assert!(world.run_until(|world| orders(world, "usdm", "BUY", true).len() == 2, 5 * SEC), "{words}");
        world.run_for(2 * SEC);
        let truth = world.truth();
        assert_eq!((&truth["positions"], &truth["naked"]["now"]), (&json!([]), &json!([])), "{words}");
        assert_eq!(world.shadow().mode(), Mode::Halted, "{words}: only an operator ends it");
        assert!(world.stop(), "{words}");
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

/// What `ctl status` tells of a market that asked to wait, and of every limit.
#[test]
fn the_operator_sees_every_limit_and_how_long_a_market_is_left_alone() {
    use contango::event::{Ask, Kind, Reply};
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "status", "market": "spot", "status": 429})]);
    assert!(world.run_until(|world| lines(world, "binance spot asked to wait") > 0, 30 * SEC));
    world.ask(Ask::Status);
    world.run_for(10 * MS);
    let Some(Reply::Status(status)) = world.replies().last() else { panic!("{:?}", world.replies()) };
    let row = |lane: &str, kind, seconds: u64| {
        let mut rows = status.budgets.iter();
        rows.find(|it| it.lane == lane && it.kind == kind && it.window_ns == seconds * SEC).unwrap()
    };
    let spot = row("binance spot", Kind::Weight, 60);
    assert_eq!((spot.line, spot.limit), (3_600, 6_000));
    assert!(spot.used > 20 && spot.quiet_ns > 9 * SEC, "{spot:?}");
    assert_eq!(row("binance perp", Kind::Weight, 60).quiet_ns, 0);
    assert_eq!(row("binance spot", Kind::Raw, 300).limit, 300_000);
    assert_eq!(row("binance perp", Kind::Orders, 60).line, 720);
}

/// What is only looked at in case nobody told ends at 30 %. Where the stream is down nobody could tell: a position that
/// was taken away is found, read, booked and matched within three seconds, up to the normal line.
#[test]
fn where_no_stream_flows_positions_are_looked_at_beyond_the_lowest_line() {
    for down in [false, true] {
        let mut world = live(&one_entry("SOL", 11));
        assert!(world.run_until(|world| world.shadow().open_now() == 1, 20 * SEC), "no entry");
        if down {
            world.shut(Door::UsdmWs, true);
            while world.cut_link(Door::UsdmWs) > 0 {}
        } else {
            faults(&mut world, &[json!({"kind": "mute_user", "market": "usdm", "ms": 60_000})]);
        }
        load(&mut world, "usdm", 40);
        world.run_for(2 * SEC);
        faults(&mut world, &[json!({"kind": "adl", "symbol": "SOLUSDT", "fraction_ppm": 500_000})]);
        world.run_for(3 * SEC);
        let sold = world.orders().iter().filter(|order| order.starts_with("sell spot")).count();
        assert_eq!(sold, usize::from(down), "{:?}", world.orders());
    }
}
