//! What a pair holds, and what must be done about it: exposure, and R1–R5 by unwinding.
//!
//! Owns:  the signed quantities attributed to a pair, net exposure E, and the one repair order that
//!        comes next (FAULTS part 6).
//! Never: completes a leg (`complete` sizes that, under more evidence), flips a sign, or acts on a
//!        quantity that is not proven.
//! Why:   an unwind is safe whatever an unknown order turns out to be; it only makes the larger leg
//!        smaller. An exit that closed one leg alone is the same picture, so it has the same cure.

use crate::event::{Instrument, Instruments, Quote};
use crate::metal::bugs::{Bug, planted};
use crate::units::decimal::pow10_i128;
use crate::units::{Amount, Direction, LegKind, PairId, Price, Qty, Rate, Side};

/// What is attributed to a pair, in base coin: long positive, short negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Spot, net of base-coin fees.
    pub spot: Amount,
    /// Perp, as base coin.
    pub perp: Amount,
}

/// What a pair whose orders have all ended needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Within bound: nothing. `hedged` tells whether a perp position is held.
    Settled {
        /// Whether a perp position is held.
        hedged: bool,
    },
    /// One order that makes the larger leg smaller.
    Unwind {
        /// Which leg.
        leg: LegKind,
        /// The side that shrinks it.
        side: Side,
        /// How much.
        qty: Qty,
    },
    /// Out of bound by less than any leg can trade (R12).
    Dust,
    /// Out of bound in spot, and nobody bids for it now: what is dust can't be told.
    Unpriced,
}

impl Holding {
    /// Net base exposure E.
    #[must_use]
    pub fn exposure(self) -> Amount {
        self.spot + self.perp
    }

    /// What comes next, by R1–R5 and R12. `spot_quote` values the spot leg against its minimum
    /// notional; an empty bid is no price.
    #[must_use]
    pub fn next(self, instruments: &Instruments, pair: PairId, spot_quote: Option<&Quote>) -> Next {
        let row = instruments.pair(pair);
        let (spot, perp) = (instruments.get(row.spot), instruments.get(row.perp));
        let exposure = self.exposure();
        let excess = exposure.0.abs();
        let lot = base_of(perp.lot, perp, row.size_factor).0;
        if excess <= bound(spot, perp, row.size_factor) {
            // A last lot of perp beside spot dust is no hedge, though it is within bound: an exit would find
            // no spot to sell, and the pair would be held for ever (R18).
            let held = Qty(in_lots(self.perp.0.abs(), perp, row.size_factor));
            if held > Qty::ZERO && self.spot.0.abs() < lot / 2 {
                return Next::Unwind { leg: LegKind::Perp, side: shrinking(self.perp), qty: held };
            }
            return Next::Settled { hedged: self.perp != Amount::ZERO };
        }
        // E carries the sign of the leg that is too big.
        let spot_is_larger = self.spot != Amount::ZERO && (exposure.0 > 0) == (self.spot.0 > 0);
        if !spot_is_larger {
            let held = Qty(in_lots(self.perp.0.abs(), perp, row.size_factor));
            // Spot dust hedges nothing: an exit whose perp leg failed is finished whole, and not left
            // with one lot of perp that no spot leg can follow (R18).
            let hedges = self.spot.0.abs() >= lot;
            let qty = if hedges { Qty(in_lots(excess, perp, row.size_factor)) } else { held };
            return match qty.min(held) {
                Qty::ZERO => Next::Dust,
                qty => Next::Unwind { leg: LegKind::Perp, side: shrinking(self.perp), qty },
            };
        }
        let held = in_lots(self.spot.0.abs(), spot, Amount(BASE_UNIT));
        let wanted = in_lots(excess, spot, Amount(BASE_UNIT)).min(held);
        // Below the minimum notional a larger piece is sold, and all of it where the rest could never be:
        // the perp, whose reduce-only orders are exempt from it, follows in the next round.
        let smallest = spot_quote.and_then(|quote| smallest_trade(spot, quote.bid));
        match smallest {
            Some(smallest) if smallest <= held => {
                let part = wanted.max(smallest);
                let qty = Qty(if held - part < smallest { held } else { part });
                Next::Unwind { leg: LegKind::Spot, side: shrinking(self.spot), qty }
            }
            // With no tenth to spare, but enough as the price is: all of it, at a limit that is worth it.
            Some(_) if spot_quote.is_some_and(|quote| takes(spot, Qty(held), quote.bid)) => {
                Next::Unwind { leg: LegKind::Spot, side: shrinking(self.spot), qty: Qty(held) }
            }
            Some(_) => Next::Dust,
            None => Next::Unpriced,
        }
    }
}

/// One 10^-9 of a coin, in 10^-18.
pub(super) const NANO: i128 = 1_000_000_000;
/// One coin, in 10^-18.
pub const BASE_UNIT: i128 = 10i128.pow(Amount::SCALE as u32);

/// Allowed |E| while no repair is open: the larger of one spot lot and one perp lot, in base.
#[must_use]
pub fn bound(spot: &Instrument, perp: &Instrument, size_factor: Amount) -> i128 {
    let times = if planted(Bug::BoundTooWide) { 100 } else { 1 };
    times * Amount::of(spot.lot, spot.qty_decimals).0.max(base_of(perp.lot, perp, size_factor).0)
}

/// A quantity as base coin: size units × k (1 on spot).
#[must_use]
pub fn base_of(qty: Qty, instrument: &Instrument, size_factor: Amount) -> Amount {
    Amount(i128::from(qty.0) * size_factor.0 / pow10_i128(instrument.qty_decimals))
}

fn shrinking(held: Amount) -> Side {
    if held.0 > 0 { Side::Sell } else { Side::Buy }
}

/// Base coin (10^-18) as a quantity of the instrument, floored to its lot; `size_factor` is k (1 on spot).
#[must_use]
pub fn in_lots(base: i128, instrument: &Instrument, size_factor: Amount) -> i64 {
    let units = base.saturating_mul(pow10_i128(instrument.qty_decimals)) / size_factor.0.max(1);
    let units = i64::try_from(units).unwrap_or(Qty::MAX.0);
    let up = if planted(Bug::LotTooMuch) { instrument.lot.0 } else { 0 };
    units - units % instrument.lot.0 + up
}

/// What an order must be worth at least, quote, 10⁻¹⁸.
fn least_value(instrument: &Instrument) -> i128 {
    if planted(Bug::MinimumForgotten) { 0 } else { instrument.notional_min.0 }
}

/// The smallest quantity the venue takes at about this price, with a tenth to spare for its moves.
#[must_use]
pub fn smallest_trade(instrument: &Instrument, price: Price) -> Option<i64> {
    let one_lot = Amount::cost(price, instrument.price_decimals, instrument.lot, instrument.qty_decimals)?.0;
    if one_lot <= 0 {
        return None;
    }
    let least = least_value(instrument) * 11 / 10;
    let lots = (least + one_lot - 1) / one_lot;
    let by_notional = i64::try_from(lots).ok()?.checked_mul(instrument.lot.0)?;
    Some(by_notional.max(instrument.qty_min.0))
}

/// The lowest limit, on a tick, at which an order of so much is worth what the venue takes at least; `None` where
/// none is, or it is less than the least quantity.
#[must_use]
pub fn least_limit(instrument: &Instrument, qty: Qty) -> Option<Price> {
    let each = Amount::cost(Price(1), instrument.price_decimals, qty, instrument.qty_decimals)?.0;
    if qty < instrument.qty_min || each <= 0 {
        return None;
    }
    let units = i64::try_from((least_value(instrument) + each - 1) / each).ok()?;
    let tick = instrument.tick.0;
    units.checked_add(tick - 1).map(|up| Price(up - up.rem_euclid(tick)))
}

/// Whether the venue takes an order of so much that is limited to this price.
#[must_use]
pub fn takes(instrument: &Instrument, qty: Qty, limit: Price) -> bool {
    let worth = Amount::cost(limit, instrument.price_decimals, qty, instrument.qty_decimals);
    qty >= instrument.qty_min && worth.is_some_and(|worth| worth.0 >= least_value(instrument))
}

/// The first part of a larger unwind: what is visible at the touch, in lots, but no less than the venue takes
/// (`least`), and never so much that the rest is too small to follow (R14). All of it where it can't be parted.
#[must_use]
pub fn slice(qty: Qty, visible: Qty, lot: Qty, least: i64) -> Qty {
    let part = (visible.0 - visible.0 % lot.0).max(least);
    if part >= qty.0 || qty.0 - least < least {
        return qty;
    }
    let most = qty.0 - least;
    Qty(part.min(most - most % lot.0).max(least))
}

/// How far inside the venue's band a limit is kept, in parts per million: its reference moves meanwhile (1 bp).
const INSIDE_PPM: i128 = 100;

/// The furthest limit that an order may have around this reference price, on a tick; `None` without a band.
#[must_use]
pub fn band_edge(instrument: &Instrument, reference: Price, side: Side) -> Option<Price> {
    let [low, high] = instrument.band?;
    let factor = if side == Side::Buy { high } else { low };
    let edge =
        i128::from(reference.0).checked_mul(i128::from(factor.0))? / 10i128.pow(u32::from(Rate::SCALE));
    let inside = i128::from(reference.0) * INSIDE_PPM / 1_000_000;
    let edge = i64::try_from(edge - i128::from(side.sign()) * inside).ok()?;
    let tick = instrument.tick.0;
    let down = edge - edge.rem_euclid(tick);
    Some(Price(if side == Side::Buy || down == edge { down } else { down + tick }))
}

/// The least that an unwind of this leg may be: reduce-only orders are exempt from the minimum notional.
#[must_use]
pub fn least_unwind(instrument: &Instrument, price: Price) -> Option<i64> {
    if instrument.leg == LegKind::Perp && instrument.reduce_only_exempt {
        return Some(instrument.qty_min.0.max(instrument.lot.0));
    }
    smallest_trade(instrument, price)
}

/// A size serves while the price is within one part in so many of the one it was taken at.
const SERVES_WITHIN: u64 = 20;

/// Whether what was sized at a price still is that size at another: a clip in coins is worth what it was sized for,
/// and binds what was set aside for it, only about there. It is also the collar of an entry against a slow reference
/// (FAULTS F39): both legs of a pair may be quoted far off the market alike, and then agree with each other.
#[must_use]
pub fn serves_at(sized_at: Price, price: Price) -> bool {
    price.0.abs_diff(sized_at.0) <= sized_at.0.unsigned_abs() / SERVES_WITHIN
}

/// The size of one entry: a common multiple of both lots nearest below `notional` (quote, 10^-18),
/// at least 2.2 × both minima; the spot buy is sized up for a base-coin fee (FAULTS F110), and down
/// by `dust`, the coins that earlier round trips left: they go with the next trade (R12), or they
/// would add up until every entry is out of bound.
/// `None` if the minima do not fit into four times the notional: the pair is left out.
#[must_use]
pub fn clip(
    instruments: &Instruments,
    pair: PairId,
    direction: Direction,
    notional: Amount,
    perp_price: Price,
    dust: Amount,
) -> Option<[Qty; 2]> {
    sized(instruments, pair, direction, [notional, Amount(notional.0.checked_mul(4)?)], perp_price, dust)
}

/// As [`clip`], of the least size there is.
#[must_use]
pub fn least_clip(
    instruments: &Instruments,
    pair: PairId,
    direction: Direction,
    notional: Amount,
    perp_price: Price,
    dust: Amount,
) -> Option<[Qty; 2]> {
    let most = Amount(notional.0.checked_mul(4)?);
    sized(instruments, pair, direction, [Amount::ZERO, most], perp_price, dust)
}

/// `[notional, most]`: what it is to be worth, and the most that the minima may make of it.
fn sized(
    instruments: &Instruments,
    pair: PairId,
    direction: Direction,
    [notional, most]: [Amount; 2],
    perp_price: Price,
    dust: Amount,
) -> Option<[Qty; 2]> {
    let row = instruments.pair(pair);
    let (spot, perp) = (instruments.get(row.spot), instruments.get(row.perp));
    // One step: the perp lot lifted to a multiple of the spot lot, in base 10^-18.
    let spot_lot = Amount::of(spot.lot, spot.qty_decimals).0;
    let perp_lot = base_of(perp.lot, perp, row.size_factor).0;
    let step = spot_lot.checked_mul(perp_lot / gcd(spot_lot, perp_lot))?;
    let step_perp = Qty(in_lots(step, perp, row.size_factor));
    let step_cost = Amount::cost(perp_price, perp.price_decimals, step_perp, perp.qty_decimals)?.0;
    if step_cost <= 0 {
        return None;
    }
    let floor = spot.notional_min.0.max(perp.notional_min.0) * 22 / 10;
    let by_minimum = (floor + step_cost - 1) / step_cost;
    let by_quantity = [
        (Amount::of(spot.qty_min, spot.qty_decimals).0 * 22 / 10 + step - 1) / step,
        (base_of(perp.qty_min, perp, row.size_factor).0 * 22 / 10 + step - 1) / step,
    ];
    let steps = (notional.0 / step_cost).max(by_minimum).max(by_quantity[0]).max(by_quantity[1]);
    if steps * step_cost > most.0 {
        return None;
    }
    let base = steps * step * if planted(Bug::ClipDoubled) { 2 } else { 1 };
    let perp_qty = in_lots(base, perp, row.size_factor);
    let spot_base = if direction == Direction::Short {
        let missing = base - dust.0.clamp(0, base / 2);
        let fee = if spot.buy_fee_in_base { i128::from(spot.taker_fee.0) } else { 0 };
        // b = h / (1 − f), rounded up: what is left after the fee still covers the short. In 10^-9
        // coins, since a product of two counts of 10^-18 overflows at 170 million coins.
        let (missing, rest) = ((missing + NANO - 1) / NANO, BASE_UNIT - fee);
        (missing.checked_mul(BASE_UNIT)? + rest - 1) / rest * NANO
    } else {
        base
    };
    let unit = pow10_i128(Amount::SCALE - spot.qty_decimals) * i128::from(spot.lot.0);
    let spot_qty = i64::try_from((spot_base + unit - 1) / unit).ok()? * spot.lot.0;
    (spot_qty <= spot.qty_max.0 && perp_qty <= perp.qty_max.0).then_some([Qty(spot_qty), Qty(perp_qty)])
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::{one_pair, quote};
    use super::*;
    use crate::units::Nanos;

    fn holding(spot: &str, perp: &str) -> Holding {
        Holding {
            spot: Amount::parse(spot.as_bytes()).unwrap(),
            perp: Amount::parse(perp.as_bytes()).unwrap(),
        }
    }

    #[track_caller]
    fn check(spot: &str, perp: &str, expected: &str) {
        let top = quote(0, 1, 6_000_000, 6_000_001, Nanos(1));
        let next = holding(spot, perp).next(&one_pair(), PairId(0), Some(&top));
        let text = match next {
            Next::Settled { hedged: true } => "hedged".to_owned(),
            Next::Settled { hedged: false } => "flat".to_owned(),
            Next::Dust => "dust".to_owned(),
            Next::Unpriced => "unpriced".to_owned(),
            Next::Unwind { leg, side, qty } => format!("{side} {leg} {}", qty.0),
        };
        assert_eq!(text, expected, "spot {spot}, perp {perp}");
    }

    #[test]
    fn the_larger_leg_shrinks_and_nothing_else() {
        check("0.010", "-0.010", "hedged");
        check("0.01000999", "-0.010", "hedged");
        check("0", "0", "flat");
        check("0", "-0.010", "buy perp 10"); // R1
        check("0.010", "0", "sell spot 1000"); // R2
        check("0.010", "-0.006", "sell spot 400"); // R3
        check("0.004", "-0.010", "buy perp 6"); // R4
        check("0.00000999", "-0.010", "buy perp 10"); // R18: the dust of an exit keeps no perp
        check("0.00000999", "-0.001", "buy perp 1"); // R18: nor one lot of it, though that is within bound
        check("0.00051", "-0.001", "hedged");
        check("-0.010", "0.004", "buy spot 600"); // R5, long
        check("-0.004", "0.010", "sell perp 6");
    }

    #[test]
    fn below_the_minimum_a_larger_piece_is_sold_and_what_cannot_be_sold_is_dust() {
        // The larger of the lots is 0.001 BTC = 60 USDT, far above 5 USDT: use a finer perp lot.
        let mut instruments = one_pair();
        instruments.instruments[1].qty_decimals = 5;
        let top = quote(0, 1, 6_000_000, 6_000_001, Nanos(1));
        let next = holding("0.01004", "-0.01").next(&instruments, PairId(0), Some(&top));
        // 0.00004 BTC is 2.4 USDT: 5.5 USDT are sold instead, 0.00010 BTC after rounding up.
        assert_eq!(next, Next::Unwind { leg: LegKind::Spot, side: Side::Sell, qty: Qty(10) });
        // 4.80 USDT are dust; 5.40 are not, though there is no tenth to spare.
        for (held, expected) in [
            ("0.00004", Next::Dust),
            ("0.00008", Next::Dust),
            ("0.00009", Next::Unwind { leg: LegKind::Spot, side: Side::Sell, qty: Qty(9) }),
        ] {
            let next = holding(held, "0").next(&instruments, PairId(0), Some(&top));
            assert_eq!(next, expected, "{held}");
        }
        // 0.00004 BTC beside as much of the perp could not be sold later; 0.0002 could.
        for (perp, sold) in [("-0.00004", 1_000), ("-0.0002", 980)] {
            let next = holding("0.01", perp).next(&instruments, PairId(0), Some(&top));
            let qty = Qty(sold);
            assert_eq!(next, Next::Unwind { leg: LegKind::Spot, side: Side::Sell, qty }, "beside {perp}");
        }
    }

    #[test]
    fn what_nobody_bids_for_is_no_dust() {
        let empty = quote(0, 1, 0, 6_000_001, Nanos(1));
        for quote in [None, Some(&empty)] {
            let next = |spot, perp| holding(spot, perp).next(&one_pair(), PairId(0), quote);
            assert_eq!(next("320", "0"), Next::Unpriced);
            assert_eq!(next("0.010", "-0.010"), Next::Settled { hedged: true });
            let bought = Next::Unwind { leg: LegKind::Perp, side: Side::Buy, qty: Qty(10) };
            assert_eq!(next("0", "-0.010"), bought, "reduce-only orders have no least value");
        }
    }

    #[test]
    fn a_limit_is_worth_the_minimum_and_one_tick_lower_is_not() {
        let spot = &one_pair().instruments[0];
        let worth = |limit: i64, qty| {
            Amount::cost(Price(limit), spot.price_decimals, qty, spot.qty_decimals).unwrap().0
        };
        for lots in 1..400 {
            let qty = Qty(lots * spot.lot.0);
            let Some(Price(least)) = least_limit(spot, qty) else {
                assert!(qty < spot.qty_min);
                continue;
            };
            assert!(least % spot.tick.0 == 0 && worth(least, qty) >= spot.notional_min.0, "{qty:?}");
            assert!(worth(least - spot.tick.0, qty) < spot.notional_min.0, "{qty:?}");
            assert!(
                takes(spot, qty, Price(least)) && !takes(spot, qty, Price(least - spot.tick.0)),
                "{qty:?}"
            );
        }
        assert_eq!(least_limit(spot, Qty::ZERO), None);
    }

    #[test]
    fn a_size_serves_within_a_twentieth_of_its_price() {
        let serves = |price| serves_at(Price(1_000), Price(price));
        assert!(serves(950) && serves(1_050) && !serves(949) && !serves(1_051));
        assert!(!serves_at(Price(0), Price(1)), "never sized");
    }

    #[test]
    fn a_bought_clip_still_covers_the_short_after_its_fee() {
        let notional = Amount::parse(b"500").unwrap();
        let [spot, perp] =
            clip(&one_pair(), PairId(0), Direction::Short, notional, Price(600_000), Amount::ZERO).unwrap();
        assert_eq!(perp, Qty(8), "0.008 BTC is 480 USDT");
        assert_eq!(spot, Qty(801), "0.008 / 0.999, rounded up to the lot");
        let [spot, perp] =
            clip(&one_pair(), PairId(0), Direction::Long, notional, Price(600_000), Amount::ZERO).unwrap();
        assert_eq!((spot, perp), (Qty(800), Qty(8)));
        let mut instruments = one_pair();
        instruments.instruments[0].buy_fee_in_base = false;
        let clip = clip(&instruments, PairId(0), Direction::Short, notional, Price(600_000), Amount::ZERO);
        assert_eq!(clip, Some([Qty(800), Qty(8)]), "nothing is taken of what is bought");
    }

    #[test]
    fn dust_goes_with_the_next_buy_and_never_leaves_the_short_uncovered() {
        let notional = Amount::parse(b"500").unwrap();
        for dust in ["0", "0.000001", "0.00000999", "0.00001", "0.00099999", "-0.00001"] {
            let dust = Amount(crate::units::decimal::parse_signed(dust.as_bytes(), Amount::SCALE).unwrap());
            let [spot, perp] =
                clip(&one_pair(), PairId(0), Direction::Short, notional, Price(600_000), dust).unwrap();
            let bought = i128::from(spot.0) * 10i128.pow(13) * 999 / 1_000;
            let exposure = bought + dust.0.max(0) - i128::from(perp.0) * 10i128.pow(15);
            assert!((0..10i128.pow(13)).contains(&exposure), "{dust:?} leaves {exposure}");
        }
    }

    #[test]
    fn the_edge_of_a_band_is_a_basis_point_inside_and_on_a_tick() {
        let mut row = one_pair().instruments[0].clone();
        assert_eq!(band_edge(&row, Price(1_000_000), Side::Sell), None, "no band");
        row.band = Some([Rate(950_000_000_000_000_000), Rate(1_050_000_000_000_000_000)]);
        row.tick = Price(7);
        let edge = |side| band_edge(&row, Price(1_000_000), side).unwrap().0;
        // 1 050 000 - 100 and 950 000 + 100, inwards to multiples of 7.
        assert_eq!((edge(Side::Buy), edge(Side::Sell)), (1_049_895, 950_103));
    }

    #[test]
    fn a_slice_is_what_is_visible_and_leaves_a_rest_that_can_follow() {
        let part = |qty, visible, least| slice(Qty(qty), Qty(visible), Qty(10), least).0;
        assert_eq!(part(1_000, 305, 50), 300);
        assert_eq!(part(1_000, 5_000, 50), 1_000);
        assert_eq!(part(1_000, 980, 50), 950, "the rest must be worth an order");
        assert_eq!(part(1_000, 0, 50), 50, "the venue takes no less");
        assert_eq!(part(90, 60, 50), 90, "too small to be parted");
        for qty in (10..400).step_by(10) {
            for visible in 0..450 {
                let mut left = qty;
                while left > 0 {
                    let part = part(left, visible, 50);
                    assert!(part > 0 && part % 10 == 0 && part <= left, "{part} of {left}");
                    assert!(part >= 50.min(left) && (part <= visible.max(50) || part == left && left < 100));
                    left -= part;
                }
            }
        }
    }

    #[test]
    fn a_clip_of_billions_of_coins_is_counted_exactly() {
        let mut instruments = one_pair();
        for row in &mut instruments.instruments {
            (row.qty_decimals, row.price_decimals, row.qty_max) = (0, 8, Qty(i64::MAX));
        }
        let notional = Amount::parse(b"100000").unwrap();
        let [spot, perp] =
            clip(&instruments, PairId(0), Direction::Short, notional, Price(1_000), Amount::ZERO).unwrap();
        assert_eq!((spot, perp), (Qty(10_010_010_011), Qty(10_000_000_000)));
    }

    #[test]
    fn a_clip_meets_both_minima_or_there_is_none() {
        let tiny = Amount::parse(b"1").unwrap();
        assert_eq!(clip(&one_pair(), PairId(0), Direction::Short, tiny, Price(600_000), Amount::ZERO), None);
        let mut instruments = one_pair();
        instruments.instruments[1].notional_min = Amount::parse(b"50").unwrap();
        let notional = Amount::parse(b"100").unwrap();
        let [_, perp] =
            clip(&instruments, PairId(0), Direction::Short, notional, Price(600_000), Amount::ZERO).unwrap();
        assert_eq!(perp, Qty(3), "2.2 × the smallest quantity, which is more than 110 USDT");
    }

    /// Steps of 0.001 BTC, worth 60 USDT; 2.2 times the minimum is rounded up to whole ones, and no further.
    #[test]
    fn the_least_clip_is_as_many_steps_as_both_minima_want() {
        let least = |change: &dyn Fn(&mut Instruments)| {
            let mut instruments = one_pair();
            change(&mut instruments);
            let notional = Amount::parse(b"500").unwrap();
            let least =
                least_clip(&instruments, PairId(0), Direction::Long, notional, Price(600_000), Amount::ZERO);
            least.map(|[spot, perp]| (spot.0, perp.0))
        };
        let usdt = |whole: i128| Amount(whole * BASE_UNIT);
        // Two of its least quantity of one lot, and the fifth part of one more.
        assert_eq!(least(&|_| ()), Some((300, 3)));
        for leg in 0..2 {
            assert_eq!(
                least(&|it| it.instruments[leg].notional_min = usdt(150)),
                Some((600, 6)),
                "330 of 360"
            );
            assert_eq!(
                least(&|it| it.instruments[leg].notional_min = usdt(300)),
                Some((1_100, 11)),
                "just 660"
            );
        }
        assert_eq!(least(&|it| it.instruments[0].qty_min = Qty(250)), Some((600, 6)), "5.5 steps");
        assert_eq!(least(&|it| it.instruments[0].qty_min = Qty(500)), Some((1_100, 11)), "just 11");
        assert_eq!(least(&|it| it.instruments[1].qty_min = Qty(2)), Some((500, 5)), "4.4 steps");
        assert_eq!(least(&|it| it.instruments[1].qty_min = Qty(5)), Some((1_100, 11)), "just 11");
        assert_eq!(
            least(&|it| it.instruments[1].qty_min = Qty(20)),
            None,
            "more than four times the notional"
        );
    }

    #[test]
    fn a_step_is_what_both_lots_divide_and_a_clip_is_no_larger_than_either_market_takes() {
        let mut instruments = one_pair();
        (instruments.instruments[0].lot, instruments.instruments[1].lot) = (Qty(30), Qty(2));
        let clip = |instruments: &Instruments| {
            let notional = Amount::parse(b"500").unwrap();
            clip(instruments, PairId(0), Direction::Long, notional, Price(600_000), Amount::ZERO)
        };
        assert_eq!(clip(&instruments), Some([Qty(600), Qty(6)]), "0.0003 and 0.002 both divide 0.006");
        for (leg, most) in [(0, 599), (1, 5)] {
            let mut instruments = instruments.clone();
            instruments.instruments[leg].qty_max = Qty(most);
            assert_eq!(clip(&instruments), None);
        }
    }

    #[test]
    fn an_unwind_of_the_perp_is_exempt_from_the_least_value_and_one_of_spot_is_not() {
        let mut instruments = one_pair();
        let [spot, perp] = &mut instruments.instruments[..] else { panic!() };
        (perp.qty_min, perp.lot) = (Qty(3), Qty(2));
        assert_eq!(least_unwind(perp, Price(600_000)), Some(3));
        (perp.qty_min, perp.lot) = (Qty(2), Qty(3));
        assert_eq!(least_unwind(perp, Price(600_000)), Some(3));
        // 5 USDT at 60 000, or a little lower: more than 0.00008 BTC.
        let least = smallest_trade(spot, Price(6_000_000));
        assert!(least > Some(8) && least_unwind(spot, Price(6_000_000)) == least);
        (spot.reduce_only_exempt, perp.reduce_only_exempt) = (true, false);
        assert_eq!(least_unwind(spot, Price(6_000_000)), least, "nothing on spot reduces a position");
        perp.notional_min = Amount(300 * BASE_UNIT);
        assert_eq!(least_unwind(perp, Price(600_000)), Some(6), "0.005 in lots of 0.003");
    }

    #[test]
    fn a_thousand_coins_a_contract_are_a_thousand_coins() {
        let mut instruments = one_pair();
        instruments.pairs[0].size_factor = Amount(1_000 * BASE_UNIT);
        let perp = &instruments.instruments[1];
        assert_eq!(
            base_of(Qty(2_500), perp, instruments.pairs[0].size_factor),
            Amount::parse(b"2500").unwrap()
        );
    }
}
