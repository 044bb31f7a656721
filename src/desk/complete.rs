//! The other way to put a pair right: the leg of an entry that is missing, tried once more (R1–R3, R9).
//!
//! Owns:  which leg is missing, how much of it may still be had, and the worst price it may cost.
//! Never: asks for more than was missing or than makes E zero, or for less than the venue takes.
//! Why:   unlike an unwind this is safe only where every order's fate is proven; the shadow sees to that,
//!        and the trader to the freshness of both quotes.

use super::pair::{BASE_UNIT, NANO, in_lots, smallest_trade};
use crate::event::Instruments;
use crate::units::{Amount, Direction, LegKind, PairId, Price, Qty};

/// Repair cost limit: how much worse than the price it was decided at a leg may be completed, in parts
/// per million of its notional (10 bp).
pub const COST_MAX_PPM: i64 = 1_000;

/// The leg that an entry lacks: the one whose opening side brings E nearer to zero. `None`: nothing lacks.
#[must_use]
pub fn missing_leg(exposure: Amount, direction: Direction) -> Option<LegKind> {
    let cures = |leg: &LegKind| i128::from(direction.opening(*leg).sign()) == -exposure.0.signum();
    LegKind::BOTH.into_iter().find(cures)
}

/// How much of the missing leg to try: what the entry did not get of it, floored to the lot and to what
/// makes E zero once a base-coin fee is paid. `None` if the venue takes nothing so small.
#[must_use]
pub fn completion(
    instruments: &Instruments,
    pair: PairId,
    leg: LegKind,
    exposure: Amount,
    missing: Qty,
    decided: Price,
) -> Option<Qty> {
    let row = instruments.leg(pair, leg);
    let excess = exposure.0.abs();
    let to_zero = match leg {
        // Of what is bought the fee is not received: the purchase may be larger by it. In 10^-9 coins,
        // as in `clip`.
        LegKind::Spot if exposure.0 < 0 && row.buy_fee_in_base => {
            let rest = (BASE_UNIT - i128::from(row.taker_fee.0)).max(1);
            let bought = (excess / NANO).checked_mul(BASE_UNIT)? / rest;
            in_lots(bought.checked_mul(NANO)?, row, Amount(BASE_UNIT))
        }
        LegKind::Spot => in_lots(excess, row, Amount(BASE_UNIT)),
        LegKind::Perp => in_lots(excess, row, instruments.pair(pair).size_factor),
    };
    let qty = to_zero.min(missing.0 - missing.0 % row.lot.0);
    (qty > 0 && qty >= smallest_trade(row, decided)?).then_some(Qty(qty))
}

/// The worst price that stays within [`COST_MAX_PPM`] of the price decided at.
#[must_use]
pub fn worst(decided: Price, direction: Direction, leg: LegKind) -> Price {
    let room = i128::from(decided.0) * i128::from(COST_MAX_PPM) / 1_000_000;
    let room = i64::try_from(room).unwrap_or(0);
    Price(decided.0 + direction.opening(leg).sign() * room)
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::one_pair;
    use super::super::pair::base_of;
    use super::*;
    use crate::units::Side;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        Amount(crate::units::decimal::parse_signed(text.as_bytes(), Amount::SCALE).unwrap())
    }

    #[track_caller]
    fn check(exposure: &str, direction: Direction, missing: i64, expected: Option<(LegKind, i64)>) {
        let instruments = one_pair();
        let exposure = amount(exposure);
        let leg = missing_leg(exposure, direction).unwrap();
        let price = Price([6_000_000, 600_000][leg as usize]);
        let qty = completion(&instruments, PairId(0), leg, exposure, Qty(missing), price);
        assert_eq!(qty.map(|qty| (leg, qty.0)), expected);
    }

    #[test]
    fn the_worst_price_is_dearer_to_buy_and_cheaper_to_sell() {
        for (direction, leg, at) in [
            (Direction::Short, LegKind::Spot, 6_006_000),
            (Direction::Short, LegKind::Perp, 5_994_000),
            (Direction::Long, LegKind::Spot, 5_994_000),
            (Direction::Long, LegKind::Perp, 6_006_000),
        ] {
            assert_eq!(worst(Price(6_000_000), direction, leg), Price(at), "{direction} {leg:?}: 0.1 %");
        }
    }

    #[test]
    fn the_leg_that_is_missing_is_tried_up_to_what_makes_exposure_zero() {
        // R1: 0.010 short; 0.010 / 0.999 buys it back after the fee.
        check("-0.010", Direction::Short, 1_002, Some((LegKind::Spot, 1_001)));
        check("-0.010", Direction::Short, 400, Some((LegKind::Spot, 400)));
        // R2: what is above a lot stays above.
        check("0.01000999", Direction::Short, 10, Some((LegKind::Perp, 10)));
        check("0.0109", Direction::Short, 12, Some((LegKind::Perp, 10)));
        // Long: spot was sold, the perp bought.
        check("-0.010", Direction::Long, 10, Some((LegKind::Perp, 10)));
        check("0.010", Direction::Long, 1_000, Some((LegKind::Spot, 1_000)));
        // Nothing that the venue would refuse: 0.00005 BTC are 3 USDT, below its 5.
        check("-0.00005", Direction::Short, 1_000, None);
        check("0.0009", Direction::Short, 10, None);
        check("0.010", Direction::Short, 0, None);
        assert_eq!(missing_leg(Amount::ZERO, Direction::Short), None);
    }

    proptest! {
        /// Whatever is missing: never more than that, never past zero, and E shrinks.
        #[test]
        fn a_completion_shrinks_exposure_and_never_flips_it(
            nano in 1i64..50_000_000_000, up in any::<bool>(), short in any::<bool>(),
            missing in 0i64..10_000_000, fee_ppm in 0i64..5_000, in_base in any::<bool>(), lot in 1i64..50,
        ) {
            let mut instruments = one_pair();
            instruments.instruments.iter_mut().for_each(|row| row.lot = Qty(lot));
            instruments.instruments[0].taker_fee.0 = fee_ppm * 1_000_000_000_000;
            instruments.instruments[0].buy_fee_in_base = in_base;
            let exposure = Amount(i128::from(if up { nano } else { -nano }) * NANO);
            let direction = if short { Direction::Short } else { Direction::Long };
            let leg = missing_leg(exposure, direction).unwrap();
            let side = direction.opening(leg);
            let price = Price([6_000_000, 600_000][leg as usize]);
            let Some(qty) = completion(&instruments, PairId(0), leg, exposure, Qty(missing), price) else {
                return Ok(());
            };
            let row = instruments.leg(PairId(0), leg);
            prop_assert!(qty.0 <= missing && qty.0 % row.lot.0 == 0 && qty.0 >= row.qty_min.0);
            let factor = if leg == LegKind::Spot { Amount(BASE_UNIT) } else { instruments.pairs[0].size_factor };
            let mut got = base_of(qty, row, factor).0;
            if leg == LegKind::Spot && side == Side::Buy && in_base {
                got -= got / 1_000_000 * i128::from(fee_ppm);
            }
            let after = exposure.0 + got * i128::from(side.sign());
            prop_assert!(after.abs() < exposure.0.abs());
            prop_assert!(after == 0 || (after > 0) == (exposure.0 > 0), "{} to {after}", exposure.0);
        }
    }
}
