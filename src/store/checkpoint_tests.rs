//! Checkpoints: what a start knows from one is what it would know from everything before it.
//!
//! Owns:  claims about what is written down, read back and left behind.

use super::super::journal::tests::{AT, all, instruments};
use super::super::journal::{Reader, encode, file_header};
use super::super::recall::tests::{history, step};
use super::super::segments::head;
use super::*;
use crate::event::{Asset, PairState, Payment, Record, WalletRow};
use crate::units::LegKind;
use proptest::prelude::*;

const MINUTE_NS: i64 = 60 * SEC as i64;

/// What the next segment would tell.
fn through(recalled: &Recalled) -> Recalled {
    let bytes = head(2, recalled);
    let mut reader = Reader::new(&bytes, 2);
    let mut again = Recalled::default();
    for entry in reader.by_ref() {
        assert_eq!(entry.kind, Kind::Checkpoint);
        again.take(&entry).unwrap();
    }
    assert_eq!((reader.flaw(), reader.good()), (None, bytes.len()));
    again.next_segment();
    again
}

fn take(recalled: &mut Recalled, record: &Record) {
    recalled.take(&encode(record, &mut Vec::new())).unwrap();
}

fn all_take(all: [&mut Recalled; 3], record: &Record) {
    all.into_iter().for_each(|it| take(it, record));
}

fn uncounted(mut recalled: Recalled) -> Recalled {
    recalled.counts.clear();
    recalled.next_segment();
    recalled
}

/// What is no order or fill.
fn around(n: usize, epoch: u32) -> Vec<Record> {
    let states = [PairState::Hedged, PairState::Busy, PairState::Flat];
    let amount = |text: &str| Amount::parse(text.as_bytes()).unwrap();
    let wallet = |leg, opening| WalletRow {
        leg,
        asset: Asset::from(["BTC", "USDT"][n % 2]).unwrap(),
        total: amount("9"),
        opening,
        as_of: Unix(AT.0 - n as i64 * MINUTE_NS),
    };
    vec![
        Record::Markets { at: AT, epoch, recv_window_ms: 900 + (n as u32 / 2), instruments: instruments() },
        Record::Baseline {
            at: AT,
            held: vec![wallet(LegKind::Spot, amount("-1.5")), wallet(LegKind::Perp, Amount(n as i128))],
            unexplained: Vec::new(),
        },
        Record::Pair {
            at: AT,
            name: Asset::from(["BTC", "ETH"][n % 2]).unwrap(),
            state: states[n % 3],
            spot: Amount::ZERO,
            perp: Amount::ZERO,
            why: "story",
        },
        payment(n as u64 / 2, n as i64, n.is_multiple_of(3)),
        Record::Quiet {
            at: AT,
            lane: ["box spot", "box perp"][n % 2].to_owned(),
            until: Unix(AT.0 + n as i64 * MINUTE_NS),
            by_venue: n.is_multiple_of(3).then_some(Unix(AT.0 + n as i64 * MINUTE_NS + 7_000)),
        },
        Record::Basis {
            at: AT,
            name: Asset::from(["BTC", "ETH"][n % 2]).unwrap(),
            hour: Unix(AT.0 - AT.0 % 1_000 + n as i64 * 60 * MINUTE_NS),
            closing: [n as i64 - 30, 7],
        },
    ]
}

/// A payment of so much, so many minutes after the first.
fn payment(tran_id: u64, minutes: i64, earned: bool) -> Record {
    let payment = Payment {
        tran_id,
        symbol: ["BTCUSDT", "ETHUSDT"][tran_id as usize % 2].to_owned(),
        amount: Amount(1 - 3 * i128::from(tran_id)),
        asset: Asset::from("USDT").unwrap(),
        at: Unix(minutes * MINUTE_NS),
    };
    Record::Funding { at: AT, payment, earned }
}

#[test]
fn old_payments_are_in_the_sums_alone_and_none_is_booked_twice() {
    let mut recalled = Recalled::default();
    for n in 0..100 {
        take(&mut recalled, &payment(n, n as i64, true));
    }
    let sum = recalled.sums.profit.funding;
    recalled.forget();
    // Twice what a start reads back before the newest, which was paid in the 99th minute.
    assert_eq!(recalled.payments.len(), 21);
    let mut again = through(&recalled);
    assert_eq!(again.paid_since(), Some(Unix(89 * MINUTE_NS)));
    for n in 89..100 {
        take(&mut again, &payment(n, n as i64, true));
    }
    assert_eq!(again.sums.profit.funding, sum, "told again");
    assert_eq!(again.sums.changes[&(LegKind::Perp, Asset::from("USDT").unwrap())], sum);
}

#[test]
fn one_of_everything_is_told_again() {
    let mut recalled = Recalled::default();
    all().iter().for_each(|record| take(&mut recalled, record));
    recalled.forget();
    assert_eq!(uncounted(through(&recalled)), uncounted(recalled));
}

#[test]
fn a_thousand_rows_come_in_parts_that_all_fit() {
    let mut recalled = Recalled::default();
    all().iter().for_each(|record| take(&mut recalled, record));
    let (key, trade) = recalled.trades.pop_first().unwrap();
    for n in 0..3 * ROWS_MAX as u64 + 1 {
        recalled.trades.insert((key.0.clone(), n), trade.clone());
    }
    let parts = recalled.checkpoint();
    assert_eq!(parts.iter().filter(|part| part["what"] == "trades").count(), 4);
    assert!(parts.iter().zip(1..).all(|(part, n)| part["part"] == n && part["parts"] == parts.len()));
    assert_eq!(uncounted(through(&recalled)), uncounted(recalled));
}

#[test]
fn crashes_are_remembered_and_clean_runs_are_not() {
    let mut recalled = Recalled::default();
    for n in 0..10_000 {
        let at = Unix(n * MINUTE_NS);
        take(&mut recalled, &Record::Start { at, what: String::new() });
        if n % 2 == 0 {
            take(&mut recalled, &Record::Stop { at, open: Vec::new() });
        }
    }
    let last = recalled.runs.len() - 1;
    recalled.runs[last].stopped = true;
    recalled.forget();
    assert_eq!(recalled.runs.len(), CRASHES_MAX + 1);
    assert!(recalled.ended_well());
    assert_eq!(recalled.crashes_since(Unix(9_000 * MINUTE_NS)), 499);
}

/// A part of a checkpoint without a fact is no checkpoint: never a start on less than there was.
#[test]
fn a_part_without_a_fact_it_must_hold_stops_the_start() {
    let mut recalled = Recalled::default();
    all().iter().for_each(|record| take(&mut recalled, record));
    recalled.closed.insert(ClientId(5 << 60));
    let mut kinds = 0;
    for part in recalled.checkpoint() {
        let Value::Object(body) = part else { panic!() };
        kinds += 1;
        let mut damaged: Vec<(Map<String, Value>, String)> = Vec::new();
        for key in body.keys().filter(|key| !["part", "parts"].contains(&key.as_str())) {
            let mut without = body.clone();
            without.shift_remove(key);
            damaged.push((without, key.clone()));
            let inner = body[key].get(0).and_then(Value::as_object).into_iter().flat_map(Map::keys);
            // Only the venue's own trades have no order of ours.
            let free = |field: &str| body["what"] == "trades" && field == "client_id";
            for field in inner.filter(|field| !free(field)) {
                let mut without = body.clone();
                without[key][0].as_object_mut().unwrap().shift_remove(field);
                damaged.push((without, field.clone()));
            }
        }
        for (body, field) in damaged {
            let entry = Entry { kind: Kind::Checkpoint, body };
            let error = Recalled::default().take(&entry).unwrap_err();
            assert_eq!((error.kind, error.field), (Kind::Checkpoint, field.as_str()), "{:?}", entry.body);
        }
    }
    assert_eq!(kinds, 8, "sums, runs, markets, trades, payments, orders, closed, bases");
    let body = Map::from_iter([
        ("at_us".into(), 1.into()),
        ("what".into(), "else".into()),
        ("rows".into(), json!([{}])),
    ]);
    assert_eq!(Recalled::default().take(&Entry { kind: Kind::Checkpoint, body }).unwrap_err().field, "what");
}

proptest! {
    /// Over any history with a checkpoint at any of its records: as if nothing had been rotated.
    #[test]
    fn a_start_from_a_checkpoint_knows_what_one_from_the_beginning_does(
        steps in prop::collection::vec(step(), 0..60),
        rotations in prop::collection::btree_set(0usize..60, 0..6),
        minutes in 0i64..6,
    ) {
        let (records, _) = history(&steps);
        // `whole` was never rotated, `kept` forgot what a checkpoint leaves behind, `read` was read from one.
        let (mut whole, mut kept, mut read) =
            (Recalled::default(), Recalled::default(), Recalled::default());
        for n in 0..=records.len() {
            if n == 0 || rotations.contains(&n) {
                for record in around(n, n as u32 + 1) {
                    all_take([&mut whole, &mut kept, &mut read], &record);
                }
                kept.forget();
                read.forget();
                read = through(&read);
                prop_assert_eq!(uncounted(read.clone()), uncounted(kept.clone()));
            }
            let Some(record) = records.get(n) else { break };
            let mut record = record.clone();
            if let Record::Fill { fill, .. } = &mut record {
                fill.at = Unix(AT.0 + n as i64 * minutes * MINUTE_NS);
            }
            all_take([&mut whole, &mut kept, &mut read], &record);
        }
        prop_assert_eq!(uncounted(read.clone()), uncounted(kept));

        prop_assert_eq!(&read.sums, &whole.sums);
        prop_assert_eq!(&read.orders, &whole.orders);
        prop_assert_eq!(&read.closed, &whole.closed);
        prop_assert_eq!(&read.markets, &whole.markets);
        prop_assert_eq!(&read.openings, &whole.openings);
        prop_assert_eq!(&read.hedged, &whole.hedged);
        prop_assert_eq!(&read.granted, &whole.granted);
        prop_assert_eq!(&read.left, &whole.left);
        prop_assert_eq!(&read.bases, &whole.bases);
        prop_assert_eq!(read.last_at, whole.last_at);
        prop_assert_eq!(read.ended_well(), whole.ended_well());
        prop_assert_eq!(read.crashes_since(Unix(0)), whole.crashes_since(Unix(0)));
        let newest = whole.trades.values().map(|trade| trade.at).max();
        prop_assert!(newest.is_none_or(|newest| read.known_since.0 <= newest.0 - NAMED_NS));
        for (key, trade) in &whole.trades {
            let named = read.trades.get(key);
            prop_assert!(named.is_none_or(|named| named == trade));
            let open = trade.client.is_some_and(|client| read.orders.contains_key(&client));
            prop_assert!(named.is_some() || (trade.at < read.known_since && !open), "{:?}", key);
        }
    }
}

/// The header is not the checkpoint's business.
#[test]
fn a_head_is_a_header_and_parts() {
    let bytes = head(9, &Recalled::default());
    assert_eq!(bytes[..16], file_header(9));
    assert_eq!(Reader::new(&bytes, 9).filter_map(|entry| place(&entry)).collect::<Vec<_>>(), [(1, 1)]);
}
