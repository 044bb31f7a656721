//! Clerk → shadow: what a witness outside of the venues says of a pair's funding.
//!
//! Owns:  [`Opinion`], one pair's row of its answer.
//! Never: says what follows from it; `carry::confirm` does.

use crate::units::{Direction, PairId, Rate, Unix};

/// What the witness says of one pair. What it was asked for and does not say makes no opinion at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Whose.
    pub pair: PairId,
    /// The funding rate it saw, in its own unit; `None`: it is not asked for one.
    pub rate: Option<Rate>,
    /// The direction it would take; `None`: it is not asked for one.
    pub direction: Option<Direction>,
    /// When it says that it saw so; `None`: it is not asked for the time.
    pub stated: Option<Unix>,
}
