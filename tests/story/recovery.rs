//! Crashes: a process dies at any moment, the next one finds every order, and the books equal the
//! venue's again (FAULTS part 7, I3, I4, I10, I11, I18).

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records};
use contango::agents::trader::contingent::Legs;
use contango::event::{Ask, Mode};
use contango::rehearse::{Room, Setup, World};
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC, US};
use serde_json::json;
use std::collections::BTreeSet;

/// A venue that shows everything within a second, and a person who expects crashes. Three pairs: what
/// a start asks for all twelve would use up a minute's weight in four starts.
fn crashing(seed: u64) -> Setup {
    let wanted = ["ETH", "SOL", "DOGE"].map(str::to_owned).to_vec();
    Setup { wanted: Some(wanted), settle_ns: SEC, crashes_max: (1_000, 600 * SEC), ..Setup::seeded(seed) }
}

/// After every crash of a story: nothing lost, doubled or forgotten, no id used twice.
#[track_caller]
fn whole(world: &mut World) {
    assert!(world.stop(), "{:?}", world.ended());
    ended_clean(world);
    books_equal_truth(world);
    let truth = world.truth();
    let mut ids = BTreeSet::new();
    for order in truth["orders"].as_array().unwrap() {
        assert!(ids.insert(order["client_order_id"].to_string()), "taken twice: {order}");
    }
    let unexplained = records(world, Kind::Baseline);
    let unexplained = unexplained.iter().filter(|record| record["unexplained"] != json!([]));
    assert_eq!(unexplained.count(), 0, "something was left unexplained");
}

#[test]
fn a_process_killed_at_any_moment_of_an_entry_is_followed_by_one_that_knows_every_order() {
    // From the send round to the last booking takes well under a millisecond here.
    let mut with_orders_out = 0;
    for n in 0..40 {
        let setup = Setup { settle_ns: SEC, ..one_entry("SOL", 11) };
        let mut world = live(&setup);
        assert!(world.run_until(|world| world.trader().sent() >= 2, 10 * SEC));
        world.run_for(n * 20 * US);
        with_orders_out += u64::from(world.shadow().unknown_now() > 0 || n == 0);
        world.kill_process(&setup).unwrap();
        assert!(world.run_until_live(), "moment {n}: {:?}", world.ended());
        assert_eq!(world.shadow().open_now(), 1, "moment {n}: both legs filled, so the pair is held");
        whole(&mut world);
    }
    assert!(with_orders_out >= 3, "{with_orders_out}");
}

#[test]
fn a_process_killed_again_and_again_while_trading_keeps_its_books() {
    for seed in 1..=6 {
        let setup = crashing(seed);
        let mut world = live(&setup);
        for n in 0..8 {
            world.run_for(300 * MS + (seed * 7 + n) * 137 * MS + n * 13 * US);
            world.kill_process(&setup).unwrap();
            // Also in the middle of starting and recovering.
            if n % 3 == 2 {
                world.run_for(seed * n * 400 * US);
                world.kill_process(&setup).unwrap();
            }
        }
        // So many starts weigh more than a minute has, what each reads of the account included.
        let live = world.run_until(|world| world.ended().live_at.is_some(), 150 * SEC);
        assert!(live, "seed {seed}: {:?}, {:?}", world.ended(), world.lines());
        world.run_for(3 * SEC);
        whole(&mut world);
        let segments = world.journal().len();
        assert!(segments >= 5, "seed {seed}: {segments} segments: starts never began with a checkpoint");
    }
}

#[test]
fn orders_that_never_reached_the_venue_are_proven_so_after_a_crash() {
    for (market, kind) in [("spot", "lose"), ("usdm", "lose"), ("spot", "drop_ack"), ("usdm", "drop_ack")] {
        let setup = Setup { settle_ns: SEC, ..one_entry("SOL", 11) };
        let mut world = live(&setup);
        faults(&mut world, &[json!({"kind": kind, "market": market})]);
        assert!(world.run_until(|world| world.trader().sent() >= 2, 10 * SEC));
        world.kill_process(&Setup { entries_max: Some(0), ..setup }).unwrap();
        assert!(world.run_until_live());
        world.run_for(SEC);
        let held = u64::from(kind == "drop_ack");
        assert_eq!(world.shadow().open_now(), held, "{market} {kind}: {:?}", world.orders());
        whole(&mut world);
        let evidence: Vec<String> = records(&world, Kind::OrderEnd)
            .iter()
            .map(|end| end["evidence"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(evidence.contains(&"C".to_owned()), kind == "lose", "{market} {kind}: {evidence:?}");
    }
}

/// The journal's tail and all intent records are gone: what the venue did is found there.
#[test]
fn after_a_power_loss_the_unknown_tail_is_found_at_the_venue() {
    let mut unwritten = 0;
    for seed in 1..=6 {
        let setup = crashing(seed);
        let mut world = live(&setup);
        world.run_for(2 * SEC);
        world.hold_syncs(true);
        world.run_for(150 * MS * seed);
        world.lose_power(&setup, seed as usize * 100).unwrap();
        assert!(world.run_until_live(), "{:?}", world.ended());
        let told = world.lines().iter().filter(|line| line.contains("in no record of ours")).count();
        unwritten += told;
        world.run_for(3 * SEC);
        whole(&mut world);
    }
    assert!(unwritten > 10, "the story lost {unwritten} orders' records: too few to mean anything");
}

#[test]
fn what_is_held_stays_held_over_a_clean_restart_and_is_closed_by_the_next_run() {
    let setup = Setup { exit_basis: None, ..one_entry("SOL", 11) };
    let mut world = live(&setup);
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 10 * SEC));
    whole(&mut world);
    let again =
        Setup { exit_basis: Some(contango::units::Ratio::from_num(1)), entries_max: Some(0), ..setup };
    world.kill_process(&again).unwrap();
    assert!(world.run_until_live());
    assert_eq!(world.shadow().open_now(), 1);
    assert!(world.run_until(|world| world.shadow().totals.closed == 1, 10 * SEC), "{:?}", world.orders());
    assert_eq!(world.shadow().totals.opened, 0, "it was opened by the run before");
    whole(&mut world);
    let positions = world.truth()["positions"].clone();
    assert!(positions.as_array().unwrap().iter().all(|row| row["qty"] == "0"), "{positions}");
}

#[test]
fn too_many_crashes_in_a_row_begin_halted_until_a_person_has_looked() {
    // Five pairs: a fourth start within a minute reads them all once more, and that must fit its weight.
    let wanted = Some(["BTC", "ETH", "SOL", "XRP", "DOGE"].map(str::to_owned).to_vec());
    let setup = Setup { settle_ns: SEC, wanted, ..Setup::seeded(4) };
    let mut world = live(&setup);
    for n in 0..3 {
        assert_eq!(world.shadow().mode(), Mode::Trading, "crash {n}");
        world.run_for(SEC);
        world.kill_process(&setup).unwrap();
        // So many starts weigh more than a minute has: the last waits until what it heard was used is over.
        let live = world.run_until(|world| world.ended().live_at.is_some(), 150 * SEC);
        assert!(live, "crash {n}: {:?}, {:?}", world.ended(), world.lines());
    }
    assert_eq!(world.shadow().mode(), Mode::Halted);
    assert!(world.lines().iter().any(|line| line.contains("--restart-limit")), "{:?}", world.lines());
    let before = world.orders().len();
    world.run_for(3 * SEC);
    assert_eq!(world.orders().len(), before);
    world.ask(Ask::Resume("it was the host".to_owned()));
    assert!(world.run_until(|world| world.orders().len() > before, 20 * SEC), "it trades again");
    whole(&mut world);
}

/// R20: what nobody can explain is not ours: its pair takes no entry, and nothing of it is touched.
#[test]
fn a_position_that_nobody_can_explain_is_left_alone() {
    let setup = Setup { settle_ns: SEC, ..Setup::seeded(5) };
    let mut world = live(&setup);
    world.run_for(2 * SEC);
    assert!(world.stop());
    world.fault(&json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "usdm"})).unwrap();
    world.run_for(SEC);
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live(), "the others trade: {:?}", world.ended());
    let frozen = world.shadow().why().find(|why| why.pair == "SOL").unwrap().frozen.map(str::to_owned);
    assert!(frozen.as_ref().is_some_and(|why| why.contains("SOL")), "{frozen:?}");
    let before = world.orders().iter().filter(|order| order.contains("SOLUSDT")).count();
    let others = world.orders().len();
    world.run_for(10 * SEC);
    assert_eq!(world.orders().iter().filter(|order| order.contains("SOLUSDT")).count(), before);
    assert!(world.orders().len() > others, "the others trade");
}

/// A crash between the legs of an exit: what is left of the spot leg is sold, though the books know no quote when
/// they are whole again.
#[test]
fn a_spot_leg_left_alone_by_a_crash_is_sold_after_the_restart() {
    let setup = Setup {
        legs: Legs::PerpFirst,
        settle_ns: SEC,
        wanted: Some(vec!["SOL".to_owned()]),
        ..Setup::seeded(11)
    };
    let mut world = live(&setup);
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 60 * SEC), "no entry");
    // The perp is closed, and nothing of it has come back yet.
    let closed = |world: &World| world.orders().last().is_some_and(|it| it.contains("reduce-only"));
    assert!(world.run_until(closed, 60 * SEC), "no exit");
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live(), "{:?} {:?}", world.ended(), world.lines());
    world.run_for(SEC);
    assert!(
        !world.lines().iter().any(|line| line.contains("less than any leg can trade")),
        "{:?}",
        world.lines()
    );
    assert_eq!(world.truth()["naked"]["now"], json!([]));
}

/// An order that only its intent record knows, of a pair that the next run does not trade: the run after that
/// still finds it.
#[test]
fn an_order_of_a_pair_that_a_run_leaves_out_is_not_forgotten() {
    let setup = Setup { settle_ns: SEC, ..one_entry("SOL", 11) };
    let mut world = live(&setup);
    let mut turn = world.now();
    let sent = |world: &World| world.trader().sent();
    let fires = |world: &World| {
        turn = if sent(world) == 0 { world.now() } else { turn };
        sent(world) >= 2
    };
    assert!(world.run_until(fires, 10 * SEC));

    let mut world = live(&setup);
    assert!(world.run_until(|world| world.now() == turn, 10 * SEC), "another story");
    world.freeze(Room::Shadow, true);
    world.run_for(MS);
    assert_eq!((sent(&world), records(&world, Kind::Fired).len()), (2, 0), "no journal knows of it");
    let elsewhere = Setup { wanted: Some(vec!["ETH".to_owned()]), entries_max: Some(0), ..setup.clone() };
    world.kill_process(&elsewhere).unwrap();
    world.run_for(300 * MS);
    assert!(records(&world, Kind::Note).iter().any(|note| note["text"].to_string().contains("SOLUSDT")));
    // It lasts longer than trades are read back; nothing moves at the venue meanwhile.
    let lasts = 15 * 60 * SEC;
    world.fault(&json!({"kind": "maintenance", "for_ms": lasts / MS})).unwrap();
    world.stand_still(lasts);
    world.run_for(300 * MS);
    world.kill_process(&Setup { entries_max: Some(0), ..setup }).unwrap();
    assert!(world.run_until_live(), "{:?}", world.ended());
    assert_eq!(world.shadow().open_now(), 1, "both legs filled: {:?}", world.orders());
    // The run in between could not explain what was paid for SOL, and said so.
    assert!(world.stop(), "{:?}", world.ended());
    ended_clean(&world);
    books_equal_truth(&world);
}
