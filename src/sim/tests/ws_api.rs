//! The WebSocket API through frames: envelopes, signatures, subscriptions, queries.
//!
//! Owns:  claims about `/ws-api/v3`.

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;

fn ask(world: &mut World, socket: &mut Socket, text: &str) -> Value {
    socket.say(world, text);
    let mut heard = socket.read(world);
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

#[test]
fn a_signed_subscription_is_answered_once_listed_and_ended_with_an_event() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
    let request = world.ws_request("d3df8a22", "userDataStream.subscribe.signature", &[]);
    let answer = ask(&mut world, &mut socket, &request);
    assert_eq!(
        answer.to_string(),
        r#"{"id":"d3df8a22","status":200,"result":{"subscriptionId":0},"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":4}]}"#
    );
    let again = ask(&mut world, &mut socket, &request);
    assert_eq!((&again["status"], &again["error"]["code"]), (&400.into(), &json!(-2035)));
    let listed = ask(
        &mut world,
        &mut socket,
        r#"{"id":2,"method":"session.subscriptions","params":{"returnRateLimits":false}}"#,
    );
    assert_eq!(listed, json!({"id": 2, "status": 200, "result": [{"subscriptionId": 0}]}));
    socket.say(&mut world, r#"{"id":3,"method":"userDataStream.unsubscribe","params":{"subscriptionId":0}}"#);
    let heard = socket.read(&mut world);
    let text = include_str!("../../../tests/fixtures/binance/spot_user_event_stream_terminated.json");
    let mut recorded: Value = serde_json::from_str(text).unwrap();
    recorded["event"]["E"] = world.stamp().into();
    assert_eq!((&heard[0], &heard[1]["result"]), (&recorded, &json!({})));
    world.order(SPOT, "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.0100");
    assert!(socket.read(&mut world).is_empty());
    let none = ask(&mut world, &mut socket, r#"{"id":4,"method":"userDataStream.unsubscribe"}"#);
    assert_eq!(none["error"]["code"], -2036);
    let answer = ask(&mut world, &mut socket, &request);
    assert_eq!(answer["result"]["subscriptionId"], 1, "numbers are not used twice");
}

#[test]
fn a_terse_connection_hears_rate_limits_only_when_it_asks() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3?returnRateLimits=false");
    assert_eq!(
        ask(&mut world, &mut socket, r#"{"id":1,"method":"ping"}"#).to_string(),
        r#"{"id":1,"status":200,"result":{}}"#
    );
    let with = ask(&mut world, &mut socket, r#"{"id":1,"method":"ping","params":{"returnRateLimits":true}}"#);
    assert_eq!(with["rateLimits"][0]["limit"], 6_000);
}

#[test]
fn what_is_wrong_with_a_signed_request_is_told_as_documented() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
    let good = world.ws_request("x", "order.status", &[("symbol", "BTCUSDT"), ("orderId", "1")]);
    let good: Value = serde_json::from_str(&good).unwrap();
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut request = good.clone();
        edit(&mut request["params"]);
        request.to_string()
    };
    let old = world.stamp() - 5_001;
    let cases = [
        (with(&|_| {}), 400, -2013),
        (with(&|p| p["orderId"] = "2".into()), 400, -1022),
        (with(&|p| p["recvWindow"] = 5000.into()), 400, -1022),
        (with(&|p| p["signature"] = "00".into()), 400, -1022),
        (with(&|p| p["apiKey"] = "somebody".into()), 401, -2015),
        (with(&|p| p["timestamp"] = old.into()), 400, -1021),
        (with(&|p| p["timestamp"] = (old + 6_001).into()), 400, -1021),
        (with(&|p| drop(p.as_object_mut().unwrap().remove("timestamp"))), 400, -1102),
        (with(&|p| drop(p.as_object_mut().unwrap().remove("apiKey"))), 400, -1102),
        (with(&|p| p["symbol"] = json!(["BTCUSDT"])), 400, -1130),
        (r#"{"id":"x","method":"order.amend","params":{}}"#.into(), 400, -1100),
        (r#"{"id":"x","method":"time","params":{"symbol":"A"}}"#.into(), 400, -1104),
        (r#"{"id":"x"}"#.into(), 400, -1135),
    ];
    for (request, status, code) in cases {
        let answer = ask(&mut world, &mut socket, &request);
        assert_eq!(
            (&answer["id"], &answer["status"], &answer["error"]["code"]),
            (&"x".into(), &status.into(), &code.into()),
            "{request}"
        );
        assert_eq!(
            answer.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["id", "status", "error", "rateLimits"]
        );
    }
    for id in ["[1]", "true", "1.5"] {
        let answer = ask(&mut world, &mut socket, &format!(r#"{{"id":{id},"method":"time"}}"#));
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-1135)));
    }
}

/// The answer's code, 0 if it is good.
fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

const APIS: [(Market, Door, &str); 2] =
    [(SPOT, Door::SpotWsApi, "/ws-api/v3"), (Market::Usdm, Door::UsdmWsApi, "/ws-fapi/v1")];

/// An order without key and signature.
fn bare(world: &World, id: u64, stamp: bool) -> String {
    let mut params = json!({
        "symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010", "newClientOrderId": id.to_string(),
    });
    if stamp {
        params["timestamp"] = world.stamp().into();
    }
    json!({"id": id, "method": "order.place", "params": params}).to_string()
}

#[test]
fn a_connection_that_is_logged_on_needs_no_signature_but_a_stamp() {
    for (market, door, path) in APIS {
        let mut world = World::of_ed25519();
        let mut socket = world.socket(door, path);
        let mut other = world.socket(door, path);
        world.run(SECOND);
        let order = bare(&world, 1, true);
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102, "not yet");
        let request = world.ws_request("l", "session.logon", &[]);
        let forged = request.replace("\"signature\":\"", "\"signature\":\"A");
        assert_eq!(code(&ask(&mut world, &mut socket, &forged)), -1022);
        let order = bare(&world, 2, true);
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102, "a forged logon is none");
        let on = ask(&mut world, &mut socket, &request);
        let recorded = match market {
            SPOT => include_str!("../../../tests/fixtures/binance/spot_wsapi_session_logon_response.json"),
            _ => include_str!("../../../tests/fixtures/binance/futures_wsapi_session_logon_response.json"),
        };
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let names = |it: &Value| it["result"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((&on["status"], names(&on)), (&json!(200), names(&recorded)));
        assert_eq!(on["result"]["authorizedSince"], world.stamp());
        assert_eq!(on["result"]["connectedSince"], world.stamp() - 1_000);
        let signed = world.exchange.signed;
        let order = bare(&world, 3, true);
        let placed = ask(&mut world, &mut socket, &order);
        assert_eq!((code(&placed), &placed["result"]["clientOrderId"]), (0, &json!("3")));
        assert_eq!(world.exchange.signed, signed, "it carried neither key nor signature");
        let (order, stale) = (bare(&world, 4, false), bare(&world, 5, true));
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102, "the stamp stays mandatory");
        world.run(6 * SECOND);
        assert_eq!(code(&ask(&mut world, &mut socket, &stale)), -1021);
        let order = bare(&world, 6, true);
        assert_eq!(code(&ask(&mut world, &mut other, &order)), -1102, "another connection is not logged on");
        // A request that is signed all the same is held against its signature.
        let request = world.ws_request("s", "session.logon", &[]).replace("session.logon", "order.place");
        assert_eq!(code(&ask(&mut world, &mut socket, &request)), -1102, "the symbol is missing");
        let status = |world: &mut World, socket: &mut Socket| {
            ask(world, socket, r#"{"id":1,"method":"session.status"}"#)["result"]["apiKey"].clone()
        };
        assert_eq!(status(&mut world, &mut socket), Config::default().key);
        let out = ask(&mut world, &mut socket, r#"{"id":1,"method":"session.logout"}"#);
        assert_eq!((&out["status"], &out["result"]["authorizedSince"]), (&json!(200), &Value::Null));
        assert_eq!(status(&mut world, &mut socket), Value::Null);
        let order = bare(&world, 7, true);
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102);
    }
}

#[test]
fn whoever_is_logged_on_hears_the_account_without_a_signature() {
    let mut world = World::of_ed25519();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3?returnRateLimits=false");
    let request = r#"{"id":1,"method":"userDataStream.subscribe"}"#;
    assert_eq!(code(&ask(&mut world, &mut socket, request)), -2015, "nobody is logged on");
    let logon = world.ws_request("l", "session.logon", &[]);
    assert_eq!(code(&ask(&mut world, &mut socket, &logon)), 0);
    let answer = ask(&mut world, &mut socket, request);
    assert_eq!(answer, json!({"id": 1, "status": 200, "result": {"subscriptionId": 0}}));
    assert_eq!(code(&ask(&mut world, &mut socket, request)), -2035, "one of a connection");
    world.order(SPOT, "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.0100");
    let heard = socket.read(&mut world);
    assert_eq!(
        (&heard[0]["subscriptionId"], &heard[0]["event"]["e"]),
        (&json!(0), &json!("executionReport"))
    );
}

#[test]
fn a_listen_key_is_the_same_over_the_socket() {
    let mut world = World::of_ed25519();
    let mut socket = world.socket(Door::UsdmWsApi, "/ws-fapi/v1?returnRateLimits=false");
    let named = |method: &str, key: &str| {
        json!({"id": 1, "method": format!("userDataStream.{method}"), "params": {"apiKey": key}}).to_string()
    };
    let ours = world.exchange.config.key.clone();
    assert_eq!(code(&ask(&mut world, &mut socket, &named("ping", &ours))), -1125, "there is none yet");
    assert_eq!(code(&ask(&mut world, &mut socket, &named("start", "x"))), -2015);
    assert_eq!(code(&ask(&mut world, &mut socket, r#"{"id":1,"method":"userDataStream.start"}"#)), -2015);
    let key = ask(&mut world, &mut socket, &named("start", &ours))["result"].clone();
    assert_eq!(key["listenKey"], world.listen_key(), "REST tells the same");
    let logon = world.ws_request("l", "session.logon", &[]);
    assert_eq!(code(&ask(&mut world, &mut socket, &logon)), 0);
    let pinged = ask(&mut world, &mut socket, r#"{"id":1,"method":"userDataStream.ping"}"#);
    assert_eq!(pinged["result"], key, "the key of the logon does");
    let stopped = ask(&mut world, &mut socket, r#"{"id":1,"method":"userDataStream.stop"}"#);
    assert_eq!(stopped["result"], json!({}));
    assert_eq!(code(&ask(&mut world, &mut socket, &named("stop", &ours))), -1125);
}

#[test]
fn a_logon_by_hmac_is_refused() {
    for (_, door, path) in APIS {
        let mut world = World::new();
        let mut socket = world.socket(door, path);
        let request = world.ws_request("l", "session.logon", &[]);
        let answer = ask(&mut world, &mut socket, &request);
        assert_eq!((&answer["status"], code(&answer)), (&json!(400), -4056));
        let order = bare(&world, 1, true);
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102);
    }
}

#[test]
fn a_key_that_dies_is_told_under_no_id_and_never_comes_back() {
    for (market, door, path) in APIS {
        let mut world = World::of_ed25519();
        let mut socket = world.socket(door, &format!("{path}?returnRateLimits=false"));
        let request = world.ws_request("l", "session.logon", &[]);
        assert_eq!(code(&ask(&mut world, &mut socket, &request)), 0);
        world.exchange.fault(&json!({"kind": "account", "key": false})).unwrap();
        let order = bare(&world, 1, true);
        let text = include_str!("../../../tests/fixtures/binance/spot_wsapi_session_revoked.json");
        let recorded: Value = serde_json::from_str(text).unwrap();
        assert_eq!(ask(&mut world, &mut socket, &order), recorded);
        assert_eq!(world.truth()["orders"], json!([]));
        assert_eq!(code(&ask(&mut world, &mut socket, &order)), -1102, "it is logged on no more");
        assert_eq!(code(&ask(&mut world, &mut socket, &request)), -2015);
        assert_eq!(world.signed(market, "GET", order_path(market), "symbol=ETHUSDT&orderId=1").code(), -2015);
    }
}

#[test]
fn an_order_is_found_as_rest_finds_it() {
    let mut world = World::new();
    world.order(
        SPOT,
        "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.0100&newClientOrderId=5782622041802803840",
    );
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
    let request = world.ws_request(
        "q",
        "order.status",
        &[("symbol", "ETHUSDT"), ("origClientOrderId", "5782622041802803840")],
    );
    let answer = ask(&mut world, &mut socket, &request);
    let rest =
        world.signed(SPOT, "GET", "/api/v3/order", "symbol=ETHUSDT&origClientOrderId=5782622041802803840");
    assert_eq!(answer["result"], rest.json);
    let all = world.signed(SPOT, "GET", "/api/v3/allOrders", "symbol=ETHUSDT").json;
    assert_eq!(all, json!([rest.json]));
}

#[test]
fn over_the_weight_the_answer_says_when_to_come_back() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
    for _ in 0..299 {
        world.signed(SPOT, "GET", "/api/v3/account", "");
    }
    let request = world.ws_request("w", "order.status", &[("symbol", "BTCUSDT"), ("orderId", "1")]);
    let mut told = Vec::new();
    for _ in 0..12 {
        told.push(ask(&mut world, &mut socket, &request));
    }
    let (slow, banned) = (&told[4], told.last().unwrap());
    assert_eq!((&slow["status"], &slow["error"]["code"]), (&429.into(), &json!(-1003)));
    assert_eq!(slow["error"]["data"]["retryAfter"], world.stamp() + 55_000);
    let text = include_str!("../../../tests/fixtures/binance/spot_wsapi_error_418.json");
    let recorded: Value = serde_json::from_str(text).unwrap();
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(banned["status"], recorded["status"]);
    assert_eq!(names(banned), names(&recorded));
    assert_eq!(names(&banned["error"]), names(&recorded["error"]));
    assert_eq!(names(&banned["error"]["data"]), names(&recorded["error"]["data"]));
}

/// The parameters of an order as a list of pairs.
fn pairs(params: &str) -> Vec<(&str, &str)> {
    params.split('&').filter_map(|pair| pair.split_once('=')).collect()
}

/// Two worlds with the same seed: what the one takes over REST, the other takes over a socket, and both say and book
/// the same.
#[test]
fn an_order_is_taken_or_refused_as_over_rest() {
    let own = "newClientOrderId=5782622041802803840";
    let cases = [
        "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.100",
        "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.100&newOrderRespType=ACK",
        "symbol=ETHUSDT&side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.010&price=1.00&newOrderRespType=RESULT",
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.500&price=1500.00",
        // The same id again, while that one is open.
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.500&price=1500.00",
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.0000001&price=1500.00",
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=99999.000&price=4000.00",
        "symbol=NOSUCH&side=BUY&type=MARKET&quantity=0.100",
        "symbol=ETHUSDT&side=BUY&type=LIMIT&quantity=0.100&price=1500.00",
        "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.100&moon=1",
    ];
    for (market, door, path) in [
        (SPOT, Door::SpotWsApi, "/ws-api/v3?returnRateLimits=false"),
        (Market::Usdm, Door::UsdmWsApi, "/ws-fapi/v1?returnRateLimits=false"),
    ] {
        let (mut rest, mut world) = (World::new(), World::new());
        let mut socket = world.socket(door, path);
        for case in cases {
            let params = format!("{case}&{own}");
            let expected = rest.order(market, &params);
            let request = world.ws_request("5782622041802803840", PLACE, &pairs(&params));
            let answer = ask(&mut world, &mut socket, &request);
            let told = if expected.status == 200 { "result" } else { "error" };
            let (id, status) = ("5782622041802803840".into(), expected.status.into());
            assert_eq!((&answer["id"], &answer["status"]), (&id, &status), "{case}");
            if expected.json["code"] == -1104 {
                // It counts what was sent, and here the key is sent, too.
                assert_eq!(answer[told]["code"], -1104);
                continue;
            }
            assert_eq!(answer[told], expected.json, "{case}");
        }
        let parts = |truth: Value| ["orders", "fills", "balances"].map(|part| truth[part].clone());
        assert_eq!(parts(world.truth()), parts(rest.truth()));
        let refused = |truth: Value| truth["refused"].as_array().unwrap().len();
        assert_eq!((refused(world.truth()), refused(rest.truth())), (7, 7));
    }
}

const PLACE: &str = "order.place";

#[test]
fn an_orders_answer_shows_the_counts_of_orders_and_costs_no_weight_on_spot() {
    let mut world = World::new();
    for (market, door, path, file) in [
        (
            SPOT,
            Door::SpotWsApi,
            "/ws-api/v3",
            include_str!("../../../tests/fixtures/binance/spot_wsapi_order_place_response.json"),
        ),
        (
            Market::Usdm,
            Door::UsdmWsApi,
            "/ws-fapi/v1",
            include_str!("../../../tests/fixtures/binance/futures_wsapi_order_place_response.json"),
        ),
    ] {
        let mut socket = world.socket(door, path);
        let order = "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.500&price=1500.00";
        let request = world.ws_request("o", PLACE, &pairs(&format!("{order}&newOrderRespType=RESULT")));
        let before = world.exchange.limits[market.index()].used_weight(world.exchange.clock());
        let answer = ask(&mut world, &mut socket, &request);
        assert_eq!(before, world.exchange.limits[market.index()].used_weight(world.exchange.clock()));
        let recorded: Value = serde_json::from_str(file).unwrap();
        let names = |v: &Value| {
            let mut names: Vec<_> = v.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&answer), names(&recorded));
        // The page shows an older answer of USD-M; each name of it is told.
        let told = names(&answer["result"]);
        assert!(names(&recorded["result"]).iter().all(|name| told.contains(name)), "{told:?}");
        let rows = |v: &Value| {
            let rows = v["rateLimits"].as_array().unwrap().clone();
            rows.iter().map(|row| (row["rateLimitType"].clone(), row["interval"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(rows(&answer), rows(&recorded));
        assert_eq!(answer["rateLimits"][0]["count"], 1);
    }
}

/// A fault of an order's answer strikes on a socket, too: told, cut short, late, or not at all.
#[test]
fn what_strikes_an_order_strikes_it_here() {
    let order = "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.100&newClientOrderId=5782622041802803840";
    let struck = |fault: Value| {
        let mut world = World::new();
        let mut socket = world.socket(Door::UsdmWsApi, "/ws-fapi/v1?returnRateLimits=false");
        world.exchange.fault(&fault).unwrap();
        let request = world.ws_request("o", PLACE, &pairs(order));
        socket.say(&mut world, &request);
        let heard = socket.hear(&mut world, true);
        let orders = world.truth()["orders"].as_array().unwrap().len();
        (heard, socket.closed, orders, world, socket)
    };
    let body = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
    for taken in [false, true] {
        let fault = json!({"kind": "status", "status": 408, "body": body, "taken": taken});
        let (heard, closed, orders, ..) = struck(fault);
        assert_eq!(heard, [format!(r#"{{"id":"o","status":408,"error":{body}}}"#)]);
        assert_eq!((closed, orders), (false, usize::from(taken)));
    }
    let (heard, closed, orders, ..) = struck(json!({"kind": "status", "status": 502, "body": "<html>"}));
    assert!(heard[0].starts_with(r#"{"id":"o","status":502,"error":{"code":-1000,"#), "{heard:?}");
    assert_eq!((closed, orders), (false, 0));
    let (heard, _, orders, ..) = struck(json!({"kind": "html", "taken": true}));
    assert!(heard[0].starts_with("<html>") && orders == 1, "{heard:?}");
    for (kind, taken) in [("half", 1), ("drop_ack", 1), ("lose", 0)] {
        let (heard, closed, orders, ..) = struck(json!({"kind": kind}));
        assert_eq!((heard.len(), closed, orders), (0, true, taken), "{kind}");
    }
    let (heard, _, orders, mut world, mut socket) = struck(json!({"kind": "slow", "ms": 1_000}));
    assert_eq!((heard.len(), orders), (0, 1));
    world.run(1_001_000_000);
    assert_eq!(socket.read(&mut world)[0]["status"], 200);
}

proptest::proptest! {
    /// Whatever a frame says, it gets one answer, and nothing but JSON.
    #[test]
    fn every_frame_is_answered(
        method in "(order.(status|place)|userDataStream.(unsubscribe|subscribe|subscribe.signature)|session.subscriptions|time|x)",
        name in "(apiKey|timestamp|recvWindow|signature|symbol|orderId|subscriptionId|returnRateLimits)",
        value in "(null|true|-1|1e99|[0-9]{1,30}|\"[a-z0-9.-]{0,40}\"|\\[\\]|\\{\\})",
        noise in ".{0,40}",
    ) {
        let mut world = World::new();
        let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
        let frame = format!(r#"{{"id":1,"method":"{method}","params":{{"{name}":{value}}}}}"#);
        for text in [frame.as_str(), noise.as_str(), value.as_str()] {
            let answer = ask(&mut world, &mut socket, text);
            assert!(answer["status"] == 200 || answer["error"]["code"].is_i64(), "{text}: {answer}");
        }
    }
}
