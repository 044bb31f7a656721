//! Faults on order do what they say, once, and are counted.
//!
//! Owns:  claims about every fault that can be ordered.

use super::*;
use serde_json::{Value, json};

const SPOT: Market = Market::Spot;
const BUY: &str = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=2.000&newClientOrderId=5782622041802803840";

fn world_with(fault: Value) -> World {
    let mut world = World::new();
    world.exchange.fault(&fault).expect("a good fault");
    world
}

fn query(world: &mut World) -> Answer {
    world.signed(SPOT, "GET", "/api/v3/order", "symbol=SOLUSDT&origClientOrderId=5782622041802803840")
}

#[test]
fn a_refused_order_is_not_taken() {
    let mut world = world_with(json!({"kind": "refuse", "code": -2010, "msg": "Market is closed."}));
    assert_eq!(world.order(SPOT, BUY).code(), -2010);
    assert_eq!(query(&mut world).code(), -2013);
    assert_eq!(world.order(SPOT, BUY).json["status"], "FILLED", "only once");
    assert_eq!(world.truth()["faults"], json!({"refuse": 1}));
}

#[test]
fn no_fill_and_partial_fill_end_expired() {
    let mut world = world_with(json!({"kind": "none"}));
    world.exchange.fault(&json!({"kind": "partial", "fraction_ppm": 250_000})).unwrap();
    let none = world.order(SPOT, BUY).json;
    assert_eq!((&none["status"], &none["executedQty"]), (&"EXPIRED".into(), &"0.00000000".into()));
    let part = world.order(SPOT, BUY).json;
    assert_eq!((&part["status"], &part["executedQty"]), (&"EXPIRED".into(), &"0.50000000".into()));
}

#[test]
fn a_dropped_answer_hides_an_executed_order_and_a_lost_one_none() {
    let mut world = world_with(json!({"kind": "drop_ack"}));
    let bytes = world.signed_bytes("POST", "/api/v3/order", BUY);
    assert!(world.send(SPOT, &bytes).is_none());
    assert_eq!(query(&mut world).json["status"], "FILLED");
    let mut world = world_with(json!({"kind": "lose"}));
    let bytes = world.signed_bytes("POST", "/api/v3/order", BUY);
    assert!(world.send(SPOT, &bytes).is_none());
    assert_eq!(query(&mut world).code(), -2013);
    assert_eq!(world.truth()["orders"], json!([]));
}

#[test]
fn pages_and_foreign_statuses_replace_answers_with_the_order_taken_or_not() {
    for (taken, orders) in [(false, 0), (true, 1)] {
        let mut world = world_with(json!({"kind": "html", "taken": taken, "client_side": "BUY"}));
        let answer = world.order(SPOT, BUY);
        assert!(answer.status == 200 && answer.body.starts_with("<html>"));
        assert_eq!(world.truth()["orders"].as_array().map(Vec::len), Some(orders));
        let body = r#"{"msg":"Service Unavailable."}"#;
        let mut world = world_with(json!({"kind": "status", "status": 503, "body": body, "taken": taken}));
        let answer = world.order(SPOT, BUY);
        assert_eq!((answer.status, answer.body.as_str()), (503, body));
        assert_eq!(world.truth()["orders"].as_array().map(Vec::len), Some(orders));
    }
}

#[test]
fn streams_can_be_cut_muted_spoilt_and_delayed() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWs, "/ws/btcusdt@bookTicker");
    world.run(300 * MS);
    assert!(!socket.read(&mut world).is_empty());
    world.exchange.fault(&json!({"kind": "mute", "stream": "btcusdt@bookTicker", "ms": 500})).unwrap();
    world.run(499 * MS);
    assert!(socket.read(&mut world).is_empty());
    world.exchange.fault(&json!({"kind": "bad_quote", "market": "spot"})).unwrap();
    world.run(300 * MS);
    let bad = socket.read(&mut world);
    assert_eq!(bad.iter().filter(|q| q["b"] == "12345678901234567890.12").count(), 1);
    let price = |quote: &Value, key: &str| quote[key].as_str().unwrap().parse::<f64>().unwrap();
    for (kind, odd) in [("crossed_quote", 0), ("spike_quote", 1), ("late_quote", 2)] {
        world.exchange.fault(&json!({"kind": kind, "market": "spot", "by_ppm": -250_000})).unwrap();
        world.run(300 * MS);
        let quotes = socket.read(&mut world);
        let near = |quote: &&Value| (price(quote, "a") / price(&quotes[0], "a") - 1.0).abs() < 0.1;
        let found = [
            quotes.iter().filter(|quote| price(quote, "b") > price(quote, "a")).count(),
            quotes[1..].iter().filter(|quote| !near(quote)).count().min(1),
            quotes.windows(2).filter(|two| two[0]["u"].as_u64() > two[1]["u"].as_u64()).count(),
        ];
        assert!(quotes.len() > 3, "{quotes:?}");
        assert_eq!(found, [0, 1, 2].map(|at| usize::from(at == odd)), "{kind}: {quotes:?}");
    }
    assert!(world.exchange.fault(&json!({"kind": "spike_quote", "by_ppm": -1_000_000})).is_err());
    world.exchange.fault(&json!({"kind": "lag", "ms": 400, "for_ms": 300})).unwrap();
    world.run(399 * MS);
    assert!(socket.read(&mut world).is_empty());
    world.run(400 * MS);
    let late = socket.read(&mut world);
    assert!(late.len() > 5 && late.windows(2).all(|w| w[0]["u"].as_u64() < w[1]["u"].as_u64()));
    world.exchange.fault(&json!({"kind": "cut_streams"})).unwrap();
    socket.read(&mut world);
    assert!(socket.closed);
    assert!(world.exchange.fault(&json!({"kind": "mute", "stream": "none@bookTicker"})).is_err());
}
