//! How an order link is talked to: by HTTP requests, or by frames of a socket.
//!
//! Owns:  what a whole answer is on either, what keeps the link alive, and whether the venue wants it gone.
//! Never: knows which link is idle, or hands an answer to another order than the one that flies.
//! Why:   all else about a link is the same, so `links` has one way for both.

use crate::agents::Handed;
use crate::agents::socket::{GiveUp, Sign, Socket};
use crate::event::{Counted, FillList};
use crate::metal::entropy::Entropy;
use crate::metal::link::{Link, Sent};
use crate::units::{LegKind, Nanos, VenueId};
use crate::venue::order_socket::Flies;
use crate::venue::{self, Judged, Reply, Said, Scratch};
use crate::wire::http;

/// The largest answer to an order or a warming request.
const ANSWER_MAX: usize = 256 * 1024;

/// One link's way.
#[derive(Debug)]
pub(super) enum Talk {
    /// Requests.
    Http {
        /// The request that keeps it warm, and its request weight.
        warm: Vec<u8>,
        weight: u32,
    },
    /// Frames.
    Frames(Box<Frames>),
}

/// A socket for orders.
#[derive(Debug)]
pub(super) struct Frames {
    socket: Socket,
    /// It wants to be looked at again then.
    due: Nanos,
    /// The venue said that it will close it.
    leaving: bool,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) counted: Counted,
    /// What it says of the order that flew, if one did.
    pub(super) judged: Option<Judged>,
}

/// Where an answer is read.
pub(super) struct Desk<'a> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) fills: &'a mut FillList,
    /// For masks.
    pub(super) entropy: &'a mut Entropy,
    /// When what is read came.
    pub(super) received: Nanos,
}

impl Talk {
    /// That of a link from the clerk's hands: one with a card is a socket.
    pub(super) fn new(
        handed: &mut Handed,
        (venue, leg): (VenueId, LegKind),
        now: Nanos,
        entropy: &mut Entropy,
    ) -> Self {
        match handed.feed.take() {
            Some(card) => Self::Frames(Box::new(Frames {
                socket: Socket::new(card.rules, now, entropy.u64()),
                due: now,
                leaving: false,
            })),
            None => Self::Http {
                warm: std::mem::take(&mut handed.warm),
                weight: (venue::get(venue).warm_request)(leg).weight,
            },
        }
    }

    /// Reads what is whole in the link's buffer, where this order flies. What came is taken even if the link is of
    /// no use behind it.
    pub(super) fn read(
        &mut self,
        link: &mut Link,
        venue: VenueId,
        order: Option<Flies<'_>>,
        desk: &mut Desk<'_>,
    ) -> (Option<Came>, Result<(), String>) {
        match self {
            Self::Http { .. } => read_http(link, venue, order, desk),
            Self::Frames(frames) => frames.read(link, venue, order, desk),
        }
    }

    /// Keeps an idle socket alive.
    ///
    /// # Errors
    ///
    /// It is dead, or old, or the venue is about to close it.
    pub(super) fn tend(&mut self, link: &mut Link, now: Nanos, entropy: &mut Entropy) -> Result<(), String> {
        let Self::Frames(frames) = self else { return Ok(()) };
        if frames.leaving {
            return Err("the venue said that it will close this socket".to_owned());
        }
        if now >= frames.due {
            frames.due = frames.socket.tend(link, now, entropy).map_err(|GiveUp(why)| why)?;
        }
        Ok(())
    }

    /// What became of the last ping or pong since this was asked last: it made all that lay sealed here void.
    pub(super) fn spoke(&mut self) -> Option<Sent> {
        match self {
            Self::Http { .. } => None,
            Self::Frames(frames) => frames.socket.spoke(),
        }
    }

    /// Whether no order is to leave here any more.
    #[inline]
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Frames(frames) if frames.leaving)
    }
}

impl Frames {
    fn read(
        &mut self,
        link: &mut Link,
        venue: VenueId,
        order: Option<Flies<'_>>,
        desk: &mut Desk<'_>,
    ) -> (Option<Came>, Result<(), String>) {
        let Self { socket, due, leaving } = self;
        let Desk { scratch, fills, entropy, received } = desk;
        let read = venue::get(venue).order_socket.read;
        let mut came = None;
        let outcome = socket.read(link, *received, entropy, |sign| {
            let Sign::Message(message) = sign else { return Ok(()) };
            match read(message, order.filter(|_| came.is_none()), scratch, fills) {
                Said::Answer { judged, counted } => came = Some(Came { counted, judged: Some(judged) }),
                Said::Other => {}
                Said::Leaving => *leaving = true,
                Said::Doubtful => {
                    return Err(GiveUp("the venue said something that names no order of ours".to_owned()));
                }
            }
            Ok(())
        });
        // Whatever it was, the socket counts from here.
        *due = *received;
        (came, outcome.map_err(|GiveUp(why)| why))
    }
}

fn read_http(
    link: &mut Link,
    venue: VenueId,
    order: Option<Flies<'_>>,
    desk: &mut Desk<'_>,
) -> (Option<Came>, Result<(), String>) {
    let response = match http::response(link.inbound(), ANSWER_MAX) {
        Ok(Some(response)) => response,
        Ok(None) => return (None, Ok(())),
        Err(error) => return (None, Err(error.to_string())),
    };
    let venue = venue::get(venue);
    let counted = (venue.counted)(response.status, &response.head);
    let judged = order.map(|(client, row)| {
        let reply = Reply { status: response.status, counted, body: &response.body };
        (venue.read_answer)(&reply, row, client, desk.scratch, desk.fills)
    });
    let (used, keep_alive) = (response.used, response.keep_alive);
    link.consume(used);
    let ends = "the venue closes this connection after its answer";
    (Some(Came { counted, judged }), if keep_alive { Ok(()) } else { Err(ends.to_owned()) })
}
