//! What the journal is taken to say: every kind of record, what is open after each of them, and random
//! histories cut anywhere, against a model that looks at the whole past each time.
//!
//! Owns:  claims about `recall.rs`; records go through [`encode`], so that writer and reader agree.
//! Map:   framing and damage are `journal.rs`'s; what a start does with the facts, `tests/story/recovery.rs`.

use super::super::journal::tests::{AT, all, instruments, markets};
use super::super::journal::{Reader, encode, file_header};
use super::super::segments::{file_name, open};
use super::*;
use crate::event::{
    Answer, Counted, Doubt, End, Fill, Fired, FiredLeg, Made, PairState, Record, Refusal, RefusalKind,
    Source, Verdict, WalletRow, Wire,
};
use crate::metal::disk::Disk;
use crate::units::id::ClientIdParts;
use crate::units::time::SEC;
use crate::units::{Class, Direction, InstrumentId, LinkId, Nanos, PairId, Price, Qty, Side};
use LegKind::{Perp, Spot};
use proptest::prelude::*;
use serde_json::Map;

const REFUSAL: Refusal = Refusal { code: -2010, kind: RefusalKind::Funds };

pub(super) fn id(sequence: u32, leg: LegKind) -> ClientId {
    ClientId::new(ClientIdParts { instance: 1, epoch: 7, sequence, leg, attempt: 0 }).unwrap()
}

fn instrument(leg: LegKind) -> InstrumentId {
    InstrumentId(leg as u16)
}

/// A send round of 100 units a leg.
fn fired(sequence: u32, legs: &[(LegKind, Wire)], more: bool) -> Record {
    let leg = |&(leg, wire): &(LegKind, Wire)| FiredLeg {
        client: id(sequence, leg),
        instrument: instrument(leg),
        side: Direction::Short.opening(leg),
        qty: Qty(100),
        limit: Price(654_400),
        reduce_only: leg == Perp,
        stamp: AT,
        handed: None,
        sent: Nanos(5),
        wire,
        made: Made::Prepared,
        link: LinkId(3),
    };
    Record::Fired {
        at: AT,
        fired: Fired {
            turn: 0,
            sequence,
            pair: PairId(0),
            class: Class::Entry,
            direction: Direction::Short,
            decision: 4711,
            slot: 0,
            quotes: [1, 2],
            prices: [Price(6_543_210), Price(654_440)],
            seen: Nanos(1),
            legs: [legs.first().map(leg), legs.get(1).map(leg)],
            more,
            bind: crate::event::Bind::default(),
        },
        instruments: instruments(),
    }
}

fn answer(sequence: u32, leg: LegKind, verdict: Verdict, order_id: u64) -> Record {
    Record::Answer {
        at: AT,
        answer: Answer {
            client: id(sequence, leg),
            instrument: instrument(leg),
            received: Nanos(9),
            verdict,
            order_id,
            counted: Counted::default(),
            source: Source::Answer,
        },
        instruments: instruments(),
    }
}

fn fill(sequence: u32, leg: LegKind, trade_id: u64, qty: i64, source: Source) -> Record {
    Record::Fill {
        cause: None,
        decided: Price(654_440),
        at: AT,
        fill: Fill {
            client: id(sequence, leg),
            instrument: instrument(leg),
            order_id: 28,
            trade_id,
            side: Direction::Short.opening(leg),
            price: Price(654_321),
            qty: Qty(qty),
            fee: Amount::parse(b"0.001").unwrap(),
            fee_asset: Asset::from("USDT").unwrap(),
            at: AT,
            source,
        },
        instruments: instruments(),
    }
}

fn end(sequence: u32, leg: LegKind, end: End) -> Record {
    Record::OrderEnd { at: AT, client: id(sequence, leg), end }
}

fn entries(records: &[Record]) -> Vec<Entry> {
    let mut bytes = file_header(1).to_vec();
    records.iter().for_each(|record| drop(encode(record, &mut bytes)));
    Reader::new(&bytes, 1).collect()
}

/// On what every run writes before its first order.
fn recall_entries(entries: &[Entry]) -> Result<Recalled, RecallError> {
    let mut before = Recalled::default();
    self::entries(&[markets()]).iter().for_each(|entry| before.take(entry).unwrap());
    let mut recalled = Recalled { markets: before.markets, traded: before.traded, ..Recalled::default() };
    entries.iter().try_for_each(|entry| recalled.take(entry))?;
    Ok(recalled)
}

fn recall(records: &[Record]) -> Recalled {
    recall_entries(&entries(records)).unwrap()
}

pub(super) fn done_ids(of: impl IntoIterator<Item = ClientId>) -> Ids {
    let mut ids = Ids::default();
    of.into_iter().for_each(|id| ids.insert(id));
    ids
}

/// Orders by sequence and leg.
type Legs<'a> = &'a [(u32, LegKind)];

/// After each record: orders to be asked about, orders that are done.
#[track_caller]
fn stands(steps: &[(Record, Legs<'_>, Legs<'_>)]) {
    let records: Vec<Record> = steps.iter().map(|(record, ..)| record.clone()).collect();
    for (n, (record, open, closed)) in steps.iter().enumerate() {
        let recalled = recall(&records[..=n]);
        let ids = |legs: &[(u32, LegKind)]| legs.iter().map(|&(n, leg)| id(n, leg)).collect::<BTreeSet<_>>();
        let asked: BTreeSet<ClientId> = recalled.orders.keys().copied().collect();
        assert_eq!(asked, ids(open), "after record {n}: {record:?}");
        assert_eq!(recalled.closed, done_ids(ids(closed)), "after record {n}: {record:?}");
    }
}

const BOTH: &[(LegKind, Wire)] = &[(Perp, Wire::All), (Spot, Wire::All)];

#[test]
fn an_order_is_asked_about_until_its_end_and_its_last_fill_are_written() {
    let (s, p) = ((1, Spot), (1, Perp));
    let open = Verdict::Open { executed: Qty(40) };
    let done = Verdict::Terminal { executed: Qty(100) };
    stands(&[
        (Record::Start { at: AT, what: String::new() }, &[], &[]),
        (fired(1, BOTH, false), &[s, p], &[]),
        (answer(1, Perp, open, 9), &[s, p], &[]),
        (fill(1, Perp, 5, 40, Source::Stream), &[s, p], &[]),
        (answer(1, Spot, done, 8), &[s, p], &[]),
        (fill(1, Spot, 6, 60, Source::Answer), &[s, p], &[]),
        (fill(1, Spot, 7, 40, Source::Query), &[s, p], &[]),
        (end(1, Spot, End::Terminal(Qty(100))), &[p], &[s]),
        (answer(1, Perp, Verdict::Unknown(Doubt::LinkLost), 0), &[p], &[s]),
        (end(1, Perp, End::Terminal(Qty(100))), &[p], &[s]),
        (fill(1, Perp, 8, 60, Source::Query), &[], &[s, p]),
        (fill(1, Perp, 9, 1, Source::Stream), &[], &[s, p]),
    ]);
}

#[test]
fn what_never_executed_is_done_with_its_end() {
    let (s, p) = ((1, Spot), (1, Perp));
    for (first, second) in [(End::Refused(REFUSAL), End::NeverLanded), (End::NeverLanded, End::NotSent)] {
        stands(&[
            (fired(1, BOTH, false), &[s, p], &[]),
            (answer(1, Spot, Verdict::NotFound, 0), &[s, p], &[]),
            (end(1, Spot, first), &[p], &[s]),
            (end(1, Perp, second), &[], &[s, p]),
        ]);
    }
}

#[test]
fn what_no_byte_was_sent_of_is_never_asked_about() {
    let (s, p) = ((1, Spot), (1, Perp));
    stands(&[
        (fired(1, &[(Perp, Wire::Part), (Spot, Wire::Nothing)], false), &[p], &[s]),
        (end(1, Spot, End::NotSent), &[p], &[s]),
    ]);
}

#[test]
fn a_leg_that_waited_is_an_order_of_its_own_round() {
    let (s, p) = ((4, Spot), (4, Perp));
    stands(&[
        (fired(4, &[(Perp, Wire::All)], true), &[p], &[]),
        (fill(4, Perp, 1, 100, Source::Answer), &[p], &[]),
        (end(4, Perp, End::Terminal(Qty(100))), &[], &[p]),
        (fired(4, &[(Spot, Wire::All)], false), &[s], &[p]),
        (end(4, Spot, End::Terminal(Qty(0))), &[], &[s, p]),
    ]);
}

#[test]
fn a_fill_after_a_wrong_end_is_booked_all_the_same() {
    let recalled = recall(&[
        fired(1, &[(Perp, Wire::All)], false),
        end(1, Perp, End::NeverLanded),
        fill(1, Perp, 77, 100, Source::Stream),
    ]);
    assert_eq!((recalled.sums.fills, recalled.trades.len()), (1, 1));
    assert_eq!(recalled.trades[&(btc(Perp), 77)].client, Some(id(1, Perp)));
    assert!(recalled.orders.is_empty() && recalled.closed.contains(id(1, Perp)));
}

/// A moment as the journal keeps it: whole microseconds.
fn told(at: Unix) -> Unix {
    Unix(at.0 / 1_000 * 1_000)
}

fn btc(leg: LegKind) -> Market {
    Market { leg, symbol: "BTCUSDT".to_owned() }
}

#[test]
fn a_fill_is_added_up_once_at_the_prices_of_its_own_record() {
    let twice = [fill(1, Perp, 5, 30, Source::Stream), fill(1, Perp, 5, 30, Source::Query)];
    let recalled = recall(&[&[fired(1, BOTH, false)][..], &twice].concat());
    let amount = |text: &str| Amount::parse(text.as_bytes()).unwrap();
    let usdt = Asset::from("USDT").unwrap();
    assert_eq!(recalled.sums.fills, 1);
    assert_eq!(recalled.sums.changes[&(Perp, usdt)], amount("-0.001"));
    // 0.030 sold at 65432.1, decided at 65444.0.
    let lot = recalled.sums.lot(Asset::from("BTC").unwrap(), Perp);
    assert_eq!((Amount(lot.base), Amount(lot.cost)), (amount("-0.03"), amount("-1963.32")));
    assert_eq!(recalled.sums.profit.slippage, amount("-0.357"));
    assert_eq!(recalled.orders[&id(1, Perp)].booked, 30);
}

#[test]
fn an_order_is_recalled_with_all_that_asking_needs() {
    let recalled = recall(&[
        fired(1, BOTH, false),
        answer(1, Perp, Verdict::Open { executed: Qty(40) }, 29),
        answer(1, Perp, Verdict::Unknown(Doubt::Silence), 0),
        fill(1, Perp, 5, 30, Source::Stream),
        end(1, Perp, End::Terminal(Qty(90))),
    ]);
    let expected = OldOrder {
        market: btc(Perp),
        class: Class::Entry,
        side: Side::Sell,
        qty: "0.100".to_owned(),
        limit: "65440.0".to_owned(),
        decided: "65444.0".to_owned(),
        reduce_only: true,
        stamp: Unix::from_ms(AT.as_ms()).unwrap(),
        order_id: 29,
        executed: 90,
        booked: 30,
        ended: true,
    };
    assert_eq!(recalled.orders[&id(1, Perp)], expected);
    let spot = &recalled.orders[&id(1, Spot)];
    assert_eq!((spot.decided.as_str(), spot.qty.as_str(), spot.order_id), ("65432.10", "0.00100", 0));
    assert_eq!((spot.side, spot.ended, spot.executed), (Side::Buy, false, 0));
    let trade = OldTrade { order_id: 28, client: Some(id(1, Perp)), qty: "0.030".to_owned(), at: told(AT) };
    assert_eq!(recalled.trades, BTreeMap::from([((btc(Perp), 5), trade)]));
}

#[test]
fn what_the_venue_traded_by_itself_belongs_to_no_order() {
    let mut entries = entries(&[fired(1, BOTH, false), fill(1, Perp, 5, 100, Source::Stream)]);
    entries[1].body.insert("client_id".to_owned(), "autoclose-1".into());
    let recalled = recall_entries(&entries).unwrap();
    assert_eq!(recalled.trades[&(btc(Perp), 5)].client, None);
    assert_eq!(recalled.orders[&id(1, Perp)].booked, 0);
}

#[test]
fn markets_openings_and_hedged_pairs_are_as_last_told() {
    let pair = |state| Record::Pair {
        at: AT,
        name: Asset::from("BTC").unwrap(),
        state,
        spot: Amount::ZERO,
        perp: Amount::ZERO,
        why: "story",
    };
    let wallet = |leg, asset: &str, opening: &[u8], as_of_s: i64| WalletRow {
        leg,
        asset: Asset::from(asset).unwrap(),
        total: Amount::parse(b"9").unwrap(),
        opening: Amount::parse(opening).unwrap(),
        as_of: Unix(AT.0 + as_of_s * 1_000_000_000),
    };
    let baseline = |held| Record::Baseline { at: AT, held, unexplained: Vec::new() };
    let records = [
        Record::Markets { at: AT, epoch: 7, recv_window_ms: 900, instruments: instruments() },
        baseline(vec![wallet(Spot, "BTC", b"1.5", -9), wallet(Perp, "USDT", b"-2", -1)]),
        pair(PairState::Hedged),
        pair(PairState::Busy),
        baseline(vec![wallet(Spot, "BTC", b"0.5", -7)]),
        pair(PairState::Unknown),
        pair(PairState::Quarantined),
        pair(PairState::Flat),
    ];
    let recalled = recall(&records);
    let run = recalled.markets_of(7).unwrap();
    assert_eq!((run.recv_window_ms, recalled.markets_of(6), recalled.markets_of(8)), (900, None, None));
    let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
    let row = |leg, price_decimals, qty_decimals| OldInstrument {
        market: btc(leg),
        base,
        quote,
        price_decimals,
        qty_decimals,
    };
    assert_eq!(run.instruments, [row(Spot, 2, 5), row(Perp, 1, 3)]);
    let size_factor = Amount::parse(b"1").unwrap();
    assert_eq!(run.pairs, [OldPair { name: base, legs: [0, 1], price_factor: 1, size_factor }]);
    let openings: Vec<String> =
        recalled.openings.iter().map(|((leg, asset), amount)| format!("{leg} {asset} {amount}")).collect();
    assert_eq!(openings, ["spot BTC 0.5", "perp USDT -2"], "what a later baseline leaves out still holds");
    let as_of: Vec<i64> = recalled.compared.values().map(|at| (at.0 - AT.0) / 1_000_000_000).collect();
    assert_eq!(as_of, [-7, -1], "each has its own");
    let hedged: Vec<bool> = (0..=records.len()).map(|n| !recall(&records[..n]).hedged.is_empty()).collect();
    assert_eq!(hedged, [false, false, false, true, true, true, true, true, false], "only flat ends it");
}

#[test]
fn a_run_that_did_not_say_stop_last_is_a_crash() {
    // The journal keeps whole microseconds.
    let since = |s: i64| Unix(AT.0 / 1_000 * 1_000 + s * SEC as i64);
    let start = |s: i64| Record::Start { at: since(s), what: String::new() };
    let stop = || Record::Stop { at: AT, open: Vec::new() };
    let note = || Record::Note { at: AT, text: String::new() };
    assert!(recall(&[]).ended_well(), "nothing ran, so nothing is missing");
    let sent = || end(1, Spot, End::NotSent);
    let records = [start(0), stop(), note(), start(10), note(), start(20), stop(), sent(), start(30)];
    let well: Vec<bool> = (1..=records.len()).map(|n| recall(&records[..n]).ended_well()).collect();
    assert_eq!(well, [false, true, true, false, false, false, true, false, false]);
    let recalled = recall(&records);
    let runs: Vec<bool> = recalled.runs.iter().map(|run| run.stopped).collect();
    assert_eq!(
        runs,
        [true, false, false, false],
        "what is traded behind a stop makes it no stop; a note does not"
    );
    for (s, crashes) in [(0, 3), (10, 3), (11, 2), (20, 2), (21, 1), (31, 0)] {
        assert_eq!(recalled.crashes_since(since(s)), crashes, "since {s} s");
    }
    assert_eq!(recalled.last_at, Some(since(30)));
}

#[test]
fn every_kind_of_record_is_taken_in_and_counted() {
    let recalled = recall(&all());
    let mut kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::Checkpoint);
    assert!(kinds.all(|kind| recalled.counts[kind] > 0), "{:?}", recalled.counts);
    assert_eq!(recalled.records_read(), all().len() as u64);
}

/// The fields a record can't do without; of a list, those of its first object.
const NEEDED: &[(Kind, &[&str])] = &[
    (Kind::Start, &["at_us"]),
    (Kind::Epoch, &["at_us"]),
    (
        Kind::Fired,
        &[
            "at_us",
            "class",
            "legs",
            "spot_price",
            "perp_price",
            "legs/market",
            "legs/symbol",
            "legs/client_id",
            "legs/side",
            "legs/qty",
            "legs/limit",
            "legs/reduce_only",
            "legs/stamp_ms",
            "legs/wire",
        ],
    ),
    (Kind::Answer, &["at_us", "client_id"]),
    (
        Kind::Fill,
        &[
            "at_us",
            "market",
            "symbol",
            "trade_id",
            "order_id",
            "client_id",
            "side",
            "price",
            "qty",
            "fee",
            "fee_asset",
            "decided",
            "traded_us",
        ],
    ),
    (Kind::OrderEnd, &["at_us", "client_id", "end", "executed_units"]),
    (Kind::Pair, &["at_us", "pair", "state"]),
    (Kind::Mode, &["at_us"]),
    (Kind::Stop, &["at_us"]),
    (Kind::Note, &["at_us"]),
    (
        Kind::Markets,
        &[
            "at_us",
            "epoch",
            "recv_window_ms",
            "instruments",
            "instruments/market",
            "instruments/symbol",
            "instruments/price_decimals",
            "instruments/qty_decimals",
            "instruments/base",
            "instruments/quote",
            "pairs",
            "pairs/name",
            "pairs/spot",
            "pairs/perp",
            "pairs/price_factor",
            "pairs/size_factor",
        ],
    ),
    (Kind::Baseline, &["at_us", "held", "held/market", "held/asset", "held/opening"]),
    (Kind::Funding, &["at_us", "tran_id", "symbol", "amount", "asset", "paid_us", "earned"]),
    (Kind::Grant, &["at_us", "pair", "qty"]),
    (Kind::Basis, &["at_us", "pair", "hour_us", "short", "long"]),
    (Kind::FeePrice, &["at_us", "asset", "price"]),
];

/// The object that holds a field, and the field's own name.
fn place<'a>(body: &'a mut Map<String, Value>, path: &'a str) -> (&'a mut Map<String, Value>, &'a str) {
    match path.split_once('/') {
        None => (body, path),
        Some((list, field)) => (body[list][0].as_object_mut().unwrap(), field),
    }
}

/// Every field of a body, those of the first object of a list as well.
fn fields(body: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in body {
        found.push(key.clone());
        let inner = value.get(0).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        found.extend(inner.map(|field| format!("{key}/{field}")));
    }
    found
}

#[test]
fn a_record_without_a_fact_it_must_hold_is_told_by_number_and_field() {
    let mut kinds = BTreeSet::new();
    // The order is known, so that an end has something to end.
    let mut samples = vec![
        fired(1, BOTH, false),
        end(1, Spot, End::Terminal(Qty(3))),
        answer(1, Perp, Verdict::Duplicate, 0),
    ];
    samples.extend(all().into_iter().filter(|record| {
        !matches!(record, Record::Fired { .. } | Record::OrderEnd { .. } | Record::Answer { .. })
    }));
    let sound = entries(&samples);
    assert!(recall_entries(&sound).is_ok());
    for (n, entry) in sound.iter().enumerate() {
        kinds.insert(entry.kind);
        let (_, needed) = NEEDED.iter().find(|(kind, _)| *kind == entry.kind).unwrap();
        for needed in *needed {
            assert!(
                fields(&entry.body).iter().any(|field| field == needed),
                "{:?} has no {needed}",
                entry.kind
            );
        }
        for path in fields(&entry.body) {
            for broken in [None, Some(Value::Null), Some(Value::from(-1.5)), Some(Value::from("?"))] {
                let mut damaged = sound.clone();
                let (body, field) = place(&mut damaged[n].body, &path);
                match &broken {
                    None => drop(body.shift_remove(field)),
                    Some(value) => drop(body.insert(field.to_owned(), value.clone())),
                }
                let found = recall_entries(&damaged).map(|_| ());
                let name = path.rsplit('/').next().unwrap();
                // Names are texts of any form; a client id that is none of ours is the venue's; a state or
                // an end of another word asks nothing of a start.
                let free =
                    ["symbol", "pair", "state", "end", "wire", "asset", "fee_asset", "base", "quote", "name"]
                        .contains(&name)
                        || (name == "client_id" && entry.kind == Kind::Fill);
                // A fill of a market that nobody wrote down can't be added up.
                let free = free && !(name == "symbol" && entry.kind == Kind::Fill);
                if needed.contains(&path.as_str()) && !(free && broken == Some(Value::from("?"))) {
                    let error = found.unwrap_err();
                    let place = (error.number, error.kind, error.field);
                    assert_eq!(place, (n as u64 + 1, entry.kind, name), "{path}: {broken:?}");
                    let text = error.to_string();
                    assert!(text.contains(&format!("record {} ", n + 1)) && text.contains(name), "{text}");
                } else {
                    assert_eq!(found, Ok(()), "{:?} {path}: {broken:?}", entry.kind);
                }
            }
        }
    }
    assert!(
        kinds.into_iter().eq(Kind::ALL.into_iter().filter(|kind| *kind != Kind::Checkpoint)),
        "every kind but a checkpoint was damaged"
    );
}

#[test]
fn an_executed_quantity_that_is_no_number_stops_the_start() {
    let told = Verdict::Open { executed: Qty(4) };
    let mut entries = entries(&[fired(1, BOTH, false), answer(1, Perp, told, 3)]);
    assert_eq!(recall_entries(&entries).unwrap().orders[&id(1, Perp)].executed, 4);
    entries[1].body.insert("executed".to_owned(), "many".into());
    let error = recall_entries(&entries).unwrap_err();
    assert_eq!((error.number, error.field), (2, "executed"));
}

// ───────────────────────── random histories ─────────────────────────

/// One thing that happens to one of the first orders, or to none.
#[derive(Clone, Debug)]
pub(in super::super) enum Step {
    Fire { both: bool, wires: [Wire; 2] },
    Answer { whose: usize, verdict: Verdict, order_id: u64 },
    Fill { whose: usize, qty: i64 },
    End { whose: usize, end: End },
    Start,
    Stop,
    Note,
}

pub(in super::super) fn step() -> impl Strategy<Value = Step> {
    let wire = || prop_oneof![5 => Just(Wire::All), 1 => Just(Wire::Part), 1 => Just(Wire::Nothing)];
    let executed = || (0i64..=100).prop_map(Qty);
    let verdict = prop_oneof![
        executed().prop_map(|executed| Verdict::Terminal { executed }),
        executed().prop_map(|executed| Verdict::Open { executed }),
        Just(Verdict::Refused(REFUSAL)),
        Just(Verdict::Duplicate),
        Just(Verdict::NotFound),
        Just(Verdict::Unknown(Doubt::Silence)),
    ];
    let end = prop_oneof![
        3 => executed().prop_map(End::Terminal),
        1 => Just(End::Refused(REFUSAL)),
        1 => Just(End::NeverLanded),
    ];
    prop_oneof![
        3 => (any::<bool>(), wire(), wire()).prop_map(|(both, a, b)| Step::Fire { both, wires: [a, b] }),
        4 => (0usize..8, verdict, 0u64..3)
            .prop_map(|(whose, verdict, order_id)| Step::Answer { whose, verdict, order_id }),
        6 => (0usize..8, 1i64..=60).prop_map(|(whose, qty)| Step::Fill { whose, qty }),
        4 => (0usize..8, end).prop_map(|(whose, end)| Step::End { whose, end }),
        1 => Just(Step::Start),
        1 => Just(Step::Stop),
        1 => Just(Step::Note),
    ]
}

/// What one record says of one order: the model's whole world.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Said {
    Fired(ClientId, Wire),
    Answered(ClientId, i64, u64),
    Filled(ClientId, i64),
    Ended(ClientId, i64),
    Nothing,
}

/// Records of a valid history: nothing is told of an order before it was fired.
pub(in super::super) fn history(steps: &[Step]) -> (Vec<Record>, Vec<Vec<Said>>) {
    let (mut records, mut says) = (Vec::new(), Vec::new());
    let mut orders: Vec<(u32, LegKind)> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let of = |whose: usize| (!orders.is_empty()).then(|| orders[orders.len() - 1 - whose % orders.len()]);
        let (record, said) = match step {
            Step::Fire { both, wires } => {
                let sequence = n as u32;
                let legs = [(Perp, wires[0]), (Spot, wires[1])];
                let legs = if *both { &legs[..] } else { &legs[..1] };
                orders.extend(legs.iter().map(|&(leg, _)| (sequence, leg)));
                let said = legs.iter().map(|&(leg, wire)| Said::Fired(id(sequence, leg), wire));
                (fired(sequence, legs, !both), said.collect())
            }
            Step::Answer { whose, verdict, order_id } => {
                let Some((sequence, leg)) = of(*whose) else { continue };
                let executed = match verdict {
                    Verdict::Terminal { executed } | Verdict::Open { executed } => executed.0,
                    _ => 0,
                };
                let said = Said::Answered(id(sequence, leg), executed, *order_id);
                (answer(sequence, leg, *verdict, *order_id), vec![said])
            }
            Step::Fill { whose, qty } => {
                let Some((sequence, leg)) = of(*whose) else { continue };
                let source = [Source::Answer, Source::Query, Source::Stream][n % 3];
                (fill(sequence, leg, n as u64, *qty, source), vec![Said::Filled(id(sequence, leg), *qty)])
            }
            Step::End { whose, end: how } => {
                let Some((sequence, leg)) = of(*whose) else { continue };
                let executed = if let End::Terminal(executed) = how { executed.0 } else { 0 };
                (end(sequence, leg, *how), vec![Said::Ended(id(sequence, leg), executed)])
            }
            Step::Start => (Record::Start { at: AT, what: String::new() }, vec![Said::Nothing]),
            Step::Stop => (Record::Stop { at: AT, open: Vec::new() }, vec![Said::Nothing]),
            Step::Note => (Record::Note { at: AT, text: String::new() }, vec![Said::Nothing]),
        };
        records.push(record);
        says.push(said);
    }
    (records, says)
}

/// What is known of an order by all that was said, read from the beginning: executed, booked, ended, id.
fn known(of: ClientId, said: &[Said]) -> (i64, i64, bool, u64) {
    let (mut executed, mut booked, mut ended, mut order_id) = (0, 0, false, 0);
    for said in said {
        match *said {
            Said::Answered(client, told, number) if client == of => {
                executed = executed.max(told);
                order_id = if number == 0 { order_id } else { number };
            }
            Said::Filled(client, qty) if client == of => booked += qty,
            Said::Ended(client, told) if client == of => (executed, ended) = (executed.max(told), true),
            _ => {}
        }
    }
    (executed.max(booked), booked, ended, order_id)
}

/// An order is done from the first fill or end on after which nothing of it can be missing.
fn done(of: ClientId, said: &[Said]) -> bool {
    said.iter().enumerate().any(|(n, it)| match *it {
        Said::Fired(client, wire) => client == of && wire == Wire::Nothing,
        Said::Filled(client, _) | Said::Ended(client, _) if client == of => {
            let (executed, booked, ended, _) = known(of, &said[..=n]);
            ended && booked >= executed
        }
        _ => false,
    })
}

proptest! {
    #[test]
    fn every_cut_of_every_history_is_recalled_as_the_slow_model_says(
        steps in prop::collection::vec(step(), 0..40),
        torn in 0usize..40,
    ) {
        let (records, says) = history(&steps);
        let mut bytes = file_header(1).to_vec();
        encode(&markets(), &mut bytes);
        for n in 0..=records.len() {
            let said: Vec<Said> = says[..n].concat();
            let sent = said.iter().filter_map(|it| if let Said::Fired(of, _) = it { Some(*of) } else { None });
            let (closed, open): (BTreeSet<_>, BTreeSet<_>) = sent.partition(|of| done(*of, &said));

            // Behind the cut: the first bytes of the next record, as a crash leaves them.
            let mut next = Vec::new();
            if let Some(record) = records.get(n) {
                encode(record, &mut next);
            }
            let mut disk = Disk::memory();
            let torn = &next[..torn.min(next.len().saturating_sub(1))];
            disk.replace(&file_name(1, 1), &[&bytes, torn].concat()).unwrap();
            let recalled = open_again(&mut disk);

            let asked: BTreeSet<ClientId> = recalled.orders.keys().copied().collect();
            prop_assert_eq!(asked, open);
            prop_assert_eq!(&recalled.closed, &done_ids(closed));
            for (of, order) in &recalled.orders {
                let found = (order.executed as i64, order.booked as i64, order.ended, order.order_id);
                prop_assert_eq!(found, known(*of, &said));
            }
            let fills: BTreeSet<_> = recalled.trades.iter().map(|((_, id), it)| (*id, it.client)).collect();
            let written = records[..n].iter().filter_map(|record| match record {
                Record::Fill { fill, .. } => Some((fill.trade_id, Some(fill.client))),
                _ => None,
            });
            prop_assert_eq!(fills, written.collect::<BTreeSet<_>>(), "each once");
            let last = records[..n].iter().rev().take_while(|it| !matches!(it, Record::Start { .. })).count();
            let began = last < n;
            let traded = |it: &Record| matches!(it, Record::Fired { .. } | Record::Fill { .. } | Record::OrderEnd { .. });
            let mut told = records[..n].iter().rev().filter(|it| {
                traded(it) || matches!(it, Record::Stop { .. } | Record::Start { .. })
            });
            let stopped = matches!(told.next(), Some(Record::Stop { .. }));
            prop_assert_eq!(recalled.ended_well(), !began || stopped);
            prop_assert_eq!(open_again(&mut disk), recalled, "reading again changes nothing");
            bytes.extend_from_slice(&next);
        }
    }
}

/// What a start recalls from its disk.
fn open_again(disk: &mut Disk) -> Recalled {
    open(disk, 1).unwrap().journal.recalled().clone()
}
