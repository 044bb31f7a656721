//! What the shadow can say of a run: how it ended, what is open, why each pair did or did not trade.
//!
//! Owns:  the answers to whoever ran the rooms.
//! Never: changes anything.

use super::phases::Phase;
use super::{Shadow, Tracked};
use crate::desk::ledger::{Ledger, Profit};
use crate::event::{CapitalTold, Instruments, PairState};
use crate::units::{Amount, LegKind, Nanos, Ratio};

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Orders of unknown fate and pairs out of bound, each named.
    pub open: Vec<String>,
    /// The engine refused to trade, and why (exit code 3).
    pub refused: Option<String>,
    /// The run could not go on, and why (exit code 1).
    pub failed: Option<String>,
    /// When all feeds were live.
    pub live_at: Option<Nanos>,
    /// When it ended.
    pub at: Nanos,
}

/// Why a pair did or did not trade.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// Canonical base asset.
    pub pair: &'a str,
    /// Entry thresholds as a basis: short, long; `None`: never.
    pub enter: [Option<Ratio>; 2],
    /// The best executable entry basis seen (short).
    pub best: Option<Ratio>,
    /// What switched its entries off, for good or until a private stream is up.
    pub frozen: Option<&'a str>,
}

impl Shadow {
    /// How the run ended; meaningful once `done` is set.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// Whether the run is over, and all of it durable.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Fills booked in this run.
    #[must_use]
    pub fn fills_booked(&self) -> u64 {
        self.ledger.fills() - self.recovered.fills_before
    }

    /// What this run earned and lost by its bookings.
    #[must_use]
    pub fn profit(&self) -> Profit {
        let (all, before) = (self.ledger.profit(), self.recovered.profit_before);
        Profit {
            basis: all.basis - before.basis,
            fees: all.fees - before.fees,
            slippage: all.slippage - before.slippage,
            funding: all.funding - before.funding,
        }
    }

    /// What trades.
    #[must_use]
    pub fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// The ledger, for the summary.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How capital stands; `None` before the account's wallets are known.
    #[must_use]
    pub fn capital(&self) -> Option<CapitalTold> {
        self.risk.told()
    }

    /// Positions held now.
    #[must_use]
    pub fn open_now(&self) -> u64 {
        self.books.iter().filter(|book| book.state == PairState::Hedged).count() as u64
    }

    /// Orders whose fate is unknown now.
    #[must_use]
    pub fn unknown_now(&self) -> u64 {
        self.orders.values().filter(|tracked| !tracked.order.ended()).count() as u64
    }

    /// What open positions and dust are worth beyond their cost at decision prices, at the latest marks.
    #[must_use]
    pub fn unrealised(&self) -> Amount {
        let mut sum = Amount::ZERO;
        for book in &self.books {
            let Some(mark) = &book.mark else { continue };
            let row = self.instruments.pair(book.pair);
            let decimals = self.instruments.get(row.perp).price_decimals;
            for leg in LegKind::BOTH {
                sum += self.ledger.sums().unrealised(row.name, leg, mark.mark, decimals, row.price_factor);
            }
        }
        sum
    }

    /// Why each pair did or did not trade: its name, entry thresholds (short, long), the best
    /// executable entry basis seen, and what froze it.
    pub fn why(&self) -> impl Iterator<Item = Why<'_>> {
        self.books.iter().map(|book| Why {
            pair: self.instruments.pair(book.pair).name.as_str(),
            enter: book.weighing.enter(),
            best: book.best,
            frozen: book.frozen.as_deref().or(self.streams.missing.as_deref()),
        })
    }

    /// Names everything that a stop leaves in doubt.
    pub(super) fn left_open(&self) -> Vec<String> {
        let order = |tracked: &Tracked| {
            let row = self.instruments.get(tracked.order.leg.instrument);
            format!(
                "order {} ({} {} {}): fate unknown; look it up at the venue by this client order id",
                tracked.order.client(),
                row.leg,
                row.symbol,
                tracked.order.leg.side
            )
        };
        let orders = self.orders.values().filter(|tracked| !tracked.order.closed()).map(order);
        let naked =
            self.books.iter().filter(|b| matches!(b.state, PairState::Busy | PairState::Unknown)).map(|b| {
                format!(
                    "pair {}: exposure {} not resolved",
                    self.instruments.pair(b.pair).name,
                    b.holding.exposure()
                )
            });
        orders.chain(naked).collect()
    }
}
