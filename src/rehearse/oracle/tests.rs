//! A checker that can't fail sleeps: each invariant is shown a breach, and what it must let pass.
//!
//! Owns:  the breaches, planted as what the venue sees or the journal says.

use super::books::{End, FiredLeg, Told, Wrote};
use super::facts::{E10, Id, ONE};
use super::*;
use crate::rehearse::{Plan, Witnessed};
use crate::sim::{Arrived, Door, Filled};
use crate::units::time::{MS, SEC};

const SPOT: usize = 0;
const PERP: usize = 1;
/// Epoch 1, sequence 7: leg and attempt are the lowest six bits.
const INTENT: u64 = 5 << 60 | 1 << 34 | 7 << 6;

struct Bench {
    world: World,
    oracle: Oracle,
    now: Nanos,
}

impl Bench {
    fn new() -> Self {
        let plan = Plan::drawn(1);
        let mut world = World::new(&plan.setup).unwrap();
        let allowed = Allowed {
            instance: 0,
            clip: 500 * ONE,
            lost_after_ns: 11 * SEC,
            by_socket: false,
            secrets: ["the-key".to_owned(), "the-secret".to_owned()],
        };
        let oracle = Oracle::new(&mut world, allowed);
        let now = world.now().plus(100 * SEC);
        Self { world, oracle, now }
    }

    fn order(leg: u64, attempt: u64, buys: bool, qty: i64) -> Arrived {
        let market = if leg == 0 { Market::Spot } else { Market::Usdm };
        Arrived {
            market,
            symbol: Some(if leg == 0 { SPOT } else { PERP }),
            client_id: (INTENT | leg << 4 | attempt).to_string(),
            buys,
            qty: Some(qty),
            price: Some(7_690_000_000_000),
            limit_ioc: true,
            reduce_only: leg == 1 && buys,
            stamp_ms: 0,
        }
    }

    fn at(&self, seen: Seen) -> Witnessed {
        Witnessed { at: self.now, wire: self.now, fed: [self.now; 2], cramped: false, seen }
    }

    /// An order arrives that was written down.
    fn arrives(&mut self, order: &Arrived) -> Result<(), Broken> {
        let witnessed = self.at(Seen::Arrived(order.clone()));
        self.witness(&witnessed)
    }

    fn witness(&mut self, witnessed: &Witnessed) -> Result<(), Broken> {
        if let Some(id) = about(&witnessed.seen).and_then(Id::read) {
            let of = ("spot".to_owned(), "BTCUSDT".to_owned());
            let leg =
                FiredLeg { of, stamp_ms: self.stamp_ms(), decimals: 3, sent: true, ..FiredLeg::default() };
            self.oracle.books.fired.insert(id.number, leg);
        }
        self.oracle.witness(witnessed, &self.world)
    }

    fn stamp_ms(&self) -> u64 {
        (self.oracle.calendar + self.now.0) / MS
    }

    fn fills(&mut self, order: &Arrived, trade_id: u64) -> Result<(), Broken> {
        let fill = self.fill(order, trade_id);
        let witnessed = self.at(Seen::Filled(fill));
        self.witness(&witnessed)
    }

    fn fill(&self, order: &Arrived, trade_id: u64) -> Filled {
        Filled {
            market: order.market,
            symbol: order.symbol.unwrap(),
            trade_id,
            client_id: order.client_id.clone(),
            forced: false,
            buys: order.buys,
            price: order.price.unwrap(),
            qty: order.qty.unwrap(),
            fee: 0,
            fee_asset: "USDT".to_owned(),
        }
    }

    fn ends(
        &mut self,
        client: u64,
        evidence: &str,
        end: &str,
        units: i128,
        after_ms: u64,
    ) -> Result<(), Broken> {
        let at_us = (self.stamp_ms() + after_ms) * 1_000;
        let (evidence, end) = (evidence.to_owned(), end.to_owned());
        let (run, began_us) = (self.oracle.books.runs, self.oracle.books.began_us);
        let end = End { at_us, evidence, end, executed_units: units, run, began_us };
        let before = self.oracle.books.ends.insert(client, end);
        self.oracle.written(&Wrote::End(client, before))
    }
}

#[track_caller]
fn breaks(invariant: u8, result: Result<(), Broken>) {
    assert_eq!(result.expect_err("it must break").invariant, invariant);
}

#[test]
fn i1_a_leg_alone_is_allowed_for_eight_seconds_and_never_more_than_a_clip() {
    let mut bench = Bench::new();
    let order = Bench::order(0, 0, true, 600_000);
    bench.arrives(&order).unwrap();
    bench.fills(&order, 1).unwrap();
    bench.oracle.exposed(bench.now.plus(8 * SEC)).unwrap();
    breaks(1, bench.oracle.exposed(bench.now.plus(9 * SEC)));
    bench.oracle.excuse(bench.now.plus(20 * SEC));
    bench.oracle.exposed(bench.now.plus(27 * SEC)).unwrap();
    breaks(1, bench.oracle.exposed(bench.now.plus(29 * SEC)));
    let again = Bench::order(0, 1, true, 600_000);
    let mut bench = Bench::new();
    bench.arrives(&order).unwrap();
    bench.fills(&order, 1).unwrap();
    bench.arrives(&again).unwrap();
    breaks(2, bench.fills(&again, 2));
    let mut other = Bench::order(0, 0, true, 600_000);
    other.client_id = (INTENT + (1 << 6)).to_string();
    let mut bench = Bench::new();
    for (at, order) in [order, other].iter().enumerate() {
        bench.arrives(order).unwrap();
        let told = bench.fills(order, at as u64);
        if at == 1 { breaks(1, told) } else { told.unwrap() }
    }
}

#[test]
fn i1_a_resume_ends_what_the_kill_excused_and_nothing_else() {
    let mut bench = Bench::new();
    let order = Bench::order(0, 0, true, 600_000);
    bench.arrives(&order).unwrap();
    bench.fills(&order, 1).unwrap();
    bench.oracle.told("kill", bench.now);
    bench.oracle.exposed(bench.now.plus(100 * SEC)).unwrap();
    // A process that began meanwhile has until then.
    bench.oracle.excuse(bench.now.plus(130 * SEC));
    bench.oracle.told("resume", bench.now.plus(101 * SEC));
    bench.oracle.exposed(bench.now.plus(138 * SEC)).unwrap();
    breaks(1, bench.oracle.exposed(bench.now.plus(139 * SEC)));
    // Without one the account is read, and then the window is open.
    bench.oracle.told("kill", bench.now.plus(140 * SEC));
    bench.oracle.exposed(bench.now.plus(150 * SEC)).unwrap();
    bench.oracle.told("resume", bench.now.plus(150 * SEC));
    bench.oracle.exposed(bench.now.plus(161 * SEC)).unwrap();
    breaks(1, bench.oracle.exposed(bench.now.plus(162 * SEC)));
}

#[test]
fn i2_an_attempt_that_arrives_after_the_next_one_left_makes_two_alive() {
    let mut bench = Bench::new();
    let order = |attempt| Bench::order(1, attempt, false, 600_000);
    bench.arrives(&order(1)).unwrap();
    bench.now = bench.now.plus(1);
    breaks(2, bench.arrives(&order(0)));
}

#[test]
fn i3_what_is_booked_was_made() {
    let mut bench = Bench::new();
    let key = ("spot".to_owned(), "BTCUSDT".to_owned(), 9);
    bench.oracle.books.fills.insert(key.clone(), serde_json::Map::new());
    breaks(3, bench.oracle.written(&Wrote::Fill(key.clone())));
    // Made, and booked with other facts.
    let order = Bench::order(0, 0, true, 600_000);
    bench.arrives(&order).unwrap();
    bench.fills(&order, 9).unwrap();
    breaks(3, bench.oracle.written(&Wrote::Fill(key)));
}

#[test]
fn i5_i6_a_halt_ends_entries_and_a_kill_everything() {
    let mut bench = Bench::new();
    bench.oracle.told("halt", bench.now);
    bench.now = bench.now.plus(SEC);
    breaks(5, bench.arrives(&Bench::order(0, 0, true, 600_000)));
    let mut bench = Bench::new();
    bench.oracle.told("kill", bench.now);
    bench.arrives(&Bench::order(1, 0, false, 600_000)).unwrap();
    bench.now = bench.now.plus(SEC);
    breaks(6, bench.arrives(&Bench::order(1, 1, true, 600_000)));
    bench.oracle.told("resume", bench.now);
    bench.arrives(&Bench::order(1, 2, true, 600_000)).unwrap();
}

#[test]
fn i6_a_kill_that_the_journal_tells_outlives_its_process() {
    for (told, power, kept) in [("killed", false, true), ("", false, false), ("killed", true, false)] {
        let mut bench = Bench::new();
        bench.oracle.told("kill", bench.world.now());
        bench.oracle.books.latched = told.to_owned();
        let image = bench.oracle.image(&bench.world, power.then_some(0));
        bench.oracle.reborn(&mut bench.world, &image).unwrap();
        let arrives = bench.arrives(&Bench::order(1, 0, true, 600_000));
        if kept { breaks(6, arrives) } else { arrives.unwrap() }
    }
}

/// A word is as durable as the time in which the host could hear it.
#[test]
fn i6_a_kill_pressed_while_the_host_stands_still_may_die_with_its_process() {
    for (stands, kept) in [(false, true), (true, false)] {
        let mut bench = Bench::new();
        bench.oracle.told("kill", bench.world.now());
        if stands {
            bench.world.stand_still(20 * SEC)
        } else {
            bench.world.run_for(20 * SEC)
        }
        let image = bench.oracle.image(&bench.world, None);
        bench.oracle.reborn(&mut bench.world, &image).unwrap();
        bench.now = bench.world.now();
        let arrives = bench.arrives(&Bench::order(1, 0, true, 600_000));
        if kept { breaks(6, arrives) } else { arrives.unwrap() }
    }
}

#[test]
fn i7_a_request_that_is_turned_away_is_one_too_many() {
    let mut bench = Bench::new();
    let throttled = |status| Seen::Throttled { market: Market::Usdm, status, wait_s: 10 };
    breaks(7, bench.witness(&bench.at(throttled(429))));
    bench.oracle.disturb_budget();
    bench.witness(&bench.at(throttled(418))).unwrap();
    bench.now = bench.now.plus(SEC);
    bench.witness(&bench.at(throttled(418))).unwrap();
    bench.now = bench.now.plus(2 * SEC);
    breaks(7, bench.witness(&bench.at(throttled(418))));
}

#[test]
fn i7_a_door_that_sent_a_socket_away_is_not_asked_again_before_its_time() {
    let mut bench = Bench::new();
    let away = Seen::SentAway { door: Door::UsdmWs, status: 429, wait_s: 100 };
    bench.witness(&bench.at(away.clone())).unwrap();
    bench.now = bench.now.plus(SEC);
    // What was under way, and another door.
    bench.witness(&bench.at(away.clone())).unwrap();
    bench.now = bench.now.plus(20 * SEC);
    bench.witness(&bench.at(Seen::SentAway { door: Door::UsdmWsApi, status: 429, wait_s: 80 })).unwrap();
    breaks(7, bench.witness(&bench.at(away.clone())));
    // The time is over; a process that knows of nothing asks, too.
    bench.now = bench.now.plus(100 * SEC);
    bench.witness(&bench.at(away.clone())).unwrap();
    bench.now = bench.now.plus(20 * SEC);
    bench.oracle.begun = bench.now;
    bench.witness(&bench.at(away)).unwrap();
}

#[test]
fn i8_i9_i10_an_order_has_its_form_its_direction_and_its_own_id() {
    let mut bench = Bench::new();
    let good = Bench::order(0, 0, true, 600_000);
    breaks(8, bench.arrives(&Arrived { qty: Some(600_001), ..good.clone() }));
    breaks(8, bench.arrives(&Arrived { limit_ioc: false, ..good.clone() }));
    breaks(9, bench.arrives(&Arrived { buys: false, ..good.clone() }));
    breaks(9, bench.arrives(&Arrived { reduce_only: false, ..Bench::order(1, 0, true, 600_000) }));
    breaks(10, bench.arrives(&Arrived { client_id: "web_1".to_owned(), ..good.clone() }));
    bench.arrives(&good).unwrap();
    breaks(10, bench.arrives(&good));
    let msg = "Filter failure: NOTIONAL".to_owned();
    let refused = |client_id: &str| {
        let client_id = client_id.to_owned();
        Seen::Refused { market: Market::Spot, client_id, code: -1013, msg: msg.clone() }
    };
    breaks(8, bench.witness(&bench.at(refused(&good.client_id))));
    let struck = Seen::Struck { client_id: good.client_id.clone(), kind: "refuse" };
    bench.witness(&bench.at(struck)).unwrap();
    bench.witness(&bench.at(refused(&good.client_id))).unwrap();
}

#[test]
fn i11_an_order_that_nothing_holds_was_never_written_down() {
    let mut bench = Bench::new();
    let witnessed = bench.at(Seen::Arrived(Bench::order(0, 0, true, 600_000)));
    breaks(11, bench.oracle.arrival(&witnessed, &bench.world));
}

#[test]
fn i12_i14_an_end_has_its_evidence_is_true_and_stays() {
    let mut bench = Bench::new();
    let order = Bench::order(0, 0, true, 6_000_000);
    let client: u64 = order.client_id.parse().unwrap();
    bench.oracle.allowed.clip *= 10;
    bench.arrives(&order).unwrap();
    // Nothing was executed.
    breaks(12, bench.ends(client, "A", "terminal", 60, 50));
    let mut bench = Bench::new();
    bench.oracle.allowed.clip *= 10;
    bench.arrives(&order).unwrap();
    let told = Told { not_found: vec![1_000_000, 4_000_000], ..Told::default() };
    bench.oracle.books.told.insert(client, told);
    breaks(12, bench.ends(client, "C", "never_landed", 0, 5_000));
    bench.oracle.books.ends.clear();
    bench.ends(client, "C", "never_landed", 0, 11_000).unwrap();
    breaks(14, bench.ends(client, "C", "not_sent", 0, 12_000));
    bench.oracle.books.ends.clear();
    bench.ends(client, "C", "never_landed", 0, 11_000).unwrap();
    breaks(14, bench.ends(client, "C", "never_landed", 0, 12_000));
    // The next run may find it again, and must find the same.
    bench.oracle.books.runs += 1;
    bench.ends(client, "C", "never_landed", 0, 13_000).unwrap();
    bench.oracle.books.runs += 1;
    breaks(14, bench.ends(client, "C", "not_sent", 0, 13_000));
    // A calendar that was set forward ends nothing earlier.
    bench.oracle.books.ends.clear();
    bench.oracle.step_calendar();
    bench.oracle.read_at = bench.now.plus(9 * SEC);
    breaks(12, bench.ends(client, "C", "never_landed", 0, 14_000));
    bench.oracle.books.ends.clear();
    bench.oracle.read_at = bench.now.plus(11 * SEC);
    bench.ends(client, "C", "never_landed", 0, 14_000).unwrap();
    breaks(12, bench.fills(&order, 1));
    let mut bench = Bench::new();
    bench.oracle.allowed.clip *= 10;
    bench.arrives(&order).unwrap();
    bench.fills(&order, 1).unwrap();
    breaks(12, bench.ends(client, "B", "not_sent", 0, 50));
    // It reached the venue, before its end was told or after.
    let mut bench = Bench::new();
    bench.oracle.allowed.clip *= 10;
    bench.ends(client, "B", "not_sent", 0, 50).unwrap();
    breaks(12, bench.arrives(&order));
    let mut bench = Bench::new();
    bench.oracle.allowed.clip *= 10;
    bench.arrives(&order).unwrap();
    breaks(12, bench.ends(client, "B", "not_sent", 0, 50));
}

#[test]
fn i13_an_entry_on_a_silent_feed_is_none() {
    let mut bench = Bench::new();
    let seen = Seen::Arrived(Bench::order(0, 0, true, 600_000));
    let quiet = Witnessed { fed: [bench.now, Nanos(bench.now.0 - 2 * SEC)], ..bench.at(seen) };
    // Sent a while ago, and held up by a host without room: not for longer than an entry waits for that.
    let seen = Seen::Arrived(Bench::order(0, 0, true, 600_000));
    let held_up =
        |ns| Witnessed { fed: [bench.now, Nanos(bench.now.0 - ns)], cramped: true, ..bench.at(seen.clone()) };
    let (short, long) = (held_up(1_400 * MS), held_up(1_401 * MS));
    breaks(13, bench.witness(&long));
    breaks(13, bench.witness(&quiet));
    Bench::new().witness(&short).unwrap();
}

#[test]
fn i15_money_that_no_trade_explains_is_found() {
    let mut bench = Bench::new();
    let mut standing = bench.world.standing();
    bench.oracle.money(&standing).unwrap();
    standing.wallet += 1;
    breaks(15, bench.oracle.money(&standing));
    standing.wallet -= 1;
    standing.spot[0].1 -= E10;
    breaks(15, bench.oracle.money(&standing));
    let came = bench.at(Seen::Credited { asset: standing.spot[0].0.to_string(), amount: E10 });
    bench.witness(&came).unwrap();
    standing.spot[0].1 += E10;
    breaks(15, bench.oracle.money(&standing));
    standing.spot[0].1 += E10;
    bench.oracle.money(&standing).unwrap();
}

#[test]
fn i3_i15_funding_that_was_not_paid_or_not_booked_is_found() {
    let mut bench = Bench::new();
    let booked = |bench: &mut Bench, tran_id, amount: &str| {
        let of = (tran_id, bench.oracle.facts.rows[PERP].name.clone());
        bench.oracle.books.payments.insert(of.clone(), amount.to_owned());
        bench.oracle.written(&Wrote::Paid(of))
    };
    breaks(3, booked(&mut bench, 1, "-0.25"));
    let paid = bench.at(Seen::Funding { symbol: PERP, received: -ONE / 4 });
    let mut bench = Bench::new();
    bench.witness(&paid).unwrap();
    breaks(15, bench.oracle.funding());
    booked(&mut bench, 1, "-0.25").unwrap();
    bench.oracle.funding().unwrap();
    breaks(3, booked(&mut bench, 2, "-0.25"));
    breaks(15, bench.oracle.funding());
}

#[test]
fn i17_i18_i19_secrets_lost_records_and_open_ends_are_found() {
    let mut bench = Bench::new();
    bench.oracle.secrets("a note", b"key the-ke and secret the-secre").unwrap();
    breaks(17, bench.oracle.secrets("a note", b"...the-secret..."));
    let mut image = bench.oracle.image(&bench.world, None);
    bench.oracle.reborn(&mut bench.world, &image).unwrap();
    image.plant(b"a record that is gone");
    breaks(18, bench.oracle.reborn(&mut bench.world, &image));
    let mut bench = Bench::new();
    assert_eq!(bench.oracle.restless(&bench.world), [""; 0]);
    let order = Bench::order(0, 0, true, 600_000);
    bench.arrives(&order).unwrap();
    bench.fills(&order, 1).unwrap();
    breaks(19, bench.oracle.at_rest(&bench.world));
}

#[test]
fn i19_coins_that_came_excuse_an_order_without_an_end_only_where_others_trade_too() {
    let mut bench = Bench::new();
    let order = Bench::order(0, 0, true, 600_000);
    bench.arrives(&order).unwrap();
    bench.oracle.books.open.insert(order.client_id.parse().unwrap());
    let open =
        |bench: &Bench| bench.oracle.restless(&bench.world).iter().any(|it| it.ends_with("has no end"));
    let base = bench.oracle.facts.pairs[0].base.clone();
    let came = bench.at(Seen::Credited { asset: base, amount: E10 });
    bench.witness(&came).unwrap();
    assert!(open(&bench));
    let stranger = Filled { client_id: "somebody".to_owned(), ..bench.fill(&order, 1) };
    let traded = bench.at(Seen::Filled(stranger));
    bench.witness(&traded).unwrap();
    assert!(!open(&bench));
    bench.oracle.facts.credits.clear();
    assert!(open(&bench), "what others trade is known, and explains just that");
}

#[test]
fn i20_a_person_hears_of_doubts_before_they_are_over_and_of_what_the_venue_does() {
    let mut bench = Bench::new();
    let order = Bench::order(0, 0, true, 600_000);
    let client: u64 = order.client_id.parse().unwrap();
    bench.arrives(&order).unwrap();
    let told = Told { not_found: vec![1_000_000, 4_000_000], ..Told::default() };
    bench.oracle.books.told.insert(client, told);
    bench.ends(client, "C", "never_landed", 0, 12_000).unwrap();
    let note = |bench: &mut Bench, after_ms, text: String| {
        let at_us = (bench.stamp_ms() + after_ms) * 1_000;
        bench.oracle.books.notes.push((at_us, text));
    };
    breaks(20, bench.oracle.alarms(&[]));
    let stood = |from_ms: u64, ms: u64| {
        let from = bench.now.plus(from_ms * MS);
        (from, from.plus(ms * MS))
    };
    breaks(20, bench.oracle.alarms(&[stood(1_000, 1_500), stood(11_900, 9_000)]));
    bench.oracle.alarms(&[stood(1_000, 1_500), stood(9_000, 600)]).unwrap();
    note(&mut bench, 12_000, format!("order {client}: never landed"));
    breaks(20, bench.oracle.alarms(&[]));
    note(&mut bench, 5_000, format!("order {client}: fate unknown"));
    bench.oracle.alarms(&[]).unwrap();
    let base = bench.oracle.facts.pairs[0].base.clone();
    bench.oracle.facts.forced.push((bench.now, 0));
    note(&mut bench, 0, format!("ALERT: pair {base}: 0.1 {base} unhedged for 3 s"));
    breaks(20, bench.oracle.alarms(&[]));
    note(&mut bench, 0, format!("ALERT: pair {base}: an auto-deleveraging of {base}USDT"));
    bench.oracle.alarms(&[]).unwrap();
}
