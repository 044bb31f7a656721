//! Claims about reading an account whole: exact questions, the page's own answers, and bad bodies.
//!
//! Owns:  claims about [`AUDIT`].

use super::*;
use crate::event::Forced;
use crate::event::{Counted, Doubt, Verdict};
use crate::units::InstrumentId;
use crate::venue::sample::{fixture, instrument, instruments};
use crate::venue::{Judged, Reply, Scratch};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const OURS: ClientId = ClientId(5_782_622_041_802_803_840);
const NOW: Unix = Unix(1_772_694_601_600_000_000);
const DAY_NS: i64 = 86_400_000_000_000;
/// A number with one digit too many for anything.
const ABSURD: &str = "99999999999999999999999999999999999999999";

fn row(leg: LegKind) -> Instrument {
    instrument(leg, "BTCUSDT", 2, if leg == LegKind::Spot { 5 } else { 3 })
}

fn symbols() -> Symbols {
    let all = instruments(vec![
        row(LegKind::Spot),
        row(LegKind::Perp),
        instrument(LegKind::Spot, "LTCBTC", 6, 3),
        instrument(LegKind::Perp, "ADAUSDT", 5, 0),
    ]);
    Symbols::new(&all, all.instruments[0].venue)
}

fn key() -> Key {
    Key::new("public".to_owned(), "secret".to_owned())
}

fn parsed(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn coins(text: &str) -> Amount {
    Amount::parse(text.as_bytes()).unwrap()
}

// ───────────────────────────── questions ─────────────────────────────

#[track_caller]
fn asks(ask: &Ask, what: &str, query: &str, weight: u32) {
    let shown = format!("{} {}{}", ask.method, ask.endpoint, ask.path.split('?').next().unwrap());
    assert_eq!((shown.as_str(), ask.weight), (what, weight));
    let (payload, signature) = ask.path.split_once('?').unwrap().1.split_once("&signature=").unwrap();
    let join = if query.is_empty() { "" } else { "&" };
    assert_eq!(payload, format!("{query}{join}recvWindow=5000&timestamp=1772694601600"));
    assert_eq!(signature, key().sign(payload.as_bytes()).in_url());
    assert_eq!(ask.headers, [(std::borrow::Cow::from("X-MBX-APIKEY"), "public".to_owned())]);
}

#[test]
fn every_question_is_the_pages_and_costs_what_the_page_says() {
    let (key, spot, perp) = (key(), row(LegKind::Spot), row(LegKind::Perp));
    let open = |leg| (AUDIT.open_orders)(leg, None, &key, NOW, 5_000);
    asks(&open(LegKind::Spot), "GET spot_rest/api/v3/openOrders", "", 80);
    asks(&open(LegKind::Perp), "GET usdm_rest/fapi/v1/openOrders", "", 40);
    let of = |row: &Instrument| (AUDIT.open_orders)(row.leg, Some(row), &key, NOW, 5_000);
    asks(&of(&spot), "GET spot_rest/api/v3/openOrders", "symbol=BTCUSDT", 6);
    asks(&of(&perp), "GET usdm_rest/fapi/v1/openOrders", "symbol=BTCUSDT", 1);
    let by_id = |row| (AUDIT.order_by_id)(row, 28, &key, NOW, 5_000);
    asks(&by_id(&spot), "GET spot_rest/api/v3/order", "symbol=BTCUSDT&orderId=28", 4);
    asks(&by_id(&perp), "GET usdm_rest/fapi/v1/order", "symbol=BTCUSDT&orderId=28", 1);
    asks(&(AUDIT.positions)(&key, NOW, 5_000), "GET usdm_rest/fapi/v3/positionRisk", "", 5);
    asks(&(AUDIT.margin)(&key, NOW, 5_000), "GET usdm_rest/fapi/v3/account", "", 5);
    let held = |leg| (AUDIT.balances)(leg, &key, NOW, 5_000);
    asks(&held(LegKind::Spot), "GET spot_rest/api/v3/account", "omitZeroBalances=true", 20);
    asks(&held(LegKind::Perp), "GET usdm_rest/fapi/v3/balance", "", 5);
    let cancel = |row| (AUDIT.cancel)(row, OURS, &key, NOW, 5_000);
    let query = "symbol=BTCUSDT&origClientOrderId=5782622041802803840";
    asks(&cancel(&spot), "DELETE spot_rest/api/v3/order", query, 1);
    asks(&cancel(&perp), "DELETE usdm_rest/fapi/v1/order", query, 1);
    let since = Unix(NOW.0 - 700_999_999);
    let income = (AUDIT.income_since)(since, &key, NOW, 5_000);
    let query = "incomeType=FUNDING_FEE&startTime=1772694600899&limit=1000";
    asks(&income, "GET usdm_rest/fapi/v1/income", query, 30);
}

/// Signatures made by another implementation.
#[test]
fn questions_are_signed_as_others_sign_them() {
    let ask = (AUDIT.positions)(&key(), NOW, 5_000);
    assert!(
        ask.path.ends_with("&signature=307eb6172d1be561a6652f5e16b481ff4768bee99aac70b5bf9b3569e68c9191"),
        "{}",
        ask.path
    );
    let ask = (AUDIT.cancel)(&row(LegKind::Perp), OURS, &key(), NOW, 5_000);
    assert!(
        ask.path.ends_with("&signature=99ac95dbe776c6771820de2d5e0cb01f22b61345b2ccbc902d7537e01a7aebd0"),
        "{}",
        ask.path
    );
}

#[test]
fn a_page_of_trades_begins_with_an_id_or_a_moment_and_says_its_end_where_it_must() {
    let ask = |leg, from| (AUDIT.trades_since)(&row(leg), from, &key(), NOW, 5_000);
    let (spot, perp) = ("GET spot_rest/api/v3/myTrades", "GET usdm_rest/fapi/v1/userTrades");
    let query = "symbol=BTCUSDT&fromId=28457&limit=1000";
    asks(&ask(LegKind::Spot, TradesFrom::Id(28_457)), spot, query, 20);
    asks(&ask(LegKind::Perp, TradesFrom::Id(28_457)), perp, query, 5);
    // Seven days ago to the millisecond: the present is still in reach.
    let week = TradesFrom::Time(Unix(NOW.0 - 7 * DAY_NS));
    let query = "symbol=BTCUSDT&startTime=1772089801600&limit=1000";
    asks(&ask(LegKind::Perp, week), perp, query, 5);
    asks(&ask(LegKind::Spot, week), spot, query, 20);
    let older = TradesFrom::Time(Unix(NOW.0 - 7 * DAY_NS - 1_000_000));
    let query = "symbol=BTCUSDT&startTime=1772089801599&endTime=1772694601599&limit=1000";
    asks(&ask(LegKind::Perp, older), perp, query, 5);
    asks(&ask(LegKind::Spot, older), spot, "symbol=BTCUSDT&startTime=1772089801599&limit=1000", 20);
    let never = TradesFrom::Time(Unix(-1));
    asks(&ask(LegKind::Spot, never), spot, "symbol=BTCUSDT&startTime=0&limit=1000", 20);
    let ends = TradesFrom::Time(Unix(i64::MAX));
    asks(&ask(LegKind::Perp, ends), perp, "symbol=BTCUSDT&startTime=9223372036854&limit=1000", 5);
    assert_eq!((AUDIT.trades_span_ns)(LegKind::Spot), None);
    assert_eq!((AUDIT.trades_span_ns)(LegKind::Perp), Some(604_800_000_000_000));
    assert_eq!((AUDIT.trades_page, AUDIT.income_page), (1_000, 1_000));
}

// ───────────────────────────── orders ─────────────────────────────

fn orders(leg: LegKind, body: &Value) -> Result<Vec<OrderRow>, BadBody> {
    (AUDIT.read_orders)(&mut body.to_string().into_bytes(), &symbols(), leg)
}

#[test]
fn open_orders_are_read_with_their_owner() {
    let row = orders(LegKind::Spot, &parsed("spot_rest_open_orders.json")).unwrap().remove(0);
    let expected = OrderRow {
        instrument: Some(InstrumentId(2)),
        symbol: "LTCBTC".to_owned(),
        whose: Whose::Foreign,
        order_id: 1,
        side: Side::Buy,
        price: Some(coins("0.1")),
        qty: coins("1"),
        verdict: Some(Verdict::Open { executed: Qty(0) }),
        at: Unix::from_ms(1_499_827_319_559).unwrap(),
    };
    assert_eq!(row, expected);

    let mut body = parsed("futures_rest_open_orders.json");
    let row = orders(LegKind::Perp, &body).unwrap().remove(0);
    assert_eq!((row.instrument, row.order_id, row.price), (Some(InstrumentId(1)), 1_917_641, None));
    assert_eq!((row.qty, row.side, row.whose), (coins("0.4"), Side::Buy, Whose::Foreign));
    for (id, leg, whose) in [
        ("5782622041802803840", LegKind::Perp, Whose::Ours(OURS)),
        ("5782622041802803840", LegKind::Spot, Whose::Ours(OURS)),
        ("4782622041802803840", LegKind::Perp, Whose::Foreign),
        ("05782622041802803840", LegKind::Perp, Whose::Foreign),
        ("", LegKind::Perp, Whose::Foreign),
        ("adl_autoclose_12345", LegKind::Perp, Whose::Forced(Forced::Deleveraging)),
        ("autoclose-1234567890", LegKind::Perp, Whose::Forced(Forced::Liquidation)),
        ("settlement_autoclose-1", LegKind::Perp, Whose::Forced(Forced::Settlement)),
        ("autoclose-1234567890", LegKind::Spot, Whose::Foreign),
    ] {
        body[0]["clientOrderId"] = json!(id);
        assert_eq!(orders(leg, &body).unwrap()[0].whose, whose, "{id} {leg}");
    }
    assert_eq!(orders(LegKind::Spot, &json!([])), Ok(Vec::new()));
}

#[test]
fn an_order_of_a_symbol_that_is_not_ours_is_told_by_its_name() {
    let mut body = parsed("spot_rest_open_orders.json");
    body[0]["symbol"] = json!("１２３４５６");
    body[0]["origQty"] = json!("1.000000000000000001");
    let row = orders(LegKind::Spot, &body).unwrap().remove(0);
    assert_eq!((row.instrument, row.symbol.as_str(), row.verdict), (None, "１２３４５６", None));
    assert_eq!(row.qty, Amount(1_000_000_000_000_000_001));
}

#[test]
fn one_order_is_read_as_it_stands() {
    let read = |leg, body: &Value| {
        (AUDIT.read_order)(&mut body.to_string().into_bytes(), &symbols(), leg).map(|row| row.verdict)
    };
    let mut body = parsed("futures_rest_order_query.json");
    assert_eq!(read(LegKind::Perp, &body), Ok(Some(Verdict::Open { executed: Qty(0) })));
    for (status, executed, verdict) in [
        ("FILLED", "0.400", Verdict::Terminal { executed: Qty(400) }),
        ("EXPIRED", "0.123", Verdict::Terminal { executed: Qty(123) }),
        ("CANCELED", "0", Verdict::Terminal { executed: Qty(0) }),
        ("PARTIALLY_FILLED", "0.1", Verdict::Open { executed: Qty(100) }),
        ("A_NEW_WORD", "0.1", Verdict::Open { executed: Qty(100) }),
    ] {
        (body["status"], body["executedQty"]) = (json!(status), json!(executed));
        assert_eq!(read(LegKind::Perp, &body), Ok(Some(verdict)), "{status}");
    }
    for (status, executed) in [("FILLED", "0.399"), ("EXPIRED", "0.401"), ("NEW", "0.0001"), ("NEW", "-0.1")]
    {
        (body["status"], body["executedQty"]) = (json!(status), json!(executed));
        assert_eq!(read(LegKind::Perp, &body), Err(BadBody::Field("executedQty")), "{status} {executed}");
    }
    let gone = json!({"code": -2013, "msg": "Order does not exist."});
    let expected = BadBody::Code { code: -2013, text: "Order does not exist.".to_owned() };
    assert_eq!(read(LegKind::Spot, &gone), Err(expected));
    // Others may size an order by its value; ours never are.
    let mut body = parsed("spot_rest_order_query.json");
    body["origQty"] = json!("0");
    assert_eq!(read(LegKind::Spot, &body), Ok(Some(Verdict::Open { executed: Qty(0) })));
    body["clientOrderId"] = json!(OURS.to_string());
    assert_eq!(read(LegKind::Spot, &body), Err(BadBody::Field("origQty")));
}

// ───────────────────────────── cancel ─────────────────────────────

fn cancelled(leg: LegKind, status: u16, body: &str) -> Judged {
    let reply = Reply { status, counted: Counted::default(), body: body.as_bytes() };
    (AUDIT.read_cancel)(&reply, &row(leg), OURS, &mut Scratch::new())
}

#[test]
fn a_cancel_that_is_answered_by_the_order_proves_what_it_executed() {
    let ours = OURS.to_string();
    let mut spot = parsed("spot_rest_order_cancel.json");
    (spot["symbol"], spot["origClientOrderId"]) = (json!("BTCUSDT"), json!(ours));
    spot["executedQty"] = json!("0.25000000");
    let verdict = Verdict::Terminal { executed: Qty(25_000) };
    let expected = Judged { verdict, order_id: 4, client: Some(OURS) };
    assert_eq!(cancelled(LegKind::Spot, 200, &spot.to_string()), expected);

    let mut perp = parsed("futures_rest_order_cancel.json");
    perp["clientOrderId"] = json!(ours);
    let verdict = Verdict::Terminal { executed: Qty(0) };
    let expected = Judged { verdict, order_id: 283_194_212, client: Some(OURS) };
    assert_eq!(cancelled(LegKind::Perp, 200, &perp.to_string()), expected);

    // The cancel's own id is not the order's, and another's order proves nothing.
    (spot["clientOrderId"], spot["origClientOrderId"]) = (json!(ours), json!("myOrder1"));
    assert_eq!(cancelled(LegKind::Spot, 200, &spot.to_string()).verdict, Verdict::Unknown(Doubt::Body));
    perp["symbol"] = json!("ETHUSDT");
    assert_eq!(cancelled(LegKind::Perp, 200, &perp.to_string()).verdict, Verdict::Unknown(Doubt::Body));
    perp["symbol"] = json!("BTCUSDT");
    let unavailable = Verdict::Unknown(Doubt::Status(503));
    assert_eq!(cancelled(LegKind::Perp, 503, &perp.to_string()).verdict, unavailable);
    perp["executedQty"] = json!(ABSURD);
    assert_eq!(cancelled(LegKind::Perp, 200, &perp.to_string()).verdict, Verdict::Unknown(Doubt::Body));
}

#[test]
fn a_refused_cancel_says_nothing_of_the_order() {
    for leg in LegKind::BOTH {
        let error = |code: i32| format!(r#"{{"code":{code},"msg":"Unknown order sent."}}"#);
        for code in [-2011, -2013] {
            assert_eq!(cancelled(leg, 400, &error(code)).verdict, Verdict::NotFound);
        }
        for code in [-1003, -1021, -1022, -2010, -2015, -1007] {
            assert_eq!(cancelled(leg, 400, &error(code)).verdict, Verdict::Unknown(Doubt::Code(code)));
        }
        assert_eq!(cancelled(leg, 429, "").verdict, Verdict::Unknown(Doubt::Status(429)));
        assert_eq!(cancelled(leg, 200, "<html>Please wait.</html>").verdict, Verdict::Unknown(Doubt::Body));
    }
}

// ───────────────────────────── trades ─────────────────────────────

#[test]
fn trades_are_read_with_their_fees_in_the_order_of_their_ids() {
    let spot = instrument(LegKind::Spot, "BNBBTC", 6, 2);
    let trades = (AUDIT.read_trades)(&mut fixture("spot_rest_my_trades.json"), &spot).unwrap();
    let expected = TradeRow {
        trade_id: 28_457,
        order_id: 100_234,
        side: Side::Buy,
        price: Price(4_000_001),
        qty: Qty(1_200),
        fee: coins("10.1"),
        fee_asset: "BNB".parse().unwrap(),
        at: Unix::from_ms(1_499_865_549_590).unwrap(),
    };
    assert_eq!(trades, [expected]);

    let one = parsed("futures_rest_user_trades.json").as_array().unwrap()[0].clone();
    let (mut later, mut rebate) = (one.clone(), one.clone());
    later["id"] = json!(698_761);
    (rebate["id"], rebate["commission"]) = (json!(698_760), json!("-0.00000001"));
    let mut body = json!([later, one, rebate]).to_string().into_bytes();
    let trades = (AUDIT.read_trades)(&mut body, &row(LegKind::Perp)).unwrap();
    assert_eq!(trades.iter().map(|trade| trade.trade_id).collect::<Vec<_>>(), [698_759, 698_760, 698_761]);
    let first = trades[0];
    assert_eq!((first.side, first.price, first.qty), (Side::Sell, Price(781_901), Qty(2)));
    assert_eq!((first.fee, first.fee_asset.as_str()), (coins("0.07819010"), "USDT"));
    assert_eq!(trades[1].fee, Amount(-10_000_000_000));
    assert_eq!((AUDIT.read_trades)(&mut b"[]".to_vec(), &spot), Ok(Vec::new()));
    // A page of another symbol is no answer.
    let other = (AUDIT.read_trades)(&mut fixture("spot_rest_my_trades.json"), &row(LegKind::Spot));
    assert_eq!(other, Err(BadBody::Field("symbol")));
}

// ───────────────────────────── positions, balances, funding ─────────────────────────────

#[test]
fn positions_are_read_with_their_sign_and_flat_ones_left_out() {
    let read = |body: &Value| (AUDIT.read_positions)(&mut body.to_string().into_bytes(), &symbols());
    let mut body = parsed("futures_rest_position_risk_v3.json");
    let expected = PositionRow {
        instrument: Some(InstrumentId(3)),
        symbol: "ADAUSDT".to_owned(),
        qty: coins("30"),
        entry: coins("0.385"),
        at: Unix::from_ms(1_720_736_417_660).unwrap(),
    };
    assert_eq!(read(&body), Ok(vec![expected]));
    (body[0]["symbol"], body[0]["positionAmt"]) = (json!("XYZUSDT"), json!("-0.001"));
    let short = read(&body).unwrap().remove(0);
    assert_eq!((short.instrument, short.symbol.as_str(), short.qty), (None, "XYZUSDT", coins("-0.001")));
    // With an open order alone, a symbol has a row without a position.
    (body[0]["positionAmt"], body[0]["updateTime"]) = (json!("0.000"), json!(0));
    assert_eq!(read(&body), Ok(Vec::new()));
    body[0]["positionAmt"] = json!("1");
    assert_eq!(read(&body), Err(BadBody::Field("updateTime")));
}

#[test]
fn balances_are_whole_and_zero_ones_left_out() {
    let shown = |rows: Vec<BalanceRow>| -> Vec<String> {
        rows.iter().map(|row| format!("{} {}", row.asset, row.total)).collect()
    };
    let mut body = parsed("spot_rest_account.json");
    body["balances"][0]["locked"] = json!("0.00000001");
    body["balances"].as_array_mut().unwrap().extend([
        json!({"asset": "BNB", "free": "0.00000000", "locked": "0.00000000"}),
        json!({"asset": "PEPE", "free": "0.00000000", "locked": "3"}),
    ]);
    let rows = (AUDIT.read_balances)(LegKind::Spot, &mut body.to_string().into_bytes()).unwrap();
    assert_eq!(shown(rows), ["BTC 4723846.8920813", "LTC 4763368.68006011", "PEPE 3"]);
    let rows = (AUDIT.read_balances)(LegKind::Perp, &mut fixture("futures_rest_balance_v3.json")).unwrap();
    assert_eq!(shown(rows), ["USDT 122607.35137903"]);
    let mut body = parsed("futures_rest_balance_v3.json");
    body[0]["balance"] = json!("-0.5");
    let rows = (AUDIT.read_balances)(LegKind::Perp, &mut body.to_string().into_bytes()).unwrap();
    assert_eq!(shown(rows), ["USDT -0.5"]);
    body[0]["balance"] = json!("0.00000000");
    assert_eq!((AUDIT.read_balances)(LegKind::Perp, &mut body.to_string().into_bytes()), Ok(Vec::new()));
}

#[test]
fn funding_is_read_with_its_sign_and_nothing_else_passes_for_it() {
    let all = parsed("futures_rest_income.json");
    let read = |body: Value| (AUDIT.read_income)(&mut body.to_string().into_bytes());
    let expected = Payment {
        tran_id: 9_689_322_393,
        symbol: "BTCUSDT".to_owned(),
        amount: coins("0.4125"),
        asset: "USDT".parse().unwrap(),
        at: Unix::from_ms(1_570_636_800_000).unwrap(),
    };
    assert_eq!(read(json!([all[2]])), Ok(vec![expected]));
    let mut paid = all[2].clone();
    (paid["income"], paid["tranId"]) = (json!("-0.00000001"), json!(427_980_082_597_228_605u64));
    let paid = read(json!([paid])).unwrap().remove(0);
    assert_eq!((paid.amount, paid.tran_id), (Amount(-10_000_000_000), 427_980_082_597_228_605));
    assert_eq!(read(all), Err(BadBody::Field("incomeType")));
}

// ───────────────────────────── bad bodies ─────────────────────────────

/// A name, an answer of the page, and its reader, told only whether it could read.
type Reader = (&'static str, Vec<u8>, fn(&mut [u8]) -> Result<(), BadBody>);

static READERS: LazyLock<Vec<Reader>> = LazyLock::new(|| {
    let income = json!([parsed("futures_rest_income.json")[2]]).to_string().into_bytes();
    let mut ours = parsed("futures_rest_open_orders.json");
    ours[0]["clientOrderId"] = json!(OURS.to_string());
    vec![
        ("spot orders", fixture("spot_rest_open_orders.json"), |body| {
            (AUDIT.read_orders)(body, &SYMBOLS, LegKind::Spot).map(|_| ())
        }),
        ("perp orders", ours.to_string().into_bytes(), |body| {
            (AUDIT.read_orders)(body, &SYMBOLS, LegKind::Perp).map(|_| ())
        }),
        ("an order", fixture("spot_rest_order_query.json"), |body| {
            (AUDIT.read_order)(body, &SYMBOLS, LegKind::Spot).map(|_| ())
        }),
        ("spot trades", fixture("spot_rest_my_trades.json"), |body| {
            (AUDIT.read_trades)(body, &instrument(LegKind::Spot, "BNBBTC", 6, 2)).map(|_| ())
        }),
        ("perp trades", fixture("futures_rest_user_trades.json"), |body| {
            (AUDIT.read_trades)(body, &row(LegKind::Perp)).map(|_| ())
        }),
        ("positions", fixture("futures_rest_position_risk_v3.json"), |body| {
            (AUDIT.read_positions)(body, &SYMBOLS).map(|_| ())
        }),
        ("spot balances", fixture("spot_rest_account.json"), |body| {
            (AUDIT.read_balances)(LegKind::Spot, body).map(|_| ())
        }),
        ("perp balances", fixture("futures_rest_balance_v3.json"), |body| {
            (AUDIT.read_balances)(LegKind::Perp, body).map(|_| ())
        }),
        ("income", income, |body| (AUDIT.read_income)(body).map(|_| ())),
    ]
});
static SYMBOLS: LazyLock<Symbols> = LazyLock::new(symbols);

/// The row that a reader reads first.
fn first_row(body: &mut Value) -> &mut Value {
    if body.is_array() {
        return &mut body[0];
    }
    if body.get("balances").is_some() { &mut body["balances"][0] } else { body }
}

#[test]
fn a_body_that_is_no_answer_is_refused_for_what_it_is() {
    for (name, good, read) in READERS.iter() {
        assert_eq!(read(&mut good.clone()), Ok(()), "{name}");
        for page in ["", " ", "<html><body>Please wait.</body></html>", "[{\"symbol\":", "OK"] {
            assert_eq!(read(&mut page.as_bytes().to_vec()), Err(BadBody::NotJson), "{name}: {page:?}");
        }
        let expected = BadBody::Code { code: -1003, text: "slow down".to_owned() };
        let said = read(&mut b"{\"code\":-1003,\"msg\":\"slow down\"}".to_vec());
        assert_eq!(said, Err(expected), "{name}");
        for other in ["{}", "[1]", "[null]", "[[]]", "[{}]", "7", "null", "\"text\""] {
            assert!(read(&mut other.as_bytes().to_vec()).is_err(), "{name}: {other}");
        }
    }
}

#[test]
fn a_row_without_one_of_its_fields_or_with_an_absurd_number_spoils_the_answer() {
    for (name, good, read) in READERS.iter() {
        let needed: &[&str] = match *name {
            "spot orders" | "perp orders" | "an order" => &[
                "symbol",
                "clientOrderId",
                "price",
                "origQty",
                "executedQty",
                "status",
                "orderId",
                "side",
                "updateTime",
            ],
            "spot trades" => &[
                "symbol",
                "id",
                "orderId",
                "price",
                "qty",
                "commission",
                "commissionAsset",
                "time",
                "isBuyer",
            ],
            "perp trades" => &[
                "symbol",
                "id",
                "orderId",
                "price",
                "qty",
                "commission",
                "commissionAsset",
                "time",
                "buyer",
                "side",
            ],
            "positions" => &["symbol", "positionAmt", "entryPrice", "updateTime"],
            "spot balances" => &["asset", "free", "locked"],
            "perp balances" => &["asset", "balance"],
            _ => &["incomeType", "tranId", "symbol", "income", "asset", "time"],
        };
        let good: Value = serde_json::from_slice(good).unwrap();
        let spoilt = |field: &str, value: Option<Value>| {
            let mut body = good.clone();
            let row = first_row(&mut body).as_object_mut().unwrap();
            match value {
                Some(value) => row.insert(field.to_owned(), value),
                None => row.remove(field),
            };
            read(&mut body.to_string().into_bytes())
        };
        for field in needed {
            let refused = |said: Result<(), BadBody>| matches!(said, Err(BadBody::Field(f)) if f == *field);
            assert!(refused(spoilt(field, None)), "{name} without {field}");
            for value in [json!(null), json!(-1), json!(1.5), json!([]), json!({"a": 1})] {
                assert!(refused(spoilt(field, Some(value.clone()))), "{name}: {field} = {value}");
            }
            // Any text is somebody's id, or a status to come; any but none a symbol that is not ours.
            let odd: &[&str] = match *field {
                "clientOrderId" | "status" => &[],
                "symbol" => &[""],
                _ => &["", ABSURD],
            };
            for text in odd {
                assert!(refused(spoilt(field, Some(json!(text)))), "{name}: {field} = {text:?}");
            }
        }
        // A row that says one thing twice says nothing.
        let field = needed[0];
        let twice =
            good.to_string().replacen(&format!("\"{field}\":"), &format!("\"{field}\":1,\"{field}\":"), 1);
        assert!(read(&mut twice.into_bytes()).is_err(), "{name}: {field} twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    /// Bytes changed and cut anywhere: no panic, and no trade of nothing, no order of ours without a size.
    #[test]
    fn spoilt_bytes_are_read_without_a_panic(
        which in 0usize..9, at: prop::sample::Index, byte: u8, cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, body, read) = &READERS[which];
        let mut body = body.clone();
        let place = at.index(body.len());
        body[place] = byte;
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let mut copy = body.clone();
        let _ = read(&mut copy);
        let mut copy = body.clone();
        if let Ok(trades) = (AUDIT.read_trades)(&mut copy, &row(LegKind::Perp)) {
            prop_assert!(trades.iter().all(|trade| trade.qty > Qty::ZERO && trade.price > Price(0)));
        }
        let reply = Reply { status: 200, counted: Counted::default(), body: &body };
        let judged = (AUDIT.read_cancel)(&reply, &row(LegKind::Perp), OURS, &mut Scratch::new());
        prop_assert!(!matches!(judged.verdict, Verdict::Refused(_)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(which in 0usize..9, mut body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = READERS[which].2(&mut body);
    }
}

#[test]
fn the_margin_is_what_backs_the_account_and_what_each_position_needs() {
    let mut body = parsed("futures_rest_account_v3.json");
    let told = |body: &Value| (AUDIT.read_margin)(&mut body.to_string().into_bytes(), &symbols());
    let flat = json!([{"symbol": "ADAUSDT", "positionAmt": "0", "maintMargin": "0"}]);
    body["totalMaintMargin"] = "31.5".into();
    body["positions"][0]["maintMargin"] = "30".into();
    body["positions"].as_array_mut().unwrap().extend(flat.as_array().unwrap().clone());
    let margin = told(&body).unwrap();
    assert_eq!((margin.balance, margin.needed), (coins("126.72469206"), coins("31.5")));
    let rows: Vec<_> = margin.positions.iter().map(|row| (row.symbol.as_str(), row.needed)).collect();
    assert_eq!(rows, [("BTCUSDT", coins("30"))]);
    assert_eq!(margin.positions[0].instrument, Some(InstrumentId(1)));
    body["positions"][0]["maintMargin"] = "-1".into();
    assert_eq!(told(&body), Err(BadBody::Field("maintMargin")));
    assert_eq!(
        told(&json!({"code": -2015, "msg": "no"})),
        Err(BadBody::Code { code: -2015, text: "no".to_owned() })
    );
}
