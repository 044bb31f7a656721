//! The tape player: recorded frames, due at their own pace, with their event times moved by one constant.
//!
//! Owns:  reading frames once, the shift rule, the quote a frame carries, the REST depth the snapshot grows into.
//! Never: changes any other byte of a frame, or starts before every bookTicker stream of the tape has a listener.

use super::config::{ConfigError, Market, Tape, TapeKind};
use super::market::Level;
use super::number::{E8, parse_e8};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

const MS: i64 = 1_000_000;

/// A frame, read once.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Nanoseconds after the first streamed frame.
    pub(super) after_ns: u64,
    pub(super) market: Market,
    pub(super) kind: TapeKind,
    /// Index into [`Player::streams`].
    pub(super) stream: usize,
    raw: String,
    /// Where `data` lies within `raw`.
    data: Range<usize>,
    /// Where the digits of `E` and `T` lie within `raw`.
    stamps: Vec<Range<usize>>,
    /// Of a bookTicker: update id, bid, ask.
    pub(super) quote: Option<(u64, Level, Level)>,
}

/// A recording on its way.
#[derive(Clone, Debug)]
pub(super) struct Player {
    pub(super) name: String,
    /// Market and name of each stream in the tape.
    pub(super) streams: Vec<(Market, String)>,
    frames: Vec<Frame>,
    next: usize,
    /// Host time of the first frame and the shift in ms, once it plays.
    playing: Option<(u64, i64)>,
    /// Full books for REST depth, by market.
    pub(super) books: [FullBook; 2],
}

/// A whole order book, grown from a snapshot and the tape's own changes.
#[derive(Clone, Debug, Default)]
pub(super) struct FullBook {
    pub(super) last_id: u64,
    pub(super) bids: BTreeMap<E8, E8>,
    pub(super) asks: BTreeMap<E8, E8>,
}

impl FullBook {
    /// Takes the levels of a depth message: quantity 0 removes one.
    fn apply(&mut self, bids: &Value, asks: &Value, id: u64) {
        self.last_id = id;
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().into_iter().flatten() {
                let number = |i: usize| level.get(i).and_then(Value::as_str).and_then(|t| parse_e8(t).ok());
                match (number(0), number(1)) {
                    (Some(price), Some(0)) => drop(side.remove(&price)),
                    (Some(price), Some(qty)) => drop(side.insert(price, qty)),
                    _ => {}
                }
            }
        }
    }
}

impl Player {
    /// Reads a tape. `clock`: the box's clock now, ns.
    ///
    /// # Errors
    ///
    /// A frame that is no message, a tape without quotes of both markets, or stamps whose digits cannot be kept.
    pub(super) fn new(tape: Tape, clock: u64) -> Result<Self, ConfigError> {
        let mut player = Self {
            name: tape.name,
            streams: Vec::new(),
            frames: Vec::with_capacity(tape.frames.len()),
            next: 0,
            playing: None,
            books: [FullBook::default(), FullBook::default()],
        };
        let mut first = None;
        for (index, frame) in tape.frames.into_iter().enumerate() {
            let bad = |why| ConfigError::Tape { index, why };
            let body: Value = serde_json::from_str(&frame.raw).map_err(|_| bad("its text is no JSON"))?;
            if frame.kind == TapeKind::Snapshot {
                let id =
                    body["lastUpdateId"].as_u64().ok_or_else(|| bad("a snapshot without lastUpdateId"))?;
                player.books[frame.market.index()].apply(&body["bids"], &body["asks"], id);
                continue;
            }
            let data = body.get("data").ok_or_else(|| bad("it has no data member"))?;
            let start = frame.raw.find("\"data\":").ok_or_else(|| bad("it has no data member"))? + 7;
            let end = frame.raw.rfind('}').ok_or_else(|| bad("its text is no JSON"))?;
            let zero = *first.get_or_insert(frame.t_ns);
            let after = u64::try_from(frame.t_ns - zero).map_err(|_| bad("it is earlier than the first"))?;
            if player.frames.last().is_some_and(|f| f.after_ns > after) {
                return Err(bad("it is earlier than the one before"));
            }
            let quote = match frame.kind {
                TapeKind::BookTicker => Some(quote(data).ok_or_else(|| bad("its quote cannot be read"))?),
                _ => None,
            };
            let named = (frame.market, frame.stream);
            let stream = player.streams.iter().position(|s| *s == named).unwrap_or_else(|| {
                player.streams.push(named);
                player.streams.len() - 1
            });
            player.frames.push(Frame {
                after_ns: after,
                market: frame.market,
                kind: frame.kind,
                stream,
                stamps: stamps(&frame.raw[..end]),
                raw: frame.raw,
                data: start..end,
                quote,
            });
        }
        for market in [Market::Spot, Market::Usdm] {
            if player.first_quote(market).is_none() {
                return Err(ConfigError::TapeQuotes(market.name()));
            }
        }
        let digits = |ms: i64| ms.to_string().len();
        let now_ms = i64::try_from(clock).map_err(|_| ConfigError::Clock)? / MS;
        let mut ranges = player.frames.iter().flat_map(|f| f.stamps.iter());
        if ranges.any(|r| r.len() != digits(now_ms)) {
            return Err(ConfigError::TapeStamps);
        }
        Ok(player)
    }

    /// The first quote of a market: what the book shows before the tape starts.
    pub(super) fn first_quote(&self, market: Market) -> Option<(u64, Level, Level)> {
        self.frames.iter().filter(|f| f.market == market).find_map(|f| f.quote)
    }

    /// The streams that must have a listener before the tape starts.
    pub(super) fn quote_streams(&self) -> impl Iterator<Item = usize> {
        let carries = |stream: usize| self.frames.iter().any(|f| f.stream == stream && f.quote.is_some());
        (0..self.streams.len()).filter(move |s| carries(*s))
    }

    pub(super) fn started(&self) -> bool {
        self.playing.is_some()
    }

    /// Starts at host time `now`, box clock `clock`.
    pub(super) fn start(&mut self, now: u64, clock: u64) {
        // One constant for all: the frame that was closest to its stamp arrives 1 ms after it.
        let clock = i64::try_from(clock).unwrap_or(i64::MAX);
        let gaps = self.frames.iter().flat_map(|frame| {
            let arrival_ms = (clock + frame.after_ns as i64) / MS;
            frame
                .stamps
                .iter()
                .filter_map(move |r| Some(arrival_ms - frame.raw[r.clone()].parse::<i64>().ok()?))
        });
        let shift = gaps.min().map_or(0, |gap| gap - 1);
        self.playing = Some((now, shift));
    }

    /// Host time of the next frame, once the tape plays.
    pub(super) fn next_due(&self) -> Option<u64> {
        let (start, _) = self.playing?;
        self.frames.get(self.next).map(|f| start + f.after_ns)
    }

    /// Takes the next frame: the frame, its text with shifted stamps, and where `data` lies in it.
    pub(super) fn take(&mut self) -> Option<(Frame, String, Range<usize>)> {
        let (_, shift) = self.playing?;
        let frame = self.frames.get(self.next)?.clone();
        self.next += 1;
        let mut text = frame.raw.clone();
        for range in &frame.stamps {
            let moved = frame.raw[range.clone()].parse::<i64>().map_or(0, |ms| ms + shift);
            text.replace_range(range.clone(), &format!("{moved:0width$}", width = range.len()));
        }
        if frame.kind == TapeKind::Depth
            && let Ok(body) = serde_json::from_str::<Value>(&text)
        {
            let (data, book) = (&body["data"], &mut self.books[frame.market.index()]);
            let id = data["u"].as_u64().unwrap_or(0);
            if id > book.last_id {
                book.apply(&data["b"], &data["a"], id);
            }
        }
        let data = frame.data.clone();
        Some((frame, text, data))
    }
}

/// Reads update id, bid and ask of a bookTicker.
fn quote(data: &Value) -> Option<(u64, Level, Level)> {
    let number = |key: &str| parse_e8(data.get(key)?.as_str()?).ok();
    let bid = Level { price: number("b")?, qty: number("B")? };
    let ask = Level { price: number("a")?, qty: number("A")? };
    Some((data.get("u")?.as_u64()?, bid, ask))
}

/// The digits behind `"E":` and `"T":`.
fn stamps(raw: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for key in ["\"E\":", "\"T\":"] {
        for (at, _) in raw.match_indices(key) {
            let start = at + key.len();
            let digits = raw[start..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                found.push(start..start + digits);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::config::TapeFrame;
    use super::*;

    fn frame(t_ms: i64, market: Market, kind: TapeKind, raw: &str) -> TapeFrame {
        TapeFrame { t_ns: t_ms * MS, market, kind, stream: "btcusdt@x".into(), raw: raw.into() }
    }

    fn tape() -> Tape {
        let quote = |stamp: &str| {
            format!(
                r#"{{"stream":"btcusdt@x","data":{{"u":7,"s":"BTCUSDT","b":"1.0","B":"2","a":"1.5","A":"3"{stamp}}}}}"#
            )
        };
        Tape {
            name: "t".into(),
            frames: vec![
                frame(1_000, Market::Spot, TapeKind::BookTicker, &quote("")),
                frame(
                    1_010,
                    Market::Usdm,
                    TapeKind::BookTicker,
                    &quote(r#","T":1723161255300,"E":1723161255301"#),
                ),
                frame(
                    1_050,
                    Market::Usdm,
                    TapeKind::BookTicker,
                    &quote(r#","T":1723161255305,"E":1723161255306"#),
                ),
                frame(
                    1_060,
                    Market::Spot,
                    TapeKind::Trade,
                    r#"{"stream":"btcusdt@t","data":{"E":1723161255340,"T":1723161255339}}"#,
                ),
            ],
        }
    }

    #[test]
    fn one_constant_brings_the_closest_frame_to_one_millisecond_after_its_stamp() {
        let clock = 1_800_000_000_000 * MS as u64;
        let mut player = Player::new(tape(), clock).unwrap();
        player.start(5, clock);
        let mut gaps = Vec::new();
        let mut shifts = Vec::new();
        while let Some((frame, text, _)) = player.take() {
            assert_eq!(text.len(), frame.raw.len());
            for range in &frame.stamps {
                let (was, is): (i64, i64) =
                    (frame.raw[range.clone()].parse().unwrap(), text[range.clone()].parse().unwrap());
                shifts.push(is - was);
                gaps.push((clock + frame.after_ns) as i64 / MS - is);
            }
        }
        assert_eq!(gaps.iter().min(), Some(&1));
        assert!(shifts.windows(2).all(|w| w[0] == w[1]), "{shifts:?}");
    }

    #[test]
    fn a_tape_that_cannot_be_played_is_refused_with_its_frame() {
        let clock = 1_800_000_000_000 * MS as u64;
        let mut broken = tape();
        broken.frames[2].raw = "{".into();
        assert!(matches!(Player::new(broken, clock), Err(ConfigError::Tape { index: 2, .. })));
        let mut late = tape();
        late.frames.swap(0, 3);
        assert!(matches!(Player::new(late, clock), Err(ConfigError::Tape { index: 1, .. })));
        assert!(matches!(Player::new(tape(), 5), Err(ConfigError::TapeStamps)));
        let mut spot_only = tape();
        spot_only.frames.retain(|f| f.market == Market::Spot);
        assert!(matches!(Player::new(spot_only, clock), Err(ConfigError::TapeQuotes("usdm"))));
    }
}
