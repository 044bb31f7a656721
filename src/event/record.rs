//! Shadow → scribe: the lines of the journal.
//!
//! Owns:  what is kept for ever, and how an order may end.
//! Never: holds a secret.

use super::{Answer, Asset, Fill, Fired, Forced, Instruments, Mode, Refusal};
use crate::units::{Amount, ClientId, LegKind, Price, Qty, Unix};
use std::sync::Arc;

/// p of the price of a coin that fees are taken in and no leg trades.
pub const FEE_PRICE_DECIMALS: u8 = 8;

/// How an order ended, with its evidence (FAULTS part 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A: the venue reported a terminal state with this executed quantity.
    Terminal(Qty),
    /// B: the venue refused this very request.
    Refused(Refusal),
    /// B: no byte left the host.
    NotSent,
    /// C: not found twice after its deadline and settling time, no trade of it, and position or balance
    /// equal to the books.
    NeverLanded,
    /// Never landed, or ended without a fill, which the venue has forgotten since: no trade of it in all its life, and
    /// position or balance equal to the books (FAULTS F88). No evidence A or C.
    Unfilled,
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
    /// An order's fate stayed unknown for a minute: a person is asked, the venue further on.
    Quarantined,
}

impl PairState {
    /// Whether something of it is under way or in doubt.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Busy | Self::Unknown | Self::Quarantined)
    }
}

/// What an account held of an asset, read at a quiet moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletRow {
    /// Whose wallet.
    pub leg: LegKind,
    /// Of what.
    pub asset: Asset,
    /// How much there was.
    pub total: Amount,
    /// How much of it the books do not come from: total − everything booked.
    pub opening: Amount,
    /// The venue's time: what others traded by then is in `opening` or never will be, what they traded later is not.
    pub as_of: Unix,
}

/// Funding that the venue booked, once it is in its income ledger. Key: transaction id and symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The venue's transaction id.
    pub tran_id: u64,
    /// The venue's name of the perp.
    pub symbol: String,
    /// Positive when received, negative when paid.
    pub amount: Amount,
    /// Of which asset.
    pub asset: Asset,
    /// When it was settled, by the venue's stamp.
    pub at: Unix,
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
    /// What the ids in this run's intent records mean. Durable before the first order may leave.
    Markets {
        /// Calendar time.
        at: Unix,
        /// The run's epoch.
        epoch: u32,
        /// W, in ms: orders of this run are dead so long after their stamp.
        recv_window_ms: u32,
        /// What trades.
        instruments: Arc<Instruments>,
    },
    /// The venue's view at a quiet moment: what was there before us, and that the rest is ours.
    Baseline {
        /// Calendar time.
        at: Unix,
        /// Wallets.
        held: Vec<WalletRow>,
        /// What nobody can explain, each named; empty: the books are the venue's.
        unexplained: Vec<String>,
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
        /// The price its order was decided at.
        decided: Price,
        /// What the venue did by itself; `None`: the fill of an order of ours.
        cause: Option<Forced>,
        /// Instruments it names.
        instruments: Arc<Instruments>,
    },
    /// Funding received or paid.
    Funding {
        /// Calendar time.
        at: Unix,
        /// What was booked.
        payment: Payment,
        /// Whether a pair earned it in its quote asset; else it changed the wallet alone.
        earned: bool,
    },
    /// What a coin cost that fees were taken in and no leg trades: it values what was taken until now.
    FeePrice {
        /// Calendar time.
        at: Unix,
        /// Which coin.
        asset: Asset,
        /// In the quote asset, 10^-8.
        price: Price,
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
    /// The mode changed for good: into the journal, and into the latch file, which outlives a run.
    Latch {
        /// Calendar time.
        at: Unix,
        /// What it is now.
        mode: Mode,
        /// Why.
        why: String,
        /// Whether the engine did it by itself; otherwise the operator did.
        own: bool,
    },
    /// The trader found the kill latch set, or clear again: no order leaves in a turn between the two.
    LatchRead {
        /// Calendar time.
        at: Unix,
        /// Set, or clear.
        set: bool,
        /// The trader's turn in this run.
        turn: u64,
    },
    /// A market asked to be left alone: whoever starts meanwhile asks it for nothing (F96).
    Quiet {
        /// Calendar time.
        at: Unix,
        /// Its venue and leg, as people call them.
        lane: String,
        /// Until when, by the same calendar.
        until: Unix,
        /// Until when by the venue's clock, if that is known: no calendar of ours moves it.
        by_venue: Option<Unix>,
    },
    /// Coins that long positions of a pair may sell from now on, the sold ones included.
    Grant {
        /// Calendar time.
        at: Unix,
        /// Its canonical name.
        name: Asset,
        /// How many.
        qty: Amount,
    },
    /// What closing a position of a pair would have fetched in a full hour: a sample of its reference.
    Basis {
        /// Calendar time.
        at: Unix,
        /// Its canonical name.
        name: Asset,
        /// The hour, by the venue's clock.
        hour: Unix,
        /// In a position's own sign, in parts per billion: of a short, of a long.
        closing: [i64; 2],
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
