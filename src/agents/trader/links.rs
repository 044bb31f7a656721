//! The trader's order links: one request in flight on each, its answer read whole.
//!
//! Owns:  which link is idle, what flies on it, keeping it warm, and turning an answer into fills and
//!        a verdict.
//! Never: sends anything twice, or on another link than the one it began on (FAULTS F16, F75).
//! Why:   HTTP answers carry no id of ours until parsed, so one request a link keeps them apart even
//!        when a body is no JSON; and a socket's answer without an id can only be to what flies there.

use super::hot::HotStreams;
use super::proof::Heard;
use super::talk::{Came, Desk, Talk};
use super::{TraderCounts, TraderDoors};
use crate::agents::{Dead, Handed, Purpose};
use crate::event::{
    Answer, Counted, Doubt, FillList, Headers, Instruments, LANES, Made, Permit, Source, Spent, Told,
    Verdict, Wire, lane,
};
use crate::metal::clock::Clock;
use crate::metal::crash;
use crate::metal::entropy::Entropy;
use crate::metal::link::{Sealed, Sent};
use crate::metal::poll::{Links, Slot};
use crate::metal::ring::Producer;
use crate::units::time::{MS, SEC};
use crate::units::{Amount, ClientId, InstrumentId, LegKind, LinkId, Nanos, VenueId};
use crate::venue::Scratch;
use std::collections::VecDeque;

/// Links idle for so long are warmed with a cheap request: well inside every server's idle limit,
/// and often enough that a dead one is found before it is needed (FAULTS F13: ≤ 5 s).
const WARM_NS: u64 = 4 * SEC;
/// Links are warmed this far apart, so that one is always free.
const WARM_APART_NS: u64 = 500 * MS;
/// A request without an answer for so long makes its link useless; the order is long being queried.
const GIVE_UP_NS: u64 = 10 * SEC;
/// An entry of which nothing has left whole for so long is given up: it was decided on quotes of then.
const BEGINS_WITHIN_NS: u64 = 200 * MS;
/// Room in the ring to the shadow that reading one answer may need: its fills and itself.
const ANSWER_EVENTS: usize = 72;

/// What flies on a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flying {
    Order {
        client: ClientId,
        instrument: InstrumentId,
        /// An entry of which no leg has left whole.
        begins: bool,
        /// The private stream told of a fill or its end already.
        beaten: bool,
    },
    Warm,
}

/// What became of an order handed to the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Went {
    pub(super) wire: Wire,
    /// When its bytes were handed to `send`, where that is stamped.
    pub(super) handed: Option<Nanos>,
    /// When `send` returned.
    pub(super) sent: Nanos,
    pub(super) link: LinkId,
    pub(super) made: Made,
}

#[derive(Debug)]
pub(super) struct Line {
    venue: VenueId,
    leg: LegKind,
    purpose: Purpose,
    pub(super) flying: Option<(Flying, Nanos)>,
    used: Nanos,
    talk: Talk,
    /// A rest of the last message waits inside the link.
    unflushed: bool,
}

/// All order links of the trader.
#[derive(Debug)]
pub(super) struct OrderLinks {
    pub(super) links: Links,
    pub(super) lines: Vec<Option<Line>>,
    /// Private streams; a slot holds one of these or an order's line.
    pub(super) hot: HotStreams,
    /// W: a rest that has not left by then never leaves.
    window_ns: u64,
    pub(super) scratch: Scratch,
    fills: Box<FillList>,
    /// What the contingent legs have not looked at yet: of answers at most one a link and turn.
    pub(super) heard: VecDeque<Heard>,
    warmed: Nanos,
    /// An answer asked us to wait: nothing leaves on its lane before this, whatever the permit says.
    quiet: [Nanos; LANES],
    /// A repair found every link of its lane waiting for an answer.
    missed: [bool; LANES],
    /// Sends are stamped where their bytes are handed over, too.
    stamp_sends: bool,
    /// Packets that leave are stamped by the kernel.
    stamp_packets: bool,
}

impl Line {
    /// Whether an order may leave on it now.
    #[inline]
    fn is_idle(&self) -> bool {
        self.flying.is_none() && !self.unflushed && !self.talk.is_leaving()
    }
}

/// Where the trader's links lead and end.
pub(super) struct Around<'a> {
    /// To the shadow.
    pub told: &'a mut Producer<Told>,
    /// To the clerk.
    pub dead: &'a mut Producer<Dead>,
    /// For stamps.
    pub clock: &'a Clock,
    /// For masks.
    pub entropy: &'a mut Entropy,
    /// For the summary.
    pub counts: &'a mut TraderCounts,
    /// What ids mean.
    pub instruments: &'a Instruments,
    /// Idle links are warmed as far as normal work may go, and not while a market wants to hear nothing.
    pub permit: &'a Permit,
    /// What left, per lane.
    pub sent: &'a mut [u64; LANES],
}

impl OrderLinks {
    /// Without links; orders live for `recv_window_ms`, and ours are those of this instance and epoch.
    #[must_use]
    pub(super) fn new(capacity: usize, recv_window_ms: u32, identity: (u8, u32)) -> Self {
        Self {
            stamp_sends: false,
            stamp_packets: false,
            links: Links::new(capacity),
            // As long as there are links: each turn walks it.
            lines: Vec::with_capacity(capacity),
            hot: HotStreams::new(capacity, identity),
            window_ns: u64::from(recv_window_ms) * MS,
            scratch: Scratch::default(),
            fills: Box::default(),
            // An answer and an end of each link, and as much again of private events.
            heard: VecDeque::with_capacity(4 * capacity),
            warmed: Nanos::ZERO,
            quiet: [Nanos::ZERO; LANES],
            missed: [false; LANES],
        }
    }

    /// What is stamped on links that come from now on: sends where their bytes are handed over, packets by the kernel.
    pub(super) fn stamp(&mut self, sends: bool, packets: bool) {
        (self.stamp_sends, self.stamp_packets) = (sends, packets);
    }

    /// Takes a live link in.
    #[inline(never)]
    pub(super) fn arrive(&mut self, mut handed: Handed, now: Nanos, doors: &mut TraderDoors) {
        if let Purpose::HotUser { .. } = handed.purpose
            && let Some(card) = handed.feed.take()
        {
            self.arrive_hot(handed.link, handed.purpose, card, now, &mut doors.entropy);
            return;
        }
        let Purpose::Order { venue, leg, .. } = handed.purpose else {
            // The ring back holds every link there can be.
            let _ = doors.dead.push(Dead {
                link: handed.link,
                purpose: handed.purpose,
                why: "handed to the wrong room; this is a bug".to_owned(),
            });
            return;
        };
        let talk = Talk::new(&mut handed, (venue, leg), now, &mut doors.entropy);
        if self.stamp_sends {
            handed.link.stamp_sends();
        }
        if self.stamp_packets {
            handed.link.stamp_departures();
        }
        let slot = self.links.insert(handed.link);
        let at = usize::from(slot.0);
        if at >= self.lines.len() {
            self.lines.resize_with(at + 1, || None);
        }
        let (purpose, flying, unflushed) = (handed.purpose, None, false);
        self.lines[at] = Some(Line { venue, leg, purpose, flying, used: now, talk, unflushed });
    }

    /// A link of this market with nothing in flight.
    #[inline]
    #[must_use]
    pub(super) fn idle(&self, venue: VenueId, leg: LegKind) -> Option<Slot> {
        self.lines.iter().enumerate().find_map(|(at, line)| {
            let line = line.as_ref()?;
            (line.venue == venue && line.leg == leg && line.is_idle()).then_some(Slot(at as u16))
        })
    }

    /// The first idle link of each lane: where its next order leaves.
    pub(super) fn first_idle(&self) -> [Option<Slot>; LANES] {
        let mut first = [None; LANES];
        for (at, line) in self.lines.iter().enumerate() {
            if let Some(line) = line
                && line.is_idle()
            {
                first[lane(line.venue, line.leg)].get_or_insert(Slot(at as u16));
            }
        }
        first
    }

    /// A repair has no link to leave on: the answer that is waited for longest, beyond W, is waited for no longer.
    /// The venue drops what it has not taken by then, and its order is asked about elsewhere (T_soft).
    pub(super) fn miss(&mut self, venue: VenueId, leg: LegKind) {
        self.missed[lane(venue, leg)] = true;
    }

    /// Hands an order to the kernel: as it lies sealed, if that is still its turn, or its bytes, which were
    /// `made` so. Says how far it came.
    #[inline]
    pub(super) fn send(
        &mut self,
        slot: Slot,
        sealed: Option<Sealed>,
        (bytes, made): (&[u8], Made),
        flying: Flying,
        clock: &Clock,
    ) -> Went {
        let (Some(link), Some(Some(line))) =
            (self.links.get_mut(slot), self.lines.get_mut(usize::from(slot.0)))
        else {
            let (wire, handed, sent) = (Wire::Nothing, None, clock.now());
            return Went { wire, handed, sent, link: LinkId::default(), made };
        };
        let picked = sealed.map_or(Ok(None), |sealed| link.send_sealed(sealed));
        let (outcome, made) = match picked {
            // Something left on this link since it was sealed, or it lies on another: sealed now.
            Ok(None) => (link.send(bytes), made),
            Ok(Some(sent)) => (Ok(sent), Made::Sealed),
            Err(error) => (Err(error), Made::Sealed),
        };
        let wire = match outcome {
            Ok(Sent::All) => Wire::All,
            Ok(Sent::Part { .. }) => Wire::Part,
            Err(error) if error.nothing_taken() => Wire::Nothing,
            // It may have gone out in part: the link's end, found by the next read, makes it unknown.
            Err(_) => Wire::Part,
        };
        let sent = clock.now();
        if wire != Wire::Nothing {
            line.flying = Some((flying, sent));
            line.used = sent;
            line.unflushed = wire == Wire::Part;
        }
        let handed = link.handed().map(|stamp| clock.at(stamp));
        Went { wire, handed, sent, link: link.id, made }
    }

    /// The next answer that a contingent leg may wait for.
    pub(super) fn next_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Reads what came, finishes what was cut short, warms what is idle. Returns how much that was.
    #[inline(never)]
    pub(super) fn turn(&mut self, now: Nanos, around: &mut Around<'_>) -> usize {
        let mut work = 0;
        self.links.poll();
        while around.told.has_room(ANSWER_EVENTS) {
            let Some(slot) = self.links.next_ready() else { break };
            work += 1;
            if self.hot.is(slot) {
                self.read_hot(slot, around);
                continue;
            }
            if let Err(why) = self.read(slot, around) {
                self.bury(slot, &why, now, around);
            }
        }
        work += self.tend_hot(now, around);
        if self.missed != [false; LANES] {
            self.give_up_the_latest(now, around);
        }
        for at in 0..self.lines.len() {
            let slot = Slot(at as u16);
            let Some(line) = self.lines[at].as_mut() else { continue };
            if line.unflushed {
                match self.links.get_mut(slot).map(|link| link.flush()) {
                    Some(Ok(done)) => {
                        line.unflushed = !done;
                        if let (true, Some((Flying::Order { client, .. }, _))) = (done, line.flying) {
                            self.left_whole(client);
                        }
                    }
                    Some(Err(error)) => {
                        self.bury(slot, &error.to_string(), now, around);
                        continue;
                    }
                    None => {}
                }
            }
            let Some(line) = self.lines[at].as_mut() else { continue };
            match line.flying {
                Some((_, sent)) if now.since(sent) > GIVE_UP_NS => {
                    self.bury(slot, "no answer for 10 s", now, around);
                }
                None => work += self.keep(slot, now, around),
                _ => {}
            }
        }
        work
    }

    /// Makes room on the lanes where a repair waits: one link each.
    fn give_up_the_latest(&mut self, now: Nanos, around: &mut Around<'_>) {
        for (at, missed) in std::mem::take(&mut self.missed).into_iter().enumerate() {
            let waiting = |line: &Line| {
                let sent = line.flying.filter(|_| lane(line.venue, line.leg) == at && missed)?.1;
                (now.since(sent) > self.window_ns).then_some(sent)
            };
            let slots = self.lines.iter().enumerate();
            let overdue = slots.filter_map(|(slot, line)| Some((waiting(line.as_ref()?)?, slot))).min();
            if let Some((_, slot)) = overdue {
                self.bury(Slot(slot as u16), "no answer within its window, and a repair waits", now, around);
            }
        }
    }

    /// What has not left of an order must not leave any more: of any, once the kill latch is set (I6) or its window is
    /// over (F16); of those that begin an entry, once none may begin (I5) or its prices are old (I13). It comes before
    /// anything is read, which sends what waits, too. Returns how many there were.
    #[inline(never)]
    pub(super) fn hold_back(&mut self, killed: bool, now: Nanos, around: &mut Around<'_>) -> usize {
        let mut work = 0;
        for at in 0..self.lines.len() {
            let waits = self.lines[at].as_ref().filter(|line| line.unflushed);
            let Some((flying, sent)) = waits.and_then(|line| line.flying) else { continue };
            let (of_order, starts) = match flying {
                Flying::Order { begins, .. } => (true, begins),
                Flying::Warm => (false, false),
            };
            let why = match now.since(sent) {
                _ if killed && of_order => "the kill latch was set before an order had left whole",
                _ if starts && !around.permit.begins => "no entry may begin, and one had not left whole",
                age if starts && age > BEGINS_WITHIN_NS => "an entry did not leave at once",
                age if age > self.window_ns => "an order was not sent whole within its window",
                _ => continue,
            };
            self.bury(Slot(at as u16), why, now, around);
            work += 1;
        }
        work
    }

    /// An order has left whole: what is cut short of the other leg of its intent begins nothing, it covers (F73).
    pub(super) fn left_whole(&mut self, order: ClientId) {
        for line in self.lines.iter_mut().flatten() {
            if let Some((Flying::Order { client, begins, .. }, _)) = &mut line.flying {
                *begins &= !client.same_intent(order);
            }
        }
    }

    /// Whether an answer on this lane asked us to wait, longer than until now.
    #[inline]
    pub(super) fn is_quiet(&self, lane: usize, now: Nanos) -> bool {
        now < self.quiet[lane]
    }

    /// Keeps a link alive on which nothing flies; how much work that was.
    fn keep(&mut self, slot: Slot, now: Nanos, around: &mut Around<'_>) -> usize {
        let (Some(link), Some(Some(line))) =
            (self.links.get_mut(slot), self.lines.get_mut(usize::from(slot.0)))
        else {
            return 0;
        };
        let idle = now.since(line.used) > WARM_NS && now.since(self.warmed) > WARM_APART_NS;
        if let Err(why) = line.talk.tend(link, now, around.entropy) {
            self.bury(slot, &why, now, around);
            return 1;
        }
        match line.talk.spoke() {
            Some(sent) => {
                line.unflushed |= sent != Sent::All;
                1
            }
            None if idle => usize::from(self.warm(slot, now, around).is_some()),
            None => 0,
        }
    }

    /// Warms a link, if its lane has room for that.
    fn warm(&mut self, slot: Slot, now: Nanos, around: &mut Around<'_>) -> Option<()> {
        let line = self.lines.get_mut(usize::from(slot.0))?.as_mut()?;
        let lane = lane(line.venue, line.leg);
        let open = around.permit.open(lane, around.sent[lane], true, now) && now >= self.quiet[lane];
        if !open || !around.told.has_room(1) {
            return None;
        }
        let Talk::Http { warm, weight } = &line.talk else { return None };
        let link = self.links.get_mut(slot)?;
        self.warmed = now;
        line.used = now;
        // A failure shows at the next read.
        let sent = link.send(warm).ok()?;
        line.unflushed = sent != Sent::All;
        line.flying = Some((Flying::Warm, now));
        around.sent[lane] += 1;
        let _ = around.told.push(Told::Spent(Spent { lane, weight: *weight, sent: now }));
        Some(())
    }

    fn read(&mut self, slot: Slot, around: &mut Around<'_>) -> Result<(), String> {
        let (Some(link), Some(Some(line))) =
            (self.links.get_mut(slot), self.lines.get_mut(usize::from(slot.0)))
        else {
            return Ok(());
        };
        let got = link.recv();
        let received = around.clock.now();
        let order = match line.flying {
            Some((Flying::Order { client, instrument, .. }, _)) => Some((client, instrument)),
            _ => None,
        };
        let row = order.map(|(client, instrument)| (client, around.instruments.get(instrument)));
        let (scratch, fills, entropy) = (&mut self.scratch, &mut *self.fills, &mut *around.entropy);
        let mut desk = Desk { scratch, fills, entropy, received };
        // A whole answer is taken even if the link ended right behind it.
        let (came, goes_on) = line.talk.read(link, line.venue, row, &mut desk);
        line.unflushed |= line.talk.spoke().is_some_and(|sent| sent != Sent::All);
        if let Some(Came { counted, judged }) = came {
            let lane = lane(line.venue, line.leg);
            if let Some(seconds) = counted.retry_after_s {
                let until = received.plus(u64::from(seconds) * SEC);
                self.quiet[lane] = self.quiet[lane].max(until);
            }
            let flew = line.flying.take();
            if let Some((Flying::Warm, sent)) = flew {
                // It may be the first to hear that the venue wants to be left alone.
                let _ = around.told.push(Told::Headers(Headers { lane, counted, sent }));
            }
            if let (Some(judged), Some((client, row))) = (judged, row) {
                crash::point("K8");
                let mut net = Amount::ZERO;
                for fill in self.fills.drain(..) {
                    net += Amount::of(fill.qty, row.qty_decimals);
                    net -= if fill.fee_asset == row.base { fill.fee } else { Amount::ZERO };
                    // Room for all of them was seen before reading.
                    let _ = around.told.push(Told::Fill(fill));
                }
                let answer = Answer {
                    client,
                    instrument: row.id,
                    received,
                    verdict: judged.verdict,
                    order_id: judged.order_id,
                    counted,
                    source: Source::Answer,
                };
                let _ = around.told.push(Told::Answer(answer));
                self.heard.push_back(Heard { client, verdict: Some(judged.verdict), trade: None, net });
            }
        }
        goes_on?;
        got.map(|_| ()).map_err(|error| error.to_string())
    }

    /// A link is of no use any more: what flew on it is in doubt, and the clerk makes a new one.
    fn bury(&mut self, slot: Slot, why: &str, now: Nanos, around: &mut Around<'_>) {
        let Some(line) = self.lines.get_mut(usize::from(slot.0)).and_then(Option::take) else { return };
        if let Some((Flying::Order { client, instrument, .. }, _)) = line.flying {
            let answer = Answer {
                client,
                instrument,
                received: now,
                verdict: Verdict::Unknown(Doubt::LinkLost),
                order_id: 0,
                counted: Counted::default(),
                source: Source::Answer,
            };
            let verdict = Some(answer.verdict);
            self.heard.push_back(Heard { client, verdict, trade: None, net: Amount::ZERO });
            // Without room the shadow finds the order by its own soft timer.
            let _ = around.told.push(Told::Answer(answer));
        }
        if let Some(mut link) = self.links.remove(slot) {
            link.close();
            let _ = around.dead.push(Dead { link, purpose: line.purpose, why: why.to_owned() });
        }
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
