//! contango: spot-perpetual carry at low latency. This file is the map.

pub mod agents;
pub mod carry;
pub mod cli;
pub mod desk;
pub mod event;
pub mod metal;
pub mod rehearse;
pub mod sim;
pub mod simnet;
pub mod store;
pub mod units;
pub mod venue;
pub mod wire;
