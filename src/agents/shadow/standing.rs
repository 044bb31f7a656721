//! Whether looks at the account that lie apart say the same: a single one may have been at a replica of a while ago (F84).
//!
//! Owns:  since when each look says what the last one said, and for how long it must before it is believed.
//! Never: takes looks that say different things for one that lasts.

use crate::units::Nanos;
use crate::units::time::SEC;

/// For so long a replica may lag (FAULTS F85: unexplained after 10 s).
pub(super) const PATIENCE_NS: u64 = 10 * SEC;

/// What the looks said until now.
#[derive(Debug)]
pub(super) struct Standing<T>(Option<(Nanos, T)>);

impl<T> Default for Standing<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Standing<T> {
    /// Takes in what a look says; whether looks have said the same for long enough.
    pub(super) fn look(&mut self, says: T, same: impl FnOnce(&T, &T) -> bool, now: Nanos) -> bool {
        if self.0.as_ref().is_none_or(|(_, said)| !same(said, &says)) {
            self.0 = Some((now, says));
        }
        self.0.as_ref().is_some_and(|(since, _)| now.since(*since) >= PATIENCE_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_something_else_began_to_differ_only_now() {
        let mut standing = Standing::default();
        let mut look = |says: i128, at_s: u64| {
            standing.look(says, |said, says| (said - says).abs() <= 1, Nanos(at_s * SEC))
        };
        assert!(!look(7, 1) && !look(7, 10), "not long enough");
        assert!(look(8, 11), "within the rounding");
        assert!(!look(9, 12), "beyond it of what was said first");
        assert!(!look(10, 21) && look(9, 22));
    }
}
