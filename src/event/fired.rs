//! Trader → shadow: what was sent, and how the books looked.
//!
//! Owns:  send rounds, pulses, signals.
//! Never: says what became of an order: that is an answer's.

use super::{Answer, Bind, Closed, Fill, Headers, Quote, Spent};
use crate::units::{Class, ClientId, Direction, InstrumentId, LinkId, Nanos, PairId, Price, Qty, Side, Unix};

/// How an order's bytes came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Rendered and signed ahead, in an idle turn; sealed, where the link is, at fire time.
    Prepared,
    /// Rendered and signed at fire time.
    Signed,
    /// Rendered, signed and sealed ahead.
    Sealed,
}

/// How much of an order reached the kernel. Anything but `Nothing` may execute (FAULTS part 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Every byte: state WIRE.
    All,
    /// Some bytes; the rest goes first on the same link: state WRITING.
    Part,
    /// No byte left the host: state `NOT_SENT`, evidence B of our own making.
    Nothing,
}

/// One leg of a fired intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiredLeg {
    /// Its client order id.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// Worst price it takes.
    pub limit: Price,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// The `timestamp` it carries (the venue's clock, by the learned offset).
    pub stamp: Unix,
    /// When its bytes, sealed and all, were handed to `send`: for measuring, and only where sends are stamped so.
    pub handed: Option<Nanos>,
    /// When `send` returned.
    pub sent: Nanos,
    /// How much of it went out.
    pub wire: Wire,
    /// How its bytes were made.
    pub made: Made,
    /// On which connection.
    pub link: LinkId,
}

/// One send round: what was decided, on which quotes, and what went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The intent's sequence in this epoch.
    pub sequence: u32,
    /// Whose.
    pub pair: PairId,
    /// Why.
    pub class: Class,
    /// Short or long.
    pub direction: Direction,
    /// Index of the input that triggered it: how many feed items the trader had taken.
    pub decision: u64,
    /// The trader's turn, counted from its start.
    pub turn: u64,
    /// Slot of its intent record; the shadow frees it once all of it is closed.
    pub slot: u16,
    /// Update ids of the quotes decided on: spot, perp.
    pub quotes: [u64; 2],
    /// Prices decided on: spot (ask for short, bid for long; the other way round to close), perp.
    pub prices: [Price; 2],
    /// When the triggering input's last byte was read; for a command, when it was taken.
    pub seen: Nanos,
    /// The legs, first sent first.
    pub legs: [Option<FiredLeg>; 2],
    /// A contingent leg is still to come: it follows once the first leg's fill is proven, as a send round
    /// of the same sequence, or [`Told::CalledOff`] says that it won't.
    pub more: bool,
    /// What it was charged against the permit's stakes; nothing, unless it begins an entry.
    pub bind: Bind,
}

/// From packet to packet: what the kernel's stamps say of one leg. For measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packets {
    /// Whether it left second.
    pub second: bool,
    /// From the last packet of the triggering read to that read, in ns.
    pub rx_to_read_ns: u64,
    /// From that packet to the last one of the order, handed to the network driver, in ns.
    pub wire_to_wire_ns: u64,
}

/// What the trader's books look like, for thresholds, valuation and people. Sent a few times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose.
    pub pair: PairId,
    /// Latest quotes: spot, perp; `None` before the first.
    pub quotes: [Option<Quote>; 2],
    /// Slow mean of both spreads together, as a fraction of the price, in 10^-9.
    pub spread_ppb: u64,
    /// What came of weighing the pair, by `agents::trader::Weighed`.
    pub weighed: [u64; 4],
    /// Why the gate refused its last signal; `None`: it did not.
    pub gate: Option<Closed>,
}

/// What the trader tells the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A send round.
    Fired(Fired),
    /// A fill, read from an answer or from the trader's private stream.
    Fill(Fill),
    /// An answer, after its fills.
    Answer(Answer),
    /// A trade of an order of ours, told early and without its fee: it is not to be booked.
    Trade {
        /// Which order.
        client: ClientId,
        /// What was traded.
        instrument: InstrumentId,
        /// The venue's order id.
        order_id: u64,
        /// The venue's trade id.
        trade_id: u64,
        /// How much.
        qty: Qty,
    },
    /// The books, now and then.
    Pulse(Pulse),
    /// What would have been fired, had real orders been allowed. Told once per crossing of the threshold.
    Signal {
        /// Whose.
        pair: PairId,
        /// Entry or exit.
        class: Class,
        /// Short or long.
        direction: Direction,
        /// Index of the input that triggered it.
        decision: u64,
        /// Prices decided on: spot, perp.
        prices: [Price; 2],
    },
    /// A request that keeps a link warm left.
    Spent(Spent),
    /// What the venue's counters said in the answer to it.
    Headers(Headers),
    /// A contingent leg will not be sent: the first leg's fill is not proven, or the way was shut.
    CalledOff {
        /// Whose.
        pair: PairId,
    },
    /// The kill latch was found set, or found clear again, at the beginning of a turn.
    Latch {
        /// Set, or clear.
        set: bool,
        /// The trader's turn, as in [`Fired::turn`].
        turn: u64,
        /// When.
        at: Nanos,
    },
    /// The kernel has stamped the packets of a leg. Lossy.
    Packets(Packets),
    /// An order command could not be carried out; nothing was sent.
    Declined {
        /// Whose.
        pair: PairId,
        /// Why.
        why: Closed,
    },
}

const _: () = assert!(size_of::<Told>() <= 384, "six cache lines a slot; the ring is taken once at start");
