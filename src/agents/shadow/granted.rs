//! Granted inventory: the coins that long positions may sell, because the operator said so.
//!
//! Owns:  grants by pair, and how much of one is left.
//! Never: sells a coin that was not granted, borrows one, or takes a coin that is there for one that is granted.

use super::Shadow;
use crate::event::{Record, lane};
use crate::units::{Amount, LegKind, Nanos};

impl Shadow {
    /// Grants so many coins of a pair altogether. 0 takes the grant back; what is sold already is bought back
    /// when its position is left, as ever.
    ///
    /// # Errors
    ///
    /// There is no such pair, and which there are.
    pub(super) fn grant(&mut self, pair: &str, qty: Amount, now: Nanos) -> Result<String, String> {
        let at = self.find_pair(pair).ok_or_else(|| self.no_such_pair(pair))?;
        let name = self.instruments.pair(self.books[at].pair).name;
        self.granted.insert(name, qty);
        self.publish_terms(at, now);
        self.line(&format!("{name}: long positions may sell {qty} {name}"));
        self.write(Record::Grant { at: self.clock.unix(), name, qty });
        let idle = if self.settings.directions[1] { "" } else { "; this run enters none (see --direction)" };
        Ok(format!("long positions may sell {qty} {name} altogether{idle}"))
    }

    /// Coins of a pair that a long entry may still sell: granted, not sold yet, and there.
    pub(super) fn to_sell(&self, at: usize, now: Nanos) -> Amount {
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        let granted = self.granted.get(&row.name).copied().unwrap_or_default();
        let sold = Amount((-book.holding.spot.0).max(0));
        let spot = self.instruments.get(row.spot);
        let there = if self.needs_account() {
            self.in_wallet(lane(spot.venue, LegKind::Spot), spot.base, now).unwrap_or_default()
        } else {
            granted
        };
        (granted - sold).min(there)
    }
}
