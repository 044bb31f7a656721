//! How a repair goes: its pace, its size, its collar, and whom it alarms (R9, R11).
//!
//! Owns:  what follows from a refused repair, and the timers `T_repair`, `T_window`, `T_hard`.
//! Never: gives a repair up; past its time it goes on once a second, inside the budget.
//! Why:   a venue that refuses is asked again later, smaller or on other terms, never harder.

use super::completing::Completion;
use super::{Book, Shadow};
use crate::desk::pair::{BASE_UNIT, in_lots, least_unwind};
use crate::event::{Closed, End, Forced, PairState, Record, RefusalKind, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::{MS, SEC};
use crate::units::{Amount, Class, ClientId, LegKind, Nanos, PairId, Qty, Side};
use std::sync::Arc;

/// Collars of successive unwinds, in parts per million (FAULTS 6f: 0.2 %, 0.5 %, 2 %, 5 %).
const COLLARS_PPM: [u32; 4] = [2_000, 5_000, 20_000, 50_000];
/// Where they begin when the venue itself took a leg away: stress.
const STRESS: u32 = 2;
/// Wait before the first repeated unwind; doubles with each attempt, up to [`SLOW_NS`] (R9).
const RETRY_NS: u64 = 50 * MS;
/// The slowest pace of repairs.
const SLOW_NS: u64 = SEC;
/// After a throttle that names no time.
const THROTTLED_NS: u64 = 2 * SEC;
/// Out of bound so long: a person hears of it.
const T_REPAIR_NS: u64 = 3 * SEC;
/// Out of bound so long: HALTED.
const T_WINDOW_NS: u64 = 8 * SEC;
/// Out of bound so long: a person hears of it again, and then every minute.
const T_HARD_NS: u64 = 30 * SEC;
const EVERY_NS: u64 = 60 * SEC;
/// What is left counts as dust once every quote has said so for so long: one may be far off (F39).
const T_DUST_NS: u64 = 2 * SEC;
/// A repair refused for want of funds is halved so often at most.
const HALVED_MAX: u8 = 4;

/// How the present repair of a pair goes.
#[derive(Debug, Default)]
pub(super) struct Mending {
    /// What the venue did by itself, if that is what is put right.
    pub(super) forced: Option<Forced>,
    /// Unwinds that left.
    tries: u32,
    /// How often the size was halved.
    halved: u8,
    /// Since when the pair is known to be out of bound.
    since: Option<Nanos>,
    /// How long it had been so when a person was told last.
    told_ns: u64,
    /// Since when what is left is less than any leg can trade.
    dust_since: Option<Nanos>,
    /// Why an unwind could not leave, as told last.
    declined: Option<Closed>,
    /// Unwinds that were refused.
    refused: u32,
    /// One was refused for its limit: the next ones keep to the edge of the band, and to what is visible.
    pub(super) banded: bool,
    /// The last one met nobody.
    pub(super) missed: bool,
    /// The completion of this intent.
    pub(super) completion: Completion,
}

impl Mending {
    /// A send round left: an intent of the trader's begins anew, an unwind is one try more.
    pub(super) fn on_fired(&mut self, class: Class, second: bool, completes: Option<ClientId>) {
        if let Some(client) = completes {
            self.completion = Completion::Left(client);
        } else if class == Class::Repair {
            self.tries += 1;
            self.declined = None;
        } else if !second {
            *self = Self { forced: self.forced, ..Self::default() };
        }
    }

    /// Known to be out of bound.
    pub(super) fn broken(&mut self, now: Nanos) {
        self.since.get_or_insert(now);
    }

    /// Whether it is.
    pub(super) fn is_broken(&self) -> bool {
        self.since.is_some()
    }

    /// Known to be within bound.
    pub(super) fn sound(&mut self) {
        (self.since, self.told_ns) = (None, 0);
    }

    /// Takes in whether what is left is less than any leg can trade, as the present quote has it; whether it is dust.
    pub(super) fn is_dust(&mut self, little: bool, now: Nanos) -> bool {
        self.dust_since = little.then(|| self.dust_since.unwrap_or(now));
        self.dust_since.is_some_and(|since| now.since(since) >= T_DUST_NS)
    }

    /// How far past the touch the next unwind may go, in parts per million.
    pub(super) fn collar_ppm(&self) -> u32 {
        let step = self.tries + if self.forced.is_some() { STRESS } else { 0 };
        COLLARS_PPM[(step as usize).min(COLLARS_PPM.len() - 1)]
    }

    /// Whether no more may leave at once than is visible: what the venue did leaves a size that nobody chose
    /// for this book.
    pub(super) fn sliced(&self) -> bool {
        self.forced.is_some() || self.banded
    }

    /// Whether unwinding gets nowhere: refused so often, or begun and not done for so long.
    pub(super) fn stuck(&self, refusals: u32, ns: u64, now: Nanos) -> bool {
        self.refused >= refusals || self.tries > 0 && self.age_ns(now) >= ns
    }

    fn age_ns(&self, now: Nanos) -> u64 {
        self.since.map_or(0, |since| now.since(since))
    }
}

impl Book {
    /// When the next unwind may leave after one of which nothing came, or that could not leave.
    fn wait(&mut self, at_least_ns: u64, now: Nanos) {
        let late = self.mending.age_ns(now) >= T_HARD_NS;
        let backoff = RETRY_NS << self.mending.tries.saturating_sub(1).min(5);
        let ns = if late { SLOW_NS } else { backoff.min(SLOW_NS) };
        self.retry_at = now.plus(ns.max(at_least_ns));
    }
}

impl Shadow {
    /// A repair could not leave.
    pub(super) fn on_declined(&mut self, pair: PairId, why: Closed, now: Nanos) {
        let name = self.instruments.pair(pair).name;
        let Some(book) = self.books.get_mut(usize::from(pair.0)) else { return };
        book.asked = None;
        if book.mending.completion == Completion::Asked {
            // It would have to be good at once: there is no second one.
            book.mending.completion = Completion::Declined;
            let text = format!(
                "pair {name}: the missing leg was not tried again ({}); the other is unwound",
                why.text()
            );
            self.write(Record::Note { at: self.clock.unix(), text });
            self.settle(pair, now);
            return;
        }
        let slow = book.mending.age_ns(now) >= T_REPAIR_NS;
        book.retry_at = now.plus(if slow { SLOW_NS } else { RETRY_NS });
        if book.mending.declined.replace(why) != Some(why) {
            let text = format!("pair {name}: an unwind could not leave ({}); asked again", why.text());
            self.write(Record::Note { at: self.clock.unix(), text });
        }
    }

    /// An order ended. After a repair of which nothing came the next one waits, a little longer each time.
    pub(super) fn on_end(&mut self, client: ClientId, end: End, now: Nanos) {
        let Some(tracked) = self.orders.get(&client) else { return };
        let (pair, class, whole) = (tracked.order.pair, tracked.order.class, tracked.order.leg.qty);
        let instrument = tracked.order.leg.instrument;
        let refused = if let End::Refused(refusal) = end { Some(refusal.kind) } else { None };
        if refused == Some(RefusalKind::Funds) {
            // There is less than the books say, or more is tied up: the account is read (F54).
            self.recheck(instrument, now);
        }
        if class != Class::Entry && refused == Some(RefusalKind::ReduceOnly) {
            self.doubt_position(pair, now);
        }
        let book = &mut self.books[usize::from(pair.0)];
        if matches!(class, Class::Exit | Class::Flatten) {
            match end {
                End::Refused(_) => book.weighing.on_kept_in(now),
                End::Terminal(executed) if executed > Qty::ZERO => book.weighing.on_way_out(),
                _ => {}
            }
        }
        if class != Class::Repair || book.mending.completion == Completion::Left(client) {
            book.retry_at = now;
            return;
        }
        if let End::Terminal(executed) = end
            && executed > Qty::ZERO
        {
            book.mending.halved = 0;
            if executed == whole {
                // A slice that went through at its price is no reason to pay more for the next.
                book.mending.tries = book.mending.tries.saturating_sub(1);
            }
            return;
        }
        book.mending.refused += u32::from(refused.is_some());
        let at_least_ns = match refused {
            Some(RefusalKind::Throttle) => THROTTLED_NS,
            Some(RefusalKind::ReduceOnly) => SLOW_NS,
            _ => 0,
        };
        book.wait(at_least_ns, now);
        if planted(Bug::RefusalEndsRepair) {
            book.retry_at = Nanos::NEVER;
        }
        book.mending.banded |= refused == Some(RefusalKind::Band);
        book.mending.missed = refused.is_none();
        // The band moves with its reference: one that met nobody may have kept to an edge of long ago, or of a mark
        // that is off.
        if refused == Some(RefusalKind::Band) || book.mending.missed {
            self.doubt_band(instrument, now);
            return;
        }
        if refused == Some(RefusalKind::Funds) {
            book.mending.halved = (book.mending.halved + 1).min(HALVED_MAX);
        }
    }

    /// The venue would not reduce a position: it is smaller than believed, so it is asked for before
    /// anything else (F68).
    fn doubt_position(&mut self, pair: PairId, now: Nanos) {
        let name = self.instruments.pair(pair).name;
        let book = &mut self.books[usize::from(pair.0)];
        if book.frozen.is_none() {
            let why = format!(
                "pair {name}: the venue refused to reduce a position; it is smaller than booked, or gone; no new entries until a person has looked at the account"
            );
            book.frozen = Some(why.clone());
            self.alert(why);
        }
        self.recheck_position(pair, now);
    }

    /// The size of the next unwind. Where the venue said that there is not as much: what its wallet was found to
    /// hold, if that is less; half, if it is not.
    pub(super) fn sized(&self, at: usize, leg: LegKind, side: Side, qty: Qty, now: Nanos) -> Qty {
        let book = &self.books[at];
        let row = self.instruments.leg(book.pair, leg);
        let sells_coins = leg == LegKind::Spot && side == Side::Sell && book.mending.halved > 0;
        let free = self.in_wallet(lane(row.venue, leg), row.base, now).filter(|_| sells_coins);
        let free = free.map(|free| in_lots(free.0.max(0), row, Amount(BASE_UNIT)));
        let cut = free.filter(|free| *free < qty.0).unwrap_or(qty.0 >> book.mending.halved);
        let quote = book.pulse.and_then(|pulse| pulse.quotes[leg as usize]);
        let least = quote.and_then(|quote| least_unwind(row, quote.bid)).unwrap_or(qty.0);
        Qty((cut - cut % row.lot.0).max(least).min(qty.0))
    }

    /// Looks at the clocks of all pairs that are out of bound.
    pub(super) fn tick_mending(&mut self, now: Nanos) {
        for at in 0..self.books.len() {
            let book = &self.books[at];
            let (age, told) = (book.mending.age_ns(now), book.mending.told_ns);
            if age < T_REPAIR_NS || !matches!(book.state, PairState::Busy | PairState::Unknown) {
                continue;
            }
            let due = [T_REPAIR_NS, T_WINDOW_NS, T_HARD_NS].into_iter().find(|due| told < *due);
            if age < due.unwrap_or(told + EVERY_NS) {
                continue;
            }
            let instruments = Arc::clone(&self.instruments);
            let row = instruments.pair(book.pair);
            let price = book.mark.map_or_else(String::new, |mark| {
                let decimals = instruments.get(row.perp).price_decimals;
                format!(" at {}", crate::units::decimal::Text(i128::from(mark.mark.0), decimals))
            });
            let text = format!(
                "pair {}: {} {}{price} unhedged for {} s; still being put right",
                row.name,
                book.holding.exposure(),
                row.name,
                age / SEC
            );
            self.books[at].mending.told_ns = age;
            self.alert(text.clone());
            if age >= T_WINDOW_NS {
                self.halt(text, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_quote_that_is_far_off_makes_no_dust() {
        let mut mending = Mending::default();
        let mut at = |little, ms| mending.is_dust(little, Nanos(ms * MS));
        assert!(!at(true, 100) && !at(true, 2_099));
        assert!(at(true, 2_100) && at(true, 9_000));
        assert!(!at(false, 9_100) && !at(true, 9_200));
        assert!(at(true, 11_200));
    }
}
