//! What the box is told before it opens: its seed, market, clock, account and limits.
//!
//! Owns:  the plain types that a driver hands in, and why a configuration is refused.
//! Never: has a default that depends on the host.

use super::fed::FedSymbol;
use super::script::Script;

/// Everything that makes one box differ from another. Equal configurations and equal calls give equal bytes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which venue it is.
    pub venue: Venue,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where prices come from.
    pub source: Source,
    /// The box's clock is the host's plus this, in nanoseconds.
    pub clock_offset_ns: i64,
    /// First funding settlement, nanoseconds after the start, whatever the wall clock says.
    pub settle_in_ns: u64,
    /// Spot orders allowed in an aligned window of 10 s.
    pub spot_orders_10s: u32,
    /// Spot requests allowed in an aligned window of 5 minutes, whatever they weigh.
    pub spot_raw_5m: u32,
    /// API key of the one account.
    pub key: String,
    /// What the holder of that key signs with: a private key of Ed25519 in PEM, of which the box keeps the public half,
    /// or any other text, by HMAC. Which it is decides of which kind the key is.
    pub secret: String,
    /// USDT in the spot wallet at the start, decimal text.
    pub spot_usdt: String,
    /// BNB in the spot wallet at the start, decimal text. The account's own switch says whether fees are paid with it.
    pub spot_bnb: String,
    /// USDT in the USD-M wallet at the start, decimal text.
    pub usdm_usdt: String,
    /// Synthetic quotes per second, per symbol and market: 1 to 1000.
    pub ticks_per_s: u32,
    /// Leverage of every perp at the start, 1 to 125.
    pub leverage: u32,
    /// Coins beside the twelve of the synthetic market; beyond six they are made up.
    pub more_coins: usize,
    /// How long what a client of REST or of the WebSocket API sends is under way before it is looked at, and the
    /// answer to an order back, ns.
    pub wire_ns: u64,
    /// Faults by timetable, counted from the first connection.
    pub script: Script,
}

impl Config {
    /// A private key that is nobody's secret: the one the venue's page publishes.
    pub const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
        -----END PRIVATE KEY-----\n";
}

impl Default for Config {
    fn default() -> Self {
        Self {
            venue: Venue::Binance,
            seed: 1,
            source: Source::Synthetic,
            clock_offset_ns: 0,
            settle_in_ns: 30 * 60 * 1_000_000_000,
            spot_orders_10s: 100,
            spot_raw_5m: 300_000,
            key: "test-key-0000000000000000000000000000000000000000000000000000box".into(),
            secret: "test-secret-0000000000000000000000000000000000000000000000000box".into(),
            spot_usdt: "1000000".into(),
            spot_bnb: "0".into(),
            usdm_usdt: "1000000".into(),
            ticks_per_s: 20,
            leverage: 2,
            more_coins: 0,
            wire_ns: 0,
            script: Script::default(),
        }
    }
}

/// Where prices come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A seeded price process over the box's own listing.
    Synthetic,
    /// A recording, played at its own pace.
    Tape(Tape),
    /// Quotes of another market, fed in as they come ([`super::Exchange::feed`]); its symbols.
    Fed(Vec<FedSymbol>),
}

/// Recorded market frames, sorted by receive stamp.
#[derive(Clone, Debug)]
pub struct Tape {
    /// What `truth.market` calls it.
    pub name: String,
    /// The frames; text byte-equal to what the venue sent.
    pub frames: Vec<TapeFrame>,
}

/// One recorded frame.
#[derive(Clone, Debug)]
pub struct TapeFrame {
    /// When the recorder received it, nanoseconds on the recorder's clock.
    pub t_ns: i64,
    /// Whose frame it is.
    pub market: Market,
    /// What it is.
    pub kind: TapeKind,
    /// Stream name as subscribed, such as `btcusdt@bookTicker`.
    pub stream: String,
    /// The text as received: `{"stream":…,"data":…}` for stream frames, the REST body for a snapshot.
    pub raw: String,
}

/// What a recorded frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeKind {
    /// Best bid and ask.
    BookTicker,
    /// Changes of the order book.
    Depth,
    /// A REST depth answer: it seeds REST depth and is never streamed.
    Snapshot,
    /// A trade.
    Trade,
}

/// Whose protocol the box speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Venue {
    /// Binance, spot and USD-M: all of it.
    Binance,
    /// Bybit v5: what is told without a key.
    Bybit,
    /// OKX v5: what is told without a key.
    Okx,
    /// Bitget UTA v3: what is told without a key.
    Bitget,
}

impl Venue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Binance, Self::Bybit, Self::Okx, Self::Bitget];

    /// Its name in `truth`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Bybit => "bybit",
            Self::Okx => "okx",
            Self::Bitget => "bitget",
        }
    }

    /// Its ports, by the names and schemes of DESIGN §9.
    #[must_use]
    pub fn doors(self) -> &'static [(Door, &'static str, &'static str)] {
        match self {
            Self::Binance => &[
                (Door::SpotRest, "spot_rest", "https"),
                (Door::SpotWs, "spot_ws", "wss"),
                (Door::SpotWsApi, "spot_ws_api", "wss"),
                (Door::UsdmRest, "usdm_rest", "https"),
                (Door::UsdmWs, "usdm_ws", "wss"),
                (Door::UsdmWsApi, "usdm_ws_api", "wss"),
                (Door::SpotSbe, "spot_sbe", "wss"),
            ],
            Self::Bybit => &[
                (Door::Rest, "rest", "https"),
                (Door::PublicSpot, "ws_public_spot", "wss"),
                (Door::PublicLinear, "ws_public_linear", "wss"),
            ],
            Self::Okx | Self::Bitget => &[(Door::Rest, "rest", "https"), (Door::Public, "ws_public", "wss")],
        }
    }
}

/// One of the venue's two markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Market {
    /// Spot.
    Spot,
    /// USD-M futures.
    Usdm,
}

impl Market {
    /// The name used in `truth` and in fault orders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Usdm => "usdm",
        }
    }

    /// `0` for spot, `1` for USD-M.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// A listening port of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// Spot REST.
    SpotRest,
    /// Spot market streams.
    SpotWs,
    /// Spot WebSocket API.
    SpotWsApi,
    /// USD-M REST.
    UsdmRest,
    /// USD-M streams.
    UsdmWs,
    /// USD-M WebSocket API.
    UsdmWsApi,
    /// Spot market streams in SBE.
    SpotSbe,
    /// The one REST host of a venue with a unified account.
    Rest,
    /// Bybit's public streams of spot.
    PublicSpot,
    /// Bybit's public streams of linear contracts.
    PublicLinear,
    /// Public streams of both markets.
    Public,
}

impl Door {
    /// The market behind the door; where both are, the perps'.
    #[must_use]
    pub fn market(self) -> Market {
        match self {
            Self::SpotRest | Self::SpotWs | Self::SpotWsApi | Self::SpotSbe | Self::PublicSpot => {
                Market::Spot
            }
            Self::UsdmRest
            | Self::UsdmWs
            | Self::UsdmWsApi
            | Self::Rest
            | Self::PublicLinear
            | Self::Public => Market::Usdm,
        }
    }
}

/// A client connection, numbered from 0 in the order of opening; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// Why the box does not open. Each message ends with what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An opening balance is no plain decimal.
    #[error("{field} = {text:?} is no decimal number with at most 8 decimals; write it like \"1000000\"")]
    Balance {
        /// The setting.
        field: &'static str,
        /// What it held.
        text: String,
    },
    /// The host time or the offset puts the box's clock before 1970.
    #[error("the box's clock would stand before 1970; choose another clock_offset_ns")]
    Clock,
    /// The key or the secret is empty, or a PEM of something else.
    #[error(
        "the account needs a key, and a secret that is a text or a private key of Ed25519 in PEM; set both"
    )]
    Key,
    /// No leverage the venue lets set.
    #[error("leverage = {0} is outside 1 to 125; choose one within")]
    Leverage(u32),
    /// The pace of quotes is out of range.
    #[error("ticks_per_s = {0} is outside 1 to 1000; choose one within")]
    Pace(u32),
    /// A fed symbol that cannot be.
    #[error(
        "fed symbol {0}: tick, step, multiplier and max_qty are above zero, and its twin lies in the list; correct it"
    )]
    Fed(usize),
    /// A tape frame that cannot be played.
    #[error("tape frame {index}: {why}; cut it from the tape")]
    Tape {
        /// Position of the frame in the tape.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A tape without quotes.
    #[error("the tape has no bookTicker frame of {0}; record one with quotes of both markets")]
    TapeQuotes(&'static str),
    /// Event times of the tape cannot be shifted without changing their digit count.
    #[error(
        "event times of the tape have another digit count than the box's clock; choose another clock_offset_ns"
    )]
    TapeStamps,
}
