//! Fates unknown: what is not proven is asked about, never resent, and named at the end if nobody
//! can tell (FAULTS parts 4 and 5, I2, I12).

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records};
use contango::event::{Ask, Closed};
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One entry of SOL under these faults, ended.
#[track_caller]
fn entry_under(orders: &[Value]) -> World {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, orders);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(8 * SEC);
    assert!(world.stop());
    never_resent(&world);
    world
}

/// Every leg of every intent was sent once, and no two orders of the box share an id.
#[track_caller]
pub(crate) fn never_resent(world: &World) {
    let mut ids = BTreeSet::new();
    for round in records(world, Kind::Fired) {
        for leg in round["legs"].as_array().unwrap() {
            assert!(ids.insert(leg["client_id"].to_string()), "sent twice: {leg}");
        }
    }
    let truth = world.truth();
    let mut seen = BTreeSet::new();
    for order in truth["orders"].as_array().unwrap() {
        assert!(seen.insert(order["client_order_id"].to_string()), "taken twice: {order}");
        assert!(ids.contains(&order["client_order_id"].to_string()), "not ours: {order}");
    }
}

/// What the journal says of the answers to the entry's spot leg, or its perp leg.
pub(crate) fn verdicts(world: &World, market: &str) -> Vec<String> {
    let answers = records(world, Kind::Answer);
    let of_leg = answers.iter().filter(|answer| answer["market"] == market);
    let text = |answer: &serde_json::Map<String, Value>, key: &str| {
        answer.get(key).map_or_else(String::new, |value| format!(" {}", value.to_string().replace('"', "")))
    };
    let line = |answer| {
        let [verdict, reason, code, status, source] =
            ["verdict", "reason", "code", "status", "source"].map(|key| text(answer, key));
        format!("{}{reason}{code}{status}{source}", verdict.trim_start())
    };
    of_leg.map(line).collect()
}

/// Nothing but searches in vain, and the one cancel of an order that is not over after five seconds.
pub(crate) fn found_nowhere(told: &[String]) -> bool {
    let cancels = told.iter().filter(|told| told.as_str() == "not_found cancel").count();
    cancels == 1
        && told
            .iter()
            .filter(|told| told.as_str() != "not_found cancel")
            .all(|told| told == "not_found query")
}

/// The order was taken, so the private stream proves it, or a query where the stream is mute: its fills
/// are booked and the pair is held.
#[track_caller]
fn resolved(fault: &Value, market: &str, doubt: &str) {
    let world = entry_under(std::slice::from_ref(fault));
    let told = verdicts(&world, market);
    assert!(told.iter().any(|told| told == doubt), "{fault}: {told:?}");
    assert!(told.iter().any(|told| told == "terminal stream"), "{fault}: {told:?}");
    assert!(!told.iter().any(|told| told.ends_with("query")), "asked without need: {told:?}");
    held(&world);
    let world = entry_under(&[json!({"kind": "mute_user", "ms": 60_000}), fault.clone()]);
    let told = verdicts(&world, market);
    assert_eq!(told[..2], [doubt.to_owned(), "terminal query".to_owned()], "{fault}");
    held(&world);
}

#[track_caller]
fn held(world: &World) {
    assert_eq!(world.orders().len(), 2, "{:?}", world.orders());
    assert_eq!(world.shadow().open_now(), 1);
    books_equal_truth(world);
    ended_clean(world);
}

/// The order was not taken. "Not found" alone proves nothing, so it is asked about until the venue can't
/// have it any more, and found nowhere then: evidence C.
#[track_caller]
fn never_landed(fault: &Value, market: &str, doubt: &str) {
    let world = entry_under(std::slice::from_ref(fault));
    let told = verdicts(&world, market);
    assert_eq!(told[0], doubt, "{fault}");
    assert!(told.len() > 5, "asked again and again: {told:?}");
    assert!(found_nowhere(&told[1..]), "{told:?}");
    // R6, R7: the other leg alone reached the venue, and was taken back: nothing is naked meanwhile.
    let orders = world.orders();
    assert_eq!(orders.len(), 2, "the other leg, there and back: {orders:?}");
    assert!(orders.iter().all(|order| !order.contains(market)), "nothing on the leg in doubt: {orders:?}");
    let back = if market == "spot" { "FILLED 3.03 reduce-only" } else { "sell spot" };
    assert!(orders[1].contains(back), "{orders:?}");
    assert_eq!(world.truth()["naked"]["now"], json!([]), "{orders:?}");
    let fired = &records(&world, Kind::Fired)[0];
    let leg = fired["legs"].as_array().unwrap().iter().find(|leg| leg["market"] == market).unwrap();
    let ends = records(&world, Kind::OrderEnd);
    let end = ends.iter().find(|end| end["client_id"] == leg["client_id"]).unwrap();
    assert_eq!((&end["evidence"], &end["end"]), (&json!("C"), &json!("never_landed")));
    // W, T_settle, and two searches two seconds apart.
    let waited = end["at_us"].as_u64().unwrap() - fired["at_us"].as_u64().unwrap();
    assert!((13_000_000..16_000_000).contains(&waited), "{waited} µs");
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn an_order_whose_link_was_cut_after_it_was_taken_is_found_by_its_id() {
    resolved(&json!({"kind": "drop_ack", "market": "spot"}), "spot", "unknown link_lost answer");
    resolved(&json!({"kind": "drop_ack", "market": "usdm"}), "perp", "unknown link_lost answer");
}

#[test]
fn an_order_whose_link_was_cut_before_it_was_taken_never_landed_and_is_not_sent_again() {
    never_landed(&json!({"kind": "lose", "market": "spot"}), "spot", "unknown link_lost answer");
    never_landed(&json!({"kind": "lose", "market": "usdm"}), "perp", "unknown link_lost answer");
}

/// F65: a page of HTML with status 200 is no answer.
#[test]
fn a_page_of_html_is_no_answer() {
    let html =
        |market: &str, taken| json!({"kind": "html", "market": market, "client_side": "BUY", "taken": taken});
    resolved(&html("spot", true), "spot", "unknown unreadable_body answer");
    never_landed(&html("spot", false), "spot", "unknown unreadable_body answer");
    let html = json!({"kind": "html", "market": "usdm", "client_side": "SELL", "taken": true});
    resolved(&html, "perp", "unknown unreadable_body answer");
}

/// FAULTS part 5: the same words mean different things on the two markets.
#[test]
fn an_error_that_may_have_been_executed_is_asked_about() {
    let said = |market: &str, status: u16, body: &str, taken| {
        let side = if market == "spot" { "BUY" } else { "SELL" };
        json!({"kind": "status", "market": market, "client_side": side, "status": status, "body": body, "taken": taken})
    };
    let overloaded = r#"{"code":-1008,"msg":"Server is currently overloaded with other requests."}"#;
    let timeout = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
    let unsure = r#"{"msg":"Unknown error, please check your request or try again later."}"#;
    resolved(&said("spot", 503, overloaded, true), "spot", "unknown -1008 answer");
    never_landed(&said("spot", 503, overloaded, false), "spot", "unknown -1008 answer");
    resolved(&said("spot", 408, timeout, true), "spot", "unknown -1007 answer");
    resolved(&said("usdm", 408, timeout, true), "perp", "unknown -1007 answer");
    resolved(&said("usdm", 503, unsure, true), "perp", "unknown 503 answer");
    resolved(&said("usdm", 502, "<html>Bad Gateway</html>", true), "perp", "unknown 502 answer");
}

/// A refusal for sure (USD-M documents -1008 as failed): no question, but a repair.
#[test]
fn an_error_documented_as_failed_is_a_refusal() {
    let body = r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#;
    let fault =
        json!({"kind": "status", "market": "usdm", "client_side": "SELL", "status": 503, "body": body});
    let world = entry_under(&[fault]);
    assert_eq!(verdicts(&world, "perp"), ["refused overload -1008 answer"]);
    assert_eq!(world.orders(), ["buy spot SOLUSDT 3.034 FILLED 3.034", "sell spot SOLUSDT 3.03 FILLED 3.03"]);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Evidence A shows what to do: the found leg is good, so the other, which found nobody, is tried again.
#[test]
fn a_leg_that_found_nobody_is_tried_again_once_the_other_is_found_by_its_id() {
    let taken = json!({"kind": "drop_ack", "market": "spot"});
    let world = entry_under(&[taken, json!({"kind": "none", "market": "usdm"})]);
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
        ]
    );
    assert_eq!(world.shadow().totals.repaired, 1);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F14: after one order into silence there is never a second one on that venue.
#[test]
fn while_a_fate_is_unknown_its_venue_takes_no_entry_and_positions_may_still_be_closed() {
    let mut world = live(&Setup::default());
    assert!(world.run_until(|world| world.shadow().open_now() >= 2, 10 * SEC));
    world.fault(&json!({"kind": "lose", "market": "spot", "client_side": "BUY"})).unwrap();
    assert!(world.run_until(
        |world| world.shadow().why().count() > 0
            && world.lines().iter().any(|line| line.contains("fate unknown")),
        10 * SEC
    ));
    world.run_for(MS);
    let (opened, closed, sent) = totals(&world);
    let refused =
        world.trader().closed[Closed::Permit as usize] + world.trader().closed[Closed::Busy as usize];
    world.run_for(11 * SEC);
    let now = totals(&world);
    assert_eq!(now.0, opened, "no new position");
    assert!(now.1 > closed && now.2 > sent, "exits go on");
    let later = world.trader().closed[Closed::Permit as usize] + world.trader().closed[Closed::Busy as usize];
    assert!(later >= refused);
    world.run_for(15 * SEC);
    assert!(totals(&world).0 > opened, "entries again once its fate is proven (I19)");
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// One entry of SOL, filled and booked.
fn entered() -> World {
    let mut world = live(&one_entry("SOL", 11));
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    world
}

/// An order in doubt is so still after that time, and then proven dead by evidence C.
#[track_caller]
fn lost_after(world: &mut World, ns: u64) {
    world.run_for(ns);
    assert_eq!(world.shadow().unknown_now(), 1, "not before its settling time");
    world.run_for(6 * SEC);
    assert_eq!(world.shadow().unknown_now(), 0);
    assert_eq!(records(world, Kind::OrderEnd).iter().filter(|end| end["evidence"] == "C").count(), 1);
}

/// Evidence C wants a position equal to the books. Somebody else's trade stands in it, which the venue lists under
/// an order that is not ours: what differs is just that, so the order found nowhere did nothing. Nothing of the
/// stranger's is touched (R20), and the pair takes no entry until a person has looked (F82).
#[test]
fn an_order_found_nowhere_is_lost_though_a_strangers_trade_stands_in_the_position() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "lose", "market": "usdm"})]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.fault(&json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "usdm"})).unwrap();
    world.run_for(10 * SEC);
    assert_eq!(world.shadow().unknown_now(), 1, "not before its settling time");
    world.run_for(40 * SEC);
    assert_eq!(world.shadow().unknown_now(), 0);
    assert_eq!(records(&world, Kind::OrderEnd).iter().filter(|end| end["evidence"] == "C").count(), 1);
    assert_eq!(world.shadow().totals.sent, 3, "the entry, and its coins sold again: no second short");
    assert!(world.lines().iter().any(|line| line.contains("an order that is not this engine's")));
}

/// So it is where half of the stranger's order traded long before ours left, and half of it after that, when it was
/// known as a stranger's: the coins are in the balance, and no trace of ours.
#[test]
fn an_order_found_nowhere_is_lost_though_a_stranger_bought_coins_before_it_left_and_after() {
    let mut world = entered();
    let order =
        json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot", "half_later_ms": 12_000});
    faults(&mut world, &[order]);
    world.run_for(5 * SEC);
    world.ask(Ask::Resume("seen".to_owned()));
    world.run_for(5 * SEC);
    faults(&mut world, &[json!({"kind": "lose", "market": "spot", "client_side": "SELL"})]);
    world.ask(Ask::Flatten("done".to_owned()));
    lost_after(&mut world, 10 * SEC);
    assert_eq!(world.shadow().totals.sent, 5, "there, back, and the coins once more");
    // The box lists the stranger's first.
    let last = ["buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only", "sell spot SOLUSDT 3.03 FILLED 3.03"];
    assert_eq!(world.orders()[3..], last);
    assert!(world.lines().iter().any(|line| line.contains("an order that is not this engine's")));
}

/// So it is where coins came that nobody explains (F108), and a stranger bought some: what they would have been paid in
/// is as in the books and after the stranger's trade, to the last unit, and a trade would have moved it too. They are
/// told, and not sold.
#[test]
fn an_order_found_nowhere_is_lost_though_coins_came_meanwhile() {
    let mut world = entered();
    faults(&mut world, &[json!({"kind": "lose", "market": "spot", "client_side": "SELL"})]);
    world.ask(Ask::Flatten("done".to_owned()));
    world.run_for(SEC);
    faults(&mut world, &[json!({"kind": "credit", "symbol": "SOLUSDT"})]);
    faults(&mut world, &[json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot"})]);
    lost_after(&mut world, 9 * SEC);
    assert_eq!(world.shadow().totals.sent, 5, "there, back, and the coins once more");
    world.run_for(20 * SEC);
    // The box lists the stranger's first.
    let last = ["buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only", "sell spot SOLUSDT 3.03 FILLED 3.03"];
    assert_eq!(world.orders()[3..], last);
    let told = records(&world, Kind::Baseline).last().unwrap()["unexplained"].to_string();
    assert!(told.contains("SOL balance is"), "{told}");
}

/// So it is where the stranger bought while a look at the wallet was on its way back: nothing of that is in it, though
/// the trade is older than the answer.
#[test]
fn an_order_found_nowhere_is_lost_though_a_stranger_bought_while_a_look_was_on_its_way() {
    let resumed = || {
        let mut world = entered();
        world.ask(Ask::Resume("look anew".to_owned()));
        world
    };
    let of_coins = |look: &serde_json::Map<String, Value>| look["held"].to_string().contains("SOL");
    let looks = |world: &World| records(world, Kind::Baseline).iter().filter(|look| of_coins(look)).count();
    let mute = json!({"kind": "mute_user", "ms": 60_000});
    let mut undisturbed = resumed();
    let (asked, before) = (undisturbed.now(), looks(&undisturbed));
    assert!(undisturbed.run_until(|world| looks(world) > before, 10 * SEC), "no look");
    let mut world = resumed();
    world.run_for(undisturbed.now().since(asked) - MS / 20);
    world.hold(Door::SpotRest, true);
    world.run_for(2 * SEC);
    faults(&mut world, &[mute, json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot"})]);
    world.run_for(SEC);
    world.hold(Door::SpotRest, false);
    assert_eq!(looks(&world), before, "its answer was held");
    world.run_for(30 * SEC);
    assert!(looks(&world) > before);
    faults(&mut world, &[json!({"kind": "lose", "market": "spot", "client_side": "SELL"})]);
    world.ask(Ask::Flatten("done".to_owned()));
    lost_after(&mut world, 10 * SEC);
}

/// Nobody answers a question about it for a minute: never guessed. A person is told, the rest trades on,
/// and when the venue speaks again the proof is made.
#[test]
fn an_order_nobody_can_tell_of_is_quarantined_and_never_guessed() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "lose", "market": "spot"})]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(MS);
    world.hold(Door::SpotRest, true);
    world.run_for(59 * SEC);
    assert_eq!(world.shadow().unknown_now(), 1);
    assert!(!world.lines().iter().any(|line| line.contains("for a minute")));
    world.run_for(3 * SEC);
    assert!(world.lines().iter().any(|line| line.contains("for a minute")), "{:?}", world.lines());
    let states = records(&world, Kind::Pair);
    assert_eq!(states.last().unwrap()["state"], "quarantined");
    world.run_for(60 * SEC);
    assert_eq!((world.shadow().unknown_now(), records(&world, Kind::Pair).len()), (1, states.len()));
    world.hold(Door::SpotRest, false);
    world.run_for(30 * SEC);
    assert_eq!(world.shadow().unknown_now(), 0);
    assert_eq!(records(&world, Kind::Pair).last().unwrap()["state"], "flat");
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

fn totals(world: &World) -> (u64, u64, u64) {
    let totals = &world.shadow().totals;
    (totals.opened, totals.closed, totals.sent)
}

/// I19: when the doubt is gone, so is its freeze.
#[test]
fn trading_goes_on_once_every_fate_is_known() {
    let mut world = live(&Setup::default());
    for market in ["spot", "usdm"] {
        world.run_for(2 * SEC);
        world.fault(&json!({"kind": "drop_ack", "market": market})).unwrap();
    }
    world.run_for(2 * SEC);
    let (opened, ..) = totals(&world);
    world.run_for(20 * SEC);
    assert!(totals(&world).0 > opened + 5);
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F14: orders arrive and nothing comes back for a while.
#[test]
fn answers_that_come_seconds_late_are_booked_once() {
    let mut world = live(&Setup::default());
    world.run_for(2 * SEC);
    for door in [Door::SpotRest, Door::UsdmRest] {
        world.hold(door, true);
    }
    world.run_for(3 * SEC);
    for door in [Door::SpotRest, Door::UsdmRest] {
        world.hold(door, false);
    }
    let (opened, ..) = totals(&world);
    world.run_for(20 * SEC);
    assert!(totals(&world).0 > opened);
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Every order link and query link of a market dies at once, again and again.
#[test]
fn links_that_die_under_way_lose_no_order_and_double_none() {
    let mut world = live(&Setup::seeded(3));
    for n in 0..12 {
        world.run_for(700 * MS + n * 37 * MS);
        world.cut_link(if n % 2 == 0 { Door::SpotRest } else { Door::UsdmRest });
    }
    world.run_for(10 * SEC);
    let opened = world.shadow().totals.opened;
    assert!(opened > 0);
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
}
