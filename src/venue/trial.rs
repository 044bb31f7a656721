//! What every decoder of quotes must stand: recordings, and messages bent in every way there is.
//!
//! Owns:  claims that hold for each venue's feed, and the recordings they are tried on.
//! Rule:  a quote that is taken says what an independent reading of its text says (serde), whichever of the two
//!        parsers took it; whatever else arrives is refused or passed over, and never panics.
#![cfg(test)]

use crate::event::{Instrument, Instruments};
use crate::units::decimal::{self, Text};
use crate::units::{LegKind, Price, Rate, Unix};
use crate::venue::open::TickerRow;
use crate::venue::{Heard, Open, Refused, Scratch, Symbols};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::cell::RefCell;
use std::io::Read as _;

/// Where the numbers of a quote stand in a message.
pub(crate) struct Twin {
    /// Symbol, sequence, stamp: as JSON pointers.
    pub(crate) symbol: &'static str,
    pub(crate) sequence: &'static str,
    pub(crate) stamp: &'static str,
    /// Bid, its quantity, ask, its quantity.
    pub(crate) book: [&'static str; 4],
}

/// A venue's feed on trial.
pub(crate) struct Trial {
    pub(crate) open: &'static Open,
    pub(crate) world: Instruments,
    pub(crate) twin: Twin,
    /// A quote of each layout that is scanned.
    pub(crate) layouts: Vec<(LegKind, String)>,
    /// What parsing reuses.
    pub(crate) scratch: RefCell<Scratch>,
}

/// Whether a quote came by the general parser.
fn fell_back(heard: &Result<Heard, Refused>) -> bool {
    matches!(heard, Ok(Heard::Quote { fallback: true, .. }))
}

/// Without the mark of who read it.
fn meaning(heard: Result<Heard, Refused>) -> Result<Heard, Refused> {
    match heard {
        Ok(Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, .. }) => {
            Ok(Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback: false })
        }
        other => other,
    }
}

impl Trial {
    fn symbols(&self) -> Symbols {
        Symbols::new(&self.world, self.open.id)
    }

    pub(crate) fn read(&self, leg: LegKind, message: &[u8]) -> Result<Heard, Refused> {
        (self.open.decode)(&mut self.scratch.borrow_mut(), &self.symbols(), leg, message)
    }

    fn general(&self, leg: LegKind, message: &[u8]) -> Result<Heard, Refused> {
        (self.open.parse)(&mut self.scratch.borrow_mut(), &self.symbols(), leg, message)
    }

    /// The only reading there is of a message's text, by another parser and without a scale's help.
    fn serde(&self, leg: LegKind, message: &[u8]) -> Option<Heard> {
        let whole: Value = serde_json::from_slice(message).ok()?;
        let symbol = whole.pointer(self.twin.symbol)?.as_str()?.rsplit("orderbook.1.").next()?.to_owned();
        let row = self.world.instruments.iter().find(|row| row.leg == leg && *row.symbol == *symbol)?;
        let number = |at: usize, scale| {
            let text = whole.pointer(self.twin.book[at])?.as_str()?;
            decimal::parse(text.as_bytes(), scale, Price::MAX.0).ok()
        };
        let whole_number = |at: &str| {
            let value = whole.pointer(at)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        Some(Heard::Quote {
            instrument: row.id,
            sequence: whole_number(self.twin.sequence)?,
            bid: Price(number(0, row.price_decimals)?),
            bid_qty: crate::units::Qty(number(1, row.qty_decimals)?),
            ask: Price(number(2, row.price_decimals)?),
            ask_qty: crate::units::Qty(number(3, row.qty_decimals)?),
            stamp: Some(Unix::from_ms(i64::try_from(whole_number(self.twin.stamp)?).ok()?)?),
            fallback: false,
        })
    }

    /// One readable line.
    pub(crate) fn line(&self, heard: Result<Heard, Refused>) -> String {
        let row = |id| self.world.get(id);
        match heard {
            Ok(Heard::Quote { instrument: id, sequence, bid, bid_qty, ask, ask_qty, stamp, fallback }) => {
                let (p, q) = (row(id).price_decimals, row(id).qty_decimals);
                let [bid, ask] = [bid, ask].map(|price| Text(price.0.into(), p).to_string());
                let [bid_qty, ask_qty] = [bid_qty, ask_qty].map(|qty| Text(qty.0.into(), q).to_string());
                format!(
                    "{} {} #{sequence} {bid} x {bid_qty} / {ask} x {ask_qty}{}{}",
                    row(id).symbol,
                    row(id).leg,
                    stamp.map_or(String::new(), |at| format!(" at {at}")),
                    if fallback { " (fallback)" } else { "" },
                )
            }
            Ok(Heard::Mark { instrument: id, mark, funding, next_funding, stamp }) => format!(
                "{} mark {} funding {} next {} at {stamp}",
                row(id).symbol,
                Text(mark.0.into(), row(id).price_decimals),
                funding.map_or("none".to_owned(), |rate| decimal::short(rate.0.into(), Rate::SCALE)),
                next_funding.map_or("none".to_owned(), |at| at.to_string()),
            ),
            Ok(other) => format!("{other:?}"),
            Err(refused) => refused.to_string(),
        }
    }

    /// Everything below, and that each layout is scanned.
    pub(crate) fn stands(&self) {
        for (leg, message) in &self.layouts {
            let heard = self.read(*leg, message.as_bytes());
            assert!(!fell_back(&heard), "not scanned: {message}");
            assert_eq!(heard.ok(), self.serde(*leg, message.as_bytes()), "{message}");
            let general = self.general(*leg, message.as_bytes());
            assert!(fell_back(&general) && meaning(general) == heard, "{message}");
            self.cut(*leg, message.as_bytes());
        }
        self.run(20_000, |which, seed, _| self.reordered(which, seed));
        self.run(20_000, |which, seed, text| self.damaged(which, seed, text));
        self.run(20_000, |which, seed, text| self.mutated(which, seed, text));
    }

    fn run(&self, cases: u32, claim: impl Fn(usize, u64, &str) -> Result<(), TestCaseError>) {
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..Default::default() });
        let text = "[0-9]{0,9}\\.?[0-9]{0,9}|[ -~]{0,6}|[{}\\[\\]:,\"0-9a-z\\\\]{1,4}";
        let input = (0..self.layouts.len(), any::<u64>(), text);
        let outcome = runner.run(&input, |(which, seed, text)| claim(which, seed, &text));
        outcome.unwrap_or_else(|failure| panic!("{}: {failure}", self.open.name));
    }

    /// A message cut at any byte is refused, before and behind the cut.
    fn cut(&self, leg: LegKind, message: &[u8]) {
        for at in 1..message.len() {
            for part in [&message[..at], &message[at..]] {
                let heard = self.read(leg, part);
                assert!(!matches!(heard, Ok(Heard::Quote { .. })), "{}", String::from_utf8_lossy(part));
            }
        }
    }

    /// Another order of fields, and fields nobody knows, change nothing but who reads it.
    fn reordered(&self, which: usize, seed: u64) -> Result<(), TestCaseError> {
        let (leg, message) = &self.layouts[which];
        let mut state = seed;
        let bent = shuffled(&serde_json::from_str(message).unwrap(), &mut state).to_string();
        let (heard, whole) = (self.read(*leg, bent.as_bytes()), self.read(*leg, message.as_bytes()));
        prop_assert_eq!(meaning(heard), meaning(whole), "{}", bent);
        Ok(())
    }

    /// Bytes changed, cut out or put in: what is taken is what the general parser takes, and what serde reads.
    fn damaged(&self, which: usize, seed: u64, text: &str) -> Result<(), TestCaseError> {
        let (leg, message) = &self.layouts[which];
        let mut bytes = message.clone().into_bytes();
        let mut state = seed;
        for _ in 0..=next(&mut state) % 3 {
            let at = next(&mut state) as usize % bytes.len();
            match next(&mut state) % 4 {
                0 => bytes[at] ^= 1 << (next(&mut state) % 8),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, next(&mut state) as u8),
                _ => drop(bytes.splice(at..at, text.bytes())),
            }
        }
        let heard = self.read(*leg, &bytes);
        let general = self.general(*leg, &bytes);
        let shown = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(meaning(heard), meaning(general), "{}", shown);
        if matches!(heard, Ok(Heard::Quote { .. })) {
            prop_assert_eq!(meaning(heard).ok(), self.serde(*leg, &bytes), "{}", shown);
        }
        Ok(())
    }

    /// One number replaced by any text: it is read exactly, or the message is refused.
    fn mutated(&self, which: usize, seed: u64, text: &str) -> Result<(), TestCaseError> {
        let (leg, message) = &self.layouts[which];
        let place = seed as usize % 4;
        let mut whole: Value = serde_json::from_str(message).unwrap();
        *whole.pointer_mut(self.twin.book[place]).unwrap() = text.into();
        let bent = whole.to_string();
        let heard = self.read(*leg, bent.as_bytes());
        prop_assert_eq!(meaning(heard).ok(), self.serde(*leg, bent.as_bytes()), "{}", bent);
        Ok(())
    }

    /// Each message of a recording, as one word of what came of it; `None` where it is not at hand.
    pub(crate) fn recorded(&self, name: &str, legs: &[LegKind]) -> Option<Vec<String>> {
        let messages = recording(self.open.name, name)?;
        let mut scratch = Scratch::new();
        let symbols = self.symbols();
        let mut outcomes = Vec::new();
        for message in messages {
            let raw = message["raw"].as_str().unwrap();
            let legs = match message["market"].as_str().unwrap() {
                "" => legs,
                market if market.starts_with("spot") => &[LegKind::Spot],
                _ => &[LegKind::Perp],
            };
            for leg in legs {
                let heard = (self.open.decode)(&mut scratch, &symbols, *leg, raw.as_bytes());
                if let Ok(quote @ Heard::Quote { .. }) = heard {
                    assert_eq!(meaning(Ok(quote)).ok(), self.serde(*leg, raw.as_bytes()), "{raw}");
                }
                let kind = message["kind"].as_str().unwrap();
                outcomes.push(format!("{kind}: {}", word(&heard)));
            }
        }
        Some(outcomes)
    }
}

impl Trial {
    /// Of each REST fixture, which of the venue's questions it answers; `settled_of` names the perp whose history
    /// is among them.
    pub(crate) fn answers(&self, settled_of: &str) -> Vec<String> {
        let folder = format!("{}/tests/fixtures/{}", env!("CARGO_MANIFEST_DIR"), self.open.name);
        let names =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("rest_")).collect();
        names.sort();
        let perp = self.world.instruments.iter().find(|row| row.leg == LegKind::Perp).unwrap();
        let perp = Instrument { symbol: settled_of.parse().unwrap(), ..perp.clone() };
        let of_file = |name: &String| {
            let body = || crate::venue::sample::fixture_of(self.open.name, name);
            let mut told = Vec::new();
            if (self.open.read_time)(&mut body()).is_ok() {
                told.push("time".to_owned());
            }
            for leg in LegKind::BOTH {
                let listing = (self.open.read_listing)(leg, &mut body()).unwrap_or_default();
                told.extend(
                    (!listing.rows.is_empty()).then(|| format!("{} {leg} listed", listing.rows.len())),
                );
            }
            for (at, tickers) in self.open.tickers.iter().enumerate() {
                let rows = (tickers.read)(&mut body(), &self.symbols()).unwrap_or_default().rows;
                let says = |row: &&TickerRow| {
                    **row != TickerRow { instrument: row.instrument, ..TickerRow::default() }
                };
                let count = rows.iter().filter(says).count();
                told.extend((count > 0).then(|| format!("{count} told by question {at}")));
            }
            let settled = self.open.settled.unwrap();
            let rows = (settled.read)(&mut body(), &perp).unwrap_or_default();
            told.extend((!rows.is_empty()).then(|| format!("{} settled", rows.len())));
            format!("{}: {}", name.trim_start_matches("rest_").trim_end_matches(".json"), told.join(", "))
        };
        names.iter().map(of_file).collect()
    }
}

/// What came of a message, in a few words.
pub(crate) fn word(heard: &Result<Heard, Refused>) -> String {
    match heard {
        Ok(Heard::Stamp(_)) => "stamp".to_owned(),
        Ok(Heard::Quote { fallback: false, .. }) => "quote".to_owned(),
        Ok(Heard::Quote { .. }) => "quote (fallback)".to_owned(),
        Ok(Heard::Mark { .. }) => "mark".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(refused) => format!("{}: {}", refused.field, refused.why),
    }
}

/// How often each line stands among them.
pub(crate) fn counts(lines: Vec<String>) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// The lines of a recording, or `None` where the recordings are not at hand; under CI they must be.
pub(crate) fn recording(venue: &str, name: &str) -> Option<Vec<Value>> {
    let path = format!("{}/../shared/data/recorded/{venue}/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(bytes) = std::fs::read(&path) else {
        assert!(std::env::var_os("CI").is_none(), "the recordings are missing: {path}");
        println!("skipped: no recording at {path}");
        return None;
    };
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    Some(text.lines().map(|row| serde_json::from_str(row).unwrap()).collect())
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Every object within in another order, with a field that nobody knows.
fn shuffled(value: &Value, state: &mut u64) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(key, value)| (key.clone(), shuffled(value, state))).collect();
            let extra =
                [serde_json::json!(1), serde_json::json!("x"), serde_json::json!({"b": [["1", "2"]]})];
            let extra = extra[next(state) as usize % 3].clone();
            fields.push((format!("zz{}", next(state) % 100), extra));
            for at in (1..fields.len()).rev() {
                fields.swap(at, next(state) as usize % (at + 1));
            }
            fields.into_iter().collect::<serde_json::Map<_, _>>().into()
        }
        // Only what holds objects: the order of levels and of their parts means something.
        Value::Array(values) => values.iter().map(|value| shuffled(value, state)).collect(),
        other => other.clone(),
    }
}
