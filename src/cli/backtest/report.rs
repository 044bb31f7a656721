//! What a backtest says: a table for people, one object for programs, rows for a spreadsheet.
//!
//! Owns:  [`Run`], one history at one point of the grid, and its three forms.
//! Never: computes a trade; what is derived here (drawdown, yearly return) is derived from the outcome.
//!        No amount is rounded in JSON or CSV.

use super::super::report::money;
use crate::carry::backtest::{Outcome, Trade, Why};
use crate::carry::round_trip::{DECIMALS, Deal, Split};
use crate::units::time::SEC;
use crate::units::{Amount, Direction, LegKind, decimal};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Rows of the table people read.
const ROWS_SHOWN: usize = 30;

/// One history at one point of the grid.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The history's name.
    pub series: String,
    /// What was varied; empty without a sweep.
    pub label: String,
    /// What came of it; in a sweep without its equity.
    pub outcome: Outcome,
    /// Where the profit came from.
    pub split: Split,
    /// The deepest fall of equity below its highest point so far.
    pub drawdown: Amount,
    /// Profit ÷ clip ÷ years, rounded down to 10^-6.
    pub yearly: decimal::Text,
}

impl Run {
    pub(super) fn new(series: String, label: String, clip: Amount, outcome: Outcome) -> Self {
        let split = outcome.trades.iter().fold(Split::default(), |sum, trade| sum.plus(&trade.split));
        let (mut high, mut drawdown) = (Amount::ZERO, Amount::ZERO);
        for &(_, equity) in &outcome.equity {
            high = high.max(equity);
            drawdown = drawdown.max(high - equity);
        }
        let lasted = match (outcome.equity.first(), outcome.equity.last()) {
            (Some((first, _)), Some((last, _))) => last.0 - first.0,
            _ => 0,
        };
        let yearly = decimal::Text(yearly(split.total(), clip, lasted), 6);
        Self { series, label, outcome, split, drawdown, yearly }
    }

    /// Without what a sweep of many runs has no room for.
    pub(super) fn without_equity(mut self) -> Self {
        self.outcome.equity = Vec::new();
        self
    }

    pub(super) fn closed(&self) -> usize {
        self.outcome.trades.iter().filter(|trade| trade.trip.exit.is_some()).count()
    }

    pub(super) fn open(&self) -> usize {
        self.outcome.trades.len() - self.closed()
    }
}

/// `total ÷ clip ÷ years` in 10^-6, rounded down.
fn yearly(total: Amount, clip: Amount, lasted_ns: i64) -> i128 {
    const YEAR_H: i128 = 8_760;
    let hours = i128::from(lasted_ns) / (3_600 * SEC as i128);
    // Micro-units of the quote asset leave room for the product.
    let micro = |amount: Amount| amount.0.div_euclid(1_000_000_000_000);
    let whole = micro(clip) * hours;
    if whole <= 0 { 0 } else { (micro(total) * YEAR_H * 1_000_000).div_euclid(whole) }
}

fn price(price: crate::units::Price) -> String {
    decimal::short(price.0.into(), DECIMALS)
}

fn split(split: &Split) -> Value {
    json!({
        "total": split.total().to_string(),
        "funding": split.funding.to_string(),
        "basis": split.basis.to_string(),
        "fees": split.fees.to_string(),
        "slippage": split.slippage.to_string(),
        "revaluation": split.revaluation.to_string(),
    })
}

fn deal(deal: &Deal) -> Value {
    let leg = |leg: LegKind| {
        let fill = &deal.legs[leg as usize];
        json!({"decided": price(fill.decided), "filled": price(fill.filled), "fee": fill.fee.to_string()})
    };
    json!({"at_ms": deal.at.as_ms(), "spot": leg(LegKind::Spot), "perp": leg(LegKind::Perp)})
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Short => "short",
        Direction::Long => "long",
    }
}

const fn why(trade: &Trade) -> Option<&'static str> {
    match trade.why {
        Some(Why::Ratio) => Some("ratio"),
        Some(Why::Forced) => Some("forced"),
        None => None,
    }
}

fn trade(trade: &Trade) -> Value {
    let trip = &trade.trip;
    json!({
        "direction": word(trip.direction),
        "qty": decimal::short(trip.qty.0.into(), DECIMALS),
        "entry": deal(&trip.entry),
        "exit": trip.exit.as_ref().map(deal),
        "left": why(trade),
        "settlements": trip.settlements,
        "pnl": split(&trade.split),
    })
}

/// The object programs read. `swept`: runs come without their trades and equity.
pub(super) fn json(runs: &[Run], swept: bool, elapsed_ms: u64) -> Value {
    let run = |run: &Run| {
        let mut object = json!({
            "series": run.series,
            "setting": run.label,
            "trades_closed": run.closed(),
            "trades_open": run.open(),
            "pnl": split(&run.split),
            "drawdown": run.drawdown.to_string(),
            "yearly_return": run.yearly.to_string(),
        });
        if !swept {
            object["trades"] = run.outcome.trades.iter().map(trade).collect();
            object["equity"] =
                run.outcome.equity.iter().map(|(at, sum)| json!([at.as_ms(), sum.to_string()])).collect();
        }
        object
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "command": "backtest",
        "elapsed_ms": elapsed_ms,
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

/// Rows for a spreadsheet: one a trade; of a sweep, one a run.
pub(super) fn csv(runs: &[Run], swept: bool) -> String {
    let parts = |split: &Split| {
        let Split { funding, basis, fees, slippage, revaluation } = split;
        format!("{},{funding},{basis},{fees},{slippage},{revaluation}", split.total())
    };
    let mut out = String::new();
    if swept {
        out.push_str(
            "series,setting,trades_closed,trades_open,total,funding,basis,fees,slippage,revaluation,drawdown,\
             yearly_return\n",
        );
        for run in runs {
            let (closed, open, parts) = (run.closed(), run.open(), parts(&run.split));
            let Run { series, label, drawdown, yearly, .. } = run;
            let _ = writeln!(out, "{},{label},{closed},{open},{parts},{drawdown},{yearly}", quoted(series));
        }
        return out;
    }
    out.push_str(
        "series,direction,qty,entered_ms,exited_ms,left,settlements,spot_in,perp_in,spot_out,perp_out,total,\
         funding,basis,fees,slippage,revaluation\n",
    );
    for run in runs {
        for trade in &run.outcome.trades {
            let trip = &trade.trip;
            let filled = |deal: Option<&Deal>, leg: LegKind| {
                deal.map_or_else(String::new, |deal| price(deal.legs[leg as usize].filled))
            };
            let (entry, exit) = (Some(&trip.entry), trip.exit.as_ref());
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{},{}",
                quoted(&run.series),
                word(trip.direction),
                decimal::short(trip.qty.0.into(), DECIMALS),
                trip.entry.at.as_ms(),
                exit.map_or_else(String::new, |deal| deal.at.as_ms().to_string()),
                why(trade).unwrap_or(""),
                trip.settlements,
                filled(entry, LegKind::Spot),
                filled(entry, LegKind::Perp),
                filled(exit, LegKind::Spot),
                filled(exit, LegKind::Perp),
                parts(&trade.split),
            );
        }
    }
    out
}

/// A file's name may hold anything.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The table people read, best first if there was a sweep.
pub(super) fn text(runs: &[Run], swept: bool, elapsed_ms: u64) -> String {
    let mut shown: Vec<&Run> = runs.iter().collect();
    if swept {
        shown.sort_by_key(|run| std::cmp::Reverse(run.split.total()));
    }
    let name = |run: &Run| format!("{} {}", run.series, run.label);
    let width =
        shown.iter().take(ROWS_SHOWN).map(|run| name(run).trim_end().chars().count()).max().unwrap_or(0);
    let mut out = format!(
        "{:<width$} {:>6} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>9}\n",
        "", "closed", "open", "funding", "basis", "costs", "revaluation", "total", "drawdown", "yearly"
    );
    for run in shown.iter().take(ROWS_SHOWN) {
        let Split { funding, basis, fees, slippage, revaluation } = run.split;
        let _ = writeln!(
            out,
            "{:<width$} {:>6} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>9}",
            name(run).trim_end(),
            run.closed(),
            run.open(),
            money(funding, true),
            money(basis, true),
            money(fees + slippage, true),
            money(revaluation, true),
            money(run.split.total(), true),
            money(-run.drawdown, true),
            format!("{}%", decimal::Text(run.yearly.0.div_euclid(100), 2)),
        );
    }
    if shown.len() > ROWS_SHOWN {
        let _ = writeln!(out, "and {} more; --json, --csv and --html have all", shown.len() - ROWS_SHOWN);
    }
    let _ = writeln!(out, "{} runs in {}.{:03} s", runs.len(), elapsed_ms / 1_000, elapsed_ms % 1_000);
    out
}
