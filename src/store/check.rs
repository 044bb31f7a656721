//! Is a store sound, and what does it say? The facts behind `contango store check`.
//!
//! Owns:  reading journal, epoch file and latch file together, and naming everything that is wrong.
//! Never: writes; repairs; takes what stands behind the first bad record for a fact.
//! Map:   `recall.rs` knows what a record means; here is what only a person asks for: the whole history, every
//!        checkpoint against the segments before it, the last comparison with the venue, and what must not be
//!        there twice.

use super::checkpoint;
use super::earlier::{Market, Run};
use super::journal::{Entry, Flaw, Kind, Reader};
use super::recall::{RecallError, Recalled};
use super::{epoch, latch};
use crate::event::Latched;
use crate::units::{Amount, ClientId, LegKind, Unix};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The files of one instance; `None`: there is none of that name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// The journal's segments by their numbers, in their order. Read them first: an engine raises the epoch
    /// before it writes of it.
    pub journal: &'a [(u32, Vec<u8>)],
    /// Whether there is a journal in one file, as they were before there were segments.
    pub single: bool,
    /// The epoch file.
    pub epoch: Option<&'a [u8]>,
    /// The latch file.
    pub latch: Option<&'a [u8]>,
}

/// Which record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In which segment.
    pub segment: u32,
    /// Counted from 1, checkpoints too.
    pub record: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of segment {}", self.record, self.segment)
    }
}

/// What is wrong with a store. Each message ends with what follows from it or what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The journal ends in a write that was never finished.
    #[error(
        "segment {} of the journal is cut at byte {}: {} bytes behind it are an unfinished write; a crash can leave \
         that, and the next start moves them aside", .0.segment, .0.at, .0.bytes
    )]
    Unfinished(Cut),
    /// Bytes of the journal changed after they were written.
    #[error(
        "segment {} of the journal is damaged at byte {}: {}; {} bytes from there on can't be read; if it is the \
         last segment, the next start moves them aside and asks the venue for what they said, else a report lacks \
         them", .0.segment, .0.at, .0.why, .0.bytes
    )]
    Damaged(Cut),
    /// Not written by this program, or by a later one.
    #[error("segment {} of the journal, byte {}: {}; no start of this program touches it", .0.segment, .0.at, .0.why)]
    Foreign(Cut),
    /// Segments between others are not there.
    #[error("segment {0} of the journal is missing: reports lack what it said; restore it from a backup")]
    Gap(u32),
    /// A checkpoint says other things than the segments before it.
    #[error(
        "the checkpoint of segment {0} is not what the segments before it add up to; a start would trust it: look \
         why before the next one"
    )]
    Checkpoint(u32),
    /// A sound record without a fact it must hold: no start goes on behind it.
    #[error("segment {segment}: {error}")]
    Record {
        /// Which segment.
        segment: u32,
        /// What is wrong.
        error: RecallError,
    },
    /// A journal of an earlier format.
    #[error(
        "the journal is in one file, of an earlier format: no start goes on with it; settle what it holds with the \
         program that wrote it, then choose another data folder"
    )]
    Single,
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
    #[error("{place}: epoch {epoch} after {before}; order ids may repeat, look why it went back")]
    EpochBack {
        /// Which record.
        place: Place,
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
    #[error("{place}: order {client} was fired before; look both up at the venue")]
    FiredTwice {
        /// Which record.
        place: Place,
        /// Which order.
        client: ClientId,
    },
    /// Two fills carry one trade id.
    #[error(
        "{place}: trade {trade_id} of {} {} was booked before; look why it was written twice",
        .market.leg, .market.symbol
    )]
    BookedTwice {
        /// Which record.
        place: Place,
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
            Self::Unfinished(_) => "unfinished_write",
            Self::Damaged(_) => "damage",
            Self::Foreign(_) => "foreign",
            Self::Gap(_) => "gap",
            Self::Checkpoint(_) => "checkpoint",
            Self::Record { .. } => "record",
            Self::Single => "single_file",
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

/// Where the whole records of a segment end before the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which segment.
    pub segment: u32,
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
    /// The same of the perp, as base coin: negative when short.
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
    /// Every run, oldest first.
    pub runs: Vec<Run>,
    /// How many records of each kind there are.
    pub counts: BTreeMap<Kind, u64>,
    /// Where reading of a segment stopped before its end; of several, the last.
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
    match (files.journal, files.single) {
        (_, true) => checked.problems.push(Problem::Single),
        ([], _) => checked.problems.push(Problem::NoJournal),
        ([.., (newest, _)], _) => {
            for (number, bytes) in files.journal {
                let unfinished = *number == *newest;
                checked.read_segment(*number, bytes, unfinished.then_some(running), &mut seen);
            }
        }
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
    place: Place,
    /// All records up to here were read, so that the next checkpoint must say the same.
    unbroken: bool,
    fired: BTreeSet<ClientId>,
    booked: BTreeSet<(Market, u64)>,
    epoch: u64,
    epochs_of_orders: u64,
}

impl Checked {
    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Reads one segment. `newest`: nothing follows it, and whether its engine is at work.
    fn read_segment(&mut self, number: u32, bytes: &[u8], newest: Option<bool>, seen: &mut Seen) {
        let first = seen.place.segment == 0;
        let next = seen.place.segment + 1;
        if number != next {
            self.problems.push(Problem::Gap(next));
        }
        seen.unbroken = number == next && (first || seen.unbroken);
        seen.place = Place { segment: number, record: 0 };
        let mut reader = Reader::new(bytes, number);
        let (mut parts, mut head) = (Vec::new(), number == 1);
        for entry in reader.by_ref() {
            seen.place.record += 1;
            *self.counts.entry(entry.kind).or_default() += 1;
            if head {
                if let Err(error) = self.recalled.take(&entry) {
                    self.problems.push(Problem::Record { segment: number, error });
                    seen.unbroken = false;
                    return;
                }
                self.look_at(&entry, seen);
                continue;
            }
            let place = checkpoint::place(&entry);
            parts.push(entry);
            match place {
                Some((part, all)) if part == parts.len() as u64 && part < all => {}
                Some((part, all)) if part == parts.len() as u64 && part == all => {
                    head = true;
                    if let Err(error) = self.hold_against(&parts, seen) {
                        self.problems.push(Problem::Record { segment: number, error });
                        seen.unbroken = false;
                        return;
                    }
                }
                _ => {
                    let (bytes, why) = (bytes.len() as u64, Flaw::Checkpoint);
                    self.end(Problem::Foreign, Cut { segment: number, at: 0, bytes, why }, seen);
                    return;
                }
            }
        }
        for (pair, leg) in self.recalled.sums.lots.keys() {
            let base = Amount(self.recalled.sums.lot(*pair, *leg).base);
            let held = self.pairs.entry(pair.as_str().to_owned()).or_default();
            match leg {
                LegKind::Spot => held.spot = base,
                LegKind::Perp => held.perp = base,
            }
        }
        // Without a whole head, all of it is moved aside.
        let good = if head { reader.good() } else { 0 };
        let left = (bytes.len() - good) as u64;
        let why = match reader.flaw() {
            Some(why) => why,
            None if head => return,
            None => Flaw::Cut,
        };
        let cut = Cut { segment: number, at: good as u64, bytes: left, why };
        match (why, newest) {
            (Flaw::Cut, Some(_)) if left == 0 && number > 1 => {}
            (Flaw::Cut, Some(true)) => self.cut = Some(cut),
            (Flaw::Cut, Some(false)) => self.end(Problem::Unfinished, cut, seen),
            (why, _) if why.is_foreign() => self.end(Problem::Foreign, cut, seen),
            _ => self.end(Problem::Damaged, cut, seen),
        }
    }

    fn end(&mut self, problem: fn(Cut) -> Problem, cut: Cut, seen: &mut Seen) {
        self.cut = Some(cut);
        self.problems.push(problem(cut));
        seen.unbroken = false;
    }

    /// A checkpoint against all that was read before it; where that is not whole, it is believed.
    fn hold_against(&mut self, parts: &[Entry], seen: &mut Seen) -> Result<(), RecallError> {
        self.recalled.next_segment();
        if seen.unbroken {
            self.recalled.forget();
            let told = self.recalled.checkpoint();
            if !told.iter().map(Value::as_object).eq(parts.iter().map(|part| Some(&part.body))) {
                self.problems.push(Problem::Checkpoint(seen.place.segment));
            }
            return Ok(());
        }
        self.recalled = Recalled::default();
        parts.iter().try_for_each(|part| self.recalled.take(part))?;
        seen.unbroken = true;
        Ok(())
    }

    fn look_at(&mut self, entry: &Entry, seen: &mut Seen) {
        let (body, place) = (&entry.body, seen.place);
        self.first_at = self.first_at.or(self.recalled.last_at);
        if entry.kind != Kind::Start {
            // What is traded behind a stop makes it no stop.
            self.runs.pop();
        }
        self.runs.extend(self.recalled.runs.last());
        match entry.kind {
            Kind::Epoch => {
                let epoch = body.get("epoch").and_then(Value::as_u64).unwrap_or(0);
                if epoch <= seen.epoch {
                    self.problems.push(Problem::EpochBack { place, epoch, before: seen.epoch });
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
                    let Some(client) = client.filter(|_| !found) else { continue };
                    if !seen.fired.insert(client) {
                        self.problems.push(Problem::FiredTwice { place, client });
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
            Kind::Fill => {
                let trade_id = body.get("trade_id").and_then(Value::as_u64);
                let Some((market, trade_id)) = market(body).zip(trade_id) else { return };
                if !seen.booked.insert((market.clone(), trade_id)) {
                    self.problems.push(Problem::BookedTwice { place, market, trade_id });
                }
            }
            _ => {}
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
