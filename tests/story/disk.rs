//! A slow disk: the journal falls behind, and nothing but entries waits for it (F113, FAULTS 7.1).
//!
//! Owns:  claims about what is traded meanwhile, and that nothing of it is lost.

use crate::told::{books_equal_truth, ended_clean, faults, live, records, struck};
use contango::event::{Mode, Reply};
use contango::rehearse::{Setup, World};
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::json;

/// Calendar µs at which a send round of a class left, by the journal.
fn fired(world: &World, class: &str) -> Vec<i64> {
    let rounds = records(world, Kind::Fired).into_iter();
    rounds.filter(|it| it["class"] == class).map(|it| it["at_us"].as_i64().unwrap()).collect()
}

fn between(times: &[i64], from: i64, to: i64) -> usize {
    times.iter().filter(|at| (from..to).contains(*at)).count()
}

fn said(world: &World, words: &str) -> usize {
    world.lines().iter().filter(|line| line.contains(words)).count()
}

fn now_us(world: &World) -> i64 {
    world.truth()["now_us"].as_i64().unwrap()
}

#[test]
fn a_disk_that_stalls_for_five_seconds_stops_entries_only_and_loses_nothing() {
    let mut world = live(&Setup::seeded(22));
    world.run_for(3 * SEC);
    let begun = now_us(&world);
    world.hold_syncs(true);
    world.run_for(1_900 * MS);
    assert_eq!((world.shadow().mode(), said(&world, "not durable")), (Mode::Trading, 0));
    // Two seconds after the first record that waits; something is written several times a second.
    assert!(world.run_until(|world| world.shadow().mode() == Mode::ReduceOnly, SEC), "{:?}", world.lines());
    assert_eq!(said(&world, "not durable"), 1);
    let late = now_us(&world);
    // The next exit loses a leg: its repair does not wait for the disk either.
    faults(&mut world, &[json!({"kind": "none", "market": "spot"})]);
    world.run_for(5 * SEC - 1_900 * MS);
    assert_eq!((world.shadow().mode(), said(&world, "not durable")), (Mode::ReduceOnly, 1));
    world.hold_syncs(false);
    world.run_for(100 * MS);
    let well = now_us(&world);
    assert_eq!((world.shadow().mode(), said(&world, "durable again")), (Mode::Trading, 1));
    world.run_for(10 * SEC);

    assert!(between(&fired(&world, "entry"), begun, late) > 0, "within its limit, a lag stops nothing");
    assert_eq!(between(&fired(&world, "entry"), late, well - 50_000), 0);
    assert!(between(&fired(&world, "exit"), late, well) > 0);
    assert_eq!(struck(&world, "none"), 1);
    assert!(between(&fired(&world, "repair"), late, well) > 0);
    assert!(between(&fired(&world, "entry"), well, i64::MAX) > 0, "it trades again");
    let modes: Vec<_> = records(&world, Kind::Mode).into_iter().map(|it| it["mode"].clone()).collect();
    assert_eq!(modes.iter().filter(|mode| *mode == "reduce_only").count(), 1, "{modes:?}");
    assert!(world.stop());
    ended_clean(&world);
    books_equal_truth(&world);
}

#[test]
fn a_lagging_journal_is_what_status_and_why_tell() {
    let mut world = live(&Setup::seeded(22));
    world.hold_syncs(true);
    world.run_for(3 * SEC);
    for ask in [contango::event::Ask::Status, contango::event::Ask::Why("BTC".to_owned())] {
        world.ask(ask);
    }
    world.run_for(10 * MS);
    match world.replies() {
        [Reply::Status(status), Reply::Why(pair)] => {
            assert_eq!(status.mode, Mode::ReduceOnly);
            assert!(status.why.contains("check the disk"), "{}", status.why);
            assert!(pair.reasons.iter().any(|why| why.contains("check the disk")), "{:?}", pair.reasons);
        }
        other => panic!("{other:?}"),
    }
}
