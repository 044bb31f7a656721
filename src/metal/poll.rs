//! The links of one room, and one question to the kernel: who has bytes?
//!
//! Owns:  the links, their slots, and who may still have bytes (readiness is told once, by edge, so
//!        it must be remembered).
//! Never: reads or writes a link; the room does. Lets one that always has bytes keep the others waiting: each look
//!        begins behind the slot that was given out last.
//! Quirk: a ready slot stays ready until its `recv` brought nothing (or the socket is known to be
//!        empty), so a room may stop reading a link for want of room and find it again later.

use std::io;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::link::{Link, LinkError};
use super::tap::Tap;

/// Which of the room's links; dense, and given to another link after [`Links::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// The links of one room.
#[derive(Debug)]
pub struct Links {
    links: Vec<Option<Link>>,
    /// One bit a slot: may be ready. The link itself knows better.
    maybe: Vec<u64>,
    /// Where [`Links::next_ready`] goes on, and where it stops, having been all around.
    cursor: usize,
    end: usize,
    /// Made when the first socket comes: a room of memory links needs no kernel.
    poll: Option<Kernel>,
    sockets: usize,
    memories: usize,
    /// Its room's, for every link in it.
    tap: Tap,
}

#[derive(Debug)]
struct Kernel {
    poll: Poll,
    events: Events,
}

impl Links {
    /// Room for `capacity` links; more are taken, but then it allocates.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            links: Vec::with_capacity(capacity),
            maybe: vec![0; capacity.div_ceil(64).max(1)],
            cursor: 0,
            end: 0,
            poll: None,
            sockets: 0,
            memories: 0,
            tap: Tap::off(),
        }
    }

    /// Lets every link that is taken in from now on be heard through its room's tap.
    pub fn tap(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    /// Takes a link in; it is ready at once, since it may hold bytes already. If the kernel won't
    /// watch it, its `recv` says so.
    pub fn insert(&mut self, mut link: Link) -> Slot {
        let index = self.links.iter().position(Option::is_none).unwrap_or_else(|| {
            self.links.push(None);
            self.maybe.resize(self.links.len().div_ceil(64).max(self.maybe.len()), 0);
            self.links.len() - 1
        });
        link.ready = true;
        link.ending = false;
        link.tap = self.tap.clone();
        if link.socket().is_some() {
            self.sockets += 1;
            if let Err(error) = self.watch(&mut link, index) {
                let detail = format!("this host can't watch it: {error}");
                link.fail(LinkError::Reset { peer: link.peer().to_owned(), detail });
            }
        } else {
            self.memories += 1;
        }
        self.links[index] = Some(link);
        self.mark(index);
        Slot(index as u16)
    }

    /// Gives a link back, to close it or to hand it to another room.
    pub fn remove(&mut self, slot: Slot) -> Option<Link> {
        let index = usize::from(slot.0);
        let mut link = self.links.get_mut(index)?.take()?;
        self.maybe[index / 64] &= !(1 << (index % 64));
        if let Some(socket) = link.socket() {
            self.sockets -= 1;
            if let Some(kernel) = &self.poll {
                // Not watched in the first place is what we want.
                let _ = kernel.poll.registry().deregister(socket);
            }
        } else {
            self.memories -= 1;
        }
        self.tap.keep();
        link.tap = Tap::off();
        Some(link)
    }

    /// The link in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Link> {
        self.links.get_mut(usize::from(slot.0))?.as_mut()
    }

    /// The link in a slot, to look at.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Link> {
        self.links.get(usize::from(slot.0))?.as_ref()
    }

    /// Every slot that holds a link, ascending.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.links.iter().enumerate().filter(|(_, link)| link.is_some()).map(|(i, _)| Slot(i as u16))
    }

    /// Asks who has bytes, without waiting, and starts [`Links::next_ready`] over.
    #[inline]
    pub fn poll(&mut self) {
        self.look(Duration::ZERO);
    }

    /// As [`Links::poll`], but if nobody is ready waits up to `timeout` for a socket. For rooms that
    /// park; with memory links it never waits, since their world moves the time.
    pub fn wait(&mut self, timeout: Duration) {
        let idle = self.memories == 0 && !self.links.iter().flatten().any(|link| link.ready);
        if idle && self.sockets == 0 {
            std::thread::sleep(timeout);
        }
        self.look(if idle { timeout } else { Duration::ZERO });
    }

    /// The next slot that may have bytes; each once per [`Links::poll`].
    #[inline]
    pub fn next_ready(&mut self) -> Option<Slot> {
        while self.cursor < self.end {
            // The second time around, `cursor` and `end` lie behind all slots.
            let all = self.maybe.len() * 64;
            let at = if self.cursor < all { self.cursor } else { self.cursor - all };
            let word = at / 64;
            let rest = self.maybe[word] & (!0 << (at % 64));
            if rest == 0 {
                self.cursor += 64 - at % 64;
                continue;
            }
            let index = word * 64 + rest.trailing_zeros() as usize;
            self.cursor += index - at + 1;
            if self.cursor > self.end {
                break;
            }
            if self.links[index].as_ref().is_some_and(|link| link.ready) {
                return Some(Slot(index as u16));
            }
            self.maybe[word] &= !(1 << (index % 64));
        }
        None
    }

    #[inline]
    fn look(&mut self, timeout: Duration) {
        self.ask(timeout);
        let all = self.maybe.len() * 64;
        if self.cursor >= all {
            self.cursor %= all;
        }
        // As a rule nobody has anything: then there is nothing to go around for.
        let quiet = self.maybe.iter().all(|word| *word == 0);
        self.end = if quiet { self.cursor } else { self.cursor + all };
    }

    fn ask(&mut self, timeout: Duration) {
        if self.memories > 0 {
            self.look_at_memories();
        }
        if self.sockets == 0 {
            return;
        }
        let Some(kernel) = &mut self.poll else { return };
        if let Err(error) = kernel.poll.poll(&mut kernel.events, Some(timeout)) {
            if error.kind() != io::ErrorKind::Interrupted {
                self.suspect_all();
            }
            return;
        }
        for event in &kernel.events {
            let Some(link) = self.links.get_mut(event.token().0).and_then(Option::as_mut) else { continue };
            let over = event.is_read_closed() || event.is_error() && !link.note_departures();
            link.ending |= over;
            link.ready |= over || event.is_readable() || event.is_writable() && link.has_queued();
            self.maybe[event.token().0 / 64] |= 1 << (event.token().0 % 64);
        }
    }

    fn look_at_memories(&mut self) {
        for index in 0..self.links.len() {
            if let Some(link) = &mut self.links[index]
                && link.has_news()
            {
                link.ready = true;
                self.maybe[index / 64] |= 1 << (index % 64);
            }
        }
    }

    /// A poll that fails tells nothing, so everybody is read: slower, and nothing is missed.
    #[cold]
    fn suspect_all(&mut self) {
        for index in 0..self.links.len() {
            if let Some(link) = &mut self.links[index] {
                link.ready = true;
                self.mark(index);
            }
        }
    }

    fn mark(&mut self, index: usize) {
        self.maybe[index / 64] |= 1 << (index % 64);
    }

    #[cold]
    fn watch(&mut self, link: &mut Link, index: usize) -> io::Result<()> {
        let kernel = match &mut self.poll {
            Some(kernel) => kernel,
            none => none.insert(Kernel { poll: Poll::new()?, events: Events::with_capacity(64) }),
        };
        let Some(socket) = link.socket() else { return Ok(()) };
        kernel.poll.registry().register(socket, Token(index), Interest::READABLE | Interest::WRITABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::link::{MemoryPeer, memory_pair};
    use crate::units::id::LinkId;

    fn pair(id: u32) -> (Link, MemoryPeer) {
        memory_pair(LinkId(id), "box:1", 256, 4_096)
    }

    fn ready(links: &mut Links) -> Vec<Slot> {
        links.poll();
        std::iter::from_fn(|| links.next_ready()).collect()
    }

    #[test]
    fn a_slot_is_ready_until_its_recv_brought_nothing() {
        let mut links = Links::new(2);
        let (a, mut a_peer) = pair(1);
        let (b, _b_peer) = pair(2);
        let (a, b) = (links.insert(a), links.insert(b));
        assert_eq!(ready(&mut links), [a, b], "a new link may hold bytes");
        for slot in [a, b] {
            assert_eq!(links.get_mut(slot).unwrap().recv(), Ok(0));
        }
        assert_eq!(ready(&mut links), []);
        a_peer.deliver(b"one");
        assert_eq!(ready(&mut links), [a]);
        assert_eq!(ready(&mut links), [a], "unread, so still ready");
        assert_eq!(links.get_mut(a).unwrap().recv(), Ok(3));
        assert_eq!(ready(&mut links), []);
    }

    #[test]
    fn a_link_that_always_has_bytes_keeps_no_other_waiting() {
        let mut links = Links::new(3);
        let mut peers = Vec::new();
        let slots: Vec<_> = (0..3)
            .map(|id| {
                let (link, peer) = pair(id);
                peers.push(peer);
                links.insert(link)
            })
            .collect();
        let mut read = Vec::new();
        for turn in 0..9 {
            peers[0].deliver(b"a quote");
            peers[2].deliver(if turn == 4 { b"one" } else { b"" });
            links.poll();
            // A room that reads once a turn.
            let Some(slot) = links.next_ready() else { continue };
            links.get_mut(slot).unwrap().recv().unwrap();
            read.push(slot);
        }
        let [a, b, c] = slots[..] else { unreachable!() };
        // Each once, as new links; then the busy one, and the other as soon as it has something.
        assert_eq!(read, [a, b, c, a, c, a, a, a, a]);
    }

    #[test]
    fn slots_are_used_again_and_more_links_than_planned_are_taken() {
        let mut links = Links::new(1);
        let mut peers = Vec::new();
        let slots: Vec<_> = (0..130)
            .map(|id| {
                let (link, peer) = pair(id);
                peers.push(peer);
                links.insert(link)
            })
            .collect();
        assert_eq!(ready(&mut links), slots);
        let gone = links.remove(slots[70]).unwrap();
        assert_eq!(gone.id, LinkId(70));
        assert!(links.remove(slots[70]).is_none());
        assert_eq!(links.slots().count(), 129);
        assert_eq!(links.insert(gone), slots[70]);
    }

    #[test]
    fn the_end_of_a_link_makes_it_ready() {
        let mut links = Links::new(1);
        let (link, mut peer) = pair(1);
        let slot = links.insert(link);
        assert_eq!(links.get_mut(slot).unwrap().recv(), Ok(0));
        peer.truncate();
        assert_eq!(ready(&mut links), [slot]);
        let error = links.get_mut(slot).unwrap().recv().unwrap_err();
        assert_eq!(error, LinkError::Truncated { peer: "box:1".to_owned() });
    }
}
