//! Numbers that every room may raise and every observer may read.
//!
//! Owns:  the list of what is counted, each with a name for machines and a sentence for people.
//! Never: decides anything; a number that steers an order belongs to the room that owns it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// To count one more thing, add one line to the table below.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $variant:ident => $name:literal;)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $help])+ $variant),+ }

        impl Counter {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in metrics and summaries.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it counts and what a person should think of it.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+)),+ }
            }
        }
    };
}

counters! {
    /// Answers that waited because the ring to the shadow was full; its link was not read meanwhile.
    AnswerRingFull => "answer_ring_full";
    /// Market messages that the literal scanner refused and the general parser read: an alarm above zero in steady state.
    DecodeFallback => "decode_fallbacks";
    /// Market messages that no decoder could read; they were dropped.
    DecodeRefused => "decode_refused";
    /// Rests of orders that the kernel did not take at once (short writes).
    ShortWrite => "short_writes";
    /// Links that ended without our asking.
    LinkLost => "links_lost";
    /// Log lines dropped because the log ring was full.
    LogDropped => "logs_dropped";
    /// Times a room's loop stood still for more than 50 ms.
    LoopGap => "loop_gaps";
    /// Quotes overtaken by a newer one of the same instrument before the trader took them.
    QuotesConflated => "quotes_conflated";
    /// Quotes dropped because the ring to the trader was full.
    QuoteRingFull => "quote_ring_full";
}

/// The numbers; clones share them.
#[derive(Clone, Debug)]
pub struct Counters(Arc<[AtomicU64]>);

impl Counters {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }

    /// Raises one by `n`, wrapping after 2^64.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        self.0[counter as usize].fetch_add(n, Relaxed);
    }

    /// Where it stands.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Relaxed)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_and_every_counter_says_what_it_is() {
        let counters = Counters::new();
        counters.clone().add(Counter::LinkLost, 2);
        counters.add(Counter::LinkLost, 1);
        assert_eq!(counters.get(Counter::LinkLost), 3);
        assert_eq!(counters.get(Counter::DecodeRefused), 0);
        for (i, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, i);
            assert!(counter.help().trim().ends_with('.') && !counter.name().contains(' '), "{counter:?}");
        }
    }
}
