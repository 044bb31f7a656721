//! Funding as the rules see it: what a short receives, now and over the last seven days.
//!
//! Owns:  [`Carry`].
//! Never: takes a missing number for 0.

use crate::units::Rate;

/// What one perp's funding says, as a short receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// Running estimate for the coming settlement, per interval.
    pub estimate: Rate,
    /// Hours between settlements, as valid now.
    pub interval_hours: u32,
    /// Sum of everything settled in the last 168 h; `None` if a settlement due in them is missing.
    pub sum_7d: Option<Rate>,
}
