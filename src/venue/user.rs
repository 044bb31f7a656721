//! The private stream of a market, in words no venue owns: how to open it, and what it says.
//!
//! Owns:  [`UserStream`], the part of a venue's table that is about private streams, and [`UserHeard`].
//! Never: judges; an event says what the venue said, the shadow books it.

use super::{Ask, BadBody, Key, Refused, Scratch, Symbols};
use crate::event::{Asset, Fill, Forced, Verdict};
use crate::units::{ClientId, InstrumentId, LegKind, Qty, Unix};
use crate::wire;

/// How a venue's private streams are opened and read.
#[derive(Clone, Copy)]
pub struct UserStream {
    /// The socket of a market.
    pub plan: fn(LegKind) -> UserPlan,
    /// Asks for the ticket that the socket's path carries (`false`), or lengthens its life (`true`);
    /// `None` where there is no such thing.
    pub ticket: fn(LegKind, &Key, bool) -> Option<Ask>,
    /// Reads the ticket. Writes into the body.
    pub read_ticket: fn(&mut [u8]) -> Result<String, BadBody>,
    /// Path of the WebSocket upgrade, with the ticket where there is one.
    pub path: fn(LegKind, &str) -> String,
    /// Text frames that subscribe, signed for this moment of the venue's clock.
    pub subscribe: fn(LegKind, &Key, Unix) -> Vec<String>,
    /// Reads one message.
    pub decode: fn(&mut Scratch, &Symbols, LegKind, &[u8]) -> Result<UserHeard, Unreadable>,
    /// Names of strings on its sockets that are nobody's business: a session file gets them blanked.
    pub secrets: &'static [&'static str],
}

/// One market's private socket.
#[derive(Clone, Copy, Debug)]
pub struct UserPlan {
    /// Name of the endpoint.
    pub endpoint: &'static str,
    /// How many confirmations make it live; without any it is live once it is open.
    pub confirmations: usize,
    /// Request weight of each request that opening it costs this market: upgrade, subscription.
    pub weights: &'static [u32],
    /// How often its ticket is renewed, in ns; `None`: it has none.
    pub renew_ns: Option<u64>,
    /// Whether the trader reads a second one: where the answer to an order carries no fills.
    pub hot: bool,
    /// Pings, deadlines and the socket's age limit.
    pub rules: wire::session::Rules,
}

/// What one message of a private stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserHeard {
    /// An order with an id of ours, as it stands now, and the fill that brought it there.
    Order {
        /// Our id.
        client: ClientId,
        /// What it trades.
        instrument: InstrumentId,
        /// The venue's order id.
        order_id: u64,
        /// Terminal or open, with the cumulative quantity.
        verdict: Verdict,
        /// The fill, when all of it is told: a fill without its fee is asked for instead.
        fill: Option<Fill>,
    },
    /// A trade of an order of ours, without its fee: not to be booked.
    Trade {
        /// Our id.
        client: ClientId,
        /// What it trades.
        instrument: InstrumentId,
        /// The venue's order id.
        order_id: u64,
        /// The venue's trade id.
        trade_id: u64,
        /// How much.
        qty: Qty,
    },
    /// An order that is not ours; `None`: of a market this engine does not trade.
    Foreign {
        /// What it trades.
        instrument: Option<InstrumentId>,
    },
    /// An order of the venue's own making on our account.
    System {
        /// What it trades.
        instrument: Option<InstrumentId>,
        /// What the venue did.
        what: Forced,
        /// The fill, when all of it is told: under no client order id, since it is nobody's order.
        fill: Option<Fill>,
    },
    /// The venue paid or took funding: the income ledger will say how much.
    Paid,
    /// Balances, positions, settings: read elsewhere.
    Account,
    /// Coins came or went without a trade: a deposit, a withdrawal, a transfer, a gift.
    Moved {
        /// Which; `None`: a name that none of ours has.
        asset: Option<Asset>,
    },
    /// A subscription was taken.
    Confirmed,
    /// A subscription was refused.
    Rejected {
        /// The venue's code.
        code: i32,
        /// Seconds to keep away, if it is because too much was asked.
        retry_after_s: Option<u32>,
    },
    /// Nothing more will come on this socket.
    Ended,
    /// A well-formed message that the engine has no use for.
    Unknown,
}

/// A private event that can't be believed (FAULTS F43): what it was about must be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("private event: {refused}")]
pub struct Unreadable {
    /// What it trades, as far as that could be read.
    pub instrument: Option<InstrumentId>,
    /// What is wrong with it.
    pub refused: Refused,
}
