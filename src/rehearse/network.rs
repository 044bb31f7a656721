//! The network between the rooms and the box: chunks on their way, in order on each connection.
//!
//! Owns:  every connection of a world, what flies on it, its delays, cuts and holds, the box behind
//!        it, and the hash of everything that arrived anywhere.
//! Never: reorders or changes a byte; looks into a chunk; reads a clock.
//! Model: TCP connects after two one-way delays; every chunk takes one delay of its own, drawn from
//!        the seed, and never overtakes the one before it. What flies on a cut connection is lost.
//! Map:   bad weather is in `weather`.

use super::weather::Weather;
use crate::metal::clock::Clock;
use crate::metal::dial::{DialError, DialPeer, DialRequest};
use crate::metal::entropy::Entropy;
use crate::metal::link::MemoryPeer;
use crate::sim::{self, ConnId, Door, Exchange, Seen};
use crate::units::Nanos;
use crate::units::time::MS;
use ring::digest;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::ops::RangeInclusive;

/// The doors by their endpoint names, which are also the names of their hosts in a world.
pub(super) const DOORS: [(&str, Door); 7] = [
    ("spot_rest", Door::SpotRest),
    ("spot_ws", Door::SpotWs),
    ("spot_ws_api", Door::SpotWsApi),
    ("usdm_rest", Door::UsdmRest),
    ("usdm_ws", Door::UsdmWs),
    ("usdm_ws_api", Door::UsdmWsApi),
    ("spot_sbe", Door::SpotSbe),
];

/// Something the venue saw, when, and when the bytes that made it left the host (if any did).
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// When it happened.
    pub at: Nanos,
    /// When the last bytes that reached the venue before it left the host.
    pub wire: Nanos,
    /// When bytes of market data had last come in then: spot, USD-M.
    pub fed: [Nanos; 2],
    /// The host had little room to send: they may have been sent a while before they left.
    pub cramped: bool,
    /// What.
    pub seen: Seen,
}

/// When something left the host, and when both market feeds were heard last before that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    at: Nanos,
    fed: [Nanos; 2],
    cramped: bool,
}

impl Left {
    /// What the box does of itself.
    const fn of_itself(at: Nanos) -> Self {
        Self { at, fed: [at; 2], cramped: false }
    }
}

/// One connection, both ends.
pub(super) struct Line {
    pub(super) door: Door,
    pub(super) peer: MemoryPeer,
    /// When the newest chunk of each direction arrives: to the box, to the engine.
    last: [Nanos; 2],
    /// The engine closed its end; that is on its way to the box.
    leaving: bool,
    /// What arrived while the door was held; `None` stands for the end.
    pub(super) held: Vec<Option<Vec<u8>>>,
    /// What was said while nothing got out of the host.
    pub(super) stuck: Vec<(Left, Vec<u8>)>,
}

/// Something on its way.
enum Flight {
    /// A connection request reaches its door.
    Dial(DialRequest),
    /// Bytes reach the box; when they left, and when the feeds had last been heard then.
    Up(ConnId, Vec<u8>, Left),
    /// The engine's goodbye reaches the box.
    UpEnd(ConnId),
    /// Bytes reach the engine.
    Down(ConnId, Vec<u8>),
    /// The box's goodbye reaches the engine.
    DownEnd(ConnId),
}

/// A flight by its arrival, then by the order of sending: the earlier, the greater.
struct InFlight {
    due: Reverse<(Nanos, u64)>,
    flight: Flight,
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for InFlight {}

/// The network, with the box at its far end.
pub(super) struct Network {
    pub(super) exchange: Exchange,
    dials: DialPeer,
    pub(super) lines: BTreeMap<ConnId, Line>,
    /// The next to arrive on top.
    flights: BinaryHeap<InFlight>,
    sent: u64,
    delays: Entropy,
    delay_ns: RangeInclusive<u64>,
    /// Calendar minus monotonic time, ns: constant in a world.
    calendar: u64,
    held: Vec<Door>,
    shut: Vec<Door>,
    /// Connection requests seen, by door, with their times.
    pub(super) dialled: Vec<(Nanos, Door)>,
    /// When chunks of requests reached a REST door.
    pub(super) asked: Vec<(Nanos, Door)>,
    /// What happened so far.
    pub(super) events: u64,
    hash: digest::Context,
    scratch: Vec<u8>,
    pub(super) weather: Weather,
    /// When bytes from each door reached the engine last.
    pub(super) heard: [Nanos; 7],
    /// What the venue saw and nobody has taken yet, while somebody watches.
    pub(super) witnessed: Vec<Witnessed>,
    seen: Vec<Seen>,
}

impl Network {
    /// A network with an open box behind it.
    ///
    /// # Errors
    ///
    /// What the box does not like about its configuration.
    pub(super) fn new(
        config: sim::Config,
        dials: DialPeer,
        clock: &Clock,
        delays: Entropy,
        delay_ns: RangeInclusive<u64>,
    ) -> Result<Self, sim::ConfigError> {
        let unix = u64::try_from(clock.unix().0).unwrap_or(0);
        Ok(Self {
            exchange: Exchange::new(config, unix)?,
            dials,
            lines: BTreeMap::new(),
            flights: BinaryHeap::new(),
            sent: 0,
            delays,
            delay_ns,
            calendar: unix - clock.now().0,
            held: Vec::new(),
            shut: Vec::new(),
            dialled: Vec::new(),
            asked: Vec::new(),
            events: 0,
            hash: digest::Context::new(&digest::SHA256),
            scratch: Vec::new(),
            weather: Weather::default(),
            heard: [Nanos(0); 7],
            witnessed: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// The host's calendar time, as the box wants it.
    pub(super) fn unix(&self, now: Nanos) -> u64 {
        now.0 + self.calendar
    }

    /// When something arrives, or the box does something, next.
    pub(super) fn next_due(&self) -> Nanos {
        let flight = self.flights.peek().map_or(Nanos::NEVER, |next| next.due.0.0);
        flight.min(Nanos(self.exchange.next_due().saturating_sub(self.calendar)))
    }

    /// Lets everything happen that is due by `now`, each at its own time.
    pub(super) fn happen(&mut self, now: Nanos) {
        loop {
            let at = self.next_due();
            if at > now {
                break;
            }
            // The box first: what reaches it at this very instant finds it up to date.
            self.exchange.advance(self.unix(at));
            self.witness(at, Left::of_itself(at));
            self.collect(at);
            while self.flights.peek().is_some_and(|next| next.due.0.0 <= at) {
                let Some(InFlight { flight, .. }) = self.flights.pop() else { break };
                self.events += 1;
                self.arrive(flight, at);
                self.collect(at);
            }
        }
        self.exchange.advance(self.unix(now));
        self.witness(now, Left::of_itself(now));
        self.collect(now);
    }

    /// Takes up what the venue saw.
    fn witness(&mut self, at: Nanos, left: Left) {
        self.exchange.take_seen(&mut self.seen);
        let Left { at: wire, fed, cramped } = left;
        self.witnessed.extend(self.seen.drain(..).map(|seen| Witnessed { at, wire, fed, cramped, seen }));
    }

    /// Takes up what the rooms said in this turn: requests to connect, bytes, goodbyes.
    pub(super) fn pick_up(&mut self, now: Nanos) {
        while let Some(request) = self.dials.next_request() {
            let there = now.plus(self.delay());
            let answered = there.plus(self.delay());
            self.fly(answered, Flight::Dial(request));
        }
        let mut leaving = Vec::new();
        let mut said = Vec::new();
        let heard = |door| self.heard[door as usize];
        let spot = heard(Door::SpotWs).max(heard(Door::SpotSbe));
        let cramped = now.since(self.weather.cramped_until) <= ROOM_SEEN_NS;
        let left = Left { at: now, fed: [spot, heard(Door::UsdmWs)], cramped };
        for (conn, line) in &mut self.lines {
            if !line.peer.has_said() {
                continue;
            }
            if line.peer.take(&mut self.scratch) > 0 {
                if self.weather.mute.contains(&line.door) {
                    line.stuck.push((left, std::mem::take(&mut self.scratch)));
                } else {
                    said.push((*conn, std::mem::take(&mut self.scratch)));
                }
            }
            if !line.leaving && line.peer.link_closed() && !self.weather.mute.contains(&line.door) {
                line.leaving = true;
                leaving.push(*conn);
            }
        }
        for (conn, bytes) in said {
            self.send_up(conn, bytes, left, now);
        }
        for conn in leaving {
            let at = self.in_order(conn, UP, now);
            self.fly(at, Flight::UpEnd(conn));
        }
    }

    /// Sends bytes to the box, in as many chunks as the weather makes of them.
    pub(super) fn send_up(&mut self, conn: ConnId, bytes: Vec<u8>, left: Left, now: Nanos) {
        for chunk in self.weather.slices(bytes) {
            let at = self.in_order(conn, UP, now);
            self.fly(at, Flight::Up(conn, chunk, left));
        }
    }

    /// Cuts every connection of a door, both ways, with all that flies on it.
    pub(super) fn cut(&mut self, door: Door, now: Nanos) -> usize {
        let cut: Vec<ConnId> =
            self.lines.iter().filter(|(_, line)| line.door == door).map(|(conn, _)| *conn).collect();
        for conn in &cut {
            if let Some(mut line) = self.lines.remove(conn) {
                line.peer.reset();
            }
            self.exchange.closed(*conn, self.unix(now));
        }
        cut.len()
    }

    /// The engine's process dies: what it said is on its way, then the goodbye of a kernel that closes
    /// its sockets; nobody hears what comes back. `dials` are the next process's.
    pub(super) fn lose_engine(&mut self, dials: DialPeer, now: Nanos) {
        self.pick_up(now);
        self.flights
            .retain(|it| !matches!(it.flight, Flight::Dial(_) | Flight::Down(..) | Flight::DownEnd(_)));
        self.dials = dials;
        let open: Vec<ConnId> =
            self.lines.iter().filter(|(_, line)| !line.leaving).map(|(conn, _)| *conn).collect();
        for conn in open {
            let at = self.in_order(conn, UP, now);
            self.fly(at, Flight::UpEnd(conn));
        }
        for line in self.lines.values_mut() {
            line.leaving = true;
            line.held.clear();
        }
    }

    /// Cuts the youngest connection of a door.
    pub(super) fn cut_youngest(&mut self, door: Door, now: Nanos) -> bool {
        let youngest = self.lines.iter().rev().find(|(_, line)| line.door == door).map(|(conn, _)| *conn);
        let Some(conn) = youngest else { return false };
        if let Some(mut line) = self.lines.remove(&conn) {
            line.peer.reset();
        }
        self.exchange.closed(conn, self.unix(now));
        true
    }

    /// Lets nothing reach the engine from a door, or lets everything through that waited.
    pub(super) fn hold(&mut self, door: Door, held: bool, now: Nanos) {
        self.held.retain(|it| *it != door);
        if held {
            self.held.push(door);
            return;
        }
        let of_door: Vec<ConnId> =
            self.lines.iter().filter(|(_, line)| line.door == door).map(|(conn, _)| *conn).collect();
        for conn in of_door {
            self.let_through(conn, now);
        }
    }

    /// What waited on a connection arrives, unless something holds it still.
    pub(super) fn let_through(&mut self, conn: ConnId, now: Nanos) {
        let waited = self.lines.get_mut(&conn).map(|line| std::mem::take(&mut line.held));
        for chunk in waited.into_iter().flatten() {
            self.reach_engine(conn, chunk, now);
        }
    }

    /// Refuses new connections at a door, or takes them again.
    pub(super) fn shut(&mut self, door: Door, shut: bool) {
        self.shut.retain(|it| *it != door);
        if shut {
            self.shut.push(door);
        }
    }

    /// Another client at the same address asks the box for something; what it hears is lost.
    pub(super) fn ask_as_stranger(&mut self, door: Door, request: &[u8], now: Nanos) {
        let unix = self.unix(now);
        let conn = self.exchange.open(door, unix);
        self.note(now, b'?', conn, request);
        self.exchange.receive(conn, request, unix);
        self.exchange.closed(conn, unix);
        self.collect(now);
    }

    /// SHA-256 over everything that arrived: time, direction, connection, bytes.
    pub(super) fn event_hash(&self) -> String {
        let hash = self.hash.clone().finish();
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn arrive(&mut self, flight: Flight, now: Nanos) {
        match flight {
            Flight::Dial(request) => self.answer_dial(&request, now),
            Flight::Up(conn, bytes, left) => {
                if let Some(door) = self.lines.get(&conn).map(|line| line.door) {
                    if matches!(door, Door::SpotRest | Door::UsdmRest) {
                        self.asked.push((now, door));
                    }
                    self.note(now, b'>', conn, &bytes);
                    self.exchange.receive(conn, &bytes, self.unix(now));
                    self.witness(now, left);
                }
            }
            Flight::UpEnd(conn) => {
                if self.lines.remove(&conn).is_some() {
                    self.note(now, b'x', conn, b"");
                    self.exchange.closed(conn, self.unix(now));
                }
            }
            Flight::Down(conn, bytes) => self.reach_engine(conn, Some(bytes), now),
            Flight::DownEnd(conn) => self.reach_engine(conn, None, now),
        }
    }

    fn answer_dial(&mut self, request: &DialRequest, now: Nanos) {
        let door = DOORS.iter().find(|(name, _)| *name == request.host).map(|(_, door)| *door);
        let peer = format!("{}:{}", request.host, request.port);
        let Some(door) = door else {
            let host = request.host.clone();
            let error = DialError::UnknownHost { host, detail: "not a door of the box".to_owned() };
            self.dials.refuse(request.ticket, error);
            return;
        };
        self.dialled.push((now, door));
        if self.shut.contains(&door) {
            self.dials.refuse(request.ticket, DialError::Refused { peer });
            return;
        }
        let conn = self.exchange.open(door, self.unix(now));
        let peer = self.dials.accept(request);
        self.note(now, b'o', conn, request.host.as_bytes());
        self.lines.insert(
            conn,
            Line { door, peer, last: [now; 2], leaving: false, held: Vec::new(), stuck: Vec::new() },
        );
    }

    fn reach_engine(&mut self, conn: ConnId, chunk: Option<Vec<u8>>, now: Nanos) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        let too_long =
            chunk.as_ref().is_some_and(|it| self.weather.chunk_max.is_some_and(|most| it.len() > most));
        // Behind a chunk that does not arrive, none does: TCP keeps the order.
        let behind = self.weather.chunk_max.is_some() && !line.held.is_empty();
        if too_long || behind || self.held.contains(&line.door) {
            line.held.push(chunk);
            return;
        }
        match &chunk {
            Some(bytes) => line.peer.deliver(bytes),
            None => line.peer.close(),
        }
        self.heard[line.door as usize] = now;
        self.note(now, b'<', conn, chunk.as_deref().unwrap_or(b""));
    }

    /// Sends off what the box has to say.
    fn collect(&mut self, now: Nanos) {
        while let Some(conn) = self.exchange.next_dirty() {
            let mut bytes = Vec::new();
            let ends = self.exchange.take_output(conn, &mut bytes);
            if !bytes.is_empty() {
                for chunk in self.weather.slices(bytes) {
                    let at = self.in_order(conn, DOWN, now);
                    self.fly(at, Flight::Down(conn, chunk));
                }
            }
            if ends {
                let at = self.in_order(conn, DOWN, now);
                self.fly(at, Flight::DownEnd(conn));
            }
        }
    }

    fn delay(&mut self) -> u64 {
        let (low, high) = (*self.delay_ns.start(), *self.delay_ns.end());
        low + self.delays.u64() % (high.saturating_sub(low) + 1) + self.weather.slow_ns
    }

    /// When what is sent now arrives: behind everything sent before in this direction.
    fn in_order(&mut self, conn: ConnId, direction: usize, now: Nanos) -> Nanos {
        let at = now.plus(self.delay() + self.weather.lean_ns[direction]);
        let Some(line) = self.lines.get_mut(&conn) else { return at };
        line.last[direction] = at.max(line.last[direction].plus(1));
        line.last[direction]
    }

    fn fly(&mut self, at: Nanos, flight: Flight) {
        self.sent += 1;
        self.flights.push(InFlight { due: Reverse((at, self.sent)), flight });
    }

    fn note(&mut self, now: Nanos, what: u8, conn: ConnId, bytes: &[u8]) {
        self.hash.update(&now.0.to_le_bytes());
        self.hash.update(&[what]);
        self.hash.update(&conn.0.to_le_bytes());
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }
}

/// Rooms may rest so long before they see that there is room again.
const ROOM_SEEN_NS: u64 = 50 * MS;
const UP: usize = 0;
const DOWN: usize = 1;

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}
