//! What the journal tells of the runs before: the books, and every order whose end is not in them.
//!
//! Owns:  reading entries back into facts, in the journal's own words: markets by name and symbol,
//!        quantities as text, since ids and scales belong to the process that wrote them.
//! Never: guesses: a sound record without a fact it must hold stops the start.
//! Map:   `segments::open` feeds it entry by entry; the shadow puts the facts into its books. `earlier` what the
//!        facts are, `row` reads fields, `checkpoint` writes all of it down for the next segment.

use super::earlier::{Market, Markets, OldInstrument, OldOrder, OldPair, OldTrade, Quiet, Run};
use super::ids::Ids;
use super::journal::{Entry, Kind};
use super::row::{Row, decimals_of};
use crate::desk::ledger::{Sums, Trade};
use crate::event::{Asset, FEE_PRICE_DECIMALS, Payment};
use crate::units::decimal::pow10_i128;
use crate::units::time::SEC;
use crate::units::{Amount, ClientId, LegKind, Price, Qty, Unix};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How long a sample of a reference counts.
pub(super) const WEEK_NS: i64 = 7 * 86_400 * SEC as i64;
/// How late a payment may be told of after its stamp.
pub(super) const LATE_NS: i64 = 600_000_000_000;

/// A record that lacks what every record of its kind holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {number} of the segment, {kind:?}, has no usable `{field}`; read it with the program that wrote it, or \
     restore the file from a backup"
)]
pub struct RecallError {
    /// Counted from 1.
    pub number: u64,
    /// Its kind.
    pub kind: Kind,
    /// What is missing or unreadable.
    pub field: &'static str,
}

/// What a fill's booking needs to know of its market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traded {
    pair: Asset,
    base: Asset,
    quote: Asset,
    price_factor: i64,
    size_factor: Amount,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Every run, oldest first; of those before the last checkpoint only what a start may ask for.
    pub runs: Vec<Run>,
    /// When the last record was written.
    pub last_at: Option<Unix>,
    /// What all fills add up to.
    pub sums: Sums,
    /// Booked trades by market and trade id: all since `known_since`, by the venue's clock, and those of
    /// `orders`. Older ones are in `sums` alone.
    pub trades: BTreeMap<(Market, u64), OldTrade>,
    /// See `trades`; 0: all are named.
    pub known_since: Unix,
    /// Orders to be asked about.
    pub orders: BTreeMap<ClientId, OldOrder>,
    /// Orders that are done.
    pub closed: Ids,
    /// By the first epoch they held for, with the last.
    pub markets: BTreeMap<u32, (u32, Markets)>,
    /// What a wallet held that no booking explains: before the first run, or since by another hand.
    pub openings: BTreeMap<(LegKind, Asset), Amount>,
    /// When that was compared last, in the venue's time.
    pub compared: BTreeMap<(LegKind, Asset), Unix>,
    /// Booked payments by transaction and symbol, and when they were paid; old ones are in `sums` alone.
    pub payments: BTreeMap<(u64, String), Unix>,
    /// Pairs by name that held both legs when last told.
    pub hedged: BTreeSet<String>,
    /// Coins that long positions of a pair may sell.
    pub granted: BTreeMap<Asset, Amount>,
    /// When a pair that held both legs was left last.
    pub left: BTreeMap<Asset, Unix>,
    /// What closing a pair would have fetched, full hour by full hour: of a short, of a long, in parts per billion.
    pub bases: BTreeMap<Asset, Vec<(Unix, [i64; 2])>>,
    /// Which markets asked to be left alone.
    pub quiet: BTreeMap<String, Quiet>,
    /// How many records of each kind were read for this.
    pub counts: BTreeMap<Kind, u64>,
    traded: BTreeMap<Market, Traded>,
    /// Records of the present segment.
    records: u64,
}

impl Recalled {
    /// Takes in the next entry.
    ///
    /// # Errors
    ///
    /// [`RecallError`]: nothing may be traded on books that are not known.
    pub fn take(&mut self, entry: &Entry) -> Result<(), RecallError> {
        self.records += 1;
        *self.counts.entry(entry.kind).or_default() += 1;
        let row = Row { body: &entry.body, number: self.records, kind: entry.kind };
        let at = row.at()?;
        self.last_at = Some(at);
        if matches!(entry.kind, Kind::Fired | Kind::Fill | Kind::OrderEnd) {
            // What is traded behind a stop makes it no stop; a note or a link that died does not.
            if let Some(run) = self.runs.last_mut() {
                run.stopped = false;
            }
        }
        match entry.kind {
            Kind::Start => self.runs.push(Run { began: at, stopped: false }),
            Kind::Stop => {
                if let Some(run) = self.runs.last_mut() {
                    run.stopped = true;
                }
            }
            Kind::Fired => self.on_fired(&row)?,
            Kind::Answer => self.on_answer(&row)?,
            Kind::Fill => self.on_fill(&row)?,
            Kind::OrderEnd => self.on_end(&row)?,
            Kind::Markets => self.on_markets(&row)?,
            Kind::Baseline => {
                // Older journals have one time for all that was held, or our calendar alone.
                let of_all = row.moment("as_of_us").unwrap_or(at);
                for held in row.list("held")? {
                    let held = row.within(held)?;
                    let what = (held.leg()?, held.asset("asset")?);
                    self.openings.insert(what, held.amount("opening")?);
                    self.compared.insert(what, held.moment("as_of_us").unwrap_or(of_all));
                }
            }
            Kind::Funding => self.on_payment(&row)?,
            Kind::Basis => self.on_basis(&row)?,
            Kind::FeePrice => {
                let price = Price(row.scaled("price", FEE_PRICE_DECIMALS)?);
                self.sums.value_fees(row.asset("asset")?, price);
            }
            Kind::Grant => drop(self.granted.insert(row.asset("pair")?, row.amount("qty")?)),
            Kind::Checkpoint => self.on_part(&row)?,
            Kind::Pair => {
                let name = row.text("pair")?;
                match row.text("state")? {
                    "hedged" => drop(self.hedged.insert(name.to_owned())),
                    "flat" => self.on_flat(&row, at)?,
                    _ => {}
                }
            }
            Kind::Note if row.body.contains_key("quiet_until_us") => self.on_quiet(&row)?,
            Kind::Epoch | Kind::Mode | Kind::Note => {}
        }
        Ok(())
    }

    /// Goes on in the next segment: record numbers in errors begin anew.
    pub(super) fn next_segment(&mut self) {
        self.records = 0;
    }

    /// What the intent records of an epoch mean.
    #[must_use]
    pub fn markets_of(&self, epoch: u32) -> Option<&Markets> {
        let (_, (last, markets)) = self.markets.range(..=epoch).next_back()?;
        (*last >= epoch).then_some(markets)
    }

    /// The pair that a market belongs to, and its m.
    #[must_use]
    pub fn pair_of(&self, leg: LegKind, symbol: &str) -> Option<(Asset, i64)> {
        let market = Market { leg, symbol: symbol.to_owned() };
        self.traded.get(&market).map(|traded| (traded.pair, traded.price_factor))
    }

    /// How many records were read for this: what a start costs.
    #[must_use]
    pub fn records_read(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether the last run ended by itself, so that nothing can be missing behind its last record.
    #[must_use]
    pub fn ended_well(&self) -> bool {
        self.runs.last().is_none_or(|run| run.stopped)
    }

    /// How many runs that began since `since` did not end by themselves: what a restart limit counts.
    #[must_use]
    pub fn crashes_since(&self, since: Unix) -> usize {
        self.runs.iter().filter(|run| run.began >= since && !run.stopped).count()
    }

    /// From when on funding payments may be missing: the newest booked one and a while before it, since rows may
    /// come late; without one, the first run's beginning.
    #[must_use]
    pub fn paid_since(&self) -> Option<Unix> {
        let newest = self.payments.values().max();
        newest.map(|at| Unix(at.0 - LATE_NS)).max(self.runs.first().map(|run| run.began))
    }

    /// A pair holds nothing: if it held both legs, it was left.
    fn on_flat(&mut self, row: &Row<'_>, at: Unix) -> Result<(), RecallError> {
        if self.hedged.remove(row.text("pair")?) {
            self.left.insert(row.asset("pair")?, at);
        }
        Ok(())
    }

    fn on_payment(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let payment = Payment {
            tran_id: row.number("tran_id")?,
            symbol: row.text("symbol")?.to_owned(),
            amount: row.amount("amount")?,
            asset: row.asset("asset")?,
            at: row.moment("paid_us")?,
        };
        if self.payments.insert((payment.tran_id, payment.symbol.clone()), payment.at).is_none() {
            self.sums.pay(&payment, row.flag("earned")?);
        }
        Ok(())
    }

    fn on_fired(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let class = row.class()?;
        for leg in row.list("legs")? {
            let leg = row.within(leg)?;
            let client = leg.client()?;
            if leg.text("wire")? == "nothing" {
                self.closed.insert(client);
                continue;
            }
            let market = leg.market()?;
            let decided = match market.leg {
                LegKind::Spot => "spot_price",
                LegKind::Perp => "perp_price",
            };
            let order = OldOrder {
                class,
                side: leg.side()?,
                qty: leg.decimal("qty")?.to_owned(),
                limit: leg.decimal("limit")?.to_owned(),
                decided: row.decimal(decided)?.to_owned(),
                reduce_only: leg.flag("reduce_only")?,
                stamp: leg.stamp()?,
                market,
                order_id: 0,
                executed: 0,
                booked: 0,
                ended: false,
            };
            self.orders.insert(client, order);
        }
        Ok(())
    }

    fn on_answer(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let client = row.client()?;
        let Some(order) = self.orders.get_mut(&client) else { return Ok(()) };
        let order_id = row.body.get("order_id").and_then(Value::as_u64).unwrap_or(0);
        if order_id != 0 {
            order.order_id = order_id;
        }
        if let Some(executed) = row.body.get("executed").and_then(Value::as_str) {
            order.executed = order.executed.max(row.units(executed, "executed")?);
        }
        Ok(())
    }

    fn on_fill(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let market = row.market()?;
        let traded = *self.traded.get(&market).ok_or_else(|| row.lacks("symbol"))?;
        let client = ClientId::parse(row.text("client_id")?.as_bytes());
        let order_id = row.number("order_id")?;
        let key = (market.clone(), row.number("trade_id")?);
        if self.trades.contains_key(&key) {
            return Ok(());
        }
        let (price, qty) = (row.decimal("price")?, row.decimal("qty")?);
        let units = row.units(qty, "qty")?;
        let price_decimals = decimals_of(price).ok_or_else(|| row.lacks("price"))?;
        let qty_decimals = decimals_of(qty).ok_or_else(|| row.lacks("qty"))?;
        self.sums.book(&Trade {
            pair: traded.pair,
            leg: market.leg,
            base: traded.base,
            quote: traded.quote,
            side: row.side()?,
            price: Price(row.scaled("price", price_decimals)?),
            decided: Price(row.scaled("decided", price_decimals)?),
            price_decimals,
            qty: Qty(row.scaled("qty", qty_decimals)?),
            qty_decimals,
            size_factor: match market.leg {
                LegKind::Spot => Amount(pow10_i128(Amount::SCALE)),
                LegKind::Perp => traded.size_factor,
            },
            fee: row.amount("fee")?,
            fee_asset: row.asset("fee_asset")?,
        });
        if let Some(order) = client.and_then(|client| self.orders.get_mut(&client)) {
            order.booked += units;
            order.executed = order.executed.max(order.booked);
        }
        let at = row.moment("traded_us")?;
        self.trades.insert(key, OldTrade { order_id, client, qty: qty.to_owned(), at });
        if let Some(client) = client {
            self.close(client);
        }
        Ok(())
    }

    fn on_end(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let client = row.client()?;
        if let Some(order) = self.orders.get_mut(&client) {
            order.ended = true;
            if row.text("end")? == "terminal" {
                order.executed = order.executed.max(i128::from(row.number("executed_units")?));
            }
        }
        self.close(client);
        Ok(())
    }

    fn close(&mut self, client: ClientId) {
        if self.orders.get(&client).is_some_and(OldOrder::closed) {
            self.orders.remove(&client);
            self.closed.insert(client);
        }
    }

    fn on_markets(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let epoch = row.small("epoch")?;
        let markets = read_markets(row)?;
        self.know_markets(epoch, epoch, markets);
        Ok(())
    }

    /// Takes in what the ids of some epochs mean. Runs that knew the same are told together: an epoch between
    /// them whose run wrote nothing down sent nothing.
    pub(super) fn know_markets(&mut self, first: u32, last: u32, markets: Markets) {
        for pair in &markets.pairs {
            for row in pair.legs.into_iter().filter_map(|leg| markets.instruments.get(leg)) {
                let traded = Traded {
                    pair: pair.name,
                    base: row.base,
                    quote: row.quote,
                    price_factor: i64::try_from(pair.price_factor).unwrap_or(i64::MAX),
                    size_factor: pair.size_factor,
                };
                self.traded.insert(row.market.clone(), traded);
            }
        }
        match self.markets.last_entry() {
            Some(mut newest) if newest.get().1 == markets => newest.get_mut().0 = last,
            _ => drop(self.markets.insert(first, (last, markets))),
        }
    }
}

/// What a record of markets says, or a part of a checkpoint.
pub(super) fn read_markets(row: &Row<'_>) -> Result<Markets, RecallError> {
    let mut markets = Markets { recv_window_ms: row.small("recv_window_ms")?, ..Markets::default() };
    for one in row.list("instruments")? {
        let one = row.within(one)?;
        markets.instruments.push(OldInstrument {
            market: one.market()?,
            base: one.asset("base")?,
            quote: one.asset("quote")?,
            price_decimals: one.small("price_decimals")?,
            qty_decimals: one.small("qty_decimals")?,
        });
    }
    for one in row.list("pairs")? {
        let one = row.within(one)?;
        markets.pairs.push(OldPair {
            name: one.asset("name")?,
            legs: [usize::from(one.small::<u16>("spot")?), usize::from(one.small::<u16>("perp")?)],
            price_factor: one.number("price_factor")?,
            size_factor: one.amount("size_factor")?,
        });
    }
    Ok(markets)
}

#[cfg(test)]
#[path = "recall_tests.rs"]
pub(super) mod tests;
