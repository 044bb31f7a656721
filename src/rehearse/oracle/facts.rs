//! What is true: orders as they reached the venue, trades as it made them, holdings that follow from both.
//!
//! Owns:  pairs as the listing has them, every order request by its id, every trade of ours, exposure.
//! Never: asks the engine anything.

use super::super::Witnessed;
use super::super::faults::TWIN_EPOCH;
use crate::sim::{Arrived, Filled, Market, Row, Seen};
use crate::units::Nanos;
use std::collections::BTreeMap;

/// One of anything, in 10⁻¹⁸.
pub(super) const ONE: i128 = 1_000_000_000_000_000_000;
/// 10⁻⁸ in 10⁻¹⁸.
pub(super) const E10: i128 = 10_000_000_000;

/// A spot symbol and its perp.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) base: String,
    /// Rows: spot, perp.
    pub(super) rows: [usize; 2],
    /// What trades of ours hold of it, base, 10⁻¹⁸: spot net of fees, perp.
    pub(super) held: [i128; 2],
    /// Round trips finished: the perp was held and is flat.
    pub(super) round_trips: u64,
}

impl Pair {
    pub(super) fn exposure(&self) -> i128 {
        self.held[0] + self.held[1]
    }
}

/// The parts of a client order id of ours (FAULTS 7.2), read anew here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) number: u64,
    pub(super) instance: u8,
    pub(super) epoch: u32,
    pub(super) sequence: u32,
    pub(super) leg: u8,
    pub(super) attempt: u8,
}

impl Id {
    /// Reads an id; `None`: not ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        let number: u64 = text.parse().ok().filter(|_| text.len() == 19)?;
        let bits = |from: u32, count: u32| (number >> from) & ((1 << count) - 1);
        (number >> 60 == 0b101).then_some(Self {
            number,
            instance: bits(54, 6) as u8,
            epoch: bits(34, 20) as u32,
            sequence: bits(6, 28) as u32,
            leg: bits(4, 2) as u8,
            attempt: bits(0, 4) as u8,
        })
    }
}

/// An order request of ours that reached the venue.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: Id,
    pub(super) arrived: Arrived,
    #[cfg(feature = "crashpoints")]
    pub(super) at: Nanos,
    pub(super) wire: Nanos,
    /// Executed so far, 10⁻⁸.
    pub(super) executed: i64,
    /// A fault that met it.
    pub(super) struck: Option<&'static str>,
    pub(super) refused: Option<i64>,
}

/// A trade: market is `spot` or `perp`, then symbol and trade id.
pub(super) type TradeKey = (&'static str, String, u64);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) rows: Vec<Row>,
    pub(super) pairs: Vec<Pair>,
    /// Pair and leg of each row.
    pub(super) pair_of: Vec<Option<(usize, usize)>>,
    pub(super) orders: BTreeMap<u64, Order>,
    /// Trades of ours, and those the venue made by itself.
    pub(super) trades: BTreeMap<TradeKey, Filled>,
    /// Trades of others on this account.
    pub(super) foreign: Vec<Filled>,
    /// Coins that came without a trade: which, and how many, 10⁻¹⁸.
    pub(super) credits: Vec<(String, i128)>,
    /// Funding received less paid, quote, 10⁻¹⁸.
    pub(super) funding: i128,
    /// What it consists of: the perp's row, and what was received.
    pub(super) payments: Vec<(usize, i128)>,
    /// The venue's own trades: when, of which pair.
    pub(super) forced: Vec<(Nanos, usize)>,
}

/// `spot` or `perp`, as the journal names markets.
pub(super) const fn market_name(market: Market) -> &'static str {
    match market {
        Market::Spot => "spot",
        Market::Usdm => "perp",
    }
}

impl Facts {
    pub(super) fn of(rows: Vec<Row>) -> Self {
        let mut facts = Self { pair_of: vec![None; rows.len()], ..Self::default() };
        for (spot, row) in rows.iter().enumerate().filter(|(_, row)| row.market == Market::Spot) {
            let Some(perp) = row.twin else { continue };
            for (leg, of) in [spot, perp].into_iter().enumerate() {
                facts.pair_of[of] = Some((facts.pairs.len(), leg));
            }
            let base = row.base.clone();
            facts.pairs.push(Pair { base, rows: [spot, perp], held: [0; 2], round_trips: 0 });
        }
        facts.rows = rows;
        facts
    }

    /// Takes in what the venue saw; the pair whose holding changed, if one did.
    pub(super) fn take(&mut self, witnessed: &Witnessed) -> Option<usize> {
        match &witnessed.seen {
            Seen::Arrived(arrived) => {
                let id = Id::read(&arrived.client_id)?;
                let order = Order {
                    id,
                    arrived: arrived.clone(),
                    #[cfg(feature = "crashpoints")]
                    at: witnessed.at,
                    wire: witnessed.wire,
                    executed: 0,
                    struck: None,
                    refused: None,
                };
                self.orders.entry(id.number).or_insert(order);
                None
            }
            Seen::Struck { client_id, kind } => {
                self.order_of(client_id)?.struck = Some(kind);
                None
            }
            Seen::Refused { client_id, code, .. } => {
                self.order_of(client_id)?.refused = Some(*code);
                None
            }
            Seen::Filled(fill) => self.fill(fill, witnessed.at),
            Seen::Credited { asset, amount } => {
                self.credits.push((asset.clone(), *amount));
                None
            }
            Seen::Funding { symbol, received } => {
                self.funding += received;
                // Nothing paid is no row of the venue's ledger.
                self.payments.extend((*received != 0).then_some((*symbol, *received)));
                None
            }
            Seen::Taken { .. } | Seen::Throttled { .. } | Seen::SentAway { .. } => None,
        }
    }

    pub(super) fn order_of(&mut self, client_id: &str) -> Option<&mut Order> {
        self.orders.get_mut(&Id::read(client_id)?.number)
    }

    fn fill(&mut self, fill: &Filled, at: Nanos) -> Option<usize> {
        let ours = Id::read(&fill.client_id).is_some_and(|id| id.epoch != TWIN_EPOCH);
        if !ours && !fill.forced {
            self.foreign.push(fill.clone());
            return None;
        }
        if let Some(order) = self.order_of(&fill.client_id) {
            order.executed += fill.qty;
        }
        let row = &self.rows[fill.symbol];
        let key = (market_name(fill.market), row.name.clone(), fill.trade_id);
        self.trades.insert(key, fill.clone());
        let (at_pair, leg) = self.pair_of[fill.symbol]?;
        let pair = &mut self.pairs[at_pair];
        let mut moved = i128::from(fill.qty) * E10 * i128::from(row.multiplier);
        if fill.fee_asset == row.base {
            moved -= fill.fee;
        }
        let signed = if fill.buys { moved } else { -moved };
        let was = pair.held[1];
        if fill.forced {
            self.forced.push((at, at_pair));
            // The rest of it was somebody else's.
            pair.held[leg] += if was.signum() == -signed.signum() {
                signed.signum() * signed.abs().min(was.abs())
            } else {
                0
            };
        } else {
            pair.held[leg] += signed;
        }
        if leg == 1 && was != 0 && pair.held[1] == 0 {
            pair.round_trips += 1;
        }
        Some(at_pair)
    }

    /// Allowed exposure of a pair while nothing is under way, base, 10⁻¹⁸: one lot of either leg, or what
    /// neither leg can trade at this price (R12).
    pub(super) fn bound(&self, pair: usize, mid: i64) -> i128 {
        let [spot, perp] = self.pairs[pair].rows.map(|row| &self.rows[row]);
        let lots = (i128::from(spot.step) * E10).max(i128::from(perp.step * perp.multiplier) * E10);
        // A tenth to spare, as the price moves.
        let least = i128::from(spot.min_notional) * ONE / i128::from(mid.max(1)) * 11 / 10;
        lots.max(least)
    }

    /// Round trips over all pairs.
    pub(super) fn round_trips(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.round_trips).sum()
    }
}
