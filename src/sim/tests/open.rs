//! Bybit, OKX and Bitget as anybody sees them: answers and events shaped as their documents', budgets, keep-alive.
//!
//! Owns:  claims about the three public dialects.
//! Map:   a shape is compared with the documents' own samples: every field of a sample is in our row.

use super::*;

const VENUES: [Venue; 3] = [Venue::Bybit, Venue::Okx, Venue::Bitget];

fn world(venue: Venue) -> World {
    World::with(Config { venue, ..Config::default() })
}

fn ask(world: &mut World, target: &str) -> Answer {
    world.get(Market::Usdm, target)
}

fn sample(venue: Venue, name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{}/{name}.json", env!("CARGO_MANIFEST_DIR"), venue.name());
    serde_json::from_str(&std::fs::read_to_string(path).expect("a sample")).expect("JSON")
}

/// What of a sample is not in ours, or is of another kind there. Of lists the first row counts.
fn lacks(ours: &Value, sample: &Value, at: &str, out: &mut Vec<String>) {
    match (ours, sample) {
        (Value::Object(ours), Value::Object(sample)) => {
            for (name, value) in sample {
                match ours.get(name) {
                    Some(own) => lacks(own, value, &format!("{at}.{name}"), out),
                    None => out.push(format!("{at}.{name} is not there")),
                }
            }
        }
        (Value::Array(ours), Value::Array(sample)) => {
            if let (Some(own), Some(value)) = (ours.first(), sample.first()) {
                lacks(own, value, &format!("{at}[]"), out);
            } else if ours.is_empty() && !sample.is_empty() {
                out.push(format!("{at} is empty"));
            }
        }
        _ if std::mem::discriminant(ours) == std::mem::discriminant(sample) => {}
        _ => out.push(format!("{at} is {ours}, not as {sample}")),
    }
}

#[track_caller]
fn shaped(ours: &Value, venue: Venue, name: &str) {
    let mut out = Vec::new();
    lacks(ours, &sample(venue, name), "", &mut out);
    assert!(out.is_empty(), "{} {name}: {out:#?}\n{ours:#}", venue.name());
}

#[test]
fn answers_have_every_field_of_the_documents_samples() {
    for (venue, target, name) in [
        (Venue::Bybit, "/v5/market/time", "rest_server_time"),
        (Venue::Bybit, "/v5/market/instruments-info?category=spot", "rest_instruments_spot"),
        (Venue::Bybit, "/v5/market/instruments-info?category=linear", "rest_instruments_linear"),
        (Venue::Bybit, "/v5/market/tickers?category=spot", "rest_tickers_spot"),
        (Venue::Bybit, "/v5/market/tickers?category=linear", "rest_tickers_linear_shape_inverse"),
        (Venue::Bybit, "/v5/market/funding/history?category=linear&symbol=BTCUSDT", "rest_funding_history"),
        (Venue::Okx, "/api/v5/public/time", "rest_server_time"),
        (Venue::Okx, "/api/v5/market/tickers?instType=SWAP", "rest_tickers"),
        (Venue::Okx, "/api/v5/public/mark-price?instType=SWAP", "rest_mark_price"),
        (Venue::Okx, "/api/v5/public/funding-rate?instId=ANY", "rest_funding_rate"),
        (Venue::Okx, "/api/v5/public/funding-rate-history?instId=BTC-USDT-SWAP", "rest_funding_rate_history"),
        (Venue::Bitget, "/api/v2/public/time", "rest_v2_server_time"),
        (Venue::Bitget, "/api/v3/market/instruments?category=SPOT", "rest_uta_instruments_spot"),
        (Venue::Bitget, "/api/v3/market/instruments?category=USDT-FUTURES", "rest_uta_instruments_futures"),
        (Venue::Bitget, "/api/v3/market/tickers?category=SPOT", "rest_uta_tickers_spot"),
        (Venue::Bitget, "/api/v3/market/tickers?category=USDT-FUTURES", "rest_uta_tickers_futures"),
        (Venue::Bitget, "/api/v3/market/current-fund-rate?symbol=BTCUSDT", "rest_uta_current_funding"),
        (
            Venue::Bitget,
            "/api/v3/market/history-fund-rate?category=USDT-FUTURES&symbol=BTCUSDT",
            "rest_uta_funding_history",
        ),
    ] {
        let answer = ask(&mut world(venue), target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        shaped(&answer.json, venue, name);
    }
    // What OKX's rows hold and its samples of one kind do not: the fields a reader needs, of either kind.
    for (kind, name, lot) in [("SPOT", "BTC-USDT", "0.00001"), ("SWAP", "BTC-USDT-SWAP", "0.1")] {
        let rows = ask(&mut world(Venue::Okx), &format!("/api/v5/public/instruments?instType={kind}")).json;
        let row = rows["data"].as_array().unwrap().iter().find(|row| row["instId"] == name).unwrap().clone();
        assert_eq!((row["lotSz"].as_str(), row["state"].as_str()), (Some(lot), Some("live")));
        assert_eq!(row["ctVal"] == "0.01", kind == "SWAP");
    }
}

#[test]
fn refusals_are_each_venues_own() {
    for (venue, target, status, code) in [
        (Venue::Bybit, "/v5/market/tickers", 200, "10001"),
        (Venue::Bybit, "/v5/market/tickers?category=linear&symbol=NONE", 200, "10001"),
        (Venue::Bybit, "/v5/market/funding/history?category=linear&symbol=BTCUSDT&startTime=1", 200, "10001"),
        (Venue::Bybit, "/v5/market/nothing", 404, ""),
        (Venue::Okx, "/api/v5/public/instruments", 400, "50014"),
        (Venue::Okx, "/api/v5/public/instruments?instType=STOCK", 200, "51000"),
        (Venue::Okx, "/api/v5/public/funding-rate?instId=NONE-USDT-SWAP", 200, "51001"),
        (Venue::Okx, "/api/v5/nothing", 404, "404"),
        (Venue::Bitget, "/api/v3/market/tickers?category=spot", 400, "40034"),
        (Venue::Bitget, "/api/v3/market/nothing", 404, "40404"),
    ] {
        let answer = ask(&mut world(venue), target);
        let told = [&answer.json["code"], &answer.json["retCode"]].map(|code| match code {
            Value::String(code) => code.clone(),
            Value::Number(code) => code.to_string(),
            _ => String::new(),
        });
        assert_eq!((answer.status, told.concat().as_str()), (status, code), "{target}: {}", answer.body);
    }
}

#[test]
fn a_wide_listing_has_every_interval_and_pages_where_the_venue_pages() {
    for venue in Venue::ALL.into_iter().skip(1) {
        let mut world = World::with(Config { venue, more_coins: 600, ticks_per_s: 1, ..Config::default() });
        world.run(3 * SECOND);
        let (target, at) = match venue {
            Venue::Bybit => ("/v5/market/tickers?category=linear", "/result/list"),
            Venue::Okx => ("/api/v5/public/funding-rate?instId=ANY", "/data"),
            _ => ("/api/v2/mix/market/current-fund-rate?productType=usdt-futures", "/data"),
        };
        let told = ask(&mut world, target).json;
        let rows = told.pointer(at).and_then(Value::as_array).expect("rows");
        let hours = |row: &Value| {
            let ms = |name: &str| row[name].as_str().and_then(|text| text.parse::<u64>().ok());
            let between = ms("nextFundingTime").zip(ms("fundingTime")).map(|(b, a)| (b - a) / 3_600_000);
            let stated = ["fundingIntervalHour", "fundingRateInterval"].map(ms);
            between.or(stated[0]).or(stated[1])
        };
        let count = |wanted: u64| rows.iter().filter(|row| hours(row) == Some(wanted)).count();
        let counts = [1, 2, 4, 8].map(count);
        assert!(counts.iter().sum::<usize>() >= 612 && counts.iter().all(|n| *n > 50), "{counts:?}");
    }
    let mut world = World::with(Config { venue: Venue::Bybit, more_coins: 600, ..Config::default() });
    let (mut cursor, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let target = format!("/v5/market/instruments-info?category=linear&limit=200{cursor}");
        let page = ask(&mut world, &target).json["result"].take();
        seen.extend(page["list"].as_array().unwrap().iter().map(|row| row["symbol"].to_string()));
        pages += 1;
        match page["nextPageCursor"].as_str() {
            Some("") => break,
            next => cursor = format!("&cursor={}", next.unwrap()),
        }
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((pages, seen.len()), (all.div_ceil(200), all));
}

#[test]
fn a_budget_ends_where_the_page_says_and_the_address_is_sent_away_as_it_says() {
    // Requests let in within one window, the status after it, and that a second later.
    for (venue, target, within, then, later) in [
        (Venue::Bybit, "/v5/market/time", 600, 403, 403),
        (Venue::Okx, "/api/v5/public/time", 10, 429, 200),
        (Venue::Bitget, "/api/v2/public/time", 20, 429, 429),
    ] {
        let mut world = world(venue);
        let mut let_in = 0;
        let refused = loop {
            let answer = ask(&mut world, target);
            if answer.status != 200 || let_in > 700 {
                break answer.status;
            }
            let_in += 1;
        };
        assert_eq!((let_in, refused), (within, then), "{}", venue.name());
        world.run(2 * SECOND);
        assert_eq!(ask(&mut world, target).status, later, "{}", venue.name());
        let name = if venue == Venue::Bybit { "all" } else { target };
        assert!(world.truth()["rates"][name]["peak"].as_u64() >= Some(within + 1));
    }
}

/// A socket, what it says first, and which sample an event is shaped as.
type Talk = (Venue, Door, &'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn streams_acknowledge_then_tell_the_whole_and_go_on() {
    let talks: [Talk; 4] = [
        (
            Venue::Bybit,
            Door::PublicLinear,
            "/v5/public/linear",
            r#"{"req_id":"1","op":"subscribe","args":["orderbook.1.BTCUSDT","tickers.BTCUSDT"]}"#,
            &[
                ("ws_subscribe_ok_linear", "success"),
                ("ws_orderbook1_snapshot", "cts"),
                ("ws_tickers_linear_snapshot", "cs"),
            ],
        ),
        (
            Venue::Bybit,
            Door::PublicSpot,
            "/v5/public/spot",
            r#"{"req_id":"1","op":"subscribe","args":["orderbook.1.BTCUSDT","tickers.BTCUSDT"]}"#,
            &[
                ("ws_subscribe_ok_spot", "success"),
                ("ws_orderbook1_snapshot", "cts"),
                ("ws_tickers_spot", "cs"),
            ],
        ),
        (
            Venue::Okx,
            Door::Public,
            "/ws/v5/public",
            r#"{"id":"1","op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},{"channel":"funding-rate","instId":"BTC-USDT-SWAP"}]}"#,
            &[
                ("ws_subscribe_ok", "event"),
                ("ws_bbo_tbt", "data"),
                ("ws_subscribe_ok", "event"),
                ("ws_funding_rate", "data"),
            ],
        ),
        (
            Venue::Bitget,
            Door::Public,
            "/v3/ws/public",
            r#"{"op":"subscribe","args":[{"instType":"usdt-futures","topic":"books1","symbol":"BTCUSDT"},{"instType":"spot","topic":"ticker","symbol":"BTCUSDT"}]}"#,
            &[
                ("ws_uta_subscribe_ok", "event"),
                ("ws_uta_books1", "data"),
                ("ws_uta_subscribe_ok", "event"),
                ("ws_uta_ticker_spot", "data"),
            ],
        ),
    ];
    for (venue, door, path, say, expected) in talks {
        let mut world = world(venue);
        let mut socket = world.socket(door, path);
        socket.say(&mut world, say);
        let heard = socket.read(&mut world);
        assert_eq!(heard.len(), expected.len(), "{}: {heard:#?}", venue.name());
        for (event, (name, member)) in heard.iter().zip(expected) {
            assert!(event.get(*member).is_some(), "{event:#}");
            shaped(event, venue, name);
        }
        world.run(2 * SECOND);
        let more = socket.read(&mut world);
        assert!(more.len() > 20, "{}: {} events in 2 s", venue.name(), more.len());
    }
}

#[test]
fn a_topic_that_means_nothing_is_refused_in_the_venues_words() {
    for (venue, door, path, say, expected) in [
        (
            Venue::Bybit,
            Door::PublicSpot,
            "/v5/public/spot",
            r#"{"op":"subscribe","args":["invalid.topic.BTCUSDT"]}"#,
            r#""success":false,"ret_msg":"Invalid topic: invalid.topic.BTCUSDT""#,
        ),
        (
            Venue::Okx,
            Door::Public,
            "/ws/v5/public",
            r#"{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"NONE-USDT"}]}"#,
            r#""code":"60018""#,
        ),
        (
            Venue::Bitget,
            Door::Public,
            "/v3/ws/public",
            r#"{"op":"subscribe","args":[{"instType":"usdt-futures","topic":"bookz","symbol":"BTCUSDT"}]}"#,
            r#""code":"30001","msg":"Channel does not exist""#,
        ),
    ] {
        let mut world = world(venue);
        let mut socket = world.socket(door, path);
        socket.say(&mut world, say);
        let heard = socket.hear(&mut world, true);
        assert!(heard.len() == 1 && heard[0].contains(expected), "{heard:?}");
    }
}

#[test]
fn a_socket_that_owes_a_ping_is_closed_and_one_that_pings_is_not() {
    for (venue, door, path, ping, pong, after) in [
        (
            Venue::Bybit,
            Door::PublicLinear,
            "/v5/public/linear",
            r#"{"op":"ping"}"#,
            r#""ret_msg":"pong""#,
            600,
        ),
        (Venue::Okx, Door::Public, "/ws/v5/public", "ping", "pong", 30),
        (Venue::Bitget, Door::Public, "/v3/ws/public", "ping", "pong", 120),
    ] {
        let mut world = world(venue);
        let (mut silent, mut lively) = (world.socket(door, path), world.socket(door, path));
        for _ in 0..5 {
            lively.say(&mut world, ping);
            let heard = lively.hear(&mut world, true);
            assert!(heard.len() == 1 && heard[0].contains(pong), "{heard:?}");
            world.run(after * SECOND / 2 + SECOND);
        }
        silent.hear(&mut world, true);
        lively.hear(&mut world, true);
        assert_eq!((silent.closed, lively.closed), (true, false), "{}", venue.name());
    }
}

#[test]
fn an_answer_can_be_a_page_half_a_body_late_or_any_status() {
    for venue in VENUES {
        let target = match venue {
            Venue::Bybit => "/v5/market/time",
            Venue::Okx => "/api/v5/public/time",
            _ => "/api/v2/public/time",
        };
        let mut world = world(venue);
        let fault = |world: &mut World, text: &str| {
            world.exchange.fault(&serde_json::from_str(text).unwrap()).unwrap();
        };
        fault(&mut world, r#"{"kind":"html"}"#);
        let answer = ask(&mut world, target);
        assert!(answer.status == 200 && answer.body.starts_with("<html>"), "{}", answer.body);
        fault(&mut world, r#"{"kind":"status","status":502,"body":"<html>bad gateway</html>"}"#);
        assert_eq!(ask(&mut world, target).status, 502);
        let request = format!("GET {target} HTTP/1.1\r\nHost: box\r\n\r\n");
        for (order, now, later) in [
            (r#"{"kind":"half"}"#, (true, true), (true, true)),
            (r#"{"kind":"slow","ms":700}"#, (false, false), (true, false)),
        ] {
            fault(&mut world, order);
            let conn = world.exchange.open(Door::Rest, world.now);
            world.exchange.receive(conn, request.as_bytes(), world.now);
            let mut out = Vec::new();
            let closed = world.exchange.take_output(conn, &mut out);
            assert_eq!((!out.is_empty(), closed), now, "{order}");
            if now.1 {
                let text = String::from_utf8(out).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("Content-Length: "))
                    .map_or(0, |n| n.parse().unwrap());
                assert!(body.len() < length, "{text}");
                continue;
            }
            world.run(SECOND);
            let closed = world.exchange.take_output(conn, &mut out);
            assert_eq!((!out.is_empty(), closed), later, "{order}");
        }
    }
}

#[test]
fn a_steady_rate_has_always_been_the_same() {
    let mut world = world(Venue::Bybit);
    let order = r#"{"kind":"funding","symbol":"ETHUSDT","rate":"0.00032","interval_h":8,"steady":true}"#;
    world.exchange.fault(&serde_json::from_str(order).unwrap()).unwrap();
    world.run(60 * SECOND);
    let row = ask(&mut world, "/v5/market/tickers?category=linear&symbol=ETHUSDT").json;
    assert_eq!(row["result"]["list"][0]["fundingRate"], "0.00032");
    let rows = ask(&mut world, "/v5/market/funding/history?category=linear&symbol=ETHUSDT").json;
    let rows = rows["result"]["list"].as_array().unwrap();
    assert!(rows.len() >= 21 && rows.iter().all(|row| row["fundingRate"] == "0.00032"), "{rows:?}");
}
