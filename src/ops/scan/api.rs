//! The API: a question's parts in, an answer's parts out, over one snapshot.
//!
//! Owns:  paths, methods, the token, the JSON of every answer, entity tags, and counters of what was asked.
//! Never: touches a socket or a clock; [`super::serve`] does. Writes numbers as exact decimals, never by a float.
//! Wire:  DESIGN §7. Errors are JSON as well: `{error:{code,message},meta}`.

use super::query::{self, Wanted};
use super::{Row, Snapshot, Venue};
use crate::carry::opportunity::net_apr;
use crate::carry::rules::Policy;
use crate::units::decimal::short;
use crate::units::time::SEC;
use crate::units::{Amount, Direction, Rate, Ratio, Unix};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SPOT_PERP: &str = "/v1/arbitrage/spot-perp";
const HISTORY: &str = "/v1/funding-history";
/// All paths there are.
const PATHS: [&str; 6] = [SPOT_PERP, HISTORY, "/openapi.json", "/metrics", "/healthz", "/"];
const YEAR_DAYS: u32 = 365;
/// Answers kept for who asks the same again before anything changed.
const KEPT_MAX: usize = 64;
const JSON: &str = "application/json";

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// Without the `?`.
    pub query: &'a str,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// When it came, host clock.
    pub now: Unix,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub kind: &'static str,
    /// `ETag`.
    pub tag: Option<String>,
    /// `Allow` or `WWW-Authenticate`.
    pub extra: Option<(&'static str, &'static str)>,
    /// What is sent; nothing with 304.
    pub body: String,
}

/// The data of an answer, and its tag.
struct Kept {
    version: u64,
    second: i64,
    tag: String,
    data: Arc<str>,
}

/// What stays the same between questions.
pub struct Api {
    /// Digest of the token, if one is wanted.
    token: Option<[u8; 32]>,
    /// A round trip's fees where the caller says nothing.
    fees: Rate,
    policy: Policy,
    /// Tells requests of this process from those of others.
    started: Unix,
    asked: AtomicU64,
    /// By status class: 2xx, 3xx, 4xx.
    answered: [AtomicU64; 3],
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// Why there is no good answer.
struct No(u16, &'static str, String);

impl Api {
    /// Wants this token, if any; `fees` are those of a round trip, `policy` is weighed by.
    #[must_use]
    pub fn new(token: Option<&str>, fees: Rate, policy: Policy, started: Unix) -> Self {
        Self {
            token: token.map(digest),
            fees,
            policy,
            started,
            asked: AtomicU64::new(0),
            answered: Default::default(),
            kept: Mutex::default(),
        }
    }

    /// Answers. `took_ms` is told in `meta.elapsed_ms`.
    pub fn answer(&self, question: Question<'_>, snapshot: &Snapshot, took_ms: impl Fn() -> u128) -> Answer {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let meta = || {
            format!(
                r#"{{"request_id":"{:x}-{number:x}","timestamp":"{}","elapsed_ms":{}}}"#,
                self.started.as_ms(),
                question.now,
                took_ms()
            )
        };
        let answer = self.good(question, snapshot, &meta).unwrap_or_else(|No(status, code, message)| {
            let extra = match status {
                401 => Some(("www-authenticate", "Bearer")),
                405 => Some(("allow", "GET, HEAD")),
                _ => None,
            };
            let message = serde_json::Value::from(message);
            let body = format!(r#"{{"error":{{"code":"{code}","message":{message}}},"meta":{}}}"#, meta());
            Answer { status, kind: JSON, tag: None, extra, body }
        });
        let class = usize::from(answer.status / 100).saturating_sub(2).min(2);
        self.answered[class].fetch_add(1, Ordering::Relaxed);
        answer
    }

    fn good(
        &self,
        question: Question<'_>,
        snapshot: &Snapshot,
        meta: &impl Fn() -> String,
    ) -> Result<Answer, No> {
        if !PATHS.contains(&question.path) {
            return Err(No(
                404,
                "not_found",
                format!("there is no such path; there are {}", PATHS.join(", ")),
            ));
        }
        if !matches!(question.method, "GET" | "HEAD") {
            return Err(No(405, "method_not_allowed", "only GET and HEAD are answered here".to_owned()));
        }
        if question.path.starts_with("/v1/") {
            self.check(question.authorization)?;
        }
        let whole = |kind, body: String| Answer { status: 200, kind, tag: None, extra: None, body };
        match question.path {
            SPOT_PERP => {
                let wanted = Wanted::read(question.query).map_err(wrong)?;
                let (tag, data) = self.data(question, wanted, snapshot);
                if question.if_none_match.is_some_and(|known| known.split(',').any(|it| it.trim() == tag)) {
                    let nothing = String::new();
                    return Ok(Answer {
                        status: 304,
                        kind: JSON,
                        tag: Some(tag),
                        extra: None,
                        body: nothing,
                    });
                }
                let body = format!(r#"{{"data":{data},"meta":{}}}"#, meta());
                Ok(Answer { tag: Some(tag), ..whole(JSON, body) })
            }
            HISTORY => {
                let data = history(question.query, snapshot)?;
                Ok(whole(JSON, format!(r#"{{"data":{data},"meta":{}}}"#, meta())))
            }
            "/openapi.json" => Ok(whole(JSON, include_str!("openapi.json").to_owned())),
            "/metrics" => Ok(whole("text/plain; version=0.0.4", self.metrics(snapshot, question.now))),
            "/healthz" => {
                let fresh = |at: Option<Unix>| at.is_some_and(|at| question.now.0 - at.0 < 60 * SEC as i64);
                let well = snapshot.venues.iter().any(|venue| fresh(venue.prices_at));
                let (status, word) =
                    if well { (200, "ok") } else { (503, "no venue has told prices for 60 s") };
                let venues: Vec<String> = snapshot.venues.iter().map(|it| health(it, question.now)).collect();
                let body = format!(r#"{{"status":"{word}","venues":[{}]}}"#, venues.join(","));
                Ok(Answer { status, ..whole(JSON, body) })
            }
            _ => Ok(whole("text/html; charset=utf-8", include_str!("page.html").to_owned())),
        }
    }

    /// Digests are compared, so that how long it takes tells nothing of the token.
    fn check(&self, authorization: Option<&str>) -> Result<(), No> {
        let Some(token) = self.token else { return Ok(()) };
        let given = authorization.and_then(|text| text.strip_prefix("Bearer ")).map(digest);
        if given == Some(token) {
            return Ok(());
        }
        Err(No(401, "unauthorized", "send the token as `Authorization: Bearer TOKEN`".to_owned()))
    }

    /// The rows of an answer as JSON, and the tag of that text.
    fn data(&self, question: Question<'_>, wanted: Wanted, snapshot: &Snapshot) -> (String, Arc<str>) {
        // Ages are told with the economics, and grow by themselves.
        let second = if wanted.notional.is_some() { question.now.as_ms() / 1_000 } else { 0 };
        if let Ok(kept) = self.kept.lock()
            && let Some(kept) = kept.get(question.query)
            && (kept.version, kept.second) == (snapshot.version, second)
        {
            return (kept.tag.clone(), Arc::clone(&kept.data));
        }
        let hold_s = u64::from(wanted.hold_days.unwrap_or(YEAR_DAYS)) * 86_400;
        let policy = match wanted.hold_days {
            Some(_) => Policy { hold_s, ..self.policy },
            None => self.policy,
        };
        let mut out = String::from("[");
        for row in &snapshot.rows {
            let net = net_apr(row.apr(), self.fees, hold_s);
            let left_out = wanted.exchange.is_some_and(|it| it != row.exchange)
                || wanted.direction.is_some_and(|it| it != row.direction())
                || wanted.min_net_apr.is_some_and(|bar| net < i128::from(bar));
            if left_out {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            tell(&mut out, row, net);
            if let Some(notional) = wanted.notional {
                tell_edge(&mut out, row, notional, &policy, question.now);
            }
            out.push('}');
        }
        out.push(']');
        let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(out.as_bytes()), out.len());
        let data: Arc<str> = out.into();
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            let new = Kept { version: snapshot.version, second, tag: tag.clone(), data: Arc::clone(&data) };
            kept.insert(question.query.to_owned(), new);
        }
        (tag, data)
    }

    /// Prometheus' text form.
    fn metrics(&self, snapshot: &Snapshot, now: Unix) -> String {
        let mut out = String::new();
        for (class, count) in ["2xx", "3xx", "4xx"].iter().zip(&self.answered) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(out, "contango_scan_answers_total{{class=\"{class}\"}} {count}");
        }
        for venue in &snapshot.venues {
            let name = venue.exchange;
            let rows = snapshot.rows.iter().filter(|row| row.exchange == name).count();
            let _ = writeln!(out, "contango_scan_rows{{exchange=\"{name}\"}} {rows}");
            let _ = writeln!(out, "contango_scan_failures_total{{exchange=\"{name}\"}} {}", venue.failures);
            for (what, at) in [("prices", venue.prices_at), ("funding", venue.rates_at)] {
                if let Some(at) = at {
                    let age = short(i128::from((now.as_ms() - at.as_ms()).max(0)), 3);
                    let _ =
                        writeln!(out, "contango_scan_age_seconds{{exchange=\"{name}\",of=\"{what}\"}} {age}");
                }
            }
        }
        out
    }
}

fn wrong(message: String) -> No {
    No(400, "bad_request", message)
}

fn digest(token: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

/// What has no value is null.
fn or_null(text: Option<String>) -> String {
    text.unwrap_or_else(|| "null".to_owned())
}

fn exact(rate: Rate) -> String {
    short(rate.0.into(), Rate::SCALE)
}

/// A ratio with eight decimals, rounded down.
fn ratio(value: Ratio) -> String {
    let scaled = value.checked_mul(Ratio::from_num(100_000_000)).map(|it| it.floor().to_num::<i128>());
    scaled.map_or("null".to_owned(), |scaled| short(scaled, 8))
}

/// A row, still open at its end.
fn tell(out: &mut String, row: &Row, net: i128) {
    let (word, spot, perp) = match row.direction() {
        Direction::Short => ("short", "buy", "sell"),
        Direction::Long => ("long", "sell", "buy"),
    };
    let _ = write!(
        out,
        r#"{{"symbol":"{}","exchange":"{}","fundingRate":{},"cumRate7d":{},"apr":{},"basisRate":{},"netApr":{},"intervalHours":{},"direction":"{word}","portfolio":{{"spotSide":"{spot}","perpSide":"{perp}"}},"nextFundingTime":{}"#,
        row.coin,
        row.exchange,
        exact(row.rate),
        or_null(row.sum_7d.map(exact)),
        short(row.apr(), 18),
        or_null(row.prices.map(|prices| short(prices.middle.into(), 8))),
        short(net, 18),
        row.hours,
        or_null(row.next.map(|at| format!("\"{at}\""))),
    );
}

/// How a venue does, and why not well.
fn health(venue: &Venue, now: Unix) -> String {
    let age = |at: Option<Unix>| or_null(at.map(|at| (now.as_ms() - at.as_ms()).max(0).to_string()));
    let why = serde_json::Value::from(venue.why.as_deref());
    let left_out = serde_json::Value::from(venue.left_out.as_slice());
    format!(
        r#"{{"exchange":"{}","pairs":{},"pricesAgeMs":{},"fundingAgeMs":{},"failures":{},"why":{why},"leftOut":{left_out}}}"#,
        venue.exchange,
        venue.pairs,
        age(venue.prices_at),
        age(venue.rates_at),
        venue.failures,
    )
}

fn tell_edge(out: &mut String, row: &Row, notional: Amount, policy: &Policy, now: Unix) {
    let edge = row.edge(policy);
    let age = |at: Unix| (now.as_ms() - at.as_ms()).max(0).to_string();
    let executable = row.prices.map(|prices| ratio(prices.executable[row.direction() as usize]));
    let reasons = serde_json::Value::from(row.reasons(notional, policy));
    let fees = Rate(row.fees_one_way.0.saturating_mul(2));
    let _ = write!(
        out,
        r#","edge":{{"accountFees":{},"executableBasis":{},"breakEvenHours":{},"netApr":{},"priceAgeMs":{},"fundingAgeMs":{},"turnover24h":{},"against":{reasons}}}"#,
        exact(fees),
        or_null(executable),
        or_null(edge.and_then(|edge| edge.break_even_hours).map(|hours| hours.to_string())),
        or_null(edge.and_then(|edge| edge.net_apr).map(ratio)),
        or_null(row.prices.map(|prices| age(prices.at))),
        age(row.rate_at),
        or_null(row.turnover.map(|amount| short(amount.0, Amount::SCALE))),
    );
}

/// What settled of one coin at one exchange, oldest first.
fn history(text: &str, snapshot: &Snapshot) -> Result<String, No> {
    let (mut exchange, mut symbol) = (None, None);
    for (name, value) in query::pairs(text).map_err(wrong)? {
        match name.as_str() {
            "exchange" => exchange = Some(query::exchange(&value).map_err(wrong)?),
            "symbol" => symbol = Some(value),
            other => {
                return Err(wrong(format!("parameter `{other}` is unknown; there are exchange, symbol")));
            }
        }
    }
    let (Some(exchange), Some(symbol)) = (exchange, symbol) else {
        return Err(wrong(
            "exchange and symbol are both needed, such as ?exchange=OKX&symbol=BTC".to_owned(),
        ));
    };
    let row = snapshot.rows.iter().find(|row| row.exchange == exchange && row.coin == symbol);
    let row = row.ok_or_else(|| No(404, "not_found", format!("{exchange} has no row for `{symbol}` now")))?;
    let cells =
        row.settled.iter().map(|(at, rate)| format!(r#"{{"time":"{at}","fundingRate":{}}}"#, exact(*rate)));
    Ok(format!("[{}]", cells.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
