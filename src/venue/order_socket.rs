//! How orders travel: each as a request of its own, or over a socket that answers by id.
//!
//! Owns:  the choice, and what a venue says of its order socket.
//! Never: sends. Frames and masks are the pen's, which request flies is the trader's.

use super::{Judged, Key, KeyKind, OrderForm, Scratch};
use crate::event::{Counted, FillList, Instrument};
use crate::units::{ClientId, LegKind, Unix};
use crate::wire::session::Rules;

/// What orders travel by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orders {
    /// HTTP requests.
    #[default]
    Rest,
    /// The venue's WebSocket API.
    Ws,
}

/// A venue's sockets for orders.
#[derive(Clone, Copy, Debug)]
pub struct OrderSocket {
    /// Where it is.
    pub endpoint: fn(LegKind) -> &'static str,
    /// Path of the upgrade.
    pub path: fn(LegKind) -> &'static str,
    /// Request weight of the upgrade.
    pub weight: fn(LegKind) -> u32,
    /// What it owes.
    pub rules: fn(LegKind) -> Rules,
    /// How it is logged on to.
    pub logon: Logon,
    /// The order template of one instrument: key and `recvWindow` in ms are fixed in it. It renders the message; whoever
    /// sends it puts a frame around it. With a key that logs on, no message of it is signed.
    pub form: fn(&Instrument, &Key, u32) -> OrderForm,
    /// Reads a message, where this order flies. Fills go into the list, as with `Venue::read_answer`.
    pub read: fn(&[u8], Option<Flies<'_>>, &mut Scratch, &mut FillList) -> Said,
}

/// How a socket is told once whose orders come on it.
#[derive(Clone, Copy, Debug)]
pub struct Logon {
    /// Keys of this kind do it; with any other each order is signed.
    pub kind: KeyKind,
    /// Request weight.
    pub weight: u32,
    /// The message, stamped so.
    pub message: fn(&Key, Unix) -> String,
    /// Reads a message that may be the answer: `None` if it is none, else whether the socket is logged on, or why not.
    pub read: fn(&[u8]) -> Option<Result<(), String>>,
    /// What an operator does about a refusal.
    pub advice: &'static str,
}

/// An order on its way: its id, and what it is of.
pub type Flies<'a> = (ClientId, &'a Instrument);

/// The order template of one instrument by this way; host, key and `recvWindow` in ms are fixed in it.
#[must_use]
pub fn form(orders: Orders, row: &Instrument, host: &str, key: &Key, recv_window_ms: u32) -> OrderForm {
    let venue = super::get(row.venue);
    match orders {
        Orders::Rest => (venue.form)(row, host, key, recv_window_ms),
        Orders::Ws => (venue.order_socket.form)(row, key, recv_window_ms),
    }
}

/// What a message on an order socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The answer to the order that flies.
    Answer {
        /// What it says of the order.
        judged: Judged,
        /// What it says of budgets.
        counted: Counted,
    },
    /// Nothing about what flies.
    Other,
    /// The venue will close this socket soon.
    Leaving,
    /// An answer to nobody knows what, or no message at all: what flies here is in doubt.
    Doubtful,
}
