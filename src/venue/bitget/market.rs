//! Bitget's clock, its prices and funding of all symbols at once, and what was settled.
//!
//! Owns:  the questions and readings of [`TICKERS`] and [`SETTLED`].
//! Never: makes a 0 of what is empty: spot rows may hold empty texts.
//! Wire:  bitget.md §3.3. The tickers have a rate without its time; the v2 path has both, for all symbols at once.
//! Quirk: settled funding comes by the number of its page, newest first.

use super::category;
use crate::event::Instrument;
use crate::units::{LegKind, Unix};
use crate::venue::answer::{Envelope, rows};
use crate::venue::audit::Rows;
use crate::venue::fields::Fields;
use crate::venue::funding::SettledRow;
use crate::venue::open::{Behind, Settled, TickerRow, Tickers, Told};
use crate::venue::symbols::Known;
use crate::venue::{Ask, BadBody, Refused, Symbols};

/// Every answer since v2. Those of v1 wrote `err_code`, or nothing at all.
pub(super) const ENVELOPE: Envelope =
    Envelope { code: "code", text: "msg", retired: &["err_code", "err_msg"] };

/// Both books with the marks, and the funding.
pub(super) const TICKERS: [Tickers; 3] = [
    Tickers {
        leg: LegKind::Spot,
        books: true,
        request: || tickers(LegKind::Spot),
        read: |body, symbols| told(LegKind::Spot, body, symbols, read_ticker),
    },
    Tickers {
        leg: LegKind::Perp,
        books: true,
        request: || tickers(LegKind::Perp),
        read: |body, symbols| told(LegKind::Perp, body, symbols, read_ticker),
    },
    Tickers {
        leg: LegKind::Perp,
        books: false,
        request: || Ask::plain("/api/v2/mix/market/current-fund-rate?productType=usdt-futures".to_owned()),
        read: |body, symbols| told(LegKind::Perp, body, symbols, read_funding),
    },
];

/// What was settled, 200 rows a page.
pub(super) const SETTLED: Settled = Settled { request: settled, read: read_settled, page: PAGE };

const PAGE: usize = 200;

/// Reads the venue's clock.
pub(super) fn read_time(body: &mut [u8]) -> Result<Unix, BadBody> {
    ENVELOPE.open(body, |whole| Ok(whole.within("data")?.stamp_text("serverTime")?))
}

fn tickers(leg: LegKind) -> Ask {
    Ask::plain(format!("/api/v3/market/tickers?category={}", category(leg)))
}

/// What rows that name their symbol tell, of those among the symbols.
fn told(
    leg: LegKind,
    body: &mut [u8],
    symbols: &Symbols,
    read: impl Fn(&Fields<'_, '_>, Known) -> Result<TickerRow, Refused>,
) -> Result<Told, BadBody> {
    ENVELOPE.open(body, |whole| {
        let mut told = Told::default();
        for row in rows(&whole.get("data")?, "data")? {
            // An answer about another market would be believed of the wrong instruments. Not every row says.
            if row.said("category")?.is_some_and(|said| said != category(leg)) {
                return Err(BadBody::Field("category"));
            }
            let symbol = row.text("symbol")?;
            let Some(known) = symbols.find(leg, symbol.as_bytes()) else { continue };
            told.take(symbol, read(&row, known));
        }
        Ok(told)
    })
}

/// A spot row has no mark.
fn read_ticker(row: &Fields<'_, '_>, known: Known) -> Result<TickerRow, Refused> {
    Ok(TickerRow {
        instrument: known.id,
        bid: row.side("bid1Price", "bid1Size", known)?,
        ask: row.side("ask1Price", "ask1Size", known)?,
        mark: row.mark("markPrice", known)?,
        funding: row.rate("fundingRate")?,
        turnover: row.amount("turnover24h")?,
        ..TickerRow::default()
    })
}

fn read_funding(row: &Fields<'_, '_>, known: Known) -> Result<TickerRow, Refused> {
    let (low, high) = (row.rate("minFundingRate")?, row.rate("maxFundingRate")?);
    Ok(TickerRow {
        instrument: known.id,
        funding: row.rate("fundingRate")?,
        next_funding: row.moment("nextUpdate")?,
        hours: row.hours("fundingRateInterval")?,
        bounds: low.zip(high).map(|(low, high)| [low, high]),
        ..TickerRow::default()
    })
}

fn settled(row: &Instrument, behind: Behind) -> Ask {
    let (category, page) = (category(LegKind::Perp), behind.pages + 1);
    let query = format!("category={category}&symbol={}&cursor={page}&limit={PAGE}", row.symbol);
    Ask::plain(format!("/api/v3/market/history-fund-rate?{query}"))
}

fn read_settled(body: &mut [u8], instrument: &Instrument) -> Rows<SettledRow> {
    ENVELOPE.open(body, |whole| {
        let list = whole.within("data")?.get("resultList")?;
        let all = rows(&list, "resultList")?;
        let read = all.iter().map(|row| {
            if row.text("symbol")? != instrument.symbol.as_str() {
                return Err(BadBody::Field("symbol"));
            }
            let rate = row.rate("fundingRate")?.ok_or(BadBody::Field("fundingRate"))?;
            Ok(SettledRow { at: row.stamp_text("fundingRateTimestamp")?, rate })
        });
        read.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Price, Qty, Rate};
    use crate::venue::sample::{fixture_of, instrument, instruments};

    fn fixture(name: &str) -> String {
        String::from_utf8(fixture_of("bitget", name)).unwrap()
    }

    fn read(at: usize, text: &str) -> Result<Told, BadBody> {
        let row = |leg| Instrument { venue: super::super::ID, ..instrument(leg, "BTCUSDT", 1, 6) };
        let symbols = Symbols::new(&instruments(LegKind::BOTH.map(row).into()), super::super::ID);
        (TICKERS[at].read)(&mut text.to_owned().into_bytes(), &symbols)
    }

    #[test]
    fn the_clock_is_read_and_refusals_are_told() {
        let time = |text: &str| read_time(&mut text.to_owned().into_bytes());
        assert_eq!(time(&fixture("rest_v2_server_time.json")), Ok(Unix(1_688_008_631_614_000_000)));
        let code = |name: &str| match time(&fixture(name)) {
            Err(BadBody::Code { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!((code("rest_error_429.json"), code("rest_error_45001.json")), (429, 45_001));
        assert_eq!(time(r#"{"data":"1688008631614"}"#), Err(BadBody::Field("code")));
        let old = r#"{"status":"error","err_code":"40001","err_msg":"x"}"#;
        assert_eq!(time(old), Err(BadBody::Retired("err_code")));
    }

    #[test]
    fn books_and_funding_are_read_and_what_is_empty_is_not_there() {
        let spot = read(0, &fixture("rest_uta_tickers_spot.json")).unwrap().rows[0];
        assert_eq!((spot.bid, spot.ask), (Some((Price(40_380), Qty(390_495))), None));
        let text = fixture("rest_uta_tickers_futures.json");
        let perp = read(1, &text).unwrap().rows[0];
        assert_eq!((perp.mark, perp.next_funding), (Some(Price(980_000)), None));
        assert_eq!(read(0, &text), Err(BadBody::Field("category")), "futures are not believed of spot");
        let funding = read(2, &fixture("rest_v2_current_funding.json")).unwrap().rows[0];
        assert_eq!((funding.hours, funding.mark), (Some(8), None));
        assert_eq!(funding.next_funding, Some(Unix(1_743_062_400_000_000_000)));
        assert_eq!(funding.bounds, Some([Rate(-3_000_000_000_000_000), Rate(3_000_000_000_000_000)]));
        let both = perp.and(funding);
        assert_eq!((both.funding, both.mark), (Some(Rate(68_000_000_000_000)), perp.mark));
        // The v3 path for one symbol has the same rows.
        assert_eq!(read(2, &fixture("rest_uta_current_funding.json")).unwrap().rows[0].hours, Some(8));
    }

    #[test]
    fn settled_funding_is_asked_for_by_its_page() {
        let perp = instrument(LegKind::Perp, "BTCUSDT", 2, 3);
        let path = "/api/v3/market/history-fund-rate?category=USDT-FUTURES&symbol=BTCUSDT";
        assert_eq!(settled(&perp, Behind::default()).path, format!("{path}&cursor=1&limit=200"));
        let text = fixture("rest_uta_funding_history.json");
        let rows = read_settled(&mut text.clone().into_bytes(), &perp).unwrap();
        assert_eq!(
            rows[1],
            SettledRow { at: Unix(1_754_870_400_000_000_000), rate: Rate(100_000_000_000_000) }
        );
        let behind = Behind { oldest: Some(rows[1].at), pages: 1 };
        assert_eq!(settled(&perp, behind).path, format!("{path}&cursor=2&limit=200"));
        let other = instrument(LegKind::Perp, "ETHUSDT", 2, 3);
        assert_eq!(read_settled(&mut text.into_bytes(), &other), Err(BadBody::Field("symbol")));
    }
}
