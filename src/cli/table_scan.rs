//! The settings of `scan` and of whoever else only looks, as lines of the table.
//!
//! Owns:  the lines of `[scan]`, and which venues are looked at.
//! Map:   `table.rs` joins all lines.

use super::settings::{Command, Kind, Setting};
use super::table::PLAIN;
use super::value;

const SCAN: &[Command] = &[Command::Scan];
/// Whoever only looks, and who is looked at.
const LOOKERS: &[Command] = &[Command::Scan, Command::Pairs, Command::FetchFunding, Command::Sim];

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "venue",
        section: "venues",
        kind: Kind::List,
        unit: "NAMES",
        default: Some("binance"),
        scan: Some("all"),
        example: "bybit",
        help: "Venues to look at, or those the box stands for, or `all`; none of them needs a key",
        on: LOOKERS,
        set: |s, v| value::venues(v).map(|venues| s.venues = venues),
        ..PLAIN
    },
    Setting {
        name: "notional",
        section: "scan",
        unit: "USDT",
        default: Some("10000"),
        example: "2500",
        help: "Weigh entries of this size: the best prices must have room for it",
        on: SCAN,
        set: |s, v| value::usdt(v).map(|amount| s.notional = amount),
        ..PLAIN
    },
    Setting {
        name: "min-apr",
        section: "scan",
        unit: "PCT|off",
        default: Some("off"),
        example: "20%",
        help: "Show only rows whose funding makes at least this in a year, before costs",
        on: SCAN,
        set: |s, v| value::fraction_or_off(v).map(|rate| s.min_apr = rate),
        ..PLAIN
    },
    Setting {
        name: "min-turnover",
        section: "scan",
        unit: "USDT|off",
        default: Some("off"),
        example: "1000000",
        help: "Show only perps that turned over at least this in a day",
        on: SCAN,
        set: |s, v| match v {
            "off" => Ok(()),
            v => value::usdt(v).map(|amount| s.min_turnover = amount),
        },
        ..PLAIN
    },
    Setting {
        name: "scan-fees",
        section: "scan",
        unit: "FRACTION",
        default: Some("0.0040"),
        example: "0.0025",
        help: "Fees of a round trip that the API takes off the APR, spread over the hold asked for",
        on: SCAN,
        set: |s, v| value::plain_cost(v).map(|rate| s.scan_fees = rate),
        ..PLAIN
    },
    Setting {
        name: "top",
        section: "scan",
        kind: Kind::Count,
        unit: "N",
        default: Some("30"),
        example: "100",
        help: "Rows of the table; these are the ones whose seven days are read first",
        on: SCAN,
        set: |s, v| value::count(v, 1, 10_000).map(|n| s.top = n as usize),
        ..PLAIN
    },
    Setting {
        name: "watch",
        section: "scan",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Go on, and tell each row that becomes a signal, or one to watch",
        on: SCAN,
        set: |s, v| value::switch(v).map(|on| s.watch = on),
        ..PLAIN
    },
    Setting {
        name: "token-file",
        section: "scan",
        unit: "FILE",
        example: "token.txt",
        help: "The API wants the token in this file, as Authorization: Bearer TOKEN",
        on: SCAN,
        set: |s, v| value::path(v).map(|path| s.token_file = Some(path)),
        ..PLAIN
    },
];
