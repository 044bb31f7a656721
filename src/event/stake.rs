//! Shadow → trader: how much may be at stake, as cumulative ceilings; and what one entry binds.
//!
//! Owns:  [`Bind`], [`Stake`], [`Stakes`] and their comparison. One unit is 10^-6 of the quote asset.
//! Never: knows caps or accounts; `desk::risk` does.

use super::LANES;
use crate::units::{Direction, VenueId};

/// Venues there can be.
pub const VENUES: usize = LANES / 2;

/// What one entry of a pair binds, each rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// What its spot leg costs; 0 where it sells coins.
    pub spot: u64,
    /// Notional of its perp leg.
    pub perp: u64,
    /// Initial margin of that.
    pub margin: u64,
}

impl Bind {
    /// The same in this direction: a long position sells coins it has.
    #[must_use]
    pub const fn in_direction(self, direction: Direction) -> Self {
        match direction {
            Direction::Short => self,
            Direction::Long => Self { spot: 0, ..self },
        }
    }
}

/// What is at stake on one venue, or may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stake {
    /// Spot cost and initial margin.
    pub capital: u64,
    /// Quote in the spot wallet.
    pub cash: u64,
    /// Perp notional.
    pub notional: u64,
}

/// What entries bound since start, or may bind: cumulative, like every ceiling of the permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stakes {
    /// Over all venues.
    pub capital: u64,
    /// On each.
    pub of: [Stake; VENUES],
}

/// Words of it in a cell.
pub const STAKES_WORDS: usize = 1 + 3 * VENUES;

impl Stakes {
    /// No ceiling at all: where nothing can leave.
    pub const ALL: Self = {
        let each = Stake { capital: u64::MAX, cash: u64::MAX, notional: u64::MAX };
        Self { capital: u64::MAX, of: [each; VENUES] }
    };

    /// Adds an entry whose spot and perp leg are on these venues.
    pub const fn add(&mut self, [spot, perp]: [VenueId; 2], bind: &Bind) {
        self.capital = self.capital.saturating_add(bind.spot.saturating_add(bind.margin));
        let at = &mut self.of[spot.0 as usize];
        at.capital = at.capital.saturating_add(bind.spot);
        at.cash = at.cash.saturating_add(bind.spot);
        let at = &mut self.of[perp.0 as usize];
        at.capital = at.capital.saturating_add(bind.margin);
        at.notional = at.notional.saturating_add(bind.perp);
    }

    /// Whether one more entry stays within these ceilings. Called on what left so far.
    #[inline]
    #[must_use]
    pub const fn fits(&self, ceiling: &Self, venues: [VenueId; 2], bind: &Bind) -> bool {
        let mut after = *self;
        after.add(venues, bind);
        let mut fits = after.capital <= ceiling.capital;
        let mut at = 0;
        while at < 2 {
            let venue = venues[at].0 as usize;
            let (after, ceiling) = (&after.of[venue], &ceiling.of[venue]);
            fits &= after.capital <= ceiling.capital
                && after.cash <= ceiling.cash
                && after.notional <= ceiling.notional;
            at += 1;
        }
        fits
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, room: &Self) -> Self {
        Self {
            capital: self.capital.saturating_add(room.capital),
            of: std::array::from_fn(|at| Stake {
                capital: self.of[at].capital.saturating_add(room.of[at].capital),
                cash: self.of[at].cash.saturating_add(room.of[at].cash),
                notional: self.of[at].notional.saturating_add(room.of[at].notional),
            }),
        }
    }

    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; STAKES_WORDS] {
        let mut words = [self.capital; STAKES_WORDS];
        for (place, stake) in words[1..].chunks_exact_mut(3).zip(self.of) {
            place.copy_from_slice(&[stake.capital, stake.cash, stake.notional]);
        }
        words
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(words: [u64; STAKES_WORDS]) -> Self {
        Self {
            capital: words[0],
            of: std::array::from_fn(|at| Stake {
                capital: words[1 + 3 * at],
                cash: words[2 + 3 * at],
                notional: words[3 + 3 * at],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cell_carries_comes_back_whole() {
        let mut n = 0;
        let mut next = || {
            n += 1;
            n
        };
        let stakes = Stakes {
            capital: next(),
            of: std::array::from_fn(|_| Stake { capital: next(), cash: next(), notional: next() }),
        };
        assert_eq!(Stakes::from_words(stakes.to_words()), stakes);
    }

    #[test]
    fn each_ceiling_closes_by_itself() {
        let bind = Bind { spot: 10, perp: 9, margin: 5 };
        let venues = [VenueId(0), VenueId(1)];
        let mut ceiling = Stakes::default();
        ceiling.add(venues, &bind);
        let none = Stakes::default();
        assert!(none.fits(&ceiling, venues, &bind));
        let mut twice = none;
        twice.add(venues, &bind);
        assert!(!twice.fits(&ceiling, venues, &bind));
        for lower in [
            |c: &mut Stakes| c.capital -= 1,
            |c: &mut Stakes| c.of[0].capital -= 1,
            |c: &mut Stakes| c.of[0].cash -= 1,
            |c: &mut Stakes| c.of[1].capital -= 1,
            |c: &mut Stakes| c.of[1].notional -= 1,
        ] {
            let mut lowered = ceiling;
            lower(&mut lowered);
            assert!(!none.fits(&lowered, venues, &bind), "{lowered:?}");
        }
    }
}
