//! The rules of DESIGN §5 at work: guards, exits by funding, coming back, growing, moving on.

use crate::told::{books_equal_truth, ended_clean, faults, live, records, why};
use contango::carry::pace::ScaleIn;
use contango::carry::rules::Policy;
use contango::desk::risk::Caps;
use contango::event::{Ask, Decision, Reply};
use contango::rehearse::{Setup, World};
use contango::sim;
use contango::store::journal::Kind;
use contango::units::time::{MS, SEC};
use contango::units::{Amount, Rate, Ratio};
use serde_json::{Value, json};

const MINUTE: u64 = 60 * SEC;

/// One coin, entered as soon as its guard lets it, and the next settlement so long after the box opened.
fn eager(coin: &str, settle_in_s: u64) -> Setup {
    let box_config =
        sim::Config { settle_in_ns: settle_in_s * SEC, ticks_per_s: 2, ..sim::Config::default() };
    Setup {
        box_config,
        wanted: Some(vec![coin.to_owned()]),
        policy: Policy { min_net_apr: None, min_basis: -Ratio::ONE / 50, ..Policy::default() },
        exit_basis: None,
        ..Setup::default()
    }
}

fn funding(symbol: &str, rate: &str) -> Value {
    json!({"kind": "funding", "symbol": symbol, "rate": rate})
}

#[track_caller]
fn decision(world: &mut World, pair: &str, name: &str) -> Decision {
    let told = why(world, pair);
    let found = told.decisions.iter().find(|decision| decision.name == name).cloned();
    found.unwrap_or_else(|| panic!("no {name}: {told:?}"))
}

/// Closes everything, and compares the books.
#[track_caller]
fn flattened(mut world: World) {
    world.ask(Ask::Flatten("done".to_owned()));
    world.run_for(30 * SEC);
    assert_eq!(held(&world), 0);
    assert!(world.stop());
    books_equal_truth(&world);
}

fn held(world: &World) -> u64 {
    world.shadow().open_now()
}

/// It was left by a rule, and the perp was closed first.
#[track_caller]
fn perp_first(world: &World) {
    let fired = records(world, Kind::Fired);
    let exit = fired.iter().find(|round| round["class"] == "exit").expect("by the rule, no flatten");
    let legs = exit["legs"].as_array().unwrap();
    assert_eq!((&legs[0]["market"], &legs[1]["market"]), (&json!("perp"), &json!("spot")), "{exit:?}");
    assert_eq!(legs[0]["reduce_only"], json!(true), "{exit:?}");
}

/// The guard is the venue's next settlement less a quarter of an hour, whatever the interval.
#[test]
fn no_entry_within_a_quarter_of_an_hour_before_a_settlement_of_one_four_or_eight_hours() {
    for (coin, hours) in [("PEPE", 1), ("DOGE", 4), ("SOL", 8)] {
        let mut world = live(&eager(coin, 14 * 60));
        world.run_for(13 * MINUTE);
        assert!(world.orders().is_empty(), "{coin}: {hours} h, guarded: {:?}", world.orders());
        assert!(why(&mut world, coin).reasons.iter().any(|why| why.contains("settlement guard")), "{coin}");
        // After the settlement the next one is an interval away.
        world.run_for(3 * MINUTE);
        assert_eq!(held(&world), 1, "{coin}: {:?}", why(&mut world, coin).reasons);
        let next = why(&mut world, coin).funding.unwrap().next.unwrap();
        assert_eq!(why(&mut world, coin).funding.unwrap().interval_hours, Some(hours));
        assert!(next.0 > 0);
    }
    let mut world = live(&eager("SOL", 16 * 60));
    world.run_for(20 * SEC);
    assert_eq!(held(&world), 1, "sixteen minutes before it may");
}

/// Estimate and mean both below the line across a settlement: out, the perp first. Its mean is held below by
/// the operator's own line, since a week of funding can't be undone in minutes.
#[test]
fn funding_that_stays_below_the_line_across_a_settlement_closes_the_position_perp_first() {
    let line = Rate::parse(b"0.50").unwrap();
    let eager = eager("SOL", 20 * 60);
    let setup = Setup { policy: Policy { unwind_apr: line, ..eager.policy }, ..eager };
    let mut world = live(&setup);
    world.run_for(30 * SEC);
    assert_eq!(held(&world), 1);
    world.run_for(18 * MINUTE);
    assert_eq!(held(&world), 1, "below the line, and no settlement yet");
    let unwind = decision(&mut world, "SOL", "unwind");
    assert!(unwind.verdict.starts_with("both are below --unwind-apr"), "{unwind}");
    world.run_for(4 * MINUTE);
    assert_eq!(held(&world), 0, "{:?}", world.lines());
    assert!(
        world.lines().iter().any(|line| line.starts_with("SOL: leaving: funding:")),
        "{:?}",
        world.lines()
    );
    perp_first(&world);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// At the line of the defaults: funding that turns negative for so long that the week's mean is negative too is held
/// across no second settlement.
#[test]
fn funding_that_turns_negative_for_long_closes_the_position_by_the_default_line() {
    let eager = eager("PEPE", 20 * 60);
    // Closing pays at no basis: what is left is left by this rule alone.
    let policy = Policy { rho: Ratio::from_num(100), ..eager.policy };
    assert_eq!(policy.unwind_apr, Rate::ZERO);
    let mut world = live(&Setup { policy, idle_ns: 5 * MS, ..eager });
    world.run_for(30 * SEC);
    assert_eq!(held(&world), 1);
    faults(&mut world, &[funding("1000PEPEUSDT", "-0.0300")]);
    world.run_for(18 * MINUTE);
    assert!(
        decision(&mut world, "PEPE", "unwind").verdict.starts_with("holding"),
        "the mean is still positive"
    );
    // The first settlement makes the mean negative; its hour is waited for.
    world.run_for(50 * MINUTE);
    assert_eq!(held(&world), 1, "{:?}", world.lines());
    let unwind = decision(&mut world, "PEPE", "unwind");
    assert!(
        unwind.verdict.starts_with("both are below --unwind-apr; leaving if they stay so across"),
        "{unwind}"
    );
    world.run_for(14 * MINUTE);
    assert_eq!(held(&world), 0, "{:?}", world.lines());
    assert!(
        world.lines().iter().any(|line| line.starts_with("PEPE: leaving: funding:")),
        "{:?}",
        world.lines()
    );
    perp_first(&world);
    assert!(world.stop());
    books_equal_truth(&world);
    ended_clean(&world);
}

/// One negative print is noise: the position is held across it.
#[test]
fn one_negative_print_closes_nothing() {
    let mut world = live(&eager("SOL", 20 * 60));
    world.run_for(30 * SEC);
    assert_eq!(held(&world), 1);
    faults(&mut world, &[funding("SOLUSDT", "-0.0020")]);
    world.run_for(25 * MINUTE);
    assert_eq!(held(&world), 1, "{:?}", world.lines());
    let told = why(&mut world, "SOL").funding.unwrap();
    assert!(told.settled.unwrap().1 < Rate::ZERO && told.estimate.unwrap() < Rate::ZERO, "{told:?}");
    let unwind = decision(&mut world, "SOL", "unwind");
    assert!(unwind.verdict.starts_with("holding"), "the mean of the week is positive: {unwind}");
}

fn number(decision: &Decision, name: &str) -> f64 {
    let found = decision.numbers.iter().find(|(it, _)| *it == name);
    found.unwrap_or_else(|| panic!("no {name}: {decision}")).1.trim_end_matches('%').parse().unwrap()
}

/// One that is left as soon as it is entered, with this bar, and promises what a hold of so many days makes of it.
fn hasty(min_net_apr: Option<Ratio>, hold_days: u64) -> Setup {
    let eager = eager("SOL", 3_600);
    let policy = Policy { min_net_apr, hold_s: hold_days * 86_400, ..eager.policy };
    Setup { policy, exit_basis: Some(Ratio::ONE / 50), ..eager }
}

/// Within eight hours of leaving an entry must promise half as much again; and the wait outlives the process, which
/// is told in the hours that are left of it.
#[test]
fn a_pair_that_was_left_is_not_entered_again_at_once_not_even_by_the_next_process() {
    // What SOL promises here, without a bar.
    let mut world = live(&Setup { exit_basis: None, ..hasty(None, 365) });
    world.run_for(MINUTE);
    let promised = number(&decision(&mut world, "SOL", "enter_short"), "net_apr");
    // It is entered under three quarters of that, and half as much again is more.
    let bar = Ratio::from_num((promised * 0.75 * 100.0) as i64) / 10_000;
    let setup = hasty(Some(bar), 365);
    let mut world = live(&setup);
    world.run_for(5 * MINUTE);
    let totals = &world.shadow().totals;
    assert_eq!((totals.opened, totals.closed), (1, 1), "{promised}: {:?}", world.lines());
    let reentry = decision(&mut world, "SOL", "reentry");
    let waits = number(&reentry, "wait_s");
    assert!((8.0 * 3_600.0 - 300.0..8.0 * 3_600.0).contains(&waits), "{reentry}");
    assert!((number(&reentry, "bar_apr") - promised * 1.125).abs() < 0.1, "{reentry} of {promised}");

    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(5 * MINUTE);
    let again = decision(&mut world, "SOL", "reentry");
    let passed = waits - number(&again, "wait_s");
    assert!((300.0..600.0).contains(&passed), "{reentry}, then {again}");
    assert_eq!(number(&again, "bar_apr"), number(&reentry, "bar_apr"));
    assert_eq!(world.shadow().totals.opened, 0, "{:?}", world.lines());
    assert!(world.stop());
    books_equal_truth(&world);
}

/// With `--min-net-apr off` there is no bar to exceed: coming back at once must cover its costs, no more.
#[test]
fn without_a_bar_coming_back_must_cover_its_costs() {
    for (hold_days, comes_back) in [(365, true), (7, false)] {
        let mut world = live(&hasty(None, hold_days));
        world.run_for(5 * MINUTE);
        assert_eq!(world.shadow().totals.opened > 1, comes_back, "{:?}", world.lines());
        let reentry = decision(&mut world, "SOL", "reentry");
        assert!(number(&reentry, "bar_apr") == 0.0 && reentry.verdict.contains("off"), "{reentry}");
        let entry = decision(&mut world, "SOL", "enter_short");
        assert_eq!(number(&entry, "net_apr") >= 0.0, comes_back, "{entry}");
        assert!(world.stop());
        books_equal_truth(&world);
    }
}

/// What closing would fetch is written down with every full hour that begins, once, by every process.
#[test]
fn the_reference_s_samples_are_written_down_hour_by_hour_across_processes() {
    // Rooms that turn less often make the hours pass sooner.
    let setup = Setup { idle_ns: 20 * MS, directions: [true, true], ..eager("SOL", 3 * 3_600) };
    let mut world = live(&setup);
    world.run_for(61 * MINUTE);
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(61 * MINUTE);
    let hour = 3_600_000_000;
    let samples = records(&world, Kind::Basis);
    let hours: Vec<i64> = samples.iter().map(|row| row["hour_us"].as_i64().unwrap()).collect();
    assert!((2..=3).contains(&hours.len()), "{samples:?}");
    assert!(hours.windows(2).all(|two| two[1] - two[0] == hour) && hours[0] % hour == 0, "{hours:?}");
    for row in &samples {
        let basis = |side: &str| row[side].as_str().unwrap().parse::<f64>().unwrap();
        let both = basis("short") + basis("long");
        assert!(row["pair"] == "SOL" && both > 0.0 && both < 0.01, "both spreads lie between: {row:?}");
    }
    assert!(world.stop());
    books_equal_truth(&world);
}

/// Clip by clip, each after its cool-down, up to the most there may be; the exit closes all of it.
#[test]
fn a_position_grows_by_clips_with_a_cool_down_between_them() {
    let scale_in = ScaleIn { clips_max: 3, cool_down_ns: 20 * SEC };
    let mut world = live(&Setup { scale_in, ..eager("SOL", 7_200) });
    let perp = |world: &mut World| why(world, "SOL").perp.0.abs();
    world.run_for(10 * SEC);
    let clip = perp(&mut world);
    assert!(clip > 0 && decision(&mut world, "SOL", "scale_in").verdict.contains("may be added in"));
    let mut grown = vec![clip];
    for _ in 0..12 {
        world.run_for(10 * SEC);
        grown.push(perp(&mut world));
    }
    grown.dedup();
    // The price moves, and each clip is sized by it.
    assert_eq!(grown.len(), 3, "{grown:?}");
    assert!(grown.windows(2).all(|two| (two[1] - two[0] - clip).abs() < clip / 10), "{grown:?}");
    assert_eq!(world.shadow().totals.opened, 1);
    let entries: Vec<u64> =
        records(&world, Kind::Fired).iter().map(|it| it["at_us"].as_u64().unwrap()).collect();
    assert!(entries.windows(2).all(|two| two[1] - two[0] >= 20_000_000), "{entries:?}");
    flattened(world);
}

/// The caps are full with one clip. DOGE earns half as much again as SOL over a quarter: whoever holds SOL moves
/// on, whoever holds DOGE stays.
#[test]
fn where_the_caps_are_full_a_move_that_pays_is_made_and_one_that_does_not_is_not() {
    let mut moved = [0, 0];
    for seed in 1..9 {
        let eager = eager("SOL", 7_200);
        let setup = Setup {
            seed,
            wanted: Some(["SOL", "DOGE"].map(str::to_owned).to_vec()),
            caps: Caps { deployed_max_ppm: 500, ..Caps::default() },
            policy: Policy { hold_s: 90 * 86_400, ..eager.policy },
            ..eager
        };
        let mut world = live(&setup);
        assert!(world.run_until(|world| world.shadow().totals.opened == 1, 5 * SEC), "seed {seed}");
        let sol = world.lines().iter().any(|line| line.starts_with("SOL: holds"));
        world.run_for(20 * SEC);
        let rotated = world.lines().iter().any(|line| line.starts_with("SOL: leaving: rotation: DOGE"));
        let doge = why(&mut world, "DOGE").perp != Amount::ZERO;
        assert_eq!((rotated, doge, held(&world)), (sol, true, 1), "seed {seed}: {:?}", world.lines());
        moved[usize::from(sol)] += 1;
        assert!(world.stop());
        books_equal_truth(&world);
    }
    assert!(moved[0] > 0 && moved[1] > 0, "both were tried: {moved:?}");
}

/// A long position sells what the operator granted, no more of it, and a restart remembers.
#[test]
fn long_positions_sell_granted_coins_and_no_more_of_them_whatever_is_there() {
    let eager = eager("BNB", 7_200);
    let setup = Setup {
        box_config: sim::Config { spot_bnb: "10".to_owned(), ..eager.box_config },
        directions: [false, true],
        policy: Policy { rho: Ratio::from_num(100), ..eager.policy },
        scale_in: ScaleIn { clips_max: 5, cool_down_ns: SEC },
        ..eager
    };
    let grant = |world: &mut World, qty: &str| {
        let qty = Amount::parse(qty.as_bytes()).unwrap();
        world.ask(Ask::Grant { pair: "bnb".to_owned(), qty });
        world.run_for(20 * SEC);
        assert!(matches!(world.replies().last(), Some(Reply::Done { .. })), "{:?}", world.replies().last());
    };
    let mut world = live(&setup);
    world.run_for(10 * SEC);
    assert!(world.orders().is_empty(), "ten coins are there, and none is granted");
    let reasons = why(&mut world, "BNB").reasons;
    assert!(reasons.iter().any(|why| why.contains("contango ctl grant BNB QTY")), "{reasons:?}");
    grant(&mut world, "0.3");
    assert!(world.orders().is_empty(), "a clip of 500 USDT is about 0.56");
    grant(&mut world, "1.4");
    let sold = -why(&mut world, "BNB").spot.0;
    let coin = 10i128.pow(18);
    assert!(sold > coin && sold <= 14 * coin / 10, "two clips, and no third: {sold}");
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(10 * SEC);
    let again = why(&mut world, "BNB");
    assert_eq!(-again.spot.0, sold);
    assert!(again.reasons.iter().any(|why| why.contains("contango ctl grant")), "{:?}", again.reasons);
    grant(&mut world, "2.5");
    let more = -why(&mut world, "BNB").spot.0;
    assert!(more > sold && more <= 25 * coin / 10, "{more}");
    flattened(world);
}

/// Sixteen pairs at once share two order links a market and every budget.
#[test]
fn sixteen_pairs_trade_at_once_on_shared_links_and_all_of_them_get_their_turn() {
    let box_config = sim::Config { more_coins: 6, ..sim::Config::default() };
    let mut world = live(&Setup { box_config, ..Setup::default() });
    world.run_for(60 * SEC);
    assert!(world.stop());
    let mut trips = std::collections::BTreeMap::<String, u64>::new();
    for round in records(&world, Kind::Fired).iter().filter(|round| round["class"] == "entry") {
        *trips.entry(round["pair"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(trips.len() >= 15, "{trips:?}");
    let (least, most) = (trips.values().min().unwrap(), trips.values().max().unwrap());
    assert!(least * 20 >= *most, "none is starved: {trips:?}");
    assert_eq!(world.shadow().totals.refused, 0);
    books_equal_truth(&world);
    ended_clean(&world);
}
