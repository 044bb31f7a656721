//! Dialects: how each venue speaks over the box's one engine.
//!
//! Owns:  one folder per venue, written from that venue's page.
//! Never: keeps state of its own.

pub(super) mod binance;
