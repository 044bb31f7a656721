//! Spot REST: the endpoints and the shape of their answers.
//!
//! Owns:  the table of spot routes, spot JSON.
//! Wire:  binance.md §5; fixtures `spot_rest_*`.
//! Quirk: prices and quantities are always written with eight decimals.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::SymbolId;
use super::super::super::number::{E8, Fixed, Money};
use super::super::super::orders::{Fill, Order};
use super::klines;
use super::order_entry::{self, RespType};
use super::params::Params;
use super::refusal::Refusal;
use super::{Auth, Outcome, Route, info, ticker};
use std::fmt::Write as _;

const SPOT: Market = Market::Spot;

/// All spot endpoints.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/api/v3/order", auth: Auth::Signed, allowed: order_entry::SPOT_PARAMS, weight: |_| 1, run: place },
    Route { method: "GET", path: "/api/v3/order", auth: Auth::Signed, allowed: &["symbol", "orderId", "origClientOrderId"], weight: |_| 4, run: query },
    Route { method: "DELETE", path: "/api/v3/order", auth: Auth::Signed, allowed: &["symbol", "orderId", "origClientOrderId", "newClientOrderId"], weight: |_| 1, run: cancel },
    Route { method: "DELETE", path: "/api/v3/openOrders", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 1, run: cancel_all },
    Route { method: "GET", path: "/api/v3/openOrders", auth: Auth::Signed, allowed: &["symbol"], weight: |p| if p.get("symbol").is_some() { 6 } else { 80 }, run: open_orders },
    Route { method: "GET", path: "/api/v3/allOrders", auth: Auth::Signed, allowed: &["symbol", "orderId", "startTime", "endTime", "limit"], weight: |_| 20, run: all_orders },
    Route { method: "GET", path: "/api/v3/account", auth: Auth::Signed, allowed: &["omitZeroBalances"], weight: |_| 20, run: account },
    Route { method: "GET", path: "/api/v3/account/commission", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 20, run: commission },
    Route { method: "GET", path: "/api/v3/myTrades", auth: Auth::Signed, allowed: &["symbol", "orderId", "fromId", "startTime", "endTime", "limit"], weight: |p| if p.get("orderId").is_some() { 5 } else { 20 }, run: my_trades },
    Route { method: "GET", path: "/api/v3/rateLimit/order", auth: Auth::Signed, allowed: &[], weight: |_| 40, run: rate_limit },
    Route { method: "GET", path: "/api/v3/ping", auth: Auth::Open, allowed: &[], weight: |_| 1, run: |_, _| Ok("{}".into()) },
    Route { method: "GET", path: "/api/v3/time", auth: Auth::Open, allowed: &[], weight: |_| 1, run: info::time },
    Route { method: "GET", path: "/api/v3/exchangeInfo", auth: Auth::Open, allowed: &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"], weight: |_| 20, run: info::spot_exchange_info },
    Route { method: "GET", path: "/api/v3/ticker/bookTicker", auth: Auth::Open, allowed: &["symbol", "symbols", "symbolStatus"], weight: one_or_all, run: book_ticker },
    Route { method: "GET", path: "/api/v3/ticker/price", auth: Auth::Open, allowed: &["symbol", "symbols", "symbolStatus"], weight: one_or_all, run: price },
    Route { method: "GET", path: "/api/v3/referencePrice", auth: Auth::Open, allowed: &["symbol"], weight: |_| 2, run: reference_price },
    Route { method: "GET", path: "/api/v3/avgPrice", auth: Auth::Open, allowed: &["symbol"], weight: |_| 2, run: avg_price },
    Route { method: "GET", path: "/api/v3/depth", auth: Auth::Open, allowed: &["symbol", "limit"], weight: depth_weight, run: depth },
    Route { method: "GET", path: "/api/v3/ticker/24hr", auth: Auth::Open, allowed: &["symbol", "symbols", "symbolStatus"], weight: ticker::spot_weight, run: ticker::spot },
    Route { method: "GET", path: "/api/v3/klines", auth: Auth::Open, allowed: &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"], weight: |_| 2, run: |x, p| klines::of(x, p, symbol(x, p)?, 1_000) },
];

fn one_or_all(params: &Params<'_>) -> u32 {
    if params.get("symbol").is_some() { 2 } else { 4 }
}

fn depth_weight(params: &Params<'_>) -> u32 {
    match params.get("limit").and_then(|l| l.parse::<u32>().ok()).unwrap_or(100) {
        0..=100 => 5,
        101..=500 => 25,
        501..=1000 => 50,
        _ => 250,
    }
}

/// Text of a spot price or quantity.
fn eight(value: E8) -> Fixed {
    Fixed(value, 8)
}

/// The symbols asked for: `symbol`, `symbols`, or all that trade.
///
/// # Errors
///
/// -1121 for an unknown one, -1128 when both are sent, -1100 for a list that is none.
pub(super) fn asked(exchange: &Exchange, params: &Params<'_>) -> Result<Vec<SymbolId>, Refusal> {
    let find = |name: &str| exchange.listing.find(SPOT, name).ok_or_else(Refusal::symbol);
    match (params.get("symbol"), params.get("symbols")) {
        (Some(_), Some(_)) => Err(Refusal::new(-1128, "Combination of optional parameters invalid.")),
        (Some(name), None) => Ok(vec![find(name)?]),
        (None, Some(list)) => {
            let broken = |_| Refusal::illegal("symbols", r#"["A","B"]"#);
            let names: Vec<String> = serde_json::from_str(list).map_err(broken)?;
            names.iter().map(|name| find(name)).collect()
        }
        (None, None) => Ok(exchange.listing.of(SPOT).map(|(id, _)| id).collect()),
    }
}

/// One object for `symbol`, a list otherwise.
pub(super) fn one_or_list(params: &Params<'_>, rows: Vec<String>) -> String {
    match (params.get("symbol"), rows.as_slice()) {
        (Some(_), [row]) => row.clone(),
        _ => format!("[{}]", rows.join(",")),
    }
}

fn book_ticker(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let (book, name) = (&exchange.books[id], &exchange.listing.symbols[id].name);
        let (bid, ask) = (book.bid(), book.ask());
        format!(
            r#"{{"symbol":"{name}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}"}}"#,
            eight(bid.price),
            eight(bid.qty),
            eight(ask.price),
            eight(ask.qty)
        )
    });
    Ok(one_or_list(params, rows.collect()))
}

fn price(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let name = &exchange.listing.symbols[id].name;
        format!(r#"{{"symbol":"{name}","price":"{}"}}"#, eight(exchange.books[id].bid().price))
    });
    Ok(one_or_list(params, rows.collect()))
}

/// What the percent filters measure against: here the middle of the book. A coin without a perp never had one.
fn reference_price(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let row = &exchange.listing.symbols[id];
    if row.twin.is_none() {
        return Err(Refusal::new(-2043, "This symbol doesn't have a reference price."));
    }
    let (price, now) = (eight(exchange.books[id].mid()), exchange.clock_ms());
    Ok(format!(r#"{{"symbol":"{}","referencePrice":"{price}","timestamp":{now}}}"#, row.name))
}

/// The mean of the last five minutes, which the box does not keep: the middle of the book.
fn avg_price(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let (price, now) = (eight(exchange.books[id].mid()), exchange.clock_ms());
    Ok(format!(r#"{{"mins":5,"price":"{price}","closeTime":{now}}}"#))
}

fn depth(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let limit = params.limit(100, 5_000)?;
    let (last, bids, asks) = info::levels(exchange, id, limit);
    Ok(format!(r#"{{"lastUpdateId":{last},"bids":{bids},"asks":{asks}}}"#))
}

fn symbol(exchange: &Exchange, params: &Params<'_>) -> Result<SymbolId, Refusal> {
    exchange.listing.find(SPOT, params.need("symbol")?).ok_or_else(Refusal::symbol)
}

pub(super) fn place(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let (at, resp) = order_entry::place(exchange, SPOT, params)?;
    let order = &exchange.log.orders[at];
    let name = &exchange.listing.symbols[order.symbol].name;
    let mut body = format!(
        r#"{{"symbol":"{name}","orderId":{},"orderListId":-1,"clientOrderId":"{}","transactTime":{}"#,
        order.id, order.client_id, order.time_ms
    );
    if resp != RespType::Ack {
        let _ = write!(
            body,
            r#","price":"{}","origQty":"{}","executedQty":"{}","origQuoteOrderQty":"{}","cummulativeQuoteQty":"{}","status":"{}","timeInForce":"{}","type":"{}","side":"{}","workingTime":{}"#,
            eight(order.price),
            eight(order.qty),
            eight(order.executed),
            eight(order.quote_qty),
            order.cum_quote.fixed(8),
            order.status.name(),
            order.tif.name(),
            order.kind.name(),
            order.side.name(),
            order.time_ms
        );
    }
    if resp == RespType::Full {
        let fills: Vec<String> = exchange
            .log
            .fills
            .iter()
            .rev()
            .take_while(|f| f.order == at)
            .map(|f| {
                format!(
                    r#"{{"price":"{}","qty":"{}","commission":"{}","commissionAsset":"{}","tradeId":{}}}"#,
                    eight(f.price),
                    eight(f.qty),
                    f.commission.fixed(8),
                    exchange.listing.assets[f.commission_asset],
                    f.trade_id
                )
            })
            .collect();
        let fills: Vec<String> = fills.into_iter().rev().collect();
        let _ = write!(body, r#","fills":[{}]"#, fills.join(","));
    }
    if resp != RespType::Ack {
        let _ = write!(body, r#","selfTradePreventionMode":"{}""#, order.stp);
    }
    body.push('}');
    Ok(body)
}

/// The order that `orderId` or `origClientOrderId` names.
fn named_order(exchange: &Exchange, params: &Params<'_>) -> Result<Option<usize>, Refusal> {
    let id = symbol(exchange, params)?;
    if let Some(order) = params.number("orderId")? {
        return Ok(exchange.log.by_id(SPOT, id, order));
    }
    match params.get("origClientOrderId") {
        Some(client) if !client.is_empty() => Ok(exchange.log.by_client(SPOT, id, client)),
        _ => {
            let msg = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!";
            Err(Refusal::new(-1102, msg))
        }
    }
}

fn all_orders(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let rows = info::orders(exchange, id, params, 86_400_000)?;
    Ok(format!("[{}]", rows.into_iter().map(|o| shown(exchange, o)).collect::<Vec<_>>().join(",")))
}

pub(super) fn query(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let at = named_order(exchange, params)?.ok_or_else(Refusal::no_such_order)?;
    if exchange.horizon[SPOT.index()].forgets(&exchange.log.orders[at], exchange.clock_ms()) {
        return Err(Refusal::archived());
    }
    Ok(shown(exchange, &exchange.log.orders[at]))
}

fn open_orders(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let only = if params.get("symbol").is_some() { Some(symbol(exchange, params)?) } else { None };
    let open = exchange.log.open.iter().map(|at| &exchange.log.orders[*at]);
    let rows = open.filter(|o| o.market == SPOT && only.is_none_or(|id| id == o.symbol));
    Ok(format!("[{}]", rows.map(|o| shown(exchange, o)).collect::<Vec<_>>().join(",")))
}

fn shown(exchange: &Exchange, order: &Order) -> String {
    format!(
        r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}","price":"{}","origQty":"{}","executedQty":"{}","cummulativeQuoteQty":"{}","status":"{}","timeInForce":"{}","type":"{}","side":"{}","stopPrice":"0.00000000","icebergQty":"0.00000000","time":{},"updateTime":{},"isWorking":true,"workingTime":{},"origQuoteOrderQty":"{}","selfTradePreventionMode":"{}"}}"#,
        exchange.listing.symbols[order.symbol].name,
        order.id,
        order.client_id,
        eight(order.price),
        eight(order.qty),
        eight(order.executed),
        order.cum_quote.fixed(8),
        order.status.name(),
        order.tif.name(),
        order.kind.name(),
        order.side.name(),
        order.time_ms,
        order.update_ms,
        order.time_ms,
        eight(order.quote_qty),
        order.stp
    )
}

fn cancel(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let unknown = || Refusal::new(-2011, "Unknown order sent.");
    let at = named_order(exchange, params)?.ok_or_else(unknown)?;
    let own = params.get("newClientOrderId").map_or_else(|| own_id(exchange, at), str::to_owned);
    if !exchange.cancel(at, &own) {
        return Err(unknown());
    }
    Ok(canceled(exchange, at, &own))
}

/// Cancels every open order of a symbol, each under an id of its own.
fn cancel_all(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let open: Vec<usize> =
        exchange.log.open.iter().copied().filter(|at| exchange.log.orders[*at].symbol == id).collect();
    if open.is_empty() {
        return Err(Refusal::new(-2011, "Unknown order sent."));
    }
    let mut rows = Vec::with_capacity(open.len());
    for at in open {
        let own = own_id(exchange, at);
        exchange.cancel(at, &own);
        rows.push(canceled(exchange, at, &own));
    }
    Ok(format!("[{}]", rows.join(",")))
}

/// The id of a cancel that was sent without one.
fn own_id(exchange: &Exchange, at: usize) -> String {
    format!("boxc{:018}", exchange.log.orders[at].id % 1_000_000_000_000_000_000)
}

/// The answer to a cancel, under the cancel's own id.
fn canceled(exchange: &Exchange, at: usize, own: &str) -> String {
    let order = &exchange.log.orders[at];
    format!(
        r#"{{"symbol":"{}","origClientOrderId":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}","transactTime":{},"price":"{}","origQty":"{}","executedQty":"{}","origQuoteOrderQty":"{}","cummulativeQuoteQty":"{}","status":"CANCELED","timeInForce":"{}","type":"{}","side":"{}","selfTradePreventionMode":"{}"}}"#,
        exchange.listing.symbols[order.symbol].name,
        order.client_id,
        order.id,
        own,
        order.update_ms,
        eight(order.price),
        eight(order.qty),
        eight(order.executed),
        eight(order.quote_qty),
        order.cum_quote.fixed(8),
        order.tif.name(),
        order.kind.name(),
        order.side.name(),
        order.stp
    )
}

/// Is it a coin of the spot wallet? The listing also names what only perps are of.
pub(super) fn is_spot_asset(exchange: &Exchange, asset: usize) -> bool {
    asset == 0 || exchange.listing.of(SPOT).any(|(_, s)| s.base == asset)
}

fn account(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let omit = params.flag("omitZeroBalances")?.unwrap_or(false);
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (asset, balance) in exchange.accounts.spot.iter().enumerate() {
        let name = exchange.listing.assets[asset].as_str();
        if is_spot_asset(exchange, asset) && !(omit && balance.free + balance.locked == Money::ZERO) {
            let row = format!(
                r#"{{"asset":"{name}","free":"{}","locked":"{}"}}"#,
                balance.free.fixed(8),
                balance.locked.fixed(8)
            );
            rows.push((name, row));
        }
    }
    rows.sort_unstable();
    let rows: Vec<String> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(format!(
        r#"{{"makerCommission":10,"takerCommission":10,"buyerCommission":0,"sellerCommission":0,"commissionRates":{{"maker":"0.00100000","taker":"0.00100000","buyer":"0.00000000","seller":"0.00000000"}},"canTrade":true,"canWithdraw":false,"canDeposit":true,"brokered":false,"requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"accountType":"SPOT","balances":[{}],"permissions":["SPOT"],"uid":354937868}}"#,
        exchange.accounts.spot_update_ms,
        rows.join(",")
    ))
}

fn commission(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let name = &exchange.listing.symbols[id].name;
    let burns = exchange.standing.burns[SPOT.index()];
    let none = r#"{"maker":"0.00000000","taker":"0.00000000","buyer":"0.00000000","seller":"0.00000000"}"#;
    Ok(format!(
        r#"{{"symbol":"{name}","standardCommission":{{"maker":"0.00100000","taker":"0.00100000","buyer":"0.00000000","seller":"0.00000000"}},"specialCommission":{none},"taxCommission":{none},"discount":{{"enabledForAccount":{burns},"enabledForSymbol":true,"discountAsset":"BNB","discount":"0.75000000"}}}}"#
    ))
}

fn my_trades(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let rows = info::trades(exchange, id, params)?;
    let shown = |f: &Fill| {
        let order = &exchange.log.orders[f.order];
        format!(
            r#"{{"symbol":"{}","id":{},"orderId":{},"orderListId":-1,"price":"{}","qty":"{}","quoteQty":"{}","commission":"{}","commissionAsset":"{}","time":{},"isBuyer":{},"isMaker":{},"isBestMatch":true}}"#,
            exchange.listing.symbols[f.symbol].name,
            f.trade_id,
            order.id,
            eight(f.price),
            eight(f.qty),
            f.quote.fixed(8),
            f.commission.fixed(8),
            exchange.listing.assets[f.commission_asset],
            f.time_us / 1_000,
            order.side.sign() > 0,
            f.maker
        )
    };
    Ok(format!("[{}]", rows.into_iter().map(shown).collect::<Vec<_>>().join(",")))
}

fn rate_limit(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let clock = exchange.clock();
    let limits = &mut exchange.limits[SPOT.index()];
    let (short, long) = limits.order_counts(clock);
    let (short_limit, long_limit) = (limits.orders_short.limit, limits.orders_long.limit);
    Ok(format!(
        r#"[{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":{short_limit},"count":{short}}},{{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":{long_limit},"count":{long}}}]"#
    ))
}
