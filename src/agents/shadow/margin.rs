//! The margin of every pair on a venue that liquidated one (R15): read once, and told worst first.
//!
//! Owns:  asking for it until it is read, and the alert.
//! Never: closes a pair for it: after a liquidation the engine is HALTED, and a person decides.
//! Limit: on this venue spot is no collateral, so nothing here shrinks with it.

use super::{Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::event::{Headers, market_of};
use crate::units::decimal::short;
use crate::units::time::SEC;
use crate::units::{Amount, Nanos};
use crate::venue;
use crate::venue::audit::Margin;

/// No answer, or none that can be read, for so long: asked again.
const AGAIN_NS: u64 = SEC;

impl Shadow {
    /// The margin of this market's positions is to be read.
    pub(super) fn doubt_margin(&mut self, of_lane: usize, now: Nanos) {
        self.margins.insert(of_lane, now);
    }

    /// Asks for what is due.
    pub(super) fn tick_margin(&mut self, now: Nanos) {
        let due = self.margins.iter().find(|(_, due)| **due <= now).map(|(of_lane, _)| *of_lane);
        let Some(of_lane) = due else { return };
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        let audit = &venue::get(market_of(of_lane).0).audit;
        let ask = (audit.margin)(&key, stamp, self.settings.recv_window_ms);
        if !self.couriers.contains_key(&of_lane) || !self.may_ask(of_lane, Line::Reserve, ask.weight, now) {
            return;
        }
        self.margins.insert(of_lane, now.plus(AGAIN_NS));
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::Margin(of_lane), ask);
        }
    }

    pub(super) fn on_margin(&mut self, of_lane: usize, mut letter: Letter<Question>, now: Nanos) {
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        let venue = venue::get(market_of(of_lane).0);
        let symbols = self.symbols_of(of_lane);
        match (venue.audit.read_margin)(&mut letter.body, &symbols) {
            Ok(margin) if self.margins.remove(&of_lane).is_some() => {
                let text = margin_text(venue.name, margin);
                self.alert(text);
            }
            // Asked twice, and told already.
            Ok(_) => {}
            Err(error) => self.tell_once(format!("the margin could not be read ({error}); asked again")),
        }
    }
}

fn margin_text(venue: &str, mut margin: Margin) -> String {
    margin.positions.sort_by_key(|row| std::cmp::Reverse(row.needed));
    let text = |amount: Amount| short(amount.0, Amount::SCALE);
    let rows: Vec<String> =
        margin.positions.iter().map(|row| format!("{} {}", row.symbol, text(row.needed))).collect();
    let rows = if rows.is_empty() { "no position is left".to_owned() } else { rows.join(", ") };
    let ppm = margin.needed.0.saturating_mul(1_000) / margin.balance.0.max(1);
    format!(
        "{venue}: {} of {} margin is needed ({}.{} %), by position: {rows}; at 100 % the venue closes them: add margin, \
         or `contango ctl flatten`",
        text(margin.needed),
        text(margin.balance),
        ppm / 10,
        ppm % 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::audit::MarginRow;

    #[test]
    fn the_worst_position_is_named_first_with_the_share_of_the_whole() {
        let amount = |text: &str| Amount::parse(text.as_bytes()).unwrap();
        let row = |symbol: &str, needed: &str| MarginRow {
            instrument: None,
            symbol: symbol.to_owned(),
            needed: amount(needed),
        };
        let positions = vec![row("SOLUSDT", "6.25"), row("BTCUSDT", "12.5")];
        let margin = Margin { balance: amount("250"), needed: amount("18.75"), positions };
        let text = margin_text("binance", margin);
        assert!(
            text.starts_with(
                "binance: 18.75 of 250 margin is needed (7.5 %), by position: BTCUSDT 12.5, SOLUSDT 6.25;"
            ),
            "{text}"
        );
        let none = Margin { balance: Amount::ZERO, needed: Amount::ZERO, positions: Vec::new() };
        assert!(margin_text("binance", none).contains("(0.0 %), by position: no position is left"));
    }
}
