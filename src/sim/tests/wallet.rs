//! What general clients ask for besides orders: coins, fees, the day's ticker, brackets, everything cancelled at once.
//!
//! Owns:  claims about those answers; the clients themselves are tried by `tools/clients`.

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;

fn rest(world: &mut World, market: Market, id: &str, price: &str) -> u64 {
    let params = format!(
        "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.05&price={price}&newClientOrderId={id}"
    );
    let answer = world.order(market, &params);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json["orderId"].as_u64().unwrap()
}

#[test]
fn the_day_is_told_of_the_best_bid_and_of_our_own_fills() {
    let mut world = World::new();
    let first = world.get(SPOT, "/api/v3/ticker/24hr?symbol=BTCUSDT").json;
    let opened = world.top(SPOT, "BTCUSDT").0;
    for name in ["openPrice", "highPrice", "lowPrice", "lastPrice", "prevClosePrice", "bidPrice"] {
        assert_eq!(first[name], opened.as_str(), "{name}");
    }
    assert_eq!((first["volume"].as_str(), first["firstId"].as_i64()), (Some("0.00000000"), Some(-1)));
    let bought = world.order(SPOT, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01").json;
    world.run(5 * SECOND);
    let later = world.get(SPOT, "/api/v3/ticker/24hr?symbol=BTCUSDT").json;
    assert_eq!(later["openPrice"], opened.as_str());
    assert_eq!(later["lastPrice"], world.top(SPOT, "BTCUSDT").0.as_str());
    // Counts of 10⁻⁸: the texts have eight decimals.
    let price = |name: &str| later[name].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    assert!(price("lowPrice") < price("highPrice"), "{later}");
    assert!(price("lowPrice") <= price("lastPrice") && price("lastPrice") <= price("highPrice"), "{later}");
    assert_eq!(price("priceChange"), price("lastPrice") - price("openPrice"));
    assert_eq!(later["volume"], "0.01000000");
    assert_eq!(later["quoteVolume"], bought["cummulativeQuoteQty"]);
    assert_eq!(later["count"].as_u64(), bought["fills"].as_array().map(|f| f.len() as u64));
    let perp = world.get(USDM, "/fapi/v1/ticker/24hr?symbol=BTCUSDT").json;
    assert_eq!((perp["volume"].as_str(), perp.get("bidPrice")), (Some("0.000"), None));
    assert_eq!(world.get(SPOT, "/api/v3/ticker/24hr").json.as_array().map(Vec::len), Some(17));
    assert_eq!(world.get(SPOT, "/api/v3/ticker/24hr?symbol=NOPE").code(), -1121);
}

#[test]
fn all_open_orders_of_one_symbol_go_at_once_and_no_others() {
    let mut world = World::new();
    let wallet = world.truth()["balances"]["spot"]["USDT"].clone();
    let ids = [rest(&mut world, SPOT, "a", "2000"), rest(&mut world, SPOT, "b", "2100")];
    let other = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=70000";
    assert_eq!(world.order(SPOT, other).status, 200);
    let gone = world.signed(SPOT, "DELETE", "/api/v3/openOrders", "symbol=ETHUSDT").json;
    let told: Vec<u64> = gone.as_array().unwrap().iter().filter_map(|o| o["orderId"].as_u64()).collect();
    assert_eq!(told, ids);
    assert_eq!(gone[0]["origClientOrderId"], "a");
    let left = world.signed(SPOT, "GET", "/api/v3/openOrders", "").json;
    assert_eq!((left.as_array().map(Vec::len), &left[0]["symbol"]), (Some(1), &Value::from("BTCUSDT")));
    assert_eq!(world.truth()["balances"]["spot"]["USDT"]["locked"], "70");
    assert_eq!(world.signed(SPOT, "DELETE", "/api/v3/openOrders", "symbol=ETHUSDT").code(), -2011);
    assert_eq!(world.signed(SPOT, "DELETE", "/api/v3/openOrders", "symbol=BTCUSDT").status, 200);
    assert_eq!(world.truth()["balances"]["spot"]["USDT"], wallet);

    let id = rest(&mut world, USDM, "c", "2800");
    let open = world.signed(USDM, "GET", "/fapi/v1/openOrder", "symbol=ETHUSDT&origClientOrderId=c").json;
    assert_eq!(open["orderId"].as_u64(), Some(id));
    let gone = world.signed(USDM, "DELETE", "/fapi/v1/allOpenOrders", "symbol=ETHUSDT");
    assert_eq!((gone.status, gone.json["code"].as_i64()), (200, Some(200)));
    let open = world.signed(USDM, "GET", "/fapi/v1/openOrder", "symbol=ETHUSDT&origClientOrderId=c");
    assert_eq!(open.code(), -2013, "a dead order is no open one");
    assert_eq!(
        world.signed(USDM, "GET", "/fapi/v1/order", "symbol=ETHUSDT&origClientOrderId=c").json["status"],
        "CANCELED"
    );
    assert_eq!(
        world.signed(USDM, "DELETE", "/fapi/v1/allOpenOrders", "symbol=ETHUSDT").status,
        200,
        "none is no error"
    );
}

#[test]
fn coins_fees_and_brackets_are_those_the_box_goes_by() {
    let mut world = World::new();
    let coins = world.signed(SPOT, "GET", "/sapi/v1/capital/config/getall", "").json;
    let coins = coins.as_array().unwrap();
    let coin = |name: &str| coins.iter().find(|c| c["coin"] == name);
    assert_eq!(coin("USDT").unwrap()["free"], "1000000");
    assert!(coin("1000PEPE").is_none() && coin("PEPE").is_some(), "a perp's base asset is no coin");
    let fee = world.signed(SPOT, "GET", "/sapi/v1/asset/tradeFee", "symbol=BTCUSDT").json;
    assert_eq!((fee.as_array().map(Vec::len), &fee[0]["takerCommission"]), (Some(1), &Value::from("0.001")));
    let fill = &world.order(SPOT, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01").json["fills"][0];
    assert_eq!((&fill["commission"], &fill["qty"]), (&Value::from("0.00001000"), &Value::from("0.01000000")));
    let bracket =
        &world.signed(USDM, "GET", "/fapi/v1/leverageBracket", "symbol=BTCUSDT").json[0]["brackets"][0];
    assert_eq!(bracket["maintMarginRatio"].to_string(), "0.025");
    let dearer = json!({"kind": "account", "maintenance": "0.125", "symbol": "ETHUSDT"});
    world.exchange.fault(&dearer).unwrap();
    let ratio = |world: &mut World, symbol: &str| {
        let asked = world.signed(USDM, "GET", "/fapi/v1/leverageBracket", &format!("symbol={symbol}"));
        asked.json[0]["brackets"][0]["maintMarginRatio"].to_string()
    };
    assert_eq!(
        (ratio(&mut world, "ETHUSDT"), ratio(&mut world, "BTCUSDT")),
        ("0.125".into(), "0.025".into())
    );
    let most = bracket["initialLeverage"].as_u64().unwrap();
    for (leverage, status) in [(most, 200), (most + 1, 400)] {
        let params = format!("symbol=BTCUSDT&leverage={leverage}");
        assert_eq!(world.signed(USDM, "POST", "/fapi/v1/leverage", &params).status, status);
    }
    let pairs = world.signed(SPOT, "GET", "/sapi/v1/margin/allPairs", "");
    assert_eq!((pairs.status, pairs.body.as_str()), (200, "[]"));
}

#[test]
fn a_wallet_that_was_paid_into_is_not_called_unused() {
    let mut world = World::new();
    let account = world.signed(USDM, "GET", "/fapi/v3/account", "").json;
    assert_eq!(account["assets"][0]["updateTime"].as_u64(), Some(START / MS));
    assert_eq!(
        world.signed(SPOT, "GET", "/api/v3/account", "").json["updateTime"].as_u64(),
        Some(START / MS)
    );
}

/// Clients that ask the version before find all of the present one there, and how the account stands.
#[test]
fn the_account_of_the_version_before_says_all_that_the_present_one_says() {
    let mut world = World::new();
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010");
    let [present, before] = ["/fapi/v3/account", "/fapi/v2/account"]
        .map(|path| world.signed(USDM, "GET", path, "").json.as_object().unwrap().clone());
    assert!(present.iter().all(|(name, value)| before.get(name) == Some(value)), "{before:?}");
    for name in ["feeTier", "canTrade", "canDeposit", "canWithdraw", "updateTime", "multiAssetsMargin"] {
        assert!(before.contains_key(name) && !present.contains_key(name), "{name}");
    }
}
