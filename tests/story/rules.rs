//! Leg repair, rule by rule (FAULTS part 6): what the box saw, what is held, what the journal says.
//!
//! Owns:  one story or more per R rule that Binance can bring about: r01 is R1, and so on.
//! Never: takes more than one completion for granted: what it does not cure is unwound.
//! Map:   `doubt` has more of fates unknown, `streams` more of what is told by the private streams.

use crate::doubt::never_resent;
use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::event::Mode;
use contango::rehearse::{Room, Setup, World};
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::Ratio;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};

fn none(market: &str) -> Value {
    json!({"kind": "none", "market": market})
}

/// Nobody for an entry's leg, nor for its completion.
fn none_twice(market: &str, side: &str) -> Value {
    json!({"kind": "none", "market": market, "client_side": side, "count": 2})
}

/// No coins, no margin: such a leg is not tried again.
fn unfunded(market: &str) -> Value {
    match market {
        "spot" => refuse("spot", -2010, "Account has insufficient balance for requested action."),
        _ => refuse("usdm", -2019, "Margin is insufficient."),
    }
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

/// The orders in the box's words; what is sent after the first two legs only makes legs smaller, but for
/// one completion.
#[track_caller]
fn told(mut world: World, orders: &[Value], expected: &[&str]) -> World {
    assert!(world.stop());
    for order in orders {
        assert!(struck(&world, order["kind"].as_str().unwrap()) > 0, "{order} never struck");
    }
    assert_eq!(world.orders(), expected);
    assert_eq!(world.shadow().totals.repaired, 1);
    assert!(completions(&world) <= 1);
    books_equal_truth(&world);
    ended_clean(&world);
    world
}

/// Repairs that made a leg larger.
fn completions(world: &World) -> usize {
    let rounds = records(world, Kind::Fired);
    let repairs = rounds.iter().filter(|round| round["class"] == "repair");
    let reduces =
        |leg: &&Value| leg["reduce_only"] == true || leg["market"] == "spot" && leg["side"] == "sell";
    repairs.flat_map(|round| round["legs"].as_array().unwrap()).filter(|leg| !reduces(leg)).count()
}

/// One held pair of SOL.
#[track_caller]
fn held(setup: &Setup) -> World {
    let mut world = live(setup);
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    world
}

/// The orders, without the entry's two.
fn after_entry(world: &World) -> Vec<String> {
    let entry = |order: &String| {
        !order.contains("3.034 FILLED 3.034") && !order.starts_with("sell perp SOLUSDT 3.03 ")
    };
    world.orders().into_iter().filter(entry).collect()
}

fn alerts(world: &World, words: &str) -> usize {
    world.lines().iter().filter(|line| line.starts_with("ALERT") && line.contains(words)).count()
}

fn frozen(world: &World) -> Vec<String> {
    world.shadow().why().filter_map(|why| why.frozen).map(str::to_owned).collect()
}

/// What the journal gives as the cause of each fill that no order of ours made.
fn causes(world: &World) -> Vec<String> {
    let fills = records(world, Kind::Fill);
    fills.iter().filter_map(|fill| fill.get("cause")).map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// How long the perp was gone before its coins were sold, in µs of the box's clock.
fn naked_us(world: &World) -> u64 {
    let truth = world.truth();
    let ms: f64 = truth["naked"]["ms_max"].as_str().unwrap().parse().unwrap();
    (ms * 1_000.0) as u64
}

fn force(kind: &str, symbol: &str, fraction_ppm: u64) -> Value {
    json!({"kind": kind, "symbol": symbol, "fraction_ppm": fraction_ppm})
}

fn notes(world: &World, words: &str) -> usize {
    let notes = records(world, Kind::Note);
    notes.iter().filter(|note| note["text"].as_str().unwrap().contains(words)).count()
}

/// When the n-th send round was written down, in µs of the engine's calendar.
fn sent_us(world: &World, n: usize) -> i64 {
    records(world, Kind::Fired)[n]["at_us"].as_i64().unwrap()
}

/// Every id of ours was used once.
#[track_caller]
fn no_id_twice(world: &World) {
    let mut ids = std::collections::BTreeSet::new();
    for order in world.truth()["orders"].as_array().unwrap() {
        assert!(ids.insert(order["client_order_id"].to_string()), "{order}");
    }
}

// ───────────────────────────── one leg fails ─────────────────────────────

#[test]
fn r01_a_short_whose_spot_was_refused_is_bought_back() {
    entry_under(
        &[unfunded("spot")],
        &["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"],
    );
}

#[test]
fn r01_coins_that_found_no_seller_are_tried_again_at_once_and_the_pair_is_held() {
    let world = entry_under(
        &[none("spot")],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy spot SOLUSDT 3.033 FILLED 3.033",
        ],
    );
    assert_eq!((world.shadow().open_now(), completions(&world)), (1, 1));
    let (entry, again) = (sent_us(&world, 0), sent_us(&world, 1));
    assert!(again - entry <= 300_000, "{} µs later", again - entry);
}

#[test]
fn r01_a_short_whose_spot_found_no_seller_twice_is_bought_back() {
    entry_under(
        &[none_twice("spot", "BUY")],
        &[
            "buy spot SOLUSDT 3.034 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy spot SOLUSDT 3.033 EXPIRED 0",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

#[test]
fn r02_coins_whose_short_was_refused_are_sold() {
    entry_under(
        &[unfunded("usdm")],
        &["buy spot SOLUSDT 3.034 FILLED 3.034", "sell spot SOLUSDT 3.03 FILLED 3.03"],
    );
}

#[test]
fn r02_a_short_that_found_no_buyer_is_tried_again_and_the_pair_is_held() {
    let world = entry_under(
        &[none("usdm")],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
        ],
    );
    assert_eq!((world.shadow().open_now(), completions(&world)), (1, 1));
}

#[test]
fn r02_coins_whose_short_found_no_buyer_twice_are_sold() {
    entry_under(
        &[none_twice("usdm", "SELL")],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
        ],
    );
}

/// A completion that fills in part keeps that part; the rest is unwound, and not tried a third time.
#[test]
fn r02_what_a_second_try_leaves_is_sold_and_the_rest_is_held() {
    let world = entry_under(
        &[none("usdm"), partial("usdm", 400_000)],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 EXPIRED 0",
            "sell perp SOLUSDT 3.03 EXPIRED 1.21",
            "sell spot SOLUSDT 1.82 FILLED 1.82",
        ],
    );
    assert_eq!((world.shadow().open_now(), completions(&world)), (1, 1));
}

/// Nothing is bought on prices that nobody confirms.
#[test]
fn r01_without_fresh_quotes_a_short_is_bought_back_and_spot_is_not_tried_again() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[none("spot")]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.fault(&json!({"kind": "cut_streams", "market": "spot"})).unwrap();
    world.run_for(5 * SEC);
    assert!(world.stop());
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    assert_eq!(completions(&world), 0);
    assert_eq!(notes(&world, "the missing leg was not tried again (a feed socket is silent)"), 1);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// No entry, no completion: what stands alone is taken back.
#[test]
fn r01_a_halt_before_the_end_of_the_legs_leaves_only_the_way_back() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[none("spot")]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.ask(contango::event::Ask::Halt("enough".to_owned()));
    world.run_for(5 * SEC);
    assert!(world.stop());
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    assert_eq!(completions(&world), 0);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Evidence C is not enough for an opening order (I2).
#[test]
fn r06_coins_that_never_landed_by_all_lists_are_not_tried_again() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "lose", "market": "spot"})]);
    world.run_for(25 * SEC);
    assert!(world.stop());
    assert!(records(&world, Kind::OrderEnd).iter().any(|end| end["evidence"] == "C"));
    assert_eq!(
        world.orders(),
        ["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"]
    );
    books_equal_truth(&world);
    ended_clean(&world);
}

/// The perp's fills are heard of too late for R1, and it finds no seller for two seconds: then spot is
/// tried again after all.
#[test]
fn r09_where_unwinding_gets_nowhere_the_other_side_is_taken() {
    let mut world = live(&one_entry("SOL", 11));
    let nobody = json!({"kind": "none", "market": "usdm", "client_side": "BUY", "count": 20});
    let mute = json!({"kind": "mute_user", "market": "usdm", "ms": 30_000});
    let behind = json!({"kind": "replica_lag", "market": "usdm", "ms": 1_500, "for_ms": 30_000});
    faults(&mut world, &[mute, behind, none("spot"), nobody]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(6 * SEC);
    assert!(world.stop());
    let orders = world.orders();
    assert!(orders.len() > 5, "{orders:?}");
    assert_eq!(orders.last().unwrap(), "buy spot SOLUSDT 3.033 FILLED 3.033", "{orders:?}");
    assert_eq!((world.shadow().open_now(), completions(&world)), (1, 1));
    let rounds = records(&world, Kind::Fired).len();
    let waited = sent_us(&world, rounds - 1) - sent_us(&world, 0);
    assert!((2_000_000..4_000_000).contains(&waited), "{waited} µs");
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn r03_coins_beyond_a_short_filled_in_part_are_sold_and_the_rest_is_held() {
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

#[test]
fn r04_a_short_beyond_coins_bought_in_part_is_cut_back_and_the_rest_is_held() {
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

#[test]
fn r05_when_both_legs_fill_in_part_the_larger_comes_down_to_the_smaller() {
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

/// What is refused is tried again, with a wider collar.
#[test]
fn r09_a_repair_that_finds_nobody_is_repeated() {
    entry_under(
        &[unfunded("spot"), json!({"kind": "none", "market": "usdm", "client_side": "BUY", "count": 2})],
        &[
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 EXPIRED 0 reduce-only",
            "buy perp SOLUSDT 3.03 EXPIRED 0 reduce-only",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ],
    );
}

// ───────────────────────────── fates unknown ─────────────────────────────

/// Presumed dead is no verdict. An order that was taken, answered by nobody and hidden from stream and
/// queries for seconds has its other leg taken back; when it shows itself, what it did is taken back too.
#[track_caller]
fn presumed_dead(market: &str, first: &str, last: &str) {
    let mut world = live(&one_entry("SOL", 11));
    faults(
        &mut world,
        &[
            json!({"kind": "drop_ack", "market": market}),
            json!({"kind": "replica_lag", "market": market, "ms": 6_000, "for_ms": 30_000}),
            json!({"kind": "mute_user", "market": market, "ms": 30_000}),
        ],
    );
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(5 * SEC);
    assert_eq!(world.orders().len(), 3, "{market}: {:?}", world.orders());
    assert_eq!(world.orders()[2], first, "{market}: the leg that is known is taken back");
    world.run_for(12 * SEC);
    assert_eq!(world.orders().last().map(String::as_str), Some(last), "{market}: {:?}", world.orders());
    assert_eq!(world.orders().len(), 4, "{market}: {:?}", world.orders());
    assert!(world.stop());
    assert_eq!(world.truth()["naked"]["now"], json!([]));
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn r06_a_short_whose_coins_are_in_doubt_is_bought_back_and_the_coins_are_sold_once_they_show() {
    presumed_dead(
        "spot",
        "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        "sell spot SOLUSDT 3.03 FILLED 3.03",
    );
}

#[test]
fn r07_coins_whose_short_is_in_doubt_are_sold_and_the_short_is_bought_back_once_it_shows() {
    presumed_dead(
        "usdm",
        "sell spot SOLUSDT 3.03 FILLED 3.03",
        "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
    );
}

/// Nothing is sent while both are in doubt; what the venue proves is held.
#[test]
fn r08_with_both_fates_unknown_nothing_is_sent_until_they_are_proven() {
    let lost = |market: &str| json!({"kind": "lose", "market": market});
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[lost("spot"), lost("usdm")]);
    world.run_for(12 * SEC);
    assert_eq!((world.shadow().totals.sent, world.shadow().unknown_now()), (2, 2));
    world.run_for(4 * SEC);
    assert_eq!(world.orders(), Vec::<String>::new());
    let ends = records(&world, Kind::OrderEnd);
    assert!(ends.len() == 2 && ends.iter().all(|end| end["evidence"] == "C"), "{ends:?}");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);

    let taken = |market: &str| json!({"kind": "drop_ack", "market": market});
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "mute_user", "ms": 30_000}), taken("spot"), taken("usdm")]);
    world.run_for(8 * SEC);
    assert_eq!((world.shadow().totals.sent, world.shadow().open_now()), (2, 1));
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

// ───────────────────────────── repairs that fail ─────────────────────────────

/// The position may be smaller than booked: asked about, and no hurry.
#[test]
fn r09_a_refusal_to_reduce_freezes_the_pair_and_asks_for_its_position() {
    let refused = json!({"kind": "refuse", "market": "usdm", "client_side": "BUY", "code": -2022, "msg": "ReduceOnly Order is rejected."});
    let world = entry_under(
        &[unfunded("spot"), refused],
        &["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"],
    );
    assert!(frozen(&world)[0].contains("refused to reduce"), "{:?}", frozen(&world));
    assert_eq!(alerts(&world, "refused to reduce"), 1);
    let (first, second) = (sent_us(&world, 1), sent_us(&world, 2));
    assert!(second - first >= 1_000_000, "asked first: {} µs later", second - first);
}

#[test]
fn r09_a_repair_refused_for_want_of_funds_is_made_smaller() {
    let funds = "Account has insufficient balance for requested action.";
    let refused =
        json!({"kind": "refuse", "market": "spot", "client_side": "SELL", "code": -2010, "msg": funds});
    entry_under(
        &[unfunded("usdm"), refused],
        &[
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell spot SOLUSDT 1.515 FILLED 1.515",
            "sell spot SOLUSDT 1.515 FILLED 1.515",
        ],
    );
}

/// Somebody else sold some of the coins: what is left of them is sold, and not half of what there was.
#[test]
fn r09_a_repair_refused_for_want_of_funds_uses_what_there_is() {
    let mut world = held(&one_entry("SOL", 11));
    let stranger =
        json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot", "client_side": "SELL"});
    faults(&mut world, &[stranger, force("adl", "SOLUSDT", 1_000_000)]);
    world.run_for(2 * SEC);
    let orders = after_entry(&world);
    let sold = |order: &&String| order.starts_with("sell spot SOLUSDT") && !order.contains("0.06");
    let sold: Vec<_> = orders.iter().filter(sold).collect();
    assert_eq!(sold, ["sell spot SOLUSDT 2.969 FILLED 2.969"], "{orders:?}");
    assert!(world.stop());
}

#[test]
fn r09_a_throttled_repair_waits_two_seconds() {
    let throttled = json!({"kind": "refuse", "market": "usdm", "client_side": "BUY", "status": 429, "code": -1015, "msg": "Too many new orders."});
    let world = entry_under(
        &[unfunded("spot"), throttled],
        &["sell perp SOLUSDT 3.03 FILLED 3.03", "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only"],
    );
    let (first, second) = (sent_us(&world, 1), sent_us(&world, 2));
    assert!(second - first >= 2_000_000, "{} µs later", second - first);
}

/// Past its time a repair halts the engine and goes on; past its fifteenth attempt as an intent of its
/// own, under ids never used before (I10).
#[test]
fn r09_a_repair_past_its_time_halts_the_engine_and_goes_on() {
    let setup = one_entry("SOL", 11);
    let mut world = live(&setup);
    let nobody = json!({"kind": "none", "market": "usdm", "client_side": "BUY", "count": 22});
    faults(&mut world, &[unfunded("spot"), nobody]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 3, 10 * SEC));
    world.run_for(7 * SEC);
    assert_eq!((alerts(&world, "unhedged for 3 s"), world.shadow().mode()), (1, Mode::Trading));
    world.run_for(2 * SEC);
    assert_eq!((alerts(&world, "unhedged for 8 s"), world.shadow().mode()), (1, Mode::Halted));
    world.run_for(16 * SEC);
    assert_eq!(alerts(&world, "unhedged"), 2, "each once");
    assert_eq!(struck(&world, "none"), 22);
    assert!(world.stop());
    let orders = world.orders();
    assert_eq!(orders.len(), 1 + 22 + 1);
    assert_eq!(orders.last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    let rounds = records(&world, Kind::Fired);
    let sequences: std::collections::BTreeSet<u64> =
        rounds.iter().map(|round| round["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences.len(), 2, "the entry's, and one more once its attempts were used up");
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
    let latch = records(&world, Kind::Mode).into_iter().find(|row| row.get("by").is_some()).unwrap();
    assert_eq!((&latch["mode"], &latch["by"]), (&json!("halted"), &json!("engine")));
    world.kill_process(&setup).unwrap();
    assert_eq!(world.shadow().mode(), Mode::Halted, "it outlives the run");
}

/// A repair is an order like any other: while its fate is unknown there is no second one.
#[test]
fn r10_a_repair_of_unknown_fate_is_asked_about_and_not_repeated() {
    let mut world = live(&one_entry("SOL", 11));
    faults(
        &mut world,
        &[
            unfunded("spot"),
            json!({"kind": "drop_ack", "market": "usdm", "client_side": "BUY"}),
            json!({"kind": "replica_lag", "market": "usdm", "ms": 6_000, "for_ms": 30_000}),
            json!({"kind": "mute_user", "market": "usdm", "ms": 30_000}),
        ],
    );
    assert!(world.run_until(|world| world.shadow().totals.sent >= 3, 10 * SEC), "no repair");
    world.run_for(15 * SEC);
    assert_eq!(world.shadow().totals.sent, 3);
    assert!(world.stop());
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);

    // Lost: a second one leaves once it is proven that the first never landed, and not before.
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[unfunded("spot"), json!({"kind": "lose", "market": "usdm", "client_side": "BUY"})]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 3, 10 * SEC), "no repair");
    world.run_for(12 * SEC);
    assert_eq!((world.shadow().totals.sent, world.shadow().unknown_now()), (3, 1));
    assert_eq!(world.shadow().mode(), Mode::Halted, "its short stays alone past its time");
    world.run_for(6 * SEC);
    assert_eq!((world.shadow().totals.sent, world.shadow().unknown_now()), (4, 0));
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// One repair alive per pair: what was asked again of a trader that stood still leaves once.
#[test]
fn r10_unwinds_asked_of_a_trader_that_stood_still_leave_once() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[none("spot")]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    // The stream tells the shadow how the legs ended.
    world.freeze(Room::Trader, true);
    world.run_for(3_500 * MS);
    assert_eq!(world.shadow().totals.sent, 2);
    world.freeze(Room::Trader, false);
    world.run_for(3 * SEC);
    assert_eq!(world.shadow().totals.sent, 3);
    assert_eq!(completions(&world), 0, "it was asked for first, and would have been too late");
    assert_eq!(notes(&world, "the missing leg was not tried again (asked too long ago)"), 1);
    assert!(notes(&world, "an unwind could not leave") > 0, "the later ones were declined");
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// With no other venue to hedge on: hold, keep connecting, tell a person each minute.
#[test]
fn r11_a_venue_that_is_down_in_mid_repair_is_waited_for() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[unfunded("spot"), json!({"kind": "none", "market": "usdm", "client_side": "BUY"})]);
    assert!(world.run_until(|world| struck(world, "none") == 1, 10 * SEC), "no repair");
    world.shut(Door::UsdmRest, true);
    world.cut_link(Door::UsdmRest);
    let dialled = world.dialled(Door::UsdmRest).len();
    world.run_for(155 * SEC);
    assert_eq!(alerts(&world, "unhedged"), 5, "at 3, 8 and 30 s, and then each minute");
    assert_eq!(alerts(&world, "SOL at "), 5, "with its size and price");
    assert!(world.dialled(Door::UsdmRest).len() > dialled + 5, "it keeps connecting");
    assert_eq!(world.shadow().mode(), Mode::Halted);
    assert_eq!(world.orders().len(), 2);
    world.shut(Door::UsdmRest, false);
    world.run_for(45 * SEC);
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

// ───────────────────────────── dust and fees ─────────────────────────────

#[test]
fn r12_what_no_leg_can_trade_is_dust_and_its_pair_takes_no_entry() {
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    let mut world = live(&Setup { exit_basis, ..one_entry("SOL", 11) });
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, &[partial("spot", 995_000)]);
    world.run_for(8 * SEC);
    assert!(world.stop());
    let orders = world.orders();
    assert_eq!(orders.len(), 4, "nothing more is sent: {orders:?}");
    assert!(orders[2].starts_with("sell spot SOLUSDT 3.03 EXPIRED 3.01"), "{orders:?}");
    assert!(frozen(&world)[0].contains("less than any leg can trade"), "{:?}", frozen(&world));
    assert!(world.ended().open.is_empty());
    books_equal_truth(&world);
}

/// The fee in coin is bought with the coin, so the short stays covered and nothing is to be mended; the
/// exit sells what is there, to the lot.
#[test]
fn r13_a_fee_in_coin_is_bought_with_the_coin() {
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    let mut world = live(&Setup { exit_basis, ..one_entry("SOL", 11) });
    assert!(world.run_until(|world| world.shadow().totals.closed == 1, 20 * SEC));
    assert!(world.stop());
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ]
    );
    let bought = records(&world, Kind::Fill)
        .into_iter()
        .find(|fill| fill["side"] == "buy" && fill["market"] == "spot");
    assert_eq!(bought.unwrap()["fee_asset"], "SOL");
    assert_eq!(world.shadow().totals.repaired, 0);
    books_equal_truth(&world);
    ended_clean(&world);
}

// ───────────────────────────── what the venue does by itself ─────────────────────────────

/// Half of the short is taken away: its coins are sold at once, the rest is held, nothing is
/// opened again, and the other pairs of the venue take no entry for half an hour.
#[test]
fn r14_what_auto_deleveraging_took_is_matched_by_selling_its_coins() {
    let mut world = held(&one_entry("SOL", 11));
    let cut = world.now();
    world.fault(&force("adl", "SOLUSDT", 500_000)).unwrap();
    world.run_for(2 * MS);
    assert_eq!(world.shadow().totals.sent, 3, "the coins are sold within a turn of knowing");
    world.run_for(7 * SEC);
    // Trades, then the position: twice.
    let asked = |from: u64, to: u64| {
        let all = world.asked(Door::UsdmRest).into_iter();
        all.filter(|at| (from * SEC..to * SEC).contains(&at.since(cut))).count()
    };
    assert!(asked(1, 2) >= 2 && asked(5, 6) >= 2, "looked at again after 1 s and 5 s");
    assert!(world.stop());
    assert_eq!(
        after_entry(&world),
        ["buy perp SOLUSDT 1.51 FILLED 1.51 reduce-only", "sell spot SOLUSDT 1.51 FILLED 1.51"]
    );
    assert_eq!(causes(&world), ["adl"]);
    assert_eq!(world.shadow().open_now(), 1, "what is matched is held");
    assert_eq!(alerts(&world, "an auto-deleveraging of SOLUSDT"), 1);
    assert!(frozen(&world)[0].contains("auto-deleveraging"), "{:?}", frozen(&world));
    assert!(naked_us(&world) < 1_000, "{} µs", naked_us(&world));
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Deleveraging comes in rounds; the last one takes all.
#[test]
fn r14_every_round_of_deleveraging_is_matched() {
    let mut world = held(&one_entry("SOL", 11));
    for fraction_ppm in [300_000, 400_000, 1_000_000] {
        world.fault(&force("adl", "SOLUSDT", fraction_ppm)).unwrap();
        world.run_for(if fraction_ppm == 300_000 { 0 } else { 700 * MS });
    }
    world.run_for(3 * SEC);
    assert!(world.stop());
    assert_eq!(causes(&world), ["adl", "adl", "adl"]);
    assert_eq!((world.shadow().open_now(), world.truth()["positions"].clone()), (0, json!([])));
    let reopened = after_entry(&world).into_iter().filter(|order| order.starts_with("sell perp"));
    assert_eq!(reopened.count(), 0);
    no_id_twice(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// While one pair is put right, the others of the venue may be closed and take no entry.
#[test]
fn r14_after_deleveraging_the_venue_takes_no_entry_for_half_an_hour() {
    let mut world = live(&Setup::default());
    assert!(world.run_until(|world| world.shadow().open_now() >= 2, 10 * SEC));
    let positions = world.truth()["positions"].clone();
    let symbol = positions[0]["symbol"].as_str().unwrap().to_owned();
    world.fault(&force("adl", &symbol, 1_000_000)).unwrap();
    world.run_for(SEC);
    let opened = world.shadow().totals.opened;
    world.run_for(30 * SEC);
    assert_eq!(world.shadow().totals.opened, opened);
    assert_eq!(world.shadow().mode(), Mode::Trading);
    assert!(world.stop());
    assert_eq!(frozen(&world).len(), 1, "its pair alone is frozen for good: {:?}", frozen(&world));
    books_equal_truth(&world);
    ended_clean(&world);
}

/// At any moment of lively trading, also between the orders of an exit: the books are the box's, and no
/// coin is sold twice.
#[test]
fn r14_deleveraging_in_the_midst_of_trading_is_booked_and_matched() {
    for seed in 0..6 {
        let mut world = live(&Setup::seeded(seed));
        let mut hit = 0;
        for n in 0..8 {
            world.run_for(300 * MS + seed * 7 * MS + n * 61 * MS);
            let positions = world.truth()["positions"].clone();
            let Some(position) = positions.as_array().unwrap().last() else { continue };
            let share = if n % 2 == 0 { 1_000_000 } else { 400_000 };
            world.fault(&force("adl", position["symbol"].as_str().unwrap(), share)).unwrap();
            hit += 1;
        }
        world.run_for(8 * SEC);
        assert!(world.stop(), "seed {seed}");
        assert!(hit > 0 && causes(&world).len() == hit, "seed {seed}: {hit}, {:?}", causes(&world));
        no_id_twice(&world);
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

/// As R14, and HALTED until a person has looked at the margin; that outlives the run.
#[test]
fn r15_a_liquidation_is_matched_and_halts_the_engine() {
    let setup = one_entry("SOL", 11);
    let mut world = held(&setup);
    world.fault(&force("liquidate", "SOLUSDT", 500_000)).unwrap();
    world.run_for(5 * SEC);
    assert_eq!(world.shadow().mode(), Mode::Halted);
    assert_eq!(
        after_entry(&world),
        ["buy perp SOLUSDT 1.51 FILLED 1.51 reduce-only", "sell spot SOLUSDT 1.51 FILLED 1.51"]
    );
    assert_eq!(causes(&world), ["liquidation"]);
    assert_eq!(alerts(&world, "a liquidation of SOLUSDT"), 1);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
    world.kill_process(&setup).unwrap();
    assert_eq!(world.shadow().mode(), Mode::Halted);
    assert!(world.shadow().mode_why().contains("SOLUSDT"), "{}", world.shadow().mode_why());
}

/// The contract ends: its coins are sold, and no other pair is touched.
#[test]
fn r16_a_settled_contract_has_its_coins_sold() {
    let mut world = held(&one_entry("SOL", 11));
    world.fault(&json!({"kind": "delist", "symbol": "SOLUSDT"})).unwrap();
    world.run_for(5 * SEC);
    assert_eq!(world.shadow().mode(), Mode::Trading);
    assert!(world.stop());
    assert_eq!(
        after_entry(&world),
        ["buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only", "sell spot SOLUSDT 3.03 FILLED 3.03"]
    );
    assert_eq!((causes(&world), world.shadow().open_now()), (vec!["settlement".to_owned()], 0));
    assert!(frozen(&world)[0].contains("settlement"), "{:?}", frozen(&world));
    books_equal_truth(&world);
    ended_clean(&world);
}

// ───────────────────────────── exits ─────────────────────────────

/// Coins that cannot be sold: a person hears of it, the sale is tried again and again, and the short is
/// not opened anew.
#[test]
fn r17_coins_that_cannot_be_sold_are_kept_offered() {
    let closed = json!({"kind": "refuse", "market": "spot", "client_side": "SELL", "code": -2010, "msg": "Market is closed.", "count": 9});
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    let mut world = live(&Setup { exit_basis, ..one_entry("SOL", 11) });
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, &[closed]);
    world.run_for(12 * SEC);
    assert_eq!(struck(&world, "refuse"), 9);
    assert_eq!(alerts(&world, "unhedged for 3 s"), 1);
    assert!(world.stop());
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
        ]
    );
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn r18_an_exit_that_bought_back_its_short_alone_sells_its_coins() {
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

#[test]
fn r18_an_exit_that_sold_its_coins_alone_buys_back_its_whole_short() {
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

#[test]
fn r18_an_exit_whose_perp_leg_met_an_overloaded_venue_is_finished() {
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

#[test]
fn r18_an_exit_that_sold_a_part_of_its_coins_sells_the_rest() {
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

// ───────────────────────────── what should not be ─────────────────────────────

/// The venue refuses an order for sure, and executes it all the same: booked, put right, and its word is
/// not trusted for an hour.
#[test]
fn r19_a_fill_after_an_orders_proven_end_is_booked_and_put_right() {
    let mut world = live(&one_entry("SOL", 11));
    faults(
        &mut world,
        &[
            json!({"kind": "refuse", "market": "spot", "client_side": "BUY", "code": -2010, "taken": true}),
            json!({"kind": "delay_user", "market": "spot", "ms": 500, "for_ms": 5_000}),
        ],
    );
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(5 * SEC);
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 FILLED 3.034",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
            "sell spot SOLUSDT 3.03 FILLED 3.03",
        ]
    );
    assert_eq!(alerts(&world, "more was executed than its end told"), 1);
    let modes = records(&world, Kind::Mode);
    let frozen = modes.iter().filter(|row| row["mode"] == "frozen");
    let why: Vec<&str> = frozen.map(|row| row["why"].as_str().unwrap()).collect();
    assert_eq!(why, ["binance: an order was executed after its end was told"]);
    assert!(world.stop());
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}

/// Somebody else's order on this account: named, its pair takes no entry, and nothing of it is touched.
#[test]
fn r20_what_is_not_ours_is_named_and_left_alone() {
    let mut world = held(&Setup { entries_max: None, ..one_entry("SOL", 11) });
    for market in ["spot", "usdm"] {
        world.fault(&json!({"kind": "foreign_order", "market": market, "symbol": "SOLUSDT"})).unwrap();
    }
    world.run_for(10 * SEC);
    let ours: Vec<String> = after_entry(&world);
    assert_eq!(ours.iter().filter(|order| order.starts_with("sell")).count(), 0, "{ours:?}");
    assert_eq!((world.shadow().totals.sent, world.shadow().open_now()), (2, 1));
    assert!(frozen(&world)[0].contains("not this engine's"), "{:?}", frozen(&world));
    assert_eq!(records(&world, Kind::Fill).len(), 2, "ours alone are booked");
    assert!(world.stop());
}
