//! What a world is made of: a seed, a box, and what the operator chose.
//!
//! Owns:  [`Setup`] with the demo's defaults, and turning it into the rooms' own settings.
//! Never: reads a file, an argument or the environment.

use crate::agents::begun::Begun;
use crate::agents::clerk::confirm::{SecretHeader, WitnessSettings};
use crate::agents::clerk::history::READ_BACK_NS;
use crate::agents::clerk::{ClerkSettings, Host, Target};
use crate::agents::engine::{Engine, EngineSettings, Ground};
use crate::agents::replay::{Made, Replay};
use crate::agents::shadow::ShadowSettings;
use crate::agents::trader::TraderSettings;
use crate::agents::trader::contingent::Legs;
use crate::carry::confirm::Filter;
use crate::carry::pace::ScaleIn;
use crate::carry::rules::Policy;
use crate::desk::gate::GateLimits;
use crate::desk::risk::Caps;
use crate::event::Latched;
use crate::metal::clock::Clock;
use crate::metal::crash;
use crate::metal::dial::Dialer;
use crate::metal::disk::{Disk, DiskError};
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::sim;
use crate::store::epoch::{self, EpochError};
use crate::store::recall::Recalled;
use crate::store::segments::{self, JournalError};
use crate::store::{latch, session};
use crate::units::time::{MS, SEC, US};
use crate::units::{Amount, Ratio};
use crate::venue::sign::NotEd25519;
use crate::venue::standing::Wants;
use crate::venue::witness::{FORM, Map};
use crate::venue::{self, Key, Orders};
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Which engine of the desk a rehearsed one is.
pub(super) const INSTANCE: u8 = 0;
/// The port every door of the box listens on; the host's name tells them apart.
const PORT: u16 = 443;

/// What a world is made of. The defaults are those of `contango demo`, and never stop by themselves.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Seed of everything random: the market, the network, masks and jitter.
    pub seed: u64,
    /// The box. Its own seed is overruled by [`Setup::seed`].
    pub box_config: sim::Config,
    /// Key and secret the engine signs with.
    pub key: (String, String),
    /// Whether the venue is a test exchange for the engine.
    pub test_key: bool,
    /// Whether orders may leave.
    pub live: bool,
    /// The calendar when it begins, in s after 2026-01-01T00:00:00Z.
    pub begins_s: u64,
    /// Symbols or coins to trade; `None`: every pair found.
    pub wanted: Option<Vec<String>>,
    /// Which directions may be entered: short, long.
    pub directions: [bool; 2],
    /// Which leg waits for which.
    pub legs: Legs,
    /// Thresholds.
    pub policy: Policy,
    /// Close when the executable closing basis is at most this; `None`: hold.
    pub exit_basis: Option<Ratio>,
    /// What a witness must say to an entry, and how often it is asked, in ns; `None`: nobody is.
    pub confirm: Option<(Filter, u64)>,
    /// Size of one entry, in USDT.
    pub clip: Amount,
    /// How a position grows.
    pub scale_in: ScaleIn,
    /// So many positions are opened at the least size first.
    pub first_entries: u64,
    /// How much may be at stake.
    pub caps: Caps,
    /// Entries per pair over the whole run; `None`: any number.
    pub entries_max: Option<u32>,
    /// The run ends so long after all feeds are live, in ns; `None`: when told to.
    pub run_for_ns: Option<u64>,
    /// The run ends after so many round trips; `None`: when told to.
    pub until_round_trips: Option<u64>,
    /// Order links per market.
    pub order_links: usize,
    /// What orders travel by.
    pub orders: Orders,
    /// Sockets per plan of quotes.
    pub feed_links: usize,
    /// Whether spot quotes are read as SBE.
    pub sbe: bool,
    /// W, in ms.
    pub recv_window_ms: u32,
    /// How long after its deadline the venue may still show an order, in ns.
    pub settle_ns: u64,
    /// So many crashes within the time beside it, in ns, and a run begins HALTED.
    pub crashes_max: (usize, u64),
    /// One-way delay of a chunk, in ns: drawn evenly from this range.
    pub delay_ns: RangeInclusive<u64>,
    /// The longest step while nothing happens, in ns: rooms have timers, and turn at least so often.
    pub idle_ns: u64,
    /// Whether the order in which rooms turn is drawn anew in each step, and some of them left out.
    pub drawn_turns: bool,
    /// Whether the short ways are taken, which change no byte: orders sealed ahead, quotes read by the layout that is
    /// known.
    pub fast: bool,
    /// Whether every top of book is kept for [`super::World::quotes`].
    pub quotes_out: bool,
    /// Whether what the rooms take in is kept for [`super::World::session`].
    pub record: bool,
    /// What a segment of the journal takes behind its checkpoint: so little that stories come to several.
    pub segment_bytes: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let box_config = sim::Config::default();
        Self {
            seed: 1,
            key: (box_config.key.clone(), box_config.secret.clone()),
            box_config,
            test_key: false,
            live: true,
            begins_s: 0,
            wanted: None,
            directions: [true, false],
            legs: Legs::Together,
            policy: Policy { hold_s: 3_600, kappa: Ratio::ONE, ..Policy::default() },
            exit_basis: Some(Ratio::from_num(5) / 10_000),
            confirm: None,
            clip: Amount(500 * 10i128.pow(u32::from(Amount::SCALE))),
            scale_in: ScaleIn::default(),
            first_entries: 0,
            caps: Caps::default(),
            entries_max: None,
            run_for_ns: None,
            until_round_trips: None,
            order_links: 2,
            orders: Orders::Rest,
            feed_links: 1,
            sbe: false,
            recv_window_ms: 1_000,
            settle_ns: 10 * SEC,
            crashes_max: (3, 600 * SEC),
            delay_ns: 40 * US..=80 * US,
            idle_ns: MS,
            drawn_turns: false,
            fast: true,
            quotes_out: false,
            record: false,
            segment_bytes: 32 << 10,
        }
    }
}

/// Why a world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The box refused its configuration.
    #[error("the box is not opened: {0}")]
    Box(#[from] sim::ConfigError),
    /// The epoch could not be raised.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The journal could not be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk in memory refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The engine's secret is no key.
    #[error(transparent)]
    Key(#[from] NotEd25519),
    /// There was no memory for the intent records.
    #[error("no memory for the intent records ({0}); free some on this host")]
    Intents(#[from] io::Error),
}

impl Setup {
    /// As the default, with another seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// As it is, but the account's key is one of Ed25519.
    #[must_use]
    pub fn of_ed25519(mut self) -> Self {
        self.key.1 = sim::Config::ED25519.to_owned();
        self.box_config.secret.clone_from(&self.key.1);
        self
    }

    /// The rooms of a session that a world of the setup `recorded` wrote, played to its end with the settings of
    /// this one.
    ///
    /// # Errors
    ///
    /// What did not fit.
    pub fn replay(&self, recorded: &Self, file: &[u8]) -> Result<Replay, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let whole = session::check(file).map_err(|error| told(&error))?;
        let begun = Begun::of(&whole.head).map_err(|what| format!("no {what}"))?;
        let recalled = segments::recalled(&whole.journal).ok_or("its journal can't be read")?;
        let EngineSettings { trader, shadow, .. } =
            self.engine(begun.epoch, begun.latched.clone(), recalled).map_err(|error| told(&error))?;
        let what_if = self.policy != recorded.policy;
        let mut replay = Replay::new(Made { trader, shadow, begun, what_if, heard: u64::MAX });
        for block in session::Blocks::new(file).map_err(|error| told(&error))? {
            let block = block.map_err(|error| told(&error))?;
            for turn in session::split(&block.body).take_while(|_| block.kind == session::Kind::Turns) {
                let turn = turn.map_err(|error| told(&error))?;
                replay.take(block.room, turn).map_err(|error| told(&error))?;
            }
        }
        replay.finish().map_err(|error| told(&error))?;
        Ok(replay)
    }

    /// A new process on what is there; and how its session file begins, if one is wanted.
    pub(super) fn start(
        &self,
        clock: &Clock,
        [dialer, to_witness]: [Dialer; 2],
        mut disk: Disk,
        intents: &IntentsMemory,
        seeds: &mut Entropy,
    ) -> Result<(Engine, Vec<u8>), SetupError> {
        // The crash points are where `cli::boot` has them.
        let epoch = epoch::raise(&mut disk, INSTANCE)?;
        crash::point("K15a");
        let latch = latch::open(&mut disk, INSTANCE, clock.unix())?;
        let journal = segments::open(&mut disk, INSTANCE)?.journal.with_segments_of(self.segment_bytes);
        crash::point("K15b");
        crash::point("K15c");
        let mut session_begun = Vec::new();
        if self.record {
            let mut head = serde_json::Map::new();
            Begun::new(epoch, true, latch.latched.clone(), intents).put(&mut head);
            session_begun = session::begin(&head);
            session::journal(&journal.bytes(&disk)?, &mut session_begun);
        }
        let settings = self.engine(epoch, latch.latched, journal.recalled().clone())?;
        let ground = Ground {
            clock: clock.clone(),
            dialer,
            witness: self.witness().zip(Some(to_witness)),
            entropy: std::array::from_fn(|_| Entropy::seeded(seeds.u64())),
            disk,
            journal,
            latch: latch.file,
            intents: intents.clone(),
        };
        Ok((Engine::build(settings, ground, Latch::new(), Latch::new()), session_begun))
    }

    /// The line of the engine's secret that is one: of a PEM what stands between its frame.
    #[must_use]
    pub fn canary(&self) -> &str {
        self.key.1.lines().find(|line| !line.starts_with("-----")).unwrap_or_default()
    }

    /// Whom the clerk asks: the world's own witness, in the form of DESIGN §7.
    fn witness(&self) -> Option<WitnessSettings> {
        let (_, every_ns) = self.confirm?;
        Some(WitnessSettings {
            host: Host { tls: false, name: "witness".to_owned(), port: PORT },
            path: "/v1/arbitrage/spot-perp".to_owned(),
            header: Some(SecretHeader::new("X-Secret".to_owned(), self.canary().to_owned().into())),
            map: Map::parse(FORM).ok()?,
            every_ns,
        })
    }

    /// The rooms' own settings, for the run of this epoch that begins latched or not, on these books.
    pub(super) fn engine(
        &self,
        epoch: u32,
        latched: Option<Latched>,
        recalled: Recalled,
    ) -> Result<EngineSettings, NotEd25519> {
        let venue = &venue::binance::VENUE;
        let host = |name: &'static str| (name, Host { tls: false, name: name.to_owned(), port: PORT });
        let key = Key::read(self.key.0.clone(), self.key.1.clone())?;
        let target = Target {
            venue,
            hosts: venue.endpoints.iter().map(|endpoint| host(endpoint.name)).collect(),
            key: Some(Arc::new(key)),
            test: self.test_key,
        };
        Ok(EngineSettings {
            clerk: ClerkSettings {
                target,
                rooms: true,
                read_back_ns: READ_BACK_NS,
                candles: false,
                wanted: self.wanted.clone(),
                known: ClerkSettings::known(&recalled),
                live: self.live,
                order_links: self.order_links,
                orders: self.orders,
                feed_links: self.feed_links,
                binary: self.sbe,
                wants: Wants {
                    leverage: u32::try_from(self.caps.leverage).unwrap_or(0),
                    test: self.test_key,
                },
                recv_window_ms: self.recv_window_ms,
            },
            trader: TraderSettings {
                legs: self.legs,
                instance: INSTANCE,
                epoch,
                live: self.live,
                directions: self.directions,
                recv_window_ms: self.recv_window_ms,
                entries_max: self.entries_max,
                gate: GateLimits::default(),
                seals: self.fast,
                stamp_sends: false,
            },
            shadow: ShadowSettings {
                about: format!("rehearsal, seed {}", self.seed),
                identity: (INSTANCE, epoch),
                policy: self.policy,
                exit_basis: self.exit_basis,
                confirm: self.confirm.map(|(filter, _)| filter),
                clip: self.clip,
                first_entries: self.first_entries,
                caps: self.caps,
                scale_in: self.scale_in,
                directions: self.directions,
                recv_window_ms: self.recv_window_ms,
                live: self.live,
                run_for_ns: self.run_for_ns,
                until_round_trips: self.until_round_trips,
                latched,
                recalled,
                settle_ns: self.settle_ns,
                crashes_max: self.crashes_max,
            },
            fast: self.fast,
            quotes_out: self.quotes_out,
            record: self.record,
            packets: false,
        })
    }
}
