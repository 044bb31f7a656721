//! What trades: instruments, pairs, and one immutable generation of them.
//!
//! Owns:  the rows a venue lists, in our scales, with dense ids.
//! Never: changes: a change is a new generation, and only the clerk makes one.

use crate::units::{Amount, InstrumentId, LegKind, PairId, Price, Qty, Rate, VenueId};
use arrayvec::ArrayString;

/// A venue's symbol text. Longer ones are left out at load with a reason.
pub type Symbol = ArrayString<24>;
/// An asset's name.
pub type Asset = ArrayString<16>;

/// One coin.
const ONE: i128 = 10i128.pow(18);

/// One tradable market row, as loaded from its venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Dense index in its generation.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: VenueId,
    /// Spot or perpetual.
    pub leg: LegKind,
    /// The venue's own name, upper case, ASCII.
    pub symbol: Symbol,
    /// What is bought or sold, in the venue's words (`1000PEPE`).
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// p: prices count 10^-p of the quote asset; from the tick.
    pub price_decimals: u8,
    /// q: quantities count 10^-q of the size unit; from the lot.
    pub qty_decimals: u8,
    /// Prices are multiples of it.
    pub tick: Price,
    /// Quantities are multiples of it.
    pub lot: Qty,
    /// Smallest order.
    pub qty_min: Qty,
    /// Largest order.
    pub qty_max: Qty,
    /// Smallest price × quantity, in the quote asset.
    pub notional_min: Amount,
    /// Whether reduce-only orders are exempt from `notional_min`.
    pub reduce_only_exempt: bool,
    /// Lowest and highest price the venue takes.
    pub price_range: (Price, Price),
    /// Lowest limit of a sell and highest of a buy, as a fraction of the venue's moving reference price, where
    /// the venue has such a band.
    pub band: Option<[Rate; 2]>,
    /// What a taker pays, as a fraction of the notional.
    pub taker_fee: Rate,
    /// Whether a *buy* pays its fee in the base asset it receives.
    pub buy_fee_in_base: bool,
}

/// One spot leg and one perp leg of the same coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Dense index in its generation.
    pub id: PairId,
    /// Canonical base asset, such as `PEPE` for `PEPEUSDT` with `1000PEPEUSDT`.
    pub name: Asset,
    /// The spot leg.
    pub spot: InstrumentId,
    /// The perp leg.
    pub perp: InstrumentId,
    /// m: perp price unit ÷ spot price unit (the name multiplier). Serves basis, gate and sanity.
    pub price_factor: i64,
    /// k: base coin per perp size unit (multiplier × contract value). Serves lots, exposure, notional.
    pub size_factor: Amount,
}

/// A market that is listed and not traded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Spot or perpetual.
    pub leg: LegKind,
    /// The venue's own name, fit to be shown.
    pub symbol: String,
    /// Why, as the rest of a sentence about it.
    pub reason: String,
}

/// Everything tradable, immutable, one generation after the other. Only the clerk builds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instruments {
    /// Counts up with every change; orders prepared under another are refused.
    pub generation: u32,
    /// Indexed by [`InstrumentId`].
    pub instruments: Vec<Instrument>,
    /// Indexed by [`PairId`].
    pub pairs: Vec<Pair>,
    /// What was left out, and why, for `pairs` and the log.
    pub left_out: Vec<LeftOut>,
}

impl Instruments {
    /// One pair of `base` with USDT, which no venue listed: for whoever needs one to trade (tests, benches, an understudy).
    /// Spot has ticks of 0.01 and lots of 0.00001, the perp 0.1 and 0.001; orders are worth 5 at least; the fees are 10 and
    /// 5 bp.
    #[must_use]
    pub fn one_pair(base: Asset) -> Self {
        let mut symbol = Symbol::from(&base).unwrap_or_default();
        symbol.push_str("USDT");
        let row = |id, leg, price_decimals, qty_decimals, fee| Instrument {
            id: InstrumentId(id),
            venue: VenueId(0),
            leg,
            symbol,
            base,
            quote: Asset::from("USDT").unwrap_or_default(),
            price_decimals,
            qty_decimals,
            tick: Price(1),
            lot: Qty(1),
            qty_min: Qty(1),
            qty_max: Qty(1_000_000_000),
            notional_min: Amount(5 * ONE),
            reduce_only_exempt: leg == LegKind::Perp,
            price_range: (Price(1), Price::MAX),
            band: None,
            taker_fee: Rate(fee),
            buy_fee_in_base: leg == LegKind::Spot,
        };
        let spot = row(0, LegKind::Spot, 2, 5, 1_000_000_000_000_000);
        let perp = row(1, LegKind::Perp, 1, 3, 500_000_000_000_000);
        let pair = Pair {
            id: PairId(0),
            name: base,
            spot: spot.id,
            perp: perp.id,
            price_factor: 1,
            size_factor: Amount(ONE),
        };
        Self { generation: 1, instruments: vec![spot, perp], pairs: vec![pair], left_out: Vec::new() }
    }

    /// The instrument of an id of this generation.
    #[must_use]
    pub fn get(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }

    /// The pair of an id of this generation.
    #[must_use]
    pub fn pair(&self, id: PairId) -> &Pair {
        &self.pairs[usize::from(id.0)]
    }

    /// The instruments of one leg of these pairs, by their ids, each once.
    #[must_use]
    pub fn legs(&self, pairs: &[PairId], leg: LegKind) -> Vec<InstrumentId> {
        let mut ids: Vec<_> = pairs.iter().map(|pair| self.leg(*pair, leg).id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// One leg of a pair.
    #[must_use]
    pub fn leg(&self, pair: PairId, leg: LegKind) -> &Instrument {
        let pair = self.pair(pair);
        self.get(match leg {
            LegKind::Spot => pair.spot,
            LegKind::Perp => pair.perp,
        })
    }
}
