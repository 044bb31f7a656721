//! The books: every fill once, every asset exactly, and where the money came from.
//!
//! Owns:  dedupe by (instrument, trade id) and by transaction, amounts per asset, and the split of profit into basis,
//!        fees, slippage and funding (DESIGN §5).
//! Never: rounds an asset's amount; only the valuation of a fee in another coin is rounded (down). Counts such a
//!        fee as nothing: until a price of the coin is known it is in `unvalued`, by name.
//! Map:   [`Sums`] is what any list of bookings adds up to, whoever reads it; [`Ledger`] is a run's: it knows
//!        which trades are in its sums.
//! Why:   basis is told at decision prices, slippage is what fills cost beyond them.

use crate::event::{Asset, FEE_PRICE_DECIMALS, Fill, Instruments, Payment};
use crate::metal::bugs::{Bug, planted};
use crate::units::decimal::pow10_i128;
use crate::units::{Amount, InstrumentId, LegKind, PairId, Price, Qty, Side};
use std::collections::{BTreeMap, BTreeSet};

/// What was earned and lost, in the quote asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profit {
    /// Closed at decision prices.
    pub basis: Amount,
    /// Paid to the venue, negative.
    pub fees: Amount,
    /// Fills against decision prices; negative when worse.
    pub slippage: Amount,
    /// Funding received less paid, as the venue's income ledger tells it.
    pub funding: Amount,
}

impl Profit {
    /// All of it that is no longer open.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.funding + self.basis + self.fees + self.slippage
    }
}

/// One leg's open quantity and what it cost at decision prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// Signed base quantity, 10^-18: what the pair holds of this leg, net of base-coin fees.
    pub base: i128,
    /// Signed cost at decision prices, 10^-18 of the quote: paid positive.
    pub cost: i128,
}

/// A fill in words that outlive a generation of instruments.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    /// Whose: the pair's canonical name.
    pub pair: Asset,
    /// Spot or perpetual.
    pub leg: LegKind,
    /// What is bought or sold.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// Buy or sell.
    pub side: Side,
    /// At.
    pub price: Price,
    /// The price its order was decided at.
    pub decided: Price,
    /// p of both prices.
    pub price_decimals: u8,
    /// How much.
    pub qty: Qty,
    /// q.
    pub qty_decimals: u8,
    /// Base coin per size unit: k of the pair for the perp, 1 for spot.
    pub size_factor: Amount,
    /// What it cost, positive when paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: Asset,
}

/// What bookings add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many fills.
    pub fills: u64,
    /// Net change per (leg's wallet, asset): spot coins and quote, and the perp wallet but for what is realised.
    pub changes: BTreeMap<(LegKind, Asset), Amount>,
    /// What each leg of a pair has open.
    pub lots: BTreeMap<(Asset, LegKind), Lot>,
    /// What perp fills would have moved if they were paid for: with what is held at its entry prices, it is what
    /// is realised.
    pub perp_cash: BTreeMap<Asset, Amount>,
    /// Where the money came from.
    pub profit: Profit,
    /// Fees in coins that no leg trades (the venue's own) and whose worth is not known yet: in no part of the profit.
    pub unvalued: BTreeMap<Asset, Amount>,
}

impl Sums {
    /// Adds a fill; the base change of the leg: signed, net of a base-coin fee.
    pub fn book(&mut self, trade: &Trade) -> Amount {
        let Trade { pair, leg, price, price_decimals, qty, qty_decimals, .. } = *trade;
        let sign = i128::from(trade.side.sign());
        let signed = i128::from(qty.0) * trade.size_factor.0 / pow10_i128(qty_decimals) * sign;
        let cost = |price: Price| {
            Amount::cost(price, price_decimals, qty, qty_decimals).unwrap_or_default().0 * sign
        };
        self.fills += 1;
        self.trade(pair, leg, signed, cost(trade.decided));
        self.profit.slippage -= Amount(cost(price) - cost(trade.decided));
        if leg == LegKind::Spot {
            self.add(leg, trade.base, Amount(signed));
            self.add(leg, trade.quote, Amount(-cost(price)));
        } else {
            *self.perp_cash.entry(trade.quote).or_default() -= Amount(cost(price));
        }
        self.add(leg, trade.fee_asset, -trade.fee);
        let mut base = Amount(signed);
        if trade.fee_asset == trade.quote {
            self.profit.fees -= trade.fee;
        } else if trade.fee_asset == trade.base && leg == LegKind::Spot {
            // A base-coin fee is coin given away at the fill's price.
            let worth = worth(trade.fee, price, price_decimals);
            self.profit.fees -= worth;
            self.trade(pair, leg, -trade.fee.0, -worth.0);
            base -= if planted(Bug::FeeCoinKept) { Amount::ZERO } else { trade.fee };
        } else if trade.fee != Amount::ZERO {
            *self.unvalued.entry(trade.fee_asset).or_default() += trade.fee;
        }
        base
    }

    /// Values the fees that were taken in a coin until now; `price` in the quote asset, 10^-8.
    pub fn value_fees(&mut self, coin: Asset, price: Price) {
        if let Some(fees) = self.unvalued.remove(&coin) {
            self.profit.fees -= worth(fees, price, FEE_PRICE_DECIMALS);
        }
    }

    /// Adds funding that the perp wallet received or paid. What is not `earned` by a pair in its quote asset
    /// changes the wallet alone.
    pub fn pay(&mut self, payment: &Payment, earned: bool) {
        self.add(LegKind::Perp, payment.asset, payment.amount);
        if earned {
            self.profit.funding += payment.amount;
        }
    }

    /// What a leg of a pair has open.
    #[must_use]
    pub fn lot(&self, pair: Asset, leg: LegKind) -> Lot {
        self.lots.get(&(pair, leg)).copied().unwrap_or_default()
    }

    /// What a leg has open, its coins at the perp's price, against what it cost at decision prices: the
    /// unrealised part. `price_factor` is the pair's m: coins one unit of that price is the price of.
    #[must_use]
    pub fn unrealised(
        &self,
        pair: Asset,
        leg: LegKind,
        price: Price,
        price_decimals: u8,
        price_factor: i64,
    ) -> Amount {
        let lot = self.lot(pair, leg);
        let units = Amount(lot.base / i128::from(price_factor.max(1)));
        worth(units, price, price_decimals) - Amount(lot.cost)
    }

    fn add(&mut self, leg: LegKind, asset: Asset, amount: Amount) {
        *self.changes.entry((leg, asset)).or_default() += amount;
    }

    /// Moves a leg's lot: growing adds cost, shrinking realises the part that leaves.
    fn trade(&mut self, pair: Asset, leg: LegKind, base: i128, cost: i128) {
        let lot = self.lots.entry((pair, leg)).or_default();
        if lot.base == 0 || (lot.base > 0) == (base > 0) {
            lot.base += base;
            lot.cost += cost;
            return;
        }
        // The part of the old lot that leaves, and the part of the trade that opens the other way.
        let closing = base.abs().min(lot.base.abs());
        let old_cost = share(lot.cost, closing, lot.base.abs());
        let new_cost = share(cost, closing, base.abs());
        self.profit.basis -= Amount(old_cost + new_cost);
        lot.base += base;
        lot.cost += cost - new_cost - old_cost;
    }
}

/// All bookings, those of earlier runs among them.
#[derive(Debug, Default)]
pub struct Ledger {
    booked: BTreeSet<(InstrumentId, u64)>,
    /// What is booked of each order, by the venue's id.
    of_order: BTreeMap<(InstrumentId, u64), Qty>,
    /// Payments that are booked.
    paid: BTreeSet<(u64, String)>,
    sums: Sums,
}

impl Ledger {
    /// Goes on where earlier runs ended; which trades are in their sums is told by [`Ledger::remember`].
    #[must_use]
    pub fn after(sums: Sums) -> Self {
        Self { sums, ..Self::default() }
    }

    /// A trade that is in the sums already.
    pub fn remember(&mut self, instrument: InstrumentId, trade_id: u64, order_id: u64, qty: Qty) {
        if self.booked.insert((instrument, trade_id)) {
            self.of_order.entry((instrument, order_id)).or_default().0 += qty.0;
        }
    }

    /// Whether a trade of an instrument is booked already.
    #[must_use]
    pub fn has(&self, instrument: InstrumentId, trade_id: u64) -> bool {
        self.booked.contains(&(instrument, trade_id)) && !planted(Bug::DedupeForgotten)
    }

    /// How much of an order is booked, by the venue's id.
    #[must_use]
    pub fn of_order(&self, instrument: InstrumentId, order_id: u64) -> Qty {
        self.of_order.get(&(instrument, order_id)).copied().unwrap_or(Qty::ZERO)
    }

    /// How many fills are booked.
    #[must_use]
    pub fn fills(&self) -> u64 {
        self.sums.fills
    }

    /// What all of them add up to.
    #[must_use]
    pub const fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Where the money came from.
    #[must_use]
    pub fn profit(&self) -> Profit {
        self.sums.profit
    }

    /// Pairs by name, and their legs that have anything open.
    pub fn held(&self) -> impl Iterator<Item = (Asset, LegKind)> {
        self.sums.lots.iter().filter(|(_, lot)| lot.base != 0).map(|(of, _)| *of)
    }

    /// Net change of an asset in the spot wallet, or in the perp's but for what is realised there.
    #[must_use]
    pub fn change(&self, leg: LegKind, asset: Asset) -> Amount {
        self.sums.changes.get(&(leg, asset)).copied().unwrap_or_default()
    }

    /// What perp fills in a quote asset add up to, sold positive; what is held cost so much less.
    #[must_use]
    pub fn perp_cash(&self, quote: Asset) -> Amount {
        self.sums.perp_cash.get(&quote).copied().unwrap_or_default()
    }

    /// Books a fill of `pair`, decided at `decided`; `false` if it was booked before.
    ///
    /// Returns the base change of the leg through `base`: signed, net of a base-coin fee.
    pub fn book(
        &mut self,
        fill: &Fill,
        pair: PairId,
        decided: Price,
        instruments: &Instruments,
        base: &mut Amount,
    ) -> bool {
        if self.has(fill.instrument, fill.trade_id) {
            return false;
        }
        self.remember(fill.instrument, fill.trade_id, fill.order_id, fill.qty);
        let (row, pair) = (instruments.get(fill.instrument), instruments.pair(pair));
        *base = self.sums.book(&Trade {
            pair: pair.name,
            leg: row.leg,
            base: row.base,
            quote: row.quote,
            side: fill.side,
            price: fill.price,
            decided,
            price_decimals: row.price_decimals,
            qty: fill.qty,
            qty_decimals: row.qty_decimals,
            size_factor: match row.leg {
                LegKind::Spot => Amount(pow10_i128(Amount::SCALE)),
                LegKind::Perp if planted(Bug::MultiplierForgotten) => Amount(pow10_i128(Amount::SCALE)),
                LegKind::Perp => pair.size_factor,
            },
            fee: fill.fee,
            fee_asset: fill.fee_asset,
        });
        true
    }

    /// Books funding that the perp wallet received or paid, as [`Sums::pay`]; `false` if it was booked before.
    pub fn pay(&mut self, payment: &Payment, earned: bool) -> bool {
        let fresh = self.paid.insert((payment.tran_id, payment.symbol.clone()));
        if fresh {
            self.sums.pay(payment, earned);
        }
        fresh
    }

    /// Values the fees that were taken in a coin until now, as [`Sums::value_fees`].
    pub fn value_fees(&mut self, coin: Asset, price: Price) {
        self.sums.value_fees(coin, price);
    }

    /// A payment that is in the sums already.
    pub fn remember_payment(&mut self, tran_id: u64, symbol: String) {
        self.paid.insert((tran_id, symbol));
    }

    /// What a leg's open quantity cost at decision prices, signed: paid positive.
    #[must_use]
    pub fn open_cost(&self, pair: Asset, leg: LegKind) -> Amount {
        Amount(self.sums.lot(pair, leg).cost)
    }
}

/// `value · part / whole` without overflow, rounded toward zero.
fn share(value: i128, part: i128, whole: i128) -> i128 {
    if part == whole {
        return value;
    }
    // Both are counts of 10^-18; a ratio of 10^-12 is far below a cent of any position.
    value / pow10_i128(12) * (part * pow10_i128(12) / whole) + value % pow10_i128(12) * part / whole
}

/// What an amount of coin is worth at a price, rounded toward zero.
#[must_use]
pub fn worth(amount: Amount, price: Price, price_decimals: u8) -> Amount {
    let unit = pow10_i128(price_decimals);
    Amount(amount.0 / unit * i128::from(price.0) + amount.0 % unit * i128::from(price.0) / unit)
}

/// The quantity that a signed base amount of a spot instrument can trade back, floored to its lot.
#[must_use]
pub fn sellable(base: Amount, instrument: &crate::event::Instrument) -> Qty {
    let units = base.0.abs() / pow10_i128(Amount::SCALE - instrument.qty_decimals);
    let units = i64::try_from(units).unwrap_or(Qty::MAX.0);
    Qty(units - units % instrument.lot.0)
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::one_pair;
    use super::*;
    use crate::event::Source;
    use crate::units::{ClientId, Unix};

    fn fill(
        instrument: u16,
        trade_id: u64,
        side: Side,
        price: i64,
        qty: i64,
        fee: &str,
        asset: &str,
    ) -> Fill {
        Fill {
            client: ClientId(5 << 60),
            instrument: InstrumentId(instrument),
            order_id: 1,
            trade_id,
            side,
            price: Price(price),
            qty: Qty(qty),
            fee: Amount::parse(fee.as_bytes()).unwrap(),
            fee_asset: asset.try_into().unwrap(),
            at: Unix(0),
            source: Source::Answer,
        }
    }

    fn amount(text: &str) -> Amount {
        Amount::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_round_trip_is_split_exactly() {
        let instruments = one_pair();
        let mut ledger = Ledger::default();
        let mut base = Amount::ZERO;
        // Buy 0.01 at 60 000.01 decided at 60 000.00, fee in coin; short 0.01 at 60 300.0; then back.
        let steps = [
            (fill(0, 1, Side::Buy, 6_000_001, 1_000, "0.00001", "BTC"), 6_000_000, "0.00999"),
            (fill(1, 1, Side::Sell, 603_000, 10, "0.3015", "USDT"), 603_000, "-0.01"),
            (fill(0, 2, Side::Sell, 6_010_000, 999, "0.600399", "USDT"), 6_010_000, "-0.00999"),
            (fill(1, 2, Side::Buy, 601_500, 10, "0.30075", "USDT"), 601_500, "0.01"),
        ];
        for (fill, decided, moved) in &steps {
            assert!(ledger.book(fill, PairId(0), Price(*decided), &instruments, &mut base));
            assert_eq!(base, amount(moved), "net of a fee in coin");
            assert!(!ledger.book(fill, PairId(0), Price(*decided), &instruments, &mut base), "booked once");
        }
        assert_eq!(ledger.fills(), 4);
        assert_eq!(ledger.change(LegKind::Spot, "BTC".try_into().unwrap()), Amount::ZERO);
        // −600.0001 + 600.3990 − 0.600399
        assert_eq!(ledger.change(LegKind::Spot, "USDT".try_into().unwrap()), amount("-0.201499"));
        assert_eq!(ledger.change(LegKind::Perp, "USDT".try_into().unwrap()), amount("-0.60225"));
        assert_eq!(ledger.perp_cash("USDT".try_into().unwrap()), amount("1.5"));
        assert_eq!(ledger.profit().slippage, amount("-0.0001"));
        // Perp: 603.0 − 601.5 = 1.5. Spot: 600.399 received for coin that cost 599.4, and the fee
        // coin, worth 0.6000001, cost 0.6.
        assert_eq!(ledger.profit().fees, amount("-0.6000001") + amount("-1.202649"));
        let total = ledger.profit().total();
        // Cash: spot −0.201499, perp fees −0.60225, perp trade +1.5.
        assert_eq!(total, amount("-0.201499") + amount("-0.60225") + amount("1.5"));
    }

    #[test]
    fn all_parts_of_a_profit_are_in_its_total() {
        let [basis, fees, slippage, funding] = [7, -20, -300, 4_000].map(Amount);
        assert_eq!(Profit { basis, fees, slippage, funding }.total(), Amount(3_687));
    }

    #[test]
    fn a_part_that_leaves_takes_its_part_of_the_cost() {
        let instruments = one_pair();
        let mut ledger = Ledger::default();
        let mut base = Amount::ZERO;
        // Short 0.010 at 60 000.0; 0.003 bought back 100 lower, then 0.010 at 200 above: 0.003 are long now.
        let steps = [(Side::Sell, 600_000, 10), (Side::Buy, 599_000, 3), (Side::Buy, 602_000, 10)];
        let mut basis = Vec::new();
        for (trade, (side, price, qty)) in (1..).zip(steps) {
            let fill = fill(1, trade, side, price, qty, "0", "USDT");
            assert!(ledger.book(&fill, PairId(0), Price(price), &instruments, &mut base));
            basis.push((ledger.profit().basis, ledger.open_cost("BTC".try_into().unwrap(), LegKind::Perp)));
        }
        // 0.003 · 100 = 0.3; then 0.007 · −200 = −1.4.
        let expected = [("0", "-600"), ("0.3", "-420"), ("-1.1", "180.6")];
        assert_eq!(basis, expected.map(|(basis, cost)| (amount(basis), amount(cost))));
        let Sums { lots, profit, .. } = ledger.sums().clone();
        let again = Ledger::after(ledger.sums().clone());
        assert_eq!((&again.sums().lots, again.profit()), (&lots, profit), "a run goes on where one ended");
        assert_eq!(profit.total(), amount("-1.1"));
        // What grows costs what both parts did; what is closed is held no more.
        let fill = |trade, side, qty| fill(1, trade, side, 601_000, qty, "0", "USDT");
        let mut ledger = again;
        let held =
            |ledger: &Ledger| ledger.held().map(|(pair, leg)| format!("{pair} {leg}")).collect::<Vec<_>>();
        assert!(ledger.book(&fill(4, Side::Buy, 5), PairId(0), Price(601_000), &instruments, &mut base));
        let cost = |ledger: &Ledger| ledger.open_cost("BTC".try_into().unwrap(), LegKind::Perp);
        assert_eq!((cost(&ledger), held(&ledger)), (amount("481.1"), vec!["BTC perp".to_owned()]));
        assert!(ledger.book(&fill(5, Side::Sell, 8), PairId(0), Price(601_000), &instruments, &mut base));
        assert_eq!((cost(&ledger), held(&ledger)), (Amount::ZERO, Vec::new()));
    }

    #[test]
    fn parts_and_worths_are_whole_and_rounded_toward_zero() {
        let coin = pow10_i128(18);
        assert_eq!(share(1_000 * coin, 3, 4), 750 * coin);
        assert_eq!((share(7, 1, 2), share(-7, 1, 2), share(5, 2, 2)), (3, -3, 5));
        // 1.5 coins at 60 000.01; and of the least part of a coin nothing is left.
        assert_eq!(worth(Amount(coin + coin / 2), Price(6_000_001), 2), amount("90000.015"));
        assert_eq!(worth(Amount(150), Price(1), 2), Amount(1));
        let spot = &one_pair().instruments[0];
        assert_eq!(sellable(amount("0.01000999"), spot), Qty(1_000));
        assert_eq!(sellable(-amount("0.01000999"), spot), Qty(1_000), "either way");
    }

    #[test]
    fn a_fee_in_a_third_coin_is_named_until_its_price_is_known() {
        let instruments = one_pair();
        let mut ledger = Ledger::default();
        let mut base = Amount::ZERO;
        let bnb: Asset = "BNB".try_into().unwrap();
        let steps = [
            fill(0, 1, Side::Buy, 6_000_000, 1_000, "0.00075", "BNB"),
            fill(1, 1, Side::Sell, 600_000, 10, "0.00045001", "BNB"),
            fill(1, 2, Side::Buy, 600_000, 10, "0.3", "USDT"),
        ];
        for fill in &steps {
            ledger.book(fill, PairId(0), fill.price, &instruments, &mut base);
        }
        assert_eq!(ledger.change(LegKind::Spot, bnb), amount("-0.00075"));
        assert_eq!(ledger.change(LegKind::Perp, bnb), amount("-0.00045001"));
        assert_eq!(
            (ledger.profit().fees, ledger.sums().unvalued[&bnb]),
            (amount("-0.3"), amount("0.00120001"))
        );
        ledger.value_fees("XYZ".try_into().unwrap(), Price(1));
        // 0.00120001 · 612.34567891 = 0.734820938148…; what is below 10^-18 is dropped, and here nothing is.
        ledger.value_fees(bnb, Price(61_234_567_891));
        assert_eq!(ledger.profit().fees, amount("-0.3") - amount("0.7348209381487891"));
        assert!(ledger.sums().unvalued.is_empty());
        // The next one waits for a price of its own.
        ledger.book(
            &fill(1, 3, Side::Sell, 600_000, 10, "0.1", "BNB"),
            PairId(0),
            Price(600_000),
            &instruments,
            &mut base,
        );
        assert_eq!(ledger.sums().unvalued[&bnb], amount("0.1"));
    }

    #[test]
    fn funding_is_booked_once_and_is_no_fill() {
        let mut ledger = Ledger::default();
        let payment = |tran_id, symbol: &str, text| Payment {
            tran_id,
            symbol: symbol.to_owned(),
            amount: amount(text),
            asset: "USDT".try_into().unwrap(),
            at: Unix(0),
        };
        assert!(ledger.pay(&payment(1, "BTCUSDT", "0.4125"), true));
        assert!(!ledger.pay(&payment(1, "BTCUSDT", "0.4125"), true), "told again");
        ledger.remember_payment(9, "BTCUSDT".to_owned());
        assert!(!ledger.pay(&payment(9, "BTCUSDT", "3"), true), "in the sums already");
        assert!(ledger.pay(&payment(1, "ETHUSDT", "-0.1"), true), "ids are of one symbol");
        assert!(ledger.pay(&payment(2, "XYZUSDT", "7"), false), "of a position that is nobody's");
        assert_eq!(ledger.profit().funding, amount("0.3125"));
        assert_eq!(ledger.change(LegKind::Perp, "USDT".try_into().unwrap()), amount("7.3125"));
        assert_eq!(ledger.fills(), 0);
    }

    #[test]
    fn what_is_open_is_valued_against_its_cost() {
        let instruments = one_pair();
        let mut ledger = Ledger::default();
        let mut base = Amount::ZERO;
        ledger.book(
            &fill(1, 1, Side::Sell, 600_000, 10, "0", "USDT"),
            PairId(0),
            Price(600_000),
            &instruments,
            &mut base,
        );
        assert_eq!(base, amount("-0.01"));
        assert_eq!(
            ledger.sums().unrealised("BTC".try_into().unwrap(), LegKind::Perp, Price(599_000), 1, 1),
            amount("1")
        );
    }
}
