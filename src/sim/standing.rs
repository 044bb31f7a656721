//! How the account stands: the rights of its key, its modes, what its fees are taken in.
//!
//! Owns:  those switches, each perp's maintenance margin, and reading a change of them from a fault order.
//! Never: refuses a request: the dialect does, by these.
//! Quirk: hedge mode and isolated margin are told and not kept: an order that does not fit the mode is refused, and
//!        an isolated position shares the wallet like any other.

use super::accounts::MAINTENANCE;
use super::config::Market;
use super::dialect::binance;
use super::exchange::Exchange;
use super::listing::SymbolId;
use super::number::{E8, ONE_E8, parse_e8};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The switches, as a careful desk leaves them.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Is the key one that the venue knows?
    pub(super) key: bool,
    /// May the key withdraw?
    pub(super) withdraws: bool,
    /// Does the key work from listed addresses only?
    pub(super) bound: bool,
    /// May the key trade, by market?
    pub(super) trades: [bool; 2],
    /// Has a perp one position a side?
    pub(super) hedged: bool,
    /// Are several assets margin?
    pub(super) many_assets: bool,
    /// Are fees taken in BNB, by market?
    pub(super) burns: [bool; 2],
    /// Does the host serve the wallet's side? The venue's demo hosts do not.
    pub(super) sapi: bool,
    /// Perps with isolated margin.
    pub(super) isolated: BTreeSet<SymbolId>,
    /// Maintenance margin as a share of notional, where it is another than [`MAINTENANCE`].
    pub(super) maintenance: BTreeMap<SymbolId, E8>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            key: true,
            withdraws: false,
            bound: true,
            trades: [true; 2],
            hedged: false,
            many_assets: false,
            burns: [false; 2],
            sapi: true,
            isolated: BTreeSet::new(),
            maintenance: BTreeMap::new(),
        }
    }
}

/// A change ordered from outside; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    key: Option<bool>,
    withdraw: Option<bool>,
    ip_restrict: Option<bool>,
    spot: Option<bool>,
    futures: Option<bool>,
    hedge: Option<bool>,
    multi_assets: Option<bool>,
    spot_burn: Option<bool>,
    fee_burn: Option<bool>,
    sapi: Option<bool>,
    isolated: Option<bool>,
    leverage: Option<u32>,
    maintenance: Option<E8>,
    /// Whose margin type, leverage and maintenance margin; `None`: every perp's.
    symbol: Option<String>,
}

/// The names, for whoever writes one wrong.
pub(super) const MEMBERS: &str = "key, withdraw, ip_restrict, spot, futures, hedge, multi_assets, spot_burn, fee_burn, sapi, \
                                  isolated, leverage, maintenance, symbol";

impl Change {
    /// Reads the members of a fault order.
    ///
    /// # Errors
    ///
    /// Names the member that is wrong.
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, String> {
        let mut change = Self::default();
        for (name, value) in members {
            let flag = || value.as_bool().map(Some).ok_or_else(|| format!("{name} is true or false"));
            match name.as_str() {
                "key" => change.key = flag()?,
                "withdraw" => change.withdraw = flag()?,
                "ip_restrict" => change.ip_restrict = flag()?,
                "spot" => change.spot = flag()?,
                "futures" => change.futures = flag()?,
                "hedge" => change.hedge = flag()?,
                "multi_assets" => change.multi_assets = flag()?,
                "spot_burn" => change.spot_burn = flag()?,
                "fee_burn" => change.fee_burn = flag()?,
                "sapi" => change.sapi = flag()?,
                "isolated" => change.isolated = flag()?,
                "leverage" => {
                    let wanted = value.as_u64().and_then(|n| u32::try_from(n).ok());
                    let wanted = wanted.filter(|n| (1..=125).contains(n));
                    change.leverage = Some(wanted.ok_or("leverage is a whole number from 1 to 125")?);
                }
                "maintenance" => {
                    let share = value.as_str().and_then(|text| parse_e8(text).ok());
                    let share = share.filter(|share| (1..ONE_E8).contains(share));
                    let why = "maintenance is a share of notional below 1 as text, such as \"0.05\"";
                    change.maintenance = Some(share.ok_or(why)?);
                }
                "symbol" => {
                    let symbol = value.as_str().ok_or("symbol is a name, such as \"BTCUSDT\"")?;
                    change.symbol = Some(symbol.to_owned());
                }
                "kind" | "count" | "market" | "client_side" => {}
                other => return Err(format!("{other:?} is none of {MEMBERS}")),
            }
        }
        Ok(change)
    }
}

impl Exchange {
    /// Maintenance margin of a perp as a share of its notional.
    pub(super) fn maintenance(&self, id: SymbolId) -> E8 {
        self.standing.maintenance.get(&id).copied().unwrap_or(MAINTENANCE)
    }

    /// Somebody changed the account at the venue's own pages. Leverage alone is told to who listens.
    pub(super) fn change_standing(&mut self, change: &Change) -> Result<(), String> {
        let perps: Vec<SymbolId> = match &change.symbol {
            None => self.listing.of(Market::Usdm).map(|(id, _)| id).collect(),
            Some(name) => {
                let found = self.listing.find(Market::Usdm, name);
                vec![found.ok_or_else(|| format!("there is no perp {name:?}; name one the box lists"))?]
            }
        };
        let it = &mut self.standing;
        let ([may_spot, may_usdm], [burns_spot, burns_usdm]) = (&mut it.trades, &mut it.burns);
        for (switch, wanted) in [
            (&mut it.key, change.key),
            (&mut it.withdraws, change.withdraw),
            (&mut it.bound, change.ip_restrict),
            (may_spot, change.spot),
            (may_usdm, change.futures),
            (&mut it.hedged, change.hedge),
            (&mut it.many_assets, change.multi_assets),
            (burns_spot, change.spot_burn),
            (burns_usdm, change.fee_burn),
            (&mut it.sapi, change.sapi),
        ] {
            *switch = wanted.unwrap_or(*switch);
        }
        for id in perps {
            match change.isolated {
                Some(true) => _ = self.standing.isolated.insert(id),
                Some(false) => _ = self.standing.isolated.remove(&id),
                None => {}
            }
            if let Some(share) = change.maintenance {
                self.standing.maintenance.insert(id, share);
            }
            if let Some(leverage) = change.leverage {
                self.accounts.positions[id].leverage = leverage;
                let event = binance::leverage_event(self, id);
                self.hear(Market::Usdm, &event);
            }
        }
        Ok(())
    }
}
