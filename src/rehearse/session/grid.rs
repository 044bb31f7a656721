//! The crash grid (FAULTS 7.5): one round trip, its process dying at a named point, and what the next one makes of it.
//!
//! Owns:  the scene of a cell, the way to its point, the death there, the recovery, judged after every step.
//! Never: helps a process that comes back: no person restarts it, none resumes it but where an operator's word stands.
//! Map:   `cells` names every cell and rules out those that can't be.
//! Model: a process dies by unwinding out of the turn it is in (`metal::crash`): what was handed to the kernel, what is
//!        in the intent records and on the disk stays, the rest of that turn does not happen.

mod cells;

pub use cells::{Cell, Kind, Met, Place, Restart, all};

use super::healing::{DUST, HEALED_WITHIN_NS, HEALING_NS};
use super::{Broken, LIVE_WITHIN_NS, Session};
use crate::event::Mode;
use crate::metal::crash;
use crate::rehearse::drawing::keyed;
use crate::rehearse::{Done, Plan, Setup};
use crate::sim;
use crate::units::time::{MS, SEC, US};
use crate::units::{Amount, Nanos};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The coins of the scenes, in turns. One has a name multiplier.
const COINS: [&str; 4] = ["XRP", "BTC", "PEPE", "SOL"];
/// How long a point may take to be passed.
const PASSED_WITHIN_NS: u64 = 70 * SEC;
/// USD-M forgets what died unfilled after three days, and so does spot here: it needs 90. The next process comes then.
const HORIZON_MS: u64 = 3 * 86_400_000;
/// Until what a dead process said has arrived, and until the books move again after days of maintenance.
const SETTLED_MS: u64 = 5_000;
/// A round that is to be fresh when the markets are listed again begins so long after the feeds were live: they are
/// listed every 50 s.
const RELISTED_NS: u64 = 46 * SEC;
/// The markets' names and the sides of an entry: spot, perp.
const ENTRY: [(&str, &str); 2] = [("spot", "BUY"), ("usdm", "SELL")];
/// The sides of the way out.
const EXIT: [(&str, &str); 2] = [("spot", "SELL"), ("usdm", "BUY")];

/// How a cell ended.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Virtual time, ns.
    pub simulated_ns: u64,
    /// Things that arrived somewhere.
    pub events: u64,
    /// SHA-256 of all of them.
    pub hash: String,
    /// From the new process's start until all was well again and it had traded, ns; `None`: it broke, or the venue has
    /// forgotten an order, of which a person was told.
    pub healed_ns: Option<u64>,
    /// What broke, and the last events before it.
    pub broken: Option<(Broken, Vec<String>)>,
}

/// A world before its first order, and what is known of that.
#[derive(Debug)]
struct Scene {
    plan: Plan,
    /// Turns until the one in which the first order leaves.
    turns: u64,
    /// The leg sent first: 0 spot, 1 perp.
    first: usize,
}

/// All scenes: every cell is played on one of them.
#[derive(Debug)]
pub struct Scenes(Vec<Scene>);

/// What a scene differs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Plain,
    /// A segment of the journal is full with its first record.
    SmallSegments,
    /// The first order leaves just before the markets are listed again.
    Late,
}

const STAGES: [Stage; 3] = [Stage::Plain, Stage::SmallSegments, Stage::Late];

impl Scenes {
    /// Looks when the first order leaves in each, and which leg goes first.
    ///
    /// # Errors
    ///
    /// A scene in which nothing is traded.
    pub fn look() -> Result<Self, String> {
        let scenes = STAGES.into_iter().flat_map(|stage| COINS.map(|coin| Scene::look(stage, coin)));
        scenes.collect::<Result<_, _>>().map(Self)
    }

    fn of(&self, cell: &Cell) -> &Scene {
        let stage = match cell.place.name {
            "K12a" | "K12b" | "K12c" => Stage::SmallSegments,
            "K20" => Stage::Late,
            _ => Stage::Plain,
        };
        &self.0[stage as usize * COINS.len() + cell.scene % COINS.len()]
    }
}

impl Scene {
    fn look(stage: Stage, coin: &str) -> Result<Self, String> {
        let seed = 700 + COINS.iter().position(|it| *it == coin).unwrap_or(0) as u64;
        let plan = Plan { seed, setup: setup(seed, stage, coin), safety_ns: 0, strikes: Vec::new() };
        let told = |broken: Broken| format!("the scene {stage:?} of {coin}: {broken}");
        let mut session = Session::begin(&plan).map_err(|error| error.to_string())?;
        session.open(stage).map_err(told)?;
        if !session.until(PASSED_WITHIN_NS, |it| it.sent() > 0).map_err(told)? {
            return Err(format!("the scene {stage:?} of {coin}: nothing was sent"));
        }
        let turns = session.world.turns() - 1;
        let arrived = session.until(SEC, |it| it.oracle.first_leg().is_some()).map_err(told)?;
        drop(session);
        let scene = Self { plan, turns, first: 0 };
        // Which leg goes first shows in a process that dies between both.
        let mut session = Session::begin(&scene.plan).map_err(|error| error.to_string())?;
        session.open(stage).map_err(told)?;
        session.until_turn(scene.turns).map_err(told)?;
        crash::rehearse(Some(("K5", 1, None)));
        let died = session.dies(|it| it.step(Nanos::NEVER)).map_err(told)?;
        session.world.act(&json!({"kind": "kill_process", "after_ms": 1000}), &scene.plan.setup).ok();
        session.oracle.step(&mut session.world).map_err(told)?;
        let first = session.oracle.first_leg().filter(|_| died && arrived);
        let first = first.ok_or_else(|| format!("the scene {stage:?} of {coin}: no leg was first"))?;
        drop(session);
        Ok(Self { first, ..scene })
    }
}

/// One pair, a slow and quiet box, a network slow enough for orders to be on it when a process dies.
fn setup(seed: u64, stage: Stage, coin: &str) -> Setup {
    let box_config = sim::Config { ticks_per_s: 4, settle_in_ns: 50 * 60 * SEC, ..sim::Config::default() };
    Setup {
        wanted: Some(vec![coin.to_owned()]),
        clip: Amount(500 * 10i128.pow(u32::from(Amount::SCALE))),
        crashes_max: (1_000, 600 * SEC),
        delay_ns: 200 * US..=2 * MS,
        idle_ns: 10 * MS,
        segment_bytes: if stage == Stage::SmallSegments { 1 } else { 256 << 10 },
        ..keyed(seed, box_config)
    }
}

/// Lives through one cell.
#[must_use]
pub fn run(scenes: &Scenes, cell: &Cell) -> Ran {
    let scene = scenes.of(cell);
    let mut session = match Session::begin(&scene.plan) {
        Ok(session) => session,
        Err(error) => {
            let broken = Broken { invariant: 0, why: error.to_string() };
            return Ran { broken: Some((broken, Vec::new())), ..Ran::default() };
        }
    };
    let mut healed_ns = None;
    let whole = catch_unwind(AssertUnwindSafe(|| session.cell(scene, cell, &mut healed_ns)));
    crash::rehearse(None);
    let ended = whole.unwrap_or_else(|_| Err(session.dead("a room panicked")));
    let last = || session.oracle.last().map(str::to_owned).collect();
    Ran {
        simulated_ns: session.world.now().0,
        events: session.world.events(),
        hash: session.world.event_hash(),
        healed_ns,
        broken: ended.err().map(|broken| (broken, last())),
    }
}

impl Session<'_> {
    fn cell(&mut self, scene: &Scene, cell: &Cell, healed_ns: &mut Option<u64>) -> Result<(), Broken> {
        let stage = STAGES[usize::from(cell.place.name == "K20") * 2];
        self.open(stage)?;
        self.until_turn(scene.turns)?;
        let recovering = cell.place.name.starts_with("K14") || cell.place.name.starts_with("K15");
        if recovering {
            self.meet(ENTRY, scene.first, cell.legs)?;
            crash::rehearse(Some(("K7", 1, None)));
            self.pass(|_| Ok(()))?;
            // The process that finds it dies in turn.
            crash::rehearse(Some(cell.place.armed()));
            if !self.falls(cell, Restart::Once)? {
                self.pass(|_| Ok(()))?;
            }
        } else {
            self.lead(scene, cell)?;
        }
        self.rises(cell)?;
        *healed_ns = self.recovers(cell)?;
        if healed_ns.is_none() {
            return Ok(());
        }
        if !self.stop()? {
            return Err(self.dead("a stop took more than 30 s"));
        }
        self.oracle.at_rest(&self.world)
    }

    /// To the moment before trading begins, or a moment before the markets are listed again.
    fn open(&mut self, stage: Stage) -> Result<(), Broken> {
        if !self.until(LIVE_WITHIN_NS, |it| it.world.ended().live_at.is_some())? {
            return Err(self.dead("the feeds never became live"));
        }
        if stage == Stage::Late {
            self.operator("halt");
            self.until_time(self.world.now().plus(RELISTED_NS))?;
            self.operator("resume");
        }
        Ok(())
    }

    /// From the turn before the first order on to the point, and dies there.
    fn lead(&mut self, scene: &Scene, cell: &Cell) -> Result<(), Broken> {
        let way_out = matches!(cell.place.name, "K18b" | "K18c");
        self.meet(ENTRY, scene.first, if way_out { [Met::Full; 2] } else { cell.legs })?;
        if way_out {
            let hedged = |it: &Self| it.sent() > 1 && it.oracle.restless(&it.world).is_empty();
            if !self.until(PASSED_WITHIN_NS, hedged)? {
                return Err(self.dead("nothing was opened"));
            }
            // The way out sends the perp first.
            self.meet(EXIT, 1, cell.legs)?;
        }
        if cell.place.name == "K20" {
            let coin = self.plan.setup.wanted.as_ref().and_then(|coins| coins.first());
            let symbol = format!("{}USDT", coin.map_or("", String::as_str));
            self.order(&json!({"kind": "rules", "market": "spot", "symbol": symbol, "min_notional": "5.5"}))?;
        }
        let ask: fn(&mut Self) = match cell.place.name {
            "K17a" | "K17b" | "K17c" => |it| it.operator("kill"),
            "K18a" | "K18b" | "K18c" => |it| it.operator("flatten"),
            "K19a" | "K19b" | "K19c" => |it| {
                it.stopping = true;
                it.world.tell_stop();
            },
            _ => |_| (),
        };
        crash::rehearse(Some(cell.place.armed()));
        if !way_out && self.dies(|it| it.step(Nanos::NEVER))? {
            return Ok(());
        }
        self.pass(|it| {
            ask(it);
            Ok(())
        })
    }

    /// Does something, and lets time pass until the process dies of it.
    fn pass(&mut self, first: impl FnOnce(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        let until = self.world.now().plus(PASSED_WITHIN_NS);
        let died = self.dies(|it| {
            first(it)?;
            while it.world.now() < until {
                it.step(until)?;
            }
            Ok(())
        });
        if died? { Ok(()) } else { Err(self.dead("the point was never passed")) }
    }

    /// Whether the process died at its point in this.
    fn dies(&mut self, what: impl FnOnce(&mut Self) -> Result<(), Broken>) -> Result<bool, Broken> {
        match catch_unwind(AssertUnwindSafe(|| what(self))) {
            Ok(done) => done.map(|()| false),
            Err(payload) if payload.is::<crash::Died>() => Ok(true),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// The process is gone, or its host without power; the next one starts after a while. Whether that one died at its
    /// point while it started.
    fn falls(&mut self, cell: &Cell, restart: Restart) -> Result<bool, Broken> {
        self.crashes += 1;
        let tail = (cell.kind == Kind::Power).then_some(cell.tail());
        let after_ms = restart.after_ns() / MS;
        let order = match tail {
            None => json!({"kind": "kill_process", "after_ms": after_ms}),
            Some(tail) => json!({"kind": "lose_power", "tail": tail, "after_ms": after_ms}),
        };
        self.oracle.acted(self.world.now(), &format!("died; {order}"));
        let image = self.oracle.image(&self.world, tail);
        if restart == Restart::Horizon {
            self.pass_days()?;
        }
        let died = self.dies(|it| it.act(&order).map(|_| ()))?;
        // A new process connects, reads the account, and repairs then. What the venue has forgotten may be withheld
        // from it for good; the end of the cell shows that it was not.
        let within_ns = if restart == Restart::Horizon { HEALED_WITHIN_NS } else { LIVE_WITHIN_NS / 2 };
        self.oracle.excuse(self.world.now().plus(within_ns));
        self.oracle.reborn(&mut self.world, &image)?;
        Ok(died)
    }

    /// The process that is to go on starts.
    fn rises(&mut self, cell: &Cell) -> Result<(), Broken> {
        crash::rehearse(None);
        self.stopping = false;
        self.falls(cell, cell.restart)?;
        let kept = self.world.shadow().mode() == Mode::Killed;
        if cell.place.name == "K17c" && cell.kind == Kind::Process && !kept {
            return Err(Broken {
                invariant: 6,
                why: "the kill was on file and the next process is not killed".to_owned(),
            });
        }
        Ok(())
    }

    /// Days in which the venue is in maintenance, so that they are cheap, and after which it has forgotten what died
    /// unfilled.
    fn pass_days(&mut self) -> Result<(), Broken> {
        self.world.stand_dead(SETTLED_MS * MS);
        self.order(&json!({"kind": "horizon", "market": "spot", "ms": HORIZON_MS}))?;
        self.order(&json!({"kind": "maintenance", "for_ms": HORIZON_MS}))?;
        self.world.stand_dead((HORIZON_MS + SETTLED_MS) * MS);
        Ok(())
    }

    /// Whether all that is wrong is an order that the venue has forgotten: "not found" is no evidence any more, and a
    /// person was told (F88, I1: the fact is withheld from every query).
    fn withheld(&self, cell: &Cell) -> bool {
        // A request of which a part left may have been whole, for all its process wrote down.
        let forgotten = |met: &Met| matches!(met, Met::Unsent | Met::Nobody | Met::Refused | Met::Lost);
        cell.restart == Restart::Horizon
            && cell.legs.iter().any(forgotten)
            && self.world.shadow().unknown_now() > 0
            && self.oracle.tells("ALERT: order")
    }

    /// I19: within a minute all is well, and there was a round trip, or may be one. How long it took; `None`: a fact is
    /// withheld.
    fn recovers(&mut self, cell: &Cell) -> Result<Option<u64>, Broken> {
        let (begun, trips) = (self.world.now(), self.oracle.round_trips());
        let limit = begun.plus(HEALED_WITHIN_NS);
        let mut next = begun;
        loop {
            next = next.plus(SEC);
            self.until_time(next)?;
            let latched = matches!(self.world.shadow().mode(), Mode::Halted | Mode::Killed);
            // Only where an operator's word stands.
            if latched && cell.latches() {
                self.operator("resume");
                if cell.restart == Restart::Horizon {
                    self.oracle.excuse(limit);
                }
            }
            let restless = self.oracle.restless(&self.world);
            // Days without a settlement are a hole in the history that entries are weighed by.
            let traded = self.oracle.round_trips() > trips
                || self.oracle.tells(DUST)
                || (cell.restart == Restart::Horizon && self.world.shadow().mode() == Mode::Trading);
            let now = self.world.now();
            if restless.is_empty() && traded && now.since(begun) >= HEALING_NS {
                return Ok(Some(now.since(begun)));
            }
            if now >= limit && self.withheld(cell) {
                return Ok(None);
            }
            if now >= limit {
                let shadow = self.world.shadow();
                let frozen: Vec<_> = shadow.why().filter_map(|it| it.frozen).collect();
                let what = restless.first().map_or("nothing was traded", String::as_str);
                let why = format!(
                    "60 s after the restart: {what} ({:?} {} {frozen:?})",
                    shadow.mode(),
                    shadow.mode_why()
                );
                return Err(Broken { invariant: 19, why });
            }
        }
    }

    /// Lets the next order of each leg meet what it is to meet.
    fn meet(&mut self, sides: [(&str, &str); 2], first: usize, legs: [Met; 2]) -> Result<(), Broken> {
        for (met, leg) in legs.into_iter().zip([first, 1 - first]) {
            let (market, side) = sides[leg];
            let mut order = match met {
                Met::Full | Met::Unsent => continue,
                Met::Nobody => json!({"kind": "none"}),
                Met::Refused if market == "spot" => json!({"kind": "refuse", "code": -2010}),
                Met::Refused => json!({"kind": "refuse", "code": -2019, "msg": "Margin is insufficient."}),
                // Of the leg sent first, and of the other one.
                Met::Partial if leg == first => json!({"kind": "partial", "fraction_ppm": 400_000}),
                Met::Partial => json!({"kind": "partial", "fraction_ppm": 700_000}),
                Met::Taken => json!({"kind": "drop_ack"}),
                Met::Lost => json!({"kind": "lose"}),
            };
            order["market"] = market.into();
            order["client_side"] = side.into();
            self.order(&order)?;
        }
        Ok(())
    }

    fn order(&mut self, order: &Value) -> Result<(), Broken> {
        self.oracle.acted(self.world.now(), &order.to_string());
        match self.act(order)? {
            Done::Missed(why) => Err(self.dead(&why)),
            Done::Lasts(_) => Ok(()),
        }
    }

    fn until_turn(&mut self, turns: u64) -> Result<(), Broken> {
        while self.world.turns() < turns {
            self.step(Nanos::NEVER)?;
        }
        Ok(())
    }

    /// Orders handed to the kernel by the present process.
    fn sent(&self) -> u64 {
        let counts = self.world.trader();
        counts.sealed + counts.prepared + counts.signed
    }
}
