//! The page of a report: what was earned as a table, and its course as plots, in one file.
//!
//! Owns:  its HTML; nothing is loaded from elsewhere, so it opens without a network.
//! Never: shows a number that the JSON does not hold.

use super::earnings::{Day, Report, date, share};
use super::page::{STYLE, bars, escaped, line};
use super::pnl::unvalued_told;
use super::report::{Pnl, money};
use crate::units::{Amount, Unix};
use std::fmt::Write as _;

/// Makes the page.
pub(super) fn html(report: &Report) -> String {
    let (pnl, days) = (report.pnl(), report.days());
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>contango report</title>\
         <style>{STYLE}</style>\n<h1>contango report</h1>\n<p>{}, instance {}: {} to {}, {} fills.</p>\n\
         <table><tr><th>part<th>USDT</tr>\n",
        escaped(&report.folder),
        report.instance,
        report.first_at.map_or_else(String::new, |at| at.to_string()),
        report.last_at().map_or_else(String::new, |at| at.to_string()),
        report.history.recalled().sums.fills,
    );
    for (name, part) in pnl.parts().into_iter().chain([("total", pnl.total)]) {
        let _ = writeln!(out, "<tr><td>{name}<td>{}</tr>", money(part, true));
    }
    out.push_str("</table>\n");
    for line in unvalued_told(&report.unvalued()) {
        let _ = writeln!(out, "<p>Not counted: {}.</p>", escaped(&line));
    }
    let moments = report.course.moments();
    let over = |of: fn(&crate::store::money::Stand) -> Amount| -> Vec<(Unix, Amount)> {
        moments.iter().map(|(at, stand)| (*at, of(stand))).collect()
    };
    let funding: Vec<(Unix, Amount)> = days.iter().map(|day| (day.at, day.earned.funding)).collect();
    // In percent of what was earned until then; a day before anything was earned has no share.
    let part = |day: &Day| {
        let share = share(&Pnl::of(&day.end.profit, Amount::ZERO))?;
        Some((day.at, Amount(share.0 * 10i128.pow(16))))
    };
    let fees: Vec<(Unix, Amount)> = days.iter().filter_map(part).collect();
    for (title, plot) in [
        ("Equity", line(&over(|stand| stand.total()), "USDT", "equity over time")),
        ("Funding per day", bars(&funding, "USDT", "funding per day")),
        ("Positions", line(&over(|stand| stand.held), "USDT", "what the perps hold, over time")),
        ("Fees, of what funding and basis earned so far", line(&fees, "%", "share of fees, by day")),
    ] {
        let _ = writeln!(out, "<h2>{title}</h2>\n{plot}");
    }
    out.push_str("<h2>Pairs</h2>\n<table><tr><th>pair<th>state<th>spot<th>perp<th>held</tr>\n");
    for (name, pair, [spot, perp]) in report.pairs() {
        let state = pair.state.as_deref().unwrap_or("-");
        let held = money(pair.held, false);
        let _ = writeln!(out, "<tr><td>{}<td>{state}<td>{spot}<td>{perp}<td>{held}</tr>", escaped(&name));
    }
    out.push_str("</table>\n<h2>Days (UTC)</h2>\n<table><tr><th>day");
    for (name, _) in Pnl::default().parts() {
        let _ = write!(out, "<th>{name}");
    }
    out.push_str("<th>total<th>equity</tr>\n");
    for day in &days {
        let _ = write!(out, "<tr><td>{}", date(day.at));
        let parts = day.earned.parts().into_iter().map(|(_, part)| part);
        for part in parts.chain([day.earned.total, day.end.total()]) {
            let _ = write!(out, "<td>{}", money(part, true));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n</html>\n");
    out
}
