//! How long the venue remembers: dead orders first, then all orders and trades, then income.
//!
//! Owns:  the horizons of both markets, and what lies beyond them.
//! Never: forgets in `truth`: only answers to the client do.
//! Page:  binance.md §5 (-2026 after 90 days), §7 (3 days, 90 days, 3 months), §14.

use super::config::Market;
use super::orders::{Fill, Order};

const DAY_MS: u64 = 86_400_000;

/// How far back answers reach, ms; `u64::MAX`: the page names no end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// Orders that ended without a fill, since their end.
    pub(super) dead_ms: u64,
    /// All orders since they were sent, trades, and income.
    pub(super) history_ms: u64,
}

impl Horizon {
    /// As the page has it.
    pub(super) fn of(market: Market) -> Self {
        match market {
            Market::Spot => Self { dead_ms: 90 * DAY_MS, history_ms: u64::MAX },
            Market::Usdm => Self { dead_ms: 3 * DAY_MS, history_ms: 90 * DAY_MS },
        }
    }

    /// Is this order shown no more at box time `now_ms`?
    pub(super) fn forgets(&self, order: &Order, now_ms: u64) -> bool {
        let dead = !order.status.open() && order.executed == 0;
        (dead && now_ms.saturating_sub(order.update_ms) > self.dead_ms)
            || (!order.status.open() && self.is_past(order.time_ms, now_ms))
    }

    /// Is this trade shown no more?
    pub(super) fn forgets_fill(&self, fill: &Fill, now_ms: u64) -> bool {
        self.is_past(fill.time_us / 1_000, now_ms)
    }

    /// Does something of `time_ms` lie beyond the reach of history?
    pub(super) fn is_past(&self, time_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(time_ms) > self.history_ms
    }
}
