//! The page of a backtest: the runs as a table, and each history's equity as a plot, in one file.
//!
//! Owns:  its HTML and SVG; nothing is loaded from elsewhere, so it opens without a network.
//! Never: shows a number that the JSON does not hold; a plot's coordinates are the only floats.

use super::super::report::money;
use super::report::Run;
use crate::units::{Amount, Unix, decimal};
use std::fmt::Write as _;

/// A plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;

/// Rows of a sweep's table: a page with all of a hundred thousand opens nowhere.
const ROWS_SHOWN: usize = 500;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;\
    color:#1b1f24;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}\
    td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #d8dee4}\
    td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto;background:#f6f8fa}\
    .line{fill:none;stroke:#0969da;stroke-width:1.5}.zero{stroke:#8c959f;stroke-dasharray:4 4}\
    text{font-size:12px;fill:#57606a}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}\
    td,th{border-color:#30363d}svg{background:#161b22}.line{stroke:#58a6ff}text{fill:#8b949e}}";

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
        let _ = writeln!(out, "<h2>{}</h2>\n{}", name(run), plot(&run.outcome.equity));
    }
    out.push_str("</html>\n");
    out
}

fn name(run: &Run) -> String {
    escaped(format!("{} {}", run.series, run.label).trim_end())
}

/// A file's name may hold anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Equity over time.
fn plot(equity: &[(Unix, Amount)]) -> String {
    let (Some((first, _)), Some((last, end))) = (equity.first(), equity.last()) else {
        return "<p>No decision was due in it.</p>".to_owned();
    };
    let usdt = |amount: Amount| amount.0 as f64 / 1e18;
    let values = equity.iter().map(|&(_, amount)| amount).chain([Amount::ZERO]);
    let (low, high) = values.fold((Amount::ZERO, Amount::ZERO), |(low, high), v| (low.min(v), high.max(v)));
    let span = (usdt(high) - usdt(low)).max(1e-9);
    let lasted = ((last.0 - first.0) as f64).max(1.0);
    let x = |at: Unix| (at.0 - first.0) as f64 / lasted * WIDTH;
    let y = |amount: Amount| HEIGHT - (usdt(amount) - usdt(low)) / span * HEIGHT;
    let mut points = String::new();
    for &(at, amount) in equity {
        let _ = write!(points, "{:.1},{:.1} ", x(at), y(amount));
    }
    let date = |at: &Unix| at.to_string().chars().take(10).collect::<String>();
    let zero = y(Amount::ZERO);
    format!(
        "<svg viewBox=\"-10 -20 {:.0} {:.0}\" role=\"img\" aria-label=\"equity over time\">\
         <line class=\"zero\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\"/>\
         <polyline class=\"line\" points=\"{}\"/>\
         <text x=\"0\" y=\"-6\">highest {} USDT</text><text x=\"{WIDTH}\" y=\"-6\" text-anchor=\"end\">at the end {} USDT</text>\
         <text x=\"0\" y=\"{:.0}\">{}</text><text x=\"{WIDTH}\" y=\"{:.0}\" text-anchor=\"end\">{}</text></svg>",
        WIDTH + 20.0,
        HEIGHT + 40.0,
        points.trim_end(),
        money(high, true),
        money(*end, true),
        HEIGHT + 16.0,
        date(first),
        HEIGHT + 16.0,
        date(last),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::backtest::Outcome;

    fn run(series: &str, equity: &[i64]) -> Run {
        let usdt = |n: i64| Amount(i128::from(n) * 10i128.pow(18));
        let equity =
            equity.iter().zip(0..).map(|(n, day)| (Unix(day * 86_400_000_000_000), usdt(*n))).collect();
        Run::new(series.to_owned(), String::new(), usdt(500), Outcome { trades: Vec::new(), equity })
    }

    #[test]
    fn the_plot_goes_through_the_equity() {
        let svg = plot(&run("a", &[0, 10, -10, 30]).outcome.equity);
        // −10…30 over 240 units: 0 lies at 180, 10 at 120.
        assert!(svg.contains("points=\"0.0,180.0 320.0,120.0 640.0,240.0 960.0,0.0\""), "{svg}");
        assert!(svg.contains("y1=\"180.0\"") && svg.contains("highest +30.0000 USDT"), "{svg}");
        assert!(svg.contains("1970-01-01") && svg.contains("1970-01-04"), "{svg}");
        assert_eq!(plot(&[]), "<p>No decision was due in it.</p>");
        assert!(!plot(&run("a", &[0, 0]).outcome.equity).contains("NaN"), "a flat line is one");
    }

    #[test]
    fn a_name_is_no_markup() {
        let page = html(&[run("<b>&", &[0, 1])], &[]);
        assert!(page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"), "{page}");
    }
}
