//! One connection as a byte stream, whatever carries it.
//!
//! Owns:  the life of a connection (connecting, handshaking, open, closed), its inbound bytes, and
//!        the rest of a send that the kernel did not take at once.
//! Never: blocks, dials, or knows what the bytes mean.
//! Quirk: links travel between rooms. Whoever adopts one looks at [`Link::inbound`] once before
//!        waiting for more: exchanges push the first quote together with the handshake.

use std::fmt;
use std::ops::Range;

use super::ahead::Ahead;
pub use super::ahead::{MESSAGE_MAX as SEALED_MAX, PLACES as SEALED_PLACES, Sealed};
use super::alloc::in_tls;
use super::clock::Stamp;
use super::inbound::Inbound;
pub use super::link_error::LinkError;
use super::memory::Memory;
pub use super::memory::{MemoryPeer, calls as memory_calls, memory_pair, memory_pair_connecting};
use super::plain::Plain;
use super::prefetch;
use super::tap::{Asked, Tap};
use super::tls::Tls;
use super::tls_record::Turn;
use crate::units::id::LinkId;

/// A connection. It may move between threads; one owner at a time uses it.
pub struct Link {
    /// Which connection this is; no other ever has this id.
    pub id: LinkId,
    peer: String,
    state: LinkState,
    pub(super) inbound: Inbound,
    pub(super) carrier: Carrier,
    /// A failure that was found together with good bytes, which are given out first.
    failure: Option<LinkError>,
    /// Whether a `recv` may find something; kept for [`super::poll::Links`].
    pub(super) ready: bool,
    /// The kernel said that the stream ends: a short read is no proof of "drained" then.
    pub(super) ending: bool,
    /// Of the room that has it.
    pub(super) tap: Tap,
    /// Sends and flushes of the room's present turn.
    asked: Asked,
    /// Messages sealed ahead; made when the first one is wanted.
    ahead: Option<Box<Ahead>>,
    /// Messages that left, where no record layer counts them.
    left: u64,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No answer from the other side yet.
    Connecting,
    /// TLS is being agreed; call [`Link::recv`] to move on.
    Handshaking,
    /// Bytes flow.
    Open,
    /// Over, by either side or by a failure.
    Closed,
}

/// What became of the bytes of a [`Link::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has all of them.
    All,
    /// The kernel has a part, maybe none; the link keeps the rest and sends it at
    /// [`Link::flush`] (or `recv`) before anything else.
    Part {
        /// Bytes the link keeps, as they travel (with TLS, sealed).
        queued: usize,
    },
}

impl Link {
    /// Takes what is ready, with one read where that suffices, and returns how many bytes
    /// [`Link::inbound`] gained; 0 means nothing yet. Moves the handshake on, and sends what is
    /// queued.
    ///
    /// # Errors
    ///
    /// Why the link is over ([`LinkError::Closed`] after a proper goodbye), or
    /// [`LinkError::TooMuch`]. What came before the end was given out by earlier calls. The link is
    /// `Closed` afterwards.
    #[inline]
    pub fn recv(&mut self) -> Result<usize, LinkError> {
        if self.state == LinkState::Closed {
            return Err(self.end());
        }
        if self.failure.is_some() {
            let error = self.end();
            self.tap.received(self.id, &[], Some(&error));
            return Err(error);
        }
        if !self.inbound.make_room() {
            return Err(self.over(LinkError::TooMuch { peer: self.peer.clone(), max: self.inbound.max() }));
        }
        let filled = match &mut self.carrier {
            Carrier::Tls(tls) => in_tls(|| tls.fill(&mut self.inbound, &self.peer)),
            Carrier::Plain(plain) => plain.fill(&mut self.inbound, &self.peer),
            Carrier::Memory(memory) => memory.fill(&mut self.inbound, &self.peer),
            Carrier::Recorded(tap) => recorded(tap, self.id, &mut self.inbound, &self.peer),
        };
        if self.state != LinkState::Open {
            self.state = self.carrier.state();
        }
        match filled {
            Ok(fill) => {
                let held = self.inbound.held();
                self.tap.received(self.id, &held[held.len() - fill.gained..], None);
                self.failure = fill.failure;
                self.ready = self.failure.is_some() || fill.gained > 0 && (self.ending || !fill.drained);
                Ok(fill.gained)
            }
            Err(error) => {
                self.tap.received(self.id, &[], Some(&error));
                Err(self.over(error))
            }
        }
    }

    /// Right after a [`Link::recv`]: whether it is known to have left something behind, bytes or the end.
    #[inline]
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.ready
    }

    /// When the kernel last handed over bytes: before they were opened, so that opening counts as ours. `None` where
    /// no kernel does.
    #[inline]
    #[must_use]
    pub fn seen(&self) -> Option<Stamp> {
        match &self.carrier {
            Carrier::Tls(tls) => Some(tls.seen()),
            Carrier::Plain(plain) => Some(plain.seen()),
            Carrier::Memory(_) | Carrier::Recorded(_) => None,
        }
    }

    /// Lets every send be stamped at the moment its bytes are handed to the kernel, sealed and all, for
    /// [`Link::handed`]. A measuring mode: it costs a reading of the counter a send.
    pub fn stamp_sends(&mut self) {
        if let Carrier::Tls(tls) = &mut self.carrier {
            tls.stamp_sends();
        }
    }

    /// When the last send's bytes were handed to the kernel; `None` where sends are not stamped.
    #[inline]
    #[must_use]
    pub fn handed(&self) -> Option<Stamp> {
        match &self.carrier {
            Carrier::Tls(tls) => tls.handed(),
            Carrier::Plain(_) | Carrier::Memory(_) | Carrier::Recorded(_) => None,
        }
    }

    /// What was received and not consumed.
    #[inline]
    #[must_use]
    pub fn inbound(&self) -> &[u8] {
        self.inbound.held()
    }

    /// The buffer around [`Link::inbound`], and where in it those bytes are: at least 64 readable
    /// bytes (of any value) lie before and after them.
    #[inline]
    #[must_use]
    pub fn inbound_padded(&self) -> (&[u8], Range<usize>) {
        self.inbound.padded()
    }

    /// Drops the first `n` bytes of [`Link::inbound`].
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.inbound.consume(n);
    }

    /// Sends `bytes`, or keeps what the kernel does not take.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotOpen`] and [`LinkError::Busy`]: nothing was taken, nothing will be sent.
    /// Any other: nothing more can be sent here, and some of the bytes may have left; what the
    /// other side said before is still to be read, until `recv` fails too.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<Sent, LinkError> {
        if self.state != LinkState::Open {
            return Err(LinkError::NotOpen);
        }
        let queued = match &mut self.carrier {
            Carrier::Tls(tls) => in_tls(|| tls.send(bytes, &self.peer)),
            Carrier::Plain(plain) => plain.send(bytes, &self.peer),
            Carrier::Memory(memory) => memory.send(bytes, &self.peer),
            Carrier::Recorded(tap) => tap.outcome(self.id, self.asked, &self.peer),
        };
        self.was_sent(queued)
    }

    /// Seals `bytes` for being sent by [`Link::send_sealed`], if nothing else is sent here before; in the
    /// place of `instead`, which is never sent then. `None`: this link seals nothing ahead (it is not open, has
    /// a rest to send, or is not ours to seal on), has no place left, or the bytes are more than [`SEALED_MAX`].
    pub fn seal_ahead(&mut self, bytes: &[u8], instead: Option<Sealed>) -> Option<Sealed> {
        if self.state != LinkState::Open || self.has_queued() {
            return None;
        }
        let turn = self.next_turn()?;
        let Self { ahead, carrier, id, .. } = self;
        let ahead = ahead.get_or_insert_with(|| Box::new(Ahead::new()));
        ahead.put(*id, turn, instead, |record| match carrier {
            Carrier::Tls(tls) => tls.ahead(bytes, record),
            _ => {
                record.clear();
                record.try_extend_from_slice(bytes).ok().map(|()| turn)
            }
        })
    }

    /// Reserves what [`Link::seal_ahead`] needs, so that a hot room need not.
    pub fn reserve_ahead(&mut self) {
        self.ahead.get_or_insert_with(|| Box::new(Ahead::new()));
    }

    /// Forgets all that is sealed ahead here.
    pub fn clear_ahead(&mut self) {
        if let Some(ahead) = &mut self.ahead {
            ahead.clear();
        }
    }

    /// Whether this may still be sent.
    #[inline]
    #[must_use]
    pub fn is_sealed(&self, sealed: &Sealed) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.has(self.id, sealed, self.next_turn()))
    }

    /// As [`Link::is_sealed`]; what sending it needs of memory is asked for.
    #[must_use]
    pub fn warm(&self, sealed: &Sealed) -> bool {
        prefetch::lines(self);
        if let Carrier::Tls(tls) = &self.carrier {
            prefetch::lines::<Tls>(tls);
        }
        if let Some(ahead) = &self.ahead {
            ahead.warm(sealed);
        }
        self.is_sealed(sealed)
    }

    /// Sends a message that was sealed ahead. `None`: something else was sent since, or it is not of this link;
    /// nothing was taken, and nothing of it will ever leave.
    ///
    /// # Errors
    ///
    /// As [`Link::send`].
    #[inline]
    pub fn send_sealed(&mut self, sealed: Sealed) -> Result<Option<Sent>, LinkError> {
        if self.state != LinkState::Open {
            return Err(LinkError::NotOpen);
        }
        if !self.is_sealed(&sealed) {
            return Ok(None);
        }
        let Some((turn, record)) = self.ahead.as_mut().and_then(|ahead| ahead.take(self.id, sealed)) else {
            return Ok(None);
        };
        let queued = match &mut self.carrier {
            Carrier::Tls(tls) => in_tls(|| tls.send_ahead(turn, record, &self.peer)).transpose(),
            Carrier::Memory(memory) => Some(memory.send(record, &self.peer)),
            Carrier::Recorded(tap) => Some(tap.outcome(self.id, self.asked, &self.peer)),
            Carrier::Plain(_) => None,
        };
        queued.map(|queued| self.was_sent(queued)).transpose()
    }

    /// Sends what is queued; `true` if nothing is left.
    ///
    /// # Errors
    ///
    /// The connection broke; the rest is lost.
    pub fn flush(&mut self) -> Result<bool, LinkError> {
        let flushed = match &mut self.carrier {
            Carrier::Tls(tls) => in_tls(|| tls.flush(&self.peer)),
            Carrier::Plain(plain) => plain.flush(&self.peer),
            Carrier::Memory(memory) => memory.flush(&self.peer),
            Carrier::Recorded(tap) => tap.outcome(self.id, self.asked, &self.peer).map(|rest| rest == 0),
        };
        let rest = flushed.as_ref().map(|done| usize::from(!done)).map_err(Clone::clone);
        self.tap.sent(self.id, &mut self.asked, &rest);
        flushed.map_err(|error| self.failed_write(error))
    }

    /// Where the connection is in its life.
    #[inline]
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// Says goodbye as far as the kernel takes it, and ends the connection. What was received stays
    /// readable.
    pub fn close(&mut self) {
        if self.state == LinkState::Closed {
            return;
        }
        self.state = LinkState::Closed;
        match &mut self.carrier {
            Carrier::Tls(tls) => tls.close(),
            Carrier::Plain(plain) => plain.close(),
            Carrier::Memory(memory) => memory.close(),
            Carrier::Recorded(_) => {}
        }
    }

    /// Whom this connects to, as `host:port`.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// A link that brings what a recording says it brought, and takes whatever is sent. `held` is what it had
    /// brought before; `room` as of [`Link::room`].
    #[must_use]
    pub fn recorded(tap: &Tap, id: LinkId, peer: String, held: &[u8], room: (usize, usize)) -> Self {
        let mut inbound = Inbound::new(room.0.max(held.len()), room.1);
        inbound.put(held);
        Self::new(id, peer, inbound, Carrier::Recorded(tap.clone()))
    }

    /// How many bytes its buffer holds, and how many it may grow to.
    #[must_use]
    pub fn room(&self) -> (usize, usize) {
        (self.inbound.capacity(), self.inbound.max())
    }

    pub(super) fn new(id: LinkId, peer: String, inbound: Inbound, carrier: Carrier) -> Self {
        let state = carrier.state();
        Self {
            id,
            peer,
            state,
            inbound,
            carrier,
            failure: None,
            ready: true,
            ending: false,
            tap: Tap::off(),
            asked: Asked::default(),
            ahead: None,
            left: 0,
        }
    }

    /// What became of a send.
    #[inline]
    fn was_sent(&mut self, queued: Result<usize, LinkError>) -> Result<Sent, LinkError> {
        self.tap.sent(self.id, &mut self.asked, &queued);
        self.left += u64::from(queued.is_ok());
        match queued {
            Ok(0) => Ok(Sent::All),
            Ok(queued) => Ok(Sent::Part { queued }),
            Err(LinkError::Busy) => Err(LinkError::Busy),
            Err(error) => Err(self.failed_write(error)),
        }
    }

    /// What the next message that leaves will be, where messages can be sealed ahead. In memory and in a recording
    /// nothing is sealed, and the same holds.
    #[inline]
    fn next_turn(&self) -> Option<Turn> {
        match &self.carrier {
            Carrier::Tls(tls) => tls.next_turn(),
            Carrier::Memory(_) | Carrier::Recorded(_) => Some(Turn { epoch: 0, sequence: self.left }),
            Carrier::Plain(_) => None,
        }
    }

    /// Whether a rest waits for the kernel.
    pub(super) fn has_queued(&self) -> bool {
        match &self.carrier {
            Carrier::Tls(tls) => tls.has_queued(),
            Carrier::Plain(plain) => plain.has_queued(),
            Carrier::Memory(memory) => memory.has_queued(),
            Carrier::Recorded(_) => false,
        }
    }

    /// The socket to poll; a memory link has none.
    pub(super) fn socket(&mut self) -> Option<&mut mio::net::TcpStream> {
        match &mut self.carrier {
            Carrier::Tls(tls) => Some(tls.socket()),
            Carrier::Plain(plain) => Some(plain.socket()),
            Carrier::Memory(_) | Carrier::Recorded(_) => None,
        }
    }

    /// Whether a link without a socket has something to read, to learn, or room for its rest.
    pub(super) fn has_news(&self) -> bool {
        match &self.carrier {
            Carrier::Memory(memory) => memory.has_news(),
            Carrier::Recorded(tap) => tap.has_received(self.id),
            Carrier::Tls(_) | Carrier::Plain(_) => false,
        }
    }

    /// Lets the next `recv` report `error`; for a poll that could not take the link in.
    pub(super) fn fail(&mut self, error: LinkError) {
        self.failure = Some(error);
        self.ready = true;
    }

    #[cold]
    fn over(&mut self, error: LinkError) -> LinkError {
        self.close();
        self.ready = false;
        error
    }

    /// A broken write does not hide what the other side sent before: it is read first, and the
    /// failure comes up when nothing is left.
    #[cold]
    fn failed_write(&mut self, error: LinkError) -> LinkError {
        self.ready = true;
        error
    }

    #[cold]
    fn end(&mut self) -> LinkError {
        let error = self.failure.take().unwrap_or_else(|| LinkError::Closed { peer: self.peer.clone() });
        self.over(error)
    }
}

impl fmt::Debug for Link {
    /// Who and in what state; never the bytes, which may hold a log-in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} to {}, {:?})", self.id.0, self.peer, self.state)
    }
}

/// What carries the bytes.
pub(super) enum Carrier {
    /// TLS over TCP. Boxed: it is many times the size of the others.
    Tls(Box<Tls>),
    /// Bare TCP.
    Plain(Plain),
    /// A test's or a rehearsed world's two hands.
    Memory(Memory),
    /// A recording.
    Recorded(Tap),
}

/// The next that a recording has from a link.
fn recorded(tap: &Tap, id: LinkId, inbound: &mut Inbound, peer: &str) -> Result<Fill, LinkError> {
    let gained = tap.receive(id, peer, |bytes| {
        inbound.put(bytes);
        bytes.len()
    })?;
    Ok(Fill { gained: gained.unwrap_or(0), drained: true, failure: None })
}

impl Carrier {
    fn state(&self) -> LinkState {
        match self {
            Self::Tls(tls) => tls.state(),
            Self::Plain(_) => LinkState::Open,
            Self::Memory(memory) => memory.state(),
            Self::Recorded(_) => LinkState::Open,
        }
    }
}

/// What one look at a carrier brought.
#[derive(Debug, Default)]
pub(super) struct Fill {
    /// New bytes in the buffer.
    pub(super) gained: usize,
    /// There is surely nothing more right now.
    pub(super) drained: bool,
    /// The end of the link, found behind the new bytes.
    pub(super) failure: Option<LinkError>,
}

const _: () = {
    const fn travels<T: Send>() {}
    travels::<Link>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair() -> (Link, MemoryPeer) {
        memory_pair(LinkId(1), "box:1", 64, 4_096)
    }

    #[test]
    fn what_a_short_write_left_goes_first_and_nothing_overtakes_it() {
        let (mut link, mut peer) = pair();
        peer.limit_outbox(Some(3));
        assert_eq!(link.send(b"first"), Ok(Sent::Part { queued: 2 }));
        assert_eq!(link.send(b"second"), Err(LinkError::Busy));
        assert_eq!(link.flush(), Ok(false));
        let mut wire = Vec::new();
        assert_eq!(peer.take(&mut wire), 3);
        assert_eq!(link.flush(), Ok(true));
        peer.limit_outbox(None);
        assert_eq!(link.send(b"second"), Ok(Sent::All));
        peer.take(&mut wire);
        assert_eq!(wire, b"firstsecond");
    }

    #[test]
    fn a_proper_end_comes_after_the_bytes_and_a_reset_instead_of_them() {
        let (mut link, mut peer) = pair();
        peer.deliver(b"last words");
        peer.close();
        assert_eq!(link.recv(), Ok(10));
        assert_eq!(link.recv(), Err(LinkError::Closed { peer: "box:1".to_owned() }));
        assert_eq!(link.inbound(), b"last words", "still readable");
        assert!(peer.link_closed());

        let (mut link, mut peer) = pair();
        peer.deliver(b"last words");
        peer.reset();
        assert!(matches!(link.recv(), Err(LinkError::Reset { .. })));
        assert_eq!(link.state(), LinkState::Closed);
        assert_eq!(link.send(b"x"), Err(LinkError::NotOpen));
    }

    #[test]
    fn a_dropped_link_is_seen_by_the_world() {
        let (link, peer) = pair();
        assert!(!peer.link_closed());
        drop(link);
        assert!(peer.link_closed());
    }

    #[test]
    fn a_debug_print_holds_no_bytes() {
        let (mut link, mut peer) = pair();
        peer.deliver(b"secret");
        link.recv().unwrap();
        assert_eq!(format!("{link:?}"), "Link(1 to box:1, Open)");
    }

    proptest! {
        /// However the world splits a stream and however much is consumed at a time, the link gives
        /// the same bytes.
        #[test]
        fn splits_do_not_change_the_stream(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..40),
            steps in prop::collection::vec(0usize..200, 1..40),
        ) {
            let (mut link, mut peer) = pair();
            let mut got = Vec::new();
            for (i, piece) in pieces.iter().enumerate() {
                peer.deliver(piece);
                // All pieces together are less than the link holds.
                link.recv().unwrap();
                let n = steps[i % steps.len()].min(link.inbound().len());
                got.extend_from_slice(&link.inbound()[..n]);
                link.consume(n);
            }
            while link.recv().unwrap() > 0 {
                got.extend_from_slice(link.inbound());
                link.consume(usize::MAX);
            }
            got.extend_from_slice(link.inbound());
            prop_assert_eq!(got, pieces.concat());
        }
    }
}
