//! Funding of one perpetual: what the rules count on.
//!
//! Owns:  `Carry`, the running estimate beside the settled week.
//! Never: counts a settlement that is missing as zero.

use crate::units::Rate;

/// What holding a short of one perpetual earns, as it is known now. Positive: the short receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The running estimate for the coming settlement, per interval.
    pub estimate: Rate,
    /// Hours of that interval: 1, 2, 4 or 8.
    pub interval_hours: u32,
    /// Sum of everything settled in the last 168 h; the mean per hour is this ÷ 168. `None`: a settlement
    /// due in that week is missing, so nothing is known of it.
    pub sum_7d: Option<Rate>,
}
