//! A thread around a room: pin, loop, idle, stop.
//!
//! Owns:  the loop that calls `do_work`, how it idles, and noticing that it stood still.
//! Never: knows what a room does.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::Clock;
use super::cpu;
use super::latch::Latch;
use crate::units::time::{MS, Nanos};

/// A loop that was away this long missed things: quotes got old, answers waited. An ordinary
/// scheduler slice is a few ms; a suspended guest or a stopped process is far above.
pub const GAP_NS: u64 = 50 * MS;

/// The longest sleep of [`Idle::Park`]: rooms that park share their core with the kernel's network stack, and each of
/// their wakes holds that up. What they wait for comes from a venue, a round trip after an order.
const PARK_MAX: Duration = Duration::from_micros(1_000);
/// Its first sleep; doubles while nothing happens.
const PARK_FIRST: Duration = Duration::from_micros(10);

/// One room of the engine: one thread, one duty cycle, nothing shared but ring ends.
pub trait Agent {
    /// Does what is ready and returns how much that was; `0` lets the idle strategy act.
    ///
    /// Never blocks, and never reads a clock but the stamp seam (after recv, after send):
    /// `now` was read once for the whole cycle.
    fn do_work(&mut self, now: Nanos) -> usize;

    /// Told before the next `do_work` that the thread stood still for `gap_ns` (more than
    /// [`GAP_NS`]); most rooms only count it.
    fn stood_still(&mut self, gap_ns: u64) {
        let _ = gap_ns;
    }
}

/// What a thread does between two turns when there was nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Looks again at once: needs a core of its own.
    Spin,
    /// Lets another thread of this core run, if one wants to.
    Yield,
    /// Sleeps, at most a millisecond.
    Park,
}

/// Starts a thread that runs `agent` until `done` is set, and hands it back when joined.
///
/// # Errors
///
/// The thread could not be made, or not be pinned to `core` (the message lists the cores that
/// would do); the agent is dropped.
pub fn spawn<A: Agent + Send + 'static>(
    name: &str,
    core: Option<usize>,
    idle: Idle,
    clock: Clock,
    done: Latch,
    mut agent: A,
) -> io::Result<JoinHandle<A>> {
    let (pinned, started) = sync_channel(1);
    let handle = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let outcome = core.map_or(Ok(()), cpu::pin);
        let go = outcome.is_ok();
        // The receiver waits just below, in `spawn`.
        let _ = pinned.send(outcome);
        if go {
            run(&mut agent, idle, &clock, &done);
        }
        agent
    })?;
    match started.recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        Err(_) => Err(io::Error::other("the thread ended before it began")),
    }
}

fn run<A: Agent>(agent: &mut A, idle: Idle, clock: &Clock, done: &Latch) {
    let mut last = clock.now();
    let mut nap = PARK_FIRST;
    while !done.is_set() {
        let now = clock.now();
        if now.since(last) > GAP_NS {
            agent.stood_still(now.since(last));
        }
        last = now;
        if agent.do_work(now) > 0 {
            nap = PARK_FIRST;
            continue;
        }
        match idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => thread::yield_now(),
            Idle::Park => {
                thread::sleep(nap);
                nap = (nap * 2).min(PARK_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works `left` turns, then sets `done`.
    struct Countdown {
        left: u32,
        turns: u32,
        gaps: u32,
        time: super::super::clock::VirtualTime,
        done: Latch,
    }

    impl Agent for Countdown {
        fn do_work(&mut self, now: Nanos) -> usize {
            self.turns += 1;
            self.left -= 1;
            // The third turn takes 60 ms.
            self.time.set(now.plus(if self.turns == 3 { 60 * MS } else { 1 }));
            if self.left == 0 {
                self.done.set();
            }
            usize::from(self.left.is_multiple_of(2))
        }

        fn stood_still(&mut self, gap_ns: u64) {
            assert_eq!(gap_ns, 60 * MS);
            self.gaps += 1;
        }
    }

    #[test]
    fn an_agent_runs_until_done_and_hears_of_a_gap() {
        for idle in [Idle::Spin, Idle::Yield, Idle::Park] {
            let (clock, time) = Clock::virtual_time();
            let done = Latch::new();
            let agent = Countdown { left: 10, turns: 0, gaps: 0, time, done: done.clone() };
            let agent = spawn("test", None, idle, clock, done, agent).unwrap().join().unwrap();
            assert_eq!((agent.turns, agent.gaps), (10, 1), "{idle:?}");
        }
    }

    #[test]
    fn a_room_that_can_not_be_pinned_does_not_start() {
        let (clock, time) = Clock::virtual_time();
        let agent = Countdown { left: 1, turns: 0, gaps: 0, time, done: Latch::new() };
        let error = spawn("test", Some(100_000), Idle::Spin, clock, Latch::new(), agent).unwrap_err();
        assert!(error.to_string().contains("core 100000"), "{error}");
    }
}
