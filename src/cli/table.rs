//! Every setting, once: the one table that makes flags, TOML keys, defaults and help.
//!
//! Owns:  names, units, defaults, examples and help of all settings, and which commands take them.
//! Never: reads a value itself; `value.rs` does.
//! Map:   `table_machine` holds threads and links · `table_rules` exits, growth and caps · `table_research`, `table_box`,
//!        `table_scan` and `table_rehearse` the lines that only those take · flag `--order-links` = key
//!        `order_links` of its section. `--config` has no key: a file can't name itself. A new setting is
//!        one entry here (or there) and one field of `Settings`.

use super::settings::{Command, Directions, EndpointAt, KeyFileAt, Kind, Legs, Setting};
use super::{table_box, table_machine, table_rehearse, table_research, table_rules, table_scan, value};

const ALL: &[Command] = &[Command::Demo, Command::Run, Command::Record, Command::Sim];
/// Whatever has a seed.
const DRAWN: &[Command] = &[Command::Demo, Command::Run, Command::Record, Command::Sim, Command::Rehearse];
const EVERY: &[Command] = &Command::ALL;
pub(super) const ENGINE: &[Command] = &[Command::Demo, Command::Run, Command::Record];
/// Engines that may trade.
const PENS: &[Command] = &[Command::Demo, Command::Run];
/// An engine, who talks to it, and who looks at what it keeps.
const ENGINES: &[Command] =
    &[Command::Demo, Command::Run, Command::Record, Command::Ctl, Command::Store, Command::Report];
/// Whoever decides about trades, live or over history.
pub(super) const DECIDERS: &[Command] =
    &[Command::Demo, Command::Run, Command::Record, Command::Replay, Command::Backtest];
/// Whoever decides about trades of a market that is told.
pub(super) const WATCHERS: &[Command] = &[Command::Demo, Command::Run, Command::Record, Command::Replay];
const RUN: &[Command] = &[Command::Run];
/// Whoever asks venues without the box beside it.
const VENUES: &[Command] =
    &[Command::Run, Command::Record, Command::Scan, Command::Pairs, Command::FetchFunding];
const PAIRS: &[Command] =
    &[Command::Demo, Command::Run, Command::Record, Command::Scan, Command::Pairs, Command::FetchFunding];
/// Whoever weighs entries.
const WEIGHERS: &[Command] =
    &[Command::Demo, Command::Run, Command::Record, Command::Replay, Command::Backtest, Command::Scan];
/// A demo keeps its data where `--out` says.
const KEEPERS: &[Command] = &[Command::Run, Command::Ctl, Command::Store, Command::Report];

/// The common rest of most lines.
pub(super) const PLAIN: Setting = Setting {
    name: "",
    section: "",
    kind: Kind::Text,
    unit: "",
    default: None,
    demo: None,
    scan: None,
    example: "",
    help: "",
    on: ALL,
    set: |_, _| Ok(()),
};

/// Every setting, in the order help shows them.
pub static TABLE: &[Setting] = &joined::<
    {
        LINES.len()
            + table_machine::LINES.len()
            + table_rules::LINES.len()
            + table_research::LINES.len()
            + table_box::LINES.len()
            + table_scan::LINES.len()
            + table_rehearse::LINES.len()
    },
>([
    LINES,
    table_machine::LINES,
    table_rules::LINES,
    table_research::LINES,
    table_box::LINES,
    table_scan::LINES,
    table_rehearse::LINES,
]);

/// All lines behind one another.
const fn joined<const N: usize>(parts: [&[Setting]; 7]) -> [Setting; N] {
    let mut all = [PLAIN; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut line = 0;
        while line < parts[part].len() {
            all[at] = parts[part][line];
            (at, line) = (at + 1, line + 1);
        }
        part += 1;
    }
    assert!(at == N, "every line has its place");
    all
}

/// The settings of the engine and of all commands.
const LINES: &[Setting] = &[
    Setting {
        name: "for",
        section: "session",
        unit: "DURATION",
        demo: Some("10s"),
        example: "90s",
        help: "Stop after this long; counted from when all feeds are live",
        set: |s, v| value::some_duration(v).map(|ns| s.run_for_ns = Some(ns)),
        ..PLAIN
    },
    Setting {
        name: "until",
        section: "session",
        unit: "N-round-trips",
        example: "20-round-trips",
        help: "Stop after this many round trips, or after --for, whichever comes first",
        on: ENGINE,
        set: |s, v| value::round_trips(v).map(|n| s.until_round_trips = Some(n)),
        ..PLAIN
    },
    Setting {
        name: "seed",
        section: "session",
        kind: Kind::Count,
        unit: "N",
        default: Some("1"),
        example: "7",
        help: "Seed of everything random: the same seed makes the same market",
        on: DRAWN,
        set: |s, v| value::count(v, 0, i64::MAX as u64).map(|n| s.seed = n),
        ..PLAIN
    },
    Setting {
        name: "json",
        section: "session",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Print JSON for programs instead of text for people",
        on: EVERY,
        set: |s, v| value::switch(v).map(|on| s.json = on),
        ..PLAIN
    },
    Setting {
        name: "out",
        section: "session",
        unit: "DIR",
        default: Some("./out"),
        example: "/tmp/contango-out",
        help: "Write histograms, truth, certificates and scripts of what broke here",
        on: DRAWN,
        set: |s, v| value::path(v).map(|path| s.out = path),
        ..PLAIN
    },
    Setting {
        name: "quotes-out",
        section: "session",
        unit: "FILE",
        example: "quotes.csv",
        help: "Write every quote the engine took to this file, as CSV",
        on: ENGINE,
        set: |s, v| value::path(v).map(|path| s.quotes_out = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "record",
        section: "session",
        unit: "FILE",
        example: "monday.session",
        help: "Write all that the rooms take in to this session file, for `replay`",
        on: PENS,
        set: |s, v| value::path(v).map(|path| s.record = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "live",
        section: "engine",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Send real orders; needs `live = true` in the file's [engine] as well. Without it: paper trading",
        on: RUN,
        set: |s, v| value::switch(v).map(|on| s.live = on),
        ..PLAIN
    },
    Setting {
        name: "paper-rtt",
        section: "engine",
        unit: "DURATION",
        default: Some("20ms"),
        example: "150ms",
        help: "On paper: an order meets the quote of this long after it was sent, and its answer takes as long back",
        on: RUN,
        set: |s, v| value::some_duration(v).map(|ns| s.paper_rtt_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "recv-window",
        section: "engine",
        kind: Kind::Number,
        unit: "MS",
        default: Some("1000"),
        example: "1500",
        help: "How late an order may arrive before the venue must refuse it, in ms",
        on: ENGINE,
        set: |s, v| value::millis(v, 1, 60_000).map(|ms| s.recv_window_ms = ms as u32),
        ..PLAIN
    },
    Setting {
        name: "instance",
        section: "engine",
        kind: Kind::Count,
        unit: "N",
        default: Some("0"),
        example: "5",
        help: "Which engine of the desk this is, 0 to 63: a part of every order id",
        on: ENGINES,
        set: |s, v| value::count(v, 0, 63).map(|n| s.instance = n as u8),
        ..PLAIN
    },
    Setting {
        name: "data-dir",
        section: "engine",
        unit: "DIR",
        default: Some("./data"),
        example: "/var/lib/contango",
        help: "Keep epoch, latch, journal and control socket here; never share it, never delete it between runs",
        on: KEEPERS,
        set: |s, v| value::path(v).map(|path| s.data_dir = path),
        ..PLAIN
    },
    Setting {
        name: "t-settle",
        section: "engine",
        unit: "DURATION",
        default: Some("10s"),
        example: "15s",
        help: "How long after its deadline the venue may still show an order; below it, not found proves nothing",
        on: ENGINE,
        set: |s, v| value::some_duration(v).map(|ns| s.settle_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "restart-limit",
        section: "engine",
        unit: "N/DURATION",
        default: Some("3/10m"),
        example: "5/1h",
        help: "Begin HALTED after so many crashes within this time",
        on: ENGINE,
        set: |s, v| value::rate_limit(v).map(|limit| s.restart_limit = limit),
        ..PLAIN
    },
    Setting {
        name: "legs",
        section: "trade",
        unit: "together|perp-first|spot-first",
        default: Some("together"),
        example: "perp-first",
        help: "Both legs in one breath, or one once the other is proven filled",
        on: ENGINE,
        set: |s, v| {
            let words = [
                ("together", Legs::Together),
                ("perp-first", Legs::PerpFirst),
                ("spot-first", Legs::SpotFirst),
            ];
            value::choice(v, &words).map(|legs| s.legs = legs)
        },
        ..PLAIN
    },
    Setting {
        name: "direction",
        section: "trade",
        unit: "short|long|both",
        default: Some("short"),
        scan: Some("both"),
        example: "long",
        help: "short: buy spot, short the perp; long: sell spot, long the perp",
        on: WEIGHERS,
        set: |s, v| {
            let words =
                [("short", Directions::Short), ("long", Directions::Long), ("both", Directions::Both)];
            value::choice(v, &words).map(|directions| s.directions = directions)
        },
        ..PLAIN
    },
    Setting {
        name: "min-net-apr",
        section: "trade",
        unit: "PCT|off",
        default: Some("15%"),
        example: "12.5%",
        help: "Enter only if the net APR after all costs is at least this; half as much again within 8 h of leaving (off: 0)",
        on: WEIGHERS,
        set: |s, v| value::fraction_or_off(v).map(|rate| s.min_net_apr = rate),
        ..PLAIN
    },
    Setting {
        name: "min-basis",
        section: "trade",
        unit: "BPS|off",
        default: Some("0bps"),
        example: "-3bps",
        help: "Enter only if the executable basis is at least this: -3bps, 0.05%",
        on: DECIDERS,
        set: |s, v| value::fraction_or_off(v).map(|rate| s.min_basis = rate),
        ..PLAIN
    },
    Setting {
        name: "exit-basis",
        section: "trade",
        unit: "BPS|off",
        default: Some("off"),
        demo: Some("5bps"),
        example: "-1bps",
        help: "Also close when the executable basis is at most this",
        on: WATCHERS,
        set: |s, v| value::fraction_or_off(v).map(|rate| s.exit_basis = rate),
        ..PLAIN
    },
    Setting {
        name: "kappa",
        section: "trade",
        kind: Kind::Number,
        unit: "0..1",
        default: Some("0"),
        demo: Some("1"),
        scan: None,
        example: "0.5",
        help: "Share of a favourable entry basis that counts as profit",
        on: DECIDERS,
        set: |s, v| value::share(v).map(|rate| s.kappa = rate),
    },
    Setting {
        name: "hold",
        section: "trade",
        unit: "DURATION",
        default: Some("7d"),
        demo: Some("1h"),
        example: "1d",
        help: "How long a position is expected to be held",
        on: WEIGHERS,
        set: |s, v| value::some_duration(v).map(|ns| s.hold_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "clip",
        section: "trade",
        kind: Kind::Number,
        unit: "USDT",
        default: Some("500"),
        example: "250",
        help: "Notional of one entry",
        on: DECIDERS,
        set: |s, v| value::usdt(v).map(|amount| s.clip_usdt = amount),
        ..PLAIN
    },
    Setting {
        name: "max-entries",
        section: "trade",
        kind: Kind::Count,
        unit: "N",
        example: "1",
        help: "Stop entering a pair after this many entries; 1 is one clip and no more",
        on: WATCHERS,
        set: |s, v| value::count(v, 0, u64::from(u32::MAX)).map(|n| s.max_entries = Some(n)),
        ..PLAIN
    },
    Setting {
        name: "first-entries",
        section: "trade",
        kind: Kind::Count,
        unit: "N",
        default: Some("3"),
        demo: Some("0"),
        scan: None,
        example: "10",
        help: "Open this many positions at the least size the venue takes, then go on with --clip",
        on: ENGINE,
        set: |s, v| value::count(v, 0, u64::from(u32::MAX)).map(|n| s.first_entries = n),
    },
    Setting {
        name: "leverage",
        section: "trade",
        kind: Kind::Count,
        unit: "N",
        default: Some("2"),
        example: "1",
        help: "Perp notional per unit of margin, at most: the account must be set to just this, and the box's is",
        set: |s, v| value::count(v, 1, 10).map(|n| s.leverage = n as u32),
        ..PLAIN
    },
    Setting {
        name: "pairs",
        section: "trade",
        kind: Kind::List,
        unit: "SYMBOLS",
        default: Some(""),
        example: "BTCUSDT,ETHUSDT",
        help: "Spot symbols of the pairs wanted; all that qualify if not given",
        on: PAIRS,
        set: |s, v| value::symbols(v).map(|symbols| s.pairs = symbols),
        ..PLAIN
    },
    Setting {
        name: "endpoint",
        section: "venues",
        kind: Kind::Many,
        unit: "VENUE.NAME=URL",
        example: "binance.spot_rest=https://127.0.0.1:8443",
        help: "Use this address for one of a venue's endpoints; may be repeated",
        on: VENUES,
        set: |s, v| {
            value::endpoint(v).map(|(venue, name, url)| s.endpoints.push(EndpointAt { venue, name, url }))
        },
        ..PLAIN
    },
    Setting {
        name: "ca",
        section: "venues",
        unit: "FILE",
        example: "ca.pem",
        help: "Trust this certificate authority (PEM) at addresses given with --endpoint",
        on: VENUES,
        set: |s, v| value::path(v).map(|path| s.ca = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "key-file",
        section: "venues",
        kind: Kind::Many,
        unit: "VENUE=FILE",
        example: "binance=binance-key.toml",
        help: "A venue's key: TOML with env, key, secret; mode 0600; may be repeated",
        on: RUN,
        set: |s, v| {
            value::venue_file(v).map(|(venue, file)| s.key_files.push(KeyFileAt { venue, file: file.into() }))
        },
        ..PLAIN
    },
];
