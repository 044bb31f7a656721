//! The exchange in a box: a whole venue as a pure state machine, bytes in and bytes out, time as an argument.
//!
//! Owns:  HTTP and WebSocket as the venue speaks them, accounts, matching, a market (made or recorded), funding,
//!        request budgets, faults on order, and the truth about all of it.
//! Never: opens a socket, reads a clock, a file or the environment, starts a thread, holds a float, or shares a
//!        line with the engine it checks.
//! Map:   [`Exchange`] (`exchange`) is the door and the clock: connections (`sockets`, `conn`, `http`) carry
//!        requests to the venue's dialect (`dialect`), which checks them; `trading` acts on orders (`matching`,
//!        `orders`) and money (`accounts`); prices come from `market`, `tape` or `fed` and leave through `feeds` and
//!        `hub`, those of the account through `private`; `funding` settles; `limits` and `rates` count, `faults`, `incidents`,
//!        `outage` and `script` inject, `replica` remembers, `horizon` forgets, `standing` holds the key's rights
//!        and the account's modes, `truth` tells at the end and `watch` as it happens, `naked` measures.

mod account_key;
mod accounts;
mod chance;
mod config;
mod conn;
mod dialect;
mod exchange;
mod faults;
mod fed;
mod feeds;
mod funding;
mod horizon;
mod http;
mod hub;
mod incidents;
mod kinds;
mod limits;
mod listing;
mod market;
mod matching;
mod naked;
mod number;
mod odd;
mod orders;
mod outage;
mod private;
mod rates;
mod replica;
mod script;
mod sockets;
mod standing;
mod tape;
#[cfg(test)]
mod tests;
mod trading;
mod truth;
mod watch;

pub use config::{Config, ConfigError, ConnId, Door, Market, Source, Tape, TapeFrame, TapeKind, Venue};
pub use exchange::Exchange;
pub use fed::{Fed, FedSymbol};
pub use script::{Script, ScriptError};
pub use watch::{Arrived, Filled, Row, Seen, Standing};
