//! What a venue says of an order: fills, verdicts, refusals, doubts, counters (FAULTS part 5).
//!
//! Owns:  the venue-neutral form of every answer.
//! Never: calls a doubt a failure.

use super::Asset;
use crate::units::{Amount, ClientId, InstrumentId, Nanos, Price, Qty, Side, Unix};
use arrayvec::ArrayVec;

/// A fill, from whichever source; booked once by (instrument, trade id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which of our orders.
    pub client: ClientId,
    /// What was traded.
    pub instrument: InstrumentId,
    /// The venue's order id.
    pub order_id: u64,
    /// The venue's trade id, unique per symbol.
    pub trade_id: u64,
    /// Buy or sell.
    pub side: Side,
    /// At.
    pub price: Price,
    /// How much.
    pub qty: Qty,
    /// What it cost, positive when paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: Asset,
    /// The venue's stamp.
    pub at: Unix,
    /// Who told us.
    pub source: Source,
}

/// Where a fact came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The answer to the order itself.
    Answer,
    /// A query of ours.
    Query,
    /// The answer to a cancel of ours.
    Cancel,
    /// The venue's private stream.
    Stream,
}

/// What a venue does to a position by itself (FAULTS F83).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Too little margin.
    Liquidation,
    /// Another account's loss.
    Deleveraging,
    /// The contract ends.
    Settlement,
}

impl Forced {
    /// What a person reads.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Liquidation => "a liquidation",
            Self::Deleveraging => "an auto-deleveraging",
            Self::Settlement => "a settlement of the contract",
        }
    }

    /// As the journal has it: the cause of a fill.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Liquidation => "liquidation",
            Self::Deleveraging => "adl",
            Self::Settlement => "settlement",
        }
    }
}

/// What an answer says of an order, by FAULTS part 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Evidence A: terminal, with this executed quantity.
    Terminal {
        /// Cumulative executed quantity.
        executed: Qty,
    },
    /// The venue has it; it may still fill.
    Open {
        /// Cumulative executed quantity so far.
        executed: Qty,
    },
    /// Evidence B: this very request was refused.
    Refused(Refusal),
    /// The venue says an order with this id exists: evidence of landing; query it.
    Duplicate,
    /// A query found no such order. No evidence by itself.
    NotFound,
    /// May or may not have executed: never resend, query.
    Unknown(Doubt),
}

/// Why a request was refused for sure, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The venue's code; 0 where there was none.
    pub code: i32,
    /// Its class.
    pub kind: RefusalKind,
}

/// Classes of refusal that call for different conduct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Key, signature, rights: stop the venue.
    Auth,
    /// A filter: instruments may be old.
    Filter,
    /// The limit lies outside the band around the venue's moving reference price.
    Band,
    /// Balance or margin.
    Funds,
    /// The position is smaller than believed.
    ReduceOnly,
    /// Timestamp outside the window: learn the offset again.
    Stamp,
    /// The symbol may not be traded now.
    State,
    /// Budget of requests or orders spent.
    Throttle,
    /// The venue sheds load, documented as failed.
    Overload,
    /// The account may place no orders, or none that open anything: a person has to see to it.
    Account,
}

/// Why an order's fate is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The venue's own "execution status unknown", or a code nobody listed.
    Code(i32),
    /// An HTTP status without a code.
    Status(u16),
    /// A body that is no answer: HTML, cut JSON.
    Body,
    /// The link died before the answer.
    LinkLost,
    /// Nothing came in time.
    Silence,
}

/// What the venue's counters said in an answer's headers; `None`: not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Request weight used in the present minute.
    pub weight_1m: Option<u32>,
    /// Orders counted in the present 10 s.
    pub orders_10s: Option<u32>,
    /// Orders counted in the longer window (a day on spot, a minute on USD-M).
    pub orders_long: Option<u32>,
    /// Seconds to keep away.
    pub retry_after_s: Option<u32>,
}

/// An answer to an order, to a query about one, or to its cancel. Its fills were handed over before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which order.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// When the answer's last byte was read.
    pub received: Nanos,
    /// What it says.
    pub verdict: Verdict,
    /// The venue's order id, 0 if not told.
    pub order_id: u64,
    /// The venue's counters.
    pub counted: Counted,
    /// Answer to the order, to a query, or to a cancel.
    pub source: Source,
}

/// Fills of one answer, at most; more arrive by query (`myTrades`).
pub type FillList = ArrayVec<Fill, 64>;
