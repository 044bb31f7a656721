//! One order told of by three sources in every order: the books end the same (I1, I3).
//!
//! Owns:  a shadow by itself, the facts of one order, and the obvious twin: a sum.

use super::*;
use crate::agents::shadow::{Phase, ShadowDoors, ShadowSettings};
use crate::carry::rules::Policy;
use crate::desk::book::tests::one_pair;
use crate::event::{
    Asset, Command, Doubt, Fill, FiredLeg, Made, Mode, News, Offsets, PERMIT_WORDS, PairState, Permit,
    READS_WORDS, Reads, TERMS_WORDS, Terms, Verdict, WalletRow, Wire,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::metal::latest::latest;
use crate::metal::ring::{Consumer, ring};
use crate::metal::tap::Tap;
use crate::store::recall::Recalled;
use crate::units::id::ClientIdParts;
use crate::units::{Amount, Class, Direction, LinkId, PairId, Price, Qty, Side, Unix};
use std::any::Any;
use std::sync::Arc;

/// A shadow whose rings end here.
pub(in crate::agents::shadow) struct Alone {
    pub(in crate::agents::shadow) shadow: Shadow,
    records: Consumer<Record>,
    commands: Consumer<Command>,
    pub(in crate::agents::shadow) now: Nanos,
    sequence: u32,
    trade: u64,
    /// Ends that nothing comes from.
    _ends: Vec<Box<dyn Any>>,
}

pub(in crate::agents::shadow) fn alone() -> Alone {
    let (told_in, told) = ring(8);
    let (marks_in, marks) = ring(8);
    let (news_in, news) = ring(8);
    let (arrivals_in, arrivals) = ring(8);
    let (dead, dead_out) = ring(8);
    let (offsets_in, offsets) = latest::<LANES>(Offsets::default().to_words());
    let (commands_in, commands) = ring(64);
    let (permit, permit_out) = latest::<PERMIT_WORDS>(Permit::default().to_words());
    let (reads, reads_out) = latest::<READS_WORDS>(Reads::default().to_words());
    let (terms, terms_out) = latest::<TERMS_WORDS>(Terms::default().to_words());
    let (records_in, records) = ring(1 << 10);
    let (durable_in, durable) = latest::<1>([0]);
    let (clock, time) = Clock::virtual_time();
    let (intents, intents_reader) = IntentsMemory::anonymous(64).unwrap().halves();
    let (asks_in, asks) = ring(8);
    let (replies, replies_out) = ring(8);
    let doors = ShadowDoors {
        told,
        marks,
        news,
        arrivals,
        dead,
        offsets,
        commands: commands_in,
        permit,
        reads,
        terms: vec![terms],
        records: records_in,
        durable,
        lines: None,
        entropy: Entropy::seeded(1),
        operator: crate::agents::shadow::operator::OperatorDoors { asks, replies, kill: Latch::new() },
        tap: Tap::off(),
    };
    let settings = ShadowSettings {
        about: String::new(),
        identity: (0, 1),
        policy: Policy::default(),
        exit_basis: None,
        confirm: None,
        clip: Amount::ZERO,
        first_entries: 0,
        caps: crate::desk::risk::Caps::default(),
        scale_in: crate::carry::pace::ScaleIn::default(),
        directions: [true, false],
        recv_window_ms: 1_000,
        live: true,
        run_for_ns: None,
        until_round_trips: None,
        latched: None,
        recalled: Recalled::default(),
        settle_ns: 10_000_000_000,
        crashes_max: (3, 1),
    };
    let mut shadow = Shadow::new(settings, doors, clock, None, Latch::new(), Latch::new(), intents_reader);
    shadow.hear(News::Instruments { instruments: Arc::new(one_pair()), limits: Vec::new() }, Nanos(1));
    shadow.phase = Phase::Trading(Nanos(1));
    shadow.streams.lanes = std::array::from_fn(|_| Flow::Flowing);
    let ends: Vec<Box<dyn Any>> = vec![
        Box::new(asks_in),
        Box::new(replies_out),
        Box::new(told_in),
        Box::new(marks_in),
        Box::new(news_in),
        Box::new(arrivals_in),
        Box::new(dead_out),
        Box::new(offsets_in),
        Box::new(permit_out),
        Box::new(reads_out),
        Box::new(terms_out),
        Box::new(durable_in),
        Box::new(time),
        Box::new(intents),
    ];
    Alone { shadow, records, commands, now: Nanos(SEC), sequence: 0, trade: 0, _ends: ends }
}

/// What the answer to the order says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ack {
    /// All: end and fills.
    Full,
    /// Its end alone.
    End,
    /// That nobody knows.
    Lost,
}

/// One thing the shadow hears.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// The trader's report, before its answer.
    Fired,
    /// The answer, from the trader.
    Ack,
    /// A fill by the stream.
    Fill(usize),
    /// Its early, feeless shadow.
    Lite(usize),
    /// The end by the stream.
    End,
    /// What a query says.
    Query,
    /// What a query for trades says.
    Trades,
}

/// One order, in thousandths of a coin.
#[derive(Clone, Debug)]
struct Case {
    leg: LegKind,
    /// Of a whole of ten.
    parts: Vec<i64>,
    ack: Ack,
}

impl Case {
    fn executed(&self) -> i64 {
        self.parts.iter().sum()
    }
}

const WHOLE: i64 = 10;
const FEE: &str = "0.01";

impl Alone {
    fn id(&self, leg: LegKind) -> ClientId {
        let parts = ClientIdParts { instance: 0, epoch: 1, sequence: self.sequence, leg, attempt: 0 };
        ClientId::new(parts).unwrap()
    }

    fn fired_leg(&self, leg: LegKind) -> FiredLeg {
        FiredLeg {
            client: self.id(leg),
            instrument: InstrumentId(leg as u16),
            side: Direction::Short.opening(leg),
            qty: qty(leg, WHOLE),
            limit: price(leg),
            reduce_only: false,
            stamp: Unix(0),
            handed: None,
            sent: self.now,
            wire: Wire::All,
            made: Made::Prepared,
            link: LinkId(0),
        }
    }

    pub(in crate::agents::shadow) fn fire(&mut self) {
        let legs = LegKind::BOTH.map(|leg| Some(self.fired_leg(leg)));
        let fired = Fired {
            more: false,
            bind: crate::event::Bind::default(),
            sequence: self.sequence,
            pair: PairId(0),
            class: Class::Entry,
            direction: Direction::Short,
            decision: 0,
            turn: 1,
            slot: 0,
            quotes: [0; 2],
            prices: LegKind::BOTH.map(price),
            seen: self.now,
            legs,
        };
        self.shadow.on_fired(&fired, self.now);
        // The slot is no claimed one: nothing is handed back.
        self.shadow.books[0].slots.clear();
    }

    fn fill(&self, leg: LegKind, n: usize, part: i64, source: Source) -> Fill {
        Fill {
            client: self.id(leg),
            instrument: InstrumentId(leg as u16),
            order_id: u64::from(self.sequence),
            trade_id: self.trade + n as u64 + 1,
            side: Direction::Short.opening(leg),
            price: price(leg),
            qty: qty(leg, part),
            fee: Amount::parse(FEE.as_bytes()).unwrap(),
            fee_asset: usdt(),
            at: Unix(0),
            source,
        }
    }

    pub(in crate::agents::shadow) fn answer(&mut self, leg: LegKind, verdict: Verdict, source: Source) {
        let answer = Answer {
            client: self.id(leg),
            instrument: InstrumentId(leg as u16),
            received: self.now,
            verdict,
            order_id: u64::from(self.sequence),
            counted: Counted::default(),
            source,
        };
        self.shadow.on_answer(&answer, self.now);
    }

    fn step(&mut self, case: &Case, step: Step) {
        self.now = self.now.plus(MS);
        let (leg, now) = (case.leg, self.now);
        let (client, instrument) = (self.id(leg), InstrumentId(leg as u16));
        let order_id = u64::from(self.sequence);
        let terminal = Verdict::Terminal { executed: qty(leg, case.executed()) };
        let user = |verdict, fill| UserHeard::Order { client, instrument, order_id, verdict, fill };
        match step {
            Step::Fired => self.fire(),
            Step::Ack => {
                if case.ack == Ack::Full {
                    for (n, part) in case.parts.iter().enumerate() {
                        let fill = self.fill(leg, n, *part, Source::Answer);
                        self.shadow.on_fill(&fill, now);
                    }
                }
                let lost = Verdict::Unknown(Doubt::LinkLost);
                self.answer(leg, if case.ack == Ack::Lost { lost } else { terminal }, Source::Answer);
            }
            Step::Fill(n) => {
                let so_far: i64 = case.parts[..=n].iter().sum();
                let executed = qty(leg, so_far);
                let open = Verdict::Open { executed };
                let verdict = if so_far == WHOLE { Verdict::Terminal { executed } } else { open };
                let fill = self.fill(leg, n, case.parts[n], Source::Stream);
                self.shadow.on_user_order(client, instrument, user(verdict, Some(fill)), now);
            }
            Step::Lite(n) => {
                let trade_id = self.trade + n as u64 + 1;
                let lite =
                    UserHeard::Trade { client, instrument, order_id, trade_id, qty: qty(leg, case.parts[n]) };
                self.shadow.on_user_order(client, instrument, lite, now);
            }
            Step::End => self.shadow.on_user_order(client, instrument, user(terminal, None), now),
            Step::Query => self.answer(leg, terminal, Source::Query),
            Step::Trades => {
                for (n, part) in case.parts.iter().enumerate() {
                    let fill = self.fill(leg, n, *part, Source::Query);
                    self.shadow.on_fill(&fill, now);
                }
                self.shadow.settle(PairId(0), now);
            }
        }
    }

    /// Tells one order's story in this order, and lays the books beside the sum.
    fn tell(&mut self, case: &Case, steps: &[Step]) {
        let other = LegKind::BOTH[1 - case.leg as usize];
        self.sequence += 1;
        let before = (self.shadow.ledger.fills(), self.shadow.books[0].holding, self.quote());
        let mut both_told = false;
        for step in steps {
            self.step(case, *step);
            if *step == Step::Fired && !both_told {
                both_told = true;
                // The other leg is plain: one fill, one end, of just as much.
                self.trade += 100;
                if case.executed() > 0 {
                    let fill = self.fill(other, 0, case.executed(), Source::Answer);
                    self.shadow.on_fill(&fill, self.now);
                }
                let executed = qty(other, case.executed());
                self.answer(other, Verdict::Terminal { executed }, Source::Answer);
                self.trade -= 100;
            }
        }
        let story = format!("{case:?} {steps:?}");
        let fills = case.parts.len() as u64 + u64::from(case.executed() > 0);
        assert_eq!(self.shadow.ledger.fills() - before.0, fills, "{story}");
        let coins = Amount(i128::from(case.executed()) * 10i128.pow(15));
        let holding = self.shadow.books[0].holding;
        assert_eq!((holding.spot, holding.perp), (before.1.spot + coins, before.1.perp - coins), "{story}");
        // Every fill's fee once; the coins at their one price.
        let fees = Amount(i128::from(fills) * Amount::parse(FEE.as_bytes()).unwrap().0);
        let paid = Amount(coins.0 * 60_000);
        assert_eq!(self.quote(), before.2 - fees - paid, "{story}");
        assert!(self.shadow.orders.is_empty(), "not resolved: {story}");
        assert!(self.shadow.streams.early.is_empty(), "{story}");
        let state = self.shadow.books[0].state;
        assert!(matches!(state, PairState::Flat | PairState::Hedged), "{state:?} {story}");
        while let Some(command) = self.commands.pop() {
            assert!(matches!(command, Command::Free { .. }), "{command:?} {story}");
        }
        while self.records.pop().is_some() {}
        self.trade += 200;
    }

    /// What was written of looks at the account, each time.
    pub(in crate::agents::shadow) fn baselines(&mut self) -> Vec<Vec<WalletRow>> {
        let records = std::iter::from_fn(|| self.records.pop());
        let held = records.filter_map(|record| match record {
            Record::Baseline { held, .. } => Some(held),
            _ => None,
        });
        held.collect()
    }

    /// What all fills changed of the quote coin, both wallets.
    fn quote(&self) -> Amount {
        let ledger = &self.shadow.ledger;
        ledger.change(LegKind::Spot, usdt()) + ledger.change(LegKind::Perp, usdt())
    }
}

fn usdt() -> Asset {
    "USDT".try_into().unwrap()
}

/// Thousandths of a coin in an instrument's own units.
fn qty(leg: LegKind, thousandths: i64) -> Qty {
    Qty(if leg == LegKind::Spot { thousandths * 100 } else { thousandths })
}

fn price(leg: LegKind) -> Price {
    if leg == LegKind::Spot { Price(6_000_000) } else { Price(600_000) }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for leg in LegKind::BOTH {
        for parts in [vec![], vec![3], vec![10], vec![3, 4], vec![4, 6], vec![3, 4, 3]] {
            for ack in [Ack::Full, Ack::End, Ack::Lost] {
                cases.push(Case { leg, parts: parts.clone(), ack });
            }
        }
    }
    cases
}

/// All there is to hear of an order, but its report.
fn facts(case: &Case) -> Vec<Step> {
    let mut facts = vec![Step::Ack, Step::Query, Step::Trades];
    facts.extend((0..case.parts.len()).map(Step::Fill));
    if case.executed() < WHOLE {
        facts.push(Step::End);
    }
    if case.parts.len() == 1 {
        facts.push(Step::Lite(0));
    }
    facts
}

/// The report comes before the answer and before every question, and by chance before the stream.
fn with_report(mut steps: Vec<Step>, early: bool) -> Vec<Step> {
    let by_stream = |step: &Step| matches!(step, Step::Fill(_) | Step::End | Step::Lite(_));
    let at = steps.iter().position(|step| !by_stream(step)).unwrap_or(steps.len());
    steps.insert(if early { 0 } else { at }, Step::Fired);
    steps
}

/// Every order of these facts (Heap's way).
fn permutations(steps: &mut Vec<Step>, upto: usize, see: &mut impl FnMut(&[Step])) {
    if upto <= 1 {
        see(steps);
        return;
    }
    for at in 0..upto {
        permutations(steps, upto - 1, see);
        steps.swap(if upto.is_multiple_of(2) { at } else { 0 }, upto - 1);
    }
}

#[test]
fn whatever_the_order_in_which_an_order_is_told_of_its_books_end_the_same() {
    let mut alone = alone();
    let mut told = 0u32;
    for case in cases() {
        let mut facts = facts(&case);
        let upto = facts.len();
        permutations(&mut facts, upto, &mut |steps| {
            told += 1;
            alone.tell(&case, &with_report(steps.to_vec(), told.is_multiple_of(2)));
        });
    }
    assert!(told > 10_000, "{told}");
}

/// Facts twice, thrice, in any order. `CONTANGO_SEQUENCES=1000000` tells a million.
#[test]
fn facts_told_again_and_again_are_booked_once() {
    let wanted = std::env::var("CONTANGO_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let (mut alone, cases) = (alone(), cases());
    let mut dice = Entropy::seeded(7);
    for n in 0..wanted {
        if n % 10_000 == 9_999 {
            // Books of old orders cost memory, not truth.
            alone = self::alone();
        }
        let case = &cases[dice.u64() as usize % cases.len()];
        let facts = facts(case);
        let mut steps = facts.clone();
        steps.extend((0..dice.u64() % 6).map(|_| facts[dice.u64() as usize % facts.len()]));
        for at in (1..steps.len()).rev() {
            steps.swap(at, dice.u64() as usize % (at + 1));
        }
        alone.tell(case, &with_report(steps, dice.u64().is_multiple_of(2)));
    }
}

/// R19: a fill of an order whose end told less. It is booked, and its pair put right.
#[test]
fn a_fill_after_the_end_of_a_resolved_order_is_booked_and_unwound() {
    for leg in LegKind::BOTH {
        let mut alone = alone();
        let case = Case { leg, parts: vec![3, 4], ack: Ack::Full };
        alone.tell(&case, &[Step::Fired, Step::Ack]);
        assert_eq!(alone.shadow.books[0].state, PairState::Hedged);
        alone.trade -= 200;
        let fill = alone.fill(leg, 50, 3, Source::Stream);
        let (client, instrument, now) = (fill.client, fill.instrument, alone.now);
        let verdict = Verdict::Terminal { executed: qty(leg, 10) };
        let heard = UserHeard::Order { client, instrument, order_id: 1, verdict, fill: Some(fill) };
        // Spot is valued against its minimum by the newest quote.
        let quote = crate::desk::book::tests::quote(0, 1, 6_000_000, 6_000_001, now);
        let pulse = crate::event::Pulse {
            pair: PairId(0),
            quotes: [Some(quote), None],
            spread_ppb: 0,
            weighed: [0; 4],
            gate: None,
        };
        alone.shadow.on_pulse(pulse, now);
        alone.shadow.on_user_order(client, instrument, heard, now);
        assert_eq!(alone.shadow.books[0].state, PairState::Busy);
        assert_eq!(alone.shadow.ledger.fills(), 4);
        let side = if leg == LegKind::Spot { Side::Sell } else { Side::Buy };
        let asked: Vec<_> = std::iter::from_fn(|| alone.commands.pop()).collect();
        assert!(
            matches!(asked[..], [Command::Unwind { leg: it, side: way, qty: much, .. }]
                if it == leg && way == side && much == qty(leg, 3)),
            "{asked:?}"
        );
        assert_eq!(alone.shadow.streams.early.len(), 0);
    }
}

#[test]
fn an_event_of_an_order_this_run_did_not_send_bars_its_pair() {
    for (instance, epoch, late) in [(3, 1, false), (0, 1, true)] {
        let mut alone = alone();
        not_ours(&mut alone, instance, epoch);
        assert_eq!(alone.shadow.books[0].frozen.is_none(), late, "its report may still come");
        alone.shadow.tick_early(alone.now.plus(EARLY_NS + 1));
        assert!(alone.shadow.books[0].frozen.is_some());
        assert_eq!(alone.shadow.mode(), Mode::Trading);
    }
}

/// F116.
#[test]
fn an_event_of_a_run_that_never_began_here_halts() {
    let mut alone = alone();
    not_ours(&mut alone, 0, 2);
    assert_eq!(alone.shadow.mode(), Mode::Halted);
}

/// An order that this run did not send shows up on the private stream.
fn not_ours(alone: &mut Alone, instance: u8, epoch: u32) {
    let parts = ClientIdParts { instance, epoch, sequence: 9, leg: LegKind::Spot, attempt: 0 };
    let (client, instrument) = (ClientId::new(parts).unwrap(), InstrumentId(0));
    let verdict = Verdict::Open { executed: Qty::ZERO };
    let heard = UserHeard::Order { client, instrument, order_id: 1, verdict, fill: None };
    alone.shadow.on_user_order(client, instrument, heard, alone.now);
}

/// F85: a coin may be traded in two markets, and what came is in the books of neither.
#[test]
fn coins_that_came_are_looked_for_in_every_market_of_theirs() {
    let mut shadow = alone().shadow;
    shadow.key = Some(Arc::new(crate::venue::Key::new("k".repeat(64), "s".repeat(64))));
    let all = Arc::make_mut(&mut shadow.instruments);
    let again = Instrument { id: InstrumentId(2), ..all.instruments[0].clone() };
    all.instruments.push(again);
    let of_lane = lane(VenueId(0), LegKind::Spot);
    shadow.on_moved(of_lane, Some("ETH".try_into().unwrap()), Nanos(SEC));
    assert!(shadow.recon.rounds.is_empty(), "no pair of ours");
    shadow.on_moved(of_lane, Some("BTC".try_into().unwrap()), Nanos(SEC));
    let scope: Vec<InstrumentId> = shadow.recon.rounds[&of_lane].scope.iter().copied().collect();
    assert_eq!(scope, [InstrumentId(0), InstrumentId(2)]);
}
