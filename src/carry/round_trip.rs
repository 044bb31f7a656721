//! The money of one round trip, to the last digit: what both legs were decided and filled at, what funding
//! brought in between, and how the profit splits.
//!
//! Owns:  [`Terms`], how a decision price becomes a fill; [`RoundTrip`], a position from entry to exit.
//! Never: decides when to enter or leave, or rounds in our favour.
//! Rule:  prices and quantities count 10^-8. A fill is worse than the decision price by the slippage and is
//!        rounded up when buying, down when selling, to 10^-8; fees are rounded up and funding down to 10^-18.

use crate::units::{Amount, Direction, LegKind, Price, Qty, Rate, Side, Unix};

/// Decimals of every price and quantity here: histories tell neither ticks nor lots.
pub const DECIMALS: u8 = 8;

/// The largest notional of one leg, 10^12 of the quote asset: a million settlements of it at any rate we can
/// read still add up inside an [`Amount`].
const NOTIONAL_MAX: Amount = Amount(1_000_000_000_000 * ONE);

/// A rate of 1.
const ONE: i128 = 1_000_000_000_000_000_000;

/// What a fill costs beyond the price it was decided at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What a taker pays on spot and on the perp, as fractions of the notional.
    pub fees: [Rate; 2],
    /// How much worse than the decision price every fill is: half a spread and the collar.
    pub slippage: Rate,
}

/// One leg's trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The price it was decided at.
    pub decided: Price,
    /// The price it was filled at.
    pub filled: Price,
    /// What it cost, in the quote asset.
    pub fee: Amount,
}

/// Both legs' trades of one moment, spot first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deal {
    /// When.
    pub at: Unix,
    /// The trades, indexed by [`LegKind`].
    pub legs: [Fill; 2],
}

/// Where the profit of a round trip came from, in the quote asset (DESIGN §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Settled while it was held.
    pub funding: Amount,
    /// Both legs from entry to exit, at decision prices; 0 while it is open.
    pub basis: Amount,
    /// Paid to the venue, negative.
    pub fees: Amount,
    /// Fills against decision prices, negative.
    pub slippage: Amount,
    /// Both legs from entry to now, at the latest prices; 0 once it is closed.
    pub revaluation: Amount,
}

impl Split {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.funding + self.basis + self.fees + self.slippage + self.revaluation
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            funding: self.funding + other.funding,
            basis: self.basis + other.basis,
            fees: self.fees + other.fees,
            slippage: self.slippage + other.slippage,
            revaluation: self.revaluation + other.revaluation,
        }
    }
}

/// A number of it passes what we can hold exactly; no market has such a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// A position, open or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Which side the perp is on.
    pub direction: Direction,
    /// Base coin of each leg.
    pub qty: Qty,
    /// How it was opened.
    pub entry: Deal,
    /// How it was closed.
    pub exit: Option<Deal>,
    /// Settlements it was held through.
    pub settlements: u32,
    /// Settled so far.
    funding: Amount,
}

impl RoundTrip {
    /// Opens a position worth `clip` at the spot price, the quantity rounded down; `None` if the clip does not
    /// buy 10^-8 of the coin.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn open(
        direction: Direction,
        at: Unix,
        prices: [Price; 2],
        clip: Amount,
        terms: &Terms,
    ) -> Result<Option<Self>, TooLarge> {
        // clip · 10^-18 ÷ (price · 10^-8), in 10^-8: the scales leave 10^-2.
        let qty = clip.0 / 100 / i128::from(prices[LegKind::Spot as usize].0.max(1));
        let qty = i64::try_from(qty).ok().filter(|qty| *qty <= Qty::MAX.0).map(Qty).ok_or(TooLarge)?;
        if qty == Qty::ZERO {
            return Ok(None);
        }
        let entry = deal(at, prices, qty, |leg| direction.opening(leg), terms)?;
        Ok(Some(Self { direction, qty, entry, exit: None, settlements: 0, funding: Amount::ZERO }))
    }

    /// Books a settlement at this mark.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn settle(&mut self, rate: Rate, mark: Price) -> Result<(), TooLarge> {
        let notional = cost(mark, self.qty)?;
        // A short receives a positive rate.
        let received = -self.direction.opening(LegKind::Perp).sign();
        self.funding += share_floor(Amount(notional.0 * i128::from(received)), rate);
        self.settlements += 1;
        Ok(())
    }

    /// Closes it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn close(&mut self, at: Unix, prices: [Price; 2], terms: &Terms) -> Result<(), TooLarge> {
        let direction = self.direction;
        self.exit = Some(deal(at, prices, self.qty, |leg| direction.opening(leg).other(), terms)?);
        Ok(())
    }

    /// Where its profit came from; what is open is valued at `latest`, spot first.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn split(&self, latest: [Price; 2]) -> Result<Split, TooLarge> {
        let mut split = Split { funding: self.funding, ..Split::default() };
        for leg in LegKind::BOTH {
            let entry = &self.entry.legs[leg as usize];
            let exit = self.exit.as_ref().map(|exit| &exit.legs[leg as usize]);
            let now = exit.map_or(latest[leg as usize], |exit| exit.decided);
            let gain = cost(now, self.qty)? - cost(entry.decided, self.qty)?;
            let gain = Amount(gain.0 * i128::from(self.direction.opening(leg).sign()));
            match exit {
                Some(_) => split.basis += gain,
                None => split.revaluation += gain,
            }
            for fill in [Some(entry), exit].into_iter().flatten() {
                split.fees -= fill.fee;
                let lost = Price((fill.filled.0 - fill.decided.0).abs());
                split.slippage -= cost(lost, self.qty)?;
            }
        }
        Ok(split)
    }
}

fn deal(
    at: Unix,
    prices: [Price; 2],
    qty: Qty,
    side: impl Fn(LegKind) -> Side,
    terms: &Terms,
) -> Result<Deal, TooLarge> {
    let fill = |leg: LegKind| {
        let decided = prices[leg as usize];
        let filled = worse(decided, side(leg), terms.slippage)?;
        // Rounded up, that is against us, a rebate too.
        let fee = -share_floor(-cost(filled, qty)?, terms.fees[leg as usize]);
        Ok(Fill { decided, filled, fee })
    };
    Ok(Deal { at, legs: [fill(LegKind::Spot)?, fill(LegKind::Perp)?] })
}

/// A price made worse by the slippage, rounded against us.
fn worse(price: Price, side: Side, slippage: Rate) -> Result<Price, TooLarge> {
    let exact = i128::from(price.0) * (ONE + i128::from(side.sign()) * i128::from(slippage.0));
    let rounded = match side {
        Side::Buy => -(-exact).div_euclid(ONE),
        Side::Sell => exact.div_euclid(ONE),
    };
    i64::try_from(rounded).ok().map(Price).filter(|price| *price <= Price::MAX).ok_or(TooLarge)
}

fn cost(price: Price, qty: Qty) -> Result<Amount, TooLarge> {
    Amount::cost(price, DECIMALS, qty, DECIMALS).filter(|cost| *cost <= NOTIONAL_MAX).ok_or(TooLarge)
}

/// This share of an amount, rounded towards minus infinity.
fn share_floor(amount: Amount, rate: Rate) -> Amount {
    // Taken apart, no product passes an i128: whole units times a rate, and less than one unit times a rate.
    let (units, rest) = (amount.0.div_euclid(ONE), amount.0.rem_euclid(ONE));
    Amount(units * i128::from(rate.0) + (rest * i128::from(rate.0)).div_euclid(ONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text.as_bytes()).unwrap()
    }

    fn prices(spot: &str, perp: &str) -> [Price; 2] {
        [spot, perp].map(|text| Price::parse(text.as_bytes(), DECIMALS).unwrap())
    }

    fn terms() -> Terms {
        let rate = |text: &[u8]| Rate::parse(text).unwrap();
        Terms { fees: [rate(b"0.001"), rate(b"0.0005")], slippage: rate(b"0.0002") }
    }

    fn opened(direction: Direction) -> RoundTrip {
        RoundTrip::open(direction, Unix(0), prices("100", "101"), amount("500"), &terms()).unwrap().unwrap()
    }

    #[test]
    fn a_short_round_trip_by_hand() {
        let mut trip = opened(Direction::Short);
        assert_eq!(trip.qty, Qty(500_000_000));
        let [spot, perp] = trip.entry.legs;
        // 100 · 1.0002 bought, 101 · 0.9998 sold.
        assert_eq!([spot.filled, perp.filled], prices("100.02", "100.9798"));
        assert_eq!((spot.fee, perp.fee), (amount("0.5001"), amount("0.2524495")));
        trip.settle(Rate::parse(b"0.0001").unwrap(), prices("0", "102")[1]).unwrap();
        trip.settle(Rate::parse(b"-0.00005").unwrap(), prices("0", "100")[1]).unwrap();
        let open = trip.split(prices("90", "90.5")).unwrap();
        // 0.051 − 0.025; legs −50 + 52.5; slippage 0.1 + 0.101.
        assert_eq!((open.funding, open.revaluation), (amount("0.026"), amount("2.5")));
        assert_eq!((open.basis, open.slippage), (Amount::ZERO, amount("-0.201")));
        trip.close(Unix(1), prices("110", "110.5"), &terms()).unwrap();
        let split = trip.split(prices("1", "1")).unwrap();
        // +50 − 47.5; 110 · 0.9998 sold, 110.5 · 1.0002 bought.
        assert_eq!((split.basis, split.revaluation), (amount("2.5"), Amount::ZERO));
        assert_eq!(split.slippage, amount("-0.201") + amount("-0.11") + amount("-0.1105"));
        let exit = trip.exit.unwrap().legs;
        assert_eq!([exit[0].filled, exit[1].filled], prices("109.978", "110.5221"));
        assert_eq!(split.fees, -(amount("0.5001") + amount("0.2524495") + exit[0].fee + exit[1].fee));
        // What the cash says: every coin bought and sold at its fill.
        let cash = |price: Price| Amount::cost(price, DECIMALS, trip.qty, DECIMALS).unwrap();
        let traded = cash(exit[0].filled) - cash(spot.filled) + cash(perp.filled) - cash(exit[1].filled);
        assert_eq!(split.total(), traded + split.fees + split.funding);
    }

    #[test]
    fn a_long_position_takes_the_other_sides_and_pays_positive_funding() {
        let mut trip = opened(Direction::Long);
        assert_eq!([trip.entry.legs[0].filled, trip.entry.legs[1].filled], prices("99.98", "101.0202"));
        trip.settle(Rate::parse(b"0.0001").unwrap(), prices("0", "102")[1]).unwrap();
        let split = trip.split(prices("99", "101")).unwrap();
        assert_eq!((split.funding, split.revaluation), (amount("-0.051"), amount("5")));
    }

    #[test]
    fn nothing_is_rounded_in_our_favour() {
        let tiny = Rate(1);
        assert_eq!(share_floor(Amount(1), tiny), Amount::ZERO);
        assert_eq!(share_floor(Amount(-1), tiny), Amount(-1));
        assert_eq!(share_floor(Amount(1), Rate(-1)), Amount(-1));
        assert_eq!(worse(Price(1), Side::Buy, tiny), Ok(Price(2)));
        assert_eq!(worse(Price(1), Side::Sell, tiny), Ok(Price(0)));
        assert_eq!(worse(Price(7), Side::Buy, Rate::ZERO), Ok(Price(7)));
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        let open = |spot: &str, clip: &str| {
            RoundTrip::open(Direction::Short, Unix(0), prices(spot, "1"), amount(clip), &terms())
        };
        assert_eq!(open("0.00000001", "100000000000"), Err(TooLarge));
        assert_eq!(open("1000", "0.000000001"), Ok(None), "less than the smallest quantity");
    }

    proptest! {
        /// The split is the cash: fills and fees and funding, nothing beside them.
        #[test]
        fn the_split_adds_up_to_the_cash(
            spot in 1i64..1 << 45, perp in 1i64..1 << 45, spot_out in 1i64..1 << 45, perp_out in 1i64..1 << 45,
            clip in 1i64..1 << 50, slippage in 0i64..10_000_000_000_000_000, long in any::<bool>(),
            rates in prop::collection::vec(-3_000_000_000_000_000i64..3_000_000_000_000_000, 0..5),
        ) {
            let direction = if long { Direction::Long } else { Direction::Short };
            let terms = Terms { slippage: Rate(slippage), ..terms() };
            let entry = [Price(spot), Price(perp)];
            let clip = Amount(i128::from(clip) * 1_000_000_000);
            let Ok(Some(mut trip)) = RoundTrip::open(direction, Unix(0), entry, clip, &terms) else { return Ok(()) };
            for &rate in &rates {
                prop_assume!(trip.settle(Rate(rate), Price(perp)).is_ok());
            }
            let out = [Price(spot_out), Price(perp_out)];
            let open = trip.split(out);
            prop_assume!(open.is_ok() && trip.close(Unix(1), out, &terms).is_ok());
            let split = trip.split(entry).unwrap();
            prop_assert_eq!(open.unwrap().revaluation, split.basis);
            let mut cash = split.funding;
            for leg in LegKind::BOTH {
                let sign = i128::from(direction.opening(leg).sign());
                for (deal, sign) in [(trip.entry, -sign), (trip.exit.unwrap(), sign)] {
                    let fill = deal.legs[leg as usize];
                    cash += Amount(cost(fill.filled, trip.qty).unwrap().0 * sign);
                    cash += -fill.fee;
                }
            }
            prop_assert_eq!(split.total(), cash);
        }
    }
}
