//! What outlives a process: the journal, the epoch file, the latch file.
//!
//! Owns:  their formats, the reading back to the first bad byte, and what a start may build on.
//! Never: touches a file system itself; bytes come and go through `metal::disk`, so the same code
//!        runs in virtual time. The projection and the rates are SQLite's own files, and no engine opens them.
//! Map:   [`journal`] every fact, append-only · [`segments`] the files it is in · [`epoch`] the counter that keeps
//!        order ids unique · [`latch`] HALTED and KILLED · [`recall`] what the journal tells of the runs before
//!        ([`earlier`]), which a `checkpoint` keeps for the next segment · [`check`] what a person asks of all three ·
//!        [`session`] what the rooms of a run took in · [`history`] the whole journal, for [`money`] (where it
//!        came from, over time) and the [`projection`] (tables for SQL) ·
//!        [`rates`] what perps settled at, kept for research.

mod body;
pub mod check;
mod checkpoint;
pub mod earlier;
pub mod epoch;
pub mod history;
pub mod ids;
pub mod journal;
pub mod latch;
pub mod money;
pub mod projection;
pub mod rates;
pub mod recall;
mod row;
pub mod segments;
pub mod session;
