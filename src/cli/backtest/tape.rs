//! Recorded quotes through the engine's own eyes: how the executable basis moved, and what would have been entered.
//!
//! Owns:  making instruments for the symbols of a tape, which carries no listing, and the count of each pair.
//! Never: decides by a test of its own: quotes are decoded by the venue's decoder, kept in the trader's books,
//!        and compared with a threshold of the rules by the trader's fold.
//! Quirk: a tape tells no funding. Without `--funding` there is no threshold, and only the basis is told.

use super::{Trouble, failed, setup, usage};
use crate::agents::shadow::terms::bps_text;
use crate::carry::backtest::Setup;
use crate::carry::funding::{Carry, WEEK_HOURS};
use crate::carry::signal::Signal;
use crate::cli::{Settings, say};
use crate::desk::basis::Bound;
use crate::desk::book::{Books, touch};
use crate::desk::pair;
use crate::event::{Feed, Fold, Instrument, Instruments, Quote};
use crate::units::{
    Amount, Direction, InstrumentId, LegKind, LinkId, Nanos, PairId, Price, Qty, Rate, Ratio, VenueId,
    decimal,
};
use crate::venue::{self, Heard, Listing, Scratch, Symbols, pair_up};
use crate::{sim, simnet};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Decimals of a tape's prices and quantities: it lists neither ticks nor lots.
const DECIMALS: u8 = 8;
/// `--funding` is a rate of so many hours.
const INTERVAL_HOURS: u32 = 8;

/// Runs the command over `--tape`.
pub(super) fn act(settings: &Settings) -> Result<(), Trouble> {
    if !settings.histories.is_empty()
        || !settings.sweeps.is_empty()
        || settings.csv.is_some()
        || settings.html.is_some()
    {
        return Err(usage(
            "--tape goes with neither --history, --sweep, --csv nor --html; leave one of them out",
        ));
    }
    let tape = simnet::read_tape(&settings.tapes).map_err(usage)?;
    let instruments = instruments(&tape.frames, settings.assumed_fees)?;
    let counts = watch(&tape.frames, &instruments, &setup(settings), settings.assumed_funding)?;
    if settings.json {
        let pairs: Vec<Value> = counts.iter().map(|count| count.json(&instruments)).collect();
        say(&format!(
            "{}\n",
            json!({"version": env!("CARGO_PKG_VERSION"), "command": "backtest", "tape": tape.name, "pairs": pairs})
        ));
    } else {
        for count in &counts {
            say(&count.text(&instruments));
        }
    }
    Ok(())
}

/// One direction of a pair.
#[derive(Debug, Default)]
struct Seen {
    /// Every executable basis, positive is good.
    basis: Vec<Ratio>,
    /// The rules' threshold; `None`: never, or no funding to compute it from.
    enter: Option<Ratio>,
    fold: Option<Fold>,
    /// Quotes at which both the basis and what rests there would do.
    passing: u64,
    /// Runs of such quotes without a break.
    stretches: u64,
    /// How long they lasted.
    passing_ns: u64,
    since: Option<i64>,
}

/// One pair.
#[derive(Debug)]
struct Count {
    pair: PairId,
    quotes: u64,
    /// Indexed by [`Direction`].
    seen: [Seen; 2],
}

/// Instruments for every market of the tape with best bids and asks, paired by the house's rule.
fn instruments(frames: &[sim::TapeFrame], fees: [Rate; 2]) -> Result<Instruments, Trouble> {
    let listing = |market: sim::Market, leg: LegKind| {
        let quotes =
            frames.iter().filter(|frame| frame.market == market && frame.kind == sim::TapeKind::BookTicker);
        let symbols: BTreeSet<String> =
            quotes.filter_map(|frame| Some(frame.stream.split_once('@')?.0.to_ascii_uppercase())).collect();
        let rows = symbols.iter().filter_map(|symbol| instrument(leg, symbol, fees[leg as usize])).collect();
        Listing { rows, ..Listing::default() }
    };
    let listings = [listing(sim::Market::Spot, LegKind::Spot), listing(sim::Market::Usdm, LegKind::Perp)];
    pair_up(1, &listings, None).map_err(|_| {
        usage("no spot market and perp of one coin have book_ticker rows in these tapes; name both recordings, each with --tape")
    })
}

/// `None`: not paid in USDT, or a name that no instrument can have.
fn instrument(leg: LegKind, symbol: &str, taker_fee: Rate) -> Option<Instrument> {
    Some(Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        leg,
        symbol: symbol.parse().ok()?,
        base: symbol.strip_suffix("USDT").filter(|base| !base.is_empty())?.parse().ok()?,
        quote: "USDT".parse().ok()?,
        price_decimals: DECIMALS,
        qty_decimals: DECIMALS,
        tick: Price(1),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty::MAX,
        notional_min: Amount::ZERO,
        reduce_only_exempt: true,
        price_range: (Price(1), Price::MAX),
        band: None,
        taker_fee,
        buy_fee_in_base: false,
    })
}

/// Takes every quote in, in the order it was received.
fn watch(
    frames: &[sim::TapeFrame],
    instruments: &Instruments,
    setup: &Setup,
    funding: Option<Rate>,
) -> Result<Vec<Count>, Trouble> {
    let venue = venue::get(VenueId(0));
    let (symbols, mut scratch) = (Symbols::new(instruments, venue.id), Scratch::default());
    let mut books = Books::new(instruments);
    let carry = funding.map(carry).transpose()?;
    let mut counts: Vec<Count> = Vec::new();
    for pair in &instruments.pairs {
        let mut count = Count { pair: pair.id, quotes: 0, seen: Default::default() };
        for (direction, seen) in [Direction::Short, Direction::Long].into_iter().zip(&mut count.seen) {
            let entry = carry.filter(|_| setup.directions[direction as usize]).map(|carry| {
                setup.policy.enter(setup.policy.min_net_apr, Signal::new(&carry, direction), &setup.costs())
            });
            seen.enter = entry.and_then(|entry| entry.enter.ok());
            seen.fold = seen.enter.and_then(|enter| {
                let scales = books.scales(pair.id)?;
                match direction {
                    Direction::Short => scales.fold(enter, Bound::AtLeast),
                    Direction::Long => scales.fold(-enter, Bound::AtMost),
                }
            });
        }
        counts.push(count);
    }
    for frame in frames.iter().filter(|frame| frame.kind == sim::TapeKind::BookTicker) {
        let leg = if frame.market == sim::Market::Spot { LegKind::Spot } else { LegKind::Perp };
        let heard = (venue.decode)(&mut scratch, &symbols, leg, frame.raw.as_bytes())
            .map_err(|refused| failed(format!("{}: {refused}; the engine would drop it", frame.stream)))?;
        let Heard::Quote { instrument, sequence, bid, bid_qty, ask, ask_qty, .. } = heard else { continue };
        let received = Nanos(frame.t_ns.unsigned_abs());
        let link = LinkId(leg as u32);
        let quote = Quote { instrument, link, sequence, bid, bid_qty, ask, ask_qty, received, stamp: None };
        if books.on(&Feed::Quote(quote)).is_none() {
            continue;
        }
        for &pair in books.pairs_of(instrument) {
            counts[usize::from(pair.0)].on(&books, instruments, setup.clip, frame.t_ns);
        }
    }
    let end = frames.last().map_or(0, |frame| frame.t_ns);
    counts.iter_mut().flat_map(|count| &mut count.seen).for_each(|seen| seen.is(false, end));
    Ok(counts)
}

/// The same rate as estimate and as every settlement of the week.
fn carry(rate: Rate) -> Result<Carry, Trouble> {
    let settlements = i64::from(WEEK_HOURS / INTERVAL_HOURS);
    let sum = rate.0.checked_mul(settlements).map(Rate);
    let sum_7d = Some(sum.ok_or_else(|| usage("--funding is beyond what a week can add up to; try less"))?);
    Ok(Carry { estimate: rate, interval_hours: INTERVAL_HOURS, sum_7d })
}

impl Count {
    /// A quote of one of its legs came in.
    fn on(&mut self, books: &Books, instruments: &Instruments, clip: Amount, t_ns: i64) {
        let ([Some(spot), Some(perp)], Some(scales)) = (books.tops(self.pair), books.scales(self.pair))
        else {
            return;
        };
        self.quotes += 1;
        for (direction, seen) in [Direction::Short, Direction::Long].into_iter().zip(&mut self.seen) {
            let (spot_price, spot_qty) = touch(spot, direction.opening(LegKind::Spot));
            let (perp_price, perp_qty) = touch(perp, direction.opening(LegKind::Perp));
            if let Some(basis) = scales.basis(perp_price, spot_price) {
                seen.basis.push(if direction == Direction::Short { basis } else { -basis });
            }
            let meets = seen.fold.is_some_and(|fold| match direction {
                Direction::Short => fold.at_least(perp_price, spot_price),
                Direction::Long => fold.at_most(perp_price, spot_price),
            });
            let clip = pair::clip(instruments, self.pair, direction, clip, perp_price, Amount::ZERO);
            let passes = meets && clip.is_some_and(|clip| spot_qty >= clip[0] && perp_qty >= clip[1]);
            seen.passing += u64::from(passes);
            seen.is(passes, t_ns);
        }
    }

    fn json(&self, instruments: &Instruments) -> Value {
        let direction = |seen: &Seen| {
            let [lowest, median, highest] = seen.quantiles().map(|basis| basis.map(fraction));
            json!({
                "basis": {"lowest": lowest, "median": median, "highest": highest},
                "enter": seen.enter.map(fraction),
                "passing": {"quotes": seen.passing, "stretches": seen.stretches, "ns": seen.passing_ns},
            })
        };
        json!({
            "pair": instruments.pair(self.pair).name.as_str(),
            "quotes": self.quotes,
            "short": direction(&self.seen[0]),
            "long": direction(&self.seen[1]),
        })
    }

    fn text(&self, instruments: &Instruments) -> String {
        let mut out =
            format!("{}: {} quotes with both legs known\n", instruments.pair(self.pair).name, self.quotes);
        for (word, seen) in ["short", "long"].into_iter().zip(&self.seen) {
            let [lowest, median, highest] =
                seen.quantiles().map(|basis| basis.map_or_else(|| "-".to_owned(), bps_text));
            let enter = seen.enter.map(bps_text);
            out.push_str(&format!(
                "  {word:<6} basis {lowest} / {median} / {highest} bp (lowest, median, highest); {}\n",
                match enter {
                    None => "no basis would be entered at these settings".to_owned(),
                    Some(enter) => format!(
                        "from {enter} bp on: {} quotes in {} stretches, {} ms",
                        seen.passing,
                        seen.stretches,
                        seen.passing_ns / 1_000_000
                    ),
                }
            ));
        }
        out
    }
}

impl Seen {
    /// Whether an entry passes from `t_ns` on.
    fn is(&mut self, passing: bool, t_ns: i64) {
        match (passing, self.since) {
            (true, None) => {
                self.since = Some(t_ns);
                self.stretches += 1;
            }
            (false, Some(since)) => {
                self.passing_ns += t_ns.abs_diff(since);
                self.since = None;
            }
            _ => {}
        }
    }

    /// Lowest, median (of two middle ones the lower) and highest basis.
    fn quantiles(&self) -> [Option<Ratio>; 3] {
        let mut sorted = self.basis.clone();
        sorted.sort_unstable();
        let middle = sorted.len().saturating_sub(1) / 2;
        [sorted.first(), sorted.get(middle), sorted.last()].map(|basis| basis.copied())
    }
}

/// A ratio as a decimal, to the nearest 10^-9: what is told, not what is decided on.
fn fraction(ratio: Ratio) -> String {
    let ppb: i64 = ratio.saturating_mul_int(1_000_000_000).round().to_num();
    decimal::short(ppb.into(), 9)
}
