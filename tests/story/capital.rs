//! Caps on capital, margin and cash: however many signals come at once, they are passed by none together.

use crate::told::{books_equal_truth, live};
use contango::carry::rules::Policy;
use contango::desk::risk::Caps;
use contango::event::{Ask, Closed, Reply};
use contango::rehearse::{Room, Setup, World};
use contango::sim;
use contango::units::time::{MS, SEC};
use contango::units::{Amount, Ratio};
use serde_json::Value;

/// Eighteen pairs of which every one may be entered on its first quotes, and sixteen links a market: nothing
/// but the caps holds the trader back.
fn eager(spot: &str, usdm: &str) -> Setup {
    let box_config = sim::Config {
        more_coins: 6,
        spot_usdt: spot.to_owned(),
        usdm_usdt: usdm.to_owned(),
        ..sim::Config::default()
    };
    Setup {
        box_config,
        order_links: 16,
        policy: Policy { min_net_apr: None, min_basis: -Ratio::ONE / 50, ..Setup::default().policy },
        exit_basis: None,
        entries_max: Some(1),
        ..Setup::default()
    }
}

fn cents(text: &Value) -> i128 {
    Amount::parse(text.as_str().unwrap().as_bytes()).unwrap().0 / 10i128.pow(16)
}

/// What the box's fills cost, in hundredths of USDT: spot bought, perps sold.
fn spent(world: &World) -> (i128, i128, usize) {
    let truth = world.truth();
    let (mut spot, mut perp, mut coins) = (0, 0, std::collections::BTreeSet::new());
    for fill in truth["fills"].as_array().unwrap() {
        let value = cents(&fill["price"]) * cents(&fill["qty"]) / 100;
        *(if fill["market"] == "spot" { &mut spot } else { &mut perp }) += value;
        coins.insert(fill["symbol"].as_str().unwrap().replace("1000PEPE", "PEPE"));
    }
    (spot, perp, coins.len())
}

/// Runs until the first order is out, holds the shadow back while every pair signals, and lets it go on.
fn all_at_once(setup: &Setup) -> World {
    let mut world = live(setup);
    assert!(world.run_until(|world| !world.orders().is_empty(), 5 * SEC));
    world.freeze(Room::Shadow, true);
    world.run_for(300 * MS);
    let refused = world.trader().closed[Closed::Caps as usize];
    assert!(refused >= 10, "{refused} signals met a cap");
    world.freeze(Room::Shadow, false);
    world.run_for(10 * SEC);
    world
}

#[test]
fn fifteen_signals_at_once_deploy_no_more_than_a_quarter_of_the_equity() {
    let mut world = all_at_once(&eager("10000", "10000"));
    let (spot, perp, coins) = spent(&world);
    // 5,000 of 20,000: spot cost and half of the notional. One more clip of 750 would not have fitted.
    let deployed = spot + perp / 2;
    assert!(deployed <= 500_000, "{deployed}");
    assert!(deployed > 400_000 && (5..=8).contains(&coins), "{deployed} on {coins} pairs: what stopped it?");
    world.ask(Ask::Status);
    world.run_for(50 * MS);
    let Some(Reply::Status(status)) = world.replies().last() else { panic!() };
    let capital = status.capital.unwrap();
    assert!((capital.deployed.0 / 10i128.pow(16) - deployed).abs() < 5_000, "{capital:?}, {deployed}");
    assert_eq!(status.pairs.len(), 18);
    let flat = status.pairs.iter().find(|pair| pair.perp == Amount::ZERO).unwrap();
    assert!(flat.reasons.iter().any(|why| why.starts_with("an entry binds")), "{:?}", flat.reasons);
    assert!(world.stop());
    books_equal_truth(&world);
}

#[test]
fn fifteen_signals_at_once_short_no_more_than_the_margin_carries() {
    let all = Caps { deployed_max_ppm: 1_000_000, ..Caps::default() };
    let setup = Setup { caps: all, ..eager("100000", "1500") };
    let (_, perp, coins) = spent(&all_at_once(&setup));
    // Twice the margin of 1,500, less what the account must survive.
    assert!(perp <= 300_000 && perp > 220_000, "{perp} on {coins} pairs");
}

#[test]
fn fifteen_signals_at_once_buy_no_more_than_there_is_cash() {
    let all = Caps { deployed_max_ppm: 1_000_000, ..Caps::default() };
    let setup = Setup { caps: all, ..eager("3000", "100000") };
    let world = all_at_once(&setup);
    let (spot, _, coins) = spent(&world);
    assert!(spot <= 300_000 && spot > 220_000, "{spot} on {coins} pairs");
    assert_eq!(world.shadow().totals.refused, 0, "the venue had nothing to refuse");
}

#[test]
fn what_is_closed_may_be_deployed_again_and_the_cap_holds_all_along() {
    let setup =
        Setup { exit_basis: Some(Ratio::from_num(5) / 10_000), entries_max: None, ..eager("10000", "10000") };
    let setup = Setup { policy: Setup::default().policy, ..setup };
    let mut world = live(&setup);
    for _ in 0..200 {
        world.run_for(100 * MS);
        let told = world.shadow().capital().unwrap();
        assert!(told.deployed.0 <= told.equity.0 / 4 + told.equity.0 / 100, "{told:?}");
    }
    assert!(world.shadow().totals.closed >= 20, "{} round trips", world.shadow().totals.closed);
}
