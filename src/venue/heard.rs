//! What a market data socket is asked for, and what its messages say.
//!
//! Owns:  [`FeedPlan`], [`Binary`], [`Heard`], and why a message is not believed.
//! Never: keeps a message: whoever reads one takes what it says, or counts a refusal.

use super::{Key, Symbols};
use crate::event::Instruments;
use crate::units::{BadDecimal, InstrumentId, LegKind, PairId, Price, Qty, Rate, Unix};
use crate::wire;

/// One socket to open and what to say on it.
#[derive(Clone, Debug)]
pub struct FeedPlan {
    /// Name of the endpoint.
    pub endpoint: &'static str,
    /// Path of the WebSocket upgrade.
    pub path: String,
    /// Which market it carries.
    pub leg: LegKind,
    /// `"quotes"` or `"marks"`.
    pub what: &'static str,
    /// Text frames to send once connected, in order.
    pub subscribe: Vec<String>,
    /// How many times `Confirmed` answers them.
    pub confirmations: usize,
    /// Pings, deadlines and the socket's age limit.
    pub rules: wire::session::Rules,
    /// Whose data it brings.
    pub instruments: Vec<InstrumentId>,
}

/// A venue's quotes in its own binary form, beside the text of [`super::Open`]. What comes as text on such a socket
/// is read as on any other.
pub struct Binary {
    /// The endpoint whose sockets send it.
    pub endpoint: &'static str,
    /// As [`super::Open::feeds`], with sockets of that endpoint wherever there are quotes in this form.
    pub feeds: fn(&Instruments, &[PairId]) -> Vec<FeedPlan>,
    /// What their upgrade must carry.
    pub headers: fn(&Key) -> Vec<(&'static str, String)>,
    /// Reads one binary message of a market's socket. Allocates nothing.
    pub decode: fn(&Symbols, LegKind, &[u8]) -> Result<Heard, Refused>,
    /// What to do when the venue refuses their upgrade.
    pub advice: &'static str,
}

/// What one message of a market data socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The best bid and ask of an instrument.
    Quote {
        /// Whose.
        instrument: InstrumentId,
        /// The venue's update id.
        sequence: u64,
        /// Best bid.
        bid: Price,
        /// What rests at the best bid.
        bid_qty: Qty,
        /// Best ask.
        ask: Price,
        /// What rests at the best ask.
        ask_qty: Qty,
        /// When the venue sent it, where it says so.
        stamp: Option<Unix>,
        /// Whether the general parser had to read it.
        fallback: bool,
    },
    /// A message that is good for its stamp alone: when the venue sent it.
    Stamp(Unix),
    /// A perp's mark price and funding estimate.
    Mark {
        /// Whose.
        instrument: InstrumentId,
        /// Mark price, rounded down to the instrument's decimals: it guards and values, no order
        /// is priced by it.
        mark: Price,
        /// Running estimate for the coming settlement, per interval.
        funding: Option<Rate>,
        /// The coming settlement.
        next_funding: Option<Unix>,
        /// When the venue sent it.
        stamp: Unix,
    },
    /// A subscription was taken.
    Confirmed,
    /// A ping that was no ping frame was answered.
    Pong,
    /// A subscription or another request of ours on this socket was refused.
    Rejected {
        /// The venue's code; 0 where it gives none.
        code: i32,
    },
    /// The venue is about to close the socket.
    Shutdown,
    /// A well-formed message that the engine has no use for.
    Unknown,
}

/// A message that can't be believed. Counted and dropped; the last good quote stays until it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message refused at field `{field}`: {why}")]
pub struct Refused {
    /// The venue's name of the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its number can't be taken exactly.
    #[error(transparent)]
    Decimal(#[from] BadDecimal),
    /// It is not there.
    #[error("missing")]
    Missing,
    /// The message is no JSON.
    #[error("not JSON")]
    NotJson,
    /// A layout that was never agreed on.
    #[error("of another schema than the one that is read")]
    Schema,
    /// A stamp before 2015 or after 2100.
    #[error("absurd stamp")]
    Stamp,
    /// It is there twice.
    #[error("given twice")]
    Twice,
    /// It is of another JSON type than agreed.
    #[error("of the wrong type")]
    Type,
    /// One side of a top of book is empty: there is nothing to trade against, which is no price of 0.
    #[error("an empty side of the book")]
    OneSided,
    /// More levels than the top of book has.
    #[error("more than the one level subscribed")]
    Levels,
    /// A change to a book of which only whole tops are kept.
    #[error("a change to a book, where every message should replace it")]
    Change,
    /// Two fields that must say the same do not.
    #[error("not what another field says")]
    Differs,
    /// A form that the venue has retired.
    #[error("a form that the venue has retired")]
    Retired,
}
