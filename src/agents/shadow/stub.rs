//! What is held and can't be left: a position whose spot part is below what the venue takes.
//!
//! Owns:  which positions are such stubs, and what is said of them.
//! Never: offers the trader an exit that its spot leg could not follow: the perp's reduce-only order is exempt
//!        from the minimum notional, the spot order is not, so an exit would leave coins that stand alone.
//! Why:   a partly filled entry leaves one where the missing part could not be had at once (R4, R5). It is
//!        hedged, so it waits: the pair's next entry makes it large enough to be left, or a better price does.

use super::{Book, Shadow};
use crate::desk::pair::smallest_trade;
use crate::event::{Instruments, PairState};
use crate::units::LegKind;

impl Book {
    /// Whether what is held could not be left at the present price; without a quote that is not known.
    pub(super) fn is_stub(&self, instruments: &Instruments) -> bool {
        let Some((held, quotes)) = self.held.zip(self.pulse.map(|pulse| pulse.quotes)) else { return false };
        let least = quotes[LegKind::Spot as usize]
            .and_then(|quote| smallest_trade(instruments.leg(self.pair, LegKind::Spot), quote.bid));
        least.is_some_and(|least| held.spot.0 < least)
    }
}

impl Shadow {
    /// Whether what this pair holds could not be left now.
    pub(super) fn is_stub(&self, at: usize) -> bool {
        self.books[at].is_stub(&self.instruments)
    }

    /// Pairs of which nothing is left that could be closed.
    pub(super) fn is_closed(&self, at: usize) -> bool {
        match self.books[at].state {
            PairState::Flat => true,
            PairState::Hedged => self.is_stub(at),
            _ => false,
        }
    }

    /// What a person reads of a stub.
    pub(super) fn stub_why(&self, at: usize) -> Option<String> {
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        self.is_stub(at).then(|| {
            format!(
                "the {} {} that it holds are less than the venue lets anybody trade; hedged as they are, they stay until an \
                 entry adds to them or the price has risen",
                book.holding.spot, row.name
            )
        })
    }

    /// What a flattening could not close, for the reason it ends with; empty if it closed all.
    pub(super) fn stubs_told(&self) -> String {
        let stubs = (0..self.books.len()).filter_map(|at| {
            Some(format!("; {}: {}", self.instruments.pair(self.books[at].pair).name, self.stub_why(at)?))
        });
        stubs.collect()
    }
}
