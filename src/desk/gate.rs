//! The gate: every check between a signal and the first byte, with the one reason that closes it.
//!
//! Owns:  freshness as DESIGN §5 defines it, sanity of the two prices, and their limits.
//! Never: decides whether a trade pays (the folded threshold did), counts budget (the permit does).

use super::book::{Books, mid};
use crate::event::{Closed, Offsets, Quote, lane};
use crate::metal::bugs::{Bug, planted};
use crate::units::time::{MS, SEC};
use crate::units::{LegKind, LinkId, Nanos, PairId, VenueId};

/// Limits of freshness and sanity.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// A socket that neither brought bytes nor answered our ping for this long is silent.
    pub link_quiet_max_ns: u64,
    /// A stamped message that arrives later than this after its stamp shows a late feed.
    pub stamp_late_max_ns: i64,
    /// A quote older than this must agree with what the other leg implies.
    pub quote_quiet_ns: u64,
    /// How far a quiet leg may be from that, in parts per million.
    pub agree_ppm: i64,
    /// How far the price ratio may be from the pair's factor, in parts per million.
    pub ratio_ppm: i64,
}

impl Default for GateLimits {
    /// DESIGN §5: 1 s, 200 ms, 1 s, 30 bp, 2 %.
    fn default() -> Self {
        Self {
            link_quiet_max_ns: SEC,
            stamp_late_max_ns: 200 * MS as i64,
            quote_quiet_ns: SEC,
            agree_ppm: 3_000,
            ratio_ppm: 20_000,
        }
    }
}

/// How far a stamp may lie in our future before the clocks are held to disagree: venues stamp whole
/// milliseconds and the offset is known to about half a round trip. Beyond it, age is negative and
/// counts as stale, never as fresh (FAULTS F5).
const CLOCK_SLACK_NS: i64 = 20 * MS as i64;
/// How far the clock of a reader's core may be ahead of the trader's: what is read during a turn of the trader is that
/// much younger than the turn.
const AHEAD_MAX_NS: u64 = 5 * MS;

impl GateLimits {
    /// Whether both legs of a pair are fresh and sane at `now`, or why not.
    ///
    /// # Errors
    ///
    /// The first reason found, cheapest first.
    pub fn check(
        &self,
        books: &Books,
        pair: PairId,
        venues: [VenueId; 2],
        offsets: &Offsets,
        now: Nanos,
    ) -> Result<(), Closed> {
        let [Some(spot), Some(perp)] = books.tops(pair) else { return Err(Closed::NoQuote) };
        let scales = books.scales(pair).ok_or(Closed::RatioOff)?;
        for quote in [spot, perp] {
            let sound =
                quote.bid.0 > 0 && quote.bid < quote.ask && quote.bid_qty.0 > 0 && quote.ask_qty.0 > 0;
            if !sound {
                return Err(Closed::Crossed);
            }
        }
        if !scales.agree(mid(perp), mid(spot), self.ratio_ppm) {
            return Err(Closed::RatioOff);
        }
        for (leg, quote) in LegKind::BOTH.into_iter().zip([spot, perp]) {
            self.fresh(books, quote, lane(venues[leg as usize], leg), offsets, now)?;
        }
        let quiet = |q: &Quote| now.since(q.received) > self.quote_quiet_ns;
        match (quiet(spot), quiet(perp)) {
            (false, false) => Ok(()),
            // Nobody moves: nothing implies anything, and nothing new triggers either.
            (true, true) => Err(Closed::Disagrees),
            _ => {
                // perp ≈ m · spot · (1 ± mean basis), within `agree_ppm`: the quiet leg is where the
                // moving one says it should be.
                let mean_ppm = books.mean_basis_ppb(pair).ok_or(Closed::Disagrees)? / 1_000;
                let basis = scales.basis(mid(perp), mid(spot)).ok_or(Closed::Disagrees)?;
                let basis_ppm = (basis * 1_000_000).to_num::<i64>();
                if (basis_ppm - mean_ppm).abs() <= self.agree_ppm { Ok(()) } else { Err(Closed::Disagrees) }
            }
        }
    }

    fn fresh(
        &self,
        books: &Books,
        quote: &Quote,
        lane: usize,
        offsets: &Offsets,
        now: Nanos,
    ) -> Result<(), Closed> {
        if planted(Bug::SilentFeedPasses) {
            return Ok(());
        }
        let Err(why) = self.alive(books, quote.link, lane, offsets, now) else { return Ok(()) };
        // Another socket told the same: that the first is lost or late makes it no older.
        let also = books.also(quote.instrument).ok_or(why)?;
        self.alive(books, also, lane, offsets, now).map_err(|_| why)
    }

    /// Whether what a socket told last is what the venue would tell now.
    fn alive(
        &self,
        books: &Books,
        link: LinkId,
        lane: usize,
        offsets: &Offsets,
        now: Nanos,
    ) -> Result<(), Closed> {
        let socket = books.socket(link).filter(|s| s.live).ok_or(Closed::LinkQuiet)?;
        // An age below nothing is no age: it would pass for fresh (F5).
        if socket.heard.since(now) > AHEAD_MAX_NS {
            return Err(Closed::Ahead);
        }
        if now.since(socket.heard) > self.link_quiet_max_ns {
            return Err(Closed::LinkQuiet);
        }
        let (stamp, received) = socket.stamped.ok_or(Closed::StampOld)?;
        let arrived = offsets.venue_time(lane, received).ok_or(Closed::NoClock)?;
        let late = arrived.0 - stamp.0;
        if !(-CLOCK_SLACK_NS..=self.stamp_late_max_ns).contains(&late)
            || now.since(received) > self.link_quiet_max_ns
        {
            return Err(Closed::StampOld);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::{one_pair, quote};
    use super::*;
    use crate::event::Feed;
    use crate::units::Unix;

    /// Both sockets live, both quotes and stamps at `T`, venue clock equal to ours.
    const T: Nanos = Nanos(100 * SEC);

    fn world() -> (Books, Offsets) {
        let mut books = Books::new(&one_pair());
        for (i, (bid, ask)) in [(4_000_000, 4_000_001), (400_300, 400_301)].into_iter().enumerate() {
            let link = LinkId(i as u32);
            books.on(&Feed::Live { link });
            books.on(&Feed::Quote(quote(i as u16, 1, bid, ask, T)));
            stamp(&mut books, link, T, 1);
        }
        let mut offsets = Offsets::default();
        offsets.0[0] = Some(0);
        offsets.0[1] = Some(0);
        (books, offsets)
    }

    fn stamp(books: &mut Books, link: LinkId, received: Nanos, late_ms: i64) {
        let stamp = Unix(received.0 as i64 - late_ms * MS as i64);
        books.on(&Feed::Stamp { link, stamp, received });
    }

    fn verdict(books: &Books, offsets: &Offsets, now: Nanos) -> Result<(), Closed> {
        GateLimits::default().check(books, PairId(0), [VenueId(0); 2], offsets, now)
    }

    #[test]
    fn two_live_agreeing_legs_pass() {
        let (books, offsets) = world();
        assert_eq!(verdict(&books, &offsets, T.plus(MS)), Ok(()));
    }

    #[test]
    fn a_silent_socket_closes_the_gate_after_a_second() {
        let (books, offsets) = world();
        assert_eq!(verdict(&books, &offsets, T.plus(SEC)), Ok(()));
        assert_eq!(verdict(&books, &offsets, T.plus(SEC + 1)), Err(Closed::LinkQuiet));
    }

    #[test]
    fn what_lies_in_the_future_of_this_core_is_not_fresh() {
        let (mut books, offsets) = world();
        stamp(&mut books, LinkId(1), T.plus(10 * MS), 1);
        assert_eq!(verdict(&books, &offsets, T.plus(5 * MS)), Ok(()), "read while the trader turned");
        assert_eq!(verdict(&books, &offsets, T.plus(5 * MS - 1)), Err(Closed::Ahead));
    }

    #[test]
    fn a_feed_that_comes_late_is_not_fresh_however_new_its_bytes() {
        let (mut books, offsets) = world();
        stamp(&mut books, LinkId(1), T.plus(10 * MS), 10 - 250);
        assert_eq!(
            verdict(&books, &offsets, T.plus(11 * MS)),
            Err(Closed::StampOld),
            "stamped in our future"
        );
        for (ahead_ms, fresh) in [(20, true), (21, false)] {
            let (mut books, offsets) = world();
            stamp(&mut books, LinkId(1), T.plus(10 * MS), -ahead_ms);
            let open = verdict(&books, &offsets, T.plus(11 * MS)).is_ok();
            assert_eq!(open, fresh, "clocks are known to some milliseconds, not {ahead_ms}");
        }
        let (mut books, offsets) = world();
        stamp(&mut books, LinkId(1), T.plus(300 * MS), 201);
        assert_eq!(verdict(&books, &offsets, T.plus(301 * MS)), Err(Closed::StampOld));
    }

    /// Symbols of one socket are stamped apart: one that is older by no more than five seconds is no newest one.
    #[test]
    fn a_stamp_far_older_than_the_one_before_is_believed_and_one_that_is_a_little_older_is_not() {
        for (older_ms, open) in [(5_000, true), (5_001, false)] {
            let (mut books, offsets) = world();
            stamp(&mut books, LinkId(1), T.plus(10 * MS), 11 + older_ms);
            assert_eq!(verdict(&books, &offsets, T.plus(11 * MS)).is_ok(), open, "{older_ms}");
        }
    }

    #[test]
    fn an_absurd_stamp_closes_the_gate_until_the_next_message_and_no_longer() {
        for absurd_ms in [-1_000_000_000_000, 1_000_000_000_000] {
            let (mut books, offsets) = world();
            stamp(&mut books, LinkId(1), T.plus(10 * MS), absurd_ms);
            assert_eq!(verdict(&books, &offsets, T.plus(11 * MS)), Err(Closed::StampOld), "{absurd_ms}");
            stamp(&mut books, LinkId(1), T.plus(20 * MS), 1);
            assert_eq!(verdict(&books, &offsets, T.plus(21 * MS)), Ok(()), "{absurd_ms}");
        }
    }

    #[test]
    fn no_learned_clock_means_no_entry() {
        let (books, mut offsets) = world();
        offsets.0[1] = None;
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::NoClock));
    }

    #[test]
    fn a_quiet_leg_must_agree_with_the_moving_one() {
        let (mut books, offsets) = world();
        let now = T.plus(1_500 * MS);
        for link in [LinkId(0), LinkId(1)] {
            stamp(&mut books, link, now, 1);
        }
        books.on(&Feed::Quote(quote(1, 2, 400_300, 400_301, now)));
        assert_eq!(verdict(&books, &offsets, now), Ok(()), "spot is quiet, and the perp agrees");
        books.on(&Feed::Quote(quote(1, 3, 401_440, 401_441, now)));
        assert_eq!(verdict(&books, &offsets, now), Ok(()), "28 bp away from the mean, which is not 0");
        books.on(&Feed::Quote(quote(1, 4, 399_120, 399_121, now)));
        assert_eq!(verdict(&books, &offsets, now), Ok(()), "as far below it, but for half a bp");
        books.on(&Feed::Quote(quote(1, 5, 402_300, 402_301, now)));
        assert_eq!(verdict(&books, &offsets, now), Err(Closed::Disagrees), "50 bp away from the mean");
    }

    #[test]
    fn two_quiet_legs_imply_nothing_of_each_other() {
        let (mut books, offsets) = world();
        // As long as one of them moved just now, their sockets being alive.
        for (quiet_ms, verdict_then) in [(1_000, Ok(())), (1_001, Err(Closed::Disagrees))] {
            let now = T.plus(quiet_ms * MS);
            for link in [LinkId(0), LinkId(1)] {
                stamp(&mut books, link, now, 1);
            }
            assert_eq!(verdict(&books, &offsets, now), verdict_then, "{quiet_ms} ms");
        }
    }

    #[test]
    fn a_wrong_multiplier_or_another_coin_never_passes() {
        let (mut books, offsets) = world();
        books.on(&Feed::Quote(quote(1, 2, 409_000, 409_001, T)));
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::RatioOff));
    }

    #[test]
    fn a_crossed_or_one_sided_book_never_passes() {
        let (mut books, offsets) = world();
        books.on(&Feed::Quote(quote(0, 2, 4_000_001, 4_000_001, T)));
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::Crossed));
    }

    #[test]
    fn a_quote_that_two_sockets_told_outlives_one_of_them() {
        let second = LinkId(9);
        let twice = || {
            let (mut books, offsets) = world();
            books.on(&Feed::Live { link: second });
            let again = Quote { link: second, ..quote(0, 1, 4_000_000, 4_000_001, T) };
            assert!(books.on(&Feed::Quote(again)).is_none());
            let stamp = Unix(T.0 as i64 - MS as i64);
            books.on(&Feed::Stamp { link: second, stamp, received: T });
            (books, offsets)
        };
        let (mut books, offsets) = twice();
        books.on(&Feed::Gone { link: LinkId(0) });
        assert_eq!(verdict(&books, &offsets, T), Ok(()));
        books.on(&Feed::Gone { link: second });
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::LinkQuiet));
        // Or of the other.
        let (mut books, offsets) = twice();
        books.on(&Feed::Gone { link: second });
        assert_eq!(verdict(&books, &offsets, T), Ok(()));
        // One that the second has not told yet dies with the first.
        let (mut books, offsets) = twice();
        books.on(&Feed::Quote(quote(0, 2, 4_000_000, 4_000_001, T)));
        books.on(&Feed::Gone { link: LinkId(0) });
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::LinkQuiet));
    }

    #[test]
    fn a_gone_socket_takes_its_quotes_with_it() {
        let (mut books, offsets) = world();
        books.on(&Feed::Gone { link: LinkId(0) });
        assert_eq!(verdict(&books, &offsets, T), Err(Closed::LinkQuiet));
    }
}
