//! The desk decides and does nothing: pure state machines without a venue's words.
//!
//! Map:   `basis` folds a threshold for the hot test · `book` keeps tops of book and feed freshness ·
//!        `gate` says why not · `order` follows one order with its evidence · `pair` turns proven
//!        quantities into exposure and repair · `ledger` books each fill once, per asset ·
//!        `complete` sizes the other cure · `budget` turns published limits into the permit's ceilings ·
//!        `risk` turns an account into what may be at stake.
//! Never: a socket, a clock, a file, a float.

pub mod basis;
pub mod book;
pub mod budget;
pub mod complete;
pub mod gate;
pub mod ledger;
pub mod order;
pub mod pair;
pub mod risk;
