//! A market's own rules change while running: sizes, statuses, limits, price bands (FAULTS F46, F67, F70, F98).
//!
//! Owns:  claims about what is read again and when, and that orders are made by what was read last.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, why};
use contango::agents::trader::contingent::Legs;
use contango::event::{Ask, Kind, Mode, Reply};
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};

/// SOL alone, over and over.
fn sol() -> Setup {
    Setup { wanted: Some(vec!["SOL".to_owned()]), ..Setup::seeded(11) }
}

fn rules(market: &str, more: &Value) -> Value {
    let mut fault = json!({"kind": "rules", "market": market, "symbol": "SOLUSDT"});
    fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fault
}

fn lines(world: &World, words: &str) -> usize {
    world.lines().iter().filter(|line| line.contains(words)).count()
}

/// Codes of the orders that the box refused, oldest first.
fn refused(world: &World) -> Vec<i64> {
    let truth = world.truth();
    truth["refused"].as_array().unwrap().iter().map(|row| row["code"].as_i64().unwrap()).collect()
}

#[track_caller]
fn end(mut world: World) {
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F46: an order meets the new lot, is refused, and its other leg is put right; the rules are read at once, and what
/// follows is made by them. One that leaves while they are being read may meet it too, none that leaves later does.
#[test]
fn a_lot_that_changed_is_met_until_it_is_read_and_trading_goes_on_by_the_new_one() {
    let mut world = live(&sol());
    assert!(world.run_until(|world| world.shadow().totals.closed >= 1, 20 * SEC));
    assert!(world.run_until(|world| world.shadow().open_now() == 0, 20 * SEC));
    faults(&mut world, &[rules("spot", &json!({"step": "0.1"}))]);
    let (before, closed) = (world.truth()["orders"].as_array().unwrap().len(), world.shadow().totals.closed);
    assert!(world.run_until(|world| lines(world, "changed the rules of spot SOLUSDT") == 1, 60 * SEC));
    world.run_for(20 * SEC);
    let refused = refused(&world);
    assert!(refused == [-1013] || refused == [-1013; 2], "{refused:?} {:?}", world.lines());
    assert!(world.shadow().totals.closed >= closed + 2, "it trades on: {:?}", world.lines());
    let truth = world.truth();
    let orders = truth["orders"].as_array().unwrap()[before..].to_vec();
    let at = |row: &Value| row["received_us"].as_u64().unwrap();
    let first = orders.iter().filter(|order| order["market"] == "spot").map(at).min().unwrap();
    assert!(truth["refused"].as_array().unwrap().iter().all(|row| at(row) < first), "{}", truth["refused"]);
    let spots: Vec<&str> = orders
        .iter()
        .filter(|order| order["market"] == "spot")
        .map(|order| order["orig_qty"].as_str().unwrap())
        .collect();
    assert!(spots.len() >= 4 && spots.iter().all(|qty| *qty == "3" || *qty == "3.1"), "{spots:?}");
    end(world);
}

/// F46: and where no order meets it, within a minute, at the price of one listing.
#[test]
fn a_rule_that_changed_is_read_within_a_minute_and_held_positions_are_closed_by_it() {
    let mut world = live(&one_entry("SOL", 11));
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, &[rules("spot", &json!({"step": "0.1", "min_notional": "6"}))]);
    let asked = world.asked(Door::SpotRest).len();
    world.run_for(60 * SEC);
    assert_eq!(lines(&world, "ALERT: the venue changed the rules of spot SOLUSDT (generation "), 1);
    assert!(world.asked(Door::SpotRest).len() - asked < 60, "it is not asked for all the time");
    world.ask(Ask::Flatten("out".to_owned()));
    world.run_for(5 * SEC);
    assert_eq!((refused(&world), world.truth()["positions"].clone()), (vec![], json!([])));
    assert!(world.orders().contains(&"sell spot SOLUSDT 3 FILLED 3".to_owned()), "{:?}", world.orders());
    world.run_for(120 * SEC);
    assert_eq!(lines(&world, "changed the rules"), 1, "once a change");
    end(world);
}

/// F70, F106: a leg that can't be traded takes no entry, and the pair trades again when its market does.
#[test]
fn a_market_that_breaks_takes_no_entry_until_it_trades_again() {
    let status = |status: &str| json!({"kind": "symbol_status", "market": "spot", "symbol": "SOLUSDT", "status": status});
    let mut world = live(&sol());
    assert!(world.run_until(|world| world.shadow().totals.closed >= 1, 20 * SEC));
    assert!(world.run_until(|world| world.shadow().open_now() == 0, 20 * SEC));
    faults(&mut world, &[status("BREAK")]);
    assert!(world.run_until(|world| lines(world, "spot SOLUSDT can't be traded now") == 1, 60 * SEC));
    world.run_for(SEC);
    let sent = world.shadow().totals.sent;
    world.run_for(30 * SEC);
    assert_eq!(world.shadow().totals.sent, sent, "{:?}", world.orders());
    let reasons = why(&mut world, "SOL").reasons;
    assert!(reasons.iter().any(|why| why.contains("its status is BREAK")), "{reasons:?}");
    faults(&mut world, &[status("TRADING")]);
    assert!(world.run_until(|world| lines(world, "may be traded again") == 1, 60 * SEC));
    world.run_for(10 * SEC);
    assert!(world.shadow().totals.sent > sent, "and then it trades again");
    end(world);
}

/// F98: lower limits are read within ten minutes, here one, and kept.
#[test]
fn limits_that_were_lowered_are_read_again_and_kept() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "limit", "market": "spot", "orders_10s": 40, "weight_1m": 3_000})]);
    world.run_for(60 * SEC);
    world.ask(Ask::Status);
    world.run_for(10 * MS);
    let Some(Reply::Status(status)) = world.replies().last() else { panic!("{:?}", world.replies()) };
    let limit = |lane: &str, kind, seconds: u64| {
        let mut rows = status.budgets.iter();
        let row = rows.find(|it| it.lane == lane && it.kind == kind && it.window_ns == seconds * SEC);
        row.map(|row| row.limit).unwrap()
    };
    assert_eq!(limit("binance spot", Kind::Orders, 10), 40);
    assert_eq!(limit("binance spot", Kind::Weight, 60), 3_000);
    assert_eq!(limit("binance perp", Kind::Weight, 60), 2_400);
    end(world);
}

/// F67: a repair met the price band. Where that lies is read again, and the next one keeps inside.
#[test]
fn r09_a_repair_refused_for_the_price_band_leaves_again_at_its_edge() {
    let unfunded = |market: &str| match market {
        "spot" => {
            json!({"kind": "refuse", "market": "spot", "code": -2010, "msg": "Account has insufficient balance for requested action."})
        }
        _ => json!({"kind": "refuse", "market": "usdm", "code": -2019, "msg": "Margin is insufficient."}),
    };
    // Coins whose short was refused are sold: 4 bp below the middle at most.
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[unfunded("usdm"), rules("spot", &json!({"down_ppm": 999_600}))]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 3, 10 * SEC), "no repair");
    world.run_for(2 * SEC);
    assert_eq!(refused(&world), [-2019, -1013], "{:?}", world.lines());
    assert_eq!(world.truth()["naked"]["now"], json!([]), "{:?}", world.orders());
    assert_eq!(world.shadow().mode(), Mode::Trading);
    end(world);

    // A short whose coins were refused is bought back: 3 bp above a mark that lags behind.
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[unfunded("spot"), rules("usdm", &json!({"up_ppm": 1_000_300}))]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 3, 10 * SEC), "no repair");
    world.run_for(6 * SEC);
    let refused = refused(&world);
    assert_eq!(refused[..2], [-2010, -4016], "{refused:?}");
    assert!(refused.len() <= 4, "each is read anew: {refused:?}");
    assert_eq!(world.truth()["naked"]["now"], json!([]), "{:?}", world.orders());
    end(world);
}

/// F105, R16: a contract that has its day of settlement is closed a day before it, and takes no entry from the
/// moment that is known.
#[test]
fn r16_a_contract_that_ends_is_closed_a_day_before_it() {
    let delivery = |hours: u64| json!({"kind": "delivery", "symbol": "SOLUSDT", "in_ms": hours * 3_600_000});
    let mut world = live(&Setup { exit_basis: None, ..sol() });
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC), "no entry");
    faults(&mut world, &[delivery(30)]);
    world.run_for(62 * SEC);
    assert_eq!(lines(&world, "ALERT: SOLUSDT is settled for good in 29 h"), 1, "{:?}", world.lines());
    assert_eq!((world.shadow().totals.sent, world.shadow().open_now()), (2, 1), "held until its time");
    faults(&mut world, &[delivery(23)]);
    assert!(world.run_until(|world| world.shadow().open_now() == 0, 62 * SEC), "{:?}", world.lines());
    world.run_for(20 * SEC);
    assert_eq!(
        (world.shadow().totals.sent, world.truth()["positions"].clone()),
        (4, json!([])),
        "no new entry"
    );
    assert_eq!(world.shadow().mode(), Mode::Trading);
    end(world);
}

/// F54: refused for want of funds: the account is read: what is missing there would be named (R20).
#[test]
fn r09_where_funds_are_refused_the_account_is_read() {
    let mut world = live(&one_entry("SOL", 11));
    let unfunded = json!({"kind": "refuse", "market": "spot", "code": -2010, "msg": "Account has insufficient balance for requested action."});
    faults(&mut world, &[unfunded]);
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    let from = world.now().plus(MS / 2);
    world.run_for(300 * MS);
    // A warming request may be among them; nothing else would be asked of spot now.
    let asked = world.asked(Door::SpotRest).into_iter().filter(|at| *at > from).count();
    assert!(asked >= 2, "its trades, then the balances: {asked}");
    end(world);
}

/// A market that takes no order would hear one at every quote: after each refusal a way out waits twice as long, up to
/// 16 s, by the operator's word, too; and once it is taken the pair is left.
#[test]
fn a_way_out_that_is_refused_is_tried_less_and_less_often() {
    for flattens in [false, true] {
        let exit_basis = if flattens { None } else { sol().exit_basis };
        let mut world = live(&Setup { legs: Legs::PerpFirst, exit_basis, ..one_entry("SOL", 11) });
        assert!(world.run_until(|world| world.shadow().open_now() == 1, 20 * SEC));
        let said = "Invalid symbol status for opening position.";
        let refuse = json!({"kind": "refuse", "market": "usdm", "client_side": "BUY", "count": 7, "code": -4140, "msg": said});
        faults(&mut world, &[refuse]);
        if flattens {
            world.ask(Ask::Flatten("test".to_owned()));
        }
        let refused = |world: &mut World| world.truth()["refused"].as_array().unwrap().len();
        let late = world.now().plus(60 * SEC);
        while refused(&mut world) < 6 {
            world.run_for(100 * MS);
            assert!(world.shadow().totals.closed == 0 && world.now() < late, "{:?}", world.lines());
        }
        let told = why(&mut world, "SOL");
        let waits = told.decisions.iter().find(|told| told.name == "way_out").unwrap();
        assert_eq!(waits.numbers, [("refused", "6".to_owned())]);
        assert!(waits.verdict.ends_with("tried again in 16 s"), "{waits:?}");
        assert!(world.run_until(|world| world.shadow().totals.closed == 1, 90 * SEC), "{:?}", world.lines());
        let told = why(&mut world, "SOL");
        assert!(told.decisions.iter().all(|told| told.name != "way_out"), "{told:?}");
        let truth = world.truth();
        let at = truth["refused"].as_array().unwrap().iter().map(|row| row["received_us"].as_u64().unwrap());
        let at: Vec<u64> = at.collect();
        let waits: Vec<u64> = at.windows(2).map(|pair| (pair[1] - pair[0]) / 100_000).collect();
        let least = [5, 10, 20, 40, 80, 160];
        assert!(waits.len() == 6 && waits.iter().zip(least).all(|(wait, least)| *wait >= least), "{waits:?}");
        assert!(waits[5] < 200, "{waits:?}");
        end(world);
    }
}
