//! Quotes: into the books, and what stands after the newest of them.
//!
//! Owns:  the signal, which is the whole hot decision, and which quotes are known to be old.
//! Never: lets a pair act on a quote when a newer one is already in the ring, or known to be readable; sends.

use super::{Signal, Trader, Weighed};
use crate::event::{Feed, Fold};
use crate::units::{Class, Direction, Nanos, PairId, Qty};

impl Trader {
    /// Takes in all that was read, then acts on what stands after the newest of it.
    #[inline(never)]
    pub(super) fn quotes(&mut self, now: Nanos) -> usize {
        let mut signals = std::mem::take(&mut self.waiting);
        let mut work = signals.len();
        // What the newest quote made of its last pair: nothing changes that any more.
        let mut newest = None;
        while let Some(item) = self.doors.feed.pop() {
            work += 1;
            self.counts.taken += 1;
            let Some(instrument) = self.books.on(&item) else {
                if item.is_of_reads() {
                    self.hear_of_reads(&item);
                    // A socket that is gone takes its quotes with it.
                    newest = newest.filter(|_| !matches!(item, Feed::Gone { .. }));
                }
                continue;
            };
            (self.counts.quotes, newest) = (self.counts.quotes + 1, None);
            if self.doors.tee.is_some() {
                self.tee(&item);
            }
            for at in 0..self.books.pairs_of(instrument).len() {
                let pair = self.books.pairs_of(instrument)[at];
                self.counts.decisions += 1;
                self.unprepared.insert(usize::from(pair.0));
                self.unranked.insert(usize::from(pair.0));
                match self.signal(pair) {
                    // A seventeenth pair in one turn waits for its next quote.
                    Ok(signal) if !signals.contains(&pair) => {
                        newest = Some((pair, signal));
                        let _ = signals.try_push(pair);
                    }
                    Ok(_) => self.counts.conflated += 1,
                    Err(why) => {
                        let stall = &mut self.stalls[usize::from(pair.0)];
                        stall.signalled = false;
                        stall.weighed[why as usize] += 1;
                    }
                }
            }
        }
        for at in 0..signals.len() {
            let pair = signals[at];
            let known = newest.filter(|(of, _)| *of == pair);
            match known.map_or_else(|| self.signal(pair), |(_, signal)| Ok(signal)) {
                Ok(signal) if self.is_old(pair, signal) => self.waiting.push(pair),
                Ok(signal) => self.act(pair, signal, now),
                Err(_) => self.counts.conflated += 1,
            }
        }
        work
    }

    /// Hands a quote out.
    #[cold]
    #[inline(never)]
    fn tee(&mut self, item: &Feed) {
        if let (Some(tee), Feed::Quote(quote)) = (&mut self.doors.tee, *item) {
            self.counts.tee_lost += u64::from(tee.push(quote).is_err());
        }
    }

    /// Whether newer quotes of a pair than the signal's are known to be readable. The operator's word is held up by
    /// nothing: it holds at any quote.
    pub(super) fn is_old(&self, pair: PairId, signal: Signal) -> bool {
        if self.behind.is_empty() || signal.class == Class::Flatten {
            return false;
        }
        self.books.tops(pair).into_iter().flatten().any(|quote| self.behind.contains(&quote.link))
    }

    /// Which sockets are known to have newer bytes than were read.
    #[cold]
    #[inline(never)]
    fn hear_of_reads(&mut self, item: &Feed) {
        match *item {
            // Beyond so many it is not waited for.
            Feed::Behind { link } => _ = self.behind.try_push(link),
            Feed::Abreast { link } | Feed::Gone { link } => self.behind.retain(|behind| *behind != link),
            _ => {}
        }
    }

    /// Whether the standing quotes pass a threshold of the pair, under the newest terms.
    #[inline]
    fn signal(&mut self, pair: PairId) -> Result<Signal, Weighed> {
        let at = usize::from(pair.0);
        if let Some(stall) = self.stalls.get_mut(at)
            && let Some(words) = self.doors.terms[at].changed()
        {
            stall.take_in(words);
        }
        self.weigh(at)
    }

    /// Whether the standing quotes pass a threshold of the pair. The whole hot decision.
    #[inline(never)] // as `aim`
    pub(super) fn weigh(&self, at: usize) -> Result<Signal, Weighed> {
        let stall = self.stalls.get(at).ok_or(Weighed::NoThreshold)?;
        let [Some(spot), Some(perp)] = self.books.tops(stall.pair) else { return Err(Weighed::NoQuote) };
        let terms = &stall.terms;
        if let Some(held) = terms.held {
            let passed = match held.direction {
                Direction::Short => terms.exit.at_most(perp.ask, spot.bid),
                Direction::Long => terms.exit.at_least(perp.bid, spot.ask),
            };
            let class = if terms.flatten { Class::Flatten } else { Class::Exit };
            if passed || terms.flatten {
                return Ok(Signal { class, direction: held.direction });
            }
            // Otherwise it may grow by a clip, where the shadow left a threshold for that.
        }
        let enough = |spot_qty: Qty, perp_qty: Qty| spot_qty >= terms.clip[0] && perp_qty >= terms.clip[1];
        let [short, long] = terms.enter;
        let (direction, enough) = if short.at_least(perp.bid, spot.ask) {
            (Direction::Short, enough(spot.ask_qty, perp.bid_qty))
        } else if long.at_most(perp.ask, spot.bid) {
            (Direction::Long, enough(spot.bid_qty, perp.ask_qty))
        } else {
            let never = terms.held.is_none() && short == Fold::NEVER && long == Fold::NEVER;
            return Err(if never { Weighed::NoThreshold } else { Weighed::Below });
        };
        if enough { Ok(Signal { class: Class::Entry, direction }) } else { Err(Weighed::Thin) }
    }
}
