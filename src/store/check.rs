//! Is a store sound, and what does it say? The facts behind `contango store check`.
//!
//! Owns:  reading journal, epoch file and latch file together, and naming everything that is wrong.
//! Never: writes; repairs; takes what stands behind the first bad record for a fact.
//! Map:   `recall.rs` knows what a record means; here is what only a person asks for: who holds what by
//!        pair, the last comparison with the venue, and what must not be there twice.

use super::journal::{Entry, Flaw, Kind, Reader};
use super::recall::{Market, RecallError, Recalled};
use super::{epoch, latch};
use crate::event::Latched;
use crate::units::{Amount, ClientId, LegKind, Unix};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The files of one instance; `None`: there is none of that name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// The journal. Read it first: an engine raises the epoch before it writes of it.
    pub journal: Option<&'a [u8]>,
    /// The epoch file.
    pub epoch: Option<&'a [u8]>,
    /// The latch file.
    pub latch: Option<&'a [u8]>,
}

/// What is wrong with a store. Each message ends with what follows from it or what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The journal ends in a write that was never finished.
    #[error(
        "the journal is cut at byte {at}: {bytes} bytes behind it are an unfinished write; a crash can leave that, \
         and the next start moves them aside"
    )]
    Unfinished {
        /// Where the whole records end.
        at: u64,
        /// How much stands behind them.
        bytes: u64,
    },
    /// Bytes of the journal changed after they were written.
    #[error(
        "the journal is damaged at byte {at}: {why}; {bytes} bytes from there on can't be read, and the next start \
         moves them aside and asks the venue for what they said"
    )]
    Damaged {
        /// Where the sound records end.
        at: u64,
        /// How much stands behind them.
        bytes: u64,
        /// What is wrong with the next one.
        why: Flaw,
    },
    /// Not written by this program, or by a later one.
    #[error("the journal, byte {at}: {why}; no start of this program touches it")]
    Foreign {
        /// Where reading stopped.
        at: u64,
        /// Why.
        why: Flaw,
    },
    /// A sound record without a fact it must hold: no start goes on behind it, and nothing after it was read.
    #[error(transparent)]
    Record(#[from] RecallError),
    /// There is an epoch, and no journal.
    #[error(
        "the journal is missing though epochs were used; the first start ended before it made one, or it was lost: \
         restore it from a backup"
    )]
    NoJournal,
    /// There is a journal, and no epoch file.
    #[error(
        "the epoch file is missing though a journal is there: no start goes on; restore it from a backup, or start \
         under another --instance number"
    )]
    NoEpoch,
    /// The epoch file does not read back.
    #[error(
        "the epoch file is damaged ({0}): no start goes on; restore it from a backup that is not below the \
         journal's last epoch, or start under another --instance number"
    )]
    EpochDamaged(&'static str),
    /// The epoch file says less than was used.
    #[error(
        "the epoch file says {file}, and the journal knows epoch {journal}: it is an old copy, and order ids would \
         repeat; restore the right one before any start"
    )]
    EpochBehind {
        /// What the file says.
        file: u32,
        /// The largest epoch of the journal.
        journal: u32,
    },
    /// An epoch that is not above the one before it.
    #[error(
        "record {number} of the journal: epoch {epoch} after {before}; order ids may repeat, look why it went back"
    )]
    EpochBack {
        /// Which record, counted from 1.
        number: u64,
        /// Its epoch.
        epoch: u64,
        /// The largest before it.
        before: u64,
    },
    /// There is a journal, and no latch file.
    #[error("the latch file is missing though a journal is there: the next start begins HALTED")]
    NoLatch,
    /// The latch file does not read back.
    #[error("the latch file is damaged ({0}): the next start begins HALTED")]
    LatchDamaged(&'static str),
    /// Two send rounds carry one client order id.
    #[error("record {number} of the journal: order {client} was fired before; look both up at the venue")]
    FiredTwice {
        /// Which record, counted from 1.
        number: u64,
        /// Which order.
        client: ClientId,
    },
    /// Two fills carry one trade id.
    #[error(
        "record {number} of the journal: trade {trade_id} of {} {} was booked before; the books hold it twice",
        .market.leg, .market.symbol
    )]
    BookedTwice {
        /// Which record, counted from 1.
        number: u64,
        /// What was traded.
        market: Market,
        /// The venue's trade id.
        trade_id: u64,
    },
}

impl Problem {
    /// Its name for programs; never changed once given.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unfinished { .. } => "unfinished_write",
            Self::Damaged { .. } => "damage",
            Self::Foreign { .. } => "foreign",
            Self::Record(_) => "record",
            Self::NoJournal => "no_journal",
            Self::NoEpoch => "no_epoch",
            Self::EpochDamaged(_) => "epoch_damaged",
            Self::EpochBehind { .. } => "epoch_behind",
            Self::EpochBack { .. } => "epoch_back",
            Self::NoLatch => "no_latch",
            Self::LatchDamaged(_) => "latch_damaged",
            Self::FiredTwice { .. } => "fired_twice",
            Self::BookedTwice { .. } => "booked_twice",
        }
    }
}

/// Where the whole records of a journal end before the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes before it.
    pub at: u64,
    /// Bytes behind it.
    pub bytes: u64,
    /// Why reading stopped.
    pub why: Flaw,
}

/// What the booked fills of a pair add up to, over all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldPair {
    /// What the journal last called it; `None`: no word of it.
    pub state: Option<String>,
    /// Coins bought − sold − paid as fees.
    pub spot: Amount,
    /// Bought − sold, in the perp's own unit of quantity: negative when short.
    pub perp: Amount,
}

/// The last comparison with the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// When.
    pub at: Option<Unix>,
    /// What nobody could explain, each named.
    pub unexplained: Vec<String>,
}

/// All that a store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// When the first record was written.
    pub first_at: Option<Unix>,
    /// What a start would know.
    pub recalled: Recalled,
    /// Where reading stopped; `None`: at the end of the file.
    pub cut: Option<Cut>,
    /// The epoch file's number; `None`: no file, or a damaged one.
    pub epoch: Option<u32>,
    /// What the next start begins with; `None`: nothing keeps it from trading.
    pub latched: Option<Latched>,
    /// By name, every pair that orders were fired for or that the journal names.
    pub pairs: BTreeMap<String, HeldPair>,
    /// The last baseline.
    pub compared: Option<Compared>,
    /// Everything that is wrong; empty: the store is sound.
    pub problems: Vec<Problem>,
}

/// Checks the store of one instance. `running`: its engine is at work, so that the journal may end in a
/// write that is still under way.
#[must_use]
pub fn check(files: &Files<'_>, running: bool) -> Checked {
    let mut checked = Checked::default();
    let mut seen = Seen::default();
    match files.journal {
        Some(bytes) => checked.read_journal(bytes, running, &mut seen),
        None => checked.problems.push(Problem::NoJournal),
    }
    let newest = seen.epochs_of_orders.max(seen.epoch);
    match files.epoch.map(epoch::parse) {
        Some(Ok(file)) => {
            checked.epoch = Some(file);
            if let Some(journal) = u32::try_from(newest).ok().filter(|&newest| newest > file) {
                checked.problems.push(Problem::EpochBehind { file, journal });
            }
        }
        Some(Err(why)) => checked.problems.push(Problem::EpochDamaged(why)),
        None => checked.problems.push(Problem::NoEpoch),
    }
    match files.latch.map(latch::read) {
        Some(Ok((latched, _))) => checked.latched = latched,
        Some(Err(why)) => checked.problems.push(Problem::LatchDamaged(why)),
        None => checked.problems.push(Problem::NoLatch),
    }
    checked
}

/// What must not come twice, or go back.
#[derive(Default)]
struct Seen {
    number: u64,
    fired: BTreeSet<ClientId>,
    booked: BTreeSet<(Market, u64)>,
    pair_of: BTreeMap<Market, String>,
    epoch: u64,
    epochs_of_orders: u64,
}

impl Checked {
    /// Records of each kind are in `recalled.counts`.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.recalled.counts.values().sum()
    }

    fn read_journal(&mut self, bytes: &[u8], running: bool, seen: &mut Seen) {
        let mut reader = Reader::new(bytes);
        for entry in reader.by_ref() {
            seen.number += 1;
            let fills = self.recalled.fills.len();
            if let Err(error) = self.recalled.take(&entry) {
                self.problems.push(error.into());
                return;
            }
            if self.first_at.is_none() {
                self.first_at = self.recalled.last_at;
            }
            self.look_at(&entry, seen);
            if self.recalled.fills.len() > fills {
                self.look_at_fill(seen);
            }
        }
        let Some(why) = reader.flaw() else { return };
        let (at, bytes) = (reader.good() as u64, (bytes.len() - reader.good()) as u64);
        self.cut = Some(Cut { at, bytes, why });
        self.problems.push(match why {
            Flaw::Cut if running => return,
            Flaw::Cut => Problem::Unfinished { at, bytes },
            why if why.is_foreign() => Problem::Foreign { at, why },
            why => Problem::Damaged { at, bytes, why },
        });
    }

    fn look_at(&mut self, entry: &Entry, seen: &mut Seen) {
        let (body, number) = (&entry.body, seen.number);
        match entry.kind {
            Kind::Epoch => {
                let epoch = body.get("epoch").and_then(Value::as_u64).unwrap_or(0);
                if epoch <= seen.epoch {
                    self.problems.push(Problem::EpochBack { number, epoch, before: seen.epoch });
                }
                seen.epoch = seen.epoch.max(epoch);
            }
            Kind::Fired => {
                let pair = text(body, "pair").unwrap_or_default();
                self.pairs.entry(pair.to_owned()).or_default();
                // Without quotes, nobody decided: recovery wrote down an order that it found.
                let found = ["spot_u", "perp_u"].iter().all(|key| body.get(*key) == Some(&Value::from(0)));
                for leg in list(body, "legs").filter_map(Value::as_object) {
                    let client = text(leg, "client_id").and_then(|id| ClientId::parse(id.as_bytes()));
                    if let Some(market) = market(leg) {
                        seen.pair_of.insert(market, pair.to_owned());
                    }
                    let Some(client) = client.filter(|_| !found) else { continue };
                    if !seen.fired.insert(client) {
                        self.problems.push(Problem::FiredTwice { number, client });
                    }
                    let epoch = client.parts().map_or(0, |parts| u64::from(parts.epoch));
                    seen.epochs_of_orders = seen.epochs_of_orders.max(epoch);
                }
            }
            Kind::Pair => {
                if let (Some(pair), Some(state)) = (text(body, "pair"), text(body, "state")) {
                    self.pairs.entry(pair.to_owned()).or_default().state = Some(state.to_owned());
                }
            }
            Kind::Baseline => {
                let unexplained = list(body, "unexplained").filter_map(Value::as_str).map(str::to_owned);
                self.compared =
                    Some(Compared { at: self.recalled.last_at, unexplained: unexplained.collect() });
            }
            _ => {}
        }
    }

    fn look_at_fill(&mut self, seen: &mut Seen) {
        let Some(fill) = self.recalled.fills.last() else { return };
        let (market, trade_id, number) = (fill.market.clone(), fill.trade_id, seen.number);
        if !seen.booked.insert((market.clone(), trade_id)) {
            self.problems.push(Problem::BookedTwice { number, market, trade_id });
            return;
        }
        // What the venue traded by itself on a market of ours belongs to the same pair.
        let pair = seen.pair_of.get(&market).unwrap_or(&market.symbol);
        let qty = Amount::parse(fill.qty.as_bytes()).unwrap_or_default().0 * i128::from(fill.side.sign());
        let held = self.pairs.entry(pair.clone()).or_default();
        let leg = match market.leg {
            LegKind::Spot => &mut held.spot,
            LegKind::Perp => &mut held.perp,
        };
        leg.0 = leg.0.saturating_add(qty);
        // A pair is named after its coin.
        if market.leg == LegKind::Spot && fill.fee_asset.as_str() == pair.as_str() {
            leg.0 = leg.0.saturating_sub(fill.fee.0);
        }
    }
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

fn list<'a>(body: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    body.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn market(body: &Map<String, Value>) -> Option<Market> {
    let leg = match text(body, "market")? {
        "spot" => LegKind::Spot,
        "perp" => LegKind::Perp,
        _ => return None,
    };
    Some(Market { leg, symbol: text(body, "symbol")?.to_owned() })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
