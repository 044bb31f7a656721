//! The settings of research over history, as lines of the table.
//!
//! Owns:  the lines that `backtest` alone takes: what a trade is taken to cost, what is read and written.
//! Map:   `table.rs` joins all lines.

use super::settings::{Command, Kind, Leave, Setting};
use super::table::PLAIN;
use super::value;

/// Who writes tables and pages.
const TELLERS: &[Command] = &[Command::Backtest, Command::Report];
const BACKTEST: &[Command] = &[Command::Backtest];
const FETCH: &[Command] = &[Command::FetchFunding];
/// Whoever makes rows.
const TABLES: &[Command] = &[Command::Backtest, Command::FetchFunding, Command::Report];

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "leave",
        section: "trade",
        unit: "starved|first-print",
        default: Some("starved"),
        example: "first-print",
        help: "Give a position up when estimate and 7-day mean stay below the line across a settlement, or \
               (to see what that costs) at the first settlement below it",
        on: BACKTEST,
        set: |s, v| {
            value::choice(v, &[("starved", Leave::Starved), ("first-print", Leave::FirstPrint)])
                .map(|leave| s.leave = leave)
        },
        ..PLAIN
    },
    Setting {
        name: "spot-fee",
        section: "costs",
        unit: "PCT",
        default: Some("0.1%"),
        example: "0.075%",
        help: "What a taker pays on spot",
        on: BACKTEST,
        set: |s, v| value::cost(v).map(|rate| s.assumed_fees[0] = rate),
        ..PLAIN
    },
    Setting {
        name: "perp-fee",
        section: "costs",
        unit: "PCT",
        default: Some("0.05%"),
        example: "0.055%",
        help: "What a taker pays on the perp",
        on: BACKTEST,
        set: |s, v| value::cost(v).map(|rate| s.assumed_fees[1] = rate),
        ..PLAIN
    },
    Setting {
        name: "slippage",
        section: "costs",
        unit: "BPS",
        default: Some("2bps"),
        example: "0.5bps",
        help: "How much worse than the price of its decision every fill is",
        on: BACKTEST,
        set: |s, v| value::cost(v).map(|rate| s.slippage = rate),
        ..PLAIN
    },
    Setting {
        name: "history",
        section: "backtest",
        kind: Kind::Many,
        unit: "FILE",
        example: "btcusdt_8h.csv",
        help: "Run the rules over this CSV of time_ms,spot_close,perp_close,funding_rate; may be repeated",
        on: BACKTEST,
        set: |s, v| value::path(v).map(|path| s.histories.push(path)),
        ..PLAIN
    },
    Setting {
        name: "funding",
        section: "backtest",
        unit: "PCT",
        example: "0.01%",
        help: "With --tape: the funding rate per 8 h that estimate and 7-day mean are taken to be",
        on: BACKTEST,
        set: |s, v| value::fraction(v).map(|rate| s.assumed_funding = Some(rate)),
        ..PLAIN
    },
    Setting {
        name: "sweep",
        section: "backtest",
        kind: Kind::Many,
        unit: "NAME=VALUES",
        example: "hold=1d,3d,7d",
        help: "Run once for each of these values of a setting; repeat it for a grid of several",
        on: BACKTEST,
        set: |s, v| value::sweep(v).map(|sweep| s.sweeps.push(sweep)),
        ..PLAIN
    },
    Setting {
        name: "since",
        section: "backtest",
        unit: "DURATION",
        default: Some("30d"),
        example: "365d",
        help: "Fetch funding so far back",
        on: FETCH,
        set: |s, v| value::some_duration(v).map(|ns| s.since_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "prices",
        section: "backtest",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Fetch the closes beside the funding as well: a history that `backtest` reads",
        on: FETCH,
        set: |s, v| value::switch(v).map(|on| s.prices = on),
        ..PLAIN
    },
    Setting {
        name: "rates-db",
        section: "backtest",
        unit: "FILE",
        example: "rates.db",
        help: "Keep the settlements in this SQLite file as well, one row each, of any venue and perp; told again changes nothing",
        on: FETCH,
        set: |s, v| value::path(v).map(|path| s.rates_db = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "csv",
        section: "backtest",
        unit: "FILE",
        example: "trades.csv",
        help: "Write rows to this file: settlements; of a backtest one a trade (with --sweep one a run), of a report one a day",
        on: TABLES,
        set: |s, v| value::path(v).map(|path| s.csv = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "html",
        section: "backtest",
        unit: "FILE",
        example: "backtest.html",
        help: "Write a page with plots: equity of each history (of its best run if there is a --sweep), or of the journal",
        on: TELLERS,
        set: |s, v| value::path(v).map(|path| s.html = Some(path)),
        ..PLAIN
    },
];
