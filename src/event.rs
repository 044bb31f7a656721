//! All that passes a door between two rooms, and nothing else: the engine's vocabulary.
//!
//! Owns:  the types that travel through rings and latest-value cells, their sizes, and the layout of
//!        the cells as words.
//! Never: does anything. No socket, no clock, no decision, no venue's name.
//! Map:   reader → trader `Feed` · reader → shadow `Mark` · trader → shadow `Told` ·
//!        shadow → trader `Command`, `Permit`, `Terms` · shadow → scribe `Record` ·
//!        clerk → rooms `Instruments`, `Offsets`, links.

use crate::units::{
    Amount, Class, ClientId, Direction, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate, Side,
    Unix, VenueId,
};
use arrayvec::{ArrayString, ArrayVec};
use std::sync::Arc;

/// A venue's symbol text. Longer ones are left out at load with a reason.
pub type Symbol = ArrayString<24>;
/// An asset's name.
pub type Asset = ArrayString<16>;

/// One tradable market row, as loaded from its venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Dense index in its generation.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: VenueId,
    /// Spot or perpetual.
    pub leg: LegKind,
    /// The venue's own name, upper case, ASCII.
    pub symbol: Symbol,
    /// What is bought or sold, in the venue's words (`1000PEPE`).
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// p: prices count 10^-p of the quote asset; from the tick.
    pub price_decimals: u8,
    /// q: quantities count 10^-q of the size unit; from the lot.
    pub qty_decimals: u8,
    /// Prices are multiples of it.
    pub tick: Price,
    /// Quantities are multiples of it.
    pub lot: Qty,
    /// Smallest order.
    pub qty_min: Qty,
    /// Largest order.
    pub qty_max: Qty,
    /// Smallest price × quantity, in the quote asset.
    pub notional_min: Amount,
    /// Whether reduce-only orders are exempt from `notional_min`.
    pub reduce_only_exempt: bool,
    /// Lowest and highest price the venue takes.
    pub price_range: (Price, Price),
    /// What a taker pays, as a fraction of the notional.
    pub taker_fee: Rate,
    /// Whether a *buy* pays its fee in the base asset it receives.
    pub buy_fee_in_base: bool,
}

/// One spot leg and one perp leg of the same coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Dense index in its generation.
    pub id: PairId,
    /// Canonical base asset, such as `PEPE` for `PEPEUSDT` with `1000PEPEUSDT`.
    pub name: Asset,
    /// The spot leg.
    pub spot: InstrumentId,
    /// The perp leg.
    pub perp: InstrumentId,
    /// m: perp price unit ÷ spot price unit (the name multiplier). Serves basis, gate and sanity.
    pub price_factor: i64,
    /// k: base coin per perp size unit (multiplier × contract value). Serves lots, exposure, notional.
    pub size_factor: Amount,
}

/// Everything tradable, immutable, one generation after the other. Only the clerk builds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instruments {
    /// Counts up with every change; orders prepared under another are refused.
    pub generation: u32,
    /// Indexed by [`InstrumentId`].
    pub instruments: Vec<Instrument>,
    /// Indexed by [`PairId`].
    pub pairs: Vec<Pair>,
    /// What was left out, and why, for `pairs` and the log.
    pub left_out: Vec<(String, String)>,
}

impl Instruments {
    /// The instrument of an id of this generation.
    #[must_use]
    pub fn get(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }

    /// The pair of an id of this generation.
    #[must_use]
    pub fn pair(&self, id: PairId) -> &Pair {
        &self.pairs[usize::from(id.0)]
    }

    /// One leg of a pair.
    #[must_use]
    pub fn leg(&self, pair: PairId, leg: LegKind) -> &Instrument {
        let pair = self.pair(pair);
        self.get(match leg {
            LegKind::Spot => pair.spot,
            LegKind::Perp => pair.perp,
        })
    }
}

// ───────────────────────────── reader → trader ─────────────────────────────

/// The best bid and ask of one instrument, as one message told them. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Whose.
    pub instrument: InstrumentId,
    /// Which socket brought it.
    pub link: LinkId,
    /// The venue's update id; never goes backwards on one instrument.
    pub sequence: u64,
    /// Best bid.
    pub bid: Price,
    /// What rests at the best bid.
    pub bid_qty: Qty,
    /// Best ask.
    pub ask: Price,
    /// What rests at the best ask.
    pub ask_qty: Qty,
    /// When its last byte was read from the socket.
    pub received: Nanos,
}

/// What the reader tells the trader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// A new top of book.
    Quote(Quote),
    /// A message with the venue's own stamp arrived on this socket.
    Stamp {
        /// Which socket.
        link: LinkId,
        /// Which market's clock made the stamp.
        venue: VenueId,
        /// Which market of the venue.
        leg: LegKind,
        /// The venue's stamp.
        stamp: Unix,
        /// When it was read.
        received: Nanos,
    },
    /// The socket delivered bytes or answered our ping.
    Alive {
        /// Which socket.
        link: LinkId,
        /// When.
        at: Nanos,
    },
    /// The venue confirmed this socket's subscriptions.
    Live {
        /// Which socket.
        link: LinkId,
    },
    /// The socket is gone: every quote it brought is stale from here on.
    Gone {
        /// Which socket.
        link: LinkId,
    },
}

const _: () = assert!(size_of::<Quote>() <= 64, "a quote is one cache line");
const _: () = assert!(size_of::<Feed>() <= 72, "a feed slot stays near one cache line");

// ───────────────────────────── reader → shadow ─────────────────────────────

/// A perp's mark price and its running funding estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub instrument: InstrumentId,
    /// Mark price.
    pub mark: Price,
    /// Running estimate for the coming settlement, per interval; `None` where the venue gave none
    /// (missing is missing, never 0).
    pub funding: Option<Rate>,
    /// The coming settlement.
    pub next_funding: Option<Unix>,
    /// The venue's stamp.
    pub stamp: Unix,
    /// When it was read.
    pub received: Nanos,
}

// ───────────────────────────── trader → shadow ─────────────────────────────

/// How an order's bytes came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Rendered and signed ahead, in an idle turn.
    Prepared,
    /// Rendered and signed at fire time.
    Signed,
}

/// How much of an order reached the kernel. Anything but `Nothing` may execute (FAULTS part 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Every byte: state WIRE.
    All,
    /// Some bytes; the rest goes first on the same link: state WRITING.
    Part,
    /// No byte left the host: state `NOT_SENT`, evidence B of our own making.
    Nothing,
}

/// One leg of a fired intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiredLeg {
    /// Its client order id.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// Worst price it takes.
    pub limit: Price,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// The `timestamp` it carries (the venue's clock, by the learned offset).
    pub stamp: Unix,
    /// When `send` returned.
    pub sent: Nanos,
    /// How much of it went out.
    pub wire: Wire,
    /// How its bytes were made.
    pub made: Made,
    /// On which connection.
    pub link: LinkId,
}

/// One send round: what was decided, on which quotes, and what went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The intent's sequence in this epoch.
    pub sequence: u32,
    /// Whose.
    pub pair: PairId,
    /// Why.
    pub class: Class,
    /// Short or long.
    pub direction: Direction,
    /// Index of the input that triggered it: how many feed items the trader had taken.
    pub decision: u64,
    /// Slot of its intent record; the shadow frees it once all of it is closed.
    pub slot: u16,
    /// Update ids of the quotes decided on: spot, perp.
    pub quotes: [u64; 2],
    /// Prices decided on: spot (ask for short, bid for long; the other way round to close), perp.
    pub prices: [Price; 2],
    /// When the triggering input's last byte was read; for a command, when it was taken.
    pub seen: Nanos,
    /// The legs, first sent first.
    pub legs: [Option<FiredLeg>; 2],
}

/// A fill, from whichever source; booked once by (instrument, trade id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which of our orders.
    pub client: ClientId,
    /// What was traded.
    pub instrument: InstrumentId,
    /// The venue's order id.
    pub order_id: u64,
    /// The venue's trade id, unique per symbol.
    pub trade_id: u64,
    /// Buy or sell.
    pub side: Side,
    /// At.
    pub price: Price,
    /// How much.
    pub qty: Qty,
    /// What it cost, positive when paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: Asset,
    /// The venue's stamp.
    pub at: Unix,
    /// Who told us.
    pub source: Source,
}

/// Where a fact came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The answer to the order itself.
    Answer,
    /// A query of ours.
    Query,
}

/// What an answer says of an order, by FAULTS part 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Evidence A: terminal, with this executed quantity.
    Terminal {
        /// Cumulative executed quantity.
        executed: Qty,
    },
    /// The venue has it; it may still fill.
    Open {
        /// Cumulative executed quantity so far.
        executed: Qty,
    },
    /// Evidence B: this very request was refused.
    Refused(Refusal),
    /// The venue says an order with this id exists: evidence of landing; query it.
    Duplicate,
    /// A query found no such order. No evidence by itself.
    NotFound,
    /// May or may not have executed: never resend, query.
    Unknown(Doubt),
}

/// Why a request was refused for sure, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The venue's code; 0 where there was none.
    pub code: i32,
    /// Its class.
    pub kind: RefusalKind,
}

/// Classes of refusal that call for different conduct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Key, signature, rights: stop the venue.
    Auth,
    /// Price band or filter: instruments may be old.
    Filter,
    /// Balance or margin.
    Funds,
    /// The position is smaller than believed.
    ReduceOnly,
    /// Timestamp outside the window: learn the offset again.
    Stamp,
    /// Symbol or account may not trade now.
    State,
    /// Budget of requests or orders spent.
    Throttle,
    /// The venue sheds load, documented as failed.
    Overload,
}

/// Why an order's fate is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The venue's own "execution status unknown", or a code nobody listed.
    Code(i32),
    /// An HTTP status without a code.
    Status(u16),
    /// A body that is no answer: HTML, cut JSON.
    Body,
    /// The link died before the answer.
    LinkLost,
    /// Nothing came in time.
    Silence,
}

/// What the venue's counters said in an answer's headers; `None`: not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Request weight used in the present minute.
    pub weight_1m: Option<u32>,
    /// Orders counted in the present 10 s.
    pub orders_10s: Option<u32>,
    /// Orders counted in the longer window (a day on spot, a minute on USD-M).
    pub orders_long: Option<u32>,
    /// Seconds to keep away.
    pub retry_after_s: Option<u32>,
}

/// An answer to an order, or to a query about one. Its fills were handed over before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which order.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// When the answer's last byte was read.
    pub received: Nanos,
    /// What it says.
    pub verdict: Verdict,
    /// The venue's order id, 0 if not told.
    pub order_id: u64,
    /// The venue's counters.
    pub counted: Counted,
    /// Answer to the order, or to a query.
    pub source: Source,
}

/// What the trader's books look like, for thresholds, valuation and people. Sent a few times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose.
    pub pair: PairId,
    /// Latest quotes: spot, perp; `None` before the first.
    pub quotes: [Option<Quote>; 2],
    /// Slow mean of both spreads together, as a fraction of the price, in 10^-9.
    pub spread_ppb: u64,
    /// Why the gate would refuse an entry now, if it would.
    pub closed_by: Option<Closed>,
    /// When.
    pub at: Nanos,
}

/// Why the gate is closed for a pair. Counted, logged, and shown by `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Closed {
    /// A leg has no quote yet.
    NoQuote = 0,
    /// A leg's socket is silent, unconfirmed or gone.
    LinkQuiet,
    /// The newest stamp on a leg's socket is too old, or its messages come too late.
    StampOld,
    /// A leg is quiet and its book does not agree with what the moving leg implies.
    Disagrees,
    /// A book is crossed or empty on a side.
    Crossed,
    /// The price ratio is more than 2 % off the pair's factor.
    RatioOff,
    /// Too near a settlement, or the funding estimate is old.
    TermsExpired,
    /// No order link is idle for a leg.
    NoLink,
    /// An intent of this pair is in doubt.
    Busy,
    /// The shadow's permit ran out or its ceiling is reached.
    Permit,
    /// No intent slot or no room in the ring to the shadow.
    NoRoom,
    /// The kill latch is set.
    Killed,
    /// A clip does not fit what is visible.
    Thin,
    /// Clock offset not learned yet.
    NoClock,
    /// The pair had all the entries it may have in this run.
    Limit,
}

impl Closed {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::NoQuote,
        Self::LinkQuiet,
        Self::StampOld,
        Self::Disagrees,
        Self::Crossed,
        Self::RatioOff,
        Self::TermsExpired,
        Self::NoLink,
        Self::Busy,
        Self::Permit,
        Self::NoRoom,
        Self::Killed,
        Self::Thin,
        Self::NoClock,
        Self::Limit,
    ];

    /// What a person reads.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoQuote => "no quote yet",
            Self::LinkQuiet => "a feed socket is silent",
            Self::StampOld => "a feed is late",
            Self::Disagrees => "a quiet leg disagrees with the moving one",
            Self::Crossed => "a book is crossed or one-sided",
            Self::RatioOff => "the price ratio is off the pair's factor",
            Self::TermsExpired => "settlement guard or old funding",
            Self::NoLink => "no idle order link",
            Self::Busy => "an intent is in doubt",
            Self::Permit => "no permit",
            Self::NoRoom => "no intent slot or ring room",
            Self::Killed => "kill latch",
            Self::Thin => "visible size too small",
            Self::NoClock => "venue clock not learned",
            Self::Limit => "all entries of this run are used",
        }
    }
}

/// What the trader tells the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A send round.
    Fired(Fired),
    /// A fill read from an answer.
    Fill(Fill),
    /// An answer, after its fills.
    Answer(Answer),
    /// The books, now and then.
    Pulse(Pulse),
    /// What would have been fired, had real orders been allowed. Told once per crossing of the threshold.
    Signal {
        /// Whose.
        pair: PairId,
        /// Entry or exit.
        class: Class,
        /// Short or long.
        direction: Direction,
        /// Index of the input that triggered it.
        decision: u64,
        /// Prices decided on: spot, perp.
        prices: [Price; 2],
    },
    /// An order command could not be carried out; nothing was sent.
    Declined {
        /// Whose.
        pair: PairId,
        /// Why.
        why: Closed,
    },
}

const _: () = assert!(size_of::<Told>() <= 384, "six cache lines a slot; the ring is taken once at start");

/// What is written down before the first byte of a send round leaves (FAULTS 7.2): the meaning of an
/// opaque record in `metal::intents`. Recovery reads it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// This run's epoch.
    pub epoch: u32,
    /// The intent's sequence in it.
    pub sequence: u32,
    /// Generation of the instruments it names.
    pub generation: u32,
    /// Whose.
    pub pair: PairId,
    /// Why.
    pub class: Class,
    /// Short or long.
    pub direction: Direction,
    /// How old the two quotes were, in ns: spot, perp.
    pub ages_ns: [u64; 2],
    /// The legs in the order they are sent.
    pub legs: [Option<IntentLeg>; 2],
}

/// One leg of an [`Intent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntentLeg {
    /// Its client order id; holds leg and attempt.
    pub client: ClientId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// How much.
    pub qty: Qty,
    /// Worst price it takes.
    pub limit: Price,
    /// The venue drops it after this (its stamp plus the receive window).
    pub deadline: Unix,
}

impl Intent {
    /// Bytes of the record; the store may be larger.
    pub const BYTES: usize = 128;
    const MAGIC: u32 = 0x31_49_54_43;

    /// The record's bytes, little endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&Self::MAGIC.to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.sequence.to_le_bytes());
        put(&self.generation.to_le_bytes());
        put(&self.pair.0.to_le_bytes());
        put(&[self.class as u8, self.direction as u8]);
        for age in self.ages_ns {
            put(&u32::try_from(age / 1_000).unwrap_or(u32::MAX).to_le_bytes());
        }
        for leg in &self.legs {
            let Some(leg) = leg else { break };
            put(&leg.client.0.to_le_bytes());
            put(&leg.instrument.0.to_le_bytes());
            put(&[leg.side as u8, u8::from(leg.reduce_only)]);
            put(&leg.qty.0.to_le_bytes());
            put(&leg.limit.0.to_le_bytes());
            put(&leg.deadline.0.to_le_bytes());
        }
        out
    }
}

/// States of an intent slot, stored last and with release (FAULTS 7.2). 0 is EMPTY.
pub mod intent_state {
    /// Both legs will be tried.
    pub const COMMITTED: u64 = 1;
    /// Some byte of the first leg may have left.
    pub const A_WRITING: u64 = 2;
    /// The first leg is with the kernel.
    pub const A_WIRE: u64 = 3;
    /// Some byte of the second leg may have left.
    pub const B_WRITING: u64 = 4;
    /// The second leg is with the kernel.
    pub const B_WIRE: u64 = 5;
}

// ───────────────────────────── shadow → trader ─────────────────────────────

/// What the shadow asks of the pen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The pair's last intent is resolved: it may be traded again.
    Free {
        /// Whose.
        pair: PairId,
    },
    /// Bring one leg down: limit IOC within the collar, a new attempt of a broken intent.
    Unwind {
        /// Whose.
        pair: PairId,
        /// The intent that broke.
        sequence: u32,
        /// The new attempt's number.
        attempt: u8,
        /// Which leg is too big.
        leg: LegKind,
        /// The side that shrinks it.
        side: Side,
        /// How much.
        qty: Qty,
        /// How far past the touch it may go, in parts per million.
        collar_ppm: u32,
    },
}

/// A threshold, folded cold so that the hot test is one widening multiplication (DESIGN §2):
/// `mantissa · 2^-shift` is the price ratio perp ÷ spot in the two instruments' own integer scales.
/// The mantissa has its top bit (of 63) set; 0 means *never*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// 63 bits, top bit set; or 0 for never.
    pub mantissa: u64,
    /// 0–66.
    pub shift: u32,
}

impl Fold {
    /// A threshold nothing passes.
    pub const NEVER: Self = Self { mantissa: 0, shift: 0 };

    /// Whether `perp ≥ ratio · spot`; never, if there is no threshold.
    #[inline]
    #[must_use]
    pub const fn at_least(self, perp: Price, spot: Price) -> bool {
        self.mantissa != 0 && (perp.0 as u128) << self.shift >= self.mantissa as u128 * spot.0 as u128
    }

    /// Whether `perp ≤ ratio · spot`; never, if there is no threshold.
    #[inline]
    #[must_use]
    pub const fn at_most(self, perp: Price, spot: Price) -> bool {
        self.mantissa != 0 && (perp.0 as u128) << self.shift <= self.mantissa as u128 * spot.0 as u128
    }
}

/// A hedged position the trader may close: what the shadow has booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Short or long.
    pub direction: Direction,
    /// Spot to trade back, floored to its lot.
    pub spot: Qty,
    /// Perp to buy or sell back.
    pub perp: Qty,
}

/// What one pair may do now: thresholds, clip, position. A latest-value cell, one per pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Generation of the instruments it was folded for.
    pub generation: u32,
    /// Entry thresholds: [`Direction::Short`] (`at_least` on bid/ask), [`Direction::Long`] (`at_most` on ask/bid).
    pub enter: [Fold; 2],
    /// Closing threshold of the held position (`at_most` for short, `at_least` for long).
    pub exit: Fold,
    /// Entries end here: settlement guard, funding staleness.
    pub valid_until: Nanos,
    /// Entry size of each leg: spot, perp. Spot is sized up for a base-coin fee when bought.
    pub clip: [Qty; 2],
    /// What is held.
    pub held: Option<Held>,
}

/// Words of a [`Terms`] cell.
pub const TERMS_WORDS: usize = 13;

impl Terms {
    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; TERMS_WORDS] {
        let (kind, spot, perp) = match self.held {
            None => (0, 0, 0),
            Some(held) => (1 + held.direction as u64, held.spot.0 as u64, held.perp.0 as u64),
        };
        [
            u64::from(self.generation),
            self.enter[0].mantissa,
            self.enter[1].mantissa,
            self.exit.mantissa,
            u64::from(self.enter[0].shift)
                | u64::from(self.enter[1].shift) << 8
                | u64::from(self.exit.shift) << 16,
            self.valid_until.0,
            self.clip[0].0 as u64,
            self.clip[1].0 as u64,
            kind,
            spot,
            perp,
            0,
            0,
        ]
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; TERMS_WORDS]) -> Self {
        let fold = |mantissa, at: u32| Fold { mantissa, shift: (w[4] >> at & 0xff) as u32 };
        let held = |direction| Some(Held { direction, spot: Qty(w[9] as i64), perp: Qty(w[10] as i64) });
        Self {
            generation: w[0] as u32,
            enter: [fold(w[1], 0), fold(w[2], 8)],
            exit: fold(w[3], 16),
            valid_until: Nanos(w[5]),
            clip: [Qty(w[6] as i64), Qty(w[7] as i64)],
            held: match w[8] {
                1 => held(Direction::Short),
                2 => held(Direction::Long),
                _ => None,
            },
        }
    }
}

/// Venue × market lanes that orders are counted in: four venues, two markets each.
pub const LANES: usize = 8;

/// The lane of a venue's market.
#[must_use]
pub const fn lane(venue: VenueId, leg: LegKind) -> usize {
    venue.0 as usize * 2 + leg as usize
}

/// What the trader may send: cumulative ceilings since start, only ever raised (DESIGN §2).
/// When the shadow stops, it runs out and the trader stops by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// Counts up with every renewal.
    pub generation: u64,
    /// Nothing is sent after this.
    pub expires: Nanos,
    /// Orders of class ENTRY, charged with their worst repair, per lane.
    pub entry: [u64; LANES],
    /// Orders of any class, per lane.
    pub all: [u64; LANES],
}

/// Words of the [`Permit`] cell.
pub const PERMIT_WORDS: usize = 2 + 2 * LANES;

impl Permit {
    /// How long one permit lasts.
    pub const TTL_NS: u64 = 500_000_000;
    /// How often the shadow renews it.
    pub const RENEW_NS: u64 = 50_000_000;

    /// As words for a latest-value cell.
    #[must_use]
    pub fn to_words(self) -> [u64; PERMIT_WORDS] {
        let mut w = [0; PERMIT_WORDS];
        w[0] = self.generation;
        w[1] = self.expires.0;
        w[2..2 + LANES].copy_from_slice(&self.entry);
        w[2 + LANES..].copy_from_slice(&self.all);
        w
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; PERMIT_WORDS]) -> Self {
        let mut permit = Self { generation: w[0], expires: Nanos(w[1]), entry: [0; LANES], all: [0; LANES] };
        permit.entry.copy_from_slice(&w[2..2 + LANES]);
        permit.all.copy_from_slice(&w[2 + LANES..]);
        permit
    }
}

const _: () = assert!(Permit::RENEW_NS * 5 < Permit::TTL_NS, "a few late renewals do not stop trading");

// ───────────────────────────── clerk → rooms ─────────────────────────────

/// Venue clock minus our monotonic clock, per lane, in ns: `venue time = Nanos + offset`.
/// `None` until learned. Latest value; the clerk measures, everyone reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets(pub [Option<i64>; LANES]);

impl Offsets {
    /// The venue's calendar time of a lane at `now`; `None` until its offset is learned.
    #[must_use]
    pub fn venue_time(&self, lane: usize, now: Nanos) -> Option<Unix> {
        self.0[lane].map(|offset| Unix(now.0 as i64 + offset))
    }

    /// As words for a latest-value cell; `i64::MIN` stands for *not learned*.
    #[must_use]
    pub fn to_words(self) -> [u64; LANES] {
        self.0.map(|offset| offset.unwrap_or(i64::MIN) as u64)
    }

    /// Back from words.
    #[must_use]
    pub fn from_words(w: [u64; LANES]) -> Self {
        Self(w.map(|word| (word as i64 != i64::MIN).then_some(word as i64)))
    }
}

/// What the clerk tells the shadow; the journal and people hear of it through it.
#[derive(Clone, Debug)]
pub enum News {
    /// A new generation of instruments.
    Instruments(Arc<Instruments>),
    /// All feeds of a venue are live and its clock is learned.
    Ready {
        /// Which.
        venue: VenueId,
    },
    /// A connection is up.
    LinkUp {
        /// Which.
        link: LinkId,
        /// What it is for.
        what: String,
    },
    /// A connection died or could not be made.
    LinkDown {
        /// What it was for.
        what: String,
        /// Why, and what to do.
        why: String,
    },
    /// The engine may not trade; the run ends with the exit code 3.
    Refuse {
        /// Why, and what to do.
        why: String,
    },
    /// The run can't go on; exit code 1.
    Fail {
        /// Why, and what to do.
        why: String,
    },
}

// ───────────────────────────── shadow → scribe ─────────────────────────────

/// How an order ended, with its evidence (FAULTS part 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A: the venue reported a terminal state with this executed quantity.
    Terminal(Qty),
    /// B: the venue refused this very request.
    Refused(Refusal),
    /// B: no byte left the host.
    NotSent,
}

/// Where a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairState {
    /// Nothing held, nothing open.
    Flat,
    /// Both legs held, within bound.
    Hedged,
    /// Orders out, or an imbalance being repaired.
    Busy,
    /// An order's fate is unknown; nothing is sent for it until it is known.
    Unknown,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The first record of a run.
    Start {
        /// Calendar time.
        at: Unix,
        /// Build, command, settings that matter, never a secret.
        what: String,
    },
    /// The epoch was raised and synced before this.
    Epoch {
        /// Calendar time.
        at: Unix,
        /// Which engine of the desk.
        instance: u8,
        /// The new epoch.
        epoch: u32,
    },
    /// A send round.
    Fired {
        /// Calendar time.
        at: Unix,
        /// What went out.
        fired: Fired,
        /// Instruments it names.
        instruments: Arc<Instruments>,
    },
    /// An answer or a query's answer.
    Answer {
        /// Calendar time.
        at: Unix,
        /// What it says.
        answer: Answer,
        /// Instruments it names.
        instruments: Arc<Instruments>,
    },
    /// A booked fill.
    Fill {
        /// Calendar time.
        at: Unix,
        /// What was filled.
        fill: Fill,
        /// Instruments it names.
        instruments: Arc<Instruments>,
    },
    /// An order's end with its evidence.
    OrderEnd {
        /// Calendar time.
        at: Unix,
        /// Which order.
        client: ClientId,
        /// How.
        end: End,
    },
    /// A pair changed its state.
    Pair {
        /// Calendar time.
        at: Unix,
        /// Its canonical name.
        name: Asset,
        /// What it is now.
        state: PairState,
        /// Spot base held, net of base-coin fees.
        spot: Amount,
        /// Base short in the perp (negative: long).
        perp: Amount,
        /// Why.
        why: &'static str,
    },
    /// The engine's mode changed.
    Mode {
        /// Calendar time.
        at: Unix,
        /// What it is now.
        mode: &'static str,
        /// Why.
        why: String,
    },
    /// Something a person should read.
    Note {
        /// Calendar time.
        at: Unix,
        /// What.
        text: String,
    },
    /// The last record of a run that stopped cleanly.
    Stop {
        /// Calendar time.
        at: Unix,
        /// What is left open, each named.
        open: Vec<String>,
    },
}

/// Fills of one answer, at most; more arrive by query (`myTrades`).
pub type FillList = ArrayVec<Fill, 64>;
