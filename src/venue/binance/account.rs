//! Binance requests that are not orders: clocks, marks, fees, and questions about orders.
//!
//! Owns:  the paths, their weights and signatures, and the reading of the small answers.
//! Never: sends anything, or judges an order: `answers` does.
//! Wire:  binance.md §5, §7 (calls and weights), §8 (the signature comes last), §15 (fees).

use super::limits::order_weight;
use super::rest;
use crate::event::{Asset, FEE_PRICE_DECIMALS, Instrument, Instruments};
use crate::units::{Amount, ClientId, LegKind, Price, Rate, Unix};
use crate::venue::fields::{funding_rate, mark_price, settlement};
use crate::venue::json::{Object, flag, stamp, text, uint};
use crate::venue::{Ask, BadBody, Fees, FeesAsk, Key, MarkRow, Symbols};
use simd_json::prelude::*;
use std::fmt::Write;

/// The header that carries the public part of a key.
pub(super) const KEY_HEADER: &str = "X-MBX-APIKEY";

/// Asks a market for its clock; also keeps a link warm.
pub(super) fn time_request(leg: LegKind) -> Ask {
    let path = match leg {
        LegKind::Spot => "/api/v3/time",
        LegKind::Perp => "/fapi/v1/time",
    };
    public(leg, path, 1)
}

/// Asks for every mark price and funding estimate.
pub(super) fn marks_request() -> Ask {
    public(LegKind::Perp, "/fapi/v1/premiumIndex", 10)
}

/// Asks for this account's fees: spot by account, which brings the balances, USD-M by symbol.
pub(super) fn fees_requests(instruments: &Instruments, key: &Key, at: Unix, window_ms: u32) -> Vec<FeesAsk> {
    let spot = FeesAsk {
        leg: LegKind::Spot,
        instrument: None,
        ask: signed(LegKind::Spot, "/api/v3/account", "omitZeroBalances=true", 20, key, at, window_ms),
    };
    let perps = instruments.instruments.iter().filter(|row| row.leg == LegKind::Perp).map(|row| FeesAsk {
        leg: LegKind::Perp,
        instrument: Some(row.id),
        ask: signed(
            LegKind::Perp,
            "/fapi/v1/commissionRate",
            &format!("symbol={}", row.symbol),
            20,
            key,
            at,
            window_ms,
        ),
    });
    std::iter::once(spot).chain(perps).collect()
}

/// Asks what became of an order of ours.
pub(super) fn order_query(row: &Instrument, client: ClientId, key: &Key, at: Unix, window_ms: u32) -> Ask {
    order(row, &format!("origClientOrderId={client}"), key, at, window_ms)
}

/// Asks for the order that `which` names.
pub(super) fn order(row: &Instrument, which: &str, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let path = match row.leg {
        LegKind::Spot => "/api/v3/order",
        LegKind::Perp => "/fapi/v1/order",
    };
    let weight = order_weight(row.leg).query;
    signed(row.leg, path, &format!("symbol={}&{which}", row.symbol), weight, key, at, window_ms)
}

/// Asks for the trades of one order.
pub(super) fn trades_query(row: &Instrument, order_id: u64, key: &Key, at: Unix, window_ms: u32) -> Ask {
    Ask {
        weight: order_weight(row.leg).trades,
        ..trades(row, &format!("orderId={order_id}"), key, at, window_ms)
    }
}

/// Asks for the trades that `which` selects. On spot those of one order alone cost less.
pub(super) fn trades(row: &Instrument, which: &str, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let (path, weight) = match row.leg {
        LegKind::Spot => ("/api/v3/myTrades", 20),
        LegKind::Perp => ("/fapi/v1/userTrades", 5),
    };
    signed(row.leg, path, &format!("symbol={}&{which}", row.symbol), weight, key, at, window_ms)
}

/// Where the reference price of the percent filters is told: USD-M's is the mark price, spot's the reference
/// price, and where a symbol has none, the mean of the last minutes.
pub(super) fn reference_requests(row: &Instrument) -> Vec<Ask> {
    let ask = |path: &str, weight| public(row.leg, &format!("{path}?symbol={}", row.symbol), weight);
    match row.leg {
        LegKind::Spot => vec![ask("/api/v3/referencePrice", 2), ask("/api/v3/avgPrice", 2)],
        LegKind::Perp => vec![ask("/fapi/v1/premiumIndex", 1)],
    }
}

/// Reads one of those answers, rounded down to the instrument's decimals. -2043: there never was one.
pub(super) fn read_reference(row: &Instrument, body: &mut [u8]) -> Result<Option<Price>, BadBody> {
    let field = |answer: &Object<'_, '_>| {
        let names: &[&'static str] = match row.leg {
            LegKind::Spot => &["referencePrice", "price"],
            LegKind::Perp => &["markPrice"],
        };
        let name = *names.iter().find(|name| answer.get(**name).is_some()).ok_or(BadBody::Field(names[0]))?;
        if answer.get(name).is_some_and(|value| value.is_null()) {
            return Ok(None);
        }
        let text = text(answer, name).ok_or(BadBody::Field(name))?;
        let price = mark_price(text.as_bytes(), row.price_decimals).map_err(|_| BadBody::Field(name))?;
        if price > Price(0) { Ok(Some(price)) } else { Err(BadBody::Field(name)) }
    };
    match object(body, field) {
        Err(BadBody::Code { code: -2043, .. }) => Ok(None),
        read => read,
    }
}

/// What a coin last cost on spot. A name with other letters or digits would have to be encoded.
pub(super) fn coin_price(coin: Asset, quote: Asset) -> Option<Ask> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = format!("/api/v3/ticker/price?symbol={coin}{quote}");
    (plain(&coin) && plain(&quote)).then(|| public(LegKind::Spot, &path, 2))
}

pub(super) fn read_coin_price(body: &mut [u8]) -> Result<Price, BadBody> {
    object(body, |answer| {
        let text = text(answer, "price").ok_or(BadBody::Field("price"))?;
        match mark_price(text.as_bytes(), FEE_PRICE_DECIMALS) {
            Ok(price) if price > Price(0) => Ok(price),
            _ => Err(BadBody::Field("price")),
        }
    })
}

pub(super) fn public(leg: LegKind, path: &str, weight: u32) -> Ask {
    Ask { method: "GET", endpoint: rest(leg), path: path.to_owned(), weight, headers: Vec::new() }
}

/// A signed GET: what is signed is the query exactly as it is sent, the signature last.
pub(super) fn signed(
    leg: LegKind,
    path: &str,
    query: &str,
    weight: u32,
    key: &Key,
    at: Unix,
    window_ms: u32,
) -> Ask {
    let join = if query.is_empty() { "" } else { "&" };
    let query = format!("{query}{join}recvWindow={window_ms}&timestamp={}", at.as_ms());
    let whole = format!("{path}?{query}&signature={}", key.sign(query.as_bytes()).in_url());
    let headers = vec![(KEY_HEADER.into(), key.api().to_owned())];
    Ask { method: "GET", endpoint: rest(leg), path: whole, weight, headers }
}

/// Reads a market's clock.
pub(super) fn read_time(body: &mut [u8]) -> Result<Unix, BadBody> {
    object(body, |answer| stamp(answer, "serverTime").ok_or(BadBody::Field("serverTime")))
}

/// Reads every mark; contracts that are not among the symbols are passed over.
pub(super) fn read_marks(body: &mut [u8], symbols: &Symbols) -> Result<Vec<MarkRow>, BadBody> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    let Some(rows) = root.as_array() else {
        return Err(root.as_object().map_or(BadBody::Field("premiumIndex"), |answer| refusal(&answer)));
    };
    let mut marks = Vec::new();
    for row in rows.iter() {
        let row = row.as_object().ok_or(BadBody::Field("premiumIndex"))?;
        let symbol = text(&row, "symbol").ok_or(BadBody::Field("symbol"))?;
        let Some(known) = symbols.find(LegKind::Perp, symbol.as_bytes()) else { continue };
        let field = |name| text(&row, name).ok_or(BadBody::Field(name));
        marks.push(MarkRow {
            instrument: known.id,
            mark: mark_price(field("markPrice")?.as_bytes(), known.price_decimals)
                .map_err(|_| BadBody::Field("markPrice"))?,
            funding: funding_rate(field("lastFundingRate")?.as_bytes())
                .map_err(|_| BadBody::Field("lastFundingRate"))?,
            next_funding: uint(&row, "nextFundingTime")
                .and_then(settlement)
                .ok_or(BadBody::Field("nextFundingTime"))?,
            stamp: stamp(&row, "time").ok_or(BadBody::Field("time"))?,
        });
    }
    Ok(marks)
}

/// Reads the fees of an account (spot) or a symbol (USD-M).
///
/// On spot a taker pays the taker rate and the rate of its side, which is zero unless Binance charges
/// one side extra: the dearer side counts for both.
pub(super) fn read_fees(leg: LegKind, body: &mut [u8]) -> Result<Fees, BadBody> {
    object(body, |answer| match leg {
        LegKind::Perp => {
            let taker = rate(answer, "takerCommissionRate")?;
            Ok(Fees { taker, can_trade: None, balances: Vec::new() })
        }
        LegKind::Spot => {
            let rates = answer.get("commissionRates").and_then(|rates| rates.as_object());
            let rates = rates.ok_or(BadBody::Field("commissionRates"))?;
            let side = rate(&rates, "buyer")?.max(rate(&rates, "seller")?);
            let taker = rate(&rates, "taker")?.0.checked_add(side.0).ok_or(BadBody::Field("taker"))?;
            let balances = answer.get("balances").and_then(|rows| rows.as_array());
            let balances = balances.ok_or(BadBody::Field("balances"))?;
            Ok(Fees {
                taker: Rate(taker),
                can_trade: flag(answer, "canTrade"),
                balances: balances
                    .iter()
                    .filter_map(|row| balance(&row.as_object()?).transpose())
                    .collect::<Result<_, _>>()?,
            })
        }
    })
}

fn rate(object: &Object<'_, '_>, field: &'static str) -> Result<Rate, BadBody> {
    text(object, field).and_then(|text| Rate::parse(text.as_bytes()).ok()).ok_or(BadBody::Field(field))
}

/// One balance; `None` for an asset whose name is longer than any that trades here.
fn balance(row: &Object<'_, '_>) -> Result<Option<(Asset, Amount, Amount)>, BadBody> {
    let Ok(asset) = text(row, "asset").ok_or(BadBody::Field("asset"))?.parse::<Asset>() else {
        return Ok(None);
    };
    let amount = |field| {
        text(row, field).and_then(|text| Amount::parse(text.as_bytes()).ok()).ok_or(BadBody::Field(field))
    };
    Ok(Some((asset, amount("free")?, amount("locked")?)))
}

/// Parses an answer that is one object, and reads it, or the venue's error in its place.
pub(super) fn object<R>(
    body: &mut [u8],
    read: impl FnOnce(&Object<'_, '_>) -> Result<R, BadBody>,
) -> Result<R, BadBody> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let answer = tape.as_value().as_object().ok_or(BadBody::NotJson)?;
    if answer.get("code").is_some() {
        return Err(refusal(&answer));
    }
    read(&answer)
}

/// The venue's error, in its own words, cut to a length that fits a log line.
pub(super) fn refusal(answer: &Object<'_, '_>) -> BadBody {
    let code = crate::venue::json::int(answer, "code").and_then(|code| i32::try_from(code).ok());
    let Some(code) = code else { return BadBody::Field("code") };
    let mut words = String::new();
    for letter in text(answer, "msg").unwrap_or_default().chars().take(200) {
        // The text is the venue's; nothing of it may move a terminal's cursor.
        let _ = write!(words, "{}", if letter.is_control() { ' ' } else { letter });
    }
    BadBody::Code { code, text: words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{InstrumentId, Price};
    use crate::venue::sample::{fixture, instrument, instruments};

    const NOW: Unix = Unix(1_772_694_601_600_000_000);

    fn key() -> Key {
        Key::new("public".to_owned(), "secret".to_owned())
    }

    #[track_caller]
    fn check(ask: &Ask, endpoint: &str, path: &str, weight: u32) {
        let (query, signature) = ask.path.split_once("&signature=").unwrap();
        assert_eq!((ask.endpoint, query, ask.weight), (endpoint, path, weight));
        let payload = query.split_once('?').unwrap().1;
        assert_eq!(signature, key().sign(payload.as_bytes()).in_url());
        assert_eq!(ask.headers, [(std::borrow::Cow::from("X-MBX-APIKEY"), "public".to_owned())]);
    }

    #[test]
    fn questions_are_signed_as_they_are_sent() {
        let id = ClientId(5_782_622_041_802_803_840);
        let spot = instrument(LegKind::Spot, "BTCUSDT", 2, 5);
        let perp = instrument(LegKind::Perp, "BTCUSDT", 2, 3);
        let tail = "recvWindow=5000&timestamp=1772694601600";
        check(
            &order_query(&spot, id, &key(), NOW, 5_000),
            "spot_rest",
            &format!("/api/v3/order?symbol=BTCUSDT&origClientOrderId=5782622041802803840&{tail}"),
            4,
        );
        check(
            &order_query(&perp, id, &key(), NOW, 5_000),
            "usdm_rest",
            &format!("/fapi/v1/order?symbol=BTCUSDT&origClientOrderId=5782622041802803840&{tail}"),
            1,
        );
        check(
            &trades_query(&spot, 28, &key(), NOW, 5_000),
            "spot_rest",
            &format!("/api/v3/myTrades?symbol=BTCUSDT&orderId=28&{tail}"),
            5,
        );
        check(
            &trades_query(&perp, 28, &key(), NOW, 5_000),
            "usdm_rest",
            &format!("/fapi/v1/userTrades?symbol=BTCUSDT&orderId=28&{tail}"),
            5,
        );
        let asks = fees_requests(&instruments(vec![spot, perp]), &key(), NOW, 5_000);
        assert_eq!(asks.iter().map(|ask| ask.instrument).collect::<Vec<_>>(), [None, Some(InstrumentId(1))]);
        check(&asks[0].ask, "spot_rest", &format!("/api/v3/account?omitZeroBalances=true&{tail}"), 20);
        check(&asks[1].ask, "usdm_rest", &format!("/fapi/v1/commissionRate?symbol=BTCUSDT&{tail}"), 20);
        assert_eq!(format!("{:?}", asks[1].ask), "GET usdm_rest/fapi/v1/commissionRate (weight 20)");
    }

    #[test]
    fn the_small_answers_are_read() {
        assert_eq!(
            read_time(&mut fixture("spot_rest_server_time.json")),
            Ok(Unix(1_499_827_319_559_000_000))
        );
        assert_eq!(
            read_time(&mut fixture("futures_rest_server_time.json")),
            Ok(Unix(1_789_478_299_014_000_000))
        );
        assert_eq!(read_time(&mut b"{\"serverTime\":0}".to_vec()), Err(BadBody::Field("serverTime")));
        assert_eq!(read_time(&mut b"".to_vec()), Err(BadBody::NotJson));

        let fees = read_fees(LegKind::Spot, &mut fixture("spot_rest_account.json")).unwrap();
        assert_eq!((fees.taker, fees.can_trade), (Rate(1_500_000_000_000_000), Some(true)));
        let balances: Vec<String> =
            fees.balances.iter().map(|(a, free, locked)| format!("{a} {free} {locked}")).collect();
        assert_eq!(balances, ["BTC 4723846.89208129 0", "LTC 4763368.68006011 0"]);
        let fees = read_fees(LegKind::Perp, &mut fixture("futures_rest_commission_rate.json")).unwrap();
        assert_eq!((fees.taker, fees.can_trade), (Rate(400_000_000_000_000), None));
    }

    #[test]
    fn marks_are_read_with_missing_estimates_as_missing() {
        let mut rows = vec![
            instrument(LegKind::Perp, "BTCUSDT", 1, 3),
            instrument(LegKind::Perp, "BTCUSDT_260925", 1, 3),
        ];
        let all = instruments(rows.clone());
        let symbols = Symbols::new(&all, all.instruments[0].venue);
        let marks = read_marks(&mut fixture("futures_rest_premium_index_all.json"), &symbols).unwrap();
        assert_eq!(
            marks[0],
            MarkRow {
                instrument: InstrumentId(0),
                mark: Price(769_169),
                funding: Some(Rate(89_720_000_000_000)),
                next_funding: Unix::from_ms(1_789_488_000_000),
                stamp: Unix::from_ms(1_789_478_303_000).unwrap(),
            }
        );
        assert_eq!((marks[1].funding, marks[1].next_funding), (None, None));
        rows.truncate(1);
        let fewer = Symbols::new(&instruments(rows), all.instruments[0].venue);
        assert_eq!(read_marks(&mut fixture("futures_rest_premium_index_all.json"), &fewer).unwrap().len(), 1);
        let error = read_marks(&mut b"{\"code\":-1003,\"msg\":\"slow down\"}".to_vec(), &symbols);
        assert_eq!(error, Err(BadBody::Code { code: -1003, text: "slow down".to_owned() }));
    }

    #[test]
    fn what_a_coin_costs_is_asked_by_a_name_that_needs_no_encoding() {
        let asset = |name: &str| Asset::from(name).unwrap();
        let ask = coin_price(asset("BNB"), asset("USDT")).unwrap();
        assert_eq!((ask.path.as_str(), ask.weight), ("/api/v3/ticker/price?symbol=BNBUSDT", 2));
        assert!(coin_price(asset("币安人生"), asset("USDT")).is_none());
        assert_eq!(read_coin_price(&mut fixture("spot_rest_ticker_price.json")), Ok(Price(400_000_200)));
        let read = |text: &str| read_coin_price(&mut text.as_bytes().to_vec());
        for body in
            [r#"{"symbol":"BNBUSDT"}"#, r#"{"price":"0.00000000"}"#, r#"{"price":"-1"}"#, r#"{"price":600}"#]
        {
            assert_eq!(read(body), Err(BadBody::Field("price")), "{body}");
        }
        assert!(matches!(
            read(r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            Err(BadBody::Code { code: -1121, .. })
        ));
    }

    #[test]
    fn a_bands_reference_price_is_read_from_the_first_place_that_has_one() {
        let (spot, perp) =
            (instrument(LegKind::Spot, "BTCUSDT", 2, 5), instrument(LegKind::Perp, "BTCUSDT", 1, 3));
        let paths = |row| reference_requests(row).into_iter().map(|ask| ask.path).collect::<Vec<_>>();
        assert_eq!(
            paths(&spot),
            ["/api/v3/referencePrice?symbol=BTCUSDT", "/api/v3/avgPrice?symbol=BTCUSDT"]
        );
        assert_eq!(paths(&perp), ["/fapi/v1/premiumIndex?symbol=BTCUSDT"]);
        let read = |row: &Instrument, text: &str| read_reference(row, &mut text.as_bytes().to_vec());
        assert_eq!(
            read(&spot, r#"{"symbol":"BTCUSDT","referencePrice":"10.0199","timestamp":1}"#),
            Ok(Some(Price(1_001)))
        );
        assert_eq!(read(&spot, r#"{"symbol":"BTCUSDT","referencePrice":null,"timestamp":1}"#), Ok(None));
        assert_eq!(read(&spot, r#"{"code":-2043,"msg":"none"}"#), Ok(None));
        assert_eq!(read(&spot, r#"{"mins":5,"price":"9.357","closeTime":1}"#), Ok(Some(Price(935))));
        assert_eq!(read(&spot, r#"{"mins":5,"price":"0","closeTime":1}"#), Err(BadBody::Field("price")));
        let error = BadBody::Code { code: -1121, text: "no".to_owned() };
        assert_eq!(read(&spot, r#"{"code":-1121,"msg":"no"}"#), Err(error));
        let mark = read_reference(&perp, &mut fixture("futures_rest_premium_index.json"));
        assert_eq!(mark, Ok(Some(Price(769_169))));
    }
}
