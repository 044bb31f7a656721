//! From an open connection to a socket in its owner's hands: upgrade, subscription, logon.
//!
//! Owns:  what is said on a socket before its owner has it, and why that came to nothing.
//! Never: hands over a socket for orders whose logon the venue has not taken.

use super::Clerk;
use super::links::{State, What};
use crate::agents::Purpose;
use crate::agents::socket::{GiveUp, Sign, Socket, Then};
use crate::event::lane;
use crate::metal::link::{Link, LinkError, Sent};
use crate::units::Nanos;
use crate::wire::ws::{self, Handshake, Kind, UpgradeError};

impl Clerk {
    /// TLS is done: asks for the upgrade, or hands a link of requests over.
    pub(super) fn opened(&mut self, at: usize, mut link: Box<Link>, now: Nanos) {
        let What::Room { feed: Some(feed), .. } = &self.wants[at].what else {
            self.hand_over(at, *link);
            return;
        };
        let mut key = [0; 16];
        self.entropy.fill(&mut key);
        let binary = &self.settings.target.venue.binary;
        let shown = self.settings.target.key.as_ref().filter(|_| self.wants[at].endpoint == binary.endpoint);
        let headers = shown.map_or_else(Vec::new, |key| (binary.headers)(key));
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (handshake, request) = Handshake::with_headers(link.peer(), &feed.path, &headers, key);
        match link.send(&request) {
            Ok(_) => {
                self.wants[at].state = State::Upgrading { link, handshake: Box::new(handshake), since: now }
            }
            Err(error) => self.failed(at, error.to_string(), now),
        }
    }

    /// An upgrade came to nothing. Too many are no failure of this link, which a start gives up: it waits.
    pub(super) fn refused(&mut self, at: usize, error: &UpgradeError, now: Nanos) {
        let why = self.refusal(at, error);
        let endpoint = self.wants[at].endpoint;
        match self.shut.hear(endpoint, error, now) {
            Some(seconds) => self.put_off(at, &format!("{why}; that is {seconds} s"), now),
            None => self.failed(at, why, now),
        }
    }

    /// Why an upgrade came to nothing, with what to do.
    fn refusal(&self, at: usize, error: &UpgradeError) -> String {
        let binary = &self.settings.target.venue.binary;
        match error {
            // Too many requests are the address's fault, not the key's.
            UpgradeError::Refused { status: status @ 400..=417, body, .. }
                if self.wants[at].endpoint == binary.endpoint =>
            {
                format!("the upgrade was refused with HTTP {status}: \"{body}\"; {}", binary.advice)
            }
            _ => error.to_string(),
        }
    }

    /// Subscribes and hands over, the confirmations being read by the owner, with the first quotes behind them; or logs
    /// on, where the answer is waited for.
    pub(super) fn subscribe(&mut self, at: usize, mut link: Link, now: Nanos) {
        let mut frames = Vec::new();
        let logon = match self.logon(&self.wants[at].what) {
            Ok(logon) => logon,
            Err(why) => {
                self.failed(at, why.to_owned(), now);
                return;
            }
        };
        let signed = logon.clone().map(|text| vec![text]);
        let signed = signed.or_else(|| self.signed_subscription(&self.wants[at].what));
        let What::Room { feed: Some(feed), .. } = &self.wants[at].what else { return };
        let rules = feed.card.rules;
        for text in signed.as_ref().unwrap_or(&feed.subscribe) {
            let mask = (self.entropy.u64() as u32).to_le_bytes();
            if let Err(error) = ws::write_frame(&mut frames, Kind::Text, text.as_bytes(), mask) {
                let why = error.to_string();
                self.failed(at, why, now);
                return;
            }
        }
        let sent = if frames.is_empty() { Ok(Sent::All) } else { link.send(&frames) };
        match sent {
            Ok(_) if logon.is_some() => {
                let socket = Box::new(Socket::new(rules, now, self.entropy.u64()));
                self.wants[at].state = State::LoggingOn { link: Box::new(link), socket, since: now };
            }
            Ok(_) => self.hand_over(at, link),
            Err(error) => self.failed(at, error.to_string(), now),
        }
    }

    /// The message that logs on, stamped for now; `None`: the want is no socket for orders, or each order is signed.
    fn logon(&self, what: &What) -> Result<Option<String>, &'static str> {
        let logon = &self.settings.target.venue.order_socket.logon;
        let key = self.settings.target.key.as_ref().filter(|key| key.kind() == logon.kind);
        let (What::Room { purpose: Purpose::Order { venue, leg, .. }, feed: Some(_) }, Some(key)) =
            (what, key)
        else {
            return Ok(None);
        };
        let stamp = self.offsets.venue_time(lane(*venue, *leg), self.clock.now());
        let stamp = stamp.ok_or("the venue's clock is not known, so no logon can be stamped")?;
        Ok(Some((logon.message)(key, stamp)))
    }

    /// Reads what came on a socket that logs on: hands it over, gives it up, or waits on.
    pub(super) fn log_on(
        &mut self,
        at: usize,
        (mut link, mut socket, since): (Box<Link>, Box<Socket>, Nanos),
        got: Result<usize, LinkError>,
        now: Nanos,
    ) -> usize {
        let logon = &self.settings.target.venue.order_socket.logon;
        let mut answer = None;
        let read = socket.read_some(&mut link, now, &mut self.entropy, |sign| {
            if let Sign::Message(message) = sign {
                answer = (logon.read)(message);
            }
            Ok(if answer.is_some() { Then::Enough } else { Then::More })
        });
        let why = match (answer, read, got) {
            (Some(Ok(())), ..) => {
                self.hand_over(at, *link);
                return 1;
            }
            (Some(Err(why)), ..) => format!("the logon was refused ({why}); {}", logon.advice),
            (None, Err(GiveUp(why)), _) => why,
            (None, _, Err(error)) => error.to_string(),
            _ if now.since(since) > super::links::OPEN_WITHIN_NS => {
                "no answer to the logon within 5 s".to_owned()
            }
            _ => {
                self.wants[at].state = State::LoggingOn { link, socket, since };
                return 0;
            }
        };
        self.failed(at, why, now);
        1
    }
}
