//! Everything that may happen to a world, as orders in one language: those of the box (`POST /fault`), and
//! those of network, host, disk and operator.
//!
//! Owns:  reading such an order and carrying it out; what undoes it, and when.
//! Never: draws anything: `faults` does.
//! Wire:  {"kind": "cut" | "truncate" | "hold" | "mute_door" | "shut", "door", "ms"} · {"kind": "cut_youngest", "door"} ·
//!        {"kind": "slow", "us", "ms"} · {"kind": "lean", "back", "us", "ms"} · {"kind": "chunk_max", "bytes", "ms"} ·
//!        {"kind": "drift", "ppm", "ms"} · {"kind": "slice", "bytes", "ms"} · {"kind": "no_room", "bytes", "ms"} ·
//!        {"kind": "pause", "ms"} · {"kind": "stall", "room", "ms"} · {"kind": "slow_disk", "ms"} ·
//!        {"kind": "clock", "by_ms", "ms"} · {"kind": "skew", "room", "us", "ms"} · {"kind": "stranger", "times"} · {"kind": "kill_process", "after_ms"} ·
//!        {"kind": "lose_power", "tail", "after_ms"} · {"kind": "operator", "ask"} · anything the box takes.

use super::network::DOORS;
use super::network::Witnessed;
use super::setup::INSTANCE;
use super::{Room, Setup, SetupError, World};
use crate::event::{Ask, Intent};
use crate::sim::{Door, Market, Row, Standing};
use crate::store::segments::file_name;
use crate::units::Nanos;
use crate::units::time::MS;
use serde_json::{Value, json};

/// The sockets of a market that a start opens at the most: orders, private streams, quotes, marks.
const STARTS_WITH: u32 = 12;
/// What a request of a stranger at our address looks like: it weighs 5 on spot.
const STRANGER: &[u8] = b"GET /api/v3/depth?symbol=BTCUSDT&limit=10 HTTP/1.1\r\nHost: box\r\n\r\n";

/// What came of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// It is done, or lasts until the order beside it is carried out, so many ns later.
    Lasts(Option<(u64, Value)>),
    /// It could not strike now: nothing held, nobody subscribed, no such connection.
    Missed(String),
}

impl World {
    /// Carries out an order; `setup` is what a new process starts with.
    ///
    /// # Errors
    ///
    /// A process that could not be started again, [`SetupError`].
    pub fn act(&mut self, order: &Value, setup: &Setup) -> Result<Done, SetupError> {
        let number = |key: &str| order[key].as_u64().unwrap_or(0);
        let for_ns = number("ms") * MS;
        let door = door_named(order["door"].as_str().unwrap_or(""));
        let now = self.now();
        // The order that ends this one.
        let until = |end: Value| Ok(Done::Lasts(Some((for_ns, end))));
        match (order["kind"].as_str().unwrap_or(""), door) {
            ("cut", Some(door)) => return Ok(found(self.cut_link(door) > 0)),
            ("truncate", Some(door)) => self.network.truncate(door, now),
            ("cut_youngest", Some(door)) => return Ok(found(self.cut_youngest(door))),
            ("hold" | "mute_door" | "shut", Some(door)) => {
                let on = order["on"].as_bool().unwrap_or(true);
                match order["kind"].as_str() {
                    Some("hold") => self.hold(door, on),
                    Some("mute_door") => self.network.mute(door, on, now),
                    _ => self.shut(door, on),
                }
                if on {
                    return until(json!({"kind": order["kind"], "door": order["door"], "on": false}));
                }
            }
            ("slow", _) => {
                self.network.weather.slow_ns = number("us") * 1_000;
                if number("us") > 0 {
                    return until(json!({"kind": "slow", "us": 0}));
                }
            }
            ("lean", _) => {
                let back = usize::from(order["back"].as_bool().unwrap_or(false));
                self.network.weather.lean_ns = [0; 2];
                self.network.weather.lean_ns[back] = number("us") * 1_000;
                if number("us") > 0 {
                    return until(json!({"kind": "lean", "us": 0}));
                }
            }
            ("chunk_max", _) => {
                let bytes = order["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
                self.network.limit_chunks(bytes, now);
                if bytes.is_some() {
                    return until(json!({"kind": "chunk_max"}));
                }
            }
            ("drift", _) => {
                self.drift_ppm = order["ppm"].as_i64().unwrap_or(0);
                if self.drift_ppm != 0 {
                    return until(json!({"kind": "drift", "ppm": 0}));
                }
            }
            ("slice", _) => {
                self.network.weather.slice = usize::try_from(number("bytes")).ok().filter(|most| *most > 0);
                if number("bytes") > 0 {
                    return until(json!({"kind": "slice", "bytes": 0}));
                }
            }
            ("no_room", _) => {
                let bytes = order["bytes"].as_u64();
                self.network.limit_room(bytes.and_then(|bytes| usize::try_from(bytes).ok()), now);
                if bytes.is_some() {
                    return until(json!({"kind": "no_room"}));
                }
            }
            ("pause", _) => self.stand_still(for_ns),
            ("stall", _) => {
                let Some(room) = room_named(order["room"].as_str().unwrap_or("")) else {
                    return Ok(Done::Missed(format!("no room: {order}")));
                };
                let on = order["on"].as_bool().unwrap_or(true);
                self.freeze(room, on);
                if on {
                    return until(json!({"kind": "stall", "room": order["room"], "on": false}));
                }
            }
            ("skew", _) => {
                let Some(room) = room_named(order["room"].as_str().unwrap_or("")) else {
                    return Ok(Done::Missed(format!("no room: {order}")));
                };
                let us = order["us"].as_i64().unwrap_or(0);
                self.skews[room as usize].0 = us * 1_000;
                if us != 0 {
                    return until(json!({"kind": "skew", "room": order["room"], "us": 0}));
                }
            }
            ("slow_disk", _) => {
                let on = order["on"].as_bool().unwrap_or(true);
                self.hold_syncs(on);
                if on {
                    return until(json!({"kind": "slow_disk", "on": false}));
                }
            }
            ("clock", _) => {
                let by_ms = order["by_ms"].as_i64().unwrap_or(0);
                self.stepped_ns += by_ms * MS as i64;
                self.time.step_unix(by_ms * MS as i64);
                if for_ns > 0 {
                    return until(json!({"kind": "clock", "by_ms": -by_ms}));
                }
            }
            ("stranger", _) => {
                for _ in 0..number("times") {
                    // Whoever shares our address is not out to have it banned for days.
                    if self.open_at(Market::Spot) > now {
                        break;
                    }
                    self.ask_as_stranger(Door::SpotRest, STRANGER);
                }
            }
            ("kill_process", _) => {
                self.stand_dead(number("after_ms") * MS);
                self.kill_process(setup)?;
            }
            ("lose_power", _) => {
                let tail = usize::try_from(number("tail")).unwrap_or(usize::MAX);
                self.stand_dead(number("after_ms") * MS);
                self.lose_power(setup, tail)?;
            }
            ("operator", _) => {
                let why = "rehearsed".to_owned();
                let ask = match order["ask"].as_str() {
                    Some("kill") => Ask::Kill(why),
                    Some("halt") => Ask::Halt(why),
                    Some("flatten") => Ask::Flatten(why),
                    _ => Ask::Resume(why),
                };
                self.ask(ask);
            }
            _ => {
                if let Err(why) = self.fault(order) {
                    return Ok(Done::Missed(why));
                }
            }
        }
        Ok(Done::Lasts(None))
    }

    /// The process is gone for a while: what it said arrives, its connections close, the venue goes on.
    pub(super) fn stand_dead(&mut self, ns: u64) {
        if ns > 0 {
            let (_, dials) = crate::metal::dial::Dialer::memory();
            self.network.lose_engine(dials, self.now());
            self.stand_still(ns);
        }
    }

    /// Tells the engine to stop.
    pub(super) fn tell_stop(&mut self) {
        self.engine.outside.stop.set();
    }

    /// Ends every fault of network, host, disk and box; somebody puts the clock right.
    pub fn calm(&mut self) {
        let now = self.now();
        self.network.clear_up(now);
        self.network.exchange.calm();
        self.frozen.clear();
        self.hold_syncs(false);
        self.drift_ppm = 0;
        self.skews.iter_mut().for_each(|(ahead, _)| *ahead = 0);
        self.time.step_unix(-std::mem::take(&mut self.stepped_ns));
    }

    // ───────────────────────────── what a checker sees ─────────────────────────────

    /// Lets the venue note everything it sees from now on.
    pub fn watch_venue(&mut self) {
        self.network.exchange.watch();
    }

    /// What is listed.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.network.exchange.rows()
    }

    /// What the account really holds.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.network.exchange.standing()
    }

    /// What the venue saw since the last call.
    pub fn take_witnessed(&mut self) -> Vec<Witnessed> {
        std::mem::take(&mut self.network.witnessed)
    }

    /// The file of a segment of the journal; segments count from 1.
    #[must_use]
    pub fn segment_name(number: u32) -> String {
        file_name(INSTANCE, number)
    }

    /// Changes whenever a file of the engine's does.
    #[must_use]
    pub fn disk_changes(&self) -> u64 {
        self.disk.changes()
    }

    /// How long a segment of the journal is, and how much of it would outlive a loss of power, `None` if
    /// not even its name would; one that is not there is empty.
    #[must_use]
    pub fn segment_lengths(&self, name: &str) -> (usize, Option<usize>) {
        self.disk.lengths(name)
    }

    /// A segment's bytes from `from` on.
    #[must_use]
    pub fn segment_from(&self, name: &str, from: usize) -> Vec<u8> {
        self.disk.tail(name, from)
    }

    /// Client order ids of every intent record that would outlive the process now.
    #[must_use]
    pub fn written_down(&self) -> Vec<u64> {
        let left = self.intents.left().into_iter();
        let intents = left.filter_map(|(_, _, record)| Intent::from_bytes(record.first_chunk()?));
        intents.flat_map(|intent| intent.legs).flatten().map(|leg| leg.client.0).collect()
    }

    /// The middle of a book, 10⁻⁸.
    #[must_use]
    pub fn mid(&self, row: usize) -> i64 {
        self.network.exchange.mid(row)
    }

    /// How often each kind of the box's faults struck.
    pub fn struck(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.network.exchange.struck()
    }

    /// When bytes from a door reached the engine last.
    #[must_use]
    pub fn heard(&self, door: Door) -> Nanos {
        self.network.heard[door as usize]
    }

    /// When a market takes requests again: now, unless it is in maintenance or has banned us.
    #[must_use]
    pub fn open_at(&self, market: Market) -> Nanos {
        let shut_ns = self.network.exchange.shut_until(market).saturating_sub(self.network.unix(self.now()));
        self.now().plus(shut_ns)
    }

    /// When a market lets in the sockets of two starts: now, unless too many were opened within five minutes.
    #[must_use]
    pub fn sockets_at(&self, market: Market) -> Nanos {
        let shut = self.network.exchange.sockets_shut_until(market, 2 * STARTS_WITH);
        self.now().plus(shut.saturating_sub(self.network.unix(self.now())))
    }

    /// When both markets take requests again.
    #[must_use]
    pub fn open_again_at(&self) -> Nanos {
        self.open_at(Market::Spot).max(self.open_at(Market::Usdm))
    }

    /// How much of a market's request weight is used in the present minute, and its limit.
    #[must_use]
    pub fn weight_used(&self, market: Market) -> (u32, u32) {
        self.network.exchange.weight_used(market)
    }

    /// Whether others, or processes that are gone, used more than half of a market's present minute: normal work
    /// ends at 60 % (DESIGN §5), so a start waits for the next one.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        let used = [Market::Spot, Market::Usdm].map(|market| self.weight_used(market));
        used.iter().any(|(used, limit)| *used > limit / 2)
    }

    /// How long until a perp settles its funding next, ns.
    #[must_use]
    pub fn settles_in(&self) -> u64 {
        self.network.exchange.settles_in()
    }

    /// Calendar minus monotonic time of the host at its start, ns: stamps of the box are on it.
    #[must_use]
    pub fn calendar(&self) -> u64 {
        self.network.unix(Nanos(0))
    }
}

/// A door by its endpoint's name.
fn door_named(name: &str) -> Option<Door> {
    DOORS.iter().find(|(it, _)| *it == name).map(|(_, door)| *door)
}

fn room_named(name: &str) -> Option<Room> {
    let rooms = [Room::Reader, Room::Trader, Room::Shadow, Room::Clerk, Room::Scribe];
    let names = ["reader", "trader", "shadow", "clerk", "scribe"];
    names.iter().position(|it| *it == name).map(|at| rooms[at])
}

fn found(any: bool) -> Done {
    if any { Done::Lasts(None) } else { Done::Missed("there is no such connection".to_owned()) }
}
