//! New orders, from parameters to an order in the log: what both markets share and where they differ.
//!
//! Owns:  reading order parameters, state and balance checks, order-level faults.
//! Never: formats an answer.
//! Wire:  binance.md §9, §14. Resting orders (GTC, GTX, LIMIT_MAKER) rest beside the book and fill as maker, at
//!        their own price, when the book comes to them; stop, trailing, iceberg and pegged orders are refused.
//! Quirk: the id must be unique among open orders only: a filled order's id is taken again.

use super::super::super::config::Market;
use super::super::super::exchange::{Due, Exchange, MS};
use super::super::super::kinds::Kind;
use super::super::super::listing::Contract;
use super::super::super::market::Level;
use super::super::super::matching::Side;
use super::super::super::number::{BadNumber, E8, Money, parse_e8};
use super::super::super::orders::{OrderType, Tif};
use super::super::super::trading::NewOrder;
use super::super::super::watch::Seen;
use super::filters;
use super::params::Params;
use super::refusal::Refusal;

/// Parameters of `POST /api/v3/order`.
pub(super) const SPOT_PARAMS: &[&str] = &[
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "strategyId",
    "strategyType",
    "stopPrice",
    "trailingDelta",
    "icebergQty",
    "pegPriceType",
    "pegOffsetType",
    "pegOffsetValue",
];

/// Parameters of `POST /fapi/v1/order`.
pub(super) const USDM_PARAMS: &[&str] = &[
    "symbol",
    "side",
    "positionSide",
    "type",
    "timeInForce",
    "quantity",
    "reduceOnly",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "priceMatch",
    "goodTillDate",
];

const STP_MODES: [&str; 6] = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"];

/// How much of the result an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RespType {
    Ack,
    Result,
    Full,
}

/// Reads, checks and executes an order. Returns its place in the log and how to answer.
///
/// # Errors
///
/// What the venue would say; or a cut connection where a fault asks for it.
pub(super) fn place(
    exchange: &mut Exchange,
    market: Market,
    params: &Params<'_>,
) -> Result<(usize, RespType), Refusal> {
    let (mut order, resp) = read(exchange, market, params)?;
    let mut met = order.takes(exchange);
    filters::check(exchange, &order, &met)?;
    let clock = exchange.clock();
    if let Err((limit, window, wait)) = exchange.limits[market.index()].count_order(clock) {
        let msg = format!("Too many new orders; current limit is {limit} orders per {window}.");
        return Err(Refusal { status: 429, retry_after_s: Some(wait), ..Refusal::new(-1015, msg) });
    }
    let fault = exchange.faults.for_order(market, order.side);
    if let Some(kind) = &fault {
        exchange.watch.see(|| Seen::Struck { client_id: order.client_id.clone(), kind: kind.name() });
    }
    match &fault {
        Some(Kind::Lose) => return Err(Refusal::cut()),
        Some(Kind::Refuse { code, msg, status, taken: false }) => {
            return Err(Refusal { status: *status, ..Refusal::new(*code, msg.clone()) });
        }
        Some(Kind::None) => met.clear(),
        Some(Kind::DelayAck { ms }) => exchange.faults.hold_answer_ms = *ms,
        Some(Kind::Partial { ppm }) => shrink(exchange, &order, &mut met, *ppm),
        Some(Kind::Freeze { ppm, .. }) => {
            order.frozen = true;
            if *ppm == 0 {
                met.clear();
            } else {
                shrink(exchange, &order, &mut met, *ppm);
            }
        }
        _ => {}
    }
    accept(exchange, &order, &mut met)?;
    let at = exchange.execute(order, &met);
    match fault {
        Some(Kind::DropAck) => Err(Refusal::cut()),
        Some(Kind::Freeze { ms, acked, .. }) => {
            exchange.schedule(exchange.now.saturating_add(ms.saturating_mul(MS)), Due::Thaw(at));
            if acked { Ok((at, resp)) } else { Err(Refusal::cut()) }
        }
        // Executed, and called refused.
        Some(Kind::Refuse { code, msg, status, .. }) => Err(Refusal { status, ..Refusal::new(code, msg) }),
        _ => Ok((at, resp)),
    }
}

/// Takes an order that no request of ours carried: a stranger's, on the same account and under the same rules. Half of
/// it trades `half_later` ns later, where that is given.
///
/// # Errors
///
/// The venue's refusal, as text.
pub(in crate::sim) fn take_order(
    exchange: &mut Exchange,
    mut order: NewOrder,
    half_later: Option<u64>,
) -> Result<(), String> {
    let mut met = order.takes(exchange);
    let checked = filters::check(exchange, &order, &met).and_then(|()| accept(exchange, &order, &mut met));
    checked.map_err(|r| format!("the venue refuses the foreign order: {} {}", r.code, r.msg))?;
    if half_later.is_some() {
        order.frozen = true;
        shrink(exchange, &order, &mut met, 500_000);
    }
    let at = exchange.execute(order, &met);
    if let Some(ns) = half_later {
        exchange.schedule(exchange.now.saturating_add(ns), Due::Thaw(at));
    }
    Ok(())
}

fn read(exchange: &Exchange, market: Market, params: &Params<'_>) -> Result<(NewOrder, RespType), Refusal> {
    let symbol = exchange.listing.find(market, params.need("symbol")?).ok_or_else(Refusal::symbol)?;
    let row = &exchange.listing.symbols[symbol];
    let side = match params.need("side")? {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(Refusal::new(-1117, "Invalid side.")),
    };
    let kind = match (params.need("type")?, market) {
        ("LIMIT", _) => OrderType::Limit,
        ("MARKET", _) => OrderType::Market,
        ("LIMIT_MAKER", Market::Spot) => OrderType::LimitMaker,
        (
            "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET",
            Market::Usdm,
        ) => {
            let msg = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.";
            return Err(Refusal::new(-4120, msg));
        }
        _ => return Err(Refusal::new(-1116, "Invalid orderType.")),
    };
    // Parameters of order types that the box does not take.
    let foreign =
        ["stopPrice", "trailingDelta", "icebergQty", "pegPriceType", "pegOffsetType", "pegOffsetValue"];
    for name in foreign.iter().chain(&["goodTillDate"]) {
        if params.get(name).is_some() {
            return Err(Refusal::not_required(name));
        }
    }
    let tif = match (kind, params.get("timeInForce")) {
        (OrderType::Limit, None | Some("")) => return Err(Refusal::missing("timeInForce")),
        (OrderType::Limit, Some("GTC")) => Tif::Gtc,
        (OrderType::Limit, Some("IOC")) => Tif::Ioc,
        (OrderType::Limit, Some("FOK")) => Tif::Fok,
        (OrderType::Limit, Some("GTX")) if market == Market::Usdm => Tif::Gtx,
        (OrderType::Limit, Some(_)) => return Err(Refusal::new(-1115, "Invalid timeInForce.")),
        (_, Some(_)) => return Err(Refusal::not_required("timeInForce")),
        // What the venue shows for a market order.
        (_, None) => Tif::Gtc,
    };
    let price = match kind {
        OrderType::Market if params.get("price").is_some() => return Err(Refusal::not_required("price")),
        OrderType::Market => 0,
        _ => number(params, "price", market)?,
    };
    let by_quote = kind == OrderType::Market && params.get("quoteOrderQty").is_some();
    if by_quote && params.get("quantity").is_some() {
        return Err(Refusal::new(-1128, "Combination of optional parameters invalid."));
    }
    if !by_quote && params.get("quoteOrderQty").is_some() {
        return Err(Refusal::not_required("quoteOrderQty"));
    }
    let (qty, quote_qty) = if by_quote {
        (0, number(params, "quoteOrderQty", market)?)
    } else {
        (number(params, "quantity", market)?, 0)
    };
    if market == Market::Usdm {
        filters::usdm_precision(price, row.price_decimals)?;
        filters::usdm_precision(qty, row.qty_decimals)?;
    }
    let order = NewOrder {
        market,
        symbol,
        client_id: client_id(exchange, market, params)?,
        side,
        kind,
        tif,
        price,
        qty,
        quote_qty,
        reduce_only: reduce_only(exchange, params)?,
        stp: self_trade(market, params)?,
        forced: None,
        frozen: false,
    };
    Ok((order, resp_type(market, params)?))
}

fn reduce_only(exchange: &Exchange, params: &Params<'_>) -> Result<bool, Refusal> {
    match params.get("positionSide") {
        None | Some("BOTH") if !exchange.standing.hedged => {}
        // In hedge mode the box takes no order at all.
        None | Some("BOTH" | "LONG" | "SHORT") => {
            return Err(Refusal::new(-4061, "Order's position side does not match user's setting."));
        }
        Some(_) => return Err(Refusal::invalid("positionSide")),
    }
    if params.get("priceMatch").is_some_and(|p| p != "NONE") {
        return Err(Refusal::invalid("priceMatch"));
    }
    Ok(params.flag("reduceOnly")?.unwrap_or(false))
}

fn self_trade(market: Market, params: &Params<'_>) -> Result<&'static str, Refusal> {
    let Some(sent) = params.get("selfTradePreventionMode") else { return Ok("EXPIRE_MAKER") };
    let known =
        STP_MODES.iter().find(|m| **m == sent).ok_or_else(|| Refusal::invalid("selfTradePreventionMode"))?;
    if market == Market::Usdm && matches!(*known, "DECREMENT" | "TRANSFER") {
        return Err(Refusal::invalid("selfTradePreventionMode"));
    }
    Ok(known)
}

fn resp_type(market: Market, params: &Params<'_>) -> Result<RespType, Refusal> {
    match (params.get("newOrderRespType"), market) {
        (Some("ACK"), _) | (None, Market::Usdm) => Ok(RespType::Ack),
        (Some("RESULT"), _) => Ok(RespType::Result),
        (Some("FULL") | None, Market::Spot) => Ok(RespType::Full),
        _ => Err(Refusal::invalid("newOrderRespType")),
    }
}

/// A number above zero.
fn number(params: &Params<'_>, name: &str, market: Market) -> Result<E8, Refusal> {
    let value = match parse_e8(params.need(name)?) {
        Ok(value) => value,
        Err(BadNumber::Form) => return Err(Refusal::illegal(name, r"^([0-9]{1,20})(\.[0-9]{1,20})?$")),
        Err(BadNumber::Precision) if market == Market::Spot => {
            return Err(Refusal::new(-1111, format!("Parameter '{name}' has too much precision.")));
        }
        Err(BadNumber::Precision) => {
            return Err(Refusal::new(-1111, "Precision is over the maximum defined for this asset."));
        }
        Err(BadNumber::Range) => return Err(Refusal::invalid(name)),
    };
    match (value, market, name) {
        (0, Market::Usdm, "price") => Err(Refusal::new(-4001, "Price less than 0.")),
        (0, Market::Usdm, _) => Err(Refusal::new(-4003, "Quantity less than or equal to zero.")),
        (0, Market::Spot, "price") => Err(Refusal::new(-1013, "Invalid price.")),
        (0, Market::Spot, _) => Err(Refusal::new(-1013, "Invalid quantity.")),
        _ => Ok(value),
    }
}

/// The client's id, or one of ours.
fn client_id(exchange: &Exchange, market: Market, params: &Params<'_>) -> Result<String, Refusal> {
    let Some(id) = params.get("newClientOrderId") else {
        return Ok(format!("box{:019}", exchange.log.orders.len() + 1));
    };
    let extra: &[u8] = if market == Market::Spot { b"-_" } else { b".:/_-" };
    let fits =
        (1..=36).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b));
    if fits {
        return Ok(id.to_owned());
    }
    Err(match market {
        Market::Spot => Refusal::illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$"),
        Market::Usdm => Refusal::new(-4015, "Client order id is not valid."),
    })
}

/// A `partial` fault: only a share of the wanted quantity is met, in whole steps, at least one.
fn shrink(exchange: &Exchange, order: &NewOrder, met: &mut Vec<Level>, ppm: u64) {
    let step = exchange.listing.symbols[order.symbol].step;
    let wanted: E8 = if order.qty > 0 { order.qty } else { met.iter().map(|l| l.qty).sum() };
    let share = i128::from(wanted) * i128::from(ppm) / 1_000_000;
    let mut left = (i64::try_from(share).unwrap_or(wanted) / step * step).max(step);
    met.retain_mut(|level| {
        level.qty = level.qty.min(left);
        left -= level.qty;
        level.qty > 0
    });
}

/// What the engine behind the gateway checks: the symbol's state, the id, money, and the time in force.
fn accept(exchange: &Exchange, order: &NewOrder, met: &mut Vec<Level>) -> Result<(), Refusal> {
    let row = &exchange.listing.symbols[order.symbol];
    if !exchange.may_place(order.market, order.reduce_only) {
        return Err(match order.market {
            Market::Spot => Refusal::new(-2010, "This action is disabled on this account."),
            Market::Usdm if exchange.restricted[1].0 => {
                Refusal::new(-4087, "User can only place reduce only order.")
            }
            Market::Usdm => Refusal::new(-4088, "User can not place order currently."),
        });
    }
    if !row.trades() {
        return Err(match order.market {
            Market::Spot => Refusal::new(-2010, "Market is closed."),
            Market::Usdm => Refusal::new(-4140, "Invalid symbol status for opening position."),
        });
    }
    if exchange.log.is_open(order.market, &order.client_id) {
        return Err(match order.market {
            Market::Spot => Refusal::new(-2010, "Duplicate order sent."),
            Market::Usdm => Refusal::new(-4116, "ClientOrderId is duplicated."),
        });
    }
    match order.market {
        Market::Spot => spot_funds(exchange, order, met)?,
        Market::Usdm => usdm_funds(exchange, order)?,
    }
    let filled: E8 = met.iter().map(|l| l.qty).sum();
    if order.kind == OrderType::LimitMaker && !met.is_empty() {
        return Err(Refusal::new(-2010, "Order would immediately match and take."));
    }
    if order.tif == Tif::Gtx && !met.is_empty() {
        let msg = "Due to the order could not be executed as maker, the Post Only order will be rejected. \
                   The order will not be recorded in the order history.";
        return Err(Refusal::new(-5022, msg));
    }
    if order.tif == Tif::Fok && filled < order.qty {
        if order.market == Market::Usdm {
            let msg = "Due to the order could not be filled immediately, the FOK order has been rejected. \
                       The order will not be recorded in the order history.";
            return Err(Refusal::new(-5021, msg));
        }
        met.clear();
    }
    Ok(())
}

fn spot_funds(exchange: &Exchange, order: &NewOrder, met: &[Level]) -> Result<(), Refusal> {
    let row = &exchange.listing.symbols[order.symbol];
    let (asset, needed) = match (order.side, order.kind) {
        (Side::Sell, _) if order.qty > 0 => (row.base, Money::from_e8(order.qty)),
        (Side::Sell, _) => (row.base, Money::from_e8(met.iter().map(|l| l.qty).sum())),
        (Side::Buy, OrderType::Market) if order.qty == 0 => (row.quote, Money::from_e8(order.quote_qty)),
        (Side::Buy, OrderType::Market) => {
            (row.quote, met.iter().map(|l| Money::product(l.price, l.qty)).sum())
        }
        (Side::Buy, _) => (row.quote, Money::product(order.price, order.qty)),
    };
    if exchange.accounts.spot[asset].free < needed {
        return Err(Refusal::new(-2010, "Account has insufficient balance for requested action."));
    }
    Ok(())
}

fn usdm_funds(exchange: &Exchange, order: &NewOrder) -> Result<(), Refusal> {
    let row = &exchange.listing.symbols[order.symbol];
    if row.contract == Contract::Quarter {
        return Err(Refusal::new(-4088, "User can not place order currently."));
    }
    let position = &exchange.accounts.positions[order.symbol];
    let opposite = position.qty.signum() == -order.side.sign();
    let reducible = if opposite { position.qty.abs() } else { 0 };
    if order.reduce_only {
        if order.qty > reducible {
            return Err(Refusal::new(-2022, "ReduceOnly Order is rejected."));
        }
        return Ok(());
    }
    let opening = (order.qty - reducible).max(0);
    let price = if order.price > 0 { order.price } else { exchange.marks[order.symbol].mark };
    let value = Money::product(price, opening);
    let fee = value.times(super::super::super::accounts::USDM_TAKER_FEE);
    let margin = Money(value.0 / i128::from(position.leverage.max(1)));
    if opening > 0 && margin + fee > exchange.available_margin() {
        return Err(Refusal::new(-2019, "Margin is insufficient."));
    }
    Ok(())
}
