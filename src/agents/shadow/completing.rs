//! When the missing leg of an entry is tried once more instead of unwinding the other (R1–R3, R9).
//!
//! Owns:  rule (c) of FAULTS part 6 but for what only the trader sees: quotes and their freshness.
//! Never: completes twice in one intent, while the end of any order of the pair is unproven or proven
//!        by evidence C alone, or where an entry could not begin.

use super::{Shadow, Tracked};
use crate::desk::complete::{completion, missing_leg, worst};
use crate::desk::order::State;
use crate::desk::pair::{BASE_UNIT, Holding, Next, in_lots, smallest_trade};
use crate::event::{Command, End, Fired, Instruments, RefusalKind};
use crate::metal::crash;
use crate::units::time::{MS, SEC};
use crate::units::{Amount, Class, ClientId, Direction, LegKind, Nanos, Qty};
use std::sync::Arc;

/// How soon a missing leg is tried again. Counted from the first byte of the entry's last leg: no leg
/// ended before that, whenever its end was heard of.
const SOON_NS: u64 = 300 * MS;
/// An unwind that did not go through for so long, or was refused so often: the other side is taken (R9).
const STUCK_NS: u64 = 2 * SEC;
const STUCK_REFUSALS: u32 = 3;

/// The one completion that an intent may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Completion {
    /// Not asked for.
    #[default]
    Open,
    /// The trader was asked.
    Asked,
    /// It left, under this id.
    Left(ClientId),
    /// The trader declined.
    Declined,
}

/// The order of a send round that completes an entry, if it is one.
pub(super) fn completes(fired: &Fired, instruments: &Instruments) -> Option<ClientId> {
    let leg = fired.legs[0].filter(|_| fired.class == Class::Repair)?;
    let opening = fired.direction.opening(instruments.get(leg.instrument).leg);
    (leg.side == opening).then_some(leg.client)
}

impl Shadow {
    /// Whether this pair's cure is a completion: asked for now, or to be once its fills are booked.
    pub(super) fn complete(&mut self, at: usize, proven: Holding, next: Next, now: Nanos) -> bool {
        let Some((command, leg, booked)) = self.completion(at, proven, next, now) else { return false };
        if !booked {
            return true;
        }
        let lane = self.lane_of(self.books[at].pair, leg);
        if !self.lanes[lane].may_repair(now) || self.doors.commands.push(command).is_err() {
            return false;
        }
        let book = &mut self.books[at];
        book.asked = Some(now);
        book.repaired = true;
        book.mending.completion = Completion::Asked;
        crash::point("K16a");
        true
    }

    /// The completion that is legal now, its leg, and whether every fill is booked.
    fn completion(
        &self,
        at: usize,
        proven: Holding,
        next: Next,
        now: Nanos,
    ) -> Option<(Command, LegKind, bool)> {
        let book = &self.books[at];
        let instruments = Arc::clone(&self.instruments);
        let row = instruments.pair(book.pair);
        let entries = self.may_trade()
            && !self.flattening()
            && ![row.spot, row.perp].iter().any(|id| self.is_frozen(instruments.get(*id).venue, now));
        let shut = self.shut_why(book.pair).is_some();
        let sound = book.frozen.is_none() && !shut && !book.late && book.mending.forced.is_none();
        let free =
            book.mending.completion == Completion::Open && book.asked.is_none() && now >= book.retry_at;
        if !entries || !sound || !free || book.began_as != Class::Entry {
            return None;
        }
        let mut legs: [Option<&Tracked>; 2] = [None; 2];
        let mut booked = true;
        for tracked in self.orders.values().filter(|it| it.order.pair == book.pair) {
            let order = &tracked.order;
            let by_absence = matches!(order.state, State::Ended(End::NeverLanded | End::Unfilled));
            if !order.ended() || by_absence {
                return None;
            }
            booked &= order.closed();
            if order.class == Class::Entry && order.sequence == book.sequence {
                legs[instruments.get(order.leg.instrument).leg as usize] = Some(tracked);
            }
        }
        let [Some(spot), Some(perp)] = legs else { return None };
        let direction = [Direction::Short, Direction::Long]
            .into_iter()
            .find(|direction| direction.opening(LegKind::Spot) == spot.order.leg.side)?;
        let exposure = proven.exposure();
        let leg = missing_leg(exposure, direction)?;
        let lacking = legs[leg as usize]?;
        // A market that refused for funds, rights, filters or its state would refuse again.
        let tries = match lacking.order.state {
            State::Ended(End::Terminal(_) | End::NotSent) => true,
            State::Ended(End::Refused(refusal)) => refusal.kind == RefusalKind::Overload,
            _ => false,
        };
        // R3: what is too small to be sold by itself would take good coins with it. R4: the coins that would be left,
        // those of earlier clips among them, could not be sold.
        let coins = instruments.get(row.spot);
        let small = match next {
            Next::Dust | Next::Unpriced => true,
            Next::Unwind { leg: LegKind::Spot, qty, .. } => {
                Amount::of(qty, coins.qty_decimals).0 > exposure.0.abs()
            }
            Next::Unwind { leg: LegKind::Perp, .. } => {
                let held = in_lots(proven.spot.0.abs(), coins, Amount(BASE_UNIT));
                smallest_trade(coins, spot.decided).is_some_and(|least| held < least)
            }
            Next::Settled { .. } => false,
        };
        let soon = spot.order.leg.sent.max(perp.order.leg.sent).plus(SOON_NS);
        let early = now <= soon && (small || lacking.order.executed == Qty::ZERO);
        let stuck = book.mending.stuck(STUCK_REFUSALS, STUCK_NS, now);
        if !tries || !(early || stuck && booked) {
            return None;
        }
        let missing = Qty(lacking.order.leg.qty.0 - lacking.order.executed.0);
        let qty = completion(&instruments, book.pair, leg, exposure, missing, lacking.decided)?;
        let command = Command::Complete {
            pair: book.pair,
            last: (book.sequence, book.attempt),
            leg,
            side: direction.opening(leg),
            qty,
            worst: worst(lacking.decided, direction, leg),
            until: if early { soon } else { now.plus(SOON_NS) },
        };
        Some((command, leg, booked))
    }
}
