//! Reader → trader, reader → shadow: tops of book, stamps, signs of life, marks.
//!
//! Owns:  what market sockets say, once decoded.
//! Never: holds text of the wire.

use crate::units::{InstrumentId, LinkId, Nanos, Price, Qty, Rate, Unix};
use std::num::NonZeroI64;

/// A venue's own stamp on a quote. No clock of theirs says 0, so none at all takes no more room than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueStamp(NonZeroI64);

impl VenueStamp {
    /// This time as a stamp; `None` for the epoch itself.
    #[inline]
    #[must_use]
    pub fn new(at: Unix) -> Option<Self> {
        NonZeroI64::new(at.0).map(Self)
    }

    /// The time it tells.
    #[inline]
    #[must_use]
    pub const fn at(self) -> Unix {
        Unix(self.0.get())
    }
}

/// The best bid and ask of one instrument, as one message told them. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Whose.
    pub instrument: InstrumentId,
    /// Which socket brought it.
    pub link: LinkId,
    /// The venue's update id; never goes backwards on one instrument.
    pub sequence: u64,
    /// Best bid.
    pub bid: Price,
    /// What rests at the best bid.
    pub bid_qty: Qty,
    /// Best ask.
    pub ask: Price,
    /// What rests at the best ask.
    pub ask_qty: Qty,
    /// When its last byte was read from the socket.
    pub received: Nanos,
    /// What the venue stamped its message with, where it does.
    pub stamp: Option<VenueStamp>,
}

/// What the reader tells the trader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// A new top of book.
    Quote(Quote),
    /// A message that is no quote and has the venue's own stamp arrived on this socket.
    Stamp {
        /// Which socket.
        link: LinkId,
        /// The venue's stamp.
        stamp: Unix,
        /// When it was read.
        received: Nanos,
    },
    /// The socket delivered bytes or answered our ping.
    Alive {
        /// Which socket.
        link: LinkId,
        /// When.
        at: Nanos,
    },
    /// The venue confirmed this socket's subscriptions.
    Live {
        /// Which socket.
        link: LinkId,
    },
    /// The socket is gone: every quote it brought is stale from here on.
    Gone {
        /// Which socket.
        link: LinkId,
    },
    /// The socket's last read filled its room: newer bytes wait, so what it brought is known to be old, until it is
    /// [`Feed::Abreast`] or [`Feed::Gone`].
    Behind {
        /// Which socket.
        link: LinkId,
    },
    /// A read has brought the rest of what was behind.
    Abreast {
        /// Which socket.
        link: LinkId,
    },
}

impl Feed {
    /// Whether it tells how far a socket was read: neither a quote nor a sign of life.
    #[inline]
    #[must_use]
    pub const fn is_of_reads(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Behind { .. } | Self::Abreast { .. })
    }
}

const _: () = assert!(size_of::<Quote>() <= 64, "a quote is one cache line");
const _: () = assert!(size_of::<Feed>() <= 72, "a feed slot stays near one cache line");

/// When the kernel had what a read brought, where packets are stamped. For measuring: nothing is decided by it, so it is
/// in no recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// The read, by what its quotes carry ([`Quote::received`]).
    pub received: Nanos,
    /// The kernel's stamp of its last packet, by this host's calendar clock.
    pub at: Unix,
    /// From that stamp to the read, in ns.
    pub waited_ns: u64,
}

/// A perp's mark price and its running funding estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub instrument: InstrumentId,
    /// Mark price.
    pub mark: Price,
    /// Running estimate for the coming settlement, per interval; `None` where the venue gave none
    /// (missing is missing, never 0).
    pub funding: Option<Rate>,
    /// The coming settlement.
    pub next_funding: Option<Unix>,
    /// The venue's stamp.
    pub stamp: Unix,
    /// When it was read.
    pub received: Nanos,
}
