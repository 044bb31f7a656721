//! Private streams, the clerk's part: the ticket a socket's path needs, its renewal, the signature of
//! a subscription.
//!
//! Owns:  tickets from asked for to used up; the shadow's and the trader's socket of a market share one.
//! Never: closes a ticket, or lets one die of old age: a dead one gets a new ticket and new sockets,
//!        and their owners drop the old ones when the new ones come.

use super::Clerk;
use super::errands::Errand;
use super::links::What;
use crate::agents::{FeedCard, Purpose};
use crate::event::lane;
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos};
use crate::venue::BadBody;
use std::sync::Arc;

/// How long until a renewal that failed is tried again.
const RENEW_AGAIN_NS: u64 = 60 * SEC;

/// One market's ticket.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    /// Fresh; for every socket that waits for it.
    text: Option<String>,
    /// A socket was dialled with it.
    used: bool,
    /// A request is on its way.
    pub(super) asked: bool,
    /// When the one in use wants to be renewed.
    renew: Option<Nanos>,
}

impl Clerk {
    pub(super) fn want_user(&mut self, leg: LegKind) {
        let venue = self.settings.target.venue;
        let plan = (venue.user.plan)(leg);
        let card = FeedCard {
            venue,
            leg,
            symbols: Arc::clone(&self.symbols),
            confirmations: plan.confirmations,
            rules: plan.rules,
        };
        self.want_room(Purpose::User { venue: venue.id, leg }, card.clone(), plan.endpoint);
        if plan.hot {
            self.want_room(Purpose::HotUser { venue: venue.id, leg }, card, plan.endpoint);
        }
    }

    /// Whether a private stream can be dialled: its ticket is there, and has become part of its path.
    pub(super) fn has_ticket(&mut self, at: usize, leg: LegKind, now: Nanos) -> bool {
        let user = &self.settings.target.venue.user;
        let Some(key) = self.settings.target.key.clone() else { return false };
        let ticket = self.user_tickets.entry(leg).or_default();
        let text = match (user.ticket)(leg, &key, false) {
            None => String::new(),
            Some(_) => match ticket.text.clone() {
                Some(text) => {
                    ticket.used = true;
                    ticket.renew = (user.plan)(leg).renew_ns.map(|ns| now.plus(ns));
                    text
                }
                None => {
                    if !std::mem::replace(&mut ticket.asked, true) {
                        self.errands.add(leg, Errand::Ticket { leg, renew: false });
                    }
                    return false;
                }
            },
        };
        self.set_path(at, (user.path)(leg, &text));
        true
    }

    /// What was used for all that waited is old: whoever is dialled later asks again, since it may be
    /// dead by then. A ticket that lives is answered with itself, and a longer life.
    pub(super) fn use_up_tickets(&mut self) {
        for ticket in self.user_tickets.values_mut() {
            if std::mem::take(&mut ticket.used) {
                ticket.text = None;
            }
        }
    }

    /// Renews what is half used up.
    pub(super) fn renew_tickets(&mut self, now: Nanos) {
        for (leg, ticket) in &mut self.user_tickets {
            if ticket.asked || ticket.renew.is_none_or(|at| now < at) {
                continue;
            }
            ticket.asked = true;
            ticket.renew = Some(now.plus(RENEW_AGAIN_NS));
            self.errands.add(*leg, Errand::Ticket { leg: *leg, renew: true });
        }
    }

    /// What became of a request for a ticket.
    pub(super) fn on_ticket(&mut self, leg: LegKind, renew: bool, status: u16, body: &mut [u8], now: Nanos) {
        let user = &self.settings.target.venue.user;
        let read = (user.read_ticket)(body);
        let renew_ns = (user.plan)(leg).renew_ns;
        let Some(ticket) = self.user_tickets.get_mut(&leg) else { return };
        ticket.asked = false;
        match (read, renew) {
            (Ok(text), false) => ticket.text = Some(text),
            // A renewal may be answered by nothing but its success.
            (Ok(_) | Err(BadBody::Field(_)), true) if status == 200 => {
                ticket.renew = renew_ns.map(|ns| now.plus(ns));
            }
            // A socket that lives is not touched.
            (Err(error), false) => self.user_failed(leg, true, &format!("HTTP {status}: {error}"), now),
            // The ticket is not known any more: a new one, and a new socket.
            (Err(error @ BadBody::Code { .. }), true) if matches!(status, 400..=404) => {
                ticket.renew = None;
                self.user_failed(leg, false, &format!("its ticket was not renewed: {error}"), now);
            }
            // Tried again in a minute; half of its life is left.
            (Ok(_) | Err(_), true) => {}
        }
    }

    /// The sockets of a market's ticket are dialled anew, or those alone that wait for it.
    fn user_failed(&mut self, leg: LegKind, waiting: bool, why: &str, now: Nanos) {
        let venue = self.settings.target.venue.id;
        for purpose in [Purpose::User { venue, leg }, Purpose::HotUser { venue, leg }] {
            if let Some(at) = self.want_of(purpose).filter(|at| !waiting || self.is_due(*at, now)) {
                self.failed(at, why.to_owned(), now);
            }
        }
    }

    /// The text frames that subscribe, signed for now; `None` if the want is no private stream.
    pub(super) fn signed_subscription(&self, what: &What) -> Option<Vec<String>> {
        let What::Room { purpose, .. } = what else { return None };
        let (Purpose::User { venue, leg } | Purpose::HotUser { venue, leg }) = purpose else { return None };
        let key = self.settings.target.key.as_ref()?;
        let stamp = self.offsets.venue_time(lane(*venue, *leg), self.clock.now())?;
        Some((self.settings.target.venue.user.subscribe)(*leg, key, stamp))
    }
}
