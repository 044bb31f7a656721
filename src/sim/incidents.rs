//! Faults that strike at once: what `POST /fault` does to streams, the account and the listen key.
//!
//! Owns:  carrying out those fault orders; the rest wait in `faults` for an order, an answer or an event.
//! Never: reads a fault order.
//! Page:  FAULTS F55, F56, F65, F77 to F81, F87, F90.

use super::accounts::Position;
use super::config::{Door, Market};
use super::conn::Route;
use super::dialect::binance;
use super::exchange::{Exchange, MS};
use super::faults::Faults;
use super::kinds::{Deaf, Forced, Kind};
use super::listing::SymbolId;
use super::market::Level;
use super::matching::Side;
use super::number::{E8, Money, ONE_E8};
use super::odd::Odd;
use super::orders::{OrderType, Tif};
use super::trading::NewOrder;
use super::watch::Seen;

impl Exchange {
    /// Takes a fault order, the body of `POST /fault`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it and what is allowed.
    pub fn fault(&mut self, order: &serde_json::Value) -> Result<(), String> {
        let fault = Faults::read(order)?;
        let now = self.now;
        let until = |ms: u64| now.saturating_add(ms.saturating_mul(MS));
        let hit = |market: Market| fault.market.is_none_or(|m| m == market);
        let struck = [Market::Spot, Market::Usdm].into_iter().filter(|m| hit(*m));
        let markets = struck.clone().map(Market::index);
        match &fault.kind {
            Kind::CutStreams => self.cut(fault.market, false),
            Kind::CutUser => self.cut(fault.market, true),
            Kind::Mute { stream, ms } => {
                let named = self.hub.streams.iter_mut().filter(|s| s.name == *stream);
                let mut found = false;
                for it in named.filter(|s| hit(s.market)) {
                    it.muted_until = until(*ms);
                    found = true;
                }
                if !found {
                    return Err(format!(
                        "nobody has subscribed to stream {stream:?}; mute one that is in use"
                    ));
                }
            }
            // A tape's quotes are passed on as they were recorded.
            Kind::Quote(odd) if self.tape.is_some() && *odd != Odd::Digits => {
                return Err(format!("{} has no place on a tape; bad_quote has", odd.name()));
            }
            Kind::Lag { ms, for_ms } => {
                (self.lag.by, self.lag.until) = (ms.saturating_mul(MS), until(*for_ms));
            }
            Kind::ReplicaLag { ms, for_ms } => {
                for market in markets {
                    let it = &mut self.replica[market];
                    (it.by, it.until) = (ms.saturating_mul(MS), until(*for_ms));
                }
            }
            Kind::MuteUser { ms } => {
                for market in markets {
                    self.private.muted_until[market] = until(*ms);
                }
            }
            Kind::DelayUser { ms, for_ms } => {
                for market in markets {
                    let it = &mut self.private.late[market];
                    (it.by, it.until) = (ms.saturating_mul(MS), until(*for_ms));
                }
            }
            Kind::ExpireListenKey => {
                if !self.expire_key() {
                    return Err("no listen key is alive; POST one first".into());
                }
            }
            Kind::Force { how, symbol, ppm } => self.force(*how, symbol, *ppm)?,
            Kind::ForeignOrder { symbol, rest, half_later_ms, client_id } => {
                let side = fault.side.unwrap_or(Side::Buy);
                let market = fault.market.unwrap_or(Market::Spot);
                let half_later = half_later_ms.map(|ms| ms.saturating_mul(MS));
                self.foreign_order((market, symbol, side), *rest, half_later, client_id.clone())?;
            }
            Kind::Credit { symbol } => self.credit(symbol)?,
            Kind::Account(change) => self.change_standing(change)?,
            Kind::Rules { symbol, up_ppm, down_ppm, tick, step, min_notional } => {
                for id in self.listed(struck, symbol)? {
                    let row = &mut self.listing.symbols[id];
                    let factor =
                        |ppm: u64| i64::try_from(ppm).unwrap_or(i64::MAX / 100) * (ONE_E8 / 1_000_000);
                    row.price_up = up_ppm.map_or(row.price_up, factor);
                    row.price_down = down_ppm.map_or(row.price_down, factor);
                    row.tick = tick.unwrap_or(row.tick);
                    row.step = step.unwrap_or(row.step);
                    row.min_notional = min_notional.unwrap_or(row.min_notional);
                }
            }
            Kind::Delivery { symbol, in_ms } => {
                let (id, at) = (self.perp(symbol)?, self.clock_ms().saturating_add(*in_ms));
                self.listing.symbols[id].delivery_ms = Some(at);
            }
            Kind::SymbolStatus { symbol, status } => {
                for id in self.listed(struck, symbol)? {
                    self.listing.symbols[id].status = status;
                }
            }
            Kind::Thin { symbol, ppm, for_ms } => {
                let found = self.listed(struck, symbol)?;
                self.thin.extend(found.into_iter().map(|id| (id, (*ppm, until(*for_ms)))));
            }
            Kind::Burst { .. } | Kind::MarkOff { .. } if self.tape.is_some() || self.fed => {
                return Err(format!("{} has no place where quotes come from outside", fault.kind.name()));
            }
            Kind::Burst { symbol, times } => {
                for id in self.listed(struck, symbol)? {
                    self.burst(id, *times);
                }
            }
            Kind::MarkOff { symbol, ppm, for_ms } => {
                let id = self.perp(symbol)?;
                self.marks_off.insert(id, (*ppm, until(*for_ms)));
            }
            Kind::Deaf { how, for_ms } => {
                markets.for_each(|market| self.deaf[market] = Some((*how, until(*for_ms))));
            }
            Kind::Restrict { exits, for_ms } => {
                markets.for_each(|market| self.restricted[market] = (*exits, until(*for_ms)));
            }
            Kind::SettleNow { symbol } => self.settle_now(symbol.as_deref())?,
            Kind::Funding(order) => self.order_funding(order)?,
            Kind::Maintenance { for_ms } => struck.for_each(|market| self.maintain(market, until(*for_ms))),
            Kind::NoCounters { for_ms } => {
                markets.for_each(|market| self.uncounted[market] = until(*for_ms));
            }
            Kind::Limit { weight_1m, orders_10s } => {
                for market in markets {
                    let limits = &mut self.limits[market];
                    limits.weight.limit = weight_1m.unwrap_or(limits.weight.limit);
                    limits.orders_short.limit = orders_10s.unwrap_or(limits.orders_short.limit);
                }
            }
            Kind::Ban { for_ms } => struck.for_each(|market| self.ban(market, for_ms.saturating_mul(MS))),
            Kind::Horizon { ms, history_ms } => {
                for market in struck {
                    let it = &mut self.horizon[market.index()];
                    it.dead_ms = ms.unwrap_or(it.dead_ms);
                    if market == Market::Usdm {
                        it.history_ms = history_ms.unwrap_or(it.history_ms);
                    }
                }
            }
            _ => {
                self.faults.wait(fault);
                return Ok(());
            }
        }
        self.faults.count(&fault.kind);
        Ok(())
    }

    /// What becomes of a subscription now, if nothing else.
    pub(super) fn deaf_to(&self, market: Market) -> Option<Deaf> {
        self.deaf[market.index()].filter(|(_, until)| self.now < *until).map(|(how, _)| how)
    }

    /// Whether the account may place orders on a market now: all, those that reduce a position, or none.
    pub(super) fn may_place(&self, market: Market, reduces: bool) -> bool {
        let (exits, until) = self.restricted[market.index()];
        self.now >= until || (exits && reduces)
    }

    /// The symbols of that name on these markets.
    fn listed(&self, markets: impl Iterator<Item = Market>, name: &str) -> Result<Vec<SymbolId>, String> {
        let found: Vec<SymbolId> = markets.filter_map(|market| self.listing.find(market, name)).collect();
        if found.is_empty() {
            return Err(format!("symbol {name:?} is not listed; take one from exchangeInfo"));
        }
        Ok(found)
    }

    /// Cuts all sockets of market streams, or all that carry private events.
    fn cut(&mut self, market: Option<Market>, private: bool) {
        let hit = |door: Door| market.is_none_or(|m| m == door.market());
        for conn in self.conns.sockets(hit) {
            let Some(it) = self.conns.get(conn) else { continue };
            let route = it.socket.as_ref().map(|s| s.route);
            let carries_private = match it.door {
                Door::UsdmWs => route == Some(Route::Private),
                Door::SpotWsApi => true,
                Door::SpotWs | Door::SpotSbe | Door::PublicSpot | Door::PublicLinear | Door::Public => false,
                _ => continue,
            };
            if carries_private == private {
                self.leave_streams(conn);
                self.conns.close(conn, true);
            }
        }
    }

    pub(super) fn perp(&self, name: &str) -> Result<SymbolId, String> {
        let found = self.listing.find(Market::Usdm, name);
        found.ok_or_else(|| format!("symbol {name:?} is no perp of the box; take one from its exchangeInfo"))
    }

    /// Reduces a position at its mark, as the venue does on its own account.
    fn force(&mut self, how: Forced, name: &str, ppm: u64) -> Result<(), String> {
        let symbol = self.perp(name)?;
        let Position { qty: held, .. } = self.accounts.positions[symbol];
        if held == 0 {
            return Err(format!("there is no position in {name}; open one first"));
        }
        let row = &self.listing.symbols[symbol];
        let share = i128::from(held.abs()) * i128::from(ppm.min(1_000_000)) / 1_000_000;
        let qty = (i64::try_from(share).unwrap_or(held.abs()) / row.step * row.step).max(row.step);
        let qty = qty.min(held.abs());
        let price = (self.marks[symbol].mark / row.tick * row.tick).max(row.tick);
        let number = self.log.orders.len() + 1;
        let client_id = match how {
            Forced::Adl => format!("adl_autoclose_{number}"),
            Forced::Liquidation => format!("autoclose-{}", self.clock_ms() * 1_000 + number as u64),
            Forced::Settlement => format!("settlement_autoclose-{}", self.clock_ms() * 1_000 + number as u64),
        };
        let order = NewOrder {
            market: Market::Usdm,
            symbol,
            client_id,
            side: if held > 0 { Side::Sell } else { Side::Buy },
            kind: OrderType::Limit,
            tif: Tif::Ioc,
            price,
            qty,
            quote_qty: 0,
            reduce_only: true,
            stp: "NONE",
            forced: Some(how),
            frozen: false,
        };
        if how == Forced::Settlement {
            self.listing.symbols[symbol].status = "SETTLING";
            self.expire_all(symbol);
        }
        self.execute(order, &[Level { price, qty }]);
        Ok(())
    }

    /// An order of somebody else with access to the account: a small market order, or one that rests out of reach; or
    /// one within reach that somebody meets half of, and the other half `half_later` ns later.
    fn foreign_order(
        &mut self,
        (market, name, side): (Market, &str, Side),
        rest: bool,
        half_later: Option<u64>,
        client_id: Option<String>,
    ) -> Result<(), String> {
        let (symbol, mid, qty) = self.a_little(market, name)?;
        // 2 % away from the market when it is to rest.
        let (away, tick) = (mid / 50, self.listing.symbols[symbol].tick);
        let price = if (side == Side::Buy) == rest { mid - away } else { mid + away } / tick * tick;
        let priced = rest || half_later.is_some();
        let order = NewOrder {
            market,
            symbol,
            client_id: client_id.unwrap_or_else(|| format!("web_{:018}", self.log.orders.len() + 1)),
            side,
            kind: if priced { OrderType::Limit } else { OrderType::Market },
            // What rests trades when the market comes to it.
            tif: if half_later.is_some() { Tif::Ioc } else { Tif::Gtc },
            price: if priced { price } else { 0 },
            qty,
            quote_qty: 0,
            reduce_only: false,
            stp: "EXPIRE_MAKER",
            forced: None,
            frozen: false,
        };
        binance::take_order(self, order, half_later)
    }

    /// What a small order of a symbol comes to, a little more than twice the least value, in whole steps: the symbol,
    /// the middle of its book, how much.
    fn a_little(&self, market: Market, name: &str) -> Result<(SymbolId, E8, E8), String> {
        let found = self.listing.find(market, name);
        let symbol = found.ok_or_else(|| format!("symbol {name:?} is not listed on {}", market.name()))?;
        let (row, mid) = (&self.listing.symbols[symbol], self.books[symbol].mid());
        if mid == 0 {
            return Err(format!("{name} has no two-sided book now; try again later"));
        }
        let value = Money::from_e8(row.min_notional.max(ONE_E8)).0 * 2;
        let qty = i64::try_from(value / 100 / i128::from(mid)).unwrap_or(row.step) / row.step * row.step;
        Ok((symbol, mid, qty + row.step))
    }

    /// Coins come that nobody bought: given away by an issuer, or sent by somebody.
    fn credit(&mut self, name: &str) -> Result<(), String> {
        let (symbol, _, qty) = self.a_little(Market::Spot, name)?;
        let (base, amount) = (self.listing.symbols[symbol].base, Money::from_e8(qty));
        self.accounts.credit(self.clock() / 1_000, base, amount);
        let asset = self.listing.assets[base].clone();
        self.watch.see(|| Seen::Credited { asset: asset.to_string(), amount: amount.0 });
        for event in
            [binance::balance_event(self, base, amount), binance::account_event(self, Market::Spot, symbol)]
        {
            self.hear(Market::Spot, &event);
        }
        Ok(())
    }
}
