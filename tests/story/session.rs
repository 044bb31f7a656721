//! What a room took in, given to it again, makes it decide the same, whatever happened meanwhile.

use crate::told::{faults, live, struck};
use contango::agents::replay::Replay;
use contango::agents::trader::TraderCounts;
use contango::agents::trader::contingent::Legs;
use contango::event::Ask;
use contango::rehearse::{Setup, World};
use contango::sim::Door;
use contango::units::Ratio;
use contango::units::time::{MS, SEC};
use contango::venue::Orders;
use serde_json::json;

pub(crate) fn recorded(setup: Setup) -> Setup {
    Setup { record: true, ..setup }
}

fn hash(replay: &mut Replay) -> String {
    replay.rooms().unwrap().0.decisions.sha256()
}

/// Plays what the world recorded: the decisions, the counts and the books are those of the run.
#[track_caller]
pub(crate) fn comes_out_the_same(world: &World, setup: &Setup) {
    let mut played = setup.replay(setup, &world.session()).unwrap();
    let (trader, shadow) = played.rooms().unwrap();
    assert!(trader.decisions.lines > 0);
    assert_eq!(trader.decisions.lines, world.shadow().totals.decisions());
    assert_eq!(trader.decisions.sha256(), world.decisions_hash());
    // What lay sealed is in no recording: played again, those orders are only prepared.
    let counted = |counts: &TraderCounts| {
        let prepared = counts.prepared + counts.sealed;
        TraderCounts { prepared, sealed: 0, ..*counts }
    };
    assert_eq!(counted(world.trader()), counted(&trader.room().counts), "all that the trader counted");
    let (then, now) = (world.shadow(), shadow.room());
    assert_eq!(then.totals.decisions_sha256(), now.totals.decisions_sha256());
    assert_eq!(then.profit(), now.profit());
    assert_eq!(then.fills_booked(), now.fills_booked());
    let told = |shadow: &contango::agents::shadow::Shadow| {
        let totals = &shadow.totals;
        let counts =
            [totals.opened, totals.closed, totals.repaired, totals.sent, totals.filled, totals.refused];
        (
            counts,
            shadow.mode(),
            shadow.open_now(),
            shadow.unknown_now(),
            shadow.unrealised(),
            shadow.ended().clone(),
        )
    };
    assert_eq!(told(then), told(now));
}

#[test]
fn with_any_legs_and_seed_all_comes_out_the_same() {
    for (seed, legs) in [(1, Legs::Together), (2, Legs::PerpFirst), (3, Legs::SpotFirst)] {
        let setup = recorded(Setup { legs, ..Setup::seeded(seed) });
        let mut world = live(&setup);
        world.run_for(6 * SEC);
        comes_out_the_same(&world, &setup);
        assert!(world.stop());
        comes_out_the_same(&world, &setup);
    }
}

#[test]
fn faults_cuts_and_the_operator_are_part_of_what_a_room_took_in() {
    // By requests, and by frames, whose masks are part of it, too; signed, and on sockets that are logged on.
    for orders in [Orders::Rest, Orders::Ws] {
        let setup = recorded(Setup { legs: Legs::PerpFirst, orders, ..Setup::seeded(7) });
        under_faults(&setup);
        under_faults(&setup.of_ed25519());
    }
}

fn under_faults(setup: &Setup) {
    let doors = match setup.orders {
        Orders::Rest => [Door::SpotRest, Door::UsdmRest],
        Orders::Ws => [Door::SpotWsApi, Door::UsdmWsApi],
    };
    let mut world = live(setup);
    let orders = [
        json!({"kind": "dup_user", "market": "usdm", "count": 20}),
        json!({"kind": "delay_ack", "market": "usdm", "ms": 30, "count": 20}),
        json!({"kind": "partial", "market": "usdm", "fraction_ppm": 400_000}),
        json!({"kind": "drop_ack", "market": "usdm"}),
        json!({"kind": "none", "market": "spot"}),
    ];
    faults(&mut world, &orders);
    world.run_for(4 * SEC);
    world.cut_link(doors[0]);
    world.run_for(SEC);
    world.hold(doors[1], true);
    world.run_for(300 * MS);
    world.hold(doors[1], false);
    world.cut_link(Door::UsdmWs);
    world.hold_syncs(true);
    world.run_for(4 * SEC);
    world.hold_syncs(false);
    world.run_for(3 * SEC);
    assert!(struck(&world, "drop_ack") == 1 && world.trader().feed_lost > 0);
    world.ask(Ask::Halt("lunch".to_owned()));
    world.run_for(SEC);
    world.ask(Ask::Resume("back".to_owned()));
    world.run_for(2 * SEC);
    world.ask(Ask::Kill("enough".to_owned()));
    world.run_for(SEC);
    comes_out_the_same(&world, setup);
}

/// The second process knows of the first by the journal and by the intent records alone; both are in its file.
#[test]
fn a_process_that_found_another_ones_orders_comes_out_the_same() {
    let setup = recorded(Setup { settle_ns: SEC, ..Setup::seeded(5) });
    for more in 0..4 {
        let mut world = live(&setup);
        world.run_for(3 * SEC + more * 137 * MS);
        world.kill_process(&setup).unwrap();
        assert!(world.run_until_live());
        world.run_for(4 * SEC);
        comes_out_the_same(&world, &setup);
    }
}

#[test]
fn a_changed_threshold_decides_otherwise_and_the_same_one_does_not() {
    let setup = recorded(Setup::seeded(9));
    let mut world = live(&setup);
    world.run_for(8 * SEC);
    let file = world.session();
    let with = |min_basis: i64| {
        let mut other = setup.clone();
        other.policy.min_basis = Ratio::from_num(min_basis) / 10_000;
        let mut played = other.replay(&setup, &file).unwrap();
        (played.rooms().unwrap().0.decisions.lines, hash(&mut played))
    };
    let (all, same) = with(0);
    assert_eq!(same, world.decisions_hash());
    let (some, other) = with(60);
    assert!(other != same && some > 0);
    assert_eq!(with(60), (some, other), "and the same each time");
    // What the recorded run held is left all the same: the books are its own.
    let (exits, _) = with(5_000);
    assert!(exits < all, "{exits} of {all}: nothing is entered that pays so little");
}

#[test]
fn rooms_that_are_made_with_other_settings_than_told_go_astray() {
    let setup = recorded(Setup::seeded(9));
    let mut world = live(&setup);
    world.run_for(4 * SEC);
    let file = world.session();
    for other in [
        Setup { legs: Legs::PerpFirst, ..setup.clone() },
        Setup { entries_max: Some(1), ..setup.clone() },
        Setup { recv_window_ms: 900, ..setup.clone() },
    ] {
        let went = other.replay(&setup, &file).map(|mut played| hash(&mut played));
        assert!(went.is_err(), "{went:?}");
    }
}

#[test]
fn neither_key_nor_secret_is_in_a_session() {
    let setup = recorded(Setup::seeded(4));
    let mut world = live(&setup);
    faults(&mut world, &[json!({"kind": "expire_listen_key", "market": "usdm"})]);
    world.run_for(5 * SEC);
    let file = world.session();
    let holds = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("BTCUSDT") && holds("listenKeyExpired"), "it can be found");
    assert!(!holds(&setup.key.0) && !holds(&setup.key.1));
    let at = file.windows(13).position(|part| part == b"\"listenKey\":\"").unwrap();
    assert_eq!(&file[at + 13..at + 17], b"xxxx");
}
