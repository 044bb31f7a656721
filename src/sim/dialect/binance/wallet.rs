//! The wallet side of spot's REST door (`/sapi`): the state of the venue, coins, fees, fee coin, rights of the key.
//!
//! Owns:  the table of wallet routes and their JSON.
//! Never: moves money: the box has one spot and one USD-M wallet, and nothing leaves them.
//! Wire:  binance.md §5; fixtures `wallet_rest_*`, `spot_rest_trade_fee`.
//! Quirk: the box has no chains and no margin trading: coins have an empty `networkList`, lists of margin pairs are
//!        empty.

use super::super::super::config::Market;
use super::super::super::exchange::Exchange;
use super::super::super::number::Money;
use super::params::Params;
use super::refusal::Refusal;
use super::rest_spot::{asked, is_spot_asset};
use super::rest_usdm::list;
use super::{Auth, Outcome, Route, SYSTEM_STATUS};

/// All wallet endpoints.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: SYSTEM_STATUS, auth: Auth::Open, allowed: &[], weight: |_| 1, run: system_status },
    Route { method: "GET", path: "/sapi/v1/account/apiRestrictions", auth: Auth::Signed, allowed: &[], weight: |_| 1, run: restrictions },
    Route { method: "GET", path: "/sapi/v1/bnbBurn", auth: Auth::Signed, allowed: &[], weight: |_| 1, run: |exchange, _| Ok(burn(exchange)) },
    Route { method: "POST", path: "/sapi/v1/bnbBurn", auth: Auth::Signed, allowed: &["spotBNBBurn", "interestBNBBurn"], weight: |_| 1, run: set_burn },
    Route { method: "GET", path: "/sapi/v1/asset/tradeFee", auth: Auth::Signed, allowed: &["symbol"], weight: |_| 1, run: trade_fee },
    Route { method: "GET", path: "/sapi/v1/capital/config/getall", auth: Auth::Signed, allowed: &[], weight: |_| 10, run: coins },
    Route { method: "GET", path: "/sapi/v1/margin/allPairs", auth: Auth::Keyed, allowed: KEYED_YET_SIGNED, weight: |_| 1, run: |_, _| Ok("[]".into()) },
    Route { method: "GET", path: "/sapi/v1/margin/isolated/allPairs", auth: Auth::Keyed, allowed: KEYED_YET_SIGNED, weight: |_| 10, run: |_, _| Ok("[]".into()) },
];

/// Where a key is enough, a stamp and a signature are read all the same, and not checked.
const KEYED_YET_SIGNED: &[&str] = &["symbol", "timestamp", "recvWindow", "signature"];

/// One status for the whole venue.
fn system_status(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let maintained = [Market::Spot, Market::Usdm].into_iter().any(|m| exchange.maintained_until(m).is_some());
    Ok(if maintained {
        r#"{"status":1,"msg":"system_maintenance"}"#
    } else {
        r#"{"status":0,"msg":"normal"}"#
    }
    .into())
}

fn restrictions(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let it = &exchange.standing;
    let [spot, usdm] = it.trades;
    Ok(format!(
        r#"{{"ipRestrict":{},"createTime":{},"enableReading":true,"enableWithdrawals":{},"enableInternalTransfer":false,"enableMargin":false,"enableFutures":{usdm},"permitsUniversalTransfer":false,"enableVanillaOptions":false,"enableFixApiTrade":false,"enableFixReadOnly":false,"enableSpotAndMarginTrading":{spot},"enablePortfolioMarginTrading":false}}"#,
        it.bound, exchange.accounts.opened_ms, it.withdraws
    ))
}

fn burn(exchange: &Exchange) -> String {
    let on = exchange.standing.burns[Market::Spot.index()];
    format!(r#"{{"spotBNBBurn":{on},"interestBNBBurn":false}}"#)
}

/// One of the two must be sent; the box lends nothing, so interest is taken as sent and not kept.
fn set_burn(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    let spot = params.flag("spotBNBBurn")?;
    if spot.is_none() && params.flag("interestBNBBurn")?.is_none() {
        return Err(Refusal::missing("spotBNBBurn"));
    }
    if let Some(on) = spot {
        exchange.standing.burns[Market::Spot.index()] = on;
    }
    Ok(burn(exchange))
}

fn trade_fee(exchange: &mut Exchange, params: &Params<'_>) -> Outcome {
    Ok(list(asked(exchange, params)?.into_iter().map(|id| {
        let name = &exchange.listing.symbols[id].name;
        format!(r#"{{"symbol":"{name}","makerCommission":"0.001","takerCommission":"0.001"}}"#)
    })))
}

fn coins(exchange: &mut Exchange, _: &Params<'_>) -> Outcome {
    let held = exchange.accounts.spot.iter().enumerate().filter(|(asset, _)| is_spot_asset(exchange, *asset));
    Ok(list(held.map(|(asset, balance)| {
        let name = &exchange.listing.assets[asset];
        let text = |amount: Money| amount.to_string();
        format!(
            r#"{{"coin":"{name}","depositAllEnable":false,"free":"{}","freeze":"0","ipoable":"0","ipoing":"0","isLegalMoney":false,"locked":"{}","name":"{name}","networkList":[],"storage":"0","trading":true,"withdrawAllEnable":false,"withdrawing":"0"}}"#,
            text(balance.free),
            text(balance.locked)
        )
    })))
}
