//! What outlives a process: the journal, the epoch file, the latch file.
//!
//! Owns:  their formats, the reading back to the first bad byte, and what a start may build on.
//! Never: touches a file system itself; bytes come and go through `metal::disk`, so the same code
//!        runs in virtual time.
//! Map:   [`journal`] every fact, append-only · [`epoch`] the counter that keeps order ids unique ·
//!        [`latch`] HALTED and KILLED · [`recall`] what the journal tells of the runs before · [`check`]
//!        what a person asks of all three ·
//!        [`session`] what the rooms of a run took in.

mod body;
pub mod check;
pub mod epoch;
pub mod journal;
pub mod latch;
pub mod recall;
pub mod session;
