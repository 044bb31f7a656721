//! The byte form of what passes through rings, for session files.
//!
//! Owns:  one layout a type, in one place: little-endian numbers, one byte for a choice, lengths as `u32`.
//! Never: changes without `store::session::VERSION`; believes a byte it reads.
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
    ($($name:ident { $($field:ident),* })*) => { $(
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
    ($($name:ident { $($number:literal $choice:ident $(($($value:ident),*))? $({ $($field:ident),* })?),* })*) => { $(
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
    Counted { weight_1m, orders_10s, orders_long, retry_after_s }
    Fill { client, instrument, order_id, trade_id, side, price, qty, fee, fee_asset, at, source }
    Fired { sequence, pair, class, direction, decision, turn, slot, quotes, prices, seen, legs, more }
    FiredLeg { client, instrument, side, qty, limit, reduce_only, stamp, sent, wire, made, link }
    Headers { lane, counted, sent }
    Instrument {
        id, venue, leg, symbol, base, quote, price_decimals, qty_decimals, tick, lot, qty_min, qty_max,
        notional_min, reduce_only_exempt, price_range, taker_fee, buy_fee_in_base
    }
    Instruments { generation, instruments, pairs, left_out }
    Limit { lane, kind, window_ns, limit, header }
    Mark { instrument, mark, funding, next_funding, stamp, received }
    Pair { id, name, spot, perp, price_factor, size_factor }
    Pulse { pair, quotes, spread_ppb, weighed, gate }
    Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received }
    Refusal { code, kind }
    Spent { lane, weight, sent }
}

choices! {
    Ask {
        0 Status, 1 Why(pair), 2 Halt(why), 3 Resume(why), 4 Flatten(why), 5 Kill(why)
    }
    Class { 0 Entry, 1 Exit, 2 Repair, 3 Flatten }
    Closed {
        0 NoQuote, 1 LinkQuiet, 2 StampOld, 3 Disagrees, 4 Crossed, 5 RatioOff, 6 TermsExpired, 7 NoLink, 8 Busy,
        9 Permit, 10 NoRoom, 11 Killed, 12 Thin, 13 NoClock, 14 Limit, 15 Late, 16 Dear
    }
    Command {
        0 Free { pair },
        1 Unwind { pair, last, leg, side, qty, collar_ppm },
        2 Complete { pair, last, leg, side, qty, worst, until }
    }
    Direction { 0 Short, 1 Long }
    Doubt { 0 Code(code), 1 Status(status), 2 Body, 3 LinkLost, 4 Silence }
    Feed {
        0 Quote(quote),
        1 Stamp { link, venue, leg, stamp, received },
        2 Alive { link, at },
        3 Live { link },
        4 Gone { link }
    }
    Header { 0 Orders10s, 1 OrdersLong, 2 Weight1m }
    Kind { 0 Orders, 1 Raw, 2 Weight }
    LegKind { 0 Spot, 1 Perp }
    Made { 0 Prepared, 1 Signed }
    News {
        0 Instruments { instruments, limits },
        1 Marks(marks),
        2 Ready { venue },
        3 LinkUp { link, what },
        4 LinkDown { what, why },
        5 Spent(spent),
        6 Headers(headers),
        7 Refuse { why },
        8 Fail { why }
    }
    RefusalKind {
        0 Auth, 1 Filter, 2 Funds, 3 ReduceOnly, 4 Stamp, 5 State, 6 Throttle, 7 Overload
    }
    Side { 0 Buy, 1 Sell }
    Source { 0 Answer, 1 Query, 2 Stream }
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
        10 Declined { pair, why }
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
