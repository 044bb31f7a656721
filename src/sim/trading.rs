//! Taking orders: what fills at once, what rests, what a fill does to the account.
//!
//! Owns:  the life of an order inside the box, from acceptance to its last fill.
//! Never: parses a request or knows a venue's filter: what arrives here is well formed.
//! Quirk: the box's own resting orders never trade with each other, so self-trade prevention has nothing to do.

use super::accounts::SPOT_FEE_BNB;
use super::config::Market;
use super::dialect::binance;
use super::exchange::Exchange;
use super::hub::Event;
use super::kinds::Forced;
use super::listing::SymbolId;
use super::market::Level;
use super::matching::{self, Side, Want};
use super::number::{E8, Money, ONE_E8, mul_div};
use super::orders::{Fill, Order, OrderType, Status, Tif};
use super::private::Change;
use super::watch::Seen;

/// A well-formed order, before anything is known of its fate.
#[derive(Clone, Debug)]
pub(super) struct NewOrder {
    pub(super) market: Market,
    pub(super) symbol: SymbolId,
    pub(super) client_id: String,
    pub(super) side: Side,
    pub(super) kind: OrderType,
    pub(super) tif: Tif,
    /// 0 for a market order.
    pub(super) price: E8,
    /// 0 when `quote_qty` sizes the order.
    pub(super) qty: E8,
    pub(super) quote_qty: E8,
    pub(super) reduce_only: bool,
    pub(super) stp: &'static str,
    /// An order of the venue's own, against the account.
    pub(super) forced: Option<Forced>,
    /// The matching engine stands still with it: what is not filled at once stays open.
    pub(super) frozen: bool,
}

/// An order that was not taken.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) market: Market,
    pub(super) client_id: String,
    pub(super) code: i64,
    pub(super) msg: String,
    pub(super) received_us: u64,
}

impl NewOrder {
    /// What the order would take from the book as last published.
    pub(super) fn takes(&self, exchange: &Exchange) -> Vec<Level> {
        let want = if self.qty > 0 {
            Want::Base(self.qty)
        } else {
            Want::Quote { amount: self.quote_qty, step: exchange.listing.symbols[self.symbol].step }
        };
        matching::walk(&exchange.books[self.symbol], self.side, self.price, want)
    }
}

impl Exchange {
    /// Takes an order in and fills it with `fills`, a part of what it may take now. Returns its place in the log.
    pub(super) fn execute(&mut self, new: NewOrder, fills: &[Level]) -> usize {
        let (time_ms, time_us) = (self.clock_ms(), self.clock() / 1_000);
        let row = &self.listing.symbols[new.symbol];
        let update_id = |id: Option<SymbolId>| id.map_or(0, |id| self.books[id].update_id);
        let (spot, usdm) = match new.market {
            Market::Spot => (update_id(Some(new.symbol)), update_id(row.twin)),
            Market::Usdm => (update_id(row.twin), update_id(Some(new.symbol))),
        };
        let filled: E8 = fills.iter().map(|f| f.qty).sum();
        // A market order sized in quote has as its quantity what that amount bought.
        let qty = if new.qty > 0 { new.qty } else { filled };
        let rests = new.frozen || new.tif.rests() && new.kind != OrderType::Market;
        let status = match filled {
            _ if filled == qty && filled > 0 => Status::Filled,
            0 if rests => Status::New,
            _ if rests => Status::PartiallyFilled,
            _ => Status::Expired,
        };
        let order = Order {
            market: new.market,
            symbol: new.symbol,
            id: self.log.next_order_id(new.market),
            client_id: new.client_id,
            side: new.side,
            kind: new.kind,
            tif: new.tif,
            price: new.price,
            qty,
            quote_qty: new.quote_qty,
            executed: 0,
            cum_quote: Money::ZERO,
            status,
            reduce_only: new.reduce_only,
            stp: new.stp,
            time_ms,
            update_ms: time_ms,
            received_us: time_us,
            changed_us: time_us,
            forced: new.forced,
            spot_update_id: spot,
            usdm_update_id: usdm,
        };
        let at = self.log.add(order);
        self.watch.see(|| Seen::Taken {
            market: new.market,
            client_id: self.log.orders[at].client_id.clone(),
            executed: filled,
            rests: status.open(),
        });
        // The venue tells its own orders by their fills alone.
        if new.forced.is_none() {
            self.note(at, &Change::New);
        }
        for fill in fills {
            self.book_fill(at, *fill, false);
        }
        if status.open() && new.market == Market::Spot {
            let (asset, amount) = self.reserved(&self.log.orders[at]);
            self.accounts.lock(asset, amount);
        }
        if status == Status::Expired {
            self.note(at, &Change::Expired);
        }
        let locks = status.open() && new.market == Market::Spot;
        self.tell(new.market, new.symbol, locks || !fills.is_empty());
        if new.forced.is_some() {
            // Met outside the book.
            self.naked.look(&self.listing, &self.accounts, new.symbol, self.now);
        } else {
            self.take_from_book(new.symbol, new.side, fills);
        }
        at
    }

    /// What was filled is gone from the book, and everybody sees it.
    fn take_from_book(&mut self, symbol: SymbolId, side: Side, fills: &[Level]) {
        if fills.is_empty() {
            return;
        }
        matching::consume(&mut self.books[symbol], side, fills);
        self.naked.look(&self.listing, &self.accounts, symbol, self.now);
        // A tape's own frames are all that its listeners hear; a made market tells what was taken.
        if self.tape.is_none() {
            self.books[symbol].update_id += 1;
            self.books[symbol].changed_ms = self.clock_ms();
            self.publish_book(symbol);
        }
    }

    /// The matching engine goes on with an order it stood still with: what is left of it meets the book as it is
    /// now, and is over.
    pub(super) fn thaw(&mut self, at: usize) {
        let order = &self.log.orders[at];
        if !order.status.open() {
            return;
        }
        let (market, symbol, side) = (order.market, order.symbol, order.side);
        let held = self.accounts.positions[symbol].qty;
        let left = match order.reduce_only {
            true if held.signum() == -side.sign() => (order.qty - order.executed).min(held.abs()),
            true => 0,
            false => order.qty - order.executed,
        };
        let fills = matching::walk(&self.books[symbol], side, order.price, Want::Base(left));
        if market == Market::Spot {
            let (asset, amount) = self.reserved(&self.log.orders[at]);
            self.accounts.unlock(asset, amount);
        }
        for fill in &fills {
            self.book_fill(at, *fill, false);
        }
        if self.log.orders[at].executed < self.log.orders[at].qty {
            self.expire(at);
        } else {
            self.close(at, Status::Filled);
        }
        self.tell(market, symbol, market == Market::Spot || !fills.is_empty());
        self.take_from_book(symbol, side, &fills);
    }

    /// The contract is settled: what stands in its book expires before any position is closed.
    pub(super) fn expire_all(&mut self, symbol: SymbolId) {
        let open: Vec<usize> =
            self.log.open.iter().copied().filter(|at| self.log.orders[*at].symbol == symbol).collect();
        for at in open {
            self.expire(at);
        }
    }

    fn expire(&mut self, at: usize) {
        self.close(at, Status::Expired);
        self.note(at, &Change::Expired);
    }

    /// An open order is over.
    fn close(&mut self, at: usize, status: Status) {
        let time_us = self.clock() / 1_000;
        let order = &mut self.log.orders[at];
        (order.status, order.update_ms, order.changed_us) = (status, time_us / 1_000, time_us);
        self.log.settle(at);
    }

    /// Asset and amount that an open spot order keeps locked.
    pub(super) fn reserved(&self, order: &Order) -> (usize, Money) {
        let row = &self.listing.symbols[order.symbol];
        let left = order.qty - order.executed;
        match order.side {
            Side::Buy => (row.quote, Money::product(order.price, left)),
            Side::Sell => (row.base, Money::from_e8(left)),
        }
    }

    /// Books one fill of an order: account, order, log, trade streams.
    fn book_fill(&mut self, at: usize, level: Level, maker: bool) {
        let time_us = self.clock() / 1_000;
        let (market, symbol, side, price) = {
            let order = &self.log.orders[at];
            (order.market, order.symbol, order.side, order.price)
        };
        let charge = match market {
            Market::Spot => {
                let locked = maker.then_some(price);
                let fee = self.burnt_fee(Money::product(level.price, level.qty));
                self.accounts.spot_update_ms = time_us / 1_000;
                self.accounts.spot_fill(&self.listing, symbol, side, level, locked, fee)
            }
            Market::Usdm => {
                self.accounts.positions[symbol].update_ms = time_us / 1_000;
                self.accounts.perp_fill(symbol, side, level.price, level.qty, maker)
            }
        };
        let quote = Money::product(level.price, level.qty);
        let order = &mut self.log.orders[at];
        if market == Market::Spot && order.executed == 0 {
            let clock = self.now.saturating_add_signed(self.config.clock_offset_ns);
            self.limits[market.index()].first_fill(clock);
        }
        order.executed += level.qty;
        order.cum_quote += quote;
        order.update_ms = time_us / 1_000;
        order.changed_us = time_us;
        let trade_id = self.log.next_trade_id(symbol);
        self.log.fills.push(Fill {
            market,
            symbol,
            trade_id,
            order: at,
            price: level.price,
            qty: level.qty,
            quote,
            commission: charge.commission,
            commission_asset: charge.asset,
            realized: charge.realized,
            maker,
            time_us,
        });
        self.see_fill(self.log.fills.len() - 1);
        self.note(at, &Change::Trade(self.log.fills.len() - 1));
        self.publish_trade(self.log.fills.len() - 1);
    }

    /// The fee of a spot fill worth `cash` in BNB, three quarters of the usual one, where the account pays so and has
    /// enough; else the usual one is taken without a word. The USD-M wallet holds no BNB.
    fn burnt_fee(&self, cash: Money) -> Option<(usize, Money)> {
        if !self.standing.burns[Market::Spot.index()] {
            return None;
        }
        let id = self.listing.find(Market::Spot, "BNBUSDT")?;
        let (bnb, price) = (self.listing.symbols[id].base, self.books[id].mid());
        if price == 0 {
            return None;
        }
        let fee = Money(mul_div(cash.times(SPOT_FEE_BNB).0, ONE_E8, price)).cut8();
        (self.accounts.spot[bnb].free >= fee).then_some((bnb, fee))
    }

    /// Tells a fill to the trade streams of its symbol. A tape's trade streams carry the tape alone.
    fn publish_trade(&mut self, fill: usize) {
        if self.tape.is_some() {
            return;
        }
        let row = &self.listing.symbols[self.log.fills[fill].symbol];
        let sbe =
            self.hub.find_binary(&format!("{}@trade", row.lower)).filter(|_| row.market == Market::Spot);
        let names = [(format!("{}@trade", row.lower), false), (format!("{}@aggTrade", row.lower), true)];
        let market = row.market;
        for (name, aggregated) in names {
            if let Some(stream) = self.hub.find(market, &name) {
                let text = binance::trade_event(self, fill, aggregated);
                self.publish(stream, text);
            }
        }
        if let Some(stream) = sbe {
            let event = Event::Binary(binance::sbe_trade(self, fill).into());
            self.say(stream, event);
        }
    }

    /// Fills resting orders of a symbol that its book has come to, at their own price, as maker.
    pub(super) fn match_resting(&mut self, symbol: SymbolId) {
        let open: Vec<usize> =
            self.log.open.iter().copied().filter(|at| self.log.orders[*at].symbol == symbol).collect();
        for at in open {
            let order = &self.log.orders[at];
            if !order.rests() {
                continue;
            }
            let (side, limit, left) = (order.side, order.price, order.qty - order.executed);
            let met = matching::walk(&self.books[symbol], side, limit, Want::Base(left));
            let qty: E8 = met.iter().map(|l| l.qty).sum();
            if qty == 0 {
                continue;
            }
            matching::consume(&mut self.books[symbol], side, &met);
            self.book_fill(at, Level { price: limit, qty }, true);
            let order = &mut self.log.orders[at];
            order.status = if order.executed == order.qty { Status::Filled } else { Status::PartiallyFilled };
            let market = order.market;
            self.log.settle(at);
            self.tell(market, symbol, true);
            self.naked.look(&self.listing, &self.accounts, symbol, self.now);
        }
    }

    /// Cancels an open order under the cancel's own id; `false` when there is nothing to cancel.
    pub(super) fn cancel(&mut self, at: usize, own_id: &str) -> bool {
        if !self.log.orders[at].status.open() {
            return false;
        }
        if self.log.orders[at].market == Market::Spot {
            let (asset, amount) = self.reserved(&self.log.orders[at]);
            self.accounts.unlock(asset, amount);
        }
        let (market, symbol) = (self.log.orders[at].market, self.log.orders[at].symbol);
        self.close(at, Status::Canceled);
        self.note(at, &Change::Canceled(own_id.to_owned()));
        self.tell(market, symbol, market == Market::Spot);
        true
    }

    /// USDT of the USD-M wallet that a new position may use.
    pub(super) fn available_margin(&self) -> Money {
        let mark = |id: SymbolId| self.marks[id].mark;
        let equity = self.accounts.wallet + self.accounts.unrealized(mark);
        equity - self.accounts.margin(mark) - self.open_order_margin()
    }

    /// Margin tied up by resting USD-M orders that do not reduce.
    pub(super) fn open_order_margin(&self) -> Money {
        let rest = self.log.open.iter().map(|at| &self.log.orders[*at]);
        rest.filter(|o| o.market == Market::Usdm && !o.reduce_only)
            .map(|o| {
                let leverage = self.accounts.positions[o.symbol].leverage.max(1);
                Money(Money::product(o.price, o.qty - o.executed).0 / i128::from(leverage))
            })
            .sum()
    }
}
