//! What reaches the shadow from the clerk and the venues: instruments, links, marks, letters.
//!
//! Owns:  taking news in, and the couriers' turns.
//! Never: judges an order; `orders` and `questions` do.

use super::{Book, Phase, Question, Shadow, Stage};
use crate::agents::courier::{Courier, Delivery};
use crate::agents::{Dead, Purpose};
use crate::event::{Mark, News, Record};
use crate::metal::bugs::{Bug, planted};
use crate::units::Nanos;
use std::sync::Arc;

impl Shadow {
    pub(super) fn hear(&mut self, news: News, now: Nanos) {
        match news {
            News::Instruments { instruments, limits } => {
                self.note(format!(
                    "instruments: {} pairs, {} markets left out",
                    instruments.pairs.len(),
                    instruments.left_out.len()
                ));
                self.take_limits(&limits);
                self.books = instruments.pairs.iter().map(|row| Book::new(row.id)).collect();
                self.instruments = instruments;
                self.recall(now);
            }
            News::Relisted { lane, instruments, shut, ending, limits } => {
                self.take_ending(ending);
                self.on_relisted(lane, instruments, shut, &limits, now);
            }
            News::Marks(marks) => {
                for mark in marks {
                    self.take_mark(mark);
                }
            }
            News::Account { lines } => lines.into_iter().for_each(|line| self.note(line)),
            News::Settled { instrument, rows } => self.on_settled(instrument, &rows),
            News::Intervals(rows) => self.on_intervals(&rows),
            // Only a clerk alone asks for them.
            News::Candles { .. } => {}
            News::Opinions { received, rows } => self.on_opinions(received, rows),
            News::Ready { venue } => {
                if self.phase == Phase::Starting {
                    self.phase = Phase::Recovering(venue);
                    self.permit_due = now;
                }
            }
            News::CalendarStepped { by_ns } => self.on_stepped(by_ns, now),
            News::ClocksLearned => self.on_clocks_learned(now),
            News::ClockWrong { why } => self.alert(why),
            News::LinkUp { what, .. } => {
                self.write(Record::Note { at: self.clock.unix(), text: format!("link up: {what}") });
                self.operator.links.insert(what, None);
            }
            News::LinkDown { what, why } => {
                let key = self.key.as_ref().filter(|_| planted(Bug::KeyInNote)).map_or("", |key| key.api());
                self.note(format!("link down: {what}: {why}{key}"));
                self.operator.links.insert(what, Some(why));
            }
            News::Spent(spent) => {
                if let Some(state) = self.lanes.get_mut(spent.lane) {
                    state.on_read(u64::from(spent.weight), spent.sent, now);
                }
                // The next of its requests may leave at once.
                self.permit_due = now;
            }
            News::Headers(headers) => self.hear_counted(&headers, now),
            News::Refuse { why } => {
                self.ended.refused.get_or_insert(why);
                self.stop.set();
            }
            News::Fail { why } => {
                self.ended.failed.get_or_insert(why);
                self.stop.set();
            }
        }
    }

    pub(super) fn mail(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        while let Some(handed) = self.doors.arrivals.pop() {
            work += 1;
            if matches!(handed.purpose, Purpose::User { .. }) {
                self.take_stream(handed, now);
            } else if let Purpose::Query { venue, leg } = handed.purpose {
                let (clock, tap) = (self.clock.clone(), &self.doors.tap);
                self.couriers
                    .entry(crate::event::lane(venue, leg))
                    .or_insert_with(|| Courier::new(crate::venue::get(venue).counted, clock, tap))
                    .attach(handed.link);
            }
        }
        let lanes: Vec<usize> = self.couriers.keys().copied().collect();
        for lane in lanes {
            while let Some(delivery) = self.couriers.get_mut(&lane).and_then(|courier| courier.turn(now)) {
                work += 1;
                match delivery {
                    Delivery::Answer(letter) => self.on_letter(letter, now),
                    Delivery::Lost { tag: Question::Audit(item), .. } => self.audit_lost(item),
                    Delivery::Lost { tag: Question::Income(_), .. } => self.income_lost(),
                    // Whether it was heard is not known, and what it asked still is to be: on the next link, before the
                    // order's own timer, which waits for two seconds by now.
                    Delivery::Lost { tag: tag @ Question::Order(..), .. } => {
                        if let Some(courier) = self.couriers.get_mut(&lane) {
                            courier.wish(tag);
                        }
                    }
                    // Their own timers ask again.
                    Delivery::Lost { .. } => {}
                    Delivery::Broken { link, why } => {
                        let (venue, leg) = crate::event::market_of(lane);
                        let purpose = Purpose::Query { venue, leg };
                        let _ = self.doors.dead.push(Dead { link, purpose, why });
                    }
                }
            }
            self.ask_next_of_orders(lane, now);
        }
        work
    }

    pub(super) fn on_mark(&mut self, mark: Mark) {
        let lane =
            crate::event::lane(self.instruments.get(mark.instrument).venue, crate::units::LegKind::Perp);
        if let Some(arrived) = self.offsets.venue_time(lane, mark.received) {
            self.totals.record(Stage::FeedAge, u64::try_from(arrived.0 - mark.stamp.0).unwrap_or(0));
        }
        self.take_mark(mark);
    }

    pub(super) fn take_mark(&mut self, mark: Mark) {
        self.on_announced(&mark);
        let instruments = Arc::clone(&self.instruments);
        for book in &mut self.books {
            if instruments.pair(book.pair).perp == mark.instrument {
                book.mark = Some(mark);
            }
        }
    }
}
