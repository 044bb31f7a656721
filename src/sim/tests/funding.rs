//! Funding as clients meet it: a jittered history, intervals of each perp that change, a pool of its own.
//!
//! Owns:  claims about `fundingRate`, `fundingInfo` and the funding fault.

use super::{MS, SECOND, START, World};
use crate::sim::{Config, Market};
use serde_json::{Value, json};

const USDM: Market = Market::Usdm;
const HOUR_MS: u64 = 3_600_000;

fn settle_in(seconds: u64) -> World {
    World::with(Config { settle_in_ns: seconds * SECOND, ..Config::default() })
}

fn order(world: &mut World, fault: Value) {
    world.exchange.fault(&fault).expect("a good order");
}

fn times(world: &mut World, query: &str) -> Vec<u64> {
    let rows = world.get(USDM, &format!("/fapi/v1/fundingRate?{query}")).json;
    rows.as_array().expect("rows").iter().map(|row| row["fundingTime"].as_u64().expect("a time")).collect()
}

/// Hours as `fundingInfo` tells them; a perp it leaves out settles every 8 h.
fn hours(world: &mut World, symbol: &str) -> u64 {
    let rows = world.get(USDM, "/fapi/v1/fundingInfo").json;
    let row = rows.as_array().expect("rows").iter().find(|row| row["symbol"] == symbol).cloned();
    row.map_or(8, |row| row["fundingIntervalHours"].as_u64().expect("hours"))
}

fn next(world: &mut World, symbol: &str) -> u64 {
    let index = world.get(USDM, &format!("/fapi/v1/premiumIndex?symbol={symbol}")).json;
    index["nextFundingTime"].as_u64().expect("a time")
}

#[test]
fn every_perp_has_a_past_at_its_own_interval_stamped_a_little_late() {
    let mut world = settle_in(60);
    let first = START / MS + 60_000;
    for (symbol, interval) in [("SOLUSDT", 8), ("DOGEUSDT", 4), ("DOTUSDT", 2), ("1000PEPEUSDT", 1)] {
        assert_eq!(hours(&mut world, symbol), interval, "{symbol}");
        let since = first - 8 * 24 * HOUR_MS;
        let told = times(&mut world, &format!("symbol={symbol}&startTime={since}&limit=1000"));
        assert_eq!(told.len() as u64, 8 * 24 / interval, "{symbol}");
        let late: Vec<u64> =
            told.iter().enumerate().map(|(n, at)| at - (since + n as u64 * interval * HOUR_MS)).collect();
        assert!(late.iter().all(|ms| *ms <= 47), "{symbol}: {late:?}");
        assert!(late.iter().any(|ms| *ms > 0), "{symbol}: {late:?}");
        let page = times(&mut world, &format!("symbol={symbol}&startTime={since}&limit=10"));
        assert_eq!(page, told[..10], "{symbol}: a page begins at its start");
    }
}

#[test]
fn an_interval_that_is_changed_moves_the_next_settlement_and_not_the_past() {
    let mut world = settle_in(60);
    world.run(61 * SECOND);
    let settled = START / MS + 60_000;
    let past = times(&mut world, "symbol=SOLUSDT&limit=50");
    for interval in [1, 4, 2, 8] {
        order(&mut world, json!({"kind": "funding", "symbol": "SOLUSDT", "interval_h": interval}));
        assert_eq!(hours(&mut world, "SOLUSDT"), interval);
        assert_eq!(next(&mut world, "SOLUSDT"), settled + interval * HOUR_MS);
        assert_eq!(next(&mut world, "BTCUSDT"), settled + 8 * HOUR_MS, "the others stay");
        assert_eq!(times(&mut world, "symbol=SOLUSDT&limit=50"), past);
    }
    order(&mut world, json!({"kind": "funding", "symbol": "SOLUSDT", "interval_h": 1, "rate": "-0.0003"}));
    world.run(3_600 * SECOND);
    let rows = world.get(USDM, "/fapi/v1/fundingRate?symbol=SOLUSDT&limit=1").json;
    let rate = rows[0]["fundingRate"].as_str().expect("a rate");
    assert!(rate.starts_with("-0.000"), "{rate}");
    assert_eq!(rows[0]["fundingTime"].as_u64().map(|at| at / 1_000), Some((settled + HOUR_MS) / 1_000));
    assert_eq!(next(&mut world, "SOLUSDT"), settled + 2 * HOUR_MS, "settled once");
}

#[test]
fn what_is_kept_from_the_history_is_told_when_the_silence_ends() {
    let mut world = settle_in(10);
    order(&mut world, json!({"kind": "funding", "symbol": "SOLUSDT", "untold": true}));
    world.run(11 * SECOND);
    let at = START / MS + 10_000;
    let fresh =
        |world: &mut World, symbol: &str| times(world, &format!("symbol={symbol}&startTime={at}")).len();
    assert_eq!((fresh(&mut world, "SOLUSDT"), fresh(&mut world, "BTCUSDT")), (0, 1));
    assert_eq!(world.truth()["funding_7d"]["SOLUSDT"]["count"], 21);
    order(&mut world, json!({"kind": "funding", "symbol": "SOLUSDT", "untold": false}));
    assert_eq!(fresh(&mut world, "SOLUSDT"), 1);
}

#[test]
fn history_and_intervals_share_a_pool_of_five_hundred() {
    let mut world = World::new();
    for n in 0..500 {
        let path =
            if n % 2 == 0 { "/fapi/v1/fundingInfo" } else { "/fapi/v1/fundingRate?symbol=SOLUSDT&limit=1" };
        assert_eq!(world.get(USDM, path).status, 200, "request {n}");
    }
    let refused = world.get(USDM, "/fapi/v1/fundingInfo");
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (429, -1003, Some("295")));
    assert_eq!(world.get(USDM, "/fapi/v1/ping").status, 200, "it is a pool of its own");
    world.run(295 * SECOND);
    assert_eq!(world.get(USDM, "/fapi/v1/fundingInfo").status, 200);
}

#[test]
fn a_wrong_funding_order_is_told_what_is_allowed() {
    let mut world = World::new();
    for wrong in [
        json!({"kind": "funding"}),
        json!({"kind": "funding", "symbol": "NOUSDT", "interval_h": 1}),
        json!({"kind": "funding", "interval_h": 3}),
        json!({"kind": "funding", "rate": 0.0001}),
        json!({"kind": "funding", "rate": "1e-4"}),
        json!({"kind": "funding", "untold": "yes"}),
    ] {
        assert!(world.exchange.fault(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn spot_fees_are_paid_in_bnb_while_there_is_any() {
    let mut world = World::with(Config { spot_bnb: "0.0001".to_owned(), ..Config::default() });
    world.exchange.fault(&json!({"kind": "account", "spot_burn": true})).unwrap();
    let mut assets = Vec::new();
    for _ in 0..4 {
        let answer = world
            .order(Market::Spot, "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=0.5&newOrderRespType=FULL");
        assets.push(answer.json["fills"][0]["commissionAsset"].as_str().expect("an asset").to_owned());
    }
    assert_eq!(assets, ["BNB", "SOL", "SOL", "SOL"]);
    let truth = world.truth();
    assert_eq!(truth["opening"]["spot"]["BNB"], "0.0001");
    let fill = &truth["fills"][0];
    // Half a SOL at 165 is 82.5 USDT: 0.075 % of it in BNB at 890.
    let fee: String = fill["commission"].as_str().expect("a fee").chars().take(7).collect();
    assert_eq!(fee, "0.00006");
}
