//! Leg repair, rule by rule (FAULTS part 6): what the box saw, what is held, what the journal says.
//!
//! Owns:  one story per R rule that Binance can bring about.
//! Map:   `forced` has more of what the venue does by itself, `doubt` more of fates unknown.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records};
use contango::event::Mode;
use contango::rehearse::{Setup, World};
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::{Value, json};

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

/// R14: half of the short is taken away: its coins are sold at once, the rest is held, nothing is
/// opened again, and the other pairs of the venue take no entry for half an hour.
#[test]
fn r14_what_auto_deleveraging_took_is_matched_by_selling_its_coins() {
    let mut world = held(&one_entry("SOL", 11));
    world.fault(&force("adl", "SOLUSDT", 500_000)).unwrap();
    world.run_for(2 * MS);
    assert_eq!(world.shadow().totals.sent, 3, "the coins are sold within a turn of knowing");
    world.run_for(7 * SEC);
    assert!(world.stop());
    assert_eq!(
        after_entry(&world),
        ["buy perp SOLUSDT 1.51 FILLED 1.51 reduce-only", "sell spot SOLUSDT 1.51 FILLED 1.51"]
    );
    assert_eq!(causes(&world), ["adl"]);
    assert_eq!(world.shadow().open_now(), 1, "what is matched is held");
    assert_eq!(alerts(&world, "an auto-deleveraging of SOLUSDT"), 1);
    assert!(frozen(&world)[0].contains("auto-deleveraging"), "{:?}", frozen(&world));
    let notes = records(&world, Kind::Note);
    let looked =
        notes.iter().filter(|note| note["text"].as_str().unwrap().contains("SOLUSDT is to be read again"));
    assert_eq!(looked.count(), 2, "after 1 s and 5 s");
    assert!(naked_us(&world) < 1_000, "{} µs", naked_us(&world));
    books_equal_truth(&world);
    ended_clean(&world);
}
