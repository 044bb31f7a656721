//! Windows of seven days: whole, with holes, across changes of the interval.
//!
//! Owns:  what a week's sum is of, and when there is none.

use super::*;
use proptest::prelude::*;

/// A Monday, 00:00 UTC.
const DAY: i64 = 1_772_409_600_000_000_000;

fn hour(hours: i64) -> Unix {
    Unix(DAY + hours * HOUR_NS)
}

fn rate(units: i64) -> Rate {
    Rate(units * 1_000_000_000_000)
}

/// Rows at these hours, each worth 1.
fn history(hours: impl IntoIterator<Item = i64>) -> History {
    let mut history = History::default();
    for at in hours {
        assert!(history.add(hour(at), rate(1)));
    }
    history
}

fn every(step: i64, from: i64, to: i64) -> impl Iterator<Item = i64> {
    (from..=to).filter(move |at| at % step == 0)
}

/// The sum at a moment, with the settlement that the venue announces then.
fn sum(history: &History, at: Unix, coming: i64) -> Option<Rate> {
    let mut history = history.clone();
    history.announce(at, hour(coming));
    history.sum_7d(at)
}

#[test]
fn a_week_is_counted_by_time_and_its_first_instant_is_outside() {
    let history = history(every(8, 0, 176));
    assert_eq!(sum(&history, hour(168), 176), Some(rate(21)));
    assert_eq!(sum(&history, hour(170), 176), Some(rate(21)));
    assert_eq!(sum(&history, Unix(hour(176).0 - 1), 176), Some(rate(21)), "16 h … 168 h, and 8 h");
    assert_eq!(sum(&history, hour(176), 184), Some(rate(21)));
    assert_eq!(sum(&history, hour(167), 168), None, "nobody knows what was due before the first");
}

#[test]
fn a_stamp_counts_as_its_full_minute() {
    let mut history = history(every(8, 0, 160));
    assert!(history.add(Unix(hour(168).0 + 47_000_000), rate(5)), "47 ms late");
    assert!(!history.add(Unix(hour(168).0 - 3_000_000), rate(7)), "the same settlement, told again");
    assert_eq!(history.last(), Some(Settled { at: hour(168), rate: rate(7) }));
    history.announce(Unix(hour(168).0 + 5_000_000), Unix(hour(176).0 + 5_000_000));
    assert_eq!(history.coming(hour(170)), Some(hour(176)));
    assert_eq!(history.sum_7d(hour(169)), Some(rate(20 + 7)));
}

#[test]
fn a_settlement_that_is_due_and_not_there_makes_the_week_unknown() {
    let mut whole = history(every(8, 0, 168));
    assert_eq!(whole.sum_7d(hour(168)), None, "nobody said when the next one is");
    whole.announce(hour(168), hour(176));
    assert_eq!(whole.sum_7d(Unix(hour(176).0 - 1)), Some(rate(21)));
    assert_eq!(whole.sum_7d(hour(176)), None, "it is due now");
    whole.announce(hour(176), hour(184));
    assert_eq!(whole.sum_7d(hour(177)), None, "it was due an hour ago");
    assert!(whole.add(hour(176), rate(1)));
    assert_eq!(whole.sum_7d(hour(177)), Some(rate(21)));

    let mut stated = history(every(8, 0, 168));
    stated.state(8);
    assert_eq!(stated.sum_7d(hour(175)), Some(rate(21)));
    assert_eq!(stated.sum_7d(hour(176)), None, "due by what the venue states");
    for missing in [8, 80, 160] {
        let mut holed = history(every(8, 0, 168).filter(|at| *at != missing));
        assert_eq!(sum(&holed, hour(168), 176), None, "{missing}");
        holed.state(8);
        assert_eq!(holed.sum_7d(hour(168)), None, "{missing}");
    }
}

#[test]
fn a_hole_as_long_as_another_interval_is_a_hole() {
    for step in [1, 2, 4] {
        let whole = history(every(step, 0, 168));
        assert_eq!(sum(&whole, hour(168), 168 + step), Some(rate(168 / step)));
        let holed = history(every(step, 0, 168).filter(|at| *at != 80));
        assert_eq!(sum(&holed, hour(168), 168 + step), None, "every {step} h");
        // The newest row is missing: only what the venue states tells it from a longer interval.
        let mut late = history(every(step, 0, 168 - step));
        late.state(u32::try_from(step).unwrap());
        assert_eq!(sum(&late, hour(168), 168 + step), None, "every {step} h");
    }
}

#[test]
fn intervals_change_inside_the_window() {
    // 8 h, then hourly at once after 80, then four-hourly from 100 on: 97 … 100 is the rest of an interval.
    let mut history = history(every(8, 0, 80).chain(81..=97).chain(every(4, 98, 168)));
    assert_eq!(sum(&history, hour(168), 172), Some(rate(10 + 17 + 18)));
    let interval = |history: &History, coming| {
        let mut history = history.clone();
        history.announce(hour(168), hour(coming));
        history.interval_hours(hour(168))
    };
    assert_eq!(interval(&history, 172), Some(4));
    assert_eq!(interval(&history, 169), Some(1), "the venue moved it");
    assert_eq!(interval(&history, 171), None, "no interval, and none stated");
    history.state(3);
    assert_eq!(interval(&history, 171), None, "three hours is no interval");
    history.state(4);
    assert_eq!(interval(&history, 171), Some(4));
}

#[test]
fn what_was_announced_judges_the_gap_it_was_announced_in() {
    // Grown for one settlement: a hole by its neighbours, none by what the venue said at that time.
    let mut whole = history((0..=80).chain(84..=168));
    let announced = |history: &History, heard: i64, coming| {
        let mut history = history.clone();
        history.announce(Unix(hour(heard).0 + MINUTE_NS), hour(coming));
        sum(&history, hour(168), 169)
    };
    assert_eq!(sum(&whole, hour(168), 169), None);
    assert_eq!(announced(&whole, 80, 84), Some(rate(165)), "announced a minute after the one before");
    assert_eq!(announced(&whole, 81, 84), None, "one may have been due before that");
    assert_eq!(announced(&whole, 80, 83), None, "one was due then");
    // Announced for 82, and before that moved to 84.
    whole.announce(Unix(hour(80).0 + 1), hour(82));
    assert_eq!(sum(&whole, hour(168), 169), None);
    assert_eq!(announced(&whole, 81, 84), Some(rate(165)));
    assert_eq!(announced(&whole, 82, 84), None, "too late: 82 was due");
    // A row that nobody announced, and the announced one after it.
    let mut extra = history(every(8, 0, 168).chain([99, 101]));
    assert_eq!(sum(&extra, hour(168), 176), None, "99 … 101 has no interval beside it");
    extra.announce(hour(96), hour(104));
    assert_eq!(sum(&extra, hour(168), 176), Some(rate(23)));
}

#[test]
fn an_interval_that_just_grew_is_believed_once_it_is_stated_or_was_announced_in_time() {
    let mut history = history(0..=168);
    history.state(1);
    let late = Unix(hour(169).0 + MINUTE_NS);
    assert_eq!(sum(&history, late, 172), None, "a row may be missing");
    assert_eq!(sum(&history, Unix(hour(168).0 + MINUTE_NS), 172), Some(rate(168)));
    history.state(4);
    assert_eq!(sum(&history, late, 172), Some(rate(168 - 1)));
}

#[test]
fn what_no_window_needs_is_forgotten() {
    let mut long = history(0..=2_000);
    for at in 0..2_000 {
        long.announce(hour(at), hour(at + 1));
    }
    long.state(1);
    long.forget(hour(2_000));
    assert_eq!((long.rows.len(), long.announced.len()), (217, 217));
    assert_eq!(long.sum_7d(hour(2_000)), Some(rate(168)));
}

#[test]
fn carry_needs_a_fresh_estimate_and_an_interval() {
    let mut history = history(every(8, 0, 168));
    history.announce(hour(170), hour(176));
    let carry = |history: &History, age| history.carry(hour(170), Some(rate(3)), age);
    let known = Carry { estimate: rate(3), interval_hours: 8, sum_7d: Some(rate(21)) };
    assert_eq!(carry(&history, ESTIMATE_STALE_NS), Some(known));
    assert_eq!(carry(&history, ESTIMATE_STALE_NS + 1), None);
    assert_eq!(history.carry(hour(170), None, 0), None);
    history.rows.remove(5);
    assert_eq!(carry(&history, 0), Some(Carry { sum_7d: None, ..known }), "the week is not known");
    history.announced.clear();
    assert_eq!(carry(&history, 0), None, "nor is an interval");
}

proptest! {
    /// Any schedule whose every interval lasts for two gaps of its whole length is known whole, and with any row
    /// missing that is not beside a change it is not.
    #[test]
    fn whole_weeks_are_summed_and_holes_are_found(
        parts in prop::collection::vec((0usize..4, 3i64..40), 1..12),
        missing in 0usize..400,
        jitter in 0i64..60,
    ) {
        let mut hours = vec![0i64];
        let mut lengths = vec![i64::from(INTERVALS[parts[0].0])];
        for (which, count) in &parts {
            let step = i64::from(INTERVALS[*which]);
            for _ in 0..*count {
                let last = hours[hours.len() - 1];
                hours.push((last / step + 1) * step);
                lengths.push(step);
            }
        }
        let end = hours[hours.len() - 1];
        let last_step = lengths[lengths.len() - 1];
        let coming = (end / last_step + 1) * last_step;
        let build = |skip: Option<usize>| {
            let mut history = History::default();
            for (i, at) in hours.iter().enumerate().filter(|(i, _)| Some(*i) != skip) {
                let late = (i as i64 * 13 % (jitter + 1)) * 1_000_000;
                history.add(Unix(hour(*at).0 + late), rate(1 + i as i64));
            }
            history
        };
        let expected = |from: i64| hours.iter().enumerate().filter(|(_, at)| **at > from).map(|(i, _)| 1 + i as i64).sum::<i64>();
        let whole = build(None);
        let said = sum(&whole, hour(end), coming);
        prop_assert_eq!(said, (end >= 168).then(|| rate(expected(end - 168))));
        let at = missing % hours.len();
        let calm = at >= 2 && at + 2 < hours.len() && lengths[at - 1..=at + 2].iter().all(|it| *it == lengths[at]);
        if end >= 168 && calm && lengths[at] < 8 && hours[at] > end - 168 {
            prop_assert_eq!(sum(&build(Some(at)), hour(end), coming), None, "row {} at {} h", at, hours[at]);
        }
    }
}
