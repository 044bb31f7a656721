//! Binance's prices and marks of all symbols at once.
//!
//! Owns:  the questions and readings of [`TICKERS`].
//! Never: tells an interval or bounds: `fundingInfo` does, of the perps it names.
//! Wire:  binance.md §5, §7 (calls and weights). An empty side has price 0.

use super::account;
use crate::units::LegKind;
use crate::venue::answer::rows;
use crate::venue::fields::Fields;
use crate::venue::open::{TickerRow, Tickers, Told};
use crate::venue::symbols::Known;
use crate::venue::{BadBody, Refused, Symbols};

/// Both books, the marks, and what changed hands.
pub(super) const TICKERS: [Tickers; 4] = [
    Tickers {
        leg: LegKind::Spot,
        books: true,
        request: || account::public(LegKind::Spot, "/api/v3/ticker/bookTicker", 4),
        read: |body, symbols| read_books(LegKind::Spot, body, symbols),
    },
    Tickers {
        leg: LegKind::Perp,
        books: true,
        request: || account::public(LegKind::Perp, "/fapi/v1/ticker/bookTicker", 5),
        read: |body, symbols| read_books(LegKind::Perp, body, symbols),
    },
    Tickers { leg: LegKind::Perp, books: false, request: account::marks_request, read: read_marks },
    Tickers {
        leg: LegKind::Perp,
        books: false,
        request: || account::public(LegKind::Perp, "/fapi/v1/ticker/24hr", 40),
        read: read_days,
    },
];

/// The rows of a list about all symbols, of those that are known.
fn read_rows(
    leg: LegKind,
    what: &'static str,
    body: &mut [u8],
    symbols: &Symbols,
    read: impl Fn(&Fields<'_, '_>, Known) -> Result<TickerRow, Refused>,
) -> Result<Told, BadBody> {
    let tape = simd_json::to_tape(body).map_err(|_| BadBody::NotJson)?;
    let root = tape.as_value();
    if let Some(answer) = root.as_object() {
        return Err(account::refusal(&answer));
    }
    let mut told = Told::default();
    for row in rows(&root, what)? {
        let symbol = row.text("symbol")?;
        let Some(known) = symbols.find(leg, symbol.as_bytes()) else { continue };
        told.take(symbol, read(&row, known));
    }
    Ok(told)
}

fn read_books(leg: LegKind, body: &mut [u8], symbols: &Symbols) -> Result<Told, BadBody> {
    read_rows(leg, "bookTicker", body, symbols, |row, known| {
        Ok(TickerRow {
            instrument: known.id,
            bid: row.side("bidPrice", "bidQty", known)?,
            ask: row.side("askPrice", "askQty", known)?,
            ..TickerRow::default()
        })
    })
}

fn read_marks(body: &mut [u8], symbols: &Symbols) -> Result<Told, BadBody> {
    let rows = account::read_marks(body, symbols)?.into_iter().map(|row| TickerRow {
        instrument: row.instrument,
        mark: Some(row.mark),
        funding: row.funding,
        next_funding: row.next_funding,
        ..TickerRow::default()
    });
    Ok(Told { rows: rows.collect(), refused: Vec::new() })
}

fn read_days(body: &mut [u8], symbols: &Symbols) -> Result<Told, BadBody> {
    read_rows(LegKind::Perp, "24hr", body, symbols, |row, known| {
        let turnover = row.amount("quoteVolume")?;
        Ok(TickerRow { instrument: known.id, turnover, ..TickerRow::default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Price;
    use crate::venue::sample::{fixture, instrument, instruments};

    #[test]
    fn both_sides_are_read_and_a_side_that_is_not_there_is_no_price_of_zero() {
        let all = instruments(vec![
            instrument(LegKind::Spot, "LTCBTC", 6, 3),
            instrument(LegKind::Perp, "BTCUSDT", 2, 3),
        ]);
        let symbols = Symbols::new(&all, super::super::ID);
        let read = |leg, body: &[u8]| read_books(leg, &mut body.to_vec(), &symbols);
        let told = read(LegKind::Spot, &fixture("spot_rest_book_ticker_all.json")).unwrap();
        assert_eq!((told.rows.len(), told.refused.len()), (1, 0));
        assert_eq!(told.rows[0].bid.map(|(at, _)| at), Some(Price(4_000_000)));
        let row = |bid: &str| {
            format!(r#"[{{"symbol":"BTCUSDT","bidPrice":"{bid}","bidQty":"1","askPrice":"2","askQty":"1"}}]"#)
        };
        let told = read(LegKind::Perp, row("0.00").as_bytes()).unwrap();
        assert!(told.rows[0].bid.is_none() && told.rows[0].ask.is_some());
        let told = read(LegKind::Perp, row("1.001").as_bytes()).unwrap();
        assert_eq!((told.rows.len(), told.refused[0].1.field), (0, "bidPrice"));
        assert!(matches!(read(LegKind::Perp, br#"{"code":-1003,"msg":"x"}"#), Err(BadBody::Code { .. })));
    }
}
