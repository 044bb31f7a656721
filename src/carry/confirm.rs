//! The confirmation filter: what an outside witness's word does to an entry.
//!
//! Owns:  [`Filter`], which words let an entry in, and judging an opinion's age and its side.
//! Never: takes silence for consent: without a readable opinion the word is *absent*. Keeps nobody from leaving.
//! Why:   an opinion has two ages, by the time it states and by when it was received; the larger counts, so
//!        neither a witness whose clock stands nor a line that is stuck can keep an old word young.

use crate::event::Opinion;
use crate::units::time::SEC;
use crate::units::{Direction, Unix};

/// An opinion stated further in the future is no opinion: it would stay young for that long.
const AHEAD_MAX_NS: i64 = 60 * SEC as i64;

/// What the witness says to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It would take the same direction.
    Agree,
    /// It would not.
    Disagree,
    /// Nothing, or nothing that can be read.
    Absent,
    /// Something too long ago.
    Old,
}

impl Says {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Agree, Self::Disagree, Self::Absent, Self::Old];

    /// Its name in settings and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Disagree => "disagree",
            Self::Absent => "absent",
            Self::Old => "old",
        }
    }
}

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Which words let an entry in, in the order of [`Says::ALL`].
    pub enter_on: [bool; 4],
    /// From which age on an opinion is old, in ns.
    pub age_max_ns: u64,
}

impl Filter {
    /// Whether this word lets an entry in.
    #[must_use]
    pub const fn lets_in(&self, says: Says) -> bool {
        self.enter_on[says as usize]
    }

    /// What an opinion, received so long ago, says to an entry of this direction.
    ///
    /// All it was asked for must agree: the direction is the same, and the rate pays.
    #[must_use]
    pub fn judge(
        &self,
        opinion: Option<&Opinion>,
        received_ago_ns: u64,
        now: Unix,
        direction: Direction,
    ) -> Says {
        let Some(opinion) = opinion else { return Says::Absent };
        if opinion.stated.is_some_and(|stated| stated.0.saturating_sub(now.0) > AHEAD_MAX_NS) {
            return Says::Absent;
        }
        if age_ns(opinion, received_ago_ns, now) > self.age_max_ns {
            return Says::Old;
        }
        let rate = opinion.rate.map(|rate| match direction {
            Direction::Short => rate.0 > 0,
            Direction::Long => rate.0 < 0,
        });
        match (opinion.direction.map(|it| it == direction), rate) {
            (None, None) => Says::Absent,
            (side, rate) if side.unwrap_or(true) && rate.unwrap_or(true) => Says::Agree,
            _ => Says::Disagree,
        }
    }
}

/// The larger of both ages.
#[must_use]
pub fn age_ns(opinion: &Opinion, received_ago_ns: u64, now: Unix) -> u64 {
    let stated = opinion.stated.map_or(0, |stated| now.0.saturating_sub(stated.0));
    received_ago_ns.max(u64::try_from(stated).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{PairId, Rate};
    use proptest::prelude::*;

    const FILTER: Filter = Filter { enter_on: [true, false, false, false], age_max_ns: 300 * SEC };
    const NOW: Unix = Unix(1_772_694_601_600_000_000);

    fn opinion(rate: Option<i64>, direction: Option<Direction>) -> Opinion {
        Opinion { pair: PairId(0), rate: rate.map(Rate), direction, stated: None }
    }

    #[track_caller]
    fn check(opinion: Opinion, short: Says, long: Says) {
        let judge = |direction| FILTER.judge(Some(&opinion), 0, NOW, direction);
        assert_eq!((judge(Direction::Short), judge(Direction::Long)), (short, long), "{opinion:?}");
    }

    #[test]
    fn all_that_is_asked_for_must_agree() {
        use Says::{Absent, Agree, Disagree};
        check(opinion(Some(1), None), Agree, Disagree);
        check(opinion(Some(-1), None), Disagree, Agree);
        check(opinion(Some(0), None), Disagree, Disagree);
        check(opinion(None, Some(Direction::Short)), Agree, Disagree);
        check(opinion(Some(1), Some(Direction::Short)), Agree, Disagree);
        check(opinion(Some(-1), Some(Direction::Short)), Disagree, Disagree);
        check(opinion(None, None), Absent, Absent);
        assert_eq!(FILTER.judge(None, 0, NOW, Direction::Short), Absent);
    }

    #[test]
    fn either_age_makes_it_old() {
        let judge = |received_ago_s: u64, stated_ago_s: i64| {
            let stated = Some(Unix(NOW.0 - stated_ago_s * SEC as i64));
            let opinion = Opinion { stated, ..opinion(Some(1), None) };
            FILTER.judge(Some(&opinion), received_ago_s * SEC, NOW, Direction::Short)
        };
        assert_eq!(judge(300, 300), Says::Agree);
        assert_eq!(judge(301, 0), Says::Old);
        assert_eq!(judge(0, 301), Says::Old);
        assert_eq!(judge(0, -60), Says::Agree, "clocks differ");
        assert_eq!(judge(0, -61), Says::Absent, "from the future");
        assert_eq!(judge(301, -61), Says::Absent);
    }

    proptest! {
        /// Both directions never agree, and what is old for one is old for the other.
        #[test]
        fn nobody_agrees_with_both_directions(
            rate in prop::option::of(-3i64..=3), side in prop::option::of(any::<bool>()),
            stated in prop::option::of(any::<i64>()), ago in any::<u64>(),
        ) {
            let direction = side.map(|long| if long { Direction::Long } else { Direction::Short });
            let opinion = Opinion { stated: stated.map(Unix), ..opinion(rate, direction) };
            let says = [Direction::Short, Direction::Long].map(|it| FILTER.judge(Some(&opinion), ago, NOW, it));
            prop_assert!(says != [Says::Agree; 2]);
            for verdict in [Says::Old, Says::Absent] {
                prop_assert_eq!(says[0] == verdict, says[1] == verdict);
            }
            if ago > FILTER.age_max_ns {
                prop_assert!(!says.contains(&Says::Agree));
            }
        }
    }
}
