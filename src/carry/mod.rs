//! Carry: what holding the pair earns, and so from which basis on an entry pays and an exit is due.
//!
//! Map:   `funding` what a perp pays · `signal` what of it is counted on · `rules` the entry threshold ·
//!        `exits` when a position is left · `reference` the basis it is held against · `pace` when
//!        something may be done again · `confirm` what a witness says to it · `opportunity` what a pair promises · `backtest` all of them over history · `round_trip` its money.
//! Never: reads the store, a clock or a socket: rates and times are handed in.

pub mod backtest;
pub mod confirm;
pub mod exits;
pub mod funding;
pub mod opportunity;
pub mod pace;
pub mod reference;
pub mod round_trip;
pub mod rules;
pub mod signal;
