//! The operator's word: halt, resume, flatten, kill, and what of it outlives a crash (I6, FAULTS part 1).

use crate::told::{books_equal_truth, ended_clean, faults, live, one_entry, records, struck};
use contango::agents::trader::contingent::Legs;
use contango::event::{Ask, Mode, Reply};
use contango::rehearse::{Setup, World};
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC, US};
use serde_json::json;
use std::collections::BTreeMap;

/// The way of every chunk, to the nanosecond: what left before a moment has arrived this much later.
const WAY: u64 = 50 * US;

/// All orders of legs: in two of them the second leg waits for the fill of the first.
const LEGS: [Legs; 3] = [Legs::Together, Legs::PerpFirst, Legs::SpotFirst];

fn orders(world: &World) -> usize {
    world.truth()["orders"].as_array().unwrap().len()
}

fn why() -> String {
    "story".to_owned()
}

/// Asks, and waits for the reply.
#[track_caller]
fn told(world: &mut World, ask: Ask) -> Reply {
    let before = world.replies().len();
    world.ask(ask);
    assert!(world.run_until(|world| world.replies().len() > before, SEC), "no reply");
    world.replies()[before].clone()
}

#[track_caller]
fn done(world: &mut World, ask: Ask, mode: Mode) {
    match told(world, ask) {
        Reply::Done { mode: now, .. } => assert_eq!(now, mode),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(world: &mut World, ask: Ask, words: &str) {
    match told(world, ask) {
        Reply::Refused(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

fn modes(world: &World) -> Vec<String> {
    let by_operator = records(world, Kind::Mode).into_iter().filter(|row| row.get("by").is_some());
    by_operator
        .map(|row| format!("{}: {}", row["mode"].as_str().unwrap(), row["why"].as_str().unwrap()))
        .collect()
}

/// I6. Thirty moments of lively trading: some between orders, some the very microsecond of a send round.
#[test]
fn after_a_kill_no_order_byte_leaves_in_any_later_turn_nor_after_a_restart() {
    let mut in_flight = 0;
    for seed in 0..30 {
        let setup = Setup { delay_ns: WAY..=WAY, legs: LEGS[seed as usize % 3], ..Setup::seeded(seed) };
        let mut world = live(&setup);
        // The seed draws how many orders come first, and how long after the last of them.
        let first = 1 + (seed * 7 % 11) as usize;
        assert!(world.run_until(|world| orders(world) >= first, 20 * SEC), "seed {seed}: no trading");
        world.run_for([0, 5 * US, 40 * US, 130 * US, 3 * MS, 333 * MS][seed as usize % 6]);
        world.ask(Ask::Kill(why()));
        let before = orders(&world);
        // What had left by then arrives within its way.
        world.run_for(WAY);
        let landed = orders(&world);
        in_flight += landed - before;
        world.run_for(5 * SEC);
        assert_eq!(orders(&world), landed, "seed {seed}: an order after the kill");
        assert_eq!(world.shadow().mode(), Mode::Killed);
        assert!(matches!(world.replies(), [Reply::Done { mode: Mode::Killed, .. }]), "{:?}", world.replies());

        world.kill_process(&setup).unwrap();
        assert!(world.run_until_live(), "it connects all the same: {:?}", world.ended());
        world.run_for(5 * SEC);
        assert_eq!((orders(&world), world.shadow().mode()), (landed, Mode::Killed), "seed {seed}");
        let line = world.lines().iter().find(|line| line.contains("KILLED")).unwrap();
        assert!(line.contains("story") && line.contains("contango ctl resume --reason"), "{line}");
    }
    println!("{in_flight} orders were on their way at a kill");
}

/// How many orders the trader gave to the kernel.
fn sent(world: &World) -> u64 {
    world.trader().sent()
}

/// I6, at the worst moment: the latch goes up just before the very turn that would have sent. The same
/// story is told twice, so that the turn is known.
#[test]
fn a_kill_in_the_turn_of_a_send_round_stops_it() {
    for seed in 0..12 {
        let setup = Setup { legs: LEGS[seed as usize % 3], ..Setup::seeded(seed) };
        let mut world = live(&setup);
        let (wanted, mut turn) = (3 + seed, world.now());
        let found = world.run_until(
            |world| {
                let seen = sent(world) >= wanted;
                turn = if seen { turn } else { world.now() };
                seen
            },
            20 * SEC,
        );
        assert!(found, "seed {seed}: no trading");

        let mut world = live(&setup);
        assert!(world.run_until(|world| world.now() == turn, 20 * SEC), "another story");
        let before = sent(&world);
        assert!(before < wanted);
        if seed % 2 == 0 {
            world.kill();
        } else {
            world.ask(Ask::Kill(why()));
        }
        world.run_for(2 * SEC);
        assert_eq!(sent(&world), before, "seed {seed}");
        assert_eq!(orders(&world) as u64, before);
    }
}

/// The record proves it by the trader's own count: turns in which a byte left, and the turn that found the
/// latch set, all of one run.
#[track_caller]
fn no_turn_sends_once_the_latch_was_read(world: &World) {
    let readings = records(world, Kind::Note).into_iter().filter(|note| note.get("latch").is_some());
    let readings: Vec<_> =
        readings.map(|note| (note["latch"].clone(), note["turn"].as_u64().unwrap())).collect();
    let [(latch, read)] = readings.as_slice() else { panic!("{readings:?}") };
    assert_eq!(latch, "set");
    for round in records(world, Kind::Fired) {
        let wire = round["legs"].as_array().unwrap().iter().any(|leg| leg["wire"] != "nothing");
        assert!(!wire || round["turn"].as_u64().unwrap() < *read, "read in turn {read}: {round:?}");
    }
}

/// I6 at all moments around a send round: the latch goes up before each of 48 turns in a row, from well before
/// the round until its answers are in and booked. Nothing leaves in that turn or a later one, nor after a restart.
#[test]
fn a_kill_at_any_turn_around_a_send_round_holds() {
    const BEFORE: u64 = 16;
    for legs in LEGS {
        let setup = Setup { legs, ..Setup::seeded(5) };
        let mut world = live(&setup);
        assert!(world.run_until(|world| sent(world) >= 4, 20 * SEC), "no trading");
        let round = world.turns();
        let (mut cut, mut whole) = (0, 0);
        for turn in round - BEFORE..round + 2 * BEFORE {
            let mut world = live(&setup);
            assert!(world.run_until(|world| world.turns() == turn, 20 * SEC), "another story");
            let before = sent(&world);
            world.ask(Ask::Kill(why()));
            world.run_for(300 * MS);
            assert_eq!(sent(&world), before, "{legs:?}, turn {turn} of {round}");
            no_turn_sends_once_the_latch_was_read(&world);
            (cut, whole) = if before < 4 { (cut + 1, whole) } else { (cut, whole + 1) };
            if turn % 8 == 0 {
                world.kill_process(&setup).unwrap();
                assert!(world.run_until_live());
                world.run_for(2 * SEC);
                assert_eq!((sent(&world), world.shadow().mode()), (0, Mode::Killed));
            }
        }
        assert!(cut > 0 && whole > 0, "{cut} moments before the round, {whole} behind it");
    }
}

#[test]
fn only_a_reason_leaves_killed_and_then_it_trades_again_after_a_restart_too() {
    let setup = Setup::seeded(3);
    let mut world = live(&setup);
    assert!(world.run_until(|world| orders(world) > 0, 20 * SEC));
    done(&mut world, Ask::Kill(why()), Mode::Killed);
    refused(&mut world, Ask::Halt(why()), "killed");
    refused(&mut world, Ask::Flatten(why()), "killed");
    refused(&mut world, Ask::Resume(String::new()), "--reason TEXT");
    refused(&mut world, Ask::Resume("  ".to_owned()), "--reason TEXT");
    let killed = orders(&world);
    world.run_for(5 * SEC);
    assert_eq!(orders(&world), killed);
    done(&mut world, Ask::Resume("looked at it".to_owned()), Mode::Trading);
    assert!(world.run_until(|world| orders(world) > killed, 20 * SEC), "it trades again");
    assert_eq!(modes(&world), ["killed: story", "trading: looked at it"]);
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    let before = orders(&world);
    assert!(world.run_until(|world| orders(world) > before, 20 * SEC));
    assert!(world.stop());
    books_equal_truth(&world);
}

/// A resume and a kill in one turn: the kill holds, whichever was said first.
#[test]
fn a_kill_beats_a_resume_of_the_same_moment() {
    let mut world = live(&Setup::seeded(4));
    done(&mut world, Ask::Halt(why()), Mode::Halted);
    world.ask(Ask::Resume(why()));
    world.ask(Ask::Kill(why()));
    world.run_for(SEC);
    assert_eq!(world.shadow().mode(), Mode::Killed);
    let before = orders(&world);
    world.run_for(5 * SEC);
    assert_eq!(orders(&world), before);
}

/// Whoever resumes may have traded by hand meanwhile: the books are held against the venue's first.
#[test]
fn resume_compares_the_books_with_the_venue_before_an_entry() {
    let setup = Setup::seeded(5);
    let mut world = live(&setup);
    assert!(world.run_until(|world| orders(world) > 0, 20 * SEC));
    done(&mut world, Ask::Halt(why()), Mode::Halted);
    world.run_for(2 * SEC);
    let baselines = records(&world, Kind::Baseline).len();
    world.fault(&json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot"})).unwrap();
    world.run_for(SEC);
    let fired = records(&world, Kind::Fired).len();
    world.ask(Ask::Resume(why()));
    let entries = |world: &World| -> Vec<u64> {
        let later =
            records(world, Kind::Fired).into_iter().skip(fired).filter(|round| round["class"] == "entry");
        later.map(|round| round["at_us"].as_u64().unwrap()).collect()
    };
    assert!(world.run_until(|world| !entries(world).is_empty(), 60 * SEC), "it trades again");
    let read = records(&world, Kind::Baseline);
    assert_eq!(read.len(), baselines + 2, "both markets");
    let resumed = records(&world, Kind::Mode).last().unwrap()["at_us"].as_u64().unwrap();
    let entry = entries(&world)[0];
    let told = read.iter().map(|record| record["at_us"].as_u64().unwrap()).max().unwrap();
    assert!(resumed <= told && told <= entry, "{resumed} {told} {entry}");
    assert!(
        world.shadow().why().any(|why| why.pair == "SOL" && why.frozen.is_some()),
        "not ours, not touched"
    );
}

/// F116: an order with our mark, of a run that never began here, is a second engine's or tells of an old copy of the
/// books: both would repair what the other does. Its first event on a private stream halts, and nobody touches it.
#[test]
fn an_order_of_a_run_that_never_began_here_halts() {
    let mut world = live(&Setup::seeded(5));
    assert!(world.run_until(|world| orders(world) > 0, 20 * SEC));
    // Instance 0, epoch 1 000 000, sequence 77, its spot leg (FAULTS 7.2).
    let twin = (0b101_u64 << 60 | 1_000_000 << 34 | 77 << 6).to_string();
    let order = json!({"kind": "foreign_order", "symbol": "SOLUSDT", "market": "spot", "client_id": twin});
    world.fault(&order).unwrap();
    world.run_for(SEC);
    assert_eq!(world.shadow().mode(), Mode::Halted);
    let told = records(&world, Kind::Mode);
    let why = told.last().unwrap()["why"].as_str().unwrap();
    assert!(why.contains("has epoch 1000000") && why.contains("another engine uses instance 0"), "{why}");
    assert!(records(&world, Kind::Fill).iter().all(|fill| fill["client_id"] != twin.as_str()), "not ours");
}

/// F109: a venue that restricts the account refuses every order for that. What is held stays as it is, a person is told
/// once, and nothing is sent before he resumes; then trading goes on.
#[test]
fn a_restricted_account_halts_and_leaves_both_legs_as_they_are() {
    for (market, exits, code) in [("spot", false, -2010), ("usdm", false, -4088), ("usdm", true, -4087)] {
        let setup = Setup::seeded(5);
        let mut world = live(&setup);
        assert!(world.run_until(|world| orders(world) > 0, 20 * SEC));
        let order = json!({"kind": "restrict", "market": market, "exits": exits, "for_ms": 60_000});
        world.fault(&order).unwrap();
        let halted = world.run_until(|world| world.shadow().mode() == Mode::Halted, 40 * SEC);
        assert!(halted, "{market} {exits}");
        let noted = |world: &World, words: &str| {
            let notes = records(world, Kind::Note).into_iter();
            notes.filter(|note| note["text"].as_str().is_some_and(|text| text.contains(words))).count()
        };
        assert_eq!(noted(&world, &format!("the account may not place this order (code {code})")), 1);
        // What the refused order left unhedged is put right on the other leg.
        world.run_for(20 * SEC);
        assert_eq!(noted(&world, "unhedged for"), 0, "{market} {exits}");
        let left = records(&world, Kind::Fired).len();
        world.run_for(45 * SEC);
        assert_eq!(records(&world, Kind::Fired).len(), left, "halted, and nothing to repair");
        done(&mut world, Ask::Resume(why()), Mode::Trading);
        assert!(
            world.run_until(|world| records(world, Kind::Fired).len() > left, 60 * SEC),
            "it trades again"
        );
        assert_eq!(noted(&world, "it is restricted"), 1, "told once");
    }
}

/// F109 while everything is being closed: each try could close one leg and be refused the other, so it ends, halted, and
/// a person is called. What it left of one leg is put right, as soon as the venue lets it (R18).
#[test]
fn a_flattening_ends_where_the_account_is_restricted() {
    let setup = Setup::seeded(5);
    let mut world = live(&setup);
    assert!(world.run_until(|world| world.shadow().open_now() > 1, 40 * SEC));
    world.fault(&json!({"kind": "restrict", "market": "usdm", "exits": false, "for_ms": 60_000})).unwrap();
    done(&mut world, Ask::Flatten(why()), Mode::ReduceOnly);
    assert!(world.run_until(|world| world.shadow().mode() == Mode::Halted, 20 * SEC));
    let classes = |world: &World| -> Vec<_> {
        records(world, Kind::Fired)
            .iter()
            .filter_map(|fired| Some(fired["class"].as_str()?.to_owned()))
            .collect()
    };
    world.run_for(SEC);
    let left = classes(&world).len();
    world.run_for(45 * SEC);
    assert!(classes(&world)[left..].iter().all(|class| class == "repair"), "no pair more is begun");
    world.run_for(30 * SEC);
    let alarms = world.lines().iter().filter(|line| line.starts_with("ALERT: binance: the account may not"));
    assert_eq!(alarms.count(), 1, "{:?}", world.lines());
    done(&mut world, Ask::Flatten(why()), Mode::ReduceOnly);
    assert!(world.run_until(|world| world.shadow().open_now() == 0, 20 * SEC));
    assert!(world.stop());
    books_equal_truth(&world);
}

#[test]
fn halted_nothing_is_entered_or_left_and_a_restart_stays_halted() {
    let setup = Setup::seeded(5);
    let mut world = live(&setup);
    // Held pairs whose exit would come: closing is what this market does all the time.
    assert!(world.run_until(|world| world.shadow().open_now() > 0, 20 * SEC));
    done(&mut world, Ask::Halt(why()), Mode::Halted);
    world.run_for(SEC);
    let (before, held) = (orders(&world), world.shadow().open_now());
    world.run_for(20 * SEC);
    assert_eq!((orders(&world), world.shadow().open_now()), (before, held));
    assert_eq!(world.shadow().totals.closed, world.shadow().totals.opened - held);

    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(10 * SEC);
    assert_eq!((orders(&world), world.shadow().mode()), (before, Mode::Halted));
    assert_eq!(world.shadow().open_now(), held, "what was held is held");
    assert!(world.stop());
    ended_clean(&world);
    books_equal_truth(&world);
}

/// HALTED forbids ENTRY and EXIT; a leg that stands alone is still mended.
#[test]
fn a_repair_that_was_open_at_the_halt_is_finished() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "none", "market": "spot"})]);
    assert!(world.run_until(|world| orders(world) > 0, 20 * SEC), "no entry");
    done(&mut world, Ask::Halt(why()), Mode::Halted);
    world.run_for(5 * SEC);
    assert_eq!(struck(&world, "none"), 1);
    assert_eq!(
        world.orders(),
        [
            "buy spot SOLUSDT 3.034 EXPIRED 0",
            "sell perp SOLUSDT 3.03 FILLED 3.03",
            "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only",
        ]
    );
    assert!(world.stop());
    ended_clean(&world);
    books_equal_truth(&world);
}

/// KILLED forbids even that; the leg is mended once the operator resumes.
#[test]
fn a_repair_that_was_open_at_the_kill_waits_for_the_resume() {
    let mut world = live(&one_entry("SOL", 11));
    faults(&mut world, &[json!({"kind": "none", "market": "spot"})]);
    assert!(world.run_until(|world| orders(world) == 2, 20 * SEC), "no entry");
    world.ask(Ask::Kill(why()));
    world.run_for(20 * SEC);
    assert_eq!(orders(&world), 2, "{:?}", world.orders());
    done(&mut world, Ask::Resume("mend it".to_owned()), Mode::Trading);
    world.run_for(5 * SEC);
    assert_eq!(world.orders().last().unwrap(), "buy perp SOLUSDT 3.03 FILLED 3.03 reduce-only");
    assert!(world.stop());
    ended_clean(&world);
}

#[test]
fn flatten_closes_every_pair_reduce_only_and_ends_halted() {
    LEGS.into_iter().for_each(flattened);
}

#[track_caller]
fn flattened(legs: Legs) {
    let setup = Setup { legs, exit_basis: None, entries_max: Some(1), ..Setup::seeded(7) };
    let mut world = live(&setup);
    world.run_for(10 * SEC);
    let held = world.shadow().open_now();
    assert!(held >= 5, "{held} positions");
    let before = orders(&world);
    done(&mut world, Ask::Flatten(why()), Mode::ReduceOnly);
    assert!(world.run_until(|world| world.shadow().mode() == Mode::Halted, 20 * SEC), "{:?}", world.lines());
    let positions = world.truth()["positions"].clone();
    assert!(positions.as_array().unwrap().iter().all(|row| row["qty"] == "0"), "{positions}");
    let rounds = records(&world, Kind::Fired);
    let flatten = rounds.iter().filter(|round| round["class"] == "flatten");
    // Leg by leg in the order they left, whether in one round or one after the other.
    let mut first = BTreeMap::new();
    for round in flatten {
        for leg in round["legs"].as_array().unwrap() {
            assert_eq!(leg["reduce_only"] == true, leg["market"] == "perp", "{leg}");
            first.entry(round["sequence"].as_u64()).or_insert_with(|| leg["market"].clone());
        }
    }
    assert!(first.len() as u64 >= held, "{} intents for {held} pairs", first.len());
    assert!(first.values().all(|market| market == "perp"), "{first:?}");
    let after = orders(&world);
    assert!(after > before);
    world.run_for(10 * SEC);
    assert_eq!(orders(&world), after, "halted");
    assert!(modes(&world).last().unwrap().starts_with("halted: flat"), "{:?}", modes(&world));
    assert!(world.stop());
    ended_clean(&world);
    books_equal_truth(&world);
    world.kill_process(&setup).unwrap();
    assert_eq!(world.shadow().mode(), Mode::Halted);
}

/// A crash on the way out must not end in trading.
#[test]
fn a_flatten_cut_short_by_a_crash_is_halted() {
    let setup = Setup { exit_basis: None, entries_max: Some(1), ..Setup::seeded(7) };
    let mut world = live(&setup);
    world.run_for(10 * SEC);
    done(&mut world, Ask::Flatten(why()), Mode::ReduceOnly);
    world.kill_process(&setup).unwrap();
    assert_eq!(world.shadow().mode(), Mode::Halted);
}

#[test]
fn a_damaged_latch_file_is_halted_until_the_operator_resumes() {
    // What a start asks for all twelve pairs would use up a minute's weight in five starts.
    let wanted = Some(vec!["SOL".to_owned(), "ETH".to_owned()]);
    let setup = Setup { wanted, crashes_max: (100, SEC), ..Setup::seeded(6) };
    let mut world = live(&setup);
    for damage in [&b""[..], b"contango latch 1\n", b"contango latch 1\n00000000 trading 1 x\n", b"\xff\xfe"]
    {
        world.restart_with(&setup, "latch-0", damage).unwrap();
        assert!(world.run_until_live());
        let before = orders(&world);
        world.run_for(3 * SEC);
        assert_eq!((orders(&world), world.shadow().mode()), (before, Mode::Halted));
        assert!(world.lines().iter().any(|line| line.contains("damaged")), "{:?}", world.lines());
        done(&mut world, Ask::Resume("compared with the venue".to_owned()), Mode::Trading);
        assert!(world.run_until(|world| orders(world) > before, 20 * SEC));
    }
}

#[test]
fn status_and_why_tell_what_is_so() {
    let mut world = live(&Setup::seeded(8));
    world.run_for(5 * SEC);
    let Reply::Status(status) = told(&mut world, Ask::Status) else { panic!("no status") };
    assert_eq!((status.mode, status.phase, status.flattening), (Mode::Trading, "live", false));
    assert!(status.up_ns >= 5 * SEC && status.journal[0] >= status.journal[1] && status.journal[1] > 0);
    assert!(status.pairs.len() >= 5 && !status.budgets.is_empty());
    assert!(
        status.budgets.iter().any(|it| it.used > 0) && status.budgets.iter().all(|it| it.used <= it.limit)
    );
    assert!(
        !status.links.is_empty() && status.links.iter().all(|(_, why)| why.is_none()),
        "{:?}",
        status.links
    );
    for name in ["sol", "SOLUSDT"] {
        let Reply::Why(pair) = told(&mut world, Ask::Why(name.to_owned())) else { panic!("no why") };
        assert_eq!(pair.name.as_str(), "SOL");
        assert!(pair.enter[0].is_some() && pair.best.is_some() && pair.weighed.iter().sum::<u64>() > 0);
    }
    let Reply::Unknown(error) = told(&mut world, Ask::Why("NOPE".to_owned())) else {
        panic!("it knows NOPE")
    };
    assert!(error.contains("NOPE") && error.contains("SOL"), "{error}");
    done(&mut world, Ask::Halt("lunch".to_owned()), Mode::Halted);
    let Reply::Why(pair) = told(&mut world, Ask::Why("SOL".to_owned())) else { panic!("no why") };
    assert!(pair.reasons.iter().any(|why| why.contains("halted: lunch")), "{:?}", pair.reasons);
}

/// Nothing is reported as done before it is on the disk; what is not confirmed in time is told so.
#[test]
fn a_disk_that_is_stuck_does_not_hold_up_a_halt_and_is_told() {
    let mut world = live(&Setup::seeded(9));
    world.hold_syncs(true);
    world.ask(Ask::Halt(why()));
    world.run_for(100 * MS);
    assert_eq!((world.shadow().mode(), world.replies().len()), (Mode::Halted, 0));
    world.run_for(3 * SEC);
    assert!(
        matches!(world.replies(), [Reply::NotDurable { mode: Mode::Halted, .. }]),
        "{:?}",
        world.replies()
    );
    world.hold_syncs(false);
    // Until the journal has caught up, a resume would still be told as REDUCE_ONLY.
    world.run_for(100 * MS);
    done(&mut world, Ask::Resume(why()), Mode::Trading);
}
