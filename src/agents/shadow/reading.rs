//! The answers to what a round asks about an account: trades, whose they are, open orders, and what is held.
//!
//! Owns:  reading each answer and handing on what it tells; asking again for what was lost, could not be read, or was
//!        too long on its way.
//! Never: takes an unreadable answer for an empty one.

use super::recon::{Item, PAUSE_NS};
use super::{Question, Shadow};
use crate::agents::courier::Letter;
use crate::event::{Fill, Headers, Source, lane, market_of};
use crate::metal::crash;
use crate::units::time::SEC;
use crate::units::{ClientId, InstrumentId, LegKind, Nanos, Unix};
use crate::venue::audit::{TradeRow, TradesFrom};
use crate::venue::{self, BadBody};

/// An answer about the account that took longer is asked for anew: whether what others traded meanwhile is in it, nobody
/// can tell, and the books may begin with it.
const SLOW_NS: u64 = SEC;
/// So many are; what a slow link brings then is taken.
const SLOW_LOOKS: u32 = 3;
/// How often the wait after an answer that could not be read doubles at most (1.6 s).
const DOUBLINGS: u32 = 3;

impl Shadow {
    /// A question of a round was lost with its link.
    pub(super) fn audit_lost(&mut self, item: Item) {
        for round in self.recon.rounds.values_mut() {
            if round.flying.is_some_and(|(flying, _)| flying == item) {
                round.flying = None;
                round.todo.push_front(item);
            }
        }
    }

    /// An answer to a round's question.
    pub(super) fn on_audit(&mut self, item: Item, mut letter: Letter<Question>, now: Nanos) {
        let of_lane = match item {
            Item::Trades { instrument, .. } | Item::Whose { instrument, .. } => {
                let row = self.instruments.get(instrument);
                lane(row.venue, row.leg)
            }
            Item::Open(of_lane, _) | Item::Account(of_lane) => of_lane,
        };
        let (venue, leg) = market_of(of_lane);
        let venue = venue::get(venue);
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
        if round.flying.is_none_or(|(flying, _)| flying != item) {
            return;
        }
        round.flying = None;
        if matches!(item, Item::Account(_)) && now.since(round.asked_at) > SLOW_NS && round.slow < SLOW_LOOKS
        {
            round.slow += 1;
            round.todo.push_front(item);
            return self.tick_round(of_lane, now);
        }
        let symbols = self.symbols_of(of_lane);
        let body = &mut letter.body;
        let audit = &venue.audit;
        let read = match item {
            Item::Trades { instrument, from } => (audit.read_trades)(body, self.instruments.get(instrument))
                .map(|rows| self.on_trades(of_lane, instrument, from, &rows, now)),
            Item::Whose { instrument, order_id } => (audit.read_order)(body, &symbols, leg)
                .map(|row| self.on_whose(of_lane, instrument, order_id, &row, now)),
            Item::Open(..) => (audit.read_orders)(body, &symbols, leg).map(|rows| {
                for row in rows {
                    self.on_open(&row, now);
                }
            }),
            Item::Account(_) if leg == LegKind::Spot => {
                (audit.read_balances)(leg, body).map(|rows| self.on_balances(of_lane, &rows, now))
            }
            Item::Account(_) => {
                (audit.read_positions)(body, &symbols).map(|rows| self.on_positions(of_lane, &rows, now))
            }
        };
        match (read, self.recon.rounds.get_mut(&of_lane)) {
            (Err(error), _) => self.on_unread(of_lane, item, letter.status, &error, now),
            (Ok(()), Some(round)) => round.unread = 0,
            (Ok(()), None) => {}
        }
        // The next question leaves with this answer, not with the next round of timers.
        self.tick_round(of_lane, now);
    }

    fn on_unread(&mut self, of_lane: usize, item: Item, status: u16, error: &BadBody, now: Nanos) {
        let what = match item {
            Item::Trades { .. } => "trades",
            Item::Whose { .. } => "an order",
            Item::Open(..) => "open orders",
            Item::Account(_) => "the account",
        };
        self.tell_once(format!("{what} could not be read (HTTP {status}: {error}); asked again"));
        if let Some(round) = self.recon.rounds.get_mut(&of_lane) {
            round.todo.push_front(item);
            round.rest_until = now.plus(PAUSE_NS << round.unread.min(DOUBLINGS));
            round.unread += 1;
        }
    }

    fn on_trades(
        &mut self,
        of_lane: usize,
        instrument: InstrumentId,
        from: TradesFrom,
        rows: &[TradeRow],
        now: Nanos,
    ) {
        crash::point("K15g");
        let (venue, leg) = market_of(of_lane);
        let venue = venue::get(venue);
        let on = match (rows.last(), from) {
            (Some(last), _) if rows.len() >= venue.audit.trades_page => {
                Some(TradesFrom::Id(last.trade_id + 1))
            }
            // Where a page ends before the present, the next one begins there.
            (_, TradesFrom::Time(since)) => (venue.audit.trades_span_ns)(leg)
                .and_then(|span| i64::try_from(span).ok())
                .map(|span| Unix(since.0.saturating_add(span)))
                .filter(|next| *next < self.clock.unix())
                .map(TradesFrom::Time),
            _ => None,
        };
        if let (Some(from), Some(round)) = (on, self.recon.rounds.get_mut(&of_lane)) {
            round.todo.push_front(Item::Trades { instrument, from });
        }
        let mut whose = Vec::new();
        for row in rows {
            let order = (instrument, row.order_id);
            if self.ledger.has(instrument, row.trade_id) || self.recon.closed.contains(&order) {
                continue;
            }
            if self.recon.strangers.contains_key(&order) {
                self.count_foreign(instrument, row);
                continue;
            }
            match self.client_of(instrument, row.order_id) {
                Some(client) => self.on_fill(&fill_of(client, instrument, row), now),
                None => {
                    let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
                    let item = Item::Whose { instrument, order_id: row.order_id };
                    if !round.todo.contains(&item) && !whose.contains(&item) {
                        whose.push(item);
                    }
                    round.orphans.push((instrument, *row));
                }
            }
        }
        // In the order of the trades: what the venue closed is ours as far as our own trades before it are known.
        if let Some(round) = self.recon.rounds.get_mut(&of_lane) {
            whose.into_iter().rev().for_each(|item| round.todo.push_front(item));
        }
    }

    /// Our order with the venue's id, if it is one we know.
    fn client_of(&self, instrument: InstrumentId, order_id: u64) -> Option<ClientId> {
        let mut all = self.orders.values().chain(self.past.values()).map(|tracked| &tracked.order);
        all.find(|order| order.leg.instrument == instrument && order.order_id == order_id)
            .map(|order| order.client())
    }
}

pub(super) fn fill_of(client: ClientId, instrument: InstrumentId, row: &TradeRow) -> Fill {
    let TradeRow { trade_id, order_id, side, price, qty, fee, fee_asset, at } = *row;
    Fill {
        client,
        instrument,
        order_id,
        trade_id,
        side,
        price,
        qty,
        fee,
        fee_asset,
        at,
        source: Source::Query,
    }
}
