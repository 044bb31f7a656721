//! Orders against the book, and every balance to its last digit.
//!
//! Owns:  claims about matching, balances and fees.

use super::*;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;

fn number(value: &Value) -> i128 {
    let text = value.as_str().expect("text");
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    sign * format!("{whole}{part:0<18}").parse::<i128>().expect("a number")
}

#[test]
fn a_round_trip_on_both_legs_ends_with_balances_that_the_fills_explain() {
    let mut world = World::new();
    let (_, ask) = world.top(SPOT, "ETHUSDT");
    let (bid, _) = world.top(USDM, "ETHUSDT");
    let full = world.order(
        SPOT,
        &format!("symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.0500&price={ask}"),
    );
    assert_eq!(full.json["status"], "FILLED", "{}", full.body);
    assert_eq!(full.json["fills"][0]["commission"], "0.00005000");
    assert_eq!(full.json["fills"][0]["commissionAsset"], "ETH");
    assert_eq!(world.truth()["naked"]["now"], serde_json::json!(["ETH"]));
    world.run(3 * MS);
    let (still, _) = world.top(USDM, "ETHUSDT");
    let limit = if still < bid { still } else { bid };
    let result = world.order(
        USDM,
        &format!("symbol=ETHUSDT&side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.050&price={limit}&newOrderRespType=RESULT"),
    );
    assert_eq!((&result.json["status"], &result.json["executedQty"]), (&"FILLED".into(), &"0.050".into()));
    assert!(result.json.get("avgPrice").is_none() && result.json.get("fills").is_none());
    assert_eq!(world.truth()["naked"]["now"], serde_json::json!([]));
    assert_eq!(world.truth()["naked"]["ms_max"], "3");

    world.run(700 * MS);
    let exit = "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.050&reduceOnly=true&newOrderRespType=RESULT";
    assert_eq!(world.order(USDM, exit).json["status"], "FILLED");
    // 0.05 less its fee is 0.04995: the step of 0.0001 leaves 0.00005 behind.
    assert_eq!(world.order(SPOT, "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.0500").code(), -2010);
    assert_eq!(
        world.order(SPOT, "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.0499").json["status"],
        "FILLED"
    );

    let truth = world.truth();
    let (mut cash, mut coins, mut wallet) =
        (number(&truth["opening"]["spot"]["USDT"]), 0, number(&truth["opening"]["usdm"]["USDT"]));
    for fill in truth["fills"].as_array().unwrap() {
        let sign = if fill["side"] == "BUY" { 1 } else { -1 };
        let (qty, value, fee) =
            (number(&fill["qty"]), number(&fill["quote_qty"]), number(&fill["commission"]));
        match (fill["market"].as_str().unwrap(), fill["commission_asset"].as_str().unwrap()) {
            ("usdm", _) => wallet -= sign * value + fee,
            (_, "ETH") => (cash, coins) = (cash - sign * value, coins + sign * qty - fee),
            _ => (cash, coins) = (cash - sign * value - fee, coins + sign * qty),
        }
    }
    assert_eq!(number(&truth["balances"]["spot"]["USDT"]["free"]), cash);
    assert_eq!(number(&truth["balances"]["spot"]["ETH"]["free"]), coins);
    assert_eq!(truth["balances"]["spot"]["ETH"]["free"], "0.00005");
    assert_eq!(number(&truth["balances"]["usdm"]["USDT"]["wallet"]), wallet);
    assert_eq!(truth["positions"], serde_json::json!([]));
}

#[test]
fn an_ack_says_new_and_a_query_tells_the_rest() {
    let mut world = World::new();
    let sent = "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=1.00&newClientOrderId=5782622041802803856";
    let ack = world.order(USDM, sent).json;
    assert_eq!((&ack["status"], &ack["executedQty"]), (&"NEW".into(), &"0.00".into()));
    let query = "symbol=SOLUSDT&origClientOrderId=5782622041802803856";
    let told = world.signed(USDM, "GET", "/fapi/v1/order", query).json;
    assert_eq!((&told["status"], &told["executedQty"]), (&"FILLED".into(), &"1.00".into()));
    let id = told["orderId"].as_u64().unwrap();
    let trades =
        world.signed(USDM, "GET", "/fapi/v1/userTrades", &format!("symbol=SOLUSDT&orderId={id}")).json;
    let sum: i128 = trades.as_array().unwrap().iter().map(|t| number(&t["quoteQty"])).sum();
    assert_eq!(sum, number(&told["cumQuote"]));
    assert_eq!(
        world.signed(USDM, "GET", "/fapi/v1/order", "symbol=ETHUSDT&origClientOrderId=x").code(),
        -2013
    );
    assert_eq!(world.signed(USDM, "GET", "/fapi/v1/order", "symbol=ETHUSDT").code(), -1102);
}

#[test]
fn what_was_taken_is_gone_until_the_next_tick() {
    let mut world = World::new();
    let (bid, ask) = world.top(SPOT, "XRPUSDT");
    let take = |qty: &str, tif: &str| {
        format!("symbol=XRPUSDT&side=BUY&type=LIMIT&timeInForce={tif}&quantity={qty}&price={ask}")
    };
    assert_eq!(
        world.order(SPOT, &take("100000.0", "FOK")).json["status"],
        "EXPIRED",
        "too much for fill-or-kill"
    );
    let first = world.order(SPOT, &take("100000.0", "IOC")).json;
    assert_eq!(first["status"], "EXPIRED");
    let taken = first["executedQty"].as_str().unwrap().to_owned();
    assert!(taken != "0.00000000" && taken != "100000.00000000", "{taken}");
    assert_eq!(world.order(SPOT, &take("100.0", "IOC")).json["executedQty"], "0.00000000");
    let (same, next) = world.top(SPOT, "XRPUSDT");
    assert!(same == bid && next > ask, "the next level is the best now");
    world.run(100 * MS);
    assert_eq!(world.exchange.truth(world.now)["orders"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_resting_order_locks_its_money_fills_as_maker_and_can_be_cancelled() {
    let mut world = World::new();
    let order = |price: &str| {
        format!(
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price={price}&newClientOrderId=mine"
        )
    };
    assert_eq!(world.order(SPOT, &order("70000.00")).json["status"], "NEW");
    assert_eq!(world.truth()["balances"]["spot"]["USDT"]["locked"], "700");
    let again = world.order(SPOT, &order("70000.00"));
    assert_eq!((again.code(), again.json["msg"].as_str()), (-2010, Some("Duplicate order sent.")));
    let cancelled =
        world.signed(SPOT, "DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=mine").json;
    assert_eq!((&cancelled["status"], &cancelled["origClientOrderId"]), (&"CANCELED".into(), &"mine".into()));
    assert_eq!(
        world.truth()["balances"]["spot"]["USDT"],
        serde_json::json!({"free": "1000000", "locked": "0"})
    );
    let gone = world.signed(SPOT, "DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=mine");
    assert_eq!(gone.code(), -2011);
    // At the bid it fills as soon as the market comes down to it, with the id of the finished order.
    let (bid, _) = world.top(SPOT, "BTCUSDT");
    assert_eq!(world.order(SPOT, &order(&bid)).json["status"], "NEW");
    for _ in 0..600 {
        world.run(100 * MS);
        if world.truth()["orders"][1]["status"] == "FILLED" {
            break;
        }
    }
    let truth = world.truth();
    assert_eq!(truth["orders"][1]["status"], "FILLED");
    assert_eq!(number(&truth["orders"][1]["cum_quote"]), number(&Value::from(bid)) / 100);
    assert_eq!(truth["balances"]["spot"]["USDT"]["locked"], "0");
}

#[test]
fn margin_reduce_only_and_closed_symbols_are_refused() {
    let mut world = World::with(Config { usdm_usdt: "1000".into(), ..Config::default() });
    assert_eq!(world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.300").code(), -2019);
    assert_eq!(world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010").status, 200);
    assert_eq!(
        world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010&reduceOnly=true").code(),
        -2022
    );
    assert_eq!(
        world.order(USDM, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.020&reduceOnly=true").code(),
        -2022
    );
    assert_eq!(
        world.order(USDM, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&reduceOnly=true").status,
        200
    );
    assert_eq!(world.order(USDM, "symbol=FTMUSDT&side=BUY&type=MARKET&quantity=10").code(), -4140);
    let closed = world.order(SPOT, "symbol=XMRUSDT&side=BUY&type=MARKET&quantity=1");
    assert_eq!((closed.code(), closed.json["msg"].as_str()), (-2010, Some("Market is closed.")));
    assert_eq!(
        world.order(SPOT, "symbol=BTCUSDT&side=BUY&type=MARKET&quoteOrderQty=100").json["status"],
        "FILLED"
    );
}

#[test]
fn a_symbol_beyond_ascii_trades_percent_encoded() {
    let mut world = World::new();
    let name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT";
    let answer = world.order(SPOT, &format!("symbol={name}&side=BUY&type=MARKET&quantity=100"));
    assert_eq!((answer.status, answer.json["symbol"].as_str()), (200, Some("币安人生USDT")));
}

#[test]
fn funding_settles_when_told_and_pays_the_short() {
    let mut world = World::with(Config { settle_in_ns: 10 * SECOND, ..Config::default() });
    world.order(USDM, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=1");
    let index = world.get(USDM, "/fapi/v1/premiumIndex?symbol=BTCUSDT").json;
    assert_eq!(index["nextFundingTime"].as_u64(), Some(START / MS + 10_000));
    let before = number(&world.truth()["balances"]["usdm"]["USDT"]["wallet"]);
    world.run(10 * SECOND);
    let truth = world.truth();
    let received = number(&truth["balances"]["usdm"]["USDT"]["wallet"]) - before;
    let settled = world.get(USDM, "/fapi/v1/fundingRate?symbol=BTCUSDT&limit=1").json;
    let owed =
        number(&settled[0]["markPrice"]) / 100_000_000 * number(&settled[0]["fundingRate"]) / 10_000_000_000;
    assert!(received > 0 && (received - owed).abs() < 10i128.pow(10), "{received} against {owed}");
    let income = world.signed(USDM, "GET", "/fapi/v1/income", "incomeType=FUNDING_FEE").json;
    assert_eq!(income.as_array().map(Vec::len), Some(1), "flat symbols receive nothing");
    assert_eq!(number(&income[0]["income"]), received);
    let index = world.get(USDM, "/fapi/v1/premiumIndex?symbol=BTCUSDT").json;
    assert_eq!(index["nextFundingTime"].as_u64(), Some(START / MS + 10_000 + 8 * 3_600_000));
}
