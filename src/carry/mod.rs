//! Carry: what holding the pair earns, and so from which basis on an entry pays.
//!
//! Map:   `funding` says what is earned · `rules` computes the entry threshold of DESIGN §5 from it, fees,
//!        spreads and the hold.
//! Never: reads the store, a clock or a socket: rates and times are handed in.

pub mod funding;
pub mod rules;
