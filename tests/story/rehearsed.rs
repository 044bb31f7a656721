//! Sessions: kept ones never break again, a seed tells its session again, and a judge that can't fail is none.

use contango::rehearse::Plan;
use contango::rehearse::cells::{Cell, List};
use contango::rehearse::session::{run, shrunk};
use std::fs;
use std::path::Path;

/// Every script that was ever kept, in the order of its name.
#[test]
fn kept_sessions_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regress");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "jsonl")) {
        let plan = Plan::read(&fs::read_to_string(file).unwrap()).unwrap();
        let broken = run(&plan).broken.map(|(broken, ..)| broken.to_string());
        assert_eq!(broken, None, "{}", file.display());
    }
}

#[test]
fn a_seed_tells_its_session_again_and_a_script_tells_it_too() {
    let plan = Plan::drawn(7);
    let first = run(&plan);
    assert!(first.round_trips > 3 && first.events > 1_000, "{first:?}");
    assert_eq!(first.hash, run(&plan).hash);
    let read = Plan::read(&plan.script()).unwrap();
    assert_eq!(read.strikes.len(), plan.strikes.len());
    assert_eq!(first.hash, run(&read).hash);
    assert_ne!(first.hash, run(&Plan::drawn(8)).hash);
}

/// A dead engine breaks nothing, so it must be noticed: one whose threshold nothing meets.
#[test]
fn an_engine_that_does_not_trade_fails_and_needs_no_fault_for_it() {
    let mut plan = Plan::drawn(7);
    plan.setup.policy.min_basis = contango::units::Ratio::ONE;
    let (broken, ..) = run(&plan).broken.expect("nothing was traded");
    assert_eq!(broken.invariant, 19);
    assert_eq!(shrunk(&plan, 19, 20).strikes, []);
}

/// A few cells of both lists; `.ci/run` has more, `tools/long/cells.sh` all.
#[test]
fn cells_hold_and_meet_what_they_are_about() {
    for (list, few) in [(List::Aimed, 379), (List::Small, 9_001)] {
        let cells = Cell::all(list).into_iter().filter(|cell| cell.ruled_out().is_none());
        for cell in cells.step_by(few) {
            let outcome = run(&cell.plan());
            assert_eq!((outcome.broken, outcome.unmet), (None, None), "{}", cell.name());
            assert!(outcome.round_trips > 0 && !outcome.coverage.0.is_empty(), "{}", cell.name());
        }
    }
}

/// What waits for a state that no order came into is told, not counted as lived through.
#[test]
fn a_moment_that_never_came_is_told() {
    let cell =
        Cell::all(List::Aimed).into_iter().find(|cell| cell.name() == "F6/never-landed/spot/in").unwrap();
    let mut plan = cell.plan();
    assert_eq!(run(&plan).unmet, None);
    // Without the fault that loses the order.
    plan.strikes.remove(0);
    let outcome = run(&plan);
    assert!(outcome.unmet.is_some_and(|why| why.contains("never-landed")));
    assert_eq!(outcome.faults.iter().map(|(injected, _)| injected).sum::<u64>(), 0);
}
