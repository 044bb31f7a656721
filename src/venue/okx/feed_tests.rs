//! Claims about OKX's market data: fixtures, recordings, and messages bent by hand.
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
        instrument(Spot, "BTC-USDT", 2, 8),
        instrument(Perp, "BTC-USDT-SWAP", 1, 2),
        instrument(Perp, "BCH-USDT-SWAP", 2, 2),
        instrument(Spot, "XYZ-USDT", 4, 0),
        instrument(Perp, "PEPE-USDT-SWAP", 9, 1),
    ];
    let rows = rows.into_iter().map(|row| Instrument { venue: ID, ..row }).collect();
    let message = |symbol: &str, asks: &str, bids: &str| {
        format!(
            r#"{{"arg":{{"channel":"bbo-tbt","instId":"{symbol}"}},"data":[{{"asks":[[{asks}]],"bids":[[{bids}]],"ts":"1670324386802","seqId":363996337}}]}}"#
        )
    };
    Trial {
        open: &OPEN,
        world: instruments(rows),
        scratch: Scratch::new().into(),
        twin: Twin {
            symbol: "/arg/instId",
            sequence: "/data/0/seqId",
            stamp: "/data/0/ts",
            book: ["/data/0/bids/0/0", "/data/0/bids/0/1", "/data/0/asks/0/0", "/data/0/asks/0/1"],
        },
        layouts: vec![
            (Perp, message("BTC-USDT-SWAP", r#""66666.7","1310","0","12""#, r#""66666.6","904.3","0","9""#)),
            (Spot, message("BTC-USDT", r#""8476.98","0.41500001","0","13""#, r#""8476.97","256","0","1""#)),
            (
                Perp,
                message(
                    "PEPE-USDT-SWAP",
                    r#""0.000012345","1310.5","0","12""#,
                    r#""0.000012344","9","0","9""#,
                ),
            ),
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
        trial().answers("BTC-USD-SWAP"),
        [
            "error_rate_limited: ",
            "error_timeout_unknown: ",
            "funding_rate: time, 1 told by question 3",
            "funding_rate_history: 2 settled",
            "instruments_spot: 1 spot listed",
            "instruments_swap: 2 perp listed",
            "limit_price: time",
            "mark_price: time, 1 told by question 2",
            "server_time: time",
            "system_status: ",
            // Of inverse swaps alone.
            "tickers: ",
        ]
    );
}

#[test]
fn each_fixture_reads_as_one_line() {
    let trial = trial();
    let mut seen = 0;
    let mut check = |leg: LegKind, name: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(leg, &fixture_of("okx", name))), expected, "in {name}");
        seen += 1;
    };
    use LegKind::{Perp, Spot};
    check(
        Perp,
        "ws_bbo_tbt.json",
        "BCH-USDT-SWAP perp #363996337 111.05 x 57745.00 / 111.06 x 55154.00 at 2022-12-06T10:59:46.802Z",
    );
    check(
        Perp,
        "ws_bbo_tbt_keepalive_same_seq.json",
        "BTC-USDT-SWAP perp #363996337 66666.6 x 904.30 / 66666.7 x 1310.00 at 2026-03-05T07:11:01.600Z",
    );
    check(Spot, "ws_bbo_tbt_empty_side.json", "message refused at field `asks`: an empty side of the book");
    for name in
        ["books5", "books_snapshot", "books_update", "tickers", "funding_rate", "mark_price", "instruments"]
    {
        check(Spot, &format!("ws_{name}.json"), "Unknown");
    }
    check(Spot, "ws_subscribe_request.json", "Unknown");
    check(Spot, "ws_subscribe_ok.json", "Confirmed");
    check(Spot, "ws_subscribe_error.json", "Rejected { code: 60012 }");
    check(Spot, "ws_error_fee_tier.json", "Rejected { code: 64003 }");
    check(Spot, "ws_channel_conn_count.json", "Unknown");
    check(Spot, "ws_channel_conn_count_error.json", "Rejected { code: 0 }");
    check(Spot, "ws_notice_service_upgrade.json", "Shutdown");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/okx")).unwrap();
    let streams =
        files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("ws_"));
    assert_eq!(streams.count(), seen, "a fixture is not looked at");
}

#[test]
fn forms_that_are_no_top_of_book_of_today_are_refused_by_name() {
    let trial = trial();
    let check = |message: &str, expected: &str| {
        assert_eq!(trial.line(trial.read(LegKind::Perp, message.as_bytes())), expected, "{message}");
    };
    let refused = |field: &str, why: &str| format!("message refused at field `{field}`: {why}");
    let (_, wire) = &trial.layouts[0];
    check(&wire.replace(r#","seqId":363996337"#, ""), &refused("seqId", "missing"));
    check(&wire.replace("1670324386802", "1670324386"), &refused("ts", "absurd stamp"));
    let summed = wire.replace(r#""seqId""#, r#""checksum":-855196043,"seqId""#);
    check(&summed, &refused("checksum", "a form that the venue has retired"));
    let action = wire.replace(r#""data""#, r#""action":"update","data""#);
    check(&action, &refused("action", "a change to a book, where every message should replace it"));
    check(&wire.replace("}]}", "},{}]}"), &refused("data", "more than the one level subscribed"));
    check(&wire.replace("BTC-USDT-SWAP", "ETH-USDT-SWAP"), "Unknown");
    check("pong", "Pong");
    check("ping", &refused("", "not JSON"));
}

/// Kinds as the recorder named them, what came of each, and how many.
#[test]
fn every_recorded_message_is_read_or_passed_over_for_a_stated_reason() {
    let trial = trial();
    let check = |name: &str, expected: &[(&str, usize)]| {
        let Some(outcomes) = trial.recorded(name, &[LegKind::Spot]) else { return };
        let expected: Vec<_> = expected.iter().map(|(line, count)| ((*line).to_owned(), *count)).collect();
        assert_eq!(counts(outcomes), expected, "{name}");
    };
    let retired = "depth: checksum: a form that the venue has retired";
    check(
        "cryptofeed_v5_public_ws_20220513.jsonl.gz",
        &[
            ("ack: Confirmed", 18),
            ("client_sent: Unknown", 3),
            (retired, 91),
            ("ticker: Unknown", 12),
            ("trade: Unknown", 25),
            // The line that says where the recorder connected has no message.
            ("ws_open: : not JSON", 1),
        ],
    );
    check(
        "tardis_messages.jsonl",
        &[
            ("ack: Confirmed", 1),
            // A top of book of 2022, before `seqId`.
            ("book_ticker: seqId: missing", 1),
            (retired, 2),
            ("mark: Unknown", 3),
            ("other: Unknown", 1),
            ("ticker: Unknown", 2),
            ("trade: Unknown", 3),
        ],
    );
    check(
        "nautilus_single_messages.jsonl",
        &[
            // With white space between its fields.
            ("book_ticker: quote (fallback)", 1),
            ("http_response: Unknown", 3),
            ("mark: Unknown", 1),
            ("ticker: Unknown", 1),
            ("user: Unknown", 1),
        ],
    );
}

#[test]
fn fifty_channels_share_a_socket_and_each_is_confirmed() {
    let listing = |leg| {
        let row = |n: usize| {
            let symbol = if leg == LegKind::Spot { format!("C{n}-USDT") } else { format!("C{n}-USDT-SWAP") };
            Instrument { venue: ID, base: format!("C{n}").parse().unwrap(), ..instrument(leg, &symbol, 2, 3) }
        };
        crate::venue::Listing { rows: (0..51).map(row).collect(), ..Default::default() }
    };
    let all = crate::venue::pair_up(1, &LegKind::BOTH.map(listing), None).unwrap();
    let pairs: Vec<PairId> = all.pairs.iter().map(|pair| pair.id).collect();
    let plans = plans(&all, &pairs);
    let shape: Vec<_> =
        plans.iter().map(|plan| (plan.leg, plan.subscribe.len(), plan.confirmations)).collect();
    use LegKind::{Perp, Spot};
    assert_eq!(shape, [(Spot, 1, 50), (Spot, 1, 1), (Perp, 1, 50), (Perp, 1, 1)]);
    let frame: serde_json::Value = serde_json::from_str(&plans[2].subscribe[0]).unwrap();
    assert_eq!(frame["args"][49], serde_json::json!({"channel":"bbo-tbt","instId":"C49-USDT-SWAP"}));
}
