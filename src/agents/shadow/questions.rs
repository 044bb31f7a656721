//! The shadow's questions to a venue: what became of an order, which trades it made, and its end.
//!
//! Owns:  [`Question`], putting one about an order on its market's courier, and reading the answer.
//! Never: takes a refused or unreadable answer for news about the order; cancels one that may still end by
//!        itself in time.
//! Why:   a cancel leaves from here and not from the trader: it makes nothing, so it needs no id, no intent
//!        record and no gate, it may leave while killed, and the trader's link may be the very thing that hangs.

use super::{Shadow, income, recon};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::desk::order::{Action, T_ACK_NS};
use crate::event::{Answer, Fill, Headers, Source, lane};
use crate::units::time::{MS, SEC};
use crate::units::{Class, ClientId, InstrumentId, Nanos};
use crate::venue::{self, Reply};
use std::sync::Arc;

/// What is asked of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfOrder {
    /// What became of it?
    Fate,
    /// Which trades did it make?
    Trades,
    /// End it.
    Cancel,
}

/// What a query was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Something of an order of ours.
    Order(OfOrder, ClientId),
    /// The margin of a market's positions.
    Margin(usize),
    /// Which positions a market holds.
    Positions(usize),
    /// How much margin a market's perps must keep.
    Brackets(usize),
    /// The reference price of an instrument's band: the n-th place to ask.
    Reference(InstrumentId, usize),
    /// Something of the account as a whole.
    Audit(recon::Item),
    /// What a market's wallet holds.
    Wallet(usize),
    /// Which funding was paid, and what the wallet holds.
    Income(income::Part),
    /// What a coin costs that fees were taken in, of this market's venue.
    CoinPrice(usize),
}

impl Question {
    /// What it asks of which order, if it is about one.
    const fn of_order(&self) -> Option<(OfOrder, ClientId)> {
        if let Self::Order(what, client) = *self { Some((what, client)) } else { None }
    }
}

impl Shadow {
    /// Asks something about an order, or for its end, as soon as it is its turn.
    pub(super) fn ask(&mut self, action: Action, client: ClientId) {
        let what = match action {
            Action::Wait => return,
            Action::Query => OfOrder::Fate,
            Action::FetchTrades => OfOrder::Trades,
            Action::Cancel => OfOrder::Cancel,
        };
        let now = self.clock.now();
        if action == Action::Cancel {
            self.tell_overdue(client, now);
        }
        let Some(tracked) = self.orders.get(&client) else { return };
        let row = self.instruments.get(tracked.order.leg.instrument);
        let lane = lane(row.venue, row.leg);
        // Without a link the order's own timer asks again.
        if let Some(courier) = self.couriers.get_mut(&lane) {
            courier.wish(Question::Order(what, client));
            self.ask_next_of_orders(lane, now);
        }
    }

    /// Sends a market's next question about an order: what may hide an exposure goes before what is only to be booked.
    /// What was answered while it waited, or has no room, is not asked: the order's own timer asks again.
    pub(super) fn ask_next_of_orders(&mut self, of_lane: usize, now: Nanos) {
        while let Some((what, client, doubted)) = self.next_of_orders(of_lane) {
            let Some(order) = self.orders.get(&client).map(|tracked| tracked.order) else { continue };
            let over = if what == OfOrder::Trades { order.closed() } else { order.ended() };
            let (Some(key), Some(stamp)) = (&self.key, self.offsets.venue_time(of_lane, now)) else {
                continue;
            };
            if over {
                continue;
            }
            let row = self.instruments.get(order.leg.instrument);
            let (venue, window) = (venue::get(row.venue), self.settings.recv_window_ms);
            let ask = match what {
                OfOrder::Fate => (venue.order_query)(row, client, key, stamp, window),
                OfOrder::Trades => (venue.trades_query)(row, order.order_id, key, stamp, window),
                OfOrder::Cancel => (venue.audit.cancel)(row, client, key, stamp, window),
            };
            // What may hide an exposure is asked for beyond the line where other reads stop.
            let line = if doubted { Line::Reserve } else { Line::Normal };
            if self.may_ask(of_lane, line, ask.weight, now)
                && let Some(courier) = self.couriers.get_mut(&of_lane)
            {
                courier.post_first(Question::Order(what, client), ask);
            }
        }
    }

    /// That question, its order, and whether that is in doubt.
    fn next_of_orders(&mut self, of_lane: usize) -> Option<(OfOrder, ClientId, bool)> {
        let told = |client| self.orders.get(&client).is_some_and(|tracked| tracked.told_unknown);
        let doubted = |(what, client)| what == OfOrder::Cancel || told(client);
        let courier = self.couriers.get_mut(&of_lane)?;
        let question =
            courier.take_wish(|it| it.of_order().is_some(), |it| it.of_order().is_some_and(doubted))?;
        let (what, client) = question.of_order()?;
        Some((what, client, doubted((what, client))))
    }

    fn tell_overdue(&mut self, client: ClientId, now: Nanos) {
        let Some(tracked) = self.orders.get_mut(&client) else { return };
        let age_ns = now.since(tracked.order.leg.sent);
        if tracked.order.is_second() && age_ns < T_ACK_NS {
            let ms = age_ns / MS;
            let what = if tracked.order.class == Class::Repair { "a repair" } else { "the leg that waited" };
            self.note(format!("order {client}: {what}, and it stands at the venue after {ms} ms; cancelled"));
            return;
        }
        if !std::mem::replace(&mut tracked.cancelled, true) {
            self.alert(format!(
                "order {client}: not over after {} s, or left open by an earlier run; cancelled, and asked about until \
                 its end is proven",
                T_ACK_NS / SEC
            ));
        }
    }

    pub(super) fn on_letter(&mut self, letter: Letter<Question>, now: Nanos) {
        match letter.tag {
            Question::Order(what, client) => self.on_order_letter(what, client, letter, now),
            Question::Audit(item) => self.on_audit(item, letter, now),
            Question::Wallet(of_lane) => self.on_wallet_read(of_lane, letter, now),
            Question::Income(part) => self.on_income(part, letter, now),
            Question::Brackets(of_lane) => self.on_brackets(of_lane, letter, now),
            Question::CoinPrice(of_lane) => self.on_coin_price(of_lane, letter, now),
            Question::Margin(of_lane) => self.on_margin(of_lane, letter, now),
            Question::Positions(of_lane) => self.on_look(of_lane, letter, now),
            Question::Reference(instrument, nth) => self.on_reference(instrument, nth, letter, now),
        }
    }

    fn on_order_letter(&mut self, what: OfOrder, client: ClientId, letter: Letter<Question>, now: Nanos) {
        let instruments = Arc::clone(&self.instruments);
        let Some(tracked) = self.orders.get(&client) else { return };
        let (pair, instrument) = (tracked.order.pair, tracked.order.leg.instrument);
        let row = instruments.get(instrument);
        let venue = venue::get(row.venue);
        let lane = lane(row.venue, row.leg);
        let Letter { status, counted, sent, received, mut body, .. } = letter;
        self.hear_counted(&Headers { lane, counted, sent }, now);
        let reply = Reply { status, counted, body: &body };
        let (judged, source) = match what {
            OfOrder::Fate => {
                let judged = (venue.read_query)(&reply, row, client, &mut self.scratch, &mut self.fills);
                (judged, Source::Query)
            }
            OfOrder::Cancel => {
                self.fills.clear();
                ((venue.audit.read_cancel)(&reply, row, client, &mut self.scratch), Source::Cancel)
            }
            OfOrder::Trades => {
                let read = if status == 200 {
                    (venue.read_trades)(&mut body, row, client, &mut self.fills)
                        .map_err(|error| error.to_string())
                } else {
                    Err(format!("HTTP status {status}"))
                };
                self.take_fills(now);
                if let Err(why) = read {
                    self.note(format!("trades of order {client} could not be read ({why}); asking again"));
                }
                return self.settle(pair, now);
            }
        };
        self.take_fills(now);
        let (verdict, order_id) = (judged.verdict, judged.order_id);
        self.on_answer(&Answer { client, instrument, received, verdict, order_id, counted, source }, now);
    }

    /// Books what an answer told.
    fn take_fills(&mut self, now: Nanos) {
        let fills: Vec<Fill> = self.fills.drain(..).collect();
        for fill in &fills {
            self.on_fill(fill, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::courier::Courier;
    use crate::agents::shadow::streams::tests::{Alone, alone};
    use crate::event::{Counted, LANES, Offsets};
    use crate::metal::link::{MemoryPeer, memory_pair};
    use crate::metal::tap::Tap;
    use crate::units::{LegKind, LinkId, VenueId};
    use crate::venue::Key;

    /// What a lost link took with it is asked on the next one, in the same moment: the order's own timer waits for two
    /// seconds by then.
    #[test]
    fn a_question_that_was_lost_with_its_link_is_asked_on_the_next_one() {
        let mut alone = alone();
        alone.shadow.key = Some(Arc::new(Key::new("k".repeat(64), "s".repeat(64))));
        alone.shadow.offsets = Offsets([Some(0); LANES]);
        alone.fire();
        let client = *alone.shadow.orders.keys().next().unwrap();
        let of_lane = lane(VenueId(0), LegKind::Spot);
        let (clock, tap) = (alone.shadow.clock.clone(), Tap::off());
        alone.shadow.couriers.insert(of_lane, Courier::new(|_, _| Counted::default(), clock, &tap));
        let attach = |alone: &mut Alone, n| {
            let (link, peer) = memory_pair(LinkId(n), "venue", 1 << 12, 1 << 14);
            alone.shadow.couriers.get_mut(&of_lane).unwrap().attach(link);
            peer
        };
        let asked = |peer: &mut MemoryPeer| {
            let mut out = Vec::new();
            peer.take(&mut out);
            String::from_utf8(out).unwrap().matches("DELETE /api/v3/order?").count()
        };
        let mut first = attach(&mut alone, 1);
        alone.shadow.ask(Action::Cancel, client);
        alone.shadow.mail(Nanos(SEC));
        assert_eq!(asked(&mut first), 1);
        first.close();
        while alone.shadow.mail(Nanos(SEC)) > 0 {}
        let mut second = attach(&mut alone, 2);
        alone.shadow.mail(Nanos(SEC));
        alone.shadow.mail(Nanos(SEC));
        assert_eq!(asked(&mut second), 1, "asked again");
    }
}
