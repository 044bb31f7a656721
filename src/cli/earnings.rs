//! `contango report`: what an engine earned and holds, told from its journal alone.
//!
//! Owns:  reading the whole journal, and three of the forms of the answer; the page is `earnings_page`.
//! Never: writes into the data folder, asks an engine, or rounds an amount for programs.
//! Map:   where the money came from: `store::money`, on the same sums as a run's own summary.

use super::pnl;
use super::report::{Pnl, money};
use super::store::{Refusal, files_of};
use super::{Exit, Settings, earnings_page, say};
use crate::event::Asset;
use crate::store::history::History;
use crate::store::money::{Course, OfPair, Stand};
use crate::units::{Amount, LegKind, Unix, decimal};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

/// Days of the table people read.
const DAYS_SHOWN: usize = 31;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(text) => {
            say(&text);
            Exit::Done
        }
        Err((why, exit)) => {
            eprintln!("contango report: {why}");
            exit
        }
    }
}

fn run(settings: &Settings) -> Result<String, Refusal> {
    let (folder, instance) = (settings.data_dir.as_path(), settings.instance);
    let mut report = Report::new(folder.display().to_string(), instance);
    let files = files_of(folder, instance)?;
    let newest = files.last().map(|(number, _)| *number);
    for (number, file) in &files {
        let failed = |error| (format!("{}: {error}", file.display()), Exit::Failed);
        let bytes = fs::read(file).map_err(failed)?;
        let Report { course, history, first_at, .. } = &mut report;
        let see = |entry: &_, books: &crate::store::recall::Recalled| {
            *first_at = first_at.or(books.last_at);
            course.take(entry, books);
        };
        let read = history.read(*number, &bytes, Some(*number) == newest, see);
        read.map_err(|error| (format!("{}: {error}", folder.display()), Exit::Failed))?;
    }
    for (file, text) in
        [(&settings.csv, Report::csv as fn(&Report) -> String), (&settings.html, earnings_page::html)]
    {
        let Some(file) = file else { continue };
        fs::write(file, text(&report)).map_err(|error| {
            (format!("{}: {error}; look whether its folder is there", file.display()), Exit::Failed)
        })?;
    }
    Ok(if settings.json { format!("{}\n", report.json()) } else { report.text() })
}

/// What a journal says of money.
pub(super) struct Report {
    pub(super) folder: String,
    pub(super) instance: u8,
    pub(super) first_at: Option<Unix>,
    pub(super) history: History,
    pub(super) course: Course,
}

/// One UTC day: its first moment, what it added, and what it ended with.
pub(super) struct Day {
    pub(super) at: Unix,
    pub(super) earned: Pnl,
    pub(super) end: Stand,
}

impl Report {
    fn new(folder: String, instance: u8) -> Self {
        let (history, course) = (History::default(), Course::default());
        Self { folder, instance, first_at: None, history, course }
    }

    pub(super) fn last_at(&self) -> Option<Unix> {
        self.history.recalled().last_at
    }

    /// All of it.
    pub(super) fn pnl(&self) -> Pnl {
        Pnl::of(&self.history.recalled().sums.profit, self.course.now().revaluation)
    }

    /// Fees that are in no part of it.
    pub(super) fn unvalued(&self) -> Vec<(String, Amount)> {
        pnl::unvalued(&self.history.recalled().sums.unvalued)
    }

    /// Every UTC day with a booking.
    pub(super) fn days(&self) -> Vec<Day> {
        let mut before = Pnl::default();
        let day = |(at, end): (Unix, Stand)| {
            let after = Pnl::of(&end.profit, end.revaluation);
            let earned = after.less(&std::mem::replace(&mut before, after));
            Day { at, earned, end }
        };
        self.course.days().map(day).collect()
    }

    /// Every pair, with what each leg holds.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Asset, &OfPair, [Amount; 2])> {
        let sums = &self.history.recalled().sums;
        self.course
            .pairs()
            .map(|(name, pair)| (name, pair, LegKind::BOTH.map(|leg| Amount(sums.lot(name, leg).base))))
    }

    fn json(&self) -> Value {
        let sums = &self.history.recalled().sums;
        let days = self.days();
        let day = |day: &Day| {
            let mut row = json!({"day": date(day.at), "held": day.end.held.to_string()});
            row["pnl"] = day.earned.json();
            row["equity"] = json!(day.end.total().to_string());
            row
        };
        let pairs = self.pairs().map(|(name, pair, [spot, perp])| {
            json!({
                "pair": name.as_str(), "state": pair.state, "spot": spot.to_string(), "perp": perp.to_string(),
                "perp_price": pair.price.map(|(price, decimals)| decimal::Text(price.0.into(), decimals).to_string()),
                "revaluation": pair.revaluation.to_string(), "held": pair.held.to_string(),
            })
        });
        let assets = sums.changes.iter().map(|((leg, asset), change)| {
            json!({"market": leg.to_string(), "asset": asset.as_str(), "change": change.to_string()})
        });
        let us = |at: Option<Unix>| at.map(|at| at.0.div_euclid(1_000));
        let (segments, records) = self.history.read_so_far();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "command": "report",
            "folder": self.folder,
            "instance": self.instance,
            "segments": segments,
            "records": records,
            "first_us": us(self.first_at),
            "last_us": us(self.last_at()),
            "fills": sums.fills,
            "pnl": self.pnl().json(),
            "fees_unvalued": pnl::unvalued_json(&self.unvalued()),
            "fee_share": share(&self.pnl()).map(|share| share.to_string()),
            "held": self.course.now().held.to_string(),
            "days": days.iter().map(day).collect::<Vec<_>>(),
            "equity": self.course.moments().iter()
                .map(|(at, stand)| json!([at.as_ms(), stand.total().to_string()])).collect::<Vec<_>>(),
            "pairs": pairs.collect::<Vec<_>>(),
            "assets": assets.collect::<Vec<_>>(),
        })
    }

    fn csv(&self) -> String {
        let mut out = "day,total,funding,basis,fees,slippage,borrow,revaluation,held,equity\n".to_owned();
        for Day { at, earned, end } in self.days() {
            let Pnl { total, funding, basis, fees, slippage, borrow, revaluation } = earned;
            let _ = writeln!(
                out,
                "{},{total},{funding},{basis},{fees},{slippage},{borrow},{revaluation},{},{}",
                date(at),
                end.held,
                end.total()
            );
        }
        out
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let pnl = self.pnl();
        let when = |at: Option<Unix>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        writeln!(out, "journal   {}, instance {}", self.folder, self.instance)?;
        writeln!(out, "time      {} to {}", when(self.first_at), when(self.last_at()))?;
        writeln!(out, "fills     {}", self.history.recalled().sums.fills)?;
        writeln!(out, "profit    {} USDT, of it:", money(pnl.total, true))?;
        for (name, part) in pnl.parts() {
            writeln!(out, "          {:>16} {name}", money(part, true))?;
        }
        for line in pnl::unvalued_told(&self.unvalued()) {
            writeln!(out, "          not counted: {line}")?;
        }
        if let Some(share) = share(&pnl) {
            writeln!(out, "          fees are {share} of what funding and basis earned")?;
        }
        for (name, pair, [spot, perp]) in self.pairs() {
            let state = pair.state.as_deref().unwrap_or("-");
            writeln!(
                out,
                "pair      {name} {state}: {spot} spot, {perp} perp, {} USDT held",
                money(pair.held, false)
            )?;
        }
        let days = self.days();
        writeln!(
            out,
            "\n{:<10} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>14}",
            "day (UTC)", "funding", "basis", "fees", "slippage", "revaluation", "total", "equity"
        )?;
        for day in &days[days.len().saturating_sub(DAYS_SHOWN)..] {
            let Pnl { total, funding, basis, fees, slippage, revaluation, .. } = day.earned;
            write!(out, "{}", date(day.at))?;
            for part in [funding, basis, fees, slippage, revaluation, total] {
                write!(out, " {:>12}", money(part, true))?;
            }
            writeln!(out, " {:>14}", money(day.end.total(), true))?;
        }
        if days.len() > DAYS_SHOWN {
            writeln!(out, "and {} days before; --json, --csv and --html have all", days.len() - DAYS_SHOWN)?;
        }
        Ok(())
    }
}

/// The UTC day of a moment.
pub(super) fn date(at: Unix) -> String {
    at.to_string().chars().take(10).collect()
}

/// Which part of what funding and basis earned the fees take, as a fraction cut to 4 decimals; `None`: they
/// earned nothing.
pub(super) fn share(pnl: &Pnl) -> Option<decimal::Text> {
    let gross = (pnl.funding + pnl.basis).0 / 1_000_000;
    (gross > 0).then(|| decimal::Text(-pnl.fees.0 / 1_000_000 * 10_000 / gross, 4))
}
