//! Claims about the API's answers, each as a client would read it.
//!
//! Owns:  figures to the digit, statuses, tags.
#![cfg(test)]

use super::super::Prices;
use super::super::sample::row;
use super::*;
use serde_json::Value;

const NOW: Unix = Unix(1_795_305_605_000_000_000);

fn api(token: Option<&str>) -> Api {
    let policy = Policy { min_net_apr: None, ..Policy::default() };
    Api::new(token, Rate(4_000_000_000_000_000), policy, NOW)
}

fn rows() -> Snapshot {
    let prices = Prices {
        at: Unix(NOW.0 - 400_000_000),
        middle: 12_000,
        executable: [Ratio::from_num(1) / 10_000, Ratio::ZERO],
        room: [Amount::parse(b"5000").unwrap(); 2],
        exit_spread: Ratio::ZERO,
        slip: Ratio::ZERO,
    };
    let sum = Rate::parse(b"0.00672").unwrap();
    let first = Row {
        sum_7d: Some(sum),
        next: Some(Unix(NOW.0 + 3_600_000_000_000)),
        prices: Some(prices),
        settled: Arc::from([(NOW, Rate::parse(b"0.00032").unwrap())]),
        ..row("Bybit", "ETH", "0.00032", 8, NOW)
    };
    let all = vec![
        first,
        row("OKX", "BTC", "0.00015", 8, NOW),
        row("Binance", "SOL", "0.0001", 8, NOW),
        row("Bitget", "XRP", "-0.0001", 4, NOW),
    ];
    let why = Some("not JSON: <html".to_owned());
    let left_out = vec!["XYZ is not listed".to_owned()];
    let (prices_at, rates_at) = (Some(NOW), None);
    let (exchange, complete) = ("Bybit", false);
    let venue = Venue { exchange, pairs: 1, prices_at, rates_at, complete, failures: 2, why, left_out };
    Snapshot::new(7, NOW, all, vec![venue])
}

fn ask<'a>(path: &'a str, query: &'a str) -> Question<'a> {
    Question { method: "GET", path, query, authorization: None, if_none_match: None, now: NOW }
}

fn told(query: &str) -> Answer {
    api(None).answer(ask(SPOT_PERP, query), &rows(), || 3)
}

#[test]
fn figures_are_exact_to_the_digit_and_nothing_is_a_silent_zero() {
    let text = told("").body;
    let expected = concat!(
        r#"{"data":[{"symbol":"ETH","exchange":"Bybit","fundingRate":0.00032,"cumRate7d":0.00672,"apr":0.3504,"#,
        r#""basisRate":0.00012,"netApr":0.3464,"intervalHours":8,"direction":"short","#,
        r#""portfolio":{"spotSide":"buy","perpSide":"sell"},"nextFundingTime":"2026-11-22T01:00:05.000Z"},"#,
        r#"{"symbol":"BTC","exchange":"OKX","fundingRate":0.00015,"cumRate7d":null,"apr":0.16425,"basisRate":null,"#,
        r#""netApr":0.16025,"#,
    );
    assert!(text.starts_with(expected), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    let line = |row: &Value| format!("{} {} {}", row["symbol"], row["netApr"], row["portfolio"]["perpSide"]);
    let lines: Vec<_> = told["data"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(lines[2..], [r#""SOL" 0.1055 "sell""#, r#""XRP" -0.223 "buy""#]);
    assert_eq!(told["meta"]["timestamp"], "2026-11-22T00:00:05.000Z");
    assert_eq!(told["meta"]["elapsed_ms"], 3);
    assert!(told["meta"]["request_id"].as_str().is_some_and(|id| !id.is_empty()));
}

#[test]
fn rows_are_chosen_by_exchange_direction_and_bar() {
    for (query, coins) in [
        ("exchange=all&direction=all", "ETH BTC SOL XRP"),
        ("exchange=OKX", "BTC"),
        ("direction=long", "XRP"),
        ("direction=short&exchange=Bitget", ""),
        ("minNetApr=0.16025", "ETH BTC"),
        // A week's hold has to pay the same fees in a week.
        ("minNetApr=0.1&holdDays=7", "ETH"),
    ] {
        let body: Value = serde_json::from_str(&told(query).body).unwrap();
        let coin = |row: &Value| row["symbol"].as_str().unwrap().to_owned();
        assert_eq!(
            body["data"].as_array().unwrap().iter().map(coin).collect::<Vec<_>>().join(" "),
            coins,
            "{query}"
        );
    }
}

#[test]
fn economics_come_with_a_notional_and_say_what_speaks_against() {
    let body: Value = serde_json::from_str(&told("notional=10000&holdDays=7").body).unwrap();
    let edge = &body["data"][0]["edge"];
    assert_eq!(edge["accountFees"], 0.003);
    assert_eq!((&edge["priceAgeMs"], &edge["fundingAgeMs"]), (&400.into(), &0.into()));
    // 0.003 of fees at 0.00004 an hour.
    assert!(matches!(edge["breakEvenHours"].as_u64(), Some(75 | 76)), "{edge}");
    assert_eq!(edge["against"], serde_json::json!(["the best prices have room for 5000 only"]));
    assert_eq!(body["data"][1]["edge"]["executableBasis"], Value::Null);
    assert!(told("").body.find("edge").is_none());
}

#[test]
fn what_can_not_be_answered_is_told_as_json() {
    let api = api(Some("secret"));
    let asked = |question: Question<'_>| {
        let answer = api.answer(question, &rows(), || 0);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body["error"]["message"].as_str().unwrap_or("").to_owned(), answer.extra)
    };
    let keyed = |path, query| Question { authorization: Some("Bearer secret"), ..ask(path, query) };
    let (status, message, _) = asked(keyed(SPOT_PERP, "exchange=Kraken"));
    assert!(status == 400 && message.contains("all, Binance, OKX, Bybit, Bitget"), "{message}");
    assert_eq!(asked(keyed(SPOT_PERP, "direction=short&direction=long")).0, 400);
    assert_eq!(asked(keyed("/v1/nothing", "")).0, 404);
    let (status, _, extra) = asked(Question { method: "POST", ..keyed(SPOT_PERP, "") });
    assert_eq!((status, extra), (405, Some(("allow", "GET, HEAD"))));
    for wrong in [None, Some("Bearer secre"), Some("Basic secret"), Some("secret")] {
        let (status, _, extra) = asked(Question { authorization: wrong, ..ask(SPOT_PERP, "") });
        assert_eq!((status, extra), (401, Some(("www-authenticate", "Bearer"))), "{wrong:?}");
    }
    assert_eq!(asked(keyed(SPOT_PERP, "")).0, 200);
    assert_eq!(asked(ask("/healthz", "")).0, 200);
    assert_eq!(asked(Question { method: "HEAD", ..keyed(SPOT_PERP, "") }).0, 200);
}

#[test]
fn who_knows_the_tag_is_told_that_nothing_changed() {
    let (api, snapshot) = (api(None), rows());
    let first = api.answer(ask(SPOT_PERP, "exchange=OKX"), &snapshot, || 0);
    let tag = first.tag.unwrap();
    let again = |tag: &str, snapshot: &Snapshot| {
        let question = Question { if_none_match: Some(tag), ..ask(SPOT_PERP, "exchange=OKX") };
        let answer = api.answer(question, snapshot, || 0);
        (answer.status, answer.body.is_empty())
    };
    assert_eq!(again(&tag, &snapshot), (304, true));
    assert_eq!(again(&format!("\"x\", {tag}"), &snapshot), (304, true));
    let moved = Snapshot::new(8, NOW, vec![row("OKX", "BTC", "0.00016", 8, NOW)], Vec::new());
    assert_eq!(again(&tag, &moved), (200, false));
}

#[test]
fn history_metrics_and_health_are_told() {
    let api = api(None);
    let asked = |path, query| api.answer(ask(path, query), &rows(), || 0);
    let history = asked(HISTORY, "exchange=Bybit&symbol=ETH");
    assert!(
        history.body.starts_with(r#"{"data":[{"time":"2026-11-22T00:00:05.000Z","fundingRate":0.00032}]"#)
    );
    assert_eq!(asked(HISTORY, "exchange=Bybit").status, 400);
    assert_eq!(asked(HISTORY, "exchange=Bybit&symbol=NONE").status, 404);
    let metrics = asked("/metrics", "").body;
    assert!(metrics.contains("contango_scan_rows{exchange=\"Bybit\"} 1\n"), "{metrics}");
    assert!(metrics.contains("contango_scan_age_seconds{exchange=\"Bybit\",of=\"prices\"} 0\n"), "{metrics}");
    assert!(metrics.contains("contango_scan_failures_total{exchange=\"Bybit\"} 2\n"), "{metrics}");
    let late = Question { now: Unix(NOW.0 + 61_000_000_000), ..ask("/healthz", "") };
    assert_eq!(api.answer(late, &rows(), || 0).status, 503);
    let health: Value = serde_json::from_str(&asked("/healthz", "").body).unwrap();
    let bybit = serde_json::json!({"exchange": "Bybit", "pairs": 1, "pricesAgeMs": 0, "fundingAgeMs": null, "failures": 2, "why": "not JSON: <html", "leftOut": ["XYZ is not listed"]});
    assert_eq!(health, serde_json::json!({"status": "ok", "venues": [bybit]}));
    let document: Value = serde_json::from_str(&asked("/openapi.json", "").body).unwrap();
    assert!(PATHS[..2].iter().all(|path| document["paths"][path]["get"].is_object()));
    assert!(asked("/", "").body.contains("<table"));
}
