//! The venues' clocks: samples of them, the offsets learned from those, and the host's own calendar beside them.
//!
//! Owns:  when a venue is asked for its time, which sample counts, the refusal to arm on a wrong calendar, and
//!        learning everything anew when the calendar jumps (FAULTS F1–F3).
//! Never: stamps by the calendar, or takes an offset away: what must leave meanwhile leaves by the last one.
//! Why:   an offset is a venue's clock less our monotonic one, so a daemon that steps the calendar changes
//!        none. But the same jump is what a host shows that was suspended, and then every one of them is wrong.

use super::Clerk;
use super::errands::Errand;
use super::load::Stage;
use crate::event::{News, lane};
use crate::metal::clock::Clock;
use crate::units::time::{MS, SEC};
use crate::units::{LegKind, Nanos, Unix};

/// Samples taken before a clock is believed (FAULTS F1), and how far apart.
const FIRST_SAMPLES: usize = 5;
const FIRST_SAMPLE_APART_NS: u64 = 20 * MS;
/// While none of them is answered they are doubled so often at most (1.28 s): a market in maintenance hears no storm.
const DOUBLINGS: u32 = 6;
/// How often after that (FAULTS F3).
const SAMPLE_APART_NS: u64 = 30 * SEC;
/// Samples kept.
const SAMPLES_KEPT: usize = 8;
/// A sample's doubt is half its round trip and what two clocks part by as it ages, 100 parts per million: two crystals that
/// nobody disciplines do. So many ns of age weigh as much as one of round trip.
const AGE_PER_ROUND_TRIP: u64 = 5_000;
/// A host clock further off than this refuses to arm (DESIGN §5, `clock_off_max`).
const CLOCK_OFF_MAX_NS: i64 = SEC as i64;
/// How often the calendar is looked at.
const LOOK_NS: u64 = 10 * MS;
/// A calendar that moved by more than this against the monotonic clock between two looks was stepped (F1).
const STEP_NS: i64 = 50 * MS as i64;
/// Two readings of the monotonic clock with the calendar's between them; further apart than this they were
/// interrupted, and tell nothing.
const APART_MAX_NS: u64 = 5 * MS;

/// One look at a venue's clock.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// The venue's clock minus our monotonic one, in ns.
    offset: i64,
    round_trip: u64,
    received: Nanos,
}

impl Sample {
    /// The larger, the less its doubt; of two samples that stays so, since both age alike.
    fn worth(&self) -> i128 {
        i128::from(self.received.0) - i128::from(self.round_trip) * i128::from(AGE_PER_ROUND_TRIP)
    }
}

/// Clock samples of one market.
#[derive(Debug, Default)]
pub(super) struct ClockSamples {
    /// In no order.
    kept: Vec<Sample>,
    due: Nanos,
    asked: bool,
    /// How many questions in a row brought no sample.
    misses: u32,
    /// Not before this was a sample asked for that counts.
    fresh: Nanos,
}

impl ClockSamples {
    fn add(&mut self, sent: Nanos, received: Nanos, said: Unix) {
        (self.asked, self.misses) = (false, 0);
        if sent < self.fresh {
            return;
        }
        let round_trip = received.since(sent);
        // The venue looked at its clock between both stamps: half a round trip is the error bound.
        // Its stamp is cut to whole milliseconds: half of one more is added.
        let middle = sent.0 + round_trip / 2;
        let offset = said.0 + MS as i64 / 2 - middle as i64;
        self.kept.push(Sample { offset, round_trip, received });
        // Not the oldest goes: where answers take seconds for minutes, that would be the last one that tells anything.
        if self.kept.len() > SAMPLES_KEPT
            && let Some(worst) = (0..self.kept.len()).min_by_key(|at| self.kept[*at].worth())
        {
            self.kept.swap_remove(worst);
        }
        if self.kept.len() >= FIRST_SAMPLES {
            self.due = self.due.max(sent.plus(SAMPLE_APART_NS));
        }
    }

    /// A question leaves: when the next one may. A start waits for the first few, so one of them that is lost is
    /// asked again soon.
    fn ask(&mut self, now: Nanos) {
        let young = self.kept.len() < FIRST_SAMPLES;
        let first = FIRST_SAMPLE_APART_NS << self.misses.min(DOUBLINGS);
        self.due = now.plus(if young { first } else { SAMPLE_APART_NS });
        self.asked = true;
    }

    /// No sample came of the last question.
    pub(super) fn missed(&mut self) {
        self.asked = false;
        self.misses += 1;
    }

    /// The offset with the least doubt, and its round trip: half of that was the doubt when it came.
    pub(super) fn best(&self) -> Option<(i64, u64)> {
        let enough = self.kept.len() >= FIRST_SAMPLES;
        let best = self.kept.iter().max_by_key(|sample| sample.worth()).filter(|_| enough)?;
        Some((best.offset, best.round_trip))
    }

    /// Nothing that was learned before `now` counts any more.
    fn begin_anew(&mut self, now: Nanos) {
        self.kept.clear();
        (self.due, self.fresh) = (now, now);
    }
}

/// The host's calendar against its monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// Their difference at the last look, ns.
    before: Option<i64>,
    due: Nanos,
    /// It was stepped, and not every clock is learned anew yet.
    learning: bool,
    /// A person was told that it is wrong.
    told: bool,
}

impl Calendar {
    /// By how much the calendar was stepped since the last look, if it was.
    fn stepped(&mut self, clock: &Clock, now: Nanos) -> Option<i64> {
        if now < self.due {
            return None;
        }
        self.due = now.plus(LOOK_NS);
        let (first, unix, last) = (clock.now(), clock.unix(), clock.now());
        if last.since(first) > APART_MAX_NS {
            return None;
        }
        let apart = unix.0.wrapping_sub(i64::try_from(last.0).unwrap_or(i64::MAX));
        let by = apart.wrapping_sub(self.before.replace(apart)?);
        (by.unsigned_abs() > STEP_NS.unsigned_abs()).then_some(by)
    }
}

impl Clerk {
    /// A venue told its time.
    pub(super) fn on_time(&mut self, leg: LegKind, sent: Nanos, received: Nanos, said: Unix) {
        if let Some(samples) = self.clocks.get_mut(&leg) {
            samples.add(sent, received, said);
        }
        self.learn(leg, received);
    }

    /// A market's clock, from its best sample; the host's own must agree with it before we arm.
    fn learn(&mut self, leg: LegKind, now: Nanos) {
        let Some(offset) = self.clocks.get(&leg).and_then(ClockSamples::best).map(|(offset, _)| offset)
        else {
            return;
        };
        let venue = self.settings.target.venue;
        self.offsets.0[lane(venue.id, leg)] = Some(offset);
        for cell in &mut self.doors.offsets {
            cell.publish(self.offsets.to_words());
        }
        if self.calendar.learning && self.clocks.values().all(|samples| samples.best().is_some()) {
            self.calendar.learning = false;
            self.tell(News::ClocksLearned);
        }
        let host_ahead = self.clock.unix().0 - (now.0 as i64 + offset);
        let wrong = host_ahead.abs() > CLOCK_OFF_MAX_NS;
        let told = std::mem::replace(&mut self.calendar.told, wrong);
        if !self.settings.live || !wrong {
            return;
        }
        // To the nearest: what is told is known to half a millisecond at best.
        let ms = (host_ahead + host_ahead.signum() * MS as i64 / 2) / MS as i64;
        let (name, limit) = (venue.name, CLOCK_OFF_MAX_NS / MS as i64);
        let off = format!("this host's clock is {ms} ms off {name}'s (limit {limit} ms)");
        if !self.is_live() {
            self.refuse(format!("{off}; synchronize it (`chronyc makestep`) and start again"));
        } else if !told {
            let why = format!(
                "{off}; orders are stamped by the venue's, so trading goes on, but the next start will refuse: \
                 synchronize it (`chronyc makestep`)"
            );
            self.tell(News::ClockWrong { why });
        }
    }

    /// Looks whether the host's calendar was stepped: then every clock is learned anew (F1, F2).
    pub(super) fn watch_calendar(&mut self, now: Nanos) {
        let Some(by_ns) = self.calendar.stepped(&self.clock, now) else { return };
        for samples in self.clocks.values_mut() {
            samples.begin_anew(now);
        }
        // A start waits for five samples anyway.
        if matches!(self.stage, Stage::Linking | Stage::Live) {
            self.calendar.learning = true;
            self.tell(News::CalendarStepped { by_ns });
        }
    }

    /// Asks for the time where it is due.
    pub(super) fn sample_clocks(&mut self, now: Nanos) {
        for leg in LegKind::BOTH {
            let free = self.is_free(leg);
            let Some(samples) = self.clocks.get_mut(&leg) else { continue };
            if samples.asked || now < samples.due || !free {
                continue;
            }
            samples.ask(now);
            self.errands.add(leg, Errand::Time(leg));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_once_and_running_on_is_none() {
        let (clock, time) = Clock::virtual_time();
        let mut calendar = Calendar::default();
        let mut look = |ms: u64, step_ms: i64| {
            time.set(Nanos(SEC + ms * MS));
            time.step_unix(step_ms * MS as i64);
            calendar.stepped(&clock, clock.now()).map(|by| by / MS as i64)
        };
        assert_eq!(look(0, 0), None, "nothing to compare with");
        assert_eq!(look(10, 0), None);
        assert_eq!(look(5_000, 0), None, "a long pause is no step");
        assert_eq!(look(5_010, 50), None, "a daemon may do that");
        assert_eq!(look(5_020, 51), Some(51));
        assert_eq!(look(5_030, 0), None);
        assert_eq!(look(5_040, -3_000), Some(-3_000));
        assert_eq!(look(5_045, 700), None, "not looked at yet");
        assert_eq!(look(5_050, 0), Some(700));
    }

    #[test]
    fn while_no_first_sample_is_answered_the_questions_come_less_and_less_often() {
        let mut samples = ClockSamples::default();
        let mut wait = |at: Nanos, missed: bool| {
            samples.ask(at);
            let waits = samples.due.since(at) / MS;
            if missed {
                samples.missed()
            } else {
                samples.add(at, at.plus(MS), Unix(7 * SEC as i64))
            }
            waits
        };
        let waits: Vec<u64> = (1..=9).map(|n| wait(Nanos(n * SEC), true)).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_280, 1_280, 1_280]);
        assert_eq!(wait(Nanos(10 * SEC), false), 1_280);
        assert_eq!(wait(Nanos(11 * SEC), true), 20, "one was answered");
    }

    /// For an hour answers take three seconds, and nobody knows when in them the venue looked at its clock: a good sample
    /// from before tells it better. The next good one takes over at once, and so does one that is a little slower, in time.
    #[test]
    fn samples_of_long_round_trips_take_no_good_ones_place() {
        let ahead = 7 * SEC as i64;
        let mut samples = ClockSamples::default();
        let mut look = |at_s: u64, there_ms: u64, back_ms: u64, ahead: i64| {
            let (sent, looked) = (Nanos(at_s * SEC), at_s * SEC + there_ms * MS);
            samples.add(
                sent,
                sent.plus((there_ms + back_ms) * MS),
                Unix(looked as i64 + ahead - MS as i64 / 2),
            );
            samples.best().map(|(offset, _)| offset - ahead)
        };
        let firsts: Vec<_> = (1..=8).map(|at| look(at, 1, 1, ahead)).collect();
        assert_eq!(firsts, [vec![None; 4], vec![Some(0); 4]].concat());
        for n in 1..=120 {
            assert_eq!(look(30 * n, 3_000, 10, ahead), Some(0), "after {} s", 30 * n);
        }
        // The clocks have parted meanwhile.
        assert_eq!(look(3_630, 2, 2, ahead + 1_000), Some(0));
        assert_eq!(look(3_660, 12, 12, ahead + 2_000), Some(-1_000), "10 ms of doubt more, 30 s later");
        assert_eq!(look(3_750, 12, 12, ahead + 3_000), Some(0), "and two minutes later");
    }

    #[test]
    fn a_lost_sample_is_waited_for_only_once_there_are_enough() {
        let mut samples = ClockSamples::default();
        let (mut now, mut last) = (Nanos(SEC), Nanos(SEC));
        for _ in 0..FIRST_SAMPLES {
            samples.ask(now);
            samples.missed();
            assert_eq!(samples.due, now.plus(FIRST_SAMPLE_APART_NS), "the start waits for it");
            (now, last) = (samples.due, samples.due);
            samples.ask(now);
            samples.add(now, now.plus(MS), Unix(7 * SEC as i64));
            now = samples.due.max(now.plus(MS));
        }
        assert!(samples.best().is_some());
        assert_eq!(samples.due, last.plus(SAMPLE_APART_NS));
        samples.ask(now);
        samples.missed();
        assert_eq!(samples.due, now.plus(SAMPLE_APART_NS));
    }

    #[test]
    fn what_was_asked_before_a_step_teaches_nothing_after_it() {
        let mut samples = ClockSamples::default();
        let at = |ms: u64| Nanos(SEC + ms * MS);
        for ms in 0..5 {
            assert_eq!(samples.best(), None);
            samples.add(at(ms), at(ms + 2), Unix(7 * SEC as i64));
        }
        assert!(samples.best().is_some());
        samples.begin_anew(at(10));
        assert_eq!(samples.best(), None);
        for ms in 0..6 {
            assert_eq!(samples.best(), None, "the first one left at 9 ms");
            samples.add(at(9 + ms), at(15 + ms), Unix(7 * SEC as i64));
        }
        assert!(samples.best().is_some());
    }
}
