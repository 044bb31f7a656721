//! Dry reads: what a socket said last is read once more, by the code that reads, and goes nowhere.
//!
//! Owns:  a link to nobody, and the far ends of the doors that what is read there goes through.
//! Never: touches a socket, a count or a door of the reader's: it has all of these for itself.
//! Why:   a quote comes after hundreds of turns without one, and what only a quote needs has gone cold by then: that
//!        costs more than decoding it (HOTPATH §11.7).

use super::reader::{ReaderCounts, To, messages};
use super::socket::Socket;
use super::{FeedCard, Purpose};
use crate::event::{Feed, Mark};
use crate::metal::entropy::Entropy;
use crate::metal::link::Link;
use crate::metal::ring::{Consumer, Producer, ring};
use crate::units::Nanos;
use crate::venue::Scratch;
use crate::wire::session::Rules;
use crate::wire::ws::{self, Kind};

/// Room for what one message tells, and then some.
const SLOTS: usize = 8;
/// The longest message that is read.
const MESSAGE_MAX: usize = 1_024;

/// A socket of nobody.
#[derive(Debug)]
pub(super) struct Decoy {
    link: Link,
    socket: Socket,
    entropy: Entropy,
    feed: (Producer<Feed>, Consumer<Feed>),
    marks: (Producer<Mark>, Consumer<Mark>),
    counts: ReaderCounts,
}

impl Decoy {
    pub(super) fn new() -> Self {
        Self {
            link: Link::decoy(MESSAGE_MAX),
            socket: Socket::new(Rules::NONE, Nanos::ZERO, 0),
            entropy: Entropy::seeded(0),
            feed: ring(SLOTS),
            marks: ring(SLOTS),
            counts: ReaderCounts::default(),
        }
    }

    /// Reads the first message of these bytes, if it is a whole one of text, as a socket with this card would.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        card: &FeedCard,
        fast: bool,
        scratch: &mut Scratch,
        now: Nanos,
    ) {
        let Self { link, socket, entropy, feed, marks, counts } = self;
        let used = match ws::next(bytes, MESSAGE_MAX) {
            Ok(Some(frame)) if frame.kind == Kind::Text && frame.fin => frame.used,
            _ => return,
        };
        if !link.put(&bytes[..used]) {
            return;
        }
        let (purpose, mut unconfirmed, mut refusal) = (Purpose::Feed { plan: 0, n: 0 }, 0, None);
        let to = To {
            feed: &mut feed.0,
            marks: &mut marks.0,
            newest: &mut [],
            counts,
            last_refusal: &mut refusal,
        };
        let _ = messages(link, socket, &mut unconfirmed, (card, purpose, fast), (scratch, entropy), now, to);
        feed.0.show();
        while feed.1.pop().is_some() {}
        while marks.1.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::book::tests::one_pair;
    use crate::units::LegKind;
    use crate::venue::Symbols;
    use crate::venue::binance::VENUE;
    use std::sync::Arc;

    /// Whatever a socket said last, and however often it is read: nothing is kept, and nothing is said.
    #[test]
    fn a_dry_read_goes_nowhere() {
        let symbols = Arc::new(Symbols::new(&one_pair(), VENUE.id));
        let card =
            FeedCard { venue: &VENUE, leg: LegKind::Spot, symbols, confirmations: 0, rules: Rules::NONE };
        let quote = br#"{"u":7,"s":"BTCUSDT","b":"100.10","B":"1.000","a":"100.20","A":"2.000"}"#;
        let frame = |first: u8, payload: &[u8]| [&[first, payload.len() as u8][..], payload].concat();
        let (mut decoy, mut scratch) = (Decoy::new(), Scratch::default());
        let cases: [(Vec<u8>, u64); 7] = [
            (frame(0x81, quote), 1),
            // Only the first is read.
            ([frame(0x81, quote), frame(0x81, quote)].concat(), 1),
            (frame(0x81, b"{}"), 0),
            (frame(0x01, quote), 0),
            (frame(0x89, b"ping"), 0),
            (frame(0x81, quote)[..20].to_vec(), 0),
            (b"\xff\xff".to_vec(), 0),
        ];
        for (bytes, quotes) in &cases {
            for _ in 0..3 * SLOTS {
                let before = decoy.counts;
                decoy.read(bytes, &card, true, &mut scratch, Nanos(1));
                assert_eq!(decoy.counts.quotes - before.quotes, *quotes);
                assert_eq!(decoy.counts.dropped, 0);
                assert!(decoy.link.inbound().is_empty());
                assert!(decoy.feed.1.pop().is_none() && decoy.marks.1.pop().is_none());
            }
        }
    }
}
