//! Claims about Bybit's market data: fixtures, recordings, and messages bent by hand.
//!
//! Owns:  claims about reading market messages, and what is subscribed.
//! Map:   what holds for every venue's quotes is in `venue/trial.rs`.

use super::super::{ID, OPEN};
use super::*;
use crate::event::Instrument;
use crate::venue::sample::{fixture_of, instrument, instruments};
use crate::venue::trial::{Trial, Twin, counts};

fn trial() -> Trial {
    use LegKind::{Perp, Spot};
    let rows = vec![
        instrument(Spot, "BTCUSDT", 2, 6),
        instrument(Perp, "BTCUSDT", 2, 3),
        instrument(Perp, "XYZUSDT", 4, 0),
        instrument(Perp, "XRPUSDT", 4, 0),
        instrument(Perp, "SHIB1000USDT", 6, 0),
    ];
    let rows = rows.into_iter().map(|row| Instrument { venue: ID, ..row }).collect();
    let wire = r#"{"topic":"orderbook.1.BTCUSDT","ts":1772694601512,"type":"snapshot","data":{"s":"BTCUSDT","b":[["66666.60","23.789"]],"a":[["66666.70","1.475"]],"u":18521288,"seq":7961638724},"cts":1772694601510}"#;
    let older = r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1680673820717,"data":{"s":"BTCUSDT","b":[["28552.00","0.047"]],"a":[["28552.10","25.433"]],"u":7003305,"seq":50193540681}}"#;
    let scaled = r#"{"topic":"orderbook.1.SHIB1000USDT","ts":1772694601512,"type":"snapshot","data":{"s":"SHIB1000USDT","b":[["0.012345","230"]],"a":[["0.012350","10000"]],"u":5,"seq":6},"cts":1772694601510}"#;
    Trial {
        open: &OPEN,
        world: instruments(rows),
        scratch: Scratch::new().into(),
        twin: Twin {
            symbol: "/topic",
            sequence: "/data/seq",
            stamp: "/ts",
            book: ["/data/b/0/0", "/data/b/0/1", "/data/a/0/0", "/data/a/0/1"],
        },
        layouts: vec![
            (Spot, wire.to_owned()),
            (Perp, wire.to_owned()),
            (Perp, older.to_owned()),
            (Perp, scaled.to_owned()),
        ],
    }
}

#[test]
fn quotes_stand_whatever_is_done_to_them() {
    trial().stands();
}

#[test]
fn each_answer_of_the_documents_is_read_by_the_questions_it_answers_and_by_no_other() {
    assert_eq!(
        trial().answers("ETHPERP"),
        [
            "error_rate_limited: ",
            "error_server_timeout: ",
            "funding_history: time, 1 settled",
            "instruments_linear: time, 1 perp listed",
            "instruments_spot: time, 1 spot listed",
            "price_limit: time",
            "server_time: time",
            "system_status: time",
            // It says that it is of the inverse market.
            "tickers_linear_shape_inverse: time",
            "tickers_spot: time, 1 told by question 0",
        ]
    );
}

#[test]
fn each_fixture_reads_as_one_line() {
    let trial = trial();
    let mut seen = 0;
    let mut check = |leg: LegKind, name: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(leg, &fixture_of("bybit", name))), expected, "in {name}");
        seen += 1;
    };
    use LegKind::{Perp, Spot};
    let book = "66666.60 x 23.789 / 66666.70 x 1.475 at 2026-03-05T07:10";
    check(Perp, "ws_orderbook1_snapshot.json", &format!("BTCUSDT perp #7961638724 {book}:01.512Z"));
    check(Perp, "ws_orderbook1_keepalive_same_u.json", &format!("BTCUSDT perp #7961638724 {book}:04.512Z"));
    check(
        Spot,
        "ws_orderbook1_service_restart_u1.json",
        "BTCUSDT spot #7961700001 66660.10 x 2.001000 / 66660.20 x 0.500000 at 2026-03-05T07:11:40.000Z",
    );
    check(Perp, "ws_orderbook1_empty_side.json", "message refused at field `b`: an empty side of the book");
    check(Perp, "ws_orderbook50_snapshot.json", "Unknown");
    check(Perp, "ws_orderbook50_delta.json", "Unknown");
    check(Spot, "ws_pong_public_spot.json", "Pong");
    check(Perp, "ws_pong_public_linear.json", "Pong");
    check(Perp, "ws_ping.json", "Unknown");
    check(Perp, "ws_subscribe_request.json", "Unknown");
    check(Spot, "ws_subscribe_ok_spot.json", "Confirmed");
    check(Perp, "ws_subscribe_ok_linear.json", "Confirmed");
    check(Perp, "ws_subscribe_failed.json", "Rejected { code: 0 }");
    for name in ["linear_delta", "linear_delta_funding", "linear_snapshot", "spot"] {
        check(Perp, &format!("ws_tickers_{name}.json"), "Unknown");
    }
    check(Perp, "ws_system_status.json", "Unknown");
    check(Perp, "ws_adl_alert.json", "Unknown");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bybit")).unwrap();
    let streams =
        files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("ws_"));
    assert_eq!(streams.count(), seen, "a fixture is not looked at");
}

#[test]
fn forms_that_are_no_top_of_book_of_v5_are_refused_by_name() {
    let trial = trial();
    let check = |message: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(LegKind::Perp, message.as_bytes())), expected, "{message}");
    };
    let refused = |field: &str, why: &str| format!("message refused at field `{field}`: {why}");
    let (_, wire) = &trial.layouts[1];
    check(
        &wire.replace("snapshot", "delta"),
        &refused("type", "a change to a book, where every message should replace it"),
    );
    check(
        &wire.replace(r#""s":"BTCUSDT""#, r#""s":"XRPUSDT""#),
        &refused("s", "not what another field says"),
    );
    check(
        &wire.replace(r#"["66666.60","23.789"]"#, r#"["66666.60","23.789"],["66666.50","1"]"#),
        &refused("b", "more than the one level subscribed"),
    );
    check(&wire.replace("BTCUSDT", "ETHUSDT"), "Unknown");
    check(&wire.replace("1772694601512", "1772694601"), &refused("ts", "absurd stamp"));
    check(&wire.replace("1772694601510", "-1"), &refused("cts", "of the wrong type"));
    let retired = "a form that the venue has retired";
    check(
        r#"{"topic":"orderBookL2_25.BTCUSD","type":"snapshot","data":[],"cross_seq":1,"timestamp_e6":1}"#,
        &refused("cross_seq", retired),
    );
    check(
        r#"{"topic":"instrument_info.100ms.BTCUSDT","type":"delta","data":{},"timestamp_e6":"1"}"#,
        &refused("timestamp_e6", retired),
    );
    check(
        r#"{"symbol":"BTCUSDT","symbolName":"BTCUSDT","topic":"depth","data":[]}"#,
        &refused("symbolName", retired),
    );
    check(
        r#"{"success":true,"ret_msg":"","conn_id":"x","request":{"op":"subscribe","args":[]}}"#,
        &refused("request", retired),
    );
    check(r#"{"op":"pong","args":["1675418560633"]}"#, "Pong");
    check("[]", "Unknown");
    check("pong", &refused("", "not JSON"));
}

/// Kinds as the recorder named them, what came of each, and how many.
#[test]
fn every_recorded_message_is_read_or_passed_over_for_a_stated_reason() {
    let trial = trial();
    let legs = &[LegKind::Perp];
    let check = |name: &str, expected: &[(&str, usize)]| {
        let Some(outcomes) = trial.recorded(name, legs) else { return };
        let expected: Vec<_> = expected.iter().map(|(line, count)| ((*line).to_owned(), *count)).collect();
        assert_eq!(counts(outcomes), expected, "{name}");
    };
    check("tardis_messages.jsonl", &[("depth: quote", 2), ("ticker: Unknown", 1), ("trade: Unknown", 2)]);
    check("xrpusdt_orderbook500_20241201.jsonl.gz", &[("depth: Unknown", 12)]);
    check(
        "nautilus_single_messages.jsonl",
        &[
            ("ack: Confirmed", 1),
            ("ack: Rejected { code: 0 }", 1),
            ("ack: Rejected { code: 10003 }", 1),
            ("ack: Unknown", 2),
            // Level 1 never has deltas, nor two levels: these were made by hand.
            ("depth: b: more than the one level subscribed", 1),
            ("depth: type: a change to a book, where every message should replace it", 1),
            ("http_response: Unknown", 2),
            ("ticker: Unknown", 1),
            ("user: Unknown", 1),
        ],
    );
}

#[test]
fn spot_is_subscribed_by_tens_and_linear_by_hundreds() {
    let bases: Vec<String> = (0..501).map(|n| format!("C{n}")).collect();
    let listing = |leg| {
        let row = |base: &String| Instrument {
            venue: ID,
            base: base.parse().unwrap(),
            ..instrument(leg, &format!("{base}USDT"), 2, 3)
        };
        crate::venue::Listing { rows: bases.iter().map(row).collect(), ..Default::default() }
    };
    let all = crate::venue::pair_up(1, &LegKind::BOTH.map(listing), None).unwrap();
    let pairs: Vec<PairId> = all.pairs.iter().map(|pair| pair.id).collect();
    let plans = plans(&all, &pairs);
    let shape: Vec<_> =
        plans.iter().map(|plan| (plan.path.as_str(), plan.instruments.len(), plan.confirmations)).collect();
    assert_eq!(
        shape,
        [
            ("/v5/public/spot", 500, 50),
            ("/v5/public/spot", 1, 1),
            ("/v5/public/linear", 500, 5),
            ("/v5/public/linear", 1, 1)
        ]
    );
    let frame: serde_json::Value = serde_json::from_str(&plans[0].subscribe[0]).unwrap();
    assert_eq!((&frame["op"], &frame["args"][9]), (&"subscribe".into(), &"orderbook.1.C9USDT".into()));
    assert!(plans[2].subscribe.iter().map(String::len).sum::<usize>() < 21_000);
}
