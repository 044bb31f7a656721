//! The budgets in a summary: our own peak of every limit, beside the venue's.
//!
//! Owns:  [`Bucket`], its name, its JSON, and what share of its limit was used at most.
//! Never: counts.

use crate::event::BudgetTold;
use crate::units::time::SEC;
use serde_json::{Map, Value, json};

/// One limit of one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Venue and market, such as `binance spot`.
    pub lane: String,
    /// What and over how long, such as `orders_10s`.
    pub name: String,
    /// Units the venue takes in one window.
    pub limit: u64,
    /// The most units of our own in any sliding window.
    pub own_peak: u64,
    /// The most the venue counted in any of its windows, by its own account; `None`: not known.
    pub venue_peak: Option<u64>,
}

impl Bucket {
    /// From what the engine tells.
    #[must_use]
    pub fn of(told: &BudgetTold) -> Self {
        let name = format!("{}_{}", told.kind.name(), length(told.window_ns / SEC));
        Self { lane: told.lane.clone(), name, limit: told.limit, own_peak: told.peak, venue_peak: None }
    }

    /// The largest share of the limit used, whoever counted more, in whole percent, rounded up.
    #[must_use]
    pub fn peak_pct(&self) -> u64 {
        (self.own_peak.max(self.venue_peak.unwrap_or(0)) * 100).div_ceil(self.limit.max(1))
    }
}

fn length(seconds: u64) -> String {
    match seconds {
        86_400.. if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        3_600.. if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        60.. if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// All limits of a venue, market by market.
#[must_use]
pub fn json(venue: &str, buckets: &[Bucket]) -> Value {
    let mut markets = Map::new();
    let mine = buckets.iter().filter_map(|it| Some((it.lane.strip_prefix(venue)?.trim_start(), it)));
    for (market, it) in mine {
        let row = json!({"limit": it.limit, "own_peak": it.own_peak, "venue_peak": it.venue_peak});
        markets.entry(market).or_insert_with(|| json!({}))[it.name.as_str()] = row;
    }
    let peak = buckets.iter().filter(|it| it.lane.starts_with(venue)).map(Bucket::peak_pct).max();
    json!({"peak_used_pct": peak.unwrap_or(0), "markets": markets})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;

    #[test]
    fn windows_are_named_as_people_say_them() {
        let names = [10, 60, 300, 3_600, 86_400, 90].map(length);
        assert_eq!(names, ["10s", "1m", "5m", "1h", "1d", "90s"]);
    }

    #[test]
    fn the_larger_count_makes_the_peak() {
        let told = BudgetTold {
            lane: "binance spot".to_owned(),
            kind: Kind::Orders,
            window_ns: 10 * SEC,
            used: 0,
            line: 60,
            limit: 100,
            peak: 12,
            quiet_ns: 0,
        };
        let mut bucket = Bucket::of(&told);
        assert_eq!((bucket.name.as_str(), bucket.peak_pct()), ("orders_10s", 12));
        bucket.venue_peak = Some(15);
        let expected = json!({
            "peak_used_pct": 15,
            "markets": {"spot": {"orders_10s": {"limit": 100, "own_peak": 12, "venue_peak": 15}}},
        });
        assert_eq!(json("binance", &[bucket]), expected);
    }
}
