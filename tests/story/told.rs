//! What journal and truth say, brought into the same words so that they can be laid side by side.

use contango::event::{Ask, PairTold, Reply};
use contango::rehearse::{Setup, World};
use contango::store::check::{Files, Problem, check};
use contango::store::journal::{Kind, Reader};
use contango::units::time::SEC;
use contango::units::{Amount, LegKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A world whose feeds are live.
#[track_caller]
pub(crate) fn live(setup: &Setup) -> World {
    let mut world = World::new(setup).unwrap();
    assert!(world.run_until_live(), "not live: {:?} {:?}", world.ended(), world.lines());
    world
}

/// One pair, one entry, held until told otherwise.
pub(crate) fn one_entry(coin: &str, seed: u64) -> Setup {
    Setup {
        wanted: Some(vec![coin.to_owned()]),
        entries_max: Some(1),
        exit_basis: None,
        ..Setup::seeded(seed)
    }
}

/// What the operator is told of a pair.
#[track_caller]
pub(crate) fn why(world: &mut World, pair: &str) -> PairTold {
    let before = world.replies().len();
    world.ask(Ask::Why(pair.to_owned()));
    assert!(world.run_until(|world| world.replies().len() > before, SEC));
    match world.replies().last() {
        Some(Reply::Why(pair)) => (**pair).clone(),
        other => panic!("{other:?}"),
    }
}

/// Orders faults of the box.
#[track_caller]
pub(crate) fn faults(world: &mut World, orders: &[Value]) {
    for order in orders {
        world.fault(order).unwrap();
    }
}

/// How often a kind of fault struck.
pub(crate) fn struck(world: &World, kind: &str) -> u64 {
    world.truth()["faults"][kind].as_u64().unwrap_or(0)
}

/// The bodies of all journal records of a kind, after a check that the journal is whole.
#[track_caller]
pub(crate) fn records(world: &World, kind: Kind) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    for (number, bytes) in (1..).zip(world.journal()) {
        let mut reader = Reader::new(&bytes, number);
        found.extend(reader.by_ref().filter(|entry| entry.kind == kind).map(|entry| entry.body));
        assert_eq!(reader.flaw(), None);
    }
    found
}

/// The journal as a person checks it: no segment missing, every checkpoint what was before it, nothing twice.
#[track_caller]
fn sound(world: &World) {
    let journal: Vec<(u32, Vec<u8>)> = (1..).zip(world.journal()).collect();
    let mut problems = check(&Files { journal: &journal, ..Files::default() }, false).problems;
    problems.retain(|it| !matches!(it, Problem::NoEpoch | Problem::NoLatch));
    assert_eq!(problems, []);
}

/// Fills by market, symbol and trade id: client id, side, price, quantity, fee, its asset.
type Fills = BTreeMap<(String, String, u64), [String; 6]>;

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}")).to_owned()
}

/// A decimal without the zeros that say nothing.
fn plain(decimal: &str) -> String {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => decimal.to_owned(),
    }
}

/// The fills the journal booked.
#[track_caller]
pub(crate) fn booked(world: &World) -> Fills {
    let mut fills = Fills::new();
    for body in records(world, Kind::Fill) {
        let row = Value::Object(body);
        let key = (text(&row, "market"), text(&row, "symbol"), row["trade_id"].as_u64().unwrap());
        let mut facts =
            ["client_id", "side", "price", "qty", "fee", "fee_asset"].map(|k| plain(&text(&row, k)));
        if let Some(cause) = row.get("cause") {
            assert_eq!(facts[0], "0", "no order of ours: {row}");
            facts[0] = cause.as_str().unwrap().to_owned();
        }
        assert_eq!(fills.insert(key, facts), None, "booked twice: {row}");
    }
    fills
}

/// The fills the box made.
pub(crate) fn made(truth: &Value) -> Fills {
    let row = |row: &Value| {
        let market = if row["market"] == "spot" { "spot" } else { "perp" };
        let key = (market.to_owned(), text(row, "symbol"), row["trade_id"].as_u64().unwrap());
        let facts = ["client_order_id", "side", "price", "qty", "commission", "commission_asset"];
        let mut facts = facts.map(|k| plain(&text(row, k)));
        facts[1] = facts[1].to_lowercase();
        // An order of the venue's own has no id of ours: the journal names its cause.
        for (start, cause) in
            [("adl_autoclose", "adl"), ("autoclose-", "liquidation"), ("settlement_autoclose-", "settlement")]
        {
            if facts[0].starts_with(start) {
                facts[0] = cause.to_owned();
            }
        }
        (key, facts)
    };
    truth["fills"].as_array().unwrap().iter().map(row).collect()
}

/// The journal's fills are the box's, one by one; so are balances and positions.
#[track_caller]
pub(crate) fn books_equal_truth(world: &World) {
    sound(world);
    let truth = world.truth();
    let (booked, made) = (booked(world), made(&truth));
    assert_eq!(booked, made);
    assert_eq!(world.shadow().ledger().fills(), made.len() as u64);
    let ledger = world.shadow().ledger();
    let amount = |value: &Value| Amount::parse(value.as_str().unwrap().as_bytes()).unwrap();
    for (coin, row) in truth["balances"]["spot"].as_object().unwrap() {
        let opening = truth["opening"]["spot"].get(coin).map_or(Amount::ZERO, amount);
        let closing = amount(&row["free"]) + amount(&row["locked"]);
        let change = ledger.change(LegKind::Spot, coin.as_str().try_into().unwrap());
        assert_eq!(opening + change, closing, "spot {coin}");
    }
    // The perp wallet: its cash, as if what is held had been paid for, and what that cost. Mean entry prices
    // are quotients, and the box cuts them.
    let row = |row: &Value| {
        let (qty, entry) = (amount(&row["qty"]).0, amount(&row["entry_price"]).0);
        qty / 10i128.pow(10) * entry / 10i128.pow(8)
    };
    let cost: i128 = truth["positions"].as_array().unwrap().iter().map(row).sum();
    let usdt = "USDT".try_into().unwrap();
    let change = ledger.change(LegKind::Perp, usdt) + ledger.perp_cash(usdt) + Amount(cost);
    let wallet = amount(&truth["opening"]["usdm"]["USDT"]) + change;
    let off = (wallet - amount(&truth["balances"]["usdm"]["USDT"]["wallet"])).0.abs();
    assert!(off <= 10i128.pow(9), "the perp wallet is off by {}", Amount(off));
    let mut held = BTreeMap::<String, i128>::new();
    for (key, [_, side, _, qty, ..]) in &booked {
        if key.0 == "perp" {
            let qty = Amount::parse(qty.as_bytes()).unwrap().0;
            *held.entry(key.1.clone()).or_default() += if side == "buy" { qty } else { -qty };
        }
    }
    held.retain(|_, qty| *qty != 0);
    let positions = truth["positions"].as_array().unwrap().iter();
    let positions = positions
        .map(|row| (text(row, "symbol"), amount(&row["qty"]).0))
        .filter(|(_, qty)| *qty != 0)
        .collect::<BTreeMap<_, _>>();
    assert_eq!(held, positions);
}

/// Nothing naked, nothing in doubt, nothing open: a clean end.
#[track_caller]
pub(crate) fn ended_clean(world: &World) {
    assert!(world.is_done());
    let ended = world.ended();
    assert!(ended.open.is_empty() && ended.failed.is_none() && ended.refused.is_none(), "{ended:?}");
    assert_eq!(world.truth()["naked"]["now"], serde_json::json!([]));
    assert_eq!(world.shadow().unknown_now(), 0);
}
