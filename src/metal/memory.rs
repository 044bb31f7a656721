//! A link that carries bytes between two hands of one process: tests and rehearsed worlds.
//!
//! Owns:  both directions, the kernel's appetite (how much a send takes), and every way to end.
//! Never: moves a byte by itself; the world's [`MemoryPeer`] does.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inbound::Inbound;
use super::link::{Carrier, Fill, Link, LinkError, LinkState};
use crate::units::id::LinkId;

thread_local! {
    static CALLS: Cell<[u64; 2]> = const { Cell::new([0; 2]) };
}

/// What links of this thread would have asked of the kernel, were they sockets: writes, reads.
#[must_use]
pub fn calls() -> [u64; 2] {
    CALLS.get()
}

fn call(which: usize) {
    let mut calls = CALLS.get();
    calls[which] += 1;
    CALLS.set(calls);
}

/// Makes an open link and the hand on its other end. The link's inbound buffer has `inbound` bytes
/// and grows up to `inbound_max`.
#[must_use]
pub fn memory_pair(id: LinkId, peer: &str, inbound: usize, inbound_max: usize) -> (Link, MemoryPeer) {
    let wire = Arc::new(Shared::default());
    let carrier = Carrier::Memory(Memory { wire: Arc::clone(&wire), rest: Vec::new(), open: true });
    let link = Link::new(id, peer.to_owned(), Inbound::new(inbound, inbound_max), carrier);
    (link, MemoryPeer { wire, peer: peer.to_owned() })
}

/// As [`memory_pair`], but the link is `Connecting` until [`MemoryPeer::open`].
#[must_use]
pub fn memory_pair_connecting(
    id: LinkId,
    peer: &str,
    inbound: usize,
    inbound_max: usize,
) -> (Link, MemoryPeer) {
    let wire =
        Arc::new(Shared { wire: Mutex::new(Wire { held: true, ..Wire::default() }), ..Shared::default() });
    let carrier = Carrier::Memory(Memory { wire: Arc::clone(&wire), rest: Vec::new(), open: false });
    let link = Link::new(id, peer.to_owned(), Inbound::new(inbound, inbound_max), carrier);
    (link, MemoryPeer { wire, peer: peer.to_owned() })
}

/// The world's hand on a memory link.
#[derive(Debug)]
pub struct MemoryPeer {
    wire: Arc<Shared>,
    peer: String,
}

impl MemoryPeer {
    /// Lets `bytes` arrive at the link. Bytes for a link that is gone are lost, as on a wire.
    pub fn deliver(&mut self, bytes: &[u8]) {
        let mut wire = self.wire.change();
        if !wire.link_closed {
            wire.inbox.extend_from_slice(bytes);
        }
    }

    /// Whether the link sent something that was not taken, or was closed; a look, without the lock.
    #[must_use]
    pub fn has_said(&self) -> bool {
        self.wire.said.load(Ordering::Acquire)
    }

    /// Appends what the link sent to `out`, and makes room for more; returns how much it was.
    pub fn take(&mut self, out: &mut Vec<u8>) -> usize {
        let mut wire = self.wire.change();
        let taken = wire.outbox.len();
        out.append(&mut wire.outbox);
        self.wire.said.store(wire.link_closed, Ordering::Release);
        taken
    }

    /// How many untaken bytes the "kernel" holds before a send comes up short; `None`: any number.
    pub fn limit_outbox(&mut self, bytes: Option<usize>) {
        self.wire.change().outbox_max = bytes;
    }

    /// Lets a connecting link open.
    pub fn open(&mut self) {
        self.wire.change().held = false;
    }

    /// Ends the stream properly: the link reads what was delivered, then learns of the end.
    pub fn close(&mut self) {
        self.end_with(LinkError::Closed { peer: self.peer.clone() });
    }

    /// Ends the stream without a goodbye, behind what was delivered.
    pub fn truncate(&mut self) {
        self.end_with(LinkError::Truncated { peer: self.peer.clone() });
    }

    /// Cuts the connection: what was delivered and not read is lost, as after a TCP reset.
    pub fn reset(&mut self) {
        self.fail(LinkError::Reset {
            peer: self.peer.clone(),
            detail: "connection reset by peer".to_owned(),
        });
    }

    /// Ends the link with any error, at once: a refused certificate, a timeout.
    pub fn fail(&mut self, error: LinkError) {
        self.wire.change().inbox.clear();
        self.end_with(error);
    }

    /// Whether the link's owner closed or dropped it.
    #[must_use]
    pub fn link_closed(&self) -> bool {
        self.wire.lock().link_closed
    }

    fn end_with(&mut self, error: LinkError) {
        let mut wire = self.wire.change();
        // The first end counts.
        wire.end.get_or_insert(error);
    }
}

#[derive(Debug, Default)]
struct Wire {
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    outbox_max: Option<usize>,
    /// Not open yet.
    held: bool,
    end: Option<LinkError>,
    link_closed: bool,
}

impl Wire {
    fn room(&self) -> usize {
        self.outbox_max.map_or(usize::MAX, |max| max.saturating_sub(self.outbox.len()))
    }
}

/// What both hands hold. The flags are changed under the lock, and spare a look that finds nothing: a world has dozens of
/// links, and most of them are silent in most turns.
#[derive(Debug, Default)]
struct Shared {
    wire: Mutex<Wire>,
    /// The world changed something since the link found no news.
    news: AtomicBool,
    /// The link sent something, or was closed.
    said: AtomicBool,
}

impl Shared {
    /// A panic elsewhere left the bytes as they were, which is whole: each change is one call.
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::lock`], for the world to change something that the link may be waiting for.
    fn change(&self) -> MutexGuard<'_, Wire> {
        let wire = self.lock();
        self.news.store(true, Ordering::Release);
        wire
    }
}

/// The link's side.
pub(super) struct Memory {
    wire: Arc<Shared>,
    rest: Vec<u8>,
    /// As last seen by the link.
    open: bool,
}

impl Memory {
    pub(super) fn state(&self) -> LinkState {
        if self.open { LinkState::Open } else { LinkState::Connecting }
    }

    pub(super) fn fill(&mut self, inbound: &mut Inbound, peer: &str) -> Result<Fill, LinkError> {
        let _ = self.flush(peer);
        call(1);
        let mut wire = self.wire.lock();
        if !wire.held {
            self.open = true;
            let spare = inbound.spare();
            let gained = wire.inbox.len().min(spare.len());
            if gained > 0 {
                spare[..gained].copy_from_slice(&wire.inbox[..gained]);
                wire.inbox.drain(..gained);
                inbound.gained(gained);
                let drained = wire.inbox.is_empty() && wire.end.is_none();
                return Ok(Fill { gained, drained, failure: None });
            }
        }
        wire.end.clone().map_or(Ok(Fill::default()), Err)
    }

    pub(super) fn send(&mut self, bytes: &[u8], peer: &str) -> Result<usize, LinkError> {
        if !self.flush(peer)? {
            return Err(LinkError::Busy);
        }
        call(0);
        let mut wire = self.wire.lock();
        let sent = bytes.len().min(wire.room());
        wire.outbox.extend_from_slice(&bytes[..sent]);
        self.wire.said.store(true, Ordering::Release);
        self.rest.extend_from_slice(&bytes[sent..]);
        Ok(self.rest.len())
    }

    pub(super) fn flush(&mut self, _peer: &str) -> Result<bool, LinkError> {
        let mut wire = self.wire.lock();
        // A proper end closes one direction; after a cut nothing goes out either.
        if let Some(error) = wire.end.as_ref().filter(|end| !matches!(end, LinkError::Closed { .. })) {
            return Err(error.clone());
        }
        if self.rest.is_empty() {
            return Ok(true);
        }
        call(0);
        let sent = self.rest.len().min(wire.room());
        wire.outbox.extend(self.rest.drain(..sent));
        self.wire.said.store(true, Ordering::Release);
        Ok(self.rest.is_empty())
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(super) fn has_news(&self) -> bool {
        if !self.wire.news.load(Ordering::Acquire) {
            return false;
        }
        let wire = self.wire.lock();
        let readable = !wire.held && (!self.open || !wire.inbox.is_empty());
        let news = readable || wire.end.is_some() || !self.rest.is_empty() && wire.room() > 0;
        self.wire.news.store(news, Ordering::Release);
        news
    }

    pub(super) fn close(&mut self) {
        let mut wire = self.wire.lock();
        wire.link_closed = true;
        self.wire.said.store(true, Ordering::Release);
        wire.inbox.clear();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.close();
    }
}
