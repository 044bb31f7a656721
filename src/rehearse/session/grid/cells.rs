//! The cells of the crash grid: point × what both legs met × restart × kind, and which of them can't be.
//!
//! Owns:  every place, every cell, the reason against each that is ruled out.
//! Never: drops a cell without a reason.

use crate::metal::crash;
use crate::units::time::SEC;
use std::fmt;

/// Stores of an intent record (K2).
const STORES: u64 = 16;

/// A crash point with the pass, and the part, at which the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The point.
    pub name: &'static str,
    /// Passings of it, counted from the moment the round is decided.
    pub pass: u64,
    /// Of what is done in part: all of it, or half.
    pub whole: bool,
}

/// What an order met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// No whole request of it left the host.
    Unsent,
    /// An empty book: it ends unfilled.
    Nobody,
    /// A refusal.
    Refused,
    /// A part of what it wanted.
    Partial,
    /// All of it.
    Full,
    /// It was executed, and the connection broke in place of an answer.
    Taken,
    /// It was not taken, and the connection broke in place of an answer.
    Lost,
}

/// When the next process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restart {
    /// At once.
    Once,
    /// After 30 s.
    Later,
    /// After three days: the venue has forgotten what died unfilled.
    Horizon,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Killed: files and intent records stay.
    Process,
    /// With the power: what was synced stays, and perhaps a piece more.
    Power,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Where the process dies.
    pub place: Place,
    /// What the order sent first met, and the other one.
    pub legs: [Met; 2],
    /// When the next one starts.
    pub restart: Restart,
    /// How it dies.
    pub kind: Kind,
    /// Its position among all cells: the scene, and what of an unsynced tail stays, go by it.
    pub scene: usize,
}

const ALL_MET: [Met; 7] =
    [Met::Unsent, Met::Nobody, Met::Refused, Met::Partial, Met::Full, Met::Taken, Met::Lost];
const RESTARTS: [Restart; 3] = [Restart::Once, Restart::Later, Restart::Horizon];
const KINDS: [Kind; 2] = [Kind::Process, Kind::Power];

/// Every cell there could be, with the reason against it, if there is one.
#[must_use]
pub fn all() -> Vec<(Cell, Option<&'static str>)> {
    let mut cells = Vec::new();
    for place in places() {
        for legs in ALL_MET.iter().flat_map(|first| ALL_MET.map(|second| [*first, second])) {
            for (restart, kind) in RESTARTS.iter().flat_map(|it| KINDS.map(|kind| (*it, kind))) {
                let cell = Cell { place, legs, restart, kind, scene: cells.len() / 6 };
                cells.push((cell, cell.ruled_out()));
            }
        }
    }
    cells
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for name in crash::names() {
        let passes = match name {
            "K2" => STORES,
            "K8" | "K9" => 2,
            "K10" | "K11" => 3,
            _ => 1,
        };
        let parts: &[bool] = if matches!(name, "K4" | "K6") { &[false, true] } else { &[false] };
        for pass in 1..=passes {
            places.extend(parts.iter().map(|whole| Place { name, pass, whole: *whole }));
        }
    }
    places
}

impl Place {
    /// As `metal::crash` wants it.
    pub(super) fn armed(self) -> (&'static str, u64, Option<usize>) {
        (self.name, self.pass, self.whole.then_some(usize::MAX))
    }

    /// Whether a whole request of each leg has left the host.
    fn sent(self) -> [bool; 2] {
        match (self.name, self.whole) {
            ("K1" | "K2" | "K3", _) | ("K4", false) => [false; 2],
            ("K4" | "K5", _) | ("K6", false) => [true, false],
            _ => [true; 2],
        }
    }
}

impl Cell {
    /// Why it can't be.
    fn ruled_out(&self) -> Option<&'static str> {
        let Place { name, pass, .. } = self.place;
        if name.starts_with("K13") {
            return Some(
                "the projection is rebuilt by a process of its own that sends nothing (tools/kill_loop.py --points all)",
            );
        }
        let unsent = self.legs.map(|met| met == Met::Unsent);
        for (sent, unsent) in self.place.sent().into_iter().zip(unsent) {
            if sent && unsent {
                return Some("a whole request of the leg left before the point");
            }
            if !sent && !unsent {
                return Some("no whole request of the leg has left at the point: it meets nothing");
            }
        }
        let count = |it: fn(&Met) -> bool| self.legs.iter().filter(|met| it(met)).count() as u64;
        if name == "K8" && count(|met| !matches!(met, Met::Taken | Met::Lost)) < pass {
            return Some("fewer answers than that come: the others are lost with their connection");
        }
        if name == "K9" && count(|met| matches!(met, Met::Partial | Met::Full | Met::Taken)) < pass {
            return Some("fewer legs than that have a fill to book");
        }
        if name.starts_with("K16") && !self.needs_repair() {
            return Some("both legs executed the same: there is nothing to repair");
        }
        None
    }

    fn needs_repair(&self) -> bool {
        let [one, other] = [0, 1].map(|leg| match self.legs[leg] {
            Met::Unsent | Met::Nobody | Met::Refused | Met::Lost => 0,
            // The legs get different parts.
            Met::Partial => 1 + leg,
            Met::Full | Met::Taken => 3,
        });
        one != other
    }

    /// Whether an operator's word may stand in the way of trading.
    pub(super) fn latches(&self) -> bool {
        self.place.name.starts_with("K17") || self.place.name.starts_with("K18")
    }

    /// How many bytes beyond the durable ones survive a loss of power: none, a torn record, or all.
    pub(super) fn tail(&self) -> usize {
        [0, 40, 1 << 30][self.scene % 3]
    }
}

impl Restart {
    /// How long the host or the process is away, beyond the days until the horizon.
    pub(super) const fn after_ns(self) -> u64 {
        match self {
            Self::Once | Self::Horizon => 0,
            Self::Later => 30 * SEC,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = if self.whole { "w" } else { "" };
        write!(f, "{}:{}{part}", self.name, self.pass)
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsent => "unsent",
            Self::Nobody => "none",
            Self::Refused => "refused",
            Self::Partial => "partial",
            Self::Full => "full",
            Self::Taken => "unknown-taken",
            Self::Lost => "unknown-lost",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restart = match self.restart {
            Restart::Once => "once",
            Restart::Later => "30s",
            Restart::Horizon => "horizon",
        };
        let kind = if self.kind == Kind::Process { "kill" } else { "power" };
        write!(f, "{}/{}/{}/{restart}/{kind}", self.place, self.legs[0], self.legs[1])
    }
}
