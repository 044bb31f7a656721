//! Leverage brackets: how much margin the venue wants kept for a perp, by size (FAULTS F104).
//!
//! Owns:  reading them at the start and every hour, which perps ask for more than all are reckoned with, and what of
//!        those that are held comes on top.
//! Never: lets an entry leave while they are not known; a venue that does not tell them at all is told of, and every
//!        perp is then reckoned with the share of `Caps`.
//! Limit: the venue's deduction for lower brackets is left out, so a high bracket counts a little dearer than it is.

use super::{Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::desk::ledger::worth;
use crate::desk::pair::base_of;
use crate::desk::risk::PPM;
use crate::event::{Headers, market_of};
use crate::units::time::SEC;
use crate::units::{Amount, InstrumentId, LegKind, Nanos};
use crate::venue;
use crate::venue::BadBody;
use crate::venue::audit::Bracket;
use std::collections::BTreeMap;

const EVERY_NS: u64 = 3_600 * SEC;
/// No answer, or none that can be read, for so long: asked again.
const AGAIN_NS: u64 = 5 * SEC;

/// The brackets as last read.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    of: BTreeMap<InstrumentId, Vec<Bracket>>,
    /// They were read, or the venue said that it does not tell them.
    known: bool,
    due: Nanos,
}

impl Brackets {
    /// The largest share that a position of this notional, or of less, must keep, in parts per million.
    fn ppm(&self, id: InstrumentId, notional: Amount) -> i128 {
        let reached = self.of.get(&id).into_iter().flatten().filter(|bracket| bracket.from <= notional);
        reached.map(|bracket| i128::from(bracket.maintenance_ppm)).max().unwrap_or(0)
    }
}

impl Shadow {
    /// Asks for them when that is due.
    pub(super) fn tick_brackets(&mut self, now: Nanos) {
        let Some(of_lane) = self.perp_lane().filter(|_| now >= self.brackets.due) else { return };
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        let audit = &venue::get(market_of(of_lane).0).audit;
        let ask = (audit.brackets)(&key, stamp, self.settings.recv_window_ms);
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, Line::Normal, ask.weight, now) {
            return;
        }
        self.brackets.due = now.plus(AGAIN_NS);
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::Brackets(of_lane), ask);
        }
    }

    pub(super) fn on_brackets(&mut self, of_lane: usize, mut letter: Letter<Question>, now: Nanos) {
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let symbols = self.symbols_of(of_lane);
        let venue = venue::get(market_of(of_lane).0);
        match (venue.audit.read_brackets)(&mut letter.body, &symbols) {
            Ok(rows) => {
                let mut of = BTreeMap::<InstrumentId, Vec<Bracket>>::new();
                for row in rows {
                    of.entry(row.instrument).or_default().push(row);
                }
                self.brackets = Brackets { of, known: true, due: now.plus(EVERY_NS) };
            }
            Err(BadBody::Code { .. }) if letter.status < 429 => {
                self.brackets.known = true;
                self.brackets.due = now.plus(EVERY_NS);
                self.tell_once(format!(
                    "{} does not tell its leverage brackets; every perp is reckoned with {} % of maintenance margin",
                    venue.name,
                    percent(self.settings.caps.maintenance_ppm)
                ));
            }
            Err(error) => {
                self.tell_once(format!("the leverage brackets could not be read ({error}); asked again"))
            }
        }
    }

    /// What a position of this notional must keep beyond the share that all are reckoned with, once the shock that
    /// an account must survive has made it larger.
    pub(super) fn dear_margin(&self, id: InstrumentId, notional: Amount) -> Amount {
        let more = self.shocked_ppm(id, notional) - self.settings.caps.maintenance_ppm;
        Amount(notional.0.saturating_mul(more.max(0)) / PPM)
    }

    /// The share that a position of this notional must keep once that shock is over it, in parts per million.
    fn shocked_ppm(&self, id: InstrumentId, notional: Amount) -> i128 {
        let shocked = notional.0.saturating_mul(PPM + self.settings.caps.stress_ppm) / PPM;
        self.brackets.ppm(id, Amount(shocked))
    }

    /// Why the brackets keep a pair from growing by a clip, in words; `None`: they do not.
    pub(super) fn too_dear(&self, at: usize) -> Option<String> {
        if !self.needs_account() {
            return None;
        }
        if !self.brackets.known {
            return Some("the leverage brackets are not known yet".to_owned());
        }
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        let perp = self.instruments.get(row.perp);
        let price = book.mark.map(|mark| mark.mark)?;
        let base = Amount(
            book.holding.perp.0.abs() + base_of(book.clip[LegKind::Perp as usize], perp, row.size_factor).0,
        );
        let notional =
            Amount(worth(base, price, perp.price_decimals).0 / i128::from(row.price_factor.max(1)));
        let (ppm, all) = (self.shocked_ppm(perp.id, notional), self.settings.caps.maintenance_ppm);
        (ppm > all).then(|| {
            format!(
                "the venue wants {} % of maintenance margin for {} at that size; more than {} % is not entered",
                percent(ppm),
                perp.symbol,
                percent(all)
            )
        })
    }
}

/// Parts per million as percent with two decimals, rounded up.
fn percent(ppm: i128) -> String {
    crate::units::decimal::Text((ppm + 99) / 100, 2).to_string()
}
