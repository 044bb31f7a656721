//! Stop and kill: atomics of their own, set from anywhere, read by every thread.
//!
//! Owns:  the latch, and the wiring of SIGINT and SIGTERM to one.
//! Never: is taken back but by [`Latch::clear`], which is the operator's `resume` and nobody else's.
//! Quirk: the kill latch needs no memory, ring or room to be alive: signal, socket and file set it
//!        directly, and the trader reads it before each leg (DESIGN §2).

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::tap::{Flag, Tap};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Exit code of a process that was interrupted twice: 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// A flag that goes up. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<AtomicBool>, Option<(Tap, Flag)>);

impl Latch {
    /// A latch that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it.
    pub fn set(&self) {
        self.0.store(true, Release);
    }

    /// Takes it back: an operator said `resume` and named a reason.
    pub fn clear(&self) {
        self.0.store(false, Release);
    }

    /// Whether it is set.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        let set = self.0.load(Acquire);
        self.1.as_ref().map_or(set, |(tap, flag)| tap.answer(*flag, set))
    }

    /// The same latch, looked at through a room's tap.
    #[must_use]
    pub fn tapped(&self, tap: &Tap, flag: Flag) -> Self {
        Self(Arc::clone(&self.0), tap.is_on().then(|| (tap.clone(), flag)))
    }
}

/// Sets `stop` on SIGINT and SIGTERM. If `stop` is set already, SIGINT ends the process with exit
/// code 130: a second Ctrl-C always works.
///
/// # Errors
///
/// What the system said when it refused the handlers.
pub fn stop_on_signals(stop: &Latch) -> io::Result<()> {
    // First the exit, then the flag: handlers run in this order, so the first Ctrl-C finds the
    // latch unset and only sets it.
    signal_hook::flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&stop.0))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&stop.0))?;
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop.0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_latch_is_set_for_all_its_clones() {
        let latch = Latch::new();
        let seen_elsewhere = latch.clone();
        assert!(!seen_elsewhere.is_set());
        latch.set();
        assert!(seen_elsewhere.is_set());
        latch.clear();
        assert!(!seen_elsewhere.is_set());
    }

    #[test]
    fn a_signal_sets_the_latch() {
        let stop = Latch::new();
        stop_on_signals(&stop).unwrap();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        // `raise` runs the handler in this thread before it returns.
        assert!(stop.is_set());
    }
}
