//! Money: funding from the venue's income ledger, the split of profit, the perp wallet.

use crate::told::{books_equal_truth, ended_clean, live, records, struck};
use contango::event::Ask;
use contango::rehearse::{Setup, World};
use contango::sim;
use contango::store::journal::{Kind, Reader};
use contango::units::time::{MS, SEC};
use contango::units::{Amount, LegKind, Price};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Coins whose perp is one coin: the box values a thousandth of a mark to eight decimals only.
fn whole_coins(seed: u64) -> Setup {
    let wanted = Some(["BTC", "SOL", "XRP", "DOGE", "LTC"].map(str::to_owned).to_vec());
    Setup { wanted, ..Setup::seeded(seed) }
}

fn amount(value: &Value) -> Amount {
    Amount::parse(value.as_str().unwrap_or_else(|| panic!("{value} is no text")).as_bytes()).unwrap()
}

/// Payments by symbol, time and transaction as the journal has them.
fn booked(world: &World) -> BTreeMap<(String, i64), Amount> {
    let mut all = BTreeMap::new();
    for row in records(world, Kind::Funding) {
        let key = (row["symbol"].as_str().unwrap().to_owned(), row["paid_us"].as_i64().unwrap() / 1_000);
        assert_eq!(all.insert(key, amount(&row["amount"])), None, "booked twice: {row:?}");
    }
    all
}

/// The same as the box paid them.
fn paid(truth: &Value) -> BTreeMap<(String, i64), Amount> {
    let rows = truth["settled"].as_array().unwrap().iter();
    let rows = rows.map(|row| {
        let key = (row["symbol"].as_str().unwrap().to_owned(), row["time_ms"].as_i64().unwrap());
        (key, amount(&row["received"]))
    });
    rows.filter(|(_, amount)| *amount != Amount::ZERO).collect()
}

/// In 10^-8; no fee or price here has more decimals.
fn e8(value: &Value) -> i128 {
    let all = amount(value).0;
    assert_eq!(all % 10i128.pow(10), 0, "{value}");
    all / 10i128.pow(10)
}

/// What all fees in the journal were worth: those in the quote, those in the coin that was bought at its price, and
/// those in any other coin at the price that the journal names next for it.
#[track_caller]
fn fees_by_hand(world: &World) -> Amount {
    let (mut all, mut waiting) = (0, BTreeMap::<String, i128>::new());
    for (number, bytes) in (1..).zip(world.journal()) {
        for entry in Reader::new(&bytes, number) {
            let body = &entry.body;
            let text = |field: &str| body[field].as_str().unwrap().to_owned();
            if entry.kind == Kind::FeePrice {
                all += waiting.remove(&text("asset")).unwrap_or(0) * e8(&body["price"]);
            } else if entry.kind == Kind::Fill {
                let (fee, coin) = (e8(&body["fee"]), text("fee_asset"));
                if coin == "USDT" {
                    all += fee * 10i128.pow(8);
                } else if body["market"] == "spot" && text("symbol") == format!("{coin}USDT") {
                    all += fee * e8(&body["price"]);
                } else {
                    *waiting.entry(coin).or_default() += fee;
                }
            }
        }
    }
    assert!(waiting.is_empty(), "{waiting:?}");
    Amount(all * 100)
}

/// What the books' parts add up to, open positions and dust at the box's own marks.
fn total(world: &World, truth: &Value) -> Amount {
    let shadow = world.shadow();
    let profit = shadow.profit();
    let mut total = profit.basis + profit.fees + profit.slippage + profit.funding;
    for pair in &shadow.instruments().pairs {
        let symbol = shadow.instruments().get(pair.perp).symbol;
        let mark = Price::parse(truth["marks"][symbol.as_str()].as_str().unwrap().as_bytes(), 8).unwrap();
        for leg in LegKind::BOTH {
            total += shadow.ledger().sums().unrealised(pair.name, leg, mark, 8, pair.price_factor);
        }
    }
    total
}

#[track_caller]
fn equity_is_explained(world: &World) {
    let truth = world.truth();
    assert_eq!(booked(world), paid(&truth));
    assert_eq!(world.shadow().profit().funding, amount(&truth["funding"]));
    let grown = amount(&truth["equity"]["end"]) - amount(&truth["equity"]["start"]);
    assert_eq!(total(world, &truth), grown, "every part of the profit, against equity");
}

#[test]
fn funding_is_booked_from_the_income_ledger_and_the_parts_of_the_profit_are_the_change_of_equity() {
    for (seed, exit_basis) in [(1, Setup::default().exit_basis), (7, None)] {
        let mut world = live(&Setup { exit_basis, ..whole_coins(seed) });
        for _ in 0..6 {
            world.run_for(2 * SEC);
            world.fault(&json!({"kind": "settle_now"})).unwrap();
        }
        assert!(world.stop());
        ended_clean(&world);
        books_equal_truth(&world);
        equity_is_explained(&world);
        let payments = booked(&world);
        assert!(payments.len() >= 3, "seed {seed}: {} payments", payments.len());
        assert_eq!(world.shadow().ledger().fills(), world.truth()["fills"].as_array().unwrap().len() as u64);
    }
}

/// A payment whose process died before it read of it is booked by the next one, and one that was booked is not again.
#[test]
fn payments_are_booked_once_across_restarts() {
    let setup = Setup { exit_basis: None, entries_max: Some(1), ..whole_coins(3) };
    let mut world = live(&setup);
    world.run_for(6 * SEC);
    world.fault(&json!({"kind": "settle_now"})).unwrap();
    world.run_for(2 * SEC);
    let before = booked(&world);
    assert!(!before.is_empty());
    world.fault(&json!({"kind": "settle_now"})).unwrap();
    world.run_for(100 * MS);
    assert_eq!(booked(&world), before, "not read yet");
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(3 * SEC);
    assert_eq!(booked(&world), paid(&world.truth()));
    assert_eq!(booked(&world).len(), 2 * before.len());
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(3 * SEC);
    assert!(world.stop());
    let all: Amount = booked(&world).values().fold(Amount::ZERO, |sum, amount| sum + *amount);
    assert_eq!((all, amount(&world.truth()["funding"])), (all, all));
    assert_eq!(world.shadow().ledger().profit().funding, all);
    assert_eq!(world.shadow().profit().funding, Amount::ZERO, "none of it is this run's");
    books_equal_truth(&world);
}

/// A stop does not wait for ever for a market that is silent: what it leaves unread it names, and nothing of it is lost.
#[test]
fn payments_that_a_stop_could_not_read_are_named_and_the_next_run_books_them() {
    let setup = Setup { exit_basis: None, entries_max: Some(1), ..whole_coins(3) };
    let mut world = live(&setup);
    world.run_for(6 * SEC);
    world.fault(&json!({"kind": "settle_now"})).unwrap();
    world.fault(&json!({"kind": "maintenance", "market": "usdm", "for_ms": 60_000})).unwrap();
    assert!(world.stop());
    assert!(booked(&world).is_empty());
    ended_clean(&world);
    let told = |line: &String| {
        line.contains("funding payments since 20") && line.ends_with("the next run reads them")
    };
    assert_eq!(world.lines().iter().filter(|line| told(line)).count(), 1, "{:?}", world.lines());
    world.stand_still(60 * SEC);
    world.kill_process(&setup).unwrap();
    assert!(world.run_until_live());
    world.run_for(3 * SEC);
    assert!(world.stop());
    ended_clean(&world);
    assert!(!booked(&world).is_empty());
    assert_eq!(booked(&world), paid(&world.truth()));
}

/// More payments than one page holds.
#[test]
fn a_long_ledger_is_read_page_by_page() {
    let setup = Setup { exit_basis: None, entries_max: Some(1), ..whole_coins(3) };
    let mut world = live(&setup);
    world.run_for(6 * SEC);
    let held = world.truth()["positions"].as_array().unwrap().len();
    assert!(held > 0);
    for _ in 0..1_010 / held + 1 {
        world.fault(&json!({"kind": "settle_now"})).unwrap();
        world.stand_still(MS);
    }
    world.run_for(3 * SEC);
    let payments = booked(&world);
    assert!(payments.len() > 1_000, "{}", payments.len());
    assert_eq!(payments, paid(&world.truth()));
}

fn perp_wallets(world: &World) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for row in records(world, Kind::Baseline) {
        for held in row["held"].as_array().unwrap().iter().filter(|held| held["market"] == "perp") {
            let unexplained = row["unexplained"].as_array().unwrap().iter();
            let unexplained = unexplained.map(|text| text.as_str().unwrap().to_owned()).collect();
            found.push((held["opening"].as_str().unwrap().to_owned(), unexplained));
        }
    }
    found
}

/// I4, I15: left open by spot's comparison alone.
#[test]
fn the_perp_wallet_is_compared_at_every_reconciliation_and_a_stranger_s_trade_is_found() {
    let mut world = live(&Setup { exit_basis: None, ..whole_coins(2) });
    world.run_for(5 * SEC);
    world.fault(&json!({"kind": "settle_now"})).unwrap();
    world.run_for(8 * SEC);
    assert_eq!(
        perp_wallets(&world),
        [("1000000".to_owned(), Vec::new())],
        "its opening, and no difference since"
    );
    // Somebody trades a perp that this run does not: the position is his, its costs come out of our wallet.
    world.fault(&json!({"kind": "foreign_order", "market": "usdm", "symbol": "ADAUSDT"})).unwrap();
    assert_eq!(struck(&world, "foreign_order"), 1);
    world.ask(Ask::Halt("look".to_owned()));
    world.run_for(SEC);
    world.ask(Ask::Resume("looked".to_owned()));
    world.run_for(30 * SEC);
    let wallets = perp_wallets(&world);
    assert_eq!(wallets.len(), 2, "{wallets:?}");
    assert!(wallets[1].1[0].contains("USDT in the perp wallet is"), "{wallets:?}");
    assert!(world.lines().iter().any(|line| line.contains("unexplained change")), "{:?}", world.lines());
    // It is told once: what the wallet is now is what later changes are held against.
    world.ask(Ask::Halt("look".to_owned()));
    world.run_for(SEC);
    world.ask(Ask::Resume("looked".to_owned()));
    world.run_for(15 * SEC);
    assert_eq!(perp_wallets(&world).len(), 2);
}

/// Fees in the coin bought, in the quote, and in BNB until there is none left; funding in between.
#[test]
fn after_five_hundred_round_trips_every_asset_is_as_the_box_has_it() {
    let box_config =
        sim::Config { spot_bnb: "0.2".to_owned(), spot_orders_10s: 1_000, ..sim::Config::default() };
    let coins = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "DOT", "PEPE"];
    let wanted = Some(coins.map(str::to_owned).to_vec());
    let mut world = live(&Setup { box_config, wanted, ..Setup::seeded(5) });
    // No account starts like this; somebody turns the switch while it trades, and the books hold all the same.
    world.fault(&json!({"kind": "account", "spot_burn": true})).unwrap();
    let begun = world.now();
    while world.shadow().totals.closed < 500 {
        world.run_for(3 * SEC);
        world.fault(&json!({"kind": "settle_now"})).unwrap();
        let seconds = world.now().since(begun) / SEC;
        assert!(seconds < 600, "{} round trips in {seconds} s", world.shadow().totals.closed);
    }
    assert!(world.stop());
    ended_clean(&world);
    books_equal_truth(&world);
    let truth = world.truth();
    assert_eq!(booked(&world), paid(&truth));
    assert!(booked(&world).len() >= 100, "{} payments", booked(&world).len());
    let mut fees = BTreeMap::<&str, usize>::new();
    for fill in truth["fills"].as_array().unwrap() {
        *fees.entry(fill["commission_asset"].as_str().unwrap()).or_default() += 1;
    }
    for asset in ["BNB", "USDT", "SOL", "PEPE"] {
        assert!(fees.get(asset).is_some_and(|fills| *fills >= 10), "{asset}: {fees:?}");
    }
    // Every one of them is in the split; the last were valued before the end.
    assert_eq!(world.shadow().profit().fees, -fees_by_hand(&world));
    assert!(world.shadow().ledger().sums().unvalued.is_empty());
    let mark = e8(&truth["marks"]["BNBUSDT"]);
    let prices = records(&world, Kind::FeePrice);
    assert!(!prices.is_empty() && prices.len() < 30, "a reading values many: {}", prices.len());
    for row in prices {
        let price = e8(&row["price"]);
        assert!(row["asset"] == "BNB" && (price - mark).abs() < mark / 20, "{row:?}, its mark is {mark}");
    }
}
