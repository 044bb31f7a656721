//! Binance: how much margin a perp's position must keep, bracket by bracket.
//!
//! Owns:  the request and its reading.
//! Wire:  binance.md §7, `leverageBracket`: a list without a symbol; ratios and notionals are JSON numbers.

use super::account::signed;
use super::audit::{once_each, rows, symbol};
use crate::units::{Amount, LegKind, Unix};
use crate::venue::audit::{Bracket, Rows};
use crate::venue::json::{Object, as_digits};
use crate::venue::{Ask, BadBody, Key, Symbols};

/// 10^-18 in one part per million.
const PER_PPM: i128 = 1_000_000_000_000;

pub(super) fn ask(key: &Key, at: Unix, window_ms: u32) -> Ask {
    signed(LegKind::Perp, "/fapi/v1/leverageBracket", "", 1, key, at, window_ms)
}

pub(super) fn read(body: &mut [u8], symbols: &Symbols) -> Rows<Bracket> {
    let of_symbol = |row: &Object<'_, '_>| {
        let Some(known) = symbols.find(LegKind::Perp, symbol(row)?.as_bytes()) else { return Ok(Vec::new()) };
        let list = row.get("brackets").and_then(|list| list.as_array()).ok_or(BadBody::Field("brackets"))?;
        let one = |row: &Object<'_, '_>| {
            let (from, ratio) = (amount(row, "notionalFloor")?, amount(row, "maintMarginRatio")?);
            let ppm = u32::try_from((ratio.0 + PER_PPM - 1) / PER_PPM).ok().filter(|ppm| *ppm <= 1_000_000);
            let maintenance_ppm = ppm.ok_or(BadBody::Field("maintMarginRatio"))?;
            Ok(Bracket { instrument: known.id, from, maintenance_ppm })
        };
        let all = list.iter().map(|row| once_each(&row.as_object().ok_or(BadBody::Field("brackets"))?, one));
        let all: Vec<Bracket> = all.collect::<Result<_, BadBody>>()?;
        // A perp that says nothing would count as one that needs nothing.
        if all.is_empty() { Err(BadBody::Field("brackets")) } else { Ok(all) }
    };
    Ok(rows(body, "leverageBracket", of_symbol)?.into_iter().flatten().collect())
}

fn amount(row: &Object<'_, '_>, field: &'static str) -> Result<Amount, BadBody> {
    let digits = row.get(field).and_then(|value| as_digits(&value)).ok_or(BadBody::Field(field))?;
    let read = Amount::parse(digits.as_bytes()).map_err(|_| BadBody::Field(field))?;
    if read >= Amount::ZERO { Ok(read) } else { Err(BadBody::Field(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::InstrumentId;
    use crate::venue::sample::{fixture, instrument, instruments};

    fn symbols() -> Symbols {
        let all = instruments(vec![instrument(LegKind::Perp, "ETHUSDT", 2, 3)]);
        Symbols::new(&all, all.instruments[0].venue)
    }

    fn read(text: &str) -> Rows<Bracket> {
        super::read(&mut text.as_bytes().to_vec(), &symbols())
    }

    fn bracket(from: &str, maintenance_ppm: u32) -> Bracket {
        Bracket {
            instrument: InstrumentId(0),
            from: Amount::parse(from.as_bytes()).unwrap(),
            maintenance_ppm,
        }
    }

    #[test]
    fn brackets_are_read_of_what_trades_and_the_rest_is_passed_over() {
        let one = super::read(&mut fixture("futures_rest_leverage_bracket.json"), &symbols());
        assert_eq!(one.unwrap(), [bracket("0", 6_500)]);
        let several = r#"[{"symbol":"XYZUSDT","brackets":"anything"},{"symbol":"ETHUSDT","brackets":[
            {"bracket":1,"notionalFloor":0,"notionalCap":50000.5,"maintMarginRatio":0.004,"cum":0.0},
            {"bracket":2,"notionalFloor":50000.5,"notionalCap":1e6,"maintMarginRatio":0.0050001,"cum":50}]}]"#;
        assert_eq!(read(several).unwrap(), [bracket("0", 4_000), bracket("50000.5", 5_001)]);
    }

    #[test]
    fn what_can_not_be_read_makes_the_whole_answer_unusable() {
        let with = |brackets: &str| read(&format!(r#"[{{"symbol":"ETHUSDT","brackets":{brackets}}}]"#));
        for (brackets, field) in [
            ("[]", "brackets"),
            ("7", "brackets"),
            (r#"[{"notionalFloor":0}]"#, "maintMarginRatio"),
            (r#"[{"notionalFloor":0,"maintMarginRatio":1.5}]"#, "maintMarginRatio"),
            (r#"[{"notionalFloor":-1,"maintMarginRatio":0.1}]"#, "notionalFloor"),
        ] {
            assert_eq!(with(brackets), Err(BadBody::Field(field)), "{brackets}");
        }
        assert!(matches!(read(r#"{"code":-2015,"msg":"no"}"#), Err(BadBody::Code { code: -2015, .. })));
    }
}
