//! USD-M REST: the endpoints and the shape of their answers.
//!
//! Owns:  the table of USD-M routes, USD-M JSON.
//! Wire:  binance.md §7; fixtures `futures_rest_*`.
//! Quirk: the answer to a new order has neither fills nor `avgPrice` (2026); the default, ACK, always says NEW.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::{Contract, SymbolId};
use super::super::super::number::{E8, Fixed, Money, mul_div};
use super::super::super::orders::{Fill, Order};
use super::klines;
use super::order_entry::{self, RespType};
use super::params::Params;
use super::refusal::Refusal;
use super::{Auth, Outcome, Route, funding, info, ticker, usdm_account};

const USDM: Market = Market::Usdm;

/// All USD-M endpoints.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/fapi/v1/order", auth: Auth::Signed, allowed: order_entry::USDM_PARAMS, weight: |_| 0, run: place },
    Route { method: "GET", path: "/fapi/v1/order", auth: Auth::Signed, allowed: &["symbol", "orderId", "origClientOrderId"], weight: |_| 1, run: query },
    Route { method: "DELETE", path: "/fapi/v1/order", auth: Auth::Signed, allowed: &["symbol", "orderId", "origClientOrderId"], weight: |_| 1, run: cancel },
    Route { method: "GET", path: "/fapi/v1/openOrder", auth: Auth::Signed, allowed: &["symbol", "orderId", "origClientOrderId"], weight: |_| 1, run: open_order },
    Route { method: "DELETE", path: "/fapi/v1/allOpenOrders", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 1, run: cancel_all },
    Route { method: "GET", path: "/fapi/v1/openOrders", auth: Auth::Signed, allowed: &["symbol"], weight: |p| if p.get("symbol").is_some() { 1 } else { 40 }, run: open_orders },
    Route { method: "GET", path: "/fapi/v1/allOrders", auth: Auth::Signed, allowed: &["symbol", "orderId", "startTime", "endTime", "limit"], weight: |_| 5, run: all_orders },
    Route { method: "POST", path: "/fapi/v1/listenKey", auth: Auth::Keyed, allowed: &[], weight: |_| 1, run: |x, _| start_stream(x) },
    Route { method: "PUT", path: "/fapi/v1/listenKey", auth: Auth::Keyed, allowed: &[], weight: |_| 1, run: |x, _| keep_stream(x) },
    Route { method: "DELETE", path: "/fapi/v1/listenKey", auth: Auth::Keyed, allowed: &[], weight: |_| 1, run: |x, _| stop_stream(x) },
    Route { method: "GET", path: "/fapi/v3/account", auth: Auth::Signed, allowed: &[], weight: |_| 5, run: usdm_account::account },
    Route { method: "GET", path: "/fapi/v2/account", auth: Auth::Signed, allowed: &[], weight: |_| 5, run: usdm_account::account_v2 },
    Route { method: "GET", path: "/fapi/v3/balance", auth: Auth::Signed, allowed: &[], weight: |_| 5, run: usdm_account::balance },
    Route { method: "GET", path: "/fapi/v3/positionRisk", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 5, run: usdm_account::position_risk },
    Route { method: "GET", path: "/fapi/v2/positionRisk", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 5, run: usdm_account::position_risk_v2 },
    Route { method: "GET", path: "/fapi/v1/userTrades", auth: Auth::Signed, allowed: &["symbol", "orderId", "fromId", "startTime", "endTime", "limit"], weight: |_| 5, run: user_trades },
    Route { method: "GET", path: "/fapi/v1/commissionRate", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 20, run: usdm_account::commission },
    Route { method: "GET", path: "/fapi/v1/accountConfig", auth: Auth::Signed, allowed: &[], weight: |_| 5, run: usdm_account::account_config },
    Route { method: "GET", path: "/fapi/v1/symbolConfig", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 5, run: usdm_account::symbol_config },
    Route { method: "GET", path: "/fapi/v1/positionSide/dual", auth: Auth::Signed, allowed: &[], weight: |_| 30, run: |exchange, _| Ok(format!(r#"{{"dualSidePosition":{}}}"#, exchange.standing.hedged)) },
    Route { method: "POST", path: "/fapi/v1/positionSide/dual", auth: Auth::Signed, allowed: &["dualSidePosition"], weight: |_| 1, run: usdm_account::set_mode },
    Route { method: "POST", path: "/fapi/v1/marginType", auth: Auth::Signed, allowed: &["symbol", "marginType"], weight: |_| 1, run: usdm_account::set_margin_type },
    Route { method: "GET", path: "/fapi/v1/leverageBracket", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 1, run: usdm_account::brackets },
    Route { method: "POST", path: "/fapi/v1/leverage", auth: Auth::Signed, allowed: &["symbol", "leverage"], weight: |_| 1, run: usdm_account::set_leverage },
    Route { method: "GET", path: "/fapi/v1/rateLimit/order", auth: Auth::Signed, allowed: &[], weight: |_| 1, run: usdm_account::rate_limit },
    Route { method: "GET", path: "/fapi/v1/income", auth: Auth::Signed, allowed: &["symbol", "incomeType", "startTime", "endTime", "page", "limit"], weight: |_| 30, run: usdm_account::income },
    Route { method: "GET", path: "/fapi/v1/feeBurn", auth: Auth::Signed, allowed: &[], weight: |_| 30, run: |exchange, _| Ok(format!(r#"{{"feeBurn":{}}}"#, exchange.standing.burns[USDM.index()])) },
    Route { method: "POST", path: "/fapi/v1/feeBurn", auth: Auth::Signed, allowed: &["feeBurn"], weight: |_| 1, run: usdm_account::set_fee_burn },
    Route { method: "GET", path: "/fapi/v1/multiAssetsMargin", auth: Auth::Signed, allowed: &[], weight: |_| 30, run: |exchange, _| Ok(format!(r#"{{"multiAssetsMargin":{}}}"#, exchange.standing.many_assets)) },
    Route { method: "GET", path: "/fapi/v1/ping", auth: Auth::Open, allowed: &[], weight: |_| 1, run: |_, _| Ok("{}".into()) },
    Route { method: "GET", path: "/fapi/v1/time", auth: Auth::Open, allowed: &[], weight: |_| 1, run: info::time },
    Route { method: "GET", path: "/fapi/v1/exchangeInfo", auth: Auth::Open, allowed: &["symbol"], weight: |_| 1, run: info::usdm_exchange_info },
    Route { method: "GET", path: "/fapi/v1/premiumIndex", auth: Auth::Open, allowed: &["symbol"], weight: |p| if p.get("symbol").is_some() { 1 } else { 10 }, run: premium_index },
    Route { method: "GET", path: "/fapi/v1/ticker/bookTicker", auth: Auth::Open, allowed: &["symbol"], weight: |p| if p.get("symbol").is_some() { 2 } else { 5 }, run: book_ticker },
    Route { method: "GET", path: "/fapi/v1/ticker/24hr", auth: Auth::Open, allowed: &["symbol"], weight: |p| if p.get("symbol").is_some() { 1 } else { 40 }, run: ticker::usdm },
    Route { method: "GET", path: "/fapi/v1/ticker/price", auth: Auth::Open, allowed: &["symbol"], weight: one_or_two, run: price },
    Route { method: "GET", path: "/fapi/v2/ticker/price", auth: Auth::Open, allowed: &["symbol"], weight: one_or_two, run: price },
    Route { method: "GET", path: "/fapi/v1/depth", auth: Auth::Open, allowed: &["symbol", "limit"], weight: depth_weight, run: depth },
    Route { method: "GET", path: "/fapi/v1/fundingInfo", auth: Auth::Open, allowed: &["symbol"], weight: |_| 0, run: funding::info },
    Route { method: "GET", path: "/fapi/v1/fundingRate", auth: Auth::Open, allowed: &["symbol", "startTime", "endTime", "limit"], weight: |_| 0, run: funding::rates },
    Route { method: "GET", path: "/fapi/v1/klines", auth: Auth::Open, allowed: &["symbol", "interval", "startTime", "endTime", "limit"], weight: klines::usdm_weight, run: |x, p| klines::of(x, p, symbol(x, p)?, 1_500) },
];

fn one_or_two(params: &Params<'_>) -> u32 {
    if params.get("symbol").is_some() { 1 } else { 2 }
}

fn depth_weight(params: &Params<'_>) -> u32 {
    match params.get("limit").and_then(|l| l.parse::<u32>().ok()).unwrap_or(500) {
        0..=50 => 2,
        51..=100 => 5,
        101..=500 => 10,
        _ => 20,
    }
}

/// The symbols asked for: `symbol`, or all.
pub(super) fn asked(exchange: &Exchange, params: &Params<'_>) -> Result<Vec<SymbolId>, Refusal> {
    match params.get("symbol") {
        Some(_) => Ok(vec![symbol(exchange, params)?]),
        None => Ok(exchange.listing.of(USDM).map(|(id, _)| id).collect()),
    }
}

pub(super) fn symbol(exchange: &Exchange, params: &Params<'_>) -> Result<SymbolId, Refusal> {
    exchange.listing.find(USDM, params.need("symbol")?).ok_or_else(Refusal::symbol)
}

fn one_or_list(params: &Params<'_>, rows: Vec<String>) -> String {
    match (params.get("symbol"), rows.as_slice()) {
        (Some(_), [row]) => row.clone(),
        _ => format!("[{}]", rows.join(",")),
    }
}

pub(super) fn list(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

// --- market ---------------------------------------------------------------------------------------------------

fn premium_index(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let now = exchange.clock_ms() / 1_000 * 1_000;
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let (row, mark) = (&exchange.listing.symbols[id], &exchange.marks[id]);
        // A dated contract has no funding: empty texts and 0.
        let (rate, interest) = match row.contract {
            Contract::Quarter => (String::new(), ""),
            _ => (Fixed(mark.rate, 8).to_string(), "0.00010000"),
        };
        format!(
            r#"{{"symbol":"{}","markPrice":"{}","indexPrice":"{}","estimatedSettlePrice":"{}","lastFundingRate":"{rate}","interestRate":"{interest}","nextFundingTime":{},"time":{now}}}"#,
            row.name,
            Fixed(mark.mark, 8),
            Fixed(mark.index, 8),
            Fixed(mark.index, 8),
            mark.next_funding_ms
        )
    });
    Ok(one_or_list(params, rows.collect()))
}

fn book_ticker(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
        let (bid, ask) = (book.bid(), book.ask());
        format!(
            r#"{{"symbol":"{}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}","time":{},"lastUpdateId":{}}}"#,
            row.name,
            Fixed(bid.price, row.price_decimals),
            Fixed(bid.qty, row.qty_decimals),
            Fixed(ask.price, row.price_decimals),
            Fixed(ask.qty, row.qty_decimals),
            book.changed_ms,
            book.update_id
        )
    });
    Ok(one_or_list(params, rows.collect()))
}

fn price(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
        let price = Fixed(book.bid().price, row.price_decimals);
        format!(r#"{{"symbol":"{}","price":"{price}","time":{}}}"#, row.name, book.changed_ms)
    });
    Ok(one_or_list(params, rows.collect()))
}

fn depth(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let limit = params.limit(500, 1_000)?;
    if ![5, 10, 20, 50, 100, 500, 1_000].contains(&limit) {
        return Err(Refusal::new(-4021, format!("{limit} is not valid depth limit.")));
    }
    let (last, bids, asks) = info::levels(exchange, id, limit);
    let time = exchange.books[id].changed_ms;
    let now = exchange.clock_ms();
    Ok(format!(r#"{{"lastUpdateId":{last},"E":{now},"T":{time},"bids":{bids},"asks":{asks}}}"#))
}

// --- orders ---------------------------------------------------------------------------------------------------

pub(super) fn place(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let (at, resp) = order_entry::place(exchange, USDM, params)?;
    let order = &exchange.log.orders[at];
    let (status, executed) = match resp {
        RespType::Ack => ("NEW", 0),
        RespType::Result | RespType::Full => (order.status.name(), order.executed),
    };
    Ok(placed(exchange, order, status, executed))
}

/// The answer to a new or cancelled order: no average price, no value, no fills.
fn placed(exchange: &Exchange, order: &Order, status: &str, executed: E8) -> String {
    let row = &exchange.listing.symbols[order.symbol];
    let qty = |value: E8| Fixed(value, row.qty_decimals);
    format!(
        r#"{{"clientOrderId":"{}","cumQty":"{}","executedQty":"{}","orderId":{},"origQty":"{}","price":"{}","reduceOnly":{},"side":"{}","positionSide":"BOTH","status":"{status}","stopPrice":"{}","closePosition":false,"symbol":"{}","timeInForce":"{}","type":"{}","origType":"{}","updateTime":{},"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE","selfTradePreventionMode":"{}","goodTillDate":0}}"#,
        order.client_id,
        qty(executed),
        qty(executed),
        order.id,
        qty(order.qty),
        Fixed(order.price, row.price_decimals),
        order.reduce_only,
        order.side.name(),
        Fixed(0, row.price_decimals),
        row.name,
        order.tif.name(),
        order.kind.name(),
        order.kind.name(),
        order.update_ms,
        order.stp
    )
}

fn named_order(exchange: &Exchange, params: &Params<'_>) -> Result<Option<usize>, Refusal> {
    let id = symbol(exchange, params)?;
    if let Some(order) = params.number("orderId")? {
        return Ok(exchange.log.by_id(USDM, id, order));
    }
    match params.get("origClientOrderId") {
        Some(client) if !client.is_empty() => Ok(exchange.log.by_client(USDM, id, client)),
        _ => Err(Refusal::new(-1102, "Either 'orderId' or 'origClientOrderId' must be sent.")),
    }
}

/// Opens the account's stream, or keeps it: its key.
pub(super) fn start_stream(exchange: &mut Exchange) -> Outcome {
    Ok(format!(r#"{{"listenKey":"{}"}}"#, exchange.open_key()))
}

/// Keeps the stream for as long again: its key.
pub(super) fn keep_stream(exchange: &mut Exchange) -> Outcome {
    let key = exchange.extend_key().ok_or_else(Refusal::no_such_key)?;
    Ok(format!(r#"{{"listenKey":"{key}"}}"#))
}

/// Closes the stream.
pub(super) fn stop_stream(exchange: &mut Exchange) -> Outcome {
    if exchange.close_key() { Ok("{}".into()) } else { Err(Refusal::no_such_key()) }
}

fn all_orders(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let rows = info::orders(exchange, id, params, 7 * 86_400_000)?;
    Ok(list(rows.into_iter().map(|o| shown(exchange, o))))
}

fn query(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let now = exchange.clock_ms();
    let kept = |at: &usize| !exchange.horizon[USDM.index()].forgets(&exchange.log.orders[*at], now);
    let at = named_order(exchange, params)?.filter(kept).ok_or_else(Refusal::no_such_order)?;
    Ok(shown(exchange, &exchange.log.orders[at]))
}

fn open_order(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let open = |at: &usize| exchange.log.orders[*at].status.open();
    let at = named_order(exchange, params)?.filter(open).ok_or_else(Refusal::no_such_order)?;
    Ok(shown(exchange, &exchange.log.orders[at]))
}

/// Cancels every open order of a symbol; there may be none.
fn cancel_all(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let open: Vec<usize> =
        exchange.log.open.iter().copied().filter(|at| exchange.log.orders[*at].symbol == id).collect();
    for at in open {
        exchange.cancel(at, "");
    }
    Ok(r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#.into())
}

fn open_orders(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let only = if params.get("symbol").is_some() { Some(symbol(exchange, params)?) } else { None };
    let open = exchange.log.open.iter().map(|at| &exchange.log.orders[*at]);
    let rows = open.filter(|o| o.market == USDM && only.is_none_or(|id| id == o.symbol));
    Ok(list(rows.map(|o| shown(exchange, o))))
}

fn shown(exchange: &Exchange, order: &Order) -> String {
    let row = &exchange.listing.symbols[order.symbol];
    let qty = |value: E8| Fixed(value, row.qty_decimals);
    let average = match order.executed {
        0 => Money::ZERO,
        executed => Money(mul_div(order.cum_quote.0, 100_000_000, executed)),
    };
    format!(
        r#"{{"avgPrice":"{}","clientOrderId":"{}","cumQuote":"{}","executedQty":"{}","orderId":{},"origQty":"{}","origType":"{}","price":"{}","reduceOnly":{},"side":"{}","positionSide":"BOTH","status":"{}","stopPrice":"{}","closePosition":false,"symbol":"{}","time":{},"timeInForce":"{}","type":"{}","updateTime":{},"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE","selfTradePreventionMode":"{}","goodTillDate":0}}"#,
        average.fixed(row.price_decimals + 3),
        order.client_id,
        order.cum_quote.fixed(row.price_decimals + row.qty_decimals),
        qty(order.executed),
        order.id,
        qty(order.qty),
        order.kind.name(),
        Fixed(order.price, row.price_decimals),
        order.reduce_only,
        order.side.name(),
        order.status.name(),
        Fixed(0, row.price_decimals),
        row.name,
        order.time_ms,
        order.tif.name(),
        order.kind.name(),
        order.update_ms,
        order.stp
    )
}

fn cancel(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let unknown = || Refusal::new(-2011, "Unknown order sent.");
    let at = named_order(exchange, params)?.ok_or_else(unknown)?;
    if !exchange.cancel(at, "") {
        return Err(unknown());
    }
    let order = &exchange.log.orders[at];
    Ok(placed(exchange, order, order.status.name(), order.executed))
}

fn user_trades(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let rows = info::trades(exchange, id, params)?;
    let row = &exchange.listing.symbols[id];
    Ok(list(rows.into_iter().map(|f: &Fill| {
        let order = &exchange.log.orders[f.order];
        format!(
            r#"{{"buyer":{},"commission":"{}","commissionAsset":"USDT","id":{},"maker":{},"orderId":{},"price":"{}","qty":"{}","quoteQty":"{}","realizedPnl":"{}","side":"{}","positionSide":"BOTH","symbol":"{}","time":{}}}"#,
            order.side.sign() > 0,
            f.commission.fixed(8),
            f.trade_id,
            f.maker,
            order.id,
            Fixed(f.price, row.price_decimals),
            Fixed(f.qty, row.qty_decimals),
            f.quote.fixed(row.price_decimals + row.qty_decimals),
            f.realized.fixed(8),
            order.side.name(),
            row.name,
            f.time_us / 1_000
        )
    })))
}
