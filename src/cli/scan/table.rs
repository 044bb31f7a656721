//! Rows of a scan as a person reads them, and as a program does.
//!
//! Owns:  the columns, and when a row is a signal.
//! Never: hides a venue that failed.

use crate::carry::opportunity::Edge;
use crate::carry::rules::Policy;
use crate::cli::Settings;
use crate::ops::scan::{Row, Snapshot, whole};
use crate::units::decimal::{Text, short};
use crate::units::{Amount, Direction, Rate, Ratio, Unix};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    None,
    /// It may come to be a signal.
    Watch,
    /// Its net APR reaches the bar, and nothing speaks against it.
    Signal,
}

impl Standing {
    /// Of a row under a policy, at a notional.
    pub(super) fn of(row: &Row, notional: Amount, policy: &Policy) -> Self {
        let bar = policy.min_net_apr.unwrap_or(Ratio::ZERO);
        match row.edge(policy).and_then(|edge| edge.net_apr) {
            Some(net) if net >= bar && row.reasons(notional, policy).is_empty() => Self::Signal,
            Some(net) if net >= bar / 2 => Self::Watch,
            _ => Self::None,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Watch => "[WATCH]",
            Self::Signal => "[SIGNAL]",
        }
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Short => "short",
        Direction::Long => "long",
    }
}

/// Hundredths of a percent, as percent.
fn percent(value: i128, scale: u8) -> String {
    let step = 10i128.pow(u32::from(scale) - 4);
    format!("{} %", Text(value.div_euclid(step), 2))
}

fn ratio_percent(value: Ratio) -> String {
    let hundredths = value.checked_mul(Ratio::from_num(10_000)).map(|it| it.floor().to_num::<i128>());
    hundredths.map_or("-".to_owned(), |hundredths| format!("{} %", Text(hundredths, 2)))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn seconds(now: Unix, at: Unix) -> String {
    format!("{} s", Text(i128::from((now.as_ms() - at.as_ms()).max(0)) / 100, 1))
}

fn net(edge: Option<Edge>) -> String {
    or_dash(edge.and_then(|edge| edge.net_apr).map(ratio_percent))
}

/// A table, and how the venues do.
pub(super) fn text(
    snapshot: &Snapshot,
    shown: &[&Row],
    settings: &Settings,
    policy: &Policy,
    now: Unix,
) -> String {
    let mut out = format!(
        "{:<10} {:<8} {:<5} {:>10} {:>10} {:>9} {:>5} {:>9} {:>9} {:>6} {:>7}  {}\n",
        "coin", "venue", "side", "apr", "net", "rate", "hours", "7 days", "basis", "even h", "age", "against"
    );
    for row in shown.iter().take(settings.top) {
        let edge = row.edge(policy);
        let basis = row.prices.map(|prices| ratio_percent(prices.executable[row.direction() as usize]));
        let stands = Standing::of(row, settings.notional, policy).text();
        let reasons = row.reasons(settings.notional, policy).join("; ");
        let line = format!(
            "{:<10} {:<8} {:<5} {:>10} {:>10} {:>9} {:>5} {:>9} {:>9} {:>6} {:>7}  {stands}{}{reasons}",
            row.coin,
            row.exchange,
            word(row.direction()),
            percent(row.apr(), Rate::SCALE),
            net(edge),
            short(row.rate.0.into(), Rate::SCALE),
            row.hours,
            or_dash(row.sum_7d.map(|sum| percent(sum.0.into(), Rate::SCALE))),
            or_dash(basis),
            or_dash(edge.and_then(|edge| edge.break_even_hours).map(|hours| hours.to_string())),
            or_dash(row.prices.map(|prices| seconds(now, prices.at))),
            if stands.is_empty() || reasons.is_empty() { "" } else { " " },
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let hidden = shown.len().saturating_sub(settings.top);
    let _ = writeln!(
        out,
        "{} rows of {}{} at a notional of {} USDT and a hold of {} h",
        shown.len(),
        snapshot.rows.len(),
        if hidden > 0 { format!(", {} shown (--top)", settings.top) } else { String::new() },
        whole(settings.notional),
        policy.hold_s / 3_600
    );
    for venue in &snapshot.venues {
        let age = |at: Option<Unix>| at.map_or("never".to_owned(), |at| format!("{} ago", seconds(now, at)));
        let _ = write!(
            out,
            "{}: {} pairs, prices {}, funding {}",
            venue.exchange,
            venue.pairs,
            age(venue.prices_at),
            age(venue.rates_at)
        );
        for why in venue.left_out.iter().chain(&venue.why) {
            let _ = write!(out, "; {why}");
        }
        out.push('\n');
    }
    out
}

/// One line for a row that stands otherwise than before.
pub(super) fn event(row: &Row, stands: Standing, settings: &Settings, policy: &Policy, now: Unix) -> String {
    let (coin, word, net) = (&row.coin, word(row.direction()), net(row.edge(policy)));
    if settings.json {
        let event = json!({
            "at_ms": now.as_ms(), "standing": stands.text().trim_matches(['[', ']']).to_lowercase(),
            "row": in_json(row, settings, policy, now),
        });
        return format!("{event}\n");
    }
    let stands = if stands == Standing::None { "[-]" } else { stands.text() };
    let reasons = row.reasons(settings.notional, policy).join("; ");
    let apr = percent(row.apr(), Rate::SCALE);
    let line = format!("{now} {stands} {} {coin} {word}: apr {apr}, net {net}; {reasons}", row.exchange);
    format!("{}\n", line.trim_end_matches("; "))
}

/// Amounts as text, as everywhere but in the API.
fn in_json(row: &Row, settings: &Settings, policy: &Policy, now: Unix) -> Value {
    let edge = row.edge(policy);
    let ratio = |it: Ratio| Text((it * Ratio::from_num(100_000_000)).floor().to_num::<i128>(), 8).to_string();
    let exact = |rate: Rate| short(rate.0.into(), Rate::SCALE);
    json!({
        "coin": row.coin,
        "venue": row.exchange,
        "spot": row.symbols[0],
        "perp": row.symbols[1],
        "direction": word(row.direction()),
        "rate": exact(row.rate),
        "hours": row.hours,
        "apr": short(row.apr(), Rate::SCALE),
        "sum_7d": row.sum_7d.map(exact),
        "net_apr": edge.and_then(|edge| edge.net_apr).map(ratio),
        "basis": row.prices.map(|prices| ratio(prices.executable[row.direction() as usize])),
        "break_even_hours": edge.and_then(|edge| edge.break_even_hours),
        "turnover": row.turnover.map(|amount| short(amount.0, Amount::SCALE)),
        "next_ms": row.next.map(Unix::as_ms),
        "price_age_ms": row.prices.map(|prices| now.as_ms() - prices.at.as_ms()),
        "funding_age_ms": now.as_ms() - row.rate_at.as_ms(),
        "standing": Standing::of(row, settings.notional, policy).text().trim_matches(['[', ']']).to_lowercase(),
        "against": row.reasons(settings.notional, policy),
    })
}

/// The object programs read.
pub(super) fn json(
    snapshot: &Snapshot,
    shown: &[&Row],
    settings: &Settings,
    policy: &Policy,
    now: Unix,
) -> Value {
    let venues = snapshot.venues.iter().map(|venue| {
        json!({
            "venue": venue.exchange,
            "pairs": venue.pairs,
            "prices_age_ms": venue.prices_at.map(|at| now.as_ms() - at.as_ms()),
            "funding_age_ms": venue.rates_at.map(|at| now.as_ms() - at.as_ms()),
            "failures": venue.failures,
            "why": venue.why,
            "left_out": venue.left_out,
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": "scan",
        "notional": whole(settings.notional),
        "hold_s": policy.hold_s,
        "rows": shown.iter().map(|row| in_json(row, settings, policy, now)).collect::<Vec<_>>(),
        "venues": venues.collect::<Vec<_>>(),
    })
}
