//! Every setting, once: the one table that makes flags, TOML keys, defaults and help.
//!
//! Owns:  names, units, defaults and examples of all settings; [`Settings`], what they add up to.
//! Never: reads a file or an argument; `config.rs` and `args.rs` do, by walking the table.
//! Map:   flag `--order-links` = key `order_links` of its section. `--config` has no key: a file
//!        can't name itself. A new setting is one entry here and one field below.

use super::value;
use crate::units::{Amount, Rate};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// A command of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The engine against the exchange in a box, in one process.
    Demo,
    /// The exchange in a box alone.
    Sim,
    /// The engine.
    Run,
}

impl Command {
    /// All, in the order help lists them.
    pub const ALL: [Self; 3] = [Self::Demo, Self::Run, Self::Sim];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Sim => "sim",
            Self::Run => "run",
        }
    }
}

/// Which rooms share a thread (DESIGN §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Reader and trader share the hot thread.
    Fused,
    /// Every room in one loop.
    Single,
}

/// What a hot thread does when nothing is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Polls on: fastest, a core at full load.
    Spin,
    /// Lets other threads run.
    Yield,
    /// Sleeps for a moment.
    Park,
}

/// Which directions may be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// Buy spot, short the perp.
    Short,
    /// Sell spot, long the perp.
    Long,
    /// Either.
    Both,
}

/// Another address for one of a venue's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointAt {
    /// The venue's name, such as `binance`.
    pub venue: String,
    /// The endpoint's name, such as `spot_rest`.
    pub name: String,
    /// Where it is: `https://…` or `wss://…`.
    pub url: String,
}

/// Where a venue's key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileAt {
    /// The venue's name.
    pub venue: String,
    /// The file, mode 0600.
    pub file: PathBuf,
}

/// All settings of a command, typed. What the command does not take keeps its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long to run once all feeds are live, in ns; `None`: until stopped.
    pub run_for_ns: Option<u64>,
    /// End after this many round trips.
    pub until_round_trips: Option<u64>,
    /// Seed of everything random.
    pub seed: u64,
    /// Print JSON for programs instead of text for people.
    pub json: bool,
    /// Where histograms and reports go.
    pub out: PathBuf,
    /// Where to write every quote as JSON lines.
    pub quotes_out: Option<PathBuf>,
    /// Real orders: only if both the file and the flag say so.
    pub live: bool,
    /// Which rooms share a thread.
    pub layout: Layout,
    /// Cores to pin to, hot first; empty: unpinned.
    pub cores: Vec<usize>,
    /// What hot threads do when idle.
    pub idle: Idle,
    /// Warm order links per market.
    pub order_links: u8,
    /// `recvWindow` of orders, in ms.
    pub recv_window_ms: u32,
    /// Which engine of the desk this is, 0–63: part of every order id.
    pub instance: u8,
    /// Where the epoch and the journal are kept.
    pub data_dir: PathBuf,
    /// Which directions may be entered.
    pub directions: Directions,
    /// Least net APR of an entry; `None`: no such bar.
    pub min_net_apr: Option<Rate>,
    /// Least executable basis of an entry.
    pub min_basis: Rate,
    /// Close at this basis or below; `None`: by the rules of DESIGN §5 alone.
    pub exit_basis: Option<Rate>,
    /// κ: what share of a positive entry basis is counted, 0–1.
    pub kappa: Rate,
    /// H: how long a position is expected to be held, in ns.
    pub hold_ns: u64,
    /// Notional of one clip, in USDT.
    pub clip_usdt: Amount,
    /// Stop entering after this many entries; `None`: no such bar.
    pub max_entries: Option<u64>,
    /// Spot symbols of the pairs to trade; empty: all that qualify.
    pub pairs: Vec<String>,
    /// Other addresses for venues' endpoints.
    pub endpoints: Vec<EndpointAt>,
    /// A certificate authority to trust for those.
    pub ca: Option<PathBuf>,
    /// Where the venues' keys are.
    pub key_files: Vec<KeyFileAt>,
    /// Recorded frames the box plays instead of making its own prices.
    pub tapes: Vec<PathBuf>,
    /// Where the box listens.
    pub listen: IpAddr,
    /// The box's clock minus the host's, in ns.
    pub clock_offset_ns: i64,
    /// The box's first funding settlement after start, in ns.
    pub settle_in_ns: u64,
    /// Orders the box's spot market takes in 10 s.
    pub spot_order_limit: u32,
    /// Quotes the box makes per second, symbol and market.
    pub ticks_per_s: u32,
    /// Whether the box answers `/truth`, `/fault` and `/advance`.
    pub control: bool,
}

impl Default for Settings {
    /// Bare, before the table's defaults are applied; `config::settle` is the way to get one.
    fn default() -> Self {
        Self {
            run_for_ns: None,
            until_round_trips: None,
            seed: 0,
            json: false,
            out: PathBuf::new(),
            quotes_out: None,
            live: false,
            layout: Layout::Fused,
            cores: Vec::new(),
            idle: Idle::Spin,
            order_links: 0,
            recv_window_ms: 0,
            instance: 0,
            data_dir: PathBuf::new(),
            directions: Directions::Both,
            min_net_apr: None,
            min_basis: Rate::ZERO,
            exit_basis: None,
            kappa: Rate::ZERO,
            hold_ns: 0,
            clip_usdt: Amount::ZERO,
            max_entries: None,
            pairs: Vec::new(),
            endpoints: Vec::new(),
            ca: None,
            key_files: Vec::new(),
            tapes: Vec::new(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            clock_offset_ns: 0,
            settle_in_ns: 0,
            spot_order_limit: 0,
            ticks_per_s: 0,
            control: false,
        }
    }
}

/// What a TOML file may write for a setting. A flag is always text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; as a flag alone, or `=on`, `=off`.
    Switch,
    /// A whole number.
    Count,
    /// A decimal number, bare or as a string.
    Number,
    /// A string.
    Text,
    /// A string with commas, or an array.
    List,
    /// An array of strings, or one; as a flag, repeated.
    Many,
}

/// One line of the table.
#[derive(Debug)]
pub struct Setting {
    /// The flag without its dashes.
    pub name: &'static str,
    /// Its section in the TOML file.
    pub section: &'static str,
    /// What a TOML file may write.
    pub kind: Kind,
    /// What help shows as its value.
    pub unit: &'static str,
    /// Its value if nobody says otherwise; `None`: unset.
    pub default: Option<&'static str>,
    /// Its default in `demo`, where that differs.
    pub demo: Option<&'static str>,
    /// A value that is not the default, for messages and tests.
    pub example: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The commands that take it as a flag.
    pub on: &'static [Command],
    /// Reads one value.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
}

impl Setting {
    /// Its key in its section.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Its default in a command.
    #[must_use]
    pub fn default_in(&self, command: Command) -> Option<&'static str> {
        match command {
            Command::Demo => self.demo.or(self.default),
            Command::Run | Command::Sim => self.default,
        }
    }
}

const ALL: &[Command] = &[Command::Demo, Command::Run, Command::Sim];
const ENGINE: &[Command] = &[Command::Demo, Command::Run];
const RUN: &[Command] = &[Command::Run];
const BOX: &[Command] = &[Command::Sim];
/// The box inside `demo` can be shaped as the one alone.
const BOXES: &[Command] = &[Command::Demo, Command::Sim];

/// The common rest of most lines.
const PLAIN: Setting = Setting {
    name: "",
    section: "",
    kind: Kind::Text,
    unit: "",
    default: None,
    demo: None,
    example: "",
    help: "",
    on: ALL,
    set: |_, _| Ok(()),
};

/// Every setting, in the order help shows them.
pub static TABLE: &[Setting] = &[
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
        set: |s, v| value::switch(v).map(|on| s.json = on),
        ..PLAIN
    },
    Setting {
        name: "out",
        section: "session",
        unit: "DIR",
        default: Some("./out"),
        example: "/tmp/contango-out",
        help: "Write histograms, truth and certificates here",
        set: |s, v| value::path(v).map(|path| s.out = path),
        ..PLAIN
    },
    Setting {
        name: "quotes-out",
        section: "session",
        unit: "FILE",
        example: "quotes.jsonl",
        help: "Write every quote the engine took to this file, one JSON object a line",
        on: ENGINE,
        set: |s, v| value::path(v).map(|path| s.quotes_out = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "live",
        section: "engine",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Send real orders; needs `live = true` in the file's [engine] as well",
        on: RUN,
        set: |s, v| value::switch(v).map(|on| s.live = on),
        ..PLAIN
    },
    Setting {
        name: "layout",
        section: "engine",
        unit: "fused|single",
        default: Some("fused"),
        example: "single",
        help: "Which rooms share a thread: reader and trader, or all",
        on: ENGINE,
        set: |s, v| {
            value::choice(v, &[("fused", Layout::Fused), ("single", Layout::Single)])
                .map(|layout| s.layout = layout)
        },
        ..PLAIN
    },
    Setting {
        name: "cores",
        section: "engine",
        kind: Kind::List,
        unit: "LIST",
        default: Some(""),
        example: "1,0",
        help: "Cores to pin threads to, the hot one first",
        on: ENGINE,
        set: |s, v| value::cores(v).map(|cores| s.cores = cores),
        ..PLAIN
    },
    Setting {
        name: "idle",
        section: "engine",
        unit: "spin|yield|park",
        default: Some("spin"),
        example: "park",
        help: "What the hot thread does when nothing is ready",
        on: ENGINE,
        set: |s, v| {
            value::choice(v, &[("spin", Idle::Spin), ("yield", Idle::Yield), ("park", Idle::Park)])
                .map(|idle| s.idle = idle)
        },
        ..PLAIN
    },
    Setting {
        name: "order-links",
        section: "engine",
        kind: Kind::Count,
        unit: "N",
        default: Some("2"),
        example: "3",
        help: "Warm connections for orders, per market",
        on: ENGINE,
        set: |s, v| value::count(v, 1, 16).map(|n| s.order_links = n as u8),
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
        on: ENGINE,
        set: |s, v| value::count(v, 0, 63).map(|n| s.instance = n as u8),
        ..PLAIN
    },
    Setting {
        name: "data-dir",
        section: "engine",
        unit: "DIR",
        default: Some("./data"),
        example: "/var/lib/contango",
        help: "Keep the epoch and the journal here; never share it, never delete it between runs",
        on: RUN,
        set: |s, v| value::path(v).map(|path| s.data_dir = path),
        ..PLAIN
    },
    Setting {
        name: "direction",
        section: "trade",
        unit: "short|long|both",
        default: Some("short"),
        example: "both",
        help: "short: buy spot, short the perp; long: sell spot, long the perp",
        on: ENGINE,
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
        help: "Enter only if the net APR after all costs is at least this",
        on: ENGINE,
        set: |s, v| value::fraction_or_off(v).map(|rate| s.min_net_apr = rate),
        ..PLAIN
    },
    Setting {
        name: "min-basis",
        section: "trade",
        unit: "BPS",
        default: Some("0bps"),
        example: "-3bps",
        help: "Enter only if the executable basis is at least this: -3bps, 0.05%",
        on: ENGINE,
        set: |s, v| value::fraction(v).map(|rate| s.min_basis = rate),
        ..PLAIN
    },
    Setting {
        name: "exit-basis",
        section: "trade",
        unit: "BPS|off",
        default: Some("off"),
        example: "-1bps",
        help: "Also close when the executable basis is at most this",
        on: ENGINE,
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
        example: "0.5",
        help: "Share of a favourable entry basis that counts as profit",
        on: ENGINE,
        set: |s, v| value::share(v).map(|rate| s.kappa = rate),
        ..PLAIN
    },
    Setting {
        name: "hold",
        section: "trade",
        unit: "DURATION",
        default: Some("7d"),
        demo: Some("1h"),
        example: "1d",
        help: "How long a position is expected to be held",
        on: ENGINE,
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
        on: ENGINE,
        set: |s, v| value::usdt(v).map(|amount| s.clip_usdt = amount),
        ..PLAIN
    },
    Setting {
        name: "max-entries",
        section: "trade",
        kind: Kind::Count,
        unit: "N",
        example: "1",
        help: "Stop entering after this many entries; 1 is one clip and no more",
        on: ENGINE,
        set: |s, v| value::count(v, 0, u64::from(u32::MAX)).map(|n| s.max_entries = Some(n)),
        ..PLAIN
    },
    Setting {
        name: "pairs",
        section: "trade",
        kind: Kind::List,
        unit: "SYMBOLS",
        default: Some(""),
        example: "BTCUSDT,ETHUSDT",
        help: "Spot symbols of the pairs to trade; all that qualify if not given",
        on: ENGINE,
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
        on: RUN,
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
        on: RUN,
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
    Setting {
        name: "tape",
        section: "box",
        kind: Kind::Many,
        unit: "FILE",
        example: "btcusdt_spot.jsonl.gz",
        help: "Play these recorded frames instead of a synthetic market; may be repeated",
        on: BOX,
        set: |s, v| value::path(v).map(|path| s.tapes.push(path)),
        ..PLAIN
    },
    Setting {
        name: "listen",
        section: "box",
        unit: "IP",
        default: Some("127.0.0.1"),
        example: "127.0.0.2",
        help: "Listen on this address; the ports are picked by the kernel and told",
        on: BOX,
        set: |s, v| value::address(v).map(|address| s.listen = address),
        ..PLAIN
    },
    Setting {
        name: "clock-offset",
        section: "box",
        unit: "DURATION",
        default: Some("0s"),
        example: "-250ms",
        help: "Shift the box's clock against the host's",
        on: BOXES,
        set: |s, v| value::signed_duration(v).map(|ns| s.clock_offset_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "settle-in",
        section: "box",
        unit: "DURATION",
        default: Some("30m"),
        example: "20s",
        help: "The box's next funding settlement comes this long after start",
        on: BOXES,
        set: |s, v| value::some_duration(v).map(|ns| s.settle_in_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "spot-order-limit",
        section: "box",
        kind: Kind::Count,
        unit: "N",
        default: Some("100"),
        example: "10",
        help: "Orders the box's spot market takes in 10 s",
        on: BOXES,
        set: |s, v| value::count(v, 1, 1_000_000).map(|n| s.spot_order_limit = n as u32),
        ..PLAIN
    },
    Setting {
        name: "ticks-per-s",
        section: "box",
        kind: Kind::Count,
        unit: "N",
        default: Some("20"),
        example: "50",
        help: "Quotes the box makes per second, for each symbol and market",
        on: BOXES,
        set: |s, v| value::count(v, 1, 10_000).map(|n| s.ticks_per_s = n as u32),
        ..PLAIN
    },
    Setting {
        name: "control",
        section: "box",
        kind: Kind::Switch,
        default: Some("on"),
        example: "off",
        help: "Answer /truth, /fault and /advance on the control port",
        on: BOX,
        set: |s, v| value::switch(v).map(|on| s.control = on),
        ..PLAIN
    },
];
