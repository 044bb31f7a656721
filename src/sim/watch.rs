//! The truth as it happens, for checkers that look after every step: each order that arrives, what became of it,
//! each fill, each request turned away; and what is listed and held, as plain numbers.
//!
//! Owns:  [`Seen`] and its queue; typed views of the listing, the account and the budgets; the end of all faults.
//! Never: is heard by a client of the venue's doors; keeps anything while nobody watches.
//! Why:   `truth` is one object over a whole life: too dear to write and read again after every step.

use super::config::{Door, Market};
use super::exchange::Exchange;
use super::limits::Window;
use super::matching::Side;
use super::number::parse_e8;

/// Something that happened at the venue. Prices and quantities count 10⁻⁸, money 10⁻¹⁸.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An order request arrived, whatever becomes of it.
    Arrived(Arrived),
    /// An order on order of a fault met it: the fault's kind.
    Struck {
        /// Whose order; empty where no order was met.
        client_id: String,
        /// The kind, as `POST /fault` names it.
        kind: &'static str,
    },
    /// An order was taken, and this much of it was executed at once.
    Taken {
        /// Spot or USD-M.
        market: Market,
        /// Its client order id.
        client_id: String,
        /// Executed at once, 10⁻⁸.
        executed: i64,
        /// Does it rest?
        rests: bool,
    },
    /// An order was refused under the venue's own rules, or by a fault.
    Refused {
        /// Spot or USD-M.
        market: Market,
        /// Its client order id.
        client_id: String,
        /// The venue's code.
        code: i64,
        /// The venue's text.
        msg: String,
    },
    /// A trade of this account.
    Filled(Filled),
    /// Coins came to the spot wallet without a trade.
    Credited {
        /// Which.
        asset: String,
        /// How many, 10⁻¹⁸.
        amount: i128,
    },
    /// Funding was paid on a position.
    Funding {
        /// The perp.
        symbol: usize,
        /// What was received; negative when paid.
        received: i128,
    },
    /// A request was turned away: over its weight, or banned.
    Throttled {
        /// Spot or USD-M.
        market: Market,
        /// 429 or 418.
        status: u16,
        /// Seconds it was told to wait.
        wait_s: u64,
    },
    /// A new socket was turned away: one of too many, or banned.
    SentAway {
        /// Where it was asked for.
        door: Door,
        /// 429 or 418.
        status: u16,
        /// Seconds it was told to wait.
        wait_s: u64,
    },
}

/// An order request, as it was read from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Spot or USD-M.
    pub market: Market,
    /// Row of [`Exchange::rows`]; `None`: not listed.
    pub symbol: Option<usize>,
    /// Its client order id.
    pub client_id: String,
    /// Does it buy?
    pub buys: bool,
    /// Quantity, 10⁻⁸; `None`: not a number.
    pub qty: Option<i64>,
    /// Limit price, 10⁻⁸; `None`: not a number, or none.
    pub price: Option<i64>,
    /// Is it a limit order that never rests?
    pub limit_ioc: bool,
    /// May it only reduce a position?
    pub reduce_only: bool,
    /// The `timestamp` it carries, ms; 0: none.
    pub stamp_ms: u64,
}

/// A trade of this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Spot or USD-M.
    pub market: Market,
    /// Row of [`Exchange::rows`].
    pub symbol: usize,
    /// The venue's trade id.
    pub trade_id: u64,
    /// Its order's client id.
    pub client_id: String,
    /// Did the venue trade by itself, against the account?
    pub forced: bool,
    /// Was it a purchase?
    pub buys: bool,
    /// Price, 10⁻⁸.
    pub price: i64,
    /// Quantity, 10⁻⁸.
    pub qty: i64,
    /// What it cost, 10⁻¹⁸.
    pub fee: i128,
    /// The asset it was paid in.
    pub fee_asset: String,
}

/// A listed symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Spot or USD-M.
    pub market: Market,
    /// Its name.
    pub name: String,
    /// The base asset's name.
    pub base: String,
    /// Least step of a price, 10⁻⁸.
    pub tick: i64,
    /// Least step of a quantity, 10⁻⁸.
    pub step: i64,
    /// Least value of an order, quote, 10⁻⁸.
    pub min_notional: i64,
    /// Base coins in one unit of the perp.
    pub multiplier: i64,
    /// The other leg.
    pub twin: Option<usize>,
}

/// What the account holds now; money counts 10⁻¹⁸.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Every asset of the spot wallet, free and locked together.
    pub spot: Vec<(String, i128)>,
    /// USDT in the USD-M wallet.
    pub wallet: i128,
    /// USDT in both wallets at the start: spot, USD-M.
    pub opening: [i128; 2],
    /// Row, signed quantity (10⁻⁸) and signed cost (quantity × entry price) of every open position.
    pub positions: Vec<(usize, i64, i128)>,
    /// Orders that rest.
    pub open_orders: usize,
    /// Every budget: its market and window, its limit, the most that was used of it at once.
    pub peaks: Vec<(Market, &'static str, u32, u32)>,
}

/// What was seen and not yet taken; nothing is kept while it is closed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    open: bool,
    seen: Vec<Seen>,
}

impl Watch {
    pub(super) fn see(&mut self, seen: impl FnOnce() -> Seen) {
        if self.open {
            self.seen.push(seen());
        }
    }
}

impl Exchange {
    /// Notes everything from now on, for [`Exchange::take_seen`].
    pub fn watch(&mut self) {
        self.watch.open = true;
    }

    /// Moves what was seen since the last call to the end of `out`.
    pub fn take_seen(&mut self, out: &mut Vec<Seen>) {
        out.append(&mut self.watch.seen);
    }

    /// What is listed, in the order of its numbers.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |s: &super::listing::Symbol| Row {
            market: s.market,
            name: s.name.clone(),
            base: self.listing.assets[s.base].clone(),
            tick: s.tick,
            step: s.step,
            min_notional: s.min_notional,
            multiplier: s.multiplier,
            twin: s.twin,
        };
        self.listing.symbols.iter().map(row).collect()
    }

    /// The middle of a symbol's book, 10⁻⁸; 0 while a side is empty.
    #[must_use]
    pub fn mid(&self, row: usize) -> i64 {
        self.books[row].mid()
    }

    /// What the account holds, and how much of each budget was used.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let assets = self.listing.assets.iter().zip(&self.accounts.spot);
        let [spot, usdm] = &self.limits;
        let peak = |market, name, window: &Window| (market, name, window.limit, window.peak);
        let mut peaks = vec![
            peak(Market::Spot, "weight_1m", &spot.weight),
            peak(Market::Spot, "orders_10s", &spot.orders_short),
            peak(Market::Spot, "orders_1d", &spot.orders_long),
            peak(Market::Usdm, "weight_1m", &usdm.weight),
            peak(Market::Usdm, "orders_10s", &usdm.orders_short),
            peak(Market::Usdm, "orders_1m", &usdm.orders_long),
        ];
        peaks.extend(spot.raw.as_ref().map(|raw| peak(Market::Spot, "raw_5m", raw)));
        Standing {
            spot: assets.map(|(name, it)| (name.clone(), (it.free + it.locked).0)).collect(),
            wallet: self.accounts.wallet.0,
            opening: [self.accounts.opening_spot.0, self.accounts.opening_usdm.0],
            positions: self.accounts.held().map(|(id, it)| (id, it.qty, it.cost.0)).collect(),
            open_orders: self.log.open.len(),
            peaks,
        }
    }

    /// How often each kind of fault struck.
    pub fn struck(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.faults.struck.iter().map(|(kind, times)| (*kind, *times))
    }

    /// Ends every fault that waits or lasts; bans and maintenances keep their stated ends. Events that are
    /// late already still come, late.
    pub fn calm(&mut self) {
        self.faults.forget_waiting();
        self.lag.until = 0;
        for market in [Market::Spot, Market::Usdm].map(Market::index) {
            self.replica[market].until = 0;
            self.private.muted_until[market] = 0;
            self.private.late[market].until = 0;
            self.deaf[market] = None;
            self.restricted[market].1 = 0;
        }
        self.marks_off.clear();
        for stream in &mut self.hub.streams {
            stream.muted_until = 0;
        }
    }

    /// Until when (host time, ns) a market is in maintenance or has banned its client; the past: neither.
    #[must_use]
    pub fn shut_until(&self, market: Market) -> u64 {
        let banned = self.limits[market.index()].banned_for_s(self.clock()).unwrap_or(0);
        let banned = if banned == 0 { 0 } else { self.now + banned * super::exchange::SECOND };
        banned.max(self.maintained_until(market).unwrap_or(0))
    }

    /// Until when (host time, ns) a market lets in fewer than so many new sockets; the past: it does now.
    #[must_use]
    pub fn sockets_shut_until(&self, market: Market, wanted: u32) -> u64 {
        match self.limits[market.index()].connects_in_s(self.clock(), wanted) {
            0 => 0,
            seconds => self.now + seconds * super::exchange::SECOND,
        }
    }

    /// How much of a market's request weight is used in the present minute, and its limit.
    #[must_use]
    pub fn weight_used(&self, market: Market) -> (u32, u32) {
        let window = self.limits[market.index()].weight;
        (window.used_at(self.clock()), window.limit)
    }

    /// How long until a perp settles its funding next, ns.
    #[must_use]
    pub fn settles_in(&self) -> u64 {
        let due = self.marks.iter().map(|mark| mark.next_funding_ms).filter(|due| *due != 0).min();
        due.map_or(u64::MAX, |due| (due * 1_000_000).saturating_sub(self.clock()))
    }

    /// Notes an order request, before anything is known of its fate.
    pub(super) fn see_arrival<'a>(&mut self, market: Market, get: impl Fn(&str) -> Option<&'a str>) {
        let (listing, watch) = (&self.listing, &mut self.watch);
        watch.see(|| {
            let number = |name: &str| get(name).and_then(|text| parse_e8(text).ok());
            Seen::Arrived(Arrived {
                market,
                symbol: get("symbol").and_then(|name| listing.find(market, name)),
                client_id: get("newClientOrderId").unwrap_or("").to_owned(),
                buys: get("side") == Some("BUY"),
                qty: number("quantity"),
                price: number("price"),
                limit_ioc: get("type") == Some("LIMIT") && matches!(get("timeInForce"), Some("IOC" | "FOK")),
                reduce_only: get("reduceOnly") == Some("true"),
                stamp_ms: get("timestamp").and_then(|text| text.parse().ok()).unwrap_or(0),
            })
        });
    }

    /// Notes a fill, by its place in the log.
    pub(super) fn see_fill(&mut self, at: usize) {
        let (listing, log, watch) = (&self.listing, &self.log, &mut self.watch);
        watch.see(|| {
            let fill = &log.fills[at];
            let order = &log.orders[fill.order];
            Seen::Filled(Filled {
                market: fill.market,
                symbol: fill.symbol,
                trade_id: fill.trade_id,
                client_id: order.client_id.clone(),
                forced: order.forced.is_some(),
                buys: order.side == Side::Buy,
                price: fill.price,
                qty: fill.qty,
                fee: fill.commission.0,
                fee_asset: listing.assets[fill.commission_asset].clone(),
            })
        });
    }
}
