//! The budget's claims: lines, reserves, the venue's counters, and the property that no window is ever
//! above its line.
//!
//! Owns:  a model of the three rooms that spend a lane's budget, each by its own promise.

use super::*;
use crate::event::Header;
use proptest::prelude::*;

fn limit(kind: Kind, window_ns: u64, limit: u64, header: Option<Header>) -> Limit {
    Limit { lane: 0, kind, window_ns, limit, header }
}

fn orders(most: u64) -> Limit {
    limit(Kind::Orders, 10 * SEC, most, Some(Header::Orders10s))
}

fn weight(most: u64) -> Limit {
    limit(Kind::Weight, 60 * SEC, most, Some(Header::Weight1m))
}

fn lane(limits: &[Limit]) -> Lane {
    let mut lane = Lane::new(Weighs { order: 1, questions: 9 });
    lane.limit(limits.iter().copied());
    lane
}

fn weighs(used: u32) -> Counted {
    Counted { weight_1m: Some(used), ..Counted::default() }
}

const NOW: Nanos = Nanos(100 * SEC);

/// A listing may name an interval of nothing: what was counted in it is over at once.
#[test]
fn a_window_of_no_length_holds_nobody_up() {
    let mut lane = lane(&[limit(Kind::Weight, 0, 2_400, Some(Header::Weight1m))]);
    lane.learn_clock(Some(5));
    lane.hear(&weighs(2_400), NOW, NOW);
    assert!(lane.take(Line::Normal, 1, NOW.plus(SEC)));
}

#[test]
fn an_older_count_takes_nothing_back_while_its_window_lasts() {
    let mut lane = lane(&[weight(2_400)]);
    lane.hear(&weighs(2_000), NOW.plus(1), NOW.plus(2));
    lane.hear(&weighs(10), NOW, NOW.plus(3));
    assert!(!lane.take(Line::Normal, 1, NOW.plus(SEC)), "2,000 are more than the line");
    lane.hear(&weighs(10), NOW.plus(2), NOW.plus(SEC));
    assert!(lane.take(Line::Normal, 1, NOW.plus(SEC)), "a newer one does");
}

#[test]
fn limits_that_are_read_again_go_on_with_what_each_was_told() {
    let long = limit(Kind::Orders, 60 * SEC, 1_200, Some(Header::OrdersLong));
    let mut lane = lane(&[orders(300), long]);
    lane.hear(&Counted { orders_10s: Some(40), orders_long: Some(90), ..Counted::default() }, NOW, NOW);
    for limits in [[orders(300), long], [long, orders(300)]] {
        lane.limit(limits.into_iter());
        let mut used: Vec<u64> = lane.standings(NOW).map(|it| it.used).collect();
        used.sort_unstable();
        assert_eq!(used, [40, 90]);
    }
}

#[test]
fn what_is_promised_to_one_room_is_no_room_for_another() {
    let mut heavy = Lane::new(Weighs { order: 2, questions: 9 });
    heavy.limit([weight(100)].into_iter());
    assert_eq!(heavy.ceilings(true, NOW).all, 45, "90 units, two an order");
    let mut lane = lane(&[weight(20)]);
    let before = lane.ceilings(false, NOW);
    lane.on_warmed(1, NOW, NOW);
    let after = lane.ceilings(false, NOW);
    assert_eq!((before.all, after.all), (18, 18), "one of them is sent");
    assert!(lane.may_repair(NOW));
    let mut lane = self::lane(&[weight(20)]);
    let reads = lane.reads(Line::Normal, NOW);
    assert_eq!(reads, 12, "six tenths");
    (0..5).for_each(|_| lane.on_warmed(1, NOW, NOW));
    assert!(lane.may_repair(NOW), "18 hold 5, 12 for the clerk, and the order");
    lane.on_warmed(1, NOW, NOW);
    assert!(!lane.may_repair(NOW));
}

/// F95: the second silence within a minute halves what normal work gets, for ten minutes.
#[test]
fn a_market_that_turns_us_away_twice_gets_half_for_ten_minutes() {
    let mut lane = lane(&[weight(2_400)]);
    let silence = Counted { retry_after_s: Some(1), ..Counted::default() };
    assert!(!lane.hear(&silence, NOW, NOW));
    let again = NOW.plus(2 * SEC);
    assert!(lane.hear(&silence, again, again));
    let line = |lane: &mut Lane, now| lane.standings(now).map(|it| it.line).next().unwrap();
    assert_eq!(line(&mut lane, again.plus(600 * SEC - 1)), 720);
    assert_eq!(line(&mut lane, again.plus(600 * SEC)), 1_440);
}

#[test]
fn the_lines_are_shares_of_a_limit() {
    for (line, below) in [(Line::Watch, 720), (Line::Normal, 1_440), (Line::Reserve, 2_160)] {
        assert_eq!(line.of(2_400), below, "{line:?}");
    }
}

#[test]
fn normal_work_stops_at_sixty_percent_and_what_reduces_risk_at_ninety() {
    let mut lane = lane(&[orders(100)]);
    assert_eq!(lane.ceilings(true, NOW), Ceilings { entry: 60, normal: 60, all: 90 });
    for _ in 0..60 {
        lane.on_order(false, NOW, NOW);
    }
    lane.hear(&Counted { orders_10s: Some(60), ..Counted::default() }, NOW, NOW);
    assert_eq!(lane.ceilings(true, NOW), Ceilings { entry: 0, normal: 60, all: 90 });
    let slid = NOW.plus(10 * SEC + LATE_NS);
    assert_eq!(lane.ceilings(true, slid), Ceilings { entry: 60, normal: 120, all: 150 });
}

#[test]
fn an_entry_holds_its_repair_back_until_its_pair_is_resolved() {
    let mut lane = lane(&[orders(100)]);
    lane.on_order(true, NOW, NOW);
    assert_eq!(lane.ceilings(true, NOW).entry, 7 + 60 - 1 - 6);
    lane.on_resolved();
    assert_eq!(lane.ceilings(true, NOW).entry, 7 + 60 - 1);
    assert_eq!(lane.ceilings(false, NOW).entry, 7, "no entry but the one heard of");
}

/// Seven orders with all their questions weigh 70: a minute that has less room below the line takes none.
#[test]
fn an_entry_needs_room_for_the_questions_about_its_repairs() {
    let most = |limit| lane(&[orders(1_000), weight(limit)]).ceilings(true, NOW).entry;
    assert_eq!(most(117), 7);
    assert_eq!(most(116), 6, "less than one charge");
}

#[test]
fn a_question_about_an_unknown_order_goes_on_where_a_read_stops() {
    let mut lane = lane(&[weight(100)]);
    lane.hear(&weighs(58), Nanos(NOW.0 - 1), NOW);
    assert!(lane.take(Line::Normal, 2, NOW));
    assert!(!lane.take(Line::Normal, 1, NOW));
    assert!(lane.take(Line::Reserve, 27, NOW));
    lane.hear(&weighs(87), NOW.plus(1), NOW);
    // A process that begins anew within the minute asks before it knows of what was used, and passes 90 % no more.
    assert!(!lane.take(Line::Reserve, 1, NOW), "the first questions of the next process stay below 90 %");
    assert_eq!(lane.ceilings(true, NOW).all, 3);
    lane.hear(&weighs(90), NOW.plus(2), NOW);
    assert_eq!(lane.ceilings(true, NOW).all, 0, "above 90 % nothing");
    assert!(lane.take(Line::Normal, 1, NOW.plus(60 * SEC + LATE_NS)));
}

/// What the counter cannot have in it yet is added to it; what it has already is not counted twice.
#[test]
fn the_venues_larger_count_is_believed_and_what_left_after_it_added() {
    let used = |lane: &mut Lane, now| lane.standings(now).next().unwrap().used;
    let mut lane = lane(&[weight(100)]);
    assert!(lane.take(Line::Normal, 5, NOW));
    lane.hear(&weighs(50), NOW, NOW.plus(SEC));
    assert_eq!(used(&mut lane, NOW.plus(SEC)), 50);
    assert!(lane.take(Line::Normal, 4, NOW.plus(2 * SEC)));
    assert_eq!(used(&mut lane, NOW.plus(2 * SEC)), 54);
    // An earlier request's answer that comes late takes nothing back; a later one's says how it is now.
    lane.hear(&weighs(3), NOW.plus(1), NOW.plus(3 * SEC));
    assert_eq!(
        used(&mut lane, NOW.plus(3 * SEC)),
        9,
        "the venue's minute began anew: our own count is larger"
    );
    lane.hear(&weighs(40), NOW, NOW.plus(3 * SEC));
    assert_eq!(used(&mut lane, NOW.plus(3 * SEC)), 44);
    assert_eq!(used(&mut lane, NOW.plus(63 * SEC)), 0);
}

/// The venue's minute ends at its own :00. What it counted is forgotten a margin after that, and not a minute later.
#[test]
fn the_venues_count_ends_with_its_window() {
    let used = |lane: &mut Lane, now| lane.standings(now).next().unwrap().used;
    let heard_at = Nanos(50 * SEC + 1);
    for (ahead, over_at) in [
        (None, heard_at.plus(60 * SEC)),
        // Its clock says 50 s past, and a margin.
        (Some(0), Nanos(60 * SEC).plus(LATE_NS)),
        (Some(-20 * SEC as i64), Nanos(80 * SEC).plus(LATE_NS)),
        (Some(1_700_000_000 * SEC as i64), Nanos(60 * SEC + 40 * SEC).plus(LATE_NS)),
        // It has just begun: never longer than a whole one.
        (Some(10 * SEC as i64), heard_at.plus(60 * SEC)),
    ] {
        let mut lane = lane(&[weight(100)]);
        lane.learn_clock(ahead);
        lane.hear(&weighs(70), Nanos(1), heard_at);
        assert_eq!(used(&mut lane, Nanos(over_at.0 - 1)), 70, "{ahead:?}");
        assert_eq!(used(&mut lane, over_at), 0, "{ahead:?}");
    }
}

/// An answer on its way while the minute ends tells of the old one or the new one: a count that goes on is of the old one,
/// and is forgotten with it; a smaller one is of the new one, and so is one that nothing came before.
#[test]
fn a_count_that_goes_on_over_the_end_of_a_minute_is_of_the_old_one() {
    let used = |lane: &mut Lane, now| lane.standings(now).next().unwrap().used;
    let (asked, heard) = (Nanos(60 * SEC - 5), Nanos(60 * SEC + 5));
    let (old, new) = (Nanos(60 * SEC).plus(LATE_NS), Nanos(120 * SEC));
    for (before, then, until) in
        [(Some(70), 70, old), (Some(70), 90, old), (Some(90), 70, new), (None, 70, new)]
    {
        let mut lane = lane(&[weight(100)]);
        lane.learn_clock(Some(0));
        if let Some(before) = before {
            lane.hear(&weighs(before), Nanos(50 * SEC), Nanos(50 * SEC + 1));
        }
        lane.hear(&weighs(then), asked, heard);
        assert_eq!(used(&mut lane, Nanos(old.0 - 1)), u64::from(then), "{before:?} {then}");
        assert_eq!(used(&mut lane, old), if until == old { 0 } else { u64::from(then) }, "{before:?} {then}");
        assert_eq!(used(&mut lane, new.plus(LATE_NS)), 0, "{before:?} {then}");
    }
}

#[test]
fn a_market_that_asked_for_silence_gets_it_from_every_question() {
    let mut lane = lane(&[weight(100)]);
    lane.hear(&Counted { retry_after_s: Some(7), ..Counted::default() }, NOW, NOW);
    lane.hear(&Counted { retry_after_s: Some(1), ..Counted::default() }, NOW, NOW);
    assert_eq!(lane.quiet_until(NOW), Some(NOW.plus(7 * SEC)), "a shorter wish shortens nothing");
    assert!(!lane.take(Line::Reserve, 1, NOW.plus(7 * SEC - 1)));
    assert!(lane.take(Line::Reserve, 1, NOW.plus(7 * SEC)));
}

#[test]
fn what_an_earlier_process_was_asked_is_known_better_later_and_shortens_no_wish_of_today() {
    let mut lane = lane(&[weight(100)]);
    lane.hush(NOW.plus(50 * SEC));
    assert_eq!(lane.quiet_until(NOW), Some(NOW.plus(50 * SEC)));
    lane.hush(NOW.plus(10 * SEC));
    assert_eq!(lane.quiet_until(NOW), Some(NOW.plus(10 * SEC)));
    lane.hear(&Counted { retry_after_s: Some(20), ..Counted::default() }, NOW, NOW);
    lane.hush(NOW);
    assert_eq!(lane.quiet_until(NOW), Some(NOW.plus(20 * SEC)));
}

#[test]
fn new_limits_keep_what_was_counted_before_them() {
    let mut lane = lane(&[orders(100), weight(100)]);
    for _ in 0..10 {
        lane.on_order(false, NOW, NOW);
    }
    let minute = limit(Kind::Orders, 60 * SEC, 40, Some(Header::OrdersLong));
    lane.limit([orders(50), minute, weight(100)].into_iter());
    let used: Vec<u64> = lane.standings(NOW).map(|it| it.used).collect();
    assert_eq!(used, [10, 10, 10]);
    assert_eq!(lane.ceilings(true, NOW).normal, 10 + 24 - 10);
}

#[test]
fn a_days_orders_take_a_bounded_room() {
    let day = 86_400 * SEC;
    let mut window = Window::new(limit(Kind::Orders, day, 200_000, None));
    for n in 0..200_000 {
        window.spend(1, Nanos(n * day / 100_000), Nanos(n * day / 100_000));
    }
    assert!(window.steps.len() as u64 <= STEPS + 2, "{}", window.steps.len());
    assert!(window.own >= 100_000, "a step counts until its last send is over");
}

/// The trader, the clerk and the shadow, each with the promise it read last.
struct Rooms {
    lane: Lane,
    limits: Vec<Limit>,
    ceilings: Ceilings,
    reads: u64,
    sent: u64,
    charged: u64,
    read: u64,
    open: u64,
    /// When, below which line, and what of each kind: orders, requests, weight.
    left: Vec<(Nanos, Line, [u64; 3])>,
    told: Vec<(Nanos, Nanos, u64)>,
    unheard: Vec<Unheard>,
}

enum Unheard {
    Order(bool, Nanos),
    Warm(Nanos),
    Read(u64, Nanos),
}

impl Rooms {
    fn new() -> Self {
        let raw = limit(Kind::Raw, 30 * SEC, 150, None);
        let limits = vec![orders(40), raw, weight(300)];
        let lane = lane(&limits);
        let ceilings = Ceilings::default();
        let (left, told, unheard) = (Vec::new(), Vec::new(), Vec::new());
        Self { lane, limits, ceilings, reads: 0, sent: 0, charged: 0, read: 0, open: 0, left, told, unheard }
    }

    fn publish(&mut self, now: Nanos) {
        self.ceilings = self.lane.ceilings(true, now);
        self.reads = self.lane.reads(Line::Normal, now);
    }

    /// The shadow's rings are empty before it promises or asks anything.
    fn hear_all(&mut self, now: Nanos) {
        for one in std::mem::take(&mut self.unheard) {
            match one {
                Unheard::Order(entry, at) => self.lane.on_order(entry, at, now),
                Unheard::Warm(at) => self.lane.on_warmed(1, at, now),
                Unheard::Read(weight, at) => self.lane.on_read(weight, at, now),
            }
        }
    }

    fn step(&mut self, what: u8, n: u64, now: Nanos) {
        let Ceilings { entry, normal, all } = self.ceilings;
        match what {
            0 if self.sent < normal && self.charged + ENTRY_CHARGE <= entry => {
                self.order(true, Line::Normal, now)
            }
            1 if self.sent < normal => self.order(false, Line::Normal, now),
            2 if self.sent < all => self.order(false, Line::Reserve, now),
            3 if self.sent < normal => {
                self.sent += 1;
                self.leave(now, Line::Normal, [0, 1, 1]);
                self.unheard.push(Unheard::Warm(now));
            }
            4 if self.read + n <= self.reads => {
                self.read += n;
                self.leave(now, Line::Normal, [0, 1, n]);
                self.unheard.push(Unheard::Read(n, now));
            }
            5 | 6 => {
                self.hear_all(now);
                let line = if what == 5 { Line::Normal } else { Line::Reserve };
                if self.lane.take(line, n, now) {
                    self.leave(now, line, [0, 1, n]);
                    self.publish(now);
                }
            }
            7 => {
                self.hear_all(now);
                self.lane.hear(&weighs((n * 15) as u32), now, now);
                self.told.push((now, now, n * 15));
                self.publish(now);
            }
            8 => {
                self.hear_all(now);
                self.publish(now);
            }
            9 if self.open > 0 => {
                self.open -= 1;
                self.lane.on_resolved();
            }
            _ => {}
        }
    }

    fn order(&mut self, entry: bool, line: Line, now: Nanos) {
        self.sent += 1;
        self.charged += if entry { ENTRY_CHARGE } else { 0 };
        self.open += u64::from(entry);
        self.leave(now, line, [1, 1, 1]);
        self.unheard.push(Unheard::Order(entry, now));
    }

    /// Something leaves: no window that ends now holds more than its line allows.
    fn leave(&mut self, now: Nanos, line: Line, units: [u64; 3]) {
        self.left.push((now, line, units));
        for limit in &self.limits {
            let kind = match limit.kind {
                Kind::Orders => 0,
                Kind::Raw => 1,
                Kind::Weight => 2,
            };
            if units[kind] == 0 {
                continue;
            }
            let since = |from: Nanos| {
                self.left.iter().filter(move |(at, ..)| *at > from).map(|it| it.2[kind]).sum::<u64>()
            };
            let own = since(Nanos(now.0 - limit.window_ns));
            assert!(own <= line.of(limit.limit), "{own} of {:?} {line:?}", limit);
            // The venue's counter with what left after it, as long as its window may last.
            let last = self.told.last().filter(|(_, at, _)| kind == 2 && now.since(*at) < limit.window_ns);
            if let Some((asked, _, used)) = last {
                let all = used + since(*asked);
                assert!(all <= line.of(limit.limit), "{all} of {:?} {line:?}, by the venue's count", limit);
            }
        }
    }
}

proptest! {
    /// I7. Whatever is sent by whichever room, whatever the venue counts: at each send its sliding
    /// window is at or below the line of what was sent, the venue's larger count included.
    #[test]
    fn no_window_ever_holds_more_than_its_line(
        steps in prop::collection::vec((0u8..10, 1u64..=20, prop_oneof![4 => 1..50u64, 2 => 1..2_000u64, 1 => 1..40_000u64]), 1..400)
    ) {
        let mut rooms = Rooms::new();
        let mut now = NOW;
        for (what, n, ms) in steps {
            now = now.plus(ms * (SEC / 1_000));
            rooms.step(what, n, now);
        }
    }
}

/// Where orders are hardly limited, the weight is what counts: the trader is not promised all of it, or no
/// question could ever be asked.
#[test]
fn what_is_promised_to_the_trader_leaves_room_for_questions() {
    let limit = |kind, window_ns, limit| Limit { lane: 0, kind, window_ns, limit, header: None };
    let mut lane = Lane::new(Weighs { order: 1, questions: 24 });
    lane.limit([limit(Kind::Orders, 10 * SEC, 100_000), limit(Kind::Weight, 60 * SEC, 6_000)].into_iter());
    let promised = lane.ceilings(true, Nanos(1));
    assert_eq!((promised.normal, promised.all), (100, 100));
    assert!(lane.take(Line::Normal, 20, Nanos(2)) && lane.take(Line::Reserve, 20, Nanos(2)));
}

/// F95. What left before the first silence was over is of the first incident; a second one within a minute of its
/// end halves what normal work may use, and ten minutes later it is whole again.
#[test]
fn a_market_that_turns_us_away_twice_is_given_half() {
    let wait = |seconds| Counted { retry_after_s: Some(seconds), ..Counted::default() };
    let mut lane = lane(&[orders(100)]);
    assert!(!lane.hear(&wait(10), NOW, NOW));
    assert!(!lane.hear(&wait(10), NOW.plus(SEC), NOW.plus(SEC)), "in flight when the first was heard");
    let over = NOW.plus(11 * SEC);
    assert_eq!(lane.ceilings(true, over), Ceilings { entry: 60, normal: 60, all: 90 });
    assert!(lane.hear(&wait(5), over.plus(59 * SEC), over.plus(59 * SEC)));
    // What reduces risk keeps its reserve.
    let half = Ceilings { entry: 30, normal: 30, all: 90 };
    let ends = over.plus(59 * SEC + SLOW_NS);
    assert_eq!(lane.ceilings(true, Nanos(ends.0 - 1)), half);
    assert_eq!(lane.standings(Nanos(ends.0 - 1)).next().unwrap().line, 30);
    assert_eq!(lane.ceilings(true, ends), Ceilings { entry: 60, normal: 60, all: 90 });
    // A minute of peace: it is the first again.
    for (peace, again) in [(AGAIN_NS, false), (AGAIN_NS - 1, true)] {
        let mut lane = self::lane(&[orders(100)]);
        assert!(!lane.hear(&wait(10), NOW, NOW));
        let asked = NOW.plus(10 * SEC + peace);
        assert_eq!(lane.hear(&wait(5), asked, asked), again);
    }
}

/// Others used up what normal work may: reading goes on for the sake of a repair, and leaves what that takes.
#[test]
fn what_is_read_for_a_repair_goes_beyond_normal_work_and_leaves_room_for_it() {
    let header = Some(Header::Weight1m);
    let weight = Limit { lane: 0, kind: Kind::Weight, window_ns: 60 * SEC, limit: 6_000, header };
    let mut lane = Lane::new(Weighs { order: 1, questions: 24 });
    lane.limit([weight].into_iter());
    let used = |lane: &mut Lane, weight_1m| {
        lane.hear(&Counted { weight_1m: Some(weight_1m), ..Counted::default() }, NOW, NOW);
        [Line::Normal, Line::Reserve].map(|line| lane.reads(line, NOW))
    };
    assert_eq!(used(&mut lane, 3_000), [40, 40]);
    assert_eq!(used(&mut lane, 3_590), [10, 40]);
    assert_eq!(used(&mut lane, 3_700), [0, 40]);
    let worst = 6 * 25;
    assert_eq!(used(&mut lane, 5_400 - worst - 7), [0, 7]);
    assert_eq!(used(&mut lane, 5_400 - worst), [0, 0]);
}

/// F98. Where the venue tells no counter, others are not seen: the upper line is half of the limit, the lower one
/// below it as ever. One answer that tells makes it whole.
#[test]
fn without_the_venues_counter_half_of_a_limit_is_the_most() {
    let mut blind = lane(&[limit(Kind::Raw, 300 * SEC, 180, None)]);
    assert_eq!(blind.ceilings(false, NOW), Ceilings { entry: 0, normal: 60, all: 90 });
    let mut orders = lane(&[orders(180)]);
    for n in 0..37 {
        assert_eq!(orders.ceilings(false, NOW).all, 37.min(n) + 100.min(162 - n), "{n}");
        orders.on_order(false, NOW, NOW);
    }
    assert_eq!(orders.ceilings(false, NOW), Ceilings { entry: 0, normal: 37 + 60 - 37, all: 37 + 90 - 37 });
    orders.hear(&Counted { orders_10s: Some(37), ..Counted::default() }, NOW, NOW);
    assert_eq!(orders.ceilings(false, NOW), Ceilings { entry: 0, normal: 37 + 108 - 37, all: 37 + 100 });
}
