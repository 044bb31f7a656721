//! Settled funding rates of any venue's perps, kept for as long as somebody wants them.
//!
//! Owns:  one SQLite file with a row a settlement. What is told again changes nothing; no row is ever taken out.
//! Never: is opened by an engine, or keeps one of two rates for one settlement without saying so.

use crate::units::{Rate, Unix, decimal};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;

const TABLE: &str = "
-- venue: as contango writes it; symbol: the perp's, as the venue writes it; at_ms: the venue's own stamp; rate: per
-- interval, exact.
CREATE TABLE IF NOT EXISTS settled (
    venue TEXT NOT NULL, symbol TEXT NOT NULL, at_ms INTEGER NOT NULL, rate TEXT NOT NULL,
    PRIMARY KEY (venue, symbol, at_ms)
) WITHOUT ROWID;
";

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// The database refused.
    #[error("{0}; look whether it is a SQLite file, whether there is room, and whether it may be written to")]
    Database(#[from] rusqlite::Error),
    /// A settlement has one rate.
    #[error(
        "{symbol} settled at {known} by this file and at {told} by the venue, {at}; nothing was changed, find out which holds"
    )]
    Contradiction {
        /// The perp.
        symbol: String,
        /// When.
        at: Unix,
        /// In the file.
        known: String,
        /// By the venue.
        told: String,
    },
}

/// Adds what a perp settled at to the file, which is made if it is not there; how many rows are new. All or none.
///
/// # Errors
///
/// [`RatesError`].
pub fn add(file: &Path, venue: &str, symbol: &str, settled: &[(Unix, Rate)]) -> Result<usize, RatesError> {
    let mut database = Connection::open(file)?;
    database.execute_batch(TABLE)?;
    let all = database.transaction()?;
    let mut new = 0;
    for (at, rate) in settled {
        let told = decimal::short(rate.0.into(), Rate::SCALE);
        let key = params![venue, symbol, at.as_ms()];
        let known = "SELECT rate FROM settled WHERE venue = ?1 AND symbol = ?2 AND at_ms = ?3";
        match all.query_row(known, key, |row| row.get::<_, String>(0)).optional()? {
            Some(known) if known == told => {}
            Some(known) => {
                return Err(RatesError::Contradiction { symbol: symbol.to_owned(), at: *at, known, told });
            }
            None => {
                new += all.execute(
                    "INSERT INTO settled VALUES (?1, ?2, ?3, ?4)",
                    params![venue, symbol, at.as_ms(), told],
                )?;
            }
        }
    }
    all.commit()?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_is_kept_once_and_another_rate_for_it_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rates.db");
        let at = |n: i64| Unix(1_795_305_600_000_000_000 + n * 28_800_000_000_000);
        let rows = |rates: &[&str]| -> Vec<(Unix, Rate)> {
            let each = rates.iter().enumerate();
            each.map(|(n, rate)| (at(n as i64), Rate::parse(rate.as_bytes()).unwrap())).collect()
        };
        assert_eq!(add(&file, "okx", "BTC-USDT-SWAP", &rows(&["0.0001", "-0.00005"])).unwrap(), 2);
        assert_eq!(add(&file, "okx", "BTC-USDT-SWAP", &rows(&["0.0001", "-0.00005", "0.0003"])).unwrap(), 1);
        assert_eq!(add(&file, "bybit", "BTCUSDT", &rows(&["0.0002"])).unwrap(), 1);
        let wrong = add(&file, "okx", "BTC-USDT-SWAP", &rows(&["0.0001", "0.00005", "0.0003", "0.1"]));
        let why = wrong.unwrap_err().to_string();
        assert!(why.contains("settled at -0.00005 by this file and at 0.00005 by the venue"), "{why}");
        let sum: String = Connection::open(&file)
            .unwrap()
            .query_row("SELECT group_concat(venue || ' ' || rate) FROM settled", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, "bybit 0.0002,okx 0.0001,okx -0.00005,okx 0.0003");
        std::fs::write(&file, "not a database at all, though it is long enough to be looked at").unwrap();
        let why = add(&file, "okx", "BTC-USDT-SWAP", &rows(&["0.0001"])).unwrap_err().to_string();
        assert!(why.contains("look whether it is a SQLite file"), "{why}");
    }
}
