//! What the journal tells of the runs before: the books, and every order whose end is not in them.
//!
//! Owns:  reading entries back into facts, in the journal's own words: markets by name and symbol,
//!        quantities as text, since ids and scales belong to the process that wrote them.
//! Never: guesses: a sound record without a fact it must hold stops the start.
//! Map:   `journal::open` feeds it entry by entry; the shadow puts the facts into its books.

use super::journal::{Entry, Kind};
use crate::event::{Asset, Payment};
use crate::units::{Amount, Class, ClientId, LegKind, Side, Unix};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How late a payment may be told of after its stamp.
const LATE_NS: i64 = 600_000_000_000;

/// A record that lacks what every record of its kind holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {number} of the journal, {kind:?}, has no usable `{field}`; read it with the program that wrote it, or \
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

/// A market by its venue's name for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Market {
    /// Spot or perpetual.
    pub leg: LegKind,
    /// The venue's symbol.
    pub symbol: String,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub began: Unix,
    /// Whether its last record says that it stopped by itself.
    pub stopped: bool,
}

/// A booked fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFill {
    /// What was traded.
    pub market: Market,
    /// The venue's trade id.
    pub trade_id: u64,
    /// The venue's order id.
    pub order_id: u64,
    /// Our order; `None` if the venue made it (ADL, liquidation, settlement).
    pub client: Option<ClientId>,
    /// Buy or sell.
    pub side: Side,
    /// At, as decimal text.
    pub price: String,
    /// How much, as decimal text.
    pub qty: String,
    /// What it cost, positive when paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: Asset,
    /// The price its order was decided at, as decimal text, where that is known.
    pub decided: Option<String>,
}

/// An order whose end, or whose last fill, is not in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldOrder {
    /// What it trades.
    pub market: Market,
    /// Why it was sent.
    pub class: Class,
    /// Buy or sell.
    pub side: Side,
    /// How much, as decimal text.
    pub qty: String,
    /// Worst price it takes, as decimal text.
    pub limit: String,
    /// The price it was decided at, as decimal text.
    pub decided: String,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// Its `timestamp`.
    pub stamp: Unix,
    /// The venue's id, 0 if it was never told.
    pub order_id: u64,
    /// What is proven to be executed, in units of its own quantity's last decimal, and booked of it.
    pub executed: i128,
    /// What is booked.
    pub booked: i128,
    /// Whether its end is proven.
    pub ended: bool,
}

impl OldOrder {
    fn closed(&self) -> bool {
        self.ended && self.booked >= self.executed
    }
}

/// What a run's intent records mean by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markets {
    /// Indexed by instrument id, with the decimals of price and quantity.
    pub instruments: Vec<(Market, u8, u8)>,
    /// W of that run, in ms.
    pub recv_window_ms: u32,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Every run, oldest first.
    pub runs: Vec<Run>,
    /// When the last record was written.
    pub last_at: Option<Unix>,
    /// Every booked fill, in the order of booking.
    pub fills: Vec<OldFill>,
    /// Orders to be asked about.
    pub orders: BTreeMap<ClientId, OldOrder>,
    /// Orders that are done.
    pub closed: BTreeSet<ClientId>,
    /// By epoch.
    pub markets: BTreeMap<u32, Markets>,
    /// What a wallet held that no booking explains: before the first run, or since by another hand.
    pub openings: BTreeMap<(LegKind, Asset), Amount>,
    /// Booked payments, and whether a pair earned them.
    pub payments: Vec<(Payment, bool)>,
    /// Pairs by name that held both legs when last told.
    pub hedged: BTreeSet<String>,
    /// How many records of each kind there are.
    pub counts: BTreeMap<Kind, u64>,
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
                for held in row.list("held")? {
                    let held = row.within(held)?;
                    let asset = Asset::from(held.text("asset")?).map_err(|_| held.lacks("asset"))?;
                    self.openings.insert((held.leg()?, asset), held.amount("opening")?);
                }
            }
            Kind::Funding => self.on_payment(&row)?,
            Kind::Pair => {
                let name = row.text("pair")?;
                match row.text("state")? {
                    "hedged" => drop(self.hedged.insert(name.to_owned())),
                    "flat" => drop(self.hedged.remove(name)),
                    _ => {}
                }
            }
            Kind::Epoch | Kind::Mode | Kind::Note => {}
        }
        Ok(())
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
        let newest = self.payments.iter().map(|(payment, _)| payment.at).max();
        newest.map(|at| Unix(at.0 - LATE_NS)).max(self.runs.first().map(|run| run.began))
    }

    fn on_payment(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let asset = Asset::from(row.text("asset")?).map_err(|_| row.lacks("asset"))?;
        let at = row.body.get("paid_us").and_then(Value::as_i64).and_then(|us| us.checked_mul(1_000));
        let payment = Payment {
            tran_id: row.number("tran_id")?,
            symbol: row.text("symbol")?.to_owned(),
            amount: row.amount("amount")?,
            asset,
            at: at.map(Unix).ok_or_else(|| row.lacks("paid_us"))?,
        };
        let earned = row.body.get("earned").and_then(Value::as_bool).ok_or_else(|| row.lacks("earned"))?;
        self.payments.push((payment, earned));
        Ok(())
    }

    fn on_fired(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let class = match row.text("class")? {
            "entry" => Class::Entry,
            "exit" => Class::Exit,
            "repair" => Class::Repair,
            "flatten" => Class::Flatten,
            _ => return Err(row.lacks("class")),
        };
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
            let stamp = leg.body.get("stamp_ms").and_then(Value::as_i64).and_then(Unix::from_ms);
            let order = OldOrder {
                class,
                side: leg.side()?,
                qty: leg.decimal("qty")?.to_owned(),
                limit: leg.decimal("limit")?.to_owned(),
                decided: row.decimal(decided)?.to_owned(),
                reduce_only: leg
                    .body
                    .get("reduce_only")
                    .and_then(Value::as_bool)
                    .ok_or_else(|| leg.lacks("reduce_only"))?,
                stamp: stamp.ok_or_else(|| leg.lacks("stamp_ms"))?,
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
        let client = ClientId::parse(row.text("client_id")?.as_bytes());
        let order = client.and_then(|client| self.orders.get_mut(&client));
        let (qty, asset) = (row.decimal("qty")?, row.text("fee_asset")?);
        let units = row.units(qty, "qty")?;
        let mut decided = None;
        if let Some(order) = order {
            decided = Some(order.decided.clone());
            order.booked += units;
            order.executed = order.executed.max(order.booked);
        }
        self.fills.push(OldFill {
            market: row.market()?,
            trade_id: row.number("trade_id")?,
            order_id: row.number("order_id")?,
            client,
            side: row.side()?,
            price: row.decimal("price")?.to_owned(),
            qty: qty.to_owned(),
            fee: row.amount("fee")?,
            fee_asset: Asset::from(asset).map_err(|_| row.lacks("fee_asset"))?,
            decided,
        });
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
        let small = |row: &Row<'_>, field| {
            row.number(field).and_then(|n| u8::try_from(n).map_err(|_| row.lacks(field)))
        };
        let mut markets = Markets {
            recv_window_ms: u32::try_from(row.number("recv_window_ms")?)
                .map_err(|_| row.lacks("recv_window_ms"))?,
            ..Markets::default()
        };
        for one in row.list("instruments")? {
            let one = row.within(one)?;
            let (price, qty) = (small(&one, "price_decimals")?, small(&one, "qty_decimals")?);
            markets.instruments.push((one.market()?, price, qty));
        }
        let epoch = u32::try_from(row.number("epoch")?).map_err(|_| row.lacks("epoch"))?;
        self.markets.insert(epoch, markets);
        Ok(())
    }
}

/// One record, or an object in it, with what an error must say.
struct Row<'a> {
    body: &'a Map<String, Value>,
    number: u64,
    kind: Kind,
}

impl<'a> Row<'a> {
    fn lacks(&self, field: &'static str) -> RecallError {
        RecallError { number: self.number, kind: self.kind, field }
    }

    fn within(&self, value: &'a Value) -> Result<Self, RecallError> {
        let body = value.as_object().ok_or_else(|| self.lacks("object"))?;
        Ok(Self { body, number: self.number, kind: self.kind })
    }

    fn text(&self, field: &'static str) -> Result<&'a str, RecallError> {
        self.body.get(field).and_then(Value::as_str).ok_or_else(|| self.lacks(field))
    }

    fn list(&self, field: &'static str) -> Result<&'a [Value], RecallError> {
        self.body.get(field).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| self.lacks(field))
    }

    fn number(&self, field: &'static str) -> Result<u64, RecallError> {
        self.body.get(field).and_then(Value::as_u64).ok_or_else(|| self.lacks(field))
    }

    fn at(&self) -> Result<Unix, RecallError> {
        let us = self.body.get("at_us").and_then(Value::as_i64);
        us.and_then(|us| us.checked_mul(1_000)).map(Unix).ok_or_else(|| self.lacks("at_us"))
    }

    fn amount(&self, field: &'static str) -> Result<Amount, RecallError> {
        let signed = crate::units::decimal::parse_signed(self.text(field)?.as_bytes(), Amount::SCALE);
        signed.map(Amount).map_err(|_| self.lacks(field))
    }

    /// A text that is known to be an unsigned decimal.
    fn decimal(&self, field: &'static str) -> Result<&'a str, RecallError> {
        let text = self.text(field)?;
        self.units(text, field)?;
        Ok(text)
    }

    /// An unsigned decimal in units of its own last decimal.
    fn units(&self, text: &str, field: &'static str) -> Result<i128, RecallError> {
        let decimals = text.find('.').map_or(0, |dot| text.len() - dot - 1);
        let decimals = u8::try_from(decimals).ok().filter(|n| *n <= 18).ok_or_else(|| self.lacks(field))?;
        crate::units::decimal::parse_i128(text.as_bytes(), decimals).map_err(|_| self.lacks(field))
    }

    fn client(&self) -> Result<ClientId, RecallError> {
        ClientId::parse(self.text("client_id")?.as_bytes()).ok_or_else(|| self.lacks("client_id"))
    }

    fn side(&self) -> Result<Side, RecallError> {
        match self.text("side")? {
            "buy" => Ok(Side::Buy),
            "sell" => Ok(Side::Sell),
            _ => Err(self.lacks("side")),
        }
    }

    fn leg(&self) -> Result<LegKind, RecallError> {
        match self.text("market")? {
            "spot" => Ok(LegKind::Spot),
            "perp" => Ok(LegKind::Perp),
            _ => Err(self.lacks("market")),
        }
    }

    fn market(&self) -> Result<Market, RecallError> {
        Ok(Market { leg: self.leg()?, symbol: self.text("symbol")?.to_owned() })
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
