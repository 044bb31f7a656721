//! How long each coin stood with one leg on and the other not, by the box's own books and clock.
//!
//! Owns:  true exposure per coin, the intervals in which it was too large, their percentiles.
//! Never: sees what the engine believes.

use super::accounts::Accounts;
use super::listing::{Listing, SymbolId};
use super::number::{Money, ONE_E8};

/// Intervals of naked exposure over the spot coins that have a perp.
#[derive(Clone, Debug, Default)]
pub(super) struct Naked {
    /// `(spot symbol, since)`: coins naked now.
    open: Vec<(SymbolId, u64)>,
    /// Lengths of closed intervals, ns.
    closed: Vec<u64>,
}

impl Naked {
    /// Looks at the coin of `symbol` after a fill at box clock `clock` (ns).
    pub(super) fn look(&mut self, listing: &Listing, accounts: &Accounts, symbol: SymbolId, clock: u64) {
        let row = &listing.symbols[symbol];
        let spot = if row.market == super::config::Market::Spot { Some(symbol) } else { row.twin };
        let Some(spot) = spot else { return };
        let since = self.open.iter().position(|(id, _)| *id == spot);
        match (since, is_naked(listing, accounts, spot)) {
            (None, true) => self.open.push((spot, clock)),
            (Some(at), false) => {
                let (_, since) = self.open.remove(at);
                self.closed.push(clock - since);
            }
            _ => {}
        }
    }

    /// Base coins naked now.
    pub(super) fn now<'a>(&self, listing: &'a Listing) -> Vec<&'a str> {
        let mut names: Vec<&str> =
            self.open.iter().map(|(id, _)| listing.assets[listing.symbols[*id].base].as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Lengths in ns of all intervals, sorted; those still open count up to `clock`.
    pub(super) fn lengths(&self, clock: u64) -> Vec<u64> {
        let mut all = self.closed.clone();
        all.extend(self.open.iter().map(|(_, since)| clock.saturating_sub(*since)));
        all.sort_unstable();
        all
    }
}

/// Is the exposure of a spot coin and its perp beyond one lot of either and 0.2 % of the larger leg?
fn is_naked(listing: &Listing, accounts: &Accounts, spot: SymbolId) -> bool {
    let row = &listing.symbols[spot];
    let balance = accounts.spot[row.base];
    let coins = balance.free + balance.locked;
    let (mut perp, mut lot) = (Money::ZERO, Money::from_e8(row.step));
    if let Some(twin) = row.twin {
        let unit = listing.symbols[twin].multiplier * ONE_E8;
        perp = Money::from_e8(accounts.positions[twin].qty).times(unit);
        lot = lot.max(Money::from_e8(listing.symbols[twin].step).times(unit));
    }
    let share = Money(coins.abs().max(perp.abs()).0 / 500);
    (coins + perp).abs() > lot.max(share)
}

#[cfg(test)]
mod tests {
    use super::super::config::Market;
    use super::super::matching::Side;
    use super::*;

    #[test]
    fn one_leg_is_naked_until_the_other_follows_and_the_base_fee_is_no_exposure() {
        let listing = Listing::synthetic(crate::sim::Venue::Binance);
        let spot = listing.find(Market::Spot, "PEPEUSDT").unwrap();
        let perp = listing.symbols[spot].twin.unwrap();
        let mut accounts = Accounts::new(&listing, Money::from_e8(ONE_E8 * 1000), Money::ZERO, 0);
        let mut naked = Naked::default();
        let met = super::super::market::Level { price: 2_500, qty: 10_000_000 * ONE_E8 };
        accounts.spot_fill(&listing, spot, Side::Buy, met, None, None);
        naked.look(&listing, &accounts, spot, 100);
        assert_eq!(naked.now(&listing), ["PEPE"]);
        accounts.perp_fill(perp, Side::Sell, 2_500_000, 10_000 * ONE_E8, false);
        naked.look(&listing, &accounts, perp, 350);
        assert!(naked.now(&listing).is_empty());
        assert_eq!(naked.lengths(999), [250]);
    }
}
