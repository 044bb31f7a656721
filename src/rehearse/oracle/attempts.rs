//! I2: of one leg of one intent, never two attempts alive, and never more opened than one was for. (What
//! closes is bounded by what is held: I9.)
//!
//! Owns:  that check at each arrival and each fill.
//! Never: asks why an attempt was repeated; `ending` asks for its evidence.

use super::super::Witnessed;
use super::facts::{Id, Order};
use super::{Broken, Oracle, about, broken};
use crate::sim::{Market, Seen};

impl Oracle {
    pub(super) fn attempts(&mut self, witnessed: &Witnessed) -> Result<(), Broken> {
        let Some(id) = about(&witnessed.seen).and_then(Id::read) else { return Ok(()) };
        match &witnessed.seen {
            Seen::Arrived(_) => {
                let later = self.attempts_of(id).find(|it| it.id.attempt > id.attempt);
                match later.filter(|it| it.wire < witnessed.at) {
                    Some(later) => Err(broken(
                        2,
                        format!("{id:?} arrived after its attempt {} had left", later.id.attempt),
                    )),
                    None => Ok(()),
                }
            }
            Seen::Filled(fill) => {
                if fill.buys == (fill.market == Market::Usdm) {
                    return Ok(());
                }
                let same_side = |it: &&Order| it.arrived.buys == fill.buys;
                let executed: i64 = self.attempts_of(id).filter(same_side).map(|it| it.executed).sum();
                let most = self.attempts_of(id).filter(same_side).filter_map(|it| it.arrived.qty).max();
                let executed = executed + fill.qty;
                if most.is_some_and(|most| executed > most) {
                    let why = format!("all attempts of the leg of {id:?} executed {executed} of {most:?}");
                    return Err(broken(2, why));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Every attempt of the same leg of the same intent.
    fn attempts_of(&self, id: Id) -> impl Iterator<Item = &Order> {
        // Attempts are the lowest four bits.
        let first = id.number & !0xf;
        self.facts.orders.range(first..=first | 0xf).map(|(_, order)| order)
    }
}
