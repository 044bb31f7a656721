//! The public half of paper trading: a venue's own quotes, marks and settlements, on their way into the box.
//!
//! Owns:  a clerk and a reader without a key on a thread of their own, and turning what they bring into the box's
//!        input types.
//! Never: holds a key, signs, or opens a private stream or an order link: there is nothing to sign with.

use super::boot::BootError;
use crate::agents::clerk::history::READ_BACK_NS;
use crate::agents::clerk::{Clerk, ClerkDoors, ClerkSettings, Target};
use crate::agents::reader::{Reader, ReaderDoors};
use crate::event::{Feed, Instrument, Instruments, LANES, Mark, News, Offsets, READS_WORDS, Reads};
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::entropy::Entropy;
use crate::metal::latch::Latch;
use crate::metal::latest::{Writer, latest};
use crate::metal::ring::{Consumer, ring};
use crate::metal::runner::{self, Agent, Idle};
use crate::metal::tls::TlsTrust;
use crate::sim::{Fed, FedSymbol, Market};
use crate::simnet::Feeder;
use crate::units::{Amount, InstrumentId, LegKind, Nanos, Price, Qty, Rate};
use crate::venue::Orders;
use crate::venue::standing::Wants;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Quotes and marks between reader and box.
const FEED_SLOTS: usize = 1 << 14;
/// Links, dead links, news, instruments.
const OTHER_SLOTS: usize = 1 << 10;
/// What is handed over at once, at most.
const BATCH_MAX: usize = 1 << 12;
/// A venue that has not told what trades, and when it settles, within this is down.
const LISTING_WITHIN: Duration = Duration::from_secs(90);
/// Decimals of the box's own numbers.
const BOX_DECIMALS: u32 = 8;

/// The running half.
pub(super) struct Tee {
    thread: JoinHandle<Watch>,
    stop: Latch,
    feeders: Sender<Feeder>,
    /// What trades, in the box's terms.
    pub(super) symbols: Vec<FedSymbol>,
}

impl Tee {
    /// Dials the venue's public side and waits until it has told what trades, and when that settles.
    ///
    /// # Errors
    ///
    /// What keeps the venue's public data from being read, and what to do.
    pub(super) fn start(
        mut target: Target,
        trust: TlsTrust,
        wanted: Option<Vec<String>>,
    ) -> Result<Self, BootError> {
        // Whoever holds no key can sign nothing.
        target.key = None;
        let clock = Clock::real();
        let stop = Latch::new();
        let (told, heard) = channel();
        let (feeders, arrivals) = channel();
        let dialer = Dialer::real(trust).map_err(BootError::failed)?;
        let watch = Watch::new(target, wanted, &clock, dialer, told, arrivals);
        let thread =
            runner::spawn("tee", None, Idle::Park, clock, stop.clone(), watch).map_err(BootError::failed)?;
        let symbols = match heard.recv_timeout(LISTING_WITHIN) {
            Ok(Ok(symbols)) => symbols,
            other => {
                stop.set();
                let _ = thread.join();
                let why = match other {
                    Ok(Err(why)) => why,
                    Err(RecvTimeoutError::Timeout) => {
                        "the venue did not tell what trades and when it settles; is it down?".to_owned()
                    }
                    _ => "the thread that reads the venue has died; its last words are above".to_owned(),
                };
                return Err(BootError::failed(why));
            }
        };
        Ok(Self { thread, stop, feeders, symbols })
    }

    /// Everything that comes goes to this box from now on.
    pub(super) fn feed(&self, feeder: Feeder) {
        // It fails only when the thread is gone: then no quote comes, and the engine's gate closes.
        let _ = self.feeders.send(feeder);
    }

    /// Hangs up.
    pub(super) fn stop(self) {
        self.stop.set();
        let _ = self.thread.join();
    }
}

/// The agent of that thread.
struct Watch {
    clerk: Clerk,
    reader: Reader,
    news: Consumer<News>,
    feed: Consumer<Feed>,
    marks: Consumer<Mark>,
    /// Keeps the clerk's leave to ask alive.
    _reads: Writer<READS_WORDS>,
    instruments: Arc<Instruments>,
    /// The box's number of an instrument, where it has one.
    places: Vec<Option<usize>>,
    /// What trades, until it is known by which intervals it settles.
    listed: Option<Vec<FedSymbol>>,
    told: Sender<Result<Vec<FedSymbol>, String>>,
    arrivals: Receiver<Feeder>,
    feeder: Option<Feeder>,
    waiting: Vec<Fed>,
}

impl Watch {
    fn new(
        target: Target,
        wanted: Option<Vec<String>>,
        clock: &Clock,
        dialer: Dialer,
        told: Sender<Result<Vec<FedSymbol>, String>>,
        arrivals: Receiver<Feeder>,
    ) -> Self {
        let (to_reader, reader_arrivals) = ring(OTHER_SLOTS);
        let (to_trader, _) = ring(OTHER_SLOTS);
        let (to_shadow, _) = ring(OTHER_SLOTS);
        let (reader_dead, dead_reader) = ring(OTHER_SLOTS);
        let ((_, dead_trader), (_, dead_shadow)) = (ring(OTHER_SLOTS), ring(OTHER_SLOTS));
        let ((loaded_a, _), (loaded_b, _)) = (ring(2), ring(2));
        let (news_in, news) = ring(OTHER_SLOTS);
        let (feed_in, feed) = ring(FEED_SLOTS);
        let (marks_in, marks) = ring(FEED_SLOTS);
        let (offsets, _) = latest::<LANES>(Offsets::default().to_words());
        // Two listings, all marks once, the time twice a minute, and of funding what its own pool has room for: far
        // below any limit, and what the venue asks to be left alone for is heeded by the clerk itself.
        let leave = Reads { quiet: [Nanos::ZERO; LANES], weight: [u64::MAX / 2; LANES], relist: 0 };
        let (reads_in, reads) = latest::<READS_WORDS>(Reads::default().to_words());
        let mut reads_in = reads_in;
        reads_in.publish(leave.to_words());
        let settings = ClerkSettings {
            target,
            rooms: true,
            read_back_ns: READ_BACK_NS,
            candles: false,
            wanted,
            known: Vec::new(),
            live: false,
            order_links: 0,
            orders: Orders::Rest,
            feed_links: 1,
            binary: false,
            wants: Wants { leverage: 0, test: false },
            recv_window_ms: 1_000,
        };
        let doors = ClerkDoors {
            to_reader,
            to_trader,
            to_shadow,
            dead: [dead_reader, dead_trader, dead_shadow],
            loaded: [loaded_a, loaded_b],
            news: news_in,
            offsets: vec![offsets],
            reads,
        };
        let reader = ReaderDoors {
            arrivals: reader_arrivals,
            dead: reader_dead,
            feed: feed_in,
            marks: marks_in,
            packets: None,
        };
        Self {
            clerk: Clerk::new(settings, doors, clock.clone(), dialer, Entropy::real()),
            reader: Reader::new(reader, clock.clone(), Entropy::real(), true),
            news,
            feed,
            marks,
            _reads: reads_in,
            instruments: Arc::default(),
            places: Vec::new(),
            listed: None,
            told,
            arrivals,
            feeder: None,
            waiting: Vec::new(),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Instruments { instruments, .. } => {
                let (symbols, places) = listed(&instruments);
                (self.instruments, self.places) = (instruments, places);
                self.listed = Some(symbols);
            }
            News::Intervals(rows) => self.intervals(&rows),
            News::Settled { instrument, rows } => {
                let Some((_, symbol)) = self.place(usize::from(instrument.0)) else { return };
                for (at, rate) in rows {
                    let Ok(time_ms) = u64::try_from(at.0 / 1_000_000) else { continue };
                    self.waiting.push(Fed::Settled { symbol, time_ms, rate: e8(rate) });
                }
            }
            News::Marks(marks) => marks.iter().for_each(|mark| self.mark(mark)),
            News::Refuse { why } | News::Fail { why } => {
                let _ = self.told.send(Err(why));
            }
            _ => {}
        }
    }

    /// A perp's interval is part of what the box begins with; later ones are fed as they change.
    fn intervals(&mut self, rows: &[(InstrumentId, u32)]) {
        let mut first = self.listed.take();
        for (instrument, hours) in rows {
            let Some((_, symbol)) = self.place(usize::from(instrument.0)) else { continue };
            let hours = u64::from(*hours);
            match &mut first {
                Some(symbols) => symbols[symbol].interval_h = hours,
                None => self.waiting.push(Fed::Interval { symbol, hours }),
            }
        }
        if let Some(symbols) = first {
            let _ = self.told.send(Ok(symbols));
        }
    }

    fn place(&self, at: usize) -> Option<(&Instrument, usize)> {
        Some((self.instruments.instruments.get(at)?, (*self.places.get(at)?)?))
    }

    fn mark(&mut self, mark: &Mark) {
        let Some((row, symbol)) = self.place(usize::from(mark.instrument.0)) else { return };
        let Some(price) = price(mark.mark, row) else { return };
        let next = mark.next_funding.map_or(0, |at| u64::try_from(at.0 / 1_000_000).unwrap_or(0));
        let rate = mark.funding.map(e8);
        self.waiting.push(Fed::Mark { symbol, mark: price, rate, next_funding_ms: next });
    }

    fn quote(&mut self, item: &Feed) {
        let Feed::Quote(quote) = item else { return };
        let Some((row, symbol)) = self.place(usize::from(quote.instrument.0)) else { return };
        let level = |at, size| Some((price(at, row)?, qty(size, row)?));
        let (Some(bid), Some(ask)) = (level(quote.bid, quote.bid_qty), level(quote.ask, quote.ask_qty))
        else {
            return;
        };
        self.waiting.push(Fed::Quote { symbol, sequence: quote.sequence, bid, ask });
    }
}

impl Agent for Watch {
    fn do_work(&mut self, now: Nanos) -> usize {
        let mut work = self.clerk.do_work(now) + self.reader.do_work(now);
        while let Some(news) = self.news.pop() {
            work += 1;
            self.hear(news);
        }
        while self.waiting.len() < BATCH_MAX
            && let Some(mark) = self.marks.pop()
        {
            self.mark(&mark);
        }
        while self.waiting.len() < BATCH_MAX
            && let Some(item) = self.feed.pop()
        {
            self.quote(&item);
        }
        if let Ok(feeder) = self.arrivals.try_recv() {
            self.feeder = Some(feeder);
        }
        if let Some(feeder) = self.feeder.as_ref().filter(|_| !self.waiting.is_empty()) {
            work += self.waiting.len();
            feeder.feed(std::mem::take(&mut self.waiting));
        }
        work
    }
}

/// The legs of every pair in the box's terms, and where each instrument is among them. A leg whose numbers do not
/// fit into the box's is left out, and its pair with it.
fn listed(instruments: &Instruments) -> (Vec<FedSymbol>, Vec<Option<usize>>) {
    let mut symbols = Vec::new();
    let mut places = vec![None; instruments.instruments.len()];
    for pair in &instruments.pairs {
        let legs = [instruments.get(pair.spot), instruments.get(pair.perp)];
        let [Some(spot), Some(perp)] = legs.map(|row| fed(row, pair.price_factor)) else { continue };
        for (mut symbol, row) in [spot, perp].into_iter().zip(legs) {
            let at = symbols.len();
            // The legs of a pair stand beside each other.
            symbol.twin = Some(at ^ 1);
            places[usize::from(row.id.0)] = Some(at);
            symbols.push(symbol);
        }
    }
    (symbols, places)
}

fn fed(row: &Instrument, price_factor: i64) -> Option<FedSymbol> {
    let spot = row.leg == LegKind::Spot;
    let unit = 10i128.pow(u32::from(Amount::SCALE) - BOX_DECIMALS);
    Some(FedSymbol {
        market: if spot { Market::Spot } else { Market::Usdm },
        name: row.symbol.to_string(),
        base: row.base.to_string(),
        tick: price(row.tick, row)?,
        step: qty(row.lot, row)?,
        max_qty: qty(row.qty_max, row).unwrap_or(i64::MAX / 2),
        min_notional: i64::try_from((row.notional_min.0 + unit - 1) / unit).ok()?,
        multiplier: if spot { 1 } else { price_factor },
        twin: None,
        interval_h: 0,
    })
}

fn e8(rate: Rate) -> i64 {
    rate.0 / 10i64.pow(u32::from(Rate::SCALE) - BOX_DECIMALS)
}

fn price(price: Price, row: &Instrument) -> Option<i64> {
    price.0.checked_mul(10i64.checked_pow(BOX_DECIMALS.checked_sub(u32::from(row.price_decimals))?)?)
}

fn qty(qty: Qty, row: &Instrument) -> Option<i64> {
    qty.0.checked_mul(10i64.checked_pow(BOX_DECIMALS.checked_sub(u32::from(row.qty_decimals))?)?)
}
