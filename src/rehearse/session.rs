//! One session: a world under the faults of its plan, then without them, judged after every step.
//!
//! Owns:  the phase under faults, restarts, and what a session adds up to.
//! Never: goes on past a broken invariant, or lets an engine pass that did not trade.

use super::drawing::{Plan, Strike};
use super::faults::{After, Sign, TABLE, market_of};
use super::moment::Aimed;
use super::oracle::{Allowed, Broken, Oracle};
use super::{Done, SetupError, World};
use crate::agents::trader::Weighed;
use crate::event::Closed;
use crate::sim::Market;
use crate::units::Nanos;
use crate::units::time::{MS, SEC};
use crate::venue::Orders;
use serde_json::{Value, json};
use std::collections::BTreeMap;

mod aiming;
#[cfg(feature = "crashpoints")]
pub mod grid;
mod healing;
mod shrinking;

pub use aiming::Coverage;
pub use shrinking::shrunk;

/// Until the feeds are live, at a start.
const LIVE_WITHIN_NS: u64 = 60 * SEC;
/// What the processes of the last minute asked for is used up for the next one, too: a start waits for it (FAULTS 7.3).
const WINDOW_NS: u64 = 60 * SEC;
/// So many starts within it may use it up.
const CROWD: usize = 4;
/// After a fault that shut every route, before its effects count.
const GRACE_NS: u64 = 3 * SEC;
/// I16: what has arrived is dealt with in fewer turns than this; a room that goes on working does so for ever.
const BUSY_TURNS_MAX: u64 = 20_000;
/// Pause before a process that ended by itself is started again.
const RESTART_NS: u64 = SEC;
/// So often, and no more.
const RESTARTS_MAX: u32 = 200;

/// What a session adds up to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// SHA-256 of all its events.
    pub hash: String,
    /// Things that arrived somewhere.
    pub events: u64,
    /// Turns of the rooms, each checked.
    pub turns: u64,
    /// Virtual time, ns.
    pub simulated_ns: u64,
    /// Orders that reached the venue.
    pub orders: u64,
    /// Round trips the venue saw.
    pub round_trips: u64,
    /// Orders whose fate was unknown for a while.
    pub unknown_outcomes: u64,
    /// Processes killed, hosts without power.
    pub crashes: u64,
    /// Whether the venue stayed shut for so long that the session had to end without healing.
    pub unhealed: bool,
    /// By position in the table: how often each fault was injected, and how often the engine showed it.
    pub faults: Vec<(u64, u64)>,
    /// How often each fault was injected in which states of orders.
    pub coverage: Coverage,
    /// Why a strike could not be carried out, if one could not: the last such.
    pub unmet: Option<String>,
    /// What broke, at which step, and the last events before it.
    pub broken: Option<(Broken, u64, Vec<String>)>,
}

struct Session<'a> {
    plan: &'a Plan,
    world: World,
    oracle: Oracle,
    /// What happens next, and whether it is a strike (its injector) or the end of one.
    queue: BTreeMap<(Nanos, u64), (Option<usize>, Value)>,
    queued: u64,
    /// Strikes that wait for their moment.
    aimed: Vec<Aimed>,
    injected: Vec<u64>,
    coverage: Coverage,
    unmet: Option<String>,
    crashes: u64,
    /// When processes began anew within the last minute.
    begun_anew: Vec<Nanos>,
    /// When the power was lost last.
    dark_at: Option<Nanos>,
    restarts: u32,
    /// The bench itself ends the run.
    stopping: bool,
    unhealed: bool,
    /// Entries are off for good by what was injected.
    no_entries: bool,
    /// Gate counts of processes that are gone.
    gate: [u64; Closed::ALL.len()],
    /// And what came of their quotes.
    weighed: [u64; Weighed::TEXTS.len()],
}

/// Runs a session to its end, or to the first invariant that breaks.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let dead = |why: String| Outcome {
        seed: plan.seed,
        faults: vec![(0, 0); TABLE.len()],
        broken: Some((Broken { invariant: 0, why }, 0, Vec::new())),
        ..Outcome::default()
    };
    let mut session = match Session::begin(plan) {
        Ok(session) => session,
        Err(error) => return dead(error.to_string()),
    };
    let ended = session.live_through();
    session.outcome(ended.err())
}

impl<'a> Session<'a> {
    fn begin(plan: &'a Plan) -> Result<Self, SetupError> {
        let mut world = World::new(&plan.setup)?;
        let setup = &plan.setup;
        let allowed = Allowed {
            instance: super::setup::INSTANCE,
            clip: setup.clip.0,
            lost_after_ns: u64::from(setup.recv_window_ms) * MS + setup.settle_ns,
            by_socket: setup.orders == Orders::Ws,
            secrets: [setup.key.0.clone(), setup.canary().to_owned()],
        };
        let oracle = Oracle::new(&mut world, allowed);
        Ok(Self {
            plan,
            world,
            oracle,
            queue: BTreeMap::new(),
            queued: 0,
            aimed: Vec::new(),
            injected: vec![0; TABLE.len()],
            coverage: Coverage::default(),
            unmet: None,
            crashes: 0,
            begun_anew: Vec::new(),
            dark_at: None,
            restarts: 0,
            stopping: false,
            unhealed: false,
            no_entries: false,
            gate: [0; Closed::ALL.len()],
            weighed: [0; Weighed::TEXTS.len()],
        })
    }

    fn live_through(&mut self) -> Result<(), Broken> {
        let live = |it: &Self| it.world.ended().live_at.is_some();
        if !self.until(LIVE_WITHIN_NS, live)? {
            return Err(self.dead("the feeds never became live"));
        }
        let begun = self.world.now();
        for Strike { at_ns, injector, order } in &self.plan.strikes {
            self.put(begun.plus(*at_ns), Some(*injector), order.clone());
        }
        let end = begun.plus(self.plan.safety_ns);
        while self.world.now() < end {
            let next = self.queue.keys().next().map_or(end, |(at, _)| *at).min(end);
            if self.world.now() < next {
                self.step(next)?;
            }
            while let Some(entry) = self.queue.first_entry().filter(|it| it.key().0 <= self.world.now()) {
                let (injector, order) = entry.remove();
                self.strike(injector, &order)?;
            }
        }
        self.heal()?;
        if self.unhealed {
            return Ok(());
        }
        if !self.world.is_done() {
            self.gather();
        }
        if !self.stop()? {
            return Err(self.dead("a stop took more than 30 s"));
        }
        for line in self.world.lines() {
            self.oracle.secrets("a line for a person", line.as_bytes())?;
        }
        self.oracle.at_rest(&self.world)
    }

    fn stop(&mut self) -> Result<bool, Broken> {
        self.stopping = true;
        self.world.tell_stop();
        self.until(30 * SEC, |it| it.world.is_done())
    }

    // ───────────────────────────── time ─────────────────────────────

    fn step(&mut self, until: Nanos) -> Result<(), Broken> {
        self.world.step(until);
        self.oracle.step(&mut self.world)?;
        if !self.aimed.is_empty() {
            self.release();
        }
        if self.world.busy_turns > BUSY_TURNS_MAX {
            let why = format!("a room has worked for {BUSY_TURNS_MAX} turns on end, and nothing arrived");
            return Err(Broken { invariant: 16, why });
        }
        if self.world.is_done() && !self.stopping {
            self.restart()?;
        }
        Ok(())
    }

    fn until_time(&mut self, until: Nanos) -> Result<(), Broken> {
        while self.world.now() < until {
            self.step(until)?;
        }
        Ok(())
    }

    fn until(&mut self, limit_ns: u64, seen: impl Fn(&Self) -> bool) -> Result<bool, Broken> {
        let until = self.world.now().plus(limit_ns);
        while self.world.now() < until && !seen(self) {
            self.step(until)?;
        }
        Ok(seen(self))
    }

    /// The process ended by itself: whoever watches over it starts another.
    fn restart(&mut self) -> Result<(), Broken> {
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX {
            return Err(self.dead("the process ended by itself again and again"));
        }
        let ended = format!("ended: {:?}", self.world.ended());
        self.oracle.acted(self.world.now(), &ended);
        let order = json!({"kind": "kill_process", "after_ms": RESTART_NS / MS});
        self.crash(&order)
    }

    // ───────────────────────────── faults ─────────────────────────────

    fn put(&mut self, at: Nanos, injector: Option<usize>, order: Value) {
        self.queued += 1;
        self.queue.insert((at, self.queued), (injector, order));
    }

    fn strike(&mut self, injector: Option<usize>, order: &Value) -> Result<(), Broken> {
        let now = self.world.now();
        if self.aims(injector, order)? {
            return Ok(());
        }
        let name = injector.map_or("end", |at| TABLE[at].name);
        self.oracle.acted(now, &format!("{name} {order}"));
        if let Some(ask) = order["ask"].as_str() {
            self.operator(ask);
            self.count(injector.filter(|_| ask != "resume"));
            return Ok(());
        }
        if matches!(order["kind"].as_str(), Some("kill_process" | "lose_power")) {
            self.count(injector);
            return self.crash(order);
        }
        match self.act(order)? {
            Done::Missed(why) => self.unmet = Some(format!("{name}: {why}")),
            Done::Lasts(end) => {
                self.count(injector.filter(|_| counts(injector, order)));
                if let Some(at) = injector {
                    self.follows(TABLE[at].after, order);
                }
                if let Some((after_ns, end)) = end {
                    self.put(self.world.now().plus(after_ns), None, end);
                }
            }
        }
        self.oracle.step(&mut self.world)
    }

    /// What the judge must know of a fault.
    fn follows(&mut self, after: After, order: &Value) {
        let now = self.world.now();
        let lasts_ms = ["ms", "for_ms"].map(|key| order[key].as_u64().unwrap_or(0));
        let until = now.plus(lasts_ms[0].max(lasts_ms[1]) * MS + GRACE_NS);
        let shut = matches!(after, After::Shut | After::ShutBudget);
        if shut || after == After::NoEntries {
            self.oracle.excuse(until);
        }
        if matches!(after, After::Budget | After::ShutBudget) {
            self.oracle.disturb_budget();
            for market in [Market::Spot, Market::Usdm] {
                if market_of(order).is_none_or(|it| it == market) {
                    self.oracle.excuse(self.world.open_at(market).plus(GRACE_NS));
                }
            }
        }
        self.no_entries |= after == After::NoEntries;
        if after == After::Calendar {
            self.oracle.step_calendar();
        }
    }

    fn act(&mut self, order: &Value) -> Result<Done, Broken> {
        let done = self.world.act(order, &self.plan.setup);
        done.map_err(|error| self.dead(&format!("no new process: {error}")))
    }

    fn operator(&mut self, ask: &str) {
        self.oracle.told(ask, self.world.now());
        let _ = self.world.act(&json!({"kind": "operator", "ask": ask}), &self.plan.setup);
    }

    /// Whether so many processes began within the last minute, or others used so much of it, that the next one must
    /// wait for its budget.
    fn is_crowded(&mut self) -> bool {
        let now = self.world.now();
        self.begun_anew.retain(|at| now.since(*at) < WINDOW_NS);
        self.begun_anew.len() >= CROWD || self.world.is_spent()
    }

    fn crash(&mut self, order: &Value) -> Result<(), Broken> {
        self.gather();
        self.crashes += 1;
        let tail = order["tail"].as_u64().map(|tail| usize::try_from(tail).unwrap_or(usize::MAX));
        let image = self.oracle.image(&self.world, tail);
        self.act(order)?;
        self.dark_at = tail.map(|_| self.world.now()).or(self.dark_at);
        // A new process connects, reads the account, and repairs then.
        self.begun_anew.push(self.world.now());
        let wait_ns = if self.is_crowded() { WINDOW_NS } else { 0 };
        self.oracle.excuse(self.world.now().plus(LIVE_WITHIN_NS / 2 + wait_ns));
        self.oracle.reborn(&mut self.world, &image)
    }

    fn count(&mut self, injector: Option<usize>) {
        if let Some(at) = injector {
            self.injected[at] += 1;
            self.coverage.note(at, &self.oracle);
        }
    }

    // ───────────────────────────── what it adds up to ─────────────────────────────

    /// Takes over what a process counted.
    fn gather(&mut self) {
        for (sum, count) in self.gate.iter_mut().zip(self.world.trader().closed) {
            *sum += count;
        }
        for (sum, count) in self.weighed.iter_mut().zip(self.world.weighed()) {
            *sum += count;
        }
    }

    fn observed(&self, at: usize) -> u64 {
        let oracle = &self.oracle;
        let seen = match TABLE[at].sign {
            Sign::Judged(kind) => oracle.judged(kind),
            Sign::Heard(kind) => self.world.struck().find(|(it, _)| *it == kind).map_or(0, |(_, n)| n),
            Sign::Answer(begins) => {
                let of_it = oracle.answers().iter().filter(|(text, _)| text.starts_with(begins));
                of_it.map(|(_, times)| times).sum()
            }
            Sign::Note(words) => oracle.noted(words),
            Sign::Mode(name) => oracle.modes(name),
            Sign::Reason(words) => oracle.reasons(words),
            Sign::Gate(reasons) => reasons.iter().map(|reason| self.gate[*reason as usize]).sum(),
            Sign::Weighed(why) => self.weighed[why as usize],
            Sign::Paid => oracle.payments(),
            Sign::Restart => self.crashes,
        };
        seen.min(self.injected[at])
    }

    fn outcome(&self, broken: Option<Broken>) -> Outcome {
        let (world, oracle) = (&self.world, &self.oracle);
        let last = || oracle.last().map(str::to_owned).collect();
        Outcome {
            seed: self.plan.seed,
            hash: world.event_hash(),
            events: world.events(),
            turns: world.turns(),
            simulated_ns: world.now().0,
            orders: oracle.orders(),
            round_trips: oracle.round_trips(),
            unknown_outcomes: oracle.unknown_outcomes(),
            crashes: self.crashes,
            unhealed: self.unhealed,
            faults: (0..TABLE.len()).map(|at| (self.injected[at], self.observed(at))).collect(),
            coverage: self.coverage.clone(),
            unmet: self.unmet.clone(),
            broken: broken.map(|broken| (broken, oracle.steps, last())),
        }
    }

    fn dead(&self, why: &str) -> Broken {
        let lines = self.world.lines();
        let tail = lines[lines.len().saturating_sub(5)..].join(" · ");
        Broken { invariant: 0, why: format!("{why}; {:?}; {tail}", self.world.ended()) }
    }
}

/// Whether an order is the fault itself, not a part that only makes it felt.
fn counts(injector: Option<usize>, order: &Value) -> bool {
    let name = injector.map_or("", |at| TABLE[at].name);
    let kind = order["kind"].as_str().unwrap_or("");
    // A release ends a hold that was counted.
    if order["on"] == false {
        return false;
    }
    match name {
        "F11" => kind != "cut_youngest",
        "F92" => kind != "cut",
        "F32" => order["door"] == "spot_rest",
        _ => true,
    }
}
