//! What stops orders from leaving: the kill latch, the permit, the budget.

use crate::told::{books_equal_truth, ended_clean, live};
use contango::event::Closed;
use contango::rehearse::{Room, Setup, World};
use contango::sim::{self, Door};
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};

/// When each order reached the box, in microseconds of its clock, taken or refused.
fn arrivals(world: &World, market: &str) -> Vec<u64> {
    let truth = world.truth();
    let rows = ["orders", "refused"].into_iter().flat_map(|key| truth[key].as_array().unwrap().clone());
    let mut at: Vec<u64> = rows
        .filter(|row| market.is_empty() || row["market"] == market)
        .map(|row| row["received_us"].as_u64().unwrap())
        .collect();
    at.sort_unstable();
    at
}

/// I6. What is on the wire when the latch goes up arrives within one delay.
#[test]
fn after_the_kill_latch_no_order_leaves() {
    let mut world = live(&Setup::default());
    assert!(world.run_until(|world| world.shadow().open_now() >= 2, 10 * SEC));
    let set = world.truth()["now_us"].as_u64().unwrap();
    world.kill();
    world.run_for(10 * SEC);
    let last = *arrivals(&world, "").last().unwrap();
    assert!(last <= set + 200, "an order came {} µs after the latch", last - set);
    assert!(world.trader().closed[Closed::Killed as usize] > 0, "there were signals to refuse");
    assert!(world.stop());
}

/// The permit is the shadow's word, and it runs out (DESIGN §2).
#[test]
fn without_the_shadow_no_order_leaves_after_half_a_second() {
    let mut world = live(&Setup::default());
    world.run_for(2 * SEC);
    let frozen = world.truth()["now_us"].as_u64().unwrap();
    world.freeze(Room::Shadow, true);
    world.run_for(10 * SEC);
    let orders = arrivals(&world, "");
    assert!(orders.iter().any(|at| *at > frozen), "the permit outlives the shadow for a while");
    let last = *orders.last().unwrap();
    assert!(last <= frozen + 500_200, "an order came {} µs after the shadow stood still", last - frozen);
    assert!(world.trader().closed[Closed::Permit as usize] > 0, "there were signals to refuse");

    world.freeze(Room::Shadow, false);
    world.run_for(5 * SEC);
    assert!(*arrivals(&world, "").last().unwrap() > last + 1_000_000, "trading goes on with the shadow");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// One room a time may stand still for a while without a wrong booking.
#[test]
fn any_room_may_stand_still_for_a_while_without_a_wrong_booking() {
    for room in [Room::Reader, Room::Trader, Room::Shadow, Room::Clerk, Room::Scribe] {
        let mut world = live(&Setup::default());
        for _ in 0..4 {
            world.run_for(SEC);
            world.freeze(room, true);
            world.run_for(300 * MS);
            world.freeze(room, false);
        }
        world.run_for(SEC);
        assert!(world.stop(), "{room:?}");
        assert!(world.shadow().totals.closed > 0, "{room:?}");
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

fn peak(truth: &Value, market: &str) -> u64 {
    truth["budget"][market]["orders_10s"]["peak"].as_u64().unwrap()
}

/// The most orders of a class that any sliding 10 s saw.
fn busiest(at: &[u64]) -> usize {
    (0..at.len())
        .map(|n| at[n..].iter().take_while(|later| **later < at[n] + 10_000_000).count())
        .max()
        .unwrap_or(0)
}

/// I7: entries end at 60 % of a published limit, everything at 90 %, whatever the market offers.
#[test]
fn orders_stay_below_the_lines_of_a_small_limit() {
    for limit in [12, 20, 40] {
        let box_config = sim::Config { spot_orders_10s: limit, ..sim::Config::default() };
        let mut world = live(&Setup { box_config, ..Setup::default() });
        world.run_for(60 * SEC);
        assert!(world.stop());
        let truth = world.truth();
        assert_eq!(truth["refused"], json!([]), "the box never says no");
        let limit = u64::from(limit);
        assert!(peak(&truth, "spot") <= limit * 90 / 100, "limit {limit}: {}", truth["budget"]["spot"]);
        assert!(busiest(&arrivals(&world, "spot")) as u64 <= limit * 90 / 100);
        let entries: Vec<u64> = truth["orders"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|order| order["market"] == "spot" && order["side"] == "BUY")
            .map(|order| order["received_us"].as_u64().unwrap())
            .collect();
        assert!(!entries.is_empty(), "limit {limit} leaves room for an entry and its repair");
        assert!(busiest(&entries) as u64 <= limit * 60 / 100, "limit {limit}");
        assert!(world.trader().closed[Closed::Permit as usize] > 0, "limit {limit} was felt");
        ended_clean(&world);
    }
}

/// An entry must leave room for its worst repair, six orders a leg: 60 % of ten is too little.
#[test]
fn a_limit_that_leaves_no_room_for_a_repair_allows_no_entry() {
    let box_config = sim::Config { spot_orders_10s: 10, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    world.run_for(20 * SEC);
    assert_eq!(world.orders(), Vec::<String>::new());
    assert!(world.trader().closed[Closed::Permit as usize] > 0);
}

/// USD-M answers name no fills: while its private stream is mute each of its orders is followed by a
/// question of weight 5. Orders are held back so that the questions stay below the line too.
#[test]
fn questions_about_fills_stay_below_the_weight_line_in_the_busiest_market() {
    let box_config = sim::Config { spot_orders_10s: 1_000, ticks_per_s: 50, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    world.fault(&serde_json::json!({"kind": "mute_user", "ms": 100_000})).unwrap();
    world.run_for(75 * SEC);
    assert!(world.stop());
    let weight = &world.truth()["budget"]["usdm"]["weight_1m"];
    let (limit, peak) = (weight["limit"].as_u64().unwrap(), weight["peak"].as_u64().unwrap());
    assert!(peak <= limit * 90 / 100, "{peak} of {limit}");
    assert!(world.trader().closed[Closed::Permit as usize] > 0, "the line was felt");
    books_equal_truth(&world);
    ended_clean(&world);
}

/// I7: somebody else at this address uses the budget up. What the venue's counters say is believed: nothing
/// is sent until the window has passed (it would be answered with a 429), and then all is made good.
#[test]
fn when_somebody_else_uses_a_market_up_nothing_is_sent_until_its_window_has_passed() {
    let mut world = live(&Setup::default());
    // Into a fresh minute of the box's windows.
    world.run_for(62 * SEC);
    let depth = b"GET /fapi/v1/depth?symbol=BTCUSDT&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let left = |world: &World| {
        let weight = &world.truth()["budget"]["usdm"]["weight_1m"];
        weight["limit"].as_u64().unwrap() - weight["peak"].as_u64().unwrap()
    };
    while left(&world) >= 20 {
        world.ask_as_stranger(Door::UsdmRest, depth);
    }
    let time = b"GET /fapi/v1/time HTTP/1.1\r\nHost: x\r\n\r\n";
    while left(&world) > 0 {
        world.ask_as_stranger(Door::UsdmRest, time);
    }
    // The next answer tells.
    world.run_for(SEC);
    let (sent, heard) = (world.shadow().totals.sent, world.now());
    world.run_for(20 * SEC);
    assert_eq!(world.shadow().totals.sent, sent, "no order into a market that is used up");
    assert_eq!(world.asked(Door::UsdmRest).iter().filter(|at| **at > heard).count(), 0, "nor anything else");
    world.run_for(60 * SEC);
    assert!(world.shadow().totals.sent > sent, "and then trading goes on");
    assert_eq!(lines(&world, "Retry-After"), 0, "never turned away");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

fn lines(world: &World, words: &str) -> usize {
    world.lines().iter().filter(|line| line.contains(words)).count()
}
