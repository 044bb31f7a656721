//! The trader's own private stream: fills and ends of its orders, maybe before their answers.
//!
//! Owns:  its sockets from the clerk's hands to their death, and what is taken of their messages.
//! Never: books (the shadow does, from the same facts), allocates for a message, reads what the shadow
//!        could not be told of, or stops anything by its loss: the answer tells the same.
//! Why:   a venue's event may beat its answer, and what can fire a leg is read hot (DESIGN §2). What is not
//!        an order of this run, or can't be read, the shadow hears on a socket of its own and acts on.

use super::TraderCounts;
use super::links::{Around, Flying, Line, OrderLinks};
use super::proof::Heard;
use crate::agents::socket::{GiveUp, Sign, Socket, Then};
use crate::agents::{Dead, FeedCard, Purpose};
use crate::event::{Answer, Counted, Source, Told, Verdict};
use crate::metal::entropy::Entropy;
use crate::metal::link::Link;
use crate::metal::poll::Slot;
use crate::metal::ring::Producer;
use crate::units::{Amount, ClientId, LegKind, Nanos, Qty, VenueId};
use crate::venue::UserHeard;

/// Room in the ring to the shadow that one message may need: a fill, and where the order stands.
const MESSAGE_EVENTS: usize = 2;

/// One of them.
#[derive(Debug)]
struct HotStream {
    purpose: Purpose,
    card: FeedCard,
    socket: Socket,
    /// Messages are left in the link's buffer, for want of room to tell of them.
    rest: bool,
}

/// All of them, by the slots of their links.
#[derive(Debug)]
pub(super) struct HotStreams {
    open: Vec<Option<HotStream>>,
    /// Whose orders are ours.
    identity: (u8, u32),
    /// Looked at next: for what was left, and for what their sessions want.
    rest: bool,
    due: Nanos,
    /// News for contingent legs that may wait before reading stops.
    heard_max: usize,
}

impl HotStreams {
    /// None yet; orders of this instance and epoch are ours.
    pub(super) fn new(capacity: usize, identity: (u8, u32)) -> Self {
        let mut open = Vec::with_capacity(capacity);
        open.resize_with(capacity, || None);
        Self { open, identity, rest: false, due: Nanos::NEVER, heard_max: 2 * capacity }
    }

    /// Whether this slot holds one.
    #[inline]
    pub(super) fn is(&self, slot: Slot) -> bool {
        self.open.get(usize::from(slot.0)).is_some_and(Option::is_some)
    }
}

impl OrderLinks {
    /// Whether private events of a market are heard.
    pub(super) fn hears(&self, venue: VenueId, leg: LegKind) -> bool {
        let purpose = Purpose::HotUser { venue, leg };
        self.hot.open.iter().flatten().any(|stream| stream.purpose == purpose)
    }

    /// A socket from the clerk takes the place of the one before it.
    pub(super) fn arrive_hot(
        &mut self,
        link: Link,
        purpose: Purpose,
        card: FeedCard,
        now: Nanos,
        entropy: &mut Entropy,
    ) {
        let open = &mut self.hot.open;
        let old = open.iter().position(|it| it.as_ref().is_some_and(|stream| stream.purpose == purpose));
        if let Some(at) = old {
            open[at] = None;
            if let Some(mut old) = self.links.remove(Slot(at as u16)) {
                old.close();
            }
        }
        let socket = Socket::new(card.rules, now, entropy.u64());
        let at = usize::from(self.links.insert(link).0);
        if at >= open.len() {
            open.resize_with(at + 1, || None);
        }
        open[at] = Some(HotStream { purpose, card, socket, rest: false });
        self.hot.due = now;
    }

    /// One `recv` and everything it completes, as far as the shadow can be told of it.
    pub(super) fn read_hot(&mut self, slot: Slot, around: &mut Around<'_>) {
        let Self { links, lines, hot, scratch, heard, .. } = self;
        let HotStreams { open, identity, rest, heard_max, .. } = hot;
        let (Some(link), Some(Some(stream))) = (links.get_mut(slot), open.get_mut(usize::from(slot.0)))
        else {
            return;
        };
        let HotStream { card, socket, rest: own_rest, .. } = stream;
        // What is left is read first; the link stays ready for what came behind it.
        let got = if std::mem::take(own_rest) { Ok(0) } else { link.recv() };
        let received = around.clock.now();
        let (told, counts) = (&mut *around.told, &mut *around.counts);
        let outcome = socket.read_some(link, received, around.entropy, |sign| {
            let (Sign::Message(message) | Sign::Binary(message)) = sign else { return Ok(Then::More) };
            match (card.venue.user.decode)(scratch, &card.symbols, card.leg, message) {
                Ok(UserHeard::Ended) => return Err(GiveUp("the venue ended this private stream".to_owned())),
                Ok(UserHeard::Rejected { code, .. }) => {
                    return Err(GiveUp(format!("the venue refused this private stream (code {code})")));
                }
                Ok(event) => {
                    if let Some(news) = tell(&event, *identity, received, told) {
                        count_beaten(lines, &news, counts);
                        heard.push_back(news);
                    }
                }
                Err(_) => {}
            }
            let more = told.has_room(MESSAGE_EVENTS) && heard.len() < *heard_max;
            Ok(if more { Then::More } else { Then::Enough })
        });
        match (outcome, got) {
            (Err(GiveUp(why)), _) => self.drop_hot(slot, why, around),
            (Ok(Then::Enough), Ok(_)) => (*own_rest, *rest) = (true, true),
            (Ok(Then::More), Ok(_)) => {}
            // What was whole before the end has been read, as far as there was room.
            (Ok(_), Err(error)) => self.drop_hot(slot, error.to_string(), around),
        }
    }

    /// Reads what was left for want of room; pings where a socket went quiet, gives up where it stayed so.
    pub(super) fn tend_hot(&mut self, now: Nanos, around: &mut Around<'_>) -> usize {
        let mut work = 0;
        let rest = self.hot.rest && around.told.has_room(MESSAGE_EVENTS);
        let due = now >= self.hot.due;
        if !rest && !due {
            return work;
        }
        self.hot.rest &= !rest;
        self.hot.due = if due { Nanos::NEVER } else { self.hot.due };
        for at in 0..self.hot.open.len() {
            let slot = Slot(at as u16);
            if rest && self.hot.open[at].as_ref().is_some_and(|stream| stream.rest) {
                if around.told.has_room(MESSAGE_EVENTS) {
                    work += 1;
                    self.read_hot(slot, around);
                } else {
                    self.hot.rest = true;
                }
            }
            let (Some(stream), Some(link)) = (self.hot.open[at].as_mut(), self.links.get_mut(slot)) else {
                continue;
            };
            if !due {
                continue;
            }
            match stream.socket.tend(link, now, around.entropy) {
                Ok(due) => self.hot.due = self.hot.due.min(due),
                Err(GiveUp(why)) => self.drop_hot(slot, why, around),
            }
        }
        work
    }

    fn drop_hot(&mut self, slot: Slot, why: String, around: &mut Around<'_>) {
        let stream = self.hot.open.get_mut(usize::from(slot.0)).and_then(Option::take);
        if let (Some(stream), Some(mut link)) = (stream, self.links.remove(slot)) {
            link.close();
            around.counts.feed_lost += 1;
            // The ring back holds every link there can be.
            let _ = around.dead.push(Dead { link, purpose: stream.purpose, why });
        }
    }
}

/// Tells the shadow of an order of ours, in the words its own stream would use; room was seen.
#[inline]
fn tell(event: &UserHeard, identity: (u8, u32), received: Nanos, told: &mut Producer<Told>) -> Option<Heard> {
    let ours = |client: ClientId| {
        client.parts().is_some_and(|parts| (parts.instance, parts.epoch) == identity).then_some(())
    };
    match *event {
        UserHeard::Order { client, instrument, order_id, verdict, fill } => {
            ours(client)?;
            if let Some(fill) = fill {
                let _ = told.push(Told::Fill(fill));
            }
            let (counted, source) = (Counted::default(), Source::Stream);
            let answer = Answer { client, instrument, received, verdict, order_id, counted, source };
            let _ = told.push(Told::Answer(answer));
            let trade = fill.map(|fill| (fill.trade_id, fill.qty));
            Some(Heard { client, verdict: Some(verdict), trade, net: Amount::ZERO })
        }
        UserHeard::Trade { client, instrument, order_id, trade_id, qty } => {
            ours(client)?;
            let _ = told.push(Told::Trade { client, instrument, order_id, trade_id, qty });
            Some(Heard { client, verdict: None, trade: Some((trade_id, qty)), net: Amount::ZERO })
        }
        _ => None,
    }
}

/// Counts an order once whose fill or end is told while its answer is still on its way.
#[inline]
fn count_beaten(lines: &mut [Option<Line>], news: &Heard, counts: &mut TraderCounts) {
    let proves = match news.verdict {
        Some(Verdict::Terminal { .. }) => true,
        Some(Verdict::Open { executed }) => executed > Qty::ZERO,
        _ => news.trade.is_some(),
    };
    for line in lines.iter_mut().flatten() {
        if let Some((Flying::Order { client, beaten, .. }, _)) = &mut line.flying
            && proves
            && *client == news.client
            && !std::mem::replace(beaten, true)
        {
            counts.feed_before_ack += 1;
        }
    }
}

#[cfg(test)]
#[path = "hot_tests.rs"]
mod tests;
