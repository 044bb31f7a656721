//! The byte form of what passes through rings, for session files.
//!
//! Owns:  one layout a type, in one place: little-endian numbers, one byte for a choice, lengths as `u32`.
//! Never: believes a byte it reads, or lets a file of another layout be read: [`layout`] is in its header.
//! Why:   cells are words already; what travels in rings is not, and a recorded room must be told the very
//!        same again. A field that is added to a type does not compile until it is added here.

use super::*;
use crate::units::{
    Amount, Class, ClientId, Direction, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate, Side,
    Unix, VenueId,
};
use arrayvec::ArrayString;
use std::sync::Arc;

/// What has a byte form.
pub trait Bytes: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it from the front, and moves on; `None` if no such value was written there.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// A sum over the names of all fields and choices, in their order, and the sizes of cells: another one is
/// another layout.
#[must_use]
pub fn layout() -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(names().as_bytes());
    sum.update(&[PERMIT_WORDS, TERMS_WORDS, LANES].map(|words| words as u8));
    sum.finalize()
}

/// Without white space, which a compiler sets as it likes.
fn names() -> String {
    [STRUCTS, CHOICES].iter().flat_map(|text| text.split_whitespace()).collect()
}

/// Reads one value that is all of these bytes.
#[must_use]
pub fn whole<T: Bytes>(mut bytes: &[u8]) -> Option<T> {
    let value = T::take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

macro_rules! numbers {
    ($($name:ty),*) => { $(
        impl Bytes for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )* };
}

macro_rules! wrapped {
    ($($name:ident),*) => { $(
        impl Bytes for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                Bytes::take(from).map(Self)
            }
        }
    )* };
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {
        const STRUCTS: &str = stringify!($($name { $($field),* })*);
        $(
        impl Bytes for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                $(let $field = Bytes::take(from)?;)*
                Some(Self { $($field),* })
            }
        }
    )* };
}

macro_rules! choices {
    ($($name:ident { $($number:literal $choice:ident $(($($value:ident),*))? $({ $($field:ident),* })?),* })*) => {
        const CHOICES: &str =
            stringify!($($name { $($number $choice $(($($value),*))? $({ $($field),* })?),* })*);
        $(
        impl Bytes for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$choice $(($($value),*))? $({ $($field),* })? => {
                        out.push($number);
                        $($($value.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(match u8::take(from)? {
                    $($number => {
                        $($(let $value = Bytes::take(from)?;)*)?
                        $($(let $field = Bytes::take(from)?;)*)?
                        Self::$choice $(($($value),*))? $({ $($field),* })?
                    })*
                    _ => return None,
                })
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64, i32, i64, i128);
wrapped!(Amount, ClientId, InstrumentId, LinkId, Nanos, PairId, Price, Qty, Rate, Unix, VenueId);

structs! {
    Answer { client, instrument, received, verdict, order_id, counted, source }
    Asked { from, ask }
    Bind { spot, perp, margin }
    Counted { weight_1m, orders_10s, orders_long, retry_after_s }
    Fill { client, instrument, order_id, trade_id, side, price, qty, fee, fee_asset, at, source }
    Fired { sequence, pair, class, direction, decision, turn, slot, quotes, prices, bind, seen, legs, more }
    FiredLeg { client, instrument, side, qty, limit, reduce_only, stamp, handed, sent, wire, made, link }
    Headers { lane, counted, sent }
    Instrument {
        id, venue, leg, symbol, base, quote, price_decimals, qty_decimals, tick, lot, qty_min, qty_max,
        notional_min, reduce_only_exempt, price_range, taker_fee, buy_fee_in_base,
        band
    }
    Instruments { generation, instruments, pairs, left_out }
    LeftOut { leg, symbol, reason }
    Limit { lane, kind, window_ns, limit, header }
    Mark { instrument, mark, funding, next_funding, stamp, received }
    Opinion { pair, rate, direction, stated }
    Packets { second, rx_to_read_ns, wire_to_wire_ns }
    Pair { id, name, spot, perp, price_factor, size_factor }
    Pulse { pair, quotes, spread_ppb, weighed, gate }
    Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received, stamp }
    Refusal { code, kind }
    Spent { lane, weight, sent }
}

choices! {
    Ask {
        0 Status, 1 Why(pair), 2 Halt(why), 3 Resume(why), 4 Flatten(why), 5 Kill(why), 6 Grant { pair, qty }
    }
    Class { 0 Entry, 1 Exit, 2 Repair, 3 Flatten }
    Closed {
        0 NoQuote, 1 LinkQuiet, 2 StampOld, 3 Disagrees, 4 Crossed, 5 RatioOff, 6 TermsExpired, 7 NoLink, 8 Busy,
        9 Permit, 10 NoRoom, 11 Killed, 12 Thin, 13 NoClock, 14 Limit, 15 Late, 16 Dear, 17 Caps, 18 PriceRange,
        19 Unsized, 20 Small, 21 Ahead
    }
    Command {
        0 Free { pair },
        1 Unwind { pair, last, leg, side, qty, collar_ppm, sliced, edge, until },
        2 Complete { pair, last, leg, side, qty, worst, until },
        3 Proven { pair, client, executed, net }
    }
    Direction { 0 Short, 1 Long }
    Doubt { 0 Code(code), 1 Status(status), 2 Body, 3 LinkLost, 4 Silence }
    Feed {
        0 Quote(quote),
        1 Stamp { link, stamp, received },
        2 Alive { link, at },
        3 Live { link },
        4 Gone { link },
        5 Behind { link },
        6 Abreast { link }
    }
    Header { 0 Orders10s, 1 OrdersLong, 2 Weight1m }
    Kind { 0 Orders, 1 Raw, 2 Weight }
    LegKind { 0 Spot, 1 Perp }
    Made { 0 Prepared, 1 Signed, 2 Sealed }
    News {
        0 Instruments { instruments, limits },
        1 Marks(marks),
        2 Ready { venue },
        3 LinkUp { link, what },
        4 LinkDown { what, why },
        5 Spent(spent),
        6 Headers(headers),
        7 Refuse { why },
        8 Fail { why },
        9 Relisted { lane, instruments, shut, ending, limits },
        10 Settled { instrument, rows },
        11 Intervals(rows),
        12 Account { lines },
        13 Opinions { received, rows },
        14 Candles { instrument, rows },
        15 CalendarStepped { by_ns },
        16 ClocksLearned,
        17 ClockWrong { why }
    }
    RefusalKind {
        0 Auth, 1 Filter, 2 Funds, 3 ReduceOnly, 4 Stamp, 5 State, 6 Throttle, 7 Overload, 8 Band,
        9 Account
    }
    Side { 0 Buy, 1 Sell }
    Source { 0 Answer, 1 Query, 2 Stream, 3 Cancel }
    Told {
        0 Fired(fired),
        1 Fill(fill),
        2 Answer(answer),
        3 Trade { client, instrument, order_id, trade_id, qty },
        4 Pulse(pulse),
        5 Signal { pair, class, direction, decision, prices },
        6 Spent(spent),
        7 Headers(headers),
        8 CalledOff { pair },
        9 Latch { set, turn, at },
        10 Declined { pair, why },
        11 Packets(packets)
    }
    Verdict {
        0 Terminal { executed }, 1 Open { executed }, 2 Refused(refusal), 3 Duplicate, 4 NotFound, 5 Unknown(doubt)
    }
    Wire { 0 All, 1 Part, 2 Nothing }
}

impl Bytes for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Bytes for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Self::try_from(u64::take(from)?).ok()
    }
}

impl Bytes for VenueStamp {
    fn put(&self, out: &mut Vec<u8>) {
        self.at().put(out);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Self::new(Unix::take(from)?)
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<A: Bytes, B: Bytes> Bytes for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl<T: Bytes, const N: usize> Bytes for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(out));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut values = arrayvec::ArrayVec::<T, N>::new();
        for _ in 0..N {
            values.push(T::take(from)?);
        }
        values.into_inner().ok()
    }
}

impl<T: Bytes> Bytes for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|value| value.put(out));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let n = u32::take(from)?;
        // A length is not believed: nothing is set aside before it is there.
        (0..n).map(|_| T::take(from)).collect()
    }
}

impl Bytes for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let n = u32::take(from)? as usize;
        let (text, rest) = from.split_at_checked(n)?;
        *from = rest;
        Self::from_utf8(text.to_vec()).ok()
    }
}

impl<const N: usize> Bytes for ArrayString<N> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.len() as u8);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let n = usize::from(u8::take(from)?);
        let (text, rest) = from.split_at_checked(n)?;
        *from = rest;
        Self::from(std::str::from_utf8(text).ok()?).ok()
    }
}

impl<T: Bytes> Bytes for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        T::take(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::book::tests::one_pair;
    use proptest::prelude::*;
    use std::fmt::Debug;

    fn bytes<T: Bytes>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        value.put(&mut out);
        out
    }

    /// It reads back; a part of it, or more than it, is none.
    fn comes_back<T: Bytes + Debug>(value: &T) -> Vec<u8> {
        let mut out = bytes(value);
        let again: T = whole(&out).unwrap();
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
        for cut in 0..out.len() {
            assert!(whole::<T>(&out[..cut]).is_none(), "{value:?} cut at {cut}");
        }
        out.push(0);
        assert!(whole::<T>(&out).is_none());
        out.pop();
        out
    }

    fn fired() -> Fired {
        let leg = FiredLeg {
            client: ClientId(5_764_607_523_034_234_880),
            instrument: InstrumentId(1),
            side: Side::Sell,
            qty: Qty(-3),
            limit: Price(i64::MAX),
            reduce_only: true,
            stamp: Unix(-1),
            handed: Some(Nanos(8)),
            sent: Nanos(9),
            wire: Wire::Part,
            made: Made::Prepared,
            link: LinkId(7),
        };
        Fired {
            sequence: 1,
            pair: PairId(2),
            class: Class::Repair,
            direction: Direction::Long,
            decision: 3,
            turn: 4,
            slot: 5,
            quotes: [6, 7],
            prices: [Price(8), Price(-9)],
            bind: Bind { spot: 10, perp: 11, margin: 12 },
            seen: Nanos::NEVER,
            legs: [Some(leg), None],
            more: true,
        }
    }

    fn every_kind() -> Vec<Vec<u8>> {
        let quote = Quote {
            instrument: InstrumentId(1),
            link: LinkId(2),
            sequence: 3,
            bid: Price(4),
            bid_qty: Qty(5),
            ask: Price(6),
            ask_qty: Qty(7),
            received: Nanos(8),
            stamp: VenueStamp::new(Unix(9)),
        };
        let counted =
            Counted { weight_1m: Some(1), orders_10s: None, orders_long: Some(3), retry_after_s: None };
        let answer = |verdict| Answer {
            client: ClientId(1),
            instrument: InstrumentId(2),
            received: Nanos(3),
            verdict,
            order_id: 4,
            counted,
            source: Source::Query,
        };
        let refusal = Refusal { code: -2010, kind: RefusalKind::Funds };
        let fill = Fill {
            client: ClientId(1),
            instrument: InstrumentId(2),
            order_id: 3,
            trade_id: 4,
            side: Side::Buy,
            price: Price(5),
            qty: Qty(6),
            fee: Amount(-7),
            fee_asset: Asset::from("BNB").unwrap(),
            at: Unix(8),
            source: Source::Stream,
        };
        let pulse = Pulse {
            pair: PairId(1),
            quotes: [None, Some(quote)],
            spread_ppb: 2,
            weighed: [3; 4],
            gate: Some(Closed::Dear),
        };
        let (client, instrument, pair) = (ClientId(1), InstrumentId(2), PairId(3));
        let mut all: Vec<Vec<u8>> = [
            Feed::Quote(quote),
            Feed::Stamp { link: LinkId(1), stamp: Unix(2), received: Nanos(3) },
            Feed::Alive { link: LinkId(1), at: Nanos(2) },
            Feed::Live { link: LinkId(1) },
            Feed::Gone { link: LinkId(1) },
            Feed::Behind { link: LinkId(1) },
            Feed::Abreast { link: LinkId(1) },
        ]
        .iter()
        .map(comes_back)
        .collect();
        let spent = Spent { lane: 1, weight: 2, sent: Nanos(3) };
        let headers = Headers { lane: 1, counted, sent: Nanos(2) };
        let told = [
            Told::Fired(fired()),
            Told::Fill(fill),
            Told::Answer(answer(Verdict::Terminal { executed: Qty(1) })),
            Told::Answer(answer(Verdict::Open { executed: Qty(2) })),
            Told::Answer(answer(Verdict::Refused(refusal))),
            Told::Answer(answer(Verdict::Unknown(Doubt::Code(-1)))),
            Told::Answer(answer(Verdict::Unknown(Doubt::Status(503)))),
            Told::Trade { client, instrument, order_id: 3, trade_id: 4, qty: Qty(5) },
            Told::Pulse(pulse),
            Told::Signal {
                pair,
                class: Class::Exit,
                direction: Direction::Short,
                decision: 1,
                prices: [Price(2); 2],
            },
            Told::Spent(spent),
            Told::Headers(headers),
            Told::CalledOff { pair },
            Told::Latch { set: true, turn: 1, at: Nanos(2) },
            Told::Declined { pair, why: Closed::Late },
            Told::Packets(Packets { second: true, rx_to_read_ns: 1, wire_to_wire_ns: 2 }),
        ];
        all.extend(told.iter().map(comes_back));
        let last = (1, 2);
        let commands = [
            Command::Free { pair },
            Command::Unwind {
                pair,
                last,
                leg: LegKind::Spot,
                side: Side::Buy,
                qty: Qty(3),
                collar_ppm: 4,
                sliced: true,
                edge: Some(Price(5)),
                until: Nanos(6),
            },
            Command::Complete {
                pair,
                last,
                leg: LegKind::Perp,
                side: Side::Sell,
                qty: Qty(3),
                worst: Price(4),
                until: Nanos(5),
            },
            Command::Proven { pair, client: ClientId(6), executed: Qty(7), net: Amount(8) },
        ];
        all.extend(commands.iter().map(comes_back));
        let mark = Mark {
            instrument,
            mark: Price(1),
            funding: Some(Rate(-2)),
            next_funding: None,
            stamp: Unix(3),
            received: Nanos(4),
        };
        let limit =
            Limit { lane: 1, kind: Kind::Raw, window_ns: 2, limit: 3, header: Some(Header::Weight1m) };
        let instruments = Arc::new(Instruments {
            left_out: vec![LeftOut { leg: LegKind::Spot, symbol: "A".into(), reason: "b".into() }],
            ..one_pair()
        });
        let news = [
            News::Instruments { instruments, limits: vec![limit, limit] },
            News::Marks(vec![mark]),
            News::Ready { venue: VenueId(0) },
            News::Opinions {
                received: Nanos(1),
                rows: vec![
                    Opinion { pair, rate: Some(Rate(-2)), direction: Some(Direction::Long), stated: None },
                    Opinion { pair, rate: None, direction: None, stated: Some(Unix(3)) },
                ],
            },
            News::LinkUp { link: LinkId(1), what: "query".into() },
            News::LinkDown { what: "é".into(), why: String::new() },
            News::Fail { why: "x".into() },
        ];
        all.extend(news.iter().map(comes_back));
        all.push(comes_back(&Asked { from: 1, ask: Ask::Why("BTC".into()) }));
        all.push(comes_back(&Asked { from: 1, ask: Ask::Grant { pair: "BTC".into(), qty: Amount(2) } }));
        all
    }

    #[test]
    fn everything_comes_back_and_only_whole() {
        assert!(every_kind().len() > 25);
    }

    #[test]
    fn the_layout_names_every_field_and_choice() {
        let names = names();
        for part in
            ["Quote{instrument,link,sequence,bid,", "Side{0Buy,1Sell}", "1Unwind{pair,last,leg,side,qty,"]
        {
            assert!(names.contains(part), "{part} in {names}");
        }
        assert_ne!(layout(), crc32fast::hash(names.as_bytes()), "the cells count too");
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = whole::<Told>(&bytes);
            let _ = whole::<News>(&bytes);
            let _ = whole::<Command>(&bytes);
            let _ = whole::<Feed>(&bytes);
            let _ = whole::<Vec<(String, Asset)>>(&bytes);
        }
    }
}
