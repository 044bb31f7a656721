//! The bare path: open, frame, decode, compare, pick, send. What an engine's own work is measured against.
//!
//! Owns:  the shortest way from a quote's ciphertext to two orders that lie sealed, by the engine's own records and
//!        decoder; and how long it took in this process, from the `recv` that brought the quote to the first `send`.
//! Never: keeps a book, asks a gate, writes an intent, or counts anything; its orders are refused, as the floors'.

use super::Fault;
use super::floor::{ANSWERS, WARM_EVERY, dial, order, private_socket, subscribe};
use contango::event::{Fold, Instruments};
use contango::metal::clock::Clock;
use contango::metal::dial::Dialer;
use contango::metal::link::{Link, Sealed};
use contango::metal::tls::TlsTrust;
use contango::units::{LegKind, Price};
use contango::venue::binance::VENUE;
use contango::venue::{Heard, Scratch, Symbols, pair_up};
use contango::wire::ws;
use serde_json::Value;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

/// Turns without a quote from one look at the way of the next to another: as often as the reader does.
const DRY_EVERY: u32 = 16;
/// The longest message that is read.
const MESSAGE_MAX: usize = 1 << 20;
/// Prices that lie further apart than 1/400 are those of both ends of a trial, which are 51 bp apart.
const APART: i64 = 400;
/// Compares a price with another as it is.
const EVEN: Fold = Fold { mantissa: 1 << 62, shift: 62 };
/// The venue's own lists, as recorded: what a symbol means.
const LISTINGS: [&[u8]; 2] = [
    include_bytes!("../../tests/fixtures/binance/spot_rest_exchange_info.json"),
    include_bytes!("../../tests/fixtures/binance/futures_rest_exchange_info.json"),
];

/// Runs until killed; each fire's nanoseconds are a line of `out`.
pub fn run(ready: &Value, out: &Path) -> Result<(), Fault> {
    let at = &ready["venues"]["binance"];
    let url = |name: &str| at[name].as_str().unwrap_or_default();
    let trust = TlsTrust::from_pem(&std::fs::read(ready["ca"].as_str().unwrap_or_default())?)?;
    let clock = Clock::real();
    let mut dialer = Dialer::real(trust)?;
    let mut feed = dial(&mut dialer, url("usdm_ws"))?;
    let mut orders = [dial(&mut dialer, url("spot_rest"))?, dial(&mut dialer, url("usdm_rest"))?];
    orders.iter_mut().for_each(Link::stamp_sends);
    let bytes = [order("/api/v3/order", "BUY"), order("/fapi/v1/order", "SELL")];
    subscribe(&mut feed)?;

    let (mut path, mut sealed) = (Bare::new()?, [None, None]);
    let mut warm = private_socket()?;
    let mut took = File::create(out)?;
    let (mut fired, mut warmed) = (Instant::now(), Instant::now());
    let mut after = true;
    let mut last = None;
    loop {
        if feed.recv()? > 0 {
            if path.crossed(&mut feed)? {
                fire(&mut orders, &mut sealed, &bytes)?;
                last = feed.seen().zip(orders[0].handed());
                (fired, after) = (Instant::now(), true);
            }
        } else {
            if after {
                for link in &mut orders {
                    link.recv()?;
                    link.consume(link.inbound().len());
                }
                if fired.elapsed() > ANSWERS {
                    after = false;
                    if let Some((seen, handed)) = last.take() {
                        writeln!(took, "{}", clock.at(handed).since(clock.at(seen)))?;
                    }
                    for (at, link) in orders.iter_mut().enumerate() {
                        sealed[at] = link.seal_ahead(&bytes[at], None);
                    }
                }
            }
            path.stand_by(&feed, &orders, &sealed);
        }
        if warmed.elapsed() > WARM_EVERY {
            warm.0.write_all(b"w")?;
            warm.1.read_exact(&mut [0])?;
            warmed = Instant::now();
        }
    }
}

/// From bytes to a decision.
pub struct Bare {
    symbols: Symbols,
    scratch: Scratch,
    /// Whichever end it heard first, the line between them is known once it has heard both.
    low: Price,
    high: Price,
    above: bool,
    /// Turns without a quote.
    still: u32,
}

impl Bare {
    pub fn new() -> Result<Self, Fault> {
        let symbols = Symbols::new(&instruments()?, VENUE.id);
        Ok(Self {
            symbols,
            scratch: Scratch::default(),
            low: Price::MAX,
            high: Price(0),
            above: false,
            still: 0,
        })
    }

    /// A turn without a quote: now and then its way is gone as far as nothing comes of it, as the rooms do.
    pub fn stand_by(&mut self, feed: &Link, orders: &[Link; 2], sealed: &[Option<Sealed>; 2]) {
        self.still = self.still.wrapping_add(1);
        if !self.still.is_multiple_of(DRY_EVERY) {
            return;
        }
        if let Ok(Some(frame)) = ws::next(feed.dry_recv(), MESSAGE_MAX) {
            let heard = (VENUE.decode)(&mut self.scratch, &self.symbols, LegKind::Perp, frame.payload);
            let _ = black_box(heard);
        }
        for (link, sealed) in orders.iter().zip(sealed) {
            black_box(sealed.as_ref().is_some_and(|sealed| link.warm(sealed)));
        }
    }

    /// Takes in what the feed holds; whether the newest of it lies on the other side of the line.
    #[inline]
    pub fn crossed(&mut self, feed: &mut Link) -> Result<bool, Fault> {
        let mut newest = None;
        while let Some(frame) = ws::next(feed.inbound(), MESSAGE_MAX)? {
            match (VENUE.decode)(&mut self.scratch, &self.symbols, LegKind::Perp, frame.payload)? {
                Heard::Quote { bid, .. } => newest = Some(bid),
                other => eprintln!("passed over: {other:?}"),
            }
            let used = frame.used;
            feed.consume(used);
        }
        let Some(bid) = newest else { return Ok(false) };
        (self.low, self.high) = (self.low.min(bid), self.high.max(bid));
        let line = Price(self.low.0 + (self.high.0 - self.low.0) / 2);
        let crossed = self.high.0 - self.low.0 > self.low.0 / APART && EVEN.at_least(bid, line) != self.above;
        self.above ^= crossed;
        Ok(crossed)
    }
}

/// Hands both orders to the kernel, as they lie sealed where they do.
#[inline]
pub fn fire(
    orders: &mut [Link; 2],
    sealed: &mut [Option<Sealed>; 2],
    bytes: &[Vec<u8>; 2],
) -> Result<(), Fault> {
    for (at, link) in orders.iter_mut().enumerate() {
        match sealed[at].take() {
            Some(ready) => drop(link.send_sealed(ready)?),
            None => drop(link.send(&bytes[at])?),
        }
    }
    Ok(())
}

/// The one pair of the bench.
pub fn instruments() -> Result<Instruments, Fault> {
    let mut listings = Vec::new();
    for (leg, body) in LegKind::BOTH.into_iter().zip(LISTINGS) {
        listings.push((VENUE.read_listing)(leg, &mut body.to_vec())?);
    }
    Ok(pair_up(1, &listings, Some(&["BTCUSDT".to_owned()]))?)
}
