//! Private events: what an order and the account went through, in the words of each market.
//!
//! Owns:  the text of `executionReport`, `outboundAccountPosition`, `balanceUpdate`, `ORDER_TRADE_UPDATE`, `TRADE_LITE`,
//!        `ACCOUNT_UPDATE`, `ACCOUNT_CONFIG_UPDATE`, `listenKeyExpired`, `eventStreamTerminated`, and their wrapping.
//! Wire:  binance.md §11, §12; fixtures `spot_user_*`, `futures_user_*`; field order of the market-order sequences.
//! Quirk: `TRADE_LITE` is flat and comes before the event that tells the same trade in full; on a spot cancel `c`
//!        is the cancel's own id and `C` the order's.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::kinds::Forced;
use super::super::super::listing::SymbolId;
use super::super::super::number::{E8, Fixed, Money, mul_div};
use super::super::super::orders::{Fill, Order, OrderType, Tif};
use super::super::super::private::{Change, Listener, UserEvent};

/// Type of the event that ends a listen key; no filter keeps it back.
pub(in crate::sim) const KEY_EXPIRED: &str = "listenKeyExpired";

/// Wraps a spot event for a subscription.
pub(in crate::sim) fn wrap_spot(subscription: u64, event: &str) -> String {
    format!(r#"{{"subscriptionId":{subscription},"event":{event}}}"#)
}

/// Wraps a USD-M event as its listener wants it.
pub(in crate::sim) fn wrap_usdm(listener: &Listener, event: &str) -> String {
    if listener.combined {
        format!(r#"{{"stream":"{}","data":{event}}}"#, listener.key)
    } else {
        event.to_owned()
    }
}

/// The events of one change of an order, in the order in which they leave.
pub(in crate::sim) fn order_events(exchange: &mut Exchange, at: usize, change: &Change) -> Vec<UserEvent> {
    let execution = exchange.private.next_execution();
    let exchange = &*exchange;
    let order = &exchange.log.orders[at];
    let fill = match change {
        Change::Trade(fill) => exchange.log.fills.get(*fill),
        _ => None,
    };
    let event = |kind, text| UserEvent { kind, trade: fill.is_some(), text };
    match order.market {
        Market::Spot => {
            vec![event("executionReport", execution_report(exchange, order, change, fill, execution))]
        }
        Market::Usdm => {
            let mut events = Vec::new();
            if let Some(fill) = fill {
                events.push(event("TRADE_LITE", trade_lite(exchange, order, fill)));
            }
            events.push(event("ORDER_TRADE_UPDATE", order_trade_update(exchange, order, change, fill)));
            events
        }
    }
}

/// Execution type and status after a change.
fn names(order: &Order, change: &Change) -> (&'static str, &'static str) {
    match change {
        Change::New => ("NEW", "NEW"),
        Change::Trade(_) => {
            let status = if order.executed == order.qty { "FILLED" } else { "PARTIALLY_FILLED" };
            match order.forced {
                Some(Forced::Adl) => ("CALCULATED", "NEW_ADL"),
                Some(Forced::Liquidation | Forced::Settlement) => ("CALCULATED", status),
                None => ("TRADE", status),
            }
        }
        Change::Expired => ("EXPIRED", "EXPIRED"),
        Change::Canceled(_) => ("CANCELED", "CANCELED"),
    }
}

fn execution_report(
    exchange: &Exchange,
    order: &Order,
    change: &Change,
    fill: Option<&Fill>,
    execution: u64,
) -> String {
    let e = |value: E8| Fixed(value, 8);
    let (x, status) = names(order, change);
    let (c, original) = match change {
        Change::Canceled(own) => (own.as_str(), order.client_id.as_str()),
        _ => (order.client_id.as_str(), ""),
    };
    let (last, price, quote) = fill.map_or((0, 0, Money::ZERO), |f| (f.qty, f.price, f.quote));
    let fee = fill.map_or_else(|| "0".to_owned(), |f| f.commission.fixed(8));
    let asset = fill
        .map_or_else(|| "null".into(), |f| format!(r#""{}""#, exchange.listing.assets[f.commission_asset]));
    let trade = fill.map_or_else(|| "-1".to_owned(), |f| f.trade_id.to_string());
    let maker = fill.is_some_and(|f| f.maker);
    // Does it work on the book after this?
    let rests = order.status.open() && order.executed < order.qty;
    let works = matches!(change, Change::New) || (fill.is_some() && rests);
    format!(
        r#"{{"e":"executionReport","E":{},"s":"{}","c":"{c}","S":"{}","o":"{}","f":"{}","q":"{}","p":"{}","P":"0.00000000","F":"0.00000000","g":-1,"C":"{original}","x":"{x}","X":"{status}","r":"NONE","i":{},"l":"{}","z":"{}","L":"{}","n":"{fee}","N":{asset},"T":{},"t":{trade},"I":{execution},"w":{works},"m":{maker},"M":{},"O":{},"Z":"{}","Y":"{}","Q":"{}","W":{},"V":"{}"}}"#,
        exchange.clock_ms(),
        exchange.listing.symbols[order.symbol].name,
        order.side.name(),
        order.kind.name(),
        order.tif.name(),
        e(order.qty),
        e(order.price),
        order.id,
        e(last),
        e(order.executed),
        e(price),
        order.update_ms,
        fill.is_some(),
        order.time_ms,
        order.cum_quote.fixed(8),
        quote.fixed(8),
        e(order.quote_qty),
        order.time_ms,
        order.stp
    )
}

fn trade_lite(exchange: &Exchange, order: &Order, fill: &Fill) -> String {
    let row = &exchange.listing.symbols[order.symbol];
    let (price, qty) = (|p: E8| zero_or(p, row.price_decimals), |q: E8| Fixed(q, row.qty_decimals));
    format!(
        r#"{{"e":"TRADE_LITE","E":{},"T":{},"s":"{}","q":"{}","p":"{}","m":{},"c":"{}","S":"{}","L":"{}","l":"{}","t":{},"i":{}}}"#,
        exchange.clock_ms(),
        fill.time_us / 1_000,
        row.name,
        qty(order.qty),
        price(order.price),
        fill.maker,
        order.client_id,
        order.side.name(),
        price(fill.price),
        qty(fill.qty),
        fill.trade_id,
        order.id
    )
}

/// Zero is written short, as the venue does.
fn zero_or(value: E8, decimals: u8) -> String {
    if value == 0 { "0".into() } else { Fixed(value, decimals).to_string() }
}

fn order_trade_update(exchange: &Exchange, order: &Order, change: &Change, fill: Option<&Fill>) -> String {
    let row = &exchange.listing.symbols[order.symbol];
    let (price, qty) = (|p: E8| zero_or(p, row.price_decimals), |q: E8| zero_or(q, row.qty_decimals));
    let (x, status) = names(order, change);
    let average = match order.executed {
        0 => "0".to_owned(),
        executed => Money(mul_div(order.cum_quote.0, 100_000_000, executed)).fixed(row.price_decimals + 3),
    };
    let (last, at) = fill.map_or((0, 0), |f| (f.qty, f.price));
    let (fee, realized) = fill.map_or_else(
        || ("0".to_owned(), "0".to_owned()),
        |f| (f.commission.fixed(8), if f.realized == Money::ZERO { "0".into() } else { f.realized.fixed(8) }),
    );
    let reason = match (change, order.kind, order.tif) {
        (Change::Expired, ..) if row.status == "SETTLING" => 7,
        (Change::Expired, OrderType::Market, _) => 9,
        (Change::Expired, _, Tif::Ioc) => 2,
        _ => 0,
    };
    format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":{},"T":{},"o":{{"s":"{}","c":"{}","S":"{}","o":"{}","f":"{}","q":"{}","p":"{}","ap":"{average}","sp":"0","x":"{x}","X":"{status}","i":{},"l":"{}","z":"{}","L":"{}","N":"USDT","n":"{fee}","T":{},"t":{},"b":"0","a":"0","m":{},"R":{},"wt":"CONTRACT_PRICE","ot":"{}","ps":"BOTH","cp":false,"pP":false,"si":0,"ss":0,"rp":"{realized}","V":"{}","pm":"NONE","gtd":0,"er":"{reason}"}}}}"#,
        exchange.clock_ms(),
        order.update_ms,
        row.name,
        order.client_id,
        order.side.name(),
        order.kind.name(),
        order.tif.name(),
        qty(order.qty),
        price(order.price),
        order.id,
        qty(last),
        qty(order.executed),
        price(at),
        order.update_ms,
        fill.map_or(0, |f| f.trade_id),
        fill.is_some_and(|f| f.maker),
        order.reduce_only,
        order.kind.name(),
        order.stp
    )
}

/// What an order on `symbol` has made of the account: absolute values.
pub(in crate::sim) fn account_event(exchange: &Exchange, market: Market, symbol: SymbolId) -> UserEvent {
    let now = exchange.clock_ms();
    let row = &exchange.listing.symbols[symbol];
    if market == Market::Spot {
        let bnb = exchange.listing.assets.iter().position(|name| name == "BNB");
        let bnb = bnb.filter(|bnb| exchange.standing.burns[market.index()] && *bnb != row.base);
        let touched = [Some(row.base), Some(row.quote), bnb].into_iter().flatten();
        let balances = touched.map(|asset| {
            let held = &exchange.accounts.spot[asset];
            format!(
                r#"{{"a":"{}","f":"{}","l":"{}"}}"#,
                exchange.listing.assets[asset],
                held.free.fixed(8),
                held.locked.fixed(8)
            )
        });
        let text = format!(
            r#"{{"e":"outboundAccountPosition","E":{now},"u":{now},"B":[{}]}}"#,
            balances.collect::<Vec<_>>().join(",")
        );
        return UserEvent { kind: "outboundAccountPosition", trade: false, text };
    }
    let position = &exchange.accounts.positions[symbol];
    let entry = position.entry().fixed(row.price_decimals + 3);
    let text = format!(
        r#"{{"e":"ACCOUNT_UPDATE","E":{now},"T":{now},"a":{{"m":"ORDER","B":[{}],"P":[{{"s":"{}","pa":"{}","ep":"{entry}","bep":"{entry}","cr":"{}","up":"{}","mt":"cross","iw":"0","ps":"BOTH"}}]}}}}"#,
        wallet(exchange, Money::ZERO),
        row.name,
        zero_or(position.qty, row.qty_decimals),
        position.realized.fixed(8),
        position.unrealized(exchange.marks[symbol].mark).fixed(8)
    );
    UserEvent { kind: "ACCOUNT_UPDATE", trade: false, text }
}

/// Coins that came to the spot wallet without a trade.
pub(in crate::sim) fn balance_event(exchange: &Exchange, asset: usize, change: Money) -> UserEvent {
    let (now, name, delta) = (exchange.clock_ms(), &exchange.listing.assets[asset], change.fixed(8));
    let text = format!(r#"{{"e":"balanceUpdate","E":{now},"a":"{name}","d":"{delta}","T":{now}}}"#);
    UserEvent { kind: "balanceUpdate", trade: false, text }
}

/// A funding payment: the wallet alone, and whose it is.
pub(in crate::sim) fn funding_event(exchange: &Exchange, symbol: SymbolId, paid: Money) -> UserEvent {
    let now = exchange.clock_ms();
    let text = format!(
        r#"{{"e":"ACCOUNT_UPDATE","E":{now},"T":{now},"a":{{"m":"FUNDING_FEE","B":[{}],"P":[],"S":"{}"}}}}"#,
        wallet(exchange, paid),
        exchange.listing.symbols[symbol].name
    );
    UserEvent { kind: "ACCOUNT_UPDATE", trade: false, text }
}

/// The USDT row; `change`: what is neither profit nor fee.
fn wallet(exchange: &Exchange, change: Money) -> String {
    let wallet = exchange.accounts.wallet.fixed(8);
    let change = if change == Money::ZERO { "0".to_owned() } else { change.fixed(8) };
    format!(r#"{{"a":"USDT","wb":"{wallet}","cw":"{wallet}","bc":"{change}"}}"#)
}

/// A leverage that was set.
pub(in crate::sim) fn leverage_event(exchange: &Exchange, symbol: SymbolId) -> UserEvent {
    let now = exchange.clock_ms();
    let text = format!(
        r#"{{"e":"ACCOUNT_CONFIG_UPDATE","E":{now},"T":{now},"ac":{{"s":"{}","l":{}}}}}"#,
        exchange.listing.symbols[symbol].name, exchange.accounts.positions[symbol].leverage
    );
    UserEvent { kind: "ACCOUNT_CONFIG_UPDATE", trade: false, text }
}

/// The end of a listen key.
pub(in crate::sim) fn key_expired(exchange: &Exchange, key: &str) -> UserEvent {
    let text = format!(r#"{{"e":"{KEY_EXPIRED}","E":{},"listenKey":"{key}"}}"#, exchange.clock_ms());
    UserEvent { kind: KEY_EXPIRED, trade: false, text }
}

/// The end of a spot subscription.
pub(super) fn stream_terminated(exchange: &Exchange) -> String {
    format!(r#"{{"e":"eventStreamTerminated","E":{}}}"#, exchange.clock_ms())
}
