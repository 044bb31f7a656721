//! The machine room: everything that touches the machine, behind plain types.
//!
//! Owns:  the only unsafe code (file by file: each that needs it allows it by its own first lines),
//!        the engine's only sockets, and the seams that virtual time replaces: clock, dial, disk,
//!        entropy. Real and virtual side stand in one file, so they can't drift apart.
//! Never: knows a venue, a protocol above TLS, or what a record means; decides anything.
//!
//! | file | what it is |
//! |---|---|
//! | `ring` | queue between two threads, nothing lost; *full* is an answer |
//! | `latest` | cell between threads, the newest value wins |
//! | `clock` | monotonic time from the cycle counter, calendar time; or a world's own time |
//! | `link`, `link_error` | one connection as a byte stream, whatever carries it; and why it can't do what was asked |
//! | `inbound` | the bytes a link received and nobody consumed yet |
//! | `tls`, `plain`, `memory` | what carries a link: TLS, bare TCP, or a test's two hands |
//! | `tls_trust`, `tls_rustls`, `tls_own`, `tls_record` | whom it trusts, the handshake, what comes after it, its records |
//! | `ahead` | messages sealed ahead of being sent |
//! | `marks` | where dots and quotes stand among thirty-two bytes |
//! | `fours` | four decimal texts read together, by vectors |
//! | `decoy` | reads that nothing comes of, and links to nobody, to keep the way of a quote warm |
//! | `loopback` | TLS links to nobody, to keep the way of an order warm |
//! | `socket` | the options of our TCP sockets |
//! | `packets` | the kernel's own stamps of what came and what left, for measuring |
//! | `tap` | what comes in by these seams, copied for a session file (`recorder`) or supplied from one (`player`) |
//! | `turn` | a recorded turn as bytes |
//! | `poll` | the links of one room and one question to the kernel: who has bytes? |
//! | `dial` | host name in, link out; helper threads do what blocks |
//! | `disk` | append-only files; a helper thread does the sync |
//! | `disk_memory` | the same in memory, with power losses |
//! | `intents` | what the trader is about to send, in memory that outlives a crash of the code |
//! | `mix` | words mixed into one: a whole record from a torn one, a folder from another |
//! | `entropy` | random bytes, from the kernel or from a seed |
//! | `latch` | stop and kill: set from anywhere, seen by every thread |
//! | `peer` | who is at the other end of a Unix socket |
//! | `bugs` | planted mistakes, with the feature `bugbank` only |
//! | `crash` | named crash points, with the feature `crashpoints` only |
//! | `cpu` | which core, locked memory, no core dumps |
//! | `runner` | a thread around a room |
//! | `alloc` | an allocator that counts for the hot thread |
//! | `prefetch` | cache lines asked for before they are needed |
//! | `atomic` | what `ring` and `latest` are made of |

mod ahead;
pub mod alloc;
mod atomic;
pub mod bugs;
pub mod clock;
pub mod cpu;
pub mod crash;
mod decoy;
pub mod dial;
pub mod disk;
mod disk_memory;
pub mod entropy;
pub mod fours;
mod inbound;
pub mod intents;
pub mod latch;
pub mod latest;
pub mod link;
mod link_error;
pub mod loopback;
pub mod marks;
mod memory;
mod mix;
pub mod packets;
pub mod peer;
mod plain;
mod player;
pub mod poll;
mod prefetch;
mod recorder;
pub mod ring;
pub mod runner;
mod socket;
pub mod tap;
pub mod tls;
mod tls_own;
mod tls_record;
mod tls_rustls;
mod tls_trust;
mod turn;
