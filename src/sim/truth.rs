//! The truth, for checkers: every order, fill, balance and budget as the box itself knows it.
//!
//! Owns:  the one JSON object of `GET /truth`.
//! Never: is seen by a client of the venue's own doors.

use super::config::Market;
use super::exchange::Exchange;
use super::limits::Window;
use super::listing::SymbolId;
use super::number::{E8, Fixed, Money, decimals_used};
use serde_json::{Map, Value, json};

/// Shortest exact text of a price or quantity.
fn text(value: E8) -> String {
    Fixed(value, decimals_used(value)).to_string()
}

/// Nanoseconds as milliseconds, exact, shortest.
fn ms_text(ns: u64) -> String {
    Money(i128::from(ns) * 1_000_000_000_000).to_string()
}

fn window(window: &Window) -> Value {
    json!({"limit": window.limit, "peak": window.peak})
}

impl Exchange {
    /// What really happened, as one JSON object; amounts are decimal strings, times name their unit.
    #[must_use]
    pub fn truth(&self, now: u64) -> Value {
        let clock = now.saturating_add_signed(self.config.clock_offset_ns);
        let made = if self.fed { "fed" } else { "synthetic" };
        let market = self.tape.as_ref().map_or_else(|| made.into(), |t| format!("tape:{}", t.name));
        json!({
            "venue": self.config.venue.name(),
            "now_us": clock / 1_000,
            "market": market,
            "orders": self.true_orders(),
            "refused": self.refused.iter().map(|r| json!({
                "market": r.market.name(), "client_order_id": r.client_id, "code": r.code, "msg": r.msg,
                "received_us": r.received_us,
            })).collect::<Vec<_>>(),
            "fills": self.true_fills(),
            "opening": {
                "spot": self.opening_spot(),
                "usdm": {"USDT": self.accounts.opening_usdm.to_string()},
            },
            "balances": {
                "spot": self.true_spot(),
                "usdm": {"USDT": {"wallet": self.accounts.wallet.to_string()}},
            },
            "positions": self.accounts.held().map(|(id, p)| json!({
                "symbol": self.listing.symbols[id].name, "qty": text(p.qty), "entry_price": p.entry().to_string(),
            })).collect::<Vec<_>>(),
            "marks": self.listing.of(Market::Usdm)
                .map(|(id, s)| (s.name.clone(), Value::from(text(self.marks[id].mark))))
                .collect::<Map<_, _>>(),
            "equity": {
                "start": (self.accounts.opening_spot + self.accounts.opening_worth + self.accounts.opening_usdm).to_string(),
                "end": self.equity().to_string(),
            },
            "credits": self.accounts.credits.iter().map(|(at_us, asset, amount)| json!({
                "at_us": at_us, "asset": self.listing.assets[*asset], "amount": amount.to_string(),
            })).collect::<Vec<_>>(),
            "funding": self.accounts.funding.to_string(),
            "funding_7d": self.listing.of(Market::Usdm).filter(|(id, _)| self.marks[*id].interval_h > 0).map(|(id, s)| {
                let (sum, count) = self.true_week(id);
                (s.name.clone(), json!({"sum": text(sum), "count": count, "interval_h": self.marks[id].interval_h}))
            }).collect::<Map<_, _>>(),
            "settled": self.settled.iter().map(|s| json!({
                "symbol": self.listing.symbols[s.symbol].name, "time_ms": s.time_ms, "rate": text(s.rate),
                "mark": text(s.mark), "received": s.received.to_string(), "told": !s.untold,
            })).collect::<Vec<_>>(),
            "budget": self.true_budget(),
            "rates": self.rates.peaks().map(|(what, limit, peak)| (what.to_owned(), json!({"limit": limit, "peak": peak})))
                .collect::<Map<_, _>>(),
            "naked": self.true_naked(now),
            "script_refused": self.script_refused,
            "faults": self.faults.struck.iter().map(|(k, n)| ((*k).to_owned(), Value::from(*n))).collect::<Map<_, _>>(),
            "requests": self.requests,
            "signed": self.signed,
        })
    }

    fn opening_spot(&self) -> Map<String, Value> {
        let coins = self.accounts.opening_coins.iter();
        let coins =
            coins.map(|(asset, amount)| (self.listing.assets[*asset].clone(), amount.to_string().into()));
        std::iter::once(("USDT".to_owned(), self.accounts.opening_spot.to_string().into()))
            .chain(coins)
            .collect()
    }

    /// USDT, coins at mark, USD-M wallet and what is not realised yet.
    fn equity(&self) -> Money {
        let usdt = self.accounts.spot[0].free + self.accounts.spot[0].locked;
        let unrealized = self.accounts.unrealized(|id| self.marks[id].mark);
        usdt + self.coins_worth() + self.accounts.wallet + unrealized
    }

    /// All coins in the spot wallet at their marks.
    pub(super) fn coins_worth(&self) -> Money {
        let coins = self.accounts.spot.iter().enumerate().skip(1);
        coins.map(|(asset, held)| (held.free + held.locked).times(self.coin_mark(asset))).sum()
    }

    /// What one coin of an asset is worth: its perp's mark, else the mid of its spot book.
    fn coin_mark(&self, asset: usize) -> E8 {
        let spot = self.listing.of(Market::Spot).find(|(_, s)| s.base == asset);
        let Some((id, row)) = spot else { return 0 };
        let perp = |twin: SymbolId| self.marks[twin].mark / self.listing.symbols[twin].multiplier;
        row.twin.map_or_else(|| self.books[id].mid(), perp)
    }

    fn true_orders(&self) -> Vec<Value> {
        let order = |o: &super::orders::Order| {
            json!({
                "market": o.market.name(), "symbol": self.listing.symbols[o.symbol].name, "order_id": o.id,
                "client_order_id": o.client_id, "side": o.side.name(), "type": o.kind.name(), "tif": o.tif.name(),
                "price": text(o.price), "orig_qty": text(o.qty), "executed_qty": text(o.executed),
                "cum_quote": o.cum_quote.to_string(), "status": o.status.name(), "reduce_only": o.reduce_only,
                "received_us": o.received_us, "spot_update_id": o.spot_update_id,
                "usdm_update_id": o.usdm_update_id,
            })
        };
        self.log.orders.iter().map(order).collect()
    }

    fn true_fills(&self) -> Vec<Value> {
        let fill = |f: &super::orders::Fill| {
            let order = &self.log.orders[f.order];
            json!({
                "market": f.market.name(), "symbol": self.listing.symbols[f.symbol].name, "trade_id": f.trade_id,
                "order_id": order.id, "client_order_id": order.client_id, "side": order.side.name(),
                "price": text(f.price), "qty": text(f.qty), "quote_qty": f.quote.to_string(),
                "commission": f.commission.to_string(),
                "commission_asset": self.listing.assets[f.commission_asset], "time_us": f.time_us,
            })
        };
        self.log.fills.iter().map(fill).collect()
    }

    fn true_spot(&self) -> Map<String, Value> {
        let rows = self.accounts.spot.iter().enumerate();
        rows.filter(|(asset, b)| *asset == 0 || b.free + b.locked != Money::ZERO)
            .map(|(asset, b)| {
                let row = json!({"free": b.free.to_string(), "locked": b.locked.to_string()});
                (self.listing.assets[asset].clone(), row)
            })
            .collect()
    }

    fn true_budget(&self) -> Value {
        let [spot, usdm] = &self.limits;
        json!({
            "spot": {
                "orders_10s": window(&spot.orders_short),
                "orders_1d": window(&spot.orders_long),
                "raw_5m": spot.raw.as_ref().map(window),
                "weight_1m": window(&spot.weight),
            },
            "usdm": {
                "orders_10s": window(&usdm.orders_short),
                "orders_1m": window(&usdm.orders_long),
                "funding_5m": window(&usdm.funding),
                "weight_1m": window(&usdm.weight),
            },
        })
    }

    fn true_naked(&self, now: u64) -> Value {
        let lengths = self.naked.lengths(now);
        let rank = |percent: usize| {
            let at = (lengths.len() * percent).div_ceil(100);
            ms_text(lengths.get(at.saturating_sub(1)).copied().unwrap_or(0))
        };
        json!({
            "now": self.naked.now(&self.listing),
            "intervals": lengths.len(),
            "ms_max": rank(100),
            "ms_p50": rank(50),
            "ms_p99": rank(99),
        })
    }
}
