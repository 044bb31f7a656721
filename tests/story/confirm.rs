//! The confirmation filter: a witness outside of the venue is asked, and its word decides about entries alone.

use crate::told::{books_equal_truth, ended_clean, live, one_entry, records, why};
use contango::carry::confirm::{Filter, Says};
use contango::event::Decision;
use contango::rehearse::{Setup, Word, World};
use contango::store::journal::Kind;
use contango::units::Ratio;
use contango::units::time::SEC;

const EVERY: u64 = 10 * SEC;
const AGE_MAX: u64 = 60 * SEC;

/// One pair that would be entered at once, if these words of the witness let it in.
fn asking(enter_on: &[Says]) -> Setup {
    let filter = Filter { enter_on: Says::ALL.map(|says| enter_on.contains(&says)), age_max_ns: AGE_MAX };
    Setup { confirm: Some((filter, EVERY)), ..one_entry("SOL", 11) }
}

/// An answer of DESIGN §7's form about SOL, observed at this time.
fn form(rate: &str, direction: &str, time: &str) -> Word {
    Word::Says(
        200,
        format!(
            r#"{{"data":[{{"symbol":"SOL","exchange":"Binance","fundingRate":{rate},"direction":"{direction}"}}],
                "meta":{{"request_id":"1","timestamp":"{time}"}}}}"#
        ),
    )
}

fn agree() -> Word {
    form("0.0003", "short", "$NOW")
}

fn disagree() -> Word {
    form("-0.0003", "long", "$NOW")
}

#[track_caller]
fn confirmation(world: &mut World) -> (Decision, Vec<String>) {
    let pair = why(world, "SOL");
    let found = pair.decisions.iter().find(|it| it.name == "confirmation").cloned();
    (found.expect("it is asked"), pair.reasons)
}

fn entered(world: &World) -> bool {
    world.shadow().totals.opened > 0
}

/// A witness of this word, and whether an entry follows where these words let it in.
#[track_caller]
fn told(word: Word, says: Says, run_ns: u64) {
    for lets_in in [true, false] {
        let others: Vec<Says> = Says::ALL.into_iter().filter(|it| *it != says).collect();
        // That word alone lets it in, or every word but that.
        let enter_on: &[Says] = if lets_in { &[says] } else { &others };
        let mut world = World::new(&asking(enter_on)).unwrap();
        world.witness_says(word.clone());
        assert!(world.run_until_live());
        world.run_for(run_ns);
        let (decision, reasons) = confirmation(&mut world);
        let then = if lets_in { "may enter" } else { "holds" };
        assert_eq!(decision.verdict, format!("short: {}, {then}", says.name()), "{decision}");
        assert_eq!(entered(&world), lets_in, "{word:?}: {decision}: {:?}", world.orders());
        let held_back =
            reasons.iter().any(|why| why.contains(&format!("--confirm-url says {}", says.name())));
        assert_eq!(held_back, !lets_in, "{reasons:?}");
        assert!(world.stop());
        books_equal_truth(&world);
        ended_clean(&world);
    }
}

#[test]
fn agreement_enters_or_holds_as_configured() {
    told(agree(), Says::Agree, 20 * SEC);
}

#[test]
fn disagreement_enters_or_holds_as_configured() {
    told(disagree(), Says::Disagree, 20 * SEC);
    told(form("-0.0003", "short", "$NOW"), Says::Disagree, 20 * SEC);
}

#[test]
fn silence_and_nonsense_are_absent_whatever_they_look_like() {
    for word in [
        Word::Gone,
        Word::Silent,
        Word::Says(200, String::new()),
        Word::Says(200, "<html>short</html>".to_owned()),
        Word::Says(200, r#"{"data":[],"meta":{}}"#.to_owned()),
        Word::Says(200, r#"{"data":[{"symbol":"SOL","exchange":"Binance","direction":"short"}],"meta":{"timestamp":"$NOW"}}"#.to_owned()),
        Word::Says(302, "{}".to_owned()),
        Word::Says(401, "{}".to_owned()),
        Word::Says(503, "{}".to_owned()),
        form("0.0003", "short", "soon"),
        form("0.0003", "short", "2098-01-01T00:00:00Z"),
    ] {
        told(word, Says::Absent, 15 * SEC);
    }
}

#[test]
fn what_it_states_to_have_seen_too_long_ago_is_old() {
    told(form("0.0003", "short", "2020-01-01T00:00:00Z"), Says::Old, 20 * SEC);
}

/// Received long ago is old as well; a good answer ends that, a bad one makes it absent at once.
#[test]
fn a_word_ages_by_receipt_and_an_unreadable_one_takes_it_back_at_once() {
    let mut world = World::new(&asking(&[])).unwrap();
    let mut says = |word: Option<Word>, ns: u64| {
        if let Some(word) = word {
            world.witness_says(word);
        }
        if world.ended().live_at.is_none() {
            assert!(world.run_until_live());
        }
        world.run_for(ns);
        confirmation(&mut world).0
    };
    assert!(says(Some(agree()), 12 * SEC).verdict.contains("agree"));
    // It is asked in vain, and its last word stands until it is old.
    assert!(says(Some(Word::Gone), 40 * SEC).verdict.contains("agree"));
    let old = says(None, 30 * SEC);
    assert!(old.verdict.contains("old"), "{old}");
    let age: u64 = old.numbers.iter().find(|(name, _)| *name == "age_s").unwrap().1.parse().unwrap();
    assert!((60..120).contains(&age), "{old}");
    assert!(says(Some(agree()), 15 * SEC).verdict.contains("agree"));
    assert!(says(Some(Word::Says(200, "?".to_owned())), 12 * SEC).verdict.contains("absent"));
    assert!(says(Some(disagree()), 12 * SEC).verdict.contains("disagree"));
    assert!(!entered(&world), "no word lets in");
    let told = |text: &str| world.lines().iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("link down: confirmation from witness:"), 2, "once a trouble: {:?}", world.lines());
}

/// The numbers the decision came from are in the journal with the entry; the secret went to the witness alone.
#[test]
fn an_entry_writes_down_its_confirmation_and_nobody_sees_the_secret() {
    let setup = Setup { record: true, ..asking(&[Says::Agree]) };
    let secret = setup.key.1.clone();
    let mut world = World::new(&setup).unwrap();
    world.witness_says(agree());
    assert!(world.run_until_live());
    world.run_for(20 * SEC);
    assert!(entered(&world), "{:?}", world.lines());
    let notes = records(&world, Kind::Note);
    let noted = |text: &str| notes.iter().any(|note| note["text"].as_str().unwrap().contains(text));
    assert!(noted("SOL: confirmation: direction short, rate 0.000300000000000000, age_s "), "{notes:?}");
    assert!(noted("short: agree, may enter"));
    let asked = world.witness_asked();
    assert!(asked.len() >= 2, "every {EVERY} ns");
    for asked in asked {
        assert!(asked.starts_with("GET /v1/arbitrage/spot-perp HTTP/1.1\r\nHost: witness"), "{asked}");
        assert!(asked.contains(&format!("X-Secret: {secret}\r\n")), "{asked}");
    }
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(!world.journal().iter().any(|segment| holds(segment)));
    assert!(!holds(&world.session()));
    assert!(!world.lines().iter().any(|line| line.contains(&secret)));
}

/// A held position leaves by its own rule, whatever the witness says.
#[test]
fn nobody_is_kept_from_leaving() {
    let exit_basis = Some(Ratio::from_num(5) / 10_000);
    let mut world = World::new(&Setup { exit_basis, ..asking(&[Says::Agree]) }).unwrap();
    world.witness_says(agree());
    assert!(world.run_until(|world| world.shadow().open_now() == 1, 40 * SEC), "no entry");
    world.witness_says(disagree());
    assert!(world.run_until(|world| world.shadow().open_now() == 0, 120 * SEC), "no exit");
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// The witness's word came through a door, so a session that holds it is replayed to the same decisions.
#[test]
fn a_session_with_a_witness_replays_to_the_same_decisions() {
    let setup = Setup { record: true, entries_max: Some(3), ..asking(&[Says::Agree]) };
    let setup = Setup { exit_basis: Some(Ratio::from_num(5) / 10_000), ..setup };
    let mut world = World::new(&setup).unwrap();
    world.witness_says(agree());
    assert!(world.run_until_live());
    world.run_for(30 * SEC);
    world.witness_says(Word::Gone);
    world.run_for(70 * SEC);
    assert!(entered(&world) && world.stop());
    let mut replay = setup.replay(&setup, &world.session()).unwrap();
    let (trader, _) = replay.rooms().unwrap();
    assert_eq!(trader.decisions.sha256(), world.decisions_hash());
    assert_ne!(trader.decisions.lines, 0);
}

/// Who is asked by nobody changes nothing: the decision is not even told.
#[test]
fn without_a_witness_nobody_is_asked() {
    let mut world = live(&one_entry("SOL", 11));
    world.witness_says(agree());
    world.run_for(20 * SEC);
    assert!(entered(&world) && world.witness_asked().is_empty());
    assert!(
        !records(&world, Kind::Note)
            .iter()
            .any(|note| note["text"].as_str().unwrap().contains("confirmation"))
    );
}
