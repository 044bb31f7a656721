//! The venues: each one table of plain functions and constants, and the types they share.
//!
//! Owns:  [`Venue`], what every venue answers, and [`ALL`], its index being the [`VenueId`].
//! Never: opens a socket, reads a clock, or lets a venue's word out: above this folder there are
//!        quotes, verdicts and fills, wherever they came from.
//! Map:   `open` is what anybody may ask, `heard` what sockets say · `scan`, `json`, `fields`, `answer`, `grid` read bytes · `symbols` finds
//!        instruments · `sign` signs · `pairing` makes
//!        pairs, `renew` a new generation of them · `user` the private streams' common words · `audit` the
//!        account's · `order_socket` orders that are no requests of HTTP · `standing` its rights and modes · `funding` what was settled · `witness` others' word on it · one
//!        folder per venue.

pub mod answer;
pub mod audit;
pub mod binance;
pub mod bitget;
pub mod bybit;
pub mod fields;
pub mod funding;
pub mod grid;
pub mod heard;
pub mod json;
pub mod okx;
pub mod open;
pub mod order_socket;
pub mod pairing;
pub mod renew;
pub mod scan;
pub mod sign;
pub mod standing;
pub mod symbols;
#[cfg(test)]
pub(crate) mod trial;
pub mod user;
pub mod witness;

pub use audit::Audit;
pub use funding::Funding;
pub use heard::{Binary, FeedPlan, Heard, Refused, Why};
pub use json::Scratch;
pub use open::Open;
pub use order_socket::{Logon, OrderSocket, Orders, Said, form};
pub use pairing::{PairError, pair_up};
pub use sign::{Key, KeyKind};
pub use standing::Standing;
pub use symbols::Symbols;
pub use user::{Unreadable, UserHeard, UserPlan, UserStream};

pub use crate::event::{Header, Kind};

use crate::event::{
    Asset, Counted, FillList, Instrument, Instruments, LeftOut, Limit, Symbol, Verdict, lane,
};
use crate::units::{Amount, ClientId, InstrumentId, LegKind, Price, Qty, Rate, Side, Unix, VenueId};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

pub use binance::orders::{DoesNotFit, OrderForm};

/// Every venue that is traded on; the index is its [`VenueId`].
pub static ALL: [&Venue; 1] = [&binance::VENUE];

/// Every venue that is looked at, those of [`ALL`] first; the index is its [`VenueId`].
pub static EVERY: [&Open; 4] = [&binance::VENUE.open, &bybit::OPEN, &okx::OPEN, &bitget::OPEN];

/// The venue of an id.
///
/// # Panics
///
/// If no venue has this id; ids are only ever made from [`ALL`].
#[must_use]
pub fn get(id: VenueId) -> &'static Venue {
    ALL[usize::from(id.0)]
}

/// What the engine asks of a venue that it trades on; its open half is as if it were its own.
pub struct Venue {
    /// What it tells anybody.
    pub open: Open,
    /// Its quotes in binary form.
    pub binary: Binary,
    /// What to ask for to learn it again while running, of these instruments or of all.
    pub relisting_requests: fn(&Instruments) -> Vec<Ask>,
    /// Where to ask for the reference price of an instrument's band, best first.
    pub reference_requests: fn(&Instrument) -> Vec<Ask>,
    /// Reads one of those answers; `None`: there is no such price, ask the next. Writes into the body.
    pub read_reference: fn(&Instrument, &mut [u8]) -> Result<Option<Price>, BadBody>,
    /// Asks for all marks and running funding estimates.
    pub marks_request: fn() -> Ask,
    /// Reads them; rows that are not among the symbols are passed over. Writes into the body.
    pub read_marks: fn(&mut [u8], &Symbols) -> Result<Vec<MarkRow>, BadBody>,
    /// Asks for this account's own fees, the spot balances with them.
    pub fees_requests: fn(&Instruments, &Key, Unix, u32) -> Vec<FeesAsk>,
    /// Reads one of those answers. Writes into the body.
    pub read_fees: fn(LegKind, &mut [u8]) -> Result<Fees, BadBody>,
    /// The order template of one instrument: host, key and `recvWindow` in ms are fixed in it.
    pub form: fn(&Instrument, &str, &Key, u32) -> OrderForm,
    /// Orders over a socket instead.
    pub order_socket: OrderSocket,
    /// Asks what became of an order, by our own id.
    pub order_query: fn(&Instrument, ClientId, &Key, Unix, u32) -> Ask,
    /// Asks for the trades of an order, by the venue's id.
    pub trades_query: fn(&Instrument, u64, &Key, Unix, u32) -> Ask,
    /// A cheap request that keeps an order link warm, and samples the clock on the way.
    pub warm_request: fn(LegKind) -> Ask,
    /// What a market's orders cost.
    pub order_weight: fn(LegKind) -> OrderWeight,
    /// Judges the answer to an order. Its fills go into the list, which is emptied first. They may
    /// add up to less than was executed (perps tell none, a list holds 64): ask for the rest with
    /// [`Venue::trades_query`].
    pub read_answer: fn(&Reply<'_>, &Instrument, ClientId, &mut Scratch, &mut FillList) -> Judged,
    /// Judges the answer to [`Venue::order_query`]. It never says `Refused`: what was refused is the
    /// question, and that proves nothing about the order.
    pub read_query: fn(&Reply<'_>, &Instrument, ClientId, &mut Scratch, &mut FillList) -> Judged,
    /// Reads the trades of an order as its fills; the list is emptied first. Writes into the body.
    pub read_trades: fn(&mut [u8], &Instrument, ClientId, &mut FillList) -> Result<(), BadBody>,
    /// Its private streams.
    pub user: UserStream,
    /// How the account is read whole, for reconciliation.
    pub audit: Audit,
    /// How funding history is read.
    pub funding: Funding,
    /// How the account stands, for a start.
    pub standing: Standing,
}

impl Deref for Venue {
    type Target = Open;

    fn deref(&self) -> &Open {
        &self.open
    }
}

impl fmt::Debug for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Venue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One host of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As in `--endpoint VENUE.NAME=URL`.
    pub name: &'static str,
    /// Production address, scheme and host, without a path.
    pub url: &'static str,
    /// Which market it serves; where it serves both, the one whose budget counts its requests.
    pub leg: LegKind,
}

/// One published limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRule {
    /// Which market counts it.
    pub leg: LegKind,
    /// What is counted.
    pub kind: Kind,
    /// Over how long, in ns. Windows are aligned to the clock, not sliding.
    pub window_ns: u64,
    /// How many, at most.
    pub limit: u32,
    /// Which of the venue's counters shows it, if one does.
    pub header: Option<Header>,
}

impl BucketRule {
    /// As a limit of one of this venue's lanes.
    #[must_use]
    pub const fn limit(&self, venue: VenueId) -> Limit {
        Limit {
            lane: lane(venue, self.leg),
            kind: self.kind,
            window_ns: self.window_ns,
            limit: self.limit as u64,
            header: self.header,
        }
    }
}

/// What an order costs in request weight, with what may have to be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderWeight {
    /// The order itself.
    pub order: u32,
    /// [`Venue::order_query`].
    pub query: u32,
    /// [`Venue::trades_query`].
    pub trades: u32,
}

/// A request that is no order: where to, what, and what it costs.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// GET, or what else it takes.
    pub method: &'static str,
    /// Name of the endpoint.
    pub endpoint: &'static str,
    /// Path with query, signed where it must be.
    pub path: String,
    /// Request weight it costs.
    pub weight: u32,
    /// Headers beyond the usual ones: the key, where the request needs it.
    pub headers: Vec<(Cow<'static, str>, String)>,
}

impl Ask {
    /// A GET of the endpoint `rest` that needs no key, and counts one.
    #[must_use]
    pub const fn plain(path: String) -> Self {
        Self { method: "GET", endpoint: "rest", path, weight: 1, headers: Vec::new() }
    }
}

impl fmt::Debug for Ask {
    /// Without the query: it may hold a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} {}{path} (weight {})", self.method, self.endpoint, self.weight)
    }
}

/// What trades on one market.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Markets the engine can trade; their ids are given by [`pair_up`].
    pub rows: Vec<Row>,
    /// Markets in `left_out` that have the form of one the engine could trade: shut for now, or for good.
    pub idle: Vec<Row>,
    /// The market's real limits.
    pub limits: Vec<BucketRule>,
    /// The markets the engine can't trade, each with its reason.
    pub left_out: Vec<LeftOut>,
    /// Perpetuals that trade until then, and are settled.
    pub ending: Vec<(String, Unix)>,
    /// What one size unit is in coins of the base, of perps that count contracts.
    pub contracts: Vec<(Symbol, Amount)>,
    /// Asks for the rest, where this is only a part.
    pub more: Option<Ask>,
}

impl Listing {
    /// Takes in one row: `now` says why it can't be traded, if so, `row` what it is.
    pub fn take(&mut self, leg: LegKind, symbol: &str, now: Result<(), String>, row: Result<Row, String>) {
        let reason = match (now, row) {
            (Ok(()), Ok(row)) => return self.rows.push(row),
            (Ok(()), Err(reason)) => reason,
            (Err(reason), row) => {
                self.idle.extend(row.ok());
                reason
            }
        };
        self.left_out.push(LeftOut { leg, symbol: grid::printable(symbol), reason });
    }

    /// Takes what can't be traded now for a market all the same, where an earlier run traded it: what it held or
    /// ordered there is still to be cared for.
    pub fn admit(&mut self, known: &[(LegKind, String)]) {
        let (known, idle) = std::mem::take(&mut self.idle).into_iter().partition(|row: &Row| {
            known.iter().any(|(leg, symbol)| (*leg, symbol.as_str()) == (row.leg, &*row.symbol))
        });
        self.rows.extend(known as Vec<Row>);
        self.idle = idle;
    }

    /// What one size unit of an instrument is in coins of its base.
    #[must_use]
    pub fn contract(&self, row: &Row) -> Option<Amount> {
        self.contracts.iter().find(|(symbol, _)| *symbol == row.symbol).map(|(_, coins)| *coins)
    }

    /// With another part of the same market.
    pub fn extend(&mut self, part: Self) {
        self.rows.extend(part.rows);
        self.idle.extend(part.idle);
        self.limits.extend(part.limits);
        self.left_out.extend(part.left_out);
        self.ending.extend(part.ending);
        self.contracts.extend(part.contracts);
        self.more = part.more;
    }
}

/// A market as listed: an instrument whose id is not given yet (it is 0).
pub type Row = Instrument;

/// A REST body that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// The venue answered with an error instead.
    #[error("the venue answered {code}: {text}")]
    Code {
        /// The venue's code.
        code: i32,
        /// Its words.
        text: String,
    },
    /// A field is missing or can't be read.
    #[error("field `{0}` is missing or unreadable; the venue may have changed its format")]
    Field(&'static str),
    /// The body is not JSON: a proxy's page, or a cut answer.
    #[error("the body is not JSON; ask again, and check what answers at this address")]
    NotJson,
    /// An answer in a form that the venue has retired.
    #[error("`{0}` tells an answer of a retired form of this venue's API; check the address asked")]
    Retired(&'static str),
    /// More trades than a list of fills holds; those that fit are in it.
    #[error("more trades than one list of fills holds; reconcile this order by hand or by balance")]
    TooMany,
}

/// A perp's mark price and funding estimate, from a REST answer. As [`Heard::Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkRow {
    /// Whose.
    pub instrument: InstrumentId,
    /// Mark price, rounded down to the instrument's decimals.
    pub mark: Price,
    /// Running estimate for the coming settlement, per interval.
    pub funding: Option<Rate>,
    /// The coming settlement.
    pub next_funding: Option<Unix>,
    /// When the venue made it.
    pub stamp: Unix,
}

/// A request for fees, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeesAsk {
    /// Which market.
    pub leg: LegKind,
    /// The one instrument it tells of; `None`: all of the market.
    pub instrument: Option<InstrumentId>,
    /// The request.
    pub ask: Ask,
}

/// What an account pays and, on spot, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fees {
    /// What a taker pays, as a fraction of the notional.
    pub taker: Rate,
    /// Whether the account may trade, where the answer says so.
    pub can_trade: Option<bool>,
    /// Asset, free amount, locked amount; zero balances may be missing.
    pub balances: Vec<(Asset, Amount, Amount)>,
}

/// One order, as the trader wants it. The instrument is the form's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderSpec {
    /// Our id.
    pub client: ClientId,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// Worst price it takes.
    pub limit: Price,
    /// Whether it may only shrink a position. Perps only.
    pub reduce_only: bool,
    /// Its time on the venue's clock.
    pub stamp: Unix,
}

/// A REST answer, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// What [`Venue::counted`] read in its headers.
    pub counted: Counted,
    /// Its body.
    pub body: &'a [u8],
}

/// What an answer says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is known now.
    pub verdict: Verdict,
    /// The venue's order id, 0 if not told.
    pub order_id: u64,
    /// Whose order the answer names, if it names one of ours.
    pub client: Option<ClientId>,
}

#[cfg(test)]
pub(crate) mod sample {
    //! Instruments for this folder's tests.
    use super::*;

    /// An instrument with everything plausible.
    pub(crate) fn instrument(leg: LegKind, symbol: &str, price_decimals: u8, qty_decimals: u8) -> Instrument {
        Instrument {
            id: InstrumentId(0),
            venue: VenueId(0),
            leg,
            symbol: symbol.parse().unwrap(),
            base: symbol.trim_end_matches("USDT").chars().take(16).collect::<String>().parse().unwrap(),
            quote: "USDT".parse().unwrap(),
            price_decimals,
            qty_decimals,
            tick: Price(1),
            lot: Qty(1),
            qty_min: Qty(1),
            qty_max: Qty::MAX,
            notional_min: Amount::ZERO,
            reduce_only_exempt: leg == LegKind::Perp,
            price_range: (Price(1), Price::MAX),
            taker_fee: Rate::ZERO,
            band: None,
            buy_fee_in_base: leg == LegKind::Spot,
        }
    }

    /// The instruments given, ids in order, without pairs.
    pub(crate) fn instruments(rows: Vec<Instrument>) -> Instruments {
        let mut all = Instruments { instruments: rows, ..Instruments::default() };
        for (n, row) in all.instruments.iter_mut().enumerate() {
            row.id = InstrumentId(n as u16);
        }
        all
    }

    /// The bytes of a Binance fixture without the whitespace that makes the files readable.
    pub(crate) fn fixture(name: &str) -> Vec<u8> {
        fixture_of("binance", name)
    }

    /// As [`fixture`], of any venue.
    pub(crate) fn fixture_of(venue: &str, name: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/{venue}/{name}", env!("CARGO_MANIFEST_DIR"));
        let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        value.to_string().into_bytes()
    }
}
