//! A tape through the whole box: when it starts, what is heard, what is matched.
//!
//! Owns:  claims about playing recordings.

use super::super::{Source, Tape, TapeFrame, TapeKind};
use super::*;

fn quote(market: Market, t_ms: i64, u: u64, bid: &str, ask: &str) -> TapeFrame {
    let stamp = t_ms + 1_723_161_254_000;
    let data = match market {
        Market::Spot => {
            format!(r#"{{"u":{u},"s":"BTCUSDT","b":"{bid}","B":"3.78826000","a":"{ask}","A":"0.01000000"}}"#)
        }
        Market::Usdm => format!(
            r#"{{"e":"bookTicker","u":{u},"s":"BTCUSDT","b":"{bid}","B":"3.788","a":"{ask}","A":"0.010","T":{stamp},"E":{stamp}}}"#
        ),
    };
    TapeFrame {
        t_ns: t_ms * 1_000_000,
        market,
        kind: TapeKind::BookTicker,
        stream: "btcusdt@bookTicker".into(),
        raw: format!(r#"{{"stream":"btcusdt@bookTicker","data":{data}}}"#),
    }
}

fn tape() -> World {
    let snapshot = TapeFrame {
        t_ns: 0,
        market: Market::Spot,
        kind: TapeKind::Snapshot,
        stream: String::new(),
        raw: r#"{"lastUpdateId":5,"bids":[["61837.63000000","1.00000000"]],"asks":[["61837.64000000","2.00000000"]]}"#.into(),
    };
    let frames = vec![
        snapshot,
        quote(Market::Spot, 100, 10, "61837.63000000", "61837.64000000"),
        quote(Market::Usdm, 110, 11, "61840.00", "61840.10"),
        quote(Market::Spot, 200, 12, "61838.00000000", "61838.01000000"),
        quote(Market::Usdm, 240, 13, "61841.00", "61841.10"),
    ];
    World::with(Config { source: Source::Tape(Tape { name: "t".into(), frames }), ..Config::default() })
}

#[test]
fn a_tape_waits_for_its_listeners_and_then_keeps_its_pace() {
    let mut world = tape();
    let mut spot = world.socket(Door::SpotWs, "/stream?streams=btcusdt@bookTicker");
    world.run(5 * SECOND);
    assert!(spot.hear(&mut world, true).is_empty(), "the other stream has no listener yet");
    let mut usdm = world.socket(Door::UsdmWs, "/public/ws/btcusdt@bookTicker");
    world.run(0);
    assert_eq!(
        spot.hear(&mut world, true),
        [quote(Market::Spot, 0, 10, "61837.63000000", "61837.64000000").raw]
    );
    world.run(10 * MS);
    let first = usdm.read(&mut world).remove(0);
    assert_eq!(first["E"].as_u64(), Some(world.stamp() - 1), "arrival is 1 ms after the stamp");
    world.run(90 * MS - 1);
    assert!(spot.hear(&mut world, true).is_empty());
    world.run(1);
    assert_eq!(spot.hear(&mut world, true).len(), 1);
    world.run(SECOND);
    let second = usdm.read(&mut world).remove(0);
    assert_eq!(second["E"].as_u64().zip(first["E"].as_u64()).map(|(b, a)| b - a), Some(130));
    assert_eq!(world.truth()["market"], "tape:t");
}

#[test]
fn orders_meet_the_quote_last_played_and_what_they_took_returns_with_the_next() {
    let mut world = tape();
    world.socket(Door::SpotWs, "/stream?streams=btcusdt@bookTicker");
    world.socket(Door::UsdmWs, "/public/stream?streams=btcusdt@bookTicker");
    world.run(50 * MS);
    let buy = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.02&price=61840.00";
    let part = world.order(Market::Spot, buy).json;
    assert_eq!((&part["status"], &part["executedQty"]), (&"EXPIRED".into(), &"0.01000000".into()));
    assert_eq!(part["fills"][0]["price"], "61837.64000000");
    assert_eq!(world.order(Market::Spot, buy).json["executedQty"], "0.00000000");
    world.run(50 * MS);
    assert_eq!(world.order(Market::Spot, buy).json["fills"][0]["price"], "61838.01000000");
    let truth = world.truth();
    assert_eq!(
        (&truth["orders"][0]["spot_update_id"], &truth["orders"][0]["usdm_update_id"]),
        (&10.into(), &11.into())
    );
    assert_eq!(world.get(Market::Spot, "/api/v3/depth?symbol=BTCUSDT").json["lastUpdateId"], 5);
    assert_eq!(
        world.get(Market::Usdm, "/fapi/v1/premiumIndex?symbol=BTCUSDT").json["lastFundingRate"],
        "0.00050000"
    );
    assert_eq!(
        world.get(Market::Spot, "/api/v3/exchangeInfo").json["symbols"].as_array().map(Vec::len),
        Some(1)
    );
}

/// A tape without listeners is quiet, so that a day passes quickly.
#[test]
fn a_socket_that_answers_its_pings_lives_a_day_and_no_longer() {
    let mut world = tape();
    let mut socket = world.socket(Door::UsdmWs, "/public/ws");
    for _ in 0..479 {
        world.run(180 * SECOND);
        socket.hear(&mut world, true);
    }
    assert!(!socket.closed);
    world.run(180 * SECOND);
    socket.hear(&mut world, true);
    assert!(socket.closed);
}
