//! Claims about verdicts: the fixtures, every code that FAULTS part 5 lists, and what is not listed.
//!
//! Owns:  claims about judging answers, code by code.

use super::*;
use crate::event::Counted;
use crate::units::Unix;
use crate::venue::sample::{fixture, instrument};
use RefusalKind::{Account, Auth, Band, Filter, Funds, Overload, ReduceOnly, Stamp, State, Throttle};

const OURS: ClientId = ClientId(5_782_622_041_802_803_840);

fn row(leg: LegKind) -> Instrument {
    instrument(leg, "BTCUSDT", 2, if leg == LegKind::Spot { 5 } else { 3 })
}

fn judge(leg: LegKind, status: u16, body: &[u8]) -> (Judged, FillList) {
    let mut fills = FillList::new();
    let reply = Reply { status, counted: Counted::default(), body };
    (read_answer(&reply, &row(leg), OURS, &mut Scratch::new(), &mut fills), fills)
}

#[track_caller]
fn verdict(leg: LegKind, status: u16, body: &str) -> Verdict {
    judge(leg, status, body.as_bytes()).0.verdict
}

fn error(code: i32, text: &str) -> String {
    format!(r#"{{"code":{code},"msg":"{text}"}}"#)
}

#[test]
fn every_listed_spot_code_has_its_class() {
    for (codes, kind) in [
        (vec![-1003, -1015], Throttle),
        ([-1013].into_iter().chain(-1120..=-1100).chain(-1136..=-1123).collect(), Filter),
        (vec![-1121, -1122], State),
        (vec![-1021], Stamp),
        (vec![-1002, -1022, -2014, -2015], Auth),
    ] {
        for code in codes {
            assert_eq!(verdict(LegKind::Spot, 400, &error(code, "any")), refused(code, kind), "{code}");
        }
    }
    for code in [-1000, -1001, -1006, -1007, -1008] {
        assert_eq!(verdict(LegKind::Spot, 400, &error(code, "any")), Verdict::Unknown(Doubt::Code(code)));
    }
    for code in [-2011, -2013] {
        assert_eq!(verdict(LegKind::Spot, 400, &error(code, "any")), Verdict::NotFound);
    }
    for name in ["PERCENT_PRICE_BY_SIDE", "PERCENT_PRICE"] {
        let text = format!("Filter failure: {name}");
        assert_eq!(verdict(LegKind::Spot, 400, &error(-1013, &text)), refused(-1013, Band), "{name}");
    }
    for (text, expected) in [
        ("Duplicate order sent.", Verdict::Duplicate),
        ("Account has insufficient balance for requested action.", refused(-2010, Funds)),
        ("Market is closed.", refused(-2010, State)),
        ("This action is disabled on this account.", refused(-2010, Account)),
        ("Order would immediately match and take.", refused(-2010, Filter)),
        ("", Verdict::Unknown(Doubt::Code(-2010))),
    ] {
        assert_eq!(verdict(LegKind::Spot, 400, &error(-2010, text)), expected, "{text:?}");
    }
}

#[test]
fn every_listed_usdm_code_has_its_class() {
    for (codes, kind) in [
        (vec![-1003, -1015], Throttle),
        (vec![-1008], Overload),
        (vec![-2018, -2019], Funds),
        (vec![-2022], ReduceOnly),
        ((-1120..=-1100).chain(-1136..=-1122).collect(), Filter),
        (vec![-4003, -4004, -4005, -4013, -4014, -4015, -4023, -4061, -4118, -4120], Filter),
        (vec![-4016, -4024, -4131], Band),
        (vec![-4164, -2021, -2027, -2028, -5021, -5022], Filter),
        (vec![-1121, -4108, -4140, -4141], State),
        (vec![-4087, -4088, -4400, -4401], Account),
        (vec![-1021, -5028], Stamp),
        (vec![-1002, -1022, -2014, -2015], Auth),
    ] {
        for code in codes {
            assert_eq!(verdict(LegKind::Perp, 400, &error(code, "any")), refused(code, kind), "{code}");
        }
    }
    for code in [-1000, -1001, -1006, -1007] {
        let text = "Internal error; unable to process your request. Please try again.";
        assert_eq!(verdict(LegKind::Perp, 503, &error(code, text)), Verdict::Unknown(Doubt::Code(code)));
    }
    for code in [-2011, -2013] {
        assert_eq!(verdict(LegKind::Perp, 400, &error(code, "any")), Verdict::NotFound);
    }
    assert_eq!(
        verdict(LegKind::Perp, 400, &error(-4116, "ClientOrderId is duplicated.")),
        Verdict::Duplicate
    );
}

#[test]
fn what_is_not_listed_is_unknown() {
    for leg in LegKind::BOTH {
        for code in [-1, 0, 200, -999, -1004, -1099, -1137, -2026, -4000, -4046, -4059, -4117, -9999] {
            assert_eq!(verdict(leg, 400, &error(code, "any")), Verdict::Unknown(Doubt::Code(code)), "{code}");
        }
        for status in [401, 403, 404, 408, 409, 413, 500, 502, 503, 504] {
            for body in [
                "",
                "<html>Bad gateway</html>",
                "{",
                "{}",
                "[]",
                r#"{"msg":"Unknown error, please check your request or try again later."}"#,
            ] {
                assert_eq!(
                    verdict(leg, status, body),
                    Verdict::Unknown(Doubt::Status(status)),
                    "{status} {body:?}"
                );
            }
        }
        for body in ["", "OK", "{}", "[]", r#"{"code":"x"}"#, r#"{"code":99999999999}"#] {
            assert_eq!(verdict(leg, 200, body), Verdict::Unknown(Doubt::Body), "{body:?}");
        }
        for status in [418, 429] {
            assert_eq!(verdict(leg, status, "<html>"), refused(0, Throttle));
        }
    }
    // The same codes mean a failed cancel-replace on spot.
    for code in [-2021, -2022, -2018, -2019, -4116, -5022, -5028] {
        assert_eq!(verdict(LegKind::Spot, 400, &error(code, "any")), Verdict::Unknown(Doubt::Code(code)));
    }
}

#[test]
fn a_codeless_503_is_a_refusal_only_on_usdm_and_only_with_the_documented_texts() {
    for text in ["Service Unavailable.", "Internal error; unable to process your request. Please try again."]
    {
        let body = format!(r#"{{"msg":"{text}"}}"#);
        assert_eq!(verdict(LegKind::Perp, 503, &body), refused(0, Overload));
        assert_eq!(verdict(LegKind::Spot, 503, &body), Verdict::Unknown(Doubt::Status(503)));
        assert_eq!(verdict(LegKind::Perp, 500, &body), Verdict::Unknown(Doubt::Status(500)));
    }
    assert_eq!(verdict(LegKind::Perp, 503, "Service Unavailable."), Verdict::Unknown(Doubt::Status(503)));
}

/// The page's own outcomes agree with FAULTS part 5, but where a row is not about orders at all.
#[test]
fn every_row_of_the_error_page_agrees() {
    let rows = include_str!("../../../tests/fixtures/binance/errors.jsonl");
    for text in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(text).unwrap();
        let leg = if row["market"] == "spot" { LegKind::Spot } else { LegKind::Perp };
        let status = u16::try_from(row["http_status"].as_u64().unwrap()).unwrap();
        let verdict = verdict(leg, status, &row["body"].to_string());
        let agrees = match row["order_outcome"].as_str().unwrap() {
            "NOT_PLACED" => matches!(verdict, Verdict::Refused(_)),
            "AN_EARLIER_ORDER_WITH_THIS_ID_EXISTS" => verdict == Verdict::Duplicate,
            "UNKNOWN" | "UNKNOWN_TREAT_AS_LIKELY_NOT_PLACED" => matches!(verdict, Verdict::Unknown(_)),
            "CANCEL_HAD_NO_TARGET" | "NOT_FOUND_NOW" => verdict == Verdict::NotFound,
            // Settings calls, which no order makes: not listed there, so unknown as an order's answer.
            "ALREADY_SET" => matches!(verdict, Verdict::Unknown(_)),
            // -1125 lies in the range of malformed requests.
            "RECREATE_LISTEN_KEY" => verdict == refused(-1125, Filter),
            other => panic!("a new outcome: {other}"),
        };
        assert!(agrees, "{text} is judged {verdict:?}");
    }
}

/// An order's answer with fields of our choice.
fn order_row(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut body = serde_json::json!({
        "symbol": "BTCUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": OURS.to_string(),
        "transactTime": 1_772_694_601_700i64, "price": "66700.00000000", "origQty": "0.01000000",
        "executedQty": "0.00700000", "status": "EXPIRED", "timeInForce": "IOC", "type": "LIMIT", "side": "BUY",
        "fills": [
            {"price":"66699.50000000","qty":"0.00500000","commission":"0.00000500","commissionAsset":"BTC","tradeId":56},
            {"price":"66700.00000000","qty":"0.00200000","commission":"0.00000200","commissionAsset":"BTC","tradeId":57},
        ],
    });
    change(&mut body);
    body.to_string()
}

#[test]
fn a_full_answer_gives_its_fills_and_is_terminal() {
    let (judged, fills) = judge(LegKind::Spot, 200, order_row(|_| ()).as_bytes());
    assert_eq!(
        judged,
        Judged { verdict: Verdict::Terminal { executed: Qty(700) }, order_id: 28, client: Some(OURS) }
    );
    let lines: Vec<String> = fills
        .iter()
        .map(|f| {
            format!(
                "{} {:?} {} @ {} fee {} {} at {} {:?}",
                f.trade_id, f.side, f.qty.0, f.price.0, f.fee, f.fee_asset, f.at, f.source
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "56 Buy 500 @ 6669950 fee 0.000005 BTC at 2026-03-05T07:10:01.700Z Answer",
            "57 Buy 200 @ 6670000 fee 0.000002 BTC at 2026-03-05T07:10:01.700Z Answer",
        ]
    );
    assert!(fills.iter().all(|f| f.client == OURS && f.order_id == 28));
}

#[test]
fn each_status_word_is_terminal_or_open() {
    for (word, terminal) in [
        ("FILLED", true),
        ("EXPIRED", true),
        ("CANCELED", true),
        ("EXPIRED_IN_MATCH", true),
        ("REJECTED", true),
        ("NEW", false),
        ("PENDING_NEW", false),
        ("PARTIALLY_FILLED", false),
        ("A_WORD_OF_2027", false),
    ] {
        let executed = Qty(700);
        let expected = if terminal { Verdict::Terminal { executed } } else { Verdict::Open { executed } };
        assert_eq!(
            verdict(LegKind::Spot, 200, &order_row(|row| row["status"] = word.into())),
            expected,
            "{word}"
        );
    }
}

#[test]
fn an_answer_that_does_not_add_up_is_in_doubt_and_gives_no_fill() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 12] = [
        ("another id", |row| row["clientOrderId"] = "5782622041802803841".into()),
        ("a foreign id", |row| row["clientOrderId"] = "6gCrw2kRUAF9CvJDGP16IP".into()),
        ("no id", |row| row["clientOrderId"] = serde_json::Value::Null),
        ("another symbol", |row| row["symbol"] = "ETHUSDT".into()),
        ("executed too fine", |row| row["executedQty"] = "0.00700001".into()),
        ("executed as a number", |row| row["executedQty"] = 7.into()),
        ("no status", |row| row["status"] = serde_json::Value::Null),
        ("more filled than executed", |row| row["executedQty"] = "0.00600000".into()),
        ("a fill without a trade id", |row| row["fills"][1]["tradeId"] = serde_json::Value::Null),
        ("a fill too fine", |row| row["fills"][1]["price"] = "66700.00500000".into()),
        ("no side", |row| row["side"] = "?".into()),
        ("an absurd stamp", |row| row["transactTime"] = 17.into()),
    ];
    for (what, change) in changes {
        let (judged, fills) = judge(LegKind::Spot, 200, order_row(change).as_bytes());
        assert_eq!(judged.verdict, Verdict::Unknown(Doubt::Body), "{what}");
        assert!(fills.is_empty(), "{what}");
    }
    assert_eq!(verdict(LegKind::Spot, 500, &order_row(|_| ())), Verdict::Unknown(Doubt::Status(500)));
}

#[test]
fn more_fills_than_fit_leave_the_rest_to_a_query() {
    let body = order_row(|row| {
        let fill = row["fills"][0].clone();
        row["fills"] = (0..100)
            .map(|_| {
                let mut f = fill.clone();
                f["qty"] = "0.00007000".into();
                f
            })
            .collect();
    });
    let (judged, fills) = judge(LegKind::Spot, 200, body.as_bytes());
    assert_eq!(judged.verdict, Verdict::Terminal { executed: Qty(700) });
    assert_eq!(fills.len(), fills.capacity());
}

/// Our id put into a fixture's answer.
fn as_ours(name: &str, symbol: &str) -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_slice(&fixture(name)).unwrap();
    body["clientOrderId"] = OURS.to_string().into();
    body["symbol"] = symbol.into();
    body.to_string().into_bytes()
}

#[test]
fn the_fixtures_orders_read_as_one_line_each() {
    for (leg, name, expected) in [
        (
            LegKind::Perp,
            "futures_rest_order_new_result_filled_legacy.json",
            "Terminal { executed: Qty(210) } #669538072, 0 fills",
        ),
        (LegKind::Perp, "futures_rest_order_new_ack.json", "Open { executed: Qty(0) } #22542179, 0 fills"),
        (
            LegKind::Spot,
            "spot_rest_order_market_partial_expired.json",
            "Terminal { executed: Qty(400000) } #32, 2 fills",
        ),
        (LegKind::Spot, "spot_rest_order_result.json", "Terminal { executed: Qty(1000000) } #28, 0 fills"),
        (
            LegKind::Spot,
            "margin_rest_order_full.json",
            "Terminal { executed: Qty(100) } #26769564559, 1 fills",
        ),
        // The file of this name holds a 24-hour ticker.
        (LegKind::Spot, "spot_rest_order_full.json", "Unknown(Body) #0, 0 fills"),
        (LegKind::Spot, "spot_rest_order_ack.json", "Unknown(Body) #28, 0 fills"),
    ] {
        let (judged, fills) = judge(leg, 200, &as_ours(name, "BTCUSDT"));
        assert_eq!(
            format!("{:?} #{}, {} fills", judged.verdict, judged.order_id, fills.len()),
            expected,
            "in {name}"
        );
    }
}

fn query(leg: LegKind, status: u16, body: &[u8]) -> Judged {
    let reply = Reply { status, counted: Counted::default(), body };
    read_query(&reply, &row(leg), OURS, &mut Scratch::new(), &mut FillList::new())
}

#[test]
fn a_query_finds_the_order_or_not_and_never_refuses_it() {
    let found = query(LegKind::Spot, 200, &as_ours("spot_rest_order_query.json", "BTCUSDT"));
    assert_eq!(found.verdict, Verdict::Open { executed: Qty(0) });
    let found = query(LegKind::Perp, 200, &as_ours("futures_rest_order_query.json", "BTCUSDT"));
    assert_eq!((found.verdict, found.order_id), (Verdict::Open { executed: Qty(0) }, 1_573_346_959));
    for leg in LegKind::BOTH {
        for code in [-2011, -2013] {
            assert_eq!(query(leg, 400, error(code, "any").as_bytes()).verdict, Verdict::NotFound);
        }
        for code in -6000..0 {
            let verdict = query(leg, 400, error(code, "Service Unavailable.").as_bytes()).verdict;
            match (leg, code) {
                // In the archive: it ended unfilled.
                (LegKind::Spot, -2026) => assert_eq!(verdict, Verdict::Terminal { executed: Qty(0) }),
                _ => assert!(matches!(verdict, Verdict::NotFound | Verdict::Unknown(_)), "{code}"),
            }
        }
        for status in [200, 400, 403, 418, 429, 500, 503] {
            for body in ["", "{}", "<html>", r#"{"msg":"Service Unavailable."}"#] {
                assert!(matches!(query(leg, status, body.as_bytes()).verdict, Verdict::Unknown(_)));
            }
        }
    }
}

#[test]
fn trades_read_as_fills_of_our_order() {
    let mut fills = FillList::new();
    let bnb = instrument(LegKind::Spot, "BNBBTC", 6, 2);
    read_trades(&mut fixture("spot_rest_my_trades.json"), &bnb, OURS, &mut fills).unwrap();
    assert_eq!(
        fills[0],
        Fill {
            client: OURS,
            instrument: bnb.id,
            order_id: 100_234,
            trade_id: 28_457,
            side: Side::Buy,
            price: Price(4_000_001),
            qty: Qty(1_200),
            fee: Amount::parse(b"10.1").unwrap(),
            fee_asset: "BNB".parse().unwrap(),
            at: Unix::from_ms(1_499_865_549_590).unwrap(),
            source: Source::Query,
        }
    );
    let perp = row(LegKind::Perp);
    read_trades(&mut fixture("futures_rest_user_trades.json"), &perp, OURS, &mut fills).unwrap();
    assert_eq!(fills.len(), 1, "the list is emptied first");
    assert_eq!(
        (fills[0].side, fills[0].qty, fills[0].price, fills[0].trade_id),
        (Side::Sell, Qty(2), Price(781_901), 698_759)
    );

    assert_eq!(
        read_trades(&mut fixture("spot_rest_my_trades.json"), &perp, OURS, &mut fills),
        Err(BadBody::Field("symbol"))
    );
    assert_eq!(
        read_trades(&mut error(-1003, "Too much.").into_bytes(), &perp, OURS, &mut fills),
        Err(BadBody::Code { code: -1003, text: "Too much.".to_owned() })
    );
    let one = String::from_utf8(fixture("futures_rest_user_trades.json")).unwrap();
    let one = one.trim_start_matches('[').trim_end_matches(']');
    let many = format!("[{}]", vec![one; 65].join(","));
    assert_eq!(read_trades(&mut many.into_bytes(), &perp, OURS, &mut fills), Err(BadBody::TooMany));
    assert_eq!(fills.len(), 64);
}

// ───────────────────────────── on a socket ─────────────────────────────

/// A message where this order flies.
fn said(message: &str, leg: LegKind) -> (Said, FillList) {
    let (mut scratch, mut fills) = (Scratch::new(), FillList::new());
    let said = read_said(message.as_bytes(), Some((OURS, &row(leg))), &mut scratch, &mut fills);
    (said, fills)
}

proptest::proptest! {
    /// Whatever a REST answer would come to, the same body in the envelope comes to the same; and under another id to
    /// nothing at all.
    #[test]
    fn an_envelope_is_judged_as_its_body_would_be_over_rest(
        status in proptest::sample::select(vec![200u16, 400, 401, 403, 408, 409, 418, 429, 500, 502, 503, 504]),
        perp in proptest::bool::ANY,
        at in 0usize..9,
        other in proptest::bool::ANY,
    ) {
        let leg = if perp { LegKind::Perp } else { LegKind::Spot };
            let order = |executed: &str, status: &str| format!(
            r#"{{"symbol":"BTCUSDT","orderId":7,"clientOrderId":"{}","transactTime":1772694601700,"executedQty":"{executed}","status":"{status}","side":"BUY","fills":[{{"price":"66700.00","qty":"{executed}","commission":"0.00000001","commissionAsset":"BTC","tradeId":9}}]}}"#,
            OURS.0
        );
        let bodies = [
            order("0.010", "FILLED"),
            order("0.005", "EXPIRED"),
            order("0.001", "NEW"),
            r#"{"code":-2010,"msg":"Account has insufficient balance for requested action."}"#.to_owned(),
            r#"{"code":-2010,"msg":"Duplicate order sent."}"#.to_owned(),
            r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#.to_owned(),
            r#"{"code":-1008,"msg":"Server is currently overloaded with other requests."}"#.to_owned(),
            r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#.to_owned(),
            r#"{"msg":"Unknown error, please check your request or try again later."}"#.to_owned(),
        ];
        let body = &bodies[at];
        let (expected, fills) = judge(leg, status, body.as_bytes());
        let part = if body.contains("orderId") { "result" } else { "error" };
        let id = OURS.0 + u64::from(other);
        let (said, told) = said(&format!(r#"{{"id":"{id}","status":{status},"{part}":{body}}}"#), leg);
        if other {
            proptest::prop_assert_eq!((said, told.len()), (Said::Other, 0));
        } else {
            let Said::Answer { judged, .. } = said else { panic!("{said:?}") };
            proptest::prop_assert_eq!((judged, told), (expected, fills));
        }
    }
}

#[test]
fn what_names_no_order_is_told_apart() {
    let recorded = |name: &str| String::from_utf8(fixture(name)).unwrap();
    let read = |message: &str| said(message, LegKind::Spot).0;
    for answered in [
        "spot_wsapi_order_place_response.json",
        "spot_wsapi_error_response.json",
        "spot_wsapi_error_418.json",
    ] {
        assert_eq!(read(&recorded(answered)), Said::Other, "{answered}");
    }
    // The key is no good any more: without an id, whatever flies.
    assert_eq!(read(&recorded("spot_wsapi_session_revoked.json")), Said::Doubtful);
    for noise in
        ["", "<html>", "[]", "{}", "7", r#"{"id":"x"}"#, r#"{"status":200}"#, r#"{"id":7,"status":200}"#]
    {
        assert_eq!(read(noise), Said::Doubtful, "{noise}");
    }
    assert_eq!(read(r#"{"event":{"e":"serverShutdown","E":1772694601600}}"#), Said::Leaving);
    assert_eq!(read(r#"{"e":"serverShutdown","E":1772694601600}"#), Said::Leaving);
    assert_eq!(read(r#"{"subscriptionId":0,"event":{"e":"balanceUpdate"}}"#), Said::Other);
    let nothing = Said::Answer {
        judged: Judged { verdict: Verdict::Unknown(Doubt::Body), order_id: 0, client: None },
        counted: Counted::default(),
    };
    assert_eq!(read(&format!(r#"{{"id":"{}","status":200}}"#, OURS.0)), nothing);
}

#[test]
fn a_venue_that_wants_to_hear_nothing_says_until_when() {
    let banned = r#"{"code":-1003,"msg":"Way too much","data":{"serverTime":1659142907531,"retryAfter":1659146400000}}"#;
    let told = |status: u16, error: &str| {
        let message = format!(r#"{{"id":"{}","status":{status},"error":{error}}}"#, OURS.0);
        match said(&message, LegKind::Spot).0 {
            Said::Answer { counted, .. } => counted.retry_after_s,
            said => panic!("{said:?}"),
        }
    };
    // 3,492.469 s, rounded up.
    assert_eq!(told(418, banned), Some(3_493));
    assert_eq!(told(418, r#"{"code":-1003,"msg":"x"}"#), Some(120));
    assert_eq!(told(429, r#"{"code":-1003,"msg":"x"}"#), Some(10));
    assert_eq!(told(400, r#"{"code":-2010,"msg":"x"}"#), None);
}
