//! Fees that were taken in a coin neither leg trades, such as the venue's own: what they were worth.
//!
//! Owns:  asking the venue what such a coin costs while fees in it are not valued, and booking the answer.
//! Never: leaves such a fee out in silence: what has no price stays named (`fees_unvalued` in every summary).
//! Why:   a start refuses an account that pays in such a coin, but somebody may turn the switch while it trades, and
//!        money that left is money that left. One reading a minute values all that was taken since the one before.

use super::{Phase, Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::event::{Asset, Headers, Record, lane};
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos};
use crate::venue::{self, BadBody};
use std::collections::BTreeSet;

/// At most so often, and so long after an answer that could not be read or while stopping.
const EVERY_NS: u64 = 60 * SEC;
const AGAIN_NS: u64 = 2 * SEC;
/// No answer for so long: asked again.
const LOST_NS: u64 = 15 * SEC;

/// What is asked about such coins.
#[derive(Debug, Default)]
pub(super) struct FeeCoins {
    /// Nothing is asked before.
    due: Nanos,
    flying: Option<(Asset, Nanos)>,
    /// Coins that the venue has no price of.
    unpriced: BTreeSet<Asset>,
}

impl Shadow {
    /// The first coin with fees that may still be valued.
    fn coin_to_value(&self) -> Option<Asset> {
        let unpriced = &self.fee_coins.unpriced;
        self.ledger.sums().unvalued.keys().copied().find(|coin| !unpriced.contains(coin))
    }

    /// Whether a stop should wait for the worth of a fee.
    pub(super) fn fees_pending(&self) -> bool {
        self.needs_account() && self.coin_to_value().is_some()
    }

    /// Asks for the price that is due.
    pub(super) fn tick_fee_coins(&mut self, now: Nanos) {
        // A start has questions that come first.
        if !self.needs_account() || !matches!(self.phase, Phase::Trading(_) | Phase::Stopping(_)) {
            return;
        }
        self.fee_coins.flying = self.fee_coins.flying.filter(|(_, asked)| now.since(*asked) < LOST_NS);
        let Some(coin) = self.coin_to_value().filter(|_| self.fee_coins.flying.is_none()) else { return };
        if matches!(self.phase, Phase::Stopping(_)) {
            self.fee_coins.due = self.fee_coins.due.min(now.plus(AGAIN_NS));
        }
        let Some(pair) = self.instruments.pairs.first().filter(|_| now >= self.fee_coins.due) else { return };
        let row = self.instruments.get(pair.spot);
        let of_lane = lane(row.venue, LegKind::Spot);
        let Some(ask) = (venue::get(row.venue).audit.coin_price)(coin, row.quote) else {
            return self.has_no_price(coin);
        };
        self.fee_coins.due = now.plus(AGAIN_NS);
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, Line::Normal, ask.weight, now) {
            return;
        }
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::CoinPrice(of_lane), ask);
            self.fee_coins.flying = Some((coin, now));
        }
    }

    /// An answer to the question.
    pub(super) fn on_coin_price(&mut self, of_lane: usize, mut letter: Letter<Question>, now: Nanos) {
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let Some((coin, _)) = self.fee_coins.flying.take() else { return };
        let (venue, _) = crate::event::market_of(of_lane);
        match (venue::get(venue).audit.read_coin_price)(&mut letter.body) {
            Ok(price) => {
                self.fee_coins.due = now.plus(EVERY_NS);
                self.ledger.value_fees(coin, price);
                self.write(Record::FeePrice { at: self.clock.unix(), asset: coin, price });
                self.tell_once(format!(
                    "fees are taken in {coin}; they are valued at its price, read once a minute"
                ));
            }
            Err(BadBody::Code { .. }) if letter.status < 429 => self.has_no_price(coin),
            Err(error) => self.tell_once(format!(
                "the price of {coin} could not be read (HTTP {}: {error}); asked again",
                letter.status
            )),
        }
    }

    fn has_no_price(&mut self, coin: Asset) {
        self.fee_coins.unpriced.insert(coin);
        self.alert(format!(
            "fees are taken in {coin}, and the venue tells no price of it: they are in no part of the profit, and named \
             beside it"
        ));
    }
}
