//! OKX's clock, its prices and funding of all symbols at once, and what was settled.
//!
//! Owns:  the questions and readings of [`TICKERS`] and [`SETTLED`].
//! Never: makes a 0 of what is missing, or takes a forecast for what was settled.
//! Wire:  okx.md §3.3 and §7.
//! Quirk: `fundingTime` is the coming settlement and `nextFundingTime` the one behind it; the interval is what lies
//!        between. A ticker's quantities are contracts on swaps.

use super::kind;
use crate::event::Instrument;
use crate::units::decimal::parse_i128;
use crate::units::time::SEC;
use crate::units::{Amount, BadDecimal, LegKind, Unix};
use crate::venue::answer::{Envelope, rows};
use crate::venue::audit::Rows;
use crate::venue::fields::{Fields, refused};
use crate::venue::funding::SettledRow;
use crate::venue::open::{Behind, Settled, TickerRow, Tickers, Told};
use crate::venue::symbols::Known;
use crate::venue::{Ask, BadBody, Refused, Symbols, Why};

/// Every v5 answer. Those of v3 had `error_code` beside it.
const ENVELOPE: Envelope = Envelope { code: "code", text: "msg", retired: &["error_code", "error_message"] };

/// Both books, the marks, and the funding.
pub(super) const TICKERS: [Tickers; 4] = [
    Tickers {
        leg: LegKind::Spot,
        books: true,
        request: || tickers(LegKind::Spot),
        read: |body, symbols| read_tickers(LegKind::Spot, body, symbols),
    },
    Tickers {
        leg: LegKind::Perp,
        books: true,
        request: || tickers(LegKind::Perp),
        read: |body, symbols| read_tickers(LegKind::Perp, body, symbols),
    },
    Tickers {
        leg: LegKind::Perp,
        books: false,
        request: || Ask::plain("/api/v5/public/mark-price?instType=SWAP".to_owned()),
        read: |body, symbols| told(LegKind::Perp, body, symbols, read_mark),
    },
    Tickers {
        leg: LegKind::Perp,
        books: false,
        request: || Ask::plain("/api/v5/public/funding-rate?instId=ANY".to_owned()),
        read: |body, symbols| told(LegKind::Perp, body, symbols, read_funding),
    },
];

/// What was settled, 400 rows a page, of three months.
pub(super) const SETTLED: Settled = Settled { request: settled, read: read_settled, page: PAGE };

const PAGE: usize = 400;
const HOUR_NS: i64 = 3_600 * SEC as i64;

/// The rows of a good answer.
pub(super) fn list<T>(
    body: &mut [u8],
    read: impl FnOnce(Vec<Fields<'_, '_>>) -> Result<T, BadBody>,
) -> Result<T, BadBody> {
    ENVELOPE.open(body, |whole| read(rows(&whole.get("data")?, "data")?))
}

/// Reads the venue's clock.
pub(super) fn read_time(body: &mut [u8]) -> Result<Unix, BadBody> {
    list(body, |rows| match &rows[..] {
        [row] => Ok(row.stamp_text("ts")?),
        _ => Err(BadBody::Field("data")),
    })
}

fn tickers(leg: LegKind) -> Ask {
    Ask::plain(format!("/api/v5/market/tickers?instType={}", kind(leg)))
}

fn read_tickers(leg: LegKind, body: &mut [u8], symbols: &Symbols) -> Result<Told, BadBody> {
    told(leg, body, symbols, |row, known| {
        Ok(TickerRow {
            instrument: known.id,
            bid: row.side("bidPx", "bidSz", known)?,
            ask: row.side("askPx", "askSz", known)?,
            turnover: if leg == LegKind::Perp { turnover(row) } else { None },
            ..TickerRow::default()
        })
    })
}

/// Coins that changed hands, at the last price; `None` where one of both is not told, or has more digits than fit.
fn turnover(row: &Fields<'_, '_>) -> Option<Amount> {
    let number = |name, scale| parse_i128(row.said(name).ok()??.as_bytes(), scale).ok();
    const { assert!(Amount::SCALE == 8 + 10) };
    number("volCcy24h", 8)?.checked_mul(number("last", 10)?).map(Amount)
}

/// What rows that name their instrument tell, of those among the symbols.
fn told(
    leg: LegKind,
    body: &mut [u8],
    symbols: &Symbols,
    read: impl Fn(&Fields<'_, '_>, Known) -> Result<TickerRow, Refused>,
) -> Result<Told, BadBody> {
    list(body, |rows| {
        let mut told = Told::default();
        for row in &rows {
            let symbol = row.text("instId")?;
            let Some(known) = symbols.find(leg, symbol.as_bytes()) else { continue };
            told.take(symbol, read(row, known));
        }
        Ok(told)
    })
}

fn read_mark(row: &Fields<'_, '_>, known: Known) -> Result<TickerRow, Refused> {
    Ok(TickerRow { instrument: known.id, mark: row.mark("markPx", known)?, ..TickerRow::default() })
}

fn read_funding(row: &Fields<'_, '_>, known: Known) -> Result<TickerRow, Refused> {
    let (coming, behind) = (row.moment("fundingTime")?, row.moment("nextFundingTime")?);
    let hours = match (coming, behind) {
        (Some(coming), Some(behind)) => {
            let between = behind.0 - coming.0;
            let hours = u32::try_from(between / HOUR_NS).ok().filter(|hours| (1..=24).contains(hours));
            let whole = hours.filter(|_| between % HOUR_NS == 0);
            Some(whole.ok_or(refused("nextFundingTime", Why::Decimal(BadDecimal::Range)))?)
        }
        _ => None,
    };
    let (low, high) = (row.rate("minFundingRate")?, row.rate("maxFundingRate")?);
    Ok(TickerRow {
        instrument: known.id,
        funding: row.rate("fundingRate")?,
        next_funding: coming,
        hours,
        bounds: low.zip(high).map(|(low, high)| [low, high]),
        ..TickerRow::default()
    })
}

fn settled(row: &Instrument, behind: Behind) -> Ask {
    let after = behind.oldest.map_or(String::new(), |oldest| format!("&after={}", oldest.as_ms()));
    Ask::plain(format!("/api/v5/public/funding-rate-history?instId={}{after}&limit={PAGE}", row.symbol))
}

fn read_settled(body: &mut [u8], instrument: &Instrument) -> Rows<SettledRow> {
    list(body, |rows| {
        let read = rows.iter().map(|row| {
            if row.text("instId")? != instrument.symbol.as_str() {
                return Err(BadBody::Field("instId"));
            }
            let rate = row.rate("realizedRate")?;
            Ok(SettledRow {
                at: row.stamp_text("fundingTime")?,
                rate: rate.ok_or(BadBody::Field("realizedRate"))?,
            })
        });
        read.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::decimal::short;
    use crate::units::{Price, Qty, Rate};
    use crate::venue::sample::{fixture_of, instrument, instruments};

    fn fixture(name: &str) -> String {
        String::from_utf8(fixture_of("okx", name)).unwrap()
    }

    fn symbols() -> Symbols {
        let row = |leg, symbol| Instrument { venue: super::super::ID, ..instrument(leg, symbol, 2, 2) };
        let rows = vec![row(LegKind::Spot, "BTC-USDT"), row(LegKind::Perp, "BTC-USDT-SWAP")];
        Symbols::new(&instruments(rows), super::super::ID)
    }

    fn read(at: usize, text: &str) -> Result<Told, BadBody> {
        (TICKERS[at].read)(&mut text.to_owned().into_bytes(), &symbols())
    }

    #[test]
    fn the_clock_is_read_and_refusals_are_told() {
        let time = |text: &str| read_time(&mut text.to_owned().into_bytes());
        assert_eq!(time(&fixture("rest_server_time.json")), Ok(Unix(1_597_026_383_085_000_000)));
        let refused = time(&fixture("rest_error_rate_limited.json"));
        assert_eq!(refused, Err(BadBody::Code { code: 50_011, text: "Too Many Requests".to_owned() }));
        assert_eq!(time(r#"{"code":"0","data":[]}"#), Err(BadBody::Field("data")));
        let old = r#"{"code":30001,"error_code":"30001","error_message":"","message":""}"#;
        assert_eq!(time(old), Err(BadBody::Retired("error_code")));
    }

    #[test]
    fn books_marks_and_funding_come_by_questions_of_their_own() {
        let book = fixture("rest_tickers.json").replace("BTC-USD-SWAP", "BTC-USDT-SWAP");
        let told = read(1, &book).unwrap();
        assert_eq!(told.rows.len(), 1, "the other row is no instrument of ours");
        assert_eq!(told.rows[0].ask, Some((Price(999_999), Qty(1_100))));
        assert_eq!(read(0, &book).unwrap().rows, [], "no swap is a spot market");
        assert_eq!(read(2, &fixture("rest_mark_price.json")).unwrap().rows[0].mark, Some(Price(20_000)));
        let text = fixture("rest_funding_rate.json");
        let row = read(3, &text).unwrap().rows[0];
        assert_eq!(row.next_funding, Some(Unix(1_743_609_600_000_000_000)), "the coming one, not the next");
        assert_eq!((row.hours, row.bid), (Some(8), None));
        assert_eq!(short(row.funding.unwrap().0.into(), Rate::SCALE), "0.0000182221218054");
        assert_eq!(row.bounds, Some([Rate(-3_750_000_000_000_000), Rate(3_750_000_000_000_000)]));
        // Seven hours and a half are no interval; an empty rate is none, and no 0.
        let odd = read(3, &text.replace("1743638400000", "1743636600000")).unwrap();
        assert_eq!((odd.rows.len(), odd.refused[0].1.field), (0, "nextFundingTime"));
        let empty = read(3, &text.replace("0.0000182221218054", "")).unwrap().rows[0];
        assert_eq!((empty.funding, empty.hours), (None, Some(8)));
    }

    #[test]
    fn what_was_settled_is_the_realized_rate_and_is_read_back_from_now() {
        let perp = instrument(LegKind::Perp, "BTC-USD-SWAP", 2, 3);
        let path = "/api/v5/public/funding-rate-history?instId=BTC-USD-SWAP";
        assert_eq!(settled(&perp, Behind::default()).path, format!("{path}&limit=400"));
        let text = fixture("rest_funding_rate_history.json");
        let rows = read_settled(&mut text.clone().into_bytes(), &perp).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(short(rows[0].rate.0.into(), Rate::SCALE), "0.0000746572360545");
        let behind = Behind { oldest: Some(rows[1].at), pages: 1 };
        assert_eq!(settled(&perp, behind).path, format!("{path}&after=1703030400000&limit=400"));
        let forecast = text.replace("0.0000746572360545", "");
        let read = read_settled(&mut forecast.into_bytes(), &perp);
        assert_eq!(read, Err(BadBody::Field("realizedRate")));
    }
}
