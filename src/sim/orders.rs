//! Every order and fill the box has seen, and how to find them again.
//!
//! Owns:  order ids, trade ids, client-id look-up, the list of open orders.
//! Never: decides whether an order is acceptable.

use super::config::Market;
use super::kinds::Forced;
use super::listing::SymbolId;
use super::matching::Side;
use super::number::{E8, Money};
use std::collections::BTreeMap;

/// Order types the box takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderType {
    Limit,
    /// Spot's post-only.
    LimitMaker,
    Market,
}

impl OrderType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "LIMIT",
            Self::LimitMaker => "LIMIT_MAKER",
            Self::Market => "MARKET",
        }
    }
}

/// Times in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tif {
    Gtc,
    Ioc,
    Fok,
    /// Futures' post-only.
    Gtx,
}

impl Tif {
    /// Does what is left of such an order wait beside the book?
    pub(super) fn rests(self) -> bool {
        matches!(self, Self::Gtc | Self::Gtx)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gtc => "GTC",
            Self::Ioc => "IOC",
            Self::Fok => "FOK",
            Self::Gtx => "GTX",
        }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
        }
    }

    pub(super) fn open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// An order that was taken.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) market: Market,
    pub(super) symbol: SymbolId,
    pub(super) id: u64,
    pub(super) client_id: String,
    pub(super) side: Side,
    pub(super) kind: OrderType,
    pub(super) tif: Tif,
    /// 0 for a market order.
    pub(super) price: E8,
    pub(super) qty: E8,
    pub(super) quote_qty: E8,
    pub(super) executed: E8,
    pub(super) cum_quote: Money,
    pub(super) status: Status,
    pub(super) reduce_only: bool,
    pub(super) stp: &'static str,
    /// Box clock, ms.
    pub(super) time_ms: u64,
    pub(super) update_ms: u64,
    /// Box clock, µs.
    pub(super) received_us: u64,
    /// Last change, box clock, µs.
    pub(super) changed_us: u64,
    /// An order of the venue's own, against the account.
    pub(super) forced: Option<Forced>,
    /// The box's top of both books when the order was matched.
    pub(super) spot_update_id: u64,
    pub(super) usdm_update_id: u64,
}

impl Order {
    /// Does it wait beside the book? What does not ends at once, unless the matching engine stands still.
    pub(super) fn rests(&self) -> bool {
        self.tif.rests() && self.kind != OrderType::Market
    }
}

/// One trade of ours.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub(super) market: Market,
    pub(super) symbol: SymbolId,
    pub(super) trade_id: u64,
    /// Index of the order in [`OrderLog::orders`].
    pub(super) order: usize,
    pub(super) price: E8,
    pub(super) qty: E8,
    pub(super) quote: Money,
    pub(super) commission: Money,
    /// Asset the commission was paid in.
    pub(super) commission_asset: usize,
    pub(super) realized: Money,
    pub(super) maker: bool,
    pub(super) time_us: u64,
}

/// All orders and fills, oldest first.
#[derive(Clone, Debug)]
pub(super) struct OrderLog {
    pub(super) orders: Vec<Order>,
    pub(super) fills: Vec<Fill>,
    /// Indices of orders that rest.
    pub(super) open: Vec<usize>,
    by_id: [BTreeMap<u64, usize>; 2],
    /// Newest order of each client id.
    by_client: [BTreeMap<String, usize>; 2],
    next_order: [u64; 2],
    next_trade: Vec<u64>,
}

impl OrderLog {
    /// `symbols`: how many symbols are listed.
    pub(super) fn new(symbols: usize) -> Self {
        Self {
            orders: Vec::new(),
            fills: Vec::new(),
            open: Vec::new(),
            by_id: [BTreeMap::new(), BTreeMap::new()],
            by_client: [BTreeMap::new(), BTreeMap::new()],
            // As large as the venue's own: ids do not fit 32 bits.
            next_order: [50_093_000_001, 8_389_765_700_000_000_001],
            next_trade: (0..symbols as u64).map(|n| 4_467_000_000 + n * 1_000_000).collect(),
        }
    }

    pub(super) fn next_order_id(&mut self, market: Market) -> u64 {
        let id = self.next_order[market.index()];
        self.next_order[market.index()] += 1;
        id
    }

    pub(super) fn next_trade_id(&mut self, symbol: SymbolId) -> u64 {
        self.next_trade[symbol] += 1;
        self.next_trade[symbol]
    }

    pub(super) fn add(&mut self, order: Order) -> usize {
        let at = self.orders.len();
        self.by_id[order.market.index()].insert(order.id, at);
        self.by_client[order.market.index()].insert(order.client_id.clone(), at);
        if order.status.open() {
            self.open.push(at);
        }
        self.orders.push(order);
        at
    }

    pub(super) fn by_id(&self, market: Market, symbol: SymbolId, id: u64) -> Option<usize> {
        self.by_id[market.index()].get(&id).copied().filter(|at| self.orders[*at].symbol == symbol)
    }

    /// The newest order with that client id.
    pub(super) fn by_client(&self, market: Market, symbol: SymbolId, id: &str) -> Option<usize> {
        self.by_client[market.index()].get(id).copied().filter(|at| self.orders[*at].symbol == symbol)
    }

    /// Is an open order carrying this client id?
    pub(super) fn is_open(&self, market: Market, id: &str) -> bool {
        self.open.iter().any(|at| self.orders[*at].market == market && self.orders[*at].client_id == id)
    }

    /// Drops an order that is open no more from the open list.
    pub(super) fn settle(&mut self, at: usize) {
        if !self.orders[at].status.open() {
            self.open.retain(|other| *other != at);
        }
    }
}
