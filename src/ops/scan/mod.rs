//! The scanner's rows, and its door for programs.
//!
//! Owns:  [`Row`], one pair of one venue as it was last told, and [`Snapshot`], all of them in order.
//! Never: asks a venue; `cli/scan` does, and hands rows in.
//! Map:   [`api`] questions → answers, pure · [`serve`] the same behind HTTP · `page.html` what a person sees ·
//!        `openapi.json` the document of the API.
//! Wire:  DESIGN §7.

pub mod api;
mod query;
pub mod serve;

use crate::carry::funding::Carry;
use crate::carry::opportunity::{self, Edge};
use crate::carry::rules::{Costs, Policy};
use crate::carry::signal::Signal;
use crate::units::time::SEC;
use crate::units::{Amount, Direction, Rate, Ratio, Unix};
use std::sync::Arc;

/// A rate that was told longer ago than this is left out.
pub const RATE_STALE_NS: i64 = 6 * 3_600 * SEC as i64;

/// One pair of one venue.
#[derive(Clone, Debug)]
pub struct Row {
    /// The venue, as people write it.
    pub exchange: &'static str,
    /// The coin, without a multiplier.
    pub coin: String,
    /// Symbols of both legs.
    pub symbols: [String; 2],
    /// The running estimate, per interval.
    pub rate: Rate,
    /// When it was told, host clock.
    pub rate_at: Unix,
    /// Hours between settlements.
    pub hours: u32,
    /// Sum of what settled in seven days.
    pub sum_7d: Option<Rate>,
    /// The coming settlement.
    pub next: Option<Unix>,
    /// Prices, as long as they are of use.
    pub prices: Option<Prices>,
    /// Taker fees of both legs, one way, as the venue lists them.
    pub fees_one_way: Rate,
    /// What the perp turned over in a day, quote coin.
    pub turnover: Option<Amount>,
    /// What speaks against it whatever the notional.
    pub against: Option<String>,
    /// Settlements of the last days: when, and the rate.
    pub settled: Arc<[(Unix, Rate)]>,
}

/// Both books of a pair, compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// When they were asked for, host clock.
    pub at: Unix,
    /// Middle of the perp's book over the spot's, less one, in 10^-8.
    pub middle: i64,
    /// Executable basis in the sign of its direction, short and long.
    pub executable: [Ratio; 2],
    /// Notional that both tops have room for, short and long.
    pub room: [Amount; 2],
    /// Both spreads, and both entry collars.
    pub exit_spread: Ratio,
    /// As above.
    pub slip: Ratio,
}

impl Row {
    /// Short where the rate is not negative.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.rate.0 >= 0 { Direction::Short } else { Direction::Long }
    }

    /// Funding per year, in 10^-18.
    #[must_use]
    pub fn apr(&self) -> i128 {
        opportunity::apr(self.rate, self.hours)
    }

    /// Weighed with all its costs, where its prices are known.
    #[must_use]
    pub fn edge(&self, policy: &Policy) -> Option<Edge> {
        let prices = self.prices?;
        let carry = Carry { estimate: self.rate, interval_hours: self.hours, sum_7d: self.sum_7d };
        let costs = Costs {
            fees_one_way: self.fees_one_way.ratio_ceil(),
            exit_spread: prices.exit_spread,
            slip: prices.slip,
        };
        let direction = self.direction();
        let basis = prices.executable[direction as usize];
        Some(Edge::weigh(policy, Signal::new(&carry, direction), &costs, basis))
    }

    /// All that speaks against it at a notional, in words.
    #[must_use]
    pub fn reasons(&self, notional: Amount, policy: &Policy) -> Vec<String> {
        let mut all: Vec<String> = self.against.clone().into_iter().collect();
        if self.prices.is_none() && all.is_empty() {
            all.push("its prices are not known, or too old".to_owned());
        }
        if let Some(prices) = self.prices {
            let room = prices.room[self.direction() as usize];
            if room < notional {
                all.push(format!("the best prices have room for {} only", whole(room)));
            }
        }
        if self.direction() == Direction::Long {
            all.push("long sells spot: it needs coins that you hold".to_owned());
        }
        let edge = self.edge(policy);
        all.extend(edge.and_then(|edge| edge.against).map(|why| match why {
            crate::carry::rules::NoEntry::CarryShort => {
                "its carry does not pay its costs and the bar".to_owned()
            }
            why => why.text().to_owned(),
        }));
        all
    }
}

/// An amount without its decimals.
#[must_use]
pub fn whole(amount: Amount) -> String {
    (amount.0 / 10i128.pow(u32::from(Amount::SCALE))).to_string()
}

/// How a venue does.
#[derive(Clone, Debug)]
pub struct Venue {
    /// As people write it.
    pub exchange: &'static str,
    /// Pairs it lists.
    pub pairs: usize,
    /// When its prices and its funding were last told, host clock.
    pub prices_at: Option<Unix>,
    /// As above.
    pub rates_at: Option<Unix>,
    /// Whether each of its questions has been answered once.
    pub complete: bool,
    /// Questions that went wrong since the start.
    pub failures: u64,
    /// Why its last question went wrong; `None`: it did not.
    pub why: Option<String>,
    /// What was wanted and it has no pair of, a sentence each.
    pub left_out: Vec<String>,
}

/// All that is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up.
    pub version: u64,
    /// By APR, highest first.
    pub rows: Vec<Row>,
    /// In the order of the venues.
    pub venues: Vec<Venue>,
}

impl Snapshot {
    /// Takes rows: old rates are left out, one row a coin and venue stays (the perp of the highest turnover), and
    /// the highest APR comes first.
    #[must_use]
    pub fn new(version: u64, now: Unix, mut rows: Vec<Row>, venues: Vec<Venue>) -> Self {
        rows.retain(|row| now.0 - row.rate_at.0 <= RATE_STALE_NS);
        let of = |a: &Row, b: &Row| a.coin.cmp(&b.coin).then(a.exchange.cmp(b.exchange));
        rows.sort_by(|a, b| {
            of(a, b).then(b.turnover.cmp(&a.turnover)).then_with(|| a.symbols.cmp(&b.symbols))
        });
        std::thread::yield_now();
        rows.dedup_by(|later, first| of(later, first).is_eq());
        // Equal APRs stay in the order of coins.
        rows.sort_by_cached_key(|row| std::cmp::Reverse(row.apr()));
        Self { version, rows, venues }
    }
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;

    /// A row of a venue and coin at this rate and interval, told `ago` seconds before `now`.
    pub(crate) fn row(exchange: &'static str, coin: &str, rate: &str, hours: u32, at: Unix) -> Row {
        Row {
            exchange,
            coin: coin.to_owned(),
            symbols: [format!("{coin}USDT"), format!("{coin}USDT")],
            rate: Rate::parse(rate.as_bytes()).unwrap(),
            rate_at: at,
            hours,
            sum_7d: None,
            next: None,
            prices: None,
            fees_one_way: Rate(1_500_000_000_000_000),
            turnover: None,
            against: None,
            settled: Arc::from([]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::row;
    use super::*;

    const NOW: Unix = Unix(1_795_305_605_000_000_000);

    #[test]
    fn rows_are_in_order_each_coin_once_a_venue_and_old_ones_are_not_there() {
        let old = Unix(NOW.0 - RATE_STALE_NS - 1);
        let just = Unix(NOW.0 - RATE_STALE_NS);
        let thin = Row { turnover: Some(Amount(5)), ..row("OKX", "PEPE", "0.005", 8, NOW) };
        let deep = Row { turnover: Some(Amount(9)), ..row("OKX", "PEPE", "0.0004", 8, NOW) };
        let rows = vec![
            row("Binance", "BTC", "0.0001", 8, NOW),
            row("Bybit", "BTC", "0.0001", 4, just),
            row("Bybit", "ETH", "0.0009", 8, old),
            thin,
            deep,
            row("Bitget", "XRP", "-0.0003", 8, NOW),
            row("Bitget", "ADA", "0.0001", 8, NOW),
        ];
        let snapshot = Snapshot::new(1, NOW, rows, Vec::new());
        let told: Vec<_> = snapshot.rows.iter().map(|row| format!("{} {}", row.exchange, row.coin)).collect();
        assert_eq!(told, ["OKX PEPE", "Bybit BTC", "Bitget ADA", "Binance BTC", "Bitget XRP"]);
        assert_eq!(snapshot.rows[0].turnover, Some(Amount(9)));
    }

    #[test]
    fn every_reason_against_a_row_is_told() {
        let policy = Policy::default();
        let bare = row("OKX", "BTC", "-0.0001", 8, NOW);
        let reasons = bare.reasons(Amount::ZERO, &policy).join("; ");
        assert_eq!(
            reasons,
            "its prices are not known, or too old; long sells spot: it needs coins that you hold"
        );
        let prices = Prices {
            at: NOW,
            middle: 0,
            executable: [Ratio::ZERO; 2],
            room: [Amount(1); 2],
            exit_spread: Ratio::ZERO,
            slip: Ratio::ZERO,
        };
        let thin = Row { prices: Some(prices), sum_7d: Some(Rate(1)), rate: Rate(1), ..bare };
        let reasons = thin.reasons(Amount::parse(b"100").unwrap(), &policy).join("; ");
        assert_eq!(
            reasons,
            "the best prices have room for 0 only; its carry does not pay its costs and the bar"
        );
    }
}
