//! The synthetic market: books that move, premiums that wander and jump. Integers only, all from one seed.
//!
//! Owns:  the order book of a symbol, the price process of a coin, mark and funding estimate of a perp.
//! Never: knows orders, connections or wire formats.
//! Model: the spot mid walks and is pulled back to its start. The perp's mid is the spot mid times one plus a
//!        premium, which rests near +1…2 bp and, every 1 to 2.5 s, jumps to +55…90 bp for 300 to 900 ms and then
//!        stays at −5…+5 bp for the rest of its cycle.

use super::chance::Chance;
use super::listing::{Contract, Listing, Symbol, SymbolId};
use super::number::{E8, ONE_E8};

const MS: u64 = 1_000_000;

/// Price levels on each side of a book.
pub(super) const LEVELS: usize = 5;

/// One price and what rests there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) price: E8,
    pub(super) qty: E8,
}

/// A symbol's book, best first. A level with no quantity is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) update_id: u64,
    pub(super) bids: [Level; LEVELS],
    pub(super) asks: [Level; LEVELS],
    /// Box clock of the last change, ms.
    pub(super) changed_ms: u64,
}

impl Book {
    /// Best bid with something on it; zeros when the side is empty.
    pub(super) fn bid(&self) -> Level {
        best(&self.bids)
    }

    /// Best ask with something on it; zeros when the side is empty.
    pub(super) fn ask(&self) -> Level {
        best(&self.asks)
    }

    /// Middle of best bid and ask; zero when a side is empty.
    pub(super) fn mid(&self) -> E8 {
        let (bid, ask) = (self.bid().price, self.ask().price);
        if bid == 0 || ask == 0 { 0 } else { bid + (ask - bid) / 2 }
    }
}

fn best(side: &[Level; LEVELS]) -> Level {
    side.iter().copied().find(|l| l.qty > 0).unwrap_or_default()
}

/// Where the best bid of a symbol has been since the box opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    pub(super) open: E8,
    pub(super) high: E8,
    pub(super) low: E8,
    pub(super) last: E8,
}

impl Day {
    /// Takes the best bid of now; an empty side leaves things as they are.
    pub(super) fn see(&mut self, bid: E8) {
        if bid == 0 {
            return;
        }
        if self.open == 0 {
            (self.open, self.high, self.low) = (bid, bid, bid);
        }
        (self.high, self.low, self.last) = (self.high.max(bid), self.low.min(bid), bid);
    }
}

/// Mark, index and funding state of a perp.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    pub(super) mark: E8,
    pub(super) index: E8,
    pub(super) rate: E8,
    /// Slow mean of `rate`.
    pub(super) mean_rate: E8,
    /// Hours between settlements, at present.
    pub(super) interval_h: u64,
    /// Are settlements of this run kept from the history for now?
    pub(super) untold: bool,
    /// Does the estimate stand still, and was it never another?
    pub(super) steady: bool,
    /// Box clock, ms; 0 for a contract without funding.
    pub(super) next_funding_ms: u64,
    /// When it was fed in, box clock, ms.
    pub(super) fed_ms: u64,
}

/// The price process of one coin over its one or two symbols.
#[derive(Clone, Debug)]
pub(super) struct Coin {
    pub(super) spot: Option<SymbolId>,
    pub(super) perp: Option<SymbolId>,
    /// Spot mid, or the perp's where there is no spot, as a count of 10⁻¹²: finer than any tick.
    mid: i64,
    start: i64,
    /// Do excursions happen? Only on the coins meant to be traded.
    lively: bool,
    premium: Premium,
}

/// The premium of a perp over its spot, in 10⁻⁶, as a path of straight lines.
#[derive(Clone, Debug, Default)]
struct Premium {
    /// `(from_ns, from_value)`, the start of the current line.
    from: (u64, i64),
    /// `(until_ns, value)`, its end.
    to: (u64, i64),
    phase: Phase,
    cycle_end: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Rest,
    Rise,
    Hold,
    Fall,
    Low,
}

/// How long the premium takes from rest to excursion and back.
const RAMP_NS: u64 = 60 * MS;

impl Premium {
    fn at(&mut self, now: u64, lively: bool, chance: &mut Chance) -> i64 {
        while now >= self.to.0 {
            self.turn(lively, chance);
        }
        let (t0, v0) = self.from;
        let (t1, v1) = self.to;
        v0 + (v1 - v0) * (now.saturating_sub(t0) as i64 / 1000) / ((t1 - t0).max(1000) as i64 / 1000)
    }

    fn turn(&mut self, lively: bool, chance: &mut Chance) {
        let (at, value) = self.to;
        let ms = |chance: &mut Chance, low, high| chance.range(low, high) as u64 * MS;
        let (phase, until, target) = match self.phase {
            _ if !lively => (Phase::Rest, at + ms(chance, 500, 1500), chance.range(100, 200)),
            Phase::Rest => {
                self.cycle_end = at + ms(chance, 1000, 2500);
                (Phase::Rise, at + RAMP_NS, chance.range(5_500, 9_000))
            }
            Phase::Rise => {
                let drift = chance.range(-100, 100);
                (Phase::Hold, at + ms(chance, 300, 900), (value + drift).max(5_500))
            }
            Phase::Hold => (Phase::Fall, at + RAMP_NS, chance.range(-500, 500)),
            Phase::Fall => {
                let until = (self.cycle_end.saturating_sub(ms(chance, 50, 150))).max(at + 150 * MS);
                (Phase::Low, until, chance.range(-500, 500))
            }
            Phase::Low => (Phase::Rest, at + 80 * MS, chance.range(100, 200)),
        };
        self.phase = phase;
        self.from = self.to;
        self.to = (until, target);
    }
}

/// All coins.
#[derive(Clone, Debug)]
pub(super) struct Synthetic {
    pub(super) coins: Vec<Coin>,
    chance: Chance,
}

impl Synthetic {
    pub(super) fn new(listing: &Listing, seed: u64, now: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut coins = Vec::new();
        for (id, symbol) in listing.symbols.iter().enumerate() {
            let (spot, perp) = match (symbol.contract, symbol.twin) {
                (Contract::Spot, twin) => (Some(id), twin),
                (_, Some(_)) => continue,
                (_, None) => (None, Some(id)),
            };
            let trades = |id: Option<SymbolId>| id.is_some_and(|id| listing.symbols[id].trades());
            let lively = trades(spot) && trades(perp) && symbol.name.is_ascii();
            // The first excursion of a coin falls anywhere in its first cycle, so that coins do not move as one.
            let first = now + chance.range(200, 1800) as u64 * MS;
            let premium = Premium { from: (now, 150), to: (first, 150), ..Premium::default() };
            let start = symbol.start_price.saturating_mul(10_000);
            coins.push(Coin { spot, perp, mid: start, start, lively, premium });
        }
        Self { coins, chance }
    }

    /// Time to the next quote of a symbol, around `mean` nanoseconds.
    pub(super) fn pause(&mut self, mean: u64) -> u64 {
        let mean = mean as i64;
        self.chance.range(mean / 2, mean + mean / 2).max(1) as u64
    }

    /// Moves the spot side of a coin.
    pub(super) fn tick_spot(&mut self, coin: usize, symbol: &Symbol, book: &mut Book) {
        self.walk(coin);
        let mid = self.coins[coin].mid;
        quote(&mut self.chance, symbol, mid, book);
    }

    /// Moves the perp side of a coin.
    pub(super) fn tick_perp(&mut self, coin: usize, symbol: &Symbol, book: &mut Book, now: u64) {
        if self.coins[coin].spot.is_none() {
            self.walk(coin);
        }
        let it = &mut self.coins[coin];
        let premium = if it.spot.is_some() { it.premium.at(now, it.lively, &mut self.chance) } else { 0 };
        let factor = i128::from(symbol.multiplier) * i128::from(1_000_000 + premium);
        let mid = i64::try_from(i128::from(it.mid) * factor / 1_000_000).unwrap_or(it.mid);
        quote(&mut self.chance, symbol, mid, book);
    }

    /// One step of ±0.2 bp, less a thousandth of the way strayed from the start.
    fn walk(&mut self, coin: usize) {
        let step = self.chance.range(-20_000, 20_000);
        let it = &mut self.coins[coin];
        let moved = i128::from(it.mid) * i128::from(step) / 1_000_000_000;
        let back = i128::from(it.start - it.mid) / 1000;
        it.mid = i64::try_from(i128::from(it.mid) + moved + back).unwrap_or(it.start).max(1);
    }

    /// The funding estimate wanders a little around its mean.
    pub(super) fn drift_rate(&mut self, mean: E8, rate: E8) -> E8 {
        rate + self.chance.range(-30, 30) + (mean - rate) / 20
    }
}

/// Writes a fresh book around `mid` (10⁻¹²): a spread of 1 to 3 ticks, one tick where that is over 1 bp already.
fn quote(chance: &mut Chance, symbol: &Symbol, mid: i64, book: &mut Book) {
    let tick = symbol.tick;
    let centre = mid / 10_000;
    let spread = if tick.saturating_mul(10_000) > centre { 1 } else { chance.range(1, 3) };
    let bid = ((centre - spread * tick / 2) / tick * tick).max(tick);
    let ask = bid + spread * tick;
    // A few tops in a hundred are thin, so that a larger taker is filled in part.
    for (side, top, away) in [(&mut book.bids, bid, -tick), (&mut book.asks, ask, tick)] {
        let thin = chance.range(1, 100) <= 3;
        let worth = if thin { chance.range(150, 600) } else { chance.range(3_000, 40_000) };
        let mut price = top;
        for (depth, level) in side.iter_mut().enumerate() {
            let worth = if depth == 0 { worth } else { chance.range(3_000, 40_000) };
            *level = Level { price: price.max(0), qty: qty_worth(worth, price.max(1), symbol.step) };
            if price <= 0 {
                level.qty = 0;
            }
            price += away * if depth == 3 { 2 } else { 1 };
        }
    }
    book.update_id += chance.range(1, 4) as u64;
}

/// The whole steps worth `usdt` at `price`, at least one.
fn qty_worth(usdt: i64, price: E8, step: E8) -> E8 {
    let exact = i128::from(usdt) * i128::from(ONE_E8) * i128::from(ONE_E8) / i128::from(price);
    let steps = (exact / i128::from(step)).clamp(1, i128::from(i64::MAX / step / 2));
    i64::try_from(steps).unwrap_or(1) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Someone who only watches bid and ask of the twelve pairs finds enough room to trade, and the way back.
    #[test]
    fn a_naive_observer_sees_thirty_excursions_in_ten_seconds() {
        for seed in [1, 7, 42] {
            let listing = Listing::synthetic(crate::sim::Venue::Binance);
            let mut market = Synthetic::new(&listing, seed, 0);
            let mut books = vec![Book::default(); listing.symbols.len()];
            let (mut entries, mut exits) = (0, 0);
            let mut inside = vec![false; market.coins.len()];
            for step in 0..200u64 {
                for (coin, inside) in inside.iter_mut().enumerate() {
                    let (Some(s), Some(p)) = (market.coins[coin].spot, market.coins[coin].perp) else {
                        continue;
                    };
                    if !market.coins[coin].lively {
                        continue;
                    }
                    market.tick_spot(coin, &listing.symbols[s], &mut books[s]);
                    market.tick_perp(coin, &listing.symbols[p], &mut books[p], step * 50 * MS);
                    let m = i128::from(listing.symbols[p].multiplier);
                    let basis = |perp: E8, spot: E8| {
                        (i128::from(perp) - m * i128::from(spot)) * 1_000_000 / (m * i128::from(spot))
                    };
                    let enter = basis(books[p].bid().price, books[s].ask().price);
                    let leave = basis(books[p].ask().price, books[s].bid().price);
                    if !*inside && enter > 3_600 {
                        (*inside, entries) = (true, entries + 1);
                    } else if *inside && leave < 1_500 {
                        (*inside, exits) = (false, exits + 1);
                    }
                }
            }
            assert!(entries >= 30 && exits >= 25, "seed {seed}: {entries} entries, {exits} exits");
        }
    }

    #[test]
    fn books_are_never_crossed_and_every_level_fits_the_filters() {
        let listing = Listing::synthetic(crate::sim::Venue::Binance);
        let mut market = Synthetic::new(&listing, 3, 0);
        for step in 0..2_000u64 {
            for coin in 0..market.coins.len() {
                let mut book = Book::default();
                let id = match market.coins[coin].spot {
                    Some(id) => {
                        market.tick_spot(coin, &listing.symbols[id], &mut book);
                        id
                    }
                    None => {
                        let id = market.coins[coin].perp.unwrap();
                        market.tick_perp(coin, &listing.symbols[id], &mut book, step * 50 * MS);
                        id
                    }
                };
                let symbol = &listing.symbols[id];
                assert!(book.bid().price < book.ask().price, "{}", symbol.name);
                for level in book.bids.iter().chain(&book.asks) {
                    assert!(level.price > 0 && level.price % symbol.tick == 0, "{} {level:?}", symbol.name);
                    assert!(level.qty > 0 && level.qty % symbol.step == 0, "{} {level:?}", symbol.name);
                }
            }
        }
    }
}
