//! A market listed again while running: the next generation of the same instruments, and what is shut (F46, F70).
//!
//! Owns:  [`renew`]: what of a present instrument a new listing changes, in the scales of this run.
//! Never: gives an instrument another id or another scale: what needs finer decimals than the run began with is
//!        shut, since quantities under way are counted in the old ones. Takes up markets that are new.

use super::{Listing, Row};
use crate::event::{Instrument, Instruments};
use crate::units::{InstrumentId, LegKind, Price, Qty, Unix};

/// What a listing says of the present instruments of its market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The next generation, if a rule changed.
    pub instruments: Option<Instruments>,
    /// What can't be traded now, and why.
    pub shut: Vec<(InstrumentId, String)>,
    /// What is settled, and when.
    pub ending: Vec<(InstrumentId, Unix)>,
}

/// Holds one market's new listing against the present generation.
#[must_use]
pub fn renew(present: &Instruments, leg: LegKind, listing: &Listing) -> Renewed {
    let mut next = present.clone();
    let (mut shut, mut ending) = (Vec::new(), Vec::new());
    for old in next.instruments.iter_mut().filter(|row| row.leg == leg) {
        let ends = listing.ending.iter().find(|(symbol, _)| symbol.as_str() == old.symbol.as_str());
        ending.extend(ends.map(|(_, at)| (old.id, *at)));
        let Some(row) = listing.rows.iter().find(|row| row.symbol == old.symbol) else {
            let said = listing.left_out.iter().find(|(symbol, _)| symbol.as_str() == old.symbol.as_str());
            shut.push((old.id, said.map_or("it is listed no more".to_owned(), |(_, why)| why.clone())));
            continue;
        };
        match rescaled(old, row) {
            Some(renewed) => *old = renewed,
            None => shut.push((
                old.id,
                "its prices or quantities have more decimals than when this run began; start again to trade it"
                    .to_owned(),
            )),
        }
    }
    next.generation += 1;
    let changed = next.instruments != present.instruments;
    Renewed { instruments: changed.then_some(next), shut, ending }
}

/// The new rules in the scales of the old row; `None` if they don't fit.
fn rescaled(old: &Instrument, row: &Row) -> Option<Instrument> {
    let price = 10i64.checked_pow(u32::from(old.price_decimals.checked_sub(row.price_decimals)?))?;
    let qty = 10i64.checked_pow(u32::from(old.qty_decimals.checked_sub(row.qty_decimals)?))?;
    // A bound that does not fit the scale binds nothing.
    let most = |value: i64, factor: i64, step: i64| {
        value.checked_mul(factor).filter(|most| *most <= Price::MAX.0).unwrap_or(Price::MAX.0 / step * step)
    };
    let (tick, lot) = (row.tick.0.checked_mul(price)?, row.lot.0.checked_mul(qty)?);
    Some(Instrument {
        tick: Price(tick),
        lot: Qty(lot),
        qty_min: Qty(row.qty_min.0.checked_mul(qty)?),
        qty_max: Qty(most(row.qty_max.0, qty, lot)),
        notional_min: row.notional_min,
        price_range: (
            Price(row.price_range.0.0.checked_mul(price)?),
            Price(most(row.price_range.1.0, price, tick)),
        ),
        band: row.band,
        ..old.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{instrument, instruments};
    use super::*;
    use crate::units::{Amount, Rate};

    fn present() -> Instruments {
        instruments(vec![
            instrument(LegKind::Spot, "BTCUSDT", 2, 5),
            instrument(LegKind::Perp, "BTCUSDT", 1, 3),
        ])
    }

    fn listed(rows: Vec<Row>) -> Listing {
        Listing { rows, ..Listing::default() }
    }

    #[test]
    fn what_did_not_change_is_no_new_generation() {
        let all = present();
        let same = listed(vec![Row { id: InstrumentId(9), ..all.instruments[0].clone() }]);
        assert_eq!(renew(&all, LegKind::Spot, &same), Renewed::default());
    }

    #[test]
    fn coarser_steps_are_counted_in_the_scale_of_the_run_and_fees_stay_the_accounts() {
        let mut all = present();
        all.instruments[0].taker_fee = Rate(7);
        let row = Row {
            tick: Price(5),
            lot: Qty(2),
            qty_min: Qty(4),
            notional_min: Amount(11),
            band: Some([Rate(1), Rate(2)]),
            price_range: (Price(3), Price::MAX),
            ..instrument(LegKind::Spot, "BTCUSDT", 1, 4)
        };
        let renewed = renew(&all, LegKind::Spot, &listed(vec![row])).instruments.unwrap();
        let new = &renewed.instruments[0];
        assert_eq!(
            (renewed.generation, new.id, new.price_decimals, new.qty_decimals),
            (1, InstrumentId(0), 2, 5)
        );
        assert_eq!((new.tick, new.lot, new.qty_min), (Price(50), Qty(20), Qty(40)));
        assert_eq!((new.price_range.0, new.notional_min, new.taker_fee), (Price(30), Amount(11), Rate(7)));
        assert!(new.qty_max.0 % 20 == 0 && new.price_range.1.0 % 50 == 0);
        assert_eq!(renewed.instruments[1], all.instruments[1], "the other market is not touched");
    }

    #[test]
    fn what_is_shut_keeps_its_row_and_has_a_reason() {
        let all = present();
        let finer = listed(vec![instrument(LegKind::Spot, "BTCUSDT", 3, 5)]);
        let renewed = renew(&all, LegKind::Spot, &finer);
        assert_eq!((renewed.instruments, renewed.shut[0].0), (None, InstrumentId(0)));
        assert!(renewed.shut[0].1.contains("more decimals"), "{:?}", renewed.shut);
        let mut broken = listed(Vec::new());
        assert_eq!(renew(&all, LegKind::Perp, &broken).shut[0].1, "it is listed no more");
        broken.left_out.push(("BTCUSDT".to_owned(), "its status is BREAK, not TRADING".to_owned()));
        broken.ending.push(("BTCUSDT".to_owned(), Unix(5)));
        let Renewed { shut, ending, .. } = renew(&all, LegKind::Perp, &broken);
        assert_eq!(ending, [(InstrumentId(1), Unix(5))]);
        assert_eq!(shut, [(InstrumentId(1), "its status is BREAK, not TRADING".to_owned())]);
    }
}
