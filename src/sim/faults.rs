//! Faults on order: what `POST /fault` may ask for, kept until its moment comes, and counted when it does.
//!
//! Owns:  reading fault orders, matching them to orders, answers and quotes, the counts in `truth.faults`.
//! Never: carries a fault out; the caller does.

use super::config::Market;
use super::kinds::{Deaf, Forced, FundingOrder, Kind};
use super::matching::Side;
use super::number::parse_e8;
use super::odd::Odd;
use super::standing::Change;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest burst, in quotes of one symbol.
const BURST_MAX: u64 = 20_000;

const ALLOWED: &str = "kind is one of refuse (code, msg, status, taken), none, partial (fraction_ppm), drop_ack, lose, freeze \
                       (ms, fraction_ppm, acked: an IOC order stays NEW), \
                       html (taken), status (status, body, taken, retry_after_s), half, slow (ms), cut_streams, mute (stream, ms), bad_quote, crossed_quote, spike_quote (by_ppm: both its prices are off by so much), late_quote \
                       (it comes after the next one), stamp_quote (stamp_ms: a perp's quote says it is of then), thin (symbol, fraction_ppm, for_ms), \
                       burst (symbol, times: so many quotes at once), mark_off (symbol, by_ppm, for_ms), \
                       deaf (how silent|refused|unheeded, for_ms: to subscriptions), restrict (exits, for_ms: the account may place no \
                       orders; exits: but reduce-only ones), \
                       rules (symbol, up_ppm, down_ppm, tick, step, min_notional: from now on), \
                       symbol_status (symbol, status TRADING|BREAK|HALT|SETTLING), delivery (symbol, in_ms: a perp's \
                       deliveryDate; it trades on until delist), \
                       lag (ms, for_ms), delay_ack (ms), replica_lag (ms, for_ms), mute_user (ms), delay_user \
                       (ms, for_ms), dup_user, shuffle_user, cut_user, expire_listen_key, adl and liquidate \
                       (symbol, fraction_ppm), delist (symbol), foreign_order (symbol, rest, half_later_ms: half of it trades so much later, client_id), credit (symbol: some of its coins come without a trade), settle_now (symbol, or none for \
                       all), funding (symbol, or none for all; rate per interval as decimal text, interval_h 1|2|4|8, \
                       untold: whether new settlements are kept from the history, \
                       steady: whether the rate stands still and the history holds no other), maintenance (for_ms: 503 on every request but the system status, sockets closed, \
                       books and accounts frozen), no_counters (for_ms: answers without X-MBX headers), limit (weight_1m, orders_10s: from now on), \
                       ban (for_ms: 418 with Retry-After, longer for who goes on, open \
                       sockets stay), horizon (ms after which orders that died unfilled are forgotten, history_ms \
                       for all of USD-M's orders, trades and income), account (withdraw, ip_restrict, spot, futures: \
                       rights of the key; hedge, multi_assets, spot_burn, fee_burn; sapi: is it served; isolated, leverage and maintenance of symbol \
                       or all perps); each with optional count, market \
                       \"spot\"|\"usdm\"|\"both\", client_side \"BUY\"|\"SELL\"";

/// One fault waiting for its moment.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    left: u64,
    pub(super) market: Option<Market>,
    pub(super) side: Option<Side>,
}

/// All faults asked for and how often each kind struck.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Fault>,
    /// How long the answer to the present request is held back, ms.
    pub(super) hold_answer_ms: u64,
    pub(super) struck: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Reads a fault order.
    ///
    /// # Errors
    ///
    /// Says which member is wrong and what is allowed.
    pub(super) fn read(order: &Value) -> Result<Fault, String> {
        let members = order.as_object().ok_or_else(|| format!("a fault is a JSON object; {ALLOWED}"))?;
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let number = |key: &str, default: u64| match members.get(key) {
            None => Ok(default),
            Some(value) => value.as_u64().ok_or_else(|| format!("{key} is a whole number ≥ 0; {ALLOWED}")),
        };
        let given = |key: &str| members.get(key).map(|_| number(key, 0)).transpose();
        let flag = |key: &str| match members.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("{key} is true or false; {ALLOWED}")),
        };
        let status = |default: u64| {
            number("status", default)
                .and_then(|s| u16::try_from(s).map_err(|_| format!("status is an HTTP status; {ALLOWED}")))
        };
        let taken = members.get("taken").and_then(Value::as_bool).unwrap_or(false);
        let words = |key: &str, default: &str| text(key).unwrap_or(default).to_owned();
        let kind = match text("kind").unwrap_or("") {
            "refuse" => Kind::Refuse {
                code: members
                    .get("code")
                    .and_then(Value::as_i64)
                    .ok_or("refuse needs code, such as -2010")?,
                msg: words("msg", "Account has insufficient balance for requested action."),
                status: status(400)?,
                taken,
            },
            "none" => Kind::None,
            "partial" => Kind::Partial { ppm: number("fraction_ppm", 500_000)?.min(1_000_000) },
            "drop_ack" => Kind::DropAck,
            "lose" => Kind::Lose,
            "freeze" => Kind::Freeze {
                ms: number("ms", 10_000)?,
                ppm: number("fraction_ppm", 0)?.min(1_000_000),
                acked: members.get("acked").and_then(Value::as_bool).unwrap_or(true),
            },
            "html" => Kind::Html { taken },
            "half" => Kind::Half,
            "slow" => Kind::Slow { ms: number("ms", 5_000)? },
            "status" => Kind::Status {
                status: status(503)?,
                body: words("body", ""),
                taken,
                retry_after_s: number("retry_after_s", 0)?,
            },
            "cut_streams" => Kind::CutStreams,
            "mute" => Kind::Mute {
                stream: text("stream").ok_or("mute needs stream, such as \"btcusdt@bookTicker\"")?.to_owned(),
                ms: number("ms", 1_000)?,
            },
            kind @ ("bad_quote" | "crossed_quote" | "spike_quote" | "late_quote" | "stamp_quote") => {
                Kind::Quote(Odd::of(kind, by_ppm(members)?, number("stamp_ms", 0)?))
            }
            "rules" => {
                let size = |key: &str| {
                    let text = members.get(key).map(|it| it.as_str().unwrap_or(""));
                    text.map(|text| parse_e8(text).map_err(|_| format!("{key} is a decimal text")))
                        .transpose()
                };
                Kind::Rules {
                    symbol: text("symbol").ok_or("rules needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                    up_ppm: given("up_ppm")?,
                    down_ppm: given("down_ppm")?,
                    tick: size("tick")?,
                    step: size("step")?,
                    min_notional: size("min_notional")?,
                }
            }
            "delivery" => Kind::Delivery {
                symbol: text("symbol").ok_or("delivery needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                in_ms: number("in_ms", 86_400_000)?,
            },
            "symbol_status" => {
                let known = ["TRADING", "BREAK", "HALT", "SETTLING"];
                let status = known.into_iter().find(|it| Some(*it) == text("status"));
                Kind::SymbolStatus {
                    symbol: text("symbol")
                        .ok_or("symbol_status needs symbol, such as \"BTCUSDT\"")?
                        .to_owned(),
                    status: status.ok_or("symbol_status needs status: TRADING, BREAK, HALT or SETTLING")?,
                }
            }
            "burst" => Kind::Burst {
                symbol: text("symbol").ok_or("burst needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                times: number("times", 100)?.min(BURST_MAX),
            },
            "mark_off" => Kind::MarkOff {
                symbol: text("symbol").ok_or("mark_off needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                ppm: by_ppm(members)?,
                for_ms: number("for_ms", 1_000)?,
            },
            "deaf" => Kind::Deaf {
                how: match text("how") {
                    Some("silent") => Deaf::Silent,
                    Some("refused") => Deaf::Refused,
                    Some("unheeded") => Deaf::Unheeded,
                    _ => return Err(format!("deaf needs how: silent, refused or unheeded; {ALLOWED}")),
                },
                for_ms: number("for_ms", 1_000)?,
            },
            "restrict" => Kind::Restrict { exits: flag("exits")?, for_ms: number("for_ms", 1_000)? },
            "thin" => Kind::Thin {
                symbol: text("symbol").ok_or("thin needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                ppm: number("fraction_ppm", 20_000)?.min(1_000_000),
                for_ms: number("for_ms", 1_000)?,
            },
            "delay_ack" => Kind::DelayAck { ms: number("ms", 1_000)? },
            "replica_lag" => Kind::ReplicaLag { ms: number("ms", 500)?, for_ms: number("for_ms", 1_000)? },
            "mute_user" => Kind::MuteUser { ms: number("ms", 1_000)? },
            "delay_user" => Kind::DelayUser { ms: number("ms", 100)?, for_ms: number("for_ms", 1_000)? },
            "dup_user" => Kind::DupUser,
            "shuffle_user" => Kind::ShuffleUser,
            "cut_user" => Kind::CutUser,
            "expire_listen_key" => Kind::ExpireListenKey,
            name @ ("adl" | "liquidate" | "delist") => Kind::Force {
                how: match name {
                    "adl" => Forced::Adl,
                    "liquidate" => Forced::Liquidation,
                    _ => Forced::Settlement,
                },
                symbol: text("symbol")
                    .ok_or("adl, liquidate and delist need symbol, such as \"BTCUSDT\"")?
                    .to_owned(),
                // A settlement leaves nothing open.
                ppm: if name == "delist" { 1_000_000 } else { number("fraction_ppm", 1_000_000)? },
            },
            "foreign_order" => Kind::ForeignOrder {
                symbol: text("symbol").ok_or("foreign_order needs symbol, such as \"BTCUSDT\"")?.to_owned(),
                rest: flag("rest")?,
                half_later_ms: given("half_later_ms")?,
                client_id: text("client_id").map(str::to_owned),
            },
            "credit" => Kind::Credit {
                symbol: text("symbol").ok_or("credit needs symbol, such as \"BTCUSDT\"")?.to_owned(),
            },
            "settle_now" => Kind::SettleNow { symbol: text("symbol").map(str::to_owned) },
            "funding" => Kind::Funding(read_funding(members)?),
            "maintenance" => Kind::Maintenance { for_ms: number("for_ms", 1_000)? },
            "no_counters" => Kind::NoCounters { for_ms: number("for_ms", 1_000)? },
            "limit" => {
                let small = |key: &str| {
                    let number = given(key)?;
                    number.map(|n| u32::try_from(n).map_err(|_| format!("{key} is too large"))).transpose()
                };
                Kind::Limit { weight_1m: small("weight_1m")?, orders_10s: small("orders_10s")? }
            }
            "ban" => Kind::Ban { for_ms: number("for_ms", 1_000)? },
            "horizon" => {
                let (ms, history_ms) = (given("ms")?, given("history_ms")?);
                if ms.is_none() && history_ms.is_none() {
                    return Err(format!("horizon needs ms or history_ms; {ALLOWED}"));
                }
                Kind::Horizon { ms, history_ms }
            }
            "account" => {
                Kind::Account(Box::new(Change::read(members).map_err(|why| format!("{why}; {ALLOWED}"))?))
            }
            "lag" => Kind::Lag { ms: number("ms", 100)?, for_ms: number("for_ms", 1_000)? },
            other => return Err(format!("kind {other:?} is unknown; {ALLOWED}")),
        };
        let market = match members.get("market").map(|m| m.as_str().unwrap_or("")) {
            None | Some("both") => None,
            Some("spot") => Some(Market::Spot),
            Some("usdm") => Some(Market::Usdm),
            Some(other) => return Err(format!("market {other:?} is unknown; {ALLOWED}")),
        };
        let side = match members.get("client_side").map(|s| s.as_str().unwrap_or("")) {
            None => None,
            Some("BUY") => Some(Side::Buy),
            Some("SELL") => Some(Side::Sell),
            Some(other) => return Err(format!("client_side {other:?} is unknown; {ALLOWED}")),
        };
        Ok(Fault { kind, left: number("count", 1)?, market, side })
    }

    pub(super) fn wait(&mut self, fault: Fault) {
        if fault.left > 0 {
            self.waiting.push(fault);
        }
    }

    /// Drops every fault that waits for its moment.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.hold_answer_ms = 0;
    }

    /// Counts a fault that was carried out at once.
    pub(super) fn count(&mut self, kind: &Kind) {
        *self.struck.entry(kind.name()).or_default() += 1;
    }

    /// The fault that an order meets, if any.
    pub(super) fn for_order(&mut self, market: Market, side: Side) -> Option<Kind> {
        self.take(|f| {
            matches!(
                f.kind,
                Kind::Refuse { .. }
                    | Kind::None
                    | Kind::Partial { .. }
                    | Kind::DropAck
                    | Kind::DelayAck { .. }
                    | Kind::Lose
                    | Kind::Freeze { .. }
            ) && f.market.is_none_or(|m| m == market)
                && f.side.is_none_or(|s| s == side)
        })
    }

    /// The fault that a REST answer meets, if any; `side` is that of an order request.
    pub(super) fn for_answer(&mut self, market: Market, side: Option<Side>) -> Option<Kind> {
        self.take(|f| {
            matches!(f.kind, Kind::Html { .. } | Kind::Status { .. } | Kind::Half | Kind::Slow { .. })
                && f.market.is_none_or(|m| m == market)
                && f.side.is_none_or(|s| side == Some(s))
        })
    }

    /// What is to be wrong with this best quote, if anything.
    pub(super) fn for_quote(&mut self, market: Market) -> Option<Odd> {
        let met = self.take(|f| matches!(f.kind, Kind::Quote(_)) && f.market.is_none_or(|m| m == market));
        met.and_then(|kind| if let Kind::Quote(odd) = kind { Some(odd) } else { None })
    }

    /// Is this private event to be sent twice?
    pub(super) fn for_event(&mut self, market: Market) -> bool {
        self.take(|f| f.kind == Kind::DupUser && f.market.is_none_or(|m| m == market)).is_some()
    }

    /// Are these events of one order to be told in the wrong order?
    pub(super) fn for_batch(&mut self, market: Market) -> bool {
        self.take(|f| f.kind == Kind::ShuffleUser && f.market.is_none_or(|m| m == market)).is_some()
    }

    fn take(&mut self, fits: impl Fn(&Fault) -> bool) -> Option<Kind> {
        let at = self.waiting.iter().position(fits)?;
        let kind = self.waiting[at].kind.clone();
        self.waiting[at].left -= 1;
        if self.waiting[at].left == 0 {
            self.waiting.remove(at);
        }
        self.count(&kind);
        Some(kind)
    }
}

/// How far off a price is, in millionths.
fn by_ppm(members: &Map<String, Value>) -> Result<i64, String> {
    let ppm = members.get("by_ppm").map_or(Some(100_000), Value::as_i64);
    let ppm = ppm.filter(|ppm| (-999_999..=9_000_000).contains(ppm));
    ppm.ok_or_else(|| "by_ppm is a whole number from -999999 to 9000000".to_owned())
}

fn read_funding(members: &Map<String, Value>) -> Result<FundingOrder, String> {
    let signed = |text: &str| match text.strip_prefix('-') {
        Some(rest) => parse_e8(rest).ok().map(|rate| -rate),
        None => parse_e8(text).ok(),
    };
    let rate = match members.get("rate").map(|rate| rate.as_str().and_then(signed)) {
        Some(None) => {
            return Err(format!(
                "rate is decimal text of at most 8 decimals, such as \"-0.0003\"; {ALLOWED}"
            ));
        }
        rate => rate.flatten(),
    };
    let interval_h = match members.get("interval_h").map(Value::as_u64) {
        Some(Some(1 | 2 | 4 | 8)) | None => members.get("interval_h").and_then(Value::as_u64),
        Some(_) => return Err(format!("interval_h is 1, 2, 4 or 8; {ALLOWED}")),
    };
    let flag = |name: &str| match members.get(name).map(Value::as_bool) {
        Some(None) => Err(format!("{name} is true or false; {ALLOWED}")),
        flag => Ok(flag.flatten()),
    };
    let (untold, steady) = (flag("untold")?, flag("steady")?);
    if (rate, interval_h, untold, steady) == (None, None, None, None) {
        return Err(format!("funding needs rate, interval_h, untold or steady; {ALLOWED}"));
    }
    let symbol = members.get("symbol").and_then(Value::as_str).map(str::to_owned);
    Ok(FundingOrder { symbol, rate, interval_h, untold, steady })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_strikes_as_often_as_asked_and_only_where_asked() {
        let mut faults = Faults::default();
        let order = json!({"kind": "partial", "fraction_ppm": 250_000, "count": 2, "market": "usdm", "client_side": "SELL"});
        faults.wait(Faults::read(&order).unwrap());
        assert_eq!(faults.for_order(Market::Spot, Side::Sell), None);
        assert_eq!(faults.for_order(Market::Usdm, Side::Buy), None);
        assert_eq!(faults.for_order(Market::Usdm, Side::Sell), Some(Kind::Partial { ppm: 250_000 }));
        assert_eq!(faults.for_order(Market::Usdm, Side::Sell), Some(Kind::Partial { ppm: 250_000 }));
        assert_eq!(faults.for_order(Market::Usdm, Side::Sell), None);
        assert_eq!(faults.struck["partial"], 2);
    }

    #[test]
    fn a_wrong_fault_is_told_what_is_allowed() {
        for wrong in [json!(1), json!({}), json!({"kind": "x"}), json!({"kind": "none", "market": "moon"})] {
            assert!(Faults::read(&wrong).unwrap_err().contains("kind is one of"), "{wrong}");
        }
        assert!(Faults::read(&json!({"kind": "refuse"})).unwrap_err().contains("-2010"));
    }
}
