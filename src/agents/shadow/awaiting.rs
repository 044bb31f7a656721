//! The leg that waits for another's fill, where the private stream or a query proves that fill before its answer.
//!
//! Owns:  telling the trader what the first leg came to, once.
//! Never: tells what is not proven by evidence A and booked to the last unit, or sends the leg itself.
//! Why:   a spot order's fill reaches the trader by its answer alone; one that takes its time would leave the other
//!        leg uncovered for all of it, though we know better.

use super::Shadow;
use crate::desk::order::State;
use crate::event::{Command, End};

impl Shadow {
    /// Looks whether the trader waits for what is known here.
    pub(super) fn tell_proven(&mut self, at: usize) {
        let book = &self.books[at];
        if !book.awaiting || book.proven {
            return;
        }
        let mine = |order: &crate::desk::order::Order| {
            order.pair == book.pair && order.sequence == book.sequence && order.closed()
        };
        let Some(first) = self.orders.values().find(|tracked| mine(&tracked.order)) else { return };
        let State::Ended(End::Terminal(executed)) = first.order.state else { return };
        let (pair, client, net) = (book.pair, first.order.client(), first.net);
        // A full ring: told at the next tick.
        self.books[at].proven =
            self.doors.commands.push(Command::Proven { pair, client, executed, net }).is_ok();
    }
}
