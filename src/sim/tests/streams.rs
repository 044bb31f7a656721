//! Streams through bytes: subscribe, publish, routes, pings, limits; and the same seed, the same bytes.
//!
//! Owns:  claims about market streams and their connection rules.

use super::*;

fn keys(value: &Value) -> String {
    value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(",")
}

#[test]
fn a_spot_socket_subscribes_hears_quotes_and_unsubscribes() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWs, "/ws");
    socket
        .say(&mut world, r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","nothing@at@all"],"id":1}"#);
    assert_eq!(socket.hear(&mut world, true), [r#"{"result":null,"id":1}"#]);
    world.run(SECOND);
    let quotes = socket.read(&mut world);
    assert!((10..40).contains(&quotes.len()), "{} quotes in a second", quotes.len());
    assert!(quotes.iter().all(|q| keys(q) == "u,s,b,B,a,A" && q["s"] == "BTCUSDT"));
    assert!(quotes.windows(2).all(|w| w[0]["u"].as_u64() < w[1]["u"].as_u64()));
    socket.say(&mut world, r#"{"method":"LIST_SUBSCRIPTIONS","id":"a"}"#);
    assert_eq!(
        socket.hear(&mut world, true),
        [r#"{"result":["btcusdt@bookTicker","nothing@at@all"],"id":"a"}"#]
    );
    world.run(SECOND);
    socket.read(&mut world);
    socket.say(&mut world, r#"{"method":"SET_PROPERTY","params":["combined",true],"id":4}"#);
    world.run(200 * MS);
    assert_eq!(keys(&socket.read(&mut world)[1]), "stream,data");
    socket.say(&mut world, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":5}"#);
    assert_eq!(socket.read(&mut world).len(), 1);
    world.run(SECOND);
    assert_eq!(socket.read(&mut world).len(), 0);
    socket.say(&mut world, "{");
    assert_eq!(socket.read(&mut world)[0]["code"], 3);
    socket.say(&mut world, r#"{"id":1}"#);
    assert_eq!(socket.read(&mut world)[0]["code"], 2);
}

#[test]
fn usdm_events_have_the_order_seen_live_and_travel_on_their_route_only() {
    let mut world = World::new();
    let streams =
        "btcusdt@bookTicker/btcusdt@markPrice@1s/!markPrice@arr@1s/btcusdt@depth@100ms/btcusdt@depth5@100ms";
    let mut public = world.socket(Door::UsdmWs, &format!("/public/stream?streams={streams}"));
    let mut market = world.socket(Door::UsdmWs, &format!("/market/stream?streams={streams}"));
    let mut unrouted = world.socket(Door::UsdmWs, &format!("/stream?streams={streams}"));
    let mut private = world.socket(Door::UsdmWs, &format!("/private/stream?streams={streams}"));
    world.run(2 * SECOND);
    let of = |frames: &[Value], name: &str| -> Vec<Value> {
        frames.iter().filter(|f| f["stream"] == name).map(|f| f["data"].clone()).collect()
    };
    let heard = public.read(&mut world);
    assert_eq!(heard, unrouted.read(&mut world));
    assert_eq!(keys(&of(&heard, "btcusdt@bookTicker")[0]), "e,u,s,ps,b,B,a,A,T,E,st");
    let diffs = of(&heard, "btcusdt@depth@100ms");
    assert_eq!(keys(&diffs[0]), "e,E,T,s,ps,U,u,pu,b,a,st");
    assert!(diffs.windows(2).all(|w| w[0]["u"] == w[1]["pu"]), "pu is the u before");
    assert_eq!(of(&heard, "btcusdt@depth5@100ms")[0]["b"].as_array().map(Vec::len), Some(5));
    assert!(of(&heard, "btcusdt@markPrice@1s").is_empty());
    let heard = market.read(&mut world);
    assert!(of(&heard, "btcusdt@bookTicker").is_empty());
    let marks = of(&heard, "btcusdt@markPrice@1s");
    assert_eq!((marks.len(), keys(&marks[0]).as_str()), (2, "e,E,s,p,ap,P,i,r,T,st"));
    let all = of(&heard, "!markPrice@arr@1s");
    let rows: Vec<&Value> = all.iter().flat_map(|m| m.as_array().unwrap()).collect();
    assert!(rows.iter().any(|r| r["st"] == 2), "COIN-M rows are mixed in");
    assert!(rows.iter().any(|r| r["s"] == "BTCUSDT_271231" && r["r"] == "" && r["T"] == 0));
    assert!(private.read(&mut world).is_empty());
}

#[test]
fn a_book_kept_from_diffs_equals_the_book_that_rest_tells() {
    use std::collections::BTreeMap;
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWs, "/ws/solusdt@depth@100ms");
    world.run(250 * MS);
    let depth = |world: &mut World| world.get(Market::Spot, "/api/v3/depth?symbol=SOLUSDT&limit=5000").json;
    let snapshot = depth(&mut world);
    let last = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut sides: [BTreeMap<String, String>; 2] = Default::default();
    let apply = |sides: &mut [BTreeMap<String, String>; 2], message: &Value, names: [&str; 2]| {
        for (side, name) in sides.iter_mut().zip(names) {
            for level in message[name].as_array().unwrap() {
                let (price, qty) = (level[0].as_str().unwrap(), level[1].as_str().unwrap());
                if qty == "0.00000000" {
                    side.remove(price);
                } else {
                    side.insert(price.into(), qty.into());
                }
            }
        }
    };
    apply(&mut sides, &snapshot, ["bids", "asks"]);
    // Run until the instant of an event, so that REST and stream show the same moment.
    let (mut seen, mut previous) = (last, None);
    for _ in 0..40 {
        world.run(50 * MS);
        for event in socket.read(&mut world) {
            let (first, u) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
            assert!(previous.is_none_or(|p| first == p + 1), "a gap");
            previous = Some(u);
            if u > last {
                apply(&mut sides, &event, ["b", "a"]);
                seen = u;
            }
        }
        let now = depth(&mut world);
        if now["lastUpdateId"].as_u64() == Some(seen) {
            let mut told: [BTreeMap<String, String>; 2] = Default::default();
            apply(&mut told, &now, ["bids", "asks"]);
            assert_eq!(sides, told);
        }
    }
    assert!(seen > last);
}

#[test]
fn a_socket_that_owes_a_pong_is_closed_and_one_that_answers_stays() {
    let mut world = World::new();
    let mut deaf = world.socket(Door::SpotWs, "/ws");
    let mut good = world.socket(Door::SpotWs, "/ws");
    for _ in 0..81 {
        world.run(SECOND);
        deaf.hear(&mut world, false);
        good.hear(&mut world, true);
    }
    assert!(deaf.closed && !good.closed);
}

#[test]
fn a_client_that_talks_too_much_is_closed() {
    let mut world = World::new();
    for (door, path, most) in [(Door::SpotWs, "/ws", 5), (Door::UsdmWs, "/public/ws", 10)] {
        let mut socket = world.socket(door, path);
        for _ in 0..most {
            socket.ping(&mut world);
        }
        socket.hear(&mut world, false);
        assert!(!socket.closed, "{most} are allowed");
        socket.ping(&mut world);
        socket.hear(&mut world, false);
        assert!(socket.closed);
    }
}

#[test]
fn frames_that_follow_the_upgrade_in_one_piece_are_not_lost() {
    let mut world = World::new();
    let conn = world.exchange.open(Door::SpotWs, START);
    let mut bytes = b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    // A masked text frame, mask zero.
    let text = br#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#;
    bytes.extend([0x81, 0x80 | text.len() as u8, 0, 0, 0, 0]);
    bytes.extend(text);
    let told = |cut: usize| {
        let mut world = World::new();
        let conn = world.exchange.open(Door::SpotWs, START);
        world.exchange.receive(conn, &bytes[..cut], START);
        world.exchange.receive(conn, &bytes[cut..], START);
        let mut out = Vec::new();
        assert!(!world.exchange.take_output(conn, &mut out));
        out
    };
    world.exchange.receive(conn, &bytes, START);
    assert_eq!(world.exchange.next_dirty(), Some(conn));
    let mut out = Vec::new();
    world.exchange.take_output(conn, &mut out);
    assert!(String::from_utf8_lossy(&out).ends_with(r#"{"result":["btcusdt@trade"],"id":3}"#));
    for cut in 0..=bytes.len() {
        assert_eq!(told(cut), out, "cut at {cut}");
    }
}

#[test]
fn a_client_that_says_goodbye_is_answered_and_let_go() {
    let mut world = World::new();
    let socket = world.socket(Door::SpotWs, "/ws/btcusdt@bookTicker");
    world.exchange.receive(socket.conn, &[0x88, 0x80, 0, 0, 0, 0], world.now);
    let mut out = Vec::new();
    assert!(world.exchange.take_output(socket.conn, &mut out));
    assert_eq!(out, [0x88, 0]);
    world.exchange.closed(socket.conn, world.now);
    world.run(SECOND);
    assert_eq!(world.exchange.next_dirty(), None);
}

#[test]
fn what_is_no_upgrade_is_refused() {
    let mut world = World::new();
    for (door, request, status) in [
        (Door::SpotWs, "GET /nowhere HTTP/1.1\r\nHost: b\r\n\r\n", 404),
        (Door::SpotWs, "GET /ws HTTP/1.1\r\nHost: b\r\n\r\n", 426),
        (Door::UsdmWsApi, "GET /ws-api/v3 HTTP/1.1\r\nHost: b\r\n\r\n", 404),
        (
            Door::UsdmWs,
            "GET /public/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
            400,
        ),
    ] {
        let conn = world.exchange.open(door, world.now);
        world.exchange.receive(conn, request.as_bytes(), world.now);
        let mut out = Vec::new();
        assert!(world.exchange.take_output(conn, &mut out));
        assert_eq!(answers(&out)[0].status, status, "{request}");
    }
}

#[test]
fn the_websocket_api_answers_time_and_refuses_what_it_does_not_know() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWsApi, "/ws-api/v3");
    socket.say(&mut world, r#"{"id":"a","method":"time"}"#);
    assert_eq!(socket.read(&mut world)[0]["result"]["serverTime"], START / MS);
    socket.say(&mut world, r#"{"id":7,"method":"order.place","params":{}}"#);
    let refused = &socket.read(&mut world)[0];
    assert_eq!((&refused["id"], &refused["status"]), (&7.into(), &400.into()));
    assert!(refused["error"]["code"].is_i64());
}

#[test]
fn own_fills_appear_on_the_trade_streams() {
    let mut world = World::new();
    let mut socket = world.socket(Door::SpotWs, "/ws/ethusdt@trade/ethusdt@aggTrade");
    world.order(Market::Spot, "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.0100");
    let heard = socket.read(&mut world);
    assert_eq!(keys(&heard[0]), "e,E,s,t,p,q,T,m,M");
    assert_eq!(keys(&heard[1]), "e,E,s,a,p,q,f,l,T,m,M");
    assert_eq!(heard[0]["m"], false, "the buyer took");
}

/// Everything a session's clients hear, for one seed.
fn session(seed: u64) -> Vec<u8> {
    let mut world = World::with(Config { seed, ..Config::default() });
    let mut out = Vec::new();
    let socket = world
        .socket(Door::UsdmWs, "/public/ws/btcusdt@bookTicker/1000pepeusdt@bookTicker/solusdt@depth@100ms");
    for step in 0..20 {
        world.run(100 * MS);
        if step % 5 == 0 {
            out.extend(
                world
                    .order(Market::Usdm, "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=3")
                    .body
                    .into_bytes(),
            );
        }
        while let Some(conn) = world.exchange.next_dirty() {
            world.exchange.take_output(conn, &mut out);
        }
    }
    assert!(!socket.closed);
    out.extend(world.truth().to_string().into_bytes());
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let hash = |bytes: &[u8]| ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec();
    assert_eq!(hash(&session(11)), hash(&session(11)));
    assert_ne!(hash(&session(11)), hash(&session(12)));
}
