//! What settings are: the commands, the typed values, and the form of one line of the table.
//!
//! Owns:  [`Settings`], what a call of a command adds up to; [`Setting`], how one is described.
//! Never: reads a file or an argument; `config.rs` and `args.rs` do, by walking `table.rs`.

pub use crate::agents::trader::contingent::Legs;
pub use crate::carry::backtest::Leave;
use crate::metal::runner::Idle;
use crate::rehearse::cells::List;
use crate::units::{Amount, Rate};
use crate::venue::{KeyKind, Open, Orders};
use std::collections::BTreeMap;
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
    /// A word to a running engine.
    Ctl,
    /// A look at what an engine keeps on the disk.
    Store,
    /// Sessions of trading under faults, in virtual time.
    Rehearse,
    /// The engine's eyes alone, into a session file.
    Record,
    /// A session again.
    Replay,
    /// What an engine earned.
    Report,
    /// The rules over history, or over a tape.
    Backtest,
    /// A look at what forms a pair.
    Pairs,
    /// Settled funding from a venue.
    FetchFunding,
    /// Opportunities of all venues.
    Scan,
}

impl Command {
    /// All, in the order help lists them.
    pub const ALL: [Self; 13] = [
        Self::Demo,
        Self::Run,
        Self::Record,
        Self::Replay,
        Self::Ctl,
        Self::Report,
        Self::Store,
        Self::Scan,
        Self::Pairs,
        Self::Backtest,
        Self::FetchFunding,
        Self::Sim,
        Self::Rehearse,
    ];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Sim => "sim",
            Self::Run => "run",
            Self::Ctl => "ctl",
            Self::Store => "store",
            Self::Rehearse => "rehearse",
            Self::Record => "record",
            Self::Replay => "replay",
            Self::Report => "report",
            Self::Backtest => "backtest",
            Self::Pairs => "pairs",
            Self::FetchFunding => "fetch-funding",
            Self::Scan => "scan",
        }
    }
}

/// Which rooms share a thread (DESIGN §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Reader and trader share the hot thread.
    Fused,
    /// Each of them has a thread of its own.
    Split,
    /// Every room in one loop.
    Single,
}

/// What is stamped of each order (DESIGN §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// A quote read, `send` returned: always.
    Ends,
    /// Its bytes handed to `send` as well.
    Path,
    /// And by the kernel: the packets that brought the quote and took the order.
    Kernel,
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

impl Directions {
    /// Whether short and whether long may be entered: indexed by [`Direction`](crate::units::Direction).
    #[must_use]
    pub const fn allowed(self) -> [bool; 2] {
        [!matches!(self, Self::Long), !matches!(self, Self::Short)]
    }
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
    /// What is asked of an engine or its store, word by word.
    pub words: Vec<String>,
    /// Why it is asked.
    pub reason: Option<String>,
    /// The texts that the values below were read from, by the names of their settings.
    pub texts: BTreeMap<&'static str, Vec<String>>,
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
    /// Where to write every quote as CSV.
    pub quotes_out: Option<PathBuf>,
    /// Where to write the session file.
    pub record: Option<PathBuf>,
    /// Real orders: only if both the file and the flag say so.
    pub live: bool,
    /// On paper: how long an order is under way, in ns.
    pub paper_rtt_ns: u64,
    /// Which rooms share a thread.
    pub layout: Layout,
    /// Cores to pin to, hot first; empty: unpinned.
    pub cores: Vec<usize>,
    /// What hot threads do when idle.
    pub idle: Idle,
    /// What is stamped of each order.
    pub stamps: Stamps,
    /// Whether the short ways are taken.
    pub fast: bool,
    /// Warm order links per market.
    pub order_links: u8,
    /// What orders travel by.
    pub orders: Orders,
    /// Sockets that bring the same quotes.
    pub feed_links: u8,
    /// Whether quotes are read as SBE, where the venue has them so.
    pub sbe: bool,
    /// `recvWindow` of orders, in ms.
    pub recv_window_ms: u32,
    /// Which engine of the desk this is, 0–63: part of every order id.
    pub instance: u8,
    /// Where the epoch and the journal are kept.
    pub data_dir: PathBuf,
    /// Which leg waits for which.
    pub legs: Legs,
    /// Which directions may be entered.
    pub directions: Directions,
    /// Least net APR of an entry; `None`: no such bar.
    pub min_net_apr: Option<Rate>,
    /// Least executable basis of an entry; `None`: no such bar.
    pub min_basis: Option<Rate>,
    /// Close at this basis or below; `None`: by the rules of DESIGN §5 alone.
    pub exit_basis: Option<Rate>,
    /// κ: what share of a positive entry basis is counted, 0–1.
    pub kappa: Rate,
    /// H: how long a position is expected to be held, in ns.
    pub hold_ns: u64,
    /// Notional of one clip, in USDT.
    pub clip_usdt: Amount,
    /// ρ: what share of a round trip's fees an exit must pay for.
    pub rho: Rate,
    /// A position is left once funding stayed below this APR across a settlement.
    pub unwind_apr: Rate,
    /// No entry while the estimate is below the seven-day mean.
    pub require_expanding: bool,
    /// Whom to ask about funding before an entry; `None`: nobody.
    pub confirm_url: Option<String>,
    /// Where in the answer to look.
    pub confirm_map: String,
    /// The file with the header that makes it answer us.
    pub confirm_key_file: Option<PathBuf>,
    /// How often it is asked, in ns.
    pub confirm_every_ns: u64,
    /// From which age on its word is old, in ns.
    pub confirm_age_max_ns: u64,
    /// Which words let an entry in: agree, disagree, absent, old.
    pub confirm_enter_on: [bool; 4],
    /// Clips one position may have.
    pub clips_max: u32,
    /// How long after a clip the next may follow, in ns.
    pub clip_cool_down_ns: u64,
    /// So many positions are opened at the least size first.
    pub first_entries: u64,
    /// Share of equity that may be deployed.
    pub deployed_max: Rate,
    /// Perp notional per unit of margin.
    pub leverage: u32,
    /// Stop entering after this many entries; `None`: no such bar.
    pub max_entries: Option<u64>,
    /// `--t-settle`, in ns.
    pub settle_ns: u64,
    /// `--restart-limit`: how many crashes within how many ns.
    pub restart_limit: (usize, u64),
    /// Spot symbols of the pairs to trade; empty: all that qualify.
    pub pairs: Vec<String>,
    /// Venues to look at.
    pub venues: Vec<&'static Open>,
    /// Other addresses for venues' endpoints.
    pub endpoints: Vec<EndpointAt>,
    /// A certificate authority to trust for those.
    pub ca: Option<PathBuf>,
    /// Where the venues' keys are.
    pub key_files: Vec<KeyFileAt>,
    /// Recorded frames the box plays instead of making its own prices.
    pub tapes: Vec<PathBuf>,
    /// Faults the box carries out by timetable.
    pub script: Option<PathBuf>,
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
    /// Coins that trade in the box's synthetic market.
    pub coins: usize,
    /// The kind of key the box's account has; `None`: the one that what is read of it asks for.
    pub box_key: Option<KeyKind>,
    /// The port of `--listen`; 0: one that the kernel picks. `None`: nothing is listened on.
    pub listen_port: Option<u16>,
    /// `--notional` of a scan, in USDT.
    pub notional: Amount,
    /// `--min-turnover` of a scan, in USDT.
    pub min_turnover: Amount,
    /// `--min-apr` of a scan; `None`: any.
    pub min_apr: Option<Rate>,
    /// `--scan-fees`: a round trip's, where the caller says nothing.
    pub scan_fees: Rate,
    /// `--top`: rows a table shows.
    pub top: usize,
    /// `--watch`: go on, and tell what changes.
    pub watch: bool,
    /// `--token-file`: the token the API wants.
    pub token_file: Option<PathBuf>,
    /// Whether the box answers `/truth` and `/fault`.
    pub control: bool,
    /// How many sessions are rehearsed.
    pub sessions: usize,
    /// On how many threads; 0: one a core.
    pub jobs: usize,
    /// Kept sessions to rehearse instead of drawn ones.
    pub kept: Vec<PathBuf>,
    /// The list whose cells are rehearsed instead; `None`: none.
    pub cells: Option<List>,
    /// Whether the first session that breaks ends a rehearsal.
    pub until_broken: bool,
    /// The mistake to plant in the engine, by its number; or `list`.
    #[cfg(feature = "bugbank")]
    pub bug: Option<String>,
    /// Funding and prices to run the rules over.
    pub histories: Vec<PathBuf>,
    /// What a taker is taken to pay, on spot and on the perp.
    pub assumed_fees: [Rate; 2],
    /// How much worse than its decision price a fill is taken to be.
    pub slippage: Rate,
    /// The funding a tape is taken to earn, per 8 h; `None`: it is not known.
    pub assumed_funding: Option<Rate>,
    /// What ends a position by force.
    pub leave: Leave,
    /// Settings to vary, each with its values, as given.
    pub sweeps: Vec<(String, Vec<String>)>,
    /// How far back funding is fetched, in ns.
    pub since_ns: u64,
    /// Whether prices are fetched beside the funding.
    pub prices: bool,
    /// A SQLite file that settled rates are kept in.
    pub rates_db: Option<PathBuf>,
    /// Where to write rows for a spreadsheet.
    pub csv: Option<PathBuf>,
    /// Where to write a page with plots.
    pub html: Option<PathBuf>,
}

impl Default for Settings {
    /// Bare, before the table's defaults are applied; `config::settle` is the way to get one.
    fn default() -> Self {
        Self {
            words: Vec::new(),
            reason: None,
            texts: BTreeMap::new(),
            run_for_ns: None,
            until_round_trips: None,
            seed: 0,
            json: false,
            out: PathBuf::new(),
            quotes_out: None,
            record: None,
            live: false,
            paper_rtt_ns: 0,
            layout: Layout::Fused,
            cores: Vec::new(),
            idle: Idle::Spin,
            stamps: Stamps::Ends,
            fast: true,
            order_links: 0,
            orders: Orders::Rest,
            feed_links: 1,
            sbe: false,
            recv_window_ms: 0,
            instance: 0,
            data_dir: PathBuf::new(),
            legs: Legs::Together,
            directions: Directions::Both,
            min_net_apr: None,
            min_basis: None,
            exit_basis: None,
            kappa: Rate::ZERO,
            hold_ns: 0,
            clip_usdt: Amount::ZERO,
            rho: Rate::ZERO,
            unwind_apr: Rate::ZERO,
            require_expanding: false,
            confirm_url: None,
            confirm_map: String::new(),
            confirm_key_file: None,
            confirm_every_ns: 0,
            confirm_age_max_ns: 0,
            confirm_enter_on: [false; 4],
            clips_max: 0,
            clip_cool_down_ns: 0,
            first_entries: 0,
            deployed_max: Rate::ZERO,
            leverage: 0,
            max_entries: None,
            settle_ns: 0,
            restart_limit: (0, 0),
            pairs: Vec::new(),
            venues: Vec::new(),
            endpoints: Vec::new(),
            ca: None,
            key_files: Vec::new(),
            tapes: Vec::new(),
            script: None,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            clock_offset_ns: 0,
            settle_in_ns: 0,
            spot_order_limit: 0,
            ticks_per_s: 0,
            coins: 0,
            box_key: None,
            listen_port: None,
            notional: Amount::ZERO,
            min_turnover: Amount::ZERO,
            min_apr: None,
            scan_fees: Rate::ZERO,
            top: 0,
            watch: false,
            token_file: None,
            control: false,
            sessions: 0,
            jobs: 0,
            kept: Vec::new(),
            cells: None,
            until_broken: false,
            #[cfg(feature = "bugbank")]
            bug: None,
            histories: Vec::new(),
            assumed_fees: [Rate::ZERO; 2],
            slippage: Rate::ZERO,
            assumed_funding: None,
            leave: Leave::Starved,
            sweeps: Vec::new(),
            since_ns: 0,
            prices: false,
            rates_db: None,
            csv: None,
            html: None,
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
#[derive(Clone, Copy, Debug)]
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
    /// The default in a scan, if it is another.
    pub scan: Option<&'static str>,
    /// A value that is not the default, for messages and tests.
    pub example: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The commands that take it as a flag.
    pub on: &'static [Command],
    /// Reads one value.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
}

/// Sections that a session file speaks for: what its rooms were made with.
pub(super) const SESSION: [&str; 3] = ["engine", "trade", "confirm"];

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
            Command::Scan => self.scan.or(self.default),
            // What a session says stands, but for what is given.
            Command::Replay if SESSION.contains(&self.section) => None,
            _ => self.default,
        }
    }
}
