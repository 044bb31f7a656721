//! The clerk's requests: what waits to be asked for, and leaves when its market has room for it.
//!
//! Owns:  the list of errands, what of the budget they may take and have taken, the couriers' turns.
//! Never: sends while a market wants to hear nothing, or beyond what the shadow allows; signs a request
//!        before it may leave, since its stamp would grow old.

use super::Clerk;
use crate::agents::courier::Delivery;
use crate::event::{Counted, Headers, LANES, News, Reads, Spent, lane};
use crate::units::time::SEC;
use crate::units::{InstrumentId, LegKind, Nanos};
use crate::venue::Ask;
use crate::venue::standing::Part;
use std::collections::{BTreeMap, VecDeque};

/// What a request of the clerk is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// What trades on a market.
    Listing(LegKind),
    /// What trades there still, and by which rules.
    Relisting(LegKind),
    /// What time it is there.
    Time(LegKind),
    /// Marks and funding estimates, once, so that a start need not wait for their streams.
    Marks,
    /// What was settled of a perp.
    Settled(InstrumentId),
    /// What a market's prices were.
    Candles(InstrumentId),
    /// By which intervals perps settle.
    Intervals,
    /// What we pay.
    Fees(LegKind, Option<InstrumentId>),
    /// How the account stands.
    Standing(Part),
    /// What the perp wallet holds.
    Wallet,
    /// What a private stream's path needs.
    Ticket {
        /// Whose.
        leg: LegKind,
        /// Longer life for the one in use.
        renew: bool,
    },
}

/// What waits, market by market, and the budget.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// With the weight each is known to have, at least.
    waiting: BTreeMap<LegKind, VecDeque<(Errand, u32)>>,
    pub(super) allowed: Reads,
    spent: [u64; LANES],
    /// An answer to us asked to be left alone until then; the shadow says so a moment later.
    quiet: [Nanos; LANES],
}

impl Errands {
    /// Sends nothing to a market before `until`.
    pub(super) fn pause(&mut self, lane: usize, until: Nanos) {
        self.quiet[lane] = self.quiet[lane].max(until);
    }

    /// Adds what does not wait already.
    pub(super) fn add_once(&mut self, leg: LegKind, errand: Errand) {
        let waiting = self.waiting.get(&leg);
        if !waiting.is_some_and(|waiting| waiting.iter().any(|(it, _)| *it == errand)) {
            self.add(leg, errand);
        }
    }

    pub(super) fn add(&mut self, leg: LegKind, errand: Errand) {
        self.waiting.entry(leg).or_default().push_back((errand, 1));
    }
}

impl Clerk {
    pub(super) fn learn_reads(&mut self) {
        if let Some(words) = self.doors.reads.changed() {
            self.errands.allowed = Reads::from_words(words);
        }
    }

    /// Whether a market wants to hear nothing now.
    pub(super) fn is_quiet(&self, leg: LegKind, now: Nanos) -> bool {
        let lane = lane(self.settings.target.venue.id, leg);
        now < self.errands.quiet[lane].max(self.errands.allowed.quiet[lane])
    }

    /// Whether a request of this weight is allowed.
    pub(super) fn has_room(&self, leg: LegKind, weight: u32) -> bool {
        let lane = lane(self.settings.target.venue.id, leg);
        self.errands.spent[lane] + u64::from(weight) <= self.errands.allowed.weight[lane]
    }

    /// A request leaves.
    pub(super) fn spend(&mut self, leg: LegKind, weight: u32, now: Nanos) {
        let lane = lane(self.settings.target.venue.id, leg);
        self.errands.spent[lane] += u64::from(weight);
        self.tell(News::Spent(Spent { lane, weight, sent: now }));
    }

    /// Tells the shadow what an answer's headers said; whether they ask to be left alone.
    pub(super) fn hear(&mut self, leg: LegKind, counted: Counted, sent: Nanos, received: Nanos) -> bool {
        let lane = lane(self.settings.target.venue.id, leg);
        if let Some(seconds) = counted.retry_after_s {
            self.errands.pause(lane, received.plus(u64::from(seconds) * SEC));
        }
        self.tell(News::Headers(Headers { lane, counted, sent }));
        counted.retry_after_s.is_some()
    }

    /// Whether nothing of a market waits or flies, and its link is up.
    pub(super) fn is_free(&self, leg: LegKind) -> bool {
        self.errands.waiting.get(&leg).is_none_or(VecDeque::is_empty)
            && self.couriers.get(&leg).is_some_and(|courier| courier.is_ready())
    }

    /// Sends each market's next errand, if it may leave.
    pub(super) fn send_errands(&mut self, now: Nanos) {
        for leg in LegKind::BOTH {
            if self.is_quiet(leg, now) {
                self.take_from_courier(leg);
                continue;
            }
            let next = self.errands.waiting.get(&leg).and_then(|waiting| waiting.front());
            let ready = self.couriers.get(&leg).is_some_and(|courier| courier.is_ready());
            let Some((errand, weight)) = next.copied().filter(|_| ready) else { continue };
            if !self.has_room(leg, weight) {
                continue;
            }
            let ask = self.ask_of(errand, now);
            let Some(waiting) = self.errands.waiting.get_mut(&leg) else { continue };
            match (ask, self.couriers.get_mut(&leg)) {
                (Some(ask), Some(courier)) => {
                    if let Some(front) = waiting.front_mut().filter(|_| ask.weight > weight) {
                        // Known now; looked at again when it fits.
                        front.1 = ask.weight;
                        continue;
                    }
                    waiting.pop_front();
                    let weight = ask.weight;
                    courier.post(errand, ask);
                    self.spend(leg, weight, now);
                }
                _ => _ = waiting.pop_front(),
            }
        }
    }

    /// What was posted and did not leave waits again.
    pub(super) fn take_from_courier(&mut self, leg: LegKind) {
        let Some(courier) = self.couriers.get_mut(&leg) else { return };
        for errand in courier.forget_queue() {
            self.errands.waiting.entry(leg).or_default().push_front((errand, 1));
        }
    }

    /// The request for an errand, signed for now; `None`: there is nothing to ask.
    fn ask_of(&self, errand: Errand, now: Nanos) -> Option<Ask> {
        let target = &self.settings.target;
        let venue = target.venue;
        match errand {
            Errand::Listing(leg) => Some((venue.listing_request)(leg)),
            Errand::Relisting(leg) => {
                let of_leg = |ask: &Ask| venue.endpoint(ask.endpoint).is_some_and(|it| it.leg == leg);
                (venue.relisting_requests)(self.present()?).into_iter().find(of_leg)
            }
            Errand::Time(leg) => Some((venue.time_request)(leg)),
            Errand::Marks => Some((venue.marks_request)()),
            Errand::Settled(id) => self.settled_ask(id, now),
            Errand::Candles(id) => self.candles_ask(id),
            Errand::Intervals => Some((venue.funding.intervals)()),
            Errand::Fees(leg, instrument) => {
                let stamp = self.offsets.venue_time(lane(venue.id, leg), now)?;
                let mut asks = self.fees_asks(stamp).into_iter();
                asks.find(|fees| (fees.leg, fees.instrument) == (leg, instrument)).map(|fees| fees.ask)
            }
            Errand::Standing(part) => {
                let stamp = self.offsets.venue_time(lane(venue.id, self.market_of(errand)), now)?;
                let key = target.key.as_ref()?;
                Some((venue.standing.ask)(part, key, stamp, self.settings.recv_window_ms))
            }
            Errand::Wallet => {
                let stamp = self.offsets.venue_time(lane(venue.id, LegKind::Perp), now)?;
                let key = target.key.as_ref()?;
                Some((venue.audit.balances)(LegKind::Perp, key, stamp, self.settings.recv_window_ms))
            }
            Errand::Ticket { leg, renew } => (venue.user.ticket)(leg, target.key.as_ref()?, renew),
        }
    }

    /// Takes in what the couriers bring.
    pub(super) fn errands(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for leg in LegKind::BOTH {
            while let Some(delivery) = self.couriers.get_mut(&leg).and_then(|courier| courier.turn(now)) {
                work += 1;
                match delivery {
                    Delivery::Answer(letter) => self.on_letter(leg, letter),
                    Delivery::Lost { tag, .. } => self.ask_again(tag, now),
                    Delivery::Broken { why, .. } => {
                        self.take_from_courier(leg);
                        self.bulk_broke(leg, why, now);
                    }
                }
            }
        }
        work
    }

    /// A read that was lost or turned away may be repeated: it changes nothing.
    pub(super) fn ask_again(&mut self, errand: Errand, now: Nanos) {
        match errand {
            Errand::Time(leg) => {
                if let Some(samples) = self.clocks.get_mut(&leg) {
                    samples.missed();
                }
            }
            Errand::Ticket { leg, .. } => {
                if let Some(ticket) = self.user_tickets.get_mut(&leg) {
                    ticket.asked = false;
                }
            }
            Errand::Listing(leg) | Errand::Fees(leg, _) => self.errands.add(leg, errand),
            Errand::Standing(_) | Errand::Wallet | Errand::Marks => {
                self.errands.add(self.market_of(errand), errand);
            }
            Errand::Relisting(leg) => self.errands.add_once(leg, errand),
            Errand::Settled(_) | Errand::Candles(_) | Errand::Intervals => {
                self.history_failed(errand, true, now);
            }
        }
    }
}
