//! The end of a run: one object for programs, one page for people, from the same numbers.
//!
//! Owns:  [`Summary`], its JSON (DESIGN §9, stable: fields are added, never changed) and its text.
//! Never: computes a result; whoever ran fills it in. No figure is rounded in the JSON.
//! Quirk: what only the box can know (venue fills, naked time, its budgets' peaks) is `None` where there is no
//!        box, and `null` in the JSON: missing is not zero.

use super::budgets::{self, Bucket};
use super::pnl;
pub use super::pnl::Pnl;
use super::recording::SessionTold;
use crate::agents::reader::LinkCounts;
use crate::agents::shadow::{Why, terms::bps_text};
use crate::agents::trader::Weighed;
use crate::units::{Amount, decimal};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Everything a run has to say at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `demo`, `run`.
    pub command: String,
    /// Venues traded on.
    pub venues: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// How long it ran once all feeds were live, in whole seconds.
    pub seconds: u64,
    /// From the start of the process until all feeds were live, in ms.
    pub startup_ms: u64,
    /// `synthetic`, `tape:<file>` or `live`.
    pub market: String,
    /// Pairs.
    pub pairs: Pairs,
    /// Orders.
    pub orders: Orders,
    /// Fills the venue made, by its own account.
    pub fills_venue: Option<u64>,
    /// Fills we booked.
    pub fills_booked: u64,
    /// Time with one leg on and the other not, by the box's account.
    pub exposure: Option<Exposure>,
    /// Profit and loss, in USDT.
    pub pnl: Pnl,
    /// Fees in coins of which no price came, by coin: in no part of `pnl`.
    pub fees_unvalued: Vec<(String, Amount)>,
    /// Equity at the start and at the end, in USDT, by the box's account; `None`: not known.
    pub equity: Option<(Amount, Amount)>,
    /// Every limit of every market traded on, and how much of it was used.
    pub budget: Vec<Bucket>,
    /// Faults met, by name.
    pub faults: Vec<(String, u64)>,
    /// What each stage took.
    pub latency: Vec<(&'static str, Latency)>,
    /// What the hot path did.
    pub hot_path: HotPath,
    /// Thresholds that were passed and not acted on, since real orders were off.
    pub signals: u64,
    /// Why each pair did or did not trade.
    pub why: Vec<WhyPair>,
    /// How often the gate refused a signal, by reason.
    pub gate: Vec<(&'static str, u64)>,
    /// Hash of all decisions, hex.
    pub decisions_sha256: String,
    /// Where files were written.
    pub out: String,
    /// What is left open, each named.
    pub open: Vec<String>,
    /// The session file that was written, if one was asked for.
    pub session: Option<SessionTold>,
}

/// Why a pair did or did not trade, in basis points with two decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyPair {
    /// Canonical base asset.
    pub pair: String,
    /// Executable basis from which on a short entry pays; `None`: never at this carry.
    pub enter_short_bps: Option<String>,
    /// The same for a long entry.
    pub enter_long_bps: Option<String>,
    /// Best executable short-entry basis seen.
    pub best_bps: Option<String>,
    /// How often it was weighed on a new quote without a signal, by reason.
    pub weighed: Vec<(&'static str, u64)>,
    /// What switched the pair's entries off.
    pub frozen: Option<String>,
}

impl WhyPair {
    /// From the shadow's account and the trader's count.
    #[must_use]
    pub fn of(why: Why<'_>, weighed: [u64; Weighed::TEXTS.len()]) -> Self {
        Self {
            pair: why.pair.to_owned(),
            enter_short_bps: why.enter[0].map(bps_text),
            enter_long_bps: why.enter[1].map(bps_text),
            best_bps: why.best.map(bps_text),
            weighed: Weighed::TEXTS.into_iter().zip(weighed).filter(|(_, n)| *n > 0).collect(),
            frozen: why.frozen.map(str::to_owned),
        }
    }

    fn text(&self) -> String {
        let bps = |text: &Option<String>| text.as_ref().map_or("never".to_owned(), |n| format!("{n} bp"));
        let mut line = format!("{:<8} enters at {}", self.pair, bps(&self.enter_short_bps));
        if let Some(best) = &self.best_bps {
            let _ = write!(line, ", best seen {best} bp");
        }
        for (reason, n) in &self.weighed {
            let _ = write!(line, "; {reason} {n} times");
        }
        if let Some(frozen) = &self.frozen {
            let _ = write!(line, "; {frozen}");
        }
        line
    }
}

/// Counts of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Positions opened.
    pub opened: u64,
    /// Positions closed again.
    pub closed: u64,
    /// Positions open at the end.
    pub open_now: u64,
    /// Broken ones that were mended.
    pub repaired: u64,
}

/// Counts of orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Sent.
    pub sent: u64,
    /// Filled whole.
    pub filled: u64,
    /// Filled in part.
    pub partial: u64,
    /// Refused by the venue.
    pub rejected: u64,
    /// Of unknown fate at the end.
    pub unknown_now: u64,
}

/// Time with one leg on and the other not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Base assets naked at the end.
    pub naked_now: u64,
    /// Longest, in ms, rounded up.
    pub naked_ms_max: u64,
    /// 99th percentile, in ms, rounded up.
    pub naked_ms_p99: u64,
    /// Median, in us, rounded up.
    pub naked_us_p50: u64,
    /// 99th percentile, in us, rounded up.
    pub naked_us_p99: u64,
}

/// A stage's distribution, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How often.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

impl Latency {
    /// Of a histogram in ns.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// What the hot path did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotPath {
    /// Heap allocations of the hot rooms once warm; `None`: not counted in this build.
    pub allocations: Option<u64>,
    /// Those made by links over TLS on their behalf: none, unless rustls keeps one.
    pub tls_allocations: Option<u64>,
    /// Connections that rustls keeps, since the other side speaks no TLS 1.3; it allocates once or so a record.
    pub tls_fallbacks: Option<u64>,
    /// Frames the fast decoder left to the checked one.
    pub decode_fallbacks: u64,
    /// Market messages refused, each for a stated reason.
    pub refused: u64,
    /// Quotes taken.
    pub quotes: u64,
    /// Quotes overtaken by a newer one before the trader saw them.
    pub conflated: u64,
    /// Times a pair was weighed on a new quote.
    pub decisions: u64,
    /// Orders rendered and signed ahead, encrypted at fire time.
    pub prepared: u64,
    /// Orders rendered, signed and encrypted ahead.
    pub sealed: u64,
    /// Orders rendered and signed at fire time.
    pub signed: u64,
    /// Orders whose fill or end the trader's private stream told before their answer.
    pub feed_before_ack: u64,
    /// Times that stream was lost.
    pub feed_lost: u64,
    /// What each of the `--feed-links` was good for.
    pub feed_links: [LinkCounts; 2],
}

impl Summary {
    /// The object programs read, keys in the order of DESIGN §9.
    #[must_use]
    pub fn json(&self) -> Value {
        let latency: Map<String, Value> = self
            .latency
            .iter()
            .map(|(stage, l)| {
                let value = json!({
                    "count": l.count, "p50": l.p50, "p90": l.p90, "p99": l.p99, "p999": l.p999, "max": l.max,
                });
                ((*stage).to_owned(), value)
            })
            .collect();
        let venues = self.venues.iter();
        let budget: Map<String, Value> =
            venues.map(|venue| (venue.clone(), budgets::json(venue, &self.budget))).collect();
        let faults: Map<String, Value> =
            self.faults.iter().map(|(name, n)| (name.clone(), json!(n))).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "command": self.command,
            "venues": self.venues,
            "seed": self.seed,
            "seconds": self.seconds,
            "startup_ms": self.startup_ms,
            "market": self.market,
            "pairs": {
                "opened": self.pairs.opened,
                "closed": self.pairs.closed,
                "open_now": self.pairs.open_now,
                "repaired": self.pairs.repaired,
            },
            "orders": {
                "sent": self.orders.sent,
                "filled": self.orders.filled,
                "partial": self.orders.partial,
                "rejected": self.orders.rejected,
                "unknown_now": self.orders.unknown_now,
            },
            "fills": {"venue": self.fills_venue, "booked": self.fills_booked},
            "exposure": {
                "naked_now": self.exposure.map(|e| e.naked_now),
                "naked_ms_max": self.exposure.map(|e| e.naked_ms_max),
                "naked_ms_p99": self.exposure.map(|e| e.naked_ms_p99),
                "naked_us_p50": self.exposure.map(|e| e.naked_us_p50),
                "naked_us_p99": self.exposure.map(|e| e.naked_us_p99),
            },
            "pnl": self.pnl.json(),
            "fees_unvalued": pnl::unvalued_json(&self.fees_unvalued),
            "equity": {
                "start": self.equity.map(|(start, _)| start.to_string()),
                "end": self.equity.map(|(_, end)| end.to_string()),
            },
            "budget": budget,
            "faults": faults,
            "latency_ns": latency,
            "hot_path": {
                "allocations": self.hot_path.allocations,
                "tls_allocations": self.hot_path.tls_allocations,
                "tls_fallbacks": self.hot_path.tls_fallbacks,
                "decode_fallbacks": self.hot_path.decode_fallbacks,
                "refused": self.hot_path.refused,
                "quotes": self.hot_path.quotes,
                "conflated": self.hot_path.conflated,
                "decisions": self.hot_path.decisions,
                "prepared": self.hot_path.prepared,
                "sealed": self.hot_path.sealed,
                "signed": self.hot_path.signed,
                "feed_before_ack": self.hot_path.feed_before_ack,
                "feed_lost": self.hot_path.feed_lost,
                "feed_links": self.hot_path.feed_links.map(|link| json!({
                    "first": link.first, "ahead_ns_mean": link.mean_ns(), "ahead_ns_max": link.ahead_max_ns,
                })),
            },
            "signals": self.signals,
            "why": self.why.iter().map(|why| json!({
                "pair": why.pair,
                "enter_short_bps": why.enter_short_bps,
                "enter_long_bps": why.enter_long_bps,
                "best_bps": why.best_bps,
                "weighed": why.weighed.iter().map(|(why, n)| ((*why).to_owned(), json!(n))).collect::<Map<_, _>>(),
                "frozen": why.frozen,
            })).collect::<Vec<_>>(),
            "gate": self.gate.iter().map(|(why, n)| ((*why).to_owned(), json!(n))).collect::<Map<_, _>>(),
            "decisions_sha256": self.decisions_sha256,
            "out": self.out,
            "open": self.open,
            "session": self.session.as_ref().map(SessionTold::json),
        })
    }

    /// The page people read: at most 40 lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = Page::default();
        let (pairs, orders, hot) = (&self.pairs, &self.orders, &self.hot_path);
        page.line(&format!(
            "contango {}: {} s on {}, market {}, seed {} (ready after {} ms)",
            self.command,
            self.seconds,
            self.venues.join(", "),
            self.market,
            self.seed,
            self.startup_ms
        ));
        page.line("");
        page.row(
            "positions",
            &format!(
                "{} opened, {} closed, {} open now, {} repaired",
                pairs.opened, pairs.closed, pairs.open_now, pairs.repaired
            ),
        );
        page.row(
            "orders",
            &format!(
                "{} sent: {} filled, {} in part, {} rejected, {} unknown now",
                orders.sent, orders.filled, orders.partial, orders.rejected, orders.unknown_now
            ),
        );
        let venue = self.fills_venue.map_or_else(String::new, |n| format!(", {n} at the venue"));
        page.row("fills", &format!("{} booked{venue}", self.fills_booked));
        if let Some(e) = self.exposure {
            page.row(
                "one leg only",
                &format!(
                    "{} now; median {} us, p99 {} us, longest {} ms",
                    e.naked_now, e.naked_us_p50, e.naked_us_p99, e.naked_ms_max
                ),
            );
        }
        let used = self.budget.iter().map(|it| format!("{} {} {}%", it.lane, it.name, it.peak_pct()));
        let used: Vec<String> = used.collect();
        page.list("budget used", &used);
        let met: Vec<String> = self.faults.iter().map(|(name, n)| format!("{name} {n}")).collect();
        page.list("faults met", &met);
        page.list("left open", &self.open);
        page.line("");
        let equity = self.equity.map_or_else(String::new, |(start, end)| {
            format!(" (equity {} to {})", money(start, false), money(end, false))
        });
        page.row("profit", &format!("{} USDT{equity}", money(self.pnl.total, true)));
        for (name, part) in self.pnl.parts() {
            page.line(&format!("    {name:<13}{:>16}", money(part, true)));
        }
        page.list("not counted", &pnl::unvalued_told(&self.fees_unvalued));
        page.latency(&self.latency);
        page.line("");
        page.row(
            "hot path",
            &format!(
                "{} quotes ({} overtaken, {} decoded the slow way), {} decisions",
                hot.quotes, hot.conflated, hot.decode_fallbacks, hot.decisions
            ),
        );
        let allocations = hot.allocations.map_or_else(|| "not counted".to_owned(), |n| n.to_string());
        page.row(
            "",
            &format!(
                "orders: {} prepared, {} sealed, {} signed late; allocations: {allocations}",
                hot.prepared, hot.sealed, hot.signed
            ),
        );
        page.row(
            "",
            &format!(
                "private stream: {} orders told before their answer, lost {} times",
                hot.feed_before_ack, hot.feed_lost
            ),
        );
        let [first, second] = hot.feed_links;
        if first.first + second.first > 0 {
            let (all, most_us) = (first.first + second.first, second.ahead_max_ns / 1_000);
            let told = format!("second socket first {} of {all} times", second.first);
            page.row(
                "",
                &format!("{told}, by {} µs on the mean, {most_us} at most", second.mean_ns() / 1_000),
            );
        }
        let refused: Vec<String> = self.gate.iter().map(|(why, n)| format!("{why} {n}")).collect();
        page.list("gate closed", &refused);
        if self.pairs.opened == 0 {
            let why: Vec<String> = self.why.iter().take(12).map(WhyPair::text).collect();
            page.list("why no trade", &why);
        }
        page.row("decisions", &self.decisions_sha256);
        page.row("files", &self.out);
        if let Some(session) = &self.session {
            page.row("session", &session.text());
        }
        page.0
    }
}

/// How many names a line of names shows.
const NAMES_SHOWN: usize = 6;

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn row(&mut self, name: &str, text: &str) {
        self.line(&format!("  {name:<13}{text}"));
    }

    /// Left out where there is nothing to tell.
    fn list(&mut self, name: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        let mut text = items[..items.len().min(NAMES_SHOWN)].join(", ");
        if items.len() > NAMES_SHOWN {
            let _ = write!(text, " and {} more", items.len() - NAMES_SHOWN);
        }
        self.row(name, &text);
    }

    fn latency(&mut self, stages: &[(&'static str, Latency)]) {
        let measured: Vec<_> = stages.iter().filter(|(_, latency)| latency.count > 0).collect();
        if measured.is_empty() {
            return;
        }
        self.line("");
        self.line(&format!(
            "  {:<20}{:>10}{:>12}{:>12}{:>12}{:>12}",
            "latency, in us", "count", "median", "p99", "p99.9", "max"
        ));
        for (stage, l) in measured {
            self.line(&format!(
                "    {stage:<18}{:>10}{:>12}{:>12}{:>12}{:>12}",
                l.count,
                micros(l.p50),
                micros(l.p99),
                micros(l.p999),
                micros(l.max)
            ));
        }
    }
}

/// ns as µs with one decimal, rounded to the nearest.
fn micros(ns: u64) -> String {
    let tenths = (ns + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// An amount as people read it: four decimals, rounded to the nearest, with its sign if asked.
pub(super) fn money(amount: Amount, signed: bool) -> String {
    const DECIMALS: u8 = 4;
    let step = decimal::pow10_i128(Amount::SCALE - DECIMALS);
    let rounded = (amount.0 + amount.0.signum() * (step / 2)) / step;
    let plus = if signed && rounded > 0 { "+" } else { "" };
    format!("{plus}{}", decimal::Text(rounded, DECIMALS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::shadow::totals::STAGES;

    fn amount(text: &str) -> Amount {
        Amount::parse(text.as_bytes()).unwrap()
    }

    /// As much as there can be to tell.
    fn full() -> Summary {
        let latency =
            Latency { count: 84, p50: 12_340, p90: 15_000, p99: 20_049, p999: 20_050, max: 1_000_000 };
        Summary {
            command: "demo".to_owned(),
            venues: vec!["binance".to_owned()],
            seed: 7,
            seconds: 10,
            startup_ms: 812,
            market: "synthetic".to_owned(),
            pairs: Pairs { opened: 20, closed: 19, open_now: 1, repaired: 2 },
            orders: Orders { sent: 84, filled: 80, partial: 2, rejected: 2, unknown_now: 0 },
            fills_venue: Some(84),
            fills_booked: 84,
            exposure: Some(Exposure {
                naked_now: 0,
                naked_ms_max: 12,
                naked_ms_p99: 9,
                naked_us_p50: 1500,
                naked_us_p99: 8700,
            }),
            pnl: Pnl { total: amount("12.503456789"), fees: amount("-3.00004999"), ..Pnl::default() },
            fees_unvalued: vec![("BNB".to_owned(), amount("0.00045"))],
            equity: Some((amount("1000000"), amount("1000012.503456789"))),
            budget: vec![Bucket {
                lane: "binance spot".to_owned(),
                name: "orders_10s".to_owned(),
                limit: 100,
                own_peak: 12,
                venue_peak: Some(11),
            }],
            faults: (0..9).map(|n| (format!("fault_{n}"), n)).collect(),
            latency: STAGES.iter().map(|&stage| (stage, latency)).collect(),
            hot_path: HotPath { allocations: Some(0), quotes: 4000, decisions: 42, ..HotPath::default() },
            signals: 0,
            why: Vec::new(),
            gate: Vec::new(),
            decisions_sha256: "ab".repeat(32),
            out: "./out".to_owned(),
            open: (0..9).map(|n| format!("PAIR{n}")).collect(),
            session: None,
        }
    }

    #[test]
    fn programs_find_every_promised_field_in_its_form() {
        let json = full().json();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        for key in [
            "version",
            "command",
            "venues",
            "seed",
            "seconds",
            "market",
            "pairs",
            "orders",
            "fills",
            "exposure",
            "pnl",
            "equity",
            "budget",
            "faults",
            "latency_ns",
            "hot_path",
            "decisions_sha256",
            "out",
        ] {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(json["pnl"]["total"], "12.503456789");
        assert_eq!(json["equity"]["start"], "1000000");
        assert_eq!(json["fills"].to_string(), r#"{"venue":84,"booked":84}"#);
        assert_eq!(json["budget"]["binance"]["peak_used_pct"], 12);
        assert_eq!(
            json["latency_ns"]["tick_to_wire"].to_string(),
            r#"{"count":84,"p50":12340,"p90":15000,"p99":20049,"p999":20050,"max":1000000}"#
        );
        let stages: Vec<&str> = json["latency_ns"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(stages, STAGES);
        let without_box = Summary { fills_venue: None, exposure: None, ..full() }.json();
        assert!(without_box["fills"]["venue"].is_null() && without_box["exposure"]["naked_now"].is_null());
    }

    #[test]
    fn people_get_one_page_that_is_never_longer_than_forty_lines() {
        let text = full().text();
        assert!(text.lines().count() <= 40, "{} lines:\n{text}", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in [
            "contango demo: 10 s on binance, market synthetic, seed 7 (ready after 812 ms)",
            "20 opened, 19 closed, 1 open now, 2 repaired",
            "+12.5035 USDT (equity 1000000.0000 to 1000012.5035)",
            "-3.0000",
            "PAIR5 and 3 more",
            "12.3",
            "20.1",
            "1000.0",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_shown() {
        let text = Summary::default().text();
        assert!(
            !text.contains("latency") && !text.contains("one leg only") && !text.contains("left open"),
            "{text}"
        );
        assert!(text.contains("allocations: not counted"), "{text}");
    }

    #[test]
    fn a_histogram_becomes_its_percentiles() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        for ns in 1..=1000 {
            histogram.record(ns).unwrap();
        }
        let latency = Latency::of(&histogram);
        assert_eq!(latency, Latency { count: 1000, p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 });
    }
}
