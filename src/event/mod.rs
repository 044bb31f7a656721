//! All that passes a door between two rooms, and nothing else: the engine's vocabulary.
//!
//! Owns:  the types that travel through rings and latest-value cells, their sizes, and the layout of
//!        the cells as words.
//! Never: does anything. No socket, no clock, no decision, no venue's name.
//! Map:   reader → trader `Feed` · reader → shadow `Mark` · trader → shadow `Told` ·
//!        shadow → trader `Command`, `Permit`, `Terms` · shadow → scribe `Record` ·
//!        shadow → clerk `Reads` · clerk → rooms `Instruments`, `Offsets`, links · operator → shadow `Ask`, back `Reply`.

mod answer;
mod ask;
mod budget;
pub mod bytes;
mod closed;
mod control;
mod feed;
mod fired;
mod instrument;
mod intent;
mod opinion;
mod record;
mod stake;

pub use answer::*;
pub use ask::*;
pub use budget::*;
pub use closed::*;
pub use control::*;
pub use feed::*;
pub use fired::*;
pub use instrument::*;
pub use intent::*;
pub use opinion::*;
pub use record::*;
pub use stake::*;
