//! What an account holds against what the books say, instrument by instrument.
//!
//! Owns:  when an answer may be held against the books, what follows when both are equal or differ, and the
//!        last word of evidence C.
//! Never: calls books equal that moved while the answer was on its way, or explains a difference away.

use super::Shadow;
use super::recon::{Difference, Item, PAUSE_NS};
use super::standing::PATIENCE_NS;
use crate::desk::ledger::worth;
use crate::desk::order::Order;
use crate::event::{Asset, End, PairState, Record, WalletRow, lane};
use crate::metal::crash;
use crate::units::decimal::pow10_i128;
use crate::units::time::SEC;
use crate::units::{Amount, ClientId, InstrumentId, LegKind, Nanos, PairId, Unix};
use crate::venue::audit::{BalanceRow, PositionRow, TradeRow, TradesFrom};
use std::collections::{BTreeMap, BTreeSet};

/// The pause before another reading doubles so often.
const REPEATS_SLOWED: u32 = 3;
/// Where something stays unexplained, an order searched for there is looked for again so much later.
const LOOK_AGAIN_NS: u64 = 30 * SEC;

/// What orders of others moved.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// Of each asset of the spot wallet, as far as it is in no baseline of it: bought or sold, paid, and taken as fees.
    coins: BTreeMap<Asset, Amount>,
    /// When the last trade that moved an asset was made, in the venue's time.
    last: BTreeMap<Asset, Unix>,
    /// Of perp positions, in units of the instrument's quantity.
    units: BTreeMap<InstrumentId, i128>,
}

impl Foreign {
    /// What they moved of a perp position.
    pub(super) fn units(&self, perp: InstrumentId) -> i128 {
        self.units.get(&perp).copied().unwrap_or(0)
    }
}

/// What a comparison says of one holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As in the books.
    Equal,
    /// As in the books, though orders of others moved it: who moved it back is not known, and no order is in doubt.
    Undone,
    /// It differs by just what orders of others did: not ours (R20), and no trace of an order in doubt.
    Foreign(String),
    /// It differs by so much.
    Differs(i128, String),
    /// It differs by so much, and no trade made that: what one would have been paid in is as in the books.
    Untraded(i128, String),
}

impl Verdict {
    /// `doubted`: an order of it was searched for in vain. What others moved must be there then, too: an order
    /// that filled unseen may have undone it.
    fn of(difference: i128, foreign: i128, doubted: bool, text: impl FnOnce() -> String) -> Self {
        match difference {
            0 if foreign == 0 => Self::Equal,
            0 if !doubted => Self::Undone,
            some if some == foreign => Self::Foreign(text()),
            _ => Self::Differs(difference, text()),
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Equal | Self::Undone => None,
            Self::Foreign(text) | Self::Differs(_, text) | Self::Untraded(_, text) => Some(text),
        }
    }
}

/// Trades of an order are looked for from then on.
pub(super) fn began(order: &Order) -> Unix {
    Unix(order.leg.stamp.0 - 5 * SEC as i64)
}

impl Shadow {
    /// When an order was last searched for in vain, and how it ended if nothing of it was traded or is held. A venue
    /// forgets dead orders, and of one older than its memory "not found" is no evidence C (its item 5); but what was
    /// filled it tells far longer, so the trades of such an order's whole life decide (F88). Older than those: nothing
    /// does.
    fn in_vain(&self, order: &Order) -> Option<(Nanos, End)> {
        let row = self.instruments.get(order.leg.instrument);
        let audit = &crate::venue::get(row.venue).audit;
        let time = self.offsets.venue_time(lane(row.venue, row.leg), self.clock.now());
        let present = time.unwrap_or_else(|| self.clock.unix());
        let age_ns = u64::try_from(present.0.saturating_sub(order.leg.stamp.0)).unwrap_or(0);
        if age_ns < (audit.history_ns)(row.leg) {
            order.missing().map(|at| (at, End::NeverLanded))
        } else if age_ns < (audit.fills_ns)(row.leg) {
            order.vanished().map(|at| (at, End::Unfilled))
        } else {
            None
        }
    }

    /// When an order was last searched for in vain, if that proves anything.
    pub(super) fn lost(&self, order: &Order) -> Option<Nanos> {
        self.in_vain(order).map(|(at, _)| at)
    }

    /// Counts what a trade of somebody else's moved, once. Of a position all counts, for the books of it begin with
    /// nothing.
    pub(super) fn count_foreign(&mut self, instrument: InstrumentId, trade: &TradeRow) {
        let counted = self.recon.strangers.entry((instrument, trade.order_id)).or_default();
        if !counted.insert(trade.trade_id) {
            return;
        }
        let row = self.instruments.get(instrument);
        let sign = i128::from(trade.side.sign());
        if row.leg == LegKind::Perp {
            *self.recon.foreign.units.entry(instrument).or_default() += i128::from(trade.qty.0) * sign;
            return;
        }
        let coins = Amount::of(trade.qty, row.qty_decimals);
        let paid = worth(coins, trade.price, row.price_decimals);
        let moved = [
            (row.base, Amount(coins.0 * sign)),
            (row.quote, Amount(paid.0 * -sign)),
            (trade.fee_asset, -trade.fee),
        ];
        for (asset, by) in moved {
            if trade.at > self.baseline_of(LegKind::Spot, asset) {
                *self.recon.foreign.coins.entry(asset).or_default() += by;
                let last = self.recon.foreign.last.entry(asset).or_insert(trade.at);
                *last = trade.at.max(*last);
            }
        }
    }

    /// From when on, in the venue's time, what others move of an asset is in no baseline.
    fn baseline_of(&self, leg: LegKind, asset: Asset) -> Unix {
        let what = (leg, asset);
        let known = self.recon.baselined.get(&what).or_else(|| self.recovered.compared.get(&what));
        known.copied().unwrap_or(Unix(0))
    }

    /// The last look that explained all that is held of an instrument, in the venue's time; `None`: there was none. A
    /// little before it, for it may have been at a replica; and not so long ago that our own trades are not known one
    /// by one any more, for each of their orders would be asked about.
    fn last_look(&self, instrument: InstrumentId) -> Option<Unix> {
        let explained = self.recon.explained.get(&instrument).copied().unwrap_or_default();
        let row = self.instruments.get(instrument);
        let look = Some(explained.max(self.baseline_of(row.leg, row.base))).filter(|look| *look > Unix(0))?;
        Some(Unix(look.0 - PATIENCE_NS as i64).max(self.recovered.known_since))
    }

    /// Whether an order of this instrument was searched for in vain.
    fn doubted(&self, instrument: InstrumentId) -> bool {
        self.orders
            .values()
            .any(|tracked| tracked.order.leg.instrument == instrument && self.lost(&tracked.order).is_some())
    }

    /// Whether an order was searched for by then whose instrument was looked at since, and left unexplained: another look
    /// so soon would say the same. What is left unexplained of one instrument says nothing of another.
    pub(super) fn looked_in_vain(&self, instrument: InstrumentId, searched: Nanos, now: Nanos) -> bool {
        let looked = self.recon.unexplained_at.get(&instrument);
        looked.is_some_and(|looked| searched <= *looked && now < looked.plus(LOOK_AGAIN_NS))
    }

    /// Whether an answer about the account can be held against this instrument's books: nothing of it is
    /// open or moved while the answer was on its way.
    fn still(&self, of_lane: usize, instrument: InstrumentId) -> bool {
        let Some(round) = self.recon.rounds.get(&of_lane) else { return false };
        let before = round.before.get(&instrument).copied().unwrap_or(0);
        let open = self.orders.values().any(|tracked| {
            let order = &tracked.order;
            order.leg.instrument == instrument && !order.closed() && self.lost(order).is_none()
        });
        before == self.recon.stirred(instrument) && !open
    }

    /// A pair's perp position in units of its quantity: at the venue, as these rows tell, and in the books.
    pub(super) fn position(&self, pair: PairId, rows: &[PositionRow]) -> (i128, i128) {
        let of = self.instruments.pair(pair);
        let row = self.instruments.get(of.perp);
        let said: i128 = rows.iter().filter(|it| it.instrument == Some(of.perp)).map(|it| it.qty.0).sum();
        let held = self.books[usize::from(pair.0)].holding.perp.0;
        let booked = held.saturating_mul(pow10_i128(row.qty_decimals)) / of.size_factor.0.max(1);
        (said / pow10_i128(Amount::SCALE - row.qty_decimals), booked)
    }

    pub(super) fn on_positions(&mut self, of_lane: usize, rows: &[PositionRow], now: Nanos) {
        for row in rows {
            if row.instrument.is_some_and(|id| self.pair_of(id).is_some()) {
                continue;
            }
            self.tell_once(format!(
                "the account holds {} of {}, which this run does not trade: it is left alone",
                crate::units::decimal::short(row.qty.0, Amount::SCALE),
                row.symbol
            ));
        }
        let mut verdicts = Vec::new();
        for instrument in self.scope(of_lane) {
            let Some(pair) = self.pair_of(instrument) else { continue };
            let row = self.instruments.get(instrument);
            let (there, booked) = self.position(pair, rows);
            let foreign = self.recon.foreign.units(instrument);
            let text = || {
                let text = |units| crate::units::decimal::Text(units, row.qty_decimals);
                let (there, booked) = (text(there), text(booked));
                format!("{} position is {there} at the venue and {booked} in the books", row.symbol)
            };
            verdicts.push((instrument, Verdict::of(there - booked, foreign, self.doubted(instrument), text)));
        }
        self.conclude(of_lane, verdicts, Vec::new(), &[], now);
    }

    pub(super) fn on_balances(&mut self, of_lane: usize, rows: &[BalanceRow], now: Nanos) {
        self.take_wallet(of_lane, rows, now);
        let scope = self.scope(of_lane);
        let mut wallets = Vec::new();
        let mut verdicts = Vec::new();
        let mut quotes: BTreeSet<Asset> = BTreeSet::new();
        let mut shared = Vec::new();
        let all_still = scope.iter().all(|instrument| self.still(of_lane, *instrument));
        let whole = self.recon.rounds.get(&of_lane).is_some_and(|round| round.whole);
        for instrument in scope {
            let row = self.instruments.get(instrument).clone();
            let doubted = self.doubted(instrument);
            let verdict = match self.weigh(row.base, doubted, rows, &mut wallets) {
                Verdict::Differs(by, text) if doubted && self.paid_as_booked(of_lane, row.quote, rows) => {
                    Verdict::Untraded(by, text)
                }
                verdict => verdict,
            };
            verdicts.push((instrument, verdict));
            // What was paid is shared by all pairs: it is compared when all of them are still, and says nothing
            // of any one of them.
            if whole && all_still && quotes.insert(row.quote) {
                let paid = self.weigh(row.quote, false, rows, &mut wallets);
                if let Verdict::Differs(by, text) = paid {
                    shared.push((by, text));
                }
            }
        }
        self.conclude(of_lane, verdicts, wallets, &shared, now);
    }

    /// One asset of the spot wallet against the books, and what orders of others did to it.
    fn weigh(
        &self,
        asset: Asset,
        doubted: bool,
        rows: &[BalanceRow],
        wallets: &mut Vec<WalletRow>,
    ) -> Verdict {
        let total = rows.iter().find(|row| row.asset == asset).map_or(Amount::ZERO, |row| row.total);
        let change = self.ledger.change(LegKind::Spot, asset);
        let opening = total - change;
        let known = self.recovered.openings.get(&(LegKind::Spot, asset)).copied();
        let as_of = self.baseline_of(LegKind::Spot, asset);
        wallets.push(WalletRow { leg: LegKind::Spot, asset, total, opening, as_of });
        let Some(known) = known else { return Verdict::Equal };
        let foreign = self.recon.foreign.coins.get(&asset).copied().unwrap_or_default();
        Verdict::of((opening - known).0, foreign.0, doubted, || {
            format!("{asset} balance is {total} at the venue and {} in the books", known + change)
        })
    }

    /// Whether a market's wallet holds just as much of what its coins are paid in as in the books and after what others
    /// traded, and nothing that is paid in it moved while the answer was on its way. A trade moves both coins: none is
    /// missing in the books then, whatever came without one (F108).
    fn paid_as_booked(&self, of_lane: usize, quote: Asset, rows: &[BalanceRow]) -> bool {
        let mut paid_in_it = self
            .instruments
            .instruments
            .iter()
            .filter(|row| lane(row.venue, row.leg) == of_lane && row.quote == quote);
        self.recovered.openings.contains_key(&(LegKind::Spot, quote))
            && paid_in_it.all(|row| self.still(of_lane, row.id))
            && matches!(self.weigh(quote, true, rows, &mut Vec::new()), Verdict::Equal | Verdict::Foreign(_))
    }

    fn scope(&self, of_lane: usize) -> Vec<InstrumentId> {
        self.recon.rounds.get(&of_lane).map_or(Vec::new(), |round| round.scope.iter().copied().collect())
    }

    /// What a comparison says of each instrument: equal, different, or not to be told yet; and what differs of
    /// the assets they are paid in.
    fn conclude(
        &mut self,
        of_lane: usize,
        verdicts: Vec<(InstrumentId, Verdict)>,
        wallets: Vec<WalletRow>,
        shared: &[(i128, String)],
        now: Nanos,
    ) {
        crash::point("K15h");
        let mut again = BTreeSet::new();
        let mut soon = false;
        let mut different = Vec::new();
        let mut foreign = Vec::new();
        let mut done = Vec::new();
        for (instrument, verdict) in verdicts {
            if !self.still(of_lane, instrument) {
                // An order that stays in doubt for a minute does not hold up the others.
                let quarantined = self
                    .pair_of(instrument)
                    .is_some_and(|pair| self.books[usize::from(pair.0)].state == PairState::Quarantined);
                if !quarantined {
                    again.insert(instrument);
                }
                continue;
            }
            if !self.read_enough(of_lane, instrument, &verdict) {
                // No replica is waited for.
                again.insert(instrument);
                soon = true;
            } else if let Verdict::Differs(by, text) = verdict {
                different.push((instrument, by, text));
            } else if let Verdict::Untraded(by, text) = verdict {
                // Whose it is stays to be seen.
                self.end_the_lost(instrument, now);
                different.push((instrument, by, text));
            } else {
                self.end_the_lost(instrument, now);
                if verdict != Verdict::Undone {
                    self.explain(of_lane, instrument);
                }
                self.recon.confirmed.insert(instrument);
                match verdict.text() {
                    Some(text) => foreign.push((instrument, text)),
                    None => done.push(instrument),
                }
            }
        }
        let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return };
        let of_pairs = different.iter().map(|(instrument, by, _)| (Some(*instrument), *by));
        let found: Vec<Difference> = of_pairs.chain(shared.iter().map(|(by, _)| (None, *by))).collect();
        let stands = round.differs.look(found, Vec::eq, now);
        let mut lagging = false;
        let differs = !(different.is_empty() && shared.is_empty());
        if differs && !stands {
            again.extend(different.drain(..).map(|(instrument, ..)| instrument));
            lagging = !shared.is_empty();
        }
        // What was asked for meanwhile is read before the round ends.
        if lagging || !again.is_empty() || !round.todo.is_empty() {
            // What is equal is proven, and no part of this any more: its pair is traded again, and no order of it may
            // hold up the others.
            let asked = |of: &InstrumentId| {
                round
                    .todo
                    .iter()
                    .any(|item| matches!(item, Item::Trades { instrument, .. } if instrument == of))
            };
            done.retain(|of| !round.whole && !again.contains(of) && !asked(of));
            round.scope.retain(|of| !done.contains(of));
            let from = TradesFrom::Time(round.since);
            round.todo.extend(again.into_iter().map(|instrument| Item::Trades { instrument, from }));
            let slowed = if soon { 0 } else { round.repeats.min(REPEATS_SLOWED) };
            round.rest_until = now.plus(PAUSE_NS << slowed);
            round.repeats += 1;
            return;
        }
        let (whole, asked_at) = (round.whole, round.asked_at);
        self.recon.rounds.remove(&of_lane);
        let of_pairs = different.iter().map(|(.., text)| text).chain(foreign.iter().map(|(_, text)| text));
        let unexplained: Vec<String> = of_pairs.chain(shared.iter().map(|(_, text)| text)).cloned().collect();
        for (_, text) in shared {
            self.alert(format!(
                "{text}: an unexplained change; look at the trades and transfers of the account"
            ));
        }
        for (instrument, _, text) in different {
            self.recon.unexplained_at.insert(instrument, now);
            // Compared, and not equal: an order that is searched for in vain stays unknown (I12).
            self.recon.confirmed.insert(instrument);
            self.bar(Some(instrument), &format!("an unexplained holding ({text})"), now);
        }
        if whole {
            self.compare_wallet(of_lane);
        }
        if whole || !unexplained.is_empty() {
            let lost = self.orders.values().filter(|tracked| self.lost(&tracked.order).is_some());
            let searched: BTreeSet<Asset> = lost
                .map(|tracked| self.instruments.get(tracked.order.leg.instrument))
                .flat_map(|row| [Some(row.base), (row.leg == LegKind::Spot).then_some(row.quote)])
                .flatten()
                .collect();
            // What may yet be the doing of an order in doubt is not taken for another hand's.
            let mut renewed: Vec<WalletRow> =
                wallets.into_iter().filter(|row| !searched.contains(&row.asset)).collect();
            // What others traded while the answer was on its way need not be in it.
            let as_of = self.offsets.venue_time(of_lane, asked_at).unwrap_or_else(|| self.clock.unix());
            for row in &mut renewed {
                let what = (row.leg, row.asset);
                let by_others = self.recon.foreign.coins.get(&row.asset).copied().unwrap_or_default();
                let known = self.recovered.openings.insert(what, row.opening);
                // What was explained goes on from where it began: of another's trade that nobody had heard of by now
                // nothing is in it, though it may be older than this look, for a replica may have answered (F84).
                if known != Some(row.opening - by_others) {
                    self.recon.baselined.insert(what, as_of);
                    row.as_of = as_of;
                    continue;
                }
                // A later process does not know which trades were counted. It counts those after the last of them, if
                // they are no older than a replica can be late.
                let last = self.recon.foreign.last.get(&row.asset).copied().unwrap_or(Unix(0));
                row.as_of = row.as_of.max(Unix(as_of.0 - PATIENCE_NS as i64)).max(last);
            }
            let spot: BTreeSet<Asset> =
                renewed.iter().filter(|row| row.leg == LegKind::Spot).map(|row| row.asset).collect();
            self.recon.foreign.coins.retain(|asset, _| !spot.contains(asset));
            self.write(Record::Baseline { at: self.clock.unix(), held: renewed, unexplained });
        }
        crash::point("K15i");
        for at in 0..self.books.len() {
            let pair = self.books[at].pair;
            self.settle(pair, now);
        }
        self.tick_streams();
    }

    /// All that is held of an instrument was explained, as far as the trades were read.
    fn explain(&mut self, of_lane: usize, instrument: InstrumentId) {
        let Some(round) = self.recon.rounds.get(&of_lane) else { return };
        if let Some(time) = self.offsets.venue_time(of_lane, round.traded_at) {
            self.recon.explained.insert(instrument, time);
        }
    }

    /// Whether the trades that were read can tell of the orders of an instrument that were searched for in vain: after
    /// the last of those searches, and since a little before the first of them left. Where something differs, since
    /// the last look that explained all: what others traded between that look and the order is in what is held, and
    /// would be taken for the order's doing. If not, they must be read once more, from then on.
    fn read_enough(&mut self, of_lane: usize, instrument: InstrumentId, verdict: &Verdict) -> bool {
        let of_it = self.orders.values().filter(|it| it.order.leg.instrument == instrument);
        let lost = of_it.filter_map(|it| Some((self.lost(&it.order)?, began(&it.order))));
        let Some((searched, began)) = lost.reduce(|one, two| (one.0.max(two.0), one.1.min(two.1))) else {
            return true;
        };
        let look = self.last_look(instrument).filter(|_| matches!(verdict, Verdict::Differs(..)));
        let since = look.map_or(began, |look| look.min(began));
        let Some(round) = self.recon.rounds.get_mut(&of_lane) else { return false };
        let enough = searched <= round.traded_at && round.since <= since;
        round.since = round.since.min(since);
        enough
    }

    /// The proof is complete for the orders of an instrument that were searched for in vain: nothing of them was traded
    /// or is held.
    fn end_the_lost(&mut self, instrument: InstrumentId, now: Nanos) {
        let of_it = self.orders.values().filter(|it| it.order.leg.instrument == instrument);
        let ended: Vec<(ClientId, PairId, End)> = of_it
            .filter_map(|it| Some((it.order.client(), it.order.pair, self.in_vain(&it.order)?.1)))
            .collect();
        for (client, pair, end) in ended {
            if let Some(tracked) = self.orders.get_mut(&client) {
                tracked.order.end_unseen(end);
            }
            self.write(Record::OrderEnd { at: self.clock.unix(), client, end });
            let what = match end {
                End::Unfilled => "never landed, or ended unfilled and forgotten since",
                _ => "never landed",
            };
            self.note(format!("order {client}: {what} (not found twice, no trade, nothing held of it)"));
            let venue = self.instruments.get(instrument).venue;
            if !self.in_doubt(venue) {
                self.thaw(venue);
            }
            self.settle(pair, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::shadow::streams::tests::{Alone, alone};
    use crate::event::{Source, Verdict as Said};
    use crate::units::time::MS;
    use crate::units::{Price, Qty, Side};
    use proptest::prelude::*;

    const SPOT: InstrumentId = InstrumentId(0);
    /// When the order that is searched for was stamped.
    const STAMP_S: i64 = 1_000;
    /// When it was known to be missing, the trades having been read a second before.
    const MISSING_S: u64 = 20;

    /// A round of spot, of which an order was searched for in vain; it has read trades since 10 s before that one left, and
    /// the account often.
    fn searched() -> (Alone, usize) {
        let mut alone = alone();
        alone.fire();
        alone.shadow.orders.retain(|_, it| it.order.leg.instrument == SPOT);
        alone.shadow.orders.values_mut().for_each(|it| it.order.leg.stamp = Unix(STAMP_S * SEC as i64));
        for at_s in [MISSING_S - 4, MISSING_S] {
            alone.now = Nanos(at_s * SEC);
            alone.answer(LegKind::Spot, Said::NotFound, Source::Query);
        }
        let since = Unix((STAMP_S - 10) * SEC as i64);
        alone.shadow.recon_instrument(SPOT, since, alone.now);
        let row = alone.shadow.instruments.get(SPOT);
        let of_lane = lane(row.venue, row.leg);
        let round = alone.shadow.recon.rounds.get_mut(&of_lane).unwrap();
        round.todo.clear();
        round.traded_at = Nanos((MISSING_S - 1) * SEC);
        round.before.clone_from(&alone.shadow.recon.stirred);
        round.repeats = 9;
        (alone, of_lane)
    }

    /// What a look found follows, and the round that goes on, if one does: since when trades are read again, and after
    /// which pause, ms.
    fn follows(alone: &mut Alone, of_lane: usize, verdict: Verdict) -> Option<(i64, u64)> {
        let now = alone.now.plus(SEC);
        alone.shadow.conclude(of_lane, vec![(SPOT, verdict)], Vec::new(), &[], now);
        let round = alone.shadow.recon.rounds.get_mut(&of_lane)?;
        let Some(Item::Trades { instrument: SPOT, from: TradesFrom::Time(since) }) = round.todo.pop_front()
        else {
            panic!("{round:?}");
        };
        round.traded_at = now;
        Some((since.0 / SEC as i64, round.rest_until.since(now) / MS))
    }

    fn ended(alone: &Alone) -> bool {
        alone.shadow.orders.values().chain(alone.shadow.past.values()).all(|it| it.order.ended())
    }

    #[test]
    fn trades_that_were_read_before_an_order_was_missing_are_read_again_at_once() {
        let (mut alone, of_lane) = searched();
        assert_eq!(follows(&mut alone, of_lane, Verdict::Equal), Some((STAMP_S - 10, 200)));
        assert!(!ended(&alone));
        assert_eq!(follows(&mut alone, of_lane, Verdict::Equal), None);
        assert!(ended(&alone));
    }

    #[test]
    fn what_differs_beside_an_order_in_doubt_is_held_against_trades_since_the_last_look() {
        let (mut alone, of_lane) = searched();
        let differs = || Verdict::Differs(7, "text".to_owned());
        alone.shadow.recon.explained.insert(SPOT, Unix(500 * SEC as i64));
        // Too early, and not far enough back; then a replica may lag, and each reading comes a little later.
        assert_eq!(follows(&mut alone, of_lane, differs()), Some((490, 200)));
        assert_eq!(follows(&mut alone, of_lane, differs()), Some((490, 1_600)));
        assert!(!ended(&alone));
        assert_eq!(follows(&mut alone, of_lane, Verdict::Foreign("text".to_owned())), None);
        assert!(ended(&alone));
    }

    #[test]
    fn what_differs_goes_on_differing_though_the_market_is_read_anew() {
        let (mut alone, of_lane) = searched();
        let looks = |alone: &mut Alone, after_s| {
            let (differs, now) = (Verdict::Differs(7, "text".to_owned()), alone.now.plus(after_s * SEC));
            let round = alone.shadow.recon.rounds.get_mut(&of_lane).unwrap();
            (round.traded_at, round.before) = (now, alone.shadow.recon.stirred.clone());
            round.todo.clear();
            alone.shadow.conclude(of_lane, vec![(SPOT, differs)], Vec::new(), &[], now);
            alone.shadow.recon.confirmed.contains(&SPOT)
        };
        assert!(!looks(&mut alone, 1));
        let since = Unix((STAMP_S - 10) * SEC as i64);
        alone.shadow.recon_market(of_lane, Some(since), alone.now);
        assert!(!looks(&mut alone, 10));
        alone.shadow.recon_market(of_lane, Some(since), alone.now);
        assert!(looks(&mut alone, 11), "told, and what may be mended is");
    }

    #[test]
    fn an_order_that_was_searched_for_in_vain_waits_for_no_other() {
        let (mut alone, of_lane) = searched();
        assert!(!alone.shadow.unsettled(of_lane));
        let searched = std::mem::take(&mut alone.shadow.orders);
        alone.fire();
        // One more of the same market, whose fate nobody knows yet.
        alone.shadow.orders.values_mut().for_each(|it| it.order.leg.instrument = SPOT);
        alone.shadow.orders.extend(searched);
        assert!(!alone.shadow.unsettled(of_lane));
        alone.shadow.orders.retain(|_, it| it.order.missing().is_none());
        assert!(alone.shadow.unsettled(of_lane));
    }

    #[test]
    fn what_no_trade_made_is_no_doing_of_an_order_in_doubt_and_stays_to_be_explained() {
        let (mut alone, of_lane) = searched();
        let untraded = || Verdict::Untraded(7, "text".to_owned());
        alone.shadow.recon.explained.insert(SPOT, Unix(500 * SEC as i64));
        // Too early; then the order is over, and whose coins they are is looked for on.
        assert_eq!(follows(&mut alone, of_lane, untraded()), Some((STAMP_S - 10, 200)));
        assert!(!ended(&alone));
        assert_eq!(follows(&mut alone, of_lane, untraded()), Some((STAMP_S - 10, 1_600)));
        assert!(ended(&alone));
        assert!(!alone.shadow.recon.confirmed.contains(&SPOT));
    }

    /// Looks at a wallet that holds so many coins, and so much of what they are paid in, than the books do. Whether the
    /// order that was searched for is over.
    fn weighed(coins: i128, paid: i128, baselined: bool, moved: &[InstrumentId]) -> bool {
        weighed_beside(None, coins, paid, baselined, moved)
    }

    /// As [`weighed`], with a trade of somebody else's.
    fn weighed_beside(
        other: Option<TradeRow>,
        coins: i128,
        paid: i128,
        baselined: bool,
        moved: &[InstrumentId],
    ) -> bool {
        let (mut alone, of_lane) = searched();
        if let Some(trade) = other {
            alone.shadow.count_foreign(SPOT, &trade);
            alone.shadow.count_foreign(SPOT, &trade);
        }
        let row = alone.shadow.instruments.get(SPOT);
        let [base, quote] = [row.base, row.quote];
        let openings = &mut alone.shadow.recovered.openings;
        openings.insert((LegKind::Spot, base), Amount(1_000));
        if baselined {
            openings.insert((LegKind::Spot, quote), Amount(1_000));
        }
        alone.shadow.recon.rounds.get_mut(&of_lane).unwrap().traded_at = alone.now.plus(SEC);
        moved.iter().for_each(|instrument| alone.shadow.recon.stir(*instrument));
        let row = |asset, more| BalanceRow { asset, total: Amount(1_000 + more) };
        alone.shadow.on_balances(of_lane, &[row(base, coins), row(quote, paid)], alone.now.plus(SEC));
        ended(&alone)
    }

    #[test]
    fn what_a_look_explained_goes_on_from_where_it_began() {
        let mut alone = alone();
        let row = alone.shadow.instruments.get(SPOT).clone();
        let of_lane = lane(row.venue, row.leg);
        let (what, began) = ((LegKind::Spot, row.base), Unix(5));
        alone.shadow.recovered.openings.insert(what, Amount(1_000));
        alone.shadow.recon.baselined.insert(what, began);
        let look = |alone: &mut Alone, total, after_s| {
            let now = alone.now.plus(after_s * SEC);
            alone.shadow.recon_market(of_lane, Some(Unix(0)), now);
            alone.shadow.recon.rounds.get_mut(&of_lane).unwrap().todo.clear();
            let rows = [BalanceRow { asset: row.base, total: Amount(total) }];
            alone.shadow.on_balances(of_lane, &rows, now);
            alone.shadow.baseline_of(LegKind::Spot, row.base)
        };
        assert_eq!(look(&mut alone, 1_000, 1), began, "a stranger's trade that it missed is counted yet");
        alone.shadow.recon.foreign.coins.insert(row.base, Amount(7));
        assert_eq!(look(&mut alone, 1_007, 2), began);
        assert_eq!(alone.shadow.recovered.openings.get(&what), Some(&Amount(1_007)));
        assert_eq!(look(&mut alone, 1_009, 3), began, "to be looked at again");
        assert!(look(&mut alone, 1_009, 14) > began, "whatever that was is in it now");
    }

    /// A stranger buys; the look that explains it is written down as if older, so that another trade of his that a
    /// replica hid from it is counted after a restart, but not as old as the trade it knew of.
    #[test]
    fn a_look_that_explained_all_is_told_as_older_than_a_replica_can_be_late() {
        let told = |began_s: i64, traded_s: Option<i64>, more| {
            let mut alone = alone();
            let row = alone.shadow.instruments.get(SPOT).clone();
            let of_lane = lane(row.venue, row.leg);
            let (what, second) = ((LegKind::Spot, row.base), |s: i64| Unix(s * SEC as i64));
            alone.shadow.recovered.openings.insert(what, Amount(1_000));
            alone.shadow.recon.baselined.insert(what, second(began_s));
            if let Some(at_s) = traded_s {
                let trade = TradeRow { at: second(at_s), ..stranger(row.quote) };
                alone.shadow.count_foreign(SPOT, &trade);
            }
            let by_others = alone.shadow.recon.foreign.coins.get(&row.base).map_or(0, |by| by.0);
            for at_s in [100, 112] {
                alone.shadow.offsets.0[of_lane] = Some(0);
                alone.shadow.recon_market(of_lane, Some(Unix(0)), Nanos(at_s * SEC));
                let round = alone.shadow.recon.rounds.get_mut(&of_lane).unwrap();
                round.todo.clear();
                round.asked_at = Nanos(at_s * SEC);
                let rows = [BalanceRow { asset: row.base, total: Amount(1_000 + by_others + more) }];
                alone.shadow.on_balances(of_lane, &rows, Nanos(at_s * SEC));
            }
            let held = alone.baselines().swap_remove(0);
            held.iter().find(|held| held.asset == row.base).unwrap().as_of.0 / SEC as i64
        };
        assert_eq!(told(5, None, 0), 90);
        assert_eq!(told(5, Some(50), 0), 90);
        assert_eq!(told(5, Some(95), 0), 95);
        assert_eq!(told(97, None, 0), 97, "no older than where it began");
        assert_eq!(told(5, None, 7), 112, "whatever that was is in it");
    }

    #[test]
    fn coins_that_came_end_no_order_that_may_have_been_paid_for() {
        assert!(weighed(7, 0, true, &[]));
        assert!(!weighed(7, -1, true, &[]), "some of it may be the order's");
        assert!(!weighed(7, 0, false, &[]), "what it held before is not known");
        assert!(!weighed(7, 0, true, &[SPOT]));
        assert!(weighed(0, -1, true, &[]), "no coin of it came: what was paid was for something else");
    }

    /// What somebody else bought.
    fn stranger(fee_asset: Asset) -> TradeRow {
        let (trade_id, order_id, side) = (1, 2, Side::Buy);
        let (price, qty, fee, at) = (Price(3), Qty(2), Amount(5), Unix(1));
        TradeRow { trade_id, order_id, side, price, qty, fee, fee_asset, at }
    }

    #[test]
    fn what_a_stranger_paid_is_told_apart_from_what_an_order_may_have_been_paid() {
        let row = alone().shadow.instruments.get(SPOT).clone();
        let trade = stranger(row.quote);
        let unit = |decimals: u8| pow10_i128(Amount::SCALE - decimals);
        let (coins, paid) =
            (2 * unit(row.qty_decimals), -6 * unit(row.qty_decimals + row.price_decimals) - 5);
        let weighed = |coins, paid| weighed_beside(Some(trade), coins, paid, true, &[]);
        assert!(weighed(coins, paid), "just what the stranger did");
        assert!(weighed(coins + 7, paid), "and coins that came");
        assert!(!weighed(coins + 7, paid - 1));
        assert!(!weighed(coins + 7, 0), "undone by something");
        assert!(weighed(0, paid), "coins went, and nobody was paid for them");
    }

    /// The perp order, searched for in vain, when something of an instrument was left unexplained: is it looked for?
    #[test]
    fn what_is_unexplained_holds_up_the_orders_of_its_instrument_that_were_searched_for_by_then() {
        let perp = InstrumentId(1);
        let looked_for = |of, at_s: u64, after_s: u64| {
            let mut alone = alone();
            alone.fire();
            let present = alone.shadow.clock.unix();
            alone.shadow.orders.values_mut().for_each(|it| it.order.leg.stamp = present);
            for at_s in [MISSING_S - 4, MISSING_S] {
                alone.now = Nanos(at_s * SEC);
                alone.answer(LegKind::Perp, Said::NotFound, Source::Query);
            }
            alone.shadow.recon.unexplained_at.insert(of, Nanos(at_s * SEC));
            alone.shadow.tick_recon(Nanos((at_s + after_s) * SEC));
            alone.shadow.recon.rounds.values().any(|round| round.scope.contains(&perp))
        };
        assert!(looked_for(SPOT, MISSING_S, 1));
        assert!(!looked_for(perp, MISSING_S, 29));
        assert!(looked_for(perp, MISSING_S, 30), "a while ago");
        assert!(looked_for(perp, MISSING_S - 1, 1), "it was searched for since");
    }

    #[test]
    fn what_is_read_reaches_back_no_further_than_our_own_trades_are_known() {
        let (mut alone, of_lane) = searched();
        alone.shadow.recon.explained.insert(SPOT, Unix(500 * SEC as i64));
        alone.shadow.recovered.known_since = Unix(700 * SEC as i64);
        let differs = Verdict::Differs(7, "text".to_owned());
        assert_eq!(follows(&mut alone, of_lane, differs), Some((700, 200)));
    }

    proptest! {
        /// Others' trades explain just themselves. Where an order was searched for in vain, a difference that they
        /// should make and do not is one, too: it may be that order's doing.
        #[test]
        fn only_what_others_did_is_explained_by_them(foreign in -3i128..=3, own in -3i128..=3, doubted in any::<bool>()) {
            let verdict = Verdict::of(foreign + own, foreign, doubted, || "text".to_owned());
            match verdict {
                Verdict::Equal => prop_assert!((foreign, own) == (0, 0)),
                Verdict::Undone => prop_assert!(foreign + own == 0 && own != 0 && !doubted),
                Verdict::Foreign(_) => prop_assert!(own == 0 && foreign != 0),
                Verdict::Differs(by, _) => prop_assert!(own != 0 && by == foreign + own),
                Verdict::Untraded(..) => prop_assert!(false, "one coin alone does not tell"),
            }
        }
    }
}
