//! Who is meant: venues, instruments, pairs, links, sides, and the client order id.
//!
//! Owns:  dense ids (indexes into the tables of the present `Instruments` generation) and the
//!        63-bit client order id of FAULTS 7.2.
//! Never: gives out the same client order id twice; whoever holds the epoch sees to that.

use std::fmt;

/// One of the venues; an index into `venue::ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(pub u8);

/// Dense index of a tradable instrument in the present generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(pub u16);

/// Dense index of a pair in the present generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u16);

/// One live connection, for as long as it lives; never used again after it died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// Which leg of a pair, and so which market of its venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LegKind {
    /// The spot market.
    Spot = 0,
    /// The perpetual.
    Perp = 1,
}

impl LegKind {
    /// Both, in the order of their indexes.
    pub const BOTH: [Self; 2] = [Self::Spot, Self::Perp];

    /// The other leg.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Spot => Self::Perp,
            Self::Perp => Self::Spot,
        }
    }
}

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Takes the ask.
    Buy = 0,
    /// Takes the bid.
    Sell = 1,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `+1` for a buy, `-1` for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

/// What the trade is, named by its perp leg (DESIGN §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Buy spot, short the perp: the classic carry.
    Short = 0,
    /// Sell spot, long the perp.
    Long = 1,
}

impl Direction {
    /// Which side opens this leg.
    #[must_use]
    pub const fn opening(self, leg: LegKind) -> Side {
        match (self, leg) {
            (Self::Short, LegKind::Spot) | (Self::Long, LegKind::Perp) => Side::Buy,
            (Self::Short, LegKind::Perp) | (Self::Long, LegKind::Spot) => Side::Sell,
        }
    }
}

/// Why an order is sent; ENTRY alone takes risk on (FAULTS part 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Opens or grows a position.
    Entry = 0,
    /// Closes a hedged position, both legs.
    Exit = 1,
    /// Brings a broken pair back into bound.
    Repair = 2,
    /// Closes whatever is left, by order of the operator.
    Flatten = 3,
}

impl Class {
    /// Whether orders of this class may use the reserve (90 % line, last intent slots).
    #[must_use]
    pub const fn reduces_risk(self) -> bool {
        !matches!(self, Self::Entry)
    }
}

macro_rules! named {
    ($type:ty { $($variant:path => $text:literal),+ $(,)? }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($variant => $text),+ })
            }
        }
    };
}
named!(LegKind { Self::Spot => "spot", Self::Perp => "perp" });
named!(Side { Self::Buy => "buy", Self::Sell => "sell" });
named!(Direction { Self::Short => "short", Self::Long => "long" });
named!(Class { Self::Entry => "entry", Self::Exit => "exit", Self::Repair => "repair", Self::Flatten => "flatten" });

/// Our client order id: one number in [5·2^60, 6·2^60), always 19 digits, legal on all four venues
/// (FAULTS 7.2). From the top: mark `101` · instance 6 bits · epoch 20 · sequence 28 · leg 2 · attempt 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// The fields of a [`ClientId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdParts {
    /// Which engine of the desk, 0–63.
    pub instance: u8,
    /// Which run of it, 0–1 048 575.
    pub epoch: u32,
    /// Which intent of the run, 0–268 435 455.
    pub sequence: u32,
    /// Which leg of the intent.
    pub leg: LegKind,
    /// Which attempt of the leg, 0–15.
    pub attempt: u8,
}

impl ClientId {
    /// How many digits every id has.
    pub const DIGITS: usize = 19;
    /// Epochs end here.
    pub const EPOCH_MAX: u32 = (1 << 20) - 1;
    /// Sequences of one epoch end here.
    pub const SEQUENCE_MAX: u32 = (1 << 28) - 1;
    /// Instances end here.
    pub const INSTANCE_MAX: u8 = 63;
    /// Attempts of one leg end here.
    pub const ATTEMPT_MAX: u8 = 15;

    /// Puts the fields together; `None` if one is out of its range.
    #[must_use]
    pub const fn new(parts: ClientIdParts) -> Option<Self> {
        if parts.instance > Self::INSTANCE_MAX
            || parts.epoch > Self::EPOCH_MAX
            || parts.sequence > Self::SEQUENCE_MAX
            || parts.attempt > Self::ATTEMPT_MAX
        {
            return None;
        }
        Some(Self(
            0b101 << 60
                | (parts.instance as u64) << 54
                | (parts.epoch as u64) << 34
                | (parts.sequence as u64) << 6
                | (parts.leg as u64) << 4
                | parts.attempt as u64,
        ))
    }

    /// Reads an id from a venue's text: ours only if it is exactly 19 ASCII digits with our mark.
    #[must_use]
    pub fn parse(ascii: &[u8]) -> Option<Self> {
        if ascii.len() != Self::DIGITS || !ascii.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value =
            ascii.iter().try_fold(0u64, |sum, &b| sum.checked_mul(10)?.checked_add(u64::from(b - b'0')))?;
        (value >> 60 == 0b101).then_some(Self(value))
    }

    /// Whether both are orders of one intent: another leg of it, or another attempt.
    #[must_use]
    pub const fn same_intent(self, other: Self) -> bool {
        self.0 >> 6 == other.0 >> 6
    }

    /// Takes the fields apart; `None` if the leg field is one that this engine never sends
    /// (2 is kept for cross-venue hedges, 3 is reserved), which must halt (FAULTS 7.2).
    #[must_use]
    pub const fn parts(self) -> Option<ClientIdParts> {
        let leg = match self.0 >> 4 & 3 {
            0 => LegKind::Spot,
            1 => LegKind::Perp,
            _ => return None,
        };
        Some(ClientIdParts {
            instance: (self.0 >> 54 & 63) as u8,
            epoch: (self.0 >> 34 & Self::EPOCH_MAX as u64) as u32,
            sequence: (self.0 >> 6 & Self::SEQUENCE_MAX as u64) as u32,
            leg,
            attempt: (self.0 & 15) as u8,
        })
    }

    /// The 19 digits as they travel.
    #[must_use]
    pub fn digits(self) -> [u8; Self::DIGITS] {
        let mut out = [b'0'; Self::DIGITS];
        let mut rest = self.0;
        for slot in out.iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../tests/fixtures/client_order_id.json");

    #[test]
    fn every_published_vector_is_made_and_taken_apart() {
        let page: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        for v in page["vectors"].as_array().unwrap() {
            let n = |key: &str| v[key].as_u64().unwrap();
            let text = v["id"].as_str().unwrap();
            let id = ClientId::parse(text.as_bytes()).expect(text);
            assert_eq!(id.digits(), text.as_bytes());
            if n("leg") > 1 {
                assert_eq!(id.parts(), None, "leg {} is not ours to send", n("leg"));
                continue;
            }
            let parts = ClientIdParts {
                instance: n("instance") as u8,
                epoch: n("epoch") as u32,
                sequence: n("sequence") as u32,
                leg: LegKind::BOTH[n("leg") as usize],
                attempt: n("attempt") as u8,
            };
            assert_eq!(ClientId::new(parts), Some(id));
            assert_eq!(id.parts(), Some(parts));
        }
    }

    #[test]
    fn what_is_not_ours_is_foreign() {
        let page: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        for v in page["not_ours"].as_array().unwrap() {
            let text = v["id"].as_str().unwrap();
            let ours = ClientId::parse(text.as_bytes()).and_then(ClientId::parts);
            assert_eq!(ours, None, "{text:?}: {}", v["why"]);
        }
    }
}
