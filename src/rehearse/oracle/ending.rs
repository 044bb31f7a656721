//! At rest: is everything resolved, equal, accounted for and told?
//!
//! Owns:  I19 while a session heals; I2 (evidence), I3, I4, I15 and I20 once its engine has stopped.
//! Never: asks for more than the faults of the session allow.

use super::super::World;
use super::booking::parse;
use super::facts::E10;
use super::{Broken, Oracle, broken};
use crate::sim::Market;
use crate::units::Nanos;
use crate::units::time::{MS, SEC};
use std::collections::BTreeMap;

/// Money may be cut at 10⁻¹⁸ so often per trade.
const CUTS: i128 = 4;
/// An order unknown for longer than this was told (T_ack, and five seconds).
const TOLD_WITHIN_NS: u64 = 10 * SEC;

impl Oracle {
    /// What is not at rest yet (I19); empty: all of it is.
    #[must_use]
    pub fn restless(&self, world: &World) -> Vec<String> {
        let mut restless: Vec<String> =
            self.out_of_bound().iter().map(|base| format!("{base} is out of bound")).collect();
        let open = world.standing().open_orders;
        if open > 0 && !self.foreign() {
            restless.push(format!("{open} orders rest at the venue"));
        }
        for (client, leg) in self.books.unended() {
            // Where coins came that nobody explains, that nothing came of an order is proven by what it would have been
            // paid in; where somebody else was paid in it, too, by nothing.
            if leg.is_perp() || !self.foreign() || !self.credited(&leg.of.1) {
                restless.push(format!("order {client} has no end"));
            }
        }
        let ended = |client: &u64| self.books.ends.contains_key(client);
        for order in self.facts.orders.values().filter(|order| order.executed > 0 && !ended(&order.id.number))
        {
            restless.push(format!("order {} was executed and has no end", order.id.number));
        }
        let booked = self.books.fills.len();
        if booked != self.facts.trades.len() {
            restless.push(format!("{booked} of {} trades are booked", self.facts.trades.len()));
        }
        restless
    }

    /// Whether coins of a spot symbol came without a trade.
    fn credited(&self, symbol: &str) -> bool {
        let of = |row: &crate::sim::Row| row.name == symbol && row.market == Market::Spot;
        let base = self.facts.rows.iter().find(|row| of(row)).map(|row| row.base.as_str());
        self.facts.credits.iter().any(|(asset, _)| Some(asset.as_str()) == base)
    }

    /// The engine has stopped, in peace: everything is equal to the last unit.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold.
    pub fn at_rest(&self, world: &World) -> Result<(), Broken> {
        if let Some(what) = self.restless(world).first() {
            return Err(broken(19, format!("after all faults were over: {what}")));
        }
        let standing = world.standing();
        self.peaks(&standing)?;
        self.evidence()?;
        for key in self.facts.trades.keys() {
            if !self.books.fills.contains_key(&(key.0.to_owned(), key.1.clone(), key.2)) {
                return Err(broken(3, format!("made and never booked: {key:?}")));
            }
        }
        self.funding()?;
        self.positions(&standing.positions)?;
        self.money(&standing)?;
        self.alarms(&world.stood)
    }

    /// I2: an opening attempt was repeated only after the one before had ended by A or B.
    fn evidence(&self) -> Result<(), Broken> {
        for order in self.facts.orders.values().filter(|order| order.id.attempt > 0) {
            let first = order.id.number & !0xf;
            let before = self.facts.orders.range(first..order.id.number).next_back().map(|(_, it)| it);
            let Some(before) = before.filter(|it| it.arrived.buys == order.arrived.buys) else { continue };
            // After a loss of power an end may have been written anew, later.
            let Some(end) = self.books.ends.get(&before.id.number).filter(|_| !self.lost_power) else {
                continue;
            };
            let left_us = (self.calendar + order.wire.0) / 1_000;
            // The calendar may have been stepped: seconds tell, not milliseconds.
            let absent = matches!(end.evidence.as_str(), "C" | "fills");
            if absent && !order.arrived.reduce_only && order.arrived.buys == (order.id.leg == 0) {
                return Err(broken(
                    2,
                    format!("{:?} repeats an opening after no evidence but absence", order.id),
                ));
            }
            // What a process that was killed had not written yet, a later one writes anew.
            let anew = end.began_us > left_us;
            // R6, R7: a closing order may be repeated beside one that is presumed dead; that is proven later.
            if end.evidence != "C" && !anew && end.at_us > left_us + 60_000_000 {
                return Err(broken(2, format!("{:?} left before {end:?} of the attempt before", order.id)));
            }
        }
        Ok(())
    }

    /// I4: what the journal says each pair holds is what its trades left at the venue.
    fn positions(&self, positions: &[(usize, i64, i128)]) -> Result<(), Broken> {
        for pair in &self.facts.pairs {
            let Some((state, spot, perp)) = self.books.pairs.get(&pair.base) else { continue };
            // Where an order has no end and can have none, its pair's state is not written anew.
            let names = pair.rows.map(|row| self.facts.rows[row].name.as_str());
            if self.books.unended().any(|(_, leg)| names.contains(&leg.of.1.as_str())) {
                continue;
            }
            // The journal counts what is short in the perp.
            if (parse(spot), parse(perp)) != (Some(pair.held[0]), Some(-pair.held[1])) {
                let why = format!(
                    "{} is {state} with {spot} spot and {perp} perp in the journal, {:?}e-18 in truth",
                    pair.base, pair.held
                );
                return Err(broken(4, why));
            }
        }
        if self.foreign() {
            return Ok(());
        }
        for (row, qty, _) in positions {
            let Some((pair, _)) = self.facts.pair_of[*row] else { continue };
            let units = i128::from(*qty) * E10 * i128::from(self.facts.rows[*row].multiplier);
            if units != self.facts.pairs[pair].held[1] {
                return Err(broken(
                    4,
                    format!("{} holds {qty}e-8 that no trade left", self.facts.rows[*row].name),
                ));
            }
        }
        // Of what came without a trade nobody explains anything: it is told, and not touched (R20).
        let came = |text: &String| self.facts.credits.iter().any(|(asset, _)| text.contains(asset.as_str()));
        let unexplained: Vec<&String> = self.books.unexplained.iter().filter(|text| !came(text)).collect();
        if !unexplained.is_empty() {
            return Err(broken(4, format!("the last look at the account left unexplained: {unexplained:?}")));
        }
        Ok(())
    }

    /// I15: every payment the venue made is booked, to the last unit.
    pub(super) fn funding(&self) -> Result<(), Broken> {
        let booked: i128 = self.books.payments.values().filter_map(|text| parse(text)).sum();
        let (payments, settled) = (self.books.payments.len(), &self.facts.payments);
        if payments != settled.len() || booked != self.facts.funding {
            let why = format!(
                "{payments} payments of {booked} are booked, {} of {} were made (1e-18)",
                settled.len(),
                self.facts.funding
            );
            return Err(broken(15, why));
        }
        Ok(())
    }

    /// I15: opening + booked trades and fees + funding + others' trades + what came = closing, to the last unit.
    pub(super) fn money(&self, standing: &crate::sim::Standing) -> Result<(), Broken> {
        let mut expected: BTreeMap<&str, i128> = BTreeMap::from([("USDT", standing.opening[0])]);
        let mut wallet = standing.opening[1] + self.facts.funding;
        for fill in self.facts.trades.values().chain(&self.facts.foreign) {
            let value = i128::from(fill.price) * i128::from(fill.qty) * 100;
            let sign = if fill.buys { 1 } else { -1 };
            match fill.market {
                Market::Spot => {
                    *expected.entry("USDT").or_default() -= sign * value;
                    let base = self.facts.rows[fill.symbol].base.as_str();
                    *expected.entry(base).or_default() += sign * i128::from(fill.qty) * E10;
                    *expected.entry(fill.fee_asset.as_str()).or_default() -= fill.fee;
                }
                Market::Usdm => wallet -= sign * value + fill.fee,
            }
        }
        for (asset, amount) in &self.facts.credits {
            *expected.entry(asset.as_str()).or_default() += amount;
        }
        wallet += standing.positions.iter().map(|(_, _, cost)| cost).sum::<i128>();
        for (asset, closing) in &standing.spot {
            let expected = expected.get(asset.as_str()).copied().unwrap_or(0);
            if expected != *closing {
                return Err(broken(
                    15,
                    format!("{asset}: {expected} is accounted for, {closing} is there (1e-18)"),
                ));
            }
        }
        let trades = self.facts.trades.len() + self.facts.foreign.len();
        if (wallet - standing.wallet).abs() > CUTS * trades as i128 {
            let there = standing.wallet;
            return Err(broken(
                15,
                format!("USD-M wallet: {wallet} is accounted for, {there} is there (1e-18)"),
            ));
        }
        Ok(())
    }

    /// I20: what a person must hear of was told, and soon. Whether it was told once and on two channels is not
    /// checked: there is one channel, the journal. While the host stood still nobody could tell anything.
    pub(super) fn alarms(&self, stood: &[(Nanos, Nanos)]) -> Result<(), Broken> {
        for (at, pair) in &self.facts.forced {
            let base = &self.facts.pairs[*pair].base;
            // That the pair is unhedged, which is told too, does not say why.
            let told = |text: &str| {
                let why = ["auto-deleveraging", "liquidation", "settlement"];
                text.starts_with("ALERT")
                    && text.contains(base.as_str())
                    && why.iter().any(|why| text.contains(why))
            };
            if !self.books.notes.iter().any(|(_, text)| told(text)) && !self.lost_power {
                return Err(broken(20, format!("the venue traded {base} at {} and nobody was told", at.0)));
            }
        }
        let comparable = !self.lost_power && !self.calendar_stepped;
        for (client, end) in self.books.ends.iter().filter(|_| comparable) {
            // By its stamp, since not every order reached the venue.
            let Some(fired) = self.books.fired.get(client) else { continue };
            let left = Nanos((fired.stamp_ms * MS).saturating_sub(self.calendar));
            let ended = Nanos((end.at_us * 1_000).saturating_sub(self.calendar));
            let open_ns = ended.since(left).saturating_sub(shared(stood, left, ended));
            let named = client.to_string();
            // That it ended is told of any order.
            let told = |(at_us, text): &(u64, String)| *at_us < end.at_us && text.contains(&named);
            // Ends after a restart, or after a step of the calendar, are another matter.
            let one_life = left >= self.begun && open_ns < 600 * SEC;
            if one_life && open_ns > TOLD_WITHIN_NS && !self.books.notes.iter().any(told) {
                return Err(broken(
                    20,
                    format!("order {client} was open for {open_ns} ns and nobody was told"),
                ));
            }
        }
        Ok(())
    }
}

/// How much of a time the others share with it, ns.
pub(super) fn shared(others: &[(Nanos, Nanos)], from: Nanos, until: Nanos) -> u64 {
    others.iter().map(|(began, ended)| until.min(*ended).since(from.max(*began))).sum()
}
