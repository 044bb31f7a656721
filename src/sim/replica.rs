//! The account as it was a while ago: what a lagging replica of the venue would answer.
//!
//! Owns:  the replay of orders, fills, settlements and credits up to an instant.
//! Never: changes the present: a handler sees the past for one call and the present is put back.

use super::accounts::Accounts;
use super::config::Market;
use super::exchange::Exchange;
use super::market::Level;
use super::number::Money;
use super::orders::{OrderLog, Status};

/// How far a market's read side is behind, and until when (host time, ns).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    pub(super) until: u64,
    pub(super) by: u64,
}

impl Exchange {
    /// Runs a read against the replica of a market: the present, or the past while it lags.
    pub(super) fn on_replica<T>(&mut self, market: Market, read: impl FnOnce(&mut Self) -> T) -> T {
        let behind = self.replica[market.index()];
        if self.now >= behind.until {
            return read(self);
        }
        let at_us = self.clock().saturating_sub(behind.by) / 1_000;
        let (log, accounts) = self.as_of(at_us);
        let log = std::mem::replace(&mut self.log, log);
        let accounts = std::mem::replace(&mut self.accounts, accounts);
        let answer = read(self);
        (self.log, self.accounts) = (log, accounts);
        answer
    }

    /// Orders, fills and balances as they stood at box time `at_us`, that instant included.
    pub(super) fn as_of(&self, at_us: u64) -> (OrderLog, Accounts) {
        let (opening_spot, opening_usdm) = (self.accounts.opening_spot, self.accounts.opening_usdm);
        let mut accounts = Accounts::new(&self.listing, opening_spot, opening_usdm, self.accounts.opened_ms);
        accounts.grant(&self.accounts.opening_coins);
        for (old, new) in accounts.positions.iter_mut().zip(&self.accounts.positions) {
            old.leverage = new.leverage;
        }
        let mut log = OrderLog::new(self.listing.symbols.len());
        for order in self.log.orders.iter().take_while(|o| o.received_us <= at_us) {
            let mut order = order.clone();
            if order.changed_us > at_us {
                (order.executed, order.cum_quote) = (0, Money::ZERO);
                (order.status, order.update_ms) = (Status::New, order.time_ms);
            }
            log.add(order);
        }
        let mut settled = self.settled.iter().take_while(|s| s.at_us <= at_us).peekable();
        for (n, fill) in self.log.fills.iter().enumerate().take_while(|(_, f)| f.time_us <= at_us) {
            while let Some(s) = settled.next_if(|s| s.fills_before <= n) {
                accounts.settle_funding(s.symbol, s.mark, s.rate);
            }
            let order = &mut log.orders[fill.order];
            match fill.market {
                Market::Spot => {
                    let fee = Some((fill.commission_asset, fill.commission));
                    let met = Level { price: fill.price, qty: fill.qty };
                    accounts.spot_fill(&self.listing, fill.symbol, order.side, met, None, fee);
                    accounts.spot_update_ms = fill.time_us / 1_000;
                }
                Market::Usdm => {
                    accounts.perp_fill(fill.symbol, order.side, fill.price, fill.qty, fill.maker);
                    accounts.positions[fill.symbol].update_ms = fill.time_us / 1_000;
                }
            }
            if order.changed_us > at_us {
                order.executed += fill.qty;
                order.cum_quote += fill.quote;
                (order.status, order.update_ms) = (Status::PartiallyFilled, fill.time_us / 1_000);
            }
            log.fills.push(fill.clone());
        }
        for s in settled {
            accounts.settle_funding(s.symbol, s.mark, s.rate);
        }
        for (at_us, asset, amount) in self.accounts.credits.iter().take_while(|credit| credit.0 <= at_us) {
            accounts.credit(*at_us, *asset, *amount);
        }
        for order in log.open.iter().map(|at| &log.orders[*at]).filter(|o| o.market == Market::Spot) {
            let (asset, amount) = self.reserved(order);
            accounts.lock(asset, amount);
        }
        (log, accounts)
    }
}
