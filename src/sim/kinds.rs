//! What faults there are, by what they do.
//!
//! Owns:  the kinds, with what each needs to know, and their names.
//! Never: reads a fault order, or carries one out.

use super::number::E8;
use super::odd::Odd;
use super::standing::Change;

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// The order is refused with this code, text and HTTP status; executed all the same if `taken`.
    Refuse { code: i64, msg: String, status: u16, taken: bool },
    /// The order meets an empty book.
    None,
    /// The order fills only this share, in millionths.
    Partial { ppm: u64 },
    /// The order is executed; the connection is cut instead of an answer.
    DropAck,
    /// The order is not taken; the connection is cut.
    Lose,
    /// The order is taken and left standing for `ms`, filled to this share, in millionths; `acked`: with an answer.
    Freeze { ms: u64, ppm: u64, acked: bool },
    /// The answer is 200 with an HTML page.
    Html { taken: bool },
    /// The answer is this status and body, with `Retry-After` if that is not 0.
    Status { status: u16, body: String, taken: bool, retry_after_s: u64 },
    /// Half of the answer's body is sent, then the connection is cut.
    Half,
    /// The answer comes `ms` late.
    Slow { ms: u64 },
    /// All market sockets close.
    CutStreams,
    /// A stream goes silent.
    Mute { stream: String, ms: u64 },
    /// The next best quote is not as it should be.
    Quote(Odd),
    /// A symbol's rules are these from now on; `None`: as before. Factors in millionths, sizes in 10⁻⁸.
    Rules {
        symbol: String,
        up_ppm: Option<u64>,
        down_ppm: Option<u64>,
        tick: Option<E8>,
        step: Option<E8>,
        min_notional: Option<E8>,
    },
    /// A symbol's status is this from now on.
    SymbolStatus { symbol: String, status: &'static str },
    /// A perp has its day of settlement, so long from now.
    Delivery { symbol: String, in_ms: u64 },
    /// So many best quotes of a symbol leave at once.
    Burst { symbol: String, times: u64 },
    /// A perp's mark is this far from its market, in millionths, for `for_ms`.
    MarkOff { symbol: String, ppm: i64, for_ms: u64 },
    /// Subscriptions of the next `for_ms` come to nothing.
    Deaf { how: Deaf, for_ms: u64 },
    /// The account may place no orders for `for_ms`; on USD-M those that reduce a position still pass if `exits`.
    Restrict { exits: bool, for_ms: u64 },
    /// A symbol's books show only this share, in millionths, for `for_ms`.
    Thin { symbol: String, ppm: u64, for_ms: u64 },
    /// Stream events come late by `ms`, for `for_ms`.
    Lag { ms: u64, for_ms: u64 },
    /// The order is executed now; its answer comes `ms` later.
    DelayAck { ms: u64 },
    /// Account reads answer from `ms` ago, for `for_ms`.
    ReplicaLag { ms: u64, for_ms: u64 },
    /// Private events of the next `ms` are lost.
    MuteUser { ms: u64 },
    /// Private events come late by `ms`, for `for_ms`.
    DelayUser { ms: u64, for_ms: u64 },
    /// The next private event is sent twice.
    DupUser,
    /// The next order with a fill is told last things first.
    ShuffleUser,
    /// All sockets that carry private events close.
    CutUser,
    /// The listen key expires.
    ExpireListenKey,
    /// The venue reduces a position by this share, in millionths.
    Force { how: Forced, symbol: String, ppm: u64 },
    /// Somebody else trades on the account, under a client order id of their own or a given one.
    ForeignOrder { symbol: String, rest: bool, half_later_ms: Option<u64>, client_id: Option<String> },
    /// Coins of a spot symbol come to the account without a trade.
    Credit { symbol: String },
    /// Funding is paid now, on one perp or all.
    SettleNow { symbol: Option<String> },
    /// A perp's funding is another from now on.
    Funding(FundingOrder),
    /// The market is out of service.
    Maintenance { for_ms: u64 },
    /// Answers of the next `for_ms` tell no counters.
    NoCounters { for_ms: u64 },
    /// The market's limits are these from now on; `None`: as before.
    Limit { weight_1m: Option<u32>, orders_10s: Option<u32> },
    /// The client's address is banned.
    Ban { for_ms: u64 },
    /// The account is changed by somebody at the venue's pages.
    Account(Box<Change>),
    /// The venue forgets dead orders after `ms`, and USD-M all history after `history_ms`.
    Horizon { ms: Option<u64>, history_ms: Option<u64> },
}

/// What becomes of a perp's funding, or of all perps'.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FundingOrder {
    pub(super) symbol: Option<String>,
    /// The estimate and its mean.
    pub(super) rate: Option<E8>,
    /// Hours between settlements.
    pub(super) interval_h: Option<u64>,
    /// Are new settlements kept from the history?
    pub(super) untold: Option<bool>,
    /// Does the estimate stand still, and was it never another?
    pub(super) steady: Option<bool>,
}

/// What becomes of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deaf {
    /// It is not answered.
    Silent,
    /// It is refused.
    Refused,
    /// It is confirmed, and nothing comes.
    Unheeded,
}

/// Why the venue closes a position on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    /// Auto-deleveraging.
    Adl,
    /// Margin ran out.
    Liquidation,
    /// The contract ends.
    Settlement,
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refuse { .. } => "refuse",
            Self::None => "none",
            Self::Partial { .. } => "partial",
            Self::DropAck => "drop_ack",
            Self::Lose => "lose",
            Self::Freeze { .. } => "freeze",
            Self::Html { .. } => "html",
            Self::Status { .. } => "status",
            Self::Half => "half",
            Self::Slow { .. } => "slow",
            Self::CutStreams => "cut_streams",
            Self::Mute { .. } => "mute",
            Self::Quote(odd) => odd.name(),
            Self::Rules { .. } => "rules",
            Self::SymbolStatus { .. } => "symbol_status",
            Self::Delivery { .. } => "delivery",
            Self::Burst { .. } => "burst",
            Self::MarkOff { .. } => "mark_off",
            Self::Deaf { .. } => "deaf",
            Self::Restrict { .. } => "restrict",
            Self::Thin { .. } => "thin",
            Self::Lag { .. } => "lag",
            Self::DelayAck { .. } => "delay_ack",
            Self::ReplicaLag { .. } => "replica_lag",
            Self::MuteUser { .. } => "mute_user",
            Self::DelayUser { .. } => "delay_user",
            Self::DupUser => "dup_user",
            Self::ShuffleUser => "shuffle_user",
            Self::CutUser => "cut_user",
            Self::ExpireListenKey => "expire_listen_key",
            Self::Force { how: Forced::Adl, .. } => "adl",
            Self::Force { how: Forced::Liquidation, .. } => "liquidate",
            Self::Force { how: Forced::Settlement, .. } => "delist",
            Self::ForeignOrder { .. } => "foreign_order",
            Self::Credit { .. } => "credit",
            Self::SettleNow { .. } => "settle_now",
            Self::Funding(_) => "funding",
            Self::Maintenance { .. } => "maintenance",
            Self::NoCounters { .. } => "no_counters",
            Self::Limit { .. } => "limit",
            Self::Ban { .. } => "ban",
            Self::Account(_) => "account",
            Self::Horizon { .. } => "horizon",
        }
    }
}
