//! Funding money: what the venue's income ledger says was paid, and the perp wallet it was paid into.
//!
//! Owns:  when payments are read, booking each once, and holding the perp wallet against the books (I4, I15).
//! Never: takes a payment for a fill, an estimate for a payment, or a difference for nothing: what nobody can
//!        explain is named, told and written down.
//! Order: payments since the last one booked, page by page; then, at a quiet moment, positions and wallet.
//! Wallet: opening + cash of all perp fills + fees + funding + Σ quantity · entry price. What is realised is
//!        the venue's own sum: it rounds entry prices, so both may differ by 10^-8 per unit held and per fill.

use super::standing::Standing;
use super::{Phase, Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::event::{Asset, Headers, Payment, Record, WalletRow, lane, market_of};
use crate::units::decimal::pow10_i128;
use crate::units::time::SEC;
use crate::units::{Amount, InstrumentId, LegKind, Nanos, Unix};
use crate::venue::audit::PositionRow;
use crate::venue::{self, BadBody, Symbols};
use std::collections::BTreeMap;

/// Payments are read so long after a settlement: the snapshot may come 15 s late.
const AFTER_NS: [u64; 4] = [3 * SEC, 10 * SEC, 30 * SEC, 90 * SEC];
/// How long after the venue said that it paid.
const TOLD_NS: u64 = SEC / 2;
/// At least so often.
const EVERY_NS: u64 = 3_600 * SEC;
/// After an answer that can't be read, or no room to ask.
const AGAIN_NS: u64 = 5 * SEC;
/// How often the pause before another reading of a wallet that moves doubles, from one second on.
const DOUBLINGS: u32 = 6;
/// No answer for so long: asked again.
const LOST_NS: u64 = 15 * SEC;
/// What a look at the wallet found is told after so long without a reading of the payments.
const WAITED_NS: u64 = 60 * SEC;
/// How far before the last booked payment is read again: rows may come late.
const OVERLAP_NS: i64 = 600 * SEC as i64;

/// What is asked of the perp market's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Which payments were made.
    Payments,
    /// What is held.
    Positions,
    /// What the wallet holds.
    Wallet,
}

/// What was held when the wallet was about to be read.
#[derive(Debug, Default)]
struct Held {
    /// What had stirred before that.
    before: BTreeMap<InstrumentId, u64>,
    /// Σ quantity · entry price, and how much of that may have been cut off, by quote asset.
    cost: BTreeMap<Asset, (Amount, Amount)>,
}

/// One perp market's ledger being read.
#[derive(Debug, Default)]
pub(super) struct Income {
    /// Payments from here on; `None`: nothing was asked for yet.
    since: Option<Unix>,
    due: Nanos,
    /// The run ends since then, and what was paid is read once more before it has.
    closing: Option<Nanos>,
    /// A settlement whose payments are waited for, and how often they were asked for since.
    settled: Option<(Unix, usize)>,
    flying: Option<(Part, Nanos)>,
    /// The wallet is to be compared.
    compare: bool,
    compare_due: Nanos,
    /// How often in a row the wallet moved while it was read: each time a little later.
    compare_tries: u32,
    held: Option<Held>,
    /// What a wallet seems to have held before the first run, where the books say nothing or something else.
    opened: BTreeMap<Asset, Standing<Amount>>,
    /// What a look at the wallet would make the books' new beginning, once payments that were asked for after it
    /// explain nothing of it.
    found: Option<Found>,
}

/// What a look at the wallet found.
#[derive(Debug)]
struct Found {
    at: Nanos,
    rows: Vec<WalletRow>,
    /// What of it differs from the books, in words.
    differs: Vec<String>,
}

impl Shadow {
    /// The perp market whose ledger is read, if this run has an account there.
    pub(super) fn perp_lane(&self) -> Option<usize> {
        let perp = self.instruments.pairs.first()?.perp;
        self.needs_account().then(|| lane(self.instruments.get(perp).venue, LegKind::Perp))
    }

    /// The venue said that it paid.
    pub(super) fn on_paid_event(&mut self, now: Nanos) {
        self.income.due = self.income.due.min(now.plus(TOLD_NS));
    }

    /// A market was read whole: the wallet is compared too.
    pub(super) fn compare_wallet(&mut self, of_lane: usize) {
        self.income.compare |= Some(of_lane) == self.perp_lane();
    }

    /// The run ends: what was paid at a time that nobody was told (FAULTS F48), and on a stream that was silent, is in
    /// its books, too.
    pub(super) fn read_payments_once_more(&mut self, now: Nanos) {
        if self.perp_lane().is_some() {
            (self.income.closing, self.income.due) = (Some(now), now);
        }
    }

    /// Whether payments that are known to be due are not read yet.
    pub(super) fn income_pending(&self, now: Nanos) -> bool {
        self.income.closing.is_some()
            || (self.income.since.is_some()
                && (self.income.flying.is_some_and(|(part, _)| part == Part::Payments)
                    || self.income.due <= now.plus(TOLD_NS)))
    }

    /// A stop does not wait for payments any longer. Nothing of them is lost, so that it leaves nothing open.
    pub(super) fn tell_unread(&mut self, now: Nanos) {
        if !self.income_pending(now) {
            return;
        }
        let since = self.income.since.or(self.recovered.paid_since);
        let since = since.map_or_else(|| "this run began".to_owned(), |at| at.to_string());
        let text = format!(
            "funding payments since {since}: not read, and not in the report; the next run reads them"
        );
        self.note(text);
    }

    /// What the wallet differs by is held back while payments can't be read: after a while that is told.
    fn tell_what_waits(&mut self, now: Nanos) {
        let Some(found) = self.income.found.as_ref().filter(|it| now.since(it.at) >= WAITED_NS) else {
            return;
        };
        let text = found.differs.join("; ");
        if !text.is_empty() {
            self.tell_once(format!(
                "{text}: may be funding payments, which could not be read for a minute; asking on"
            ));
        }
    }

    /// Asks for what is due.
    pub(super) fn tick_income(&mut self, now: Nanos) {
        let Some(of_lane) = self.perp_lane() else { return };
        // A start has questions that come first.
        if !matches!(self.phase, Phase::Trading(_) | Phase::Stopping(_)) {
            return;
        }
        if self.income.flying.is_some_and(|(_, asked)| now.since(asked) >= LOST_NS) {
            self.income.flying = None;
        }
        if self.income.flying.is_some() {
            return;
        }
        self.tell_what_waits(now);
        if now >= self.income.due {
            self.ask_income(of_lane, Part::Payments, now);
        } else if self.income.compare
            && self.income.found.is_none()
            && now >= self.income.compare_due
            && self.is_quiet(of_lane)
        {
            let part = if self.income.held.is_some() { Part::Wallet } else { Part::Positions };
            self.ask_income(of_lane, part, now);
        }
    }

    /// Nothing of a market is open or being read.
    fn is_quiet(&self, of_lane: usize) -> bool {
        let (_, leg) = market_of(of_lane);
        !self.recon.running(of_lane)
            && self.orders.values().all(|it| self.instruments.get(it.order.leg.instrument).leg != leg)
    }

    fn ask_income(&mut self, of_lane: usize, part: Part, now: Nanos) {
        let (venue, _) = market_of(of_lane);
        let audit = &venue::get(venue).audit;
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        let window = self.settings.recv_window_ms;
        let since = *self.income.since.get_or_insert(self.recovered.paid_since.unwrap_or(stamp));
        let ask = match part {
            Part::Payments => (audit.income_since)(since, &key, stamp, window),
            Part::Positions => (audit.positions)(&key, stamp, window),
            Part::Wallet => (audit.balances)(LegKind::Perp, &key, stamp, window),
        };
        // The last question of a run: what normal work leaves is of no more use to it.
        let line = if self.income.closing.is_some() { Line::Reserve } else { Line::Normal };
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, line, ask.weight, now) {
            match part {
                Part::Payments => self.income.due = now.plus(SEC),
                Part::Positions | Part::Wallet => self.income.compare_due = now.plus(SEC),
            }
            return;
        }
        let Some(courier) = self.couriers.get_mut(&of_lane) else { return };
        courier.post(Question::Income(part), ask);
        self.income.flying = Some((part, now));
        if part == Part::Positions {
            let before = self.recon.stirred.clone();
            self.income.held = Some(Held { before, ..Held::default() });
        }
    }

    /// A question was lost with its link.
    pub(super) fn income_lost(&mut self) {
        self.income.flying = None;
        self.income.held = None;
    }

    /// An answer to a question.
    pub(super) fn on_income(&mut self, part: Part, mut letter: Letter<Question>, now: Nanos) {
        let Some(of_lane) = self.perp_lane() else { return };
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let Some((_, asked)) = self.income.flying.take_if(|(flying, _)| *flying == part) else { return };
        let (venue, _) = market_of(of_lane);
        let audit = &venue::get(venue).audit;
        let body = &mut letter.body;
        let read = match part {
            Part::Payments => {
                (audit.read_income)(body).map(|rows| self.on_payments(of_lane, &rows, asked, now))
            }
            Part::Positions => {
                let symbols = Symbols::new(&self.instruments, venue);
                (audit.read_positions)(body, &symbols).map(|rows| self.on_held(&rows))
            }
            Part::Wallet => (audit.read_balances)(LegKind::Perp, body).map(|rows| {
                let totals = rows.iter().map(|row| (row.asset, row.total)).collect();
                self.on_perp_wallet(&totals, now);
            }),
        };
        if let Err(error) = read {
            self.income_unread(part, letter.status, &error, now);
        }
    }

    fn income_unread(&mut self, part: Part, status: u16, error: &BadBody, now: Nanos) {
        let what = match part {
            Part::Payments => "funding payments",
            Part::Positions | Part::Wallet => "the perp wallet",
        };
        self.tell_once(format!("{what} could not be read (HTTP {status}: {error}); asked again"));
        match part {
            Part::Payments => self.income.due = now.plus(AGAIN_NS),
            Part::Positions | Part::Wallet => {
                self.income.held = None;
                self.income.compare_due = now.plus(AGAIN_NS);
            }
        }
    }

    // ───────────────────────────── payments ─────────────────────────────

    fn on_payments(&mut self, of_lane: usize, rows: &[Payment], asked: Nanos, now: Nanos) {
        let mut booked = 0;
        for row in rows {
            booked += usize::from(self.book_payment(row));
            let since = self.income.since.unwrap_or(row.at);
            self.income.since = Some(since.max(Unix(row.at.0 - OVERLAP_NS)));
        }
        let (venue, _) = market_of(of_lane);
        let page = venue::get(venue).audit.income_page;
        if rows.len() >= page {
            // The last one's time brings the last one again; what is known is not booked twice.
            self.income.since = rows.last().map(|row| row.at);
            self.income.due = now;
        } else {
            // What was asked before the run began to end says nothing of what was paid since.
            self.income.closing = self.income.closing.filter(|since| asked < *since);
            let next = self.next_reading(of_lane, now);
            self.income.due = if self.income.closing.is_some() { now } else { next };
        }
        if booked > 0 {
            // What differed before, differs by something else now.
            (self.income.compare, self.income.found) = (true, None);
        } else if rows.len() < page
            && let Some(found) = self.income.found.take_if(|found| found.at <= asked)
        {
            self.begin_anew(found);
        }
    }

    fn book_payment(&mut self, row: &Payment) -> bool {
        let instruments = std::sync::Arc::clone(&self.instruments);
        let of = |it: &&crate::event::Instrument| it.leg == LegKind::Perp && it.symbol.as_str() == row.symbol;
        let earned = instruments.instruments.iter().find(of).is_some_and(|it| it.quote == row.asset);
        if !self.ledger.pay(row, earned) {
            return false;
        }
        self.write(Record::Funding { at: self.clock.unix(), payment: row.clone(), earned });
        if !earned {
            self.tell_once(format!(
                "{} in {}: funding that this run's pairs do not earn; it is booked in the wallet, not as profit",
                row.symbol, row.asset
            ));
        }
        self.line(&format!("funding {} {} {}", row.symbol, row.amount, row.asset));
        true
    }

    /// When payments are read next: some times after each settlement, and now and then.
    fn next_reading(&mut self, of_lane: usize, now: Nanos) -> Nanos {
        let Some(time) = self.offsets.venue_time(of_lane, now) else { return now.plus(AGAIN_NS) };
        let ns = |ns: i64| u64::try_from(ns).unwrap_or(0);
        if let Some((settled, tries)) = self.income.settled
            && let Some(after) = AFTER_NS.get(tries)
            && time.0 >= settled.0
        {
            self.income.settled = Some((settled, tries + 1));
            return now.plus(after.saturating_sub(ns(time.0 - settled.0)).max(SEC));
        }
        let coming = self.next_settlement(time);
        self.income.settled = coming.map(|at| (at, 1));
        let wait = coming.map_or(EVERY_NS, |at| ns(at.0 - time.0) + AFTER_NS[0]);
        now.plus(wait.min(EVERY_NS))
    }

    // ───────────────────────────── the wallet ─────────────────────────────

    fn on_held(&mut self, rows: &[PositionRow]) {
        let instruments = std::sync::Arc::clone(&self.instruments);
        let Some(held) = &mut self.income.held else { return };
        for row in rows {
            let Some(id) = row.instrument else { continue };
            let of = instruments.get(id);
            let (cost, cut) = held.cost.entry(of.quote).or_default();
            *cost += product(row.qty, row.entry);
            // A mean entry price is a quotient, and is told with a few decimals more than prices have.
            let decimals = ROUNDED_DECIMALS.min(of.price_decimals + ENTRY_DECIMALS);
            *cut += Amount(row.qty.0.abs() / pow10_i128(decimals));
        }
    }

    fn on_perp_wallet(&mut self, totals: &BTreeMap<Asset, Amount>, now: Nanos) {
        let Some(held) = self.income.held.take() else { return };
        // What moved while the answers were on their way proves nothing.
        if held.before != self.recon.stirred || self.income.due <= now {
            self.income.compare_due = now.plus(SEC << self.income.compare_tries.min(DOUBLINGS));
            self.income.compare_tries += 1;
            return;
        }
        self.income.compare_tries = 0;
        self.income.compare_due = now.plus(SEC);
        let quotes = self.instruments.pairs.iter().map(|pair| self.instruments.get(pair.perp).quote);
        let quotes: std::collections::BTreeSet<Asset> = quotes.collect();
        let (mut rows, mut differs) = (Vec::new(), Vec::new());
        let (mut begun, mut stands) = (true, true);
        let of_lane = self.perp_lane();
        let as_of = of_lane.and_then(|of_lane| self.offsets.venue_time(of_lane, now));
        let as_of = as_of.unwrap_or_else(|| self.clock.unix());
        for asset in quotes {
            let total = totals.get(&asset).copied().unwrap_or_default();
            let (cost, cut) = held.cost.get(&asset).copied().unwrap_or_default();
            let change = self.ledger.change(LegKind::Perp, asset) + self.ledger.perp_cash(asset) + cost;
            let opening = total - change;
            let rounding =
                cut.0 + i128::from(self.ledger.fills() + 1) * pow10_i128(Amount::SCALE - ROUNDED_DECIMALS);
            match self.recovered.openings.get(&(LegKind::Perp, asset)).copied() {
                Some(known) if (opening - known).0.abs() <= rounding => {
                    self.income.opened.remove(&asset);
                }
                Some(known) => {
                    stands &= self.stands(asset, opening, rounding, now);
                    differs.push(format!(
                        "{asset} in the perp wallet is {total} at the venue and {} in the books",
                        known + change
                    ));
                    rows.push(WalletRow { leg: LegKind::Perp, asset, total, opening, as_of });
                }
                None if self.begins(asset, opening, rounding, now) => {
                    rows.push(WalletRow { leg: LegKind::Perp, asset, total, opening, as_of });
                }
                None => begun = false,
            }
        }
        if !stands {
            self.income.due = now;
        } else if rows.is_empty() {
            self.income.compare = !begun;
        } else {
            // A payment that the books don't know yet would be taken for something else, for good.
            (self.income.found, self.income.due) = (Some(Found { at: now, rows, differs }), now);
        }
    }

    /// Whether the books may begin with this: nothing of ours has moved yet, or it stands.
    fn begins(&mut self, asset: Asset, opening: Amount, rounding: i128, now: Nanos) -> bool {
        self.stands(asset, opening, rounding, now) || self.ledger.fills() == 0
    }

    /// Whether looks that lie apart say the same: a single one would be believed for good.
    fn stands(&mut self, asset: Asset, opening: Amount, rounding: i128, now: Nanos) -> bool {
        let opened = self.income.opened.entry(asset).or_default();
        opened.look(opening, |said, says| (*says - *said).0.abs() <= rounding, now)
    }

    /// The books begin with what a look at the wallet found: at the first one, or where nothing explains it.
    fn begin_anew(&mut self, Found { rows, differs, .. }: Found) {
        self.income.compare = false;
        for text in &differs {
            self.alert(format!(
                "{text}: an unexplained change; look at the transfers and income of the account (positions are equal)"
            ));
        }
        for row in &rows {
            self.income.opened.remove(&row.asset);
            self.recovered.openings.insert((row.leg, row.asset), row.opening);
        }
        self.write(Record::Baseline { at: self.clock.unix(), held: rows, unexplained: differs });
    }
}

/// Decimals that venues round realised profit to, and entry prices at most.
const ROUNDED_DECIMALS: u8 = 8;
/// How many decimals an entry price is told with at least, beyond those of prices: the box's rule. The venue's page does
/// not say (binance.md shows `0.385` alone); with fewer, an alert would tell of what was cut off.
const ENTRY_DECIMALS: u8 = 3;

/// A quantity times a price, both counts of 10^-18, rounded toward zero.
fn product(qty: Amount, price: Amount) -> Amount {
    let unit = pow10_i128(Amount::SCALE);
    let (whole, part) = (qty.0 / unit, qty.0 % unit);
    let (price_whole, price_part) = (price.0 / unit, price.0 % unit);
    Amount(whole * price.0 + part * price_whole + part * (price_part / pow10_i128(9)) / pow10_i128(9))
}
