//! Taking from a book: which levels an order meets, at its limit or better.
//!
//! Owns:  the walk over visible levels and what it consumes.
//! Never: knows accounts, or adds to a book: the box rests orders beside it.

use super::market::{Book, LEVELS, Level};
use super::number::E8;

/// The side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Buy,
    Sell,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }

    /// `+1` for a buy, `-1` for a sell.
    pub(super) fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// Is `price` acceptable under `limit`?
    pub(super) fn accepts(self, limit: E8, price: E8) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }
}

/// How much an order may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// A quantity of the base coin.
    Base(E8),
    /// An amount of the quote coin, spent in whole steps.
    Quote { amount: E8, step: E8 },
}

/// The fills an order would get, best first; `limit` 0 takes any price. Nothing is consumed.
pub(super) fn walk(book: &Book, side: Side, limit: E8, want: Want) -> Vec<Level> {
    let levels = match side {
        Side::Buy => &book.asks,
        Side::Sell => &book.bids,
    };
    let mut fills = Vec::new();
    let mut want = want;
    for level in levels.iter().filter(|l| l.qty > 0) {
        if limit != 0 && !side.accepts(limit, level.price) {
            break;
        }
        let qty = match &mut want {
            Want::Base(left) => {
                let qty = level.qty.min(*left);
                *left -= qty;
                qty
            }
            Want::Quote { amount, step } => {
                let affordable = i128::from(*amount) * 100_000_000 / i128::from(level.price);
                let affordable = i64::try_from(affordable).unwrap_or(i64::MAX) / *step * *step;
                let qty = level.qty.min(affordable);
                let spent = i128::from(qty) * i128::from(level.price) / 100_000_000;
                *amount -= i64::try_from(spent).unwrap_or(*amount);
                qty
            }
        };
        if qty == 0 {
            break;
        }
        fills.push(Level { price: level.price, qty });
    }
    fills
}

/// Removes `fills` from the side they came from. Levels that are used up go; the next becomes the best.
pub(super) fn consume(book: &mut Book, side: Side, fills: &[Level]) {
    let levels = match side {
        Side::Buy => &mut book.asks,
        Side::Sell => &mut book.bids,
    };
    for fill in fills {
        if let Some(level) = levels.iter_mut().find(|l| l.price == fill.price && l.qty > 0) {
            level.qty = (level.qty - fill.qty).max(0);
        }
    }
    let mut kept = [Level::default(); LEVELS];
    for (slot, level) in kept.iter_mut().zip(levels.iter().filter(|l| l.qty > 0)) {
        *slot = *level;
    }
    *levels = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        for i in 0..3 {
            book.asks[i] = Level { price: 100 + i as i64, qty: 10 };
            book.bids[i] = Level { price: 99 - i as i64, qty: 10 };
        }
        book
    }

    #[test]
    fn a_limit_takes_what_is_visible_within_it_and_no_more() {
        let fills = walk(&book(), Side::Buy, 101, Want::Base(25));
        assert_eq!(fills, [Level { price: 100, qty: 10 }, Level { price: 101, qty: 10 }]);
        assert_eq!(walk(&book(), Side::Buy, 99, Want::Base(1)), []);
        assert_eq!(walk(&book(), Side::Sell, 98, Want::Base(11)).len(), 2);
        assert_eq!(walk(&book(), Side::Sell, 0, Want::Base(99)).len(), 3);
    }

    #[test]
    fn what_was_taken_is_gone() {
        let mut book = book();
        let fills = walk(&book, Side::Buy, 101, Want::Base(15));
        consume(&mut book, Side::Buy, &fills);
        assert_eq!(book.ask(), Level { price: 101, qty: 5 });
        assert_eq!(book.bid(), Level { price: 99, qty: 10 });
    }

    #[test]
    fn a_quote_amount_is_spent_in_whole_steps() {
        let mut book = Book::default();
        book.asks[0] = Level { price: 300_000_000, qty: 500_000_000 };
        let fills = walk(&book, Side::Buy, 0, Want::Quote { amount: 1_000_000_000, step: 100_000_000 });
        assert_eq!(fills, [Level { price: 300_000_000, qty: 300_000_000 }]);
    }
}
