//! Funding of the perps: settlements at their hours and on order, their past, other rates and intervals on order.
//!
//! Owns:  when a perp settles and what its history tells.
//! Never: formats an answer, which is the dialect's.
//! Page:  binance.md §16: payment at mark, stamps some ms late, intervals that change by themselves.

use super::chance::Chance;
use super::config::Market;
use super::dialect::binance;
use super::exchange::{Due, Exchange, MS, Settled};
use super::kinds::FundingOrder;
use super::listing::SymbolId;
use super::number::E8;
use super::watch::Seen;

const HOUR_MS: u64 = 3_600_000;
/// Days of history the box has from before it opened.
const HISTORY_DAYS: u64 = 30;
/// The latest that a settlement is stamped, ms.
const LATE_MS: i64 = 47;

/// A settled rate as the history tells it.
pub(super) struct ToldRate {
    pub(super) time_ms: u64,
    pub(super) symbol: SymbolId,
    pub(super) rate: E8,
    /// Zero: not known.
    pub(super) mark: E8,
    /// Is it kept from the history?
    pub(super) untold: bool,
}

impl Exchange {
    /// The hour of a perp has come, unless it was put elsewhere since.
    pub(super) fn settle(&mut self, id: SymbolId) {
        let due_ms = self.marks[id].next_funding_ms;
        if self.clock_ms() < due_ms {
            return;
        }
        self.pay_funding(id, due_ms);
        let interval = self.marks[id].interval_h * HOUR_MS;
        // Put off by a maintenance: the next is at its own hour, and hours that passed meanwhile pay nothing.
        let late = self.clock_ms() - due_ms;
        self.next_settlement(id, due_ms + (late / interval + 1) * interval);
    }

    fn next_settlement(&mut self, id: SymbolId, at_ms: u64) {
        self.marks[id].next_funding_ms = at_ms;
        let wait_ns = (at_ms * MS).saturating_sub(self.clock());
        self.schedule(self.now + wait_ns, Due::Funding(id));
    }

    /// Pays the funding of a perp as of `time_ms` and tells it to whom it concerns.
    pub(super) fn pay_funding(&mut self, id: SymbolId, time_ms: u64) {
        let (mark, rate, untold) = (self.marks[id].mark, self.marks[id].rate, self.marks[id].untold);
        let received = self.accounts.settle_funding(id, mark, rate);
        let (at_us, fills_before) = (self.clock() / 1_000, self.log.fills.len());
        self.settled.push(Settled { symbol: id, time_ms, rate, mark, received, untold, at_us, fills_before });
        if self.accounts.positions[id].qty != 0 {
            self.watch.see(|| Seen::Funding { symbol: id, received: received.0 });
            let event = binance::funding_event(self, id, received);
            self.hear(Market::Usdm, &event);
        }
    }

    /// Pays funding at once on one perp, or on all.
    pub(super) fn settle_now(&mut self, name: Option<&str>) -> Result<(), String> {
        let time_ms = self.clock_ms();
        for id in self.perps(name)? {
            self.pay_funding(id, time_ms);
        }
        Ok(())
    }

    /// Gives one perp, or all, another rate, interval or silence.
    pub(super) fn order_funding(&mut self, order: &FundingOrder) -> Result<(), String> {
        for id in self.perps(order.symbol.as_deref())? {
            let now_ms = self.clock_ms();
            let mark = &mut self.marks[id];
            if let Some(rate) = order.rate {
                (mark.rate, mark.mean_rate) = (rate, rate);
            }
            mark.steady = order.steady.unwrap_or(mark.steady);
            if let Some(untold) = order.untold {
                mark.untold = untold;
                let mine = self.settled.iter_mut().filter(|s| s.symbol == id);
                // What was kept is told when the silence ends.
                mine.for_each(|s| s.untold &= untold);
            }
            if let Some(hours) = order.interval_h {
                // Counted from the settlement before; an hour that has passed meanwhile pays nothing.
                let last_ms = mark.next_funding_ms.saturating_sub(mark.interval_h * HOUR_MS);
                mark.interval_h = hours;
                let every = hours * HOUR_MS;
                let next = last_ms + (now_ms.saturating_sub(last_ms) / every + 1) * every;
                self.next_settlement(id, next);
            }
        }
        Ok(())
    }

    /// One perp that settles, or all of them.
    fn perps(&self, name: Option<&str>) -> Result<Vec<SymbolId>, String> {
        let only = name.map(|name| self.perp(name)).transpose()?;
        let all = 0..self.listing.symbols.len();
        Ok(all
            .filter(|id| self.marks[*id].next_funding_ms != 0 && only.is_none_or(|only| only == *id))
            .collect())
    }

    /// All that settled of a perp: in this run, and in a made-up past that only the seed decides. A fed market's
    /// past is not made up: it is what was fed, without the marks.
    pub(super) fn rates(&self, id: SymbolId) -> Vec<ToldRate> {
        if self.fed {
            let rows = self.told_past.range((id, 0)..=(id, u64::MAX));
            return rows
                .map(|((symbol, time_ms), rate)| ToldRate {
                    time_ms: *time_ms,
                    symbol: *symbol,
                    rate: *rate,
                    mark: 0,
                    untold: false,
                })
                .collect();
        }
        let (symbol, mark) = (&self.listing.symbols[id], &self.marks[id]);
        if symbol.interval_h == 0 || mark.next_funding_ms == 0 {
            return Vec::new();
        }
        let here = self.settled.iter().filter(|s| s.symbol == id);
        let mut rows: Vec<_> = here.map(|s| (s.time_ms, s.rate, s.mark, s.untold)).collect();
        let first = self.first_funding_ms;
        for back in 1..=HISTORY_DAYS * 24 / symbol.interval_h {
            let Some(time) = first.checked_sub(back * symbol.interval_h * HOUR_MS) else { break };
            let seed = self.config.seed ^ ((id as u64) << 32) ^ back;
            let usual = if mark.steady { mark.mean_rate } else { symbol.rate };
            let noise =
                if self.tape.is_some() || mark.steady { 0 } else { Chance::new(seed).range(-4_000, 4_000) };
            rows.push((time, usual + noise * usual / 10_000, symbol.start_price, false));
        }
        let late = |time: u64| Chance::new(self.config.seed ^ ((id as u64) << 32) ^ time).range(0, LATE_MS);
        let row = |(time_ms, rate, mark, untold): (u64, _, _, _)| ToldRate {
            time_ms: time_ms + late(time_ms).unsigned_abs(),
            symbol: id,
            rate,
            mark,
            untold,
        };
        rows.into_iter().map(row).collect()
    }

    /// Sum of what settled of a perp in the 168 h up to now, its first instant not counted, and how many they were.
    pub(super) fn true_week(&self, id: SymbolId) -> (E8, usize) {
        // Settled at their minute, whenever they were stamped.
        let minute = |ms: u64| (ms + 30_000) / 60_000;
        let (now, opens) = (self.clock_ms(), self.clock_ms().saturating_sub(168 * HOUR_MS));
        let rates = self.rates(id);
        let inside = rates.iter().filter(|row| {
            let at_ms = minute(row.time_ms) * 60_000;
            at_ms > opens && at_ms <= now
        });
        (inside.clone().map(|row| row.rate).sum(), inside.count())
    }
}
