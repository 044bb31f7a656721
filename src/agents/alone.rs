//! A clerk without the other rooms, for commands that only look: what trades, and what it pays.
//!
//! Owns:  the far ends of its doors, and what it may ask for: 60 % of the venue's published weight, window by
//!        window, as the shadow would allow it.
//! Never: makes a link for quotes or orders, or signs anything that trades.

use super::clerk::{Clerk, ClerkDoors, ClerkSettings};
use crate::event::{Kind, LANES, News, Offsets, READS_WORDS, Reads};
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::entropy::Entropy;
use crate::metal::latest::{Writer, latest};
use crate::metal::ring::{Consumer, ring};
use crate::metal::runner::Agent;
use crate::units::Nanos;
use crate::venue::Venue;

/// The clerk's news; taken after every turn.
const NEWS_SLOTS: usize = 1 << 12;
/// Doors that lead nowhere.
const NO_SLOTS: usize = 2;

/// The clerk, and what it tells.
#[derive(Debug)]
pub struct Alone {
    clerk: Clerk,
    news: Consumer<News>,
    reads: Writer<READS_WORDS>,
    allowed: Reads,
    venue: &'static Venue,
    began: Nanos,
}

impl Alone {
    /// A clerk that has not dialled yet.
    #[must_use]
    pub fn new(settings: ClerkSettings, clock: Clock, dialer: Dialer, entropy: Entropy) -> Self {
        let settings = ClerkSettings { rooms: false, live: false, ..settings };
        let (venue, began) = (settings.target.venue, clock.now());
        let (news_in, news) = ring(NEWS_SLOTS);
        let (reads, reads_out) = latest::<READS_WORDS>(Reads::default().to_words());
        let (offsets, _) = latest::<LANES>(Offsets::default().to_words());
        let doors = ClerkDoors {
            to_reader: ring(NO_SLOTS).0,
            to_trader: ring(NO_SLOTS).0,
            to_shadow: ring(NO_SLOTS).0,
            dead: [ring(NO_SLOTS).1, ring(NO_SLOTS).1, ring(NO_SLOTS).1],
            loaded: [ring(NO_SLOTS).0, ring(NO_SLOTS).0],
            news: news_in,
            offsets: vec![offsets],
            reads: reads_out,
        };
        let clerk = Clerk::new(settings, doors, clock, dialer, entropy);
        Self { clerk, news, reads, allowed: Reads::default(), venue, began }
    }

    /// The next thing it tells.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop()
    }

    /// Every window that began allows its share; what was not used of one is not lost.
    fn allow(&mut self, now: Nanos) {
        let mut allowed = Reads::default();
        for rule in self.venue.limits.iter().filter(|rule| rule.kind == Kind::Weight) {
            let windows = 1 + now.since(self.began) / rule.window_ns;
            let limit = rule.limit(self.venue.id);
            allowed.weight[limit.lane] = windows * (limit.limit * 6 / 10);
        }
        if allowed.weight != self.allowed.weight {
            self.reads.publish(allowed.to_words());
            self.allowed = allowed;
        }
    }
}

impl Agent for Alone {
    fn do_work(&mut self, now: Nanos) -> usize {
        self.allow(now);
        self.clerk.do_work(now)
    }
}
