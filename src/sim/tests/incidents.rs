//! Faults of hearing and reading, and what the venue does on its own account: each strikes and is counted.
//!
//! Owns:  claims about late answers, lagging replicas, lost, late, doubled and shuffled events, forced closings,
//!        strangers' orders; and that all of it is the same again for the same calls.

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;
const BUY: &str = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=2.000&newClientOrderId=5782622041802803840";
const SHORT: &str = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010";

/// The change each event tells, or else its type.
fn kinds(events: &[Value]) -> Vec<&str> {
    fn kind(e: &Value) -> Option<&str> {
        [&e["event"]["x"], &e["o"]["x"], &e["e"], &e["event"]["e"]].into_iter().find_map(Value::as_str)
    }
    events.iter().filter_map(kind).collect()
}

fn order(world: &mut World, fault: Value) {
    world.exchange.fault(&fault).expect("a good fault");
}

#[test]
fn a_late_answer_hides_an_executed_order_and_keeps_later_answers_behind_it() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    order(&mut world, json!({"kind": "delay_ack", "ms": 6_000}));
    let conn = world.exchange.open(Door::SpotRest, world.now);
    let bytes =
        world.signed_bytes("POST", "/api/v3/order", BUY) + &world.signed_bytes("GET", "/api/v3/account", "");
    world.exchange.receive(conn, bytes.as_bytes(), world.now);
    let mut out = Vec::new();
    assert!(!world.exchange.take_output(conn, &mut out) && out.is_empty());
    assert_eq!(
        kinds(&socket.read(&mut world)),
        ["NEW", "TRADE", "outboundAccountPosition"],
        "events come first"
    );
    let found =
        world.signed(SPOT, "GET", "/api/v3/order", "symbol=SOLUSDT&origClientOrderId=5782622041802803840");
    assert_eq!(found.json["status"], "FILLED", "another connection is not held");
    world.run(5_999 * MS);
    world.exchange.take_output(conn, &mut out);
    assert!(out.is_empty());
    world.run(MS);
    world.exchange.take_output(conn, &mut out);
    let told = answers(&out);
    assert_eq!((told.len(), &told[0].json["status"]), (2, &"FILLED".into()));
    assert!(told[1].json["balances"].is_array());
    assert_eq!(world.truth()["faults"], json!({"delay_ack": 1}));
}

#[test]
fn a_replica_answers_from_the_past_and_does_not_know_younger_orders() {
    let mut world = World::new();
    world.order(USDM, SHORT);
    world.run(2 * SECOND);
    order(&mut world, json!({"kind": "replica_lag", "ms": 500, "for_ms": 2_000}));
    world.order(SPOT, BUY);
    world.order(USDM, SHORT);
    let query = "symbol=SOLUSDT&origClientOrderId=5782622041802803840";
    let read = |world: &mut World| {
        let order = world.signed(SPOT, "GET", "/api/v3/order", query).code();
        let all = world.signed(SPOT, "GET", "/api/v3/allOrders", "symbol=SOLUSDT").json;
        let trades = world.signed(USDM, "GET", "/fapi/v1/userTrades", "symbol=BTCUSDT").json;
        let risk = world.signed(USDM, "GET", "/fapi/v3/positionRisk", "symbol=BTCUSDT").json;
        let spot = world.signed(SPOT, "GET", "/api/v3/account", "omitZeroBalances=true").json;
        let rows = |v: &Value| v.as_array().map_or(0, Vec::len);
        (
            order,
            rows(&all),
            rows(&trades),
            risk[0]["positionAmt"].as_str().unwrap().to_owned(),
            rows(&spot["balances"]),
        )
    };
    let past = (-2013, 0, 1, "-0.010".to_owned(), 1);
    assert_eq!(read(&mut world), past);
    world.run(499 * MS);
    assert_eq!(read(&mut world), past);
    world.run(MS);
    assert_eq!(read(&mut world), (0, 1, 2, "-0.020".to_owned(), 2));
    assert_eq!(world.truth()["positions"][0]["qty"], "-0.02", "the truth never lags");
}

#[test]
fn the_replayed_present_is_the_present() {
    let mut world = World::new();
    let (bid, _) = world.top(SPOT, "BTCUSDT");
    world.order(SPOT, &format!("symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.200&price={bid}"));
    world.order(
        SPOT,
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.0500&price=2000&newClientOrderId=far",
    );
    world.order(SPOT, "symbol=DOGEUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=100&price=0.001");
    for step in 0..40 {
        world.run(97 * MS);
        world.order(SPOT, "symbol=SOLUSDT&side=BUY&type=MARKET&quoteOrderQty=50");
        if step % 3 == 0 {
            world.order(SPOT, "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=0.100");
        }
        world.order(
            USDM,
            if step % 4 == 3 { "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.025" } else { SHORT },
        );
        match step {
            10 => order(&mut world, json!({"kind": "settle_now"})),
            20 => order(&mut world, json!({"kind": "adl", "symbol": "BTCUSDT", "fraction_ppm": 300_000})),
            30 => drop(world.signed(SPOT, "DELETE", "/api/v3/order", "symbol=ETHUSDT&origClientOrderId=far")),
            _ => {}
        }
    }
    let reads = [
        (SPOT, "/api/v3/account", ""),
        (SPOT, "/api/v3/allOrders", "symbol=SOLUSDT"),
        (SPOT, "/api/v3/allOrders", "symbol=BTCUSDT"),
        (SPOT, "/api/v3/allOrders", "symbol=ETHUSDT"),
        (SPOT, "/api/v3/myTrades", "symbol=SOLUSDT"),
        (USDM, "/fapi/v1/allOrders", "symbol=BTCUSDT"),
        (USDM, "/fapi/v1/userTrades", "symbol=BTCUSDT"),
        (USDM, "/fapi/v3/positionRisk", ""),
        (USDM, "/fapi/v3/account", ""),
        (USDM, "/fapi/v3/balance", ""),
    ];
    let read = |world: &mut World| reads.map(|(m, path, params)| world.signed(m, "GET", path, params).body);
    let present = read(&mut world);
    order(&mut world, json!({"kind": "replica_lag", "ms": 0, "for_ms": 1_000}));
    assert_eq!(read(&mut world), present);
    order(&mut world, json!({"kind": "replica_lag", "ms": 1, "for_ms": 1_000}));
    assert_ne!(read(&mut world)[1], present[1], "a millisecond ago the last order was not there");
}

#[test]
fn private_events_can_be_lost_late_doubled_and_shuffled() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut spot = world.subscribed();
    let mut usdm = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    order(&mut world, json!({"kind": "mute_user", "ms": 1_000, "market": "spot"}));
    world.order(SPOT, BUY);
    world.order(USDM, SHORT);
    assert_eq!((spot.read(&mut world).len(), usdm.read(&mut world).len()), (0, 4));
    world.run(SECOND);
    order(&mut world, json!({"kind": "delay_user", "ms": 300, "for_ms": 100, "market": "spot"}));
    world.order(SPOT, BUY);
    world.run(299 * MS);
    world.order(SPOT, "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.0100");
    assert_eq!(spot.read(&mut world).len(), 0, "what comes after is not told before");
    world.run(MS);
    let heard = spot.read(&mut world);
    assert_eq!(kinds(&heard), ["NEW", "TRADE", "outboundAccountPosition"].repeat(2));
    assert_eq!(heard[0]["event"]["s"], "SOLUSDT");
    order(&mut world, json!({"kind": "dup_user", "count": 2, "market": "usdm"}));
    world.order(SPOT, BUY);
    world.order(USDM, SHORT);
    assert_eq!(spot.read(&mut world).len(), 3);
    assert_eq!(
        kinds(&usdm.read(&mut world)),
        ["NEW", "NEW", "TRADE_LITE", "TRADE_LITE", "TRADE", "ACCOUNT_UPDATE"]
    );
    order(&mut world, json!({"kind": "shuffle_user", "count": 2}));
    order(&mut world, json!({"kind": "partial"}));
    world.order(SPOT, BUY);
    world.order(USDM, SHORT);
    assert_eq!(kinds(&spot.read(&mut world)), ["EXPIRED", "TRADE", "NEW", "outboundAccountPosition"]);
    assert_eq!(kinds(&usdm.read(&mut world)), ["TRADE", "TRADE_LITE", "NEW", "ACCOUNT_UPDATE"]);
    let counts = json!({"delay_user": 1, "dup_user": 2, "mute_user": 1, "partial": 1, "shuffle_user": 2});
    assert_eq!(world.truth()["faults"], counts);
}

#[test]
fn the_listen_key_expires_on_order_and_private_sockets_are_cut_apart_from_market_ones() {
    let mut world = World::new();
    assert!(world.exchange.fault(&json!({"kind": "expire_listen_key"})).is_err(), "none is alive");
    let key = world.listen_key();
    let mut usdm = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    order(&mut world, json!({"kind": "expire_listen_key"}));
    assert_eq!(usdm.read(&mut world)[0]["listenKey"], key);
    assert!(!usdm.closed);
    let mut spot = world.subscribed();
    let mut quotes = world.socket(Door::UsdmWs, "/public/ws/btcusdt@bookTicker");
    order(&mut world, json!({"kind": "cut_streams"}));
    for (socket, cut) in [(&mut spot, false), (&mut usdm, false), (&mut quotes, true)] {
        socket.hear(&mut world, true);
        assert_eq!(socket.closed, cut);
    }
    order(&mut world, json!({"kind": "cut_user", "market": "usdm"}));
    usdm.hear(&mut world, true);
    spot.hear(&mut world, true);
    assert!(usdm.closed && !spot.closed);
    order(&mut world, json!({"kind": "cut_user"}));
    spot.hear(&mut world, true);
    assert!(spot.closed);
    world.order(SPOT, BUY);
}

#[test]
fn the_venue_closes_positions_under_its_own_ids() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    let fault = |kind: &str| json!({"kind": kind, "symbol": "BTCUSDT", "fraction_ppm": 500_000});
    assert!(world.exchange.fault(&fault("adl")).unwrap_err().contains("no position"));
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.100");
    socket.read(&mut world);
    let adl = include_str!("../../../tests/fixtures/binance/futures_user_order_trade_update_adl.json");
    let liquidation =
        include_str!("../../../tests/fixtures/binance/futures_user_order_trade_update_liquidation.json");
    for (kind, start, recorded, left) in
        [("adl", "adl_autoclose", adl, "-0.050"), ("liquidate", "autoclose-", liquidation, "-0.025")]
    {
        order(&mut world, fault(kind));
        let heard = socket.read(&mut world);
        assert_eq!(kinds(&heard), ["TRADE_LITE", "CALCULATED", "ACCOUNT_UPDATE"]);
        let o = &heard[1]["o"];
        assert!(o["c"].as_str().unwrap().starts_with(start), "{o}");
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        for (name, value) in recorded["o"].as_object().unwrap() {
            // Activation price and callback rate belong to trailing stops alone.
            assert!(["AP", "cr"].contains(&name.as_str()) || o.get(name).is_some(), "{name}");
            if ["o", "f", "x", "X", "R", "wt", "ot", "V", "m", "sp"].contains(&name.as_str()) {
                assert_eq!(&o[name], value, "{name}");
            }
        }
        assert_eq!(o["S"], "BUY");
        assert_eq!((&o["R"], &o["V"], &o["p"]), (&true.into(), &"NONE".into(), &o["L"]));
        assert_eq!(heard[2]["a"]["P"][0]["pa"], left);
        let truth = world.truth();
        let fill = truth["fills"].as_array().unwrap().last().unwrap();
        assert_eq!((&fill["client_order_id"], &fill["trade_id"]), (&o["c"], &o["t"]));
    }
    order(&mut world, json!({"kind": "liquidate", "symbol": "BTCUSDT"}));
    assert_eq!(world.truth()["positions"], json!([]));
    assert_eq!(world.truth()["faults"], json!({"adl": 1, "liquidate": 2}));
}

#[test]
fn a_contract_that_ends_is_settled_whole_and_trades_no_more() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.100");
    socket.read(&mut world);
    order(&mut world, json!({"kind": "delist", "symbol": "BTCUSDT"}));
    let heard = socket.read(&mut world);
    assert_eq!(kinds(&heard), ["TRADE_LITE", "CALCULATED", "ACCOUNT_UPDATE"]);
    assert!(heard[1]["o"]["c"].as_str().unwrap().starts_with("settlement_autoclose-"), "{}", heard[1]);
    assert_eq!(world.truth()["positions"], json!([]));
    let again = world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.100");
    assert_eq!(again.code(), -4140);
}

/// What stands in the book of a contract that is settled expires with it (`er` 7) and fills no more.
#[test]
fn a_contract_that_ends_takes_its_open_orders_along() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    order(&mut world, json!({"kind": "freeze", "ms": 3_000, "fraction_ppm": 250_000}));
    let (bid, ask) = world.top(USDM, "BTCUSDT");
    let frozen = format!("symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.100&price={bid}");
    world.order(USDM, &frozen);
    let rests = format!("symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.050&price={ask}");
    world.order(USDM, &rests);
    socket.read(&mut world);
    order(&mut world, json!({"kind": "delist", "symbol": "BTCUSDT"}));
    let heard = socket.read(&mut world);
    assert_eq!(kinds(&heard), ["EXPIRED", "EXPIRED", "TRADE_LITE", "CALCULATED", "ACCOUNT_UPDATE"]);
    assert_eq!((&heard[0]["o"]["er"], &heard[0]["o"]["z"]), (&json!("7"), &json!("0.025")), "{}", heard[0]);
    world.run(4 * SECOND);
    let truth = world.truth();
    assert_eq!(truth["positions"], json!([]));
    assert_eq!(truth["fills"].as_array().unwrap().len(), 2, "{}", truth["fills"]);
}

/// As after an airdrop: two events, the second with absolute values; a replica that is behind does not know of it yet.
#[test]
fn coins_that_come_without_a_trade_are_told_and_counted() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    world.run(SECOND);
    order(&mut world, json!({"kind": "credit", "symbol": "SOLUSDT"}));
    let heard = socket.read(&mut world);
    assert_eq!(kinds(&heard), ["balanceUpdate", "outboundAccountPosition"]);
    let (came, stands) = (&heard[0]["event"], &heard[1]["event"]["B"][0]);
    assert_eq!((&came["a"], &stands["a"]), (&json!("SOL"), &json!("SOL")));
    assert_eq!(came["d"], stands["f"], "there were none before");
    let truth = world.truth();
    assert_eq!(truth["credits"][0]["asset"], "SOL");
    assert_eq!(truth["credits"][0]["amount"], truth["balances"]["spot"]["SOL"]["free"]);
    assert_eq!(truth["fills"], json!([]));
    let read = |world: &mut World| {
        let account = world.signed(SPOT, "GET", "/api/v3/account", "omitZeroBalances=true").json;
        account["balances"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(read(&mut world), 2);
    order(&mut world, json!({"kind": "replica_lag", "ms": 500, "for_ms": 1_000}));
    assert_eq!(read(&mut world), 1, "half a second ago");
    world.run(SECOND / 2);
    assert_eq!(read(&mut world), 2);
    let refused = world.exchange.fault(&json!({"kind": "credit", "symbol": "NOSUCH"})).unwrap_err();
    assert!(refused.contains("not listed on spot"), "{refused}");
}

#[test]
fn a_stranger_trades_on_the_account_within_its_rules() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    let fault = |more: Value| {
        let mut it = json!({"kind": "foreign_order", "symbol": "SOLUSDT"});
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        it
    };
    assert!(world.exchange.fault(&fault(json!({"client_side": "SELL"}))).unwrap_err().contains("-2010"));
    order(&mut world, fault(json!({})));
    assert_eq!(kinds(&socket.read(&mut world)), ["NEW", "TRADE", "outboundAccountPosition"]);
    order(&mut world, fault(json!({"rest": true})));
    assert_eq!(kinds(&socket.read(&mut world)), ["NEW", "outboundAccountPosition"]);
    let open = world.signed(SPOT, "GET", "/api/v3/openOrders", "symbol=SOLUSDT").json;
    assert!(open[0]["clientOrderId"].as_str().unwrap().starts_with("web_"));
    order(&mut world, fault(json!({"half_later_ms": 500})));
    assert_eq!(kinds(&socket.read(&mut world)), ["NEW", "TRADE", "outboundAccountPosition"]);
    world.run(SECOND);
    assert_eq!(kinds(&socket.read(&mut world)), ["TRADE", "outboundAccountPosition"]);
    for symbol in ["BTCUSDT", "1000PEPEUSDT"] {
        order(
            &mut world,
            json!({"kind": "foreign_order", "symbol": symbol, "market": "usdm", "client_side": "SELL"}),
        );
    }
    assert_eq!(world.truth()["positions"].as_array().unwrap().len(), 2);
    assert_eq!(world.truth()["faults"], json!({"foreign_order": 5}));
}

/// Everything the listeners of a troubled session hear; its bytes arrive whole or one at a time.
fn session(bytewise: bool) -> (Vec<u8>, String) {
    let mut world = World::new();
    let key = world.listen_key();
    let mut heard = Vec::new();
    let mut spot = world.socket(Door::SpotWsApi, "/ws-api/v3");
    let mut usdm = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    let request = world.ws_request("s", "userDataStream.subscribe.signature", &[]);
    let frame = spot.frame(&request);
    let step = if bytewise { 1 } else { frame.len() };
    for piece in frame.chunks(step) {
        world.exchange.receive(spot.conn, piece, world.now);
    }
    for kind in ["dup_user", "shuffle_user", "delay_ack", "delay_user", "partial"] {
        order(&mut world, json!({"kind": kind, "ms": 30}));
        for (market, params) in [(SPOT, BUY), (USDM, SHORT)] {
            let door = if market == SPOT { Door::SpotRest } else { Door::UsdmRest };
            let conn = world.exchange.open(door, world.now);
            let path = order_path(market);
            let bytes = world.signed_bytes("POST", path, params).into_bytes();
            let step = if bytewise { 1 } else { bytes.len() };
            for piece in bytes.chunks(step) {
                world.exchange.receive(conn, piece, world.now);
            }
            world.run(50 * MS);
            world.exchange.take_output(conn, &mut heard);
        }
    }
    order(&mut world, json!({"kind": "adl", "symbol": "BTCUSDT"}));
    order(&mut world, json!({"kind": "expire_listen_key"}));
    world.run(SECOND);
    for socket in [&mut spot, &mut usdm] {
        heard.extend(socket.hear(&mut world, true).concat().into_bytes());
    }
    (heard, world.truth().to_string())
}

#[test]
fn the_same_troubles_give_the_same_bytes_however_requests_are_cut() {
    let whole = session(false);
    assert_eq!(whole, session(false));
    assert_eq!(whole, session(true));
}

/// An IOC order that the matching engine stands still with is NEW, listed as open, and locks its money; a cancel
/// ends it, and later nothing comes of it.
#[test]
fn an_order_left_standing_is_open_until_it_is_cancelled() {
    for (market, path) in [(SPOT, "/api/v3/order"), (USDM, "/fapi/v1/order")] {
        let mut world = World::new();
        order(&mut world, json!({"kind": "freeze", "ms": 20_000}));
        let id = "5782622041802803840";
        let (_, ask) = world.top(market, "SOLUSDT");
        let sent = format!(
            "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=2.00&price={ask}&newClientOrderId={id}&newOrderRespType=RESULT"
        );
        let ack = world.order(market, &sent).json;
        assert_eq!(ack["status"], "NEW", "{ack}");
        world.run(8 * SECOND);
        let asked = format!("symbol=SOLUSDT&origClientOrderId={id}");
        assert_eq!(world.signed(market, "GET", path, &asked).json["status"], "NEW");
        if market == SPOT {
            assert_ne!(world.truth()["balances"]["spot"]["USDT"]["locked"], "0");
        }
        let ended = world.signed(market, "DELETE", path, &asked).json;
        assert_eq!(ended["status"], "CANCELED", "{ended}");
        assert_eq!(world.signed(market, "DELETE", path, &asked).code(), -2011);
        world.run(20 * SECOND);
        let truth = world.truth();
        assert_eq!((&truth["orders"][0]["status"], &truth["fills"]), (&json!("CANCELED"), &json!([])));
        assert_eq!(truth["balances"]["spot"]["USDT"]["locked"], "0");
    }
}

/// What is gone on with meets the book of that later moment; a part that filled before stays filled.
#[test]
fn an_order_left_standing_is_gone_on_with_at_its_time() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    order(&mut world, json!({"kind": "freeze", "ms": 3_000, "fraction_ppm": 250_000}));
    let sent = "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=2.000&price=200.00";
    assert_eq!(world.order(SPOT, sent).json["status"], "PARTIALLY_FILLED");
    assert_eq!(kinds(&socket.read(&mut world)), ["NEW", "TRADE", "outboundAccountPosition"]);
    world.run(3 * SECOND);
    assert_eq!(kinds(&socket.read(&mut world)), ["TRADE", "outboundAccountPosition"]);
    let truth = world.truth();
    assert_eq!(
        (&truth["orders"][0]["status"], &truth["orders"][0]["executed_qty"]),
        (&json!("FILLED"), &json!("2"))
    );
    assert_eq!(truth["balances"]["spot"]["USDT"]["locked"], "0");

    order(&mut world, json!({"kind": "freeze", "ms": 1_000, "acked": false}));
    let conn = world.exchange.open(Door::SpotRest, world.now);
    let bytes = world.signed_bytes("POST", "/api/v3/order", sent);
    world.exchange.receive(conn, bytes.as_bytes(), world.now);
    let mut out = Vec::new();
    assert!(world.exchange.take_output(conn, &mut out) && out.is_empty(), "cut without an answer");
    assert_eq!(world.truth()["orders"][1]["status"], "NEW");
}
