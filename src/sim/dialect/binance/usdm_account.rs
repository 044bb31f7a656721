//! USD-M account answers: balances, positions, settings, income.
//!
//! Owns:  the sums over positions and marks, and their JSON.
//! Wire:  binance.md §7; fixtures `futures_rest_account_v3`, `_balance_v3`, `_position_risk_*`, `_income`, …
//! Quirk: v3 position risk lists only symbols with a position, v2 all.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::SymbolId;
use super::super::super::number::{Fixed, Money, decimals_used};
use super::params::Params;
use super::refusal::Refusal;
use super::rest_usdm::{asked, list, symbol};
use super::{Outcome, user_events};

const USDM: Market = Market::Usdm;

/// Highest leverage the box lets set.
const LEVERAGE_MAX: u32 = 125;

/// The sums of the USD-M account at the present marks.
struct Sums {
    wallet: Money,
    unrealized: Money,
    initial: Money,
    orders: Money,
    maintenance: Money,
    available: Money,
}

fn sums(exchange: &Exchange) -> Sums {
    let mark = |id: SymbolId| exchange.marks[id].mark;
    let held = exchange.accounts.held();
    Sums {
        wallet: exchange.accounts.wallet,
        unrealized: exchange.accounts.unrealized(mark),
        initial: exchange.accounts.margin(mark),
        orders: exchange.open_order_margin(),
        maintenance: held.map(|(id, p)| p.notional(mark(id)).abs().times(exchange.maintenance(id))).sum(),
        available: exchange.available_margin().max(Money::ZERO),
    }
}

pub(super) fn account(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let s = sums(exchange);
    let e = |m: Money| m.fixed(8);
    let updated = exchange.accounts.wallet_update_ms();
    let positions = list(exchange.accounts.held().map(|(id, p)| {
        let (row, mark) = (&exchange.listing.symbols[id], exchange.marks[id].mark);
        format!(
            r#"{{"symbol":"{}","positionSide":"BOTH","positionAmt":"{}","unrealizedProfit":"{}","isolatedMargin":"0","notional":"{}","isolatedWallet":"0","initialMargin":"{}","maintMargin":"{}","updateTime":{}}}"#,
            row.name,
            Fixed(p.qty, row.qty_decimals),
            e(p.unrealized(mark)),
            e(p.notional(mark)),
            e(p.margin(mark)),
            e(p.notional(mark).abs().times(exchange.maintenance(id))),
            p.update_ms
        )
    }));
    let (wallet, unrealized, total) = (e(s.wallet), e(s.unrealized), e(s.wallet + s.unrealized));
    let (initial, orders, all) = (e(s.initial), e(s.orders), e(s.initial + s.orders));
    let (maintenance, available) = (e(s.maintenance), e(s.available));
    Ok(format!(
        r#"{{"totalInitialMargin":"{all}","totalMaintMargin":"{maintenance}","totalWalletBalance":"{wallet}","totalUnrealizedProfit":"{unrealized}","totalMarginBalance":"{total}","totalPositionInitialMargin":"{initial}","totalOpenOrderInitialMargin":"{orders}","totalCrossWalletBalance":"{wallet}","totalCrossUnPnl":"{unrealized}","availableBalance":"{available}","maxWithdrawAmount":"{available}","assets":[{{"asset":"USDT","walletBalance":"{wallet}","unrealizedProfit":"{unrealized}","marginBalance":"{total}","maintMargin":"{maintenance}","initialMargin":"{all}","positionInitialMargin":"{initial}","openOrderInitialMargin":"{orders}","crossWalletBalance":"{wallet}","crossUnPnl":"{unrealized}","availableBalance":"{available}","maxWithdrawAmount":"{available}","updateTime":{updated}}}],"positions":{positions}}}"#
    ))
}

/// The version before, which clients ask still: how the account stands comes with it. The box tells positions as in the
/// present one, those that are held; the venue told all.
pub(super) fn account_v2(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let present = account(exchange, params)?;
    let stands = account_config(exchange, params)?;
    Ok(format!("{},{}", stands.trim_end_matches('}'), present.trim_start_matches('{')))
}

pub(super) fn balance(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let s = sums(exchange);
    let e = |m: Money| m.fixed(8);
    let updated = exchange.accounts.wallet_update_ms();
    Ok(format!(
        r#"[{{"accountAlias":"SgsR","asset":"USDT","balance":"{}","crossWalletBalance":"{}","crossUnPnl":"{}","availableBalance":"{}","maxWithdrawAmount":"{}","marginAvailable":true,"updateTime":{updated}}}]"#,
        e(s.wallet),
        e(s.wallet),
        e(s.unrealized),
        e(s.available),
        e(s.available)
    ))
}

/// Only symbols with a position.
pub(super) fn position_risk(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().filter(|id| exchange.accounts.positions[*id].qty != 0);
    Ok(list(rows.map(|id| {
        let (row, p) = (&exchange.listing.symbols[id], &exchange.accounts.positions[id]);
        let mark = exchange.marks[id].mark;
        let (notional, margin) = (p.notional(mark), p.margin(mark).fixed(8));
        let entry = p.entry().fixed(row.price_decimals + 3);
        format!(
            r#"{{"symbol":"{}","positionSide":"BOTH","positionAmt":"{}","entryPrice":"{entry}","breakEvenPrice":"{entry}","markPrice":"{}","unRealizedProfit":"{}","liquidationPrice":"0","isolatedMargin":"0","notional":"{}","marginAsset":"USDT","isolatedWallet":"0","initialMargin":"{margin}","maintMargin":"{}","positionInitialMargin":"{margin}","openOrderInitialMargin":"0","adl":1,"bidNotional":"0","askNotional":"0","updateTime":{}}}"#,
            row.name,
            Fixed(p.qty, row.qty_decimals),
            Fixed(mark, 8),
            p.unrealized(mark).fixed(8),
            notional.fixed(8),
            notional.abs().times(exchange.maintenance(id)).fixed(8),
            p.update_ms
        )
    })))
}

/// All symbols, with leverage and margin type.
pub(super) fn position_risk_v2(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?;
    Ok(list(rows.into_iter().map(|id| {
        let (row, p) = (&exchange.listing.symbols[id], &exchange.accounts.positions[id]);
        let mark = exchange.marks[id].mark;
        let entry = p.entry().fixed(row.price_decimals + 3);
        format!(
            r#"{{"entryPrice":"{entry}","breakEvenPrice":"{entry}","marginType":"{}","isAutoAddMargin":"false","isolatedMargin":"0.00000000","leverage":"{}","liquidationPrice":"0","markPrice":"{}","maxNotionalValue":"20000000","positionAmt":"{}","notional":"{}","isolatedWallet":"0","symbol":"{}","unRealizedProfit":"{}","positionSide":"BOTH","updateTime":{}}}"#,
            if exchange.standing.isolated.contains(&id) { "isolated" } else { "cross" },
            p.leverage,
            Fixed(mark, 8),
            Fixed(p.qty, row.qty_decimals),
            p.notional(mark).fixed(8),
            row.name,
            p.unrealized(mark).fixed(8),
            p.update_ms
        )
    })))
}

pub(super) fn commission(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let name = &exchange.listing.symbols[id].name;
    Ok(format!(
        r#"{{"symbol":"{name}","makerCommissionRate":"0.0002","takerCommissionRate":"0.0005","rpiCommissionRate":"0.00005"}}"#
    ))
}

pub(super) fn account_config(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let (hedged, many) = (exchange.standing.hedged, exchange.standing.many_assets);
    Ok(format!(
        r#"{{"feeTier":0,"canTrade":true,"canDeposit":true,"canWithdraw":false,"dualSidePosition":{hedged},"updateTime":0,"multiAssetsMargin":{many},"tradeGroupId":-1}}"#
    ))
}

/// How a symbol's margin type is called where it is upper case.
fn margin_type(exchange: &Exchange, id: SymbolId) -> &'static str {
    if exchange.standing.isolated.contains(&id) { "ISOLATED" } else { "CROSSED" }
}

/// What is done is answered so.
const DONE: &str = r#"{"code":200,"msg":"success"}"#;

pub(super) fn set_fee_burn(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let on = params.flag("feeBurn")?.ok_or_else(|| Refusal::missing("feeBurn"))?;
    exchange.standing.burns[USDM.index()] = on;
    Ok(DONE.into())
}

pub(super) fn symbol_config(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    Ok(list(asked(exchange, params)?.into_iter().map(|id| {
        format!(
            r#"{{"symbol":"{}","marginType":"{}","isAutoAddMargin":false,"leverage":{},"maxNotionalValue":"20000000"}}"#,
            exchange.listing.symbols[id].name,
            margin_type(exchange, id),
            exchange.accounts.positions[id].leverage
        )
    })))
}

/// One bracket for each: the box has one maintenance rate a symbol, whatever is held.
pub(super) fn brackets(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let rows = asked(exchange, params)?.into_iter().map(|id| {
        let ratio = exchange.maintenance(id);
        format!(
            r#"{{"symbol":"{}","notionalCoef":1.0,"brackets":[{{"bracket":1,"initialLeverage":{LEVERAGE_MAX},"notionalCap":20000000,"notionalFloor":0,"maintMarginRatio":{},"cum":0.0}}]}}"#,
            exchange.listing.symbols[id].name,
            Fixed(ratio, decimals_used(ratio))
        )
    });
    Ok(list(rows))
}

pub(super) fn set_mode(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let hedged = params.flag("dualSidePosition")?.ok_or_else(|| Refusal::missing("dualSidePosition"))?;
    if hedged == exchange.standing.hedged {
        return Err(Refusal::new(-4059, "No need to change position side."));
    }
    let open = &exchange.log.orders;
    if exchange.log.open.iter().any(|at| open[*at].market == USDM) {
        return Err(Refusal::new(-4067, "Position side cannot be changed if there exists open orders."));
    }
    if exchange.accounts.held().next().is_some() {
        return Err(Refusal::new(-4068, "Position side cannot be changed if there exists position."));
    }
    exchange.standing.hedged = hedged;
    Ok(DONE.into())
}

pub(super) fn set_margin_type(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    let isolates = match params.need("marginType")? {
        "CROSSED" => false,
        "ISOLATED" => true,
        _ => return Err(Refusal::invalid("marginType")),
    };
    if isolates == exchange.standing.isolated.contains(&id) {
        return Err(Refusal::new(-4046, "No need to change margin type."));
    }
    if exchange.log.open.iter().any(|at| exchange.log.orders[*at].symbol == id) {
        return Err(Refusal::new(-4047, "Margin type cannot be changed if there exists open orders."));
    }
    if exchange.accounts.positions[id].qty != 0 {
        return Err(Refusal::new(-4048, "Margin type cannot be changed if there exists position."));
    }
    if isolates {
        exchange.standing.isolated.insert(id);
    } else {
        exchange.standing.isolated.remove(&id);
    }
    Ok(DONE.into())
}

pub(super) fn set_leverage(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let id = symbol(exchange, params)?;
    params.need("leverage")?;
    let leverage = params.number("leverage")?.and_then(|l| u32::try_from(l).ok()).unwrap_or(0);
    if !(1..=LEVERAGE_MAX).contains(&leverage) {
        return Err(Refusal::new(-4028, format!("Leverage {leverage} is not valid")));
    }
    exchange.accounts.positions[id].leverage = leverage;
    let event = user_events::leverage_event(exchange, id);
    exchange.hear(USDM, &event);
    let name = &exchange.listing.symbols[id].name;
    Ok(format!(r#"{{"leverage":{leverage},"maxNotionalValue":"20000000","symbol":"{name}"}}"#))
}

pub(super) fn rate_limit(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let limits = &exchange.limits[USDM.index()];
    Ok(format!(
        r#"[{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":{}}},{{"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":{}}}]"#,
        limits.orders_short.limit, limits.orders_long.limit
    ))
}

/// Every change of the wallet, oldest first: funding, fees, realised profit. Zero amounts are no income.
pub(super) fn income(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let only = if params.get("symbol").is_some() { Some(symbol(exchange, params)?) } else { None };
    let limit = params.limit(100, 1_000)?;
    let skip = (params.number("page")?.unwrap_or(1).max(1) - 1).saturating_mul(limit as u64);
    let (start, end) = (params.number("startTime")?, params.number("endTime")?);
    let wanted = params.get("incomeType");
    // Time, type, symbol, amount, trade id, and which payment or fill it is: one of each type has that number.
    let mut rows: Vec<(u64, &str, SymbolId, Money, String, usize)> = Vec::new();
    for (n, s) in exchange.settled.iter().enumerate() {
        rows.push((s.time_ms, "FUNDING_FEE", s.symbol, s.received, String::new(), n));
    }
    for (n, f) in exchange.log.fills.iter().enumerate().filter(|(_, f)| f.market == USDM) {
        let (time, trade) = (f.time_us / 1_000, f.trade_id.to_string());
        rows.push((time, "COMMISSION", f.symbol, -f.commission, trade.clone(), n));
        rows.push((time, "REALIZED_PNL", f.symbol, f.realized, trade, n));
    }
    rows.sort_by_key(|row| row.0);
    let (horizon, now) = (exchange.horizon[USDM.index()], exchange.clock_ms());
    let told = rows.into_iter().filter(|(time, kind, id, amount, ..)| {
        *amount != Money::ZERO
            && !horizon.is_past(*time, now)
            && wanted.is_none_or(|w| w == *kind)
            && only.is_none_or(|o| o == *id)
            && start.is_none_or(|t| *time >= t)
            && end.is_none_or(|t| *time <= t)
    });
    let told = told.skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(limit);
    Ok(list(told.map(|(time, kind, id, amount, trade, n)| {
        format!(
            r#"{{"symbol":"{}","incomeType":"{kind}","income":"{}","asset":"USDT","info":"{kind}","time":{time},"tranId":{},"tradeId":"{trade}"}}"#,
            exchange.listing.symbols[id].name,
            amount.fixed(8),
            9_689_322_392 + n as u64
        )
    })))
}
