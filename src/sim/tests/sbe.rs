//! Spot's streams in SBE: who may listen, what is text and what is binary, and that every message is as the page has it.
//!
//! Owns:  a reader of the page's layouts, proven by the page's own samples before it reads the box's messages.

use super::*;
use serde_json::json;

/// The key that opens the door.
fn key() -> String {
    format!("X-MBX-APIKEY: {}\r\n", Config::default().key)
}

/// A cursor over a message.
struct At<'a>(&'a [u8]);

impl At<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("a whole message");
        self.0 = rest;
        *head
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn i8(&mut self) -> i8 {
        i8::from_le_bytes(self.take())
    }

    /// mantissa × 10^exponent, with as many decimals as the exponent says.
    fn decimal(&mut self, exponent: i8) -> String {
        let mantissa = self.i64();
        let places = usize::from((-exponent).unsigned_abs());
        assert!(exponent <= 0 && mantissa >= 0, "a venue sends no such number: {mantissa}e{exponent}");
        let digits = format!("{mantissa:0width$}", width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        if places == 0 { whole.to_owned() } else { format!("{whole}.{part}") }
    }

    fn levels(&mut self, exponents: [i8; 2]) -> Value {
        assert_eq!(self.u16(), 16, "an entry of a depth group");
        let count = self.u16();
        (0..count).map(|_| json!([self.decimal(exponents[0]), self.decimal(exponents[1])])).collect()
    }
}

/// A message in the words of the fixtures.
fn read(message: &[u8]) -> Value {
    let mut at = At(message);
    let [block, template, schema, version] = std::array::from_fn(|_| at.u16());
    let mut told =
        json!({"blockLength": block, "templateId": template, "schemaId": schema, "version": version});
    let begins = at.0.len();
    told["eventTime_us"] = at.i64().into();
    for name in match template {
        10_000 => &["transactTime_us"][..],
        10_003 => &["firstBookUpdateId", "lastBookUpdateId"],
        _ => &["bookUpdateId"],
    } {
        told[name] = at.i64().into();
    }
    let exponents = [at.i8(), at.i8()];
    (told["priceExponent"], told["qtyExponent"]) = (exponents[0].into(), exponents[1].into());
    let [price, qty] = exponents;
    if template == 10_001 {
        for (name, exponent) in [("bidPrice", price), ("bidQty", qty), ("askPrice", price), ("askQty", qty)] {
            told[name] = at.decimal(exponent).into();
        }
    }
    assert_eq!(begins - at.0.len(), usize::from(block), "the block is as long as it says");
    match template {
        10_000 => {
            let (length, count) = (at.u16(), u32::from_le_bytes(at.take()));
            assert_eq!(length, 25, "an entry of the trades group");
            told["group"] = json!({"blockLength": length, "numInGroup": count});
            let trade = |at: &mut At<'_>| {
                let id = at.i64();
                let (price, qty) = (at.decimal(price), at.decimal(qty));
                json!({"id": id, "price": price, "qty": qty, "isBuyerMaker": at.take::<1>()[0] == 1})
            };
            told["trades"] = (0..count).map(|_| trade(&mut at)).collect();
        }
        10_002 | 10_003 => {
            told["bids"] = at.levels(exponents);
            told["asks"] = at.levels(exponents);
        }
        _ => {}
    }
    let length = usize::from(at.take::<1>()[0]);
    assert_eq!(at.0.len(), length, "the symbol is the last of it");
    told["symbol"] = std::str::from_utf8(at.0).expect("UTF-8").into();
    told
}

#[test]
fn the_reader_of_these_tests_reads_the_pages_samples() {
    for name in ["best_bid_ask", "depth_diff", "depth_snapshot", "trades"] {
        let path = format!("{}/tests/fixtures/binance/spot_sbe_{name}.json", env!("CARGO_MANIFEST_DIR"));
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let hex = sample["hex"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        let told = read(&bytes);
        for (field, value) in sample["decoded"].as_object().unwrap() {
            assert_eq!(&told[field], value, "{name}: {field} of {told}");
        }
    }
}

#[test]
fn without_a_key_of_its_kind_nobody_listens() {
    let bad = [(true, String::new()), (true, "X-MBX-APIKEY: another\r\n".to_owned()), (false, key())];
    for (ed25519, headers) in bad {
        let mut world = if ed25519 { World::of_ed25519() } else { World::new() };
        let conn = world.exchange.open(Door::SpotSbe, world.now);
        let request = format!(
            "GET /stream HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        world.exchange.receive(conn, request.as_bytes(), world.now);
        let mut out = Vec::new();
        assert!(world.exchange.take_output(conn, &mut out), "the connection ends");
        assert!(String::from_utf8_lossy(&out).starts_with("HTTP/1.1 401"));
    }
    World::of_ed25519().keyed_socket(Door::SpotSbe, "/ws/btcusdt@bestBidAsk", &key());
}

#[test]
fn answers_are_text_quotes_are_binary_and_both_markets_of_form_tell_the_same() {
    let mut world = World::of_ed25519();
    let mut text = world.socket(Door::SpotWs, "/ws/btcusdt@bookTicker");
    let mut raw = world.keyed_socket(Door::SpotSbe, "/ws/btcusdt@bestBidAsk", &key());
    let mut combined = world.keyed_socket(Door::SpotSbe, "/stream", &key());
    let names = r#"["btcusdt@bestBidAsk","btcusdt@bookTicker","nothing@bestBidAsk"]"#;
    combined.say(&mut world, &format!(r#"{{"method":"SUBSCRIBE","params":{names},"id":1}}"#));
    assert_eq!(combined.hear(&mut world, true), [r#"{"result":null,"id":1}"#]);
    world.run(SECOND);
    let quotes = text.read(&mut world);
    assert!(raw.hear(&mut world, true).is_empty() && combined.hear(&mut world, true).is_empty());
    assert_eq!(raw.binary, combined.binary, "no wrapper: the message names its symbol");
    assert!((10..40).contains(&quotes.len()) && raw.binary.len() == quotes.len());
    let mut exponents = std::collections::BTreeSet::new();
    for (quote, bytes) in quotes.iter().zip(&raw.binary) {
        let told = read(bytes);
        assert_eq!((&told["symbol"], &told["bookUpdateId"]), (&quote["s"], &quote["u"]));
        for (name, field) in [("b", "bidPrice"), ("B", "bidQty"), ("a", "askPrice"), ("A", "askQty")] {
            let short = |value: &Value| {
                let text = value.as_str().unwrap();
                if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
                    .to_owned()
            };
            assert_eq!(short(&told[field]), short(&quote[name]), "{told} {quote}");
        }
        exponents.insert([&told["priceExponent"], &told["qtyExponent"]].map(Value::as_i64));
        let (now_us, time) = (world.now / 1_000, told["eventTime_us"].as_u64().unwrap());
        assert!(time <= now_us && now_us - time <= 1_000_000, "microseconds: {time} of {now_us}");
    }
    assert!(exponents.len() > 1, "{exponents:?}: exponents change from one message to the next");
    combined.say(&mut world, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@bestBidAsk"],"id":2}"#);
    combined.hear(&mut world, true);
    combined.binary.clear();
    world.run(SECOND);
    combined.hear(&mut world, true);
    assert!(combined.binary.is_empty());
}

#[test]
fn depth_and_trades_have_the_pages_layout() {
    let mut world = World::of_ed25519();
    let streams = "btcusdt@depth20/btcusdt@depth/btcusdt@trade";
    let mut socket = world.keyed_socket(Door::SpotSbe, &format!("/stream?streams={streams}"), &key());
    world.run(SECOND);
    let buy = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01";
    let order = world.order(Market::Spot, buy).json;
    world.run(100 * MS);
    socket.hear(&mut world, true);
    let told: Vec<Value> = socket.binary.iter().map(|bytes| read(bytes)).collect();
    let of = |template: u64| told.iter().filter(move |it| it["templateId"] == template).collect::<Vec<_>>();
    let [trades, snapshots, diffs] = [10_000, 10_002, 10_003].map(of);
    assert_eq!(trades.len(), order["fills"].as_array().unwrap().len());
    assert_eq!(trades[0]["trades"][0]["isBuyerMaker"], false);
    let sides = ["bids", "asks"];
    assert!(
        snapshots.len() > 5
            && snapshots.iter().all(|it| sides.iter().all(|side| {
                let levels = it[*side].as_array().unwrap().len();
                (1..=20).contains(&levels)
            }))
    );
    assert!(diffs.len() > 5);
    for two in diffs.windows(2) {
        let (last, first) = (&two[0]["lastBookUpdateId"], &two[1]["firstBookUpdateId"]);
        assert_eq!(last.as_u64().unwrap() + 1, first.as_u64().unwrap(), "each begins where the last ended");
    }
}

#[test]
fn its_sockets_are_cut_muted_spoilt_and_shut_as_those_of_text() {
    let mut world = World::of_ed25519();
    let mut socket = world.keyed_socket(Door::SpotSbe, "/stream?streams=btcusdt@bestBidAsk", &key());
    let mut after = |world: &mut World, order: Value| {
        world.exchange.fault(&order).unwrap();
        world.run(300 * MS);
        let texts = socket.hear(world, true);
        (texts, std::mem::take(&mut socket.binary), socket.closed)
    };
    let (_, muted, _) = after(&mut world, json!({"kind": "mute", "stream": "btcusdt@bestBidAsk", "ms": 299}));
    assert!(muted.len() < 2);
    let (_, spoilt, _) = after(&mut world, json!({"kind": "bad_quote", "market": "spot"}));
    let bad = |bytes: &&Vec<u8>| bytes[24].cast_signed() > 0;
    assert_eq!(spoilt.iter().filter(bad).count(), 1);
    let (_, late, _) = after(&mut world, json!({"kind": "late_quote", "market": "spot"}));
    let ids: Vec<u64> = late.iter().map(|bytes| read(bytes)["bookUpdateId"].as_u64().unwrap()).collect();
    assert_eq!(ids.windows(2).filter(|two| two[0] > two[1]).count(), 1, "{ids:?}");
    let (texts, _, closed) =
        after(&mut world, json!({"kind": "maintenance", "market": "spot", "for_ms": 1_000}));
    assert!(closed && texts.len() == 1, "{texts:?}");
    let notice: Value = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(
        (&notice["stream"], &notice["data"]["e"]),
        (&"!serverShutdown".into(), &"serverShutdown".into())
    );
}
