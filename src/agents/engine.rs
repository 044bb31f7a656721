//! The wiring: five rooms and every ring between them, made once.
//!
//! Owns:  ring sizes, and who holds which end.
//! Never: starts a thread or touches a socket: `cli` runs the rooms on threads, `rehearse` in one.

use super::Loaded;
use super::clerk::confirm::WitnessSettings;
use super::clerk::{Clerk, ClerkDoors, ClerkSettings};
use super::reader::{Reader, ReaderDoors};
use super::scribe::Scribe;
use super::session::Taken;
use super::shadow::operator::OperatorDoors;
use super::shadow::{Shadow, ShadowDoors, ShadowSettings};
use super::trader::{Trader, TraderDoors, TraderSettings};
use crate::event::{
    Asked, LANES, PERMIT_WORDS, Permit, Quote, READS_WORDS, Reads, Replied, TERMS_WORDS, Terms,
};
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::disk::{Disk, FileId};
use crate::metal::entropy::Entropy;
use crate::metal::intents::IntentsMemory;
use crate::metal::latch::Latch;
use crate::metal::latest::latest;
use crate::metal::ring::{Consumer, Producer, ring};
use crate::metal::tap::Tap;
use crate::store::segments::Journal;
use crate::store::session::Room;
use std::sync::Arc;

/// Feed items between reader and trader: some ms of the busiest burst recorded.
pub(crate) const FEED_SLOTS: usize = 1 << 14;
/// Marks between reader and shadow: one per symbol and second.
pub(crate) const MARK_SLOTS: usize = 1 << 12;
/// What the trader tells.
pub(crate) const TOLD_SLOTS: usize = 1 << 12;
/// What the shadow wishes.
pub(crate) const COMMAND_SLOTS: usize = 1 << 10;
/// Links on their way, all there can be.
pub(crate) const LINK_SLOTS: usize = 1 << 8;
/// Records between shadow and scribe; beyond it the shadow keeps them.
pub(super) const RECORD_SLOTS: usize = 1 << 13;
/// The clerk's news.
pub(super) const NEWS_SLOTS: usize = 1 << 12;
/// Lines for a person.
const LINE_SLOTS: usize = 1 << 10;
/// Quotes on their way to a file.
const TEE_SLOTS: usize = 1 << 16;
/// Reads whose packets are stamped, of a few turns of the trader.
const PACKET_SLOTS: usize = 1 << 8;
/// Questions of operators, each waiting for its reply.
const ASK_SLOTS: usize = 1 << 6;
/// Pairs one trader can hold.
pub const PAIRS_MAX: usize = 256;
/// Intent slots (FAULTS 7.2).
pub const INTENT_SLOTS: usize = 1_024;

/// All settings, room by room.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The clerk's.
    pub clerk: ClerkSettings,
    /// The trader's.
    pub trader: TraderSettings,
    /// The shadow's.
    pub shadow: ShadowSettings,
    /// Whether quotes are read by the layout that is known; otherwise by the general parser.
    pub fast: bool,
    /// Whether every top of book is handed out for a file.
    pub quotes_out: bool,
    /// Whether what the rooms take in is handed out for a session file.
    pub record: bool,
    /// Whether the kernel stamps packets of quotes and orders, for measuring.
    pub packets: bool,
}

/// What the rooms stand on.
#[derive(Debug)]
pub struct Ground {
    /// Both clocks.
    pub clock: Clock,
    /// Makes links.
    pub dialer: Dialer,
    /// Whom else to ask about funding, and what makes the links to it.
    pub witness: Option<(WitnessSettings, Dialer)>,
    /// Random bytes for masks, keys and jitter.
    pub entropy: [Entropy; 4],
    /// Where the journal goes.
    pub disk: Disk,
    /// The open journal.
    pub journal: Journal,
    /// The open latch file.
    pub latch: FileId,
    /// Intent records: what an earlier process left, and room for this one's ([`INTENT_SLOTS`]).
    pub intents: IntentsMemory,
}

/// The rooms, ready to turn.
#[derive(Debug)]
pub struct Engine {
    /// Bytes → quotes.
    pub reader: Reader,
    /// The pen.
    pub trader: Trader,
    /// Books and judgement.
    pub shadow: Shadow,
    /// Links and instruments.
    pub clerk: Clerk,
    /// The journal.
    pub scribe: Scribe,
    /// Outside ends.
    pub outside: Outside,
}

/// What whoever runs the rooms holds of them.
#[derive(Debug)]
pub struct Outside {
    /// Ends the run cleanly.
    pub stop: Latch,
    /// Forbids every order at once.
    pub kill: Latch,
    /// Set when the run is over and all of it durable.
    pub done: Latch,
    /// Lines for a person.
    pub lines: Consumer<String>,
    /// What the rooms took in, turn by turn, if asked for.
    pub taken: Option<Taken>,
    /// Every top of book, if asked for.
    pub quotes: Option<Consumer<Quote>>,
    /// Generations of instruments: what ids in quotes mean.
    pub loaded: Consumer<Arc<Loaded>>,
    /// The operator's door, taken by whoever serves one.
    pub operator: Option<OperatorEnds>,
}

/// The outside of the operator's door.
#[derive(Debug)]
pub struct OperatorEnds {
    /// To the shadow.
    pub asks: Producer<Asked>,
    /// From the shadow.
    pub replies: Consumer<Replied>,
}

impl Engine {
    /// Wires the rooms.
    #[must_use]
    pub fn build(settings: EngineSettings, ground: Ground, stop: Latch, kill: Latch) -> Self {
        let Ground { clock, dialer, witness, entropy, disk, journal, latch, intents: memory } = ground;
        let [reader_entropy, clerk_entropy, shadow_entropy, trader_entropy] = entropy;
        let done = Latch::new();
        let (feed_in, feed_out) = ring(FEED_SLOTS);
        let (marks_in, marks_out) = ring(MARK_SLOTS);
        let (told_in, told_out) = ring(TOLD_SLOTS);
        let (commands_in, commands_out) = ring(COMMAND_SLOTS);
        let (to_reader, reader_arrivals) = ring(LINK_SLOTS);
        let (to_trader, trader_arrivals) = ring(LINK_SLOTS);
        let (to_shadow, shadow_arrivals) = ring(LINK_SLOTS);
        let (reader_dead, dead_reader) = ring(LINK_SLOTS);
        let (trader_dead, dead_trader) = ring(LINK_SLOTS);
        let (shadow_dead, dead_shadow) = ring(LINK_SLOTS);
        let (loaded_in, loaded_out) = ring(2);
        let (loaded_in_outside, loaded_outside) = ring(2);
        let (news_in, news_out) = ring(NEWS_SLOTS);
        let (records_in, records_out) = ring(RECORD_SLOTS);
        let (lines_in, lines_out) = ring(LINE_SLOTS);
        let (tee_in, tee_out) = if settings.quotes_out {
            let (tee_in, tee_out) = ring(TEE_SLOTS);
            (Some(tee_in), Some(tee_out))
        } else {
            (None, None)
        };
        let (packets_in, packets_out) = if settings.packets {
            let (packets_in, packets_out) = ring(PACKET_SLOTS);
            (Some(packets_in), Some(packets_out))
        } else {
            (None, None)
        };
        let ([trader_tap, shadow_tap], taken) = if settings.record {
            let ((trader, its), (shadow, of_it)) = (Tap::record(), Tap::record());
            ([trader, shadow], Some(Taken::new([(Room::Trader, its), (Room::Shadow, of_it)])))
        } else {
            ([Tap::off(), Tap::off()], None)
        };
        let (asks, asks_out) = ring(ASK_SLOTS);
        let (replies_in, replies) = ring(ASK_SLOTS);
        let (permit_in, permit_out) = latest::<PERMIT_WORDS>(Permit::default().to_words());
        let (reads_in, reads_out) = latest::<READS_WORDS>(Reads::default().to_words());
        let (durable_in, durable_out) = latest::<1>([0]);
        let unlearned = crate::event::Offsets::default().to_words();
        let (trader_offsets_in, trader_offsets) = latest::<LANES>(unlearned);
        let (shadow_offsets_in, shadow_offsets) = latest::<LANES>(unlearned);
        let (terms_in, terms_out): (Vec<_>, Vec<_>) =
            (0..PAIRS_MAX).map(|_| latest::<TERMS_WORDS>(Terms::default().to_words())).unzip();
        let (intents, intents_reader) = memory.halves();

        let reader = Reader::new(
            ReaderDoors {
                arrivals: reader_arrivals,
                dead: reader_dead,
                feed: feed_in,
                marks: marks_in,
                packets: packets_in,
            },
            clock.clone(),
            reader_entropy,
            settings.fast,
        );
        let trader_doors = TraderDoors {
            feed: feed_out,
            commands: commands_out,
            arrivals: trader_arrivals,
            loaded: loaded_out,
            permit: permit_out,
            offsets: trader_offsets,
            terms: terms_out,
            told: told_in,
            dead: trader_dead,
            tee: tee_in,
            packets: packets_out,
            entropy: trader_entropy,
            tap: trader_tap,
        };
        let trader = Trader::new(settings.trader, trader_doors, clock.clone(), kill.clone(), intents);
        let shadow_doors = ShadowDoors {
            told: told_out,
            marks: marks_out,
            news: news_out,
            arrivals: shadow_arrivals,
            dead: shadow_dead,
            offsets: shadow_offsets,
            commands: commands_in,
            permit: permit_in,
            reads: reads_in,
            terms: terms_in,
            records: records_in,
            durable: durable_out,
            lines: Some(lines_in),
            entropy: shadow_entropy,
            operator: OperatorDoors { asks: asks_out, replies: replies_in, kill: kill.clone() },
            tap: shadow_tap,
        };
        let key = settings.clerk.target.key.clone();
        let shadow = Shadow::new(
            settings.shadow,
            shadow_doors,
            clock.clone(),
            key,
            stop.clone(),
            done.clone(),
            intents_reader,
        );
        let clerk_doors = ClerkDoors {
            to_reader,
            to_trader,
            to_shadow,
            dead: [dead_reader, dead_trader, dead_shadow],
            loaded: [loaded_in, loaded_in_outside],
            news: news_in,
            offsets: vec![trader_offsets_in, shadow_offsets_in],
            reads: reads_out,
        };
        let clerk = Clerk::new(settings.clerk, clerk_doors, clock.clone(), dialer, clerk_entropy)
            .with_witness(witness, &clock);
        let scribe = Scribe::new(records_out, durable_in, disk, journal, latch);
        let outside = Outside {
            stop,
            kill,
            done,
            lines: lines_out,
            taken,
            quotes: tee_out,
            loaded: loaded_outside,
            operator: Some(OperatorEnds { asks, replies }),
        };
        Self { reader, trader, shadow, clerk, scribe, outside }
    }
}
