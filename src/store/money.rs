//! Where the money came from, over time: what the books stood at, day by day and moment by moment.
//!
//! Owns:  the last prices that the journal names, what is open valued at them, and the course of both.
//! Never: splits profit itself: `desk::ledger::Sums` does, for a running engine and for this alike.
//! Why:   the journal holds no marks. What is open is valued at the perp's last price in it: a decision's quote, or
//!        a fill. Both legs at that one price, as the run's summary does with the mark.

use super::journal::{Entry, Kind};
use super::recall::Recalled;
use super::row::decimals_of;
use crate::desk::ledger::{Profit, worth};
use crate::event::Asset;
use crate::units::time::SEC;
use crate::units::{Amount, LegKind, Price, Unix, decimal};
use serde_json::Value;
use std::collections::BTreeMap;

/// One UTC day.
const DAY_NS: i64 = 86_400 * SEC as i64;
/// Moments that are kept of a course; past them every second one goes.
const MOMENTS_MAX: usize = 2_048;

/// What the books stood at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// Closed, paid and received since the first record.
    pub profit: Profit,
    /// What is open beyond its cost at decision prices.
    pub revaluation: Amount,
    /// What the perps hold, in the quote asset: the sum of sizes, not of signs.
    pub held: Amount,
}

impl Stand {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.profit.total() + self.revaluation
    }
}

/// A pair as the journal last told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfPair {
    /// Its state, if there was a word of it.
    pub state: Option<String>,
    /// The last price of its perp, with its decimals.
    pub price: Option<(Price, u8)>,
    /// What it has open, valued at that price, beyond its cost.
    pub revaluation: Amount,
    /// What its perp holds, in the quote asset.
    pub held: Amount,
}

/// The course of a journal's books.
#[derive(Clone, Debug, Default)]
pub struct Course {
    pairs: BTreeMap<Asset, OfPair>,
    now: Stand,
    /// By the day's first moment, what it ended with.
    days: BTreeMap<i64, Stand>,
    moments: Vec<(Unix, Stand)>,
    /// When the last of them was begun; what comes within `apart` ns of that takes its place.
    begun: Unix,
    apart: i64,
}

impl Course {
    /// Takes in the next record, with the books behind it.
    pub fn take(&mut self, entry: &Entry, books: &Recalled) {
        let text = |field: &str| entry.body.get(field).and_then(Value::as_str);
        match entry.kind {
            Kind::Pair => {
                if let Some(name) = text("pair").and_then(|name| Asset::from(name).ok()) {
                    self.pairs.entry(name).or_default().state = text("state").map(str::to_owned);
                }
            }
            Kind::Fired => {
                let leg = entry.body.get("legs").and_then(|legs| legs.get(0));
                let of = |field: &str| leg.and_then(|leg| leg.get(field)).and_then(Value::as_str);
                self.value(of("market"), of("symbol"), text("perp_price"), books);
                self.note(books);
            }
            Kind::Fill => {
                let price = text("price").filter(|_| text("market") == Some("perp"));
                self.value(text("market"), text("symbol"), price, books);
                self.note(books);
            }
            Kind::Funding | Kind::FeePrice => self.note(books),
            _ => {}
        }
    }

    /// Values a pair anew; a price of 0 is none: an order that recovery found names no quotes.
    fn value(&mut self, market: Option<&str>, symbol: Option<&str>, price: Option<&str>, books: &Recalled) {
        let leg = if market == Some("spot") { LegKind::Spot } else { LegKind::Perp };
        let Some((name, factor)) = symbol.and_then(|symbol| books.pair_of(leg, symbol)) else { return };
        let pair = self.pairs.entry(name).or_default();
        let read = price.and_then(|text| {
            let decimals = decimals_of(text)?;
            let price = decimal::parse(text.as_bytes(), decimals, i64::MAX).ok()?;
            (price > 0).then_some((Price(price), decimals))
        });
        pair.price = read.or(pair.price);
        let Some((price, decimals)) = pair.price else { return };
        let mut revaluation = Amount::ZERO;
        for leg in LegKind::BOTH {
            revaluation += books.sums.unrealised(name, leg, price, decimals, factor);
        }
        let size = books.sums.lot(name, LegKind::Perp).base.abs() / i128::from(factor.max(1));
        let held = worth(Amount(size), price, decimals);
        self.now.revaluation += revaluation - pair.revaluation;
        self.now.held += held - pair.held;
        (pair.revaluation, pair.held) = (revaluation, held);
    }

    fn note(&mut self, books: &Recalled) {
        let at = books.last_at.unwrap_or_default();
        self.now.profit = books.sums.profit;
        self.days.insert(at.0.div_euclid(DAY_NS) * DAY_NS, self.now);
        match self.moments.last_mut() {
            Some(last) if at.0 - self.begun.0 < self.apart => *last = (at, self.now),
            _ => {
                self.begun = at;
                self.moments.push((at, self.now));
            }
        }
        if self.moments.len() > MOMENTS_MAX {
            let last = self.moments.len() - 1;
            let all = std::mem::take(&mut self.moments).into_iter().enumerate();
            self.moments = all.filter(|(n, _)| n % 2 == 0 || *n == last).map(|(_, moment)| moment).collect();
            let lasted = at.0 - self.moments.first().map_or(at.0, |(first, _)| first.0);
            self.apart = lasted / (MOMENTS_MAX as i64 / 2);
        }
    }

    /// What the books stand at, valued at the last prices.
    #[must_use]
    pub const fn now(&self) -> Stand {
        self.now
    }

    /// Every pair that was traded or named.
    pub fn pairs(&self) -> impl Iterator<Item = (Asset, &OfPair)> {
        self.pairs.iter().map(|(name, pair)| (*name, pair))
    }

    /// What each UTC day with a send round or a booking ended with, by its first moment.
    pub fn days(&self) -> impl Iterator<Item = (Unix, Stand)> {
        self.days.iter().map(|(at, stand)| (Unix(*at), *stand))
    }

    /// Moments with a send round or a booking, at most a few thousand over all the time.
    #[must_use]
    pub fn moments(&self) -> &[(Unix, Stand)] {
        &self.moments
    }
}

#[cfg(test)]
#[path = "money_tests.rs"]
mod tests;
