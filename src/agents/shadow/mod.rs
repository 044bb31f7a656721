//! The shadow: books, judges, repairs, budgets. Warm.
//!
//! Owns:  every order's fate, every pair's holding, the ledger, the permit and the terms the trader
//!        works under, and when a run is over.
//! Never: writes an order (it asks the trader), guesses a fate, or reports what is not in the journal.
//! Map:   `news` from clerk and couriers · `orders` fired → answered → booked · `questions` asking the
//!        venue · `streams` the private streams · `recall` the runs before · `recon`, `adopt`, `compare`
//!        the venue's whole view · `phases` of a run · `repair` settled or unwound · `completing` the other
//!        cure · `awaiting` a leg that waits · `mending` the pace and alarms of both · `stub` what is too small to be left · `forced` ADL and its like · `margin` after a
//!        liquidation · `watch` that positions are still there · `market` its rules · `late` told of after the end · `funding` what is settled and
//!        coming · `income` what was paid · `weighing` the rules · `terms` what follows for the trader · `risk`
//!        what may be at stake · `confirm` a witness's word · `rotation` moving on · `granted` coins of long ones ·
//!        `budget` what may leave · `lag` a slow disk · `calendar` one that jumps · `operator` modes ·
//!        `standing` looks that agree · `told` what it can say of a run · `totals` what it adds up to.

mod adopt;
mod awaiting;
mod brackets;
mod budget;
mod calendar;
mod compare;
mod completing;
mod confirm;
mod fee_coin;
mod forced;
mod funding;
mod granted;
mod income;
mod lag;
mod late;
mod margin;
mod market;
mod mending;
mod news;
pub mod operator;
mod orders;
mod phases;
mod questions;
mod reading;
mod recall;
mod recon;
mod repair;
mod risk;
mod rotation;
mod standing;
mod streams;
mod stub;
pub mod terms;
pub mod told;
pub mod totals;
mod watch;
mod weighing;

use super::{Dead, Handed, courier::Courier, session};
use crate::carry::confirm::Filter;
use crate::carry::pace::ScaleIn;
use crate::carry::rules::Policy;
use crate::desk::budget::Lane;
use crate::desk::ledger::Ledger;
use crate::desk::order::Order;
use crate::desk::pair::Holding;
use crate::desk::risk::Caps;
use crate::event::{
    Asset, Bind, Command, FillList, Instruments, LANES, Latched, Mark, News, Offsets, PERMIT_WORDS,
    PairState, Permit, Pulse, READS_WORDS, Reads, Record, TERMS_WORDS, Terms, Told,
};
use crate::metal::bugs::{Bug, planted};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::{IntentSlot, IntentsReader};
use crate::metal::latch::Latch;
use crate::metal::latest::{Reader as Latest, Writer};
use crate::metal::ring::{Consumer, Producer};
use crate::metal::runner::Agent;
use crate::metal::tap::{Flag, Tap};
use crate::store::recall::Recalled;
use crate::units::time::MS;
use crate::units::{Amount, ClientId, Direction, InstrumentId, Nanos, PairId, Price, Ratio, Unix, VenueId};
use crate::venue::{Key, Scratch};
use phases::Phase;
use questions::Question;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use streams::{Past, Streams};
pub use told::{Ended, Why};
use totals::{Stage, Totals};

/// How often timers are looked at beyond every turn's own work.
const HOUSEKEEPING_NS: u64 = 20 * MS;
/// Told items taken per turn: a turn stays below 200 µs.
const TOLD_PER_TURN_MAX: usize = 64;

/// What the operator chose for the shadow.
#[derive(Clone, Debug)]
pub struct ShadowSettings {
    /// What goes into the first record: build, command, settings, never a secret.
    pub about: String,
    /// Which engine of the desk, and this run's epoch.
    pub identity: (u8, u32),
    /// Thresholds.
    pub policy: Policy,
    /// Close when the executable closing basis is at most this; `None`: hold.
    pub exit_basis: Option<Ratio>,
    /// What a witness must say to an entry; `None`: nobody is asked.
    pub confirm: Option<Filter>,
    /// Size of one entry, in the quote asset.
    pub clip: Amount,
    /// So many positions are opened at the least size first.
    pub first_entries: u64,
    /// How much may be at stake.
    pub caps: Caps,
    /// How a position grows.
    pub scale_in: ScaleIn,
    /// Which directions may be entered: short, long.
    pub directions: [bool; 2],
    /// W, for signed queries, in ms.
    pub recv_window_ms: u32,
    /// Whether orders may leave: then entries need both private streams.
    pub live: bool,
    /// The run ends so long after all feeds are live; `None`: when told to.
    pub run_for_ns: Option<u64>,
    /// The run ends after so many round trips.
    pub until_round_trips: Option<u64>,
    /// What the latch file said: a run that begins HALTED or KILLED connects and does not trade.
    pub latched: Option<Latched>,
    /// What the journal told of the runs before.
    pub recalled: Recalled,
    /// How long after its deadline the venue may still show an order, in ns (`T_settle`).
    pub settle_ns: u64,
    /// So many crashes within the time beside it, in ns, and a run begins HALTED.
    pub crashes_max: (usize, u64),
}

/// The shadow's doors.
#[derive(Debug)]
pub struct ShadowDoors {
    /// What the trader did and read.
    pub told: Consumer<Told>,
    /// Marks and funding estimates.
    pub marks: Consumer<Mark>,
    /// The clerk's news.
    pub news: Consumer<News>,
    /// Live query links and private streams.
    pub arrivals: Consumer<Handed>,
    /// Dead ones, to the clerk.
    pub dead: Producer<Dead>,
    /// The venues' clocks.
    pub offsets: Latest<LANES>,
    /// Wishes to the trader.
    pub commands: Producer<Command>,
    /// What may be sent.
    pub permit: Writer<PERMIT_WORDS>,
    /// What the clerk may ask for.
    pub reads: Writer<READS_WORDS>,
    /// What each pair may do.
    pub terms: Vec<Writer<TERMS_WORDS>>,
    /// To the scribe.
    pub records: Producer<Record>,
    /// How many records are durable, from the scribe.
    pub durable: Latest<1>,
    /// Lines for a person; lossy.
    pub lines: Option<Producer<String>>,
    /// Random bytes for masks and jitter.
    pub entropy: Entropy,
    /// The operator's.
    pub operator: operator::OperatorDoors,
    /// Copies all that comes in, or supplies it.
    pub tap: Tap,
}

/// An order with the price it was decided at.
#[derive(Debug)]
struct Tracked {
    order: Order,
    decided: Price,
    told_unknown: bool,
    /// More was executed than its end told.
    late: bool,
    /// It was to be cancelled, and a person told so.
    cancelled: bool,
    /// What its booked fills left in base coin, net of a base-coin fee; never negative.
    net: Amount,
}

impl Tracked {
    fn new(order: Order, decided: Price) -> Self {
        Self { order, decided, told_unknown: false, late: false, cancelled: false, net: Amount::ZERO }
    }
}

/// One pair in the shadow's books.
#[derive(Debug)]
struct Book {
    pair: PairId,
    state: PairState,
    holding: Holding,
    /// The present intent: its sequence, its last attempt, the class it began with, its slots.
    sequence: u32,
    attempt: u8,
    began_as: crate::units::Class,
    slots: Vec<IntentSlot>,
    /// Lanes of entry orders whose reserve is still held.
    reserved: Vec<usize>,
    repaired: bool,
    /// A contingent leg is still to come or to be called off.
    awaiting: bool,
    /// The trader was told what that leg waits for.
    proven: bool,
    /// An order of a resolved intent was told of again: no entry until that is put right.
    late: bool,
    /// The trader holds the pair BUSY, and waits to be told that it is free.
    owes_free: bool,
    /// An unwind was asked for and not yet fired.
    asked: Option<Nanos>,
    /// When an unwind may be asked for again.
    retry_at: Nanos,
    /// How the present repair goes.
    mending: mending::Mending,
    /// When the two orders before the next one were refused, the older first.
    refused_at: [Option<Nanos>; 2],
    /// Why entries are off for good, if they are.
    frozen: Option<String>,
    mark: Option<Mark>,
    pulse: Option<Pulse>,
    /// What the trader may close.
    held: Option<crate::event::Held>,
    /// Size of one entry: spot, perp.
    clip: [crate::units::Qty; 2],
    /// What an entry of that size binds.
    bind: Bind,
    /// What the entry under way was charged, and its direction.
    bound: (Bind, Direction),
    /// What was published last.
    terms: Terms,
    /// The perp price and the dust the clip was computed for, and whether it is the least.
    clip_for: Option<(Price, Amount, bool)>,
    /// How the rules see it.
    weighing: weighing::Weighing,
    /// The best executable entry basis seen, for people.
    best: Option<Ratio>,
}

/// The room.
#[derive(Debug)]
pub struct Shadow {
    settings: ShadowSettings,
    doors: ShadowDoors,
    clock: Clock,
    key: Option<Arc<Key>>,
    stop: Latch,
    done: Latch,
    intents: IntentsReader,
    phase: Phase,
    instruments: Arc<Instruments>,
    lanes: Vec<Lane>,
    couriers: BTreeMap<usize, Courier<Question>>,
    orders: BTreeMap<ClientId, Tracked>,
    past: Past,
    streams: Streams,
    recovered: recall::Recovered,
    /// The run before did not end by itself.
    cut_short: bool,
    recon: recon::Recon,
    risk: risk::Risk,
    /// Coins that long positions of a pair may sell, the sold ones included.
    granted: BTreeMap<Asset, Amount>,
    funding: funding::Funding,
    income: income::Income,
    fee_coins: fee_coin::FeeCoins,
    brackets: brackets::Brackets,
    confirm: confirm::Confirm,
    books: Vec<Book>,
    ledger: Ledger,
    permit: Permit,
    reads: Reads,
    permit_due: Nanos,
    housekeeping_due: Nanos,
    /// When clocks that disagree are news again.
    clocks_due: Nanos,
    offsets: Offsets,
    /// Markets that asked an earlier process to be left alone, and until when by their venue's clock.
    hushed: Vec<(usize, Unix)>,
    scratch: Scratch,
    fills: Box<FillList>,
    /// Entries on a venue are off until then.
    frozen: BTreeMap<VenueId, (Nanos, String)>,
    /// Positions to be looked at again, and when.
    rechecks: Vec<(Nanos, PairId)>,
    /// What can't be traded for now, and why.
    shut: BTreeMap<InstrumentId, String>,
    /// Perps that are settled for good, and when.
    ending: BTreeMap<InstrumentId, Unix>,
    /// Reference prices of bands that an order met, as read last, and when.
    references: BTreeMap<InstrumentId, (Price, Nanos)>,
    /// Counts up whenever the listings should be read again.
    relist: u64,
    /// Markets whose margin is to be read, and when it is asked for next.
    margins: BTreeMap<usize, Nanos>,
    watch: watch::Watch,
    /// Records the ring had no room for yet: a record is never dropped.
    backlog: VecDeque<Record>,
    written: u64,
    /// Intent slots that are free once so many records are durable.
    freeing: VecDeque<(u64, IntentSlot)>,
    lag: lag::Lag,
    /// Why entries are off since the host's calendar jumped, if they are.
    calendar: Option<String>,
    operator: operator::Operator,
    ended: Ended,
    /// What it adds up to.
    pub totals: Totals,
}

impl Shadow {
    /// A shadow that has heard nothing yet.
    #[must_use]
    pub fn new(
        mut settings: ShadowSettings,
        mut doors: ShadowDoors,
        clock: Clock,
        key: Option<Arc<Key>>,
        stop: Latch,
        done: Latch,
        mut intents: IntentsReader,
    ) -> Self {
        session::tap_shadow(&mut doors);
        intents.tap(&doors.tap);
        let (clock, stop) = (clock.tapped(&doors.tap), stop.tapped(&doors.tap, Flag::Stop));
        let streams = Streams::new(settings.live && key.is_some(), &doors.tap);
        let cut_short = !settings.recalled.ended_well();
        let operator = operator::Operator::new(settings.latched.take(), &doors.operator, clock.now());
        let mut shadow = Self {
            settings,
            doors,
            clock,
            key,
            stop,
            done,
            intents,
            phase: Phase::Starting,
            instruments: Arc::default(),
            lanes: budget::lanes(),
            couriers: BTreeMap::new(),
            orders: BTreeMap::new(),
            past: Past::new(),
            streams,
            recovered: recall::Recovered::default(),
            cut_short,
            recon: recon::Recon::default(),
            risk: risk::Risk::default(),
            granted: BTreeMap::new(),
            funding: funding::Funding::default(),
            income: income::Income::default(),
            fee_coins: fee_coin::FeeCoins::default(),
            brackets: brackets::Brackets::default(),
            confirm: confirm::Confirm::default(),
            books: Vec::new(),
            ledger: Ledger::default(),
            permit: Permit::default(),
            reads: Reads::default(),
            permit_due: Nanos::ZERO,
            housekeeping_due: Nanos::ZERO,
            clocks_due: Nanos::ZERO,
            offsets: Offsets::default(),
            hushed: Vec::new(),
            scratch: Scratch::new(),
            fills: Box::default(),
            frozen: BTreeMap::new(),
            rechecks: Vec::new(),
            watch: watch::Watch::default(),
            shut: BTreeMap::new(),
            ending: BTreeMap::new(),
            references: BTreeMap::new(),
            relist: 0,
            margins: BTreeMap::new(),
            backlog: VecDeque::new(),
            written: 0,
            freeing: VecDeque::new(),
            lag: lag::Lag::default(),
            calendar: None,
            operator,
            ended: Ended::default(),
            totals: Totals::default(),
        };
        let at = shadow.clock.unix();
        let (instance, epoch) = shadow.settings.identity;
        shadow.write(Record::Start { at, what: shadow.settings.about.clone() });
        shadow.write(Record::Epoch { at, instance, epoch });
        shadow.recall_quiet();
        shadow
    }

    fn write(&mut self, record: Record) {
        self.backlog.push_back(record);
        self.drain_backlog();
    }

    fn drain_backlog(&mut self) {
        while self.doors.records.has_room(1) {
            let Some(record) = self.backlog.pop_front() else { break };
            // Room was just seen.
            let _ = self.doors.records.push(record);
            self.written += 1;
        }
    }

    /// A slot is free once what became of its intent is on the disk: until then it may be all that is
    /// known of it (FAULTS 7.2).
    fn free_slots(&mut self) {
        let durable = self.doors.durable.read()[0];
        while let Some((_, slot)) = self.freeing.pop_front_if(|(record, _)| *record <= durable) {
            self.intents.free(slot);
        }
    }

    fn note(&mut self, text: String) {
        if planted(Bug::DoubtUntold) && text.trim_start_matches("ALERT: ").starts_with("order ") {
            return;
        }
        self.line(&text);
        self.write(Record::Note { at: self.clock.unix(), text });
    }

    /// A note that a person should act on (I20).
    fn alert(&mut self, text: String) {
        self.note(format!("ALERT: {text}"));
    }

    fn line(&mut self, text: &str) {
        if let Some(lines) = &mut self.doors.lines {
            // Lossy: a person may miss a line, the journal does not.
            let _ = lines.push(text.to_owned());
        }
    }
}

impl Agent for Shadow {
    fn do_work(&mut self, now: Nanos) -> usize {
        self.doors.tap.begin(now);
        let mut work = 0;
        if let Some(words) = self.doors.offsets.changed() {
            self.offsets = Offsets::from_words(words);
            for (lane, ahead) in self.lanes.iter_mut().zip(self.offsets.0) {
                lane.learn_clock(ahead);
            }
            self.learn_quiet(now);
        }
        while let Some(news) = self.doors.news.pop() {
            self.hear(news, now);
            work += 1;
        }
        for _ in 0..TOLD_PER_TURN_MAX {
            let Some(told) = self.doors.told.pop() else { break };
            self.on_told(told, now);
            work += 1;
        }
        while let Some(mark) = self.doors.marks.pop() {
            self.on_mark(mark);
            work += 1;
        }
        work += self.mail(now);
        work += self.read_streams(now);
        work += self.hear_operator(now);
        if now >= self.permit_due {
            self.doors.tap.keep();
            self.renew_permit(now);
        }
        if now >= self.housekeeping_due {
            self.doors.tap.keep();
            self.housekeeping_due = now.plus(HOUSEKEEPING_NS);
            self.tick_orders(now);
            self.tick_streams();
            self.tick_early(now);
            self.tick_recon(now);
            self.tick_risk(now);
            self.tick_brackets(now);
            self.tick_income(now);
            self.tick_fee_coins(now);
            self.free_slots();
            self.tick_lag(now);
            self.tick_rechecks(now);
            self.tick_margin(now);
            self.tick_watch(now);
            self.tick_mending(now);
            self.tick_weighing(now);
            self.watch_capital();
            self.tick_rotation(now);
            for at in 0..self.books.len() {
                self.publish_terms(at, now);
            }
            self.drain_backlog();
            self.phase(now);
        }
        if work > 0 {
            self.totals.record(Stage::ShadowTurn, self.clock.now().since(now));
        }
        self.doors.tap.end(work);
        work
    }
}
