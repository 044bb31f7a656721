//! Public answers both markets share in kind: time, listing, depth, own trades.
//!
//! Owns:  `exchangeInfo` of both markets, depth levels, the selection of trades.
//! Wire:  binance.md §5, §7; fixtures `*_rest_exchange_info`, `*_rest_depth`.
//! Quirk: `symbol` filters spot's exchangeInfo and is ignored by USD-M's.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::listing::{Contract, Symbol, SymbolId};
use super::super::super::market::Level;
use super::super::super::number::{E8, Fixed, decimals_used};
use super::super::super::orders::{Fill, Order};
use super::params::Params;
use super::refusal::Refusal;
use super::{Outcome, rest_spot};

/// A day in ms.
const DAY_MS: u64 = 86_400_000;

/// Text of a number with no more decimals than it has.
pub(super) fn short(value: E8) -> Fixed {
    Fixed(value, decimals_used(value))
}

/// `GET …/time`.
pub(super) fn time(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    Ok(format!(r#"{{"serverTime":{}}}"#, exchange.clock_ms()))
}

/// `GET /api/v3/exchangeInfo`.
pub(super) fn spot_exchange_info(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let status = params.get("symbolStatus");
    let with_sets = params.get("showPermissionSets") != Some("false");
    let rows: Vec<String> = rest_spot::asked(exchange, params)?
        .into_iter()
        .map(|id| &exchange.listing.symbols[id])
        .filter(|s| status.is_none_or(|wanted| wanted == s.status))
        .map(|s| spot_row(exchange, s, with_sets))
        .collect();
    let limits = &exchange.limits[Market::Spot.index()];
    Ok(format!(
        r#"{{"timezone":"UTC","serverTime":{},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{}}},{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":{}}},{{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":{}}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":{}}}],"exchangeFilters":[],"symbols":[{}]}}"#,
        exchange.clock_ms(),
        limits.weight.limit,
        limits.orders_short.limit,
        limits.orders_long.limit,
        limits.raw.map_or(0, |raw| raw.limit),
        rows.join(",")
    ))
}

fn spot_row(exchange: &Exchange, s: &Symbol, with_sets: bool) -> String {
    let assets = &exchange.listing.assets;
    let e = |value: E8| Fixed(value, 8);
    let filters = format!(
        r#"[{{"filterType":"PRICE_FILTER","minPrice":"{}","maxPrice":"{}","tickSize":"{}"}},{{"filterType":"LOT_SIZE","minQty":"{}","maxQty":"{}","stepSize":"{}"}},{{"filterType":"ICEBERG_PARTS","limit":100}},{{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"{}","stepSize":"0.00000000"}},{{"filterType":"TRAILING_DELTA","minTrailingAboveDelta":10,"maxTrailingAboveDelta":2000,"minTrailingBelowDelta":10,"maxTrailingBelowDelta":2000}},{{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"{}","bidMultiplierDown":"{}","askMultiplierUp":"{}","askMultiplierDown":"{}","avgPriceMins":5}},{{"filterType":"NOTIONAL","minNotional":"{}","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}},{{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}},{{"filterType":"MAX_NUM_ORDER_LISTS","maxNumOrderLists":20}},{{"filterType":"MAX_NUM_ALGO_ORDERS","maxNumAlgoOrders":5}},{{"filterType":"MAX_NUM_ORDER_AMENDS","maxNumOrderAmends":10}}]"#,
        e(s.min_price),
        e(s.max_price),
        e(s.tick),
        e(s.step),
        e(s.max_qty),
        e(s.step),
        e(s.market_max_qty),
        short(s.price_up),
        short(s.price_down),
        short(s.price_up),
        short(s.price_down),
        e(s.min_notional)
    );
    let sets = if with_sets { r#""permissionSets":[["SPOT","MARGIN"]],"# } else { "" };
    format!(
        r#"{{"symbol":"{}","status":"{}","baseAsset":"{}","baseAssetPrecision":8,"quoteAsset":"{}","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":false,"ocoAllowed":false,"otoAllowed":false,"opoAllowed":false,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":false,"cancelReplaceAllowed":false,"amendAllowed":false,"pegInstructionsAllowed":false,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":{filters},"permissions":[],{sets}"defaultSelfTradePreventionMode":"EXPIRE_MAKER","allowedSelfTradePreventionModes":["EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH","DECREMENT","TRANSFER"]}}"#,
        s.name, s.status, assets[s.base], assets[s.quote]
    )
}

/// `GET /fapi/v1/exchangeInfo`: always everything.
pub(super) fn usdm_exchange_info(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let rows: Vec<String> = exchange.listing.of(Market::Usdm).map(|(_, s)| usdm_row(exchange, s)).collect();
    let limits = &exchange.limits[Market::Usdm.index()];
    Ok(format!(
        r#"{{"timezone":"UTC","serverTime":{},"futuresType":"U_MARGINED","rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{}}},{{"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":{}}},{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":{}}}],"exchangeFilters":[],"assets":[{{"asset":"USDT","marginAvailable":true,"autoAssetExchange":"-100"}}],"symbols":[{}]}}"#,
        exchange.clock_ms(),
        limits.weight.limit,
        limits.orders_long.limit,
        limits.orders_short.limit,
        rows.join(",")
    ))
}

fn usdm_row(exchange: &Exchange, s: &Symbol) -> String {
    let assets = &exchange.listing.assets;
    let (contract, kind, sub) = match s.contract {
        Contract::Tradfi => ("TRADIFI_PERPETUAL", "COMMODITY", r#"["TradFi"]"#),
        Contract::Quarter => ("CURRENT_QUARTER", "COIN", r#"["PoW"]"#),
        Contract::Perpetual | Contract::Spot => ("PERPETUAL", "COIN", r#"["Crypto"]"#),
    };
    // 2027-12-31 08:00 UTC for the dated one; the settling one is about to be delivered; else never.
    let delivery: u64 = match (s.contract, s.status) {
        (Contract::Quarter, _) => 1_830_240_000_000,
        (_, "SETTLING") => exchange.clock_ms() / 3_600_000 * 3_600_000,
        _ => s.delivery_ms.unwrap_or(4_133_404_800_000),
    };
    let pair = s.name.split('_').next().unwrap_or(&s.name);
    let bound = short(s.price_up - 100_000_000);
    let filters = format!(
        r#"[{{"minPrice":"{}","tickSize":"{}","filterType":"PRICE_FILTER","maxPrice":"{}"}},{{"minQty":"{}","filterType":"LOT_SIZE","stepSize":"{}","maxQty":"{}"}},{{"stepSize":"{}","maxQty":"{}","filterType":"MARKET_LOT_SIZE","minQty":"{}"}},{{"filterType":"MAX_NUM_ORDERS","limit":200}},{{"notional":"{}","filterType":"MIN_NOTIONAL"}},{{"multiplierDown":"{}","multiplierDecimal":"4","filterType":"PERCENT_PRICE","multiplierUp":"{}"}},{{"filterType":"POSITION_RISK_CONTROL","positionControlSide":"NONE"}}]"#,
        Fixed(s.min_price, s.price_decimals),
        Fixed(s.tick, s.price_decimals),
        short(s.max_price),
        short(s.step),
        short(s.step),
        short(s.max_qty),
        short(s.step),
        short(s.market_max_qty),
        short(s.step),
        short(s.min_notional),
        Fixed(s.price_down, 4),
        Fixed(s.price_up, 4)
    );
    format!(
        r#"{{"symbol":"{}","pair":"{pair}","contractType":"{contract}","deliveryDate":{delivery},"onboardDate":1567965300000,"status":"{}","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":"{}","quoteAsset":"{}","marginAsset":"USDT","pricePrecision":{},"quantityPrecision":{},"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"{kind}","underlyingSubType":{sub},"triggerProtect":"0.0500","liquidationFee":"0.012500","marketTakeBound":"{bound}","maxMoveOrderLimit":10000,"filters":{filters},"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"],"permissionSets":["GRID","COPY","DCA","PSB"]}}"#,
        s.name, s.status, assets[s.base], assets[s.quote], s.price_decimals, s.qty_decimals
    )
}

/// Last update id, bids and asks of a symbol, as JSON lists, at most `limit` levels each.
pub(super) fn levels(exchange: &Exchange, id: SymbolId, limit: usize) -> (u64, String, String) {
    let (row, book) = (&exchange.listing.symbols[id], &exchange.books[id]);
    if let Some(tape) = &exchange.tape {
        let full = &tape.books[row.market.index()];
        if full.last_id > 0 {
            let level = |(price, qty): (&E8, &E8)| Level { price: *price, qty: *qty };
            let bids: Vec<Level> = full.bids.iter().rev().take(limit).map(level).collect();
            let asks: Vec<Level> = full.asks.iter().take(limit).map(level).collect();
            return (full.last_id, list(row, &bids), list(row, &asks));
        }
    }
    let side =
        |levels: &[Level]| levels.iter().copied().filter(|l| l.qty > 0).take(limit).collect::<Vec<_>>();
    (book.update_id, list(row, &side(&book.bids)), list(row, &side(&book.asks)))
}

/// Levels as a JSON list of pairs of text.
pub(super) fn list(row: &Symbol, levels: &[Level]) -> String {
    let level = |l: &Level| {
        format!(r#"["{}","{}"]"#, Fixed(l.price, row.price_decimals), Fixed(l.qty, row.qty_decimals))
    };
    format!("[{}]", levels.iter().map(level).collect::<Vec<_>>().join(","))
}

/// Own trades of a symbol by `orderId`, `fromId`, times and `limit`, oldest first; without `fromId` the newest.
/// Spot tells all since a start; USD-M seven days from it, and without any selection those of the last seven.
pub(super) fn trades<'a>(
    exchange: &'a Exchange,
    id: SymbolId,
    params: &Params<'_>,
) -> Result<Vec<&'a Fill>, Refusal> {
    let (order, from) = (params.number("orderId")?, params.number("fromId")?);
    let (mut start, mut end) = (params.number("startTime")?, params.number("endTime")?);
    if from.is_some() && (start.is_some() || end.is_some()) {
        return Err(Refusal::new(-1128, "Combination of optional parameters invalid."));
    }
    let usdm = exchange.listing.symbols[id].market == Market::Usdm;
    let span_ms = if usdm { 7 * DAY_MS } else { DAY_MS };
    within(start, end, span_ms)?;
    let oldest_first = from.is_some() || start.is_some();
    if usdm && order.is_none() && from.is_none() {
        match (start, end) {
            (Some(since), None) => end = Some(since.saturating_add(span_ms)),
            (None, until) => {
                start = Some(until.unwrap_or(exchange.clock_ms()).saturating_sub(span_ms));
            }
            (Some(_), Some(_)) => {}
        }
    }
    let limit = params.limit(500, 1_000)?;
    let (log, now) = (&exchange.log, exchange.clock_ms());
    let horizon = exchange.horizon[exchange.listing.symbols[id].market.index()];
    let fits = |f: &&Fill| {
        let time = f.time_us / 1_000;
        f.symbol == id
            && !horizon.forgets_fill(f, now)
            && order.is_none_or(|o| log.orders[f.order].id == o)
            && from.is_none_or(|t| f.trade_id >= t)
            && start.is_none_or(|t| time >= t)
            && end.is_none_or(|t| time <= t)
    };
    if oldest_first {
        return Ok(log.fills.iter().filter(fits).take(limit).collect());
    }
    let mut rows: Vec<&Fill> = log.fills.iter().rev().filter(fits).take(limit).collect();
    rows.reverse();
    Ok(rows)
}

/// Own orders of a symbol by `orderId` (that one and newer), times and `limit`, oldest first; without `orderId` or
/// `startTime` the newest. `span_ms`: how far the times may lie apart.
pub(super) fn orders<'a>(
    exchange: &'a Exchange,
    id: SymbolId,
    params: &Params<'_>,
    span_ms: u64,
) -> Result<Vec<&'a Order>, Refusal> {
    let from = params.number("orderId")?;
    let (start, end) = (params.number("startTime")?, params.number("endTime")?);
    within(start, end, span_ms)?;
    let limit = params.limit(500, 1_000)?;
    let (horizon, now) = (exchange.horizon[exchange.listing.symbols[id].market.index()], exchange.clock_ms());
    let fits = |o: &&Order| {
        o.symbol == id
            && !horizon.forgets(o, now)
            && from.is_none_or(|f| o.id >= f)
            && start.is_none_or(|t| o.time_ms >= t)
            && end.is_none_or(|t| o.time_ms <= t)
    };
    let all = &exchange.log.orders;
    if from.is_some() || start.is_some() {
        return Ok(all.iter().filter(fits).take(limit).collect());
    }
    let mut rows: Vec<&Order> = all.iter().rev().filter(fits).take(limit).collect();
    rows.reverse();
    Ok(rows)
}

/// Times that were both sent lie no further apart than this.
fn within(start: Option<u64>, end: Option<u64>, span_ms: u64) -> Result<(), Refusal> {
    match (start, end) {
        (Some(start), Some(end)) if end.saturating_sub(start) > span_ms => {
            let hours = span_ms / 3_600_000;
            let msg = format!("More than {hours} hours between startTime and endTime.");
            Err(Refusal::new(-1127, msg))
        }
        _ => Ok(()),
    }
}
