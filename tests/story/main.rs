//! Stories: the production rooms against the box, told in virtual time (EXAMPLES §11).
//!
//! Owns:  claims about the engine as a whole, each the name of a test.
//! Never: waits, opens a port, starts a thread, or looks at anything a person could not look at.
//! Map:   `account` how it must stand · `audit` the account read whole · `budget` request budgets · `capital` caps ·
//!        `carry` the rules · `classes` every class of answer · `confirm` a witness's word ·
//!        `control` the operator's word · `disk` a slow one · `doubt` fates unknown · `feeds` bad and lost
//!        market data · `forced` what the venue takes away · `funding` settled weeks · `hot` the trader's private
//!        stream · `limits` kill latch, permit · `logon` keys of Ed25519 · `market` its own rules · `money` funding paid,
//!        profit split · `outage` maintenance and bans · `overdue` orders that should have been over · `recovery` crashes ·
//!        `rehearsed` sessions under faults · `rules` leg repair, R1 to R20 · `sbe` binary quotes · `seeds` determinism ·
//!        `start` refusals · `streams` private streams · `tape` a real recording · `told` what journal and truth say,
//!        side by side · `trade` the demo's setting · `waiting` contingent legs · `ws_orders` orders over a socket.

#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

mod account;
mod audit;
mod budget;
mod capital;
mod carry;
mod classes;
mod confirm;
mod control;
mod disk;
mod doubt;
mod feeds;
mod forced;
mod funding;
mod hot;
mod limits;
mod logon;
mod market;
mod money;
mod outage;
mod overdue;
mod recovery;
mod rehearsed;
mod rules;
mod sbe;
mod seeds;
mod session;
mod start;
mod streams;
mod stub;
mod tape;
mod told;
mod trade;
mod waiting;
mod ws_orders;
