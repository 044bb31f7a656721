//! What a number means: prices, quantities, rates, money, time and identities, each a type of its own.
//!
//! Owns:  exact decimal text in and out, the newtypes, and their checked arithmetic.
//! Never: holds a float, rounds silently, knows a venue, reads a clock.
//! Scale: `Price` and `Qty` count 10^-p and 10^-q of *their instrument* (DESIGN §4); amounts of an
//!        asset count 10^-18. Two instruments' prices meet only through their pair's factors.

pub mod decimal;
pub mod id;
pub mod money;
pub mod price;
pub mod rate;
pub mod time;

pub use decimal::BadDecimal;
pub use id::{Class, ClientId, Direction, InstrumentId, LegKind, LinkId, PairId, Side, VenueId};
pub use money::Amount;
pub use price::{Price, Qty};
pub use rate::{Rate, Ratio};
pub use time::{Nanos, Unix};
