//! `contango fetch-funding`: a perp's settled funding rates from its venue, as CSV, and into a file that keeps them.
//!
//! Owns:  how far back is read, when all of it is there, and the form of the file.
//! Never: needs a key, fills a settlement that the venue does not tell, or leaves half a file behind.
//! Wire:  `funding_time_ms,funding_rate`: the venue's own stamp, some ms late at times, and the rate per interval.
//!        With `--prices` the history that `backtest` reads: full minutes, and closes (`backtest/history.rs`).

use super::boot::{self, BootError};
use super::inquiry::Inquiry;
use super::lookout::Lookout;
use super::{Exit, Settings, say};
use crate::carry::funding::{INTERVALS, full_minute};
use crate::event::{Instruments, News};
use crate::store::rates;
use crate::units::time::SEC;
use crate::units::{Amount, Rate, Unix, decimal};
use crate::venue::Open;
use crate::venue::open::{Behind, Settled};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first line of each kind of file.
const FUNDING: &str = "funding_time_ms,funding_rate";
const HISTORY: &str = "time_ms,spot_close,perp_close,funding_rate";
const HOUR_NS: i64 = 3_600 * SEC as i64;
/// The longest interval: a row younger than this, and a minute, is the newest there is.
const NEWEST_NS: i64 = (8 * 3_600 + 60) * SEC as i64;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("contango fetch-funding: {}", error.why);
            error.exit
        }
    }
}

fn run(settings: &Settings) -> Result<(), BootError> {
    let [wanted] = settings.pairs.as_slice() else {
        return Err(BootError::usage("name the one pair whose perp is meant, such as --pairs BTCUSDT"));
    };
    let [open] = settings.venues[..] else {
        return Err(BootError::usage("name one venue, such as --venue bybit"));
    };
    let told = match open.settled {
        Some(_) if settings.prices => {
            let why = format!("prices beside the funding are read from {} only", boot::venue().name);
            return Err(BootError::usage(format!("{why}; leave --prices out")));
        }
        Some(settled) => read_back(settings, open, settled)?,
        None => ask_clerk(settings)?,
    };
    if let Some(file) = &settings.rates_db {
        let perp = told.instruments.pairs.first().map(|pair| told.instruments.get(pair.perp));
        let perp = perp.ok_or_else(|| BootError::failed("no pair of that name"))?;
        let all: Vec<_> = told.settled.iter().map(|(at, rate)| (*at, *rate)).collect();
        let new = rates::add(file, open.name, &perp.symbol, &all)
            .map_err(|error| BootError::failed(format!("{}: {error}", file.display())))?;
        eprintln!("{new} new of {} settlements of {} in {}", all.len(), perp.symbol, file.display());
    }
    let (head, rows) = if settings.prices {
        let rows = told.history().map_err(BootError::failed)?;
        (HISTORY, rows)
    } else {
        let row = |(at, rate): (&Unix, &Rate)| [at.as_ms().to_string(), exact(*rate)].to_vec();
        (FUNDING, told.settled.iter().map(row).collect())
    };
    if settings.json {
        let version = env!("CARGO_PKG_VERSION");
        let of =
            json!({"version": version, "command": "fetch-funding", "pair": wanted, "rows": in_json(&rows)});
        say(&format!("{of}\n"));
        return Ok(());
    }
    let lines = std::iter::once(head.to_owned()).chain(rows.iter().map(|row| row.join(",")));
    let text: String = lines.map(|line| line + "\n").collect();
    match &settings.csv {
        None => say(&text),
        Some(path) => {
            std::fs::write(path, &text)
                .map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
            eprintln!("{} settlements of {wanted} in {}", rows.len(), path.display());
        }
    }
    Ok(())
}

/// From the venue that is traded on, by the clerk that trading would have.
fn ask_clerk(settings: &Settings) -> Result<Told, BootError> {
    let mut lookout = Lookout::new(settings, boot::venue(), settings.since_ns, settings.prices)?;
    let mut told = Told::default();
    while !told.is_whole(lookout.clock.unix(), settings.prices) {
        told.take(lookout.next()?);
    }
    Ok(told)
}

/// From any other, page by page, newest first.
fn read_back(settings: &Settings, open: &'static Open, settled: Settled) -> Result<Told, BootError> {
    let mut inquiry = Inquiry::new(settings, open)?;
    let all = inquiry.instruments(&settings.pairs)?;
    let perp = all.pairs.first().map(|pair| all.get(pair.perp));
    let perp = perp.ok_or_else(|| BootError::failed("no pair of that name"))?;
    let since = Unix(inquiry.time()?.0 - i64::try_from(settings.since_ns).unwrap_or(i64::MAX));
    let mut told = Told { instruments: Arc::new(all.clone()), ..Told::default() };
    let mut behind = Behind::default();
    loop {
        let rows = inquiry.ask((settled.request)(perp, behind), |body| (settled.read)(body, perp))?;
        let oldest = rows.iter().map(|row| row.at).min();
        told.settled.extend(rows.iter().filter(|row| row.at >= since).map(|row| (row.at, row.rate)));
        // A page that goes no further back would be asked for again for ever.
        let further = oldest.is_some_and(|oldest| behind.oldest.is_none_or(|known| oldest < known));
        if rows.len() < settled.page || !further || oldest.is_none_or(|oldest| oldest < since) {
            return Ok(told);
        }
        behind = Behind { oldest, pages: behind.pages + 1 };
    }
}

/// The time as a number, the rest as text.
fn in_json(rows: &[Vec<String>]) -> Value {
    let row = |row: &Vec<String>| -> Value {
        let cell = |(n, text): (usize, &String)| match (n, text.parse::<i64>()) {
            (0, Ok(ms)) => json!(ms),
            _ => json!(text),
        };
        row.iter().enumerate().map(cell).collect()
    };
    rows.iter().map(row).collect()
}

/// When the last hour opened that is over by then. A venue that settles at full hours settles at its end.
fn last_hour(by: Unix) -> Unix {
    Unix((by.0 - HOUR_NS).div_euclid(HOUR_NS) * HOUR_NS)
}

/// What the venue told so far.
#[derive(Debug, Default)]
struct Told {
    settled: BTreeMap<Unix, Rate>,
    instruments: Arc<Instruments>,
    /// Closes by the opening of their hour: of the spot market, of the perp.
    closes: [BTreeMap<Unix, Amount>; 2],
}

impl Told {
    fn take(&mut self, news: News) {
        match news {
            News::Settled { rows, .. } => self.settled.extend(rows),
            News::Instruments { instruments, .. } => self.instruments = instruments,
            News::Candles { instrument, rows } => {
                let leg = self.instruments.get(instrument).leg;
                self.closes[leg as usize].extend(rows);
            }
            _ => {}
        }
    }

    /// Whether the newest settlement there is, and the hour before it, are told.
    fn is_whole(&self, now: Unix, prices: bool) -> bool {
        let Some((newest, _)) = self.settled.last_key_value() else { return false };
        let last = last_hour(full_minute(*newest));
        let reaches = |closes: &BTreeMap<Unix, Amount>| {
            closes.last_key_value().is_some_and(|(opened, _)| *opened >= last)
        };
        newest.0 >= now.0 - NEWEST_NS && (!prices || self.closes.iter().all(reaches))
    }

    /// Rows that `backtest` reads: of each settlement the closes of the last hour that is over by the next. The
    /// newest has none yet; what lies before a hole is left out, and said to be.
    fn history(&self) -> Result<Vec<Vec<String>>, String> {
        let factor = self.instruments.pairs.first().map_or(1, |pair| i128::from(pair.price_factor));
        let settled: Vec<_> = self.settled.iter().map(|(at, rate)| (full_minute(*at), *rate)).collect();
        let mut rows = Vec::new();
        for pair in settled.windows(2) {
            let [(at, rate), (next, _)] = *pair else { continue };
            let hour = last_hour(next);
            let hours = (next.0 - at.0) / HOUR_NS;
            let whole = (next.0 - at.0) % HOUR_NS == 0 && INTERVALS.contains(&(hours as u32));
            let closes = self.closes.each_ref().map(|of| of.get(&hour));
            match closes {
                [Some(spot), Some(perp)] if whole => rows.push(vec![
                    at.as_ms().to_string(),
                    decimal::short(spot.0 * factor, Amount::SCALE),
                    decimal::short(perp.0, Amount::SCALE),
                    exact(rate),
                ]),
                _ if rows.is_empty() => {}
                _ => {
                    eprintln!(
                        "contango fetch-funding: no price or no settlement at {hour}: rows begin behind it"
                    );
                    rows.clear();
                }
            }
        }
        if rows.len() < 2 {
            return Err(
                "the venue told prices of fewer than two settlements; take a longer --since".to_owned()
            );
        }
        Ok(rows)
    }
}

fn exact(rate: Rate) -> String {
    decimal::short(rate.0.into(), Rate::SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(n: i64) -> Unix {
        Unix(1_767_225_600_000_000_000 + n * HOUR_NS)
    }

    /// Settlements at these hours, each at its number, and closes that are their hour's number.
    fn told(settled: &[i64], closes: std::ops::Range<i64>) -> Told {
        let one = 10i128.pow(u32::from(Amount::SCALE));
        let closes: BTreeMap<Unix, Amount> =
            closes.map(|n| (hour(n), Amount(i128::from(n + 1_000) * one))).collect();
        // Stamps come some ms late.
        let settled = settled.iter().map(|n| (Unix(hour(*n).0 + 7_000_000), Rate(*n))).collect();
        Told { settled, closes: [closes.clone(), closes], ..Told::default() }
    }

    fn rows(told: &Told) -> Vec<(i64, String)> {
        let rows = told.history().unwrap();
        let of = |row: &Vec<String>| {
            ((row[0].parse::<i64>().unwrap() * 1_000_000 - hour(0).0) / HOUR_NS, row[1].clone())
        };
        rows.iter().map(of).collect()
    }

    #[test]
    fn a_row_closes_with_the_hour_before_the_next_settlement_and_the_newest_is_none() {
        let told = told(&[0, 8, 12, 13], 0..13);
        let row = |at, close: &str| (at, close.to_owned());
        assert_eq!(rows(&told), [row(0, "1007"), row(8, "1011"), row(12, "1012")]);
        let row = &told.history().unwrap()[0];
        assert_eq!(row, &[hour(0).as_ms().to_string(), "1007".into(), "1007".into(), "0".into()]);
        assert!(told.is_whole(hour(13), true) && !told.is_whole(hour(22), true), "a newer one is due");
        assert!(!self::told(&[0, 8], 0..7).is_whole(hour(9), true), "the hour before it is missing");
        assert!(self::told(&[0, 8], 0..7).is_whole(hour(9), false));
    }

    #[test]
    fn rows_begin_behind_a_hole() {
        let mut holed = told(&[0, 8, 16, 24, 32, 40], 0..40);
        holed.closes[1].remove(&hour(15));
        assert_eq!(rows(&holed).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [16, 24, 32]);
        let missing = told(&[0, 8, 24, 32, 40], 0..40);
        assert_eq!(rows(&missing).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [24, 32]);
        assert!(told(&[0, 8], 0..8).history().unwrap_err().contains("--since"), "one row is no history");
    }
}
