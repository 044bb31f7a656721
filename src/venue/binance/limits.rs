//! Binance's budgets: what is counted, over how long, and which header shows it.
//!
//! Owns:  the documented limits, the reading of `rateLimits` and of the counters in headers, and
//!        what a stream connection owes.
//! Never: counts; the desk's budget does.
//! Wire:  binance.md §1 (connections) and §13 (limits). Windows are aligned to the clock.

use crate::event::Counted;
use crate::units::LegKind;
use crate::units::time::SEC;
use crate::venue::json::{Object, text, uint};
use crate::venue::{BucketRule, Header, Kind, OrderWeight};
use crate::wire::http::Head;
use crate::wire::session::Rules;

const MINUTE: u64 = 60 * SEC;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The smallest limits that were documented or seen, until `exchangeInfo` tells the real ones.
pub(super) const DOCUMENTED: [BucketRule; 7] = {
    use Kind::{Orders, Raw, Weight};
    use LegKind::{Perp, Spot};
    [
        rule(Spot, Weight, MINUTE, 6_000),
        rule(Spot, Raw, 5 * MINUTE, 300_000),
        rule(Spot, Orders, 10 * SEC, 50),
        rule(Spot, Orders, DAY, 160_000),
        rule(Perp, Weight, MINUTE, 2_400),
        rule(Perp, Orders, 10 * SEC, 300),
        rule(Perp, Orders, MINUTE, 1_200),
    ]
};

const fn rule(leg: LegKind, kind: Kind, window_ns: u64, limit: u32) -> BucketRule {
    let header = match kind {
        Kind::Orders if window_ns == 10 * SEC => Some(Header::Orders10s),
        Kind::Orders if window_ns == long_window(leg) => Some(Header::OrdersLong),
        Kind::Weight if window_ns == MINUTE => Some(Header::Weight1m),
        _ => None,
    };
    BucketRule { leg, kind, window_ns, limit, header }
}

/// The longer window that a market counts orders over.
const fn long_window(leg: LegKind) -> u64 {
    match leg {
        LegKind::Spot => DAY,
        LegKind::Perp => MINUTE,
    }
}

/// Reads `rateLimits` of an `exchangeInfo`; kinds and units we do not know are passed over.
pub(super) fn read(leg: LegKind, info: &Object<'_, '_>) -> Vec<BucketRule> {
    let rows = info.get("rateLimits").and_then(|rows| rows.as_array());
    rows.iter().flat_map(|rows| rows.iter()).filter_map(|row| read_one(leg, &row.as_object()?)).collect()
}

fn read_one(leg: LegKind, row: &Object<'_, '_>) -> Option<BucketRule> {
    let kind = match text(row, "rateLimitType")? {
        "REQUEST_WEIGHT" => Kind::Weight,
        "ORDERS" => Kind::Orders,
        "RAW_REQUESTS" => Kind::Raw,
        _ => return None,
    };
    let unit = match text(row, "interval")? {
        "SECOND" => SEC,
        "MINUTE" => MINUTE,
        "HOUR" => HOUR,
        "DAY" => DAY,
        _ => return None,
    };
    let window_ns = unit.checked_mul(uint(row, "intervalNum")?)?;
    Some(rule(leg, kind, window_ns, u32::try_from(uint(row, "limit")?).ok()?))
}

/// What an order and the questions about it weigh (§5, §7). A spot order costs nothing once it has
/// succeeded, which is not known when it leaves.
pub(super) const fn order_weight(leg: LegKind) -> OrderWeight {
    match leg {
        LegKind::Spot => OrderWeight { order: 1, query: 4, trades: 5 },
        LegKind::Perp => OrderWeight { order: 0, query: 1, trades: 5 },
    }
}

/// How long a 429 or a page of the web firewall keeps us away, if it does not say.
const AWAY_S: u32 = 10;
/// The shortest ban.
const BAN_S: u32 = 120;

/// How long a status keeps us away where nothing else says it, if it does.
const fn away_s(status: u16) -> Option<u32> {
    match status {
        403 | 429 => Some(AWAY_S),
        418 => Some(BAN_S),
        _ => None,
    }
}

/// What the counters in an answer's headers say. `-1`, which futures order answers can show for the
/// weight, is *not told*.
pub(super) fn counted(status: u16, head: &Head<'_>) -> Counted {
    let number = |name| std::str::from_utf8(head.header(name)?).ok()?.parse::<u32>().ok();
    Counted {
        weight_1m: number("x-mbx-used-weight-1m"),
        orders_10s: number("x-mbx-order-count-10s"),
        orders_long: number("x-mbx-order-count-1d").or_else(|| number("x-mbx-order-count-1m")),
        retry_after_s: number("retry-after").or_else(|| away_s(status)),
    }
}

/// What a market data socket owes.
///
/// The gate wants a sign of life every second, so a quiet socket is pinged after 400 ms: at most
/// three pings a second, below the five messages that spot allows. The server pings every 20 s (spot)
/// or 3 min (USD-M) and closes after 24 h; we leave an hour earlier, up to another hour spread.
pub(super) const fn stream_rules(leg: LegKind) -> Rules {
    let (server_ping_within, sends) = match leg {
        LegKind::Spot => (MINUTE, 5),
        LegKind::Perp => (10 * MINUTE, 10),
    };
    Rules {
        ping_every: None,
        ping_when_quiet: Some(400 * (SEC / 1_000)),
        pong_within: Some(5 * SEC),
        server_ping_within: Some(server_ping_within),
        silence_max: Some(10 * SEC),
        life_max: Some(DAY),
        life_margin: HOUR,
        life_spread: HOUR,
        sends_per_second_max: Some(sends),
    }
}

/// What a private socket owes: hours may pass without an event, so it is asked for a sign of life
/// every three seconds, and given up like a feed.
pub(super) const fn private_rules(leg: LegKind) -> Rules {
    Rules { ping_when_quiet: Some(3 * SEC), ..stream_rules(leg) }
}

/// What an answer on a socket says of budgets: when to come back. Its counters are not asked for, since every answer
/// would be longer by them.
pub(super) fn counted_in(status: u16, error: Option<&Object<'_, '_>>) -> Counted {
    let data = error.and_then(|error| error.get("data")).and_then(|data| data.as_object());
    let wait_ms = data.and_then(|data| uint(&data, "retryAfter")?.checked_sub(uint(&data, "serverTime")?));
    let wait_s = wait_ms.map(|ms| u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX));
    Counted { retry_after_s: wait_s.or_else(|| away_s(status)), ..Counted::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::json::Scratch;
    use crate::venue::sample::fixture;
    use crate::wire::http;

    #[track_caller]
    fn limits_in(name: &str, leg: LegKind) -> Vec<BucketRule> {
        Scratch::new().read(&fixture(name), |root| read(leg, &root.as_object().unwrap())).unwrap()
    }

    #[test]
    fn the_fixtures_limits_are_read() {
        use LegKind::{Perp, Spot};
        assert_eq!(
            limits_in("spot_rest_exchange_info.json", Spot),
            [
                BucketRule {
                    leg: Spot,
                    kind: Kind::Weight,
                    window_ns: MINUTE,
                    limit: 6_000,
                    header: Some(Header::Weight1m)
                },
                BucketRule {
                    leg: Spot,
                    kind: Kind::Orders,
                    window_ns: 10 * SEC,
                    limit: 100,
                    header: Some(Header::Orders10s)
                },
                BucketRule {
                    leg: Spot,
                    kind: Kind::Orders,
                    window_ns: DAY,
                    limit: 200_000,
                    header: Some(Header::OrdersLong)
                },
                BucketRule {
                    leg: Spot,
                    kind: Kind::Raw,
                    window_ns: 5 * MINUTE,
                    limit: 300_000,
                    header: None
                },
            ]
        );
        assert_eq!(
            limits_in("futures_rest_exchange_info.json", Perp),
            [
                rule(Perp, Kind::Weight, MINUTE, 2_400),
                rule(Perp, Kind::Orders, MINUTE, 1_200),
                rule(Perp, Kind::Orders, 10 * SEC, 300)
            ]
        );
        assert_eq!(limits_in("futures_rest_exchange_info.json", Perp)[1].header, Some(Header::OrdersLong));
    }

    fn answer(status: u16, headers: &str) -> Counted {
        let text = format!("HTTP/1.1 {status} OK\r\n{headers}Content-Length: 0\r\n\r\n");
        counted(status, &http::response(text.as_bytes(), 1_000).unwrap().unwrap().head)
    }

    #[test]
    fn a_status_that_asks_to_be_left_alone_always_says_for_how_long() {
        for (status, unsaid) in
            [(200, None), (400, None), (503, None), (429, Some(10)), (403, Some(10)), (418, Some(120))]
        {
            assert_eq!(answer(status, "").retry_after_s, unsaid, "{status}");
            assert_eq!(answer(status, "Retry-After: 7\r\n").retry_after_s, Some(7), "{status}");
        }
    }

    #[test]
    fn counters_are_read_in_any_case_and_minus_one_is_not_told() {
        let read = |headers| answer(200, headers);
        assert_eq!(
            read("X-MBX-USED-WEIGHT-1M: 12\r\nx-mbx-order-count-10s: 3\r\nX-Mbx-Order-Count-1D: 40\r\n"),
            Counted { weight_1m: Some(12), orders_10s: Some(3), orders_long: Some(40), retry_after_s: None }
        );
        assert_eq!(
            read("x-mbx-used-weight-1m: -1\r\nX-MBX-ORDER-COUNT-1M: 7\r\nRetry-After: 30\r\n"),
            Counted { weight_1m: None, orders_10s: None, orders_long: Some(7), retry_after_s: Some(30) }
        );
    }
}
