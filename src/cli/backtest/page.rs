//! The page of a backtest: the runs as a table, and each history's equity as a plot, in one file.
//!
//! Owns:  its HTML; nothing is loaded from elsewhere, so it opens without a network.
//! Never: shows a number that the JSON does not hold.

use super::super::page::{STYLE, escaped, line};
use super::super::report::money;
use super::report::Run;
use crate::units::decimal;
use std::fmt::Write as _;

/// Rows of a sweep's table: a page with all of a hundred thousand opens nowhere.
const ROWS_SHOWN: usize = 500;

/// Makes the page: `runs` for the table, `plotted` with their equity.
pub(super) fn html(runs: &[Run], plotted: &[Run]) -> String {
    let mut order: Vec<&Run> = runs.iter().collect();
    order.sort_by_key(|run| std::cmp::Reverse(run.split.total()));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>contango backtest</title>\
         <style>{STYLE}</style>\n<h1>contango backtest</h1>\n<table><tr><th>history and setting<th>closed<th>open\
         <th>funding<th>basis<th>fees<th>slippage<th>revaluation<th>total<th>drawdown<th>yearly</tr>\n"
    );
    for run in order.iter().take(ROWS_SHOWN) {
        let split = run.split;
        let _ = write!(out, "<tr><td>{}<td>{}<td>{}", name(run), run.closed(), run.open());
        let parts = [split.funding, split.basis, split.fees, split.slippage, split.revaluation];
        for amount in parts.into_iter().chain([split.total(), -run.drawdown]) {
            let _ = write!(out, "<td>{}", money(amount, true));
        }
        let _ = writeln!(out, "<td>{}%</tr>", decimal::Text(run.yearly.0.div_euclid(100), 2));
    }
    out.push_str("</table>\n");
    if order.len() > ROWS_SHOWN {
        let _ = writeln!(out, "<p>The best {ROWS_SHOWN} of {} runs.</p>", order.len());
    }
    for run in plotted {
        let _ = writeln!(
            out,
            "<h2>{}</h2>\n{}",
            name(run),
            line(&run.outcome.equity, "USDT", "equity over time")
        );
    }
    out.push_str("</html>\n");
    out
}

fn name(run: &Run) -> String {
    escaped(format!("{} {}", run.series, run.label).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::backtest::Outcome;
    use crate::units::{Amount, Unix};

    fn run(series: &str, equity: &[i64]) -> Run {
        let usdt = |n: i64| Amount(i128::from(n) * 10i128.pow(18));
        let equity =
            equity.iter().zip(0..).map(|(n, day)| (Unix(day * 86_400_000_000_000), usdt(*n))).collect();
        Run::new(series.to_owned(), String::new(), usdt(500), Outcome { trades: Vec::new(), equity })
    }

    #[test]
    fn a_name_is_no_markup() {
        let page = html(&[run("<b>&", &[0, 1])], &[]);
        assert!(page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"), "{page}");
    }
}
