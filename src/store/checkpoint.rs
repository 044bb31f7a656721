//! All that earlier segments tell a start, as the first records of the next one.
//!
//! Owns:  the parts of a checkpoint, both ways, and what a checkpoint leaves behind.
//! Never: leaves out what a start may ask for: sums, open orders and ids are whole; of trades and runs only
//!        old ones go, and `known_since` says from when on no trade is missing.
//! Wire:  records of kind `checkpoint`, numbered `part` 1 … `parts`; `what` names a part's rows. Latch and epoch
//!        are not in it: they have files of their own.
//! Map:   `segments` writes it when a segment is full, and goes back to the last whole one at a start.

use super::body::{BASIS_DECIMALS, basis_body, instrument_rows, market, pair_rows, us};
use super::earlier::{Market, Markets, OldOrder, OldTrade, Quiet, Run};
use super::journal::{Entry, Kind};
use super::recall::{LATE_NS, RecallError, Recalled, WEEK_NS, read_markets};
use super::row::Row;
use crate::desk::ledger::{Lot, Profit, Sums};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::SEC;
use crate::units::{Amount, ClientId, Unix, decimal};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Trades so much older than the newest are not named one by one any more. Three times what a start reads back
/// before the last record (FAULTS 7.4, step 6).
const NAMED_NS: i64 = 1_800 * SEC as i64;
/// Crashes that are remembered; no restart limit worth setting is higher.
const CRASHES_MAX: usize = 1_000;
/// Rows of one part: far below the largest body.
const ROWS_MAX: usize = 256;

/// Which part of how many a record is; `None`: it is none, or does not say.
pub(super) fn place(entry: &Entry) -> Option<(u64, u64)> {
    let number = |field| entry.body.get(field).and_then(Value::as_u64);
    (entry.kind == Kind::Checkpoint).then_some((number("part")?, number("parts")?))
}

impl Recalled {
    /// Gives up what no start asks for: long-booked trades of closed orders, and runs but for crashes and the
    /// last one.
    pub(super) fn forget(&mut self) {
        let last = self.runs.len().saturating_sub(1);
        let crashes: Vec<usize> = (0..last).filter(|at| !self.runs[*at].stopped).collect();
        let kept = &crashes[crashes.len().saturating_sub(CRASHES_MAX)..];
        self.runs = kept
            .iter()
            .copied()
            .chain((!self.runs.is_empty()).then_some(last))
            .map(|at| self.runs[at])
            .collect();

        if let Some(newest) = self.payments.values().copied().max() {
            // A start reads back `LATE_NS` before the newest.
            self.payments.retain(|_, at| at.0 >= newest.0 - 2 * LATE_NS);
        }
        if let Some(last) = self.last_at {
            // No wait is so long, and no sample counts any more.
            self.quiet.retain(|_, quiet| quiet.until.0 > last.0 - WEEK_NS);
            self.left.retain(|_, left| last.0.saturating_sub(left.0) < WEEK_NS);
            self.bases.retain(|_, rows| {
                rows.last().is_some_and(|(hour, _)| last.0.saturating_sub(hour.0) < WEEK_NS)
            });
        }
        let Some(newest) = self.trades.values().map(|trade| trade.at).max() else { return };
        let since = self.known_since.max(Unix(newest.0 - NAMED_NS));
        // An order's trades stay or go together, or what is booked of it would not be known.
        let mut of_order: BTreeMap<(Market, u64), Unix> = BTreeMap::new();
        for ((market, _), trade) in &self.trades {
            let at = of_order.entry((market.clone(), trade.order_id)).or_default();
            *at = trade.at.max(*at);
        }
        let orders = &self.orders;
        self.trades.retain(|(market, _), trade| {
            trade.client.is_some_and(|client| orders.contains_key(&client))
                || of_order.get(&(market.clone(), trade.order_id)).is_some_and(|at| *at >= since)
        });
        self.known_since = since;
    }

    /// The bodies of a checkpoint's records.
    pub(super) fn checkpoint(&self) -> Vec<Value> {
        let runs = self.runs.iter().map(|run| json!({"began_us": us(run.began), "stopped": run.stopped}));
        let orders = self.orders.iter().map(|(client, order)| order_row(*client, order));
        let closed = self.closed.runs();
        let closed = closed.map(|(first, more)| json!({"client_id": first.to_string(), "more": more}));
        let payments = self
            .payments
            .iter()
            .map(|((tran_id, symbol), at)| json!({"tran_id": tran_id, "symbol": symbol, "paid_us": us(*at)}));
        let markets = self.markets.iter().map(|(first, (last, markets))| markets_row(*first, *last, markets));
        let left = self.left.iter();
        let left = left.map(|(pair, at)| json!({"pair": pair.as_str(), "left_us": us(*at)}));
        let bases = self.bases.iter().flat_map(|(pair, rows)| {
            rows.iter().map(move |(hour, closing)| basis_body(pair, *hour, *closing))
        });
        let quiet = self.quiet.iter().map(|(lane, Quiet { at, until, by_venue })| {
            json!({
                "lane": lane, "at_us": us(*at), "quiet_until_us": us(*until), "by_venue_us": by_venue.map(us),
            })
        });
        let unvalued = self.sums.unvalued.iter();
        let unvalued =
            unvalued.map(|(asset, fees)| json!({"asset": asset.as_str(), "unvalued": fees.to_string()}));
        let mut bodies = vec![self.sums_part()];
        for (what, rows) in [
            ("runs", runs.collect::<Vec<_>>()),
            ("markets", markets.collect()),
            (
                "trades",
                self.trades
                    .iter()
                    .filter(|_| !planted(Bug::TradesNotKept))
                    .map(|(of, trade)| trade_row(of, trade))
                    .collect(),
            ),
            ("payments", payments.collect()),
            ("orders", orders.collect()),
            ("closed", closed.collect()),
            ("left", left.collect()),
            ("bases", bases.collect()),
            ("fees", unvalued.collect()),
            ("quiet", quiet.collect()),
        ] {
            bodies.extend(rows.chunks(ROWS_MAX).map(|rows| json!({"what": what, "rows": rows})));
        }
        let (at, parts) = (us(self.last_at.unwrap_or_default()), bodies.len());
        let numbered = bodies.into_iter().enumerate().map(|(n, body)| {
            let mut whole = json!({"at_us": at, "part": n + 1, "parts": parts});
            if let (Value::Object(whole), Value::Object(body)) = (&mut whole, body) {
                whole.extend(body);
            }
            whole
        });
        numbered.collect()
    }

    fn sums_part(&self) -> Value {
        let Sums { fills, changes, lots, perp_cash, profit, unvalued: _ } = &self.sums;
        let wallet = |key: &str, rows: &BTreeMap<_, Amount>| -> Vec<Value> {
            let row = |((leg, asset), amount): (&(_, crate::event::Asset), &Amount)| json!({"market": market(*leg), "asset": asset.as_str(), key: amount.to_string()});
            rows.iter().map(row).collect()
        };
        let cash = perp_cash.iter();
        let cash = cash.map(|(asset, cash)| json!({"asset": asset.as_str(), "cash": cash.to_string()}));
        let lots = lots.iter().map(|((pair, leg), lot)| {
            json!({
                "pair": pair.as_str(), "market": market(*leg),
                "base": Amount(lot.base).to_string(), "cost": Amount(lot.cost).to_string(),
            })
        });
        let compared = self.compared.iter();
        let compared = compared.map(
            |((leg, asset), at)| json!({"market": market(*leg), "asset": asset.as_str(), "at_us": us(*at)}),
        );
        let granted = self.granted.iter();
        let granted = granted.map(|(pair, qty)| json!({"pair": pair.as_str(), "qty": qty.to_string()}));
        json!({
            "what": "sums", "fills": fills, "known_since_us": us(self.known_since),
            "basis": profit.basis.to_string(), "fees": profit.fees.to_string(),
            "slippage": profit.slippage.to_string(), "funding": profit.funding.to_string(),
            "perp_cash": cash.collect::<Vec<_>>(), "changes": wallet("change", changes),
            "lots": lots.collect::<Vec<_>>(), "openings": wallet("opening", &self.openings),
            "compared": compared.collect::<Vec<_>>(),
            "hedged": self.hedged.iter().collect::<Vec<_>>(),
            "granted": granted.collect::<Vec<_>>(),
        })
    }

    /// Takes in one part.
    pub(super) fn on_part(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let what = row.text("what")?;
        if what == "sums" {
            return self.on_sums(row);
        }
        for one in row.list("rows")? {
            let one = row.within(one)?;
            match what {
                "runs" => {
                    self.runs.push(Run { began: one.moment("began_us")?, stopped: one.flag("stopped")? })
                }
                "left" => drop(self.left.insert(one.asset("pair")?, one.moment("left_us")?)),
                "bases" => self.on_basis(&one)?,
                "quiet" => self.on_quiet(&one)?,
                "fees" => drop(self.sums.unvalued.insert(one.asset("asset")?, one.amount("unvalued")?)),
                "trades" => {
                    drop(self.trades.insert((one.market()?, one.number("trade_id")?), read_trade(&one)?));
                }
                "payments" => {
                    let of = (one.number("tran_id")?, one.text("symbol")?.to_owned());
                    self.payments.insert(of, one.moment("paid_us")?);
                }
                "orders" => drop(self.orders.insert(one.client()?, read_order(&one)?)),
                "closed" => self.closed.insert_run(one.client()?, one.small("more")?),
                "markets" => {
                    let (first, last) = (one.small("first_epoch")?, one.small("last_epoch")?);
                    self.know_markets(first, last, read_markets(&one)?);
                }
                _ => return Err(row.lacks("what")),
            }
        }
        Ok(())
    }

    /// Takes in a sample of a pair's reference; those of a week before it and earlier go.
    pub(super) fn on_basis(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let ppb = |field| {
            let ppb = decimal::parse_signed(row.text(field)?.as_bytes(), BASIS_DECIMALS).ok();
            ppb.and_then(|ppb| i64::try_from(ppb).ok()).ok_or_else(|| row.lacks(field))
        };
        let (hour, closing) = (row.moment("hour_us")?, [ppb("short")?, ppb("long")?]);
        let samples = self.bases.entry(row.asset("pair")?).or_default();
        samples.retain(|(old, _)| hour.0.saturating_sub(old.0) < WEEK_NS);
        samples.push((hour, closing));
        Ok(())
    }

    /// Takes in that a market asked to be left alone.
    pub(super) fn on_quiet(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        let (at, until) = (row.at()?, row.moment("quiet_until_us")?);
        let by_venue = row.moment("by_venue_us").ok();
        self.quiet.insert(row.text("lane")?.to_owned(), Quiet { at, until, by_venue });
        Ok(())
    }

    fn on_sums(&mut self, row: &Row<'_>) -> Result<(), RecallError> {
        self.known_since = row.moment("known_since_us")?;
        self.sums.fills = row.number("fills")?;
        self.sums.profit = Profit {
            basis: row.amount("basis")?,
            fees: row.amount("fees")?,
            slippage: row.amount("slippage")?,
            funding: row.amount("funding")?,
        };
        for one in row.list("changes")? {
            let one = row.within(one)?;
            self.sums.changes.insert((one.leg()?, one.asset("asset")?), one.amount("change")?);
        }
        for one in row.list("perp_cash")? {
            let one = row.within(one)?;
            self.sums.perp_cash.insert(one.asset("asset")?, one.amount("cash")?);
        }
        for one in row.list("lots")? {
            let one = row.within(one)?;
            let lot = Lot { base: one.amount("base")?.0, cost: one.amount("cost")?.0 };
            self.sums.lots.insert((one.asset("pair")?, one.leg()?), lot);
        }
        for one in row.list("openings")? {
            let one = row.within(one)?;
            self.openings.insert((one.leg()?, one.asset("asset")?), one.amount("opening")?);
        }
        for one in row.list("compared")? {
            let one = row.within(one)?;
            self.compared.insert((one.leg()?, one.asset("asset")?), one.at()?);
        }
        for one in row.list("granted")? {
            let one = row.within(one)?;
            self.granted.insert(one.asset("pair")?, one.amount("qty")?);
        }
        for name in row.list("hedged")? {
            self.hedged.insert(name.as_str().ok_or_else(|| row.lacks("hedged"))?.to_owned());
        }
        Ok(())
    }
}

fn put_market(row: &mut Value, of: &Market) {
    row["market"] = json!(market(of.leg));
    row["symbol"] = json!(of.symbol);
}

fn trade_row((market, trade_id): &(Market, u64), trade: &OldTrade) -> Value {
    let mut row = json!({
        "trade_id": trade_id, "order_id": trade.order_id, "qty": trade.qty, "traded_us": us(trade.at),
    });
    put_market(&mut row, market);
    if let Some(client) = trade.client {
        row["client_id"] = json!(client.to_string());
    }
    row
}

fn read_trade(row: &Row<'_>) -> Result<OldTrade, RecallError> {
    Ok(OldTrade {
        order_id: row.number("order_id")?,
        client: row.body.contains_key("client_id").then(|| row.client()).transpose()?,
        qty: row.decimal("qty")?.to_owned(),
        at: row.moment("traded_us")?,
    })
}

fn order_row(client: ClientId, order: &OldOrder) -> Value {
    let mut row = json!({
        "client_id": client.to_string(), "class": order.class.to_string(), "side": order.side.to_string(),
        "qty": order.qty, "limit": order.limit, "decided": order.decided, "reduce_only": order.reduce_only,
        "stamp_ms": order.stamp.as_ms(), "order_id": order.order_id,
        "executed_units": order.executed.to_string(), "booked_units": order.booked.to_string(),
        "ended": order.ended,
    });
    put_market(&mut row, &order.market);
    row
}

fn read_order(row: &Row<'_>) -> Result<OldOrder, RecallError> {
    let units = |field| row.text(field)?.parse::<i128>().map_err(|_| row.lacks(field));
    Ok(OldOrder {
        market: row.market()?,
        class: row.class()?,
        side: row.side()?,
        qty: row.decimal("qty")?.to_owned(),
        limit: row.decimal("limit")?.to_owned(),
        decided: row.decimal("decided")?.to_owned(),
        reduce_only: row.flag("reduce_only")?,
        stamp: row.stamp()?,
        order_id: row.number("order_id")?,
        executed: units("executed_units")?,
        booked: units("booked_units")?,
        ended: row.flag("ended")?,
    })
}

fn markets_row(first: u32, last: u32, markets: &Markets) -> Value {
    let mut row = Map::new();
    row.insert("first_epoch".to_owned(), json!(first));
    row.insert("last_epoch".to_owned(), json!(last));
    row.insert("recv_window_ms".to_owned(), json!(markets.recv_window_ms));
    let rows = markets.instruments.iter().map(|one| {
        (
            one.market.leg,
            one.market.symbol.as_str(),
            one.base,
            one.quote,
            one.price_decimals,
            one.qty_decimals,
        )
    });
    row.insert("instruments".to_owned(), instrument_rows(rows));
    let pairs = markets.pairs.iter().map(|pair| (pair.name, pair.legs, pair.price_factor, pair.size_factor));
    row.insert("pairs".to_owned(), pair_rows(pairs));
    Value::Object(row)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
