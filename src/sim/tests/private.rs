//! What the account's listeners hear: every change of an order and of the account, as the page has it.
//!
//! Owns:  claims about private events of both markets, held against the fixtures name by name; the listen key.

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/binance/", $name))
    };
}

/// Names in their order and kinds of values, all the way down; of a list, its first member.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "text".into(),
        Value::Array(rows) => format!("[{}]", rows.first().map(shape).unwrap_or_default()),
        Value::Object(members) => {
            let rows: Vec<String> = members.iter().map(|(k, v)| format!("{k}:{}", shape(v))).collect();
            format!("{{{}}}", rows.join(","))
        }
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).expect("JSON")).collect()
}

fn one(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The inner events of a spot subscription, its number checked.
fn events(frames: Vec<Value>) -> Vec<Value> {
    frames
        .into_iter()
        .map(|frame| {
            assert_eq!(frame["subscriptionId"], 0, "{frame}");
            frame["event"].clone()
        })
        .collect()
}

fn kinds(events: &[Value]) -> Vec<String> {
    let kind = |e: &Value| {
        let of = if e["e"] == "ORDER_TRADE_UPDATE" { &e["o"] } else { e };
        let text = |key: &str| of[key].as_str().map(|t| format!(" {t}")).unwrap_or_default();
        let told = matches!(e["e"].as_str(), Some("ORDER_TRADE_UPDATE" | "executionReport"));
        let rest = if told { format!("{}{}", text("x"), text("X")) } else { String::new() };
        format!("{}{rest}", e["e"].as_str().unwrap_or(""))
    };
    events.iter().map(kind).collect()
}

#[test]
fn a_spot_market_order_that_runs_dry_is_told_like_the_recorded_one() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    world.exchange.fault(&json!({"kind": "partial", "fraction_ppm": 400_000})).unwrap();
    let answer = world.order(SPOT, "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=5.000").json;
    let frames = socket.read(&mut world);
    assert_eq!(
        shape(&frames[0]),
        shape(&one(fixture!("spot_user_execution_report_new.json"))).replace("v:number,", "")
    );
    assert_eq!(
        shape(frames.last().unwrap()),
        shape(&one(fixture!("spot_user_outbound_account_position.json")))
    );
    let heard = events(frames);
    assert_eq!(
        kinds(&heard),
        [
            "executionReport NEW NEW",
            "executionReport TRADE PARTIALLY_FILLED",
            "executionReport EXPIRED EXPIRED",
            "outboundAccountPosition"
        ]
    );
    let recorded = lines(fixture!("spot_user_market_order_partial_then_expired_sequence.jsonl"));
    for (is, was) in heard.iter().zip([&recorded[0], &recorded[1], &recorded[3], &recorded[4]]) {
        assert_eq!(shape(is), shape(was));
        for flag in ["w", "m", "M", "g", "C", "r", "P", "F"] {
            assert_eq!(is[flag], was[flag], "{flag} of {is}");
        }
    }
    let (trade, end) = (&heard[1], &heard[2]);
    assert_eq!(
        (&trade["z"], &trade["l"], &trade["N"]),
        (&"2.00000000".into(), &"2.00000000".into(), &"SOL".into())
    );
    assert_eq!(
        (&trade["t"], &trade["n"]),
        (&answer["fills"][0]["tradeId"], &answer["fills"][0]["commission"])
    );
    assert_eq!(
        (&end["z"], &end["Z"], &end["t"]),
        (&"2.00000000".into(), &answer["cummulativeQuoteQty"], &json!(-1))
    );
    assert!(heard[..3].iter().all(|e| e["T"] == answer["transactTime"] && e["i"] == answer["orderId"]));
    let ids: Vec<u64> = heard[..3].iter().filter_map(|e| e["I"].as_u64()).collect();
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "execution ids grow: {ids:?}");
    let account = world.signed(SPOT, "GET", "/api/v3/account", "omitZeroBalances=true").json;
    let sol = &account["balances"].as_array().unwrap()[0];
    assert_eq!((&heard[3]["B"][0]["a"], &heard[3]["B"][0]["f"]), (&sol["asset"], &sol["free"]));
}

#[test]
fn a_spot_cancel_carries_its_own_id_and_frees_what_was_locked() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    world.order(SPOT, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=70000.00&newClientOrderId=rests");
    let heard = events(socket.read(&mut world));
    assert_eq!(kinds(&heard), ["executionReport NEW NEW", "outboundAccountPosition"]);
    assert_eq!(heard[1]["B"][1], json!({"a": "USDT", "f": "999860.00000000", "l": "140.00000000"}));
    world.signed(
        SPOT,
        "DELETE",
        "/api/v3/order",
        "symbol=BTCUSDT&origClientOrderId=rests&newClientOrderId=gone",
    );
    let heard = events(socket.read(&mut world));
    assert_eq!(kinds(&heard), ["executionReport CANCELED CANCELED", "outboundAccountPosition"]);
    assert_eq!(
        (&heard[0]["c"], &heard[0]["C"], &heard[0]["w"]),
        (&"gone".into(), &"rests".into(), &false.into())
    );
    assert_eq!(heard[1]["B"][1]["l"], "0.00000000");
    let told = shape(&heard[0]);
    for name in
        one(fixture!("spot_user_execution_report_canceled_combined.json"))["data"].as_object().unwrap().keys()
    {
        assert!(told.contains(&format!("{name}:")), "{name} in {told}");
    }
}

#[test]
fn a_usdm_market_order_is_told_like_the_recorded_one_light_trades_first() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    let answer =
        world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010&newOrderRespType=RESULT").json;
    let heard = socket.read(&mut world);
    assert_eq!(
        kinds(&heard),
        ["ORDER_TRADE_UPDATE NEW NEW", "TRADE_LITE", "ORDER_TRADE_UPDATE TRADE FILLED", "ACCOUNT_UPDATE"]
    );
    let recorded = lines(fixture!("futures_user_order_trade_update_market_sequence.jsonl"));
    for (is, was) in heard.iter().zip([&recorded[0], &recorded[1], &recorded[4], &recorded[5]]) {
        assert_eq!(shape(is), shape(was));
    }
    let (new, lite, full, account) = (&heard[0]["o"], &heard[1], &heard[2]["o"], &heard[3]["a"]);
    for name in [
        "p", "ap", "sp", "x", "X", "l", "z", "L", "n", "N", "t", "b", "a", "m", "R", "wt", "ps", "pm", "gtd",
        "er", "rp",
    ] {
        assert_eq!(new[name], recorded[0]["o"][name], "{name}");
    }
    assert_eq!(
        (&lite["t"], &lite["L"], &lite["l"], &lite["i"]),
        (&full["t"], &full["L"], &full["l"], &full["i"])
    );
    assert_eq!(
        (&full["i"], &full["z"], &full["T"]),
        (&answer["orderId"], &answer["executedQty"], &answer["updateTime"])
    );
    let trades = world.signed(USDM, "GET", "/fapi/v1/userTrades", "symbol=BTCUSDT").json;
    assert_eq!((&trades[0]["id"], &trades[0]["commission"]), (&full["t"], &full["n"]));
    assert_eq!(
        (&account["P"][0]["pa"], &account["P"][0]["mt"], &account["B"][0]["bc"]),
        (&"-0.010".into(), &"cross".into(), &"0".into())
    );
    let balance = world.signed(USDM, "GET", "/fapi/v3/balance", "").json;
    assert_eq!(account["B"][0]["wb"], balance[0]["balance"]);
}

#[test]
fn an_unfilled_usdm_order_touches_no_account_and_says_why_it_ended() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    world.order(USDM, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.010&price=74000");
    let heard = socket.read(&mut world);
    assert_eq!(kinds(&heard), ["ORDER_TRADE_UPDATE NEW NEW", "ORDER_TRADE_UPDATE EXPIRED EXPIRED"]);
    assert_eq!(
        (&heard[1]["o"]["er"], &heard[1]["o"]["l"], &heard[1]["o"]["t"]),
        (&"2".into(), &"0".into(), &0.into())
    );
    world.order(USDM, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.010&price=74000&newClientOrderId=rests");
    world.signed(USDM, "DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=rests");
    let heard = socket.read(&mut world);
    assert_eq!(kinds(&heard), ["ORDER_TRADE_UPDATE NEW NEW", "ORDER_TRADE_UPDATE CANCELED CANCELED"]);
    assert_eq!(heard[1]["o"]["c"], "rests", "USD-M keeps the order's own id");
}

#[test]
fn a_private_socket_hears_by_path_or_query_what_it_asked_for_and_a_made_up_key_nothing() {
    let mut world = World::new();
    let key = world.listen_key();
    let mut sockets = [
        format!("/private/ws?listenKey={key}"),
        format!("/private/ws?listenKey={key}&events=TRADE_LITE%2FACCOUNT_UPDATE"),
        format!("/private/stream?listenKey={key}&events=ORDER_TRADE_UPDATE"),
        "/private/ws/made-up".to_owned(),
        "/private/ws".to_owned(),
        format!("/ws/{key}"),
        format!("/public/ws/{key}"),
    ]
    .map(|path| world.socket(Door::UsdmWs, &path));
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    let heard: Vec<Vec<Value>> = sockets.iter_mut().map(|s| s.read(&mut world)).collect();
    assert_eq!(heard.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2, 2, 0, 0, 0, 0]);
    assert_eq!(kinds(&heard[1]), ["TRADE_LITE", "ACCOUNT_UPDATE"]);
    assert_eq!((&heard[2][0]["stream"], &heard[2][0]["data"]), (&key.into(), &heard[0][0]));
    assert!(sockets.iter().all(|s| !s.closed));
}

#[test]
fn sockets_of_one_key_hear_the_same_and_one_that_leaves_takes_nothing_from_the_other() {
    let mut world = World::new();
    let path = format!("/private/ws/{}", world.listen_key());
    let mut sockets = [(); 3].map(|()| world.socket(Door::UsdmWs, &path));
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    let heard = sockets.each_mut().map(|socket| socket.read(&mut world));
    assert_eq!(heard[0].len(), 4);
    assert!(heard.iter().all(|it| *it == heard[0]), "{heard:?}");
    let now = world.now;
    world.exchange.closed(sockets[0].conn, now);
    world.order(USDM, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010");
    let heard = sockets.each_mut().map(|socket| socket.read(&mut world).len());
    assert_eq!(heard, [0, 4, 4]);
}

#[test]
fn a_listen_key_lives_an_hour_from_its_last_extension_and_its_end_leaves_an_open_silent_socket() {
    let mut world = World::with(Config { ticks_per_s: 1, ..Config::default() });
    let key = world.listen_key();
    assert_eq!(shape(&json!({"listenKey": key})), shape(&one(fixture!("futures_rest_listen_key.json"))));
    assert_eq!(key.len(), 64);
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws?listenKey={key}&events=TRADE_LITE"));
    for method in ["POST", "PUT"] {
        // The pings of half an hour are answered on the way.
        for _ in 0..10 {
            world.run(180 * SECOND);
            assert!(socket.read(&mut world).is_empty());
        }
        let answer = world.keyed(USDM, method, "/fapi/v1/listenKey");
        assert_eq!(answer.json, json!({"listenKey": key}), "{method} answers the same key");
    }
    for _ in 0..19 {
        world.run(180 * SECOND);
        assert!(socket.read(&mut world).is_empty());
    }
    world.run(180 * SECOND);
    let heard = socket.read(&mut world);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(shape(&heard[0]), shape(&one(fixture!("futures_user_listen_key_expired.json"))));
    assert_eq!(heard[0]["listenKey"], key);
    for method in ["PUT", "DELETE"] {
        let dead = world.keyed(USDM, method, "/fapi/v1/listenKey");
        assert_eq!((dead.status, dead.code()), (400, -1125));
    }
    let fresh = world.listen_key();
    assert_ne!(fresh, key);
    let mut other = world.socket(Door::UsdmWs, &format!("/private/ws/{fresh}"));
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    assert!(socket.read(&mut world).is_empty() && !socket.closed);
    assert_eq!(other.read(&mut world).len(), 4);
    assert_eq!(world.keyed(USDM, "DELETE", "/fapi/v1/listenKey").body, "{}");
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    assert!(other.read(&mut world).is_empty() && !other.closed);
}

#[test]
fn a_listen_key_wants_the_key_header_and_nothing_else() {
    let mut world = World::new();
    let bare = "POST /fapi/v1/listenKey HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(world.send(USDM, bare).unwrap().code(), -2014);
    let wrong = "POST /fapi/v1/listenKey HTTP/1.1\r\nHost: b\r\nX-MBX-APIKEY: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(world.send(USDM, wrong).unwrap().code(), -2015);
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/listenKey", "").code(), -1104);
}

#[test]
fn funding_is_told_with_its_symbol_to_who_has_a_position_and_leverage_to_who_sets_it() {
    let mut world = World::with(Config { ticks_per_s: 1, ..Config::default() });
    let key = world.listen_key();
    let mut socket = world.socket(Door::UsdmWs, &format!("/private/ws/{key}"));
    world.exchange.fault(&json!({"kind": "settle_now"})).unwrap();
    assert!(socket.read(&mut world).is_empty(), "flat: nothing to tell");
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.100");
    socket.read(&mut world);
    world.exchange.fault(&json!({"kind": "settle_now", "symbol": "BTCUSDT"})).unwrap();
    let heard = socket.read(&mut world);
    assert_eq!(shape(&heard[0]), shape(&one(fixture!("futures_user_account_update_funding_fee.json"))));
    assert_eq!((heard.len(), &heard[0]["a"]["S"]), (1, &"BTCUSDT".into()));
    let income = world.signed(USDM, "GET", "/fapi/v1/income", "incomeType=FUNDING_FEE").json;
    assert_eq!(income[0]["income"], heard[0]["a"]["B"][0]["bc"]);
    let before = world.get(USDM, "/fapi/v1/premiumIndex?symbol=BTCUSDT").json;
    let mut told = Vec::new();
    for _ in 0..10 {
        world.run(180 * SECOND);
        told.extend(socket.read(&mut world));
    }
    assert_eq!(told.iter().filter(|e| e["a"]["m"] == "FUNDING_FEE").count(), 1, "and at its own hour");
    assert_eq!(told.last().unwrap()["T"], before["nextFundingTime"]);
    world.signed(USDM, "POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=7");
    let heard = socket.read(&mut world);
    let recorded = lines(fixture!("futures_user_account_config_update.jsonl"));
    assert_eq!((shape(&heard[0]), &heard[0]["ac"]["l"]), (shape(&recorded[0]), &7.into()));
}

#[test]
fn a_resting_order_is_told_when_the_book_comes_to_it() {
    let mut world = World::new();
    let mut socket = world.subscribed();
    let (bid, _) = world.top(SPOT, "BTCUSDT");
    world.order(SPOT, &format!("symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.002&price={bid}"));
    let mut heard = events(socket.read(&mut world));
    for _ in 0..600 {
        world.run(100 * MS);
        heard.extend(events(socket.read(&mut world)));
    }
    let trades: Vec<&Value> = heard.iter().filter(|e| e["x"] == "TRADE").collect();
    assert!(!trades.is_empty() && trades.iter().all(|t| t["m"] == true), "{heard:?}");
    let last = trades.last().unwrap();
    assert_eq!((&last["X"], &last["w"]), (&"FILLED".into(), &false.into()));
    assert_eq!(heard.last().unwrap()["B"][1]["l"], "0.00000000");
}
