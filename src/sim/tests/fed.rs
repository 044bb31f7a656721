//! A market that is fed: nothing moves by itself, orders meet what was fed last, and what a client sends takes its time.
//!
//! Owns:  claims about `Exchange::feed` and `Config::wire_ns`.

use super::*;
use crate::sim::{Fed, FedSymbol, Source};

const E8: i64 = 100_000_000;

fn symbol(market: Market, tick: i64, step: i64, twin: usize) -> FedSymbol {
    FedSymbol {
        market,
        name: "SOLUSDT".into(),
        base: "SOL".into(),
        tick,
        step,
        max_qty: 9_000 * E8,
        min_notional: 5 * E8,
        multiplier: 1,
        twin: Some(twin),
        interval_h: if market == Market::Usdm { 4 } else { 0 },
    }
}

fn config(wire_ns: u64) -> Config {
    let spot = symbol(Market::Spot, 1_000_000, 100_000, 1);
    let perp = symbol(Market::Usdm, 1_000_000, 1_000_000, 0);
    Config { source: Source::Fed(vec![spot, perp]), wire_ns, ..Config::default() }
}

fn quote(symbol: usize, sequence: u64, bid: i64, ask: i64) -> Fed {
    Fed::Quote { symbol, sequence, bid: (bid * 1_000_000, 10 * E8), ask: (ask * 1_000_000, 10 * E8) }
}

#[test]
fn nothing_is_quoted_that_was_not_fed() {
    let mut world = World::with(config(0));
    let mut socket = world.socket(Door::SpotWs, "/ws/solusdt@bookTicker");
    let mut marks = world.socket(Door::UsdmWs, "/market/ws/solusdt@markPrice@1s");
    world.run(3 * SECOND);
    assert_eq!(socket.hear(&mut world, true), Vec::<String>::new());
    assert_eq!(marks.hear(&mut world, true), Vec::<String>::new());
    assert_eq!(
        world.get(Market::Usdm, "/fapi/v1/fundingRate?symbol=SOLUSDT").body,
        "[]",
        "no past is made up"
    );
    assert_eq!(world.truth()["market"], "fed");
    world.exchange.feed(&[quote(0, 77, 16_500, 16_501)], world.now);
    let heard = socket.hear(&mut world, true);
    let text = r#""s":"SOLUSDT","b":"165.00000000","B":"10.00000000","a":"165.01000000","A":"10.00000000""#;
    assert_eq!(heard.len(), 1);
    assert!(heard[0].contains(text), "{heard:?}");
}

#[test]
fn a_mark_is_told_while_it_is_new_and_a_settlement_there_is_one_here() {
    let mut world = World::with(config(0));
    let mut socket = world.socket(Door::UsdmWs, "/market/ws/solusdt@markPrice@1s");
    let due = world.stamp() + 60_000;
    let mark = |rate, next_funding_ms| Fed::Mark { symbol: 1, mark: 16_500_000_000, rate, next_funding_ms };
    world.exchange.feed(&[quote(1, 5, 16_500, 16_502), mark(Some(20_000), due)], world.now);
    world.order(Market::Usdm, "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=2");
    world.run(10 * SECOND);
    let heard = socket.hear(&mut world, true);
    assert_eq!(heard.len(), 5, "an old mark is not told as a new one: {heard:?}");
    assert!(heard[0].contains(r#""p":"165.00000000""#) && heard[0].contains(r#""r":"0.00020000""#));
    assert!(heard[0].contains(&format!(r#""T":{due}"#)), "{heard:?}");
    world.run(60 * SECOND);
    assert_eq!(world.truth()["funding"], "0", "it settles when the market it is fed from does");
    // No estimate is told with the last mark before it: the one heard before counts.
    world.exchange.feed(&[mark(None, due), mark(Some(90_000), due + 28_800_000)], world.now);
    // 2 × 165 × 0.0002, received by the short.
    assert_eq!(world.truth()["funding"], "0.066");
}

#[test]
fn the_past_and_the_interval_are_those_that_were_fed() {
    let mut world = World::with(config(0));
    let hours = |world: &mut World| {
        world.get(Market::Usdm, "/fapi/v1/fundingInfo").json[0]["fundingIntervalHours"].as_u64()
    };
    assert_eq!(hours(&mut world), Some(4));
    let row = |time_ms, rate| Fed::Settled { symbol: 1, time_ms, rate };
    let first = world.stamp() - 8 * 3_600_000;
    let rows = [row(first + 14_400_003, -700), row(first, 12_500), row(first, 12_500)];
    world.exchange.feed(&rows, world.now);
    world.exchange.feed(&[Fed::Interval { symbol: 1, hours: 1 }], world.now);
    let told = world.get(Market::Usdm, "/fapi/v1/fundingRate?symbol=SOLUSDT").json;
    let told: Vec<_> =
        told.as_array().unwrap().iter().map(|it| (&it["fundingTime"], &it["fundingRate"])).collect();
    let (times, rates) =
        ([first, first + 14_400_003].map(Value::from), ["0.00012500", "-0.00000700"].map(Value::from));
    assert_eq!(told, [(&times[0], &rates[0]), (&times[1], &rates[1])], "each once, as it was stamped");
    assert_eq!(hours(&mut world), Some(1));
}

#[test]
fn an_order_meets_the_quote_of_when_it_arrives() {
    let mut world = World::with(config(30 * MS));
    world.exchange.feed(&[quote(0, 1, 16_500, 16_501)], world.now);
    let bytes =
        world.signed_bytes("POST", "/api/v3/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=0.1");
    let conn = world.exchange.open(Door::SpotRest, world.now);
    // In two pieces: their order is kept.
    let (head, tail) = bytes.split_at(40);
    world.exchange.receive(conn, head.as_bytes(), world.now);
    world.run(10 * MS);
    world.exchange.receive(conn, tail.as_bytes(), world.now);
    let mut out = Vec::new();
    world.run(29 * MS);
    assert_eq!(world.truth()["orders"], serde_json::json!([]), "it is still under way");
    world.exchange.feed(&[quote(0, 2, 16_600, 16_601)], world.now);
    world.run(MS);
    assert_eq!(world.truth()["orders"][0]["executed_qty"], "0.1");
    world.exchange.take_output(conn, &mut out);
    assert!(out.is_empty(), "and so is its answer now");
    world.run(30 * MS);
    world.exchange.take_output(conn, &mut out);
    let answer = answers(&out).remove(0);
    assert_eq!(
        answer.json["fills"][0]["price"], "166.01000000",
        "the quote of its arrival, not of its sending"
    );
    // What it took is gone until the next quote, and nothing lies behind the best price.
    let world = &mut world;
    let rest = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=20";
    world.exchange.feed(&[quote(0, 3, 16_600, 16_601)], world.now);
    let bytes = world.signed_bytes("POST", "/api/v3/order", rest);
    world.exchange.receive(conn, bytes.as_bytes(), world.now);
    world.run(60 * MS);
    out.clear();
    world.exchange.take_output(conn, &mut out);
    let answer = answers(&out).remove(0);
    assert_eq!(
        (&answer.json["executedQty"], &answer.json["status"]),
        (&"10.00000000".into(), &"EXPIRED".into())
    );
}

#[test]
fn a_fed_symbol_that_cannot_be_is_named() {
    let mut config = config(0);
    let Source::Fed(symbols) = &mut config.source else { unreachable!() };
    symbols[1].tick = 0;
    let error = Exchange::new(config, START).err().unwrap().to_string();
    assert!(error.contains("fed symbol 1"), "{error}");
}
