//! What the trader counts: for the summary, and for those who ask why nothing happens.
//!
//! Owns:  the figures of a run, and what weighing a pair may come to.
//! Never: decides anything by a figure.

use crate::event::Closed;

/// What the trader counts, for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraderCounts {
    /// Feed items taken.
    pub taken: u64,
    /// Quotes that reached the books.
    pub quotes: u64,
    /// Times a pair was weighed on a new quote.
    pub decisions: u64,
    /// Signals that a newer quote in the ring took back or replaced.
    pub conflated: u64,
    /// Orders sent as they lay sealed.
    pub sealed: u64,
    /// Orders signed ahead and sealed at fire time.
    pub prepared: u64,
    /// Orders signed at fire time.
    pub signed: u64,
    /// Signals that the gate refused, by reason.
    pub closed: [u64; Closed::ALL.len()],
    /// Quotes the tee had no room for.
    pub tee_lost: u64,
    /// Orders whose fill or end the private stream told before their answer.
    pub feed_before_ack: u64,
    /// Times the private stream was lost.
    pub feed_lost: u64,
}

impl TraderCounts {
    /// Orders of which at least one byte left.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sealed + self.prepared + self.signed
    }
}

/// What came of weighing a pair on a new quote, when it was no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Weighed {
    /// A leg has no quote yet.
    NoQuote = 0,
    /// No threshold: terms are not known yet, or nothing would pay, or entries are off.
    NoThreshold,
    /// The basis is on the wrong side of the threshold.
    Below,
    /// The threshold is passed, but less is visible than one clip.
    Thin,
}

impl Weighed {
    /// What a person reads, in the order of the numbers.
    pub const TEXTS: [&'static str; 4] =
        ["no quote of a leg yet", "no threshold", "basis short of the threshold", "visible size too small"];
}
