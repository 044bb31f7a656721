//! The one account: spot coins, the USD-M wallet, positions, margin, funding.
//!
//! Owns:  every balance change, to the last digit.
//! Never: decides what fills. Fees are cut to 8 decimals, as the venue charges them; realised profit keeps all its
//!        digits, so that a flat position leaves exactly its cash flow behind.

use super::listing::{Listing, SymbolId};
use super::market::Level;
use super::matching::Side;
use super::number::{E8, Money, ONE_E8, mul_div};

/// Spot fee, maker and taker: 0.1 %.
pub(super) const SPOT_FEE: E8 = ONE_E8 / 1_000;
/// Spot fee in BNB: a quarter less.
pub(super) const SPOT_FEE_BNB: E8 = SPOT_FEE / 4 * 3;
/// USD-M maker fee: 0.02 %.
pub(super) const USDM_MAKER_FEE: E8 = ONE_E8 / 5_000;
/// USD-M taker fee: 0.05 %.
pub(super) const USDM_TAKER_FEE: E8 = ONE_E8 / 2_000;
/// Maintenance margin rate: 2.5 %, one bracket for all.
pub(super) const MAINTENANCE: E8 = ONE_E8 / 40;

/// A coin in the spot wallet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    pub(super) free: Money,
    pub(super) locked: Money,
}

/// A one-way cross position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// Units of the perp, negative when short.
    pub(super) qty: E8,
    /// Signed quantity × entry price.
    pub(super) cost: Money,
    pub(super) leverage: u32,
    pub(super) update_ms: u64,
    /// Sum of the profit realised so far, fees not counted.
    pub(super) realized: Money,
}

impl Position {
    /// Mean entry price; zero when flat.
    pub(super) fn entry(&self) -> Money {
        if self.qty == 0 { Money::ZERO } else { Money(mul_div(self.cost.0, ONE_E8, self.qty)) }
    }

    /// Signed notional at `mark`.
    pub(super) fn notional(&self, mark: E8) -> Money {
        Money::product(mark, self.qty)
    }

    /// Profit not yet realised at `mark`.
    pub(super) fn unrealized(&self, mark: E8) -> Money {
        self.notional(mark) - self.cost
    }

    /// Margin the position ties up at `mark`.
    pub(super) fn margin(&self, mark: E8) -> Money {
        Money(self.notional(mark).0.abs() / i128::from(self.leverage.max(1)))
    }

    /// Books a trade and returns the profit it realised.
    fn trade(&mut self, side: Side, price: E8, qty: E8) -> Money {
        let signed = side.sign() * qty;
        let closing = if self.qty.signum() == -signed.signum() { qty.min(self.qty.abs()) } else { 0 };
        let mut realized = Money::ZERO;
        if closing > 0 {
            let sign = self.qty.signum();
            let cost_part = Money(mul_div(self.cost.0, closing, self.qty.abs()));
            realized = Money::product(price, sign * closing) - cost_part;
            self.cost -= cost_part;
            self.qty -= sign * closing;
        }
        let opening = side.sign() * (qty - closing);
        self.cost += Money::product(price, opening);
        self.qty += opening;
        realized
    }
}

/// Everything the account holds.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    /// By asset of the listing.
    pub(super) spot: Vec<Balance>,
    /// USD-M wallet, USDT.
    pub(super) wallet: Money,
    /// By symbol; spot symbols keep an empty row.
    pub(super) positions: Vec<Position>,
    pub(super) opening_spot: Money,
    pub(super) opening_usdm: Money,
    /// Coins that were there from the start: asset and how much.
    pub(super) opening_coins: Vec<(usize, Money)>,
    /// What they were worth then, in USDT.
    pub(super) opening_worth: Money,
    /// Coins that came without a trade since: when (box clock, µs), asset and how much.
    pub(super) credits: Vec<(u64, usize, Money)>,
    /// Box clock of the last change, ms.
    pub(super) spot_update_ms: u64,
    /// Box clock at which the opening balances were paid in, ms.
    pub(super) opened_ms: u64,
    /// Sum of all funding received less paid.
    pub(super) funding: Money,
}

/// What a fill cost.
pub(super) struct Charge {
    pub(super) commission: Money,
    pub(super) asset: usize,
    pub(super) realized: Money,
}

impl Accounts {
    pub(super) fn new(listing: &Listing, spot: Money, usdm: Money, opened_ms: u64) -> Self {
        let empty = Position { qty: 0, cost: Money::ZERO, leverage: 1, update_ms: 0, realized: Money::ZERO };
        let mut accounts = Self {
            spot: vec![Balance::default(); listing.assets.len()],
            wallet: usdm,
            positions: vec![empty; listing.symbols.len()],
            opening_spot: spot,
            opening_usdm: usdm,
            opening_coins: Vec::new(),
            opening_worth: Money::ZERO,
            credits: Vec::new(),
            spot_update_ms: opened_ms,
            opened_ms,
            funding: Money::ZERO,
        };
        accounts.spot[0].free = spot;
        accounts
    }

    /// The same, with every perp at this leverage.
    pub(super) fn leveraged(mut self, leverage: u32) -> Self {
        self.positions.iter_mut().for_each(|position| position.leverage = leverage);
        self
    }

    /// Coins that are there from the start.
    pub(super) fn grant(&mut self, coins: &[(usize, Money)]) {
        for (asset, amount) in coins {
            self.spot[*asset].free += *amount;
            self.opening_coins.push((*asset, *amount));
        }
    }

    /// Coins come without a trade.
    pub(super) fn credit(&mut self, at_us: u64, asset: usize, amount: Money) {
        self.spot[asset].free += amount;
        self.spot_update_ms = self.spot_update_ms.max(at_us / 1_000);
        self.credits.push((at_us, asset, amount));
    }

    /// Box clock of the last change of the USD-M wallet, ms. Zero would say that it was never used.
    pub(super) fn wallet_update_ms(&self) -> u64 {
        self.positions.iter().map(|p| p.update_ms).fold(self.opened_ms, u64::max)
    }

    /// Locks what a resting spot order may spend.
    pub(super) fn lock(&mut self, asset: usize, amount: Money) {
        self.spot[asset].free -= amount;
        self.spot[asset].locked += amount;
    }

    /// Frees what a spot order no longer needs.
    pub(super) fn unlock(&mut self, asset: usize, amount: Money) {
        self.lock(asset, -amount);
    }

    /// Books a spot fill. `resting`: the order's limit price when its funds were locked beforehand. `fee`: asset and
    /// amount, where they are not the usual ones.
    pub(super) fn spot_fill(
        &mut self,
        listing: &Listing,
        symbol: SymbolId,
        side: Side,
        met: Level,
        resting: Option<E8>,
        fee: Option<(usize, Money)>,
    ) -> Charge {
        let Level { price, qty } = met;
        let (base, quote) = (listing.symbols[symbol].base, listing.symbols[symbol].quote);
        let (coins, cash) = (Money::from_e8(qty), Money::product(price, qty));
        if let Some(limit) = resting {
            match side {
                Side::Buy => self.unlock(quote, Money::product(limit, qty)),
                Side::Sell => self.unlock(base, coins),
            }
        }
        // A buyer pays in the coin received, a seller in the quote.
        let (asset, commission) = fee.unwrap_or_else(|| match side {
            Side::Buy => (base, coins.times(SPOT_FEE).cut8()),
            Side::Sell => (quote, cash.times(SPOT_FEE).cut8()),
        });
        let sign = i128::from(side.sign());
        self.spot[base].free += Money(coins.0 * sign);
        self.spot[quote].free -= Money(cash.0 * sign);
        self.spot[asset].free -= commission;
        Charge { commission, asset, realized: Money::ZERO }
    }

    /// Books a perp fill.
    pub(super) fn perp_fill(
        &mut self,
        symbol: SymbolId,
        side: Side,
        price: E8,
        qty: E8,
        maker: bool,
    ) -> Charge {
        let rate = if maker { USDM_MAKER_FEE } else { USDM_TAKER_FEE };
        let commission = Money::product(price, qty).times(rate).cut8();
        let realized = self.positions[symbol].trade(side, price, qty);
        self.positions[symbol].realized += realized;
        self.wallet += realized - commission;
        Charge { commission, asset: 0, realized }
    }

    /// Pays funding on an open position and returns what was received: longs pay a positive rate, shorts receive it.
    pub(super) fn settle_funding(&mut self, symbol: SymbolId, mark: E8, rate: E8) -> Money {
        let payment = self.positions[symbol].notional(mark).times(rate).cut8();
        self.wallet -= payment;
        self.funding -= payment;
        -payment
    }

    /// Unrealised profit of all positions at these marks.
    pub(super) fn unrealized(&self, mark: impl Fn(SymbolId) -> E8) -> Money {
        self.held().map(|(id, p)| p.unrealized(mark(id))).sum()
    }

    /// Margin tied up by all positions at these marks.
    pub(super) fn margin(&self, mark: impl Fn(SymbolId) -> E8) -> Money {
        self.held().map(|(id, p)| p.margin(mark(id))).sum()
    }

    /// Positions that are not flat.
    pub(super) fn held(&self) -> impl Iterator<Item = (SymbolId, &Position)> {
        self.positions.iter().enumerate().filter(|(_, p)| p.qty != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Market;
    use super::*;

    fn at(price: i64) -> E8 {
        price * ONE_E8
    }

    #[test]
    fn a_spot_buy_pays_its_fee_in_the_coin_and_a_sell_in_usdt() {
        let listing = Listing::synthetic(crate::sim::Venue::Binance);
        let btc = listing.find(Market::Spot, "BTCUSDT").unwrap();
        let base = listing.symbols[btc].base;
        let mut accounts = Accounts::new(&listing, Money::from_e8(at(1_000_000)), Money::ZERO, 0);
        let charge = accounts.spot_fill(
            &listing,
            btc,
            Side::Buy,
            Level { price: 7_690_001_000_000, qty: 1_234_000 },
            None,
            None,
        );
        assert_eq!((charge.commission.to_string(), charge.asset), ("0.00001234".into(), base));
        assert_eq!(accounts.spot[base].free.to_string(), "0.01232766");
        assert_eq!(accounts.spot[0].free.to_string(), "999051.0538766");
        let charge = accounts.spot_fill(
            &listing,
            btc,
            Side::Sell,
            Level { price: 7_690_000_000_000, qty: 1_232_000 },
            None,
            None,
        );
        assert_eq!((charge.commission.to_string(), charge.asset), ("0.947408".into(), 0));
        assert_eq!(accounts.spot[0].free.to_string(), "999997.5144686");
    }

    #[test]
    fn a_flat_position_leaves_exactly_its_cash_flow() {
        let listing = Listing::synthetic(crate::sim::Venue::Binance);
        let btc = listing.find(Market::Usdm, "BTCUSDT").unwrap();
        let mut accounts = Accounts::new(&listing, Money::ZERO, Money::ZERO, 0);
        let trades = [
            (Side::Sell, 7_690_010_000_000, 100_000),
            (Side::Sell, 7_700_000_000_000, 200_000),
            (Side::Buy, 7_680_000_000_000, 100_000),
            (Side::Buy, 7_650_030_000_000, 400_000),
            (Side::Sell, 7_660_000_000_000, 200_000),
        ];
        let mut cash = Money::ZERO;
        for (side, price, qty) in trades {
            let charge = accounts.perp_fill(btc, side, price, qty, false);
            cash += Money::product(price, -side.sign() * qty) - charge.commission;
        }
        assert_eq!(accounts.positions[btc].qty, 0);
        assert_eq!(accounts.positions[btc].cost, Money::ZERO);
        // Partial closings cut at 10⁻¹⁸; nothing larger may be lost.
        assert!((accounts.wallet - cash).abs() <= Money(4), "{} against {cash}", accounts.wallet);
    }

    #[test]
    fn a_short_receives_a_positive_rate_and_a_long_pays_it() {
        let listing = Listing::synthetic(crate::sim::Venue::Binance);
        let btc = listing.find(Market::Usdm, "BTCUSDT").unwrap();
        let mut accounts = Accounts::new(&listing, Money::ZERO, Money::ZERO, 0);
        accounts.perp_fill(btc, Side::Sell, at(76_900), 100_000_000, true);
        let before = accounts.wallet;
        assert_eq!(accounts.settle_funding(btc, at(77_000), 10_000).to_string(), "7.7");
        assert_eq!((accounts.wallet - before).to_string(), "7.7");
        assert_eq!(accounts.funding.to_string(), "7.7");
    }
}
