//! The witness's word, pair by pair, and what it means for an entry.
//!
//! Owns:  its last answer, and what the filter makes of it now.
//! Never: asks (the clerk does), keeps a pair's word that the newest answer does not repeat, or keeps anybody
//!        from leaving.

use super::Shadow;
use crate::carry::confirm::{Says, age_ns};
use crate::event::{Decision, Opinion};
use crate::units::decimal::Text;
use crate::units::time::SEC;
use crate::units::{Direction, Nanos, PairId, Rate, Unix};
use std::collections::BTreeMap;

/// The last answer.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    received: Nanos,
    of: BTreeMap<PairId, Opinion>,
}

impl Shadow {
    /// The witness answered: what it does not say any more is not said.
    pub(super) fn on_opinions(&mut self, received: Nanos, rows: Vec<Opinion>) {
        self.confirm = Confirm { received, of: rows.into_iter().map(|row| (row.pair, row)).collect() };
    }

    /// What the witness says to an entry now; `None`: nobody is asked.
    fn says(&self, at: usize, direction: Direction, now: Nanos) -> Option<Says> {
        let filter = self.settings.confirm?;
        let (opinion, time) = (self.confirm.of.get(&self.books[at].pair), self.time_of(at, now));
        let judge = |time| filter.judge(opinion, now.since(self.confirm.received), time, direction);
        Some(time.map_or(Says::Absent, judge))
    }

    /// The venue's time: by it the age of what the witness states is told.
    fn time_of(&self, at: usize, now: Nanos) -> Option<Unix> {
        self.perp_time(self.instruments.pair(self.books[at].pair).perp, now)
    }

    /// Whether the filter lets an entry in.
    pub(super) fn confirms(&self, at: usize, direction: Direction, now: Nanos) -> bool {
        let says = self.says(at, direction, now);
        self.settings.confirm.zip(says).is_none_or(|(filter, says)| filter.lets_in(says))
    }

    /// What the witness said of a pair, and what follows for each direction that may be entered.
    pub(super) fn confirm_decision(&self, at: usize, now: Nanos) -> Option<Decision> {
        let filter = self.settings.confirm?;
        let opinion = self.confirm.of.get(&self.books[at].pair);
        let ago = now.since(self.confirm.received);
        let seconds = |ns: u64| (ns / SEC).to_string();
        let unknown = || "-".to_owned();
        let rate = opinion.and_then(|it| it.rate);
        let side = opinion.and_then(|it| it.direction);
        let age = opinion.zip(self.time_of(at, now)).map(|(it, time)| age_ns(it, ago, time));
        let numbers = vec![
            ("direction", side.map_or_else(unknown, |side| side.to_string())),
            ("rate", rate.map_or_else(unknown, |rate| Text(i128::from(rate.0), Rate::SCALE).to_string())),
            ("age_s", age.map_or_else(unknown, seconds)),
            ("age_max_s", seconds(filter.age_max_ns)),
        ];
        let verdicts: Vec<String> = self
            .entered()
            .filter_map(|direction| {
                let says = self.says(at, direction, now)?;
                let then = if filter.lets_in(says) { "may enter" } else { "holds" };
                Some(format!("{direction}: {}, {then}", says.name()))
            })
            .collect();
        Some(Decision { name: "confirmation".to_owned(), numbers, verdict: verdicts.join("; ") })
    }

    /// Why the filter keeps a pair from entering in any direction.
    pub(super) fn confirm_reason(&self, at: usize, now: Nanos) -> Option<String> {
        if self.entered().any(|direction| self.confirms(at, direction, now)) {
            return None;
        }
        let says: Vec<&str> =
            self.entered().filter_map(|direction| Some(self.says(at, direction, now)?.name())).collect();
        Some(format!(
            "the witness of --confirm-url says {}; --confirm-enter-on says which words let an entry in",
            says.join(", ")
        ))
    }

    /// Which directions may be entered.
    fn entered(&self) -> impl Iterator<Item = Direction> {
        let allowed = self.settings.directions;
        super::weighing::DIRECTIONS.into_iter().filter(move |direction| allowed[*direction as usize])
    }
}
