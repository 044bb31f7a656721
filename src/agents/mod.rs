//! The five rooms. Each is an `Agent` whose `do_work` reads top to bottom on a page.
//!
//! Map:   `reader` bytes → quotes · `trader` the only pen · `shadow` books, judges, repairs, budgets ·
//!        `clerk` makes every link, loads instruments, learns clocks · `scribe` writes the journal ·
//!        `courier` keeps one HTTP connection busy, for shadow and clerk · `socket` one
//!        WebSocket being read, for reader, trader and shadow, `decoy` one of nobody, to keep reading warm · `session`, `replay` what a room took in, kept and
//!        given to it again, `blank` without secrets, `begun` its head · `engine` wires the rooms · `alone` a
//!        clerk without the others.
//! Never: blocks; reads a clock but the stamp seam; reads anything outside its turn's inputs.

pub mod alone;
pub mod begun;
mod blank;
pub mod clerk;
pub mod courier;
pub mod decisions;
mod decoy;
pub mod engine;
pub mod reader;
pub mod replay;
pub mod scribe;
pub mod session;
pub mod shadow;
pub mod socket;
pub mod trader;

use crate::event::Instruments;
use crate::metal::link::Link;
use crate::units::{InstrumentId, LegKind, VenueId};
use crate::venue::{KeyKind, OrderForm, Orders, Symbols, Venue};
use std::sync::Arc;

/// What a connection is for. A dead one goes back to the clerk with it, to be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Market data of one socket plan, by its place in the clerk's list.
    Feed {
        /// Which plan.
        plan: usize,
        /// Which of the `--feed-links`.
        n: usize,
    },
    /// Orders of one market.
    Order {
        /// Whose.
        venue: VenueId,
        /// Which market.
        leg: LegKind,
        /// Which of the `--order-links`.
        n: usize,
    },
    /// The shadow's questions to one market.
    Query {
        /// Whose.
        venue: VenueId,
        /// Which market.
        leg: LegKind,
    },
    /// The shadow's private stream of one market.
    User {
        /// Whose.
        venue: VenueId,
        /// Which market.
        leg: LegKind,
    },
    /// The trader's own private stream of one market, where answers to orders carry no fills.
    HotUser {
        /// Whose.
        venue: VenueId,
        /// Which market.
        leg: LegKind,
    },
}

/// A live link on its way from the clerk to the room that will own it.
#[derive(Debug)]
pub struct Handed {
    /// The connection, upgraded and logged in as its purpose needs.
    pub link: Link,
    /// What for.
    pub purpose: Purpose,
    /// For sockets (feeds, private streams, orders by frames): how to read it.
    pub feed: Option<FeedCard>,
    /// For order links by requests: the cheap one that keeps it warm, ready to send.
    pub warm: Vec<u8>,
}

/// How to read a feed or a private stream.
#[derive(Clone, Debug)]
pub struct FeedCard {
    /// Whose words it speaks.
    pub venue: &'static Venue,
    /// Which market it carries.
    pub leg: LegKind,
    /// Symbols it may name.
    pub symbols: Arc<Symbols>,
    /// How many confirmations make it live.
    pub confirmations: usize,
    /// Its pings and deadlines.
    pub rules: crate::wire::session::Rules,
}

/// A dead link on its way back to the clerk.
#[derive(Debug)]
pub struct Dead {
    /// What is left of it.
    pub link: Link,
    /// What it was for.
    pub purpose: Purpose,
    /// Why it died, with what to do.
    pub why: String,
}

/// A generation of instruments with what the hot rooms need of it.
#[derive(Debug)]
pub struct Loaded {
    /// The instruments and pairs.
    pub instruments: Arc<Instruments>,
    /// The order template of each instrument, by its id; empty when there is no key.
    pub forms: Vec<OrderForm>,
}

impl Loaded {
    /// What the templates were made for; `None`: there are none.
    #[must_use]
    pub fn made_for(&self) -> Option<(Orders, KeyKind)> {
        self.forms.first().map(OrderForm::made_for)
    }

    /// The order template of an instrument.
    #[must_use]
    pub fn form(&self, instrument: InstrumentId) -> Option<&OrderForm> {
        self.forms.get(usize::from(instrument.0))
    }
}
