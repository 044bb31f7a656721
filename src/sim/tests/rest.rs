//! Strictness: every refusal has its code, every request its cost, and bytes may come in any pieces.
//!
//! Owns:  claims about REST answers, refusals and limits.

use super::*;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;

/// A limit order that passes everything, with one parameter replaced, added or (empty value) removed.
fn with(world: &mut World, market: Market, change: &str) -> String {
    let (bid, _) = world.top(market, "BTCUSDT");
    let base = format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.002&price={bid}");
    let (name, value) = change.split_once('=').unwrap_or((change, ""));
    let mut kept: Vec<String> =
        base.split('&').filter(|p| p.split('=').next() != Some(name)).map(str::to_owned).collect();
    if !value.is_empty() {
        kept.push(format!("{name}={value}"));
    }
    kept.join("&")
}

#[track_caller]
fn refused(market: Market, change: &str, code: i64) {
    let mut world = World::new();
    let params = with(&mut world, market, change);
    let answer = world.order(market, &params);
    assert_eq!((answer.code(), answer.status), (code, 400), "{market:?} {change}: {}", answer.body);
    assert_eq!(world.truth()["orders"].as_array().map(Vec::len), Some(0));
    assert_eq!(world.truth()["refused"][0]["code"], code);
}

#[test]
fn a_malformed_order_is_refused_with_the_code_of_its_fault() {
    for (change, code) in [
        ("symbol=", -1102),
        ("symbol=NOPE", -1121),
        ("side=", -1102),
        ("side=BOTH", -1117),
        ("type=", -1102),
        ("type=MARKETS", -1116),
        ("timeInForce=", -1102),
        ("timeInForce=GTT", -1115),
        ("quantity=", -1102),
        ("quantity=1e3", -1100),
        ("quantity=-1", -1100),
        ("quantity=0.000000001", -1111),
        ("price=", -1102),
        ("price=NaN", -1100),
        ("icebergQty=1", -1106),
        ("quoteOrderQty=5", -1106),
        ("newClientOrderId=a%20b", -1100),
        ("newOrderRespType=LONG", -1130),
        ("selfTradePreventionMode=MAYBE", -1130),
        ("colour=red", -1104),
        ("price=0.001", -1013),
        ("price=76900.001", -1013),
        ("price=200000", -1013),
        ("quantity=0.000001", -1013),
        ("quantity=0.00001", -1013),
        ("quantity=14", -2010),
    ] {
        refused(SPOT, change, code);
    }
    for (change, code) in [
        ("symbol=NOPE", -1121),
        ("type=STOP_MARKET", -4120),
        ("quantity=0.0001", -1111),
        ("quantity=0", -4003),
        ("quantity=100000", -4005),
        ("price=76900.05", -4014),
        ("price=76900.005", -1111),
        ("price=90000", -4016),
        ("positionSide=LONG", -4061),
        ("reduceOnly=TRUE", -1130),
        ("reduceOnly=true", -2022),
        ("reduceOnly=True", -2022),
        ("newClientOrderId=a%2Ab", -4015),
        ("newOrderRespType=FULL", -1130),
        ("colour=red", -1104),
    ] {
        refused(USDM, change, code);
    }
}

#[test]
fn small_orders_fail_the_notional_filter_of_their_market() {
    let mut world = World::new();
    let small = "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.005&price=2890.00";
    let answer = world.order(USDM, small);
    assert_eq!(answer.code(), -4164);
    assert_eq!(
        answer.json["msg"],
        "Order's notional must be no smaller than 20.0 (unless you choose reduce only)."
    );
    let small = "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.0010&price=2890.00";
    assert_eq!(world.order(SPOT, small).json["msg"], "Filter failure: NOTIONAL");
}

#[test]
fn key_stamp_window_and_signature_are_checked() {
    for mut world in [World::new(), World::of_ed25519()] {
        key_stamp_window_and_signature(&mut world);
    }
}

fn key_stamp_window_and_signature(world: &mut World) {
    let path = "/api/v3/account";
    let no_key = format!("GET {path}?timestamp=1&signature=x HTTP/1.1\r\nHost: box\r\n\r\n");
    let answer = world.send(SPOT, &no_key).unwrap();
    assert_eq!((answer.status, answer.code()), (401, -2014));
    let wrong = no_key.replace("Host: box", "X-MBX-APIKEY: other");
    let answer = world.send(SPOT, &wrong).unwrap();
    assert_eq!((answer.status, answer.code()), (401, -2015));
    let stamp = world.stamp();
    let mut code = |params: String| {
        let signed = format!("{params}&signature={}", world.sign_url(&params));
        let bytes = world.keyed_bytes("GET", path, &signed);
        world.send(SPOT, &bytes).unwrap().code()
    };
    assert_eq!(code(format!("timestamp={}", stamp + 999)), 0);
    assert_eq!(code(format!("timestamp={}", stamp + 1000)), -1021);
    assert_eq!(code(format!("timestamp={}", stamp - 5000)), 0);
    assert_eq!(code(format!("timestamp={}", stamp - 5001)), -1021);
    assert_eq!(code(format!("recvWindow=200&timestamp={}", stamp - 201)), -1021);
    assert_eq!(code(format!("recvWindow=60001&timestamp={stamp}")), -1131);
    assert_eq!(code("omitZeroBalances=true".into()), -1102);
    assert_eq!(code(format!("timestamp={stamp}x")), -1100);
    let bytes = world.keyed_bytes("GET", path, &format!("timestamp={stamp}&signature={}", "0".repeat(64)));
    assert_eq!(world.send(SPOT, &bytes).unwrap().code(), -1022);
    let bytes = world.keyed_bytes("GET", path, &format!("timestamp={stamp}"));
    assert_eq!(world.send(SPOT, &bytes).unwrap().code(), -1102);
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let mut world = World::new();
    assert_eq!(world.get(SPOT, "/api/v3/nothing").status, 404);
    assert_eq!(world.get(USDM, "/api/v3/time").status, 404);
    assert_eq!(world.send(SPOT, "POST /api/v3/time HTTP/1.1\r\nHost: b\r\n\r\n").unwrap().status, 405);
    assert_eq!(world.get(SPOT, "/api/v3/time?x=1").code(), -1104);
    assert_eq!(world.get(SPOT, "/api/v3/depth?symbol=BTCUSDT&symbol=ETHUSDT").code(), -1101);
}

#[test]
fn requests_split_anywhere_and_requests_in_one_piece_get_the_same_answers() {
    let bytes = {
        let mut world = World::new();
        let order = with(&mut world, SPOT, "newClientOrderId=5782622041802803840");
        let order = world.signed_bytes("POST", "/api/v3/order", &order);
        format!(
            "GET /api/v3/time HTTP/1.1\r\nHost: b\r\n\r\n{order}GET /api/v3/ping HTTP/1.1\r\nHost: b\r\n\r\n"
        )
    };
    let told = |cuts: &[usize]| {
        let mut world = World::new();
        let conn = world.exchange.open(Door::SpotRest, START);
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            world.exchange.receive(conn, &bytes.as_bytes()[from..cut], START);
            from = cut;
        }
        let mut out = Vec::new();
        world.exchange.take_output(conn, &mut out);
        out
    };
    let whole = told(&[]);
    assert_eq!(answers(&whole).iter().map(|a| a.status).collect::<Vec<_>>(), [200, 200, 200]);
    for cut in 1..bytes.len() {
        assert_eq!(told(&[cut]), whole, "cut at {cut}");
    }
    let every: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(told(&every), whole, "byte by byte");
}

#[test]
fn answers_have_the_fields_of_the_fixtures_in_their_order() {
    fn keys(value: &Value) -> Vec<String> {
        match value {
            Value::Array(rows) => keys(&rows[0]),
            Value::Object(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
    let fixture = |name: &str| -> Value {
        let path = format!("{}/tests/fixtures/binance/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut world = World::new();
    let buy = with(&mut world, SPOT, "price=78000.00");
    world.order(SPOT, &buy);
    let sell = with(&mut world, USDM, "side=SELL").replace("price=", "newOrderRespType=ACK&price=");
    world.order(USDM, &sell);
    let rest = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=75000.00";
    let id = world.order(USDM, rest).json["orderId"].as_u64().unwrap();
    world.order(SPOT, rest);
    for (market, path, params, name) in [
        (SPOT, "/api/v3/account", "", "spot_rest_account"),
        (SPOT, "/api/v3/account/commission", "symbol=BTCUSDT", "spot_rest_account_commission"),
        (SPOT, "/api/v3/myTrades", "symbol=BTCUSDT", "spot_rest_my_trades"),
        (SPOT, "/api/v3/rateLimit/order", "", "spot_rest_rate_limit_order"),
        (SPOT, "/sapi/v1/account/apiRestrictions", "", "wallet_rest_api_restrictions"),
        (USDM, "/fapi/v3/account", "", "futures_rest_account_v3"),
        (USDM, "/fapi/v3/balance", "", "futures_rest_balance_v3"),
        (USDM, "/fapi/v3/positionRisk", "", "futures_rest_position_risk_v3"),
        (USDM, "/fapi/v2/positionRisk", "", "futures_rest_position_risk_v2"),
        (USDM, "/fapi/v1/userTrades", "symbol=BTCUSDT", "futures_rest_user_trades"),
        (USDM, "/fapi/v1/commissionRate", "symbol=BTCUSDT", "futures_rest_commission_rate"),
        (USDM, "/fapi/v1/accountConfig", "", "futures_rest_account_config"),
        (USDM, "/fapi/v1/symbolConfig", "symbol=BTCUSDT", "futures_rest_symbol_config"),
        (USDM, "/fapi/v1/income", "", "futures_rest_income"),
        (USDM, "/fapi/v1/order", &format!("symbol=BTCUSDT&orderId={id}"), "futures_rest_order_query"),
    ] {
        let answer = world.signed(market, "GET", path, params);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(keys(&answer.json), keys(&fixture(name)), "{path}");
    }
    for (market, target, name) in [
        (SPOT, "/api/v3/ticker/bookTicker?symbol=BTCUSDT", "spot_rest_book_ticker"),
        (SPOT, "/api/v3/depth?symbol=BTCUSDT", "spot_rest_depth"),
        (USDM, "/fapi/v1/premiumIndex?symbol=BTCUSDT", "futures_rest_premium_index"),
        (USDM, "/fapi/v1/premiumIndex", "futures_rest_premium_index_all"),
        (USDM, "/fapi/v1/ticker/bookTicker?symbol=BTCUSDT", "futures_rest_book_ticker"),
        (USDM, "/fapi/v1/depth?symbol=BTCUSDT&limit=5", "futures_rest_depth"),
        (USDM, "/fapi/v2/ticker/price?symbol=BTCUSDT", "futures_rest_ticker_price_v2"),
        (USDM, "/fapi/v1/fundingInfo", "futures_rest_funding_info"),
        (USDM, "/fapi/v1/fundingRate?symbol=BTCUSDT", "futures_rest_funding_rate"),
        (USDM, "/fapi/v1/exchangeInfo", "futures_rest_exchange_info"),
    ] {
        let answer = world.get(market, target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        assert_eq!(keys(&answer.json), keys(&fixture(name)), "{target}");
    }
    let info = world.get(SPOT, r#"/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"#).json;
    assert_eq!(info["symbols"].as_array().map(Vec::len), Some(2));
    assert_eq!(keys(&info["symbols"]), keys(&fixture("spot_rest_exchange_info")["symbols"]));
    let info = world.get(USDM, "/fapi/v1/exchangeInfo?symbol=BTCUSDT").json;
    assert!(info["symbols"].as_array().map(Vec::len) > Some(12), "USD-M ignores the symbol");
    assert_eq!(keys(&info["symbols"]), keys(&fixture("futures_rest_exchange_info")["symbols"]));
    let query = world.signed(SPOT, "GET", "/api/v3/openOrders", "symbol=BTCUSDT").json;
    assert_eq!(keys(&query).len(), keys(&fixture("spot_rest_open_orders")).len());
    let deleted =
        world.signed(USDM, "DELETE", "/fapi/v1/order", &format!("symbol=BTCUSDT&orderId={id}")).json;
    let mut cancelled = keys(&fixture("futures_rest_order_cancel"));
    // Fields of trailing stops, which the box does not have.
    cancelled.retain(|k| k != "activatePrice" && k != "priceRate");
    let mut told = keys(&deleted);
    told.sort();
    cancelled.sort();
    assert_eq!(told, cancelled);
}

#[test]
fn weights_and_order_counts_are_told_on_every_answer_and_enforced() {
    let mut world = World::new();
    let answer = world.get(SPOT, "/api/v3/exchangeInfo?symbol=BTCUSDT");
    assert_eq!(answer.header("X-MBX-USED-WEIGHT-1M"), Some("20"));
    assert_eq!(answer.header("X-MBX-ORDER-COUNT-10S"), None);
    let good = with(&mut world, SPOT, "quantity=0.002");
    let answer = world.order(SPOT, &good);
    assert_eq!(answer.header("X-MBX-USED-WEIGHT-1M"), Some("22"), "a good order costs nothing");
    assert_eq!(answer.header("X-MBX-ORDER-COUNT-10S"), Some("1"));
    assert_eq!(answer.header("X-MBX-ORDER-COUNT-1D"), Some("1"));
    for _ in 0..2_400 {
        assert_eq!(world.get(USDM, "/fapi/v1/ping").status, 200);
    }
    let answer = world.get(USDM, "/fapi/v1/ping");
    assert_eq!((answer.status, answer.code(), answer.header("Retry-After")), (429, -1003, Some("55")));
    assert_eq!(world.get(SPOT, "/api/v3/ping").status, 200, "the other market has a budget of its own");
    let last = (0..5).map(|_| world.get(USDM, "/fapi/v1/ping").status).last();
    assert_eq!(last, Some(418));
    assert_eq!(world.truth()["budget"]["usdm"]["weight_1m"]["peak"], 2_400);
}

#[test]
fn too_many_orders_in_ten_seconds_are_refused_until_the_window_turns() {
    let mut world = World::with(Config { spot_orders_10s: 3, ..Config::default() });
    // Below the market: nothing fills, so nothing is given back.
    let params = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.002&price=70000.00";
    for _ in 0..3 {
        assert_eq!(world.order(SPOT, params).json["status"], "EXPIRED");
    }
    let answer = world.order(SPOT, params);
    assert_eq!((answer.status, answer.code(), answer.header("Retry-After")), (429, -1015, Some("5")));
    world.run(5 * SECOND);
    assert_eq!(world.order(SPOT, params).status, 200);
}

proptest::proptest! {
    /// Whatever a client sends, at any door, the box neither panics nor stops answering others.
    #[test]
    fn no_bytes_bring_the_box_down(noise in proptest::collection::vec(proptest::num::u8::ANY, 0..300), door in 0..7usize) {
        let doors =
            [Door::SpotRest, Door::SpotWs, Door::SpotWsApi, Door::UsdmRest, Door::UsdmWs, Door::UsdmWsApi, Door::SpotSbe];
        let mut world = World::new();
        let conn = world.exchange.open(doors[door], world.now);
        world.exchange.receive(conn, &noise, world.now);
        if doors[door] == Door::SpotWs {
            let socket = world.socket(Door::SpotWs, "/ws");
            world.exchange.receive(socket.conn, &noise, world.now);
        }
        assert_eq!(world.get(SPOT, "/api/v3/ping").body, "{}");
    }

    /// Orders with any numbers are answered, and an account never spends what it does not have.
    #[test]
    fn no_numbers_bring_the_box_down(
        price in "[0-9]{1,20}(\\.[0-9]{1,9})?",
        qty in "[0-9]{1,20}(\\.[0-9]{1,9})?",
        symbol in "(BTC|PEPE|1000PEPE|DOGE)USDT",
        rest in "(side=BUY|side=SELL)&type=(LIMIT&timeInForce=(GTC|IOC|FOK)|MARKET)",
    ) {
        let mut world = World::new();
        for market in [SPOT, USDM] {
            for size in ["quantity", "quoteOrderQty"] {
                let price = if rest.contains("MARKET") { String::new() } else { format!("&price={price}") };
                let answer = world.order(market, &format!("symbol={symbol}&{rest}&{size}={qty}{price}"));
                assert!(answer.status == 200 || answer.code() < 0, "{}", answer.body);
            }
        }
        let truth = world.truth();
        for (_, balance) in truth["balances"]["spot"].as_object().unwrap() {
            assert!(!balance["free"].as_str().unwrap().starts_with('-'), "{balance}");
        }
    }
}
