//! What the engine wrote down: its journal, read record by record as it grows.
//!
//! Owns:  bookings, ends of orders with their evidence, last states of pairs, notes; all in the journal's words.
//! Never: is believed: every check holds it against the venue's truth.

use super::booking::parse;
use crate::store::journal::{Entry, Kind, Reader, file_header};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A leg of a send round.
#[derive(Clone, Debug, Default)]
pub(super) struct FiredLeg {
    /// Market and symbol.
    pub(super) of: (String, String),
    pub(super) buys: bool,
    /// Its quantity, 10⁻¹⁸.
    pub(super) qty: i128,
    pub(super) stamp_ms: u64,
    /// Decimals its quantity is written with: the unit of executed quantities.
    pub(super) decimals: usize,
    pub(super) sent: bool,
    /// Whether only a part of it left at once.
    pub(super) in_part: bool,
    /// Of which run it is.
    pub(super) run: u64,
}

impl FiredLeg {
    pub(super) fn is_perp(&self) -> bool {
        self.of.0 == "perp"
    }
}

/// How an order ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_us: u64,
    pub(super) evidence: String,
    pub(super) end: String,
    pub(super) executed_units: i128,
    /// Of which run it was written, and when that began.
    pub(super) run: u64,
    pub(super) began_us: u64,
}

/// What was said of an order, as far as evidence goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Executed quantities of terminal answers, as text.
    pub(super) terminal: Vec<String>,
    pub(super) refused: bool,
    /// The venue said that it has it.
    pub(super) open: bool,
    /// Nothing told its fate when something should have.
    pub(super) unknown: bool,
    /// When it was not found, µs.
    pub(super) not_found: Vec<u64>,
}

/// A booked fill, by market, symbol and trade id.
pub(super) type Booked = BTreeMap<(String, String, u64), Map<String, Value>>;

/// The journal so far.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// The segment that is read, and how much of it was taken in.
    pub(super) segment: u32,
    pub(super) read: usize,
    pub(super) fired: BTreeMap<u64, FiredLeg>,
    /// Those of them that were sent and have no end.
    pub(super) open: BTreeSet<u64>,
    /// The leg that waits for the other: whether it is the perp's, and whether it buys.
    pub(super) waits: Option<(bool, bool)>,
    pub(super) told: BTreeMap<u64, Told>,
    pub(super) ends: BTreeMap<u64, End>,
    pub(super) fills: Booked,
    /// Booked funding, by transaction and symbol: its amount as text.
    pub(super) payments: BTreeMap<(u64, String), String>,
    /// Last state, spot and perp of each pair.
    pub(super) pairs: BTreeMap<String, (String, String, String)>,
    pub(super) notes: Vec<(u64, String)>,
    /// How many of them earlier runs wrote.
    pub(super) notes_before: usize,
    /// When a mode was written, which, and why.
    pub(super) modes: Vec<(u64, String, String)>,
    /// The last one of those that the latch file holds, too.
    pub(super) latched: String,
    /// What nobody could explain at the last look at the account.
    pub(super) unexplained: Vec<String>,
    pub(super) runs: u64,
    /// When the last one began.
    pub(super) began_us: u64,
    pub(super) stopped: bool,
    /// How often each answer was seen, by its verdict and reason or code.
    pub(super) answers: BTreeMap<String, u64>,
}

/// Something that was written and is news to the checks.
#[derive(Clone, Debug)]
pub(super) enum Wrote {
    Fill((String, String, u64)),
    /// Funding, by transaction and symbol.
    Paid((u64, String)),
    /// An order's end; the one written before, if there was one.
    End(u64, Option<End>),
}

impl Books {
    /// A journal of which nothing was read.
    pub(super) fn new() -> Self {
        Self { segment: 1, ..Self::default() }
    }

    /// Takes in the bytes that came behind what was read. A record that is not whole yet waits.
    ///
    /// # Errors
    ///
    /// A record that does not read back, or says what a journal must not.
    pub(super) fn take(&mut self, bytes: &[u8], wrote: &mut Vec<Wrote>) -> Result<(), String> {
        let header = file_header(self.segment);
        let mut whole: Vec<u8> = Vec::new();
        let skip = if self.read == 0 { 0 } else { header.len() };
        if skip > 0 {
            whole.extend_from_slice(&header);
        }
        whole.extend_from_slice(bytes);
        let mut reader = Reader::new(&whole, self.segment);
        let mut failed = Ok(());
        for entry in reader.by_ref() {
            failed = failed.and_then(|()| self.note(&entry, wrote));
        }
        self.read += reader.good().saturating_sub(skip);
        failed
    }

    /// Legs that were sent and have no end, by client order id.
    pub(super) fn unended(&self) -> impl Iterator<Item = (&u64, &FiredLeg)> {
        self.open.iter().filter_map(|client| self.fired.get_key_value(client))
    }

    fn note(&mut self, entry: &Entry, wrote: &mut Vec<Wrote>) -> Result<(), String> {
        let body = &entry.body;
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let at_us = body.get("at_us").and_then(Value::as_u64).unwrap_or(0);
        let client: u64 = text("client_id").parse().unwrap_or(0);
        match entry.kind {
            Kind::Start => {
                self.runs += 1;
                self.began_us = at_us;
                self.waits = None;
                self.notes_before = self.notes.len();
                self.stopped = false;
            }
            Kind::Fired => {
                self.waits = None;
                for leg in body.get("legs").and_then(Value::as_array).into_iter().flatten() {
                    let id = leg["client_id"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
                    let qty = leg["qty"].as_str().unwrap_or("");
                    let word = |key: &str| leg[key].as_str().unwrap_or("").to_owned();
                    let fired = FiredLeg {
                        of: (word("market"), word("symbol")),
                        buys: leg["side"] == "buy",
                        qty: parse(qty).unwrap_or(0),
                        stamp_ms: leg["stamp_ms"].as_u64().unwrap_or(0),
                        decimals: qty.split_once('.').map_or(0, |(_, part)| part.len()),
                        sent: leg["wire"] != "nothing",
                        in_part: leg["wire"] == "part",
                        run: self.runs,
                    };
                    if body.get("more") == Some(&Value::Bool(true)) {
                        self.waits = Some((!fired.is_perp(), !fired.buys));
                    }
                    if fired.sent && !self.ends.contains_key(&id) {
                        self.open.insert(id);
                    }
                    self.fired.insert(id, fired);
                }
            }
            Kind::Answer => {
                let told = self.told.entry(client).or_default();
                let verdict = text("verdict");
                match verdict.as_str() {
                    "terminal" => told.terminal.push(text("executed")),
                    "refused" => told.refused = true,
                    "open" => told.open = true,
                    "unknown" => told.unknown = true,
                    "not_found" => told.not_found.push(at_us),
                    _ => {}
                }
                let code = body.get("code").or_else(|| body.get("status")).map(Value::to_string);
                let why = code.unwrap_or_else(|| text("reason"));
                *self.answers.entry(format!("{verdict} {why}")).or_default() += 1;
            }
            Kind::Fill => {
                let id = body.get("trade_id").and_then(Value::as_u64).unwrap_or(0);
                let key = (text("market"), text("symbol"), id);
                if self.fills.insert(key.clone(), body.clone()).is_some() {
                    return Err(format!("booked twice: {key:?}"));
                }
                wrote.push(Wrote::Fill(key));
            }
            Kind::Funding => {
                let of = (body.get("tran_id").and_then(Value::as_u64).unwrap_or(0), text("symbol"));
                if self.payments.insert(of.clone(), text("amount")).is_some() {
                    return Err(format!("a payment booked twice: {of:?}"));
                }
                wrote.push(Wrote::Paid(of));
            }
            Kind::OrderEnd => {
                let units = body.get("executed_units").and_then(Value::as_i64).unwrap_or(0);
                let end = End {
                    at_us,
                    evidence: text("evidence"),
                    end: text("end"),
                    executed_units: i128::from(units),
                    run: self.runs,
                    began_us: self.began_us,
                };
                self.open.remove(&client);
                // What waits for an order that filled nothing is called off.
                if units == 0 {
                    self.waits = None;
                }
                let before = self.ends.insert(client, end);
                wrote.push(Wrote::End(client, before));
            }
            Kind::Pair => {
                self.pairs.insert(text("pair"), (text("state"), text("spot"), text("perp")));
            }
            Kind::Mode => {
                self.modes.push((at_us, text("mode"), text("why")));
                if body.contains_key("by") {
                    self.latched = text("mode");
                }
            }
            Kind::Note => self.notes.push((at_us, text("text"))),
            Kind::Baseline => {
                let rows = body.get("unexplained").and_then(Value::as_array).into_iter().flatten();
                self.unexplained = rows.filter_map(Value::as_str).map(str::to_owned).collect();
            }
            Kind::Stop => self.stopped = true,
            // A checkpoint says again what earlier segments said.
            Kind::Epoch | Kind::Markets | Kind::Checkpoint | Kind::Grant | Kind::Basis | Kind::FeePrice => {}
        }
        Ok(())
    }
}
