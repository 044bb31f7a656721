//! Operator → shadow: what may be asked of a running engine, and what it replies.
//!
//! Owns:  the engine's modes (FAULTS part 1), the questions and orders of `contango ctl`, the replies.
//! Never: knows how they travel (`ops::control`) or what follows from them (the shadow).

use super::{Asset, Closed, Kind, PairState};
use crate::units::{Amount, ClientId, Rate, Ratio, Unix};

/// What the engine may do at all, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Everything.
    Trading,
    /// No ENTRY.
    ReduceOnly,
    /// REPAIR only.
    Halted,
    /// No order at all.
    Killed,
}

impl Mode {
    /// All, from most to least.
    pub const ALL: [Self; 4] = [Self::Trading, Self::ReduceOnly, Self::Halted, Self::Killed];

    /// Its name in journal, files and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trading => "trading",
            Self::ReduceOnly => "reduce_only",
            Self::Halted => "halted",
            Self::Killed => "killed",
        }
    }
}

/// A mode that outlives the process: only the operator's `resume` leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latched {
    /// [`Mode::Halted`] or [`Mode::Killed`].
    pub mode: Mode,
    /// Why.
    pub why: String,
}

/// One line of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How does it stand?
    Status,
    /// Why does this pair trade, or not?
    Why(String),
    /// No ENTRY and no EXIT from now on; what is broken is repaired.
    Halt(String),
    /// Trade again.
    Resume(String),
    /// Close every pair that is held, then halt.
    Flatten(String),
    /// No order any more. The kill latch was set before this was asked.
    Kill(String),
}

/// An [`Ask`] with its return address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whoever asked; comes back with the reply.
    pub from: u64,
    /// What.
    pub ask: Ask,
}

/// What is said to an [`Ask`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// How it stands.
    Status(Box<Status>),
    /// One pair.
    Why(Box<PairTold>),
    /// Done, and on the disk.
    Done {
        /// The mode now.
        mode: Mode,
        /// What a person reads.
        text: String,
    },
    /// Done, and the disk has not confirmed it: a restart may not know of it.
    NotDurable {
        /// The mode now.
        mode: Mode,
        /// What a person reads.
        text: String,
    },
    /// Not done, and why, with what to do.
    Refused(String),
    /// Something is named that does not exist.
    Unknown(String),
}

/// A [`Reply`] with the address it goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replied {
    /// Whoever asked.
    pub to: u64,
    /// What is said.
    pub reply: Reply,
}

/// How the engine stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What it may do.
    pub mode: Mode,
    /// Why.
    pub why: String,
    /// Whether it closes everything on its way to [`Mode::Halted`].
    pub flattening: bool,
    /// `starting`, `live`, `stopping` or `over`.
    pub phase: &'static str,
    /// Which engine of the desk, and its epoch.
    pub identity: (u8, u32),
    /// Since it was started, in ns.
    pub up_ns: u64,
    /// Every pair.
    pub pairs: Vec<PairTold>,
    /// Orders whose end is not proven.
    pub open: Vec<ClientId>,
    /// How capital stands; `None` before the account's wallets are known.
    pub capital: Option<CapitalTold>,
    /// Budgets, lane by lane.
    pub budgets: Vec<BudgetTold>,
    /// Connections by what they are for; why one is down, if it is.
    pub links: Vec<(String, Option<String>)>,
    /// Journal records of this run: written, durable.
    pub journal: [u64; 2],
}

/// How one pair stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PairTold {
    /// Canonical base asset.
    pub name: Asset,
    /// Where it stands.
    pub state: PairState,
    /// Spot base held.
    pub spot: Amount,
    /// Base in the perp; negative: short.
    pub perp: Amount,
    /// Entry thresholds as a basis: short, long; `None`: never.
    pub enter: [Option<Ratio>; 2],
    /// The best executable entry basis seen (short).
    pub best: Option<Ratio>,
    /// The executable entry basis last told (short).
    pub basis: Option<Ratio>,
    /// What came of weighing it on each quote, by `agents::trader::Weighed`.
    pub weighed: [u64; 4],
    /// Why the gate refused its last signal.
    pub gate: Option<Closed>,
    /// What its perp's funding is; `None`: nothing is known of it.
    pub funding: Option<FundingTold>,
    /// What keeps it from entering, each told with its way out; empty: nothing.
    pub reasons: Vec<String>,
}

/// What is known of a perp's funding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingTold {
    /// The running estimate for the coming settlement, per interval.
    pub estimate: Option<Rate>,
    /// How old that is, ns.
    pub age_ns: Option<u64>,
    /// Hours of the interval.
    pub interval_hours: Option<u32>,
    /// Sum of what was settled in the last 168 h; `None`: a settlement due in it is missing.
    pub sum_7d: Option<Rate>,
    /// The newest settlement: its minute and its rate.
    pub settled: Option<(Unix, Rate)>,
    /// The coming one.
    pub next: Option<Unix>,
}

/// How capital stands, in the quote asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapitalTold {
    /// Everything on every venue.
    pub equity: Amount,
    /// Spot cost and initial margin of what is held, orders in doubt at full size.
    pub deployed: Amount,
    /// What may be deployed beyond that.
    pub room: Amount,
    /// How far prices may move against the perps before a venue liquidates, in parts per million; `None`:
    /// there are none.
    pub distance_ppm: Option<i128>,
}

/// How much of one published limit is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetTold {
    /// Which: venue and market.
    pub lane: String,
    /// What it counts.
    pub kind: Kind,
    /// Length of its window, ns.
    pub window_ns: u64,
    /// Units used in it: the larger of our own count and the venue's.
    pub used: u64,
    /// Where normal work stops.
    pub line: u64,
    /// Units the venue takes.
    pub limit: u64,
    /// The most units of our own in any window so far.
    pub peak: u64,
    /// The market wants to hear nothing for so long, ns; 0: it did not ask for that.
    pub quiet_ns: u64,
}
