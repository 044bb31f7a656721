//! Claims about Binance's market data: fixtures, recorded tapes, and messages bent by hand.

use super::*;
use crate::units::decimal::Text;
use crate::venue::sample::{fixture, instrument, instruments};
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
