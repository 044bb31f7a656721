//! A best quote that is not as it should be: one message, while the book behind it is as ever.
//!
//! Owns:  what such a message says in place of the truth.
//! Never: changes what orders meet.

use super::market::{Book, Level};
use super::number::E8;

/// What is wrong with a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// A price of twenty digits.
    Digits,
    /// The bid above the ask.
    Crossed,
    /// Both prices are off by so much, in millionths.
    Spike { ppm: i64 },
    /// It comes after the one that follows it.
    Late,
    /// A perp's says that it is of this time, ms.
    Stamp { ms: u64 },
}

impl Odd {
    pub(super) fn of(kind: &str, ppm: i64, stamp_ms: u64) -> Self {
        match kind {
            "crossed_quote" => Self::Crossed,
            "spike_quote" => Self::Spike { ppm },
            "late_quote" => Self::Late,
            "stamp_quote" => Self::Stamp { ms: stamp_ms },
            _ => Self::Digits,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Digits => "bad_quote",
            Self::Crossed => "crossed_quote",
            Self::Spike { .. } => "spike_quote",
            Self::Late => "late_quote",
            Self::Stamp { .. } => "stamp_quote",
        }
    }

    /// The book as the message tells it; `None`: as it is.
    pub(super) fn told(self, book: &Book, tick: E8) -> Option<Book> {
        let mut told = book.clone();
        let (bid, ask) = (&mut told.bids[0], &mut told.asks[0]);
        match self {
            Self::Digits | Self::Late | Self::Stamp { .. } => return None,
            Self::Crossed => std::mem::swap(bid, ask),
            Self::Spike { ppm } => {
                for level in [&mut *bid, &mut *ask] {
                    *level = Level { price: moved(level.price, ppm, tick), ..*level };
                }
                ask.price = ask.price.max(bid.price + tick);
            }
        }
        Some(told)
    }
}

/// A price that far off, in whole ticks, at least one.
pub(super) fn moved(price: E8, ppm: i64, tick: E8) -> E8 {
    let exact = i128::from(price) * i128::from(1_000_000 + ppm) / 1_000_000;
    let ticks = exact / i128::from(tick.max(1));
    i64::try_from(ticks).unwrap_or(1).max(1).saturating_mul(tick.max(1))
}
