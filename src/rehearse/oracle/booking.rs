//! Each record as it is written: booked fills and ends of orders against the truth.
//!
//! Owns:  I3 (what is booked was made, or paid, once), I12 (an end has its evidence and is true), I14 (an end is final).
//! Never: waits for the end of a session with what can be told at once.

use super::super::Witnessed;
use super::books::{End, Wrote};
use super::facts::{E10, Id, ONE};
use super::{Broken, Oracle, broken, name_of};
use crate::sim::{Filled, Seen};
use serde_json::{Map, Value};

/// Sooner than this no market forgets an order that ended without a fill (binance.md §7), µs.
const FORGOTTEN_US: u64 = 3 * 86_400_000_000;
/// The two searches of evidence C lie this far apart, µs.
const APART_US: u64 = 1_900_000;

impl Oracle {
    pub(super) fn written(&mut self, wrote: &Wrote) -> Result<(), Broken> {
        match wrote {
            Wrote::Fill(key) => {
                let key = (if key.0 == "spot" { "spot" } else { "perp" }, key.1.clone(), key.2);
                let booked = &self.books.fills[&(key.0.to_owned(), key.1.clone(), key.2)];
                match self.facts.trades.get(&key) {
                    None => Err(broken(3, format!("booked and never made: {key:?}"))),
                    Some(made) => match differs(booked, made) {
                        Some(what) => Err(broken(3, format!("{key:?} is booked with another {what}"))),
                        None => Ok(()),
                    },
                }
            }
            Wrote::Paid(of) => self.paid(&of.1, &self.books.payments[of]),
            Wrote::End(client, before) => {
                self.just_ended(self.read_at, *client);
                self.ended(*client, before.as_ref())
            }
        }
    }

    /// A payment of this perp and this amount was booked: so many settled, or more.
    fn paid(&self, symbol: &str, amount: &str) -> Result<(), Broken> {
        let settled = self.facts.payments.iter();
        let settled = settled.filter(|(row, received)| {
            self.facts.rows[*row].name == symbol && Some(*received) == parse(amount)
        });
        let booked = self.books.payments.iter();
        let booked = booked.filter(|((_, of), text)| of == symbol && parse(text) == parse(amount));
        if booked.count() > settled.count() {
            return Err(broken(3, format!("funding of {amount} is booked for {symbol} and was not settled")));
        }
        Ok(())
    }

    fn ended(&self, client: u64, before: Option<&End>) -> Result<(), Broken> {
        let Some(end) = self.books.ends.get(&client) else { return Ok(()) };
        // A later run may find an order again whose end an earlier one wrote.
        let same =
            |it: &&End| it.run != end.run && (&it.end, it.executed_units) == (&end.end, end.executed_units);
        if let Some(before) = before.filter(|it| !same(it)) {
            return Err(broken(14, format!("order {client} ended twice: {before:?}, {end:?}")));
        }
        let told = self.books.told.get(&client);
        let order = self.facts.orders.get(&client);
        let executed = order.map_or(0, |it| it.executed);
        match end.evidence.as_str() {
            "A" => {
                // Without its send round in the journal (lost with the power) the unit is not known.
                let Some(fired) = self.books.fired.get(&client) else { return Ok(()) };
                let unit = ONE / 10i128.pow(u32::try_from(fired.decimals).unwrap_or(18));
                if end.executed_units * unit != i128::from(executed) * E10 {
                    let why =
                        format!("order {client} ended with {}: {executed}e-8 is true", end.executed_units);
                    return Err(broken(12, why));
                }
                if told.is_none_or(|told| told.terminal.is_empty()) {
                    return Err(broken(12, format!("order {client} ended by A, and no answer said so")));
                }
            }
            "B" | "C" | "fills" if executed > 0 => {
                let why = format!(
                    "order {client} ended {} ({}), and executed {executed}e-8",
                    end.end, end.evidence
                );
                return Err(broken(12, why));
            }
            "B" => {
                if end.end == "not_sent" && order.is_some() {
                    return Err(broken(12, format!("order {client} ended as not sent, and is at the venue")));
                }
                if end.end == "refused" && told.is_none_or(|told| !told.refused) {
                    return Err(broken(12, format!("order {client} ended by B, and no answer said so")));
                }
            }
            "C" | "fills" => {
                let searched = told.map_or(&[][..], |told| &told.not_found);
                let ends = searched.last().zip(searched.first());
                let apart = ends.map_or(0, |(last, first)| last.saturating_sub(*first));
                // Once the calendar was stepped, it tells nothing of how far apart they were.
                if searched.len() < 2 || apart < APART_US && !self.calendar_stepped {
                    let why = format!(
                        "order {client} ended by {} after {} searches {apart} µs apart",
                        end.evidence,
                        searched.len()
                    );
                    return Err(broken(12, why));
                }
                let stamp_ms = self.books.fired.get(&client).map_or(0, |fired| fired.stamp_ms);
                // Once the calendar was stepped its stamps say nothing: then it counts when the end was read.
                let ended_us = match self.calendar_stepped {
                    true => (self.calendar + self.read_at.0) / 1_000,
                    false => end.at_us,
                };
                let age_us = ended_us.saturating_sub(stamp_ms * 1_000);
                // What the venue may have forgotten is decided by its fills (FAULTS F88), and nothing else is.
                let least_us = match end.evidence.as_str() {
                    "C" => self.allowed.lost_after_ns / 1_000,
                    _ => FORGOTTEN_US,
                };
                if stamp_ms > 0 && age_us + 100_000 < least_us {
                    let by = &end.evidence;
                    return Err(broken(
                        12,
                        format!("order {client} ended by {by} {age_us} µs after its stamp"),
                    ));
                }
            }
            other => return Err(broken(12, format!("order {client} ended by {other:?}"))),
        }
        Ok(())
    }

    /// I12: nothing is executed once an end was told by B or C, or in full by A.
    pub(super) fn fill_after_end(&self, witnessed: &Witnessed) -> Result<(), Broken> {
        let Seen::Filled(fill) = &witnessed.seen else { return Ok(()) };
        let Some(id) = Id::read(&fill.client_id) else { return Ok(()) };
        match self.books.ends.get(&id.number) {
            Some(end) => Err(broken(12, format!("{id:?} executed after its end ({end:?}): {fill:?}"))),
            None => Ok(()),
        }
    }
}

/// Which fact of a booked fill is not the one of the trade.
fn differs(booked: &Map<String, Value>, made: &Filled) -> Option<&'static str> {
    let text = |key: &str| booked.get(key).and_then(Value::as_str).unwrap_or("");
    let number = |key: &str| parse(text(key));
    let side = if made.buys { "buy" } else { "sell" };
    let client = if made.forced { "0" } else { made.client_id.as_str() };
    let pairs = [
        ("market", text("market") == name_of(made.market)),
        ("side", text("side") == side),
        ("client id", text("client_id") == client),
        ("price", number("price") == Some(i128::from(made.price) * E10)),
        ("quantity", number("qty") == Some(i128::from(made.qty) * E10)),
        ("fee", number("fee") == Some(made.fee)),
        ("fee asset", text("fee_asset") == made.fee_asset),
    ];
    pairs.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

/// A decimal text as a count of 10⁻¹⁸; `None`: no number, or finer than that.
pub(super) fn parse(text: &str) -> Option<i128> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 18 || whole.is_empty() {
        return None;
    }
    let scaled = format!("{whole}{part:0<18}");
    scaled.parse::<i128>().ok().map(|value| sign * value)
}
