//! One order, from its first byte to its end, by evidence alone (FAULTS part 4).
//!
//! Owns:  what is known of an order, and what to ask next.
//! Never: ends an order without evidence A, B or C; one "not found", silence and 5xx prove nothing.
//!        Never asks for a resend: there is no such action.

use crate::event::{Answer, End, FiredLeg, Source, Verdict, Wire};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::{MS, SEC};
use crate::units::{Class, ClientId, Nanos, PairId, Qty};

/// No answer for this long: ask on another channel. Changes no state.
pub const T_SOFT_NS: u64 = 300 * MS;
/// Not terminal for this long: unknown, and a person hears of it.
pub const T_ACK_NS: u64 = 5 * SEC;
/// Two queries that found nothing must lie so far apart to count as evidence C.
const APART_NS: u64 = 2 * SEC;
/// Still unknown for this long: a person is asked.
pub const QUARANTINE_NS: u64 = 60 * SEC;
/// An order that mends a pair, or is the leg that waited, is cancelled after this long if the venue says that it still
/// stands: the pair has waited for the order before it already, and must be within bound again T_repair later (3 s),
/// whatever becomes of this one.
const SECOND_STANDS_NS: u64 = SEC;
/// How soon an order that is still not over is cancelled again.
const CANCEL_AGAIN_NS: u64 = 2 * SEC;
/// Waits between queries, then every last one.
const BACKOFF_NS: [u64; 6] = [100 * MS, 200 * MS, 400 * MS, 800 * MS, 1_600 * MS, 2 * SEC];

/// What we know of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Every byte left, or some did and the rest follows on the same link.
    Wire,
    /// The venue has it; it may still fill.
    Acked,
    /// The venue may have it or not; only a query can tell.
    Unknown,
    /// Nothing changes any more but late bookings of its fills.
    Ended(End),
}

/// What an order asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing now.
    Wait,
    /// Ask the venue for it by client id.
    Query,
    /// Its executed quantity is proven but not all of it is booked: ask for its trades.
    FetchTrades,
    /// It should have been over long ago: end it at the venue by client id.
    Cancel,
}

/// One order of ours.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// What went out.
    pub leg: FiredLeg,
    /// Whose.
    pub pair: PairId,
    /// Why.
    pub class: Class,
    /// The intent's sequence.
    pub sequence: u32,
    /// The venue's id, 0 until told.
    pub order_id: u64,
    /// Largest executed quantity the venue ever told; never falls.
    pub executed: Qty,
    /// Quantity of the fills booked.
    pub booked: Qty,
    /// What is known.
    pub state: State,
    asked: u8,
    ask_at: Nanos,
    /// When it is cancelled, or cancelled again; never, while the venue says that there is nothing to cancel.
    cancel_at: Nanos,
    /// Left by a process that died: nobody waits for it, so it is cancelled as soon as it is seen open.
    orphan: bool,
    /// The pair was open for another order's sake before: a repair, or the leg that waited.
    second: bool,
    /// It is such, and stands: its first cancel was brought forward.
    hastened: bool,
    /// Queries that found no such order. No evidence by itself.
    not_found: u8,
    /// When the venue has dropped it or shows it, for sure: its deadline and settling time are over.
    settles_at: Nanos,
    /// The first and the last query after that which found no such order.
    lost: Option<(Nanos, Nanos)>,
}

impl Order {
    /// As it was fired.
    #[must_use]
    pub fn fired(leg: FiredLeg, pair: PairId, class: Class, sequence: u32) -> Self {
        let state = match leg.wire {
            Wire::All | Wire::Part => State::Wire,
            Wire::Nothing => State::Ended(End::NotSent),
        };
        Self {
            leg,
            pair,
            class,
            sequence,
            order_id: 0,
            executed: Qty::ZERO,
            booked: Qty::ZERO,
            state,
            asked: 0,
            ask_at: leg.sent.plus(T_SOFT_NS),
            cancel_at: leg.sent.plus(T_ACK_NS),
            orphan: false,
            second: class == Class::Repair,
            hastened: false,
            not_found: 0,
            settles_at: Nanos::NEVER,
            lost: None,
        }
    }

    /// With the time, counted from its first byte, after which a query that finds nothing means
    /// something: the receive window and the venue's settling time.
    #[must_use]
    pub fn settling(mut self, ns: u64) -> Self {
        self.settles_at = self.leg.sent.plus(ns);
        self
    }

    /// The leg that waited for another's fill (`--legs`).
    #[must_use]
    pub fn that_waited(mut self) -> Self {
        self.second = true;
        self
    }

    /// Whether the pair has been open since before this order left.
    #[must_use]
    pub fn is_second(&self) -> bool {
        self.second
    }

    /// An order of a process that died, as far as its records tell: unknown, and asked about at once.
    /// `leg.sent` is the time of finding it, which is later than the truth and so the careful side.
    #[must_use]
    pub fn found(leg: FiredLeg, pair: PairId, class: Class, sequence: u32, order_id: u64) -> Self {
        let ask_at = leg.sent;
        let order = Self::fired(leg, pair, class, sequence);
        Self { state: State::Unknown, order_id, ask_at, orphan: true, ..order }
    }

    /// Its client order id.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.leg.client
    }

    /// Whether its end is proven (its fills may still be on their way to the books).
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether its end is proven and every executed unit is booked.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.ended() && (self.booked >= self.executed || planted(Bug::EndedIsBooked))
    }

    /// A fill of it was booked for the first time.
    pub fn on_fill(&mut self, qty: Qty) {
        self.booked.0 += qty.0;
        self.executed = self.executed.max(self.booked);
    }

    /// A trade of it happened that can't be booked yet: it proves that more was executed than is booked.
    pub fn on_trade(&mut self, qty: Qty) {
        let proven = Qty(self.booked.0.saturating_add(qty.0)).min(self.leg.qty);
        self.executed = self.executed.max(proven);
    }

    /// What it wants to know is on its way already: it asks nobody before `until`.
    pub fn hold_off(&mut self, until: Nanos) {
        self.ask_at = until;
        self.asked = 0;
    }

    /// Takes in an answer to it, or to a query about it, and says what to do about it.
    #[must_use = "the order has moved on; act on what it asks for"]
    pub fn on_answer(&mut self, answer: &Answer, now: Nanos) -> Action {
        if answer.order_id != 0 {
            self.order_id = answer.order_id;
        }
        match (answer.verdict, answer.source) {
            (Verdict::Terminal { executed }, _) => {
                self.executed = self.executed.max(executed);
                if !self.ended() {
                    self.state = State::Ended(End::Terminal(self.executed));
                    self.asked = 0;
                    self.ask_at = now;
                }
            }
            (Verdict::Open { executed }, _) => {
                self.executed = self.executed.max(executed);
                if self.state == State::Wire {
                    self.state = State::Acked;
                }
                if self.orphan {
                    (self.cancel_at, self.orphan) = (now, false);
                } else if self.cancel_at == Nanos::NEVER {
                    // It shows itself, or a replica is behind: in both cases there is no hurry.
                    self.cancel_at = now.plus(CANCEL_AGAIN_NS);
                } else if self.second && !self.hastened {
                    self.hastened = true;
                    self.cancel_at = self.leg.sent.plus(SECOND_STANDS_NS).max(now).min(self.cancel_at);
                }
            }
            // Nothing is there to be cancelled: it filled, or ended, or never came. Only a query can tell.
            (Verdict::NotFound, Source::Cancel) => {
                self.cancel_at = if now < self.unknown_at() { self.unknown_at() } else { Nanos::NEVER };
                self.ask_at = now;
            }
            // A refusal ends the order only if it answers the order itself: a refused *query* says
            // nothing about it.
            (Verdict::Refused(refusal), Source::Answer) if !self.ended() && self.executed == Qty::ZERO => {
                self.state = State::Ended(End::Refused(refusal));
            }
            (Verdict::Unknown(_), Source::Answer) if planted(Bug::UnknownIsNotSent) && !self.ended() => {
                self.state = State::Ended(End::NotSent);
            }
            (Verdict::NotFound, Source::Query) => {
                self.not_found = self.not_found.saturating_add(1);
                if planted(Bug::NotFoundIsDead) && !self.ended() {
                    self.state = State::Ended(End::NeverLanded);
                }
                if now >= self.settles_at || planted(Bug::SettlingForgotten) {
                    // Once two lie apart the next proves no more: what is read after them completes the proof, and
                    // would never be late enough if each search began it anew.
                    let (first, last) = self.lost.unwrap_or((now, now));
                    let enough = last.since(first) >= APART_NS;
                    self.lost = Some((first, if enough { last } else { now }));
                }
            }
            (Verdict::Duplicate | Verdict::Unknown(_) | Verdict::NotFound, Source::Answer)
                if !self.ended() =>
            {
                self.state = State::Unknown;
                self.ask_at = now;
            }
            _ => {}
        }
        self.on_tick(now)
    }

    /// Time passes.
    #[must_use = "the order may want to be asked about"]
    pub fn on_tick(&mut self, now: Nanos) -> Action {
        if now < self.due() {
            return Action::Wait;
        }
        if !self.ended() && now.since(self.leg.sent) >= T_ACK_NS {
            self.state = State::Unknown;
        }
        if !self.ended() && now >= self.cancel_at {
            self.cancel_at = now.plus(CANCEL_AGAIN_NS);
            return Action::Cancel;
        }
        if now < self.ask_at || planted(Bug::NeverAsked) {
            return Action::Wait;
        }
        self.ask_at = now.plus(BACKOFF_NS[usize::from(self.asked).min(BACKOFF_NS.len() - 1)]);
        self.asked = self.asked.saturating_add(1);
        if self.ended() && self.order_id != 0 { Action::FetchTrades } else { Action::Query }
    }

    /// When it is unknown, if it is not over by then.
    fn unknown_at(&self) -> Nanos {
        self.leg.sent.plus(T_ACK_NS)
    }

    /// Whether the *other* leg may be taken back as if this order had never landed (R6, R7): unknown,
    /// nothing of it ever seen, and past its deadline by a second with two queries that found nothing,
    /// or past [`T_ACK_NS`] where nobody answers. No verdict: it stays unknown, and if it proves filled
    /// after all, what it bought is unwound then.
    #[must_use]
    pub fn presumed_dead(&self, window_ns: u64, now: Nanos) -> bool {
        let age = now.since(self.leg.sent);
        let unseen = self.state == State::Unknown && self.executed == Qty::ZERO;
        unseen && (age >= T_ACK_NS || age >= window_ns + SEC && self.not_found >= 2)
    }

    /// Since when the venue's own lists say that it never landed (FAULTS part 4, evidence C, points 1 and
    /// 2): it was never seen, and two queries far enough apart after its settling time found nothing.
    /// What lacks to a proof: no trade of it, and position or balance equal to the books, read later.
    #[must_use]
    pub fn missing(&self) -> Option<Nanos> {
        self.vanished().filter(|_| self.order_id == 0)
    }

    /// As [`Order::missing`], of an order that may have been there: one so old that the venue has forgotten it, had
    /// it ended without a fill (FAULTS F88). What lacks to a proof is the same.
    #[must_use]
    pub fn vanished(&self) -> Option<Nanos> {
        let unfilled = !self.ended() && self.executed == Qty::ZERO;
        self.lost
            .filter(|(first, last)| {
                unfilled && (last.since(*first) >= APART_NS || planted(Bug::OneSearchProves))
            })
            .map(|(_, last)| last)
    }

    /// What lacked to a proof is there: it ends, as [`End::NeverLanded`] or [`End::Unfilled`]. A fill that comes after
    /// all is booked in any state.
    pub fn end_unseen(&mut self, end: End) {
        let proven = match end {
            End::NeverLanded => self.missing(),
            End::Unfilled => self.vanished(),
            End::Terminal(_) | End::Refused(_) | End::NotSent => None,
        };
        if proven.is_some() {
            self.state = State::Ended(end);
        }
    }

    /// When it next wants to be looked at.
    #[must_use]
    pub fn due(&self) -> Nanos {
        match self.state {
            _ if self.closed() => Nanos::NEVER,
            State::Ended(_) => self.ask_at,
            _ => self.ask_at.min(self.cancel_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Counted, Doubt, Made, Refusal, RefusalKind};
    use crate::units::{InstrumentId, LinkId, Price, Side, Unix};
    use proptest::prelude::*;

    fn order() -> Order {
        let leg = FiredLeg {
            client: ClientId(5 << 60),
            instrument: InstrumentId(0),
            side: Side::Buy,
            qty: Qty(10),
            limit: Price(1),
            reduce_only: false,
            stamp: Unix(0),
            handed: None,
            sent: Nanos(0),
            wire: Wire::All,
            made: Made::Prepared,
            link: LinkId(0),
        };
        Order::fired(leg, PairId(0), Class::Entry, 1)
    }

    fn said(verdict: Verdict, source: Source) -> Answer {
        Answer {
            client: ClientId(5 << 60),
            instrument: InstrumentId(0),
            received: Nanos(1),
            verdict,
            order_id: 77,
            counted: Counted::default(),
            source,
        }
    }

    #[test]
    fn a_terminal_answer_without_its_fills_asks_for_the_trades_until_they_are_booked() {
        let mut order = order();
        let answer = said(Verdict::Terminal { executed: Qty(7) }, Source::Answer);
        assert_eq!(order.on_answer(&answer, Nanos(1)), Action::FetchTrades);
        assert!(order.ended() && !order.closed());
        assert_eq!(order.on_tick(Nanos(2)), Action::Wait);
        assert_eq!(order.on_tick(order.due()), Action::FetchTrades);
        order.on_fill(Qty(7));
        assert!(order.closed());
        assert_eq!(order.due(), Nanos::NEVER);
    }

    #[test]
    fn an_order_in_doubt_is_asked_about_at_once_and_then_more_and_more_slowly() {
        let mut order = order();
        let mut at = Nanos(10 * MS);
        assert_eq!(
            order.on_answer(&said(Verdict::Unknown(Doubt::LinkLost), Source::Answer), at),
            Action::Query
        );
        for wait_ms in [100, 200, 400, 800, 1_600] {
            assert_eq!(order.due(), at.plus(wait_ms * MS));
            at = order.due();
            assert_eq!(order.on_tick(at), Action::Query, "{wait_ms} ms later");
        }
        // And every 2 s from then on, beside the cancel of one that is 5 s old.
        assert_eq!(order.due(), at.plus(2 * SEC).min(Nanos(5 * SEC)));
    }

    #[test]
    fn silence_is_asked_about_and_never_judged() {
        let mut order = order();
        assert_eq!(order.on_tick(Nanos(T_SOFT_NS - 1)), Action::Wait);
        assert_eq!(order.on_tick(Nanos(T_SOFT_NS)), Action::Query);
        assert_eq!(order.state, State::Wire, "asking changes nothing");
        assert_eq!(
            order.on_answer(&said(Verdict::NotFound, Source::Query), Nanos(T_SOFT_NS + 1)),
            Action::Wait
        );
        assert_eq!(order.state, State::Wire, "not found proves nothing");
        assert_eq!(order.on_tick(Nanos(T_ACK_NS)), Action::Cancel);
        assert_eq!(order.state, State::Unknown);
        assert_eq!(order.on_tick(Nanos(T_ACK_NS)), Action::Query);
    }

    #[test]
    fn what_is_not_over_after_five_seconds_is_cancelled_and_only_the_venue_ends_it() {
        let not_found = said(Verdict::NotFound, Source::Cancel);
        let mut order = order();
        let _ = order.on_answer(&said(Verdict::Open { executed: Qty::ZERO }, Source::Answer), Nanos(1));
        assert_eq!(order.state, State::Acked);
        let mut cancelled = Vec::new();
        let mut at = Nanos(1);
        while at < Nanos(9 * SEC) {
            at = order.due();
            if order.on_tick(at) == Action::Cancel {
                cancelled.push(at.0);
            }
        }
        assert_eq!(cancelled, [5 * SEC, 7 * SEC, 9 * SEC]);
        assert_eq!(order.state, State::Unknown);
        // Nothing to cancel: asked about at once, and left alone until it shows itself again.
        assert_eq!(order.on_answer(&not_found, at), Action::Query);
        assert!(!order.ended() && order.missing().is_none(), "no end, and no evidence C");
        while at < Nanos(20 * SEC) {
            at = order.due();
            assert_ne!(order.on_tick(at), Action::Cancel);
        }
        let _ = order.on_answer(&said(Verdict::Open { executed: Qty::ZERO }, Source::Query), at);
        let again = at.plus(2 * SEC);
        while at < again {
            at = order.due();
            assert_eq!(order.on_tick(at) == Action::Cancel, at == again);
        }
        let _ = order.on_answer(&said(Verdict::Terminal { executed: Qty(3) }, Source::Cancel), again);
        assert_eq!((order.state, order.closed()), (State::Ended(End::Terminal(Qty(3))), false));
    }

    #[test]
    fn a_repair_that_stands_at_the_venue_is_cancelled_after_a_second_and_no_more_often_than_others() {
        let open = said(Verdict::Open { executed: Qty(4) }, Source::Stream);
        let fired = |class| Order::fired(order().leg, PairId(0), class, 1);
        let cancels = |mut order: Order, answers: &[(u64, Answer)]| {
            let mut cancelled = Vec::new();
            for ms in 1..=9_000 {
                let at = Nanos(ms * MS);
                let heard = answers.iter().filter(|(when, _)| *when == ms);
                let actions: Vec<Action> = heard.map(|(_, answer)| order.on_answer(answer, at)).collect();
                if actions.contains(&Action::Cancel) || order.on_tick(at) == Action::Cancel {
                    cancelled.push(ms);
                }
            }
            cancelled
        };
        let stands: Vec<_> = [2, 310, 1_010, 1_200, 3_100].map(|ms| (ms, open)).into();
        assert_eq!(cancels(fired(Class::Repair), &stands), [1_000, 3_000, 5_000, 7_000, 9_000]);
        assert_eq!(cancels(fired(Class::Entry), &stands), [5_000, 7_000, 9_000]);
        // The leg that waited for the other one's fill: the pair is open since that.
        assert_eq!(cancels(fired(Class::Entry).that_waited(), &stands), [1_000, 3_000, 5_000, 7_000, 9_000]);
        // Nobody says that it is there: it may still come to an end by itself.
        assert_eq!(cancels(fired(Class::Repair), &[]), [5_000, 7_000, 9_000]);
        assert_eq!(cancels(fired(Class::Repair), &[(1_700, open)]), [1_700, 3_700, 5_700, 7_700]);
        // Nothing was there to be cancelled: at five seconds it is unknown, as any order.
        let gone = said(Verdict::NotFound, Source::Cancel);
        assert_eq!(cancels(fired(Class::Repair), &[(2, open), (1_001, gone), (5_001, gone)]), [1_000, 5_000]);
    }

    #[test]
    fn an_open_order_of_a_dead_process_is_cancelled_once_it_is_seen() {
        let fired = order();
        let mut order = Order::found(fired.leg, PairId(0), Class::Entry, 1, 0);
        assert_eq!((order.due(), order.on_tick(fired.leg.sent)), (fired.leg.sent, Action::Query), "at once");
        let open = said(Verdict::Open { executed: Qty::ZERO }, Source::Query);
        assert_eq!(order.on_answer(&open, Nanos(MS)), Action::Cancel);
        assert_ne!(order.on_answer(&open, Nanos(2 * MS)), Action::Cancel, "once");
    }

    #[test]
    fn a_proof_is_not_begun_anew_by_every_further_search() {
        let mut order = order().settling(SEC);
        let lost = said(Verdict::Unknown(Doubt::LinkLost), Source::Answer);
        let _ = order.on_answer(&Answer { order_id: 0, ..lost }, Nanos(MS));
        let searched =
            [(900, None), (1_500, None), (3_400, None), (3_500, Some(3_500)), (5_500, Some(3_500))];
        for (at_ms, proof_ms) in searched {
            let nothing = said(Verdict::NotFound, Source::Query);
            let _ = order.on_answer(&Answer { order_id: 0, ..nothing }, Nanos(at_ms * MS));
            assert_eq!(order.missing(), proof_ms.map(|ms: u64| Nanos(ms * MS)), "{at_ms} ms");
        }
    }

    #[test]
    fn a_refused_query_is_no_refused_order() {
        let mut order = order();
        let refusal = Refusal { code: -1003, kind: RefusalKind::Throttle };
        let _ = order.on_answer(&said(Verdict::Refused(refusal), Source::Query), Nanos(1));
        assert_eq!(order.state, State::Wire);
        let _ = order.on_answer(&said(Verdict::Refused(refusal), Source::Answer), Nanos(1));
        assert_eq!(order.state, State::Ended(End::Refused(refusal)));
    }

    #[test]
    fn presumed_dead_is_late_asked_for_twice_and_no_verdict() {
        let mut order = order();
        let lost = said(Verdict::Unknown(Doubt::LinkLost), Source::Answer);
        let _ = order.on_answer(&Answer { order_id: 0, ..lost }, Nanos(MS));
        let after = Nanos(2 * SEC);
        assert!(!order.presumed_dead(SEC, after), "nobody was asked");
        for _ in 0..2 {
            let _ = order.on_answer(&said(Verdict::NotFound, Source::Query), Nanos(SEC));
        }
        assert!(!order.presumed_dead(SEC, Nanos(2 * SEC - 1)), "it may still be let in");
        assert!(order.presumed_dead(SEC, after));
        assert_eq!(order.state, State::Unknown);
        order.on_fill(Qty(1));
        assert!(!order.presumed_dead(SEC, Nanos(60 * SEC)), "something of it was seen");
    }

    #[test]
    fn never_landed_takes_two_late_searches_far_apart_of_an_order_nobody_ever_saw() {
        let not_found = Answer { order_id: 0, ..said(Verdict::NotFound, Source::Query) };
        let searched = |times: &[u64]| {
            let mut order = order().settling(11 * SEC);
            for at in times {
                let _ = order.on_answer(&not_found, Nanos(*at));
            }
            order
        };
        assert_eq!(searched(&[SEC, 9 * SEC, 10 * SEC]).missing(), None, "too early");
        assert_eq!(searched(&[11 * SEC, 13 * SEC - 1]).missing(), None, "too close together");
        let mut order = searched(&[11 * SEC, 12 * SEC, 13 * SEC]);
        assert_eq!(order.missing(), Some(Nanos(13 * SEC)));
        order.end_unseen(End::NeverLanded);
        assert_eq!(order.state, State::Ended(End::NeverLanded));
        assert!(order.closed());

        let mut seen = searched(&[11 * SEC]);
        let _ = seen.on_answer(&said(Verdict::Open { executed: Qty::ZERO }, Source::Stream), Nanos(12 * SEC));
        let _ = seen.on_answer(&not_found, Nanos(14 * SEC));
        seen.end_unseen(End::NeverLanded);
        assert!(!seen.ended(), "it has an id at the venue: it did land");
        let mut filled = seen;
        seen.end_unseen(End::Unfilled);
        assert_eq!(seen.state, State::Ended(End::Unfilled), "it landed, and nothing of it was executed");
        filled.on_trade(Qty(1));
        filled.end_unseen(End::Unfilled);
        assert!(!filled.ended(), "something of it was executed: the venue does not forget that");
    }

    proptest! {
        /// Whatever comes in whatever order: executed never falls, an end is never left, and an end
        /// needs evidence A or B.
        #[test]
        fn the_order_moves_one_way(events in prop::collection::vec((0u8..7, 0i64..=10, 0usize..3), 0..20)) {
            let mut order = order();
            let mut proven = false;
            for (i, (kind, qty, source)) in events.into_iter().enumerate() {
                let before = order;
                let source = [Source::Query, Source::Answer, Source::Cancel][source];
                let verdict = match kind {
                    0 => Verdict::Terminal { executed: Qty(qty) },
                    1 => Verdict::Open { executed: Qty(qty) },
                    2 => Verdict::Refused(Refusal { code: -2010, kind: RefusalKind::Funds }),
                    3 => Verdict::NotFound,
                    4 => Verdict::Unknown(Doubt::LinkLost),
                    5 => Verdict::Duplicate,
                    _ => { order.on_fill(Qty(qty)); prop_assert!(order.executed >= before.executed); continue; }
                };
                proven |= kind == 0 || (kind == 2 && source == Source::Answer);
                let _ = order.on_answer(&said(verdict, source), Nanos(i as u64 * 400 * MS));
                prop_assert!(order.executed >= before.executed);
                if before.ended() { prop_assert_eq!(order.state, before.state); }
                prop_assert!(!order.ended() || proven);
            }
        }
    }
}
