//! Rehearsals: the production rooms against the box, in one thread and virtual time.
//!
//! Owns:  worlds whose every event follows from a seed, so that a story can be told again.
//! Never: changes a room for the rehearsal's sake, or tells it anything but through its doors.
//! Map:   `world` the loop and what a story may look at and do · `network` chunks on their way, the
//!        box behind them, the hash of all that passed · `setup` what a world is made of.

mod network;
mod setup;
mod world;

pub use setup::{Setup, SetupError};
pub use world::{Room, World};
