//! How far a run has come, and how it ends: no new entries, what is open resolved, the journal durable.
//!
//! Owns:  [`Phase`], and when a run is over.
//! Never: ends a run whose last record is not durable.

use super::Shadow;
use crate::event::{Mode, PairState, Record};
use crate::metal::crash;
use crate::units::time::SEC;
use crate::units::{Nanos, VenueId};

/// How long a stop waits for orders in doubt and open repairs (FAULTS F117).
const STOP_WAIT_NS: u64 = 15 * SEC;

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Feeds and clocks are still being brought up.
    Starting,
    /// They are up; the books are being held against the venue's. Repairs only.
    Recovering(VenueId),
    /// Trading since.
    Trading(Nanos),
    /// No new entries; resolving what is open, since.
    Stopping(Nanos),
    /// The last record is written; waiting for it to be durable.
    Closing,
    /// Done.
    Over,
}

impl Shadow {
    /// Whether the run should end, and what remains to be done before it has.
    pub(super) fn phase(&mut self, now: Nanos) {
        match self.phase {
            Phase::Starting | Phase::Recovering(_) if self.stop.is_set() => {
                self.begin_stop(now, "told to stop before trading");
            }
            Phase::Recovering(venue) if self.recovered() => {
                crash::point("K15j");
                self.phase = Phase::Trading(now);
                self.permit_due = now;
                self.ended.live_at = Some(now);
                self.tell_live(crate::venue::get(venue).name);
            }
            Phase::Trading(since) => {
                let over = self.settings.run_for_ns.is_some_and(|ns| now.since(since) >= ns);
                let enough = self.settings.until_round_trips.is_some_and(|n| self.totals.closed >= n);
                if self.stop.is_set() {
                    self.begin_stop(now, "told to stop");
                } else if over {
                    self.begin_stop(now, "the time set for this run is over");
                } else if enough {
                    self.begin_stop(now, "the round trips asked for are done");
                }
            }
            Phase::Stopping(since) => {
                let busy = self.flattening()
                    || !self.orders.is_empty()
                    || self.income_pending(now)
                    || self.fees_pending()
                    || self.books.iter().any(|book| book.state.is_open());
                if !busy || now.since(since) > STOP_WAIT_NS {
                    self.tell_unread(now);
                    self.ended.open = self.left_open();
                    let open = self.ended.open.clone();
                    self.write(Record::Stop { at: self.clock.unix(), open });
                    self.phase = Phase::Closing;
                    crash::point("K19b");
                }
            }
            Phase::Closing if self.backlog.is_empty() && self.doors.durable.read()[0] >= self.written => {
                self.free_slots();
                self.ended.at = now;
                self.phase = Phase::Over;
                crash::point("K19c");
                self.done.set();
            }
            _ => {}
        }
    }

    /// Whether every book is the venue's, and every pair in bound or beyond our help for now.
    fn recovered(&self) -> bool {
        let helpless = self.mode() == Mode::Killed;
        let settled = |book: &super::Book| {
            helpless || !book.state.is_open() || book.state == PairState::Quarantined || book.frozen.is_some()
        };
        // An entry is held against what there is: whoever may send one knows it first.
        let known = helpless || self.knows_wallets();
        let whole = self.streams.missing.is_none() && self.books.iter().all(settled);
        !self.needs_account() || (whole && known)
    }

    pub(super) fn begin_stop(&mut self, now: Nanos, why: &str) {
        if !matches!(self.phase, Phase::Starting) {
            self.read_payments_once_more(now);
        }
        self.phase = Phase::Stopping(now);
        self.write(Record::Mode { at: self.clock.unix(), mode: self.mode().name(), why: why.to_owned() });
        for at in 0..self.books.len() {
            self.publish_terms(at, now);
        }
        crash::point("K19a");
    }
}
