//! Request budgets between rooms: what a venue limits, what a room may still send, what it sent.
//!
//! Owns:  the words for limits and costs, and the cells [`Permit`] (shadow → trader) and [`Reads`]
//!        (shadow → clerk).
//! Never: counts; `desk::budget` does. A ceiling falls only when the venue counted more than we sent.

use super::{Counted, LANES, STAKES_WORDS, Stakes};
use crate::units::{Class, Nanos};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Orders of the account.
    Orders,
    /// Requests of the address, each one.
    Raw,
    /// Request weight of the address.
    Weight,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Raw => "raw",
            Self::Weight => "weight",
        }
    }
}

/// A field of [`Counted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// [`Counted::orders_10s`].
    Orders10s,
    /// [`Counted::orders_long`].
    OrdersLong,
    /// [`Counted::weight_1m`].
    Weight1m,
}

impl Header {
    /// What it said, if it was there.
    #[must_use]
    pub fn of(self, counted: &Counted) -> Option<u32> {
        match self {
            Self::Orders10s => counted.orders_10s,
            Self::OrdersLong => counted.orders_long,
            Self::Weight1m => counted.weight_1m,
        }
    }
}

/// One published limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which lane counts it.
    pub lane: usize,
    /// What is counted.
    pub kind: Kind,
    /// Length of its window, ns.
    pub window_ns: u64,
    /// How many in one window.
    pub limit: u64,
    /// Which of the venue's counters shows it, if one does.
    pub header: Option<Header>,
}

/// A request that is no order left for a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which lane counts it.
    pub lane: usize,
    /// Its request weight.
    pub weight: u32,
    /// When it was handed to the kernel.
    pub sent: Nanos,
}

/// What the headers of an answer said of a market's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whose.
    pub lane: usize,
    /// What they said.
    pub counted: Counted,
    /// When the request was handed to the kernel.
    pub sent: Nanos,
}

/// What the trader may send: cumulative ceilings since start (DESIGN §2). When the shadow stops, it
/// runs out and the trader stops by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// Counts up with every renewal.
    pub generation: u64,
    /// Nothing is sent on a lane after this.
    pub expires: [Nanos; LANES],
    /// Entries, charged with their worst repair, per lane.
    pub entry: [u64; LANES],
    /// What the trader sends, as far as normal work may go, per lane.
    pub normal: [u64; LANES],
    /// What the trader sends, with what reduces risk, per lane.
    pub all: [u64; LANES],
    /// What entries may bind.
    pub stakes: Stakes,
    /// Whether entries may begin. Once they may not, what has not left of one never leaves.
    pub begins: bool,
}

/// Words of the [`Permit`] cell.
pub const PERMIT_WORDS: usize = 1 + 4 * LANES + STAKES_WORDS + 1;

impl Permit {
    /// How long one permit lasts.
    pub const TTL_NS: u64 = 500_000_000;
    /// How often the shadow renews it.
    pub const RENEW_NS: u64 = 50_000_000;

    /// Whether one more request may leave on a lane on which `sent` have left: as normal work, or as
    /// what reduces risk.
    #[inline]
    #[must_use]
    pub fn open(&self, lane: usize, sent: u64, normal: bool, now: Nanos) -> bool {
        let ceiling = if normal { self.normal[lane] } else { self.all[lane] };
        now < self.expires[lane] && sent < ceiling
    }

    /// Whether a class is normal work: it stops at the lower line. FLATTEN and REPAIR go on to the upper.
    #[inline]
    #[must_use]
    pub const fn is_normal(class: Class) -> bool {
        matches!(class, Class::Entry | Class::Exit)
    }

    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; PERMIT_WORDS] {
        let mut w = [0; PERMIT_WORDS];
        w[0] = self.generation;
        let rows = [self.expires.map(|at| at.0), self.entry, self.normal, self.all];
        for (place, row) in w[1..].chunks_exact_mut(LANES).zip(rows) {
            place.copy_from_slice(&row);
        }
        w[1 + 4 * LANES..][..STAKES_WORDS].copy_from_slice(&self.stakes.to_words());
        w[PERMIT_WORDS - 1] = u64::from(self.begins);
        w
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; PERMIT_WORDS]) -> Self {
        let row = |n: usize| std::array::from_fn(|lane| w[1 + n * LANES + lane]);
        let expires: [u64; LANES] = row(0);
        Self {
            generation: w[0],
            expires: expires.map(Nanos),
            entry: row(1),
            normal: row(2),
            all: row(3),
            stakes: Stakes::from_words(std::array::from_fn(|at| w[1 + 4 * LANES + at])),
            begins: w[PERMIT_WORDS - 1] != 0,
        }
    }
}

const _: () = assert!(Permit::RENEW_NS * 5 < Permit::TTL_NS, "a few late renewals do not stop trading");

/// What the clerk may ask for: all of it is normal work. Latest value; nothing may leave before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// A market wants to hear nothing before this.
    pub quiet: [Nanos; LANES],
    /// Request weight that may have left since start, per lane.
    pub weight: [u64; LANES],
    /// Counts up whenever the listings should be read again at once.
    pub relist: u64,
}

/// Words of the [`Reads`] cell.
pub const READS_WORDS: usize = 2 * LANES + 1;

impl Reads {
    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; READS_WORDS] {
        std::array::from_fn(|n| match n {
            n if n < LANES => self.quiet[n].0,
            n if n < 2 * LANES => self.weight[n - LANES],
            _ => self.relist,
        })
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; READS_WORDS]) -> Self {
        Self {
            quiet: std::array::from_fn(|lane| Nanos(w[lane])),
            weight: std::array::from_fn(|lane| w[LANES + lane]),
            relist: w[2 * LANES],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cells_carry_comes_back_whole() {
        let row = |n: u64| std::array::from_fn(|lane| n * 100 + lane as u64);
        let permit = Permit {
            generation: 9,
            expires: std::array::from_fn(|lane| Nanos(100 + lane as u64)),
            entry: row(2),
            normal: row(3),
            all: row(4),
            stakes: Stakes::from_words(std::array::from_fn(|at| 600 + at as u64)),
            begins: true,
        };
        assert_eq!(Permit::from_words(permit.to_words()), permit);
        let reads = Reads { quiet: permit.expires, weight: row(5), relist: 7 };
        assert_eq!(Reads::from_words(reads.to_words()), reads);
    }

    #[test]
    fn a_lane_that_expired_stops_no_other() {
        let mut permit = Permit { all: [10; LANES], normal: [6; LANES], ..Permit::default() };
        permit.expires = [Nanos(5); LANES];
        permit.expires[1] = Nanos(1);
        assert!(permit.open(0, 5, true, Nanos(4)) && !permit.open(0, 6, true, Nanos(4)));
        assert!(permit.open(0, 9, false, Nanos(4)) && !permit.open(0, 10, false, Nanos(4)));
        assert!(!permit.open(1, 0, false, Nanos(4)));
    }
}
