//! One WebSocket being read: frames to messages, pings and pongs, silence and age.
//!
//! Owns:  the frame loop that the reader's feeds, both private streams and order sockets share.
//! Never: knows what a message means, allocates per message, or closes a link: its room does.

use crate::metal::entropy::Entropy;
use crate::metal::link::{Link, Sent};
use crate::units::Nanos;
use crate::units::time::SEC;
use crate::venue::open::Ping;
use crate::wire::session::{Due, Rules, Session};
use crate::wire::ws::{self, Assembler, Kind};
use arrayvec::ArrayVec;

/// The payload of a control frame.
type Control = ArrayVec<u8, 125>;

/// The largest message taken; a full depth diff stays far below.
const MESSAGE_MAX: usize = 1 << 20;

/// A subscription is confirmed within this time, or the socket is dialled anew (FAULTS F31).
const CONFIRMED_WITHIN_NS: u64 = 5 * SEC;
/// What was confirmed brings something within this time: a venue may forget what it confirmed, and without quotes no
/// broken pair is put right (T_window: 8 s). Quotes of what is worth trading come more often; a market whose coins have
/// none costs a connection each time, 60 of 300 in five minutes.
const BRINGS_WITHIN_NS: u64 = 5 * SEC;

/// Why a socket is given back.
#[derive(Debug)]
pub struct GiveUp(pub String);

/// Whether the room takes more in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It does.
    More,
    /// No: what is left stays in the link's buffer, and nobody but the room remembers it.
    Enough,
}

/// What came on a socket.
#[derive(Clone, Copy, Debug)]
pub enum Sign<'a> {
    /// A ping or a pong: it lives.
    Alive,
    /// A whole message of text.
    Message(&'a [u8]),
    /// A whole message in the venue's binary form.
    Binary(&'a [u8]),
}

/// A socket being read.
#[derive(Debug)]
pub struct Socket {
    session: Session,
    assembler: Assembler,
    ping: Ping,
    /// What became of the last frame it sent, since somebody looked.
    spoke: Option<Sent>,
    /// By when it must have brought what was asked for, and what it is if it has not.
    owes: Option<(Nanos, &'static str)>,
}

impl Socket {
    /// A socket that was handed over at `now`; `jitter` draws the age at which it is replaced.
    #[must_use]
    pub fn new(rules: Rules, now: Nanos, jitter: u64) -> Self {
        let session = Session::new(rules, now, jitter);
        Self { session, assembler: Assembler::new(MESSAGE_MAX), ping: Ping::Frame, spoke: None, owes: None }
    }

    /// It pings in this form.
    #[must_use]
    pub fn pinging(self, ping: Ping) -> Self {
        Self { ping, ..self }
    }

    /// Subscriptions were sent on it, at `now`: it owes confirmations.
    #[must_use]
    pub fn subscribed(self, now: Nanos) -> Self {
        let owes =
            Some((now.plus(CONFIRMED_WITHIN_NS), "the venue did not confirm a subscription within 5 s"));
        Self { owes, ..self }
    }

    /// All was confirmed, at `now`: it owes what was subscribed.
    pub fn confirmed(&mut self, now: Nanos) {
        self.owes = Some((now.plus(BRINGS_WITHIN_NS), "a confirmed subscription brought nothing within 5 s"));
    }

    /// It brought something, or what it brings comes when it comes: it owes nothing more.
    #[inline]
    pub fn brought(&mut self) {
        self.owes = None;
    }

    /// What became of the last ping or pong that it sent since this was asked last, if it sent one.
    pub fn spoke(&mut self) -> Option<Sent> {
        self.spoke.take()
    }

    /// A message answered a ping that was no ping frame.
    pub fn ponged(&mut self, now: Nanos) {
        self.session.on_pong(now);
    }

    /// Everything that is whole in the link's buffer, read at `received`.
    ///
    /// # Errors
    ///
    /// The socket is of no use any more, or `heard` says so.
    #[inline]
    pub fn read(
        &mut self,
        link: &mut Link,
        received: Nanos,
        entropy: &mut Entropy,
        mut heard: impl FnMut(Sign<'_>) -> Result<(), GiveUp>,
    ) -> Result<(), GiveUp> {
        self.read_some(link, received, entropy, |sign| heard(sign).map(|()| Then::More)).map(|_| ())
    }

    /// As [`Socket::read`], until `heard` has enough; what it said last.
    ///
    /// # Errors
    ///
    /// As [`Socket::read`].
    #[inline]
    pub fn read_some(
        &mut self,
        link: &mut Link,
        received: Nanos,
        entropy: &mut Entropy,
        mut heard: impl FnMut(Sign<'_>) -> Result<Then, GiveUp>,
    ) -> Result<Then, GiveUp> {
        let mut used = 0;
        let mut pong: Option<Control> = None;
        let mut heard_anything = false;
        let mut then = Then::More;
        while then == Then::More {
            let frame = match ws::next(&link.inbound()[used..], MESSAGE_MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Err(GiveUp(error.to_string())),
            };
            used += frame.used;
            heard_anything = true;
            match frame.kind {
                Kind::Ping => {
                    self.session.on_ping(received);
                    // Control payloads are at most 125 bytes: the frame reader refuses longer ones.
                    pong = Control::try_from(frame.payload).ok();
                    then = heard(Sign::Alive)?;
                    continue;
                }
                Kind::Pong => {
                    self.session.on_pong(received);
                    then = heard(Sign::Alive)?;
                    continue;
                }
                Kind::Close => return Err(GiveUp("the venue closed the socket".to_owned())),
                Kind::Text | Kind::Binary | Kind::Continuation => {}
            }
            match self.assembler.on(frame) {
                Ok(Some(message)) if message.kind == Kind::Binary => {
                    then = heard(Sign::Binary(message.payload))?;
                }
                Ok(Some(message)) => then = heard(Sign::Message(message.payload))?,
                Ok(None) => {}
                Err(error) => return Err(GiveUp(error.to_string())),
            }
        }
        if heard_anything {
            self.session.on_bytes(received);
        }
        link.consume(used);
        if let Some(payload) = pong {
            self.spoke = Some(say(link, Kind::Pong, &payload, entropy).map_err(GiveUp)?);
            self.session.sent(received);
        }
        Ok(then)
    }

    /// Pings if it went quiet; when it wants to be looked at next.
    ///
    /// # Errors
    ///
    /// It stayed quiet, owes something still, or is near its age limit: dial anew.
    pub fn tend(&mut self, link: &mut Link, now: Nanos, entropy: &mut Entropy) -> Result<Nanos, GiveUp> {
        match self.session.due(now) {
            Some(Due::SendPing) => {
                self.session.sent(now);
                let (kind, payload) = match self.ping {
                    Ping::Frame => (Kind::Ping, &b""[..]),
                    Ping::Text(text) => (Kind::Text, text.as_bytes()),
                };
                self.spoke = Some(say(link, kind, payload, entropy).map_err(GiveUp)?);
            }
            Some(Due::Silent) => return Err(GiveUp("the socket fell silent; it is dialled anew".to_owned())),
            Some(Due::Rotate) => {
                return Err(GiveUp("the socket is near its age limit; it is dialled anew".to_owned()));
            }
            None => {}
        }
        match self.owes {
            Some((until, why)) if now >= until => Err(GiveUp(format!("{why}; it is dialled anew"))),
            owes => Ok(owes.map_or(Nanos::NEVER, |(until, _)| until).min(self.session.next_due())),
        }
    }
}

/// Sends a control frame, or a text as short as one, masked by fresh random bytes as RFC 6455 wants it.
fn say(link: &mut Link, kind: Kind, payload: &[u8], entropy: &mut Entropy) -> Result<Sent, String> {
    let mut frame = ArrayVec::<u8, 136>::new();
    let mask = (entropy.u64() as u32).to_le_bytes();
    ws::write_frame(&mut frame, kind, payload, mask).map_err(|error| error.to_string())?;
    link.send(&frame).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::link::memory_pair;
    use crate::units::LinkId;

    /// What a quiet socket sends, unmasked, and whether it is given up a second later.
    fn quiet(ping: Ping, answered: bool) -> (u8, Vec<u8>, bool) {
        let (mut link, mut peer) = memory_pair(LinkId(1), "venue", 1 << 12, 1 << 14);
        let mut entropy = Entropy::seeded(1);
        let rules = Rules { ping_when_quiet: Some(400), pong_within: Some(1_000), ..Rules::NONE };
        let mut socket = Socket::new(rules, Nanos(1), 0).pinging(ping);
        socket.tend(&mut link, Nanos(500), &mut entropy).unwrap();
        let mut sent = Vec::new();
        peer.take(&mut sent);
        assert_eq!(usize::from(sent[1] & 0x7f), sent.len() - 6, "one short frame");
        let text = sent[6..].iter().zip(sent[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if answered {
            socket.ponged(Nanos(600));
        }
        (sent[0], text, socket.tend(&mut link, Nanos(1_700), &mut entropy).is_err())
    }

    #[test]
    fn a_socket_that_owes_something_is_given_up_when_its_time_is_over() {
        let (mut link, _peer) = memory_pair(LinkId(1), "venue", 1 << 12, 1 << 14);
        let mut entropy = Entropy::seeded(1);
        let mut why = |socket: &mut Socket, at_s: u64| {
            socket.tend(&mut link, Nanos(at_s * SEC), &mut entropy).err().map(|GiveUp(why)| why)
        };
        let mut socket = Socket::new(Rules::NONE, Nanos(SEC), 0).subscribed(Nanos(SEC));
        assert_eq!(why(&mut socket, 5), None);
        assert!(why(&mut socket, 6).unwrap().contains("did not confirm"));
        socket.confirmed(Nanos(7 * SEC));
        assert_eq!(why(&mut socket, 11), None);
        assert!(why(&mut socket, 12).unwrap().contains("brought nothing"));
        socket.brought();
        assert_eq!(why(&mut socket, 1_000), None);
    }

    #[test]
    fn a_ping_leaves_in_the_venues_form_and_a_missing_answer_gives_the_socket_up() {
        assert_eq!(quiet(Ping::Frame, true), (0x89, Vec::new(), false));
        assert_eq!(quiet(Ping::Text("ping"), true), (0x81, b"ping".to_vec(), false));
        assert_eq!(quiet(Ping::Text("ping"), false), (0x81, b"ping".to_vec(), true));
    }
}
