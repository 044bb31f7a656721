//! Stories: the production rooms against the box, told in virtual time (EXAMPLES §11).
//!
//! Owns:  claims about the engine as a whole, each the name of a test.
//! Never: waits, opens a port, starts a thread, or looks at anything a person could not look at.
//! Map:   `control` the operator's word · `trade` the demo's setting · `seeds` determinism · `rules` leg repair, R1 to R20 · `classes` every class of answer · `doubt` fates
//!        unknown · `start` refusals · `feeds` bad and lost market data · `limits` kill latch,
//!        permit, budget · `streams` private streams · `tape` a real recording · `told` what journal and truth say, side by side.

#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

mod classes;
mod control;
mod doubt;
mod feeds;
mod limits;
mod rules;
mod seeds;
mod start;
mod streams;
mod tape;
mod told;
mod trade;
mod waiting;
