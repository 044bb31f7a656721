//! The journal as tables, for people to query with SQL: orders, fills, pairs, notes, wallets, equity.
//!
//! Owns:  the tables, and what a record becomes in them. Amounts are decimal text, times integers with their unit
//!        in the name, as in the journal.
//! Never: is read by an engine, or holds what the journal does not: it may be deleted at any time. Writes into a
//!        file that somebody reads: one is made beside it and takes its place whole (`cli/store.rs`).
//! Why:   made when asked for, not kept while trading: SQLite blocks on its own, which no room may (DESIGN §2).

use super::body::{market, us};
use super::history::History;
use super::journal::{Entry, Kind};
use super::money::Course;
use super::recall::Recalled;
use crate::units::{Amount, LegKind};
use rusqlite::{Connection, params};
use serde_json::{Map, Value};
use std::path::Path;

/// Version of the tables; a column may be added under the same one.
pub const VERSION: u32 = 1;

/// Every table, with what a row is.
const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- A process of the engine.
CREATE TABLE runs (began_us INTEGER NOT NULL, what TEXT NOT NULL, epoch INTEGER, stopped_us INTEGER);
-- A leg of a send round; executed, end and evidence are what is proven of it.
CREATE TABLE orders (
    client_id TEXT PRIMARY KEY, fired_us INTEGER NOT NULL, sequence INTEGER NOT NULL, pair TEXT NOT NULL,
    class TEXT NOT NULL, direction TEXT NOT NULL, market TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    qty TEXT NOT NULL, limit_price TEXT NOT NULL, decided TEXT NOT NULL, reduce_only INTEGER NOT NULL,
    stamp_ms INTEGER NOT NULL, wire TEXT NOT NULL, order_id INTEGER, ended_us INTEGER, ended TEXT, evidence TEXT,
    code INTEGER, reason TEXT
) WITHOUT ROWID;
CREATE INDEX orders_by_time ON orders (fired_us);
-- A trade, booked once.
CREATE TABLE fills (
    market TEXT NOT NULL, symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    client_id TEXT, side TEXT NOT NULL, price TEXT NOT NULL, qty TEXT NOT NULL, fee TEXT NOT NULL,
    fee_asset TEXT NOT NULL, decided TEXT NOT NULL, traded_us INTEGER NOT NULL, booked_us INTEGER NOT NULL,
    source TEXT NOT NULL, cause TEXT, PRIMARY KEY (market, symbol, trade_id)
) WITHOUT ROWID;
CREATE INDEX fills_by_time ON fills (traded_us);
CREATE INDEX fills_by_order ON fills (client_id);
-- Funding that the venue booked; earned: by a pair, in its quote asset.
CREATE TABLE funding (
    symbol TEXT NOT NULL, tran_id INTEGER NOT NULL, amount TEXT NOT NULL, asset TEXT NOT NULL,
    paid_us INTEGER NOT NULL, booked_us INTEGER NOT NULL, earned INTEGER NOT NULL, PRIMARY KEY (symbol, tran_id)
) WITHOUT ROWID;
-- What each pair holds now: base coin, and what it cost at decision prices.
CREATE TABLE pairs (
    pair TEXT PRIMARY KEY, state TEXT, spot TEXT NOT NULL, spot_cost TEXT NOT NULL, perp TEXT NOT NULL,
    perp_cost TEXT NOT NULL
) WITHOUT ROWID;
-- Each change of a pair's state.
CREATE TABLE pair_states (
    at_us INTEGER NOT NULL, pair TEXT NOT NULL, state TEXT NOT NULL, spot TEXT NOT NULL, perp TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX pair_states_by_time ON pair_states (pair, at_us);
-- What a person should read; alert: and act on.
CREATE TABLE notes (at_us INTEGER NOT NULL, alert INTEGER NOT NULL, text TEXT NOT NULL);
-- Each change of the engine's mode, and each freeze.
CREATE TABLE modes (at_us INTEGER NOT NULL, mode TEXT NOT NULL, why TEXT NOT NULL, by TEXT);
-- What a wallet held when the books were held against the venue; opening: the part no booking explains.
CREATE TABLE wallets (
    at_us INTEGER NOT NULL, market TEXT NOT NULL, asset TEXT NOT NULL, total TEXT NOT NULL, opening TEXT NOT NULL
);
-- Each grant: coins that long positions of a pair may sell from then on, altogether.
CREATE TABLE grants (at_us INTEGER NOT NULL, pair TEXT NOT NULL, qty TEXT NOT NULL);
-- What a coin cost that fees were taken in and no leg trades: it values those taken until then.
CREATE TABLE fee_prices (at_us INTEGER NOT NULL, asset TEXT NOT NULL, price TEXT NOT NULL);
-- Such fees that no price came for: they are in no part of the profit.
CREATE TABLE fees_unvalued (asset TEXT PRIMARY KEY, amount TEXT NOT NULL) WITHOUT ROWID;
-- What closing a position of a pair would have fetched in a full hour, of a short and of a long.
CREATE TABLE bases (
    hour_us INTEGER NOT NULL, pair TEXT NOT NULL, short TEXT NOT NULL, long TEXT NOT NULL
);
CREATE INDEX bases_by_time ON bases (pair, hour_us);
-- Profit since the first record, in the quote asset, at the end of each UTC day; its parts add up to the total.
CREATE TABLE equity (
    day TEXT PRIMARY KEY, total TEXT NOT NULL, basis TEXT NOT NULL, fees TEXT NOT NULL, slippage TEXT NOT NULL,
    revaluation TEXT NOT NULL, held TEXT NOT NULL, funding TEXT NOT NULL
) WITHOUT ROWID;
";

/// Why there is no projection.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database refused.
    #[error("the projection's file: {0}; look whether there is room, and whether it may be written to")]
    Database(#[from] rusqlite::Error),
    /// A record does not say what a row needs.
    #[error("a {kind} record has no usable `{field}`; read it with the program that wrote it", kind = .kind.name())]
    Record {
        /// Its kind.
        kind: Kind,
        /// What is missing.
        field: &'static str,
    },
}

/// A projection being made.
#[derive(Debug)]
pub struct Projection {
    database: Connection,
    course: Course,
}

impl Projection {
    /// An empty one in a new file, which must not be there.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Database`].
    pub fn create(file: &Path) -> Result<Self, ProjectionError> {
        let database = Connection::open(file)?;
        // Nobody sees the file before it is whole and synced.
        database.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;")?;
        database.execute_batch(TABLES)?;
        Ok(Self { database, course: Course::default() })
    }

    /// Takes in the next record, with the books behind it.
    ///
    /// # Errors
    ///
    /// [`ProjectionError`].
    pub fn take(&mut self, entry: &Entry, books: &Recalled) -> Result<(), ProjectionError> {
        self.course.take(entry, books);
        let row = Row { entry };
        match entry.kind {
            Kind::Start => self.run(
                "INSERT INTO runs (began_us, what) VALUES (?1, ?2)",
                params![row.at()?, row.text("what")?],
            ),
            Kind::Epoch => self.run(
                "UPDATE runs SET epoch = ?1 WHERE rowid = (SELECT MAX(rowid) FROM runs)",
                params![row.int("epoch")?],
            ),
            Kind::Stop => self.run(
                "UPDATE runs SET stopped_us = ?1 WHERE rowid = (SELECT MAX(rowid) FROM runs)",
                params![row.at()?],
            ),
            Kind::Fired => self.fired(&row),
            Kind::Answer => self.run(
                "UPDATE orders SET order_id = ?2 WHERE client_id = ?1 AND ?2 <> 0",
                params![row.text("client_id")?, row.int("order_id")?],
            ),
            Kind::OrderEnd => self.run(
                "UPDATE orders SET ended_us = ?2, ended = ?3, evidence = ?4, code = ?5, reason = ?6 \
                 WHERE client_id = ?1",
                params![
                    row.text("client_id")?,
                    row.at()?,
                    row.text("end")?,
                    row.text("evidence")?,
                    row.int("code").ok(),
                    row.text("reason").ok()
                ],
            ),
            Kind::Fill => self.run(
                "INSERT OR IGNORE INTO fills VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                params![
                    row.text("market")?,
                    row.text("symbol")?,
                    row.int("trade_id")?,
                    row.int("order_id")?,
                    row.text("client_id")?,
                    row.text("side")?,
                    row.text("price")?,
                    row.text("qty")?,
                    row.text("fee")?,
                    row.text("fee_asset")?,
                    row.text("decided")?,
                    row.int("traded_us")?,
                    row.at()?,
                    row.text("source")?,
                    row.text("cause").ok()
                ],
            ),
            Kind::Funding => self.run(
                "INSERT OR IGNORE INTO funding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    row.text("symbol")?,
                    row.int("tran_id")?,
                    row.text("amount")?,
                    row.text("asset")?,
                    row.int("paid_us")?,
                    row.at()?,
                    row.flag("earned")?
                ],
            ),
            Kind::Pair => self.run(
                "INSERT INTO pair_states VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    row.at()?,
                    row.text("pair")?,
                    row.text("state")?,
                    row.text("spot")?,
                    row.text("perp")?,
                    row.text("why")?
                ],
            ),
            Kind::Mode => self.run(
                "INSERT INTO modes VALUES (?1, ?2, ?3, ?4)",
                params![row.at()?, row.text("mode")?, row.text("why")?, row.text("by").ok()],
            ),
            Kind::Note => {
                let text = row.text("text")?;
                self.run(
                    "INSERT INTO notes VALUES (?1, ?2, ?3)",
                    params![row.at()?, text.starts_with("ALERT"), text],
                )
            }
            Kind::Baseline => self.baseline(&row),
            Kind::Grant => self.run(
                "INSERT INTO grants VALUES (?1, ?2, ?3)",
                params![row.at()?, row.text("pair")?, row.text("qty")?],
            ),
            Kind::Basis => self.run(
                "INSERT INTO bases VALUES (?1, ?2, ?3, ?4)",
                params![row.int("hour_us")?, row.text("pair")?, row.text("short")?, row.text("long")?],
            ),
            Kind::FeePrice => self.run(
                "INSERT INTO fee_prices VALUES (?1, ?2, ?3)",
                params![row.at()?, row.text("asset")?, row.text("price")?],
            ),
            Kind::Markets | Kind::Checkpoint => Ok(()),
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), ProjectionError> {
        self.database.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn fired(&self, row: &Row<'_>) -> Result<(), ProjectionError> {
        for leg in row.objects("legs")? {
            let of = |field| leg.get(field).and_then(Value::as_str).ok_or_else(|| row.lacks(field));
            let decided = if of("market")? == market(LegKind::Spot) { "spot_price" } else { "perp_price" };
            // An id of which nothing reached the wire is used again, and recovery writes down what it finds.
            self.run(
                "INSERT INTO orders (client_id, fired_us, sequence, pair, class, direction, market, symbol, side, \
                 qty, limit_price, decided, reduce_only, stamp_ms, wire) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
                 ON CONFLICT DO UPDATE SET fired_us = ?2, qty = ?10, limit_price = ?11, decided = ?12, \
                 stamp_ms = ?14, wire = ?15, ended_us = NULL, ended = NULL, evidence = NULL WHERE wire = 'nothing'",
                params![
                    of("client_id")?,
                    row.at()?,
                    row.int("sequence")?,
                    row.text("pair")?,
                    row.text("class")?,
                    row.text("direction")?,
                    of("market")?,
                    of("symbol")?,
                    of("side")?,
                    of("qty")?,
                    of("limit")?,
                    row.text(decided)?,
                    leg.get("reduce_only").and_then(Value::as_bool),
                    leg.get("stamp_ms").and_then(Value::as_i64),
                    of("wire")?
                ],
            )?;
        }
        Ok(())
    }

    fn baseline(&self, row: &Row<'_>) -> Result<(), ProjectionError> {
        for held in row.objects("held")? {
            let of = |field| held.get(field).and_then(Value::as_str).ok_or_else(|| row.lacks(field));
            self.run(
                "INSERT INTO wallets VALUES (?1, ?2, ?3, ?4, ?5)",
                params![row.at()?, of("market")?, of("asset")?, of("total")?, of("opening")?],
            )?;
        }
        Ok(())
    }

    /// Writes what all of it adds up to, and closes the file. It is not synced.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Database`].
    pub fn finish(self, history: &History) -> Result<(), ProjectionError> {
        let books = history.recalled();
        for (name, pair) in self.course.pairs() {
            let [spot, perp] = LegKind::BOTH.map(|leg| books.sums.lot(name, leg));
            let text = |value: i128| Amount(value).to_string();
            self.run(
                "INSERT INTO pairs VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    name.as_str(),
                    pair.state,
                    text(spot.base),
                    text(spot.cost),
                    text(perp.base),
                    text(perp.cost)
                ],
            )?;
        }
        for (day, stand) in self.course.days() {
            let date = day.to_string();
            self.run(
                "INSERT INTO equity VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    &date[..10],
                    stand.total().to_string(),
                    stand.profit.basis.to_string(),
                    stand.profit.fees.to_string(),
                    stand.profit.slippage.to_string(),
                    stand.revaluation.to_string(),
                    stand.held.to_string(),
                    stand.profit.funding.to_string()
                ],
            )?;
        }
        for (asset, amount) in &books.sums.unvalued {
            self.run(
                "INSERT INTO fees_unvalued VALUES (?1, ?2)",
                params![asset.as_str(), amount.to_string()],
            )?;
        }
        let (segments, records) = history.read_so_far();
        for (name, value) in [
            ("version", VERSION.to_string()),
            ("segments", segments.to_string()),
            ("records", records.to_string()),
            ("last_us", us(books.last_at.unwrap_or_default()).to_string()),
        ] {
            self.run("INSERT INTO meta VALUES (?1, ?2)", params![name, value])?;
        }
        self.database.execute_batch("COMMIT;")?;
        self.database.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

struct Row<'a> {
    entry: &'a Entry,
}

impl<'a> Row<'a> {
    fn lacks(&self, field: &'static str) -> ProjectionError {
        ProjectionError::Record { kind: self.entry.kind, field }
    }

    fn text(&self, field: &'static str) -> Result<&'a str, ProjectionError> {
        self.entry.body.get(field).and_then(Value::as_str).ok_or_else(|| self.lacks(field))
    }

    /// SQLite's integers are signed; an id past them would be another number.
    fn flag(&self, field: &'static str) -> Result<bool, ProjectionError> {
        self.entry.body.get(field).and_then(Value::as_bool).ok_or_else(|| self.lacks(field))
    }

    fn int(&self, field: &'static str) -> Result<i64, ProjectionError> {
        self.entry.body.get(field).and_then(Value::as_i64).ok_or_else(|| self.lacks(field))
    }

    fn at(&self) -> Result<i64, ProjectionError> {
        self.int("at_us")
    }

    fn objects(&self, field: &'static str) -> Result<Vec<&'a Map<String, Value>>, ProjectionError> {
        let list = self.entry.body.get(field).and_then(Value::as_array).ok_or_else(|| self.lacks(field))?;
        Ok(list.iter().filter_map(Value::as_object).collect())
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
