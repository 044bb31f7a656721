//! Reader and trader without the other rooms: for whoever plays those, and the venue (tests, benches, the understudy).
//!
//! Owns:  the far ends of both rooms' doors, one pair of Binance with terms that do not run out, and its market's words.
//! Never: turns a room, or judges: whoever holds this says when a pair is free again.

use crate::agents::engine::{
    COMMAND_SLOTS, FEED_SLOTS, INTENT_SLOTS, LINK_SLOTS, MARK_SLOTS, PAIRS_MAX, TOLD_SLOTS,
};
use crate::agents::reader::{Reader, ReaderDoors};
use crate::agents::trader::contingent::Legs;
use crate::agents::trader::{Trader, TraderDoors, TraderSettings};
use crate::agents::{FeedCard, Handed, Loaded, Purpose};
use crate::desk::basis::{Bound, Scales};
use crate::desk::gate::GateLimits;
use crate::event::{
    Command, Fired, Fold, Instrument, Instruments, LANES, Mark, Offsets, PERMIT_WORDS, Permit, Stakes,
    TERMS_WORDS, Terms, Told,
};
use crate::metal::clock::Clock;
use crate::metal::entropy::Entropy;
use crate::metal::intents::{INTENT_BYTES, IntentSlot, IntentsMemory, IntentsReader};
use crate::metal::latch::Latch;
use crate::metal::latest::{Writer, latest};
use crate::metal::link::Link;
use crate::metal::ring::{Consumer, Producer, ring};
use crate::metal::tap::Tap;
use crate::units::decimal::Text;
use crate::units::time::{MS, SEC};
use crate::units::{LegKind, Nanos, PairId, Price, Qty, Ratio};
use crate::venue::binance::VENUE;
use crate::venue::{Key, Symbols};
use crate::wire::session::Rules;
use std::io;
use std::sync::Arc;

/// The venue's calendar time when the clock said 0, ns.
const CALENDAR: i64 = 1_700_000_000 * SEC as i64;
/// What a permit allows of each kind; so much is never sent.
const PLENTY: u64 = 1 << 40;
/// How long the venue may sit on an order, ms.
const RECV_WINDOW_MS: u32 = 2_000;

/// The two rooms and the far ends of their doors.
#[derive(Debug)]
pub struct Hot {
    /// Bytes → quotes. It turns first.
    pub reader: Reader,
    /// The pen.
    pub trader: Trader,
    /// What its one pair is made of.
    pub instruments: Arc<Instruments>,
    symbols: Arc<Symbols>,
    to_reader: Producer<Handed>,
    to_trader: Producer<Handed>,
    commands: Producer<Command>,
    terms: Vec<Writer<TERMS_WORDS>>,
    told: Consumer<Told>,
    marks: Consumer<Mark>,
    intents: IntentsReader,
    /// Ends that nobody looks at, kept so that the doors stay open.
    _kept: (Writer<PERMIT_WORDS>, Writer<LANES>),
}

impl Hot {
    /// The rooms without links, on the first pair of `instruments`; orders are sealed ahead. Entries are allowed from now on.
    ///
    /// # Errors
    ///
    /// The system had no memory for the intent records.
    pub fn new(clock: &Clock, instruments: Instruments) -> io::Result<Self> {
        let instruments = Arc::new(instruments);
        let symbols = Arc::new(Symbols::new(&instruments, VENUE.id));
        let (to_reader, reader_arrivals) = ring(LINK_SLOTS);
        let (to_trader, trader_arrivals) = ring(LINK_SLOTS);
        let (reader_dead, _) = ring(LINK_SLOTS);
        let (trader_dead, _) = ring(LINK_SLOTS);
        let (feed, feed_out) = ring(FEED_SLOTS);
        let (marks_in, marks) = ring(MARK_SLOTS);
        let (told_in, told) = ring(TOLD_SLOTS);
        let (commands, commands_out) = ring(COMMAND_SLOTS);
        let (mut loaded, loaded_out) = ring(2);
        let permit = Permit {
            generation: 1,
            expires: [Nanos::NEVER; LANES],
            entry: [PLENTY; LANES],
            normal: [PLENTY; LANES],
            all: [PLENTY; LANES],
            stakes: Stakes::ALL,
            begins: true,
        };
        let (permit_in, permit) = latest(permit.to_words());
        let (offsets_in, offsets) = latest(Offsets([Some(CALENDAR); LANES]).to_words());
        let (terms, terms_out): (Vec<_>, Vec<_>) =
            (0..PAIRS_MAX).map(|_| latest::<TERMS_WORDS>(Terms::default().to_words())).unzip();
        let (intents_in, intents) = IntentsMemory::anonymous(INTENT_SLOTS)?.halves();

        let key = Key::new("k".repeat(64), "s".repeat(64));
        let form = |row| (VENUE.form)(row, "venue.example", &key, RECV_WINDOW_MS);
        let forms = instruments.instruments.iter().map(form).collect();
        // An empty ring of two has room for one.
        let _ = loaded.push(Arc::new(Loaded { instruments: Arc::clone(&instruments), forms }));
        let doors = ReaderDoors {
            arrivals: reader_arrivals,
            dead: reader_dead,
            feed,
            marks: marks_in,
            packets: None,
        };
        let reader = Reader::new(doors, clock.clone(), Entropy::seeded(1), true);
        let doors = TraderDoors {
            feed: feed_out,
            commands: commands_out,
            arrivals: trader_arrivals,
            loaded: loaded_out,
            permit,
            offsets,
            terms: terms_out,
            told: told_in,
            dead: trader_dead,
            tee: None,
            packets: None,
            entropy: Entropy::seeded(2),
            tap: Tap::off(),
        };
        let settings = TraderSettings {
            instance: 0,
            epoch: 1,
            live: true,
            directions: [true; 2],
            recv_window_ms: RECV_WINDOW_MS,
            legs: Legs::Together,
            entries_max: None,
            gate: GateLimits::default(),
            seals: true,
            stamp_sends: true,
        };
        let trader = Trader::new(settings, doors, clock.clone(), Latch::new(), intents_in);
        let kept = (permit_in, offsets_in);
        let mut hot = Self {
            reader,
            trader,
            instruments,
            symbols,
            to_reader,
            to_trader,
            commands,
            terms,
            told,
            marks,
            intents,
            _kept: kept,
        };
        hot.allow(hot.terms());
        Ok(hot)
    }

    // ───────────────────────────── as the clerk ─────────────────────────────

    /// Hands the reader a socket of this market; it wants [`Hot::confirmed`] first.
    pub fn feed(&mut self, leg: LegKind, link: Link) {
        let symbols = Arc::clone(&self.symbols);
        let card = FeedCard { venue: &VENUE, leg, symbols, confirmations: 1, rules: Rules::NONE };
        let purpose = Purpose::Feed { plan: leg as usize, n: 0 };
        // The ring holds every link there can be; as below.
        let _ = self.to_reader.push(Handed { link, purpose, feed: Some(card), warm: Vec::new() });
    }

    /// Hands the trader a link for orders of this market.
    pub fn orders(&mut self, leg: LegKind, link: Link) {
        let purpose = Purpose::Order { venue: VENUE.id, leg, n: 0 };
        let _ = self.to_trader.push(Handed { link, purpose, feed: None, warm: Vec::new() });
    }

    // ───────────────────────────── as the shadow ─────────────────────────────

    /// Short from a basis of 50 bp on, clips of about 0.005 coins, nothing held.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let pair = &self.instruments.pairs[0];
        let [spot, perp] = [pair.spot, pair.perp].map(|id| self.instruments.get(id));
        let enter = Scales::new(pair, spot, perp)
            .and_then(|scales| scales.fold(Ratio::from_bits((1 << 64) / 200), Bound::AtLeast));
        let clip = |row: &Instrument| Qty(5 * 10i64.pow(u32::from(row.qty_decimals)) / 1_000);
        Terms {
            generation: self.instruments.generation,
            enter: [enter.unwrap_or(Fold::NEVER), Fold::NEVER],
            valid_until: Nanos::NEVER,
            clip: [clip(spot), clip(perp)],
            sized_at: price(perp, 1_000_000),
            ..Terms::default()
        }
    }

    /// What the pair may do from the next turn on.
    pub fn allow(&mut self, terms: Terms) {
        self.terms[0].publish(terms.to_words());
    }

    /// The next thing the trader told.
    pub fn told(&mut self) -> Option<Told> {
        while self.marks.pop().is_some() {}
        self.told.pop()
    }

    /// The intents that stand written down: slot, state, record.
    #[must_use]
    pub fn written_down(&self) -> Vec<(IntentSlot, u64, [u8; INTENT_BYTES])> {
        self.intents.left()
    }

    /// What was fired is over: the pair may be traded again.
    pub fn free(&mut self, fired: &Fired) {
        self.intents.free(IntentSlot(fired.slot));
        // One command at a time waits here.
        let _ = self.commands.push(Command::Free { pair: PairId(0) });
    }

    // ───────────────────────────── as the venue ─────────────────────────────

    /// A market's best quote in a frame, said at `now`: bid in tenths of the quote coin, ask 0.1 above, 10 coins each.
    #[must_use]
    pub fn quote(&self, leg: LegKind, sequence: u64, bid_tenths: i64, now: Nanos) -> Vec<u8> {
        let pair = &self.instruments.pairs[0];
        let row = self.instruments.get([pair.spot, pair.perp][leg as usize]);
        let text = |tenths| Text(i128::from(price(row, tenths).0), row.price_decimals);
        let (symbol, bid, ask, ms) = (row.symbol, text(bid_tenths), text(bid_tenths + 1), calendar_ms(now));
        let book =
            format!(r#""u":{sequence},"s":"{symbol}","b":"{bid}","B":"10.000","a":"{ask}","A":"10.000""#);
        frame(&match leg {
            LegKind::Spot => format!("{{{book}}}"),
            LegKind::Perp => format!(r#"{{"e":"bookTicker",{book},"T":{ms},"E":{ms}}}"#),
        })
    }

    /// What tells a spot socket's age: its quotes carry no stamp.
    #[must_use]
    pub fn stamp(now: Nanos) -> Vec<u8> {
        let ms = calendar_ms(now);
        frame(&format!(r#"{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}}"#))
    }

    /// The answer to a subscription.
    #[must_use]
    pub fn confirmed() -> Vec<u8> {
        frame(r#"{"result":null,"id":1}"#)
    }
}

/// The answer to an order: no.
pub const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 77\r\n\r\n\
    {\"code\":-2010,\"msg\":\"Account has insufficient balance for requested action.\"}";

/// So many tenths of the quote coin.
fn price(row: &Instrument, tenths: i64) -> Price {
    Price(tenths * 10i64.pow(u32::from(row.price_decimals)) / 10)
}

fn calendar_ms(now: Nanos) -> u64 {
    (CALENDAR as u64 + now.0) / MS
}

/// A server's frame of text (RFC 6455 §5.2).
fn frame(text: &str) -> Vec<u8> {
    let length = text.len() as u16;
    let mut frame = vec![0x81];
    match text.len() {
        0..126 => frame.push(length as u8),
        _ => frame.extend([&[126][..], &length.to_be_bytes()].concat()),
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}
