//! Settled funding, its intervals and the prices beside it, as a venue tells them on request.
//!
//! Owns:  [`Funding`], the part of a venue's table that funding history reads, and its rows.
//! Never: fills a gap: a settlement that the venue does not tell is not there.

use super::audit::Rows;
use super::{Ask, Symbols};
use crate::event::Instrument;
use crate::units::{Amount, InstrumentId, Rate, Unix};

/// How funding history is read.
#[derive(Clone, Copy)]
pub struct Funding {
    /// Asks for the settled rates of a perp since a moment, itself included, oldest first, at most
    /// [`Funding::page`] of them.
    pub settled_since: fn(&Instrument, Unix) -> Ask,
    /// Reads them; what was paid besides the regular settlements is left out. Writes into the body.
    pub read_settled: fn(&mut [u8], &Instrument) -> Rows<SettledRow>,
    /// Asks for the hourly candles of a market since a moment, oldest first, at most [`Funding::page`] of them.
    pub candles_since: fn(&Instrument, Unix) -> Ask,
    /// Reads them. Writes into the body.
    pub read_candles: fn(&mut [u8]) -> Rows<CandleRow>,
    /// How many are asked for at once: a full page means ask on from the last one's time.
    pub page: usize,
    /// Asks for the intervals of all perps.
    pub intervals: fn() -> Ask,
    /// Reads them, for perps among the symbols. Writes into the body.
    pub read_intervals: fn(&mut [u8], &Symbols) -> Rows<IntervalRow>,
    /// Hours of a perp that [`Funding::intervals`] does not name.
    pub unnamed_hours: u32,
    /// The two questions have a budget of their own: so many together, within so many ns.
    pub pool: (usize, u64),
}

/// One settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledRow {
    /// The venue's stamp, which may be some ms late.
    pub at: Unix,
    /// The rate that was paid, per interval.
    pub rate: Rate,
}

/// One hour's candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleRow {
    /// When it opened.
    pub opened: Unix,
    /// The last price in it; of an open one, so far.
    pub close: Amount,
}

/// What a perp settles by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalRow {
    /// Which.
    pub instrument: InstrumentId,
    /// Hours between settlements.
    pub hours: u32,
}
