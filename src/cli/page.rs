//! What the pages of reports are made of: their style, and plots as SVG inside the page.
//!
//! Owns:  one look for all of them, in light and dark; nothing is loaded from elsewhere.
//! Never: computes an amount; a plot's coordinates are the only floats.

use super::report::money;
use crate::units::{Amount, Unix};
use std::fmt::Write as _;

/// A plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;

pub(super) const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;\
    color:#1b1f24;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}\
    td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #d8dee4}\
    td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto;background:#f6f8fa}\
    .line{fill:none;stroke:#0969da;stroke-width:1.5}.bar{fill:#0969da}.zero{stroke:#8c959f;stroke-dasharray:4 4}\
    text{font-size:12px;fill:#57606a}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}\
    td,th{border-color:#30363d}svg{background:#161b22}.line{stroke:#58a6ff}.bar{fill:#58a6ff}text{fill:#8b949e}}";

/// A name may hold anything.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Where values lie in a plot: from the lowest to the highest, zero among them.
struct Scale {
    low: f64,
    span: f64,
    high: Amount,
}

impl Scale {
    fn of(values: &[(Unix, Amount)]) -> Self {
        let (mut low, mut high) = (Amount::ZERO, Amount::ZERO);
        for &(_, value) in values {
            (low, high) = (low.min(value), high.max(value));
        }
        Self { low: units(low), span: (units(high) - units(low)).max(1e-9), high }
    }

    fn y(&self, amount: Amount) -> f64 {
        HEIGHT - (units(amount) - self.low) / self.span * HEIGHT
    }
}

fn units(amount: Amount) -> f64 {
    amount.0 as f64 / 1e18
}

/// Values over time as a line.
pub(super) fn line(values: &[(Unix, Amount)], unit: &str, label: &str) -> String {
    let (Some((first, _)), Some((last, _))) = (values.first(), values.last()) else { return none() };
    let scale = Scale::of(values);
    let lasted = ((last.0 - first.0) as f64).max(1.0);
    let mut points = String::new();
    for &(at, amount) in values {
        let _ = write!(points, "{:.1},{:.1} ", (at.0 - first.0) as f64 / lasted * WIDTH, scale.y(amount));
    }
    let drawn = format!("<polyline class=\"line\" points=\"{}\"/>", points.trim_end());
    framed(values, &scale, unit, label, &drawn)
}

/// Values as bars, side by side.
pub(super) fn bars(values: &[(Unix, Amount)], unit: &str, label: &str) -> String {
    if values.is_empty() {
        return none();
    }
    let scale = Scale::of(values);
    let (zero, each) = (scale.y(Amount::ZERO), WIDTH / values.len() as f64);
    let mut drawn = String::new();
    for (n, &(_, amount)) in values.iter().enumerate() {
        let (y, x) = (scale.y(amount), n as f64 * each);
        let _ = write!(
            drawn,
            "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            y.min(zero),
            each * 0.8,
            (y - zero).abs()
        );
    }
    framed(values, &scale, unit, label, &drawn)
}

fn none() -> String {
    "<p>There is nothing to plot.</p>".to_owned()
}

fn framed(values: &[(Unix, Amount)], scale: &Scale, unit: &str, label: &str, drawn: &str) -> String {
    let date = |at: Option<&(Unix, Amount)>| {
        at.map_or_else(String::new, |(at, _)| at.to_string().chars().take(10).collect())
    };
    let end = values.last().map_or(Amount::ZERO, |(_, value)| *value);
    let zero = scale.y(Amount::ZERO);
    format!(
        "<svg viewBox=\"-10 -20 {:.0} {:.0}\" role=\"img\" aria-label=\"{label}\">\
         <line class=\"zero\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\"/>{drawn}\
         <text x=\"0\" y=\"-6\">highest {} {unit}</text><text x=\"{WIDTH}\" y=\"-6\" text-anchor=\"end\">at the end {} {unit}</text>\
         <text x=\"0\" y=\"{:.0}\">{}</text><text x=\"{WIDTH}\" y=\"{:.0}\" text-anchor=\"end\">{}</text></svg>",
        WIDTH + 20.0,
        HEIGHT + 40.0,
        money(scale.high, true),
        money(end, true),
        HEIGHT + 16.0,
        date(values.first()),
        HEIGHT + 16.0,
        date(values.last()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(values: &[i64]) -> Vec<(Unix, Amount)> {
        let usdt = |n: i64| Amount(i128::from(n) * 10i128.pow(18));
        values.iter().zip(0..).map(|(n, day)| (Unix(day * 86_400_000_000_000), usdt(*n))).collect()
    }

    #[test]
    fn a_line_goes_through_its_values() {
        let svg = line(&days(&[0, 10, -10, 30]), "USDT", "equity over time");
        // −10…30 over 240 units: 0 lies at 180, 10 at 120.
        assert!(svg.contains("points=\"0.0,180.0 320.0,120.0 640.0,240.0 960.0,0.0\""), "{svg}");
        assert!(svg.contains("y1=\"180.0\"") && svg.contains("highest +30.0000 USDT"), "{svg}");
        assert!(svg.contains("1970-01-01") && svg.contains("1970-01-04"), "{svg}");
        assert_eq!(line(&[], "USDT", ""), "<p>There is nothing to plot.</p>");
        assert!(!line(&days(&[0, 0]), "USDT", "").contains("NaN"), "a flat line is one");
    }

    #[test]
    fn a_bar_stands_on_zero_and_a_loss_hangs_from_it() {
        let svg = bars(&days(&[10, -10]), "USDT", "funding per day");
        assert!(svg.contains("x=\"0.0\" y=\"0.0\" width=\"384.0\" height=\"120.0\""), "{svg}");
        assert!(svg.contains("x=\"480.0\" y=\"120.0\" width=\"384.0\" height=\"120.0\""), "{svg}");
    }
}
