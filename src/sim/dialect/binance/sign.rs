//! Signed requests: key header, stamp, receive window, a signature over query and body as sent.
//!
//! Owns:  who may pass.
//! Wire:  binance.md §8; vectors in `signing_vectors.json`.
//! Quirk: query and body are joined with no separator; `signature` is left out wherever it stands. A connection of the
//!        WebSocket API that is logged on needs neither key nor signature, but still the stamp (§10).

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::http::Request;
use super::params::Params;
use super::refusal::Refusal;
use std::borrow::Cow;

/// Longest receive window, µs.
const WINDOW_MAX_US: u64 = 60_000_000;

/// Receive window when none is sent, µs.
const WINDOW_DEFAULT_US: u64 = 5_000_000;

/// Stamps from here on are microseconds: as milliseconds they would lie 30,000 years ahead.
const MICROS_FROM: u64 = 1_000_000_000_000_000;

/// Checks a signed request.
///
/// # Errors
///
/// -2014, -2015 for the key; -1102 for what is missing; -1131, -1021 for the stamp; -1022 for the signature.
pub(super) fn check(
    exchange: &Exchange,
    market: Market,
    request: &Request<'_>,
    params: &Params<'_>,
) -> Result<(), Refusal> {
    check_key(exchange, request.header("x-mbx-apikey"))?;
    let signature = sent_signature(exchange, market, params)?;
    let mut payload = without_signature(request.query).into_owned();
    payload.push_str(&without_signature(request.body));
    check_signature(exchange, &payload, signature)
}

/// Checks a signed request of the WebSocket API: the payload is its parameters, sorted by name, not encoded.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_sorted(exchange: &Exchange, market: Market, params: &Params<'_>) -> Result<(), Refusal> {
    check_key(exchange, Some(params.need("apiKey")?))?;
    let signature = sent_signature(exchange, market, params)?;
    check_signature(exchange, &params.sorted_payload(), signature)
}

/// Checks the key of a request.
///
/// # Errors
///
/// -2014 for none, -2015 for one that is not ours, or not any more.
pub(super) fn check_key(exchange: &Exchange, key: Option<&str>) -> Result<(), Refusal> {
    let key = key.filter(|k| !k.is_empty());
    let key = key.ok_or_else(|| Refusal::new(-2014, "API-key format invalid."))?;
    if exchange.standing.key && key == exchange.config.key { Ok(()) } else { Err(Refusal::key()) }
}

/// The signature that was sent, of a request whose stamp is in time.
fn sent_signature<'a>(
    exchange: &Exchange,
    market: Market,
    params: &'a Params<'_>,
) -> Result<&'a str, Refusal> {
    params.need("timestamp")?;
    params.number("timestamp")?;
    let signature = params.need("signature")?;
    check_stamp(exchange, market, params)?;
    Ok(signature)
}

/// Checks stamp and window: all that a request owes on a connection that is logged on.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_stamp(exchange: &Exchange, market: Market, params: &Params<'_>) -> Result<(), Refusal> {
    params.need("timestamp")?;
    let stamp = params.number("timestamp")?.unwrap_or(0);
    in_time(stamp, window_us(market, params)?, exchange.clock())
}

fn check_signature(exchange: &Exchange, payload: &str, signature: &str) -> Result<(), Refusal> {
    if exchange.account_key.verify(payload, signature) {
        Ok(())
    } else {
        Err(Refusal::new(-1022, "Signature for this request is not valid."))
    }
}

/// `recvWindow` in µs: milliseconds, on spot with up to three decimals.
fn window_us(market: Market, params: &Params<'_>) -> Result<u64, Refusal> {
    let Some(text) = params.get("recvWindow") else { return Ok(WINDOW_DEFAULT_US) };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let decimals = if market == Market::Spot { 3 } else { 0 };
    if whole.is_empty() || whole.len() > 15 || !digits(whole) || !digits(part) || part.len() > decimals {
        return Err(Refusal::illegal("recvWindow", "^[0-9]{1,20}$"));
    }
    let text = format!("{whole}{part:0<3}");
    let window = text.parse().map_err(|_| Refusal::illegal("recvWindow", "^[0-9]{1,20}$"))?;
    if window > WINDOW_MAX_US {
        return Err(Refusal::new(-1131, "recvWindow must be less than 60000."));
    }
    Ok(window)
}

/// `stamp < server + 1 s` and `server − stamp ≤ window`, in the unit of the stamp.
fn in_time(stamp: u64, window_us: u64, clock: u64) -> Result<(), Refusal> {
    let (stamp_us, server_us) = if stamp >= MICROS_FROM {
        (stamp, clock / 1_000)
    } else {
        (stamp * 1_000, clock / 1_000_000 * 1_000)
    };
    if stamp_us >= server_us + 1_000_000 {
        return Err(Refusal::new(-1021, "Timestamp for this request was 1000ms ahead of the server's time."));
    }
    if server_us.saturating_sub(stamp_us) > window_us {
        return Err(Refusal::new(-1021, "Timestamp for this request is outside of the recvWindow."));
    }
    Ok(())
}

fn without_signature(text: &str) -> Cow<'_, str> {
    if !text.contains("signature=") {
        return Cow::Borrowed(text);
    }
    if let Some((before, last)) = text.rsplit_once('&')
        && last.starts_with("signature=")
    {
        return Cow::Borrowed(before);
    }
    let kept: Vec<&str> = text.split('&').filter(|p| !p.starts_with("signature=")).collect();
    Cow::Owned(kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::super::super::super::account_key::AccountKey;
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_rest_hmac_vector_passes_and_none_with_a_bit_flipped() {
        let text = include_str!("../../../../tests/fixtures/binance/signing_vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let verify = |key: &AccountKey, query: &str, body: &str, signature: &str| {
            key.verify(&(without_signature(query) + &*without_signature(body)), signature)
        };
        let mut seen = 0;
        for vector in vectors.as_array().unwrap() {
            let name = vector["name"].as_str().unwrap();
            if !name.contains("_rest_") || vector["algorithm"] != "HMAC-SHA256" {
                continue;
            }
            let field = |key: &str| vector[key].as_str().unwrap();
            let key = AccountKey::of(field("secret_key")).unwrap();
            let (payload, signature) = (field("payload"), field("signature"));
            let body = format!("{payload}&signature={signature}");
            assert!(verify(&key, "", &body, signature), "{name}");
            assert!(verify(&key, &body, "", &signature.to_uppercase()), "{name}, in the query");
            let first = format!("signature={signature}&{payload}");
            assert!(verify(&key, &first, "", signature), "{name}, signature first");
            if let Some((query, rest)) = payload.split_once("GTCquantity") {
                let (query, body) = (format!("{query}GTC"), format!("quantity{rest}&signature={signature}"));
                assert!(verify(&key, &query, &body, signature), "{name}, mixed");
            }
            let wrong =
                signature.replace(&signature[..1], if signature.starts_with('0') { "1" } else { "0" });
            assert!(!verify(&key, "", &body, &wrong), "{name}, wrong");
            seen += 1;
        }
        assert!(seen >= 7, "only {seen} vectors");
    }

    #[test]
    fn every_sorted_hmac_vector_passes_in_any_order_of_its_parameters() {
        let text = include_str!("../../../../tests/fixtures/binance/signing_vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let mut seen = 0;
        for vector in vectors.as_array().unwrap() {
            if !vector["name"].as_str().unwrap().contains("_wsapi_") || vector["algorithm"] != "HMAC-SHA256" {
                continue;
            }
            let field = |key: &str| vector[key].as_str().unwrap();
            let key = AccountKey::of(field("secret_key")).unwrap();
            let pairs = field("payload").split('&').filter_map(|p| p.split_once('='));
            let mut pairs: Vec<_> = pairs.map(|(n, v)| (n.into(), v.into())).collect();
            pairs.reverse();
            pairs.push(("signature".into(), field("signature").into()));
            let params = Params::of(pairs);
            assert_eq!(params.sorted_payload(), field("payload"));
            assert!(key.verify(&params.sorted_payload(), field("signature")));
            seen += 1;
        }
        assert!(seen >= 3, "only {seen} vectors");
    }

    #[test]
    fn both_inequalities_of_the_stamp_hold_to_the_millisecond() {
        let server = 1_772_694_601_600u64;
        let clock = server * 1_000_000 + 999_999;
        let code = |stamp, window| in_time(stamp, window, clock).err().map(|r| r.msg);
        assert_eq!(code(server + 999, 5_000_000), None);
        assert!(code(server + 1_000, 5_000_000).unwrap().contains("ahead"));
        assert_eq!(code(server - 5_000, 5_000_000), None);
        assert!(code(server - 5_001, 5_000_000).unwrap().contains("outside"));
        assert_eq!(code(server - 1, 1_500), None);
        assert!(code(server - 2, 1_500).unwrap().contains("outside"));
        assert_eq!(code((server - 100) * 1_000, 101_000), None, "microseconds");
    }
}
