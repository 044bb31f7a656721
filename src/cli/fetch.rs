//! `contango fetch-funding`: a perp's settled funding rates from its venue, as CSV.
//!
//! Owns:  how far back is read, when all of it is there, and the form of the file.
//! Never: needs a key, fills a settlement that the venue does not tell, or leaves half a file behind.
//! Wire:  `funding_time_ms,funding_rate`: the venue's own stamp, some ms late at times, and the rate per interval.

use super::boot::{self, BootError};
use super::lookout::Lookout;
use super::{Exit, Settings, say};
use crate::event::News;
use crate::units::time::SEC;
use crate::units::{Rate, Unix, decimal};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
/// The longest interval: a row younger than this, and a minute, is the newest there is.
const NEWEST_NS: i64 = (8 * 3_600 + 60) * SEC as i64;

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("contango fetch-funding: {}", error.why);
            error.exit
        }
    }
}

fn run(settings: &Settings) -> Result<(), BootError> {
    let [wanted] = settings.pairs.as_slice() else {
        return Err(BootError::usage("name the one pair whose perp is meant, such as --pairs BTCUSDT"));
    };
    let mut lookout = Lookout::new(settings, boot::venue(), settings.since_ns)?;
    let mut rows: BTreeMap<Unix, Rate> = BTreeMap::new();
    let newest = |rows: &BTreeMap<Unix, Rate>| rows.last_key_value().map_or(Unix(0), |(at, _)| *at);
    while newest(&rows).0 < lookout.clock.unix().0 - NEWEST_NS {
        if let News::Settled { rows: page, .. } = lookout.next()? {
            rows.extend(page);
        }
    }
    if settings.json {
        let rows: Vec<_> = rows.iter().map(|(at, rate)| json!([at.as_ms(), told(*rate)])).collect();
        let version = env!("CARGO_PKG_VERSION");
        say(&format!(
            "{}\n",
            json!({"version": version, "command": "fetch-funding", "pair": wanted, "rows": rows})
        ));
        return Ok(());
    }
    let text = csv(&rows);
    match &settings.csv {
        None => say(&text),
        Some(path) => {
            std::fs::write(path, &text)
                .map_err(|error| BootError::failed(format!("{}: {error}", path.display())))?;
            eprintln!("{} settlements of {wanted} in {}", rows.len(), path.display());
        }
    }
    Ok(())
}

fn csv(rows: &BTreeMap<Unix, Rate>) -> String {
    let mut out = "funding_time_ms,funding_rate\n".to_owned();
    for (at, rate) in rows {
        let _ = writeln!(out, "{},{}", at.as_ms(), told(*rate));
    }
    out
}

fn told(rate: Rate) -> String {
    decimal::short(rate.0.into(), Rate::SCALE)
}
