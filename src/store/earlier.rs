//! What earlier runs left, as facts: markets, trades, orders whose end is not known, silences asked for.
//!
//! Owns:  their shapes, in the journal's own words: ids and scales belong to the process that wrote them.
//! Never: reads an entry (`recall` does).

use crate::event::Asset;
use crate::units::{Amount, Class, ClientId, LegKind, Side, Unix};

/// A market by its venue's name for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Market {
    /// Spot or perpetual.
    pub leg: LegKind,
    /// The venue's symbol.
    pub symbol: String,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub began: Unix,
    /// Whether its last record says that it stopped by itself.
    pub stopped: bool,
}

/// A booked trade: it must not be booked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldTrade {
    /// The venue's order id.
    pub order_id: u64,
    /// Our order; `None` if the venue made it (ADL, liquidation, settlement).
    pub client: Option<ClientId>,
    /// How much, as decimal text.
    pub qty: String,
    /// When, by the venue's clock.
    pub at: Unix,
}

/// An order whose end, or whose last fill, is not in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldOrder {
    /// What it trades.
    pub market: Market,
    /// Why it was sent.
    pub class: Class,
    /// Buy or sell.
    pub side: Side,
    /// How much, as decimal text.
    pub qty: String,
    /// Worst price it takes, as decimal text.
    pub limit: String,
    /// The price it was decided at, as decimal text.
    pub decided: String,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// Its `timestamp`.
    pub stamp: Unix,
    /// The venue's id, 0 if it was never told.
    pub order_id: u64,
    /// What is proven to be executed, in units of its own quantity's last decimal, and booked of it.
    pub executed: i128,
    /// What is booked.
    pub booked: i128,
    /// Whether its end is proven.
    pub ended: bool,
}

impl OldOrder {
    pub(super) fn closed(&self) -> bool {
        self.ended && self.booked >= self.executed
    }
}

/// That a market asked to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// When it did, calendar time.
    pub at: Unix,
    /// Until when, by the same calendar.
    pub until: Unix,
    /// Until when by the venue's clock; `None`: it was not known.
    pub by_venue: Option<Unix>,
}

/// A market as a run knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldInstrument {
    /// Its name.
    pub market: Market,
    /// What is bought or sold.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// Decimals of its prices.
    pub price_decimals: u8,
    /// Decimals of its quantities.
    pub qty_decimals: u8,
}

/// A pair as a run knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldPair {
    /// Canonical name.
    pub name: Asset,
    /// Which instruments: spot, perp.
    pub legs: [usize; 2],
    /// m.
    pub price_factor: u64,
    /// k.
    pub size_factor: Amount,
}

/// What the intent records of some runs mean by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markets {
    /// Indexed by instrument id.
    pub instruments: Vec<OldInstrument>,
    /// Indexed by pair id.
    pub pairs: Vec<OldPair>,
    /// W of those runs, in ms.
    pub recv_window_ms: u32,
}
