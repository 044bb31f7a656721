//! From rooms that have ended to the summary of a run: `demo`, `run`, `record` and `replay` add up the same.
//!
//! Owns:  which room says which figure.
//! Never: knows what only a box or a host could tell; who has it puts it in.

use super::pnl;
use super::report::{HotPath, Latency, Orders, Pairs, Pnl, Summary, WhyPair};
use super::settings::Settings;
use crate::agents::reader::ReaderCounts;
use crate::agents::shadow::Shadow;
use crate::agents::trader::Trader;
use crate::event::Closed;
use crate::metal::{alloc, tls};
use crate::units::Amount;
use crate::units::time::{MS, SEC};
use crate::venue::Venue;

/// The summary of a run of this command on this market, which took so many ns in all.
pub(super) fn of(
    settings: &Settings,
    (command, market, total_ns): (&str, String, u64),
    venue: &Venue,
    reader: &ReaderCounts,
    trader: &Trader,
    shadow: &Shadow,
) -> Summary {
    let ended = shadow.ended();
    let totals = &shadow.totals;
    let ran_ns = ended.live_at.map_or(0, |live| ended.at.since(live));
    let profit = shadow.profit();
    let revaluation = shadow.unrealised();
    let (rooms_allocated, tls_allocated) = alloc::counted();
    let counts = &trader.counts;
    Summary {
        command: command.to_owned(),
        venues: vec![venue.name.to_owned()],
        seed: settings.seed,
        seconds: ran_ns / SEC,
        startup_ms: total_ns.saturating_sub(ran_ns) / MS,
        market,
        pairs: Pairs {
            opened: totals.opened,
            closed: totals.closed,
            open_now: shadow.open_now(),
            repaired: totals.repaired,
        },
        orders: Orders {
            sent: totals.sent,
            filled: totals.filled,
            partial: totals.partial,
            rejected: totals.refused,
            unknown_now: shadow.unknown_now(),
        },
        fills_venue: None,
        fills_booked: shadow.fills_booked(),
        exposure: None,
        pnl: Pnl {
            total: profit.funding + profit.basis + profit.fees + profit.slippage + revaluation,
            funding: profit.funding,
            basis: profit.basis,
            fees: profit.fees,
            slippage: profit.slippage,
            borrow: Amount::ZERO,
            revaluation,
        },
        fees_unvalued: pnl::unvalued(&shadow.ledger().sums().unvalued),
        equity: None,
        budget: Vec::new(),
        faults: totals.refusals.iter().map(|(code, n)| (format!("refused {code}"), *n)).collect(),
        latency: totals.histograms().map(|(name, histogram)| (name, Latency::of(histogram))).collect(),
        hot_path: HotPath {
            allocations: Some(rooms_allocated),
            tls_allocations: Some(tls_allocated),
            tls_fallbacks: Some(tls::fallbacks()),
            decode_fallbacks: reader.fallbacks,
            refused: reader.refused,
            quotes: reader.quotes,
            conflated: counts.conflated + reader.dropped,
            decisions: counts.decisions,
            prepared: counts.prepared,
            sealed: counts.sealed,
            signed: counts.signed,
            feed_before_ack: counts.feed_before_ack,
            feed_lost: counts.feed_lost,
            feed_links: reader.links,
        },
        signals: totals.signals,
        why: shadow.why().zip(trader.weighed()).map(|(why, weighed)| WhyPair::of(why, weighed)).collect(),
        gate: gate_counts(&counts.closed),
        decisions_sha256: totals.decisions_sha256(),
        out: settings.out.display().to_string(),
        open: ended.open.clone(),
        session: None,
    }
}

/// How often the gate refused a signal, by reason.
fn gate_counts(closed: &[u64]) -> Vec<(&'static str, u64)> {
    Closed::ALL.iter().zip(closed).filter(|(_, n)| **n > 0).map(|(why, n)| (why.text(), *n)).collect()
}
