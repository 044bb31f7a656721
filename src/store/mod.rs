//! What outlives a process: the journal and the epoch file.
//!
//! Owns:  their formats, the reading back to the first bad byte, and what a start may build on.
//! Never: touches a file system itself; bytes come and go through `metal::disk`, so the same code
//!        runs in virtual time.
//! Map:   [`journal`] every fact, append-only · [`epoch`] the counter that keeps order ids unique.

mod body;
pub mod epoch;
pub mod journal;
