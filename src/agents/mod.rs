//! agents

pub mod scribe;
