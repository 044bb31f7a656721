//! Markets out of service, short memories and scripts: what a client sees of them, and when they end.
//!
//! Owns:  claims about the faults `maintenance`, `ban` and `horizon`, and about `Config::script`.

use super::super::Script;
use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;

fn order(world: &mut World, fault: Value) {
    world.exchange.fault(&fault).expect("a good fault");
}

fn ask(world: &mut World, market: Market, path: &str) -> Answer {
    world.keyed(market, "GET", path)
}

/// Status line of the answer to an upgrade, with its headers.
fn upgrade(world: &mut World, door: Door, path: &str) -> String {
    let conn = world.exchange.open(door, world.now);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: box\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    world.exchange.receive(conn, request.as_bytes(), world.now);
    let mut out = Vec::new();
    world.exchange.take_output(conn, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_market_in_maintenance_refuses_all_but_its_status_stands_still_and_comes_back_by_itself() {
    let mut world = World::new();
    let resting = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000.00";
    assert_eq!(world.order(SPOT, resting).status, 200);
    assert_eq!(ask(&mut world, SPOT, "/sapi/v1/system/status").json["status"], 0);
    order(&mut world, json!({"kind": "maintenance", "market": "spot", "for_ms": 20_000}));
    let before = world.truth();
    let status = ask(&mut world, SPOT, "/sapi/v1/system/status");
    assert_eq!((status.status, &status.json["status"]), (200, &1.into()));
    for path in ["/api/v3/ping", "/api/v3/exchangeInfo", "/api/v3/account"] {
        assert_eq!(ask(&mut world, SPOT, path).status, 503, "{path}");
    }
    let bytes =
        world.signed_bytes("POST", "/api/v3/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    assert_eq!(world.send(SPOT, &bytes).expect("an answer").status, 503);
    assert!(upgrade(&mut world, Door::SpotWs, "/stream").starts_with("HTTP/1.1 503"));
    let usdm = ask(&mut world, USDM, "/fapi/v1/ticker/bookTicker");
    world.run(19_999 * MS);
    assert_ne!(usdm.body, ask(&mut world, USDM, "/fapi/v1/ticker/bookTicker").body);
    assert!(upgrade(&mut world, Door::UsdmWs, "/public/stream").starts_with("HTTP/1.1 101"));
    assert_eq!(ask(&mut world, SPOT, "/api/v3/ping").status, 503);
    let after = world.truth();
    assert_eq!(
        (&before["orders"], &before["balances"]["spot"]),
        (&after["orders"], &after["balances"]["spot"])
    );
    world.run(MS);
    let open = world.signed(SPOT, "GET", "/api/v3/openOrders", "symbol=BTCUSDT");
    assert_eq!((open.status, open.json.as_array().map(Vec::len)), (200, Some(1)));
    assert_eq!(ask(&mut world, SPOT, "/sapi/v1/system/status").json["status"], 0);
    assert!(upgrade(&mut world, Door::SpotWs, "/stream").starts_with("HTTP/1.1 101"));
    assert_eq!(world.truth()["faults"], json!({"maintenance": 1}));
}

#[test]
fn spots_sockets_are_told_of_a_maintenance_and_closed() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    order(&mut world, json!({"kind": "maintenance", "market": "usdm", "for_ms": 1_000}));
    assert!(socket.read(&mut world).is_empty(), "the other market's");
    order(&mut world, json!({"kind": "maintenance", "market": "both", "for_ms": 1_000}));
    let told = socket.read(&mut world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["event"]["e"], "serverShutdown");
}

/// A settlement in the maintenance is paid at its end, those after it at their hours.
#[test]
fn funding_waits_for_the_end_of_a_maintenance() {
    let mut world = World::with(Config { settle_in_ns: 10 * SECOND, ..Config::default() });
    assert_eq!(world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010").status, 200);
    order(&mut world, json!({"kind": "maintenance", "market": "usdm", "for_ms": 30_000}));
    world.run(29 * SECOND);
    let paid = |world: &mut World| {
        let income = world.signed(USDM, "GET", "/fapi/v1/income", "incomeType=FUNDING_FEE").json;
        income.as_array().map(|rows| rows.iter().map(|row| row["time"].as_u64().expect("a time")).collect())
    };
    assert_eq!(paid(&mut world), None, "503");
    world.run(SECOND);
    let at = START / MS + 10_000;
    assert_eq!(paid(&mut world), Some(vec![at]));
    let next = ask(&mut world, USDM, "/fapi/v1/premiumIndex").json;
    let next = next.as_array().expect("rows").iter().find(|row| row["symbol"] == "BTCUSDT").expect("a row");
    assert_eq!(next["nextFundingTime"], at + 8 * 3_600_000);
}

#[test]
fn a_ban_counts_down_to_its_end_leaves_open_sockets_and_grows_for_those_who_go_on() {
    let mut world = World::new();
    order(&mut world, json!({"kind": "ban", "market": "usdm", "for_ms": 30_000}));
    let first = ask(&mut world, USDM, "/fapi/v1/ping");
    assert_eq!((first.status, first.code(), first.header("retry-after")), (418, -1003, Some("30")));
    world.run(10 * SECOND);
    let bytes =
        world.signed_bytes("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    let order_answer = world.send(USDM, &bytes).expect("an answer");
    assert_eq!((order_answer.status, order_answer.header("retry-after")), (418, Some("20")));
    assert_eq!(ask(&mut world, SPOT, "/api/v3/ping").status, 200, "the other market's host");
    let refused = upgrade(&mut world, Door::UsdmWs, "/public/stream");
    assert!(refused.starts_with("HTTP/1.1 418") && refused.contains("Retry-After: 20"), "{refused}");
    world.run(20 * SECOND);
    assert_eq!(ask(&mut world, USDM, "/fapi/v1/ping").status, 200);
    // Who goes on is banned for two minutes from then, and the next time for four.
    order(&mut world, json!({"kind": "ban", "market": "usdm", "for_ms": 5_000}));
    let waits: Vec<String> = (0..10)
        .map(|_| ask(&mut world, USDM, "/fapi/v1/ping").header("retry-after").expect("a wait").to_owned())
        .collect();
    assert_eq!(waits, ["5", "5", "5", "5", "120", "120", "120", "120", "120", "240"]);
}

#[test]
fn dead_orders_are_forgotten_first_and_then_all_history() {
    let mut world = World::new();
    order(&mut world, json!({"kind": "horizon", "ms": 5_000, "history_ms": 20_000}));
    let dead =
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&newClientOrderId=dead&quantity=0.010&price=";
    let filled = "symbol=BTCUSDT&side=SELL&type=MARKET&newClientOrderId=filled&quantity=0.010";
    let low = world.signed(USDM, "GET", "/fapi/v1/allOrders", "symbol=BTCUSDT").json;
    assert_eq!(low, json!([]));
    let low = ask(&mut world, USDM, "/fapi/v1/ticker/price").json;
    let low = low.as_array().expect("rows").iter().find(|row| row["symbol"] == "BTCUSDT").expect("a row");
    let low = low["price"].as_str().and_then(|p| p.split('.').next()).and_then(|p| p.parse::<u64>().ok());
    let low = low.expect("a price") * 98 / 100;
    let placed = world.order(USDM, &format!("{dead}{low}.0"));
    assert_eq!(placed.status, 200, "{}", placed.body);
    assert_eq!(world.order(SPOT, &format!("{dead}{low}.00")).status, 200);
    assert_eq!(world.order(USDM, filled).status, 200);
    let codes = |world: &mut World| {
        let mut code = |market, path, id: &str| {
            world.signed(market, "GET", path, &format!("symbol=BTCUSDT&origClientOrderId={id}")).code()
        };
        let codes = [
            code(SPOT, "/api/v3/order", "dead"),
            code(USDM, "/fapi/v1/order", "dead"),
            code(USDM, "/fapi/v1/order", "filled"),
        ];
        let mut rows = |path, query| world.signed(USDM, "GET", path, query).json.as_array().map(Vec::len);
        let rows = [
            rows("/fapi/v1/allOrders", "symbol=BTCUSDT"),
            rows("/fapi/v1/userTrades", "symbol=BTCUSDT&limit=1"),
            rows("/fapi/v1/income", "incomeType=COMMISSION&limit=1"),
        ];
        (codes, rows.map(|n| n.expect("a list")))
    };
    assert_eq!(codes(&mut world), ([0, 0, 0], [2, 1, 1]));
    world.run(5_001 * MS);
    assert_eq!(codes(&mut world), ([-2026, -2013, 0], [1, 1, 1]));
    world.run(15 * SECOND);
    assert_eq!(codes(&mut world), ([-2026, -2013, -2013], [0, 0, 0]));
    assert_eq!(world.truth()["orders"].as_array().map(Vec::len), Some(3), "the truth forgets nothing");
}

#[test]
fn without_a_fault_history_reaches_as_far_as_the_page_says() {
    let mut world = World::with(Config { ticks_per_s: 1, ..Config::default() });
    let low =
        "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=IOC&newClientOrderId=dead&quantity=1.00&price=162.00";
    assert_eq!(world.order(USDM, low).status, 200);
    // Nothing moves meanwhile, so that days are cheap.
    let day = 86_400 * SECOND;
    order(&mut world, json!({"kind": "maintenance", "for_ms": 3 * 86_400_000_u64 - 60_000}));
    world.run(3 * day);
    let query = "symbol=SOLUSDT&origClientOrderId=dead";
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/order", query).json["status"], "EXPIRED");
    world.run(SECOND);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/order", query).code(), -2013);
}

#[test]
fn a_script_counts_from_the_first_connection_and_what_is_refused_at_its_time_is_told() {
    let script = "{\"at_ms\": 1000, \"fault\": {\"kind\": \"ban\", \"market\": \"usdm\", \"for_ms\": 2000}}\n\
                  {\"at_ms\": 500, \"fault\": {\"kind\": \"liquidate\", \"symbol\": \"BTCUSDT\"}}";
    let script = Script::read(script).expect("a good script");
    let mut world = World::with(Config { script, ..Config::default() });
    world.run(10 * SECOND);
    assert_eq!(world.truth()["faults"], json!({}), "nobody has come yet");
    let status = |world: &mut World| ask(world, USDM, "/fapi/v1/ping").status;
    assert_eq!(status(&mut world), 200);
    world.run(999 * MS);
    assert_eq!(status(&mut world), 200);
    world.run(MS);
    assert_eq!(status(&mut world), 418);
    world.run(2 * SECOND);
    assert_eq!(status(&mut world), 200);
    assert_eq!(world.truth()["faults"], json!({"ban": 1}));
    let refused = &world.truth()["script_refused"];
    assert_eq!((refused.as_array().map(Vec::len), &refused[0]["at_ms"]), (Some(1), &500.into()));
    assert!(refused[0]["why"].as_str().is_some_and(|why| why.contains("no position")), "{refused}");
}
