//! The account's own state: rights of the key, modes, leverage, fee coin; who may change them, and what they refuse.
//!
//! Owns:  claims about those answers and about fees in BNB.

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;
const SELL: &str = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.01";

fn rights(world: &mut World) -> Value {
    world.signed(SPOT, "GET", "/sapi/v1/account/apiRestrictions", "").json
}

fn change(world: &mut World, members: Value) {
    let mut order = members;
    order["kind"] = "account".into();
    world.exchange.fault(&order).unwrap();
}

#[test]
fn a_right_that_is_taken_away_is_told_and_refuses() {
    let mut world = World::new();
    let at_first = rights(&mut world);
    for (name, is) in [
        ("enableWithdrawals", false),
        ("ipRestrict", true),
        ("enableSpotAndMarginTrading", true),
        ("enableFutures", true),
    ] {
        assert_eq!(at_first[name], is, "{name}");
    }
    change(&mut world, json!({"withdraw": true, "ip_restrict": false}));
    assert_eq!(rights(&mut world)["enableWithdrawals"], true);
    assert_eq!(rights(&mut world)["ipRestrict"], false);
    assert_eq!(world.order(SPOT, SELL).code(), -2010, "to hold too much right refuses nothing");

    change(&mut world, json!({"spot": false}));
    let refused = world.order(SPOT, SELL);
    assert_eq!((refused.code(), refused.status), (-2015, 401));
    assert_eq!(world.signed(SPOT, "GET", "/api/v3/account", "").status, 200, "spot may still be read");
    assert_eq!(world.order(USDM, SELL).status, 200);
    change(&mut world, json!({"spot": true, "futures": false}));
    assert_eq!(world.order(SPOT, SELL).code(), -2010);
    assert_eq!(world.order(USDM, SELL).code(), -2015);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v3/account", "").code(), -2015);
    assert_eq!(world.keyed(USDM, "POST", "/fapi/v1/listenKey").code(), -2015);
    assert_eq!(world.get(USDM, "/fapi/v1/time").status, 200);
}

#[test]
fn modes_change_when_nothing_is_open_and_hedge_mode_takes_no_one_way_order() {
    let mut world = World::new();
    let dual = |world: &mut World, to: &str| {
        world.signed(USDM, "POST", "/fapi/v1/positionSide/dual", &format!("dualSidePosition={to}")).code()
    };
    assert_eq!(dual(&mut world, "false"), -4059);
    assert_eq!(dual(&mut world, "maybe"), -1130);
    let rest = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=75000";
    assert_eq!(world.order(USDM, rest).status, 200);
    assert_eq!(dual(&mut world, "true"), -4067);
    let isolate = "symbol=BTCUSDT&marginType=ISOLATED";
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/marginType", isolate).code(), -4047);
    world.signed(USDM, "DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT");
    world.order(USDM, SELL);
    assert_eq!(dual(&mut world, "true"), -4068);
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/marginType", isolate).code(), -4048);
    world.order(USDM, &SELL.replace("SELL", "BUY"));
    assert_eq!(dual(&mut world, "true"), 200);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/positionSide/dual", "").json["dualSidePosition"], true);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/accountConfig", "").json["dualSidePosition"], true);
    assert_eq!(world.order(USDM, SELL).code(), -4061);
    assert_eq!(dual(&mut world, "false"), 200);
    assert_eq!(world.order(USDM, SELL).status, 200);

    let eth = "symbol=ETHUSDT&marginType=ISOLATED";
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/marginType", eth).status, 200);
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/marginType", eth).code(), -4046);
    let row = world.signed(USDM, "GET", "/fapi/v1/symbolConfig", "symbol=ETHUSDT").json[0].clone();
    assert_eq!((&row["marginType"], row["leverage"].as_u64()), (&Value::from("ISOLATED"), Some(2)));
    let row = world.signed(USDM, "GET", "/fapi/v2/positionRisk", "symbol=ETHUSDT").json[0].clone();
    assert_eq!(row["marginType"], "isolated");
    change(&mut world, json!({"multi_assets": true, "leverage": 7, "symbol": "ETHUSDT"}));
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/accountConfig", "").json["multiAssetsMargin"], true);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/multiAssetsMargin", "").json["multiAssetsMargin"], true);
    let leverage = |world: &mut World, symbol: &str| {
        let row = world.signed(USDM, "GET", "/fapi/v1/symbolConfig", &format!("symbol={symbol}")).json;
        row[0]["leverage"].as_u64()
    };
    assert_eq!((leverage(&mut world, "ETHUSDT"), leverage(&mut world, "BTCUSDT")), (Some(7), Some(2)));
}

#[test]
fn a_wrong_change_says_what_may_be_changed() {
    let mut world = World::new();
    for (wrong, told) in [
        (json!({"kind": "account", "withdrawal": true}), "withdraw"),
        (json!({"kind": "account", "hedge": "yes"}), "hedge is true or false"),
        (json!({"kind": "account", "leverage": 0}), "1 to 125"),
        (json!({"kind": "account", "leverage": 3, "symbol": "NOPE"}), "NOPE"),
    ] {
        let error = world.exchange.fault(&wrong).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(world.truth()["faults"], json!({}));
}

#[test]
fn fees_are_taken_in_bnb_where_it_is_so_wanted_and_there_is_enough() {
    let mut world = World::new();
    let buy = "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1";
    let fee = |answer: &Answer| {
        let fill = &answer.json["fills"][0];
        (
            fill["commissionAsset"].as_str().unwrap().to_owned(),
            fill["commission"].as_str().unwrap().to_owned(),
        )
    };
    let burn = world.signed(SPOT, "POST", "/sapi/v1/bnbBurn", "spotBNBBurn=true").json;
    assert_eq!(burn, json!({"spotBNBBurn": true, "interestBNBBurn": false}));
    assert_eq!(world.signed(SPOT, "GET", "/sapi/v1/bnbBurn", "").json, burn);
    assert_eq!(fee(&world.order(SPOT, buy)), ("ETH".into(), "0.00010000".into()), "there is no BNB yet");
    assert_eq!(world.order(SPOT, "symbol=BNBUSDT&side=BUY&type=MARKET&quantity=1").status, 200);
    let mut socket = world.subscribed();
    let before = world.truth();
    let held = |truth: &Value, coin: &str| -> i128 {
        let text = truth["balances"]["spot"][coin]["free"].as_str().unwrap_or("0").to_owned();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        format!("{whole}{part:0<18}").parse().unwrap()
    };
    let answer = world.order(SPOT, buy);
    let (asset, amount) = fee(&answer);
    assert_eq!(asset, "BNB");
    let after = world.truth();
    let paid = held(&before, "BNB") - held(&after, "BNB");
    assert_eq!(format!("{:019}", paid), amount.replace('.', "") + &"0".repeat(10), "what was told was taken");
    assert_eq!(held(&after, "ETH") - held(&before, "ETH"), 10i128.pow(17), "nothing is taken from the coin");
    // 0.1 % × 0.75 of the cash at the price of BNB, within what the price moves in a moment.
    let cents = |text: &str| text.replace('.', "").parse::<i128>().unwrap();
    let cash = cents(answer.json["cummulativeQuoteQty"].as_str().unwrap());
    let (bid, ask) = world.top(SPOT, "BNBUSDT");
    let wanted = cash * 75 * 100_000_000 / 100_000 / ((cents(&bid) + cents(&ask)) / 2);
    assert!((cents(&amount) - wanted).abs() <= wanted / 1_000, "{amount}, not {wanted}");
    let told = socket.hear(&mut world, true).join("\n");
    assert!(told.contains(r#""N":"BNB""#) && told.contains(r#"{"a":"BNB""#), "{told}");
    // The USD-M wallet has no BNB: its switch is told, and fees stay in USDT.
    assert_eq!(world.signed(USDM, "POST", "/fapi/v1/feeBurn", "feeBurn=true").status, 200);
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/feeBurn", "").json, json!({"feeBurn": true}));
    world.order(USDM, SELL);
    assert_eq!(world.truth()["fills"].as_array().unwrap().last().unwrap()["commission_asset"], "USDT");
}
