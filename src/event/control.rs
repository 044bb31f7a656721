//! Shadow → trader: wishes, terms. Clerk → rooms: clocks and news.
//!
//! Owns:  the latest-value cells and their layout as words, the folded threshold and its test.
//! Never: lowers a ceiling.

use super::{Bind, Headers, Instruments, Limit, Mark, Opinion, Spent};
use crate::units::{
    Amount, ClientId, Direction, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate, Side, Unix,
    VenueId,
};
use std::sync::Arc;

/// What the shadow asks of the pen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The pair's last intent is resolved: it may be traded again.
    Free {
        /// Whose.
        pair: PairId,
    },
    /// Bring one leg down: limit IOC within the collar. A new attempt of the intent that broke, or an
    /// intent of its own where none is under way or its attempts are used up.
    Unwind {
        /// Whose.
        pair: PairId,
        /// Sequence and attempt of the pair's last order that the shadow knows; 0, 0: none in this run.
        /// If the trader has sent a later one it declines: the shadow decides anew once it has heard.
        last: (u32, u8),
        /// Which leg is too big.
        leg: LegKind,
        /// The side that shrinks it.
        side: Side,
        /// How much.
        qty: Qty,
        /// How far past the touch it may go, in parts per million.
        collar_ppm: u32,
        /// Whether no more of it may leave than is visible at the touch; the rest follows once that ended.
        sliced: bool,
        /// Its limit lies no further out than this: the edge of the venue's price band around a slow reference.
        edge: Option<Price>,
        /// It leaves by then or not at all: later the shadow knows more, and asks again.
        until: Nanos,
    },
    /// Try the missing leg of an entry once more: the next attempt of the same intent, on its opening
    /// side, limit IOC. Declined unless both quotes are fresh, the price is within `worst` and it is
    /// not later than `until`.
    Complete {
        /// Whose.
        pair: PairId,
        /// As with [`Command::Unwind`].
        last: (u32, u8),
        /// Which leg is missing.
        leg: LegKind,
        /// Its opening side.
        side: Side,
        /// How much.
        qty: Qty,
        /// The worst limit it may carry.
        worst: Price,
        /// The last moment it may leave.
        until: Nanos,
    },
    /// What the order that a leg waits for came to, proven before its answer is here.
    Proven {
        /// Whose.
        pair: PairId,
        /// The order.
        client: ClientId,
        /// How much of it was executed in all.
        executed: Qty,
        /// What that left in base coin, net of a base-coin fee.
        net: Amount,
    },
}

/// A threshold, folded cold so that the hot test is one widening multiplication (DESIGN §2):
/// `mantissa · 2^-shift` is the price ratio perp ÷ spot in the two instruments' own integer scales.
/// The mantissa has its top bit (of 63) set; 0 means *never*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// 63 bits, top bit set; or 0 for never.
    pub mantissa: u64,
    /// 0–66.
    pub shift: u32,
}

impl Fold {
    /// A threshold nothing passes.
    pub const NEVER: Self = Self { mantissa: 0, shift: 0 };
    /// A threshold that every price is below.
    pub const ANY_AT_MOST: Self = Self { mantissa: (1 << 63) - 1, shift: 0 };
    /// A threshold that every price is above.
    pub const ANY_AT_LEAST: Self = Self { mantissa: 1, shift: 66 };

    /// Whether `perp ≥ ratio · spot`; never, if there is no threshold.
    #[inline]
    #[must_use]
    pub const fn at_least(self, perp: Price, spot: Price) -> bool {
        self.mantissa != 0 && (perp.0 as u128) << self.shift >= self.mantissa as u128 * spot.0 as u128
    }

    /// Whether `perp ≤ ratio · spot`; never, if there is no threshold.
    #[inline]
    #[must_use]
    pub const fn at_most(self, perp: Price, spot: Price) -> bool {
        self.mantissa != 0 && (perp.0 as u128) << self.shift <= self.mantissa as u128 * spot.0 as u128
    }

    /// How far the prices lie from the ratio, on either side, in 2⁻³⁰ of it; `u64::MAX` if there is none.
    /// For choosing, not for deciding: it is rounded.
    #[must_use]
    pub fn gap(self, perp: Price, spot: Price) -> u64 {
        let line = self.mantissa as u128 * spot.0.unsigned_abs() as u128;
        let at = (perp.0.unsigned_abs() as u128) << self.shift;
        match line >> 30 {
            0 => u64::MAX,
            unit => u64::try_from(at.abs_diff(line) / unit).unwrap_or(u64::MAX),
        }
    }

    /// The price of one leg at which the ratio lies while the other leg stays at `other`, rounded down; `None`: there is
    /// none. For foreseeing, not for deciding.
    #[must_use]
    pub fn passed_at(self, leg: LegKind, other: Price) -> Option<Price> {
        let other = u128::try_from(other.0).ok().filter(|other| *other > 0)?;
        let price = match leg {
            LegKind::Perp => (u128::from(self.mantissa) * other) >> self.shift,
            LegKind::Spot => (other << self.shift).checked_div(u128::from(self.mantissa))?,
        };
        i64::try_from(price).ok().map(Price).filter(|price| *price > Price(0))
    }
}

/// A hedged position the trader may close: what the shadow has booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Short or long.
    pub direction: Direction,
    /// Spot to trade back, floored to its lot.
    pub spot: Qty,
    /// Perp to buy or sell back.
    pub perp: Qty,
}

/// What one pair may do now: thresholds, clip, position. A latest-value cell, one per pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Generation of the instruments it was folded for.
    pub generation: u32,
    /// Entry thresholds: [`Direction::Short`] (`at_least` on bid/ask), [`Direction::Long`] (`at_most` on ask/bid).
    pub enter: [Fold; 2],
    /// Closing threshold of the held position (`at_most` for short, `at_least` for long).
    pub exit: Fold,
    /// Entries end here: settlement guard, funding staleness.
    pub valid_until: Nanos,
    /// Entry size of each leg: spot, perp. Spot is sized up for a base-coin fee when bought.
    pub clip: [Qty; 2],
    /// The perp's price that the clip, and what it binds, was sized at.
    pub sized_at: Price,
    /// What is held.
    pub held: Option<Held>,
    /// Close what is held at any basis: the operator's word.
    pub flatten: bool,
    /// What an entry binds; its spot leg only where it buys.
    pub bind: Bind,
}

/// Words of a [`Terms`] cell.
pub const TERMS_WORDS: usize = 16;

impl Terms {
    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; TERMS_WORDS] {
        let (kind, spot, perp) = match self.held {
            None => (0, 0, 0),
            Some(held) => (1 + held.direction as u64, held.spot.0 as u64, held.perp.0 as u64),
        };
        [
            u64::from(self.generation),
            self.enter[0].mantissa,
            self.enter[1].mantissa,
            self.exit.mantissa,
            u64::from(self.enter[0].shift)
                | u64::from(self.enter[1].shift) << 8
                | u64::from(self.exit.shift) << 16,
            self.valid_until.0,
            self.clip[0].0 as u64,
            self.clip[1].0 as u64,
            kind,
            spot,
            perp,
            u64::from(self.flatten),
            self.bind.spot,
            self.bind.perp,
            self.bind.margin,
            self.sized_at.0 as u64,
        ]
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; TERMS_WORDS]) -> Self {
        let fold = |mantissa, at: u32| Fold { mantissa, shift: (w[4] >> at & 0xff) as u32 };
        let held = |direction| Some(Held { direction, spot: Qty(w[9] as i64), perp: Qty(w[10] as i64) });
        Self {
            generation: w[0] as u32,
            enter: [fold(w[1], 0), fold(w[2], 8)],
            exit: fold(w[3], 16),
            valid_until: Nanos(w[5]),
            clip: [Qty(w[6] as i64), Qty(w[7] as i64)],
            held: match w[8] {
                1 => held(Direction::Short),
                2 => held(Direction::Long),
                _ => None,
            },
            flatten: w[11] != 0,
            bind: Bind { spot: w[12], perp: w[13], margin: w[14] },
            sized_at: Price(w[15] as i64),
        }
    }
}

/// Venue × market lanes that orders are counted in: four venues, two markets each.
pub const LANES: usize = 8;

/// The lane of a venue's market.
#[must_use]
pub const fn lane(venue: VenueId, leg: LegKind) -> usize {
    venue.0 as usize * 2 + leg as usize
}

/// Whose lane it is: a venue's market.
#[must_use]
pub const fn market_of(lane: usize) -> (VenueId, LegKind) {
    (VenueId((lane / 2) as u8), LegKind::BOTH[lane % 2])
}

/// Venue clock minus our monotonic clock, per lane, in ns: `venue time = Nanos + offset`.
/// `None` until learned. Latest value; the clerk measures, everyone reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets(pub [Option<i64>; LANES]);

impl Offsets {
    /// The venue's calendar time of a lane at `now`; `None` until its offset is learned.
    #[must_use]
    pub fn venue_time(&self, lane: usize, now: Nanos) -> Option<Unix> {
        self.0[lane].map(|offset| Unix(now.0 as i64 + offset))
    }

    /// As words for a latest-value cell; `i64::MIN` stands for *not learned*.
    #[must_use]
    pub fn to_words(self) -> [u64; LANES] {
        self.0.map(|offset| offset.unwrap_or(i64::MIN) as u64)
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; LANES]) -> Self {
        Self(w.map(|word| (word as i64 != i64::MIN).then_some(word as i64)))
    }
}

/// What the clerk tells the shadow; the journal and people hear of it through it.
#[derive(Clone, Debug)]
pub enum News {
    /// A new generation of instruments, with the limits of their markets.
    Instruments {
        /// What may be traded.
        instruments: Arc<Instruments>,
        /// What each lane may take, as the venue's listing tells it.
        limits: Vec<Limit>,
    },
    /// A market was listed again (FAULTS F46, F70, F98).
    Relisted {
        /// Which.
        lane: usize,
        /// A new generation with the same ids, if a rule changed.
        instruments: Option<Arc<Instruments>>,
        /// What can't be traded now, and why.
        shut: Vec<(InstrumentId, String)>,
        /// What is settled for good, and when.
        ending: Vec<(InstrumentId, Unix)>,
        /// What the lane may take now; empty: as before.
        limits: Vec<Limit>,
    },
    /// Marks and funding estimates at the start, before the streams tell them.
    Marks(Vec<Mark>),
    /// Settled funding rates of a perp that were not told yet, oldest first, by the venue's stamps.
    Settled {
        /// Whose.
        instrument: InstrumentId,
        /// When, and at which rate per interval.
        rows: Vec<(Unix, Rate)>,
    },
    /// Hourly candles of a market that were not told yet, oldest first: when each opened, and its close.
    Candles {
        /// Whose.
        instrument: InstrumentId,
        /// The newest may still be open.
        rows: Vec<(Unix, Amount)>,
    },
    /// By how many hours every perp settles, as the venue states it.
    Intervals(Vec<(InstrumentId, u32)>),
    /// All feeds of a venue are live and its clock is learned.
    Ready {
        /// Which.
        venue: VenueId,
    },
    /// How the account stands and what it holds, before orders may leave.
    Account {
        /// For a person, and the journal.
        lines: Vec<String>,
    },
    /// The host's calendar jumped; the venues' clocks are being learned anew.
    CalendarStepped {
        /// By how much, ns; negative: back.
        by_ns: i64,
    },
    /// They all are.
    ClocksLearned,
    /// The host's calendar is wrong, which stops no run that has begun.
    ClockWrong {
        /// By how much, and what to do.
        why: String,
    },
    /// The witness answered.
    Opinions {
        /// When its last byte was read.
        received: Nanos,
        /// What it says, a row a pair; empty as well where nothing of its answer can be used.
        rows: Vec<Opinion>,
    },
    /// A connection is up.
    LinkUp {
        /// Which.
        link: LinkId,
        /// What it is for.
        what: String,
    },
    /// A connection died or could not be made.
    LinkDown {
        /// What it was for.
        what: String,
        /// Why, and what to do.
        why: String,
    },
    /// A request of the clerk left.
    Spent(Spent),
    /// What an answer to the clerk said of a market's counters; it may ask every room to wait.
    Headers(Headers),
    /// The engine may not trade; the run ends with the exit code 3.
    Refuse {
        /// Why, and what to do.
        why: String,
    },
    /// The run can't go on; exit code 1.
    Fail {
        /// Why, and what to do.
        why: String,
    },
}
