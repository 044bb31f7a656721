//! Binance's account, read whole: open orders, orders by id, trades, positions, balances, funding, cancel.
//!
//! Owns:  the paths, weights and readings of [`AUDIT`].
//! Never: skips a row that it can't read, or rounds. What a status means, `answers` says.
//! Wire:  binance.md §5, §7 (calls, weights, horizons), §9 (a cancel has an id of its own), §14.
//! Quirk: spot's `myTrades` with a start alone reaches to the present; USD-M's `userTrades` reaches seven
//!        days and is empty after that, so there its end is always said when it is not the present.

use super::account::{self, object, refusal, signed};
use super::answers::{read_cancel, standing_of};
use super::brackets;
use super::user::{forced, once};
use crate::event::{Asset, Instrument, Payment};
use crate::units::time::SEC;
use crate::units::{Amount, ClientId, LegKind, Price, Qty, Side, Unix};
use crate::venue::audit::{
    Audit, BalanceRow, Margin, MarginRow, OrderRow, PositionRow, Rows, TradeRow, TradesFrom, Whose,
};
use crate::venue::json::{Object, flag, stamp, text, uint};
use crate::venue::{Ask, BadBody, Key, Symbols};

/// Binance's account, read whole.
pub(super) const AUDIT: Audit = Audit {
    open_orders,
    read_orders,
    order_by_id,
    read_order,
    trades_since,
    read_trades,
    trades_page: PAGE,
    trades_span_ns,
    history_ns,
    fills_ns,
    positions,
    read_positions,
    margin,
    read_margin,
    balances,
    read_balances,
    brackets: brackets::ask,
    read_brackets: brackets::read,
    cancel,
    read_cancel,
    income_since,
    read_income,
    coin_price: account::coin_price,
    read_coin_price: account::read_coin_price,
    income_page: PAGE,
};

/// The largest page of trades and of income.
const PAGE: usize = 1_000;

/// `userTrades` takes times that lie at most so far apart.
const DAY_NS: u64 = 86_400 * SEC;
const USDM_SPAN_NS: i64 = 7 * 86_400 * SEC as i64;

/// No account holds, pays or asks for so many coins of anything; leaves room to add a thousand of them.
const AMOUNT_MAX: Amount = Amount(10i128.pow(35));

// ───────────────────────────── questions ─────────────────────────────

fn open_orders(leg: LegKind, of: Option<&Instrument>, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let (path, [one, all]) = match leg {
        LegKind::Spot => ("/api/v3/openOrders", [6, 80]),
        LegKind::Perp => ("/fapi/v1/openOrders", [1, 40]),
    };
    match of {
        Some(row) => signed(leg, path, &format!("symbol={}", row.symbol), one, key, at, window_ms),
        None => signed(leg, path, "", all, key, at, window_ms),
    }
}

fn order_by_id(row: &Instrument, order_id: u64, key: &Key, at: Unix, window_ms: u32) -> Ask {
    account::order(row, &format!("orderId={order_id}"), key, at, window_ms)
}

/// Spot by time: everything since then. USD-M by time: seven days from then on at most; what is older than
/// three months is gone.
fn trades_since(row: &Instrument, from: TradesFrom, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let from = match from {
        TradesFrom::Id(id) => format!("fromId={id}"),
        TradesFrom::Time(since) => {
            let start = since.as_ms().max(0);
            let end = Unix(since.0.saturating_add(USDM_SPAN_NS));
            if row.leg == LegKind::Perp && end < at {
                format!("startTime={start}&endTime={}", start.saturating_add(USDM_SPAN_NS / 1_000_000))
            } else {
                format!("startTime={start}")
            }
        }
    };
    account::trades(row, &format!("{from}&limit={PAGE}"), key, at, window_ms)
}

fn trades_span_ns(leg: LegKind) -> Option<u64> {
    (leg == LegKind::Perp).then_some(USDM_SPAN_NS.unsigned_abs())
}

/// An unfilled dead order: spot archives it after 90 days, USD-M drops it after 3.
fn history_ns(leg: LegKind) -> u64 {
    match leg {
        LegKind::Spot => 90 * DAY_NS,
        LegKind::Perp => 3 * DAY_NS,
    }
}

/// Spot's trades have no end that the page names; USD-M's reach 3 months (§7), the shortest of which has 89 days.
fn fills_ns(leg: LegKind) -> u64 {
    match leg {
        LegKind::Spot => u64::MAX,
        LegKind::Perp => 89 * DAY_NS,
    }
}

fn positions(key: &Key, at: Unix, window_ms: u32) -> Ask {
    signed(LegKind::Perp, "/fapi/v3/positionRisk", "", 5, key, at, window_ms)
}

/// The account whole: v3 lists only symbols with a position or orders.
fn margin(key: &Key, at: Unix, window_ms: u32) -> Ask {
    signed(LegKind::Perp, "/fapi/v3/account", "", 5, key, at, window_ms)
}

fn balances(leg: LegKind, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let (path, query, weight) = match leg {
        LegKind::Spot => ("/api/v3/account", "omitZeroBalances=true", 20),
        LegKind::Perp => ("/fapi/v3/balance", "", 5),
    };
    signed(leg, path, query, weight, key, at, window_ms)
}

fn cancel(row: &Instrument, client: ClientId, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let asked = account::order_query(row, client, key, at, window_ms);
    Ask { method: "DELETE", weight: 1, ..asked }
}

/// What is older than three months is gone.
fn income_since(since: Unix, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let query = format!("incomeType=FUNDING_FEE&startTime={}&limit={PAGE}", since.as_ms().max(0));
    signed(LegKind::Perp, "/fapi/v1/income", &query, 30, key, at, window_ms)
}

// ───────────────────────────── answers ─────────────────────────────

fn read_orders(body: &mut [u8], symbols: &Symbols, leg: LegKind) -> Rows<OrderRow> {
    rows(body, "openOrders", |row| order(row, symbols, leg))
}

fn read_order(body: &mut [u8], symbols: &Symbols, leg: LegKind) -> Result<OrderRow, BadBody> {
    object(body, |row| once_each(row, |row| order(row, symbols, leg)))
}

fn order(row: &Object<'_, '_>, symbols: &Symbols, leg: LegKind) -> Result<OrderRow, BadBody> {
    let symbol = symbol(row)?;
    let known = symbols.find(leg, symbol.as_bytes());
    let named = word(row, "clientOrderId")?;
    let whose = match (ClientId::parse(named.as_bytes()), forced(leg, named)) {
        (Some(client), _) => Whose::Ours(client),
        (None, Some(what)) => Whose::Forced(what),
        (None, None) => Whose::Foreign,
    };
    let (price, qty, executed) =
        (unsigned(row, "price")?, unsigned(row, "origQty")?, unsigned(row, "executedQty")?);
    let status = word(row, "status")?;
    // Others may size an order by its value or as the whole position: it has no quantity then.
    if qty == Amount::ZERO && matches!(whose, Whose::Ours(_)) {
        return Err(BadBody::Field("origQty"));
    }
    if qty > Amount::ZERO && (executed > qty || status == "FILLED" && executed != qty) {
        return Err(BadBody::Field("executedQty"));
    }
    let verdict = match known {
        None => None,
        Some(known) => {
            let executed = Qty::parse(word(row, "executedQty")?.as_bytes(), known.qty_decimals)
                .map_err(|_| BadBody::Field("executedQty"))?;
            Some(standing_of(status, executed))
        }
    };
    Ok(OrderRow {
        instrument: known.map(|known| known.id),
        symbol: symbol.to_owned(),
        whose,
        order_id: id(row, "orderId")?,
        side: side(row)?,
        price: (price != Amount::ZERO).then_some(price),
        qty,
        verdict,
        at: moment(row, "updateTime")?,
    })
}

fn read_trades(body: &mut [u8], instrument: &Instrument) -> Rows<TradeRow> {
    let mut trades = rows(body, "trades", |row| trade(row, instrument))?;
    // Asked on from the last id, a page in another order would leave trades out.
    trades.sort_by_key(|trade| trade.trade_id);
    Ok(trades)
}

fn trade(row: &Object<'_, '_>, instrument: &Instrument) -> Result<TradeRow, BadBody> {
    if symbol(row)? != instrument.symbol.as_str() {
        return Err(BadBody::Field("symbol"));
    }
    let name = match instrument.leg {
        LegKind::Spot => "isBuyer",
        LegKind::Perp => "buyer",
    };
    let buyer = flag(row, name).ok_or(BadBody::Field(name))?;
    let taken = if buyer { Side::Buy } else { Side::Sell };
    // USD-M says it twice.
    if instrument.leg == LegKind::Perp && side(row)? != taken {
        return Err(BadBody::Field("side"));
    }
    let price = Price::parse(word(row, "price")?.as_bytes(), instrument.price_decimals);
    let qty = Qty::parse(word(row, "qty")?.as_bytes(), instrument.qty_decimals);
    Ok(TradeRow {
        trade_id: uint(row, "id").ok_or(BadBody::Field("id"))?,
        order_id: id(row, "orderId")?,
        side: taken,
        price: price.ok().filter(|price| *price > Price(0)).ok_or(BadBody::Field("price"))?,
        qty: qty.ok().filter(|qty| *qty > Qty::ZERO).ok_or(BadBody::Field("qty"))?,
        fee: amount(row, "commission")?,
        fee_asset: asset(row, "commissionAsset")?,
        at: moment(row, "time")?,
    })
}

fn read_positions(body: &mut [u8], symbols: &Symbols) -> Rows<PositionRow> {
    let all = rows(body, "positionRisk", |row| {
        let symbol = symbol(row)?;
        let qty = amount(row, "positionAmt")?;
        // A symbol with open orders alone has a row too, and never had a change to stamp.
        if qty == Amount::ZERO {
            return Ok(None);
        }
        Ok(Some(PositionRow {
            instrument: symbols.find(LegKind::Perp, symbol.as_bytes()).map(|known| known.id),
            symbol: symbol.to_owned(),
            qty,
            entry: unsigned(row, "entryPrice")?,
            at: moment(row, "updateTime")?,
        }))
    })?;
    Ok(all.into_iter().flatten().collect())
}

fn read_margin(body: &mut [u8], symbols: &Symbols) -> Result<Margin, BadBody> {
    object(body, |answer| {
        let list = answer.get("positions").and_then(|list| list.as_array());
        let list = list.ok_or(BadBody::Field("positions"))?;
        let read = |row: &Object<'_, '_>| {
            let symbol = symbol(row)?;
            let held = amount(row, "positionAmt")? != Amount::ZERO;
            let needed = unsigned(row, "maintMargin")?;
            let instrument = symbols.find(LegKind::Perp, symbol.as_bytes()).map(|known| known.id);
            Ok(held.then(|| MarginRow { instrument, symbol: symbol.to_owned(), needed }))
        };
        let rows: Result<Vec<Option<MarginRow>>, BadBody> = list
            .iter()
            .map(|row| once_each(&row.as_object().ok_or(BadBody::Field("positions"))?, read))
            .collect();
        Ok(Margin {
            balance: amount(answer, "totalMarginBalance")?,
            needed: unsigned(answer, "totalMaintMargin")?,
            positions: rows?.into_iter().flatten().collect(),
        })
    })
}

fn read_balances(leg: LegKind, body: &mut [u8]) -> Rows<BalanceRow> {
    let all: Vec<BalanceRow> = match leg {
        LegKind::Spot => object(body, |answer| {
            let list = answer.get("balances").and_then(|list| list.as_array());
            let list = list.ok_or(BadBody::Field("balances"))?;
            let read = |row: &Object<'_, '_>| {
                Ok(BalanceRow {
                    asset: asset(row, "asset")?,
                    total: unsigned(row, "free")? + unsigned(row, "locked")?,
                })
            };
            list.iter()
                .map(|row| once_each(&row.as_object().ok_or(BadBody::Field("balances"))?, read))
                .collect()
        })?,
        LegKind::Perp => rows(body, "balance", |row| {
            Ok(BalanceRow { asset: asset(row, "asset")?, total: amount(row, "balance")? })
        })?,
    };
    Ok(all.into_iter().filter(|row| row.total != Amount::ZERO).collect())
}

fn read_income(body: &mut [u8]) -> Rows<Payment> {
    rows(body, "income", |row| {
        // Another kind is not what was asked for.
        if word(row, "incomeType")? != "FUNDING_FEE" {
            return Err(BadBody::Field("incomeType"));
        }
        Ok(Payment {
            tran_id: id(row, "tranId")?,
            symbol: symbol(row)?.to_owned(),
            amount: amount(row, "income")?,
            asset: asset(row, "asset")?,
            at: moment(row, "time")?,
        })
    })
}

// ───────────────────────────── fields ─────────────────────────────

/// Reads a list, or the venue's error in its place.
pub(super) fn rows<T>(
    body: &mut [u8],
    name: &'static str,
    read: impl Fn(&Object<'_, '_>) -> Result<T, BadBody>,
) -> Rows<T> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    let Some(list) = root.as_array() else {
        return Err(root.as_object().map_or(BadBody::Field(name), |answer| refusal(&answer)));
    };
    list.iter().map(|row| once_each(&row.as_object().ok_or(BadBody::Field(name))?, &read)).collect()
}

/// Reads a row that says nothing twice.
pub(super) fn once_each<T>(
    row: &Object<'_, '_>,
    read: impl Fn(&Object<'_, '_>) -> Result<T, BadBody>,
) -> Result<T, BadBody> {
    once(row).map_err(|refused| BadBody::Field(refused.field))?;
    read(row)
}

pub(super) fn word<'i>(row: &Object<'_, 'i>, field: &'static str) -> Result<&'i str, BadBody> {
    text(row, field).ok_or(BadBody::Field(field))
}

pub(super) fn symbol<'i>(row: &Object<'_, 'i>) -> Result<&'i str, BadBody> {
    word(row, "symbol").ok().filter(|name| !name.is_empty()).ok_or(BadBody::Field("symbol"))
}

fn asset(row: &Object<'_, '_>, field: &'static str) -> Result<Asset, BadBody> {
    word(row, field)?.parse().ok().filter(|name: &Asset| !name.is_empty()).ok_or(BadBody::Field(field))
}

fn id(row: &Object<'_, '_>, field: &'static str) -> Result<u64, BadBody> {
    uint(row, field).filter(|id| *id > 0).ok_or(BadBody::Field(field))
}

pub(super) fn moment(row: &Object<'_, '_>, field: &'static str) -> Result<Unix, BadBody> {
    stamp(row, field).ok_or(BadBody::Field(field))
}

fn side(row: &Object<'_, '_>) -> Result<Side, BadBody> {
    match word(row, "side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(BadBody::Field("side")),
    }
}

fn amount(row: &Object<'_, '_>, field: &'static str) -> Result<Amount, BadBody> {
    let read = Amount::parse(word(row, field)?.as_bytes()).ok();
    read.filter(|read| read.0.abs() <= AMOUNT_MAX.0).ok_or(BadBody::Field(field))
}

fn unsigned(row: &Object<'_, '_>, field: &'static str) -> Result<Amount, BadBody> {
    amount(row, field).ok().filter(|read| *read >= Amount::ZERO).ok_or(BadBody::Field(field))
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
