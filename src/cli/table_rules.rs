//! The settings of exits, growth, caps and the witness, as lines of the table.
//!
//! Owns:  the lines that say when a position is left, how it grows, how much may be at stake, and who
//!        must confirm an entry.
//! Map:   `table.rs` joins all lines, and has those of the entry.

use super::settings::{Kind, Setting};
use super::table::{DECIDERS, ENGINE, PLAIN, WATCHERS};
use super::value;
use crate::venue::witness::{self, Map};

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
    Setting {
        name: "confirm-url",
        section: "confirm",
        unit: "URL",
        example: "https://signals.example/v1/arbitrage/spot-perp",
        help: "Ask this address what it says of each pair before an entry: https, or http on this host; no secret in it",
        on: ENGINE,
        set: |s, v| value::witness_url(v).map(|url| s.confirm_url = Some(url)),
        ..PLAIN
    },
    Setting {
        name: "confirm-map",
        section: "confirm",
        kind: Kind::List,
        unit: "NAME=POINTER,…",
        default: Some(witness::FORM),
        example: "rows=/signals,symbol=/pair,direction=/side,time=/at",
        help: "Where its JSON holds rows, symbol, exchange, rate, direction, time: pointers from the row, #/… from the whole",
        on: ENGINE,
        set: |s, v| Map::parse(v).map(|_| s.confirm_map = v.to_owned()),
        ..PLAIN
    },
    Setting {
        name: "confirm-key-file",
        section: "confirm",
        unit: "FILE",
        example: "signals.toml",
        help: "A header that makes it answer: TOML with header and secret; mode 0600",
        on: ENGINE,
        set: |s, v| value::path(v).map(|path| s.confirm_key_file = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "confirm-every",
        section: "confirm",
        unit: "DURATION",
        default: Some("60s"),
        example: "15s",
        help: "Ask it this often",
        on: ENGINE,
        set: |s, v| value::some_duration(v).map(|ns| s.confirm_every_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "confirm-age-max",
        section: "confirm",
        unit: "DURATION",
        default: Some("5m"),
        example: "30m",
        help: "Its word is old when it was stated or received longer ago than this",
        on: WATCHERS,
        set: |s, v| value::some_duration(v).map(|ns| s.confirm_age_max_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "confirm-enter-on",
        section: "confirm",
        kind: Kind::List,
        unit: "agree|disagree|absent|old,…",
        default: Some("agree"),
        example: "agree,absent,old",
        help: "Enter a pair only if its word is one of these; otherwise hold. Exits and repairs never wait for it",
        on: WATCHERS,
        set: |s, v| value::words(v).map(|words| s.confirm_enter_on = words),
        ..PLAIN
    },
];
