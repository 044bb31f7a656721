//! One world: the production rooms, the box, and time that jumps from event to event.
//!
//! Owns:  virtual time, the order in which rooms turn, and what a story may do.
//! Never: hands a room anything but through its doors; reads the host's clock, disk or network.
//! Order: what arrives comes first, then reader, trader, shadow, clerk, scribe turn once each, then
//!        what they said sets out. A turn in which a room worked takes [`BUSY_NS`]; otherwise time
//!        goes on to the next event, at most by [`Setup::idle_ns`], since rooms have timers.

use super::network::Network;
use super::setup::{Setup, SetupError};
use super::witness::Witness;
use crate::agents::engine::{Engine, INTENT_SLOTS};
use crate::event::{Ask, Asked, Quote, Reply};
use crate::metal::alloc;
use crate::metal::clock::{Clock, VirtualTime};
use crate::metal::crash;
use crate::metal::dial::Dialer;
use crate::metal::disk::{Disk, DiskPeer};
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::link::memory_calls;
use crate::metal::runner::Agent;
use crate::sim::Door;
use crate::units::Nanos;
use crate::units::time::{SEC, US};
use serde_json::Value;

/// Told apart from every other use of the seed.
const TURNS: u64 = 0x7475_726e_7321_0000;
/// How long a turn in which a room worked takes.
const BUSY_NS: u64 = 5 * US;
/// The longest a stop may take: the engine's own 15 s, and the disk.
const STOP_WITHIN_NS: u64 = 30 * SEC;

/// A room of the engine, for stories in which one stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Bytes → quotes.
    Reader,
    /// The pen.
    Trader,
    /// Books and judgement.
    Shadow,
    /// Links and instruments.
    Clerk,
    /// The journal.
    Scribe,
}

/// The engine and the box in one thread. The same setup and the same calls tell the same story.
#[derive(Debug)]
pub struct World {
    pub(super) time: VirtualTime,
    pub(super) now: Nanos,
    pub(super) engine: Engine,
    pub(super) network: Network,
    pub(super) witness: Witness,
    pub(super) disk: DiskPeer,
    pub(super) intents: IntentsMemory,
    pub(super) clock: Clock,
    pub(super) seeds: Entropy,
    pub(super) frozen: Vec<Room>,
    /// From when until when the host stood still, or had no process.
    pub(super) stood: Vec<(Nanos, Nanos)>,
    pub(super) watching: bool,
    /// While watched, of each turn in which orders left: orders, writes and reads of the hot rooms.
    pub(super) firing: Vec<[u64; 3]>,
    pub(super) turns: u64,
    /// Turns on end in which a room worked, though nothing had arrived since the first of them.
    pub(super) busy_turns: u64,
    pub(super) lines: Vec<String>,
    pub(super) quotes: Vec<Quote>,
    /// How the session file of the present process begins.
    pub(super) session_begun: Vec<u8>,
    /// What its rooms took in, as blocks.
    pub(super) turns_taken: Vec<u8>,
    pub(super) replies: Vec<Reply>,
    idle_ns: u64,
    /// How far the calendar was stepped, ns.
    pub(super) stepped_ns: i64,
    /// How much faster than the venue's the calendar runs, in millionths.
    pub(super) drift_ppm: i64,
    /// By room: how far the counter of its core is ahead of the host's, ns, and the last time that it has shown.
    pub(super) skews: [(i64, Nanos); 5],
    /// Draws the order of turns, where that is drawn.
    turn_order: Option<Entropy>,
}

impl World {
    /// A world at its first moment: the box is open, the clerk has not dialled yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what to change.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        Self::on(setup, Disk::memory_with_peer())
    }

    fn on(setup: &Setup, (disk, disk_peer): (Disk, DiskPeer)) -> Result<Self, SetupError> {
        let (clock, time) = Clock::virtual_time();
        time.step_unix((setup.begins_s * SEC) as i64);
        let mut seeds = Entropy::seeded(setup.seed);
        let (dialer, dials) = Dialer::memory();
        let (to_witness, witness) = Dialer::memory();
        let config = crate::sim::Config { seed: setup.seed, ..setup.box_config.clone() };
        let delays = Entropy::seeded(seeds.u64());
        let network = Network::new(config, dials, &clock, delays, setup.delay_ns.clone())?;
        let now = clock.now();
        let intents = IntentsMemory::anonymous(INTENT_SLOTS)?;
        let (engine, session_begun) =
            setup.start(&clock, [dialer, to_witness], disk, &intents, &mut seeds)?;
        Ok(Self {
            clock,
            seeds,
            time,
            now,
            engine,
            network,
            witness: Witness::new(witness),
            disk: disk_peer,
            intents,
            frozen: Vec::new(),
            stood: Vec::new(),
            watching: false,
            firing: Vec::new(),
            idle_ns: setup.idle_ns,
            stepped_ns: 0,
            drift_ppm: 0,
            skews: [(0, Nanos::ZERO); 5],
            turn_order: setup.drawn_turns.then(|| Entropy::seeded(setup.seed ^ TURNS)),
            turns: 0,
            busy_turns: 0,
            lines: Vec::new(),
            quotes: Vec::new(),
            session_begun,
            turns_taken: Vec::new(),
            replies: Vec::new(),
        })
    }

    // ───────────────────────────── crashes ─────────────────────────────

    /// Kills the engine's process between two turns, and starts the next one on what it left: files,
    /// intent records, and the same box, for which nothing has happened but lost connections.
    ///
    /// # Errors
    ///
    /// As [`World::new`].
    pub fn kill_process(&mut self, setup: &Setup) -> Result<(), SetupError> {
        let disk = self.disk.kill_process();
        let intents = self.intents.clone();
        self.restart(setup, disk, intents)
    }

    /// Cuts the host's power, and starts it again: the disk keeps what was synced and the first `tail`
    /// bytes of what was not, and nothing is left of the intent records.
    ///
    /// # Errors
    ///
    /// As [`World::new`].
    pub fn lose_power(&mut self, setup: &Setup, tail: usize) -> Result<(), SetupError> {
        let disk = self.disk.lose_power(tail);
        self.restart(setup, disk, IntentsMemory::anonymous(INTENT_SLOTS)?)
    }

    /// As [`World::kill_process`], with a file of the data folder changed in between.
    ///
    /// # Errors
    ///
    /// As [`World::new`]; the world goes on with the old process then.
    pub fn restart_with(&mut self, setup: &Setup, name: &str, bytes: &[u8]) -> Result<(), SetupError> {
        let (mut disk, peer) = self.disk.kill_process();
        disk.replace(name, bytes)?;
        let intents = self.intents.clone();
        self.restart(setup, (disk, peer), intents)
    }

    fn restart(
        &mut self,
        setup: &Setup,
        (disk, peer): (Disk, DiskPeer),
        intents: IntentsMemory,
    ) -> Result<(), SetupError> {
        let (dialer, dials) = Dialer::memory();
        let (to_witness, witness) = Dialer::memory();
        let dialers = [dialer, to_witness];
        // What the next process finds and leaves is the host's, also if it dies while it starts.
        let left = (std::mem::replace(&mut self.disk, peer), std::mem::replace(&mut self.intents, intents));
        let started = setup.start(&self.clock, dialers, disk, &self.intents, &mut self.seeds);
        let (engine, session_begun) = match started {
            Ok(started) => started,
            Err(error) => {
                (self.disk, self.intents) = left;
                return Err(error);
            }
        };
        self.witness.meet(witness);
        self.session_begun = session_begun;
        self.network.pick_up(self.now);
        self.engine = engine;
        self.network.lose_engine(dials, self.now);
        self.frozen.clear();
        self.lines.clear();
        self.turns_taken.clear();
        self.replies.clear();
        Ok(())
    }

    // ───────────────────────────── time ─────────────────────────────

    /// Lets `ns` pass.
    pub fn run_for(&mut self, ns: u64) {
        let until = self.now.plus(ns);
        while self.now < until {
            self.step(until);
        }
    }

    /// Lets `ns` pass in which no room turns: the host stands still, the venue goes on.
    pub fn stand_still(&mut self, ns: u64) {
        let until = self.now.plus(ns);
        self.stood.push((self.now, until));
        while self.now < until {
            self.now = self.network.next_due().max(self.now.plus(1)).min(until);
            self.time.set(self.now);
            self.network.happen(self.now);
        }
    }

    /// Lets time pass until `seen` holds after a step, at most `limit_ns`; whether it did.
    pub fn run_until(&mut self, mut seen: impl FnMut(&Self) -> bool, limit_ns: u64) -> bool {
        let until = self.now.plus(limit_ns);
        while self.now < until {
            if seen(self) {
                return true;
            }
            self.step(until);
        }
        seen(self)
    }

    /// Lets time pass until all feeds are live, or the start has failed; whether they are.
    pub fn run_until_live(&mut self) -> bool {
        self.run_until(|world| world.ended().live_at.is_some() || world.is_done(), 30 * SEC);
        self.ended().live_at.is_some()
    }

    /// Tells the engine to stop, and lets time pass until it has; whether it did.
    pub fn stop(&mut self) -> bool {
        self.engine.outside.stop.set();
        self.run_until(Self::is_done, STOP_WITHIN_NS)
    }

    /// One turn of the rooms, and time on to what comes next, at most to `until`. Rooms that rested are not
    /// woken by what the box does for itself (quotes of markets nobody listens to): nothing has arrived.
    pub(super) fn step(&mut self, until: Nanos) {
        let worked = self.turn();
        self.network.pick_up(self.now);
        self.witness.answer(self.clock.unix());
        let pause = self.now.plus(if worked { BUSY_NS } else { self.idle_ns }).min(until);
        let before = self.network.events;
        loop {
            let from = self.now;
            self.now = self.network.next_due().min(pause).max(self.now.plus(1)).min(until);
            self.time.set(self.now);
            if self.drift_ppm != 0 {
                let by_ns = self.now.since(from) as i64 * self.drift_ppm / 1_000_000;
                self.stepped_ns += by_ns;
                self.time.step_unix(by_ns);
            }
            self.network.happen(self.now);
            let quiet = self.network.events == before;
            if worked || !quiet || self.now >= pause || !self.network.witnessed.is_empty() {
                self.busy_turns = if worked && quiet { self.busy_turns + 1 } else { 0 };
                return;
            }
        }
    }

    fn turn(&mut self) -> bool {
        self.turns += 1;
        let (now, engine) = (self.now, &mut self.engine);
        let orders_before = engine.trader.counts.sent();
        let mut asked = [0; 2];
        let mut rooms: [(Room, &mut dyn Agent); 5] = [
            (Room::Reader, &mut engine.reader),
            (Room::Trader, &mut engine.trader),
            (Room::Shadow, &mut engine.shadow),
            (Room::Clerk, &mut engine.clerk),
            (Room::Scribe, &mut engine.scribe),
        ];
        // Threads of their own: any of them may come first, or not at all for a while.
        let mut left_out = 0;
        if let Some(entropy) = &mut self.turn_order {
            let mut drawn = entropy.u64();
            for at in (1..rooms.len()).rev() {
                rooms.swap(at, (drawn % (at as u64 + 1)) as usize);
                drawn /= at as u64 + 1;
            }
            left_out = drawn as u8 & (drawn >> 8) as u8 & (drawn >> 16) as u8;
        }
        let mut work = 0;
        for (room, agent) in rooms {
            if left_out & 1 << room as u8 == 0 && !self.frozen.contains(&room) {
                // The hot rooms' allocations are counted where a counting allocator is installed.
                let watched = self.watching && matches!(room, Room::Reader | Room::Trader);
                let before = memory_calls();
                alloc::watch(watched);
                let (skew, shown) = &mut self.skews[room as usize];
                // No clock runs backwards within a thread.
                *shown = Nanos(now.0.saturating_add_signed(*skew)).max(*shown);
                self.time.skew(shown.0.cast_signed() - now.0.cast_signed());
                work += agent.do_work(*shown);
                alloc::watch(false);
                if watched {
                    let after = memory_calls();
                    asked = [0, 1].map(|at| asked[at] + after[at] - before[at]);
                }
            }
        }
        self.time.skew(0);
        let orders = engine.trader.counts.sent() - orders_before;
        if self.watching && orders > 0 {
            self.firing.push([orders, asked[0], asked[1]]);
        }
        self.lines.extend(std::iter::from_fn(|| engine.outside.lines.pop()));
        if let Some(quotes) = &mut engine.outside.quotes {
            self.quotes.extend(std::iter::from_fn(|| quotes.pop()));
        }
        if let Some(taken) = &mut engine.outside.taken {
            taken.drain(&mut self.turns_taken);
        }
        if let Some(ends) = &mut engine.outside.operator {
            self.replies.extend(std::iter::from_fn(|| ends.replies.pop()).map(|replied| replied.reply));
        }
        work > 0
    }

    // ───────────────────────────── what a story does ─────────────────────────────

    /// Counts what reader and trader allocate from now on (`metal::alloc`), or no longer.
    /// [`World::firing`] begins anew.
    pub fn watch(&mut self, on: bool) {
        self.watching = on;
        if on {
            self.firing.clear();
        }
    }

    /// Orders a fault of the box, as `POST /fault` would.
    ///
    /// # Errors
    ///
    /// What is wrong with the order, and what is allowed.
    pub fn fault(&mut self, order: &Value) -> Result<(), String> {
        self.network.exchange.fault(order)
    }

    /// Cuts every connection to a door, with all that flies on it; how many there were.
    pub fn cut_link(&mut self, door: Door) -> usize {
        self.network.cut(door, self.now)
    }

    /// Cuts the youngest connection to a door, with all that flies on it; whether there was one.
    pub fn cut_youngest(&mut self, door: Door) -> bool {
        self.network.cut_youngest(door, self.now)
    }

    /// Lets nothing from this door reach the engine (`true`), or everything that waited (`false`).
    pub fn hold(&mut self, door: Door, held: bool) {
        self.network.hold(door, held, self.now);
    }

    /// Refuses new connections at a door (`true`), or takes them again (`false`).
    pub fn shut(&mut self, door: Door, shut: bool) {
        self.network.shut(door, shut);
    }

    /// Lets another client at the same address send a request, whose answer nobody hears: load that
    /// the engine does not know of.
    pub fn ask_as_stranger(&mut self, door: Door, request: &[u8]) {
        self.network.ask_as_stranger(door, request, self.now);
    }

    /// Lets a room stand still (`true`), or turn again (`false`).
    pub fn freeze(&mut self, room: Room, frozen: bool) {
        self.frozen.retain(|it| *it != room);
        if frozen {
            self.frozen.push(room);
        }
    }

    /// While held, the disk does no sync.
    pub fn hold_syncs(&mut self, held: bool) {
        self.disk.hold_syncs(held);
    }

    /// Sets the kill latch.
    pub fn kill(&mut self) {
        self.engine.outside.kill.set();
    }

    /// Asks as an operator would; `kill` sets its latch first, as the socket does. The reply comes to
    /// [`World::replies`].
    pub fn ask(&mut self, ask: Ask) {
        if matches!(ask, Ask::Kill(_)) {
            self.engine.outside.kill.set();
            crash::point("K17a");
        }
        if let Some(ends) = &mut self.engine.outside.operator {
            // More slots than a story asks at once.
            let _ = ends.asks.push(Asked { from: 0, ask });
        }
    }
}
