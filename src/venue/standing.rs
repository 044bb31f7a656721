//! How an account stands: the rights of its key, its modes, its leverage, what its fees are taken in.
//!
//! Owns:  [`Standing`], the part of a venue's table that a start reads before it arms (FAULTS 7.4 step 4, F107,
//!        F110, F118, F119), the facts it brings, and which of them are in the way of trading.
//! Never: asks anything, or says how a venue's own pages are called: [`Standing::fix`] does.

use super::audit::Rows;
use super::{Ask, Key, Symbols};
use crate::event::{Instruments, Symbol};
use crate::units::{InstrumentId, LegKind, Unix};

/// What is asked for, one request each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What the key may do.
    Rights,
    /// What a market's fees are taken in.
    FeeCoin(LegKind),
    /// Position mode and margin assets of the perp market.
    Modes,
    /// Margin mode and leverage, symbol by symbol.
    Perps,
}

/// How a venue tells of an account. Every reader writes into its body.
#[derive(Clone, Copy)]
pub struct Standing {
    /// What there is to ask for.
    pub parts: &'static [Part],
    /// Asks for one part; key, moment on the venue's clock, receive window in ms.
    pub ask: fn(Part, &Key, Unix, u32) -> Ask,
    /// Reads the answer. Symbols that are not among ours are passed over.
    pub read: fn(Part, &mut [u8], &Symbols) -> Rows<Fact>,
    /// What to do at this venue about what is in the way.
    pub fix: fn(&Objection) -> String,
}

/// One thing a venue says of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Whether the key may move money out.
    Withdraws(bool),
    /// Whether the key works from listed addresses only.
    Bound(bool),
    /// Whether the key may trade on a market.
    Trades(LegKind, bool),
    /// Whether a perp has one position, not one a side.
    OneWay(bool),
    /// Whether several assets are margin for perps.
    ManyAssets(bool),
    /// Whether a perp's margin is the whole wallet.
    Cross(InstrumentId, bool),
    /// Perp notional per unit of margin.
    Leverage(InstrumentId, u32),
    /// Whether a market's fees are taken in the venue's own coin.
    FeeCoin(LegKind, bool),
}

/// What the operator wants, to hold the facts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Perp notional per unit of margin.
    pub leverage: u32,
    /// Whether the key is one of a test exchange, which may not tell all of it.
    pub test: bool,
}

/// What is in the way of trading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The key may move money out.
    Withdraws,
    /// The key works from anywhere.
    Unbound,
    /// The key may not trade on a market.
    MayNot(LegKind),
    /// A perp may have two positions.
    TwoWay,
    /// Several assets are margin.
    ManyAssets,
    /// Perps whose margin is not the whole wallet.
    Isolated(Vec<Symbol>),
    /// Perps with another leverage, and which is wanted.
    Leverage(Vec<(Symbol, u32)>, u32),
    /// A market's fees are taken in the venue's own coin.
    FeeCoin(LegKind),
    /// The venue did not tell a part, and a live key is not taken on trust.
    Untold(Part),
}

impl Objection {
    /// What is wrong, in any venue's words.
    #[must_use]
    pub fn what(&self) -> String {
        let market = |leg: &LegKind| match leg {
            LegKind::Spot => "spot",
            LegKind::Perp => "perps",
        };
        // A few names tell it; hundreds would hide it.
        let some = |names: &mut dyn Iterator<Item = String>| {
            let all: Vec<String> = names.collect();
            let more = if all.len() > 5 { format!(" and {} more", all.len() - 5) } else { String::new() };
            format!("{}{more}", all[..all.len().min(5)].join(", "))
        };
        match self {
            Self::Withdraws => "this key may withdraw".to_owned(),
            Self::Unbound => "this key is bound to no addresses".to_owned(),
            Self::MayNot(leg) => format!("this key may not trade {}", market(leg)),
            Self::TwoWay => "positions are in hedge mode, and one-way is wanted".to_owned(),
            Self::ManyAssets => "several assets are margin, and one is wanted".to_owned(),
            Self::Isolated(of) => {
                let names = some(&mut of.iter().map(ToString::to_string));
                format!("margin is isolated and cross is wanted on {names}")
            }
            Self::Leverage(of, wanted) => {
                let names = some(&mut of.iter().map(|(symbol, is)| format!("{symbol} ({is})")));
                format!("leverage is not {wanted} on {names}")
            }
            Self::FeeCoin(leg) => {
                format!(
                    "fees of {} are taken in the venue's own coin, which is not reckoned with",
                    market(leg)
                )
            }
            Self::Untold(part) => format!("the venue does not tell how the account stands ({part:?})"),
        }
    }
}

/// What of the facts is in the way; `untold`: parts without an answer. A fact that should be there and is not
/// counts as the worst it could say.
#[must_use]
pub fn objections(
    facts: &[Fact],
    untold: &[Part],
    wants: Wants,
    instruments: &Instruments,
) -> Vec<Objection> {
    let told = |part: Part| !untold.contains(&part);
    let has = |fact: Fact| facts.contains(&fact);
    let mut found = Vec::new();
    if told(Part::Rights) {
        if !has(Fact::Withdraws(false)) {
            found.push(Objection::Withdraws);
        }
        if !has(Fact::Bound(true)) {
            found.push(Objection::Unbound);
        }
        let barred = LegKind::BOTH.into_iter().filter(|leg| !has(Fact::Trades(*leg, true)));
        found.extend(barred.map(Objection::MayNot));
    }
    if told(Part::Modes) {
        if !has(Fact::OneWay(true)) {
            found.push(Objection::TwoWay);
        }
        if !has(Fact::ManyAssets(false)) {
            found.push(Objection::ManyAssets);
        }
    }
    for leg in LegKind::BOTH {
        if told(Part::FeeCoin(leg)) && !has(Fact::FeeCoin(leg, false)) {
            found.push(Objection::FeeCoin(leg));
        }
    }
    if told(Part::Perps) {
        let perps = || instruments.instruments.iter().filter(|row| row.leg == LegKind::Perp);
        let isolated: Vec<Symbol> =
            perps().filter(|row| !has(Fact::Cross(row.id, true))).map(|row| row.symbol).collect();
        if !isolated.is_empty() {
            found.push(Objection::Isolated(isolated));
        }
        let leverage = |id| {
            facts.iter().find_map(|fact| match fact {
                Fact::Leverage(of, is) if *of == id => Some(*is),
                _ => None,
            })
        };
        let others: Vec<(Symbol, u32)> = perps()
            .map(|row| (row.symbol, leverage(row.id).unwrap_or(0)))
            .filter(|(_, is)| *is != wants.leverage)
            .collect();
        if !others.is_empty() {
            found.push(Objection::Leverage(others, wants.leverage));
        }
    }
    if !wants.test {
        found.extend(untold.iter().copied().map(Objection::Untold));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample::{instrument, instruments};

    const WANTS: Wants = Wants { leverage: 2, test: false };

    fn perps() -> Instruments {
        instruments(vec![
            instrument(LegKind::Spot, "BTCUSDT", 2, 5),
            instrument(LegKind::Perp, "BTCUSDT", 1, 3),
            instrument(LegKind::Perp, "ETHUSDT", 2, 3),
        ])
    }

    fn sound() -> Vec<Fact> {
        let mut facts = vec![Fact::Withdraws(false), Fact::Bound(true)];
        facts.extend([Fact::OneWay(true), Fact::ManyAssets(false)]);
        for leg in LegKind::BOTH {
            facts.extend([Fact::Trades(leg, true), Fact::FeeCoin(leg, false)]);
        }
        for id in [1, 2].map(InstrumentId) {
            facts.extend([Fact::Cross(id, true), Fact::Leverage(id, 2)]);
        }
        facts
    }

    #[test]
    fn each_fact_that_is_missing_or_turned_is_in_the_way_alone() {
        assert_eq!(objections(&sound(), &[], WANTS, &perps()), []);
        for at in 0..sound().len() {
            let mut facts = sound();
            let gone = facts.remove(at);
            let found = objections(&facts, &[], WANTS, &perps());
            assert_eq!(found.len(), 1, "without {gone:?}: {found:?}");
            facts.push(match gone {
                Fact::Withdraws(is) => Fact::Withdraws(!is),
                Fact::Bound(is) => Fact::Bound(!is),
                Fact::Trades(leg, is) => Fact::Trades(leg, !is),
                Fact::OneWay(is) => Fact::OneWay(!is),
                Fact::ManyAssets(is) => Fact::ManyAssets(!is),
                Fact::Cross(id, is) => Fact::Cross(id, !is),
                Fact::Leverage(id, is) => Fact::Leverage(id, is + 1),
                Fact::FeeCoin(leg, is) => Fact::FeeCoin(leg, !is),
            });
            let turned = objections(&facts, &[], WANTS, &perps());
            assert_eq!(turned.len(), 1, "{gone:?} turned: {turned:?}");
            assert!(!turned[0].what().is_empty());
        }
    }

    #[test]
    fn a_live_key_is_not_taken_on_trust_and_a_test_key_is() {
        let rights = |fact: &Fact| matches!(fact, Fact::Withdraws(_) | Fact::Bound(_) | Fact::Trades(..));
        let facts: Vec<Fact> = sound().into_iter().filter(|fact| !rights(fact)).collect();
        let untold = [Part::Rights];
        assert_eq!(objections(&facts, &untold, WANTS, &perps()), [Objection::Untold(Part::Rights)]);
        assert_eq!(objections(&facts, &untold, Wants { test: true, ..WANTS }, &perps()), []);
        // What a test exchange does tell must be right all the same.
        let found = objections(&sound()[1..], &[], Wants { test: true, ..WANTS }, &perps());
        assert_eq!(found, [Objection::Withdraws]);
    }

    #[test]
    fn a_few_names_are_told_and_the_rest_counted() {
        let names = |n: usize| (0..n).map(|n| format!("C{n}USDT").parse().unwrap()).collect();
        assert_eq!(
            Objection::Isolated(names(6)).what(),
            "margin is isolated and cross is wanted on C0USDT, C1USDT, C2USDT, C3USDT, C4USDT and 1 more"
        );
        let one = vec![("BTCUSDT".parse().unwrap(), 20)];
        assert_eq!(Objection::Leverage(one, 2).what(), "leverage is not 2 on BTCUSDT (20)");
    }
}
