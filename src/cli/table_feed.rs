//! The settings of market data: in which form quotes are read.
//!
//! Owns:  their lines of the table.
//! Never: reads a value itself; `value.rs` does.

use super::settings::Setting;
use super::table::{ENGINE, PLAIN};
use super::value;

pub(super) const LINES: &[Setting] = &[Setting {
    name: "feed",
    section: "engine",
    unit: "json|sbe",
    default: Some("json"),
    example: "sbe",
    help: "How spot quotes are read: as text, or as Binance's binary SBE, whose socket wants an API key of the kind \
           Ed25519 (perps have text only; on paper the venue itself is read as text)",
    on: ENGINE,
    set: |s, v| value::choice(v, &[("json", false), ("sbe", true)]).map(|sbe| s.sbe = sbe),
    ..PLAIN
}];
