//! What an account can look up afterwards: pages of trades, the reach of times, open orders, income.
//!
//! Owns:  claims about reads of the past (binance.md §5, §7).

use super::*;
use serde_json::json;

const SPOT: Market = Market::Spot;
const USDM: Market = Market::Usdm;
const DAY_MS: u64 = 86_400_000;

fn trades_path(market: Market) -> &'static str {
    if market == SPOT { "/api/v3/myTrades" } else { "/fapi/v1/userTrades" }
}

/// Five orders of a market, 100 ms apart; gives the ids of their trades.
fn five_trades(world: &mut World, market: Market) -> Vec<u64> {
    for _ in 0..5 {
        let taken = world.order(market, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.002");
        assert_eq!(taken.status, 200, "{}", taken.body);
        world.run(100 * MS);
    }
    let all = ids(&world.signed(market, "GET", trades_path(market), "symbol=BTCUSDT").json);
    assert!(all.len() >= 5);
    all
}

fn ids(trades: &Value) -> Vec<u64> {
    trades.as_array().expect("a list").iter().map(|t| t["id"].as_u64().expect("an id")).collect()
}

#[test]
fn trades_are_paged_from_an_id_itself_included_and_from_a_moment_oldest_first() {
    for market in [SPOT, USDM] {
        let mut world = World::new();
        let start = world.stamp();
        let all = five_trades(&mut world, market);
        let mut ask = |query: &str| {
            ids(&world.signed(market, "GET", trades_path(market), &format!("symbol=BTCUSDT&{query}")).json)
        };
        assert!(all.is_sorted_by(|a, b| a < b));
        let mut paged = ask(&format!("startTime={start}&limit=2"));
        assert_eq!(paged, all[..2], "{market:?}: the oldest first");
        while paged.len() < all.len() {
            let last = paged.pop().expect("a trade");
            let page = ask(&format!("fromId={last}&limit=2"));
            assert_eq!((page.len(), page[0]), (2, last));
            paged.extend(page);
        }
        assert_eq!(paged, all);
        assert_eq!(ask("limit=2"), all[all.len() - 2..], "without a selection the newest");
        assert!(ask(&format!("fromId={}", all[all.len() - 1] + 1)).is_empty());
    }
}

#[test]
fn times_reach_as_far_as_their_market_says() {
    for (market, days) in [(SPOT, 1), (USDM, 7)] {
        let mut world = World::new();
        let start = world.stamp();
        let all = five_trades(&mut world, market);
        let mut ask = |query: &str| {
            world.signed(market, "GET", trades_path(market), &format!("symbol=BTCUSDT&{query}"))
        };
        let (from, span) = (start - DAY_MS / 2, days * DAY_MS);
        let most = ask(&format!("startTime={from}&endTime={}", from + span));
        assert_eq!(ids(&most.json), all, "{market:?}");
        let more = ask(&format!("startTime={from}&endTime={}", from + span + 1));
        assert_eq!((more.status, more.code()), (400, -1127), "{market:?}");
        assert_eq!(ask(&format!("fromId=1&startTime={from}")).code(), -1128);
        assert_eq!(ask("limit=1001").code(), -1130);
        // A start alone, longer ago than the span: spot tells all since then, USD-M only the span after it.
        let told = ids(&ask(&format!("startTime={}", start - span - 1)).json);
        assert_eq!(told, if market == SPOT { all.clone() } else { Vec::new() }, "{market:?}");
        let told = ids(&ask(&format!("startTime={}", start - span + 1_000)).json);
        assert_eq!(told, all, "{market:?}");
        let told = ids(&ask(&format!("endTime={}", start + 150)).json);
        assert!(!told.is_empty() && told.len() < all.len() && all.starts_with(&told), "{market:?}");
    }
}

#[test]
fn open_orders_of_all_symbols_cost_more_and_a_cancelled_one_can_be_looked_up() {
    for (market, one, all) in [(SPOT, 6, 80), (USDM, 1, 40)] {
        let mut world = World::new();
        let rest = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=75000.00";
        let placed = world.order(market, &format!("{rest}&newClientOrderId=mine")).json;
        let path = order_path(market);
        let weight = |answer: &Answer| answer.header("X-MBX-USED-WEIGHT-1M").and_then(|w| w.parse().ok());
        let open = format!("{}s", path.replace("order", "openOrder"));
        let before: u32 = weight(&world.signed(market, "GET", &open, "symbol=BTCUSDT")).unwrap_or(0);
        let answer = world.signed(market, "GET", &open, "");
        assert_eq!(weight(&answer), Some(before + all), "{market:?}");
        assert_eq!(weight(&world.signed(market, "GET", &open, "symbol=BTCUSDT")), Some(before + all + one));
        assert_eq!(
            (answer.json.as_array().map(Vec::len), &answer.json[0]["clientOrderId"]),
            (Some(1), &json!("mine"))
        );

        let query = "symbol=BTCUSDT&origClientOrderId=mine";
        let ended = world.signed(market, "DELETE", path, query).json;
        let named = if market == SPOT { "origClientOrderId" } else { "clientOrderId" };
        assert_eq!((&ended["status"], &ended[named]), (&json!("CANCELED"), &json!("mine")), "{market:?}");
        assert_eq!(world.signed(market, "DELETE", path, query).code(), -2011);
        assert_eq!(world.signed(market, "GET", &open, "").json, json!([]));
        let by_id = format!("symbol=BTCUSDT&orderId={}", placed["orderId"]);
        let found = world.signed(market, "GET", path, &by_id).json;
        assert_eq!((&found["status"], &found["clientOrderId"]), (&json!("CANCELED"), &json!("mine")));
        assert_eq!(world.signed(market, "GET", path, "symbol=BTCUSDT&orderId=1").code(), -2013);
    }
}

#[test]
fn a_transaction_id_stays_with_its_payment_and_is_unique_within_its_type() {
    let mut world = World::new();
    let start = world.stamp();
    let key = |row: &Value| (row["incomeType"].to_string(), row["tranId"].to_string());
    let mut seen: Vec<Value> = Vec::new();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        // The fill and the payment fall into the same millisecond.
        world.order(USDM, &format!("symbol={symbol}&side=SELL&type=MARKET&quantity=0.100"));
        let settle = json!({"kind": "settle_now", "symbol": symbol});
        world.exchange.fault(&settle).expect("a good fault");
        let all = world.signed(USDM, "GET", "/fapi/v1/income", "limit=1000").json;
        let all = all.as_array().expect("a list").clone();
        assert!(seen.iter().all(|row| all.contains(row)), "{seen:?} in {all:?}");
        let mut keys: Vec<_> = all.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all.len(), "{all:?}");
        seen = all;
    }
    let mut ask = |query: &str| {
        let query = format!("incomeType=FUNDING_FEE&{query}");
        world.signed(USDM, "GET", "/fapi/v1/income", &query).json.as_array().map(Vec::len)
    };
    assert_eq!(ask(&format!("startTime={}", start - 30 * DAY_MS)), Some(2), "a start alone reaches to now");
    assert_eq!((ask("limit=1"), ask("limit=1&page=2"), ask("limit=1&page=3")), (Some(1), Some(1), Some(0)));
    assert_eq!(ask(&format!("startTime={}", start + 1)), Some(0));
}

#[test]
fn candles_are_whole_hours_oldest_first_and_the_same_however_they_are_asked_for() {
    for (market, path, most) in [(SPOT, "/api/v3/klines", 1_000), (USDM, "/fapi/v1/klines", 1_500)] {
        let mut world = World::new();
        let now = world.stamp();
        let mut ask = |query: &str| world.get(market, &format!("{path}?symbol=BTCUSDT&{query}"));
        let start = now - 5 * DAY_MS;
        let page = ask(&format!("interval=1h&startTime={start}&limit=48")).json;
        let opened = |row: &Value| row[0].as_u64().expect("a time");
        let rows = page.as_array().expect("rows");
        assert_eq!((rows.len(), opened(&rows[0])), (48, start.div_ceil(3_600_000) * 3_600_000));
        assert!(rows.windows(2).all(|two| opened(&two[1]) - opened(&two[0]) == 3_600_000));
        assert!(rows.windows(2).all(|two| two[0][4] == two[1][1]), "each opens where the last one closed");
        let later = ask(&format!("interval=1h&startTime={}&limit=1", opened(&rows[7])));
        assert_eq!(later.json[0], rows[7]);
        let eight = ask(&format!("interval=8h&startTime={start}&limit=1")).json;
        let last = rows.iter().find(|row| opened(row) == opened(&eight[0]) + 7 * 3_600_000);
        assert_eq!(last.map(|row| &row[4]), Some(&eight[0][4]), "eight hours close with their last");
        let newest = ask("interval=1h&limit=2").json;
        assert_eq!(opened(&newest[1]), now / 3_600_000 * 3_600_000, "the one that is open");
        assert_eq!(ask("interval=1w").json["code"], -1120);
        assert_eq!(ask(&format!("interval=1h&limit={}", most + 1)).status, 400);
    }
}
