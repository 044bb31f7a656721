//! Tops of book, and what is known of the sockets that bring them.
//!
//! Owns:  the latest quote of each instrument, each feed socket's signs of life, and slow means of
//!        basis and spread per pair.
//! Never: judges: `gate` does. Never believes a quote whose sequence runs backwards, or what another socket told before.
//! Why:   on event-driven feeds a quiet book is silent, so freshness is a property of the socket
//!        and of agreement with the other leg, not of the quote's age (DESIGN §5).

use super::basis::Scales;
use crate::event::{Feed, Instruments, Quote, VenueStamp};
use crate::units::time::{MS, SEC};
use crate::units::{InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Ratio, Unix};
use arrayvec::ArrayVec;

/// Pairs one instrument may serve: one per venue and direction of crossing.
pub const PAIRS_PER_INSTRUMENT: usize = 4;

/// How often the slow means take a sample.
const SAMPLE_NS: u64 = 100 * MS;
/// A slow mean moves by 1/64 of the gap each sample: a memory of about 6 s.
const MEAN_SHIFT: u32 = 6;

/// Stamps of one socket's messages run backwards by so much at most, in ns: those of its symbols are made apart.
const DISORDER_NS: i64 = 5 * SEC as i64;

/// What a feed socket has shown of itself.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    /// Which.
    pub link: LinkId,
    /// Whether its subscriptions were confirmed.
    pub live: bool,
    /// When bytes, or the answer to our ping, last came.
    pub heard: Nanos,
    /// The newest stamped message: the venue's stamp and when it was read.
    pub stamped: Option<(Unix, Nanos)>,
}

impl Socket {
    /// It brought something at `now`, stamped or not.
    #[inline]
    fn hear(&mut self, stamp: Option<Unix>, now: Nanos) {
        self.heard = now;
        let Some(stamp) = stamp else { return };
        // A connection keeps the order of what it carries. Where a stamp is older by far than one before it, one of
        // the two is absurd, and if it was the first nothing would ever be newer (FAULTS F7).
        let is_newest =
            |(newest, _): (Unix, _)| stamp >= newest || stamp.0.saturating_add(DISORDER_NS) < newest.0;
        if self.stamped.is_none_or(is_newest) {
            self.stamped = Some((stamp, now));
        }
    }
}

/// Slow means of one pair, in parts per billion; `None` before the first sample.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    basis_ppb: Option<i64>,
    spread_ppb: Option<i64>,
    sampled: Nanos,
}

/// All tops of book of one generation of instruments.
#[derive(Debug, Default)]
pub struct Books {
    tops: Vec<Option<Quote>>,
    /// Which other socket told the very same top, later.
    also: Vec<Option<LinkId>>,
    sockets: Vec<Socket>,
    pairs_of: Vec<ArrayVec<PairId, PAIRS_PER_INSTRUMENT>>,
    legs: Vec<[InstrumentId; 2]>,
    scales: Vec<Option<Scales>>,
    slow: Vec<Slow>,
    /// Quotes refused because their sequence ran backwards.
    pub backwards: u64,
}

impl Books {
    /// Empty books for a generation.
    #[must_use]
    pub fn new(instruments: &Instruments) -> Self {
        let mut pairs_of = vec![ArrayVec::new(); instruments.instruments.len()];
        for pair in &instruments.pairs {
            for leg in [pair.spot, pair.perp] {
                // A fifth pair on one instrument is left out of the books, so it can never trade.
                let _ = pairs_of[usize::from(leg.0)].try_push(pair.id);
            }
        }
        Self {
            tops: vec![None; instruments.instruments.len()],
            also: vec![None; instruments.instruments.len()],
            sockets: Vec::with_capacity(32),
            pairs_of,
            legs: instruments.pairs.iter().map(|p| [p.spot, p.perp]).collect(),
            scales: instruments
                .pairs
                .iter()
                .map(|p| Scales::new(p, instruments.get(p.spot), instruments.get(p.perp)))
                .collect(),
            slow: vec![Slow::default(); instruments.pairs.len()],
            backwards: 0,
        }
    }

    /// Takes in what the reader told; a new top of book names its instrument.
    #[inline(never)] // one body for real books and those of dry fires: the one warms the other's instructions
    pub fn on(&mut self, feed: &Feed) -> Option<InstrumentId> {
        match *feed {
            Feed::Quote(quote) => return self.on_quote(quote),
            Feed::Stamp { link, stamp, received } => self.socket_mut(link).hear(Some(stamp), received),
            Feed::Alive { link, at } => self.socket_mut(link).heard = at,
            Feed::Live { link } => self.socket_mut(link).live = true,
            Feed::Gone { link } => self.sockets.retain(|s| s.link != link),
            Feed::Behind { .. } | Feed::Abreast { .. } => {}
        }
        None
    }

    fn on_quote(&mut self, quote: Quote) -> Option<InstrumentId> {
        self.socket_mut(quote.link).hear(quote.stamp.map(VenueStamp::at), quote.received);
        let at = usize::from(quote.instrument.0);
        let last = *self.tops.get(at)?;
        if let Some(last) = last.filter(|last| quote.sequence <= last.sequence)
            && self.is_old(&quote, &last)
        {
            return None;
        }
        self.tops[at] = Some(quote);
        self.also[at] = None;
        for at in 0..self.pairs_of[at].len() {
            self.sample(self.pairs_of[usize::from(quote.instrument.0)][at], quote.received);
        }
        Some(quote.instrument)
    }

    /// Whether a quote that is no newer than the last is to be dropped. Where the socket of the last is gone, its
    /// successor is believed: after a venue's own restart sequences may begin anew.
    #[cold]
    fn is_old(&mut self, quote: &Quote, last: &Quote) -> bool {
        let backwards = quote.sequence < last.sequence;
        if quote.link == last.link {
            self.backwards += u64::from(backwards);
            return backwards;
        }
        let beaten = self.socket(last.link).is_some();
        if beaten && !backwards {
            self.also[usize::from(quote.instrument.0)] = Some(quote.link);
        }
        beaten
    }

    /// The other socket that told the present top of an instrument, if one did.
    #[must_use]
    pub fn also(&self, instrument: InstrumentId) -> Option<LinkId> {
        *self.also.get(usize::from(instrument.0))?
    }

    /// The latest quote of an instrument.
    #[inline]
    #[must_use]
    pub fn top(&self, instrument: InstrumentId) -> Option<&Quote> {
        self.tops.get(usize::from(instrument.0))?.as_ref()
    }

    /// The latest quotes of a pair: spot, perp.
    #[inline]
    #[must_use]
    pub fn tops(&self, pair: PairId) -> [Option<&Quote>; 2] {
        let [spot, perp] = self.legs[usize::from(pair.0)];
        [self.top(spot), self.top(perp)]
    }

    /// The pairs an instrument serves.
    #[inline]
    #[must_use]
    pub fn pairs_of(&self, instrument: InstrumentId) -> &[PairId] {
        &self.pairs_of[usize::from(instrument.0)]
    }

    /// What makes a pair's prices comparable; `None` if nothing does.
    #[inline]
    #[must_use]
    pub fn scales(&self, pair: PairId) -> Option<Scales> {
        self.scales[usize::from(pair.0)]
    }

    /// What a socket has shown of itself; `None` if it is gone.
    #[must_use]
    pub fn socket(&self, link: LinkId) -> Option<&Socket> {
        self.sockets.iter().find(|s| s.link == link)
    }

    /// Slow mean of the executable mid basis, parts per billion.
    #[must_use]
    pub fn mean_basis_ppb(&self, pair: PairId) -> Option<i64> {
        self.slow[usize::from(pair.0)].basis_ppb
    }

    /// Slow mean of both spreads together, parts per billion of the price.
    #[must_use]
    pub fn mean_spread_ppb(&self, pair: PairId) -> Option<i64> {
        self.slow[usize::from(pair.0)].spread_ppb
    }

    #[inline]
    fn socket_mut(&mut self, link: LinkId) -> &mut Socket {
        let known = self.sockets.iter().position(|s| s.link == link);
        let at = known.unwrap_or_else(|| self.add(link));
        &mut self.sockets[at]
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, link: LinkId) -> usize {
        self.sockets.push(Socket { link, live: false, heard: Nanos::ZERO, stamped: None });
        self.sockets.len() - 1
    }

    #[inline]
    fn sample(&mut self, pair: PairId, now: Nanos) {
        let slow = self.slow[usize::from(pair.0)];
        if slow.basis_ppb.is_none() || now.since(slow.sampled) >= SAMPLE_NS {
            self.sample_now(pair, slow, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn sample_now(&mut self, pair: PairId, slow: Slow, now: Nanos) {
        let ([Some(spot), Some(perp)], Some(scales)) = (self.tops(pair), self.scales(pair)) else { return };
        let Some(basis) = scales.basis(mid(perp), mid(spot)) else { return };
        let spread = |q: &Quote| {
            (i128::from(q.ask.0 - q.bid.0) * 1_000_000_000).checked_div(i128::from(mid(q).0)).unwrap_or(0)
        };
        let spread = i64::try_from(spread(spot) + spread(perp)).unwrap_or(i64::MAX);
        let basis = (basis * Ratio::from_num(1_000_000_000)).to_num::<i64>();
        let moved = |mean: Option<i64>, sample: i64| {
            mean.map_or(sample, |mean| mean.saturating_add(sample.saturating_sub(mean) >> MEAN_SHIFT))
        };
        self.slow[usize::from(pair.0)] = Slow {
            basis_ppb: Some(moved(slow.basis_ppb, basis)),
            spread_ppb: Some(moved(slow.spread_ppb, spread)),
            sampled: now,
        };
    }
}

/// The middle of a quote, rounded down.
#[must_use]
pub fn mid(quote: &Quote) -> Price {
    Price(quote.bid.0 + (quote.ask.0 - quote.bid.0) / 2)
}

/// The touch a side trades against: the ask for a buy, the bid for a sell.
#[inline]
#[must_use]
pub fn touch(quote: &Quote, side: crate::units::Side) -> (Price, crate::units::Qty) {
    match side {
        crate::units::Side::Buy => (quote.ask, quote.ask_qty),
        crate::units::Side::Sell => (quote.bid, quote.bid_qty),
    }
}

/// The index of a leg in `[spot, perp]` arrays.
#[must_use]
pub const fn at(leg: LegKind) -> usize {
    leg as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::units::Qty;

    /// One pair, tick 0.01 on spot and 0.1 on the perp, lots 0.00001 and 0.001.
    pub(crate) fn one_pair() -> Instruments {
        Instruments::one_pair("BTC".try_into().unwrap())
    }

    pub(crate) fn quote(instrument: u16, sequence: u64, bid: i64, ask: i64, received: Nanos) -> Quote {
        Quote {
            instrument: InstrumentId(instrument),
            link: LinkId(u32::from(instrument)),
            sequence,
            bid: Price(bid),
            bid_qty: Qty(1_000_000),
            ask: Price(ask),
            ask_qty: Qty(1_000_000),
            received,
            stamp: None,
        }
    }

    #[test]
    fn an_older_sequence_on_the_same_socket_is_not_believed() {
        let mut books = Books::new(&one_pair());
        assert!(books.on(&Feed::Quote(quote(0, 7, 100, 101, Nanos(1)))).is_some());
        assert!(books.on(&Feed::Quote(quote(0, 6, 90, 91, Nanos(2)))).is_none());
        assert_eq!(books.top(InstrumentId(0)).unwrap().bid, Price(100));
        assert_eq!(books.backwards, 1);
    }

    #[test]
    fn of_two_sockets_the_first_to_tell_wins_and_the_other_vouches_for_it() {
        let mut books = Books::new(&one_pair());
        let told = |link: u32, sequence, bid, at| {
            Feed::Quote(Quote { link: LinkId(link), ..quote(0, sequence, bid, bid + 1, Nanos(at)) })
        };
        assert!(books.on(&told(7, 1, 100, 1)).is_some());
        assert!(books.on(&told(8, 1, 100, 2)).is_none(), "told already");
        assert_eq!(books.also(InstrumentId(0)), Some(LinkId(8)));
        assert!(books.on(&told(8, 2, 101, 3)).is_some(), "the second socket is the first now");
        assert_eq!(books.also(InstrumentId(0)), None);
        assert!(books.on(&told(7, 1, 90, 4)).is_none(), "older");
        assert_eq!((books.also(InstrumentId(0)), books.backwards), (None, 0));
        let top = books.top(InstrumentId(0)).unwrap();
        assert_eq!((top.bid, top.received), (Price(101), Nanos(3)));
        books.on(&Feed::Gone { link: LinkId(8) });
        assert!(books.on(&told(9, 1, 95, 5)).is_some(), "whoever follows a socket that is gone is believed");
    }

    #[test]
    fn means_follow_slowly() {
        let mut books = Books::new(&one_pair());
        books.on(&Feed::Quote(quote(0, 1, 4_000_000, 4_000_000, Nanos(1))));
        books.on(&Feed::Quote(quote(1, 1, 400_400, 400_400, Nanos(2))));
        assert_eq!(books.mean_basis_ppb(PairId(0)), Some(1_000_000 - 1), "10 bp, rounded down");
        books.on(&Feed::Quote(quote(1, 2, 404_000, 404_000, Nanos(3))));
        assert_eq!(books.mean_basis_ppb(PairId(0)), Some(1_000_000 - 1), "not sampled again within 100 ms");
        books.on(&Feed::Quote(quote(1, 3, 404_000, 404_000, Nanos(200 * MS))));
        let mean = books.mean_basis_ppb(PairId(0)).unwrap();
        assert!((1_100_000..1_200_000).contains(&mean), "moved by 1/64 of 90 bp: {mean}");
    }

    /// An exit pays both spreads: a threshold folds them in.
    #[test]
    fn the_mean_spread_is_of_both_legs_together() {
        let mut books = Books::new(&one_pair());
        books.on(&Feed::Quote(quote(0, 1, 3_999_800, 4_000_200, Nanos(1))));
        books.on(&Feed::Quote(quote(1, 1, 399_990, 400_010, Nanos(2))));
        assert_eq!(books.mean_spread_ppb(PairId(0)), Some(100_000 + 50_000), "1 bp and half a one");
    }
}
