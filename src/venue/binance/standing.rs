//! Binance: how an account stands, in the words of its pages.
//!
//! Owns:  the requests for key rights, modes, leverage and fee coins, their reading, and what to do about each.
//! Wire:  binance.md §5 (`/sapi`), §7 (`accountConfig`, `symbolConfig`, `feeBurn`).
//! Quirk: the demo and test hosts have no `/sapi`: rights and spot's fee coin stay untold there.

use super::account::{object, refusal, signed};
use crate::units::{LegKind, Unix};
use crate::venue::json::{flag, text, uint};
use crate::venue::standing::{Fact, Objection, Part, Standing};
use crate::venue::{Ask, BadBody, Key, Symbols};

/// Binance's part of the table.
pub(super) const STANDING: Standing = Standing {
    parts: &[
        Part::Rights,
        Part::FeeCoin(LegKind::Spot),
        Part::FeeCoin(LegKind::Perp),
        Part::Modes,
        Part::Perps,
    ],
    ask,
    read,
    fix,
};

fn ask(part: Part, key: &Key, at: Unix, window_ms: u32) -> Ask {
    let (leg, path, weight) = match part {
        Part::Rights => (LegKind::Spot, "/sapi/v1/account/apiRestrictions", 1),
        Part::FeeCoin(LegKind::Spot) => (LegKind::Spot, "/sapi/v1/bnbBurn", 1),
        Part::FeeCoin(LegKind::Perp) => (LegKind::Perp, "/fapi/v1/feeBurn", 30),
        Part::Modes => (LegKind::Perp, "/fapi/v1/accountConfig", 5),
        Part::Perps => (LegKind::Perp, "/fapi/v1/symbolConfig", 5),
    };
    signed(leg, path, "", weight, key, at, window_ms)
}

fn read(part: Part, body: &mut [u8], symbols: &Symbols) -> Result<Vec<Fact>, BadBody> {
    let is = |found: Option<bool>, field| found.ok_or(BadBody::Field(field));
    match part {
        Part::Rights => object(body, |answer| {
            let right = |name| is(flag(answer, name), name);
            Ok(vec![
                Fact::Withdraws(right("enableWithdrawals")?),
                Fact::Bound(right("ipRestrict")?),
                Fact::Trades(LegKind::Spot, right("enableSpotAndMarginTrading")?),
                Fact::Trades(LegKind::Perp, right("enableFutures")?),
            ])
        }),
        Part::FeeCoin(leg) => object(body, |answer| {
            let name = if leg == LegKind::Spot { "spotBNBBurn" } else { "feeBurn" };
            Ok(vec![Fact::FeeCoin(leg, is(flag(answer, name), name)?)])
        }),
        Part::Modes => object(body, |answer| {
            Ok(vec![
                Fact::OneWay(!is(flag(answer, "dualSidePosition"), "dualSidePosition")?),
                Fact::ManyAssets(is(flag(answer, "multiAssetsMargin"), "multiAssetsMargin")?),
            ])
        }),
        Part::Perps => perps(body, symbols),
    }
}

fn perps(body: &mut [u8], symbols: &Symbols) -> Result<Vec<Fact>, BadBody> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    let Some(rows) = root.as_array() else {
        return Err(root.as_object().map_or(BadBody::Field("symbolConfig"), |answer| refusal(&answer)));
    };
    let mut facts = Vec::new();
    for row in rows.iter() {
        let row = row.as_object().ok_or(BadBody::Field("symbolConfig"))?;
        let symbol = text(&row, "symbol").ok_or(BadBody::Field("symbol"))?;
        let Some(known) = symbols.find(LegKind::Perp, symbol.as_bytes()) else { continue };
        let margin = text(&row, "marginType").ok_or(BadBody::Field("marginType"))?;
        let leverage = uint(&row, "leverage").and_then(|n| u32::try_from(n).ok());
        facts.push(Fact::Cross(known.id, margin.eq_ignore_ascii_case("CROSSED")));
        facts.push(Fact::Leverage(known.id, leverage.ok_or(BadBody::Field("leverage"))?));
    }
    Ok(facts)
}

fn fix(objection: &Objection) -> String {
    match objection {
        Objection::Withdraws => {
            "make a key without \"Enable Withdrawals\" (API Management), and delete this one".to_owned()
        }
        Objection::Unbound => {
            "restrict it to this host's address (API Management, \"Restrict access to trusted IPs only\")"
                .to_owned()
        }
        Objection::MayNot(LegKind::Spot) => {
            "tick \"Enable Spot & Margin Trading\" for it (API Management)".to_owned()
        }
        Objection::MayNot(LegKind::Perp) => "tick \"Enable Futures\" for it (API Management)".to_owned(),
        Objection::TwoWay => {
            "close all positions and orders, then Futures, Preferences, Position Mode: One-way".to_owned()
        }
        Objection::ManyAssets => "set Futures, Preferences, Asset Mode: Single-Asset Mode".to_owned(),
        Objection::Isolated(_) => "set Cross for each of them (Futures, beside the price chart)".to_owned(),
        Objection::Leverage(_, wanted) => {
            format!(
                "set {wanted}x for each of them (Futures, beside the price chart), or give --leverage what it is"
            )
        }
        Objection::FeeCoin(LegKind::Spot) => {
            "switch \"Use BNB to pay for fees\" off (Dashboard, Fee Level)".to_owned()
        }
        Objection::FeeCoin(LegKind::Perp) => {
            "switch \"Use BNB to pay for fees\" off (Futures, Preferences)".to_owned()
        }
        Objection::Untold(_) => "check that --endpoint names Binance's own hosts, and try again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::InstrumentId;
    use crate::venue::sample::{fixture, instrument, instruments};

    fn symbols() -> Symbols {
        let all = instruments(vec![instrument(LegKind::Perp, "BTCUSDT", 1, 3)]);
        Symbols::new(&all, all.instruments[0].venue)
    }

    #[test]
    fn every_part_is_read_from_the_venues_own_sample() {
        let read = |part, name: &str| read(part, &mut fixture(name), &symbols()).unwrap();
        assert_eq!(
            read(Part::Rights, "wallet_rest_api_restrictions.json"),
            [
                Fact::Withdraws(false),
                Fact::Bound(false),
                Fact::Trades(LegKind::Spot, false),
                Fact::Trades(LegKind::Perp, false)
            ]
        );
        assert_eq!(
            read(Part::FeeCoin(LegKind::Perp), "futures_rest_fee_burn.json"),
            [Fact::FeeCoin(LegKind::Perp, true)]
        );
        assert_eq!(
            read(Part::Modes, "futures_rest_account_config.json"),
            [Fact::OneWay(false), Fact::ManyAssets(false)]
        );
        assert_eq!(
            read(Part::Perps, "futures_rest_symbol_config.json"),
            [Fact::Cross(InstrumentId(0), true), Fact::Leverage(InstrumentId(0), 21)]
        );
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        for (part, body) in [
            (Part::Rights, r#"{"enableWithdrawals":false,"ipRestrict":true,"enableFutures":true}"#),
            (Part::FeeCoin(LegKind::Spot), r#"{"interestBNBBurn":false}"#),
            (Part::Modes, r#"{"dualSidePosition":"false","multiAssetsMargin":false}"#),
            (Part::Perps, r#"[{"symbol":"BTCUSDT","marginType":"CROSSED"}]"#),
            (Part::Perps, r#"{"rows":[]}"#),
        ] {
            let read = read(part, &mut body.as_bytes().to_vec(), &symbols());
            assert!(matches!(read, Err(BadBody::Field(_))), "{part:?}: {read:?}");
        }
        let refused = read(Part::Perps, &mut br#"{"code":-2015,"msg":"no"}"#.to_vec(), &symbols());
        assert!(matches!(refused, Err(BadBody::Code { code: -2015, .. })), "{refused:?}");
    }
}
