//! Claims about the private streams' words.
//!
//! Owns:  every fixture told as a line, and every field of it spoilt.

use super::*;
use crate::venue::sample::{fixture, instrument, instruments};
use proptest::prelude::*;
use serde_json::{Value, json};

const OURS: &str = "5782622041802803840";

fn symbols() -> Symbols {
    let row = |leg, symbol, price, qty| instrument(leg, symbol, price, qty);
    let all = instruments(vec![
        row(LegKind::Spot, "ETHUSDT", 2, 5),
        row(LegKind::Spot, "LTCBNB", 2, 5),
        row(LegKind::Spot, "ETHBTC", 8, 5),
        row(LegKind::Perp, "BTCUSDT", 2, 3),
        row(LegKind::Perp, "ETHUSDT", 2, 3),
    ]);
    Symbols::new(&all, all.instruments[0].venue)
}

fn said(leg: LegKind, message: &[u8]) -> Result<UserHeard, Unreadable> {
    decode(&mut Scratch::new(), &symbols(), leg, message)
}

/// A fixture's messages, one a line or one in all.
fn messages(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/binance/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    match name.ends_with("l") {
        true => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        false => vec![serde_json::from_str(&text).unwrap()],
    }
}

/// The object that names the order.
fn inner(message: &mut Value) -> &mut Value {
    let key = ["event", "data", "o"].into_iter().find(|key| message[*key].is_object());
    match key {
        Some(key) => &mut message[key],
        None => message,
    }
}

fn line(heard: Result<UserHeard, Unreadable>) -> String {
    match heard {
        Ok(UserHeard::Order { instrument, order_id, verdict, fill, .. }) => {
            let fill = fill.map_or_else(String::new, |fill| {
                let Fill { trade_id, side, price, qty, fee, fee_asset, .. } = fill;
                format!(", trade {trade_id}: {side} {} at {}, fee {fee} {fee_asset}", qty.0, price.0)
            });
            let verdict = match verdict {
                Verdict::Terminal { executed } => format!("terminal {}", executed.0),
                Verdict::Open { executed } => format!("open {}", executed.0),
                other => format!("{other:?}"),
            };
            format!("#{} {order_id} {verdict}{fill}", instrument.0)
        }
        Ok(UserHeard::Trade { instrument, order_id, trade_id, qty, .. }) => {
            format!("#{} {order_id} trade {trade_id} of {}, no fee", instrument.0, qty.0)
        }
        Ok(UserHeard::Foreign { instrument }) => format!("foreign {:?}", instrument.map(|id| id.0)),
        Ok(UserHeard::System { what, fill, .. }) => {
            let fill = fill.map(|fill| {
                assert_eq!(fill.client, ClientId::default(), "nobody's order");
                format!(", trade {}: {} {} at {}", fill.trade_id, fill.side, fill.qty.0, fill.price.0)
            });
            format!("{}{}", what.text(), fill.unwrap_or_default())
        }
        Ok(UserHeard::Account) => "account".to_owned(),
        Ok(UserHeard::Moved { asset }) => format!("moved {}", asset.map_or("?".into(), |it| it.to_string())),
        Ok(UserHeard::Paid) => "paid".to_owned(),
        Ok(UserHeard::Confirmed) => "confirmed".to_owned(),
        Ok(UserHeard::Rejected { code, retry_after_s }) => {
            let wait = retry_after_s.map(|seconds| format!(", wait {seconds} s"));
            format!("rejected {code}{}", wait.unwrap_or_default())
        }
        Ok(UserHeard::Ended) => "ended".to_owned(),
        Ok(UserHeard::Unknown) => "unknown".to_owned(),
        Err(error) => format!("{error}"),
    }
}

/// As it is, and with an id of ours in it.
#[track_caller]
fn check(leg: LegKind, name: &str, foreign: &[&str], ours: &[&str]) {
    let read = |message: &Value| line(said(leg, message.to_string().as_bytes()));
    let all = messages(name);
    assert_eq!(all.iter().map(read).collect::<Vec<_>>(), foreign, "{name}");
    let mut renamed = all;
    for message in &mut renamed {
        inner(message)["c"] = json!(OURS);
    }
    assert_eq!(renamed.iter().map(read).collect::<Vec<_>>(), ours, "{name}, ours");
}

#[test]
fn every_spot_event_is_read() {
    use LegKind::Spot;
    let fill = "#0 12345678 terminal 100000, trade 98765432: buy 100000 at 250000, fee 0.001 ETH";
    check(Spot, "spot_user_execution_report_trade_filled.json", &["foreign Some(0)"], &[fill]);
    let cancel = "#0 9876543210 terminal 10000";
    check(Spot, "spot_user_execution_report_canceled_combined.json", &["foreign Some(0)"], &[cancel]);
    check(Spot, "spot_user_execution_report_new.json", &["foreign Some(2)"], &["#2 4293153 open 0"]);
    check(
        Spot,
        "spot_user_market_order_partial_then_expired_sequence.jsonl",
        &["foreign Some(1)", "foreign Some(1)", "foreign Some(1)", "foreign Some(1)", "account"],
        &[
            "#1 32 open 0",
            "#1 32 open 200000, trade 7: buy 200000 at 100, fee 0.001 BNB",
            "#1 32 open 400000, trade 8: buy 200000 at 100, fee 0.001 BNB",
            "#1 32 terminal 400000",
            "account",
        ],
    );
    check(Spot, "spot_user_balance_update.json", &["moved BTC"], &["moved BTC"]);
    for name in ["external_lock_update", "outbound_account_position"] {
        check(Spot, &format!("spot_user_{name}.json"), &["account"], &["account"]);
    }
    check(Spot, "spot_user_list_status.json", &["unknown"], &["unknown"]);
    check(Spot, "spot_user_event_stream_terminated.json", &["ended"], &["ended"]);
    let read = |name| line(said(Spot, &fixture(name)));
    assert_eq!(read("spot_wsapi_user_data_subscribe_response.json"), "confirmed");
    assert_eq!(read("spot_wsapi_error_response.json"), "rejected -2010");
    assert_eq!(read("spot_wsapi_session_revoked.json"), "rejected -2015");
    // 1659146400000 - 1659142907531 ms: a ban is as long as the venue says, and no guess of ours.
    assert_eq!(read("spot_wsapi_error_418.json"), "rejected -1003, wait 3493 s");
}

#[test]
fn every_usdm_event_is_read() {
    use LegKind::Perp;
    let update = |name| format!("futures_user_order_trade_update_{name}");
    check(
        Perp,
        &update("adl.json"),
        &["an auto-deleveraging, trade 12346001: buy 5 at 4200000"],
        &["#3 8887001 open 5, trade 12346001: buy 5 at 4200000, fee 0.105 USDT"],
    );
    check(
        Perp,
        &update("liquidation.json"),
        &["a liquidation, trade 12345999: sell 14 at 991012"],
        &["#3 8886999 terminal 14, trade 12345999: sell 14 at 991012, fee 0.06937084 USDT"],
    );
    check(Perp, &update("documented.json"), &["foreign Some(3)"], &["#3 8886774 open 0"]);
    let partial = "#3 8886774 open 1, trade 12345678: buy 1 at 710050, fee 0.01 USDT";
    check(Perp, &update("partial_fill.json"), &["foreign Some(3)"], &[partial]);
    check(
        Perp,
        &update("market_sequence.jsonl"),
        &["foreign Some(3)"; 5].into_iter().chain(["account"]).collect::<Vec<_>>(),
        &[
            "#3 8886775 open 0",
            "#3 8886775 trade 109100866 of 6, no fee",
            "#3 8886775 open 6, trade 109100866: sell 6 at 7691490, fee 0.2307447 USDT",
            "#3 8886775 trade 109100867 of 4, no fee",
            "#3 8886775 terminal 10, trade 109100867: sell 4 at 7691480, fee 0.1538296 USDT",
            "account",
        ],
    );
    let odd = "private event: message refused at field `l`: of the wrong type";
    check(Perp, "futures_user_trade_lite.json", &["foreign Some(3)"], &[odd]);
    let lite = "#4 8389765739703625592 trade 4467432841 of 37, no fee";
    check(Perp, "futures_user_trade_lite_recorded.json", &["foreign Some(4)"], &[lite]);
    check(Perp, "futures_user_account_update_funding_fee.json", &["paid"], &["paid"]);
    for name in ["account_update.json", "margin_call.json"] {
        check(Perp, &format!("futures_user_{name}"), &["account"], &["account"]);
    }
    check(Perp, "futures_user_account_config_update.jsonl", &["account"; 2], &["account"; 2]);
    check(Perp, "futures_user_listen_key_expired.json", &["ended"], &["ended"]);
}

#[test]
fn a_cancelled_spot_order_is_named_by_its_own_id_and_not_by_the_cancels() {
    let mut message = messages("spot_user_execution_report_canceled_combined.json").remove(0);
    inner(&mut message)["C"] = json!(OURS);
    let Ok(UserHeard::Order { client, verdict, .. }) = said(LegKind::Spot, message.to_string().as_bytes())
    else {
        panic!("not read");
    };
    assert_eq!((client.to_string().as_str(), verdict), (OURS, Verdict::Terminal { executed: Qty(10_000) }));
}

#[test]
fn a_trade_whose_fee_is_not_told_makes_no_fill() {
    for (leg, name) in [
        (LegKind::Perp, "futures_user_order_trade_update_partial_fill.json"),
        (LegKind::Spot, "spot_user_execution_report_trade_filled.json"),
    ] {
        for spoil in [json!(null), json!(2), json!("a name far too long for any asset there is")] {
            let mut message = messages(name).remove(0);
            let order = inner(&mut message);
            (order["c"], order["N"]) = (json!(OURS), spoil.clone());
            let heard = said(leg, message.to_string().as_bytes());
            assert!(!matches!(heard, Ok(UserHeard::Order { fill: Some(_), .. })), "{name} {spoil}");
            assert_eq!(heard.is_ok(), spoil.is_null(), "{name} {spoil}");
        }
    }
}

#[test]
fn each_market_is_opened_its_own_way() {
    let key = Key::new("public".to_owned(), "secret".to_owned());
    let at = Unix::from_ms(1_747_385_641_636).unwrap();
    assert_eq!(path(LegKind::Spot, ""), "/ws-api/v3?returnRateLimits=false");
    let frames = subscribe(LegKind::Spot, &key, at);
    let frame: Value = serde_json::from_str(&frames[0]).unwrap();
    let signature = key.sign(b"apiKey=public&timestamp=1747385641636").in_json();
    assert_eq!(frame["method"], "userDataStream.subscribe.signature");
    assert_eq!(frame["params"]["timestamp"], 1_747_385_641_636_u64);
    assert_eq!(frame["params"]["signature"], signature);
    assert_eq!(ticket(LegKind::Spot, &key, false), None);

    assert_eq!(subscribe(LegKind::Perp, &key, at), Vec::<String>::new());
    assert_eq!(
        format!("{:?}", ticket(LegKind::Perp, &key, false).unwrap()),
        "POST usdm_rest/fapi/v1/listenKey (weight 1)"
    );
    assert_eq!(
        format!("{:?}", ticket(LegKind::Perp, &key, true).unwrap()),
        "PUT usdm_rest/fapi/v1/listenKey (weight 1)"
    );
    let ticket = read_ticket(&mut fixture("futures_rest_listen_key.json")).unwrap();
    assert_eq!(path(LegKind::Perp, &ticket), format!("/private/ws/{ticket}"));
    let sly = read_ticket(&mut b"{\"listenKey\":\"a HTTP/1.1\\r\\nX: y\"}".to_vec());
    assert_eq!(sly, Err(BadBody::Field("listenKey")));
    let gone = read_ticket(&mut b"{\"code\":-1125,\"msg\":\"This listenKey does not exist.\"}".to_vec());
    assert!(matches!(gone, Err(BadBody::Code { code: -1125, .. })));
}

/// What takes the place of a field's value.
fn spoils() -> Vec<Option<Value>> {
    let odd =
        ["", "-1", "1e3", "NaN", "0x10", "1.", "99999999999999999999", "0.0000000000000000001", "\u{0}"];
    let mut all: Vec<Option<Value>> = odd.into_iter().map(|text| Some(json!(text))).collect();
    all.extend([json!(null), json!(true), json!([]), json!({}), json!(-7), json!(0)].map(Some));
    all.push(None);
    all
}

/// F43: whatever one field turns into, what comes out is the same fill, no fill, or a refusal.
#[test]
fn a_spoilt_field_never_makes_another_fill() {
    let mut spoilt = 0;
    for (leg, name) in [
        (LegKind::Spot, "spot_user_execution_report_trade_filled.json"),
        (LegKind::Spot, "spot_user_market_order_partial_then_expired_sequence.jsonl"),
        (LegKind::Perp, "futures_user_order_trade_update_partial_fill.json"),
        (LegKind::Perp, "futures_user_order_trade_update_market_sequence.jsonl"),
    ] {
        for mut message in messages(name) {
            inner(&mut message)["c"] = json!(OURS);
            let Ok(UserHeard::Order { fill, verdict, .. }) = said(leg, message.to_string().as_bytes()) else {
                continue;
            };
            let keys: Vec<String> = inner(&mut message).as_object().unwrap().keys().cloned().collect();
            for key in keys {
                for spoil in spoils() {
                    let mut message = message.clone();
                    let order = inner(&mut message).as_object_mut().unwrap();
                    match &spoil {
                        Some(value) => _ = order.insert(key.clone(), value.clone()),
                        None => _ = order.remove(&key),
                    }
                    spoilt += 1;
                    let Ok(UserHeard::Order { fill: now, verdict: then, .. }) =
                        said(leg, message.to_string().as_bytes())
                    else {
                        continue;
                    };
                    // Another small fee, or another coin's name, can't be told from the true one.
                    let text = spoil.as_ref().and_then(Value::as_str).unwrap_or_default();
                    let plain = key == "n" && text == "-1" || key == "N" && text.parse::<Asset>().is_ok();
                    assert!(now.is_none() || now == fill || plain, "{name} {key} {spoil:?}: {now:?}");
                    let less = matches!((verdict, then), (_, Verdict::Open { .. }));
                    assert!(then == verdict || less, "{name} {key} {spoil:?}: {then:?}");
                }
            }
        }
    }
    assert!(spoilt > 3_000, "{spoilt}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Bytes cut, changed or doubled anywhere: no panic, and never a fill that was not there.
    #[test]
    fn spoilt_bytes_never_make_a_fill_of_another_order(cut in 0usize..700, at in 0usize..700, byte: u8) {
        let mut message = messages("futures_user_order_trade_update_partial_fill.json").remove(0);
        inner(&mut message)["c"] = json!(OURS);
        let mut bytes = message.to_string().into_bytes();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(bytes.len().max(1) - cut % 3 * (cut % bytes.len()) / 2);
        if let Ok(UserHeard::Order { fill: Some(fill), .. }) = said(LegKind::Perp, &bytes) {
            prop_assert!(fill.qty.0 > 0 && fill.price.0 > 0 && fill.trade_id > 0);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for leg in LegKind::BOTH {
            let _ = said(leg, &bytes);
        }
    }
}
