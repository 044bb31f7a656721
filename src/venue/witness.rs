//! What an outside witness answers about funding, by pointers that say where in its JSON to look.
//!
//! Owns:  [`Map`], where symbol, rate, direction and time stand in an answer, and reading one by it.
//! Never: makes an opinion of half a row: what is asked for and not there, or not readable, is none.
//! Wire:  RFC 6901 pointers. `/fundingRate` begins at the row, `#/meta/timestamp` at the whole answer, `@key` is
//!        the row's own key where rows are the members of an object. The default is DESIGN §7's form.
//! Quirk: JSON numbers are binary fractions to the parser: of a rate the sign is exact, and 15 digits are.

use super::json::{Scratch, Value, as_digits};
use crate::event::{Instruments, Opinion};
use crate::units::{Direction, PairId, Rate, Unix, decimal};
use std::collections::BTreeMap;

/// DESIGN §7's form, as a person would write it.
pub const FORM: &str = "rows=/data,symbol=/symbol,exchange=/exchange,rate=/fundingRate,direction=/direction,\
                        time=#/meta/timestamp";

/// What may be mapped.
const NAMES: [&str; 6] = ["rows", "symbol", "exchange", "rate", "direction", "time"];

/// A way into JSON, key by key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer(Vec<String>);

impl Pointer {
    /// Reads the text of a pointer; empty: the whole.
    fn parse(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix('/') else { return text.is_empty().then(|| Self(Vec::new())) };
        let keys = rest.split('/').map(|key| key.replace("~1", "/").replace("~0", "~"));
        Some(Self(keys.collect()))
    }

    fn find<'t, 'i>(&self, mut value: Value<'t, 'i>) -> Option<Value<'t, 'i>> {
        for key in &self.0 {
            value = match value.as_object() {
                Some(object) => object.get(key.as_str())?,
                None => value.as_array()?.get(key.parse().ok()?)?,
            };
        }
        Some(value)
    }
}

/// Where one thing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Row(Pointer),
    Body(Pointer),
    Key,
}

impl At {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('#') {
            Some(rest) => Pointer::parse(rest).map(Self::Body),
            None if text == "@key" => Some(Self::Key),
            None => Pointer::parse(text).map(Self::Row),
        }
    }
}

/// Where in an answer to look for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    rows: Pointer,
    symbol: At,
    exchange: Option<At>,
    rate: Option<At>,
    direction: Option<At>,
    time: Option<At>,
}

impl Map {
    /// Reads `rows=/data,symbol=/symbol,…`, as [`FORM`]. What is not named is not asked for; symbol, and rate or
    /// direction, must be.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and how it looks when it is right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` {why}; write NAME=POINTER with commas, such as {FORM}");
        let mut found = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, pointer) = part.split_once('=').ok_or_else(|| wrong("has a part without ="))?;
            let name = NAMES
                .iter()
                .find(|it| **it == name)
                .ok_or_else(|| wrong(&format!("names `{name}`, which is none of {}", NAMES.join(", "))))?;
            let at = At::parse(pointer).ok_or_else(|| wrong(&format!("has no pointer behind {name}=")))?;
            if found.insert(*name, at).is_some() {
                return Err(wrong(&format!("names {name} twice")));
            }
        }
        let rows = match found.remove("rows") {
            None => Pointer(Vec::new()),
            Some(At::Row(pointer) | At::Body(pointer)) => pointer,
            Some(At::Key) => return Err(wrong("has rows in a key")),
        };
        let symbol = found.remove("symbol").ok_or_else(|| wrong("does not say where the symbol is"))?;
        let mut at = |name| found.remove(name);
        let (exchange, rate, direction, time) = (at("exchange"), at("rate"), at("direction"), at("time"));
        if rate.is_none() && direction.is_none() {
            return Err(wrong("says neither where the rate nor where the direction is"));
        }
        Ok(Self { rows, symbol, exchange, rate, direction, time })
    }

    /// The opinions in an answer, one a pair of those told in `pairs`, and of this exchange where rows name one. A
    /// pair with a row that can't be read, or with two that differ, has none.
    ///
    /// # Errors
    ///
    /// Why nothing of it can be used.
    pub fn read(
        &self,
        body: &[u8],
        scratch: &mut Scratch,
        exchange: &str,
        pairs: &Pairs,
    ) -> Result<Vec<Opinion>, String> {
        let read = scratch.read(body, |body| {
            let rows = self.rows.find(body).ok_or("it has no rows where --confirm-map says they are")?;
            let mut found: BTreeMap<PairId, Option<Opinion>> = BTreeMap::new();
            let mut take = |key: &str, row: Value<'_, '_>| {
                let Some((pair, opinion)) = self.row(&Row { body, row, key }, exchange, pairs) else {
                    return;
                };
                let present = found.entry(pair).or_insert(opinion);
                if *present != opinion {
                    *present = None;
                }
            };
            if let Some(list) = rows.as_array() {
                list.iter().for_each(|row| take("", row));
            } else if self.by_key() {
                let members =
                    rows.as_object().ok_or("its rows are no object, and --confirm-map has a @key")?;
                members.iter().for_each(|(key, row)| take(key, row));
            } else if rows.as_object().is_some() {
                take("", rows);
            } else {
                return Err("its rows are neither a list nor an object");
            }
            Ok(found.into_values().flatten().collect())
        });
        read.ok_or("it is no JSON").flatten().map_err(str::to_owned)
    }

    fn by_key(&self) -> bool {
        let all = [Some(&self.symbol), self.exchange.as_ref(), self.rate.as_ref()];
        let more = [self.direction.as_ref(), self.time.as_ref()];
        all.into_iter().chain(more).any(|at| at == Some(&At::Key))
    }

    /// What a row says, and of which pair; `None`: it is about nothing of ours.
    fn row(&self, row: &Row<'_, '_, '_>, exchange: &str, pairs: &Pairs) -> Option<(PairId, Option<Opinion>)> {
        let pair = pairs.find(&row.text(&self.symbol)?)?;
        if let Some(at) = &self.exchange {
            match row.text(at) {
                Some(named) if !named.eq_ignore_ascii_case(exchange) => return None,
                Some(_) => {}
                None => return Some((pair, None)),
            }
        }
        Some((pair, self.opinion(row, pair)))
    }

    fn opinion(&self, row: &Row<'_, '_, '_>, pair: PairId) -> Option<Opinion> {
        /// What is asked for must be there.
        fn wanted<T>(at: Option<&At>, read: impl FnOnce(&At) -> Option<T>) -> Option<Option<T>> {
            at.map_or(Some(None), |at| read(at).map(Some))
        }
        Some(Opinion {
            pair,
            rate: wanted(self.rate.as_ref(), |at| rate(&row.text(at)?))?,
            direction: wanted(self.direction.as_ref(), |at| direction(&row.text(at)?))?,
            stated: wanted(self.time.as_ref(), |at| time(&row.text(at)?))?,
        })
    }
}

/// One row in its answer.
struct Row<'a, 't, 'i> {
    body: Value<'t, 'i>,
    row: Value<'t, 'i>,
    key: &'a str,
}

impl Row<'_, '_, '_> {
    /// A text, or a number as text.
    fn text(&self, at: &At) -> Option<String> {
        let value = match at {
            At::Key => return Some(self.key.to_owned()),
            At::Row(pointer) => pointer.find(self.row)?,
            At::Body(pointer) => pointer.find(self.body)?,
        };
        as_digits(&value)
    }
}

/// A rate; digits beyond its scale are cut off, towards zero.
fn rate(text: &str) -> Option<Rate> {
    if !text.is_ascii() {
        return None;
    }
    let end = text.find('.').map_or(text.len(), |dot| dot + 1 + usize::from(Rate::SCALE));
    let (kept, cut) = text.split_at(end.min(text.len()));
    cut.bytes().all(|byte| byte.is_ascii_digit()).then(|| Rate::parse(kept.as_bytes()).ok())?
}

fn direction(text: &str) -> Option<Direction> {
    let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
    if is("short") { Some(Direction::Short) } else { is("long").then_some(Direction::Long) }
}

/// A moment: ISO 8601, or a count since 1970 of seconds, ms, µs or ns, told apart by its size.
fn time(text: &str) -> Option<Unix> {
    if let Some(at) = Unix::from_iso(text.trim()) {
        return Some(at);
    }
    let count = decimal::parse_i128(text.trim().as_bytes(), 9).ok()?;
    // Sane stamps lie between 2015 and 2100: in seconds below 10^10, in ms below 10^13, and so on.
    let unit = [1_000_000_000, 1_000_000, 1_000, 1];
    let bounds = [10i128.pow(10), 10i128.pow(13), 10i128.pow(16), 10i128.pow(19)];
    let at = bounds.iter().position(|bound| count < bound * 1_000_000_000)?;
    let ns = i64::try_from(count * unit[at] / 1_000_000_000).ok()?;
    Unix::from_ms(ns.div_euclid(1_000_000)).map(|_| Unix(ns))
}

/// The pairs by all that others may call them: the coin, or a market's symbol.
#[derive(Clone, Debug, Default)]
pub struct Pairs(BTreeMap<String, PairId>);

impl Pairs {
    /// Of one generation of instruments.
    #[must_use]
    pub fn new(instruments: &Instruments) -> Self {
        let mut by_name = BTreeMap::new();
        for pair in &instruments.pairs {
            let symbol = |leg| instruments.get(leg).symbol.to_string();
            for name in [pair.name.to_string(), symbol(pair.spot), symbol(pair.perp)] {
                by_name.entry(plain(&name)).or_insert(pair.id);
            }
        }
        Self(by_name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `BTC`, `BTCUSDT`, `btc-usdt`, `BTC/USDT:USDT`.
    fn find(&self, symbol: &str) -> Option<PairId> {
        self.0.get(&plain(symbol)).copied()
    }
}

fn plain(symbol: &str) -> String {
    let market = symbol.trim().split(':').next().unwrap_or_default();
    market.chars().filter(|letter| !matches!(letter, '/' | '-' | '_')).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::book::tests::one_pair;
    use proptest::prelude::*;
    use simd_json::prelude::*;

    /// The pair of [`one_pair`], which is BTC.
    fn pairs() -> Pairs {
        Pairs::new(&one_pair())
    }

    fn read(map: &str, body: &str) -> Result<Vec<Opinion>, String> {
        Map::parse(map).unwrap().read(body.as_bytes(), &mut Scratch::new(), "binance", &pairs())
    }

    fn says(rate: Option<&str>, direction: Option<Direction>, stated: Option<i64>) -> Vec<Opinion> {
        let rate = rate.map(|text| Rate::parse(text.as_bytes()).unwrap());
        vec![Opinion { pair: PairId(0), rate, direction, stated: stated.map(Unix) }]
    }

    const ANSWER: &str = r#"{"data":[
        {"symbol":"BTC","exchange":"Binance","fundingRate":0.00032,"cumRate7d":null,"apr":0.3504,"basisRate":null,
         "netApr":0.3464,"intervalHours":8,"direction":"short","portfolio":{"spotSide":"buy","perpSide":"sell"},
         "nextFundingTime":null},
        {"symbol":"BTC","exchange":"OKX","fundingRate":-0.0001,"direction":"long"},
        {"symbol":"NOTOURS","exchange":"Binance","fundingRate":1,"direction":"long"}],
        "meta":{"request_id":"1","timestamp":"2026-03-05T07:10:01.600Z","elapsed_ms":1}}"#;

    #[test]
    fn the_form_of_our_own_api_is_the_default() {
        let told = says(Some("0.00032"), Some(Direction::Short), Some(1_772_694_601_600_000_000));
        assert_eq!(read(FORM, ANSWER), Ok(told));
    }

    #[test]
    fn pointers_lead_anywhere() {
        let ms = 1_772_694_601_600;
        let told = |rate| says(Some(rate), None, Some(ms * 1_000_000));
        let nested = r#"{"a/b":[{"~x":{"s":"btc-usdt"},"f":["-1e-7"],"r":-1e-7,"t":1772694601600}]}"#;
        assert_eq!(read("rows=/a~1b,symbol=/~0x/s,rate=/r,time=/t", nested), Ok(told("-0.0000001")));
        assert_eq!(read("rows=/a~1b,symbol=/~0x/s,rate=/f/0,time=/t", nested), Ok(vec![]), "no plain number");
        let keyed = r#"{"r":{"BTC/USDT:USDT":{"rate":"0.5"},"X":{"rate":"0.5"}},"at":1772694601.6}"#;
        assert_eq!(read("rows=/r,symbol=@key,rate=/rate,time=#/at", keyed), Ok(told("0.5")));
        let bare = r#"[{"s":"BTCUSDT","d":"LONG"}]"#;
        assert_eq!(read("symbol=/s,direction=/d", bare), Ok(says(None, Some(Direction::Long), None)));
        let single = r#"{"s":"BTC","d":"short"}"#;
        assert_eq!(read("symbol=/s,direction=/d", single), Ok(says(None, Some(Direction::Short), None)));
    }

    #[test]
    fn what_is_missing_or_unreadable_makes_no_opinion() {
        let map = "symbol=/s,rate=/r,direction=/d,time=/t";
        let row = |rate: &str, direction: &str, time: &str| {
            read(map, &format!(r#"[{{"s":"BTC","r":{rate},"d":{direction},"t":{time}}}]"#)).unwrap().len()
        };
        assert_eq!(row("1e-4", "\"short\"", "1772694601600"), 1);
        for rate in ["null", "\"\"", "\"x\"", "true", "[1]", "99", "\"0.1%\"", "\"0.12345678901234567é\""] {
            assert_eq!(row(rate, "\"short\"", "1772694601600"), 0, "{rate}");
        }
        for direction in ["null", "\"neutral\"", "1", "\"\""] {
            assert_eq!(row("1", direction, "1772694601600"), 0, "{direction}");
        }
        for time in ["null", "0", "-5", "\"now\"", "\"2026-03-05\"", "1e30"] {
            assert_eq!(row("1", "\"short\"", time), 0, "{time}");
        }
        assert_eq!(read(map, r#"[{"s":"BTC"},{"r":1},5,null,[]]"#), Ok(vec![]));
        for body in ["", "no", "{", "[1", "\"x\"", "5", "null"] {
            assert!(read(map, body).is_err(), "{body}");
        }
        assert!(read(FORM, "{}").unwrap_err().contains("--confirm-map"));
    }

    #[test]
    fn two_rows_that_differ_are_no_opinion_and_two_that_agree_are_one() {
        let two = |a: &str, b: &str| {
            let body = format!(r#"[{{"s":"BTC","d":"{a}"}},{{"s":"BTCUSDT","d":"{b}"}}]"#);
            read("symbol=/s,direction=/d", &body).unwrap().len()
        };
        assert_eq!((two("short", "short"), two("short", "long"), two("short", "?")), (1, 0, 0));
        let unnamed = r#"[{"s":"BTC","d":"short","e":"Binance"},{"s":"BTC","d":"short"}]"#;
        assert_eq!(read("symbol=/s,direction=/d,exchange=/e", unnamed), Ok(vec![]), "whose is the second?");
    }

    #[test]
    fn counts_since_1970_are_told_apart_by_their_size() {
        let at = Unix(1_772_694_601_000_000_000);
        for text in ["1772694601", "1772694601.0", "1772694601000", "1772694601000000", "1772694601000000000"]
        {
            assert_eq!(time(text), Some(at), "{text}");
        }
        assert_eq!(time("1772694601.25"), Some(Unix(at.0 + 250_000_000)));
    }

    #[test]
    fn a_map_that_can_t_work_is_told_with_one_that_does() {
        for (text, why) in [
            ("", "symbol"),
            ("symbol=/s", "neither"),
            ("rate=/r", "symbol"),
            ("symbol=s,rate=/r", "no pointer behind symbol="),
            ("symbol=/s,rate", "without ="),
            ("symbol=/s,symbol=/s,rate=/r", "twice"),
            ("symbol=/s,price=/r", "none of rows"),
            ("rows=@key,symbol=/s,rate=/r", "rows in a key"),
        ] {
            let error = Map::parse(text).unwrap_err();
            assert!(error.contains(why) && error.contains(FORM), "{text}: {error}");
        }
    }

    proptest! {
        /// Whatever becomes of an answer on its way, it is read or refused; and an opinion that comes of it says
        /// what the bytes say: no mutation that takes row, rate, direction or time away leaves one.
        #[test]
        fn a_mutated_answer_never_panics_and_never_speaks_for_another(
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), keep in 0usize..2_000,
        ) {
            let mut body = ANSWER.as_bytes().to_vec();
            for (at, byte) in cuts {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body.truncate(keep.max(1));
            let map = Map::parse(FORM).unwrap();
            let told = map.read(&body, &mut Scratch::new(), "binance", &pairs());
            if let Ok(told) = told {
                // The same by another parser, plainly.
                let plain: serde_json::Value = serde_json::from_slice(&body).unwrap();
                for opinion in told {
                    let ours = |row: &&serde_json::Value| {
                        let symbol = row["symbol"].as_str().unwrap_or_default();
                        let exchange = row["exchange"].as_str().unwrap_or_default();
                        plain_name(symbol) && exchange.eq_ignore_ascii_case("binance")
                    };
                    let row = plain["data"].as_array().unwrap().iter().find(ours).unwrap();
                    let told = row["direction"].as_str().unwrap().to_lowercase();
                    prop_assert_eq!(told.trim(), opinion.direction.unwrap().to_string());
                    let written = row["fundingRate"].as_str();
                    let sign = row["fundingRate"].as_f64().or_else(|| written?.parse::<f64>().ok()).unwrap();
                    let rate = opinion.rate.unwrap().0;
                    prop_assert!((rate > 0) == (sign >= 1e-18) && (rate < 0) == (sign <= -1e-18), "{} {}", rate, sign);
                    prop_assert!(!plain["meta"]["timestamp"].is_null());
                }
            }
        }

        #[test]
        fn any_map_and_any_body_are_read_or_refused(map in "[a-z=/#@~,0-9]{0,40}", body in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(map) = Map::parse(&map) {
                let _ = map.read(&body, &mut Scratch::new(), "binance", &pairs());
            }
        }
    }

    fn plain_name(symbol: &str) -> bool {
        ["BTC", "BTCUSDT"].contains(&plain(symbol).as_str())
    }
}
