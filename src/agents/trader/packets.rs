//! From packet to packet: the kernel's stamps of the quote that triggered and of the orders it triggered, held together.
//!
//! Owns:  what the reader told of packets that came, and the legs whose packets have not been stamped yet.
//! Never: asks the kernel for anything but in an idle turn, decides, or lets a recording hear of it: a trader that is not
//!        measured lives through the same turns.
//! Map:   `metal::packets` has the stamps.

use super::Trader;
use crate::event::{Arrived, FiredLeg, Packets, Told, Wire};
use crate::metal::poll::Slot;
use crate::metal::ring::Consumer;
use crate::units::{LinkId, Nanos};
use arrayvec::ArrayVec;

/// Reads that are remembered: those of the turns since the quote that triggers was read, as a rule one.
const ARRIVED_MAX: usize = 64;
/// Legs on their way at once; further ones are not measured.
const LEGS_MAX: usize = 32;

/// What is waited for.
#[derive(Debug)]
pub(super) struct Awaited {
    from_reader: Consumer<Arrived>,
    arrived: [Arrived; ARRIVED_MAX],
    /// Where the next goes.
    next: usize,
    legs: ArrayVec<Leg, LEGS_MAX>,
}

/// A leg that left whole.
#[derive(Clone, Copy, Debug)]
struct Leg {
    link: LinkId,
    last_byte: u32,
    second: bool,
    trigger: Arrived,
}

impl Awaited {
    pub(super) fn new(from_reader: Consumer<Arrived>) -> Self {
        Self { from_reader, arrived: [Arrived::default(); ARRIVED_MAX], next: 0, legs: ArrayVec::new() }
    }

    fn hear(&mut self) {
        while let Some(arrived) = self.from_reader.pop() {
            self.arrived[self.next] = arrived;
            self.next = (self.next + 1) % ARRIVED_MAX;
        }
    }
}

impl Trader {
    /// Legs left: their packets are waited for, if what triggered them was a quote.
    pub(super) fn await_packets(&mut self, seen: Nanos, legs: &[Option<FiredLeg>; 2]) {
        let Some(awaited) = &mut self.packets else { return };
        awaited.hear();
        let Some(&trigger) = awaited.arrived.iter().find(|arrived| arrived.received == seen) else { return };
        for (n, leg) in legs.iter().flatten().enumerate().filter(|(_, leg)| leg.wire == Wire::All) {
            let links = &self.links.links;
            let mut all = links.slots().filter_map(|slot| links.get(slot));
            let last_byte = all.find(|link| link.id == leg.link).and_then(|link| link.last_byte());
            let Some(last_byte) = last_byte else { continue };
            let _ = awaited.legs.try_push(Leg { link: leg.link, last_byte, second: n == 1, trigger });
        }
    }

    /// Takes the stamps of all that left out of the sockets, and tells those of legs.
    pub(super) fn take_packets(&mut self) {
        let Some(awaited) = &mut self.packets else { return };
        awaited.hear();
        for at in 0..self.links.lines.len() {
            let Some(link) = self.links.links.get_mut(Slot(at as u16)) else { continue };
            while let Some(departure) = link.next_departure() {
                let is_it = |leg: &Leg| leg.link == link.id && leg.last_byte == departure.last_byte;
                let Some(n) = awaited.legs.iter().position(is_it) else { continue };
                let Leg { second, trigger, .. } = awaited.legs.swap_remove(n);
                let wire_to_wire_ns = u64::try_from(departure.at.0 - trigger.at.0).unwrap_or(0);
                let packets = Packets { second, rx_to_read_ns: trigger.waited_ns, wire_to_wire_ns };
                if self.doors.told.has_room(64) {
                    let _ = self.doors.told.push(Told::Packets(packets));
                }
            }
        }
        // Of a link that ended, or a stamp that the kernel dropped: nothing will come of it.
        if awaited.legs.is_full() {
            awaited.legs.clear();
        }
    }
}
