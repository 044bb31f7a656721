//! A market out of service while the other goes on: maintenance and bans (FAULTS F95 to F97, F88; binance.md
//! §13, §17).
//!
//! Owns:  claims that what is held stays hedged and booked, that nothing is forced, and that trading resumes.

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::rehearse::{Setup, World};
use contango::sim::{self, Door};
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use serde_json::json;

/// When entries were sent, µs.
fn entries(world: &World) -> Vec<u64> {
    let fired = records(world, Kind::Fired);
    let entries = fired.iter().filter(|row| row["class"] == "entry");
    entries.map(|row| row["at_us"].as_u64().unwrap()).collect()
}

/// By a script, as `contango sim --script` plays it: entries cease, and begin again by themselves.
#[test]
fn a_spot_maintenance_in_the_midst_of_trading_is_waited_out() {
    let script = sim::Script::read(include_str!("../fixtures/faults_maintenance.jsonl")).unwrap();
    let box_config = sim::Config { script, ..sim::Config::default() };
    let wanted = Some(["ETH", "SOL", "DOGE"].map(str::to_owned).to_vec());
    let mut world = live(&Setup { box_config, wanted, ..Setup::seeded(7) });
    // The script counts from the first connection, which came before the engine was live.
    while struck(&world, "maintenance") == 0 {
        assert!(world.now().0 < 60 * SEC, "the script was not played");
        world.run_for(50 * MS);
    }
    let before = entries(&world).len();
    assert!(before > 0, "it was trading");
    // What was on its way is learned of within a second.
    world.run_for(SEC);
    let quiet = entries(&world).len();
    world.run_for(18 * SEC);
    assert_eq!(entries(&world).len(), quiet, "no entry with one leg");
    let opened = world.shadow().totals.opened;
    let again = world.run_until(|world| world.shadow().totals.opened > opened, 90 * SEC);
    assert!(again, "and then it trades again: {:?}", world.lines());
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

#[test]
fn a_banned_perp_market_is_left_alone_until_the_ban_ends() {
    let mut world = live(&Setup::seeded(7));
    world.run_for(5 * SEC);
    assert!(world.shadow().totals.sent > 0, "it was trading");
    faults(&mut world, &[json!({"kind": "ban", "market": "usdm", "for_ms": 30_000})]);
    let ends = world.now().plus(30 * SEC);
    let heard = |world: &World| world.lines().iter().any(|line| line.contains("asked to wait"));
    assert!(world.run_until(heard, 29 * SEC), "{:?}", world.lines());
    world.run_for(10 * MS);
    let (from, sent) = (world.now(), entries(&world).len());
    world.run_for(ends.since(from));
    let asked = world.asked(Door::UsdmRest).into_iter().filter(|at| *at > from && *at < ends).count();
    assert_eq!((asked, entries(&world).len()), (0, sent), "nothing leaves before the ban's end");
    let opened = world.shadow().totals.opened;
    let again = world.run_until(|world| world.shadow().totals.opened > opened, 60 * SEC);
    assert!(again, "and then it trades again: {:?}", world.lines());
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// A venue that answers nothing is asked less and less often: the clocks that a stepped calendar made unknown, and the
/// account that lost streams made doubtful. What was asked meanwhile leaves room to look when it is over.
#[test]
fn a_maintenance_hears_no_storm_of_questions() {
    let setup = Setup { entries_max: Some(1), exit_basis: None, ..Setup::seeded(11) };
    let mut world = live(&setup);
    assert!(world.run_until(|world| world.shadow().open_now() >= 1, 20 * SEC));
    faults(
        &mut world,
        &[json!({"kind": "cut_user", "market": "both"}), json!({"kind": "maintenance", "for_ms": 20_000})],
    );
    world.act(&json!({"kind": "clock", "by_ms": 700}), &setup).unwrap();
    let from = world.now();
    world.run_for(20 * SEC);
    for door in [Door::SpotRest, Door::UsdmRest] {
        let asked = world.asked(door).into_iter().filter(|at| *at > from).count();
        assert!((10..=80).contains(&asked), "{door:?} was asked {asked} times in 20 s");
    }
    world.run_for(20 * SEC);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// F88, evidence C item 5: USD-M drops dead orders after three days, so four days later "not found" is no evidence C
/// of a perp order, and the trades of its life decide; of the spot leg, refused by the maintenance, it still is. A
/// hundred days later spot has forgotten too, whose trades have no end, and USD-M tells no trades of then: nobody can say.
#[test]
fn an_order_older_than_the_venues_memory_is_never_called_lost() {
    const DAY_MS: u64 = 86_400_000;
    let setup = |seed| Setup { settle_ns: SEC, ..one_entry("SOL", seed) };
    // Which leg goes first is for the visible sizes to say: here the perp's, and spot is still on its way.
    let lost = |seed| {
        let mut world = live(&setup(seed));
        faults(&mut world, &[json!({"kind": "lose", "market": "usdm"})]);
        assert!(world.run_until(|world| struck(world, "lose") == 1, 10 * SEC));
        world.orders().is_empty().then_some((world, setup(seed)))
    };
    for (days, by_c, by_fills, unknown) in [(2, 2, 0, 0), (4, 1, 1, 0), (100, 0, 1, 1)] {
        let (mut world, setup) = (11..30).find_map(lost).unwrap();
        // Nothing moves at the venue meanwhile.
        faults(&mut world, &[json!({"kind": "maintenance", "for_ms": days * DAY_MS})]);
        world.stand_still(days * DAY_MS * MS + SEC);
        world.kill_process(&Setup { entries_max: Some(0), ..setup.clone() }).unwrap();
        world.run_for(30 * SEC);
        let ends = records(&world, Kind::OrderEnd);
        let ended = |by: &str| ends.iter().filter(|end| end["evidence"] == by).count();
        assert_eq!(
            (ended("C"), ended("fills"), world.shadow().unknown_now()),
            (by_c, by_fills, unknown),
            "{days}: {:?}",
            world.lines()
        );
    }
}
