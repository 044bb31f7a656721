//! Filters: which prices, quantities and values an order may have, and how each market says no.
//!
//! Owns:  the order of checks and the code of each.
//! Wire:  binance.md §5 (spot), §7 (USD-M); codes §14.
//! Quirk: on USD-M a reduce-only order needs no minimum notional.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::market::Level;
use super::super::super::matching::Side;
use super::super::super::number::{E8, Fixed, Money, ONE_E8, decimals_used};
use super::super::super::orders::OrderType;
use super::super::super::trading::NewOrder;
use super::refusal::Refusal;

/// Checks an order against the filters of its symbol. `met`: what it would take now.
///
/// # Errors
///
/// The first filter that fails, in the market's own words.
pub(super) fn check(exchange: &Exchange, order: &NewOrder, met: &[Level]) -> Result<(), Refusal> {
    match order.market {
        Market::Spot => spot(exchange, order, met),
        Market::Usdm => usdm(exchange, order, met),
    }
}

fn spot(exchange: &Exchange, order: &NewOrder, met: &[Level]) -> Result<(), Refusal> {
    let row = &exchange.listing.symbols[order.symbol];
    let is_market = order.kind == OrderType::Market;
    let reference = exchange.books[order.symbol].mid();
    if !is_market {
        if order.price < row.min_price || order.price > row.max_price || order.price % row.tick != 0 {
            return Err(Refusal::filter("PRICE_FILTER"));
        }
        if !within(order.price, reference, row.price_down, row.price_up) {
            return Err(Refusal::filter("PERCENT_PRICE_BY_SIDE"));
        }
    }
    if order.qty > 0 {
        if order.qty < row.step || order.qty > row.max_qty || order.qty % row.step != 0 {
            return Err(Refusal::filter("LOT_SIZE"));
        }
        if is_market && order.qty > row.market_max_qty {
            return Err(Refusal::filter("MARKET_LOT_SIZE"));
        }
    }
    let value = match (is_market, order.qty) {
        (false, qty) => Money::product(order.price, qty),
        (true, 0) => Money::from_e8(order.quote_qty),
        (true, qty) => Money::product(reference, qty),
    };
    if value < Money::from_e8(row.min_notional) || (!is_market && value > Money::from_e8(9_000_000 * ONE_E8))
    {
        return Err(Refusal::filter("NOTIONAL"));
    }
    let bought: E8 = met.iter().map(|l| l.qty).sum();
    if order.qty == 0 && bought > row.market_max_qty {
        return Err(Refusal::filter("MARKET_LOT_SIZE"));
    }
    Ok(())
}

fn usdm(exchange: &Exchange, order: &NewOrder, met: &[Level]) -> Result<(), Refusal> {
    let row = &exchange.listing.symbols[order.symbol];
    let is_market = order.kind == OrderType::Market;
    let mark = exchange.marks[order.symbol].mark;
    if !is_market {
        if order.price < row.min_price {
            let bound = Fixed(row.min_price, row.price_decimals);
            return Err(Refusal::new(-4013, format!("Price less than min price {bound}.")));
        }
        if order.price > row.max_price {
            return Err(Refusal::new(-4002, "Price greater than max price."));
        }
        if order.price % row.tick != 0 {
            return Err(Refusal::new(-4014, "Price not increased by tick size."));
        }
    }
    if order.qty < row.step {
        return Err(Refusal::new(-4004, "Quantity less than min quantity."));
    }
    let most = if is_market { row.market_max_qty } else { row.max_qty };
    if order.qty > most {
        return Err(Refusal::new(-4005, "Quantity greater than max quantity."));
    }
    if order.qty % row.step != 0 {
        return Err(Refusal::new(-4023, "Qty not increased by step size."));
    }
    let price = if is_market { mark } else { order.price };
    if !order.reduce_only && Money::product(price, order.qty) < Money::from_e8(row.min_notional) {
        let least = Fixed(row.min_notional, 1);
        let msg =
            format!("Order's notional must be no smaller than {least} (unless you choose reduce only).");
        return Err(Refusal::new(-4164, msg));
    }
    let (up, down) = (times(mark, row.price_up), times(mark, row.price_down));
    let bound = |value: E8| Fixed(value, row.price_decimals).to_string();
    if is_market {
        let worst = met.last().map_or(mark, |l| l.price);
        if (order.side == Side::Buy && worst > up) || (order.side == Side::Sell && worst < down) {
            let msg = "The counterparty's best price does not meet the PERCENT_PRICE filter limit.";
            return Err(Refusal::new(-4131, msg));
        }
    } else if order.side == Side::Buy && order.price > up {
        return Err(Refusal::new(-4016, format!("Limit price can't be higher than {}.", bound(up))));
    } else if order.side == Side::Sell && order.price < down {
        return Err(Refusal::new(-4024, format!("Limit price can't be lower than {}.", bound(down))));
    }
    Ok(())
}

/// Checks that a USD-M number has no more decimals than the symbol shows.
pub(super) fn usdm_precision(value: E8, decimals: u8) -> Result<(), Refusal> {
    if decimals_used(value) > decimals {
        return Err(Refusal::new(-1111, "Precision is over the maximum defined for this asset."));
    }
    Ok(())
}

fn times(price: E8, factor: E8) -> E8 {
    Money::product(price, factor).to_e8()
}

fn within(price: E8, reference: E8, down: E8, up: E8) -> bool {
    reference == 0 || (price >= times(reference, down) && price <= times(reference, up))
}
