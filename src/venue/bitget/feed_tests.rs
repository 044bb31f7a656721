//! Claims about Bitget's market data: fixtures, recordings, and messages bent by hand.
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
        instrument(Perp, "BTCUSDT", 1, 4),
        instrument(Perp, "1000BONKUSDT", 6, 0),
        instrument(Perp, "DASHUSDT", 2, 2),
        instrument(Perp, "UNIUSDT", 3, 1),
    ];
    let rows = rows.into_iter().map(|row| Instrument { venue: ID, ..row }).collect();
    let wire = r#"{"action":"snapshot","arg":{"instType":"spot","topic":"books1","symbol":"BTCUSDT"},"data":[{"a":[["76671.23","0.41581"]],"b":[["76671.22","0.531211"]],"checksum":0,"seq":451057506670,"pseq":0,"ts":"1777358880105"}],"ts":1777358880106}"#;
    let page = r#"{"action":"snapshot","arg":{"instType":"usdt-futures","symbol":"BTCUSDT","topic":"books1"},"data":[{"a":[["99756.7","23.9774"]],"b":[["99756.6","0.0128"]],"pseq":0,"seq":1304314508780744705,"ts":"1746698732562"}],"ts":1746698732563}"#;
    let scaled = r#"{"action":"snapshot","arg":{"instType":"usdt-futures","topic":"books1","symbol":"1000BONKUSDT"},"data":[{"a":[["0.012346","9"]],"b":[["0.012345","1200"]],"checksum":0,"seq":2,"pseq":1,"ts":"1777358880105"}],"ts":1777358880106}"#;
    Trial {
        open: &OPEN,
        world: instruments(rows),
        scratch: Scratch::new().into(),
        twin: Twin {
            symbol: "/arg/symbol",
            sequence: "/data/0/seq",
            stamp: "/ts",
            book: ["/data/0/b/0/0", "/data/0/b/0/1", "/data/0/a/0/0", "/data/0/a/0/1"],
        },
        layouts: vec![(Spot, wire.to_owned()), (Perp, page.to_owned()), (Perp, scaled.to_owned())],
    }
}

#[test]
fn quotes_stand_whatever_is_done_to_them() {
    trial().stands();
}

#[test]
fn each_answer_of_the_documents_is_read_by_the_questions_it_answers_and_by_no_other() {
    assert_eq!(
        trial().answers("BTCUSDT"),
        [
            "error_429: ",
            "error_45001: ",
            // The same rows as v2's, and no category in them.
            "uta_current_funding: 1 told by question 0, 1 told by question 1, 1 told by question 2",
            "uta_funding_history: 2 settled",
            "uta_instruments_futures: 1 perp listed",
            // Of the margin market, which is neither.
            "uta_instruments_margin: ",
            "uta_instruments_spot: 1 spot listed",
            "uta_orderbook: ",
            "uta_tickers_futures: 1 told by question 1, 1 told by question 2",
            "uta_tickers_spot: 1 told by question 0",
            "v2_current_funding: 1 told by question 0, 1 told by question 1, 1 told by question 2",
            "v2_server_time: time",
        ]
    );
}

#[test]
fn each_fixture_reads_as_one_line() {
    let trial = trial();
    let mut seen = 0;
    let mut check = |leg: LegKind, name: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(leg, &fixture_of("bitget", name))), expected, "in {name}");
        seen += 1;
    };
    use LegKind::{Perp, Spot};
    // Its page shows `data` first; the wire does not send it so.
    let book = "BTCUSDT perp #1304314508780744705 99756.6 x 0.0128 / 99756.7 x 23.9774 at 2025-05-08T10:05:32.563Z (fallback)";
    check(Perp, "ws_uta_books1.json", book);
    check(Perp, "ws_uta_books_snapshot.json", book);
    check(
        Spot,
        "ws_uta_books1_spot.json",
        "BTCUSDT spot #1304314508780744999 99750.09 x 0.800000 / 99750.10 x 1.200000 at 2025-05-08T10:05:32.571Z (fallback)",
    );
    check(Perp, "ws_uta_books_update.json", "Unknown");
    check(
        Perp,
        "ws_uta_ticker_futures.json",
        "BTCUSDT mark 100002.3 funding 0.000071 next 2025-03-27T08:00:00.000Z at 2025-01-08T21:22:12.162Z",
    );
    check(Spot, "ws_uta_ticker_spot.json", "Unknown");
    check(Perp, "ws_uta_subscribe_ok.json", "Confirmed");
    check(Perp, "ws_uta_subscribe_request.json", "Unknown");
    check(Perp, "ws_error_channel_not_exist.json", "Rejected { code: 30001 }");
    check(Perp, "ws_error_request_too_many.json", "Rejected { code: 30006 }");
    check(Perp, "ws_error_service_upgrade.json", "Shutdown");
    let retired = "message refused at field `channel`: a form that the venue has retired";
    for name in
        ["books_spot", "books_update_or_snapshot_futures", "subscribe_ok", "ticker_futures", "ticker_spot"]
    {
        check(Perp, &format!("ws_v2_{name}.json"), retired);
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bitget")).unwrap();
    let streams =
        files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("ws_"));
    assert_eq!(streams.count(), seen, "a fixture is not looked at");
}

#[test]
fn forms_that_are_no_top_of_book_are_refused_by_name() {
    let trial = trial();
    let check = |leg: LegKind, message: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(leg, message.as_bytes())), expected, "{message}");
    };
    use LegKind::{Perp, Spot};
    let refused = |field: &str, why: &str| format!("message refused at field `{field}`: {why}");
    let (_, page) = &trial.layouts[1];
    let change = refused("action", "a change to a book, where every message should replace it");
    check(Perp, &page.replace("snapshot", "update"), &change);
    check(Perp, &page.replace(r#"[["99756.6","0.0128"]]"#, "[]"), &refused("b", "an empty side of the book"));
    check(Perp, &page.replace("\"1746698732562\"", "1746698732562"), &refused("ts", "of the wrong type"));
    check(Perp, &page.replace("1304314508780744705", "1.5"), &refused("seq", "of the wrong type"));
    check(Spot, page, "Unknown");
    check(Perp, &page.replace("}],", "},{}],"), &refused("data", "more than the one level subscribed"));
    let mark = r#"{"action":"snapshot","arg":{"instType":"usdt-futures","topic":"ticker","symbol":"BTCUSDT"},"data":[{"markPrice":"MARK","fundingRate":"","nextFundingTime":""}],"ts":1777358880106}"#;
    check(
        Perp,
        &mark.replace("MARK", "1.25"),
        "BTCUSDT mark 1.2 funding none next none at 2026-04-28T06:48:00.106Z",
    );
    check(Perp, &mark.replace("MARK", ""), &refused("markPrice", "missing"));
    check(Perp, "pong", "Pong");
}

/// Kinds as the recorder named them, what came of each, and how many.
#[test]
fn every_recorded_message_is_read_or_refused_for_a_stated_reason() {
    let trial = trial();
    let check = |name: &str, expected: &[(&str, usize)]| {
        let Some(outcomes) = trial.recorded(name, &[LegKind::Perp]) else { return };
        let expected: Vec<_> = expected.iter().map(|(line, count)| ((*line).to_owned(), *count)).collect();
        assert_eq!(counts(outcomes), expected, "{name}");
    };
    // All of v1 is refused: books, tickers, and the acks too.
    check(
        "cryptofeed_v1_mix_ws_20220407.jsonl.gz",
        &[
            ("ack: channel: a form that the venue has retired", 8),
            ("client_sent: Unknown", 1),
            ("depth: channel: a form that the venue has retired", 45),
            ("other: channel: a form that the venue has retired", 7),
            ("ticker: channel: a form that the venue has retired", 50),
            ("trade: channel: a form that the venue has retired", 8),
            // The line that says where the recorder connected has no message.
            ("ws_open: : not JSON", 1),
        ],
    );
    check(
        "tardis_messages.jsonl",
        &[
            ("ack: channel: a form that the venue has retired", 4),
            ("book_ticker: channel: a form that the venue has retired", 2),
            ("book_ticker: quote", 2),
            ("depth: Unknown", 2),
            ("depth: channel: a form that the venue has retired", 4),
            ("other: Unknown", 1),
            ("ticker: channel: a form that the venue has retired", 1),
            ("ticker: mark", 1),
            ("trade: Unknown", 2),
            ("trade: channel: a form that the venue has retired", 2),
        ],
    );
}

#[test]
fn fewer_than_fifty_topics_share_a_socket_and_each_is_confirmed() {
    let listing = |leg| {
        let row = |n: usize| Instrument {
            venue: ID,
            base: format!("C{n}").parse().unwrap(),
            ..instrument(leg, &format!("C{n}USDT"), 2, 3)
        };
        crate::venue::Listing { rows: (0..49).map(row).collect(), ..Default::default() }
    };
    let all = crate::venue::pair_up(1, &LegKind::BOTH.map(listing), None).unwrap();
    let pairs: Vec<PairId> = all.pairs.iter().map(|pair| pair.id).collect();
    let plans = plans(&all, &pairs);
    let shape: Vec<_> = plans.iter().map(|plan| (plan.what, plan.leg, plan.confirmations)).collect();
    use LegKind::{Perp, Spot};
    assert_eq!(
        shape,
        [
            ("quotes", Spot, 48),
            ("quotes", Spot, 1),
            ("quotes", Perp, 48),
            ("quotes", Perp, 1),
            ("marks", Perp, 48),
            ("marks", Perp, 1),
        ]
    );
    let frame: serde_json::Value = serde_json::from_str(&plans[4].subscribe[0]).unwrap();
    let arg = serde_json::json!({"instType":"usdt-futures","topic":"ticker","symbol":"C47USDT"});
    assert_eq!(frame["args"][47], arg);
}
