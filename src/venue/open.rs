//! What a venue tells anybody, without a key: the open half of its table.
//!
//! Owns:  [`Open`], and the rows of its answers that know all markets at once.
//! Never: signs. What needs an account is [`super::Venue`]'s.

use super::audit::Rows;
use super::funding::SettledRow;
use super::{Ask, BadBody, BucketRule, Endpoint, FeedPlan, Heard, Listing, Refused, Scratch, Symbols};
use crate::event::{Counted, Instrument, Instruments};
use crate::units::{Amount, InstrumentId, LegKind, PairId, Price, Qty, Rate, Unix, VenueId};
use crate::wire;
use std::fmt;

/// What the engine asks of any venue. Plain functions: they take bytes and give values.
pub struct Open {
    /// Its index in [`super::EVERY`].
    pub id: VenueId,
    /// Its name in configuration, logs and `--json`.
    pub name: &'static str,
    /// Its hosts.
    pub endpoints: &'static [Endpoint],
    /// Which endpoint serves a market's REST.
    pub rest: fn(LegKind) -> &'static str,
    /// Its published budgets, until [`Open::read_listing`] tells the real ones.
    pub limits: &'static [BucketRule],
    /// Where each path has a budget of its own: what that is, at the least.
    pub path_limit: Option<BucketRule>,
    /// Asks a market what it trades.
    pub listing_request: fn(LegKind) -> Ask,
    /// Reads it. Where there is more to it than one answer holds, [`Listing::more`] asks on. Writes into the
    /// body.
    pub read_listing: fn(LegKind, &mut [u8]) -> Result<Listing, BadBody>,
    /// The sockets that carry quotes and marks of these pairs.
    pub feeds: fn(&Instruments, &[PairId]) -> Vec<FeedPlan>,
    /// Reads one message of a market's socket.
    pub decode: fn(&mut Scratch, &Symbols, LegKind, &[u8]) -> Result<Heard, Refused>,
    /// The same by the general parser alone, whatever its layout: what `decode` falls back to, and must agree with.
    pub parse: fn(&mut Scratch, &Symbols, LegKind, &[u8]) -> Result<Heard, Refused>,
    /// How its public sockets are asked for a sign of life.
    pub ping: Ping,
    /// Asks a market for its clock.
    pub time_request: fn(LegKind) -> Ask,
    /// Reads a market's clock. Writes into the body.
    pub read_time: fn(&mut [u8]) -> Result<Unix, BadBody>,
    /// The questions that, together, tell prices and funding of all markets.
    pub tickers: &'static [Tickers],
    /// How settled funding is read back; `None`: only by [`super::Funding`], forward.
    pub settled: Option<Settled>,
    /// What the status and the counters in the headers of an answer say. Where a status asks to be left
    /// alone and no header says for how long, the venue's own rule does.
    pub counted: fn(u16, &wire::http::Head<'_>) -> Counted,
}

impl Open {
    /// The endpoint of a name, if the venue has it.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&'static Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }
}

/// There is one table a venue.
impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Open {}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a socket is asked for a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ping {
    /// By a ping frame, which a pong frame answers.
    Frame,
    /// By this text, which a message answers that reads as [`Heard::Pong`].
    Text(&'static str),
}

/// One question whose answer tells of all of a market.
#[derive(Clone, Copy)]
pub struct Tickers {
    /// Which market.
    pub leg: LegKind,
    /// Whether it tells prices, which move all the time.
    pub books: bool,
    /// The request.
    pub request: fn() -> Ask,
    /// Reads the answer, for instruments among the symbols. Writes into the body.
    pub read: fn(&mut [u8], &Symbols) -> Result<Told, BadBody>,
}

/// What such an answer told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Of each instrument, what could be read.
    pub rows: Vec<TickerRow>,
    /// Rows that can't be believed, by symbol. They say nothing about the others.
    pub refused: Vec<(String, Refused)>,
}

impl Told {
    /// Takes a row, or why it can't be taken.
    pub fn take(&mut self, symbol: &str, row: Result<TickerRow, Refused>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(refused) => self.refused.push((symbol.to_owned(), refused)),
        }
    }
}

/// What one question told of one instrument; another question may tell the rest. Missing is missing, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickerRow {
    /// Whose.
    pub instrument: InstrumentId,
    /// Best bid and what rests there.
    pub bid: Option<(Price, Qty)>,
    /// Best ask and what rests there.
    pub ask: Option<(Price, Qty)>,
    /// Mark price, rounded down to the instrument's decimals.
    pub mark: Option<Price>,
    /// Running estimate for the coming settlement, per interval.
    pub funding: Option<Rate>,
    /// The coming settlement.
    pub next_funding: Option<Unix>,
    /// Hours between settlements.
    pub hours: Option<u32>,
    /// Lowest and highest rate a settlement can have.
    pub bounds: Option<[Rate; 2]>,
    /// What changed hands in the last day, in the quote coin.
    pub turnover: Option<Amount>,
}

impl TickerRow {
    /// With what another question told of the same instrument.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            instrument: self.instrument,
            bid: other.bid.or(self.bid),
            ask: other.ask.or(self.ask),
            mark: other.mark.or(self.mark),
            funding: other.funding.or(self.funding),
            next_funding: other.next_funding.or(self.next_funding),
            hours: other.hours.or(self.hours),
            bounds: other.bounds.or(self.bounds),
            turnover: other.turnover.or(self.turnover),
        }
    }
}

/// How settled funding is read, newest first.
#[derive(Clone, Copy)]
pub struct Settled {
    /// Asks for the newest page of a perp, or the one behind it.
    pub request: fn(&Instrument, Behind) -> Ask,
    /// Reads it. Writes into the body.
    pub read: fn(&mut [u8], &Instrument) -> Rows<SettledRow>,
    /// Rows of a full page: one with fewer is the last.
    pub page: usize,
}

/// How far settled funding has been read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// The oldest settlement there is; `None`: nothing yet.
    pub oldest: Option<Unix>,
    /// How many pages there are.
    pub pages: u32,
}
