//! Claims about Binance's market data: fixtures, recorded tapes, and messages bent by hand.
//!
//! Owns:  claims about reading market messages.

use super::*;
use crate::units::decimal::Text;
use crate::units::{BadDecimal, Rate};
use crate::venue::sample::{fixture, instrument, instruments};
use crate::venue::trial::{counts, recording, word};
use proptest::prelude::*;
use std::io::Read;

/// The instruments that the fixtures and tapes speak of.
fn world() -> Instruments {
    use LegKind::{Perp, Spot};
    instruments(vec![
        instrument(Spot, "BTCUSDT", 2, 5),
        instrument(Perp, "BTCUSDT", 2, 3),
        instrument(Spot, "BNBUSDT", 4, 2),
        instrument(Perp, "BNBUSDT", 4, 2),
        instrument(Perp, "ETHBUSD", 2, 3),
        instrument(Spot, "NKNUSDT", 4, 0),
    ])
}

fn read(leg: LegKind, message: &[u8]) -> Result<Heard, Refused> {
    let world = world();
    decode(&mut Scratch::new(), &Symbols::new(&world, super::super::VENUE.id), leg, message)
}

/// One readable line.
fn line(heard: Result<Heard, Refused>) -> String {
    let world = world();
    let price = |id, price: Price| Text(price.0.into(), world.get(id).price_decimals).to_string();
    let qty = |id, qty: Qty| Text(qty.0.into(), world.get(id).qty_decimals).to_string();
    match heard {
        Ok(Heard::Quote { instrument: id, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback }) => {
            format!(
                "{} {:?} #{sequence} {} x {} / {} x {}{}{}",
                world.get(id).symbol,
                world.get(id).leg,
                price(id, bid),
                qty(id, bid_qty),
                price(id, ask),
                qty(id, ask_qty),
                stamp.map_or(String::new(), |at| format!(" at {at}")),
                if fallback { " (fallback)" } else { "" },
            )
        }
        Ok(Heard::Mark { instrument: id, mark, funding, next_funding, stamp }) => format!(
            "{} mark {} funding {} next {} at {stamp}",
            world.get(id).symbol,
            price(id, mark),
            funding.map_or("none".to_owned(), |rate| decimal::short(rate.0.into(), Rate::SCALE)),
            next_funding.map_or("none".to_owned(), |at| at.to_string()),
        ),
        Ok(Heard::Stamp(at)) => format!("stamp {at}"),
        Ok(other) => format!("{other:?}"),
        Err(refused) => refused.to_string(),
    }
}

#[track_caller]
fn check(leg: LegKind, name: &str, expected: &str) {
    assert_eq!(line(read(leg, &fixture(name))), expected, "in {name}");
}

#[track_caller]
fn check_text(leg: LegKind, message: &str, expected: &str) {
    assert_eq!(line(read(leg, message.as_bytes())), expected, "in {message}");
}

#[test]
fn each_fixture_reads_as_one_line() {
    use LegKind::{Perp, Spot};
    let bnb = "#400900217 25.3519 x 31.21 / 25.3652 x 40.66";
    check(Spot, "spot_ws_book_ticker.json", &format!("BNBUSDT Spot {bnb}"));
    check(Spot, "spot_ws_book_ticker_combined.json", &format!("BNBUSDT Spot {bnb}"));
    check(Spot, "spot_ws_depth_update.json", "stamp 2022-12-31T19:43:02.136Z");
    check(Spot, "spot_ws_subscribe_response.json", "Confirmed");
    check(Spot, "spot_ws_list_subscriptions_response.json", "Unknown");
    check(Spot, "spot_ws_agg_trade.json", "Unknown");
    check(Spot, "spot_ws_trade.json", "Unknown");
    check(Spot, "spot_ws_avg_price.json", "Unknown");
    check(Spot, "spot_ws_reference_price.json", "Unknown");
    check(Spot, "spot_ws_partial_depth.json", "Unknown");
    check(
        Perp,
        "futures_ws_book_ticker.json",
        "BTCUSDT Perp #11331904350110 72009.00 x 3.065 / 72009.10 x 2.180 at 2026-08-20T13:08:13.915Z",
    );
    check(
        Perp,
        "futures_ws_book_ticker_documented.json",
        &format!("BNBUSDT Perp {bnb} at 2019-09-09T07:34:20.893Z"),
    );
    check(
        Perp,
        "futures_ws_book_ticker_legacy_2022.json",
        "ETHBUSD Perp #1154786566700 2450.03 x 2.346 / 2450.04 x 1.626 at 2022-01-26T02:07:19.533Z",
    );
    let mark =
        "BTCUSDT mark 11794.15 funding 0.00038167 next 2019-07-05T06:00:00.000Z at 2019-07-05T05:43:00.000Z";
    check(Perp, "futures_ws_mark_price.json", mark);
    check(Perp, "futures_ws_mark_price_combined.json", mark);
    check(Perp, "futures_ws_mark_price_all.json", "Unknown");
    check(Perp, "futures_ws_depth_update.json", "message refused at field `E`: absurd stamp");
    check(Perp, "futures_ws_partial_depth.json", "stamp 2019-10-24T03:54:08.277Z");
    check(Perp, "futures_ws_agg_trade.json", "Unknown");
    check(Perp, "futures_ws_contract_info.json", "Unknown");
    check(Perp, "futures_ws_force_order.json", "Unknown");
    check(Perp, "futures_ws_subscribe_response.json", "Confirmed");
}

#[test]
fn layouts_without_a_fixture_read_the_same() {
    use LegKind::{Perp, Spot};
    check_text(
        Perp,
        r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15999999","i":"1","P":"2","r":"-0.00038167","T":1562306400000}"#,
        "BTCUSDT mark 11794.15 funding -0.00038167 next 2019-07-05T06:00:00.000Z at 2019-07-05T05:43:00.000Z",
    );
    check_text(
        Perp,
        r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","P":"1","i":"2","r":"","T":0}"#,
        "BTCUSDT mark 11794.15 funding none next none at 2019-07-05T05:43:00.000Z",
    );
    let coinm = r#"{"e":"bookTicker","u":7,"s":"BTCUSDT","ps":"BTCUSD","b":"1.00","B":"1.000","a":"2.00","A":"1.000","T":1787231293915,"E":1787231293915,"st":2}"#;
    check_text(Perp, coinm, "Unknown");
    check_text(
        Perp,
        &coinm.replace("\"st\":2", "\"st\":\"1\""),
        "message refused at field `st`: of the wrong type",
    );
    check_text(Spot, r#"{"u":1,"s":"XRPUSDT","b":"1","B":"1","a":"1","A":"1"}"#, "Unknown");
    check_text(Spot, "[]", "Unknown");
    check_text(Spot, "", "message refused at field ``: not JSON");
    check_text(Spot, "pong", "message refused at field ``: not JSON");
}

#[test]
fn the_answers_to_our_frames_are_told_apart() {
    use LegKind::Spot;
    for (message, expected) in [
        (r#"{"code":0,"msg":"Unknown property","id":1}"#, "Rejected { code: 0 }"),
        (
            r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 73"}"#,
            "Rejected { code: 2 }",
        ),
        (r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#, "Rejected { code: 3 }"),
        (r#"{"error":{"code":2,"msg":"Invalid request"},"id":4}"#, "Rejected { code: 2 }"),
        (r#"{"result":null,"id":7}"#, "Confirmed"),
        (r#"{"id":7,"result":null}"#, "Confirmed"),
        (r#"{"e":"serverShutdown","E":1770123456789}"#, "Shutdown"),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#, "Shutdown"),
        (r#"{"event":{"e":"serverShutdown","E":1770123456789}}"#, "Shutdown"),
    ] {
        check_text(Spot, message, expected);
    }
}

/// The bookTicker messages of a tape, or `None` where the recordings are not at hand.
fn tape(name: &str) -> Option<Vec<String>> {
    let path = format!("{}/../shared/data/recorded/binance/{name}", env!("CARGO_MANIFEST_DIR"));
    let found = [path.clone(), path.replace("/../shared/", "/../../shared/")]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let Some(path) = found else {
        assert!(std::env::var_os("CI").is_none(), "the recordings are missing: {path}");
        println!("skipped: no recording at {path}");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let rows = text.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap());
    Some(
        rows.filter(|row| row["kind"] == "book_ticker")
            .map(|row| row["raw"].as_str().unwrap().to_owned())
            .collect(),
    )
}

#[test]
fn every_recorded_quote_reads_without_the_general_parser_and_as_the_slow_twin_says() {
    let world = world();
    let symbols = Symbols::new(&world, super::super::VENUE.id);
    let mut scratch = Scratch::new();
    let mut seen = 0;
    for (leg, name) in [
        (LegKind::Spot, "btcusdt_spot_20240808T2354_46s.jsonl.gz"),
        (LegKind::Perp, "btcusdt_usdm_20240808T2354_46s.jsonl.gz"),
    ] {
        let Some(messages) = tape(name) else { return };
        let row = world.instruments.iter().find(|row| row.leg == leg && row.symbol == *"BTCUSDT").unwrap();
        for message in messages {
            let twin: serde_json::Value = serde_json::from_str(&message).unwrap();
            let data = &twin["data"];
            let number = |field: &str, scale| {
                decimal::parse(data[field].as_str().unwrap().as_bytes(), scale, Price::MAX.0).unwrap()
            };
            let expected = Heard::Quote {
                instrument: row.id,
                sequence: data["u"].as_u64().unwrap(),
                bid: Price(number("b", row.price_decimals)),
                bid_qty: Qty(number("B", row.qty_decimals)),
                ask: Price(number("a", row.price_decimals)),
                ask_qty: Qty(number("A", row.qty_decimals)),
                stamp: data["E"].as_i64().and_then(Unix::from_ms),
                fallback: false,
            };
            assert_eq!(decode(&mut scratch, &symbols, leg, message.as_bytes()), Ok(expected), "{message}");
            seen += 1;
        }
    }
    assert_eq!(seen, 12_055);
}

/// Kinds as the recorder named them, what came of each, and how many.
#[test]
fn every_recorded_message_is_read_or_passed_over_for_a_stated_reason() {
    let world = world();
    let symbols = Symbols::new(&world, super::super::VENUE.id);
    let mut scratch = Scratch::new();
    let mut check = |name: &str, leg: LegKind, expected: &[(&str, usize)]| {
        let Some(messages) = recording("binance", name) else { return };
        let mut outcome = |message: &serde_json::Value| {
            let word_of = |field: &str| message[field].as_str().unwrap();
            let leg = if word_of("market") == "spot" { LegKind::Spot } else { leg };
            let heard = decode(&mut scratch, &symbols, leg, word_of("raw").as_bytes());
            format!("{}: {}", word_of("kind"), word(&heard))
        };
        let outcomes = messages.iter().map(&mut outcome).collect();
        let expected: Vec<_> = expected.iter().map(|(line, count)| ((*line).to_owned(), *count)).collect();
        assert_eq!(counts(outcomes), expected, "{name}");
    };
    check(
        "cryptofeed_spot_ws_20211012.jsonl",
        LegKind::Spot,
        &[
            // Of coins that are not in the world above.
            ("book_ticker: Unknown", 5),
            ("book_ticker: quote", 45),
            ("depth: stamp", 97),
            ("other: Unknown", 1),
            ("trade: Unknown", 1),
            // The line that says where the recorder connected has no message.
            ("ws_open: : not JSON", 1),
        ],
    );
    // With white space between their fields.
    let single = [("book_ticker: quote (fallback)", 1), ("mark: mark", 1), ("user: Unknown", 3)];
    check("nautilus_single_messages.jsonl", LegKind::Perp, &single);
    let of_tape = |quotes, stamps, trades| {
        [
            [("book_ticker: quote", quotes), ("depth: stamp", stamps)],
            [("snapshot: Unknown", 1), ("trade: Unknown", trades)],
        ]
        .concat()
    };
    check("btcusdt_spot_20240808T2354_46s.jsonl.gz", LegKind::Spot, &of_tape(3_655, 459, 912));
    check("btcusdt_usdm_20240808T2354_46s.jsonl.gz", LegKind::Perp, &of_tape(8_400, 860, 1_811));
}

// ───────────────────────────── what is subscribed ─────────────────────────────

/// `count` pairs `C0`, `C1`, …; with BTC among them if asked.
fn paired(count: usize, with_btc: bool) -> Instruments {
    let mut bases: Vec<String> = (0..count).map(|n| format!("C{n}")).collect();
    if with_btc {
        bases.push("BTC".to_owned());
    }
    let rows = |leg| {
        let row = |base: &String| crate::event::Instrument {
            base: base.parse().unwrap(),
            ..instrument(leg, &format!("{base}USDT"), 2, 3)
        };
        crate::venue::Listing { rows: bases.iter().map(row).collect(), ..Default::default() }
    };
    crate::venue::pair_up(1, &[rows(LegKind::Spot), rows(LegKind::Perp)], None).unwrap()
}

#[test]
fn two_pairs_need_three_sockets_and_spot_brings_a_companion_for_its_stamps() {
    let all = paired(2, true);
    let plans = plans(&all, &[PairId(0), PairId(2), PairId(0)]);
    let lines: Vec<String> = plans
        .iter()
        .map(|p| format!("{} {}{} {:?} {}", p.what, p.endpoint, p.path, p.leg, p.subscribe.join(" ")))
        .collect();
    assert_eq!(
        lines,
        [
            r#"quotes spot_ws/stream Spot {"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","c0usdt@bookTicker","btcusdt@bookTicker"],"id":1}"#,
            r#"quotes usdm_ws/public/stream Perp {"method":"SUBSCRIBE","params":["c0usdt@bookTicker","btcusdt@bookTicker"],"id":1}"#,
            r#"marks usdm_ws/market/stream Perp {"method":"SUBSCRIBE","params":["c0usdt@markPrice@1s","btcusdt@markPrice@1s"],"id":1}"#,
        ]
    );
    assert_eq!(plans[0].instruments, [all.pair(PairId(0)).spot, all.pair(PairId(2)).spot]);
    assert_eq!(plans[2].instruments, [all.pair(PairId(0)).perp, all.pair(PairId(2)).perp]);
    assert_eq!(plans[0].rules.sends_per_second_max, Some(5));
}

#[test]
fn many_pairs_go_out_in_frames_of_a_hundred_streams() {
    let all = paired(250, false);
    let ids: Vec<PairId> = all.pairs.iter().map(|pair| pair.id).collect();
    let plans = plans(&all, &ids);
    assert_eq!(plans.len(), 3);
    let frames: Vec<serde_json::Value> =
        plans[0].subscribe.iter().map(|f| serde_json::from_str(f).unwrap()).collect();
    let sizes: Vec<usize> = frames.iter().map(|frame| frame["params"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 51]);
    assert_eq!(frames[0]["params"][0], "c0usdt@depth@100ms", "BTCUSDT is not listed here");
    assert_eq!(frames.iter().map(|frame| frame["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
}

// ───────────────────────────── bent messages ─────────────────────────────

/// A message of each known layout, as (market, text).
fn known_layouts() -> Vec<(LegKind, String)> {
    use LegKind::{Perp, Spot};
    let wrap = |stream: &str, data: &str| format!(r#"{{"stream":"{stream}","data":{data}}}"#);
    let spot = r#"{"u":400900217,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}"#;
    let wire = r#"{"e":"bookTicker","u":11331904350110,"s":"BTCUSDT","ps":"BTCUSDT","b":"72009.00","B":"3.065","a":"72009.10","A":"2.180","T":1787231293915,"E":1787231293916,"st":1}"#;
    let tape = r#"{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}"#;
    let page = r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","ps":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000","st":1}"#;
    let mark = r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15000000","P":"11784.25641265","i":"11784.62659091","r":"0.00038167","T":1562306400000,"st":1}"#;
    let old_mark = r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"-0.00038167","T":1562306400000}"#;
    let depth = r#"{"e":"depthUpdate","E":1672515782136,"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#;
    let usdm_depth = r#"{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","ps":"BTCUSDT","U":1,"u":5,"pu":0,"b":[["58710.20","0.014"]],"a":[],"st":1}"#;
    let mut all = Vec::new();
    for (leg, stream, data) in [
        (Spot, "btcusdt@bookTicker", spot),
        (Perp, "btcusdt@bookTicker", wire),
        (Perp, "btcusdt@bookTicker", tape),
        (Perp, "bnbusdt@bookTicker", page),
        (Perp, "btcusdt@markPrice@1s", mark),
        (Perp, "btcusdt@markPrice@1s", old_mark),
        (Spot, "btcusdt@depth@100ms", depth),
        (Perp, "btcusdt@depth@100ms", usdm_depth),
    ] {
        all.push((leg, data.to_owned()));
        all.push((leg, wrap(stream, data)));
    }
    all
}

/// Without the mark of who read it.
fn meaning(heard: Result<Heard, Refused>) -> Result<Heard, Refused> {
    match heard {
        Ok(Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, .. }) => {
            Ok(Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback: false })
        }
        other => other,
    }
}

/// The general parser alone.
fn general(leg: LegKind, message: &[u8]) -> Result<Heard, Refused> {
    let world = world();
    parse(&mut Scratch::new(), &Symbols::new(&world, super::super::VENUE.id), leg, message)
}

#[test]
fn every_known_layout_is_scanned_and_says_what_the_general_parser_says() {
    let world = world();
    let symbols = Symbols::new(&world, super::super::VENUE.id);
    for (leg, message) in known_layouts() {
        let scanned = match leg {
            LegKind::Spot => scan_spot(&symbols, message.as_bytes()),
            LegKind::Perp => scan_usdm(&symbols, message.as_bytes()),
        };
        let scanned = scanned.unwrap_or_else(|| panic!("not scanned: {message}"));
        assert_eq!(Ok(scanned), meaning(general(leg, message.as_bytes())), "{message}");
    }
}

#[test]
fn one_bent_field_is_refused_by_name() {
    let quote = |field: &str, value: &str| {
        let mut data: serde_json::Value = serde_json::from_str(
            r#"{"u":400900217,"s":"BTCUSDT","b":"61837.63","B":"3.78826","a":"61837.64","A":"1.54698"}"#,
        )
        .unwrap();
        data[field] = serde_json::from_str(value).unwrap();
        read(LegKind::Spot, data.to_string().as_bytes())
    };
    for field in ["b", "B", "a", "A"] {
        for (value, why) in [
            (r#""61837.630001""#, Why::Decimal(BadDecimal::Precision)),
            (r#""12345678901234567890""#, Why::Decimal(BadDecimal::Range)),
            (r#""99999999999999999999999999999999999999999""#, Why::Decimal(BadDecimal::Range)),
            (r#""6.18e4""#, Why::Decimal(BadDecimal::Form)),
            (r#""NaN""#, Why::Decimal(BadDecimal::Form)),
            (r#""-1""#, Why::Decimal(BadDecimal::Form)),
            (r#""+1""#, Why::Decimal(BadDecimal::Form)),
            (r#""""#, Why::Decimal(BadDecimal::Form)),
            (r#"".5""#, Why::Decimal(BadDecimal::Form)),
            (r#""5.""#, Why::Decimal(BadDecimal::Form)),
            (r#"" 5""#, Why::Decimal(BadDecimal::Form)),
            ("61837.63", Why::Type),
            ("null", Why::Type),
            ("[]", Why::Type),
        ] {
            let refused = quote(field, value).unwrap_err();
            assert_eq!((refused.field, refused.why), (field, why), "{field} = {value}");
        }
    }
    for value in ["-1", "1.5", "\"1\"", "null"] {
        assert_eq!(quote("u", value).unwrap_err().field, "u", "{value}");
    }
    let twice = r#"{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1","a":"2"}"#;
    check_text(LegKind::Spot, twice, "message refused at field `a`: given twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Another order of fields, and fields nobody knows, change nothing but who reads it.
    #[test]
    fn order_and_unknown_fields_do_not_matter(
        which in any::<prop::sample::Index>(), seed in any::<u64>(), extra in "[C-DF-RV-Zc-df-oq-rv-z]{3,8}", value in 0u32..3,
    ) {
        let layouts = known_layouts();
        let (leg, message) = which.get(&layouts);
        let whole: serde_json::Value = serde_json::from_str(message).unwrap();
        let wrapped = whole.get("data").is_some();
        let data = whole.get("data").unwrap_or(&whole).as_object().unwrap();
        let mut fields: Vec<(String, serde_json::Value)> = data.clone().into_iter().collect();
        fields.push((extra, [serde_json::json!(1), serde_json::json!("x"), serde_json::json!({"b":["1"]})][value as usize].clone()));
        let mut state = seed;
        for at in (1..fields.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            fields.swap(at, (state >> 33) as usize % (at + 1));
        }
        let bent: serde_json::Map<String, serde_json::Value> = fields.into_iter().collect();
        let bent = if wrapped { serde_json::json!({"stream": whole["stream"], "data": bent}) } else { bent.into() };
        prop_assert_eq!(
            meaning(read(*leg, bent.to_string().as_bytes())),
            meaning(read(*leg, message.as_bytes())),
            "{}", bent
        );
    }

    /// Bytes changed, cut out or put in: never a panic, and what the scanners take is what the general
    /// parser takes. Stamps of a depth update are apart: its levels are not walked.
    #[test]
    fn a_damaged_message_never_gives_another_quote_than_its_text_says(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..4),
    ) {
        let layouts = known_layouts();
        let (leg, message) = which.get(&layouts);
        let mut bytes = message.clone().into_bytes();
        for (at, how, byte) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        let heard = read(*leg, &bytes);
        if !matches!(heard, Ok(Heard::Stamp(_))) {
            prop_assert_eq!(meaning(heard), meaning(general(*leg, &bytes)), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    /// Digits changed within one number: the quote says exactly what the text says, or is refused.
    #[test]
    fn one_mutated_number_is_read_exactly_or_refused(
        which in 0usize..8, field in prop::sample::select(vec!["b", "B", "a", "A"]), text in "[0-9]{0,9}\\.?[0-9]{0,9}",
    ) {
        let (leg, message) = known_layouts().swap_remove(which);
        let mut whole: serde_json::Value = serde_json::from_str(&message).unwrap();
        let data = if whole.get("data").is_some() { &mut whole["data"] } else { &mut whole };
        data[field] = text.clone().into();
        let symbol = data["s"].as_str().unwrap().to_owned();
        let world = world();
        let row = world.instruments.iter().find(|row| row.leg == leg && *row.symbol == *symbol).unwrap();
        let scale = if matches!(field, "b" | "a") { row.price_decimals } else { row.qty_decimals };
        let expected = decimal::parse(text.as_bytes(), scale, Price::MAX.0);
        match (read(leg, whole.to_string().as_bytes()), expected) {
            (Ok(Heard::Quote { bid, bid_qty, ask, ask_qty, fallback, .. }), Ok(value)) => {
                let read = match field { "b" => bid.0, "B" => bid_qty.0, "a" => ask.0, _ => ask_qty.0 };
                prop_assert_eq!(read, value);
                prop_assert!(!fallback);
            }
            (Err(refused), Err(bad)) => prop_assert_eq!(refused, Refused { field: refused.field, why: bad.into() }),
            (read, expected) => prop_assert!(false, "{:?} where {:?} was due", read, expected),
        }
    }

    /// Whatever arrives, the decoder returns.
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), spot in any::<bool>()) {
        let _ = read(if spot { LegKind::Spot } else { LegKind::Perp }, &bytes);
    }
}
