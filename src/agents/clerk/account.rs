//! Before trading: how the account stands, held against what the operator wants, and what it holds.
//!
//! Owns:  asking for every part, the refusal that names all that is in the way with its fix, and the lines that
//!        tell a person what is armed (FAULTS 7.4 step 4; F107, F110, F118, F119).
//! Never: changes the account: what is wrong is put right by a person, at the venue.

use super::Clerk;
use super::errands::Errand;
use crate::event::{Asset, Instruments, News};
use crate::units::{Amount, LegKind, Nanos};
use crate::venue::standing::{Fact, Part, objections};
use crate::venue::{BadBody, Listing};

/// What is known of the account so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    facts: Vec<Fact>,
    untold: Vec<Part>,
    /// All of each asset that is not zero, what open orders hold included.
    holds: Vec<(LegKind, Asset, Amount)>,
    waiting: usize,
}

impl Account {
    pub(super) fn is_known(&self) -> bool {
        self.waiting == 0
    }

    /// Notes what a wallet holds.
    pub(super) fn hold(&mut self, leg: LegKind, asset: Asset, total: Amount) {
        if total != Amount::ZERO {
            self.holds.push((leg, asset, total));
        }
    }
}

impl Clerk {
    /// Asks for every part, if orders may leave.
    pub(super) fn ask_for_standing(&mut self) {
        if !self.settings.live || self.settings.target.key.is_none() {
            return;
        }
        let parts = self.settings.target.venue.standing.parts.iter().map(|part| Errand::Standing(*part));
        for errand in parts.chain([Errand::Wallet]) {
            self.errands.add(self.market_of(errand), errand);
            self.account.waiting += 1;
        }
    }

    /// Where an errand about the account is asked.
    pub(super) fn market_of(&self, errand: Errand) -> LegKind {
        match errand {
            Errand::Standing(Part::Rights) => LegKind::Spot,
            Errand::Standing(Part::FeeCoin(leg)) => leg,
            _ => LegKind::Perp,
        }
    }

    /// An answer about one part.
    pub(super) fn on_standing(&mut self, part: Part, status: u16, body: &mut [u8]) -> Result<(), BadBody> {
        if status == 404 {
            // Not every host of a venue has it: its test hosts lack some.
            self.account.untold.push(part);
        } else {
            let facts = (self.settings.target.venue.standing.read)(part, body, &self.symbols)?;
            self.account.facts.extend(facts);
        }
        self.account.waiting = self.account.waiting.saturating_sub(1);
        Ok(())
    }

    /// An answer about the perp wallet.
    pub(super) fn on_wallet(&mut self, body: &mut [u8]) -> Result<(), BadBody> {
        let rows = (self.settings.target.venue.audit.read_balances)(LegKind::Perp, body)?;
        for row in rows {
            self.account.hold(LegKind::Perp, row.asset, row.total);
        }
        self.account.waiting = self.account.waiting.saturating_sub(1);
        Ok(())
    }

    /// Whether the account may be traded with: told line by line, or refused with all that is in the way.
    pub(super) fn may_arm(&mut self, now: Nanos) -> bool {
        if !self.settings.live {
            return true;
        }
        let venue = self.settings.target.venue;
        let Account { facts, untold, holds, .. } = &self.account;
        let settable = settable(&self.fees.instruments, facts, self.listings.get(&LegKind::Perp));
        let found = objections(facts, untold, self.settings.wants, &settable);
        if !found.is_empty() {
            let each: Vec<String> = found
                .iter()
                .map(|objection| format!("{}: {}", objection.what(), (venue.standing.fix)(objection)))
                .collect();
            self.refuse(format!(
                "the account at {} can't be traded with as it stands; {}",
                venue.name,
                each.join("; ")
            ));
            return false;
        }
        let mut lines = Vec::new();
        for leg in LegKind::BOTH {
            let Some((offset, round_trip)) =
                self.clocks.get(&leg).and_then(super::clocks::ClockSamples::best)
            else {
                continue;
            };
            let ahead = (self.clock.unix().0 - (now.0 as i64 + offset)) / 1_000;
            let bound = round_trip / 2_000;
            lines.push(format!(
                "clock: this host is {ahead} us ahead of {} {leg}, give or take {bound}",
                venue.name
            ));
        }
        let perps = facts.iter().filter(|fact| matches!(fact, Fact::Leverage(..))).count();
        let rights = if untold.contains(&Part::Rights) {
            "this host does not tell the key's rights"
        } else {
            "the key trades both markets, can't withdraw, and is bound to listed addresses"
        };
        lines.push(format!("account: {rights}"));
        lines.push(format!(
            "account: one-way positions, one margin asset, cross margin and leverage {} on {perps} perps, fees in the coins traded",
            self.settings.wants.leverage
        ));
        lines.extend(holds.iter().map(|(leg, asset, total)| format!("balance: {leg} {total} {asset}")));
        if holds.is_empty() {
            lines.push("balance: none".to_owned());
        }
        self.tell(News::Account { lines });
        true
    }
}

/// Without perps that can't be traded now and of which the account tells no setting: a venue that settles a contract
/// may forget what was set for it, and no entry of it leaves.
fn settable(instruments: &Instruments, facts: &[Fact], listed: Option<&Listing>) -> Instruments {
    let mut kept = instruments.clone();
    kept.instruments.retain(|row| {
        let told = facts
            .iter()
            .any(|fact| matches!(fact, Fact::Cross(id, _) | Fact::Leverage(id, _) if *id == row.id));
        let trades = listed.is_none_or(|listed| listed.rows.iter().any(|it| it.symbol == row.symbol));
        row.leg == LegKind::Spot || told || trades
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::InstrumentId;
    use crate::venue::sample::{instrument, instruments};

    #[test]
    fn only_a_shut_perp_that_nothing_is_told_of_needs_no_setting() {
        let perp = |symbol: &str| instrument(LegKind::Perp, symbol, 1, 3);
        let all = instruments(vec![
            instrument(LegKind::Spot, "BTCUSDT", 2, 5),
            perp("BTCUSDT"),
            perp("LTCUSDT"),
            perp("XRPUSDT"),
        ]);
        let listed = Listing { rows: vec![perp("BTCUSDT")], ..Listing::default() };
        let kept = |facts: &[Fact]| {
            let kept = settable(&all, facts, Some(&listed)).instruments;
            kept.iter().map(|row| row.id.0).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[]), [0, 1]);
        assert_eq!(kept(&[Fact::Cross(InstrumentId(2), false)]), [0, 1, 2]);
        assert_eq!(kept(&[Fact::Leverage(InstrumentId(3), 20)]), [0, 1, 3]);
    }
}
