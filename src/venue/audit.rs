//! What an account holds and did, as the venue tells it on request: what reconciliation reads.
//!
//! Owns:  [`Audit`], the part of a venue's table that recovery and evidence C read (FAULTS part 4, 7.4
//!        steps 6–8), and its rows.
//! Never: judges: a row says what the venue said, the shadow compares and books it. A row that can't be
//!        read makes the whole answer unusable; none is ever left out silently.

use super::{Ask, BadBody, Judged, Key, Reply, Scratch, Symbols};
use crate::event::{Asset, Forced, Instrument, Payment, Verdict};
use crate::units::{Amount, ClientId, InstrumentId, LegKind, Price, Qty, Side, Unix};

/// All rows of an answer, or none.
pub type Rows<T> = Result<Vec<T>, BadBody>;

/// How an account is read whole. Every question takes the key, its moment on the venue's clock, and the
/// receive window in ms; every reader of a body writes into it.
#[derive(Clone, Copy)]
pub struct Audit {
    /// Asks for the open orders of one market: of one symbol, or of all, which weighs more.
    pub open_orders: fn(LegKind, Option<&Instrument>, &Key, Unix, u32) -> Ask,
    /// Reads the answer to [`Audit::open_orders`].
    pub read_orders: fn(&mut [u8], &Symbols, LegKind) -> Rows<OrderRow>,
    /// Asks for one order by the venue's id: a trade carries no client id, so this maps it to its order.
    pub order_by_id: fn(&Instrument, u64, &Key, Unix, u32) -> Ask,
    /// Reads the answer to [`Audit::order_by_id`]; no such order is a [`BadBody::Code`], and no evidence.
    pub read_order: fn(&mut [u8], &Symbols, LegKind) -> Result<OrderRow, BadBody>,
    /// Asks for the trades of one instrument, oldest first, at most [`Audit::trades_page`] of them.
    pub trades_since: fn(&Instrument, TradesFrom, &Key, Unix, u32) -> Ask,
    /// Reads that page, in the order of trade ids.
    pub read_trades: fn(&mut [u8], &Instrument) -> Rows<TradeRow>,
    /// How many trades are asked for at once: a full page means ask on from the last id.
    pub trades_page: usize,
    /// How far past [`TradesFrom::Time`] a page reaches, in ns, where it does not reach the present: what is
    /// younger must be asked for with a later time, even after an empty page.
    pub trades_span_ns: fn(LegKind) -> Option<u64>,
    /// How long a market remembers an order that ended without a fill, in ns: of an older one, "no such
    /// order" proves nothing (evidence C, item 5).
    pub history_ns: fn(LegKind) -> u64,
    /// How far back a market tells trades, in ns: what became of an older order, nobody can say (FAULTS F88).
    pub fills_ns: fn(LegKind) -> u64,
    /// Asks for the positions of the perp market, all symbols.
    pub positions: fn(&Key, Unix, u32) -> Ask,
    /// Reads them; flat ones are left out.
    pub read_positions: fn(&mut [u8], &Symbols) -> Rows<PositionRow>,
    /// Asks for the margin of the perp account: what backs it, and what each position needs.
    pub margin: fn(&Key, Unix, u32) -> Ask,
    /// Reads it.
    pub read_margin: fn(&mut [u8], &Symbols) -> Result<Margin, BadBody>,
    /// Asks for a market's balances.
    pub balances: fn(LegKind, &Key, Unix, u32) -> Ask,
    /// Reads them; zero ones are left out.
    pub read_balances: fn(LegKind, &mut [u8]) -> Rows<BalanceRow>,
    /// Asks how much margin this account's perps must keep, by size: of all symbols.
    pub brackets: fn(&Key, Unix, u32) -> Ask,
    /// Reads it. Symbols that are not among ours are passed over.
    pub read_brackets: fn(&mut [u8], &Symbols) -> Rows<Bracket>,
    /// Asks to cancel an order by our own id.
    pub cancel: fn(&Instrument, ClientId, &Key, Unix, u32) -> Ask,
    /// Judges the answer to [`Audit::cancel`]: terminal with what was executed if the answer proves it. It
    /// never says `Refused`: what was refused is the cancel. `NotFound` is no evidence: nothing is there to
    /// cancel, perhaps because it filled.
    pub read_cancel: fn(&Reply<'_>, &Instrument, ClientId, &mut Scratch) -> Judged,
    /// Asks for the funding payments since a moment, oldest first, at most [`Audit::income_page`] of them.
    pub income_since: fn(Unix, &Key, Unix, u32) -> Ask,
    /// Reads them.
    pub read_income: fn(&mut [u8]) -> Rows<Payment>,
    /// Asks what a coin costs in another; `None`: the venue lists no market of that name that a request could name.
    pub coin_price: fn(Asset, Asset) -> Option<Ask>,
    /// Reads the answer to [`Audit::coin_price`], in 10^-8, rounded down; above zero.
    pub read_coin_price: fn(&mut [u8]) -> Result<Price, BadBody>,
    /// How many payments are asked for at once: a full page means ask on from the last one's time, which
    /// brings the last one again.
    pub income_page: usize,
}

/// Where a page of trades begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradesFrom {
    /// With the first trade at this moment or later; below a millisecond it is rounded down.
    Time(Unix),
    /// With this trade id, itself included.
    Id(u64),
}

/// One trade of ours, or of whoever else trades on the account. Key: instrument and trade id; the two sides
/// of a trade with oneself share it and differ by their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeRow {
    /// The venue's trade id, unique per symbol.
    pub trade_id: u64,
    /// The venue's id of the order.
    pub order_id: u64,
    /// Buy or sell.
    pub side: Side,
    /// At, in the instrument's price unit; above zero.
    pub price: Price,
    /// How much, in the instrument's size unit; above zero.
    pub qty: Qty,
    /// What it cost, positive when paid.
    pub fee: Amount,
    /// In which asset.
    pub fee_asset: Asset,
    /// The venue's stamp.
    pub at: Unix,
}

/// One order as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// What it trades; `None`: a symbol that is not among those given.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of it.
    pub symbol: String,
    /// Whose it is.
    pub whose: Whose,
    /// The venue's order id.
    pub order_id: u64,
    /// Buy or sell.
    pub side: Side,
    /// Its limit in the quote asset; `None`: it has none.
    pub price: Option<Amount>,
    /// How much it was for, in the venue's size unit; zero only for an order that is sized otherwise
    /// (by value, or "the whole position"), which ours never are.
    pub qty: Amount,
    /// Open or terminal, with what was executed; `None` exactly where there is no instrument.
    pub verdict: Option<Verdict>,
    /// When the venue last changed it.
    pub at: Unix,
}

/// Who made an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// An engine of this desk: the id has our mark, of whatever instance and epoch.
    Ours(ClientId),
    /// The venue itself.
    Forced(Forced),
    /// Anybody else.
    Foreign,
}

/// A position that is not flat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRow {
    /// What is held; `None`: a symbol that is not among those given.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of it.
    pub symbol: String,
    /// How much in the venue's size unit, negative when short; never zero. As [`Amount::of`] a [`Qty`]. An
    /// account with a long and a short side has a row for each.
    pub qty: Amount,
    /// Average price it was entered at, in the quote asset.
    pub entry: Amount,
    /// When the venue last changed it: a position older than the last booked fill is no evidence (F90).
    pub at: Unix,
}

/// From a size on, what a perp's position must keep as margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// Of what.
    pub instrument: InstrumentId,
    /// From this notional on, in the quote asset.
    pub from: Amount,
    /// Maintenance margin as a share of the notional, in parts per million, rounded up. What the venue takes off
    /// again for the lower brackets is left out, against us.
    pub maintenance_ppm: u32,
}

/// The margin of a perp account, in the quote asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Margin {
    /// What backs the positions, unrealised profit included.
    pub balance: Amount,
    /// Below this the venue closes positions.
    pub needed: Amount,
    /// What each position that is not flat needs of that.
    pub positions: Vec<MarginRow>,
}

/// One position's part of a [`Margin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginRow {
    /// Whose; `None`: a symbol that is not among those given.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of it.
    pub symbol: String,
    /// Maintenance margin.
    pub needed: Amount,
}

/// What the account holds of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// The asset.
    pub asset: Asset,
    /// All of it, what open orders hold included and unrealised profit not; never zero, negative only on
    /// the perp market.
    pub total: Amount,
}
