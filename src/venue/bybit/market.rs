//! Bybit's clock, its prices and funding of all symbols at once, and what was settled.
//!
//! Owns:  the questions and readings of [`TICKERS`] and [`SETTLED`].
//! Never: makes a 0 of what is missing: a dated contract has an empty rate.
//! Wire:  bybit.md §2 (envelope), §3.2 and §3.3.
//! Quirk: of settled funding, a start without an end is an error: a page is read back from its end.

use super::category;
use crate::event::Instrument;
use crate::units::{LegKind, Rate, Unix};
use crate::venue::answer::{Envelope, rows};
use crate::venue::audit::Rows;
use crate::venue::fields::{Fields, stamp_text};
use crate::venue::funding::SettledRow;
use crate::venue::open::{Behind, Settled, TickerRow, Tickers, Told};
use crate::venue::symbols::Known;
use crate::venue::{Ask, BadBody, Refused, Symbols};

/// Every v5 answer. Older ones spelled it `ret_code`.
pub(super) const ENVELOPE: Envelope =
    Envelope { code: "retCode", text: "retMsg", retired: &["ret_code", "ext_code"] };

/// Both markets.
pub(super) const TICKERS: [Tickers; 2] = [
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
];

/// What was settled, 200 rows a page.
pub(super) const SETTLED: Settled = Settled { request: settled, read: read_settled, page: PAGE };

const PAGE: usize = 200;

/// Reads the venue's clock: every answer's `time`, to the millisecond.
pub(super) fn read_time(body: &mut [u8]) -> Result<Unix, BadBody> {
    ENVELOPE.open(body, |whole| Ok(whole.stamp("time")?))
}

fn tickers(leg: LegKind) -> crate::venue::Ask {
    Ask::plain(format!("/v5/market/tickers?category={}", category(leg)))
}

/// The rows of a good answer about this market.
pub(super) fn list<T>(
    leg: LegKind,
    body: &mut [u8],
    read: impl FnOnce(&Fields<'_, '_>, Vec<Fields<'_, '_>>) -> Result<T, BadBody>,
) -> Result<T, BadBody> {
    ENVELOPE.open(body, |whole| {
        let result = whole.within("result")?;
        // An answer about another market would be believed of the wrong instruments. Not every answer says.
        if result.said("category")?.is_some_and(|said| said != category(leg)) {
            return Err(BadBody::Field("category"));
        }
        read(&result, rows(&result.get("list")?, "list")?)
    })
}

fn read_tickers(leg: LegKind, body: &mut [u8], symbols: &Symbols) -> Result<Told, BadBody> {
    list(leg, body, |_, rows| {
        let mut told = Told::default();
        for row in rows {
            let symbol = row.text("symbol")?;
            let Some(known) = symbols.find(leg, symbol.as_bytes()) else { continue };
            told.take(symbol, read_ticker(leg, &row, known));
        }
        Ok(told)
    })
}

fn read_ticker(leg: LegKind, row: &Fields<'_, '_>, known: Known) -> Result<TickerRow, Refused> {
    let book = TickerRow {
        instrument: known.id,
        bid: row.side("bid1Price", "bid1Size", known)?,
        ask: row.side("ask1Price", "ask1Size", known)?,
        ..TickerRow::default()
    };
    if leg == LegKind::Spot {
        return Ok(book);
    }
    Ok(TickerRow {
        mark: row.mark("markPrice", known)?,
        funding: row.rate("fundingRate")?,
        next_funding: row.moment("nextFundingTime")?,
        hours: row.hours("fundingIntervalHour")?,
        // One number for both sides.
        bounds: row.rate("fundingCap")?.map(|cap| [Rate(-cap.0), cap]),
        turnover: row.amount("turnover24h")?,
        ..book
    })
}

fn settled(row: &Instrument, behind: Behind) -> crate::venue::Ask {
    let end = behind.oldest.map_or(String::new(), |oldest| format!("&endTime={}", oldest.as_ms() - 1));
    Ask::plain(format!("/v5/market/funding/history?category=linear&symbol={}{end}&limit={PAGE}", row.symbol))
}

fn read_settled(body: &mut [u8], instrument: &Instrument) -> Rows<SettledRow> {
    list(LegKind::Perp, body, |_, rows| {
        let read = rows.iter().map(|row| {
            if row.text("symbol")? != instrument.symbol.as_str() {
                return Err(BadBody::Field("symbol"));
            }
            let at = stamp_text(row.text("fundingRateTimestamp")?);
            Ok(SettledRow {
                at: at.ok_or(BadBody::Field("fundingRateTimestamp"))?,
                rate: row.rate("fundingRate")?.ok_or(BadBody::Field("fundingRate"))?,
            })
        });
        read.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::decimal::short;
    use crate::units::{Price, Qty};
    use crate::venue::sample::{fixture_of, instrument, instruments};

    fn fixture(name: &str) -> Vec<u8> {
        fixture_of("bybit", name)
    }

    /// Symbols of one coin on both markets.
    fn symbols(symbol: &str) -> Symbols {
        let rows =
            LegKind::BOTH.map(|leg| Instrument { venue: super::super::ID, ..instrument(leg, symbol, 2, 6) });
        Symbols::new(&instruments(rows.into()), super::super::ID)
    }

    #[test]
    fn the_clock_is_read_to_the_millisecond() {
        assert_eq!(read_time(&mut fixture("rest_server_time.json")), Ok(Unix(1_688_639_403_423_000_000)));
        let refused = read_time(&mut fixture("rest_error_rate_limited.json"));
        assert_eq!(refused, Err(BadBody::Code { code: 10_006, text: "Too many visits!".to_owned() }));
        let old = br#"{"ret_code":0,"ret_msg":"OK","ext_code":"","result":{},"time_now":"1688639403.42"}"#;
        assert_eq!(read_time(&mut old.to_vec()), Err(BadBody::Retired("ret_code")));
        assert_eq!(read_time(&mut b"<html>403</html>".to_vec()), Err(BadBody::NotJson));
    }

    #[test]
    fn spot_rows_bring_a_book_and_linear_rows_funding_besides() {
        let read = |leg, body: &[u8]| read_tickers(leg, &mut body.to_vec(), &symbols("BTCUSDT"));
        let told = read(LegKind::Spot, &fixture("rest_tickers_spot.json")).unwrap();
        assert_eq!(told.rows[0].bid, Some((Price(2_051_796), Qty(2_000_000))));
        assert_eq!((told.rows[0].mark, told.rows[0].funding), (None, None));
        // The documented sample is of the inverse market: as it stands it is not believed of ours.
        let inverse = fixture("rest_tickers_linear_shape_inverse.json");
        assert_eq!(read(LegKind::Perp, &inverse), Err(BadBody::Field("category")));
        let linear =
            String::from_utf8(inverse).unwrap().replace("inverse", "linear").replace("BTCUSD\"", "BTCUSDT\"");
        let row = read(LegKind::Perp, linear.as_bytes()).unwrap().rows[0];
        assert_eq!((row.mark, row.hours), (Some(Price(11_489_843)), Some(8)));
        assert_eq!(row.next_funding, Some(Unix(1_760_371_200_000_000_000)));
        let bounds = row.bounds.unwrap().map(|rate| short(rate.0.into(), Rate::SCALE));
        assert_eq!(bounds, ["-0.005", "0.005"]);
        // What is empty is missing, and what can't be taken spoils its own row alone.
        let dated = linear.replace(r#""fundingRate":"0.0001""#, r#""fundingRate":"""#);
        let row = read(LegKind::Perp, dated.as_bytes()).unwrap().rows[0];
        assert_eq!((row.funding, row.bid.is_some()), (None, true));
        let bent = linear.replace(r#""fundingIntervalHour":"8""#, r#""fundingIntervalHour":"0""#);
        let told = read(LegKind::Perp, bent.as_bytes()).unwrap();
        assert_eq!((told.rows.len(), told.refused[0].1.field), (0, "fundingIntervalHour"));
    }

    #[test]
    fn settled_funding_is_read_back_from_its_end() {
        let perp = instrument(LegKind::Perp, "ETHPERP", 2, 3);
        let path = "/v5/market/funding/history?category=linear&symbol=ETHPERP";
        assert_eq!(settled(&perp, Behind::default()).path, format!("{path}&limit=200"));
        let rows = read_settled(&mut fixture("rest_funding_history.json"), &perp).unwrap();
        assert_eq!(
            rows,
            [SettledRow { at: Unix(1_672_041_600_000_000_000), rate: Rate(100_000_000_000_000) }]
        );
        let behind = Behind { oldest: Some(rows[0].at), pages: 1 };
        assert_eq!(settled(&perp, behind).path, format!("{path}&endTime=1672041599999&limit=200"));
        let other = instrument(LegKind::Perp, "BTCUSDT", 2, 3);
        let read = read_settled(&mut fixture("rest_funding_history.json"), &other);
        assert_eq!(read, Err(BadBody::Field("symbol")));
    }
}
