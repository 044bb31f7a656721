//! Orders whose end was told and that are told of again (R19).
//!
//! Owns:  the orders of resolved pairs for as long as more may come of them, and what follows when it does.
//! Never: lets such a pair be traded before it is put right, or a fill pass for one that was expected.

use super::Shadow;
use crate::desk::order::State;
use crate::event::{Answer, End, PairState, Verdict};
use crate::units::time::SEC;
use crate::units::{ClientId, Nanos, PairId, Qty};

/// Orders of resolved pairs that are remembered.
const PAST_MAX: usize = 4_096;
/// The longest settling time that a venue which broke its word is given.
const SETTLE_MAX_NS: u64 = 120 * SEC;
/// How long a venue that broke its word takes no entry (R19).
const BROKEN_WORD_NS: u64 = 3_600 * SEC;

impl Shadow {
    /// A resolved pair's orders: kept for a while, the oldest given up first.
    pub(super) fn remember(&mut self, pair: PairId) {
        let done: Vec<ClientId> =
            self.orders.values().filter(|it| it.order.pair == pair).map(|it| it.order.client()).collect();
        for client in done {
            if let Some(tracked) = self.orders.remove(&client) {
                self.past.insert(client, tracked);
            }
        }
        while self.past.len() > PAST_MAX {
            self.past.pop_first();
        }
    }

    /// Whether an answer tells more of a resolved order than is booked.
    pub(super) fn says_more(&self, answer: &Answer) -> bool {
        let told = match answer.verdict {
            Verdict::Terminal { executed } | Verdict::Open { executed } => executed,
            _ => Qty::ZERO,
        };
        self.past.get(&answer.client).is_some_and(|past| told > past.order.executed)
    }

    /// More came of a resolved order: it counts among the open ones again.
    pub(super) fn revive(&mut self, client: ClientId, now: Nanos) {
        let Some(tracked) = self.past.remove(&client) else { return };
        self.orders.insert(client, tracked);
        self.on_late(client, now);
    }

    /// More was executed than an order's end told (R19): its pair is put right before it may trade, and
    /// the venue, whose word was taken for evidence, takes no entry for a while.
    pub(super) fn on_late(&mut self, client: ClientId, now: Nanos) {
        let Some(tracked) = self.orders.get_mut(&client) else { return };
        if std::mem::replace(&mut tracked.late, true) {
            return;
        }
        if tracked.order.state == State::Ended(End::NeverLanded) {
            // Our time was too short for this venue.
            self.settings.settle_ns = self.settings.settle_ns.saturating_mul(2).min(SETTLE_MAX_NS);
        }
        let pair = tracked.order.pair;
        let row = self.instruments.get(tracked.order.leg.instrument);
        let venue = row.venue;
        self.alert(format!(
            "order {client} ({} {}): more was executed than its end told; booked and put right",
            row.leg, row.symbol
        ));
        let at = usize::from(pair.0);
        self.books[at].late = true;
        if matches!(self.books[at].state, PairState::Flat | PairState::Hedged) {
            self.set_state(pair, PairState::Busy, "a fill after the end of its order");
        }
        self.freeze(venue, now.plus(BROKEN_WORD_NS), "an order was executed after its end was told");
        self.publish_terms(at, now);
    }
}
