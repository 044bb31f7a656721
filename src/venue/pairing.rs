//! Which spot market and which perp are the same coin, and by what factor.
//!
//! Owns:  [`pair_up`]: listed rows → `Instruments`, and a reason for each row without a partner.
//! Never: compares prices: whether a pair's prices really agree within 2 % is the gate's to check, at
//!        every entry (FAULTS F45).
//! Rule:  binance.md §17.3. The exact base first; only then a multiplier is stripped from the *perp's*
//!        base, because `1000SATS` and `1000CAT` carry the prefix on spot too; and last from both, because a
//!        venue may count spot by thousands and the perp by ten thousands. Bybit writes `SHIB1000`.

use super::{Listing, Row};
use crate::event::{Asset, Instruments, LeftOut, Pair};
use crate::units::{Amount, InstrumentId, LegKind, PairId};

/// Multipliers that perps carry in their names, longest prefix first.
const MULTIPLIERS: [(&str, i64); 4] =
    [("1000000", 1_000_000), ("10000", 10_000), ("1000", 1_000), ("1M", 1_000_000)];
/// The one that stands behind a name.
const BEHIND: (&str, i64) = ("1000", 1_000);
/// Coins of one size unit where a perp counts no contracts.
const ONE: Amount = Amount(10i128.pow(Amount::SCALE as u32));

/// Near matches that an error names.
const NEAR_MAX: usize = 5;

/// Why no instruments could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A wanted pair exists on paper only.
    #[error("{wanted} can't be traded: {reason}; take it out of the configuration")]
    LeftOut {
        /// As configured.
        wanted: String,
        /// Why.
        reason: String,
    },
    /// Nothing pairs at all.
    #[error("no spot market and perp pair up; check that both listings were loaded")]
    None,
    /// More instruments than ids.
    #[error("more than {0} instruments; name the wanted symbols in the configuration")]
    TooMany(usize),
    /// A wanted pair that nobody lists.
    #[error("{wanted} is not listed; {}", if near.is_empty() { "`pairs` shows what is".to_owned() } else { format!("did you mean {}?", near.join(", ")) })]
    Unknown {
        /// As configured.
        wanted: String,
        /// Names like it, nearest first.
        near: Vec<String>,
    },
}

/// Finds the pairs of these listings. With `wanted`, only those: each a coin (`PEPE`), a spot symbol or
/// a perp symbol (`1000PEPEUSDT`), in any case.
///
/// # Errors
///
/// [`PairError`]: a wanted name that makes no pair is never passed over.
pub fn pair_up(
    generation: u32,
    listings: &[Listing],
    wanted: Option<&[String]>,
) -> Result<Instruments, PairError> {
    let mut left_out: Vec<_> = listings.iter().flat_map(|listing| listing.left_out.iter().cloned()).collect();
    let mut matches = matches(listings, &mut left_out);
    if let Some(wanted) = wanted {
        check(wanted, &matches, &left_out)?;
        matches.retain(|found| wanted.iter().any(|name| found.is(name)));
    }
    if matches.is_empty() {
        return Err(PairError::None);
    }
    if matches.len() * 2 > usize::from(u16::MAX) {
        return Err(PairError::TooMany(usize::from(u16::MAX)));
    }
    let mut all = Instruments { generation, left_out, ..Instruments::default() };
    for (n, found) in (0u16..).zip(&matches) {
        let ids = [InstrumentId(2 * n), InstrumentId(2 * n + 1)];
        for (row, id) in [found.spot, found.perp].into_iter().zip(ids) {
            all.instruments.push(Row { id, ..row.clone() });
        }
        all.pairs.push(Pair {
            id: PairId(n),
            name: found.spot.base,
            spot: ids[0],
            perp: ids[1],
            price_factor: found.multiplier,
            size_factor: found.size_factor,
        });
    }
    Ok(all)
}

/// A spot market and a perp of one coin.
struct Match<'a> {
    spot: &'a Row,
    perp: &'a Row,
    multiplier: i64,
    /// k = multiplier × what one contract is in coins of the perp's base.
    size_factor: Amount,
}

impl Match<'_> {
    fn names(&self) -> [&str; 3] {
        [&self.spot.base, &self.spot.symbol, &self.perp.symbol]
    }

    fn is(&self, wanted: &str) -> bool {
        // A venue that writes BTC-USDT means what the others call BTCUSDT.
        let plain = |name: &str| name.replace('-', "");
        self.names().iter().any(|name| plain(name).eq_ignore_ascii_case(&plain(wanted)))
    }
}

/// All pairs, in the order of the perps' listing: exact bases first, so that a stripped name can't
/// take the spot market of a perp that carries it in full.
fn matches<'a>(listings: &'a [Listing], left_out: &mut Vec<LeftOut>) -> Vec<Match<'a>> {
    let rows =
        |leg| listings.iter().flat_map(|listing| &listing.rows).filter(move |row: &&Row| row.leg == leg);
    let spot_of = |perp: &Row, base: &str| {
        rows(LegKind::Spot)
            .find(|spot| *spot.base == *base && spot.quote == perp.quote && spot.venue == perp.venue)
    };
    // Of a contract that is not told, or of more coins than can be held, no size can be made.
    let size_of = |perp: &Row, multiplier: i64| {
        let contract = listings.iter().find_map(|listing| listing.contract(perp)).unwrap_or(ONE);
        contract.0.checked_mul(multiplier.into()).filter(|coins| *coins > 0).map(Amount)
    };
    let take = |found: &mut Vec<Match<'a>>, left_out: &mut Vec<LeftOut>, spot, perp, multiplier| match size_of(
        perp, multiplier,
    ) {
        Some(size_factor) => take(found, left_out, Match { spot, perp, multiplier, size_factor }),
        None => left_out.push(out(perp, "its contract holds no number of coins that fits".to_owned())),
    };
    let mut found: Vec<Match<'a>> = Vec::new();
    let mut others = Vec::new();
    for perp in rows(LegKind::Perp) {
        match spot_of(perp, &perp.base) {
            Some(spot) => take(&mut found, left_out, spot, perp, 1),
            None => others.push(perp),
        }
    }
    for perp in others {
        let (coin, multiplier) = coin(&perp.base);
        let plain = (multiplier > 1).then(|| spot_of(perp, coin)).flatten().map(|spot| (spot, multiplier));
        let scaled = || {
            MULTIPLIERS.iter().find_map(|(prefix, of_spot)| {
                let spot = spot_of(perp, &format!("{prefix}{coin}"))?;
                (multiplier % of_spot == 0).then_some((spot, multiplier / of_spot))
            })
        };
        match plain.or_else(scaled) {
            Some((spot, multiplier)) => take(&mut found, left_out, spot, perp, multiplier),
            None => left_out
                .push(out(perp, format!("no spot market trades its base {} for {}", perp.base, perp.quote))),
        }
    }
    for spot in rows(LegKind::Spot) {
        if !found.iter().any(|other| std::ptr::eq(other.spot, spot)) {
            left_out.push(out(spot, format!("no perp trades its base {}", spot.base)));
        }
    }
    found
}

/// A spot market serves one perp; a second one is left out.
fn take<'a>(found: &mut Vec<Match<'a>>, left_out: &mut Vec<LeftOut>, new: Match<'a>) {
    match found.iter().find(|other| std::ptr::eq(other.spot, new.spot)) {
        Some(other) => left_out.push(out(
            new.perp,
            format!("spot {} is paired with {} already", new.spot.symbol, other.perp.symbol),
        )),
        None => found.push(new),
    }
}

fn out(row: &Row, reason: String) -> LeftOut {
    LeftOut { leg: row.leg, symbol: row.symbol.to_string(), reason }
}

/// A base without the multiplier in its name, and the multiplier: `^(1000000|1M|10000|1000)` or `1000$`. The
/// name alone proves nothing: whether the prices agree is for whoever has them to check.
#[must_use]
pub fn coin(base: &Asset) -> (&str, i64) {
    let before = MULTIPLIERS.iter().filter_map(|&(prefix, many)| Some((base.strip_prefix(prefix)?, many)));
    let behind = base.strip_suffix(BEHIND.0).map(|rest| (rest, BEHIND.1));
    before.chain(behind).find(|(rest, _)| !rest.is_empty()).unwrap_or((base, 1))
}

fn check(wanted: &[String], matches: &[Match<'_>], left_out: &[LeftOut]) -> Result<(), PairError> {
    for name in wanted {
        if matches.iter().any(|found| found.is(name)) {
            continue;
        }
        let known = left_out.iter().find(|out| out.symbol.eq_ignore_ascii_case(name));
        return Err(match known {
            Some(out) => PairError::LeftOut { wanted: name.clone(), reason: out.reason.clone() },
            None => PairError::Unknown { wanted: name.clone(), near: near(name, matches) },
        });
    }
    Ok(())
}

/// Listed names a typing slip away from `wanted`, or with it inside, nearest first.
fn near(wanted: &str, matches: &[Match<'_>]) -> Vec<String> {
    let wanted = wanted.to_ascii_uppercase();
    let mut near: Vec<(usize, &str)> = matches
        .iter()
        .flat_map(|found| [found.names()[0], found.names()[1], found.names()[2]])
        .map(|name| (slips(&wanted, name), name))
        .filter(|&(slips, name)| {
            slips <= 1 + wanted.len() / 4
                || (wanted.len() > 2 && (name.contains(&wanted) || wanted.contains(name)))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(NEAR_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be put in, taken out or replaced to make `b` of `a` (Levenshtein).
fn slips(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::sample::instrument;

    fn listings(spot: &[&str], perps: &[&str]) -> Vec<Listing> {
        let rows = |leg, bases: &[&str]| {
            bases.iter().map(|base| instrument(leg, &format!("{base}USDT"), 2, 3)).collect::<Vec<_>>()
        };
        let listing = |rows| Listing { rows, ..Listing::default() };
        vec![listing(rows(LegKind::Spot, spot)), listing(rows(LegKind::Perp, perps))]
    }

    fn lines(all: &Instruments) -> Vec<String> {
        let symbol = |id| all.get(id).symbol;
        all.pairs
            .iter()
            .map(|pair| {
                format!(
                    "{}: {} with {} x{} k {}",
                    pair.name,
                    symbol(pair.spot),
                    symbol(pair.perp),
                    pair.price_factor,
                    pair.size_factor
                )
            })
            .collect()
    }

    #[test]
    fn the_exact_base_comes_first_and_only_then_a_multiplier_is_stripped() {
        let all = pair_up(
            3,
            &listings(
                &["BTC", "PEPE", "1000SATS", "1000CAT", "MOG", "BABYDOGE", "LUNA", "BOB", "X", "1MX"],
                &[
                    "1000PEPE",
                    "BTC",
                    "1000SATS",
                    "1000CAT",
                    "1000000MOG",
                    "1MBABYDOGE",
                    "LUNA2",
                    "10000BOB",
                    "BTCDOM",
                    "1MX",
                    "1000",
                ],
            ),
            None,
        )
        .unwrap();
        assert_eq!(
            lines(&all),
            [
                "BTC: BTCUSDT with BTCUSDT x1 k 1",
                "1000SATS: 1000SATSUSDT with 1000SATSUSDT x1 k 1",
                "1000CAT: 1000CATUSDT with 1000CATUSDT x1 k 1",
                "1MX: 1MXUSDT with 1MXUSDT x1 k 1",
                "PEPE: PEPEUSDT with 1000PEPEUSDT x1000 k 1000",
                "MOG: MOGUSDT with 1000000MOGUSDT x1000000 k 1000000",
                "BABYDOGE: BABYDOGEUSDT with 1MBABYDOGEUSDT x1000000 k 1000000",
                "BOB: BOBUSDT with 10000BOBUSDT x10000 k 10000",
            ]
        );
        let left: Vec<String> =
            all.left_out.iter().map(|out| format!("{}: {}", out.symbol, out.reason)).collect();
        assert_eq!(
            left,
            [
                "LUNA2USDT: no spot market trades its base LUNA2 for USDT",
                "BTCDOMUSDT: no spot market trades its base BTCDOM for USDT",
                "1000USDT: no spot market trades its base 1000 for USDT",
                "LUNAUSDT: no perp trades its base LUNA",
                "XUSDT: no perp trades its base X",
            ]
        );
        assert_eq!(all.generation, 3);
        for (n, row) in all.instruments.iter().enumerate() {
            assert_eq!(usize::from(row.id.0), n);
        }
        for (n, pair) in all.pairs.iter().enumerate() {
            assert_eq!(usize::from(pair.id.0), n);
            assert_eq!((all.get(pair.spot).leg, all.get(pair.perp).leg), (LegKind::Spot, LegKind::Perp));
        }
    }

    #[test]
    fn a_multiplier_may_stand_behind_on_both_sides_or_be_a_contract() {
        let mut listings = listings(
            &["SHIB", "1000SATS", "PEPE", "BONK"],
            &["SHIB1000", "10000SATS", "PEPE", "1000BONK", "100SATS"],
        );
        let contract = |base: &str, coins: &str| {
            (format!("{base}USDT").parse().unwrap(), Amount::parse(coins.as_bytes()).unwrap())
        };
        listings[1].contracts =
            vec![contract("PEPE", "10000000"), contract("SHIB1000", "0.1"), contract("1000BONK", "0")];
        let all = pair_up(1, &listings, None).unwrap();
        assert_eq!(
            lines(&all),
            [
                "PEPE: PEPEUSDT with PEPEUSDT x1 k 10000000",
                "SHIB: SHIBUSDT with SHIB1000USDT x1000 k 100",
                "1000SATS: 1000SATSUSDT with 10000SATSUSDT x10 k 10",
            ]
        );
        let left: Vec<_> =
            all.left_out.iter().map(|out| (out.symbol.as_str(), out.reason.as_str())).collect();
        assert_eq!(
            left,
            [
                ("1000BONKUSDT", "its contract holds no number of coins that fits"),
                ("100SATSUSDT", "no spot market trades its base 100SATS for USDT"),
                ("BONKUSDT", "no perp trades its base BONK"),
            ]
        );
    }

    #[test]
    fn a_spot_market_serves_one_perp_and_the_exact_one_wins() {
        let all = pair_up(1, &listings(&["PEPE"], &["1000PEPE", "PEPE"]), None).unwrap();
        assert_eq!(lines(&all), ["PEPE: PEPEUSDT with PEPEUSDT x1 k 1"]);
        assert_eq!(
            all.left_out,
            [LeftOut {
                leg: LegKind::Perp,
                symbol: "1000PEPEUSDT".to_owned(),
                reason: "spot PEPEUSDT is paired with PEPEUSDT already".to_owned(),
            }]
        );
    }

    #[test]
    fn wanted_names_choose_and_an_unknown_one_is_an_error_with_near_matches() {
        let listings = listings(&["BTC", "ETH", "PEPE", "DOGE"], &["BTC", "ETH", "1000PEPE", "XAU"]);
        let want = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            pair_up(1, &listings, Some(&names)).map(|all| lines(&all).len())
        };
        for names in [&["pepe"][..], &["PEPEUSDT"], &["1000pepeusdt"], &["ETHUSDT", "ETH"]] {
            assert_eq!(want(names), Ok(1), "{names:?}");
        }
        assert_eq!(want(&["BTC", "PEPE"]), Ok(2));
        assert_eq!(
            want(&["BTCUSD"]).unwrap_err().to_string(),
            "BTCUSD is not listed; did you mean BTCUSDT, BTC?"
        );
        assert_eq!(
            want(&["BTC", "QQQQQQ"]).unwrap_err().to_string(),
            "QQQQQQ is not listed; `pairs` shows what is"
        );
        assert_eq!(
            want(&["XAUUSDT"]).unwrap_err().to_string(),
            "XAUUSDT can't be traded: no spot market trades its base XAU for USDT; take it out of the configuration"
        );
        assert_eq!(want(&[]), Err(PairError::None));
    }

    #[test]
    fn slips_are_counted_as_levenshtein_does() {
        for (a, b, expected) in
            [("", "", 0), ("", "AB", 2), ("BTC", "BTC", 0), ("KITTEN", "SITTING", 3), ("AB", "BA", 2)]
        {
            assert_eq!(slips(a, b), expected, "{a} {b}");
            assert_eq!(slips(b, a), expected, "{b} {a}");
        }
    }
}
