//! The settings of exits, growth and caps, as lines of the table.
//!
//! Owns:  the lines that say when a position is left, how it grows, and how much may be at stake.
//! Map:   `table.rs` joins all lines, and has those of the entry.

use super::settings::{Kind, Setting};
use super::table::{DECIDERS, ENGINE, PLAIN, WATCHERS};
use super::value;

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "rho",
        section: "trade",
        kind: Kind::Number,
        unit: "0..1",
        default: Some("0.5"),
        example: "1",
        help: "Leave when closing pays the carry forgone and this share of a round trip's fees",
        on: DECIDERS,
        set: |s, v| value::share(v).map(|rate| s.rho = rate),
        ..PLAIN
    },
    Setting {
        name: "unwind-apr",
        section: "trade",
        unit: "PCT",
        default: Some("0%"),
        example: "2%",
        help: "Leave once estimate and 7-day mean stayed below this APR across a settlement",
        on: DECIDERS,
        set: |s, v| value::fraction(v).map(|rate| s.unwind_apr = rate),
        ..PLAIN
    },
    Setting {
        name: "require-expanding",
        section: "trade",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Enter only while the funding estimate is not below its 7-day mean",
        on: DECIDERS,
        set: |s, v| value::switch(v).map(|on| s.require_expanding = on),
        ..PLAIN
    },
    Setting {
        name: "max-clips",
        section: "trade",
        kind: Kind::Count,
        unit: "N",
        default: Some("1"),
        example: "4",
        help: "Clips a position may grow to, where each pays by itself",
        on: WATCHERS,
        set: |s, v| value::count(v, 1, 1_000).map(|n| s.clips_max = n as u32),
        ..PLAIN
    },
    Setting {
        name: "clip-cool-down",
        section: "trade",
        unit: "DURATION",
        default: Some("10m"),
        example: "1h",
        help: "Wait this long after a clip before the next",
        on: WATCHERS,
        set: |s, v| value::some_duration(v).map(|ns| s.clip_cool_down_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "deployed-max",
        section: "trade",
        unit: "PCT",
        default: Some("25%"),
        example: "10%",
        help: "Deploy at most this share of the account's equity: spot cost and initial margin",
        on: ENGINE,
        set: |s, v| value::part(v).map(|rate| s.deployed_max = rate),
        ..PLAIN
    },
];
